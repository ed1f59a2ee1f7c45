/*
 * Threads for what would block the loop: disk, hashing, waiting. A worker owns nothing but the job
 * in its hands: it gets it by queue and answers on a loop.
 *
 *   loop thread                     worker thread
 *   worker_submit(w, &op->work) ──► work->run(work)
 *   work->done(work)            ◄── loop_post
 */
#ifndef COMMON_WORKER_H
#define COMMON_WORKER_H

#include <stddef.h>

#include "common/compiler.h"

struct loop;
struct worker;

/*
 * One job, a member of the struct that describes it (CONTAINER_OF), so that nothing is allocated.
 * Untouched by the caller from submit until done is called; zero it before the first use.
 */
struct work {
    void (*run)(struct work *work);  /* on the worker's thread */
    void (*done)(struct work *work); /* on loop's thread; NULL: nobody waits, run may free it */
    struct loop *loop;               /* NULL only when done is NULL */
    struct work *next;               /* the worker's */
};

/* One thread, named for the debugger (15 characters). Jobs run one after the other, in order. */
int worker_new(const char *name, struct worker **ret_worker);

/* thread_count threads on one queue ("name-0" ...): jobs start in order, but run side by side. */
int worker_pool_new(const char *name, unsigned thread_count, struct worker **ret_worker);

/*
 * Runs what is queued, then joins the threads. The done calls have then been posted; the loop
 * still has to run them: loop_run_once(loop, false). NULL is fine.
 */
void worker_free(struct worker *w);
DEFINE_CLEANUP(worker, worker_free)

/*
 * Any thread. The caller limits what it has in flight; more than WORKER_QUEUE_MAX jobs
 * (common/limits.h) waiting is a mistake of ours and asserted.
 */
void worker_submit(struct worker *w, struct work *work);

/* Jobs waiting or running. Any thread; a moment's view, for metrics and back-pressure. */
size_t worker_queued(const struct worker *w);

#endif
