/* A target in use: its superblock, its space, its state. How it is opened: target_open.c. */
#include <errno.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/vfs.h"
#include "datanode/store_priv.h"

/* ---- the superblock ---- */

/* Twice: no reader ever has to fall back to one that names files which are gone. */
static int write_both(struct target *t)
{
    int r = superblock_write(t->dir.vfs, t->path, &t->sb);

    return r < 0 ? r : superblock_write(t->dir.vfs, t->path, &t->sb);
}

int target_set_checkpoint(struct target *t, uint64_t number)
{
    int r;

    pthread_mutex_lock(&t->sb_lock);
    t->sb.checkpoint = number;
    r = write_both(t);
    pthread_mutex_unlock(&t->sb_lock);
    return r;
}

int target_write_clean(struct target *t, uint64_t checkpoint)
{
    int r;

    pthread_mutex_lock(&t->sb_lock);
    t->sb.checkpoint = checkpoint;
    t->sb.is_clean = true;
    r = write_both(t);
    pthread_mutex_unlock(&t->sb_lock);
    return r;
}

int target_set_id(struct target *t, struct target_id id)
{
    int r = 0;

    pthread_mutex_lock(&t->sb_lock);
    if (t->sb.target_id == 0) {
        t->sb.target_id = id.v;
        r = write_both(t);
        if (r < 0)
            t->sb.target_id = 0;
    } else if (t->sb.target_id != id.v) {
        r = -EEXIST;
    }
    pthread_mutex_unlock(&t->sb_lock);
    return r;
}

/* ---- space ---- */

void target_take_space(struct target *t, uint64_t total, uint64_t free)
{
    const struct store_options *o = &t->store->o;
    uint64_t reserve;

    if (o->capacity_bytes && o->capacity_bytes < total) {
        uint64_t left = o->capacity_bytes > t->used_bytes ? o->capacity_bytes - t->used_bytes : 0;

        total = o->capacity_bytes;
        free = MIN(free, left);
    }
    reserve = total / 100 * o->reserve_percent;
    t->total_bytes = total - reserve;
    t->free_bytes = free > reserve ? free - reserve : 0;
}

static void space_run(struct job *j)
{
    struct target *t = CONTAINER_OF(j, struct target, space.job);
    struct vfs_space sp;

    t->space.status = vfs_space(t->dir.vfs, t->path, &sp);
    if (t->space.status == 0) {
        t->space.total = sp.total_bytes;
        t->space.free = sp.free_bytes;
    }
}

static void space_done(struct job *j)
{
    struct target *t = CONTAINER_OF(j, struct target, space.job);

    t->space.is_running = false;
    if (t->space.status == 0)
        target_take_space(t, t->space.total, t->space.free);
}

void target_refresh_space(struct target *t)
{
    if (t->space.is_running)
        return;
    t->space.is_running = true;
    t->space.job.run = space_run;
    t->space.job.done = space_done;
    disk_submit(t->disk, DISK_READER, &t->space.job);
}

/* ---- asking ---- */

struct target_id target_id(const struct target *t)
{
    return (struct target_id){t->sb.target_id};
}

const struct uuid *target_uuid(const struct target *t)
{
    return &t->sb.target;
}

const char *target_dir(const struct target *t)
{
    return t->path;
}

unsigned target_index(const struct target *t)
{
    return t->index;
}

uint64_t target_free_bytes(const struct target *t)
{
    return t->free_bytes;
}

bool target_is_failed(const struct target *t)
{
    return atomic_load(&t->failure) != 0;
}

int target_status(const struct target *t)
{
    if (target_is_failed(t))
        return -EIO;
    return t->is_closing ? DFS_ECLOSED : 0;
}

void target_stats(const struct target *t, struct target_stats *ret_stats)
{
    struct target_stats st = t->stats;

    st.failure = atomic_load(&t->failure);
    st.health = st.failure ? TARGET_FAILED : TARGET_GOOD;
    st.same_boot = t->same_boot;
    st.was_clean = t->was_clean;
    st.generation = t->sb.generation;
    st.total_bytes = t->total_bytes;
    st.free_bytes = t->free_bytes;
    st.chunk_count = chunk_table_count(t->chunks);
    st.dirty_count = t->flag_counts[0];
    st.incomplete_count = t->flag_counts[1];
    st.bad_count = t->flag_counts[2];
    st.tombstone_count = t->flag_counts[3];
    st.unsynced_count = t->unsynced_count;
    st.open_files = t->lru_count;
    st.queue_len = disk_job_count(t->disk);
    *ret_stats = st;
}

static void tell_failed(void *ctx)
{
    struct target *t = ctx;
    const struct store_options *o = &t->store->o;

    if (o->on_failed)
        o->on_failed(o->ctx, t, atomic_load(&t->failure));
}

/* If the disk still takes it: the failure must outlive the process, which somebody restarts. */
static void note_run(struct job *j)
{
    struct target *t = CONTAINER_OF(j, struct target, failed_job);

    pthread_mutex_lock(&t->sb_lock);
    t->sb.is_failed = true;
    (void)write_both(t);
    pthread_mutex_unlock(&t->sb_lock);
}

static void note_done(struct job *j)
{
    (void)j;
}

void target_fail(struct target *t, int why)
{
    int none = 0;

    if (!atomic_compare_exchange_strong(&t->failure, &none, why < 0 ? why : -EIO))
        return;
    log_error("target failed; it is not used any more until it was looked at", "dir=%s why=%s",
              t->path, dfs_strerror(why));
    loop_post(t->store->loop, tell_failed, t);
    if (why == -ENOSPC || why == -EDQUOT)
        return; /* Nothing is lost but the table's next record; and a full disk gets room again. */
    t->failed_job.run = note_run;
    t->failed_job.done = note_done;
    disk_submit(t->disk, DISK_SYNCER, &t->failed_job);
}
