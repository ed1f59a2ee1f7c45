/* What the sources of the store share; see store.h for what it does and README.md for the whole. */
#ifndef DATANODE_STORE_PRIV_H
#define DATANODE_STORE_PRIV_H

#include "common/limits.h"
#include "datanode/chunk_file.h"
#include "datanode/chunk_table.h"
#include "datanode/disk.h"
#include "datanode/store.h"
#include "datanode/superblock.h"
#include "datanode/table_log.h"

struct loop_timer;
struct metric;
struct op;

enum {
    /* More files in one round than this: the whole file system is synced instead. More than a few,
     * too, as long as little else waits to be written: one flush of the disk instead of many. */
    SYNC_FILES_MAX = 64,
    SYNC_FILES_FEW = 3,
    SYNC_OTHERS_MAX = 4 << 20,
    OPEN_FILES_DEFAULT = 512,
    TICK_MS = 1000,
    /* A round takes time too: begin early enough to keep the promise of AUTO_SYNC_MS. */
    AUTO_SYNC_START_MS = AUTO_SYNC_MS - 2 * TICK_MS,
    TOMBSTONES_AT_ONCE = 1024, /* forgotten in one tick */
    CLEAN_IDLE_MIN_MS = 1000, /* over the limit of DIRTY chunks, those idle this long are cleaned */
};

/*
 * What is known of a chunk with which something goes on: ops, an open file, data not synced, or a
 * DIRTY mark to take away. Loop thread only, but for `file`.
 *
 * Generations count the changes asked for: made >= done >= synced.
 */
struct live {
    struct target *target;
    struct chunk *chunk;
    struct chunk_file file;
    unsigned refs;                     /* jobs and results that use it */
    unsigned change_count;             /* changes handed to the writer and not done */
    struct op *wait_first, *wait_last; /* for the DIRTY record */
    struct table_wait dirty_wait;
    bool is_marking;         /* the DIRTY record is on its way */
    bool is_doomed;          /* deleted or lost: to be closed as soon as nobody uses it */
    bool is_forgotten;       /* and then its tombstone is no longer wanted */
    store_done_fn forgotten; /* called when that is so; NULL: nobody waits */
    void *forgotten_ctx;
    bool is_closing;
    bool was_closed; /* while not synced: its descriptor may have taken an error report with it */
    uint64_t made, done, synced;
    uint64_t round_made; /* `done` as the running round found it */
    uint64_t round;      /* number of the last round that had it */
    uint64_t unsynced_since_ns, changed_ns;
    uint64_t unsynced_bytes; /* written since it was last synced whole */
    struct {
        struct live *prev, *next;
        bool is_in;
    } lru, unsynced, dirty;
};

struct sync_req {
    struct sync_req *next;
    struct target *target;
    unsigned wait_count; /* marks to pass in the writer's queue */
    size_t live_count;
    struct live **lives; /* referenced */
    store_done_fn fn;    /* may be NULL */
    void *ctx;
    uint32_t result;
};

struct sync_round {
    struct job job;
    bool is_running;
    uint64_t number;
    struct sync_req *reqs;
    struct live **lives;
    size_t live_count;
    bool whole_fs;
    int status;
    uint64_t start_ns;
};

/* Oldest first; some may be gone already. */
struct tombstones {
    struct tombstone {
        uint64_t id, made_ns;
    } * items;
    size_t first, count, room;
};

struct target {
    struct store *store;
    unsigned index;
    char *path;
    int lock_fd;
    struct vfs_file *anchor; /* open for as long as we are, to sync the file system and hear of its
                                errors */
    struct chunk_dir dir;
    struct disk *disk;
    pthread_mutex_t sb_lock;
    struct superblock sb; /* under sb_lock */
    bool same_boot, was_clean;
    struct chunk_table *chunks;
    struct table_log *log;
    atomic_int failure; /* -errno; set on the loop, read by all */
    bool is_closing;

    struct live *lru, *unsynced, *dirty; /* oldest first */
    size_t lru_count, unsynced_count, dirty_listed;
    uint64_t unsynced_bytes;
    size_t live_count;

    struct tombstones tombstones;
    uint64_t removed_at; /* table_log_put_count() after the last one was dropped */
    struct job failed_job;

    struct sync_req *sync_ready;
    struct sync_round round;
    /* Writes that may be synced by the writer. No round runs beside them: of two syncs of one
     * descriptor, only one hears of an error. */
    size_t writer_sync_count;

    struct {
        struct job job;
        bool is_running;
        int status;
        uint64_t total, free;
    } space;
    uint64_t total_bytes, free_bytes, used_bytes;
    uint64_t flag_counts[4];   /* chunks with flag 1 << i */
    struct target_stats stats; /* counters only */
};

struct store {
    struct loop *loop;
    struct store_options o;
    struct target *targets[TARGETS_PER_NODE_MAX];
    unsigned target_count;
    struct loop_timer *tick;
    bool is_closing;
    unsigned closing_count;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct {
        struct metric *writes, *write_bytes, *reads, *read_bytes, *syncs, *sync_rounds, *sync_files,
            *log_groups, *log_records, *bad_blocks;
        struct metric *write_ns, *sync_ns;
    } m;
};

uint64_t store_now_ns(const struct store *s);
/* What the timer does; tests with a clock of their own call it. */
void store_tick(struct store *s);

/* ---- store.c: ops ---- */

enum op_kind {
    OP_WRITE,
    OP_TRUNCATE,
    OP_UNLINK,
    OP_TRIM,
    OP_LAUNDER,
    OP_MARK, /* a sync waits for what is before it */
    OP_CLOSE,
    OP_READ,
    OP_CRCS,
};
/* Beside enum store_flags. */
enum { FILE_CREATE = 1 << 8 };

struct op {
    struct job job;
    enum op_kind kind;
    struct op *next;
    struct live *live;
    store_done_fn fn;
    void *ctx;
    int status;
    uint32_t result;
    uint64_t made; /* its generation, if it is a change */
    uint64_t start_ns;
    unsigned flags;
    bool is_synced; /* the writer synced it by the way */
    bool may_sync;
    union {
        struct {
            uint32_t offset, len;
            const uint8_t *bytes;
            struct slab *slab;
            struct chunk_ver ver;
        } w; /* write; truncate: offset */
        struct sync_req *sync;
        struct {
            struct store_read rd;
            store_read_fn fn;
            struct store_read_result result;
            unsigned refs;
        } rd;
        struct {
            bool verify, from_disk;
            uint64_t made; /* changes of the chunk when it was asked for */
            store_crcs_fn fn;
            struct store_crcs result;
            uint64_t *bad;
            uint32_t *slots;
            uint64_t *hashes;
        } crcs;
    } u;
    uint32_t numbers[]; /* CRCs of a write, slots of a read */
};

struct op *op_new(struct live *l, enum op_kind kind, size_t number_count);
/* In the order of the chunk. */
void op_submit(struct op *op);
/* A change: the chunk is DIRTY on the disk before a byte of it changes. */
void change_submit(struct op *op);
/* Logs the chunk as it is now; ops that come wait until that is durable. */
void live_wait_for_record(struct live *l);
void op_free(struct op *op);
/* Ends a call with this status without more ado, later. */
void store_done_later(struct target *t, store_done_fn fn, void *ctx, int status, uint32_t result);

/* ---- live.c: chunks ---- */
struct live *live_get(struct target *t, struct chunk *c);
void live_ref(struct live *l);
void live_free(struct live *l);
void live_unref(struct live *l);
/* Its file is open, or about to be: to the end of the list. */
void live_touch_lru(struct live *l);
void live_drop_lru(struct live *l);
/* Oldest first, closes files until the limit holds. */
void live_evict(struct target *t);
void live_set_unsynced(struct live *l);
void live_set_synced(struct live *l, uint64_t generation);
/* The chunk is DIRTY and may become CLEAN some day: into the list, at its end. */
void live_touch_dirty(struct live *l);
void live_drop_dirty(struct live *l);
bool live_is_idle(const struct live *l);

void chunk_get_state(const struct chunk *c, struct chunk_state *ret_state);
void chunk_set_flags(struct target *t, struct chunk *c, unsigned flags);
void chunk_set_bad(struct target *t, struct chunk *c);
void chunk_set_len(struct target *t, struct chunk *c, uint32_t len);
/* In the log with the next group. */
void chunk_log(struct target *t, struct chunk *c, struct table_wait *wait);

int target_status(const struct target *t); /* 0, -EIO, DFS_ECLOSED */

/* ---- store_join.c ---- */
/* It is DELETED from now on, or was found so. */
void tombstone_made(struct target *t, uint64_t id);
/* Nobody uses the chunk. */
void tombstone_remove(struct target *t, struct chunk *c);
void tombstones_expire(struct target *t, uint64_t now);

/* ---- store_read.c ---- */
void read_run(struct op *op);
void read_done(struct op *op);

/* ---- store_sync.c ---- */
struct sync_req *sync_req_new(struct target *t, size_t live_max, store_done_fn fn, void *ctx);
void sync_req_add(struct sync_req *r, struct live *l);
/* After all were added. */
void sync_req_submit(struct sync_req *r);
void sync_mark_passed(struct sync_req *r);
/* Begins a round if there is something to do and nothing in its way. */
void sync_kick(struct target *t);
void sync_tick(struct target *t);

/* ---- target.c, target_open.c ---- */
void target_done(struct target *t);
/* What the disk has, of which the reserve and our own limit are taken off. */
void target_take_space(struct target *t, uint64_t total, uint64_t free);
/* Any thread: both superblocks say so, durably. */
int target_set_checkpoint(struct target *t, uint64_t number);
int target_write_clean(struct target *t, uint64_t checkpoint);
void target_refresh_space(struct target *t);

#endif
