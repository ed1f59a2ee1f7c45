/*
 * A write is two pwrites: the data, then the slots it changes; see the header for the layout.
 *
 * Data of direct_min bytes and more that is whole blocks goes to the disk with O_DIRECT: the copy
 * into the page cache, the pages for it and their write-back cost several times what the disk
 * itself takes, and three replicas need no three caches of what was just written. All else, slots
 * too, is buffered. The kernel keeps both views of a file in step, and there is one writer.
 */
#include "datanode/chunk_file.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "datanode/chunk_file_priv.h"

static const char MAGIC[8] = "dfschnk1";
enum {
    VERSION = 1,
    HEADER_CRC_AT = 44,
    BLOCK = CHUNK_BLOCK_SIZE,
    PAGE_BYTES = CHUNK_SLOT_PAGE * 4,
    TOUCHED_MAX = SLAB_SIZE_MAX / BLOCK + 1,
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "slots are little-endian on disk and used in place");

void chunk_header_encode(const struct chunk_header *h, uint8_t out[CHUNK_HEADER_SIZE])
{
    memset(out, 0, CHUNK_HEADER_SIZE);
    memcpy(out, MAGIC, sizeof(MAGIC));
    put_le32(out + 8, VERSION);
    put_le32(out + 12, h->pg);
    put_le64(out + 16, h->id);
    memcpy(out + 24, h->cluster.b, 16);
    put_le32(out + HEADER_CRC_AT, crc32c(out, HEADER_CRC_AT));
}

int chunk_header_decode(const uint8_t in[CHUNK_HEADER_SIZE], struct chunk_header *ret_header)
{
    static const uint8_t zeros[HEADER_CRC_AT + 4];

    if (memcmp(in, zeros, sizeof(zeros)) == 0)
        return -ENODATA;
    if (memcmp(in, MAGIC, sizeof(MAGIC)) != 0 || get_le32(in + 8) != VERSION ||
        get_le32(in + HEADER_CRC_AT) != crc32c(in, HEADER_CRC_AT))
        return -EBADMSG;
    ret_header->pg = get_le32(in + 12);
    ret_header->id = get_le64(in + 16);
    memcpy(ret_header->cluster.b, in + 24, 16);
    return 0;
}

/* Neighbours in creation share a directory: fewer directories to sync. */
unsigned chunk_file_dir(uint64_t id)
{
    return (unsigned)(id >> 10) % CHUNK_DIR_COUNT;
}

void chunk_dir_path(const struct chunk_dir *d, unsigned number, char path[PATH_BYTES_MAX + 1])
{
    (void)snprintf(path, PATH_BYTES_MAX + 1, "%s/c/%03x", d->path, number);
}

void chunk_file_path(const struct chunk_dir *d, uint64_t id, char path[PATH_BYTES_MAX + 1])
{
    (void)snprintf(path, PATH_BYTES_MAX + 1, "%s/c/%03x/%016llx", d->path, chunk_file_dir(id),
                   (unsigned long long)id);
}

void chunk_file_init(struct chunk_file *f, struct chunk_dir *d, uint64_t id, uint32_t pg)
{
    *f = (struct chunk_file){.dir = d, .id = id, .pg = pg};
    pthread_mutex_init(&f->lock, NULL);
}

static void close_locked(struct chunk_file *f)
{
    for (unsigned i = 0; i < CHUNK_SLOT_PAGES; i++) {
        free(f->pages[i]);
        f->pages[i] = NULL;
    }
    f->loaded = f->lost = 0;
    vfs_close(STEAL(f->direct));
    vfs_close(STEAL(f->file));
}

void chunk_file_close(struct chunk_file *f)
{
    pthread_mutex_lock(&f->lock);
    close_locked(f);
    pthread_mutex_unlock(&f->lock);
}

void chunk_file_done(struct chunk_file *f)
{
    close_locked(f);
    pthread_mutex_destroy(&f->lock);
}

/* ---- opening ---- */

static int create_locked(struct chunk_file *f, const char *path)
{
    struct vfs *vfs = f->dir->vfs;
    char dir[PATH_BYTES_MAX + 1];
    int r;

    r = vfs_open(vfs, path, O_RDWR | O_CREAT | O_EXCL, 0600, &f->file);
    if (r == -ENOENT) {
        chunk_dir_path(f->dir, chunk_file_dir(f->id), dir);
        r = vfs_mkdir(vfs, dir, 0700);
        if (r < 0 && r != -EEXIST)
            return r;
        atomic_store(&f->dir->made_dir, true);
        r = vfs_open(vfs, path, O_RDWR | O_CREAT | O_EXCL, 0600, &f->file);
    }
    if (r < 0)
        return r;
    f->loaded = UINT16_MAX;
    f->lost = 0;
    f->len = 0;
    f->has_header = false;
    f->is_new = true;
    return 0;
}

/* What is there already; the header is not believed for more than "it was written". One that
 * cannot be read is written again with the next slots. */
static int open_old_locked(struct chunk_file *f, const char *path)
{
    uint8_t header[HEADER_CRC_AT + 4];
    struct vfs_stat st;
    ssize_t n;
    int r;

    r = vfs_open(f->dir->vfs, path, O_RDWR, 0, &f->file);
    if (r < 0)
        return r;
    r = vfs_fstat(f->file, &st);
    n = r < 0 ? r : vfs_pread(f->file, header, sizeof(header), 0);
    if (n < 0 && (r < 0 || n != -EIO)) {
        vfs_close(STEAL(f->file));
        return (int)n;
    }
    f->len =
        st.size > CHUNK_DATA_AT ? (uint32_t)MIN(st.size - CHUNK_DATA_AT, (uint64_t)CHUNK_SIZE) : 0;
    f->has_header = n == (ssize_t)sizeof(header) && memcmp(header, MAGIC, sizeof(MAGIC)) == 0;
    f->loaded = f->lost = 0;
    return 0;
}

int chunk_open_locked(struct chunk_file *f, unsigned flags)
{
    char path[PATH_BYTES_MAX + 1];
    int r;

    if (f->file)
        return 0;
    chunk_file_path(f->dir, f->id, path);
    if (!(flags & CHUNK_FILE_CREATE)) {
        r = open_old_locked(f, path);
        return r == -ENOENT ? DFS_ENOCHUNK : r;
    }
    r = create_locked(f, path);
    return r == -EEXIST ? open_old_locked(f, path) : r;
}

/* A sector that cannot be read is a bad block, which others have; not the end of the disk. */
int chunk_read_error(ssize_t r)
{
    return r == -EIO ? DFS_EBADBLOCK : (int)r;
}

/* ---- blocks ---- */

uint32_t chunk_slot_of(const uint8_t *block)
{
    return crc32c(block, BLOCK) ^ CRC32C_ZERO_BLOCK;
}

static int check_block(const uint8_t *block, uint32_t slot)
{
    return chunk_slot_of(block) == slot ? 0 : DFS_EBADBLOCK;
}

/* The bytes of one block as they are; zeros beyond the end. */
static int read_block_locked(struct chunk_file *f, uint32_t block, uint8_t *buf)
{
    ssize_t n = vfs_pread(f->file, buf, BLOCK, CHUNK_DATA_AT + (uint64_t)block * BLOCK);

    if (n < 0)
        return chunk_read_error(n);
    memset(buf + n, 0, BLOCK - (size_t)n);
    return 0;
}

/* ---- slots ---- */

static ssize_t read_page_locked(struct chunk_file *f, uint32_t page, uint32_t *slots)
{
    ssize_t n = vfs_pread(f->file, slots, PAGE_BYTES, CHUNK_SLOTS_AT + (uint64_t)page * PAGE_BYTES);

    if (n >= 0)
        memset((uint8_t *)slots + n, 0, PAGE_BYTES - (size_t)n);
    return n;
}

/* What the slots were nobody knows: each block gets one that its bytes do not have. */
static void make_lost_page_locked(struct chunk_file *f, uint32_t page, uint32_t *slots)
{
    uint32_t first = page * CHUNK_SLOT_PAGE, end = (f->len + BLOCK - 1) / BLOCK;
    uint8_t buf[BLOCK];

    memset(slots, 0, PAGE_BYTES);
    for (uint32_t i = 0; i < CHUNK_SLOT_PAGE && first + i < end; i++)
        slots[i] = read_block_locked(f, first + i, buf) == 0 ? ~chunk_slot_of(buf) : 1;
    f->lost |= (uint16_t)(1u << page);
}

static int load_page_locked(struct chunk_file *f, uint32_t page)
{
    uint32_t *slots;
    ssize_t n;

    if (f->loaded & 1u << page)
        return 0;
    slots = mem_alloc(PAGE_BYTES);
    n = read_page_locked(f, page, slots);
    if (n == -EIO) {
        make_lost_page_locked(f, page, slots);
    } else if (n < 0) {
        free(slots);
        return (int)n;
    }
    f->pages[page] = slots;
    f->loaded |= (uint16_t)(1u << page);
    return 0;
}

int chunk_get_slots_locked(struct chunk_file *f, uint32_t first, uint32_t count, uint32_t *slots)
{
    while (count) {
        uint32_t page = first / CHUNK_SLOT_PAGE, at = first % CHUNK_SLOT_PAGE;
        uint32_t n = MIN(count, CHUNK_SLOT_PAGE - at);
        int r = load_page_locked(f, page);

        if (r < 0)
            return r;
        if (f->pages[page])
            memcpy(slots, f->pages[page] + at, n * sizeof(*slots));
        else
            memset(slots, 0, n * sizeof(*slots));
        slots += n;
        first += n;
        count -= n;
    }
    return 0;
}

/* In the cache only; the pages were loaded. */
void chunk_set_slots_locked(struct chunk_file *f, uint32_t first, uint32_t count,
                            const uint32_t *slots)
{
    while (count) {
        uint32_t page = first / CHUNK_SLOT_PAGE, at = first % CHUNK_SLOT_PAGE;
        uint32_t n = MIN(count, CHUNK_SLOT_PAGE - at);

        if (!f->pages[page])
            f->pages[page] = mem_zalloc(CHUNK_SLOT_PAGE, sizeof(*slots));
        memcpy(f->pages[page] + at, slots, n * sizeof(*slots));
        slots += n;
        first += n;
        count -= n;
    }
}

/* After a failure nothing is known of what is on the disk: read it again when it is wanted. */
static void forget_slots_locked(struct chunk_file *f)
{
    for (unsigned i = 0; i < CHUNK_SLOT_PAGES; i++) {
        free(f->pages[i]);
        f->pages[i] = NULL;
    }
    f->loaded = f->lost = 0;
}

/*
 * A page that could not be read is written whole, which gives the disk a sound sector for it: once
 * a slot in it changes, and if it still cannot be read.
 */
static int write_lost_page_locked(struct chunk_file *f, uint32_t page)
{
    uint32_t slots[CHUNK_SLOT_PAGE];
    ssize_t n = read_page_locked(f, page, slots);
    int r = 0;

    if (n >= 0)
        memcpy(f->pages[page], slots, sizeof(slots));
    else if (n == -EIO)
        r = vfs_pwrite(f->file, f->pages[page], PAGE_BYTES,
                       CHUNK_SLOTS_AT + (uint64_t)page * PAGE_BYTES);
    else
        r = (int)n;
    if (r == 0)
        f->lost &= (uint16_t) ~(1u << page);
    return r;
}

static int write_lost_pages_locked(struct chunk_file *f, uint32_t first, uint32_t count)
{
    int r = 0;

    for (uint32_t page = first / CHUNK_SLOT_PAGE;
         r == 0 && f->lost != 0 && page <= (first + count - 1) / CHUNK_SLOT_PAGE; page++)
        if (f->lost & 1u << page)
            r = write_lost_page_locked(f, page);
    return r;
}

/* A file without a header gets it together with its slots, when those are near the front. */
int chunk_write_slots_locked(struct chunk_file *f, uint32_t first, uint32_t count,
                             const uint32_t *slots)
{
    uint8_t header[CHUNK_HEADER_SIZE];
    static const uint8_t zeros[CHUNK_SLOT_PAGE * sizeof(uint32_t)];
    struct iovec iov[3] = {
        {header, sizeof(header)},
        {(void *)(uintptr_t)zeros, first * sizeof(*slots)},
        {(void *)(uintptr_t)slots, count * sizeof(*slots)},
    };
    int r = write_lost_pages_locked(f, first, count);

    if (r < 0)
        return r;
    if (f->has_header)
        return vfs_pwrite(f->file, slots, count * sizeof(*slots),
                          CHUNK_SLOTS_AT + first * sizeof(*slots));
    chunk_header_encode(&(struct chunk_header){f->id, f->pg, f->dir->cluster}, header);
    if (f->len == 0 && first <= CHUNK_SLOT_PAGE) {
        r = vfs_pwritev(f->file, iov, 3, 0);
    } else {
        r = vfs_pwrite(f->file, header, sizeof(header), 0);
        if (r == 0)
            r = vfs_pwrite(f->file, slots, count * sizeof(*slots),
                           CHUNK_SLOTS_AT + first * sizeof(*slots));
    }
    f->has_header = r == 0;
    return r;
}

/* ---- writing ---- */

/*
 * The slot of a block of which [at, at+len) becomes `bytes`. Beyond the end of the chunk there are
 * zeros, so the new slot follows from the old one and the bytes alone; and if the old bytes did not
 * have their CRC, they still do not.
 */
static int merge_slot_locked(struct chunk_file *f, uint32_t block, uint32_t at, uint32_t len,
                             const uint8_t *bytes, uint32_t *slot)
{
    uint8_t buf[BLOCK];
    int r;

    if ((uint64_t)block * BLOCK + at >= f->len) {
        memset(buf, 0, sizeof(buf));
        memcpy(buf + at, bytes, len);
        *slot ^= chunk_slot_of(buf);
        return 0;
    }
    r = read_block_locked(f, block, buf);
    if (r == 0)
        r = check_block(buf, *slot);
    if (r < 0)
        return r;
    memcpy(buf + at, bytes, len);
    *slot = chunk_slot_of(buf);
    return 0;
}

static int new_slots_locked(struct chunk_file *f, uint32_t offset, uint32_t len,
                            const uint8_t *bytes, const uint32_t *crcs, uint32_t *slots)
{
    uint32_t first = offset / BLOCK, count = (offset + len - 1) / BLOCK - first + 1;
    int r = chunk_get_slots_locked(f, first, count, slots);

    for (uint32_t i = 0; r == 0 && i < count; i++) {
        uint32_t at = i == 0 ? offset % BLOCK : 0;
        uint32_t n = MIN(len, BLOCK - at);

        if (n == BLOCK)
            slots[i] = crcs[i] ^ CRC32C_ZERO_BLOCK;
        else
            r = merge_slot_locked(f, first + i, at, n, bytes, &slots[i]);
        bytes += n;
        len -= n;
    }
    return r;
}

static bool is_for_direct(const struct chunk_file *f, uint32_t offset, uint32_t len,
                          const uint8_t *bytes)
{
    uint32_t min = atomic_load(&f->dir->direct_min);

    return min > 0 && len >= min && (offset | len | (uintptr_t)bytes) % BLOCK == 0;
}

static int write_data_locked(struct chunk_file *f, uint32_t offset, uint32_t len,
                             const uint8_t *bytes)
{
    char path[PATH_BYTES_MAX + 1];
    int r = 0;

    if (is_for_direct(f, offset, len, bytes)) {
        if (!f->direct) {
            chunk_file_path(f->dir, f->id, path);
            r = vfs_open(f->dir->vfs, path, O_WRONLY | O_DIRECT, 0, &f->direct);
        }
        if (r == 0)
            r = vfs_pwrite(f->direct, bytes, len, CHUNK_DATA_AT + (uint64_t)offset);
        if (r != -EINVAL)
            return r;
        /* This file system has no direct writes, or not in blocks of this size. */
        atomic_store(&f->dir->direct_min, 0);
    }
    return vfs_pwrite(f->file, bytes, len, CHUNK_DATA_AT + (uint64_t)offset);
}

static int write_locked(struct chunk_file *f, uint32_t offset, uint32_t len, const uint8_t *bytes,
                        const uint32_t *crcs, uint32_t *ret_result_crc)
{
    uint32_t slots[TOUCHED_MAX];
    uint32_t first = offset / BLOCK, count = (offset + len - 1) / BLOCK - first + 1;
    bool header_first = !f->has_header;
    int r;

    r = new_slots_locked(f, offset, len, bytes, crcs, slots);
    if (r < 0)
        return r;
    /* A file with data always has its header, also after a kill between the two. */
    if (header_first)
        r = chunk_write_slots_locked(f, first, count, slots);
    if (r == 0)
        r = write_data_locked(f, offset, len, bytes);
    if (r == 0 && !header_first)
        r = chunk_write_slots_locked(f, first, count, slots);
    if (r < 0) {
        forget_slots_locked(f);
        return r;
    }
    chunk_set_slots_locked(f, first, count, slots);
    f->len = MAX(f->len, offset + len);
    *ret_result_crc = crc32c(slots, count * sizeof(*slots));
    return 0;
}

int chunk_file_write(struct chunk_file *f, uint32_t offset, uint32_t len, const uint8_t *bytes,
                     const uint32_t *crcs, unsigned flags, uint32_t *ret_result_crc)
{
    int r;

    assert(len > 0 && len <= SLAB_SIZE_MAX && offset < CHUNK_SIZE && len <= CHUNK_SIZE - offset);
    pthread_mutex_lock(&f->lock);
    r = chunk_open_locked(f, flags);
    if (r == 0)
        r = write_locked(f, offset, len, bytes, crcs, ret_result_crc);
    pthread_mutex_unlock(&f->lock);
    return r;
}

/* Slots from `first` on become zero, but those that are zero already are not written. */
static int clear_slots_locked(struct chunk_file *f, uint32_t first, uint32_t end)
{
    uint32_t slots[CHUNK_SLOT_PAGE];
    static const uint32_t zeros[CHUNK_SLOT_PAGE];
    int r;

    for (uint32_t n; first < end; first += n) {
        n = MIN(end - first, CHUNK_SLOT_PAGE - first % CHUNK_SLOT_PAGE);
        r = chunk_get_slots_locked(f, first, n, slots);
        if (r < 0)
            return r;
        if (memcmp(slots, zeros, n * sizeof(*slots)) == 0)
            continue;
        r = chunk_write_slots_locked(f, first, n, zeros);
        if (r < 0)
            return r;
        chunk_set_slots_locked(f, first, n, zeros);
    }
    return 0;
}

/* The block in which the cut is: its tail becomes zeros. */
static int cut_block_locked(struct chunk_file *f, uint32_t from, uint32_t *slot)
{
    uint32_t block = from / BLOCK;
    uint8_t buf[BLOCK];
    int r;

    r = chunk_get_slots_locked(f, block, 1, slot);
    if (r == 0)
        r = read_block_locked(f, block, buf);
    if (r == 0)
        r = check_block(buf, *slot);
    if (r < 0)
        return r;
    memset(buf + from % BLOCK, 0, BLOCK - from % BLOCK);
    *slot = chunk_slot_of(buf);
    return 0;
}

static int truncate_locked(struct chunk_file *f, uint32_t from, unsigned flags,
                           uint32_t *ret_result_crc)
{
    uint32_t old_end = (f->len + BLOCK - 1) / BLOCK, slot = 0;
    bool cuts = from < f->len && from % BLOCK != 0;
    int r = 0;

    if (from < f->len || flags & CHUNK_FILE_COPY) {
        if (cuts)
            r = cut_block_locked(f, from, &slot);
        if (r == DFS_EBADBLOCK && flags & CHUNK_FILE_COPY) { /* It stays what it is. */
            cuts = false;
            r = 0;
        }
        if (r == 0)
            r = vfs_truncate(f->file, CHUNK_DATA_AT + (uint64_t)from);
        if (r == 0 && cuts)
            r = chunk_write_slots_locked(f, from / BLOCK, 1, &slot);
        if (r == 0 && cuts)
            chunk_set_slots_locked(f, from / BLOCK, 1, &slot);
        if (r == 0)
            r = clear_slots_locked(f, (from + BLOCK - 1) / BLOCK, old_end);
        if (r < 0) {
            if (r != DFS_EBADBLOCK)
                forget_slots_locked(f);
            return r;
        }
        f->len = from;
    }
    if (f->len % BLOCK != 0 && !cuts)
        r = chunk_get_slots_locked(f, f->len / BLOCK, 1, &slot);
    *ret_result_crc = crc32c_update(slot, &f->len, sizeof(f->len));
    return r;
}

int chunk_file_truncate(struct chunk_file *f, uint32_t from, unsigned flags,
                        uint32_t *ret_result_crc)
{
    int r;

    assert(from <= CHUNK_SIZE);
    pthread_mutex_lock(&f->lock);
    r = chunk_open_locked(f, flags);
    if (r == 0)
        r = truncate_locked(f, from, flags, ret_result_crc);
    pthread_mutex_unlock(&f->lock);
    return r;
}

int chunk_file_trim(struct chunk_file *f, unsigned flags)
{
    int r;

    pthread_mutex_lock(&f->lock);
    r = chunk_open_locked(f, flags);
    if (r == 0)
        r = clear_slots_locked(f, (f->len + BLOCK - 1) / BLOCK, CHUNK_BLOCKS);
    pthread_mutex_unlock(&f->lock);
    return r;
}

void chunk_file_sync_start(struct chunk_file *f)
{
    struct vfs_file *file;

    pthread_mutex_lock(&f->lock);
    file = f->file;
    pthread_mutex_unlock(&f->lock);
    if (file)
        (void)vfs_sync_range(file, 0, 0); /* A hint: the sync that follows tells of errors. */
}

/* The lock is not held meanwhile: writes go on. The caller sees to it that nobody closes. */
int chunk_file_sync(struct chunk_file *f)
{
    struct vfs_file *file;
    int r;

    pthread_mutex_lock(&f->lock);
    r = chunk_open_locked(f, 0);
    file = f->file;
    pthread_mutex_unlock(&f->lock);
    return r < 0 ? r : vfs_sync(file);
}

int chunk_file_unlink(struct chunk_file *f)
{
    char path[PATH_BYTES_MAX + 1];
    int r;

    chunk_file_path(f->dir, f->id, path);
    r = vfs_unlink(f->dir->vfs, path);
    return r == -ENOENT ? 0 : r;
}

/* ---- reading ---- */

int chunk_file_slots(struct chunk_file *f, uint32_t first, uint32_t count, uint32_t *ret_slots,
                     uint32_t *ret_len)
{
    int r;

    pthread_mutex_lock(&f->lock);
    r = chunk_open_locked(f, 0);
    if (r == 0)
        r = chunk_get_slots_locked(f, first, count, ret_slots);
    if (r == 0)
        *ret_len = f->len;
    pthread_mutex_unlock(&f->lock);
    return r;
}

int chunk_read_locked(struct chunk_file *f, uint32_t offset, uint32_t len, uint8_t *buf,
                      uint32_t *ret_len)
{
    uint32_t there = offset < f->len ? MIN(len, f->len - offset) : 0;
    ssize_t n = there ? vfs_pread(f->file, buf, there, CHUNK_DATA_AT + (uint64_t)offset) : 0;

    if (n < 0)
        return chunk_read_error(n);
    /* Shorter than it was when it was opened: someone else cut it; let the CRCs find that. */
    memset(buf + n, 0, there - (size_t)n);
    if (there % BLOCK != 0)
        memset(buf + there, 0, BLOCK - there % BLOCK);
    *ret_len = there;
    return 0;
}

static int read_verified_locked(struct chunk_file *f, uint32_t offset, uint32_t len, uint8_t *buf,
                                uint32_t *ret_slots, uint32_t *ret_len, uint32_t *ret_bad)
{
    uint32_t there, count;
    int r;

    *ret_bad = offset / BLOCK; /* If it cannot be read at all. */
    r = chunk_read_locked(f, offset, len, buf, &there);
    if (r < 0)
        return r;
    count = (there + BLOCK - 1) / BLOCK;
    r = chunk_get_slots_locked(f, offset / BLOCK, count, ret_slots);
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        r = check_block(buf + (size_t)i * BLOCK, ret_slots[i]);
        if (r < 0)
            *ret_bad = offset / BLOCK + i;
    }
    if (r == 0)
        *ret_len = there;
    return r;
}

int chunk_file_read_verified(struct chunk_file *f, uint32_t offset, uint32_t len, uint8_t *buf,
                             uint32_t *ret_slots, uint32_t *ret_len, uint32_t *ret_bad)
{
    int r;

    pthread_mutex_lock(&f->lock);
    r = chunk_open_locked(f, 0);
    if (r == 0)
        r = read_verified_locked(f, offset, len, buf, ret_slots, ret_len, ret_bad);
    pthread_mutex_unlock(&f->lock);
    return r;
}

int chunk_file_read(struct chunk_file *f, uint32_t offset, uint32_t len, uint8_t *buf,
                    uint32_t *ret_len)
{
    int r;

    pthread_mutex_lock(&f->lock);
    r = chunk_open_locked(f, 0);
    if (r == 0)
        r = chunk_read_locked(f, offset, len, buf, ret_len);
    pthread_mutex_unlock(&f->lock);
    return r;
}

bool chunk_file_is_new(struct chunk_file *f)
{
    bool is_new;

    pthread_mutex_lock(&f->lock);
    is_new = f->is_new;
    pthread_mutex_unlock(&f->lock);
    return is_new;
}

void chunk_file_set_old(struct chunk_file *f)
{
    pthread_mutex_lock(&f->lock);
    f->is_new = false;
    pthread_mutex_unlock(&f->lock);
}

bool chunk_file_is_open(struct chunk_file *f)
{
    bool is_open;

    pthread_mutex_lock(&f->lock);
    is_open = f->file != NULL;
    pthread_mutex_unlock(&f->lock);
    return is_open;
}

int chunk_file_fd(struct chunk_file *f)
{
    int fd;

    pthread_mutex_lock(&f->lock);
    fd = f->file ? vfs_fd(f->file) : -1;
    pthread_mutex_unlock(&f->lock);
    return fd;
}

void chunk_file_prefetch(struct chunk_file *f, uint32_t offset, uint32_t len)
{
    struct vfs_file *file;

    pthread_mutex_lock(&f->lock);
    file = f->file;
    pthread_mutex_unlock(&f->lock);
    if (file)
        vfs_prefetch(file, CHUNK_DATA_AT + (uint64_t)offset, len);
}
