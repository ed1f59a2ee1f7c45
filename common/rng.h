/*
 * Chance as an argument: xoshiro256** (Blackman and Vigna), the same numbers from the same seed on
 * every machine. Not for secrets: those come from rng_system_bytes().
 */
#ifndef COMMON_RNG_H
#define COMMON_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

/* Any seed is fine, 0 too. */
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
/* Evenly from 0 to below - 1; below > 0. */
uint64_t rng_below(struct rng *r, uint64_t below);
/* Evenly from min to max, both included. */
uint64_t rng_range(struct rng *r, uint64_t min, uint64_t max);
/* True in percent of 100 calls. */
bool rng_percent(struct rng *r, unsigned percent);
void rng_bytes(struct rng *r, void *out, size_t len);

/* From the kernel: unpredictable. Never fails (it waits for the kernel's pool at boot). */
void rng_system_bytes(void *out, size_t len);
uint64_t rng_system_u64(void);

#endif
