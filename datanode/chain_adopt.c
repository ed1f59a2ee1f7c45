/*
 * Adopting a configuration. The order matters: epoch, links, fences, role, then the successor is
 * asked what it has; clients are let in only after its answer.
 */
#include "common/error.h"
#include "datanode/chain_private.h"

#include <string.h>

#include "common/compiler.h"

static void learn_fences(struct chain *c, const struct chain_event *ev)
{
    /* Only the namenode's list is complete: a neighbour's configuration names a version alone. */
    if (!ev->from_namenode)
        return;
    for (size_t i = 0; i < ev->count; i++)
        chain_fence_add(c, (struct session_id){ev->fences[i]});
    c->session_floor = MAX(c->session_floor, ev->session_floor);
    c->fences_known = MAX(c->fences_known, ev->config->fence_version);
}

static void refuse_waiters(struct chain *c, struct chain_actions *out)
{
    struct unstable *u;

    for (u = c->window.unstable; u != NULL; u = u->next) {
        for (size_t i = 0; i < u->waiter_count; i++) {
            struct chain_action *a = chain_emit(out, c, CHAIN_ACT_REPLY);

            a->waiter = u->waiters[i];
            a->status = DFS_ESTALE_EPOCH;
        }
        u->waiter_count = 0;
    }
}

/* They were sent under an epoch that is over; their clients come again with the new one. */
static void refuse_parked(struct chain *c, struct chain_actions *out)
{
    while (c->window.parked != NULL) {
        struct chain_action *a = chain_emit(out, c, CHAIN_ACT_REPLY);

        a->waiter = c->window.parked->waiter;
        a->status = DFS_ESTALE_EPOCH;
        window_unpark(&c->window, c->window.parked);
    }
}

static void find_place(struct chain *c)
{
    uint64_t incarnation = c->o.incarnation;

    if (CHAIN_MUTANT(c, MUTANT_ANY_INCARNATION)) {
        for (uint32_t i = 0; i < c->config.member_count; i++) {
            if (ID_EQUAL(c->config.members[i].target, c->o.self))
                incarnation = c->config.members[i].incarnation;
        }
    }
    chain_config_place(&c->config, c->o.self, incarnation, &c->place);
}

static void become_out(struct chain *c, bool was_joining, struct chain_actions *out)
{
    c->place = (struct chain_place){.role = CHAIN_OUT};
    c->link = LINK_NONE;
    if (was_joining)
        chain_join_reset(c, out);
    chain_drop_all(c, DFS_ESTALE_EPOCH, out);
}

/*
 * After a local error only a SYNCING listing, which starts from nothing, brings us back; or a cold
 * start from us, when all have left: what was acknowledged is here, and the rest is laundered.
 */
static const char *why_not(struct chain *c, enum chain_role was)
{
    bool is_cold_start = c->config.reset_epoch == c->config.epoch;

    if (c->failed)
        return "the target failed";
    if (c->left_in_epoch != 0 && c->place.role == CHAIN_SERVING && !is_cold_start)
        return "a local write failed";
    if (was == CHAIN_SYNCING && c->place.role == CHAIN_SERVING && !c->synced)
        return "listed as serving before it was synced";
    return NULL;
}

/* The one whose bytes were not ours is no longer next: what it said counts for nothing. */
static void forget_divergence(struct chain *c)
{
    for (struct unstable *u = c->window.unstable; u != NULL; u = u->next) {
        if (!u->diverged)
            continue;
        u->diverged = u->acked = false;
        u->succ_crc = 0;
    }
}

void chain_adopt(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    const struct chain_config *cfg = ev->config;
    struct chain_place was = c->place;
    const char *why;

    if (chain_config_check(cfg) < 0 || !ID_EQUAL(cfg->pg, c->o.pg))
        return;
    learn_fences(c, ev);
    if (cfg->epoch < c->config.epoch)
        return;
    if (cfg->epoch == c->config.epoch) {
        c->config.fence_version = MAX(c->config.fence_version, cfg->fence_version);
        chain_let_in(c, out);
        return;
    }

    c->config = *cfg;
    find_place(c);
    if (c->place.role == CHAIN_OUT) {
        become_out(c, was.role == CHAIN_SYNCING, out);
        return;
    }
    why = why_not(c, was.role);
    if (why != NULL) {
        become_out(c, was.role == CHAIN_SYNCING, out);
        c->left_in_epoch = c->config.epoch;
        chain_accuse(c, c->o.self, why, out);
        return;
    }
    if (c->left_in_epoch != 0) { /* It calls operations executed that failed here. */
        dedup_done(&c->dedup);
        dedup_init(&c->dedup);
    }
    c->left_in_epoch = 0;
    chain_hold_end(c, DFS_ESTALE_EPOCH, out);

    if (was.is_head && !c->place.is_head)
        refuse_waiters(c, out);
    refuse_parked(c, out);

    if (c->place.role == CHAIN_SYNCING) {
        c->link = LINK_NONE;
        chain_drop_all(c, DFS_EDIRTY, out);
        chain_join_reset(c, out);
        return;
    }

    if (!ID_EQUAL(was.succ.target, c->place.succ.target) ||
        was.succ.incarnation != c->place.succ.incarnation)
        forget_divergence(c);
    if (was.role != CHAIN_SERVING)
        (void)chain_emit(out, c, CHAIN_ACT_SERVING);
    c->synced = false;
    c->begun = false;
    if (ID_IS_NONE(c->place.succ.target))
        c->link = LINK_NONE;
    else
        chain_link_start(c, out);
    chain_settle(c, out);
}
