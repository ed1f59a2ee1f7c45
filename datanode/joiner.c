/*
 * Does what join.c decides: asks the source on the connection that the source opened to us (so that
 * its answers and its operations come in one order), and writes to our store.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc32c.h"
#include "common/error.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "datanode/dn.h"
#include "datanode/join.h"
#include "datanode/wire.h"
#include "rpc/msg.h"

enum {
    ASK_TIMEOUT_MS = 30000,
    /* What is copied waits for its turn at the source (copying.h), also behind whole chunks of all
     * other PGs that join. That it died is told by the connection. */
    COPY_TIMEOUT_MS = 3600000,
    LIST_LIMIT = 4096,
    OWN_PAGE = 4096,
};

struct joiner {
    struct dn_pg *pg; /* NULL: stopped; calls that are still out only let go of it */
    struct conn *conn;
    struct join *join;
    uint64_t waiter;
    unsigned refs;
    struct chunk_id told_bad; /* the last of which it was said */
};

/* One question or one job of the store. */
struct join_call {
    struct joiner *j;
    struct chunk_id chunk;
    uint32_t offset, len;
    bool forget;
    struct copying *copying; /* of the target that joins */
    struct copy_turn turn;
};

static void joiner_unref(struct joiner *j)
{
    if (--j->refs > 0)
        return;
    conn_unref(j->conn);
    join_free(j->join);
    free(j);
}

static struct join_call *call_new(struct joiner *j, const struct join_action *a)
{
    struct join_call *call = MEM_NEW(struct join_call);

    call->j = j;
    call->chunk = a->chunk;
    call->offset = a->offset;
    call->len = a->len;
    call->copying = j->pg->disk->copying;
    j->refs++;
    return call;
}

/* Gives the joiner if it still goes on. */
static struct joiner *call_end(struct join_call *call)
{
    struct joiner *j = call->j->pg != NULL ? call->j : NULL;

    joiner_unref(call->j);
    free(call);
    return j;
}

void joiner_stop(struct dn_pg *pg)
{
    struct joiner *j = STEAL(pg->joiner);

    if (j == NULL)
        return;
    free(pg->marked);
    pg->marked_count = join_marked(j->join, &pg->marked);
    j->pg = NULL;
    joiner_unref(j);
}

static void run_actions(struct joiner *j, struct join_actions *acts);

static void feed(struct joiner *j, const struct join_event *ev)
{
    struct join_actions acts = {0};

    join_step(j->join, ev, &acts);
    run_actions(j, &acts);
    join_actions_done(&acts);
}

/* ---- the store's answers ---- */

static void stored(void *ctx, int status, uint32_t crc)
{
    struct join_call *call = ctx;
    struct joiner *j = call->j;

    (void)crc;
    if (call->forget && status == 0 && j->pg != NULL) {
        /* Not over before that: what comes live until then would meet the tombstone, and we look again. */
        call->forget = false;
        store_forget(j->pg->target, call->chunk, stored, call);
        return;
    }
    j = call_end(call);
    if (j != NULL)
        feed(j, &(struct join_event){.kind = JOIN_EV_STORED, .status = status});
}

static void end(struct joiner *j, enum chain_event_kind kind)
{
    struct dn_pg *pg = j->pg;
    struct chain_event ev = {.kind = kind, .waiter = j->waiter};

    joiner_stop(pg);
    pg_post(pg, &ev); /* We may be inside a step. */
    nn_hurry(pg->dn);
}

static void marked_incomplete(void *ctx, int status, uint32_t crc)
{
    struct joiner *j = call_end(ctx);

    (void)crc;
    if (status == -ESTALE) /* A tombstone: nothing will be changed. */
        status = 0;
    if (j != NULL && status < 0) {
        log_warn("joining broke off", "pg=%" PRIu32 " error=\"%s\"", j->pg->key.pg,
                 dfs_strerror(status));
        end(j, CHAIN_EV_SYNC_FAILED);
    }
}

static void own_crcs(void *ctx, int status, const struct store_crcs *c)
{
    struct join_call *call = ctx;
    struct join_event ev = {.kind = JOIN_EV_OWN, .status = status, .state = {.id = call->chunk}};
    struct joiner *j;

    copying_checked(call->copying);
    j = call_end(call);
    if (j == NULL)
        return;
    if (status == 0) {
        ev.state = c->state;
        ev.slots = c->slots;
        ev.count = c->slot_count;
        ev.hashes = c->hashes;
        ev.bad = c->bad;
    }
    feed(j, &ev);
}

/* ---- the source's answers ---- */

static void on_list(void *ctx, int status, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct join_event ev = {.kind = JOIN_EV_LIST, .status = status};
    struct joiner *j = call_end(ctx);
    struct chunk_state *states = NULL;
    Dfs__SyncListReply *m;

    msg_arena_init(&arena);
    if (j == NULL)
        return;
    if (status == 0) {
        m = msg_unpack(&arena, &dfs__sync_list_reply__descriptor, f->body, f->header.body_len);
        if (m == NULL)
            ev.status = DFS_EPROTO;
        states = mem_zalloc(m != NULL ? m->n_chunks + 1 : 1, sizeof(*states));
        for (size_t i = 0; m != NULL && i < m->n_chunks && ev.status == 0; i++)
            ev.status = wire_state_from(m->chunks[i], &states[i]);
        ev.states = states;
        ev.count = m != NULL ? m->n_chunks : 0;
        ev.end = m == NULL || m->end;
    }
    feed(j, &ev);
    free(states);
}

static void on_crcs(void *ctx, int status, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct join_event ev = {.kind = JOIN_EV_CRCS, .status = status};
    struct chunk_id chunk = ((struct join_call *)ctx)->chunk;
    struct joiner *j = call_end(ctx);
    Dfs__SyncCrcsReply *m = NULL;
    uint32_t *slots = NULL;
    uint64_t *hashes = NULL;

    msg_arena_init(&arena);
    if (j == NULL)
        return;
    if (status == DFS_EBADBLOCK)
        log_warn("the source has lost a chunk", "pg=%" PRIu32 " target=%" PRIu32 " chunk=%" PRIu64,
                 j->pg->key.pg, j->pg->key.target, chunk.v);
    if (status == 0) {
        m = msg_unpack(&arena, &dfs__sync_crcs_reply__descriptor, f->body, f->header.body_len);
        if (m == NULL || m->crc_count > CHUNK_BLOCKS ||
            f->header.data_len != m->crc_count * (sizeof(*slots) + sizeof(*hashes)))
            ev.status = DFS_EPROTO;
    }
    if (status == 0 && ev.status == 0) {
        slots = mem_zalloc(m->crc_count + 1, sizeof(*slots));
        hashes = mem_zalloc(m->crc_count + 1, sizeof(*hashes));
        if (m->crc_count > 0) {
            memcpy(slots, f->data_bytes, m->crc_count * sizeof(*slots));
            memcpy(hashes, f->data_bytes + m->crc_count * sizeof(*slots),
                   m->crc_count * sizeof(*hashes));
        }
        ev.state = (struct chunk_state){.id = chunk,
                                        .len = m->len,
                                        .flags = m->flags,
                                        .ver = {m->ver_epoch, m->ver_seq},
                                        .trunc_version = m->trunc_version};
        ev.slots = slots;
        ev.hashes = hashes;
        ev.count = m->crc_count;
    }
    feed(j, &ev);
    free(slots);
    free(hashes);
}

/* Whole blocks, each with its CRC: the last is padded with the zeros that stand for it. */
static struct slab *whole_blocks(struct dn *dn, const struct rpc_frame *f, uint32_t len,
                                 uint32_t blocks, const uint8_t **ret_bytes)
{
    const uint8_t *bytes = f->data_bytes + blocks * sizeof(uint32_t);
    size_t whole = (size_t)blocks * CHUNK_BLOCK_SIZE;
    struct slab *s;

    if (len == whole) {
        *ret_bytes = bytes;
        return slab_ref(f->data);
    }
    s = slab_alloc(dn->slabs, whole);
    memcpy(s->data, bytes, len);
    memset(s->data + len, 0, whole - len);
    *ret_bytes = s->data;
    return s;
}

static int take_data(struct joiner *j, const struct rpc_frame *f, struct join_event *ev,
                     uint32_t *slots)
{
    CLEANUP_MSG struct msg_arena arena;
    CLEANUP(slab) struct slab *slab = NULL;
    Dfs__ChunkReadReply *m;
    uint32_t blocks;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__chunk_read_reply__descriptor, f->body, f->header.body_len);
    if (m == NULL || m->len > ev->len ||
        m->crc_count != (m->len + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE ||
        f->header.data_len != m->crc_count * sizeof(uint32_t) + m->len)
        return DFS_EPROTO;
    blocks = m->crc_count;
    ev->count = blocks;
    ev->slots = slots;
    if (blocks > 0) {
        memcpy(slots, f->data_bytes, blocks * sizeof(*slots));
        slab = whole_blocks(j->pg->dn, f, m->len, blocks, &ev->bytes);
    }
    for (uint32_t i = 0; i < blocks; i++) {
        if ((crc32c(ev->bytes + (size_t)i * CHUNK_BLOCK_SIZE, CHUNK_BLOCK_SIZE) ^
             CRC32C_ZERO_BLOCK) != slots[i])
            return -EBADMSG;
    }
    ev->payload = slab;
    feed(j, ev); /* What it keeps, it has taken a reference of. */
    return 0;
}

static void on_data(void *ctx, int status, const struct rpc_frame *f)
{
    struct join_call *call = ctx;
    struct join_event ev = {
        .kind = JOIN_EV_DATA, .status = status, .offset = call->offset, .len = call->len};
    uint32_t slots[CHUNK_OP_MAX / CHUNK_BLOCK_SIZE];
    struct joiner *j = call_end(call);

    if (j == NULL)
        return;
    if (status == 0)
        ev.status = take_data(j, f, &ev, slots);
    if (ev.status < 0)
        feed(j, &ev);
}

/* ---- doing ---- */

/* Zeros, which those that should be zeros would be. */
static void make_bad_block(uint8_t *block, uint32_t slot)
{
    memset(block, slot == 0 ? 0xbd : 0, CHUNK_BLOCK_SIZE);
}

static void tell_bad(struct joiner *j, const struct join_action *a)
{
    metric_add(j->pg->dn->m.bad_blocks, a->len / CHUNK_BLOCK_SIZE);
    if (ID_EQUAL(j->told_bad, a->chunk))
        return;
    j->told_bad = a->chunk;
    log_warn("blocks that are bad at the source are bad here too",
             "pg=%" PRIu32 " target=%" PRIu32 " chunk=%" PRIu64 " block=%" PRIu32, j->pg->key.pg,
             j->pg->key.target, a->chunk.v, a->offset / CHUNK_BLOCK_SIZE);
}

/* What an action without bytes stands for. */
static struct slab *made_up_blocks(struct joiner *j, const struct join_action *a)
{
    struct slab *s = slab_alloc(j->pg->dn->slabs, a->len);

    if (a->slots == NULL) {
        memset(s->data, 0, a->len);
        return s;
    }
    tell_bad(j, a);
    for (uint32_t i = 0; i < a->len / CHUNK_BLOCK_SIZE; i++)
        make_bad_block(s->data + (size_t)i * CHUNK_BLOCK_SIZE, a->slots[i]);
    return s;
}

static void copy(struct joiner *j, const struct join_action *a)
{
    CLEANUP(slab) struct slab *made_up = NULL;
    uint32_t crcs[CHUNK_OP_MAX / CHUNK_BLOCK_SIZE], blocks = a->len / CHUNK_BLOCK_SIZE;
    struct store_write w = {.chunk = a->chunk,
                            .pg = {j->pg->key.pg},
                            .offset = a->offset,
                            .len = a->len,
                            .flags = STORE_COPY,
                            .crcs = crcs,
                            .crc_count = blocks,
                            .bytes = a->bytes,
                            .slab = a->payload};

    for (uint32_t i = 0; i < blocks; i++)
        crcs[i] = CRC32C_ZERO_BLOCK ^ (a->slots != NULL ? a->slots[i] : 0);
    if (a->bytes == NULL) {
        made_up = made_up_blocks(j, a);
        w.bytes = made_up->data;
        w.slab = made_up;
    }
    metric_add(j->pg->dn->m.join_bytes, a->len);
    store_write(j->pg->target, &w, stored, call_new(j, a));
}

static void ask_list(struct joiner *j, const struct join_action *a)
{
    Dfs__SyncListRequest m = DFS__SYNC_LIST_REQUEST__INIT;

    m.pg = j->pg->key.pg;
    m.epoch = pg_epoch(j->pg);
    m.after_chunk = a->chunk.v;
    m.limit = LIST_LIMIT;
    (void)conn_call(j->conn, MSG_SYNC_LIST, &m.base, NULL, ASK_TIMEOUT_MS, on_list, call_new(j, a));
}

static void ask_crcs(struct joiner *j, const struct join_action *a)
{
    Dfs__SyncCrcsRequest m = DFS__SYNC_CRCS_REQUEST__INIT;

    m.pg = j->pg->key.pg;
    m.epoch = pg_epoch(j->pg);
    m.chunk_id = a->chunk.v;
    (void)conn_call(j->conn, MSG_SYNC_CRCS, &m.base, NULL, COPY_TIMEOUT_MS, on_crcs,
                    call_new(j, a));
}

/* What is read or written here waits until clients leave room for it. */
static void wait_for_turn(struct join_call *call, enum copy_kind kind, uint64_t bytes,
                          void (*run)(struct copy_turn *t, bool is_ended))
{
    call->turn = (struct copy_turn){
        .kind = kind, .bytes = bytes, .is_urgent = pg_is_last_copy(call->j->pg), .run = run};
    copying_enter(call->copying, &call->turn);
}

static void data_turn(struct copy_turn *t, bool is_ended)
{
    struct join_call *call = CONTAINER_OF(t, struct join_call, turn);
    struct joiner *j = call->j;
    Dfs__SyncReadRequest m = DFS__SYNC_READ_REQUEST__INIT;

    if (is_ended || j->pg == NULL) {
        (void)call_end(call);
        return;
    }
    m.pg = j->pg->key.pg;
    m.epoch = pg_epoch(j->pg);
    m.chunk_id = call->chunk.v;
    m.offset = call->offset;
    m.len = call->len;
    (void)conn_call(j->conn, MSG_SYNC_READ, &m.base, NULL, COPY_TIMEOUT_MS, on_data, call);
}

static void ask_data(struct joiner *j, const struct join_action *a)
{
    wait_for_turn(call_new(j, a), COPY_DATA, a->len, data_turn);
}

static void own_crcs_turn(struct copy_turn *t, bool is_ended)
{
    struct join_call *call = CONTAINER_OF(t, struct join_call, turn);
    struct joiner *j = call->j;

    if (!is_ended && j->pg != NULL) {
        store_crcs(j->pg->target, call->chunk, true, own_crcs, call);
        return;
    }
    if (!is_ended)
        copying_checked(call->copying);
    (void)call_end(call);
}

static void ask_own_crcs(struct joiner *j, const struct join_action *a)
{
    struct chunk_state state = {0};

    (void)store_chunk_state(j->pg->target, a->chunk, &state);
    wait_for_turn(call_new(j, a), COPY_CHECK, state.len, own_crcs_turn);
}

static void remove_chunk(struct joiner *j, const struct join_action *a)
{
    struct join_call *call = call_new(j, a);

    call->forget = !a->keep_tombstone;
    store_delete(j->pg->target, a->chunk, (struct pg_id){j->pg->key.pg}, stored, call);
}

static void done(struct joiner *j)
{
    struct join_progress p;

    join_progress(j->join, &p);
    log_info("synced", "pg=%" PRIu32 " target=%" PRIu32 " chunks=%" PRIu64 " copied_bytes=%" PRIu64,
             j->pg->key.pg, j->pg->key.target, p.chunks_total, p.bytes_copied);
    end(j, CHAIN_EV_SYNC_DONE);
}

static void do_action(struct joiner *j, const struct join_action *a)
{
    switch (a->kind) {
    case JOIN_ACT_ASK_LIST:
        ask_list(j, a);
        return;
    case JOIN_ACT_ASK_CRCS:
        ask_crcs(j, a);
        return;
    case JOIN_ACT_OWN_CRCS:
        ask_own_crcs(j, a);
        return;
    case JOIN_ACT_ASK_DATA:
        ask_data(j, a);
        return;
    case JOIN_ACT_COPY:
        copy(j, a);
        return;
    case JOIN_ACT_TRUNCATE:
        store_truncate(j->pg->target, a->chunk, a->offset, (struct chunk_ver){0, 0}, STORE_COPY,
                       stored, call_new(j, a));
        return;
    case JOIN_ACT_MARK_INCOMPLETE:
        store_mark_incomplete(j->pg->target, a->chunk, (struct pg_id){j->pg->key.pg},
                              marked_incomplete, call_new(j, a));
        return;
    case JOIN_ACT_MARK_COMPLETE:
        store_mark_complete(j->pg->target, a->chunk, a->ver, a->trunc_version, stored,
                            call_new(j, a));
        return;
    case JOIN_ACT_DELETE:
        remove_chunk(j, a);
        return;
    case JOIN_ACT_FORGET:
        store_forget(j->pg->target, a->chunk, NULL, NULL);
        return;
    case JOIN_ACT_DONE:
        done(j);
        return;
    case JOIN_ACT_FAILED:
        log_warn("joining broke off", "pg=%" PRIu32 " error=\"%s\"", j->pg->key.pg,
                 dfs_strerror(a->status));
        end(j, CHAIN_EV_SYNC_FAILED);
        return;
    }
}

static void run_actions(struct joiner *j, struct join_actions *acts)
{
    j->refs++;
    for (size_t i = 0; i < acts->count && j->pg != NULL; i++)
        do_action(j, &acts->items[i]);
    joiner_unref(j);
}

/* ---- the beginning ---- */

struct begin_call {
    struct dn_pg *pg;
    uint64_t waiter, epoch;
};

static int take_snapshot(const Dfs__SyncBeginReply *m, struct chain_snapshot *s)
{
    *s = (struct chain_snapshot){.recv_seq = m->recv_seq,
                                 .resend_from = m->resend_from,
                                 .fence_version = m->fence_version,
                                 .session_count = m->n_dedup,
                                 .fenced = m->fenced,
                                 .fenced_count = m->n_fenced};

    s->sessions = mem_zalloc(m->n_dedup + 1, sizeof(*s->sessions));
    for (size_t i = 0; i < m->n_dedup; i++) {
        const Dfs__DedupEntry *e = m->dedup[i];

        if (e->executed.len != sizeof(s->sessions[i].executed))
            return DFS_EPROTO;
        s->sessions[i].session.v = e->session;
        s->sessions[i].floor = e->floor;
        memcpy(s->sessions[i].executed, e->executed.data, e->executed.len);
    }
    return 0;
}

static void on_begin(void *ctx, int status, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct begin_call call = *(struct begin_call *)ctx;
    struct chain_event ev = {.kind = CHAIN_EV_SYNC_FAILED, .waiter = call.waiter};
    struct chain_snapshot s = {0};
    Dfs__SyncBeginReply *m = NULL;

    msg_arena_init(&arena);
    free(ctx);
    if (f == NULL && call.pg->dn->is_stopping)
        return;
    if (status == 0)
        m = msg_unpack(&arena, &dfs__sync_begin_reply__descriptor, f->body, f->header.body_len);
    if (m != NULL && take_snapshot(m, &s) == 0) {
        ev.kind = CHAIN_EV_SYNC_SNAPSHOT;
        ev.epoch = call.epoch;
        ev.snapshot = &s;
    }
    pg_step(call.pg, &ev);
    free(s.sessions);
}

void joiner_begin(struct dn_pg *pg, const struct chain_action *a)
{
    struct dn_waiter *w = waiter_find(pg->dn, a->waiter);
    struct begin_call *call = MEM_NEW(struct begin_call);
    Dfs__SyncBeginRequest m = DFS__SYNC_BEGIN_REQUEST__INIT;

    *call = (struct begin_call){.pg = pg, .waiter = a->waiter, .epoch = a->epoch};
    m.pg = pg->key.pg;
    m.epoch = a->epoch;
    m.target = pg->key.target;
    m.incarnation = pg->dn->incarnation;
    (void)conn_call(w->conn, MSG_SYNC_BEGIN, &m.base, NULL, ASK_TIMEOUT_MS, on_begin, call);
}

static size_t own_list(struct dn_pg *pg, struct chunk_state **ret_list)
{
    struct chunk_state *list = NULL;
    struct chunk_id after = {0};
    size_t count = 0, got;

    do {
        list = mem_realloc(list, count + OWN_PAGE, sizeof(*list));
        got = store_list(pg->target, (struct pg_id){pg->key.pg}, after, OWN_PAGE, list + count);
        count += got;
        if (got > 0)
            after = list[count - 1].id;
    } while (got == OWN_PAGE);
    *ret_list = list;
    return count;
}

void joiner_start(struct dn_pg *pg, const struct chain_action *a)
{
    struct join_actions acts = {0};
    struct chunk_state *own;
    struct joiner *j;
    size_t count;

    joiner_stop(pg);
    if (pg->pred_conn == NULL)
        return;                   /* It broke just now: another hello will come. */
    if (pg->strays_in_hand > 0) { /* They must be gone before we compare: in a moment. */
        pg_post(pg, &(struct chain_event){.kind = CHAIN_EV_SYNC_FAILED, .waiter = a->waiter});
        return;
    }
    count = own_list(pg, &own);
    j = MEM_NEW(struct joiner);
    j->pg = pg;
    j->conn = conn_ref(pg->pred_conn);
    j->join = join_new((struct pg_id){pg->key.pg}, own, count, 0);
    join_look_again(j->join, pg->marked, pg->marked_count);
    j->waiter = a->waiter;
    j->refs = 1;
    pg->joiner = j;
    free(own);
    log_info("joining", "pg=%" PRIu32 " target=%" PRIu32 " source=%" PRIu32 " epoch=%" PRIu64,
             pg->key.pg, pg->key.target, a->to.v, a->epoch);
    metric_inc(pg->dn->m.joins);
    join_start(j->join, &acts);
    run_actions(j, &acts);
    join_actions_done(&acts);
}

void joiner_live(struct dn_pg *pg, const struct chain_op *op, struct chunk_ver ver)
{
    struct join_actions acts = {0};

    if (pg->joiner == NULL)
        return;
    join_live(pg->joiner->join, op, ver, &acts);
    run_actions(pg->joiner, &acts);
    join_actions_done(&acts);
}

void joiner_progress(const struct dn_pg *pg, uint64_t *ret_done, uint64_t *ret_total)
{
    struct join_progress p = {0};

    if (pg->joiner != NULL)
        join_progress(pg->joiner->join, &p);
    *ret_done = p.bytes_done;
    *ret_total = p.bytes_total;
}
