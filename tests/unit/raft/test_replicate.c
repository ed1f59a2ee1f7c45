/* From a proposal to a commit: what counts, what is truncated, what is held back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

static void set_log(struct group_node *n, uint64_t index, uint64_t term)
{
    struct raft_buf *empty = raft_buf_new(0);

    assert_int_equal(index, n->last + 1);
    n->log[index] = malloc(sizeof(struct raft_entry));
    *n->log[index] = (struct raft_entry){index, term, RAFT_ENTRY_NORMAL, empty};
    n->last = index;
    if (n->hard_state.term < term)
        n->hard_state.term = term;
}

static void a_proposal_reaches_all(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    assert_int_equal(group_propose(g, 1, "hello"), 0);
    assert_int_equal(group_node(g, 1)->last, 2);
    group_tick(g, 100);
    for (unsigned id = 1; id <= 3; id++) {
        const struct group_node *n = group_node(g, id);

        assert_int_equal(n->applied.index, 2);
        assert_memory_equal(n->log[2]->buf->data, "hello", 5);
    }
}

/* R1: it may send before, but it must not count itself. */
static void the_leader_counts_itself_only_when_it_is_durable(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_node(g, 2)->cut = true;
    group_node(g, 1)->disk_stuck = true;
    assert_int_equal(group_propose(g, 1, "x"), 0);
    group_tick(g, 100);
    assert_int_equal(group_status(g, 1).commit_index, 1);
    group_sync(g, 1);
    assert_int_equal(group_status(g, 1).commit_index, 2);
}

/* What a majority has is committed; but what our disk may lose is not to be applied here. */
static void a_commit_is_not_shown_before_our_own_disk_has_it(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_node(g, 3)->disk_stuck = true;
    assert_int_equal(group_propose(g, 1, "x"), 0);
    group_deliver(g);
    assert_int_equal(group_propose(g, 1, "y"), 0); /* Says that "x" is committed. */
    group_deliver(g);
    assert_int_equal(group_status(g, 1).commit_index, 3);
    assert_int_equal(group_status(g, 3).last_index, 3);
    assert_int_equal(group_status(g, 3).commit_index, 1);
    group_sync(g, 3);
    assert_int_equal(group_status(g, 3).commit_index, 2);
}

/*
 * The paper's figure 8: node 1 leads again and copies an entry of term 2 to a majority. It must
 * not be committed by that: node 3, with an entry of term 3, could still win and replace it.
 */
static void an_older_entry_is_not_committed_by_counting(void **state)
{
    struct group *g = *state;
    struct raft_msg ack = {.type = RAFT_MSG_APPEND_ACK};

    set_log(group_node(g, 1), 1, 1);
    set_log(group_node(g, 1), 2, 2);
    set_log(group_node(g, 2), 1, 1);
    set_log(group_node(g, 3), 1, 1);
    set_log(group_node(g, 3), 2, 3);
    group_node(g, 1)->hard_state.term = 3;
    group_node(g, 2)->hard_state.term = 3;
    group_start(g);
    group_node(g, 3)->cut = true;
    group_crown(g, 1, 2);
    ack.term = group_status(g, 1).term;
    ack.append_ack.match = 2;
    group_inject(g, 2, 1, &ack);
    assert_int_equal(group_status(g, 1).commit_index, 0);
    ack.append_ack.match = 3;
    group_inject(g, 2, 1, &ack);
    assert_int_equal(group_status(g, 1).commit_index, 3);
}

static void append(struct group *g, unsigned to, uint64_t term, uint64_t prev, uint64_t prev_term,
                   const struct raft_entry *entries, size_t count)
{
    struct raft_msg msg = {.type = RAFT_MSG_APPEND, .term = term};

    msg.append.prev_index = prev;
    msg.append.prev_term = prev_term;
    msg.append.entries = entries;
    msg.append.entry_count = count;
    group_inject(g, 1, to, &msg);
}

/* R7: a message that was delayed says less than we have learned since. */
static void a_shorter_message_does_not_truncate(void **state)
{
    struct group *g = *state;
    struct raft_msg reply;

    for (uint64_t i = 1; i <= 4; i++)
        set_log(group_node(g, 2), i, 1);
    group_start(g);
    append(g, 2, 1, 1, 1, NULL, 0);
    assert_int_equal(group_status(g, 2).last_index, 4);
    assert_true(group_find(g, RAFT_MSG_APPEND_ACK, 1, &reply));
    assert_int_equal(reply.append_ack.match, 1);
}

static void a_contradicting_entry_replaces_the_tail(void **state)
{
    struct group *g = *state;
    struct raft_buf *buf = raft_buf_copy("new", 3);
    struct raft_entry entry = {3, 2, RAFT_ENTRY_NORMAL, buf};

    for (uint64_t i = 1; i <= 4; i++)
        set_log(group_node(g, 2), i, 1);
    group_start(g);
    append(g, 2, 2, 2, 1, &entry, 1);
    assert_int_equal(group_status(g, 2).last_index, 3);
    assert_int_equal(group_node(g, 2)->log[3]->term, 2);
    raft_buf_unref(buf);
}

/* A write that was overtaken by a truncation proves nothing of what stands there now. */
static void a_sync_of_truncated_entries_does_not_count(void **state)
{
    struct group *g = *state;
    struct group_node *n = group_node(g, 2);
    struct raft_buf *buf = raft_buf_copy("x", 1);
    struct raft_entry old[2] = {{1, 1, RAFT_ENTRY_NORMAL, buf}, {2, 1, RAFT_ENTRY_NORMAL, buf}};
    struct raft_entry new = {2, 2, RAFT_ENTRY_NORMAL, buf};
    struct raft_event ev = {.type = RAFT_EV_DURABLE};
    uint64_t first_write;

    group_start(g);
    n->disk_stuck = true;
    append(g, 2, 1, 0, 0, old, 2);
    first_write = n->unsynced;
    append(g, 2, 2, 1, 1, &new, 1);
    ev.write_id = first_write;
    (void)group_step(g, 2, &ev);
    assert_int_equal(group_status(g, 2).durable_index, 1);
    ev.write_id = first_write + 1;
    (void)group_step(g, 2, &ev);
    assert_int_equal(group_status(g, 2).durable_index, 2);
    n->unsynced = 0;
    raft_buf_unref(buf);
}

static void a_diverged_follower_is_brought_back(void **state)
{
    struct group *g = *state;

    for (uint64_t i = 1; i <= 3; i++) {
        set_log(group_node(g, 1), i, i);
        set_log(group_node(g, 2), i, i);
        set_log(group_node(g, 3), i, 1);
    }
    for (uint64_t i = 4; i <= 9; i++)
        set_log(group_node(g, 3), i, 1);
    group_start(g);
    group_elect(g, 1);
    group_tick(g, 500);
    assert_int_equal(group_status(g, 3).last_index, 4);
    for (uint64_t i = 1; i <= 4; i++)
        assert_int_equal(group_node(g, 3)->log[i]->term, group_node(g, 1)->log[i]->term);
}

/* R11 */
static void too_much_uncommitted_makes_proposals_wait(void **state)
{
    struct group *g = *state;

    g->config.uncommitted_bytes_max = 10;
    group_start(g);
    group_elect(g, 1);
    group_node(g, 2)->cut = group_node(g, 3)->cut = true;
    assert_int_equal(group_propose(g, 1, "12345678"), 0);
    assert_int_equal(group_propose(g, 1, "12345678"), -EAGAIN);
    group_node(g, 2)->cut = false;
    group_tick(g, 700);
    assert_int_equal(group_propose(g, 1, "12345678"), 0);
}

static void the_window_bounds_what_is_under_way(void **state)
{
    struct group *g = *state;
    struct raft_msg msg;
    unsigned sent = 0;

    g->config.inflight_messages_max = 3;
    group_start(g);
    group_elect(g, 1);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(group_propose(g, 1, "x"), 0);
    for (size_t i = 0; i < g->wire_count; i++) {
        assert_int_equal(raft_msg_decode(g->wire[i], g->wire_len[i], &msg), 0);
        sent += msg.type == RAFT_MSG_APPEND && msg.to.v == 2;
        raft_msg_done(&msg);
    }
    assert_int_equal(sent, 3);
    group_tick(g, 100);
    assert_int_equal(group_node(g, 2)->applied.index, 11);
}

static void lost_entries_are_sent_again(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(group_propose(g, 1, "x"), 0);
        group_drop(g);
    }
    group_tick(g, 800);
    assert_int_equal(group_node(g, 2)->applied.index, 6);
    assert_int_equal(group_node(g, 3)->applied.index, 6);
}

static void entries_that_left_the_cache_are_read_from_the_log(void **state)
{
    struct group *g = *state;

    g->config.cache_bytes = 0;
    group_start(g);
    group_elect(g, 1);
    group_node(g, 3)->cut = true;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(group_propose(g, 1, "some bytes"), 0);
        group_deliver(g);
    }
    group_node(g, 3)->cut = false;
    group_tick(g, 800);
    assert_int_equal(group_node(g, 3)->applied.index, 21);
}

/* Found by the simulator: waiting for the next heartbeat made a slow start of each of them. */
static void entries_not_at_hand_are_asked_for_again_soon(void **state)
{
    struct group *g = *state;

    g->config.cache_bytes = 0;
    group_start(g);
    group_elect(g, 1);
    group_node(g, 3)->cut = true;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(group_propose(g, 1, "some bytes"), 0);
        group_deliver(g);
    }
    group_node(g, 3)->cut = false;
    group_node(g, 1)->fetching = 1;
    for (unsigned i = 0; i < 100 && group_node(g, 1)->fetching > 0; i++)
        group_tick(g, 10);
    group_tick(g, 20);
    assert_int_equal(group_status(g, 3).last_index, 6);
}

/* The first append that a stopped follower misses must not be taken for an answer later. */
static void a_restarted_replica_goes_on_where_its_disk_is(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(group_propose(g, 1, "x"), 0);
    group_deliver(g);
    group_stop_node(g, 2);
    group_node(g, 2)->applied = (struct raft_point){.conf = g->founders};
    assert_int_equal(group_propose(g, 1, "y"), 0);
    group_tick(g, 100);
    group_start_node(g, 2);
    group_tick(g, 800);
    assert_int_equal(group_node(g, 2)->applied.index, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_proposal_reaches_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_leader_counts_itself_only_when_it_is_durable, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_commit_is_not_shown_before_our_own_disk_has_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_older_entry_is_not_committed_by_counting, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_shorter_message_does_not_truncate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_contradicting_entry_replaces_the_tail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sync_of_truncated_entries_does_not_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_diverged_follower_is_brought_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_much_uncommitted_makes_proposals_wait, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_window_bounds_what_is_under_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lost_entries_are_sent_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(entries_that_left_the_cache_are_read_from_the_log, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(entries_not_at_hand_are_asked_for_again_soon, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_restarted_replica_goes_on_where_its_disk_is, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
