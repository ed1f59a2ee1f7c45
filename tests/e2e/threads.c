/*
 * threads NAME DIR [THREADS] [ROUNDS]: one struct dfs, and the open files in it, under many threads
 * at once; what dfs.h says of threads must hold. DIR is made. Exits with 0, or says what was wrong.
 *
 * position   a file's own position: each record is written once and read once
 * append     the same with O_APPEND
 * regions    one open file, a region for each thread: written, synced, read back
 * races      of all who make, rename or remove the same name exactly one succeeds
 * trees      a tree for each thread: made, changed, listed, removed
 * listing    what is there all the time is listed once, whatever comes and goes beside it
 * sessions   connections come and go while others work
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libdfs/dfs.h"

enum { RECORD = 64, REGION = 300 * 1000, THREADS_MAX = 64, PATH_BYTES = 256 };

struct test {
    struct dfs *dfs;
    const char *dir;
    unsigned threads, rounds;
    struct dfs_file *file; /* shared */
    bool count_records;    /* each must have been seen once */
    pthread_barrier_t barrier;
    atomic_uint wins[4];
};

struct worker {
    struct test *test;
    pthread_t thread;
    unsigned number;
    unsigned *seen; /* of the position test: records that this one read */
};

static _Noreturn void fail(const char *what, const char *path, int64_t r)
{
    fprintf(stderr, "threads: %s %s: %s\n", what, path,
            r < 0 ? strerror((int)-r) : "not as it should be");
    exit(1);
}

static void must(const char *what, const char *path, int64_t r)
{
    if (r < 0)
        fail(what, path, r);
}

static void must_be(const char *what, const char *path, int64_t r, int64_t want)
{
    if (r != want)
        fail(what, path, r);
}

static const char *name(char out[PATH_BYTES], const struct test *t, const char *fmt, unsigned a,
                        unsigned b)
{
    char last[64];

    snprintf(last, sizeof(last), fmt, a, b);
    snprintf(out, PATH_BYTES, "%s/%s", t->dir, last);
    return out;
}

static void run(struct test *t, void *(*fn)(void *))
{
    static struct worker workers[THREADS_MAX];

    pthread_barrier_init(&t->barrier, NULL, t->threads);
    for (unsigned i = 0; i < t->threads; i++) {
        workers[i] = (struct worker){.test = t, .number = i};
        workers[i].seen = calloc(t->threads * t->rounds, sizeof(unsigned));
        if (pthread_create(&workers[i].thread, NULL, fn, &workers[i]) != 0)
            fail("cannot start", "a thread", 0);
    }
    for (unsigned i = 0; i < t->threads; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 1; i < t->threads; i++)
        for (unsigned k = 0; k < t->threads * t->rounds; k++)
            workers[0].seen[k] += workers[i].seen[k];
    for (unsigned k = 0; k < t->threads * t->rounds && t->count_records; k++)
        must_be("a record read or written twice, or never:", t->dir, workers[0].seen[k], 1);
    for (unsigned i = 0; i < t->threads; i++)
        free(workers[i].seen);
    pthread_barrier_destroy(&t->barrier);
}

/* ---- position, append ---- */

static void *write_records(void *arg)
{
    struct worker *w = arg;
    struct test *t = w->test;
    char record[RECORD];

    pthread_barrier_wait(&t->barrier);
    for (unsigned i = 0; i < t->rounds; i++) {
        unsigned number = w->number * t->rounds + i;

        memset(record, '.', sizeof(record));
        snprintf(record, sizeof(record), "%u", number);
        must_be("write", t->dir, dfs_write(t->file, record, sizeof(record)), RECORD);
        w->seen[number]++;
    }
    return NULL;
}

static void *read_records(void *arg)
{
    struct worker *w = arg;
    struct test *t = w->test;
    char record[RECORD];
    ssize_t n;

    pthread_barrier_wait(&t->barrier);
    while ((n = dfs_read(t->file, record, sizeof(record))) == RECORD) {
        unsigned long number = strtoul(record, NULL, 10);

        if (number >= t->threads * t->rounds)
            fail("a record that nobody wrote", t->dir, 0);
        w->seen[number]++;
    }
    must_be("read", t->dir, n, 0);
    return NULL;
}

static void test_position(struct test *t, int flags)
{
    char path[PATH_BYTES], record[RECORD] = "one that was there before";
    struct dfs_stat st;

    name(path, t, flags & O_APPEND ? "append" : "position", 0, 0);
    must("open", path, dfs_open(t->dfs, path, O_RDWR | O_CREAT | flags, 0644, &t->file));
    must_be("pwrite", path, dfs_pwrite(t->file, record, RECORD, 0), RECORD);
    if ((flags & O_APPEND) == 0)
        must_be("lseek", path, dfs_lseek(t->file, RECORD, SEEK_SET), RECORD);
    t->count_records = true;
    run(t, write_records);
    must("fstat", path, dfs_fstat(t->file, &st));
    must_be("size of", path, (int64_t)st.size, ((int64_t)t->threads * t->rounds + 1) * RECORD);
    must_be("lseek", path, dfs_lseek(t->file, 0, SEEK_CUR), (int64_t)st.size);
    must_be("lseek", path, dfs_lseek(t->file, RECORD, SEEK_SET), RECORD);
    run(t, read_records);
    must("close", path, dfs_close(t->file));
    t->file = NULL;
}

/* ---- regions ---- */

static void *write_region(void *arg)
{
    struct worker *w = arg;
    struct test *t = w->test;
    uint64_t at = (uint64_t)w->number * REGION;
    char *mine = malloc(REGION), *back = malloc(REGION);

    pthread_barrier_wait(&t->barrier);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < REGION; i++)
            mine[i] = (char)(w->number * 31 + round * 7 + i % 251);
        for (unsigned i = 0; i < REGION; i += 50000)
            must_be("pwrite", t->dir, dfs_pwrite(t->file, mine + i, 50000, at + i), 50000);
        if (round % 2 == 1)
            must("fsync", t->dir, dfs_fsync(t->file));
        must_be("pread", t->dir, dfs_pread(t->file, back, REGION, at), REGION);
        if (memcmp(mine, back, REGION) != 0)
            fail("content of a region of", t->dir, 0);
    }
    free(mine);
    free(back);
    return NULL;
}

static void test_regions(struct test *t)
{
    char path[PATH_BYTES];

    name(path, t, "regions", 0, 0);
    must("open", path, dfs_open(t->dfs, path, O_RDWR | O_CREAT, 0644, &t->file));
    run(t, write_region);
    must("close", path, dfs_close(t->file));
    t->file = NULL;
}

/* ---- races ---- */

static void win(struct test *t, unsigned which, int r, int loss, int other_loss)
{
    if (r == 0)
        atomic_fetch_add(&t->wins[which], 1);
    else if (r != loss && r != other_loss)
        fail("a race in", t->dir, r);
}

static void *race(void *arg)
{
    struct worker *w = arg;
    struct test *t = w->test;
    char path[PATH_BYTES], other[PATH_BYTES];
    struct dfs_file *file;

    for (unsigned i = 0; i < t->rounds; i++) {
        int r;

        pthread_barrier_wait(&t->barrier);
        name(path, t, "race%u", i, 0);
        r = dfs_open(t->dfs, path, O_RDWR | O_CREAT | O_EXCL, 0600, &file);
        win(t, 0, r, -EEXIST, -EEXIST);
        if (r == 0)
            must("close", path, dfs_close(file));
        win(t, 1, dfs_mkdir(t->dfs, name(other, t, "race-dir%u", i, 0), 0700), -EEXIST, -EEXIST);
        /* Without O_EXCL everybody gets it. */
        name(other, t, "race-open%u", i, 0);
        must("open", other, dfs_open(t->dfs, other, O_RDWR | O_CREAT, 0600, &file));
        must("close", other, dfs_close(file));
        pthread_barrier_wait(&t->barrier);
        name(other, t, "race%u-by%u", i, w->number);
        win(t, 2, dfs_rename(t->dfs, path, other), -ENOENT, -ENOENT);
        win(t, 3, dfs_rmdir(t->dfs, name(path, t, "race-dir%u", i, 0)), -ENOENT, -ENOENT);
        pthread_barrier_wait(&t->barrier);
        if (w->number == 0) {
            for (unsigned k = 0; k < 4; k++)
                must_be("winners of a race in", t->dir, atomic_exchange(&t->wins[k], 0), 1);
        }
    }
    return NULL;
}

/* ---- trees ---- */

static void check_file(struct test *t, const char *path, unsigned size, char fill)
{
    char data[10000];
    struct dfs_file *file;
    struct dfs_stat st;

    must("open", path, dfs_open(t->dfs, path, O_RDONLY, 0, &file));
    must_be("pread", path, dfs_pread(file, data, sizeof(data), 0), size);
    for (unsigned i = 0; i < size; i++)
        must_be("content of", path, data[i], fill);
    must("close", path, dfs_close(file));
    must("stat", path, dfs_stat(t->dfs, path, &st));
    must_be("size of", path, (int64_t)st.size, size);
}

static void make_file(struct test *t, const char *path, unsigned size, char fill)
{
    char data[10000];
    struct dfs_file *file;

    memset(data, fill, sizeof(data));
    must("open", path, dfs_open(t->dfs, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &file));
    must_be("pwrite", path, dfs_pwrite(file, data, size, 0), size);
    must("close", path, dfs_close(file));
}

static unsigned list(struct test *t, const char *path, const char *prefix)
{
    struct dfs_dirent e;
    struct dfs_dir *dir;
    unsigned count = 0;
    int r;

    must("opendir", path, dfs_opendir(t->dfs, path, &dir));
    while ((r = dfs_readdir(dir, &e)) > 0)
        count += strncmp(e.name, prefix, strlen(prefix)) == 0;
    must("readdir", path, r);
    dfs_closedir(dir);
    return count;
}

static void *work_tree(void *arg)
{
    struct worker *w = arg;
    struct test *t = w->test;
    char root[PATH_BYTES], path[2 * PATH_BYTES], to[2 * PATH_BYTES], value[32], target[64];

    name(root, t, "tree%u", w->number, 0);
    must("mkdir", root, dfs_mkdir(t->dfs, root, 0755));
    for (unsigned i = 0; i < t->rounds; i++) {
        unsigned size = (w->number * 977 + i * 3571) % 9000 + 1;

        snprintf(path, sizeof(path), "%s/f%u", root, i);
        snprintf(to, sizeof(to), "%s/g%u", root, i);
        make_file(t, path, size, (char)('a' + i % 26));
        must("chmod", path, dfs_chmod(t->dfs, path, 0600));
        must("setxattr", path, dfs_setxattr(t->dfs, path, "user.n", "value", 5, 0));
        must("rename", path, dfs_rename(t->dfs, path, to));
        check_file(t, to, size, (char)('a' + i % 26));
        must_be("getxattr", to, dfs_getxattr(t->dfs, to, "user.n", value, sizeof(value)), 5);
        if (i % 3 == 0) {
            must("truncate", to, dfs_truncate(t->dfs, to, size / 2));
            check_file(t, to, size / 2, (char)('a' + i % 26));
        }
        must("symlink", path, dfs_symlink(t->dfs, "there", path));
        must_be("readlink", path, dfs_readlink(t->dfs, path, target, sizeof(target)), 5);
        must("unlink", path, dfs_unlink(t->dfs, path));
        if (i % 4 == 3)
            must("sync", root, dfs_sync(t->dfs));
    }
    must_be("entries of", root, list(t, root, "g"), t->rounds);
    for (unsigned i = 0; i < t->rounds; i++) {
        snprintf(to, sizeof(to), "%s/g%u", root, i);
        must("unlink", to, dfs_unlink(t->dfs, to));
    }
    must("rmdir", root, dfs_rmdir(t->dfs, root));
    return NULL;
}

/* ---- listing ---- */

static void *come_and_go(void *arg)
{
    struct worker *w = arg;
    struct test *t = w->test;
    char dir[PATH_BYTES], path[2 * PATH_BYTES];

    name(dir, t, "listing", 0, 0);
    for (unsigned i = 0; i < t->rounds; i++) {
        if (w->number % 2 == 0) {
            must_be("entries of", dir, list(t, dir, "stays"), 40);
            continue;
        }
        snprintf(path, sizeof(path), "%s/passes%u-%u", dir, w->number, i);
        make_file(t, path, 10, 'x');
        must("unlink", path, dfs_unlink(t->dfs, path));
    }
    return NULL;
}

static void test_listing(struct test *t)
{
    char dir[PATH_BYTES], path[2 * PATH_BYTES];

    name(dir, t, "listing", 0, 0);
    must("mkdir", dir, dfs_mkdir(t->dfs, dir, 0755));
    for (unsigned i = 0; i < 40; i++) {
        snprintf(path, sizeof(path), "%s/stays%u", dir, i);
        make_file(t, path, 1, 'x');
    }
    run(t, come_and_go);
}

/* ---- sessions ---- */

static struct dfs *connect_to(void)
{
    struct dfs_options o;
    struct dfs *dfs;
    char problem[256] = "";
    int r;

    dfs_options_init(&o);
    r = dfs_connect(&o, &dfs, problem, sizeof(problem));
    if (r < 0)
        fail("connect", problem, r);
    return dfs;
}

static void *reconnect(void *arg)
{
    struct worker *w = arg;
    struct test *t = w->test;
    struct test own = *t;
    char path[PATH_BYTES], *report;

    for (unsigned i = 0; i < t->rounds / 8 + 1; i++) {
        name(path, t, "session%u-%u", w->number, i);
        own.dfs = connect_to();
        make_file(&own, path, 5000, 's');
        dfs_disconnect(own.dfs);
        check_file(t, path, 5000, 's'); /* Another session sees what this one closed. */
        must("report", path, dfs_report_json(t->dfs, &report));
        free(report);
        must("unlink", path, dfs_unlink(t->dfs, path));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct test t = {.threads = 8, .rounds = 40};
    const char *which = argc > 2 ? argv[1] : "";

    if (argc > 2)
        t.dir = argv[2];
    if (argc > 3)
        t.threads = (unsigned)atoi(argv[3]);
    if (argc > 4)
        t.rounds = (unsigned)atoi(argv[4]);
    if (t.dir == NULL || t.threads < 1 || t.threads > THREADS_MAX || t.rounds < 1) {
        fprintf(stderr, "usage: threads NAME DIR [THREADS] [ROUNDS]\n");
        return 2;
    }
    t.dfs = connect_to();
    must("mkdir", t.dir, dfs_mkdir(t.dfs, t.dir, 0755));
    if (strcmp(which, "position") == 0)
        test_position(&t, 0);
    else if (strcmp(which, "append") == 0)
        test_position(&t, O_APPEND);
    else if (strcmp(which, "regions") == 0)
        test_regions(&t);
    else if (strcmp(which, "races") == 0)
        run(&t, race);
    else if (strcmp(which, "trees") == 0)
        run(&t, work_tree);
    else if (strcmp(which, "listing") == 0)
        test_listing(&t);
    else if (strcmp(which, "sessions") == 0)
        run(&t, reconnect);
    else
        fail("no such test:", which, 0);
    dfs_disconnect(t.dfs);
    return 0;
}
