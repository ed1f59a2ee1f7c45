/*
 * One replica of a Raft group, as a pure step function: something happened, what follows?
 *
 *            raft_event                                raft_update
 *   clock ───TICK────────────┐                    ┌──► persist, then RAFT_EV_DURABLE(write_id)
 *   peers ───MESSAGE─────────┤                    ├──► messages: to send now
 *   disk  ───DURABLE─────────┼──► raft_step() ────┼──► commit_index: to apply, then RAFT_EV_APPLIED
 *   state ───APPLIED, ...────┤                    ├──► reads: to answer
 *   users ───PROPOSE, READ───┘                    └──► snapshots: to make, to fetch
 *
 * No clock, randomness, thread or I/O inside; the same object code runs in production and in the
 * simulator. Loop thread only.
 *
 * The one order that matters is built in: a message, commit or read that rests on something not
 * yet on our disk is held back inside until RAFT_EV_DURABLE. Whatever an update holds may be done
 * at once, in any order.
 *
 * Memory: everything an update or a message in it points to is borrowed and lives until the next
 * raft_step() on this replica. Who needs an entry's payload longer (the log writer does) takes a
 * reference with raft_buf_ref(). What an event points to is borrowed by raft_step().
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include <errno.h>

#include "raft/msg.h"
#include "raft/types.h"

/* raft_step() and reads: not the leader; raft_update.leader says who might be. */
#define RAFT_NOT_LEADER (-EREMOTE)

enum raft_role {
    RAFT_FOLLOWER,
    RAFT_PRECANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER,
    RAFT_RECOVERING, /* Lost durable entries to damage: no vote, no ack of these (I11). */
};

const char *raft_role_name(enum raft_role role);

/*
 * Reads up to entry_max consecutive entries of our own log from index first on, stopping before
 * the payloads exceed bytes_max (but always at least one), into entries; each with a reference
 * of its own that the core drops. Only asked for what is durable.
 * Returns how many (at least 1), or
 * -ENOENT  cut away
 * -EAGAIN  not at hand; being fetched, the core asks again later
 * -EIO     damaged; the core goes on without
 */
typedef int raft_entries_read_fn(void *ctx, uint64_t first, size_t entry_max, size_t bytes_max,
                                 struct raft_entry *entries);

struct raft_config {
    struct raft_id id;
    struct raft_uuid uuid;
    struct raft_uuid cluster;

    int64_t heartbeat_ns;
    int64_t election_min_ns; /* A follower waits a random time between these two. */
    int64_t election_max_ns;
    int64_t quarantine_ns; /* After start no vote for so long (R5): at least election_max_ns. */
    bool read_lease;       /* Reads rest on clocks of even rate (R6); off: on a round each. */
    uint64_t seed;         /* Of the election timeouts; different on each replica. */

    size_t cache_bytes;             /* Recent entries in memory, with what keeps them there. */
    size_t append_bytes_max;        /* Payload in one APPEND. */
    unsigned inflight_messages_max; /* Unacknowledged APPENDs to one peer... */
    size_t inflight_bytes_max;      /* ...and their payload. */
    size_t uncommitted_bytes_max;   /* Beyond: proposals get -EAGAIN (R11). */

    raft_entries_read_fn *entries_read;
    void *entries_ctx;

#ifdef RAFT_MUTANTS
    unsigned mutant; /* enum raft_mutant: one deliberate bug, to test the tests. */
#endif
};

/* Default times and sizes; id, uuid, cluster, seed and entries_read are the caller's to set. */
void raft_config_init(struct raft_config *config);

/* What was on disk. */
struct raft_boot {
    struct raft_hard_state hard_state; /* Zero at the very first start. */
    /* What the state machine durably reflects, and the members there. The first start of a group:
     * index 0 and a conf that names all founders. A replica that is added later: an empty conf. */
    struct raft_point applied;
    uint64_t log_first; /* Index of the first entry that will be restored; 0: the log is empty. */
    /* Entries that were durable once and are damaged or gone: from..to, 0 if none. The log that
     * is restored ends before from. The rim remembers `to` over further restarts, until an update
     * shows another role than RECOVERING. */
    uint64_t faulty_from;
    uint64_t faulty_to;
    uint64_t faulty_term; /* None of them is of a later term; remembered like `to`. */
    /* Since when no earlier life of this replica can have said anything (it held the lock on the log
     * until then), by the clock of the events: the quarantine (R5) counts from there, not from when
     * all that is on disk was read. 0: from raft_start(). */
    int64_t alone_since_ns;
};

struct raft;
struct raft_update;

/*
 * Three calls make a replica: raft_new(), raft_restore() for each entry of the log in order,
 * raft_start().
 * -EINVAL  a configuration or boot state that cannot be, as a gap between applied and the log
 */
int raft_new(const struct raft_config *config, const struct raft_boot *boot,
             struct raft **ret_raft);

/*
 * One entry that is durable in the log. Only a recent tail is kept.
 * -EBADMSG  not the next entry, or a CONF that is none
 */
int raft_restore(struct raft *r, const struct raft_entry *entry);

/*
 * From here on raft_step(). The update may ask to drop a log that a snapshot, installed just
 * before a crash, has made void (R8), or to begin an empty one after what is applied.
 */
void raft_start(struct raft *r, int64_t now_ns, struct raft_update *ret_update);

/* The name that the cluster got after raft_new(): who is of another is refused from now on (R9). */
void raft_set_cluster(struct raft *r, const struct raft_uuid *cluster);

void raft_free(struct raft *r);

enum raft_event_type {
    RAFT_EV_TICK,    /* Time went by; every 10 ms or so. */
    RAFT_EV_MESSAGE, /* From a peer, decoded. Any loss, repetition or order is fine. */
    RAFT_EV_PROPOSE, /* By the leader's service. */
    RAFT_EV_READ,    /* A linearizable read wants to know when it may look. */

    RAFT_EV_DURABLE,   /* All that updates up to write_id asked to persist is on disk. */
    RAFT_EV_APPLIED,   /* The state machine reflects the log up to index. */
    RAFT_EV_COMPACTED, /* The log was cut: index is its first entry now; only up to what is
                          durable in the state machine. */

    RAFT_EV_SNAPSHOT_READY,     /* A snapshot for peer can be fetched from us: offer it. */
    RAFT_EV_SNAPSHOT_FAILED,    /* It cannot be made or sent, or the peer asked for one that we no
                                   longer have; wanted again later. Until then it is offered. */
    RAFT_EV_SNAPSHOT_INSTALLED, /* The one we were offered is our durable state now. Never one
                                   that is older than what is applied: that is INSTALL_FAILED. */
    RAFT_EV_INSTALL_FAILED,     /* It is not; a new offer will come. */

    RAFT_EV_CONF_CHANGE,      /* Add a learner, promote it, or remove a member. */
    RAFT_EV_TRANSFER,         /* Hand leadership to peer. */
    RAFT_EV_PEER_UNREACHABLE, /* The connection to peer broke: what was under way may be lost. */
};

enum raft_conf_op {
    RAFT_CONF_ADD_LEARNER,
    RAFT_CONF_PROMOTE,
    RAFT_CONF_REMOVE,
};

struct raft_event {
    enum raft_event_type type;
    int64_t now_ns; /* With every event; monotonic. */
    union {
        const struct raft_msg *msg;
        struct {
            enum raft_entry_type type;    /* NORMAL or HASH. */
            struct raft_buf *const *bufs; /* One entry each; the core takes references. */
            size_t count;
        } propose;
        uint64_t read_id; /* Any; comes back in raft_update.reads. */
        uint64_t write_id;
        uint64_t index;
        struct {
            struct raft_id peer;
            struct raft_point point; /* SNAPSHOT_READY: what it holds; <= applied. */
        } snapshot;
        struct raft_point installed;
        struct {
            enum raft_conf_op op;
            struct raft_member member; /* PROMOTE, REMOVE: the id alone. */
        } conf_change;
        struct raft_id peer; /* SNAPSHOT_FAILED, TRANSFER, PEER_UNREACHABLE. */
    };
};

/* Every read that raft_step() took ends here, once. */
struct raft_read {
    uint64_t id;
    int result;     /* 0: look now. RAFT_NOT_LEADER: ask the leader anew. */
    uint64_t index; /* The state machine reflects at least the log up to here already. */
};

/* Messages that were dropped, by reason: to be logged, loudly. */
enum raft_fault {
    RAFT_FAULT_NONE,
    RAFT_FAULT_CLUSTER,  /* From another cluster. */
    RAFT_FAULT_UUID,     /* A known id with another data directory: wiped, or started twice. */
    RAFT_FAULT_MISSENT,  /* For somebody else. */
    RAFT_FAULT_PROTOCOL, /* What no correct replica sends. */
};

struct raft_update {
    /*
     * Persist, if write_id is not 0: in this order, and after all that earlier updates asked
     * for; then RAFT_EV_DURABLE. One sync may serve many updates (the last write_id covers all).
     */
    uint64_t write_id;
    bool hard_state_changed;
    struct raft_hard_state hard_state;
    bool log_reset; /* Drop the whole log; it starts again after log_base. */
    struct raft_point log_base;
    uint64_t truncate_from;           /* Drop entries from this index on; 0: none. */
    const struct raft_entry *entries; /* Append. */
    size_t entry_count;

    const struct raft_msg *messages; /* Send. */
    size_t message_count;

    uint64_t commit_index; /* Apply up to here: committed, and durable here too. */
    const struct raft_read *reads;
    size_t read_count;

    /* PROPOSE, CONF_CHANGE: the (first) index, and the term. The entry is committed when
     * commit_index reaches it while the entry there is of this term. */
    uint64_t proposed_index;
    uint64_t proposed_term;

    /* Leader: make a snapshot for these peers, then SNAPSHOT_READY or SNAPSHOT_FAILED. */
    const struct raft_id *snapshot_wanted;
    size_t snapshot_wanted_count;
    /* Follower: fetch this snapshot from snapshot_from, install it, then SNAPSHOT_INSTALLED or
     * INSTALL_FAILED. NULL: none. A later one replaces it. */
    const struct raft_point *snapshot_offered;
    struct raft_id snapshot_from;

    /* As it is now; filled in every update. */
    enum raft_role role;
    uint64_t term;
    struct raft_id leader; /* RAFT_NOBODY if not known. */
    bool leader_ready;     /* We lead, and an entry of our term is committed (R2). */
    bool transferring;     /* We lead, and hand over: proposals get -EAGAIN until that has ended. */
    bool conf_changed;     /* raft_conf() is another since the last update. */

    enum raft_fault fault;
    struct raft_id fault_from;
};

/*
 * Takes one event. *ret_update is always filled; if the event was refused it is empty but for the
 * state at its end.
 * RAFT_NOT_LEADER  PROPOSE, CONF_CHANGE, TRANSFER here; READ without any leader known
 * -EAGAIN          PROPOSE: too much uncommitted, or a transfer under way. READ: too many wait.
 *                  CONF_CHANGE: another is under way, no entry of this term is committed yet, or
 *                  the learner lags. TRANSFER: one is under way
 * -EMSGSIZE        PROPOSE: an entry is too long
 * -EEXIST, -ENOENT, -EINVAL, -ENOSPC   CONF_CHANGE, TRANSFER: such a member is, isn't, can't be
 */
int raft_step(struct raft *r, const struct raft_event *ev, struct raft_update *ret_update);

/*
 * Entry at index, from memory or, when that was long ago, through entries_read. Borrowed until
 * the next raft_step(). -ENOENT: not in the log (any more); else as entries_read.
 */
int raft_entry_get(struct raft *r, uint64_t index, const struct raft_entry **ret_entry);

/* -ENOENT: before the log, or after its last entry. */
int raft_term_at(const struct raft *r, uint64_t index, uint64_t *ret_term);

/*
 * Index, term and members at a point of the log: what a snapshot made there must carry.
 * -ENOENT: before the log or before what was applied at the start, or after the last entry.
 */
int raft_point_at(const struct raft *r, uint64_t index, struct raft_point *ret_point);

/* The membership in force. Borrowed until the next step. */
const struct raft_conf *raft_conf(const struct raft *r);

/*
 * A group is begun when all of its founders are there, and none has anything yet. Of a replica that
 * tries to begin one: those that have not agreed so far; else 0.
 */
unsigned raft_founders_awaited(const struct raft *r, struct raft_id ret_ids[RAFT_MEMBERS_MAX]);

struct raft_peer_status {
    struct raft_id id;
    bool voter;
    const char *state; /* "probe", "pipeline", "snapshot"; "-" unless we lead. */
    uint64_t match_index;
    int64_t acked_ns; /* When it was last heard, by our clock. */
};

struct raft_status {
    struct raft_id id;
    enum raft_role role;
    uint64_t term;
    struct raft_id vote;
    struct raft_id leader;
    uint64_t base_index, last_index, last_term, durable_index, commit_index, applied_index;
    size_t cached_bytes;    /* of recent entries in memory */
    bool lease_valid;       /* At the time of the last event... */
    int64_t lease_until_ns; /* ...and it ends then; 0: there is none. */
    unsigned peer_count;
    struct raft_peer_status peers[RAFT_MEMBERS_MAX];
};

void raft_status(const struct raft *r, struct raft_status *ret_status);

#ifdef RAFT_MUTANTS
enum raft_mutant {
    RAFT_MUTANT_NONE,
    RAFT_MUTANT_VOTE_BEFORE_SYNC,
    RAFT_MUTANT_NO_QUARANTINE,
    RAFT_MUTANT_LEASE_IN_TRANSFER,
    RAFT_MUTANT_COMMIT_OLD_TERM,
    RAFT_MUTANT_SKIP_R8,
    RAFT_MUTANT_HEARD_TERM,
    RAFT_MUTANT_TRUNCATE_SHORT,
    RAFT_MUTANT_ACK_BEFORE_SYNC,
    RAFT_MUTANT_COUNT_SELF_EARLY,
    RAFT_MUTANT_CONF_EARLY,
    RAFT_MUTANT_READ_WITHOUT_ROUND,
    RAFT_MUTANT_DAMAGED_VOTES,
    RAFT_MUTANT_REPAIRED_BY_SAME_TERM,
    RAFT_MUTANT_TRUNCATED_IS_DURABLE,
    RAFT_MUTANT_COMMIT_BEYOND_MESSAGE,
    RAFT_MUTANT_LEASE_FROM_ARRIVAL,
    RAFT_MUTANT_LEASE_OVER_CONF,
    RAFT_MUTANT_COUNT,
};
#endif

#endif
