#include "common/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* Upper bounds 2^14 ns (16 us) to 2^35 ns (34 s); what is longer is in the count alone. */
enum { BUCKET_SHIFT_MIN = 14, BUCKET_COUNT = 22 };

struct metric {
    char *name;
    size_t base_len; /* of the name without labels */
    const char *help;
    enum metric_kind kind;
    _Atomic int64_t value; /* of a histogram: the count */
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t buckets[BUCKET_COUNT];
};

struct metrics {
    /* Any thread, under lock. */
    pthread_mutex_t lock;
    struct metric **items;
    size_t count, cap;
};

struct metrics *metrics_new(void)
{
    struct metrics *m = MEM_NEW(struct metrics);

    (void)pthread_mutex_init(&m->lock, NULL);
    return m;
}

void metrics_free(struct metrics *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->count; i++) {
        free(m->items[i]->name);
        free(m->items[i]);
    }
    free(m->items);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct metric *find_locked(const struct metrics *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++) {
        if (strcmp(m->items[i]->name, name) == 0)
            return m->items[i];
    }
    return NULL;
}

static struct metric *add_locked(struct metrics *m, const char *name, const char *help,
                                 enum metric_kind kind)
{
    struct metric *item = MEM_NEW(struct metric);

    item->name = mem_strdup(name);
    item->base_len = strcspn(name, "{");
    item->help = help;
    item->kind = kind;
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 32 : m->cap * 2;
        m->items = mem_realloc(m->items, m->cap, sizeof *m->items);
    }
    m->items[m->count++] = item;
    return item;
}

static struct metric *metric_for(struct metrics *m, const char *name, const char *help,
                                 enum metric_kind kind)
{
    struct metric *item;

    if (m == NULL)
        return NULL;
    (void)pthread_mutex_lock(&m->lock);
    item = find_locked(m, name);
    if (item == NULL)
        item = add_locked(m, name, help, kind);
    (void)pthread_mutex_unlock(&m->lock);
    return item;
}

struct metric *metrics_counter(struct metrics *m, const char *name, const char *help)
{
    return metric_for(m, name, help, METRIC_COUNTER);
}

struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help)
{
    return metric_for(m, name, help, METRIC_GAUGE);
}

struct metric *metrics_histogram(struct metrics *m, const char *name, const char *help)
{
    return metric_for(m, name, help, METRIC_HISTOGRAM);
}

void metric_add(struct metric *c, uint64_t n)
{
    if (c != NULL)
        (void)atomic_fetch_add_explicit(&c->value, (int64_t)n, memory_order_relaxed);
}

void metric_set(struct metric *g, int64_t v)
{
    if (g != NULL)
        atomic_store_explicit(&g->value, v, memory_order_relaxed);
}

/* The first bucket whose bound is not below ns; BUCKET_COUNT: none. */
static unsigned bucket_of(uint64_t ns)
{
    unsigned shift = ns <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(ns - 1);

    if (shift <= BUCKET_SHIFT_MIN)
        return 0;
    return MIN(shift - BUCKET_SHIFT_MIN, (unsigned)BUCKET_COUNT);
}

void metric_observe_ns(struct metric *h, uint64_t ns)
{
    unsigned bucket;

    if (h == NULL)
        return;
    bucket = bucket_of(ns);
    if (bucket < BUCKET_COUNT)
        (void)atomic_fetch_add_explicit(&h->buckets[bucket], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&h->sum_ns, ns, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&h->value, 1, memory_order_relaxed);
}

static bool same_base(const struct metric *a, const struct metric *b)
{
    return a->base_len == b->base_len && strncmp(a->name, b->name, a->base_len) == 0;
}

static const char *kind_text(enum metric_kind kind)
{
    switch (kind) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    return "untyped";
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* name_bucket{labels,le="..."}: the labels of the name, without their braces, come along. */
static void render_histogram(const struct metric *h, struct buf *out)
{
    const char *labels = h->name + h->base_len;
    int base_len = (int)h->base_len;
    int inner_len = labels[0] == '{' ? (int)strlen(labels) - 2 : 0;
    const char *inner = inner_len > 0 ? labels + 1 : "";
    const char *comma = inner_len > 0 ? "," : "";
    int64_t count = atomic_load(&h->value);
    uint64_t sum = 0;

    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        sum += atomic_load(&h->buckets[i]);
        buf_printf(out, "%.*s_bucket{%.*s%sle=\"%.9g\"} %" PRIu64 "\n", base_len, h->name,
                   inner_len, inner, comma, seconds(UINT64_C(1) << (i + BUCKET_SHIFT_MIN)), sum);
    }
    count = MAX(count, (int64_t)sum); /* Another thread may be between its two additions. */
    buf_printf(out, "%.*s_bucket{%.*s%sle=\"+Inf\"} %" PRId64 "\n", base_len, h->name, inner_len,
               inner, comma, count);
    buf_printf(out, "%.*s_sum%s %.9g\n", base_len, h->name, labels,
               seconds(atomic_load(&h->sum_ns)));
    buf_printf(out, "%.*s_count%s %" PRId64 "\n", base_len, h->name, labels, count);
}

static void render_one(const struct metric *item, struct buf *out)
{
    if (item->kind == METRIC_HISTOGRAM)
        render_histogram(item, out);
    else
        buf_printf(out, "%s %" PRId64 "\n", item->name, atomic_load(&item->value));
}

static bool is_first_of_base(const struct metrics *m, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (same_base(m->items[i], m->items[index]))
            return false;
    }
    return true;
}

void metrics_render(struct metrics *m, struct buf *out)
{
    (void)pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->count; i++) {
        const struct metric *first = m->items[i];

        if (!is_first_of_base(m, i))
            continue;
        buf_printf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)first->base_len, first->name,
                   first->help, (int)first->base_len, first->name, kind_text(first->kind));
        for (size_t k = i; k < m->count; k++) {
            if (same_base(m->items[k], first))
                render_one(m->items[k], out);
        }
    }
    (void)pthread_mutex_unlock(&m->lock);
}

int64_t metrics_read(struct metrics *m, const char *name)
{
    const struct metric *item;

    if (m == NULL)
        return 0;
    (void)pthread_mutex_lock(&m->lock);
    item = find_locked(m, name);
    (void)pthread_mutex_unlock(&m->lock);
    return item == NULL ? 0 : atomic_load(&item->value);
}
