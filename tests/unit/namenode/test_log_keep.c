/* From where on the log is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "namenode/log_keep.h"
#include "raft/raft.h"

enum { SECOND = 1000000000 };

/* Applied up to 200, flushed up to 100; one follower is at 120, the other, alive too, at 90. */
static const struct log_keep usual = {
    .flushed_index = 100,
    .log_bytes = 1000,
    .log_bytes_max = 1000,
    .now_ns = 60LL * SECOND,
    .live_ns = SECOND,
};

static struct raft_status usual_status(void)
{
    return (struct raft_status){
        .id = {1},
        .role = RAFT_LEADER,
        .last_index = 210,
        .commit_index = 205,
        .applied_index = 200,
        .peer_count = 3,
        .peers = {{.id = {1}, .voter = true, .match_index = 50, .acked_ns = 60LL * SECOND},
                  {.id = {2}, .voter = true, .match_index = 120, .acked_ns = 60LL * SECOND},
                  {.id = {3}, .match_index = 90, .acked_ns = 59LL * SECOND + 1}},
    };
}

/* I9: a crash leaves of the state machine what is flushed; the log has to begin right behind. */
static void what_is_not_flushed_is_kept(void **state)
{
    struct raft_status st = usual_status();

    (void)state;
    st.role = RAFT_FOLLOWER;
    assert_int_equal(log_keep_from(&usual, &st), 101);
    st.role = RAFT_LEADER;
    st.peers[2].match_index = 150;
    assert_int_equal(log_keep_from(&usual, &st), 101);
}

/* Else each flush would cost a slow follower, or a learner, a whole snapshot. */
static void what_a_live_follower_lacks_is_kept(void **state)
{
    struct raft_status st = usual_status();

    (void)state;
    assert_int_equal(log_keep_from(&usual, &st), 91);
    st.peers[1].match_index = 0;
    assert_int_equal(log_keep_from(&usual, &st), 1);
}

/* It may never come back, and the log would fill the disk. */
static void a_follower_that_is_silent_keeps_nothing(void **state)
{
    struct raft_status st = usual_status();

    (void)state;
    st.peers[2].acked_ns = 59LL * SECOND;
    assert_int_equal(log_keep_from(&usual, &st), 101);
}

static void a_log_that_is_too_long_is_cut_for_all(void **state)
{
    struct raft_status st = usual_status();
    struct log_keep k = usual;

    (void)state;
    k.log_bytes = k.log_bytes_max + 1;
    assert_int_equal(log_keep_from(&k, &st), 101);
}

/* The leader's own match is not in its way: it may be behind what it has flushed, after an install. */
static void the_leader_itself_is_no_follower(void **state)
{
    struct raft_status st = usual_status();

    (void)state;
    st.peer_count = 1;
    assert_int_equal(log_keep_from(&usual, &st), 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_flushed_is_kept),
        cmocka_unit_test(what_a_live_follower_lacks_is_kept),
        cmocka_unit_test(a_follower_that_is_silent_keeps_nothing),
        cmocka_unit_test(a_log_that_is_too_long_is_cut_for_all),
        cmocka_unit_test(the_leader_itself_is_no_follower),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
