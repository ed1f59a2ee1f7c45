/*
 * The chunk table on disk: a checkpoint ctab.N and the log ctab.log.N of what changed since, both
 * of 64-byte records. A record is the whole state of one chunk; the last one counts.
 *
 *   0       8    12      14        16    20          28        36    44      52     60
 *   | chunk | pg | flags | version | len | ver_epoch | ver_seq | lsn | group | salt | crc32c |
 *
 * A chunk with a trunc_version has a record of version 2; the other numbers are short enough:
 *
 *   36    44               48     52              60
 *   | lsn | lsn - group    | salt | trunc_version | crc32c |
 *
 * lsn: position in the file; group: lsn of the first record of the write it was in; salt: N. They
 * let a reader tell the torn end of a log, which is normal, from rot in its middle, which is not.
 *
 * While a checkpoint is made, N+1 has a log already and N is still the truth: so both logs are
 * read, in order. Nothing here is shared between threads: one at a time.
 */
#ifndef DATANODE_CTAB_H
#define DATANODE_CTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "datanode/store.h"

struct vfs;
struct vfs_file;

enum { CTAB_RECORD_SIZE = 64, CTAB_FORGOTTEN = 1 << 15 /* on disk only: the chunk is no more */ };

struct ctab_record {
    struct chunk_state chunk;
    uint64_t lsn, group, salt;
};

void ctab_record_encode(const struct ctab_record *r, uint8_t out[CTAB_RECORD_SIZE]);
/* For bytes that were encoded without a place: sets it and the CRC. */
void ctab_record_place(uint8_t record[CTAB_RECORD_SIZE], uint64_t lsn, uint64_t group,
                       uint64_t salt);
/*
 * -EBADMSG  wrong CRC, or fields that cannot be
 */
int ctab_record_decode(const uint8_t in[CTAB_RECORD_SIZE], struct ctab_record *ret_record);

typedef void (*ctab_record_fn)(void *ctx, const struct chunk_state *c);

/* ---- reading, at the start ---- */

/*
 * Gives fn each record of a checkpoint's bytes.
 * -EBADMSG  damaged: fn has seen a part
 */
int ctab_checkpoint_parse(const uint8_t *bytes, size_t len, uint64_t number, ctab_record_fn fn,
                          void *ctx);
struct ctab_log_result {
    uint64_t count;  /* records taken */
    bool is_damaged; /* rot before the end: records are missing in the middle */
};
void ctab_log_parse(const uint8_t *bytes, size_t len, uint64_t number, ctab_record_fn fn, void *ctx,
                    struct ctab_log_result *ret_result);

/*
 * Checkpoint N, then log N, then log N+1 if there is one.
 * -ENOENT   no checkpoint or no log N
 * -EBADMSG  the checkpoint is damaged
 */
int ctab_read(struct vfs *vfs, const char *dir, uint64_t number, ctab_record_fn fn, void *ctx,
              struct ctab_log_result *ret_result);

/* ---- the checkpoint's writer ---- */

struct ctab_checkpoint;
int ctab_checkpoint_new(struct vfs *vfs, const char *dir, uint64_t number,
                        struct ctab_checkpoint **ret_checkpoint);
/* Any number of encoded records, not placed. */
int ctab_checkpoint_add(struct ctab_checkpoint *c, uint8_t *records, size_t count);
/* Footer and sync. The directory is the caller's to sync. */
int ctab_checkpoint_finish(struct ctab_checkpoint *c);
void ctab_checkpoint_free(struct ctab_checkpoint *c);
DEFINE_CLEANUP(ctab_checkpoint, ctab_checkpoint_free)

/* ---- the log's writer ---- */

struct ctab_log;
/* Makes an empty log N, durably but for the directory. */
int ctab_log_new(struct vfs *vfs, const char *dir, uint64_t number, struct ctab_log **ret_log);
/* Encoded records, not placed, as one group: durable on success. After an error the log is of no
 * use any more. */
int ctab_log_append(struct ctab_log *l, uint8_t *records, size_t count);
uint64_t ctab_log_count(const struct ctab_log *l);
void ctab_log_free(struct ctab_log *l);
DEFINE_CLEANUP(ctab_log, ctab_log_free)

/* Removes all checkpoints and logs but those of this number. */
int ctab_remove_others(struct vfs *vfs, const char *dir, uint64_t number);

#endif
