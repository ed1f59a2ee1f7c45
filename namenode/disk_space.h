/*
 * Room on the disk of the data directory. A full disk must not end in a namenode that cannot start
 * any more, so that nothing can be deleted either:
 *  - below the reserve (5 %, at most 512 MiB) of any replica the leader takes only what frees space;
 *  - a ballast file holds a little back; it is freed at a start that finds almost nothing left, so
 *    that log and store have room to work while files are deleted.
 *
 * Loop thread only.
 */
#ifndef NAMENODE_DISK_SPACE_H
#define NAMENODE_DISK_SPACE_H

#include <stdbool.h>

#include "common/compiler.h"

struct disk_space;
struct vfs;
struct vfs_space;

/* Looks for the first time, and frees the ballast if it must. */
int disk_space_open(struct vfs *vfs, const char *dir, struct disk_space **ret_space);
void disk_space_close(struct disk_space *s);
DEFINE_CLEANUP(disk_space, disk_space_close)

/* Looks again; puts the ballast (back) in place when there is plenty. */
void disk_space_look(struct disk_space *s);
bool disk_space_is_short(const struct disk_space *s);
/* Below the reserve. Pure. */
bool disk_space_is_below_reserve(const struct vfs_space *space);
/* What the last look saw. */
void disk_space_last(const struct disk_space *s, struct vfs_space *ret_space);

#endif
