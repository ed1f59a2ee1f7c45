/*
 * Directories, fifos, sockets and devices that this mount has removed while the kernel may still hold
 * them (an open descriptor, a working directory): fstat(2) on them succeeds on a local disk, with
 * nlink 0. The namenode has forgotten them by then. An entry lives until the kernel forgets the
 * inode. (Regular files need none of this: the namenode keeps them as long as they are open.)
 */
#ifndef FUSE_REMOVED_H
#define FUSE_REMOVED_H

#include "fuse/mount.h"

void removed_add(struct mount *m, const struct ll_attr *attr);
/* The kernel holds it no longer. */
void removed_forget(struct mount *m, struct ino ino);
/* NULL: not one of ours. Borrowed. */
const struct ll_attr *removed_find(const struct mount *m, struct ino ino);
void removed_clear(struct mount *m);

#endif
