/* The leader's book on one peer: what it has, what is under way to it. */
#include "raft/progress.h"

#include <assert.h>

void progress_init(struct progress *p, struct raft_id id, uint64_t last_index, int64_t now_ns)
{
    *p = (struct progress){
        .id = id,
        .state = PROGRESS_PROBE,
        .next = last_index + 1,
        .acked_ns = now_ns,
        .moved_ns = now_ns,
        .round_target = last_index,
        .round_start_ns = now_ns,
    };
}

static void window_clear(struct progress *p)
{
    p->window_head = 0;
    p->window_count = 0;
    p->window_bytes = 0;
}

void progress_probe(struct progress *p, uint64_t next)
{
    assert(next > p->match);
    p->state = PROGRESS_PROBE;
    p->next = next;
    p->probe_sent = false;
    p->offered = false;
    window_clear(p);
}

void progress_pipeline(struct progress *p, int64_t now_ns)
{
    p->state = PROGRESS_PIPELINE;
    p->next = p->match + 1;
    p->offered = false;
    p->moved_ns = now_ns;
    window_clear(p);
}

void progress_snapshot(struct progress *p)
{
    p->state = PROGRESS_SNAPSHOT;
    p->offered = false;
    window_clear(p);
}

void progress_sent(struct progress *p, uint64_t last_index, size_t bytes, int64_t now_ns)
{
    unsigned at = (p->window_head + p->window_count) % INFLIGHT_MAX;

    assert(p->window_count < INFLIGHT_MAX);
    if (p->window_count == 0)
        p->moved_ns = now_ns;
    p->window[at] = (struct inflight){last_index, bytes};
    p->window_count++;
    p->window_bytes += bytes;
    p->next = last_index + 1;
}

bool progress_acked(struct progress *p, uint64_t match, int64_t now_ns)
{
    while (p->window_count > 0 && p->window[p->window_head].last_index <= match) {
        p->window_bytes -= p->window[p->window_head].bytes;
        p->window_head = (p->window_head + 1) % INFLIGHT_MAX;
        p->window_count--;
        p->moved_ns = now_ns;
    }
    if (match <= p->match)
        return false;
    p->match = match;
    if (p->next <= match)
        p->next = match + 1;
    return true;
}

void progress_catch_up(struct progress *p, uint64_t last_index, int64_t now_ns, int64_t round_ns)
{
    if (p->match < p->round_target)
        return;
    if (now_ns - p->round_start_ns < round_ns)
        p->good_rounds++;
    else
        p->good_rounds = 0;
    p->round_target = last_index;
    p->round_start_ns = now_ns;
}
