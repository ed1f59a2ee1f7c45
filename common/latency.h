/*
 * How long things took, as a histogram: eight steps to each doubling, so that a quantile is told at
 * most an eighth too high, up to two minutes, in a KiB. Pure.
 *
 * What is remembered is up to the caller: latency_fade() halves the weight of all that was noted so
 * far, latency_clear() begins anew, a window forgets by time.
 */
#ifndef COMMON_LATENCY_H
#define COMMON_LATENCY_H

#include <stdint.h>

enum {
    LATENCY_STEPS = 8,
    LATENCY_DOUBLINGS = 28,
    LATENCY_SLOTS = LATENCY_STEPS * LATENCY_DOUBLINGS
};

/* Zeros are an empty one. */
struct latency {
    uint32_t slots[LATENCY_SLOTS];
    uint64_t count;
};

void latency_note(struct latency *l, uint64_t ns);
/* The time within which so many of a thousand were done: 990 is the p99. 0: nothing was noted. */
uint64_t latency_quantile_ns(const struct latency *l, unsigned permille);
void latency_fade(struct latency *l);
void latency_clear(struct latency *l);

/* Those of the last LATENCY_WINDOW_NS, and of up to as long before. Zeros are an empty one. */
#define LATENCY_WINDOW_NS UINT64_C(5000000000)
struct latency_window {
    struct latency recent, before;
    uint64_t since_ns; /* of the recent ones; 0: nothing was noted yet */
};

void latency_window_note(struct latency_window *w, uint64_t took_ns, uint64_t now_ns);
uint64_t latency_window_quantile_ns(struct latency_window *w, unsigned permille, uint64_t now_ns);

#endif
