/*
 * Frame headers and message bodies. The first byte chooses: 0 a header, with its checksum made
 * right when the second byte is odd; n the nth message type, whose body follows. What unpacks is
 * packed again and, if that unpacks, must give the same bytes once more.
 */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/crc32c.h"
#include "common/limits.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/meta.pb-c.h"
#include "rpc/msg.h"
#include "rpc/node.pb-c.h"
#include "tests/fuzz/target.h"

/* Append only: the corpus names them by number. */
static const ProtobufCMessageDescriptor *const types[] = {
    &dfs__meta_request__descriptor,
    &dfs__meta_reply__descriptor,
    &dfs__log_batch__descriptor,
    &dfs__session_open_request__descriptor,
    &dfs__session_open_reply__descriptor,
    &dfs__session_renew_request__descriptor,
    &dfs__session_renew_reply__descriptor,
    &dfs__session_close_request__descriptor,
    &dfs__map_request__descriptor,
    &dfs__map_reply__descriptor,
    &dfs__chunk_op__descriptor,
    &dfs__chunk_op_reply__descriptor,
    &dfs__chunk_read_request__descriptor,
    &dfs__chunk_read_reply__descriptor,
    &dfs__chain_hello__descriptor,
    &dfs__chain_hello_ack__descriptor,
    &dfs__chain_op__descriptor,
    &dfs__chain_ack__descriptor,
    &dfs__epoch_confirm__descriptor,
    &dfs__epoch_confirm_reply__descriptor,
    &dfs__sync_begin_request__descriptor,
    &dfs__sync_begin_reply__descriptor,
    &dfs__sync_list_request__descriptor,
    &dfs__sync_list_reply__descriptor,
    &dfs__sync_crcs_request__descriptor,
    &dfs__sync_crcs_reply__descriptor,
    &dfs__sync_read_request__descriptor,
    &dfs__inventory_request__descriptor,
    &dfs__inventory_reply__descriptor,
    &dfs__data_hello__descriptor,
    &dfs__node_register_request__descriptor,
    &dfs__node_register_reply__descriptor,
    &dfs__heartbeat_request__descriptor,
    &dfs__heartbeat_reply__descriptor,
    &dfs__bad_chunk_report__descriptor,
    &dfs__pg_config_push__descriptor,
    &dfs__report_request__descriptor,
    &dfs__report_reply__descriptor,
    &dfs__status_reply__descriptor,
    &dfs__transfer_request__descriptor,
    &dfs__error__descriptor,
    &dfs__data_hello_reply__descriptor,
    &dfs__session_close_reply__descriptor,
    &dfs__pg_config_ack__descriptor,
    &dfs__status_request__descriptor,
    &dfs__member_request__descriptor,
    &dfs__snap_want__descriptor,
    &dfs__snap_data__descriptor,
    &dfs__empty__descriptor,
};

static void try_header(const uint8_t *bytes, size_t len)
{
    uint8_t header[FRAME_HEADER_SIZE], again[FRAME_HEADER_SIZE];
    struct frame_header h;

    if (len < 1 + FRAME_HEADER_SIZE)
        return;
    memcpy(header, bytes + 1, sizeof(header));
    if (bytes[0] & 1) {
        uint32_t crc = crc32c(header, FRAME_HEADER_SIZE - 4);

        memcpy(header + FRAME_HEADER_SIZE - 4, &crc, sizeof(crc));
    }
    if (frame_decode(header, &h) < 0)
        return;
    if (h.body_len > FRAME_BODY_MAX || h.data_len > FRAME_DATA_MAX)
        abort();
    frame_encode(&h, again);
    if (memcmp(header, again, sizeof(header)) != 0)
        abort();
}

static void try_body(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t len)
{
    CLEANUP_MSG struct msg_arena arena, arena2;
    CLEANUP_BUF struct buf first = {0}, second = {0};
    const ProtobufCMessage *msg;

    msg_arena_init(&arena);
    msg_arena_init(&arena2);
    msg = msg_unpack(&arena, type, bytes, len);
    if (msg == NULL)
        return;
    (void)msg_pack(&first, msg);
    msg = msg_unpack(&arena2, type, first.data, first.len);
    if (msg == NULL)
        return; /* protobuf-c takes an overlong tag of field 0, but not its own short form of it. */
    (void)msg_pack(&second, msg);
    if (first.len != second.len ||
        (first.len > 0 && memcmp(first.data, second.data, first.len) != 0))
        abort();
}

static void try_error(const uint8_t *bytes, size_t len)
{
    struct rpc_frame f = {.header = {.flags = FRAME_REPLY | FRAME_ERROR}, .body = bytes};
    char text[RPC_ERROR_TEXT_MAX];

    f.header.body_len = (uint32_t)len;
    if (rpc_error_code(&f) >= 0)
        abort();
    if (strlen(rpc_error_text(&f, text)) >= RPC_ERROR_TEXT_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    size_t count = sizeof(types) / sizeof(types[0]);

    if (len == 0)
        return 0;
    if (bytes[0] == 0) {
        try_header(bytes + 1, len - 1);
        return 0;
    }
    try_body(types[(bytes[0] - 1u) % count], bytes + 1, len - 1);
    try_error(bytes + 1, len - 1);
    return 0;
}
