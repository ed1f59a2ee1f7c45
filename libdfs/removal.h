/*
 * rm -r, as the client of the namenode sees it: which slice to ask for next, and what an answer
 * means. Pure. A directory that is too deep for a slice is removed first, as a removal of its own
 * within this one; so the depth of a tree costs memory here, and nothing at the namenode.
 */
#ifndef LIBDFS_REMOVAL_H
#define LIBDFS_REMOVAL_H

#include "common/ids.h"
#include "libdfs/dfs.h"
#include "rpc/meta.pb-c.h"

struct removal_name;

struct removal {
    struct removal_name *names; /* the innermost first */
    struct dfs_removed removed; /* so far */
};

void removal_init(struct removal *r, struct ino parent, const char *name);
void removal_done(struct removal *r);
/* Its bytes are r's, until removal_take(). Not after removal_take() said that all is over. */
void removal_ask(const struct removal *r, Dfs__RemoveTreeOp *ret_op);
/*
 * The answer: a status, and with 0 the reply. 1: ask again; 0: all is gone; a negative code ends it,
 * and removed.failed says where.
 */
int removal_take(struct removal *r, int status, const Dfs__TreeReply *reply);

#endif
