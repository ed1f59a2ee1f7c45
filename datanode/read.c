/* Reads: of clients, and of a joiner that copies from us. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "datanode/dn.h"
#include "rpc/msg.h"

enum { SYNC_LIST_MAX = 4096, READ_MAX = 1 << 20 };

/* ---- the answer ---- */

static void release(void *ctx)
{
    store_read_release(ctx);
}

static void reply_data(struct dn_waiter *w, struct store_read_result *r)
{
    Dfs__ChunkReadReply m = DFS__CHUNK_READ_REPLY__INIT;
    struct rpc_payload p = {.file_fd = -1};

    m.epoch = pg_epoch(w->pg);
    m.len = r->len;
    m.crc_count = r->slot_count;
    if (r->slot_count > 0) {
        p.parts[p.part_count].bytes = r->slots;
        p.parts[p.part_count++].len = r->slot_count * sizeof(*r->slots);
    }
    if (r->len > 0 && r->fd >= 0) {
        store_read_keep(r);
        p.file_fd = r->fd;
        p.file_offset = r->file_offset;
        p.file_len = r->len;
        p.sent = release;
        p.sent_ctx = r;
    } else if (r->len > 0) {
        p.parts[p.part_count].bytes = r->slab->data;
        p.parts[p.part_count].len = r->len;
        p.parts[p.part_count++].slab = r->slab;
    }
    conn_reply(w->conn, w->type, w->rpc_id, &m.base, &p);
}

static void read_done(void *ctx, int status, struct store_read_result *r)
{
    struct dn_waiter *w = ctx;
    struct dn *dn = w->pg->dn;

    if (w->since_ns != 0)
        lateness_client_took(w->pg, w->since_ns);
    if (status < 0) {
        metric_add(dn->m.bad_blocks, status == DFS_EBADBLOCK);
        if (status == DFS_EBADBLOCK || status == DFS_EDIRTY)
            repair_start(w->pg, w->chunk);
        dn_reply_error(dn, w->conn, w->type, w->rpc_id, w->pg, status, NULL);
    } else {
        metric_inc(dn->m.reads);
        metric_add(dn->m.read_bytes, r->len);
        reply_data(w, r);
    }
    waiter_free(dn, w);
}

/* ---- clients ---- */

static bool is_range(uint32_t offset, uint32_t len)
{
    return offset % CHUNK_BLOCK_SIZE == 0 && len % CHUNK_BLOCK_SIZE == 0 && len > 0 &&
           len <= READ_MAX && (uint64_t)offset + len <= CHUNK_SIZE;
}

void read_on_request(struct dn *dn, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__ChunkReadRequest *m;
    struct dn_waiter *w;
    struct dn_pg *pg;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__chunk_read_request__descriptor, f->body, f->header.body_len);
    if (m == NULL || m->chunk_id == 0 || !is_range(m->offset, m->len)) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "not a read of whole blocks inside a chunk");
        return;
    }
    pg = pg_local(dn, m->pg);
    if (pg == NULL) {
        dn_reply_error(dn, c, f->header.type, f->header.rpc_id, NULL, DFS_ESTALE_EPOCH, NULL);
        return;
    }
    w = waiter_new(dn, WAITER_READ, c, f, pg);
    w->chunk.v = m->chunk_id;
    w->offset = m->offset;
    w->len = m->len;
    w->verify = m->verify;
    pg_step(pg, &(struct chain_event){.kind = CHAIN_EV_READ,
                                      .chunk = w->chunk,
                                      .offset = w->offset,
                                      .len = w->len,
                                      .epoch = m->epoch,
                                      .waiter = w->id});
}

void read_now(struct dn *dn, struct dn_waiter *w, const struct chain_action *a)
{
    struct store_read rd = {.chunk = w->chunk,
                            .offset = w->offset,
                            .len = w->len,
                            .verify = w->verify,
                            .want_fd = !w->verify && !conn_is_tls(w->conn)};

    if (a->status < 0) {
        metric_add(dn->m.stale, a->status == DFS_ESTALE_EPOCH);
        dn_reply_error(dn, w->conn, w->type, w->rpc_id, w->pg, a->status, NULL);
        waiter_free(dn, w);
        return;
    }
    w->since_ns = loop_now_ns(dn->loop);
    store_read(w->pg->target, &rd, read_done, w);
}

/* ---- a joiner ---- */

static bool is_source(const struct dn_pg *pg, uint64_t epoch)
{
    return chain_place_of(pg->chain)->role == CHAIN_SERVING && pg_epoch(pg) == epoch;
}

/* Only a serving member of the same epoch is a source. */
static struct dn_pg *source(struct dn *dn, struct conn *c, const struct rpc_frame *f, uint32_t id,
                            uint64_t epoch)
{
    struct dn_pg *pg = pg_local(dn, id);

    if (pg != NULL && is_source(pg, epoch))
        return pg;
    dn_reply_error(dn, c, f->header.type, f->header.rpc_id, pg, DFS_ESTALE_EPOCH, NULL);
    return NULL;
}

static void refuse(struct conn *c, const struct rpc_frame *f, const char *what)
{
    conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "not a %s", what);
}

static void reply_snapshot(struct dn_pg *pg, struct conn *c, const struct rpc_frame *f)
{
    Dfs__SyncBeginReply m = DFS__SYNC_BEGIN_REPLY__INIT;
    struct chain_snapshot s;
    Dfs__DedupEntry *entries, **pointers;

    chain_snapshot_make(pg->chain, &s);
    entries = mem_zalloc(s.session_count + 1, sizeof(*entries));
    pointers = mem_zalloc(s.session_count + 1, sizeof(*pointers));
    for (size_t i = 0; i < s.session_count; i++) {
        dfs__dedup_entry__init(&entries[i]);
        entries[i].session = s.sessions[i].session.v;
        entries[i].floor = s.sessions[i].floor;
        entries[i].executed.data = s.sessions[i].executed;
        entries[i].executed.len = sizeof(s.sessions[i].executed);
        pointers[i] = &entries[i];
    }
    m.recv_seq = s.recv_seq;
    m.resend_from = s.resend_from;
    m.dedup = pointers;
    m.n_dedup = s.session_count;
    m.fenced = s.fenced;
    m.n_fenced = s.fenced_count;
    m.fence_version = s.fence_version;
    conn_reply(c, f->header.type, f->header.rpc_id, &m.base, NULL);
    free(entries);
    free(pointers);
    chain_snapshot_done(&s);
}

void read_on_sync_begin(struct dn *dn, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__SyncBeginRequest *m;
    struct dn_pg *pg;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__sync_begin_request__descriptor, f->body, f->header.body_len);
    if (m == NULL) {
        refuse(c, f, "SyncBeginRequest");
        return;
    }
    pg = source(dn, c, f, m->pg, m->epoch);
    if (pg == NULL)
        return;
    if (chain_place_of(pg->chain)->succ.target.v != m->target ||
        chain_place_of(pg->chain)->succ.incarnation != m->incarnation) {
        dn_reply_error(dn, c, f->header.type, f->header.rpc_id, pg, DFS_ENOTHEAD,
                       "not the successor");
        return;
    }
    reply_snapshot(pg, c, f);
}

void read_on_sync_list(struct dn *dn, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__SyncListReply reply = DFS__SYNC_LIST_REPLY__INIT;
    Dfs__SyncListRequest *m;
    Dfs__ChunkState *out, **pointers;
    struct chunk_state *states;
    struct dn_pg *pg;
    size_t max;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__sync_list_request__descriptor, f->body, f->header.body_len);
    if (m == NULL) {
        refuse(c, f, "SyncListRequest");
        return;
    }
    pg = source(dn, c, f, m->pg, m->epoch);
    if (pg == NULL)
        return;
    max = MIN(MAX(m->limit, 1U), (uint32_t)SYNC_LIST_MAX);
    states = mem_zalloc(max, sizeof(*states));
    out = mem_zalloc(max, sizeof(*out));
    pointers = mem_zalloc(max, sizeof(*pointers));
    reply.n_chunks = store_list(pg->target, (struct pg_id){m->pg},
                                (struct chunk_id){m->after_chunk}, max, states);
    for (size_t i = 0; i < reply.n_chunks; i++) {
        dfs__chunk_state__init(&out[i]);
        out[i].chunk_id = states[i].id.v;
        out[i].flags = states[i].flags;
        out[i].ver_epoch = states[i].ver.epoch;
        out[i].ver_seq = states[i].ver.seq;
        out[i].len = states[i].len;
        out[i].trunc_version = states[i].trunc_version;
        pointers[i] = &out[i];
    }
    reply.chunks = pointers;
    reply.end = reply.n_chunks < max;
    conn_reply(c, f->header.type, f->header.rpc_id, &reply.base, NULL);
    free(states);
    free(out);
    free(pointers);
}

/*
 * What a joiner asks waits for its turn. That it is done later than it came changes nothing for the
 * joiner: it comes after more of our operations.
 */
static void wait_for_turn(struct dn_waiter *w, enum copy_kind kind, uint64_t epoch, uint64_t bytes,
                          void (*run)(struct copy_turn *t, bool is_ended))
{
    w->epoch = epoch;
    w->turn = (struct copy_turn){
        .kind = kind, .bytes = bytes, .is_urgent = pg_is_last_copy(w->pg), .run = run};
    copying_enter(w->pg->disk->copying, &w->turn);
}

/* Is the joiner still there, and are we still its source? Else the waiter is gone. */
static bool may_go_on(struct dn_waiter *w, bool is_ended)
{
    if (!is_ended && !conn_is_closed(w->conn) && is_source(w->pg, w->epoch))
        return true;
    dn_reply_error(w->pg->dn, w->conn, w->type, w->rpc_id, w->pg, DFS_ESTALE_EPOCH, NULL);
    waiter_free(w->pg->dn, w);
    return false;
}

static void crcs_done(void *ctx, int status, const struct store_crcs *crcs)
{
    struct dn_waiter *w = ctx;
    struct dn *dn = w->pg->dn;
    Dfs__SyncCrcsReply m = DFS__SYNC_CRCS_REPLY__INIT;
    struct rpc_payload p = {.file_fd = -1};

    copying_checked(w->pg->disk->copying);
    /* We lost its file: whatever the joiner has is better than our nothing. */
    if (status == 0 && crcs->state.flags & CHUNK_INCOMPLETE)
        status = DFS_EBADBLOCK;
    if (status == DFS_EBADBLOCK)
        repair_start(w->pg, w->chunk);
    if (status < 0) {
        dn_reply_error(dn, w->conn, w->type, w->rpc_id, w->pg, status, NULL);
    } else {
        if (crcs->bad_count > 0)
            repair_start(w->pg, crcs->state.id);
        m.len = crcs->state.len;
        m.flags = crcs->state.flags;
        m.ver_epoch = crcs->state.ver.epoch;
        m.ver_seq = crcs->state.ver.seq;
        m.trunc_version = crcs->state.trunc_version;
        m.crc_count = crcs->slot_count;
        if (crcs->slot_count > 0) {
            p.parts[0].bytes = crcs->slots;
            p.parts[0].len = crcs->slot_count * sizeof(*crcs->slots);
            p.parts[1].bytes = crcs->hashes;
            p.parts[1].len = crcs->slot_count * sizeof(*crcs->hashes);
            p.part_count = 2;
        }
        conn_reply(w->conn, w->type, w->rpc_id, &m.base, &p);
    }
    waiter_free(dn, w);
}

static void crcs_turn(struct copy_turn *t, bool is_ended)
{
    struct dn_waiter *w = CONTAINER_OF(t, struct dn_waiter, turn);
    struct copying *copying = w->pg->disk->copying;

    if (may_go_on(w, is_ended))
        store_crcs(w->pg->target, w->chunk, true, crcs_done, w);
    else if (!is_ended)
        copying_checked(copying);
}

void read_on_sync_crcs(struct dn *dn, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__SyncCrcsRequest *m;
    struct chunk_state state = {0};
    struct dn_waiter *w;
    struct dn_pg *pg;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__sync_crcs_request__descriptor, f->body, f->header.body_len);
    if (m == NULL || m->chunk_id == 0) {
        refuse(c, f, "SyncCrcsRequest");
        return;
    }
    pg = source(dn, c, f, m->pg, m->epoch);
    if (pg == NULL)
        return;
    w = waiter_new(dn, WAITER_READ, c, f, pg);
    w->chunk.v = m->chunk_id;
    (void)store_chunk_state(pg->target, w->chunk, &state);
    wait_for_turn(w, COPY_CHECK, m->epoch, state.len, crcs_turn);
}

static void read_turn(struct copy_turn *t, bool is_ended)
{
    struct dn_waiter *w = CONTAINER_OF(t, struct dn_waiter, turn);
    struct store_read rd = {.chunk = w->chunk, .offset = w->offset, .len = w->len, .verify = true};

    if (may_go_on(w, is_ended))
        store_read(w->pg->target, &rd, read_done, w);
}

void read_on_sync_read(struct dn *dn, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__SyncReadRequest *m;
    struct dn_waiter *w;
    struct dn_pg *pg;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__sync_read_request__descriptor, f->body, f->header.body_len);
    if (m == NULL || m->chunk_id == 0 || !is_range(m->offset, m->len)) {
        refuse(c, f, "SyncReadRequest");
        return;
    }
    pg = source(dn, c, f, m->pg, m->epoch);
    if (pg == NULL)
        return;
    w = waiter_new(dn, WAITER_READ, c, f, pg);
    w->chunk.v = m->chunk_id;
    w->offset = m->offset;
    w->len = m->len;
    wait_for_turn(w, COPY_DATA, m->epoch, m->len, read_turn);
}
