/*
 * Which chunks a file has, as far as this client knows: slots by chunk index. A slot is unknown
 * (ask the namenode), a hole (known to have no chunk), or a chunk. Pure.
 */
#ifndef LIBDFS_LAYOUT_H
#define LIBDFS_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ids.h"
#include "common/limits.h"

struct layout_page;

/* Zeroed memory knows nothing. */
struct layout {
    struct layout_page *pages;
    bool complete; /* what has no slot is a hole, not unknown */
};

enum layout_state { LAYOUT_UNKNOWN, LAYOUT_HOLE, LAYOUT_CHUNK };

struct layout_slot {
    struct chunk_id chunk;
    struct pg_id pg;
    uint8_t state;      /* enum layout_state */
    bool materialized;  /* the namenode knows that it holds bytes */
    bool fresh;         /* acknowledged bytes are in it that the namenode was not told of */
    bool commit_flying; /* it was told, the answer is awaited */
};

void layout_done(struct layout *l);

/* NULL: unknown, or (when complete) a hole. */
struct layout_slot *layout_find(const struct layout *l, uint32_t index);
enum layout_state layout_state(const struct layout *l, uint32_t index);
void layout_set_chunk(struct layout *l, uint32_t index, struct chunk_id chunk, struct pg_id pg,
                      bool materialized);
void layout_set_hole(struct layout *l, uint32_t index);
/* Nothing is known any more of one slot: ask the namenode. */
void layout_doubt(struct layout *l, uint32_t index);
/* Nothing is known any more of slots whose bytes are not in our hands (not fresh). */
void layout_forget(struct layout *l);
/* Truncated: slots from index on are holes now (known is known), materials are dropped. */
void layout_cut(struct layout *l, uint32_t first_hole);
/* Slots with fresh bytes: fills up to max indexes in any order, gives how many there are. */
size_t layout_fresh(const struct layout *l, uint32_t *indexes, size_t max);

static inline uint32_t layout_index(uint64_t offset)
{
    return (uint32_t)(offset / CHUNK_SIZE);
}
static inline uint32_t layout_offset(uint64_t offset)
{
    return (uint32_t)(offset % CHUNK_SIZE);
}
/* Bytes of [offset, end) that lie in the chunk of offset. */
static inline uint64_t layout_span(uint64_t offset, uint64_t end)
{
    uint64_t chunk_end = (offset / CHUNK_SIZE + 1) * CHUNK_SIZE;

    return (end < chunk_end ? end : chunk_end) - offset;
}

#endif
