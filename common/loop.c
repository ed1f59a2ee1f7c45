/*
 * A thin cover over libuv: what callers post or defer is kept in plain arrays, so that neither
 * costs an allocation or a system call each.
 */
#include "common/loop.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <uv.h>

#include "common/mem.h"

struct call {
    loop_fn fn; /* NULL: cancelled */
    void *ctx;
};

struct call_list {
    struct call *items;
    size_t count, cap;
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t before_sleep;
    uv_check_t after_poll;
    _Atomic pthread_t thread;

    /* Loop thread only. */
    bool stopped;
    uint64_t now_ns; /* 0: to be read */
    struct call_list deferred;
    struct call_list running_deferred;
    struct call_list running_posted;
    unsigned lookup_count;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    struct call_list posted;
};

static void calls_add(struct call_list *l, loop_fn fn, void *ctx)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 64 : l->cap * 2;
        l->items = mem_realloc(l->items, l->cap, sizeof *l->items);
    }
    l->items[l->count++] = (struct call){fn, ctx};
}

static void calls_cancel(struct call_list *l, loop_fn fn, const void *ctx)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].fn == fn && l->items[i].ctx == ctx)
            l->items[i].fn = NULL;
    }
}

static void calls_swap(struct call_list *a, struct call_list *b)
{
    struct call_list t = *a;

    *a = *b;
    *b = t;
}

/* While it runs, others may cancel what is still in the list, but not add to it. */
static void calls_run(struct call_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct call call = l->items[i];

        l->items[i].fn = NULL;
        if (call.fn != NULL)
            call.fn(call.ctx);
    }
    l->count = 0;
}

static void run_deferred(struct loop *loop)
{
    while (loop->deferred.count > 0) {
        calls_swap(&loop->deferred, &loop->running_deferred);
        calls_run(&loop->running_deferred);
    }
}

static void on_wake(uv_async_t *handle)
{
    struct loop *loop = handle->data;

    (void)pthread_mutex_lock(&loop->lock);
    calls_swap(&loop->posted, &loop->running_posted);
    (void)pthread_mutex_unlock(&loop->lock);
    calls_run(&loop->running_posted);
}

static void on_before_sleep(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;

    run_deferred(loop);
    loop->now_ns = 0;
}

static void on_after_poll(uv_check_t *handle)
{
    struct loop *loop = handle->data;

    run_deferred(loop);
    loop->now_ns = 0;
}

int loop_new(struct loop **ret_loop)
{
    struct loop *loop = MEM_NEW(struct loop);
    int r;

    r = uv_loop_init(&loop->uv);
    if (r < 0) {
        free(loop);
        return r;
    }
    r = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (r < 0) {
        (void)uv_loop_close(&loop->uv);
        free(loop);
        return r;
    }
    (void)uv_prepare_init(&loop->uv, &loop->before_sleep);
    (void)uv_check_init(&loop->uv, &loop->after_poll);
    loop->wake.data = loop;
    loop->before_sleep.data = loop;
    loop->after_poll.data = loop;
    (void)uv_prepare_start(&loop->before_sleep, on_before_sleep);
    (void)uv_check_start(&loop->after_poll, on_after_poll);
    (void)pthread_mutex_init(&loop->lock, NULL);
    atomic_store(&loop->thread, pthread_self());
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    loop->deferred.count = 0;
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->before_sleep, NULL);
    uv_close((uv_handle_t *)&loop->after_poll, NULL);
    while (loop->lookup_count > 0)
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    /* Two turns: what was freed before closes in the first. */
    for (int i = 0; i < 2; i++)
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    if (uv_loop_close(&loop->uv) < 0)
        assert(false && "a timer, io or signal outlives its loop");
    (void)pthread_mutex_destroy(&loop->lock);
    free(loop->deferred.items);
    free(loop->running_deferred.items);
    free(loop->running_posted.items);
    free(loop->posted.items);
    free(loop);
}

void loop_run(struct loop *loop)
{
    atomic_store(&loop->thread, pthread_self());
    while (!loop->stopped)
        loop_run_once(loop, true);
    loop->stopped = false;
}

void loop_run_once(struct loop *loop, bool wait)
{
    atomic_store(&loop->thread, pthread_self());
    loop->now_ns = 0;
    if (loop->deferred.count > 0)
        wait = false; /* They are this turn's event. */
    (void)uv_run(&loop->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    run_deferred(loop); /* In this mode libuv ends with timers that came due meanwhile. */
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

uint64_t loop_now_ns(struct loop *loop)
{
    if (loop->now_ns == 0)
        loop->now_ns = uv_hrtime(); /* CLOCK_MONOTONIC on Linux. */
    return loop->now_ns;
}

void loop_post(struct loop *loop, loop_fn fn, void *ctx)
{
    bool first;

    (void)pthread_mutex_lock(&loop->lock);
    first = loop->posted.count == 0;
    calls_add(&loop->posted, fn, ctx);
    (void)pthread_mutex_unlock(&loop->lock);
    if (first)
        (void)uv_async_send(&loop->wake);
}

void loop_defer(struct loop *loop, loop_fn fn, void *ctx)
{
    calls_add(&loop->deferred, fn, ctx);
}

void loop_cancel(struct loop *loop, loop_fn fn, void *ctx)
{
    calls_cancel(&loop->deferred, fn, ctx);
    calls_cancel(&loop->running_deferred, fn, ctx);
    calls_cancel(&loop->running_posted, fn, ctx);
    (void)pthread_mutex_lock(&loop->lock);
    calls_cancel(&loop->posted, fn, ctx);
    (void)pthread_mutex_unlock(&loop->lock);
}

bool loop_is_own_thread(const struct loop *loop)
{
    return pthread_equal(atomic_load(&loop->thread), pthread_self()) != 0;
}

/* ---- timers ---- */

struct loop_timer {
    uv_timer_t uv;
    loop_fn fn;
    void *ctx;
};

static void free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
    struct loop_timer *t = handle->data;

    t->fn(t->ctx);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *ctx)
{
    struct loop_timer *t = MEM_NEW(struct loop_timer);

    t->fn = fn;
    t->ctx = ctx;
    (void)uv_timer_init(&loop->uv, &t->uv);
    t->uv.data = t;
    return t;
}

void loop_timer_free(struct loop_timer *t)
{
    if (t != NULL)
        uv_close((uv_handle_t *)&t->uv, free_handle);
}

void loop_timer_start(struct loop_timer *t, uint64_t ms, uint64_t repeat_ms)
{
    /*
     * libuv counts in whole milliseconds from a time it read when the turn began. Read it anew, and
     * go one further, since what is cut off would make the timer early.
     */
    uv_update_time(t->uv.loop);
    (void)uv_timer_start(&t->uv, on_timer, ms == 0 ? 0 : ms + 1, repeat_ms);
}

void loop_timer_stop(struct loop_timer *t)
{
    (void)uv_timer_stop(&t->uv);
}

bool loop_timer_is_active(const struct loop_timer *t)
{
    return uv_is_active((const uv_handle_t *)&t->uv) != 0;
}

/* ---- file descriptors ---- */

struct loop_io {
    uv_poll_t uv;
    loop_io_fn fn;
    void *ctx;
    unsigned want;
    bool freed;
    bool failed; /* libuv has stopped watching because of an error on the descriptor */
};

static void on_io(uv_poll_t *handle, int status, int events);

static void io_watch(struct loop_io *io)
{
    int events =
        (io->want & LOOP_READ ? UV_READABLE : 0) | (io->want & LOOP_WRITE ? UV_WRITABLE : 0);

    io->failed = false;
    if (events == 0)
        (void)uv_poll_stop(&io->uv);
    else
        (void)uv_poll_start(&io->uv, events, on_io);
}

static void on_io(uv_poll_t *handle, int status, int events)
{
    struct loop_io *io = handle->data;
    unsigned ready =
        (events & UV_READABLE ? LOOP_READ : 0u) | (events & UV_WRITABLE ? LOOP_WRITE : 0u);

    if (status < 0) {
        io->failed = true;
        ready = io->want;
    }
    ready &= io->want;
    if (ready == 0)
        return;
    /* A free inside the callback closes at once; the memory stays until libuv's close callback. */
    io->fn(io->ctx, ready);
    if (io->failed && !io->freed)
        io_watch(io);
}

int loop_io_new(struct loop *loop, int fd, loop_io_fn fn, void *ctx, struct loop_io **ret_io)
{
    struct loop_io *io = MEM_NEW(struct loop_io);
    int r = uv_poll_init(&loop->uv, &io->uv, fd);

    if (r < 0) {
        free(io);
        return r;
    }
    io->fn = fn;
    io->ctx = ctx;
    io->uv.data = io;
    *ret_io = io;
    return 0;
}

void loop_io_free(struct loop_io *io)
{
    if (io == NULL)
        return;
    io->freed = true;
    uv_close((uv_handle_t *)&io->uv, free_handle); /* Leaves epoll now, not in the callback. */
}

void loop_io_want(struct loop_io *io, unsigned events)
{
    if (io->want == events && !io->failed)
        return;
    io->want = events;
    io_watch(io);
}

/* ---- host names ---- */

struct loop_lookup {
    uv_getaddrinfo_t uv;
    struct loop *loop;
    loop_lookup_fn fn; /* NULL: cancelled */
    void *ctx;
};

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct loop_lookup *l = req->data;

    l->loop->lookup_count--;
    if (l->fn != NULL)
        l->fn(l->ctx, status == 0 ? 0 : -EHOSTUNREACH, list);
    else
        uv_freeaddrinfo(list);
    free(l);
}

int loop_lookup_new(struct loop *loop, const char *host, uint16_t port, loop_lookup_fn fn,
                    void *ctx, struct loop_lookup **ret_lookup)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct loop_lookup *l = MEM_NEW(struct loop_lookup);
    char port_text[8];
    int r;

    l->loop = loop;
    l->fn = fn;
    l->ctx = ctx;
    l->uv.data = l;
    (void)snprintf(port_text, sizeof port_text, "%u", port);
    r = uv_getaddrinfo(&loop->uv, &l->uv, on_lookup, host, port_text, &hints);
    if (r < 0) {
        free(l);
        return r;
    }
    loop->lookup_count++;
    *ret_lookup = l;
    return 0;
}

void loop_lookup_cancel(struct loop_lookup *l)
{
    if (l == NULL)
        return;
    l->fn = NULL;
    (void)uv_cancel((uv_req_t *)&l->uv); /* Either way on_lookup() comes, and frees. */
}

/* ---- signals ---- */

struct loop_signal {
    uv_signal_t uv;
    loop_signal_fn fn;
    void *ctx;
};

static void on_signal(uv_signal_t *handle, int signum)
{
    struct loop_signal *s = handle->data;

    s->fn(s->ctx, signum);
}

int loop_signal_new(struct loop *loop, int signum, loop_signal_fn fn, void *ctx,
                    struct loop_signal **ret_signal)
{
    struct loop_signal *s = MEM_NEW(struct loop_signal);
    int r;

    s->fn = fn;
    s->ctx = ctx;
    r = uv_signal_init(&loop->uv, &s->uv);
    if (r < 0) {
        free(s);
        return r;
    }
    s->uv.data = s;
    r = uv_signal_start(&s->uv, on_signal, signum);
    if (r < 0) {
        loop_signal_free(s);
        return r;
    }
    *ret_signal = s;
    return 0;
}

void loop_signal_free(struct loop_signal *s)
{
    if (s != NULL)
        uv_close((uv_handle_t *)&s->uv, free_handle);
}
