/*
 * meta_clients CLUSTER TEST PROCESSES COUNT: clients of their own, one after the other an operation at
 * a time, each one request to the leader; on the inode level, so that no kernel and no path stand
 * between. COUNT operations of each process.
 *
 *   create    makes regular files, each process in a directory of its own
 *   getattr   of files that bench/meta_fill made, each once, in a directory each
 *   lookup    of a random one of them by name, its directory included: two requests
 *   walk      lists all directories of /fill with attributes; COUNT is of no interest
 *
 * Prints "ready" when all are connected and know their files, and waits for a line; then the test,
 * and "TEST processes operations seconds client_cpu_us p50_us p99_us"; waits for a line; ends. So
 * counters can be read between (bench/meta_scale, bench/meta_memory do).
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/conf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/strutil.h"
#include "libdfs/dfs_ll.h"

enum {
    PROCESSES_MAX = 256,
    DIR_FILES = 100, /* as bench/meta_fill makes them */
    DIR_DIRS = 100,
    PAGE = 1000,
    MICROS_MAX = 1 << 20, /* slower ones count as this */
};

/* What the processes share. */
struct shared {
    uint64_t operations, cpu_us;
    uint32_t histogram[MICROS_MAX]; /* of operations by their microseconds */
};

struct load {
    /* Of all. */
    const char *cluster, *test;
    unsigned processes;
    uint64_t count;
    struct shared *shared;
    int ready, go, done, end; /* pipe ends: a process says, or waits for their closing */

    /* Of this process. */
    unsigned number;
    struct loop *loop;
    struct ll *ll;
    struct ll_call call;
    bool answered;
    int status;
    struct ino ino;
    struct rng rng;
    struct ino fill;
    uint64_t upper_count;
    struct ino *upper;
    struct ino *found; /* by listings, while there is room */
    uint64_t found_count, found_max;
    char last[256]; /* of a listing */
    bool at_end;
    uint64_t entries;
};

static const struct ll_cred root = {.kernel_checked = true};

static pid_t main_pid; /* of a process of the load; 0 in the main one */

static _Noreturn void die(const char *what, int error)
{
    (void)fprintf(stderr, "meta_clients: %s: %s\n", what, dfs_strerror(error));
    if (main_pid != 0)
        (void)kill(main_pid, SIGTERM); /* It would wait for us. */
    exit(1);
}

/* ---- one call, waited for ---- */

static void on_status(void *ctx, int status)
{
    struct load *l = ctx;

    l->status = status;
    l->answered = true;
}

static void on_attr(void *ctx, int status, const struct ll_attr *attr)
{
    struct load *l = ctx;

    if (status == 0)
        l->ino = attr->ino;
    on_status(l, status);
}

static int await(struct load *l)
{
    while (!l->answered)
        loop_run_once(l->loop, true);
    l->answered = false;
    return l->status;
}

static void must(struct load *l, const char *what)
{
    int r = await(l);

    if (r < 0)
        die(what, r);
}

static struct ino lookup(struct load *l, struct ino parent, const char *name)
{
    ll_lookup(l->ll, &l->call, &root, parent, name, on_attr, l);
    must(l, name);
    return l->ino;
}

static struct ino make(struct load *l, struct ino parent, const char *name, uint32_t mode)
{
    ll_mknod(l->ll, &l->call, &root, parent, name, mode, 0, NULL, on_attr, l);
    must(l, name);
    return l->ino;
}

static void on_dir(void *ctx, int status, const struct ll_dirent *entries, unsigned count, bool end)
{
    struct load *l = ctx;

    for (unsigned i = 0; status == 0 && i < count; i++) {
        if (l->found_count < l->found_max)
            l->found[l->found_count++] = entries[i].ino;
        (void)snprintf(l->last, sizeof(l->last), "%s", entries[i].name);
    }
    l->entries += count;
    l->at_end = end;
    on_status(l, status);
}

/* All of a directory. */
static void list(struct load *l, struct ino dir, bool with_attrs)
{
    l->last[0] = '\0';
    do {
        ll_readdir(l->ll, &l->call, NULL, dir, l->last, PAGE, with_attrs, on_dir, l);
        must(l, "readdir");
    } while (!l->at_end);
}

/* ---- the tests ---- */

static void connect(struct load *l)
{
    CLEANUP(conf) struct conf *conf = NULL;
    struct ll_options o;
    char path[512];
    int r;

    (void)snprintf(path, sizeof(path), "%s/conf/dfs.conf", l->cluster);
    r = conf_load(path, &conf);
    if (r < 0)
        die(path, r);
    ll_options_init(&o);
    o.namenodes = conf_str_required(conf, "client", "namenodes");
    o.ca_file = conf_file(conf, "tls", "ca");
    o.cert_file = conf_file(conf, "tls", "cert");
    o.key_file = conf_file(conf, "tls", "key");
    r = loop_new(&l->loop);
    if (r == 0)
        r = ll_new(l->loop, &o, false, on_status, l, &l->ll);
    if (r < 0)
        die("connect", r);
    must(l, "connect");
}

/* The directories of /fill that hold directories: all are full, but perhaps the last. */
static void find_fill(struct load *l)
{
    l->fill = lookup(l, INO_ROOT, "fill");
    l->entries = 0;
    list(l, l->fill, false);
    l->upper_count = l->entries;
    l->upper = mem_zalloc(l->upper_count, sizeof(l->upper[0]));
}

static struct ino lower_dir(struct load *l, uint64_t number)
{
    uint64_t u = number / DIR_DIRS;
    char name[32];

    if (l->upper[u].v == 0) {
        (void)snprintf(name, sizeof(name), "%04" PRIu64, u);
        l->upper[u] = lookup(l, l->fill, name);
    }
    (void)snprintf(name, sizeof(name), "%02" PRIu64, number % DIR_DIRS);
    return lookup(l, l->upper[u], name);
}

static void begin_create(struct load *l)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "load-%ld-%u", (long)main_pid, l->number);
    l->ino = make(l, INO_ROOT, name, S_IFDIR | 0755);
    l->fill = l->ino;
}

static void one_create(struct load *l, uint64_t i)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "file-%08" PRIu64, i);
    (void)make(l, l->fill, name, S_IFREG | 0644);
}

static void begin_getattr(struct load *l)
{
    find_fill(l);
    l->found_max = l->count;
    l->found = mem_zalloc(l->count, sizeof(l->found[0]));
    while (l->found_count < l->found_max)
        list(l, lower_dir(l, rng_below(&l->rng, l->upper_count * DIR_DIRS)), false);
}

static void one_getattr(struct load *l, uint64_t i)
{
    ll_getattr(l->ll, &l->call, l->found[i], on_attr, l);
    must(l, "getattr");
}

static void one_lookup(struct load *l, uint64_t i)
{
    struct ino dir = lower_dir(l, rng_below(&l->rng, l->upper_count * DIR_DIRS));
    char name[32];

    (void)i;
    (void)snprintf(name, sizeof(name), "file-%03" PRIu64 ".dat", rng_below(&l->rng, DIR_FILES));
    (void)lookup(l, dir, name);
}

static void begin_walk(struct load *l)
{
    find_fill(l);
    l->found = mem_zalloc(DIR_DIRS, sizeof(l->found[0]));
    l->count = l->upper_count / l->processes + 1;
}

/* One of the directories that hold directories, and all of these. */
static void one_walk(struct load *l, uint64_t i)
{
    uint64_t upper = i * l->processes + l->number, dirs;
    char name[32];

    if (upper >= l->upper_count)
        return;
    (void)snprintf(name, sizeof(name), "%04" PRIu64, upper);
    l->found_count = 0;
    l->found_max = DIR_DIRS;
    list(l, lookup(l, l->fill, name), true);
    dirs = l->found_count;
    for (uint64_t d = 0; d < dirs; d++)
        list(l, l->found[d], true);
}

static const struct test {
    const char *name;
    void (*begin)(struct load *l);
    void (*one)(struct load *l, uint64_t i);
} tests[] = {
    {"create", begin_create, one_create},
    {"getattr", begin_getattr, one_getattr},
    {"lookup", find_fill, one_lookup},
    {"walk", begin_walk, one_walk},
};

static const struct test *find_test(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++) {
        if (strcmp(tests[i].name, name) == 0)
            return &tests[i];
    }
    return NULL;
}

/* ---- processes ---- */

static uint64_t cpu_us(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void wait_closed(int fd)
{
    char c;

    while (read(fd, &c, 1) > 0)
        ;
    (void)close(fd);
}

static void say(int fd)
{
    if (write(fd, "x", 1) != 1)
        die("pipe", -errno);
}

static void run_process(struct load *l)
{
    const struct test *t = find_test(l->test);
    uint64_t begin_us;

    rng_seed(&l->rng, 4711 + l->number);
    connect(l);
    t->begin(l);
    say(l->ready);
    wait_closed(l->go);
    l->entries = 0;
    begin_us = cpu_us();
    for (uint64_t i = 0; i < l->count; i++) {
        uint64_t ns = clock_monotonic_ns(clock_system());
        uint64_t us;

        t->one(l, i);
        us = (clock_monotonic_ns(clock_system()) - ns) / 1000;
        (void)__atomic_fetch_add(&l->shared->histogram[MIN(us, (uint64_t)MICROS_MAX - 1)], 1,
                                 __ATOMIC_RELAXED);
    }
    (void)__atomic_fetch_add(&l->shared->cpu_us, cpu_us() - begin_us, __ATOMIC_RELAXED);
    (void)__atomic_fetch_add(&l->shared->operations, t->one == one_walk ? l->entries : l->count,
                             __ATOMIC_RELAXED);
    say(l->done);
    wait_closed(l->end);
    ll_close(l->ll, 5000, on_status, l);
    (void)await(l);
    loop_free(l->loop);
    free(l->upper);
    free(l->found);
}

static unsigned quantile(const struct shared *s, double q)
{
    uint64_t all = 0, seen = 0;

    for (unsigned i = 0; i < MICROS_MAX; i++)
        all += s->histogram[i];
    for (unsigned i = 0; i < MICROS_MAX; i++) {
        seen += s->histogram[i];
        if ((double)seen >= q * (double)all)
            return i;
    }
    return MICROS_MAX;
}

static void await_all(int fd, unsigned processes)
{
    char c;

    for (unsigned i = 0; i < processes; i++) {
        if (read(fd, &c, 1) != 1)
            die("a process ended", -EPIPE);
    }
}

static void await_line(void)
{
    int c;

    (void)fflush(stdout);
    do
        c = getchar();
    while (c != '\n' && c != EOF);
}

static void run_all(struct load *l)
{
    int ready[2], go[2], done[2], end[2], status, failed = 0;
    uint64_t begin_ns;
    double seconds;

    if (pipe(ready) < 0 || pipe(go) < 0 || pipe(done) < 0 || pipe(end) < 0)
        die("pipe", -errno);
    for (l->number = 0; l->number < l->processes; l->number++) {
        pid_t pid = fork();

        if (pid < 0)
            die("fork", -errno);
        if (pid > 0)
            continue;
        main_pid = getppid();
        (void)close(go[1]);
        (void)close(end[1]);
        l->ready = ready[1];
        l->go = go[0];
        l->done = done[1];
        l->end = end[0];
        run_process(l);
        exit(0);
    }
    (void)close(ready[1]);
    (void)close(done[1]);
    await_all(ready[0], l->processes);
    (void)printf("ready\n");
    await_line();
    begin_ns = clock_monotonic_ns(clock_system());
    (void)close(go[1]);
    await_all(done[0], l->processes);
    seconds = (double)(clock_monotonic_ns(clock_system()) - begin_ns) / 1e9;
    (void)printf("%s %u %" PRIu64 " %.3f %" PRIu64 " %u %u\n", l->test, l->processes,
                 l->shared->operations, seconds, l->shared->cpu_us, quantile(l->shared, 0.5),
                 quantile(l->shared, 0.99));
    await_line();
    (void)close(end[1]);
    while (wait(&status) > 0)
        failed |= status;
    if (failed != 0)
        die("a process failed", -EIO);
}

int main(int argc, char **argv)
{
    struct load l = {0};
    uint64_t processes;

    if (argc != 5 || !find_test(argv[2]) || str_parse_u64(argv[3], &processes) < 0 ||
        processes == 0 || processes > PROCESSES_MAX || str_parse_u64(argv[4], &l.count) < 0) {
        (void)fprintf(stderr, "usage: meta_clients CLUSTER create|getattr|lookup|walk PROCESSES "
                              "COUNT\n");
        return 2;
    }
    log_init("meta_clients", LOG_LEVEL_WARN);
    l.cluster = argv[1];
    l.test = argv[2];
    l.processes = (unsigned)processes;
    l.shared =
        mmap(NULL, sizeof(*l.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (l.shared == MAP_FAILED)
        die("memory", -errno);
    run_all(&l);
    return 0;
}
