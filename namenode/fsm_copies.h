/*
 * How many copies the chunks of a file are to have: a field of its inode, seen by clients as the
 * extended attribute dfs.copies, which every regular file and directory has ("1" to "3"). What is made
 * in a directory inherits it; the chunks that a file gets go to placement groups of so many copies.
 * Those that it has stay where they are. Setting is the owner's and root's, whatever the mode says:
 * what an operation costs the cluster is not for everybody to decide who may write. Removing makes it
 * the cluster's number again.
 *
 * It is not listed, so that what copies all attributes of a file elsewhere does not copy this.
 */
#ifndef NAMENODE_FSM_COPIES_H
#define NAMENODE_FSM_COPIES_H

#include "namenode/fsm_tx.h"
#include "namenode/perm.h"

/* false in a store of a format before FSM_FORMAT_COPIES: there it is a name as any other. */
bool copies_is_xattr(const struct tx *tx, ProtobufCBinaryData name);

/*
 * For op_setxattr() and op_removexattr(), which put the inode. value NULL: the cluster's number again.
 * -EPERM   not the owner; neither a regular file nor a directory
 * -EINVAL  no number from 1 to COPIES_MAX
 */
int copies_set(const struct cred *cred, struct inode_rec *inode, const ProtobufCBinaryData *value);

/* *ret_digit: one character. -ENODATA: neither a regular file nor a directory. */
int copies_get(struct tx *tx, const struct inode_rec *inode, uint8_t *ret_digit);

/* What a new inode of this type has from its directory. */
uint8_t copies_inherited(const struct inode_rec *dir, uint32_t type);

#endif
