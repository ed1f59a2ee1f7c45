/* What the leader remembers of sessions: opens that hold unlinked inodes, attaching, silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "namenode/sessions.h"

static int setup(void **state)
{
    *state = sessions_new();
    sessions_add(*state, 1, true, 100);
    sessions_add(*state, 2, true, 100);
    return 0;
}

static int teardown(void **state)
{
    sessions_free(*state);
    return 0;
}

static void an_inode_is_open_until_the_last_open_is_closed(void **state)
{
    sessions_open_inode(*state, 1, 7);
    sessions_open_inode(*state, 1, 7);
    sessions_open_inode(*state, 2, 7);
    sessions_close_inode(*state, 1, 7);
    sessions_close_inode(*state, 1, 7);
    assert_true(sessions_is_open(*state, 7));
    sessions_close_inode(*state, 1, 7); /* One too many must not count for session 2. */
    assert_true(sessions_is_open(*state, 7));
    sessions_close_inode(*state, 2, 7);
    assert_false(sessions_is_open(*state, 7));
}

static void the_end_of_a_session_closes_what_it_had_open(void **state)
{
    sessions_open_inode(*state, 1, 7);
    sessions_open_inode(*state, 1, 7);
    sessions_open_inode(*state, 2, 8);
    sessions_remove(*state, 1);
    assert_false(sessions_is_open(*state, 7));
    assert_true(sessions_is_open(*state, 8));
    assert_int_equal(sessions_count(*state), 1);
}

/* After a failover: what a client doesn't tell is what it doesn't have open. */
static void attaching_replaces_what_was_known(void **state)
{
    const uint64_t inos[] = {9, 9, 10};

    sessions_add(*state, 3, false, 100);
    assert_int_equal(sessions_detached_count(*state), 1);
    sessions_open_inode(*state, 3, 7);
    sessions_attach(*state, 3, inos, 3);
    assert_int_equal(sessions_detached_count(*state), 0);
    assert_false(sessions_is_open(*state, 7));
    sessions_close_inode(*state, 3, 9);
    assert_true(sessions_is_open(*state, 9));
    sessions_close_inode(*state, 3, 9);
    assert_false(sessions_is_open(*state, 9));
    assert_true(sessions_is_open(*state, 10));
}

static void a_detached_session_that_ends_blocks_nobody(void **state)
{
    sessions_add(*state, 3, false, 100);
    sessions_remove(*state, 3);
    assert_int_equal(sessions_detached_count(*state), 0);
}

static void silence_is_counted_from_the_last_renewal(void **state)
{
    uint64_t out[4];

    assert_true(sessions_renew(*state, 1, 500));
    assert_false(sessions_renew(*state, 77, 500));
    assert_int_equal(sessions_expired(*state, 1000, 600, out, 4), 1);
    assert_int_equal(out[0], 2);
    assert_int_equal(sessions_expired(*state, 1100, 600, out, 1), 1);
    assert_int_equal(sessions_expired(*state, 1100, 600, out, 4), 2);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_inode_is_open_until_the_last_open_is_closed),
        TEST(the_end_of_a_session_closes_what_it_had_open),
        TEST(attaching_replaces_what_was_known),
        TEST(a_detached_session_that_ends_blocks_nobody),
        TEST(silence_is_counted_from_the_last_renewal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
