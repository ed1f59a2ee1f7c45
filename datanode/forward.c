/*
 * Neighbours in a chain. One connection to each datanode carries the traffic of all PGs that we
 * share with it, operations one way and acknowledgements back.
 *
 * A connection that breaks is tried again at once, and only a datanode that then cannot be reached
 * is accused: so a dead process is known within milliseconds, and a lost connection costs nobody
 * its place.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "datanode/dn.h"
#include "datanode/wire.h"
#include "rpc/msg.h"
#include "rpc/token.h"

enum { HELLO_TIMEOUT_MS = 5000, HELLO_OVERDUE_MS = 9000, CONFIRM_PGS_MAX = 4096 };

/* ---- connections ---- */

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    static const struct dn_guest peer = {.is_peer = true};
    struct dn_peer *p = ctx;

    dn_on_request(p->dn, c, f, &peer);
}

static bool lives_at(const struct dn *dn, struct target_id target, const char *addr)
{
    const struct dn_place *place = dn_place_find(dn, target.v);

    return place != NULL && strcmp(place->addr, addr) == 0;
}

static void on_closed(void *ctx, struct conn *c, int reason)
{
    struct dn_peer *p = ctx;
    struct dn *dn = p->dn;
    bool was_open = p->was_open, is_needed = false;
    struct dn_pg *pg, *tmp;

    log_debug("connection to a datanode is gone", "addr=%s why=\"%s\"", p->addr,
              dfs_strerror(reason));
    conn_free(c);
    p->conn = NULL;
    p->was_open = false;
    if (dn->is_stopping)
        return;

    HASH_ITER (hh, dn->pgs, pg, tmp) {
        struct chain_place place = *chain_place_of(pg->chain);

        if (place.role == CHAIN_OUT)
            continue;
        if (lives_at(dn, place.pred.target, p->addr)) {
            is_needed = true;
            if (!was_open)
                pg_step(pg, &(struct chain_event){.kind = CHAIN_EV_PEER_DEAD,
                                                  .from = place.pred.target});
        }
        if (pg->succ_peer == p && lives_at(dn, place.succ.target, p->addr))
            pg_step(pg,
                    &(struct chain_event){.kind = CHAIN_EV_LINK_DOWN, .from = place.succ.target});
    }
    if (was_open && is_needed && p->conn == NULL)
        (void)forward_peer(dn, p->addr);
}

static void on_open(void *ctx, struct conn *c)
{
    struct dn_peer *p = ctx;

    (void)c;
    p->was_open = true;
}

static void hello_said(void *ctx, int status, const struct rpc_frame *f)
{
    struct dn_peer *p = ctx;
    char text[RPC_ERROR_TEXT_MAX];

    if (status < 0 && f != NULL && p->conn != NULL) {
        log_warn("another datanode does not let us in", "addr=%s error=\"%s\" text=\"%s\"", p->addr,
                 dfs_strerror(status), rpc_error_text(f, text));
        conn_close(p->conn, status);
    }
}

/* Beside TLS a plain connection shows that its owner has the cluster's key. */
static void say_hello(struct dn *dn, struct dn_peer *p)
{
    Dfs__DataHello m;
    uint8_t token[TOKEN_BYTES];

    dfs__data_hello__init(&m);
    if (token_make(dn->data_key, dn->data_key_len, 0, token) == 0)
        m.token = (ProtobufCBinaryData){sizeof(token), token};
    m.cluster_uuid = (ProtobufCBinaryData){sizeof(dn->cluster.b), dn->cluster.b};
    m.peer = true;
    m.node = dn->conf->node;
    (void)conn_call(p->conn, MSG_DATA_HELLO, &m.base, NULL, HELLO_TIMEOUT_MS, hello_said, p);
}

struct dn_peer *forward_peer(struct dn *dn, const char *addr)
{
    struct dn_peer *p = NULL;
    struct tls *tls = dn->conf->data_tls ? dn->tls : NULL;
    int r;

    HASH_FIND_STR(dn->peers, addr, p);
    if (p == NULL) {
        p = MEM_NEW(struct dn_peer);
        p->dn = dn;
        (void)snprintf(p->addr, sizeof(p->addr), "%s", addr);
        HASH_ADD_STR(dn->peers, addr, p);
    }
    if (p->conn != NULL)
        return p;
    p->was_open = false;
    r = conn_connect(
        dn->loop, dn->slabs, addr, tls,
        &(struct conn_handlers){
            .on_request = on_request, .on_closed = on_closed, .on_open = on_open, .ctx = p},
        &p->conn);
    if (r < 0) {
        log_warn("cannot connect to a datanode", "addr=%s error=\"%s\"", addr, dfs_strerror(r));
        return p;
    }
    conn_want_role(p->conn, "datanode");
    if (tls == NULL)
        say_hello(dn, p);
    return p;
}

void forward_free_all(struct dn *dn)
{
    struct dn_peer *p, *tmp;

    HASH_ITER (hh, dn->peers, p, tmp) {
        HASH_DEL(dn->peers, p);
        if (p->conn != NULL)
            conn_free(p->conn);
        free(p);
    }
}

/* ---- to the successor ---- */

struct hello_call {
    struct dn_pg *pg;
    uint64_t hello_id;
};

static void hello_refused(struct dn_pg *pg, uint64_t hello_id, int status,
                          const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct chain_config config;
    Dfs__Error *e;

    msg_arena_init(&arena);
    e = msg_unpack(&arena, &dfs__error__descriptor, f->body, f->header.body_len);
    if (e != NULL && e->pg != NULL && wire_config_from(e->pg, &config) == 0)
        pg_learn(pg->dn, &config, false);
    pg_step(pg, &(struct chain_event){
                    .kind = CHAIN_EV_HELLO_REFUSED, .hello_id = hello_id, .status = status});
}

static void hello_answered(void *ctx, int status, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct hello_call *call = ctx;
    struct dn_pg *pg = call->pg;
    uint64_t hello_id = call->hello_id;
    Dfs__ChainHelloAck *m;

    msg_arena_init(&arena);
    free(call);
    if (pg->hello_id == hello_id)
        pg->hello_conn = NULL;
    if (f == NULL) /* The end of the connection tells the rest. */
        return;
    if (status < 0) {
        hello_refused(pg, hello_id, status, f);
        return;
    }
    m = msg_unpack(&arena, &dfs__chain_hello_ack__descriptor, f->body, f->header.body_len);
    if (m != NULL)
        pg_step(pg, &(struct chain_event){
                        .kind = CHAIN_EV_HELLO_ACK, .hello_id = hello_id, .seq = m->recv_seq});
}

/* One that stays without an answer for long says that the connection is not what it seems. */
static bool hello_is_overdue(const struct dn_pg *pg)
{
    return pg->hello_conn != NULL && pg->hello_conn == pg->succ_peer->conn &&
           loop_now_ns(pg->dn->loop) - pg->hello_at_ns > HELLO_OVERDUE_MS * CLOCK_NS_PER_MS;
}

static void note_hello(struct dn_pg *pg, uint64_t hello_id)
{
    if (pg->hello_conn != pg->succ_peer->conn)
        pg->hello_at_ns = loop_now_ns(pg->dn->loop);
    pg->hello_conn = pg->succ_peer->conn;
    pg->hello_id = hello_id;
}

void forward_hello(struct dn_pg *pg, const struct chain_action *a)
{
    struct dn *dn = pg->dn;
    const struct dn_place *place = dn_place_find(dn, a->to.v);
    Dfs__ChainHello m = DFS__CHAIN_HELLO__INIT;
    struct hello_call *call;
    struct wire_pg config;

    pg->timed_seq = 0; /* It may be sent again. */
    pg->succ_peer = place != NULL ? forward_peer(dn, place->addr) : NULL;
    if (pg->succ_peer == NULL || pg->succ_peer->conn == NULL) {
        nn_hurry(dn);
        pg_post(pg, &(struct chain_event){.kind = CHAIN_EV_LINK_DOWN, .from = a->to});
        return;
    }
    if (hello_is_overdue(pg)) {
        pg->hello_conn = NULL;
        conn_close(pg->succ_peer->conn, -ETIMEDOUT);
        return;
    }
    wire_config_to(chain_config_of(pg->chain), &config);
    m.pg = pg->key.pg;
    m.epoch = a->epoch;
    m.config = &config.pg;
    m.from_target = pg->key.target;
    m.to_target = a->to.v;
    m.to_incarnation = chain_place_of(pg->chain)->succ.incarnation;
    m.unstable = a->seqs;
    m.n_unstable = a->seq_count;
    call = MEM_NEW(struct hello_call);
    call->pg = pg;
    call->hello_id = a->hello_id;
    note_hello(pg, a->hello_id);
    (void)conn_call(pg->succ_peer->conn, MSG_CHAIN_HELLO, &m.base, NULL, 0, hello_answered, call);
}

void forward_op(struct dn_pg *pg, const struct chain_action *a)
{
    Dfs__ChainOp m = DFS__CHAIN_OP__INIT;
    Dfs__ChunkOp op;
    struct rpc_payload payload;

    if (pg->succ_peer == NULL || pg->succ_peer->conn == NULL)
        return; /* LINK_DOWN is on its way, and it is sent again after the next hello. */
    wire_op_to(a->op, (struct pg_id){pg->key.pg}, a->epoch, &op);
    wire_op_payload(a->op, &payload);
    m.seq = a->seq;
    m.orig_epoch = a->orig_epoch;
    m.op = &op;
    m.from_target = pg->key.target;
    m.to_target = a->to.v;
    m.epoch = a->epoch;
    conn_send_oneway(pg->succ_peer->conn, MSG_CHAIN_OP, &m.base, &payload);
    metric_inc(pg->dn->m.chain_ops_sent);
    lateness_sent(pg, a);
}

void forward_on_ack(struct dn *dn, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__ChainAck *m;
    struct dn_pg *pg;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__chain_ack__descriptor, f->body, f->header.body_len);
    pg = m != NULL ? pg_find(dn, m->pg, m->to_target) : NULL;
    if (pg == NULL)
        return;
    metric_inc(dn->m.acks_received);
    lateness_acked(pg, m->seq);
    pg_step(pg, &(struct chain_event){.kind = CHAIN_EV_ACK,
                                      .from = {m->from_target},
                                      .epoch = m->epoch,
                                      .seq = m->seq,
                                      .crc = m->result_crc,
                                      .status = m->status,
                                      .bytes_free = m->bytes_free});
}

/* ---- from the predecessor ---- */

static void set_pred_conn(struct dn_pg *pg, struct conn *c)
{
    if (pg->pred_conn != NULL)
        conn_unref(pg->pred_conn);
    pg->pred_conn = conn_ref(c);
}

void forward_on_hello(struct dn *dn, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct chain_event ev = {.kind = CHAIN_EV_HELLO};
    struct chain_config config;
    Dfs__ChainHello *m;
    struct dn_pg *pg = NULL;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__chain_hello__descriptor, f->body, f->header.body_len);
    if (m == NULL || m->config == NULL || wire_config_from(m->config, &config) < 0) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "not a ChainHello with a configuration");
        return;
    }
    /* A configuration for another life of this process must not make us a member: the chain
     * compares incarnations. */
    pg_learn(dn, &config, false);
    pg = pg_find(dn, m->pg, m->to_target);
    if (pg == NULL) {
        dn_reply_error(dn, c, f->header.type, f->header.rpc_id, NULL,
                       dn->is_open ? DFS_ENOTHEAD : -EAGAIN, "no such member here");
        return;
    }
    if (m->epoch == pg_epoch(pg) && chain_place_of(pg->chain)->pred.target.v == m->from_target)
        set_pred_conn(pg, c);
    ev.from.v = m->from_target;
    ev.epoch = m->epoch;
    ev.incarnation = m->to_incarnation;
    ev.seqs = m->unstable;
    ev.count = m->n_unstable;
    ev.waiter = waiter_new(dn, WAITER_HELLO, c, f, pg)->id;
    pg_step(pg, &ev);
}

void forward_hello_answer(struct dn_pg *pg, const struct chain_action *a)
{
    struct dn_waiter *w = waiter_find(pg->dn, a->waiter);
    Dfs__ChainHelloAck m = DFS__CHAIN_HELLO_ACK__INIT;

    if (a->kind == CHAIN_ACT_HELLO_ACK) {
        m.recv_seq = a->seq;
        m.epoch = a->epoch;
        conn_reply(w->conn, w->type, w->rpc_id, &m.base, NULL);
    } else {
        dn_reply_error(pg->dn, w->conn, w->type, w->rpc_id, pg, a->status, NULL);
    }
    waiter_free(pg->dn, w);
}

void forward_on_op(struct dn *dn, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    CLEANUP(chain_op) struct chain_op *op = NULL;
    struct chain_event ev = {.kind = CHAIN_EV_CHAIN_OP};
    struct dn_pg *pg;
    Dfs__ChainOp *m;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__chain_op__descriptor, f->body, f->header.body_len);
    if (m == NULL || m->op == NULL || wire_op_from(m->op, f, &op) < 0 ||
        (op->kind == CHAIN_REPAIR && op->data == NULL)) {
        log_warn("a neighbour sent what is no operation", "peer=%s", conn_peer_addr(c));
        conn_close(c, DFS_EPROTO);
        return;
    }
    pg = pg_find(dn, m->op->pg, m->to_target);
    if (pg == NULL)
        return;
    metric_inc(dn->m.chain_ops_received);
    ev.from.v = m->from_target;
    ev.epoch = m->epoch;
    ev.seq = m->seq;
    ev.orig_epoch = m->orig_epoch;
    ev.op = op;
    if (wire_op_check_crcs(op) < 0) {
        log_error("a neighbour sent damaged data",
                  "pg=%" PRIu32 " from=%" PRIu32 " seq=%" PRIu64 " peer=%s", pg->key.pg,
                  m->from_target, m->seq, conn_peer_addr(c));
        ev.kind = CHAIN_EV_BAD_OP;
    }
    pg_step(pg, &ev);
}

void forward_ack(struct dn_pg *pg, const struct chain_action *a)
{
    Dfs__ChainAck m = DFS__CHAIN_ACK__INIT;

    if (pg->pred_conn == NULL)
        return; /* The next hello asks for it again. */
    m.pg = pg->key.pg;
    m.epoch = a->epoch;
    m.seq = a->seq;
    m.result_crc = a->crc;
    m.bytes_free = a->bytes_free;
    m.from_target = pg->key.target;
    m.to_target = a->to.v;
    m.status = a->status;
    conn_send_oneway(pg->pred_conn, MSG_CHAIN_ACK, &m.base, NULL);
    metric_inc(pg->dn->m.acks_sent);
}

void forward_guest_gone(struct dn *dn, struct conn *c)
{
    struct dn_pg *pg, *tmp;

    HASH_ITER (hh, dn->pgs, pg, tmp) {
        const struct dn_place *place;

        if (pg->pred_conn != c)
            continue;
        conn_unref(pg->pred_conn);
        pg->pred_conn = NULL;
        place = dn_place_find(dn, chain_place_of(pg->chain)->pred.target.v);
        if (place != NULL && !dn->is_stopping)
            (void)forward_peer(dn, place->addr);
    }
}

/* ---- epochs ---- */

void forward_on_confirm(struct dn *dn, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__EpochConfirmReply reply = DFS__EPOCH_CONFIRM_REPLY__INIT;
    Dfs__EpochConfirm *m;
    protobuf_c_boolean *ok;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__epoch_confirm__descriptor, f->body, f->header.body_len);
    if (m == NULL || m->n_pgs > CONFIRM_PGS_MAX || m->n_epochs != m->n_pgs ||
        m->n_targets != m->n_pgs) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "not an EpochConfirm");
        return;
    }
    ok = mem_zalloc(m->n_pgs + 1, sizeof(*ok));
    for (size_t i = 0; i < m->n_pgs; i++) {
        struct dn_pg *pg = pg_find(dn, m->pgs[i], m->targets[i]);

        ok[i] = pg != NULL && pg_epoch(pg) == m->epochs[i] &&
                chain_place_of(pg->chain)->role != CHAIN_OUT;
    }
    reply.ok = ok;
    reply.n_ok = m->n_pgs;
    conn_reply(c, f->header.type, f->header.rpc_id, &reply.base, NULL);
    free(ok);
}
