#include "namenode/fsm_tx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "namenode/fsm_usage.h"

void tx_init(struct tx *tx, struct kv *kv, struct rec_cache *cache)
{
    *tx = (struct tx){.kv = kv, .cache = cache};
    omap_init(&tx->overlay);
}

void tx_done(struct tx *tx)
{
    usage_reset(tx);
    omap_done(&tx->overlay);
    arena_done(&tx->arena);
    free(tx->events);
}

void tx_reset(struct tx *tx)
{
    usage_reset(tx); /* Before the arena that it lies in. */
    omap_clear(&tx->overlay);
    arena_reset(&tx->arena);
    tx->event_count = 0;
    tx->fatal = 0;
}

int tx_fail(struct tx *tx, int code)
{
    if (tx->fatal == 0)
        tx->fatal = code;
    return code;
}

/* From the store, through the cache. */
static int base_get(struct tx *tx, const struct key *k, struct kv_value *ret_value)
{
    bool keeps = rec_cache_keeps(k->b[0]);
    const uint8_t *data;
    size_t len;
    int r;

    if (keeps) {
        data = rec_cache_get(tx->cache, k->b, k->len, &len);
        if (data) {
            *ret_value = (struct kv_value){.data = data, .len = len};
            return 0;
        }
    }
    r = kv_get(tx->kv, k->b, k->len, ret_value);
    if (r == 0 && keeps)
        rec_cache_put(tx->cache, k->b, k->len, ret_value->data, ret_value->len);
    return r;
}

int tx_get(struct tx *tx, const struct key *k, struct kv_value *ret_value)
{
    const struct omap_node *n = NULL;
    int r;

    if (tx->overlay.count > 0)
        n = omap_find(&tx->overlay, k->b, k->len);
    if (n) {
        if (n->deleted)
            return -ENOENT;
        *ret_value = (struct kv_value){.data = n->value, .len = n->value_len};
        return 0;
    }
    r = base_get(tx, k, ret_value);
    return r < 0 && r != -ENOENT ? tx_fail(tx, r) : r;
}

void tx_value_done(struct tx *tx, struct kv_value *v)
{
    if (v->pin)
        kv_value_done(tx->kv, v);
}

int tx_exists(struct tx *tx, const struct key *k)
{
    struct kv_value v;
    int r;

    r = tx_get(tx, k, &v);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    tx_value_done(tx, &v);
    return 1;
}

void tx_put(struct tx *tx, const struct key *k, const void *data, size_t len)
{
    omap_put(&tx->overlay, k->b, k->len, data, len);
}

uint8_t *tx_put_room(struct tx *tx, const struct key *k, size_t len)
{
    return omap_put_room(&tx->overlay, k->b, k->len, len);
}

void tx_delete(struct tx *tx, const struct key *k)
{
    omap_put_deleted(&tx->overlay, k->b, k->len);
}

/* A merge of two ordered runs; where both have a key, the overlay's is the newer. */
int tx_scan(struct tx *tx, const struct key *from, size_t prefix_len, tx_scan_fn fn, void *ctx)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    const struct omap_node *n = omap_seek(&tx->overlay, from->b, from->len);
    int r;

    r = kv_iter_new(tx->kv, from->b, prefix_len, &it);
    if (r == 0)
        r = kv_iter_seek(it, from->b, from->len);
    while (r == 0) {
        bool base = it->valid;
        bool over = n && n->key_len >= prefix_len && memcmp(n->key, from->b, prefix_len) == 0;
        int order;

        if (!base && !over)
            return 0;
        order = !base ? 1 : !over ? -1 : omap_compare(it->key, it->key_len, n->key, n->key_len);
        if (order < 0)
            r = fn(ctx, it->key, it->key_len, it->value, it->value_len);
        else if (!n->deleted)
            r = fn(ctx, n->key, n->key_len, n->value, n->value_len);
        if (r != 0)
            return r > 0 ? 0 : r;
        if (order >= 0)
            n = omap_next(n);
        if (order <= 0)
            r = kv_iter_next(it);
    }
    return tx_fail(tx, r);
}

void tx_event(struct tx *tx, struct fsm_event event)
{
    if (event.kind == FSM_EVENT_GARBAGE) {
        for (size_t i = tx->event_count; i > 0; i--) {
            const struct fsm_event *e = &tx->events[i - 1];

            if (e->kind == FSM_EVENT_GARBAGE && e->pg == event.pg)
                return;
        }
    }
    if (tx->event_count == tx->event_cap) {
        tx->event_cap = MAX((size_t)64, tx->event_cap * 2);
        tx->events = mem_realloc(tx->events, tx->event_cap, sizeof(tx->events[0]));
    }
    tx->events[tx->event_count++] = event;
}

/* A record that does not decode was damaged on our own disk: nothing can be built on it. */
int tx_damaged(struct tx *tx, const struct key *k)
{
    char hex[2 * KEY_BYTES_MAX + 1] = "";

    for (size_t i = 1; i < k->len; i++)
        (void)snprintf(hex + 2 * (i - 1), 3, "%02x", k->b[i]);
    log_error("metadata record does not decode: it is damaged, or of an unknown version",
              "kind=%c key=%s", k->b[0], hex);
    return tx_fail(tx, -EBADMSG);
}

#define GET_RECORD(tx_, key_, decode_)                                                             \
    do {                                                                                           \
        struct kv_value value_;                                                                    \
        int get_r_ = tx_get((tx_), &(key_), &value_);                                              \
        if (get_r_ < 0)                                                                            \
            return get_r_;                                                                         \
        get_r_ = (decode_);                                                                        \
        tx_value_done((tx_), &value_);                                                             \
        return get_r_ < 0 ? tx_damaged((tx_), &(key_)) : 0;                                        \
    } while (0)

static int inode_get(struct tx *tx, uint64_t ino, struct inode_rec *ret_rec)
{
    struct key k;

    key_id64(&k, 'I', ino);
    GET_RECORD(tx, k, inode_rec_decode(ino, value_.data, value_.len, ret_rec));
}

int tx_inode_get(struct tx *tx, uint64_t ino, struct inode_rec *ret_rec)
{
    int r = inode_get(tx, ino, ret_rec);

    return r == -ENOENT ? -ESTALE : r;
}

void tx_inode_put(struct tx *tx, const struct inode_rec *rec)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_id64(&k, 'I', rec->ino);
    tx_put(tx, &k, bytes, inode_rec_encode(rec, bytes));
}

int tx_dentry_get(struct tx *tx, uint64_t parent, ProtobufCBinaryData name,
                  struct dentry_rec *ret_rec)
{
    struct key k;

    key_name(&k, 'D', parent, name.data, name.len);
    GET_RECORD(tx, k, dentry_rec_decode(value_.data, value_.len, ret_rec));
}

void tx_dentry_put(struct tx *tx, uint64_t parent, ProtobufCBinaryData name,
                   const struct dentry_rec *rec)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_name(&k, 'D', parent, name.data, name.len);
    tx_put(tx, &k, bytes, dentry_rec_encode(rec, bytes));
}

void tx_dentry_delete(struct tx *tx, uint64_t parent, ProtobufCBinaryData name)
{
    struct key k;

    key_name(&k, 'D', parent, name.data, name.len);
    tx_delete(tx, &k);
}

static int chunk_page_get(struct tx *tx, uint64_t ino, uint32_t page, struct chunk_page *ret_page)
{
    struct key k;

    key_chunk_page(&k, ino, page);
    GET_RECORD(tx, k, chunk_page_decode(value_.data, value_.len, ret_page));
}

int tx_chunk_page_get(struct tx *tx, uint64_t ino, uint32_t page, struct chunk_page *ret_page)
{
    int r = chunk_page_get(tx, ino, page, ret_page);

    if (r == -ENOENT) {
        ret_page->count = 0;
        return 0;
    }
    return r;
}

void tx_chunk_page_put(struct tx *tx, uint64_t ino, uint32_t page, const struct chunk_page *rec)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_chunk_page(&k, ino, page);
    if (rec->count == 0)
        tx_delete(tx, &k);
    else
        tx_put(tx, &k, bytes, chunk_page_encode(rec, bytes));
}

int tx_session_get(struct tx *tx, uint64_t session, struct session_rec *ret_rec)
{
    struct key k;

    key_id64(&k, 'N', session);
    GET_RECORD(tx, k, session_rec_decode(session, value_.data, value_.len, ret_rec));
}

void tx_session_put(struct tx *tx, const struct session_rec *rec)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_id64(&k, 'N', rec->session);
    tx_put(tx, &k, bytes, session_rec_encode(rec, bytes));
}

int tx_target_get(struct tx *tx, uint32_t target, struct target_rec *ret_rec)
{
    struct key k;

    key_id32(&k, 'T', target);
    GET_RECORD(tx, k, target_rec_decode(target, value_.data, value_.len, ret_rec));
}

void tx_target_put(struct tx *tx, const struct target_rec *rec)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_id32(&k, 'T', rec->target);
    tx_put(tx, &k, bytes, target_rec_encode(rec, bytes));
}

int tx_pg_get(struct tx *tx, uint32_t pg, struct pg_rec *ret_rec)
{
    struct key k;

    key_id32(&k, 'P', pg);
    GET_RECORD(tx, k, pg_rec_decode(pg, value_.data, value_.len, ret_rec));
}

void tx_pg_put(struct tx *tx, const struct pg_rec *rec)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_id32(&k, 'P', rec->pg);
    tx_put(tx, &k, bytes, pg_rec_encode(rec, bytes));
}

int tx_fence_get(struct tx *tx, uint64_t session, struct fence_rec *ret_rec)
{
    struct key k;

    key_id64(&k, 'B', session);
    GET_RECORD(tx, k, fence_rec_decode(session, value_.data, value_.len, ret_rec));
}

void tx_fence_put(struct tx *tx, const struct fence_rec *rec)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_id64(&k, 'B', rec->session);
    tx_put(tx, &k, bytes, fence_rec_encode(rec, bytes));
}

int tx_cluster_get(struct tx *tx, struct cluster_rec *ret_rec)
{
    struct key k;

    key_cluster(&k);
    GET_RECORD(tx, k, cluster_rec_decode(value_.data, value_.len, ret_rec));
}
