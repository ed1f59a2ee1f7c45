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
#include "common/vfs.h"
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

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_true(struct cluster *c, void *ctx)
{
    (void)c;
    return *(bool *)ctx;
}

/* All is synced, and at rest. */
static void stop_cleanly(struct cluster *c, int node)
{
    bool has_stopped = false;

    dn_stop(c->nodes[node].dn, set_true, &has_stopped);
    assert_true(wait_for(c, is_true, &has_stopped));
    kill_node(c, node);
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

static void comes_back(struct cluster *c, int node)
{
    start(c, node);
    hang_up(c, node);
    assert_true(wait_for(c, all_registered, NULL));
}

/* All are CLEAN from now on, and their files closed: what can be compared by version alone. */
static void come_to_rest(struct cluster *c)
{
    for (int i = 0; i < NODES; i++)
        stop_cleanly(c, i);
    for (int i = 0; i < NODES; i++)
        comes_back(c, i);
    become(c, "0S 1S 2S");
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
    comes_back(c, 0);
    become(c, "1S 2S 0Y");
    assert_true(wait_for(c, is_synced, &joiner));
    become(c, "1S 2S 0S");
}

static bool was_reported(struct cluster *c, void *ctx)
{
    return c->bad_reports > *(unsigned *)ctx;
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
    comes_back(c, node);
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
            comes_back(c, 2);
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
    comes_back(c, 2);
    become(c, "0S 2Y 1-");
    assert_true(wait_for(c, is_synced, &joiner));
    become(c, "0S 2S 1-");
    assert_int_equal(read_verified(c, 2, 20480, 4096, true, a), DFS_EBADBLOCK);
    assert_content(c, 2, 24576, bytes + 24576, 50000);
    free(a);
}

/* ---- files that are gone ---- */

static bool has_left(struct cluster *c, void *ctx)
{
    return chain_is_failed(pg_at(c, *(int *)ctx)->chain);
}

static void lose_file(struct cluster *c, int node)
{
    assert_int_equal(vfs_unlink(vfs_fake_vfs(c->nodes[node].fake), chunk_path(c, node)), 0);
}

/*
 * Lost while the datanode was stopped, at rest: so nobody looks at the chunk when it joins. A read
 * finds it; the member leaves the chain, is taken in anew, and is filled again.
 */
static void a_lost_file_comes_back_from_the_others(void **state)
{
    struct cluster *c = *state;
    struct answer *a = MEM_NEW(struct answer);
    unsigned before = c->healed_reports;
    int node = 2;

    come_to_rest(c);
    stop_cleanly(c, 2);
    lose_file(c, 2);
    comes_back(c, 2);
    become(c, "0S 1S 2Y");
    assert_true(wait_for(c, is_synced, &node));
    become(c, "0S 1S 2S");
    assert_int_equal(read_verified(c, 2, 49152, 4096, true, a), DFS_EBADBLOCK);
    assert_true(wait_for(c, has_left, &node));
    become(c, "0S 1S 2-");
    become(c, "0S 1S 2Y");
    assert_true(wait_for(c, is_synced, &node));
    become(c, "0S 1S 2S");
    assert_content(c, 2, 0, bytes, sizeof(bytes));
    assert_true(wait_for(c, was_healed, &before));
    free(a);
}

/* The file is open, and reads go well; but its name is gone, and with the process all of it. */
static void a_file_lost_under_a_running_member_is_found_by_the_scrub(void **state)
{
    struct cluster *c = *state;
    struct vfs_stat st;
    int node = 2;

    kill_node(c, 2);
    c->nodes[2].conf.scrub_period_ms = 1000;
    comes_back(c, 2);
    become(c, "0S 1S 2Y");
    assert_true(wait_for(c, is_synced, &node));
    become(c, "0S 1S 2S");
    assert_content(c, 2, 0, bytes, sizeof(bytes));
    lose_file(c, 2);
    assert_content(c, 2, 0, bytes, sizeof(bytes));
    assert_true(wait_for(c, has_left, &node));
    become(c, "0S 1S 2-");
    become(c, "0S 1S 2Y");
    assert_true(wait_for(c, is_synced, &node));
    become(c, "0S 1S 2S");
    assert_content(c, 2, 0, bytes, sizeof(bytes));
    assert_int_equal(vfs_stat(vfs_fake_vfs(c->nodes[2].fake), chunk_path(c, 2), &st), 0);
    assert_int_equal(st.size, CHUNK_DATA_AT + sizeof(bytes));
}

/* The only copy stays where it is: what is left of it is better than nothing, and all else is copied. */
static void the_last_copy_of_a_lost_file_stops_nothing_else(void **state)
{
    struct cluster *c = *state;
    struct answer *a = MEM_NEW(struct answer);
    unsigned before = c->bad_reports;
    int joiner = 2, alone = 0;

    assert_int_equal(write_chunk(c, CHUNK + 1, "what comes after it"), 0);
    come_to_rest(c);
    kill_node(c, 1);
    kill_node(c, 2);
    stop_cleanly(c, 0);
    lose_file(c, 0);
    comes_back(c, 0);
    become(c, "0S 2- 1-");
    comes_with_an_empty_disk(c, 2);
    become(c, "0S 2Y 1-");
    assert_true(wait_for(c, is_synced, &joiner));
    assert_true(wait_for(c, was_reported, &before));
    assert_false(has_left(c, &alone));
    become(c, "0S 2S 1-");
    assert_int_equal(len_at(c, 2, CHUNK + 1), 19);
    assert_int_not_equal(read_verified(c, 2, 49152, 4096, true, a), 0);
    assert_int_not_equal(read_verified(c, 0, 49152, 4096, true, a), 0);
    free(a);
}

/* The joiner was at rest at the version that its source has lost: it is the one that has it. */
static void keeps_and_gives_back(struct cluster *c, bool was_killed)
{
    struct answer *a = MEM_NEW(struct answer);
    int joiner = 2, source = 0;

    come_to_rest(c);
    kill_node(c, 1);
    stop_cleanly(c, 2);
    if (was_killed)
        kill_node(c, 0);
    else
        stop_cleanly(c, 0);
    lose_file(c, 0);
    comes_back(c, 0);
    become(c, "0S 2- 1-");
    assert_int_equal(read_verified(c, 0, 49152, 4096, true, a),
                     was_killed ? DFS_EDIRTY : DFS_EBADBLOCK);
    comes_back(c, 2);
    become(c, "0S 2Y 1-");
    assert_true(wait_for(c, is_synced, &joiner));
    become(c, "0S 2S 1-");
    assert_content(c, 2, 0, bytes, sizeof(bytes));
    assert_true(wait_for(c, has_left, &source));
    become(c, "2S 0- 1-");
    become(c, "2S 0Y 1-");
    assert_true(wait_for(c, is_synced, &source));
    become(c, "2S 0S 1-");
    assert_content(c, 0, 0, bytes, sizeof(bytes));
    free(a);
}

static void a_joiner_keeps_what_its_source_has_lost_and_gives_it_back(void **state)
{
    keeps_and_gives_back(*state, false);
}

static void also_what_the_source_found_to_be_lost_when_it_started(void **state)
{
    keeps_and_gives_back(*state, true);
}

/* ---- no room ---- */

static void leave_only_the_reserve(struct cluster *c)
{
    for (int i = 0; i < NODES; i++) {
        struct vfs_fake *f = c->nodes[i].fake;
        struct vfs_space sp;

        assert_int_equal(vfs_space(vfs_fake_vfs(f), "/", &sp), 0);
        vfs_fake_set_capacity(f, (sp.total_bytes - sp.free_bytes) / 2 * 3);
    }
}

static bool head_knows_no_room(struct cluster *c, void *ctx)
{
    (void)ctx;
    return chain_free_below(pg_at(c, 0)->chain) == 0;
}

/* A hole needs room like what is behind the end: it is refused before anybody has applied it. */
static void a_write_into_a_hole_is_refused_when_only_the_reserve_is_left(void **state)
{
    struct cluster *c = *state;

    for (int i = 0; i < NODES; i++) {
        kill_node(c, i);
        c->nodes[i].conf.reserve_percent = 50;
    }
    for (int i = 0; i < NODES; i++)
        comes_back(c, i);
    become(c, "0S 1S 2S");
    assert_int_equal(write_at(c, 0, 10 << 20, bytes, 10000), 0);
    assert_int_equal(write_at(c, 0, 1 << 20, bytes, 65536), 0); /* There is room. */
    leave_only_the_reserve(c);
    assert_true(wait_for(c, head_knows_no_room, NULL));
    assert_int_equal(write_at(c, 0, 2 << 20, bytes, 65536), -ENOSPC);
    assert_int_equal(write_at(c, 0, (1 << 20) + 65536 - 100, bytes, 200), -ENOSPC);
    assert_int_equal(write_at(c, 0, (10 << 20) + 9999, bytes, 2), -ENOSPC);
    assert_int_equal(write_at(c, 0, (1 << 20) + 100, bytes + 1, 65000), 0);
    assert_content(c, 2, (1 << 20) + 100, bytes + 1, 65000);
    assert_content(c, 2, 2 << 20, (uint8_t[4096]){0}, 4096);
}

/* ---- power that fails ---- */

/*
 * The source of a cold start had been written to since its record was made: what its disk calls the
 * chunk's version is that of a member that was away, which must not pass for the same.
 */
static void who_was_away_takes_what_a_cold_start_has(void **state)
{
    struct cluster *c = *state;
    int joiner = 2;

    come_to_rest(c);
    stop_cleanly(c, 2);
    become(c, "0S 1S 2-");
    assert_int_equal(write_at(c, 0, 8192, bytes, 8192), 0);
    kill_node(c, 0);
    kill_node(c, 1);
    comes_back(c, 0);
    become(c, "0S 2- 1-");
    assert_content(c, 0, 8192, bytes, 8192);
    stop_cleanly(c, 0); /* At rest. */
    comes_back(c, 0);
    become(c, "0S 2- 1-");
    comes_back(c, 2);
    become(c, "0S 2Y 1-");
    assert_true(wait_for(c, is_synced, &joiner));
    become(c, "0S 2S 1-");
    assert_content(c, 2, 8192, bytes, 8192);
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
        TEST(a_lost_file_comes_back_from_the_others),
        TEST(a_file_lost_under_a_running_member_is_found_by_the_scrub),
        TEST(the_last_copy_of_a_lost_file_stops_nothing_else),
        TEST(a_joiner_keeps_what_its_source_has_lost_and_gives_it_back),
        TEST(also_what_the_source_found_to_be_lost_when_it_started),
        TEST(a_write_into_a_hole_is_refused_when_only_the_reserve_is_left),
        TEST(who_was_away_takes_what_a_cold_start_has),
    };

    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
