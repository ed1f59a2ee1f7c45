/*
 * Where a tree lives: the local disk or dfs. One table of calls with the errnos of POSIX, so that
 * put, get and cp are one copy, and a walk is one walk.
 */
#ifndef SHELL_PLACE_H
#define SHELL_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libdfs/dfs.h"

struct place;
struct place_dir;
struct place_file;

struct place_entry {
    const char *name; /* until the next call on the same directory */
    struct dfs_stat st;
};

struct place_ops {
    int (*stat)(const struct place *p, const char *path, bool follow, struct dfs_stat *ret_st);
    int (*opendir)(const struct place *p, const char *path, struct place_dir **ret_dir);
    /* 1: *ret_entry filled; 0: the end. */
    int (*readdir)(struct place_dir *dir, struct place_entry *ret_entry);
    void (*closedir)(struct place_dir *dir);
    /* malloc'ed */
    int (*readlink)(const struct place *p, const char *path, char **ret_target);

    int (*open)(const struct place *p, const char *path, struct place_file **ret_file);
    /* A new file, for writing. */
    int (*create)(const struct place *p, const char *path, uint32_t mode,
                  struct place_file **ret_file);
    ssize_t (*pread)(struct place_file *f, void *buf, size_t size, uint64_t offset);
    int (*pwrite)(struct place_file *f, const void *buf, size_t size, uint64_t offset);
    int (*set_size)(struct place_file *f, uint64_t size);
    /* Frees it in any case. */
    int (*close)(struct place_file *f);

    int (*mkdir)(const struct place *p, const char *path, uint32_t mode);
    int (*symlink)(const struct place *p, const char *target, const char *path);
    int (*mknod)(const struct place *p, const char *path, uint32_t mode, uint64_t rdev);
    int (*unlink)(const struct place *p, const char *path);
    int (*rename)(const struct place *p, const char *from, const char *to, bool replace);
    /* None of these follows a symbolic link. */
    int (*set_owner)(const struct place *p, const char *path, uint32_t uid, uint32_t gid);
    int (*set_mode)(const struct place *p, const char *path, uint32_t mode);
    int (*set_times)(const struct place *p, const char *path, int64_t atime_ns, int64_t mtime_ns);
};

struct place {
    const struct place_ops *ops;
    struct dfs *dfs; /* NULL: local */
};

struct place place_local(void);
struct place place_dfs(struct dfs *dfs);

#endif
