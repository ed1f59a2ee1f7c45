/*
 * A block that does not have its CRC gets its bytes back from another member.
 *
 *   finder: which blocks? ──REPAIR request──► head: hold the chunk ─► good bytes, ours or another
 *           look again ◄──────────────────────      member's ─► REPAIR through the chain ─► release
 *
 * While the chunk is held no operation on it is under way anywhere, so every copy that has its CRC
 * holds the same bytes, and writing them once more changes nothing for those who have them.
 *
 * A chunk whose file is gone is not mended block by block: the member leaves its chain and is taken
 * in anew, for a joiner copies what it lacks. But not the last that serves.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "datanode/dn.h"
#include "datanode/wire.h"
#include "rpc/msg.h"

enum {
    BLOCKS_AT_ONCE = CHUNK_OP_MAX / CHUNK_BLOCK_SIZE,
    ROUNDS_MAX = 64, /* of blocks in a row, for one chunk */
    ASK_TIMEOUT_MS = 10000,
    PAUSE_MIN_MS = 250, /* between two attempts that failed */
    PAUSE_MAX_MS = 60000,
    TRIES_QUIET = 4, /* then it is told: 2 s of a chain that is busy with another are no news */
};

/* ---- at the head ---- */

struct repair {
    struct dn_pg *pg;
    struct chunk_id chunk;
    uint32_t offset, len;
    uint64_t epoch;
    uint32_t next; /* member to be asked next */
    void (*done)(void *ctx, int status);
    void *ctx;
};

static void repair_end(struct repair *r, int status)
{
    struct dn_pg *pg = r->pg;
    struct chunk_id chunk = r->chunk;
    void (*done)(void *ctx, int status) = r->done;
    void *ctx = r->ctx;

    free(r);
    pg_post(pg, &(struct chain_event){.kind = CHAIN_EV_RELEASE, .chunk = chunk});
    done(ctx, status);
}

static void ordered(void *ctx, int status)
{
    repair_end(ctx, status);
}

static struct dn_waiter *call_waiter(struct repair *r, void (*called)(void *ctx, int status))
{
    struct dn_waiter *w = waiter_new(r->pg->dn, WAITER_CALL, NULL, NULL, r->pg);

    w->called = called;
    w->ctx = r;
    return w;
}

/* bytes: whole blocks but perhaps the last; slots: one for each. */
static void order(struct repair *r, const uint8_t *bytes, uint32_t len, const uint32_t *slots)
{
    uint32_t blocks = (len + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE;
    uint32_t whole = blocks * CHUNK_BLOCK_SIZE, crcs[BLOCKS_AT_ONCE];
    CLEANUP(chain_op) struct chain_op *op = chain_op_new(CHAIN_REPAIR);
    CLEANUP(slab) struct slab *slab = slab_alloc(r->pg->dn->slabs, whole);

    memcpy(slab->data, bytes, len);
    memset(slab->data + len, 0, whole - len);
    for (uint32_t i = 0; i < blocks; i++)
        crcs[i] = slots[i] ^ CRC32C_ZERO_BLOCK;
    op->chunk = r->chunk;
    op->offset = r->offset;
    wire_op_set_payload(op, slab, slab->data, whole, crcs);
    if (wire_op_check_crcs(op) < 0) {
        repair_end(r, DFS_EBADBLOCK);
        return;
    }
    pg_step(r->pg, &(struct chain_event){.kind = CHAIN_EV_CLIENT_OP,
                                         .op = op,
                                         .epoch = r->epoch,
                                         .waiter = call_waiter(r, ordered)->id});
}

static void ask_next(struct repair *r);

static void on_answer(void *ctx, int status, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct repair *r = ctx;
    uint32_t slots[BLOCKS_AT_ONCE];
    Dfs__ChunkReadReply *m = NULL;

    msg_arena_init(&arena);
    if (r->pg->dn->is_stopping) {
        free(r);
        return;
    }
    if (status == 0)
        m = msg_unpack(&arena, &dfs__chunk_read_reply__descriptor, f->body, f->header.body_len);
    if (m == NULL || m->len == 0 || m->len > r->len ||
        m->crc_count != wire_block_count(0, m->len) ||
        f->header.data_len != m->crc_count * sizeof(uint32_t) + m->len) {
        ask_next(r);
        return;
    }
    memcpy(slots, f->data_bytes, m->crc_count * sizeof(*slots));
    order(r, f->data_bytes + m->crc_count * sizeof(*slots), m->len, slots);
}

static struct conn *member_conn(struct dn *dn, struct target_id target)
{
    const struct dn_place *place = dn_place_find(dn, target.v);

    return place != NULL ? forward_peer(dn, place->addr)->conn : NULL;
}

/* The other serving members, one after the other. */
static void ask_next(struct repair *r)
{
    const struct chain_config *cfg = chain_config_of(r->pg->chain);
    Dfs__ChunkReadRequest m = DFS__CHUNK_READ_REQUEST__INIT;

    while (cfg->epoch == r->epoch && r->next < cfg->member_count) {
        const struct chain_member *member = &cfg->members[r->next++];
        struct conn *c;

        if (member->state != MEMBER_SERVING || member->target.v == r->pg->key.target)
            continue;
        c = member_conn(r->pg->dn, member->target);
        if (c == NULL)
            continue;
        m.pg = r->pg->key.pg;
        m.epoch = r->epoch;
        m.chunk_id = r->chunk.v;
        m.offset = r->offset;
        m.len = r->len;
        m.verify = true;
        (void)conn_call(c, MSG_CHUNK_READ, &m.base, NULL, ASK_TIMEOUT_MS, on_answer, r);
        return;
    }
    repair_end(r, DFS_EBADBLOCK);
}

static void own_read(void *ctx, int status, struct store_read_result *res)
{
    struct repair *r = ctx;

    if (status == 0 && res->len > 0)
        order(r, res->slab->data, res->len, res->slots);
    else if (status == DFS_ECLOSED)
        repair_end(r, status);
    else
        ask_next(r);
}

static void held(void *ctx, int status)
{
    struct repair *r = ctx;
    struct store_read rd = {.chunk = r->chunk, .offset = r->offset, .len = r->len, .verify = true};

    if (status < 0) {
        void (*done)(void *c, int s) = r->done;
        void *done_ctx = r->ctx;

        free(r); /* Nothing is held: the chain said no, or let go by itself. */
        done(done_ctx, status);
        return;
    }
    store_read(r->pg->target, &rd, own_read, r);
}

static void hold(struct dn_pg *pg, struct chunk_id chunk, uint32_t offset, uint32_t len,
                 void (*done)(void *ctx, int status), void *ctx)
{
    struct repair *r = MEM_NEW(struct repair);

    r->pg = pg;
    r->chunk = chunk;
    r->offset = offset;
    r->len = len;
    r->epoch = pg_epoch(pg);
    r->done = done;
    r->ctx = ctx;
    pg_step(pg, &(struct chain_event){
                    .kind = CHAIN_EV_HOLD, .chunk = chunk, .waiter = call_waiter(r, held)->id});
}

/* ---- a request of another member ---- */

static void request_done(void *ctx, int status)
{
    struct dn_waiter *w = ctx;
    Dfs__ChunkOpReply m = DFS__CHUNK_OP_REPLY__INIT;

    if (status == 0) {
        m.epoch = pg_epoch(w->pg);
        conn_reply(w->conn, w->type, w->rpc_id, &m.base, NULL);
    } else {
        dn_reply_error(w->pg->dn, w->conn, w->type, w->rpc_id, w->pg, status, NULL);
    }
    waiter_free(w->pg->dn, w);
}

void repair_on_request(struct dn_pg *pg, struct conn *c, const struct rpc_frame *f,
                       const struct chain_op *op)
{
    hold(pg, op->chunk, op->offset, op->len, request_done, waiter_new(pg->dn, WAITER_OP, c, f, pg));
}

/* ---- at the finder ---- */

/*
 * One chunk of a PG at a time. What could not be healed now, because the chain was busy or no good
 * copy serves, is tried again later, each time after a longer pause: until the block has its bytes
 * back, was written over, or the chunk is gone.
 */
struct finder {
    struct dn_pg *pg;
    struct dn_repair what;
    unsigned rounds;
};

static void begin(struct dn_pg *pg, const struct dn_repair *what);

static void begin_next(struct dn_pg *pg)
{
    struct dn_repair what = pg->repair_queue[0];

    pg->repair_count--;
    memmove(pg->repair_queue, pg->repair_queue + 1, pg->repair_count * sizeof(what));
    begin(pg, &what);
}

/* More than fit are found again by the next who reads them. */
static void enqueue(struct dn_pg *pg, const struct dn_repair *what)
{
    if (pg->repair_count < REPAIR_QUEUE_MAX)
        pg->repair_queue[pg->repair_count++] = *what;
}

static void healed(struct finder *f, const char *how)
{
    struct dn_pg *pg = f->pg;

    if (f->what.found)
        nn_report_bad(pg->dn, pg, f->what.chunk, f->what.block, how, true);
    free(f);
    pg->repairs = false;
    pg->repair_pause_ms = 0;
    if (pg->repair_count > 0)
        begin_next(pg);
}

static void not_now(struct finder *f, int status)
{
    struct dn_pg *pg = f->pg;

    /* Who joins compares everything, in its own time. */
    if (f->what.found && chain_place_of(pg->chain)->role == CHAIN_SERVING &&
        ++f->what.tries == TRIES_QUIET) {
        log_warn("a block could not be healed", "pg=%" PRIu32 " chunk=%" PRIu64 " error=\"%s\"",
                 pg->key.pg, f->what.chunk.v, dfs_strerror(status));
        nn_report_bad(pg->dn, pg, f->what.chunk, f->what.block, "not healed", false);
    }
    if (!pg->dn->is_stopping)
        enqueue(pg, &f->what);
    free(f);
    pg->repairs = false;
    pg->repair_pause_ms =
        MIN(MAX(pg->repair_pause_ms * 2, (uint64_t)PAUSE_MIN_MS), (uint64_t)PAUSE_MAX_MS);
    pg->repair_at_ms = loop_now_ns(pg->dn->loop) / CLOCK_NS_PER_MS + pg->repair_pause_ms;
}

static void look(struct finder *f);

static void repaired(void *ctx, int status)
{
    struct finder *f = ctx;

    if (status < 0 || ++f->rounds > ROUNDS_MAX)
        not_now(f, status < 0 ? status : DFS_EBADBLOCK);
    else
        look(f);
}

static void head_answered(void *ctx, int status, const struct rpc_frame *frame)
{
    struct finder *f = ctx;

    (void)frame;
    repaired(f, f->pg->dn->is_stopping ? DFS_ECLOSED : status);
}

static void ask_head(struct finder *f, uint32_t offset, uint32_t len)
{
    struct dn_pg *pg = f->pg;
    struct conn *c = member_conn(pg->dn, chain_config_head(chain_config_of(pg->chain)));
    Dfs__ChunkOp m = DFS__CHUNK_OP__INIT;

    if (c == NULL) {
        not_now(f, -ENOTCONN);
        return;
    }
    m.kind = DFS__CHUNK_OP_KIND__CHUNK_OP_REPAIR;
    m.pg = pg->key.pg;
    m.epoch = pg_epoch(pg);
    m.chunk_id = f->what.chunk.v;
    m.offset = offset;
    m.len = len;
    (void)conn_call(c, MSG_CHUNK_OP, &m.base, NULL, ASK_TIMEOUT_MS * 2, head_answered, f);
}

static bool is_bad(const struct store_crcs *c, uint32_t block)
{
    return block < c->slot_count && (c->bad[block / 64] >> (block % 64)) & 1;
}

static void lost(struct finder *f)
{
    struct dn_pg *pg = f->pg;

    f->what.found = true;
    if (!f->what.left) {
        pg_step(pg, &(struct chain_event){.kind = CHAIN_EV_LOST});
        f->what.left = chain_place_of(pg->chain)->role == CHAIN_OUT;
    }
    not_now(f, DFS_EBADBLOCK);
}

static void on_crcs(void *ctx, int status, const struct store_crcs *c)
{
    struct finder *f = ctx;
    uint32_t from = 0, to;

    if (!f->pg->dn->is_stopping &&
        (status == DFS_EBADBLOCK || (status == 0 && c->state.flags & CHUNK_INCOMPLETE))) {
        lost(f);
        return;
    }
    if (f->pg->dn->is_stopping || (status < 0 && status != DFS_ENOCHUNK)) {
        not_now(f, status);
        return;
    }
    if (status == DFS_ENOCHUNK || c->bad_count == 0) {
        healed(f, status == DFS_ENOCHUNK ? "the chunk is gone" : "healed");
        return;
    }
    while (!is_bad(c, from))
        from++;
    for (to = from; is_bad(c, to) && to - from < BLOCKS_AT_ONCE;)
        to++;
    if (!f->what.found)
        f->what.block = from;
    f->what.found = true;
    if (chain_place_of(f->pg->chain)->role != CHAIN_SERVING)
        not_now(f, DFS_ENOTHEAD);
    else if (chain_place_of(f->pg->chain)->is_head)
        hold(f->pg, f->what.chunk, from * CHUNK_BLOCK_SIZE, (to - from) * CHUNK_BLOCK_SIZE,
             repaired, f);
    else
        ask_head(f, from * CHUNK_BLOCK_SIZE, (to - from) * CHUNK_BLOCK_SIZE);
}

static void look(struct finder *f)
{
    store_crcs(f->pg->target, f->what.chunk, true, on_crcs, f);
}

static void begin(struct dn_pg *pg, const struct dn_repair *what)
{
    struct finder *f = MEM_NEW(struct finder);

    pg->repairs = true;
    pg->repair_now = what->chunk;
    f->pg = pg;
    f->what = *what;
    look(f);
}

void repair_start(struct dn_pg *pg, struct chunk_id chunk)
{
    struct dn_repair what = {.chunk = chunk};

    if (pg->dn->is_stopping || (pg->repairs && ID_EQUAL(pg->repair_now, chunk)))
        return;
    for (size_t i = 0; i < pg->repair_count; i++) {
        if (ID_EQUAL(pg->repair_queue[i].chunk, chunk))
            return;
    }
    if (pg->repairs)
        enqueue(pg, &what);
    else
        begin(pg, &what);
}

void repair_tick(struct dn_pg *pg, uint64_t now_ms)
{
    if (!pg->repairs && pg->repair_count > 0 && now_ms >= pg->repair_at_ms)
        begin_next(pg);
}
