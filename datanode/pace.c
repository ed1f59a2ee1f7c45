#include "datanode/pace.h"

#include "common/clock.h"
#include "common/compiler.h"

static const uint64_t window_ns = 100 * CLOCK_NS_PER_MS;
/* After this without client operations nobody is disturbed. */
static const uint64_t idle_ns = 2 * CLOCK_NS_PER_S;
static const uint64_t goal_min_ns = 10 * CLOCK_NS_PER_MS;
static const uint64_t step = 4 << 20; /* a window: 40 MiB/s more each second */
/* What clients feel without us is looked at so often, for so long. */
static const uint64_t pause_every_ns = 10 * CLOCK_NS_PER_S, pause_ns = 300 * CLOCK_NS_PER_MS;
static const uint64_t bucket_ns = 50 * CLOCK_NS_PER_MS;
static const uint64_t wait_min_ns = CLOCK_NS_PER_MS, wait_max_ns = 100 * CLOCK_NS_PER_MS;
enum { GOAL_FACTOR = 3, WINDOWS_MAX = 64 };

static uint64_t floor_of(const struct pace *p)
{
    return MIN(p->urgent ? PACE_FLOOR_URGENT : PACE_FLOOR, p->cap);
}

void pace_init(struct pace *p, uint64_t cap, uint64_t now_ns)
{
    *p = (struct pace){.cap = cap == 0 ? PACE_RATE_MAX : cap,
                       .filled_ns = now_ns,
                       .window_ns = now_ns,
                       .was_calm = true};
    p->rate = p->cap;
}

uint64_t pace_goal_ns(const struct pace *p)
{
    return MAX(goal_min_ns, GOAL_FACTOR * p->calm_ns);
}

uint64_t pace_rate(const struct pace *p)
{
    return MAX(p->rate, floor_of(p));
}

/* Half of what was really copied: a rate that nobody used says nothing. */
static void slow_down(struct pace *p)
{
    uint64_t used = p->taken_rate < (double)p->rate ? (uint64_t)p->taken_rate : p->rate;

    p->rate = MAX(used / 2, floor_of(p));
}

static void learn_calm(struct pace *p)
{
    p->calm_ns = p->calm_ns == 0 ? p->felt_ns : (p->calm_ns * 3 + p->felt_ns) / 4;
    p->next_pause_ns = p->window_ns + pause_every_ns;
}

/* Copying goes on for long: is it still true what clients felt before it? */
static void pause_now_and_then(struct pace *p)
{
    if (p->window_ns < p->next_pause_ns)
        return;
    p->pause_until_ns = p->window_ns + pause_ns;
    p->next_pause_ns = p->window_ns + pause_every_ns;
}

/* A window is over. */
static void judge(struct pace *p)
{
    bool is_calm = p->taken == 0 && p->tokens >= 0;

    p->taken_rate =
        p->taken_rate * 0.75 + (double)p->taken * (double)CLOCK_NS_PER_S / (double)window_ns * 0.25;
    p->taken = 0;
    if (p->clients.count > 0) {
        p->felt_ns = latency_quantile_ns(&p->clients, 900);
        /* What the last window copied may still be felt. */
        if (is_calm && p->was_calm)
            learn_calm(p);
        else if (p->felt_ns > pace_goal_ns(p))
            slow_down(p);
        else
            p->rate = MIN(p->rate + step, p->cap);
        pause_now_and_then(p);
    } else if (p->client_ns == 0 || p->window_ns - MIN(p->client_ns, p->window_ns) >= idle_ns) {
        p->rate = MIN(p->rate * 2, p->cap);
    }
    p->rate = MAX(p->rate, floor_of(p));
    p->was_calm = is_calm;
    latency_clear(&p->clients);
}

static void fill(struct pace *p, uint64_t until_ns)
{
    double rate = (double)pace_rate(p) / (double)CLOCK_NS_PER_S;
    double most = rate * (double)bucket_ns;

    if (until_ns <= p->filled_ns)
        return;
    p->tokens += rate * (double)(until_ns - p->filled_ns);
    if (p->tokens > most)
        p->tokens = most;
    p->filled_ns = until_ns;
}

static void advance(struct pace *p, uint64_t now_ns)
{
    /* After a long silence the last windows say all. */
    if (now_ns - MIN(p->window_ns, now_ns) > WINDOWS_MAX * window_ns)
        p->window_ns = now_ns - WINDOWS_MAX * window_ns;
    while (now_ns >= p->window_ns + window_ns) {
        p->window_ns += window_ns;
        fill(p, p->window_ns);
        judge(p);
    }
    fill(p, now_ns);
}

void pace_client_took(struct pace *p, uint64_t took_ns, uint64_t now_ns)
{
    advance(p, now_ns);
    latency_note(&p->clients, took_ns);
    p->client_ns = now_ns;
}

void pace_set_urgent(struct pace *p, bool urgent)
{
    p->urgent = urgent;
}

bool pace_take(struct pace *p, uint64_t bytes, uint64_t now_ns)
{
    advance(p, now_ns);
    if (p->tokens < 0 || now_ns < p->pause_until_ns)
        return false;
    p->tokens -= (double)bytes;
    p->taken += bytes;
    return true;
}

uint64_t pace_wait_ns(const struct pace *p)
{
    double owed = p->tokens < 0 ? -p->tokens : 0;
    double ns = owed * (double)CLOCK_NS_PER_S / (double)pace_rate(p);

    if (p->window_ns < p->pause_until_ns)
        return wait_max_ns;
    return ns >= (double)wait_max_ns ? wait_max_ns : MAX((uint64_t)ns, wait_min_ns);
}
