/* Command lines: uniform help, and mistakes that say what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"

static const struct arg_option options[] = {
    {"conf", 'c', "FILE", "read the configuration from FILE", 'c'},
    {"foreground", 'f', NULL, "stay in the foreground", 'f'},
    {"force", 0, NULL, "do it anyway", 1000},
    {0},
};
static const struct args_spec spec = {
    .program = "dfs-test",
    .usage = "[OPTION]... DIR...",
    .about = "Does a thing.",
    .options = options,
    .rest_min = 0,
    .rest_max = 2,
};

/* Runs the parser over a NULL-terminated command line; what it prints goes to `said`. */
struct outcome {
    char given[64];
    char said[2048];
    int exit_code;
    int rest_count;
    char *rest[8];
};

static int run(const struct args_spec *s, const char *const *words, struct outcome *o)
{
    char *argv[16] = {NULL};
    FILE *sink = tmpfile();
    int saved_out = dup(1), saved_err = dup(2), argc = 0, id;
    struct args a;
    size_t n;

    *o = (struct outcome){0};
    for (; words[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc]; /* Moved about, never written to. */
    (void)fflush(stdout);
    (void)dup2(fileno(sink), 1);
    (void)dup2(fileno(sink), 2);
    args_init(&a, s, argc, argv);
    while ((id = args_next(&a)) > 0)
        (void)snprintf(o->given + strlen(o->given), sizeof o->given - strlen(o->given), "%d%s%s ",
                       id, a.value ? "=" : "", a.value ? a.value : "");
    (void)fflush(stdout);
    (void)dup2(saved_out, 1);
    (void)dup2(saved_err, 2);
    (void)close(saved_out);
    (void)close(saved_err);
    rewind(sink);
    n = fread(o->said, 1, sizeof o->said - 1, sink);
    o->said[n] = '\0';
    (void)fclose(sink);
    o->exit_code = a.exit_code;
    o->rest_count = a.rest_count;
    for (int i = 0; id == ARGS_END && i < a.rest_count; i++)
        o->rest[i] = a.rest[i];
    return id;
}

#define ARGV(...) ((const char *[]){"dfs-test", __VA_ARGS__, NULL})

static void options_and_operands_mix(void **state)
{
    struct outcome o;

    (void)state;
    assert_int_equal(run(&spec, ARGV("a", "-f", "--conf=x", "b", "--force", "-cy"), &o), ARGS_END);
    assert_string_equal(o.given, "102 99=x 1000 99=y ");
    assert_int_equal(o.rest_count, 2);
    assert_string_equal(o.rest[0], "a");
    assert_string_equal(o.rest[1], "b");
}

static void an_unknown_option_is_refused_with_a_hint(void **state)
{
    struct outcome o;

    (void)state;
    assert_int_equal(run(&spec, ARGV("--froce"), &o), ARGS_EXIT);
    assert_int_equal(o.exit_code, 2);
    assert_string_equal(o.said, "dfs-test: unknown option '--froce'; did you mean '--force'?\n"
                                "Try 'dfs-test --help'.\n");
    assert_int_equal(run(&spec, ARGV("--zebra=5"), &o), ARGS_EXIT);
    assert_string_equal(o.said, "dfs-test: unknown option '--zebra'\nTry 'dfs-test --help'.\n");
    assert_int_equal(run(&spec, ARGV("-fx"), &o), ARGS_EXIT);
    assert_string_equal(o.said, "dfs-test: unknown option '-x'\nTry 'dfs-test --help'.\n");
}

static void other_mistakes_say_what_is_wrong(void **state)
{
    struct outcome o;

    (void)state;
    assert_int_equal(run(&spec, ARGV("--fo"), &o), ARGS_EXIT);
    assert_non_null(strstr(o.said, "option '--fo' is ambiguous"));
    assert_int_equal(run(&spec, ARGV("--conf"), &o), ARGS_EXIT);
    assert_non_null(strstr(o.said, "option '--conf' needs a value: --conf=FILE"));
    assert_int_equal(run(&spec, ARGV("-c"), &o), ARGS_EXIT);
    assert_non_null(strstr(o.said, "option '--conf' needs a value: --conf=FILE"));
    assert_int_equal(run(&spec, ARGV("--force=yes"), &o), ARGS_EXIT);
    assert_non_null(strstr(o.said, "option '--force' takes no value"));
    assert_int_equal(run(&spec, ARGV("--help=yes"), &o), ARGS_EXIT);
    assert_non_null(strstr(o.said, "option '--help' takes no value"));
    assert_int_equal(run(&spec, ARGV("a", "b", "c"), &o), ARGS_EXIT);
    assert_non_null(strstr(o.said, "'c' is one operand too many"));
    assert_int_equal(o.exit_code, 2);
}

static void help_and_version_come_by_themselves(void **state)
{
    struct outcome o;

    (void)state;
    assert_int_equal(run(&spec, ARGV("--help"), &o), ARGS_EXIT);
    assert_int_equal(o.exit_code, 0);
    assert_string_equal(o.said, "Usage: dfs-test [OPTION]... DIR...\n"
                                "Does a thing.\n"
                                "\n"
                                "Options:\n"
                                "  -c, --conf=FILE             read the configuration from FILE\n"
                                "  -f, --foreground            stay in the foreground\n"
                                "      --force                 do it anyway\n"
                                "  -h, --help                  show this help and exit\n"
                                "  -V, --version               show the version and exit\n");
    assert_int_equal(run(&spec, ARGV("-V"), &o), ARGS_EXIT);
    assert_int_equal(strncmp(o.said, "dfs-test (dfs) ", 15), 0);
}

static void a_subcommand_keeps_its_own_options(void **state)
{
    struct args_spec outer = spec;
    struct outcome o;

    (void)state;
    outer.stop_at_operand = true;
    outer.rest_max = -1;
    assert_int_equal(run(&outer, ARGV("-f", "ls", "-l", "--help"), &o), ARGS_END);
    assert_string_equal(o.given, "102 ");
    assert_int_equal(o.rest_count, 3);
    assert_string_equal(o.rest[0], "ls");
}

static void hints_are_near_or_none(void **state)
{
    static const char *const words[] = {"ls", "tree", "stat", "status", "mkdir", NULL};

    (void)state;
    assert_string_equal(args_hint("mkdr", words), "mkdir");
    assert_string_equal(args_hint("sta", words), "stat");
    assert_string_equal(args_hint("l", words), "ls");
    assert_null(args_hint("xy", words));
    assert_null(args_hint("completely", words));
    assert_null(args_hint("a-word-that-is-far-longer-than-any-option-could-be", words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_mix),
        cmocka_unit_test(an_unknown_option_is_refused_with_a_hint),
        cmocka_unit_test(other_mistakes_say_what_is_wrong),
        cmocka_unit_test(help_and_version_come_by_themselves),
        cmocka_unit_test(a_subcommand_keeps_its_own_options),
        cmocka_unit_test(hints_are_near_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
