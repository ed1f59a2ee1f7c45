/* The kv on RocksDB: one column family, no write-ahead log, so that a flush is atomic. */
#ifndef NAMENODE_KV_ROCKS_H
#define NAMENODE_KV_ROCKS_H

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

#endif
