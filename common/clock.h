/*
 * Time as an argument. Production passes clock_system(); tests and the simulator pass a struct
 * clock_fake and move it by hand. Which clock for what is said at each.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

struct clock {
    uint64_t (*monotonic_ns)(const struct clock *c); /* intervals; stands still in suspend */
    uint64_t (*boottime_ns)(const struct clock *c);  /* leases: counts suspend too */
    int64_t (*wall_ns)(const struct clock *c);       /* since 1970, may jump: file times only */
};

static inline uint64_t clock_monotonic_ns(const struct clock *c)
{
    return c->monotonic_ns(c);
}
static inline uint64_t clock_boottime_ns(const struct clock *c)
{
    return c->boottime_ns(c);
}
static inline int64_t clock_wall_ns(const struct clock *c)
{
    return c->wall_ns(c);
}

/* The machine's. Static storage, any thread. */
const struct clock *clock_system(void);

/* For programs at a terminal that wait for others; daemons use timers of their loop. */
void clock_sleep_ms(unsigned ms);

/* Stands still until it is moved: pass &fake.clock. */
struct clock_fake {
    struct clock clock;
    uint64_t now_ns;        /* monotonic and boottime */
    int64_t wall_offset_ns; /* wall = now + offset */
};
void clock_fake_init(struct clock_fake *f, uint64_t now_ns, int64_t wall_ns);
void clock_fake_advance(struct clock_fake *f, uint64_t ns);

#define CLOCK_NS_PER_MS UINT64_C(1000000)
#define CLOCK_NS_PER_S UINT64_C(1000000000)

#endif
