/* Disks that lose what they were given, one sector or one file at a time: what the others have comes
 * back, and what nobody has stops nothing else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/crc32c.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/vfs_fake.h"
#include "datanode/chunk_file.h"
#include "tests/unit/datanode/service_cluster.h"

static uint8_t bytes[100000];

static int setup_damage(void **state)
{
    struct cluster *c;

    if (setup_on_fake_disks(state) != 0)
        return -1;
    c = *state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + i / 79);
    assert_int_equal(write_at(c, 0, 0, bytes, sizeof(bytes)), 0);
    return 0;
}

static const char *chunk_path(struct cluster *c, int node)
{
    static char path[PATH_BYTES_MAX + 1];
    const struct chunk_dir dir = {.path = c->nodes[node].dir};

    chunk_file_path(&dir, CHUNK, path);
    return path;
}

static void spoil(struct cluster *c, int node, uint32_t offset)
{
    assert_int_equal(
        vfs_fake_spoil(c->nodes[node].fake, chunk_path(c, node), CHUNK_DATA_AT + offset, 1), 0);
}

static void hang_up(struct cluster *c, int node)
{
    if (c->client[node] != NULL)
        conn_close(c->client[node], -ECONNRESET);
    loop_run_once(c->loop, false);
    loop_run_once(c->loop, false);
}

static void become(struct cluster *c, const char *text)
{
    configure(c, text);
    assert_true(wait_for(c, all_know_epoch, NULL));
}

/* Node 0 dies, comes back as the last, and joins; all is compared, for it was not clean. */
static void die_and_join(struct cluster *c, int damaged)
{
    int joiner = 0;

    kill_node(c, 0);
    configure(c, "1S 2S 0-");
    assert_int_equal(write_at(c, 1, 40000, bytes, 20000), 0);
    memmove(bytes + 40000, bytes, 20000);
    spoil(c, damaged, 44000); /* What was just written, and what both have. */
    spoil(c, damaged, 80000);
    start(c, 0);
    hang_up(c, 0);
    assert_true(wait_for(c, all_registered, NULL));
    become(c, "1S 2S 0Y");
    assert_true(wait_for(c, is_synced, &joiner));
    become(c, "1S 2S 0S");
}

static bool was_healed(struct cluster *c, void *ctx)
{
    return c->healed_reports > *(unsigned *)ctx;
}

/* ---- sectors that cannot be read ---- */

static void an_unreadable_sector_is_healed(void **state)
{
    struct cluster *c = *state;
    struct answer *a = MEM_NEW(struct answer);

    for (int i = 0; i < NODES; i++) {
        unsigned before = c->healed_reports;

        spoil(c, i, 50000);
        assert_int_equal(read_verified(c, i, 49152, 4096, true, a), DFS_EBADBLOCK);
        assert_true(wait_for(c, was_healed, &before));
        assert_int_equal(read_verified(c, i, 49152, 4096, true, a), 0);
        assert_content(c, i, 0, bytes, sizeof(bytes));
    }
    assert_int_equal(write_at(c, 0, 3, "and on", 6), 0);
    free(a);
}

static void a_joiner_with_an_unreadable_sector_joins(void **state)
{
    struct cluster *c = *state;

    die_and_join(c, 0);
    assert_content(c, 0, 0, bytes, sizeof(bytes));
}

static bool all_well(struct cluster *c, void *ctx)
{
    struct target_stats st;

    (void)ctx;
    for (int i = 0; i < NODES; i++) {
        target_stats(store_target_at(c->nodes[i].dn->store, 0), &st);
        if (st.bad_count > 0)
            return false;
    }
    return true;
}

/* The block that the joiner lacks is bad at its source, and good at another member. */
static void a_source_with_an_unreadable_sector_is_healed_by_another(void **state)
{
    struct cluster *c = *state;

    die_and_join(c, 2);
    assert_true(wait_for(c, all_well, NULL));
    for (int i = 0; i < NODES; i++)
        assert_content(c, i, 0, bytes, sizeof(bytes));
}

/* ---- what nobody has any more ---- */

static void flip(struct cluster *c, int node, uint32_t offset)
{
    assert_int_equal(
        vfs_fake_flip_bit(c->nodes[node].fake, chunk_path(c, node), CHUNK_DATA_AT + offset, 3), 0);
}

/* Chunks behind the first, in the order of the group. */
static int write_chunk(struct cluster *c, uint64_t chunk, const char *text)
{
    Dfs__ChunkOp op = new_op(c, DFS__CHUNK_OP_KIND__CHUNK_OP_WRITE);
    uint32_t crc = crc32c(text, strlen(text));
    struct rpc_payload p = {.file_fd = -1, .part_count = 2};

    op.chunk_id = chunk;
    op.len = (uint32_t)strlen(text);
    op.crc_count = 1;
    p.parts[0].bytes = &crc;
    p.parts[0].len = 4;
    p.parts[1].bytes = text;
    p.parts[1].len = op.len;
    return call(c, 0, &op, &p);
}

static uint32_t len_at(struct cluster *c, int node, uint64_t chunk)
{
    struct chunk_state st;

    assert_int_equal(store_chunk_state(store_target_at(c->nodes[node].dn->store, 0),
                                       (struct chunk_id){chunk}, &st),
                     0);
    assert_int_equal(st.flags & CHUNK_INCOMPLETE, 0);
    return st.len;
}

static void comes_with_an_empty_disk(struct cluster *c, int node)
{
    vfs_fake_free(c->nodes[node].fake);
    c->nodes[node].fake = vfs_fake_new();
    start(c, node);
    hang_up(c, node);
    assert_true(wait_for(c, all_registered, NULL));
}

/*
 * The last copy has two bad blocks, the second of them the chunk's last: a joiner takes them over as
 * bad, and all else as it is; and when it comes back another time, both agree on what is bad.
 */
static void the_last_copy_with_bad_blocks_is_copied_all_the_same(void **state)
{
    struct cluster *c = *state;
    struct answer *a = MEM_NEW(struct answer);
    int joiner = 2;

    assert_int_equal(write_chunk(c, CHUNK + 1, "what comes after it"), 0);
    kill_node(c, 1);
    kill_node(c, 2);
    flip(c, 0, 50000);
    flip(c, 0, 99999);
    for (int i = 0; i < 2; i++) {
        if (i == 0) {
            comes_with_an_empty_disk(c, 2);
        } else {
            kill_node(c, 2);
            start(c, 2);
            hang_up(c, 2);
            assert_true(wait_for(c, all_registered, NULL));
        }
        become(c, "0S 2Y 1-");
        assert_true(wait_for(c, is_synced, &joiner));
        become(c, "0S 2S 1-");
        for (int n = 0; n < NODES; n += 2) {
            assert_int_equal(read_verified(c, n, 49152, 4096, true, a), DFS_EBADBLOCK);
            assert_int_equal(read_verified(c, n, 98304, 4096, true, a), DFS_EBADBLOCK);
            assert_content(c, n, 0, bytes, 49152);
            assert_content(c, n, 53248, bytes + 53248, 98304 - 53248);
            assert_int_equal(len_at(c, n, CHUNK), sizeof(bytes));
            assert_int_equal(len_at(c, n, CHUNK + 1), 19);
        }
    }
    /* Writing them over heals both. */
    assert_int_equal(write_at(c, 0, 49152, bytes, 4096), 0);
    assert_content(c, 2, 49152, bytes, 4096);
    free(a);
}

/* Bytes that rotted where zeros should be, and the joiner has others: there is no telling the rot from
 * a CRC that was lost, so zeros that look good are no answer. */
static void a_bad_block_that_should_be_zeros_is_bad_at_the_joiner(void **state)
{
    struct cluster *c = *state;
    struct answer *a = MEM_NEW(struct answer);
    int joiner = 2;

    kill_node(c, 2);
    become(c, "0S 1S 2-");
    assert_int_equal(write_at(c, 0, 20480, (uint8_t[4096]){0}, 4096), 0);
    kill_node(c, 1);
    flip(c, 0, 22222);
    start(c, 2);
    hang_up(c, 2);
    assert_true(wait_for(c, all_registered, NULL));
    become(c, "0S 2Y 1-");
    assert_true(wait_for(c, is_synced, &joiner));
    become(c, "0S 2S 1-");
    assert_int_equal(read_verified(c, 2, 20480, 4096, true, a), DFS_EBADBLOCK);
    assert_content(c, 2, 24576, bytes + 24576, 50000);
    free(a);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_damage, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unreadable_sector_is_healed),
        TEST(a_joiner_with_an_unreadable_sector_joins),
        TEST(a_source_with_an_unreadable_sector_is_healed_by_another),
        TEST(the_last_copy_with_bad_blocks_is_copied_all_the_same),
        TEST(a_bad_block_that_should_be_zeros_is_bad_at_the_joiner),
    };

    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
