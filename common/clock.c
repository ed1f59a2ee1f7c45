#include "common/clock.h"

#include <errno.h>
#include <time.h>

#include "common/compiler.h"

static uint64_t read_ns(clockid_t id)
{
    struct timespec t;

    (void)clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t system_monotonic_ns(const struct clock *c)
{
    (void)c;
    return read_ns(CLOCK_MONOTONIC);
}

static uint64_t system_boottime_ns(const struct clock *c)
{
    (void)c;
    return read_ns(CLOCK_BOOTTIME);
}

static int64_t system_wall_ns(const struct clock *c)
{
    (void)c;
    return (int64_t)read_ns(CLOCK_REALTIME);
}

const struct clock *clock_system(void)
{
    static const struct clock system = {system_monotonic_ns, system_boottime_ns, system_wall_ns};

    return &system;
}

void clock_sleep_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        continue;
}

static const struct clock_fake *fake_of(const struct clock *c)
{
    return (const struct clock_fake *)c; /* clock is the first member. */
}

static uint64_t fake_now_ns(const struct clock *c)
{
    return fake_of(c)->now_ns;
}

static int64_t fake_wall_ns(const struct clock *c)
{
    return (int64_t)fake_of(c)->now_ns + fake_of(c)->wall_offset_ns;
}

void clock_fake_init(struct clock_fake *f, uint64_t now_ns, int64_t wall_ns)
{
    *f = (struct clock_fake){.clock = {fake_now_ns, fake_now_ns, fake_wall_ns},
                             .now_ns = now_ns,
                             .wall_offset_ns = wall_ns - (int64_t)now_ns};
}

void clock_fake_advance(struct clock_fake *f, uint64_t ns)
{
    f->now_ns += ns;
}
