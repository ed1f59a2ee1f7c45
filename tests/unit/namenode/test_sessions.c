/* What the leader remembers of sessions: opens that hold unlinked inodes, attaching, silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "namenode/sessions.h"

enum { TERM = 4 };

static int setup(void **state)
{
    *state = sessions_new(TERM);
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
    sessions_open_inode(*state, 1, 0, 7);
    sessions_open_inode(*state, 1, 0, 7);
    sessions_open_inode(*state, 2, 0, 7);
    sessions_close_inode(*state, 1, 0, 7);
    sessions_close_inode(*state, 1, 0, 7);
    assert_true(sessions_is_open(*state, 7));
    sessions_close_inode(*state, 1, 0, 7); /* One too many must not count for session 2. */
    assert_true(sessions_is_open(*state, 7));
    sessions_close_inode(*state, 2, 0, 7);
    assert_false(sessions_is_open(*state, 7));
}

static void the_end_of_a_session_closes_what_it_had_open(void **state)
{
    sessions_open_inode(*state, 1, 0, 7);
    sessions_open_inode(*state, 1, 0, 7);
    sessions_open_inode(*state, 2, 0, 8);
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
    sessions_open_inode(*state, 3, 0, 7);
    sessions_attach(*state, 3, TERM, 0, inos, 3);
    assert_int_equal(sessions_detached_count(*state), 0);
    assert_false(sessions_is_open(*state, 7));
    sessions_close_inode(*state, 3, 0, 9);
    assert_true(sessions_is_open(*state, 9));
    sessions_close_inode(*state, 3, 0, 9);
    assert_false(sessions_is_open(*state, 9));
    assert_true(sessions_is_open(*state, 10));
}

/* It was held up by the network until this one led; perhaps it has opened something since. */
static void what_another_leader_is_told_does_not_count(void **state)
{
    const uint64_t old[] = {9};

    sessions_add(*state, 3, false, 100);
    sessions_attach(*state, 3, TERM - 1, 0, old, 1);
    assert_int_equal(sessions_detached_count(*state), 1);
    assert_false(sessions_is_open(*state, 9));
    sessions_attach(*state, 3, 0, 0, old, 1); /* a client of an older release */
    assert_int_equal(sessions_detached_count(*state), 0);
}

/*
 * A connection breaks while a close is under way: the client tells on a new one what it has open, the
 * one to be closed too, and closes again. The first close, when it comes after all, must not count.
 */
static void what_was_held_up_on_an_old_connection_does_not_count(void **state)
{
    const uint64_t both[] = {9, 9}, old[] = {9};

    sessions_add(*state, 3, false, 100);
    sessions_attach(*state, 3, TERM, 5, old, 1);
    sessions_open_inode(*state, 3, 5, 9);
    sessions_attach(*state, 3, TERM, 6, both, 2);
    sessions_close_inode(*state, 3, 5, 9);
    sessions_open_inode(*state, 3, 5, 10);
    sessions_attach(*state, 3, TERM, 5, old, 1);
    assert_false(sessions_is_open(*state, 10));
    sessions_close_inode(*state, 3, 6, 9);
    assert_true(sessions_is_open(*state, 9));
    sessions_close_inode(*state, 3, 6, 9);
    assert_false(sessions_is_open(*state, 9));
}

/* Its end may be on its way through the log: who opened it now would lose what he reads. */
static void what_waits_for_the_reaper_is_not_opened_any_more(void **state)
{
    sessions_add(*state, 3, false, 100);
    assert_true(sessions_may_open(*state, 7, 1));
    assert_false(sessions_may_open(*state, 7, 0));
    assert_false(sessions_may_reap(*state, 7)); /* Session 3 has not told. */
    sessions_remove(*state, 3);
    assert_true(sessions_may_reap(*state, 7));
    sessions_open_inode(*state, 1, 0, 7);
    assert_false(sessions_may_reap(*state, 7));
    assert_true(sessions_may_open(*state, 7, 0));
}

/* A CLOSE was done, its answer lost: the client tells the inode once more while its end is on its way. */
static void what_is_being_taken_apart_is_not_opened_though_it_is_told(void **state)
{
    const uint64_t owed = 7;

    sessions_attach(*state, 1, TERM, 3, &owed, 1);
    sessions_close_inode(*state, 1, 3, 7);
    assert_true(sessions_may_reap(*state, 7));
    sessions_reap_begins(*state, 7);
    sessions_reap_begins(*state, 7);
    sessions_attach(*state, 1, TERM, 4, &owed, 1);
    assert_true(sessions_is_open(*state, 7));
    assert_false(sessions_may_open(*state, 7, 0));
    sessions_reap_ends(*state, 7);
    assert_true(sessions_may_open(*state, 7, 0));
}

/* A request whose answer was lost must not be told now that there is no room for it. */
static void what_was_proposed_may_be_done(void **state)
{
    sessions_note_seq(*state, 1, 5);
    sessions_note_seq(*state, 1, 4);
    assert_true(sessions_may_be_done(*state, 1, 5));
    assert_true(sessions_may_be_done(*state, 1, 3));
    assert_false(sessions_may_be_done(*state, 1, 6));
    assert_false(sessions_may_be_done(*state, 2, 1));
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
        TEST(what_another_leader_is_told_does_not_count),
        TEST(what_was_held_up_on_an_old_connection_does_not_count),
        TEST(what_waits_for_the_reaper_is_not_opened_any_more),
        TEST(what_is_being_taken_apart_is_not_opened_though_it_is_told),
        TEST(what_was_proposed_may_be_done),
        TEST(a_detached_session_that_ends_blocks_nobody),
        TEST(silence_is_counted_from_the_last_renewal),
    };

    return cmocka_run_group_tests(tests, 0, NULL);
}
