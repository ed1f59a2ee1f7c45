/* See svc_cluster.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "namenode/node.h"
#include "namenode/pg_mgr.h"
#include "namenode/service.h"
#include "tests/unit/namenode/svc_cluster.h"

enum { BEAT_MS = 200, ROOT = 1, ALLOC_AT_ONCE = 64 };
static const uint64_t disk = 1000000000;

/* ---- waiting, looking ---- */

uint64_t wait_end(void)
{
    return clock_monotonic_ns(clock_system()) + WAIT_MS * CLOCK_NS_PER_MS;
}

void wait_turn(struct svc_cluster *c, uint64_t end, const char *what)
{
    if (clock_monotonic_ns(clock_system()) > end)
        fail_msg("waited in vain: %s", what);
    loop_run_once(c->g->loop, true);
}

static void count_tick(void *ctx)
{
    --*(unsigned *)ctx;
}

void let_tick(struct svc_cluster *c, unsigned ticks)
{
    struct loop_timer *t = loop_timer_new(c->g->loop, count_tick, &ticks);

    loop_timer_start(t, SVC_TICK_MS, SVC_TICK_MS);
    WAIT_UNTIL(c, ticks == 0);
    loop_timer_free(t);
}

struct node *leader(struct svc_cluster *c)
{
    WAIT_UNTIL(c, has_leader(c->g));
    return c->g->r[leader_of(c->g)].node;
}

struct fsm *leader_fsm(struct svc_cluster *c)
{
    return node_fsm(leader(c));
}

void leader_dies(struct svc_cluster *c)
{
    WAIT_UNTIL(c, all_equal(c->g));
    replica_down(c->g, (unsigned)leader_of(c->g));
    WAIT_UNTIL(c, has_leader(c->g));
}

void leader_restarts(struct svc_cluster *c)
{
    unsigned i = (unsigned)leader_of(c->g);

    WAIT_UNTIL(c, all_equal(c->g));
    replica_down(c->g, i);
    replica_up(c->g, i);
    WAIT_UNTIL(c, has_leader(c->g));
}

struct pg_rec pg_of(struct svc_cluster *c, uint32_t pg)
{
    struct pg_rec rec = {0};

    assert_int_equal(fsm_pg_get(leader_fsm(c), pg, &rec), 0);
    return rec;
}

uint8_t state_in(const struct pg_rec *pg, uint32_t target)
{
    for (unsigned i = 0; i < pg->member_count; i++) {
        if (pg->members[i].target == target)
            return pg->members[i].state;
    }
    return 0;
}

static int count_pg(void *ctx, const struct pg_rec *rec)
{
    (void)rec;
    ++*(uint32_t *)ctx;
    return 0;
}

uint32_t pg_count(struct svc_cluster *c)
{
    uint32_t n = 0;

    assert_int_equal(fsm_each_pg(leader_fsm(c), count_pg, &n), 0);
    return n;
}

bool inode_is_there(struct svc_cluster *c, uint64_t ino)
{
    struct inode_rec rec;

    return fsm_inode_get(leader_fsm(c), ino, &rec) == 0;
}

uint64_t garbage_count(struct svc_cluster *c)
{
    return fsm_state(leader_fsm(c))->garbage_count;
}

/* ---- what the leader asks a datanode ---- */

static void learn_pgs(struct fake_dn *dn, Dfs__Pg **pgs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct pg_rec rec;

        assert_int_equal(pg_rec_from_msg(pgs[i], &rec), 0);
        assert_true(rec.pg < PGS_KNOWN);
        if (rec.epoch > dn->pgs[rec.pg].epoch)
            dn->pgs[rec.pg] = rec;
    }
}

static void learn_fences(struct fake_dn *dn, const uint64_t *sessions, size_t count,
                         uint64_t lowest)
{
    assert_true(lowest >= dn->lowest_session); /* Never do the dead come to life again. */
    dn->lowest_session = lowest;
    assert_true(count <= ARRAY_COUNT(dn->fenced));
    dn->fenced_count = count;
    for (size_t i = 0; i < count; i++)
        dn->fenced[i] = sessions[i];
}

static void on_config(struct fake_dn *dn, struct conn *conn, const struct rpc_frame *f)
{
    Dfs__PgConfigPush *m = dfs__pg_config_push__unpack(NULL, f->header.body_len, f->body);
    Dfs__PgConfigAck ack = DFS__PG_CONFIG_ACK__INIT;

    assert_non_null(m);
    if (dn->refuses_configs) {
        dn->refused_configs++;
        conn_reply_error(conn, f->header.type, f->header.rpc_id, -EIO, "a test says so");
    } else {
        dn->configs++;
        learn_pgs(dn, m->pgs, m->n_pgs);
        learn_fences(dn, m->fenced_sessions, m->n_fenced_sessions, m->lowest_session);
        conn_reply(conn, f->header.type, f->header.rpc_id, &ack.base, NULL);
    }
    dfs__pg_config_push__free_unpacked(m, NULL);
}

static bool is_right(struct svc_cluster *c, const struct deletion_seen *d)
{
    struct chunk_owner_rec owner;
    struct pg_rec pg;
    struct fsm *fsm;

    if (!has_leader(c->g))
        return true; /* Nobody to compare with. */
    fsm = node_fsm(c->g->r[leader_of(c->g)].node);
    for (size_t i = 0; i < d->count; i++) {
        if (fsm_is_garbage(fsm, d->pg, d->chunks[i]) != 1 ||
            fsm_chunk_owner(fsm, d->pg, d->chunks[i], &owner) != -ENOENT)
            return false;
    }
    return d->count > 0 && fsm_pg_get(fsm, d->pg, &pg) == 0 &&
           (d->epoch < pg.epoch || pg.members[0].target == d->dn->targets[0]);
}

void deletion_answer(struct deletion_seen *d, int code)
{
    Dfs__ChunkOpReply reply = DFS__CHUNK_OP_REPLY__INIT;

    reply.epoch = d->epoch;
    if (code < 0)
        conn_reply_error(d->conn, MSG_CHUNK_OP, d->rpc_id, code, "a test says so");
    else
        conn_reply(d->conn, MSG_CHUNK_OP, d->rpc_id, &reply.base, NULL);
    conn_unref(STEAL(d->conn));
}

static void on_chunk_op(struct fake_dn *dn, struct conn *conn, const struct rpc_frame *f)
{
    Dfs__ChunkOp *m = dfs__chunk_op__unpack(NULL, f->header.body_len, f->body);
    struct svc_cluster *c = dn->cluster;
    struct deletion_seen *d;

    assert_non_null(m);
    assert_int_equal(m->kind, DFS__CHUNK_OP_KIND__CHUNK_OP_DELETE);
    c->deletions = mem_realloc(c->deletions, c->deletion_count + 1, sizeof(*d));
    d = &c->deletions[c->deletion_count++];
    *d = (struct deletion_seen){.dn = dn,
                                .conn = conn_ref(conn),
                                .rpc_id = f->header.rpc_id,
                                .pg = m->pg,
                                .epoch = m->epoch,
                                .count = m->n_chunks,
                                .chunks = STEAL(m->chunks)};
    m->n_chunks = 0;
    dfs__chunk_op__free_unpacked(m, NULL);
    c->wrong_deletes += !is_right(c, d);
    if (dn->on_delete == DELETE_ANSWER)
        deletion_answer(d, 0);
    else if (dn->on_delete == DELETE_REFUSE)
        deletion_answer(d, -EIO);
}

static void dn_asked(void *ctx, struct conn *conn, const struct rpc_frame *f)
{
    if (f->header.type == MSG_PG_CONFIG)
        on_config(ctx, conn, f);
    else if (f->header.type == MSG_CHUNK_OP)
        on_chunk_op(ctx, conn, f);
    else
        fail_msg("a datanode was asked %s", msg_type_name(f->header.type));
}

/* ---- what a datanode tells ---- */

static void fill_target(const struct fake_dn *dn, unsigned t, Dfs__TargetReport *m)
{
    dfs__target_report__init(m);
    m->uuid = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)dn->uuids[t], .len = 16};
    m->target = dn->targets[t];
    m->bytes_total = dn->bytes_total;
    m->bytes_free = dn->bytes_free;
    m->failed = t == 0 && dn->is_failed;
}

static void on_beat_answer(void *ctx, int status, const struct rpc_frame *f)
{
    struct fake_dn *dn = ctx;
    Dfs__HeartbeatReply *m;

    dn->beat_status = status;
    if (status < 0)
        return;
    m = dfs__heartbeat_reply__unpack(NULL, f->header.body_len, f->body);
    assert_non_null(m);
    dn->is_asked |= m->survey;
    dfs__heartbeat_reply__free_unpacked(m, NULL);
}

static size_t fill_holdings(const struct fake_dn *dn, Dfs__PgHolding *list, Dfs__PgHolding **ptrs)
{
    size_t n = 0;

    for (uint32_t pg = 0; pg < PGS_KNOWN; pg++) {
        if (dn->pgs[pg].pg == 0)
            continue;
        dfs__pg_holding__init(&list[n]);
        list[n].pg = pg;
        list[n].target = dn->targets[0];
        list[n].served_epoch = dn->held_epoch;
        ptrs[n] = &list[n];
        n++;
    }
    return n;
}

static void send_beat(struct fake_dn *dn, Dfs__Accusation *accusation)
{
    Dfs__HeartbeatRequest m = DFS__HEARTBEAT_REQUEST__INIT;
    Dfs__TargetReport targets[DN_TARGETS], *target_ptrs[DN_TARGETS];
    Dfs__PgReport pgs[PGS_KNOWN], *pg_ptrs[PGS_KNOWN];
    Dfs__PgHolding holdings[PGS_KNOWN], *holding_ptrs[PGS_KNOWN];

    m.node = dn->node;
    m.incarnation = dn->incarnation;
    m.targets = target_ptrs;
    for (unsigned t = 0; t < dn->target_count; t++) {
        fill_target(dn, t, &targets[t]);
        target_ptrs[m.n_targets++] = &targets[t];
    }
    m.pgs = pg_ptrs;
    for (uint32_t pg = 0; pg < PGS_KNOWN; pg++) {
        uint8_t state = state_in(&dn->pgs[pg], dn->targets[0]);

        if (state != PG_SERVING && state != PG_SYNCING)
            continue;
        dfs__pg_report__init(&pgs[m.n_pgs]);
        pgs[m.n_pgs].pg = pg;
        pgs[m.n_pgs].target = dn->targets[0];
        pgs[m.n_pgs].epoch = dn->pgs[pg].epoch;
        pgs[m.n_pgs].sync_done = dn->is_synced && state == PG_SYNCING;
        pg_ptrs[m.n_pgs] = &pgs[m.n_pgs];
        m.n_pgs++;
    }
    m.surveyed = dn->is_asked;
    m.holdings = holding_ptrs;
    m.n_holdings = dn->is_asked ? fill_holdings(dn, holdings, holding_ptrs) : 0;
    dn->is_asked = false;
    m.accusations = &accusation;
    m.n_accusations = accusation != NULL;
    dn->beaten_ns = loop_now_ns(dn->cluster->g->loop);
    (void)conn_call(dn->conn, MSG_HEARTBEAT, &m.base, NULL, WAIT_MS, on_beat_answer, dn);
}

static void beat(void *ctx)
{
    struct fake_dn *dn = ctx;

    if (dn->conn != NULL && dn->registered == 0 && !dn->is_silent)
        send_beat(dn, NULL);
}

void dn_accuses(struct fake_dn *dn, uint32_t by, const struct pg_rec *pg, uint32_t target)
{
    Dfs__Accusation a = DFS__ACCUSATION__INIT;

    a.by_target = by;
    a.target = target;
    a.pg = pg->pg;
    a.epoch = pg->epoch;
    for (unsigned i = 0; i < pg->member_count; i++) {
        if (pg->members[i].target == target)
            a.incarnation = pg->members[i].incarnation;
    }
    send_beat(dn, &a);
}

static void on_registered(void *ctx, int status, const struct rpc_frame *f)
{
    struct fake_dn *dn = ctx;
    Dfs__NodeRegisterReply *m;

    dn->registered = status;
    if (status < 0)
        return;
    m = dfs__node_register_reply__unpack(NULL, f->header.body_len, f->body);
    assert_non_null(m);
    assert_int_equal(m->n_targets, dn->target_count);
    memcpy(dn->targets, m->targets, m->n_targets * sizeof(m->targets[0]));
    learn_pgs(dn, m->pgs, m->n_pgs);
    learn_fences(dn, m->fenced_sessions, m->n_fenced_sessions, m->lowest_session);
    if (dn->reply != NULL)
        dfs__node_register_reply__free_unpacked(dn->reply, NULL);
    dn->reply = m;
}

static void dn_closed(void *ctx, struct conn *conn, int reason)
{
    struct fake_dn *dn = ctx;

    (void)reason;
    if (dn->conn == conn)
        dn->conn = NULL;
    conn_free(conn);
}

void dn_connect(struct svc_cluster *c, unsigned i, int replica)
{
    struct fake_dn *dn = &c->dn[i];
    struct conn_handlers h = {.on_request = dn_asked, .on_closed = dn_closed, .ctx = dn};
    Dfs__NodeRegisterRequest m = DFS__NODE_REGISTER_REQUEST__INIT;
    Dfs__TargetReport targets[DN_TARGETS], *target_ptrs[DN_TARGETS];

    dn_down(c, i);
    assert_int_equal(
        conn_connect(c->g->loop, c->g->slabs, c->g->r[replica].conf.listen, NULL, &h, &dn->conn),
        0);
    m.node = dn->node;
    m.host = dn->host;
    m.addr = dn->addr;
    m.incarnation = dn->incarnation;
    m.targets = target_ptrs;
    for (unsigned t = 0; t < dn->target_count; t++) {
        fill_target(dn, t, &targets[t]);
        target_ptrs[m.n_targets++] = &targets[t];
    }
    dn->registered = 1;
    (void)conn_call(dn->conn, MSG_NODE_REGISTER, &m.base, NULL, WAIT_MS, on_registered, dn);
}

int dn_register(struct svc_cluster *c, unsigned i)
{
    WAIT_UNTIL(c, has_leader(c->g));
    dn_connect(c, i, leader_of(c->g));
    WAIT_UNTIL(c, c->dn[i].registered <= 0);
    return c->dn[i].registered;
}

void dn_down(struct svc_cluster *c, unsigned i)
{
    if (c->dn[i].conn != NULL)
        conn_free(STEAL(c->dn[i].conn));
    loop_run_once(c->g->loop, false); /* What it had asked is told that it is over. */
}

void dn_restarts(struct svc_cluster *c, unsigned i)
{
    dn_down(c, i);
    c->dn[i].incarnation++;
    memset(c->dn[i].pgs, 0, sizeof(c->dn[i].pgs));
}

void dns_up(struct svc_cluster *c, unsigned count)
{
    WAIT_UNTIL(c, cluster_is_made(c->g));
    for (unsigned i = 0; i < count; i++)
        dn_connect(c, i, leader_of(c->g));
    for (unsigned i = 0; i < count; i++) {
        WAIT_UNTIL(c, c->dn[i].registered <= 0);
        assert_int_equal(c->dn[i].registered, 0);
    }
}

void three_dns_with_pgs(struct svc_cluster *c)
{
    dns_up(c, 3);
    WAIT_UNTIL(c, pg_count(c) == 2);
}

struct fake_dn *dn_of(struct svc_cluster *c, uint32_t target)
{
    for (unsigned i = 0; i < DNS; i++) {
        if (target != 0 && c->dn[i].targets[0] == target)
            return &c->dn[i];
    }
    fail_msg("no datanode has target %u", target);
    return NULL;
}

/* ---- the client ---- */

/* Who registered like a datanode is asked like one. */
static void client_asked(void *ctx, struct conn *conn, const struct rpc_frame *f)
{
    (void)ctx;
    conn_reply_error(conn, f->header.type, f->header.rpc_id, -EOPNOTSUPP, "a client");
}

static void client_closed(void *ctx, struct conn *conn, int reason)
{
    struct svc_cluster *c = ctx;

    (void)reason;
    if (c->client == conn)
        c->client = NULL;
    conn_free(conn);
}

struct answer {
    struct svc_cluster *cluster;
    const ProtobufCMessageDescriptor *type;
    int status; /* 1: not there yet */
};

static void forget_answer(struct svc_cluster *c)
{
    if (c->reply != NULL)
        protobuf_c_message_free_unpacked(STEAL(c->reply), NULL);
    if (c->error != NULL)
        dfs__error__free_unpacked(STEAL(c->error), NULL);
}

static void on_answer(void *ctx, int status, const struct rpc_frame *f)
{
    struct answer *a = ctx;

    a->status = status;
    if (status == 0) {
        a->cluster->reply = protobuf_c_message_unpack(a->type, NULL, f->header.body_len, f->body);
        assert_non_null(a->cluster->reply);
    } else if (f != NULL) {
        a->cluster->error = dfs__error__unpack(NULL, f->header.body_len, f->body);
    }
}

int ask(struct svc_cluster *c, int replica, uint16_t type, const ProtobufCMessage *body,
        const ProtobufCMessageDescriptor *reply_type)
{
    struct conn_handlers h = {.on_request = client_asked, .on_closed = client_closed, .ctx = c};
    struct answer a = {.cluster = c, .type = reply_type, .status = 1};

    forget_answer(c);
    if (c->client != NULL && c->client_at != replica)
        conn_free(STEAL(c->client));
    if (c->client == NULL)
        assert_int_equal(conn_connect(c->g->loop, c->g->slabs, c->g->r[replica].conf.listen, NULL,
                                      &h, &c->client),
                         0);
    c->client_at = replica;
    (void)conn_call(c->client, type, body, NULL, WAIT_MS, on_answer, &a);
    WAIT_UNTIL(c, a.status <= 0);
    return a.status;
}

int ask_leader(struct svc_cluster *c, uint16_t type, const ProtobufCMessage *body,
               const ProtobufCMessageDescriptor *reply_type)
{
    WAIT_UNTIL(c, has_leader(c->g));
    return ask(c, leader_of(c->g), type, body, reply_type);
}

const Dfs__ReportReply *report_of(struct svc_cluster *c)
{
    Dfs__ReportRequest m = DFS__REPORT_REQUEST__INIT;

    assert_int_equal(ask_leader(c, MSG_REPORT, &m.base, &dfs__report_reply__descriptor), 0);
    return (const Dfs__ReportReply *)c->reply;
}

const Dfs__TargetInfo *target_in(const Dfs__ReportReply *r, uint32_t target)
{
    for (size_t i = 0; i < r->n_targets; i++) {
        if (r->targets[i]->target == target)
            return r->targets[i];
    }
    fail_msg("target %u is not in the report", target);
    return NULL;
}

void session_open(struct svc_cluster *c, unsigned s)
{
    Dfs__SessionOpenRequest m = DFS__SESSION_OPEN_REQUEST__INIT;
    uint8_t uuid[16] = {0xc1, (uint8_t)s};
    char name[] = "a client";

    WAIT_UNTIL(c, cluster_is_made(c->g));
    m.client_uuid = (ProtobufCBinaryData){.data = uuid, .len = sizeof(uuid)};
    m.name = name;
    assert_int_equal(ask_leader(c, MSG_SESSION_OPEN, &m.base, &dfs__session_open_reply__descriptor),
                     0);
    c->sessions[s].id = ((const Dfs__SessionOpenReply *)c->reply)->session;
    c->sessions[s].seq = 0;
    assert_int_not_equal(c->sessions[s].id, 0);
}

int session_attach(struct svc_cluster *c, unsigned s, const uint64_t *inos, size_t count)
{
    return session_attach_to(c, s, 0, inos, count);
}

int session_attach_to(struct svc_cluster *c, unsigned s, uint64_t term, const uint64_t *inos,
                      size_t count)
{
    Dfs__SessionRenewRequest m = DFS__SESSION_RENEW_REQUEST__INIT;

    m.session = c->sessions[s].id;
    m.reclaim = true;
    m.term = term;
    m.open_inos = (uint64_t *)(uintptr_t)inos;
    m.n_open_inos = count;
    return ask_leader(c, MSG_SESSION_RENEW, &m.base, &dfs__session_renew_reply__descriptor);
}

int session_close(struct svc_cluster *c, unsigned s)
{
    Dfs__SessionCloseRequest m = DFS__SESSION_CLOSE_REQUEST__INIT;

    m.session = c->sessions[s].id;
    return ask_leader(c, MSG_SESSION_CLOSE, &m.base, &dfs__session_close_reply__descriptor);
}

int meta(struct svc_cluster *c, unsigned s, Dfs__MetaRequest *req)
{
    Dfs__Cred root = DFS__CRED__INIT;
    int r;

    req->session = c->sessions[s].id;
    req->cred = &root;
    if (req->op_case > DFS__META_REQUEST__OP_LAYOUT) {
        req->seq = ++c->sessions[s].seq;
        req->ack_floor = req->seq;
    }
    r = ask_leader(c, MSG_META, &req->base, &dfs__meta_reply__descriptor);
    return r < 0 ? r : ((const Dfs__MetaReply *)c->reply)->status;
}

static ProtobufCBinaryData name_of(const char *name)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)name, .len = strlen(name)};
}

uint64_t file_make(struct svc_cluster *c, unsigned s, const char *name, uint32_t chunks)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CreateOp create = DFS__CREATE_OP__INIT;
    uint64_t ino;

    create.parent = ROOT;
    create.name = name_of(name);
    create.mode = S_IFREG | 0644;
    create.exclusive = true;
    create.open = true;
    req.op_case = DFS__META_REQUEST__OP_CREATE;
    req.create = &create;
    assert_int_equal(meta(c, s, &req), 0);
    ino = ((const Dfs__MetaReply *)c->reply)->entry->attr->ino;
    for (uint32_t i = 0; i < chunks; i += ALLOC_AT_ONCE) {
        Dfs__AllocOp alloc = DFS__ALLOC_OP__INIT;

        alloc.ino = ino;
        alloc.first_index = i;
        alloc.count = MIN(chunks - i, (uint32_t)ALLOC_AT_ONCE);
        req.op_case = DFS__META_REQUEST__OP_ALLOC;
        req.alloc = &alloc;
        assert_int_equal(meta(c, s, &req), 0);
    }
    return ino;
}

void file_unlink(struct svc_cluster *c, unsigned s, const char *name)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__UnlinkOp op = DFS__UNLINK_OP__INIT;

    op.parent = ROOT;
    op.name = name_of(name);
    req.op_case = DFS__META_REQUEST__OP_UNLINK;
    req.unlink = &op;
    assert_int_equal(meta(c, s, &req), 0);
}

void file_close(struct svc_cluster *c, unsigned s, uint64_t ino)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CloseOp op = DFS__CLOSE_OP__INIT;

    op.inos = &ino;
    op.n_inos = 1;
    req.op_case = DFS__META_REQUEST__OP_CLOSE;
    req.close = &op;
    assert_int_equal(meta(c, s, &req), 0);
}

/* ---- life ---- */

static int cluster_make(void **state, unsigned nodes, uint64_t election_ms)
{
    struct svc_cluster *c = MEM_NEW(struct svc_cluster);
    void *group;

    assert_int_equal(group_make(&group, nodes, election_ms), 0);
    c->g = group;
    for (unsigned i = 0; i < NODES; i++) /* Nothing of them has run yet. */
        c->g->r[i].conf.pgs_per_target = 2;
    for (unsigned i = 0; i < DNS; i++) {
        struct fake_dn *dn = &c->dn[i];

        dn->cluster = c;
        (void)snprintf(dn->node, sizeof(dn->node), "dn%u", i);
        (void)snprintf(dn->host, sizeof(dn->host), "host%u", i);
        (void)snprintf(dn->addr, sizeof(dn->addr), "10.0.0.%u:8672", i);
        dn->incarnation = (uint64_t)(i + 1) << 32 | 1;
        dn->uuids[0][0] = (uint8_t)(i + 1);
        dn->uuids[1][0] = (uint8_t)(i + 101);
        dn->target_count = 1;
        dn->bytes_total = disk;
        dn->bytes_free = disk / 2;
        dn->registered = 1;
        dn->beat_status = 1;
        dn->beat = loop_timer_new(c->g->loop, beat, dn);
        loop_timer_start(dn->beat, BEAT_MS, BEAT_MS);
    }
    *state = c;
    return 0;
}

int svc_cluster_setup(void **state)
{
    return cluster_make(state, 1, 3 * HEARTBEAT_MS);
}

int svc_cluster_setup_three(void **state)
{
    return cluster_make(state, NODES, ELECTION_MS);
}

int svc_cluster_teardown(void **state)
{
    struct svc_cluster *c = *state;
    unsigned wrong_deletes = c->wrong_deletes;
    void *group = c->g;

    for (unsigned i = 0; i < DNS; i++) {
        struct fake_dn *dn = &c->dn[i];

        loop_timer_free(dn->beat);
        dn_down(c, i);
        if (dn->reply != NULL)
            dfs__node_register_reply__free_unpacked(dn->reply, NULL);
    }
    if (c->client != NULL)
        conn_free(c->client);
    forget_answer(c);
    for (size_t i = 0; i < c->deletion_count; i++) {
        if (c->deletions[i].conn != NULL)
            conn_unref(c->deletions[i].conn);
        free(c->deletions[i].chunks);
    }
    free(c->deletions);
    loop_run_once(c->g->loop, false);
    free(c);
    assert_int_equal(group_teardown(&group), 0);
    assert_int_equal(wrong_deletes, 0);
    return 0;
}
