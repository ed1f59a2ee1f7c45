#include "common/rng.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/compiler.h"

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* splitmix64: spreads a seed over the state, as the authors of xoshiro advise. */
void rng_seed(struct rng *r, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_COUNT(r->s); i++) {
        uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        r->s[i] = z ^ (z >> 31);
    }
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t below)
{
    uint64_t limit, v;

    assert(below > 0);
    /* Draws above the last whole multiple would favour small numbers: draw again. */
    limit = UINT64_MAX - UINT64_MAX % below;
    do {
        v = rng_u64(r);
    } while (v >= limit);
    return v % below;
}

uint64_t rng_range(struct rng *r, uint64_t min, uint64_t max)
{
    assert(min <= max);
    if (max - min == UINT64_MAX)
        return rng_u64(r);
    return min + rng_below(r, max - min + 1);
}

bool rng_percent(struct rng *r, unsigned percent)
{
    return rng_below(r, 100) < percent;
}

void rng_bytes(struct rng *r, void *out, size_t len)
{
    uint8_t *p = out;

    while (len > 0) {
        uint64_t v = rng_u64(r);
        size_t n = MIN(len, sizeof v);

        for (size_t i = 0; i < n; i++) /* The same bytes whatever the byte order. */
            p[i] = (uint8_t)(v >> (8 * i));
        p += n;
        len -= n;
    }
}

void rng_system_bytes(void *out, size_t len)
{
    uint8_t *p = out;

    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);

        if (n < 0) {
            if (errno == EINTR)
                continue;
            abort(); /* No kernel we run on lacks it; nothing secret could be made. */
        }
        p += n;
        len -= (size_t)n;
    }
}

uint64_t rng_system_u64(void)
{
    uint64_t v;

    rng_system_bytes(&v, sizeof v);
    return v;
}
