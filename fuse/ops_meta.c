/* Names and attributes: each request is one call of the client. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/compiler.h"
#include "common/mem.h"
#include "fuse/mount.h"
#include "fuse/removed.h"

static void reply_entry(void *ctx, int status, const struct ll_attr *attr)
{
    struct mount_op *op = ctx;
    struct fuse_entry_param e;

    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    mount_entry(attr, &e);
    fuse_reply_entry(op->req, &e);
    mount_op_free(op);
}

static void reply_attr(void *ctx, int status, const struct ll_attr *attr)
{
    struct mount_op *op = ctx;
    struct stat st;

    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    mount_stat(attr, &st);
    fuse_reply_attr(op->req, &st, 0);
    mount_op_free(op);
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);

    /* Asked with "." and ".." for an inode whose name the kernel forgot (EXPORT_SUPPORT). */
    if (strcmp(name, ".") == 0)
        ll_getattr(m->ll, &op->call, mount_ino(m, parent), reply_entry, op);
    else
        ll_lookup(m->ll, &op->call, &cred, mount_ino(m, parent), name, reply_entry, op);
}

static void do_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
    (void)nlookup; /* A nodeid is an inode number: nothing else is kept for it. */
    removed_forget(mount_of(req), (struct ino){ino});
    fuse_reply_none(req);
}

static void do_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        removed_forget(mount_of(req), (struct ino){forgets[i].ino});
    fuse_reply_none(req);
}

static void reply_getattr(void *ctx, int status, const struct ll_attr *attr)
{
    struct mount_op *op = ctx;
    const struct ll_attr *removed = status == -ESTALE ? removed_find(op->m, op->ino) : NULL;

    if (removed != NULL)
        reply_attr(op, 0, removed);
    else
        reply_attr(op, status, attr);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    (void)fi;
    op->ino = mount_ino(m, ino);
    ll_getattr(m->ll, &op->call, op->ino, reply_getattr, op);
}

/* A time beyond what 64 bits of nanoseconds hold (1677 to 2262) becomes the nearest that they do. */
static int64_t ns_of(const struct timespec *ts)
{
    int64_t ns;

    if (__builtin_mul_overflow((int64_t)ts->tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)ts->tv_nsec, &ns))
        return ts->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

static void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    static const struct {
        int fuse;
        unsigned ours;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, LL_SET_MODE},   {FUSE_SET_ATTR_UID, LL_SET_UID},
        {FUSE_SET_ATTR_GID, LL_SET_GID},     {FUSE_SET_ATTR_SIZE, LL_SET_SIZE},
        {FUSE_SET_ATTR_ATIME, LL_SET_ATIME}, {FUSE_SET_ATTR_MTIME, LL_SET_MTIME},
    };
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);
    struct ll_attr attr = {
        .mode = st->st_mode,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .size = (uint64_t)st->st_size,
        .atime_ns = ns_of(&st->st_atim),
        .mtime_ns = ns_of(&st->st_mtim),
    };
    unsigned set = 0;

    (void)fi;
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        if (to_set & bits[i].fuse)
            set |= bits[i].ours;
    if (to_set & FUSE_SET_ATTR_ATIME_NOW)
        set = (set & ~(unsigned)LL_SET_ATIME) | LL_SET_ATIME_NOW;
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        set = (set & ~(unsigned)LL_SET_MTIME) | LL_SET_MTIME_NOW;
    if (set == 0)
        ll_getattr(m->ll, &op->call, mount_ino(m, ino), reply_attr, op);
    else
        ll_setattr(m->ll, &op->call, &cred, mount_ino(m, ino), &attr, set, reply_attr, op);
}

static void make_node(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev,
                      const char *target)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);

    ll_mknod(m->ll, &op->call, &cred, mount_ino(m, parent), name, mode, rdev, target, reply_entry,
             op);
}

static void do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    make_node(req, parent, name, mode, rdev, NULL);
}

static void do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    make_node(req, parent, name, (mode & 07777) | S_IFDIR, 0, NULL);
}

static void do_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    make_node(req, parent, name, S_IFLNK | 0777, 0, target);
}

static void do_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);

    ll_link(m->ll, &op->call, &cred, mount_ino(m, ino), mount_ino(m, parent), name, reply_entry,
            op);
}

/* Open regular files are the namenode's to keep; anything else that lost its last name is ours. */
static void reply_removed(void *ctx, int status, const struct ll_attr *attr)
{
    struct mount_op *op = ctx;

    if (status == 0 && attr != NULL && attr->nlink == 0 && !S_ISREG(attr->mode))
        removed_add(op->m, attr);
    mount_op_err(op, status);
}

static void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);

    ll_unlink(m->ll, &op->call, &cred, mount_ino(m, parent), name, reply_removed, op);
}

static void do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);

    ll_rmdir(m->ll, &op->call, &cred, mount_ino(m, parent), name, reply_removed, op);
}

static void do_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);
    struct ll_cred cred = mount_cred(req);

    ll_rename(m->ll, &op->call, &cred, mount_ino(m, parent), name, mount_ino(m, new_parent),
              new_name, flags, reply_removed, op);
}

static void reply_link(void *ctx, int status, const void *bytes, size_t len)
{
    struct mount_op *op = ctx;
    char *text;

    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    text = mem_memdup(bytes, len);
    fuse_reply_readlink(op->req, text);
    free(text);
    mount_op_free(op);
}

static void do_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    ll_readlink(m->ll, &op->call, mount_ino(m, ino), reply_link, op);
}

static void reply_statfs(void *ctx, int status, const struct ll_statfs *s)
{
    struct mount_op *op = ctx;
    struct statvfs st = {.f_bsize = 1 << 20, .f_frsize = 4096, .f_namemax = 255};

    if (status < 0) {
        mount_op_err(op, status);
        return;
    }
    st.f_blocks = s->bytes_total / st.f_frsize;
    st.f_bfree = s->bytes_free / st.f_frsize;
    st.f_bavail = st.f_bfree;
    st.f_files = s->inodes_max;
    st.f_ffree = s->inodes_max - MIN(s->inodes_used, s->inodes_max);
    st.f_favail = st.f_ffree;
    fuse_reply_statfs(op->req, &st);
    mount_op_free(op);
}

static void do_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct mount *m = mount_of(req);
    struct mount_op *op = mount_op_new(m, req);

    ll_statfs(m->ll, &op->call, mount_ino(m, ino), reply_statfs, op);
}

void ops_meta_fill(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = do_lookup;
    ops->forget = do_forget;
    ops->forget_multi = do_forget_multi;
    ops->getattr = do_getattr;
    ops->setattr = do_setattr;
    ops->mknod = do_mknod;
    ops->mkdir = do_mkdir;
    ops->symlink = do_symlink;
    ops->link = do_link;
    ops->unlink = do_unlink;
    ops->rmdir = do_rmdir;
    ops->rename = do_rename;
    ops->readlink = do_readlink;
    ops->statfs = do_statfs;
}
