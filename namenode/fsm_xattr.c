/*
 * Extended attributes. The name spaces follow Linux: user.* on files and directories by permission
 * bits, trusted.* for root alone, security.* readable by all; system.* (ACLs) is not offered. One is no
 * record of its own: dfs.copies (fsm_copies.h).
 */
#include <errno.h>
#include <linux/xattr.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm_ops.h"

static const ProtobufCBinaryData capability = {
    .len = sizeof("security.capability") - 1,
    .data = (uint8_t[]){"security.capability"},
};

static bool begins(ProtobufCBinaryData name, const char *prefix)
{
    size_t len = strlen(prefix);

    return name.len > len && memcmp(name.data, prefix, len) == 0;
}

/* The name space alone, without a name in it. */
static bool is_empty(ProtobufCBinaryData name, const char *prefix)
{
    return name.len == strlen(prefix) && memcmp(name.data, prefix, name.len) == 0;
}

/* mask: PERM_READ or PERM_WRITE. */
static int xattr_allowed(const struct cred *cred, const struct inode_rec *inode,
                         ProtobufCBinaryData name, unsigned mask)
{
    int missing = mask == PERM_READ ? -ENODATA : -EPERM;

    if (name.len == 0 || name.len > XATTR_NAME_BYTES_MAX)
        return -ERANGE;
    if (memchr(name.data, '\0', name.len))
        return -EINVAL;
    if (is_empty(name, "trusted.") || is_empty(name, "security.") || is_empty(name, "user."))
        return -EINVAL;
    if (begins(name, "trusted."))
        return perm_is_root(cred) ? 0 : missing;
    if (begins(name, "security."))
        return mask == PERM_READ || perm_is_root(cred) ? 0 : -EPERM;
    if (!begins(name, "user."))
        return -EOPNOTSUPP;
    if (!S_ISREG(inode->mode) && !S_ISDIR(inode->mode))
        return missing;
    if (S_ISDIR(inode->mode) && inode->mode & S_ISVTX && mask == PERM_WRITE &&
        !perm_is_owner(cred, inode))
        return -EPERM;
    return perm_access(cred, inode, mask);
}

static int changed(struct tx *tx, struct inode_rec *inode, Dfs__MetaReply *reply)
{
    inode->ctime_ns = tx->now_ns;
    tx_inode_put(tx, inode);
    (void)reply_entry(tx, reply, inode);
    return 0;
}

/* The length of the value, or -ENODATA. */
static int64_t value_len(struct tx *tx, uint64_t ino, ProtobufCBinaryData name)
{
    struct kv_value v;
    int64_t len;
    struct key k;
    int r;

    key_name(&k, 'X', ino, name.data, name.len);
    r = value_get(tx, &k, &v);
    if (r < 0)
        return r == -ENOENT ? -ENODATA : r;
    len = (int64_t)v.len;
    tx_value_done(tx, &v);
    return len;
}

static uint32_t cost(ProtobufCBinaryData name, int64_t len)
{
    return (uint32_t)(name.len + 1 + (size_t)len);
}

int op_setxattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__SetxattrOp *op = req->setxattr;
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    uint32_t bytes;
    int64_t old;
    struct key k;
    int r;

    if (op->flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
        return -EINVAL;
    r = tx_inode_get(tx, op->ino, &inode);
    if (r < 0)
        return r;
    if (op->value.len > XATTR_VALUE_BYTES_MAX)
        return -E2BIG;
    if (copies_is_xattr(tx, op->name)) {
        if (op->flags & XATTR_CREATE)
            return -EEXIST; /* All that may have it have it. */
        r = copies_set(&cred, &inode, &op->value);
        return r < 0 ? r : changed(tx, &inode, reply);
    }
    r = xattr_allowed(&cred, &inode, op->name, PERM_WRITE);
    if (r < 0)
        return r;
    old = value_len(tx, op->ino, op->name);
    if (old < 0 && old != -ENODATA)
        return (int)old;
    if (old >= 0 && op->flags & XATTR_CREATE)
        return -EEXIST;
    if (old < 0 && op->flags & XATTR_REPLACE)
        return -ENODATA;
    bytes = inode.xattr_bytes - (old >= 0 ? cost(op->name, old) : 0) +
            cost(op->name, (int64_t)op->value.len);
    if (bytes > XATTR_INODE_BYTES_MAX)
        return -ENOSPC;

    key_name(&k, 'X', op->ino, op->name.data, op->name.len);
    value_put(tx, &k, op->value.data, op->value.len);
    inode.xattr_bytes = bytes;
    return changed(tx, &inode, reply);
}

/* -ENODATA when it is not there. */
static int drop(struct tx *tx, struct inode_rec *inode, ProtobufCBinaryData name)
{
    int64_t old = value_len(tx, inode->ino, name);
    struct key k;

    if (old < 0)
        return (int)old;
    if (inode->xattr_bytes < cost(name, old))
        return tx_fail(tx, -EBADMSG);
    key_name(&k, 'X', inode->ino, name.data, name.len);
    tx_delete(tx, &k);
    inode->xattr_bytes -= cost(name, old);
    return 0;
}

int op_removexattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__RemovexattrOp *op = req->removexattr;
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    int r;

    r = tx_inode_get(tx, op->ino, &inode);
    if (r < 0)
        return r;
    if (copies_is_xattr(tx, op->name)) {
        r = copies_set(&cred, &inode, NULL);
        return r < 0 ? r : changed(tx, &inode, reply);
    }
    r = xattr_allowed(&cred, &inode, op->name, PERM_WRITE);
    if (r == 0)
        r = drop(tx, &inode, op->name);
    return r < 0 ? r : changed(tx, &inode, reply);
}

int xattr_drop_capability(struct tx *tx, struct inode_rec *inode)
{
    int r;

    if (inode->xattr_bytes == 0)
        return 0;
    r = drop(tx, inode, capability);
    return r == -ENODATA ? 0 : r;
}

static int drop_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
                    size_t value_bytes)
{
    struct key k = {.len = key_len};

    (void)value;
    (void)value_bytes;
    if (key_len > sizeof(k.b))
        return -EBADMSG;
    memcpy(k.b, key, key_len);
    tx_delete(ctx, &k);
    return 0;
}

int xattr_drop_all(struct tx *tx, struct inode_rec *inode)
{
    struct key from;

    if (inode->xattr_bytes == 0)
        return 0;
    key_id64(&from, 'X', inode->ino);
    inode->xattr_bytes = 0;
    return tx_scan(tx, &from, from.len, drop_one, tx);
}

static int reply_value(struct tx *tx, Dfs__MetaReply *reply, const uint8_t *data, size_t len)
{
    reply->value = ARENA_NEW(&tx->arena, Dfs__BytesReply);
    dfs__bytes_reply__init(reply->value);
    reply->value->value.data = arena_memdup(&tx->arena, data, len);
    reply->value->value.len = len;
    reply->result_case = DFS__META_REPLY__RESULT_VALUE;
    return 0;
}

int read_getxattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__GetxattrOp *op = req->getxattr;
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    const uint8_t *data;
    uint8_t copies;
    struct key k;
    size_t len;
    int r;

    r = tx_inode_get(tx, op->ino, &inode);
    if (r < 0)
        return r;
    if (copies_is_xattr(tx, op->name)) {
        r = copies_get(tx, &inode, &copies);
        return r < 0 ? r : reply_value(tx, reply, &copies, 1);
    }
    r = xattr_allowed(&cred, &inode, op->name, PERM_READ);
    if (r < 0)
        return r;
    if (inode.xattr_bytes == 0)
        return -ENODATA;
    key_name(&k, 'X', op->ino, op->name.data, op->name.len);
    r = value_get_copy(tx, &k, &data, &len);
    if (r < 0)
        return r == -ENOENT ? -ENODATA : r;
    return reply_value(tx, reply, data, len);
}

struct list {
    struct tx *tx;
    bool with_trusted;
    ProtobufCBinaryData *names;
    size_t count, cap;
};

static int list_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
                    size_t value_bytes)
{
    struct list *l = ctx;
    ProtobufCBinaryData name = {.len = key_len - 9};

    (void)value;
    (void)value_bytes;
    name.data = arena_memdup(&l->tx->arena, key + 9, name.len);
    if (begins(name, "trusted.") && !l->with_trusted)
        return 0;
    if (l->count == l->cap) {
        ProtobufCBinaryData *more;

        l->cap = MAX((size_t)16, l->cap * 2);
        more = arena_alloc(&l->tx->arena, l->cap * sizeof(*more));
        if (l->count > 0)
            memcpy(more, l->names, l->count * sizeof(*more));
        l->names = more;
    }
    l->names[l->count++] = name;
    return 0;
}

int read_listxattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    struct cred cred = cred_of(req);
    /* Of whom the kernel has checked we still know who it is. */
    struct list l = {.tx = tx, .with_trusted = cred.uid == 0};
    struct inode_rec inode;
    struct key from;
    int r;

    r = tx_inode_get(tx, req->listxattr->ino, &inode);
    if (r < 0)
        return r;
    if (inode.xattr_bytes > 0) {
        key_id64(&from, 'X', inode.ino);
        r = tx_scan(tx, &from, from.len, list_one, &l);
        if (r < 0)
            return r;
    }
    reply->names = ARENA_NEW(&tx->arena, Dfs__NamesReply);
    dfs__names_reply__init(reply->names);
    reply->names->names = l.names;
    reply->names->n_names = l.count;
    reply->result_case = DFS__META_REPLY__RESULT_NAMES;
    return 0;
}
