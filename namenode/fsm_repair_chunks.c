/* Repairs of chunk maps. */
#include <errno.h>
#include <sys/stat.h>

#include "namenode/fsm_repair.h"

/* 1: chunk `index` of ino is this one. */
static int map_names(struct tx *tx, uint64_t ino, uint32_t index, uint32_t pg, uint64_t chunk_id)
{
    struct chunk_page page;
    int r = tx_chunk_page_get(tx, ino, index / REC_PAGE_CHUNKS, &page);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < page.count; i++) {
        const struct chunk_rec *c = &page.chunks[i];

        if (c->slot == index % REC_PAGE_CHUNKS)
            return c->pg == pg && c->chunk_id == chunk_id;
    }
    return 0;
}

/* 1: it is known to its group. */
static int owner_get(struct tx *tx, uint32_t pg, uint64_t chunk_id,
                     struct chunk_owner_rec *ret_owner)
{
    struct kv_value v;
    struct key k;
    int r;

    key_pg_chunk(&k, 'c', pg, chunk_id);
    r = tx_get(tx, &k, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = chunk_owner_rec_decode(v.data, v.len, ret_owner);
    tx_value_done(tx, &v);
    return r < 0 ? tx_damaged(tx, &k) : 1;
}

int repair_drop_map(struct tx *tx, const Dfs__RepairOp *op)
{
    struct chunk_owner_rec owner;
    struct inode_rec inode;
    struct chunk_page page;
    int r = repair_inode_find(tx, op->ino, &inode);

    if (r < 0 || (r > 0 && S_ISREG(inode.mode)))
        return r < 0 ? r : NOT_NEEDED;
    r = tx_chunk_page_get(tx, op->ino, op->index, &page);
    if (r < 0 || page.count == 0)
        return r;
    for (unsigned i = 0; i < page.count; i++) {
        uint32_t index = op->index * REC_PAGE_CHUNKS + page.chunks[i].slot;

        r = owner_get(tx, page.chunks[i].pg, page.chunks[i].chunk_id, &owner);
        if (r < 0)
            return r;
        if (r > 0 && owner.ino == op->ino && owner.index == index)
            chunk_to_garbage(tx, op->ino, index, &page.chunks[i]);
    }
    page.count = 0;
    tx_chunk_page_put(tx, op->ino, op->index, &page);
    return DONE;
}

static int garbage_drop(struct tx *tx, uint32_t pg, uint64_t chunk_id)
{
    struct key k;
    int r;

    key_pg_chunk(&k, 'G', pg, chunk_id);
    r = tx_exists(tx, &k);
    if (r <= 0)
        return r;
    tx_delete(tx, &k);
    tx->state.garbage_count--;
    return DONE;
}

int repair_owner(struct tx *tx, const Dfs__RepairOp *op)
{
    struct chunk_owner_rec owner = {.ino = op->ino, .index = op->index}, old;
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;
    int r = map_names(tx, op->ino, op->index, op->pg, op->chunk_id), had;

    if (r <= 0)
        return r;
    had = owner_get(tx, op->pg, op->chunk_id, &old);
    if (had < 0)
        return had;
    if (had > 0) { /* Its owner up to now must not have it, and must be another. */
        r = map_names(tx, old.ino, old.index, op->pg, op->chunk_id);
        if (r != 0)
            return r < 0 ? r : NOT_NEEDED;
    }
    r = garbage_drop(tx, op->pg, op->chunk_id);
    if (r < 0)
        return r;
    key_pg_chunk(&k, 'c', op->pg, op->chunk_id);
    tx_put(tx, &k, bytes, chunk_owner_rec_encode(&owner, bytes));
    tx->state.chunk_count += had == 0;
    return DONE;
}

int repair_garbage(struct tx *tx, const Dfs__RepairOp *op)
{
    struct chunk_rec chunk = {.chunk_id = op->chunk_id, .pg = op->pg};
    struct chunk_owner_rec owner;
    struct key k;
    int r = owner_get(tx, op->pg, op->chunk_id, &owner);

    if (r <= 0)
        return r;
    r = map_names(tx, owner.ino, owner.index, op->pg, op->chunk_id);
    if (r != 0)
        return r < 0 ? r : NOT_NEEDED;
    key_pg_chunk(&k, 'G', op->pg, op->chunk_id);
    r = tx_exists(tx, &k);
    if (r < 0)
        return r;
    chunk_to_garbage(tx, owner.ino, owner.index, &chunk);
    tx->state.garbage_count -= r > 0;
    return DONE;
}

int repair_no_garbage(struct tx *tx, const Dfs__RepairOp *op)
{
    struct chunk_owner_rec owner;
    int r = owner_get(tx, op->pg, op->chunk_id, &owner);

    if (r > 0)
        r = map_names(tx, owner.ino, owner.index, op->pg, op->chunk_id);
    return r <= 0 ? r : garbage_drop(tx, op->pg, op->chunk_id);
}
