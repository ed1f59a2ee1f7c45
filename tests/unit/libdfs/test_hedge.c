/* When a second member is asked, and how often at most. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libdfs/hedge.h"

static const uint64_t ms = 1000000;

static void of_an_unknown_member_the_first_reads_wait_a_while(void **state)
{
    struct hedge_member m = {0};

    (void)state;
    assert_int_equal(hedge_after_ns(&m), 50 * ms);
    for (unsigned i = 1; i < HEDGE_KNOWN_MIN; i++)
        hedge_took(&m, 7 * ms);
    assert_int_equal(hedge_after_ns(&m), 50 * ms);
    hedge_took(&m, 7 * ms);
    assert_in_range(hedge_after_ns(&m), 7 * ms, 8 * ms);
}

/* Nineteen of twenty are not hedged, however they are spread. */
static void it_is_the_95th_percentile(void **state)
{
    struct hedge_member m = {0};

    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        hedge_took(&m, (10 + i % 100) * ms);
    assert_in_range(hedge_after_ns(&m), 104 * ms, 118 * ms);
}

static void neither_too_early_nor_too_late(void **state)
{
    struct hedge_member fast = {0}, slow = {0};

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        hedge_took(&fast, ms / 10);
        hedge_took(&slow, 4000 * ms);
    }
    assert_int_equal(hedge_after_ns(&fast), 5 * ms);
    assert_int_equal(hedge_after_ns(&slow), 500 * ms);
}

static void it_follows_a_member_that_changes(void **state)
{
    struct hedge_member m = {0};

    (void)state;
    for (unsigned i = 0; i < 100000; i++)
        hedge_took(&m, 10 * ms);
    for (unsigned i = 0; i < 2 * HEDGE_REMEMBERED; i++)
        hedge_took(&m, 100 * ms);
    assert_in_range(hedge_after_ns(&m), 100 * ms, 113 * ms);
    for (unsigned i = 0; i < 4 * HEDGE_REMEMBERED; i++)
        hedge_took(&m, 10 * ms);
    assert_in_range(hedge_after_ns(&m), 10 * ms, 12 * ms);
}

/* All members stand still: each read would want company. */
static void an_overloaded_cluster_gets_a_twentieth_more(void **state)
{
    struct hedge_budget b;
    unsigned reads = 10000, hedges = 0;

    (void)state;
    hedge_budget_init(&b);
    for (unsigned i = 0; i < reads; i++) {
        hedge_budget_earn(&b);
        hedges += hedge_budget_spend(&b);
    }
    assert_in_range(hedges, reads / HEDGE_SHARE, reads / HEDGE_SHARE + HEDGE_SAVED);
}

static void a_quiet_time_saves_up_a_few_and_no_more(void **state)
{
    struct hedge_budget b;
    unsigned hedges = 0;

    (void)state;
    hedge_budget_init(&b);
    for (unsigned i = 0; i < 100000; i++)
        hedge_budget_earn(&b);
    while (hedge_budget_spend(&b))
        hedges++;
    assert_int_equal(hedges, HEDGE_SAVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_an_unknown_member_the_first_reads_wait_a_while),
        cmocka_unit_test(it_is_the_95th_percentile),
        cmocka_unit_test(neither_too_early_nor_too_late),
        cmocka_unit_test(it_follows_a_member_that_changes),
        cmocka_unit_test(an_overloaded_cluster_gets_a_twentieth_more),
        cmocka_unit_test(a_quiet_time_saves_up_a_few_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
