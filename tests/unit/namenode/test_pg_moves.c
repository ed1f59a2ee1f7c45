/*
 * Copies that move: targets that are drained, removed, in maintenance, or new. A small cluster whose
 * proposals are applied at once and whose joiners are done after a second; after each step every PG
 * must have had all the copies that it could have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "namenode/pg_mgr.h"

static const uint64_t ms = 1000000ULL;
static const uint64_t boot = 7ULL << 32;

enum { TARGETS_MAX = 8, PGS_MAX = 192, COPIES = 3, STEP_MS = 100, SYNC_MS = 1000 };

struct one {
    bool there, alive, usable, draining;
    char host[8], rack[8];
    uint64_t incarnation, bytes_total;
};

struct fixture {
    struct pg_mgr *m;
    uint64_t now;
    struct one targets[TARGETS_MAX + 1]; /* by id, from 1 */
    struct pg_rec pgs[PGS_MAX];
    uint64_t sync_since[PGS_MAX];
    unsigned pg_count;
    unsigned joins;       /* copies that were made, or begun */
    unsigned serving_min; /* the fewest SERVING members that a PG had since it was set */
    unsigned below;       /* PGs that had fewer than their copies, each time */
};

static void tell_target(struct fixture *f, uint32_t id)
{
    const struct one *t = &f->targets[id];

    assert_int_equal(pg_mgr_set_target(f->m, &(struct pg_target){.id = id,
                                                                 .incarnation = t->incarnation,
                                                                 .usable = t->usable,
                                                                 .draining = t->draining,
                                                                 .host = t->host,
                                                                 .rack = t->rack,
                                                                 .bytes_total = t->bytes_total}),
                     0);
}

static void add_target(struct fixture *f, uint32_t id, unsigned host)
{
    struct one *t = &f->targets[id];

    *t = (struct one){.there = true, .alive = true, .usable = true, .incarnation = boot + 1};
    snprintf(t->host, sizeof(t->host), "h%u", host % 100);
    tell_target(f, id);
}

static void drain(struct fixture *f, uint32_t id)
{
    f->targets[id].usable = false;
    f->targets[id].draining = true;
    tell_target(f, id);
}

static unsigned count(const struct pg_rec *pg, enum pg_member_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < pg->member_count; i++)
        n += pg->members[i].state == state;
    return n;
}

/* In how many PGs it is, in whatever state. */
static unsigned pgs_of(const struct fixture *f, uint32_t id)
{
    unsigned n = 0;

    for (unsigned p = 0; p < f->pg_count; p++)
        for (unsigned i = 0; i < f->pgs[p].member_count; i++)
            n += f->pgs[p].members[i].target == id;
    return n;
}

static void apply(struct fixture *f, const struct pg_rec *rec)
{
    struct pg_rec *pg = &f->pgs[rec->pg - 1];

    assert_int_equal(rec->epoch, pg->epoch + 1);
    if (count(rec, PG_SYNCING) > count(pg, PG_SYNCING)) {
        f->joins++;
        f->sync_since[rec->pg - 1] = f->now;
    }
    *pg = *rec;
    f->serving_min = MIN(f->serving_min, count(rec, PG_SERVING));
    f->below += count(rec, PG_SERVING) < rec->copies;
    assert_int_equal(pg_mgr_set_pg(f->m, pg), 0);
}

static void sync_members(struct fixture *f)
{
    for (unsigned p = 0; p < f->pg_count; p++) {
        const struct pg_rec *pg = &f->pgs[p];

        for (unsigned i = 0; i < pg->member_count; i++) {
            const struct pg_member_rec *mem = &pg->members[i];

            if (mem->state == PG_SYNCING && f->targets[mem->target].alive &&
                f->now - f->sync_since[p] >= SYNC_MS * ms)
                pg_mgr_sync_done(f->m, pg->pg, mem->target, mem->incarnation, pg->epoch);
        }
    }
}

static void pass(struct fixture *f, unsigned span_ms)
{
    for (unsigned t = 0; t < span_ms; t += STEP_MS) {
        struct pg_rec out[PGS_MAX];
        size_t n;

        f->now += STEP_MS * ms;
        for (uint32_t id = 1; id <= TARGETS_MAX; id++)
            if (f->targets[id].alive)
                pg_mgr_heard(f->m, id, f->targets[id].incarnation, f->now);
        sync_members(f);
        n = pg_mgr_tick(f->m, f->now, out, PGS_MAX);
        for (size_t i = 0; i < n; i++)
            apply(f, &out[i]);
    }
}

static void make_pgs(struct fixture *f)
{
    struct pg_rec out[PGS_MAX];

    pass(f, 200);
    f->pg_count = (unsigned)pg_mgr_plan_new(f->m, f->now, out, PGS_MAX);
    assert_true(f->pg_count > 0);
    for (unsigned p = 0; p < f->pg_count; p++) {
        f->pgs[p] = out[p];
        f->pgs[p].pg = p + 1;
        assert_int_equal(pg_mgr_set_pg(f->m, &f->pgs[p]), 0);
    }
    f->serving_min = COPIES;
    f->joins = 0;
}

static struct fixture *hosts_of(unsigned hosts, uint32_t moves)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    struct pg_mgr_options o;

    pg_mgr_options_init(&o);
    o.pgs_per_target = 12;
    o.moves_at_once = moves;
    f->now = 1000000 * ms;
    f->m = pg_mgr_new(&o, f->now);
    for (uint32_t t = 1; t <= hosts; t++)
        add_target(f, t, t);
    return f;
}

static struct fixture *cluster_of(unsigned hosts, uint32_t moves)
{
    struct fixture *f = hosts_of(hosts, moves);

    make_pgs(f);
    return f;
}

static void set_rack(struct fixture *f, uint32_t id, unsigned rack)
{
    snprintf(f->targets[id].rack, sizeof(f->targets[id].rack), "r%u", rack % 100);
    tell_target(f, id);
}

/* PGs with two copies in one rack. */
static unsigned pgs_sharing_a_rack(const struct fixture *f)
{
    unsigned n = 0;

    for (unsigned p = 0; p < f->pg_count; p++) {
        const struct pg_rec *pg = &f->pgs[p];
        bool shares = false;

        for (unsigned i = 0; i < pg->member_count; i++)
            for (unsigned k = 0; k < i; k++)
                shares |= strcmp(f->targets[pg->members[i].target].rack,
                                 f->targets[pg->members[k].target].rack) == 0;
        n += shares;
    }
    return n;
}

static void done(struct fixture *f)
{
    pg_mgr_free(f->m);
    test_free(f);
}

/* All copies, on different hosts, none of them joining or away. */
static void assert_whole(const struct fixture *f)
{
    for (unsigned p = 0; p < f->pg_count; p++) {
        const struct pg_rec *pg = &f->pgs[p];

        assert_int_equal(pg->member_count, COPIES);
        assert_int_equal(count(pg, PG_SERVING), COPIES);
        for (unsigned i = 0; i < COPIES; i++)
            for (unsigned k = 0; k < i; k++)
                assert_string_not_equal(f->targets[pg->members[i].target].host,
                                        f->targets[pg->members[k].target].host);
    }
}

static void a_drained_target_gives_all_its_copies_away(void **state)
{
    struct fixture *f = cluster_of(5, 0);
    unsigned had = pgs_of(f, 2);

    (void)state;
    assert_true(had > 0);
    drain(f, 2);
    pass(f, 60000);
    assert_int_equal(pgs_of(f, 2), 0);
    assert_int_equal(f->joins, had);          /* No copy more than that. */
    assert_int_equal(f->serving_min, COPIES); /* And never one too few. */
    assert_whole(f);
    done(f);
}

static void with_no_other_host_a_drained_target_serves_on(void **state)
{
    struct fixture *f = cluster_of(3, 2);

    (void)state;
    drain(f, 2);
    pass(f, 120000);
    assert_int_equal(pgs_of(f, 2), f->pg_count);
    assert_int_equal(f->joins, 0);
    add_target(f, 4, 4); /* The operator brings another host. */
    pass(f, 120000);
    assert_int_equal(pgs_of(f, 2), 0);
    assert_int_equal(f->serving_min, COPIES);
    assert_whole(f);
    done(f);
}

/* Two disks of one host: the other one may take over. */
static void a_disk_is_drained_to_another_of_its_host(void **state)
{
    struct fixture *f = cluster_of(3, 0);

    (void)state;
    add_target(f, 4, 2);
    drain(f, 2);
    pass(f, 120000);
    assert_int_equal(pgs_of(f, 2), 0);
    assert_int_equal(pgs_of(f, 4), f->pg_count);
    assert_whole(f);
    done(f);
}

static void a_drained_target_that_dies_is_replaced_at_once(void **state)
{
    struct fixture *f = cluster_of(5, 0);

    (void)state;
    drain(f, 2);
    pass(f, 1500); /* Some copies are on their way. */
    f->targets[2].alive = false;
    pass(f, 30000); /* Less than the grace time. */
    assert_int_equal(pgs_of(f, 2), 0);
    assert_whole(f);
    done(f);
}

static void a_drained_target_that_restarts_serves_again_and_goes_on(void **state)
{
    struct fixture *f = cluster_of(3, 0);

    (void)state;
    drain(f, 2);
    pass(f, 1000);
    f->targets[2].incarnation = boot + 2;
    tell_target(f, 2);
    pass(f, 30000);
    assert_whole(f); /* There is nobody else: it is a member again. */
    assert_int_equal(pgs_of(f, 2), f->pg_count);
    done(f);
}

/* In the middle of a move, whoever dies: nothing is lost, and all ends whole. */
static void who_dies_in_a_move_is_replaced(void **state)
{
    (void)state;
    for (uint32_t victim = 1; victim <= 6; victim++) {
        struct fixture *f = cluster_of(6, 0);

        if (victim == 2) {
            done(f);
            continue;
        }
        drain(f, 2);
        pass(f, 700);
        f->targets[victim].alive = false;
        pass(f, 150000);
        assert_int_equal(pgs_of(f, 2), 0);
        assert_int_equal(pgs_of(f, victim), 0);
        assert_true(f->serving_min >= COPIES - 1);
        assert_whole(f);
        done(f);
    }
}

static void a_target_in_maintenance_is_waited_for(void **state)
{
    struct fixture *f = cluster_of(5, 0);
    unsigned had = pgs_of(f, 3);

    (void)state;
    pg_mgr_set_awaited(f->m, 3, true);
    f->targets[3].alive = false;
    pass(f, 600000);
    assert_int_equal(f->joins, 0);
    assert_int_equal(pgs_of(f, 3), had);
    f->targets[3].alive = true;
    f->targets[3].incarnation = boot + 2;
    tell_target(f, 3);
    pass(f, 30000);
    assert_int_equal(f->joins, had);
    assert_whole(f);
    /* And once it is over, not. */
    pg_mgr_set_awaited(f->m, 3, false);
    f->targets[3].alive = false;
    pass(f, 120000);
    assert_int_equal(pgs_of(f, 3), 0);
    assert_whole(f);
    done(f);
}

/* What can't be written doesn't wait for who is in maintenance. */
static void maintenance_does_not_stop_writes(void **state)
{
    struct fixture *f = cluster_of(5, 0);

    (void)state;
    pg_mgr_set_awaited(f->m, 1, true);
    pg_mgr_set_awaited(f->m, 2, true);
    f->targets[1].alive = f->targets[2].alive = false;
    pass(f, 20000);
    for (unsigned p = 0; p < f->pg_count; p++)
        assert_true(pg_is_writable(&f->pgs[p]));
    done(f);
}

static void a_new_target_gets_its_share_and_no_copy_moves_in_vain(void **state)
{
    struct fixture *f = cluster_of(3, 2);
    unsigned fair = f->pg_count * COPIES / 4;

    (void)state;
    add_target(f, 4, 4);
    pass(f, 9000);
    assert_int_equal(f->joins, 0); /* Not before all has been well for a while. */
    pass(f, 300000);
    assert_int_equal(pgs_of(f, 4), fair);
    assert_int_equal(f->joins, fair);
    assert_int_equal(f->serving_min, COPIES);
    assert_whole(f);
    for (uint32_t t = 1; t <= 3; t++)
        assert_int_equal(pgs_of(f, t), fair);
    done(f);
}

/* PGs that have more copies than they need, or are getting them. */
static unsigned moving(const struct fixture *f)
{
    unsigned n = 0;

    for (unsigned p = 0; p < f->pg_count; p++)
        n += f->pgs[p].member_count > COPIES;
    return n;
}

/*
 * What a target that is added costs: of N targets then, one copy of N moves there, and at most one
 * more between others whose shares were uneven; and never more PGs at once than the operator allows.
 */
static void the_moves_for_a_new_target_are_bounded(void **state)
{
    (void)state;
    for (unsigned before = 3; before < TARGETS_MAX; before++) {
        for (uint32_t at_once = 1; at_once <= 4; at_once++) {
            struct fixture *f = cluster_of(before, at_once);
            unsigned share = f->pg_count * COPIES / (before + 1);

            add_target(f, before + 1, before + 1);
            for (unsigned i = 0; i < 6000; i++) {
                pass(f, STEP_MS);
                assert_true(moving(f) <= at_once);
            }
            assert_in_range(pgs_of(f, before + 1), share - 1, share + 1);
            assert_in_range(f->joins, pgs_of(f, before + 1), pgs_of(f, before + 1) + 1);
            assert_int_equal(f->serving_min, COPIES);
            assert_whole(f);
            done(f);
        }
    }
}

static void a_full_target_gets_none(void **state)
{
    struct fixture *f = cluster_of(3, 2);

    (void)state;
    add_target(f, 4, 4);
    pg_mgr_set_full(f->m, 4, true);
    pass(f, 120000);
    assert_int_equal(f->joins, 0);
    drain(f, 1);
    pass(f, 120000);
    assert_int_equal(f->joins, 0);
    /* But rather a copy there than none. */
    f->targets[1].alive = false;
    pass(f, 120000);
    assert_int_equal(pgs_of(f, 4), f->pg_count);
    done(f);
}

static void nothing_moves_for_balance_while_copies_are_missing(void **state)
{
    struct fixture *f = cluster_of(3, 2);
    unsigned on_new;

    (void)state;
    f->targets[3].alive = false; /* Nobody can take its place: the PGs stay with two copies. */
    pass(f, 120000);
    add_target(f, 4, 4);
    pass(f, 5000);
    on_new = f->joins;
    assert_true(on_new > 0); /* That is repair. */
    pass(f, 120000);
    assert_whole(f);
    assert_int_equal(f->joins, f->pg_count);
    done(f);
}

/* Fewer copies are wanted: the surplus goes, one by one. */
static void fewer_copies(void **state)
{
    struct fixture *f = cluster_of(5, 0);

    (void)state;
    f->pgs[0].copies = 1;
    f->pgs[0].min_write = 1;
    assert_int_equal(pg_mgr_set_pg(f->m, &f->pgs[0]), 0);
    pass(f, 2000);
    assert_int_equal(f->pgs[0].member_count, 1);
    assert_int_equal(f->joins, 0);
    done(f);
}

/* ---- pools: PGs of other numbers of copies ---- */

/* All that are missing now; how many. */
static unsigned add_planned(struct fixture *f)
{
    unsigned n =
        (unsigned)pg_mgr_plan_new(f->m, f->now, &f->pgs[f->pg_count], PGS_MAX - f->pg_count);

    for (unsigned p = f->pg_count; p < f->pg_count + n; p++) {
        f->pgs[p].pg = p + 1;
        assert_int_equal(pg_mgr_set_pg(f->m, &f->pgs[p]), 0);
    }
    f->pg_count += n;
    return n;
}

static void add_pool(struct fixture *f, uint32_t copies)
{
    pg_mgr_want_copies(f->m, copies);
    assert_true(add_planned(f) > 0);
}

static unsigned pool_pgs_of(const struct fixture *f, uint32_t copies, uint32_t id)
{
    unsigned n = 0;

    for (unsigned p = 0; p < f->pg_count; p++)
        for (unsigned i = 0; f->pgs[p].copies == copies && i < f->pgs[p].member_count; i++)
            n += f->pgs[p].members[i].target == id;
    return n;
}

/* The most PGs of the pool that one of the first targets has more than another. */
static unsigned pool_spread(const struct fixture *f, uint32_t copies, uint32_t targets)
{
    unsigned least = PGS_MAX, most = 0;

    for (uint32_t id = 1; id <= targets; id++) {
        least = MIN(least, pool_pgs_of(f, copies, id));
        most = MAX(most, pool_pgs_of(f, copies, id));
    }
    return most - least;
}

/* Each PG has its own number of copies, on different hosts, and none too many. */
static void assert_pools_whole(const struct fixture *f)
{
    for (unsigned p = 0; p < f->pg_count; p++) {
        const struct pg_rec *pg = &f->pgs[p];

        assert_int_equal(pg->member_count, pg->copies);
        assert_int_equal(count(pg, PG_SERVING), pg->copies);
        for (unsigned i = 0; i < pg->member_count; i++)
            for (unsigned k = 0; k < i; k++)
                assert_string_not_equal(f->targets[pg->members[i].target].host,
                                        f->targets[pg->members[k].target].host);
    }
}

static void pools_are_made_when_they_are_asked_for(void **state)
{
    struct fixture *f = cluster_of(5, 0);
    unsigned others = f->pg_count;

    (void)state;
    assert_int_equal(add_planned(f), 0);
    add_pool(f, 2);
    add_pool(f, 1);
    assert_int_equal(add_planned(f), 0); /* Once. */
    for (uint32_t copies = 1; copies <= COPIES; copies++)
        assert_true(pool_spread(f, copies, 5) <= 1);
    assert_int_equal(pool_pgs_of(f, 2, 1), 12);
    for (unsigned p = others; p < f->pg_count; p++)
        assert_int_equal(f->pgs[p].min_write, f->pgs[p].copies);
    assert_pools_whole(f);
    done(f);
}

/* Where the cluster's number is one, its min_write says nothing about three. */
static void of_more_copies_than_the_clusters_two_must_be_there(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    struct pg_mgr_options o;

    (void)state;
    pg_mgr_options_init(&o);
    o.pgs_per_target = 6;
    o.copies = o.min_write = 1;
    f->now = 1000000 * ms;
    f->m = pg_mgr_new(&o, f->now);
    for (uint32_t t = 1; t <= 4; t++)
        add_target(f, t, t);
    make_pgs(f);
    assert_int_equal(f->pgs[0].min_write, 1);
    add_pool(f, 3);
    assert_int_equal(f->pgs[f->pg_count - 1].copies, 3);
    assert_int_equal(f->pgs[f->pg_count - 1].min_write, 2);
    done(f);
}

/* Also the only copy: it is elsewhere before it goes. */
static void a_drained_target_gives_away_what_each_pool_has_there(void **state)
{
    struct fixture *f = cluster_of(5, 0);

    (void)state;
    add_pool(f, 1);
    add_pool(f, 2);
    drain(f, 2);
    pass(f, 120000);
    assert_int_equal(pgs_of(f, 2), 0);
    assert_int_equal(f->below, 0);
    assert_pools_whole(f);
    done(f);
}

/* Else a new host could be full of the PGs of one copy, and have none of the others. */
static void each_pool_is_balanced_by_itself(void **state)
{
    struct fixture *f = cluster_of(5, 4);

    (void)state;
    add_pool(f, 1);
    add_pool(f, 2);
    add_target(f, 6, 6);
    pass(f, 600000);
    for (uint32_t copies = 1; copies <= COPIES; copies++)
        assert_true(pool_spread(f, copies, 6) <= 1);
    assert_int_equal(f->below, 0);
    assert_pools_whole(f);
    done(f);
}

/* Somebody waits for it: balance comes later. But a new leader hears those that are there first. */
static void a_pool_does_not_wait_for_one_that_is_away(void **state)
{
    struct fixture *f = hosts_of(5, 0);

    (void)state;
    f->targets[5].alive = false;
    pg_mgr_want_copies(f->m, 2);
    pass(f, 1000);
    assert_int_equal(add_planned(f), 0);
    pass(f, 6000);
    assert_true(add_planned(f) > 0);
    assert_int_equal(pool_pgs_of(f, 2, 5), 0);
    assert_int_equal(add_planned(f), 0); /* More of it, and the cluster's own, may wait. */
    done(f);
}

/*
 * Of two copies both have to be there for writes: the other one is replaced at once, and not after the
 * grace time that three copies have.
 */
static void of_two_copies_one_that_is_lost_is_replaced_at_once(void **state)
{
    struct fixture *f = cluster_of(5, 0);

    (void)state;
    add_pool(f, 2);
    f->targets[3].alive = false;
    pass(f, 8000);
    for (unsigned p = 0; p < f->pg_count; p++) {
        const struct pg_rec *pg = &f->pgs[p];

        assert_true(pg_is_writable(pg));
        if (pg->copies == 2)
            assert_int_equal(count(pg, PG_SERVING), 2);
    }
    assert_int_equal(pool_pgs_of(f, 2, 3), 0);
    assert_true(pool_pgs_of(f, 3, 3) > 0); /* These wait for it. */
    done(f);
}

/* The one copy is where it is: nobody else may begin, however long it takes. */
static void an_only_copy_is_waited_for(void **state)
{
    struct fixture *f = cluster_of(5, 0);
    unsigned had;

    (void)state;
    add_pool(f, 1);
    had = pool_pgs_of(f, 1, 3);
    f->targets[3].alive = false;
    pass(f, 300000);
    assert_int_equal(pool_pgs_of(f, 1, 3), had);
    f->targets[3].alive = true;
    f->targets[3].incarnation = boot + 2;
    tell_target(f, 3);
    pass(f, 120000);
    assert_pools_whole(f);
    done(f);
}

/* What lacks copies gets the places where a target may join before what is whole and only moves. */
static void repair_comes_before_the_moves_of_whole_ones(void **state)
{
    struct fixture *f = cluster_of(5, 0);
    struct pg_rec out[PGS_MAX];
    size_t n;

    (void)state;
    add_pool(f, 1);
    f->targets[3].alive = false;
    pass(f, 58000); /* The grace time is nearly over. */
    drain(f, 2);
    for (unsigned i = 0; i < 40; i++) {
        f->now += STEP_MS * ms;
        for (uint32_t id = 1; id <= TARGETS_MAX; id++)
            if (f->targets[id].alive)
                pg_mgr_heard(f->m, id, f->targets[id].incarnation, f->now);
    }
    n = pg_mgr_tick(f->m, f->now, out, PGS_MAX);
    assert_true(n > 0);
    for (size_t i = 1; i < n; i++)
        assert_false(count(&out[i - 1], PG_SERVING) >= out[i - 1].copies &&
                     count(&out[i], PG_SERVING) < out[i].copies);
    done(f);
}

static void copies_are_in_different_racks(void **state)
{
    struct fixture *f = hosts_of(6, 2);

    (void)state;
    for (uint32_t t = 1; t <= 6; t++)
        set_rack(f, t, (t - 1) / 2);
    make_pgs(f);
    assert_int_equal(pgs_sharing_a_rack(f), 0);
    for (uint32_t t = 1; t <= 6; t++)
        assert_in_range(pgs_of(f, t), f->pg_count / 2 - 1, f->pg_count / 2 + 1);
    /* A lost host's place is taken by the other one of its rack. */
    f->targets[3].alive = false;
    pass(f, 120000);
    assert_whole(f);
    assert_int_equal(pgs_sharing_a_rack(f), 0);
    done(f);
}

/* Labels that come later: what shares a rack moves, a few at a time, and nothing else. */
static void copies_move_when_racks_are_told(void **state)
{
    struct fixture *f = cluster_of(6, 2);
    unsigned sharing, i;

    (void)state;
    for (uint32_t t = 1; t <= 6; t++)
        set_rack(f, t, (t - 1) / 2);
    sharing = pgs_sharing_a_rack(f);
    assert_true(sharing > 0);
    for (i = 0; i < 100 && pgs_sharing_a_rack(f) > 0; i++)
        pass(f, 10000);
    assert_int_equal(pgs_sharing_a_rack(f), 0);
    pass(f, 120000);
    assert_in_range(f->joins, sharing, 2 * sharing);
    assert_int_equal(f->serving_min, COPIES);
    assert_whole(f);
    done(f);
}

/* Three copies in two racks: as good as it gets, and it ends. */
static void two_racks_are_enough_to_go_on(void **state)
{
    struct fixture *f = hosts_of(6, 2);
    unsigned joins;

    (void)state;
    for (uint32_t t = 1; t <= 6; t++)
        set_rack(f, t, (t - 1) / 3);
    make_pgs(f);
    for (unsigned p = 0; p < f->pg_count; p++) {
        unsigned in_first = 0;

        for (unsigned i = 0; i < COPIES; i++)
            in_first += f->pgs[p].members[i].target <= 3;
        assert_in_range(in_first, 1, 2);
    }
    pass(f, 300000);
    joins = f->joins;
    pass(f, 300000);
    assert_int_equal(f->joins, joins);
    assert_whole(f);
    done(f);
}

static void a_larger_disk_gets_more(void **state)
{
    struct fixture *f = hosts_of(5, 2);

    (void)state;
    for (uint32_t t = 1; t <= 5; t++) {
        /* Disks of one size are never quite of one size. */
        f->targets[t].bytes_total = (t == 5 ? 2000 : 1000) * UINT64_C(1000000000) + t * 4096;
        tell_target(f, t);
    }
    make_pgs(f);
    for (uint32_t t = 1; t <= 4; t++)
        assert_in_range(pgs_of(f, t), f->pg_count / 2 - 1, f->pg_count / 2 + 1);
    assert_in_range(pgs_of(f, 5), f->pg_count - 1, f->pg_count);
    /* A second large one comes: it gets its share of them, which is twice that of a small one. */
    add_target(f, 6, 6);
    f->targets[6].bytes_total = 2000 * UINT64_C(1000000000);
    tell_target(f, 6);
    pass(f, 300000);
    assert_in_range(pgs_of(f, 6), f->pg_count * COPIES / 4 - 1, f->pg_count * COPIES / 4 + 1);
    assert_in_range(f->joins, pgs_of(f, 6), pgs_of(f, 6) + 2);
    assert_whole(f);
    done(f);
}

/* When a host is lost, all others have something to give. */
static void every_host_has_all_others_as_partners(void **state)
{
    struct fixture *f = cluster_of(6, 0);

    (void)state;
    for (uint32_t a = 1; a <= 6; a++)
        for (uint32_t b = 1; b < a; b++) {
            unsigned shared = 0;

            for (unsigned p = 0; p < f->pg_count; p++) {
                bool has_a = false, has_b = false;

                for (unsigned i = 0; i < COPIES; i++) {
                    has_a |= f->pgs[p].members[i].target == a;
                    has_b |= f->pgs[p].members[i].target == b;
                }
                shared += has_a && has_b;
            }
            /* Evenly it were 24 / 5. */
            assert_in_range(shared, 3, 7);
        }
    done(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drained_target_gives_all_its_copies_away),
        cmocka_unit_test(with_no_other_host_a_drained_target_serves_on),
        cmocka_unit_test(a_disk_is_drained_to_another_of_its_host),
        cmocka_unit_test(a_drained_target_that_dies_is_replaced_at_once),
        cmocka_unit_test(a_drained_target_that_restarts_serves_again_and_goes_on),
        cmocka_unit_test(who_dies_in_a_move_is_replaced),
        cmocka_unit_test(a_target_in_maintenance_is_waited_for),
        cmocka_unit_test(maintenance_does_not_stop_writes),
        cmocka_unit_test(a_new_target_gets_its_share_and_no_copy_moves_in_vain),
        cmocka_unit_test(the_moves_for_a_new_target_are_bounded),
        cmocka_unit_test(a_full_target_gets_none),
        cmocka_unit_test(nothing_moves_for_balance_while_copies_are_missing),
        cmocka_unit_test(fewer_copies),
        cmocka_unit_test(pools_are_made_when_they_are_asked_for),
        cmocka_unit_test(of_more_copies_than_the_clusters_two_must_be_there),
        cmocka_unit_test(a_drained_target_gives_away_what_each_pool_has_there),
        cmocka_unit_test(each_pool_is_balanced_by_itself),
        cmocka_unit_test(a_pool_does_not_wait_for_one_that_is_away),
        cmocka_unit_test(of_two_copies_one_that_is_lost_is_replaced_at_once),
        cmocka_unit_test(an_only_copy_is_waited_for),
        cmocka_unit_test(repair_comes_before_the_moves_of_whole_ones),
        cmocka_unit_test(copies_are_in_different_racks),
        cmocka_unit_test(copies_move_when_racks_are_told),
        cmocka_unit_test(two_racks_are_enough_to_go_on),
        cmocka_unit_test(a_larger_disk_gets_more),
        cmocka_unit_test(every_host_has_all_others_as_partners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
