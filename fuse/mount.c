/* See mount.h: requests, credentials and attributes between the kernel's terms and ours. */
#include "fuse/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "common/mem.h"
#include "fuse/interrupt.h"

struct mount *mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

struct ino mount_ino(const struct mount *m, fuse_ino_t nodeid)
{
    return nodeid == FUSE_ROOT_ID ? m->root : (struct ino){nodeid};
}

struct ll_cred mount_cred(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    return (struct ll_cred){.uid = ctx->uid, .gid = ctx->gid, .kernel_checked = true};
}

static void on_interrupt(fuse_req_t req, void *data)
{
    (void)req;
    interrupt_begin(data);
}

struct mount_op *mount_op_new(struct mount *m, fuse_req_t req)
{
    struct mount_op *op = MEM_NEW(struct mount_op);

    op->m = m;
    op->req = req;
    fuse_req_interrupt_func(req, on_interrupt, op);
    return op;
}

void mount_op_free(struct mount_op *op)
{
    interrupt_forget(op);
    free(op);
}

void mount_op_err(struct mount_op *op, int status)
{
    fuse_reply_err(op->req, -status);
    mount_op_free(op);
}

static struct timespec timespec_of(int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    if (ts.tv_nsec < 0) {
        ts.tv_sec--;
        ts.tv_nsec += 1000000000;
    }
    return ts;
}

void mount_stat(const struct ll_attr *attr, struct stat *ret_st)
{
    *ret_st = (struct stat){
        .st_ino = attr->ino.v,
        .st_mode = attr->mode,
        .st_nlink = attr->nlink,
        .st_uid = attr->uid,
        .st_gid = attr->gid,
        .st_rdev = attr->rdev,
        .st_size = (off_t)attr->size,
        .st_blksize = 1 << 20,
        .st_blocks = (blkcnt_t)attr->blocks,
        .st_atim = timespec_of(attr->atime_ns),
        .st_mtim = timespec_of(attr->mtime_ns),
        .st_ctim = timespec_of(attr->ctime_ns),
    };
}

void mount_entry(const struct ll_attr *attr, struct fuse_entry_param *ret_entry)
{
    *ret_entry = (struct fuse_entry_param){.ino = attr->ino.v};
    mount_stat(attr, &ret_entry->attr);
}
