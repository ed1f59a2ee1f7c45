/* A histogram that tells quantiles an eighth too high at most, and forgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/latency.h"

static const uint64_t us = 1000, ms = 1000000, s = 1000000000;

static void nothing_noted_is_zero(void **state)
{
    struct latency l = {0};

    (void)state;
    assert_int_equal(latency_quantile_ns(&l, 990), 0);
}

static void one_value_is_every_quantile(void **state)
{
    (void)state;
    for (uint64_t ns = 1; ns < 60 * s; ns = ns * 5 / 4 + 1) {
        struct latency l = {0};

        latency_note(&l, ns);
        assert_in_range(latency_quantile_ns(&l, 1), ns, ns + ns / 8 + 128);
        assert_in_range(latency_quantile_ns(&l, 1000), ns, ns + ns / 8 + 128);
    }
}

static void quantiles_count(void **state)
{
    struct latency l = {0};

    (void)state;
    for (unsigned i = 1; i <= 1000; i++)
        latency_note(&l, i * ms);
    assert_in_range(latency_quantile_ns(&l, 500), 500 * ms, 563 * ms);
    assert_in_range(latency_quantile_ns(&l, 950), 950 * ms, 1069 * ms);
    assert_in_range(latency_quantile_ns(&l, 990), 990 * ms, 1114 * ms);
    assert_int_equal(l.count, 1000);
}

static void what_is_longer_than_all_is_kept_as_the_longest(void **state)
{
    struct latency l = {0};

    (void)state;
    latency_note(&l, UINT64_MAX);
    assert_true(latency_quantile_ns(&l, 990) >= 60 * s / 8);
}

/* Otherwise an hour that was good hides a minute that is bad. */
static void old_values_fade(void **state)
{
    struct latency l = {0};

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        latency_note(&l, 100 * us);
    for (unsigned k = 0; k < 12; k++) {
        latency_fade(&l);
        latency_note(&l, 50 * ms);
    }
    assert_true(latency_quantile_ns(&l, 500) >= 50 * ms);
    for (unsigned k = 0; k < 40; k++)
        latency_fade(&l);
    assert_int_equal(l.count, 0);
    assert_int_equal(latency_quantile_ns(&l, 500), 0);
}

static void a_window_forgets_what_is_long_ago(void **state)
{
    struct latency_window w = {0};
    uint64_t now = 1000 * s;

    (void)state;
    assert_int_equal(latency_window_quantile_ns(&w, 990, now), 0);
    latency_window_note(&w, 2 * s, now);
    assert_in_range(latency_window_quantile_ns(&w, 990, now + 4 * s), 2 * s, 3 * s);
    latency_window_note(&w, 1 * ms, now + 6 * s);
    assert_in_range(latency_window_quantile_ns(&w, 990, now + 6 * s), 2 * s, 3 * s);
    assert_in_range(latency_window_quantile_ns(&w, 500, now + 6 * s), 1 * ms, 2 * ms);
    assert_in_range(latency_window_quantile_ns(&w, 990, now + 12 * s), 1 * ms, 2 * ms);
    assert_int_equal(latency_window_quantile_ns(&w, 990, now + 30 * s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_noted_is_zero),
        cmocka_unit_test(one_value_is_every_quantile),
        cmocka_unit_test(quantiles_count),
        cmocka_unit_test(what_is_longer_than_all_is_kept_as_the_longest),
        cmocka_unit_test(old_values_fade),
        cmocka_unit_test(a_window_forgets_what_is_long_ago),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
