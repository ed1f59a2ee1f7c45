/* The clients of the box, and what must hold. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/error.h"
#include "common/mem.h"
#include "datanode/chain_private.h"
#include "tests/sim/box.h"
#include "tests/sim/box_store.h"

void box_mail_add(struct box *b, const struct box_mail *m)
{
    struct box_mail *copy = MEM_NEW(struct box_mail);

    *copy = *m;
    DL_APPEND(b->mail, copy);
}

static int op_new(struct box *b, int client, struct chain_op *op, uint32_t chunk)
{
    struct box_op *o;

    if (b->op_count == BOX_OPS_MAX)
        abort(); /* The caller's loop is too long for the box. */
    o = &b->ops[b->op_count];
    *o = (struct box_op){.client = client, .op = op, .chunk = chunk, .invoked = ++b->now};
    if (op != NULL)
        op->payload = (void *)(uintptr_t)(b->op_count + 1);
    return b->op_count++;
}

static int client_op(struct box *b, int client, struct chain_op *op, uint32_t chunk)
{
    struct box_client *c = &b->clients[client];
    int index = op_new(b, client, op, chunk);

    op->session = c->session;
    op->opseq = c->next_opseq;
    c->next_opseq += b->o.opseq_step != 0 ? b->o.opseq_step : 1;
    op->floor = op->opseq; /* One at a time: every earlier one has its answer. */
    op->first_epoch = c->config.epoch;
    c->current = index;
    return index;
}

int box_write(struct box *b, int client, uint32_t chunk, uint32_t first_cell, uint32_t cells)
{
    struct chain_op *op = chain_op_new(CHAIN_WRITE);
    int index;

    op->chunk.v = chunk + 1;
    op->offset = first_cell * BOX_CELL_BYTES;
    op->len = cells * BOX_CELL_BYTES;
    index = client_op(b, client, op, chunk);
    b->ops[index].first_cell = first_cell;
    b->ops[index].end_cell = first_cell + cells;
    return index;
}

int box_trunc(struct box *b, int client, uint32_t chunk, uint32_t first_cell)
{
    struct chain_op *op = chain_op_new(CHAIN_TRUNC);

    op->chunk.v = chunk + 1;
    op->offset = first_cell * BOX_CELL_BYTES;
    return client_op(b, client, op, chunk);
}

int box_sync(struct box *b, int client, uint64_t since_epoch)
{
    struct chain_op *op = chain_op_new(CHAIN_SYNC);
    uint64_t chunks[BOX_CHUNKS];

    for (uint32_t i = 0; i < BOX_CHUNKS; i++)
        chunks[i] = i + 1;
    op->since_epoch = since_epoch;
    chain_op_set_chunks(op, chunks, BOX_CHUNKS);
    return client_op(b, client, op, 0);
}

int box_delete(struct box *b, uint32_t chunk)
{
    struct chain_op *op = chain_op_new(CHAIN_DELETE);
    uint64_t id = chunk + 1;

    chain_op_set_chunks(op, &id, 1);
    return op_new(b, -1, op, chunk);
}

int box_read(struct box *b, int client, uint32_t chunk, uint32_t block, int member)
{
    int index = op_new(b, client, NULL, chunk);
    struct box_op *o = &b->ops[index];

    o->is_read = true;
    o->first_cell = block * 2;
    o->end_cell = block * 2 + 2;
    box_mail_add(b, &(struct box_mail){
                        .member = member, .op = index, .epoch = b->clients[client].config.epoch});
    return index;
}

void box_fence(struct box *b, int client)
{
    struct chain_op *op;

    if (b->fence_op >= 0 || b->fenced_count == BOX_CLIENTS)
        return;
    op = chain_op_new(CHAIN_FENCE);
    op->session = b->clients[client].session;
    op->fence_version = ++b->config.fence_version;
    b->fenced[b->fenced_count++] = op->session.v;
    b->fence_op = op_new(b, client, op, 0);
    memset(b->pushed, 0, sizeof(b->pushed));
    b->sometimes.fences++;
}

void box_send(struct box *b, int op, int member, uint64_t epoch)
{
    box_mail_add(b, &(struct box_mail){.member = member, .op = op, .epoch = epoch});
}

/* I27: every serving member of some epoch has it, applied or copied. */
static bool whole_chain_has(const struct box *b, int op)
{
    for (unsigned i = 0; i < b->history_count; i++) {
        const struct chain_config *c = &b->history[i];
        bool all = chain_config_writable(c) || b->ops[op].op->kind == CHAIN_FENCE;

        for (uint32_t k = 0; k < c->member_count && all; k++) {
            const struct box_member *m = &b->members[c->members[k].target.v - 1];

            if (c->members[k].state == MEMBER_SERVING)
                all = m->applied[op];
        }
        if (all)
            return true;
    }
    return false;
}

static bool is_final(int status)
{
    return status == DFS_EFENCED || status == DFS_ECOLD || status == -ENOSPC;
}

void box_fence_done(struct box *b, int client)
{
    struct box_client *c = &b->clients[client];

    if (!c->fenced)
        c->fence_epoch = b->config.epoch;
    c->fenced = true;
}

/* What a sync says of the writes before it: they outlast everything; or some of them may be gone. */
static void after_sync(struct box *b, const struct box_mail *m, const struct box_op *sync)
{
    struct box_client *c = sync->client >= 0 ? &b->clients[sync->client] : NULL;

    if (c == NULL)
        return;
    if (sync->op->kind != CHAIN_SYNC) {
        if (sync->acked && (c->since_epoch == 0 || sync->op->first_epoch < c->since_epoch))
            c->since_epoch = sync->op->first_epoch;
        return;
    }
    b->sometimes.synced += sync->acked;
    b->sometimes.too_cold += m->status == DFS_ECOLD;
    if (sync->acked || m->status == DFS_ECOLD)
        c->since_epoch = 0;
    for (int i = 0; sync->acked && i < b->op_count; i++) {
        struct box_op *w = &b->ops[i];

        if (w->client == sync->client && !w->is_read && w->acked && w->durable == 0 &&
            !w->is_lost && w->answered < sync->invoked)
            w->durable = sync->answered;
    }
    for (int i = 0; m->status == DFS_ECOLD && i < b->op_count; i++) {
        if (b->ops[i].client == sync->client && b->ops[i].durable == 0 && b->ops[i].acked)
            b->ops[i].is_lost = true; /* The client was told. */
    }
}

void box_answered(struct box *b, const struct box_mail *m)
{
    struct box_op *o = &b->ops[m->op];

    if (o->answered != 0)
        return;
    if (o->is_read) {
        o->answered = b->now;
        o->refused = m->status < 0;
        memcpy(o->values, m->values, sizeof(o->values));
        b->sometimes.reads++;
        return;
    }
    if (m->status < 0 && !is_final(m->status)) {
        if (m->epoch >= o->sent_epoch)
            o->sent_epoch = 0;
        return;
    }
    o->answered = b->now;
    o->ended_epoch = b->config.epoch;
    o->acked = m->status == 0;
    o->acked_epoch = m->epoch;
    o->refused = m->status < 0;
    after_sync(b, m, o);
    if (o->acked && !whole_chain_has(b, m->op))
        box_violate(b, "I27: acknowledged and not on every member of a chain", "op=%d", m->op);
    if (o->client >= 0 && b->clients[o->client].current == m->op)
        b->clients[o->client].current = -1;
    if (b->fence_op == m->op) {
        if (o->acked)
            box_fence_done(b, o->client);
        b->clients[o->client].fenced_by_op = o->acked;
        b->clients[o->client].passed_epoch = b->config.epoch;
        b->fence_op = -1;
    }
    b->sometimes.acked += o->acked;
}

/* ---- after each step ---- */

static void check_prefix(struct box *b, int x)
{
    struct box_member *me = &b->members[x], *succ;
    const struct chain_place *place = chain_place_of(me->chain);
    const struct chain_config *c = chain_config_of(me->chain);

    if (place->role != CHAIN_SERVING || ID_IS_NONE(place->succ.target))
        return;
    succ = box_member_of(b, place->succ.target);
    if (!succ->alive || succ->incarnation != place->succ.incarnation ||
        chain_config_of(succ->chain)->epoch != c->epoch ||
        chain_place_of(succ->chain)->role != CHAIN_SERVING)
        return;
    if (chain_recv_seq(succ->chain) > chain_recv_seq(me->chain)) {
        box_violate(b, "I26: the successor has more", "member=%d", x);
        return;
    }
    for (uint64_t s = chain_recv_seq(succ->chain) + 1; s <= chain_recv_seq(me->chain); s++) {
        if (window_find(&me->chain->window, s) == NULL)
            box_violate(b, "I26: what the successor lacks is not in the window", "member=%d seq=%d",
                        x, (int)s);
    }
}

static void check_complete(struct box *b, int i)
{
    const struct box_member *m = &b->members[i];
    struct chunk_state states[BOX_CHUNKS];
    uint32_t count;

    if (chain_place_of(m->chain)->role != CHAIN_SERVING && !chain_is_synced(m->chain))
        return;
    count = box_states(b, i, states);
    for (uint32_t k = 0; k < count; k++) {
        if (states[k].flags & CHUNK_INCOMPLETE)
            box_violate(b, "I32: an incomplete chunk where all is said to be complete",
                        "member=%d chunk=%u", i, (unsigned)states[k].id.v - 1);
    }
}

void box_check(struct box *b)
{
    for (int i = 0; i < BOX_MEMBERS && b->violation == NULL; i++) {
        struct box_member *m = &b->members[i];
        uint64_t epoch;

        if (!m->alive)
            continue;
        epoch = chain_config_of(m->chain)->epoch;
        if (epoch < m->last_epoch)
            box_violate(b, "I25: an epoch went back", "member=%d", i);
        if (epoch > b->config.epoch)
            box_violate(b, "I25: an epoch from nowhere", "member=%d", i);
        m->last_epoch = epoch;
        if (chain_is_synced(m->chain)) {
            m->was_synced_in = epoch;
            m->was_synced_as = m->incarnation;
        }
        check_prefix(b, i);
        check_complete(b, i);
    }
}

/* ---- at rest ---- */

static bool same_chunk(const struct box_chunk *x, const struct box_chunk *y)
{
    return x->exists == y->exists && x->tombstone == y->tombstone && x->len == y->len &&
           memcmp(x->cells, y->cells, sizeof(x->cells)) == 0;
}

static void tell_difference(struct box *b, const struct box_member *x, const struct box_member *y,
                            uint32_t chunk)
{
    const struct box_chunk *p = &x->disk[chunk], *q = &y->disk[chunk];
    uint32_t cell = 0;

    while (cell < BOX_CELLS - 1 && p->cells[cell] == q->cells[cell])
        cell++;
    box_violate(b, "I29: serving members differ",
                "members=%d,%d chunk=%u exists=%d,%d len=%u,%u cell %u=%x,%x", (int)x->target.v - 1,
                (int)y->target.v - 1, chunk, p->exists, q->exists, p->len, q->len, cell,
                p->cells[cell], q->cells[cell]);
}

static void check_identical(struct box *b)
{
    const struct box_member *first = NULL;

    for (uint32_t i = 0; i < b->config.member_count; i++) {
        const struct box_member *m = box_member_of(b, b->config.members[i].target);

        if (b->config.members[i].state != MEMBER_SERVING)
            continue;
        if (first == NULL)
            first = m;
        for (uint32_t k = 0; k < BOX_CHUNKS; k++) {
            if (m->disk[k].incomplete)
                box_violate(b, "I32: a serving member has an incomplete chunk", "member=%u", i);
            if (!same_chunk(&first->disk[k], &m->disk[k]))
                tell_difference(b, first, m, k);
        }
    }
}

/*
 * One cell as a register, all written values different (Gibbons and Korach 1997): each value has a
 * zone from the first end to the last begin of what concerns it. Two forward zones must not
 * overlap, and no backward zone may lie inside a forward one.
 */
struct zone {
    bool used, forward;
    uint64_t first_end, last_begin;
};

static void zone_add(struct zone *z, uint64_t begin, uint64_t end)
{
    if (!z->used) {
        *z = (struct zone){.used = true, .first_end = end, .last_begin = begin};
        return;
    }
    z->first_end = MIN(z->first_end, end);
    z->last_begin = MAX(z->last_begin, begin);
}

static void check_zones(struct box *b, struct zone *zones, int count, uint32_t cell)
{
    for (int i = 0; i < count; i++)
        zones[i].forward = zones[i].first_end < zones[i].last_begin;
    for (int i = 0; i < count; i++) {
        if (!zones[i].used || !zones[i].forward)
            continue;
        for (int k = 0; k < count; k++) {
            if (k == i || !zones[k].used)
                continue;
            if (zones[k].forward ? k > i && zones[k].first_end < zones[i].last_begin &&
                                       zones[i].first_end < zones[k].last_begin
                                 : zones[k].last_begin > zones[i].first_end &&
                                       zones[k].first_end < zones[i].last_begin)
                box_violate(b, "a cell is not a register", "cell=%u values %d and %d", cell, i, k);
        }
    }
}

/*
 * A total failure at `began` may have taken a write back: after a crash of the processes one that nobody
 * was told of (its client will send it again), after a power failure also one that was not synced.
 */
static bool is_safe(const struct box_op *w, bool is_cold, uint64_t began)
{
    return is_cold ? w->durable != 0 && w->durable <= began : w->acked && w->answered <= began;
}

/* By one that was after `from` and, unless 0, not after `to`. */
static bool may_be_undone(const struct box *b, const struct box_op *w, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < b->history_count; i++) {
        const struct chain_config *c = &b->history[i];

        if (c->reset_epoch == c->epoch && from <= b->began[i] && (to == 0 || b->began[i] <= to) &&
            !is_safe(w, c->cold_epoch == c->epoch, b->began[i]))
            return true;
    }
    return false;
}

/* Bytes of several writes in one cell: of such as were torn by a power failure. */
static bool may_be_mixed(const struct box *b, uint32_t chunk, uint32_t cell, uint64_t now)
{
    for (int i = 0; i < b->op_count; i++) {
        const struct box_op *w = &b->ops[i];

        if (!w->is_read && w->chunk == chunk && cell >= w->first_cell && cell < w->end_cell &&
            may_be_undone(b, w, w->invoked, now))
            return true;
    }
    return false;
}

static void check_value(struct box *b, struct zone *zones, uint32_t chunk, uint32_t cell,
                        uint32_t value, uint64_t begin, uint64_t end)
{
    if (value & BOX_MIXED || value > (uint32_t)b->op_count) {
        if (!may_be_mixed(b, chunk, cell, end))
            box_violate(b, "a cell of bytes that were never written together",
                        "chunk=%u cell=%u value=%x", chunk, cell, value);
        return;
    }
    if (value > 0 && b->ops[value - 1].invoked > end)
        box_violate(b, "a read from the future", "chunk=%u cell=%u value=%u", chunk, cell, value);
    if (value > 0 && may_be_undone(b, &b->ops[value - 1], end, 0)) {
        b->sometimes.undone++;
        return;
    }
    zone_add(&zones[value], begin, end);
}

static void check_register(struct box *b, uint32_t chunk, uint32_t cell)
{
    static struct zone zones[BOX_OPS_MAX + 1];

    memset(zones, 0, sizeof(zones));
    zone_add(&zones[0], 0, 0);
    for (int i = 0; i < b->op_count; i++) {
        struct box_op *o = &b->ops[i];

        if (o->chunk != chunk || cell < o->first_cell || cell >= o->end_cell)
            continue;
        if (!o->is_read)
            zone_add(&zones[i + 1], o->invoked,
                     o->acked && !may_be_undone(b, o, o->answered, 0) ? o->answered : UINT64_MAX);
        else if (o->answered != 0 && !o->refused)
            check_value(b, zones, chunk, cell, o->values[cell - o->first_cell], o->invoked,
                        o->answered);
    }
    /* What the disks hold at last is a read of its own. */
    for (uint32_t i = 0; i < b->config.member_count; i++) {
        const struct box_member *m = box_member_of(b, b->config.members[i].target);

        if (b->config.members[i].state == MEMBER_SERVING)
            check_value(b, zones, chunk, cell, m->disk[chunk].cells[cell], b->now + 1, b->now + 2);
    }
    check_zones(b, zones, b->op_count + 1, cell);
}

void box_check_quiet(struct box *b)
{
    for (uint32_t i = 0; i < b->config.member_count; i++) {
        struct box_member *m = box_member_of(b, b->config.members[i].target);

        if (m->store != NULL && b->config.members[i].state == MEMBER_SERVING)
            box_store_look(m->store, m->disk);
    }
    check_identical(b);
    for (uint32_t chunk = 0; chunk < BOX_CHUNKS; chunk++) {
        bool register_only = true;

        for (int i = 0; i < b->op_count; i++) {
            if (!b->ops[i].is_read && b->ops[i].chunk == chunk &&
                (b->ops[i].op->kind == CHAIN_TRUNC || b->ops[i].op->kind == CHAIN_DELETE))
                register_only = false;
        }
        for (uint32_t cell = 0; register_only && cell < BOX_CELLS; cell++)
            check_register(b, chunk, cell);
    }
}
