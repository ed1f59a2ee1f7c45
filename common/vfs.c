/* What is the same for every disk: the calls through the table and the helpers made of them. */
#include "common/vfs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/strutil.h"

int vfs_open(struct vfs *v, const char *path, int flags, mode_t mode, struct vfs_file **ret_file)
{
    return v->open(v, path, flags, mode, ret_file);
}

void vfs_close(struct vfs_file *f)
{
    if (f != NULL)
        f->vfs->file_ops->close(f);
}

ssize_t vfs_pread(struct vfs_file *f, void *buf, size_t len, uint64_t offset)
{
    return f->vfs->file_ops->pread(f, buf, len, offset);
}

int vfs_pread_all(struct vfs_file *f, void *buf, size_t len, uint64_t offset)
{
    ssize_t n = vfs_pread(f, buf, len, offset);

    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : -ENODATA;
}

int vfs_pwrite(struct vfs_file *f, const void *buf, size_t len, uint64_t offset)
{
    /* writev(2) has no const, though it only reads. */
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};

    return vfs_pwritev(f, &iov, 1, offset);
}

int vfs_pwritev(struct vfs_file *f, const struct iovec *iov, int count, uint64_t offset)
{
    assert(count >= 0 && count <= VFS_IOV_MAX);
    return f->vfs->file_ops->pwritev(f, iov, count, offset);
}

int vfs_sync(struct vfs_file *f)
{
    return f->vfs->file_ops->sync(f);
}

int vfs_sync_fs(struct vfs_file *f)
{
    return f->vfs->file_ops->sync_fs ? f->vfs->file_ops->sync_fs(f) : -ENOTSUP;
}

void vfs_prefetch(struct vfs_file *f, uint64_t offset, uint64_t len)
{
    if (f->vfs->file_ops->prefetch && len > 0)
        f->vfs->file_ops->prefetch(f, offset, len);
}

int vfs_sync_range(struct vfs_file *f, uint64_t offset, uint64_t len)
{
    return f->vfs->file_ops->sync_range(f, offset, len);
}

int vfs_truncate(struct vfs_file *f, uint64_t size)
{
    return f->vfs->file_ops->truncate(f, size);
}

int vfs_allocate(struct vfs_file *f, uint64_t offset, uint64_t len)
{
    return f->vfs->file_ops->allocate(f, offset, len);
}

int vfs_punch(struct vfs_file *f, uint64_t offset, uint64_t len)
{
    return f->vfs->file_ops->punch(f, offset, len);
}

void vfs_drop_cache(struct vfs_file *f)
{
    if (f->vfs->file_ops->drop_cache)
        f->vfs->file_ops->drop_cache(f);
}

int vfs_fstat(struct vfs_file *f, struct vfs_stat *ret_stat)
{
    return f->vfs->file_ops->stat(f, ret_stat);
}

int vfs_fd(const struct vfs_file *f)
{
    return f->vfs->file_ops->fd(f);
}

int vfs_stat(struct vfs *v, const char *path, struct vfs_stat *ret_stat)
{
    return v->stat(v, path, ret_stat);
}

int vfs_rename(struct vfs *v, const char *from, const char *to)
{
    return v->rename(v, from, to);
}

int vfs_link(struct vfs *v, const char *from, const char *to)
{
    return v->link(v, from, to);
}

int vfs_unlink(struct vfs *v, const char *path)
{
    return v->unlink(v, path);
}

int vfs_mkdir(struct vfs *v, const char *path, mode_t mode)
{
    return v->mkdir(v, path, mode);
}

int vfs_rmdir(struct vfs *v, const char *path)
{
    return v->rmdir(v, path);
}

int vfs_list(struct vfs *v, const char *path, vfs_name_fn fn, void *ctx)
{
    return v->list(v, path, fn, ctx);
}

int vfs_sync_dir(struct vfs *v, const char *path)
{
    return v->sync_dir(v, path);
}

int vfs_space(struct vfs *v, const char *path, struct vfs_space *ret_space)
{
    return v->space(v, path, ret_space);
}

/* Cuts the last component off; "." and "/" remain for what has none. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return mem_strdup(".");
    return mem_memdup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int sync_parent(struct vfs *v, const char *path)
{
    char *parent = parent_of(path);
    int r = vfs_sync_dir(v, parent);

    free(parent);
    return r;
}

static int mkdir_synced(struct vfs *v, const char *path, mode_t mode)
{
    struct vfs_stat st;
    int r = vfs_mkdir(v, path, mode);

    if (r == 0)
        return sync_parent(v, path);
    if (r != -EEXIST)
        return r;
    r = vfs_stat(v, path, &st);
    if (r < 0)
        return r;
    if (!st.is_dir)
        return -ENOTDIR;
    /* A process may have been killed before it synced the name. It was not one of ours where we may
     * not read, or where nothing can be synced: far above us. */
    r = sync_parent(v, path);
    return r == -EACCES || r == -EINVAL ? 0 : r;
}

int vfs_mkdir_all(struct vfs *v, const char *path, mode_t mode)
{
    char *partial = mem_strdup(path);
    int r = 0;

    for (char *p = partial + 1; r == 0 && *partial != '\0' && *p != '\0'; p++) {
        if (*p != '/' || p[-1] == '/')
            continue;
        *p = '\0';
        r = mkdir_synced(v, partial, mode);
        *p = '/';
    }
    free(partial);
    if (r < 0)
        return r;
    return mkdir_synced(v, path, mode);
}

int vfs_read_file(struct vfs *v, const char *path, size_t len_max, struct buf *buf)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    struct vfs_stat st;
    int r;

    r = vfs_open(v, path, O_RDONLY, 0, &f);
    if (r < 0)
        return r;
    r = vfs_fstat(f, &st);
    if (r < 0)
        return r;
    if (st.is_dir)
        return -EISDIR;
    if (st.size > len_max)
        return -EFBIG;
    r = vfs_pread_all(f, buf_reserve(buf, st.size), st.size, 0);
    if (r < 0)
        return r;
    buf_commit(buf, st.size);
    return 0;
}

static int write_new_file(struct vfs *v, const char *path, const void *data, size_t len,
                          mode_t mode)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    int r;

    r = vfs_open(v, path, O_RDWR | O_CREAT | O_TRUNC, mode, &f);
    if (r < 0)
        return r;
    r = vfs_pwrite(f, data, len, 0);
    if (r < 0)
        return r;
    return vfs_sync(f);
}

int vfs_replace_file(struct vfs *v, const char *path, const void *data, size_t len, mode_t mode)
{
    char *tmp = mem_printf("%s.tmp", path);
    int r;

    r = write_new_file(v, tmp, data, len, mode);
    if (r == 0)
        r = vfs_rename(v, tmp, path);
    if (r < 0)
        (void)vfs_unlink(v, tmp);
    free(tmp);
    if (r < 0)
        return r;
    return sync_parent(v, path);
}

struct remove_ctx {
    struct vfs *v;
    const char *dir;
};

static int remove_name(void *ctx, const char *name, bool is_dir)
{
    struct remove_ctx *c = ctx;
    char *path = str_path_join(c->dir, name);
    int r = is_dir ? vfs_remove_all(c->v, path) : vfs_unlink(c->v, path);

    free(path);
    return r;
}

int vfs_remove_all(struct vfs *v, const char *path)
{
    struct remove_ctx ctx = {v, path};
    struct vfs_stat st;
    int r;

    r = vfs_stat(v, path, &st);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    if (!st.is_dir)
        return vfs_unlink(v, path);
    r = vfs_list(v, path, remove_name, &ctx);
    if (r < 0)
        return r;
    return vfs_rmdir(v, path);
}
