/* The table of executed operations: what a late or doubled copy meets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "datanode/chain_dedup.h"

static const struct session_id s1 = {1}, s2 = {2};

static void an_operation_is_new_once(void **state)
{
    struct dedup d;

    (void)state;
    dedup_init(&d);
    assert_int_equal(dedup_look(&d, s1, 1, 1), DEDUP_NEW);
    dedup_mark(&d, s1, 1, 1, 0);
    assert_int_equal(dedup_look(&d, s1, 1, 1), DEDUP_SEEN);
    assert_int_equal(dedup_look(&d, s2, 1, 1), DEDUP_NEW);
    assert_int_equal(dedup_look(&d, s1, 2, 1), DEDUP_NEW);
    dedup_done(&d);
}

static void what_is_below_the_floor_is_late_whether_it_ran_or_not(void **state)
{
    struct dedup d;

    (void)state;
    dedup_init(&d);
    dedup_mark(&d, s1, 3, 1, 0);
    dedup_mark(&d, s1, 10, 9, 0);
    assert_int_equal(dedup_look(&d, s1, 3, 1), DEDUP_LATE);
    assert_int_equal(dedup_look(&d, s1, 8, 1), DEDUP_LATE);
    assert_int_equal(dedup_look(&d, s1, 9, 1), DEDUP_NEW);
    assert_int_equal(dedup_look(&d, s1, 10, 9), DEDUP_SEEN);
    dedup_done(&d);
}

static void marks_survive_the_shift_of_the_window(void **state)
{
    struct dedup d;

    (void)state;
    dedup_init(&d);
    for (uint64_t i = 1; i <= 5000; i++) {
        uint64_t floor = i > 700 ? i - 700 : 1;

        assert_int_equal(dedup_look(&d, s1, i, floor), DEDUP_NEW);
        if (i % 3 != 0)
            dedup_mark(&d, s1, i, floor, 0);
    }
    for (uint64_t i = 4301; i <= 5000; i++)
        assert_int_equal(dedup_look(&d, s1, i, 4300), i % 3 != 0 ? DEDUP_SEEN : DEDUP_NEW);
    dedup_done(&d);
}

static void who_runs_too_far_ahead_is_told(void **state)
{
    struct dedup d;

    (void)state;
    dedup_init(&d);
    assert_int_equal(dedup_look(&d, s1, DEDUP_WINDOW, 1), DEDUP_NEW);
    assert_int_equal(dedup_look(&d, s1, DEDUP_WINDOW + 1, 1), DEDUP_BEYOND);
    dedup_mark(&d, s1, 5, 1, 0);
    assert_int_equal(dedup_look(&d, s1, DEDUP_WINDOW + 5, 1), DEDUP_BEYOND);
    assert_int_equal(dedup_look(&d, s1, DEDUP_WINDOW + 5, 6), DEDUP_NEW);
    /* Numbers at their end do not wrap around. */
    assert_int_equal(dedup_look(&d, s2, UINT64_MAX, UINT64_MAX), DEDUP_NEW);
    assert_int_equal(dedup_look(&d, s2, UINT64_MAX, 1), DEDUP_BEYOND);
    dedup_done(&d);
}

static void a_table_put_in_answers_like_the_one_it_came_from(void **state)
{
    struct dedup d, e;

    (void)state;
    dedup_init(&d);
    dedup_init(&e);
    dedup_mark(&d, s1, 7, 5, 0);
    dedup_put(&e, s1, d.sessions->floor, d.sessions->executed, 0);
    for (uint64_t i = 1; i < 20; i++)
        assert_int_equal(dedup_look(&e, s1, i, 5), dedup_look(&d, s1, i, 5));
    dedup_done(&d);
    dedup_done(&e);
}

static void only_the_long_idle_are_forgotten(void **state)
{
    struct dedup d;

    (void)state;
    dedup_init(&d);
    dedup_mark(&d, s1, 1, 1, 1000);
    dedup_mark(&d, s2, 1, 1, 5000);
    dedup_forget_idle(&d, 6000, 3000);
    assert_int_equal(dedup_look(&d, s1, 1, 1), DEDUP_NEW);
    assert_int_equal(dedup_look(&d, s2, 1, 1), DEDUP_SEEN);
    dedup_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_is_new_once),
        cmocka_unit_test(what_is_below_the_floor_is_late_whether_it_ran_or_not),
        cmocka_unit_test(marks_survive_the_shift_of_the_window),
        cmocka_unit_test(who_runs_too_far_ahead_is_told),
        cmocka_unit_test(a_table_put_in_answers_like_the_one_it_came_from),
        cmocka_unit_test(only_the_long_idle_are_forgotten),
    };

    return cmocka_run_group_tests_name("chain_dedup", tests, NULL, NULL);
}
