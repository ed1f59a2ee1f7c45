/*
 * What the chunk store costs: operations a second, CPU and disk calls for each, at a given number
 * in flight.
 *
 *   store_bench DIR [IN_FLIGHT] [SECONDS] [NAME]      (DIR is made, and removed at the end)
 *
 * NAME: only the measurements that have it in their name.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/slab.h"
#include "common/vfs.h"
#include "datanode/store.h"

enum { CALLS_OPEN, CALLS_READ, CALLS_WRITE, CALLS_SYNC, CALLS_KINDS };
enum { OP_BYTES = 256 << 10, SEQUENTIAL_CHUNKS = 4, RANDOM_CHUNKS = 16, SAMPLES_MAX = 1 << 20 };

/* The real disk, with its calls counted. */
struct counting {
    struct vfs vfs; /* first */
    struct vfs_file_ops ops;
    atomic_uint_fast64_t calls[CALLS_KINDS];
};

static void count(struct vfs *v, int kind)
{
    atomic_fetch_add_explicit(&((struct counting *)v)->calls[kind], 1, memory_order_relaxed);
}

static int count_open(struct vfs *v, const char *path, int flags, mode_t mode,
                      struct vfs_file **ret_file)
{
    count(v, CALLS_OPEN);
    return vfs_posix()->open(v, path, flags, mode, ret_file);
}

static ssize_t count_pread(struct vfs_file *f, void *buf, size_t len, uint64_t offset)
{
    count(f->vfs, CALLS_READ);
    return vfs_posix()->file_ops->pread(f, buf, len, offset);
}

static int count_pwritev(struct vfs_file *f, const struct iovec *iov, int n, uint64_t offset)
{
    count(f->vfs, CALLS_WRITE);
    return vfs_posix()->file_ops->pwritev(f, iov, n, offset);
}

static int count_sync(struct vfs_file *f)
{
    count(f->vfs, CALLS_SYNC);
    return vfs_posix()->file_ops->sync(f);
}

static void counting_init(struct counting *c)
{
    c->vfs = *vfs_posix();
    c->ops = *vfs_posix()->file_ops;
    c->vfs.open = count_open;
    c->ops.pread = count_pread;
    c->ops.pwritev = count_pwritev;
    c->ops.sync = count_sync;
    c->vfs.file_ops = &c->ops;
}

struct bench;

struct slot {
    struct bench *bench;
    uint64_t start_ns;
};

struct bench {
    struct loop *loop;
    struct slab_pool *slabs;
    struct slab *data;
    uint32_t crcs[OP_BYTES / 4096];
    struct counting counting;
    struct store *store;
    struct target *t;
    struct rng rng;
    uint64_t next, seq;
    unsigned running;
    uint64_t end_ns, done;
    const char *only;
    uint32_t *samples_us;
    size_t sample_count;
    void (*start)(struct bench *b, struct slot *s);
};

static uint64_t now_ns(void)
{
    return clock_monotonic_ns(clock_system());
}

static uint64_t cpu_ns(void)
{
    struct rusage ru;

    (void)getrusage(RUSAGE_SELF, &ru);
    return (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * CLOCK_NS_PER_S +
           (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000;
}

static void next_op(struct slot *s)
{
    struct bench *b = s->bench;

    s->start_ns = now_ns();
    if (s->start_ns >= b->end_ns) {
        b->running--;
        return;
    }
    b->start(b, s);
}

static void op_ended(struct slot *s, int status)
{
    struct bench *b = s->bench;

    if (status < 0) {
        (void)fprintf(stderr, "store_bench: operation failed: %d\n", status);
        exit(1);
    }
    b->done++;
    if (b->sample_count < SAMPLES_MAX)
        b->samples_us[b->sample_count++] = (uint32_t)((now_ns() - s->start_ns) / 1000);
    next_op(s);
}

static void written(void *ctx, int status, uint32_t result)
{
    (void)result;
    op_ended(ctx, status);
}

static void was_read(void *ctx, int status, struct store_read_result *r)
{
    (void)r;
    op_ended(ctx, status);
}

static void write_at(struct bench *b, struct slot *s, uint64_t chunk, uint32_t offset, uint32_t len,
                     unsigned flags)
{
    struct store_write w = {
        .chunk = {chunk},
        .pg = {1},
        .ver = {1, ++b->seq},
        .offset = offset,
        .len = len,
        .flags = STORE_CREATE | flags,
        .crcs = b->crcs,
        .crc_count = (offset + len - 1) / 4096 - offset / 4096 + 1,
        .bytes = b->data->data,
        .slab = b->data,
    };

    store_write(b->t, &w, written, s);
}

static void sequential(struct bench *b, struct slot *s)
{
    uint64_t n = b->next++, per_chunk = CHUNK_SIZE / OP_BYTES;

    /* Round over 256 MiB: memory that the machine touches for the first time costs more than all
     * the rest (in a virtual one the host has to find it). */
    write_at(b, s, 1000 + n / per_chunk % SEQUENTIAL_CHUNKS, (uint32_t)(n % per_chunk) * OP_BYTES,
             OP_BYTES, 0);
}

static void random_write(struct bench *b, struct slot *s)
{
    write_at(b, s, 1 + rng_below(&b->rng, RANDOM_CHUNKS),
             (uint32_t)rng_below(&b->rng, CHUNK_BLOCKS / 16) * 4096, 4096, 0);
}

static void random_synced(struct bench *b, struct slot *s)
{
    write_at(b, s, 1 + rng_below(&b->rng, RANDOM_CHUNKS),
             (uint32_t)rng_below(&b->rng, CHUNK_BLOCKS / 16) * 4096, 4096, STORE_SYNC);
}

static void small_append(struct bench *b, struct slot *s)
{
    uint64_t n = b->next++, per_chunk = CHUNK_SIZE / 100;

    write_at(b, s, 900000 + n / per_chunk, (uint32_t)(n % per_chunk) * 100, 100, 0);
}

static void create(struct bench *b, struct slot *s)
{
    write_at(b, s, 1000000 + b->next++, 0, 5000, 0);
}

static void read_big(struct bench *b, struct slot *s)
{
    struct store_read rd = {.len = IO_SIZE_MAX, .want_fd = true};
    uint64_t n = b->next++;

    rd.chunk.v = 1000 + n / 64 % SEQUENTIAL_CHUNKS;
    rd.offset = (uint32_t)(n % 64) * IO_SIZE_MAX;
    store_read(b->t, &rd, was_read, s);
}

static void read_small(struct bench *b, struct slot *s)
{
    struct store_read rd = {.len = 4096};

    rd.chunk.v = 1 + rng_below(&b->rng, RANDOM_CHUNKS);
    rd.offset = (uint32_t)rng_below(&b->rng, CHUNK_BLOCKS / 16) * 4096;
    store_read(b->t, &rd, was_read, s);
}

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void measure(struct bench *b, const char *name,
                    void (*start)(struct bench *b, struct slot *s), unsigned in_flight,
                    double seconds)
{
    struct slot *slots;
    uint64_t calls[CALLS_KINDS], begin = now_ns(), cpu = cpu_ns();
    double n, wall;

    if (b->only && !strstr(name, b->only))
        return;
    slots = mem_zalloc(in_flight, sizeof(*slots));
    b->start = start;
    b->next = b->done = b->sample_count = 0;
    b->end_ns = begin + (uint64_t)(seconds * 1e9);
    b->running = in_flight;
    for (int i = 0; i < CALLS_KINDS; i++)
        calls[i] = atomic_load(&b->counting.calls[i]);
    for (unsigned i = 0; i < in_flight; i++) {
        slots[i].bench = b;
        next_op(&slots[i]);
    }
    while (b->running)
        loop_run_once(b->loop, true);
    wall = (double)(now_ns() - begin) / 1e9;
    n = (double)b->done;
    qsort(b->samples_us, b->sample_count, sizeof(uint32_t), by_value);
    printf("%-28s %4u %9.0f/s %8.1f us cpu  p50 %6u us  p99 %6u us  calls/op: open %.2f read %.2f "
           "write %.2f sync %.2f\n",
           name, in_flight, n / wall, (double)(cpu_ns() - cpu) / 1e3 / n,
           b->samples_us[b->sample_count / 2], b->samples_us[b->sample_count * 99 / 100],
           (double)(atomic_load(&b->counting.calls[CALLS_OPEN]) - calls[CALLS_OPEN]) / n,
           (double)(atomic_load(&b->counting.calls[CALLS_READ]) - calls[CALLS_READ]) / n,
           (double)(atomic_load(&b->counting.calls[CALLS_WRITE]) - calls[CALLS_WRITE]) / n,
           (double)(atomic_load(&b->counting.calls[CALLS_SYNC]) - calls[CALLS_SYNC]) / n);
    (void)fflush(stdout);
    free(slots);
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static void synced(void *ctx, int status, uint32_t result)
{
    (void)result;
    if (status < 0)
        exit(1);
    *(bool *)ctx = true;
}

static void sync_all(struct bench *b)
{
    bool is_done = false;

    store_sync_pg(b->t, (struct pg_id){0}, synced, &is_done);
    while (!is_done)
        loop_run_once(b->loop, true);
}

static void run(struct bench *b, unsigned in_flight, double seconds)
{
    measure(b, "256 KiB sequential write", sequential, in_flight, seconds);
    sync_all(b);
    measure(b, "256 KiB rewrite", sequential, in_flight, seconds);
    sync_all(b);
    measure(b, "1 MiB read for sendfile", read_big, in_flight, seconds);
    measure(b, "4 KiB random write", random_write, in_flight, seconds);
    sync_all(b);
    measure(b, "4 KiB random write + sync", random_synced, 1, seconds);
    measure(b, "4 KiB random write + sync", random_synced, in_flight, seconds);
    measure(b, "4 KiB random read", read_small, in_flight, seconds);
    measure(b, "100 B append", small_append, in_flight, seconds);
    measure(b, "create of 5,000 B", create, in_flight, seconds);
    sync_all(b);
}

int main(int argc, char **argv)
{
    unsigned in_flight = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 8;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 2;
    struct bench *b = MEM_NEW(struct bench);
    struct store_options o = {.clock = clock_system(), .reserve_percent = 5};
    bool is_closed = false;
    char err[512];

    if (argc < 2 || in_flight == 0) {
        (void)fprintf(stderr, "usage: store_bench DIR [IN_FLIGHT] [SECONDS] [NAME]\n");
        return 2;
    }
    b->only = argc > 4 ? argv[4] : NULL;
    log_init("store_bench", LOG_LEVEL_WARN);
    counting_init(&b->counting);
    rng_seed(&b->rng, 1);
    if (loop_new(&b->loop) < 0)
        return 1;
    b->slabs = slab_pool_new(64 << 20);
    b->data = slab_alloc(b->slabs, OP_BYTES);
    rng_bytes(&b->rng, b->data->data, OP_BYTES);
    (void)crc32c_blocks(b->data->data, OP_BYTES, b->crcs);
    b->samples_us = mem_alloc(SAMPLES_MAX * sizeof(uint32_t));
    o.vfs = &b->counting.vfs;
    o.slabs = b->slabs;
    if (store_new(b->loop, &o, &b->store) < 0 ||
        store_open_target(b->store, argv[1], err, sizeof(err), &b->t) < 0) {
        (void)fprintf(stderr, "store_bench: %s\n", err);
        return 1;
    }
    run(b, in_flight, seconds);
    store_close(b->store, set_true, &is_closed);
    while (!is_closed)
        loop_run_once(b->loop, true);
    store_free(b->store);
    slab_unref(b->data);
    slab_pool_free(b->slabs);
    loop_free(b->loop);
    (void)vfs_remove_all(vfs_posix(), argv[1]);
    free(b->samples_us);
    free(b);
    return 0;
}
