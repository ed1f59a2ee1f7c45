/* Which format a group may raise its log to (README.md, "Mixed versions"). Pure. */
#ifndef NAMENODE_FORMATS_H
#define NAMENODE_FORMATS_H

#include <stdint.h>

#include "raft/types.h"

/* The newest format that replica id is known to know; 0: it has not said. */
typedef uint32_t format_of_fn(const void *ctx, struct raft_id id);

/*
 * The newest that every replica of the group knows, voter or learner, and `known`, our own release's.
 * *ret_slowest: the member that knows least, NULL if all know that; borrowed from conf.
 */
uint32_t format_common(const struct raft_conf *conf, uint32_t known, format_of_fn *format_of,
                       const void *ctx, const struct raft_member **ret_slowest);

#endif
