/*
 * When chunks of a file may be swapped for others (SwapChunksOp): only while nobody has the file open.
 * Who has it open may know of the old chunks and write there later. Opens are this leader's memory and
 * not the log's, so it is here that the two are kept apart:
 *
 *   a swap waits until no create that opens a file is on its way through the log; then it is looked
 *   whether somebody has the file open (refused with EBUSY), and it is proposed
 *   while a swap waits or is on its way: creates that open a file wait, and opens of this file
 *
 * One swap is under way at a time. All others pass; these wait for one or two round trips of the log. A
 * new leader serves when all that older ones have logged is applied, so nothing of this has to be handed
 * on to it.
 *
 * Pure bookkeeping: the caller proposes and answers.
 */
#ifndef NAMENODE_SWAP_GATE_H
#define NAMENODE_SWAP_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/meta.pb-c.h"

struct swap_gate {
    size_t waiting; /* swaps, the one under way included */
    size_t creates; /* that open a file, on their way through the log */
    bool is_under_way;
    uint64_t ino; /* of the swap under way */
};

/* May this be proposed, or read, now? Else it waits until swap_gate_ended(). */
bool swap_gate_holds(const struct swap_gate *g, const Dfs__MetaRequest *req);

/* A create that opens its file: one that was there before, or, asked for again, that it has made. */
bool swap_gate_is_create(const Dfs__MetaRequest *req);

/* The next swap may be looked at. */
bool swap_gate_is_free(const struct swap_gate *g);
void swap_gate_begin(struct swap_gate *g, uint64_t ino);
/* The one under way is applied or refused, or the first that waits was refused. */
void swap_gate_ended(struct swap_gate *g);

#endif
