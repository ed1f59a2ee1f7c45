#include "shell/pool.h"

#include <semaphore.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/worker.h"

enum { JOBS_MAX = 256 };

struct pool {
    struct worker *worker;
    sem_t slots;
};

struct job {
    struct work work;
    struct pool *pool;
    pool_fn fn;
    void *ctx, *arg;
};

int pool_new(unsigned thread_count, struct pool **ret_pool)
{
    struct pool *p = MEM_NEW(struct pool);
    int r = worker_pool_new("dfs-job", thread_count, &p->worker);

    if (r < 0) {
        free(p);
        return r;
    }
    sem_init(&p->slots, 0, JOBS_MAX);
    *ret_pool = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    worker_free(p->worker);
    sem_destroy(&p->slots);
    free(p);
}

static void run(struct work *work)
{
    struct job *j = CONTAINER_OF(work, struct job, work);
    struct pool *p = j->pool;

    j->fn(j->ctx, j->arg);
    free(j);
    sem_post(&p->slots);
}

static void take_slot(struct pool *p)
{
    while (sem_wait(&p->slots) < 0)
        ;
}

void pool_submit(struct pool *p, pool_fn fn, void *ctx, void *arg)
{
    struct job *j;

    take_slot(p);
    j = MEM_NEW(struct job);
    *j = (struct job){.work = {.run = run}, .pool = p, .fn = fn, .ctx = ctx, .arg = arg};
    worker_submit(p->worker, &j->work);
}

void pool_wait(struct pool *p)
{
    for (int i = 0; i < JOBS_MAX; i++)
        take_slot(p);
    for (int i = 0; i < JOBS_MAX; i++)
        sem_post(&p->slots);
}
