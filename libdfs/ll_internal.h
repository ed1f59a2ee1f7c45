/*
 * What struct ll is made of. Only files of libdfs/ include this; all of it on the loop's thread.
 *
 *   ll.c, nn.c        metadata calls, the session        (ll_new, ll_close, ll_lookup, ...)
 *   file.c            open files                         (ll_open ... ll_sync_all, truncate)
 *   inode.c           what is known and kept of an inode (the one place that decides on caching)
 *   writeback.c       dirty bytes on their way out
 *   read.c            bytes on their way in
 *   dn.c, pgmap.c     datanodes and the cluster map
 *
 * ll.c makes the parts in this order: options, slabs, tls, nn, then ll_data_init(); it hands the
 * events of nn to ll_data_session_lost(), pgmap_on_version() and inode_table_open_inos().
 */
#ifndef LIBDFS_LL_INTERNAL_H
#define LIBDFS_LL_INTERNAL_H

#include "libdfs/dfs_ll.h"
#include "rpc/meta.pb-c.h"

struct dn_pool;
struct inode_table;
struct ll_meta;
struct nn;
struct pgmap;
struct tls;

/* Counted by the data path; ll_counters() adds those of nn. */
struct ll_stats {
    uint64_t chunk_writes, chunk_syncs, chunk_truncs, chunk_retries;
    uint64_t chunk_reads, read_retries, read_hedges, crc_mismatches;
    uint64_t bytes_written, bytes_read, bytes_copied;
    uint64_t commits, allocs, inline_commits;
    uint64_t readahead_hits, readahead_bytes, readahead_wasted_bytes;
    uint64_t write_waits; /* ll_write calls that waited for the dirty limit */
};

struct ll {
    /* Set before ll_data_init(). */
    struct loop *loop;
    struct ll_options options; /* strings are owned copies */
    struct slab_pool *slabs;
    struct tls *tls; /* NULL: plain */
    struct nn *nn;

    /* Made by ll_data_init(). */
    struct pgmap *pgmap;
    struct dn_pool *dns;
    struct inode_table *inodes;
    struct slab *zeros; /* 1 MiB of zero bytes: holes in replies */

    bool stopping; /* ll_data_stop() was called */
    struct ll_stats stats;

    /* ll.c's own. */
    struct ll_meta *meta;
};

/* ---- data.c: the life of the data path ---- */

void ll_data_init(struct ll *ll);
/*
 * The end, in this order: ll_data_drain(), ll_data_stop(), nn_close(), ll_data_done().
 * Stop: every call that waits ends with -ECANCELED, nothing is asked of anybody any more; what is
 * dirty then is lost. Done: frees; nn must have ended its calls.
 */
void ll_data_stop(struct ll *ll);
void ll_data_done(struct ll *ll);
/* Writes, commits and closes everything; fn with 0 or the first error. May take io_timeout. */
void ll_data_drain(struct ll *ll, ll_status_fn fn, void *ctx);
/* nn_events.session_lost: unsent data cannot be written any more; errors are latched. */
void ll_data_session_lost(struct ll *ll);

/*
 * The size part of ll_setattr: waits for what is in flight, cuts at the namenode and at the
 * datanodes. fn gets the new attributes. Needs no open file.
 */
void ll_truncate(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                 uint64_t size, ll_attr_fn fn, void *ctx);

/* nn_call(), but -ECANCELED (at once) after ll_data_stop(). For the data path's own requests. */
void ll_meta_call(struct ll *ll, struct ll_call *call, Dfs__MetaRequest *req,
                  void (*fn)(void *ctx, int status, const Dfs__MetaReply *reply), void *ctx);

/* ---- wire.c: protobuf to ours and back ---- */

void ll_attr_from_wire(const Dfs__Attr *wire, struct ll_attr *ret_attr);
/* The status that the application sees. */
int ll_outcome(int status, const Dfs__MetaReply *reply);

/* A request of one operation with its credential, all in the caller's frame. */
struct meta_request {
    Dfs__MetaRequest req;
    Dfs__Cred cred;
};
/* cred NULL: the client itself (data already checked at open): uid 0, kernel_checked. The groups
 * are borrowed: they are packed by nn_call(). The caller sets req.op_case and the op. */
void meta_request_init(struct meta_request *m, const struct ll_cred *cred);

#endif
