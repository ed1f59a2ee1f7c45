#include "tests/unit/rpc/pair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/loop.h"
#include "common/slab.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/meta.pb-c.h"
#include "rpc/msg.h"
#include "rpc/pki.h"
#include "tests/unit/rpc/scratch.h"

char *pair_certs_new(void)
{
    char *dir = scratch_new(), *other = scratch_new();
    char from[300], to[300];

    assert_int_equal(pki_ca_create(dir, "home", NULL, 0), 0);
    assert_int_equal(pki_issue(dir, "nn1", "namenode", NULL, 0, dir, NULL, 0), 0);
    assert_int_equal(pki_issue(dir, "c1", "client", NULL, 0, dir, NULL, 0), 0);
    assert_int_equal(pki_ca_create(other, "away", NULL, 0), 0);
    assert_int_equal(pki_issue(other, "stranger", "client", NULL, 0, dir, NULL, 0), 0);
    snprintf(from, sizeof(from), "%s/ca.crt", other);
    snprintf(to, sizeof(to), "%s/other-ca.crt", dir);
    assert_int_equal(rename(from, to), 0);
    scratch_free(other);
    return dir;
}

struct tls *pair_tls(const char *dir, const char *ca, const char *name)
{
    char a[300], b[300], c[300], err[512];
    struct tls *t = NULL;

    snprintf(a, sizeof(a), "%s/%s.crt", dir, ca);
    snprintf(b, sizeof(b), "%s/%s.crt", dir, name);
    snprintf(c, sizeof(c), "%s/%s.key", dir, name);
    assert_int_equal(tls_new(a, b, c, &t, err, sizeof(err)), 0);
    return t;
}

static void reply_file(struct pair *p, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__ChunkReadReply reply = DFS__CHUNK_READ_REPLY__INIT;
    Dfs__ChunkReadRequest *ask;
    struct rpc_payload payload = {.file_fd = p->file};

    msg_arena_init(&arena);
    ask = msg_unpack(&arena, &dfs__chunk_read_request__descriptor, f->body, f->header.body_len);
    assert_non_null(ask);
    payload.file_offset = ask->offset;
    payload.file_len = ask->len;
    payload.parts[0].bytes = "table";
    payload.parts[0].len = 5;
    payload.part_count = 1;
    conn_reply(c, f->header.type, f->header.rpc_id, &reply.base, &payload);
}

static void reply_big_body(struct conn *c, const struct rpc_frame *f)
{
    Dfs__BytesReply reply = DFS__BYTES_REPLY__INIT;
    uint8_t *bytes = calloc(1, 3 << 20);

    reply.value.data = bytes;
    reply.value.len = 3 << 20;
    conn_reply(c, f->header.type, f->header.rpc_id, &reply.base, NULL);
    free(bytes);
}

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    struct pair *p = ctx;
    struct rpc_payload payload = {.file_fd = -1};

    p->guest = c;
    if (f->header.flags & FRAME_ONEWAY) {
        p->oneways++;
        p->oneway_bytes += f->header.body_len + f->header.data_len;
        return;
    }
    p->requests++;
    switch (f->header.type) {
    case ASK_NOTHING:
        conn_reply(c, f->header.type, f->header.rpc_id, NULL, NULL);
        break;
    case ASK_ECHO:
        payload.parts[0].bytes = f->data_bytes;
        payload.parts[0].len = f->header.data_len;
        payload.parts[0].slab = f->data;
        payload.part_count = 1;
        conn_reply(c, f->header.type, f->header.rpc_id, NULL, &payload);
        break;
    case ASK_FILE:
        reply_file(p, c, f);
        break;
    case ASK_ERROR:
        conn_reply_error(c, f->header.type, f->header.rpc_id, -ENOSPC, "full: %d", 7);
        break;
    case ASK_CLOSE:
        conn_close(c, -ECANCELED);
        break;
    case ASK_BIG_BODY:
        reply_big_body(c, f);
        break;
    default:
        break;
    }
}

static void on_open(void *ctx, struct conn *c)
{
    struct pair *p = ctx;

    p->guest = c;
    p->opened++;
    snprintf(p->guest_name, sizeof(p->guest_name), "%s", conn_peer_name(c));
    snprintf(p->guest_role, sizeof(p->guest_role), "%s", conn_peer_role(c));
}

static void on_closed(void *ctx, struct conn *c, int reason)
{
    struct pair *p = ctx;

    p->closed++;
    p->guest_reason = reason;
    p->guest = NULL;
    snprintf(p->guest_text, sizeof(p->guest_text), "%s", conn_close_text(c));
}

static void client_opened(void *ctx, struct conn *c)
{
    struct pair *p = ctx;

    (void)c;
    p->client_opened++;
}

static void client_closed(void *ctx, struct conn *c, int reason)
{
    struct pair *p = ctx;

    (void)c;
    p->client_closed++;
    p->client_reason = reason;
}

void answer_done(void *ctx, int status, const struct rpc_frame *f)
{
    struct answer *a = ctx;

    a->done++;
    a->status = status;
    if (a->counter != NULL)
        ++*a->counter;
    if (f == NULL)
        return;
    a->data_len = f->header.data_len;
    if (a->keep && f->header.data_len > 0) {
        free(a->data);
        a->data = malloc(f->header.data_len);
        memcpy(a->data, f->data_bytes, f->header.data_len);
    }
}

struct pair *pair_new(const char *certs, bool tls, bool allow_plain)
{
    struct pair *p = calloc(1, sizeof(*p));
    struct conn_handlers h = {
        .on_request = on_request, .on_open = on_open, .on_closed = on_closed, .ctx = p};
    struct server_options o = {.listen_addr = "127.0.0.1:0", .conn_count_max = 8};

    p->file = -1;
    assert_int_equal(loop_new(&p->loop), 0);
    p->slabs = slab_pool_new(4 << 20);
    if (tls) {
        p->server_tls = pair_tls(certs, "ca", "nn1");
        p->client_tls = pair_tls(certs, "ca", "c1");
    }
    o.tls = p->server_tls;
    o.allow_plain = allow_plain;
    assert_int_equal(server_new(p->loop, p->slabs, &o, &h, &p->server), 0);
    return p;
}

void pair_connect(struct pair *p, struct tls *tls)
{
    struct conn_handlers h = {.on_open = client_opened, .on_closed = client_closed, .ctx = p};

    assert_int_equal(conn_connect(p->loop, p->slabs, server_addr(p->server), tls, &h, &p->client),
                     0);
}

void pair_free(struct pair *p)
{
    conn_free(p->client);
    server_free(p->server);
    loop_run_once(p->loop, false);
    tls_free(p->server_tls);
    tls_free(p->client_tls);
    loop_free(p->loop);
    slab_pool_free(p->slabs);
    if (p->file >= 0)
        close(p->file);
    free(p);
}

static void time_is_up(void *ctx)
{
    struct pair *p = ctx;

    p->out_of_time = true;
}

void pair_wait(struct pair *p, const unsigned *value, unsigned want)
{
    struct loop_timer *t = loop_timer_new(p->loop, time_is_up, p);

    p->out_of_time = false;
    loop_timer_start(t, PAIR_WAIT_MS, 0);
    while (*value < want && !p->out_of_time)
        loop_run_once(p->loop, true);
    loop_timer_free(t);
    assert_true(*value >= want);
}

void pair_pass(struct pair *p, uint64_t ms)
{
    struct loop_timer *t = loop_timer_new(p->loop, time_is_up, p);

    p->out_of_time = false;
    loop_timer_start(t, ms, 0);
    while (!p->out_of_time)
        loop_run_once(p->loop, true);
    loop_timer_free(t);
}
