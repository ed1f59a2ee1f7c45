/* Messages as bytes: what goes in comes out, and nothing else is let in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raft/raft.h"

static uint8_t *encode(const struct raft_msg *msg, size_t *ret_len)
{
    uint8_t *bytes = malloc(raft_msg_size(msg));

    raft_msg_encode(msg, bytes);
    *ret_len = raft_msg_size(msg);
    return bytes;
}

/* Every cut, and one byte too many, must be refused without touching the result. */
static void check_bounds(const uint8_t *bytes, size_t len)
{
    struct raft_msg out, before;
    uint8_t *copy = malloc(len + 1);

    memset(&out, 0x5a, sizeof(out));
    before = out;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut + 1);

        memcpy(exact, bytes, cut);
        assert_int_equal(raft_msg_decode(exact, cut, &out), -EBADMSG);
        free(exact);
    }
    memcpy(copy, bytes, len);
    copy[len] = 0;
    assert_int_equal(raft_msg_decode(copy, len + 1, &out), -EBADMSG);
    assert_memory_equal(&out, &before, sizeof(out));
    free(copy);
}

static void fill_body(struct raft_msg *m)
{
    for (size_t i = offsetof(struct raft_msg, vote); i < sizeof(*m); i++)
        ((uint8_t *)m)[i] = 0;
    switch (m->type) {
    case RAFT_MSG_PREVOTE:
    case RAFT_MSG_VOTE:
        m->vote = (struct raft_msg_vote){1, 2, true, 3, 4};
        break;
    case RAFT_MSG_PREVOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
        m->vote_reply.granted = true;
        break;
    case RAFT_MSG_APPEND:
        m->append.prev_index = 1;
        m->append.prev_term = 1;
        m->append.commit = 9;
        break;
    case RAFT_MSG_APPEND_ACK:
        m->append_ack.match = UINT64_MAX;
        break;
    case RAFT_MSG_APPEND_REJECT:
        m->append_reject = (struct raft_msg_append_reject){5, 6, 7, true};
        break;
    case RAFT_MSG_HEARTBEAT:
        m->heartbeat = (struct raft_msg_heartbeat){1, -2, 3};
        break;
    case RAFT_MSG_HEARTBEAT_ACK:
        m->heartbeat_ack = (struct raft_msg_heartbeat_ack){1, INT64_MAX};
        break;
    case RAFT_MSG_SNAPSHOT_OFFER:
        m->snapshot_offer.point.index = 77;
        m->snapshot_offer.point.term = 8;
        m->snapshot_offer.point.conf.count = 1;
        m->snapshot_offer.point.conf.members[0] =
            (struct raft_member){.id = {5}, .voter = true, .addr = "a:1"};
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        m->timeout_now.round = 12;
        break;
    case RAFT_MSG_READ_INDEX:
        m->read_index.id = 13;
        break;
    case RAFT_MSG_READ_INDEX_REPLY:
        m->read_index_reply = (struct raft_msg_read_index_reply){14, true, 15};
        break;
    case RAFT_MSG_HIGHER_TERM:
        break;
    }
}

static void every_message_survives_its_bytes(void **state)
{
    (void)state;
    for (unsigned type = RAFT_MSG_PREVOTE; type <= RAFT_MSG_HIGHER_TERM; type++) {
        struct raft_msg in, out;
        uint8_t *bytes, *again;
        size_t len, len_again;

        memset(&in, 0, sizeof(in));
        in.type = (enum raft_msg_type)type;
        memset(in.cluster.b, 1, 16);
        memset(in.from_uuid.b, 2, 16);
        in.from.v = 3;
        in.to.v = 4;
        in.term = 5;
        fill_body(&in);
        bytes = encode(&in, &len);
        assert_int_equal(raft_msg_decode(bytes, len, &out), 0);
        assert_int_equal(out.type, type);
        assert_int_equal(out.term, 5);
        again = encode(&out, &len_again);
        assert_int_equal(len, len_again);
        assert_memory_equal(bytes, again, len);
        check_bounds(bytes, len);
        raft_msg_done(&out);
        free(bytes);
        free(again);
    }
}

static struct raft_msg append_of(struct raft_entry *entries, size_t count)
{
    struct raft_msg msg = {.type = RAFT_MSG_APPEND, .from = {1}, .to = {2}, .term = 6};

    msg.append.prev_index = 10;
    msg.append.prev_term = 4;
    msg.append.entries = entries;
    msg.append.entry_count = count;
    return msg;
}

static void entries_survive_with_their_payloads(void **state)
{
    struct raft_buf *a = raft_buf_copy("first", 5), *b = raft_buf_new(0);
    struct raft_entry entries[] = {{11, 4, RAFT_ENTRY_NORMAL, a}, {12, 6, RAFT_ENTRY_NOOP, b}};
    struct raft_msg msg = append_of(entries, 2), out;
    size_t len;
    uint8_t *bytes = encode(&msg, &len);

    (void)state;
    assert_int_equal(raft_msg_decode(bytes, len, &out), 0);
    assert_int_equal(out.append.entry_count, 2);
    assert_int_equal(out.append.entries[0].index, 11);
    assert_memory_equal(out.append.entries[0].buf->data, "first", 5);
    assert_int_equal(out.append.entries[1].type, RAFT_ENTRY_NOOP);
    assert_int_equal(out.append.entries[1].term, 6);
    check_bounds(bytes, len);
    raft_msg_done(&out);
    free(bytes);
    raft_buf_unref(a);
    raft_buf_unref(b);
}

static void refuse(struct raft_entry *entries, size_t count)
{
    struct raft_msg msg = append_of(entries, count), out;
    size_t len;
    uint8_t *bytes = encode(&msg, &len);

    assert_int_equal(raft_msg_decode(bytes, len, &out), -EBADMSG);
    free(bytes);
}

/* R9b: an entry younger than the message's leader, or older than the one before it, is a lie. */
static void terms_that_cannot_be_are_refused(void **state)
{
    struct raft_buf *b = raft_buf_new(0);
    struct raft_entry falling[] = {{11, 5, RAFT_ENTRY_NORMAL, b}, {12, 4, RAFT_ENTRY_NORMAL, b}};
    struct raft_entry older[] = {{11, 3, RAFT_ENTRY_NORMAL, b}};
    struct raft_entry younger[] = {{11, 7, RAFT_ENTRY_NORMAL, b}};

    (void)state;
    refuse(falling, 2);
    refuse(older, 1);
    refuse(younger, 1);
    raft_buf_unref(b);
}

static void a_count_larger_than_the_bytes_allocates_nothing(void **state)
{
    struct raft_msg msg = append_of(NULL, 0), out;
    size_t len;
    uint8_t *bytes = encode(&msg, &len);

    (void)state;
    bytes[len - 4] = 0xff;
    bytes[len - 3] = 0x03; /* 1023 entries in no bytes. */
    assert_int_equal(raft_msg_decode(bytes, len, &out), -EBADMSG);
    free(bytes);
}

static void another_format_is_refused(void **state)
{
    struct raft_msg msg = {.type = RAFT_MSG_HIGHER_TERM, .term = 1}, out;
    size_t len;
    uint8_t *bytes = encode(&msg, &len);

    (void)state;
    bytes[0]++;
    assert_int_equal(raft_msg_decode(bytes, len, &out), -EBADMSG);
    bytes[0]--;
    bytes[1] = 99;
    assert_int_equal(raft_msg_decode(bytes, len, &out), -EBADMSG);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_survives_its_bytes),
        cmocka_unit_test(entries_survive_with_their_payloads),
        cmocka_unit_test(terms_that_cannot_be_are_refused),
        cmocka_unit_test(a_count_larger_than_the_bytes_allocates_nothing),
        cmocka_unit_test(another_format_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
