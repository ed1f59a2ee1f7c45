/* Message bodies and Errors: good ones come through, bad bytes never do harm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/limits.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/meta.pb-c.h"
#include "rpc/msg.h"
#include "rpc/node.pb-c.h"

static void message_survives_packing(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    CLEANUP_MSG struct msg_arena arena;
    Dfs__ChunkOp op = DFS__CHUNK_OP__INIT, *got;
    uint64_t chunks[3] = {7, 8, UINT64_MAX};

    (void)state;
    op.pg = 12;
    op.chunks = chunks;
    op.n_chunks = 3;
    buf_append_str(&b, "before");
    size_t len = msg_pack(&b, &op.base);
    assert_int_equal(len, b.len - 6);
    msg_arena_init(&arena);
    got = msg_unpack(&arena, &dfs__chunk_op__descriptor, b.data + 6, b.len - 6);
    assert_non_null(got);
    assert_int_equal(got->pg, 12);
    assert_int_equal(got->n_chunks, 3);
    assert_true(got->chunks[2] == UINT64_MAX);
}

static bool is_unknown_inside(const ProtobufCMessage *sent, const ProtobufCMessageDescriptor *type)
{
    CLEANUP_BUF struct buf b = {0};
    CLEANUP_MSG struct msg_arena arena;
    ProtobufCMessage *got;

    (void)msg_pack(&b, sent);
    msg_arena_init(&arena);
    got = msg_unpack(&arena, type, b.data, b.len);
    assert_non_null(got);
    return msg_has_unknown_fields(got);
}

/* In the message itself, in that of a oneof, in one of several. */
static void fields_of_a_newer_release_are_noticed(void **state)
{
    uint8_t one = 1, letter = 'n';
    ProtobufCBinaryData name = {.data = &letter, .len = 1};
    ProtobufCMessageUnknownField more = {
        .tag = 2000, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = &one};
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__UnlinkOp op = DFS__UNLINK_OP__INIT;
    Dfs__DirReply dir = DFS__DIR_REPLY__INIT;
    Dfs__Dirent items[2] = {DFS__DIRENT__INIT, DFS__DIRENT__INIT};
    Dfs__Dirent *list[2] = {&items[0], &items[1]};

    (void)state;
    op.name = name;
    req.op_case = DFS__META_REQUEST__OP_UNLINK;
    req.unlink = &op;
    assert_false(is_unknown_inside(&req.base, &dfs__meta_request__descriptor));
    op.base.n_unknown_fields = 1;
    op.base.unknown_fields = &more;
    assert_true(is_unknown_inside(&req.base, &dfs__meta_request__descriptor));
    op.base.n_unknown_fields = 0;
    req.base.n_unknown_fields = 1;
    req.base.unknown_fields = &more;
    assert_true(is_unknown_inside(&req.base, &dfs__meta_request__descriptor));
    items[0].name = items[1].name = name;
    dir.entries = list;
    dir.n_entries = 2;
    assert_false(is_unknown_inside(&dir.base, &dfs__dir_reply__descriptor));
    items[1].base.n_unknown_fields = 1;
    items[1].base.unknown_fields = &more;
    assert_true(is_unknown_inside(&dir.base, &dfs__dir_reply__descriptor));
}

static void empty_body_is_the_message_of_defaults(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    CLEANUP_MSG struct msg_arena arena;
    Dfs__Empty e = DFS__EMPTY__INIT;

    (void)state;
    assert_int_equal(msg_pack(&b, &e.base), 0);
    msg_arena_init(&arena);
    assert_non_null(msg_unpack(&arena, &dfs__empty__descriptor, NULL, 0));
}

/* More than the arena's first block holds, so that it has to grow. */
static void big_message_unpacks_whole(void **state)
{
    enum { COUNT = 5000 };
    CLEANUP_BUF struct buf b = {0};
    CLEANUP_MSG struct msg_arena arena;
    Dfs__DirReply dir = DFS__DIR_REPLY__INIT, *got;
    Dfs__Dirent *items = calloc(COUNT, sizeof(*items));
    Dfs__Dirent **list = calloc(COUNT, sizeof(void *));

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        dfs__dirent__init(&items[i]);
        items[i].ino = i + 1;
        list[i] = &items[i];
    }
    dir.entries = list;
    dir.n_entries = COUNT;
    msg_pack(&b, &dir.base);
    msg_arena_init(&arena);
    got = msg_unpack(&arena, &dfs__dir_reply__descriptor, b.data, b.len);
    assert_non_null(got);
    assert_int_equal(got->n_entries, COUNT);
    assert_int_equal(got->entries[COUNT - 1]->ino, COUNT);
    free(list);
    free(items);
}

/* Two bytes a piece on the wire, a hundred in memory: a small frame must not take all of it. */
static void message_that_explodes_in_memory_is_refused(void **state)
{
    CLEANUP_MSG struct msg_arena arena;
    uint8_t *bytes = malloc(FRAME_BODY_MAX);

    (void)state;
    for (size_t i = 0; i < FRAME_BODY_MAX; i += 2) {
        bytes[i] = 1 << 3 | 2; /* entries, length-delimited */
        bytes[i + 1] = 0;
    }
    msg_arena_init(&arena);
    assert_null(msg_unpack(&arena, &dfs__dir_reply__descriptor, bytes, FRAME_BODY_MAX));
    free(bytes);
}

static void garbage_and_cut_messages_are_refused(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    CLEANUP_MSG struct msg_arena arena;
    Dfs__Error e = DFS__ERROR__INIT;

    (void)state;
    e.text = (char[]){"some text"};
    msg_pack(&b, &e.base);
    msg_arena_init(&arena);
    assert_null(msg_unpack(&arena, &dfs__error__descriptor, b.data, b.len - 1));
    assert_null(msg_unpack(&arena, &dfs__error__descriptor, "\xff\xff\xff", 3));
    assert_null(msg_unpack(&arena, &dfs__error__descriptor, b.data, FRAME_BODY_MAX + 1));
}

static struct rpc_frame error_frame(struct buf *b, int code, const char *text)
{
    Dfs__Error e = DFS__ERROR__INIT;
    struct rpc_frame f = {.header = {.flags = FRAME_REPLY | FRAME_ERROR}};
    char *copy = strdup(text);

    e.code = code;
    e.text = copy;
    msg_pack(b, &e.base);
    free(copy);
    f.body = b->data;
    f.header.body_len = (uint32_t)b->len;
    return f;
}

static void error_tells_code_and_text(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct rpc_frame f = error_frame(&b, -ENOSPC, "disk\nfull");
    char text[RPC_ERROR_TEXT_MAX];

    (void)state;
    assert_int_equal(rpc_error_code(&f), -ENOSPC);
    assert_string_equal(rpc_error_text(&f, text), "disk?full");
}

/* A peer must not turn an error into a success. */
static void error_without_a_negative_code_is_a_protocol_error(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct rpc_frame f = error_frame(&b, 5, "");
    char text[RPC_ERROR_TEXT_MAX];

    (void)state;
    assert_int_equal(rpc_error_code(&f), -EPROTO);
    f.header.flags = FRAME_REPLY;
    assert_int_equal(rpc_error_code(&f), -EPROTO);
    assert_int_equal(rpc_error_code(NULL), -EPROTO);
    assert_string_equal(rpc_error_text(NULL, text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_survives_packing),
        cmocka_unit_test(fields_of_a_newer_release_are_noticed),
        cmocka_unit_test(empty_body_is_the_message_of_defaults),
        cmocka_unit_test(big_message_unpacks_whole),
        cmocka_unit_test(message_that_explodes_in_memory_is_refused),
        cmocka_unit_test(garbage_and_cut_messages_are_refused),
        cmocka_unit_test(error_tells_code_and_text),
        cmocka_unit_test(error_without_a_negative_code_is_a_protocol_error),
    };

    return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
