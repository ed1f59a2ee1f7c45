/*
 * The order of operations at one member: who is let in, what is stable, who is answered.
 * The neighbours are in chain_link.c, changes of the configuration in chain_adopt.c, joining in
 * chain_snapshot.c.
 */
#include "datanode/chain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/mem.h"
#include "datanode/chain_private.h"

enum {
    RETRY_MS = 250,
    STUCK_MS = 10000,
    PARKED_READS_MAX = 4096,
    SESSION_IDLE_MS = 3600 * 1000,
    FORGET_EVERY_MS = 60 * 1000,
};

/* ---- actions ---- */

void chain_actions_init(struct chain_actions *a)
{
    *a = (struct chain_actions){0};
}

void chain_actions_clear(struct chain_actions *a)
{
    for (size_t i = 0; i < a->count; i++) {
        chain_op_unref(a->items[i].op);
        free(a->items[i].seqs);
    }
    a->count = 0;
}

void chain_actions_done(struct chain_actions *a)
{
    chain_actions_clear(a);
    free(a->items);
    *a = (struct chain_actions){0};
}

struct chain_action *chain_emit(struct chain_actions *out, const struct chain *c,
                                enum chain_action_kind kind)
{
    struct chain_action *a;

    if (out->count == out->capacity) {
        out->capacity = out->capacity == 0 ? 16 : out->capacity * 2;
        out->items = mem_realloc(out->items, out->capacity, sizeof(*out->items));
    }
    a = &out->items[out->count++];
    *a = (struct chain_action){.kind = kind, .epoch = c->config.epoch};
    return a;
}

void chain_accuse(struct chain *c, struct target_id target, const char *why,
                  struct chain_actions *out)
{
    struct chain_action *a = chain_emit(out, c, CHAIN_ACT_ACCUSE);

    a->to = target;
    a->why = why;
}

static void reply(struct chain *c, uint64_t waiter, int status, uint32_t crc,
                  struct chain_actions *out)
{
    struct chain_action *a = chain_emit(out, c, CHAIN_ACT_REPLY);

    a->waiter = waiter;
    a->status = status;
    a->crc = crc;
    c->counters.replies++;
}

static void answer_read(struct chain *c, uint64_t waiter, int status, struct chain_actions *out)
{
    struct chain_action *a = chain_emit(out, c, CHAIN_ACT_READ);

    a->waiter = waiter;
    a->status = status;
}

/* ---- fences ---- */

bool chain_is_fenced(const struct chain *c, struct session_id session)
{
    struct chain_fence *f = NULL;

    if (session.v < c->session_floor)
        return true;
    HASH_FIND(hh, c->fences, &session.v, sizeof(session.v), f);
    return f != NULL && !CHAIN_MUTANT(c, MUTANT_NO_FENCE);
}

void chain_fence_add(struct chain *c, struct session_id session)
{
    struct chain_fence *f = NULL;

    HASH_FIND(hh, c->fences, &session.v, sizeof(session.v), f);
    if (f != NULL)
        return;
    f = MEM_NEW(struct chain_fence);
    f->session = session;
    HASH_ADD(hh, c->fences, session.v, sizeof(f->session.v), f);
}

void chain_fences_clear(struct chain *c)
{
    struct chain_fence *f, *tmp;

    HASH_ITER (hh, c->fences, f, tmp) {
        HASH_DEL(c->fences, f);
        free(f);
    }
}

/* ---- what is stable ---- */

static bool is_stable(const struct chain *c, const struct unstable *u)
{
    bool applied = u->applied || CHAIN_MUTANT(c, MUTANT_ACK_BEFORE_APPLY);
    bool below =
        u->acked || c->link == LINK_NONE || CHAIN_MUTANT(c, MUTANT_REPLY_WITHOUT_CHAIN) ||
        (CHAIN_MUTANT(c, MUTANT_JOINER_NOT_WAITED_FOR) && c->place.succ.state == MEMBER_SYNCING);

    if (!applied || !below || u->diverged)
        return false;
    /* A fence changes no bytes: evictions must end even where nothing may be written. */
    return chain_config_writable(&c->config) || u->op->kind == CHAIN_FENCE ||
           CHAIN_MUTANT(c, MUTANT_ACK_NOT_WRITABLE);
}

/* ---- a chunk held still ---- */

static void answer_hold(struct chain *c, int status, struct chain_actions *out)
{
    struct chain_action *a = chain_emit(out, c, CHAIN_ACT_HELD);

    a->waiter = c->hold_waiter;
    a->status = status;
    c->hold_waiter = 0;
}

static void try_hold(struct chain *c, struct chain_actions *out)
{
    if (c->hold_waiter != 0 && !window_overlaps(&c->window, c->held, 0, UINT32_MAX))
        answer_hold(c, 0, out);
}

void chain_hold_end(struct chain *c, int status, struct chain_actions *out)
{
    if (c->hold_waiter != 0)
        answer_hold(c, status, out);
    c->held.v = 0;
}

static void on_hold(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    bool is_head = c->place.role == CHAIN_SERVING && c->place.is_head;

    if (!is_head || !ID_IS_NONE(c->held)) {
        struct chain_action *a = chain_emit(out, c, CHAIN_ACT_HELD);

        a->waiter = ev->waiter;
        a->status = is_head ? DFS_EBUSY_WINDOW : DFS_ENOTHEAD;
        return;
    }
    c->held = ev->chunk;
    c->hold_waiter = ev->waiter;
    try_hold(c, out);
}

static void on_release(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    if (!ID_EQUAL(c->held, ev->chunk))
        return;
    chain_hold_end(c, DFS_ECLOSED, out);
    chain_let_in(c, out);
}

static void answer_parked_reads(struct chain *c, struct chain_actions *out)
{
    struct parked_read *r = c->window.reads, *next;

    for (; r != NULL; r = next) {
        next = r->next;
        /* Also what came after it: the disk may have that, and it may yet be lost (seed=4227). */
        if (window_overlaps(&c->window, r->chunk, r->offset, r->len))
            continue;
        answer_read(c, r->waiter, 0, out);
        window_unpark_read(&c->window, r);
    }
}

/* The successor's bytes must be ours: content is the checksum of the protocol itself. */
static bool diverged(struct chain *c, struct unstable *u, struct chain_actions *out)
{
    struct chain_action *a;

    if (!u->applied || !u->acked || u->crc == 0 || u->succ_crc == 0 || u->crc == u->succ_crc)
        return false;
    if (u->diverged)
        return true;
    u->diverged = true;
    c->counters.diverged++;
    a = chain_emit(out, c, CHAIN_ACT_DIVERGED);
    a->to = c->place.succ.target;
    a->seq = u->seq;
    chain_accuse(c, c->place.succ.target, "its bytes differ from ours", out);
    return true;
}

void chain_settle_one(struct chain *c, struct unstable *u, struct chain_actions *out)
{
    if (diverged(c, u, out) || !is_stable(c, u))
        return;
    for (size_t i = 0; i < u->waiter_count; i++)
        reply(c, u->waiters[i], 0, u->crc, out);
    if (!c->place.is_head)
        chain_send_ack(c, u->seq, c->place.role == CHAIN_SYNCING ? 0 : u->crc, 0, out);
    window_remove(&c->window, u);
    answer_parked_reads(c, out);
    try_hold(c, out);
}

void chain_settle(struct chain *c, struct chain_actions *out)
{
    struct unstable *u = c->window.unstable, *next;

    for (; u != NULL; u = next) {
        next = u->next;
        chain_settle_one(c, u, out);
    }
    chain_let_in(c, out);
}

static void on_applied(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    struct unstable *u = window_find_io(&c->window, ev->io_id);

    if (ev->status < 0) {
        if (c->place.role != CHAIN_OUT)
            chain_leave(c, "a local write failed", out);
        return;
    }
    if (u == NULL) /* Dropped when we left the chain. */
        return;
    u->applied = true;
    u->crc = c->place.role == CHAIN_SYNCING ? 0 : ev->crc;
    chain_settle_one(c, u, out);
    chain_let_in(c, out);
}

/* ---- the order ---- */

void chain_enqueue(struct chain *c, uint64_t seq, uint64_t orig_epoch, struct chain_op *op,
                   uint64_t waiter, struct chain_actions *out)
{
    struct unstable *u = window_push(&c->window, seq, orig_epoch, op);
    struct chain_action *a;

    c->recv_seq = seq;
    u->io_id = ++c->next_io_id;
    if (waiter != 0)
        unstable_add_waiter(u, waiter);
    if (op->opseq != 0 && (c->place.is_head || !CHAIN_MUTANT(c, MUTANT_DEDUP_AT_HEAD_ONLY)))
        dedup_mark(&c->dedup, op->session, op->opseq,
                   CHAIN_MUTANT(c, MUTANT_NO_FLOOR) ? 0 : op->floor, c->now_ms);
    if (op->kind == CHAIN_FENCE) {
        chain_fence_add(c, op->session);
        if (op->fence_version == c->fences_known + 1)
            c->fences_known = op->fence_version;
    }

    if (c->link == LINK_UP) {
        if (c->window.unstable_count == 1)
            c->link_since_ms = c->now_ms;
        a = chain_emit(out, c, CHAIN_ACT_SEND_OP);
        a->to = c->place.succ.target;
        a->seq = seq;
        a->orig_epoch = orig_epoch;
        a->op = chain_op_ref(op);
    }
    a = chain_emit(out, c, CHAIN_ACT_APPLY);
    a->io_id = u->io_id;
    a->seq = seq;
    a->orig_epoch = orig_epoch;
    a->op = chain_op_ref(op);
    chain_settle_one(c, u, out); /* Never stable yet, but for the mutants. */
}

static bool link_ready(const struct chain *c)
{
    return c->link == LINK_NONE || c->link == LINK_UP;
}

static bool fences_complete(const struct chain *c)
{
    return c->fences_known >= c->config.fence_version ||
           CHAIN_MUTANT(c, MUTANT_FENCE_NOT_INHERITED);
}

static bool has_room(const struct chain *c, const struct chain_op *op)
{
    const struct window *w = &c->window;

    return w->unstable_count < c->o.window_ops_max &&
           (w->unstable_count == 0 ||
            w->unstable_bytes + chain_op_bytes(op) <= c->o.window_bytes_max);
}

/* May it get its place now? */
static bool may_order(const struct chain *c, const struct chain_op *op)
{
    if (!link_ready(c))
        return false;
    if (op->kind == CHAIN_FENCE)
        return true;
    if (!ID_IS_NONE(c->held) && op->kind != CHAIN_REPAIR &&
        chain_op_changes(op, c->held, 0, UINT32_MAX))
        return false;
    return chain_config_writable(&c->config) && fences_complete(c) && has_room(c, op);
}

/* Refusals that are final for this sending; 0: none. */
static int client_op_check(const struct chain *c, const struct chain_op *op, uint64_t epoch)
{
    if (c->place.role != CHAIN_SERVING || !c->place.is_head)
        return DFS_ENOTHEAD;
    if (epoch != c->config.epoch)
        return DFS_ESTALE_EPOCH;
    if (op->kind == CHAIN_REPAIR) /* Its bytes are good only while nothing else can change them. */
        return ID_EQUAL(c->held, op->chunk) && c->hold_waiter == 0 ? 0 : DFS_EBUSY_WINDOW;
    if (op->kind == CHAIN_FENCE || op->kind == CHAIN_DELETE)
        return 0;
    if (chain_is_fenced(c, op->session))
        return DFS_EFENCED;
    if (op->kind == CHAIN_SYNC && op->since_epoch != 0 && op->since_epoch < c->config.cold_epoch)
        return DFS_ECOLD;
    if (op->allocates && chain_free_below(c) < op->len)
        return -ENOSPC;
    return 0;
}

/* True when the table alone answers. */
static bool client_op_known(struct chain *c, const struct chain_op *op, uint64_t waiter,
                            struct chain_actions *out)
{
    struct unstable *u;

    if (op->opseq == 0 || CHAIN_MUTANT(c, MUTANT_NO_DEDUP))
        return false;

    switch (dedup_look(&c->dedup, op->session, op->opseq,
                       CHAIN_MUTANT(c, MUTANT_NO_FLOOR) ? 0 : op->floor)) {
    case DEDUP_NEW:
        return false;
    case DEDUP_SEEN:
        u = window_find_opseq(&c->window, op->session, op->opseq);
        /* Executed, but with too few left who have it: waits like any other. */
        if (u == NULL && !chain_config_writable(&c->config))
            return false;
        c->counters.dedup_hits++;
        if (u != NULL)
            unstable_add_waiter(u, waiter);
        else
            reply(c, waiter, 0, 0, out);
        return true;
    case DEDUP_LATE: /* Its sender has the answer; this is a copy that got lost on the way. */
        c->counters.dedup_hits++;
        reply(c, waiter, DFS_EPROTO, 0, out);
        return true;
    case DEDUP_BEYOND:
        reply(c, waiter, DFS_EBUSY_WINDOW, 0, out);
        return true;
    }
    return false;
}

static void order(struct chain *c, struct chain_op *op, uint64_t waiter, struct chain_actions *out)
{
    c->counters.ops_ordered++;
    chain_enqueue(c, c->recv_seq + 1, c->config.epoch, op, waiter, out);
}

/* A fence stops what its session has waiting at the door. */
static void refuse_parked_of(struct chain *c, struct session_id session, struct chain_actions *out)
{
    struct parked *p = c->window.parked, *next;

    for (; p != NULL; p = next) {
        next = p->next;
        if (p->op->opseq == 0 || !ID_EQUAL(p->op->session, session))
            continue;
        reply(c, p->waiter, DFS_EFENCED, 0, out);
        window_unpark(&c->window, p);
    }
}

void chain_client_op(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    struct chain_op *op = ev->op;
    struct window *w = &c->window;
    int r = client_op_check(c, op, ev->epoch);

    if (r < 0) {
        if (ev->epoch > c->config.epoch)
            (void)chain_emit(out, c, CHAIN_ACT_ASK_CONFIG);
        c->counters.stale_refused += r == DFS_ESTALE_EPOCH || r == DFS_ENOTHEAD;
        c->counters.fenced_refused += r == DFS_EFENCED;
        c->counters.nospace_refused += r == -ENOSPC;
        reply(c, ev->waiter, r, 0, out);
        return;
    }
    if (client_op_known(c, op, ev->waiter, out))
        return;

    if (may_order(c, op) &&
        (w->parked == NULL || op->kind == CHAIN_FENCE || op->kind == CHAIN_REPAIR)) {
        order(c, op, ev->waiter, out);
        if (op->kind == CHAIN_FENCE && !CHAIN_MUTANT(c, MUTANT_NO_FENCE))
            refuse_parked_of(c, op->session, out);
        return;
    }
    if (w->parked_count >= c->o.window_ops_max ||
        w->parked_bytes + chain_op_bytes(op) > c->o.window_bytes_max) {
        reply(c, ev->waiter, DFS_EBUSY_WINDOW, 0, out);
        return;
    }
    c->counters.parked++;
    window_park(w, op, ev->epoch, ev->waiter);
}

void chain_let_in(struct chain *c, struct chain_actions *out)
{
    struct window *w = &c->window;

    while (w->parked != NULL && may_order(c, w->parked->op)) {
        struct parked *p = w->parked;
        CLEANUP(chain_op) struct chain_op *op = chain_op_ref(p->op);
        uint64_t epoch = p->epoch, waiter = p->waiter;
        int r = client_op_check(c, op, epoch);

        window_unpark(w, p);
        if (r < 0)
            reply(c, waiter, r, 0, out);
        else if (!client_op_known(c, op, waiter, out))
            order(c, op, waiter, out);
    }
}

void chain_drop_all(struct chain *c, int status, struct chain_actions *out)
{
    struct window *w = &c->window;

    chain_hold_end(c, status, out);
    while (w->unstable != NULL) {
        for (size_t i = 0; i < w->unstable->waiter_count; i++)
            reply(c, w->unstable->waiters[i], status, 0, out);
        window_remove(w, w->unstable);
    }
    while (w->parked != NULL) {
        reply(c, w->parked->waiter, status, 0, out);
        window_unpark(w, w->parked);
    }
    while (w->reads != NULL) {
        answer_read(c, w->reads->waiter, status, out);
        window_unpark_read(w, w->reads);
    }
}

void chain_leave(struct chain *c, const char *why, struct chain_actions *out)
{
    bool joining = c->place.role == CHAIN_SYNCING;

    c->left_in_epoch = c->config.epoch;
    chain_accuse(c, c->o.self, why, out);
    c->place = (struct chain_place){.role = CHAIN_OUT};
    c->link = LINK_NONE;
    if (joining)
        chain_join_reset(c, out);
    chain_drop_all(c, DFS_ENOTHEAD, out);
}

/* ---- reads ---- */

static void on_read(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    if (ev->epoch > c->config.epoch)
        (void)chain_emit(out, c, CHAIN_ACT_ASK_CONFIG);
    if (c->place.role != CHAIN_SERVING || ev->epoch > c->config.epoch) {
        answer_read(c, ev->waiter, c->place.role == CHAIN_SYNCING ? DFS_EDIRTY : DFS_ESTALE_EPOCH,
                    out);
        return;
    }
    if (!window_overlaps(&c->window, ev->chunk, ev->offset, ev->len) ||
        CHAIN_MUTANT(c, MUTANT_READ_DIRTY)) {
        answer_read(c, ev->waiter, 0, out);
        return;
    }
    if (c->window.read_count >= PARKED_READS_MAX) {
        answer_read(c, ev->waiter, DFS_EBUSY_WINDOW, out);
        return;
    }
    window_park_read(&c->window, ev->chunk, ev->offset, ev->len, ev->waiter);
}

/* ---- the rest ---- */

static void on_peer_dead(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    if (c->place.role == CHAIN_OUT || ID_IS_NONE(ev->from))
        return;
    if (ID_EQUAL(ev->from, c->place.pred.target) || ID_EQUAL(ev->from, c->place.succ.target))
        chain_accuse(c, ev->from, "it cannot be reached", out);
}

static void on_failed(struct chain *c, struct chain_actions *out)
{
    c->failed = true;
    if (c->place.role != CHAIN_OUT)
        chain_leave(c, "the target failed", out);
}

/* A joiner gets whole chunks, a repair only blocks. The last one stays: all else is there. */
static void on_lost(struct chain *c, struct chain_actions *out)
{
    const struct chain_config *cfg = &c->config;

    if (c->place.role != CHAIN_SERVING)
        return;
    for (uint32_t i = 0; i < cfg->member_count; i++) {
        if (cfg->members[i].state != MEMBER_SERVING || ID_EQUAL(cfg->members[i].target, c->o.self))
            continue;
        chain_leave(c, "the file of a chunk is gone", out);
        return;
    }
}

static void on_space(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    c->own_free = ev->bytes_free;
    chain_link_tick(c, out);
}

static void on_tick(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    c->now_ms = ev->now_ms;
    if (c->now_ms - c->forgot_at_ms >= FORGET_EVERY_MS) {
        c->forgot_at_ms = c->now_ms;
        dedup_forget_idle(&c->dedup, c->now_ms, SESSION_IDLE_MS);
    }
    chain_link_tick(c, out);
}

struct chain *chain_new(const struct chain_options *o)
{
    struct chain *c = MEM_NEW(struct chain);

    c->o = *o;
    if (c->o.window_ops_max == 0)
        c->o.window_ops_max = UNSTABLE_OPS_MAX;
    if (c->o.window_bytes_max == 0)
        c->o.window_bytes_max = UNSTABLE_BYTES_MAX;
    if (c->o.retry_ms == 0)
        c->o.retry_ms = RETRY_MS;
    if (c->o.stuck_ms == 0)
        c->o.stuck_ms = STUCK_MS;
    c->config.pg = o->pg;
    c->now_ms = c->forgot_at_ms = o->now_ms;
    c->own_free = UINT64_MAX;
    c->succ_free = UINT64_MAX;
    c->told_free = UINT64_MAX;
    dedup_init(&c->dedup);
    window_init(&c->window);
    return c;
}

void chain_free(struct chain *c)
{
    if (c == NULL)
        return;
    window_done(&c->window);
    dedup_done(&c->dedup);
    chain_fences_clear(c);
    free(c);
}

void chain_step(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    switch (ev->kind) {
    case CHAIN_EV_CONFIG:
        chain_adopt(c, ev, out);
        return;
    case CHAIN_EV_CLIENT_OP:
        chain_client_op(c, ev, out);
        return;
    case CHAIN_EV_READ:
        on_read(c, ev, out);
        return;
    case CHAIN_EV_HELLO:
        chain_on_hello(c, ev, out);
        return;
    case CHAIN_EV_HELLO_ACK:
        chain_on_hello_ack(c, ev, out);
        return;
    case CHAIN_EV_HELLO_REFUSED:
        chain_on_hello_refused(c, ev, out);
        return;
    case CHAIN_EV_CHAIN_OP:
        chain_on_op(c, ev, out);
        return;
    case CHAIN_EV_BAD_OP:
        chain_on_bad_op(c, ev, out);
        return;
    case CHAIN_EV_ACK:
        chain_on_ack(c, ev, out);
        return;
    case CHAIN_EV_APPLIED:
        on_applied(c, ev, out);
        return;
    case CHAIN_EV_LINK_DOWN:
        if (c->place.role != CHAIN_OUT && ID_EQUAL(ev->from, c->place.succ.target))
            chain_link_lost(c, out);
        return;
    case CHAIN_EV_PEER_DEAD:
        on_peer_dead(c, ev, out);
        return;
    case CHAIN_EV_SYNC_SNAPSHOT:
        chain_on_snapshot(c, ev, out);
        return;
    case CHAIN_EV_SYNC_DONE:
        chain_on_sync_done(c, ev, out);
        return;
    case CHAIN_EV_SYNC_FAILED:
        chain_on_sync_failed(c, ev, out);
        return;
    case CHAIN_EV_HOLD:
        on_hold(c, ev, out);
        return;
    case CHAIN_EV_RELEASE:
        on_release(c, ev, out);
        return;
    case CHAIN_EV_SPACE:
        on_space(c, ev, out);
        return;
    case CHAIN_EV_LOST:
        on_lost(c, out);
        break;
    case CHAIN_EV_FAILED:
        on_failed(c, out);
        return;
    case CHAIN_EV_TICK:
        on_tick(c, ev, out);
        return;
    }
}

/* ---- looking at it ---- */

const struct chain_config *chain_config_of(const struct chain *c)
{
    return &c->config;
}

const struct chain_place *chain_place_of(const struct chain *c)
{
    return &c->place;
}

uint64_t chain_recv_seq(const struct chain *c)
{
    return c->recv_seq;
}

bool chain_is_synced(const struct chain *c)
{
    return c->place.role == CHAIN_SYNCING && c->synced;
}

bool chain_is_failed(const struct chain *c)
{
    return c->failed || (c->left_in_epoch != 0 && c->left_in_epoch == c->config.epoch);
}

size_t chain_unstable_count(const struct chain *c)
{
    return c->window.unstable_count;
}

bool chain_unstable_on(const struct chain *c, struct chunk_id chunk)
{
    return window_overlaps(&c->window, chunk, 0, UINT32_MAX);
}

const struct chain_counters *chain_counters_of(const struct chain *c)
{
    return &c->counters;
}
