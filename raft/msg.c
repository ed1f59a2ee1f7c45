/*
 * Messages as bytes, little-endian:
 *
 *   {u8 format, u8 type, u8 cluster[16], u64 from, u8 from_uuid[16], u64 to, u64 term} body
 *
 * and an entry in an APPEND: {u64 term, u8 type, u32 len, payload}; indices count from prev + 1.
 */
#include "raft/msg.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "raft/bytes.h"
#include "raft/mem.h"

enum {
    MSG_FORMAT = 1,
    HEADER_BYTES = 1 + 1 + 16 + 8 + 16 + 8 + 8,
    ENTRY_HEADER_BYTES = 8 + 1 + 4,
};

static size_t body_size(const struct raft_msg *msg)
{
    size_t size;
    uint8_t conf[RAFT_CONF_BYTES_MAX];

    switch (msg->type) {
    case RAFT_MSG_PREVOTE:
    case RAFT_MSG_VOTE:
        return 4 * 8 + 1;
    case RAFT_MSG_PREVOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
        return 1;
    case RAFT_MSG_APPEND:
        size = 3 * 8 + 4;
        for (size_t i = 0; i < msg->append.entry_count; i++)
            size += ENTRY_HEADER_BYTES + msg->append.entries[i].buf->len;
        return size;
    case RAFT_MSG_APPEND_REJECT:
        return 3 * 8 + 1;
    case RAFT_MSG_HEARTBEAT:
        return 3 * 8;
    case RAFT_MSG_HEARTBEAT_ACK:
        return 2 * 8;
    case RAFT_MSG_READ_INDEX_REPLY:
        return 2 * 8 + 1;
    case RAFT_MSG_APPEND_ACK:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX:
        return 8;
    case RAFT_MSG_SNAPSHOT_OFFER:
        return 2 * 8 + 4 + raft_conf_encode(&msg->snapshot_offer.point.conf, conf);
    case RAFT_MSG_HIGHER_TERM:
        return 0;
    }
    assert(false && "no such message");
    return 0;
}

size_t raft_msg_size(const struct raft_msg *msg)
{
    return HEADER_BYTES + body_size(msg);
}

static void put_entries(uint8_t **p, const struct raft_msg_append *a)
{
    put_u32(p, (uint32_t)a->entry_count);
    for (size_t i = 0; i < a->entry_count; i++) {
        const struct raft_entry *e = &a->entries[i];

        put_u64(p, e->term);
        put_u8(p, (uint8_t)e->type);
        put_u32(p, e->buf->len);
        put_bytes(p, e->buf->data, e->buf->len);
    }
}

static void put_point(uint8_t **p, const struct raft_point *point)
{
    uint8_t conf[RAFT_CONF_BYTES_MAX];
    size_t len = raft_conf_encode(&point->conf, conf);

    put_u64(p, point->index);
    put_u64(p, point->term);
    put_u32(p, (uint32_t)len);
    put_bytes(p, conf, len);
}

static void put_vote(uint8_t **p, const struct raft_msg_vote *v)
{
    put_u64(p, v->last_index);
    put_u64(p, v->last_term);
    put_u8(p, v->transfer);
    put_u64(p, v->transfer_term);
    put_u64(p, v->transfer_round);
}

static void put_body(uint8_t **p, const struct raft_msg *msg)
{
    switch (msg->type) {
    case RAFT_MSG_PREVOTE:
    case RAFT_MSG_VOTE:
        put_vote(p, &msg->vote);
        break;
    case RAFT_MSG_PREVOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
        put_u8(p, msg->vote_reply.granted);
        break;
    case RAFT_MSG_APPEND:
        put_u64(p, msg->append.prev_index);
        put_u64(p, msg->append.prev_term);
        put_u64(p, msg->append.commit);
        put_entries(p, &msg->append);
        break;
    case RAFT_MSG_APPEND_ACK:
        put_u64(p, msg->append_ack.match);
        break;
    case RAFT_MSG_APPEND_REJECT:
        put_u64(p, msg->append_reject.prev_index);
        put_u64(p, msg->append_reject.hint_index);
        put_u64(p, msg->append_reject.hint_term);
        put_u8(p, msg->append_reject.lost);
        break;
    case RAFT_MSG_HEARTBEAT:
        put_u64(p, msg->heartbeat.round);
        put_u64(p, (uint64_t)msg->heartbeat.sent_ns);
        put_u64(p, msg->heartbeat.commit);
        break;
    case RAFT_MSG_HEARTBEAT_ACK:
        put_u64(p, msg->heartbeat_ack.round);
        put_u64(p, (uint64_t)msg->heartbeat_ack.sent_ns);
        break;
    case RAFT_MSG_SNAPSHOT_OFFER:
        put_point(p, &msg->snapshot_offer.point);
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        put_u64(p, msg->timeout_now.round);
        break;
    case RAFT_MSG_READ_INDEX:
        put_u64(p, msg->read_index.id);
        break;
    case RAFT_MSG_READ_INDEX_REPLY:
        put_u64(p, msg->read_index_reply.id);
        put_u8(p, msg->read_index_reply.ok);
        put_u64(p, msg->read_index_reply.index);
        break;
    case RAFT_MSG_HIGHER_TERM:
        break;
    }
}

void raft_msg_encode(const struct raft_msg *msg, uint8_t *buf)
{
    uint8_t *p = buf;

    put_u8(&p, MSG_FORMAT);
    put_u8(&p, (uint8_t)msg->type);
    put_bytes(&p, msg->cluster.b, sizeof(msg->cluster.b));
    put_u64(&p, msg->from.v);
    put_bytes(&p, msg->from_uuid.b, sizeof(msg->from_uuid.b));
    put_u64(&p, msg->to.v);
    put_u64(&p, msg->term);
    put_body(&p, msg);
    assert((size_t)(p - buf) == raft_msg_size(msg));
}

static bool get_bool(struct reader *in)
{
    uint8_t v = get_u8(in);

    if (v > 1)
        in->failed = true;
    return v == 1;
}

static bool get_entry(struct reader *in, struct raft_entry *e)
{
    const uint8_t *payload;
    uint8_t type;
    uint32_t len;

    e->term = get_u64(in);
    type = get_u8(in);
    len = get_u32(in);
    if (in->failed || type < RAFT_ENTRY_NORMAL || type > RAFT_ENTRY_HASH ||
        len > RAFT_ENTRY_BYTES_MAX)
        return false;
    payload = get_span(in, len);
    if (payload == NULL)
        return false;
    e->type = (enum raft_entry_type)type;
    e->buf = raft_buf_copy(payload, len);
    return true;
}

/* Terms never fall along a log, and none is younger than the message. */
static int get_entries(struct reader *in, struct raft_msg *msg)
{
    struct raft_msg_append *a = &msg->append;
    struct raft_entry *entries;
    uint64_t term = a->prev_term;
    uint32_t count = get_u32(in);

    if (in->failed || count > RAFT_MSG_ENTRIES_MAX ||
        (size_t)(in->end - in->at) < (size_t)count * ENTRY_HEADER_BYTES ||
        a->prev_index > UINT64_MAX - count)
        return -EBADMSG;
    if (count == 0)
        return 0;
    entries = raft_alloc(count, sizeof(*entries));
    a->entries = entries;
    for (uint32_t i = 0; i < count; i++) {
        if (!get_entry(in, &entries[i]))
            return -EBADMSG;
        a->entry_count++;
        entries[i].index = a->prev_index + 1 + i;
        if (entries[i].term < term || entries[i].term > msg->term)
            return -EBADMSG;
        term = entries[i].term;
    }
    return 0;
}

static int get_point(struct reader *in, struct raft_point *point)
{
    const uint8_t *conf;
    uint32_t len;

    point->index = get_u64(in);
    point->term = get_u64(in);
    len = get_u32(in);
    conf = get_span(in, len);
    if (conf == NULL)
        return -EBADMSG;
    return raft_conf_decode(conf, len, &point->conf);
}

static void get_vote(struct reader *in, struct raft_msg_vote *v)
{
    v->last_index = get_u64(in);
    v->last_term = get_u64(in);
    v->transfer = get_bool(in);
    v->transfer_term = get_u64(in);
    v->transfer_round = get_u64(in);
}

static int get_body(struct reader *in, struct raft_msg *msg)
{
    switch (msg->type) {
    case RAFT_MSG_PREVOTE:
    case RAFT_MSG_VOTE:
        get_vote(in, &msg->vote);
        return 0;
    case RAFT_MSG_PREVOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
        msg->vote_reply.granted = get_bool(in);
        return 0;
    case RAFT_MSG_APPEND:
        msg->append.prev_index = get_u64(in);
        msg->append.prev_term = get_u64(in);
        msg->append.commit = get_u64(in);
        return get_entries(in, msg);
    case RAFT_MSG_APPEND_ACK:
        msg->append_ack.match = get_u64(in);
        return 0;
    case RAFT_MSG_APPEND_REJECT:
        msg->append_reject.prev_index = get_u64(in);
        msg->append_reject.hint_index = get_u64(in);
        msg->append_reject.hint_term = get_u64(in);
        msg->append_reject.lost = get_bool(in);
        return 0;
    case RAFT_MSG_HEARTBEAT:
        msg->heartbeat.round = get_u64(in);
        msg->heartbeat.sent_ns = (int64_t)get_u64(in);
        msg->heartbeat.commit = get_u64(in);
        return 0;
    case RAFT_MSG_HEARTBEAT_ACK:
        msg->heartbeat_ack.round = get_u64(in);
        msg->heartbeat_ack.sent_ns = (int64_t)get_u64(in);
        return 0;
    case RAFT_MSG_SNAPSHOT_OFFER:
        return get_point(in, &msg->snapshot_offer.point);
    case RAFT_MSG_TIMEOUT_NOW:
        msg->timeout_now.round = get_u64(in);
        return 0;
    case RAFT_MSG_READ_INDEX:
        msg->read_index.id = get_u64(in);
        return 0;
    case RAFT_MSG_READ_INDEX_REPLY:
        msg->read_index_reply.id = get_u64(in);
        msg->read_index_reply.ok = get_bool(in);
        msg->read_index_reply.index = get_u64(in);
        return 0;
    case RAFT_MSG_HIGHER_TERM:
        return 0;
    }
    return -EBADMSG;
}

int raft_msg_decode(const uint8_t *data, size_t len, struct raft_msg *ret_msg)
{
    struct reader in = {data, data + len, false};
    struct raft_msg msg = {0};
    int r;

    if (len > RAFT_MSG_BYTES_MAX || get_u8(&in) != MSG_FORMAT)
        return -EBADMSG;
    msg.type = (enum raft_msg_type)get_u8(&in);
    get_bytes(&in, msg.cluster.b, sizeof(msg.cluster.b));
    msg.from.v = get_u64(&in);
    get_bytes(&in, msg.from_uuid.b, sizeof(msg.from_uuid.b));
    msg.to.v = get_u64(&in);
    msg.term = get_u64(&in);
    if (in.failed)
        return -EBADMSG;
    r = get_body(&in, &msg);
    if (r < 0 || in.failed || in.at != in.end) {
        raft_msg_done(&msg);
        return -EBADMSG;
    }
    *ret_msg = msg;
    return 0;
}

void raft_msg_done(struct raft_msg *msg)
{
    /* Decoding made this array, and only it may change it. */
    union {
        const struct raft_entry *in;
        struct raft_entry *out;
    } entries;

    if (msg->type != RAFT_MSG_APPEND)
        return;
    entries.in = msg->append.entries;
    for (size_t i = 0; i < msg->append.entry_count; i++)
        raft_buf_unref(entries.out[i].buf);
    free(entries.out);
    msg->append.entries = NULL;
    msg->append.entry_count = 0;
}
