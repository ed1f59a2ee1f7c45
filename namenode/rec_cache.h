/*
 * The records read most (inodes, entries, counters, sessions) in memory in front of the store: a lookup
 * takes three of them, and each costs the store some 2.5 µs against 0.2 µs here. Least recently
 * used go first. It never knows better than the store: the state machine puts into it what it has
 * just read or just written.
 */
#ifndef NAMENODE_REC_CACHE_H
#define NAMENODE_REC_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "namenode/mutants.h"

struct rec_cache;

/* bytes_max bounds everything it takes, with malloc's share and the table of pointers. */
struct rec_cache *rec_cache_new(size_t bytes_max);
void rec_cache_free(struct rec_cache *c);
DEFINE_CLEANUP(rec_cache, rec_cache_free)

/* Does it keep records of this kind at all? kind is the key's first byte. */
static inline bool rec_cache_keeps(uint8_t kind)
{
    return kind == 'I' || kind == 'D' || kind == 'N' || kind == 'U' ||
           (kind == 'R' && MUTANT(DEDUP_IN_RAM));
}

/* NULL when it is not in here. The bytes live until the next put or remove. */
const uint8_t *rec_cache_get(struct rec_cache *c, const void *key, size_t key_len, size_t *ret_len);
void rec_cache_put(struct rec_cache *c, const void *key, size_t key_len, const void *value,
                   size_t value_len);
void rec_cache_remove(struct rec_cache *c, const void *key, size_t key_len);

/* For tests and metrics. */
size_t rec_cache_bytes(const struct rec_cache *c);
size_t rec_cache_count(const struct rec_cache *c);

#endif
