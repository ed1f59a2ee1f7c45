/*
 * How fast a target copies. A disk that is a formula: what clients feel follows from what was copied
 * in the last tenth of a second.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "datanode/pace.h"

static const uint64_t ms = 1000000, s = 1000000000;
enum { PIECE = 512 << 10, TURN_MS = 10 };

struct fixture {
    struct pace p;
    uint64_t now, copied;
    uint64_t before[10]; /* what was copied in the last ten turns */
    unsigned turn;
    uint64_t clients, slow; /* operations, and those beyond the goal */
};

typedef uint64_t (*disk)(uint64_t copied_in_100ms);

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));

    f->now = 1000 * s;
    pace_init(&f->p, 0, f->now);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    test_free(*state);
    return 0;
}

/* Copies all it may, up to a gigabyte a second. client: NULL, nobody is there. Bytes a second. */
static uint64_t run(struct fixture *f, unsigned span_ms, uint64_t want_per_turn, disk client)
{
    uint64_t before = f->copied;

    f->clients = f->slow = 0;
    for (unsigned t = 0; t < span_ms; t += TURN_MS) {
        uint64_t copied = 0, felt, last = 0;

        f->now += TURN_MS * ms;
        while (copied < want_per_turn && pace_take(&f->p, PIECE, f->now))
            copied += PIECE;
        f->before[f->turn++ % 10] = copied;
        f->copied += copied;
        for (unsigned i = 0; i < 10; i++)
            last += f->before[i];
        if (client == NULL)
            continue;
        felt = client(last);
        pace_client_took(&f->p, felt, f->now);
        f->clients++;
        f->slow += felt > pace_goal_ns(&f->p);
    }
    return (f->copied - before) * 1000 / span_ms;
}

#define ALL (10 << 20)
#define MIB(n) ((uint64_t)(n) << 20)

/* Bears 100 MiB/s of copies; with more its clients wait. */
static uint64_t small_disk(uint64_t copied)
{
    return copied <= MIB(10) ? 2 * ms : 60 * ms;
}

static uint64_t never_disturbed(uint64_t copied)
{
    (void)copied;
    return 2 * ms;
}

/* Whatever little is copied disturbs. */
static uint64_t always_disturbed(uint64_t copied)
{
    return copied == 0 ? 1 * ms : 5 * s;
}

/* It is slow also when nothing is copied. */
static uint64_t slow_by_itself(uint64_t copied)
{
    (void)copied;
    return 40 * ms;
}

static void without_clients_all_is_copied_at_once(void **state)
{
    assert_in_range(run(*state, 10000, ALL, NULL), MIB(990), MIB(1010));
}

static void clients_that_feel_nothing_slow_nothing_down(void **state)
{
    assert_in_range(run(*state, 10000, ALL, never_disturbed), MIB(950), MIB(1010));
}

/* It finds what the disk bears, and clients are seldom disturbed. */
static void it_copies_what_clients_leave(void **state)
{
    struct fixture *f = *state;
    uint64_t rate;

    run(f, 2000, 0, small_disk);
    run(f, 5000, ALL, small_disk);
    rate = run(f, 30000, ALL, small_disk);
    assert_in_range(rate, MIB(40), MIB(110));
    assert_true(f->slow * 100 <= f->clients * 20);
}

/* A join that never ends leaves a group with too few copies. */
static void the_floor_is_kept_however_slow_clients_are(void **state)
{
    struct fixture *f = *state;

    run(f, 2000, 0, always_disturbed);
    run(f, 3000, ALL, always_disturbed);
    assert_in_range(run(f, 30000, ALL, always_disturbed), PACE_FLOOR - MIB(2), PACE_FLOOR * 2);
}

static void it_is_higher_while_one_copy_is_left(void **state)
{
    struct fixture *f = *state;

    run(f, 2000, 0, always_disturbed);
    pace_set_urgent(&f->p, true);
    run(f, 3000, ALL, always_disturbed);
    assert_in_range(run(f, 30000, ALL, always_disturbed), PACE_FLOOR_URGENT - MIB(5),
                    PACE_FLOOR_URGENT * 2);
}

static void the_cap_holds_also_without_clients(void **state)
{
    struct fixture *f = *state;

    pace_init(&f->p, MIB(50), f->now);
    assert_in_range(run(f, 10000, ALL, NULL), MIB(48), MIB(51));
    /* Also a cap below the floor: the operator's word. */
    pace_init(&f->p, MIB(5), f->now);
    pace_set_urgent(&f->p, true);
    assert_in_range(run(f, 10000, ALL, always_disturbed), MIB(4), MIB(6));
}

static void a_disk_that_is_slow_by_itself_is_no_reason(void **state)
{
    struct fixture *f = *state;

    run(f, 2000, 0, slow_by_itself);
    assert_in_range(run(f, 10000, ALL, slow_by_itself), MIB(950), MIB(1010));
}

/* Nobody saw it at rest: it is seen in the pauses. */
static void what_a_disk_is_like_is_learned_meanwhile(void **state)
{
    struct fixture *f = *state;

    run(f, 10000, ALL, slow_by_itself);
    assert_in_range(run(f, 30000, ALL, slow_by_itself), MIB(500), MIB(1010));
}

/* Clients come now and then: they are not to find the disk busy each time. */
static void a_pause_of_clients_is_no_end_of_them(void **state)
{
    struct fixture *f = *state;
    uint64_t rate;

    run(f, 2000, 0, small_disk);
    run(f, 20000, ALL, small_disk);
    rate = pace_rate(&f->p);
    run(f, 1000, ALL, NULL);
    assert_true(pace_rate(&f->p) <= rate + MIB(8));
    run(f, 6000, ALL, NULL);
    assert_true(pace_rate(&f->p) >= MIB(1000));
}

/* A chunk that is compared is one piece: what is more than the bucket is owed. */
static void large_pieces_are_owed(void **state)
{
    struct fixture *f = *state;
    unsigned took = 0;

    pace_init(&f->p, MIB(32), f->now);
    for (unsigned t = 0; t < 20000; t += TURN_MS) {
        f->now += TURN_MS * ms;
        took += pace_take(&f->p, MIB(64), f->now);
    }
    assert_in_range(took, 9, 11);
    assert_false(pace_take(&f->p, 1, f->now));
    assert_in_range(pace_wait_ns(&f->p), 1 * ms, 100 * ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_clients_all_is_copied_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_that_feel_nothing_slow_nothing_down, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(it_copies_what_clients_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(the_floor_is_kept_however_slow_clients_are, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(it_is_higher_while_one_copy_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cap_holds_also_without_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_is_slow_by_itself_is_no_reason, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_disk_is_like_is_learned_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pause_of_clients_is_no_end_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(large_pieces_are_owed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
