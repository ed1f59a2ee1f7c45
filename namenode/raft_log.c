/* Lays the log out, queues its writes, reads old entries back. The rules: raft_log.h. */
#include "namenode/raft_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/worker.h"
#include "namenode/log_disk.h"
#include "namenode/mutants.h"

enum {
    RING_IDLE_MS = 5,          /* A quiet log writes its headers after so long... */
    RING_SYNC_NS = 1000000000, /* ...a busy one syncs them so often. */
    FETCH_BYTES = 1 << 20,
};

/* Old entries, read from disk in one go; served from memory. */
struct log_fetch {
    struct work work;
    struct raft_log *log;
    /* Set before it runs. */
    struct log_segment_header header;
    uint64_t first;
    struct log_slot *slots;
    size_t count;
    uint64_t end; /* offset after the last record */
    /* Results. */
    struct raft_entry *entries;
    int result;
};

struct raft_log {
    struct raft_log_config config;
    char *dir;
    struct log_layout layout;
    struct log_writer *writer;
    struct worker *write_worker; /* NULL without a loop */
    struct worker *read_worker;
    struct loop_timer *idle_timer;

    struct work work; /* `running` on its way through the log thread */
    struct log_job jobs[2];
    struct log_job *running; /* NULL: the log thread is idle */
    struct log_job *queued;
    bool is_dead; /* storage failed */

    struct log_ring_entry *ring; /* durable entries whose headers are not written yet */
    size_t ring_count, ring_capacity;
    bool ring_dirty; /* written, not synced */
    uint64_t ring_synced_ns;

    struct work spare_work;
    bool spare_running;
    int spare_result;

    struct log_fetch *fetch; /* under way, or done and kept for reads */
    bool fetch_running;
    bool fetch_stale; /* the log was cut meanwhile */

    struct raft_log_stats stats;
};

void raft_log_config_init(struct raft_log_config *c)
{
    *c = (struct raft_log_config){
        .segment_bytes = 64 * MIB,
        .segments_min = 4,
        .direct = true,
    };
}

/* ---- jobs ---- */

static struct log_op *job_op(struct log_job *job, enum log_op_type type)
{
    struct log_op *op;

    if (job->op_count == job->op_capacity) {
        job->op_capacity = job->op_capacity ? 2 * job->op_capacity : 32;
        job->ops = mem_realloc(job->ops, job->op_capacity, sizeof(*job->ops));
    }
    op = &job->ops[job->op_count++];
    *op = (struct log_op){.type = type};
    return op;
}

static void ring_add(struct log_ring_entry **ring, size_t *count, size_t *capacity,
                     const struct log_ring_entry *e)
{
    if (*count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        *ring = mem_realloc(*ring, *capacity, sizeof(**ring));
    }
    (*ring)[(*count)++] = *e;
}

/* Drops what the job holds; it can be filled again. */
static void job_clear(struct log_job *job)
{
    for (size_t i = 0; i < job->op_count; i++) {
        if (job->ops[i].type == LOG_OP_APPEND)
            raft_buf_unref(job->ops[i].append.buf);
    }
    job->op_count = 0;
    job->ring_count = 0;
    job->ring_sync = false;
    job->write_id = 0;
    job->result = 0;
    job->syncs = job->ring_syncs = job->bytes = job->ns = 0;
}

static void job_done(struct log_job *job)
{
    job_clear(job);
    free(job->ops);
    free(job->ring);
}

static void fail(struct raft_log *log, const char *what, int error)
{
    log->is_dead = true;
    if (log->config.fatal) {
        log->config.fatal(log->config.ctx, what, error);
        return;
    }
    log_error("cannot keep the Raft log; the process ends so that nothing is promised falsely",
              "dir=%s failed=\"%s\" %s", log->dir, what, dfs_strerror(error));
    abort();
}

static uint64_t now_ns(const struct raft_log *log)
{
    return log->config.loop ? loop_now_ns(log->config.loop) : 0;
}

/* What a finished job made durable is noted for the ring, and told. */
static void job_finish(struct raft_log *log)
{
    struct log_job *job = STEAL(log->running);
    uint64_t write_id = job->write_id;

    log->stats.syncs += job->syncs;
    log->stats.ring_syncs += job->ring_syncs;
    log->stats.bytes += job->bytes;
    log->stats.sync_ns += job->ns;
    if (job->result < 0 && !log->is_dead) {
        fail(log, job->what, job->result);
        return;
    }
    if (job->ring_sync) {
        log->ring_synced_ns = now_ns(log);
        log->ring_dirty = false;
    } else if (job->ring_count > 0) {
        log->ring_dirty = true;
    }
    for (size_t i = 0; i < job->op_count; i++) {
        const struct log_op *op = &job->ops[i];

        if (op->type == LOG_OP_APPEND) {
            ring_add(&log->ring, &log->ring_count, &log->ring_capacity,
                     &(struct log_ring_entry){.index = op->append.record.index,
                                              .term = op->append.record.term,
                                              .epoch = op->append.record.epoch,
                                              .entry_crc = op->append.record.entry_crc});
        } else if (op->type == LOG_OP_RECYCLE && op->recycle.spare != 0) {
            log->layout.spares[log->layout.spare_count++] = op->recycle.spare;
        }
    }
    job_clear(job);
    if (write_id != 0 && !log->is_dead)
        log->config.durable(log->config.ctx, write_id);
}

static void job_start(struct raft_log *log);

static bool has_work(const struct log_job *job)
{
    return job->op_count > 0 || job->write_id != 0;
}

static void on_work_run(struct work *work)
{
    struct raft_log *log = CONTAINER_OF(work, struct raft_log, work);

    log_writer_run(log->writer, log->running);
}

static void on_work_done(struct work *work)
{
    struct raft_log *log = CONTAINER_OF(work, struct raft_log, work);

    job_finish(log);
    if (log->is_dead)
        return;
    if (!log->running && has_work(log->queued))
        job_start(log);
    else if (!log->running && (log->ring_count > 0 || log->ring_dirty))
        loop_timer_start(log->idle_timer, RING_IDLE_MS, 0);
}

/* Hands over what is queued, and the headers of what became durable before. */
static void job_start(struct raft_log *log)
{
    struct log_job *job = log->queued;

    for (size_t i = 0; i < log->ring_count; i++)
        ring_add(&job->ring, &job->ring_count, &job->ring_capacity, &log->ring[i]);
    log->ring_count = 0;
    if (MUTANT(RING_WITH_BODY)) {
        for (size_t i = 0; i < job->op_count; i++) {
            if (job->ops[i].type == LOG_OP_APPEND)
                ring_add(&job->ring, &job->ring_count, &job->ring_capacity,
                         &(struct log_ring_entry){.index = job->ops[i].append.record.index,
                                                  .term = job->ops[i].append.record.term,
                                                  .epoch = job->ops[i].append.record.epoch});
        }
    }
    if (log->ring_dirty && now_ns(log) - log->ring_synced_ns > RING_SYNC_NS)
        job->ring_sync = true;
    log->running = job;
    log->queued = job == &log->jobs[0] ? &log->jobs[1] : &log->jobs[0];
    if (log->write_worker) {
        loop_timer_stop(log->idle_timer);
        worker_submit(log->write_worker, &log->work);
    }
}

/* What was queued begins at once if the log thread is idle, else when it is. */
static void kick(struct raft_log *log)
{
    if (log->write_worker && !log->running)
        job_start(log);
}

static void on_idle(void *ctx)
{
    struct raft_log *log = ctx;

    if (log->running || log->is_dead)
        return;
    log->queued->ring_sync = true;
    job_start(log);
}

void raft_log_pump(struct raft_log *log, bool idle)
{
    while (!log->is_dead && has_work(log->queued)) {
        job_start(log);
        log_writer_run(log->writer, log->running);
        job_finish(log);
    }
    if (idle && !log->is_dead && (log->ring_count > 0 || log->ring_dirty)) {
        log->queued->ring_sync = true;
        job_start(log);
        log_writer_run(log->writer, log->running);
        job_finish(log);
    }
}

/* ---- spares: made beforehand, since zeroing 64 MiB takes a while ---- */

static void on_spare_run(struct work *work)
{
    struct raft_log *log = CONTAINER_OF(work, struct raft_log, spare_work);

    log->spare_result = log_spare_create(log->config.vfs, log->dir, log->layout.next_spare,
                                         log->config.segment_bytes);
}

static void on_spare_done(struct work *work)
{
    struct raft_log *log = CONTAINER_OF(work, struct raft_log, spare_work);

    log->spare_running = false;
    if (log->spare_result == -ENOSPC) {
        /* There may be room again when the log thread needs one, and makes it. */
        log_warn("cannot prepare a log segment", "dir=%s %s", log->dir,
                 dfs_strerror(log->spare_result));
        return;
    }
    if (log->spare_result < 0) { /* The disk that fails here is the one of all entries. */
        fail(log, "prepare a log segment", log->spare_result);
        return;
    }
    if (log->layout.spare_count < LOG_SPARES_MAX)
        log->layout.spares[log->layout.spare_count++] = log->layout.next_spare;
    log->layout.next_spare++;
}

static void prepare_spare(struct raft_log *log)
{
    if (!log->read_worker || log->spare_running || log->layout.spare_count > 0)
        return;
    log->spare_running = true;
    worker_submit(log->read_worker, &log->spare_work);
}

/* ---- reading ---- */

static void fetch_free(struct log_fetch *f)
{
    if (!f)
        return;
    for (size_t i = 0; f->entries && i < f->count; i++)
        raft_buf_unref(f->entries[i].buf);
    free(f->entries);
    free(f->slots);
    free(f);
}

static int fetch_read(struct log_fetch *f, uint8_t *bytes)
{
    CLEANUP(vfs_file) struct vfs_file *file = NULL;
    uint64_t begin = f->slots[0].sector * (uint64_t)LOG_SECTOR;
    char path[LOG_PATH_MAX];
    int r;

    log_path(path, f->log->dir, "seg", f->header.seq);
    r = vfs_open(f->log->config.vfs, path, O_RDONLY, 0, &file);
    if (r < 0)
        return r;
    r = vfs_pread_all(file, bytes, (size_t)(f->end - begin), begin);
    if (r < 0)
        return r;
    for (size_t i = 0; i < f->count; i++) {
        uint64_t off = f->slots[i].sector * (uint64_t)LOG_SECTOR - begin;

        r = log_record_take(bytes + off, (size_t)(f->end - begin - off), &f->header, f->first + i,
                            &f->entries[i]);
        if (r == 0 && log_entry_crc(&f->entries[i]) != f->slots[i].entry_crc) {
            raft_buf_unref(STEAL(f->entries[i].buf)); /* What stood there before a truncation. */
            r = -EBADMSG;
        }
        if (r < 0 && i > 0) {
            f->count = i; /* Not written yet, and not asked for: read ahead. */
            return 0;
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static void on_fetch_run(struct work *work)
{
    struct log_fetch *f = CONTAINER_OF(work, struct log_fetch, work);
    uint8_t *bytes = mem_alloc((size_t)(f->end - f->slots[0].sector * (uint64_t)LOG_SECTOR));

    f->entries = mem_zalloc(f->count, sizeof(*f->entries));
    f->result = fetch_read(f, bytes);
    free(bytes);
}

static void on_fetch_done(struct work *work)
{
    struct log_fetch *f = CONTAINER_OF(work, struct log_fetch, work);
    struct raft_log *log = f->log;

    log->fetch_running = false;
    if (log->fetch_stale) {
        fetch_free(STEAL(log->fetch));
        log->fetch_stale = false;
    }
    if (log->config.fetched && !log->is_dead)
        log->config.fetched(log->config.ctx);
}

/* Begins to read from `first` to at most the end of its segment. */
static int fetch_start(struct raft_log *log, uint64_t first)
{
    const struct log_segment *s = log_layout_find(&log->layout, first);
    struct log_fetch *f;
    size_t at, n;

    if (!s)
        return -ENOENT;
    f = MEM_NEW(struct log_fetch);
    at = (size_t)(first - s->header.first_index);
    f->work = (struct work){.run = on_fetch_run, .done = on_fetch_done, .loop = log->config.loop};
    f->log = log;
    f->header = s->header;
    f->first = first;
    for (n = 0; at + n < s->count && n < RAFT_MSG_ENTRIES_MAX; n++) {
        f->end =
            at + n + 1 < s->count ? s->slots[at + n + 1].sector * (uint64_t)LOG_SECTOR : s->used;
        if (f->end - s->slots[at].sector * (uint64_t)LOG_SECTOR >= FETCH_BYTES) {
            n++;
            break;
        }
    }
    f->count = n;
    f->slots = mem_zalloc(n, sizeof(*f->slots));
    memcpy(f->slots, s->slots + at, n * sizeof(*f->slots));
    fetch_free(log->fetch);
    log->fetch = f;
    if (!log->read_worker) {
        on_fetch_run(&f->work);
        return 0;
    }
    log->fetch_running = true;
    worker_submit(log->read_worker, &f->work);
    return -EAGAIN;
}

int raft_log_read(void *ctx, uint64_t first, size_t entry_max, size_t bytes_max,
                  struct raft_entry *entries)
{
    struct raft_log *log = ctx;
    struct log_fetch *f;
    size_t bytes = 0;
    int n = 0;

    if (first < raft_log_first_index(log) || first > log->layout.last_index)
        return -ENOENT;
    if (log->fetch_running)
        return -EAGAIN;
    if (!log->fetch || first < log->fetch->first ||
        first >= log->fetch->first + log->fetch->count) {
        int r = fetch_start(log, first);

        if (r < 0)
            return r;
    }
    f = log->fetch;
    if (f->result < 0) {
        log_error("entries of the Raft log cannot be read back", "dir=%s index=%" PRIu64 " %s",
                  log->dir, first, dfs_strerror(f->result));
        fetch_free(STEAL(log->fetch));
        return -EIO;
    }
    for (size_t i = (size_t)(first - f->first); i < f->count && (size_t)n < entry_max; i++) {
        bytes += f->entries[i].buf->len;
        if (n > 0 && bytes > bytes_max)
            break;
        entries[n] = f->entries[i];
        (void)raft_buf_ref(entries[n].buf);
        n++;
    }
    return n;
}

/* What was read ahead may be cut away now. */
static void fetch_forget(struct raft_log *log)
{
    if (log->fetch_running)
        log->fetch_stale = true;
    else
        fetch_free(STEAL(log->fetch));
}

/* ---- writing ---- */

static uint64_t take_spare(struct raft_log *log)
{
    return log->layout.spare_count > 0 ? log->layout.spares[--log->layout.spare_count] : 0;
}

static uint64_t any_seed(const struct raft_log_config *c)
{
    return c->seeds != NULL ? rng_u64(c->seeds) : rng_system_u64();
}

static void begin_segment(struct raft_log *log, uint64_t first_index, size_t record_size)
{
    struct log_op *op = job_op(log->queued, LOG_OP_SEGMENT);
    uint64_t need = LOG_SEGMENT_DATA + record_size;

    op->segment.header = (struct log_segment_header){
        .seq = log->layout.next_seq++,
        .seed = MUTANT(SEGMENT_WITHOUT_SEED) ? 1 : any_seed(&log->config),
        .epoch = log->layout.meta.epoch,
        .first_index = first_index,
        .bytes = MAX(log->config.segment_bytes, need),
    };
    if (need <= log->config.segment_bytes)
        op->segment.spare = take_spare(log);
    (void)log_layout_add(&log->layout, &op->segment.header);
    prepare_spare(log);
}

static void recycle(struct raft_log *log, const struct log_segment_header *h)
{
    struct log_op *op = job_op(log->queued, LOG_OP_RECYCLE);
    unsigned coming = 0;

    for (size_t i = 0; i < log->queued->op_count; i++)
        coming += log->queued->ops[i].type == LOG_OP_RECYCLE && log->queued->ops[i].recycle.spare;
    for (size_t i = 0; log->running && i < log->running->op_count; i++)
        coming += log->running->ops[i].type == LOG_OP_RECYCLE && log->running->ops[i].recycle.spare;
    op->recycle.seq = h->seq;
    if (h->bytes == log->config.segment_bytes &&
        log->layout.spare_count + coming < LOG_SPARES_MAX && !log->spare_running)
        op->recycle.spare = log->layout.next_spare++;
}

static void push_meta(struct raft_log *log)
{
    log->layout.meta.generation++;
    job_op(log->queued, LOG_OP_META)->meta = log->layout.meta;
}

/* The segments from `from` to `to` leave the log for good; their removal comes after the meta. */
static void recycle_range(struct raft_log *log, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        recycle(log, &log->layout.segments[i].header);
}

static void reset(struct raft_log *log, uint64_t base)
{
    struct log_layout *l = &log->layout;
    size_t old = l->count;

    fetch_forget(log);
    l->meta.epoch++;
    l->meta.truncate_from = base + 1;
    l->meta.first_seq = l->next_seq;
    if (l->meta.faulty_to <= base)
        log_meta_set_faulty(&l->meta, 0, 0, 0);
    begin_segment(log, base + 1, 0);
    push_meta(log);
    recycle_range(log, 0, old);
    log_layout_drop_front(l, old);
    l->last_index = base;
}

static void truncate_from(struct raft_log *log, uint64_t index)
{
    struct log_layout *l = &log->layout;
    size_t keep = l->count;
    struct log_segment *s;

    fetch_forget(log);
    while (keep > 1 && l->segments[keep - 1].header.first_index > index)
        keep--;
    l->meta.epoch++;
    l->meta.truncate_from = index;
    push_meta(log);
    s = &l->segments[keep - 1];
    if (keep < l->count) {
        job_op(log->queued, LOG_OP_REOPEN)->reopen = s->header;
        recycle_range(log, keep, l->count);
        log_layout_cut(l, keep);
    }
    if (index - s->header.first_index < s->count) {
        s->count = (size_t)(index - s->header.first_index);
        s->used = s->slots[s->count].sector * (uint64_t)LOG_SECTOR;
    }
    l->last_index = index - 1;
}

static void append(struct raft_log *log, const struct raft_entry *e)
{
    struct log_layout *l = &log->layout;
    struct log_segment *s = &l->segments[l->count - 1];
    struct log_op *op;

    if (s->used + log_record_size(e->buf->len) > s->header.bytes) {
        begin_segment(log, e->index, log_record_size(e->buf->len));
        s = &l->segments[l->count - 1];
    }
    op = job_op(log->queued, LOG_OP_APPEND);
    op->append.seq = s->header.seq;
    op->append.offset = s->used;
    op->append.buf = raft_buf_ref(e->buf);
    op->append.record = (struct log_record){
        .index = e->index,
        .term = e->term,
        .type = e->type,
        .len = e->buf->len,
        .entry_crc = log_entry_crc(e),
        .prev_crc = log_layout_last_crc(l),
        .epoch = l->meta.epoch,
    };
    log_segment_add(s, op->append.record.entry_crc, e->buf->len);
    l->last_index = e->index;
    log->stats.entries++;
}

void raft_log_reset(struct raft_log *log, uint64_t base)
{
    if (log->is_dead)
        return;
    reset(log, base);
    kick(log);
}

void raft_log_lose(struct raft_log *log, struct raft_log_boot *boot)
{
    boot->faulty_term = boot->faulty_to > 0 ? boot->faulty_term : boot->last_term;
    boot->faulty_to = MUTANT(LOSS_FORGOTTEN) ? 0 : MAX(boot->faulty_to, boot->last_index);
    boot->faulty_from = boot->faulty_to > 0 ? 1 : 0;
    boot->first_index = 1;
    boot->last_index = 0;
    if (log->is_dead)
        return;
    log_meta_set_faulty(&log->layout.meta, boot->faulty_from, boot->faulty_to, boot->faulty_term);
    reset(log, 0);
    kick(log);
}

void raft_log_append_async(struct raft_log *log, const struct raft_update *up)
{
    if (up->write_id == 0 || log->is_dead)
        return;
    if (up->hard_state_changed)
        log->layout.meta.hard_state = up->hard_state;
    if (up->log_reset)
        reset(log, up->log_base.index);
    if (up->truncate_from != 0 && up->truncate_from <= log->layout.last_index)
        truncate_from(log, up->truncate_from);
    else if (up->hard_state_changed && !up->log_reset)
        push_meta(log);
    for (size_t i = 0; i < up->entry_count; i++)
        append(log, &up->entries[i]);
    log->queued->write_id = up->write_id;
    kick(log);
}

uint64_t raft_log_compact(struct raft_log *log, uint64_t index)
{
    struct log_layout *l = &log->layout;
    size_t drop = 0;

    while (l->count - drop > MAX(1U, log->config.segments_min) &&
           l->segments[drop + 1].header.first_index <= index + 1)
        drop++;
    if (drop > 0 && !log->is_dead) {
        l->meta.first_seq = l->segments[drop].header.seq;
        push_meta(log);
        recycle_range(log, 0, drop);
        log_layout_drop_front(l, drop);
        if (log->fetch && log->fetch->first < raft_log_first_index(log))
            fetch_forget(log);
        kick(log);
    }
    return raft_log_first_index(log);
}

void raft_log_set_recovered(struct raft_log *log)
{
    if (log->layout.meta.faulty_to == 0 || log->is_dead)
        return;
    log_meta_set_faulty(&log->layout.meta, 0, 0, 0);
    push_meta(log);
    kick(log);
}

/* ---- open, replay, close ---- */

int raft_log_replay(struct raft_log *log, int (*fn)(void *ctx, const struct raft_entry *e),
                    void *ctx)
{
    uint64_t index = raft_log_first_index(log);

    while (index <= log->layout.last_index) {
        struct log_fetch f = {.log = log};
        const struct log_segment *s = log_layout_find(&log->layout, index);
        uint64_t begin;
        int r;

        f.header = s->header;
        f.first = index;
        f.slots = &s->slots[index - s->header.first_index];
        begin = f.slots[0].sector * (uint64_t)LOG_SECTOR;
        do {
            f.count++;
            f.end = index + f.count < s->header.first_index + s->count
                        ? f.slots[f.count].sector * (uint64_t)LOG_SECTOR
                        : s->used;
        } while (f.end < s->used && f.end - begin < FETCH_BYTES);
        on_fetch_run(&f.work);
        r = f.result;
        for (size_t i = 0; i < f.count && r == 0; i++)
            r = fn(ctx, &f.entries[i]);
        for (size_t i = 0; i < f.count; i++)
            raft_buf_unref(f.entries[i].buf);
        free(f.entries);
        if (r != 0)
            return r;
        index += f.count;
    }
    return 0;
}

static int start_threads(struct raft_log *log)
{
    int r;

    if (!log->config.loop)
        return 0;
    log->work = (struct work){.run = on_work_run, .done = on_work_done, .loop = log->config.loop};
    log->spare_work =
        (struct work){.run = on_spare_run, .done = on_spare_done, .loop = log->config.loop};
    r = worker_new("dfs-log", &log->write_worker);
    if (r < 0)
        return r;
    r = worker_new("dfs-log-read", &log->read_worker);
    if (r < 0)
        return r;
    log->idle_timer = loop_timer_new(log->config.loop, on_idle, log);
    prepare_spare(log);
    if (log->ring_count > 0)
        loop_timer_start(log->idle_timer, RING_IDLE_MS, 0);
    return 0;
}

int raft_log_open(const struct raft_log_config *config, struct raft_log_boot *ret_boot,
                  struct raft_log **ret_log)
{
    CLEANUP(raft_log) struct raft_log *log = MEM_NEW(struct raft_log);
    const struct log_layout *l = &log->layout;
    bool is_new = false;
    int r;

    log->config = *config;
    log->dir = mem_strdup(config->dir);
    log->queued = &log->jobs[0];
    r = log_recover(config->vfs, config->dir, config->segment_bytes, any_seed(config), &log->layout,
                    &is_new);
    if (r < 0)
        return r;
    r = log_writer_new(config->vfs, config->dir, config->direct, &l->segments[l->count - 1],
                       &log->writer);
    if (r < 0)
        return r;
    for (size_t i = 0; i < l->tail_count; i++)
        ring_add(&log->ring, &log->ring_count, &log->ring_capacity, &l->tail[i]);
    log->layout.tail_count = 0;
    r = start_threads(log);
    if (r < 0)
        return r;
    *ret_boot = (struct raft_log_boot){
        .is_new = is_new,
        .hard_state = l->meta.hard_state,
        .first_index = raft_log_first_index(log),
        .last_index = l->last_index,
        .last_term = l->last_term > 0 ? l->last_term : l->meta.hard_state.term,
        .faulty_from = l->meta.faulty_from,
        .faulty_to = l->meta.faulty_to,
        .faulty_term = l->meta.faulty_term,
    };
    *ret_log = STEAL(log);
    return 0;
}

void raft_log_close(struct raft_log *log)
{
    if (!log)
        return;
    log->is_dead = true;
    worker_free(log->write_worker);
    worker_free(log->read_worker);
    /* Their answers have been posted: let them arrive, unheard. */
    while (log->running || log->spare_running || log->fetch_running)
        loop_run_once(log->config.loop, false);
    loop_timer_free(log->idle_timer);
    log_writer_free(log->writer);
    job_done(&log->jobs[0]);
    job_done(&log->jobs[1]);
    fetch_free(log->fetch);
    log_layout_done(&log->layout);
    free(log->ring);
    free(log->dir);
    free(log);
}

uint64_t raft_log_first_index(const struct raft_log *log)
{
    return log->layout.segments[0].header.first_index;
}

uint64_t raft_log_last_index(const struct raft_log *log)
{
    return log->layout.last_index;
}

uint64_t raft_log_size(const struct raft_log *log)
{
    return log->layout.count * log->config.segment_bytes;
}

bool raft_log_is_direct(const struct raft_log *log)
{
    return log_writer_is_direct(log->writer);
}

const struct raft_log_stats *raft_log_stats(const struct raft_log *log)
{
    return &log->stats;
}
