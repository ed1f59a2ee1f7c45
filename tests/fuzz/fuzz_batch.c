/*
 * Log entries from a leader gone mad: each is refused whole or executed, on two replicas alike, and
 * never more. The input is a run of entries, each {u16 length, LogBatch}.
 */
#include <stdlib.h>

#include "namenode/fsm.h"
#include "namenode/kv_mem.h"
#include "tests/fuzz/target.h"

struct replica {
    struct kv *kv;
    struct fsm *fsm;
};

static void replica_open(struct replica *r)
{
    if (kv_mem_new(&r->kv) < 0 || fsm_open(r->kv, &r->fsm) < 0)
        abort();
}

static void replica_close(struct replica *r)
{
    fsm_close(r->fsm);
    kv_close(r->kv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct replica a, b;
    uint64_t index = 0;

    replica_open(&a);
    replica_open(&b);
    while (size >= 2) {
        size_t len = (size_t)data[0] | (size_t)data[1] << 8;
        uint64_t hash_a = 0, hash_b = 0;
        int r;

        data += 2;
        size -= 2;
        if (len > size)
            len = size;
        r = fsm_apply(a.fsm, index + 1, 1, data, len, NULL, NULL);
        if (fsm_apply(b.fsm, index + 1, 1, data, len, NULL, NULL) != r || r == -5)
            abort();
        index += r == 0;
        (void)fsm_state_hash(a.fsm, index, &hash_a);
        (void)fsm_state_hash(b.fsm, index, &hash_b);
        if (hash_a != hash_b || fsm_applied(a.fsm).index != index)
            abort();
        data += len;
        size -= len;
    }
    replica_close(&a);
    replica_close(&b);
    return 0;
}
