/*
 * See nn.h. One connection, to whoever leads:
 *
 *   SEEKING ──connected──► ATTACHING ──session opened or renewed──► READY
 *      ▲                       │                                      │
 *      └──── refused, not the leader, silent, connection lost ────────┘
 *
 * Every call stays in `calls` until it is answered for good: what a lost connection or a deposed
 * leader left open is sent again, a change with the same seq. The first message to a new leader
 * tells what is open here.
 */
#include "libdfs/nn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/uuid.h"
#include "libdfs/dfs_ll.h"
#include "libdfs/nn_impl.h"
#include "rpc/conn.h"
#include "rpc/msg.h"
#include "rpc/node.pb-c.h"
#include "rpc/token.h"

enum {
    CHANGES_MAX = 256, /* under way at once; more wait here */
    TICK_MS = 100,
    RENEW_MS = 3750,
    SILENCE_MIN_MS = 1000, /* an answer later than this: look for another leader */
    SILENCE_MAX_MS = 8000,
    AGAIN_MS = 20, /* after "too much is under way" */
    CLOSE_MS = 2000,
    FAIL_FAST_MS = 15000,
};

static void pump(struct nn *nn);
static void renew(struct nn *nn, bool reclaim);
static void close_behind(struct nn *nn, uint64_t ino);

static uint64_t now_ns(const struct nn *nn)
{
    return loop_now_ns(nn->loop);
}

/* ---- calls ---- */

static void call_free(struct nn_call *call)
{
    struct nn *nn = call->nn;

    if (call->seq != 0)
        nn->changes_in_flight--;
    DL_DELETE(nn->calls, call);
    buf_done(&call->body);
    free(call);
}

/* Answers the caller, who may make new calls from inside. */
static void call_answer(struct nn_call *call, int status, const Dfs__MetaReply *reply,
                        const struct rpc_frame *f)
{
    if (call->done)
        return;
    call->done = true;
    if (call->ll != NULL) {
        call->ll->interrupt = NULL;
        call->ll->impl = NULL;
        call->ll = NULL;
    }
    if (call->kind == CALL_RAW)
        call->raw_fn(call->ctx, status, f == NULL ? NULL : f->body,
                     f == NULL ? 0 : f->header.body_len);
    else
        call->fn(call->ctx, status, reply);
}

static void call_finish(struct nn_call *call, int status, const Dfs__MetaReply *reply,
                        const struct rpc_frame *f)
{
    call_answer(call, status, reply, f);
    call_free(call);
}

/*
 * The caller will not wait any longer. A read is forgotten; so is what never left. A change that
 * was sent is finished behind its back: its seq must not be left open; and an open, to close it.
 */
void nn_call_abandon(struct nn_call *call, int status)
{
    if (call->was_sent && (call->kind == CALL_CHANGE || call->opens)) {
        call_answer(call, status, NULL, NULL);
        return;
    }
    if (call->sent && call->nn->conn != NULL)
        conn_cancel(call->nn->conn, call->rpc);
    call_finish(call, status, NULL, NULL);
}

static void call_interrupt(struct ll_call *ll)
{
    struct nn_call *call = ll->impl;

    call->interrupted = true;
    /* A change that is with the leader is answered with what came of it, as long as it can be. */
    if (call->kind != CALL_CHANGE || !call->was_sent || call->nn->state != NN_READY)
        nn_call_abandon(call, -EINTR);
}

/*
 * The first call of which that is true, NULL: none. Who answers calls looks from the start after
 * each: the caller may have ended any other from inside its callback.
 */
struct nn_call *nn_call_first(struct nn *nn, bool (*is)(const struct nn_call *call))
{
    struct nn_call *call;

    DL_FOREACH (nn->calls, call) {
        if (is(call))
            return call;
    }
    return NULL;
}

/* Why a request to attach failed: what the namenode said, or how the connection ended. */
static const char *refusal_text(const struct nn *nn, const struct rpc_frame *f,
                                char text[RPC_ERROR_TEXT_MAX])
{
    return f == NULL && nn->conn != NULL ? conn_close_text(nn->conn) : rpc_error_text(f, text);
}

/* ---- the session ---- */

static void attached(struct nn *nn, int64_t leader_time_ns, uint64_t pg_version)
{
    nn->state = NN_READY;
    nn->failures = nn->unheard = 0;
    nn->hint_hops = 0;
    nn->stays = 0;
    nn->lost[0] = '\0';
    nn->backoff_ms = SEEK_BACKOFF_MS;
    nn->renewed_ns = now_ns(nn);
    nn->wall_offset_ns = leader_time_ns - clock_wall_ns(clock_system());
    nn->problem[0] = '\0';
    /* A hint that held becomes the first to try. */
    for (unsigned i = 0; i < nn->addr_count; i++)
        if (nn->hint[0] != '\0' && strcmp(nn->addrs[i], nn->hint) == 0)
            nn->addr_at = i;
    nn_tell_ready(nn, 0);
    if (pg_version != nn->pg_version) {
        nn->pg_version = pg_version;
        nn->ev.pg_version(nn->ev.ctx, pg_version);
    }
    pump(nn);
}

/* The namenodes ended our session. What was sent under it has an outcome that nobody can tell us.
 */
static bool ends_with_session(const struct nn_call *call)
{
    return call->done || (call->kind == CALL_CHANGE && call->was_sent);
}

static void session_lost(struct nn *nn)
{
    struct nn_call *call;

    if (nn->state == NN_CLOSING)
        return;
    log_warn("the session was ended by the namenodes; opening a new one", "session=%" PRIu64,
             nn->session);
    nn->session = 0;
    nn->state = NN_ATTACHING;
    nn_unsend(nn);
    nn->ev.session_lost(nn->ev.ctx);
    while ((call = nn_call_first(nn, ends_with_session)) != NULL)
        call_finish(call, -EIO, NULL, NULL);
    if (nn->state == NN_ATTACHING)
        nn_attach(nn);
}

static void session_opened(void *ctx, int status, const struct rpc_frame *f)
{
    struct nn *nn = ctx;
    CLEANUP_MSG struct msg_arena arena;
    const Dfs__SessionOpenReply *reply;
    char text[RPC_ERROR_TEXT_MAX];
    bool again = nn->told_ready;

    msg_arena_init(&arena);
    nn->attach_rpc = 0;
    if (f == NULL && conn_is_closed(nn->conn))
        return; /* on_closed() is next, and knows why. */
    if (nn_leader_refused(nn, status, f))
        return;
    reply = status < 0 ? NULL
                       : msg_unpack(&arena, &dfs__session_open_reply__descriptor, f->body,
                                    f->header.body_len);
    if (reply == NULL || reply->data_token.len != sizeof(nn->token) ||
        reply->cluster_uuid.len != sizeof(nn->cluster_uuid)) {
        nn_set_problem(nn, nn_present_addr(nn), status < 0 ? status : DFS_EPROTO,
                       refusal_text(nn, f, text));
        nn->silence_ms = MIN(nn->silence_ms * 2, (uint32_t)SILENCE_MAX_MS);
        nn_lost(nn, true);
        nn_seek_again(nn, NULL);
        return;
    }
    nn->silence_ms = SILENCE_MIN_MS;
    nn->session = reply->session;
    nn->next_seq = 1;
    memcpy(nn->token, reply->data_token.data, sizeof(nn->token));
    memcpy(nn->cluster_uuid, reply->cluster_uuid.data, sizeof(nn->cluster_uuid));
    nn->term = reply->term;
    if (again)
        renew(nn, true); /* What is open here was open in the session that ended: told first. */
    else
        attached(nn, reply->leader_time_ns, nn->pg_version);
}

/*
 * It has led anew since we told it what is open here, and has forgotten; until all have told, nothing
 * that is unlinked can go. On a new connection: what is under way on this one would count twice.
 */
static void attach_anew(struct nn *nn)
{
    char addr[sizeof(nn->hint)];

    (void)snprintf(addr, sizeof(addr), "%s", nn_present_addr(nn));
    nn_lost(nn, false);
    nn_seek_again(nn, addr);
}

static void session_renewed(void *ctx, int status, const struct rpc_frame *f)
{
    struct nn *nn = ctx;
    CLEANUP_MSG struct msg_arena arena;
    const Dfs__SessionRenewReply *reply;
    char text[RPC_ERROR_TEXT_MAX];

    msg_arena_init(&arena);
    nn->attach_rpc = 0;
    if (f == NULL && conn_is_closed(nn->conn))
        return; /* on_closed() is next, and knows why. */
    if (nn_leader_refused(nn, status, f))
        return;
    if (status == DFS_ESTALE_SESSION) {
        session_lost(nn);
        return;
    }
    reply = status < 0 ? NULL
                       : msg_unpack(&arena, &dfs__session_renew_reply__descriptor, f->body,
                                    f->header.body_len);
    if (reply == NULL) {
        nn_set_problem(nn, nn_present_addr(nn), status < 0 ? status : DFS_EPROTO,
                       refusal_text(nn, f, text));
        nn->silence_ms = MIN(nn->silence_ms * 2, (uint32_t)SILENCE_MAX_MS);
        nn_lost(nn, true);
        nn_seek_again(nn, NULL);
        return;
    }
    nn->silence_ms = SILENCE_MIN_MS;
    if (reply->term == nn->term) {
        attached(nn, reply->leader_time_ns, reply->pg_version);
        return;
    }
    nn->term = reply->term; /* It leads since then, and has taken nothing of what we told. */
    if (nn->state == NN_READY)
        attach_anew(nn);
    else
        renew(nn, true);
}

/* Every seq below it has been answered. */
static uint64_t ack_floor(const struct nn *nn)
{
    const struct nn_call *call;
    uint64_t floor = nn->next_seq;

    DL_FOREACH (nn->calls, call) {
        if (call->seq != 0)
            floor = MIN(floor, call->seq);
    }
    return floor;
}

static void renew(struct nn *nn, bool reclaim)
{
    Dfs__SessionRenewRequest req = DFS__SESSION_RENEW_REQUEST__INIT;
    uint64_t *inos = NULL;
    size_t count = 0;

    if (reclaim)
        nn->ev.open_inodes(nn->ev.ctx, &inos, &count);
    req.session = nn->session;
    req.ack_floor = ack_floor(nn);
    req.reclaim = reclaim;
    req.term = nn->term;
    req.open_inos = inos;
    req.n_open_inos = count;
    nn->renewed_ns = now_ns(nn);
    nn->attach_rpc = conn_call(nn->conn, MSG_SESSION_RENEW, &req.base, NULL, nn->silence_ms,
                               session_renewed, nn);
    free(inos);
}

void nn_attach(struct nn *nn)
{
    Dfs__SessionOpenRequest req;

    dfs__session_open_request__init(&req);
    if (nn->conn == NULL)
        return;
    if (nn->session != 0) {
        renew(nn, true);
        return;
    }
    req.client_uuid =
        (ProtobufCBinaryData){.data = nn->client_uuid.b, .len = sizeof(nn->client_uuid.b)};
    req.name = nn->client_name;
    nn->attach_rpc = conn_call(nn->conn, MSG_SESSION_OPEN, &req.base, NULL, nn->silence_ms * 2,
                               session_opened, nn);
}

/* ---- sending and receiving ---- */

/* Not done, and not to be told to the caller: once more, in a moment. */
static void call_again(struct nn_call *call, int status)
{
    struct nn *nn = call->nn;

    call->not_before_ns = now_ns(nn) + AGAIN_MS * CLOCK_NS_PER_MS;
    if (!loop_timer_is_active(nn->again))
        loop_timer_start(nn->again, AGAIN_MS + 1, 0);
    if (status != -EAGAIN || call->seq == 0 || call->sent_twice)
        return;
    /* It never came to the log: its seq is of no use, and would hold back the floor. */
    call->seq = 0;
    call->was_sent = false;
    nn->changes_in_flight--;
}

static void call_answered(struct nn_call *call, const Dfs__MetaReply *reply)
{
    struct nn *nn = call->nn;
    bool nobody_has_it = call->done && call->opens && reply->status == 0 &&
                         reply->result_case == DFS__META_REPLY__RESULT_ENTRY &&
                         reply->entry->attr != NULL;

    call_finish(call, 0, reply, NULL);
    if (nobody_has_it && nn->state != NN_CLOSING)
        close_behind(nn, reply->entry->attr->ino);
}

static void on_reply(void *ctx, int status, const struct rpc_frame *f)
{
    struct nn_call *call = ctx;
    struct nn *nn = call->nn;
    CLEANUP_MSG struct msg_arena arena;
    const Dfs__MetaReply *reply = NULL;

    msg_arena_init(&arena);
    call->sent = false;
    if (nn_leader_refused(nn, status, f))
        return;
    if (status == 0 && call->kind != CALL_RAW)
        reply = msg_unpack(&arena, &dfs__meta_reply__descriptor, f->body, f->header.body_len);
    if (status == DFS_ESTALE_SESSION || (reply != NULL && reply->status == DFS_ESTALE_SESSION)) {
        session_lost(nn);
        return;
    }
    if (status == -EAGAIN || status == DFS_EBUSY_WINDOW ||
        (reply != NULL && reply->status == DFS_EBUSY_WINDOW)) {
        call_again(call, status);
        return;
    }
    if (status < 0 && status != -EMSGSIZE && (f == NULL || call->kind == CALL_RAW)) {
        /* Silence, or a connection that is about to be closed: ask again, elsewhere. */
        if (status == -ETIMEDOUT && nn->state == NN_READY) {
            nn_set_problem(nn, nn_present_addr(nn), status, "no answer in time");
            nn->silence_ms = MIN(nn->silence_ms * 2, (uint32_t)SILENCE_MAX_MS);
            nn_lost(nn, true);
            nn_seek_again(nn, NULL);
        } else {
            call_again(call, status);
        }
        return;
    }
    nn->silence_ms = SILENCE_MIN_MS;
    if (call->kind == CALL_RAW)
        call_finish(call, status, NULL, f);
    else if (reply == NULL)
        call_finish(call, dfs_error_is_own(status) || status == 0 ? -EIO : status, NULL, NULL);
    else
        call_answered(call, reply);
    pump(nn);
}

/* Repeated and concatenated fields are one message: what changes at each sending goes in front. */
static void call_send(struct nn *nn, struct nn_call *call)
{
    CLEANUP_BUF struct buf out = {0};
    Dfs__MetaRequest head = DFS__META_REQUEST__INIT;

    if (call->kind == CALL_CHANGE && call->seq == 0) {
        call->seq = nn->next_seq++;
        nn->changes_in_flight++;
    }
    if (call->kind != CALL_RAW) {
        head.session = nn->session;
        head.seq = call->seq;
        head.ack_floor = call->seq == 0 ? 0 : ack_floor(nn);
        (void)msg_pack(&out, &head.base);
    }
    buf_append(&out, call->body.data, call->body.len);
    call->sent = true;
    call->sent_twice = call->was_sent;
    call->was_sent = true;
    nn->rpc_count++;
    call->rpc =
        conn_call_raw(nn->conn, call->type, out.data, out.len, nn->silence_ms, on_reply, call);
}

/* The namenodes keep so many answers of a session; one that is stuck must not push others out. */
static bool window_is_open(const struct nn *nn)
{
    return nn->changes_in_flight < CHANGES_MAX &&
           nn->next_seq - ack_floor(nn) < SESSION_REPLIES_MAX;
}

static bool call_may_go(const struct nn *nn, const struct nn_call *call)
{
    return !call->sent && call->not_before_ns <= now_ns(nn) &&
           (call->kind != CALL_CHANGE || call->seq != 0 || window_is_open(nn));
}

static void pump(struct nn *nn)
{
    struct nn_call *call;

    if (nn->state != NN_READY)
        return;
    DL_FOREACH (nn->calls, call) {
        if (call_may_go(nn, call))
            call_send(nn, call);
    }
}

static bool is_late(const struct nn_call *call)
{
    return !call->done && call->deadline_ns != 0 && now_ns(call->nn) >= call->deadline_ns;
}

static void tick(void *ctx)
{
    struct nn *nn = ctx;
    struct nn_call *call;

    if (nn->state == NN_READY && nn->attach_rpc == 0 &&
        now_ns(nn) - nn->renewed_ns >= RENEW_MS * CLOCK_NS_PER_MS)
        renew(nn, false);
    while ((call = nn_call_first(nn, is_late)) != NULL)
        nn_call_abandon(call, -ETIMEDOUT);
}

static void pump_again(void *ctx)
{
    struct nn *nn = ctx;
    struct nn_call *call;

    pump(nn);
    DL_FOREACH (nn->calls, call) {
        if (call->not_before_ns > now_ns(nn)) {
            loop_timer_start(nn->again, AGAIN_MS, 0);
            break;
        }
    }
}

static struct nn_call *call_new(struct nn *nn, enum call_kind kind, uint16_t type, void *ctx)
{
    struct nn_call *call = MEM_NEW(struct nn_call);

    call->nn = nn;
    call->kind = kind;
    call->type = type;
    call->ctx = ctx;
    if (nn->io_timeout_ms != 0)
        call->deadline_ns = now_ns(nn) + nn->io_timeout_ms * CLOCK_NS_PER_MS;
    DL_APPEND(nn->calls, call);
    return call;
}

static void call_start(struct nn *nn, struct nn_call *call)
{
    if (nn->state == NN_READY && call_may_go(nn, call))
        call_send(nn, call);
}

void nn_call(struct nn *nn, struct ll_call *ll, Dfs__MetaRequest *req, nn_reply_fn fn, void *ctx)
{
    bool read = req->op_case >= DFS__META_REQUEST__OP_LOOKUP &&
                req->op_case <= DFS__META_REQUEST__OP_LAYOUT;
    struct nn_call *call = call_new(nn, read ? CALL_READ : CALL_CHANGE, MSG_META, ctx);

    req->session = 0;
    req->seq = 0;
    req->ack_floor = 0;
    (void)msg_pack(&call->body, &req->base);
    call->fn = fn;
    call->opens = req->op_case == DFS__META_REQUEST__OP_OPEN ||
                  (req->op_case == DFS__META_REQUEST__OP_CREATE && req->create->open);
    if (ll != NULL) {
        call->ll = ll;
        ll->impl = call;
        ll->interrupt = call_interrupt;
    }
    call_start(nn, call);
}

static void closed_behind(void *ctx, int status, const Dfs__MetaReply *reply)
{
    (void)ctx;
    (void)status;
    (void)reply;
}

/* What was opened for somebody who had gone by then. */
static void close_behind(struct nn *nn, uint64_t ino)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CloseOp op = DFS__CLOSE_OP__INIT;

    op.inos = &ino;
    op.n_inos = 1;
    req.op_case = DFS__META_REQUEST__OP_CLOSE;
    req.close = &op;
    nn_call(nn, NULL, &req, closed_behind, NULL);
}

void nn_call_raw(struct nn *nn, uint16_t type, const ProtobufCMessage *body, nn_raw_fn fn,
                 void *ctx)
{
    struct nn_call *call = call_new(nn, CALL_RAW, type, ctx);

    (void)msg_pack(&call->body, body);
    call->raw_fn = fn;
    call_start(nn, call);
}

/* ---- life ---- */

static int parse_addrs(struct nn *nn, const char *list)
{
    char *copy = mem_strdup(list), *save = NULL;
    int r = 0;

    for (char *a = strtok_r(copy, ", ", &save); a != NULL; a = strtok_r(NULL, ", ", &save)) {
        if (nn->addr_count == NAMENODE_ADDRS_MAX || strlen(a) >= ADDR_TEXT_MAX) {
            r = -EINVAL;
            break;
        }
        nn->addrs[nn->addr_count++] = mem_strdup(a);
    }
    free(copy);
    return nn->addr_count == 0 ? -EINVAL : r;
}

static void nn_free(struct nn *nn)
{
    nn_disconnect(nn);
    while (nn->calls != NULL)
        call_finish(nn->calls, -ECANCELED, NULL, NULL);
    loop_timer_free(nn->seek_timer);
    loop_timer_free(nn->tick);
    loop_timer_free(nn->again);
    for (unsigned i = 0; i < nn->addr_count; i++)
        free(nn->addrs[i]);
    free(nn->client_name);
    free(nn);
}

int nn_new(struct loop *loop, struct slab_pool *slabs, const struct nn_options *o, bool fail_fast,
           const struct nn_events *ev, struct nn **ret_nn)
{
    struct nn *nn = MEM_NEW(struct nn);
    int r;

    nn->loop = loop;
    nn->slabs = slabs;
    nn->tls = o->tls;
    nn->io_timeout_ms = o->io_timeout_ms;
    nn->client_name = mem_strdup(o->client_name == NULL ? "" : o->client_name);
    nn->ev = *ev;
    nn->fail_fast = fail_fast;
    nn->give_up_ns = now_ns(nn) + FAIL_FAST_MS * CLOCK_NS_PER_MS;
    nn->backoff_ms = SEEK_BACKOFF_MS;
    nn->silence_ms = SILENCE_MIN_MS;
    nn->client_uuid = uuid_new();
    nn->next_seq = 1;
    nn->seek_timer = loop_timer_new(loop, nn_seek, nn);
    nn->tick = loop_timer_new(loop, tick, nn);
    nn->again = loop_timer_new(loop, pump_again, nn);
    r = parse_addrs(nn, o->namenodes);
    if (r < 0) {
        nn_free(nn);
        return r;
    }
    loop_timer_start(nn->tick, TICK_MS, TICK_MS);
    loop_timer_start(nn->seek_timer, 0, 0);
    *ret_nn = nn;
    return 0;
}

static void close_end(void *ctx)
{
    struct nn *nn = ctx;
    void (*closed)(void *) = nn->closed;
    void *closed_ctx = nn->closed_ctx;

    nn_free(nn);
    closed(closed_ctx);
}

static void session_closed(void *ctx, int status, const struct rpc_frame *f)
{
    struct nn *nn = ctx;

    (void)status;
    (void)f;
    loop_post(nn->loop, close_end, nn); /* Not from inside the connection's own callback. */
}

void nn_close(struct nn *nn, void (*done)(void *ctx), void *ctx)
{
    Dfs__SessionCloseRequest req = DFS__SESSION_CLOSE_REQUEST__INIT;
    bool ready = nn->state == NN_READY;

    nn->state = NN_CLOSING;
    nn->closed = done;
    nn->closed_ctx = ctx;
    loop_timer_stop(nn->tick);
    loop_timer_stop(nn->again);
    loop_timer_stop(nn->seek_timer);
    if (nn->conn != NULL)
        conn_cancel(nn->conn, nn->attach_rpc);
    nn->attach_rpc = 0;
    if (!ready) {
        loop_post(nn->loop, close_end, nn);
        return;
    }
    req.session = nn->session;
    conn_call(nn->conn, MSG_SESSION_CLOSE, &req.base, NULL, CLOSE_MS, session_closed, nn);
}

const char *nn_problem(const struct nn *nn)
{
    return nn->problem;
}

uint64_t nn_session(const struct nn *nn)
{
    return nn->session;
}

const uint8_t *nn_data_token(const struct nn *nn)
{
    return nn->token;
}

const uint8_t *nn_cluster_uuid(const struct nn *nn)
{
    return nn->cluster_uuid;
}

int64_t nn_wall_ns(const struct nn *nn)
{
    return clock_wall_ns(clock_system()) + nn->wall_offset_ns;
}

uint64_t nn_rpc_count(const struct nn *nn)
{
    return nn->rpc_count;
}
