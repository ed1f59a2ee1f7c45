#include "datanode/copying.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "datanode/pace.h"

/* An urgent join asks for one thing after the other: between two it is still urgent. */
static const uint64_t urgent_ns = CLOCK_NS_PER_S;

struct copying {
    struct loop *loop;
    struct loop_timer *timer;
    struct pace pace;
    struct copy_turn *queues[2][COPY_KINDS]; /* urgent ones, others */
    uint64_t waiting;
    uint64_t urgent_until_ns;
    bool is_checking, is_running, is_unpaced, is_over;
};

/* The first queue from which something may run. */
static struct copy_turn **next_queue(struct copying *c)
{
    for (unsigned u = 0; u < 2; u++)
        for (unsigned k = 0; k < COPY_KINDS; k++)
            if (c->queues[u][k] != NULL && (k == COPY_DATA || !c->is_checking))
                return &c->queues[u][k];
    return NULL;
}

static void run_next(void *ctx)
{
    struct copying *c = ctx;
    struct copy_turn **queue, *t;

    if (c->is_running)
        return;
    c->is_running = true;
    while ((queue = next_queue(c)) != NULL) {
        uint64_t now = loop_now_ns(c->loop);

        t = *queue;
        pace_set_urgent(&c->pace, now < c->urgent_until_ns);
        if (!pace_take(&c->pace, t->bytes, now)) {
            if (!loop_timer_is_active(c->timer))
                loop_timer_start(
                    c->timer, (pace_wait_ns(&c->pace) + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS, 0);
            break;
        }
        DL_DELETE(*queue, t);
        c->waiting--;
        c->is_checking |= t->kind != COPY_DATA;
        t->run(t, false);
    }
    c->is_running = false;
}

void copying_enter(struct copying *c, struct copy_turn *t)
{
    if (c->is_over || c->is_unpaced) {
        t->run(t, c->is_over);
        return;
    }
    if (t->is_urgent)
        c->urgent_until_ns = loop_now_ns(c->loop) + urgent_ns;
    DL_APPEND(c->queues[t->is_urgent ? 0 : 1][t->kind], t);
    c->waiting++;
    run_next(c);
}

void copying_checked(struct copying *c)
{
    assert(c->is_checking || c->is_unpaced);
    c->is_checking = false;
    run_next(c);
}

void copying_client_took(struct copying *c, uint64_t took_ns)
{
    pace_client_took(&c->pace, took_ns, loop_now_ns(c->loop));
}

uint64_t copying_rate(const struct copying *c)
{
    return pace_rate(&c->pace);
}

uint64_t copying_waiting(const struct copying *c)
{
    return c->waiting;
}

struct copying *copying_new(struct loop *loop, uint64_t cap)
{
    struct copying *c = MEM_NEW(struct copying);

    c->loop = loop;
    c->is_unpaced = cap == COPYING_UNPACED;
    c->timer = loop_timer_new(loop, run_next, c);
    pace_init(&c->pace, cap, loop_now_ns(loop));
    return c;
}

void copying_stop(struct copying *c)
{
    if (c == NULL)
        return;
    c->is_over = true;
    loop_timer_stop(c->timer);
    for (unsigned u = 0; u < 2; u++) {
        for (unsigned k = 0; k < COPY_KINDS; k++) {
            while (c->queues[u][k] != NULL) {
                struct copy_turn *t = c->queues[u][k];

                DL_DELETE(c->queues[u][k], t);
                c->waiting--;
                t->run(t, true);
            }
        }
    }
}

void copying_free(struct copying *c)
{
    if (c == NULL)
        return;
    assert(c->waiting == 0);
    loop_timer_free(c->timer);
    free(c);
}
