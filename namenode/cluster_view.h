/* Placement groups, targets and fences as protobuf messages: what registrations, pushes, the
 * cluster map and the report all show. */
#ifndef NAMENODE_CLUSTER_VIEW_H
#define NAMENODE_CLUSTER_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "rpc/node.pb-c.h"

struct datanodes;
struct fsm;
struct pg_mgr;

enum cluster_view_pgs { CLUSTER_VIEW_ALL, CLUSTER_VIEW_DIRTY, CLUSTER_VIEW_NO_PGS };

/* Strings point into the datanodes; the rest is the view's. */
struct cluster_view {
    Dfs__Pg **pgs;
    size_t pg_count;
    Dfs__TargetInfo **targets;
    size_t target_count;
    uint64_t *fenced;
    size_t fenced_count;
    uint64_t session_floor;  /* of a restored cluster; else 0 */
    uint64_t lowest_session; /* none below it lives */
    uint64_t fence_version;  /* the fences up to it are in fenced */
    void *memory;
};

void cluster_view_make(const struct datanodes *d, const struct pg_mgr *mgr, struct fsm *fsm,
                       enum cluster_view_pgs pgs, struct cluster_view *ret_view);
void cluster_view_done(struct cluster_view *v);

#endif
