/*
 * The store as a whole: made, ticking, closed.
 *
 * Closing a target: no new calls; when what runs is done, everything is synced, what is synced
 * becomes CLEAN, the table is written as a checkpoint and the superblock says "clean". Whatever
 * fails on the way only means that the next opening looks closer.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "datanode/ctab.h"
#include "datanode/store_priv.h"

struct closing {
    struct target *target;
    struct job job;
    struct loop_timer *timer;
    int status;
};

static void on_tick(void *ctx)
{
    store_tick(ctx);
}

void store_tick(struct store *s)
{
    for (unsigned i = 0; i < s->target_count; i++)
        sync_tick(s->targets[i]);
}

static void register_metrics(struct store *s)
{
    struct metrics *m = s->o.metrics;

    s->m.writes = metrics_counter(m, "dfs_store_writes_total", "chunk writes done");
    s->m.write_bytes = metrics_counter(m, "dfs_store_written_bytes_total", "chunk bytes written");
    s->m.reads = metrics_counter(m, "dfs_store_reads_total", "chunk reads done");
    s->m.read_bytes = metrics_counter(m, "dfs_store_read_bytes_total", "chunk bytes read");
    s->m.syncs = metrics_counter(m, "dfs_store_syncs_total", "requests to make chunks durable");
    s->m.sync_rounds = metrics_counter(m, "dfs_store_sync_rounds_total", "rounds that served them");
    s->m.sync_files = metrics_counter(m, "dfs_store_synced_chunks_total", "chunks in those rounds");
    s->m.bad_blocks =
        metrics_counter(m, "dfs_store_bad_blocks_total", "blocks that failed their CRC");
    s->m.write_ns =
        metrics_histogram(m, "dfs_store_write_seconds", "a chunk write, queueing included");
    s->m.sync_ns = metrics_histogram(m, "dfs_store_sync_round_seconds", "a round of syncs");
}

int store_new(struct loop *loop, const struct store_options *o, struct store **ret_store)
{
    struct store *s = MEM_NEW(struct store);

    s->loop = loop;
    s->o = *o;
    if (s->o.open_files_max == 0)
        s->o.open_files_max = OPEN_FILES_DEFAULT;
    if (s->o.reserve_percent >= 100)
        s->o.reserve_percent = DISK_RESERVE_PERCENT;
    register_metrics(s);
    s->tick = loop_timer_new(loop, on_tick, s);
    loop_timer_start(s->tick, TICK_MS, TICK_MS);
    *ret_store = s;
    return 0;
}

/* ---- closing ---- */

static void all_closed(void *ctx)
{
    struct store *s = ctx;

    s->closed(s->closed_ctx);
}

static void target_closed(struct closing *c)
{
    struct store *s = c->target->store;

    if (c->status < 0)
        log_warn("target could not be closed cleanly", "dir=%s why=%d", c->target->path, c->status);
    loop_timer_free(c->timer);
    free(c);
    if (--s->closing_count == 0)
        loop_post(s->loop, all_closed, s);
}

static void table_run(struct job *j)
{
    struct closing *c = CONTAINER_OF(j, struct closing, job);
    struct target *t = c->target;
    CLEANUP(ctab_log) struct ctab_log *log = NULL;
    uint64_t number = t->sb.checkpoint + 2;

    c->status = table_log_write_all(t, number, &log);
    if (c->status == 0)
        c->status = target_write_clean(t, number);
    if (c->status == 0)
        c->status = ctab_remove_others(t->dir.vfs, t->dir.path, number);
}

static void table_done(struct job *j)
{
    target_closed(CONTAINER_OF(j, struct closing, job));
}

/* What is synced and not suspect is what its version says. */
static void clean_all(struct target *t)
{
    for (uint32_t i = 0; i < chunk_table_end(t->chunks); i++) {
        struct chunk *c = chunk_table_at(t->chunks, i);

        if (!c || !(c->flags & CHUNK_DIRTY) || c->flags & (CHUNK_SUSPECT | CHUNK_INCOMPLETE))
            continue;
        if (c->live && c->live->synced != c->live->made)
            continue;
        if (c->live)
            live_drop_dirty(c->live);
        chunk_set_flags(t, c, c->flags & ~(unsigned)CHUNK_DIRTY);
    }
}

static void drain(void *ctx)
{
    struct closing *c = ctx;
    struct target *t = c->target;

    if (disk_job_count(t->disk) || (t->log && !table_log_is_idle(t->log)) || t->round.is_running) {
        loop_timer_start(c->timer, 1, 0);
        return;
    }
    if (target_is_failed(t)) {
        c->status = -EIO;
        target_closed(c);
        return;
    }
    clean_all(t);
    c->job.run = table_run;
    c->job.done = table_done;
    disk_submit(t->disk, DISK_SYNCER, &c->job);
}

static void final_synced(void *ctx, int status, uint32_t result)
{
    struct closing *c = ctx;

    (void)status;
    (void)result;
    drain(c);
}

void store_close(struct store *s, void (*done)(void *ctx), void *ctx)
{
    assert(!s->is_closing);
    s->is_closing = true;
    s->closed = done;
    s->closed_ctx = ctx;
    s->closing_count = s->target_count;
    loop_timer_stop(s->tick);
    if (s->target_count == 0)
        loop_post(s->loop, all_closed, s);
    for (unsigned i = 0; i < s->target_count; i++) {
        struct closing *c = MEM_NEW(struct closing);

        c->target = s->targets[i];
        c->timer = loop_timer_new(s->loop, drain, c);
        store_sync_pg(c->target, (struct pg_id){0}, final_synced, c);
        c->target->is_closing = true;
    }
}

void store_free(struct store *s)
{
    if (!s)
        return;
    loop_timer_free(s->tick);
    for (unsigned i = 0; i < s->target_count; i++)
        target_done(s->targets[i]);
    free(s);
}
