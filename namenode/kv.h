/*
 * An ordered map from bytes to bytes that survives a crash up to its last flush: the ground the
 * metadata state machine stands on. kv_rocks is RocksDB; kv_mem keeps the same promises in memory,
 * for tests and simulation.
 *
 * What every kv promises:
 *  - a batch is written whole or not at all, also across a crash, and batches never change places:
 *    what a crash leaves is the state after some prefix of them, at least up to the last flush;
 *  - there is no log beneath it. Who wants to lose nothing replays what came after the flush (the
 *    Raft log does);
 *  - kv_get_persisted() answers from what a crash could not take away;
 *  - a checkpoint holds every batch written before it.
 *
 * One thread at a time. -EIO: the store is broken (damage, full disk); nothing more may be written.
 */
#ifndef NAMENODE_KV_H
#define NAMENODE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct kv;
struct kv_iter;

/* A value that was read. Valid until kv_value_done() or, in kv_mem, the next write. */
struct kv_value {
    const uint8_t *data; /* never NULL */
    size_t len;
    void *pin; /* the kv's own */
};

/* Changes in order, as one run of bytes: {u8 op, u32 key_len, u32 value_len, key, value}... */
struct kv_batch {
    uint8_t *data;
    size_t len, cap;
    uint32_t count;
};

enum { KV_PREFIX_MAX = 16 };

enum kv_op { KV_PUT = 1, KV_DELETE = 2 };

void kv_batch_init(struct kv_batch *b);
void kv_batch_done(struct kv_batch *b);
/* Keeps the memory. */
void kv_batch_clear(struct kv_batch *b);
/* Returns where the value was put in b->data, as an offset. No failure: out of memory aborts. */
size_t kv_batch_put(struct kv_batch *b, const void *key, size_t key_len, const void *value,
                    size_t value_len);
void kv_batch_delete(struct kv_batch *b, const void *key, size_t key_len);

struct kv_change {
    enum kv_op op;
    const uint8_t *key, *value;
    size_t key_len, value_len;
};
/* Walks a batch: start with *pos = 0. False at its end. */
bool kv_batch_next(const struct kv_batch *b, size_t *pos, struct kv_change *ret_change);

/* What an implementation brings; callers use the functions below. */
struct kv_ops {
    int (*get)(struct kv *kv, const void *key, size_t len, bool persisted, struct kv_value *ret);
    void (*value_done)(struct kv *kv, struct kv_value *v);
    int (*write)(struct kv *kv, const struct kv_batch *b);
    int (*flush)(struct kv *kv, bool wait);
    int (*checkpoint)(struct kv *kv, const char *dir);
    int (*iter_new)(struct kv *kv, const void *prefix, size_t len, struct kv_iter **ret_iter);
    void (*close)(struct kv *kv);
};

struct kv {
    const struct kv_ops *ops;
    bool is_damaged;
};

struct kv_iter_ops {
    int (*seek)(struct kv_iter *it, const void *key, size_t len);
    int (*next)(struct kv_iter *it);
    void (*free)(struct kv_iter *it);
};

/* Stands on an entry while valid; key and value live until it moves. Not valid after a write. */
struct kv_iter {
    const struct kv_iter_ops *ops;
    bool valid;
    const uint8_t *key, *value;
    size_t key_len, value_len;
};

/* -ENOENT  no such key; *ret untouched */
static inline int kv_get(struct kv *kv, const void *key, size_t len, struct kv_value *ret)
{
    return kv->ops->get(kv, key, len, false, ret);
}

/* As kv_get(), but only of what is flushed. */
static inline int kv_get_persisted(struct kv *kv, const void *key, size_t len, struct kv_value *ret)
{
    return kv->ops->get(kv, key, len, true, ret);
}

static inline void kv_value_done(struct kv *kv, struct kv_value *v)
{
    kv->ops->value_done(kv, v);
}

static inline int kv_write(struct kv *kv, const struct kv_batch *b)
{
    return kv->ops->write(kv, b);
}

/* wait false: returns when it has begun. */
static inline int kv_flush(struct kv *kv, bool wait)
{
    return kv->ops->flush(kv, wait);
}

/*
 * Makes dir (it must not exist, its parent must, on the same file system) a store of its own with
 * all that was written until now. Costs a flush; files are hard links.
 */
static inline int kv_checkpoint(struct kv *kv, const char *dir)
{
    return kv->ops->checkpoint(kv, dir);
}

/*
 * An iterator over the keys that begin with prefix (copied; len <= KV_PREFIX_MAX, 0: all keys), as
 * they were when it was made. It never looks beyond them: what lies behind may be millions of removed
 * keys, each of which costs RocksDB some 100 ns until compaction has dropped it.
 */
static inline int kv_iter_new(struct kv *kv, const void *prefix, size_t len,
                              struct kv_iter **ret_iter)
{
    return kv->ops->iter_new(kv, prefix, len, ret_iter);
}

/* To the first key >= key, which begins with the prefix. A negative code leaves it not valid. */
static inline int kv_iter_seek(struct kv_iter *it, const void *key, size_t len)
{
    return it->ops->seek(it, key, len);
}

static inline int kv_iter_next(struct kv_iter *it)
{
    return it->ops->next(it);
}

static inline void kv_iter_free(struct kv_iter *it)
{
    if (it)
        it->ops->free(it);
}
DEFINE_CLEANUP(kv_iter, kv_iter_free)

/* A call found that what is on the disk is not what was written. */
static inline bool kv_is_damaged(const struct kv *kv)
{
    return kv->is_damaged;
}

/* Somebody else found that: a reader of its files. */
static inline void kv_note_damage(struct kv *kv)
{
    kv->is_damaged = true;
}

static inline void kv_close(struct kv *kv)
{
    if (kv)
        kv->ops->close(kv);
}
DEFINE_CLEANUP(kv, kv_close)

#endif
