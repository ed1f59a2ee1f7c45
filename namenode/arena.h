/* Memory for what lives as long as one batch or one reply: taken in order, given back all at once.
 */
#ifndef NAMENODE_ARENA_H
#define NAMENODE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* the newest first */
    size_t used;                /* of the newest */
};

void arena_done(struct arena *a);
/* Keeps one block for the next time. */
void arena_reset(struct arena *a);
/* Zeroed, aligned for anything. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_memdup(struct arena *a, const void *data, size_t len);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

#endif
