/*
 * All chunks of one target in memory: 72 bytes each and a hash bucket, found by id and listed by
 * PG. Loop thread only. Addresses stay until the chunk is removed.
 */
#ifndef DATANODE_CHUNK_TABLE_H
#define DATANODE_CHUNK_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "datanode/store.h"

struct live;
struct chunk_table;

struct chunk {
    uint64_t id;
    uint64_t ver_epoch, ver_seq;
    uint64_t trunc_version;
    uint32_t digest; /* see chunk_state */
    uint32_t pg, len;
    uint16_t flags; /* enum chunk_flags */
    uint16_t is_used;
    /* The table's: positions, of the hash chain and of the PG's list. */
    uint32_t self, hash_next, pg_next, pg_prev;
    struct live *live; /* the store's; NULL when nothing goes on with it */
};

struct chunk_table *chunk_table_new(void);
void chunk_table_free(struct chunk_table *t);
DEFINE_CLEANUP(chunk_table, chunk_table_free)

struct chunk *chunk_table_find(const struct chunk_table *t, uint64_t id);
/* Must not be there yet. Zeroed but for id and pg. */
struct chunk *chunk_table_add(struct chunk_table *t, uint64_t id, uint32_t pg);
void chunk_table_remove(struct chunk_table *t, struct chunk *c);
void chunk_table_set_pg(struct chunk_table *t, struct chunk *c, uint32_t pg);
size_t chunk_table_count(const struct chunk_table *t);

/* Walks all, in no order: at 0, 1, ... below chunk_table_end(); NULL where there is none. Chunks
 * may come and go meanwhile. */
uint32_t chunk_table_end(const struct chunk_table *t);
struct chunk *chunk_table_at(const struct chunk_table *t, uint32_t position);

/* Walks those of a PG, in no order, without sorting; NULL at the end. Nothing may come or go. */
struct chunk *chunk_table_first(const struct chunk_table *t, uint32_t pg);
struct chunk *chunk_table_next(const struct chunk_table *t, const struct chunk *c);

/* Of a PG, in order of the ids, those after `after`; at most max. */
size_t chunk_table_list(const struct chunk_table *t, uint32_t pg, uint64_t after, size_t max,
                        struct chunk **ret_chunks);
size_t chunk_table_list_pgs(const struct chunk_table *t, uint32_t after, size_t max,
                            uint32_t *ret_pgs);

#endif
