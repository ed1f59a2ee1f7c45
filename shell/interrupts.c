#include "shell/interrupts.h"

#include <unistd.h>

enum { EXIT_KILLED = 130 };

static void *wait_for_signals(void *arg)
{
    struct interrupts *i = arg;
    sigset_t set;
    int signum;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    while (sigwait(&set, &signum) == 0) {
        if (i->stop)
            _exit(EXIT_KILLED);
        i->stop = true;
    }
    return NULL;
}

void interrupts_init(struct interrupts *i)
{
    sigset_t set;

    *i = (struct interrupts){.stop = false};
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, &i->before);
    (void)pthread_create(&i->thread, NULL, wait_for_signals, i);
}

void interrupts_done(struct interrupts *i)
{
    (void)pthread_cancel(i->thread); /* sigwait() is where it can be cancelled. */
    (void)pthread_join(i->thread, NULL);
    pthread_sigmask(SIG_SETMASK, &i->before, NULL);
}
