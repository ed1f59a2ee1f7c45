/*
 * Dirty bytes of one inode on their way to the datanodes (writeback.c), and the promises about
 * them: published at the namenode, safe on disks (publish.c).
 *
 *   write ──► DIRTY ──emit──► FLYING ──ack──► gone (chunk fresh: to be committed; unsynced)
 *               ▲   1 MiB in a row, flush, age,       │ error: latched, told once per open file
 *               │   memory pressure                   ▼
 *               └── stays here while it overlaps something FLYING
 *
 * A file whose whole content is <= INLINE_MAX bytes has no chunks: its dirty bytes go with the
 * commit.
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
#include "libdfs/dn.h"
#include "libdfs/extent.h"

struct inode;
struct truncate_op;
struct wb_waiter;

enum {
    WB_RUN = 1 << 20,           /* bytes in a row that are sent without being asked for */
    WB_FLYING_BYTES = 16 << 20, /* of one inode */
    WB_FLYING_OPS = 128,
    WB_SYNC_BYTES = 256 << 10, /* up to here fsync sends synced writes: one chain trip in all */
    WB_SYNC_PIECES = 4,
    WB_COMMIT_CHUNKS = 512, /* chunk indexes in one commit */
    WB_SYNC_CHUNKS = 1024,  /* chunks in one SYNC */
    WB_ESTALE_MAX = 3,      /* times a chunk may vanish under our writes */
    WB_AGAIN_MAX = 4,       /* times the namenode may find the file other than we think */
};

/* A write in flight. */
struct wb_op {
    struct extent x; /* bytes of the file */
    struct chunk_op op;
    struct inode *inode; /* a reference */
    bool is_void;        /* told as lost already: it counts for nothing, however it ends */
    uint32_t index;
    size_t piece_count;
    struct dirty_piece *pieces[CHUNK_OP_PARTS];
};

struct wb_unsynced {
    uint32_t index; /* chunk number in the file */
    struct pg_id pg;
    struct chunk_id chunk;
    uint64_t since_epoch;
};

/* Zeroed memory is clean. */
struct writeback {
    struct dirty dirty;
    struct extent_set flying;          /* struct wb_op */
    uint64_t accounted;                /* bytes of both that the table's limit counts */
    uint64_t eager_gen;                /* everything up to this generation goes out */
    uint64_t sync_gen;                 /* ... as synced writes */
    uint64_t goal_start, goal_end;     /* goes out too: a sequential run */
    bool sweeping;                     /* what is due by generation has not all been sent */
    bool sweep_blocked;                /* something due had to be left */
    uint64_t sweep_at;                 /* where the sweep goes on */
    uint64_t stream_start, stream_end; /* the present sequential run of writes */
    bool pumping, pump_again, stepping, step_again;
    unsigned frozen; /* a truncate wants silence: nothing is emitted */
    bool alloc_flying;
    unsigned estale_count, again_count;

    /* Towards the namenode. */
    uint64_t local_end;        /* end of what was written here and is not published; 0: none */
    uint64_t acked_end;        /* the same of what is acknowledged */
    int64_t mtime_ns;          /* of the newest write not published; 0: none */
    int64_t mtime_flying_ns;   /* in the commit that is on its way */
    uint64_t changed_since_ns; /* the oldest unpublished change; 0: none */
    bool clear_inline;         /* inline content went to chunks: the next commit says so */
    uint64_t inline_gen;       /* ... when this generation is over */
    int inline_stays;          /* why it found no room there at last; 0 */
    bool fetch_flying;         /* inline content is on its way here */
    uint64_t commits_sent, commits_done;

    /* Towards the disks. */
    struct wb_unsynced *unsynced;
    size_t unsynced_count, unsynced_cap;
    uint64_t unsynced_since_ns;
    uint64_t syncs_sent, syncs_done; /* rounds */
    unsigned syncs_flying;           /* ops of the present round */

    struct wb_waiter *waiters;
    bool background; /* a flush of our own accord runs */

    struct inode *prev, *next; /* the table's list of inodes with work to do; holds a reference */
    bool listed;
};

/* What a flush waits for, beyond the acknowledgement of all bytes. */
enum wb_want {
    WB_ACKED = 0,
    WB_COMMIT = 1,      /* size, mtime and chunk map are published */
    WB_COMMIT_SIZE = 2, /* published unless only times changed (fdatasync) */
    WB_SYNC = 4,        /* on stable storage of every member */
};

/* ---- writeback.c ---- */

/* Takes bytes in; never waits (the limit is file.c's business). */
void wb_write(struct inode *i, uint64_t offset, const void *bytes, size_t len, struct slab *slab);
/* Sends what is due. */
void wb_pump(struct inode *i);
/* Up to this generation everything is due. */
void wb_make_due(struct inode *i, uint64_t gen);
/* Everything dirty now is due; sends it. Gives its generation. */
uint64_t wb_kick(struct inode *i);
/* Local bytes from `size` on are gone (truncate). Nothing may fly. */
void wb_cut(struct inode *i, uint64_t size);
/* Ends of own writes that the namenode's size has reached are not ours to remember any more: it may
 * shrink again by another client's hand. */
void wb_forget_published(struct inode *i);
/* The file must not grow: what was acknowledged beyond its size does not count any more. */
void wb_growth_refused(struct inode *i);
/* Everything dirty is lost, with this error. */
void wb_fail_all(struct inode *i, int error);
/* Bytes of [at, end) in flight: where they lie and how many follow each other; NULL. */
const uint8_t *wb_flying_bytes(const struct inode *i, uint64_t at, uint64_t *ret_len,
                               struct slab **ret_slab);
void wb_done(struct inode *i);

/* ---- publish.c ---- */

/* fn gets 0, or -EINTR; write errors are in inode->errors. Nothing to do: fn at once, no RPC. */
void wb_flush(struct inode *i, unsigned want, struct ll_call *call, ll_status_fn fn, void *ctx);
/* Something has ended: waiters and sleepers look again. */
void wb_step(struct inode *i);
bool wb_commit_needed(const struct inode *i, bool size_only);
/* Sends a commit of all that is acknowledged; none may be in flight. */
void wb_commit_send(struct inode *i);
bool wb_commit_flying(const struct inode *i);
void wb_add_unsynced(struct inode *i, const struct wb_op *op);
/* Whole content fits in the metadata store and nothing of it is in chunks. */
bool wb_is_small(const struct inode *i);
/* Inline content becomes dirty bytes of chunk 0. */
void wb_leave_inline(struct inode *i);
/* That is on its way: only the namenode's copy is sure to be there. */
bool wb_leaves_inline(const struct inode *i);
/* Age: called for each inode with work, a few times a second. */
void wb_age(struct inode *i, uint64_t now_ns);

#endif
