/*
 * The chunks of one datanode: one target a disk, one file a chunk. What is done to a chunk happens
 * in the order of the calls; different chunks go side by side.
 *
 * All calls on the loop's thread; each `done` comes there too, later, exactly once, never from
 * inside the call. Disk work is done by threads of each target (or, for the simulator, by the loop
 * itself: store_options.inline_io).
 *
 * Rules that always hold:
 *  - no byte of a CLEAN chunk changes before its DIRTY record is durable;
 *  - a block whose CRC does not match is never given out as good, nor given a new CRC (except by
 *    store_launder(), which counts them);
 *  - after one failed write or sync the target is failed for good: all calls on it give -EIO and
 *    on_failed has been called. (-ENOSPC fails only the operation.)
 *
 * Status codes that done may get, beside those named below: -EIO the disk or the target failed,
 * -ENOSPC, DFS_ENOCHUNK, DFS_EBADBLOCK, DFS_ECLOSED the store is being closed, -EINVAL a range
 * outside of a chunk.
 */
#ifndef DATANODE_STORE_H
#define DATANODE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/ids.h"
#include "common/limits.h"
#include "common/uuid.h"

struct clock;
struct loop;
struct metrics;
struct slab;
struct slab_pool;
struct store;
struct target;
struct vfs;

/* The version of a chunk: the position in its PG's history of the last op applied to it. */
struct chunk_ver {
    uint64_t epoch, seq;
};

/* On the disk and on the wire (ChunkState.flags); never renumber. */
enum chunk_flags {
    CHUNK_DIRTY = 1 << 0,      /* may differ from what its version says after a power failure */
    CHUNK_INCOMPLETE = 1 << 1, /* being copied here: never a source, never served */
    CHUNK_BAD = 1 << 2,        /* a block failed its CRC, or the file is gone */
    CHUNK_DELETED = 1 << 3,    /* a tombstone: refuses to be created again */
    /* Memory only: it was DIRTY when the store was opened, or an op on it failed half-way. Its
     * stored CRCs are not to be believed before they were compared with the data. */
    CHUNK_SUSPECT = 1 << 8,
};

struct chunk_state {
    struct chunk_id id;
    struct pg_id pg;
    uint32_t flags;
    uint32_t len; /* bytes up to the end of the last byte ever written and not truncated */
    struct chunk_ver ver;
    uint32_t digest; /* of all data, as it was last compared with its CRCs on the disk, if nothing
                        was changed since: equal for equal copies; 0: not known */
    /* The tail was zeroed for marks of truncations up to this version, durably: a later attempt for
     * one of them must not touch what was written since. 0: for none that has a version. */
    uint64_t trunc_version;
};

/* ---- opening ---- */

struct store_options {
    struct vfs *vfs;
    const struct clock *clock;
    struct slab_pool *slabs; /* for reads */
    struct metrics *metrics; /* may be NULL */
    struct uuid cluster;
    struct uuid boot_id;      /* of the machine, /proc/sys/kernel/random/boot_id */
    unsigned open_files_max;  /* of one target; 0: default */
    unsigned reserve_percent; /* of the disk, kept free; 100 or more: default */
    uint64_t capacity_bytes;  /* a smaller disk than the file system says; 0: as it says */
    uint32_t direct_min;      /* writes of so many bytes go past the page cache, where the file
                                 system can; 0: none */
    bool inline_io;           /* no threads: disk work is done by the loop in posted calls */
    uint64_t inline_seed;     /* in which order it comes to them */
    bool rebuild;             /* a target without its chunk table is opened all the same: every
                                 chunk file found is adopted as DIRTY */
    /* A target has failed for good; why is -errno. May be NULL. */
    void (*on_failed)(void *ctx, struct target *t, int why);
    void *ctx;
};

int store_new(struct loop *loop, const struct store_options *o, struct store **ret_store);

/*
 * Opens the target in directory `dir`, or makes one there when the directory is empty or missing:
 * then it gets target_uuid as its name and no id yet. Blocks; meant for the start of the daemon.
 * err gets a sentence for the operator on failure.
 * -EXDEV    of another cluster
 * -EBUSY    another process has it
 * -EBADMSG  both superblocks or the chunk table are damaged
 * -ENOENT   superblock without chunk table: see store_options.rebuild
 * -ENOTEMPTY a new target was to be made in a directory that holds something else
 */
int store_open_target(struct store *s, const char *dir, char *err, size_t err_size,
                      struct target **ret_target);

/*
 * Waits for what runs, gives DFS_ECLOSED to what waits, syncs everything, writes the chunk table
 * and a superblock that says "clean". done is called when targets may be freed: then store_free().
 */
void store_close(struct store *s, void (*done)(void *ctx), void *ctx);
/* Without store_close() first: like a crash (what was promised durable is). NULL is fine. */
void store_free(struct store *s);
DEFINE_CLEANUP(store, store_free)

/* ---- targets ---- */

unsigned store_target_count(const struct store *s);
struct target *store_target_at(const struct store *s, unsigned index);
struct target *store_target_find(const struct store *s, struct target_id id); /* NULL: none */
struct target_id target_id(const struct target *t); /* 0: not registered yet */
const struct uuid *target_uuid(const struct target *t);
const char *target_dir(const struct target *t);
unsigned target_index(const struct target *t);

/* What the namenode named it. Durable when done; -EEXIST: it has another id. */
int target_set_id(struct target *t, struct target_id id);

enum target_health { TARGET_GOOD, TARGET_FAILED };
struct target_stats {
    enum target_health health;
    int failure;          /* -errno when failed */
    bool same_boot;       /* the page cache survived since it was last open */
    bool was_clean;       /* it was closed by store_close() */
    uint64_t generation;  /* counts openings */
    uint64_t total_bytes; /* reserve taken off */
    uint64_t free_bytes;  /* 0: below the reserve; refuse what allocates. Read once a second */
    uint64_t chunk_count, dirty_count, bad_count, incomplete_count, tombstone_count;
    uint64_t unsynced_count; /* chunks with written, not yet synced data */
    uint64_t open_files;
    uint64_t writes, reads, syncs, read_bytes, write_bytes;
    uint64_t bad_blocks; /* found by reading or scrubbing */
    uint64_t laundered_blocks;
    uint64_t queue_len;                                 /* jobs in the hands of its threads */
    uint64_t write_ns_ewma, read_ns_ewma, sync_ns_ewma; /* recent latencies */
};
void target_stats(const struct target *t, struct target_stats *ret_stats);
/* The same free_bytes, cheap: it goes into every ACK. */
uint64_t target_free_bytes(const struct target *t);
bool target_is_failed(const struct target *t);
/* From outside, e.g. hopelessly slow: as if a sync had failed. */
void target_fail(struct target *t, int why);

/* ---- changing ---- */

enum store_flags {
    STORE_CREATE = 1 << 0, /* the chunk may be made; else DFS_ENOCHUNK when there is none */
    STORE_SYNC = 1 << 1,   /* durable when done */
    /* From a source of a join or repair: whole blocks (the last of the chunk too: padded with
     * zeros). The version stays. */
    STORE_COPY = 1 << 2,
};

struct store_write {
    struct chunk_id chunk;
    struct pg_id pg;
    struct chunk_ver ver; /* after this op; not used with STORE_COPY */
    uint32_t offset, len; /* 1 to SLAB_SIZE_MAX bytes, inside the chunk */
    unsigned flags;
    /* One per block touched, over the bytes of this payload in it (not slots), verified by the
     * caller: crc32c_blocks() when the offset is a block's start. Borrowed until the call returns.
     * With STORE_COPY also those that the bytes do not have: then the block is bad, as at the source.
     */
    const uint32_t *crcs;
    unsigned crc_count;
    const uint8_t *bytes; /* inside slab */
    struct slab *slab;    /* a reference is held until done */
};

/*
 * result_crc is over the CRC slots of the blocks touched, after the op: equal on every member.
 * DFS_EBADBLOCK  a block written in part does not have its CRC: nothing was written, chunk is BAD
 * -ESTALE        a tombstone is there
 */
typedef void (*store_done_fn)(void *ctx, int status, uint32_t result_crc);

void store_write(struct target *t, const struct store_write *w, store_done_fn done, void *ctx);

/*
 * Zeros from `from` on and drops the blocks. len becomes min(len, from); with STORE_COPY exactly
 * `from`, also upwards. No chunk: success, nothing to do.
 */
void store_truncate(struct target *t, struct chunk_id chunk, uint32_t from, struct chunk_ver ver,
                    unsigned flags, store_done_fn done, void *ctx);

/*
 * chunk_state.trunc_version becomes at least this, durably: call it when the truncation is durable, so that
 * no power failure leaves the one without the other. No chunk, or a tombstone: success.
 */
void store_set_truncated(struct target *t, struct chunk_id chunk, uint64_t version,
                         store_done_fn done, void *ctx);

/* Durable: a tombstone is written, then the file goes. No such chunk: success, a tombstone all the
 * same. */
void store_delete(struct target *t, struct chunk_id chunk, struct pg_id pg, store_done_fn done,
                  void *ctx);
/*
 * Drops the tombstone, once the file is gone: the chunk is as if it had never been. By itself that
 * happens TOMBSTONE_KEEP_MS after the chunk was deleted, or found so at the opening. Until it is done the
 * chunk can't be made again (-ESTALE). done may be NULL.
 */
void store_forget(struct target *t, struct chunk_id chunk, store_done_fn done, void *ctx);

/*
 * What was asked before, on these chunks, is durable when done. Unknown chunks and those that are
 * synced already cost nothing. Many calls share one round of the disk.
 */
void store_sync(struct target *t, const struct chunk_id *chunks, size_t count, store_done_fn done,
                void *ctx);
/* All chunks of a PG, or of the target (pg 0). */
void store_sync_pg(struct target *t, struct pg_id pg, store_done_fn done, void *ctx);

/* Before the first change of a copy: durable {INCOMPLETE, trunc_version 0}; the chunk is made when it is
 * not there. */
void store_mark_incomplete(struct target *t, struct chunk_id chunk, struct pg_id pg,
                           store_done_fn done, void *ctx);
/*
 * The copy is whole: synced, then {no INCOMPLETE, no SUSPECT, no BAD, ver, trunc_version} durably. len is
 * what STORE_COPY writes and truncations made it.
 */
void store_mark_complete(struct target *t, struct chunk_id chunk, struct chunk_ver ver,
                         uint64_t trunc_version, store_done_fn done, void *ctx);

/*
 * A cold start of this PG made this target its source: each block of its SUSPECT chunks that does
 * not have its CRC gets a new one (a torn write that nobody was promised). result: how many. Ops
 * asked for later find the chunks laundered; without SUSPECT chunks it costs nothing.
 *
 * ver: of these chunks from now on, one that no operation and no other cold start has. What the disk
 * knew of their version is from before they were DIRTY, and a copy at rest at that one has less.
 */
void store_launder(struct target *t, struct pg_id pg, struct chunk_ver ver, store_done_fn done,
                   void *ctx);

/* ---- reading ---- */

struct store_read {
    struct chunk_id chunk;
    uint32_t offset, len; /* multiples of CHUNK_BLOCK_SIZE; len at most 1 MiB */
    /* Under the chunk's lock, data compared with the CRCs: -> slab. Without it data and slots may
     * be of different moments when a write is under way: the reader compares and asks again. */
    bool verify;
    bool want_fd; /* fd and offset for sendfile(2) instead of a slab where possible */
};

/*
 * Lives until the callback returns; store_read_keep() to keep it longer. Either fd >= 0 (then the
 * bytes are in the file at file_offset; they may be cold), or slab.
 */
struct store_read_result {
    uint32_t len;          /* bytes there are, at most what was asked; the rest are zeros */
    const uint32_t *slots; /* one for each block of len: crc ^ CRC32C_ZERO_BLOCK, host order */
    unsigned slot_count;
    int fd;
    uint64_t file_offset;
    struct slab *slab;
    struct chunk_state state;
};

/*
 * After every change asked for before it. r is NULL when status < 0.
 * DFS_EBADBLOCK  (verify) a block does not have its CRC; the chunk is BAD now
 * DFS_EDIRTY     the chunk is INCOMPLETE
 */
typedef void (*store_read_fn)(void *ctx, int status, struct store_read_result *r);

void store_read(struct target *t, const struct store_read *rd, store_read_fn done, void *ctx);
/* Keeps fd, slots and slab valid until store_read_release(). */
void store_read_keep(struct store_read_result *r);
void store_read_release(struct store_read_result *r);

/*
 * All slots of the chunk, as stored. With verify_data, or if the chunk is SUSPECT, the data is read:
 * blocks that do not have their CRC are marked in `bad`, and `hashes` are there.
 */
struct store_crcs {
    struct chunk_state state;
    const uint32_t *slots; /* (len + 4095) / 4096 of them */
    unsigned slot_count;
    unsigned bad_count;
    const uint64_t *bad;    /* bitmap, slot_count bits; NULL when bad_count is 0 */
    const uint64_t *hashes; /* like slots, see chunk_file_check(); NULL: the data was not read */
    uint64_t digest;        /* over len and hashes, if there are: equal for equal copies alone */
};
/* Arguments live until the callback returns. c is NULL when status < 0. */
typedef void (*store_crcs_fn)(void *ctx, int status, const struct store_crcs *c);

/* verify_data: compare also if not SUSPECT (scrub, fsck). Marks the chunk BAD, or good again. */
void store_crcs(struct target *t, struct chunk_id chunk, bool verify_data, store_crcs_fn done,
                void *ctx);

/* What is known without the disk, tombstones included. Versions and lengths of ops that still wait
 * are not in it. DFS_ENOCHUNK */
int store_chunk_state(const struct target *t, struct chunk_id chunk, struct chunk_state *ret_state);

/*
 * The chunks of a PG in order of their ids, after `after`; tombstones included. Gives how many
 * were written to ret_states; fewer than max: that was all.
 */
size_t store_list(const struct target *t, struct pg_id pg, struct chunk_id after, size_t max,
                  struct chunk_state *ret_states);
/* Some chunks of a PG, tombstones included, in no order: cheap. */
size_t store_pick(const struct target *t, struct pg_id pg, size_t max,
                  struct chunk_state *ret_states);
/* The lengths of all chunks, and so much more for each: walks the table. */
uint64_t store_bytes(const struct target *t, uint32_t per_chunk);
/* PGs of which there are chunks, in order, after `after`. */
size_t store_list_pgs(const struct target *t, struct pg_id after, size_t max,
                      struct pg_id *ret_pgs);

#endif
