#include "common/slab.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/limits.h"
#include "common/mem.h"

enum { PAGE = 4096, CLASS_COUNT = 4 };

/* Each with a page more than the data, for the CRC table or what else travels along. */
static const size_t class_sizes[CLASS_COUNT] = {
    (4 << 10) + PAGE,
    (64 << 10) + PAGE,
    (256 << 10) + PAGE,
    (1 << 20) + PAGE,
};

struct slab_pool {
    size_t keep_bytes_max;

    /* Any thread, under lock. */
    pthread_mutex_t lock;
    struct slab *kept[CLASS_COUNT];
    struct slab_stats stats;
};

struct slab_pool *slab_pool_new(size_t keep_bytes_max)
{
    struct slab_pool *p = MEM_NEW(struct slab_pool);

    p->keep_bytes_max = keep_bytes_max;
    (void)pthread_mutex_init(&p->lock, NULL);
    return p;
}

static void slab_release(struct slab *s)
{
    free(s->data);
    free(s);
}

void slab_pool_free(struct slab_pool *p)
{
    if (p == NULL)
        return;
    assert(p->stats.used_count == 0);
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        while (p->kept[c] != NULL) {
            struct slab *s = p->kept[c];

            p->kept[c] = s->next;
            slab_release(s);
        }
    }
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}

static struct slab *slab_make(struct slab_pool *p, unsigned size_class)
{
    struct slab *s = MEM_NEW(struct slab);

    s->capacity = class_sizes[size_class];
    s->data = aligned_alloc(PAGE, s->capacity);
    if (s->data == NULL)
        s->data = mem_alloc(SIZE_MAX); /* Says so and aborts. */
    s->pool = p;
    s->size_class = size_class;
    return s;
}

struct slab *slab_alloc(struct slab_pool *p, size_t size)
{
    unsigned c = 0;
    struct slab *s;

    assert(size <= SLAB_SIZE_MAX);
    while (class_sizes[c] < size)
        c++;

    (void)pthread_mutex_lock(&p->lock);
    s = p->kept[c];
    if (s != NULL) {
        p->kept[c] = s->next;
        p->stats.kept_bytes -= s->capacity;
    }
    p->stats.used_bytes += class_sizes[c];
    p->stats.used_count++;
    (void)pthread_mutex_unlock(&p->lock);

    if (s == NULL)
        s = slab_make(p, c);
    s->next = NULL;
    s->len = 0;
    atomic_store_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

struct slab *slab_ref(struct slab *s)
{
    (void)atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void slab_unref(struct slab *s)
{
    struct slab_pool *p;
    bool keep;

    if (s == NULL)
        return;
    /* Release, so that the last one to let go sees what the others did with the bytes. */
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;

    p = s->pool;
    (void)pthread_mutex_lock(&p->lock);
    p->stats.used_bytes -= s->capacity;
    p->stats.used_count--;
    keep = p->stats.kept_bytes + s->capacity <= p->keep_bytes_max;
    if (keep) {
        s->next = p->kept[s->size_class];
        p->kept[s->size_class] = s;
        p->stats.kept_bytes += s->capacity;
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (!keep)
        slab_release(s);
}

void slab_pool_stats(struct slab_pool *p, struct slab_stats *ret_stats)
{
    (void)pthread_mutex_lock(&p->lock);
    *ret_stats = p->stats;
    (void)pthread_mutex_unlock(&p->lock);
}
