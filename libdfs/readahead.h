/*
 * Guesses what an open file will read next. Pure: reads in, a range to fetch ahead out.
 * Two reads in a row that continue each other start a window of 4 MiB, which doubles up to the
 * limit while the guesses are right; three misses in a row end it.
 */
#ifndef LIBDFS_READAHEAD_H
#define LIBDFS_READAHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    READAHEAD_FIRST = 4 << 20,
    READAHEAD_MAX = 16 << 20,
    READAHEAD_HITS = 2,      /* sequential reads that start it */
    READAHEAD_MISSES = 3,    /* reads elsewhere that end it */
    READAHEAD_NEAR = 1 << 20 /* the kernel may send reads slightly out of order */
};

/* Zeroed memory: nothing known. */
struct readahead {
    uint64_t next;    /* where a sequential reader goes on */
    uint64_t ahead;   /* fetched up to here */
    uint64_t grow_at; /* a reader that gets here has used up one window */
    uint32_t window;
    uint8_t hits, misses;
};

/*
 * A read of [offset, offset + len) of a file of `size` bytes. True when the reader is sequential:
 * [*ret_from, *ret_to) should be in the cache or on its way; it contains the read itself and what
 * comes after it, whole pieces of 1 MiB.
 */
bool readahead_on_read(struct readahead *r, uint64_t offset, uint64_t len, uint64_t size,
                       uint32_t window_max, uint64_t *ret_from, uint64_t *ret_to);

#endif
