/* Chance, time and the network of the simulated group. */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "raft/mem.h"
#include "tests/sim/sim_raft.h"

uint64_t sim_random(struct sim_world *w)
{
    uint64_t z = (w->rng += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_below(struct sim_world *w, uint64_t below)
{
    return sim_random(w) % below;
}

int64_t sim_between(struct sim_world *w, int64_t min, int64_t max)
{
    return min + (int64_t)sim_below(w, (uint64_t)(max - min) + 1);
}

bool sim_percent(struct sim_world *w, unsigned percent)
{
    return percent > 0 && sim_below(w, 100) < percent;
}

uint64_t sim_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0xff51afd7ed558ccdu;
    return hash ^ (hash >> 32);
}

void sim_note(struct sim_world *w, uint64_t value)
{
    w->hash = sim_mix(w->hash, value);
}

void sim_note_bytes(struct sim_world *w, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint64_t word;

    sim_note(w, len);
    for (; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sim_note(w, word);
    }
    word = 0;
    if (len > 0)
        memcpy(&word, at, len);
    sim_note(w, word);
}

void sim_fail(struct sim_world *w, const char *format, ...)
{
    va_list args;

    if (w->failed)
        return;
    w->failed = true;
    va_start(args, format);
    (void)vsnprintf(w->why, sizeof(w->why), format, args);
    va_end(args);
    sim_trace(w, "FAILED: %s", w->why);
}

void sim_trace(struct sim_world *w, const char *format, ...)
{
    va_list args;

    if (!w->trace)
        return;
    printf("# %9.3f ms  ", (double)w->now_ns / SIM_MS);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    printf("\n");
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

void sim_at(struct sim_world *w, int64_t delay_ns, const struct sim_event *event)
{
    struct sim_event e = *event;
    size_t i;

    e.at_ns = w->now_ns + delay_ns;
    e.seq = w->seq++;
    w->heap = raft_grow(w->heap, w->heap_count, &w->heap_cap, sizeof(*w->heap));
    for (i = w->heap_count++; i > 0 && is_before(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = e;
}

bool sim_next(struct sim_world *w, struct sim_event *ret_event)
{
    struct sim_event last;
    size_t i = 0;

    if (w->heap_count == 0)
        return false;
    *ret_event = w->heap[0];
    last = w->heap[--w->heap_count];
    while (2 * i + 1 < w->heap_count) {
        size_t child = 2 * i + 1;

        if (child + 1 < w->heap_count && is_before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!is_before(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    assert(ret_event->at_ns >= w->now_ns);
    w->now_ns = ret_event->at_ns;
    return true;
}

void sim_events_free(struct sim_world *w)
{
    for (size_t i = 0; i < w->heap_count; i++)
        free(w->heap[i].bytes);
    free(w->heap);
}

int64_t sim_net_delay(struct sim_world *w)
{
    if (w->quiet || !sim_percent(w, w->delay_percent))
        return sim_between(w, SIM_MS / 10, SIM_MS);
    if (sim_percent(w, 10))
        return sim_between(w, 100 * SIM_MS, 2500 * SIM_MS);
    return sim_between(w, SIM_MS, 100 * SIM_MS);
}

static void deliver_later(struct sim_world *w, const struct raft_msg *msg, const uint8_t *bytes,
                          size_t len)
{
    struct sim_event e = {.type = SIM_DELIVER,
                          .node = sim_number_of(msg->to),
                          .peer = msg->from,
                          .bytes = malloc(len),
                          .len = len};

    assert(e.bytes != NULL);
    memcpy(e.bytes, bytes, len);
    sim_at(w, sim_net_delay(w), &e);
}

static bool is_lost(struct sim_world *w, const struct raft_msg *msg)
{
    return !sim_is_alive(w, msg->to) || w->cut[sim_number_of(msg->from)][sim_number_of(msg->to)] ||
           (!w->quiet && sim_percent(w, w->loss_percent));
}

void sim_send(struct sim_world *w, const struct raft_msg *msg)
{
    size_t len = raft_msg_size(msg);
    uint8_t *bytes;

    if (msg->to.v == 0 || sim_number_of(msg->to) >= w->node_count) {
        sim_fail(w, "a message to nobody, %lu", (unsigned long)msg->to.v);
        return;
    }
    bytes = malloc(len);
    assert(bytes != NULL);
    raft_msg_encode(msg, bytes);
    sim_note_bytes(w, bytes, len); /* What gets lost was said, too. */
    if (!is_lost(w, msg)) {
        deliver_later(w, msg, bytes, len);
        if (!w->quiet && sim_percent(w, w->duplicate_percent))
            deliver_later(w, msg, bytes, len);
    }
    free(bytes);
}
