/*
 * Ids are structs of one field, so that the compiler refuses an inode where a chunk is wanted.
 * All are allocated in the replicated state, from 1, and never used again; 0 is "none".
 *
 *   log_info("chunk lost", "chunk=%" PRI_CHUNK " pg=%" PRI_PG, chunk.v, pg.v);
 */
#ifndef COMMON_IDS_H
#define COMMON_IDS_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

struct ino {
    uint64_t v;
};
struct chunk_id {
    uint64_t v;
};
struct session_id {
    uint64_t v;
};
struct replica_id { /* a namenode of the Raft group */
    uint64_t v;
};
struct target_id { /* one disk of one datanode */
    uint32_t v;
};
struct pg_id {
    uint32_t v;
};

#define PRI_INO PRIu64
#define PRI_CHUNK PRIu64
#define PRI_SESSION PRIu64
#define PRI_REPLICA PRIu64
#define PRI_TARGET PRIu32
#define PRI_PG PRIu32

/* Of any two ids of one type. */
#define ID_EQUAL(a, b) (1 ? (a).v == (b).v : (&(a) == &(b)))
#define ID_IS_NONE(a) ((a).v == 0)

#define INO_ROOT ((struct ino){1})

#endif
