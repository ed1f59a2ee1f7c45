/*
 * One group is written while the next one gathers.
 *
 * A checkpoint does not stop anything:
 *
 *   IDLE ──► ROTATING ──► COPYING ──► FINISHING ──► IDLE
 *
 * ROTATING  log N+1 is made and takes what comes from now on; N is still the truth, and whoever
 *           starts after a crash reads log N, then log N+1
 * COPYING   all chunks go into ctab.N+1, a slice at a time, each as it is at that moment: what
 *           changed before is in it, what changes later is in log N+1 too, and replaying a record
 *           twice does no harm
 * FINISHING sync, superblocks to N+1, old files away
 */
#include "datanode/table_log.h"

#include <errno.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/vfs.h"
#include "datanode/ctab.h"
#include "datanode/store_priv.h"

enum {
    SLICE_RECORDS = 4096,
    CHECKPOINT_RECORDS_MIN = 65536, /* a log shorter than this is not worth a checkpoint */
};

enum checkpoint_state {
    CHECKPOINT_IDLE,
    CHECKPOINT_ROTATING,
    CHECKPOINT_COPYING,
    CHECKPOINT_FINISHING
};

struct group {
    uint8_t *records;
    size_t count, room;
    struct table_wait *waits, **waits_end;
};

struct table_log {
    struct target *target;
    struct group next, running;
    struct job job;
    bool is_running;
    int status;                    /* of the running group, then of the log as a whole */
    struct ctab_log *log;          /* the logger's, while a job of ours runs */
    uint64_t number, record_count; /* of this log */

    enum checkpoint_state state;
    struct job checkpoint_job;
    struct ctab_checkpoint *checkpoint;
    struct ctab_log *next_log;
    uint32_t position; /* in the chunk table */
    uint8_t *slice;
    size_t slice_count;
    int checkpoint_status;
    struct table_log_stats stats;
};

static void group_init(struct group *g)
{
    *g = (struct group){0};
    g->waits_end = &g->waits;
}

struct table_log *table_log_new_take(struct target *t, struct ctab_log *log, uint64_t number)
{
    struct table_log *l = MEM_NEW(struct table_log);

    l->target = t;
    l->log = log;
    l->number = number;
    group_init(&l->next);
    return l;
}

void table_log_free(struct table_log *l)
{
    if (!l)
        return;
    ctab_log_free(l->log);
    ctab_log_free(l->next_log);
    ctab_checkpoint_free(l->checkpoint);
    free(l->slice);
    free(l->next.records);
    free(l->running.records);
    free(l);
}

/* ---- groups ---- */

static void append_run(struct job *j)
{
    struct table_log *l = CONTAINER_OF(j, struct table_log, job);

    l->status = atomic_load(&l->target->failure);
    if (l->status == 0)
        l->status = ctab_log_append(l->log, l->running.records, l->running.count);
}

static void append_start(struct table_log *l);

static void append_done(struct job *j)
{
    struct table_log *l = CONTAINER_OF(j, struct table_log, job);
    struct group g = l->running;

    group_init(&l->running);
    l->is_running = false;
    l->record_count += g.count;
    l->stats.groups++;
    l->stats.records += g.count;
    if (l->status < 0)
        target_fail(l->target, l->status);
    for (struct table_wait *w = g.waits, *next; w; w = next) {
        next = w->next;
        w->fn(w->ctx, l->status < 0 ? -EIO : 0);
    }
    /* The memory of a group is used again by the one after the next. */
    if (!l->running.records) {
        l->running.records = g.records;
        l->running.room = g.room;
    } else {
        free(g.records);
    }
    if (l->next.waits)
        append_start(l);
}

static void append_start(struct table_log *l)
{
    struct group spare = l->running;

    if (l->is_running || l->next.count == 0)
        return;
    l->running = l->next;
    group_init(&l->next);
    l->next.records = spare.records;
    l->next.room = spare.room;
    l->is_running = true;
    l->job.run = append_run;
    l->job.done = append_done;
    disk_submit(l->target->disk, DISK_LOGGER, &l->job);
}

void table_log_put(struct table_log *l, const struct chunk_state *c, bool forgotten,
                   struct table_wait *wait)
{
    struct ctab_record r = {.chunk = *c};
    struct group *g = &l->next;

    if (forgotten)
        r.chunk.flags |= CTAB_FORGOTTEN;
    if (g->count == g->room) {
        g->room = g->room ? g->room * 2 : 64;
        g->records = mem_realloc(g->records, g->room, CTAB_RECORD_SIZE);
    }
    ctab_record_encode(&r, g->records + g->count++ * CTAB_RECORD_SIZE);
    if (!wait)
        return;
    wait->next = NULL;
    *g->waits_end = wait;
    g->waits_end = &wait->next;
    append_start(l);
}

void table_log_flush(struct table_log *l)
{
    append_start(l);
}

uint64_t table_log_put_count(const struct table_log *l)
{
    return l->stats.records + l->running.count + l->next.count;
}

uint64_t table_log_durable_count(const struct table_log *l)
{
    return l->stats.records;
}

bool table_log_is_idle(const struct table_log *l)
{
    return !l->is_running && l->state == CHECKPOINT_IDLE;
}

void table_log_stats(const struct table_log *l, struct table_log_stats *ret_stats)
{
    *ret_stats = l->stats;
}

/* ---- checkpoints, in order of time ---- */

static void checkpoint_step(struct table_log *l);

static void checkpoint_done(struct job *j)
{
    struct table_log *l = CONTAINER_OF(j, struct table_log, checkpoint_job);

    checkpoint_step(l);
}

static void checkpoint_submit(struct table_log *l, void (*run)(struct job *j))
{
    l->checkpoint_job.run = run;
    l->checkpoint_job.done = checkpoint_done;
    disk_submit(l->target->disk, DISK_LOGGER, &l->checkpoint_job);
}

static void rotate_run(struct job *j)
{
    struct table_log *l = CONTAINER_OF(j, struct table_log, checkpoint_job);
    const struct chunk_dir *d = &l->target->dir;
    int r;

    r = ctab_log_new(d->vfs, d->path, l->number + 1, &l->next_log);
    if (r == 0)
        r = ctab_checkpoint_new(d->vfs, d->path, l->number + 1, &l->checkpoint);
    if (r == 0)
        r = vfs_sync_dir(d->vfs, d->path);
    if (r == 0) {
        struct ctab_log *old = l->log;

        l->log = STEAL(l->next_log);
        ctab_log_free(old);
    }
    l->checkpoint_status = r;
}

static void slice_run(struct job *j)
{
    struct table_log *l = CONTAINER_OF(j, struct table_log, checkpoint_job);

    l->checkpoint_status = ctab_checkpoint_add(l->checkpoint, l->slice, l->slice_count);
}

static size_t fill_slice(struct target *t, uint32_t *position, uint8_t *slice)
{
    uint32_t end = chunk_table_end(t->chunks);
    size_t count = 0;

    for (; *position < end && count < SLICE_RECORDS; ++*position) {
        const struct chunk *c = chunk_table_at(t->chunks, *position);
        struct ctab_record r = {0};

        if (!c)
            continue;
        chunk_get_state(c, &r.chunk);
        ctab_record_encode(&r, slice + count++ * CTAB_RECORD_SIZE);
    }
    return count;
}

/* On the syncer: a big checkpoint takes its time, and the log must not wait for it. */
static void finish_run(struct job *j)
{
    struct table_log *l = CONTAINER_OF(j, struct table_log, checkpoint_job);
    struct target *t = l->target;
    int r;

    r = ctab_checkpoint_finish(l->checkpoint);
    if (r == 0)
        r = target_set_checkpoint(t, l->number + 1);
    if (r == 0)
        r = ctab_remove_others(t->dir.vfs, t->dir.path, l->number + 1);
    l->checkpoint_status = r;
}

static void checkpoint_step(struct table_log *l)
{
    if (l->checkpoint_status < 0) {
        target_fail(l->target, l->checkpoint_status);
        l->state = CHECKPOINT_IDLE;
        return;
    }
    switch (l->state) {
    case CHECKPOINT_IDLE:
        l->state = CHECKPOINT_ROTATING;
        checkpoint_submit(l, rotate_run);
        return;
    case CHECKPOINT_ROTATING:
        l->record_count = 0;
        l->position = 0;
        l->slice = mem_alloc((size_t)SLICE_RECORDS * CTAB_RECORD_SIZE);
        l->state = CHECKPOINT_COPYING;
        /* fall through */
    case CHECKPOINT_COPYING:
        l->slice_count = fill_slice(l->target, &l->position, l->slice);
        if (l->slice_count) {
            checkpoint_submit(l, slice_run);
            return;
        }
        l->state = CHECKPOINT_FINISHING;
        l->checkpoint_job.run = finish_run;
        l->checkpoint_job.done = checkpoint_done;
        disk_submit(l->target->disk, DISK_SYNCER, &l->checkpoint_job);
        return;
    case CHECKPOINT_FINISHING:
        ctab_checkpoint_free(STEAL(l->checkpoint));
        free(STEAL(l->slice));
        l->number++;
        l->stats.checkpoints++;
        l->state = CHECKPOINT_IDLE;
        return;
    }
}

void table_log_tick(struct table_log *l, bool force)
{
    size_t chunks = chunk_table_count(l->target->chunks);

    if (l->state != CHECKPOINT_IDLE || target_status(l->target) < 0)
        return;
    if (force || l->record_count > MAX((size_t)CHECKPOINT_RECORDS_MIN, 2 * chunks))
        checkpoint_step(l);
}

/* ---- all at once ---- */

static int write_checkpoint(struct target *t, uint64_t number, uint8_t *slice)
{
    CLEANUP(ctab_checkpoint) struct ctab_checkpoint *c = NULL;
    uint32_t position = 0;
    size_t count;
    int r;

    r = ctab_checkpoint_new(t->dir.vfs, t->dir.path, number, &c);
    while (r == 0 && (count = fill_slice(t, &position, slice)) > 0)
        r = ctab_checkpoint_add(c, slice, count);
    return r < 0 ? r : ctab_checkpoint_finish(c);
}

int table_log_write_all(struct target *t, uint64_t number, struct ctab_log **ret_log)
{
    CLEANUP(ctab_log) struct ctab_log *log = NULL;
    uint8_t *slice = mem_alloc((size_t)SLICE_RECORDS * CTAB_RECORD_SIZE);
    int r;

    r = write_checkpoint(t, number, slice);
    free(slice);
    if (r == 0)
        r = ctab_log_new(t->dir.vfs, t->dir.path, number, &log);
    if (r == 0)
        r = vfs_sync_dir(t->dir.vfs, t->dir.path);
    if (r < 0)
        return r;
    *ret_log = STEAL(log);
    return 0;
}
