#include "shell/interrupts.h"

#include <stdint.h>
#include <unistd.h>

#include "common/clock.h"

/* timeout(1) sends each signal twice, to the process and to its group: those are one. */
enum { EXIT_KILLED = 130, SAME_MS = 300 };

static void *wait_for_signals(void *arg)
{
    struct interrupts *i = arg;
    uint64_t first_ns = 0, now_ns;
    sigset_t set;
    int signum;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    while (sigwait(&set, &signum) == 0) {
        now_ns = clock_monotonic_ns(clock_system());
        if (!i->stop)
            first_ns = now_ns;
        else if (now_ns - first_ns > SAME_MS * CLOCK_NS_PER_MS)
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
