/* Chunk operations and reads against datanodes that misbehave. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"
#include "common/slab.h"
#include "libdfs/dn.h"
#include "libdfs/hedge.h"
#include "libdfs/pgmap.h"
#include "tests/unit/libdfs/fake_cluster.h"

static int set_up(void **state)
{
    *state = cluster_new();
    return 0;
}

static int tear_down(void **state)
{
    cluster_free(*state);
    return 0;
}

/* ---- ops ---- */

struct test_op {
    struct chunk_op op;
    bool done;
    int status;
    struct slab *slab;
};

static void on_op_done(struct chunk_op *op, int status)
{
    struct test_op *t = (struct test_op *)(void *)op;

    t->done = true;
    t->status = status;
}

static struct test_op *submit(struct cluster *c, uint64_t chunk, uint32_t offset, uint32_t len,
                              uint8_t fill)
{
    struct test_op *t = calloc(1, sizeof(*t));

    t->slab = slab_alloc(c->slabs, len);
    memset(t->slab->data, fill, len);
    t->op.kind = CHUNK_WRITE;
    t->op.pg = (struct pg_id){1};
    t->op.chunk = (struct chunk_id){chunk};
    t->op.offset = offset;
    t->op.len = len;
    t->op.part_count = 1;
    t->op.parts[0] = (struct chunk_part){t->slab->data, len, t->slab};
    t->op.done = on_op_done;
    chunk_op_submit(c->ll.dns, &t->op);
    return t;
}

static int finish(struct cluster *c, struct test_op *t)
{
    int status;

    cluster_wait(c, &t->done);
    status = t->status;
    slab_unref(t->slab);
    free(t);
    return status;
}

/* ---- reads ---- */

struct test_read {
    struct chunk_read rd;
    bool done;
    int status;
    uint8_t bytes[8192];
};

static void on_read_done(struct chunk_read *rd, int status)
{
    struct test_read *t = (struct test_read *)(void *)rd;

    t->done = true;
    t->status = status;
    memset(t->bytes, 0, sizeof(t->bytes));
    if (status == 0 && rd->got > 0)
        memcpy(t->bytes, rd->bytes, rd->got);
}

static struct test_read read_chunk(struct cluster *c, uint64_t chunk, bool materialized)
{
    struct test_read t = {0};

    t.rd.pg = (struct pg_id){1};
    t.rd.chunk = (struct chunk_id){chunk};
    t.rd.len = sizeof(t.bytes);
    t.rd.materialized = materialized;
    t.rd.done = on_read_done;
    chunk_read_submit(c->ll.dns, &t.rd);
    cluster_wait(c, &t.done);
    return t;
}

static void written_bytes_are_read_back(void **state)
{
    struct cluster *c = *state;
    struct test_read t;

    assert_int_equal(finish(c, submit(c, 9, 0, 5000, 0xab)), 0);
    t = read_chunk(c, 9, true);
    assert_int_equal(t.status, 0);
    assert_int_equal(t.rd.got, 5000);
    assert_int_equal(t.bytes[4999], 0xab);
    assert_int_equal(t.bytes[5000], 0); /* A short answer is filled up with zeros. */
    assert_int_equal(c->dns[0].hellos, 1);
}

/* Neither end on a block's border, several parts: the datanode checks each CRC. */
static void unaligned_write_has_a_crc_for_each_block_touched(void **state)
{
    struct cluster *c = *state;
    struct test_op *t = submit(c, 9, 1000, 10000, 3);

    assert_int_equal(t->op.crc_count, 3);
    assert_int_equal(finish(c, t), 0);
}

/* The answer got lost: asked again with the same opseq, it must not be executed again. */
static void lost_answer_does_not_execute_twice(void **state)
{
    struct cluster *c = *state;

    c->dns[0].drop_after = 1;
    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 1)), 0);
    assert_int_equal(c->repeats, 1);
    c->dns[0].drop_before = 2;
    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 2)), 0);
    assert_int_equal(c->repeats, 1);
}

static void new_head_in_the_refusal_is_followed(void **state)
{
    struct cluster *c = *state;

    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 1)), 0);
    cluster_set_head(c, 2, false);
    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 2)), 0);
    assert_true(c->dns[2].ops >= 1);
    assert_int_equal(pgmap_find_pg(c->ll.pgmap, (struct pg_id){1})->epoch, c->epoch[1]);
}

/* A stopped process keeps its connections: only the map says that it is out. */
static void op_leaves_a_head_that_never_answers(void **state)
{
    struct cluster *c = *state;
    struct test_op *t;

    c->dns[0].silent_ops = 1;
    t = submit(c, 9, 0, 4096, 1);
    CLUSTER_UNTIL(c, c->dns[0].ops == 1);
    assert_false(t->done);
    cluster_set_head(c, 1, true);
    assert_int_equal(finish(c, t), 0);
    assert_int_equal(c->dns[1].ops, 1);
}

static void killed_head_costs_no_error(void **state)
{
    struct cluster *c = *state;
    struct test_op *t;

    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 1)), 0);
    cluster_kill_dn(c, 0);
    t = submit(c, 9, 0, 4096, 2);
    cluster_pass(c, 50);
    cluster_set_head(c, 1, false); /* Nobody tells: the client asks by itself. */
    assert_int_equal(finish(c, t), 0);
}

static void many_ops_keep_to_the_window_and_their_order(void **state)
{
    struct cluster *c = *state;
    enum { COUNT = 700 };
    struct test_op *ops[COUNT];

    c->dns[0].hold_ops = true;
    for (unsigned k = 0; k < COUNT; k++)
        ops[k] = submit(c, 9, k * 4096, 4096, 1);
    CLUSTER_UNTIL(c, c->dns[0].ops >= 256);
    cluster_pass(c, 10);
    assert_int_equal(c->dns[0].ops, 256);
    cluster_release(c);
    for (unsigned k = 0; k < COUNT; k++)
        assert_int_equal(finish(c, ops[k]), 0);
    for (unsigned k = 1; k <= COUNT; k++)
        assert_true(c->executed[1][k]);
}

static void refusals_for_good_are_told(void **state)
{
    struct cluster *c = *state;

    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = -ENOSPC;
    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 1)), -ENOSPC);
    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = DFS_EFENCED;
    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 1)), -EIO);
    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = DFS_ENOCHUNK;
    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 1)), -ESTALE);
    c->dns[0].fail_ops = 3;
    c->dns[0].fail_code = DFS_EBUSY_WINDOW;
    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 1)), 0);
}

/* A PG without enough members refuses for minutes: it must not be sent everything again and again. */
static void refusing_head_is_asked_with_one_op(void **state)
{
    struct cluster *c = *state;
    enum { COUNT = 50 };
    struct test_op *ops[COUNT];

    c->dns[0].fail_ops = COUNT + 10;
    c->dns[0].fail_code = DFS_EBUSY_WINDOW;
    for (unsigned k = 0; k < COUNT; k++)
        ops[k] = submit(c, 9, k * 4096, 4096, 1);
    CLUSTER_UNTIL(c, c->dns[0].ops >= COUNT + 2);
    cluster_pass(c, 30);
    assert_true(c->dns[0].ops < COUNT + 10);
    c->dns[0].fail_ops = 0;
    for (unsigned k = 0; k < COUNT; k++)
        assert_int_equal(finish(c, ops[k]), 0);
}

static void nobody_there_ends_in_a_timeout(void **state)
{
    struct cluster *c = *state;

    c->ll.options.io_timeout_ms = 150;
    for (unsigned k = 0; k < FAKE_DNS; k++)
        cluster_kill_dn(c, k);
    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 1)), -ETIMEDOUT);
    assert_int_equal(read_chunk(c, 9, true).status, -ETIMEDOUT);
    assert_int_equal(dn_pool_busy(c->ll.dns), 0);
}

static void lost_session_ends_all_ops(void **state)
{
    struct cluster *c = *state;
    struct test_op *t;

    assert_int_equal(finish(c, submit(c, 9, 0, 4096, 1)), 0);
    c->dns[0].hold_ops = true;
    t = submit(c, 9, 0, 4096, 2);
    CLUSTER_UNTIL(c, c->dns[0].held != NULL);
    c->session = 78;
    dn_pool_session_lost(c->ll.dns);
    assert_int_equal(finish(c, t), -EIO);
    c->dns[0].hold_ops = false;
    memset(c->executed, 0, sizeof(c->executed)); /* A new session counts from 1. */
    t = submit(c, 9, 0, 4096, 3);
    assert_int_equal(t->op.opseq, 1);
    assert_int_equal(finish(c, t), 0);
}

/* ---- reads ---- */

static unsigned total_reads(const struct cluster *c)
{
    return c->dns[0].reads + c->dns[1].reads + c->dns[2].reads;
}

static void flipped_bit_is_found_and_read_again(void **state)
{
    struct cluster *c = *state;
    struct test_read t;

    assert_int_equal(finish(c, submit(c, 9, 0, 8192, 5)), 0);
    for (unsigned k = 0; k < FAKE_DNS; k++)
        c->dns[k].flip_reads = 1;
    t = read_chunk(c, 9, true);
    assert_int_equal(t.status, 0);
    assert_int_equal(t.bytes[4096], 5);
    assert_int_equal(total_reads(c), 2); /* The same one, with verify. */
    assert_int_equal(c->ll.stats.crc_mismatches, 1);
}

static void damaged_copy_is_read_elsewhere(void **state)
{
    struct cluster *c = *state;
    struct test_read t;

    assert_int_equal(finish(c, submit(c, 9, 0, 8192, 5)), 0);
    for (unsigned k = 0; k < 2; k++) {
        c->dns[k].flip_reads = 100;
        c->dns[k].flip_always = true;
    }
    t = read_chunk(c, 9, true);
    assert_int_equal(t.status, 0);
    assert_int_equal(t.bytes[4096], 5);
}

/* Wrong bytes must never come out, not even when there are no others. */
static void only_damaged_copies_are_an_error(void **state)
{
    struct cluster *c = *state;

    assert_int_equal(finish(c, submit(c, 9, 0, 8192, 5)), 0);
    for (unsigned k = 0; k < FAKE_DNS; k++) {
        c->dns[k].flip_reads = 100;
        c->dns[k].flip_always = true;
    }
    assert_int_equal(read_chunk(c, 9, true).status, -EIO);
}

static void refusing_member_is_passed_over(void **state)
{
    struct cluster *c = *state;
    const int codes[] = {DFS_EBADBLOCK, DFS_EDIRTY, DFS_ESTALE_EPOCH, -EIO};

    assert_int_equal(finish(c, submit(c, 9, 0, 8192, 5)), 0);
    for (unsigned n = 0; n < 4; n++) {
        for (unsigned k = 0; k < FAKE_DNS; k++) {
            c->dns[k].fail_code = codes[n];
            c->dns[k].fail_reads = k != n % FAKE_DNS;
        }
        assert_int_equal(read_chunk(c, 9, true).status, 0);
    }
}

/* A lost file must not read as zeros. */
static void absent_chunk_is_zeros_only_when_never_written(void **state)
{
    struct cluster *c = *state;
    struct test_read t = read_chunk(c, 50, false);

    assert_int_equal(t.status, 0);
    assert_int_equal(t.rd.got, 0);
    assert_int_equal(total_reads(c), 2); /* Two members agree. */
    assert_int_equal(read_chunk(c, 50, true).status, -EIO);
}

static void dead_member_costs_no_error(void **state)
{
    struct cluster *c = *state;

    assert_int_equal(finish(c, submit(c, 9, 0, 8192, 5)), 0);
    for (uint64_t k = 0; k < 3; k++)
        assert_int_equal(read_chunk(c, 9, true).status, 0); /* Connected. */
    cluster_kill_dn(c, 0);
    cluster_kill_dn(c, 1);
    assert_int_equal(read_chunk(c, 9, true).status, 0);
}

static void silent_member_is_hedged(void **state)
{
    struct cluster *c = *state;

    assert_int_equal(finish(c, submit(c, 9, 0, 8192, 5)), 0);
    assert_int_equal(read_chunk(c, 9, true).status, 0);
    for (unsigned k = 0; k < FAKE_DNS; k++)
        c->dns[k].silent_reads = c->dns[k].reads > 0; /* The preferred one. */
    assert_int_equal(read_chunk(c, 9, true).status, 0);
    assert_int_equal(c->ll.stats.read_hedges, 1);
}

/* One that stands still costs one read its hedge, not each. */
static void who_kept_a_read_waiting_is_asked_last(void **state)
{
    struct cluster *c = *state;

    assert_int_equal(finish(c, submit(c, 9, 0, 8192, 5)), 0);
    assert_int_equal(read_chunk(c, 9, true).status, 0);
    for (unsigned k = 0; k < FAKE_DNS; k++)
        c->dns[k].silent_reads = c->dns[k].reads > 0;
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(read_chunk(c, 9, true).status, 0);
    assert_in_range(c->ll.stats.read_hedges, 1, 2);
}

/* All stand still, and it may be because of us: what is asked in vain is not asked twice as often. */
static void hedges_have_a_budget(void **state)
{
    struct cluster *c = *state;
    enum { READS = 2 * HEDGE_SAVED * HEDGE_SHARE };
    static struct test_read reads[READS];

    assert_int_equal(finish(c, submit(c, 9, 0, 8192, 5)), 0);
    for (unsigned k = 0; k < 3; k++)
        assert_int_equal(read_chunk(c, 9, true).status, 0);
    for (unsigned k = 0; k < FAKE_DNS; k++)
        c->dns[k].silent_reads = true;
    for (unsigned i = 0; i < READS; i++) {
        reads[i] =
            (struct test_read){.rd = {.pg = {1}, .chunk = {9}, .len = 4096, .done = on_read_done}};
        chunk_read_submit(c->ll.dns, &reads[i].rd);
    }
    cluster_pass(c, 300);
    for (unsigned i = 0; i < READS; i++)
        chunk_read_cancel(&reads[i].rd);
    assert_in_range(c->ll.stats.read_hedges, 1, HEDGE_SAVED + 1);
}

static void cancelled_read_never_calls_back(void **state)
{
    struct cluster *c = *state;
    struct test_read t = {0};

    t.rd.pg = (struct pg_id){1};
    t.rd.chunk = (struct chunk_id){9};
    t.rd.len = 4096;
    t.rd.done = on_read_done;
    chunk_read_submit(c->ll.dns, &t.rd);
    chunk_read_cancel(&t.rd);
    cluster_pass(c, 20);
    assert_false(t.done);
    assert_int_equal(dn_pool_busy(c->ll.dns), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(written_bytes_are_read_back),
        T(unaligned_write_has_a_crc_for_each_block_touched),
        T(lost_answer_does_not_execute_twice),
        T(new_head_in_the_refusal_is_followed),
        T(op_leaves_a_head_that_never_answers),
        T(killed_head_costs_no_error),
        T(many_ops_keep_to_the_window_and_their_order),
        T(refusals_for_good_are_told),
        T(refusing_head_is_asked_with_one_op),
        T(nobody_there_ends_in_a_timeout),
        T(lost_session_ends_all_ops),
        T(flipped_bit_is_found_and_read_again),
        T(damaged_copy_is_read_elsewhere),
        T(only_damaged_copies_are_an_error),
        T(refusing_member_is_passed_over),
        T(absent_chunk_is_zeros_only_when_never_written),
        T(dead_member_costs_no_error),
        T(silent_member_is_hedged),
        T(who_kept_a_read_waiting_is_asked_last),
        T(hedges_have_a_budget),
        T(cancelled_read_never_calls_back),
    };

    return cmocka_run_group_tests_name("dn", tests, NULL, NULL);
}
