/* See place.h: a tree in dfs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/limits.h"
#include "common/mem.h"
#include "shell/place.h"

struct place_dir {
    struct dfs_dir *dir;
};

struct place_file {
    struct dfs_file *file;
};

static int do_stat(const struct place *p, const char *path, bool follow, struct dfs_stat *ret_st)
{
    return follow ? dfs_stat(p->dfs, path, ret_st) : dfs_lstat(p->dfs, path, ret_st);
}

static int do_opendir(const struct place *p, const char *path, struct place_dir **ret_dir)
{
    struct dfs_dir *dir;
    int r = dfs_opendir(p->dfs, path, &dir);

    if (r < 0)
        return r;
    *ret_dir = MEM_NEW(struct place_dir);
    (*ret_dir)->dir = dir;
    return 0;
}

static int do_readdir(struct place_dir *dir, struct place_entry *ret_entry)
{
    struct dfs_dirent e;
    int r = dfs_readdir(dir->dir, &e);

    if (r > 0)
        *ret_entry = (struct place_entry){.name = e.name, .st = e.st};
    return r;
}

static void do_closedir(struct place_dir *dir)
{
    dfs_closedir(dir->dir);
    free(dir);
}

static int do_readlink(const struct place *p, const char *path, char **ret_target)
{
    char target[SYMLINK_BYTES_MAX + 1];
    ssize_t n = dfs_readlink(p->dfs, path, target, sizeof(target));

    if (n < 0)
        return (int)n;
    *ret_target = mem_memdup(target, (size_t)n);
    return 0;
}

static int open_flags(const struct place *p, const char *path, int flags, uint32_t mode,
                      struct place_file **ret_file)
{
    struct dfs_file *file;
    int r = dfs_open(p->dfs, path, flags, mode, &file);

    if (r < 0)
        return r;
    *ret_file = MEM_NEW(struct place_file);
    (*ret_file)->file = file;
    return 0;
}

static int do_open(const struct place *p, const char *path, struct place_file **ret_file)
{
    return open_flags(p, path, O_RDONLY, 0, ret_file);
}

static int do_create(const struct place *p, const char *path, uint32_t mode,
                     struct place_file **ret_file)
{
    return open_flags(p, path, O_WRONLY | O_CREAT | O_EXCL, mode, ret_file);
}

static ssize_t do_pread(struct place_file *f, void *buf, size_t size, uint64_t offset)
{
    return dfs_pread(f->file, buf, size, offset);
}

static int do_pwrite(struct place_file *f, const void *buf, size_t size, uint64_t offset)
{
    ssize_t n = dfs_pwrite(f->file, buf, size, offset);

    return n < 0 ? (int)n : 0;
}

static int do_set_size(struct place_file *f, uint64_t size)
{
    return dfs_ftruncate(f->file, size);
}

static int do_close(struct place_file *f)
{
    int r = dfs_close(f->file);

    free(f);
    return r;
}

static int do_mkdir(const struct place *p, const char *path, uint32_t mode)
{
    return dfs_mkdir(p->dfs, path, mode);
}

static int do_symlink(const struct place *p, const char *target, const char *path)
{
    return dfs_symlink(p->dfs, target, path);
}

static int do_mknod(const struct place *p, const char *path, uint32_t mode, uint64_t rdev)
{
    return dfs_mknod(p->dfs, path, mode, rdev);
}

static int do_unlink(const struct place *p, const char *path)
{
    return dfs_unlink(p->dfs, path);
}

static int do_rename(const struct place *p, const char *from, const char *to, bool replace)
{
    return dfs_rename2(p->dfs, from, to, replace ? 0 : 1U /* RENAME_NOREPLACE */);
}

static int do_set_owner(const struct place *p, const char *path, uint32_t uid, uint32_t gid)
{
    return dfs_lchown(p->dfs, path, uid, gid);
}

static int do_set_mode(const struct place *p, const char *path, uint32_t mode)
{
    return dfs_chmod(p->dfs, path, mode);
}

static int do_set_times(const struct place *p, const char *path, int64_t atime_ns, int64_t mtime_ns)
{
    return dfs_lutimens(p->dfs, path, atime_ns, mtime_ns);
}

struct place place_dfs(struct dfs *dfs)
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

    return (struct place){.ops = &ops, .dfs = dfs};
}
