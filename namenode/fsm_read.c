/* What is answered from the state as it is, without the log. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm_impl.h"

enum { READDIR_BYTES_MAX = 1 << 20 }; /* of one reply, estimated */

static int read_lookup(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__LookupOp *op = req->lookup;
    struct cred cred = cred_of(req);
    struct inode_rec dir, inode;
    struct dentry_rec d;
    int r;

    r = dir_get(tx, &cred, op->parent, &dir);
    if (r == 0)
        r = name_check(op->name);
    if (r == 0)
        r = tx_dentry_get(tx, op->parent, op->name, &d);
    if (r < 0)
        return r;
    r = tx_inode_get(tx, d.ino, &inode);
    if (r < 0)
        return tx_fail(tx, -EBADMSG);
    (void)reply_entry(tx, reply, &inode);
    return 0;
}

static int read_getattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    struct inode_rec inode;
    int r;

    r = tx_inode_get(tx, req->getattr->ino, &inode);
    if (r < 0)
        return r;
    (void)reply_entry(tx, reply, &inode);
    return 0;
}

static int read_readlink(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    struct inode_rec inode;
    const uint8_t *data;
    struct key k;
    size_t len;
    int r;

    r = tx_inode_get(tx, req->readlink->ino, &inode);
    if (r < 0)
        return r;
    if (!S_ISLNK(inode.mode))
        return -EINVAL;
    key_id64(&k, 'L', inode.ino);
    r = value_get_copy(tx, &k, &data, &len);
    if (r < 0)
        return tx_fail(tx, -EBADMSG);
    reply->value = ARENA_NEW(&tx->arena, Dfs__BytesReply);
    dfs__bytes_reply__init(reply->value);
    reply->value->value.data = arena_memdup(&tx->arena, data, len);
    reply->value->value.len = len;
    reply->result_case = DFS__META_REPLY__RESULT_VALUE;
    return 0;
}

/* Entries greater than op->after, until the reply is full. */
static int fill_dir(struct tx *tx, const Dfs__ReaddirOp *op, size_t limit, Dfs__DirReply *dir)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    size_t bytes = 0;
    struct key from;
    int r;

    key_name(&from, 'D', op->ino, op->after.data, op->after.len);
    r = kv_iter_new(tx->kv, from.b, 9, &it);
    if (r == 0)
        r = kv_iter_seek(it, from.b, from.len);
    /* The entry `after` itself was given last time. */
    if (r == 0 && op->after.len > 0 && it->valid && it->key_len == from.len &&
        memcmp(it->key, from.b, from.len) == 0)
        r = kv_iter_next(it);
    for (; r == 0; r = kv_iter_next(it)) {
        struct inode_rec inode;
        struct dentry_rec d;
        Dfs__Dirent *e;

        if (!it->valid) {
            dir->end = true;
            return 0;
        }
        if (dir->n_entries >= limit || bytes >= READDIR_BYTES_MAX)
            return 0;
        if (dentry_rec_decode(it->value, it->value_len, &d) < 0)
            return tx_fail(tx, -EBADMSG);
        e = ARENA_NEW(&tx->arena, Dfs__Dirent);
        dfs__dirent__init(e);
        e->name.len = it->key_len - 9;
        e->name.data = arena_memdup(&tx->arena, it->key + 9, e->name.len);
        e->ino = d.ino;
        e->type = d.type;
        if (op->with_attrs) {
            if (tx_inode_get(tx, d.ino, &inode) < 0)
                return tx_fail(tx, -EBADMSG);
            e->attr = attr_of(&tx->arena, &inode);
        }
        dir->entries[dir->n_entries++] = e;
        bytes += e->name.len + (op->with_attrs ? 128 : 16);
    }
    return tx_fail(tx, r);
}

static int read_readdir(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__ReaddirOp *op = req->readdir;
    size_t limit =
        op->limit == 0 ? READDIR_ENTRIES_MAX : MIN((size_t)op->limit, (size_t)READDIR_ENTRIES_MAX);
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    Dfs__DirReply *dir;
    int r;

    r = tx_inode_get(tx, op->ino, &inode);
    if (r < 0)
        return r;
    if (!S_ISDIR(inode.mode))
        return -ENOTDIR;
    r = perm_access(&cred, &inode, PERM_READ);
    if (r < 0)
        return r;
    if (op->after.len > NAME_BYTES_MAX)
        return -EINVAL;
    dir = ARENA_NEW(&tx->arena, Dfs__DirReply);
    dfs__dir_reply__init(dir);
    dir->dir_version = inode.dir_version;
    dir->parent = inode.parent;
    dir->entries = arena_alloc(&tx->arena, limit * sizeof(*dir->entries));
    reply->result_case = DFS__META_REPLY__RESULT_DIR;
    reply->dir = dir;
    /* Not by a scan: that goes over a mark for each entry that was removed of late. */
    if (inode.entry_count == 0) {
        dir->end = true;
        return 0;
    }
    return fill_dir(tx, op, limit, dir);
}

static int read_open(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__OpenOp *op = req->open;
    unsigned accmode = op->flags & O_ACCMODE;
    unsigned mask = accmode == O_RDONLY ? PERM_READ : accmode == O_WRONLY ? PERM_WRITE : 0;
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    int r;

    if (accmode == O_RDWR)
        mask = PERM_READ | PERM_WRITE;
    if (op->flags & O_TRUNC)
        mask |= PERM_WRITE;
    r = tx_inode_get(tx, op->ino, &inode);
    if (r < 0)
        return r;
    if (S_ISLNK(inode.mode))
        return -ELOOP;
    if (S_ISDIR(inode.mode) && mask & PERM_WRITE)
        return -EISDIR;
    r = perm_access(&cred, &inode, mask);
    if (r < 0)
        return r;
    return reply_content(tx, reply_entry(tx, reply, &inode), &inode, op->known_data_version);
}

static int read_layout(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__LayoutOp *op = req->layout;
    struct inode_rec inode;
    int r;

    r = file_get(tx, op->ino, &inode);
    if (r < 0)
        return r;
    if (op->count == 0 || op->count > FSM_LAYOUT_MAX)
        return -EINVAL;
    reply->layout = ARENA_NEW(&tx->arena, Dfs__LayoutReply);
    dfs__layout_reply__init(reply->layout);
    reply->layout->size = inode.size;
    reply->layout->data_version = inode.data_version;
    reply->result_case = DFS__META_REPLY__RESULT_LAYOUT;
    if (inode.chunk_count == 0)
        return 0;
    return chunk_refs(tx, inode.ino, op->first_index, op->count, &reply->layout->chunks,
                      &reply->layout->n_chunks);
}

static int read_statfs(struct fsm *fsm, const Dfs__MetaRequest *req, const struct fsm_space *space,
                       Dfs__MetaReply *reply)
{
    Dfs__StatfsReply *s = ARENA_NEW(&fsm->read.arena, Dfs__StatfsReply);

    dfs__statfs_reply__init(s);
    s->inodes_used = fsm->state.inode_count;
    if (space) {
        s->bytes_total = space->bytes_total;
        s->bytes_free = space->bytes_free;
        s->inodes_max = space->inodes_max;
    }
    reply->result_case = DFS__META_REPLY__RESULT_STATFS;
    reply->statfs = s;
    return quota_statfs(&fsm->read, req->statfs->ino, s);
}

static int dispatch(struct fsm *fsm, const Dfs__MetaRequest *req, const struct fsm_space *space,
                    Dfs__MetaReply *reply)
{
    struct tx *tx = &fsm->read;

    if (req->op_case == DFS__META_REQUEST__OP_LOOKUP)
        return read_lookup(tx, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_GETATTR)
        return read_getattr(tx, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_READDIR)
        return read_readdir(tx, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_OPEN)
        return read_open(tx, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_LAYOUT)
        return read_layout(tx, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_READLINK)
        return read_readlink(tx, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_GETXATTR)
        return read_getxattr(tx, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_LISTXATTR)
        return read_listxattr(tx, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_STATFS)
        return read_statfs(fsm, req, space, reply);
    if (req->op_case == DFS__META_REQUEST__OP_USAGE)
        return read_usage(tx, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_CLOSE)
        return 0;
    return -EPROTO;
}

int fsm_read(struct fsm *fsm, const Dfs__MetaRequest *req, const struct fsm_space *space,
             Dfs__MetaReply **ret_reply)
{
    Dfs__MetaReply *reply;
    int status;

    tx_reset(&fsm->read);
    fsm->read.state = fsm->state;
    reply = ARENA_NEW(&fsm->read.arena, Dfs__MetaReply);
    dfs__meta_reply__init(reply);
    status = dispatch(fsm, req, space, reply);
    if (fsm->read.fatal < 0)
        return fsm->read.fatal;
    if (status < 0)
        dfs__meta_reply__init(reply); /* Half a result is none. */
    reply->status = status;
    *ret_reply = reply;
    return 0;
}
