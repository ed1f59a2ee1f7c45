/* The kv on RocksDB: one column family, no write-ahead log, so that a flush is atomic. */
#ifndef NAMENODE_KV_ROCKS_H
#define NAMENODE_KV_ROCKS_H

#include <stdatomic.h>

#include "namenode/kv.h"

struct kv_rocks_options {
    uint64_t cache_bytes;    /* block cache, index and filter blocks within; 0: 256 MiB */
    uint64_t memtable_bytes; /* 0: 64 MiB; at most three of them are in memory */
    bool must_exist;         /* -ENOENT rather than an empty store */
};

/*
 * Opens or makes the store in dir. options NULL: the defaults. What RocksDB says about a failure,
 * here and later, is logged: nobody else knows it.
 * -ENOENT   it is not there (must_exist)
 * -EBUSY    another process has it open
 * -EBADMSG  damaged
 * -EIO      anything else
 */
int kv_rocks_open(const char *dir, const struct kv_rocks_options *options, struct kv **ret_kv);

/*
 * The store as it is at this moment, for one other thread to read while this one goes on; it takes some
 * microseconds, and keeps what is removed meanwhile on the disk. Made and closed on the thread of the
 * store, which may be closed before; that it found damage is then known to the store. Nothing can be
 * written to it.
 */
int kv_rocks_view(struct kv *kv, struct kv **ret_view);

/* How all of a store is read. */
struct kv_rocks_verify {
    uint64_t rate_bytes;     /* keys and values, a second at most; 0: as fast as it goes */
    bool from_disk;          /* past the page cache, where the file system can */
    const atomic_bool *stop; /* set by another thread: it ends; NULL: nothing ends it */
};

/*
 * Reads every block of the store in dir, which nobody writes to: a checkpoint, an unpacked backup. Any
 * thread, for as long as it takes. What RocksDB says of damage, the table and the place, is logged.
 *
 * Not seen is damage of what RocksDB can do without: the padding of a table's last 53 bytes, and the
 * upper level of its filter, without which it is slower.
 *
 * -EBADMSG    damaged
 * -ECANCELED  stopped
 * -EIO        it cannot be read
 */
int kv_rocks_verify(const char *dir, const struct kv_rocks_verify *how);

/* What an open store takes, in bytes. */
struct kv_rocks_usage {
    uint64_t cache, cache_max; /* the block cache: data, index and filter blocks */
    uint64_t cache_pinned;     /* of it: in use, or index and filter that are never put out */
    uint64_t memtables, memtables_max;
    uint64_t table_readers; /* of open tables, outside the cache */
    uint64_t tables;        /* on the disk */
    bool is_busy;           /* it flushes or compacts, or is about to */
};
/* kv is one that kv_rocks_open() made. */
void kv_rocks_usage(struct kv *kv, struct kv_rocks_usage *ret_usage);

#endif
