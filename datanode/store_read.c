/* Reading chunks, their CRC slots and their state; on the reader's threads. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/error.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "datanode/store_priv.h"

static void read_slots_and_bytes(struct op *op)
{
    struct chunk_file *f = &op->live->file;
    const struct store_read *rd = &op->u.rd.rd;
    struct store_read_result *res = &op->u.rd.result;
    uint32_t first = rd->offset / CHUNK_BLOCK_SIZE, len = 0;

    op->status = chunk_file_slots(f, first, rd->len / CHUNK_BLOCK_SIZE, op->numbers, &len);
    if (op->status < 0)
        return;
    res->len = rd->offset < len ? MIN(rd->len, len - rd->offset) : 0;
    res->fd = rd->want_fd ? chunk_file_fd(f) : -1;
    if (res->fd >= 0) {
        res->file_offset = CHUNK_DATA_AT + (uint64_t)rd->offset;
        chunk_file_prefetch(f, rd->offset, res->len);
        return;
    }
    if (!res->slab)
        res->slab = slab_alloc(op->live->target->store->o.slabs, rd->len);
    op->status = chunk_file_read(f, rd->offset, rd->len, res->slab->data, &res->len);
}

static void read_verified(struct op *op)
{
    const struct store_read *rd = &op->u.rd.rd;
    struct store_read_result *res = &op->u.rd.result;
    uint32_t bad;

    res->slab = slab_alloc(op->live->target->store->o.slabs, rd->len);
    op->status = chunk_file_read_verified(&op->live->file, rd->offset, rd->len, res->slab->data,
                                          op->numbers, &res->len, &bad);
}

static void crcs_run(struct op *op)
{
    struct chunk_file *f = &op->live->file;
    struct store_crcs *res = &op->u.crcs.result;
    uint32_t len;

    if (op->u.crcs.verify) {
        op->u.crcs.bad = mem_zalloc(CHUNK_BLOCKS / 64, sizeof(uint64_t));
        op->u.crcs.hashes = mem_zalloc(CHUNK_BLOCKS, sizeof(uint64_t));
        op->status = chunk_file_check(f, op->u.crcs.from_disk, false, op->u.crcs.bad,
                                      &res->bad_count, op->u.crcs.hashes);
    }
    if (op->status == 0)
        op->status = chunk_file_slots(f, 0, 0, NULL, &len);
    if (op->status < 0)
        return;
    res->slot_count = (len + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE;
    op->u.crcs.slots = mem_zalloc(res->slot_count + 1, sizeof(uint32_t));
    op->status = chunk_file_slots(f, 0, res->slot_count, op->u.crcs.slots, &len);
    res->state.len = len;
}

void read_run(struct op *op)
{
    if (op->kind == OP_CRCS)
        crcs_run(op);
    else if (op->u.rd.rd.verify)
        read_verified(op);
    else
        read_slots_and_bytes(op);
}

static void found_bad(struct target *t, struct chunk *c, unsigned count)
{
    t->stats.bad_blocks += count;
    metric_add(t->store->m.bad_blocks, count);
    if (c->flags & (CHUNK_BAD | CHUNK_SUSPECT))
        return; /* What is suspect is expected to have some. */
    chunk_set_flags(t, c, c->flags | CHUNK_BAD);
    chunk_log(t, c, NULL);
}

/* What is in the table has its file, or waits for it: else the file is lost. Not "there is none",
 * which reads as zeros, and makes a joiner delete what it has. */
static void find_lost(struct op *op)
{
    struct chunk *c = op->live->chunk;

    if (op->status != DFS_ENOCHUNK || c->flags & (CHUNK_DELETED | CHUNK_INCOMPLETE | CHUNK_SUSPECT))
        return;
    if (!(c->flags & CHUNK_BAD))
        log_error("chunk file is gone", "target=%s chunk=%" PRIu64 " pg=%" PRIu32,
                  op->live->target->path, c->id, c->pg);
    op->status = DFS_EBADBLOCK;
    /* If it is open, nothing that is written there is ever seen again. */
    op->live->is_doomed = true;
    chunk_set_bad(op->live->target, c);
}

static void op_release(struct op *op)
{
    if (--op->u.rd.refs)
        return;
    slab_unref(op->u.rd.result.slab);
    op_free(op);
}

static void data_done(struct op *op)
{
    struct live *l = op->live;
    struct target *t = l->target;
    struct store_read_result *res = &op->u.rd.result;
    uint64_t ns = store_now_ns(t->store) - op->start_ns, *ewma = &t->stats.read_ns_ewma;

    *ewma = *ewma ? (*ewma * 15 + ns) / 16 : ns;
    t->stats.reads++;
    metric_inc(t->store->m.reads);
    find_lost(op);
    if (op->status == DFS_EBADBLOCK)
        found_bad(t, l->chunk, 1);
    if (op->status < 0) {
        op->u.rd.fn(op->ctx, op->status, NULL);
        op_release(op);
        return;
    }
    t->stats.read_bytes += res->len;
    metric_add(t->store->m.read_bytes, res->len);
    res->slots = op->numbers;
    res->slot_count = (res->len + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE;
    chunk_get_state(l->chunk, &res->state);
    op->u.rd.fn(op->ctx, 0, res);
    op_release(op);
}

static void crcs_found(struct op *op)
{
    struct target *t = op->live->target;
    struct chunk *c = op->live->chunk;
    struct store_crcs *res = &op->u.crcs.result;

    if (res->bad_count) {
        found_bad(t, c, res->bad_count);
        res->bad = op->u.crcs.bad;
    } else if (op->u.crcs.verify && c->flags & CHUNK_BAD && !(c->flags & CHUNK_INCOMPLETE)) {
        chunk_set_flags(t, c, c->flags & ~(unsigned)CHUNK_BAD);
        chunk_log(t, c, NULL);
    }
}

static void crcs_done(struct op *op)
{
    struct store_crcs *res = &op->u.crcs.result;
    uint32_t len = res->state.len;

    find_lost(op);
    /* A chunk that is to be copied here may have no file yet. */
    if (op->status == DFS_ENOCHUNK && op->live->chunk->flags & CHUNK_INCOMPLETE)
        op->status = 0;
    if (op->status == 0) {
        crcs_found(op);
        chunk_get_state(op->live->chunk, &res->state);
        res->state.len = len;
        res->slots = op->u.crcs.slots;
        res->hashes = op->u.crcs.hashes;
        if (res->hashes != NULL)
            res->digest = hash64(res->hashes, res->slot_count * sizeof(*res->hashes), len);
        if (res->hashes != NULL && res->bad_count == 0 && op->live->made == op->u.crcs.made)
            op->live->chunk->digest = res->state.digest = MAX((uint32_t)res->digest, 1U);
    }
    op->u.crcs.fn(op->ctx, op->status, op->status < 0 ? NULL : res);
    free(op->u.crcs.slots);
    free(op->u.crcs.hashes);
    free(op->u.crcs.bad);
    op_free(op);
}

void read_done(struct op *op)
{
    if (op->kind == OP_CRCS)
        crcs_done(op);
    else
        data_done(op);
}

/* ---- refusals ---- */

struct refusal {
    store_read_fn read;
    store_crcs_fn crcs;
    void *ctx;
    int status;
};

static void refuse_run(void *ctx)
{
    struct refusal r = *(struct refusal *)ctx;

    free(ctx);
    if (r.read)
        r.read(r.ctx, r.status, NULL);
    else
        r.crcs(r.ctx, r.status, NULL);
}

static void refuse(struct target *t, store_read_fn read, store_crcs_fn crcs, void *ctx, int status)
{
    struct refusal *r = MEM_NEW(struct refusal);

    *r = (struct refusal){read, crcs, ctx, status};
    loop_post(t->store->loop, refuse_run, r);
}

/* ---- the calls ---- */

static int find_readable(struct target *t, struct chunk_id chunk, struct chunk **ret_chunk)
{
    struct chunk *c = chunk_table_find(t->chunks, chunk.v);
    int r = target_status(t);

    if (r < 0)
        return r;
    if (!c || c->flags & CHUNK_DELETED)
        return DFS_ENOCHUNK;
    *ret_chunk = c;
    return 0;
}

void store_read(struct target *t, const struct store_read *rd, store_read_fn done, void *ctx)
{
    struct chunk *c = NULL;
    struct op *op;
    int r;

    r = find_readable(t, rd->chunk, &c);
    if (r == 0 &&
        ((rd->offset | rd->len) % CHUNK_BLOCK_SIZE || rd->len == 0 || rd->len > IO_SIZE_MAX ||
         rd->offset >= CHUNK_SIZE || rd->len > CHUNK_SIZE - rd->offset))
        r = -EINVAL;
    if (r == 0 && c->flags & CHUNK_INCOMPLETE)
        r = DFS_EDIRTY;
    if (r < 0) {
        refuse(t, done, NULL, ctx, r);
        return;
    }
    op = op_new(live_get(t, c), OP_READ, rd->len / CHUNK_BLOCK_SIZE);
    op->ctx = ctx;
    op->u.rd.rd = *rd;
    op->u.rd.fn = done;
    op->u.rd.refs = 1;
    op->u.rd.result.fd = -1;
    op_submit(op);
}

static struct op *op_of(struct store_read_result *r)
{
    return CONTAINER_OF(r, struct op, u.rd.result);
}

void store_read_keep(struct store_read_result *r)
{
    op_of(r)->u.rd.refs++;
}

void store_read_release(struct store_read_result *r)
{
    op_release(op_of(r));
}

void store_crcs(struct target *t, struct chunk_id chunk, bool verify_data, store_crcs_fn done,
                void *ctx)
{
    struct chunk *c = NULL;
    struct op *op;
    int r;

    r = find_readable(t, chunk, &c);
    if (r < 0) {
        refuse(t, NULL, done, ctx, r);
        return;
    }
    op = op_new(live_get(t, c), OP_CRCS, 0);
    op->ctx = ctx;
    op->u.crcs.fn = done;
    op->u.crcs.verify = verify_data || c->flags & CHUNK_SUSPECT;
    op->u.crcs.from_disk = verify_data;
    op->u.crcs.made = op->live->made;
    op_submit(op);
}
