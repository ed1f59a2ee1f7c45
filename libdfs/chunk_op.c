/*
 * Changes of chunks: opseq, head, retry.
 *
 *   QUEUED ──(room in the PG's window: opseq)──► WAITS ──(head known, connected)──► SENT ──► ended
 *                                                  ▲                                 │
 *                                                  └── lost, STALE, NOT_HEAD, busy ◄─┘
 */
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "libdfs/dn_internal.h"
#include "libdfs/nn.h"
#include "libdfs/pgmap.h"
#include "rpc/chunk.pb-c.h"

/* One CRC per 4 KiB block of the chunk that is touched, over the bytes of this write in it. */
static void make_crcs(struct chunk_op *op)
{
    uint32_t room = CHUNK_BLOCK_SIZE - op->offset % CHUNK_BLOCK_SIZE; /* left in this block */
    uint32_t crc = 0;
    bool open = false;

    op->crc_count = 0;
    for (unsigned i = 0; i < op->part_count; i++) {
        const uint8_t *bytes = op->parts[i].bytes;
        uint32_t len = op->parts[i].len;

        while (len > 0) {
            uint32_t n = MIN(len, room);

            crc = crc32c_update(crc, bytes, n);
            open = true;
            bytes += n;
            len -= n;
            room -= n;
            if (room == 0) {
                op->crcs[op->crc_count++] = crc;
                crc = 0;
                open = false;
                room = CHUNK_BLOCK_SIZE;
            }
        }
    }
    if (open)
        op->crcs[op->crc_count++] = crc;
}

static void fill_payload(struct chunk_op *op, struct rpc_payload *pl)
{
    pl->part_count = 0;
    if (op->kind != CHUNK_WRITE)
        return;
    /* CRCs travel little-endian, as this machine has them. */
    pl->parts[pl->part_count].bytes = op->crcs;
    pl->parts[pl->part_count].len = op->crc_count * sizeof(op->crcs[0]);
    pl->parts[pl->part_count++].slab = NULL;
    for (unsigned i = 0; i < op->part_count; i++) {
        pl->parts[pl->part_count].bytes = op->parts[i].bytes;
        pl->parts[pl->part_count].len = op->parts[i].len;
        pl->parts[pl->part_count++].slab = op->parts[i].slab;
    }
}

static uint64_t floor_of(const struct dn_pg *g)
{
    return g->flying != NULL ? g->flying->opseq : g->next_opseq;
}

static void on_reply(void *ctx, int status, const struct rpc_frame *f);

static void wait_ns(struct chunk_op *op, uint64_t ns)
{
    op->dn = NULL;
    op->wake_ns = loop_now_ns(op->pool->ll->loop) + ns;
}

static void send_op(struct chunk_op *op)
{
    static const Dfs__ChunkOpKind kinds[] = {
        [CHUNK_WRITE] = DFS__CHUNK_OP_KIND__CHUNK_OP_WRITE,
        [CHUNK_TRUNC] = DFS__CHUNK_OP_KIND__CHUNK_OP_TRUNC,
        [CHUNK_SYNC] = DFS__CHUNK_OP_KIND__CHUNK_OP_SYNC,
    };
    struct dn_pool *p = op->pool;
    const struct pg_info *pg = pgmap_find_pg(p->ll->pgmap, op->dn_pg->pg);
    struct rpc_payload payload = {.file_fd = -1};
    Dfs__ChunkOp msg = DFS__CHUNK_OP__INIT;
    struct dn *dn;

    if (pg == NULL || pg->serving_count == 0) {
        dn_pool_refresh_map(p);
        wait_ns(op, dn_backoff_ns(++op->attempts));
        return;
    }
    dn = dn_of_target(p, pg->serving[0]);
    if (dn == NULL) {
        wait_ns(op, dn_backoff_ns(1));
        return;
    }
    if (op->first_epoch == 0)
        op->first_epoch = pg->epoch;

    msg.kind = kinds[op->kind];
    msg.pg = op->pg.v;
    msg.epoch = pg->epoch;
    msg.first_epoch = op->first_epoch;
    msg.session = nn_session(p->ll->nn);
    msg.opseq = op->opseq;
    msg.floor = floor_of(op->dn_pg);
    msg.chunk_id = op->chunk.v;
    msg.offset = op->offset;
    msg.len = op->kind == CHUNK_WRITE ? op->len : 0;
    msg.crc_count = op->kind == CHUNK_WRITE ? op->crc_count : 0;
    msg.sync = op->sync;
    msg.since_epoch = op->since_epoch;
    msg.trunc_version = op->trunc_version;
    msg.n_chunks = op->kind == CHUNK_SYNC ? op->chunk_count : 0;
    msg.chunks = (uint64_t *)(uintptr_t)op->chunks; /* Only packed. */
    fill_payload(op, &payload);

    if (op->attempts++ > 0)
        p->ll->stats.chunk_retries++;
    op->dn = dn;
    op->call_id =
        conn_call(dn->conn, MSG_CHUNK_OP, &msg.base, &payload, DN_OP_TIMEOUT_MS, on_reply, op);
}

/* A head that refuses gets one op to refuse at a time, not megabytes of them. */
static bool may_send(const struct chunk_op *op)
{
    return !op->dn_pg->refused || op == op->dn_pg->flying;
}

/* Gives opseqs to what waits for room in the window, and sends it. */
static void pump(struct dn_pg *g)
{
    while (g->queue != NULL && g->flying_count < DN_PG_FLYING_MAX &&
           g->next_opseq - floor_of(g) < DEDUP_WINDOW / 2) {
        struct chunk_op *op = g->queue;

        DL_DELETE(g->queue, op);
        op->opseq = g->next_opseq++;
        DL_APPEND(g->flying, op);
        g->flying_count++;
        if (may_send(op))
            send_op(op);
    }
}

static void end_op(struct chunk_op *op, int status)
{
    struct dn_pool *p = op->pool;
    struct dn_pg *g = op->dn_pg;

    if (op->opseq != 0) {
        DL_DELETE(g->flying, op);
        g->flying_count--;
    } else {
        DL_DELETE(g->queue, op);
    }
    op->dn = NULL;
    dn_pool_end_op(p, op, status);
    pump(g);
}

static void on_ok(struct chunk_op *op, const struct rpc_frame *f)
{
    struct ll *ll = op->pool->ll;
    Dfs__ChunkOpReply *reply = dfs__chunk_op_reply__unpack(NULL, f->header.body_len, f->body);

    if (reply == NULL) {
        conn_close(op->dn->conn, -EPROTO);
        wait_ns(op, dn_backoff_ns(op->attempts));
        return;
    }
    pgmap_saw_epoch(ll->pgmap, op->pg, reply->epoch);
    dfs__chunk_op_reply__free_unpacked(reply, NULL);
    op->dn->backoff_ms = 0;
    op->dn_pg->refused = false; /* The others follow with the next tick. */
    if (op->kind == CHUNK_WRITE) {
        ll->stats.chunk_writes++;
        ll->stats.bytes_written += op->len;
    } else if (op->kind == CHUNK_SYNC) {
        ll->stats.chunk_syncs++;
    } else {
        ll->stats.chunk_truncs++;
    }
    end_op(op, 0);
}

static void on_reply(void *ctx, int status, const struct rpc_frame *f)
{
    struct chunk_op *op = ctx;
    struct dn_pool *p = op->pool;

    if (status == 0) {
        on_ok(op, f);
        return;
    }
    dn_pool_learn_error(p, f);
    switch (status) {
    case DFS_EFENCED:
    case DFS_ESTALE_SESSION:
        log_warn("chunk operation refused", "pg=%" PRI_PG " chunk=%" PRI_CHUNK " why=%s", op->pg.v,
                 op->chunk.v, dfs_strerror(status));
        end_op(op, -EIO);
        return;
    case -ENOSPC:
    case DFS_ECOLD:
        end_op(op, status);
        return;
    case -ENOENT:
    case -ESTALE:
    case DFS_ENOCHUNK:
        end_op(op, -ESTALE);
        return;
    case -EINVAL:
    case DFS_EPROTO:
    case -EPROTO:
        log_error("chunk operation not understood", "pg=%" PRI_PG " chunk=%" PRI_CHUNK " why=%s",
                  op->pg.v, op->chunk.v, dfs_strerror(status));
        end_op(op, -EIO);
        return;
    case DFS_ESTALE_EPOCH:
    case DFS_ENOTHEAD: {
        const struct pg_info *pg = pgmap_find_pg(p->ll->pgmap, op->pg);

        /* A newer configuration came with the refusal: no need to wait. */
        op->dn_pg->refused = true;
        dn_pool_refresh_map(p);
        wait_ns(op, pg != NULL && op->attempts < 2 ? 0 : dn_backoff_ns(op->attempts));
        return;
    }
    default: /* Lost, late, busy, a failing head: the same opseq again, perhaps elsewhere. */
        op->dn_pg->refused = f != NULL;
        dn_pool_refresh_map(p);
        wait_ns(op, dn_backoff_ns(op->attempts));
        return;
    }
}

static struct dn_pg *get_pg(struct dn_pool *p, struct pg_id pg)
{
    struct dn_pg *g = NULL;

    HASH_FIND(hh, p->pgs, &pg, sizeof(pg), g);
    if (g == NULL) {
        g = MEM_NEW(struct dn_pg);
        g->pg = pg;
        g->next_opseq = 1;
        HASH_ADD(hh, p->pgs, pg, sizeof(g->pg), g);
    }
    return g;
}

void chunk_op_submit(struct dn_pool *p, struct chunk_op *op)
{
    op->pool = p;
    op->dn_pg = get_pg(p, op->pg);
    op->dn = NULL;
    op->opseq = 0;
    op->attempts = 0;
    op->first_epoch = 0;
    op->finished = false;
    op->wake_ns = 0;
    op->deadline_ns = dn_deadline(p);
    if (op->kind == CHUNK_WRITE)
        make_crcs(op);
    dn_pool_wake(p);
    if (p->stopped) {
        dn_pool_end_op(p, op, -ECANCELED);
        return;
    }
    DL_APPEND(op->dn_pg->queue, op);
    pump(op->dn_pg);
}

void chunk_ops_tick(struct dn_pool *p, uint64_t now_ns)
{
    struct dn_pg *g, *gtmp;
    struct chunk_op *op, *tmp;

    HASH_ITER (hh, p->pgs, g, gtmp) {
        DL_FOREACH_SAFE (g->flying, op, tmp) {
            if (now_ns >= op->deadline_ns) {
                if (op->dn != NULL && op->dn->conn != NULL)
                    conn_cancel(op->dn->conn, op->call_id);
                end_op(op, -ETIMEDOUT);
            } else if (op->dn == NULL && now_ns >= op->wake_ns && may_send(op)) {
                send_op(op);
            }
        }
        DL_FOREACH_SAFE (g->queue, op, tmp) {
            if (now_ns >= op->deadline_ns)
                end_op(op, -ETIMEDOUT);
        }
    }
}

void chunk_ops_map_changed(struct dn_pool *p)
{
    struct dn_pg *g, *gtmp;
    struct chunk_op *op, *tmp;

    HASH_ITER (hh, p->pgs, g, gtmp) {
        const struct pg_info *pg = pgmap_find_pg(p->ll->pgmap, g->pg);
        struct dn *head;

        if (pg == NULL || pg->serving_count == 0 || g->flying == NULL)
            continue;
        head = dn_of_target(p, pg->serving[0]);
        g->refused = false;
        DL_FOREACH_SAFE (g->flying, op, tmp) {
            if (op->dn != NULL && op->dn != head) {
                /* It hangs on a former head, which may never answer. */
                if (op->dn->conn != NULL)
                    conn_cancel(op->dn->conn, op->call_id);
                op->dn = NULL;
            }
            if (op->dn == NULL)
                send_op(op);
        }
    }
}

void chunk_ops_end_all(struct dn_pool *p, int status)
{
    struct dn_pg *g, *gtmp;

    HASH_ITER (hh, p->pgs, g, gtmp) {
        struct chunk_op *flying = g->flying;
        struct chunk_op *op, *tmp;

        g->flying = NULL;
        g->flying_count = 0;
        DL_CONCAT(flying, g->queue);
        g->queue = NULL;
        g->next_opseq = 1;
        DL_FOREACH_SAFE (flying, op, tmp) {
            if (op->dn != NULL && op->dn->conn != NULL)
                conn_cancel(op->dn->conn, op->call_id);
            op->dn = NULL;
            DL_DELETE(flying, op);
            dn_pool_end_op(p, op, status);
        }
    }
}

void chunk_ops_free(struct dn_pool *p)
{
    struct dn_pg *g, *gtmp;

    HASH_ITER (hh, p->pgs, g, gtmp) {
        struct chunk_op *op;

        DL_FOREACH (g->flying, op) {
            if (op->dn != NULL && op->dn->conn != NULL)
                conn_cancel(op->dn->conn, op->call_id);
        }
        HASH_DEL(p->pgs, g);
        free(g);
    }
}
