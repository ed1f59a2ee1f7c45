/* See place.h: a tree on the local disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "shell/place.h"

struct place_dir {
    DIR *dir;
};

struct place_file {
    int fd;
};

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * (int64_t)CLOCK_NS_PER_S + t.tv_nsec;
}

static struct timespec spec_of(int64_t ns)
{
    const int64_t s = (int64_t)CLOCK_NS_PER_S;
    int64_t rest = ns % s;

    if (rest < 0)
        rest += s;
    return (struct timespec){.tv_sec = (time_t)((ns - rest) / s), .tv_nsec = (long)rest};
}

static void stat_convert(const struct stat *st, struct dfs_stat *ret_st)
{
    *ret_st = (struct dfs_stat){
        .ino = st->st_ino,
        .mode = st->st_mode,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .nlink = (uint32_t)st->st_nlink,
        .rdev = st->st_rdev,
        .size = (uint64_t)st->st_size,
        .blocks = (uint64_t)st->st_blocks,
        .atime_ns = ns_of(st->st_atim),
        .mtime_ns = ns_of(st->st_mtim),
        .ctime_ns = ns_of(st->st_ctim),
        .btime_ns = ns_of(st->st_ctim),
    };
}

static int do_stat(const struct place *p, const char *path, bool follow, struct dfs_stat *ret_st)
{
    struct stat st;

    (void)p;
    if (fstatat(AT_FDCWD, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    stat_convert(&st, ret_st);
    return 0;
}

static int do_opendir(const struct place *p, const char *path, struct place_dir **ret_dir)
{
    DIR *dir = opendir(path);

    (void)p;
    if (dir == NULL)
        return -errno;
    *ret_dir = MEM_NEW(struct place_dir);
    (*ret_dir)->dir = dir;
    return 0;
}

static int do_readdir(struct place_dir *dir, struct place_entry *ret_entry)
{
    struct dirent *e;
    struct stat st;

    for (;;) {
        errno = 0;
        e = readdir(dir->dir);
        if (e == NULL)
            return -errno;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(dir->dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            break;
        if (errno != ENOENT) /* Removed meanwhile: as if it had not been listed. */
            return -errno;
    }
    ret_entry->name = e->d_name;
    stat_convert(&st, &ret_entry->st);
    return 1;
}

static void do_closedir(struct place_dir *dir)
{
    (void)closedir(dir->dir);
    free(dir);
}

static int do_readlink(const struct place *p, const char *path, char **ret_target)
{
    char target[SYMLINK_BYTES_MAX + 1];
    ssize_t n = readlink(path, target, sizeof(target));

    (void)p;
    if (n < 0)
        return -errno;
    *ret_target = mem_memdup(target, (size_t)n);
    return 0;
}

static int file_of(int fd, struct place_file **ret_file)
{
    if (fd < 0)
        return -errno;
    *ret_file = MEM_NEW(struct place_file);
    (*ret_file)->fd = fd;
    return 0;
}

static int do_open(const struct place *p, const char *path, struct place_file **ret_file)
{
    (void)p;
    return file_of(open(path, O_RDONLY | O_CLOEXEC), ret_file);
}

static int do_create(const struct place *p, const char *path, uint32_t mode,
                     struct place_file **ret_file)
{
    (void)p;
    return file_of(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode), ret_file);
}

static ssize_t do_pread(struct place_file *f, void *buf, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(f->fd, (char *)buf + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int do_pwrite(struct place_file *f, const void *buf, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pwrite(f->fd, (const char *)buf + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

static int do_set_size(struct place_file *f, uint64_t size)
{
    return ftruncate(f->fd, (off_t)size) < 0 ? -errno : 0;
}

static int do_close(struct place_file *f)
{
    int r = close(f->fd) < 0 ? -errno : 0;

    free(f);
    return r;
}

static int do_mkdir(const struct place *p, const char *path, uint32_t mode)
{
    (void)p;
    return mkdir(path, mode) < 0 ? -errno : 0;
}

static int do_symlink(const struct place *p, const char *target, const char *path)
{
    (void)p;
    return symlink(target, path) < 0 ? -errno : 0;
}

static int do_mknod(const struct place *p, const char *path, uint32_t mode, uint64_t rdev)
{
    (void)p;
    return mknod(path, mode, rdev) < 0 ? -errno : 0;
}

static int do_unlink(const struct place *p, const char *path)
{
    (void)p;
    return unlink(path) < 0 ? -errno : 0;
}

static int do_rename(const struct place *p, const char *from, const char *to, bool replace)
{
    struct stat st;

    (void)p;
    if (!replace) {
        if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EINVAL && errno != ENOSYS)
            return -errno;
        /* This file system does not know the flag. */
        if (lstat(to, &st) == 0)
            return -EEXIST;
    }
    return rename(from, to) < 0 ? -errno : 0;
}

static int do_set_owner(const struct place *p, const char *path, uint32_t uid, uint32_t gid)
{
    (void)p;
    return lchown(path, uid, gid) < 0 ? -errno : 0;
}

static int do_set_mode(const struct place *p, const char *path, uint32_t mode)
{
    (void)p;
    return chmod(path, mode) < 0 ? -errno : 0;
}

static int do_set_times(const struct place *p, const char *path, int64_t atime_ns, int64_t mtime_ns)
{
    const struct timespec times[] = {spec_of(atime_ns), spec_of(mtime_ns)};

    (void)p;
    return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

struct place place_local(void)
{
    static const struct place_ops ops = {
        .stat = do_stat,
        .opendir = do_opendir,
        .readdir = do_readdir,
        .closedir = do_closedir,
        .readlink = do_readlink,
        .open = do_open,
        .create = do_create,
        .pread = do_pread,
        .pwrite = do_pwrite,
        .set_size = do_set_size,
        .close = do_close,
        .mkdir = do_mkdir,
        .symlink = do_symlink,
        .mknod = do_mknod,
        .unlink = do_unlink,
        .rename = do_rename,
        .set_owner = do_set_owner,
        .set_mode = do_set_mode,
        .set_times = do_set_times,
    };

    return (struct place){.ops = &ops};
}
