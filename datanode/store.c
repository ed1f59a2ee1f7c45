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
#include "common/error.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "datanode/chain_mutant.h"
#include "datanode/store_priv.h"

uint64_t store_now_ns(const struct store *s)
{
    return clock_monotonic_ns(s->o.clock);
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

    op->status = chunk_file_check(&op->live->file, false, true, bad, &op->result, NULL);
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

void live_wait_for_record(struct live *l)
{
    assert(!l->is_marking);
    l->is_marking = true;
    l->dirty_wait = (struct table_wait){.fn = dirty_logged, .ctx = l};
    chunk_log(l->target, l->chunk, &l->dirty_wait);
}

void change_submit(struct op *op)
{
    struct live *l = op->live;
    struct target *t = l->target;
    struct chunk *c = l->chunk;

    op->made = ++l->made;
    c->digest = 0;
    live_set_unsynced(l);
    live_touch_lru(l);
    if (!(c->flags & (CHUNK_DIRTY | CHUNK_DELETED))) {
        chunk_set_flags(t, c, c->flags | CHUNK_DIRTY);
        if (STORE_MUTANT(MUTANT_DIRTY_NOT_WAITED_FOR))
            chunk_log(t, c, NULL);
        else
            live_wait_for_record(l);
    }
    op_submit(op);
    live_touch_dirty(l);
    live_evict(t);
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
    t->writer_sync_count -= op->may_sync;
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
    sync_kick(t); /* Not earlier: a failure must be known before the next round. */
}

static void close_done(struct op *op)
{
    struct live *l = op->live;

    l->is_closing = false;
    if (!(l->chunk->flags & CHUNK_DELETED)) /* Lost: the next one that is opened has its name. */
        l->is_doomed = false;
    /* Someone may have opened it again: then it stays. */
    if (l->refs == 1 && !l->wait_first)
        live_drop_lru(l);
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
        live_touch_lru(op->live);
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

#ifdef CHAIN_MUTANTS
unsigned store_mutant;
#endif

/* ---- the calls ---- */

/*
 * Files are made for chunks that are new or are being copied, and where making one failed. For any
 * other chunk a missing file is a loss, which must not come back as holes that look good.
 */
static bool may_lack_file(const struct chunk *c)
{
    return c->flags & (CHUNK_INCOMPLETE | CHUNK_SUSPECT);
}

/*
 * A tombstone that the disk still has would take the new file with it at the next start. So a chunk that
 * is made while the end of some tombstone is not durable waits for its own record, which comes after.
 */
static bool birth_has_to_wait(const struct target *t)
{
    return table_log_durable_count(t->log) < t->removed_at &&
           !STORE_MUTANT(MUTANT_TOMBSTONE_NOT_OUTWAITED);
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
    op->may_sync =
        w->flags & STORE_SYNC && !t->round.is_running && !t->sync_ready && !op->live->was_closed;
    t->writer_sync_count += op->may_sync;
    if (is_new && birth_has_to_wait(t))
        live_wait_for_record(op->live);
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

uint64_t store_bytes(const struct target *t, uint32_t per_chunk)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < chunk_table_end(t->chunks); i++) {
        const struct chunk *c = chunk_table_at(t->chunks, i);

        if (c != NULL && !(c->flags & CHUNK_DELETED))
            bytes += (uint64_t)c->len + per_chunk;
    }
    return bytes;
}

size_t store_pick(const struct target *t, struct pg_id pg, size_t max,
                  struct chunk_state *ret_states)
{
    const struct chunk *c = chunk_table_first(t->chunks, pg.v);
    size_t count = 0;

    for (; c && count < max; c = chunk_table_next(t->chunks, c))
        chunk_get_state(c, &ret_states[count++]);
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
