/*
 * The scrub of our own store: what nobody reads rots unseen, until this replica is the last one that
 * has it. Once in `scrub` all of it is read from the disk and compared with its checksums, slowly, on
 * a thread of its own; damage is that of any other reader (node_checkpoint_is_damaged()).
 *
 *   IDLE ──due──► PREPARING ──flushed──► READING ──► IDLE
 *
 * What is read is a checkpoint: hard links to the tables as they are now, which so stay on the disk
 * until it is over. On a disk that is nearly full there is none, and one under way is given up.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "common/worker.h"
#include "namenode/node_impl.h"

enum {
    FIRST_MS = 600000, /* after the start; and again, after one that was given up */
    PREPARE_MS = 10000,
    /* What is unpacked is some four times what is on the disk; so a pass is over in a quarter of its
     * time, and the disk is its own for the rest. */
    PACE = 16,
};

enum scrub_state { SCRUB_IDLE, SCRUB_PREPARING, SCRUB_READING };

struct node_scrub {
    struct node *n;
    char *dir;
    struct worker *worker;
    struct work work;
    enum scrub_state state;
    struct raft_point point;
    uint64_t due_ns, begun_ns, bytes;
    struct kv_rocks_verify how;
    int result;
    atomic_bool stop;
};

static void remove_checkpoint(struct node_scrub *s)
{
    int r = vfs_remove_all(vfs_posix(), s->dir);

    if (r < 0)
        log_warn("a checkpoint cannot be removed", "dir=%s %s", s->dir, dfs_strerror(r));
}

static void set_due(struct node_scrub *s, uint64_t after_ms)
{
    s->state = SCRUB_IDLE;
    s->due_ns = clock_monotonic_ns(clock_system()) + after_ms * CLOCK_NS_PER_MS;
}

static uint64_t again_ms(const struct node_scrub *s)
{
    return MIN(s->n->conf->scrub_ms, (uint64_t)FIRST_MS);
}

static void on_run(struct work *work)
{
    struct node_scrub *s = CONTAINER_OF(work, struct node_scrub, work);

    s->result = kv_rocks_verify(s->dir, &s->how);
}

static void note_end(struct node_scrub *s)
{
    struct node_stats *st = &s->n->stats;

    st->scrubs++;
    st->scrub_bytes = s->bytes;
    st->scrub_ended_s = (uint64_t)clock_wall_ns(clock_system()) / CLOCK_NS_PER_S;
    log_info("all of the metadata store was read",
             "index=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRIu64 " damaged=%s", s->point.index,
             s->bytes, (clock_monotonic_ns(clock_system()) - s->begun_ns) / CLOCK_NS_PER_MS,
             s->result == 0 ? "no" : "yes");
}

static void on_done(struct work *work)
{
    struct node_scrub *s = CONTAINER_OF(work, struct node_scrub, work);

    remove_checkpoint(s);
    if (s->result == 0 || s->result == -EBADMSG)
        note_end(s);
    else if (s->result != -ECANCELED)
        log_error("the metadata store cannot be read as a whole", "%s", dfs_strerror(s->result));
    set_due(s, s->result == -ECANCELED ? again_ms(s) : s->n->conf->scrub_ms);
    if (s->result == -EBADMSG)
        node_checkpoint_is_damaged(s->n, &s->point);
}

static uint64_t rate_of(const struct node_conf *c, uint64_t table_bytes)
{
    uint64_t period_s = MAX(c->scrub_ms / 1000, UINT64_C(1)), rate = table_bytes / period_s * PACE;

    return MAX(rate, c->scrub_rate);
}

static void begin(struct node_scrub *s, uint64_t now_ns)
{
    struct node *n = s->n;
    int r;

    remove_checkpoint(s);
    r = node_checkpoint(n, s->dir, &s->point);
    if (r < 0) {
        log_error("no checkpoint can be made", "dir=%s %s", s->dir, dfs_strerror(r));
        node_check_store(n, r);
        remove_checkpoint(s);
        set_due(s, again_ms(s));
        return;
    }
    s->begun_ns = now_ns;
    s->bytes = n->memory.store.tables;
    s->how = (struct kv_rocks_verify){
        .rate_bytes = rate_of(n->conf, s->bytes), .from_disk = true, .stop = &s->stop};
    atomic_store(&s->stop, false);
    s->state = SCRUB_READING;
    worker_submit(s->worker, &s->work);
}

void node_care_for_scrub(struct node *n, uint64_t now_ns)
{
    struct node_scrub *s = n->scrub;

    switch (s->state) {
    case SCRUB_IDLE:
        if (n->conf->scrub_ms == 0 || now_ns < s->due_ns || disk_space_is_short(n->space))
            break;
        s->state = SCRUB_PREPARING;
        s->begun_ns = now_ns;
        break;
    case SCRUB_PREPARING:
        if (node_checkpoint_prepare(n) || now_ns - s->begun_ns > PREPARE_MS * CLOCK_NS_PER_MS)
            begin(s, now_ns);
        break;
    case SCRUB_READING:
        if (disk_space_is_short(n->space))
            atomic_store(&s->stop, true);
        break;
    }
}

int node_start_scrub(struct node *n)
{
    struct node_scrub *s = n->scrub = MEM_NEW(struct node_scrub);

    s->n = n;
    s->dir = mem_strdup(data_dir_path(n->dir, "scrub"));
    s->work = (struct work){.run = on_run, .done = on_done, .loop = n->loop};
    set_due(s, again_ms(s));
    return worker_new("dfs-scrub", &s->worker);
}

void node_stop_scrub(struct node *n)
{
    struct node_scrub *s = n->scrub;

    if (!s)
        return;
    atomic_store(&s->stop, true);
    worker_free(s->worker);
    while (s->state == SCRUB_READING)
        loop_run_once(n->loop, false);
    free(s->dir);
    free(s);
    n->scrub = NULL;
}
