/*
 * tree_bench: large directories through dfs.h, and what others notice of it. $DFS_CONFIG says where
 * the cluster is.
 *
 *   tree_bench fill PATH COUNT [PER_DIR [THREADS]]   COUNT empty files in PATH, or in its directories
 *                                                    of PER_DIR (0: all in PATH); 64 threads
 *   tree_bench list PATH                             reads PATH to its end; ns for each entry
 *   tree_bench watch PATH                            stat, and create with unlink, in PATH, one after
 *                                                    the other, until the end of its standard input:
 *                                                    p50, p99 and the longest, in ms
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/compiler.h"
#include "common/mem.h"
#include "libdfs/dfs.h"

enum { PATH_SIZE = 512, THREADS = 64, THREADS_MAX = 256 };

static void die(const char *what, int r)
{
    fprintf(stderr, "tree_bench: %s: %s\n", what, strerror(-r));
    exit(1);
}

static uint64_t now_ns(void)
{
    return clock_monotonic_ns(clock_system());
}

/* ---- fill ---- */

struct fill {
    struct dfs *dfs;
    const char *path;
    unsigned long count, per_dir;
    atomic_ulong next;
};

static void *fill_some(void *arg)
{
    struct fill *f = arg;
    unsigned long i;

    while ((i = f->next++) < f->count) {
        char path[PATH_SIZE];
        int r;

        if (f->per_dir == 0)
            (void)snprintf(path, sizeof(path), "%s/f%08lu", f->path, i);
        else
            (void)snprintf(path, sizeof(path), "%s/d%06lu/f%08lu", f->path, i / f->per_dir, i);
        r = dfs_mknod(f->dfs, path, S_IFREG | 0644, 0);
        if (r < 0)
            die(path, r);
    }
    return NULL;
}

static void make_dir(struct dfs *dfs, const char *path)
{
    int r = dfs_mkdir(dfs, path, 0755);

    if (r < 0 && r != -EEXIST)
        die(path, r);
}

static void fill(struct dfs *dfs, const char *path, unsigned long count, unsigned long per_dir,
                 unsigned long thread_count)
{
    struct fill f = {.dfs = dfs, .path = path, .count = count, .per_dir = per_dir};
    uint64_t begin = now_ns();
    pthread_t threads[THREADS_MAX];

    make_dir(dfs, path);
    for (unsigned long i = 0; per_dir > 0 && i < (count + per_dir - 1) / per_dir; i++) {
        char sub[PATH_SIZE];

        (void)snprintf(sub, sizeof(sub), "%s/d%06lu", path, i);
        make_dir(dfs, sub);
    }
    for (unsigned long i = 0; i < thread_count; i++)
        if (pthread_create(&threads[i], NULL, fill_some, &f) != 0)
            die("thread", -EAGAIN);
    for (unsigned long i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    printf("fill: %lu files, %.0f/s\n", count, (double)count * 1e9 / (double)(now_ns() - begin));
}

/* ---- list ---- */

static void list(struct dfs *dfs, const char *path)
{
    uint64_t begin = now_ns(), count = 0;
    struct dfs_dirent e;
    struct dfs_dir *dir;
    int r = dfs_opendir(dfs, path, &dir);

    while (r >= 0 && (r = dfs_readdir(dir, &e)) > 0)
        count++;
    if (r < 0)
        die(path, r);
    dfs_closedir(dir);
    printf("list: %" PRIu64 " entries, %.0f ns each\n", count,
           (double)(now_ns() - begin) / (double)MAX(count, UINT64_C(1)));
}

/* ---- watch ---- */

struct times {
    uint64_t *ns;
    size_t count, room;
};

static void add(struct times *t, uint64_t ns)
{
    if (t->count == t->room) {
        t->room = MAX((size_t)1024, 2 * t->room);
        t->ns = mem_realloc(t->ns, t->room, sizeof(*t->ns));
    }
    t->ns[t->count++] = ns;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void print_times(const char *what, struct times *t)
{
    if (t->count == 0)
        return;
    qsort(t->ns, t->count, sizeof(*t->ns), by_size);
    printf("%-7s %7zu times, p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n", what, t->count,
           (double)t->ns[t->count / 2] / 1e6, (double)t->ns[t->count * 99 / 100] / 1e6,
           (double)t->ns[t->count - 1] / 1e6);
    free(t->ns);
}

static void watch(struct dfs *dfs, const char *path)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    struct times stats = {0}, creates = {0}, unlinks = {0};
    char file[PATH_SIZE];
    char byte;

    make_dir(dfs, path);
    (void)snprintf(file, sizeof(file), "%s/watch.%ld", path, (long)getpid());
    while (poll(&in, 1, 0) <= 0 || read(STDIN_FILENO, &byte, 1) > 0) {
        uint64_t at[4];
        struct dfs_stat st;
        int r[3];

        at[0] = now_ns();
        r[0] = dfs_stat(dfs, path, &st);
        at[1] = now_ns();
        r[1] = dfs_mknod(dfs, file, S_IFREG | 0644, 0);
        at[2] = now_ns();
        r[2] = dfs_unlink(dfs, file);
        at[3] = now_ns();
        for (unsigned i = 0; i < 3; i++)
            if (r[i] < 0)
                die(path, r[i]);
        add(&stats, at[1] - at[0]);
        add(&creates, at[2] - at[1]);
        add(&unlinks, at[3] - at[2]);
    }
    print_times("stat", &stats);
    print_times("create", &creates);
    print_times("unlink", &unlinks);
}

static unsigned long number(char **argv, int argc, int at, unsigned long otherwise)
{
    return at < argc ? strtoul(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct dfs_options o;
    char problem[256] = "";
    struct dfs *dfs;
    int r;

    if (argc < 3 || (strcmp(argv[1], "fill") == 0 && argc < 4)) {
        fputs("usage: tree_bench fill PATH COUNT [PER_DIR [THREADS]] | list PATH | watch PATH\n",
              stderr);
        return 2;
    }
    dfs_options_init(&o);
    r = dfs_connect(&o, &dfs, problem, sizeof(problem));
    if (r < 0)
        die(problem, r);
    if (strcmp(argv[1], "fill") == 0)
        fill(dfs, argv[2], number(argv, argc, 3, 0), number(argv, argc, 4, 0),
             MIN(number(argv, argc, 5, THREADS), (unsigned long)THREADS_MAX));
    else if (strcmp(argv[1], "list") == 0)
        list(dfs, argv[2]);
    else
        watch(dfs, argv[2]);
    dfs_disconnect(dfs);
    return 0;
}
