/*
 * When a read gets company: a second member is asked when the first takes longer than nineteen of
 * twenty of its reads do (hedge_after_ns), and only as long as there is budget: one extra read for
 * twenty that were sent, and a few saved up. So a cluster that is slow because it is overloaded gets
 * a twentieth more load, and not twice as much. Pure.
 *
 * Dean, Barroso: The Tail at Scale, CACM 2013.
 */
#ifndef LIBDFS_HEDGE_H
#define LIBDFS_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/latency.h"

enum {
    HEDGE_SHARE = 20,        /* one of so many reads */
    HEDGE_SAVED = 64,        /* and at most so many at once after a quiet time */
    HEDGE_KNOWN_MIN = 20,    /* reads of a member before its quantile says anything */
    HEDGE_REMEMBERED = 1024, /* then what is older counts half */
};

/* What one datanode's reads take. Zeros are one of which nothing is known. */
struct hedge_member {
    struct latency reads;
};

/* One budget for all. */
struct hedge_budget {
    uint32_t saved; /* in 1/HEDGE_SHARE of a read */
};

void hedge_took(struct hedge_member *m, uint64_t ns);
/* A read that has waited so long for this member is worth a second one. */
uint64_t hedge_after_ns(const struct hedge_member *m);

void hedge_budget_init(struct hedge_budget *b);
/* A read was sent, not as company of another. */
void hedge_budget_earn(struct hedge_budget *b);
/* True: one extra read may be sent, and is paid for. */
bool hedge_budget_spend(struct hedge_budget *b);

#endif
