#include "tests/sim/last_words.h"

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* There if a sanitizer is linked: called after its report, before it ends the process. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static volatile uint64_t running_seed;
static volatile bool is_running;
static char stack[64 << 10]; /* The usual one may be what ran out. */

static void tell_seed(void)
{
    char line[64];
    int len;

    if (!is_running)
        return;
    len = snprintf(line, sizeof(line), "Bail out! aborted at seed=%" PRIu64 "\n", running_seed);
    if (len > 0)
        (void)!write(STDOUT_FILENO, line, (size_t)len);
}

/* By then the signal does again what it did before: the process ends of it. */
static void on_signal(int signal_number)
{
    tell_seed();
    (void)raise(signal_number);
}

/* What a sanitizer has taken for itself stays with it: its report says more. */
static void take(int signal_number)
{
    struct sigaction ours = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK)};
    struct sigaction old;

    if (sigaction(signal_number, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        (void)sigaction(signal_number, &ours, NULL);
}

void last_words_prepare(void)
{
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};

    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(tell_seed);
    else
        (void)sigaltstack(&alternative, NULL);
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        take(deadly[i]);
}

void last_words_seed(uint64_t seed)
{
    running_seed = seed;
    is_running = true;
}

void last_words_try(int signal_number)
{
    char *volatile one = malloc(1);
    volatile size_t at = 1;
    volatile char got = 0;

    if (signal_number != 0)
        (void)raise(signal_number);
    else if (one != NULL)
        got = one[at];
    (void)got;
    free(one);
}
