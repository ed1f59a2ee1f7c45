#include "libdfs/layout.h"

#include <stdlib.h>
#include <uthash.h>

#include "common/mem.h"

enum { PAGE_SLOTS = 16 }; /* 1 GiB of a file: one page for nearly all of them */

struct layout_page {
    uint32_t number;
    UT_hash_handle hh;
    struct layout_slot slots[PAGE_SLOTS];
};

static struct layout_page *find_page(const struct layout *l, uint32_t number)
{
    struct layout_page *p = NULL;

    HASH_FIND(hh, l->pages, &number, sizeof(number), p);
    return p;
}

static struct layout_slot *make_slot(struct layout *l, uint32_t index)
{
    struct layout_page *p = find_page(l, index / PAGE_SLOTS);

    if (p == NULL) {
        p = MEM_NEW(struct layout_page);
        p->number = index / PAGE_SLOTS;
        HASH_ADD(hh, l->pages, number, sizeof(p->number), p);
    }
    return &p->slots[index % PAGE_SLOTS];
}

void layout_done(struct layout *l)
{
    struct layout_page *p, *tmp;

    l->complete = false;
    HASH_ITER (hh, l->pages, p, tmp) {
        HASH_DEL(l->pages, p);
        free(p);
    }
}

struct layout_slot *layout_find(const struct layout *l, uint32_t index)
{
    struct layout_page *p = find_page(l, index / PAGE_SLOTS);
    struct layout_slot *s = p != NULL ? &p->slots[index % PAGE_SLOTS] : NULL;

    return s != NULL && s->state != LAYOUT_UNKNOWN ? s : NULL;
}

enum layout_state layout_state(const struct layout *l, uint32_t index)
{
    const struct layout_slot *s = layout_find(l, index);

    if (s != NULL)
        return s->state;
    return l->complete ? LAYOUT_HOLE : LAYOUT_UNKNOWN;
}

void layout_set_chunk(struct layout *l, uint32_t index, struct chunk_id chunk, struct pg_id pg,
                      bool materialized)
{
    struct layout_slot *s = make_slot(l, index);

    /* The same chunk never loses its bytes; another one in its place begins without. */
    if (s->state != LAYOUT_CHUNK || !ID_EQUAL(s->chunk, chunk))
        *s = (struct layout_slot){.chunk = chunk, .pg = pg, .state = LAYOUT_CHUNK};
    s->materialized = s->materialized || materialized;
}

void layout_set_hole(struct layout *l, uint32_t index)
{
    struct layout_slot *s = make_slot(l, index);

    *s = (struct layout_slot){.state = LAYOUT_HOLE};
}

void layout_doubt(struct layout *l, uint32_t index)
{
    struct layout_slot *s = layout_find(l, index);

    if (s != NULL)
        *s = (struct layout_slot){.state = LAYOUT_UNKNOWN};
    l->complete = false;
}

void layout_forget(struct layout *l)
{
    struct layout_page *p, *tmp;

    l->complete = false;
    HASH_ITER (hh, l->pages, p, tmp) {
        bool keep = false;

        for (unsigned i = 0; i < PAGE_SLOTS; i++) {
            struct layout_slot *s = &p->slots[i];

            if (s->fresh || s->commit_flying)
                keep = true;
            else
                *s = (struct layout_slot){.state = LAYOUT_UNKNOWN};
        }
        if (!keep) {
            HASH_DEL(l->pages, p);
            free(p);
        }
    }
}

void layout_cut(struct layout *l, uint32_t first_hole)
{
    struct layout_page *p, *tmp;

    HASH_ITER (hh, l->pages, p, tmp) {
        for (uint32_t i = 0; i < PAGE_SLOTS; i++) {
            if (p->number * PAGE_SLOTS + i >= first_hole)
                p->slots[i] = (struct layout_slot){.state = LAYOUT_HOLE};
        }
    }
}

size_t layout_fresh(const struct layout *l, uint32_t *indexes, size_t max)
{
    struct layout_page *p, *tmp;
    size_t n = 0;

    HASH_ITER (hh, l->pages, p, tmp) {
        for (uint32_t i = 0; i < PAGE_SLOTS; i++) {
            if (!p->slots[i].fresh)
                continue;
            if (n < max)
                indexes[n] = p->number * PAGE_SLOTS + i;
            n++;
        }
    }
    return n;
}
