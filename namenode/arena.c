#include "namenode/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/mem.h"

enum { BLOCK_SIZE = 64 << 10, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    _Alignas(ALIGNMENT) uint8_t data[];
};

void arena_reset(struct arena *a)
{
    struct arena_block *b = a->blocks;

    while (b && (b->next || b->size > BLOCK_SIZE)) {
        struct arena_block *next = b->next;

        free(b);
        b = next;
    }
    a->blocks = b;
    a->used = 0;
}

void arena_done(struct arena *a)
{
    arena_reset(a);
    free(a->blocks);
    a->blocks = NULL;
}

void *arena_alloc(struct arena *a, size_t size)
{
    struct arena_block *b = a->blocks;
    size_t need = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    void *p;

    if (!b || b->size - a->used < need) {
        size_t block_size = MAX(need, (size_t)BLOCK_SIZE);

        b = mem_alloc(sizeof(*b) + block_size);
        b->next = a->blocks;
        b->size = block_size;
        a->blocks = b;
        a->used = 0;
    }
    p = b->data + a->used;
    a->used += need;
    return memset(p, 0, size);
}

void *arena_memdup(struct arena *a, const void *data, size_t len)
{
    void *p = arena_alloc(a, len);

    if (len > 0)
        memcpy(p, data, len);
    return p;
}
