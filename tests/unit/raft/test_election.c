/* Who may lead, and what a vote rests on. */
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

static void three_replicas_elect_a_leader(void **state)
{
    struct group *g = *state;
    unsigned leaders = 0;

    group_start(g);
    group_tick(g, 4000);
    for (unsigned id = 1; id <= 3; id++) {
        leaders += group_node(g, id)->up.role == RAFT_LEADER;
        assert_int_equal(group_node(g, id)->up.leader.v, group_node(g, 1)->up.leader.v);
    }
    assert_int_equal(leaders, 1);
}

static void a_sole_founder_leads_without_waiting(void **state)
{
    struct group *g = group_new(1);

    (void)state;
    group_start(g);
    group_tick(g, 10);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_LEADER);
    assert_true(group_node(g, 1)->up.leader_ready);
    group_free(g);
}

/* R1: the voter may lose power right after sending. */
static void a_vote_leaves_only_when_it_is_durable(void **state)
{
    struct group *g = *state;
    struct raft_msg vote = {.type = RAFT_MSG_VOTE, .term = 5};
    struct raft_msg reply;

    group_start(g);
    group_tick(g, 10);
    g->now_ns += 1100 * 1000000LL; /* Out of quarantine. */
    group_drop(g);
    group_node(g, 2)->disk_stuck = true;
    group_inject(g, 1, 2, &vote);
    assert_false(group_find(g, RAFT_MSG_VOTE_REPLY, 1, &reply));
    group_sync(g, 2);
    assert_true(group_find(g, RAFT_MSG_VOTE_REPLY, 1, &reply));
    assert_true(reply.vote_reply.granted);
    assert_int_equal(group_node(g, 2)->hard_state.vote.v, 1);
}

/* What waits for the disk in an old term must never be said in a new one. */
static void a_vote_that_waits_is_dropped_when_the_term_changes(void **state)
{
    struct group *g = *state;
    struct raft_msg vote = {.type = RAFT_MSG_VOTE, .term = 5};
    struct raft_msg later = {.type = RAFT_MSG_VOTE, .term = 6};
    struct raft_msg reply;

    group_start(g);
    g->now_ns += 1100 * 1000000LL;
    group_node(g, 2)->disk_stuck = true;
    group_inject(g, 1, 2, &vote);
    group_inject(g, 3, 2, &later);
    group_sync(g, 2);
    assert_false(group_find(g, RAFT_MSG_VOTE_REPLY, 1, &reply));
    assert_true(group_find(g, RAFT_MSG_VOTE_REPLY, 3, &reply));
    assert_true(reply.vote_reply.granted);
}

static void one_vote_a_term_survives_a_restart(void **state)
{
    struct group *g = *state;
    struct raft_msg first = {.type = RAFT_MSG_VOTE, .term = 5};
    struct raft_msg second = {.type = RAFT_MSG_VOTE, .term = 5};
    struct raft_msg reply;

    group_start(g);
    g->now_ns += 1100 * 1000000LL;
    group_inject(g, 1, 2, &first);
    group_drop(g);
    group_stop_node(g, 2);
    group_start_node(g, 2);
    g->now_ns += 1100 * 1000000LL;
    group_inject(g, 3, 2, &second);
    assert_true(group_find(g, RAFT_MSG_VOTE_REPLY, 3, &reply));
    assert_false(reply.vote_reply.granted);
}

/*
 * A replica restarts 100 ms after it acknowledged a heartbeat; the other follower times out and
 * asks for its vote. Were it given, there would be two leaders, one of them reading by lease.
 */
static void quarantine_keeps_the_promise_that_a_restart_forgot(void **state)
{
    struct group *g = *state;
    struct raft_msg vote = {.type = RAFT_MSG_VOTE, .vote.last_index = 100, .vote.last_term = 9};
    struct raft_msg reply;

    group_start(g);
    group_elect(g, 1);
    group_stop_node(g, 2);
    g->now_ns += 100 * 1000000LL;
    group_start_node(g, 2);
    vote.term = group_node(g, 1)->up.term + 1;
    group_inject(g, 3, 2, &vote);
    assert_true(group_find(g, RAFT_MSG_VOTE_REPLY, 3, &reply));
    assert_false(reply.vote_reply.granted);
    assert_int_equal(group_status(g, 2).term, group_node(g, 1)->up.term);
    group_deliver(g);
    assert_int_equal(group_read(g, 1, 1), 0);
    assert_int_equal(group_read_result(g, 1, 1), 0);
}

/* Of a whole cluster that starts: the second is all that the quarantine needs, but for votes that
 * are split now and then. */
static void all_that_start_together_elect_when_the_quarantine_ends(void **state)
{
    struct group *g = *state;
    unsigned leaders = 0;

    group_start(g);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned id = 1; id <= 3; id++) {
            group_stop_node(g, id);
            group_tick(g, 30);
            group_start_node(g, id);
        }
        group_tick(g, 1150);
        for (unsigned id = 1; id <= 3; id++)
            leaders += group_node(g, id)->up.leader_ready;
    }
    assert_in_range(leaders, 45, 50);
}

/* What it takes to read the disk is a part of it: nothing was promised meanwhile. */
static void the_quarantine_counts_from_when_the_last_life_ended(void **state)
{
    struct group *g = *state;
    struct raft_msg vote = {.type = RAFT_MSG_VOTE, .term = 50, .vote.last_index = 100};
    struct raft_msg reply;

    g->opening_ns = 700 * 1000000LL;
    group_start(g);
    g->now_ns += 290 * 1000000LL;
    group_inject(g, 3, 2, &vote);
    assert_false(group_find(g, RAFT_MSG_VOTE_REPLY, 3, &reply) && reply.vote_reply.granted);
    g->now_ns += 20 * 1000000LL;
    group_drop(g);
    group_inject(g, 3, 2, &vote);
    assert_true(group_find(g, RAFT_MSG_VOTE_REPLY, 3, &reply));
    assert_true(reply.vote_reply.granted);
}

/* Slow disks: when all has been read, the quarantine is long over, and nobody waits a timeout more. */
static void who_was_slow_to_open_elects_at_once(void **state)
{
    struct group *g = *state;

    g->now_ns = 10000 * 1000000LL;
    g->opening_ns = 5000 * 1000000LL;
    group_start(g);
    group_tick(g, 150);
    assert_true(group_node(g, 1)->up.leader_ready || group_node(g, 2)->up.leader_ready ||
                group_node(g, 3)->up.leader_ready);
}

/* Two of three that were wiped look like a new group to each other; the third has it all. */
static void a_group_is_begun_by_all_of_its_founders(void **state)
{
    struct group *g = *state;
    struct raft_id missing[RAFT_MEMBERS_MAX];

    group_start_node(g, 1);
    group_start_node(g, 2);
    group_tick(g, 5000);
    for (unsigned id = 1; id <= 2; id++) {
        assert_false(group_node(g, id)->up.leader_ready);
        assert_int_equal(group_node(g, id)->hard_state.term, 0);
    }
    assert_true(raft_founders_awaited(group_node(g, 1)->raft, missing) +
                    raft_founders_awaited(group_node(g, 2)->raft, missing) >
                0);
    group_start_node(g, 3);
    group_tick(g, 3000);
    assert_int_equal(group_node(g, 1)->up.leader_ready + group_node(g, 2)->up.leader_ready +
                         group_node(g, 3)->up.leader_ready,
                     1);
    assert_int_equal(raft_founders_awaited(group_node(g, 1)->raft, missing), 0);
}

static void wiped_founders_begin_nothing_beside_one_that_has_all(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_tick(g, 500);
    for (unsigned id = 1; id <= 3; id++)
        group_stop_node(g, id);
    for (unsigned id = 1; id <= 2; id++) {
        group_lose(g, id, 1);
        group_node(g, id)->first = 1;
        group_node(g, id)->hard_state = (struct raft_hard_state){0};
        group_node(g, id)->applied = (struct raft_point){.conf = g->founders};
    }
    group_drop(g);
    group_start_node(g, 1);
    group_start_node(g, 2);
    group_tick(g, 5000);
    assert_false(group_node(g, 1)->up.leader_ready || group_node(g, 2)->up.leader_ready);
    group_start_node(g, 3);
    group_tick(g, 5000);
    assert_false(group_node(g, 1)->up.leader_ready || group_node(g, 2)->up.leader_ready);
}

/* Node 2 alone, which has no answer from anybody, until it asks for votes or the time is over. */
static bool asks_within(struct group *g, int64_t ms)
{
    struct raft_msg msg;

    for (int64_t t = 0; t < ms; t += 10) {
        struct raft_event tick = {.type = RAFT_EV_TICK};

        g->now_ns += 10 * 1000000LL;
        assert_int_equal(group_step(g, 2, &tick), 0);
        if (group_find(g, RAFT_MSG_PREVOTE, 1, &msg))
            return true;
        group_drop(g);
    }
    return false;
}

/* Both would ask for votes while their own are on the way to disk, and neither would get enough. */
static void who_is_asked_first_lets_the_other_try(void **state)
{
    struct group *g = *state;
    struct raft_msg prevote = {.type = RAFT_MSG_PREVOTE, .term = 1}, msg;

    group_start(g);
    assert_false(asks_within(g, 990)); /* The quarantine. */
    g->now_ns += 10 * 1000000LL;
    group_inject(g, 3, 2, &prevote);
    assert_true(group_find(g, RAFT_MSG_PREVOTE_REPLY, 3, &msg));
    assert_true(msg.vote_reply.granted);
    group_drop(g);
    assert_false(asks_within(g, 240));
    assert_true(asks_within(g, 1000)); /* It may not have got through: then it is our turn. */
}

static bool campaigns_when_granted(struct group *g)
{
    struct raft_msg reply = {.type = RAFT_MSG_PREVOTE_REPLY, .term = 1, .vote_reply.granted = true};
    struct raft_msg vote;

    group_drop(g);
    group_inject(g, 1, 2, &reply);
    group_inject(g, 3, 2, &reply);
    return group_find(g, RAFT_MSG_VOTE, 1, &vote);
}

static void of_two_that_ask_each_other_one_goes_on(void **state)
{
    struct group *g = *state;
    struct raft_msg prevote = {.type = RAFT_MSG_PREVOTE, .term = 1};

    group_start(g);
    assert_true(asks_within(g, 3000));
    group_inject(g, 1, 2, &prevote);
    assert_false(campaigns_when_granted(g));
    assert_true(asks_within(g, 3000));
    group_inject(g, 3, 2, &prevote);
    assert_true(campaigns_when_granted(g));
}

static void a_candidate_with_an_older_log_is_refused(void **state)
{
    struct group *g = *state;
    struct raft_msg vote = {.type = RAFT_MSG_VOTE, .term = 50};
    struct raft_msg reply;

    group_start(g);
    group_elect(g, 1);
    group_drop(g);
    g->now_ns += 3000 * 1000000LL;
    group_inject(g, 3, 2, &vote);
    assert_true(group_find(g, RAFT_MSG_VOTE_REPLY, 3, &reply));
    assert_false(reply.vote_reply.granted);
}

/* R4: a replica that comes back with a higher term must not be ignored for ever. */
static void who_asks_in_an_older_term_learns_the_newer_one(void **state)
{
    struct group *g = *state;
    struct raft_msg prevote = {.type = RAFT_MSG_PREVOTE, .term = 1};
    struct raft_msg beat = {.type = RAFT_MSG_HEARTBEAT, .term = 1};
    struct raft_msg reply;

    group_node(g, 2)->hard_state.term = 7;
    group_start(g);
    group_inject(g, 3, 2, &prevote);
    assert_true(group_find(g, RAFT_MSG_PREVOTE_REPLY, 3, &reply));
    assert_false(reply.vote_reply.granted);
    assert_int_equal(reply.term, 7);
    group_inject(g, 1, 2, &beat);
    assert_true(group_find(g, RAFT_MSG_HIGHER_TERM, 1, &reply));
    group_deliver(g);
    assert_int_equal(group_status(g, 1).term, 7);
    assert_int_equal(group_status(g, 3).term, 7);
}

static void a_partitioned_replica_does_not_raise_its_term(void **state)
{
    struct group *g = *state;
    uint64_t term;

    group_start(g);
    group_elect(g, 1);
    term = group_status(g, 1).term;
    group_node(g, 3)->cut = true;
    group_tick(g, 5000);
    assert_int_equal(group_status(g, 3).term, term);
    group_node(g, 3)->cut = false;
    group_tick(g, 1000);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_LEADER);
    assert_int_equal(group_node(g, 3)->up.leader.v, 1);
}

static void a_leader_without_a_quorum_steps_down(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_node(g, 1)->cut = true;
    group_tick(g, 1200);
    assert_int_not_equal(group_node(g, 1)->up.role, RAFT_LEADER);
    assert_int_equal(group_propose(g, 1, "x"), RAFT_NOT_LEADER);
}

/* R9 */
static void strangers_are_refused_and_reported(void **state)
{
    struct group *g = *state;
    struct raft_msg msg = {.type = RAFT_MSG_HEARTBEAT, .term = 3};
    struct raft_event ev = {.type = RAFT_EV_MESSAGE, .msg = &msg};

    group_start(g);
    msg.from.v = 1;
    msg.to.v = 2;
    msg.cluster.b[0] = 66;
    (void)group_step(g, 2, &ev);
    assert_int_equal(group_node(g, 2)->fault, RAFT_FAULT_CLUSTER);
    msg.cluster = g->config.cluster;
    msg.from_uuid.b[0] = 77;
    (void)group_step(g, 2, &ev);
    assert_int_equal(group_node(g, 2)->fault, RAFT_FAULT_UUID);
    msg.from_uuid.b[0] = 1;
    msg.to.v = 3;
    (void)group_step(g, 2, &ev);
    assert_int_equal(group_node(g, 2)->fault, RAFT_FAULT_MISSENT);
    assert_int_equal(group_status(g, 2).term, 0);
}

static void transfer_makes_the_target_leader_at_once(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    assert_int_equal(group_transfer(g, 1, 2), 0);
    assert_int_equal(group_propose(g, 1, "x"), -EAGAIN);
    group_deliver(g);
    assert_int_equal(group_node(g, 2)->up.role, RAFT_LEADER);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_FOLLOWER);
}

/*
 * The leader gave up a transfer and reads by lease again. Now the TIMEOUT_NOW arrives after all:
 * were the campaign granted, the lease would outlive the leadership.
 */
static void a_late_timeout_now_cannot_break_the_lease(void **state)
{
    struct group *g = *state;
    struct raft_msg late;

    group_start(g);
    group_elect(g, 1);
    assert_int_equal(group_transfer(g, 1, 2), 0);
    assert_true(group_find(g, RAFT_MSG_TIMEOUT_NOW, 2, &late));
    group_node(g, 2)->cut = true;
    group_tick(g, 1200);
    group_drop(g);
    group_tick(g, 100);
    assert_true(group_status(g, 1).lease_valid);
    group_node(g, 2)->cut = false;
    group_inject(g, 1, 2, &late); /* Node 2 answered no later round: it campaigns... */
    group_deliver(g);             /* ...but node 3 did, and the leader itself. */
    assert_int_equal(group_node(g, 1)->up.role, RAFT_LEADER);
    assert_true(group_status(g, 1).lease_valid);
    assert_int_not_equal(group_node(g, 2)->up.role, RAFT_LEADER);
}

static void transfer_drops_the_lease_first(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_tick(g, 100);
    assert_true(group_status(g, 1).lease_valid);
    group_node(g, 2)->cut = true;
    assert_int_equal(group_transfer(g, 1, 2), 0);
    assert_false(group_status(g, 1).lease_valid);
    assert_int_equal(group_transfer(g, 1, 3), -EAGAIN);
    assert_int_equal(group_transfer(g, 2, 3), RAFT_NOT_LEADER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(three_replicas_elect_a_leader, set_up, tear_down),
        cmocka_unit_test(a_sole_founder_leads_without_waiting),
        cmocka_unit_test_setup_teardown(a_vote_leaves_only_when_it_is_durable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_vote_that_waits_is_dropped_when_the_term_changes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_vote_a_term_survives_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quarantine_keeps_the_promise_that_a_restart_forgot, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(all_that_start_together_elect_when_the_quarantine_ends,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_quarantine_counts_from_when_the_last_life_ended, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_was_slow_to_open_elects_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_group_is_begun_by_all_of_its_founders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wiped_founders_begin_nothing_beside_one_that_has_all,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_asked_first_lets_the_other_try, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_two_that_ask_each_other_one_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_candidate_with_an_older_log_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_asks_in_an_older_term_learns_the_newer_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_partitioned_replica_does_not_raise_its_term, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_leader_without_a_quorum_steps_down, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strangers_are_refused_and_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transfer_makes_the_target_leader_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_late_timeout_now_cannot_break_the_lease, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(transfer_drops_the_lease_first, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
