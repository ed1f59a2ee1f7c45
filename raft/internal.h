/* The state of a replica, and what the files of the core ask of each other. */
#ifndef RAFT_INTERNAL_H
#define RAFT_INTERNAL_H

#include "common/compiler.h"
#include "raft/entries.h"
#include "raft/members.h"
#include "raft/outbox.h"
#include "raft/progress.h"
#include "raft/raft.h"

#ifdef RAFT_MUTANTS
#define MUTANT(r, name) ((r)->cfg.mutant == (RAFT_MUTANT_##name))
#else
#define MUTANT(r, name) false
#endif

enum {
    READS_MAX = 65536,     /* Waiting at once; more are refused. */
    READ_ENTRIES_MAX = 64, /* Fetched at once for raft_entry_get(). */
    READ_BYTES_MAX = 1 << 20,
};

/* A read that waits; `from` is a peer whose client asked, or nobody for our own. */
struct wait_read {
    uint64_t id;
    struct raft_id from;
    bool proved;    /* Somebody was the leader after the read began. */
    uint64_t round; /* Leader: of the heartbeats that will prove it; 0: not yet in one. */
    bool indexed;   /* index is known: */
    uint64_t index; /* To be applied first. */
    uint64_t key;   /* Follower: names the question to the leader. */
    int64_t deadline_ns;
};

struct votes {
    struct raft_id granted[RAFT_MEMBERS_MAX];
    unsigned count;
};

struct raft {
    struct raft_config cfg;
    uint64_t rng;
    int64_t now_ns;
    bool started;

    struct raft_hard_state hard_state;
    struct entries log;
    struct members members;
    uint64_t durable_index; /* Entries up to here are on our disk. */
    uint64_t commit_index;  /* Known to be committed; may be beyond durable_index. */
    uint64_t applied_index;
    struct outbox out;

    enum raft_role role;
    struct raft_id leader; /* Of this term. */

    /* Voter. */
    int64_t election_at_ns;
    int64_t heard_ns; /* When a live leader, of any term, was last heard. */
    bool heard;
    int64_t alone_since_ns;
    int64_t quarantine_until_ns;
    uint64_t seen_term;  /* The last heartbeat that we answered or, as leader, sent: its term... */
    uint64_t seen_round; /* ...and round. */
    struct votes votes;
    bool transfer_campaign; /* CANDIDATE because the leader asked us; then: */
    uint64_t transfer_term;
    uint64_t transfer_round;

    /* Leader. */
    struct progress *peers; /* All members but us. */
    unsigned peer_count;
    uint64_t leader_term;     /* The one we were elected in. */
    uint64_t first_own_index; /* The NOOP that opened our term. */
    size_t uncommitted_bytes; /* Payload from there on, not committed. */
    int64_t heartbeat_at_ns;
    uint64_t round;           /* The last one started. */
    uint64_t lease_min_round; /* Earlier rounds prove no lease. */
    struct raft_id transfer_to;
    int64_t transfer_until_ns;
    bool transfer_asked; /* TIMEOUT_NOW has left: no new round. */

    struct wait_read *reads;
    size_t read_count;
    size_t read_cap;
    uint64_t read_key;

    /* Follower that fetches a snapshot; index 0: none. */
    struct raft_point installing;
    struct raft_id installing_from;

    /* RECOVERING. */
    uint64_t faulty_to;
    uint64_t faulty_term;
    struct raft_point boot_applied; /* Until the start: R8 against what the log holds. */

    uint64_t heard_term; /* The highest seen in any message. */
};

/* raft.c */
void raft_send(struct raft *r, struct raft_id to, struct raft_msg *msg);
void raft_send_after_log(struct raft *r, struct raft_id to, struct raft_msg *msg);
void raft_set_hard_state(struct raft *r, uint64_t term, struct raft_id vote);
void raft_append_own(struct raft *r, enum raft_entry_type type, struct raft_buf *buf);
void raft_fault(struct raft *r, const struct raft_msg *msg, enum raft_fault fault);
struct progress *raft_find_peer(struct raft *r, struct raft_id id);
bool raft_is_leader_ready(const struct raft *r);
uint64_t raft_visible_commit(const struct raft *r);

/* election.c */
void election_start(struct raft *r);
void election_tick(struct raft *r);
void election_campaign_transfer(struct raft *r, uint64_t round);
void election_become_follower(struct raft *r, uint64_t term, struct raft_id leader);
void election_heard_leader(struct raft *r, struct raft_id leader);
void election_durable(struct raft *r);
bool election_may_adopt(const struct raft *r, const struct raft_msg *msg);
void election_prevote(struct raft *r, const struct raft_msg *msg);
void election_prevote_reply(struct raft *r, const struct raft_msg *msg);
void election_vote(struct raft *r, const struct raft_msg *msg);
void election_vote_reply(struct raft *r, const struct raft_msg *msg);

/* transfer.c */
int transfer_begin(struct raft *r, struct raft_id to);
bool transfer_active(const struct raft *r);
void transfer_pump(struct raft *r);
void transfer_tick(struct raft *r);
void transfer_end(struct raft *r);
void transfer_timeout_now(struct raft *r, const struct raft_msg *msg);

/* replicate.c: the leader's side */
void replicate_lead(struct raft *r);
void replicate_all(struct raft *r);
void replicate_pump(struct raft *r, struct progress *p);
void replicate_ack(struct raft *r, const struct raft_msg *msg);
void replicate_reject(struct raft *r, const struct raft_msg *msg);
void replicate_heartbeat_acked(struct raft *r, struct progress *p);
void replicate_tick(struct raft *r);
void replicate_advance_commit(struct raft *r);
void replicate_set_peers(struct raft *r);
int replicate_propose(struct raft *r, const struct raft_event *ev, struct raft_update *up);
int replicate_conf_change(struct raft *r, const struct raft_event *ev, struct raft_update *up);
void replicate_unreachable(struct raft *r, struct raft_id peer);

/* follow.c: the other side */
void follow_append(struct raft *r, const struct raft_msg *msg);
void follow_commit(struct raft *r, uint64_t commit);
void follow_check_repaired(struct raft *r);

/* read.c: heartbeat rounds, the lease, reads */
void read_start_round(struct raft *r);
void read_heartbeat(struct raft *r, const struct raft_msg *msg);
void read_heartbeat_ack(struct raft *r, const struct raft_msg *msg);
int64_t read_lease_until(const struct raft *r);
bool read_lease_valid(const struct raft *r);
int read_request(struct raft *r, uint64_t id);
void read_index(struct raft *r, const struct raft_msg *msg);
void read_index_reply(struct raft *r, const struct raft_msg *msg);
void read_pump(struct raft *r);
void read_tick(struct raft *r);
void read_fail_all(struct raft *r);

/* snapshot.c */
void snapshot_want(struct raft *r, struct progress *p);
void snapshot_ready(struct raft *r, struct raft_id peer, const struct raft_point *point);
void snapshot_failed(struct raft *r, struct raft_id peer);
void snapshot_tick(struct raft *r, struct progress *p);
void snapshot_offer(struct raft *r, const struct raft_msg *msg);
int snapshot_installed(struct raft *r, const struct raft_point *point);
void snapshot_reset_log(struct raft *r, const struct raft_point *point);
int snapshot_compacted(struct raft *r, uint64_t first_index);

#endif
