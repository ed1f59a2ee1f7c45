/* The machine: batches, positions, hashes, restarts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/kv_mem.h"
#include "namenode/kv_rocks.h"
#include "tests/unit/namenode/fsm_fixture.h"

struct seen {
    unsigned count;
    int statuses[16];
};

static void note(void *ctx, const struct fsm_reply *reply)
{
    struct seen *s = ctx;

    assert_int_equal(reply->position, s->count);
    s->statuses[s->count++] = reply->status;
}

static void create_request(Dfs__MetaRequest *req, Dfs__CreateOp *op, const char *name)
{
    dfs__meta_request__init(req);
    dfs__create_op__init(op);
    op->parent = ROOT;
    op->name = bytes_of(name);
    op->mode = S_IFREG | 0644;
    op->exclusive = true;
    req->op_case = DFS__META_REQUEST__OP_CREATE;
    req->create = op;
}

/* Later operations of a batch see what earlier ones did. */
static void batch_is_executed_in_order(void **state)
{
    struct fx *f = *state;
    Dfs__MetaRequest reqs[3], *ptrs[] = {&reqs[0], &reqs[1], &reqs[2]};
    Dfs__CreateOp ops[2];
    Dfs__UnlinkOp unlink = DFS__UNLINK_OP__INIT;
    struct seen seen = {0};
    uint8_t *bytes;
    size_t len;

    create_request(&reqs[0], &ops[0], "a");
    create_request(&reqs[1], &ops[1], "a");
    dfs__meta_request__init(&reqs[2]);
    unlink.parent = ROOT;
    unlink.name = bytes_of("a");
    reqs[2].op_case = DFS__META_REQUEST__OP_UNLINK;
    reqs[2].unlink = &unlink;
    bytes = fx_batch(2000000000, ptrs, 3, &len);
    assert_int_equal(fsm_apply(f->fsm, ++f->index, 7, bytes, len, note, &seen), 0);
    free(bytes);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.statuses[0], 0);
    assert_int_equal(seen.statuses[1], -EEXIST);
    assert_int_equal(seen.statuses[2], 0);
    assert_int_equal(fsm_applied(f->fsm).term, 7);
    fx_check_tree(f);
}

static void batch_is_put_together_from_packed_requests(void **state)
{
    struct fx *f = *state;
    uint8_t batch[512], packed[256];
    size_t len = fsm_batch_header(3000000000, batch), packed_len;
    struct seen seen = {0};
    char name[200];
    Dfs__MetaRequest req;
    Dfs__CreateOp op;

    memset(name, 'n', sizeof(name)); /* Long, so that its length takes two bytes. */
    name[199] = '\0';
    create_request(&req, &op, name);
    packed_len = dfs__meta_request__pack(&req, packed);
    len += fsm_batch_op_header(packed_len, batch + len);
    memcpy(batch + len, packed, packed_len);
    len += packed_len;
    assert_int_equal(fsm_apply(f->fsm, ++f->index, 1, batch, len, note, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(fx_lookup(f, ROOT, name), 0);
    assert_int_equal(f->reply->entry->attr->ctime_ns, 3000000000);
}

static void entry_without_a_batch_moves_the_index(void **state)
{
    struct fx *f = *state;

    assert_int_equal(fsm_apply(f->fsm, f->index + 5, 9, NULL, 0, NULL, NULL), 0);
    assert_int_equal(fsm_applied(f->fsm).index, f->index + 5);
    assert_int_equal(fsm_applied(f->fsm).term, 9);
}

static void entry_applied_before_is_skipped(void **state)
{
    struct fx *f = *state;
    Dfs__MetaRequest req, *ptrs[] = {&req};
    struct seen seen = {0};
    uint64_t hash;
    Dfs__CreateOp op;
    uint8_t *bytes;
    size_t len;

    create_request(&req, &op, "a");
    bytes = fx_batch(1, ptrs, 1, &len);
    assert_int_equal(fsm_apply(f->fsm, ++f->index, 1, bytes, len, note, &seen), 0);
    hash = fx_store_hash(f->kv);
    fx_reopen(f);
    if (fsm_applied(f->fsm).index == f->index) {
        assert_int_equal(fsm_apply(f->fsm, f->index, 1, bytes, len, note, &seen), 0);
        assert_int_equal(seen.count, 1);
        assert_int_equal(fx_store_hash(f->kv), hash);
    }
    free(bytes);
}

static void malformed_batch_changes_nothing(void **state)
{
    struct fx *f = *state;
    uint64_t hash = fx_store_hash(f->kv);
    Dfs__MetaRequest reqs[2], *ptrs[] = {&reqs[0], &reqs[1]};
    const uint8_t junk[] = {0xff, 0xff, 0xff};
    Dfs__CreateOp op;
    uint8_t *bytes;
    size_t len;

    assert_int_equal(fsm_apply(f->fsm, f->index + 1, 1, junk, sizeof(junk), NULL, NULL), -EBADMSG);
    create_request(&reqs[0], &op, "a");
    dfs__meta_request__init(&reqs[1]); /* An operation of a later version looks like this. */
    bytes = fx_batch(1, ptrs, 2, &len);
    assert_int_equal(fsm_apply(f->fsm, f->index + 1, 1, bytes, len, NULL, NULL), -EBADMSG);
    free(bytes);
    assert_int_equal(fx_store_hash(f->kv), hash);
    assert_int_equal(fsm_applied(f->fsm).index, f->index);
}

static void hash_of_the_leader_is_compared(void **state)
{
    struct fx *f = *state;
    uint64_t hash, before;
    REQ(HASH, hash, DFS__HASH_OP__INIT);
    Dfs__MetaRequest *ptrs[] = {&req};
    uint8_t *bytes;
    size_t len;

    assert_int_equal(fsm_state_hash(f->fsm, f->index, &hash), 0);
    assert_int_equal(fsm_state_hash(f->fsm, f->index + 1, &before), -ENOENT);
    body.index = f->index;
    body.hash = hash;
    assert_int_equal(fx_apply(f, &req), 0);
    body.hash++;
    before = fx_store_hash(f->kv);
    bytes = fx_batch(1, ptrs, 1, &len);
    assert_int_equal(fsm_apply(f->fsm, f->index + 1, 1, bytes, len, NULL, NULL), -EUCLEAN);
    free(bytes);
    assert_int_equal(fx_store_hash(f->kv), before);
    body.index = 100000; /* Not known here: nothing to say. */
    assert_int_equal(fx_apply(f, &req), 0);
}

static void failed_write_leaves_the_state_as_it_was(void **state)
{
    struct fx *f = *state;
    Dfs__MetaRequest req, *ptrs[] = {&req};
    struct fsm_pos before = fsm_applied(f->fsm);
    struct seen seen = {0};
    Dfs__CreateOp op;
    uint8_t *bytes;
    size_t len;

    if (f->on_rocks)
        return;
    kv_mem_fail_write_after(f->kv, 0);
    create_request(&req, &op, "a");
    bytes = fx_batch(1, ptrs, 1, &len);
    assert_int_equal(fsm_apply(f->fsm, f->index + 1, 1, bytes, len, note, &seen), -EIO);
    free(bytes);
    assert_int_equal(seen.count, 0);
    assert_int_equal(fsm_applied(f->fsm).index, before.index);
}

static void flushed_position_follows_the_flush(void **state)
{
    struct fx *f = *state;
    struct fsm_pos pos;
    uint64_t flushed;

    assert_int_equal(fsm_flushed(f->fsm, &pos), 0);
    assert_int_equal(pos.index, 0);
    fx_file(f, ROOT, "a");
    assert_int_equal(fsm_flush(f->fsm, true), 0);
    flushed = f->index;
    fx_file(f, ROOT, "b");
    assert_int_equal(fsm_flushed(f->fsm, &pos), 0);
    assert_int_equal(pos.index, flushed);
    assert_int_equal(fsm_applied(f->fsm).index, flushed + 1);
}

static void checkpoint_is_a_store_of_its_own(void **state)
{
    struct fx *f = *state;
    struct kv *kv;
    struct fsm *fsm;
    char dir[128];

    fx_file(f, ROOT, "a");
    (void)snprintf(dir, sizeof(dir), "%s/checkpoint", f->dir);
    assert_int_equal(fsm_checkpoint(f->fsm, dir), 0);
    fx_file(f, ROOT, "b");
    assert_int_equal(f->on_rocks ? kv_rocks_open(dir, NULL, &kv) : kv_mem_open(dir, &kv), 0);
    assert_int_equal(fsm_open(kv, &fsm), 0);
    assert_int_equal(fsm_applied(fsm).index, f->index - 1);
    fsm_close(fsm);
    kv_close(kv);
}

static void requests_are_checked_before_the_log(void **state)
{
    Dfs__MetaRequest req;
    Dfs__CreateOp op;
    const uint8_t junk[] = {0xff};
    Dfs__LookupOp lookup = DFS__LOOKUP_OP__INIT;

    (void)state;
    create_request(&req, &op, "a");
    assert_int_equal(fsm_check_request(&req, false), 0);
    assert_int_equal(fsm_check_request(&req, true), -EINVAL);
    req.session = req.seq = 1;
    assert_int_equal(fsm_check_request(&req, true), 0);
    req.op_case = DFS__META_REQUEST__OP_LOOKUP;
    req.lookup = &lookup;
    assert_int_equal(fsm_check_request(&req, true), -EPROTO);
    req.op_case = DFS__META_REQUEST__OP_REAP;
    assert_int_equal(fsm_check_request(&req, true), -EPERM);
    assert_int_equal(fsm_check_request(&req, false), 0);
    req.op_case = DFS__META_REQUEST__OP__NOT_SET;
    assert_int_equal(fsm_check_request(&req, false), -EPROTO);
    assert_int_equal(fsm_check_request_bytes(junk, 1, false), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(batch_is_executed_in_order),
        ON_BOTH_STORES(batch_is_put_together_from_packed_requests),
        ON_BOTH_STORES(entry_without_a_batch_moves_the_index),
        ON_BOTH_STORES(entry_applied_before_is_skipped),
        ON_BOTH_STORES(malformed_batch_changes_nothing),
        ON_BOTH_STORES(hash_of_the_leader_is_compared),
        ON_BOTH_STORES(failed_write_leaves_the_state_as_it_was),
        ON_BOTH_STORES(flushed_position_follows_the_flush),
        ON_BOTH_STORES(checkpoint_is_a_store_of_its_own),
        cmocka_unit_test(requests_are_checked_before_the_log),
    };

    return cmocka_run_group_tests_name("fsm", tests, NULL, NULL);
}
