/*
 * Chunks with which something goes on: open files (least recently used first), what is not synced,
 * and what is DIRTY, each in a list by age.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"
#include "datanode/store_priv.h"

/* ---- chunks ---- */

void chunk_get_state(const struct chunk *c, struct chunk_state *ret_state)
{
    *ret_state = (struct chunk_state){
        .id = {c->id},
        .pg = {c->pg},
        .flags = c->flags,
        .len = c->len,
        .ver = {c->ver_epoch, c->ver_seq},
        .digest = c->digest,
        .trunc_version = c->trunc_version,
    };
}

void chunk_set_flags(struct target *t, struct chunk *c, unsigned flags)
{
    for (unsigned i = 0; i < ARRAY_COUNT(t->flag_counts); i++) {
        t->flag_counts[i] -= c->flags >> i & 1;
        t->flag_counts[i] += flags >> i & 1;
    }
    c->flags = (uint16_t)flags;
}

/* What a chunk takes on the disk, roughly: header, one page of slots, data. */
static uint64_t cost_of(uint32_t len)
{
    return len ? 2 * CHUNK_BLOCK_SIZE + (uint64_t)len : 0;
}

void chunk_set_len(struct target *t, struct chunk *c, uint32_t len)
{
    t->used_bytes += cost_of(len) - cost_of(c->len);
    c->len = len;
}

void chunk_log(struct target *t, struct chunk *c, struct table_wait *wait)
{
    struct chunk_state s;

    chunk_get_state(c, &s);
    table_log_put(t->log, &s, false, wait);
}

void chunk_set_bad(struct target *t, struct chunk *c)
{
    if (c->flags & CHUNK_BAD)
        return;
    chunk_set_flags(t, c, c->flags | CHUNK_BAD);
    chunk_log(t, c, NULL);
}

/* ---- live ---- */

#define LIST_PUSH(t_, head_, l_, field_)                                                           \
    do {                                                                                           \
        struct live *first_ = (t_)->head_;                                                         \
        (l_)->field_.is_in = true;                                                                 \
        if (!first_) {                                                                             \
            (t_)->head_ = (l_)->field_.next = (l_)->field_.prev = (l_);                            \
            break;                                                                                 \
        }                                                                                          \
        (l_)->field_.next = first_;                                                                \
        (l_)->field_.prev = first_->field_.prev;                                                   \
        first_->field_.prev->field_.next = (l_);                                                   \
        first_->field_.prev = (l_);                                                                \
    } while (0)

#define LIST_DROP(t_, head_, l_, field_)                                                           \
    do {                                                                                           \
        (l_)->field_.is_in = false;                                                                \
        (l_)->field_.prev->field_.next = (l_)->field_.next;                                        \
        (l_)->field_.next->field_.prev = (l_)->field_.prev;                                        \
        if ((t_)->head_ == (l_))                                                                   \
            (t_)->head_ = (l_)->field_.next == (l_) ? NULL : (l_)->field_.next;                    \
    } while (0)

void live_drop_lru(struct live *l)
{
    if (!l->lru.is_in)
        return;
    LIST_DROP(l->target, lru, l, lru);
    l->target->lru_count--;
}

void live_touch_lru(struct live *l)
{
    struct target *t = l->target;

    live_drop_lru(l);
    LIST_PUSH(t, lru, l, lru);
    t->lru_count++;
}

void live_set_unsynced(struct live *l)
{
    struct target *t = l->target;

    if (l->unsynced.is_in)
        return;
    l->unsynced_since_ns = store_now_ns(t->store);
    LIST_PUSH(t, unsynced, l, unsynced);
    t->unsynced_count++;
}

void live_set_synced(struct live *l, uint64_t generation)
{
    struct target *t = l->target;

    l->synced = MAX(l->synced, generation);
    if (!l->unsynced.is_in)
        return;
    LIST_DROP(t, unsynced, l, unsynced);
    t->unsynced_count--;
    if (l->synced < l->made) {
        live_set_unsynced(l);
        return;
    }
    t->unsynced_bytes -= l->unsynced_bytes;
    l->unsynced_bytes = 0;
    l->was_closed = false;
}

void live_drop_dirty(struct live *l)
{
    if (!l->dirty.is_in)
        return;
    LIST_DROP(l->target, dirty, l, dirty);
    l->target->dirty_listed--;
}

void live_touch_dirty(struct live *l)
{
    unsigned flags = l->chunk->flags;

    live_drop_dirty(l);
    l->changed_ns = store_now_ns(l->target->store);
    if (!(flags & CHUNK_DIRTY) || flags & (CHUNK_SUSPECT | CHUNK_INCOMPLETE | CHUNK_DELETED))
        return;
    LIST_PUSH(l->target, dirty, l, dirty);
    l->target->dirty_listed++;
}

bool live_is_idle(const struct live *l)
{
    return l->refs == 0 && !l->wait_first && !l->is_marking;
}

struct live *live_get(struct target *t, struct chunk *c)
{
    struct live *l = c->live;

    if (!l) {
        l = MEM_NEW(struct live);
        l->target = t;
        l->chunk = c;
        c->live = l;
        chunk_file_init(&l->file, &t->dir, c->id, c->pg);
        t->live_count++;
    }
    return l;
}

void live_free(struct live *l)
{
    struct target *t = l->target;

    live_drop_lru(l);
    if (l->unsynced.is_in) {
        LIST_DROP(t, unsynced, l, unsynced);
        t->unsynced_count--;
    }
    live_drop_dirty(l);
    l->chunk->live = NULL;
    chunk_file_done(&l->file);
    if (l->is_forgotten)
        tombstone_remove(t, l->chunk);
    store_done_later(t, l->forgotten, l->forgotten_ctx, 0, 0);
    free(l);
    t->live_count--;
}

/* An open file keeps it (until it is evicted), and so does all that is still to be done with it. */
static void live_maybe_free(struct live *l)
{
    if (live_is_idle(l) && !l->lru.is_in && !l->unsynced.is_in && !l->dirty.is_in)
        live_free(l);
}

void live_ref(struct live *l)
{
    l->refs++;
}

static void live_close(struct live *l)
{
    if (l->is_closing)
        return;
    l->is_closing = true;
    l->was_closed = l->synced != l->made;
    op_submit(op_new(l, OP_CLOSE, 0));
}

void live_unref(struct live *l)
{
    assert(l->refs > 0);
    l->refs--;
    if (!live_is_idle(l))
        return;
    if (l->is_doomed && l->lru.is_in)
        live_close(l);
    else
        live_maybe_free(l);
}

/* Oldest first, closes files until the limit holds. */
void live_evict(struct target *t)
{
    struct live *l = t->lru;
    size_t over =
        t->lru_count > t->store->o.open_files_max ? t->lru_count - t->store->o.open_files_max : 0;

    for (size_t i = t->lru_count; over > 0 && i > 0; i--, l = l->lru.next) {
        if (live_is_idle(l) || l->is_closing) {
            over--;
            live_close(l);
        }
    }
}
