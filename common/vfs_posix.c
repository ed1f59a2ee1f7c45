/* The real disk. Every call is complete or fails; interrupted ones are repeated. */
#include "common/vfs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/mem.h"

struct posix_file {
    struct vfs_file file; /* first */
    int fd;
    bool is_direct;
};

static int fd_of(const struct vfs_file *f)
{
    return ((const struct posix_file *)f)->fd;
}

static int result_of(int r)
{
    return r < 0 ? -errno : 0;
}

static void stat_fill(const struct stat *st, struct vfs_stat *ret_stat)
{
    *ret_stat = (struct vfs_stat){
        .size = (uint64_t)st->st_size,
        .allocated_bytes = (uint64_t)st->st_blocks * 512,
        .inode = (uint64_t)st->st_ino,
        .is_dir = S_ISDIR(st->st_mode),
    };
}

static void posix_close(struct vfs_file *f)
{
    (void)close(fd_of(f));
    free(f);
}

static ssize_t posix_pread(struct vfs_file *f, void *buf, size_t len, uint64_t offset)
{
    const struct posix_file *p = (const struct posix_file *)f;
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(p->fd, (uint8_t *)buf + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
        /* A short direct read ends the file: going on from an odd offset would be -EINVAL. */
        if (n == 0 || (p->is_direct && n % 512 != 0))
            break;
    }
    return (ssize_t)done;
}

/* Drops n bytes at the front of the pieces. */
static void iov_skip(struct iovec **iov, int *count, size_t n)
{
    while (*count > 0 && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (n > 0) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

static int posix_pwritev(struct vfs_file *f, const struct iovec *iov, int count, uint64_t offset)
{
    struct iovec pieces[VFS_IOV_MAX];
    struct iovec *left = pieces;

    memcpy(pieces, iov, (size_t)count * sizeof *iov);
    iov_skip(&left, &count, 0); /* Empty ones in front. */
    while (count > 0) {
        ssize_t n = pwritev(fd_of(f), left, count, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        offset += (uint64_t)n;
        iov_skip(&left, &count, (size_t)n);
    }
    return 0;
}

static int posix_sync(struct vfs_file *f)
{
    return result_of(fdatasync(fd_of(f)));
}

static int posix_sync_fs(struct vfs_file *f)
{
    return result_of(syncfs(fd_of(f)));
}

static void posix_prefetch(struct vfs_file *f, uint64_t offset, uint64_t len)
{
    uint8_t last;

    (void)posix_fadvise(fd_of(f), (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
    (void)posix_pread(f, &last, 1, offset + len - 1); /* The read that counts tells of errors. */
}

static void posix_drop_cache(struct vfs_file *f)
{
    (void)posix_fadvise(fd_of(f), 0, 0, POSIX_FADV_DONTNEED);
}

static int posix_sync_range(struct vfs_file *f, uint64_t offset, uint64_t len)
{
    return result_of(sync_file_range(fd_of(f), (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE));
}

static int posix_truncate(struct vfs_file *f, uint64_t size)
{
    int r;

    do {
        r = ftruncate(fd_of(f), (off_t)size);
    } while (r < 0 && errno == EINTR);
    return result_of(r);
}

static int fallocate_whole(int fd, int mode, uint64_t offset, uint64_t len)
{
    int r;

    do {
        r = fallocate(fd, mode, (off_t)offset, (off_t)len);
    } while (r < 0 && errno == EINTR);
    return result_of(r);
}

static int posix_allocate(struct vfs_file *f, uint64_t offset, uint64_t len)
{
    return fallocate_whole(fd_of(f), 0, offset, len);
}

static int posix_punch(struct vfs_file *f, uint64_t offset, uint64_t len)
{
    return fallocate_whole(fd_of(f), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
}

static int posix_fstat(struct vfs_file *f, struct vfs_stat *ret_stat)
{
    struct stat st;

    if (fstat(fd_of(f), &st) < 0)
        return -errno;
    stat_fill(&st, ret_stat);
    return 0;
}

static int posix_open(struct vfs *v, const char *path, int flags, mode_t mode,
                      struct vfs_file **ret_file)
{
    struct posix_file *p;
    int fd;

    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    p = MEM_NEW(struct posix_file);
    p->file.vfs = v;
    p->fd = fd;
    p->is_direct = (flags & O_DIRECT) != 0;
    *ret_file = &p->file;
    return 0;
}

static int posix_stat(struct vfs *v, const char *path, struct vfs_stat *ret_stat)
{
    struct stat st;

    (void)v;
    if (stat(path, &st) < 0)
        return -errno;
    stat_fill(&st, ret_stat);
    return 0;
}

static int posix_rename(struct vfs *v, const char *from, const char *to)
{
    (void)v;
    return result_of(rename(from, to));
}

static int posix_link(struct vfs *v, const char *from, const char *to)
{
    (void)v;
    return result_of(link(from, to));
}

static int posix_unlink(struct vfs *v, const char *path)
{
    (void)v;
    return result_of(unlink(path));
}

static int posix_mkdir(struct vfs *v, const char *path, mode_t mode)
{
    (void)v;
    return result_of(mkdir(path, mode));
}

static int posix_rmdir(struct vfs *v, const char *path)
{
    (void)v;
    return result_of(rmdir(path));
}

static bool entry_is_dir(DIR *dir, const struct dirent *e)
{
    struct stat st;

    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int list_open_dir(DIR *dir, vfs_name_fn fn, void *ctx)
{
    for (;;) {
        const struct dirent *e;
        int r;

        errno = 0;
        e = readdir(dir);
        if (e == NULL)
            return -errno; /* 0 at the end. */
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        r = fn(ctx, e->d_name, entry_is_dir(dir, e));
        if (r != 0)
            return r;
    }
}

static int posix_list(struct vfs *v, const char *path, vfs_name_fn fn, void *ctx)
{
    DIR *dir = opendir(path);
    int r;

    (void)v;
    if (dir == NULL)
        return -errno;
    r = list_open_dir(dir, fn, ctx);
    (void)closedir(dir);
    return r;
}

static int posix_sync_dir(struct vfs *v, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    (void)v;
    if (fd < 0)
        return -errno;
    r = result_of(fsync(fd));
    (void)close(fd);
    return r;
}

static int posix_space(struct vfs *v, const char *path, struct vfs_space *ret_space)
{
    struct statvfs st;

    (void)v;
    if (statvfs(path, &st) < 0)
        return -errno;
    *ret_space = (struct vfs_space){
        .total_bytes = st.f_blocks * st.f_frsize,
        .free_bytes = st.f_bavail * st.f_frsize,
    };
    return 0;
}

struct vfs *vfs_posix(void)
{
    static const struct vfs_file_ops file_ops = {
        .close = posix_close,
        .pread = posix_pread,
        .pwritev = posix_pwritev,
        .sync = posix_sync,
        .sync_range = posix_sync_range,
        .sync_fs = posix_sync_fs,
        .prefetch = posix_prefetch,
        .drop_cache = posix_drop_cache,
        .truncate = posix_truncate,
        .allocate = posix_allocate,
        .punch = posix_punch,
        .stat = posix_fstat,
        .fd = fd_of,
    };
    /* Never written to; not const only because a fake needs its own to be writable. */
    static struct vfs posix = {
        .open = posix_open,
        .stat = posix_stat,
        .rename = posix_rename,
        .link = posix_link,
        .unlink = posix_unlink,
        .mkdir = posix_mkdir,
        .rmdir = posix_rmdir,
        .list = posix_list,
        .sync_dir = posix_sync_dir,
        .space = posix_space,
        .file_ops = &file_ops,
    };

    return &posix;
}
