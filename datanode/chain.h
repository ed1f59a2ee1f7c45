/*
 * One target's part in one placement group: chain replication as a pure step function.
 *
 *   client ──op──► head ──► middle ──► tail (──► joiner)
 *          ◄─reply──  ◄──ack──  ◄──ack──
 *
 * An event goes in, actions come out, to be done in their order; their results come back as events.
 * No clock, no I/O, no thread inside. Payloads are passed by reference.
 *
 * What always holds (numbers as in the protocol's list of invariants):
 *   I25  the epoch only grows
 *   I26  what the successor received is a prefix of what we received; what it lacks is in our
 * window I27  a client is answered only when every member of the chain has applied the operation
 *   I30  an operation of a session takes effect once, and never after its floor has passed it
 *   I31  a fenced session is never given a place in the order again
 */
#ifndef DATANODE_CHAIN_H
#define DATANODE_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ids.h"
#include "datanode/chain_config.h"
#include "datanode/chain_op.h"

struct chain;

struct chain_options {
    struct pg_id pg;
    struct target_id self;
    uint64_t incarnation;
    uint64_t now_ms; /* of the clock that the ticks tell */
    /* 0: the defaults of common/limits.h. */
    uint32_t window_ops_max;
    size_t window_bytes_max;
    uint32_t retry_ms; /* between two attempts to reach the successor */
    uint32_t stuck_ms; /* without any ack, while some are due: the successor is accused */
    unsigned mutant;   /* which deliberate bug is on; looked at in test builds only */
};

/* ---- in ---- */

enum chain_event_kind {
    CHAIN_EV_CONFIG,        /* config; from_namenode: fences holds all that were ever fenced */
    CHAIN_EV_CLIENT_OP,     /* op, epoch, waiter: answered by CHAIN_ACT_REPLY, exactly once */
    CHAIN_EV_READ,          /* chunk, offset, len, epoch, waiter: CHAIN_ACT_READ, exactly once */
    CHAIN_EV_HELLO,         /* from, epoch, incarnation (whom it means), waiter, seqs: what the
                               sender has unacknowledged; answered by HELLO_ACK or HELLO_REFUSE */
    CHAIN_EV_HELLO_ACK,     /* hello_id, seq: all up to it was received */
    CHAIN_EV_HELLO_REFUSED, /* hello_id, status */
    CHAIN_EV_CHAIN_OP,      /* from, epoch, seq, orig_epoch, op */
    CHAIN_EV_BAD_OP,        /* from, epoch, seq: arrived damaged */
    CHAIN_EV_ACK,           /* from, epoch, seq (0: only news of space), status, crc, bytes_free;
                               status -EAGAIN: say hello again */
    CHAIN_EV_APPLIED,       /* io_id, status, crc */
    CHAIN_EV_LINK_DOWN,     /* from: the connection that we opened to the successor is gone */
    CHAIN_EV_PEER_DEAD,     /* from: it refuses connections; accused if it is a neighbour */
    CHAIN_EV_SYNC_SNAPSHOT, /* joiner: what the source answered to SYNC_BEGIN; snapshot, waiter:
                               the HELLO that is now answered */
    CHAIN_EV_SYNC_DONE,     /* joiner: everything is here and durable; waiter as in SYNC_COPY */
    CHAIN_EV_SYNC_FAILED,   /* joiner: it broke off; waiter as in SYNC_BEGIN or SYNC_COPY */
    CHAIN_EV_HOLD,          /* head: chunk, waiter: no operation on it gets a place, and those that
                               have one end; then CHAIN_ACT_HELD, exactly once */
    CHAIN_EV_RELEASE,       /* chunk */
    CHAIN_EV_SPACE,         /* bytes_free on our disk, above the reserve */
    CHAIN_EV_FAILED,        /* status: the target is broken; leave every chain */
    CHAIN_EV_LOST, /* a chunk is gone here: leave, if another serves, to be taken in anew */
    CHAIN_EV_TICK, /* now_ms */
};

/* The dedup state of a PG, as a joiner gets it from its source. */
struct chain_snapshot {
    uint64_t recv_seq;    /* the source received all up to this */
    uint64_t resend_from; /* and will send again what is unacknowledged above this */
    uint64_t fence_version;
    struct chain_snapshot_session {
        struct session_id session;
        uint64_t floor;
        uint8_t executed[128]; /* bit i: opseq floor + i */
    } * sessions;
    size_t session_count;
    uint64_t *fenced;
    size_t fenced_count;
};

struct chain_event {
    enum chain_event_kind kind;
    struct target_id from;
    uint64_t epoch;
    uint64_t seq;
    uint64_t orig_epoch;
    uint64_t incarnation;
    uint64_t hello_id;
    uint64_t io_id;
    uint64_t waiter;
    uint64_t bytes_free;
    uint64_t now_ms;
    int status;
    uint32_t crc;
    struct chunk_id chunk;
    uint32_t offset;
    uint32_t len;
    bool from_namenode;
    struct chain_op *op; /* borrowed, the chain takes its own reference */
    const struct chain_config *config;
    const uint64_t *seqs;   /* HELLO */
    const uint64_t *fences; /* CONFIG */
    uint64_t session_floor; /* CONFIG: sessions below it are fenced, too */
    size_t count;           /* of seqs or fences */
    const struct chain_snapshot *snapshot;
};

/* ---- out ---- */

enum chain_action_kind {
    CHAIN_ACT_REPLY,        /* waiter, status, crc */
    CHAIN_ACT_READ,         /* waiter, status 0: read now, ahead of anything submitted later */
    CHAIN_ACT_APPLY,        /* io_id, seq, orig_epoch, op: to the store; ends in APPLIED */
    CHAIN_ACT_HELLO,        /* to, hello_id, seqs: connect if need be, ends in HELLO_ACK, _REFUSED
                               or LINK_DOWN */
    CHAIN_ACT_HELLO_ACK,    /* waiter, seq */
    CHAIN_ACT_HELLO_REFUSE, /* waiter, status */
    CHAIN_ACT_SEND_OP,      /* to, seq, orig_epoch, op */
    CHAIN_ACT_SEND_ACK,     /* to, seq, status, crc, bytes_free */
    CHAIN_ACT_ACCUSE,       /* to, why; may be ourselves */
    CHAIN_ACT_ASK_CONFIG,   /* we or the sender are behind: tell the namenode our epoch at once */
    CHAIN_ACT_SYNC_BEGIN,   /* joiner: ask `to` on the connection of `waiter` for its snapshot */
    CHAIN_ACT_SYNC_COPY,    /* joiner: all that comes from now on comes as operations; copy the rest
                               from `to` on the connection of `waiter`; ends in SYNC_DONE */
    CHAIN_ACT_SYNC_STOP,    /* joiner: whatever copying is under way is void */
    CHAIN_ACT_SERVING,      /* became a SERVING member of this epoch */
    CHAIN_ACT_HELD,         /* waiter, status 0: every member has the same bytes of the chunk */
    CHAIN_ACT_DIVERGED,     /* to, seq: it acknowledged other bytes than ours: alarm */
};

struct chain_action {
    enum chain_action_kind kind;
    struct target_id to;
    uint64_t epoch; /* ours when the action was decided: what goes on the wire */
    uint64_t seq;
    uint64_t orig_epoch;
    uint64_t hello_id;
    uint64_t io_id;
    uint64_t waiter;
    uint64_t bytes_free;
    int status;
    uint32_t crc;
    struct chain_op *op; /* a reference of the list's */
    uint64_t *seqs;      /* owned by the list */
    size_t seq_count;
    const char *why; /* static storage */
};

struct chain_actions {
    struct chain_action *items;
    size_t count;
    size_t capacity;
};
void chain_actions_init(struct chain_actions *a);
/* Drops references and empties the list; memory is kept for the next step. */
void chain_actions_clear(struct chain_actions *a);
void chain_actions_done(struct chain_actions *a);

/* ---- the member ---- */

struct chain *chain_new(const struct chain_options *o);
/* Waiters are forgotten without an answer. NULL is fine. */
void chain_free(struct chain *c);
DEFINE_CLEANUP(chain, chain_free)

/* Appends to `out`. Damaged or unexpected input from peers is refused, never asserted. */
void chain_step(struct chain *c, const struct chain_event *ev, struct chain_actions *out);

/* ---- looking at it ---- */

const struct chain_config *chain_config_of(const struct chain *c);
const struct chain_place *chain_place_of(const struct chain *c);
uint64_t chain_recv_seq(const struct chain *c);
/* SYNCING, and complete: to be told to the namenode until it says SERVING. */
bool chain_is_synced(const struct chain *c);
bool chain_is_failed(const struct chain *c);
/* Room above the reserve, of the member from us on that has the least. */
uint64_t chain_free_below(const struct chain *c);
/* Ordered and not yet acknowledged by the whole chain. */
size_t chain_unstable_count(const struct chain *c);
/* Is some of it about this chunk? */
bool chain_unstable_on(const struct chain *c, struct chunk_id chunk);
/* Only what is stable is said to be executed: the rest comes as operations. */
void chain_snapshot_make(const struct chain *c, struct chain_snapshot *ret_snapshot);
void chain_snapshot_done(struct chain_snapshot *s);
/* A number over everything that decides its future, for the exploration of states. */
uint64_t chain_state_hash(const struct chain *c);

struct chain_counters {
    uint64_t ops_ordered, ops_received, acks_received, replies, dedup_hits, resent, stale_refused,
        fenced_refused, parked, diverged, nospace_refused;
};
const struct chain_counters *chain_counters_of(const struct chain *c);

#endif
