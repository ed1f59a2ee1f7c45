/* The scrub of a namenode's own store, on a group of one: what would end another one is told by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/vfs.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "tests/unit/namenode/node_group.h"

static int setup(void **state)
{
    last_format = FSM_FORMAT;
    return group_make(state, 1, 3 * HEARTBEAT_MS);
}

/* With something in its tables, and started again with this configuration. */
static void scrub_every(struct group *g, uint64_t ms, uint64_t rate)
{
    WAIT_FOR(g, cluster_is_made);
    for (unsigned round = 0; round < 20; round++)
        propose_many(g, 256);
    assert_int_equal(fsm_flush(node_fsm(g->r[0].node), true), 0);
    replica_down(g, 0);
    g->r[0].conf.scrub_ms = ms;
    if (rate > 0)
        g->r[0].conf.scrub_rate = rate;
    replica_up(g, 0);
    WAIT_FOR(g, has_leader);
}

static bool has_scrubbed(struct group *g)
{
    return node_stats(g->r[0].node)->scrubs > 0;
}

static bool has_found_damage(struct group *g)
{
    return node_stats(g->r[0].node)->store_damages > 0;
}

static bool metrics_say_it(struct group *g)
{
    return metrics_read(g->r[0].metrics, "dfs_store_damages_total") > 0;
}

static bool is_reading(struct group *g)
{
    struct vfs_stat st;
    char path[200];

    (void)snprintf(path, sizeof(path), "%s/scrub/CURRENT", g->r[0].conf.data_dir);
    return vfs_stat(vfs_posix(), path, &st) == 0;
}

/* Nobody asks for what is in the table: all is in the caches, or of no interest to anybody. */
static void a_flipped_bit_that_nobody_reads_is_found(void **state)
{
    struct group *g = *state;
    const struct node_stats *st;

    scrub_every(g, 1000, 0);
    WAIT_FOR(g, has_scrubbed);
    st = node_stats(g->r[0].node);
    assert_int_equal(st->store_damages, 0);
    assert_true(st->scrub_bytes > 100000);
    assert_true(st->scrub_ended_s + 60 > (uint64_t)clock_wall_ns(clock_system()) / CLOCK_NS_PER_S);
    flip_bit_of_a_table(g, 0);
    WAIT_FOR(g, has_found_damage);
    WAIT_FOR(g, metrics_say_it);
    assert_true(metrics_read(g->r[0].metrics, "dfs_store_scrubs_total") >= 2);
    assert_false(is_reading(g));
    propose_many(g, 10); /* There is nobody else to serve. */
    assert_int_equal(g->answers, 10);
}

/* It takes hours, and neither those who ask nor an end wait for it. */
static void one_under_way_is_in_nobodys_way(void **state)
{
    struct group *g = *state;
    uint64_t begun_ns;

    scrub_every(g, 4000, 1000); /* A megabyte and more: a quarter of an hour. */
    g->r[0].conf.scrub_ms = 1000000000;
    WAIT_FOR(g, is_reading);
    begun_ns = clock_monotonic_ns(clock_system());
    propose_many(g, 256);
    assert_int_equal(g->answers, 256);
    assert_true(is_reading(g));
    assert_false(has_scrubbed(g));
    replica_down(g, 0);
    assert_true(clock_monotonic_ns(clock_system()) - begun_ns < 20 * CLOCK_NS_PER_S);
    assert_false(is_reading(g));
}

static void it_can_be_switched_off(void **state)
{
    struct group *g = *state;
    uint64_t end;

    scrub_every(g, 0, 0);
    end = clock_monotonic_ns(clock_system()) + 3 * CLOCK_NS_PER_S;
    while (clock_monotonic_ns(clock_system()) < end) {
        propose_many(g, 1);
        assert_false(is_reading(g));
    }
    assert_false(has_scrubbed(g));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, group_teardown)
        T(a_flipped_bit_that_nobody_reads_is_found),
        T(one_under_way_is_in_nobodys_way),
        T(it_can_be_switched_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
