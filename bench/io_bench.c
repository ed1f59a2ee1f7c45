/*
 * io_bench TEST DIR: one timed loop on any directory, local or mounted. Prints
 *
 *   TEST units seconds p50_us p99_us       units: MiB for seq*, operations for the rest
 *
 * seqwrite, seqread     1 MiB blocks of one file of -s MiB; the write ends with fsync
 * randread, randwrite   4 KiB at random places of that file, -n of them; the write ends with fsync
 * durable               4 KiB pwrite + fdatasync in a file of 1 MiB that is there already
 * create                -p processes, each -n files: open(O_CREAT|O_EXCL), write 4 KiB, close
 * stat, read, delete    the same files: stat; open, read, close; unlink
 * mkdir, rename, rmdir  -p processes, each -n directories: made, given another name, removed
 * list                  -n times all names of the directory that these, or the files, are in
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, BIG = 1 << 20, PATH_SIZE = 1024, PROCESSES_MAX = 64 };

struct job {
    const char *dir;
    unsigned size_mib, count, processes, number; /* number: of this process */
    uint32_t *micros;                            /* one a unit, shared with the parent */
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "io_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static char *block_new(size_t size)
{
    char *b = aligned_alloc(BLOCK, size);
    uint64_t state = 42;

    if (b == NULL)
        die("memory");
    for (size_t i = 0; i < size; i += sizeof(state))
        memcpy(b + i, &(uint64_t){next_random(&state)}, sizeof(state));
    return b;
}

static int open_big(const struct job *j, int flags)
{
    char path[PATH_SIZE];
    int fd;

    snprintf(path, sizeof(path), "%s/bench.big", j->dir);
    fd = open(path, flags, 0644);
    if (fd < 0)
        die(path);
    return fd;
}

static void took(struct job *j, unsigned unit, uint64_t since)
{
    j->micros[unit] = (uint32_t)((now_ns() - since) / 1000);
}

static void seq(struct job *j, int write_it)
{
    char *b = block_new(BIG);
    int fd = open_big(j, write_it ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY);

    for (unsigned i = 0; i < j->size_mib; i++) {
        uint64_t t = now_ns();

        if ((write_it ? write(fd, b, BIG) : read(fd, b, BIG)) != BIG)
            die(write_it ? "write" : "read");
        took(j, i, t);
    }
    if ((write_it && fsync(fd) < 0) || close(fd) < 0)
        die("close");
    free(b);
}

static void run_seqwrite(struct job *j)
{
    seq(j, 1);
}

static void run_seqread(struct job *j)
{
    seq(j, 0);
}

static void random_io(struct job *j, int write_it)
{
    char *b = block_new(BLOCK);
    int fd = open_big(j, write_it ? O_WRONLY : O_RDONLY);
    uint64_t state = 7, blocks = (uint64_t)j->size_mib * (BIG / BLOCK);

    for (unsigned i = 0; i < j->count; i++) {
        off_t at = (off_t)(next_random(&state) % blocks) * BLOCK;
        uint64_t t = now_ns();

        if ((write_it ? pwrite(fd, b, BLOCK, at) : pread(fd, b, BLOCK, at)) != BLOCK)
            die(write_it ? "pwrite" : "pread");
        took(j, i, t);
    }
    if ((write_it && fsync(fd) < 0) || close(fd) < 0)
        die("close");
    free(b);
}

static void run_randread(struct job *j)
{
    random_io(j, 0);
}

static void run_randwrite(struct job *j)
{
    random_io(j, 1);
}

static void run_durable(struct job *j)
{
    char path[PATH_SIZE], *b = block_new(BIG);
    int fd;

    snprintf(path, sizeof(path), "%s/bench.durable", j->dir);
    fd = open(path, O_RDWR | O_CREAT, 0644);
    if (fd < 0 || pwrite(fd, b, BIG, 0) != BIG || fsync(fd) < 0)
        die(path);
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t t = now_ns();

        if (pwrite(fd, b, BLOCK, (off_t)(i * 7 % (BIG / BLOCK)) * BLOCK) != BLOCK ||
            fdatasync(fd) < 0)
            die("durable write");
        took(j, i, t);
    }
    close(fd);
    free(b);
}

/* Each process works in a directory of its own, by names relative to it. */
static void small_enter(const struct job *j)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "%s/bench.small/%u", j->dir, j->number);
    if ((mkdir(path, 0755) < 0 && errno != EEXIST) || chdir(path) < 0)
        die(path);
}

static void small_path(unsigned i, char *path)
{
    snprintf(path, PATH_SIZE, "f%u", i);
}

/* Each process removes its directory, when it has emptied it. */
static void small_leave(const struct job *j)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "%s/bench.small/%u", j->dir, j->number);
    if (rmdir(path) < 0)
        die(path);
}

static void run_create(struct job *j)
{
    char path[PATH_SIZE], *b = block_new(BLOCK);

    small_enter(j);
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t t = now_ns();
        int fd;

        small_path(i, path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd < 0 || write(fd, b, BLOCK) != BLOCK || close(fd) < 0)
            die(path);
        took(j, i, t);
    }
    free(b);
}

static void run_stat(struct job *j)
{
    char path[PATH_SIZE];
    struct stat st;

    small_enter(j);
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t t = now_ns();

        small_path(i, path);
        if (stat(path, &st) < 0 || st.st_size != BLOCK)
            die(path);
        took(j, i, t);
    }
}

static void run_read(struct job *j)
{
    char path[PATH_SIZE], *b = block_new(BLOCK);

    small_enter(j);
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t t = now_ns();
        int fd;

        small_path(i, path);
        fd = open(path, O_RDONLY);
        if (fd < 0 || read(fd, b, BLOCK) != BLOCK || close(fd) < 0)
            die(path);
        took(j, i, t);
    }
    free(b);
}

static void run_delete(struct job *j)
{
    char path[PATH_SIZE];

    small_enter(j);
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t t = now_ns();

        small_path(i, path);
        if (unlink(path) < 0)
            die(path);
        took(j, i, t);
    }
    small_leave(j);
}

static void run_mkdir(struct job *j)
{
    char path[PATH_SIZE];

    small_enter(j);
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t t = now_ns();

        small_path(i, path);
        if (mkdir(path, 0755) < 0)
            die(path);
        took(j, i, t);
    }
}

static void renamed_path(unsigned i, char *path)
{
    snprintf(path, PATH_SIZE, "r%u", i);
}

static void run_rename(struct job *j)
{
    char from[PATH_SIZE], to[PATH_SIZE];

    small_enter(j);
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t t = now_ns();

        small_path(i, from);
        renamed_path(i, to);
        if (rename(from, to) < 0)
            die(from);
        took(j, i, t);
    }
}

static void run_rmdir(struct job *j)
{
    char path[PATH_SIZE];

    small_enter(j);
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t t = now_ns();

        renamed_path(i, path);
        if (rmdir(path) < 0)
            die(path);
        took(j, i, t);
    }
    small_leave(j);
}

static void run_list(struct job *j)
{
    unsigned names, names_before = 0;

    small_enter(j);
    for (unsigned i = 0; i < j->count; i++) {
        uint64_t t = now_ns();
        DIR *d = opendir(".");

        if (d == NULL)
            die("opendir");
        for (names = 0; readdir(d) != NULL; names++)
            ;
        closedir(d);
        took(j, i, t);
        if (i > 0 && names != names_before)
            die("another number of names");
        names_before = names;
    }
}

static const struct test {
    const char *name;
    void (*run)(struct job *j);
    int is_parallel, in_mib;
} tests[] = {
    {"seqwrite", run_seqwrite, 0, 1}, {"seqread", run_seqread, 0, 1},
    {"randread", run_randread, 0, 0}, {"randwrite", run_randwrite, 0, 0},
    {"durable", run_durable, 0, 0},   {"create", run_create, 1, 0},
    {"stat", run_stat, 1, 0},         {"read", run_read, 1, 0},
    {"delete", run_delete, 1, 0},     {"mkdir", run_mkdir, 1, 0},
    {"rename", run_rename, 1, 0},     {"rmdir", run_rmdir, 1, 0},
    {"list", run_list, 1, 0},
};

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void run(const struct test *t, struct job *j)
{
    unsigned units = t->in_mib ? j->size_mib : j->count,
             processes = t->is_parallel ? j->processes : 1;
    size_t bytes = (size_t)units * processes * sizeof(uint32_t);
    uint32_t *micros = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char path[PATH_SIZE];
    uint64_t begin;
    int status, failed = 0;

    if (micros == MAP_FAILED)
        die("memory");
    snprintf(path, sizeof(path), "%s/bench.small", j->dir);
    if (t->is_parallel && mkdir(path, 0755) < 0 && errno != EEXIST)
        die(path);
    begin = now_ns();
    for (unsigned p = 0; p < processes; p++) {
        if (fork() == 0) {
            j->number = p;
            j->micros = micros + (size_t)p * units;
            t->run(j);
            exit(0);
        }
    }
    for (unsigned p = 0; p < processes; p++)
        if (wait(&status) < 0 || status != 0)
            failed = 1;
    if (failed)
        exit(1);
    begin = now_ns() - begin;
    qsort(micros, (size_t)units * processes, sizeof(*micros), by_value);
    printf("%s %u %.4f %u %u\n", t->name, units * processes, (double)begin / 1e9,
           micros[units * processes / 2], micros[(size_t)units * processes * 99 / 100]);
}

int main(int argc, char **argv)
{
    struct job j = {.size_mib = 256, .count = 1000, .processes = 1};
    int opt;

    while ((opt = getopt(argc, argv, "s:n:p:")) != -1) {
        if (opt == 's')
            j.size_mib = (unsigned)atoi(optarg);
        else if (opt == 'n')
            j.count = (unsigned)atoi(optarg);
        else if (opt == 'p')
            j.processes = (unsigned)atoi(optarg);
        else
            optind = argc;
    }
    if (optind + 2 != argc || j.size_mib == 0 || j.count == 0 || j.processes == 0 ||
        j.processes > PROCESSES_MAX) {
        fputs("usage: io_bench [-s MIB] [-n COUNT] [-p PROCESSES] TEST DIR\n", stderr);
        return 2;
    }
    j.dir = argv[optind + 1];
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (strcmp(tests[i].name, argv[optind]) != 0)
            continue;
        run(&tests[i], &j);
        return 0;
    }
    fprintf(stderr, "io_bench: no test '%s'\n", argv[optind]);
    return 2;
}
