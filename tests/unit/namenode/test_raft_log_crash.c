/*
 * The log at every crash point: a story with every kind of write there is stops at its first,
 * second, ... call that changes the disk, and the power fails. What was not synced is there, gone or
 * torn as the seed wants it (vfs_fake.h says what is legal). Or the process alone is killed, and all
 * of that is still seen, though it is not on the disk. Half of the recoveries are cut off at one of
 * their own calls in the same ways.
 *
 * Then the log opens, holds all that was acknowledged and nothing that was not asked for, calls
 * nothing damaged, is the same when the power fails and it is recovered once more, and goes on.
 *
 * DFS_SEEDS=n: so many seeds for each crash point; for every second one names survive in any order.
 * The number of points and images is printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/log.h"
#include "common/rng.h"
#include "tests/unit/namenode/log_fixture.h"

enum { COMPACTED = 30, SEEDS = 4, KINDS_MAX = 16 };

/* Crash points by the work that they cut off. */
struct tally {
    struct {
        const char *what;
        uint64_t points, images, recoveries_cut;
    } kinds[KINDS_MAX];
    size_t count;
};

static size_t kind_of(struct tally *t, const char *what)
{
    size_t i = 0;

    while (i < t->count && strcmp(t->kinds[i].what, what) != 0)
        i++;
    assert_true(i < KINDS_MAX);
    if (i == t->count)
        t->kinds[t->count++].what = what;
    return i;
}

/* Every kind of write there is, one update at a time; stops when the disk does. */
static bool step(struct log_fixture *f, unsigned number)
{
    switch (number) {
    case 0:
        ask_log(f, &(struct ask){.term = 1, .vote = 1, .count = 1, .len = 0, .entry_term = 1});
        break;
    case 1:
    case 2:
        append_log(f, 4, 700, 1);
        break;
    case 3:
        append_log(f, 20, 1200, 1); /* into the next segment */
        break;
    case 4:
        ask_log(f, &(struct ask){.term = 3,
                                 .vote = 2,
                                 .truncate_from = 22,
                                 .count = 2,
                                 .len = 300,
                                 .entry_term = 2});
        break;
    case 5:
        append_log(f, 3, 5000, 3);
        break;
    case 6:
        append_log(f, 30, 900, 3);
        break;
    case 7: /* back into the segment before */
        ask_log(f, &(struct ask){
                       .term = 5, .truncate_from = 12, .count = 8, .len = 600, .entry_term = 4});
        break;
    case 8:
        append_log(f, 40, 1400, 5);
        break;
    case 9:
        (void)raft_log_compact(f->log, COMPACTED);
        append_log(f, 1, 10, 5);
        break;
    case 10:
        append_log(f, 30, 1700, 5); /* recycled segments */
        break;
    case 11:
        ask_log(f,
                &(struct ask){.term = 6, .reset_to = 200, .count = 3, .len = 800, .entry_term = 6});
        break;
    case 12:
        append_log(f, 6, 2000, 6);
        break;
    default:
        return false;
    }
    return true;
}

/*
 * What may be there after a crash during one update: the state before it; or, in this order, its
 * hard state with its truncation or reset, and the first few of its entries.
 */
static void check_recovered(const struct model *got, const struct model *before,
                            const struct model *after)
{
    bool hard_old = got->hard.term == before->hard.term && got->hard.vote.v == before->hard.vote.v;
    bool hard_new = got->hard.term == after->hard.term && got->hard.vote.v == after->hard.vote.v;
    bool is_before = hard_old && got->last == before->last &&
                     got->base <= MAX(before->base, (uint64_t)COMPACTED) &&
                     same_entries(got, before, got->base + 1, got->last);
    bool is_after =
        hard_new && got->last >= after->kept && got->last <= after->last &&
        (after->base > COMPACTED ? got->base == after->base : got->base <= (uint64_t)COMPACTED) &&
        same_entries(got, after, got->base + 1, got->last);

    assert_true(is_before || is_after);
}

static void run_story(struct log_fixture *f, uint64_t stop_after, struct rng *rng)
{
    vfs_fake_stop_after(f->disk, stop_after);
    if (open_log(f) < 0)
        return;
    for (unsigned i = 0; step(f, i); i++) {
        raft_log_pump(f->log, rng_percent(rng, 50));
        if (f->fatal)
            break;
    }
}

static void power_failure(struct log_fixture *f, struct rng *rng)
{
    raft_log_close(STEAL(f->log));
    vfs_fake_crash(f->disk, rng);
    vfs_fake_stop_after(f->disk, UINT64_MAX);
}

/* The process alone is killed, and the page cache stays; or the power fails. */
static void crash(struct log_fixture *f, struct rng *rng)
{
    if (rng_percent(rng, 50)) {
        power_failure(f, rng);
        return;
    }
    vfs_fake_kill(f->disk);
    raft_log_close(STEAL(f->log));
}

static bool crash_and_check(struct tally *t, uint64_t stop_after, uint64_t seed, bool direct)
{
    const char *what;
    struct rng rng;
    struct log_fixture *f;
    void *state;
    struct model once, twice;
    bool more;
    size_t kind;

    rng_seed(&rng, seed * 1000003 + stop_after);
    (void)log_setup(&state);
    f = state;
    f->config.direct = direct;
    vfs_fake_set_names_any(f->disk, seed % 2 == 1);
    run_story(f, stop_after, &rng);
    more = vfs_fake_is_stopped(f->disk);
    what = f->failed ? f->failed : more ? "make or open a log" : "nothing: the end";
    kind = kind_of(t, what);
    t->kinds[kind].points += seed == 0;
    t->kinds[kind].images++;
    crash(f, &rng);
    if (rng_percent(&rng, 50)) {
        vfs_fake_stop_after(f->disk, rng_below(&rng, 24));
        (void)open_log(f);
        t->kinds[kind].recoveries_cut += vfs_fake_is_stopped(f->disk);
        crash(f, &rng);
    }

    assert_int_equal(open_log(f), 0);
    assert_int_equal(f->boot.faulty_from, 0); /* a torn write is not damage */
    look_at_log(f, &once);
    check_recovered(&once, &f->acked, &f->want);
    power_failure(f, &rng); /* What a recovery has found is durable, wherever it was before. */
    assert_int_equal(open_log(f), 0);
    assert_int_equal(f->boot.faulty_from, 0);
    look_at_log(f, &twice);
    assert_memory_equal(&once, &twice, sizeof(once));

    /* And it goes on from there. */
    f->want = once;
    ask_log(f, &(struct ask){.term = 9, .vote = 1, .count = 25, .len = 1500, .entry_term = 9});
    raft_log_pump(f->log, true);
    power_failure(f, &rng);
    assert_int_equal(open_log(f), 0);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
    (void)log_teardown(&state);
    return more;
}

static void walk(const char *name, bool direct)
{
    const char *wanted = getenv("DFS_SEEDS");
    uint64_t seeds = wanted ? strtoull(wanted, NULL, 10) : SEEDS;
    struct tally t = {0};
    bool more = true;

    for (uint64_t cut = 0; more; cut++) {
        more = false;
        for (uint64_t seed = 0; seed < seeds; seed++)
            more = crash_and_check(&t, cut, seed, direct) || more;
    }
    for (size_t i = 0; i < t.count; i++)
        print_message("# %s: %-36s %5" PRIu64 " points %7" PRIu64 " images, %6" PRIu64
                      " with the recovery cut off too\n",
                      name, t.kinds[i].what, t.kinds[i].points, t.kinds[i].images,
                      t.kinds[i].recoveries_cut);
}

static void every_crash_point_recovers(void **state)
{
    (void)state;
    walk("buffered", false);
}

/* O_DIRECT|O_DSYNC: one call writes and syncs. */
static void every_crash_point_recovers_with_direct_writes(void **state)
{
    (void)state;
    walk("direct", true);
}

/*
 * The process is killed in its story, and again while it recovers; all that it did is seen by the
 * recovery that comes through. Then the power fails, and what was not synced is gone. false: the
 * recovery was not reached by the second kill.
 */
static bool kill_twice_and_check(uint64_t stop_after, uint64_t then_after, bool *ret_more)
{
    struct model once, twice;
    struct log_fixture *f;
    struct rng rng;
    void *state;
    bool was_cut;

    rng_seed(&rng, 1); /* One story: so each of its calls is the last once. */
    (void)log_setup(&state);
    f = state;
    run_story(f, stop_after, &rng);
    *ret_more = vfs_fake_is_stopped(f->disk);
    vfs_fake_kill(f->disk);
    raft_log_close(STEAL(f->log));
    vfs_fake_stop_after(f->disk, then_after);
    (void)open_log(f);
    was_cut = vfs_fake_is_stopped(f->disk);
    vfs_fake_kill(f->disk);
    raft_log_close(STEAL(f->log));

    assert_int_equal(open_log(f), 0);
    look_at_log(f, &once);
    check_recovered(&once, &f->acked, &f->want);
    power_failure(f, NULL);
    assert_int_equal(open_log(f), 0);
    assert_int_equal(f->boot.faulty_from, 0);
    look_at_log(f, &twice);
    assert_memory_equal(&once, &twice, sizeof(once));
    (void)log_teardown(&state);
    return was_cut;
}

static void what_a_killed_process_left_is_durable_when_it_is_believed(void **state)
{
    uint64_t images = 0;
    bool more = true;

    (void)state;
    for (uint64_t cut = 0; more; cut++) {
        uint64_t then = 0;

        while (kill_twice_and_check(cut, then, &more))
            then++;
        images += then + 1;
    }
    print_message("# killed twice, then no power: %" PRIu64 " images\n", images);
}

/*
 * Every call that can fail does, once, and everything after it would work: nothing is told durable
 * any more, and what was is there after the crash. false: that call was not reached.
 */
static bool fail_and_check(enum vfs_fake_op op, uint64_t after)
{
    struct log_fixture *f;
    struct model got, want;
    struct rng rng;
    void *state;
    uint64_t durable;

    rng_seed(&rng, after);
    (void)log_setup(&state);
    f = state;
    assert_int_equal(open_log(f), 0);
    vfs_fake_fail(f->disk, op, after, EIO, false);
    for (unsigned i = 0; !f->fatal && step(f, i); i++)
        raft_log_pump(f->log, true);
    if (f->fatal == 0) {
        (void)log_teardown(&state);
        return false;
    }
    assert_int_equal(f->fatal, -EIO);
    durable = f->durable;
    want = f->want;
    append_log(f, 2, 100, 9);
    raft_log_pump(f->log, true);
    assert_int_equal(f->durable, durable);
    power_failure(f, &rng);
    assert_int_equal(open_log(f), 0);
    look_at_log(f, &got);
    check_recovered(&got, &f->acked, &want);
    (void)log_teardown(&state);
    return true;
}

static void every_failed_call_ends_it_all(void **state)
{
    static const enum vfs_fake_op ops[] = {VFS_FAKE_WRITE, VFS_FAKE_SYNC, VFS_FAKE_SYNC_DIR,
                                           VFS_FAKE_NAME};
    static const char *const names[] = {"write", "sync", "sync of the directory", "name"};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        unsigned n = 0;

        while (fail_and_check(ops[i], n))
            n++;
        assert_true(n > 5);
        print_message("# failed %s: %u places\n", names[i], n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_crash_point_recovers),
        cmocka_unit_test(every_crash_point_recovers_with_direct_writes),
        cmocka_unit_test(what_a_killed_process_left_is_durable_when_it_is_believed),
        cmocka_unit_test(every_failed_call_ends_it_all),
    };

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_raft_log_crash", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
