/*
 * Ctrl-C for commands that have something to clean up: the first SIGINT, SIGTERM or SIGHUP asks
 * them to stop, the second ends the program at once.
 */
#ifndef SHELL_INTERRUPTS_H
#define SHELL_INTERRUPTS_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct interrupts {
    atomic_bool stop;
    pthread_t thread;
    sigset_t before;
};

/* Before other threads are started, so that they don't take the signals. */
void interrupts_init(struct interrupts *i);
void interrupts_done(struct interrupts *i);

#endif
