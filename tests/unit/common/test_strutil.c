/* Text for people: what operators type into configuration files must mean what they think. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/strutil.h"

static void sizes_are_powers_of_1024_in_any_spelling(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"4096", 4096},
        {"64K", 65536},
        {"64 KiB", 65536},
        {"64kb", 65536},
        {"1.5G", UINT64_C(1610612736)},
        {"2 TiB", UINT64_C(2) << 40},
        {"15E", UINT64_C(15) << 60},
        {"7 B", 7},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t v = 1;

        assert_int_equal(str_parse_size(cases[i].text, &v), 0);
        assert_int_equal(v, cases[i].bytes);
    }
}

static void nonsense_sizes_are_refused_and_leave_the_output(void **state)
{
    static const char *const bad[] = {"",    "x",    "-1", "1.5", "1.5.5K",
                                      "64Q", "64Kx", "1.", "K",   "+1"};
    uint64_t v = 42;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(str_parse_size(bad[i], &v), -EINVAL);
    assert_int_equal(str_parse_size("16E", &v), -ERANGE);
    assert_int_equal(str_parse_size("99999999999999999999", &v), -ERANGE);
    assert_int_equal(v, 42);
}

static void durations_need_their_unit(void **state)
{
    uint64_t v = 42;

    (void)state;
    assert_int_equal(str_parse_duration_ms("15", &v), -EINVAL);
    assert_int_equal(str_parse_duration_ms("15 parsecs", &v), -EINVAL);
    assert_int_equal(v, 42);
    assert_int_equal(str_parse_duration_ms("250ms", &v), 0);
    assert_int_equal(v, 250);
    assert_int_equal(str_parse_duration_ms("1.5 s", &v), 0);
    assert_int_equal(v, 1500);
    assert_int_equal(str_parse_duration_ms("2min", &v), 0);
    assert_int_equal(v, 120000);
    assert_int_equal(str_parse_duration_ms("14d", &v), 0);
    assert_int_equal(v, UINT64_C(14) * 86400000);
    assert_int_equal(str_parse_duration_ms("0", &v), 0);
    assert_int_equal(v, 0);
}

static void addresses_split_at_the_last_colon(void **state)
{
    char host[16] = "before";
    uint16_t port = 1;

    (void)state;
    assert_int_equal(str_parse_addr("nn1:8670", host, sizeof host, &port), 0);
    assert_string_equal(host, "nn1");
    assert_int_equal(port, 8670);
    assert_int_equal(str_parse_addr("[::1]:80", host, sizeof host, &port), 0);
    assert_string_equal(host, "::1");
    assert_int_equal(port, 80);
    assert_int_equal(str_parse_addr("::1", host, sizeof host, &port), -EINVAL);
    assert_int_equal(str_parse_addr("nn1", host, sizeof host, &port), -EINVAL);
    assert_int_equal(str_parse_addr(":80", host, sizeof host, &port), -EINVAL);
    assert_int_equal(str_parse_addr("nn1:65536", host, sizeof host, &port), -EINVAL);
    assert_int_equal(str_parse_addr("a-name-too-long-for-it:1", host, sizeof host, &port), -EINVAL);
    assert_string_equal(host, "::1");
}

static void an_address_gets_its_port(void **state)
{
    static const char *const wrong[] = {"",    ":1",  "a:",  "a:0", "a:65536",
                                        "a:x", "::1", "a/b", "a b", "a:relative"};
    static const struct {
        const char *text, *full;
    } right[] = {
        {"nn1", "nn1:8670"}, {"nn1:1", "nn1:1"}, {"[::1]", "[::1]:8670"}, {"[::1]:2", "[::1]:2"}};
    char longest[ADDR_TEXT_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(right); i++) {
        char *full = str_full_addr(right[i].text, 8670);

        assert_non_null(full);
        assert_string_equal(full, right[i].full);
        free(full);
    }
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_null(str_full_addr(wrong[i], 8670));
    memset(longest, 'a', sizeof(longest));
    longest[ADDR_TEXT_MAX] = '\0';
    assert_null(str_full_addr(longest, 8670));
}

static void a_list_of_addresses_says_which_is_wrong(void **state)
{
    static const struct {
        const char *list, *problem;
    } wrong[] = {{"", "\"\" is not"},     {"a,,b", "\"\" is not"},   {"a, b:x", "\"b:x\" is not"},
                 {"a,b,", "\"\" is not"}, {"a b", "\"a b\" is not"}, {"a,b,c,d", "more than 3"}};
    char err[80], *full;

    (void)state;
    full = str_full_addrs("a, b:1 ,[::1]", 8670, 3, err, sizeof(err));
    assert_string_equal(full, "a:8670,b:1,[::1]:8670");
    free(full);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_null(str_full_addrs(wrong[i].list, 8670, 3, err, sizeof(err)));
        assert_non_null(strstr(err, wrong[i].problem));
    }
}

static void sizes_and_durations_print_for_people(void **state)
{
    char t[STR_SIZE_MAX];

    (void)state;
    assert_string_equal(str_size(0, t), "0 B");
    assert_string_equal(str_size(1023, t), "1023 B");
    assert_string_equal(str_size(1536, t), "1.5 KiB");
    assert_string_equal(str_size(UINT64_C(1) << 30, t), "1.0 GiB");
    assert_string_equal(str_size(UINT64_MAX, t), "16.0 EiB");
    assert_string_equal(str_duration(250, t), "250 ms");
    assert_string_equal(str_duration(3250, t), "3.2 s");
    assert_string_equal(str_duration(250000, t), "4 min 10 s");
    assert_string_equal(str_duration(7500000, t), "2 h 5 min");
    assert_string_equal(str_duration(47 * UINT64_C(3600000), t), "47 h 0 min");
    assert_string_equal(str_duration(75 * UINT64_C(3600000), t), "3 d 3 h");
}

static void paths_join_with_one_slash(void **state)
{
    char *a = str_path_join("a", "b"), *b = str_path_join("/", "b");

    (void)state;
    assert_string_equal(a, "a/b");
    assert_string_equal(b, "/b");
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_powers_of_1024_in_any_spelling),
        cmocka_unit_test(nonsense_sizes_are_refused_and_leave_the_output),
        cmocka_unit_test(durations_need_their_unit),
        cmocka_unit_test(addresses_split_at_the_last_colon),
        cmocka_unit_test(an_address_gets_its_port),
        cmocka_unit_test(a_list_of_addresses_says_which_is_wrong),
        cmocka_unit_test(sizes_and_durations_print_for_people),
        cmocka_unit_test(paths_join_with_one_slash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
