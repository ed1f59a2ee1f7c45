/*
 * What a program counts, as Prometheus text. Metrics are registered at the start and then changed
 * from any thread without a lock; they live as long as their struct metrics.
 *
 * A name may carry labels: metrics_counter(m, "dfs_rpc_total{type=\"META\"}", "requests served").
 * Names say their unit: _total for counters, _seconds, _bytes.
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stdint.h>

#include "common/compiler.h"

struct buf;
struct metric;
struct metrics;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);
DEFINE_CLEANUP(metrics, metrics_free)

/*
 * The same name twice gives the same metric. help belongs to the name without labels; static
 * storage. A NULL m gives NULL, which metric_add() and its like ignore, so that modules need not
 * ask whether anybody counts.
 */
struct metric *metrics_counter(struct metrics *m, const char *name, const char *help);
struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help);
/* Durations: given in nanoseconds, shown in seconds, in powers of two from 16 us to 34 s. */
struct metric *metrics_histogram(struct metrics *m, const char *name, const char *help);

void metric_add(struct metric *c, uint64_t n);
static inline void metric_inc(struct metric *c)
{
    metric_add(c, 1);
}
void metric_set(struct metric *g, int64_t v);
void metric_observe_ns(struct metric *h, uint64_t ns);

/* All, in order of registration, grouped by name. */
void metrics_render(struct metrics *m, struct buf *out);
/* The value of a counter or gauge, the count of a histogram; 0 when there is none. For tests and
 * status replies. */
int64_t metrics_read(struct metrics *m, const char *name);

#endif
