/*
 * The cluster map as this client knows it: PGs with their epochs, targets with their addresses.
 * It only moves forward: of two configurations of a PG the higher epoch wins, wherever it came
 * from (the namenode's map, or the Error of a datanode).
 */
#ifndef LIBDFS_PGMAP_H
#define LIBDFS_PGMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ids.h"
#include "common/limits.h"
#include "rpc/meta.pb-c.h"

struct loop;
struct nn;
struct pgmap;

struct pg_info {
    struct pg_id pg;
    uint64_t epoch;
    unsigned serving_count; /* SERVING members in chain order: [0] is the head */
    struct target_id serving[PG_MEMBERS_MAX];
};

struct target_info {
    struct target_id target;
    bool alive; /* as the namenode saw it */
    char addr[ADDR_TEXT_MAX];
    char host[ADDR_TEXT_MAX];
};

typedef void (*pgmap_fn)(void *ctx, int status);

/* changed (may be NULL) runs after PGs or targets have changed, from the loop. */
struct pgmap *pgmap_new(struct loop *loop, struct nn *nn, void (*changed)(void *ctx), void *ctx);
void pgmap_free(struct pgmap *m);

/* NULL when unknown: ask for a refresh. Valid until the map next changes. */
const struct pg_info *pgmap_find_pg(const struct pgmap *m, struct pg_id pg);
const struct target_info *pgmap_find_target(const struct pgmap *m, struct target_id target);
bool pgmap_data_tls(const struct pgmap *m);
uint64_t pgmap_version(const struct pgmap *m);

/*
 * Asks the namenode for a newer map; requests made while one is under way share the next one.
 * fn (may be NULL) runs after an answer to a request sent after this call.
 */
void pgmap_refresh(struct pgmap *m, pgmap_fn fn, void *ctx);
/* nn_events.pg_version: refreshes when this is news. */
void pgmap_on_version(struct pgmap *m, uint64_t version);

/* What a datanode told beside a refusal. True when something was new. */
bool pgmap_adopt(struct pgmap *m, const Dfs__Pg *pg, Dfs__TargetInfo *const *targets,
                 size_t target_count);
/* Only the epoch is known to be newer (a reply's epoch field): refreshes. */
void pgmap_saw_epoch(struct pgmap *m, struct pg_id pg, uint64_t epoch);

#endif
