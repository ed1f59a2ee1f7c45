/* Whose full disk stops what takes room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "namenode/space_view.h"

#define SECOND UINT64_C(1000000000)

static const struct raft_conf group = {
    .count = 3, .members = {{.id = {1}, .voter = true}, {.id = {2}, .voter = true}, {.id = {3}}}};

static void tell(struct space_view *v, uint64_t id, bool is_short, uint64_t at_ns)
{
    space_view_note(v, &group,
                    &(struct peer_space){.id = {id}, .is_short = is_short, .heard_ns = at_ns});
}

static void one_that_is_short_stops_all(void **state)
{
    struct space_view v = {0};

    (void)state;
    tell(&v, 2, false, SECOND);
    assert_false(space_view_is_short(&v, &group, SECOND));
    tell(&v, 3, true, SECOND);
    assert_true(space_view_is_short(&v, &group, 2 * SECOND));
    tell(&v, 3, false, 3 * SECOND);
    assert_false(space_view_is_short(&v, &group, 3 * SECOND));
}

/* Nothing is written to it; when it is back it says so again. */
static void who_is_silent_does_not_count(void **state)
{
    struct space_view v = {0};

    (void)state;
    tell(&v, 2, true, SECOND);
    assert_true(space_view_is_short(&v, &group, 10 * SECOND));
    assert_false(space_view_is_short(&v, &group, 11 * SECOND));
    assert_null(space_view_find(&v, &group, (struct raft_id){2}, 11 * SECOND));
}

static void who_is_no_member_does_not_count(void **state)
{
    struct raft_conf fewer = group;
    struct space_view v = {0};

    (void)state;
    tell(&v, 4, true, SECOND);
    tell(&v, 3, true, SECOND);
    fewer.count = 2;
    assert_false(space_view_is_short(&v, &fewer, SECOND));
    assert_true(space_view_is_short(&v, &group, SECOND));
}

/* However many replicas have come and gone. */
static void the_places_of_those_who_left_are_used_again(void **state)
{
    struct space_view v = {0};

    (void)state;
    for (uint64_t id = 1; id < 4 * RAFT_MEMBERS_MAX; id++) {
        struct raft_conf now = {.count = 1, .members = {{.id = {id}}}};

        space_view_note(&v, &now,
                        &(struct peer_space){.id = {id}, .is_short = true, .heard_ns = 1});
        assert_true(space_view_is_short(&v, &now, 1));
    }
}

/* By a leader whose entry nobody else got: then it has told nothing for a moment, and is known all the same. */
static void who_is_a_member_again_is_remembered(void **state)
{
    struct space_view v = {0};
    struct raft_conf fewer = group;

    (void)state;
    fewer.count = 2;
    tell(&v, fewer.members[0].id.v, false, SECOND);
    tell(&v, group.members[2].id.v, true, SECOND);
    space_view_note(&v, &fewer,
                    &(struct peer_space){.id = fewer.members[1].id, .heard_ns = SECOND});
    assert_false(space_view_is_short(&v, &fewer, SECOND));
    assert_true(space_view_is_short(&v, &group, SECOND));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_short_stops_all),
        cmocka_unit_test(who_is_silent_does_not_count),
        cmocka_unit_test(who_is_no_member_does_not_count),
        cmocka_unit_test(the_places_of_those_who_left_are_used_again),
        cmocka_unit_test(who_is_a_member_again_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
