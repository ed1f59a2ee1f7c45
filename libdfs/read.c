#include "libdfs/read.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/dn.h"
#include "libdfs/inode.h"
#include "libdfs/nn.h"
#include "libdfs/readahead.h"

enum {
    READ_IOV_MAX = 256,        /* more pieces than this are copied together */
    READ_LAYOUT_COUNT = 64,    /* slots asked for at once */
    READ_KEEP_BEHIND = 1 << 20 /* the kernel may come back for a little */
};

/* One stretch of a reply. Bytes up to `got` lie at bytes, the rest of len is zeros. */
struct read_seg {
    uint64_t start;
    uint64_t len, got;
    const uint8_t *bytes;
    struct slab *slab; /* a reference; NULL: nothing but zeros */
};

struct read_op {
    struct inode *inode; /* a reference */
    struct readahead *ahead;
    struct ll_call *call;
    uint64_t offset, end;
    ll_data_fn fn; /* NULL: has been answered */
    void *ctx;
    unsigned pending; /* callbacks that will come */
    struct read_seg *segs;
    size_t seg_count, seg_cap;
};

/* ---- read-ahead pieces ---- */

struct piece_waiter {
    struct read_op *op;
    size_t seg;
    struct piece_waiter *next;
};

struct read_piece {
    struct extent x;
    struct inode *inode; /* NULL: dropped, only its waiters want it yet */
    struct chunk_read rd;
    bool ready;
    struct slab *slab;
    const uint8_t *bytes;
    uint64_t got;
    struct piece_waiter *waiters;
    struct read_piece *prev, *next; /* LRU of the table */
};

static struct read_piece *piece_of(struct extent *x)
{
    return CONTAINER_OF(x, struct read_piece, x);
}

static void detach_piece(struct read_piece *p)
{
    struct inode_table *t = p->inode->ll->inodes;

    extent_remove(&p->inode->cache.pieces, &p->x);
    DL_DELETE(t->pieces, p);
    t->cache_bytes -= READ_PIECE;
    p->inode = NULL;
}

static void free_piece(struct read_piece *p)
{
    if (p->inode != NULL)
        detach_piece(p);
    slab_unref(p->slab);
    free(p);
}

static void drop_piece(struct read_piece *p)
{
    if (!p->ready && p->waiters == NULL)
        chunk_read_cancel(&p->rd);
    if (p->ready || p->waiters == NULL)
        free_piece(p);
    else
        detach_piece(p);
}

void read_cache_drop(struct inode *i, uint64_t start, uint64_t end)
{
    struct extent *x;

    while ((x = extent_overlap(&i->cache.pieces, start, end)) != NULL)
        drop_piece(piece_of(x));
}

/* ---- the answer ---- */

static void free_op(struct read_op *op)
{
    struct inode *i = op->inode;

    for (size_t k = 0; k < op->seg_count; k++)
        slab_unref(op->segs[k].slab);
    free(op->segs);
    free(op);
    inode_unref(i);
}

static size_t add_zeros(struct iovec *iov, size_t n, const struct slab *zeros, uint64_t len)
{
    while (len > 0) {
        size_t part = (size_t)MIN(len, (uint64_t)IO_SIZE_MAX);

        iov[n++] = (struct iovec){zeros->data, part};
        len -= part;
    }
    return n;
}

static struct iovec *make_iov(struct read_op *op, size_t *ret_count)
{
    struct iovec *iov;
    size_t n = 0;

    for (size_t k = 0; k < op->seg_count; k++)
        n += 2 + (size_t)(op->segs[k].len / IO_SIZE_MAX);
    iov = mem_alloc((n + 1) * sizeof(*iov));
    n = 0;
    for (size_t k = 0; k < op->seg_count; k++) {
        const struct read_seg *s = &op->segs[k];

        if (s->got > 0)
            iov[n++] = (struct iovec){(void *)(uintptr_t)s->bytes, (size_t)s->got};
        n = add_zeros(iov, n, op->inode->ll->zeros, s->len - s->got);
    }
    *ret_count = n;
    return iov;
}

static void answer(struct read_op *op, int status)
{
    ll_data_fn fn = op->fn;
    struct iovec *iov = NULL;
    size_t count = 0;

    if (fn == NULL)
        return;
    op->fn = NULL;
    if (op->call != NULL)
        op->call->interrupt = NULL;
    if (status == 0)
        iov = make_iov(op, &count);
    if (count > READ_IOV_MAX) {
        uint8_t *flat = mem_alloc((size_t)(op->end - op->offset));
        size_t at = 0;

        for (size_t k = 0; k < count; k++) {
            memcpy(flat + at, iov[k].iov_base, iov[k].iov_len);
            at += iov[k].iov_len;
        }
        op->inode->ll->stats.bytes_copied += at;
        iov[0] = (struct iovec){flat, at};
        fn(op->ctx, 0, iov, 1, at);
        free(flat);
    } else {
        fn(op->ctx, status, iov, (unsigned)count, status == 0 ? (size_t)(op->end - op->offset) : 0);
    }
    free(iov);
}

/* One of the callbacks has come. */
static void settle(struct read_op *op, int status)
{
    op->pending--;
    if (status < 0)
        answer(op, status);
    if (op->pending > 0)
        return;
    answer(op, 0);
    free_op(op);
}

static void on_interrupt(struct ll_call *call)
{
    answer(call->impl, -EINTR); /* What is pending comes later and frees the op. */
}

/* ---- stretches ---- */

static size_t add_seg(struct read_op *op, uint64_t start, uint64_t len, const uint8_t *bytes,
                      struct slab *slab)
{
    if (op->seg_count == op->seg_cap) {
        op->seg_cap = MAX(op->seg_cap * 2, (size_t)4);
        op->segs = mem_realloc(op->segs, op->seg_cap, sizeof(op->segs[0]));
    }
    op->segs[op->seg_count] = (struct read_seg){
        .start = start,
        .len = len,
        .got = bytes != NULL ? len : 0,
        .bytes = bytes,
        .slab = slab != NULL ? slab_ref(slab) : NULL,
    };
    return op->seg_count++;
}

/* Bytes [from, from + got) of the file have come: the part of them that the stretch wants. */
static void fill_seg(struct read_seg *s, uint64_t from, const uint8_t *bytes, uint64_t got,
                     struct slab *slab)
{
    uint64_t skip = s->start - from;

    if (got <= skip)
        return;
    s->got = MIN(s->len, got - skip);
    s->bytes = bytes + skip;
    s->slab = slab_ref(slab);
}

struct direct_read {
    struct chunk_read rd;
    struct read_op *op;
    size_t seg;
    uint64_t from; /* in the file */
};

static void on_direct(struct chunk_read *rd, int status)
{
    struct direct_read *d = CONTAINER_OF(rd, struct direct_read, rd);
    struct read_op *op = d->op;

    if (status == 0)
        fill_seg(&op->segs[d->seg], d->from, rd->bytes, rd->got, rd->slab);
    free(d);
    settle(op, status);
}

static uint64_t read_direct(struct read_op *op, const struct layout_slot *slot, uint64_t pos,
                            uint64_t limit)
{
    struct direct_read *d = MEM_NEW(struct direct_read);
    uint64_t from = pos / CHUNK_BLOCK_SIZE * CHUNK_BLOCK_SIZE;
    uint64_t to = (limit + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE * CHUNK_BLOCK_SIZE;

    to = MIN(to, from + IO_SIZE_MAX);
    limit = MIN(limit, to);
    d->op = op;
    d->from = from;
    d->seg = add_seg(op, pos, limit - pos, NULL, NULL);
    d->rd.pg = slot->pg;
    d->rd.chunk = slot->chunk;
    d->rd.offset = layout_offset(from);
    d->rd.len = (uint32_t)(to - from);
    d->rd.materialized = true;
    d->rd.done = on_direct;
    op->pending++;
    chunk_read_submit(op->inode->ll->dns, &d->rd);
    return limit;
}

static uint64_t read_piece_part(struct read_op *op, struct read_piece *p, uint64_t pos,
                                uint64_t limit)
{
    struct inode_table *t = op->inode->ll->inodes;
    struct piece_waiter *w;
    size_t seg;

    limit = MIN(limit, p->x.end);
    op->inode->ll->stats.readahead_hits++;
    DL_DELETE(t->pieces, p);
    DL_APPEND(t->pieces, p);
    seg = add_seg(op, pos, limit - pos, NULL, NULL);
    if (p->ready) {
        fill_seg(&op->segs[seg], p->x.start, p->bytes, p->got, p->slab);
        return limit;
    }
    w = MEM_NEW(struct piece_waiter);
    w->op = op;
    w->seg = seg;
    LL_PREPEND(p->waiters, w);
    op->pending++;
    return limit;
}

/* A chunk whose bytes, as far as this client may know, are at the datanodes. */
static const struct layout_slot *slot_with_bytes(const struct inode *i, uint64_t pos)
{
    const struct layout_slot *s = layout_find(&i->layout, layout_index(pos));

    return s != NULL && s->state == LAYOUT_CHUNK &&
                   (s->materialized || s->fresh || s->commit_flying)
               ? s
               : NULL;
}

/* Clean bytes from pos on, none of them dirty or flying. Gives where it got to. */
static uint64_t read_clean(struct read_op *op, uint64_t pos, uint64_t limit)
{
    struct inode *i = op->inode;
    const struct layout_slot *slot;
    struct extent *x;

    if (i->is_inline && pos < i->inline_len) {
        struct slab *copy = slab_alloc(i->ll->slabs, INLINE_MAX);

        limit = MIN(limit, (uint64_t)i->inline_len);
        memcpy(copy->data, i->inline_bytes + pos, (size_t)(limit - pos));
        (void)add_seg(op, pos, limit - pos, copy->data, copy);
        slab_unref(copy);
        return limit;
    }
    limit = pos + layout_span(pos, limit);
    slot = slot_with_bytes(i, pos);
    if (slot == NULL) {
        (void)add_seg(op, pos, limit - pos, NULL, NULL);
        return limit;
    }
    x = extent_at_or_after(&i->cache.pieces, pos);
    if (x != NULL && x->start <= pos)
        return read_piece_part(op, piece_of(x), pos, limit);
    if (x != NULL)
        limit = MIN(limit, x->start);
    return read_direct(op, slot, pos, limit);
}

static void compose(struct read_op *op)
{
    const struct inode *i = op->inode;
    uint64_t pos = op->offset;

    while (pos < op->end) {
        struct extent *x = extent_at_or_after(&i->wb.dirty.pieces, pos);
        uint64_t limit = op->end;
        const uint8_t *bytes;
        uint64_t len;
        struct slab *slab;

        if (x != NULL && x->start <= pos) {
            const struct dirty_piece *p = CONTAINER_OF(x, struct dirty_piece, x);

            limit = MIN(limit, x->end);
            (void)add_seg(op, pos, limit - pos, p->bytes + (pos - x->start), p->slab);
            pos = limit;
            continue;
        }
        if (x != NULL)
            limit = MIN(limit, x->start);
        bytes = wb_flying_bytes(i, pos, &len, &slab);
        if (bytes != NULL) {
            len = MIN(len, limit - pos);
            (void)add_seg(op, pos, len, bytes, slab);
            pos += len;
            continue;
        }
        x = extent_at_or_after(&i->wb.flying, pos);
        if (x != NULL)
            limit = MIN(limit, x->start);
        pos = read_clean(op, pos, limit);
    }
}

/* ---- read-ahead ---- */

static void on_piece(struct chunk_read *rd, int status)
{
    struct read_piece *p = CONTAINER_OF(rd, struct read_piece, rd);
    struct piece_waiter *waiters = STEAL(p->waiters);
    struct slab *slab = rd->slab != NULL ? slab_ref(rd->slab) : NULL;
    const uint8_t *bytes = rd->bytes;
    uint64_t start = p->x.start;
    uint64_t got = rd->got;

    p->ready = true;
    if (status == 0 && p->inode != NULL) {
        p->slab = slab != NULL ? slab_ref(slab) : NULL;
        p->bytes = bytes;
        p->got = got;
    } else {
        free_piece(p);
    }
    /* An answer may lead to anything, also to the end of the piece. */
    while (waiters != NULL) {
        struct piece_waiter *w = waiters;

        waiters = w->next;
        if (status == 0)
            fill_seg(&w->op->segs[w->seg], start, bytes, got, slab);
        settle(w->op, status);
        free(w);
    }
    slab_unref(slab);
}

static bool make_room(struct inode_table *t)
{
    while (t->cache_bytes + READ_PIECE > t->ll->options.readahead_bytes_max) {
        struct read_piece *p = t->pieces;

        while (p != NULL && !p->ready)
            p = p->next;
        if (p == NULL)
            return false;
        t->ll->stats.readahead_wasted_bytes += p->got;
        free_piece(p);
    }
    return true;
}

/* False: not now. */
static bool fetch_piece(struct inode *i, uint64_t start)
{
    struct inode_table *t = i->ll->inodes;
    const struct layout_slot *slot = slot_with_bytes(i, start);
    uint64_t end = start + READ_PIECE;
    struct read_piece *p;

    /* Bytes that are on their way out would make what is fetched now old. */
    if (slot == NULL || extent_overlap(&i->cache.pieces, start, end) != NULL ||
        extent_overlap(&i->wb.dirty.pieces, start, end) != NULL ||
        extent_overlap(&i->wb.flying, start, end) != NULL)
        return true;
    if (!make_room(t))
        return false;
    p = MEM_NEW(struct read_piece);
    p->x.start = start;
    p->x.end = end;
    p->inode = i;
    p->rd.pg = slot->pg;
    p->rd.chunk = slot->chunk;
    p->rd.offset = layout_offset(start);
    p->rd.len = READ_PIECE;
    p->rd.materialized = true;
    p->rd.done = on_piece;
    extent_insert(&i->cache.pieces, &p->x);
    DL_APPEND(t->pieces, p);
    t->cache_bytes += READ_PIECE;
    i->ll->stats.readahead_bytes += READ_PIECE;
    chunk_read_submit(i->ll->dns, &p->rd);
    return true;
}

static void run_ahead(struct read_op *op)
{
    struct inode *i = op->inode;
    uint64_t from, to;
    uint64_t behind = op->offset > CHUNK_SIZE ? op->offset - CHUNK_SIZE : 0;

    if (op->ahead == NULL || i->is_inline ||
        !readahead_on_read(op->ahead, op->offset, op->end - op->offset, inode_size(i),
                           i->ll->options.readahead_window, &from, &to))
        return;
    if (op->offset > READ_KEEP_BEHIND) {
        uint64_t used = op->offset - READ_KEEP_BEHIND;
        struct extent *x;

        while ((x = extent_at_or_after(&i->cache.pieces, behind)) != NULL && x->end <= used)
            drop_piece(piece_of(x));
    }
    for (; from < to; from += READ_PIECE) {
        if (!fetch_piece(i, from))
            return;
    }
}

/* ---- one read ---- */

static void read_start(struct read_op *op);

static void on_fetched(void *ctx, int status)
{
    struct read_op *op = ctx;

    op->pending--;
    if (status < 0)
        answer(op, status);
    if (op->fn != NULL)
        read_start(op);
    else
        free_op(op);
}

struct layout_call {
    struct read_op *op;
    uint32_t first;
};

static void on_layout(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct layout_call *call = ctx;
    struct read_op *op = call->op;

    if (status == 0)
        status = reply->status;
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_LAYOUT)
        status = -EIO;
    if (status == 0)
        inode_learn_layout(op->inode, call->first, READ_LAYOUT_COUNT, reply->layout->chunks,
                           reply->layout->n_chunks);
    free(call);
    on_fetched(op, status);
}

static void ask_layout(struct read_op *op, uint32_t first)
{
    struct layout_call *call = MEM_NEW(struct layout_call);
    struct meta_request m;
    Dfs__LayoutOp layout = DFS__LAYOUT_OP__INIT;

    call->op = op;
    call->first = first;
    layout.ino = op->inode->ino.v;
    layout.first_index = first;
    layout.count = READ_LAYOUT_COUNT;
    meta_request_init(&m, NULL);
    m.req.op_case = DFS__META_REQUEST__OP_LAYOUT;
    m.req.layout = &layout;
    op->pending++;
    ll_meta_call(op->inode->ll, NULL, &m.req, on_layout, call);
}

static bool layout_known(struct read_op *op)
{
    const struct inode *i = op->inode;

    if (i->is_inline)
        return true;
    for (uint32_t k = layout_index(op->offset); k <= layout_index(op->end - 1); k++) {
        if (layout_state(&i->layout, k) == LAYOUT_UNKNOWN) {
            ask_layout(op, k);
            return false;
        }
    }
    return true;
}

static void read_start(struct read_op *op)
{
    struct inode *i = op->inode;
    uint64_t size = inode_size(i);

    if (inode_needs_fetch(i)) {
        op->pending++;
        inode_fetch(i, on_fetched, op);
        return;
    }
    op->end = MIN(op->end, size);
    if (op->offset >= op->end) {
        op->end = op->offset;
        answer(op, 0);
        free_op(op);
        return;
    }
    if (!layout_known(op))
        return;
    run_ahead(op);
    op->pending++; /* Ourselves: what is answered at once must not end it too early. */
    compose(op);
    settle(op, 0);
}

void inode_read(struct inode *i, struct readahead *ahead, struct ll_call *call, uint64_t offset,
                size_t len, ll_data_fn fn, void *ctx)
{
    struct read_op *op = MEM_NEW(struct read_op);

    op->inode = inode_ref(i);
    op->ahead = ahead;
    op->call = call;
    op->offset = offset;
    op->end = offset + len;
    op->fn = fn;
    op->ctx = ctx;
    if (call != NULL) {
        call->impl = op;
        call->interrupt = on_interrupt;
    }
    read_start(op);
}
