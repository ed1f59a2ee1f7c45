#include "tests/sim/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What is freed is used again by the next of its size, or a state would grow with its path. */
enum { GRAIN = 64, CLASSES = 256, ARENA_BYTES = 64 << 20 };

struct piece {
    uint32_t class; /* size in grains; CLASSES or more: not used again */
    uint32_t next;  /* free ones: offset of the next, 0: none */
    uint64_t size;
};

struct arena {
    uint32_t top;
    uint32_t free[CLASSES];
};

static struct arena *arena;
static bool is_on;

void *__real_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

static bool is_inside(const void *p)
{
    return arena != NULL && (const char *)p >= (const char *)arena &&
           (const char *)p < (const char *)arena + ARENA_BYTES;
}

static struct piece *piece_at(uint32_t offset)
{
    return (struct piece *)((char *)arena + offset);
}

void arena_begin(void)
{
    if (arena == NULL)
        arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED) {
        perror("mmap");
        abort();
    }
    memset(arena, 0, sizeof(*arena));
    arena->top = (sizeof(*arena) + GRAIN - 1) / GRAIN * GRAIN;
    is_on = true;
}

void arena_end(void)
{
    is_on = false;
}

void arena_resume(void)
{
    is_on = true;
}

size_t arena_size(void)
{
    return arena->top;
}

void arena_save(void *to)
{
    memcpy(to, arena, arena->top);
}

void arena_restore(const void *from, size_t size)
{
    memcpy(arena, from, size);
}

void *__wrap_malloc(size_t size)
{
    size_t grains = (size + sizeof(struct piece) + GRAIN - 1) / GRAIN;
    struct piece *p;

    if (!is_on)
        return __real_malloc(size);
    if (grains < CLASSES && arena->free[grains] != 0) {
        p = piece_at(arena->free[grains]);
        arena->free[grains] = p->next;
    } else {
        if (grains > (ARENA_BYTES - arena->top) / GRAIN) {
            (void)fprintf(stderr, "the arena is full\n");
            abort();
        }
        p = piece_at(arena->top);
        arena->top += (uint32_t)(grains * GRAIN);
    }
    *p = (struct piece){.class = (uint32_t)grains, .size = size};
    return p + 1;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *p = __wrap_malloc(count * size);

    return p == NULL ? NULL : memset(p, 0, count * size);
}

void *__wrap_realloc(void *old, size_t size)
{
    void *p;

    if (old != NULL && !is_inside(old))
        return __real_realloc(old, size);
    p = __wrap_malloc(size);
    if (old != NULL && p != NULL) {
        const struct piece *was = (const struct piece *)old - 1;

        memcpy(p, old, was->size < size ? was->size : size);
        __wrap_free(old);
    }
    return p;
}

void __wrap_free(void *p)
{
    struct piece *piece = (struct piece *)p - 1;

    if (!is_inside(p)) {
        __real_free(p);
        return;
    }
    if (piece->class >= CLASSES)
        return;
    piece->next = arena->free[piece->class];
    arena->free[piece->class] = (uint32_t)((char *)piece - (char *)arena);
}
