/*
 * The log thread's work: a job's operations in their order. Appends that follow each other in one
 * segment become one write and one sync.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "namenode/log_disk.h"
#include "namenode/mutants.h"

enum { WRITE_BYTES_MAX = 2 << 20 }; /* A longer batch is written in parts. */

struct log_writer {
    struct vfs *vfs;
    char *dir;
    bool direct;

    struct vfs_file *ring;
    struct vfs_file *segment;
    struct log_segment_header header; /* of the open segment */

    uint8_t *buf; /* aligned for O_DIRECT */
    size_t len, capacity;
    uint64_t offset;      /* where buf goes */
    uint64_t batch_first; /* index of the first record in buf */
};

void log_path(char out[LOG_PATH_MAX], const char *dir, const char *kind, uint64_t number)
{
    (void)snprintf(out, LOG_PATH_MAX, "%s/%s-%016" PRIx64, dir, kind, number);
}

static uint8_t *writer_reserve(struct log_writer *w, size_t more)
{
    if (w->len + more > w->capacity) {
        size_t capacity =
            MAX(w->capacity * 2, (w->len + more + LOG_BLOCK - 1) & ~(LOG_BLOCK - 1UL));
        uint8_t *buf = aligned_alloc(LOG_BLOCK, capacity);

        if (!buf)
            abort();
        if (w->len > 0)
            memcpy(buf, w->buf, w->len);
        free(w->buf);
        w->buf = buf;
        w->capacity = capacity;
    }
    return w->buf + w->len;
}

static int writer_open_segment(struct log_writer *w, uint64_t seq)
{
    char path[LOG_PATH_MAX];
    int r;

    vfs_close(STEAL(w->segment));
    log_path(path, w->dir, "seg", seq);
    if (w->direct) {
        r = vfs_open(w->vfs, path, O_RDWR | O_DIRECT | O_DSYNC, 0600, &w->segment);
        if (r != -EINVAL)
            return r;
        w->direct = false;
    }
    return vfs_open(w->vfs, path, O_RDWR, 0600, &w->segment);
}

static int segment_write(struct log_writer *w, const uint8_t *data, size_t len, uint64_t offset)
{
    int r = vfs_pwrite(w->segment, data, len, offset);

    if (r < 0 || w->direct || MUTANT(APPEND_WITHOUT_SYNC))
        return r;
    r = vfs_sync(w->segment);
    if (r < 0 && MUTANT(RETRY_SYNC))
        r = vfs_sync(w->segment);
    return r;
}

/* Everything gathered, in one write and one sync. */
static int writer_flush(struct log_writer *w, struct log_job *job)
{
    int r;

    if (w->len == 0)
        return 0;
    r = segment_write(w, w->buf, w->len, w->offset);
    if (r < 0)
        return r;
    job->syncs++;
    job->bytes += w->len;
    w->len = 0;
    return 0;
}

static int write_segment_header(struct log_writer *w)
{
    uint8_t *both = writer_reserve(w, LOG_SEGMENT_DATA);

    log_segment_header_encode(&w->header, both);
    memcpy(both + LOG_BLOCK, both, LOG_BLOCK);
    return segment_write(w, both, LOG_SEGMENT_DATA, 0);
}

static int run_segment(struct log_writer *w, struct log_job *job, const struct log_op *op)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    uint64_t spare = op->segment.spare;
    int r;

    if (spare == 0) {
        /* No number of a spare collides with that of a segment to be: they only go up. */
        spare = UINT64_MAX;
        r = log_spare_create(w->vfs, w->dir, spare, op->segment.header.bytes);
        if (r < 0)
            return r;
    }
    log_path(from, w->dir, "spare", spare);
    log_path(to, w->dir, "seg", op->segment.header.seq);
    r = vfs_rename(w->vfs, from, to);
    if (r < 0)
        return r;
    r = vfs_sync_dir(w->vfs, w->dir);
    if (r < 0)
        return r;
    r = writer_open_segment(w, op->segment.header.seq);
    if (r < 0)
        return r;
    w->header = op->segment.header;
    job->syncs++;
    return write_segment_header(w);
}

static int run_append(struct log_writer *w, struct log_job *job, const struct log_op *op)
{
    struct log_record record = op->append.record;
    size_t size = log_record_size(record.len);
    uint8_t *out;
    int r;

    if (w->len > 0 && (op->append.seq != w->header.seq || op->append.offset != w->offset + w->len ||
                       w->len + size > WRITE_BYTES_MAX)) {
        r = writer_flush(w, job);
        if (r < 0)
            return r;
    }
    if (op->append.seq != w->header.seq)
        return -ESTALE; /* Only a truncation goes back to an older segment: LOG_OP_REOPEN. */
    out = writer_reserve(w, size);
    if (w->len == 0) {
        w->offset = op->append.offset;
        w->batch_first = record.index;
    }
    record.batch_first = w->batch_first;
    log_record_encode(&record, w->header.seed, out);
    memcpy(out + LOG_RECORD_HEADER, op->append.buf->data, record.len);
    memset(out + LOG_RECORD_HEADER + record.len, 0, size - LOG_RECORD_HEADER - record.len);
    w->len += size;
    return 0;
}

static int run_recycle(struct log_writer *w, const struct log_op *op)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    int r;

    log_path(from, w->dir, "seg", op->recycle.seq);
    if (op->recycle.spare == 0) {
        r = vfs_unlink(w->vfs, from);
    } else {
        log_path(to, w->dir, "spare", op->recycle.spare);
        r = vfs_rename(w->vfs, from, to);
    }
    if (r < 0)
        return r;
    return vfs_sync_dir(w->vfs, w->dir);
}

/* Neighbours in the ring go in one write. */
static int write_ring(struct log_writer *w, struct log_job *job)
{
    size_t i = 0;

    while (i < job->ring_count) {
        uint64_t slot = job->ring[i].index % LOG_RING_COUNT;
        uint8_t out[64 * LOG_RING_ENTRY];
        size_t n = 0;
        int r;

        while (i + n < job->ring_count && n < 64 && slot + n < LOG_RING_COUNT &&
               job->ring[i + n].index % LOG_RING_COUNT == slot + n) {
            log_ring_encode(&job->ring[i + n], out + n * LOG_RING_ENTRY);
            n++;
        }
        r = vfs_pwrite(w->ring, out, n * LOG_RING_ENTRY, slot * LOG_RING_ENTRY);
        if (r < 0)
            return r;
        i += n;
    }
    if (job->ring_sync) {
        job->ring_syncs++;
        return vfs_sync(w->ring);
    }
    return 0;
}

static int run_op(struct log_writer *w, struct log_job *job, const struct log_op *op)
{
    int r;

    if (op->type == LOG_OP_APPEND) {
        job->what = "append to the log";
        return run_append(w, job, op);
    }
    job->what = "append to the log";
    r = writer_flush(w, job);
    if (r < 0)
        return r;
    switch (op->type) {
    case LOG_OP_META:
        job->what = "write the hard state";
        job->syncs += 2;
        return log_meta_write(w->vfs, w->dir, &op->meta);
    case LOG_OP_SEGMENT:
        job->what = "begin a log segment";
        return run_segment(w, job, op);
    case LOG_OP_RECYCLE:
        job->what = "recycle a log segment";
        return run_recycle(w, op);
    case LOG_OP_REOPEN:
        job->what = "go back to an older log segment";
        w->header = op->reopen;
        return writer_open_segment(w, op->reopen.seq);
    case LOG_OP_APPEND:
        break;
    }
    return -EINVAL;
}

void log_writer_run(struct log_writer *w, struct log_job *job)
{
    uint64_t begin_ns = clock_monotonic_ns(clock_system());

    /* Headers of entries that earlier jobs have synced: never before their bodies. */
    job->what = "write the header ring";
    job->result = write_ring(w, job);
    for (size_t i = 0; i < job->op_count && job->result == 0; i++)
        job->result = run_op(w, job, &job->ops[i]);
    if (job->result == 0) {
        job->what = "append to the log";
        job->result = writer_flush(w, job);
    }
    job->ns = clock_monotonic_ns(clock_system()) - begin_ns;
}

static int create_ring(struct log_writer *w, struct vfs_file *f)
{
    uint8_t *zeros = mem_zalloc(LOG_RING_COUNT, LOG_RING_ENTRY);
    int r = vfs_pwrite(f, zeros, (size_t)LOG_RING_COUNT * LOG_RING_ENTRY, 0);

    free(zeros);
    if (r == 0)
        r = vfs_sync(f);
    if (r == 0)
        r = vfs_sync_dir(w->vfs, w->dir);
    return r;
}

static int open_ring(struct log_writer *w)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    char path[LOG_PATH_MAX];
    struct vfs_stat st;
    int r;

    (void)snprintf(path, sizeof(path), "%s/ring", w->dir);
    r = vfs_open(w->vfs, path, O_RDWR | O_CREAT, 0600, &f);
    if (r < 0)
        return r;
    r = vfs_fstat(f, &st);
    if (r == 0 && st.size < (uint64_t)LOG_RING_COUNT * LOG_RING_ENTRY)
        r = create_ring(w, f);
    if (r < 0)
        return r;
    w->ring = STEAL(f);
    return 0;
}

int log_writer_new(struct vfs *vfs, const char *dir, bool direct, const struct log_segment *last,
                   struct log_writer **ret_writer)
{
    CLEANUP(log_writer) struct log_writer *w = MEM_NEW(struct log_writer);
    int r;

    w->vfs = vfs;
    w->dir = mem_strdup(dir);
    w->direct = direct;
    w->header = last->header;
    r = open_ring(w);
    if (r < 0)
        return r;
    r = writer_open_segment(w, last->header.seq);
    if (r < 0)
        return r;
    /* The same bytes again: shows whether this disk takes O_DIRECT in sectors of 512 bytes. */
    log_segment_header_encode(&w->header, writer_reserve(w, LOG_BLOCK));
    r = segment_write(w, w->buf, LOG_SECTOR, 0);
    if (r == -EINVAL && w->direct) {
        w->direct = false;
        r = writer_open_segment(w, last->header.seq);
    }
    if (r < 0)
        return r;
    *ret_writer = STEAL(w);
    return 0;
}

void log_writer_free(struct log_writer *w)
{
    if (!w)
        return;
    vfs_close(w->segment);
    vfs_close(w->ring);
    free(w->buf);
    free(w->dir);
    free(w);
}

bool log_writer_is_direct(const struct log_writer *w)
{
    return w->direct;
}
