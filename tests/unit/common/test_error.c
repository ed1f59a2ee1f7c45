/* Codes of our own and of errno have texts, from any thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/error.h"

static void every_own_code_has_its_own_text(void **state)
{
    (void)state;
    for (int a = DFS_ENOTLEADER; a >= DFS_EBUSY_WINDOW; a--) {
        assert_true(dfs_error_is_own(a));
        assert_string_not_equal(dfs_strerror(a), "unknown error");
        for (int b = DFS_ENOTLEADER; b > a; b--)
            assert_string_not_equal(dfs_strerror(a), dfs_strerror(b));
    }
}

static void errno_reads_the_same_with_either_sign(void **state)
{
    (void)state;
    assert_string_equal(dfs_strerror(-ENOENT), "No such file or directory");
    assert_string_equal(dfs_strerror(ENOENT), dfs_strerror(-ENOENT));
    assert_string_equal(dfs_strerror(0), "success");
    assert_false(dfs_error_is_own(-ENOENT));
}

static void codes_from_the_wire_may_be_anything(void **state)
{
    (void)state;
    assert_string_equal(dfs_strerror(INT32_MIN), "unknown error");
    assert_string_equal(dfs_strerror(INT32_MAX), "unknown error");
    assert_string_equal(dfs_strerror(-1013), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_own_code_has_its_own_text),
        cmocka_unit_test(errno_reads_the_same_with_either_sign),
        cmocka_unit_test(codes_from_the_wire_may_be_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
