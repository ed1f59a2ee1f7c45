/*
 * Requests on their way through the log, as data: the simulator drives the same code.
 *
 *   add ──► gathered ──payload, proposed──► flying ──take, at the entry's index──► answered
 *
 * What is gathered becomes one entry when no log write of an earlier one is under way, or when it
 * is full: so a lone request waits for nobody, and under load one sync carries all that came during
 * the one before. Which entry is whose is decided by index and term: at an index, another leader's
 * entry may have taken the place of ours.
 */
#ifndef NAMENODE_PROPOSALS_H
#define NAMENODE_PROPOSALS_H

#include "common/buf.h"
#include "common/limits.h"
#include "namenode/node.h"
#include "raft/raft.h"

enum {
    PROPOSALS_BYTES_MAX = 1 << 20,  /* of one log entry */
    PROPOSAL_BYTES_MAX = 512 << 10, /* one request, packed */
};

struct waiter {
    node_reply_fn done;
    void *ctx;
};

/* Requests that became one entry, and who waits for them. */
struct batch {
    struct batch *next;
    uint64_t index, term;
    unsigned count;
    struct waiter waiters[];
};

/* Zeroed memory is an empty one. */
struct proposals {
    struct buf gathered;
    struct waiter waiters[META_BATCH_OPS_MAX];
    unsigned count;
    struct batch *flying, *flying_last; /* oldest first */
    uint64_t proposed_write, durable_write;
};

/* Nothing may be gathered or flying. */
void proposals_done(struct proposals *p);

/* False: what is gathered has to go first. */
bool proposals_has_room(const struct proposals *p, size_t len);
/* Where the request's len <= PROPOSAL_BYTES_MAX packed bytes are to be written at once. */
uint8_t *proposals_add(struct proposals *p, size_t len, struct waiter w);
/* Something is gathered, and our last write is done. */
bool proposals_is_due(const struct proposals *p);
/* What is gathered, as the payload of an entry; the caller's. It stays gathered. */
struct raft_buf *proposals_payload(struct proposals *p, int64_t time_ns);
/* What is gathered became the entry that up names. */
void proposals_fly(struct proposals *p, const struct raft_update *up);
/* up holds an entry of ours: the next waits until it is written. */
void proposals_wrote(struct proposals *p, const struct raft_update *up);
void proposals_durable(struct proposals *p, uint64_t write_id);

/* Tells each that waits in a batch, or in what is gathered, which is forgotten then. */
typedef void (*proposals_fail_fn)(void *ctx, struct waiter w, int status);

/*
 * The batch that is the entry (index, term), for free(), or NULL if that is none of ours. Those
 * that were overtaken by another leader's entries are failed: nobody knows what became of them.
 */
struct batch *proposals_take(struct proposals *p, uint64_t index, uint64_t term,
                             proposals_fail_fn fail, void *ctx);
void proposals_fail_gathered(struct proposals *p, int status, proposals_fail_fn fail, void *ctx);
/* Leadership is gone: what flies may come true or not, what was gathered will not. */
void proposals_fail_all(struct proposals *p, proposals_fail_fn fail, void *ctx);

#endif
