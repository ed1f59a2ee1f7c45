/*
 * What `dfs fsck` looks for in the metadata: that all records agree with each other (I15): every entry
 * names an inode, every inode has the entries that it counts, directories are a tree, counters are what
 * counting gives, each chunk is in one map and known to its placement group.
 *
 * It walks over a store that does not change: a view of one moment (svc_fsck.c), so nothing it tells was
 * a change under way, and nobody waits for it. Each finding says in words what it is, and has the
 * operation that mends it, if there is one (fsm_repair.c): made for the state that was walked, it is
 * right for every later one too, because operations add to counters and take away from them, and do
 * not set them; and what else it rests on, it looks at again when it is applied.
 *
 *   inodes ─► names ─► links ─► tree ─► chunks ─► counters
 *
 * Memory: all directories (some 110 bytes each), and of the other inodes FSCK_SLICE_INODES at a time,
 * for each of which slices the entries are walked over once more.
 *
 * Any thread; blocks.
 */
#ifndef NAMENODE_FSCK_H
#define NAMENODE_FSCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/meta.pb-c.h"

struct kv;

enum {
    FSCK_SLICE_INODES = 1 << 20, /* some 80 bytes each */
    FSCK_FINDINGS_MAX = 1000,    /* kept; what is more is counted, and found by the next walk */
    FSCK_PATH_MAX = 1024,        /* of a longer path the end */
};

enum fsck_kind {
    FSCK_UNREADABLE,
    FSCK_DANGLING_ENTRY,
    FSCK_ENTRY_TYPE,
    FSCK_STRAY_ENTRY,
    FSCK_SECOND_NAME,
    FSCK_LOOP,
    FSCK_NO_NAME,
    FSCK_NLINK,
    FSCK_ENTRY_COUNT,
    FSCK_PARENT,
    FSCK_HOME,
    FSCK_NOT_QUEUED,
    FSCK_QUEUED,
    FSCK_STRAY_RECORD,
    FSCK_NO_CONTENT,
    FSCK_XATTR_BYTES,
    FSCK_LINKS,
    FSCK_STRAY_MAP,
    FSCK_CHUNK_COUNT,
    FSCK_NO_OWNER,
    FSCK_STRAY_OWNER,
    FSCK_CROSSED_CHUNK,
    FSCK_DELETED_CHUNK,
    FSCK_NO_PG,
    FSCK_USAGE,
    FSCK_STATE,
    FSCK_NEXT_ID,
    FSCK_KIND_COUNT,
};

/* Words for a kind; static. */
struct fsck_words {
    const char *name;    /* "dangling-entry" */
    const char *meaning; /* a sentence */
    const char *repair;  /* what --repair does, or what else to do */
};
const struct fsck_words *fsck_words(enum fsck_kind kind);

struct fsck_finding {
    enum fsck_kind kind;
    uint64_t ino;     /* 0: of none */
    char detail[192]; /* what was found, with numbers */
    char *path;       /* NULL: none can be given */
    bool can_repair;
    Dfs__RepairOp repair; /* its name, keep_name, key belong to the finding */
};

/* Shared with the thread that started it. */
struct fsck_progress {
    atomic_bool stop;
    atomic_uint phase;                /* index into the words of fsck_phase() */
    atomic_uint_fast64_t done, total; /* records, of the whole walk; total is an estimate */
};
const char *fsck_phase(unsigned phase);

struct fsck_result {
    uint64_t index; /* the state that was walked is that after this entry */
    uint64_t inode_count, entry_count, chunk_count;
    uint64_t finding_count;        /* all; the first FSCK_FINDINGS_MAX of them are kept */
    uint64_t repairable_count;     /* of those that are kept */
    bool usage_left_out;           /* counters of trees make no sense before the tree is one */
    struct fsck_finding *findings; /* in the order in which they are to be repaired */
    size_t count;
};

/*
 * ret_result is filled in whatever happens, for fsck_result_done().
 * -ECANCELED  progress->stop
 * -EBADMSG    the store is damaged, or has no state record
 * -EIO
 */
int fsck_walk(struct kv *kv, struct fsck_progress *progress, struct fsck_result *ret_result);
/* With another size of a slice, for tests. */
int fsck_walk_sliced(struct kv *kv, size_t slice_inodes, struct fsck_progress *progress,
                     struct fsck_result *ret_result);
void fsck_result_done(struct fsck_result *result);

#endif
