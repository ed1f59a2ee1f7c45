/*
 * From a request to its operation, with the exactly-once rules of sessions: every change of a
 * session has a number, its answer is kept until the client says that it has it, and a number that
 * comes again gets the answer of the first time.
 */
#include <errno.h>

#include "common/error.h"
#include "namenode/fsm_ops.h"
#include "namenode/mutants.h"

static int op_hash(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    (void)tx; /* Compared before the batch was begun. */
    (void)req;
    (void)reply;
    return 0;
}

static int op_noop(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    (void)tx;
    (void)req;
    (void)reply;
    return 0;
}

fsm_op_fn fsm_op_of(const Dfs__MetaRequest *req)
{
    switch (req->op_case) {
    case DFS__META_REQUEST__OP_CREATE:
        return op_create;
    case DFS__META_REQUEST__OP_LINK:
        return op_link;
    case DFS__META_REQUEST__OP_UNLINK:
        return op_unlink;
    case DFS__META_REQUEST__OP_RMDIR:
        return op_rmdir;
    case DFS__META_REQUEST__OP_RENAME:
        return op_rename;
    case DFS__META_REQUEST__OP_SETATTR:
        return op_setattr;
    case DFS__META_REQUEST__OP_TRUNCATE:
        return op_truncate;
    case DFS__META_REQUEST__OP_TRUNC_DONE:
        return op_trunc_done;
    case DFS__META_REQUEST__OP_ALLOC:
        return op_alloc;
    case DFS__META_REQUEST__OP_COMMIT:
        return op_commit;
    case DFS__META_REQUEST__OP_SETXATTR:
        return op_setxattr;
    case DFS__META_REQUEST__OP_REMOVEXATTR:
        return op_removexattr;
    case DFS__META_REQUEST__OP_REMOVE_TREE:
        return op_remove_tree;
    case DFS__META_REQUEST__OP_SET_QUOTA:
        return op_set_quota;
    case DFS__META_REQUEST__OP_SWAP_CHUNKS:
        return op_swap_chunks;
    case DFS__META_REQUEST__OP_SESSION_OPEN:
        return op_session_open;
    case DFS__META_REQUEST__OP_SESSION_END:
        return op_session_end;
    case DFS__META_REQUEST__OP_CLUSTER_INIT:
        return op_cluster_init;
    case DFS__META_REQUEST__OP_NAMENODE_SET:
        return op_namenode_set;
    case DFS__META_REQUEST__OP_TARGET_ADD:
        return op_target_add;
    case DFS__META_REQUEST__OP_TARGET_SET:
        return op_target_set;
    case DFS__META_REQUEST__OP_PG_CREATE:
        return op_pg_create;
    case DFS__META_REQUEST__OP_PG_EPOCH:
        return op_pg_epoch;
    case DFS__META_REQUEST__OP_REAP:
        return op_reap;
    case DFS__META_REQUEST__OP_GC_DONE:
        return op_gc_done;
    case DFS__META_REQUEST__OP_FENCE_DONE:
        return op_fence_done;
    case DFS__META_REQUEST__OP_HASH:
        return op_hash;
    case DFS__META_REQUEST__OP_NOOP:
        return op_noop;
    case DFS__META_REQUEST__OP_FORMAT:
        return op_format;
    case DFS__META_REQUEST__OP_CONVERT:
        return op_convert;
    case DFS__META_REQUEST__OP_REPAIR:
        return op_repair;
    case DFS__META_REQUEST__OP__NOT_SET:
    case DFS__META_REQUEST__OP_LOOKUP:
    case DFS__META_REQUEST__OP_GETATTR:
    case DFS__META_REQUEST__OP_READLINK:
    case DFS__META_REQUEST__OP_READDIR:
    case DFS__META_REQUEST__OP_GETXATTR:
    case DFS__META_REQUEST__OP_LISTXATTR:
    case DFS__META_REQUEST__OP_STATFS:
    case DFS__META_REQUEST__OP_OPEN:
    case DFS__META_REQUEST__OP_CLOSE:
    case DFS__META_REQUEST__OP_LAYOUT:
    case DFS__META_REQUEST__OP_USAGE:
    case _DFS__META_REQUEST__OP__CASE_IS_INT_SIZE:
        return NULL;
    }
    return NULL; /* A number that this version does not know. */
}

bool fsm_op_is_internal(const Dfs__MetaRequest *req)
{
    /* Fields 60 and up, see meta.proto. */
    return req->op_case >= DFS__META_REQUEST__OP_SESSION_OPEN;
}

static Dfs__MetaReply *reply_new(struct tx *tx, int status)
{
    Dfs__MetaReply *reply = ARENA_NEW(&tx->arena, Dfs__MetaReply);

    dfs__meta_reply__init(reply);
    reply->status = status;
    return reply;
}

static Dfs__MetaReply *run(struct tx *tx, const Dfs__MetaRequest *req)
{
    Dfs__MetaReply *reply = reply_new(tx, 0);
    int status = fsm_op_of(req)(tx, req, reply);

    return status == 0 ? reply : reply_new(tx, status);
}

static void pack(struct tx *tx, const Dfs__MetaReply *reply, const uint8_t **ret_bytes,
                 size_t *ret_len)
{
    size_t len = dfs__meta_reply__get_packed_size(reply);
    uint8_t *bytes = arena_alloc(&tx->arena, len);

    (void)dfs__meta_reply__pack(reply, bytes);
    *ret_bytes = bytes;
    *ret_len = len;
}

static void *unpack_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void unpack_free(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

/* The client has the answers below floor. */
static void raise_floor(struct tx *tx, struct session_rec *s, uint64_t floor)
{
    floor = MUTANT(FLOOR_TOO_FAR) ? s->seq_max + 1 : MIN(floor, s->seq_max + 1);
    while (s->ack_floor < floor) {
        struct key k;

        key_reply(&k, s->session, s->ack_floor++);
        tx_delete(tx, &k);
    }
}

/* 1: a new operation, to be executed. 0: *ret_reply is its first answer. Negative: refused. */
static int look_up_reply(struct tx *tx, const Dfs__MetaRequest *req, const struct session_rec *s,
                         Dfs__MetaReply **ret_reply)
{
    ProtobufCAllocator allocator = {
        .alloc = unpack_alloc, .free = unpack_free, .allocator_data = &tx->arena};
    const uint8_t *bytes;
    struct key k;
    size_t len;
    int r;

    if (req->seq < MAX(s->ack_floor, req->ack_floor) && !MUTANT(FLOOR_IGNORED))
        return -ESTALE;
    if (req->seq - s->ack_floor >= SESSION_REPLIES_MAX)
        return DFS_EBUSY_WINDOW;
    if (req->seq > s->seq_max)
        return 1;
    key_reply(&k, s->session, req->seq);
    r = value_get_copy(tx, &k, &bytes, &len);
    if (r == -ENOENT)
        return 1;
    if (r < 0)
        return r;
    *ret_reply = dfs__meta_reply__unpack(&allocator, len, bytes);
    return *ret_reply ? 0 : tx_fail(tx, -EBADMSG);
}

static Dfs__MetaReply *run_once(struct tx *tx, const Dfs__MetaRequest *req)
{
    Dfs__MetaReply *reply = NULL;
    const uint8_t *bytes;
    struct session_rec s;
    struct key k;
    size_t len;
    int r;

    r = tx_session_get(tx, req->session, &s);
    if (r < 0 || (MUTANT(SESSION_LOCAL_TIME) && MUTANT_CLOCK() - s.opened_ns > 3000000000))
        return reply_new(tx, DFS_ESTALE_SESSION);
    if (fsm_op_is_internal(req))
        return reply_new(tx, -EPERM);
    if (req->seq == 0)
        return reply_new(tx, -EINVAL);
    raise_floor(tx, &s, req->ack_floor);
    r = look_up_reply(tx, req, &s, &reply);
    if (r > 0) {
        reply = run(tx, req);
        pack(tx, reply, &bytes, &len);
        key_reply(&k, s.session, req->seq);
        value_put(tx, &k, bytes, len);
        s.seq_max = MAX(s.seq_max, req->seq);
    } else if (r < 0) {
        reply = reply_new(tx, r);
    }
    tx_session_put(tx, &s);
    return reply;
}

void fsm_exec(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply **ret_reply,
              const uint8_t **ret_bytes, size_t *ret_len)
{
    *ret_bytes = NULL;
    *ret_len = 0;
    if (req->session == 0) {
        *ret_reply = run(tx, req);
        return;
    }
    *ret_reply = run_once(tx, req);
    pack(tx, *ret_reply, ret_bytes, ret_len);
}
