/*
 * The namenode of the box as it is in production: pg_mgr and pg_decide make the configurations, out of
 * heartbeats, accusations and registrations that come late or not at all. Instead of Raft there is a log
 * that takes a while, and loses what was proposed when the leader changes; the next one starts with what
 * the log says and knows nobody.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "namenode/pg_mgr.h"
#include "tests/sim/box.h"

enum { ACCUSATIONS_MAX = 64, TURN_MS_MAX = 400 };

struct beat {
    bool is_held;
    uint64_t incarnation, epoch;
    bool synced, left;
};

struct accusation {
    int by, target;
    uint64_t incarnation, epoch;
};

struct box_nn {
    struct rng rng;
    struct pg_mgr *mgr;
    uint64_t registered[BOX_MEMBERS]; /* as the state machine has it */
    bool cut[BOX_MEMBERS];            /* nothing passes between it and the leader */
    struct beat late[BOX_MEMBERS];
    struct accusation accusations[ACCUSATIONS_MAX];
    unsigned accusation_count;
    bool is_proposed;
    struct pg_rec proposal;
    bool is_calm; /* no more troubles of its own */
};

static struct pg_rec record_of(const struct chain_config *c)
{
    struct pg_rec r = {.pg = c->pg.v,
                       .epoch = c->epoch,
                       .cold_epoch = c->cold_epoch,
                       .reset_epoch = c->reset_epoch,
                       .copies = c->copies,
                       .min_write = c->min_write,
                       .member_count = c->member_count};

    for (uint32_t i = 0; i < c->member_count; i++)
        r.members[i] =
            (struct pg_member_rec){.target = c->members[i].target.v,
                                   .incarnation = c->members[i].incarnation,
                                   .state = (uint8_t)c->members[i].state,
                                   .last_serving_epoch = c->members[i].last_serving_epoch};
    return r;
}

static struct chain_config config_of(const struct pg_rec *r, uint64_t fence_version)
{
    struct chain_config c = {.pg = {r->pg},
                             .epoch = r->epoch,
                             .cold_epoch = r->cold_epoch,
                             .reset_epoch = r->reset_epoch,
                             .fence_version = fence_version,
                             .copies = r->copies,
                             .min_write = r->min_write,
                             .member_count = r->member_count};

    for (uint32_t i = 0; i < r->member_count; i++)
        c.members[i] =
            (struct chain_member){.target = {r->members[i].target},
                                  .incarnation = r->members[i].incarnation,
                                  .state = (enum member_state)r->members[i].state,
                                  .last_serving_epoch = r->members[i].last_serving_epoch};
    return c;
}

static uint64_t now_ns(const struct box *b)
{
    return b->clock_ms * CLOCK_NS_PER_MS;
}

static void set_target(struct box *b, int m)
{
    static const char *const hosts[BOX_MEMBERS] = {"a", "b", "c", "d"};
    struct pg_target t = {.id = b->members[m].target.v,
                          .incarnation = b->nn->registered[m],
                          .usable = true,
                          .host = hosts[m],
                          .bytes_total = 1 << 30};

    (void)pg_mgr_set_target(b->nn->mgr, &t);
}

static void lead(struct box *b)
{
    struct pg_mgr_options o;
    struct pg_rec rec = record_of(&b->config);

    pg_mgr_options_init(&o);
    pg_mgr_free(b->nn->mgr);
    b->nn->mgr = pg_mgr_new(&o, now_ns(b));
    for (int m = 0; m < (int)b->o.members; m++)
        set_target(b, m);
    (void)pg_mgr_set_pg(b->nn->mgr, &rec);
    b->nn->accusation_count = 0;
    memset(b->nn->late, 0, sizeof(b->nn->late));
}

void box_nn_start(struct box *b, uint64_t seed)
{
    b->nn = MEM_NEW(struct box_nn);
    rng_seed(&b->nn->rng, seed);
    for (int m = 0; m < BOX_MEMBERS; m++)
        b->nn->registered[m] = b->members[m].incarnation;
    lead(b);
}

void box_nn_free(struct box *b)
{
    if (b->nn == NULL)
        return;
    pg_mgr_free(b->nn->mgr);
    free(b->nn);
    b->nn = NULL;
}

void box_nn_cut(struct box *b, int m, bool cut)
{
    b->nn->cut[m] = cut;
    if (cut && rng_percent(&b->nn->rng, 50))
        pg_mgr_lost(b->nn->mgr, b->members[m].target.v, b->members[m].incarnation);
}

bool box_nn_reaches(const struct box *b, int m)
{
    return b->nn == NULL || !b->nn->cut[m];
}

void box_nn_died(struct box *b, int m)
{
    /* A connection that broke; or the machine is gone, and only silence tells. */
    if (b->nn != NULL && !b->nn->cut[m] && rng_percent(&b->nn->rng, 60))
        pg_mgr_lost(b->nn->mgr, b->members[m].target.v, b->members[m].incarnation);
}

void box_nn_accuse(struct box *b, int by, int target)
{
    const struct chain_config *c = chain_config_of(b->members[by].chain);
    struct accusation a = {.by = by, .target = target, .epoch = c->epoch};

    if (b->nn == NULL || b->nn->accusation_count == ACCUSATIONS_MAX)
        return;
    for (uint32_t i = 0; i < c->member_count; i++) {
        if (ID_EQUAL(c->members[i].target, b->members[target].target))
            a.incarnation = c->members[i].incarnation;
    }
    b->nn->accusations[b->nn->accusation_count++] = a;
}

/* ---- the log ---- */

static int member_in(const struct chain_config *c, struct target_id t)
{
    for (uint32_t i = 0; i < c->member_count; i++) {
        if (ID_EQUAL(c->members[i].target, t))
            return (int)i;
    }
    return -1;
}

/* I28, by who really was in sync. */
static void check_heirs(struct box *b, const struct chain_config *next)
{
    unsigned heirs = 0, added = 0;

    for (uint32_t i = 0; i < next->member_count; i++) {
        int old = member_in(&b->config, next->members[i].target);
        const struct box_member *m = box_member_of(b, next->members[i].target);

        if (next->members[i].state != MEMBER_SERVING)
            continue;
        if (old >= 0 && b->config.members[old].state == MEMBER_SERVING) {
            heirs++;
            if (next->reset_epoch != next->epoch &&
                b->config.members[old].incarnation != next->members[i].incarnation)
                box_violate(b, "I28: it serves on in another life", "member=%u", i);
            continue;
        }
        added++;
        if (m->was_synced_in != b->config.epoch || m->was_synced_as != next->members[i].incarnation)
            box_violate(b, "I28: it serves and was not in sync in the epoch before", "member=%u",
                        i);
    }
    if (heirs == 0 || added > 1)
        box_violate(b, "I28: who serves is no heir of those before", "heirs=%u added=%u", heirs,
                    added);
    b->sometimes.cold += next->reset_epoch == next->epoch;
    b->sometimes.promoted += added;
}

static void commit(struct box *b)
{
    struct box_nn *nn = b->nn;
    struct chain_config next = config_of(&nn->proposal, b->config.fence_version);

    nn->is_proposed = false;
    if (next.epoch != b->config.epoch + 1 || chain_config_check(&next) < 0) {
        box_violate(b, "I25: a proposal that does not follow", "epoch=%d", (int)next.epoch);
        return;
    }
    check_heirs(b, &next);
    box_commit(b, &next);
    (void)pg_mgr_set_pg(nn->mgr, &nn->proposal);
}

static void log_turn(struct box *b)
{
    struct box_nn *nn = b->nn;

    if (!nn->is_proposed || rng_percent(&nn->rng, 40))
        return;
    if (!nn->is_calm && rng_percent(&nn->rng, 5)) {
        box_nn_lead_anew(b);
    } else if (!nn->is_calm && rng_percent(&nn->rng, 5)) { /* No room, say. */
        nn->is_proposed = false;
        pg_mgr_refused(nn->mgr, nn->proposal.pg);
    } else {
        commit(b);
    }
}

/* What was proposed is in the log already, or lost. */
void box_nn_lead_anew(struct box *b)
{
    if (b->nn->is_proposed && rng_percent(&b->nn->rng, 50))
        commit(b);
    b->nn->is_proposed = false;
    lead(b);
    b->sometimes.leaders++;
}

/* ---- what the leader hears ---- */

static void hear(struct box *b, int m, const struct beat *beat)
{
    struct box_nn *nn = b->nn;
    uint32_t id = b->members[m].target.v;

    if (beat->incarnation < nn->registered[m])
        return; /* The state machine knows that this life is over. */
    if (beat->incarnation != nn->registered[m]) {
        nn->registered[m] = beat->incarnation;
        set_target(b, m);
    }
    pg_mgr_heard(nn->mgr, id, beat->incarnation, now_ns(b));
    if (beat->left)
        pg_mgr_left(nn->mgr, b->config.pg.v, id, beat->incarnation, beat->epoch);
    if (beat->synced)
        pg_mgr_sync_done(nn->mgr, b->config.pg.v, id, beat->incarnation, beat->epoch);
}

static void beat(struct box *b, int m)
{
    struct box_member *me = &b->members[m];
    struct beat *late = &b->nn->late[m], now = {.incarnation = me->incarnation};

    if (late->is_held) {
        late->is_held = false;
        hear(b, m, late);
    }
    if (!me->alive || b->nn->cut[m] || (!b->nn->is_calm && rng_percent(&b->nn->rng, 15)))
        return;
    now.epoch = chain_config_of(me->chain)->epoch;
    now.synced = chain_is_synced(me->chain);
    now.left = chain_is_failed(me->chain);
    if (rng_percent(&b->nn->rng, 20)) {
        *late = now;
        late->is_held = true;
        return;
    }
    hear(b, m, &now);
}

static void hear_accusations(struct box *b)
{
    struct box_nn *nn = b->nn;

    for (unsigned i = 0; i < nn->accusation_count; i++) {
        const struct accusation *a = &nn->accusations[i];
        uint32_t target = b->members[a->target].target.v;

        if (nn->cut[a->by] || !b->members[a->by].alive)
            continue;
        b->sometimes.accused++;
        if (a->by == a->target)
            pg_mgr_left(nn->mgr, b->config.pg.v, target, b->members[a->by].incarnation, a->epoch);
        else
            pg_mgr_accused(nn->mgr, b->members[a->by].target.v, target, a->incarnation, now_ns(b));
    }
    nn->accusation_count = 0;
}

void box_nn_turn(struct box *b)
{
    struct box_nn *nn = b->nn;
    struct pg_rec next;

    b->now++;
    b->clock_ms += rng_range(&nn->rng, 20, TURN_MS_MAX);
    for (int m = 0; m < (int)b->o.members; m++)
        beat(b, m);
    hear_accusations(b);
    for (int m = 0; m < (int)b->o.members; m++) {
        if (b->members[m].alive)
            box_tick(b, m, b->clock_ms);
    }
    log_turn(b);
    if (pg_mgr_tick(nn->mgr, now_ns(b), &next, 1) > 0) {
        nn->proposal = next;
        nn->is_proposed = true;
    }
    box_check(b);
}

void box_nn_calm(struct box *b)
{
    b->nn->is_calm = true;
    memset(b->nn->cut, 0, sizeof(b->nn->cut));
}

bool box_nn_is_whole(const struct box *b)
{
    unsigned serving = 0;

    for (uint32_t i = 0; i < b->config.member_count; i++) {
        const struct chain_member *m = &b->config.members[i];
        const struct box_member *x = &b->members[m->target.v - 1];

        serving += m->state == MEMBER_SERVING && x->alive && x->incarnation == m->incarnation &&
                   chain_config_of(x->chain)->epoch == b->config.epoch;
    }
    return serving == b->config.copies && serving == b->config.member_count && !b->nn->is_proposed;
}
