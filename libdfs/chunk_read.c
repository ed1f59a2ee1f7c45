/*
 * Reads of chunks: which member is asked, and what follows from its answer.
 *
 * A round asks each SERVING member once, best first, until one gives bytes whose CRCs fit. After a
 * round without success: the map is asked for again, a pause, another round, until the deadline
 * (or, when every member answered and none has good bytes, DN_BAD_ROUNDS rounds). A member that is
 * slow gets company: a second one is asked at the same time (hedge.h), the first good answer wins, and
 * the one that was late is asked last for a while.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/dn_internal.h"
#include "libdfs/nn.h"
#include "libdfs/pgmap.h"
#include "rpc/chunk.pb-c.h"

enum { AVOIDED = 1 << 20 };

static void read_step(struct chunk_read *r);

/* ---- which member ---- */

/*
 * The lower the better: who kept nobody waiting of late, few requests in flight, this machine before
 * others, and for equals the same member for the same chunk, so that its pages are cached once.
 */
static unsigned score(struct dn_pool *p, const struct chunk_read *r, const struct pg_info *pg,
                      unsigned member, const struct dn *dn)
{
    const struct target_info *t = pgmap_find_target(p->ll->pgmap, pg->serving[member]);
    unsigned rotation = (unsigned)((r->chunk.v + member) % pg->serving_count);
    bool local = t != NULL && t->host[0] != '\0' && strcmp(t->host, p->host) == 0;

    bool late = loop_now_ns(p->ll->loop) < dn->avoid_until_ns;

    return (late ? AVOIDED : 0) + (dn->reads_flying / 8) * 16 + (local ? 0 : 8) + rotation;
}

static struct dn *pick_member(struct chunk_read *r, const struct pg_info *pg, unsigned *ret_member)
{
    struct dn_pool *p = r->pool;
    struct dn *best = NULL;
    unsigned best_score = 0;

    for (unsigned i = 0; i < pg->serving_count; i++) {
        struct dn *dn;
        unsigned s;

        if ((r->tried & (UINT64_C(1) << i)) != 0)
            continue;
        dn = dn_of_target(p, pg->serving[i]);
        if (dn == NULL)
            continue;
        s = score(p, r, pg, i, dn);
        if (best == NULL || s < best_score) {
            best = dn;
            best_score = s;
            *ret_member = i;
        }
    }
    return best;
}

/* ---- requests ---- */

static void end_try(struct dn_try *t)
{
    t->dn->reads_flying--;
    LL_DELETE(t->read->tries, t);
    free(t);
}

static void cancel_tries(struct chunk_read *r)
{
    while (r->tries != NULL) {
        struct dn_try *t = r->tries;

        if (t->dn->conn != NULL)
            conn_cancel(t->dn->conn, t->call_id);
        end_try(t);
    }
}

static void end_read(struct chunk_read *r, int status)
{
    struct dn_pool *p = r->pool;

    cancel_tries(r);
    DL_DELETE(p->reads, r);
    dn_pool_end_read(p, r, status);
}

/* It answers: what was held against it is over. */
static void note_answer(struct dn *dn, uint64_t took_ns)
{
    hedge_took(&dn->hedge, took_ns);
    dn->avoid_ns = 0;
    dn->avoid_until_ns = 0;
}

/*
 * It kept a read waiting that another one answered, or nobody. It is asked last for a while, and then
 * again: each time costs a hedge, so the while grows.
 */
static void note_late(const struct dn_try *t, uint64_t now_ns)
{
    struct dn *dn = t->dn;

    hedge_took(&dn->hedge, now_ns - t->sent_ns);
    if (now_ns < dn->avoid_until_ns)
        return; /* Of the same moment. */
    dn->avoid_ns = MIN(MAX(2 * dn->avoid_ns, DN_AVOID_MIN_MS * CLOCK_NS_PER_MS),
                       DN_AVOID_MAX_MS * CLOCK_NS_PER_MS);
    dn->avoid_until_ns = now_ns + dn->avoid_ns;
}

/* The read has its bytes: those that were asked before the one that gave them are late. */
static void note_losers(const struct chunk_read *r, uint64_t winner_sent_ns, uint64_t now_ns)
{
    const struct dn_try *t;

    LL_FOREACH (r->tries, t) {
        if (t->sent_ns < winner_sent_ns)
            note_late(t, now_ns);
    }
}

/*
 * The reply's bytes into r when they are what the CRCs say.
 * -EPROTO   not a reply to this request
 * -EBADMSG  a block has not its CRC
 */
static int take_bytes(struct chunk_read *r, const Dfs__ChunkReadReply *reply,
                      const struct rpc_frame *f)
{
    static const uint8_t zeros[CHUNK_BLOCK_SIZE];
    uint32_t blocks = (reply->len + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE;
    size_t crc_bytes = (size_t)blocks * sizeof(uint32_t);
    const uint8_t *bytes = f->data_bytes + crc_bytes;

    if (reply->len > r->len || reply->crc_count != blocks ||
        f->header.data_len != crc_bytes + reply->len)
        return -EPROTO;
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t n = MIN(reply->len - i * CHUNK_BLOCK_SIZE, (uint32_t)CHUNK_BLOCK_SIZE);
        uint32_t crc = crc32c(bytes + (size_t)i * CHUNK_BLOCK_SIZE, n);
        uint32_t slot;

        memcpy(&slot, f->data_bytes + (size_t)i * sizeof(slot), sizeof(slot));
        if (n < CHUNK_BLOCK_SIZE)
            crc = crc32c_update(crc, zeros, CHUNK_BLOCK_SIZE - n);
        if ((slot ^ CRC32C_ZERO_BLOCK) != crc)
            return -EBADMSG;
    }
    if (reply->len > 0) {
        r->slab = slab_ref(f->data);
        r->bytes = bytes;
    }
    r->got = reply->len;
    return 0;
}

static void send_try(struct chunk_read *r, struct dn *dn, unsigned member, bool verify);

static void on_bytes(struct dn_try *t, const struct rpc_frame *f)
{
    struct chunk_read *r = t->read;
    struct dn_pool *p = r->pool;
    struct dn *dn = t->dn;
    uint64_t now = loop_now_ns(p->ll->loop), sent_ns = t->sent_ns;
    Dfs__ChunkReadReply *reply = dfs__chunk_read_reply__unpack(NULL, f->header.body_len, f->body);
    unsigned member = t->member;
    bool verified = t->verify;
    int status = reply != NULL ? take_bytes(r, reply, f) : -EPROTO;

    note_answer(dn, now - sent_ns);
    dn->backoff_ms = 0;
    if (reply != NULL)
        pgmap_saw_epoch(p->ll->pgmap, r->pg, reply->epoch);
    dfs__chunk_read_reply__free_unpacked(reply, NULL);
    end_try(t);
    if (status == 0) {
        note_losers(r, sent_ns, now);
        p->ll->stats.chunk_reads++;
        p->ll->stats.bytes_read += r->got;
        end_read(r, 0);
        return;
    }
    p->ll->stats.crc_mismatches++;
    if (!verified) {
        /* A write may have been under way: under the chunk's lock it must fit. */
        send_try(r, dn, member, true);
        return;
    }
    log_warn("datanode sent bytes that fail their CRC",
             "addr=%s chunk=%" PRI_CHUNK " offset=%" PRIu32 " len=%" PRIu32, dn->addr, r->chunk.v,
             r->offset, r->len);
    r->bad_count++;
    read_step(r);
}

static void on_reply(void *ctx, int status, const struct rpc_frame *f)
{
    struct dn_try *t = ctx;
    struct chunk_read *r = t->read;

    if (status == 0) {
        on_bytes(t, f);
        return;
    }
    dn_pool_learn_error(r->pool, f);
    if (status == -ETIMEDOUT)
        note_late(t, loop_now_ns(r->pool->ll->loop));
    if (status == DFS_ENOCHUNK || status == -ENOENT)
        r->absent_count++;
    else if (status == DFS_EBADBLOCK || status == -EIO || status == -EBADMSG)
        r->bad_count++;
    else
        dn_pool_refresh_map(r->pool);
    if (status == DFS_EBADBLOCK)
        log_warn("copy of a chunk is damaged, another one is read",
                 "addr=%s chunk=%" PRI_CHUNK " offset=%" PRIu32, t->dn->addr, r->chunk.v,
                 r->offset);
    end_try(t);
    read_step(r);
}

static void send_try(struct chunk_read *r, struct dn *dn, unsigned member, bool verify)
{
    struct dn_pool *p = r->pool;
    const struct pg_info *pg = pgmap_find_pg(p->ll->pgmap, r->pg);
    Dfs__ChunkReadRequest req = DFS__CHUNK_READ_REQUEST__INIT;
    struct dn_try *t;

    if (dn->conn == NULL) {
        read_step(r);
        return;
    }
    t = MEM_NEW(struct dn_try);
    t->read = r;
    t->dn = dn;
    t->member = member;
    t->verify = verify;
    t->sent_ns = loop_now_ns(p->ll->loop);
    LL_PREPEND(r->tries, t);
    dn->reads_flying++;
    r->tried |= UINT64_C(1) << member;
    req.pg = r->pg.v;
    req.epoch = pg != NULL ? pg->epoch : 0;
    req.session = nn_session(p->ll->nn);
    req.chunk_id = r->chunk.v;
    req.offset = r->offset;
    req.len = r->len;
    req.verify = verify;
    if (r->attempts++ > 0)
        p->ll->stats.read_retries++;
    t->call_id =
        conn_call(dn->conn, MSG_CHUNK_READ, &req.base, NULL, DN_READ_TIMEOUT_MS, on_reply, t);
}

/* ---- rounds ---- */

static void next_round(struct chunk_read *r)
{
    struct dn_pool *p = r->pool;

    r->rounds++;
    r->tried = 0;
    r->absent_count = 0;
    r->bad_count = 0;
    r->waiting = true;
    r->wake_ns = loop_now_ns(p->ll->loop) + dn_backoff_ns(r->rounds);
    dn_pool_refresh_map(p);
}

/* Nothing is in flight (or only what is too slow): asks the next member, or judges the round. */
static void read_step(struct chunk_read *r)
{
    const struct pg_info *pg = pgmap_find_pg(r->pool->ll->pgmap, r->pg);
    unsigned answers = r->absent_count + r->bad_count;
    unsigned member = 0;
    struct dn *dn;

    if (pg == NULL || pg->serving_count == 0) {
        if (r->tries == NULL)
            next_round(r);
        return;
    }
    if (!r->materialized && r->bad_count == 0 && r->absent_count >= MIN(2U, pg->serving_count)) {
        r->got = 0;
        end_read(r, 0);
        return;
    }
    dn = pick_member(r, pg, &member);
    if (dn != NULL) {
        send_try(r, dn, member, r->rounds > 0);
        return;
    }
    if (r->tries != NULL)
        return;
    if (answers >= pg->serving_count && r->rounds + 1 >= DN_BAD_ROUNDS) {
        log_error("no member has good bytes",
                  "pg=%" PRI_PG " chunk=%" PRI_CHUNK " offset=%" PRIu32 " absent=%u bad=%u",
                  r->pg.v, r->chunk.v, r->offset, r->absent_count, r->bad_count);
        end_read(r, -EIO);
        return;
    }
    next_round(r);
}

void chunk_read_submit(struct dn_pool *p, struct chunk_read *r)
{
    r->pool = p;
    r->slab = NULL;
    r->bytes = NULL;
    r->got = 0;
    r->tries = NULL;
    r->tried = 0;
    r->attempts = 0;
    r->rounds = 0;
    r->absent_count = 0;
    r->bad_count = 0;
    r->finished = false;
    r->waiting = false;
    r->started_ns = loop_now_ns(p->ll->loop);
    r->deadline_ns = dn_deadline(p);
    dn_pool_wake(p);
    if (p->stopped) {
        dn_pool_end_read(p, r, -ECANCELED);
        return;
    }
    DL_APPEND(p->reads, r);
    hedge_budget_earn(&p->hedges);
    read_step(r);
}

void chunk_read_cancel(struct chunk_read *r)
{
    struct dn_pool *p = r->pool;

    if (p == NULL)
        return;
    if (r->finished) {
        DL_DELETE(p->ended_reads, r);
        slab_unref(r->slab);
    } else {
        cancel_tries(r);
        DL_DELETE(p->reads, r);
    }
    p->busy--;
    r->pool = NULL;
}

/* One request only, and it takes longer than nearly all do there. */
static bool wants_hedge(const struct chunk_read *r, uint64_t now_ns)
{
    const struct dn_try *t = r->tries;

    return t != NULL && t->next == NULL && now_ns - t->sent_ns > hedge_after_ns(&t->dn->hedge);
}

/* A second member, if there is one, and if the budget allows. */
static void hedge(struct chunk_read *r)
{
    struct dn_pool *p = r->pool;
    const struct pg_info *pg = pgmap_find_pg(p->ll->pgmap, r->pg);
    unsigned member = 0;
    struct dn *dn = pg != NULL ? pick_member(r, pg, &member) : NULL;

    if (dn == NULL || !hedge_budget_spend(&p->hedges))
        return;
    p->ll->stats.read_hedges++;
    send_try(r, dn, member, false);
}

void chunk_reads_tick(struct dn_pool *p, uint64_t now_ns)
{
    struct chunk_read *r, *tmp;

    DL_FOREACH_SAFE (p->reads, r, tmp) {
        if (now_ns >= r->deadline_ns) {
            end_read(r, -ETIMEDOUT);
        } else if (r->waiting && now_ns >= r->wake_ns) {
            r->waiting = false;
            read_step(r);
        } else if (!r->waiting && r->tries == NULL) {
            read_step(r);
        } else if (wants_hedge(r, now_ns)) {
            hedge(r);
        }
    }
}

void chunk_reads_map_changed(struct dn_pool *p)
{
    struct chunk_read *r, *tmp;

    DL_FOREACH_SAFE (p->reads, r, tmp) {
        if (!r->waiting)
            continue;
        r->waiting = false;
        read_step(r);
    }
}

void chunk_reads_end_all(struct dn_pool *p, int status)
{
    struct chunk_read *r, *tmp;

    DL_FOREACH_SAFE (p->reads, r, tmp)
        end_read(r, status);
}

void chunk_reads_free(struct dn_pool *p)
{
    struct chunk_read *r, *tmp;

    DL_FOREACH_SAFE (p->reads, r, tmp)
        chunk_read_cancel(r);
    DL_FOREACH_SAFE (p->ended_reads, r, tmp)
        chunk_read_cancel(r);
}
