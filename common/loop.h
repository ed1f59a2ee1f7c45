/*
 * The event loop, and the only door to libuv. One loop belongs to one thread; everything here is
 * called on that thread unless it says "any thread". Callbacks run on it, never from inside the
 * call that asked for them.
 *
 * A turn: timers, then sockets and posted calls, then deferred calls (loop_defer), then sleep.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"

struct loop;
struct loop_timer;
struct loop_io;
struct loop_signal;

typedef void (*loop_fn)(void *ctx);

/* Never fails but with -EMFILE, -ENFILE or -ENOMEM. */
int loop_new(struct loop **ret_loop);

/*
 * After timers, ios and signals on it were freed and worker threads that post to it were joined.
 * What was posted and has not run is dropped: call loop_run_once(loop, false) before if it
 * matters. Waits for lookups that have begun. NULL is fine.
 */
void loop_free(struct loop *loop);
DEFINE_CLEANUP(loop, loop_free)

/* Runs until loop_stop(). The calling thread becomes the loop's thread. */
void loop_run(struct loop *loop);

/* One turn; with wait it sleeps until something happens. For tests and for shutting down. */
void loop_run_once(struct loop *loop, bool wait);

/* loop_run() returns at the end of this turn; called before it, at once. On the loop's thread. */
void loop_stop(struct loop *loop);

/* CLOCK_MONOTONIC, read once a turn: cheap. */
uint64_t loop_now_ns(struct loop *loop);

/*
 * Calls fn(ctx) on the loop's thread, in the order of the calls. Any thread, also the loop's own.
 * No allocation per call, one wake-up per batch.
 */
void loop_post(struct loop *loop, loop_fn fn, void *ctx);

/*
 * Calls fn(ctx) at the end of this turn, before the loop sleeps: to gather what several events of
 * one turn want to send or write. In order; what a deferred call defers runs in the same turn.
 */
void loop_defer(struct loop *loop, loop_fn fn, void *ctx);

/* Forgets all deferred and posted calls with this fn and ctx that have not run yet. */
void loop_cancel(struct loop *loop, loop_fn fn, void *ctx);

/* True on the thread that runs (or made, before the first run) the loop: for assertions. */
bool loop_is_own_thread(const struct loop *loop);

/* ---- timers: never early, at most ~1 ms late ---- */

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *ctx);
/* The callback does not come any more. Also inside it. NULL is fine. */
void loop_timer_free(struct loop_timer *t);
DEFINE_CLEANUP(loop_timer, loop_timer_free)

/* Fires after ms, then every repeat_ms (0: once). Started again, the old time is forgotten. */
void loop_timer_start(struct loop_timer *t, uint64_t ms, uint64_t repeat_ms);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_is_active(const struct loop_timer *t);

/* ---- file descriptors ---- */

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2 };

/*
 * What is ready, level-triggered. After an error on the descriptor: all that is wanted, so that
 * the next read or write finds the error.
 */
typedef void (*loop_io_fn)(void *ctx, unsigned events);

/*
 * Watches fd, which is made non-blocking and remains the caller's. Wants nothing at first.
 * -EPERM  not a descriptor that can be polled (a plain file)
 */
int loop_io_new(struct loop *loop, int fd, loop_io_fn fn, void *ctx, struct loop_io **ret_io);

/* Also inside its own callback. The descriptor may be closed right after. NULL is fine. */
void loop_io_free(struct loop_io *io);
DEFINE_CLEANUP(loop_io, loop_io_free)

/* A set of enum loop_events, 0 for none. Costs nothing when it is what was wanted before. */
void loop_io_want(struct loop_io *io, unsigned events);

/* ---- host names ---- */

struct addrinfo;
struct loop_lookup;

/* status 0 and the addresses for TCP, which fn must give to freeaddrinfo(); or -EHOSTUNREACH, NULL.
 */
typedef void (*loop_lookup_fn)(void *ctx, int status, struct addrinfo *list);

/* Asks for a host's addresses on a thread of libuv's: DNS may take seconds. */
int loop_lookup_new(struct loop *loop, const char *host, uint16_t port, loop_lookup_fn fn,
                    void *ctx, struct loop_lookup **ret_lookup);
/* Only before fn was called, which does not come any more. NULL is fine. */
void loop_lookup_cancel(struct loop_lookup *l);

/* ---- signals ---- */

typedef void (*loop_signal_fn)(void *ctx, int signum);

/* Several for one signal are all called. */
int loop_signal_new(struct loop *loop, int signum, loop_signal_fn fn, void *ctx,
                    struct loop_signal **ret_signal);
void loop_signal_free(struct loop_signal *s);
DEFINE_CLEANUP(loop_signal, loop_signal_free)

#endif
