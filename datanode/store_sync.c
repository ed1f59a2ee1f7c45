/*
 * Making chunks durable, and what follows from it: the promise that nothing stays unsynced for
 * longer than AUTO_SYNC_MS, and chunks becoming CLEAN.
 *
 * A request waits until the changes before it have left the writer's queue (marks), then for the
 * next round. One round runs at a time and serves all requests that were ready when it began: few
 * files are synced one by one, many by syncing the file system they are on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/vfs.h"
#include "datanode/chain_mutant.h"
#include "datanode/store_priv.h"

struct sync_req *sync_req_new(struct target *t, size_t live_max, store_done_fn fn, void *ctx)
{
    struct sync_req *r = MEM_NEW(struct sync_req);

    r->target = t;
    r->lives = mem_alloc((live_max + 1) * sizeof(struct live *));
    r->fn = fn;
    r->ctx = ctx;
    r->wait_count = 1; /* sync_req_submit() */
    return r;
}

static void req_free(struct sync_req *r)
{
    for (size_t i = 0; i < r->live_count; i++)
        live_unref(r->lives[i]);
    free(r->lives);
    free(r);
}

void sync_req_add(struct sync_req *r, struct live *l)
{
    struct op *mark;

    if (l->synced == l->made)
        return;
    live_ref(l);
    r->lives[r->live_count++] = l;
    if (l->done == l->made)
        return;
    mark = op_new(l, OP_MARK, 0);
    mark->u.sync = r;
    r->wait_count++;
    op_submit(mark);
}

/* ---- a round ---- */

static int by_number(const void *a, const void *b)
{
    const unsigned *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* The directories of files that were made since their last sync, each once. */
static int sync_dirs(struct target *t, struct live **lives, size_t count)
{
    unsigned *dirs = mem_alloc((count + 1) * sizeof(*dirs));
    char path[PATH_BYTES_MAX + 1];
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < count; i++)
        if (chunk_file_is_new(&lives[i]->file))
            dirs[n++] = chunk_file_dir(lives[i]->chunk->id);
    qsort(dirs, n, sizeof(*dirs), by_number);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (i > 0 && dirs[i] == dirs[i - 1])
            continue;
        chunk_dir_path(&t->dir, dirs[i], path);
        r = vfs_sync_dir(t->dir.vfs, path);
    }
    free(dirs);
    if (r == 0 && atomic_exchange(&t->dir.made_dir, false)) {
        (void)snprintf(path, sizeof(path), "%s/c", t->path);
        r = vfs_sync_dir(t->dir.vfs, path);
    }
    return r;
}

static int sync_files(struct live **lives, size_t count)
{
    int r = 0;

    for (size_t i = 0; count > 1 && i < count; i++)
        chunk_file_sync_start(&lives[i]->file);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = chunk_file_sync(&lives[i]->file);
        if (r == DFS_ENOCHUNK) /* Deleted, or never made. */
            r = 0;
    }
    return r;
}

/*
 * Is one sync of all cheaper than the many? And a file that was closed may have lost the report of
 * a failed write-back, the file system has not: so such files are synced with it.
 */
static bool wants_whole_fs(const struct target *t)
{
    const struct sync_round *r = &t->round;
    uint64_t others = t->unsynced_bytes;

    for (size_t i = 0; i < r->live_count; i++) {
        if (r->lives[i]->was_closed)
            return true;
        others -= r->lives[i]->unsynced_bytes;
    }
    return r->live_count > SYNC_FILES_MAX ||
           (r->live_count > SYNC_FILES_FEW && others <= SYNC_OTHERS_MAX);
}

static int sync_whole_fs(struct target *t)
{
    bool made_dir = atomic_exchange(&t->dir.made_dir, false);
    int r = vfs_sync_fs(t->anchor);

    if (r == -ENOTSUP && made_dir)
        atomic_store(&t->dir.made_dir, true);
    return r;
}

static void round_run(struct job *j)
{
    struct target *t = CONTAINER_OF(j, struct target, round.job);
    struct sync_round *r = &t->round;

    if (atomic_load(&t->failure)) {
        r->status = -EIO;
        return;
    }
    r->status = r->whole_fs ? sync_whole_fs(t) : -ENOTSUP;
    if (r->status == -ENOTSUP) {
        r->status = sync_files(r->lives, r->live_count);
        if (r->status == 0)
            r->status = sync_dirs(t, r->lives, r->live_count);
    }
    for (size_t i = 0; r->status == 0 && i < r->live_count; i++)
        chunk_file_set_old(&r->lives[i]->file);
}

static void count_round(struct target *t)
{
    struct store *s = t->store;
    uint64_t ns = store_now_ns(s) - t->round.start_ns, *ewma = &t->stats.sync_ns_ewma;

    *ewma = *ewma ? (*ewma * 15 + ns) / 16 : ns;
    metric_inc(s->m.sync_rounds);
    metric_add(s->m.sync_files, t->round.live_count);
    metric_observe_ns(s->m.sync_ns, ns);
}

static void round_done(struct job *j)
{
    struct target *t = CONTAINER_OF(j, struct target, round.job);
    struct sync_round round = t->round;

    if (round.status < 0)
        target_fail(t, round.status);
    t->round.is_running = false;
    t->round.reqs = NULL;
    count_round(t);
    for (size_t i = 0; i < round.live_count; i++) {
        if (round.status == 0)
            live_set_synced(round.lives[i], round.lives[i]->round_made);
    }
    for (struct sync_req *r = round.reqs, *next; r; r = next) {
        next = r->next;
        t->stats.syncs++;
        metric_inc(t->store->m.syncs);
        if (r->fn)
            r->fn(r->ctx, target_is_failed(t) ? -EIO : 0, r->result);
        req_free(r);
    }
    free(round.lives);
    sync_kick(t);
}

static size_t gather(struct target *t)
{
    struct sync_round *round = &t->round;
    size_t max = 0, count = 0;

    for (struct sync_req *r = round->reqs; r; r = r->next)
        max += r->live_count;
    round->lives = mem_alloc((max + 1) * sizeof(struct live *));
    for (struct sync_req *r = round->reqs; r; r = r->next) {
        for (size_t i = 0; i < r->live_count; i++) {
            struct live *l = r->lives[i];

            if (l->round == round->number || l->synced == l->done)
                continue;
            l->round = round->number;
            l->round_made = l->done;
            round->lives[count++] = l;
        }
    }
    return count;
}

static void round_nothing(struct job *j)
{
    struct target *t = CONTAINER_OF(j, struct target, round.job);

    t->round.status = 0;
}

void sync_kick(struct target *t)
{
    struct sync_round *r = &t->round;

    if (r->is_running || !t->sync_ready || t->writer_sync_count)
        return;
    r->is_running = true;
    r->number++;
    r->reqs = STEAL(t->sync_ready);
    r->live_count = gather(t);
    r->whole_fs = wants_whole_fs(t);
    r->start_ns = store_now_ns(t->store);
    r->job.run = r->live_count ? round_run : round_nothing;
    r->job.done = round_done;
    disk_submit(t->disk, DISK_SYNCER, &r->job);
}

void sync_mark_passed(struct sync_req *r)
{
    struct target *t = r->target;

    if (--r->wait_count)
        return;
    r->next = t->sync_ready;
    t->sync_ready = r;
    sync_kick(t);
}

void sync_req_submit(struct sync_req *r)
{
    sync_mark_passed(r);
}

/* ---- the calls ---- */

void store_sync(struct target *t, const struct chunk_id *chunks, size_t count, store_done_fn done,
                void *ctx)
{
    struct sync_req *req;
    int r = target_status(t);

    if (r < 0 || STORE_MUTANT(MUTANT_SYNC_WITHOUT_DISK)) {
        store_done_later(t, done, ctx, r, 0);
        return;
    }
    req = sync_req_new(t, count, done, ctx);
    for (size_t i = 0; i < count; i++) {
        struct chunk *c = chunk_table_find(t->chunks, chunks[i].v);

        if (c && c->live)
            sync_req_add(req, c->live);
    }
    sync_req_submit(req);
}

void store_sync_pg(struct target *t, struct pg_id pg, store_done_fn done, void *ctx)
{
    struct sync_req *req;
    struct live *l = t->unsynced;
    int r = target_status(t);

    if (r < 0) {
        store_done_later(t, done, ctx, r, 0);
        return;
    }
    req = sync_req_new(t, t->unsynced_count, done, ctx);
    for (size_t i = t->unsynced_count; i > 0; i--, l = l->unsynced.next)
        if (pg.v == 0 || l->chunk->pg == pg.v)
            sync_req_add(req, l);
    sync_req_submit(req);
}

/* ---- by itself ---- */

/* When the oldest is old enough, all: one round every few seconds, however many are written. */
static void sync_old(struct target *t, uint64_t now)
{
    struct sync_req *req;
    struct live *l = t->unsynced;

    if (!l || now - l->unsynced_since_ns < AUTO_SYNC_START_MS * CLOCK_NS_PER_MS)
        return;
    req = sync_req_new(t, t->unsynced_count, NULL, NULL);
    for (size_t i = t->unsynced_count; i > 0; i--, l = l->unsynced.next)
        sync_req_add(req, l);
    sync_req_submit(req);
}

static void set_clean(struct live *l)
{
    live_drop_dirty(l);
    chunk_set_flags(l->target, l->chunk, l->chunk->flags & ~(unsigned)CHUNK_DIRTY);
    chunk_log(l->target, l->chunk, NULL);
    live_ref(l);
    live_unref(l); /* Frees it, if that was the last reason to keep it. */
}

/*
 * Chunks without a change for long become CLEAN, and when there are too many of them, those idle
 * longest. What is not synced yet will be, by the one above.
 */
static void clean_old(struct target *t, uint64_t now)
{
    struct live *l = t->dirty, *next;

    for (size_t i = t->dirty_listed; i > 0; i--, l = next) {
        uint64_t idle_ns = now - l->changed_ns;
        bool over = t->dirty_listed > DIRTY_CHUNKS_MAX;

        next = l->dirty.next;
        if (idle_ns < (over ? CLEAN_IDLE_MIN_MS : CHUNK_CLEAN_AFTER_MS) * CLOCK_NS_PER_MS)
            break;
        if (l->synced == l->made && !l->is_marking)
            set_clean(l);
    }
}

void sync_tick(struct target *t)
{
    uint64_t now = store_now_ns(t->store);

    if (target_status(t) < 0)
        return;
    if (!t->round.is_running) {
        sync_old(t, now);
        clean_old(t, now);
    }
    live_evict(t);
    tombstones_expire(t, now);
    table_log_flush(t->log);
    table_log_tick(t->log, false);
    target_refresh_space(t);
}
