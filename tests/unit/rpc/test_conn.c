/* Two sides that know each other, plain and over TLS: what is sent arrives, once, in order. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/loop.h"
#include "common/slab.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/meta.pb-c.h"
#include "tests/unit/rpc/pair.h"
#include "tests/unit/rpc/scratch.h"

enum { CHUNK = 256 << 10 };

struct world {
    char *certs;
};

static struct world world;

static int make_certs(void **state)
{
    (void)state;
    world.certs = pair_certs_new();
    return world.certs == NULL;
}

static int drop_certs(void **state)
{
    (void)state;
    scratch_free(world.certs);
    return 0;
}

static int setup_plain(void **state)
{
    struct pair *p = pair_new(world.certs, false, false);

    pair_connect(p, NULL);
    *state = p;
    return 0;
}

static int setup_tls(void **state)
{
    struct pair *p = pair_new(world.certs, true, false);

    pair_connect(p, p->client_tls);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    pair_free(*state);
    return 0;
}

static void fill(uint8_t *bytes, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

static void call_is_answered(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    assert_true(conn_call(p->client, ASK_NOTHING, NULL, NULL, PAIR_WAIT_MS, answer_done, &a) != 0);
    assert_int_equal(a.done, 0); /* Never from inside the call. */
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, 0);
    assert_int_equal(p->client_opened, 1);
    assert_true(conn_is_open(p->client));
    pair_pass(p, 5);
    assert_int_equal(a.done, 1);
}

static void error_reply_brings_its_code(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    conn_call(p->client, ASK_ERROR, NULL, NULL, PAIR_WAIT_MS, answer_done, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, -ENOSPC);
    assert_true(conn_is_open(p->client));
}

static void ten_thousand_pipelined_calls_are_answered_once_each(void **state)
{
    enum { COUNT = 10000 };
    struct pair *p = *state;
    struct answer *answers = calloc(COUNT, sizeof(*answers));
    uint64_t counter = 0;

    for (unsigned i = 0; i < COUNT; i++) {
        answers[i].counter = &counter;
        conn_call(p->client, ASK_NOTHING, NULL, NULL, 60000, answer_done, &answers[i]);
    }
    pair_wait(p, &answers[COUNT - 1].done, 1);
    pair_pass(p, 5);
    assert_int_equal(counter, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(answers[i].done == 1 && answers[i].status == 0);
    assert_int_equal(p->requests, COUNT);
    free(answers);
}

static void count_sent(void *ctx)
{
    unsigned *count = ctx;

    ++*count;
}

static void ask_echo(struct pair *p, const uint8_t *bytes, size_t len, struct answer *a,
                     unsigned *sent)
{
    struct slab *slab = slab_alloc(p->slabs, len);
    struct rpc_payload payload = {.file_fd = -1, .part_count = 1};

    memcpy(slab->data, bytes, len);
    payload.parts[0].bytes = slab->data;
    payload.parts[0].len = len;
    payload.parts[0].slab = slab;
    payload.sent = sent != NULL ? count_sent : NULL;
    payload.sent_ctx = sent;
    a->keep = true;
    conn_call(p->client, ASK_ECHO, NULL, &payload, PAIR_WAIT_MS, answer_done, a);
    slab_unref(slab);
}

/* Sizes around all the borders: page, receive buffer, record, the limit itself. */
static void data_of_any_size_comes_back_unchanged(void **state)
{
    static const size_t sizes[] = {1,     4095,   4096,          4097,        16384,
                                   65535, 65536,  CHUNK,         CHUNK + 256, FRAME_DATA_MAX - 1,
                                   333,   100000, FRAME_DATA_MAX};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    struct pair *p = *state;
    uint8_t *bytes = malloc(FRAME_DATA_MAX + COUNT);
    struct answer answers[COUNT] = {0};
    unsigned sent = 0;

    fill(bytes, FRAME_DATA_MAX + COUNT, 1);
    for (unsigned i = 0; i < COUNT; i++)
        ask_echo(p, bytes + i, sizes[i], &answers[i], &sent);
    for (unsigned i = 0; i < COUNT; i++) {
        pair_wait(p, &answers[i].done, 1);
        assert_int_equal(answers[i].status, 0);
        assert_int_equal(answers[i].data_len, sizes[i]);
        assert_memory_equal(answers[i].data, bytes + i, answers[i].data_len);
        free(answers[i].data);
    }
    assert_int_equal(sent, COUNT);
    free(bytes);
}

static void hundred_big_messages_in_flight_come_back_unchanged(void **state)
{
    enum { COUNT = 100 };
    struct pair *p = *state;
    uint8_t *bytes = malloc(CHUNK + COUNT);
    struct answer *answers = calloc(COUNT, sizeof(*answers));

    fill(bytes, CHUNK + COUNT, 2);
    for (unsigned i = 0; i < COUNT; i++)
        ask_echo(p, bytes + i, CHUNK, &answers[i], NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        pair_wait(p, &answers[i].done, 1);
        assert_int_equal(answers[i].status, 0);
        assert_int_equal(answers[i].data_len, CHUNK);
        assert_memory_equal(answers[i].data, bytes + i, CHUNK);
        free(answers[i].data);
    }
    free(answers);
    free(bytes);
}

static void look_at_alignment(void *ctx, int status, const struct rpc_frame *f)
{
    unsigned *done = ctx;

    assert_int_equal(status, 0);
    assert_int_equal(((uintptr_t)f->data_bytes + f->header.data_len) % CHUNK_BLOCK_SIZE, 0);
    assert_true(f->data_bytes >= f->data->data);
    assert_true(f->data_bytes + f->header.data_len <= f->data->data + f->data->capacity);
    ++*done;
}

/* The datanode writes the blocks behind the CRC table straight from the slab. */
static void data_ends_at_a_page_boundary(void **state)
{
    struct pair *p = *state;
    uint8_t table[256] = {1};
    struct slab *slab = slab_alloc(p->slabs, CHUNK);
    struct rpc_payload payload = {.file_fd = -1, .part_count = 2};
    unsigned done = 0;

    memset(slab->data, 2, CHUNK);
    payload.parts[0].bytes = table;
    payload.parts[0].len = sizeof(table);
    payload.parts[1].bytes = slab->data;
    payload.parts[1].len = CHUNK;
    payload.parts[1].slab = slab;
    conn_call(p->client, ASK_ECHO, NULL, &payload, 1000, look_at_alignment, &done);
    slab_unref(slab);
    pair_wait(p, &done, 1);
}

static void make_file(struct pair *p, const uint8_t *bytes, size_t len)
{
    p->file = memfd_create("reply", MFD_CLOEXEC);
    assert_true(p->file >= 0);
    assert_int_equal(write(p->file, bytes, len), (ssize_t)len);
}

static void ask_file(struct pair *p, uint32_t offset, uint32_t len, struct answer *a)
{
    Dfs__ChunkReadRequest ask = DFS__CHUNK_READ_REQUEST__INIT;

    ask.offset = offset;
    ask.len = len;
    a->keep = true;
    conn_call(p->client, ASK_FILE, &ask.base, NULL, 5000, answer_done, a);
}

static void file_is_sent_behind_memory(void **state)
{
    enum { COUNT = 8 };
    struct pair *p = *state;
    uint8_t *bytes = malloc(1 << 20);
    struct answer answers[COUNT] = {0};

    fill(bytes, 1 << 20, 3);
    make_file(p, bytes, 1 << 20);
    for (unsigned i = 0; i < COUNT; i++)
        ask_file(p, i * 4096 + 1, CHUNK, &answers[i]);
    for (unsigned i = 0; i < COUNT; i++) {
        pair_wait(p, &answers[i].done, 1);
        assert_int_equal(answers[i].data_len, 5 + CHUNK);
        assert_memory_equal(answers[i].data, "table", 5);
        assert_memory_equal(answers[i].data + 5, bytes + i * 4096 + 1, CHUNK);
        free(answers[i].data);
    }
    free(bytes);
}

/* The header has promised more: the stream can't be mended, so the connection ends. */
static void file_that_is_too_short_closes_the_connection(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    make_file(p, (const uint8_t *)"short", 5);
    ask_file(p, 0, 4096, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, -ECONNRESET);
    assert_int_equal(p->guest_reason, -ENODATA);
    assert_null(a.data);
}

/* Our own memory, read as a file: what is not mapped is EIO, like a sector that the disk lost. */
static void what_cannot_be_read_comes_as_other_bytes_and_harms_nothing_else(void **state)
{
    struct pair *p = *state;
    uint8_t *map = mmap((void *)(uintptr_t)0x10000000, 5 * 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    struct answer a = {.keep = true}, b = {0};

    assert_true(map != MAP_FAILED);
    memset(map, 'x', 5 * 4096);
    assert_int_equal(munmap(map + 4096, 2 * 4096), 0);
    p->file = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_true(p->file >= 0);
    ask_file(p, (uint32_t)(uintptr_t)map + 100, 4 * 4096, &a);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 0, answer_done, &b);
    pair_wait(p, &b.done, 1);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.data_len, 5 + 4 * 4096);
    for (uint32_t i = 0; i < 4 * 4096; i++) {
        bool is_there = (i + 100) / 4096 != 1 && (i + 100) / 4096 != 2;

        assert_true(is_there ? a.data[5 + i] == 'x' : a.data[5 + i] != 'x' && a.data[5 + i] != 0);
    }
    assert_true(conn_is_open(p->client));
    free(a.data);
    (void)munmap(map, 4096);
    (void)munmap(map + 3 * 4096, 2 * 4096);
}

/* sendfile(2) raises SIGPIPE, and the kernel still holds the file's pages: neither does harm. */
static void peer_that_goes_while_files_are_sent_does_no_harm(void **state)
{
    struct pair *p = *state;
    struct answer answers[32] = {0};
    uint8_t *bytes = calloc(1, 1 << 20);

    make_file(p, bytes, 1 << 20);
    for (unsigned i = 0; i < 32; i++)
        ask_file(p, 0, 1 << 20, &answers[i]);
    pair_wait(p, &p->requests, 4);
    conn_close(p->client, -ECONNRESET);
    pair_wait(p, &p->closed, 1);
    pair_wait(p, &answers[31].done, 1);
    for (unsigned i = 0; i < 32; i++)
        free(answers[i].data);
    free(bytes);
}

static void oneway_messages_arrive_in_order_and_need_no_answer(void **state)
{
    struct pair *p = *state;
    struct slab *slab = slab_alloc(p->slabs, CHUNK);
    struct rpc_payload payload = {.file_fd = -1, .part_count = 1};

    memset(slab->data, 3, CHUNK);
    payload.parts[0].bytes = slab->data;
    payload.parts[0].len = CHUNK;
    payload.parts[0].slab = slab;
    for (unsigned i = 0; i < 10; i++) {
        conn_send_oneway_raw(p->client, MSG_RAFT, "12345", 5);
        conn_send_oneway(p->client, MSG_CHAIN_OP, NULL, &payload);
    }
    slab_unref(slab);
    pair_wait(p, &p->oneways, 20);
    assert_int_equal(p->oneway_bytes, 10 * (CHUNK + 5));
    assert_int_equal(conn_queued_bytes(p->client), 0);
}

static void body_larger_than_the_receive_buffer_arrives(void **state)
{
    struct pair *p = *state;
    struct answer a = {0}, b = {0};

    conn_call(p->client, ASK_BIG_BODY, NULL, NULL, 5000, answer_done, &a);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 5000, answer_done, &b);
    pair_wait(p, &a.done, 1);
    pair_wait(p, &b.done, 1);
    assert_int_equal(a.status, 0);
    assert_int_equal(b.status, 0);
}

/* The other direction of the same connection: the leader pushes to a datanode so. */
static void server_may_call_the_client(void **state)
{
    struct pair *p = *state;
    struct answer a = {0}, b = {0};

    conn_call(p->client, ASK_NOTHING, NULL, NULL, PAIR_WAIT_MS, answer_done, &a);
    pair_wait(p, &a.done, 1);
    conn_call(p->guest, MSG_PG_CONFIG, NULL, NULL, PAIR_WAIT_MS, answer_done, &b);
    pair_wait(p, &b.done, 1);
    assert_int_equal(b.status, -EOPNOTSUPP); /* The pair's client has no on_request. */
}

static void call_times_out_and_the_connection_stays(void **state)
{
    struct pair *p = *state;
    struct answer quick = {0}, slow = {0}, never = {0}, good = {0};

    uint64_t id = conn_call(p->client, ASK_SILENCE, NULL, NULL, 0, answer_done, &never);

    conn_call(p->client, ASK_SILENCE, NULL, NULL, 60, answer_done, &slow);
    conn_call(p->client, ASK_SILENCE, NULL, NULL, 20, answer_done, &quick);
    pair_wait(p, &quick.done, 1);
    assert_int_equal(quick.status, -ETIMEDOUT);
    assert_int_equal(slow.done, 0);
    pair_wait(p, &slow.done, 1);
    assert_int_equal(slow.status, -ETIMEDOUT);
    assert_int_equal(never.done, 0);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, PAIR_WAIT_MS, answer_done, &good);
    pair_wait(p, &good.done, 1);
    assert_int_equal(good.status, 0);
    assert_int_equal(never.done, 0);
    conn_cancel(p->client, id);
}

static void cancelled_call_is_never_told(void **state)
{
    struct pair *p = *state;
    struct answer a = {0}, b = {0};
    uint64_t id = conn_call(p->client, ASK_NOTHING, NULL, NULL, 20, answer_done, &a);

    conn_call(p->client, ASK_NOTHING, NULL, NULL, PAIR_WAIT_MS, answer_done, &b);
    conn_cancel(p->client, id);
    conn_cancel(p->client, id);
    conn_cancel(p->client, 0);
    conn_cancel(p->client, UINT64_MAX);
    pair_wait(p, &b.done, 1);
    pair_pass(p, 30);
    assert_int_equal(a.done, 0);
    assert_int_equal(p->requests, 2);
}

static void closing_peer_fails_all_waiting_calls_once(void **state)
{
    struct pair *p = *state;
    struct answer a = {0}, b = {0}, late = {0};
    unsigned sent = 0;

    conn_call(p->client, ASK_SILENCE, NULL, NULL, 0, answer_done, &a);
    conn_call(p->client, ASK_CLOSE, NULL, NULL, PAIR_WAIT_MS, answer_done, &b);
    pair_wait(p, &p->client_closed, 1);
    assert_int_equal(a.done, 1);
    assert_int_equal(b.done, 1);
    assert_int_equal(a.status, -ECONNRESET);
    assert_int_equal(p->client_reason, -ECONNRESET);

    /* Whoever hears of it late still gets his answer, and later, not at once. */
    ask_echo(p, (const uint8_t *)"x", 1, &late, &sent);
    assert_int_equal(late.done + sent, 0);
    pair_wait(p, &late.done, 1);
    assert_int_equal(late.status, -ECONNRESET);
    assert_int_equal(sent, 1);
    assert_int_equal(p->client_closed, 1);
}

static void own_close_tells_its_reason_to_all(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};
    unsigned sent = 0;
    uint8_t *bytes = calloc(1, CHUNK);

    ask_echo(p, bytes, CHUNK, &a, &sent);
    conn_close(p->client, -ESTALE);
    assert_int_equal(a.done + p->client_closed + sent, 0);
    pair_wait(p, &p->client_closed, 1);
    assert_int_equal(a.status, -ESTALE);
    assert_int_equal(p->client_reason, -ESTALE);
    assert_int_equal(sent, 1);
    free(bytes);
}

static void freed_connection_cancels_its_calls_and_says_no_more(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    conn_call(p->client, ASK_SILENCE, NULL, NULL, 0, answer_done, &a);
    pair_wait(p, &p->opened, 1);
    conn_free(p->client);
    p->client = NULL;
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, -ECANCELED);
    pair_wait(p, &p->closed, 1);
    assert_int_equal(p->client_closed, 0);
}

static void free_it(void *ctx, int status, const struct rpc_frame *f)
{
    struct pair *p = ctx;

    (void)status;
    (void)f;
    conn_free(p->client);
    p->client = NULL;
}

static void connection_may_be_freed_in_a_callback(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    for (unsigned i = 0; i < 10; i++)
        conn_call(p->client, ASK_NOTHING, NULL, NULL, 1000, i == 3 ? free_it : answer_done,
                  i == 3 ? (void *)p : (void *)&a);
    pair_wait(p, &a.done, 9);
    assert_int_equal(a.status, -ECANCELED);
}

static void too_large_messages_fail_alone(void **state)
{
    struct pair *p = *state;
    Dfs__BytesReply big = DFS__BYTES_REPLY__INIT;
    struct answer a = {0}, b = {0};
    struct rpc_payload payload = {.file_fd = p->file, .part_count = 0};
    unsigned sent = 0;

    big.value.len = FRAME_BODY_MAX + 1;
    big.value.data = calloc(1, big.value.len);
    conn_call(p->client, ASK_NOTHING, &big.base, NULL, 0, answer_done, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, -EMSGSIZE);

    payload.file_fd = 0;
    payload.file_len = FRAME_DATA_MAX + 1;
    payload.sent = count_sent;
    payload.sent_ctx = &sent;
    conn_call(p->client, ASK_NOTHING, NULL, &payload, 0, answer_done, &b);
    pair_wait(p, &b.done, 1);
    assert_int_equal(b.status, -EMSGSIZE);
    pair_wait(p, &sent, 1);
    assert_true(conn_is_open(p->client));
    free(big.value.data);
}

static void paused_connection_delivers_later(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    conn_call(p->client, ASK_NOTHING, NULL, NULL, 0, answer_done, &a);
    pair_wait(p, &a.done, 1);
    conn_pause_reading(p->guest, true);
    for (unsigned i = 0; i < 100; i++)
        conn_call(p->client, ASK_NOTHING, NULL, NULL, 0, answer_done, &a);
    pair_pass(p, 20);
    assert_int_equal(a.done, 1);
    conn_pause_reading(p->guest, false);
    pair_wait(p, &a.done, 101);
}

/* The kernel may hold 33 MiB for a reader that reads nothing: as good as read. Every socket of this
 * process holds little from now on. */
static void shrink_sockets(void)
{
    const int size = 64 << 10;

    for (int fd = 3; fd < 256; fd++) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    }
}

static void slow_reader_holds_back_the_queue(void **state)
{
    /* More than the queue's bound below and the sockets together; no more than is queued well within
     * USER_TIMEOUT_MS under TSan: for so long the reader may take nothing. */
    enum { COUNT = 4 };
    struct pair *p = *state;
    struct answer a = {0}, *answers = calloc(COUNT, sizeof(*answers));
    uint8_t *bytes = malloc(FRAME_DATA_MAX);

    fill(bytes, FRAME_DATA_MAX, 5);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 0, answer_done, &a);
    pair_wait(p, &a.done, 1);
    shrink_sockets();
    conn_pause_reading(p->guest, true);
    for (unsigned i = 0; i < COUNT; i++)
        ask_echo(p, bytes, 1 << 20, &answers[i], NULL);
    pair_pass(p, 30);
    assert_true(conn_queued_bytes(p->client) > 1 << 20);
    conn_pause_reading(p->guest, false);
    for (unsigned i = 0; i < COUNT; i++) {
        pair_wait(p, &answers[i].done, 1);
        assert_int_equal(answers[i].status, 0);
        assert_memory_equal(answers[i].data, bytes, 1 << 20);
        free(answers[i].data);
    }
    assert_int_equal(conn_queued_bytes(p->client), 0);
    free(answers);
    free(bytes);
}

static void tls_tells_who_the_peer_is(void **state)
{
    struct pair *p = *state;

    pair_wait(p, &p->opened, 1);
    pair_wait(p, &p->client_opened, 1);
    assert_string_equal(p->guest_name, "c1");
    assert_string_equal(p->guest_role, "client");
    assert_string_equal(conn_peer_name(p->client), "nn1");
    assert_string_equal(conn_peer_role(p->client), "namenode");
    assert_true(conn_is_tls(p->client));
}

static void peer_with_another_role_is_refused(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    conn_want_role(p->client, "datanode");
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 0, answer_done, &a);
    pair_wait(p, &p->client_closed, 1);
    assert_int_equal(p->client_reason, -EACCES);
    assert_int_equal(a.status, -EACCES);
    assert_non_null(
        strstr(conn_close_text(p->client), "is for the role 'namenode', not 'datanode'"));
    assert_int_equal(p->client_opened, 0);
    pair_pass(p, 20);
    assert_int_equal(p->requests, 0); /* Nothing was told to it. */
}

static void peer_with_the_wanted_role_is_taken(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    conn_want_role(p->client, "namenode");
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 0, answer_done, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, 0);
}

static void own_role_is_checked(void **state)
{
    struct pair *p = *state;
    char err[512] = "";

    assert_int_equal(tls_check_role(p->server_tls, "namenode", err, sizeof(err)), 0);
    assert_int_equal(tls_check_role(p->server_tls, "datanode", err, sizeof(err)), -EACCES);
    assert_non_null(strstr(err, "dfs pki issue NAME datanode"));
}

static void counters_count_frames_and_bytes(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    conn_call(p->client, ASK_NOTHING, NULL, NULL, 0, answer_done, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(conn_stats(p->client)->frames_out, 1);
    assert_int_equal(conn_stats(p->client)->frames_in, 1);
    assert_true(conn_stats(p->client)->bytes_out >= 32);
    assert_true(conn_stats(p->client)->bytes_in >= 32);
}

/* Each in both kinds of connection. */
#define BOTH(f)                                                                                    \
    {#f " (plain)", f, setup_plain, teardown, NULL},                                               \
    {                                                                                              \
#f " (tls)", f, setup_tls, teardown, NULL                                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(call_is_answered),
        BOTH(error_reply_brings_its_code),
        BOTH(ten_thousand_pipelined_calls_are_answered_once_each),
        BOTH(data_of_any_size_comes_back_unchanged),
        BOTH(hundred_big_messages_in_flight_come_back_unchanged),
        BOTH(data_ends_at_a_page_boundary),
        BOTH(file_is_sent_behind_memory),
        BOTH(file_that_is_too_short_closes_the_connection),
        BOTH(what_cannot_be_read_comes_as_other_bytes_and_harms_nothing_else),
        BOTH(peer_that_goes_while_files_are_sent_does_no_harm),
        BOTH(oneway_messages_arrive_in_order_and_need_no_answer),
        BOTH(body_larger_than_the_receive_buffer_arrives),
        BOTH(server_may_call_the_client),
        BOTH(call_times_out_and_the_connection_stays),
        BOTH(cancelled_call_is_never_told),
        BOTH(closing_peer_fails_all_waiting_calls_once),
        BOTH(own_close_tells_its_reason_to_all),
        BOTH(freed_connection_cancels_its_calls_and_says_no_more),
        BOTH(connection_may_be_freed_in_a_callback),
        BOTH(too_large_messages_fail_alone),
        BOTH(paused_connection_delivers_later),
        BOTH(slow_reader_holds_back_the_queue),
        BOTH(counters_count_frames_and_bytes),
        cmocka_unit_test_setup_teardown(tls_tells_who_the_peer_is, setup_tls, teardown),
        cmocka_unit_test_setup_teardown(peer_with_another_role_is_refused, setup_tls, teardown),
        cmocka_unit_test_setup_teardown(peer_with_the_wanted_role_is_taken, setup_tls, teardown),
        cmocka_unit_test_setup_teardown(own_role_is_checked, setup_tls, teardown),
    };

    return cmocka_run_group_tests_name("conn", tests, make_certs, drop_certs);
}
