/*
 * Who is in the group, as the log says it: the members at the base, and after each CONF entry.
 * The newest is in force, committed or not (Ongaro's thesis, 4.1).
 */
#ifndef RAFT_MEMBERS_H
#define RAFT_MEMBERS_H

#include "raft/raft.h"

struct conf_at {
    uint64_t index;
    struct raft_conf conf;
};

struct members {
    struct conf_at *list; /* By index; never empty. */
    size_t count;
    size_t cap;
};

void members_init(struct members *m, uint64_t base_index, const struct raft_conf *conf);
void members_done(struct members *m);

void members_append(struct members *m, uint64_t index, const struct raft_conf *conf);

/* Entries from this index on are gone. True if that changed who is in force. */
bool members_truncate(struct members *m, uint64_t from);

/* What was in force before base_index is no longer of interest. */
void members_compact(struct members *m, uint64_t base_index);

/* The log starts again after a snapshot. */
void members_reset(struct members *m, uint64_t base_index, const struct raft_conf *conf);

/* In force now; and the index of its entry. */
const struct raft_conf *members_now(const struct members *m);
uint64_t members_now_index(const struct members *m);

/* In force at index; NULL if that is too long ago. */
const struct raft_conf *members_at(const struct members *m, uint64_t index);

bool members_is_voter(const struct members *m, struct raft_id id);
unsigned members_voter_count(const struct members *m);

/* More than half of the voters. */
unsigned members_quorum(const struct members *m);

/*
 * The value that a quorum of voters has reached, given each voter's own: of n values sorted
 * downwards the quorum-th. Sorts values.
 */
uint64_t quorum_value(uint64_t *values, unsigned count);

/* conf with one change made. Errors as raft_step() gives for CONF_CHANGE. */
int members_change(const struct raft_conf *conf, enum raft_conf_op op,
                   const struct raft_member *member, struct raft_conf *ret_conf);

#endif
