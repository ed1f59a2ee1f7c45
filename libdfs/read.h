/*
 * Bytes on their way in: own dirty data first, inline data, read-ahead buffers, then the
 * datanodes; holes without any request.
 */
#ifndef LIBDFS_READ_H
#define LIBDFS_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libdfs/dfs_ll.h"
#include "libdfs/extent.h"

struct inode;
struct readahead;

/* Read-ahead buffers of one inode: aligned pieces of READ_PIECE bytes, in flight or full. */
enum { READ_PIECE = 1 << 20 };

/* Zeroed memory is empty. */
struct read_cache {
    struct extent_set pieces;
};

/* Forgets what is cached of [start, end), also what is in flight for it. */
void read_cache_drop(struct inode *i, uint64_t start, uint64_t end);

/* One ll_read; ahead is the open file's pattern, may be NULL. */
void inode_read(struct inode *i, struct readahead *ahead, struct ll_call *call, uint64_t offset,
                size_t len, ll_data_fn fn, void *ctx);

#endif
