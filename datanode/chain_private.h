/* What the files of the chain core share. Nobody else includes this. */
#ifndef DATANODE_CHAIN_PRIVATE_H
#define DATANODE_CHAIN_PRIVATE_H

#include "datanode/chain.h"
#include "datanode/chain_dedup.h"
#include "datanode/chain_mutant.h"
#include "datanode/chain_window.h"

enum chain_link_state {
    LINK_NONE,  /* no successor */
    LINK_DOWN,  /* to be tried at retry_at_ms */
    LINK_HELLO, /* asked, no answer yet */
    LINK_UP,
};

struct chain_fence {
    struct session_id session;
    UT_hash_handle hh;
};

struct chain {
    struct chain_options o;
    struct chain_config config;
    struct chain_place place;
    bool failed;            /* the target is broken */
    uint64_t left_in_epoch; /* a local error took us out; only a later SYNCING brings us back */
    uint64_t now_ms, forgot_at_ms;

    uint64_t recv_seq; /* we have all up to this */
    uint64_t gap_end;  /* joiner: what is missing up to here comes by copying */
    uint64_t next_io_id;
    uint64_t next_hello_id;

    enum chain_link_state link;
    uint64_t hello_id;
    uint64_t link_since_ms; /* last sign of life from the successor, or when it was first due */
    uint64_t retry_at_ms;

    uint64_t own_free, succ_free; /* above the reserve */
    uint64_t told_free;           /* to the predecessor, last */

    /* Joining. */
    bool begun;            /* the snapshot is installed */
    bool synced;           /* all is here */
    uint64_t begin_waiter; /* the HELLO that waits for the snapshot; 0: none */
    uint64_t copy_waiter;  /* the HELLO under which we copy */

    /* One chunk at a time may be held for a repair; chunk 0: none. */
    struct chunk_id held;
    uint64_t hold_waiter; /* not answered yet; 0: it was */

    struct dedup dedup;
    struct chain_fence *fences;
    uint64_t session_floor; /* sessions below it are of before a restore: fenced, all of them */
    uint64_t fences_known;  /* all fences up to this version are in the table */
    struct window window;
    struct chain_counters counters;
};

struct chain_action *chain_emit(struct chain_actions *out, const struct chain *c,
                                enum chain_action_kind kind);
void chain_accuse(struct chain *c, struct target_id target, const char *why,
                  struct chain_actions *out);

bool chain_is_fenced(const struct chain *c, struct session_id session);
void chain_fence_add(struct chain *c, struct session_id session);
void chain_fences_clear(struct chain *c);

/* Gives an operation its place: window, successor, disk. */
void chain_enqueue(struct chain *c, uint64_t seq, uint64_t orig_epoch, struct chain_op *op,
                   uint64_t waiter, struct chain_actions *out);
/* Removes what is stable, answers for it, and lets in what waited for room. */
void chain_settle(struct chain *c, struct chain_actions *out);
void chain_settle_one(struct chain *c, struct unstable *u, struct chain_actions *out);
void chain_let_in(struct chain *c, struct chain_actions *out);
void chain_client_op(struct chain *c, const struct chain_event *ev, struct chain_actions *out);
/* Answers everybody who waits with this, and forgets what is in the window. */
void chain_hold_end(struct chain *c, int status, struct chain_actions *out);
void chain_drop_all(struct chain *c, int status, struct chain_actions *out);
void chain_leave(struct chain *c, const char *why, struct chain_actions *out);

void chain_adopt(struct chain *c, const struct chain_event *ev, struct chain_actions *out);

void chain_link_start(struct chain *c, struct chain_actions *out);
void chain_link_lost(struct chain *c, struct chain_actions *out);
void chain_link_tick(struct chain *c, struct chain_actions *out);
void chain_on_hello(struct chain *c, const struct chain_event *ev, struct chain_actions *out);
void chain_on_hello_ack(struct chain *c, const struct chain_event *ev, struct chain_actions *out);
void chain_on_hello_refused(struct chain *c, const struct chain_event *ev,
                            struct chain_actions *out);
void chain_on_op(struct chain *c, const struct chain_event *ev, struct chain_actions *out);
void chain_on_bad_op(struct chain *c, const struct chain_event *ev, struct chain_actions *out);
void chain_on_ack(struct chain *c, const struct chain_event *ev, struct chain_actions *out);
void chain_send_ack(struct chain *c, uint64_t seq, uint32_t crc, int status,
                    struct chain_actions *out);

void chain_join_reset(struct chain *c, struct chain_actions *out);
void chain_on_snapshot(struct chain *c, const struct chain_event *ev, struct chain_actions *out);
void chain_on_sync_failed(struct chain *c, const struct chain_event *ev, struct chain_actions *out);
void chain_on_sync_done(struct chain *c, const struct chain_event *ev, struct chain_actions *out);

#endif
