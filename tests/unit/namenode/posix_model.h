/*
 * What POSIX and Linux say a name space does, as simply as it can be said: a table of inodes and a
 * list of entries. Nothing is kept that can be counted (links, subdirectories). The state machine is
 * compared with it, errors and attributes alike.
 */
#ifndef TESTS_UNIT_NAMENODE_POSIX_MODEL_H
#define TESTS_UNIT_NAMENODE_POSIX_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "rpc/meta.pb-c.h"

enum { MODEL_INODES = 4096, MODEL_ENTRIES = 4096, MODEL_NAME_SIZE = 16 };

struct model_inode {
    bool exists;
    uint32_t mode, uid, gid;
    uint64_t size;
    int64_t atime, mtime, ctime;
};

struct model_entry {
    uint64_t dir, ino;
    char name[MODEL_NAME_SIZE];
};

struct model {
    struct model_inode inodes[MODEL_INODES];
    struct model_entry entries[MODEL_ENTRIES];
    unsigned entry_count;
    uint64_t next_ino;
};

void model_init(struct model *m, int64_t time);
/* Does it at that time; 0 or -errno. *ret_ino: whose attributes the answer holds. */
int model_apply(struct model *m, const Dfs__MetaRequest *req, int64_t time, uint64_t *ret_ino);
uint32_t model_nlink(const struct model *m, uint64_t ino);
/*
 * One slice of rm -r, as RemoveTreeOp says it: what is deepest first, in the order of names from that
 * of `from` on. What is left then is for another slice.
 */
struct model_slice {
    unsigned files, directories; /* removed */
    bool done;
};
int model_remove_slice(struct model *m, const Dfs__MetaRequest *req, int64_t time,
                       struct model_slice *ret_slice);
/* NULL: no such name. */
const struct model_entry *model_find(const struct model *m, uint64_t dir, const char *name);

#endif
