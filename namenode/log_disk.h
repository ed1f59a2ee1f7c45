/*
 * What the parts of raft_log share: the layout of the log in memory, the jobs of the log thread,
 * and recovery. Private to namenode/raft_log.c, log_writer.c and log_recover.c.
 */
#ifndef NAMENODE_LOG_DISK_H
#define NAMENODE_LOG_DISK_H

#include "common/vfs.h"
#include "namenode/log_format.h"

enum {
    LOG_SPARES_MAX = 2, /* segments kept for the next use */
    LOG_PATH_MAX = 512,
};

/* Where one entry is, in sectors from the start of its segment. */
struct log_slot {
    uint32_t sector;
    uint32_t entry_crc;
};

struct log_segment {
    struct log_segment_header header;
    uint64_t used; /* Bytes: where the next record goes. */
    struct log_slot *slots;
    size_t count, capacity;
};

/* The log as it will be on disk when all that is queued is done. */
struct log_layout {
    struct log_meta meta;
    struct log_segment *segments; /* In order; never empty once recovered. */
    size_t count, capacity;
    uint64_t next_seq;
    uint64_t last_index;
    uint64_t last_term;              /* as it was found; 0: there was no entry */
    uint64_t spares[LOG_SPARES_MAX]; /* Numbers of spare files that are ready. */
    unsigned spare_count;
    uint64_t next_spare;
    /* After recovery: the newest entries, which the header ring does not have; then empty. */
    struct log_ring_entry *tail;
    size_t tail_count, tail_capacity;
};

void log_layout_done(struct log_layout *l);
struct log_segment *log_layout_add(struct log_layout *l, const struct log_segment_header *h);
void log_segment_add(struct log_segment *s, uint32_t entry_crc, uint32_t len);
/* Segments from `from` on leave the layout. */
void log_layout_cut(struct log_layout *l, size_t from);
void log_layout_drop_front(struct log_layout *l, size_t count);
/* The segment that holds index; NULL if none does. */
const struct log_segment *log_layout_find(const struct log_layout *l, uint64_t index);
/* entry_crc of the last entry; 0 when it is not in the log. */
uint32_t log_layout_last_crc(const struct log_layout *l);

void log_path(char out[LOG_PATH_MAX], const char *dir, const char *kind, uint64_t number);

/*
 * ---- recovery ----
 * Fills layout from what is in dir, and leaves the disk so that a second recovery finds the same.
 * seed: of the first segment, if there is none yet.
 */
int log_recover(struct vfs *vfs, const char *dir, uint64_t segment_bytes, uint64_t seed,
                struct log_layout *l, bool *ret_is_new);
/* Writes both copies, one after the other: a torn one never takes its twin along. */
int log_meta_write(struct vfs *vfs, const char *dir, const struct log_meta *m);
/* A zeroed file of full size that a segment can be made of. */
int log_spare_create(struct vfs *vfs, const char *dir, uint64_t number, uint64_t bytes);
/* Reads one record at its slot; *ret_entry has a buffer of its own. -EBADMSG when damaged. */
int log_record_take(const uint8_t *in, size_t room, const struct log_segment_header *h,
                    uint64_t index, struct raft_entry *ret_entry);

/* ---- the log thread ---- */

enum log_op_type {
    LOG_OP_META,    /* Both copies. */
    LOG_OP_SEGMENT, /* Begin a segment. */
    LOG_OP_APPEND,
    LOG_OP_REOPEN,  /* Appends go on in an older segment, after a truncation. */
    LOG_OP_RECYCLE, /* Make a spare of it, or remove it. */
};

struct log_op {
    enum log_op_type type;
    union {
        struct log_meta meta;
        struct log_segment_header reopen;
        struct {
            struct log_segment_header header;
            uint64_t spare; /* 0: none is ready. */
        } segment;
        struct {
            uint64_t seq;
            uint64_t offset;
            struct log_record record; /* batch_first is the writer's to fill in. */
            struct raft_buf *buf;
        } append;
        struct {
            uint64_t seq;
            uint64_t spare; /* 0: remove. */
        } recycle;
    };
};

struct log_job {
    struct log_op *ops;
    size_t op_count, op_capacity;
    struct log_ring_entry *ring; /* Of entries that earlier jobs made durable. */
    size_t ring_count, ring_capacity;
    bool ring_sync;
    uint64_t write_id;

    /* Results. */
    int result;
    const char *what; /* failed */
    uint64_t syncs, ring_syncs, bytes, ns;
};

struct log_writer;

/* direct: tried, and left when the file system refuses. segment_seq: where appends go on. */
int log_writer_new(struct vfs *vfs, const char *dir, bool direct, const struct log_segment *last,
                   struct log_writer **ret_writer);
void log_writer_free(struct log_writer *w);
DEFINE_CLEANUP(log_writer, log_writer_free)
bool log_writer_is_direct(const struct log_writer *w);
/* Runs the whole job, or fails it at the first error. */
void log_writer_run(struct log_writer *w, struct log_job *job);

#endif
