/*
 * Three datanodes in one process, over loopback, with a namenode that does as it is told: the
 * program's parts but for main(). A client writes and reads through the chain.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "common/vfs.h"
#include "datanode/dn.h"
#include "rpc/msg.h"
#include "rpc/server.h"
#include "rpc/token.h"
#include "tests/unit/datanode/service_cluster.h"

/* ---- stories ---- */

static void what_is_written_at_the_head_is_read_everywhere(void **state)
{
    struct cluster *c = *state;
    static uint8_t bytes[256 << 10];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    assert_int_equal(write_at(c, 0, 0, bytes, sizeof(bytes)), 0);
    assert_int_equal(write_at(c, 0, 300 << 10, bytes, 10000), 0);
    assert_int_equal(write_at(c, 0, 5000, "hello", 5), 0);
    memcpy(bytes + 5000, "hello", 5);
    for (int i = 0; i < NODES; i++) {
        assert_content(c, i, 0, bytes, sizeof(bytes));
        assert_content(c, i, (256 << 10) + 100, (uint8_t[1000]){0}, 1000);
    }
    /* Each byte went once from each member to the next. */
    assert_int_equal(
        metrics_read(c->nodes[0].metrics, "dfs_dn_chain_messages_total{type=\"op\",dir=\"out\"}"),
        3);
    assert_int_equal(
        metrics_read(c->nodes[2].metrics, "dfs_dn_chain_messages_total{type=\"op\",dir=\"in\"}"),
        3);
}

static void truncated_synced_and_deleted_through_the_chain(void **state)
{
    struct cluster *c = *state;
    Dfs__ChunkOp op;
    uint64_t chunk = CHUNK;
    struct answer *a = MEM_NEW(struct answer);

    assert_int_equal(write_at(c, 0, 0, "0123456789", 10), 0);
    op = new_op(c, DFS__CHUNK_OP_KIND__CHUNK_OP_TRUNC);
    op.offset = 4;
    assert_int_equal(call(c, 0, &op, NULL), 0);
    for (int i = 0; i < NODES; i++)
        assert_content(c, i, 0, "0123\0\0\0\0\0\0", 10);
    op = new_op(c, DFS__CHUNK_OP_KIND__CHUNK_OP_SYNC);
    op.chunks = &chunk;
    op.n_chunks = 1;
    assert_int_equal(call(c, 0, &op, NULL), 0);
    op = new_op(c, DFS__CHUNK_OP_KIND__CHUNK_OP_DELETE);
    op.opseq = op.floor = op.session = 0;
    op.chunks = &chunk;
    op.n_chunks = 1;
    assert_int_equal(call(c, 0, &op, NULL), 0);
    for (int i = 0; i < NODES; i++)
        assert_int_equal(read_at(c, i, 0, 4096, a), DFS_ENOCHUNK);
    free(a);
}

static int zero_tail(struct cluster *c, int head, uint32_t from, uint64_t version)
{
    Dfs__ChunkOp op = new_op(c, DFS__CHUNK_OP_KIND__CHUNK_OP_TRUNC);

    op.offset = from;
    op.trunc_version = version;
    return call(c, head, &op, NULL);
}

/* Who saw the mark of a truncation and was held up: meanwhile another has zeroed the tail, the mark was
 * cleared, and there are new bytes. */
static void a_late_truncation_leaves_what_was_written_since(void **state)
{
    struct cluster *c = *state;

    assert_int_equal(write_at(c, 0, 0, "0123456789", 10), 0);
    assert_int_equal(zero_tail(c, 0, 4, 3), 0);
    assert_int_equal(write_at(c, 0, 4, "new", 3), 0);
    assert_int_equal(zero_tail(c, 0, 4, 3), 0);
    assert_int_equal(zero_tail(c, 0, 2, 2), 0);
    for (int i = 0; i < NODES; i++)
        assert_content(c, i, 0, "0123new\0\0\0", 10);
    assert_int_equal(zero_tail(c, 0, 5, 4), 0); /* A later one. */
    for (int i = 0; i < NODES; i++)
        assert_content(c, i, 0, "0123n\0\0\0\0\0", 10);
    assert_int_equal(zero_tail(c, 0, 4, 0), 0); /* Of a client that knows no versions. */
    for (int i = 0; i < NODES; i++)
        assert_content(c, i, 0, "0123\0\0\0\0\0\0", 10);
}

static void damaged_data_is_refused_before_it_has_a_place(void **state)
{
    struct cluster *c = *state;
    Dfs__ChunkOp op = new_op(c, DFS__CHUNK_OP_KIND__CHUNK_OP_WRITE);
    uint32_t crc = 12345;
    struct rpc_payload p = {.file_fd = -1, .part_count = 2};

    op.len = 4;
    op.crc_count = 1;
    p.parts[0].bytes = &crc;
    p.parts[0].len = 4;
    p.parts[1].bytes = "abcd";
    p.parts[1].len = 4;
    assert_int_equal(call(c, 0, &op, &p), -EBADMSG);
    assert_int_equal(chain_recv_seq(pg_at(c, 0)->chain), 0);
    op.crc_count = 2;
    assert_int_equal(call(c, 0, &op, &p), DFS_EPROTO);
}

static void others_than_the_head_say_who_it_is(void **state)
{
    struct cluster *c = *state;

    assert_int_equal(write_at(c, 1, 0, "abcd", 4), DFS_ENOTHEAD);
}

static void a_dead_tail_is_accused_and_writes_go_on_without_it(void **state)
{
    struct cluster *c = *state;
    struct answer *a = MEM_NEW(struct answer);
    Dfs__ChunkOp op;
    uint32_t crc = crc32c("efgh", 4);
    struct rpc_payload p = {.file_fd = -1, .part_count = 2};
    uint64_t deadline;

    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0);
    kill_node(c, 2);
    op = new_op(c, DFS__CHUNK_OP_KIND__CHUNK_OP_WRITE);
    op.offset = 4;
    op.len = 4;
    op.crc_count = 1;
    p.parts[0].bytes = &crc;
    p.parts[0].len = 4;
    p.parts[1].bytes = "efgh";
    p.parts[1].len = 4;
    (void)conn_call(client_of(c, 0), MSG_CHUNK_OP, &op.base, &p, 0, on_answer, a);
    deadline = clock_monotonic_ns(clock_system()) + WAIT_MS * CLOCK_NS_PER_MS;
    while (c->nodes[2].accusations == 0 && clock_monotonic_ns(clock_system()) < deadline)
        loop_run_once(c->loop, true);
    assert_true(c->nodes[2].accusations > 0);
    assert_false(a->came);
    configure(c, "0S 1S 2-");
    assert_true(wait_for(c, answered, a));
    assert_int_equal(a->status, 0);
    assert_content(c, 1, 0, "abcdefgh", 8);
    free(a);
}

/* Each who loses its successor finds the next one; a hello that waits for the dead one's answer
 * must not be held against the living. */
static void a_dead_middle_costs_only_its_own_place(void **state)
{
    struct cluster *c = *state;

    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0);
    kill_node(c, 1);
    for (int i = 0; i < 200 && c->nodes[1].accusations == 0; i++)
        loop_run_once(c->loop, true);
    configure(c, "0S 2S 1-");
    assert_int_equal(write_at(c, 0, 4, "efgh", 4), 0);
    for (unsigned beats = c->nodes[0].heartbeats; c->nodes[0].heartbeats < beats + 2;)
        loop_run_once(c->loop, true);
    assert_content(c, 2, 0, "abcdefgh", 8);
    assert_true(c->nodes[1].accusations > 0);
    assert_int_equal(c->nodes[0].accusations, 0);
    assert_int_equal(c->nodes[2].accusations, 0);
}

/* Our connection to a node that has died since: the next call makes another. */
static void hang_up(struct cluster *c, int node)
{
    if (c->client[node] != NULL)
        conn_close(c->client[node], -ECONNRESET);
    loop_run_once(c->loop, false);
    loop_run_once(c->loop, false);
}

static void a_restarted_member_joins_and_has_it_all(void **state)
{
    struct cluster *c = *state;
    static uint8_t bytes[200000];
    int joiner = 0;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 13 + i / 97);
    assert_int_equal(write_at(c, 0, 1000, bytes, 100000), 0);
    kill_node(c, 0);
    configure(c, "1S 2S 0-");
    assert_int_equal(write_at(c, 1, 50000, bytes + 3, 100000), 0);
    memmove(bytes + 49000, bytes + 3, 100000);
    start(c, 0);
    assert_true(wait_for(c, all_registered, NULL));
    configure(c, "1S 2S 0Y");
    assert_true(wait_for(c, all_know_epoch, NULL));
    /* Live, while it copies. */
    assert_int_equal(write_at(c, 1, 200000, "live", 4), 0);
    assert_true(wait_for(c, is_synced, &joiner));
    configure(c, "1S 2S 0S");
    assert_true(wait_for(c, all_know_epoch, NULL));
    hang_up(c, 0);
    assert_content(c, 0, 1000, bytes, 49000);
    assert_content(c, 0, 50000, bytes + 49000, 100000);
    assert_content(c, 0, 200000, "live", 4);
    assert_int_equal(write_at(c, 1, 1, "x", 1), 0);
    assert_content(c, 0, 0, "\0x", 2);
}

/* It was away when the tail was zeroed, and leads the chain when the late one comes. */
static void a_joiner_learns_which_truncations_were_done(void **state)
{
    struct cluster *c = *state;
    int joiner = 0;

    assert_int_equal(write_at(c, 0, 0, "0123456789", 10), 0);
    assert_int_equal(zero_tail(c, 0, 8, 2), 0);
    kill_node(c, 0);
    configure(c, "1S 2S 0-");
    assert_int_equal(zero_tail(c, 1, 4, 3), 0);
    assert_int_equal(write_at(c, 1, 4, "new", 3), 0);
    start(c, 0);
    assert_true(wait_for(c, all_registered, NULL));
    configure(c, "1S 2S 0Y");
    assert_true(wait_for(c, all_know_epoch, NULL));
    assert_true(wait_for(c, is_synced, &joiner));
    configure(c, "0S 1S 2S");
    assert_true(wait_for(c, all_know_epoch, NULL));
    hang_up(c, 0);
    assert_int_equal(zero_tail(c, 0, 4, 3), 0);
    for (int i = 0; i < NODES; i++)
        assert_content(c, i, 0, "0123new\0\0\0", 10);
}

/* A record that carries its own CRC32C, as many do: whatever it says, its block has the same CRC. */
static void make_record(uint8_t block[4096], const char *says)
{
    uint32_t crc = crc32c(says, 8);

    memset(block, 7, 4096);
    memcpy(block, says, 8);
    memcpy(block + 8, &crc, sizeof(crc));
}

static void a_joiner_is_not_misled_by_equal_crcs(void **state)
{
    struct cluster *c = *state;
    static uint8_t before[4096], after[4096];
    int joiner = 0;

    make_record(before, "before..");
    make_record(after, "after...");
    assert_int_equal(crc32c(before, 4096), crc32c(after, 4096));
    assert_int_equal(write_at(c, 0, 8192, before, 4096), 0);
    kill_node(c, 0);
    configure(c, "1S 2S 0-");
    assert_int_equal(write_at(c, 1, 8192, after, 4096), 0);
    start(c, 0);
    assert_true(wait_for(c, all_registered, NULL));
    configure(c, "1S 2S 0Y");
    assert_true(wait_for(c, all_know_epoch, NULL));
    assert_true(wait_for(c, is_synced, &joiner));
    configure(c, "1S 2S 0S");
    assert_true(wait_for(c, all_know_epoch, NULL));
    hang_up(c, 0);
    assert_content(c, 0, 8192, after, 4096);
}

static bool holds_nothing(struct cluster *c, void *ctx)
{
    struct target_stats st;

    target_stats(store_target_at(c->nodes[*(int *)ctx].dn->store, 0), &st);
    return st.chunk_count == 0;
}

static uint64_t chunks_at(struct cluster *c, int node)
{
    struct target_stats st;

    target_stats(store_target_at(c->nodes[node].dn->store, 0), &st);
    return st.chunk_count;
}

/*
 * A spare took its place. It keeps all until the others are whole without it, then drops it; asked
 * back, it takes everything, also what it had dropped.
 */
static void what_a_replaced_target_holds_goes_once_the_others_are_whole(void **state)
{
    struct cluster *c = *state;
    int replaced = 2;

    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0);
    configure(c, "0S 1Y 2x");
    assert_true(wait_for(c, all_know_epoch, NULL));
    for (unsigned beats = c->nodes[2].heartbeats; c->nodes[2].heartbeats < beats + 2;)
        loop_run_once(c->loop, true);
    assert_int_equal(chunks_at(c, 2), 1);
    replaced = 1;
    assert_true(wait_for(c, is_synced, &replaced));
    configure(c, "0S 1S 2x");
    replaced = 2;
    assert_true(wait_for(c, holds_nothing, &replaced));
    assert_int_equal(chunks_at(c, 0), 1);
    assert_int_equal(chunks_at(c, 1), 1);

    assert_true(wait_for(c, all_know_epoch, NULL));
    assert_int_equal(write_at(c, 0, 4, "efgh", 4), 0);
    configure(c, "0S 1S 2Y");
    assert_true(wait_for(c, all_know_epoch, NULL));
    assert_int_equal(write_at(c, 0, 8, "live", 4), 0);
    assert_true(wait_for(c, is_synced, &replaced));
    configure(c, "0S 1S 2S");
    assert_true(wait_for(c, all_know_epoch, NULL));
    assert_content(c, 2, 0, "abcdefghlive", 12);
}

/* It learns of it when it comes back: nobody had told it that it is a member of nothing. */
static void a_target_replaced_while_it_was_away_drops_what_it_holds(void **state)
{
    struct cluster *c = *state;
    int replaced = 2;

    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0);
    kill_node(c, 2);
    configure(c, "0S 1S 2x");
    start(c, 2);
    assert_true(wait_for(c, all_registered, NULL));
    assert_true(wait_for(c, holds_nothing, &replaced));
    assert_content(c, 1, 0, "abcd", 4);
}

static bool was_reported(struct cluster *c, void *ctx)
{
    return c->bad_reports > *(unsigned *)ctx;
}

static void flip_byte(struct cluster *c, int node, int offset)
{
    char command[512];

    (void)snprintf(command, sizeof(command),
                   "f=$(find %s/c -type f) && printf X | "
                   "dd of=$f bs=1 seek=%d conv=notrunc status=none",
                   c->nodes[node].dir, (128 << 10) + offset);
    assert_int_equal(system(command), 0);
}

/* Found by a read, told to the reader, and healed from another copy, wherever it stands. */
static void a_flipped_byte_is_found_and_healed(void **state)
{
    struct cluster *c = *state;
    struct answer *a = MEM_NEW(struct answer);
    static uint8_t bytes[100000];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + i / 89);
    assert_int_equal(write_at(c, 0, 0, bytes, sizeof(bytes)), 0);
    for (int i = 0; i < NODES; i++) {
        unsigned before = c->bad_reports;

        flip_byte(c, i, 50000);
        assert_int_equal(read_verified(c, i, 49152, 4096, true, a), DFS_EBADBLOCK);
        assert_true(wait_for(c, was_reported, &before));
        assert_int_equal(read_verified(c, i, 49152, 4096, true, a), 0);
        assert_content(c, i, 0, bytes, sizeof(bytes));
    }
    assert_int_equal(write_at(c, 0, 3, "and on", 6), 0);
    free(a);
}

static bool both_were_healed(struct cluster *c, void *ctx)
{
    return c->healed_reports >= *(unsigned *)ctx + 2;
}

/* The head holds a chunk for one of them at a time: the other asks again. */
static void two_members_with_damage_at_once_are_both_healed(void **state)
{
    struct cluster *c = *state;
    struct answer *a = MEM_NEW(struct answer), *b = MEM_NEW(struct answer);
    static uint8_t bytes[100000];
    unsigned before = c->healed_reports, before_all = c->bad_reports;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 29 + i / 83);
    assert_int_equal(write_at(c, 0, 0, bytes, sizeof(bytes)), 0);
    flip_byte(c, 1, 10000);
    flip_byte(c, 2, 50000);
    ask_verified(c, 1, 8192, 4096, true, a);
    ask_verified(c, 2, 49152, 4096, true, b);
    assert_true(wait_for(c, both_were_healed, &before));
    assert_int_equal(c->bad_reports - before_all, 2); /* Nothing was "not healed" in between. */
    assert_true(a->came && b->came);
    for (int i = 0; i < NODES; i++)
        assert_content(c, i, 0, bytes, sizeof(bytes));
    free(a);
    free(b);
}

/* Nobody reads it, but somebody compares the replicas: that must not leave the damage there. */
static void a_flipped_byte_that_an_inventory_finds_is_healed(void **state)
{
    struct cluster *c = *state;
    struct answer *a = MEM_NEW(struct answer);
    static uint8_t bytes[100000];
    unsigned before = c->bad_reports;
    Dfs__InventoryRequest m = DFS__INVENTORY_REQUEST__INIT;

    assert_int_equal(write_at(c, 0, 0, bytes, sizeof(bytes)), 0);
    flip_byte(c, 1, 50000);
    m.pg = PG;
    m.digests = true;
    m.limit = 10;
    (void)conn_call(client_of(c, 1), MSG_INVENTORY, &m.base, NULL, 5000, on_answer, a);
    assert_true(wait_for(c, answered, a));
    assert_int_equal(a->status, 0);
    assert_true(wait_for(c, was_reported, &before));
    assert_content(c, 1, 0, bytes, sizeof(bytes));
    free(a);
}

static void a_session_that_was_fenced_is_refused(void **state)
{
    struct cluster *c = *state;
    Dfs__PgConfigPush m = DFS__PG_CONFIG_PUSH__INIT;
    struct answer *a = MEM_NEW(struct answer);
    uint64_t session = 5;

    m.fenced_sessions = &session;
    m.n_fenced_sessions = 1;
    (void)conn_call(c->nodes[0].nn_conn, MSG_PG_CONFIG, &m.base, NULL, 1000, on_answer, a);
    assert_true(wait_for(c, answered, a));
    assert_int_equal(write_at(c, 0, 0, "abcd", 4), DFS_EFENCED);
    free(a);
}

/* Its fence is in nobody's memory any more. */
static void a_session_older_than_all_that_live_is_refused_after_a_restart(void **state)
{
    struct cluster *c = *state;

    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0); /* As session 5. */
    for (int i = 0; i < NODES; i++)
        kill_node(c, i);
    c->lowest_session = 6;
    for (int i = 0; i < NODES; i++)
        start(c, i);
    assert_true(wait_for(c, all_registered, NULL));
    configure(c, "0S 1S 2S");
    assert_true(wait_for(c, all_know_epoch, NULL));
    hang_up(c, 0);
    assert_int_equal(write_at(c, 0, 0, "efgh", 4), DFS_EFENCED);
}

/* It is told of them by the way, with all groups it knows. */
static void a_session_that_ended_is_refused_in_groups_that_did_not_change(void **state)
{
    struct cluster *c = *state;
    Dfs__PgConfigPush m = DFS__PG_CONFIG_PUSH__INIT;
    struct answer *a = MEM_NEW(struct answer);

    m.lowest_session = 5;
    (void)conn_call(c->nodes[0].nn_conn, MSG_PG_CONFIG, &m.base, NULL, 1000, on_answer, a);
    assert_true(wait_for(c, answered, a));
    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0);
    m.lowest_session = 6;
    a->came = false;
    (void)conn_call(c->nodes[0].nn_conn, MSG_PG_CONFIG, &m.base, NULL, 1000, on_answer, a);
    assert_true(wait_for(c, answered, a));
    assert_int_equal(write_at(c, 0, 0, "abcd", 4), DFS_EFENCED);
    m.lowest_session = 4; /* It never goes down again. */
    a->came = false;
    (void)conn_call(c->nodes[0].nn_conn, MSG_PG_CONFIG, &m.base, NULL, 1000, on_answer, a);
    assert_true(wait_for(c, answered, a));
    assert_int_equal(write_at(c, 0, 0, "abcd", 4), DFS_EFENCED);
    free(a);
}

static bool target_is_told(struct cluster *c, void *ctx)
{
    int i = *(int *)ctx;

    return c->nodes[i].failed_target && c->nodes[i].accusations > 0;
}

/* After one failed sync nothing that a disk says is believed. */
static void a_failed_target_leaves_its_chains_and_says_so(void **state)
{
    struct cluster *c = *state;
    int node = 1;

    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0);
    target_fail(store_target_at(c->nodes[1].dn->store, 0), -EIO);
    assert_true(wait_for(c, target_is_told, &node));
    assert_int_equal(chain_place_of(pg_at(c, 1)->chain)->role, CHAIN_OUT);
    configure(c, "0S 2S 1-");
    assert_int_equal(write_at(c, 0, 4, "efgh", 4), 0);
    assert_content(c, 2, 0, "abcdefgh", 8);
}

static bool has_failed(struct cluster *c, void *ctx)
{
    (void)ctx;
    return c->failure[0] != '\0';
}

static void a_target_of_another_cluster_is_left_alone(void **state)
{
    struct cluster *c = *state;

    kill_node(c, 1);
    c->uuid = uuid_new();
    start(c, 1);
    assert_true(wait_for(c, has_failed, NULL));
    assert_non_null(strstr(c->failure, "cluster"));
}

static void a_second_datanode_on_the_same_target_is_refused(void **state)
{
    struct cluster *c = *state;

    kill_node(c, 1);
    (void)strcpy(c->nodes[1].dir, c->nodes[0].dir);
    start(c, 1);
    assert_true(wait_for(c, has_failed, NULL));
    assert_non_null(strstr(c->failure, c->nodes[0].dir));
}

static void inventories_of_equal_members_are_equal(void **state)
{
    struct cluster *c = *state;
    uint64_t digest[NODES];

    assert_int_equal(write_at(c, 0, 123, "some bytes", 10), 0);
    for (int i = 0; i < NODES; i++) {
        Dfs__InventoryRequest m = DFS__INVENTORY_REQUEST__INIT;
        struct answer *a = MEM_NEW(struct answer);

        m.pg = PG;
        m.limit = 10;
        m.digests = true;
        (void)conn_call(client_of(c, i), MSG_INVENTORY, &m.base, NULL, 5000, on_answer, a);
        assert_true(wait_for(c, answered, a));
        assert_int_equal(a->status, 0);
        digest[i] = a->digest;
        free(a);
    }
    assert_int_equal(digest[0], digest[1]);
    assert_int_equal(digest[0], digest[2]);
}

/* A client's token opens its own chunks to it, not the chain nor what the others hold. */
static void a_clients_token_is_for_reading_and_writing_alone(void **state)
{
    static const uint16_t types[] = {MSG_INVENTORY, MSG_CHAIN_HELLO, MSG_SYNC_LIST};
    static const uint8_t key[32] = {1, 2, 3};
    struct cluster *c = *state;
    uint8_t token[TOKEN_BYTES];
    Dfs__DataHello hello = DFS__DATA_HELLO__INIT;
    Dfs__Empty empty = DFS__EMPTY__INIT;

    assert_int_equal(token_make(key, sizeof(key), 77, token), 0);
    hello.session = 77;
    hello.token = (ProtobufCBinaryData){sizeof(token), token};
    hello.cluster_uuid = (ProtobufCBinaryData){sizeof(c->uuid.b), c->uuid.b};
    for (size_t i = 0; i <= ARRAY_COUNT(types); i++) {
        struct answer *a = MEM_NEW(struct answer);

        if (i == 0)
            (void)conn_call(client_of(c, 0), MSG_DATA_HELLO, &hello.base, NULL, 5000, on_answer, a);
        else
            (void)conn_call(client_of(c, 0), types[i - 1], &empty.base, NULL, 5000, on_answer, a);
        assert_true(wait_for(c, answered, a));
        assert_int_equal(a->status, i == 0 ? 0 : -EACCES);
        free(a);
    }
}

static bool tail_is_timed(struct cluster *c, void *ctx)
{
    (void)ctx;
    return c->nodes[1].link_p99_us[2] != 0 && c->nodes[0].own_p99_us != 0 &&
           c->nodes[2].own_p99_us != 0;
}

/* What a head waits for may be anybody's fault, and says nothing of the one behind it. */
static void how_late_the_tail_is_is_told_by_the_one_before_it(void **state)
{
    struct cluster *c = *state;
    unsigned told;

    assert_int_equal(write_at(c, 0, 0, "12345678", 8), 0);
    assert_true(wait_for(c, tail_is_timed, NULL));
    told = c->nodes[0].heartbeats;
    while (c->nodes[0].heartbeats < told + 2)
        loop_run_once(c->loop, true);
    assert_int_equal(c->nodes[0].link_p99_us[1], 0);
    assert_int_equal(c->nodes[0].link_p99_us[2], 0);
    /* Without the last the second is. */
    configure(c, "0S 1S 2x");
    assert_true(wait_for(c, all_know_epoch, NULL));
    assert_int_equal(write_at(c, 0, 8, "12345678", 8), 0);
    while (c->nodes[0].link_p99_us[1] == 0)
        loop_run_once(c->loop, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_at_the_head_is_read_everywhere, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_late_truncation_leaves_what_was_written_since, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_joiner_learns_which_truncations_were_done, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(truncated_synced_and_deleted_through_the_chain, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(damaged_data_is_refused_before_it_has_a_place, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(others_than_the_head_say_who_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_tail_is_accused_and_writes_go_on_without_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(how_late_the_tail_is_is_told_by_the_one_before_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_dead_middle_costs_only_its_own_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_joiner_is_not_misled_by_equal_crcs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_restarted_member_joins_and_has_it_all, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_replaced_target_holds_goes_once_the_others_are_whole,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_target_replaced_while_it_was_away_drops_what_it_holds,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_byte_is_found_and_healed, setup, teardown),
        cmocka_unit_test_setup_teardown(two_members_with_damage_at_once_are_both_healed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_flipped_byte_that_an_inventory_finds_is_healed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_session_that_was_fenced_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_session_older_than_all_that_live_is_refused_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_session_that_ended_is_refused_in_groups_that_did_not_change, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_target_leaves_its_chains_and_says_so, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_target_of_another_cluster_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_datanode_on_the_same_target_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_clients_token_is_for_reading_and_writing_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(inventories_of_equal_members_are_equal, setup, teardown),
    };

    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
