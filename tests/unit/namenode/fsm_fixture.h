/*
 * A state machine on either store, and one-line calls of its operations, for the tests of fsm_*.
 * Every test runs on both stores: list it with ON_BOTH_STORES().
 */
#ifndef TESTS_UNIT_NAMENODE_FSM_FIXTURE_H
#define TESTS_UNIT_NAMENODE_FSM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "namenode/fsm.h"
#include "namenode/kv.h"

enum { ROOT = 1 };

struct fx {
    bool on_rocks;
    char dir[64]; /* everything the test puts on the disk */
    struct kv *kv;
    struct fsm *fsm;
    uint64_t index;
    int64_t time_ns;
    Dfs__Cred cred; /* of the calls below; root, unchecked */
    uint32_t groups[4];
    Dfs__MetaReply *reply; /* of the last call; ours */
    struct fsm_event events[256];
    size_t event_count; /* of the last batch */
};

int fx_setup_mem(void **state);
int fx_setup_rocks(void **state);
/* A store as an earlier release made it. */
int fx_setup_format(void **state, bool on_rocks, uint32_t format);
int fx_teardown(void **state);

#define ON_BOTH_STORES(test)                                                                       \
    {#test " (memory)", test, fx_setup_mem, fx_teardown, NULL},                                    \
    {                                                                                              \
#test " (rocksdb)", test, fx_setup_rocks, fx_teardown, NULL                                \
    }

/* Closes and opens the store again: cleanly, without a flush. */
void fx_reopen(struct fx *f);

/* One operation as one entry; its status. cred is set where the request has none; f->reply. */
int fx_apply(struct fx *f, Dfs__MetaRequest *req);
/* Packed into a LogBatch; free() it. */
uint8_t *fx_batch(int64_t time_ns, Dfs__MetaRequest **reqs, size_t count, size_t *ret_len);
/* A read; f->reply. */
int fx_read(struct fx *f, Dfs__MetaRequest *req);

/* Who calls from now on. */
void fx_as(struct fx *f, uint32_t uid, uint32_t gid);

#define REQ(op_, field_, ...)                                                                      \
    Dfs__MetaRequest req;                                                                          \
    dfs__meta_request__init(&req);                                                                 \
    req.op_case = DFS__META_REQUEST__OP_##op_;                                                     \
    __typeof__(*req.field_) body = __VA_ARGS__;                                                    \
    req.field_ = &body

ProtobufCBinaryData bytes_of(const char *s);

/* Status or, for the ones that say so, the inode. The last reply stays in f->reply. */
int fx_create(struct fx *f, uint64_t parent, const char *name, uint32_t mode);
uint64_t fx_file(struct fx *f, uint64_t parent, const char *name);
uint64_t fx_dir(struct fx *f, uint64_t parent, const char *name);
int fx_symlink(struct fx *f, uint64_t parent, const char *name, const char *target);
int fx_link(struct fx *f, uint64_t ino, uint64_t parent, const char *name);
int fx_unlink(struct fx *f, uint64_t parent, const char *name);
int fx_rmdir(struct fx *f, uint64_t parent, const char *name);
/* One slice; f->reply->tree. */
int fx_remove_tree(struct fx *f, uint64_t parent, const char *name, uint32_t limit,
                   ProtobufCBinaryData from);
int fx_rename(struct fx *f, uint64_t parent, const char *name, uint64_t new_parent,
              const char *new_name, uint32_t flags);
int fx_setattr(struct fx *f, Dfs__SetattrOp op);
int fx_truncate(struct fx *f, uint64_t ino, uint64_t size);
int fx_alloc(struct fx *f, uint64_t ino, uint32_t first, uint32_t count, uint32_t pg);
int fx_commit(struct fx *f, Dfs__CommitOp op);
int fx_write_inline(struct fx *f, uint64_t ino, const char *text);
int fx_reap(struct fx *f, uint64_t ino, uint32_t max_chunks);
int fx_setxattr(struct fx *f, uint64_t ino, const char *name, const char *value, uint32_t flags);
int fx_lookup(struct fx *f, uint64_t parent, const char *name);
int fx_open(struct fx *f, uint64_t ino, uint32_t flags);
int fx_set_format(struct fx *f, uint32_t format);
const Dfs__UsageReply *fx_usage(struct fx *f, uint64_t ino);
/* The attributes now. */
const Dfs__Attr *fx_attr(struct fx *f, uint64_t ino);

/* One target and PGs 1..count on it. */
void fx_make_pgs(struct fx *f, uint32_t count);

/* What the store was asked for since fx_count_kv(): gets behind the cache, scans, changes written. */
struct fx_kv_counts {
    unsigned gets, scans, changes;
};
/* From now on, without the cache; anew each time. */
void fx_count_kv(struct fx *f);
struct fx_kv_counts fx_kv_counts(void);

/* The whole store, as one hash: what two replicas must have in common. */
uint64_t fx_store_hash(struct kv *kv);

/* I15: the directory graph is a tree, link and entry counts are right, nothing hangs in the air,
 * and the counters of directories say what lies below them. */
void fx_check_tree(struct fx *f);

#endif
