/*
 * The Raft log and hard state on disk: segments, a ring of entry headers and a meta file in one
 * directory (formats and their reasons: log_format.h).
 *
 *   raft_log_append_async()          loop thread: lays out records, queues
 *        └─► log thread: everything queued since its last turn in one write and one sync
 *                 └─► durable(write_id)   loop thread: becomes RAFT_EV_DURABLE
 *
 * An error of any write or sync is final: fatal() is called, by default it ends the process. A
 * second sync that succeeds proves nothing about the pages of the first.
 *
 * Loop thread only. With loop == NULL there are no threads: raft_log_pump() does the work (tests).
 */
#ifndef NAMENODE_RAFT_LOG_H
#define NAMENODE_RAFT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "raft/raft.h"

struct loop;
struct raft_log;
struct rng;
struct vfs;

struct raft_log_config {
    struct vfs *vfs;
    const char *dir; /* made if it is not there */
    struct loop *loop;
    uint64_t segment_bytes;
    unsigned segments_min; /* compaction keeps at least so many */
    bool direct;           /* O_DIRECT|O_DSYNC where it can be; otherwise fdatasync */
    struct rng *seeds;     /* of segments; outlives the log. NULL: from the system */

    /* All that was queued up to this write_id is on disk. */
    void (*durable)(void *ctx, uint64_t write_id);
    /* Old entries asked for by raft_log_read() have been fetched; may be NULL. */
    void (*fetched)(void *ctx);
    /* Storage failed: nothing more is written. NULL: logs and aborts the process. */
    void (*fatal)(void *ctx, const char *what, int error);
    void *ctx;
};

/* Defaults for all but vfs, dir, loop and the callbacks. */
void raft_log_config_init(struct raft_log_config *c);

/* What was found on disk. */
struct raft_log_boot {
    bool is_new; /* The directory held no log. */
    struct raft_hard_state hard_state;
    uint64_t first_index; /* Of the first entry, if there are any... */
    uint64_t last_index;  /* ...else last_index == first_index - 1. */
    uint64_t last_term;   /* Of the last entry; if there is none, an entry's cannot be later. */
    uint64_t faulty_from; /* Were durable once, are lost (I11); 0: none. from == last_index + 1. */
    uint64_t faulty_to;
    uint64_t faulty_term; /* None of them is of a later term. */
};

struct raft_log_stats {
    uint64_t syncs;   /* of entries and hard state; those of the ring, off the path, not counted */
    uint64_t bytes;   /* written, with padding */
    uint64_t entries; /* appended */
    uint64_t sync_ns; /* time the log thread spent in write and sync */
    uint64_t ring_syncs;
};

/*
 * Recovers. A torn tail is cut; a damaged entry ends the log and is told as faulty.
 * -EBADMSG  both copies of the hard state are bad or older than the log, or it is gone while
 *           segments are there: refuse to start, the replica must join again under a new id
 * -errno    of the disk
 */
int raft_log_open(const struct raft_log_config *config, struct raft_log_boot *ret_boot,
                  struct raft_log **ret_log);

/* Waits for what is under way. Queued work that has not begun is dropped. NULL is fine. */
void raft_log_close(struct raft_log *log);
DEFINE_CLEANUP(raft_log, raft_log_close)

/*
 * Calls fn for every entry in the log, in order; the entry is borrowed. Only before the first
 * append. Non-zero from fn stops and is returned.
 */
int raft_log_replay(struct raft_log *log, int (*fn)(void *ctx, const struct raft_entry *e),
                    void *ctx);

/* Queues what the update asks to persist (write_id 0: nothing). Takes references. */
void raft_log_append_async(struct raft_log *log, const struct raft_update *up);

/* Drops all entries; the log goes on after base. In order with the appends; nothing tells when. */
void raft_log_reset(struct raft_log *log, uint64_t base);

/*
 * The store is given up, and all entries with it: the log is empty, and those that boot tells of were
 * durable once (I11). boot says then what the replica begins with.
 */
void raft_log_lose(struct raft_log *log, struct raft_log_boot *boot);

/* raft_entries_read_fn: ctx is the log. -EAGAIN while it is being fetched; see `fetched`. */
int raft_log_read(void *log, uint64_t first, size_t entry_max, size_t bytes_max,
                  struct raft_entry *entries);

/*
 * Cuts whole segments whose entries are all <= index, but keeps segments_min. Gives the first index
 * from now on. The caller sees to it that all it cuts is durable in the state machine (I9).
 */
uint64_t raft_log_compact(struct raft_log *log, uint64_t index);

/* What was faulty has been fetched again (the core has left RAFT_RECOVERING). */
void raft_log_set_recovered(struct raft_log *log);

uint64_t raft_log_first_index(const struct raft_log *log);
uint64_t raft_log_last_index(const struct raft_log *log);
/* Bytes of the segments in use. */
uint64_t raft_log_size(const struct raft_log *log);
bool raft_log_is_direct(const struct raft_log *log);
const struct raft_log_stats *raft_log_stats(const struct raft_log *log);

/* Without a loop: does what is queued; with idle also what waits for a quiet moment (the ring). */
void raft_log_pump(struct raft_log *log, bool idle);

#endif
