/* The loop: order, time and lifetime are what every module above relies on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/loop.h"

struct fixture {
    struct loop *loop;
    struct loop_timer *timer;
    struct loop_io *io;
    int fds[2];
    int count;
    unsigned events;
    char trace[64];
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    assert_int_equal(loop_new(&f->loop), 0);
}

static void trace(struct fixture *f, const char *what)
{
    (void)strncat(f->trace, what, sizeof f->trace - strlen(f->trace) - 1);
}

static void say_a(void *ctx)
{
    trace(ctx, "a");
}

static void say_b(void *ctx)
{
    trace(ctx, "b");
}

static void say_and_stop(void *ctx)
{
    struct fixture *f = ctx;

    trace(f, "s");
    loop_stop(f->loop);
}

static void posted_calls_come_in_order_and_not_at_once(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    loop_post(f.loop, say_a, &f);
    loop_post(f.loop, say_b, &f);
    loop_post(f.loop, say_a, &f);
    loop_post(f.loop, say_and_stop, &f);
    assert_string_equal(f.trace, "");
    loop_run(f.loop);
    assert_string_equal(f.trace, "abas");
    loop_free(f.loop);
}

static void post_more(void *ctx)
{
    struct fixture *f = ctx;

    trace(f, "p");
    if (++f->count < 3)
        loop_post(f->loop, post_more, f);
    else
        loop_stop(f->loop);
}

static void a_posted_call_may_post(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    loop_post(f.loop, post_more, &f);
    loop_run(f.loop);
    assert_string_equal(f.trace, "ppp");
    loop_free(f.loop);
}

static void defer_a(void *ctx)
{
    struct fixture *f = ctx;

    trace(f, "d");
    loop_defer(f->loop, say_a, f);
}

/* Several events of one turn are gathered into one send: it must come after all of them. */
static void deferred_calls_end_the_turn(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    loop_post(f.loop, defer_a, &f);
    loop_post(f.loop, say_b, &f);
    loop_run_once(f.loop, true);
    assert_string_equal(f.trace, "dba");
    loop_free(f.loop);
}

static void a_deferred_call_that_defers_runs_in_the_same_turn(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    loop_defer(f.loop, defer_a, &f);
    loop_run_once(f.loop, true);
    assert_string_equal(f.trace, "da");
    loop_free(f.loop);
}

/* A timer at the very end of a turn must not strand what it defers. */
static void a_call_deferred_just_before_the_stop_still_runs(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    loop_stop(f.loop);
    loop_defer(f.loop, say_a, &f);
    loop_run(f.loop);
    loop_run_once(f.loop, false);
    assert_string_equal(f.trace, "a");
    loop_free(f.loop);
}

static void cancel_b(void *ctx)
{
    struct fixture *f = ctx;

    loop_cancel(f->loop, say_b, f);
}

static void cancelled_calls_do_not_come(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    loop_post(f.loop, say_a, &f);
    loop_post(f.loop, cancel_b, &f);
    loop_post(f.loop, say_b, &f); /* cancelled while its batch runs */
    loop_defer(f.loop, say_b, &f);
    loop_post(f.loop, say_and_stop, &f);
    loop_cancel(f.loop, say_b, NULL); /* another ctx: not these */
    loop_run(f.loop);
    assert_null(strchr(strchr(f.trace, 'a'), 'b'));
    loop_post(f.loop, say_b, &f);
    loop_cancel(f.loop, say_b, &f);
    f.trace[0] = '\0';
    loop_run_once(f.loop, false);
    assert_string_equal(f.trace, "");
    loop_free(f.loop);
}

static void timers_are_never_early(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    f.timer = loop_timer_new(f.loop, say_and_stop, &f);
    for (int i = 0; i < 5; i++) {
        uint64_t before = clock_monotonic_ns(clock_system());

        loop_timer_start(f.timer, 10, 0);
        assert_true(loop_timer_is_active(f.timer));
        loop_run(f.loop);
        assert_true(clock_monotonic_ns(clock_system()) - before >= 10 * CLOCK_NS_PER_MS);
        assert_false(loop_timer_is_active(f.timer));
    }
    loop_timer_free(f.timer);
    loop_free(f.loop);
}

static void tick(void *ctx)
{
    struct fixture *f = ctx;

    if (++f->count == 3) {
        loop_timer_free(f->timer);
        f->timer = NULL;
        loop_stop(f->loop);
    }
}

static void a_timer_may_free_itself(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    f.timer = loop_timer_new(f.loop, tick, &f);
    loop_timer_start(f.timer, 0, 1);
    loop_run(f.loop);
    assert_int_equal(f.count, 3);
    loop_run_once(f.loop, false);
    assert_int_equal(f.count, 3);
    loop_free(f.loop);
}

static void a_stopped_timer_stays_quiet(void **state)
{
    struct fixture f;
    struct loop_timer *other;

    (void)state;
    begin(&f);
    f.timer = loop_timer_new(f.loop, say_a, &f);
    other = loop_timer_new(f.loop, say_and_stop, &f);
    loop_timer_start(f.timer, 1, 0);
    loop_timer_start(other, 5, 0);
    loop_timer_stop(f.timer);
    loop_run(f.loop);
    assert_string_equal(f.trace, "s");
    loop_timer_free(f.timer);
    loop_timer_free(other);
    loop_timer_free(NULL);
    loop_free(f.loop);
}

static void on_ready(void *ctx, unsigned events)
{
    struct fixture *f = ctx;

    f->events |= events;
    f->count++;
    loop_stop(f->loop);
}

static void watch(struct fixture *f)
{
    begin(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->fds), 0);
    assert_int_equal(loop_io_new(f->loop, f->fds[0], on_ready, f, &f->io), 0);
}

static void descriptors_tell_what_is_wanted_only(void **state)
{
    struct fixture f;

    (void)state;
    watch(&f);
    assert_int_equal(fcntl(f.fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    loop_run_once(f.loop, false);
    assert_int_equal(f.events, 0);

    loop_io_want(f.io, LOOP_WRITE);
    loop_run(f.loop);
    assert_int_equal(f.events, LOOP_WRITE);

    f.events = 0;
    loop_io_want(f.io, LOOP_READ);
    loop_run_once(f.loop, false);
    assert_int_equal(f.events, 0);
    assert_int_equal(write(f.fds[1], "x", 1), 1);
    loop_run(f.loop);
    assert_int_equal(f.events, LOOP_READ);

    f.events = 0;
    loop_io_want(f.io, 0);
    loop_run_once(f.loop, false);
    assert_int_equal(f.events, 0);
    loop_io_free(f.io);
    (void)close(f.fds[0]);
    (void)close(f.fds[1]);
    loop_free(f.loop);
}

static void free_io(void *ctx, unsigned events)
{
    struct fixture *f = ctx;

    (void)events;
    loop_io_free(f->io);
    (void)close(f->fds[0]);
    loop_stop(f->loop);
}

static void a_descriptor_may_be_freed_and_closed_in_its_callback(void **state)
{
    struct fixture f;
    int again[2];
    struct loop_io *io;

    (void)state;
    begin(&f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f.fds), 0);
    assert_int_equal(loop_io_new(f.loop, f.fds[0], free_io, &f, &f.io), 0);
    loop_io_want(f.io, LOOP_WRITE);
    loop_run(f.loop);

    /* The number is free again: a new descriptor under it must not inherit anything. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, again), 0);
    assert_int_equal(again[0], f.fds[0]);
    assert_int_equal(loop_io_new(f.loop, again[0], on_ready, &f, &io), 0);
    loop_io_want(io, LOOP_WRITE);
    loop_run(f.loop);
    assert_int_equal(f.events, LOOP_WRITE);
    loop_io_free(io);
    (void)close(again[0]);
    (void)close(again[1]);
    (void)close(f.fds[1]);
    loop_free(f.loop);
}

static void the_end_of_the_other_side_shows_as_readable(void **state)
{
    struct fixture f;
    char c;

    (void)state;
    watch(&f);
    loop_io_want(f.io, LOOP_READ);
    (void)close(f.fds[1]);
    loop_run(f.loop);
    assert_int_equal(f.events, LOOP_READ);
    assert_int_equal(read(f.fds[0], &c, 1), 0);
    loop_io_free(f.io);
    (void)close(f.fds[0]);
    loop_free(f.loop);
}

/* libuv stops watching after an error; we must hear of it, and go on hearing until we act. */
static void an_error_wakes_who_waits_to_write(void **state)
{
    struct fixture f;
    int p[2];

    (void)state;
    begin(&f);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(loop_io_new(f.loop, p[1], on_ready, &f, &f.io), 0);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)close(p[0]);
    loop_io_want(f.io, LOOP_WRITE);
    for (int i = 0; i < 3; i++) {
        f.events = 0;
        loop_run(f.loop);
        assert_int_equal(f.events, LOOP_WRITE);
    }
    assert_true(write(p[1], "x", 1) < 0 && errno == EPIPE);
    loop_io_free(f.io);
    (void)close(p[1]);
    loop_free(f.loop);
}

static void a_plain_file_cannot_be_watched(void **state)
{
    struct fixture f;
    FILE *file = tmpfile();

    (void)state;
    begin(&f);
    assert_int_equal(loop_io_new(f.loop, fileno(file), on_ready, &f, &f.io), -EPERM);
    assert_null(f.io);
    (void)fclose(file);
    loop_free(f.loop);
}

static void on_signal(void *ctx, int signum)
{
    struct fixture *f = ctx;

    f->count = signum;
    loop_stop(f->loop);
}

static void signals_arrive_on_the_loop(void **state)
{
    struct fixture f;
    struct loop_signal *s = NULL;

    (void)state;
    begin(&f);
    assert_int_equal(loop_signal_new(f.loop, SIGUSR1, on_signal, &f, &s), 0);
    (void)raise(SIGUSR1);
    loop_run(f.loop);
    assert_int_equal(f.count, SIGUSR1);
    loop_signal_free(s);
    loop_free(f.loop);
}

static void time_stands_still_within_a_turn(void **state)
{
    struct fixture f;
    uint64_t t;

    (void)state;
    begin(&f);
    t = loop_now_ns(f.loop);
    (void)usleep(2000);
    assert_true(loop_now_ns(f.loop) == t);
    loop_run_once(f.loop, false);
    assert_true(loop_now_ns(f.loop) >= t + 2 * CLOCK_NS_PER_MS);
    loop_free(f.loop);
}

enum { POSTERS = 4, POSTS = 5000 };

struct poster {
    struct loop *loop;
    int next_expected;
    int done;
    struct posted {
        struct poster *poster;
        int number;
    } posts[POSTS];
};

static void on_posted(void *ctx)
{
    struct posted *p = ctx;

    assert_int_equal(p->number, p->poster->next_expected++);
}

static void *post_many(void *arg)
{
    struct poster *p = arg;

    for (int i = 0; i < POSTS; i++) {
        p->posts[i] = (struct posted){p, i};
        loop_post(p->loop, on_posted, &p->posts[i]);
    }
    return NULL;
}

/* From several threads: nothing lost, each thread's calls in its order. */
static void threads_post_without_loss_and_in_order(void **state)
{
    static struct poster posters[POSTERS];
    struct fixture f;
    pthread_t threads[POSTERS];
    int total;

    (void)state;
    begin(&f);
    for (int i = 0; i < POSTERS; i++) {
        posters[i].loop = f.loop;
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
    }
    do {
        loop_run_once(f.loop, true);
        total = 0;
        for (int i = 0; i < POSTERS; i++)
            total += posters[i].next_expected;
    } while (total < POSTERS * POSTS);
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(loop_is_own_thread(f.loop));
    loop_free(f.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posted_calls_come_in_order_and_not_at_once),
        cmocka_unit_test(a_posted_call_may_post),
        cmocka_unit_test(deferred_calls_end_the_turn),
        cmocka_unit_test(a_deferred_call_that_defers_runs_in_the_same_turn),
        cmocka_unit_test(a_call_deferred_just_before_the_stop_still_runs),
        cmocka_unit_test(cancelled_calls_do_not_come),
        cmocka_unit_test(timers_are_never_early),
        cmocka_unit_test(a_timer_may_free_itself),
        cmocka_unit_test(a_stopped_timer_stays_quiet),
        cmocka_unit_test(descriptors_tell_what_is_wanted_only),
        cmocka_unit_test(a_descriptor_may_be_freed_and_closed_in_its_callback),
        cmocka_unit_test(the_end_of_the_other_side_shows_as_readable),
        cmocka_unit_test(an_error_wakes_who_waits_to_write),
        cmocka_unit_test(a_plain_file_cannot_be_watched),
        cmocka_unit_test(signals_arrive_on_the_loop),
        cmocka_unit_test(time_stands_still_within_a_turn),
        cmocka_unit_test(threads_post_without_loss_and_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
