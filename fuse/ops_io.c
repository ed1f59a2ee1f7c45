/* Open files: data in and out, and the ioctls of common/mount_ioctl.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mount_ioctl.h"
#include "fuse/counters.h"
#include "fuse/mount.h"
#include "fuse/transport.h"

static struct ll_file *file_of(const struct fuse_file_info *fi)
{
    return (struct ll_file *)(uintptr_t)fi->fh;
}

static void reply_status(void *ctx, int status)
{
    mount_op_err(ctx, status);
}

/* ---- open and create ---- */

static void fill_handle(struct mount_op *op, struct ll_file *file, bool keep_cache)
{
    op->fi.fh = (uintptr_t)file;
    op->fi.keep_cache = keep_cache;
    op->fi.direct_io = (op->fi.flags & O_DIRECT) != 0;
}

static void opened(void *ctx, int status, struct ll_file *file, const struct ll_attr *attr,
                   bool keep_cache)
{
    struct mount_op *op = ctx;

    (void)attr;
    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    fill_handle(op, file, keep_cache);
    if (fuse_reply_open(op->req, &op->fi) == -ENOENT)
        ll_release(file); /* The opener has gone: the kernel will never release it. */
    mount_op_free(op);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);

    op->fi = *fi;
    ll_open(m->ll, &op->call, &cred, mount_ino(m, ino), fi->flags, opened, op);
}

static void created(void *ctx, int status, struct ll_file *file, const struct ll_attr *attr,
                    bool keep_cache)
{
    struct mount_op *op = ctx;
    struct fuse_entry_param e;

    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    fill_handle(op, file, keep_cache);
    mount_entry(attr, &e);
    if (fuse_reply_create(op->req, &e, &op->fi) == -ENOENT)
        ll_release(file);
    mount_op_free(op);
}

static void do_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);

    op->fi = *fi;
    ll_create(m->ll, &op->call, &cred, mount_ino(m, parent), name, mode, fi->flags, created, op);
}

static void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    ll_release(file_of(fi));
    fuse_reply_err(req, 0);
}

/* ---- data ---- */

static void reply_data(void *ctx, int status, const struct iovec *iov, unsigned iov_count,
                       size_t len)
{
    struct mount_op *op = ctx;

    (void)len;
    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    fuse_reply_iov(op->req, iov, (int)iov_count);
    mount_op_free(op);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    (void)ino;
    m->reads++;
    ll_read(file_of(fi), &op->call, (uint64_t)offset, size, reply_data, op);
}

static void reply_written(void *ctx, int status)
{
    struct mount_op *op = ctx;

    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    fuse_reply_write(op->req, op->size);
    mount_op_free(op);
}

/*
 * HANDLE_KILLPRIV_V2: the kernel leaves it to us that a write or an allocation takes setuid and
 * setgid away. That happens first, so that whoever sees the new bytes sees a file without them.
 */
struct unprivileged {
    struct mount_op *op;
    struct ll_file *file;
    void *bytes; /* NULL: it is an allocation */
    bool append;
    uint64_t offset, len;
    int mode;
};

static void setid_killed(void *ctx, int status)
{
    struct unprivileged *u = ctx;
    struct mount_op *op = u->op;

    if (status < 0)
        mount_op_err(op, status);
    else if (u->bytes != NULL && u->append)
        ll_append(u->file, &op->call, u->bytes, u->len, NULL, reply_written, op);
    else if (u->bytes != NULL)
        ll_write(u->file, &op->call, u->offset, u->bytes, u->len, NULL, reply_written, op);
    else
        ll_fallocate(u->file, &op->call, u->mode, u->offset, u->len, reply_status, op);
    free(u->bytes);
    free(u);
}

static struct unprivileged *unprivileged_new(struct mount_op *op, struct ll_file *file,
                                             uint64_t offset, uint64_t len)
{
    struct unprivileged *u = MEM_NEW(struct unprivileged);

    u->op = op;
    u->file = file;
    u->offset = offset;
    u->len = len;
    return u;
}

static void kill_setid(struct unprivileged *u)
{
    struct ll_cred cred = mount_cred(u->op->req);

    ll_kill_setid(u->file, &u->op->call, &cred, setid_killed, u);
}

static void do_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *bufv, off_t offset,
                         struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_file *file = file_of(fi);
    /* As the descriptor has it now (F_SETFL). Pages of a mapping come through any descriptor. */
    bool append = (fi->flags & O_APPEND) != 0 && !fi->writepage;

    (void)ino;
    m->writes++;
    op->size = bufv->buf[0].size;
    if (ll_has_setid(file) && transport_write_kills_suid(m->transport)) {
        struct unprivileged *u = unprivileged_new(op, file, (uint64_t)offset, op->size);

        u->bytes = mem_memdup(bufv->buf[0].mem, op->size);
        u->append = append;
        kill_setid(u);
        return;
    }
    if (append)
        ll_append(file, &op->call, bufv->buf[0].mem, op->size, transport_write_slab(m->transport),
                  reply_written, op);
    else
        ll_write(file, &op->call, (uint64_t)offset, bufv->buf[0].mem, op->size,
                 transport_write_slab(m->transport), reply_written, op);
}

static void do_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    (void)ino;
    ll_fsync(file_of(fi), &op->call, datasync != 0, reply_status, op);
}

static void do_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t len,
                         struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    (void)ino;
    if (ll_has_setid(file_of(fi)) && fuse_req_ctx(req)->uid != 0) {
        struct unprivileged *u = unprivileged_new(op, file_of(fi), (uint64_t)offset, (uint64_t)len);

        u->mode = mode;
        kill_setid(u);
        return;
    }
    ll_fallocate(file_of(fi), &op->call, mode, (uint64_t)offset, (uint64_t)len, reply_status, op);
}

/* ---- ioctl ---- */

static void reply_ioctl(void *ctx, int status)
{
    struct mount_op *op = ctx;

    if (status < 0)
        fuse_reply_err(op->req, -status);
    else
        fuse_reply_ioctl(op->req, 0, NULL, 0);
    mount_op_free(op);
}

static void reply_counters(struct mount_op *op)
{
    struct mount_counters out = {.text = ""};
    struct ll_counter counters[COUNTERS_MAX];
    unsigned n = counters_get(op->m, counters);
    size_t used = 0;

    for (unsigned i = 0; i < n && used < sizeof(out.text); i++)
        used += (size_t)snprintf(out.text + used, sizeof(out.text) - used, "%s %" PRIu64 "\n",
                                 counters[i].name, counters[i].value);
    fuse_reply_ioctl(op->req, 0, &out, sizeof(out));
    mount_op_free(op);
}

static void do_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
                     struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
                     size_t out_size)
{
    struct mount *m = mount_of(req);
    struct mount_op *op;

    (void)ino;
    (void)arg;
    (void)fi;
    (void)flags;
    (void)in;
    (void)in_size;
    if (cmd == MOUNT_IOC_SYNC) {
        op = mount_op_new(m, req);
        ll_sync_all(m->ll, &op->call, reply_ioctl, op);
    } else if (cmd == MOUNT_IOC_COUNTERS && out_size >= sizeof(struct mount_counters)) {
        reply_counters(mount_op_new(m, req));
    } else {
        fuse_reply_err(req, ENOTTY);
    }
}

void ops_io_fill(struct fuse_lowlevel_ops *ops)
{
    ops->open = do_open;
    ops->create = do_create;
    ops->release = do_release;
    ops->read = do_read;
    ops->write_buf = do_write_buf;
    ops->fsync = do_fsync;
    ops->fallocate = do_fallocate;
    ops->ioctl = do_ioctl;
}
