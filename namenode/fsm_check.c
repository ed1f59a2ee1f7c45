/* What is refused before it gets into the log, and how a batch is put together. */
#include <errno.h>
#include <string.h>

#include "namenode/fsm_ops.h"

static int check_cred(const Dfs__Cred *cred)
{
    return cred && cred->n_groups > GROUPS_MAX ? -EINVAL : 0;
}

int fsm_check_request(const Dfs__MetaRequest *req, bool client)
{
    if (!fsm_op_of(req))
        return -EPROTO;
    if (client && fsm_op_is_internal(req))
        return -EPERM;
    if (client && (req->session == 0 || req->seq == 0))
        return -EINVAL;
    if (check_cred(req->cred) < 0)
        return -EINVAL;
    switch (req->op_case) {
    case DFS__META_REQUEST__OP_COMMIT:
        return req->commit->inline_data.len > INLINE_MAX ? -EINVAL : 0;
    case DFS__META_REQUEST__OP_ALLOC:
        /* The leader fills in pgs after this. */
        return req->alloc->count == 0 || req->alloc->count > FSM_ALLOC_MAX ? -EINVAL : 0;
    case DFS__META_REQUEST__OP_SETXATTR:
        return req->setxattr->value.len > XATTR_VALUE_BYTES_MAX ? -E2BIG : 0;
    case DFS__META_REQUEST__OP_REMOVE_TREE:
        return req->remove_tree->limit == 0 || req->remove_tree->from.len > TREE_NEXT_BYTES_MAX
                   ? -EINVAL
                   : 0;
    case DFS__META_REQUEST__OP_FORMAT:
        return req->format->format > FSM_FORMAT ? -EINVAL : 0;
    case DFS__META_REQUEST__OP_CONVERT:
        return req->convert->max_values == 0 ? -EINVAL : 0;
    case DFS__META_REQUEST__OP_PG_EPOCH:
        return req->pg_epoch->pg ? 0 : -EINVAL;
    default:
        return 0;
    }
}

bool fsm_is_copies_xattr(ProtobufCBinaryData name)
{
    static const char copies[] = "dfs.copies";

    return name.len == sizeof(copies) - 1 && memcmp(name.data, copies, name.len) == 0;
}

static uint32_t format_of_xattr(ProtobufCBinaryData name)
{
    return fsm_is_copies_xattr(name) ? FSM_FORMAT_COPIES : FSM_FORMAT_FIRST;
}

uint32_t fsm_format_of(const Dfs__MetaRequest *req)
{
    switch (req->op_case) {
    case DFS__META_REQUEST__OP_SET_QUOTA:
    case DFS__META_REQUEST__OP_REMOVE_TREE:
        return FSM_FORMAT_USAGE;
    case DFS__META_REQUEST__OP_TARGET_ADD:
        return req->target_add->rack[0] || req->target_add->target != 0 ? FSM_FORMAT_USAGE
                                                                        : FSM_FORMAT_FIRST;
    case DFS__META_REQUEST__OP_TARGET_SET:
        return req->target_set->maintenance_until_ns != 0 || req->target_set->rack[0]
                   ? FSM_FORMAT_USAGE
                   : FSM_FORMAT_FIRST;
    case DFS__META_REQUEST__OP_TRUNC_DONE:
        return req->trunc_done->version != 0 ? FSM_FORMAT_MARKS : FSM_FORMAT_FIRST;
    case DFS__META_REQUEST__OP_CONVERT:
        return FSM_FORMAT_VALUES;
    case DFS__META_REQUEST__OP_REPAIR:
        return FSM_FORMAT_REPAIR;
    case DFS__META_REQUEST__OP_SWAP_CHUNKS:
        return FSM_FORMAT_COPIES;
    case DFS__META_REQUEST__OP_SETXATTR:
        return format_of_xattr(req->setxattr->name);
    case DFS__META_REQUEST__OP_REMOVEXATTR:
        return format_of_xattr(req->removexattr->name);
    default:
        return FSM_FORMAT_FIRST;
    }
}

bool fsm_takes_space(const Dfs__MetaRequest *m)
{
    switch (m->op_case) {
    case DFS__META_REQUEST__OP_CREATE:
    case DFS__META_REQUEST__OP_LINK:
    case DFS__META_REQUEST__OP_SETXATTR:
    case DFS__META_REQUEST__OP_ALLOC:
    case DFS__META_REQUEST__OP_SET_QUOTA:
        return true;
    case DFS__META_REQUEST__OP_COMMIT:
        return m->commit->set_inline;
    default:
        return false;
    }
}

int fsm_check_request_bytes(const uint8_t *data, size_t len, bool client)
{
    Dfs__MetaRequest *req = dfs__meta_request__unpack(NULL, len, data);
    int r;

    if (!req)
        return -EPROTO;
    r = fsm_check_request(req, client);
    dfs__meta_request__free_unpacked(req, NULL);
    return r;
}

/* Field 1, sfixed64. */
size_t fsm_batch_header(int64_t time_ns, uint8_t *out)
{
    out[0] = 1 << 3 | 1;
    for (unsigned i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)((uint64_t)time_ns >> (8 * i));
    return FSM_BATCH_HEADER;
}

/* Field 2, length-delimited. */
size_t fsm_batch_op_header(size_t packed_len, uint8_t *out)
{
    size_t n = 0;

    out[n++] = 2 << 3 | 2;
    while (packed_len >= 0x80) {
        out[n++] = (uint8_t)(packed_len | 0x80);
        packed_len >>= 7;
    }
    out[n++] = (uint8_t)packed_len;
    return n;
}
