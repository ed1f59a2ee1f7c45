/*
 * The chunk map of files and the way of a chunk: allocated (C and c) ─► cut off or reaped (G) ─►
 * deleted at the datanodes (gone). Between C and G there is no moment: both are one batch.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm_ops.h"
#include "namenode/mutants.h"

void chunk_to_garbage(struct tx *tx, uint64_t ino, uint32_t index, const struct chunk_rec *chunk)
{
    struct chunk_owner_rec owner = {.ino = ino, .index = index};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_pg_chunk(&k, 'c', chunk->pg, chunk->chunk_id);
    tx_delete(tx, &k);
    key_pg_chunk(&k, 'G', chunk->pg, chunk->chunk_id);
    tx_put(tx, &k, bytes, chunk_owner_rec_encode(&owner, bytes));
    tx->state.chunk_count--;
    tx->state.garbage_count++;
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_GARBAGE, .pg = chunk->pg});
}

struct cut {
    struct tx *tx;
    uint64_t ino;
    uint64_t first_index; /* chunks from here on go */
    uint32_t max_chunks;  /* no further page once so many went */
    uint32_t cut_count;
};

static int cut_page(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
                    size_t value_len)
{
    struct cut *c = ctx;
    struct chunk_page page;
    uint32_t page_index;
    unsigned kept = 0;

    if (c->cut_count >= c->max_chunks)
        return 1;
    if (key_len != 13 || chunk_page_decode(value, value_len, &page) < 0)
        return -EBADMSG;
    page_index = key_get_u32(key + 9);
    for (unsigned i = 0; i < page.count; i++) {
        uint64_t index = (uint64_t)page_index * REC_PAGE_CHUNKS + page.chunks[i].slot;

        if (index < c->first_index) {
            kept++;
            continue;
        }
        chunk_to_garbage(c->tx, c->ino, (uint32_t)index, &page.chunks[i]);
        c->cut_count++;
    }
    if (kept == page.count)
        return 0;
    page.count = kept;
    tx_chunk_page_put(c->tx, c->ino, page_index, &page);
    return 0;
}

/* Chunks from first_index on to the garbage queue; at least max_chunks of them or all. The inode's
 * count is brought up to date, its record is the caller's to put. */
static int cut_chunks(struct tx *tx, struct inode_rec *inode, uint64_t first_index,
                      uint32_t max_chunks)
{
    struct cut c = {
        .tx = tx, .ino = inode->ino, .first_index = first_index, .max_chunks = max_chunks};
    struct key from;
    int r;

    if (inode->chunk_count == 0 || first_index > UINT32_MAX)
        return 0;
    key_chunk_page(&from, inode->ino, (uint32_t)(first_index / REC_PAGE_CHUNKS));
    r = tx_scan(tx, &from, 9, cut_page, &c);
    if (r < 0)
        return r;
    if (c.cut_count > inode->chunk_count)
        return tx_fail(tx, -EBADMSG);
    inode->chunk_count -= c.cut_count;
    return 0;
}

static const struct chunk_rec *page_find(const struct chunk_page *page, uint32_t slot)
{
    for (unsigned i = 0; i < page->count; i++) {
        if (page->chunks[i].slot == slot)
            return &page->chunks[i];
    }
    return NULL;
}

/* The file ends inside a chunk that has bytes: the rest of it must be zeroed before it may grow.
 * data_version is the truncation's own already: every one has another. */
static int mark_tail(struct tx *tx, struct inode_rec *inode, uint64_t size)
{
    uint32_t index = (uint32_t)(size / CHUNK_SIZE);
    const struct chunk_rec *c;
    struct chunk_page page;
    int r;

    inode->trunc_pending = false;
    if (inode->chunk_count == 0 || size % CHUNK_SIZE == 0)
        return 0;
    r = tx_chunk_page_get(tx, inode->ino, index / REC_PAGE_CHUNKS, &page);
    if (r < 0)
        return r;
    c = page_find(&page, index % REC_PAGE_CHUNKS);
    if (!c || !c->materialized || MUTANT(TRUNCATE_WITHOUT_MARK))
        return 0;
    inode->trunc_pending = true;
    inode->trunc_chunk = c->chunk_id;
    inode->trunc_pg = c->pg;
    inode->trunc_from = (uint32_t)(size % CHUNK_SIZE);
    inode->trunc_version = tx->state.format >= FSM_FORMAT_MARKS ? inode->data_version : 0;
    return 0;
}

static int truncate_inline(struct tx *tx, struct inode_rec *inode, uint64_t size)
{
    const uint8_t *data;
    struct key k;
    size_t len;
    int r;

    key_id64(&k, 'F', inode->ino);
    if (size == 0) {
        tx_delete(tx, &k);
        inode->is_inline = false;
        return 0;
    }
    r = value_get_copy(tx, &k, &data, &len);
    if (r < 0)
        return tx_fail(tx, r == -ENOENT ? -EBADMSG : r);
    if (len > size) /* Bytes that were cut must not come back when it grows again. */
        value_put(tx, &k, data, size);
    return 0;
}

static int shrink(struct tx *tx, struct inode_rec *inode, uint64_t size)
{
    uint64_t whole = (size + CHUNK_SIZE - 1) / CHUNK_SIZE;
    int r;

    if (inode->is_inline)
        return truncate_inline(tx, inode, size);
    r = cut_chunks(tx, inode, whole, UINT32_MAX);
    return r < 0 ? r : mark_tail(tx, inode, size);
}

int op_truncate(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__TruncateOp *op = req->truncate;
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    uint64_t old_size;
    int r;

    r = file_get(tx, op->ino, &inode);
    if (r < 0)
        return r;
    r = perm_access(&cred, &inode, PERM_WRITE);
    if (r < 0)
        return r;
    if (op->size > FSM_FILE_SIZE_MAX)
        return -EFBIG;
    if (op->size > inode.size &&
        (inode.trunc_pending || (inode.is_inline && op->size > INLINE_MAX)))
        return -EAGAIN;
    r = quota_check_growth(tx, &inode, op->size);
    if (r < 0)
        return r;

    inode.data_version++;
    if (op->size < inode.size) {
        r = shrink(tx, &inode, op->size);
        if (r < 0)
            return r;
    }
    old_size = inode.size;
    inode.size = op->size;
    usage_resized(tx, &inode, old_size);
    inode.mtime_ns = inode.ctime_ns = tx->now_ns;
    if (cred.uid != 0) {
        inode.mode = perm_mode_without_setid(&cred, &inode, false);
        r = xattr_drop_capability(tx, &inode);
        if (r < 0)
            return r;
    }
    tx_inode_put(tx, &inode);
    (void)reply_entry(tx, reply, &inode);
    return 0;
}

/*
 * Several clients may have seen one mark, and each zeroes its tail and says so; who says it last may do
 * so when the mark of a later truncation, to the same byte even, is there, whose tail nobody has zeroed:
 * that one stays. A client of an older release names no version. Where it would be refused, or told
 * that all is done, the file could never grow again by that client: chunk and byte must do for it, as
 * ever. (So they must for a mark from before the format.)
 */
static int check_mark(const struct inode_rec *inode, const Dfs__TruncDoneOp *op, bool *ret_is_it)
{
    bool same_place = inode->trunc_chunk == op->chunk_id && inode->trunc_from == op->from;

    if (op->version != 0) {
        *ret_is_it =
            op->version == inode->trunc_version || (MUTANT(TRUNC_DONE_BY_BYTE) && same_place);
        return 0;
    }
    *ret_is_it = same_place;
    return same_place ? 0 : -EAGAIN;
}

int op_trunc_done(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__TruncDoneOp *op = req->trunc_done;
    struct inode_rec inode;
    bool is_it = false;
    int r;

    r = file_get(tx, op->ino, &inode);
    if (r == 0 && inode.trunc_pending)
        r = check_mark(&inode, op, &is_it);
    if (r < 0)
        return r;
    if (is_it) {
        inode.trunc_pending = false;
        tx_inode_put(tx, &inode);
    }
    (void)reply_entry(tx, reply, &inode);
    return 0;
}

static void page_insert(struct chunk_page *page, const struct chunk_rec *chunk)
{
    unsigned at = page->count;

    while (at > 0 && page->chunks[at - 1].slot > chunk->slot)
        at--;
    memmove(&page->chunks[at + 1], &page->chunks[at], (page->count - at) * sizeof(page->chunks[0]));
    page->chunks[at] = *chunk;
    page->count++;
}

static void new_chunk(struct tx *tx, struct inode_rec *inode, uint32_t index, uint32_t pg,
                      struct chunk_page *page)
{
    struct chunk_rec chunk = {
        .chunk_id = tx->state.next_chunk++,
        .pg = pg,
        .slot = (uint16_t)(index % REC_PAGE_CHUNKS),
    };
    struct chunk_owner_rec owner = {.ino = inode->ino, .index = index};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    page_insert(page, &chunk);
    key_pg_chunk(&k, 'c', pg, chunk.chunk_id);
    tx_put(tx, &k, bytes, chunk_owner_rec_encode(&owner, bytes));
    inode->chunk_count++;
    tx->state.chunk_count++;
}

static int alloc_check(struct tx *tx, const Dfs__AllocOp *op)
{
    struct key k;

    if (op->count == 0 || op->count > FSM_ALLOC_MAX || op->n_pgs != op->count)
        return -EINVAL;
    if (op->first_index > UINT32_MAX - op->count)
        return -EFBIG;
    for (size_t i = 0; i < op->n_pgs; i++) {
        int r;

        if (i > 0 && op->pgs[i] == op->pgs[i - 1])
            continue;
        key_id32(&k, 'P', op->pgs[i]);
        r = tx_exists(tx, &k);
        if (r <= 0)
            return r < 0 ? r : -EINVAL;
    }
    return 0;
}

int op_alloc(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__AllocOp *op = req->alloc;
    Dfs__LayoutReply *layout;
    struct inode_rec inode;
    struct chunk_page page;
    uint32_t done = 0;
    int r;

    r = file_get(tx, op->ino, &inode);
    if (r == 0)
        r = alloc_check(tx, op);
    if (r == 0) /* What is to be written there will end in it at least. */
        r = quota_check_growth(tx, &inode, op->first_index * (uint64_t)CHUNK_SIZE + 1);
    if (r < 0)
        return r;

    while (done < op->count) { /* A page at a time. */
        uint32_t first = op->first_index + done;
        uint32_t in_page = MIN(op->count - done, REC_PAGE_CHUNKS - first % REC_PAGE_CHUNKS);

        r = tx_chunk_page_get(tx, inode.ino, first / REC_PAGE_CHUNKS, &page);
        if (r < 0)
            return r;
        for (uint32_t i = 0; i < in_page; i++) {
            if (!page_find(&page, (first + i) % REC_PAGE_CHUNKS))
                new_chunk(tx, &inode, first + i, op->pgs[done + i], &page);
        }
        tx_chunk_page_put(tx, inode.ino, first / REC_PAGE_CHUNKS, &page);
        done += in_page;
    }
    tx_inode_put(tx, &inode);

    layout = ARENA_NEW(&tx->arena, Dfs__LayoutReply);
    dfs__layout_reply__init(layout);
    layout->size = inode.size;
    layout->data_version = inode.data_version;
    reply->result_case = DFS__META_REPLY__RESULT_LAYOUT;
    reply->layout = layout;
    return chunk_refs(tx, inode.ino, op->first_index, op->count, &layout->chunks,
                      &layout->n_chunks);
}

int chunk_refs(struct tx *tx, uint64_t ino, uint32_t first, uint32_t count,
               Dfs__ChunkRef ***ret_refs, size_t *ret_count)
{
    Dfs__ChunkRef **refs = arena_alloc(&tx->arena, count * sizeof(*refs));
    uint64_t end = (uint64_t)first + count;
    size_t found = 0;

    for (uint64_t at = first; at < end; at = (at / REC_PAGE_CHUNKS + 1) * REC_PAGE_CHUNKS) {
        uint32_t page_index = (uint32_t)(at / REC_PAGE_CHUNKS);
        struct chunk_page page;
        int r;

        if (page_index > UINT32_MAX / REC_PAGE_CHUNKS)
            break;
        r = tx_chunk_page_get(tx, ino, page_index, &page);
        if (r < 0)
            return r;
        for (unsigned i = 0; i < page.count; i++) {
            uint64_t index = (uint64_t)page_index * REC_PAGE_CHUNKS + page.chunks[i].slot;
            Dfs__ChunkRef *ref;

            if (index < at || index >= end)
                continue;
            ref = ARENA_NEW(&tx->arena, Dfs__ChunkRef);
            dfs__chunk_ref__init(ref);
            ref->index = (uint32_t)index;
            ref->chunk_id = page.chunks[i].chunk_id;
            ref->pg = page.chunks[i].pg;
            ref->materialized = page.chunks[i].materialized;
            refs[found++] = ref;
        }
    }
    *ret_refs = refs;
    *ret_count = found;
    return 0;
}

/* The last slice: nothing but the inode and its single records is left. */
static int reap_rest(struct tx *tx, struct inode_rec *inode)
{
    struct key k;
    int r;

    r = xattr_drop_all(tx, inode);
    if (r < 0)
        return r;
    if (inode->is_inline) {
        key_id64(&k, 'F', inode->ino);
        tx_delete(tx, &k);
    }
    if (S_ISLNK(inode->mode)) {
        key_id64(&k, 'L', inode->ino);
        tx_delete(tx, &k);
    }
    key_id64(&k, 'I', inode->ino);
    tx_delete(tx, &k);
    key_id64(&k, 'g', inode->ino);
    tx_delete(tx, &k);
    tx->state.inode_count--;
    tx->state.reap_count--;
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_REAPED, .id = inode->ino});
    return 0;
}

int op_reap(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__ReapOp *op = req->reap;
    struct inode_rec inode;
    struct key k;
    int r;

    key_id64(&k, 'g', op->ino);
    r = tx_exists(tx, &k);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    r = tx_inode_get(tx, op->ino, &inode);
    if (r < 0)
        return tx_fail(tx, -EBADMSG);
    r = cut_chunks(tx, &inode, 0, MAX(op->max_chunks, (uint32_t)1));
    if (r == 0 && inode.chunk_count == 0)
        r = reap_rest(tx, &inode);
    else if (r == 0)
        tx_inode_put(tx, &inode);
    if (r < 0)
        return r;
    if (MUTANT(INO_REUSED) && inode.ino == tx->state.next_ino - 1)
        tx->state.next_ino--;
    reply_id(tx, reply, inode.chunk_count, 0);
    return 0;
}

int op_gc_done(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__GcDoneOp *op = req->gc_done;

    (void)reply;
    for (size_t i = 0; i < op->n_chunk_ids; i++) {
        struct key k;
        int r;

        key_pg_chunk(&k, 'G', op->pg, op->chunk_ids[i]);
        r = tx_exists(tx, &k);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        tx_delete(tx, &k);
        tx->state.garbage_count--;
    }
    return 0;
}
