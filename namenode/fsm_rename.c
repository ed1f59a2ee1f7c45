/*
 * rename(2): the checks in the order in which Linux makes them (do_renameat2, vfs_rename), since
 * programs see which error comes first.
 */
#include <errno.h>
#include <sys/stat.h>

#include "namenode/fsm_ops.h"
#include "namenode/mutants.h"

enum { FLAG_NOREPLACE = 1, FLAG_EXCHANGE = 2 };

struct rename {
    const Dfs__RenameOp *op;
    struct cred cred;
    struct inode_rec from_dir, other_dir; /* other_dir: only when there are two */
    struct inode_rec *to_dir;
    struct inode_rec source, target;
    bool has_target, exchange;
};

/* 1 when dir lies in the tree below (or is) ancestor, 0 when not. */
static int is_below(struct tx *tx, const struct inode_rec *dir, uint64_t ancestor)
{
    struct inode_rec at = *dir;
    uint64_t seen =
        0; /* one that was passed, at 1, 2, 4, ... steps: who passes it again goes round */

    for (uint64_t steps = 1; at.ino != ancestor; steps++) {
        if (at.ino == INO_ROOT.v)
            return 0;
        if (at.ino == seen)
            return tx_fail(tx, -EBADMSG); /* A directory lies in itself. */
        if ((steps & (steps - 1)) == 0)
            seen = at.ino;
        if (tx_inode_get(tx, at.parent, &at) < 0)
            return tx_fail(tx, -EBADMSG); /* The tree has come apart. */
    }
    return 1;
}

static int entry_get(struct tx *tx, uint64_t parent, ProtobufCBinaryData name,
                     struct inode_rec *ret_inode)
{
    struct dentry_rec d;
    int r;

    r = tx_dentry_get(tx, parent, name, &d);
    if (r < 0)
        return r;
    r = tx_inode_get(tx, d.ino, ret_inode);
    return r < 0 ? tx_fail(tx, -EBADMSG) : 0;
}

static int rename_find(struct tx *tx, struct rename *rn)
{
    const Dfs__RenameOp *op = rn->op;
    int r;

    r = dir_get(tx, &rn->cred, op->parent, &rn->from_dir);
    if (r < 0)
        return r;
    rn->to_dir = &rn->from_dir;
    if (op->new_parent != op->parent) {
        rn->to_dir = &rn->other_dir;
        r = dir_get(tx, &rn->cred, op->new_parent, &rn->other_dir);
        if (r < 0)
            return r;
    }
    r = name_check(op->name);
    if (r < 0)
        return r;
    r = entry_get(tx, op->parent, op->name, &rn->source);
    if (r < 0)
        return r;
    r = name_check(op->new_name);
    if (r < 0)
        return r;
    r = entry_get(tx, op->new_parent, op->new_name, &rn->target);
    if (r < 0 && r != -ENOENT)
        return r;
    rn->has_target = r == 0;
    if (rn->has_target && op->flags & FLAG_NOREPLACE)
        return -EEXIST;
    if (!rn->has_target && rn->exchange)
        return -ENOENT;
    return 0;
}

/* A directory can not go into itself, nor take the place of one that it lies in. */
static int rename_check_loops(struct tx *tx, const struct rename *rn)
{
    int r = 0;

    if (rn->to_dir == &rn->from_dir || MUTANT(RENAME_WITHOUT_LOOP_CHECK))
        return 0;
    if (S_ISDIR(rn->source.mode))
        r = is_below(tx, rn->to_dir, rn->source.ino);
    if (r != 0)
        return r < 0 ? r : -EINVAL;
    if (rn->has_target && S_ISDIR(rn->target.mode))
        r = is_below(tx, &rn->from_dir, rn->target.ino);
    if (r != 0)
        return r < 0 ? r : rn->exchange ? -EINVAL : -ENOTEMPTY;
    return 0;
}

static int rename_check_allowed(const struct rename *rn)
{
    bool source_is_dir = S_ISDIR(rn->source.mode);
    bool target_is_dir = rn->has_target && S_ISDIR(rn->target.mode);
    bool moves = rn->to_dir != &rn->from_dir;
    int r;

    r = perm_remove(&rn->cred, &rn->from_dir, &rn->source);
    if (r < 0)
        return r;
    if (!rn->has_target)
        r = perm_access(&rn->cred, rn->to_dir, PERM_WRITE);
    else
        r = perm_remove(&rn->cred, rn->to_dir, &rn->target);
    if (r < 0)
        return r;
    if (rn->has_target && !rn->exchange && source_is_dir != target_is_dir)
        return source_is_dir ? -ENOTDIR : -EISDIR;
    /* Its ".." changes, which is a write to it. */
    if (moves && source_is_dir)
        r = perm_access(&rn->cred, &rn->source, PERM_WRITE);
    if (r == 0 && moves && rn->exchange && target_is_dir)
        r = perm_access(&rn->cred, &rn->target, PERM_WRITE);
    if (r < 0)
        return r;
    if (target_is_dir && !rn->exchange && rn->target.entry_count > 0)
        return -ENOTEMPTY;
    return 0;
}

static void place(struct tx *tx, uint64_t from, uint64_t dir, ProtobufCBinaryData name,
                  struct inode_rec *inode)
{
    struct dentry_rec d = {.ino = inode->ino, .type = inode->mode & S_IFMT};

    tx_dentry_put(tx, dir, name, &d);
    usage_moved(tx, from, dir, inode);
    if (S_ISDIR(inode->mode) && !MUTANT(RENAME_KEEPS_PARENT))
        inode->parent = dir;
    inode->ctime_ns = tx->now_ns;
    tx_inode_put(tx, inode);
}

static void rename_replace(struct tx *tx, struct rename *rn)
{
    if (rn->has_target) {
        if (S_ISDIR(rn->target.mode))
            rn->to_dir->nlink--;
        if (!MUTANT(RENAME_LEAKS_TARGET))
            inode_unlinked(tx, rn->to_dir->ino, &rn->target);
        rn->to_dir->entry_count--;
    }
    tx_dentry_delete(tx, rn->from_dir.ino, rn->op->name);
    place(tx, rn->from_dir.ino, rn->to_dir->ino, rn->op->new_name, &rn->source);
    rn->from_dir.entry_count--;
    rn->to_dir->entry_count++;
    if (S_ISDIR(rn->source.mode)) {
        rn->from_dir.nlink--;
        rn->to_dir->nlink++;
    }
}

static void rename_exchange(struct tx *tx, struct rename *rn)
{
    place(tx, rn->from_dir.ino, rn->to_dir->ino, rn->op->new_name, &rn->source);
    place(tx, rn->to_dir->ino, rn->from_dir.ino, rn->op->name, &rn->target);
    if (S_ISDIR(rn->source.mode)) {
        rn->from_dir.nlink--;
        rn->to_dir->nlink++;
    }
    if (S_ISDIR(rn->target.mode)) {
        rn->to_dir->nlink--;
        rn->from_dir.nlink++;
    }
}

int op_rename(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    struct rename rn = {
        .op = req->rename,
        .cred = cred_of(req),
        .exchange = req->rename->flags & FLAG_EXCHANGE,
    };
    Dfs__EntryReply *e;
    int r;

    if (rn.op->flags & ~(uint32_t)(FLAG_NOREPLACE | FLAG_EXCHANGE) ||
        rn.op->flags == (FLAG_NOREPLACE | FLAG_EXCHANGE))
        return -EINVAL;
    r = rename_find(tx, &rn);
    if (r < 0)
        return r;
    r = rename_check_loops(tx, &rn);
    if (r < 0)
        return r;
    if (rn.has_target && rn.source.ino == rn.target.ino) {
        (void)reply_entry(tx, reply, &rn.source); /* Two names of one file: both stay. */
        return 0;
    }
    r = rename_check_allowed(&rn);
    if (r == 0)
        r = quota_check_rename(tx, rn.from_dir.ino, rn.to_dir->ino, &rn.source,
                               rn.has_target ? &rn.target : NULL, rn.exchange);
    if (r < 0)
        return r;

    if (rn.exchange)
        rename_exchange(tx, &rn);
    else
        rename_replace(tx, &rn);
    dir_changed(tx, &rn.from_dir);
    if (rn.to_dir != &rn.from_dir)
        dir_changed(tx, rn.to_dir);
    e = reply_entry(tx, reply, &rn.source);
    if (rn.has_target && !rn.exchange)
        e->removed = attr_of(&tx->arena, &rn.target);
    return 0;
}
