/* The machine itself: batches in, one write each, hashes, positions. */
#include "namenode/fsm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "namenode/fsm_impl.h"
#include "namenode/mutants.h"

static void *batch_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void batch_free(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

int fsm_open(struct kv *kv, struct fsm **ret_fsm)
{
    CLEANUP(fsm) struct fsm *fsm = MEM_NEW(struct fsm);
    struct kv_value v;
    struct key k;
    int r;

    fsm->kv = kv;
    kv_batch_init(&fsm->batch);
    fsm->cache = rec_cache_new(FSM_CACHE_BYTES);
    tx_init(&fsm->apply, kv, fsm->cache);
    tx_init(&fsm->read, kv, fsm->cache);
    key_state(&k);
    r = kv_get(kv, k.b, k.len, &v);
    if (r == 0) {
        r = state_rec_decode(v.data, v.len, &fsm->state);
        kv_value_done(kv, &v);
    } else if (r == -ENOENT) {
        fsm->state = (struct state_rec){
            .format = FSM_FORMAT_FIRST,
            .next_ino = INO_ROOT.v + 1,
            .next_chunk = 1,
            .next_session = 1,
            .next_target = 1,
            .next_pg = 1,
        };
        r = 0;
    }
    if (r == 0 && fsm->state.format > FSM_FORMAT)
        r = -EPROTONOSUPPORT;
    if (r < 0)
        return r;
    if (MUTANT(IDS_NOT_IN_BATCH))
        fsm->state.next_ino = INO_ROOT.v + 1;
    if (MUTANT(CONVERT_IN_RAM))
        fsm->state.convert = (struct convert_pos){0};
    *ret_fsm = STEAL(fsm);
    return 0;
}

void fsm_close(struct fsm *fsm)
{
    if (!fsm)
        return;
    tx_done(&fsm->apply);
    tx_done(&fsm->read);
    rec_cache_free(fsm->cache);
    kv_batch_done(&fsm->batch);
    free(fsm);
}

void fsm_set_events(struct fsm *fsm, fsm_event_fn fn, void *ctx)
{
    fsm->event_fn = fn;
    fsm->event_ctx = ctx;
}

void fsm_set_cache(struct fsm *fsm, size_t bytes)
{
    rec_cache_free(fsm->cache);
    fsm->cache = fsm->apply.cache = fsm->read.cache = rec_cache_new(bytes);
}

size_t fsm_cache_bytes(const struct fsm *fsm)
{
    return rec_cache_bytes(fsm->cache);
}

/* Before anything is done: every operation is known, and the state is what the leader says it is.
 */
static int check_batch(const struct fsm *fsm, const Dfs__LogBatch *batch)
{
    for (size_t i = 0; i < batch->n_ops; i++) {
        const Dfs__MetaRequest *req = batch->ops[i];
        uint64_t ours;

        if (!fsm_op_of(req))
            return -EBADMSG;
        if (req->op_case == DFS__META_REQUEST__OP_FORMAT && req->format->format > FSM_FORMAT)
            return -EBADMSG;
        if (req->op_case == DFS__META_REQUEST__OP_HASH &&
            fsm_state_hash(fsm, req->hash->index, &ours) == 0 && ours != req->hash->hash &&
            !MUTANT(HASH_IGNORED)) {
            log_error("metadata state differs from the leader's",
                      "index=%" PRIu64 " ours=%016" PRIx64 " theirs=%016" PRIx64, req->hash->index,
                      ours, req->hash->hash);
            return -EUCLEAN;
        }
    }
    return 0;
}

/* Overlay and state into one kv batch, with the hash over all of it in the state record. */
static int write_out(struct fsm *fsm, struct tx *tx)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;
    size_t at;

    kv_batch_clear(&fsm->batch);
    for (const struct omap_node *n = omap_first(&tx->overlay); n; n = omap_next(n)) {
        if (MUTANT(DEDUP_IN_RAM) && n->key[0] == 'R')
            continue;
        if (n->deleted)
            kv_batch_delete(&fsm->batch, n->key, n->key_len);
        else
            kv_batch_put(&fsm->batch, n->key, n->key_len, n->value, n->value_len);
    }
    if (MUTANT(APPLIED_APART)) {
        int r = kv_write(fsm->kv, &fsm->batch);

        if (r < 0)
            return r;
        kv_batch_clear(&fsm->batch);
    }
    key_state(&k);
    tx->state.hash = 0;
    at = kv_batch_put(&fsm->batch, k.b, k.len, bytes, state_rec_encode(&tx->state, bytes));
    tx->state.hash = hash64(fsm->batch.data, fsm->batch.len, fsm->state.hash);
    (void)state_rec_encode(&tx->state, fsm->batch.data + at);
    return kv_write(fsm->kv, &fsm->batch);
}

/* What was written is what will be read next: a new file's attributes, the directory it is in. */
static void update_cache(struct fsm *fsm, const struct tx *tx)
{
    for (const struct omap_node *n = omap_first(&tx->overlay); n; n = omap_next(n)) {
        if (!rec_cache_keeps(n->key[0]))
            continue;
        if (n->deleted && MUTANT(CACHE_KEEPS_DELETED))
            continue;
        if (n->deleted)
            rec_cache_remove(fsm->cache, n->key, n->key_len);
        else
            rec_cache_put(fsm->cache, n->key, n->key_len, n->value, n->value_len);
    }
}

static void remember_hash(struct fsm *fsm)
{
    size_t slot = fsm->state.index % FSM_HASH_RING;

    fsm->hashes[slot].index = fsm->state.index;
    fsm->hashes[slot].hash = fsm->state.hash;
}

static void tell(struct fsm *fsm, const struct tx *tx, const struct fsm_reply *replies,
                 size_t count, fsm_reply_fn fn, void *ctx)
{
    for (size_t i = 0; i < tx->event_count && fsm->event_fn; i++)
        fsm->event_fn(fsm->event_ctx, &tx->events[i]);
    for (size_t i = 0; i < count && fn; i++)
        fn(ctx, &replies[i]);
}

int fsm_apply(struct fsm *fsm, uint64_t index, uint64_t term, const uint8_t *batch_bytes,
              size_t len, fsm_reply_fn reply, void *ctx)
{
    struct tx *tx = &fsm->apply;
    ProtobufCAllocator allocator = {
        .alloc = batch_alloc, .free = batch_free, .allocator_data = &tx->arena};
    struct fsm_reply *replies;
    Dfs__LogBatch *batch;
    int r;

    if (index <= fsm->state.index)
        return 0;
    tx_reset(tx);
    tx->state = fsm->state;
    tx->index = index;
    batch = dfs__log_batch__unpack(&allocator, len, batch_bytes);
    if (!batch)
        return -EBADMSG;
    r = check_batch(fsm, batch);
    if (r < 0)
        return r;

    replies = arena_alloc(&tx->arena, batch->n_ops * sizeof(*replies));
    for (size_t i = 0; i < batch->n_ops; i++) {
        Dfs__MetaReply *msg;

        tx->now_ns = tx->state.time_ns = MAX(tx->state.time_ns + 1, batch->time_ns);
        if (MUTANT(LOCAL_CLOCK))
            tx->now_ns = MUTANT_CLOCK();
        fsm_exec(tx, batch->ops[i], &msg, &replies[i].bytes, &replies[i].len);
        if (tx->fatal < 0)
            return tx->fatal;
        replies[i].position = (uint32_t)i;
        replies[i].status = msg->status;
        replies[i].msg = msg;
    }
    usage_write_out(tx);
    tx->state.index = index;
    tx->state.term = term;
    r = write_out(fsm, tx);
    if (r < 0)
        return r;
    fsm->state = tx->state;
    update_cache(fsm, tx);
    remember_hash(fsm);
    tell(fsm, tx, replies, batch->n_ops, reply, ctx);
    return 0;
}

struct fsm_pos fsm_applied(const struct fsm *fsm)
{
    return (struct fsm_pos){.index = fsm->state.index, .term = fsm->state.term};
}

int fsm_flushed(struct fsm *fsm, struct fsm_pos *ret_pos)
{
    struct state_rec state = {0};
    struct kv_value v;
    struct key k;
    int r;

    key_state(&k);
    r = MUTANT(FLUSHED_FROM_READ) ? kv_get(fsm->kv, k.b, k.len, &v)
                                  : kv_get_persisted(fsm->kv, k.b, k.len, &v);
    if (r == 0) {
        r = state_rec_decode(v.data, v.len, &state);
        kv_value_done(fsm->kv, &v);
    }
    if (r < 0 && r != -ENOENT)
        return r;
    *ret_pos = (struct fsm_pos){.index = state.index, .term = state.term};
    return 0;
}

int fsm_flush(struct fsm *fsm, bool wait)
{
    return kv_flush(fsm->kv, wait);
}

int fsm_checkpoint(struct fsm *fsm, const char *dir)
{
    return kv_checkpoint(fsm->kv, dir);
}

int fsm_state_hash(const struct fsm *fsm, uint64_t index, uint64_t *ret_hash)
{
    size_t slot = index % FSM_HASH_RING;

    if (index == 0 || fsm->hashes[slot].index != index)
        return -ENOENT;
    *ret_hash = fsm->hashes[slot].hash;
    return 0;
}
