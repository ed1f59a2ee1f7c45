/*
 * The leader: found, registered with, and told twice a second what is here. Configurations come
 * back on the same connection.
 *
 *   SEARCHING ──► (STATUS, for the cluster's name) ──► REGISTERING ──► REGISTERED
 *       ▲                                                   │              │
 *       └───────────────── refused, silent, closed ◄────────┴──────────────┘
 *
 * Nothing that serves data waits for it: the epochs of the chains keep them safe while it is away.
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
#include "datanode/scrub.h"
#include "rpc/msg.h"

enum {
    ANSWER_TIMEOUT_MS = 2000,
    REGISTER_TIMEOUT_MS = 5000,
    RETRY_MS = 200,
    HINTS_MAX = 3, /* followed in a row before the list is tried again */
    COMPLAIN_S = 10,
    ACCUSATIONS_MAX = 256,
};

struct accusation {
    uint32_t by, target, pg;
    uint64_t epoch, incarnation;
    const char *why;
};

struct nn_link {
    struct dn *dn;
    struct conn *conn;
    enum nn_state { NN_SEARCHING, NN_REGISTERING, NN_REGISTERED } state;
    unsigned next, hints;
    char hint[ADDR_TEXT_MAX]; /* where the leader may be; "" */
    char addr[ADDR_TEXT_MAX];
    struct loop_timer *retry, *beat;
    bool hurries, beat_waits, survey; /* it wants to know what is here */
    uint64_t complained_ns;
    uint64_t term;
    struct accusation accusations[ACCUSATIONS_MAX];
    size_t accusation_count;
};

/* ---- connecting ---- */

static void retry_soon(struct nn_link *l, uint64_t ms)
{
    if (!l->dn->is_stopping && !loop_timer_is_active(l->retry))
        loop_timer_start(l->retry, ms, 0);
}

static void complain(struct nn_link *l, const char *what, int code)
{
    uint64_t now = loop_now_ns(l->dn->loop);

    if (l->complained_ns != 0 && now - l->complained_ns < COMPLAIN_S * CLOCK_NS_PER_S)
        return;
    l->complained_ns = now;
    log_warn("no leader yet", "addr=%s what=\"%s\" error=\"%s\"", l->addr, what,
             dfs_strerror(code));
}

static void leave(struct nn_link *l, int reason)
{
    if (l->conn != NULL)
        conn_close(l->conn, reason);
}

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f);

static void on_closed(void *ctx, struct conn *c, int reason)
{
    struct nn_link *l = ctx;

    if (l->state == NN_REGISTERED)
        log_warn("the leader is gone", "addr=%s why=\"%s\"", l->addr, dfs_strerror(reason));
    else if (l->hint[0] == '\0')
        complain(l, "connection closed", reason);
    conn_free(c);
    l->conn = NULL;
    l->state = NN_SEARCHING;
    l->beat_waits = false;
    metric_set(l->dn->m.registered, 0);
    retry_soon(l, l->hint[0] != '\0' ? 1 : RETRY_MS);
}

static void ask_status(struct nn_link *l);
static void register_here(struct nn_link *l);

static void connect_next(void *ctx)
{
    struct nn_link *l = ctx;
    struct dn *dn = l->dn;
    const char *addr = dn->conf->namenodes[l->next % dn->conf->namenode_count];
    int r;

    if (l->conn != NULL || dn->is_stopping)
        return;
    if (l->hint[0] != '\0' && l->hints++ < HINTS_MAX) {
        (void)snprintf(l->addr, sizeof(l->addr), "%s", l->hint);
    } else {
        (void)snprintf(l->addr, sizeof(l->addr), "%s", addr);
        l->next++;
        l->hints = 0;
    }
    l->hint[0] = '\0';
    r = conn_connect(
        dn->loop, dn->slabs, l->addr, dn->tls,
        &(struct conn_handlers){.on_request = on_request, .on_closed = on_closed, .ctx = l},
        &l->conn);
    if (r < 0) {
        complain(l, "cannot connect", r);
        retry_soon(l, RETRY_MS);
        return;
    }
    conn_want_role(l->conn, "namenode");
    if (dn->is_open)
        register_here(l);
    else
        ask_status(l);
}

static void learn_hint(struct nn_link *l, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__Error *e;

    msg_arena_init(&arena);
    if (f == NULL)
        return;
    e = msg_unpack(&arena, &dfs__error__descriptor, f->body, f->header.body_len);
    if (e != NULL && e->leader_addr != NULL && e->leader_addr[0] != '\0' &&
        strlen(e->leader_addr) < sizeof(l->hint) && strcmp(e->leader_addr, l->addr) != 0)
        (void)snprintf(l->hint, sizeof(l->hint), "%s", e->leader_addr);
}

/* ---- the cluster's name ---- */

static void on_status(void *ctx, int status, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct nn_link *l = ctx;
    struct dn *dn = l->dn;
    Dfs__StatusReply *m = NULL;
    struct uuid cluster;

    msg_arena_init(&arena);
    if (dn->is_stopping || f == NULL || l->conn == NULL) {
        leave(l, status);
        return;
    }
    if (status == 0)
        m = msg_unpack(&arena, &dfs__status_reply__descriptor, f->body, f->header.body_len);
    if (m == NULL || m->cluster_uuid.len != sizeof(cluster.b)) {
        complain(l, "the cluster has no name yet", status < 0 ? status : -EAGAIN);
        leave(l, -EAGAIN);
        return;
    }
    memcpy(cluster.b, m->cluster_uuid.data, sizeof(cluster.b));
    if (uuid_is_zero(&cluster)) {
        leave(l, -EAGAIN);
        return;
    }
    if (dn_open_store(dn, &cluster) < 0)
        return; /* The program ends. */
    register_here(l);
}

static void ask_status(struct nn_link *l)
{
    Dfs__StatusRequest m = DFS__STATUS_REQUEST__INIT;

    (void)conn_call(l->conn, MSG_STATUS, &m.base, NULL, ANSWER_TIMEOUT_MS, on_status, l);
}

/* ---- registration ---- */

static void report_target(struct dn *dn, unsigned index, Dfs__ScrubStatus *scrub,
                          Dfs__TargetReport *m)
{
    struct target *t = store_target_at(dn->store, index);
    struct scrub_status at;
    struct target_stats s;

    target_stats(t, &s);
    dfs__target_report__init(m);
    m->uuid =
        (ProtobufCBinaryData){sizeof(target_uuid(t)->b), (uint8_t *)(uintptr_t)target_uuid(t)->b};
    m->bytes_total = s.total_bytes;
    m->bytes_free = s.free_bytes;
    m->failed = s.health != TARGET_GOOD;
    m->chunk_count = s.chunk_count - s.tombstone_count;
    m->bad_chunks = s.bad_count;
    m->target = target_id(t).v;
    lateness_own(&dn->disks[index], dn, &m->p50_us, &m->p99_us);
    m->p50_us /= 1000;
    m->p99_us /= 1000;
    scrub_status(dn->scrub, index, &at);
    if (at.began_ns == 0)
        return;
    dfs__scrub_status__init(scrub);
    scrub->began_ns = at.began_ns;
    scrub->ended_ns = at.ended_ns;
    scrub->bytes_done = at.bytes_done;
    scrub->bytes_total = at.bytes_total;
    scrub->bad = at.bad;
    scrub->differing = at.differing;
    m->scrub = scrub;
}

static void registered(struct nn_link *l)
{
    struct dn *dn = l->dn;

    l->state = NN_REGISTERED;
    l->hints = 0;
    l->complained_ns = 0;
    metric_set(dn->m.registered, 1);
    log_info("registered", "leader=%s term=%" PRIu64 " incarnation=%" PRIx64, l->addr, l->term,
             dn->incarnation);
    nn_hurry(dn);
}

static int take_ids(struct nn_link *l, const Dfs__NodeRegisterReply *m)
{
    struct dn *dn = l->dn;

    if (m->n_targets != store_target_count(dn->store))
        return DFS_EPROTO;
    for (unsigned i = 0; i < m->n_targets; i++) {
        struct target *t = store_target_at(dn->store, i);
        int r = target_set_id(t, (struct target_id){m->targets[i]});

        if (r < 0 && !target_is_failed(t)) {
            log_error("a target cannot take its number", "dir=%s target=%" PRIu32 " error=\"%s\"",
                      target_dir(t), m->targets[i], dfs_strerror(r));
            return r;
        }
    }
    return 0;
}

static void take_key(struct dn *dn, const Dfs__NodeRegisterReply *m)
{
    if (m->data_key.len > sizeof(dn->data_key))
        return;
    memcpy(dn->data_key, m->data_key.data, m->data_key.len);
    dn->data_key_len = m->data_key.len;
    if (m->data_tls != dn->conf->data_tls)
        log_warn("[data] tls differs from the namenode's: clients may not reach this datanode",
                 "here=%d there=%d", dn->conf->data_tls, m->data_tls);
}

static void on_registered(void *ctx, int status, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct nn_link *l = ctx;
    char text[RPC_ERROR_TEXT_MAX];
    Dfs__NodeRegisterReply *m;
    int r;

    msg_arena_init(&arena);
    if (l->dn->is_stopping || l->conn == NULL)
        return;
    if (status < 0) {
        learn_hint(l, f);
        if (status != DFS_ENOTLEADER && f != NULL)
            complain(l, rpc_error_text(f, text), status);
        leave(l, status);
        return;
    }
    m = msg_unpack(&arena, &dfs__node_register_reply__descriptor, f->body, f->header.body_len);
    r = m == NULL ? DFS_EPROTO : take_ids(l, m);
    if (r < 0) {
        leave(l, r);
        return;
    }
    if (m->session_floor < l->dn->session_floor) {
        log_error("this namenode is of the time before a restore: it is not listened to", "addr=%s",
                  l->addr);
        leave(l, -ESTALE);
        return;
    }
    l->term = m->term;
    l->survey = m->survey;
    l->dn->session_floor = m->session_floor;
    take_key(l->dn, m);
    dn_learn_targets(l->dn, m->map, m->n_map);
    dn_learn_pgs(l->dn, m->pgs, m->n_pgs, m->fenced_sessions, m->n_fenced_sessions,
                 m->lowest_session);
    registered(l);
}

static void register_here(struct nn_link *l)
{
    struct dn *dn = l->dn;
    Dfs__NodeRegisterRequest m;
    Dfs__TargetReport reports[TARGETS_PER_NODE_MAX], *pointers[TARGETS_PER_NODE_MAX];
    Dfs__ScrubStatus scrubs[TARGETS_PER_NODE_MAX];
    char boot_id[UUID_TEXT_SIZE];

    dfs__node_register_request__init(&m);
    l->state = NN_REGISTERING;
    m.node = dn->conf->node;
    m.host = dn->conf->host;
    m.rack = dn->conf->rack;
    m.addr = (char *)(uintptr_t)dn_advertised(dn);
    m.incarnation = dn->incarnation;
    m.boot_id = uuid_format(&dn->boot_id, boot_id);
    m.cluster_uuid = (ProtobufCBinaryData){sizeof(dn->cluster.b), dn->cluster.b};
    m.targets = pointers;
    m.n_targets = store_target_count(dn->store);
    for (unsigned i = 0; i < m.n_targets; i++) {
        report_target(dn, i, &scrubs[i], &reports[i]);
        pointers[i] = &reports[i];
    }
    (void)conn_call(l->conn, MSG_NODE_REGISTER, &m.base, NULL, REGISTER_TIMEOUT_MS, on_registered,
                    l);
}

/* ---- heartbeats ---- */

static void take_answer(struct nn_link *l, const struct rpc_frame *f)
{
    Dfs__HeartbeatReply *m = dfs__heartbeat_reply__unpack(NULL, f->header.body_len, f->body);

    if (m == NULL)
        return;
    l->survey |= m->survey;
    dfs__heartbeat_reply__free_unpacked(m, NULL);
}

static void on_beat(void *ctx, int status, const struct rpc_frame *f)
{
    struct nn_link *l = ctx;

    l->beat_waits = false;
    if (l->conn == NULL || l->dn->is_stopping)
        return;
    if (status >= 0) {
        take_answer(l, f);
        return;
    }
    if (status == DFS_ESTALE_SESSION && l->state == NN_REGISTERED) {
        register_here(l);
        return;
    }
    learn_hint(l, f);
    leave(l, status);
}

static void report_pg(struct dn_pg *pg, Dfs__PgReport *m)
{
    dfs__pg_report__init(m);
    m->pg = pg->key.pg;
    m->target = pg->key.target;
    m->epoch = pg_epoch(pg);
    m->recv_seq = chain_recv_seq(pg->chain);
    m->sync_done = chain_is_synced(pg->chain);
    m->left = chain_is_failed(pg->chain);
    joiner_progress(pg, &m->sync_bytes_done, &m->sync_bytes_total);
}

static void report_accusation(const struct accusation *a, Dfs__Accusation *m)
{
    dfs__accusation__init(m);
    m->by_target = a->by;
    m->target = a->target;
    m->pg = a->pg;
    m->epoch = a->epoch;
    m->incarnation = a->incarnation;
    m->why = (char *)(uintptr_t)a->why;
}

static void beat(void *ctx)
{
    struct nn_link *l = ctx;
    struct dn *dn = l->dn;
    Dfs__HeartbeatRequest m;
    Dfs__TargetReport reports[TARGETS_PER_NODE_MAX], *report_ptrs[TARGETS_PER_NODE_MAX];
    Dfs__ScrubStatus scrubs[TARGETS_PER_NODE_MAX];
    Dfs__Accusation accusations[ACCUSATIONS_MAX], *accusation_ptrs[ACCUSATIONS_MAX];
    Dfs__PgReport *pgs, **pg_ptrs;
    struct dn_pg *pg, *tmp;

    dfs__heartbeat_request__init(&m);
    l->hurries = false;
    if (l->state != NN_REGISTERED || l->conn == NULL)
        return;
    m.incarnation = dn->incarnation;
    m.node = dn->conf->node;
    m.targets = report_ptrs;
    for (unsigned i = 0; i < store_target_count(dn->store); i++) {
        report_target(dn, i, &scrubs[i], &reports[i]);
        report_ptrs[m.n_targets++] = &reports[i];
    }
    pgs = mem_zalloc(HASH_COUNT(dn->pgs) + 1, sizeof(*pgs));
    pg_ptrs = mem_zalloc(HASH_COUNT(dn->pgs) + 1, sizeof(*pg_ptrs));
    HASH_ITER (hh, dn->pgs, pg, tmp) {
        report_pg(pg, &pgs[m.n_pgs]);
        pg_ptrs[m.n_pgs] = &pgs[m.n_pgs];
        m.n_pgs++;
    }
    m.pgs = pg_ptrs;
    m.accusations = accusation_ptrs;
    for (size_t i = 0; i < l->accusation_count; i++) {
        report_accusation(&l->accusations[i], &accusations[i]);
        accusation_ptrs[m.n_accusations++] = &accusations[i];
    }
    l->accusation_count = 0;
    lateness_links(dn, &m);
    if (l->survey)
        holdings_make(dn, &m);
    l->survey = false;
    l->beat_waits = true;
    (void)conn_call(l->conn, MSG_HEARTBEAT, &m.base, NULL, ANSWER_TIMEOUT_MS, on_beat, l);
    holdings_done(&m);
    lateness_links_done(&m);
    free(pgs);
    free(pg_ptrs);
}

static void on_beat_timer(void *ctx)
{
    struct nn_link *l = ctx;

    if (!l->beat_waits) /* A slow leader is not helped by more. */
        beat(l);
}

void nn_hurry(struct dn *dn)
{
    if (dn->nn == NULL || dn->nn->hurries)
        return;
    dn->nn->hurries = true;
    loop_defer(dn->loop, beat, dn->nn);
}

void nn_accuse(struct dn *dn, struct dn_pg *pg, struct target_id target, const char *why)
{
    struct nn_link *l = dn->nn;
    const struct chain_config *c = chain_config_of(pg->chain);
    struct accusation a = {pg->key.target, target.v, pg->key.pg, c->epoch, 0, why};
    bool is_told = false;

    metric_inc(dn->m.accusations);
    for (uint32_t i = 0; i < c->member_count; i++) {
        if (ID_EQUAL(c->members[i].target, target))
            a.incarnation = c->members[i].incarnation;
    }
    for (size_t i = 0; l != NULL && i < l->accusation_count; i++) {
        struct accusation *old = &l->accusations[i];

        if (old->by == a.by && old->target == a.target && old->pg == a.pg)
            return;
        is_told = is_told || old->target == a.target;
    }
    if (!is_told) /* Once, not once for each placement group. */
        log_warn("accusing",
                 "target=%" PRIu32 " by=%" PRIu32 " pg=%" PRIu32 " epoch=%" PRIu64 " why=\"%s\"",
                 a.target, a.by, a.pg, a.epoch, why);
    if (l == NULL || l->accusation_count == ACCUSATIONS_MAX)
        return;
    l->accusations[l->accusation_count++] = a;
    nn_hurry(dn);
}

/* ---- from the leader ---- */

static void on_config(struct nn_link *l, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__PgConfigAck ack = DFS__PG_CONFIG_ACK__INIT;
    Dfs__PgConfigPush *m;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__pg_config_push__descriptor, f->body, f->header.body_len);
    if (m == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "not a PgConfigPush");
        return;
    }
    /* Before the answer to our registration it would name targets that do not know their numbers;
     * that answer will hold all of it. */
    if (l->state == NN_REGISTERED) {
        l->dn->session_floor = MAX(l->dn->session_floor, m->session_floor);
        dn_learn_targets(l->dn, m->targets, m->n_targets);
        dn_learn_pgs(l->dn, m->pgs, m->n_pgs, m->fenced_sessions, m->n_fenced_sessions,
                     m->lowest_session);
    }
    conn_reply(c, f->header.type, f->header.rpc_id, &ack.base, NULL);
}

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    static const struct dn_guest leader = {.is_namenode = true};
    struct nn_link *l = ctx;

    if (f->header.type == MSG_PG_CONFIG)
        on_config(l, c, f);
    else
        dn_on_request(l->dn, c, f, &leader);
}

static void on_reported(void *ctx, int status, const struct rpc_frame *f)
{
    (void)ctx;
    (void)status;
    (void)f;
}

void nn_report_bad(struct dn *dn, struct dn_pg *pg, struct chunk_id chunk, uint32_t block,
                   const char *what, bool healed)
{
    Dfs__BadChunkReport m;

    dfs__bad_chunk_report__init(&m);
    log_at_(healed ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "damaged block",
            "pg=%" PRIu32 " target=%" PRIu32 " chunk=%" PRIu64 " block=%" PRIu32 " healed=%d",
            pg->key.pg, pg->key.target, chunk.v, block, healed);
    if (dn->nn == NULL || dn->nn->conn == NULL)
        return;
    m.target = pg->key.target;
    m.pg = pg->key.pg;
    m.chunk_id = chunk.v;
    m.block = block;
    m.what = (char *)(uintptr_t)what;
    m.healed = healed;
    (void)conn_call(dn->nn->conn, MSG_BAD_CHUNK, &m.base, NULL, ANSWER_TIMEOUT_MS, on_reported,
                    NULL);
}

/* ---- life ---- */

/* Calls that wait are answered from the loop; until then the memory stays. */
void nn_link_close(struct nn_link *l)
{
    if (l->conn != NULL)
        conn_free(l->conn);
    l->conn = NULL;
    l->state = NN_SEARCHING;
}

bool nn_is_registered(const struct dn *dn)
{
    return dn->nn != NULL && dn->nn->state == NN_REGISTERED;
}

struct nn_link *nn_link_new(struct dn *dn)
{
    struct nn_link *l = MEM_NEW(struct nn_link);

    l->dn = dn;
    l->retry = loop_timer_new(dn->loop, connect_next, l);
    l->beat = loop_timer_new(dn->loop, on_beat_timer, l);
    loop_timer_start(l->beat, NODE_HEARTBEAT_MS, NODE_HEARTBEAT_MS);
    loop_timer_start(l->retry, 0, 0);
    return l;
}

void nn_link_free(struct nn_link *l)
{
    if (l == NULL)
        return;
    loop_cancel(l->dn->loop, beat, l);
    loop_timer_free(l->retry);
    loop_timer_free(l->beat);
    free(l);
}
