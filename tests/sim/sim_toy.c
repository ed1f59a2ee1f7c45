/* The least that a group can replicate: a hash over all entries, so that two histories differ. */
#include <stdlib.h>
#include <string.h>

#include "raft/mem.h"
#include "tests/sim/sim_raft.h"

struct toy {
    uint64_t next_op;
};

static void toy_set_up(struct sim_world *w)
{
    w->machine_world = raft_alloc(1, sizeof(struct toy));
    sim_again(w, SIM_CLIENT, 0, 1000 * SIM_MS);
}

static void toy_tear_down(struct sim_world *w)
{
    free(w->machine_world);
}

static uint64_t toy_apply(struct sim_world *w, struct sim_node *n, const struct raft_entry *e)
{
    (void)w;
    return sim_mix(sim_mix(n->state.hash, e->index), sim_entry_hash(e));
}

static void toy_propose(struct sim_world *w, const struct sim_event *e)
{
    struct sim_node *n = sim_some_leader(w);
    size_t count = 1 + sim_below(w, 3);
    struct toy *toy = w->machine_world;
    struct raft_buf *bufs[3];
    struct raft_event ev = {.type = RAFT_EV_PROPOSE};
    struct raft_update up;
    int r;

    (void)e;
    sim_again(w, SIM_CLIENT, 5 * SIM_MS, 60 * SIM_MS);
    if (n == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        bufs[i] = raft_buf_new(8 + sim_below(w, 40));
        memset(bufs[i]->data, 0, bufs[i]->len);
        toy->next_op++;
        memcpy(bufs[i]->data, &toy->next_op, sizeof(toy->next_op));
    }
    ev.propose.type = sim_percent(w, 5) ? RAFT_ENTRY_HASH : RAFT_ENTRY_NORMAL;
    ev.propose.bufs = bufs;
    ev.propose.count = count;
    r = sim_node_step(w, n, &ev, &up);
    if (r == 0)
        w->stats->proposals++;
    else if (r == -EAGAIN)
        w->stats->proposals_full++;
    else
        sim_fail(w, "a proposal to leader %u is refused, %d", n->number + 1, r);
    for (size_t i = 0; i < count; i++)
        raft_buf_unref(bufs[i]);
}

const struct sim_machine sim_toy = {
    .set_up = toy_set_up,
    .tear_down = toy_tear_down,
    .apply = toy_apply,
    .event = toy_propose,
};
