/*
 * All of a chunk compared with its CRCs. What the disk cannot read is bad, and only that: a failed
 * read of many blocks is done again block by block.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/hash.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "datanode/chunk_file.h"
#include "datanode/chunk_file_priv.h"

enum { BLOCK = CHUNK_BLOCK_SIZE, CHECK_BYTES = 256 << 10, PIECE = CHECK_BYTES / BLOCK };

_Static_assert(PIECE == 64, "a bit for each block of a piece");

/* What a check is told, and what it finds. */
struct check {
    struct chunk_file *f;
    struct vfs_file *direct;
    bool launder;
    uint8_t *buf;
    uint64_t *bad;
    uint32_t bad_count;
    uint64_t *hashes;
};

static uint64_t hash_of(const uint8_t block[BLOCK])
{
    static const uint8_t zeros[BLOCK];
    uint64_t h;

    if (memcmp(block, zeros, BLOCK) == 0)
        return 0;
    h = hash64(block, BLOCK, 0);
    return h == 0 || h == CHUNK_HASH_UNKNOWN ? 1 : h;
}

/* Whole blocks, past the page cache; buf is aligned. Data that memory has newer goes out first, by
 * the kernel. */
static int read_direct_locked(struct chunk_file *f, struct vfs_file *direct, uint32_t offset,
                              uint32_t len, uint8_t *buf, uint32_t *ret_len)
{
    uint32_t there = offset < f->len ? MIN(len, f->len - offset) : 0;
    uint32_t whole = (there + BLOCK - 1) / BLOCK * BLOCK;
    ssize_t n = there ? vfs_pread(direct, buf, whole, CHUNK_DATA_AT + (uint64_t)offset) : 0;

    if (n < 0)
        return chunk_read_error(n);
    if (n < (ssize_t)there)
        memset(buf + n, 0, there - (size_t)n);
    if (there % BLOCK != 0)
        memset(buf + there, 0, BLOCK - there % BLOCK);
    *ret_len = there;
    return 0;
}

static int read_piece_locked(struct check *c, uint32_t first, uint32_t count, uint8_t *buf,
                             uint32_t *ret_len)
{
    int r = -EINVAL;

    if (c->direct != NULL)
        r = read_direct_locked(c->f, c->direct, first * BLOCK, count * BLOCK, buf, ret_len);
    if (r == -EINVAL) /* Not so, or not in blocks of this size. */
        r = chunk_read_locked(c->f, first * BLOCK, count * BLOCK, buf, ret_len);
    return r;
}

/* A bit in *unreadable for each block that the disk does not give. */
static int read_blocks_locked(struct check *c, uint32_t first, uint32_t *ret_len,
                              uint64_t *unreadable)
{
    int r = read_piece_locked(c, first, PIECE, c->buf, ret_len);
    uint32_t len;

    if (r != DFS_EBADBLOCK)
        return r;
    *ret_len =
        first * BLOCK < c->f->len ? MIN((uint32_t)CHECK_BYTES, c->f->len - first * BLOCK) : 0;
    for (uint32_t i = 0; i * BLOCK < *ret_len; i++) {
        r = read_piece_locked(c, first + i, 1, c->buf + (size_t)i * BLOCK, &len);
        if (r == DFS_EBADBLOCK)
            *unreadable |= UINT64_C(1) << i;
        else if (r < 0)
            return r;
    }
    return 0;
}

static void found_bad(struct check *c, uint32_t block)
{
    if (c->hashes != NULL)
        c->hashes[block] = CHUNK_HASH_UNKNOWN;
    c->bad[block / 64] |= UINT64_C(1) << (block % 64);
    c->bad_count++;
}

/* One piece of a check, small enough that writers do not wait long for the lock. */
static int check_piece_locked(struct check *c, uint32_t first)
{
    uint32_t slots[PIECE], len, count;
    uint64_t unreadable = 0;
    bool is_changed = false;
    int r = read_blocks_locked(c, first, &len, &unreadable);

    if (r < 0)
        return r;
    count = (len + BLOCK - 1) / BLOCK;
    r = chunk_get_slots_locked(c->f, first, count, slots);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *block = c->buf + (size_t)i * BLOCK;
        bool is_readable = !(unreadable >> i & 1);

        if (is_readable && chunk_slot_of(block) == slots[i]) {
            if (c->hashes != NULL)
                c->hashes[first + i] = hash_of(block);
            continue;
        }
        if (!is_readable && c->launder)
            continue; /* No bytes that could be believed: it stays bad. */
        found_bad(c, first + i);
        if (!is_readable)
            continue;
        slots[i] = chunk_slot_of(block);
        is_changed = true;
    }
    if (!is_changed || !c->launder)
        return 0;
    r = chunk_write_slots_locked(c->f, first, count, slots);
    if (r == 0)
        chunk_set_slots_locked(c->f, first, count, slots);
    return r;
}

/* For reading past the page cache; NULL where that is not wanted or cannot be done. */
static struct vfs_file *open_direct(struct chunk_file *f)
{
    char path[PATH_BYTES_MAX + 1];
    struct vfs_file *file;

    if (atomic_load(&f->dir->direct_min) == 0)
        return NULL;
    chunk_file_path(f->dir, f->id, path);
    return vfs_open(f->dir->vfs, path, O_RDONLY | O_DIRECT, 0, &file) < 0 ? NULL : file;
}

/* A file that is open is there without its name too, until it is closed: to be found before. */
static int check_name(const struct chunk_file *f)
{
    char path[PATH_BYTES_MAX + 1];
    struct vfs_stat st;

    chunk_file_path(f->dir, f->id, path);
    return vfs_stat(f->dir->vfs, path, &st) == -ENOENT ? DFS_ENOCHUNK : 0;
}

int chunk_file_check(struct chunk_file *f, bool from_disk, bool launder, uint64_t *bad,
                     uint32_t *ret_bad_count, uint64_t *hashes)
{
    CLEANUP(vfs_file) struct vfs_file *direct = from_disk ? open_direct(f) : NULL;
    struct check c = {.f = f, .direct = direct, .launder = launder, .bad = bad, .hashes = hashes};
    uint32_t len = 1;
    int r = from_disk ? check_name(f) : 0;

    c.buf = aligned_alloc(BLOCK, CHECK_BYTES);
    for (uint32_t first = 0; r == 0 && (uint64_t)first * BLOCK < len; first += PIECE) {
        pthread_mutex_lock(&f->lock);
        r = chunk_open_locked(f, 0);
        if (r == 0) {
            len = f->len;
            r = check_piece_locked(&c, first);
        }
        pthread_mutex_unlock(&f->lock);
    }
    free(c.buf);
    if (r == 0 && launder)
        r = chunk_file_trim(f, 0);
    if (r == 0)
        *ret_bad_count = c.bad_count;
    return r;
}
