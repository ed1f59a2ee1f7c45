/*
 * What the wire costs, by hand: a server and a client, each with its own loop and thread, over
 * loopback. Prints round trips, pipelined calls and bulk transfer, plain and over TLS, with the CPU
 * of both sides together.
 *
 *   bench/rpc_bench [SECONDS_PER_FIGURE]
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "rpc/conn.h"
#include "rpc/pki.h"
#include "rpc/server.h"
#include "rpc/tls.h"

enum {
    BULK_BYTES = 256 << 10,
    BULK_WINDOW = 16,
    SMALL_WINDOW = 256,
    WRITE_TO_SERVER = MSG_CHUNK_OP,
    READ_FROM_MEMORY = MSG_SYNC_READ,
    READ_FROM_FILE = MSG_CHUNK_READ,
};

struct side {
    struct loop *loop;
    struct slab_pool *slabs;
    struct tls *tls;
};

struct bench {
    struct side server_side, client_side;
    struct server *server;
    struct slab *bulk; /* the server's */
    int file;
    pthread_t thread;

    struct conn *conn;
    uint16_t type;
    struct slab *payload; /* the client's, or NULL */
    uint64_t done, end_ns;
    unsigned flying;
    bool failed;
};

static void serve(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    struct bench *b = ctx;
    struct rpc_payload p = {.file_fd = -1};

    if (f->header.type == READ_FROM_MEMORY) {
        p.parts[0].bytes = b->bulk->data;
        p.parts[0].len = BULK_BYTES;
        p.parts[0].slab = b->bulk;
        p.part_count = 1;
    } else if (f->header.type == READ_FROM_FILE) {
        p.file_fd = b->file;
        p.file_len = BULK_BYTES;
    }
    conn_reply(c, f->header.type, f->header.rpc_id, NULL, &p);
}

static void *server_thread(void *arg)
{
    struct bench *b = arg;

    loop_run(b->server_side.loop);
    server_free(b->server);
    loop_run_once(b->server_side.loop, false);
    return NULL;
}

static void stop_server(void *ctx)
{
    loop_stop(ctx);
}

static void next_call(struct bench *b);

static void answered(void *ctx, int status, const struct rpc_frame *f)
{
    struct bench *b = ctx;

    (void)f;
    b->flying--;
    b->done++;
    if (status < 0)
        b->failed = true;
    next_call(b);
}

static void next_call(struct bench *b)
{
    struct rpc_payload p = {.file_fd = -1};

    if (b->failed || clock_monotonic_ns(clock_system()) >= b->end_ns) {
        if (b->flying == 0)
            loop_stop(b->client_side.loop);
        return;
    }
    if (b->payload != NULL) {
        p.parts[0].bytes = b->payload->data;
        p.parts[0].len = BULK_BYTES;
        p.parts[0].slab = b->payload;
        p.part_count = 1;
    }
    b->flying++;
    (void)conn_call(b->conn, b->type, NULL, &p, 10000, answered, b);
}

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void run(struct bench *b, const char *what, uint16_t type, struct slab *payload,
                unsigned window, double seconds, bool is_bulk)
{
    uint64_t start = clock_monotonic_ns(clock_system());
    double cpu = cpu_seconds(), elapsed, count;

    b->type = type;
    b->payload = payload;
    b->done = 0;
    b->end_ns = start + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < window; i++)
        next_call(b);
    loop_run(b->client_side.loop);
    elapsed = (double)(clock_monotonic_ns(clock_system()) - start) / 1e9;
    cpu = cpu_seconds() - cpu;
    count = (double)b->done;
    if (b->failed)
        printf("  %-28s FAILED\n", what);
    else if (is_bulk)
        printf("  %-28s %8.2f GB/s  %6.3f CPU-ms/MiB\n", what, count * BULK_BYTES / elapsed / 1e9,
               cpu * 1e3 / (count * BULK_BYTES / MIB));
    else
        printf("  %-28s %8.0f /s    %6.1f us each  %5.1f CPU-us each\n", what, count / elapsed,
               elapsed * 1e6 / count * window, cpu * 1e6 / count);
}

static int side_init(struct side *s, const char *dir, const char *name)
{
    char ca[300], crt[300], key[300], err[512];
    int r;

    r = loop_new(&s->loop);
    if (r < 0)
        return r;
    s->slabs = slab_pool_new(64 << 20);
    if (dir == NULL)
        return 0;
    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
    (void)snprintf(crt, sizeof(crt), "%s/%s.crt", dir, name);
    (void)snprintf(key, sizeof(key), "%s/%s.key", dir, name);
    return tls_new(ca, crt, key, &s->tls, err, sizeof(err));
}

static void side_done(struct side *s)
{
    loop_run_once(s->loop, false);
    tls_free(s->tls);
    loop_free(s->loop);
    slab_pool_free(s->slabs);
}

static int setup(struct bench *b, const char *dir)
{
    struct server_options o = {.listen_addr = "127.0.0.1:0", .conn_count_max = 4};
    struct conn_handlers sh = {.on_request = serve, .ctx = b}, ch = {0};
    int r;

    r = side_init(&b->server_side, dir, "s");
    if (r == 0)
        r = side_init(&b->client_side, dir, "c");
    if (r < 0)
        return r;
    b->bulk = slab_alloc(b->server_side.slabs, BULK_BYTES);
    memset(b->bulk->data, 7, BULK_BYTES);
    b->file = memfd_create("bulk", MFD_CLOEXEC);
    if (b->file < 0 || write(b->file, b->bulk->data, BULK_BYTES) != BULK_BYTES)
        return -1;
    o.tls = b->server_side.tls;
    r = server_new(b->server_side.loop, b->server_side.slabs, &o, &sh, &b->server);
    if (r < 0)
        return r;
    r = conn_connect(b->client_side.loop, b->client_side.slabs, server_addr(b->server),
                     b->client_side.tls, &ch, &b->conn);
    if (r < 0)
        return r;
    return -pthread_create(&b->thread, NULL, server_thread, b);
}

static int measure(const char *title, const char *dir, double seconds)
{
    struct bench b = {0};
    struct slab *payload;
    int r = setup(&b, dir);

    if (r < 0) {
        fprintf(stderr, "rpc_bench: can't set up: %s\n", strerror(-r));
        return 1;
    }
    payload = slab_alloc(b.client_side.slabs, BULK_BYTES);
    memset(payload->data, 9, BULK_BYTES);
    printf("%s\n", title);
    run(&b, "warm-up", MSG_PING, NULL, 1, seconds / 10, false);
    run(&b, "round trip", MSG_PING, NULL, 1, seconds, false);
    run(&b, "8 in flight", MSG_PING, NULL, 8, seconds, false);
    run(&b, "256 in flight", MSG_PING, NULL, SMALL_WINDOW, seconds, false);
    run(&b, "256 KiB to the server", WRITE_TO_SERVER, payload, BULK_WINDOW, seconds, true);
    run(&b, "256 KiB from its memory", READ_FROM_MEMORY, NULL, BULK_WINDOW, seconds, true);
    run(&b, "256 KiB from a file", READ_FROM_FILE, NULL, BULK_WINDOW, seconds, true);
    run(&b, "256 KiB to it, one by one", WRITE_TO_SERVER, payload, 1, seconds, true);

    slab_unref(payload);
    conn_free(b.conn);
    loop_post(b.server_side.loop, stop_server, b.server_side.loop);
    (void)pthread_join(b.thread, NULL);
    slab_unref(b.bulk);
    side_done(&b.client_side);
    side_done(&b.server_side);
    (void)close(b.file);
    return b.failed;
}

static void remove_certs(const char *dir)
{
    static const char *const files[] = {"ca.crt", "ca.key", "s.crt", "s.key", "c.crt", "c.key"};
    char path[300];

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/dfs-rpc-bench-XXXXXX";
    double seconds = argc > 1 ? atof(argv[1]) : 1.0;
    int r;

    if (seconds <= 0 || mkdtemp(dir) == NULL) {
        fprintf(stderr, "usage: rpc_bench [SECONDS_PER_FIGURE]\n");
        return 2;
    }
    r = measure("plain", NULL, seconds);
    if (pki_ca_create(dir, "bench", NULL, 0) < 0 ||
        pki_issue(dir, "s", "datanode", NULL, 0, dir, NULL, 0) < 0 ||
        pki_issue(dir, "c", "client", NULL, 0, dir, NULL, 0) < 0)
        r = 1;
    else
        r |= measure("TLS 1.3", dir, seconds);
    remove_certs(dir);
    return r;
}
