/* Worker threads: jobs in order, answers on the loop, nothing lost at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "common/worker.h"

enum { JOBS = 2000 };

struct job {
    struct work work; /* first */
    int number;
    pthread_t ran_on;
    char name[16];
    struct tally *tally;
};

struct tally {
    struct loop *loop;
    int next_run; /* worker's thread only (one thread) */
    int done;     /* loop's thread only */
    _Atomic int ran;
    bool ordered;
};

static void run(struct work *work)
{
    struct job *j = (struct job *)work;

    j->ran_on = pthread_self();
    (void)pthread_getname_np(pthread_self(), j->name, sizeof j->name);
    if (j->tally->ordered && j->number != j->tally->next_run++)
        abort();
    (void)atomic_fetch_add(&j->tally->ran, 1);
}

static void done(struct work *work)
{
    struct job *j = (struct job *)work;

    assert_true(loop_is_own_thread(j->tally->loop));
    if (j->tally->ordered)
        assert_int_equal(j->number, j->tally->done);
    j->tally->done++;
}

static struct job *jobs_new(struct tally *t)
{
    struct job *jobs = calloc(JOBS, sizeof *jobs);

    for (int i = 0; i < JOBS; i++)
        jobs[i] = (struct job){
            .work = {.run = run, .done = done, .loop = t->loop}, .number = i, .tally = t};
    return jobs;
}

static void jobs_run_in_order_off_the_loop(void **state)
{
    struct tally t = {.ordered = true};
    struct worker *w = NULL;
    struct job *jobs;

    (void)state;
    assert_int_equal(loop_new(&t.loop), 0);
    jobs = jobs_new(&t);
    assert_int_equal(worker_new("dfs-disk-0", &w), 0);
    for (int i = 0; i < JOBS; i++)
        worker_submit(w, &jobs[i].work);
    while (t.done < JOBS)
        loop_run_once(t.loop, true);
    assert_int_equal(worker_queued(w), 0);
    assert_false(pthread_equal(jobs[0].ran_on, pthread_self()));
    assert_string_equal(jobs[0].name, "dfs-disk-0");
    worker_free(w);
    loop_free(t.loop);
    free(jobs);
}

static void a_finished_job_may_be_submitted_again(void **state)
{
    struct tally t = {0};
    struct worker *w = NULL;
    struct job *jobs;

    (void)state;
    assert_int_equal(loop_new(&t.loop), 0);
    jobs = jobs_new(&t);
    assert_int_equal(worker_new("again", &w), 0);
    for (int i = 0; i < 100; i++) {
        worker_submit(w, &jobs[0].work);
        while (t.done == i)
            loop_run_once(t.loop, true);
    }
    assert_int_equal(t.ran, 100);
    worker_free(w);
    loop_free(t.loop);
    free(jobs);
}

/* Shutting down: a queued write must not vanish without having been tried. */
static void the_end_waits_for_what_is_queued(void **state)
{
    struct tally t = {.ordered = true};
    struct worker *w = NULL;
    struct job *jobs;

    (void)state;
    assert_int_equal(loop_new(&t.loop), 0);
    jobs = jobs_new(&t);
    assert_int_equal(worker_new("ending", &w), 0);
    for (int i = 0; i < JOBS; i++)
        worker_submit(w, &jobs[i].work);
    worker_free(w);
    assert_int_equal(t.ran, JOBS);
    loop_run_once(t.loop, false);
    assert_int_equal(t.done, JOBS);
    loop_free(t.loop);
    free(jobs);
    worker_free(NULL);
}

static void a_pool_shares_the_work(void **state)
{
    struct tally t = {0};
    struct worker *w = NULL;
    struct job *jobs;

    (void)state;
    assert_int_equal(loop_new(&t.loop), 0);
    jobs = jobs_new(&t);
    assert_int_equal(worker_pool_new("dfs-pool-long-name", 3, &w), 0);
    for (int i = 0; i < JOBS; i++)
        worker_submit(w, &jobs[i].work);
    while (t.done < JOBS)
        loop_run_once(t.loop, true);
    assert_int_equal(t.ran, JOBS);
    assert_int_equal(strncmp(jobs[0].name, "dfs-pool-lo", 11), 0);
    worker_free(w);
    loop_free(t.loop);
    free(jobs);
}

static _Atomic int freed_count;

static void run_and_free(struct work *work)
{
    free(work);
    (void)atomic_fetch_add(&freed_count, 1);
}

static void a_job_nobody_waits_for_may_free_itself(void **state)
{
    struct worker *w = NULL;

    (void)state;
    assert_int_equal(worker_new("freeing", &w), 0);
    for (int i = 0; i < 100; i++) {
        struct work *work = calloc(1, sizeof *work);

        work->run = run_and_free;
        worker_submit(w, work);
    }
    worker_free(w);
    assert_int_equal(freed_count, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_order_off_the_loop),
        cmocka_unit_test(a_finished_job_may_be_submitted_again),
        cmocka_unit_test(the_end_waits_for_what_is_queued),
        cmocka_unit_test(a_pool_shares_the_work),
        cmocka_unit_test(a_job_nobody_waits_for_may_free_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
