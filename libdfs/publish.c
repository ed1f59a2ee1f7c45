#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/compiler.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/file.h"
#include "libdfs/inode.h"
#include "libdfs/nn.h"
#include "libdfs/truncate.h"
#include "libdfs/writeback.h"

/* ---- small files ---- */

bool wb_is_small(const struct inode *i)
{
    return i->known && !i->has_chunks && !i->wb.clear_inline &&
           (!i->is_inline || i->inline_known) && inode_size(i) <= INLINE_MAX &&
           i->wb.flying.count == 0;
}

void wb_leave_inline(struct inode *i)
{
    struct writeback *wb = &i->wb;
    uint64_t at = 0;

    i->is_inline = false;
    i->has_chunks = true;
    wb->clear_inline = true;
    wb->inline_stays = 0;
    i->inline_known = false;
    while (at < i->inline_len) {
        const struct extent *newer = extent_at_or_after(&wb->dirty.pieces, at);
        uint64_t end = newer != NULL && newer->start < i->inline_len ? newer->start : i->inline_len;

        if (end > at)
            (void)dirty_write(&wb->dirty, i->ll->slabs, at, i->inline_bytes + at, end - at, NULL,
                              loop_now_ns(i->ll->loop));
        at = end < i->inline_len ? newer->end : end;
    }
    i->inline_len = 0;
    wb->inline_gen = wb->dirty.gen_count;
    wb_make_due(i, wb->inline_gen);
}

struct wb_waiter {
    struct inode *inode; /* a reference */
    unsigned want;
    uint64_t gen;
    bool acked; /* then the targets below are set */
    uint64_t commit_target, sync_target;
    struct ll_call *call;
    ll_status_fn fn;
    void *ctx;
    struct wb_waiter *prev, *next;
};

/* ---- commits ---- */

struct commit_call {
    struct inode *inode;
    uint64_t end;
    int64_t mtime_ns;
    bool is_inline, clear_inline;
    size_t index_count;
    uint32_t indexes[WB_COMMIT_CHUNKS];
    size_t piece_count;
    struct dirty_piece **pieces; /* whose bytes are in this commit */
};

bool wb_commit_flying(const struct inode *i)
{
    return i->wb.commits_sent != i->wb.commits_done;
}

static bool inline_has_left(const struct inode *i)
{
    return i->wb.clear_inline && dirty_gen_is_over(&i->wb.dirty, i->wb.inline_gen);
}

bool wb_leaves_inline(const struct inode *i)
{
    return i->wb.clear_inline && !inline_has_left(i);
}

bool wb_commit_needed(const struct inode *i, bool size_only)
{
    const struct writeback *wb = &i->wb;

    return wb->acked_end > i->size || inline_has_left(i) || (!size_only && wb->mtime_ns != 0) ||
           layout_fresh(&i->layout, NULL, 0) > 0;
}

/* Old content with the dirty bytes over it, as it will be; the pieces are taken out. */
static void take_inline(struct inode *i, struct commit_call *c)
{
    struct writeback *wb = &i->wb;
    uint8_t bytes[INLINE_MAX] = {0};
    size_t len = (size_t)inode_size(i);
    struct extent *x;

    if (i->is_inline)
        memcpy(bytes, i->inline_bytes, MIN((size_t)i->inline_len, len));
    c->pieces = mem_zalloc(wb->dirty.pieces.count, sizeof(struct dirty_piece *));
    while ((x = extent_at_or_after(&wb->dirty.pieces, 0)) != NULL) {
        struct dirty_piece *p;

        (void)dirty_take(&wb->dirty, x->start, x->end, &p, 1);
        memcpy(bytes + p->x.start, p->bytes, (size_t)(p->x.end - p->x.start));
        c->pieces[c->piece_count++] = p;
    }
    c->is_inline = true;
    c->end = len;
    i->is_inline = true;
    inode_set_inline(i, bytes, len);
    inode_account(i);
}

static void release_inline(struct commit_call *c, bool put_back)
{
    struct dirty *d = &c->inode->wb.dirty;

    for (size_t k = 0; k < c->piece_count; k++) {
        if (put_back)
            dirty_put_back_take(d, c->pieces[k]);
        else
            dirty_piece_release(d, c->pieces[k]);
    }
    c->piece_count = 0;
}

/* Marks the chunks of a commit as materialized, or as fresh again when it failed. */
static void settle_chunks(const struct commit_call *c, bool done)
{
    for (size_t k = 0; k < c->index_count; k++) {
        struct layout_slot *s = layout_find(&c->inode->layout, c->indexes[k]);

        if (s == NULL || !s->commit_flying)
            continue;
        s->commit_flying = false;
        if (done)
            s->materialized = true;
        else
            s->fresh = true;
    }
}

/*
 * A quota: asked again, it would be refused again. What is in chunks beyond the end of the file
 * stays unpublished; who waits is told, once.
 */
static void growth_refused(struct inode *i, const struct commit_call *c)
{
    for (size_t k = 0; k < c->index_count; k++) {
        struct layout_slot *s = layout_find(&i->layout, c->indexes[k]);

        if (s != NULL && (uint64_t)c->indexes[k] * CHUNK_SIZE >= i->size)
            s->fresh = false;
    }
    wb_growth_refused(i);
}

static void on_published(struct inode *i, const struct commit_call *c, const Dfs__Attr *attr)
{
    struct writeback *wb = &i->wb;

    if (attr != NULL)
        inode_published(i, attr);
    else
        i->size = MAX(i->size, c->end); /* Unlinked and gone: only we still see it. */
    if (c->clear_inline)
        wb->clear_inline = false;
    /* Or the namenode refused to grow it: somebody has truncated the file meanwhile. */
    if (wb->acked_end <= MAX(i->size, c->end))
        wb->acked_end = 0;
    if (wb->local_end <= MAX(i->size, c->end))
        wb->local_end = 0;
    wb->changed_since_ns = wb->mtime_ns != 0 || wb->local_end != 0 ? loop_now_ns(i->ll->loop) : 0;
}

static void on_asked_again(void *ctx, int status)
{
    struct inode *i = ctx;

    if (status < 0) {
        inode_set_error(i, dfs_error_is_own(status) ? -EIO : status);
        wb_fail_all(i, status);
    }
    i->wb.fetch_flying = false;
    wb_pump(i);
    wb_step(i);
    inode_unref(i);
}

/*
 * The file is not what we think it is: somebody gave it chunks, or inline content, or a truncate
 * left a tail. What was to be committed is so still; those who wait for it wait for the next one.
 */
static void ask_again(struct inode *i, struct commit_call *c)
{
    struct writeback *wb = &i->wb;
    struct wb_waiter *w;

    settle_chunks(c, false);
    release_inline(c, true);
    wb_make_due(i, wb->eager_gen);
    i->known = false;
    i->is_inline = false;
    i->inline_known = false;
    if (wb->mtime_ns == 0 && wb->mtime_flying_ns != 0)
        wb->mtime_ns = c->mtime_ns;
    DL_FOREACH (wb->waiters, w) {
        if (w->acked && w->commit_target == wb->commits_done)
            w->commit_target++;
    }
    if (!wb->fetch_flying) {
        wb->fetch_flying = true;
        inode_fetch(inode_ref(i), on_asked_again, i);
    }
}

static void on_commit(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct commit_call *c = ctx;
    struct inode *i = c->inode;
    struct writeback *wb = &i->wb;
    const Dfs__Attr *attr = NULL;

    wb->commits_done++;
    if (status == 0)
        status = reply->status;
    if (status == 0 && reply->result_case == DFS__META_REPLY__RESULT_ENTRY)
        attr = reply->entry->attr;
    if (status == 0 || status == -ENOENT || status == -ESTALE) {
        wb->again_count = 0;
        settle_chunks(c, true);
        release_inline(c, false);
        on_published(i, c, attr);
    } else if (status == -EAGAIN && ++wb->again_count < WB_AGAIN_MAX) {
        ask_again(i, c);
    } else {
        log_warn("commit failed", "ino=%" PRI_INO " why=%s", i->ino.v, dfs_strerror(status));
        settle_chunks(c, false);
        release_inline(c, false);
        if (c->is_inline) { /* Which content it has now, the namenode knows. */
            i->known = false;
            i->is_inline = false;
            i->inline_known = false;
        }
        if (status == -EDQUOT)
            growth_refused(i, c);
        if (wb->mtime_ns == 0 && wb->mtime_flying_ns != 0)
            wb->mtime_ns = c->mtime_ns;
        wb->changed_since_ns = loop_now_ns(i->ll->loop);
        inode_set_error(i, dfs_error_is_own(status) || status == -EAGAIN ? -EIO : status);
    }
    wb->mtime_flying_ns = 0;
    inode_account(i);
    free(c->pieces);
    free(c);
    wb_pump(i);
    wb_step(i);
    inode_unref(i);
}

void wb_commit_send(struct inode *i)
{
    struct writeback *wb = &i->wb;
    struct commit_call *c = MEM_NEW(struct commit_call);
    struct meta_request m;
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;

    c->inode = inode_ref(i);
    c->end = wb->acked_end;
    c->mtime_ns = wb->mtime_ns;
    c->clear_inline = inline_has_left(i);
    c->index_count =
        MIN(layout_fresh(&i->layout, c->indexes, WB_COMMIT_CHUNKS), (size_t)WB_COMMIT_CHUNKS);
    for (size_t k = 0; k < c->index_count; k++) {
        struct layout_slot *s = layout_find(&i->layout, c->indexes[k]);

        s->fresh = false;
        s->commit_flying = true;
    }
    if (wb_is_small(i) && wb->dirty.pieces.count > 0) {
        take_inline(i, c);
        op.set_inline = true;
        op.inline_data = (ProtobufCBinaryData){i->inline_len, i->inline_bytes};
        i->ll->stats.inline_commits++;
    }
    op.ino = i->ino.v;
    op.end = c->end;
    op.mtime_ns = c->mtime_ns;
    op.clear_inline = c->clear_inline;
    op.n_materialized = c->index_count;
    op.materialized = c->indexes;
    wb->mtime_flying_ns = wb->mtime_ns;
    wb->mtime_ns = 0;
    wb->commits_sent++;
    i->ll->stats.commits++;
    meta_request_init(&m, NULL);
    m.req.op_case = DFS__META_REQUEST__OP_COMMIT;
    m.req.commit = &op;
    ll_meta_call(i->ll, NULL, &m.req, on_commit, c);
}

/* ---- syncs ---- */

struct sync_op {
    struct chunk_op op;
    struct inode *inode;
    uint64_t chunks[];
};

void wb_add_unsynced(struct inode *i, const struct wb_op *op)
{
    struct writeback *wb = &i->wb;

    for (size_t k = wb->unsynced_count; k-- > 0;) {
        if (ID_EQUAL(wb->unsynced[k].chunk, op->op.chunk)) {
            wb->unsynced[k].since_epoch = MIN(wb->unsynced[k].since_epoch, op->op.first_epoch);
            return;
        }
    }
    if (wb->unsynced_count == wb->unsynced_cap) {
        wb->unsynced_cap = MAX(wb->unsynced_cap * 2, (size_t)4);
        wb->unsynced = mem_realloc(wb->unsynced, wb->unsynced_cap, sizeof(wb->unsynced[0]));
    }
    if (wb->unsynced_count == 0)
        wb->unsynced_since_ns = loop_now_ns(i->ll->loop);
    wb->unsynced[wb->unsynced_count++] = (struct wb_unsynced){
        .index = op->index,
        .pg = op->op.pg,
        .chunk = op->op.chunk,
        .since_epoch = op->op.first_epoch,
    };
}

static void on_synced(struct chunk_op *op, int status)
{
    struct sync_op *s = CONTAINER_OF(op, struct sync_op, op);
    struct inode *i = s->inode;
    struct writeback *wb = &i->wb;

    if (status < 0 && status != -ESTALE) {
        log_warn("written data may not be on stable storage", "ino=%" PRI_INO " why=%s", i->ino.v,
                 dfs_strerror(status));
        inode_set_error(i, dfs_error_is_own(status) ? -EIO : status);
    }
    free(s);
    if (--wb->syncs_flying == 0)
        wb->syncs_done++;
    wb_step(i);
    inode_unref(i);
}

static int compare_unsynced(const void *a, const void *b)
{
    const struct wb_unsynced *x = a;
    const struct wb_unsynced *y = b;

    return x->pg.v < y->pg.v ? -1 : x->pg.v > y->pg.v;
}

/* One SYNC for each PG; together they are a round. */
static void send_syncs(struct inode *i)
{
    struct writeback *wb = &i->wb;
    struct wb_unsynced *list = STEAL(wb->unsynced);
    size_t count = wb->unsynced_count;
    size_t end;

    wb->unsynced_count = 0;
    wb->unsynced_cap = 0;
    wb->syncs_sent++;
    qsort(list, count, sizeof(list[0]), compare_unsynced);
    for (size_t k = 0; k < count; k = end) {
        struct sync_op *s;

        for (end = k; end < count && end - k < WB_SYNC_CHUNKS && list[end].pg.v == list[k].pg.v;)
            end++;
        s = mem_zalloc(1, sizeof(*s) + (end - k) * sizeof(s->chunks[0]));
        s->inode = inode_ref(i);
        s->op.kind = CHUNK_SYNC;
        s->op.pg = list[k].pg;
        s->op.chunk = list[k].chunk;
        s->op.since_epoch = list[k].since_epoch;
        s->op.chunks = s->chunks;
        s->op.chunk_count = end - k;
        s->op.done = on_synced;
        for (size_t j = k; j < end; j++) {
            s->chunks[j - k] = list[j].chunk.v;
            s->op.since_epoch = MIN(s->op.since_epoch, list[j].since_epoch);
        }
        wb->syncs_flying++;
        chunk_op_submit(i->ll->dns, &s->op);
    }
    free(list);
}

/* ---- those who wait ---- */

static void end_waiter(struct wb_waiter *w, int status)
{
    struct inode *i = w->inode;

    DL_DELETE(i->wb.waiters, w);
    if (w->call != NULL)
        w->call->interrupt = NULL;
    if (w->fn != NULL)
        w->fn(w->ctx, status);
    else
        i->wb.background = false;
    free(w);
    inode_unref(i);
}

static void on_interrupt(struct ll_call *call)
{
    end_waiter(call->impl, -EINTR);
}

static bool is_acked(const struct inode *i, const struct wb_waiter *w)
{
    return dirty_gen_is_over(&i->wb.dirty, w->gen) && !wb_leaves_inline(i);
}

/* True when the waiter has got all it wants. */
static bool step_waiter(struct inode *i, struct wb_waiter *w)
{
    struct writeback *wb = &i->wb;
    bool quiet = !wb_commit_flying(i) && wb->frozen == 0 && !wb->fetch_flying;

    if (!w->acked) {
        if (!is_acked(i, w)) {
            if (quiet && wb_is_small(i) && wb->dirty.pieces.count > 0)
                wb_commit_send(i);
            return false;
        }
        w->acked = true;
        if ((w->want & (WB_COMMIT | WB_COMMIT_SIZE)) != 0)
            w->commit_target =
                wb->commits_sent + (wb_commit_needed(i, (w->want & WB_COMMIT) == 0) ? 1 : 0);
        if ((w->want & WB_SYNC) != 0)
            w->sync_target = wb->syncs_sent + (wb->unsynced_count > 0 ? 1 : 0);
    }
    if (wb->commits_sent < w->commit_target && quiet)
        wb_commit_send(i);
    if (wb->syncs_sent < w->sync_target && wb->syncs_flying == 0) {
        if (wb->unsynced_count > 0)
            send_syncs(i);
        else
            w->sync_target = wb->syncs_sent; /* Another waiter's round has taken them. */
    }
    return wb->commits_done >= w->commit_target && wb->syncs_done >= w->sync_target;
}

void wb_step(struct inode *i)
{
    struct writeback *wb = &i->wb;
    struct wb_waiter *w, *tmp;

    /* What a step leads to may end in a step again: the outer one goes round once more. */
    wb->step_again = true;
    if (wb->stepping)
        return;
    (void)inode_ref(i);
    wb->stepping = true;
    while (wb->step_again) {
        wb->step_again = false;
        DL_FOREACH_SAFE (wb->waiters, w, tmp) {
            if (!step_waiter(i, w))
                continue;
            end_waiter(w, 0); /* May change the list. */
            wb->step_again = true;
            break;
        }
        if (!wb->step_again && i->truncates != NULL)
            truncate_step(i);
    }
    wb->stepping = false;
    inode_update_work(i);
    file_wake_writes(i->ll->inodes);
    inode_unref(i);
}

/* Little and alone: a synced write is the cheapest way to the disks. */
static bool sync_by_write(const struct writeback *wb)
{
    return wb->unsynced_count == 0 && wb->syncs_flying == 0 && wb->flying.count == 0 &&
           wb->dirty.pieces.bytes <= WB_SYNC_BYTES && wb->dirty.pieces.count <= WB_SYNC_PIECES;
}

void wb_flush(struct inode *i, unsigned want, struct ll_call *call, ll_status_fn fn, void *ctx)
{
    struct writeback *wb = &i->wb;
    struct wb_waiter *w;

    if (!wb->listed) {
        if (fn != NULL)
            fn(ctx, 0);
        return;
    }
    w = MEM_NEW(struct wb_waiter);
    w->inode = inode_ref(i);
    w->want = want;
    w->fn = fn;
    w->ctx = ctx;
    w->call = call;
    if (call != NULL) {
        call->impl = w;
        call->interrupt = on_interrupt;
    }
    if (fn == NULL)
        wb->background = true;
    w->gen = dirty_gen_close(&wb->dirty);
    if ((want & WB_SYNC) != 0 && sync_by_write(wb))
        wb->sync_gen = w->gen;
    wb_make_due(i, w->gen);
    DL_APPEND(wb->waiters, w);
    wb_pump(i);
    wb_step(i);
}

/* ---- of our own accord ---- */

void wb_age(struct inode *i, uint64_t now_ns)
{
    struct writeback *wb = &i->wb;
    const struct ll_options *o = &i->ll->options;
    const struct dirty_gen *oldest = dirty_gen_oldest(&wb->dirty);
    uint64_t sync_ns = o->sync_age_ms * CLOCK_NS_PER_MS;
    bool old = oldest != NULL && now_ns - oldest->first_ns >= o->flush_age_ms * CLOCK_NS_PER_MS;

    if (wb->background)
        return;
    if ((wb->unsynced_count > 0 && now_ns - wb->unsynced_since_ns >= sync_ns) ||
        (wb->changed_since_ns != 0 && now_ns - wb->changed_since_ns >= sync_ns)) {
        wb->changed_since_ns = now_ns; /* Not again before another period is over. */
        wb_flush(i, WB_COMMIT | WB_SYNC, NULL, NULL, NULL);
    } else if (old && wb_is_small(i)) {
        wb_flush(i, WB_COMMIT, NULL, NULL, NULL);
    } else if (old) {
        (void)wb_kick(i);
    }
}
