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

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_damage, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unreadable_sector_is_healed),
        TEST(a_joiner_with_an_unreadable_sector_joins),
        TEST(a_source_with_an_unreadable_sector_is_healed_by_another),
    };

    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
