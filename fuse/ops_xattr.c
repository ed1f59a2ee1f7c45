/* Extended attributes. Sizes as getxattr(2): 0 asks how long, too small a buffer is ERANGE. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "fuse/mount.h"

static void reply_bytes(void *ctx, int status, const void *bytes, size_t len)
{
    struct mount_op *op = ctx;

    if (status == 0 && op->size != 0 && len > op->size)
        status = -ERANGE;
    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    if (op->size == 0)
        fuse_reply_xattr(op->req, len);
    else
        fuse_reply_buf(op->req, bytes, len);
    mount_op_free(op);
}

static void reply_status(void *ctx, int status)
{
    mount_op_err(ctx, status);
}

static void do_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct mount *m = mount_of(req);
    struct mount_op *op;

    /* Asked before the first write of each file; right after a getattr, which has just told us. */
    if (strcmp(name, "security.capability") == 0 && !ll_may_have_xattr(m->ll, mount_ino(m, ino))) {
        fuse_reply_err(req, ENODATA);
        return;
    }
    op = mount_op_new(m, req);
    op->size = size;
    ll_getxattr(m->ll, &op->call, mount_ino(m, ino), name, reply_bytes, op);
}

/* The names of trusted.* are root's alone; the kernel sees to their values, not to lists. */
static size_t without_trusted(char *names, size_t len)
{
    size_t kept = 0, n;

    for (size_t at = 0; at < len; at += n) {
        n = strnlen(names + at, len - at - 1) + 1;
        if (strncmp(names + at, "trusted.", strlen("trusted.")) == 0)
            continue;
        memmove(names + kept, names + at, n);
        kept += n;
    }
    return kept;
}

static void reply_names(void *ctx, int status, const void *bytes, size_t len)
{
    struct mount_op *op = ctx;
    char *names = NULL;

    if (status == 0 && len > 0 && fuse_req_ctx(op->req)->uid != 0) {
        names = mem_memdup(bytes, len);
        len = without_trusted(names, len);
        bytes = names;
    }
    reply_bytes(op, status, bytes, len);
    free(names);
}

static void do_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    op->size = size;
    ll_listxattr(m->ll, &op->call, mount_ino(m, ino), reply_names, op);
}

/* ACLs are not evaluated: to store one that nobody obeys would be a lie. */
static bool is_acl(const char *name)
{
    return strncmp(name, "system.posix_acl_", strlen("system.posix_acl_")) == 0;
}

static void do_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags)
{
    struct mount *m = mount_of(req);
    struct mount_op *op;
    struct ll_cred cred = mount_cred(req);

    if (is_acl(name)) {
        fuse_reply_err(req, EOPNOTSUPP);
        return;
    }
    op = mount_op_new(m, req);
    ll_setxattr(m->ll, &op->call, &cred, mount_ino(m, ino), name, value, size, (unsigned)flags,
                reply_status, op);
}

static void do_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);

    ll_removexattr(m->ll, &op->call, &cred, mount_ino(m, ino), name, reply_status, op);
}

void ops_xattr_fill(struct fuse_lowlevel_ops *ops)
{
    ops->getxattr = do_getxattr;
    ops->listxattr = do_listxattr;
    ops->setxattr = do_setxattr;
    ops->removexattr = do_removexattr;
}
