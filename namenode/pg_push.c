/* See pg_push.h. */
#include "namenode/pg_push.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "namenode/cluster_view.h"
#include "namenode/datanodes.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/pg_mgr.h"
#include "rpc/conn.h"

enum { PUSH_TIMEOUT_MS = 2000, FENCE_CHECK_MS = 1000 };
static const int64_t fence_keep_ns = 3600LL * 1000000000LL;

struct pg_push {
    struct node *node;
    struct datanodes *dn;
    const struct pg_mgr *mgr;
    struct loop_timer *fence_timer;
    bool scheduled;
    size_t in_flight;
    bool freed; /* its memory waits for the pushes in flight */
};

/* One push under way to one datanode. */
struct push_call {
    struct pg_push *push;
    char node[REC_STRING_SIZE];
    uint64_t incarnation;
    uint64_t fence_version;
};

static void push_now(void *ctx);

static void release(struct pg_push *p)
{
    if (p->freed && p->in_flight == 0)
        free(p);
}

void pg_push_free(struct pg_push *p)
{
    if (p == NULL)
        return;
    loop_cancel(node_loop(p->node), push_now, p);
    loop_timer_free(p->fence_timer);
    p->freed = true;
    release(p);
}

/* ---- fences ---- */

static void fence_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    (void)ctx;
    if (status == 0)
        status = reply->status;
    if (status < 0)
        log_warn("the end of a fence was not recorded, trying again", "error=%s",
                 dfs_strerror(status));
}

struct fence_walk {
    struct pg_push *push;
    uint64_t acked; /* they are known up to this version */
    uint64_t told;  /* who is connected has answered up to this one */
    uint64_t lowest_session;
    bool is_missed; /* there is a younger one: its push was lost, or they told us when they came */
    uint64_t done[64];
    size_t done_count;
};

bool fence_may_be_forgotten(const struct fence_rec *rec, uint64_t lowest_session, int64_t wall_ns)
{
    return rec->done && rec->session < lowest_session && wall_ns - rec->since_ns > fence_keep_ns;
}

static int fence_judge(void *ctx, const struct fence_rec *rec)
{
    struct fence_walk *w = ctx;
    int64_t wall_ns = clock_wall_ns(clock_system());

    w->is_missed = w->is_missed || (!rec->done && rec->fence_version > w->told);
    if ((rec->done ? fence_may_be_forgotten(rec, w->lowest_session, wall_ns)
                   : rec->fence_version <= w->acked) &&
        w->done_count < ARRAY_COUNT(w->done))
        w->done[w->done_count++] = rec->session;
    return 0;
}

/* 0: no fence, it is not heard now, or has not answered yet. */
static uint64_t fences_acked_by(const struct datanodes *dn, uint32_t target)
{
    const struct target_state *t = datanodes_target(dn, target);

    return t == NULL || t->node == NULL || t->node->conn == NULL ? 0 : t->node->fence_acked;
}

/*
 * Up to which version the fences are known wherever a write can still be taken: by all that are in
 * a chain. One that is not connected may only be out of our sight. It counts until the chains go on
 * without it, in newer epochs; when it comes back it gets all fences before it serves anything.
 */
static uint64_t fences_acked(const struct datanodes *dn)
{
    uint64_t acked = UINT64_MAX;
    struct pg_state *pg, *next;

    HASH_ITER (hh, dn->pgs, pg, next) {
        for (unsigned i = 0; i < pg->rec.member_count; i++) {
            const struct pg_member_rec *m = &pg->rec.members[i];

            if (m->state != PG_OFFLINE)
                acked = MIN(acked, fences_acked_by(dn, m->target));
        }
    }
    return acked;
}

static uint64_t fences_told(const struct datanodes *dn)
{
    uint64_t told = UINT64_MAX;
    struct datanode *n, *next;

    HASH_ITER (hh, dn->nodes, n, next) {
        if (n->conn != NULL)
            told = MIN(told, n->fence_acked);
    }
    return told;
}

static void fence_check(void *ctx)
{
    struct pg_push *p = ctx;
    struct fence_walk w = {.push = p,
                           .acked = fences_acked(p->dn),
                           .told = fences_told(p->dn),
                           .lowest_session = fsm_lowest_session(node_fsm(p->node))};

    (void)fsm_each_fence(node_fsm(p->node), fence_judge, &w);
    if (w.is_missed)
        pg_push_schedule(p);
    for (size_t i = 0; i < w.done_count; i++) {
        Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
        Dfs__FenceDoneOp op = DFS__FENCE_DONE_OP__INIT;

        op.session = w.done[i];
        change.op_case = DFS__META_REQUEST__OP_FENCE_DONE;
        change.fence_done = &op;
        node_propose(p->node, &change, fence_applied, p);
    }
}

/* ---- pushes ---- */

static void push_answered(void *ctx, int status, const struct rpc_frame *f)
{
    struct push_call *call = ctx;
    struct pg_push *p = call->push;
    struct datanode *n;

    (void)f;
    p->in_flight--;
    if (!p->freed) {
        n = datanodes_node(p->dn, call->node, false);
        if (status < 0)
            log_warn("a configuration did not reach its datanode", "node=%s error=%s", call->node,
                     dfs_strerror(status));
        else if (n != NULL && n->incarnation == call->incarnation)
            n->fence_acked = MAX(n->fence_acked, call->fence_version);
    }
    free(call);
    release(p);
}

static void push_to(struct pg_push *p, struct datanode *n, const Dfs__PgConfigPush *msg,
                    uint64_t fence_version)
{
    struct push_call *call = MEM_NEW(struct push_call);

    call->push = p;
    memcpy(call->node, n->node, sizeof(call->node));
    call->incarnation = n->incarnation;
    call->fence_version = fence_version;
    p->in_flight++;
    conn_call(n->conn, MSG_PG_CONFIG, &msg->base, NULL, PUSH_TIMEOUT_MS, push_answered, call);
}

static void push_now(void *ctx)
{
    struct pg_push *p = ctx;
    Dfs__PgConfigPush msg = DFS__PG_CONFIG_PUSH__INIT;
    struct cluster_view view;
    struct datanode *n, *n_next;
    struct pg_state *pg, *pg_next;

    p->scheduled = false;
    cluster_view_make(p->dn, p->mgr, node_fsm(p->node), CLUSTER_VIEW_DIRTY, &view);
    msg.pgs = view.pgs;
    msg.n_pgs = view.pg_count;
    msg.targets = view.targets;
    msg.n_targets = view.target_count;
    msg.fenced_sessions = view.fenced;
    msg.n_fenced_sessions = view.fenced_count;
    msg.session_floor = view.session_floor;
    msg.lowest_session = view.lowest_session;
    msg.term = node_term(p->node);
    HASH_ITER (hh, p->dn->nodes, n, n_next) {
        if (n->conn != NULL)
            push_to(p, n, &msg, view.fence_version);
    }
    HASH_ITER (hh, p->dn->pgs, pg, pg_next)
        pg->dirty = false;
    cluster_view_done(&view);
}

void pg_push_schedule(struct pg_push *p)
{
    if (p->scheduled)
        return;
    p->scheduled = true;
    loop_defer(node_loop(p->node), push_now, p);
}

struct pg_push *pg_push_new(struct node *node, struct datanodes *dn, const struct pg_mgr *mgr)
{
    struct pg_push *p = MEM_NEW(struct pg_push);

    p->node = node;
    p->dn = dn;
    p->mgr = mgr;
    p->fence_timer = loop_timer_new(node_loop(node), fence_check, p);
    loop_timer_start(p->fence_timer, FENCE_CHECK_MS, FENCE_CHECK_MS);
    return p;
}
