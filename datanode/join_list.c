/* The first step of a join: what each side has, and what follows from it. */
#include <assert.h>

#include "common/error.h"
#include "common/hash.h"
#include "common/mem.h"
#include "datanode/chain_mutant.h"
#include "datanode/join_private.h"

void join_start(struct join *j, struct join_actions *out)
{
    assert(j->state == JOIN_LISTING && j->theirs_count == 0);
    (void)join_emit(out, JOIN_ACT_ASK_LIST, (struct chunk_id){0});
}

static bool same(const struct chunk_state *a, const struct chunk_state *b)
{
    return a->flags == 0 && b->flags == 0 && a->ver.epoch == b->ver.epoch &&
           a->ver.seq == b->ver.seq && a->len == b->len && a->trunc_version == b->trunc_version;
}

static bool keeps_own(const struct join *j, const struct chunk_state *their,
                      const struct chunk_state *own)
{
    return JOIN_MUTANT(j, MUTANT_HIGHER_VERSION_WINS) && own->flags == 0 &&
           (own->ver.epoch > their->ver.epoch ||
            (own->ver.epoch == their->ver.epoch && own->ver.seq >= their->ver.seq));
}

static void extra_add(struct join *j, struct chunk_id id, bool keep_tombstone)
{
    j->extra[j->extra_count++] = (struct join_extra){id.v, keep_tombstone};
}

/*
 * The source has none: ours is of an order that was never acknowledged, or was left when we died
 * between deleting and forgetting. It would refuse what lives. (Unless an operation ordered it just
 * now: then the source will have it too.) seed=5438
 */
static void forget_tombstone(struct join *j, struct chunk_id id, struct join_actions *out)
{
    const struct join_chunk *c = join_chunk_find(j, id.v);

    if (c == NULL || !c->is_deleted)
        (void)join_emit(out, JOIN_ACT_FORGET, id);
}

/* Both lists are in order: walked side by side. */
static void plan(struct join *j, struct join_actions *out)
{
    size_t i = 0, k = 0;

    j->extra = mem_zalloc(j->own_count + j->theirs_count + 1, sizeof(*j->extra));
    while (i < j->own_count || k < j->theirs_count) {
        const struct chunk_state *own = i < j->own_count ? &j->own[i] : NULL;
        const struct chunk_state *their = k < j->theirs_count ? &j->theirs[k] : NULL;
        bool gone;

        if (their == NULL || (own != NULL && own->id.v < their->id.v)) {
            if (own->flags & CHUNK_DELETED)
                forget_tombstone(j, own->id, out);
            else
                extra_add(j, own->id, false);
            i++;
            continue;
        }
        k++;
        if (own != NULL && own->id.v == their->id.v)
            i++;
        else
            own = NULL;
        gone = own == NULL || (own->flags & CHUNK_DELETED) != 0;
        if (their->flags & CHUNK_DELETED) {
            if (own == NULL || !gone)
                extra_add(j, their->id, true);
            continue;
        }
        if (own != NULL && gone)
            forget_tombstone(j, their->id, out);
        j->progress.bytes_total += their->len;
        if (!gone && (same(their, own) || keeps_own(j, their, own)) &&
            join_chunk_find(j, their->id.v) == NULL) {
            join_chunk_get(j, their->id.v)->complete = true;
            j->progress.bytes_done += their->len;
            continue;
        }
        join_work_add(j, their->id.v);
    }
}

void join_on_list(struct join *j, const struct join_event *ev, struct join_actions *out)
{
    struct chunk_id last;

    if (ev->status < 0) {
        join_fail(j, ev->status, out);
        return;
    }
    for (size_t i = 0; i < ev->count; i++) {
        if (j->theirs_count > 0 && ev->states[i].id.v <= j->theirs[j->theirs_count - 1].id.v) {
            join_fail(j, DFS_EPROTO, out);
            return;
        }
        if (j->theirs_count == j->theirs_capacity) {
            j->theirs_capacity = j->theirs_capacity == 0 ? 256 : j->theirs_capacity * 2;
            j->theirs = mem_realloc(j->theirs, j->theirs_capacity, sizeof(*j->theirs));
        }
        j->theirs[j->theirs_count++] = ev->states[i];
    }
    if (!ev->end && ev->count > 0) {
        last = ev->states[ev->count - 1].id;
        (void)join_emit(out, JOIN_ACT_ASK_LIST, last);
        return;
    }
    plan(j, out);
    join_next_chunk(j, out);
}

static const struct chunk_state *find(const struct chunk_state *list, size_t count, uint64_t id)
{
    size_t from = 0;

    while (from < count) {
        size_t mid = from + (count - from) / 2;

        if (list[mid].id.v == id)
            return &list[mid];
        if (list[mid].id.v < id)
            from = mid + 1;
        else
            count = mid;
    }
    return NULL;
}

bool join_was_same(const struct join *j, struct chunk_id chunk)
{
    const struct chunk_state *own = find(j->own, j->own_count, chunk.v);
    const struct chunk_state *their = find(j->theirs, j->theirs_count, chunk.v);

    return own != NULL && their != NULL && own->flags == 0 &&
           (their->flags & (CHUNK_DIRTY | CHUNK_SUSPECT | CHUNK_DELETED)) == 0 &&
           own->ver.epoch == their->ver.epoch && own->ver.seq == their->ver.seq;
}

/* ---- for the exploration ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    return hash64(&v, sizeof(v), h);
}

static uint64_t hash_state(uint64_t h, const struct chunk_state *s)
{
    h = mix(h, s->id.v << 32 | s->flags);
    h = mix(h, s->ver.epoch << 32 | s->ver.seq);
    return mix(h, s->len);
}

static uint64_t hash_blocks(uint64_t h, const struct join_blocks *b)
{
    h = hash64(b->slots, b->count * sizeof(*b->slots), mix(h, b->count));
    return hash64(b->hashes, b->count * sizeof(*b->hashes), h);
}

uint64_t join_state_hash(const struct join *j)
{
    uint64_t h = mix((uint64_t)j->state, j->now.v), chunks = 0;

    for (size_t i = 0; i < j->own_count; i++)
        h = hash_state(h, &j->own[i]);
    for (size_t i = 0; i < j->theirs_count; i++)
        h = hash_state(h, &j->theirs[i]);
    for (size_t i = j->work_next; i < j->work_count; i++)
        h = mix(h, j->work[i]);
    for (size_t i = j->extra_next; i < j->extra_count; i++)
        h = mix(h, j->extra[i].id << 1 | j->extra[i].keep_tombstone);
    for (const struct join_chunk *c = j->chunks; c != NULL; c = c->hh.next)
        chunks += mix(mix(c->id.v << 4 | (uint64_t)c->complete << 3 | (uint64_t)c->incomplete << 2 |
                              (uint64_t)c->marked << 1 | c->is_deleted,
                          c->ver.epoch),
                      c->ver.seq);
    h = mix(h, chunks);
    h = mix(h, (uint64_t)j->have_theirs << 7 | (uint64_t)j->have_own << 6 |
                   (uint64_t)j->own_missing << 5 | (uint64_t)j->theirs_missing << 4 |
                   (uint64_t)j->any_touched << 3 | (uint64_t)j->fix_length << 2 |
                   (uint64_t)j->deleting << 1 | j->copy_failed);
    h = mix(h, (uint64_t)j->scan << 32 | j->in_hand);
    h = mix(h, j->refused);
    h = hash_state(hash_state(h, &j->their_state), &j->own_state);
    h = hash_blocks(hash_blocks(h, &j->theirs_now), &j->own_now);
    h = hash64(j->own_bad, sizeof(j->differs), h);
    h = hash64(j->differs, sizeof(j->differs), h);
    h = hash64(j->touched, sizeof(j->touched), h);
    return hash64(j->overwritten, sizeof(j->overwritten), h);
}
