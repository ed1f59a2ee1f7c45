/*
 * What a step wants done, and what must wait for the disk (R1).
 *
 * Each update that persists something is a write with an id, and writes reach the disk in order.
 * A message that rests on a write stays here until RAFT_EV_DURABLE has named it. When the term
 * changes, what still waits is dropped: sent later it could vouch for an entry that the vote in
 * between had already given away.
 */
#ifndef RAFT_OUTBOX_H
#define RAFT_OUTBOX_H

#include "raft/raft.h"

enum {
    HELD_MAX = 4096, /* Messages that wait for the disk; more are dropped, as by a network. */
};

struct held_msg {
    uint64_t after; /* The write it rests on. */
    bool after_log; /* While fresh: rests on all that was asked of the log so far. */
    struct raft_msg msg;
};

struct pending_write {
    uint64_t id;
    uint64_t last_index; /* When it is durable, so are the entries up to here. */
};

struct entry_array {
    struct raft_entry *entries; /* Each with a reference. */
    size_t count;
};

struct outbox {
    /* Over many steps. */
    uint64_t issued;           /* The last write asked for... */
    uint64_t durable;          /* ...and the last one known to be on disk. */
    uint64_t hard_state_write; /* The one with the newest hard state. */
    struct pending_write *pending;
    size_t pending_count, pending_cap;
    struct held_msg *held;
    size_t held_count, held_cap;

    /* Of this step. */
    bool hard_state_changed;
    bool log_reset;
    struct raft_point log_base;
    uint64_t truncate_from;
    struct raft_entry *entries; /* The log has the references. */
    size_t entry_count, entry_cap;
    struct held_msg *fresh;
    size_t fresh_count, fresh_cap;
    struct raft_msg *messages;
    size_t message_count, message_cap;
    struct raft_read *reads;
    size_t read_count, read_cap;
    struct raft_id *wanted;
    size_t wanted_count, wanted_cap;
    bool offered;
    struct raft_point offer;
    struct raft_id offer_from;
    bool conf_changed;
    enum raft_fault fault;
    struct raft_id fault_from;
    struct entry_array *arrays; /* What messages and raft_entry_get() gave out. */
    size_t array_count, array_cap;
};

void outbox_done(struct outbox *o);

/* Forgets the last step's results. */
void outbox_begin(struct outbox *o);

void outbox_message(struct outbox *o, const struct raft_msg *msg, bool after_log);
void outbox_entry(struct outbox *o, const struct raft_entry *entry);
void outbox_read(struct outbox *o, uint64_t id, int result, uint64_t index);
void outbox_snapshot_wanted(struct outbox *o, struct raft_id peer);

/* An array that lives until the next step; the entries put there carry a reference each. */
struct raft_entry *outbox_entries(struct outbox *o, size_t count);

/* Only so many of the array given out last were filled. */
void outbox_entries_filled(struct outbox *o, size_t count);

/* The term changed: nothing that waits may leave any more. */
void outbox_drop_held(struct outbox *o);

/* Entries from this index on no longer follow from writes under way. */
void outbox_truncated(struct outbox *o, uint64_t from);

/* Gives the writes of this step their id and sorts its messages; last_index is our log's. */
void outbox_commit(struct outbox *o, uint64_t last_index, bool early_votes);

/* The disk has all up to id. Gives the last index that this makes durable; 0: none. */
uint64_t outbox_durable(struct outbox *o, uint64_t id);

/* Is the newest hard state on disk? */
bool outbox_hard_state_durable(const struct outbox *o);

#endif
