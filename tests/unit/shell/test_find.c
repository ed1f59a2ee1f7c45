/* What find is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/find.h"

enum { WORDS_MAX = 8 };

/* Words separated by blanks. They live in memory of the caller. */
static int parse(char *text, struct find_plan *p, char err[FIND_ERROR_MAX])
{
    char *words[WORDS_MAX], *save = NULL;
    int count = 0;

    for (char *w = strtok_r(text, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        words[count++] = w;
    return find_parse(words, count, p, err);
}

static bool matches(const char *tests, const char *name, uint32_t mode, uint64_t size)
{
    const struct dfs_stat st = {.mode = mode, .size = size, .mtime_ns = 100};
    char text[128], err[FIND_ERROR_MAX];
    struct find_plan p;

    strncpy(text, tests, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(parse(text, &p, err), 0);
    return find_matches(&p, name, &st);
}

static void names_are_patterns(void **state)
{
    (void)state;
    assert_true(matches("-name *.c", "main.c", S_IFREG, 0));
    assert_false(matches("-name *.c", "main.h", S_IFREG, 0));
    assert_true(matches("-name a?c", "abc", S_IFREG, 0));
}

static void types_are_letters(void **state)
{
    (void)state;
    assert_true(matches("-type f", "x", S_IFREG | 0644, 0));
    assert_false(matches("-type d", "x", S_IFREG | 0644, 0));
    assert_true(matches("-type l", "x", S_IFLNK | 0777, 0));
}

/* As find(1): sizes are rounded up to the unit before they are compared. */
static void sizes_are_rounded_up(void **state)
{
    (void)state;
    assert_true(matches("-size 1", "x", S_IFREG, 1));
    assert_true(matches("-size 1k", "x", S_IFREG, 1024));
    assert_false(matches("-size 1k", "x", S_IFREG, 1025));
    assert_true(matches("-size +1M", "x", S_IFREG, (1 << 20) + 1));
    assert_false(matches("-size +1M", "x", S_IFREG, 1 << 20));
    assert_false(matches("-size -1M", "x", S_IFREG, 5));
    assert_true(matches("-size -1M", "x", S_IFREG, 0));
    assert_true(matches("-size 7c", "x", S_IFREG, 7));
}

static void all_tests_must_hold(void **state)
{
    (void)state;
    assert_true(matches("-type f -name *.c -size +0", "a.c", S_IFREG, 9));
    assert_false(matches("-type f -name *.c -size +0", "a.c", S_IFREG, 0));
    assert_true(matches("", "anything", S_IFDIR, 0));
}

static void newer_compares_with_the_time_that_was_asked(void **state)
{
    const struct dfs_stat st = {.mtime_ns = 100};
    char text[] = "-newer /x", err[FIND_ERROR_MAX];
    struct find_plan p;

    (void)state;
    assert_int_equal(parse(text, &p, err), 0);
    assert_string_equal(p.tests[0].text, "/x");
    p.tests[0].than_ns = 99;
    assert_true(find_matches(&p, "y", &st));
    p.tests[0].than_ns = 100;
    assert_false(find_matches(&p, "y", &st));
}

static void depths_and_printing_are_no_tests(void **state)
{
    char text[] = "-maxdepth 2 -mindepth 1 -print0", err[FIND_ERROR_MAX];
    struct find_plan p;

    (void)state;
    assert_int_equal(parse(text, &p, err), 0);
    assert_int_equal(p.test_count, 0);
    assert_int_equal(p.depth_max, 2);
    assert_int_equal(p.depth_min, 1);
    assert_true(p.print0);
}

static void mistakes_are_told(void **state)
{
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"-nmae x", "unknown test '-nmae'; did you mean '-name'?"},
        {"-name", "-name needs a value"},
        {"-type q", "-type does not take 'q'"},
        {"-size 1kk", "-size does not take '1kk'"},
        {"-size k", "-size does not take 'k'"},
        {"-size 99999999999999999999", "-size does not take '99999999999999999999'"},
        {"-maxdepth x", "-maxdepth does not take 'x'"},
    };
    char text[64], err[FIND_ERROR_MAX];
    struct find_plan p;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        strncpy(text, cases[i].text, sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        assert_int_equal(parse(text, &p, err), -EINVAL);
        assert_string_equal(err, cases[i].told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_patterns),
        cmocka_unit_test(types_are_letters),
        cmocka_unit_test(sizes_are_rounded_up),
        cmocka_unit_test(all_tests_must_hold),
        cmocka_unit_test(newer_compares_with_the_time_that_was_asked),
        cmocka_unit_test(depths_and_printing_are_no_tests),
        cmocka_unit_test(mistakes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
