/*
 * Quotas of directories: the most inodes (files and directories together) and the most bytes
 * (st_size) that may lie in the tree below. What grows is held against every quota above it and
 * refused with -EDQUOT; what frees, or keeps equal, always works, also when more lies there than a
 * quota says: it may have been set below that.
 *
 * A file counts in its home alone (fsm_usage.h). A link into another directory is refused as if the
 * file moved there; when its home's name goes later, it does, whatever the quota says.
 *
 * The checks cost nothing while there is no quota at all. They are made before anything is changed.
 */
#ifndef NAMENODE_FSM_QUOTA_H
#define NAMENODE_FSM_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "namenode/records.h"
#include "rpc/meta.pb-c.h"

struct tx;

/* type: S_IFMT bits of what is to be made in dir. */
int quota_check_new(struct tx *tx, uint64_t dir, uint32_t type);
int quota_check_link(struct tx *tx, uint64_t dir, const struct inode_rec *inode);
/* target: what the name `to` has now, or NULL. Within one quota nothing is refused. */
int quota_check_rename(struct tx *tx, uint64_t from, uint64_t to, const struct inode_rec *source,
                       const struct inode_rec *target, bool exchange);
int quota_check_growth(struct tx *tx, const struct inode_rec *inode, uint64_t new_size);

/* The directory is removed. */
void quota_drop(struct tx *tx, uint64_t dir);

/* Puts the tightest quota above the inode into what statfs says of the cluster. */
int quota_statfs(struct tx *tx, uint64_t ino, Dfs__StatfsReply *s);

#endif
