/*
 * Bytes to bytes in byte order, in memory: a skip list (Pugh, "Skip Lists: A Probabilistic
 * Alternative to Balanced Trees"). Holds kv_mem's store and the changes of a batch under way, where
 * an entry may also say "deleted".
 */
#ifndef NAMENODE_OMAP_H
#define NAMENODE_OMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OMAP_LEVELS = 16 };

struct omap_node {
    uint32_t key_len, value_len;
    uint32_t value_cap;
    uint8_t level_count;
    bool deleted; /* a tombstone: has no value */
    uint8_t *value;
    const uint8_t *key;
    struct omap_node *next[];
};

struct omap {
    struct omap_node *head[OMAP_LEVELS];
    size_t count;
    uint64_t dice; /* decides heights; no effect that could be seen */
};

void omap_init(struct omap *m);
void omap_done(struct omap *m);
void omap_clear(struct omap *m);

/* NULL when absent; a tombstone is present. */
struct omap_node *omap_find(const struct omap *m, const void *key, size_t len);
/* The first node with a key >= key, or NULL. */
struct omap_node *omap_seek(const struct omap *m, const void *key, size_t len);
static inline struct omap_node *omap_first(const struct omap *m)
{
    return m->head[0];
}
static inline struct omap_node *omap_next(const struct omap_node *n)
{
    return n->next[0];
}

void omap_put(struct omap *m, const void *key, size_t len, const void *value, size_t value_len);
/* The same, of a value that the caller then writes where this points to. */
uint8_t *omap_put_room(struct omap *m, const void *key, size_t len, size_t value_len);
void omap_put_deleted(struct omap *m, const void *key, size_t len);
void omap_remove(struct omap *m, const void *key, size_t len);
void omap_copy(struct omap *to, const struct omap *from);

/* memcmp order, a prefix before what it begins. */
int omap_compare(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
