#include "common/vfs_fake_image.h"

#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/mem.h"
#include "common/rng.h"

void image_done(struct image *m)
{
    for (size_t i = 0; i < m->block_count; i++)
        free(m->blocks[i]);
    free(m->blocks);
    *m = (struct image){0};
}

void image_copy(struct image *to, const struct image *from)
{
    struct image copy = *from;

    copy.blocks = mem_zalloc(from->block_count, sizeof *copy.blocks);
    for (size_t i = 0; i < from->block_count; i++) {
        if (from->blocks[i] != NULL)
            copy.blocks[i] = (uint8_t *)mem_memdup(from->blocks[i], IMAGE_BLOCK);
    }
    image_done(to);
    *to = copy;
}

static uint8_t *block_at(const struct image *m, uint64_t index)
{
    return index < m->block_count ? m->blocks[index] : NULL;
}

static uint8_t *block_make(struct image *m, uint64_t index)
{
    if (index >= m->block_count) {
        size_t count = (size_t)index + 1;

        m->blocks = mem_realloc(m->blocks, count, sizeof *m->blocks);
        memset(m->blocks + m->block_count, 0, (count - m->block_count) * sizeof *m->blocks);
        m->block_count = count;
    }
    if (m->blocks[index] == NULL) {
        m->blocks[index] = mem_zalloc(1, IMAGE_BLOCK);
        m->allocated_count++;
    }
    return m->blocks[index];
}

/* The part of a range that lies in one block. */
static size_t in_block(uint64_t offset, uint64_t len)
{
    return (size_t)MIN(len, IMAGE_BLOCK - offset % IMAGE_BLOCK);
}

size_t image_read(const struct image *m, void *buf, size_t len, uint64_t offset)
{
    uint8_t *out = buf;
    size_t done = 0;

    if (offset >= m->size)
        return 0;
    len = (size_t)MIN((uint64_t)len, m->size - offset);
    while (done < len) {
        size_t n = in_block(offset, len - done);
        const uint8_t *block = block_at(m, offset / IMAGE_BLOCK);

        if (block == NULL)
            memset(out + done, 0, n);
        else
            memcpy(out + done, block + offset % IMAGE_BLOCK, n);
        done += n;
        offset += n;
    }
    return len;
}

size_t image_blocks_missing(const struct image *m, uint64_t offset, uint64_t len)
{
    size_t missing = 0;

    if (len == 0)
        return 0;
    for (uint64_t i = offset / IMAGE_BLOCK; i <= (offset + len - 1) / IMAGE_BLOCK; i++)
        missing += block_at(m, i) == NULL;
    return missing;
}

bool image_flip_bit(struct image *m, uint64_t offset, unsigned bit)
{
    if (offset >= m->size)
        return false;
    block_make(m, offset / IMAGE_BLOCK)[offset % IMAGE_BLOCK] ^= (uint8_t)(1u << bit);
    return true;
}

static void write_bytes(struct image *m, const uint8_t *data, uint64_t len, uint64_t offset)
{
    while (len > 0) {
        size_t n = in_block(offset, len);

        memcpy(block_make(m, offset / IMAGE_BLOCK) + offset % IMAGE_BLOCK, data, n);
        data += n;
        offset += n;
        len -= n;
        m->size = MAX(m->size, offset);
    }
}

static void punch(struct image *m, uint64_t offset, uint64_t len)
{
    while (len > 0 && offset / IMAGE_BLOCK < m->block_count) {
        size_t n = in_block(offset, len);
        uint8_t **block = &m->blocks[offset / IMAGE_BLOCK];

        if (*block != NULL && n == IMAGE_BLOCK) {
            free(*block);
            *block = NULL;
            m->allocated_count--;
        } else if (*block != NULL) {
            memset(*block + offset % IMAGE_BLOCK, 0, n);
        }
        offset += n;
        len -= n;
    }
}

static void truncate_to(struct image *m, uint64_t size)
{
    if (size < m->size)
        punch(m, size,
              (uint64_t)m->block_count * IMAGE_BLOCK -
                  MIN(size, (uint64_t)m->block_count * IMAGE_BLOCK));
    m->size = size;
}

static void allocate(struct image *m, uint64_t offset, uint64_t len)
{
    if (len == 0)
        return;
    for (uint64_t i = offset / IMAGE_BLOCK; i <= (offset + len - 1) / IMAGE_BLOCK; i++)
        (void)block_make(m, i);
    m->size = MAX(m->size, offset + len);
}

void image_apply(struct image *m, const struct image_change *c)
{
    switch (c->type) {
    case CHANGE_WRITE:
        write_bytes(m, c->data, c->len, c->offset);
        break;
    case CHANGE_TRUNCATE:
        truncate_to(m, c->len);
        break;
    case CHANGE_ALLOCATE:
        allocate(m, c->offset, c->len);
        break;
    case CHANGE_PUNCH:
        punch(m, c->offset, c->len);
        break;
    }
}

static void write_some_sectors(struct image *m, const struct image_change *c, struct rng *rng)
{
    uint64_t at = c->offset, end = c->offset + c->len;

    while (at < end) {
        uint64_t n = MIN(end - at, IMAGE_SECTOR - at % IMAGE_SECTOR);

        if (rng_percent(rng, 50))
            write_bytes(m, c->data + (at - c->offset), n, at);
        at += n;
    }
}

void image_apply_torn(struct image *m, const struct image_change *c, struct rng *rng)
{
    enum { ALL, NOTHING, SECTORS, OUTCOME_COUNT } outcome;

    if (rng == NULL)
        return;
    outcome = (unsigned)rng_below(rng, OUTCOME_COUNT);
    if (outcome == ALL) {
        image_apply(m, c);
        return;
    }
    if (c->type != CHANGE_WRITE)
        return; /* Metadata of the file system: all or nothing. */
    if (outcome == SECTORS)
        write_some_sectors(m, c, rng);
    /* The size may be on the medium before the bytes are: they read as zeros then. */
    if (c->offset + c->len > m->size && rng_percent(rng, 50))
        m->size = c->offset + c->len;
}

struct image_change *image_change_new(enum image_change_type type, uint64_t offset, uint64_t len,
                                      const void *data)
{
    struct image_change *c = MEM_NEW(struct image_change);

    c->type = type;
    c->offset = offset;
    c->len = len;
    if (type == CHANGE_WRITE)
        c->data = (uint8_t *)mem_memdup(data, (size_t)len);
    return c;
}

void image_change_free(struct image_change *c)
{
    free(c->data);
    free(c);
}
