/*
 * The checker of name space histories: what it says of histories by hand and by chance, and that
 * these notice when it has a bug. A failure by chance prints its seed; DFS_SEED=n runs that one alone.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/lin/random_history.h"
#include "tests/unit/lin/stories.h"

enum { SEEDS = 200, CHANGES_PER_SEED = 4, CAUGHT_PERCENT_MIN = 90, MUTANT_SEEDS = 40 };

static struct lin_history *history_of_seed(uint64_t seed, struct rng *rng)
{
    struct random_plan plan;

    rng_seed(rng, seed);
    plan.clients = (unsigned)rng_range(rng, 2, 6);
    plan.ops = (unsigned)rng_range(rng, 10, 80);
    plan.names = (unsigned)rng_range(rng, 1, 4);
    plan.lost_percent = seed % 2 ? 0 : (unsigned)rng_range(rng, 1, 10);
    return random_history(rng, &plan);
}

static void seeds(uint64_t *first, uint64_t *end)
{
    const char *one = getenv("DFS_SEED");

    *first = one ? strtoull(one, NULL, 10) : 1;
    *end = one ? *first + 1 : SEEDS + 1;
}

static void stories_by_hand(void **state)
{
    (void)state;
    for (unsigned i = 0; i < story_count; i++) {
        struct lin_history *h = story_read(&stories[i]);
        enum lin_verdict v = lin_check(h, NULL, stories[i].verdict == LIN_OK ? stderr : NULL);

        if (v != stories[i].verdict)
            fail_msg("%s: verdict %d", stories[i].name, v);
        lin_history_free(h);
    }
}

static void right_by_chance(void **state)
{
    uint64_t first, end;

    (void)state;
    seeds(&first, &end);
    for (uint64_t seed = first; seed < end; seed++) {
        struct rng rng;
        struct lin_history *h = history_of_seed(seed, &rng);
        enum lin_verdict v = lin_check(h, NULL, stderr);

        if (v != LIN_OK)
            fail_msg("seed=%" PRIu64 ": verdict %d", seed, v);
        lin_history_free(h);
    }
}

/* Not each: what a changed answer says may be right as well, with operations side by side. */
static void nearly_each_change_is_caught(void **state)
{
    unsigned changes = 0, caught = 0;
    uint64_t first, end;

    (void)state;
    seeds(&first, &end);
    for (uint64_t seed = first; seed < end; seed++) {
        struct rng rng;
        struct lin_history *h = history_of_seed(seed, &rng);

        for (unsigned i = 0; i < CHANGES_PER_SEED; i++) {
            struct lin_history *changed = random_change(&rng, h);

            changes++;
            caught += lin_check(changed, NULL, NULL) == LIN_VIOLATION;
            lin_history_free(changed);
        }
        lin_history_free(h);
    }
    print_message("# %u of %u changed answers caught\n", caught, changes);
    assert_true(caught * 100 >= changes * CAUGHT_PERCENT_MIN);
}

/* Written, read, and written again. */
static void text_is_all_of_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct rng rng;
        struct lin_history *h = history_of_seed(seed, &rng), *again = lin_history_new();
        char *a = NULL, *b = NULL;
        size_t a_size, b_size;
        unsigned line = 0;
        FILE *f = open_memstream(&a, &a_size);

        lin_write(h, f);
        (void)fclose(f);
        f = fmemopen(a, a_size, "r");
        if (lin_read(again, f, &line) < 0)
            fail_msg("seed=%" PRIu64 ": line %u", seed, line);
        (void)fclose(f);
        f = open_memstream(&b, &b_size);
        lin_write(again, f);
        (void)fclose(f);
        assert_int_equal(lin_unknown_count(h), lin_unknown_count(again));
        assert_string_equal(a, b);
        free(a);
        free(b);
        lin_history_free(h);
        lin_history_free(again);
    }
}

static void what_is_no_event_is_refused(void **state)
{
    static const char *const bad[] = {
        "call 1 1.0 create 1\n",
        "call 1 1.0 create 1 a b\n",
        "call 1 1.0 creat 1 a\n",
        "call x 1.0 create 1 a\n",
        "call 1 1 create 1 a\n",
        "call 1 1.0 rename 1 a 1 b twice\n",
        "call 1 1.0 create 0 a\n",
        "call 1 1.0 create 1 a", /* cut off */
        "call 1 1.0 create 1 a\ncall 2 1.0 create 1 b\n",
        "ret 1 1.0 ok 3\n",
        "call 2 1.0 create 1 a\nret 1 1.0 ok 3\n",
        "call 1 1.0 create 1 a\nret 2 1.0 EWHAT\n",
        "call 1 1.0 lookup 1 a\nret 2 1.0 ok\n",
        "call 1 1.0 create 1 a\nret 2 1.0 ok 3\nret 3 1.0 ok 3\n",
        "call 1 1.0 readdir 1\nret 2 1.0 ok a\n",
        "call 1 1.0 readdir 1\nret 2 1.0 ok =3\n",
        "root\n",
        "roots 3\n",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lin_history *h = lin_history_new();
        FILE *f = fmemopen((void *)(uintptr_t)bad[i], strlen(bad[i]), "r");
        unsigned line = 0;

        if (lin_read(h, f, &line) == 0)
            fail_msg("taken: %s", bad[i]);
        assert_true(line > 0);
        (void)fclose(f);
        lin_history_free(h);
    }
}

/* A reader must be able to see what is wrong: the one return, and an order of what was before it. */
static void a_violation_is_shown_where_it_is(void **state)
{
    const struct story s = {"", LIN_VIOLATION,
                            "1 create 1 a\n1 ok 10\n2 lookup 1 a\n2 ENOENT\n"
                            "3 create 2 b\n3 ok 11\n1 unlink 1 a\n1 ok 10\n"};
    struct lin_history *h = story_read(&s);
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    (void)state;
    assert_int_equal(lin_check(h, NULL, f), LIN_VIOLATION);
    (void)fclose(f);
    assert_non_null(strstr(text, "explains\n    3..4  client 2  lookup 1 a -> ENOENT\n"));
    assert_non_null(strstr(text, "before:\n    1..2  client 1  create 1 a -> ok 10\n"));
    assert_null(strstr(text, "unlink"));
    assert_null(strstr(text, "create 2 b"));
    free(text);
    lin_history_free(h);
}

static void what_is_too_much_is_undecided(void **state)
{
    struct lin_history *h = lin_history_new();
    struct lin_options few = {.states_max = 10};
    struct lin_op op = {.kind = LIN_CREATE, .dir = 1};

    (void)state;
    lin_root(h, 1);
    for (unsigned i = 0; i < 20; i++) {
        op.client = i;
        snprintf(op.name, sizeof(op.name), "%u", i);
        (void)lin_call(h, 1, &op);
    }
    op.kind = LIN_LOOKUP; /* Needs one of those that come last. */
    lin_return(h, lin_call(h, 2, &op), 3, &(struct lin_result){.ino = 7, .is_dir = true});
    assert_int_equal(lin_check(h, &few, NULL), LIN_UNDECIDED);
    op.kind = LIN_CREATE;
    for (unsigned i = 20; i <= LIN_OPS_MAX; i++)
        (void)lin_call(h, 1, &op);
    assert_int_equal(lin_check(h, NULL, NULL), LIN_UNDECIDED);
    lin_history_free(h);
}

/* ---- the checker with bugs ---- */

static const char *const mutant_names[LIN_MUTANTS] = {
    [LIN_MUTANT_NO_REAL_TIME] = "done before it is called",
    [LIN_MUTANT_UNKNOWN_TWICE] = "unknown done twice",
    [LIN_MUTANT_UNKNOWN_NEVER] = "unknown never done",
    [LIN_MUTANT_UNKNOWN_ALWAYS] = "unknown done at once",
    [LIN_MUTANT_SPLIT_BY_FIRST_DIR] = "renames split directories",
    [LIN_MUTANT_SPLIT_BY_NAME] = "inodes don't join directories",
    [LIN_MUTANT_MEMO_STATE_ONLY] = "remembers states only",
    [LIN_MUTANT_MEMO_OPS_ONLY] = "remembers operations only",
    [LIN_MUTANT_GREEDY_CHANGES] = "takes no change back",
    [LIN_MUTANT_GREEDY_RENAMES] = "takes no rename back",
    [LIN_MUTANT_ANY_INODE] = "inodes not compared",
    [LIN_MUTANT_READDIR_SUBSET] = "listings may lack entries",
    [LIN_MUTANT_ANY_ERROR] = "errors not compared",
    [LIN_MUTANT_RENAME_KEEPS_SOURCE] = "rename keeps its source",
};

static unsigned stories_that_notice(enum lin_mutant mutant)
{
    struct lin_options o = {.mutant = mutant};
    unsigned count = 0;

    for (unsigned i = 0; i < story_count; i++) {
        struct lin_history *h = story_read(&stories[i]);

        count += lin_check(h, &o, NULL) != stories[i].verdict;
        lin_history_free(h);
    }
    return count;
}

/* The first seed of a right history that it calls wrong, 0: none. */
static uint64_t seed_that_notices(enum lin_mutant mutant)
{
    struct lin_options o = {.mutant = mutant};

    for (uint64_t seed = 1; seed <= MUTANT_SEEDS; seed++) {
        struct rng rng;
        struct lin_history *h = history_of_seed(seed, &rng);
        enum lin_verdict v = lin_check(h, &o, NULL);

        lin_history_free(h);
        if (v != LIN_OK)
            return seed;
    }
    return 0;
}

static void each_bug_of_the_checker_is_noticed(void **state)
{
    unsigned silent = 0;

    (void)state;
    for (enum lin_mutant m = LIN_MUTANT_NONE + 1; m < LIN_MUTANTS; m++) {
        unsigned by_hand = stories_that_notice(m);
        uint64_t seed = seed_that_notices(m);

        print_message("# %-30s %2u stories, seed %" PRIu64 "\n", mutant_names[m], by_hand, seed);
        silent += by_hand == 0 && seed == 0;
    }
    assert_int_equal(silent, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories_by_hand),
        cmocka_unit_test(right_by_chance),
        cmocka_unit_test(nearly_each_change_is_caught),
        cmocka_unit_test(text_is_all_of_it),
        cmocka_unit_test(what_is_no_event_is_refused),
        cmocka_unit_test(a_violation_is_shown_where_it_is),
        cmocka_unit_test(what_is_too_much_is_undecided),
        cmocka_unit_test(each_bug_of_the_checker_is_noticed),
    };

    return cmocka_run_group_tests_name("lin", tests, NULL, NULL);
}
