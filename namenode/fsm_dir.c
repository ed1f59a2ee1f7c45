/* Entries of directories: create (of every kind), link, unlink, rmdir. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm_ops.h"
#include "namenode/mutants.h"

int name_check(ProtobufCBinaryData name)
{
    if (name.len > NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    if (name.len == 0 || memchr(name.data, '/', name.len) || memchr(name.data, '\0', name.len))
        return -EINVAL;
    if (name.data[0] == '.' && (name.len == 1 || (name.len == 2 && name.data[1] == '.')))
        return -EINVAL;
    return 0;
}

int dir_get(struct tx *tx, const struct cred *cred, uint64_t ino, struct inode_rec *ret_dir)
{
    struct inode_rec dir;
    int r;

    r = tx_inode_get(tx, ino, &dir);
    if (r < 0)
        return r;
    if (!S_ISDIR(dir.mode))
        return -ENOTDIR;
    r = perm_access(cred, &dir, PERM_EXEC);
    if (r < 0)
        return r;
    if (dir.nlink == 0)
        return -ENOENT;
    *ret_dir = dir;
    return 0;
}

void dir_changed(struct tx *tx, struct inode_rec *dir)
{
    dir->dir_version++;
    dir->mtime_ns = dir->ctime_ns = tx->now_ns;
    tx_inode_put(tx, dir);
}

void inode_unlinked(struct tx *tx, uint64_t dir, struct inode_rec *inode)
{
    struct key k;

    usage_unlinked(tx, dir, inode);
    inode->nlink = S_ISDIR(inode->mode) ? 0 : inode->nlink - 1;
    inode->ctime_ns = tx->now_ns;
    tx_inode_put(tx, inode);
    if (inode->nlink > 0)
        return;
    key_id64(&k, 'g', inode->ino);
    tx_put(tx, &k, "", 0);
    tx->state.reap_count++;
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_UNLINKED, .id = inode->ino});
}

/* The name is taken: an error, unless an open(O_CREAT) without O_EXCL found its file. */
static int create_found(struct tx *tx, const Dfs__CreateOp *op, uint32_t type,
                        const struct dentry_rec *found, Dfs__MetaReply *reply)
{
    struct inode_rec inode;
    int r;

    if (op->exclusive || type != S_IFREG)
        return -EEXIST;
    if (found->type == S_IFDIR)
        return -EISDIR;
    if (found->type != S_IFREG)
        return -EEXIST;
    r = tx_inode_get(tx, found->ino, &inode);
    if (r < 0)
        return tx_fail(tx, -EBADMSG); /* An entry without its inode. */
    return reply_content(tx, reply_entry(tx, reply, &inode), &inode, op->open ? 0 : UINT64_MAX);
}

/* Linux's inode_init_owner: what a new inode takes from its directory. */
static void inherit(const struct cred *cred, const struct inode_rec *dir, struct inode_rec *inode)
{
    inode->uid = cred->uid;
    inode->gid = cred->gid;
    if (!(dir->mode & S_ISGID))
        return;
    inode->gid = dir->gid;
    if (S_ISDIR(inode->mode))
        inode->mode |= S_ISGID;
    else if (!perm_is_root(cred) && (inode->mode & S_ISGID) && (inode->mode & S_IXGRP) &&
             !perm_in_group(cred, dir->gid))
        inode->mode &= ~(uint32_t)S_ISGID;
}

static void new_inode(struct tx *tx, const struct cred *cred, const struct inode_rec *dir,
                      const Dfs__CreateOp *op, uint32_t type, struct inode_rec *ret_inode)
{
    struct inode_rec inode = {
        .ino = tx->state.next_ino++,
        .mode = type | (type == S_IFLNK ? 0777 : op->mode & 07777),
        .nlink = type == S_IFDIR ? 2 : 1,
        .atime_ns = tx->now_ns,
        .mtime_ns = tx->now_ns,
        .ctime_ns = tx->now_ns,
        .btime_ns = tx->now_ns,
        .data_version = 1,
    };
    struct key k;

    inherit(cred, dir, &inode);
    inode.copies = copies_inherited(dir, type);
    if (type == S_IFCHR || type == S_IFBLK)
        inode.rdev = op->rdev;
    if (type == S_IFDIR) {
        inode.parent = dir->ino;
        inode.dir_version = 1;
    }
    if (type == S_IFLNK) {
        inode.size = op->target.len;
        key_id64(&k, 'L', inode.ino);
        value_put(tx, &k, op->target.data, op->target.len);
    }
    usage_created(tx, dir->ino, &inode);
    tx_inode_put(tx, &inode);
    tx->state.inode_count++;
    *ret_inode = inode;
}

static int create_type(const Dfs__CreateOp *op, uint32_t *ret_type)
{
    uint32_t type = op->mode & S_IFMT;

    switch (type) {
    case 0:
        type = S_IFREG;
        break;
    case S_IFREG:
    case S_IFDIR:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        break;
    case S_IFLNK:
        if (op->target.len == 0)
            return -ENOENT;
        if (op->target.len > SYMLINK_BYTES_MAX)
            return -ENAMETOOLONG;
        if (memchr(op->target.data, '\0', op->target.len))
            return -EINVAL;
        break;
    default:
        return -EINVAL;
    }
    *ret_type = type;
    return 0;
}

int op_create(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__CreateOp *op = req->create;
    struct cred cred = cred_of(req);
    struct inode_rec dir, inode;
    struct dentry_rec d;
    uint32_t type;
    int r;

    r = create_type(op, &type);
    if (r < 0)
        return r;
    r = dir_get(tx, &cred, op->parent, &dir);
    if (r < 0)
        return r;
    r = name_check(op->name);
    if (r < 0)
        return r;
    r = tx_dentry_get(tx, op->parent, op->name, &d);
    if (r == 0)
        return create_found(tx, op, type, &d, reply);
    if (r != -ENOENT)
        return r;
    r = perm_access(&cred, &dir, PERM_WRITE);
    if (r < 0)
        return r;
    if ((type == S_IFCHR || type == S_IFBLK) && !perm_is_root(&cred))
        return -EPERM;
    if (type == S_IFDIR && dir.nlink == UINT32_MAX)
        return -EMLINK;
    r = quota_check_new(tx, dir.ino, type);
    if (r < 0)
        return r;

    new_inode(tx, &cred, &dir, op, type, &inode);
    d = (struct dentry_rec){.ino = inode.ino, .type = type};
    tx_dentry_put(tx, dir.ino, op->name, &d);
    dir.entry_count++;
    if (type == S_IFDIR)
        dir.nlink++;
    dir_changed(tx, &dir);
    reply_entry(tx, reply, &inode)->created = true;
    return 0;
}

int op_link(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__LinkOp *op = req->link;
    struct cred cred = cred_of(req);
    struct inode_rec dir, inode;
    struct dentry_rec d;
    int r;

    r = tx_inode_get(tx, op->ino, &inode);
    if (r < 0)
        return r;
    r = dir_get(tx, &cred, op->parent, &dir);
    if (r < 0)
        return r;
    r = name_check(op->name);
    if (r < 0)
        return r;
    r = tx_dentry_get(tx, op->parent, op->name, &d);
    if (r != -ENOENT)
        return r < 0 ? r : -EEXIST;
    r = perm_access(&cred, &dir, PERM_WRITE);
    if (r < 0)
        return r;
    if (S_ISDIR(inode.mode))
        return -EPERM;
    if (inode.nlink == 0)
        return -ENOENT;
    if (inode.nlink >= LINK_COUNT_MAX)
        return -EMLINK;
    r = quota_check_link(tx, dir.ino, &inode);
    if (r < 0)
        return r;

    usage_linked(tx, dir.ino, &inode);
    inode.nlink++;
    inode.ctime_ns = tx->now_ns;
    tx_inode_put(tx, &inode);
    d = (struct dentry_rec){.ino = inode.ino, .type = inode.mode & S_IFMT};
    tx_dentry_put(tx, dir.ino, op->name, &d);
    dir.entry_count++;
    dir_changed(tx, &dir);
    (void)reply_entry(tx, reply, &inode);
    return 0;
}

/* What unlink and rmdir have in common: the entry, its directory and its inode, and that cred may
 * take it away. */
static int removable_get(struct tx *tx, const struct cred *cred, uint64_t parent,
                         ProtobufCBinaryData name, struct inode_rec *ret_dir,
                         struct inode_rec *ret_inode)
{
    struct dentry_rec d;
    int r;

    r = dir_get(tx, cred, parent, ret_dir);
    if (r < 0)
        return r;
    r = name_check(name);
    if (r < 0)
        return r;
    r = tx_dentry_get(tx, parent, name, &d);
    if (r < 0)
        return r;
    r = tx_inode_get(tx, d.ino, ret_inode);
    if (r < 0)
        return tx_fail(tx, -EBADMSG);
    return perm_remove(cred, ret_dir, ret_inode);
}

int dir_unlink(struct tx *tx, const struct cred *cred, uint64_t parent, ProtobufCBinaryData name,
               struct inode_rec *ret_inode)
{
    struct inode_rec dir, inode;
    int r;

    r = removable_get(tx, cred, parent, name, &dir, &inode);
    if (r < 0)
        return r;
    if (S_ISDIR(inode.mode))
        return -EISDIR;

    tx_dentry_delete(tx, dir.ino, name);
    inode_unlinked(tx, dir.ino, &inode);
    dir.entry_count--;
    dir_changed(tx, &dir);
    *ret_inode = inode;
    return 0;
}

int dir_rmdir(struct tx *tx, const struct cred *cred, uint64_t parent, ProtobufCBinaryData name,
              struct inode_rec *ret_inode)
{
    struct inode_rec dir, victim;
    int r;

    r = removable_get(tx, cred, parent, name, &dir, &victim);
    if (r < 0)
        return r;
    if (!S_ISDIR(victim.mode))
        return -ENOTDIR;
    if (victim.entry_count > 0 &&
        !(MUTANT(RMDIR_MISSES_CREATE) && victim.mtime_ns + META_BATCH_OPS_MAX > tx->now_ns))
        return -ENOTEMPTY;

    tx_dentry_delete(tx, dir.ino, name);
    inode_unlinked(tx, dir.ino, &victim);
    dir.entry_count--;
    dir.nlink--;
    dir_changed(tx, &dir);
    *ret_inode = victim;
    return 0;
}

int op_unlink(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    int r;

    r = dir_unlink(tx, &cred, req->unlink->parent, req->unlink->name, &inode);
    if (r == 0)
        (void)reply_entry(tx, reply, &inode);
    return r;
}

int op_rmdir(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    int r;

    r = dir_rmdir(tx, &cred, req->rmdir->parent, req->rmdir->name, &inode);
    if (r == 0)
        (void)reply_entry(tx, reply, &inode);
    return r;
}
