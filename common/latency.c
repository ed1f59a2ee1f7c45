#include "common/latency.h"

#include <string.h>

/* Below it all are alike. */
static const uint64_t unit_ns = 1024;

/* The first doubling is [0, unit) in equal steps, each further one twice as wide. */
static unsigned slot_of(uint64_t ns)
{
    uint64_t steps = ns / (unit_ns / LATENCY_STEPS);
    unsigned doubling = 0;

    while (steps >= 2 * (uint64_t)LATENCY_STEPS) {
        steps /= 2;
        doubling++;
    }
    doubling = doubling * LATENCY_STEPS + (unsigned)steps;
    return doubling < LATENCY_SLOTS ? doubling : LATENCY_SLOTS - 1;
}

/* The first time that is not in the slot any more. */
static uint64_t slot_end_ns(unsigned slot)
{
    uint64_t step_ns = unit_ns / LATENCY_STEPS;
    unsigned doubling = slot / LATENCY_STEPS;

    if (doubling == 0)
        return (slot + 1) * step_ns;
    return ((LATENCY_STEPS + slot % LATENCY_STEPS + 1) * step_ns) << (doubling - 1);
}

void latency_note(struct latency *l, uint64_t ns)
{
    l->slots[slot_of(ns)]++;
    l->count++;
}

uint64_t latency_quantile_ns(const struct latency *l, unsigned permille)
{
    uint64_t rank = (l->count * permille + 999) / 1000, seen = 0;

    if (l->count == 0)
        return 0;
    for (unsigned i = 0; i < LATENCY_SLOTS; i++) {
        seen += l->slots[i];
        if (seen >= rank && seen > 0)
            return slot_end_ns(i);
    }
    return slot_end_ns(LATENCY_SLOTS - 1);
}

void latency_fade(struct latency *l)
{
    l->count = 0;
    for (unsigned i = 0; i < LATENCY_SLOTS; i++) {
        l->slots[i] /= 2;
        l->count += l->slots[i];
    }
}

void latency_clear(struct latency *l)
{
    memset(l, 0, sizeof(*l));
}

static void window_turn(struct latency_window *w, uint64_t now_ns)
{
    uint64_t age_ns = now_ns - (w->since_ns < now_ns ? w->since_ns : now_ns);

    if (age_ns < LATENCY_WINDOW_NS)
        return;
    if (age_ns < 2 * LATENCY_WINDOW_NS)
        w->before = w->recent;
    else
        latency_clear(&w->before);
    latency_clear(&w->recent);
    w->since_ns = now_ns;
}

void latency_window_note(struct latency_window *w, uint64_t took_ns, uint64_t now_ns)
{
    window_turn(w, now_ns);
    latency_note(&w->recent, took_ns);
}

uint64_t latency_window_quantile_ns(struct latency_window *w, unsigned permille, uint64_t now_ns)
{
    struct latency all;

    window_turn(w, now_ns);
    all = w->recent;
    all.count += w->before.count;
    for (unsigned i = 0; i < LATENCY_SLOTS; i++)
        all.slots[i] += w->before.slots[i];
    return latency_quantile_ns(&all, permille);
}
