/*
 * Messages between replicas, as plain structs and as bytes. The rim ships the bytes and checks
 * their CRC; here nothing is believed but the length that was given.
 */
#ifndef RAFT_MSG_H
#define RAFT_MSG_H

#include "raft/types.h"

enum raft_msg_type {
    RAFT_MSG_PREVOTE = 1,
    RAFT_MSG_PREVOTE_REPLY = 2,
    RAFT_MSG_VOTE = 3,
    RAFT_MSG_VOTE_REPLY = 4,
    RAFT_MSG_APPEND = 5,
    RAFT_MSG_APPEND_ACK = 6,
    RAFT_MSG_APPEND_REJECT = 7,
    RAFT_MSG_HEARTBEAT = 8,
    RAFT_MSG_HEARTBEAT_ACK = 9,
    RAFT_MSG_SNAPSHOT_OFFER = 10,
    RAFT_MSG_TIMEOUT_NOW = 11,
    RAFT_MSG_READ_INDEX = 12,
    RAFT_MSG_READ_INDEX_REPLY = 13,
    RAFT_MSG_HIGHER_TERM = 14,
};

/* PREVOTE: term is the one it would campaign in. VOTE: term is the one it campaigns in. */
struct raft_msg_vote {
    uint64_t last_index;
    uint64_t last_term;
    bool transfer;           /* The leader asked for it: a live leader is no reason to refuse... */
    uint64_t transfer_term;  /* ...that leader's term, and its last round before it asked: */
    uint64_t transfer_round; /* one who acknowledged a later round refuses (R6). */
};

/* PREVOTE_REPLY granted: term is the asked one. Refused: the refuser's own. */
struct raft_msg_vote_reply {
    bool granted;
};

struct raft_msg_append {
    uint64_t prev_index;
    uint64_t prev_term;
    uint64_t commit;
    const struct raft_entry *entries;
    size_t entry_count;
};

struct raft_msg_append_ack {
    uint64_t match; /* Equal to the leader's log up to here, and durable. */
};

struct raft_msg_append_reject {
    uint64_t prev_index; /* As it was in the append. */
    uint64_t hint_index; /* Try from here, ... */
    uint64_t hint_term;  /* ...where this is the term. */
    bool lost;           /* The sender lost entries to damage: its match is void too. */
};

struct raft_msg_heartbeat {
    uint64_t round;
    int64_t sent_ns; /* By the leader's clock; comes back unread. */
    uint64_t commit; /* Not beyond what the receiver is known to have. */
};

struct raft_msg_heartbeat_ack {
    uint64_t round;
    int64_t sent_ns;
};

/* The receiver's rim then fetches the snapshot by its own means. */
struct raft_msg_snapshot_offer {
    struct raft_point point;
};

struct raft_msg_timeout_now {
    uint64_t round; /* The leader starts no later one until the transfer is over. */
};

struct raft_msg_read_index {
    uint64_t id;
};

struct raft_msg_read_index_reply {
    uint64_t id;
    bool ok; /* Otherwise: no leader here. */
    uint64_t index;
};

struct raft_msg {
    enum raft_msg_type type;
    struct raft_uuid cluster;
    struct raft_id from;
    struct raft_uuid from_uuid;
    struct raft_id to;
    uint64_t term;
    union {
        struct raft_msg_vote vote;             /* PREVOTE, VOTE */
        struct raft_msg_vote_reply vote_reply; /* PREVOTE_REPLY, VOTE_REPLY */
        struct raft_msg_append append;
        struct raft_msg_append_ack append_ack;
        struct raft_msg_append_reject append_reject;
        struct raft_msg_heartbeat heartbeat;
        struct raft_msg_heartbeat_ack heartbeat_ack;
        struct raft_msg_snapshot_offer snapshot_offer;
        struct raft_msg_timeout_now timeout_now;
        struct raft_msg_read_index read_index;
        struct raft_msg_read_index_reply read_index_reply;
    };
};

/* Bytes that raft_msg_encode() will write; at most RAFT_MSG_BYTES_MAX. */
size_t raft_msg_size(const struct raft_msg *msg);

/* Writes exactly raft_msg_size() bytes to buf. */
void raft_msg_encode(const struct raft_msg *msg, uint8_t *buf);

/*
 * Copies everything out of data. Release *ret_msg with raft_msg_done().
 * -EBADMSG  not a message: cut short, too long, an unknown type or version, a broken rule
 */
int raft_msg_decode(const uint8_t *data, size_t len, struct raft_msg *ret_msg);

/* Only for what raft_msg_decode() made; messages in a raft_update belong to the core. */
void raft_msg_done(struct raft_msg *msg);

#endif
