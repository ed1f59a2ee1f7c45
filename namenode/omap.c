#include "namenode/omap.h"

#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/mem.h"

void omap_init(struct omap *m)
{
    *m = (struct omap){.dice = 0x9e3779b97f4a7c15};
}

void omap_clear(struct omap *m)
{
    struct omap_node *n = m->head[0];

    while (n) {
        struct omap_node *next = n->next[0];

        free(n->value);
        free(n);
        n = next;
    }
    memset(m->head, 0, sizeof(m->head));
    m->count = 0;
}

void omap_done(struct omap *m)
{
    omap_clear(m);
}

int omap_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t both = MIN(a_len, b_len);
    int c = both > 0 ? memcmp(a, b, both) : 0;

    if (c != 0)
        return c;
    return a_len < b_len ? -1 : a_len > b_len;
}

/* The links that lead to the first node with a key >= key, one of each level. */
static struct omap_node *find_links(struct omap *m, const void *key, size_t len,
                                    struct omap_node ***links)
{
    struct omap_node **from = m->head;

    for (int level = OMAP_LEVELS - 1; level >= 0; level--) {
        while (from[level] && omap_compare(from[level]->key, from[level]->key_len, key, len) < 0)
            from = from[level]->next;
        links[level] = &from[level];
    }
    return *links[0];
}

struct omap_node *omap_seek(const struct omap *m, const void *key, size_t len)
{
    struct omap_node *const *from = m->head;

    for (int level = OMAP_LEVELS - 1; level >= 0; level--) {
        while (from[level] && omap_compare(from[level]->key, from[level]->key_len, key, len) < 0)
            from = from[level]->next;
    }
    return from[0];
}

struct omap_node *omap_find(const struct omap *m, const void *key, size_t len)
{
    struct omap_node *n = omap_seek(m, key, len);

    return n && omap_compare(n->key, n->key_len, key, len) == 0 ? n : NULL;
}

/* Each level holds a quarter of the one below. */
static uint8_t roll_levels(struct omap *m)
{
    uint8_t levels = 1;
    uint64_t x = m->dice;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    m->dice = x;
    while (levels < OMAP_LEVELS && (x & 3) == 0) {
        levels++;
        x >>= 2;
    }
    return levels;
}

static struct omap_node *find_or_add(struct omap *m, const void *key, size_t len)
{
    struct omap_node **links[OMAP_LEVELS];
    struct omap_node *n = find_links(m, key, len, links);
    uint8_t levels, *key_copy;

    if (n && omap_compare(n->key, n->key_len, key, len) == 0)
        return n;

    levels = roll_levels(m);
    n = mem_alloc(sizeof(*n) + levels * sizeof(n->next[0]) + len);
    *n = (struct omap_node){.key_len = (uint32_t)len, .level_count = levels};
    key_copy = (uint8_t *)&n->next[levels];
    memcpy(key_copy, key, len);
    n->key = key_copy;
    for (unsigned i = 0; i < levels; i++) {
        n->next[i] = *links[i];
        *links[i] = n;
    }
    m->count++;
    return n;
}

uint8_t *omap_put_room(struct omap *m, const void *key, size_t len, size_t value_len)
{
    struct omap_node *n = find_or_add(m, key, len);

    if (value_len > n->value_cap) {
        free(n->value);
        n->value = mem_alloc(value_len);
        n->value_cap = (uint32_t)value_len;
    }
    n->value_len = (uint32_t)value_len;
    n->deleted = false;
    return n->value;
}

void omap_put(struct omap *m, const void *key, size_t len, const void *value, size_t value_len)
{
    uint8_t *room = omap_put_room(m, key, len, value_len);

    if (value_len > 0)
        memcpy(room, value, value_len);
}

void omap_put_deleted(struct omap *m, const void *key, size_t len)
{
    struct omap_node *n = find_or_add(m, key, len);

    n->value_len = 0;
    n->deleted = true;
}

void omap_remove(struct omap *m, const void *key, size_t len)
{
    struct omap_node **links[OMAP_LEVELS];
    struct omap_node *n = find_links(m, key, len, links);

    if (!n || omap_compare(n->key, n->key_len, key, len) != 0)
        return;
    for (unsigned i = 0; i < n->level_count; i++)
        *links[i] = n->next[i];
    m->count--;
    free(n->value);
    free(n);
}

void omap_copy(struct omap *to, const struct omap *from)
{
    omap_clear(to);
    for (const struct omap_node *n = omap_first(from); n; n = omap_next(n))
        omap_put(to, n->key, n->key_len, n->value, n->value_len);
}
