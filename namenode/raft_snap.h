/*
 * Snapshots between replicas: a RocksDB checkpoint, made when a follower is too far
 * behind for the log, fetched by the follower file by file.
 *
 *   leader                                           follower
 *   snap_sender_want(): flush, checkpoint, verify, hash
 *        └─ ready ─► RAFT offers the point ────────► snap_receiver_fetch()
 *   snap_sender_request() ◄── SNAP_WANT (no file) ── manifest: files with size and hash
 *                         ◄── SNAP_WANT (file, off)─ pieces, a few in flight, at a limited rate
 *                                                    each file: synced, hash checked
 *                                                    done ─► the node swaps its store
 *
 * The follower keeps what it has over errors and restarts: a file whose size and hash are right is
 * not fetched again, one that is shorter goes on where it ended. What does not fit on its disk is
 * said to the leader, for the operator, and tried again: room may be made at any time.
 *
 * Loop thread only; hashing and syncing run on a thread of their own.
 */
#ifndef NAMENODE_RAFT_SNAP_H
#define NAMENODE_RAFT_SNAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"
#include "raft/types.h"

struct conn;
struct kv_rocks_verify;
struct loop;
struct rpc_frame;
struct slab_pool;
struct snap_receiver;
struct snap_sender;
struct tls;
struct vfs;

/* ---- leader ---- */

struct snap_sender_config {
    struct loop *loop;
    const char *dir;     /* where the checkpoint is made */
    uint64_t rate_bytes; /* a second, of what is verified, and then of what is sent */
    uint64_t idle_ms;    /* nobody has asked for so long: the checkpoint goes */
    uint16_t type;       /* of the requests: MSG_SNAP_WANT, MSG_BACKUP_WANT */
    /* Makes dir a checkpoint of the state machine, and says of which point. */
    int (*checkpoint)(void *ctx, const char *dir, struct raft_point *ret_point);
    /* Starts a flush beforehand; true when there is little left for the checkpoint to flush. */
    bool (*prepare)(void *ctx);
    /* A follower that has this point can go on from the log. */
    bool (*usable)(void *ctx, const struct raft_point *point);
    void (*ready)(void *ctx, struct raft_id peer, const struct raft_point *point);
    /* Whether what is in dir is what was written (kv_rocks.h), on the sender's thread. The hashes say
     * only that what arrives is what left. NULL: that is not asked. */
    int (*verify)(const char *dir, const struct kv_rocks_verify *how);
    /* None can be made; or, after ready(), the one that was ready is gone. -EBADMSG: it was made, and
     * is damaged. */
    void (*failed)(void *ctx, struct raft_id peer, int error);
    /* After that: the store that the checkpoint was made of is, as its tables are the same files. NULL
     * as verify is. */
    void (*damaged)(void *ctx, const struct raft_point *point);
    void *ctx;
};

int snap_sender_new(const struct snap_sender_config *config, struct snap_sender **ret_sender);
void snap_sender_free(struct snap_sender *s);
DEFINE_CLEANUP(snap_sender, snap_sender_free)

/* Ends in ready() or failed(), later; after ready() there may be a failed(), too. */
void snap_sender_want(struct snap_sender *s, struct raft_id peer);
/* Answers a SNAP_WANT, or what `type` says. */
void snap_sender_request(struct snap_sender *s, struct conn *c, const struct rpc_frame *f);
/* A connection is gone: what waits to be sent on it is dropped. */
void snap_sender_closed(struct snap_sender *s, struct conn *c);
/* How many have begun to fetch one. */
uint64_t snap_sender_sent_count(const struct snap_sender *s);
/* True: this peer has said, not long ago, that what it was offered does not fit on its disk. */
bool snap_sender_refused(struct snap_sender *s, struct raft_id peer, uint64_t *ret_need_bytes,
                         uint64_t *ret_free_bytes);

/* ---- follower ---- */

struct snap_receiver_config {
    struct loop *loop;
    struct slab_pool *slabs;
    struct tls *tls;
    struct raft_id self;
    struct vfs *vfs;
    const char *dir;             /* where files are gathered */
    const uint64_t *spare_bytes; /* of the disk that are left alone; looked at anew each time */
    /* All is here, synced and checked (0), or -errno: the core asks for another offer. */
    void (*done)(void *ctx, int status, const struct raft_point *point);
    void *ctx;
};

int snap_receiver_new(const struct snap_receiver_config *config,
                      struct snap_receiver **ret_receiver);
void snap_receiver_free(struct snap_receiver *r);
DEFINE_CLEANUP(snap_receiver, snap_receiver_free)

/* Begins, in place of what was being fetched; after failures not at once. Ends in done(). */
void snap_receiver_fetch(struct snap_receiver *r, const char *addr, const struct raft_point *point);
/* Bytes of the snapshots fetched so far that were here already, from an attempt before. */
uint64_t snap_receiver_kept_bytes(const struct snap_receiver *r);

#endif
