/* When a read may look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/raft/group.h"

static int set_up(void **state)
{
    *state = group_new(3);
    return 0;
}

static int tear_down(void **state)
{
    group_free(*state);
    return 0;
}

static void a_read_under_the_lease_costs_no_message(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_tick(g, 200);
    assert_int_equal(group_read(g, 1, 7), 0);
    assert_int_equal(group_read_result(g, 1, 7), 0);
    assert_int_equal(g->wire_count, 0);
}

/* The timer has not fired yet; the clock says that the lease is over. */
static void the_lease_ends_by_the_clock_not_by_a_timer(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_tick(g, 200);
    g->now_ns += 450 * 1000000LL;
    assert_int_equal(group_read(g, 1, 7), 0);
    assert_int_equal(group_read_result(g, 1, 7), 1);
    group_deliver(g);
    assert_int_equal(group_read_result(g, 1, 7), 0);
}

static void without_a_lease_one_round_serves_all_reads(void **state)
{
    struct group *g = *state;

    g->config.read_lease = false;
    group_start(g);
    group_elect(g, 1);
    group_tick(g, 200);
    for (uint64_t id = 1; id <= 5; id++)
        assert_int_equal(group_read(g, 1, id), 0);
    assert_int_equal(g->wire_count, 2); /* A heartbeat to each; for the first read. */
    group_deliver(g);
    for (uint64_t id = 1; id <= 5; id++)
        assert_int_equal(group_read_result(g, 1, id), 0);
}

/* The others may have elected a leader and written long since. */
static void a_cut_off_leader_answers_no_read(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_tick(g, 200);
    group_node(g, 1)->cut = true;
    g->now_ns += 500 * 1000000LL;
    assert_int_equal(group_read(g, 1, 1), 0);
    group_tick(g, 100);
    assert_int_equal(group_read_result(g, 1, 1), 1);
    group_tick(g, 1000);
    assert_int_equal(group_read_result(g, 1, 1), RAFT_NOT_LEADER);
}

/* R2: it does not know yet what its predecessor has committed. */
static void a_new_leader_reads_only_after_its_first_commit(void **state)
{
    struct group *g = *state;
    struct raft_msg ack = {.type = RAFT_MSG_APPEND_ACK, .append_ack.match = 1};

    group_start(g);
    group_crown(g, 1, 2);
    assert_int_equal(group_read(g, 1, 1), 0);
    assert_int_equal(group_read_result(g, 1, 1), 1);
    group_deliver(g);
    ack.term = group_status(g, 1).term;
    group_inject(g, 2, 1, &ack);
    group_tick(g, 100);
    assert_int_equal(group_read_result(g, 1, 1), 0);
}

static void a_follower_asks_the_leader(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_tick(g, 200);
    assert_int_equal(group_propose(g, 1, "x"), 0);
    group_deliver(g); /* Node 2 has it, but does not know that it is committed. */
    assert_int_equal(group_read(g, 2, 3), 0);
    group_deliver(g);
    assert_int_equal(group_read_result(g, 2, 3), 1);
    group_tick(g, 100);
    assert_int_equal(group_read_result(g, 2, 3), 0);
    assert_int_equal(group_node(g, 2)->applied.index, 2);
}

static void a_read_without_a_known_leader_is_refused(void **state)
{
    struct group *g = *state;

    group_start(g);
    assert_int_equal(group_read(g, 2, 1), RAFT_NOT_LEADER);
}

/* Found by the simulator: who is no longer told of commits would wait for ever. */
static void a_read_at_a_removed_follower_ends(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_tick(g, 200);
    assert_int_equal(group_propose(g, 1, "x"), 0);
    group_deliver(g);
    assert_int_equal(group_read(g, 3, 1), 0);
    group_deliver(g);
    group_node(g, 3)->cut = true;
    group_tick(g, 1100);
    assert_int_equal(group_read_result(g, 3, 1), RAFT_NOT_LEADER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_read_under_the_lease_costs_no_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_lease_ends_by_the_clock_not_by_a_timer, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_a_lease_one_round_serves_all_reads, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_cut_off_leader_answers_no_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_leader_reads_only_after_its_first_commit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_follower_asks_the_leader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_without_a_known_leader_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_read_at_a_removed_follower_ends, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
