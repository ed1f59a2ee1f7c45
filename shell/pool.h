/* Jobs side by side on a few threads. Whoever submits waits when too many are under way. */
#ifndef SHELL_POOL_H
#define SHELL_POOL_H

struct pool;
typedef void (*pool_fn)(void *ctx, void *arg);

int pool_new(unsigned thread_count, struct pool **ret_pool);
/* Runs what was submitted. NULL is fine. */
void pool_free(struct pool *p);
void pool_submit(struct pool *p, pool_fn fn, void *ctx, void *arg);
/* Until everything that was submitted has run. */
void pool_wait(struct pool *p);

#endif
