/*
 * Datanodes: registration, heartbeats, and the configurations that go out to them. Decisions are
 * pg_mgr's; this file carries facts in, proposals to the log, and results to the datanodes.
 *
 *   register ─► TargetAdd / TargetSet through the log ─► reply with ids and the whole map
 *   heartbeat, accusation, broken connection ─► pg_mgr ─► PgEpoch through the log
 *   PG or target changed (event) ─► MSG_PG_CONFIG to every connected datanode
 */
#include "namenode/svc_datanode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "namenode/cluster_view.h"
#include "namenode/datanodes.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "namenode/pg_mgr.h"
#include "namenode/pg_push.h"
#include "namenode/pg_survey.h"
#include "namenode/service.h"
#include "namenode/svc_request.h"

enum {
    TICK_MS = 100,
    PROPOSALS_AT_ONCE = 64,
};

struct svc_datanode {
    struct services *all;
    struct node *node;
    struct loop_timer *tick;
    /* Leader memory; empty unless serving. */
    struct datanodes dn;
    struct pg_mgr *mgr;
    struct pg_push *push;
    struct pg_survey *survey;
    bool creating; /* a PgCreate is under way */
    uint64_t choose_next;
    struct registration *registrations; /* for which the log is at work */
};

struct svc_datanode *svc_datanode_of(struct services *all)
{
    return services_find(all, svc_datanode.name);
}

static uint64_t now_ns(const struct svc_datanode *s)
{
    return loop_now_ns(services_loop(s->all));
}

/* ---- the state machine's records ---- */

static void target_changed(struct svc_datanode *s, const struct target_rec *rec)
{
    struct pg_target t = {
        .id = rec->target,
        .incarnation = rec->incarnation,
        .usable = rec->state == DFS__TARGET_STATE__TARGET_ACTIVE,
        .draining = rec->state == DFS__TARGET_STATE__TARGET_DRAINING,
        .removed = rec->state == DFS__TARGET_STATE__TARGET_REMOVED,
        .host = rec->host,
        .rack = rec->rack,
        .bytes_total = rec->bytes_total,
    };

    datanodes_set_target(&s->dn, rec);
    (void)pg_mgr_set_target(s->mgr, &t);
}

static void pg_changed(struct svc_datanode *s, const struct pg_rec *rec)
{
    datanodes_set_pg(&s->dn, rec);
    (void)pg_mgr_set_pg(s->mgr, rec);
    pg_push_schedule(s->push);
}

/* ---- registration ---- */

/* A registration that waits until the log knows its targets. */
struct registration {
    struct svc_datanode *svc;
    struct svc_request *request;
    Dfs__NodeRegisterRequest *msg;
    uint64_t term;
    size_t pending;
    int error;
    struct registration *prev, *next;
};

static void registration_free(struct registration *reg)
{
    DL_DELETE(reg->svc->registrations, reg);
    dfs__node_register_request__free_unpacked(reg->msg, NULL);
    free(reg);
}

static void registration_reply(struct registration *reg)
{
    struct svc_datanode *s = reg->svc;
    Dfs__NodeRegisterReply msg = DFS__NODE_REGISTER_REPLY__INIT;
    struct datanode *n = datanodes_node(&s->dn, reg->msg->node, true);
    struct cluster_rec cluster;
    struct cluster_view view;
    uint32_t ids[DN_TARGETS_MAX];

    if (fsm_cluster(node_fsm(s->node), &cluster) < 0) {
        svc_request_fail(reg->request, -EAGAIN, "the cluster is not initialised yet");
        return;
    }
    n->incarnation = reg->msg->incarnation;
    n->heard_ns = now_ns(s);
    n->fence_acked = 0;
    n->target_count = 0;
    datanode_set_conn(n, reg->request->conn);
    for (size_t i = 0; i < reg->msg->n_targets; i++) {
        struct target_state *t = datanodes_target_by_uuid(&s->dn, reg->msg->targets[i]->uuid.data);

        if (t == NULL) { /* Only if the log refused it. */
            svc_request_fail(reg->request, -EIO, "a target was not added");
            return;
        }
        t->node = n;
        t->failed = reg->msg->targets[i]->failed;
        target_state_take(t, reg->msg->targets[i]);
        ids[i] = t->target;
        n->targets[n->target_count++] = t->target;
        pg_mgr_heard(s->mgr, t->target, n->incarnation, now_ns(s));
        if (t->failed)
            pg_mgr_failed(s->mgr, t->target);
    }
    svc_datanode_view(s, CLUSTER_VIEW_ALL, &view);
    msg.targets = ids;
    msg.n_targets = n->target_count;
    msg.cluster_uuid = (ProtobufCBinaryData){.data = cluster.uuid, .len = sizeof(cluster.uuid)};
    msg.data_key = (ProtobufCBinaryData){.data = cluster.data_key, .len = cluster.data_key_len};
    msg.map = view.targets;
    msg.n_map = view.target_count;
    msg.pgs = view.pgs;
    msg.n_pgs = view.pg_count;
    msg.fenced_sessions = view.fenced;
    msg.n_fenced_sessions = view.fenced_count;
    msg.data_tls = services_conf(s->all)->data_tls;
    msg.session_floor = view.session_floor;
    msg.lowest_session = view.lowest_session;
    msg.survey = pg_survey_is_needed(&s->dn);
    msg.term = node_term(s->node);
    log_info("datanode registered", "node=%s addr=%s targets=%u incarnation=%" PRIx64, n->node,
             reg->msg->addr, n->target_count, n->incarnation);
    svc_request_reply(reg->request, &msg.base);
    cluster_view_done(&view);
}

static const char *registration_problem(struct svc_datanode *s, const Dfs__NodeRegisterRequest *m,
                                        const struct conn *c);

/*
 * While the log worked: leadership may have been lost, and won again; the connection may be gone,
 * and nobody would tell us so again; another may have registered under the same name.
 */
static void registration_end(struct registration *reg)
{
    if (reg->error < 0)
        svc_request_fail(reg->request, reg->error, "the registration failed");
    else if (conn_is_closed(reg->request->conn))
        svc_request_free(reg->request);
    else if (reg->svc->mgr == NULL || reg->term != node_term(reg->svc->node))
        svc_request_fail(reg->request, DFS_ENOTLEADER, "the registration failed");
    else if (registration_problem(reg->svc, reg->msg, reg->request->conn) != NULL)
        svc_request_fail(reg->request, -EEXIST, "another datanode was faster");
    else
        registration_reply(reg);
    registration_free(reg);
}

static void target_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct registration *reg = ctx;

    if (status == 0)
        status = reply->status;
    if (status < 0)
        reg->error = status;
    if (--reg->pending == 0)
        registration_end(reg);
}

static void propose_target_add(struct registration *reg, Dfs__TargetReport *report)
{
    Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
    Dfs__TargetAddOp op = DFS__TARGET_ADD_OP__INIT;

    op.uuid = report->uuid;
    op.host = reg->msg->host;
    op.addr = reg->msg->addr;
    op.node = reg->msg->node;
    op.rack = reg->msg->rack;
    op.bytes_total = report->bytes_total;
    op.incarnation = reg->msg->incarnation;
    op.target = report->target;
    change.op_case = DFS__META_REQUEST__OP_TARGET_ADD;
    change.target_add = &op;
    reg->pending++;
    node_propose(reg->svc->node, &change, target_applied, reg);
}

static void propose_target_set(struct registration *reg, const struct target_rec *rec,
                               const Dfs__TargetReport *report)
{
    Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
    Dfs__TargetSetOp op = DFS__TARGET_SET_OP__INIT;

    op.target = rec->target;
    op.addr = reg->msg->addr;
    op.host = reg->msg->host;
    op.node = reg->msg->node;
    op.rack = reg->msg->rack;
    op.set_rack = true;
    op.incarnation = reg->msg->incarnation;
    /* A disk that was given up is a new one when it is back. */
    op.state = rec->state == DFS__TARGET_STATE__TARGET_REMOVED ? DFS__TARGET_STATE__TARGET_ACTIVE
                                                               : (Dfs__TargetState)rec->state;
    op.bytes_total = report->bytes_total;
    change.op_case = DFS__META_REQUEST__OP_TARGET_SET;
    change.target_set = &op;
    reg->pending++;
    node_propose(reg->svc->node, &change, target_applied, reg);
}

/* Text why it can't be let in, NULL if it can. */
static const char *registration_problem(struct svc_datanode *s, const Dfs__NodeRegisterRequest *m,
                                        const struct conn *c)
{
    struct cluster_rec cluster;
    const struct datanode *n;

    if (m->node[0] == '\0' || strlen(m->node) >= REC_STRING_SIZE || m->host[0] == '\0' ||
        strlen(m->host) >= REC_STRING_SIZE || m->addr[0] == '\0' ||
        strlen(m->addr) >= REC_STRING_SIZE || strlen(m->rack) >= REC_STRING_SIZE)
        return "node, host and addr must be given, each (and rack) shorter than 64 bytes";
    if (m->n_targets == 0 || m->n_targets > DN_TARGETS_MAX)
        return "a datanode has 1 to 64 targets";
    for (size_t i = 0; i < m->n_targets; i++)
        if (m->targets[i]->uuid.len != REC_UUID_SIZE)
            return "a target's uuid has 16 bytes";
    if (m->cluster_uuid.len != 0 && fsm_cluster(node_fsm(s->node), &cluster) == 0 &&
        (m->cluster_uuid.len != sizeof(cluster.uuid) ||
         memcmp(m->cluster_uuid.data, cluster.uuid, sizeof(cluster.uuid)) != 0))
        return "its targets belong to another cluster; they are left as they are";
    n = datanodes_node(&s->dn, m->node, false);
    if (n != NULL && n->conn != NULL && n->conn != c && n->incarnation != m->incarnation)
        return "a datanode of this name is registered and alive; is one started twice, or a disk "
               "cloned?";
    for (size_t i = 0; i < m->n_targets; i++) {
        const struct target_state *t = datanodes_target_by_uuid(&s->dn, m->targets[i]->uuid.data);

        if (t != NULL && t->node != NULL && t->node->conn != NULL && t->node->conn != c &&
            t->node->incarnation != m->incarnation)
            return "a target of this uuid is registered and alive; was a disk cloned?";
    }
    return NULL;
}

static bool has_target(const Dfs__NodeRegisterRequest *m, const ProtobufCBinaryData *uuid)
{
    for (size_t i = 0; i < m->n_targets; i++) {
        if (memcmp(m->targets[i]->uuid.data, uuid->data, REC_UUID_SIZE) == 0)
            return true;
    }
    return false;
}

/*
 * Another process of this name, or with one of these disks, is on its way in. What both propose is
 * applied: the log would name the one that came last, and the one that came first be let in.
 */
static bool registration_is_under_way(const struct svc_datanode *s,
                                      const Dfs__NodeRegisterRequest *m)
{
    const struct registration *reg;

    DL_FOREACH (s->registrations, reg) {
        if (reg->msg->incarnation == m->incarnation)
            continue;
        if (strcmp(reg->msg->node, m->node) == 0)
            return true;
        for (size_t i = 0; i < m->n_targets; i++) {
            if (has_target(reg->msg, &m->targets[i]->uuid))
                return true;
        }
    }
    return false;
}

static void on_register(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_datanode *s = self;
    struct registration *reg;
    const char *problem;
    Dfs__NodeRegisterRequest *m =
        dfs__node_register_request__unpack(NULL, f->header.body_len, f->body);

    if (m == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "the body is not a NodeRegisterRequest");
        return;
    }
    problem = registration_problem(s, m, c);
    if (problem == NULL && registration_is_under_way(s, m))
        problem = "a datanode of this name, or with one of these disks, is just registering";
    if (problem != NULL) {
        log_warn("registration refused", "node=%s peer=%s reason=\"%s\"", m->node,
                 conn_peer_addr(c), problem);
        conn_reply_error(c, f->header.type, f->header.rpc_id, -EEXIST, "%s", problem);
        dfs__node_register_request__free_unpacked(m, NULL);
        return;
    }
    /* A namenode of the first release would overlook it; until then the datanode is taken without. */
    if (m->rack[0] && fsm_state(node_fsm(s->node))->format < FSM_FORMAT_USAGE)
        m->rack[0] = '\0';
    reg = MEM_NEW(struct registration);
    reg->svc = s;
    reg->msg = m;
    reg->term = node_term(s->node);
    reg->request = svc_request_new(s->all, s, c, f);
    DL_APPEND(s->registrations, reg);
    reg->pending = 1; /* Ours, so that the end comes once all are proposed. */
    for (size_t i = 0; i < m->n_targets; i++) {
        const struct target_state *t = datanodes_target_by_uuid(&s->dn, m->targets[i]->uuid.data);

        if (t == NULL)
            propose_target_add(reg, m->targets[i]);
        else if (t->rec.incarnation != m->incarnation || strcmp(t->rec.addr, m->addr) != 0 ||
                 strcmp(t->rec.host, m->host) != 0 || strcmp(t->rec.node, m->node) != 0 ||
                 strcmp(t->rec.rack, m->rack) != 0)
            propose_target_set(reg, &t->rec, m->targets[i]);
    }
    if (--reg->pending == 0)
        registration_end(reg);
}

/* ---- heartbeats ---- */

static void take_pg_report(struct svc_datanode *s, const struct datanode *n,
                           const Dfs__PgReport *report)
{
    struct pg_state *p = datanodes_pg(&s->dn, report->pg);

    if (p == NULL)
        return;
    if (report->epoch < p->rec.epoch) {
        p->dirty = true; /* It missed a push. */
        pg_push_schedule(s->push);
        return;
    }
    if (report->left)
        pg_mgr_left(s->mgr, report->pg, report->target, n->incarnation, report->epoch);
    sync_progress_take(&p->sync, report->sync_bytes_done, report->sync_bytes_total, n->heard_ns);
    if (report->sync_done)
        pg_mgr_sync_done(s->mgr, report->pg, report->target, n->incarnation, report->epoch);
}

static void take_heartbeat(struct svc_datanode *s, struct datanode *n,
                           const Dfs__HeartbeatRequest *m)
{
    n->heard_ns = now_ns(s);
    for (size_t i = 0; i < m->n_targets; i++) {
        struct target_state *t = datanodes_target(&s->dn, m->targets[i]->target);

        if (t == NULL || t->node != n)
            continue;
        target_state_take(t, m->targets[i]);
        pg_mgr_heard(s->mgr, t->target, n->incarnation, n->heard_ns);
        pg_mgr_own_latency(s->mgr, t->target, t->p99_us * 1000, n->heard_ns);
        if (m->targets[i]->failed) {
            if (!t->failed)
                log_error("a target failed and leaves its placement groups",
                          "target=%" PRIu32 " node=%s", t->target, n->node);
            t->failed = true;
            pg_mgr_failed(s->mgr, t->target);
        }
    }
    for (size_t i = 0; i < m->n_pgs; i++)
        take_pg_report(s, n, m->pgs[i]);
    datanodes_take_links(&s->dn, s->mgr, n, m);
    if (m->surveyed)
        pg_survey_take(s->survey, n, m);
    for (size_t i = 0; i < m->n_accusations; i++) {
        const Dfs__Accusation *a = m->accusations[i];
        const struct target_state *by = datanodes_target(&s->dn, a->by_target);

        if (by == NULL || by->node != n)
            continue; /* Each for its own targets. */
        log_warn("datanode accused", "by=%" PRIu32 " target=%" PRIu32 " pg=%" PRIu32 " why=\"%s\"",
                 a->by_target, a->target, a->pg, a->why);
        if (a->by_target == a->target)
            pg_mgr_left(s->mgr, a->pg, a->target, n->incarnation, a->epoch);
        else
            pg_mgr_accused(s->mgr, a->by_target, a->target, a->incarnation, n->heard_ns);
    }
}

static void decide(void *ctx);

static void on_heartbeat(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_datanode *s = self;
    Dfs__HeartbeatRequest *m = dfs__heartbeat_request__unpack(NULL, f->header.body_len, f->body);
    Dfs__HeartbeatReply msg = DFS__HEARTBEAT_REPLY__INIT;
    struct datanode *n;

    if (m == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "the body is not a HeartbeatRequest");
        return;
    }
    n = datanodes_node(&s->dn, m->node, false);
    if (n == NULL || n->conn != c || n->incarnation != m->incarnation) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_ESTALE_SESSION,
                         "datanode %s is not registered with this leader", m->node);
    } else {
        take_heartbeat(s, n, m);
        msg.term = node_term(s->node);
        msg.survey = pg_survey_wants(s->survey, &s->dn, n);
        conn_reply(c, f->header.type, f->header.rpc_id, &msg.base, NULL);
        if (m->n_accusations > 0 || m->n_pgs > 0)
            decide(s);
    }
    dfs__heartbeat_request__free_unpacked(m, NULL);
}

static void on_bad_chunk(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_datanode *s = self;
    Dfs__BadChunkReport *m = dfs__bad_chunk_report__unpack(NULL, f->header.body_len, f->body);
    Dfs__Empty msg = DFS__EMPTY__INIT;

    if (m == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "the body is not a BadChunkReport");
        return;
    }
    log_error("damaged block reported",
              "target=%" PRIu32 " pg=%" PRIu32 " chunk=%" PRIu64 " block=%" PRIu32
              " healed=%d what=\"%s\"",
              m->target, m->pg, m->chunk_id, m->block, m->healed, m->what);
    datanodes_keep_bad(&s->dn, m);
    conn_reply(c, f->header.type, f->header.rpc_id, &msg.base, NULL);
}

/* ---- decisions ---- */

struct epoch_proposal {
    struct svc_datanode *svc;
    uint64_t term;
    uint32_t pg;
};

static void epoch_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct epoch_proposal *p = ctx;

    if (status == 0)
        status = reply->status;
    if (status < 0 && p->svc->mgr != NULL && p->term == node_term(p->svc->node)) {
        log_warn("a change of a placement group was refused", "pg=%" PRIu32 " error=%s", p->pg,
                 dfs_strerror(status));
        pg_mgr_refused(p->svc->mgr, p->pg);
    }
    free(p);
}

static void propose_epoch(struct svc_datanode *s, const struct pg_rec *rec)
{
    Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
    Dfs__PgEpochOp op = DFS__PG_EPOCH_OP__INIT;
    Dfs__Pg pg;
    Dfs__PgMember members[REC_PG_MEMBERS_MAX];
    Dfs__PgMember *member_ptrs[REC_PG_MEMBERS_MAX];
    struct epoch_proposal *p = MEM_NEW(struct epoch_proposal);

    pg_rec_to_msg(rec, &pg, members, member_ptrs);
    op.if_epoch = rec->epoch - 1;
    op.pg = &pg;
    change.op_case = DFS__META_REQUEST__OP_PG_EPOCH;
    change.pg_epoch = &op;
    *p = (struct epoch_proposal){.svc = s, .term = node_term(s->node), .pg = rec->pg};
    node_propose(s->node, &change, epoch_applied, p);
}

static void create_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct svc_datanode *s = ctx;

    if (status == 0)
        status = reply->status;
    if (status < 0)
        log_warn("placement groups were not created, trying again", "error=%s",
                 dfs_strerror(status));
    s->creating = false;
}

static void create_pgs(struct svc_datanode *s)
{
    Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
    Dfs__PgCreateOp op = DFS__PG_CREATE_OP__INIT;
    struct pg_rec recs[PROPOSALS_AT_ONCE];
    Dfs__Pg pgs[PROPOSALS_AT_ONCE];
    Dfs__Pg *pg_ptrs[PROPOSALS_AT_ONCE];
    Dfs__PgMember members[PROPOSALS_AT_ONCE][REC_PG_MEMBERS_MAX];
    Dfs__PgMember *member_ptrs[PROPOSALS_AT_ONCE][REC_PG_MEMBERS_MAX];
    size_t n;

    if (s->creating)
        return;
    n = pg_mgr_plan_new(s->mgr, now_ns(s), recs, PROPOSALS_AT_ONCE);
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        pg_rec_to_msg(&recs[i], &pgs[i], members[i], member_ptrs[i]);
        pg_ptrs[i] = &pgs[i];
    }
    op.pgs = pg_ptrs;
    op.n_pgs = n;
    change.op_case = DFS__META_REQUEST__OP_PG_CREATE;
    change.pg_create = &op;
    s->creating = true;
    node_propose(s->node, &change, create_applied, s);
}

struct retirement {
    struct svc_datanode *svc;
    uint64_t term;
    uint32_t target;
};

static void retired(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct retirement *r = ctx;
    struct target_state *t;

    if (status == 0)
        status = reply->status;
    if (r->svc->mgr != NULL && r->term == node_term(r->svc->node)) {
        t = datanodes_target(&r->svc->dn, r->target);
        if (t != NULL)
            t->retiring = false;
        log_info("target removed: its datanode serves without it", "target=%" PRIu32 " result=%s",
                 r->target, dfs_strerror(status));
    }
    free(r);
}

static void retire_targets(struct svc_datanode *s)
{
    struct target_state *t;

    while ((t = datanodes_retired(&s->dn)) != NULL) {
        Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
        Dfs__TargetSetOp op = DFS__TARGET_SET_OP__INIT;
        struct retirement *r = MEM_NEW(struct retirement);

        op.target = t->target;
        op.state = DFS__TARGET_STATE__TARGET_REMOVED;
        change.op_case = DFS__META_REQUEST__OP_TARGET_SET;
        change.target_set = &op;
        *r = (struct retirement){.svc = s, .term = node_term(s->node), .target = t->target};
        t->retiring = true;
        node_propose(s->node, &change, retired, r);
    }
}

static void decide(void *ctx)
{
    struct svc_datanode *s = ctx;
    struct pg_rec out[PROPOSALS_AT_ONCE];
    size_t n;

    if (s->mgr == NULL)
        return;
    datanodes_tell_room(&s->dn, s->mgr, clock_wall_ns(clock_system()));
    n = pg_mgr_tick(s->mgr, now_ns(s), out, PROPOSALS_AT_ONCE);
    datanodes_tell_slow(&s->dn, s->mgr);
    for (size_t i = 0; i < n; i++)
        propose_epoch(s, &out[i]);
    n = pg_survey_tick(s->survey, &s->dn, now_ns(s), out, PROPOSALS_AT_ONCE);
    for (size_t i = 0; i < n; i++)
        propose_epoch(s, &out[i]);
    create_pgs(s);
    retire_targets(s);
}

/* ---- questions of the other services ---- */

void svc_datanode_space(const struct svc_datanode *s, struct fsm_space *ret_space)
{
    struct cluster_rec cluster;
    uint32_t copies = fsm_cluster(node_fsm(s->node), &cluster) == 0 ? cluster.copies : 1;

    *ret_space = (struct fsm_space){.inodes_max = UINT64_C(1) << 40};
    datanodes_space(&s->dn, copies, &ret_space->bytes_total, &ret_space->bytes_free);
}

int svc_datanode_choose_pgs(struct svc_datanode *s, uint32_t copies, uint32_t count, uint32_t *out)
{
    if (s->mgr != NULL && !datanodes_have_pgs(&s->dn, copies))
        pg_mgr_want_copies(s->mgr, copies);
    return datanodes_choose_pgs(&s->dn, &s->choose_next, copies, count, out);
}

int svc_datanode_want_copies(struct svc_datanode *s, uint32_t copies)
{
    if (copies > datanodes_host_count(&s->dn))
        return -EINVAL;
    if (s->mgr != NULL)
        pg_mgr_want_copies(s->mgr, copies);
    return 0;
}

const struct datanodes *svc_datanode_memory(const struct svc_datanode *s)
{
    return &s->dn;
}

struct conn *svc_datanode_conn(const struct svc_datanode *s, uint32_t target)
{
    const struct target_state *t = datanodes_target(&s->dn, target);

    return t == NULL || t->node == NULL ? NULL : t->node->conn;
}

void svc_datanode_view(const struct svc_datanode *s, enum cluster_view_pgs pgs,
                       struct cluster_view *ret_view)
{
    cluster_view_make(&s->dn, s->mgr, node_fsm(s->node), pgs, ret_view);
}

const struct sync_progress *svc_datanode_progress(const struct svc_datanode *s, uint32_t pg)
{
    const struct pg_state *p = datanodes_pg(&s->dn, pg);

    return p == NULL || p->sync.total == 0 ? NULL : &p->sync;
}

size_t svc_datanode_bad(const struct svc_datanode *s, const Dfs__BadChunkReport **out, size_t max)
{
    return datanodes_bad(&s->dn, out, max);
}

/* ---- life ---- */

static int start(struct services *all, void **ret_self)
{
    struct svc_datanode *s = MEM_NEW(struct svc_datanode);

    s->all = all;
    s->node = services_node(all);
    s->tick = loop_timer_new(services_loop(all), decide, s);
    *ret_self = s;
    return 0;
}

static void stopped(void *self)
{
    struct svc_datanode *s = self;

    loop_timer_stop(s->tick);
    pg_push_free(STEAL(s->push));
    pg_mgr_free(STEAL(s->mgr));
    pg_survey_free(STEAL(s->survey));
    datanodes_clear(&s->dn);
}

static void stop(void *self)
{
    struct svc_datanode *s = self;

    stopped(s);
    loop_timer_free(s->tick);
    free(s);
}

static int add_target(void *ctx, const struct target_rec *rec)
{
    target_changed(ctx, rec);
    return 0;
}

static int add_pg(void *ctx, const struct pg_rec *rec)
{
    pg_changed(ctx, rec);
    return 0;
}

static void serving(void *self, uint64_t term)
{
    struct svc_datanode *s = self;
    const struct node_conf *conf = services_conf(s->all);
    struct pg_mgr_options o;
    struct cluster_rec cluster;

    (void)term;
    pg_mgr_options_init(&o);
    o.moves_at_once = conf->rebalance_moves;
    o.slow_after_ns = conf->slow_after_ms * CLOCK_NS_PER_MS;
    o.slow_ns = conf->slow_latency_ms * CLOCK_NS_PER_MS;
    o.slow_rest_ns = conf->slow_rest_ms * CLOCK_NS_PER_MS;
    if (fsm_cluster(node_fsm(s->node), &cluster) == 0) {
        o.copies = cluster.copies;
        o.min_write = cluster.min_write;
        o.pgs_per_target = cluster.pgs_per_target;
    }
    s->mgr = pg_mgr_new(&o, now_ns(s));
    s->survey = pg_survey_new(now_ns(s));
    s->push = pg_push_new(s->node, &s->dn, s->mgr);
    s->creating = false;
    (void)fsm_each_target(node_fsm(s->node), add_target, s);
    (void)fsm_each_pg(node_fsm(s->node), add_pg, s);
    loop_timer_start(s->tick, TICK_MS, TICK_MS);
}

static void on_event(void *self, const struct fsm_event *event)
{
    struct svc_datanode *s = self;
    struct target_rec target;
    struct pg_rec pg;

    if (s->mgr == NULL)
        return;
    switch (event->kind) {
    case FSM_EVENT_CLUSTER: /* Now copies and PG numbers are known: nothing was registered before.
                             */
        stopped(s);
        serving(s, node_term(s->node));
        break;
    case FSM_EVENT_TARGET:
        if (fsm_target_get(node_fsm(s->node), event->target, &target) == 0)
            target_changed(s, &target);
        pg_push_schedule(s->push);
        break;
    case FSM_EVENT_PG:
        if (fsm_pg_get(node_fsm(s->node), event->pg, &pg) == 0)
            pg_changed(s, &pg);
        break;
    case FSM_EVENT_SESSION_ENDED:
        if (event->evicted)
            pg_push_schedule(s->push);
        break;
    case FSM_EVENT_SESSION_OPENED:
    case FSM_EVENT_FENCE_DONE:
    case FSM_EVENT_NAMENODE:
    case FSM_EVENT_UNLINKED:
    case FSM_EVENT_REAPED:
    case FSM_EVENT_GARBAGE:
        break;
    }
}

static void closed(void *self, struct conn *c)
{
    struct svc_datanode *s = self;
    struct datanode *n = datanodes_node_of_conn(&s->dn, c);

    if (n == NULL)
        return;
    log_warn("connection to a datanode is gone", "node=%s", n->node);
    for (unsigned i = 0; i < n->target_count; i++)
        pg_mgr_lost(s->mgr, n->targets[i], n->incarnation);
    datanode_set_conn(n, NULL);
    decide(s);
}

const struct service svc_datanode = {
    .name = "datanode",
    .handlers = {{MSG_NODE_REGISTER, true, on_register},
                 {MSG_HEARTBEAT, true, on_heartbeat},
                 {MSG_BAD_CHUNK, true, on_bad_chunk}},
    .start = start,
    .stop = stop,
    .serving = serving,
    .stopped = stopped,
    .event = on_event,
    .closed = closed,
};
