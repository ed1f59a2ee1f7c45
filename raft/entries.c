/* The log as the core sees it. See entries.h. */
#include "raft/entries.h"

#include <assert.h>
#include <stdlib.h>

#include "raft/mem.h"

/* What an entry takes in memory beside its payload: a place in the ring, which may be half empty,
 * and the buffer's head with malloc's. Entries are small: it is as much as the payload. */
enum { ENTRY_COST = 2 * sizeof(struct raft_entry) + sizeof(struct raft_buf) + 16 };

void entries_init(struct entries *e, uint64_t base_index, uint64_t base_term)
{
    *e = (struct entries){
        .base_index = base_index, .base_term = base_term, .last_index = base_index};
}

static struct raft_entry *slot(const struct entries *e, size_t i)
{
    return &e->ring[(e->ring_head + i) & (e->ring_cap - 1)];
}

static void drop_newest(struct entries *e)
{
    struct raft_entry *entry = slot(e, e->cached_count - 1);

    e->cached_count--;
    e->cached_bytes -= entry->buf->len + ENTRY_COST;
    raft_buf_unref(entry->buf);
}

static void drop_oldest(struct entries *e)
{
    struct raft_entry *entry = slot(e, 0);

    e->ring_head = (e->ring_head + 1) & (e->ring_cap - 1);
    e->cached_count--;
    e->cached_bytes -= entry->buf->len + ENTRY_COST;
    raft_buf_unref(entry->buf);
}

void entries_done(struct entries *e)
{
    while (e->cached_count > 0)
        drop_newest(e);
    free(e->ring);
    free(e->runs);
}

static void ring_grow(struct entries *e)
{
    size_t cap = e->ring_cap ? e->ring_cap * 2 : 64;
    struct raft_entry *ring;

    if (e->cached_count < e->ring_cap)
        return;
    ring = raft_alloc(cap, sizeof(*ring));
    for (size_t i = 0; i < e->cached_count; i++)
        ring[i] = *slot(e, i);
    free(e->ring);
    e->ring = ring;
    e->ring_cap = cap;
    e->ring_head = 0;
}

uint64_t entries_last_term(const struct entries *e)
{
    return e->run_count > 0 ? e->runs[e->run_count - 1].term : e->base_term;
}

void entries_append(struct entries *e, const struct raft_entry *entry)
{
    assert(entry->index == e->last_index + 1);
    assert(entry->term >= entries_last_term(e));

    if (e->run_count == 0 || e->runs[e->run_count - 1].term != entry->term) {
        e->runs = raft_grow(e->runs, e->run_count, &e->run_cap, sizeof(*e->runs));
        e->runs[e->run_count++] = (struct term_run){entry->index, entry->term};
    }
    ring_grow(e);
    e->cached_count++;
    *slot(e, e->cached_count - 1) = *entry;
    raft_buf_ref(entry->buf);
    e->cached_bytes += entry->buf->len + ENTRY_COST;
    e->last_index = entry->index;
}

void entries_truncate(struct entries *e, uint64_t from)
{
    assert(from > e->base_index);

    while (e->cached_count > 0 && slot(e, e->cached_count - 1)->index >= from)
        drop_newest(e);
    while (e->run_count > 0 && e->runs[e->run_count - 1].first >= from)
        e->run_count--;
    if (e->last_index >= from)
        e->last_index = from - 1;
}

void entries_reset(struct entries *e, uint64_t base_index, uint64_t base_term)
{
    while (e->cached_count > 0)
        drop_newest(e);
    e->run_count = 0;
    e->base_index = base_index;
    e->base_term = base_term;
    e->last_index = base_index;
}

void entries_compact(struct entries *e, uint64_t base_index, uint64_t base_term)
{
    size_t drop = 0;

    assert(base_index >= e->base_index && base_index <= e->last_index);

    while (e->cached_count > 0 && slot(e, 0)->index <= base_index)
        drop_oldest(e);
    /* The run that holds base_index + 1 begins there now. */
    while (drop + 1 < e->run_count && e->runs[drop + 1].first <= base_index + 1)
        drop++;
    if (base_index == e->last_index)
        drop = e->run_count;
    e->run_count -= drop;
    for (size_t i = 0; i < e->run_count; i++)
        e->runs[i] = e->runs[i + drop];
    if (e->run_count > 0 && e->runs[0].first <= base_index)
        e->runs[0].first = base_index + 1;
    e->base_index = base_index;
    e->base_term = base_term;
}

void entries_evict(struct entries *e, uint64_t up_to, size_t bytes_max)
{
    while (e->cached_count > 0 && e->cached_bytes > bytes_max && slot(e, 0)->index <= up_to)
        drop_oldest(e);
}

/* The run that holds index, which is in the log. */
static size_t find_run(const struct entries *e, uint64_t index)
{
    size_t low = 0, high = e->run_count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (e->runs[mid].first <= index)
            low = mid;
        else
            high = mid;
    }
    return low;
}

bool entries_term(const struct entries *e, uint64_t index, uint64_t *ret_term)
{
    if (index < e->base_index || index > e->last_index)
        return false;
    if (index == e->base_index) {
        if (e->base_index > 0 && e->base_term == 0)
            return false;
        *ret_term = e->base_term;
        return true;
    }
    *ret_term = e->runs[find_run(e, index)].term;
    return true;
}

const struct raft_entry *entries_find(const struct entries *e, uint64_t index)
{
    uint64_t first = e->last_index - e->cached_count + 1;

    if (e->cached_count == 0 || index < first || index > e->last_index)
        return NULL;
    return slot(e, (size_t)(index - first));
}

uint64_t entries_last_with_term(const struct entries *e, uint64_t index, uint64_t term)
{
    size_t i;

    if (index > e->last_index)
        index = e->last_index;
    if (index <= e->base_index)
        return e->base_index;
    for (i = find_run(e, index) + 1; i > 0; i--) {
        if (e->runs[i - 1].term <= term)
            return index;
        index = e->runs[i - 1].first - 1;
    }
    return e->base_index;
}
