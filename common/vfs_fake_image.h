/*
 * For vfs_fake.c: the bytes of one file, sparse in blocks of 4 KiB, and changes to them that may
 * reach the medium whole, in part or not at all.
 */
#ifndef COMMON_VFS_FAKE_IMAGE_H
#define COMMON_VFS_FAKE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng;

enum { IMAGE_BLOCK = 4096, IMAGE_SECTOR = 512 };

/* Zeroed memory is an empty one. A block that is NULL is a hole. */
struct image {
    uint64_t size;
    uint8_t **blocks;
    size_t block_count;
    size_t allocated_count;
};

void image_done(struct image *m);
void image_copy(struct image *to, const struct image *from);
/* Bytes read; less at the end of the file. */
size_t image_read(const struct image *m, void *buf, size_t len, uint64_t offset);
/* How many blocks a write or an allocation there would add. */
size_t image_blocks_missing(const struct image *m, uint64_t offset, uint64_t len);
bool image_flip_bit(struct image *m, uint64_t offset, unsigned bit);

enum image_change_type { CHANGE_WRITE, CHANGE_TRUNCATE, CHANGE_ALLOCATE, CHANGE_PUNCH };

struct image_change {
    enum image_change_type type;
    uint64_t offset, len; /* TRUNCATE: the size is len */
    uint8_t *data;        /* WRITE */
    struct image_change *prev, *next;
};

void image_apply(struct image *m, const struct image_change *c);
/* What a power failure may leave of it: all, nothing, or some sectors. rng NULL: nothing. */
void image_apply_torn(struct image *m, const struct image_change *c, struct rng *rng);
/* Copies data. */
struct image_change *image_change_new(enum image_change_type type, uint64_t offset, uint64_t len,
                                      const void *data);
void image_change_free(struct image_change *c);

#endif
