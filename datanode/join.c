#include "datanode/join.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/limits.h"
#include "common/mem.h"
#include "datanode/chain_mutant.h"
#include "datanode/chunk_file.h"
#include "datanode/join_private.h"

enum { DATA_BYTES = CHUNK_OP_MAX, DATA_ASKED_MAX = 4, REFUSED_MAX = 16 };

/* ---- small things ---- */

void join_actions_clear(struct join_actions *a)
{
    a->count = 0;
}

void join_actions_done(struct join_actions *a)
{
    free(a->items);
    *a = (struct join_actions){0};
}

struct join_action *join_emit(struct join_actions *out, enum join_action_kind kind,
                              struct chunk_id chunk)
{
    struct join_action *a;

    if (out->count == out->capacity) {
        out->capacity = out->capacity == 0 ? 8 : out->capacity * 2;
        out->items = mem_realloc(out->items, out->capacity, sizeof(*out->items));
    }
    a = &out->items[out->count++];
    *a = (struct join_action){.kind = kind, .chunk = chunk};
    return a;
}

static void bit_set(uint64_t *map, uint32_t i)
{
    map[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool bit_get(const uint64_t *map, uint32_t i)
{
    return (map[i / 64] >> (i % 64)) & 1;
}

static void bits_clear(uint64_t *map, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        map[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static void bits_set(uint64_t *map, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++)
        bit_set(map, i);
}

struct join_chunk *join_chunk_find(const struct join *j, uint64_t id)
{
    struct join_chunk *c = NULL;

    HASH_FIND(hh, j->chunks, &id, sizeof(id), c);
    return c;
}

struct join_chunk *join_chunk_get(struct join *j, uint64_t id)
{
    struct join_chunk *c = join_chunk_find(j, id);

    if (c != NULL)
        return c;
    c = MEM_NEW(struct join_chunk);
    c->id.v = id;
    HASH_ADD(hh, j->chunks, id.v, sizeof(c->id.v), c);
    return c;
}

void join_work_add(struct join *j, uint64_t id)
{
    if (j->work_count == j->work_capacity) {
        j->work_capacity = j->work_capacity == 0 ? 64 : j->work_capacity * 2;
        j->work = mem_realloc(j->work, j->work_capacity, sizeof(*j->work));
    }
    j->work[j->work_count++] = id;
    j->progress.chunks_total++;
}

void join_fail(struct join *j, int status, struct join_actions *out)
{
    j->state = JOIN_OVER;
    join_emit(out, JOIN_ACT_FAILED, (struct chunk_id){0})->status = status;
}

struct join *join_new(struct pg_id pg, const struct chunk_state *own, size_t own_count,
                      unsigned mutant)
{
    struct join *j = MEM_NEW(struct join);

    j->pg = pg;
    j->mutant = mutant;
    j->own = mem_realloc(NULL, own_count + 1, sizeof(*own));
    if (own_count > 0)
        memcpy(j->own, own, own_count * sizeof(*own));
    j->own_count = own_count;
    j->own_bad = mem_zalloc(CHUNK_BLOCKS / 64, sizeof(uint64_t));
    return j;
}

void join_free(struct join *j)
{
    struct join_chunk *c, *tmp;

    if (j == NULL)
        return;
    HASH_ITER (hh, j->chunks, c, tmp) {
        HASH_DEL(j->chunks, c);
        free(c);
    }
    free(j->own);
    free(j->theirs);
    free(j->work);
    free(j->extra);
    free(j->theirs_now.slots);
    free(j->theirs_now.hashes);
    free(j->own_now.slots);
    free(j->own_now.hashes);
    free(j->own_bad);
    free(j);
}

size_t join_marked(const struct join *j, uint64_t **ret_chunks)
{
    uint64_t *chunks = mem_zalloc(HASH_COUNT(j->chunks) + 1, sizeof(*chunks));
    size_t count = 0;

    for (const struct join_chunk *c = j->chunks; c != NULL; c = c->hh.next) {
        if (c->marked)
            chunks[count++] = c->id.v;
    }
    *ret_chunks = chunks;
    return count;
}

void join_look_again(struct join *j, const uint64_t *chunks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        join_chunk_get(j, chunks[i])->marked = true;
}

/* ---- one chunk after the other ---- */

static void mark_incomplete(struct join_chunk *c, struct join_actions *out)
{
    if (c->incomplete)
        return;
    c->incomplete = c->marked = true;
    (void)join_emit(out, JOIN_ACT_MARK_INCOMPLETE, c->id);
}

static void compare_start(struct join *j, struct join_actions *out)
{
    j->state = JOIN_COMPARING;
    j->have_theirs = j->have_own = false;
    j->own_missing = j->theirs_missing = false;
    j->any_touched = j->any_cut = j->fix_length = j->look_again = j->deleting = false;
    j->live_end = 0;
    j->scan = 0;
    j->copy_failed = false;
    memset(j->differs, 0, sizeof(j->differs));
    memset(j->touched, 0, sizeof(j->touched));
    memset(j->overwritten, 0, sizeof(j->overwritten));
    (void)join_emit(out, JOIN_ACT_ASK_CRCS, j->now);
}

static void delete_next(struct join *j, struct join_actions *out)
{
    while (j->extra_next < j->extra_count) {
        const struct join_extra *x = &j->extra[j->extra_next++];
        struct join_action *a;

        if (join_chunk_find(j, x->id) !=
            NULL) /* A live operation made it: it was compared instead. */
            continue;
        j->state = JOIN_DELETING;
        a = join_emit(out, JOIN_ACT_DELETE, (struct chunk_id){x->id});
        a->keep_tombstone = x->keep_tombstone;
        return;
    }
    j->state = JOIN_OVER;
    (void)join_emit(out, JOIN_ACT_DONE, (struct chunk_id){0});
}

/* What live operations touched and no list named. */
static void gather_touched(struct join *j)
{
    struct join_chunk *c, *tmp;

    HASH_ITER (hh, j->chunks, c, tmp) {
        if (!c->complete)
            join_work_add(j, c->id.v);
    }
}

void join_next_chunk(struct join *j, struct join_actions *out)
{
    for (;;) {
        struct join_chunk *c;

        if (j->work_next == j->work_count)
            gather_touched(j);
        if (j->work_next == j->work_count)
            break;
        c = join_chunk_get(j, j->work[j->work_next++]);
        if (c->complete) {
            j->progress.chunks_done++;
            continue;
        }
        j->now = c->id;
        j->copied = 0;
        j->refused = 0;
        compare_start(j, out);
        return;
    }
    delete_next(j, out);
}

/* ---- comparing ---- */

static void take_blocks(struct join_blocks *b, const struct join_event *ev)
{
    b->count = (uint32_t)ev->count;
    if (b->count == 0)
        return;
    b->slots = mem_realloc(b->slots, b->count, sizeof(*b->slots));
    b->hashes = mem_realloc(b->hashes, b->count, sizeof(*b->hashes));
    memcpy(b->slots, ev->slots, b->count * sizeof(*b->slots));
    memcpy(b->hashes, ev->hashes, b->count * sizeof(*b->hashes));
}

static void mark_complete(struct join *j, struct join_actions *out)
{
    struct join_chunk *c = join_chunk_get(j, j->now.v);
    struct join_action *a;

    /* Set now, not when it is durable: from here on live operations need no second look. */
    c->complete = true;
    j->progress.chunks_done++;
    j->progress.bytes_done += j->their_state.len;
    j->copied = 0;
    j->state = JOIN_MARKING;
    a = join_emit(out, JOIN_ACT_MARK_COMPLETE, j->now);
    a->ver = j->their_state.ver;
    a->trunc_version = MAX(j->their_state.trunc_version, c->trunc_version);
    if (c->ver.epoch > a->ver.epoch || (c->ver.epoch == a->ver.epoch && c->ver.seq > a->ver.seq))
        a->ver = c->ver;
}

/* The source has none of it. */
static void absent_there(struct join *j, struct join_actions *out)
{
    struct join_chunk *c = join_chunk_get(j, j->now.v);

    if (j->any_touched) { /* A live operation has made it since we asked: seed=3285. */
        compare_start(j, out);
        return;
    }
    if (j->own_missing) {
        c->complete = true;
        j->progress.chunks_done++;
        join_next_chunk(j, out);
        return;
    }
    /* A live operation may make it again while it goes: then there will be another look. */
    c->incomplete = false;
    j->deleting = true;
    j->state = JOIN_MARKING;
    (void)join_emit(out, JOIN_ACT_DELETE, j->now);
}

static void marked(struct join *j, struct join_actions *out)
{
    if (j->deleting && j->any_touched) {
        compare_start(j, out);
        return;
    }
    if (j->deleting) {
        join_chunk_get(j, j->now.v)->complete = true;
        j->progress.chunks_done++;
    }
    join_next_chunk(j, out);
}

static uint32_t slot_at(const struct join_blocks *b, uint32_t block)
{
    return block < b->count ? b->slots[block] : 0;
}

static uint64_t hash_at(const struct join_blocks *b, uint32_t block)
{
    return block < b->count ? b->hashes[block] : 0;
}

/* At rest on both sides, and the same: but for blocks that went bad. */
static bool is_same_version(const struct join *j)
{
    const struct chunk_state *a = &j->their_state, *b = &j->own_state;

    return !j->own_missing && ((a->flags | b->flags) & ~(uint32_t)CHUNK_BAD) == 0 &&
           a->ver.epoch == b->ver.epoch && a->ver.seq == b->ver.seq && a->len == b->len;
}

static bool is_bad_there(const struct join *j, uint32_t block)
{
    return hash_at(&j->theirs_now, block) == CHUNK_HASH_UNKNOWN;
}

static bool is_equal(const struct join *j, uint32_t block)
{
    bool is_bad = bit_get(j->own_bad, block);
    bool same_slot = slot_at(&j->theirs_now, block) == slot_at(&j->own_now, block);

    if (is_bad_there(j, block))
        return same_slot || (!is_bad && is_same_version(j));
    if (!same_slot || is_bad)
        return false;
    return hash_at(&j->theirs_now, block) == hash_at(&j->own_now, block) ||
           JOIN_MUTANT(j, MUTANT_COMPARE_CRCS);
}

static bool differ(struct join *j)
{
    uint32_t count = MAX(j->theirs_now.count, j->own_now.count);
    bool any = false;

    for (uint32_t i = 0; i < count; i++) {
        if (is_equal(j, i) || bit_get(j->overwritten, i))
            continue;
        bit_set(j->differs, i);
        any = true;
        j->look_again |= !bit_get(j->touched, i) || is_bad_there(j, i);
    }
    return any;
}

/*
 * What is bad at the source becomes bad here, with the same slot: so all else of the group is safe
 * all the same, and both know what they do not have. Not over what came live since we asked.
 */
static void take_bad(struct join *j, uint32_t from, uint32_t to, struct join_actions *out)
{
    for (uint32_t end; from < to; from = end) {
        struct join_action *a;

        for (end = from + 1; end < to && bit_get(j->touched, end) == bit_get(j->touched, from);)
            end++;
        if (bit_get(j->touched, from))
            continue;
        a = join_emit(out, JOIN_ACT_COPY, j->now);
        a->offset = from * CHUNK_BLOCK_SIZE;
        a->len = (end - from) * CHUNK_BLOCK_SIZE;
        a->slots = j->theirs_now.slots + from;
        j->in_hand++;
    }
}

/* Asks for runs of blocks that differ, some at a time. */
static void ask_data(struct join *j, struct join_actions *out)
{
    while (j->in_hand < DATA_ASKED_MAX && j->scan < CHUNK_BLOCKS) {
        uint32_t from = j->scan, to;
        struct join_action *a;

        while (from < CHUNK_BLOCKS && !bit_get(j->differs, from))
            from++;
        to = from;
        while (to < CHUNK_BLOCKS && bit_get(j->differs, to) &&
               is_bad_there(j, to) == is_bad_there(j, from) &&
               (to - from) * CHUNK_BLOCK_SIZE < DATA_BYTES)
            to++;
        j->scan = to;
        if (from == to)
            break;
        bits_clear(j->differs, from, to);
        bits_clear(j->raced, from, to);
        if (is_bad_there(j, from)) {
            take_bad(j, from, to, out);
            continue;
        }
        a = join_emit(out, JOIN_ACT_ASK_DATA, j->now);
        a->offset = from * CHUNK_BLOCK_SIZE;
        a->len = (to - from) * CHUNK_BLOCK_SIZE;
        j->in_hand++;
    }
}

static void copying_on(struct join *j, struct join_actions *out)
{
    ask_data(j, out);
    if (j->in_hand > 0)
        return;
    if (j->copy_failed) {
        join_fail(j, -EIO, out);
        return;
    }
    /* Copies are whole blocks: the length is set behind them. What came live has made it longer, unless
     * it was cut: then it may be any. */
    if (j->fix_length && !j->any_cut) {
        j->fix_length = false;
        j->in_hand++;
        join_emit(out, JOIN_ACT_TRUNCATE, j->now)->offset = MAX(j->their_state.len, j->live_end);
        return;
    }
    if ((j->look_again || j->any_cut) && !JOIN_MUTANT(j, MUTANT_COPY_OVER_LIVE))
        compare_start(j, out); /* Until both are equal: the copy is checked by the same look. */
    else
        mark_complete(j, out);
}

/* We zeroed a tail for a mark that the source knows nothing of: it must be zeroed again. */
static bool is_ahead(const struct join *j)
{
    const struct join_chunk *c = join_chunk_find(j, j->now.v);
    uint64_t live = c != NULL ? c->trunc_version : 0;

    return !j->own_missing && j->own_state.trunc_version > MAX(j->their_state.trunc_version, live);
}

static void compared(struct join *j, struct join_actions *out)
{
    bool any;

    if (j->theirs_missing) {
        absent_there(j, out);
        return;
    }
    j->look_again = j->own_missing || is_ahead(j);
    any = differ(j);
    j->fix_length = j->own_missing || j->their_state.len != j->own_state.len;
    if (!any && !j->fix_length && !is_ahead(j)) {
        mark_complete(j, out);
        return;
    }

    if (j->own_missing)
        join_chunk_get(j, j->now.v)->incomplete = false;
    mark_incomplete(join_chunk_get(j, j->now.v), out);
    j->state = JOIN_COPYING;
    j->in_hand = 0;
    copying_on(j, out);
}

static int check_crcs(const struct join_event *ev)
{
    if (ev->state.len > CHUNK_SIZE || ev->count > CHUNK_BLOCKS)
        return DFS_EPROTO;
    return 0;
}

/*
 * The source has none of its blocks. Ours is what it had if both were at rest at one version; else it
 * is lost here as well: INCOMPLETE, and so never shown, whatever the file holds.
 */
static void lost_there(struct join *j, struct join_actions *out)
{
    struct join_chunk *c = join_chunk_get(j, j->now.v);

    if (!join_was_same(j, j->now))
        mark_incomplete(c, out);
    c->complete = true;
    j->progress.chunks_done++;
    join_next_chunk(j, out);
}

static void on_crcs(struct join *j, const struct join_event *ev, struct join_actions *out)
{
    int r = ev->status;

    if (j->state != JOIN_COMPARING || j->have_theirs)
        return;
    if (r == DFS_EBADBLOCK) {
        lost_there(j, out);
        return;
    }
    if (r == DFS_ENOCHUNK)
        j->theirs_missing = true;
    else if (r == 0)
        r = check_crcs(ev);
    if (r < 0 && r != DFS_ENOCHUNK) {
        join_fail(j, r, out);
        return;
    }
    j->their_state = ev->state;
    if (j->theirs_missing)
        j->their_state = (struct chunk_state){.id = j->now};
    take_blocks(&j->theirs_now, ev);
    j->have_theirs = true;
    (void)join_emit(out, JOIN_ACT_OWN_CRCS, j->now);
}

static void on_own(struct join *j, const struct join_event *ev, struct join_actions *out)
{
    /* Its file is gone: as if it were empty, it is copied whole. */
    const struct join_event lost = {.kind = JOIN_EV_OWN, .state = {.id = j->now}};
    int r;

    if (j->state != JOIN_COMPARING || !j->have_theirs || j->have_own)
        return;
    if (ev->status == DFS_EBADBLOCK)
        ev = &lost;
    r = ev->status;
    if (r == DFS_ENOCHUNK)
        j->own_missing = true;
    else if (r == 0)
        r = check_crcs(ev);
    if (r < 0 && r != DFS_ENOCHUNK) {
        join_fail(j, r, out);
        return;
    }
    j->own_state = ev->state;
    if (j->own_missing)
        j->own_state = (struct chunk_state){.id = j->now};
    take_blocks(&j->own_now, ev);
    memset(j->own_bad, 0, CHUNK_BLOCKS / 8);
    if (ev->bad != NULL)
        memcpy(j->own_bad, ev->bad, (ev->count + 63) / 64 * sizeof(*ev->bad));
    j->have_own = true;
    compared(j, out);
}

/* ---- copying ---- */

static void copy_run(struct join *j, const struct join_event *ev, uint32_t from, uint32_t to,
                     struct join_actions *out)
{
    uint32_t first = ev->offset / CHUNK_BLOCK_SIZE;
    uint32_t there = (uint32_t)ev->count; /* blocks that have bytes; the rest are zeros */
    struct join_action *a;

    while (from < to) {
        bool bytes = from - first < there;
        uint32_t end = bytes ? MIN(to, first + there) : to;

        a = join_emit(out, JOIN_ACT_COPY, j->now);
        a->offset = from * CHUNK_BLOCK_SIZE;
        a->len = (end - from) * CHUNK_BLOCK_SIZE;
        if (bytes) {
            a->payload = ev->payload;
            a->bytes = ev->bytes + (size_t)(from - first) * CHUNK_BLOCK_SIZE;
            a->slots = ev->slots + (from - first);
        }
        j->in_hand++;
        j->fix_length |= a->offset + a->len > j->their_state.len;
        j->progress.bytes_copied += a->len;
        j->copied += a->len;
        from = end;
    }
}

/* What was overwritten meanwhile is equal by that. */
static void ask_again(struct join *j, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        if (bit_get(j->overwritten, i))
            continue;
        bit_set(j->differs, i);
        j->scan = MIN(j->scan, i);
    }
}

static void on_data(struct join *j, const struct join_event *ev, struct join_actions *out)
{
    uint32_t i, from, end;
    bool take;

    if (j->state != JOIN_COPYING)
        return;
    assert(j->in_hand > 0);
    j->in_hand--;
    if (ev->status < 0 && ev->status != DFS_ENOCHUNK &&
        (ev->status != DFS_EBADBLOCK || ++j->refused > REFUSED_MAX)) {
        join_fail(j, ev->status, out);
        return;
    }
    /* Deleted meanwhile, or gone bad: the next look will find that. */
    j->look_again |= ev->status < 0;
    end = ev->status < 0 ? 0 : (ev->offset + ev->len) / CHUNK_BLOCK_SIZE;
    for (i = ev->offset / CHUNK_BLOCK_SIZE; i < end; i = from) {
        take = !bit_get(j->raced, i) || JOIN_MUTANT(j, MUTANT_COPY_OVER_LIVE);
        for (from = i + 1; from < end && bit_get(j->raced, from) == bit_get(j->raced, i);)
            from++;
        if (take)
            copy_run(j, ev, i, from, out);
        else
            ask_again(j, i, from);
    }
    copying_on(j, out);
}

static void on_stored(struct join *j, const struct join_event *ev, struct join_actions *out)
{
    switch (j->state) {
    case JOIN_COPYING:
        assert(j->in_hand > 0);
        j->in_hand--;
        /* A tombstone came in between: the next look finds the chunk gone at the source too. */
        if (ev->status < 0 && ev->status != -ESTALE && ev->status != DFS_ENOCHUNK)
            j->copy_failed = true;
        copying_on(j, out);
        return;
    case JOIN_MARKING:
        if (ev->status < 0 && ev->status != -ESTALE && ev->status != DFS_ENOCHUNK) {
            join_fail(j, ev->status, out);
            return;
        }
        marked(j, out);
        return;
    case JOIN_DELETING:
        if (ev->status < 0) {
            join_fail(j, ev->status, out);
            return;
        }
        /* Live operations may have touched more chunks while it went. */
        join_next_chunk(j, out);
        return;
    case JOIN_LISTING:
    case JOIN_COMPARING:
    case JOIN_OVER:
        return;
    }
}

void join_step(struct join *j, const struct join_event *ev, struct join_actions *out)
{
    if (j->state == JOIN_OVER)
        return;
    switch (ev->kind) {
    case JOIN_EV_LIST:
        if (j->state == JOIN_LISTING)
            join_on_list(j, ev, out);
        return;
    case JOIN_EV_CRCS:
        on_crcs(j, ev, out);
        return;
    case JOIN_EV_OWN:
        on_own(j, ev, out);
        return;
    case JOIN_EV_DATA:
        on_data(j, ev, out);
        return;
    case JOIN_EV_STORED:
        on_stored(j, ev, out);
        return;
    }
}

/* ---- live operations ---- */

static void touch_now(struct join *j, const struct chain_op *op)
{
    uint32_t from = op->offset / CHUNK_BLOCK_SIZE, to = CHUNK_BLOCKS;

    if (op->kind == CHAIN_WRITE || op->kind == CHAIN_REPAIR)
        to = (op->offset + op->len + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE;
    if (op->kind == CHAIN_DELETE)
        from = 0;
    bits_set(j->touched, from, to);
    bits_set(j->raced, from, to);
    j->any_touched = true;
    if (op->kind == CHAIN_WRITE || op->kind == CHAIN_REPAIR)
        j->live_end = MAX(j->live_end, op->offset + op->len);
    else
        j->any_cut = true;
    if (op->kind == CHAIN_WRITE)
        bits_set(j->overwritten, (op->offset + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE,
                 (op->offset + op->len) / CHUNK_BLOCK_SIZE);
}

static void live_on(struct join *j, const struct chain_op *op, uint64_t id, struct chunk_ver ver,
                    struct join_actions *out)
{
    struct join_chunk *c = join_chunk_get(j, id);

    c->ver = ver;
    c->trunc_version = MAX(c->trunc_version, op->trunc_version);
    c->is_deleted = op->kind == CHAIN_DELETE;
    if (j->now.v == id && j->state != JOIN_OVER)
        touch_now(j, op);
    if (!c->complete && op->kind != CHAIN_DELETE)
        mark_incomplete(c, out);
}

void join_live(struct join *j, const struct chain_op *op, struct chunk_ver ver,
               struct join_actions *out)
{
    struct join_chunk *c;

    switch (op->kind) {
    case CHAIN_WRITE:
    case CHAIN_TRUNC:
    case CHAIN_REPAIR:
        live_on(j, op, op->chunk.v, ver, out);
        return;
    case CHAIN_DELETE:
        for (uint32_t i = 0; i < op->chunk_count; i++)
            live_on(j, op, op->chunks[i], ver, out);
        return;
    case CHAIN_SYNC: /* Stands for a truncation that was done before, here perhaps not. */
        if (op->trunc_version != 0) {
            c = join_chunk_get(j, op->chunk.v);
            c->trunc_version = MAX(c->trunc_version, op->trunc_version);
        }
        return;
    case CHAIN_FENCE:
        return;
    }
}

bool join_is_over(const struct join *j)
{
    return j->state == JOIN_OVER;
}

void join_progress(const struct join *j, struct join_progress *ret_progress)
{
    *ret_progress = j->progress;
    /* A chunk is long: what came over of the one in hand counts. */
    ret_progress->bytes_done += MIN(j->copied, j->their_state.len);
}
