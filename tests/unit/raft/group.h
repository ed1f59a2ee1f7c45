/*
 * A few replicas by hand: time, messages and disks move only when a test says so. Messages pass
 * through the codec.
 */
#ifndef TESTS_UNIT_RAFT_GROUP_H
#define TESTS_UNIT_RAFT_GROUP_H

#include "raft/raft.h"

enum {
    GROUP_NODES_MAX = 5,
    GROUP_ENTRIES_MAX = 400,
    GROUP_READS_MAX = 16,
};

struct group_node {
    struct group *group;
    struct raft_id id;
    struct raft *raft;
    struct raft_update up; /* Of the last step; its pointers may be stale. */
    bool disk_stuck;       /* Writes wait for group_sync(). */
    uint64_t unsynced;     /* The last write that waits; 0: none. */
    unsigned fetching;     /* So many reads of old entries find them not at hand. */
    bool cut;              /* Neither hears nor is heard. */

    /* As it is on disk, or will be. */
    struct raft_hard_state hard_state;
    struct raft_entry *log[GROUP_ENTRIES_MAX]; /* By index. */
    uint64_t first, last;
    struct raft_point applied;

    struct raft_read reads[GROUP_READS_MAX];
    size_t read_count;
    struct raft_id snapshot_wanted;
    struct raft_point snapshot_offered;
    enum raft_fault fault;
};

struct group {
    unsigned count;
    int64_t now_ns;
    int64_t opening_ns; /* a node that starts has been reading its disk for so long */
    struct raft_conf founders;
    struct raft_config config; /* For all; change before group_start(). */
    struct group_node nodes[GROUP_NODES_MAX];
    uint8_t *wire[4096]; /* Encoded messages under way, in order, with their lengths. */
    size_t wire_len[4096];
    size_t wire_count;
};

/* With so many founders, none started. Times are the defaults: elections after 0.5 to 1 s. */
struct group *group_new(unsigned count);
void group_free(struct group *g);
void group_start(struct group *g); /* All of them. */

struct group_node *group_node(struct group *g, unsigned id);
void group_start_node(struct group *g, unsigned id);
/* Forgets all but the disk. What was not synced stays on it; see group_lose(). */
void group_stop_node(struct group *g, unsigned id);
/* The stopped node's disk loses its entries from index on. */
void group_lose(struct group *g, unsigned id, uint64_t from);

int group_step(struct group *g, unsigned id, struct raft_event *ev);
void group_tick(struct group *g, int64_t ms); /* In steps of 10 ms, delivering all messages. */
void group_deliver(struct group *g);          /* All messages, and what follows from them. */
void group_drop(struct group *g);             /* All messages that are under way. */
void group_sync(struct group *g, unsigned id);

/* To one node, as if from another: fills in what is common. */
void group_inject(struct group *g, unsigned from, unsigned to, struct raft_msg *msg);
/* The first message of this type to a node that is under way; false if there is none. */
bool group_find(struct group *g, enum raft_msg_type type, unsigned to, struct raft_msg *ret_msg);

/* Until this node leads and its first entry is committed; the others are kept quiet. */
void group_elect(struct group *g, unsigned id);
/* Until it leads by one forged vote; no other message is delivered. */
void group_crown(struct group *g, unsigned id, unsigned voter);
int group_propose(struct group *g, unsigned id, const char *text);
int group_read(struct group *g, unsigned id, uint64_t read_id);
int group_conf(struct group *g, unsigned id, enum raft_conf_op op, unsigned member);
int group_transfer(struct group *g, unsigned id, unsigned to);
/* The result of a read that has ended; 1 if it has not. */
int group_read_result(struct group *g, unsigned id, uint64_t read_id);
struct raft_status group_status(struct group *g, unsigned id);

#endif
