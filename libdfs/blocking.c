/* dfs.h: connecting, and the calls about names. Files and directories are in blocking_file.c. */
#include "libdfs/blocking.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"

enum { CLOSE_MS = 60000 };

const char *dfs_version(void)
{
    return build_version();
}

/* ---- ops ---- */

void op_init(struct op *op, struct dfs *dfs, op_fn start)
{
    *op = (struct op){.dfs = dfs, .start = start};
    sem_init(&op->done, 0, 0);
}

void op_end(struct op *op, int status)
{
    op->status = status;
    sem_post(&op->done); /* The op may be gone now. */
}

void op_status(void *ctx, int status)
{
    op_end(ctx, status);
}

void op_attr(void *ctx, int status, const struct ll_attr *attr)
{
    struct op *op = ctx;

    if (status == 0)
        op->attr = *attr;
    op_end(op, status);
}

static void op_posted(void *ctx)
{
    struct op *op = ctx;

    op->start(op);
}

int op_run(struct op *op)
{
    loop_post(op->dfs->loop, op_posted, op);
    while (sem_wait(&op->done) < 0)
        ;
    sem_destroy(&op->done);
    return op->status;
}

/* ---- connecting ---- */

void dfs_options_init(struct dfs_options *o)
{
    *o = (struct dfs_options){
        .io_timeout_ms = 60000,
        .dirty_bytes_max = 64U << 20,
        .uid = geteuid(),
        .gid = getegid(),
    };
}

static void PRINTF_LIKE(3, 4) say(char *err, size_t size, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL || size == 0)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(err, size, fmt, ap);
    va_end(ap);
}

/* The file has more than what is asked here; mistakes in what is asked are told with their line. */
static int check_conf(struct conf *conf, char *err, size_t err_size)
{
    static const char *const others[] = {"namenode", "datanode", "cluster", "data", "log"};
    static const char *const of_mounts[] = {"io_timeout", "dirty_max", "readahead_max",
                                            "read_ahead_kb", "http"};
    char *text;

    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        conf_ignore_section(conf, others[i]);
    for (size_t i = 0; i < ARRAY_COUNT(of_mounts); i++)
        (void)conf_str(conf, "client", of_mounts[i], NULL);
    if (conf_check(conf) == 0)
        return 0;
    text = mem_strdup(conf_problems(conf));
    text[strlen(text) - 1] = '\0'; /* Each problem is a line; err is a sentence. */
    for (char *p = text; (p = strchr(p, '\n')) != NULL;)
        *p = ';';
    say(err, err_size, "%s", text);
    free(text);
    return -EINVAL;
}

/* What the caller left open comes from the configuration file. */
static int fill_options(struct dfs *dfs, const struct dfs_options *o, struct ll_options *ll,
                        char *err, size_t err_size)
{
    const char *path = o->config_file != NULL ? o->config_file : getenv("DFS_CONFIG");
    int r;

    ll_options_init(ll);
    ll->io_timeout_ms = o->io_timeout_ms;
    ll->dirty_bytes_max = o->dirty_bytes_max;
    ll->namenodes = o->namenodes;
    if (path == NULL)
        path = DFS_SYSCONFDIR "/dfs.conf";
    if (o->namenodes == NULL || o->config_file != NULL) {
        r = conf_load(path, &dfs->conf);
        if (r < 0) {
            say(err, err_size, "the configuration %s cannot be read: %s", path, strerror(-r));
            return r;
        }
        if (o->namenodes == NULL)
            ll->namenodes = conf_str_required(dfs->conf, "client", "namenodes");
        else
            (void)conf_str(dfs->conf, "client", "namenodes", NULL);
        ll->ca_file = conf_file(dfs->conf, "tls", "ca");
        ll->cert_file = conf_file(dfs->conf, "tls", "cert");
        ll->key_file = conf_file(dfs->conf, "tls", "key");
        r = check_conf(dfs->conf, err, err_size);
        if (r < 0)
            return r;
    }
    if (o->ca_file != NULL || o->cert_file != NULL || o->key_file != NULL) {
        ll->ca_file = o->ca_file;
        ll->cert_file = o->cert_file;
        ll->key_file = o->key_file;
    }
    if ((ll->ca_file == NULL) != (ll->cert_file == NULL) ||
        (ll->ca_file == NULL) != (ll->key_file == NULL)) {
        say(err, err_size, "ca, cert and key belong together: give all three or none");
        return -EINVAL;
    }
    return 0;
}

static void *run_loop(void *ctx)
{
    loop_run(ctx);
    return NULL;
}

/* Signals are the application's: the thread begins with all of them blocked. */
static int start_thread(struct dfs *dfs)
{
    sigset_t all, before;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    r = -pthread_create(&dfs->thread, NULL, run_loop, dfs->loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

struct connect {
    struct op op;
    char problem[256];
    struct ll_options options;
    int started;
};

static void connect_start(struct op *op)
{
    struct connect *c = (struct connect *)(void *)op;

    c->started = ll_new(op->dfs->loop, &c->options, true, op_status, op, &op->dfs->ll);
    if (c->started < 0)
        op_end(op, c->started);
}

static void stop_posted(void *ctx)
{
    loop_stop(ctx);
}

static void dfs_free(struct dfs *dfs)
{
    loop_post(dfs->loop, stop_posted, dfs->loop);
    pthread_join(dfs->thread, NULL);
    loop_free(dfs->loop);
    conf_free(dfs->conf);
    free(dfs->groups);
    free(dfs);
}

static void close_start(struct op *op)
{
    ll_close(op->dfs->ll, CLOSE_MS, op_status, op);
}

/* The supplementary groups are the process's only when the user is. */
static void take_cred(struct dfs *dfs, const struct dfs_options *o)
{
    gid_t groups[GROUPS_MAX];
    int n = o->uid == geteuid() ? getgroups(GROUPS_MAX, groups) : 0;

    dfs->cred = (struct ll_cred){.uid = o->uid, .gid = o->gid};
    if (n <= 0)
        return;
    dfs->groups = mem_zalloc((size_t)n, sizeof(*dfs->groups));
    for (int i = 0; i < n; i++)
        dfs->groups[i] = groups[i];
    dfs->cred.groups = dfs->groups;
    dfs->cred.group_count = (uint32_t)n;
}

int dfs_connect(const struct dfs_options *o, struct dfs **ret_dfs, char *err, size_t err_size)
{
    struct dfs *dfs = MEM_NEW(struct dfs);
    struct connect c;
    struct op end;
    int r = fill_options(dfs, o, &c.options, err, err_size);

    if (r == 0)
        r = loop_new(&dfs->loop);
    if (r < 0) {
        conf_free(dfs->conf);
        free(dfs);
        return r;
    }
    c.problem[0] = '\0';
    c.options.client_name = "libdfs";
    c.options.problem = c.problem;
    c.options.problem_size = sizeof(c.problem);
    take_cred(dfs, o);
    r = start_thread(dfs);
    if (r < 0) {
        loop_free(dfs->loop);
        conf_free(dfs->conf);
        free(dfs->groups);
        free(dfs);
        return r;
    }
    op_init(&c.op, dfs, connect_start);
    r = op_run(&c.op);
    if (r < 0) {
        say(err, err_size, "%s",
            dfs->ll != NULL && ll_problem(dfs->ll)[0] != '\0' ? ll_problem(dfs->ll)
            : c.problem[0] != '\0'                            ? c.problem
                                                              : dfs_strerror(r));
        if (dfs->ll != NULL) {
            op_init(&end, dfs, close_start);
            (void)op_run(&end);
        }
        dfs_free(dfs);
        return r;
    }
    *ret_dfs = dfs;
    return 0;
}

void dfs_disconnect(struct dfs *dfs)
{
    struct op op;

    if (dfs == NULL)
        return;
    op_init(&op, dfs, close_start);
    (void)op_run(&op);
    dfs_free(dfs);
}

/* ---- names ---- */

void stat_from_attr(const struct ll_attr *a, struct dfs_stat *ret_st)
{
    *ret_st = (struct dfs_stat){
        .ino = a->ino.v,
        .mode = a->mode,
        .uid = a->uid,
        .gid = a->gid,
        .nlink = a->nlink,
        .rdev = a->rdev,
        .size = a->size,
        .blocks = a->blocks,
        .atime_ns = a->atime_ns,
        .mtime_ns = a->mtime_ns,
        .ctime_ns = a->ctime_ns,
        .btime_ns = a->btime_ns,
    };
}

static void found(struct op *op)
{
    op_end(op, 0);
}

static int stat_path(struct dfs *dfs, const char *path, bool follow, struct dfs_stat *ret_st)
{
    struct op op;
    int r;

    op_init(&op, dfs, found);
    r = op_run_path(&op, path, follow, false);
    if (r == 0)
        stat_from_attr(&op.attr, ret_st);
    return r;
}

int dfs_stat(struct dfs *dfs, const char *path, struct dfs_stat *ret_st)
{
    return stat_path(dfs, path, true, ret_st);
}

int dfs_lstat(struct dfs *dfs, const char *path, struct dfs_stat *ret_st)
{
    return stat_path(dfs, path, false, ret_st);
}

static void mknod_start(struct op *op)
{
    ll_mknod(op->dfs->ll, &op->call, &op->dfs->cred, op->dir, op->name, op->mode, op->rdev,
             op->target, op_attr, op);
}

static int make_node(struct dfs *dfs, const char *path, uint32_t mode, uint64_t rdev,
                     const char *target)
{
    struct op op;
    int r;

    op_init(&op, dfs, mknod_start);
    op.mode = mode;
    op.rdev = rdev;
    op.target = target;
    r = op_run_path(&op, path, false, true);
    return r == -EBUSY ? -EEXIST : r; /* "/" */
}

int dfs_mkdir(struct dfs *dfs, const char *path, mode_t mode)
{
    return make_node(dfs, path, S_IFDIR | (mode & 07777), 0, NULL);
}

int dfs_mknod(struct dfs *dfs, const char *path, mode_t mode, dev_t rdev)
{
    return make_node(dfs, path, (mode & S_IFMT) == 0 ? mode | S_IFREG : mode, rdev, NULL);
}

int dfs_symlink(struct dfs *dfs, const char *target, const char *path)
{
    return make_node(dfs, path, S_IFLNK | 0777, 0, target);
}

static void unlink_start(struct op *op)
{
    ll_unlink(op->dfs->ll, &op->call, &op->dfs->cred, op->dir, op->name, op_attr, op);
}

static void rmdir_start(struct op *op)
{
    ll_rmdir(op->dfs->ll, &op->call, &op->dfs->cred, op->dir, op->name, op_attr, op);
}

int dfs_unlink(struct dfs *dfs, const char *path)
{
    struct op op;
    int r;

    op_init(&op, dfs, unlink_start);
    r = op_run_path(&op, path, false, true);
    return r == -EBUSY ? -EISDIR : r;
}

int dfs_rmdir(struct dfs *dfs, const char *path)
{
    struct op op;

    op_init(&op, dfs, rmdir_start);
    return op_run_path(&op, path, false, true);
}

/* Two paths: the first is walked by an op of its own. */
static int find_other(struct dfs *dfs, const char *path, struct op *op)
{
    struct op other;
    int r;

    op_init(&other, dfs, found);
    r = op_run_path(&other, path, false, true);
    if (r < 0)
        return r;
    op->other_dir = other.dir;
    memcpy(op->other_name, other.name, sizeof(op->other_name));
    return 0;
}

static void op_removed(void *ctx, int status, const struct ll_attr *attr)
{
    (void)attr;
    op_end(ctx, status);
}

static void rename_start(struct op *op)
{
    ll_rename(op->dfs->ll, &op->call, &op->dfs->cred, op->other_dir, op->other_name, op->dir,
              op->name, op->flags, op_removed, op);
}

int dfs_rename2(struct dfs *dfs, const char *from, const char *to, unsigned flags)
{
    struct op op;
    int r;

    op_init(&op, dfs, rename_start);
    op.flags = flags;
    r = find_other(dfs, from, &op);
    if (r < 0) {
        sem_destroy(&op.done);
        return r;
    }
    return op_run_path(&op, to, false, true);
}

int dfs_rename(struct dfs *dfs, const char *from, const char *to)
{
    return dfs_rename2(dfs, from, to, 0);
}

static void link_start(struct op *op)
{
    ll_link(op->dfs->ll, &op->call, &op->dfs->cred, op->set.ino, op->dir, op->name, op_attr, op);
}

int dfs_link(struct dfs *dfs, const char *from, const char *to)
{
    struct dfs_stat st;
    struct op op;
    int r = dfs_lstat(dfs, from, &st);

    if (r < 0)
        return r;
    op_init(&op, dfs, link_start);
    op.set.ino.v = st.ino;
    r = op_run_path(&op, to, false, true);
    return r == -EBUSY ? -EEXIST : r;
}

static void take_bytes(void *ctx, int status, const void *bytes, size_t len)
{
    struct op *op = ctx;

    if (status == 0) {
        op->got = len;
        if (op->size != 0)
            memcpy(op->out, bytes, MIN(len, op->size));
    }
    op_end(op, status);
}

static void readlink_start(struct op *op)
{
    if (!S_ISLNK(op->attr.mode))
        op_end(op, -EINVAL);
    else
        ll_readlink(op->dfs->ll, &op->call, op->attr.ino, take_bytes, op);
}

ssize_t dfs_readlink(struct dfs *dfs, const char *path, char *buf, size_t size)
{
    struct op op;
    int r;

    op_init(&op, dfs, readlink_start);
    op.out = buf;
    op.size = size;
    r = op_run_path(&op, path, false, false);
    return r < 0 ? r : (ssize_t)MIN(op.got, size);
}

/* ---- attributes ---- */

static void setattr_start(struct op *op)
{
    ll_setattr(op->dfs->ll, &op->call, &op->dfs->cred, op->attr.ino, &op->set, op->set_mask,
               op_attr, op);
}

static int set_attr(struct dfs *dfs, const char *path, bool follow, const struct ll_attr *set,
                    unsigned mask)
{
    struct op op;

    op_init(&op, dfs, setattr_start);
    op.set = *set;
    op.set_mask = mask;
    return op_run_path(&op, path, follow, false);
}

int dfs_chmod(struct dfs *dfs, const char *path, mode_t mode)
{
    const struct ll_attr set = {.mode = mode};

    return set_attr(dfs, path, true, &set, LL_SET_MODE);
}

static int change_owner(struct dfs *dfs, const char *path, bool follow, uint32_t uid, uint32_t gid)
{
    const struct ll_attr set = {.uid = uid, .gid = gid};
    unsigned mask = 0;

    if (uid != (uint32_t)-1)
        mask |= LL_SET_UID;
    if (gid != (uint32_t)-1)
        mask |= LL_SET_GID;
    return set_attr(dfs, path, follow, &set, mask);
}

int dfs_chown(struct dfs *dfs, const char *path, uint32_t uid, uint32_t gid)
{
    return change_owner(dfs, path, true, uid, gid);
}

int dfs_lchown(struct dfs *dfs, const char *path, uint32_t uid, uint32_t gid)
{
    return change_owner(dfs, path, false, uid, gid);
}

static int set_times(struct dfs *dfs, const char *path, bool follow, int64_t atime_ns,
                     int64_t mtime_ns)
{
    const struct ll_attr set = {.atime_ns = atime_ns, .mtime_ns = mtime_ns};
    unsigned mask = 0;

    if (atime_ns != DFS_TIME_OMIT)
        mask |= atime_ns == DFS_TIME_NOW ? LL_SET_ATIME_NOW : LL_SET_ATIME;
    if (mtime_ns != DFS_TIME_OMIT)
        mask |= mtime_ns == DFS_TIME_NOW ? LL_SET_MTIME_NOW : LL_SET_MTIME;
    return set_attr(dfs, path, follow, &set, mask);
}

int dfs_utimens(struct dfs *dfs, const char *path, int64_t atime_ns, int64_t mtime_ns)
{
    return set_times(dfs, path, true, atime_ns, mtime_ns);
}

int dfs_lutimens(struct dfs *dfs, const char *path, int64_t atime_ns, int64_t mtime_ns)
{
    return set_times(dfs, path, false, atime_ns, mtime_ns);
}

static void truncate_start(struct op *op)
{
    if (S_ISDIR(op->attr.mode))
        op_end(op, -EISDIR);
    else if (!S_ISREG(op->attr.mode))
        op_end(op, -EINVAL);
    else
        setattr_start(op);
}

int dfs_truncate(struct dfs *dfs, const char *path, uint64_t size)
{
    struct op op;

    op_init(&op, dfs, truncate_start);
    op.set.size = size;
    op.set_mask = LL_SET_SIZE;
    return op_run_path(&op, path, true, false);
}

/* ---- extended attributes ---- */

static ssize_t bytes_or_range(const struct op *op, int r)
{
    if (r < 0)
        return r;
    return op->size != 0 && op->got > op->size ? -ERANGE : (ssize_t)op->got;
}

static void getxattr_start(struct op *op)
{
    ll_getxattr(op->dfs->ll, &op->call, op->attr.ino, op->xattr, take_bytes, op);
}

ssize_t dfs_getxattr(struct dfs *dfs, const char *path, const char *name, void *value, size_t size)
{
    struct op op;

    op_init(&op, dfs, getxattr_start);
    op.xattr = name;
    op.out = value;
    op.size = size;
    return bytes_or_range(&op, op_run_path(&op, path, true, false));
}

static void listxattr_start(struct op *op)
{
    ll_listxattr(op->dfs->ll, &op->call, op->attr.ino, take_bytes, op);
}

ssize_t dfs_listxattr(struct dfs *dfs, const char *path, char *list, size_t size)
{
    struct op op;

    op_init(&op, dfs, listxattr_start);
    op.out = list;
    op.size = size;
    return bytes_or_range(&op, op_run_path(&op, path, true, false));
}

static void setxattr_start(struct op *op)
{
    ll_setxattr(op->dfs->ll, &op->call, &op->dfs->cred, op->attr.ino, op->xattr, op->in, op->size,
                op->flags, op_status, op);
}

int dfs_setxattr(struct dfs *dfs, const char *path, const char *name, const void *value,
                 size_t size, int flags)
{
    struct op op;

    op_init(&op, dfs, setxattr_start);
    op.xattr = name;
    op.in = value;
    op.size = size;
    op.flags = (unsigned)flags;
    return op_run_path(&op, path, true, false);
}

static void removexattr_start(struct op *op)
{
    ll_removexattr(op->dfs->ll, &op->call, &op->dfs->cred, op->attr.ino, op->xattr, op_status, op);
}

int dfs_removexattr(struct dfs *dfs, const char *path, const char *name)
{
    struct op op;

    op_init(&op, dfs, removexattr_start);
    op.xattr = name;
    return op_run_path(&op, path, true, false);
}

/* ---- the whole ---- */

static void take_statfs(void *ctx, int status, const struct ll_statfs *s)
{
    struct op *op = ctx;

    if (status == 0)
        op->statfs = *s;
    op_end(op, status);
}

static void statfs_start(struct op *op)
{
    ll_statfs(op->dfs->ll, &op->call, op->attr.ino, take_statfs, op);
}

int dfs_statvfs(struct dfs *dfs, struct dfs_statvfs *ret_st)
{
    return dfs_statvfs_path(dfs, "/", ret_st);
}

int dfs_statvfs_path(struct dfs *dfs, const char *path, struct dfs_statvfs *ret_st)
{
    struct op op;
    int r;

    op_init(&op, dfs, statfs_start);
    r = op_run_path(&op, path, true, false);
    if (r == 0)
        *ret_st = (struct dfs_statvfs){
            .bytes_total = op.statfs.bytes_total,
            .bytes_free = op.statfs.bytes_free,
            .inodes_used = op.statfs.inodes_used,
            .inodes_max = op.statfs.inodes_max,
        };
    return r;
}

static void sync_start(struct op *op)
{
    ll_sync_all(op->dfs->ll, &op->call, op_status, op);
}

int dfs_sync(struct dfs *dfs)
{
    struct op op;

    op_init(&op, dfs, sync_start);
    return op_run(&op);
}
