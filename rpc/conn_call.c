/*
 * Calls on their way: a table of slots, the id of a call names its slot and the slot's generation,
 * so a late or forged reply finds nothing. Time-outs cost no timer per call: one timer of the
 * connection is armed for the earliest deadline that was ever asked for; when it fires, the table
 * is looked through and the timer armed for the earliest that is left. Calls that were answered in
 * time never touched it.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/compiler.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/mem.h"
#include "rpc/conn_impl.h"
#include "rpc/msg.h"

static uint64_t call_id(const struct conn *c, uint32_t index)
{
    return (uint64_t)c->calls[index].generation << 32 | (index + 1);
}

static struct call *call_find(struct conn *c, uint64_t id)
{
    uint32_t index = (uint32_t)id - 1;
    struct call *k;

    if (index >= c->call_slots)
        return NULL;
    k = &c->calls[index];
    return k->done != NULL && k->generation == id >> 32 ? k : NULL;
}

static uint32_t slot_take(struct conn *c)
{
    uint32_t index;

    if (c->first_free == 0) {
        uint32_t old = c->call_slots;
        uint32_t count = old == 0 ? 16 : old * 2;

        c->calls = mem_realloc(c->calls, count, sizeof(*c->calls));
        for (uint32_t i = old; i < count; i++)
            c->calls[i] = (struct call){.generation = 1, .next_free = i + 1 < count ? i + 2 : 0};
        c->call_slots = count;
        c->first_free = old + 1;
    }
    index = c->first_free - 1;
    c->first_free = c->calls[index].next_free;
    c->call_count++;
    return index;
}

static void slot_give(struct conn *c, struct call *k)
{
    if (k->failed != 0)
        c->call_failed_count--;
    k->done = NULL;
    k->failed = 0;
    k->deadline_ns = 0;
    k->generation++;
    k->next_free = c->first_free;
    c->first_free = (uint32_t)(k - c->calls) + 1;
    c->call_count--;
}

/* From the loop only. */
static void finish(struct conn *c, struct call *k, int status, const struct rpc_frame *f)
{
    rpc_reply_fn done = k->done;
    void *ctx = k->ctx;

    slot_give(c, k);
    done(ctx, status, f);
}

static void call_fail(struct conn *c, struct call *k, int status)
{
    if (k->failed == 0)
        c->call_failed_count++;
    k->failed = status;
    conn_defer_turn(c);
}

static void arm(struct conn *c, uint64_t deadline_ns)
{
    uint64_t now = loop_now_ns(c->loop);
    uint64_t ms;

    if (c->armed_ns != 0 && c->armed_ns <= deadline_ns)
        return;
    ms = deadline_ns > now ? (deadline_ns - now) / CLOCK_NS_PER_MS + 1 : 1;
    c->armed_ns = deadline_ns;
    loop_timer_start(c->call_timer, ms, 0);
}

static void expire(void *ctx)
{
    struct conn *c = conn_ref(ctx);
    uint64_t now = loop_now_ns(c->loop);
    uint64_t next = UINT64_MAX;

    c->armed_ns = 0;
    for (uint32_t i = 0; i < c->call_slots; i++) {
        struct call *k = &c->calls[i];

        if (k->done == NULL || k->failed != 0 || k->deadline_ns == 0)
            continue;
        if (k->deadline_ns <= now)
            call_fail(c, k, -ETIMEDOUT);
        else
            next = MIN(next, k->deadline_ns);
    }
    if (next != UINT64_MAX)
        arm(c, MAX(next, now + CONN_TICK_MS * CLOCK_NS_PER_MS));
    conn_unref(c);
}

uint64_t call_add(struct conn *c, uint32_t timeout_ms, rpc_reply_fn done, void *ctx)
{
    uint32_t index = slot_take(c);
    struct call *k = &c->calls[index];

    k->done = done;
    k->ctx = ctx;
    if (timeout_ms > 0) {
        k->deadline_ns = loop_now_ns(c->loop) + timeout_ms * CLOCK_NS_PER_MS;
        if (c->call_timer == NULL)
            c->call_timer = loop_timer_new(c->loop, expire, c);
        arm(c, k->deadline_ns);
    }
    return call_id(c, index);
}

void call_fail_id(struct conn *c, uint64_t id, int status)
{
    struct call *k = call_find(c, id);

    if (k != NULL)
        call_fail(c, k, status);
}

void conn_cancel(struct conn *c, uint64_t id)
{
    struct call *k = call_find(c, id);

    if (k != NULL)
        slot_give(c, k);
}

void call_deliver(struct conn *c, const struct rpc_frame *f)
{
    struct call *k = call_find(c, f->header.rpc_id);
    int status = 0;

    if (k == NULL || k->failed != 0)
        return; /* Cancelled or timed out. */
    if (f->header.flags & FRAME_ERROR)
        status = rpc_error_code(f);
    finish(c, k, status, f);
}

void call_fail_all(struct conn *c, int status)
{
    for (uint32_t i = 0; i < c->call_slots; i++) {
        if (c->calls[i].done != NULL && c->calls[i].failed == 0)
            call_fail(c, &c->calls[i], status);
    }
}

void call_run_failed(struct conn *c)
{
    /* Slots may be added or given back by the callbacks: look at the table anew each time. */
    for (uint32_t i = 0; i < c->call_slots && c->call_failed_count > 0; i++) {
        if (c->calls[i].done != NULL && c->calls[i].failed != 0)
            finish(c, &c->calls[i], c->calls[i].failed, NULL);
    }
    if (c->call_failed_count > 0)
        conn_defer_turn(c);
}

void call_done_all(struct conn *c)
{
    loop_timer_free(STEAL(c->call_timer));
    free(STEAL(c->calls));
}
