/* Configuration: every mistake is told with its place and what would be right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/conf.h"

static struct conf *load(const char *text)
{
    struct conf *c = NULL;

    assert_int_equal(conf_load_text("dfs.conf", text, strlen(text), &c), 0);
    return c;
}

static void values_come_with_their_types_and_defaults(void **state)
{
    static const char *const words[] = {"off", "on", "auto", NULL};
    struct conf *c = load("# cluster\n[namenode]\nlisten = 0.0.0.0:8670\nid = 3\ncache = 1.5 GiB\n"
                          "lease = 15s\ndata_tls = off\nmode = auto ; why not\n");

    (void)state;
    assert_string_equal(conf_str(c, "namenode", "listen", "x"), "0.0.0.0:8670");
    assert_int_equal(conf_u64(c, "namenode", "id", 1, 1, 9), 3);
    assert_int_equal(conf_size(c, "namenode", "cache", 0, 0, UINT64_MAX), 1610612736);
    assert_int_equal(conf_duration_ms(c, "namenode", "lease", 1, 1, 60000), 15000);
    assert_false(conf_bool(c, "namenode", "data_tls", true));
    assert_int_equal(conf_choice(c, "namenode", "mode", words, 0), 2);
    assert_int_equal(conf_u64(c, "namenode", "not_there", 7, 1, 9), 7);
    assert_null(conf_str(c, "namenode", "nor_this", NULL));
    assert_int_equal(conf_check(c), 0);
    assert_string_equal(conf_problems(c), "");
    conf_free(c);
}

/* A directory with a configuration and certificates can be moved, or shared, as it is. */
static void relative_files_are_beside_the_configuration(void **state)
{
    static const char text[] = "[tls]\nca = ca.crt\nkey = /k/nn.key\n";
    struct conf *c = NULL;

    (void)state;
    assert_int_equal(conf_load_text("/etc/dfs/dfs.conf", text, strlen(text), &c), 0);
    conf_set(c, "tls", "cert", "typed.crt");
    assert_string_equal(conf_file(c, "tls", "ca"), "/etc/dfs/ca.crt");
    assert_string_equal(conf_file(c, "tls", "ca"), "/etc/dfs/ca.crt");
    assert_string_equal(conf_file(c, "tls", "key"), "/k/nn.key");
    assert_string_equal(conf_file(c, "tls", "cert"), "typed.crt");
    assert_null(conf_file(c, "tls", "none"));
    conf_free(c);
    assert_int_equal(conf_load_text("dfs.conf", text, strlen(text), &c), 0);
    assert_string_equal(conf_file(c, "tls", "ca"), "ca.crt");
    conf_free(c);
}

static void all_mistakes_are_told_at_once_with_line_and_range(void **state)
{
    static const char *const words[] = {"off", "on", NULL};
    struct conf *c = load("[a]\nport = 70000\nsize = big\ntime = 15\nflag = maybe\nword = of\n");

    (void)state;
    assert_int_equal(conf_u64(c, "a", "port", 8670, 1, 65535), 8670);
    assert_int_equal(conf_size(c, "a", "size", 5, 1, 1 << 20), 5);
    assert_int_equal(conf_duration_ms(c, "a", "time", 6, 1, 1000), 6);
    assert_true(conf_bool(c, "a", "flag", true));
    assert_int_equal(conf_choice(c, "a", "word", words, 1), 1);
    assert_null(conf_str_required(c, "a", "needed"));
    assert_int_equal(conf_check(c), -EINVAL);
    assert_string_equal(
        conf_problems(c),
        "dfs.conf:2: a.port = '70000': must be a number from 1 to 65535\n"
        "dfs.conf:3: a.size = 'big': must be a size like 64M or 1.5 GiB, from 1 B to 1.0 MiB\n"
        "dfs.conf:4: a.time = '15': must be a time with its unit like 250ms, 15s, 2m, 1h or 14d, "
        "from 1 ms to 1.0 s\n"
        "dfs.conf:5: a.flag = 'maybe': must be on or off\n"
        "dfs.conf:6: a.word = 'of': must be one of: off, on\n"
        "dfs.conf: a.needed must be set\n");
    conf_free(c);
}

static void unknown_keys_get_a_hint(void **state)
{
    struct conf *c = load("[a]\nlistn = x\nzzz = 1\nmovd = 2\nother = 3\n[alien]\nk = v\n");

    (void)state;
    (void)conf_str(c, "a", "listen", NULL);
    (void)conf_str(c, "b", "other", NULL);
    conf_ignore_section(c, "alien");
    assert_int_equal(conf_check(c), -EINVAL);
    assert_string_equal(conf_problems(c),
                        "dfs.conf:2: unknown key a.listn; did you mean 'listen'?\n"
                        "dfs.conf:3: unknown key a.zzz\n"
                        "dfs.conf:4: unknown key a.movd\n"
                        "dfs.conf:5: unknown key a.other; it belongs into section [b]\n");
    assert_int_equal(conf_check(c), -EINVAL);
    conf_free(c);
}

static void bad_syntax_and_double_keys_are_told(void **state)
{
    struct conf *c = load("[a]\nx = 1\nx = 2\nwhat is this\n");

    (void)state;
    assert_int_equal(conf_u64(c, "a", "x", 0, 0, 9), 1);
    assert_int_equal(conf_check(c), -EINVAL);
    assert_string_equal(
        conf_problems(c),
        "dfs.conf:3: a.x was set before, in line 2\n"
        "dfs.conf:4: not understood: expected [section], key = value, or # comment\n");
    conf_free(c);
}

/* Somebody names the wrong file: one sentence, and nothing that a terminal would obey. */
static void what_is_no_text_is_told_once(void **state)
{
    static const char text[] = "[a]\nx = 1\n\0\1\2\3\nwhat\n";
    struct conf *c = NULL;

    (void)state;
    assert_int_equal(conf_load_text("dfs.conf", text, sizeof text - 1, &c), 0);
    assert_int_equal(conf_check(c), -EINVAL);
    assert_string_equal(conf_problems(c),
                        "dfs.conf:3: this is no text file: it holds a NUL byte\n");
    conf_free(c);
    c = load("[a]\n\033[2Jkey = 1\n");
    assert_int_equal(conf_check(c), -EINVAL);
    assert_null(strchr(conf_problems(c), '\033'));
    conf_free(c);
}

static void the_command_line_wins_and_is_named(void **state)
{
    struct conf *c = load("[a]\nx = 1\n");

    (void)state;
    conf_set(c, "a", "x", "5");
    conf_set(c, "a", "y", "bad");
    assert_int_equal(conf_u64(c, "a", "x", 0, 0, 9), 5);
    assert_int_equal(conf_u64(c, "a", "y", 0, 0, 9), 0);
    assert_int_equal(conf_check(c), -EINVAL);
    assert_string_equal(conf_problems(c),
                        "command line: a.y = 'bad': must be a number from 0 to 9\n");
    conf_free(c);
}

static void a_section_can_be_a_list(void **state)
{
    struct conf *c = load("[targets]\nd0 = /a\nd1 = /b\n");

    (void)state;
    assert_true(conf_has_section(c, "targets"));
    assert_string_equal(conf_key_at(c, "targets", 0), "d0");
    assert_string_equal(conf_key_at(c, "targets", 1), "d1");
    assert_null(conf_key_at(c, "targets", 2));
    conf_problem(c, "targets", "d1", "is %s", "no directory");
    assert_int_equal(conf_check(c), -EINVAL);
    assert_string_equal(conf_problems(c), "dfs.conf:3: targets.d1 = '/b': is no directory\n");
    conf_free(c);
}

/* Long values are lists of addresses or paths: 200 bytes, the library's default, cut them. */
static void long_lines_are_whole_or_refused(void **state)
{
    static char text[10000];
    struct conf *c;

    (void)state;
    strcpy(text, "[a]\nx = ");
    memset(text + 8, 'v', 3000);
    c = load(text);
    assert_int_equal(strlen(conf_str(c, "a", "x", "")), 3000);
    assert_int_equal(conf_check(c), 0);
    conf_free(c);
    memset(text + 8, 'v', 9000);
    c = load(text);
    (void)conf_str(c, "a", "x", "");
    assert_int_equal(conf_check(c), -EINVAL);
    conf_free(c);
}

static void a_missing_file_is_an_error(void **state)
{
    struct conf *c = NULL;

    (void)state;
    assert_int_equal(conf_load("/nonexistent/dfs.conf", &c), -ENOENT);
    assert_null(c);
    c = conf_new();
    assert_int_equal(conf_check(c), 0);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_with_their_types_and_defaults),
        cmocka_unit_test(relative_files_are_beside_the_configuration),
        cmocka_unit_test(all_mistakes_are_told_at_once_with_line_and_range),
        cmocka_unit_test(unknown_keys_get_a_hint),
        cmocka_unit_test(bad_syntax_and_double_keys_are_told),
        cmocka_unit_test(what_is_no_text_is_told_once),
        cmocka_unit_test(the_command_line_wins_and_is_named),
        cmocka_unit_test(a_section_can_be_a_list),
        cmocka_unit_test(long_lines_are_whole_or_refused),
        cmocka_unit_test(a_missing_file_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
