/*
 * `dfs fsck` of the metadata (fsck.h), at any namenode, each of its own store: the walk is over a view
 * of the store as it was at one moment, on a thread of its own, so that nobody waits for it. A change of
 * leaders does not touch it; a snapshot that replaces the store ends it.
 *
 *   NONE ─BEGIN─► WALKING ──► OVER ─REPAIR (the leader)─► REPAIRING ──► REPAIRED
 *                    └──► FAILED
 *
 * Repairs are proposed one after the other, in the order of the findings: each is one entry of the log,
 * and only those of the newest walk are taken (RepairOp). Nobody asks for a minute: the walk ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/worker.h"
#include "namenode/fsck.h"
#include "namenode/fsm.h"
#include "namenode/kv.h"
#include "namenode/node.h"
#include "namenode/service.h"
#include "rpc/node.pb-c.h"

enum {
    TICK_MS = 1000,
    FORGOTTEN_MS = 60000,
    PAGE = 100,  /* findings in one reply */
    LOGGED = 10, /* findings of one walk; who asks is told all */
};

enum state { NONE, WALKING, OVER, REPAIRING, REPAIRED, FAILED };

struct outcome {
    Dfs__FsckOutcome what;
    int error;
};

struct svc_fsck {
    struct services *all;
    struct node *node;
    struct loop_timer *tick;
    struct worker *worker;
    struct work work;
    enum state state;
    uint64_t walk; /* the number of the last one */
    uint64_t begun_ns, asked_ns;
    struct fsm *fsm; /* that the walk is of */
    struct kv *view; /* while WALKING; the worker's to read */

    /* The worker's while WALKING; progress is both's. */
    struct fsck_progress progress;
    struct fsck_result result;
    int error;

    /* Repairs. */
    struct outcome *outcomes; /* of each finding */
    size_t at;                /* the one under way */
    uint64_t number;
};

static uint64_t now_ns(const struct svc_fsck *s)
{
    return loop_now_ns(services_loop(s->all));
}

/* ---- the walk ---- */

static void on_run(struct work *work)
{
    struct svc_fsck *s = CONTAINER_OF(work, struct svc_fsck, work);

    s->error = fsck_walk(s->view, &s->progress, &s->result);
}

static void on_done(struct work *work)
{
    struct svc_fsck *s = CONTAINER_OF(work, struct svc_fsck, work);
    uint64_t ms = (now_ns(s) - s->begun_ns) / CLOCK_NS_PER_MS;

    kv_close(STEAL(s->view));
    s->state = s->error < 0 ? FAILED : OVER;
    if (s->error < 0)
        log_warn("the metadata could not be checked", "%s", dfs_strerror(s->error));
    else
        log_info("the metadata were checked",
                 "index=%" PRIu64 " inodes=%" PRIu64 " findings=%" PRIu64 " ms=%" PRIu64,
                 s->result.index, s->result.inode_count, s->result.finding_count, ms);
    for (size_t i = 0; i < MIN(s->result.count, (size_t)LOGGED); i++)
        log_warn("a finding in the metadata", "kind=%s %s",
                 fsck_words(s->result.findings[i].kind)->name, s->result.findings[i].detail);
    if (s->error < 0)
        node_check_store(s->node, s->error);
}

static void on_tick(void *ctx)
{
    struct svc_fsck *s = ctx;
    bool is_forgotten = now_ns(s) - s->asked_ns > FORGOTTEN_MS * CLOCK_NS_PER_MS;

    if (s->state != WALKING)
        loop_timer_stop(s->tick);
    else if (is_forgotten || node_fsm(s->node) != s->fsm)
        atomic_store(&s->progress.stop, true);
}

static void result_drop(struct svc_fsck *s)
{
    fsck_result_done(&s->result);
    free(STEAL(s->outcomes));
}

/* A walk that is under way is joined. */
static int begin(struct svc_fsck *s)
{
    int r;

    if (s->state == WALKING || s->state == REPAIRING)
        return 0;
    r = node_view(s->node, &s->view);
    if (r < 0)
        return r;
    result_drop(s);
    s->progress = (struct fsck_progress){0};
    s->error = 0;
    s->fsm = node_fsm(s->node);
    s->walk++;
    s->begun_ns = now_ns(s);
    s->state = WALKING;
    loop_timer_start(s->tick, TICK_MS, TICK_MS);
    worker_submit(s->worker, &s->work);
    return 0;
}

/* ---- repairs ---- */

static void repair_next(struct svc_fsck *s);

static void repair_end(struct svc_fsck *s, int error)
{
    s->state = REPAIRED;
    s->error = error;
    log_info("findings in the metadata were repaired",
             "walk=%" PRIu64 " tried=%" PRIu64 " of=%" PRIu64 " error=%s", s->result.index,
             s->number, s->result.repairable_count, error < 0 ? dfs_strerror(error) : "none");
}

static void repair_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct svc_fsck *s = ctx;
    struct outcome *o = &s->outcomes[s->at];

    if (status < 0) {
        repair_end(s, status);
        return;
    }
    o->error = reply->status;
    o->what = reply->status < 0    ? DFS__FSCK_OUTCOME__FSCK_REFUSED
              : reply->id->id == 1 ? DFS__FSCK_OUTCOME__FSCK_REPAIRED
                                   : DFS__FSCK_OUTCOME__FSCK_NOT_NEEDED;
    if (reply->status == -ESTALE) { /* Repairs of another walk came between. */
        repair_end(s, -ESTALE);
        return;
    }
    s->number++;
    s->at++;
    repair_next(s);
}

static void repair_next(struct svc_fsck *s)
{
    Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
    Dfs__RepairOp op;

    while (s->at < s->result.count && !s->result.findings[s->at].can_repair)
        s->at++;
    if (s->at == s->result.count) {
        repair_end(s, 0);
        return;
    }
    op = s->result.findings[s->at].repair;
    op.walk = s->result.index;
    op.number = s->number;
    change.op_case = DFS__META_REQUEST__OP_REPAIR;
    change.repair = &op;
    node_propose(s->node, &change, repair_applied, s);
}

static int repair(struct svc_fsck *s)
{
    if (s->state != OVER)
        return s->state == REPAIRING || s->state == REPAIRED ? 0 : -EAGAIN;
    if (!node_is_serving(s->node))
        return DFS_ENOTLEADER;
    s->outcomes = mem_zalloc(s->result.count + 1, sizeof(*s->outcomes));
    s->at = 0;
    s->number = 0;
    s->state = REPAIRING;
    repair_next(s);
    return 0;
}

/* ---- requests ---- */

static Dfs__FsckState wire_state(enum state state)
{
    switch (state) {
    case NONE:
        break;
    case WALKING:
        return DFS__FSCK_STATE__FSCK_STATE_WALKING;
    case OVER:
        return DFS__FSCK_STATE__FSCK_STATE_OVER;
    case REPAIRING:
        return DFS__FSCK_STATE__FSCK_STATE_REPAIRING;
    case REPAIRED:
        return DFS__FSCK_STATE__FSCK_STATE_REPAIRED;
    case FAILED:
        return DFS__FSCK_STATE__FSCK_STATE_FAILED;
    }
    return DFS__FSCK_STATE__FSCK_STATE_NONE;
}

static void fill_finding(const struct svc_fsck *s, size_t i, Dfs__FsckFinding *m)
{
    const struct fsck_finding *found = &s->result.findings[i];
    const struct fsck_words *w = fsck_words(found->kind);

    dfs__fsck_finding__init(m);
    m->kind = (char *)(uintptr_t)w->name;
    m->meaning = (char *)(uintptr_t)w->meaning;
    m->repair = (char *)(uintptr_t)w->repair;
    m->detail = (char *)(uintptr_t)found->detail;
    m->ino = found->ino;
    m->can_repair = found->can_repair;
    if (found->path)
        m->path = (ProtobufCBinaryData){.data = (uint8_t *)found->path, .len = strlen(found->path)};
    if (s->outcomes) {
        m->outcome = s->outcomes[i].what;
        m->error = s->outcomes[i].error;
    }
}

static void answer(struct svc_fsck *s, struct conn *c, const struct rpc_frame *f, uint32_t after)
{
    bool is_over = s->state == OVER || s->state == REPAIRED;
    Dfs__FsckReply m = DFS__FSCK_REPLY__INIT;
    Dfs__FsckFinding items[PAGE], *ptrs[PAGE];
    unsigned phase = atomic_load(&s->progress.phase);

    m.walk = s->walk;
    m.state = wire_state(s->state);
    m.phase = (char *)(uintptr_t)fsck_phase(phase);
    m.done = atomic_load(&s->progress.done);
    m.total = MAX(m.done, atomic_load(&s->progress.total));
    m.error = s->error;
    if (s->state == REPAIRING) {
        m.phase = (char *)(uintptr_t) "repairs";
        m.done = s->number;
        m.total = s->result.repairable_count;
    }
    if (is_over) {
        m.index = s->result.index;
        m.inodes = s->result.inode_count;
        m.entries = s->result.entry_count;
        m.chunks = s->result.chunk_count;
        m.finding_count = s->result.finding_count;
        m.usage_left_out = s->result.usage_left_out;
        for (size_t i = after; i < s->result.count && m.n_findings < PAGE; i++) {
            fill_finding(s, i, &items[m.n_findings]);
            ptrs[m.n_findings] = &items[m.n_findings];
            m.n_findings++;
        }
        m.findings = ptrs;
        m.end = after + m.n_findings >= s->result.count;
    }
    conn_reply(c, f->header.type, f->header.rpc_id, &m.base, NULL);
}

static int act(struct svc_fsck *s, const Dfs__FsckRequest *m)
{
    if (m->verb != DFS__FSCK_VERB__FSCK_BEGIN && m->walk != s->walk)
        return -ENOENT;
    switch (m->verb) {
    case DFS__FSCK_VERB__FSCK_BEGIN:
        return begin(s);
    case DFS__FSCK_VERB__FSCK_LOOK:
        return 0;
    case DFS__FSCK_VERB__FSCK_REPAIR:
        return repair(s);
    case DFS__FSCK_VERB__FSCK_STOP:
        atomic_store(&s->progress.stop, true);
        return 0;
    default:
        return -EINVAL;
    }
}

static const char *why(int error)
{
    switch (error) {
    case -ENOENT:
        return "this namenode knows nothing of that check: it was started again, or has begun "
               "another";
    case -EAGAIN:
        return "there is no check whose findings could be repaired";
    default:
        return "not a FsckRequest";
    }
}

static void on_request(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_fsck *s = self;
    Dfs__FsckRequest *m = dfs__fsck_request__unpack(NULL, f->header.body_len, f->body);
    int r;

    if (!m) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "not a FsckRequest");
        return;
    }
    s->asked_ns = now_ns(s);
    r = act(s, m);
    if (r == 0)
        answer(s, c, f, m->after);
    else if (r == DFS_ENOTLEADER)
        services_reply_not_leader(s->all, c, f);
    else
        conn_reply_error(c, f->header.type, f->header.rpc_id, r, "%s", why(r));
    dfs__fsck_request__free_unpacked(m, NULL);
}

/* ---- life ---- */

static int start(struct services *all, void **ret_self)
{
    struct svc_fsck *s = MEM_NEW(struct svc_fsck);
    int r;

    s->all = all;
    s->node = services_node(all);
    s->work = (struct work){.run = on_run, .done = on_done, .loop = services_loop(all)};
    s->tick = loop_timer_new(services_loop(all), on_tick, s);
    r = worker_new("dfs-fsck", &s->worker);
    if (r < 0) {
        loop_timer_free(s->tick);
        free(s);
        return r;
    }
    *ret_self = s;
    return 0;
}

static void stop(void *self)
{
    struct svc_fsck *s = self;

    atomic_store(&s->progress.stop, true);
    loop_timer_free(s->tick);
    worker_free(s->worker);
    while (s->state == WALKING)
        loop_run_once(services_loop(s->all), false);
    result_drop(s);
    free(s);
}

const struct service svc_fsck = {
    .name = "fsck",
    .handlers = {{MSG_FSCK, false, on_request}},
    .start = start,
    .stop = stop,
};
