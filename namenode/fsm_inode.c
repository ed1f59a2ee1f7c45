/* Attributes: how they look to a client, and setattr. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "namenode/fsm_ops.h"

enum {
    VALID_TIMES_SET = DFS__SETATTR_VALID__SETATTR_ATIME | DFS__SETATTR_VALID__SETATTR_MTIME,
    VALID_TIMES_NOW = DFS__SETATTR_VALID__SETATTR_ATIME_NOW | DFS__SETATTR_VALID__SETATTR_MTIME_NOW,
    VALID_CHOWN = DFS__SETATTR_VALID__SETATTR_UID | DFS__SETATTR_VALID__SETATTR_GID,
};

Dfs__Attr *attr_of(struct arena *arena, const struct inode_rec *inode)
{
    Dfs__Attr *a = ARENA_NEW(arena, Dfs__Attr);

    dfs__attr__init(a);
    a->ino = inode->ino;
    a->mode = inode->mode;
    a->uid = inode->uid;
    a->gid = inode->gid;
    a->nlink = inode->nlink;
    a->rdev = inode->rdev;
    a->size = S_ISDIR(inode->mode) ? FSM_DIR_SIZE : inode->size;
    a->atime_ns = inode->atime_ns;
    a->mtime_ns = inode->mtime_ns;
    a->ctime_ns = inode->ctime_ns;
    a->btime_ns = inode->btime_ns;
    a->data_version = inode->data_version;
    a->dir_version = inode->dir_version;
    a->chunk_count = inode->chunk_count;
    a->has_xattr = inode->xattr_bytes > 0;
    a->is_inline = inode->is_inline;
    if (inode->trunc_pending) {
        a->trunc_pending = ARENA_NEW(arena, Dfs__ChunkTail);
        dfs__chunk_tail__init(a->trunc_pending);
        a->trunc_pending->chunk_id = inode->trunc_chunk;
        a->trunc_pending->pg = inode->trunc_pg;
        a->trunc_pending->from = inode->trunc_from;
        a->trunc_pending->version = inode->trunc_version;
    }
    return a;
}

Dfs__EntryReply *reply_entry(struct tx *tx, Dfs__MetaReply *reply, const struct inode_rec *inode)
{
    Dfs__EntryReply *e = ARENA_NEW(&tx->arena, Dfs__EntryReply);

    dfs__entry_reply__init(e);
    e->attr = attr_of(&tx->arena, inode);
    reply->result_case = DFS__META_REPLY__RESULT_ENTRY;
    reply->entry = e;
    return e;
}

void reply_id(struct tx *tx, Dfs__MetaReply *reply, uint64_t id, uint64_t epoch)
{
    Dfs__IdReply *i = ARENA_NEW(&tx->arena, Dfs__IdReply);

    dfs__id_reply__init(i);
    i->id = id;
    i->epoch = epoch;
    reply->result_case = DFS__META_REPLY__RESULT_ID;
    reply->id = i;
}

int reply_content(struct tx *tx, Dfs__EntryReply *entry, const struct inode_rec *inode,
                  uint64_t known_version)
{
    const uint8_t *data;
    struct key k;
    size_t len;
    int r;

    if (!S_ISREG(inode->mode))
        return 0;
    /* Inline content counts, also when chunks were allocated and not yet written. */
    if (!inode->is_inline && inode->chunk_count > 0)
        return chunk_refs(tx, inode->ino, 0, FSM_OPEN_CHUNKS, &entry->chunks, &entry->n_chunks);
    if (!inode->is_inline || inode->data_version == known_version)
        return 0;
    key_id64(&k, 'F', inode->ino);
    r = value_get_copy(tx, &k, &data, &len);
    if (r == -ENOENT)
        return tx_fail(tx, -EBADMSG); /* The flag and the record go together. */
    if (r < 0)
        return r;
    entry->has_inline = true;
    entry->inline_data.len = len;
    entry->inline_data.data = arena_memdup(&tx->arena, data, len);
    return 0;
}

int file_get(struct tx *tx, uint64_t ino, struct inode_rec *ret_inode)
{
    struct inode_rec inode;
    int r;

    r = tx_inode_get(tx, ino, &inode);
    if (r < 0)
        return r;
    if (S_ISDIR(inode.mode))
        return -EISDIR;
    if (!S_ISREG(inode.mode))
        return -EINVAL;
    *ret_inode = inode;
    return 0;
}

/* The order of the checks is Linux's (setattr_prepare, vfs_utimes). */
static int setattr_allowed(const struct cred *cred, const struct inode_rec *inode,
                           const Dfs__SetattrOp *op)
{
    bool owner = perm_is_owner(cred, inode);

    if (cred->checked)
        return 0;
    if (op->valid & DFS__SETATTR_VALID__SETATTR_UID && !perm_is_root(cred) &&
        !(owner && op->uid == inode->uid))
        return -EPERM;
    if (op->valid & DFS__SETATTR_VALID__SETATTR_GID && !perm_is_root(cred) &&
        !(owner && (op->gid == inode->gid || perm_in_group(cred, op->gid))))
        return -EPERM;
    if (op->valid & DFS__SETATTR_VALID__SETATTR_MODE && !owner)
        return -EPERM;
    if (op->valid & (VALID_TIMES_SET | VALID_TIMES_NOW) && !owner) {
        /* Who may write may say "it was touched just now", and nothing finer. */
        if ((op->valid & (VALID_TIMES_SET | VALID_TIMES_NOW)) != VALID_TIMES_NOW)
            return -EPERM;
        return perm_access(cred, inode, PERM_WRITE);
    }
    return 0;
}

static void apply_mode(const struct cred *cred, struct inode_rec *inode, uint32_t mode)
{
    uint32_t bits = mode & 07777;

    /* Nobody makes a file run with a group he is not in. */
    if (!perm_is_root(cred) && !perm_in_group(cred, inode->gid))
        bits &= ~(uint32_t)S_ISGID;
    inode->mode = (inode->mode & S_IFMT) | bits;
}

int op_setattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__SetattrOp *op = req->setattr;
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    int r;

    r = tx_inode_get(tx, op->ino, &inode);
    if (r < 0)
        return r;
    r = setattr_allowed(&cred, &inode, op);
    if (r < 0)
        return r;

    if (op->valid & VALID_CHOWN) {
        inode.mode = perm_mode_without_setid(&cred, &inode, true);
        if (!S_ISDIR(inode.mode)) {
            r = xattr_drop_capability(tx, &inode);
            if (r < 0)
                return r;
        }
    }
    if (op->valid & DFS__SETATTR_VALID__SETATTR_UID)
        inode.uid = op->uid;
    if (op->valid & DFS__SETATTR_VALID__SETATTR_GID)
        inode.gid = op->gid;
    if (op->valid & DFS__SETATTR_VALID__SETATTR_MODE)
        apply_mode(&cred, &inode, op->mode);
    if (op->valid & DFS__SETATTR_VALID__SETATTR_ATIME)
        inode.atime_ns = op->atime_ns;
    if (op->valid & DFS__SETATTR_VALID__SETATTR_MTIME)
        inode.mtime_ns = op->mtime_ns;
    if (op->valid & DFS__SETATTR_VALID__SETATTR_ATIME_NOW)
        inode.atime_ns = tx->now_ns;
    if (op->valid & DFS__SETATTR_VALID__SETATTR_MTIME_NOW)
        inode.mtime_ns = tx->now_ns;
    if (op->valid != 0) {
        inode.ctime_ns = tx->now_ns;
        tx_inode_put(tx, &inode);
    }
    (void)reply_entry(tx, reply, &inode);
    return 0;
}
