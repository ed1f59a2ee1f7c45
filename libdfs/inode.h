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

struct write_wait;

enum {
    INODE_IDLE_MAX = 16384,
    INODE_CLOSE_BATCH = 256,  /* inodes in one CloseOp */
    INODE_CLOSE_DELAY_MS = 20 /* closes are gathered for so long */
};

struct inode {
    struct ll *ll;
    struct ino ino;
    UT_hash_handle hh;
    struct inode *prev, *next; /* LRU of those without references */
    unsigned refs;
    unsigned file_count;     /* struct ll_file */
    unsigned opens_owed;     /* opens that the namenode counts for us */
    unsigned closes_waiting; /* ... and that it will be told of once nothing is dirty */

    /* As the namenode said last, with what we published since. */
    bool known;     /* the fields below are valid; else inode_fetch() */
    bool foreign;   /* changed by others since the last open here, or bytes of ours are lost */
    bool is_inline; /* content up to INLINE_MAX bytes is in the metadata store */
    bool inline_known;
    bool has_xattr;  /* as the namenode said last */
    bool has_setid;  /* setuid or setgid; as well */
    bool has_chunks; /* the chunk map has entries */
    uint32_t inline_len;
    uint8_t *inline_bytes; /* INLINE_MAX of them, or NULL */
    uint64_t size;
    uint64_t data_version;
    bool tail_pending; /* a truncate left bytes behind the end, in chunk tail_chunk */
    uint32_t tail_from;
    uint64_t tail_version;
    struct pg_id tail_pg;
    struct chunk_id tail_chunk;

    struct layout layout;
    struct writeback wb;
    struct read_cache cache;
    struct errseq errors;
    struct truncate_op *truncates; /* one runs, the others wait */
    struct inode_fetch *fetches;   /* wait for the namenode to say anew what is here */
};

struct inode_table {
    struct ll *ll;
    struct inode *by_ino;
    struct inode *idle; /* oldest first */
    size_t idle_count;

    /* Write-behind. */
    struct inode *working; /* those with something dirty, unsynced or unpublished */
    size_t working_count;
    uint64_t dirty_bytes;      /* dirty and flying, of all inodes */
    struct write_wait *writes; /* ll_write calls that wait for room, oldest first */
    struct loop_timer *age_timer;
    struct errseq errors; /* of any inode */

    /* Read-ahead. */
    struct read_piece *pieces; /* least recently used first */
    uint64_t cache_bytes;

    /* Closes not yet sent, and the inodes they are for. */
    struct loop_timer *close_timer;
    uint64_t closes[INODE_CLOSE_BATCH];
    size_t close_count;
    unsigned close_calls; /* CloseOps in flight */
};

struct inode_table *inode_table_new(struct ll *ll);
/* Every file was released. What is dirty is lost. */
void inode_table_free(struct inode_table *t);

/* NULL when nothing is known of it. Borrowed. */
struct inode *inode_find(struct ll *ll, struct ino ino);
/* Finds or makes; a reference. */
struct inode *inode_get(struct ll *ll, struct ino ino);
struct inode *inode_ref(struct inode *i);
void inode_unref(struct inode *i);

/*
 * An OpenOp or CreateOp was answered, and the namenode counts an open for us: takes over
 * attributes, chunk map and inline data; drops what a foreign change made old. True when nothing
 * changed since the last open here (keep_cache).
 */
bool inode_opened(struct inode *i, const Dfs__EntryReply *entry);
/* What the fields say may be old, or the inline content is not here: asks. fn with 0 or -errno. */
bool inode_needs_fetch(const struct inode *i);
void inode_fetch(struct inode *i, ll_status_fn fn, void *ctx);
/* fn does not come any more. */
void inode_fetch_cancel(struct inode *i, ll_status_fn fn, void *ctx);
/* One open is over (the namenode is told later, in a batch, when nothing is dirty any more). */
void inode_closed(struct inode *i);
/* The answer to our own change (commit, truncate): the data version it made is ours. */
void inode_published(struct inode *i, const Dfs__Attr *attr);
/* Published size and unflushed writes: where the file ends for readers here. */
uint64_t inode_size(const struct inode *i);
/* Learns the chunk map of [first, first + count): what is not listed is a hole. */
void inode_learn_layout(struct inode *i, uint32_t first, uint32_t count,
                        Dfs__ChunkRef *const *chunks, size_t chunk_count);
void inode_set_inline(struct inode *i, const void *bytes, size_t len);
/*
 * A write-behind error: to be told to every open file. What was written may have been read since, and
 * may be cached here and in the kernel: the next open sees what the datanodes have.
 */
void inode_set_error(struct inode *i, int error);
/* Clean things that came from the namenode or datanodes are not trusted any more. */
void inode_drop_clean(struct inode *i);

/* Puts i on the list of those with work, or takes it off when there is none left. */
void inode_update_work(struct inode *i);
/* Dirty bytes have changed: the limit counts them. */
void inode_account(struct inode *i);

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
/* The namenode counts an open for us that we do not need. */
void inode_owe_close(struct ll *ll, struct ino ino);
/* Closes that wait are sent now. */
void inode_table_send_closes(struct inode_table *t);

#endif
