/* Sessions of clients: opened and ended by the log, so that all replicas agree on who is alive. */
#include <errno.h>
#include <string.h>

#include "namenode/fsm_ops.h"

/* Takes the session and its answers away. */
static void session_drop(struct tx *tx, const struct session_rec *rec, bool evicted)
{
    struct key k;

    for (uint64_t seq = rec->ack_floor; seq <= rec->seq_max; seq++) {
        key_reply(&k, rec->session, seq);
        tx_delete(tx, &k);
    }
    key_id64(&k, 'N', rec->session);
    tx_delete(tx, &k);
    key_uuid(&k, 'n', rec->uuid);
    tx_delete(tx, &k);
    tx->state.session_count--;
    tx_event(tx, (struct fsm_event){
                     .kind = FSM_EVENT_SESSION_ENDED, .session = rec->session, .evicted = evicted});
}

/* The session that the client had before, if any. */
static int drop_older(struct tx *tx, const uint8_t *uuid)
{
    struct session_rec old;
    struct kv_value v;
    struct key k;
    uint64_t id;
    int r;

    key_uuid(&k, 'n', uuid);
    r = value_get(tx, &k, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    id = v.len == 8 ? key_get_u64(v.data) : 0;
    tx_value_done(tx, &v);
    r = tx_session_get(tx, id, &old);
    if (r < 0)
        return tx_fail(tx, -EBADMSG);
    session_drop(tx, &old, false);
    return 0;
}

int op_session_open(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__SessionOpenOp *op = req->session_open;
    struct session_rec rec = {.opened_index = tx->index, .opened_ns = tx->now_ns, .ack_floor = 1};
    size_t name_len = strlen(op->name);
    struct key k, id;
    int r;

    if (op->client_uuid.len != sizeof(rec.uuid) || name_len >= sizeof(rec.name))
        return -EINVAL;
    if (tx->state.session_count >= SESSION_COUNT_MAX)
        return -EUSERS;
    r = drop_older(tx, op->client_uuid.data);
    if (r < 0)
        return r;

    rec.session = tx->state.next_session++;
    memcpy(rec.uuid, op->client_uuid.data, sizeof(rec.uuid));
    memcpy(rec.name, op->name, name_len);
    tx_session_put(tx, &rec);
    key_uuid(&k, 'n', rec.uuid);
    key_id64(&id, 'N', rec.session);
    value_put(tx, &k, id.b + 1, 8);
    tx->state.session_count++;
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_SESSION_OPENED, .session = rec.session});
    reply_id(tx, reply, rec.session, 0);
    return 0;
}

int op_session_end(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__SessionEndOp *op = req->session_end;
    struct session_rec rec;
    int r;

    r = tx_session_get(tx, op->session, &rec);
    if (r < 0)
        return r;
    if (op->evicted) {
        struct fence_rec fence = {
            .session = rec.session,
            .fence_version = ++tx->state.fence_version,
            .since_ns = tx->now_ns,
        };
        tx_fence_put(tx, &fence);
    }
    session_drop(tx, &rec, op->evicted);
    reply_id(tx, reply, rec.session, tx->state.fence_version);
    return 0;
}

int op_fence_done(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    struct fence_rec fence;
    struct key k;
    int r;

    (void)reply;
    r = tx_fence_get(tx, req->fence_done->session, &fence);
    if (r < 0)
        return r;
    if (!fence.done) {
        fence.done = true;
        tx_fence_put(tx, &fence);
    } else {
        key_id64(&k, 'B', fence.session);
        tx_delete(tx, &k);
    }
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_FENCE_DONE, .session = fence.session});
    return 0;
}
