#include "namenode/rec_cache.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/mem.h"

enum { BUCKETS_MIN = 1024 };

struct entry {
    struct entry *chain;         /* same bucket */
    struct entry *older, *newer; /* order of use */
    uint64_t hash;
    uint16_t key_len, value_len, value_cap;
    uint8_t bytes[]; /* key, value */
};

struct rec_cache {
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    struct entry *oldest, *newest;
    size_t count, bytes, bytes_max;
};

struct rec_cache *rec_cache_new(size_t bytes_max)
{
    struct rec_cache *c = MEM_NEW(struct rec_cache);

    c->bytes_max = bytes_max;
    c->bucket_count = BUCKETS_MIN;
    c->buckets = mem_zalloc(c->bucket_count, sizeof(c->buckets[0]));
    return c;
}

void rec_cache_free(struct rec_cache *c)
{
    if (!c)
        return;
    while (c->oldest) {
        struct entry *e = c->oldest;

        c->oldest = e->newer;
        free(e);
    }
    free(c->buckets);
    free(c);
}

/* With malloc's own share (a header of 8 bytes, in steps of 16), and two places in the table, which
 * is half empty at times: records are small, this is a third of what they take. */
static size_t size_of(const struct entry *e)
{
    size_t bytes = sizeof(*e) + e->key_len + e->value_cap;

    return ((bytes + 8 + 15) & ~(size_t)15) + 2 * sizeof(e->chain);
}

static void unlink_use(struct rec_cache *c, struct entry *e)
{
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
}

static void link_newest(struct rec_cache *c, struct entry *e)
{
    e->older = c->newest;
    e->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

/* The link that leads to the entry, or to NULL at the end of its bucket. */
static struct entry **find_link(struct rec_cache *c, uint64_t hash, const void *key, size_t key_len)
{
    struct entry **link = &c->buckets[hash & (c->bucket_count - 1)];

    while (*link && ((*link)->hash != hash || (*link)->key_len != key_len ||
                     memcmp((*link)->bytes, key, key_len) != 0))
        link = &(*link)->chain;
    return link;
}

static void drop(struct rec_cache *c, struct entry **link)
{
    struct entry *e = *link;

    *link = e->chain;
    unlink_use(c, e);
    c->bytes -= size_of(e);
    c->count--;
    free(e);
}

static void grow(struct rec_cache *c)
{
    size_t old_count = c->bucket_count;
    struct entry **old = c->buckets;

    c->bucket_count *= 2;
    c->buckets = mem_zalloc(c->bucket_count, sizeof(c->buckets[0]));
    for (size_t i = 0; i < old_count; i++) {
        while (old[i]) {
            struct entry *e = old[i];
            struct entry **to = &c->buckets[e->hash & (c->bucket_count - 1)];

            old[i] = e->chain;
            e->chain = *to;
            *to = e;
        }
    }
    free(old);
}

const uint8_t *rec_cache_get(struct rec_cache *c, const void *key, size_t key_len, size_t *ret_len)
{
    struct entry *e = *find_link(c, hash64(key, key_len, 0), key, key_len);

    if (!e)
        return NULL;
    if (e != c->newest) {
        unlink_use(c, e);
        link_newest(c, e);
    }
    *ret_len = e->value_len;
    return e->bytes + e->key_len;
}

void rec_cache_put(struct rec_cache *c, const void *key, size_t key_len, const void *value,
                   size_t value_len)
{
    uint64_t hash = hash64(key, key_len, 0);
    struct entry **link = find_link(c, hash, key, key_len);
    struct entry *e = *link;

    if (e && e->value_cap < value_len) {
        drop(c, link);
        e = NULL;
    }
    if (key_len > UINT16_MAX || value_len > UINT16_MAX)
        return;
    if (!e) {
        if (c->count >= c->bucket_count)
            grow(c);
        link = &c->buckets[hash & (c->bucket_count - 1)];
        e = mem_alloc(sizeof(*e) + key_len + value_len);
        *e = (struct entry){.chain = *link,
                            .hash = hash,
                            .key_len = (uint16_t)key_len,
                            .value_cap = (uint16_t)value_len};
        memcpy(e->bytes, key, key_len);
        *link = e;
        c->count++;
        c->bytes += size_of(e);
    } else {
        unlink_use(c, e);
    }
    link_newest(c, e);
    e->value_len = (uint16_t)value_len;
    if (value_len > 0)
        memcpy(e->bytes + key_len, value, value_len);
    while (c->bytes > c->bytes_max)
        drop(c, find_link(c, c->oldest->hash, c->oldest->bytes, c->oldest->key_len));
}

void rec_cache_remove(struct rec_cache *c, const void *key, size_t key_len)
{
    struct entry **link = find_link(c, hash64(key, key_len, 0), key, key_len);

    if (*link)
        drop(c, link);
}

size_t rec_cache_bytes(const struct rec_cache *c)
{
    return c->bytes;
}

size_t rec_cache_count(const struct rec_cache *c)
{
    return c->count;
}
