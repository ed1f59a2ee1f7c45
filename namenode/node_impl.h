/* What the files of the node share. Private to namenode/node*.c. */
#ifndef NAMENODE_NODE_IMPL_H
#define NAMENODE_NODE_IMPL_H

#include <uthash.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "namenode/data_dir.h"
#include "namenode/disk_space.h"
#include "namenode/fsm.h"
#include "namenode/kv.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "namenode/peers.h"
#include "namenode/proposals.h"
#include "namenode/raft_log.h"
#include "namenode/raft_snap.h"
#include "namenode/space_view.h"

enum {
    APPLY_ENTRIES_MAX = 512,    /* in one loop turn, so that heartbeats keep flowing... */
    APPLY_NS_MAX = 5 * 1000000, /* ...nor longer than this */
    TICK_MS = 10,
    CARE_MS = 500, /* flush, compaction, and the like are looked after so often */
    KNOWN_NAMENODES_MAX = 2 * RAFT_MEMBERS_MAX,
    LIVE_PEER_NS = 1000000000, /* heard within: its place in the log is kept */
};

struct pending_read {
    uint64_t id;
    node_read_fn done; /* NULL: only asked whether the lease holds */
    void *ctx;
    UT_hash_handle hh;
};

struct known_namenode {
    struct raft_id id;
    struct raft_uuid uuid;
};

/* A call that is over: told at the end of the loop turn. */
struct completion {
    node_reply_fn reply;
    node_read_fn read;
    void *ctx;
    int status;
};

struct node {
    /* Set at start. */
    struct loop *loop;
    struct slab_pool *slabs;
    struct tls *tls;
    const struct node_conf *conf;
    int lock_fd;
    struct node_watch watches[NODE_WATCHES_MAX];
    unsigned watch_count;

    struct data_dir *dir;
    struct disk_space *space;
    struct kv *kv;
    bool is_damaged; /* while starting: the store's files are, or are gone */
    struct fsm *fsm;
    struct raft_log *log;
    struct raft *raft;
    struct peers *peers;
    struct snap_sender *snap_sender;
    struct snap_receiver *snap_receiver;
    struct node_scrub *scrub;
    struct loop_timer *tick_timer, *care_timer, *convert_timer, *stop_timer;
    bool turn_deferred, in_turn, turn_again, is_closing;

    /* As the last update said. */
    enum raft_role role;
    uint64_t term, commit;
    struct raft_id leader;
    bool leader_ready;
    bool transferring;        /* raft takes no proposals: they wait here */
    struct raft_id successor; /* whom we asked to lead, until somebody is known to */
    uint64_t ready_index;     /* our first entry as a leader: serving when it is applied */

    uint64_t applied;
    uint64_t store_from;   /* where our store began: the snapshot that was installed, or 0 */
    uint64_t serving_term; /* told to the watches; 0: not serving */

    struct proposals proposals;
    struct batch *applying; /* the batch whose entry is being applied, if it is ours */

    struct pending_read *reads; /* by id */
    uint64_t next_read;

    struct completion *completions;
    size_t completion_count, completion_capacity;

    uint64_t hash_due;                   /* index to propose a hash for; 0: none */
    uint64_t applied_bytes, applied_ops; /* since the last flush was begun */
    uint64_t flushed_ns;
    uint64_t space_ns;        /* when the disk was looked at last */
    struct space_view spaces; /* on the disks of the others */
    bool waits_for_fetch;     /* entries to apply are being read from disk */
    bool init_proposed, format_proposed, slice_proposed;
    uint64_t converted_count; /* values, since we began with it */
    uint64_t format_held_ns;  /* since then, or since it was told, an older release holds it up */

    /* Data directories of the namenodes: as the state machine has them, of those who were asked for
     * last; and as messages said. */
    struct known_namenode known[KNOWN_NAMENODES_MAX], seen[KNOWN_NAMENODES_MAX];
    unsigned known_count, known_next, seen_count;
    uint64_t refused_ns, fault_ns; /* when it was last logged */
    uint64_t awaited_ns;           /* when it was last told that founders are missing */
    int64_t locked_ns;             /* when the directory became ours alone */
    int snap_error;                /* why the last snapshot was not installed, if it was not... */
    uint64_t snap_error_ns;        /* ...and when that was last logged */

    void (*stop_done)(void *ctx);
    void *stop_ctx;
    uint64_t stop_waits_ms;

    struct node_stats stats;
    struct node_memory memory;
};

/* node.c: takes one event, does what follows, has the rest done at the end of the turn. */
int node_step(struct node *n, struct raft_event *ev);
int node_step_update(struct node *n, struct raft_event *ev, struct raft_update *up);
void node_take_update(struct node *n, const struct raft_update *up);
void node_need_turn(struct node *n);
bool node_is_leader(const struct node *n);
/* The process ends: this replica can not go on without telling falsehoods. */
void node_die(struct node *n, const char *what, int error) __attribute__((noreturn));

/* node_propose.c */
void node_flush_batch(struct node *n);
void node_fail_proposals(struct node *n);
void node_fail_reads(struct node *n);
void node_take_reads(struct node *n, const struct raft_update *up);
bool node_run_completions(struct node *n);
void node_apply_entries(struct node *n);
void node_propose_done(struct node *n);
void node_propose_hash(struct node *n);

/* node_care.c: what is looked after now and then. */
void node_care(void *ctx);
/* Looks at the disk now and then, and tells the leader. */
void node_care_for_space(struct node *n, uint64_t now_ns);
void node_forget_peers(struct node *n);
bool node_peer_is_known(struct node *n, const struct raft_msg *msg);
/* The id is, or once was, a namenode's. */
bool node_id_is_used(struct node *n, struct raft_id id);

/* node_convert.c: the next slice, if it is time for one. */
void node_convert(void *ctx);

/* node_snap.c */
int node_start_snapshots(struct node *n);
/* Forgets that the process was to end. */
void node_cancel_damage(struct node *n);

/* node_scrub.c */
int node_start_scrub(struct node *n);
void node_stop_scrub(struct node *n);
void node_care_for_scrub(struct node *n, uint64_t now_ns);

/* node_open.c. What fails has been logged; with is_damaged, node_begin_anew() is the way on. */
int node_open_dir(struct node *n);
void node_unlock_dir(struct node *n);
int node_open_store(struct node *n);
void node_close_store(struct node *n);
int node_open_raft(struct node *n, void (*durable)(void *ctx, uint64_t write_id));
/* Notes that the store is damaged, for the next data_dir_open(). */
void node_note_damage(struct node *n);
/* True: the others of the group have what this replica has lost. */
bool node_has_others(const struct node *n);
/* After that: closes log and store, opens the directory with an empty store. */
int node_begin_anew(struct node *n);
/* Our state is not the leader's: the next start fetches a snapshot. */
void node_diverged(struct node *n, uint64_t index) __attribute__((noreturn));

DEFINE_CLEANUP(node, node_free)

#endif
