/* See signals.h. */
#include "fuse/signals.h"

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t bit(int signum)
{
    return UINT64_C(1) << (signum - 1);
}

/* The mask after "\nNAME:\t", in hexadecimal. */
static bool find_mask(const char *status, const char *name, uint64_t *ret_mask)
{
    const char *p = strstr(status, name);
    char *end;

    if (p == NULL)
        return false;
    p += strlen(name);
    *ret_mask = strtoull(p, &end, 16);
    return end != p;
}

bool signals_end(const char *status)
{
    /* Asked to end, whether it has a handler or not. What else ends a process has become SIGKILL. */
    static const int asking[] = {SIGKILL, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    /* These leave a core, which the process itself writes: they stay what they are until then. */
    static const int dumping[] = {SIGABRT, SIGXCPU, SIGXFSZ, SIGSYS, SIGTRAP,
                                  SIGSEGV, SIGBUS,  SIGFPE,  SIGILL};
    uint64_t thread, process, blocked, ignored, caught, ends = 0;

    if (!find_mask(status, "\nSigPnd:\t", &thread) || !find_mask(status, "\nShdPnd:\t", &process) ||
        !find_mask(status, "\nSigBlk:\t", &blocked) ||
        !find_mask(status, "\nSigIgn:\t", &ignored) || !find_mask(status, "\nSigCgt:\t", &caught))
        return true;
    for (size_t i = 0; i < sizeof(dumping) / sizeof(dumping[0]); i++)
        ends |= bit(dumping[i]);
    ends &= ~caught;
    for (size_t i = 0; i < sizeof(asking) / sizeof(asking[0]); i++)
        ends |= bit(asking[i]);
    return ((thread | process) & ~blocked & ~ignored & ends) != 0;
}
