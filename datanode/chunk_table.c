/*
 * Records lie in pages that never move; a freed one joins a free list. Hash chains and the lists
 * of the PGs are linked by position, so that a chunk costs 64 bytes and a bucket of 4 to 8.
 */
#include "datanode/chunk_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"

enum { PAGE_CHUNKS = 1024, BUCKETS_MIN = 1024 };
#define NONE UINT32_MAX

struct pg_head {
    uint32_t pg;
    uint32_t first;
    UT_hash_handle hh;
};

struct chunk_table {
    struct chunk **pages;
    uint32_t page_count;
    uint32_t end;  /* positions ever used */
    uint32_t free; /* list through hash_next */
    size_t count;
    uint32_t *buckets;
    uint32_t bucket_count; /* a power of two */
    struct pg_head *pgs;
};

_Static_assert(sizeof(struct chunk) <= 72, "a chunk costs at most 72 bytes of table");

static uint32_t bucket_of(uint64_t id, uint32_t bucket_count)
{
    id ^= id >> 32;
    id *= UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(id >> 32) & (bucket_count - 1);
}

static uint32_t *buckets_new(uint32_t count)
{
    uint32_t *b = mem_alloc(count * sizeof(*b));

    memset(b, 0xff, count * sizeof(*b));
    return b;
}

struct chunk_table *chunk_table_new(void)
{
    struct chunk_table *t = MEM_NEW(struct chunk_table);

    t->free = NONE;
    t->bucket_count = BUCKETS_MIN;
    t->buckets = buckets_new(t->bucket_count);
    return t;
}

void chunk_table_free(struct chunk_table *t)
{
    struct pg_head *h, *next;

    if (!t)
        return;
    HASH_ITER (hh, t->pgs, h, next) {
        HASH_DEL(t->pgs, h);
        free(h);
    }
    for (uint32_t i = 0; i < t->page_count; i++)
        free(t->pages[i]);
    free(t->pages);
    free(t->buckets);
    free(t);
}

static struct chunk *at(const struct chunk_table *t, uint32_t position)
{
    return &t->pages[position / PAGE_CHUNKS][position % PAGE_CHUNKS];
}

struct chunk *chunk_table_find(const struct chunk_table *t, uint64_t id)
{
    uint32_t p = t->buckets[bucket_of(id, t->bucket_count)];

    for (; p != NONE; p = at(t, p)->hash_next)
        if (at(t, p)->id == id)
            return at(t, p);
    return NULL;
}

static void grow_buckets(struct chunk_table *t)
{
    uint32_t count = t->bucket_count * 2;
    uint32_t *buckets = buckets_new(count);

    for (uint32_t p = 0; p < t->end; p++) {
        struct chunk *c = at(t, p);
        uint32_t b;

        if (!c->is_used)
            continue;
        b = bucket_of(c->id, count);
        c->hash_next = buckets[b];
        buckets[b] = p;
    }
    free(t->buckets);
    t->buckets = buckets;
    t->bucket_count = count;
}

static struct chunk *take_free(struct chunk_table *t)
{
    struct chunk *c;

    if (t->free != NONE) {
        c = at(t, t->free);
        t->free = c->hash_next;
        return c;
    }
    if (t->end == t->page_count * PAGE_CHUNKS) {
        t->pages = mem_realloc(t->pages, t->page_count + 1, sizeof(*t->pages));
        t->pages[t->page_count++] = mem_zalloc(PAGE_CHUNKS, sizeof(struct chunk));
    }
    c = at(t, t->end);
    c->self = t->end++;
    return c;
}

static void pg_link(struct chunk_table *t, struct chunk *c)
{
    struct pg_head *h;

    HASH_FIND(hh, t->pgs, &c->pg, sizeof(c->pg), h);
    if (!h) {
        h = MEM_NEW(struct pg_head);
        h->pg = c->pg;
        h->first = NONE;
        HASH_ADD(hh, t->pgs, pg, sizeof(h->pg), h);
    }
    c->pg_prev = NONE;
    c->pg_next = h->first;
    if (h->first != NONE)
        at(t, h->first)->pg_prev = c->self;
    h->first = c->self;
}

static void pg_unlink(struct chunk_table *t, struct chunk *c)
{
    struct pg_head *h;

    if (c->pg_next != NONE)
        at(t, c->pg_next)->pg_prev = c->pg_prev;
    if (c->pg_prev != NONE) {
        at(t, c->pg_prev)->pg_next = c->pg_next;
        return;
    }
    HASH_FIND(hh, t->pgs, &c->pg, sizeof(c->pg), h);
    assert(h && h->first == c->self);
    h->first = c->pg_next;
    if (h->first == NONE) {
        HASH_DEL(t->pgs, h);
        free(h);
    }
}

struct chunk *chunk_table_add(struct chunk_table *t, uint64_t id, uint32_t pg)
{
    struct chunk *c;
    uint32_t self, b;

    assert(!chunk_table_find(t, id));
    if (t->count >= t->bucket_count && t->bucket_count < NONE / 2)
        grow_buckets(t);
    c = take_free(t);
    self = c->self;
    *c = (struct chunk){.id = id, .pg = pg, .self = self, .is_used = 1};
    b = bucket_of(id, t->bucket_count);
    c->hash_next = t->buckets[b];
    t->buckets[b] = self;
    pg_link(t, c);
    t->count++;
    return c;
}

void chunk_table_remove(struct chunk_table *t, struct chunk *c)
{
    uint32_t *p = &t->buckets[bucket_of(c->id, t->bucket_count)];

    while (*p != c->self)
        p = &at(t, *p)->hash_next;
    *p = c->hash_next;
    pg_unlink(t, c);
    c->is_used = 0;
    c->live = NULL;
    c->hash_next = t->free;
    t->free = c->self;
    t->count--;
}

void chunk_table_set_pg(struct chunk_table *t, struct chunk *c, uint32_t pg)
{
    pg_unlink(t, c);
    c->pg = pg;
    pg_link(t, c);
}

size_t chunk_table_count(const struct chunk_table *t)
{
    return t->count;
}

uint32_t chunk_table_end(const struct chunk_table *t)
{
    return t->end;
}

struct chunk *chunk_table_at(const struct chunk_table *t, uint32_t position)
{
    struct chunk *c = at(t, position);

    return c->is_used ? c : NULL;
}

struct chunk *chunk_table_first(const struct chunk_table *t, uint32_t pg)
{
    struct pg_head *h;

    HASH_FIND(hh, t->pgs, &pg, sizeof(pg), h);
    return h ? at(t, h->first) : NULL;
}

struct chunk *chunk_table_next(const struct chunk_table *t, const struct chunk *c)
{
    return c->pg_next != NONE ? at(t, c->pg_next) : NULL;
}

static int by_id(const void *a, const void *b)
{
    const struct chunk *const *x = a, *const *y = b;

    return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

size_t chunk_table_list(const struct chunk_table *t, uint32_t pg, uint64_t after, size_t max,
                        struct chunk **ret_chunks)
{
    struct chunk **all = NULL;
    size_t count = 0, room = 0;
    struct pg_head *h;

    HASH_FIND(hh, t->pgs, &pg, sizeof(pg), h);
    for (uint32_t p = h ? h->first : NONE; p != NONE; p = at(t, p)->pg_next) {
        if (at(t, p)->id <= after)
            continue;
        if (count == room) {
            room = room ? room * 2 : 256;
            all = mem_realloc(all, room, sizeof(*all));
        }
        all[count++] = at(t, p);
    }
    if (count)
        qsort(all, count, sizeof(*all), by_id);
    count = MIN(count, max);
    if (count)
        memcpy(ret_chunks, all, count * sizeof(*all));
    free(all);
    return count;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

size_t chunk_table_list_pgs(const struct chunk_table *t, uint32_t after, size_t max,
                            uint32_t *ret_pgs)
{
    uint32_t *all = mem_alloc((HASH_COUNT(t->pgs) + 1) * sizeof(*all));
    struct pg_head *h, *next;
    size_t count = 0;

    HASH_ITER (hh, t->pgs, h, next)
        if (h->pg > after)
            all[count++] = h->pg;
    qsort(all, count, sizeof(*all), by_number);
    count = MIN(count, max);
    if (count)
        memcpy(ret_pgs, all, count * sizeof(*all));
    free(all);
    return count;
}
