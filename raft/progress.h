/*
 * What the leader knows of one peer.
 *
 *   PROBE ──ack──► PIPELINE        PROBE: one APPEND at a time, to find where the logs agree.
 *     ▲  ▲            │            PIPELINE: optimistic, a window of them under way.
 *     │  └──reject────┤            SNAPSHOT: needs entries that we have cut; only heartbeats.
 *     │      loss     │
 *     └── SNAPSHOT ◄──┘
 */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft/types.h"

enum progress_state {
    PROGRESS_PROBE,
    PROGRESS_PIPELINE,
    PROGRESS_SNAPSHOT,
};

enum {
    INFLIGHT_MAX = 256, /* No window is larger, whatever the configuration says. */
    CATCH_UP_ROUNDS = 3,
};

struct inflight {
    uint64_t last_index;
    size_t bytes;
};

struct progress {
    struct raft_id id;
    enum progress_state state;
    uint64_t match; /* Known to be equal to ours, and durable there. */
    uint64_t next;  /* To send. */
    bool probe_sent;

    /* APPENDs under way, oldest first, and when the window last moved. */
    struct inflight window[INFLIGHT_MAX];
    unsigned window_head;
    unsigned window_count;
    size_t window_bytes;
    int64_t moved_ns;

    int64_t acked_ns;      /* When anything of this term came from it, by our clock. */
    uint64_t acked_round;  /* The last heartbeat round it answered... */
    int64_t acked_sent_ns; /* ...and when we sent that. */

    bool offered; /* SNAPSHOT: the rim has one, this: */
    struct raft_point offer;
    int64_t offered_ns;

    /* A learner catches up in rounds: each brings it to where the log ended when it began. */
    uint64_t round_target;
    int64_t round_start_ns;
    unsigned good_rounds;
};

void progress_init(struct progress *p, struct raft_id id, uint64_t last_index, int64_t now_ns);

void progress_probe(struct progress *p, uint64_t next);
void progress_pipeline(struct progress *p, int64_t now_ns);
void progress_snapshot(struct progress *p);

void progress_sent(struct progress *p, uint64_t last_index, size_t bytes, int64_t now_ns);

/* Acknowledged up to match. True if that is news. */
bool progress_acked(struct progress *p, uint64_t match, int64_t now_ns);

/* For learners, at each answer: a round that took less than round_ns is a good one. */
void progress_catch_up(struct progress *p, uint64_t last_index, int64_t now_ns, int64_t round_ns);

#endif
