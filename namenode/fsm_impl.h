/* What an fsm is made of: for fsm.c, fsm_read.c and fsm_list.c alone. */
#ifndef NAMENODE_FSM_IMPL_H
#define NAMENODE_FSM_IMPL_H

#include "namenode/fsm_ops.h"

struct fsm {
    struct kv *kv;
    struct rec_cache *cache;
    struct state_rec state;
    struct kv_batch batch; /* kept for its memory */
    struct tx apply;       /* its arena holds the last batch's replies */
    struct tx read;        /* nothing is ever changed through it */
    fsm_event_fn event_fn;
    void *event_ctx;
    struct {
        uint64_t index, hash;
    } hashes[FSM_HASH_RING];
};

#endif
