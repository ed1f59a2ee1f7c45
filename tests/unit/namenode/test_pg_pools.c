/* PGs of other numbers of copies than the cluster's: each such pool is made, spread and repaired by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "tests/unit/namenode/pg_fleet.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_are_made_when_they_are_asked_for),
        cmocka_unit_test(of_more_copies_than_the_clusters_two_must_be_there),
        cmocka_unit_test(a_drained_target_gives_away_what_each_pool_has_there),
        cmocka_unit_test(each_pool_is_balanced_by_itself),
        cmocka_unit_test(a_pool_does_not_wait_for_one_that_is_away),
        cmocka_unit_test(of_two_copies_one_that_is_lost_is_replaced_at_once),
        cmocka_unit_test(an_only_copy_is_waited_for),
        cmocka_unit_test(repair_comes_before_the_moves_of_whole_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
