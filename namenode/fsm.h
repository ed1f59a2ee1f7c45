/*
 * The replicated metadata state machine: name space, chunk map, placement groups, sessions. It is
 * pure: what a batch does depends on the state and the batch alone (no clock, no chance, no order
 * of hashes), so that every replica that applies the same log holds the same bytes, and says so in
 * its state hash.
 *
 *   leader                                        every replica
 *   fsm_check_request() ─► batch in the Raft log ─► fsm_apply(): each operation in order, on an
 *                                                   overlay; ONE kv batch with the index in it
 *                                                   ─► events, then replies
 *
 * Loop thread only. A negative code of fsm_apply() or fsm_read() (not a reply's status) means that
 * the store is broken or the replica has diverged: nothing was written; the process has to stop.
 */
#ifndef NAMENODE_FSM_H
#define NAMENODE_FSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "namenode/records.h"
#include "rpc/meta.pb-c.h"

struct fsm;
struct kv;

enum {
    FSM_DIR_SIZE = 4096,        /* st_size of every directory */
    FSM_ALLOC_MAX = 64,         /* chunks in one AllocOp */
    FSM_LAYOUT_MAX = 1024,      /* chunks in one LayoutReply */
    FSM_OPEN_CHUNKS = 64,       /* chunks that come with an open */
    FSM_HASH_RING = 8192,       /* state hashes remembered */
    FSM_CACHE_BYTES = 64 << 20, /* inode and entry records in memory, until fsm_set_cache() */
};

/*
 * What the log and the state may hold. A replica that does not know an operation, or that would do
 * it otherwise, must never get it: what is new belongs to a format, and is refused until FormatOp
 * has raised the state to it. The leader proposes that once every replica knows the format
 * (namenode/README.md, "Mixed versions").
 */
enum {
    FSM_FORMAT_FIRST = 1,  /* release 0.1 */
    FSM_FORMAT_USAGE = 2,  /* counters of directories, quotas, rm -r, maintenance, racks */
    FSM_FORMAT_MARKS = 3,  /* marks of truncations have a version */
    FSM_FORMAT_VALUES = 4, /* values have a version (fsm_value.h) */
    FSM_FORMAT_COPIES = 5, /* files have a number of copies of their own */
    FSM_FORMAT_REPAIR = 6, /* RepairOp */
    FSM_FORMAT = FSM_FORMAT_REPAIR,
};
/* The chunk index has 32 bits. Past it: EFBIG. */
#define FSM_FILE_SIZE_MAX FILE_SIZE_MAX

/* The answer to one operation. Lives until the callback returns. */
struct fsm_reply {
    uint32_t position; /* in the batch */
    int status;        /* as in msg */
    const Dfs__MetaReply *msg;
    const uint8_t *bytes; /* msg packed, for operations of sessions; NULL for the leader's own */
    size_t len;
};
typedef void (*fsm_reply_fn)(void *ctx, const struct fsm_reply *reply);

/*
 * What a batch changed that the leader's services want to know, told after the batch is written and
 * before the replies.
 */
enum fsm_event_kind {
    FSM_EVENT_CLUSTER,        /* ClusterInit was applied */
    FSM_EVENT_SESSION_OPENED, /* session */
    FSM_EVENT_SESSION_ENDED,  /* session; evicted: a fence entry was made */
    FSM_EVENT_FENCE_DONE,     /* session; FenceDone: first time done, second time forgotten */
    FSM_EVENT_PG,             /* pg: made or changed */
    FSM_EVENT_TARGET,         /* target: added or changed */
    FSM_EVENT_NAMENODE,       /* id: replica */
    FSM_EVENT_UNLINKED,       /* id: ino; nlink became 0, it waits for the reaper */
    FSM_EVENT_REAPED,         /* id: ino; gone altogether */
    FSM_EVENT_GARBAGE,        /* pg: chunks were put into its queue (once a batch and pg) */
};
struct fsm_event {
    enum fsm_event_kind kind;
    bool evicted;
    uint32_t pg, target;
    uint64_t session, id;
};
typedef void (*fsm_event_fn)(void *ctx, const struct fsm_event *event);

/* kv is borrowed and outlives the fsm. -EBADMSG: its records are not ours or damaged.
 * -EPROTONOSUPPORT: a newer program wrote it. -EIO. */
int fsm_open(struct kv *kv, struct fsm **ret_fsm);
void fsm_close(struct fsm *fsm);
DEFINE_CLEANUP(fsm, fsm_close)

/* Who is told of changes; fn NULL: nobody. */
void fsm_set_events(struct fsm *fsm, fsm_event_fn fn, void *ctx);

/* How much memory inode and entry records may take (some 200 bytes each). Forgets those it has. */
void fsm_set_cache(struct fsm *fsm, size_t bytes);
size_t fsm_cache_bytes(const struct fsm *fsm);

/*
 * Executes a LogBatch, the payload of entry (index, term). batch NULL and len 0: an entry that
 * holds nothing of ours (a new leader's, or a configuration), the index still advances.
 * An index <= fsm_applied() was applied before: nothing happens (a replay after a restart).
 * reply may be NULL.
 * -EBADMSG  the batch does not parse or holds an unknown operation: it was checked before it was
 *           proposed, so this replica is older than the leader, or the log is damaged
 * -EUCLEAN  a HashOp says that this replica's state differs from the leader's; its state is bad, it
 *           has to start again from a snapshot
 * -EIO      the store
 */
int fsm_apply(struct fsm *fsm, uint64_t index, uint64_t term, const uint8_t *batch, size_t len,
              fsm_reply_fn reply, void *ctx);

/*
 * What the leader asks before it proposes: is it one change, with fields in their limits, and (by a
 * client) one that clients may ask for? 0, or the code to answer: -EPROTO (does not parse, no
 * operation, or a read), -EPERM (an operation of the leader's own with client true), -EINVAL.
 * Semantic errors (EEXIST...) are found at apply.
 */
int fsm_check_request(const Dfs__MetaRequest *req, bool client);
/* The format that the log must have for it, see above. */
uint32_t fsm_format_of(const Dfs__MetaRequest *req);
/*
 * Does it need room in the store for good? While a disk is short it is refused. What only changes or
 * replaces records goes on: a full namenode must let programs end and be emptied, and the reserve is
 * there for the log of that.
 */
bool fsm_takes_space(const Dfs__MetaRequest *req);
/* Is it the name of the attribute that says how many copies chunks are to have (fsm_copies.h)? */
bool fsm_is_copies_xattr(ProtobufCBinaryData name);
int fsm_check_request_bytes(const uint8_t *data, size_t len, bool client);

/*
 * A LogBatch from requests that are packed already: FSM_BATCH_HEADER bytes once, then before each
 * packed request its header (at most FSM_BATCH_OP_HEADER_MAX bytes). They return the length.
 */
enum { FSM_BATCH_HEADER = 9, FSM_BATCH_OP_HEADER_MAX = 6 };
size_t fsm_batch_header(int64_t time_ns, uint8_t *out);
size_t fsm_batch_op_header(size_t packed_len, uint8_t *out);

/* The last entry applied; zeros before the first. */
struct fsm_pos {
    uint64_t index, term;
};
struct fsm_pos fsm_applied(const struct fsm *fsm);
/* The same as far as a crash could not take it: the log may be cut up to here. */
int fsm_flushed(struct fsm *fsm, struct fsm_pos *ret_pos);
/* wait false: begins it; fsm_flushed() moves when it is done. */
int fsm_flush(struct fsm *fsm, bool wait);
/* A copy of the state at fsm_applied() in dir (see kv_checkpoint()). */
int fsm_checkpoint(struct fsm *fsm, const char *dir);
/* -ENOENT: too old, or from before the start of this process. */
int fsm_state_hash(const struct fsm *fsm, uint64_t index, uint64_t *ret_hash);

/* Numbers of the data plane that StatfsReply shows; the leader knows them from heartbeats. */
struct fsm_space {
    uint64_t bytes_total, bytes_free, inodes_max;
};

/*
 * Answers what is not logged: lookup getattr readlink readdir getxattr listxattr statfs open
 * layout usage. (close is the service's own affair: status 0. A change: status -EPROTO.) space may be
 * NULL. *ret_reply is the fsm's and lives until its next fsm_read() or fsm_apply(); the caller may
 * change fields in place. Errors of the operation are in its status.
 */
int fsm_read(struct fsm *fsm, const Dfs__MetaRequest *req, const struct fsm_space *space,
             Dfs__MetaReply **ret_reply);

/* ---- for the leader's services ---- */

/* Counters, next ids, versions. Borrowed; changes with each apply. */
const struct state_rec *fsm_state(const struct fsm *fsm);
/* -ENOENT before ClusterInit. */
int fsm_cluster(struct fsm *fsm, struct cluster_rec *ret_rec);
/* -ENOENT: this state never was in a backup. */
int fsm_restored(struct fsm *fsm, struct restored_rec *ret_rec);

/* -ENOENT when there is none. */
int fsm_session_get(struct fsm *fsm, uint64_t session, struct session_rec *ret_rec);
int fsm_target_get(struct fsm *fsm, uint32_t target, struct target_rec *ret_rec);
int fsm_pg_get(struct fsm *fsm, uint32_t pg, struct pg_rec *ret_rec);
int fsm_namenode_get(struct fsm *fsm, uint64_t replica_id, struct namenode_rec *ret_rec);
int fsm_inode_get(struct fsm *fsm, uint64_t ino, struct inode_rec *ret_rec);
/* Whose chunk it is. -ENOENT: nobody's (perhaps in the garbage queue, see fsm_is_garbage()). */
int fsm_chunk_owner(struct fsm *fsm, uint32_t pg, uint64_t chunk_id,
                    struct chunk_owner_rec *ret_rec);
/* 1 it waits for deletion, 0 not. */
int fsm_is_garbage(struct fsm *fsm, uint32_t pg, uint64_t chunk_id);

/* All of a kind, in order of id. The callback returns 0 to go on; anything else ends the walk and
 * is returned. It must not call fsm_apply(). */
int fsm_each_session(struct fsm *fsm, int (*fn)(void *ctx, const struct session_rec *rec),
                     void *ctx);
/* No session below it lives, nor ever will again: it only grows. Where it cannot be read: 0. */
uint64_t fsm_lowest_session(struct fsm *fsm);
int fsm_each_target(struct fsm *fsm, int (*fn)(void *ctx, const struct target_rec *rec), void *ctx);
int fsm_each_pg(struct fsm *fsm, int (*fn)(void *ctx, const struct pg_rec *rec), void *ctx);
int fsm_each_fence(struct fsm *fsm, int (*fn)(void *ctx, const struct fence_rec *rec), void *ctx);
int fsm_each_namenode(struct fsm *fsm, int (*fn)(void *ctx, const struct namenode_rec *rec),
                      void *ctx);
/* Pages of at most max ids, greater than after; *ret_count < max: the end. */
int fsm_list_reap(struct fsm *fsm, uint64_t after, size_t max, uint64_t *ret_inos,
                  size_t *ret_count);
int fsm_list_garbage(struct fsm *fsm, uint32_t pg, uint64_t after, size_t max, uint64_t *ret_chunks,
                     size_t *ret_count);
/* The chunks of live files in a PG. */
struct fsm_pg_chunk {
    uint64_t chunk_id, ino;
    uint32_t index;
};
int fsm_list_chunks(struct fsm *fsm, uint32_t pg, uint64_t after, size_t max,
                    struct fsm_pg_chunk *ret_chunks, size_t *ret_count);

/* The wire form of a record. Pointers in the message point into rec and members. */
void pg_rec_to_msg(const struct pg_rec *rec, Dfs__Pg *ret_msg, Dfs__PgMember *members,
                   Dfs__PgMember **member_ptrs);
/* As a restore leaves it: nobody serves, and who served last is not known. */
bool pg_rec_is_unclaimed(const struct pg_rec *pg);
/* -EINVAL  too many members, an unknown state, or a target listed twice */
int pg_rec_from_msg(const Dfs__Pg *msg, struct pg_rec *ret_rec);

/*
 * Semantics that meta.proto leaves open
 *  - An inode that is not there (any more): ESTALE. A directory that was removed: ENOENT in it.
 *  - An inode whose last link went keeps all but its name until ReapOps have taken it apart; the
 *    last slice answers id 0, earlier ones the number of chunks left.
 *  - TruncateOp that would make an inline file longer than INLINE_MAX: EAGAIN; the client moves
 *    the content into a chunk (CommitOp.clear_inline) and asks again. An empty file is not inline.
 *  - CommitOp whose `materialized` names a chunk that a truncate took away: what that chunk held is
 *    gone, `end` is ignored, the rest is published.
 *  - TruncDoneOp: 0 also when nothing is pending, and when it names a version and the mark is another
 *    truncation's by now, which stays. Without a version: EAGAIN when another truncate moved the
 *    point.
 *  - FenceDoneOp: the first marks the entry done, the second drops it (an hour later or more, when
 *    no session below it lives: that a datanode keeps in mind instead).
 *  - PgEpochOp: the epoch becomes if_epoch + 1 and last_serving_epoch is kept by the state machine;
 *    EINVAL for a set of SERVING members that may lack acknowledged writes.
 */

#endif
