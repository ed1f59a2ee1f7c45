/* Open files: data in and out, and the ioctls of common/mount_ioctl.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/mount_ioctl.h"
#include "fuse/mount.h"
#include "fuse/transport.h"

enum { COUNTERS_MAX = 64 };

/* One open(2). */
struct handle {
    struct ll_file *file;
    bool suid; /* the file had setuid or setgid when it was opened: a write may have to clear it */
    uint32_t mode;
};

static struct handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh;
}

static void reply_status(void *ctx, int status)
{
    mount_op_err(ctx, status);
}

/* ---- open and create ---- */

static struct handle *handle_new(struct mount_op *op, struct ll_file *file,
                                 const struct ll_attr *attr, bool keep_cache)
{
    struct handle *h = MEM_NEW(struct handle);

    h->file = file;
    h->mode = attr->mode;
    h->suid =
        (attr->mode & S_ISUID) != 0 || (attr->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
    op->fi.fh = (uintptr_t)h;
    op->fi.keep_cache = keep_cache;
    op->fi.direct_io = (op->fi.flags & O_DIRECT) != 0;
    return h;
}

/* The opener was interrupted after all: the kernel will never release this handle. */
static void handle_drop(struct handle *h)
{
    ll_release(h->file);
    free(h);
}

static void opened(void *ctx, int status, struct ll_file *file, const struct ll_attr *attr,
                   bool keep_cache)
{
    struct mount_op *op = ctx;
    struct handle *h;

    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    h = handle_new(op, file, attr, keep_cache);
    if (fuse_reply_open(op->req, &op->fi) == -ENOENT)
        handle_drop(h);
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
    struct handle *h;

    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    h = handle_new(op, file, attr, keep_cache);
    mount_entry(attr, &e);
    if (fuse_reply_create(op->req, &e, &op->fi) == -ENOENT)
        handle_drop(h);
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
    struct handle *h = handle_of(fi);

    (void)ino;
    handle_drop(h);
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
    ll_read(handle_of(fi)->file, &op->call, (uint64_t)offset, size, reply_data, op);
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

static void ignore_attr(void *ctx, int status, const struct ll_attr *attr)
{
    (void)status;
    (void)attr;
    free(ctx);
}

/* HANDLE_KILLPRIV_V2: the kernel leaves it to us that a write takes setuid and setgid away. */
static void kill_suid(struct mount *m, struct handle *h)
{
    struct ll_call *call = MEM_NEW(struct ll_call);
    struct ll_cred root = {.kernel_checked = true};
    struct ll_attr attr = {.mode = h->mode & ~(uint32_t)S_ISUID};

    if (h->mode & S_IXGRP)
        attr.mode &= ~(uint32_t)S_ISGID;
    h->suid = false;
    h->mode = attr.mode;
    ll_setattr(m->ll, call, &root, ll_file_ino(h->file), &attr, LL_SET_MODE, ignore_attr, call);
}

static void do_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *bufv, off_t offset,
                         struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct handle *h = handle_of(fi);

    (void)ino;
    m->writes++;
    op->size = bufv->buf[0].size;
    if (h->suid && transport_write_kills_suid(m->transport))
        kill_suid(m, h);
    ll_write(h->file, &op->call, (uint64_t)offset, bufv->buf[0].mem, op->size,
             transport_write_slab(m->transport), reply_written, op);
}

static void do_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    (void)ino;
    ll_flush(handle_of(fi)->file, &op->call, reply_status, op);
}

static void do_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    (void)ino;
    ll_fsync(handle_of(fi)->file, &op->call, datasync != 0, reply_status, op);
}

static void do_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t len,
                         struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    (void)ino;
    ll_fallocate(handle_of(fi)->file, &op->call, mode, (uint64_t)offset, (uint64_t)len,
                 reply_status, op);
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
    struct mount *m = op->m;
    struct mount_counters out = {.text = ""};
    struct ll_counter counters[COUNTERS_MAX];
    unsigned n = ll_counters(m->ll, counters, COUNTERS_MAX);
    size_t used;

    used = (size_t)snprintf(out.text, sizeof(out.text),
                            "fuse_requests %" PRIu64 "\nfuse_reads %" PRIu64
                            "\nfuse_writes %" PRIu64 "\nfuse_interrupts %" PRIu64 "\n",
                            m->requests, m->reads, m->writes, m->interrupts);
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
    ops->flush = do_flush;
    ops->fsync = do_fsync;
    ops->fallocate = do_fallocate;
    ops->ioctl = do_ioctl;
}
