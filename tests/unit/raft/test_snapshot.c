/* Logs that are cut, snapshots that replace them, entries that the disk has lost. */
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

static void cut_log(struct group *g, unsigned id)
{
    struct group_node *n = group_node(g, id);
    struct raft_event ev = {.type = RAFT_EV_COMPACTED, .index = n->applied.index + 1};

    assert_int_equal(group_step(g, id, &ev), 0);
    for (; n->first <= n->applied.index; n->first++) {
        raft_buf_unref(n->log[n->first]->buf);
        free(n->log[n->first]);
        n->log[n->first] = NULL;
    }
}

static void offer(struct group *g, unsigned id, unsigned peer)
{
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_READY};

    ev.snapshot.peer.v = peer;
    ev.snapshot.point = group_node(g, id)->applied;
    assert_int_equal(group_step(g, id, &ev), 0);
    group_deliver(g);
}

static int install(struct group *g, unsigned id)
{
    struct group_node *n = group_node(g, id);
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_INSTALLED};

    ev.installed = n->snapshot_offered;
    n->applied = n->snapshot_offered;
    return group_step(g, id, &ev);
}

static void grow(struct group *g, unsigned id, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(group_propose(g, id, "x"), 0);
        group_deliver(g);
    }
}

static void a_follower_too_far_behind_gets_a_snapshot(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_node(g, 3)->cut = true;
    grow(g, 1, 10);
    cut_log(g, 1);
    group_node(g, 3)->cut = false;
    group_tick(g, 600);
    assert_int_equal(group_node(g, 1)->snapshot_wanted.v, 3);
    offer(g, 1, 3);
    assert_int_equal(group_node(g, 3)->snapshot_offered.index, 11);
    assert_int_equal(install(g, 3), 0);
    group_deliver(g);
    grow(g, 1, 2);
    group_tick(g, 100);
    assert_int_equal(group_node(g, 3)->applied.index, 13);
}

/* The offer, or the answer to it, may be lost. */
static void a_lost_offer_is_repeated(void **state)
{
    struct group *g = *state;
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_READY};

    group_start(g);
    group_elect(g, 1);
    group_node(g, 3)->cut = true;
    grow(g, 1, 10);
    cut_log(g, 1);
    group_node(g, 3)->cut = false;
    group_tick(g, 600);
    ev.snapshot.peer.v = 3;
    ev.snapshot.point = group_node(g, 1)->applied;
    assert_int_equal(group_step(g, 1, &ev), 0);
    group_drop(g);
    assert_int_equal(group_node(g, 3)->snapshot_offered.index, 0);
    group_tick(g, 1500);
    assert_int_equal(group_node(g, 3)->snapshot_offered.index, 11);
}

static void a_snapshot_that_failed_is_wanted_again(void **state)
{
    struct group *g = *state;
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_FAILED, .peer = {3}};

    group_start(g);
    group_elect(g, 1);
    group_node(g, 3)->cut = true;
    grow(g, 1, 10);
    cut_log(g, 1);
    group_node(g, 3)->cut = false;
    group_tick(g, 600);
    group_node(g, 1)->snapshot_wanted = RAFT_NOBODY;
    assert_int_equal(group_step(g, 1, &ev), 0);
    assert_int_equal(group_node(g, 1)->snapshot_wanted.v, 0); /* Not at once. */
    group_tick(g, 600);
    assert_int_equal(group_node(g, 1)->snapshot_wanted.v, 3);
}

static void put(struct group_node *n, uint64_t index, uint64_t term)
{
    n->log[index] = malloc(sizeof(struct raft_entry));
    *n->log[index] = (struct raft_entry){index, term, RAFT_ENTRY_NORMAL, raft_buf_new(0)};
    n->last = index;
    n->hard_state.term = term;
}

/* R8: its later entries follow on one that was never committed. */
static void a_log_without_the_snapshots_last_entry_is_dropped_whole(void **state)
{
    struct group *g = *state;
    struct group_node *n = group_node(g, 2);

    for (uint64_t i = 1; i <= 9; i++)
        put(n, i, 1);
    group_start(g);
    n->snapshot_offered = (struct raft_point){5, 2, g->founders};
    assert_int_equal(install(g, 2), 0);
    assert_int_equal(group_status(g, 2).last_index, 5);
    assert_int_equal(group_status(g, 2).base_index, 5);
    assert_int_equal(group_status(g, 2).last_term, 2);
    assert_int_equal(n->last, 5);
}

/* R8, the opposite mistake: newer entries that do follow on it stay. */
static void a_log_with_the_snapshots_last_entry_keeps_what_follows(void **state)
{
    struct group *g = *state;
    struct group_node *n = group_node(g, 2);

    for (uint64_t i = 1; i <= 9; i++)
        put(n, i, 1);
    group_start(g);
    n->snapshot_offered = (struct raft_point){5, 1, g->founders};
    assert_int_equal(install(g, 2), 0);
    assert_int_equal(group_status(g, 2).last_index, 9);
    assert_int_equal(group_status(g, 2).base_index, 5);
}

/* I10: the state was swapped, then the power went before the log was reset. */
static void a_crash_between_swap_and_reset_is_finished_at_start(void **state)
{
    struct group *g = *state;
    struct group_node *n = group_node(g, 2);

    for (uint64_t i = 1; i <= 9; i++)
        put(n, i, 1);
    n->applied = (struct raft_point){5, 2, g->founders};
    group_start(g);
    assert_int_equal(group_status(g, 2).last_index, 5);
    assert_int_equal(n->first, 6);
    assert_int_equal(n->last, 5);
}

/* Found by the simulator: the rim would append at 1. */
static void an_empty_log_is_told_where_it_goes_on(void **state)
{
    struct group *g = *state;
    struct group_node *n = group_node(g, 2);

    n->applied = (struct raft_point){40, 2, g->founders};
    n->hard_state.term = 2;
    group_start(g);
    assert_int_equal(n->first, 41);
}

static void an_older_snapshot_than_what_is_applied_is_refused(void **state)
{
    struct group *g = *state;
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_INSTALLED};

    group_start(g);
    group_elect(g, 1);
    grow(g, 1, 5);
    group_tick(g, 100);
    ev.installed = (struct raft_point){2, 1, g->founders};
    assert_int_equal(group_step(g, 2, &ev), -EINVAL);
}

/* term: of entry `to`. */
static void start_damaged(struct group *g, unsigned id, uint64_t from, uint64_t to, uint64_t term)
{
    struct group_node *n = group_node(g, id);
    struct raft_config config = g->config;
    struct raft_boot boot = {.hard_state = n->hard_state,
                             .log_first = n->first,
                             .faulty_from = from,
                             .faulty_to = to,
                             .faulty_term = term};
    struct raft_update up;

    group_lose(g, id, from);
    n->applied = (struct raft_point){.conf = g->founders};
    boot.applied = n->applied;
    config.id = n->id;
    config.uuid.b[0] = (uint8_t)id;
    config.seed = id;
    config.entries_ctx = n;
    assert_int_equal(raft_new(&config, &boot, &n->raft), 0);
    for (uint64_t i = n->first; i <= n->last; i++)
        assert_int_equal(raft_restore(n->raft, n->log[i]), 0);
    raft_start(n->raft, g->now_ns, &up);
    n->up = up;
}

/* I11: it helped to commit them; its vote could elect somebody who never had them. */
static void a_damaged_replica_has_no_vote_until_it_is_repaired(void **state)
{
    struct group *g = *state;
    struct raft_msg vote = {.type = RAFT_MSG_VOTE, .vote.last_index = 3, .vote.last_term = 1};
    struct raft_msg reply;

    group_start(g);
    group_elect(g, 1);
    grow(g, 1, 9);
    group_stop_node(g, 2);
    start_damaged(g, 2, 4, 10, 1);
    assert_int_equal(group_node(g, 2)->up.role, RAFT_RECOVERING);
    g->now_ns += 1100 * 1000000LL; /* Quarantine is over. */
    vote.term = group_status(g, 1).term + 1;
    group_inject(g, 3, 2, &vote);
    assert_true(group_find(g, RAFT_MSG_VOTE_REPLY, 3, &reply));
    assert_false(reply.vote_reply.granted);
    group_drop(g);
    group_tick(g, 6000);
    assert_int_equal(group_node(g, 2)->up.role, RAFT_FOLLOWER);
    assert_true(group_node(g, 2)->last >= 10);
}

/* It led alone, and its first entries rotted before they were anywhere else: what was committed a
 * majority would have. Its word is needed to begin (all founders), though it has none in elections. */
static void a_group_begins_without_a_founder_that_is_damaged(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_drop(g);
    for (unsigned id = 1; id <= 3; id++)
        group_stop_node(g, id);
    for (unsigned id = 2; id <= 3; id++) {
        group_lose(g, id, 1);
        group_node(g, id)->applied = (struct raft_point){.conf = g->founders};
        group_start_node(g, id);
    }
    start_damaged(g, 1, 1, 1, 1);
    group_tick(g, 6000);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_FOLLOWER);
    assert_true(group_node(g, 2)->up.leader_ready || group_node(g, 3)->up.leader_ready);
}

/* The leader knows that node 2 had all; it must believe that it has them no more. */
static void a_leader_sends_again_what_a_replica_has_lost(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    grow(g, 1, 9);
    group_stop_node(g, 2);
    start_damaged(g, 2, 4, 10, 1);
    group_tick(g, 1500);
    grow(g, 1, 1);
    group_tick(g, 1000);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_LEADER);
    assert_int_equal(group_node(g, 2)->up.role, RAFT_FOLLOWER);
    assert_int_equal(group_node(g, 2)->applied.index, 11);
}

/* Entries 5..10 of term 1 are node 1's alone; nodes 2 and 3 have put another, of term 2, in their place.
 * Node 1 knows of that term, but not more. */
static void overrule_node_1(struct group *g)
{
    group_start(g);
    group_elect(g, 1);
    grow(g, 1, 3);
    group_node(g, 1)->cut = true;
    grow(g, 1, 6);
    assert_int_equal(group_node(g, 1)->last, 10);
    group_elect(g, 2);
    assert_int_equal(group_node(g, 2)->last, 5);
    group_stop_node(g, 1);
    group_node(g, 1)->cut = false;
    group_node(g, 1)->hard_state =
        (struct raft_hard_state){group_node(g, 2)->hard_state.term, RAFT_NOBODY};
}

/* Its log may not grow to where it was for long: with another one down nobody could be elected. */
static void what_a_later_leader_cut_needs_no_repair(void **state)
{
    struct group *g = *state;

    overrule_node_1(g);
    start_damaged(g, 1, 7, 10, 1);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_RECOVERING);
    group_tick(g, 1500);
    assert_int_equal(group_node(g, 1)->last, 5);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_FOLLOWER);
    group_stop_node(g, 2);
    group_tick(g, 6000);
    assert_true(group_node(g, 1)->up.leader_ready || group_node(g, 3)->up.leader_ready);
}

/* The leader that repaired it may be gone when it is started again. */
static void a_replica_that_was_repaired_knows_it_at_its_next_start(void **state)
{
    struct group *g = *state;

    overrule_node_1(g);
    start_damaged(g, 1, 7, 10, 1);
    group_tick(g, 1500);
    group_stop_node(g, 1);
    group_stop_node(g, 2);
    start_damaged(g, 1, 6, 10, 1);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_FOLLOWER);
}

/* What it acknowledged may be committed, and further on in the log than what it has by now. */
static void an_entry_of_the_lost_ones_term_repairs_nothing(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    grow(g, 1, 9);
    group_stop_node(g, 2);
    start_damaged(g, 2, 4, 12, 1);
    grow(g, 1, 1);
    group_tick(g, 1500);
    assert_int_equal(group_node(g, 2)->last, 11);
    assert_int_equal(group_node(g, 2)->up.role, RAFT_RECOVERING);
    grow(g, 1, 1);
    assert_int_equal(group_node(g, 2)->up.role, RAFT_FOLLOWER);
}

/* Nothing would be later than that. */
static void damage_without_a_term_is_refused(void **state)
{
    struct group *g = *state;
    struct raft_config config = g->config;
    struct raft_boot boot = {.faulty_from = 1, .faulty_to = 1, .applied.conf = g->founders};
    struct raft *r;

    config.id.v = 1;
    config.entries_ctx = group_node(g, 1);
    assert_int_equal(raft_new(&config, &boot, &r), -EINVAL);
}

/* Out of a backup: a state of a late term, and no log nor vote. What is appended must not look older
 * than the state it stands on, nor be refused at the next start. */
static void a_state_without_its_log_goes_on_in_a_later_term(void **state)
{
    struct group *g = group_new(1);
    struct group_node *n = group_node(g, 1);

    (void)state;
    n->applied = (struct raft_point){.index = 8, .term = 500, .conf = g->founders};
    n->first = 9;
    n->last = 8;
    group_start(g);
    group_elect(g, 1);
    grow(g, 1, 3);
    assert_true(n->hard_state.term > 500);
    assert_true(n->log[9]->term > 500);
    group_stop_node(g, 1);
    group_start_node(g, 1);
    group_elect(g, 1);
    grow(g, 1, 1);
    group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_follower_too_far_behind_gets_a_snapshot, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lost_offer_is_repeated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_snapshot_that_failed_is_wanted_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_log_without_the_snapshots_last_entry_is_dropped_whole,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_log_with_the_snapshots_last_entry_keeps_what_follows,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_crash_between_swap_and_reset_is_finished_at_start, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_empty_log_is_told_where_it_goes_on, set_up, tear_down),
        cmocka_unit_test(a_state_without_its_log_goes_on_in_a_later_term),
        cmocka_unit_test_setup_teardown(an_older_snapshot_than_what_is_applied_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_replica_has_no_vote_until_it_is_repaired, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_group_begins_without_a_founder_that_is_damaged, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_leader_sends_again_what_a_replica_has_lost, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_a_later_leader_cut_needs_no_repair, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_replica_that_was_repaired_knows_it_at_its_next_start,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_of_the_lost_ones_term_repairs_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(damage_without_a_term_is_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
