/*
 * The file that `dfs backup create` writes: a plain tar (POSIX ustar), so that any tar lists and
 * unpacks it, of which every byte is checked:
 *
 *   MANIFEST.json   what it is: format, cluster, point of the log, time, and the size and hash of
 *                   each file that follows
 *   db/NAME ...     the files of a checkpoint of the metadata, in the order of the manifest
 *   TOTAL           16 hex digits: the hash of all bytes of the archive before this member
 *   1024 zeros      the end of a tar
 *
 * The headers hold nothing that does not follow from the manifest: a reader makes them itself and
 * compares. Hashes are common/hash.h's; they find damage, they are no signature.
 *
 * Read and written from front to back, so that a pipe will do. Any thread; no state but its own.
 */
#ifndef COMMON_BACKUP_FILE_H
#define COMMON_BACKUP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/compiler.h"
#include "common/uuid.h"

enum {
    BACKUP_FORMAT = 1,
    BACKUP_NAME_MAX =
        96, /* bytes of a file's name, with its NUL: "db/" and it fit a ustar header */
    BACKUP_FILES_MAX = 50000,
    BACKUP_MANIFEST_MAX = 16 << 20,
    BACKUP_WHY_MAX = 160,
};
/* What the size field of ustar holds. */
#define BACKUP_SIZE_MAX ((UINT64_C(1) << 33) - 1)

struct backup_member {
    char name[BACKUP_NAME_MAX];
    uint64_t size, hash;
};

/* The manifest. Zero is empty; backup_info_done() releases the list. */
struct backup_info {
    struct uuid cluster;
    uint64_t index, term; /* the last entry of the log that is in it */
    int64_t time_s;       /* Unix time when it was made */
    bool stale;           /* made without asking the leader what was acknowledged (--stale) */
    char program[64];     /* "dfs 1.2.3" */
    struct backup_member *members;
    size_t count;
};

void backup_info_done(struct backup_info *info);
/*
 * -EINVAL  not a plain name, or it is there already, or there are too many
 * -EFBIG   over BACKUP_SIZE_MAX
 */
int backup_info_add(struct backup_info *info, const char *name, uint64_t size, uint64_t hash);
uint64_t backup_info_bytes(const struct backup_info *info);

/* ---- writing ---- */

struct backup_writer;
/* 0, or -errno, which the call that led to it returns. */
typedef int (*backup_write_fn)(void *ctx, const void *data, size_t len);

/* Writes the manifest. info is borrowed and outlives the writer. */
int backup_writer_new(const struct backup_info *info, backup_write_fn write, void *ctx,
                      struct backup_writer **ret_writer);
void backup_writer_free(struct backup_writer *w);
DEFINE_CLEANUP(backup_writer, backup_writer_free)
/*
 * The next bytes of the members, one after the other.
 * -EBADMSG  a member's bytes do not have the hash of the manifest, or there are more than it says
 */
int backup_writer_add(struct backup_writer *w, const void *data, size_t len);
/* After all members. -EBADMSG: bytes are missing. */
int backup_writer_end(struct backup_writer *w);

/* ---- reading ---- */

/* Up to len bytes; 0 at the end; -errno. */
typedef ssize_t (*backup_read_fn)(void *ctx, void *buf, size_t len);

struct backup_sink {
    /* The manifest was read; what it says is not certain before backup_read() returns 0. NULL: none
     * is told. What these return, unless 0, ends the reading and is returned. */
    int (*manifest)(void *ctx, const struct backup_info *info);
    /* Bytes of a member; len 0 with offset == size: it is complete, and has its hash. */
    int (*data)(void *ctx, const struct backup_member *m, uint64_t offset, const void *data,
                size_t len);
    void *ctx;
};

/*
 * Reads all of it. *ret_info is there on success alone; why (BACKUP_WHY_MAX bytes) gets a sentence
 * otherwise, "" when it was the sink.
 * -EBADMSG     damaged, or cut off
 * -EPROTO      not a backup of dfs
 * -EOPNOTSUPP  of a newer format
 * -errno       of read, or of the sink
 */
int backup_read(backup_read_fn read, void *ctx, const struct backup_sink *sink,
                struct backup_info *ret_info, char *why);

/* The same from a descriptor. */
int backup_read_fd(int fd, const struct backup_sink *sink, struct backup_info *ret_info, char *why);

#endif
