#include "common/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"

enum { THREAD_NAME_SIZE = 16 }; /* The kernel's, with the NUL. */

struct worker {
    char name[THREAD_NAME_SIZE];
    _Atomic size_t queued; /* waiting or running */

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct work *first, *last;
    bool stopping;

    unsigned thread_count;
    pthread_t threads[];
};

static void post_done(void *ctx)
{
    struct work *work = ctx;

    work->done(work);
}

static void run_one(struct worker *w, struct work *work)
{
    /* Nothing of it may be touched after the run of one nobody waits for, or after the post. */
    struct loop *loop = work->done == NULL ? NULL : work->loop;

    work->run(work);
    (void)atomic_fetch_sub(&w->queued, 1);
    if (loop != NULL)
        loop_post(loop, post_done, work);
}

/* The whole queue for a single thread, one job for one of several. NULL: time to end. */
static struct work *wait_for_work(struct worker *w)
{
    struct work *list;

    (void)pthread_mutex_lock(&w->lock);
    while (w->first == NULL && !w->stopping)
        (void)pthread_cond_wait(&w->wake, &w->lock);
    list = w->first;
    if (list != NULL) {
        w->first = w->thread_count == 1 ? NULL : list->next;
        if (w->first == NULL)
            w->last = NULL;
        if (w->thread_count > 1)
            list->next = NULL;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return list;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct work *list;

    while ((list = wait_for_work(w)) != NULL) {
        while (list != NULL) {
            struct work *work = list;

            list = work->next;
            run_one(w, work);
        }
    }
    return NULL;
}

static void stop_and_join(struct worker *w, unsigned thread_count)
{
    (void)pthread_mutex_lock(&w->lock);
    w->stopping = true;
    (void)pthread_cond_broadcast(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < thread_count; i++)
        (void)pthread_join(w->threads[i], NULL);
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

static int start_thread(struct worker *w, unsigned index)
{
    char name[THREAD_NAME_SIZE + 16];
    sigset_t all, before;
    int r;

    /* Signals are the loop's business. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&w->threads[index], NULL, worker_main, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return -r;

    if (w->thread_count == 1)
        (void)snprintf(name, THREAD_NAME_SIZE, "%s", w->name);
    else
        (void)snprintf(name, THREAD_NAME_SIZE, "%.11s-%u", w->name, index);
    (void)pthread_setname_np(w->threads[index], name);
    return 0;
}

int worker_pool_new(const char *name, unsigned thread_count, struct worker **ret_worker)
{
    struct worker *w;

    assert(thread_count > 0);
    w = mem_zalloc(1, sizeof *w + thread_count * sizeof w->threads[0]);
    w->thread_count = thread_count;
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->wake, NULL);
    for (unsigned i = 0; i < thread_count; i++) {
        int r = start_thread(w, i);

        if (r < 0) {
            stop_and_join(w, i);
            return r;
        }
    }
    *ret_worker = w;
    return 0;
}

int worker_new(const char *name, struct worker **ret_worker)
{
    return worker_pool_new(name, 1, ret_worker);
}

void worker_free(struct worker *w)
{
    if (w != NULL)
        stop_and_join(w, w->thread_count);
}

void worker_submit(struct worker *w, struct work *work)
{
    size_t queued_before;

    assert(work->done == NULL || work->loop != NULL);
    queued_before = atomic_fetch_add(&w->queued, 1);
    assert(queued_before < WORKER_QUEUE_MAX);
    (void)queued_before;
    work->next = NULL;
    (void)pthread_mutex_lock(&w->lock);
    if (w->last == NULL)
        w->first = work;
    else
        w->last->next = work;
    w->last = work;
    (void)pthread_mutex_unlock(&w->lock);
    /* Not under the lock: who wakes up would only go to sleep again, waiting for it. */
    (void)pthread_cond_signal(&w->wake);
}

size_t worker_queued(const struct worker *w)
{
    return atomic_load(&w->queued);
}
