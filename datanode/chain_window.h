/*
 * What a member has in its hands: operations that are ordered but not yet stable, operations that
 * wait for a place in the order, and reads that wait for operations which they overlap.
 */
#ifndef DATANODE_CHAIN_WINDOW_H
#define DATANODE_CHAIN_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datanode/chain_op.h"

/* Ordered. Leaves when it is applied here and acknowledged from below. */
struct unstable {
    uint64_t seq, orig_epoch;
    struct chain_op *op;
    uint64_t io_id;
    bool applied, acked, diverged;
    uint32_t crc, succ_crc; /* over the touched blocks after it; 0: not known */
    uint64_t *waiters;
    size_t waiter_count;
    struct unstable *prev, *next;
};

/* A client's operation that has no place yet: the window is full, or the chain is not complete. */
struct parked {
    struct chain_op *op;
    uint64_t epoch, waiter;
    struct parked *prev, *next;
};

struct parked_read {
    struct chunk_id chunk;
    uint32_t offset, len;
    uint64_t waiter;
    struct parked_read *prev, *next;
};

struct window {
    struct unstable *unstable; /* by seq, ascending */
    size_t unstable_count, unstable_bytes;
    struct parked *parked;
    size_t parked_count, parked_bytes;
    struct parked_read *reads;
    size_t read_count;
};

void window_init(struct window *w);
void window_done(struct window *w);

/* seq is greater than all that are in. Takes a reference. */
struct unstable *window_push(struct window *w, uint64_t seq, uint64_t orig_epoch,
                             struct chain_op *op);
struct unstable *window_find(const struct window *w, uint64_t seq);
struct unstable *window_find_io(const struct window *w, uint64_t io_id);
struct unstable *window_find_opseq(const struct window *w, struct session_id session,
                                   uint64_t opseq);
void window_remove(struct window *w, struct unstable *u);
void unstable_add_waiter(struct unstable *u, uint64_t waiter);
/* Does any ordered operation change bytes in the range? */
bool window_overlaps(const struct window *w, struct chunk_id chunk, uint32_t offset, uint32_t len);

void window_park(struct window *w, struct chain_op *op, uint64_t epoch, uint64_t waiter);
/* Removes and frees; the caller takes the reference first if it needs the operation. */
void window_unpark(struct window *w, struct parked *p);
void window_park_read(struct window *w, struct chunk_id chunk, uint32_t offset, uint32_t len,
                      uint64_t waiter);
void window_unpark_read(struct window *w, struct parked_read *r);

#endif
