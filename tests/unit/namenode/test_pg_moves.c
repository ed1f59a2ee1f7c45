/*
 * Copies that move: targets that are drained, removed, in maintenance, or new. After each step every PG
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
#include "tests/unit/namenode/pg_fleet.h"

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
        cmocka_unit_test(copies_are_in_different_racks),
        cmocka_unit_test(copies_move_when_racks_are_told),
        cmocka_unit_test(two_racks_are_enough_to_go_on),
        cmocka_unit_test(a_larger_disk_gets_more),
        cmocka_unit_test(every_host_has_all_others_as_partners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
