/*
 * Dirty bytes of one inode on their way to the datanodes.
 *
 *   write ──► DIRTY ──emit──► FLYING ──ack──► gone (chunk fresh: to be committed; unsynced)
 *               ▲   1 MiB in a row, chunk end,        │ error: latched, told once per open file
 *               │   flush, age, memory pressure       ▼
 *               └── stays here while it overlaps something FLYING
 *
 * Rules that always hold:
 *  1. Bytes that fly never change, and no two flying ops overlap.
 *  2. What is newer hides what is older: dirty over flying over what the datanodes say.
 *  3. Only acknowledged bytes are committed (CommitOp).
 *  4. A generation is what was written between two flushes: a flush waits for its generation and
 *     the older ones, never for later writes.
 */
#ifndef LIBDFS_WRITEBACK_H
#define LIBDFS_WRITEBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libdfs/dfs_ll.h"
#include "libdfs/dirty.h"
#include "libdfs/extent.h"

struct inode;
struct wb_waiter;

struct wb_unsynced {
    uint32_t index; /* chunk number in the file */
    uint32_t pg;
    uint64_t chunk;
    uint64_t since_epoch;
};

struct writeback {
    struct dirty dirty;
    struct extent_set flying; /* struct wb_op */
    uint64_t flying_bytes;
    uint64_t eager_gen;                /* everything dirty goes out until this generation has */
    uint64_t sync_gen;                 /* pieces up to this generation are sent as synced writes */
    uint64_t cursor;                   /* where emission goes on */
    uint64_t stream_start, stream_end; /* the present sequential run of writes */

    bool alloc_flying, alloc_failed;
    bool layout_doubt; /* a chunk we wrote to is gone: ask again before allocating */

    /* Towards the namenode. */
    uint64_t local_end; /* end of what was written here and is not published; 0: none */
    uint64_t acked_end; /* the same of what is acknowledged */
    int64_t mtime_ns;   /* of the newest write not published; 0: none */
    bool clear_inline;  /* inline content has gone to chunks: the next commit says so */
    bool inline_acked;
    uint64_t commits_sent, commits_done;
    uint64_t syncs_sent, syncs_done;
    unsigned syncs_flying; /* ops of the present sync round */
    struct wb_unsynced *unsynced, *syncing;
    size_t unsynced_count, unsynced_cap, syncing_count;
    uint64_t unsynced_since_ns; /* when the oldest of them was acknowledged */

    struct wb_waiter *waiters;
    bool frozen; /* a truncate waits for silence: nothing is emitted */
    bool pumping, pump_again;

    struct inode *next, *prev; /* in the table's list of inodes with work to do */
    bool listed;
};

/* What a flush waits for, beyond the acknowledgement of all bytes. */
enum wb_want {
    WB_ACKED = 0,
    WB_COMMIT = 1,      /* size, mtime and chunk map are published */
    WB_SYNC = 2,        /* on stable storage of every member */
    WB_COMMIT_SIZE = 4, /* published unless only times changed (fdatasync) */
};

#endif
