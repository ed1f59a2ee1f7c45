/*
 * SESSION_OPEN, _RENEW, _CLOSE. A session begins and ends by a log entry; that a client is silent
 * costs it nothing until it has been so for session_timeout (a laptop that slept), then it is
 * evicted. A new leader counts from the moment it serves: it does not know who was heard before.
 */
#include "namenode/svc_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "namenode/service.h"
#include "namenode/sessions.h"
#include "namenode/svc_request.h"
#include "rpc/conn.h"
#include "rpc/token.h"

enum { SWEEP_MS = 5000, EVICT_AT_ONCE = 64, LEASE_MS = 15000 };

struct svc_session {
    struct services *all;
    struct node *node;
    struct sessions *sessions; /* NULL unless serving */
    struct loop_timer *sweep;
    bool asks; /* whether it still leads */
};

/* A request under a session that we have never heard of. */
struct svc_unknown {
    struct svc_request *request;
    uint64_t session;
};

struct svc_session *svc_session_of(struct services *all)
{
    return services_find(all, svc_session.name);
}

static uint64_t now_ns(const struct svc_session *s)
{
    return loop_now_ns(services_loop(s->all));
}

bool svc_session_renew(struct svc_session *s, uint64_t session)
{
    return s->sessions != NULL && sessions_renew(s->sessions, session, now_ns(s));
}

void svc_session_open_inode(struct svc_session *s, const struct conn *c, uint64_t session,
                            uint64_t ino)
{
    if (s->sessions != NULL)
        sessions_open_inode(s->sessions, session, conn_number(c), ino);
}

void svc_session_close_inode(struct svc_session *s, const struct conn *c, uint64_t session,
                             uint64_t ino)
{
    if (s->sessions != NULL)
        sessions_close_inode(s->sessions, session, conn_number(c), ino);
}

bool svc_session_may_open(const struct svc_session *s, uint64_t ino, uint32_t nlink)
{
    return s->sessions == NULL || sessions_may_open(s->sessions, ino, nlink);
}

void svc_session_reap_begins(struct svc_session *s, uint64_t ino)
{
    if (s->sessions != NULL)
        sessions_reap_begins(s->sessions, ino);
}

bool svc_session_is_reaped(const struct svc_session *s, uint64_t ino)
{
    return s->sessions != NULL && sessions_is_reaped(s->sessions, ino);
}

void svc_session_reap_ends(struct svc_session *s, uint64_t ino)
{
    if (s->sessions != NULL)
        sessions_reap_ends(s->sessions, ino);
}

void svc_session_note_seq(struct svc_session *s, uint64_t session, uint64_t seq)
{
    if (s->sessions != NULL)
        sessions_note_seq(s->sessions, session, seq);
}

bool svc_session_may_be_done(const struct svc_session *s, uint64_t session, uint64_t seq)
{
    return s->sessions == NULL || sessions_may_be_done(s->sessions, session, seq);
}

const struct sessions *svc_session_view(const struct svc_session *s)
{
    return s->sessions;
}

/* ---- the unknown ---- */

static void unknown_read(void *ctx, int status)
{
    struct svc_unknown *u = ctx;
    struct svc_session *s = u->request->self;

    if (status < 0)
        svc_request_fail(u->request, status, "nobody knows whether the session has ended");
    else if (svc_session_renew(s, u->session))
        svc_request_fail(u->request, -EAGAIN, "the session is known by now");
    else
        svc_request_fail(u->request, DFS_ESTALE_SESSION, "the session is not known");
    free(u);
}

void svc_session_unknown(struct svc_session *s, struct conn *c, const struct rpc_frame *f,
                         uint64_t session)
{
    struct svc_unknown *u = MEM_NEW(struct svc_unknown);

    u->request = svc_request_new(s->all, s, c, f);
    u->session = session;
    node_read(s->node, unknown_read, u);
}

static void on_event(void *self, const struct fsm_event *event)
{
    struct svc_session *s = self;
    if (s->sessions == NULL)
        return;
    if (event->kind == FSM_EVENT_SESSION_OPENED)
        sessions_add(s->sessions, event->session, true, now_ns(s));
    else if (event->kind == FSM_EVENT_SESSION_ENDED)
        sessions_remove(s->sessions, event->session);
}

/* ---- opening ---- */

static void open_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct svc_request *r = ctx;
    struct svc_session *s = r->self;
    Dfs__SessionOpenReply msg = DFS__SESSION_OPEN_REPLY__INIT;
    uint8_t token[TOKEN_BYTES];
    struct cluster_rec cluster;

    if (status == 0 && reply->status != 0)
        status = reply->status;
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_ID)
        status = -EIO;
    if (status == 0)
        status = fsm_cluster(node_fsm(s->node), &cluster);
    if (status == 0)
        status = token_make(cluster.data_key, cluster.data_key_len, reply->id->id, token);
    if (status < 0) {
        svc_request_fail(r, status, "the session was not opened");
        return;
    }
    msg.session = reply->id->id;
    msg.lease_ms = LEASE_MS;
    msg.data_token = (ProtobufCBinaryData){.data = token, .len = sizeof(token)};
    msg.cluster_uuid = (ProtobufCBinaryData){.data = cluster.uuid, .len = sizeof(cluster.uuid)};
    msg.leader_time_ns = clock_wall_ns(clock_system());
    msg.term = node_term(s->node);
    svc_request_reply(r, &msg.base);
}

static void on_open(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_session *s = self;
    Dfs__SessionOpenRequest *req =
        dfs__session_open_request__unpack(NULL, f->header.body_len, f->body);
    Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
    Dfs__SessionOpenOp op;
    int r;

    dfs__session_open_op__init(&op);
    if (req == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "the body is not a SessionOpenRequest");
        return;
    }
    op.client_uuid = req->client_uuid;
    op.name = req->name;
    change.op_case = DFS__META_REQUEST__OP_SESSION_OPEN;
    change.session_open = &op;
    r = fsm_check_request(&change, false);
    if (r < 0)
        conn_reply_error(c, f->header.type, f->header.rpc_id, r,
                         "a session needs a uuid of 16 bytes and a short name");
    else
        node_propose(s->node, &change, open_applied, svc_request_new(s->all, s, c, f));
    dfs__session_open_request__free_unpacked(req, NULL);
}

/* ---- renewing ---- */

static void renewed(void *ctx, int status)
{
    struct svc_request *r = ctx;
    struct svc_session *s = r->self;
    Dfs__SessionRenewReply msg = DFS__SESSION_RENEW_REPLY__INIT;

    if (status < 0) {
        svc_request_fail(r, status, "nobody knows whether the session goes on");
        return;
    }
    msg.term = node_term(s->node);
    msg.leader_time_ns = clock_wall_ns(clock_system());
    msg.pg_version = fsm_state(node_fsm(s->node))->map_version;
    svc_request_reply(r, &msg.base);
}

/* Only a leader that is sure of itself may say that a session goes on: another may have ended it. */
static void on_renew(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_session *s = self;
    Dfs__SessionRenewRequest *req =
        dfs__session_renew_request__unpack(NULL, f->header.body_len, f->body);
    struct svc_request *r;

    if (req == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "the body is not a SessionRenewRequest");
        return;
    }
    if (!svc_session_renew(s, req->session)) {
        svc_session_unknown(s, c, f, req->session);
    } else {
        if (req->reclaim)
            sessions_attach(s->sessions, req->session, req->term, conn_number(c), req->open_inos,
                            req->n_open_inos);
        r = svc_request_new(s->all, s, c, f);
        if (node_read_now(s->node))
            renewed(r, 0);
        else
            node_read(s->node, renewed, r);
    }
    dfs__session_renew_request__free_unpacked(req, NULL);
}

/* ---- ending ---- */

static void close_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct svc_request *r = ctx;
    Dfs__SessionCloseReply msg = DFS__SESSION_CLOSE_REPLY__INIT;

    if (status == 0 && reply->status != -ENOENT) /* Gone already: the answer before was lost. */
        status = reply->status;
    if (status < 0)
        svc_request_fail(r, status, "the session was not closed");
    else
        svc_request_reply(r, &msg.base);
}

static void propose_end(struct svc_session *s, uint64_t session, bool evicted, node_reply_fn done,
                        void *ctx)
{
    Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
    Dfs__SessionEndOp op = DFS__SESSION_END_OP__INIT;

    op.session = session;
    op.evicted = evicted;
    change.op_case = DFS__META_REQUEST__OP_SESSION_END;
    change.session_end = &op;
    node_propose(s->node, &change, done, ctx);
}

static void on_close(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_session *s = self;
    Dfs__SessionCloseRequest *req =
        dfs__session_close_request__unpack(NULL, f->header.body_len, f->body);

    if (req == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "the body is not a SessionCloseRequest");
        return;
    }
    propose_end(s, req->session, false, close_applied, svc_request_new(s->all, s, c, f));
    dfs__session_close_request__free_unpacked(req, NULL);
}

static void evict_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    (void)ctx;
    (void)reply;
    if (status < 0)
        log_warn("a silent session was not evicted, trying again", "error=%s",
                 dfs_strerror(status));
}

static void evict_silent(void *ctx, int status)
{
    struct svc_session *s = ctx;
    uint64_t silence_ms = services_conf(s->all)->session_timeout_ms;
    uint64_t expired[EVICT_AT_ONCE];
    size_t n;

    s->asks = false;
    if (status < 0 || s->sessions == NULL)
        return;
    n = sessions_expired(s->sessions, now_ns(s), silence_ms * CLOCK_NS_PER_MS, expired,
                         EVICT_AT_ONCE);
    for (size_t i = 0; i < n; i++) {
        log_warn("evicting a session that was silent for too long",
                 "session=%" PRIu64 " session_timeout=%" PRIu64 "ms", expired[i], silence_ms);
        propose_end(s, expired[i], true, evict_applied, s);
    }
}

/* Only a leader that is sure of itself may call others dead. */
static void sweep(void *ctx)
{
    struct svc_session *s = ctx;

    if (s->sessions == NULL || s->asks)
        return;
    s->asks = true;
    node_read(s->node, evict_silent, s);
}

/* ---- life ---- */

static int start(struct services *all, void **ret_self)
{
    struct svc_session *s = MEM_NEW(struct svc_session);

    s->all = all;
    s->node = services_node(all);
    s->sweep = loop_timer_new(services_loop(all), sweep, s);
    *ret_self = s;
    return 0;
}

static void stopped(void *self)
{
    struct svc_session *s = self;

    loop_timer_stop(s->sweep);
    sessions_free(STEAL(s->sessions));
}

static void stop(void *self)
{
    struct svc_session *s = self;

    stopped(s);
    loop_timer_free(s->sweep);
    free(s);
}

static int add_session(void *ctx, const struct session_rec *rec)
{
    struct svc_session *s = ctx;

    sessions_add(s->sessions, rec->session, false, now_ns(s));
    sessions_note_seq(s->sessions, rec->session, rec->seq_max);
    return 0;
}

static void serving(void *self, uint64_t term)
{
    struct svc_session *s = self;
    uint64_t sweep_ms = MIN((uint64_t)SWEEP_MS, services_conf(s->all)->session_timeout_ms / 4);

    s->sessions = sessions_new(term);
    (void)fsm_each_session(node_fsm(s->node), add_session, s);
    loop_timer_start(s->sweep, sweep_ms, sweep_ms);
}

const struct service svc_session = {
    .name = "session",
    .handlers = {{MSG_SESSION_OPEN, true, on_open},
                 {MSG_SESSION_RENEW, true, on_renew},
                 {MSG_SESSION_CLOSE, true, on_close}},
    .start = start,
    .stop = stop,
    .serving = serving,
    .stopped = stopped,
    .event = on_event,
};
