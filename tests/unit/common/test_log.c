/* Log lines are one line each, whatever the facts contain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

/* What a log call writes to stderr. */
struct capture {
    int pipe[2];
    int saved;
    char text[8192];
};

static void capture_begin(struct capture *c)
{
    assert_int_equal(pipe(c->pipe), 0);
    c->saved = dup(STDERR_FILENO);
    (void)dup2(c->pipe[1], STDERR_FILENO);
}

static void capture_end(struct capture *c)
{
    ssize_t n;

    (void)dup2(c->saved, STDERR_FILENO);
    (void)close(c->saved);
    (void)close(c->pipe[1]);
    n = read(c->pipe[0], c->text, sizeof c->text - 1);
    c->text[n > 0 ? n : 0] = '\0';
    (void)close(c->pipe[0]);
}

static void a_line_has_time_level_program_message_and_facts(void **state)
{
    struct capture c;

    (void)state;
    log_init("dfs-test", LOG_LEVEL_INFO);
    capture_begin(&c);
    log_warn("chunk write refused", "chunk=%d epoch=%d", 7, 3);
    capture_end(&c);
    assert_int_equal(c.text[10], 'T');
    assert_int_equal(c.text[26], 'Z');
    assert_string_equal(c.text + 28, "warn dfs-test: chunk write refused chunk=7 epoch=3\n");
}

static void no_facts_leave_no_space_behind(void **state)
{
    struct capture c;

    (void)state;
    capture_begin(&c);
    log_info("serving", "");
    capture_end(&c);
    assert_string_equal(c.text + 28, "info dfs-test: serving\n");
}

/* A name with a newline must not be able to forge a second log line. */
static void control_characters_cannot_start_a_new_line(void **state)
{
    struct capture c;

    (void)state;
    capture_begin(&c);
    log_info("created", "name=%s", "a\n2026 error\x1b[0m");
    capture_end(&c);
    assert_string_equal(c.text + 28, "info dfs-test: created name=a?2026 error?[0m\n");
}

static void long_facts_are_cut_not_overrun(void **state)
{
    static char big[5000];
    struct capture c;

    (void)state;
    memset(big, 'x', sizeof big - 1);
    capture_begin(&c);
    log_info("big", "value=%s", big);
    capture_end(&c);
    assert_true(strlen(c.text) <= 2048);
    assert_int_equal(c.text[strlen(c.text) - 1], '\n');
}

static void what_is_below_the_level_is_silent(void **state)
{
    struct capture c;

    (void)state;
    capture_begin(&c);
    log_debug("noise", "");
    capture_end(&c);
    assert_string_equal(c.text, "");
}

static void levels_parse_by_name(void **state)
{
    enum log_level level = LOG_LEVEL_WARN;

    (void)state;
    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_int_equal(log_level_parse("loud", &level), -EINVAL);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_program_message_and_facts),
        cmocka_unit_test(no_facts_leave_no_space_behind),
        cmocka_unit_test(control_characters_cannot_start_a_new_line),
        cmocka_unit_test(long_facts_are_cut_not_overrun),
        cmocka_unit_test(what_is_below_the_level_is_silent),
        cmocka_unit_test(levels_parse_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
