/* Attributes, paths and progress as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "shell/format.h"
#include "shell/progress.h"

static void modes_look_as_in_ls(void **state)
{
    char m[FORMAT_MODE_MAX];

    (void)state;
    assert_string_equal(format_mode(S_IFREG | 0644, m), "-rw-r--r--");
    assert_string_equal(format_mode(S_IFDIR | 01777, m), "drwxrwxrwt");
    assert_string_equal(format_mode(S_IFREG | 06711, m), "-rws--s--x");
    assert_string_equal(format_mode(S_IFREG | 07000, m), "---S--S--T");
    assert_string_equal(format_mode(S_IFLNK | 0777, m), "lrwxrwxrwx");
}

/* A negative time has its fraction counted forwards, as struct timespec does. */
static void times_are_local_and_round_down(void **state)
{
    char t[FORMAT_TIME_MAX];

    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    assert_string_equal(format_time(0, t), "1970-01-01 00:00");
    assert_string_equal(format_time_full(1500000000, t), "1970-01-01 00:00:01.500000000 +0000");
    assert_string_equal(format_time_full(-1, t), "1969-12-31 23:59:59.999999999 +0000");
}

static void unknown_owners_are_numbers(void **state)
{
    char o[FORMAT_OWNER_MAX];

    (void)state;
    assert_string_equal(format_user(0, o), "root");
    assert_string_equal(format_user(4000000123U, o), "4000000123");
    assert_string_equal(format_group(4000000123U, o), "4000000123");
}

static void assert_path(char *path_take, const char *want)
{
    assert_string_equal(path_take, want);
    free(path_take);
}

static void paths_are_joined_and_cut(void **state)
{
    (void)state;
    assert_path(format_path("/", "a"), "/a");
    assert_path(format_path("/a", "b"), "/a/b");
    assert_path(format_path("/a/", "b"), "/a/b");
    assert_path(format_base("/a/b"), "b");
    assert_path(format_base("/a/b//"), "b");
    assert_path(format_base("b"), "b");
    assert_path(format_base("/"), "/");
}

/* JSON is UTF-8; names are any bytes. A listing must not fail for one of them. */
static void names_that_are_no_utf8_still_make_json(void **state)
{
    json_t *j = format_json_name("a\xff"
                                 "b");

    (void)state;
    assert_string_equal(json_string_value(j), "a\xef\xbf\xbd"
                                              "b");
    json_decref(j);
}

static void a_stat_is_complete_as_json(void **state)
{
    const struct dfs_stat st = {.ino = 7, .mode = S_IFLNK | 0777, .size = 3, .nlink = 1};
    json_t *j = format_json_stat("/l", &st, "abc");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(j, "path")), "/l");
    assert_string_equal(json_string_value(json_object_get(j, "type")), "symbolic link");
    assert_string_equal(json_string_value(json_object_get(j, "mode")), "0777");
    assert_string_equal(json_string_value(json_object_get(j, "target")), "abc");
    assert_int_equal(json_integer_value(json_object_get(j, "ino")), 7);
    json_decref(j);
}

static void progress_tells_rate_and_time_left(void **state)
{
    struct progress_state s = {.files_done = 2,
                               .files_total = 8,
                               .bytes_done = 2 << 20,
                               .bytes_total = 8 << 20,
                               .elapsed_ms = 1000};
    char line[PROGRESS_LINE_MAX];

    (void)state;
    assert_string_equal(progress_line(&s, line),
                        "2.0 MiB of 8.0 MiB, 2 of 8 files, 2.0 MiB/s, 3 s left");
    s.bytes_total = 300 << 20;
    assert_string_equal(progress_line(&s, line),
                        "2.0 MiB of 300.0 MiB, 2 of 8 files, 2.0 MiB/s, 2 min 29 s left");
    s.files_total = s.bytes_total = 0;
    assert_string_equal(progress_line(&s, line), "2.0 MiB, 2 files, 2.0 MiB/s");
    s.elapsed_ms = 10; /* A rate now would be noise. */
    s.files_done = 1;
    assert_string_equal(progress_line(&s, line), "2.0 MiB, 1 file");
}

/* Where nobody knows how many bytes there are, what is counted says how long it takes. */
static void progress_of_other_things_tells_time_left_by_their_number(void **state)
{
    struct progress_state s = {.files_done = 7,
                               .files_total = 64,
                               .bytes_done = 2 << 20,
                               .elapsed_ms = 7000,
                               .noun = "placement group"};
    char line[PROGRESS_LINE_MAX];

    (void)state;
    assert_string_equal(progress_line(&s, line),
                        "2.0 MiB, 7 of 64 placement groups, 292.6 KiB/s, 57 s left");
    s.bytes_done = 0;
    assert_string_equal(progress_line(&s, line), "7 of 64 placement groups, 57 s left");
    s.files_done = 0;
    assert_string_equal(progress_line(&s, line), "0 of 64 placement groups");
    s.files_done = 65; /* More came meanwhile. */
    assert_string_equal(progress_line(&s, line), "65 of 64 placement groups");
    s.files_total = s.files_done = 1;
    assert_string_equal(progress_line(&s, line), "1 of 1 placement group");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_look_as_in_ls),
        cmocka_unit_test(times_are_local_and_round_down),
        cmocka_unit_test(unknown_owners_are_numbers),
        cmocka_unit_test(paths_are_joined_and_cut),
        cmocka_unit_test(names_that_are_no_utf8_still_make_json),
        cmocka_unit_test(a_stat_is_complete_as_json),
        cmocka_unit_test(progress_tells_rate_and_time_left),
        cmocka_unit_test(progress_of_other_things_tells_time_left_by_their_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
