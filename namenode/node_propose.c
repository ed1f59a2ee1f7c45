/*
 * Requests on their way: gathered into an entry, through the log, applied, answered (proposals.h).
 * And reads that wait for their moment.
 *
 *   node_propose() ─► gathered ──flush──► flying ──committed, applied──► the waiter's done()
 *
 * Flushed is at the end of a turn when it is due, or when the batch is full.
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
#include "namenode/node_impl.h"

/* ---- completions ---- */

static struct completion *add_completion(struct node *n)
{
    if (n->completion_count == n->completion_capacity) {
        n->completion_capacity = n->completion_capacity ? 2 * n->completion_capacity : 64;
        n->completions =
            mem_realloc(n->completions, n->completion_capacity, sizeof(*n->completions));
    }
    node_need_turn(n);
    return &n->completions[n->completion_count++];
}

/* proposals_fail_fn */
static void complete_reply(void *ctx, struct waiter w, int status)
{
    *add_completion(ctx) = (struct completion){.reply = w.done, .ctx = w.ctx, .status = status};
}

static void complete_read(struct node *n, node_read_fn done, void *ctx, int status)
{
    *add_completion(n) = (struct completion){.read = done, .ctx = ctx, .status = status};
}

/* True if there were any. Those that they cause are run by the next call. */
bool node_run_completions(struct node *n)
{
    struct completion *list = STEAL(n->completions);
    size_t count = n->completion_count;

    n->completion_count = n->completion_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        if (list[i].reply)
            list[i].reply(list[i].ctx, list[i].status, NULL);
        else
            list[i].read(list[i].ctx, list[i].status);
    }
    free(list);
    return count > 0;
}

/* ---- gathering ---- */

/* One entry of this payload. */
static int propose(struct node *n, enum raft_entry_type type, struct raft_buf *buf,
                   struct raft_update *up)
{
    struct raft_event ev = {.type = RAFT_EV_PROPOSE,
                            .propose = {.type = type, .bufs = &buf, .count = 1}};

    return node_step_update(n, &ev, up);
}

void node_flush_batch(struct node *n)
{
    struct raft_update up;
    struct raft_buf *buf;
    int r = RAFT_NOT_LEADER;

    if (n->proposals.count == 0)
        return;
    if (node_is_leader(n)) {
        buf = proposals_payload(&n->proposals, clock_wall_ns(clock_system()));
        r = propose(n, RAFT_ENTRY_NORMAL, buf, &up);
        raft_buf_unref(buf);
    }
    if (r < 0) {
        proposals_fail_gathered(&n->proposals, r == RAFT_NOT_LEADER ? DFS_ENOTLEADER : r,
                                complete_reply, n);
        return;
    }
    n->stats.batches++;
    proposals_fly(&n->proposals, &up);
}

/* Room for a request of len bytes in the batch, with its header; NULL: refused, and told so. */
static uint8_t *gather(struct node *n, size_t len, struct waiter w)
{
    n->stats.proposals++;
    if (!node_is_leader(n) || n->is_closing) {
        complete_reply(n, w, DFS_ENOTLEADER);
        return NULL;
    }
    if (len > PROPOSAL_BYTES_MAX) {
        complete_reply(n, w, -EMSGSIZE);
        return NULL;
    }
    if (!proposals_has_room(&n->proposals, len))
        node_flush_batch(n);
    node_need_turn(n);
    return proposals_add(&n->proposals, len, w);
}

void node_propose(struct node *n, const Dfs__MetaRequest *req, node_reply_fn done, void *ctx)
{
    size_t len = dfs__meta_request__get_packed_size(req);
    struct waiter w = {done, ctx};
    uint8_t *out;

    if (node_is_leader(n) && fsm_format_of(req) > fsm_state(n->fsm)->format) {
        complete_reply(n, w, -EOPNOTSUPP);
        return;
    }
    out = gather(n, len, w);
    if (out)
        (void)dfs__meta_request__pack(req, out);
}

void node_propose_packed(struct node *n, const void *body, size_t len, node_reply_fn done,
                         void *ctx)
{
    uint8_t *out = gather(n, len, (struct waiter){done, ctx});

    if (out)
        memcpy(out, body, len);
}

void node_fail_proposals(struct node *n)
{
    proposals_fail_all(&n->proposals, complete_reply, n);
}

void node_propose_done(struct node *n)
{
    proposals_done(&n->proposals);
    free(n->completions);
}

/* ---- applying ---- */

static void on_reply(void *ctx, const struct fsm_reply *reply)
{
    struct node *n = ctx;
    struct batch *b = n->applying;

    n->stats.applied_ops++;
    n->applied_ops++;
    if (b && reply->position < b->count)
        b->waiters[reply->position].done(b->waiters[reply->position].ctx, 0, reply->msg);
}

static int apply_conf(struct node *n, const struct raft_buf *buf, uint64_t index)
{
    struct raft_conf conf;
    int r = raft_conf_decode(buf->data, buf->len, &conf);

    /* Before the state machine gets past it: a snapshot or a start there needs the members. */
    return r < 0 ? r : data_dir_add_members(n->dir, index, &conf);
}

static void apply_entry(struct node *n, const struct raft_entry *e, struct raft_buf *buf)
{
    uint64_t index = e->index, term = e->term;
    enum raft_entry_type type = e->type;
    bool is_ours = type == RAFT_ENTRY_NORMAL || type == RAFT_ENTRY_HASH;
    int r = 0;

    if (type == RAFT_ENTRY_CONF)
        r = apply_conf(n, buf, index);
    n->applying = proposals_take(&n->proposals, index, term, complete_reply, n);
    /* The entry itself may be gone when a reply makes raft step; buf is ours. */
    if (r == 0)
        r = fsm_apply(n->fsm, index, term, is_ours ? buf->data : NULL, is_ours ? buf->len : 0,
                      on_reply, n);
    if (r == -EBADMSG)
        log_error("a log entry is damaged, or holds what this release does not know",
                  "index=%" PRIu64 " format=%u", index, (unsigned)FSM_FORMAT);
    if (r == -EUCLEAN)
        node_diverged(n, index);
    if (r < 0)
        node_die(n, "apply a log entry", r);
    free(STEAL(n->applying));
    n->applied = index;
    n->applied_bytes += buf->len;
    if (index % n->conf->hash_every == 0)
        n->hash_due = index;
}

/* What is committed, but no more than one slice. */
void node_apply_entries(struct node *n)
{
    uint64_t begin_ns = clock_monotonic_ns(clock_system());
    uint64_t before = n->applied;
    struct raft_event ev = {.type = RAFT_EV_APPLIED};

    for (unsigned i = 0; n->applied < n->commit && i < APPLY_ENTRIES_MAX; i++) {
        const struct raft_entry *e;
        struct raft_buf *buf;
        int r = raft_entry_get(n->raft, n->applied + 1, &e);

        if (r == -EAGAIN) {
            n->waits_for_fetch = true;
            break;
        }
        if (r < 0)
            node_die(n, "read a committed log entry", r);
        buf = raft_buf_ref(e->buf);
        apply_entry(n, e, buf);
        raft_buf_unref(buf);
        if (i % 16 == 15 && clock_monotonic_ns(clock_system()) - begin_ns > APPLY_NS_MAX)
            break;
    }
    if (n->applied == before)
        return;
    for (unsigned i = 0; i < n->watch_count; i++) {
        if (n->watches[i].applied)
            n->watches[i].applied(n->watches[i].ctx, n->applied);
    }
    ev.index = n->applied;
    (void)node_step(n, &ev);
}

void node_propose_hash(struct node *n)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__HashOp op = DFS__HASH_OP__INIT;
    struct raft_update up;
    struct raft_buf *buf;
    uint8_t *out;
    size_t len;

    op.index = n->hash_due;
    n->hash_due = 0;
    if (!node_is_serving(n) || fsm_state_hash(n->fsm, op.index, &op.hash) < 0)
        return;
    req.op_case = DFS__META_REQUEST__OP_HASH;
    req.hash = &op;
    len = dfs__meta_request__get_packed_size(&req);
    buf = raft_buf_new(FSM_BATCH_HEADER + FSM_BATCH_OP_HEADER_MAX + len);
    out = buf->data + fsm_batch_header(clock_wall_ns(clock_system()), buf->data);
    out += fsm_batch_op_header(len, out);
    out += dfs__meta_request__pack(&req, out);
    buf->len = (uint32_t)(out - buf->data);
    if (propose(n, RAFT_ENTRY_HASH, buf, &up) == 0) { /* Else a later one will do as well. */
        proposals_wrote(&n->proposals, &up);
        n->stats.hashes++;
    }
    raft_buf_unref(buf);
}

/* ---- reads ---- */

static int step_read(struct node *n, struct pending_read *p)
{
    struct raft_event ev = {.type = RAFT_EV_READ};

    p->id = ev.read_id = n->next_read++;
    HASH_ADD(hh, n->reads, id, sizeof(p->id), p);
    return node_step(n, &ev);
}

static void drop_read(struct node *n, struct pending_read *p)
{
    HASH_DEL(n->reads, p);
    free(p);
}

void node_take_reads(struct node *n, const struct raft_update *up)
{
    for (size_t i = 0; i < up->read_count; i++) {
        const struct raft_read *rd = &up->reads[i];
        struct pending_read *p;

        HASH_FIND(hh, n->reads, &rd->id, sizeof(rd->id), p);
        if (!p)
            continue;
        if (p->done)
            complete_read(n, p->done, p->ctx, rd->result == 0 ? 0 : DFS_ENOTLEADER);
        drop_read(n, p);
    }
}

bool node_read_now(struct node *n)
{
    struct pending_read *p;
    uint64_t id;

    if (!node_is_serving(n) || !n->conf->read_lease || n->is_closing)
        return false;
    p = MEM_NEW(struct pending_read);
    id = n->next_read;
    if (step_read(n, p) < 0) {
        drop_read(n, p);
        return false;
    }
    /* Answered within the step: the lease holds. Else the answer to come has nobody waiting. */
    HASH_FIND(hh, n->reads, &id, sizeof(id), p);
    if (!p)
        n->stats.reads_lease++;
    return !p;
}

void node_read(struct node *n, node_read_fn done, void *ctx)
{
    struct pending_read *p;

    if (!node_is_serving(n) || n->is_closing) {
        complete_read(n, done, ctx, DFS_ENOTLEADER);
        return;
    }
    p = MEM_NEW(struct pending_read);
    p->done = done;
    p->ctx = ctx;
    n->stats.reads_round++;
    if (step_read(n, p) < 0) {
        complete_read(n, done, ctx, -EAGAIN);
        drop_read(n, p);
    }
}

void node_fail_reads(struct node *n)
{
    struct pending_read *p, *tmp;

    HASH_ITER (hh, n->reads, p, tmp) {
        if (p->done)
            complete_read(n, p->done, p->ctx, DFS_ENOTLEADER);
        drop_read(n, p);
    }
}
