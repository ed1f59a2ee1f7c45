/* Who is in the group, and how that changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raft/members.h"
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

static void the_quorum_value_is_what_a_majority_has_reached(void **state)
{
    uint64_t one[] = {7}, two[] = {3, 9}, three[] = {1, 9, 5}, four[] = {1, 2, 3, 4};
    uint64_t five[] = {10, 50, 20, 40, 30};

    (void)state;
    assert_int_equal(quorum_value(one, 1), 7);
    assert_int_equal(quorum_value(two, 2), 3);
    assert_int_equal(quorum_value(three, 3), 5);
    assert_int_equal(quorum_value(four, 4), 2);
    assert_int_equal(quorum_value(five, 5), 30);
}

static void a_membership_survives_its_bytes(void **state)
{
    struct raft_conf conf = {.count = 2}, back;
    uint8_t bytes[RAFT_CONF_BYTES_MAX];
    size_t len;

    (void)state;
    conf.members[0] = (struct raft_member){.id = {3}, .voter = true, .addr = "host:8670"};
    conf.members[1] = (struct raft_member){.id = {8}, .uuid.b = {1, 2, 3}};
    len = raft_conf_encode(&conf, bytes);
    assert_int_equal(raft_conf_decode(bytes, len, &back), 0);
    assert_memory_equal(&conf, &back, sizeof(conf));
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(raft_conf_decode(bytes, cut, &back), -EBADMSG);
    bytes[2] = 9; /* Now the ids are out of order. */
    assert_int_equal(raft_conf_decode(bytes, len, &back), -EBADMSG);
}

static void impossible_changes_are_refused(void **state)
{
    struct raft_conf conf = {.count = 1}, out = {0};
    struct raft_member m = {.id = {1}};

    (void)state;
    conf.members[0] = (struct raft_member){.id = {1}, .voter = true};
    assert_int_equal(members_change(&conf, RAFT_CONF_ADD_LEARNER, &m, &out), -EEXIST);
    assert_int_equal(members_change(&conf, RAFT_CONF_PROMOTE, &m, &out), -EEXIST);
    assert_int_equal(members_change(&conf, RAFT_CONF_REMOVE, &m, &out), -EINVAL);
    m.id.v = 5;
    assert_int_equal(members_change(&conf, RAFT_CONF_PROMOTE, &m, &out), -ENOENT);
    assert_int_equal(members_change(&conf, RAFT_CONF_REMOVE, &m, &out), -ENOENT);
    m.id.v = 0;
    assert_int_equal(members_change(&conf, RAFT_CONF_ADD_LEARNER, &m, &out), -EINVAL);
    assert_int_equal(out.count, 0);
}

static void a_learner_catches_up_and_is_promoted(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_start_node(g, 4);
    group_elect(g, 1);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(group_propose(g, 1, "x"), 0);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_ADD_LEARNER, 4), 0);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_REMOVE, 3), -EAGAIN); /* One at a time. */
    group_deliver(g);
    group_tick(g, 300);
    assert_int_equal(group_node(g, 4)->applied.index, group_status(g, 1).last_index);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_PROMOTE, 4), 0);
    group_tick(g, 100);
    assert_int_equal(members_voter_count(&(struct members){
                         &(struct conf_at){0, group_node(g, 4)->applied.conf}, 1, 1}),
                     4);
}

static void a_learner_that_lags_is_not_promoted(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_ADD_LEARNER, 4), 0); /* It is not even there. */
    group_tick(g, 500);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_PROMOTE, 4), -EAGAIN);
}

/* A dead voter more could leave the living without a majority. */
static void a_learner_that_has_died_since_is_not_promoted(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_start_node(g, 4);
    group_elect(g, 1);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_ADD_LEARNER, 4), 0);
    group_deliver(g);
    group_tick(g, 300);
    group_node(g, 4)->cut = true;
    group_tick(g, 600);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_PROMOTE, 4), -EAGAIN);
    group_node(g, 4)->cut = false;
    group_tick(g, 500);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_PROMOTE, 99), -ENOENT);

    /* It answers heartbeats, and its disk has stalled: for longer than a round may take. */
    group_node(g, 4)->disk_stuck = true;
    assert_int_equal(group_propose(g, 1, "x"), 0);
    group_tick(g, 1200);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_PROMOTE, 4), -EAGAIN);
    group_node(g, 4)->disk_stuck = false;
    group_sync(g, 4);
    group_tick(g, 1000);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_PROMOTE, 4), 0);
}

/* R2: the hole in single-server changes, found in 2015. */
static void no_change_before_an_entry_of_the_own_term_is_committed(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_crown(g, 1, 2);
    assert_false(group_node(g, 1)->up.leader_ready);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_REMOVE, 3), -EAGAIN);
}

static void a_removed_leader_leaves_when_its_removal_is_committed(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_REMOVE, 1), 0);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_LEADER);
    group_deliver(g);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_FOLLOWER);
    group_tick(g, 3000);
    assert_int_not_equal(group_node(g, 1)->up.role, RAFT_LEADER);
    assert_true(group_node(g, 2)->up.role == RAFT_LEADER ||
                group_node(g, 3)->up.role == RAFT_LEADER);
}

/*
 * Found by the simulator: of two voters the leader removes itself, and is cut off before the
 * other has heard. The other cannot win against the longer log; so the removed one must lead
 * once more, by the other's vote, until its removal is committed.
 */
static void a_leader_removed_by_an_entry_nobody_has_leads_once_more(void **state)
{
    struct group *g = group_new(2);

    (void)state;
    group_start(g);
    group_elect(g, 1);
    group_tick(g, 200);
    group_node(g, 2)->cut = true;
    assert_int_equal(group_conf(g, 1, RAFT_CONF_REMOVE, 1), 0);
    group_drop(g);
    group_tick(g, 2500);
    assert_int_not_equal(group_node(g, 1)->up.role, RAFT_LEADER);
    group_node(g, 2)->cut = false;
    group_tick(g, 5000);
    assert_int_equal(group_node(g, 2)->up.role, RAFT_LEADER);
    assert_int_equal(group_node(g, 2)->applied.conf.count, 1);
    group_free(g);
}

/*
 * Found by the simulator: a membership of one voter that is not committed does not make him free
 * of his quarantine. The leader that removed itself still leads by his word.
 */
static void the_last_voter_is_quarantined_until_the_removal_is_committed(void **state)
{
    struct group *g = group_new(2);
    struct raft_msg vote = {.type = RAFT_MSG_PREVOTE, .term = 90, .vote.last_term = 90};
    struct raft_msg reply;

    (void)state;
    group_start(g);
    group_elect(g, 1);
    group_node(g, 1)->disk_stuck = true;
    assert_int_equal(group_conf(g, 1, RAFT_CONF_REMOVE, 1), 0);
    group_node(g, 2)->disk_stuck = true;
    group_deliver(g);
    group_stop_node(g, 2); /* With the entry on its disk, and no word of a commit. */
    group_node(g, 2)->disk_stuck = false;
    group_start_node(g, 2);
    group_tick(g, 50);
    assert_int_equal(group_node(g, 2)->up.role, RAFT_FOLLOWER);
    group_drop(g);
    group_inject(g, 1, 2, &vote);
    assert_true(group_find(g, RAFT_MSG_PREVOTE_REPLY, 1, &reply));
    assert_false(reply.vote_reply.granted);
    group_free(g);
}

static void a_truncated_change_is_rolled_back(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_tick(g, 200);
    group_node(g, 1)->cut = true;
    assert_int_equal(group_conf(g, 1, RAFT_CONF_REMOVE, 3), 0);
    assert_int_equal(raft_conf(group_node(g, 1)->raft)->count, 2);
    group_tick(g, 4000);
    group_node(g, 1)->cut = false;
    group_tick(g, 1000);
    assert_int_equal(raft_conf(group_node(g, 1)->raft)->count, 3);
    assert_int_equal(group_node(g, 1)->up.role, RAFT_FOLLOWER);
}

/* The old voters' answers prove nothing to the new ones. */
static void a_change_voids_the_lease_until_the_next_round(void **state)
{
    struct group *g = *state;

    group_start(g);
    group_elect(g, 1);
    group_tick(g, 200);
    assert_true(group_status(g, 1).lease_valid);
    assert_int_equal(group_conf(g, 1, RAFT_CONF_REMOVE, 3), 0);
    assert_false(group_status(g, 1).lease_valid);
    group_tick(g, 100);
    assert_true(group_status(g, 1).lease_valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_quorum_value_is_what_a_majority_has_reached),
        cmocka_unit_test(a_membership_survives_its_bytes),
        cmocka_unit_test(impossible_changes_are_refused),
        cmocka_unit_test_setup_teardown(a_learner_catches_up_and_is_promoted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_learner_that_lags_is_not_promoted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_learner_that_has_died_since_is_not_promoted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_change_before_an_entry_of_the_own_term_is_committed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removed_leader_leaves_when_its_removal_is_committed,
                                        set_up, tear_down),
        cmocka_unit_test(a_leader_removed_by_an_entry_nobody_has_leads_once_more),
        cmocka_unit_test(the_last_voter_is_quarantined_until_the_removal_is_committed),
        cmocka_unit_test_setup_teardown(a_truncated_change_is_rolled_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_voids_the_lease_until_the_next_round, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
