/*
 * SwapChunksOp: a file gets other chunks with the same bytes. Who asks has copied them into a file
 * without a name, synced that, and names the data version that was copied: any commit or truncation
 * since has made another. That nobody has the file open, and so nobody writes to the old chunks without
 * having asked for the map anew, only the leader knows (swap_gate.h); it is not looked at here.
 *
 * The old chunks are the other file's then, and go with it.
 */
#include <errno.h>

#include "namenode/fsm_ops.h"

struct swap {
    struct inode_rec inode, other;
    uint32_t first, end; /* indexes */
};

static int swap_allowed(const struct cred *cred, const struct swap *s, uint64_t data_version)
{
    if (cred->uid != 0 && (cred->uid != s->inode.uid || cred->uid != s->other.uid))
        return -EPERM;
    /* What has a name shows its content to whoever looks. */
    if (s->inode.ino == s->other.ino || s->other.nlink != 0 || s->other.is_inline ||
        s->other.trunc_pending)
        return -EINVAL;
    if (s->inode.data_version != data_version || s->inode.trunc_pending || s->inode.is_inline)
        return -EBUSY;
    return 0;
}

static bool holds_bytes(const struct chunk_page *page, unsigned *at, uint16_t slot)
{
    while (*at < page->count && page->chunks[*at].slot < slot)
        (*at)++;
    return *at < page->count && page->chunks[*at].slot == slot && page->chunks[*at].materialized;
}

/* Where one of two holds bytes the other one does, too: neither loses nor gains any. */
static bool is_same_shape(const struct chunk_page *a, const struct chunk_page *b, uint32_t from,
                          uint32_t to)
{
    unsigned at_a = 0, at_b = 0;

    for (uint32_t slot = from; slot < to; slot++)
        if (holds_bytes(a, &at_a, (uint16_t)slot) != holds_bytes(b, &at_b, (uint16_t)slot))
            return false;
    return true;
}

/* Those of `outside` but for the slots [from, to), which are taken out of `inside`. */
static void merge(const struct chunk_page *outside, const struct chunk_page *inside, uint32_t from,
                  uint32_t to, struct chunk_page *ret_page)
{
    ret_page->count = 0;
    for (unsigned i = 0; i < outside->count && outside->chunks[i].slot < from; i++)
        ret_page->chunks[ret_page->count++] = outside->chunks[i];
    for (unsigned i = 0; i < inside->count && inside->chunks[i].slot < to; i++)
        if (inside->chunks[i].slot >= from)
            ret_page->chunks[ret_page->count++] = inside->chunks[i];
    for (unsigned i = 0; i < outside->count; i++)
        if (outside->chunks[i].slot >= to)
            ret_page->chunks[ret_page->count++] = outside->chunks[i];
}

/* Those in [from, to) belong to ino now. How many there are. */
static uint32_t own(struct tx *tx, uint64_t ino, uint32_t page_index, const struct chunk_page *page,
                    uint32_t from, uint32_t to)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < page->count; i++) {
        const struct chunk_rec *c = &page->chunks[i];
        struct chunk_owner_rec owner = {.ino = ino,
                                        .index = page_index * REC_PAGE_CHUNKS + c->slot};
        uint8_t bytes[REC_BYTES_MAX];
        struct key k;

        if (c->slot < from || c->slot >= to)
            continue;
        key_pg_chunk(&k, 'c', c->pg, c->chunk_id);
        tx_put(tx, &k, bytes, chunk_owner_rec_encode(&owner, bytes));
        count++;
    }
    return count;
}

/* The part of the range that lies in one page; check: nothing is changed yet. */
static int swap_page(struct tx *tx, struct swap *s, uint32_t page_index, bool check)
{
    uint32_t base = page_index * REC_PAGE_CHUNKS;
    uint32_t from = MAX(s->first, base) - base;
    uint32_t to = MIN(s->end - base, (uint32_t)REC_PAGE_CHUNKS), come, go;
    struct chunk_page a, b, merged;
    int r;

    r = tx_chunk_page_get(tx, s->inode.ino, page_index, &a);
    if (r == 0)
        r = tx_chunk_page_get(tx, s->other.ino, page_index, &b);
    if (r < 0)
        return r;
    if (check)
        return is_same_shape(&a, &b, from, to) ? 0 : -EINVAL;
    come = own(tx, s->inode.ino, page_index, &b, from, to);
    go = own(tx, s->other.ino, page_index, &a, from, to);
    merge(&a, &b, from, to, &merged);
    tx_chunk_page_put(tx, s->inode.ino, page_index, &merged);
    merge(&b, &a, from, to, &merged);
    tx_chunk_page_put(tx, s->other.ino, page_index, &merged);
    s->inode.chunk_count += come - go;
    s->other.chunk_count += go - come;
    return 0;
}

static int swap_pages(struct tx *tx, struct swap *s, bool check)
{
    int r = 0;

    for (uint32_t page = s->first / REC_PAGE_CHUNKS;
         r == 0 && page <= (s->end - 1) / REC_PAGE_CHUNKS; page++)
        r = swap_page(tx, s, page, check);
    return r;
}

int op_swap_chunks(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__SwapChunksOp *op = req->swap_chunks;
    struct cred cred = cred_of(req);
    struct swap s = {.first = op->first_index, .end = op->first_index + op->count};
    int r;

    if (tx->state.format < FSM_FORMAT_COPIES)
        return -EOPNOTSUPP;
    if (op->count == 0 || op->count > FSM_ALLOC_MAX || op->first_index > UINT32_MAX - op->count)
        return -EINVAL;
    r = file_get(tx, op->ino, &s.inode);
    if (r == 0)
        r = file_get(tx, op->other, &s.other);
    if (r == 0)
        r = swap_allowed(&cred, &s, op->data_version);
    if (r == 0)
        r = swap_pages(tx, &s, true);
    if (r == 0)
        r = swap_pages(tx, &s, false);
    if (r < 0)
        return r;
    s.inode.data_version++; /* What others remember of the map is old. */
    s.other.data_version++;
    tx_inode_put(tx, &s.inode);
    tx_inode_put(tx, &s.other);
    (void)reply_entry(tx, reply, &s.inode);
    return 0;
}
