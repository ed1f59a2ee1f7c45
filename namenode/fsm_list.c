/* Records and lists for the services of the leader. */
#include <errno.h>

#include "namenode/fsm_impl.h"

const struct state_rec *fsm_state(const struct fsm *fsm)
{
    return &fsm->state;
}

int fsm_cluster(struct fsm *fsm, struct cluster_rec *ret_rec)
{
    tx_reset(&fsm->read);
    return tx_cluster_get(&fsm->read, ret_rec);
}

int fsm_restored(struct fsm *fsm, struct restored_rec *ret_rec)
{
    struct kv_value v;
    struct key k;
    int r;

    key_restored(&k);
    r = kv_get(fsm->kv, k.b, k.len, &v);
    if (r < 0)
        return r;
    r = restored_rec_decode(v.data, v.len, ret_rec);
    kv_value_done(fsm->kv, &v);
    return r;
}

int fsm_session_get(struct fsm *fsm, uint64_t session, struct session_rec *ret_rec)
{
    tx_reset(&fsm->read);
    return tx_session_get(&fsm->read, session, ret_rec);
}

int fsm_target_get(struct fsm *fsm, uint32_t target, struct target_rec *ret_rec)
{
    tx_reset(&fsm->read);
    return tx_target_get(&fsm->read, target, ret_rec);
}

int fsm_pg_get(struct fsm *fsm, uint32_t pg, struct pg_rec *ret_rec)
{
    tx_reset(&fsm->read);
    return tx_pg_get(&fsm->read, pg, ret_rec);
}

int fsm_namenode_get(struct fsm *fsm, uint64_t replica_id, struct namenode_rec *ret_rec)
{
    struct kv_value v;
    struct key k;
    int r;

    key_id64(&k, 'A', replica_id);
    r = kv_get(fsm->kv, k.b, k.len, &v);
    if (r < 0)
        return r;
    r = namenode_rec_decode(replica_id, v.data, v.len, ret_rec);
    kv_value_done(fsm->kv, &v);
    return r;
}

int fsm_inode_get(struct fsm *fsm, uint64_t ino, struct inode_rec *ret_rec)
{
    int r;

    tx_reset(&fsm->read);
    r = tx_inode_get(&fsm->read, ino, ret_rec);
    return r == -ESTALE ? -ENOENT : r;
}

int fsm_chunk_owner(struct fsm *fsm, uint32_t pg, uint64_t chunk_id,
                    struct chunk_owner_rec *ret_rec)
{
    struct kv_value v;
    struct key k;
    int r;

    key_pg_chunk(&k, 'c', pg, chunk_id);
    r = kv_get(fsm->kv, k.b, k.len, &v);
    if (r < 0)
        return r;
    r = chunk_owner_rec_decode(v.data, v.len, ret_rec);
    kv_value_done(fsm->kv, &v);
    return r;
}

int fsm_is_garbage(struct fsm *fsm, uint32_t pg, uint64_t chunk_id)
{
    struct key k;

    tx_reset(&fsm->read);
    key_pg_chunk(&k, 'G', pg, chunk_id);
    return tx_exists(&fsm->read, &k);
}

/* Entries of a prefix from key `from` on; fn as in the header: non-zero ends and is returned. */
typedef int (*entry_fn)(void *ctx, const struct kv_iter *at);

static int each(struct fsm *fsm, const struct key *from, size_t prefix_len, entry_fn fn, void *ctx)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    int r;

    r = kv_iter_new(fsm->kv, from->b, prefix_len, &it);
    if (r == 0)
        r = kv_iter_seek(it, from->b, from->len);
    while (r == 0 && it->valid) {
        r = fn(ctx, it);
        if (r == 0)
            r = kv_iter_next(it);
    }
    return r;
}

#define DEFINE_EACH(name_, letter_, id_len_, get_id_)                                              \
    struct name_##_walk {                                                                          \
        int (*fn)(void *ctx, const struct name_##_rec *rec);                                       \
        void *ctx;                                                                                 \
    };                                                                                             \
    static int name_##_entry(void *ctx, const struct kv_iter *at)                                  \
    {                                                                                              \
        struct name_##_walk *w = ctx;                                                              \
        struct name_##_rec rec;                                                                    \
                                                                                                   \
        if (at->key_len != 1 + (id_len_) ||                                                        \
            name_##_rec_decode(get_id_(at->key + 1), at->value, at->value_len, &rec) < 0)          \
            return -EBADMSG;                                                                       \
        return w->fn(w->ctx, &rec);                                                                \
    }                                                                                              \
    int fsm_each_##name_(struct fsm *fsm, int (*fn)(void *ctx, const struct name_##_rec *rec),     \
                         void *ctx)                                                                \
    {                                                                                              \
        struct name_##_walk w = {.fn = fn, .ctx = ctx};                                            \
        struct key k;                                                                              \
                                                                                                   \
        key_kind(&k, letter_);                                                                     \
        return each(fsm, &k, 1, name_##_entry, &w);                                                \
    }

DEFINE_EACH(session, 'N', 8, key_get_u64)
DEFINE_EACH(target, 'T', 4, key_get_u32)
DEFINE_EACH(pg, 'P', 4, key_get_u32)
DEFINE_EACH(fence, 'B', 8, key_get_u64)
DEFINE_EACH(namenode, 'A', 8, key_get_u64)

static int take_first(void *ctx, const struct session_rec *rec)
{
    *(uint64_t *)ctx = rec->session;
    return 1;
}

uint64_t fsm_lowest_session(struct fsm *fsm)
{
    uint64_t lowest = fsm_state(fsm)->next_session;

    return fsm_each_session(fsm, take_first, &lowest) < 0 ? 0 : lowest;
}

struct page_walk {
    size_t max, count;
    size_t id_at; /* where in the key the id is */
    uint64_t *ids;
    struct fsm_pg_chunk *chunks;
};

static int page_entry(void *ctx, const struct kv_iter *at)
{
    struct page_walk *w = ctx;
    struct chunk_owner_rec owner;
    uint64_t id;

    if (w->count == w->max)
        return 1;
    if (at->key_len != w->id_at + 8)
        return -EBADMSG;
    id = key_get_u64(at->key + w->id_at);
    if (w->chunks) {
        if (chunk_owner_rec_decode(at->value, at->value_len, &owner) < 0)
            return -EBADMSG;
        w->chunks[w->count] =
            (struct fsm_pg_chunk){.chunk_id = id, .ino = owner.ino, .index = owner.index};
    } else {
        w->ids[w->count] = id;
    }
    w->count++;
    return 0;
}

static int page(struct fsm *fsm, const struct key *from, struct page_walk *w, size_t *ret_count)
{
    int r = each(fsm, from, w->id_at, page_entry, w);

    if (r < 0)
        return r;
    *ret_count = w->count;
    return 0;
}

int fsm_list_reap(struct fsm *fsm, uint64_t after, size_t max, uint64_t *ret_inos,
                  size_t *ret_count)
{
    struct page_walk w = {.max = max, .id_at = 1, .ids = ret_inos};
    struct key from;

    key_id64(&from, 'g', after + 1);
    return page(fsm, &from, &w, ret_count);
}

int fsm_list_garbage(struct fsm *fsm, uint32_t pg, uint64_t after, size_t max, uint64_t *ret_chunks,
                     size_t *ret_count)
{
    struct page_walk w = {.max = max, .id_at = 5, .ids = ret_chunks};
    struct key from;

    key_pg_chunk(&from, 'G', pg, after + 1);
    return page(fsm, &from, &w, ret_count);
}

int fsm_list_chunks(struct fsm *fsm, uint32_t pg, uint64_t after, size_t max,
                    struct fsm_pg_chunk *ret_chunks, size_t *ret_count)
{
    struct page_walk w = {.max = max, .id_at = 5, .chunks = ret_chunks};
    struct key from;

    key_pg_chunk(&from, 'c', pg, after + 1);
    return page(fsm, &from, &w, ret_count);
}
