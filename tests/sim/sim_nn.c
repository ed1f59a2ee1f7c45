/* Namenodes as the machine of the simulated group: start, apply, flush, snapshot. */
#include "tests/sim/sim_nn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "namenode/kv_mem.h"
#include "namenode/log_format.h"
#include "namenode/mutants.h"
#include "namenode/reap_queue.h"

struct nn_world *nn_world_of(const struct sim_world *w)
{
    return w->machine_world;
}

struct nn *nn_of(const struct sim_world *w, const struct sim_node *n)
{
    return &nn_world_of(w)->nodes[n->number];
}

enum { REAL_LOG_PERCENT = 20 }; /* of the schedules; each takes four times as long */

#ifdef NAMENODE_MUTANTS
/* The node whose code runs, for its clock. */
static const struct nn *running;

int64_t namenode_mutant_clock(void)
{
    return running != NULL ? sim_clock(running->w, running->n) : 0;
}

static void damage_checkpoint(struct nn *nn)
{
    struct kv_batch batch;
    struct kv_iter *it;

    if (!MUTANT(REPLY_NOT_IN_SNAPSHOT))
        return;
    kv_batch_init(&batch);
    (void)kv_iter_new(nn->checkpoint, "", 0, &it);
    for (int r = kv_iter_seek(it, "R", 1); r == 0 && it->valid && it->key[0] == 'R';
         r = kv_iter_next(it))
        kv_batch_delete(&batch, it->key, it->key_len);
    kv_iter_free(it);
    (void)kv_write(nn->checkpoint, &batch);
    (void)kv_flush(nn->checkpoint, true);
    kv_batch_done(&batch);
}

/* Over the old store, and not flushed. */
static bool install_in_place(struct nn *nn, struct kv *snapshot)
{
    struct kv_batch batch;
    struct kv_iter *it;

    if (!MUTANT(INSTALL_IN_PLACE))
        return false;
    kv_batch_init(&batch);
    (void)kv_iter_new(snapshot, "", 0, &it);
    for (int r = kv_iter_seek(it, "", 0); r == 0 && it->valid; r = kv_iter_next(it))
        kv_batch_put(&batch, it->key, it->key_len, it->value, it->value_len);
    kv_iter_free(it);
    (void)kv_write(nn->kv, &batch);
    kv_batch_done(&batch);
    return true;
}

static void run_as(const struct nn *nn)
{
    running = nn;
}

static unsigned real_log_percent(void)
{
    return namenode_mutant >= NAMENODE_MUTANT_RING_WITH_BODY ? 100 : REAL_LOG_PERCENT;
}
#else
static void damage_checkpoint(struct nn *nn)
{
    (void)nn;
}

static bool install_in_place(struct nn *nn, struct kv *snapshot)
{
    (void)nn;
    (void)snapshot;
    return false;
}

static void run_as(const struct nn *nn)
{
    (void)nn;
}

static unsigned real_log_percent(void)
{
    return REAL_LOG_PERCENT;
}
#endif

static void set_up(struct sim_world *w)
{
    struct nn_world *nw = MEM_NEW(struct nn_world);

    w->machine_world = nw;
    if (sim_percent(w, real_log_percent()))
        w->storage = &nn_log_storage;
    nw->segment_bytes = LOG_SEGMENT_DATA + LOG_SECTOR * (3 + sim_below(w, 16));
    for (unsigned i = 0; i < SIM_NODES_MAX; i++) {
        struct nn *nn = &nw->nodes[i];

        nn->w = w;
        nn->n = &w->nodes[i];
        (void)kv_mem_new(&nn->kv);
        nn->reaps = reap_queue_new();
    }
    nn_clients_begin(w);
}

static void stop(struct sim_world *w, struct sim_node *n)
{
    struct nn *nn = nn_of(w, n);

    nn_serve_stop(nn);
    fsm_close(STEAL(nn->fsm));
    kv_close(STEAL(nn->checkpoint));
    kv_mem_crash(nn->kv);
}

static void tear_down(struct sim_world *w)
{
    struct nn_world *nw = nn_world_of(w);

    for (unsigned i = 0; i < SIM_NODES_MAX; i++) {
        if (i < w->node_count)
            stop(w, &w->nodes[i]);
        kv_close(nw->nodes[i].kv);
        reap_queue_free(nw->nodes[i].reaps);
    }
    nn_clients_end(w);
    nn_check_done(nw);
    free(nw);
}

static void on_event(void *ctx, const struct fsm_event *event)
{
    struct nn *nn = ctx;

    if (event->kind == FSM_EVENT_REAPED)
        nn->w->stats->reaped++;
    if (nn->applies_first && event->kind == FSM_EVENT_UNLINKED)
        nn_world_of(nn->w)->unlinked++;
    if (nn->applies_first && event->kind == FSM_EVENT_REAPED)
        nn_world_of(nn->w)->unlinked--;
    if (nn->sessions == NULL)
        return;
    if (event->kind == FSM_EVENT_UNLINKED)
        reap_queue_add(nn->reaps, event->id);
    if (event->kind == FSM_EVENT_SESSION_OPENED)
        sessions_add(nn->sessions, event->session, true, (uint64_t)sim_clock(nn->w, nn->n));
    else if (event->kind == FSM_EVENT_SESSION_ENDED)
        sessions_remove(nn->sessions, event->session);
}

static void open_state(struct nn *nn)
{
    if (fsm_open(nn->kv, &nn->fsm) < 0) {
        sim_fail(nn->w, "node %u cannot read its store", nn->n->number + 1);
        return;
    }
    fsm_set_cache(nn->fsm, 16 << 10);
    fsm_set_events(nn->fsm, on_event, nn);
}

/*
 * No release gets what it does not know: the group has waited for those that were its members when
 * the format was asked for. Who joins with an older one is refused with a sentence, and gets a newer
 * one.
 */
static void check_format(struct nn *nn)
{
    uint32_t has = fsm_state(nn->fsm)->format;
    const struct raft_conf *asked = &nn_world_of(nn->w)->format_confs[has];

    if (has <= nn_known_format(nn))
        return;
    if (raft_conf_find(asked, (struct raft_id){nn->n->id}) != NULL)
        sim_fail(nn->w, "node %u gets format %u, and knows %u", nn->n->number + 1, has,
                 nn_known_format(nn));
    for (uint32_t format = 0; format <= has; format++)
        nn->format_at_ns[format] = MIN(nn->format_at_ns[format], nn->w->now_ns);
}

/* The state that is there is the one that the simulator thinks is there. */
static void look_at_state(struct nn *nn)
{
    struct fsm_pos pos = fsm_applied(nn->fsm);

    nn->n->state.hash = fsm_state(nn->fsm)->hash;
    check_format(nn);
    nn_check_bytes(nn);
    if (pos.index != nn->n->state.at.index || pos.term != nn->n->state.at.term)
        sim_fail(nn->w, "D1: the store of node %u is at %lu, not at %lu", nn->n->number + 1,
                 UL(pos.index), UL(nn->n->state.at.index));
}

static void start(struct sim_world *w, struct sim_node *n)
{
    struct nn *nn = nn_of(w, n);

    nn->installed = nn->store_fails = false;
    nn->hash_due = 0;
    open_state(nn);
    if (nn->fsm != NULL)
        look_at_state(nn);
}

/* What a store does when its memory is full: the flush of a batch, whenever that is. */
static void note_own_flush(struct nn *nn)
{
    struct fsm_pos pos;

    if (fsm_flushed(nn->fsm, &pos) == 0 && pos.index == nn->n->state.at.index) {
        nn->n->flushed = nn->n->state;
        nn->w->stats->store_flushes++;
    }
}

struct applying {
    struct nn *nn;
    const struct raft_entry *e;
    Dfs__LogBatch *batch;
};

static void on_reply(void *ctx, const struct fsm_reply *reply)
{
    struct applying *a = ctx;
    struct batch *b = a->nn->applying;

    nn_check_reply(a->nn, a->e, a->batch->ops[reply->position], reply);
    if (b != NULL && reply->position < b->count)
        b->waiters[reply->position].done(b->waiters[reply->position].ctx, 0, reply->msg);
}

static void fail_waiter(void *ctx, struct waiter waiter, int status)
{
    (void)ctx;
    waiter.done(waiter.ctx, status, NULL);
}

/* Time in the state goes forward alone, whatever the clocks of leaders say. */
static void check_time(struct nn *nn, int64_t before_ns, int64_t batch_ns)
{
    nn->w->stats->times_behind += batch_ns < before_ns;
    if (fsm_state(nn->fsm)->time_ns <= before_ns)
        sim_fail(nn->w, "node %u: time goes from %ld back to %ld", nn->n->number + 1,
                 (long)before_ns, (long)fsm_state(nn->fsm)->time_ns);
}

/* D2: a process whose store failed ends; what was applied is as it was before. */
static void check_broken(struct nn *nn, const struct raft_entry *e, int r)
{
    if (r != -EIO || fsm_applied(nn->fsm).index != e->index - 1)
        sim_fail(nn->w, "D2: the store of node %u fails, entry %lu gives %d and it stands at %lu",
                 nn->n->number + 1, UL(e->index), r, UL(fsm_applied(nn->fsm).index));
    nn->w->stats->store_errors++;
    nn->n->broken = true;
}

/* Is the hash of a state from this entry on committed in its log, so that it will be compared? */
static bool hash_is_ahead(const struct nn *nn, const struct raft_entry *e)
{
    const struct sim_node *n = nn->n;
    uint64_t known = nn_world_of(nn->w)->applied;

    for (uint64_t i = e->index + 1; i <= n->commit_index && i <= known; i++) {
        const struct raft_entry *h = sim_log_find(&n->log, i);
        Dfs__LogBatch *batch;
        bool covers;

        if (h == NULL || h->type != RAFT_ENTRY_HASH)
            continue;
        batch = dfs__log_batch__unpack(NULL, h->buf->len, h->buf->data);
        covers = batch->ops[0]->hash->index >= e->index;
        dfs__log_batch__free_unpacked(batch, NULL);
        if (covers)
            return true;
    }
    return false;
}

/*
 * A bit of the entry flips in the memory of one replica, while it is applied: the time, so that the
 * store holds something else. Only where the others can do without this one, and where it will find
 * out by the log that it has: who leads before that is believed, and the others begin anew.
 */
static bool flips_a_bit(struct nn *nn, const struct raft_entry *e)
{
    struct sim_world *w = nn->w;

    return !w->quiet && e->type == RAFT_ENTRY_NORMAL && e->index <= nn_world_of(w)->applied &&
           nn->n->role == RAFT_FOLLOWER && sim_may_damage(w) && hash_is_ahead(nn, e) &&
           sim_percent(w, 10);
}

static int apply_to_state(struct nn *nn, const struct raft_entry *e, bool is_ours,
                          struct applying *a)
{
    CLEANUP_BUF struct buf bad = {0};
    uint8_t *bytes = is_ours ? e->buf->data : NULL;
    bool flips = flips_a_bit(nn, e);
    int r;

    if (flips) {
        buf_append(&bad, bytes, e->buf->len);
        bytes = bad.data;
        bytes[1 + sim_below(nn->w, 4)] ^= (uint8_t)(1 << sim_below(nn->w, 8));
    }
    r = fsm_apply(nn->fsm, e->index, e->term, bytes, is_ours ? e->buf->len : 0, on_reply, a);
    if (flips &&
        fsm_state(nn->fsm)->hash != nn_entry_at(nn_world_of(nn->w), e->index)->state_hash) {
        nn->n->is_diverged = true;
        sim_trace(nn->w, "node %u diverges at %lu", nn->n->number + 1, UL(e->index));
    }
    return r;
}

/* The process ends, and its next start begins anew (sim_raft_node.c). */
static void set_aside(struct nn *nn, const struct raft_entry *e)
{
    struct sim_node *n = nn->n;

    n->broken = n->is_set_aside = true;
    n->flushed.at.conf = n->state.at.conf;
    nn->w->stats->divergences++;
    sim_trace(nn->w, "node %u finds at %lu that it has diverged", n->number + 1, UL(e->index));
}

static void apply_batch(struct nn *nn, const struct raft_entry *e, bool is_ours)
{
    struct applying a = {.nn = nn, .e = e};
    int64_t before_ns = fsm_state(nn->fsm)->time_ns;
    int r;

    if (is_ours)
        a.batch = dfs__log_batch__unpack(NULL, e->buf->len, e->buf->data);
    nn->reply_hash = 0;
    nn->applies_first = e->index > nn_world_of(nn->w)->applied;
    run_as(nn);
    nn->applying = proposals_take(&nn->proposals, e->index, e->term, fail_waiter, nn);
    r = apply_to_state(nn, e, is_ours, &a);
    free(STEAL(nn->applying));
    if (r == -EUCLEAN && nn->n->is_diverged)
        set_aside(nn, e);
    else if (nn->store_fails)
        check_broken(nn, e, r);
    else if (a.batch != NULL && a.batch->n_ops > 0)
        check_time(nn, before_ns, a.batch->time_ns);
    if (a.batch != NULL && a.batch->n_ops > 1)
        nn->w->stats->batches++;
    if (a.batch != NULL)
        dfs__log_batch__free_unpacked(a.batch, NULL);
    if (nn->store_fails || nn->n->broken)
        return;
    if (r == -EUCLEAN)
        sim_fail(nn->w, "I4: node %u finds by entry %lu that its state is another",
                 nn->n->number + 1, UL(e->index));
    else if (r < 0)
        sim_fail(nn->w, "node %u cannot apply entry %lu, %d", nn->n->number + 1, UL(e->index), r);
    if (e->type == RAFT_ENTRY_HASH)
        nn->w->stats->hash_entries++;
}

static uint64_t apply(struct sim_world *w, struct sim_node *n, const struct raft_entry *e)
{
    bool is_ours = e->type == RAFT_ENTRY_NORMAL || e->type == RAFT_ENTRY_HASH;
    bool flushes = sim_percent(w, 2);
    struct nn *nn = nn_of(w, n);
    uint32_t format = fsm_state(nn->fsm)->format;

    n->state.hash = 0;
    if (w->faults & SIM_FAULT_SLOW_DISK && !w->quiet && sim_below(w, 400) == 0) {
        kv_mem_fail_write_after(nn->kv, 0);
        nn->store_fails = true;
    }
    flushes = flushes && !n->is_diverged && !hash_is_ahead(nn, e);
    if (flushes)
        kv_mem_flush_at_write(nn->kv);
    apply_batch(nn, e, is_ours);
    if (n->broken)
        return 0;
    n->state.hash = fsm_state(nn->fsm)->hash;
    if (fsm_state(nn->fsm)->format != format && !n->is_diverged)
        nn_check_brought(nn, e);
    check_format(nn);
    if (flushes)
        note_own_flush(nn);
    if (e->index % NN_HASH_EVERY == 0)
        nn->hash_due = e->index;
    if (!n->is_diverged)
        nn_check_applied(nn, e);
    return n->state.hash;
}

static void flush(struct sim_world *w, struct sim_node *n)
{
    struct nn *nn = nn_of(w, n);
    struct fsm_pos pos;

    if (fsm_flush(nn->fsm, true) < 0 || fsm_flushed(nn->fsm, &pos) < 0 ||
        pos.index != n->state.at.index)
        sim_fail(w, "D1: node %u flushes at %lu, the store says %lu", n->number + 1,
                 UL(n->state.at.index), UL(pos.index));
}

static void wipe(struct sim_world *w, struct sim_node *n)
{
    struct nn *nn = nn_of(w, n);

    kv_close(STEAL(nn->kv));
    (void)kv_mem_new(&nn->kv);
}

static void checkpoint(struct sim_world *w, struct sim_node *n)
{
    struct nn *nn = nn_of(w, n);

    nn_check_bytes(nn);
    kv_close(STEAL(nn->checkpoint));
    (void)kv_mem_copy(nn->kv, &nn->checkpoint);
    damage_checkpoint(nn);
}

static void install(struct sim_world *w, struct sim_node *n, const struct sim_node *source)
{
    struct kv *snapshot = nn_of(w, source)->checkpoint;
    struct nn *nn = nn_of(w, n);

    fsm_close(STEAL(nn->fsm));
    if (!install_in_place(nn, snapshot)) {
        kv_close(STEAL(nn->kv));
        (void)kv_mem_copy(snapshot, &nn->kv);
    }
    nn->installed = true;
    open_state(nn);
    if (nn->fsm != NULL)
        look_at_state(nn);
}

/* As the namenode's take_role(). */
static void update(struct sim_world *w, struct sim_node *n, const struct raft_update *up)
{
    struct nn *nn = nn_of(w, n);
    bool leads = up->role == RAFT_LEADER;

    if (nn->led && (!leads || up->term != nn->led_term))
        nn_fail_all(nn);
    nn->led = leads;
    nn->led_term = up->term;
    nn->transferring = up->transferring;
}

static void read_ended(struct sim_world *w, struct sim_node *n, const struct raft_read *read)
{
    nn_serve_read(nn_of(w, n), read);
}

static void turn(struct sim_world *w, struct sim_node *n)
{
    nn_serve_turn(nn_of(w, n));
}

static void event(struct sim_world *w, const struct sim_event *e)
{
    if (e->type == SIM_CLIENT)
        nn_client_event(w, e);
    else
        nn_serve(&nn_world_of(w)->nodes[e->node], e);
}

const struct sim_machine sim_namenodes = {
    .set_up = set_up,
    .tear_down = tear_down,
    .start = start,
    .stop = stop,
    .apply = apply,
    .flush = flush,
    .wipe = wipe,
    .checkpoint = checkpoint,
    .install = install,
    .update = update,
    .read = read_ended,
    .turn = turn,
    .event = event,
    .is_whole = nn_clients_idle,
    .check_end = nn_check_end,
};
