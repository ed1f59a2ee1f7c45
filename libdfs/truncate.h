/*
 * Cutting and extending files.
 *
 *   SILENCE ──(nothing flies)──► COMMIT? ──► ASKED ──► TAIL ──► CLEARED ──► done
 *    ▲    └─ inline content that must go to chunks first ─► FLUSH ─┐ │ EAGAIN: a tail of somebody
 *    └─────────────────────────────────────────────────────────────┘ └─ else's first, ask again
 *
 * Emission stops first: bytes in flight must not land after the cut. What is acknowledged but not
 * published is published, so that the namenode knows which chunk has a tail to be zeroed. Then
 * TruncateOp; if a chunk's tail is left (trunc_pending), ChunkTrunc down the chain and TruncDone.
 */
#ifndef LIBDFS_TRUNCATE_H
#define LIBDFS_TRUNCATE_H

#include "libdfs/ll_internal.h"

struct inode;

/* Something the head of the queue may have waited for has happened. */
void truncate_step(struct inode *i);
/* A tail was left by somebody who died: zeroes it before anything is written here. */
void truncate_finish_tail(struct inode *i);

#endif
