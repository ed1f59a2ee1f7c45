/*
 * An ordered set of ranges that do not overlap, each embedded in something bigger: a treap, so
 * that 65,536 small dirty pieces cost no more than 16 comparisons. Pure; memory is the caller's.
 */
#ifndef LIBDFS_EXTENT_H
#define LIBDFS_EXTENT_H

#include <stddef.h>
#include <stdint.h>

struct extent {
    uint64_t start, end; /* [start, end), not empty */
    struct extent *left, *right;
    uint32_t priority;
};

/* Zeroed memory is an empty set. */
struct extent_set {
    struct extent *root;
    size_t count;
    uint64_t bytes;
    uint32_t seed;
};

/* It must not overlap any member: asserted in part. */
void extent_insert(struct extent_set *s, struct extent *e);
/* e must be a member. Its range may have been cut since it came in, as long as order held. */
void extent_remove(struct extent_set *s, struct extent *e);
/* Moves one end of a member inwards, or outwards into free room. */
void extent_resize(struct extent_set *s, struct extent *e, uint64_t start, uint64_t end);

/* The first member that ends after offset (it may contain it); NULL. */
struct extent *extent_at_or_after(const struct extent_set *s, uint64_t offset);
/* The last member that starts before offset; NULL. */
struct extent *extent_before(const struct extent_set *s, uint64_t offset);
/* The first member that overlaps [start, end); NULL. */
struct extent *extent_overlap(const struct extent_set *s, uint64_t start, uint64_t end);

#endif
