/*
 * Message bodies: protobuf bytes to structs and back, and the Error that stands for a reply.
 *
 *   CLEANUP_MSG struct msg_arena arena;
 *   Dfs__ChunkOp *op;
 *
 *   msg_arena_init(&arena);
 *   op = msg_unpack(&arena, &dfs__chunk_op__descriptor, f->body, f->header.body_len);
 *   if (op == NULL)
 *       ... reply -EPROTO ...
 */
#ifndef RPC_MSG_H
#define RPC_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "rpc/conn.h"

struct buf;

/*
 * Memory of unpacked messages: taken from one block after the other, given back all at once. So an
 * unpacked message is never freed by itself (never call ..._free_unpacked on it). Put it on the
 * stack; small messages need no malloc. Don't move it.
 */
struct msg_arena {
    ProtobufCAllocator allocator;
    uint8_t *at, *end;
    struct msg_block *blocks;
    size_t left; /* how much more it may take */
    uint8_t first[4096] __attribute__((aligned(16)));
};
void msg_arena_init(struct msg_arena *a);
/* All that was unpacked into it is gone; init it again to use it again. */
void msg_arena_done(struct msg_arena *a);
#define CLEANUP_MSG __attribute__((cleanup(msg_arena_done)))

/* NULL: not a message of this type, or one that would unpack to more than MSG_MEMORY_MAX. */
void *msg_unpack(struct msg_arena *a, const ProtobufCMessageDescriptor *type, const void *bytes,
                 size_t len);

/* The message, or one inside it, has a field that this release does not know: a newer one sent it. */
bool msg_has_unknown_fields(const ProtobufCMessage *msg);

/* Appends the encoded message. Gives its length. */
size_t msg_pack(struct buf *b, const ProtobufCMessage *msg);

enum {
    MSG_MEMORY_MAX = 64 << 20,
    RPC_ERROR_TEXT_MAX = 256,
};

/* The code of an Error frame, always negative: -EPROTO when it has none or is not an Error. */
int rpc_error_code(const struct rpc_frame *f);
/* Its text for a log or a message, "" when f is NULL or has none; control characters become '?'. */
const char *rpc_error_text(const struct rpc_frame *f, char out[RPC_ERROR_TEXT_MAX]);

#endif
