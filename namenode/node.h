/*
 * One namenode replica: drives the pure Raft core (raft/raft.h), its log (raft_log.h), its peers
 * (peers.h) and the metadata state machine (fsm.h). Whatever happens ends in one call of
 * raft_step(); what follows from it is done there and nowhere else.
 *
 *   FOLLOWER ──elected──► LEADER_NEW ──entry of its own term applied──► SERVING
 *       ▲                     │                                           │
 *       └─────────────────────┴──────────── lost quorum or term ──────────┘
 *
 * The rule for services: everything that changes metadata goes through node_propose(); everything
 * that reads the local fsm for a client first asks node_read_now() or node_read(). Both only make
 * sense on the leader; elsewhere they end with DFS_ENOTLEADER, and node_leader_addr() is the hint
 * that goes into the reply's Error.
 *
 * Loop thread only. Callbacks run on the loop thread.
 */
#ifndef NAMENODE_NODE_H
#define NAMENODE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "namenode/kv_rocks.h"
#include "raft/raft.h"
#include "rpc/meta.pb-c.h"

struct conn;
struct fsm;
struct fsm_event;
struct kv;
struct loop;
struct node;
struct node_conf;
struct rpc_frame;
struct slab_pool;
struct tls;

/*
 * How a proposal ended; called exactly once, never from inside node_propose().
 * status 0                      applied; reply is what the state machine said (its own status field
 *                               may be an error) and lives until the callback returns
 * status DFS_ENOTLEADER        not proposed: another replica leads; retry there
 * status DFS_EUNKNOWN_OUTCOME  leadership was lost while it was under way: it may or may not have
 *                               taken effect. Retry the same (session, seq) at the new leader
 * status -EAGAIN                not proposed: too much is under way (R11)
 * status -EOPNOTSUPP            not proposed: a replica of an older release is in the group
 * reply is NULL unless status is 0.
 */
typedef void (*node_reply_fn)(void *ctx, int status, const Dfs__MetaReply *reply);

/* How a read began. 0: the local fsm may be read now; DFS_ENOTLEADER, -EAGAIN: it may not. */
typedef void (*node_read_fn)(void *ctx, int status);

/* Called when the role changes in a way services care about. */
struct node_watch {
    void (*serving)(void *ctx, uint64_t term); /* We lead, and all of the past is applied. */
    void (*stopped)(void *ctx);                /* We do not any more; after `serving` only. */
    /* The state machine moved to index. After each batch of entries, on leader and followers. */
    void (*applied)(void *ctx, uint64_t index);
    /* Of the state machine (fsm.h), on leader and followers. Use this, not fsm_set_events(). */
    void (*event)(void *ctx, const struct fsm_event *event);
    void *ctx;
};

/* The counters of /metrics that are the node's own. */
struct node_stats {
    uint64_t proposals;      /* requests given to node_propose() */
    uint64_t batches;        /* entries that they became */
    uint64_t applied_ops;    /* requests executed by the state machine, as leader or follower */
    uint64_t reads_lease;    /* reads that the lease answered at once */
    uint64_t reads_round;    /* reads that waited for a round */
    uint64_t hashes;         /* state hashes put into the log for the followers to compare */
    uint64_t leader_changes; /* seen by this replica */
    uint64_t snapshots_sent, snapshots_installed;
    uint64_t snapshot_kept_bytes; /* of them, fetched by an attempt before */
    uint64_t store_damages;       /* found by reading all of the store */
    uint64_t scrubs;              /* of the store, that came to their end */
    uint64_t scrub_bytes;         /* the tables of the last one... */
    uint64_t scrub_ended_s;       /* ...and when it ended, in Unix time; 0: none did */
};

/* What the caches hold, in bytes, beside what the configuration allows; looked at now and then. */
struct node_memory {
    struct kv_rocks_usage store;
    uint64_t records, records_max;
    uint64_t log_entries, log_entries_max;
};

/*
 * Opens the data directory, recovers log and state machine and joins the group. conf, loop, slabs
 * and tls stay the caller's and outlive the node; tls NULL: plain connections (tests).
 * A negative code has been logged with what to do about it.
 */
int node_new(struct loop *loop, struct slab_pool *slabs, struct tls *tls,
             const struct node_conf *conf, struct node **ret_node);

/* Stops at once: what is under way gets DFS_EUNKNOWN_OUTCOME. For a clean stop see node_stop(). */
void node_free(struct node *n);

/* The first step of it: takes nothing more, and calls back for all that is under way. For those who
 * end before the node does. */
void node_end_calls(struct node *n);

/*
 * Clean stop: a leader hands its leadership over first, but waits no longer than conf->stop_ms.
 * done is called once, later; then node_free().
 */
void node_stop(struct node *n, void (*done)(void *ctx), void *ctx);

/* At most NODE_WATCHES_MAX, all before the loop runs. *w is copied. */
enum { NODE_WATCHES_MAX = 16 };
void node_watch(struct node *n, const struct node_watch *w);
/* Nothing is told to this ctx any more. */
void node_watch_drop(struct node *n, const void *ctx);

/*
 * Has the request executed by every replica's state machine, in the order of the calls. Requests of
 * one loop turn, and those that come while the log write of the entry before is under way, share an
 * entry. req is packed before the call returns; it stays the caller's.
 */
void node_propose(struct node *n, const Dfs__MetaRequest *req, node_reply_fn done, void *ctx);

/* The same for a request that came packed: body is a Dfs__MetaRequest. Copied. That the log has its
 * format (fsm_format_of()), the caller has seen to. */
void node_propose_packed(struct node *n, const void *body, size_t len, node_reply_fn done,
                         void *ctx);

/* True: we are serving and the lease holds: read the fsm now, in this turn. No side effect. */
bool node_read_now(struct node *n);

/* The same when the lease does not hold: done comes later, after a round of heartbeats. */
void node_read(struct node *n, node_read_fn done, void *ctx);

/* Hand leadership to this replica; 0 in id: to the one that is most up to date. Returns when it has
 * begun. DFS_ENOTLEADER, -ENOENT, -EINVAL (it leads already, or does not vote), -ENOTCONN (it is not
 * heard), -EAGAIN (one is under way; or it has only just been started, and may not lead yet) */
int node_transfer(struct node *n, struct raft_id to);

/*
 * Another namenode joins the group, as a learner that the leader promotes when it has caught up.
 * addr: "host:port". Returns when the change is in the log; it may still be lost with the leader.
 * DFS_ENOTLEADER, -EINVAL (the address), -EEXIST (the id is, or was, somebody's: a new directory
 * needs a new id), -ENOSPC (RAFT_MEMBERS_MAX), -EAGAIN (another change is under way)
 */
int node_add_member(struct node *n, struct raft_id id, const char *addr);
/* An id that no namenode has or had, and no higher one. */
struct raft_id node_next_id(struct node *n);
/* True: that replica has said that the snapshot which it needs does not fit on its disk. */
bool node_snapshot_is_refused(struct node *n, struct raft_id id, uint64_t *ret_need_bytes,
                              uint64_t *ret_free_bytes);
/* DFS_ENOTLEADER, -ENOENT, -EINVAL (the last voter), -EBUSY (those who remain would lack a majority
 * that is heard), -EAGAIN. A leader that leaves itself goes on
 * until that is committed. */
int node_remove_member(struct node *n, struct raft_id id);

/* For MSG_RAFT, MSG_SNAP_WANT, MSG_NODE_SPACE, MSG_PEER_HELLO of peers, and their connections: svc_raft.c hands them over. */
void node_on_raft(struct node *n, struct conn *c, const struct rpc_frame *f);
void node_on_snap_want(struct node *n, struct conn *c, const struct rpc_frame *f);
void node_on_space(struct node *n, const struct rpc_frame *f);
void node_on_hello(struct node *n, struct conn *c, const struct rpc_frame *f);
void node_on_closed(struct node *n, struct conn *c);

/*
 * For svc_backup.c. prepare: starts a flush; true when a checkpoint would find little left to do.
 * checkpoint: makes dir a copy of the state as of *ret_point, out of hard links. path: of a
 * subdirectory of the data directory, until the next call.
 */
bool node_checkpoint_prepare(struct node *n);
int node_checkpoint(struct node *n, const char *dir, struct raft_point *ret_point);
/* One that was made of this point turned out to be damaged, and so is our store: the process ends, and
 * the next start sets it aside; one without others goes on, with what there is. */
void node_checkpoint_is_damaged(struct node *n, const struct raft_point *point);
const char *node_path(struct node *n, const char *name);

/* For svc_fsck.c: what is applied now, to be read on another thread (kv_rocks_view()). */
int node_view(struct node *n, struct kv **ret_view);

/* We lead and everything committed before us is applied: services may answer. */
bool node_is_serving(const struct node *n);
/* Our disk, or as a leader that of another member which is there, is nearly full: only what frees
 * space should be proposed, the rest gets -ENOSPC. */
bool node_is_short_of_space(const struct node *n);
struct node_space {
    uint64_t total_bytes, free_bytes;
    bool is_short;
};
/* Room on a namenode's disk, as it was at most some seconds ago; false: not known. */
bool node_space_of(const struct node *n, struct raft_id id, struct node_space *ret_space);
uint64_t node_term(const struct node *n);
struct raft_id node_id(const struct node *n);
struct raft_id node_leader(const struct node *n); /* RAFT_NOBODY if not known. */
/* "host:port" of the leader, "" if not known: after a transfer, who was to be it. Borrowed until the next loop turn. */
const char *node_leader_addr(const struct node *n);
/* The newest format (fsm.h) that the replica says it knows; 0: it is not connected, or says none. */
uint32_t node_format_of(const struct node *n, struct raft_id id);
uint64_t node_commit_index(const struct node *n);
uint64_t node_applied_index(const struct node *n);
void node_raft_status(const struct node *n, struct raft_status *ret_status);
const struct raft_conf *node_raft_conf(const struct node *n);
/* The state machine. A snapshot that is installed replaces it: ask each time, do not keep it. */
struct fsm *node_fsm(struct node *n);
/* A read of it failed: when the store is damaged the process ends, and another one serves. */
void node_check_store(struct node *n, int error);
struct loop *node_loop(struct node *n);
const struct node_conf *node_conf_of(const struct node *n);
const struct node_stats *node_stats(const struct node *n);
const struct node_memory *node_memory(const struct node *n);
struct raft_log_stats;
const struct raft_log_stats *node_log_stats(const struct node *n);

#endif
