/*
 * Keeps the chunk table on disk as it is in memory: gathers changed records into groups for the
 * log, and makes a new checkpoint when the log has grown. Loop thread; the disk's logger does the
 * writing.
 */
#ifndef DATANODE_TABLE_LOG_H
#define DATANODE_TABLE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "datanode/store.h"

struct ctab_log;
struct disk;
struct target;
struct table_log;

/* Who wants to know when the record is durable. Zero before the first use. */
struct table_wait {
    struct table_wait *next;
    void (*fn)(void *ctx, int status); /* later, never from inside the call */
    void *ctx;
};

struct table_log_stats {
    uint64_t groups, records, checkpoints;
};

struct table_log *table_log_new_take(struct target *t, struct ctab_log *log, uint64_t number);
/* When the disk has no jobs any more. */
void table_log_free(struct table_log *l);
DEFINE_CLEANUP(table_log, table_log_free)

/*
 * The state of a chunk as it is now goes into the log. With wait it is written at once; without,
 * with the next group or table_log_flush(). forgotten: the chunk is no more.
 */
void table_log_put(struct table_log *l, const struct chunk_state *c, bool forgotten,
                   struct table_wait *wait);
void table_log_flush(struct table_log *l);
/* Records put so far, and how many of these are on the disk: the first ones, for the order stays. */
uint64_t table_log_put_count(const struct table_log *l);
uint64_t table_log_durable_count(const struct table_log *l);
/* Begins a checkpoint if it is time; force: in any case. */
void table_log_tick(struct table_log *l, bool force);
bool table_log_is_idle(const struct table_log *l);
void table_log_stats(const struct table_log *l, struct table_log_stats *ret_stats);

/*
 * At the start and at the end, when nothing else runs: all chunks into a checkpoint with this
 * number and an empty log beside it. Blocks. The superblock is the caller's to write.
 */
int table_log_write_all(struct target *t, uint64_t number, struct ctab_log **ret_log);

#endif
