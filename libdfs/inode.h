/*
 * What this client knows and keeps of one inode: size, data version, chunk map, dirty bytes,
 * read-ahead, write errors. This file is THE place that decides what may be cached and for how
 * long. Today: close-to-open, so each ll_open asks the namenode, and inode_opened() drops what a
 * foreign change has made old. Leases later answer the same questions here, without asking.
 *
 * An inode lives while it is open, dirty, unsynced or in use by a call; after that it idles in an
 * LRU list (INODE_IDLE_MAX) so that a re-open can say keep_cache.
 */
#ifndef LIBDFS_INODE_H
#define LIBDFS_INODE_H

#include <uthash.h>

#include "common/ids.h"
#include "common/limits.h"
#include "libdfs/errseq.h"
#include "libdfs/layout.h"
#include "libdfs/ll_internal.h"
#include "libdfs/read.h"
#include "libdfs/writeback.h"

enum { INODE_IDLE_MAX = 16384 };

struct inode {
    struct ll *ll;
    struct ino ino;
    UT_hash_handle hh;
    struct inode *idle_prev, *idle_next; /* LRU of those without references */
    unsigned refs;
    unsigned file_count; /* struct ll_file */
    unsigned opens_owed; /* OpenOps the namenode counts for us and a CloseOp must give back */

    /* As the namenode said last, with what we published since. */
    bool known;    /* size and data_version are valid */
    bool foreign;  /* somebody else changed it since we last dropped what we cached */
    uint64_t size; /* published size */
    uint64_t data_version;
    bool is_inline;    /* content up to INLINE_MAX bytes is in the metadata store */
    bool inline_known; /* inline_bytes is that content */
    bool has_chunks;   /* a chunk map entry exists (or may exist) */
    uint32_t inline_len;
    uint8_t *inline_bytes;

    struct layout layout;
    struct writeback wb;
    struct read_cache cache;
    struct errseq errors;

    /* A truncate runs: emission stops, further truncates queue. */
    struct truncate_op *truncating;
};

struct inode_table *inode_table_new(struct ll *ll);
void inode_table_free(struct inode_table *t);

/* NULL when nothing is known of it. Borrowed. */
struct inode *inode_find(struct ll *ll, struct ino ino);
/* Finds or makes; a reference. */
struct inode *inode_get(struct ll *ll, struct ino ino);
struct inode *inode_ref(struct inode *i);
void inode_unref(struct inode *i);
/* Calls fn for every inode in memory; fn may unref only the one it is given. */
void inode_for_each(struct ll *ll, void (*fn)(void *ctx, struct inode *i), void *ctx);

/*
 * An OpenOp or CreateOp was answered: takes over attributes, chunk map and inline data; drops what
 * a foreign change made old. True when nothing changed since the last open here (keep_cache).
 */
bool inode_opened(struct inode *i, const Dfs__EntryReply *entry);
/* The answer to our own change (commit, truncate): the data version it made is ours. */
void inode_published(struct inode *i, const Dfs__Attr *attr);
/* inode->size and unflushed writes: where the file ends for readers here. */
uint64_t inode_size(const struct inode *i);
/* Learns chunk map entries [first, first + count): absent ones are holes. */
void inode_learn_layout(struct inode *i, uint32_t first, uint32_t count,
                        Dfs__ChunkRef *const *chunks, size_t chunk_count);

/* ---- for ll.c ---- */

/*
 * Attributes have come from the namenode: remembers size and version, then merges the size and
 * mtime of unflushed writes into attr. To be called with every ll_attr that goes to the user.
 */
void inode_see_attr(struct ll *ll, struct ll_attr *attr);
/* Only the merge. */
void inode_overlay_attr(const struct inode *i, struct ll_attr *attr);
/* An explicit mtime is about to be sent (utimens): writes until now must not overwrite it. Gives
 * what to put back with inode_mtime_restore() when the namenode refuses. */
int64_t inode_mtime_override(struct ll *ll, struct ino ino);
void inode_mtime_restore(struct ll *ll, struct ino ino, int64_t mtime_ns);
/* nn_events.open_inodes: malloc'ed list, with repeats for several opens. */
void inode_table_open_inos(struct ll *ll, uint64_t **ret_inos, size_t *ret_count);

/* The namenode counts an open for us that we no longer need: sent in batches. */
void inode_owe_close(struct ll *ll, struct ino ino);

#endif
