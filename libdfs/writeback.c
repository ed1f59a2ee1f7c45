#include "libdfs/writeback.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/compiler.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/inode.h"
#include "libdfs/nn.h"

static struct dirty_piece *piece_of(struct extent *x)
{
    return CONTAINER_OF(x, struct dirty_piece, x);
}

static struct wb_op *op_of(struct extent *x)
{
    return CONTAINER_OF(x, struct wb_op, x);
}

/* ---- chunks for what has none yet ---- */

struct alloc_call {
    struct inode *inode;
    uint32_t first, count;
};

/* After some of it was lost. */
static void find_local_end(struct writeback *wb)
{
    const struct extent *last_dirty = extent_before(&wb->dirty.pieces, UINT64_MAX);
    const struct extent *last_flying = extent_before(&wb->flying, UINT64_MAX);

    wb->local_end = wb->acked_end;
    if (last_dirty != NULL)
        wb->local_end = MAX(wb->local_end, last_dirty->end);
    if (last_flying != NULL)
        wb->local_end = MAX(wb->local_end, last_flying->end);
}

/* Nothing can be written there: the bytes are lost, and that is told. */
static void fail_range(struct inode *i, uint64_t start, uint64_t end, int error)
{
    dirty_cut(&i->wb.dirty, start, end);
    inode_account(i);
    inode_set_error(i, error);
    find_local_end(&i->wb);
}

/*
 * What was to take the inline content along has found no room. The namenode has that content still, as no
 * commit has said that it left: the file is what it was before it grew, and all that was written since is
 * lost and told, also what other operations still bring to chunks.
 */
static void stay_inline(struct inode *i, int error)
{
    struct writeback *wb = &i->wb;
    uint32_t index;

    fail_range(i, 0, UINT64_MAX, error);
    for (struct extent *x = extent_at_or_after(&wb->flying, 0); x != NULL;
         x = extent_at_or_after(&wb->flying, x->end))
        op_of(x)->is_void = true;
    while (layout_fresh(&i->layout, &index, 1) > 0)
        layout_find(&i->layout, index)->fresh = false;
    wb->clear_inline = false;
    wb->inline_stays = error;
    wb->acked_end = wb->local_end = 0;
    read_cache_drop(i, 0, UINT64_MAX);
    i->known = false; /* What it is, the namenode knows. */
    i->is_inline = false;
    i->inline_known = false;
}

/* Of what begins at start. */
static bool takes_inline_along(const struct inode *i, uint64_t start)
{
    return start < INLINE_MAX && wb_leaves_inline(i);
}

void wb_growth_refused(struct inode *i)
{
    i->wb.acked_end = 0;
    find_local_end(&i->wb);
    read_cache_drop(i, i->size, UINT64_MAX);
}

static void on_alloc(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct alloc_call *call = ctx;
    struct inode *i = call->inode;

    i->wb.alloc_flying = false;
    if (status == 0)
        status = reply->status;
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_LAYOUT)
        status = -EIO;
    if (status == 0) {
        inode_learn_layout(i, call->first, 0, reply->layout->chunks, reply->layout->n_chunks);
        if (layout_state(&i->layout, call->first) != LAYOUT_CHUNK)
            status = -EIO;
    }
    if (status < 0) {
        log_warn("no chunk for written data", "ino=%" PRI_INO " index=%" PRIu32 " why=%s", i->ino.v,
                 call->first, dfs_strerror(status));
        status = dfs_error_is_own(status) ? -EIO : status;
        if (takes_inline_along(i, (uint64_t)call->first * CHUNK_SIZE))
            stay_inline(i, status);
        else
            fail_range(i, (uint64_t)call->first * CHUNK_SIZE,
                       ((uint64_t)call->first + call->count) * CHUNK_SIZE, status);
    }
    free(call);
    wb_pump(i);
    wb_step(i);
    inode_unref(i);
}

/* The chunk and, for a file that grows through it, its successors: one request for all. */
static void alloc_chunks(struct inode *i, uint32_t index)
{
    struct alloc_call *call;
    struct meta_request m;
    Dfs__AllocOp op = DFS__ALLOC_OP__INIT;
    uint32_t last = layout_index(MAX(i->wb.local_end, (uint64_t)1) - 1);
    uint32_t count = 1;

    if (i->wb.alloc_flying)
        return;
    while (count < 16 && index + count <= last &&
           layout_state(&i->layout, index + count) != LAYOUT_CHUNK &&
           extent_overlap(&i->wb.dirty.pieces, (uint64_t)(index + count) * CHUNK_SIZE,
                          (uint64_t)(index + count + 1) * CHUNK_SIZE) != NULL)
        count++;
    call = MEM_NEW(struct alloc_call);
    call->inode = inode_ref(i);
    call->first = index;
    call->count = count;
    i->wb.alloc_flying = true;
    i->ll->stats.allocs++;
    op.ino = i->ino.v;
    op.first_index = index;
    op.count = count;
    meta_request_init(&m, NULL);
    m.req.op_case = DFS__META_REQUEST__OP_ALLOC;
    m.req.alloc = &op;
    ll_meta_call(i->ll, NULL, &m.req, on_alloc, call);
}

/* ---- in flight ---- */

static void on_op_done(struct chunk_op *op, int status);

static void release_pieces(struct wb_op *w)
{
    for (size_t k = 0; k < w->piece_count; k++)
        dirty_piece_release(&w->inode->wb.dirty, w->pieces[k]);
    w->piece_count = 0;
}

/* The chunk is gone: somebody truncated the file. The bytes want another chunk. */
static bool put_back(struct wb_op *w)
{
    struct inode *i = w->inode;
    const struct layout_slot *slot = layout_find(&i->layout, w->index);

    if (++i->wb.estale_count > WB_ESTALE_MAX)
        return false;
    if (slot != NULL && ID_EQUAL(slot->chunk, w->op.chunk))
        layout_doubt(&i->layout, w->index);
    for (size_t k = 0; k < w->piece_count; k++)
        dirty_put_back_take(&i->wb.dirty, w->pieces[k]);
    w->piece_count = 0;
    wb_make_due(i, i->wb.eager_gen);
    return true;
}

static void on_acked(struct wb_op *w)
{
    struct inode *i = w->inode;
    struct layout_slot *slot = layout_find(&i->layout, w->index);

    if (slot != NULL && ID_EQUAL(slot->chunk, w->op.chunk) && !slot->materialized)
        slot->fresh = true;
    if (w->x.end > i->size)
        i->wb.acked_end = MAX(i->wb.acked_end, w->x.end);
    i->wb.estale_count = 0;
    if (!w->op.sync)
        wb_add_unsynced(i, w);
}

static void on_op_done(struct chunk_op *op, int status)
{
    struct wb_op *w = CONTAINER_OF(op, struct wb_op, op);
    struct inode *i = w->inode;

    extent_remove(&i->wb.flying, &w->x);
    if (w->is_void) {
        /* Told as lost. */
    } else if (status == 0) {
        on_acked(w);
    } else if (status != -ESTALE || !put_back(w)) {
        log_warn("written data is lost",
                 "ino=%" PRI_INO " offset=%" PRIu64 " len=%" PRIu64 " why=%s", i->ino.v, w->x.start,
                 w->x.end - w->x.start, dfs_strerror(status));
        status = dfs_error_is_own(status) ? -EIO : status;
        if (takes_inline_along(i, w->x.start))
            stay_inline(i, status);
        else
            fail_range(i, 0, 0, status);
    }
    release_pieces(w);
    free(w);
    inode_account(i);
    wb_pump(i);
    wb_step(i);
    inode_unref(i);
}

/* Sends what is dirty from start on: one op. Gives where it ends; 0: the chunk is not there yet. */
static uint64_t emit_op(struct inode *i, uint64_t start, uint64_t limit)
{
    struct writeback *wb = &i->wb;
    uint32_t index = layout_index(start);
    const struct layout_slot *slot = layout_find(&i->layout, index);
    uint64_t end = MIN(limit, (start / CHUNK_OP_MAX + 1) * CHUNK_OP_MAX);
    struct wb_op *w;

    if (slot == NULL || slot->state != LAYOUT_CHUNK) {
        alloc_chunks(i, index);
        return 0;
    }
    w = mem_alloc(sizeof(*w));
    w->inode = inode_ref(i);
    w->is_void = false;
    w->index = index;
    w->op = (struct chunk_op){
        .kind = CHUNK_WRITE,
        .pg = slot->pg,
        .chunk = slot->chunk,
        .offset = layout_offset(start),
        .sync = true,
        .done = on_op_done,
    };
    w->piece_count = dirty_take(&wb->dirty, start, end, w->pieces, CHUNK_OP_PARTS);
    assert(w->piece_count > 0);
    for (size_t k = 0; k < w->piece_count; k++) {
        const struct dirty_piece *p = w->pieces[k];

        w->op.parts[k] = (struct chunk_part){
            .bytes = p->bytes, .len = (uint32_t)(p->x.end - p->x.start), .slab = p->slab};
        w->op.len += w->op.parts[k].len;
        w->op.sync = w->op.sync && p->gen->number <= wb->sync_gen;
    }
    w->op.part_count = (unsigned)w->piece_count;
    w->x.start = start;
    w->x.end = start + w->op.len;
    end = w->x.end;
    extent_insert(&wb->flying, &w->x);
    chunk_op_submit(i->ll->dns, &w->op);
    return end;
}

const uint8_t *wb_flying_bytes(const struct inode *i, uint64_t at, uint64_t *ret_len,
                               struct slab **ret_slab)
{
    struct extent *x = extent_overlap(&i->wb.flying, at, at + 1);
    const struct wb_op *w = x != NULL ? op_of(x) : NULL;

    for (size_t k = 0; w != NULL && k < w->piece_count; k++) {
        const struct dirty_piece *p = w->pieces[k];

        if (at >= p->x.start && at < p->x.end) {
            *ret_len = p->x.end - at;
            *ret_slab = p->slab;
            return p->bytes + (at - p->x.start);
        }
    }
    return NULL;
}

/* ---- what goes out, and when ---- */

static bool under_pressure(const struct inode *i)
{
    const struct inode_table *t = i->ll->inodes;

    return t->writes != NULL || t->dirty_bytes > i->ll->options.dirty_bytes_max / 2;
}

static bool window_full(const struct writeback *wb)
{
    return wb->flying.bytes >= WB_FLYING_BYTES || wb->flying.count >= WB_FLYING_OPS;
}

/*
 * Sends dirty bytes of x from `at` on. Gives where to go on looking, always further on. *blocked:
 * some had to stay, under something that flies or for want of a chunk.
 */
static uint64_t emit_run(struct inode *i, const struct extent *x, uint64_t at, uint64_t limit,
                         bool *blocked)
{
    struct writeback *wb = &i->wb;
    uint64_t end = x->end;
    const struct extent *flying = extent_at_or_after(&wb->flying, at);
    uint64_t done;

    while (flying != NULL && flying->start <= at) {
        *blocked = true;
        at = flying->end;
        if (at >= end)
            return at;
        flying = extent_at_or_after(&wb->flying, at);
    }
    if (at >= limit)
        return at;
    /* Neighbours go with it: they cost nothing more. */
    end = MIN((at / CHUNK_OP_MAX + 1) * CHUNK_OP_MAX, limit);
    if (flying != NULL)
        end = MIN(end, flying->start);
    done = emit_op(i, at, end);
    if (done != 0)
        return done;
    *blocked = true;
    return ((uint64_t)layout_index(at) + 1) * CHUNK_SIZE;
}

/* Sends what is dirty in [from, to) and not newer than the generation, as far as the window lets.
 * Gives where it got to. */
static uint64_t sweep(struct inode *i, uint64_t from, uint64_t to, uint64_t gen, bool *blocked)
{
    struct writeback *wb = &i->wb;

    while (from < to && !window_full(wb)) {
        struct extent *x = extent_at_or_after(&wb->dirty.pieces, from);

        if (x == NULL || x->start >= to)
            return to;
        if (piece_of(x)->gen->number <= gen)
            from = emit_run(i, x, MAX(from, x->start), to, blocked);
        else
            from = x->end;
    }
    return from;
}

/*
 * A sweep goes once over all that is dirty: what is not due is looked at once for each flush, not
 * once for each write or acknowledgement.
 */
static void pump_once(struct inode *i)
{
    struct writeback *wb = &i->wb;
    bool pressure = under_pressure(i);
    bool ignored = false;

    if (wb->goal_end > wb->goal_start) {
        (void)sweep(i, wb->goal_start, wb->goal_end, UINT64_MAX, &ignored);
        if (extent_overlap(&wb->dirty.pieces, wb->goal_start, wb->goal_end) == NULL) {
            wb->goal_start = 0;
            wb->goal_end = 0;
        }
    }
    if (!wb->sweeping && !pressure)
        return;
    wb->sweeping = true;
    wb->sweep_at = sweep(i, wb->sweep_at, UINT64_MAX, pressure ? UINT64_MAX : wb->eager_gen,
                         &wb->sweep_blocked);
    if (wb->sweep_at == UINT64_MAX) {
        wb->sweeping = wb->sweep_blocked; /* Another one, when something has ended. */
        wb->sweep_at = 0;
        wb->sweep_blocked = false;
    }
}

void wb_make_due(struct inode *i, uint64_t gen)
{
    struct writeback *wb = &i->wb;

    if (gen == 0)
        return;
    wb->eager_gen = MAX(wb->eager_gen, gen);
    wb->sweep_blocked = wb->sweep_blocked || wb->sweep_at > 0; /* What lies behind is due, too. */
    wb->sweeping = true;
}

static void on_fetched(void *ctx, int status)
{
    struct inode *i = ctx;

    i->wb.fetch_flying = false;
    if (status < 0)
        wb_fail_all(i, status);
    wb_pump(i);
    wb_step(i);
    inode_unref(i);
}

void wb_pump(struct inode *i)
{
    struct writeback *wb = &i->wb;

    if (wb->pumping) {
        wb->pump_again = true;
        return;
    }
    wb->pumping = true;
    do {
        wb->pump_again = false;
        if (wb->frozen > 0 || wb->dirty.pieces.count == 0 || wb->fetch_flying)
            break;
        if (wb_is_small(i))
            break; /* Goes with the commit: wb_step(). */
        if (inode_needs_fetch(i)) {
            wb->fetch_flying = true;
            inode_fetch(inode_ref(i), on_fetched, i);
            break;
        }
        if (i->is_inline)
            wb_leave_inline(i);
        pump_once(i);
    } while (wb->pump_again);
    wb->pumping = false;
    inode_account(i);
}

uint64_t wb_kick(struct inode *i)
{
    uint64_t gen = dirty_gen_close(&i->wb.dirty);

    wb_make_due(i, gen);
    wb_pump(i);
    return gen;
}

/* ---- in ---- */

/* Writes that follow each other: from WB_RUN bytes on, whole ops go out. */
static void follow_stream(struct writeback *wb, uint64_t offset, size_t len)
{
    if (offset != wb->stream_end)
        wb->stream_start = offset;
    wb->stream_end = offset + len;
    if (wb->stream_end - wb->stream_start < WB_RUN)
        return;
    if (wb->goal_end != wb->stream_start || wb->goal_end == 0)
        wb->goal_start = wb->stream_start;
    wb->goal_end = wb->stream_end / CHUNK_OP_MAX * CHUNK_OP_MAX;
    wb->stream_start = wb->goal_end;
}

void wb_write(struct inode *i, uint64_t offset, const void *bytes, size_t len, struct slab *slab)
{
    struct writeback *wb = &i->wb;
    struct ll *ll = i->ll;
    uint64_t now = loop_now_ns(ll->loop);

    if (len == 0)
        return;
    (void)inode_ref(i);
    ll->stats.bytes_copied += dirty_write(&wb->dirty, ll->slabs, offset, bytes, len, slab, now);
    read_cache_drop(i, offset, offset + len);
    if (offset + len > inode_size(i))
        wb->local_end = offset + len;
    wb->mtime_ns = nn_wall_ns(ll->nn);
    if (wb->changed_since_ns == 0)
        wb->changed_since_ns = now;
    if (i->known && i->is_inline && i->inline_known && inode_size(i) > INLINE_MAX)
        wb_leave_inline(i); /* In this generation, so that its flush waits for it. */
    follow_stream(wb, offset, len);
    inode_account(i);
    inode_update_work(i);
    if (wb->goal_end > 0 || wb->sweeping || under_pressure(i))
        wb_pump(i);
    inode_unref(i);
}

void wb_cut(struct inode *i, uint64_t size)
{
    struct writeback *wb = &i->wb;

    dirty_cut(&wb->dirty, size, UINT64_MAX);
    wb->local_end = MIN(wb->local_end, size);
    wb->acked_end = MIN(wb->acked_end, size);
    wb->stream_start = 0;
    wb->stream_end = 0;
    wb->goal_start = 0;
    wb->goal_end = 0;
    inode_account(i);
}

void wb_forget_published(struct inode *i)
{
    struct writeback *wb = &i->wb;

    if (wb->acked_end <= i->size)
        wb->acked_end = 0;
    if (wb->local_end <= i->size)
        wb->local_end = 0;
}

void wb_fail_all(struct inode *i, int error)
{
    if (wb_leaves_inline(i))
        stay_inline(i, error);
    else if (i->wb.dirty.pieces.count > 0)
        fail_range(i, 0, UINT64_MAX, error);
}

void wb_done(struct inode *i)
{
    struct writeback *wb = &i->wb;

    while (wb->flying.root != NULL) {
        struct wb_op *w = op_of(wb->flying.root);

        extent_remove(&wb->flying, &w->x);
        release_pieces(w);
        free(w);
    }
    dirty_done(&wb->dirty);
    inode_account(i);
    free(wb->unsynced);
    wb->unsynced = NULL;
}
