/* The inside of dfs.h: one thread runs the loop; every call of another thread is an op on it. */
#ifndef LIBDFS_BLOCKING_H
#define LIBDFS_BLOCKING_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "libdfs/dfs.h"
#include "libdfs/ll_internal.h"

struct conf;

struct dfs {
    struct loop *loop;
    struct ll *ll;
    pthread_t thread;
    struct conf *conf;
    struct ll_cred cred;
    uint32_t *groups; /* of cred */
};

struct op;
typedef void (*op_fn)(struct op *op);

/*
 * One call under way, on its caller's stack. start runs on the loop's thread; whatever it sets off
 * ends in op_end(), which wakes the caller. A path is walked first, if there is one.
 */
struct op {
    struct dfs *dfs;
    struct ll_call call;
    sem_t done;
    int status;

    op_fn start;
    /* The walk: what it was given, and what it found. */
    const char *path;
    bool follow;    /* the last name too, if it is a symbolic link */
    bool is_dir;    /* the path ends in a slash: it must be one */
    bool parent;    /* stop before the last name: it need not exist */
    char *text;     /* the path, absolute, without "." and ".." */
    size_t at;      /* of the name that is being looked up, in text */
    size_t next;    /* behind it */
    unsigned links; /* symbolic links followed */
    struct ino dir; /* where that name is */
    char name[256]; /* the last name, with `parent` */
    struct ll_attr attr;

    /* Arguments and results of the call. */
    struct ll_attr set;
    unsigned set_mask, flags;
    uint32_t mode;
    uint64_t rdev, offset, len;
    const char *target, *xattr;
    const void *in;
    void *out;
    size_t size, got;
    struct ll_file *file;
    struct ino other_dir;
    char other_name[256];
    struct ll_statfs statfs;
    struct ll_usage usage;
    void *extra;
};

void op_init(struct op *op, struct dfs *dfs, op_fn start);
/* Waits for op_end(); gives the status. */
int op_run(struct op *op);
void op_end(struct op *op, int status);
/* The callbacks that most calls end with. */
void op_status(void *ctx, int status);
void op_attr(void *ctx, int status, const struct ll_attr *attr);

/* Walks op->path, then calls op->start with attr (or dir and name) filled; for op_run_path(). */
int op_run_path(struct op *op, const char *path, bool follow, bool parent);

/*
 * The path without "//", "." and ".." (taken lexically); malloc'ed.
 * -EINVAL not absolute  -ENAMETOOLONG  -ENOENT empty
 */
int path_normalize(const char *path, char **ret_text);

void stat_from_attr(const struct ll_attr *attr, struct dfs_stat *ret_st);

#endif
