/*
 * One batch under way, for the fsm_*.c files: the store as the operations so far have left it.
 * Changes collect in an overlay that reads go through first; fsm.c writes them out at the end. A
 * read-only operation uses the same calls with an overlay that stays empty.
 *
 * Two kinds of failure, never mixed up: a status of the operation (-EEXIST) is returned and told to
 * the client, alike on every replica; a broken store sets tx->fatal and ends the batch. Functions
 * here return a negative code for both; fsm.c looks at fatal after each operation.
 *
 * The rule for operations: first all checks, then all changes, so that an error changes nothing.
 */
#ifndef NAMENODE_FSM_TX_H
#define NAMENODE_FSM_TX_H

#include "common/ids.h"
#include "namenode/arena.h"
#include "namenode/fsm.h"
#include "namenode/keys.h"
#include "namenode/kv.h"
#include "namenode/omap.h"
#include "namenode/rec_cache.h"

struct usage_node;

struct tx {
    struct kv *kv;
    struct rec_cache *cache; /* of kv as it is, without the overlay */
    struct state_rec state;  /* becomes the fsm's when the batch is written */
    struct omap overlay;
    struct arena arena; /* lives until the replies were given */
    int64_t now_ns;     /* the time of this operation */
    uint64_t index;     /* of the entry */
    int fatal;          /* 0, or the negative code that ends everything */
    struct fsm_event *events;
    size_t event_count, event_cap;
    struct usage_node *usage; /* fsm_usage.h */
};

void tx_init(struct tx *tx, struct kv *kv, struct rec_cache *cache);
void tx_done(struct tx *tx);
/* Forgets changes, events and arena. */
void tx_reset(struct tx *tx);

/* -ENOENT. The value lives until tx_value_done(), the next tx_get() or the next change of its key. */
int tx_get(struct tx *tx, const struct key *k, struct kv_value *ret_value);
void tx_value_done(struct tx *tx, struct kv_value *v);
void tx_put(struct tx *tx, const struct key *k, const void *data, size_t len);
/* The caller then writes the value where this points to. */
uint8_t *tx_put_room(struct tx *tx, const struct key *k, size_t len);
void tx_delete(struct tx *tx, const struct key *k);
/* 1 it is there, 0 not. */
int tx_exists(struct tx *tx, const struct key *k);

/*
 * Entries from key `from` on while they begin with its first prefix_len bytes, in order. The
 * callback returns 0 to go on, 1 to stop (tx_scan() gives 0), negative to fail. It may change any
 * key but those still ahead.
 */
typedef int (*tx_scan_fn)(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
                          size_t value_len);
int tx_scan(struct tx *tx, const struct key *from, size_t prefix_len, tx_scan_fn fn, void *ctx);

/* Damage: ends the batch. Returns code. */
int tx_fail(struct tx *tx, int code);
/* The record of the key does not decode. */
int tx_damaged(struct tx *tx, const struct key *k);

void tx_event(struct tx *tx, struct fsm_event event);

/* Records. A missing inode is -ESTALE, other missing records -ENOENT. */
int tx_inode_get(struct tx *tx, uint64_t ino, struct inode_rec *ret_rec);
void tx_inode_put(struct tx *tx, const struct inode_rec *rec);
int tx_dentry_get(struct tx *tx, uint64_t parent, ProtobufCBinaryData name,
                  struct dentry_rec *ret_rec);
void tx_dentry_put(struct tx *tx, uint64_t parent, ProtobufCBinaryData name,
                   const struct dentry_rec *rec);
void tx_dentry_delete(struct tx *tx, uint64_t parent, ProtobufCBinaryData name);
/* No record: an empty page. */
int tx_chunk_page_get(struct tx *tx, uint64_t ino, uint32_t page, struct chunk_page *ret_page);
/* An empty page has no record. */
void tx_chunk_page_put(struct tx *tx, uint64_t ino, uint32_t page, const struct chunk_page *rec);
int tx_session_get(struct tx *tx, uint64_t session, struct session_rec *ret_rec);
void tx_session_put(struct tx *tx, const struct session_rec *rec);
int tx_target_get(struct tx *tx, uint32_t target, struct target_rec *ret_rec);
void tx_target_put(struct tx *tx, const struct target_rec *rec);
int tx_pg_get(struct tx *tx, uint32_t pg, struct pg_rec *ret_rec);
void tx_pg_put(struct tx *tx, const struct pg_rec *rec);
int tx_fence_get(struct tx *tx, uint64_t session, struct fence_rec *ret_rec);
void tx_fence_put(struct tx *tx, const struct fence_rec *rec);
int tx_cluster_get(struct tx *tx, struct cluster_rec *ret_rec);

#endif
