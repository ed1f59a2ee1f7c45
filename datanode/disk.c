#include "datanode/disk.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"

enum { READER_COUNT = 2 };

struct disk {
    /* Set at start, read by all. */
    struct loop *loop;
    struct worker *workers[DISK_LANE_COUNT]; /* NULL: the loop does it */

    /* Loop thread only. */
    size_t job_count;
    struct work *first[DISK_LANE_COUNT], *last[DISK_LANE_COUNT]; /* without threads */
    struct rng rng;
};

static struct job *job_of(struct work *w)
{
    return CONTAINER_OF(w, struct job, work);
}

static void run(struct work *w)
{
    struct job *j = job_of(w);

    j->run(j);
}

static void done(struct work *w)
{
    struct job *j = job_of(w);

    j->disk->job_count--;
    j->done(j);
}

/* One job of one of the lanes, as threads might come to it. */
static void run_inline(void *ctx)
{
    struct disk *d = ctx;
    struct work *w;
    uint64_t lane;

    do {
        lane = rng_below(&d->rng, DISK_LANE_COUNT);
    } while (!d->first[lane]);
    w = d->first[lane];
    d->first[lane] = w->next;
    w->run(w);
    if (w->done)
        w->done(w);
}

static void submit(struct disk *d, enum disk_lane lane, struct work *w)
{
    if (d->workers[lane]) {
        worker_submit(d->workers[lane], w);
        return;
    }
    w->next = NULL;
    if (d->first[lane])
        d->last[lane]->next = w;
    else
        d->first[lane] = w;
    d->last[lane] = w;
    loop_post(d->loop, run_inline, d);
}

static void forward(struct work *w)
{
    struct job *j = CONTAINER_OF(w, struct job, forward);

    submit(j->disk, j->lane, &j->work);
}

static void prepare(struct disk *d, enum disk_lane lane, struct job *j)
{
    d->job_count++;
    j->disk = d;
    j->lane = lane;
    j->work = (struct work){.run = run, .done = done, .loop = d->loop};
}

void disk_submit(struct disk *d, enum disk_lane lane, struct job *j)
{
    prepare(d, lane, j);
    submit(d, lane, &j->work);
}

void disk_submit_after(struct disk *d, enum disk_lane first, enum disk_lane lane, struct job *j)
{
    prepare(d, lane, j);
    j->forward = (struct work){.run = forward};
    submit(d, first, &j->forward);
}

size_t disk_job_count(const struct disk *d)
{
    return d->job_count;
}

bool disk_lane_is_idle(const struct disk *d, enum disk_lane lane)
{
    return d->workers[lane] && worker_queued(d->workers[lane]) <= 1;
}

int disk_new(struct loop *loop, unsigned number, bool inline_io, uint64_t inline_seed,
             struct disk **ret_disk)
{
    static const char *const names[DISK_LANE_COUNT] = {"write", "sync", "log", "read"};
    CLEANUP(disk) struct disk *d = MEM_NEW(struct disk);
    char name[16];
    int r = 0;

    d->loop = loop;
    rng_seed(&d->rng, inline_seed);
    for (int i = 0; !inline_io && r == 0 && i < DISK_LANE_COUNT; i++) {
        (void)snprintf(name, sizeof(name), "dfs-%s-%u", names[i], number % 100);
        if (i == DISK_READER)
            r = worker_pool_new(name, READER_COUNT, &d->workers[i]);
        else
            r = worker_new(name, &d->workers[i]);
    }
    if (r < 0)
        return r;
    *ret_disk = STEAL(d);
    return 0;
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    while (d->job_count)
        loop_run_once(d->loop, true);
    loop_run_once(d->loop, false); /* Answers that the last ones posted. */
    for (int i = 0; i < DISK_LANE_COUNT; i++)
        worker_free(d->workers[i]);
    free(d);
}
