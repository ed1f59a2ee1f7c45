/*
 * Calls that wait for a record of the chunk table: deleting, and what a join does to the chunks it
 * copies; and laundering after a cold start.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/mem.h"
#include "datanode/chain_mutant.h"
#include "datanode/store_priv.h"

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
    call->live->is_forgotten = false;
    live_drop_dirty(call->live);
    if (!(c->flags & CHUNK_DELETED))
        tombstone_made(t, chunk.v);
    chunk_set_flags(t, c, CHUNK_DELETED);
    c->trunc_version = 0;
    chunk_log(t, c, &call->wait);
}

void tombstone_remove(struct target *t, struct chunk *c)
{
    struct chunk_state s;

    if (!(c->flags & CHUNK_DELETED) || target_status(t) < 0)
        return;
    chunk_get_state(c, &s);
    table_log_put(t->log, &s, true, NULL);
    t->removed_at = table_log_put_count(t->log);
    chunk_set_flags(t, c, 0);
    chunk_set_len(t, c, 0);
    chunk_table_remove(t->chunks, c);
}

void store_forget(struct target *t, struct chunk_id chunk, store_done_fn done, void *ctx)
{
    struct chunk *c = chunk_table_find(t->chunks, chunk.v);

    if (!c || !c->live) {
        if (c)
            tombstone_remove(t, c);
        store_done_later(t, done, ctx, 0, 0);
        return;
    }
    c->live->is_forgotten = true; /* First the file goes: live_free(). */
    if (!done)
        return;
    store_done_later(t, c->live->forgotten, c->live->forgotten_ctx, -EALREADY, 0);
    c->live->forgotten = done;
    c->live->forgotten_ctx = ctx;
}

/* ---- tombstones that have done their work ---- */

void tombstone_made(struct target *t, uint64_t id)
{
    struct tombstones *q = &t->tombstones;

    if (q->first + q->count == q->room && q->first > q->room / 2) {
        memmove(q->items, q->items + q->first, q->count * sizeof(*q->items));
        q->first = 0;
    }
    if (q->first + q->count == q->room) {
        q->room = q->room ? q->room * 2 : 64;
        q->items = mem_realloc(q->items, q->room, sizeof(*q->items));
    }
    q->items[q->first + q->count++] = (struct tombstone){id, store_now_ns(t->store)};
}

void tombstones_expire(struct target *t, uint64_t now)
{
    struct tombstones *q = &t->tombstones;

    for (unsigned i = 0; i < TOMBSTONES_AT_ONCE && q->count; i++) {
        const struct tombstone *s = &q->items[q->first];

        if (now - s->made_ns < TOMBSTONE_KEEP_MS * CLOCK_NS_PER_MS)
            return;
        q->first++;
        q->count--;
        store_forget(t, (struct chunk_id){s->id}, NULL, NULL);
    }
}

/* ---- joining ---- */

static void record_logged(void *ctx, int status)
{
    struct record_call *call = ctx;

    call->fn(call->ctx, status, 0);
    live_unref(call->live);
    free(call);
}

void store_set_truncated(struct target *t, struct chunk_id chunk, uint64_t version,
                         store_done_fn done, void *ctx)
{
    struct chunk *c = chunk_table_find(t->chunks, chunk.v);
    struct record_call *call;
    int r = target_status(t);

    if (r < 0 || !c || c->flags & CHUNK_DELETED) {
        store_done_later(t, done, ctx, r, 0);
        return;
    }
    c->trunc_version = MAX(c->trunc_version, version);
    call = record_call_new(t, c, done, ctx, record_logged);
    chunk_log(t, c, &call->wait);
}

void store_mark_incomplete(struct target *t, struct chunk_id chunk, struct pg_id pg,
                           store_done_fn done, void *ctx)
{
    struct chunk *c = chunk_table_find(t->chunks, chunk.v);
    bool is_new = !c, was_clean;
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
    was_clean = !(c->flags & CHUNK_DIRTY);
    chunk_set_flags(t, c, c->flags | CHUNK_DIRTY | CHUNK_INCOMPLETE);
    c->trunc_version = 0; /* The source's bytes may be of before. */
    if (was_clean && !is_new)
        live_wait_for_record(call->live);
    chunk_log(t, c, &call->wait);
}

struct complete_call {
    struct record_call *record;
    struct chunk_ver ver;
    uint64_t trunc_version;
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
    c->trunc_version = MAX(c->trunc_version, cc->trunc_version);
    if (call->live->synced == call->live->made || STORE_MUTANT(MUTANT_COMPLETE_UNSYNCED))
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

    if (status < 0 || STORE_MUTANT(MUTANT_COMPLETE_UNSYNCED)) {
        complete_synced(cc, status, result);
        return;
    }
    req = sync_req_new(l->target, 1, complete_synced, cc);
    sync_req_add(req, l);
    sync_req_submit(req);
}

void store_mark_complete(struct target *t, struct chunk_id chunk, struct chunk_ver ver,
                         uint64_t trunc_version, store_done_fn done, void *ctx)
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
    cc->trunc_version = trunc_version;
    /* An empty chunk has its file too: a CLEAN record without one would be a loss. */
    op = op_new(cc->record->live, OP_TRIM, 0);
    op->flags = FILE_CREATE;
    op->fn = complete_trimmed;
    op->ctx = cc;
    change_submit(op);
}

/* ---- laundering ---- */

enum { LAUNDER_AT_ONCE = WORKER_QUEUE_MAX / 4 };

struct launder {
    struct target *target;
    uint64_t *ids; /* looked up again when their turn comes: some may be gone */
    size_t count, next, running;
    struct chunk_ver ver;
    uint32_t blocks;
    int status;
    store_done_fn fn;
    void *ctx;
};

struct launder_one {
    struct launder *launder;
    uint64_t id;
};

static void launder_go_on(struct launder *l);

static void laundered(void *ctx, int status, uint32_t blocks)
{
    struct launder_one one = *(struct launder_one *)ctx;
    struct launder *l = one.launder;
    struct chunk *c = chunk_table_find(l->target->chunks, one.id);

    free(ctx);
    l->running--;
    if (status < 0 && status != DFS_ENOCHUNK && l->status == 0)
        l->status = status;
    if (c && status == 0) {
        l->blocks += blocks;
        c->ver_epoch = l->ver.epoch;
        c->ver_seq = l->ver.seq;
        chunk_set_flags(l->target, c, c->flags & ~(unsigned)CHUNK_SUSPECT);
        live_touch_dirty(live_get(l->target, c));
    }
    launder_go_on(l);
}

/* As many as the writer's queue may hold, so that what is asked later comes after them. */
static void launder_go_on(struct launder *l)
{
    while (l->next < l->count && l->running < LAUNDER_AT_ONCE && l->status == 0) {
        struct chunk *c = chunk_table_find(l->target->chunks, l->ids[l->next++]);
        struct launder_one *one;
        struct op *op;

        if (!c || !(c->flags & CHUNK_SUSPECT) || c->flags & (CHUNK_INCOMPLETE | CHUNK_DELETED))
            continue;
        one = MEM_NEW(struct launder_one);
        *one = (struct launder_one){l, c->id};
        op = op_new(live_get(l->target, c), OP_LAUNDER, 0);
        op->fn = laundered;
        op->ctx = one;
        l->running++;
        change_submit(op);
    }
    if (l->running)
        return;
    store_done_later(l->target, l->fn, l->ctx, l->status, l->blocks);
    free(l->ids);
    free(l);
}

void store_launder(struct target *t, struct pg_id pg, struct chunk_ver ver, store_done_fn done,
                   void *ctx)
{
    size_t max = chunk_table_count(t->chunks), count;
    struct chunk **chunks = mem_alloc((max + 1) * sizeof(*chunks));
    struct launder *l = MEM_NEW(struct launder);

    count = chunk_table_list(t->chunks, pg.v, 0, max, chunks);
    *l = (struct launder){
        .target = t, .status = target_status(t), .ver = ver, .fn = done, .ctx = ctx};
    l->ids = mem_alloc((count + 1) * sizeof(*l->ids));
    for (size_t i = 0; i < count; i++)
        if (chunks[i]->flags & CHUNK_SUSPECT)
            l->ids[l->count++] = chunks[i]->id;
    free(chunks);
    launder_go_on(l);
}
