#include "libdfs/inode.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "common/compiler.h"
#include "common/loop.h"
#include "common/mem.h"
#include "libdfs/nn.h"
#include "libdfs/truncate.h"

/* ---- the table ---- */

struct inode *inode_find(struct ll *ll, struct ino ino)
{
    struct inode *i = NULL;

    HASH_FIND(hh, ll->inodes->by_ino, &ino, sizeof(ino), i);
    return i;
}

struct inode *inode_ref(struct inode *i)
{
    struct inode_table *t = i->ll->inodes;

    if (i->refs++ == 0) {
        DL_DELETE(t->idle, i);
        t->idle_count--;
    }
    return i;
}

static void inode_free(struct inode *i)
{
    HASH_DEL(i->ll->inodes->by_ino, i);
    read_cache_drop(i, 0, UINT64_MAX);
    wb_done(i);
    layout_done(&i->layout);
    free(i->inline_bytes);
    free(i);
}

/* Idle inodes only remember: the oldest are forgotten, but not those that owe a close. */
static void shrink_idle(struct inode_table *t)
{
    struct inode *i, *tmp;

    DL_FOREACH_SAFE (t->idle, i, tmp) {
        if (t->idle_count <= INODE_IDLE_MAX)
            return;
        if (i->opens_owed > 0)
            continue;
        DL_DELETE(t->idle, i);
        t->idle_count--;
        inode_free(i);
    }
}

void inode_unref(struct inode *i)
{
    struct inode_table *t = i->ll->inodes;

    assert(i->refs > 0);
    if (--i->refs > 0)
        return;
    /* The next open asks anyway and gets the content with the answer. */
    free(i->inline_bytes);
    i->inline_bytes = NULL;
    i->inline_known = false;
    i->inline_len = 0;
    DL_APPEND(t->idle, i);
    t->idle_count++;
    if (t->idle_count > INODE_IDLE_MAX)
        shrink_idle(t);
}

struct inode *inode_get(struct ll *ll, struct ino ino)
{
    struct inode *i = inode_find(ll, ino);

    if (i != NULL)
        return inode_ref(i);
    i = MEM_NEW(struct inode);
    i->ll = ll;
    i->ino = ino;
    i->refs = 1;
    HASH_ADD(hh, ll->inodes->by_ino, ino, sizeof(i->ino), i);
    return i;
}

static void on_age(void *ctx)
{
    struct inode_table *t = ctx;
    uint64_t now = loop_now_ns(t->ll->loop);
    struct inode **due = mem_zalloc(t->working_count + 1, sizeof(*due));
    size_t count = 0;
    struct inode *i;

    /* Flushing one may call back into anything, so the list may change under us. */
    DL_FOREACH2(t->working, i, wb.next)
    due[count++] = inode_ref(i);
    for (size_t k = 0; k < count; k++) {
        wb_age(due[k], now);
        inode_unref(due[k]);
    }
    free(due);
    if (t->working == NULL)
        loop_timer_stop(t->age_timer);
}

static void on_close_time(void *ctx)
{
    inode_table_send_closes(ctx);
}

struct inode_table *inode_table_new(struct ll *ll)
{
    struct inode_table *t = MEM_NEW(struct inode_table);

    t->ll = ll;
    t->age_timer = loop_timer_new(ll->loop, on_age, t);
    t->close_timer = loop_timer_new(ll->loop, on_close_time, t);
    return t;
}

void inode_table_free(struct inode_table *t)
{
    struct inode *i, *tmp;

    if (t == NULL)
        return;
    loop_timer_free(t->age_timer);
    loop_timer_free(t->close_timer);
    HASH_ITER (hh, t->by_ino, i, tmp)
        inode_free(i);
    free(t);
}

void inode_update_work(struct inode *i)
{
    struct inode_table *t = i->ll->inodes;
    struct writeback *wb = &i->wb;
    bool work = wb->dirty.pieces.count > 0 || wb->flying.count > 0 || wb->unsynced_count > 0 ||
                wb->syncs_flying > 0 || wb_commit_flying(i) || wb_commit_needed(i, false);

    if (work && !wb->listed) {
        uint64_t ms = MAX(i->ll->options.flush_age_ms / 4, 20U);

        wb->listed = true;
        (void)inode_ref(i);
        DL_APPEND2(t->working, i, wb.prev, wb.next);
        t->working_count++;
        if (!loop_timer_is_active(t->age_timer))
            loop_timer_start(t->age_timer, ms, ms);
    } else if (!work && wb->listed) {
        wb->listed = false;
        DL_DELETE2(t->working, i, wb.prev, wb.next);
        t->working_count--;
        while (i->closes_waiting > 0) {
            i->closes_waiting--;
            inode_owe_close(i->ll, i->ino);
        }
        inode_unref(i);
    }
}

void inode_account(struct inode *i)
{
    struct inode_table *t = i->ll->inodes;
    uint64_t now = i->wb.dirty.pieces.bytes + i->wb.flying.bytes;

    t->dirty_bytes += now - i->wb.accounted;
    i->wb.accounted = now;
}

void inode_set_error(struct inode *i, int error)
{
    errseq_set(&i->errors, error);
    errseq_set(&i->ll->inodes->errors, error);
    read_cache_drop(i, 0, UINT64_MAX);
    i->foreign = true;
}

/* ---- closes ---- */

struct close_call {
    struct inode_table *table;
    size_t count;
    uint64_t inos[];
};

static void on_closes(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct close_call *c = ctx;

    (void)status; /* Whatever came of it: a lost session has closed them, too. */
    (void)reply;
    c->table->close_calls--;
    for (size_t k = 0; k < c->count; k++) {
        struct inode *i = inode_find(c->table->ll, (struct ino){c->inos[k]});

        if (i != NULL && i->opens_owed > 0)
            i->opens_owed--;
    }
    free(c);
}

void inode_table_send_closes(struct inode_table *t)
{
    struct close_call *c;
    struct meta_request m;
    Dfs__CloseOp op = DFS__CLOSE_OP__INIT;

    loop_timer_stop(t->close_timer);
    if (t->close_count == 0)
        return;
    c = mem_alloc(sizeof(*c) + t->close_count * sizeof(c->inos[0]));
    c->table = t;
    c->count = t->close_count;
    memcpy(c->inos, t->closes, t->close_count * sizeof(c->inos[0]));
    t->close_count = 0;
    t->close_calls++;
    op.n_inos = c->count;
    op.inos = c->inos;
    meta_request_init(&m, NULL);
    m.req.op_case = DFS__META_REQUEST__OP_CLOSE;
    m.req.close = &op;
    ll_meta_call(t->ll, NULL, &m.req, on_closes, c);
}

void inode_owe_close(struct ll *ll, struct ino ino)
{
    struct inode_table *t = ll->inodes;

    t->closes[t->close_count++] = ino.v;
    if (t->close_count == INODE_CLOSE_BATCH)
        inode_table_send_closes(t);
    else if (!loop_timer_is_active(t->close_timer))
        loop_timer_start(t->close_timer, INODE_CLOSE_DELAY_MS, 0);
}

void inode_closed(struct inode *i)
{
    if (i->wb.listed)
        i->closes_waiting++;
    else
        inode_owe_close(i->ll, i->ino);
}

void inode_table_open_inos(struct ll *ll, uint64_t **ret_inos, size_t *ret_count)
{
    struct inode *i, *tmp;
    uint64_t *inos;
    size_t count = 0;

    HASH_ITER (hh, ll->inodes->by_ino, i, tmp)
        count += i->opens_owed;
    inos = mem_alloc((count + 1) * sizeof(*inos));
    count = 0;
    HASH_ITER (hh, ll->inodes->by_ino, i, tmp) {
        for (unsigned k = 0; k < i->opens_owed; k++)
            inos[count++] = i->ino.v;
    }
    *ret_inos = inos;
    *ret_count = count;
}

/* ---- what is known ---- */

uint64_t inode_size(const struct inode *i)
{
    return MAX(i->size, i->wb.local_end);
}

void inode_drop_clean(struct inode *i)
{
    read_cache_drop(i, 0, UINT64_MAX);
    layout_forget(&i->layout);
    i->inline_known = false;
    i->inline_len = 0;
}

void inode_set_inline(struct inode *i, const void *bytes, size_t len)
{
    if (i->inline_bytes == NULL)
        i->inline_bytes = mem_alloc(INLINE_MAX);
    i->inline_len = (uint32_t)MIN(len, (size_t)INLINE_MAX);
    memcpy(i->inline_bytes, bytes, i->inline_len);
    i->inline_known = true;
}

void inode_learn_layout(struct inode *i, uint32_t first, uint32_t count,
                        Dfs__ChunkRef *const *chunks, size_t chunk_count)
{
    struct layout *l = &i->layout;

    for (size_t k = 0; k < chunk_count; k++)
        layout_set_chunk(l, chunks[k]->index, (struct chunk_id){chunks[k]->chunk_id},
                         (struct pg_id){chunks[k]->pg}, chunks[k]->materialized);
    for (uint32_t k = 0; k < count && !l->complete; k++) {
        if (layout_state(l, first + k) == LAYOUT_UNKNOWN)
            layout_set_hole(l, first + k);
    }
    if (chunk_count > 0)
        i->has_chunks = true;
}

static void take_attr(struct inode *i, const Dfs__Attr *attr)
{
    i->has_xattr = attr->has_xattr;
    i->has_setid = (attr->mode & (S_ISUID | S_ISGID)) != 0;
    i->known = true;
    i->size = attr->size;
    i->data_version = attr->data_version;
    i->tail_pending = attr->trunc_pending != NULL && attr->trunc_pending->chunk_id != 0;
    if (i->tail_pending) {
        i->tail_chunk = (struct chunk_id){attr->trunc_pending->chunk_id};
        i->tail_pg = (struct pg_id){attr->trunc_pending->pg};
        i->tail_from = attr->trunc_pending->from;
        i->tail_version = attr->trunc_pending->version;
    }
    if (attr->is_inline && layout_fresh(&i->layout, NULL, 0) > 0)
        i->wb.clear_inline = true; /* Another client's small content; ours is in chunks, later. */
    if (i->wb.clear_inline) {      /* It is on its way to chunks; the namenode will hear of it. */
        i->has_chunks = true;
        return;
    }
    i->has_chunks = attr->chunk_count > 0;
    if (i->is_inline && !attr->is_inline)
        i->inline_known = false;
    i->is_inline = attr->is_inline;
}

/*
 * An answer that was on its way while our own commit or truncate overtook it: what is here is newer.
 * To believe it would put back the content that the commit under way is replacing.
 */
static bool is_overtaken(const struct inode *i, const Dfs__Attr *attr)
{
    if (!i->known || attr->data_version > i->data_version)
        return false;
    return attr->data_version < i->data_version ||
           ((wb_commit_flying(i) || i->truncates != NULL) && (!i->is_inline || i->inline_known));
}

/* An OpenOp's answer. */
static void take_entry(struct inode *i, const Dfs__EntryReply *entry)
{
    const Dfs__Attr *attr = entry->attr;

    if (is_overtaken(i, attr)) {
        i->opens_owed++;
        return;
    }
    if (!i->known || i->data_version != attr->data_version)
        inode_drop_clean(i);
    take_attr(i, attr);
    if (entry->has_inline)
        inode_set_inline(i, entry->inline_data.data, entry->inline_data.len);
    for (size_t k = 0; k < entry->n_chunks; k++)
        inode_learn_layout(i, entry->chunks[k]->index, 0, &entry->chunks[k], 1);
    if (entry->n_chunks >= attr->chunk_count)
        i->layout.complete = true;
    i->opens_owed++;
}

bool inode_opened(struct inode *i, const Dfs__EntryReply *entry)
{
    bool overtaken = is_overtaken(i, entry->attr);
    bool same =
        i->known && !i->foreign && (overtaken || i->data_version == entry->attr->data_version);

    take_entry(i, entry);
    if (!overtaken)
        i->foreign = false;
    return same;
}

/* ---- asking anew ---- */

struct inode_fetch {
    ll_status_fn fn; /* NULL: cancelled */
    void *ctx;
    struct inode_fetch *next;
};

bool inode_needs_fetch(const struct inode *i)
{
    return !i->known || (i->is_inline && !i->inline_known);
}

static void on_fetched(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct inode *i = ctx;
    struct inode_fetch *fetches = i->fetches;

    if (status == 0)
        status = reply->status;
    if (status == 0 &&
        (reply->result_case != DFS__META_REPLY__RESULT_ENTRY || reply->entry->attr == NULL))
        status = -EIO;
    i->fetches = NULL;
    if (status == 0) {
        take_entry(i, reply->entry);
        i->foreign = true;
        inode_closed(i);
        if (inode_needs_fetch(i))
            status = -EIO; /* Inline without content: asking again would not end. */
        if (i->tail_pending && i->truncates == NULL && i->wb.listed)
            truncate_finish_tail(i);
    }
    while (fetches != NULL) {
        struct inode_fetch *f = fetches;

        fetches = f->next;
        if (f->fn != NULL)
            f->fn(f->ctx, status);
        free(f);
    }
    inode_unref(i);
}

void inode_fetch(struct inode *i, ll_status_fn fn, void *ctx)
{
    struct inode_fetch *f = MEM_NEW(struct inode_fetch);
    bool first = i->fetches == NULL;

    f->fn = fn;
    f->ctx = ctx;
    LL_APPEND(i->fetches, f);
    if (first) {
        struct meta_request m;
        Dfs__OpenOp op = DFS__OPEN_OP__INIT;

        op.ino = i->ino.v;
        meta_request_init(&m, NULL);
        m.req.op_case = DFS__META_REQUEST__OP_OPEN;
        m.req.open = &op;
        (void)inode_ref(i);
        ll_meta_call(i->ll, NULL, &m.req, on_fetched, i);
    }
}

void inode_fetch_cancel(struct inode *i, ll_status_fn fn, void *ctx)
{
    struct inode_fetch *f;

    LL_FOREACH (i->fetches, f) {
        if (f->fn == fn && f->ctx == ctx)
            f->fn = NULL;
    }
}

/* ---- what has changed ---- */

void inode_published(struct inode *i, const Dfs__Attr *attr)
{
    if (i->known && attr->data_version != i->data_version &&
        attr->data_version != i->data_version + 1)
        i->foreign = true; /* Somebody else's change came between. */
    take_attr(i, attr);
}

void inode_overlay_attr(const struct inode *i, struct ll_attr *attr)
{
    uint64_t size = MAX(attr->size, i->wb.local_end);
    int64_t mtime = i->wb.mtime_ns != 0 ? i->wb.mtime_ns : i->wb.mtime_flying_ns;

    if (size > attr->size) {
        attr->size = size;
        attr->blocks = MAX(attr->blocks, (size + 511) / 512);
    }
    if (mtime != 0) {
        attr->mtime_ns = mtime;
        attr->ctime_ns = MAX(attr->ctime_ns, mtime);
    }
}

void inode_see_attr(struct ll *ll, struct ll_attr *attr)
{
    struct inode *i = inode_find(ll, attr->ino);

    if (i == NULL || !S_ISREG(attr->mode))
        return;
    i->has_xattr = attr->has_xattr;
    i->has_setid = (attr->mode & (S_ISUID | S_ISGID)) != 0;
    if (i->known && attr->data_version > i->data_version && !wb_commit_flying(i) &&
        i->truncates == NULL) {
        /* Close-to-open would let us show the old content until the next open; but the kernel
         * takes the new size from here, so what we hold must be asked for again. */
        inode_drop_clean(i);
        i->foreign = true;
        i->known = false;
        i->size = attr->size;
    }
    inode_overlay_attr(i, attr);
}

bool ll_may_have_xattr(struct ll *ll, struct ino ino)
{
    const struct inode *i = inode_find(ll, ino);

    return i == NULL || i->file_count == 0 || !i->known || i->has_xattr;
}

bool ll_attr_may_be_old(struct ll *ll, const struct ll_attr *attr)
{
    const struct inode *i = inode_find(ll, attr->ino);

    return i != NULL && (i->file_count > 0 || i->wb.listed ||
                         (i->known && i->data_version != attr->data_version));
}

int64_t inode_mtime_override(struct ll *ll, struct ino ino)
{
    struct inode *i = inode_find(ll, ino);
    int64_t old;

    if (i == NULL)
        return 0;
    old = i->wb.mtime_ns;
    i->wb.mtime_ns = 0;
    i->wb.mtime_flying_ns = 0; /* The commit is ahead of the utimens on the wire. */
    inode_update_work(i);
    return old;
}

void inode_mtime_restore(struct ll *ll, struct ino ino, int64_t mtime_ns)
{
    struct inode *i = inode_find(ll, ino);

    if (i == NULL || i->wb.mtime_ns != 0 || mtime_ns == 0)
        return;
    i->wb.mtime_ns = mtime_ns;
    inode_update_work(i);
}
