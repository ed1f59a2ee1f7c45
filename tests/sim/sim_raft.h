/*
 * A Raft group on virtual time: the real core and codec, with simulated network, disks, clocks and
 * trouble. What it replicates is a machine: the toy of sim_raft, which only tells two histories
 * apart, or whole namenodes (sim_nn.h). All chance comes from one seed; a run is the same each time.
 *
 *   plan (faults, clients) ──► queue of events ──► node (rim) ──► raft core, machine
 *                                   ▲                  │ messages, syncs, snapshots
 *                                   └──────────────────┘
 *   check watches each step with a view of all nodes at once.
 */
#ifndef SIM_RAFT_H
#define SIM_RAFT_H

#include <stdio.h>

#include "raft/raft.h"

#define SIM_MS 1000000LL
#define SIM_ELECTION_MIN_NS (500 * SIM_MS)

enum {
    SIM_NODES_MAX = 5,
    SIM_IDS_MAX = 256, /* Of nodes, over all their disks. */
};

/* States that are rare and must be met somewhere in a whole run, or the plan is too tame. */
#define SIM_SOMETIMES(X)                                                                           \
    X(elections, "leaders elected")                                                                \
    X(stepdowns, "leaders deposed")                                                                \
    X(truncations, "logs truncated")                                                               \
    X(truncated_confs, "memberships rolled back")                                                  \
    X(log_resets, "logs dropped for a snapshot")                                                   \
    X(boot_resets, "logs dropped at start, after a crash in between")                              \
    X(installs, "snapshots installed")                                                             \
    X(install_crashes, "crashes in the middle of an install")                                      \
    X(confs_committed, "memberships committed")                                                    \
    X(promotions, "learners promoted")                                                             \
    X(leaders_removed, "leaders that committed their own removal")                                 \
    X(lease_reads, "reads by lease")                                                               \
    X(round_reads, "reads by a round")                                                             \
    X(follower_reads, "reads at a follower")                                                       \
    X(failed_reads, "reads sent back")                                                             \
    X(transfers, "leaders elected by transfer")                                                    \
    X(stale_transfers, "transfer campaigns refused")                                               \
    X(quarantine_refusals, "votes refused by quarantine")                                          \
    X(crashes, "crashes")                                                                          \
    X(lost_writes, "crashes with writes lost")                                                     \
    X(pauses, "pauses")                                                                            \
    X(lost_disks, "members whose disk was lost")                                                   \
    X(rejoins, "nodes that joined again under a new id")                                           \
    X(damages, "durable entries damaged")                                                          \
    X(repairs, "damaged replicas repaired")                                                        \
    X(disk_reads, "entries read back from disk")                                                   \
    X(read_errors, "reads of the log that failed")                                                 \
    X(stalls, "disks that stood still for seconds to minutes")                                     \
    X(mutes, "nodes that said nothing for a while")                                                \
    X(slow_applies, "nodes that applied one entry at a time")                                      \
    X(hidden_entries, "logs whose older entries were not at hand for a while")                     \
    X(forced_cuts, "logs cut behind a flush, whoever needed them")                                 \
    X(narrow_windows, "nodes with windows of one message")                                         \
    X(proposals_full, "proposals refused as too many")                                             \
    X(proposals, "proposals taken")                                                                \
    X(higher_terms, "old leaders told of a newer term")

/*
 * Not to be met in the few schedules of namenodes: a snapshot at an entry that the follower has, but
 * has not applied, came twice in 3,500; and what namenodes write at once is mostly one entry, a
 * batch, which is there or is not (15 torn ones in 3,500; tears within an entry are real_tears).
 */
#define SIM_RARE(X)                                                                                \
    X(installs_on_log, "snapshots installed over a log that had their last entry")                 \
    X(torn_writes, "crashes with a write half done")

/* The same of namenodes and their clients. */
#define SIM_NN_SOMETIMES(X)                                                                        \
    X(batches, "entries of several requests")                                                      \
    X(nn_replies, "replies to clients")                                                            \
    X(nn_reads, "reads answered")                                                                  \
    X(redirects, "clients sent to another namenode")                                               \
    X(unknowns, "clients told that the outcome is not known")                                      \
    X(retries, "requests sent again")                                                              \
    X(late_copies, "old requests that arrived again")                                              \
    X(cached_replies, "replies from the reply cache")                                              \
    X(cached_after_failover, "replies from the cache under another leader")                        \
    X(cached_after_install, "replies from a cache that came by snapshot")                          \
    X(below_floor, "requests below the floor, refused")                                            \
    X(sessions_opened, "sessions opened")                                                          \
    X(sessions_closed, "sessions closed")                                                          \
    X(sessions_evicted, "sessions evicted")                                                        \
    X(sessions_lost, "sessions lost with requests unanswered")                                     \
    X(ended_session_ops, "requests of a session that had ended, refused")                          \
    X(hash_entries, "state hashes compared through the log")                                       \
    X(store_flushes, "stores that flushed by themselves")                                          \
    X(loops_refused, "renames refused for a loop")                                                 \
    X(exchanges, "renames that exchanged two directories")                                         \
    X(not_empty, "directories not removed because of a file in them")                              \
    X(reaped, "inodes taken apart")                                                                \
    X(opens, "inodes opened")                                                                      \
    X(opens_retold, "opens told to another leader, or on another connection")                      \
    X(opens_refused, "opens refused of what waits for the reaper")                                 \
    X(late_opens, "opens and closes that arrived on a connection that was given up")               \
    X(unlinked_reads, "reads of an open inode without links")                                      \
    X(trees_removed, "trees removed in several slices")                                            \
    X(trees_over_crash, "trees removed in several slices, with a crash in between")                \
    X(quota_refusals, "changes refused by a quota")                                                \
    X(quota_byte_refusals, "bytes refused by a quota")                                             \
    X(format_waits, "formats that wait for a member of an older release")                          \
    X(format_refusals, "changes refused until all know the format")                                \
    X(chunks_allocated, "chunks allocated")                                                        \
    X(chunks_deleted, "chunks deleted for good")                                                   \
    X(slices_converted, "slices of values of an earlier format")                                   \
    X(reap_slices, "inodes taken apart in several slices")                                         \
    X(inline_commits, "files whose content is inline")                                             \
    X(inline_moved, "inline content moved into chunks")                                            \
    X(tails_marked, "truncations that left a tail to zero")                                        \
    X(tails_cleared, "tails zeroed")                                                               \
    X(late_dones, "tails of an earlier truncation zeroed")                                         \
    X(growth_refused, "growth refused until a tail is zeroed")                                     \
    X(commits_after_cut, "commits of chunks that are not there")                                   \
    X(replays, "logs replayed into a fresh store")                                                 \
    X(histories, "histories that are linearizable")                                                \
    X(unknown_ops, "histories with operations whose outcome is not known")                         \
    X(real_recoveries, "logs recovered from real files")                                           \
    X(real_tears, "power cuts within a write of the log")                                          \
    X(real_segments_cut, "log segments cut away")                                                  \
    X(real_damages, "damage found in a log's files, and told from a torn write")                   \
    X(real_failed_starts, "starts that failed because the disk did")                               \
    X(real_misdirected, "records written at another's place")                                      \
    X(real_unread, "starts that could not read a part of the log")                                 \
    X(divergences, "replicas that found that they had diverged, and began anew")                   \
    X(space_refusals, "changes refused because a disk was nearly full")                            \
    X(space_of_others, "changes refused because of the disk of another namenode")                  \
    X(done_while_short, "what may be done already, asked again while a disk was nearly full")      \
    X(opens_too_late, "inodes created open that were gone when their client was told")             \
    X(freed_while_short, "removals while a disk was nearly full")                                  \
    X(real_disk_errors, "processes ended by a disk error")                                         \
    X(store_errors, "processes ended by a failed write of the store")                              \
    X(cut_requests, "requests that a partition kept from a namenode")                              \
    X(cut_replies, "replies that a partition kept from a client")                                  \
    X(clock_jumps, "jumps of a wall clock")                                                        \
    X(times_behind, "entries from a clock behind that of the entry before")                        \
    X(damages_with_confs, "damage in a group whose membership changes")

struct sim_stats {
#define SIM_FIELD(name, text) uint64_t name;
    SIM_SOMETIMES(SIM_FIELD)
    SIM_RARE(SIM_FIELD)
    SIM_NN_SOMETIMES(SIM_FIELD)
#undef SIM_FIELD
    uint64_t events;
    uint64_t stale_clears; /* Marks cleared for an earlier truncation, by older clients. */
    int64_t virtual_ns;
    int64_t recovery_max_ns; /* The longest from quiet to whole. */
};

enum sim_fault {
    SIM_FAULT_LOSS = 1 << 0,
    SIM_FAULT_DELAY = 1 << 1,
    SIM_FAULT_DUPLICATE = 1 << 2,
    SIM_FAULT_PARTITION = 1 << 3,
    SIM_FAULT_CRASH = 1 << 4,
    SIM_FAULT_POWER = 1 << 5, /* Crashes lose what is not synced. */
    SIM_FAULT_PAUSE = 1 << 6,
    SIM_FAULT_SLOW_DISK = 1 << 7,
    SIM_FAULT_COMPACT = 1 << 8,
    SIM_FAULT_CONF = 1 << 9,
    SIM_FAULT_TRANSFER = 1 << 10,
    SIM_FAULT_DAMAGE = 1 << 11,
    SIM_FAULT_CLOCKS = 1 << 12,
    SIM_FAULT_SMALL = 1 << 13, /* Windows, caches and messages of the smallest sizes. */
    SIM_FAULT_ODD = 1 << 14,   /* What is legal, but seldom. */
    SIM_FAULT_SPACE = 1 << 15, /* Disks that are nearly full. */
    SIM_FAULT_COUNT = 16,
    SIM_FAULT_ALL = (1 << SIM_FAULT_COUNT) - 1,
};

struct sim_world;
struct sim_node;
struct sim_event;

/*
 * What the group replicates. The simulator knows of its state only the point in the log and a
 * hash; what a crash leaves of it is the state at the last flush.
 */
struct sim_machine {
    void (*set_up)(struct sim_world *w);
    void (*tear_down)(struct sim_world *w);
    /* A node begins with what is flushed: state.hash is what it finds. It ends, and its memory with
     * it. */
    void (*start)(struct sim_world *w, struct sim_node *n);
    void (*stop)(struct sim_world *w, struct sim_node *n);
    /* Returns the hash of the state after it. */
    uint64_t (*apply)(struct sim_world *w, struct sim_node *n, const struct raft_entry *e);
    void (*flush)(struct sim_world *w, struct sim_node *n);
    /* The node is down: what is flushed is lost, too. */
    void (*wipe)(struct sim_world *w, struct sim_node *n);
    /* Makes a copy of the state for peers; takes over that copy of another node: state.hash is what
     * it then has. */
    void (*checkpoint)(struct sim_world *w, struct sim_node *n);
    void (*install)(struct sim_world *w, struct sim_node *n, const struct sim_node *source);
    /* Role, commit and so on have changed; a read has ended. */
    void (*update)(struct sim_world *w, struct sim_node *n, const struct raft_update *up);
    void (*read)(struct sim_world *w, struct sim_node *n, const struct raft_read *read);
    /* All that an event of the node has caused is done. */
    void (*turn)(struct sim_world *w, struct sim_node *n);
    /* SIM_REQUEST, SIM_CLIENT. */
    void (*event)(struct sim_world *w, const struct sim_event *e);
    bool (*is_whole)(const struct sim_world *w);
    void (*check_end)(struct sim_world *w);
};

extern const struct sim_machine sim_toy, sim_namenodes;

/*
 * A log that really writes, under the one that the simulator keeps: sim_raft_disk.c knows what must
 * have survived, this what has. NULL: what survives is decided there.
 */
struct sim_storage {
    /* The node starts: durable, hard_state and faulty_to are what is found, or the world fails. */
    void (*open)(struct sim_world *w, struct sim_node *n);
    void (*write)(struct sim_world *w, struct sim_node *n, const struct raft_update *up);
    /* All that was written is durable. False: the disk failed, and the process with it. */
    bool (*sync)(struct sim_world *w, struct sim_node *n);
    void (*crash)(struct sim_world *w, struct sim_node *n, bool power);
    /* Cuts up to index, or less; returns the first that is left. */
    uint64_t (*compact)(struct sim_world *w, struct sim_node *n, uint64_t index);
    raft_entries_read_fn *read; /* ctx: the node */
    /* All entries are given up, with the store; durable and faulty_to say so then. */
    void (*lose)(struct sim_world *w, struct sim_node *n);
    void (*recovered)(struct sim_world *w, struct sim_node *n);
    /* ...and that is on the disk. */
    bool (*is_whole)(const struct sim_node *n);
    /* Of a node that is down. False: it could not be done. */
    bool (*damage)(struct sim_world *w, struct sim_node *n);
    void (*done)(struct sim_world *w, struct sim_node *n);
};

struct sim_options {
    uint64_t seed;
    const struct sim_machine *machine;
    bool trace;
    unsigned mutant;    /* of the core */
    unsigned nn_mutant; /* of the namenode */
};

struct sim_result {
    bool failed;
    char why[256];
    uint64_t hash; /* Of all that happened, in order. */
};

/* One schedule: trouble for a while, then quiet, in which all must be well again. */
void sim_run(const struct sim_options *options, struct sim_stats *stats, struct sim_result *result);

/* --- Within the simulator --- */

enum sim_event_type {
    SIM_TICK,
    SIM_DELIVER,
    SIM_SYNCED,
    SIM_APPLY,
    SIM_RESTART,
    SIM_SNAPSHOT_MADE,
    SIM_SNAPSHOT_FETCHED,
    SIM_TROUBLE,
    SIM_READ,
    SIM_REQUEST, /* For the machine of a node that is up. */
    SIM_CLIENT,  /* For the machine, of no node. */
};

struct sim_event {
    int64_t at_ns;
    uint64_t seq;
    enum sim_event_type type;
    unsigned node;
    unsigned life; /* Of the node; 0: whatever life it has then. */
    struct raft_id peer;
    struct raft_point point;
    uint64_t number; /* The machine's own. */
    uint8_t *bytes;
    size_t len;
};

/* Where a state machine stands. */
struct sim_state {
    struct raft_point at;
    uint64_t hash;
};

struct sim_log {
    uint64_t first;
    struct raft_entry *entries; /* Each with a reference. */
    size_t count;
    size_t cap;
};

struct sim_write {
    uint64_t id;
    bool hard_state_changed;
    struct raft_hard_state hard_state;
    uint64_t reset_base; /* With reset. */
    bool reset;
    uint64_t truncate_from;
    struct raft_entry *entries;
    size_t entry_count;
};

struct sim_node {
    struct sim_world *world;
    unsigned number;
    uint64_t id;   /* At first number + 1; a new one whenever its disk is wiped. */
    unsigned life; /* Counts starts. */
    bool up;
    struct raft *raft;
    int64_t clock_offset_ns;
    int64_t clock_ppm;
    int64_t wall_offset_ns; /* Of the time that people read, against the clock above. */
    int64_t started_ns;     /* By its clock. */
    int64_t paused_until_ns;
    bool broken;      /* Its machine's store has failed: it ends at the end of its turn. */
    bool read_failed; /* So did a read of its log, as the disk was asked to. */
    bool is_diverged; /* Its state in memory is another than the log's, and it does not know yet. */
    bool is_set_aside; /* It knew: what it has on disk is worth nothing, until it is whole again. */
    int64_t mute_until_ns, slow_apply_until_ns, hidden_until_ns;

    /* Disk: what a power cut leaves, and what is on its way there. */
    struct raft_hard_state hard_state;
    struct sim_log durable;
    struct sim_state flushed;
    uint64_t faulty_to;
    uint64_t faulty_term; /* As it is told. */
    uint64_t lost_term;   /* The last damage took no entry of a later term. */
    struct sim_write *writes;
    size_t write_count, write_cap;
    size_t syncing; /* So many of them. */
    int64_t disk_slow_until_ns, disk_stalled_until_ns;
    bool disk_is_short; /* nearly full */
    int64_t disk_short_until_ns;

    /* Memory. */
    struct sim_log log; /* As it will be on disk. */
    struct sim_state state;
    struct sim_state checkpoint; /* For peers to fetch. */
    bool apply_scheduled;
    uint64_t commit_index;
    enum raft_role role;
    uint64_t term;
    bool transfer_campaign;
    uint64_t own_first; /* Leader: of its NOOP. */
    bool leader_ready;
    uint64_t durable_write; /* Of the last sync. */
    void *storage;          /* Its own. */
    int64_t proof_ns; /* When the newest of its heartbeats that were answered left, by its clock. */
};

struct sim_known { /* An entry somebody appended. */
    uint64_t term;
    uint64_t prev_term;
    uint64_t hash;
};

struct sim_index { /* Everything ever at one index. */
    struct sim_known known[16];
    unsigned known_count;
    bool committed;
    uint64_t commit_term; /* Of the node that first knew it: at least the committing leader's. */
    uint64_t term;
    uint64_t hash;
    bool applied;
    uint64_t state_hash;
};

struct sim_read {
    unsigned node;
    unsigned life;
    uint64_t commit_before; /* The newest entry any node knew to be committed. */
    bool lease, follower, done;
};

struct sim_world {
    const struct sim_machine *machine;
    void *machine_world;
    const struct sim_storage *storage; /* NULL: none */
    uint64_t rng;
    int64_t now_ns;
    bool trace;
    unsigned mutant;
    bool failed;
    char why[256];
    uint64_t hash;
    struct sim_stats *stats;

    unsigned faults;
    bool quiet; /* Trouble is over. */
    bool read_lease;
    bool is_long; /* Of minutes, with everything slower. */
    int64_t sync_max_ns, trouble_max_ns;
    unsigned loss_percent, duplicate_percent, delay_percent;
    unsigned node_count;
    struct sim_node nodes[SIM_NODES_MAX];
    struct raft_conf founders;
    struct raft_conf members; /* By the newest entry that anybody has applied. */
    uint64_t members_index;
    bool disk_is_lost;      /* Of one member, which may not have been removed yet. */
    bool gone[SIM_IDS_MAX]; /* Ids that were removed, for ever (I16). */
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX];                        /* From, to. */
    uint64_t request_cut[SIM_NODES_MAX], reply_cut[SIM_NODES_MAX]; /* By node: whose, a bit each. */
    int64_t cut_until_ns;

    struct sim_event *heap;
    size_t heap_count, heap_cap;
    uint64_t seq;

    struct sim_index *indexes;
    size_t index_cap;
    uint64_t max_commit;
    struct raft_id *leaders; /* By term. */
    size_t term_cap;
    struct raft_id (*votes)[SIM_NODES_MAX]; /* By term and node. */
    struct sim_read *reads;
    size_t read_count, read_cap;
};

/* sim_raft_world.c: chance, time, network */
uint64_t sim_random(struct sim_world *w);
uint64_t sim_below(struct sim_world *w, uint64_t below);
int64_t sim_between(struct sim_world *w, int64_t min, int64_t max);
bool sim_percent(struct sim_world *w, unsigned percent);
uint64_t sim_mix(uint64_t hash, uint64_t value);
/* Into the hash of all that happened: what two runs of one seed must have in common. */
void sim_note(struct sim_world *w, uint64_t value);
void sim_note_bytes(struct sim_world *w, const void *bytes, size_t len);
void sim_fail(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_at(struct sim_world *w, int64_t delay_ns, const struct sim_event *event);
bool sim_next(struct sim_world *w, struct sim_event *ret_event);
int64_t sim_net_delay(struct sim_world *w);
void sim_send(struct sim_world *w, const struct raft_msg *msg);
void sim_events_free(struct sim_world *w);

/* sim_raft_disk.c: logs and what a crash leaves of them */
void sim_log_append(struct sim_log *log, const struct raft_entry *entry);
void sim_log_truncate(struct sim_log *log, uint64_t from);
void sim_log_cut(struct sim_log *log, uint64_t first);
void sim_log_reset(struct sim_log *log, uint64_t base);
void sim_log_done(struct sim_log *log);
uint64_t sim_log_last(const struct sim_log *log);
const struct raft_entry *sim_log_find(const struct sim_log *log, uint64_t index);
void sim_disk_write(struct sim_world *w, struct sim_node *n, const struct raft_update *up);
void sim_disk_sync(struct sim_world *w, struct sim_node *n);
uint64_t sim_disk_synced(struct sim_node *n);
void sim_disk_crash(struct sim_world *w, struct sim_node *n, bool power);
/* What was under way is no more: the disk was looked at. */
void sim_disk_forget(struct sim_node *n);
void sim_disk_done(struct sim_node *n);

/* sim_raft_node.c: the rim */
int64_t sim_clock(const struct sim_world *w, const struct sim_node *n);
/* This one may jump, as somebody sets it. */
int64_t sim_wall_clock(const struct sim_world *w, const struct sim_node *n);
void sim_node_start(struct sim_world *w, struct sim_node *n);
/* Of a node that is down: it will start with nothing, as somebody else. */
void sim_node_wipe(struct sim_world *w, struct sim_node *n);
void sim_node_crash(struct sim_world *w, struct sim_node *n, bool power);
int sim_node_step(struct sim_world *w, struct sim_node *n, struct raft_event *ev,
                  struct raft_update *up);
void sim_node_event(struct sim_world *w, const struct sim_event *e);
void sim_node_compact(struct sim_world *w, struct sim_node *n, bool forced);
/* Nobody is damaged, or about to be: one replica may lose what it has. */
bool sim_may_damage(const struct sim_world *w);
/* Who has, or had, that id. */
unsigned sim_number_of(struct raft_id id);
struct sim_node *sim_node_of(struct sim_world *w, struct raft_id id);
/* False: whoever had it has lost its disk. */
bool sim_is_alive(const struct sim_world *w, struct raft_id id);

/* sim_raft_plan.c: what happens */
/* Some node that thinks it leads; there may be several. NULL: none. */
struct sim_node *sim_some_leader(struct sim_world *w);
void sim_again(struct sim_world *w, enum sim_event_type type, int64_t min, int64_t max);
/* Asks for a read; its id comes back by sim_machine.read, perhaps at once. Negative: refused. */
int sim_read_at(struct sim_world *w, struct sim_node *n, uint64_t *ret_id);

/* sim_raft_check.c: the invariants */
uint64_t sim_entry_hash(const struct raft_entry *e);
struct sim_index *sim_index_at(struct sim_world *w, uint64_t index);
void check_appended(struct sim_world *w, const struct sim_node *n, const struct raft_entry *e);
void check_message(struct sim_world *w, struct sim_node *n, const struct raft_msg *msg);
void check_leader(struct sim_world *w, const struct sim_node *n, uint64_t term);
void check_repaired(struct sim_world *w, const struct sim_node *n);
void check_committed(struct sim_world *w, const struct sim_node *n, uint64_t term, uint64_t from,
                     uint64_t to);
void check_leader_commit(struct sim_world *w, const struct sim_node *n, uint64_t term);
void check_applied(struct sim_world *w, const struct sim_node *n, const struct raft_entry *e);
void check_read(struct sim_world *w, const struct sim_node *n, const struct raft_read *read);
/* What it was like before a step, and whether the step was right. */
struct sim_before {
    uint64_t commit_index;
    struct raft_conf conf;
};
void check_step(struct sim_world *w, struct sim_node *n, const struct raft_event *ev,
                const struct sim_before *before);
void check_joins(struct sim_world *w, const struct sim_node *n);
/* Of a node that starts, or has installed a snapshot. */
void check_state(struct sim_world *w, const struct sim_node *n);
void check_conf(struct sim_world *w, const struct sim_node *n, const struct raft_entry *e);

#endif
