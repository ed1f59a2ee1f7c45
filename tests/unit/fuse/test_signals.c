/* Which signals make a call on the mount fail with EINTR, by the text of /proc/PID/status. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fuse/signals.h"

static unsigned long long bit(int signum)
{
    return signum == 0 ? 0 : 1ULL << (signum - 1);
}

/* A process with one signal of each kind; 0: none. */
static bool ends(int thread, int process, int blocked, int ignored, int caught)
{
    char text[512];

    snprintf(text, sizeof(text),
             "Name:\tx\nSigQ:\t1/94000\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\n"
             "SigIgn:\t%016llx\nSigCgt:\t%016llx\nCapInh:\t0\n",
             bit(thread), bit(process), bit(blocked), bit(ignored), bit(caught));
    return signals_end(text);
}

/* stat(2) on a local disk never fails because a timer went off: programs do not expect it. */
static void timers_and_children_are_not_felt(void **state)
{
    static const int harmless[] = {SIGALRM, SIGVTALRM, SIGPROF, SIGCHLD, SIGURG,  SIGWINCH,
                                   SIGUSR1, SIGUSR2,   SIGIO,   SIGTSTP, SIGCONT, SIGSTOP};

    (void)state;
    assert_false(ends(0, 0, 0, 0, 0));
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        assert_false(ends(harmless[i], 0, 0, 0, harmless[i]));
        assert_false(ends(0, harmless[i], 0, 0, 0));
    }
    assert_false(ends(SIGRTMIN, SIGRTMAX, 0, 0, 0));
}

/* Who presses ^C wants out, also of a program that cleans up first. */
static void being_asked_to_end_is_felt_with_a_handler_too(void **state)
{
    static const int asking[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGKILL};

    (void)state;
    for (size_t i = 0; i < sizeof(asking) / sizeof(asking[0]); i++) {
        assert_true(ends(asking[i], 0, 0, 0, 0));
        assert_true(ends(0, asking[i], 0, 0, asking[i]));
        assert_true(ends(SIGALRM, asking[i], 0, 0, SIGALRM));
        assert_false(ends(0, asking[i], asking[i], 0, 0));
        assert_false(ends(0, asking[i], 0, asking[i], 0));
    }
}

static void what_leaves_a_core_is_felt_unless_it_is_caught(void **state)
{
    (void)state;
    assert_true(ends(SIGABRT, 0, 0, 0, 0));
    assert_true(ends(0, SIGXCPU, 0, 0, 0));
    assert_false(ends(0, SIGXCPU, 0, 0, SIGXCPU));
}

/* Better an error than a process that nothing can end. */
static void a_text_that_is_no_status_ends_the_wait(void **state)
{
    (void)state;
    assert_true(signals_end(""));
    assert_true(signals_end("Name:\tx\nSigPnd:\t0000000000000000\n"));
    assert_true(signals_end("\nSigPnd:\t0\nShdPnd:\tx\nSigBlk:\t0\nSigIgn:\t0\nSigCgt:\t0\n"));
}

/* The text is what this kernel writes. */
static void a_process_of_this_machine_is_understood(void **state)
{
    char text[8192];
    FILE *f = fopen("/proc/self/status", "re");
    sigset_t set;
    size_t n;

    (void)state;
    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    assert_false(signals_end(text));
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    assert_int_equal(raise(SIGTERM), 0);
    f = fopen("/proc/self/status", "re");
    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    assert_false(signals_end(text));
    /* The same, as if it were not blocked. */
    memcpy(strstr(text, "\nSigBlk:\t") + 9, "0000000000000000", 16);
    assert_true(signals_end(text));
    assert_int_equal(sigtimedwait(&set, NULL, &(struct timespec){0}), SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_and_children_are_not_felt),
        cmocka_unit_test(being_asked_to_end_is_felt_with_a_handler_too),
        cmocka_unit_test(what_leaves_a_core_is_felt_unless_it_is_caught),
        cmocka_unit_test(a_text_that_is_no_status_ends_the_wait),
        cmocka_unit_test(a_process_of_this_machine_is_understood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
