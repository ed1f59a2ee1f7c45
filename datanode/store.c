/*
 * Ops on chunks, from the call to its answer:
 *
 *   store_write() ──► [wait: the DIRTY record] ──► writer's queue ──► op_done ──► [sync round] ──►
 * fn
 *
 * The order of a chunk is the order of the writer's queue, which is one for the target; what waits
 * for the DIRTY record of its chunk waits in the chunk's own list, and everything later with it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "datanode/store_priv.h"

uint64_t store_now_ns(const struct store *s)
{
    return clock_monotonic_ns(s->o.clock);
}

/* ---- chunks ---- */

void chunk_get_state(const struct chunk *c, struct chunk_state *ret_state)
{
    *ret_state = (struct chunk_state){
        .id = {c->id},
        .pg = {c->pg},
        .flags = c->flags,
        .len = c->len,
        .ver = {c->ver_epoch, c->ver_seq},
    };
}

void chunk_set_flags(struct target *t, struct chunk *c, unsigned flags)
{
    for (unsigned i = 0; i < ARRAY_COUNT(t->flag_counts); i++) {
        t->flag_counts[i] -= c->flags >> i & 1;
        t->flag_counts[i] += flags >> i & 1;
    }
    c->flags = (uint16_t)flags;
}

/* What a chunk takes on the disk, roughly: header, one page of slots, data. */
static uint64_t cost_of(uint32_t len)
{
    return len ? 2 * CHUNK_BLOCK_SIZE + (uint64_t)len : 0;
}

void chunk_set_len(struct target *t, struct chunk *c, uint32_t len)
{
    t->used_bytes += cost_of(len) - cost_of(c->len);
    c->len = len;
}

void chunk_log(struct target *t, struct chunk *c, struct table_wait *wait)
{
    struct chunk_state s;

    chunk_get_state(c, &s);
    table_log_put(t->log, &s, false, wait);
}

static void chunk_set_bad(struct target *t, struct chunk *c)
{
    if (c->flags & CHUNK_BAD)
        return;
    chunk_set_flags(t, c, c->flags | CHUNK_BAD);
    chunk_log(t, c, NULL);
}

/* ---- live ---- */

#define LIST_PUSH(t_, head_, l_, field_)                                                           \
    do {                                                                                           \
        struct live *first_ = (t_)->head_;                                                         \
        (l_)->field_.is_in = true;                                                                 \
        if (!first_) {                                                                             \
            (t_)->head_ = (l_)->field_.next = (l_)->field_.prev = (l_);                            \
            break;                                                                                 \
        }                                                                                          \
        (l_)->field_.next = first_;                                                                \
        (l_)->field_.prev = first_->field_.prev;                                                   \
        first_->field_.prev->field_.next = (l_);                                                   \
        first_->field_.prev = (l_);                                                                \
    } while (0)

#define LIST_DROP(t_, head_, l_, field_)                                                           \
    do {                                                                                           \
        (l_)->field_.is_in = false;                                                                \
        (l_)->field_.prev->field_.next = (l_)->field_.next;                                        \
        (l_)->field_.next->field_.prev = (l_)->field_.prev;                                        \
        if ((t_)->head_ == (l_))                                                                   \
            (t_)->head_ = (l_)->field_.next == (l_) ? NULL : (l_)->field_.next;                    \
    } while (0)

static void lru_touch(struct live *l)
{
    struct target *t = l->target;

    if (l->lru.is_in) {
        LIST_DROP(t, lru, l, lru);
        t->lru_count--;
    }
    LIST_PUSH(t, lru, l, lru);
    t->lru_count++;
}

void live_set_unsynced(struct live *l)
{
    struct target *t = l->target;

    if (l->unsynced.is_in)
        return;
    l->unsynced_since_ns = store_now_ns(t->store);
    LIST_PUSH(t, unsynced, l, unsynced);
    t->unsynced_count++;
}

void live_set_synced(struct live *l, uint64_t generation)
{
    struct target *t = l->target;

    l->synced = MAX(l->synced, generation);
    if (!l->unsynced.is_in)
        return;
    LIST_DROP(t, unsynced, l, unsynced);
    t->unsynced_count--;
    if (l->synced < l->made) {
        live_set_unsynced(l);
        return;
    }
    t->unsynced_bytes -= l->unsynced_bytes;
    l->unsynced_bytes = 0;
}

void live_drop_dirty(struct live *l)
{
    if (!l->dirty.is_in)
        return;
    LIST_DROP(l->target, dirty, l, dirty);
    l->target->dirty_listed--;
}

void live_touch_dirty(struct live *l)
{
    unsigned flags = l->chunk->flags;

    live_drop_dirty(l);
    l->changed_ns = store_now_ns(l->target->store);
    if (!(flags & CHUNK_DIRTY) || flags & (CHUNK_SUSPECT | CHUNK_INCOMPLETE | CHUNK_DELETED))
        return;
    LIST_PUSH(l->target, dirty, l, dirty);
    l->target->dirty_listed++;
}

bool live_is_idle(const struct live *l)
{
    return l->refs == 0 && !l->wait_first && !l->is_marking;
}

struct live *live_get(struct target *t, struct chunk *c)
{
    struct live *l = c->live;

    if (!l) {
        l = MEM_NEW(struct live);
        l->target = t;
        l->chunk = c;
        c->live = l;
        chunk_file_init(&l->file, &t->dir, c->id, c->pg);
        t->live_count++;
    }
    return l;
}

void live_free(struct live *l)
{
    struct target *t = l->target;

    if (l->lru.is_in) {
        LIST_DROP(t, lru, l, lru);
        t->lru_count--;
    }
    if (l->unsynced.is_in) {
        LIST_DROP(t, unsynced, l, unsynced);
        t->unsynced_count--;
    }
    live_drop_dirty(l);
    l->chunk->live = NULL;
    chunk_file_done(&l->file);
    free(l);
    t->live_count--;
}

/* An open file keeps it (until it is evicted), and so does all that is still to be done with it. */
static void live_maybe_free(struct live *l)
{
    if (live_is_idle(l) && !l->lru.is_in && !l->unsynced.is_in && !l->dirty.is_in)
        live_free(l);
}

void live_ref(struct live *l)
{
    l->refs++;
}

static void live_close(struct live *l)
{
    if (l->is_closing)
        return;
    l->is_closing = true;
    op_submit(op_new(l, OP_CLOSE, 0));
}

void live_unref(struct live *l)
{
    assert(l->refs > 0);
    l->refs--;
    if (!live_is_idle(l))
        return;
    if (l->is_doomed && l->lru.is_in)
        live_close(l);
    else
        live_maybe_free(l);
}

/* Oldest first, closes files until the limit holds. */
void sync_evict(struct target *t)
{
    struct live *l = t->lru;
    size_t over =
        t->lru_count > t->store->o.open_files_max ? t->lru_count - t->store->o.open_files_max : 0;

    for (size_t i = t->lru_count; over > 0 && i > 0; i--, l = l->lru.next) {
        if (live_is_idle(l) || l->is_closing) {
            over--;
            live_close(l);
        }
    }
}

/* ---- ops ---- */

struct op *op_new(struct live *l, enum op_kind kind, size_t number_count)
{
    struct op *op = mem_alloc(sizeof(*op) + number_count * sizeof(op->numbers[0]));

    memset(op, 0, sizeof(*op));
    op->live = l;
    op->kind = kind;
    return op;
}

void op_free(struct op *op)
{
    struct live *l = op->live;

    if (op->kind == OP_WRITE)
        slab_unref(op->u.w.slab);
    free(op);
    live_unref(l);
}

static bool is_change(enum op_kind kind)
{
    switch (kind) {
    case OP_WRITE:
    case OP_TRUNCATE:
    case OP_UNLINK:
    case OP_TRIM:
    case OP_LAUNDER:
    case OP_CLOSE: /* Not a change, but reads must not meet it. */
        return true;
    case OP_MARK:
    case OP_READ:
    case OP_CRCS:
        return false;
    }
    return false;
}

static bool is_read(enum op_kind kind)
{
    return kind == OP_READ || kind == OP_CRCS;
}

/* Nothing else syncs or made this file since: the writer may do it at once, saving two wake-ups. */
static void try_sync_here(struct op *op)
{
    struct live *l = op->live;

    if (!op->may_sync || chunk_file_is_new(&l->file) ||
        !disk_lane_is_idle(op->job.disk, DISK_WRITER))
        return;
    op->status = chunk_file_sync(&l->file);
    op->is_synced = op->status == 0;
}

static void launder_run(struct op *op)
{
    uint64_t *bad = mem_zalloc(CHUNK_BLOCKS / 64, sizeof(*bad));

    op->status = chunk_file_check(&op->live->file, true, bad, &op->result);
    free(bad);
}

static void op_run(struct job *j)
{
    struct op *op = CONTAINER_OF(j, struct op, job);
    struct live *l = op->live;
    unsigned flags = 0;

    if (op->flags & FILE_CREATE)
        flags |= CHUNK_FILE_CREATE;
    if (op->flags & STORE_COPY)
        flags |= CHUNK_FILE_COPY;
    if (atomic_load(&l->target->failure) && op->kind != OP_CLOSE && op->kind != OP_MARK) {
        op->status = -EIO;
        return;
    }
    switch (op->kind) {
    case OP_WRITE:
        op->status = chunk_file_write(&l->file, op->u.w.offset, op->u.w.len, op->u.w.bytes,
                                      op->numbers, flags, &op->result);
        if (op->status == 0)
            try_sync_here(op);
        return;
    case OP_TRUNCATE:
        op->status = chunk_file_truncate(&l->file, op->u.w.offset, flags, &op->result);
        return;
    case OP_UNLINK:
        op->status = chunk_file_unlink(&l->file);
        return;
    case OP_TRIM:
        op->status = chunk_file_trim(&l->file, flags);
        return;
    case OP_LAUNDER:
        launder_run(op);
        return;
    case OP_CLOSE:
        chunk_file_close(&l->file);
        return;
    case OP_MARK:
        return;
    case OP_READ:
    case OP_CRCS:
        read_run(op);
        return;
    }
}

static void op_done(struct job *j);

static void op_dispatch(struct op *op)
{
    struct disk *d = op->live->target->disk;

    op->job.run = op_run;
    op->job.done = op_done;
    if (!is_read(op->kind))
        disk_submit(d, DISK_WRITER, &op->job);
    else if (op->live->change_count)
        disk_submit_after(d, DISK_WRITER, DISK_READER, &op->job);
    else
        disk_submit(d, DISK_READER, &op->job);
    if (is_change(op->kind))
        op->live->change_count++;
}

void op_submit(struct op *op)
{
    struct live *l = op->live;

    live_ref(l);
    op->start_ns = store_now_ns(l->target->store);
    if (!l->is_marking) {
        op_dispatch(op);
        return;
    }
    if (l->wait_last)
        l->wait_last->next = op;
    else
        l->wait_first = op;
    l->wait_last = op;
}

/* The DIRTY record is durable (or the target has failed: then the ops find out by themselves). */
static void dirty_logged(void *ctx, int status)
{
    struct live *l = ctx;
    struct op *op = l->wait_first;

    (void)status;
    l->is_marking = false;
    l->wait_first = l->wait_last = NULL;
    live_ref(l);
    for (struct op *next; op; op = next) {
        next = op->next;
        op->next = NULL;
        op_dispatch(op);
    }
    live_unref(l);
}

/* A change: the chunk must be DIRTY on the disk before a byte of it changes. */
static void change_submit(struct op *op)
{
    struct live *l = op->live;
    struct target *t = l->target;
    struct chunk *c = l->chunk;

    op->made = ++l->made;
    live_set_unsynced(l);
    lru_touch(l);
    if (!(c->flags & (CHUNK_DIRTY | CHUNK_DELETED))) {
        assert(!l->is_marking);
        l->is_marking = true;
        chunk_set_flags(t, c, c->flags | CHUNK_DIRTY);
        l->dirty_wait = (struct table_wait){.fn = dirty_logged, .ctx = l};
        chunk_log(t, c, &l->dirty_wait);
    }
    op_submit(op);
    live_touch_dirty(l);
    sync_evict(t);
}

/* What an op that failed half-way leaves behind cannot be trusted. */
static void change_failed(struct op *op)
{
    struct live *l = op->live;
    struct target *t = l->target;
    struct chunk *c = l->chunk;

    switch (op->status) {
    case DFS_EBADBLOCK:
        t->stats.bad_blocks++;
        metric_inc(t->store->m.bad_blocks);
        chunk_set_bad(t, c);
        return;
    case DFS_ENOCHUNK: /* There should be one. */
        if (c->flags & CHUNK_DELETED)
            return;
        chunk_set_flags(t, c, c->flags | CHUNK_DIRTY | CHUNK_INCOMPLETE);
        live_drop_dirty(l);
        chunk_set_bad(t, c);
        return;
    case -ENOSPC:
    case -EDQUOT:
        op->status = -ENOSPC;
        chunk_set_flags(t, c, c->flags | CHUNK_SUSPECT);
        live_drop_dirty(l);
        t->free_bytes = 0;
        return;
    default:
        target_fail(t, op->status);
        op->status = -EIO;
    }
}

static void ewma(uint64_t *v, uint64_t sample)
{
    *v = *v ? (*v * 15 + sample) / 16 : sample;
}

static void count_write(struct op *op)
{
    struct target *t = op->live->target;
    struct store *s = t->store;
    uint64_t ns = store_now_ns(s) - op->start_ns;

    t->stats.writes++;
    t->stats.write_bytes += op->u.w.len;
    t->free_bytes -= MIN(t->free_bytes, (uint64_t)op->u.w.len);
    ewma(&t->stats.write_ns_ewma, ns);
    metric_inc(s->m.writes);
    metric_add(s->m.write_bytes, op->u.w.len);
    metric_observe_ns(s->m.write_ns, ns);
}

static void change_applied(struct op *op)
{
    struct live *l = op->live;
    struct target *t = l->target;
    struct chunk *c = l->chunk;

    if (op->kind == OP_WRITE) {
        chunk_set_len(t, c, MAX(c->len, op->u.w.offset + op->u.w.len));
        l->unsynced_bytes += op->u.w.len;
        t->unsynced_bytes += op->u.w.len;
        count_write(op);
    } else if (op->kind == OP_TRUNCATE) {
        chunk_set_len(t, c, op->flags & STORE_COPY ? op->u.w.offset : MIN(c->len, op->u.w.offset));
    } else if (op->kind == OP_LAUNDER) {
        t->stats.laundered_blocks += op->result;
    }
    if ((op->kind == OP_WRITE || op->kind == OP_TRUNCATE) && !(op->flags & STORE_COPY)) {
        c->ver_epoch = op->u.w.ver.epoch;
        c->ver_seq = op->u.w.ver.seq;
    }
    if (op->is_synced)
        live_set_synced(l, op->made);
}

static void unlink_done(struct op *op)
{
    struct live *l = op->live;

    chunk_set_len(l->target, l->chunk, 0);
    live_set_synced(l, l->made);
    live_drop_dirty(l);
    l->is_doomed = true;
}

static void change_done(struct op *op)
{
    struct live *l = op->live;
    struct target *t = l->target;
    struct sync_req *req;

    l->done = MAX(l->done, op->made);
    if (op->status == 0 && target_is_failed(t))
        op->status = -EIO;
    if (op->status == 0)
        change_applied(op);
    else
        change_failed(op);
    if (op->kind == OP_UNLINK)
        unlink_done(op);
    if (op->status == 0 && op->flags & STORE_SYNC && !op->is_synced) {
        req = sync_req_new(t, 1, op->fn, op->ctx);
        req->result = op->result;
        sync_req_add(req, l);
        sync_req_submit(req);
    } else if (op->fn) {
        op->fn(op->ctx, op->status, op->result);
    }
    op_free(op);
}

static void close_done(struct op *op)
{
    struct live *l = op->live;

    l->is_closing = false;
    /* Someone may have opened it again: then it stays. */
    if (l->refs == 1 && !l->wait_first && l->lru.is_in) {
        LIST_DROP(l->target, lru, l, lru);
        l->target->lru_count--;
    }
    op_free(op);
}

static void op_done(struct job *j)
{
    struct op *op = CONTAINER_OF(j, struct op, job);

    if (is_change(op->kind))
        op->live->change_count--;
    switch (op->kind) {
    case OP_WRITE:
    case OP_TRUNCATE:
    case OP_UNLINK:
    case OP_TRIM:
    case OP_LAUNDER:
        change_done(op);
        return;
    case OP_CLOSE:
        close_done(op);
        return;
    case OP_MARK:
        sync_mark_passed(op->u.sync);
        op_free(op);
        return;
    case OP_READ:
    case OP_CRCS:
        lru_touch(op->live);
        read_done(op);
        return;
    }
}

/* ---- answers without work ---- */

struct later {
    store_done_fn fn;
    void *ctx;
    int status;
    uint32_t result;
};

static void later_run(void *ctx)
{
    struct later l = *(struct later *)ctx;

    free(ctx);
    l.fn(l.ctx, l.status, l.result);
}

void store_done_later(struct target *t, store_done_fn fn, void *ctx, int status, uint32_t result)
{
    struct later *l;

    if (!fn)
        return;
    l = MEM_NEW(struct later);
    *l = (struct later){fn, ctx, status, result};
    loop_post(t->store->loop, later_run, l);
}

/* ---- the calls ---- */

/*
 * Files are made for chunks that are new or are being copied, and where making one failed. For any
 * other chunk a missing file is a loss, which must not come back as holes that look good.
 */
static bool may_lack_file(const struct chunk *c)
{
    return c->flags & (CHUNK_INCOMPLETE | CHUNK_SUSPECT);
}

/* Finds or makes the chunk of a write. */
static int write_chunk(struct target *t, const struct store_write *w, struct chunk **ret_chunk,
                       bool *ret_is_new)
{
    struct chunk *c = chunk_table_find(t->chunks, w->chunk.v);

    if (c && c->flags & CHUNK_DELETED)
        return -ESTALE;
    if (!c && !(w->flags & STORE_CREATE))
        return DFS_ENOCHUNK;
    if (c && c->pg != w->pg.v)
        return -EINVAL;
    if (!c) {
        c = chunk_table_add(t->chunks, w->chunk.v, w->pg.v);
        chunk_set_flags(t, c, CHUNK_DIRTY);
        /* Nobody waits for it: a file that the table does not know is adopted as DIRTY. */
        chunk_log(t, c, NULL);
        *ret_is_new = true;
    }
    *ret_chunk = c;
    return 0;
}

static int check_write(const struct target *t, const struct store_write *w)
{
    uint32_t first = w->offset / CHUNK_BLOCK_SIZE;
    int r = target_status(t);

    if (r < 0)
        return r;
    if (w->len == 0 || w->len > SLAB_SIZE_MAX || w->offset >= CHUNK_SIZE ||
        w->len > CHUNK_SIZE - w->offset || ID_IS_NONE(w->chunk))
        return -EINVAL;
    if (w->crc_count != (w->offset + w->len - 1) / CHUNK_BLOCK_SIZE - first + 1)
        return -EINVAL;
    if (w->flags & STORE_COPY && (w->offset | w->len) % CHUNK_BLOCK_SIZE)
        return -EINVAL;
    return 0;
}

void store_write(struct target *t, const struct store_write *w, store_done_fn done, void *ctx)
{
    struct chunk *c = NULL;
    bool is_new = false;
    struct op *op;
    int r;

    r = check_write(t, w);
    if (r == 0)
        r = write_chunk(t, w, &c, &is_new);
    if (r < 0) {
        store_done_later(t, done, ctx, r, 0);
        return;
    }
    assert(c);
    op = op_new(live_get(t, c), OP_WRITE, w->crc_count);
    op->fn = done;
    op->ctx = ctx;
    op->flags = w->flags;
    op->flags |= is_new || may_lack_file(c) || w->flags & STORE_COPY ? FILE_CREATE : 0;
    op->may_sync = w->flags & STORE_SYNC && !t->round.is_running && !t->sync_ready;
    op->u.w.offset = w->offset;
    op->u.w.len = w->len;
    op->u.w.bytes = w->bytes;
    op->u.w.slab = slab_ref(w->slab);
    op->u.w.ver = w->ver;
    memcpy(op->numbers, w->crcs, w->crc_count * sizeof(*w->crcs));
    change_submit(op);
}

void store_truncate(struct target *t, struct chunk_id chunk, uint32_t from, struct chunk_ver ver,
                    unsigned flags, store_done_fn done, void *ctx)
{
    struct chunk *c = chunk_table_find(t->chunks, chunk.v);
    int r = target_status(t);
    struct op *op;

    if (r == 0 && from > CHUNK_SIZE)
        r = -EINVAL;
    if (r < 0 || !c || c->flags & CHUNK_DELETED) {
        store_done_later(t, done, ctx, r, 0);
        return;
    }
    op = op_new(live_get(t, c), OP_TRUNCATE, 0);
    op->fn = done;
    op->ctx = ctx;
    op->flags = flags | (may_lack_file(c) || flags & STORE_COPY ? FILE_CREATE : 0);
    op->u.w.offset = from;
    op->u.w.ver = ver;
    change_submit(op);
}

/* ---- delete ---- */

/* A call that waits for a record of the chunk table. */
struct record_call {
    struct table_wait wait;
    struct target *target;
    struct chunk *chunk; /* stays: it is a tombstone, INCOMPLETE or referenced */
    struct live *live;
    store_done_fn fn;
    void *ctx;
};

static struct record_call *record_call_new(struct target *t, struct chunk *c, store_done_fn fn,
                                           void *ctx, void (*logged)(void *ctx, int status))
{
    struct record_call *call = MEM_NEW(struct record_call);

    call->target = t;
    call->chunk = c;
    call->live = live_get(t, c);
    call->fn = fn;
    call->ctx = ctx;
    call->wait.fn = logged;
    call->wait.ctx = call;
    live_ref(call->live);
    return call;
}

static void delete_logged(void *ctx, int status)
{
    struct record_call *call = ctx;
    struct op *op;

    if (status < 0) {
        call->fn(call->ctx, status, 0);
    } else {
        op = op_new(call->live, OP_UNLINK, 0);
        op->fn = call->fn;
        op->ctx = call->ctx;
        change_submit(op);
    }
    live_unref(call->live);
    free(call);
}

void store_delete(struct target *t, struct chunk_id chunk, struct pg_id pg, store_done_fn done,
                  void *ctx)
{
    struct chunk *c = chunk_table_find(t->chunks, chunk.v);
    struct record_call *call;
    int r = target_status(t);

    if (r < 0 || ID_IS_NONE(chunk)) {
        store_done_later(t, done, ctx, r < 0 ? r : -EINVAL, 0);
        return;
    }
    if (!c)
        c = chunk_table_add(t->chunks, chunk.v, pg.v);
    /* In memory at once, so that nothing comes after it; on the disk before the file goes. */
    call = record_call_new(t, c, done, ctx, delete_logged);
    live_drop_dirty(call->live);
    chunk_set_flags(t, c, CHUNK_DELETED);
    chunk_log(t, c, &call->wait);
}

void store_forget(struct target *t, struct chunk_id chunk)
{
    struct chunk *c = chunk_table_find(t->chunks, chunk.v);
    struct chunk_state s;

    /* With a live one the file is about to go; the tombstone is forgotten the next time. */
    if (!c || !(c->flags & CHUNK_DELETED) || c->live || target_status(t) < 0)
        return;
    chunk_get_state(c, &s);
    table_log_put(t->log, &s, true, NULL);
    chunk_set_flags(t, c, 0);
    chunk_set_len(t, c, 0);
    chunk_table_remove(t->chunks, c);
}

/* ---- joining ---- */

static void record_logged(void *ctx, int status)
{
    struct record_call *call = ctx;

    call->fn(call->ctx, status, 0);
    live_unref(call->live);
    free(call);
}

void store_mark_incomplete(struct target *t, struct chunk_id chunk, struct pg_id pg,
                           store_done_fn done, void *ctx)
{
    struct chunk *c = chunk_table_find(t->chunks, chunk.v);
    struct record_call *call;
    int r = target_status(t);

    if (r == 0 && (ID_IS_NONE(chunk) || (c && c->pg != pg.v)))
        r = -EINVAL;
    if (r == 0 && c && c->flags & CHUNK_DELETED)
        r = -ESTALE;
    if (r < 0) {
        store_done_later(t, done, ctx, r, 0);
        return;
    }
    if (!c)
        c = chunk_table_add(t->chunks, chunk.v, pg.v);
    call = record_call_new(t, c, done, ctx, record_logged);
    live_drop_dirty(call->live);
    chunk_set_flags(t, c, c->flags | CHUNK_DIRTY | CHUNK_INCOMPLETE);
    chunk_log(t, c, &call->wait);
}

struct complete_call {
    struct record_call *record;
    struct chunk_ver ver;
};

static int ver_compare(struct chunk_ver a, struct chunk_ver b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}

static void complete_synced(void *ctx, int status, uint32_t result)
{
    struct complete_call *cc = ctx;
    struct record_call *call = cc->record;
    struct chunk *c = call->chunk;
    struct chunk_ver has = {c->ver_epoch, c->ver_seq};
    unsigned flags = c->flags & ~(unsigned)(CHUNK_INCOMPLETE | CHUNK_SUSPECT | CHUNK_BAD);

    (void)result;
    if (status < 0 || c->flags & CHUNK_DELETED) {
        record_logged(call, status < 0 ? status : -ESTALE);
        free(cc);
        return;
    }
    /* Live ops that came during the copy may have brought it further. */
    if (ver_compare(cc->ver, has) > 0) {
        c->ver_epoch = cc->ver.epoch;
        c->ver_seq = cc->ver.seq;
    }
    if (call->live->synced == call->live->made)
        flags &= ~(unsigned)CHUNK_DIRTY;
    chunk_set_flags(call->target, c, flags);
    live_touch_dirty(call->live);
    chunk_log(call->target, c, &call->wait);
    free(cc);
}

static void complete_trimmed(void *ctx, int status, uint32_t result)
{
    struct complete_call *cc = ctx;
    struct live *l = cc->record->live;
    struct sync_req *req;

    if (status < 0) {
        complete_synced(cc, status, result);
        return;
    }
    req = sync_req_new(l->target, 1, complete_synced, cc);
    sync_req_add(req, l);
    sync_req_submit(req);
}

void store_mark_complete(struct target *t, struct chunk_id chunk, struct chunk_ver ver,
                         store_done_fn done, void *ctx)
{
    struct chunk *c = chunk_table_find(t->chunks, chunk.v);
    int r = target_status(t);
    struct complete_call *cc;
    struct op *op;

    if (r == 0 && (!c || c->flags & CHUNK_DELETED))
        r = DFS_ENOCHUNK;
    if (r < 0) {
        store_done_later(t, done, ctx, r, 0);
        return;
    }
    cc = MEM_NEW(struct complete_call);
    cc->record = record_call_new(t, c, done, ctx, record_logged);
    cc->ver = ver;
    /* An empty chunk has its file too: a CLEAN record without one would be a loss. */
    op = op_new(cc->record->live, OP_TRIM, 0);
    op->flags = FILE_CREATE;
    op->fn = complete_trimmed;
    op->ctx = cc;
    change_submit(op);
}

/* ---- laundering, one chunk after the other ---- */

struct launder {
    struct target *target;
    struct pg_id pg;
    uint64_t after;
    uint32_t blocks;
    store_done_fn fn;
    void *ctx;
};

static struct chunk *next_suspect(struct launder *l)
{
    struct chunk *c;

    while (chunk_table_list(l->target->chunks, l->pg.v, l->after, 1, &c) == 1) {
        l->after = c->id;
        if (c->flags & CHUNK_SUSPECT && !(c->flags & (CHUNK_INCOMPLETE | CHUNK_DELETED)))
            return c;
    }
    return NULL;
}

static void launder_step(struct launder *l);

static void laundered(void *ctx, int status, uint32_t blocks)
{
    struct launder *l = ctx;
    struct chunk *c = chunk_table_find(l->target->chunks, l->after);

    if (status < 0 && status != DFS_ENOCHUNK) {
        l->fn(l->ctx, status, l->blocks);
        free(l);
        return;
    }
    l->blocks += blocks;
    if (c && status == 0) {
        chunk_set_flags(l->target, c, c->flags & ~(unsigned)CHUNK_SUSPECT);
        live_touch_dirty(live_get(l->target, c));
    }
    launder_step(l);
}

static void launder_step(struct launder *l)
{
    struct chunk *c = next_suspect(l);
    struct op *op;

    if (!c || target_status(l->target) < 0) {
        store_done_later(l->target, l->fn, l->ctx, target_status(l->target), l->blocks);
        free(l);
        return;
    }
    op = op_new(live_get(l->target, c), OP_LAUNDER, 0);
    op->fn = laundered;
    op->ctx = l;
    change_submit(op);
}

void store_launder(struct target *t, struct pg_id pg, store_done_fn done, void *ctx)
{
    struct launder *l = MEM_NEW(struct launder);

    *l = (struct launder){.target = t, .pg = pg, .fn = done, .ctx = ctx};
    launder_step(l);
}

/* ---- asking ---- */

int store_chunk_state(const struct target *t, struct chunk_id chunk, struct chunk_state *ret_state)
{
    const struct chunk *c = chunk_table_find(t->chunks, chunk.v);

    if (!c)
        return DFS_ENOCHUNK;
    chunk_get_state(c, ret_state);
    return 0;
}

size_t store_list(const struct target *t, struct pg_id pg, struct chunk_id after, size_t max,
                  struct chunk_state *ret_states)
{
    struct chunk **chunks = mem_alloc((max + 1) * sizeof(*chunks));
    size_t count = chunk_table_list(t->chunks, pg.v, after.v, max, chunks);

    for (size_t i = 0; i < count; i++)
        chunk_get_state(chunks[i], &ret_states[i]);
    free(chunks);
    return count;
}

size_t store_list_pgs(const struct target *t, struct pg_id after, size_t max, struct pg_id *ret_pgs)
{
    uint32_t *pgs = mem_alloc((max + 1) * sizeof(*pgs));
    size_t count = chunk_table_list_pgs(t->chunks, after.v, max, pgs);

    for (size_t i = 0; i < count; i++)
        ret_pgs[i].v = pgs[i];
    free(pgs);
    return count;
}

unsigned store_target_count(const struct store *s)
{
    return s->target_count;
}

struct target *store_target_at(const struct store *s, unsigned index)
{
    assert(index < s->target_count);
    return s->targets[index];
}

struct target *store_target_find(const struct store *s, struct target_id id)
{
    for (unsigned i = 0; i < s->target_count; i++)
        if (!ID_IS_NONE(id) && target_id(s->targets[i]).v == id.v)
            return s->targets[i];
    return NULL;
}
