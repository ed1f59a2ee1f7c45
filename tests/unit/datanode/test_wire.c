/* What comes from the wire is checked before it is believed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/crc32c.h"
#include "common/error.h"
#include "common/slab.h"
#include "datanode/wire.h"

struct fixture {
    struct slab_pool *slabs;
    struct slab *slab;
    struct rpc_frame frame;
    Dfs__ChunkOp op;
};

static int setup(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    f.slabs = slab_pool_new(0);
    f.slab = slab_alloc(f.slabs, 300 << 10);
    memset(f.slab->data, 7, f.slab->capacity);
    f.frame.data = f.slab;
    f.frame.data_bytes = f.slab->data;
    dfs__chunk_op__init(&f.op);
    f.op.kind = DFS__CHUNK_OP_KIND__CHUNK_OP_WRITE;
    f.op.session = 1;
    f.op.opseq = f.op.floor = 1;
    f.op.chunk_id = 9;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    slab_unref(f->slab);
    slab_pool_free(f->slabs);
    return 0;
}

static int parse(struct fixture *f, struct chain_op **ret_op)
{
    f->frame.header.data_len = f->op.crc_count * 4 + f->op.len;
    return wire_op_from(&f->op, &f->frame, ret_op);
}

static void assert_refused(struct fixture *f)
{
    struct chain_op *op = NULL;

    assert_int_equal(parse(f, &op), DFS_EPROTO);
    assert_null(op);
}

static void a_write_inside_blocks_has_one_crc_for_each_block_it_touches(void **state)
{
    struct fixture *f = *state;
    struct chain_op *op;
    uint32_t crcs[3];

    f->op.offset = 4000;
    f->op.len = 96 + 4096 + 10;
    f->op.crc_count = 3;
    crcs[0] = crc32c(f->slab->data + 12, 96);
    crcs[1] = crc32c(f->slab->data + 12, 4096);
    crcs[2] = crc32c(f->slab->data + 12, 10);
    memcpy(f->slab->data, crcs, sizeof(crcs));
    assert_int_equal(parse(f, &op), 0);
    assert_int_equal(wire_op_check_crcs(op), 0);
    f->slab->data[12 + 96 + 5] ^= 1;
    assert_int_equal(wire_op_check_crcs(op), -EBADMSG);
    chain_op_unref(op);
}

static void lengths_that_cannot_be_are_refused(void **state)
{
    struct fixture *f = *state;

    f->op.len = 100;
    f->op.crc_count = 2;
    assert_refused(f);
    f->op.len = 0;
    f->op.crc_count = 0;
    assert_refused(f);
    f->op.len = CHUNK_OP_MAX + 1;
    f->op.crc_count = 65;
    assert_refused(f);
    f->op.offset = CHUNK_SIZE - 50;
    f->op.len = 100;
    f->op.crc_count = 1;
    assert_refused(f);
    f->op.offset = UINT32_MAX;
    assert_refused(f);
    f->op.offset = 0;
    f->op.chunk_id = 0;
    assert_refused(f);
}

static void numbers_of_a_session_must_make_sense(void **state)
{
    struct fixture *f = *state;

    f->op.len = 10;
    f->op.crc_count = 1;
    f->op.floor = 2;
    assert_refused(f);
    f->op.opseq = f->op.floor = 0;
    assert_refused(f);
    f->op.opseq = 1;
    f->op.session = 0;
    assert_refused(f);
    f->op.session = 1;
    f->op.kind = (Dfs__ChunkOpKind)99;
    assert_refused(f);
}

static void an_operation_of_the_namenode_is_not_deduplicated(void **state)
{
    struct fixture *f = *state;
    struct chain_op *op;
    uint64_t chunks[] = {5, 6};

    f->op.kind = DFS__CHUNK_OP_KIND__CHUNK_OP_DELETE;
    f->op.chunks = chunks;
    f->op.n_chunks = 2;
    f->op.opseq = 77;
    assert_int_equal(parse(f, &op), 0);
    assert_int_equal(op->opseq, 0);
    assert_int_equal(op->chunks[1], 6);
    chain_op_unref(op);
    chunks[0] = 0;
    assert_refused(f);
}

static struct chain_config good(void)
{
    return (struct chain_config){.pg = {1},
                                 .epoch = 3,
                                 .min_write = 2,
                                 .member_count = 3,
                                 .members = {{{1}, 11, MEMBER_SERVING, 0},
                                             {{2}, 12, MEMBER_SERVING, 0},
                                             {{3}, 13, MEMBER_SYNCING, 0}}};
}

static int check(const struct chain_config *c)
{
    struct chain_config back;
    struct wire_pg m;

    wire_config_to(c, &m);
    return wire_config_from(&m.pg, &back);
}

static void configurations_that_cannot_be_are_refused(void **state)
{
    struct chain_config c = good();

    (void)state;
    assert_int_equal(check(&c), 0);
    c.members[1].target.v = 1;
    assert_int_equal(check(&c), DFS_EPROTO);
    c = good();
    c.members[1].state = MEMBER_SYNCING;
    assert_int_equal(check(&c), DFS_EPROTO);
    c = good();
    c.members[0].state = MEMBER_SYNCING;
    c.members[2].state = MEMBER_SERVING;
    assert_int_equal(check(&c), DFS_EPROTO);
    c = good();
    c.epoch = 0;
    assert_int_equal(check(&c), DFS_EPROTO);
    c = good();
    c.members[2].state = (enum member_state)9;
    assert_int_equal(check(&c), DFS_EPROTO);
}

static void a_place_follows_from_order_state_and_incarnation(void **state)
{
    struct chain_config c = good();
    struct chain_place p;

    (void)state;
    chain_config_place(&c, (struct target_id){1}, 11, &p);
    assert_int_equal(p.role, CHAIN_SERVING);
    assert_true(p.is_head && !p.is_tail);
    assert_int_equal(p.succ.target.v, 2);
    chain_config_place(&c, (struct target_id){2}, 12, &p);
    assert_true(!p.is_head && p.is_tail);
    assert_int_equal(p.succ.target.v, 3);
    chain_config_place(&c, (struct target_id){3}, 13, &p);
    assert_int_equal(p.role, CHAIN_SYNCING);
    assert_int_equal(p.pred.target.v, 2);
    chain_config_place(&c, (struct target_id){2}, 99, &p);
    assert_int_equal(p.role, CHAIN_OUT);
    assert_true(chain_config_writable(&c));
    c.members[1].state = c.members[2].state = MEMBER_OFFLINE;
    assert_false(chain_config_writable(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_write_inside_blocks_has_one_crc_for_each_block_it_touches,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(lengths_that_cannot_be_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_of_a_session_must_make_sense, setup, teardown),
        cmocka_unit_test_setup_teardown(an_operation_of_the_namenode_is_not_deduplicated, setup,
                                        teardown),
        cmocka_unit_test(configurations_that_cannot_be_are_refused),
        cmocka_unit_test(a_place_follows_from_order_state_and_incarnation),
    };

    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
