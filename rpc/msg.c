/* Message bodies: the arena they unpack into, and Errors. */
#include "rpc/msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/compiler.h"
#include "common/limits.h"
#include "common/mem.h"
#include "rpc/node.pb-c.h"

enum { BLOCK_BYTES = 32 << 10, ALIGN = 16 };

struct msg_block {
    struct msg_block *next;
    _Alignas(ALIGN) uint8_t bytes[];
};

static void *arena_alloc(void *ctx, size_t size)
{
    struct msg_arena *a = ctx;
    size_t room;
    void *p;

    size = (MAX(size, (size_t)1) + ALIGN - 1) / ALIGN * ALIGN;
    if ((size_t)(a->end - a->at) < size) {
        struct msg_block *b;

        if (size > a->left)
            return NULL;
        room = MIN(MAX(size, (size_t)BLOCK_BYTES), a->left);
        b = mem_alloc(sizeof(*b) + room);
        b->next = a->blocks;
        a->blocks = b;
        a->at = b->bytes;
        a->end = b->bytes + room;
        a->left -= room;
    }
    p = a->at;
    a->at += size;
    return p;
}

static void arena_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

void msg_arena_init(struct msg_arena *a)
{
    a->allocator = (ProtobufCAllocator){arena_alloc, arena_free, a};
    a->at = a->first;
    a->end = a->first + sizeof(a->first);
    a->blocks = NULL;
    a->left = MSG_MEMORY_MAX;
}

void msg_arena_done(struct msg_arena *a)
{
    while (a->blocks != NULL) {
        struct msg_block *b = a->blocks;

        a->blocks = b->next;
        free(b);
    }
    a->at = a->end = NULL;
}

void *msg_unpack(struct msg_arena *a, const ProtobufCMessageDescriptor *type, const void *bytes,
                 size_t len)
{
    if (len > FRAME_BODY_MAX)
        return NULL;
    return protobuf_c_message_unpack(type, &a->allocator, len, bytes);
}

/* How many messages there are in a field, and where. */
static size_t messages_in(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field,
                          ProtobufCMessage *const **ret_list)
{
    const uint8_t *bytes = (const uint8_t *)msg;
    const void *member = bytes + field->offset;

    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return 0;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        *ret_list = *(ProtobufCMessage *const *const *)member;
        return *(const size_t *)(const void *)(bytes + field->quantifier_offset);
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
        *(const uint32_t *)(const void *)(bytes + field->quantifier_offset) != field->id)
        return 0;
    *ret_list = member;
    return **ret_list != NULL;
}

/* Messages do not contain their own kind: as deep as the protocol is. */
bool msg_has_unknown_fields(const ProtobufCMessage *msg)
{
    ProtobufCMessage *const *list;

    if (msg->n_unknown_fields > 0)
        return true;
    for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
        size_t count = messages_in(msg, &msg->descriptor->fields[i], &list);

        for (size_t k = 0; k < count; k++) {
            if (msg_has_unknown_fields(list[k]))
                return true;
        }
    }
    return false;
}

size_t msg_pack(struct buf *b, const ProtobufCMessage *msg)
{
    size_t len = protobuf_c_message_get_packed_size(msg);

    if (len == 0)
        return 0;
    (void)protobuf_c_message_pack(msg, buf_reserve(b, len));
    buf_commit(b, len);
    return len;
}

static const Dfs__Error *error_unpack(struct msg_arena *a, const struct rpc_frame *f)
{
    if (f == NULL || !(f->header.flags & FRAME_ERROR))
        return NULL;
    return msg_unpack(a, &dfs__error__descriptor, f->body, f->header.body_len);
}

int rpc_error_code(const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena a;
    const Dfs__Error *e;

    msg_arena_init(&a);
    e = error_unpack(&a, f);
    return e != NULL && e->code < 0 ? e->code : -EPROTO;
}

const char *rpc_error_text(const struct rpc_frame *f, char out[RPC_ERROR_TEXT_MAX])
{
    CLEANUP_MSG struct msg_arena a;
    const Dfs__Error *e;
    size_t n = 0;

    msg_arena_init(&a);
    e = error_unpack(&a, f);
    if (e != NULL && e->text != NULL) {
        for (; e->text[n] != '\0' && n < RPC_ERROR_TEXT_MAX - 1; n++)
            out[n] = (unsigned char)e->text[n] < 0x20 ? '?' : e->text[n];
    }
    out[n] = '\0';
    return out;
}

const char *msg_type_name(uint16_t type)
{
    static const struct {
        uint16_t type;
        const char *name;
    } names[] = {
        {MSG_PING, "PING"},
        {MSG_DATA_HELLO, "DATA_HELLO"},
        {MSG_META, "META"},
        {MSG_SESSION_OPEN, "SESSION_OPEN"},
        {MSG_SESSION_RENEW, "SESSION_RENEW"},
        {MSG_SESSION_CLOSE, "SESSION_CLOSE"},
        {MSG_CLUSTER_MAP, "CLUSTER_MAP"},
        {MSG_RAFT, "RAFT"},
        {MSG_SNAP_DATA, "SNAP_DATA"},
        {MSG_SNAP_WANT, "SNAP_WANT"},
        {MSG_NODE_SPACE, "NODE_SPACE"},
        {MSG_PEER_HELLO, "PEER_HELLO"},
        {MSG_NODE_REGISTER, "NODE_REGISTER"},
        {MSG_HEARTBEAT, "HEARTBEAT"},
        {MSG_BAD_CHUNK, "BAD_CHUNK"},
        {MSG_PG_CONFIG, "PG_CONFIG"},
        {MSG_CHUNK_OP, "CHUNK_OP"},
        {MSG_CHUNK_READ, "CHUNK_READ"},
        {MSG_CHAIN_HELLO, "CHAIN_HELLO"},
        {MSG_CHAIN_OP, "CHAIN_OP"},
        {MSG_CHAIN_ACK, "CHAIN_ACK"},
        {MSG_EPOCH_CONFIRM, "EPOCH_CONFIRM"},
        {MSG_SYNC_BEGIN, "SYNC_BEGIN"},
        {MSG_SYNC_LIST, "SYNC_LIST"},
        {MSG_SYNC_CRCS, "SYNC_CRCS"},
        {MSG_SYNC_READ, "SYNC_READ"},
        {MSG_INVENTORY, "INVENTORY"},
        {MSG_REPORT, "REPORT"},
        {MSG_STATUS, "STATUS"},
        {MSG_TRANSFER, "TRANSFER"},
        {MSG_MEMBER, "MEMBER"},
        {MSG_TARGET_ADMIN, "TARGET_ADMIN"},
        {MSG_BACKUP_POINT, "BACKUP_POINT"},
        {MSG_BACKUP_BEGIN, "BACKUP_BEGIN"},
        {MSG_BACKUP_WANT, "BACKUP_WANT"},
        {MSG_FSCK, "FSCK"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (names[i].type == type)
            return names[i].name;
    }
    return "?";
}
