/* Operations: from clients and the namenode into the chain, and out of the chain onto the disk. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "datanode/dn.h"
#include "datanode/wire.h"
#include "rpc/msg.h"

/* ---- in ---- */

static bool may_send(const struct dn_guest *guest, const struct chain_op *op)
{
    switch (op->kind) {
    case CHAIN_DELETE:
    case CHAIN_FENCE:
        return guest->is_namenode;
    case CHAIN_REPAIR: /* The bytes are the head's to find. */
        return guest->is_peer && op->data == NULL;
    case CHAIN_WRITE:
    case CHAIN_TRUNC:
    case CHAIN_SYNC:
        return !guest->is_bound || ID_EQUAL(guest->session, op->session);
    }
    return false;
}

static bool is_beyond_end(const struct dn_pg *pg, const struct chain_op *op)
{
    struct chunk_state s;

    if (op->kind != CHAIN_WRITE)
        return false;
    return store_chunk_state(pg->target, op->chunk, &s) < 0 || op->offset + op->len > s.len;
}

static void into_chain(struct dn_waiter *w, struct chain_op *op, uint64_t epoch)
{
    pg_step(w->pg, &(struct chain_event){
                       .kind = CHAIN_EV_CLIENT_OP, .op = op, .epoch = epoch, .waiter = w->id});
}

/* A block whose slot says zeros may be a hole. */
static bool may_fill_hole(const struct store_crcs *c, const struct chain_op *op)
{
    uint32_t end = (op->offset + op->len + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE;

    for (uint32_t i = op->offset / CHUNK_BLOCK_SIZE; i < end; i++)
        if (i >= c->slot_count || c->slots[i] == 0)
            return true;
    return false;
}

static void slots_known(void *ctx, int status, const struct store_crcs *c)
{
    struct dn_waiter *w = ctx;
    CLEANUP(chain_op) struct chain_op *op = STEAL(w->op);

    if (status == DFS_ECLOSED) {
        dn_reply_error(w->pg->dn, w->conn, w->type, w->rpc_id, w->pg, status, NULL);
        waiter_free(w->pg->dn, w);
        return;
    }
    op->allocates = status == 0 && may_fill_hole(c, op);
    into_chain(w, op, w->epoch);
}

/*
 * A truncation whose mark somebody else has cleared since: what stands there now was written after that
 * (chunk_state.trunc_version). It keeps its place in the order, for its opseq is executed once like any
 * other, but changes nothing. Members that do not know versions see a sync, too.
 */
static void make_late_truncation_harmless(const struct dn_pg *pg, struct chain_op *op)
{
    struct chunk_state s;

    if (op->kind != CHAIN_TRUNC || op->trunc_version == 0 ||
        store_chunk_state(pg->target, op->chunk, &s) < 0 || s.trunc_version < op->trunc_version)
        return;
    log_info("a truncation that another client has finished before is not done again",
             "pg=%" PRIu32 " chunk=%" PRIu64 " version=%" PRIu64, pg->key.pg, op->chunk.v,
             op->trunc_version);
    op->kind = CHAIN_SYNC;
    op->offset = 0;
    chain_op_set_chunks(op, &op->chunk.v, 1);
}

/*
 * What needs room is refused here, before anybody has applied it, once a member has only its reserve
 * left: else all of them eat that too, and leave their chains together. Where the holes of a chunk
 * are is only asked for then.
 */
static void take_in(struct dn_waiter *w, struct chain_op *op, uint64_t epoch)
{
    op->allocates = is_beyond_end(w->pg, op);
    if (op->kind != CHAIN_WRITE || op->allocates || chain_free_below(w->pg->chain) >= op->len) {
        into_chain(w, op, epoch);
        return;
    }
    w->op = chain_op_ref(op);
    w->epoch = epoch;
    store_crcs(w->pg->target, op->chunk, false, slots_known, w);
}

void write_on_request(struct dn *dn, struct conn *c, const struct rpc_frame *f,
                      const struct dn_guest *guest)
{
    CLEANUP_MSG struct msg_arena arena;
    CLEANUP(chain_op) struct chain_op *op = NULL;
    struct dn_pg *pg;
    Dfs__ChunkOp *m;
    int r = DFS_EPROTO;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__chunk_op__descriptor, f->body, f->header.body_len);
    if (m != NULL)
        r = wire_op_from(m, f, &op);
    if (r == 0 && !may_send(guest, op))
        r = -EACCES;
    if (r == 0)
        r = wire_op_check_crcs(op);
    if (r < 0) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, r, "operation refused: %s",
                         dfs_strerror(r));
        return;
    }
    pg = pg_local(dn, m->pg);
    if (pg == NULL) {
        dn_reply_error(dn, c, f->header.type, f->header.rpc_id, NULL, DFS_ENOTHEAD, NULL);
        return;
    }
    if (op->kind == CHAIN_REPAIR) {
        repair_on_request(pg, c, f, op);
        return;
    }
    metric_inc(dn->m.ops);
    metric_add(dn->m.op_bytes, op->len);
    make_late_truncation_harmless(pg, op);
    take_in(waiter_new(dn, WAITER_OP, c, f, pg), op, m->epoch);
}

void write_answer(struct dn *dn, struct dn_waiter *w, const struct chain_action *a)
{
    Dfs__ChunkOpReply m = DFS__CHUNK_OP_REPLY__INIT;

    if (a->status == 0) {
        m.epoch = a->epoch;
        m.result_crc = a->crc;
        conn_reply(w->conn, w->type, w->rpc_id, &m.base, NULL);
    } else {
        metric_add(dn->m.stale, a->status == DFS_ESTALE_EPOCH || a->status == DFS_ENOTHEAD);
        dn_reply_error(dn, w->conn, w->type, w->rpc_id, w->pg, a->status, NULL);
    }
    waiter_free(dn, w);
}

/* ---- onto the disk ---- */

struct dn_apply {
    struct dn_pg *pg;
    uint64_t io_id;
    struct chain_op *op;
    unsigned pending;  /* DELETE: chunks */
    uint64_t since_ns; /* when the store was asked */
    int status;
    uint32_t crc; /* of a truncation that is still to be remembered */
    struct dn_apply *prev, *next;
};

static void apply_free(struct dn_apply *a)
{
    DL_DELETE(a->pg->dn->applies, a);
    chain_op_unref(a->op);
    free(a);
}

/* When the store is gone and will not call back. */
void write_free_all(struct dn *dn)
{
    while (dn->applies != NULL)
        apply_free(dn->applies);
}

/* Some refusals of the store are no failure of the member: every member comes to the same. */
static int outcome(const struct dn_apply *a, int status)
{
    bool joining = chain_place_of(a->pg->chain)->role == CHAIN_SYNCING;

    switch (status) {
    case -ESTALE: /* A tombstone: the chunk was deleted in this order, and stays so. */
        return 0;
    case DFS_ENOCHUNK:
        return joining || a->op->kind == CHAIN_REPAIR ? 0 : status;
    case DFS_EBADBLOCK: /* The copy that a joiner takes over will have it. */
        return joining ? 0 : status;
    default:
        return status;
    }
}

static void applied(void *ctx, int status, uint32_t crc)
{
    struct dn_apply *a = ctx;
    struct chain_event ev = {.kind = CHAIN_EV_APPLIED, .io_id = a->io_id};

    if (status < 0 && a->status == 0)
        a->status = status;
    if (--a->pending > 0)
        return;
    if (lateness_counts(a->op))
        lateness_client_took(a->pg, a->since_ns);
    ev.status = outcome(a, a->status);
    ev.crc = a->status == 0 ? crc : 0;
    if (ev.status < 0 && ev.status != DFS_ECLOSED)
        log_error("an operation could not be applied",
                  "pg=%" PRIu32 " target=%" PRIu32 " kind=%s chunk=%" PRIu64 " error=\"%s\"",
                  a->pg->key.pg, a->pg->key.target, chain_op_kind_name(a->op->kind), a->op->chunk.v,
                  dfs_strerror(ev.status));
    pg_step(a->pg, &ev);
    apply_free(a);
}

static void remembered(void *ctx, int status, uint32_t crc)
{
    (void)crc;
    applied(ctx, status, ((struct dn_apply *)ctx)->crc);
}

/* Zeroed and durable. */
static void truncated(void *ctx, int status, uint32_t crc)
{
    struct dn_apply *a = ctx;

    a->crc = crc;
    if (status < 0 || a->op->trunc_version == 0)
        applied(a, status, crc);
    else
        store_set_truncated(a->pg->target, a->op->chunk, a->op->trunc_version, remembered, a);
}

static void apply_write(struct dn_pg *pg, const struct chain_action *act, struct dn_apply *a)
{
    const struct chain_op *op = act->op;
    struct store_write w = {
        .chunk = op->chunk,
        .pg = {pg->key.pg},
        .ver = {act->orig_epoch, act->seq},
        .offset = op->offset,
        .len = op->len,
        .flags = op->kind == CHAIN_WRITE ? STORE_CREATE : STORE_COPY,
        .crcs = op->crcs,
        .crc_count = op->crc_count,
        .bytes = op->data,
        .slab = wire_op_slab(op),
    };

    if (op->sync)
        w.flags |= STORE_SYNC;
    store_write(pg->target, &w, applied, a);
}

static void apply_delete(struct dn_pg *pg, const struct chain_op *op, struct dn_apply *a)
{
    a->pending = op->chunk_count;
    for (uint32_t i = 0; i < op->chunk_count; i++)
        store_delete(pg->target, (struct chunk_id){op->chunks[i]}, (struct pg_id){pg->key.pg},
                     applied, a);
}

void write_apply(struct dn_pg *pg, const struct chain_action *act)
{
    struct chain_op *op = act->op;
    struct dn_apply *a;

    joiner_live(pg, op, (struct chunk_ver){act->orig_epoch, act->seq});
    if (op->kind == CHAIN_FENCE || (op->kind == CHAIN_DELETE && op->chunk_count == 0)) {
        pg_post(pg, &(struct chain_event){.kind = CHAIN_EV_APPLIED, .io_id = act->io_id});
        return;
    }
    a = MEM_NEW(struct dn_apply);
    a->pg = pg;
    a->io_id = act->io_id;
    a->op = chain_op_ref(op);
    a->pending = 1;
    a->since_ns = loop_now_ns(pg->dn->loop);
    DL_APPEND(pg->dn->applies, a);
    switch (op->kind) {
    case CHAIN_WRITE:
    case CHAIN_REPAIR:
        apply_write(pg, act, a);
        return;
    case CHAIN_TRUNC:
        store_truncate(pg->target, op->chunk, op->offset,
                       (struct chunk_ver){act->orig_epoch, act->seq},
                       op->sync || op->trunc_version != 0 ? STORE_SYNC : 0, truncated, a);
        return;
    case CHAIN_SYNC:
        metric_inc(pg->dn->m.syncs);
        _Static_assert(sizeof(struct chunk_id) == sizeof(uint64_t), "a list of ids is one");
        store_sync(pg->target, (const struct chunk_id *)op->chunks, op->chunk_count, truncated, a);
        return;
    case CHAIN_DELETE:
        apply_delete(pg, op, a);
        return;
    case CHAIN_FENCE:
        return;
    }
}
