/*
 * Two queues of the state machine, worked off by the leader in bounded slices:
 *
 *   unlinked inode ──nobody has it open──► ReapOp slices: its chunks go to the garbage queues
 *   garbage of a PG ──DELETE through the PG's chain, acknowledged by all──► GcDone
 *
 * Each step may be repeated: ids are never reused, deleting twice is once.
 *
 * However much waits, others wait for a round at most: some ms of work, of so many inodes and chunks,
 * then a pause. Which inodes are next is reap_queue.c's.
 */
#include "namenode/svc_reaper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include <uthash.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/reap_queue.h"
#include "namenode/service.h"
#include "namenode/svc_datanode.h"
#include "namenode/svc_session.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/conn.h"

enum {
    TICK_MS = 100,
    REAP_CHUNKS = 256, /* of a round */
    REAP_PAUSE_MS = 10,
    LOOKS_PER_TICK = 64, /* PGs looked at for garbage */
    DELETIONS_IN_FLIGHT = 16,
    DELETE_CHUNKS = 256,
    DELETE_TIMEOUT_MS = 30000,
    RETRY_MS = 1000,
};

/* A PG with garbage. */
struct garbage {
    uint32_t pg;
    bool busy;
    uint64_t not_before_ns;
    uint64_t after; /* chunks up to it were deleted since the last look from the start */
    UT_hash_handle hh;
};

struct svc_reaper {
    struct services *all;
    struct node *node;
    struct loop_timer *tick;
    bool serving;
    bool asks; /* whether it still leads */
    uint64_t term;
    size_t reaps_in_flight;
    struct loop_timer *pause;
    struct reap_queue *queue; /* unlinked inodes */
    size_t deletions_in_flight;
    struct garbage *garbage; /* who was looked at longest ago is first */
};

struct svc_reaper *svc_reaper_of(struct services *all)
{
    return services_find(all, svc_reaper.name);
}

static uint64_t now_ns(const struct svc_reaper *s)
{
    return loop_now_ns(services_loop(s->all));
}

/* ---- inodes ---- */

struct reap {
    struct svc_reaper *svc;
    uint64_t term, ino;
};

static void reap_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct reap *r = ctx;
    struct svc_reaper *s = r->svc;

    if (s->serving && r->term == s->term) {
        if (status < 0)
            log_debug("reaping an inode is tried again", "error=%s", dfs_strerror(status));
        /* Not done, or some of its chunks are left. */
        if (status < 0 || (reply->status == 0 && reply->id->id > 0))
            reap_queue_add(s->queue, r->ino);
        else
            svc_session_reap_ends(svc_session_of(s->all), r->ino);
        if (--s->reaps_in_flight == 0)
            loop_timer_start(s->pause, REAP_PAUSE_MS, 0);
    }
    free(r);
}

static void propose_reap(struct svc_reaper *s, uint64_t ino, uint32_t max_chunks)
{
    Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
    Dfs__ReapOp op = DFS__REAP_OP__INIT;
    struct reap *r = MEM_NEW(struct reap);

    op.ino = ino;
    op.max_chunks = max_chunks;
    change.op_case = DFS__META_REQUEST__OP_REAP;
    change.reap = &op;
    *r = (struct reap){.svc = s, .term = s->term, .ino = ino};
    s->reaps_in_flight++;
    svc_session_reap_begins(svc_session_of(s->all), ino);
    node_propose(s->node, &change, reap_applied, r);
}

static void reap_some(struct svc_reaper *s)
{
    const struct sessions *sessions = svc_session_view(svc_session_of(s->all));
    struct reap_slice slices[REAP_ROUND_MAX];
    size_t count;

    if (s->reaps_in_flight > 0 || sessions == NULL)
        return;
    count = reap_queue_round(s->queue, node_fsm(s->node), sessions, REAP_CHUNKS, slices);
    for (size_t i = 0; i < count; i++)
        propose_reap(s, slices[i].ino, slices[i].max_chunks);
}

/* ---- garbage ---- */

struct deletion {
    struct svc_reaper *svc;
    uint64_t term;
    uint32_t pg;
    size_t count;
    uint64_t chunks[DELETE_CHUNKS];
};

static struct garbage *garbage_find(const struct svc_reaper *s, uint32_t pg)
{
    struct garbage *g;

    HASH_FIND(hh, s->garbage, &pg, sizeof(pg), g);
    return g;
}

static void garbage_add(struct svc_reaper *s, uint32_t pg)
{
    struct garbage *g = garbage_find(s, pg);

    if (g != NULL)
        return;
    g = MEM_NEW(struct garbage);
    g->pg = pg;
    HASH_ADD(hh, s->garbage, pg, sizeof(g->pg), g);
}

static void deletion_end(struct deletion *d, int status)
{
    struct svc_reaper *s = d->svc;
    bool is_ours = s->serving && s->term == d->term;
    struct garbage *g = is_ours ? garbage_find(s, d->pg) : NULL;

    if (is_ours)
        s->deletions_in_flight--;
    if (g != NULL) {
        g->busy = false;
        if (status == 0) {
            g->after = d->chunks[d->count - 1];
        } else {
            log_debug("deleting chunks is tried again", "pg=%" PRIu32 " error=%s", d->pg,
                      dfs_strerror(status));
            g->not_before_ns = now_ns(s) + RETRY_MS * CLOCK_NS_PER_MS;
        }
    }
    free(d);
}

static void gc_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    deletion_end(ctx, status < 0 ? status : reply->status);
}

static void delete_answered(void *ctx, int status, const struct rpc_frame *f)
{
    struct deletion *d = ctx;
    Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
    Dfs__GcDoneOp op = DFS__GC_DONE_OP__INIT;

    (void)f;
    if (status < 0 || !d->svc->serving || d->svc->term != d->term) {
        deletion_end(d, status < 0 ? status : DFS_ENOTLEADER);
        return;
    }
    op.pg = d->pg;
    op.chunk_ids = d->chunks;
    op.n_chunk_ids = d->count;
    change.op_case = DFS__META_REQUEST__OP_GC_DONE;
    change.gc_done = &op;
    node_propose(d->svc->node, &change, gc_applied, d);
}

/* The head of the chain orders the deletion among everything else that happens to these chunks. */
static int delete_start(struct svc_reaper *s, struct garbage *g, struct deletion *d)
{
    Dfs__ChunkOp op = DFS__CHUNK_OP__INIT;
    struct pg_rec pg;
    struct conn *head;

    if (fsm_pg_get(node_fsm(s->node), g->pg, &pg) < 0 || pg.member_count == 0)
        return -ENOENT;
    head = svc_datanode_conn(svc_datanode_of(s->all), pg.members[0].target);
    if (head == NULL)
        return -EAGAIN;
    op.kind = DFS__CHUNK_OP_KIND__CHUNK_OP_DELETE;
    op.pg = g->pg;
    op.epoch = pg.epoch;
    op.first_epoch = pg.epoch;
    op.chunks = d->chunks;
    op.n_chunks = d->count;
    conn_call(head, MSG_CHUNK_OP, &op.base, NULL, DELETE_TIMEOUT_MS, delete_answered, d);
    return 0;
}

/* The next chunks of a PG. What was put there behind our back is found by a look from the start. */
static int list_garbage(struct svc_reaper *s, struct garbage *g, struct deletion *d)
{
    struct fsm *fsm = node_fsm(s->node);
    int r = fsm_list_garbage(fsm, g->pg, g->after, DELETE_CHUNKS, d->chunks, &d->count);

    if (r < 0 || d->count > 0 || g->after == 0)
        return r;
    g->after = 0;
    return fsm_list_garbage(fsm, g->pg, 0, DELETE_CHUNKS, d->chunks, &d->count);
}

static void collect(struct svc_reaper *s, struct garbage *g)
{
    struct deletion *d = MEM_NEW(struct deletion);
    int r;

    *d = (struct deletion){.svc = s, .term = s->term, .pg = g->pg};
    r = list_garbage(s, g, d);
    HASH_DEL(s->garbage, g);
    if (r == 0 && d->count == 0) {
        free(g);
        free(d);
        return;
    }
    HASH_ADD(hh, s->garbage, pg, sizeof(g->pg), g); /* As the last. */
    g->busy = true;
    s->deletions_in_flight++;
    if (r == 0)
        r = delete_start(s, g, d);
    if (r < 0)
        deletion_end(d, r);
}

static void collect_some(struct svc_reaper *s)
{
    struct garbage *g, *next;
    unsigned looks = 0;

    HASH_ITER (hh, s->garbage, g, next) {
        if (g->busy || now_ns(s) < g->not_before_ns)
            continue;
        if (s->deletions_in_flight == DELETIONS_IN_FLIGHT || looks++ == LOOKS_PER_TICK)
            break;
        collect(s, g);
    }
}

static void work(struct svc_reaper *s)
{
    reap_some(s);
    collect_some(s);
}

static void allowed(void *ctx, int status)
{
    struct svc_reaper *s = ctx;

    s->asks = false;
    if (status == 0 && s->serving)
        work(s);
}

/* Only a leader that is sure of itself: by its lease, or by a round. */
static void look(void *ctx)
{
    struct svc_reaper *s = ctx;

    if (!s->serving || s->asks)
        return;
    if (node_read_now(s->node)) {
        work(s);
        return;
    }
    s->asks = true;
    node_read(s->node, allowed, s);
}

static void on_event(void *self, const struct fsm_event *event)
{
    struct svc_reaper *s = self;
    if (!s->serving)
        return;
    if (event->kind == FSM_EVENT_UNLINKED)
        reap_queue_add(s->queue, event->id);
    else if (event->kind == FSM_EVENT_GARBAGE)
        garbage_add(s, event->pg);
}

/* ---- life ---- */

static int start(struct services *all, void **ret_self)
{
    struct svc_reaper *s = MEM_NEW(struct svc_reaper);

    s->all = all;
    s->node = services_node(all);
    s->tick = loop_timer_new(services_loop(all), look, s);
    s->pause = loop_timer_new(services_loop(all), look, s);
    s->queue = reap_queue_new();
    *ret_self = s;
    return 0;
}

static void stopped(void *self)
{
    struct svc_reaper *s = self;
    struct garbage *g, *next;

    s->serving = false;
    loop_timer_stop(s->tick);
    loop_timer_stop(s->pause);
    HASH_ITER (hh, s->garbage, g, next) {
        HASH_DEL(s->garbage, g);
        free(g);
    }
}

static void stop(void *self)
{
    struct svc_reaper *s = self;

    stopped(s);
    loop_timer_free(s->tick);
    loop_timer_free(s->pause);
    reap_queue_free(s->queue);
    free(s);
}

static int add_pg(void *ctx, const struct pg_rec *rec)
{
    garbage_add(ctx, rec->pg);
    return 0;
}

static void serving(void *self, uint64_t term)
{
    struct svc_reaper *s = self;

    s->serving = true;
    s->term = term;
    s->reaps_in_flight = 0;
    reap_queue_begin(s->queue);
    s->deletions_in_flight = 0;
    (void)fsm_each_pg(node_fsm(s->node), add_pg, s);
    loop_timer_start(s->tick, TICK_MS, TICK_MS);
}

const struct service svc_reaper = {
    .name = "reaper",
    .start = start,
    .stop = stop,
    .serving = serving,
    .stopped = stopped,
    .event = on_event,
};
