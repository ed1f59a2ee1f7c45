/*
 * What raft is made of and what its log and messages carry: ids, membership, entries.
 * The terms are those of Ongaro and Ousterhout, "In Search of an Understandable Consensus
 * Algorithm"; R1..R11 are the rules of raft/README.md.
 */
#ifndef RAFT_TYPES_H
#define RAFT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A replica of the group. 0 is "nobody". Never used again, not even after a wipe (R9). */
struct raft_id {
    uint64_t v;
};

#define RAFT_NOBODY ((struct raft_id){0})

/* Names one data directory, or one cluster. All zero is "not known": it matches any. */
struct raft_uuid {
    uint8_t b[16];
};

enum {
    RAFT_MEMBERS_MAX = 9, /* Voters and learners together. */
    RAFT_ADDR_MAX = 64,   /* Bytes of an address with its NUL. */
    RAFT_CONF_BYTES_MAX = 8 + RAFT_MEMBERS_MAX * (8 + 16 + 1 + 1 + RAFT_ADDR_MAX),
    RAFT_ENTRY_BYTES_MAX = 4 << 20, /* Payload of one entry. */
    RAFT_MSG_ENTRIES_MAX = 1024,    /* Entries in one message. */
    RAFT_MSG_BYTES_MAX = 16 << 20,  /* One encoded message. */
};

struct raft_member {
    struct raft_id id;
    struct raft_uuid uuid;    /* Of its data directory. */
    bool voter;               /* Otherwise a learner: receives the log, does not count. */
    char addr[RAFT_ADDR_MAX]; /* Where the others reach it; opaque to the core. */
};

/* Who is in the group. In force from the moment its entry is appended; undone by truncation. */
struct raft_conf {
    unsigned count;
    struct raft_member members[RAFT_MEMBERS_MAX]; /* In order of id. */
};

/* NULL if it is not a member. */
const struct raft_member *raft_conf_find(const struct raft_conf *conf, struct raft_id id);

/* The payload of a CONF entry. Encode: buf has room for RAFT_CONF_BYTES_MAX; gives the length. */
size_t raft_conf_encode(const struct raft_conf *conf, uint8_t *buf);
/* -EBADMSG  not a configuration, or one no group may have (no order, twice the same id) */
int raft_conf_decode(const uint8_t *data, size_t len, struct raft_conf *ret_conf);

/*
 * The payload of an entry: shared and never changed once it is in an entry. The count is not
 * atomic: take and drop references on the loop thread only (other threads may read the bytes).
 */
struct raft_buf {
    unsigned refs;
    uint32_t len;
    uint8_t data[];
};

/* Room for len bytes, to be filled by the caller; one reference. Never NULL. */
struct raft_buf *raft_buf_new(size_t len);
struct raft_buf *raft_buf_copy(const void *data, size_t len);
struct raft_buf *raft_buf_ref(struct raft_buf *buf);
void raft_buf_unref(struct raft_buf *buf); /* NULL is fine. */

enum raft_entry_type {
    RAFT_ENTRY_NORMAL = 1, /* Commands of the state machine. */
    RAFT_ENTRY_NOOP = 2,   /* A new leader's first entry (R2). Empty. */
    RAFT_ENTRY_CONF = 3,   /* A struct raft_conf. */
    RAFT_ENTRY_HASH = 4,   /* Divergence detector: for the state machine, like NORMAL. */
};

struct raft_entry {
    uint64_t index; /* From 1, without gaps. */
    uint64_t term;  /* In which its proposer was elected (R9b). */
    enum raft_entry_type type;
    struct raft_buf *buf; /* Never NULL; may be empty. */
};

/* What a replica must never forget. */
struct raft_hard_state {
    uint64_t term;
    struct raft_id vote; /* In that term. */
};

/* A point of the log, with who was in the group there: the base of a log, or a snapshot. */
struct raft_point {
    uint64_t index;
    uint64_t term;
    struct raft_conf conf;
};

#endif
