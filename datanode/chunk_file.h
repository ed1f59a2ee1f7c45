/*
 * One chunk on one disk:
 *
 *   0               4096                69632      131072
 *   | header 4 KiB  | CRC slots 64 KiB  | a hole   | data, sparse ...
 *
 * A slot is crc32c(block) ^ CRC32C_ZERO_BLOCK: a hole verifies. So slots are linear: the slot of
 * a ^ b is slot(a) ^ slot(b), and bytes put where zeros were change the slot without a read.
 *
 * The file ends with the last byte written, so its size tells the chunk's length.
 *
 * Any thread; `lock` is held while data and slots change together, or are read and compared. The
 * functions take it themselves.
 */
#ifndef DATANODE_CHUNK_FILE_H
#define DATANODE_CHUNK_FILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"
#include "common/uuid.h"

struct vfs;
struct vfs_file;

enum {
    CHUNK_HEADER_SIZE = 4096,
    CHUNK_SLOTS_AT = CHUNK_HEADER_SIZE,
    CHUNK_DATA_AT = 128 << 10,
    CHUNK_SLOT_PAGE = 1024, /* slots that are read and cached together: 4 KiB */
    CHUNK_SLOT_PAGES = CHUNK_BLOCKS / CHUNK_SLOT_PAGE,
};

/* Where the files of a target lie. */
struct chunk_dir {
    struct vfs *vfs;
    const char *path; /* of the target */
    struct uuid cluster;
    atomic_bool made_dir; /* a directory of chunks was made since this was last cleared */
    /* Writes of so many bytes go past the page cache; 0: none, also where that cannot be. */
    _Atomic uint32_t direct_min;
};

struct chunk_file {
    /* Set at the start, read by all. */
    struct chunk_dir *dir;
    uint64_t id;

    /* Under lock. */
    pthread_mutex_t lock;
    uint32_t pg;                       /* for the header of a new file */
    struct vfs_file *file;             /* NULL: closed */
    struct vfs_file *direct;           /* the same file with O_DIRECT; NULL: not needed yet */
    uint32_t len;                      /* of the data, valid while open */
    uint32_t *pages[CHUNK_SLOT_PAGES]; /* slots; NULL with its bit set: all zero */
    uint16_t loaded;                   /* which pages are known */
    uint16_t lost;                     /* and cannot be read: all their blocks are bad */
    bool has_header;                   /* written */
    bool is_new;                       /* its name may not be durable yet */
};

struct chunk_header {
    uint64_t id;
    uint32_t pg;
    struct uuid cluster;
};
void chunk_header_encode(const struct chunk_header *h, uint8_t out[CHUNK_HEADER_SIZE]);
/*
 * -ENODATA  all zeros: the file was made and nothing more
 * -EBADMSG  damaged
 */
int chunk_header_decode(const uint8_t in[CHUNK_HEADER_SIZE], struct chunk_header *ret_header);

/* "DIR/c/xxx/0123456789abcdef" and its directory. Gives the directory's number. */
enum { CHUNK_DIR_COUNT = 4096 };
unsigned chunk_file_dir(uint64_t id);
void chunk_dir_path(const struct chunk_dir *d, unsigned number, char path[PATH_BYTES_MAX + 1]);
void chunk_file_path(const struct chunk_dir *d, uint64_t id, char path[PATH_BYTES_MAX + 1]);

void chunk_file_init(struct chunk_file *f, struct chunk_dir *d, uint64_t id, uint32_t pg);
/* Closed, and its cache is gone; usable again. */
void chunk_file_close(struct chunk_file *f);
void chunk_file_done(struct chunk_file *f);

enum chunk_file_flags {
    CHUNK_FILE_CREATE = 1, /* make it if it is not there */
    CHUNK_FILE_COPY = 2,   /* truncate: the length becomes exactly this */
};

/*
 * bytes at offset; crcs: of each block's bytes in this write (used for whole blocks).
 * DFS_EBADBLOCK  a block written in part does not have its CRC; nothing was written
 * DFS_ENOCHUNK   no file, and not to be made
 */
int chunk_file_write(struct chunk_file *f, uint32_t offset, uint32_t len, const uint8_t *bytes,
                     const uint32_t *crcs, unsigned flags, uint32_t *ret_result_crc);
int chunk_file_truncate(struct chunk_file *f, uint32_t from, unsigned flags,
                        uint32_t *ret_result_crc);
/* Zeroes slots beyond the end: a torn append or truncation may have left some. */
int chunk_file_trim(struct chunk_file *f, unsigned flags);
int chunk_file_sync(struct chunk_file *f);
/* Starts the write-back that a sync would wait for. */
void chunk_file_sync_start(struct chunk_file *f);
/* Removes the name; success if there is none. Who has it open may go on. */
int chunk_file_unlink(struct chunk_file *f);

/*
 * The slots of blocks [first, first+count). Beyond the end: zeros. *ret_len: the chunk's length.
 */
int chunk_file_slots(struct chunk_file *f, uint32_t first, uint32_t count, uint32_t *ret_slots,
                     uint32_t *ret_len);
/*
 * Bytes of [offset, offset+len) that are there, and their slots, of one moment; each block
 * compared. offset is a block's start. *ret_len may be less than len; the block in which it ends is
 * filled up with zeros (so buf has room for whole blocks). DFS_EBADBLOCK  *ret_bad is the first
 * block that has not its CRC
 */
int chunk_file_read_verified(struct chunk_file *f, uint32_t offset, uint32_t len, uint8_t *buf,
                             uint32_t *ret_slots, uint32_t *ret_len, uint32_t *ret_bad);
/* The bytes only. */
int chunk_file_read(struct chunk_file *f, uint32_t offset, uint32_t len, uint8_t *buf,
                    uint32_t *ret_len);

/*
 * Compares all data with the slots; sets bits in `bad` (CHUNK_BLOCKS bits, zeroed by the caller),
 * also for blocks that the disk cannot read. With launder, blocks that do not match get the slot
 * that their bytes have, and those without readable bytes stay as they are, uncounted. from_disk: what the page
 * cache has is passed by, so that the disk is what is checked, and memory is left to those who read;
 * and a file that is open but has no name any more is none.
 *
 * hashes, unless NULL: CHUNK_BLOCKS of them, zeroed by the caller; what tells equal blocks of two
 * copies from others. A CRC does not: it is linear, and bytes that carry a CRC32C of themselves, as
 * records of logs and databases do, leave the block's CRC the same whatever they say. A block of
 * zeros, or none, has 0, a bad one CHUNK_HASH_UNKNOWN.
 */
#define CHUNK_HASH_UNKNOWN UINT64_MAX
int chunk_file_check(struct chunk_file *f, bool from_disk, bool launder, uint64_t *bad,
                     uint32_t *ret_bad_count, uint64_t *hashes);

/* The file was made and its directory not synced since. */
bool chunk_file_is_new(struct chunk_file *f);
void chunk_file_set_old(struct chunk_file *f);
bool chunk_file_is_open(struct chunk_file *f);
/* For sendfile(2); -1 when there is none. Valid until it is closed. */
int chunk_file_fd(struct chunk_file *f);
/* A hint: these bytes will be read through the descriptor. */
void chunk_file_prefetch(struct chunk_file *f, uint32_t offset, uint32_t len);

#endif
