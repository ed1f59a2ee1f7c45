/*
 * Unlinked inodes that wait for the leader to take them apart, and which of them are next. What is
 * unlinked is remembered as it happens. The list in the store is walked only for what came before
 * this leader, or was too much to remember: its beginning is full of marks of what was there, which
 * cost as much as entries until the store has tidied up.
 *
 * Pure, but for what it reads of the state machine: svc_reaper.c proposes what is decided here.
 */
#ifndef NAMENODE_REAP_QUEUE_H
#define NAMENODE_REAP_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct fsm;
struct reap_queue;
struct sessions;

enum { REAP_ROUND_MAX = 128 }; /* inodes */

/* One ReapOp: at least one chunk, if there are any. */
struct reap_slice {
    uint64_t ino;
    uint32_t max_chunks;
};

struct reap_queue *reap_queue_new(void);
void reap_queue_free(struct reap_queue *q);
DEFINE_CLEANUP(reap_queue, reap_queue_free)

/* A leader begins: the store's list may hold any, and nothing is remembered. */
void reap_queue_begin(struct reap_queue *q);

/* It was unlinked, or is not gone yet after a slice. */
void reap_queue_add(struct reap_queue *q, uint64_t ino);

/*
 * The slices of a round, of about `chunks` chunks altogether; how many. What is open somewhere, or may
 * be, goes to the end of those that wait. A slice is not waited for: who proposes it adds the inode
 * again if it is not gone then.
 */
size_t reap_queue_round(struct reap_queue *q, struct fsm *fsm, const struct sessions *sessions,
                        uint32_t chunks, struct reap_slice ret_slices[REAP_ROUND_MAX]);

#endif
