#include "libdfs/dirty.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/mem.h"
#include "common/slab.h"

static struct dirty_piece *piece_of(struct extent *x)
{
    return CONTAINER_OF(x, struct dirty_piece, x);
}

/* ---- generations ---- */

static void drop_empty_gens(struct dirty *d)
{
    /* The newest one stays while it is open: more may be written in it. */
    while (d->oldest != NULL && d->oldest->pieces == 0 &&
           (d->oldest != d->newest || d->gen_closed)) {
        struct dirty_gen *g = d->oldest;

        d->oldest = g->next;
        if (d->newest == g)
            d->newest = NULL;
        free(g);
    }
}

static struct dirty_gen *gen_now(struct dirty *d, uint64_t now_ns)
{
    struct dirty_gen *g = d->newest;

    if (g == NULL || d->gen_closed) {
        g = MEM_NEW(struct dirty_gen);
        g->number = ++d->gen_count;
        if (d->newest != NULL)
            d->newest->next = g;
        else
            d->oldest = g;
        d->newest = g;
        d->gen_closed = false;
    }
    if (g->pieces == 0)
        g->first_ns = now_ns;
    return g;
}

uint64_t dirty_gen_close(struct dirty *d)
{
    uint64_t number = 0;

    for (const struct dirty_gen *g = d->oldest; g != NULL; g = g->next) {
        if (g->pieces > 0)
            number = g->number;
    }
    d->gen_closed = true;
    drop_empty_gens(d);
    return number;
}

bool dirty_gen_is_over(const struct dirty *d, uint64_t number)
{
    for (const struct dirty_gen *g = d->oldest; g != NULL && g->number <= number; g = g->next) {
        if (g->pieces > 0)
            return false;
    }
    return true;
}

const struct dirty_gen *dirty_gen_oldest(const struct dirty *d)
{
    for (const struct dirty_gen *g = d->oldest; g != NULL; g = g->next) {
        if (g->pieces > 0)
            return g;
    }
    return NULL;
}

/* ---- pieces ---- */

static struct dirty_piece *piece_new(uint64_t start, uint64_t end, const uint8_t *bytes,
                                     struct slab *slab, struct dirty_gen *gen, bool own)
{
    struct dirty_piece *p = MEM_NEW(struct dirty_piece);

    p->x.start = start;
    p->x.end = end;
    p->bytes = bytes;
    p->slab = slab_ref(slab);
    p->gen = gen;
    p->own = own;
    gen->pieces++;
    return p;
}

void dirty_piece_release(struct dirty *d, struct dirty_piece *p)
{
    p->gen->pieces--;
    slab_unref(p->slab);
    free(p);
    drop_empty_gens(d);
}

/* p keeps [start, at), the new piece behind it gets [at, end). */
static struct dirty_piece *split_piece(struct dirty *d, struct dirty_piece *p, uint64_t at)
{
    struct dirty_piece *rest =
        piece_new(at, p->x.end, p->bytes + (at - p->x.start), p->slab, p->gen, p->own);

    extent_resize(&d->pieces, &p->x, p->x.start, at);
    extent_insert(&d->pieces, &rest->x);
    return rest;
}

void dirty_cut(struct dirty *d, uint64_t start, uint64_t end)
{
    struct extent *x;

    if (start >= end)
        return;
    while ((x = extent_overlap(&d->pieces, start, end)) != NULL) {
        struct dirty_piece *p = piece_of(x);

        if (x->start < start) {
            (void)split_piece(d, p, start);
            continue;
        }
        if (x->end > end)
            (void)split_piece(d, p, end);
        extent_remove(&d->pieces, x);
        dirty_piece_release(d, p);
    }
}

void dirty_done(struct dirty *d)
{
    dirty_cut(d, 0, UINT64_MAX);
    slab_unref(d->fill);
    d->fill = NULL;
    d->gen_closed = true;
    drop_empty_gens(d);
    assert(d->oldest == NULL && "a piece was not released");
}

/* Overwriting what a small write left needs no new memory. */
static bool write_in_place(struct dirty *d, uint64_t offset, const void *bytes, size_t len)
{
    struct extent *x = extent_at_or_after(&d->pieces, offset);
    struct dirty_piece *p = x != NULL ? piece_of(x) : NULL;

    if (p == NULL || !p->own || x->start > offset || x->end < offset + len)
        return false;
    /* An own piece lies in a slab that only this file's small writes fill: ours to change. */
    memcpy(p->slab->data + (p->bytes - p->slab->data) + (offset - x->start), bytes, len);
    return true;
}

/* Copies into the slab being filled; continues the piece before it where both places meet. */
static void write_copy(struct dirty *d, struct slab_pool *slabs, uint64_t offset,
                       const uint8_t *bytes, size_t len, uint64_t now_ns)
{
    while (len > 0) {
        struct extent *before = extent_before(&d->pieces, offset);
        struct dirty_piece *p = before != NULL ? piece_of(before) : NULL;
        struct dirty_gen *gen = gen_now(d, now_ns);
        uint8_t *to;
        size_t n;

        if (d->fill == NULL || d->fill_len == DIRTY_FILL_SIZE) {
            slab_unref(d->fill);
            d->fill = slab_alloc(slabs, DIRTY_FILL_SIZE);
            d->fill_len = 0;
        }
        n = MIN(len, (size_t)DIRTY_FILL_SIZE - d->fill_len);
        to = d->fill->data + d->fill_len;
        memcpy(to, bytes, n);
        if (p != NULL && p->own && p->gen == gen && p->x.end == offset && p->slab == d->fill &&
            p->bytes + (p->x.end - p->x.start) == to) {
            extent_resize(&d->pieces, &p->x, p->x.start, offset + n);
        } else {
            p = piece_new(offset, offset + n, to, d->fill, gen, true);
            extent_insert(&d->pieces, &p->x);
        }
        d->fill_len += n;
        offset += n;
        bytes += n;
        len -= n;
    }
}

size_t dirty_write(struct dirty *d, struct slab_pool *slabs, uint64_t offset, const void *bytes,
                   size_t len, struct slab *slab, uint64_t now_ns)
{
    struct dirty_piece *p;

    if (len == 0)
        return 0;
    /* A reference holds the whole slab: worth it only when most of it is these bytes. */
    if (slab != NULL && len >= DIRTY_REF_MIN && len >= slab->capacity / 2) {
        dirty_cut(d, offset, offset + len);
        p = piece_new(offset, offset + len, bytes, slab, gen_now(d, now_ns), false);
        extent_insert(&d->pieces, &p->x);
        return 0;
    }
    if (write_in_place(d, offset, bytes, len))
        return len;
    dirty_cut(d, offset, offset + len);
    write_copy(d, slabs, offset, bytes, len, now_ns);
    return len;
}

size_t dirty_take(struct dirty *d, uint64_t start, uint64_t end, struct dirty_piece **ret_pieces,
                  size_t max)
{
    size_t n = 0;

    while (n < max && start < end) {
        struct extent *x = extent_at_or_after(&d->pieces, start);
        struct dirty_piece *p;

        if (x == NULL || x->start > start)
            break;
        p = piece_of(x);
        if (x->start < start)
            p = split_piece(d, p, start);
        if (p->x.end > end)
            (void)split_piece(d, p, end);
        extent_remove(&d->pieces, &p->x);
        start = p->x.end;
        ret_pieces[n++] = p;
    }
    return n;
}

void dirty_put_back_take(struct dirty *d, struct dirty_piece *p)
{
    uint64_t at = p->x.start;

    while (at < p->x.end) {
        struct extent *newer = extent_at_or_after(&d->pieces, at);
        uint64_t end = newer != NULL && newer->start < p->x.end ? newer->start : p->x.end;

        if (end > at) {
            struct dirty_piece *part =
                piece_new(at, end, p->bytes + (at - p->x.start), p->slab, p->gen, p->own);

            extent_insert(&d->pieces, &part->x);
        }
        at = end < p->x.end ? newer->end : end;
    }
    dirty_piece_release(d, p);
}
