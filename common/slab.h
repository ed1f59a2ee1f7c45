/*
 * Blocks of memory that carry chunk data from a socket to the disk and to the next replica without
 * a copy: page-aligned, counted, recycled. Any thread, except that the bytes are written by one
 * owner before the block is shared.
 */
#ifndef COMMON_SLAB_H
#define COMMON_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct slab_pool;

struct slab {
    uint8_t *data;   /* page-aligned */
    size_t capacity; /* at least what was asked for; a multiple of the page size */
    size_t len;      /* free for the owner; 0 at first */
    /* Private. */
    struct slab_pool *pool;
    struct slab *next;
    _Atomic unsigned refs;
    unsigned size_class;
};

/* keep_bytes_max: how much unused memory the pool holds on to. */
struct slab_pool *slab_pool_new(size_t keep_bytes_max);
/* All blocks must have been given back: asserted. NULL is fine. */
void slab_pool_free(struct slab_pool *p);
DEFINE_CLEANUP(slab_pool, slab_pool_free)

/* With one reference, contents undefined. size <= SLAB_SIZE_MAX (common/limits.h). Never NULL. */
struct slab *slab_alloc(struct slab_pool *p, size_t size);
struct slab *slab_ref(struct slab *s);
/* The last one gives it back to the pool. NULL is fine. */
void slab_unref(struct slab *s);
DEFINE_CLEANUP(slab, slab_unref)

struct slab_stats {
    size_t used_bytes, used_count; /* out at the moment */
    size_t kept_bytes;             /* in the pool's hands */
};
void slab_pool_stats(struct slab_pool *p, struct slab_stats *ret_stats);

#endif
