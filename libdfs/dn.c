#include "libdfs/dn_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/nn.h"
#include "libdfs/pgmap.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/node.pb-c.h"

/* ---- connections ---- */

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    (void)ctx;
    if ((f->header.flags & FRAME_ONEWAY) == 0)
        conn_reply_error(c, f->header.type, f->header.rpc_id, -EOPNOTSUPP,
                         "a client answers no requests");
}

static void on_closed(void *ctx, struct conn *c, int reason)
{
    struct dn *dn = ctx;
    struct dn_pool *p = dn->pool;

    conn_free(c);
    dn->conn = NULL;
    dn->backoff_ms =
        MIN(MAX(dn->backoff_ms * 2, (unsigned)DN_BACKOFF_MIN_MS), (unsigned)DN_BACKOFF_MAX_MS);
    dn->retry_at_ns = loop_now_ns(p->ll->loop) + dn->backoff_ms * CLOCK_NS_PER_MS;
    log_debug("datanode connection closed", "addr=%s why=%s", dn->addr, dfs_strerror(reason));
    dn_pool_refresh_map(p);
}

static void on_hello(void *ctx, int status, const struct rpc_frame *f)
{
    struct dn *dn = ctx;

    (void)f;
    if (status < 0 && dn->conn != NULL && conn_is_open(dn->conn)) {
        log_warn("datanode refuses this session", "addr=%s why=%s", dn->addr, dfs_strerror(status));
        conn_close(dn->conn, status);
    }
}

static void say_hello(struct dn *dn)
{
    struct nn *nn = dn->pool->ll->nn;
    Dfs__DataHello hello;
    uint8_t uuid[16], token[32];

    dfs__data_hello__init(&hello);
    memcpy(uuid, nn_cluster_uuid(nn), sizeof(uuid));
    memcpy(token, nn_data_token(nn), sizeof(token));
    hello.cluster_uuid = (ProtobufCBinaryData){sizeof(uuid), uuid};
    hello.token = (ProtobufCBinaryData){sizeof(token), token};
    hello.session = nn_session(nn);
    (void)conn_call(dn->conn, MSG_DATA_HELLO, &hello.base, NULL, DN_OP_TIMEOUT_MS, on_hello, dn);
}

static int dn_connect(struct dn *dn)
{
    struct ll *ll = dn->pool->ll;
    const struct conn_handlers handlers = {
        .on_request = on_request, .on_closed = on_closed, .ctx = dn};
    struct tls *tls = pgmap_data_tls(ll->pgmap) ? ll->tls : NULL;
    int r;

    r = conn_connect(ll->loop, ll->slabs, dn->addr, tls, &handlers, &dn->conn);
    if (r < 0)
        return r;

    conn_want_role(dn->conn, "datanode");
    if (tls == NULL)
        say_hello(dn);
    return 0;
}

struct dn *dn_ready(struct dn_pool *p, const char *addr)
{
    struct dn *dn = NULL;

    if (addr[0] == '\0')
        return NULL;
    HASH_FIND_STR(p->dns, addr, dn);
    if (dn == NULL) {
        dn = MEM_NEW(struct dn);
        dn->pool = p;
        (void)snprintf(dn->addr, sizeof(dn->addr), "%s", addr);
        HASH_ADD_STR(p->dns, addr, dn);
    }
    if (dn->conn != NULL)
        return dn; /* Perhaps still connecting: what is sent waits in it. */
    if (loop_now_ns(p->ll->loop) < dn->retry_at_ns)
        return NULL;
    if (dn_connect(dn) < 0) {
        dn->backoff_ms = DN_BACKOFF_MAX_MS;
        dn->retry_at_ns = loop_now_ns(p->ll->loop) + dn->backoff_ms * CLOCK_NS_PER_MS;
        return NULL;
    }
    return dn;
}

struct dn *dn_of_target(struct dn_pool *p, struct target_id target)
{
    const struct target_info *t = pgmap_find_target(p->ll->pgmap, target);

    return t != NULL ? dn_ready(p, t->addr) : NULL;
}

/* ---- the map ---- */

void dn_pool_refresh_map(struct dn_pool *p)
{
    uint64_t now = loop_now_ns(p->ll->loop);

    if (p->stopped)
        return;
    if (p->refreshed_ns != 0 && now < p->refreshed_ns + DN_REFRESH_MS * CLOCK_NS_PER_MS)
        return;
    p->refreshed_ns = now;
    pgmap_refresh(p->ll->pgmap, NULL, NULL);
}

void dn_pool_learn_error(struct dn_pool *p, const struct rpc_frame *f)
{
    Dfs__Error *error;

    if (f == NULL)
        return;
    error = dfs__error__unpack(NULL, f->header.body_len, f->body);
    if (error == NULL)
        return;
    if (error->pg != NULL)
        (void)pgmap_adopt(p->ll->pgmap, error->pg, error->targets, error->n_targets);
    dfs__error__free_unpacked(error, NULL);
}

void dn_pool_map_changed(struct dn_pool *p)
{
    chunk_ops_map_changed(p);
    chunk_reads_map_changed(p);
}

/* ---- endings ---- */

static void run_ended(void *ctx)
{
    struct dn_pool *p = ctx;

    while (p->ended_ops != NULL) {
        struct chunk_op *op = p->ended_ops;

        DL_DELETE(p->ended_ops, op);
        p->busy--;
        op->done(op, op->result);
    }
    while (p->ended_reads != NULL) {
        struct chunk_read *r = p->ended_reads;
        struct slab *slab = r->slab;

        DL_DELETE(p->ended_reads, r);
        p->busy--;
        r->pool = NULL;
        r->done(r, r->result);
        slab_unref(slab);
    }
}

void dn_pool_end_op(struct dn_pool *p, struct chunk_op *op, int status)
{
    op->result = status;
    op->finished = true;
    if (p->ended_ops == NULL && p->ended_reads == NULL)
        loop_defer(p->ll->loop, run_ended, p);
    DL_APPEND(p->ended_ops, op);
}

void dn_pool_end_read(struct dn_pool *p, struct chunk_read *r, int status)
{
    r->result = status;
    r->finished = true;
    if (p->ended_ops == NULL && p->ended_reads == NULL)
        loop_defer(p->ll->loop, run_ended, p);
    DL_APPEND(p->ended_reads, r);
}

/* ---- the pool ---- */

uint64_t dn_deadline(struct dn_pool *p)
{
    uint32_t ms = p->ll->options.io_timeout_ms;

    return ms != 0 ? loop_now_ns(p->ll->loop) + ms * CLOCK_NS_PER_MS : UINT64_MAX;
}

/* Retries, hedges and deadlines live on one timer that runs only while there is work. */
static void on_tick(void *ctx)
{
    struct dn_pool *p = ctx;
    uint64_t now = loop_now_ns(p->ll->loop);

    if (p->busy == 0) {
        loop_timer_stop(p->tick);
        return;
    }
    chunk_ops_tick(p, now);
    chunk_reads_tick(p, now);
}

void dn_pool_wake(struct dn_pool *p)
{
    p->busy++;
    if (!loop_timer_is_active(p->tick))
        loop_timer_start(p->tick, DN_TICK_MS, DN_TICK_MS);
}

void dn_pool_session_lost(struct dn_pool *p)
{
    struct dn *dn, *tmp;

    chunk_ops_end_all(p, -EIO);
    /* What the old session introduced itself with is void. */
    HASH_ITER (hh, p->dns, dn, tmp) {
        if (dn->conn != NULL && !conn_is_tls(dn->conn))
            conn_close(dn->conn, DFS_ESTALE_SESSION);
    }
}

struct dn_pool *dn_pool_new(struct ll *ll)
{
    struct dn_pool *p = MEM_NEW(struct dn_pool);

    p->ll = ll;
    hedge_budget_init(&p->hedges);
    p->tick = loop_timer_new(ll->loop, on_tick, p);
    if (gethostname(p->host, sizeof(p->host) - 1) < 0)
        p->host[0] = '\0';
    return p;
}

void dn_pool_free(struct dn_pool *p)
{
    struct dn *dn, *tmp;

    if (p == NULL)
        return;
    loop_timer_free(p->tick);
    loop_cancel(p->ll->loop, run_ended, p);
    chunk_ops_free(p);
    chunk_reads_free(p);
    HASH_ITER (hh, p->dns, dn, tmp) {
        HASH_DEL(p->dns, dn);
        if (dn->conn != NULL)
            conn_free(dn->conn);
        free(dn);
    }
    free(p);
}

void dn_pool_stop(struct dn_pool *p)
{
    p->stopped = true;
    chunk_ops_end_all(p, -ECANCELED);
    chunk_reads_end_all(p, -ECANCELED);
    run_ended(p);
}

size_t dn_pool_busy(const struct dn_pool *p)
{
    return p->busy;
}
