/*
 * The dirty bytes of one inode: pieces that do not overlap, newest content only, each belonging to
 * the generation in which its oldest byte was written. Pure but for slab references.
 */
#ifndef LIBDFS_DIRTY_H
#define LIBDFS_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libdfs/extent.h"

struct slab;
struct slab_pool;

enum {
    DIRTY_REF_MIN = 64 << 10,  /* writes from here on may keep a reference to the slab */
    DIRTY_FILL_SIZE = 64 << 10 /* smaller ones are gathered in slabs of this size */
};

/* What was written between two flushes. Alive while a piece of it is (dirty or flying). */
struct dirty_gen {
    uint64_t number;
    uint64_t pieces;
    uint64_t first_ns; /* when its first byte was written */
    struct dirty_gen *next;
};

struct dirty_piece {
    struct extent x; /* bytes of the file */
    const uint8_t *bytes;
    struct slab *slab; /* a reference */
    struct dirty_gen *gen;
    bool own; /* in a slab of ours: may be overwritten in place while it is dirty */
};

/* Zeroed memory is empty. */
struct dirty {
    struct extent_set pieces; /* struct dirty_piece */
    struct slab *fill;        /* where small writes are gathered */
    size_t fill_len;
    struct dirty_gen *oldest, *newest;
    uint64_t gen_count; /* generations made so far: the newest's number */
    bool gen_closed;    /* the next write begins a new one */
};

/* Drops everything. Pieces that were taken out must be released before. */
void dirty_done(struct dirty *d);

/*
 * Newest content of [offset, offset + len). slab: where bytes lie, kept by reference if they fill at
 * least half of it, so that dirty bytes never hold more than twice their memory; NULL: they are
 * copied. Gives the bytes that were copied.
 */
size_t dirty_write(struct dirty *d, struct slab_pool *slabs, uint64_t offset, const void *bytes,
                   size_t len, struct slab *slab, uint64_t now_ns);
/* Forgets [start, end). */
void dirty_cut(struct dirty *d, uint64_t start, uint64_t end);

/*
 * Takes out pieces that follow each other without a gap from start (which must be dirty) up to
 * end, at most max. They are the caller's, until dirty_piece_release(). Gives how many.
 */
size_t dirty_take(struct dirty *d, uint64_t start, uint64_t end, struct dirty_piece **ret_pieces,
                  size_t max);
/*
 * Gives a piece back that dirty_take() gave out: what was written since then hides it. It is not
 * the caller's any more.
 */
void dirty_put_back_take(struct dirty *d, struct dirty_piece *p);
void dirty_piece_release(struct dirty *d, struct dirty_piece *p);

/* Closes the present generation and gives its number: what to wait for. 0: nothing is alive. */
uint64_t dirty_gen_close(struct dirty *d);
/* True when nothing of this generation or an older one is alive. */
bool dirty_gen_is_over(const struct dirty *d, uint64_t number);
/* The oldest one alive; NULL. */
const struct dirty_gen *dirty_gen_oldest(const struct dirty *d);

#endif
