#include "libdfs/hedge.h"

#include "common/clock.h"
#include "common/compiler.h"

/* Of a member of which little is known. */
static const uint64_t unknown_ns = 50 * CLOCK_NS_PER_MS;
/* Below it a second request costs more than it saves: a turn of the timer that finds it, a seek. */
static const uint64_t min_ns = 5 * CLOCK_NS_PER_MS;
/* However slow it usually is: another one may be better. */
static const uint64_t max_ns = 500 * CLOCK_NS_PER_MS;

void hedge_took(struct hedge_member *m, uint64_t ns)
{
    if (m->reads.count >= HEDGE_REMEMBERED)
        latency_fade(&m->reads);
    latency_note(&m->reads, ns);
}

uint64_t hedge_after_ns(const struct hedge_member *m)
{
    uint64_t p95;

    if (m->reads.count < HEDGE_KNOWN_MIN)
        return unknown_ns;
    p95 = latency_quantile_ns(&m->reads, 950);
    return MIN(MAX(p95, min_ns), max_ns);
}

void hedge_budget_init(struct hedge_budget *b)
{
    b->saved = HEDGE_SAVED * HEDGE_SHARE;
}

void hedge_budget_earn(struct hedge_budget *b)
{
    b->saved = MIN(b->saved + 1, (uint32_t)HEDGE_SAVED * HEDGE_SHARE);
}

bool hedge_budget_spend(struct hedge_budget *b)
{
    if (b->saved < HEDGE_SHARE)
        return false;
    b->saved -= HEDGE_SHARE;
    return true;
}
