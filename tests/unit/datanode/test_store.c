/* The store does what store.h says while nothing goes wrong: on the fake disk and on the real one.
 */
#include "tests/unit/datanode/store_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"

static int setup_fake(void **state)
{
    *state = fixture_new(true);
    return 0;
}

static int setup_real(void **state)
{
    *state = fixture_new(false);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void what_was_written_is_read_back(void **state)
{
    struct fixture *f = *state;

    assert_ok(write_fill(f, 5, 0, 256 << 10, 1, STORE_CREATE));
    assert_ok(write_fill(f, 5, 256 << 10, 5000, 1, 0));
    check_fill(f, 5, 0, (256 << 10) + 5000, 1);
    assert_int_equal(len_of(f, 5), (256 << 10) + 5000);
}

/* Every way in which a write can cut blocks, against a copy in memory. */
static void writes_at_any_offset_merge_into_their_blocks(void **state)
{
    static const uint32_t cuts[][2] = {
        {0, 1},      {1, 4095},     {4095, 2},       {4096, 4096},   {100, 10000}, {8191, 4098},
        {20000, 10}, {12288, 4096}, {30000, 123456}, {4000, 200000}, {0, 4096},    {200000, 4097},
    };
    struct fixture *f = *state;
    uint8_t *want = mem_zalloc(1, 256 << 10), *got = mem_alloc(256 << 10);
    uint32_t end = 0;

    for (unsigned i = 0; i < ARRAY_COUNT(cuts); i++) {
        uint32_t offset = cuts[i][0], len = cuts[i][1];

        fill(want + offset, len, offset, i);
        assert_ok(write_fill(f, 9, offset, len, i, STORE_CREATE));
        end = MAX(end, offset + len);
        assert_ok(read_bytes(f, 9, 0, 256 << 10, got, NULL));
        assert_memory_equal(want, got, 256 << 10);
        assert_int_equal(len_of(f, 9), end);
    }
    free(want);
    free(got);
}

static void a_hole_reads_as_zeros_and_verifies(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[8192], zeros[8192] = {0};
    unsigned bad;

    assert_ok(write_fill(f, 5, 10 << 20, 100, 1, STORE_CREATE));
    assert_ok(read_bytes(f, 5, 1 << 20, sizeof(buf), buf, NULL));
    assert_memory_equal(buf, zeros, sizeof(buf));
    assert_ok(verify_chunk(f, 5, &bad, NULL));
    assert_int_equal(bad, 0);
}

static void reads_end_where_the_chunk_ends(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[16384];
    uint32_t len;

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    assert_ok(read_bytes(f, 5, 0, sizeof(buf), buf, &len));
    assert_int_equal(len, 5000);
    assert_ok(read_bytes(f, 5, 8192, 4096, buf, &len));
    assert_int_equal(len, 0);
}

static void the_last_bytes_of_a_chunk_can_be_written(void **state)
{
    struct fixture *f = *state;

    assert_ok(write_fill(f, 5, CHUNK_SIZE - 5000, 5000, 1, STORE_CREATE));
    check_fill(f, 5, CHUNK_SIZE - 5000, 5000, 1);
    assert_int_equal(write_fill(f, 5, CHUNK_SIZE - 1, 2, 1, STORE_CREATE), -EINVAL);
    assert_int_equal(write_fill(f, 5, CHUNK_SIZE, 1, 1, STORE_CREATE), -EINVAL);
}

static void a_write_without_create_needs_the_chunk(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[4096];

    assert_int_equal(write_fill(f, 5, 0, 10, 1, 0), DFS_ENOCHUNK);
    assert_int_equal(read_bytes(f, 5, 0, 4096, buf, NULL), DFS_ENOCHUNK);
    assert_ok(truncate_to(f, 5, 0, 0));
    assert_ok(sync_chunk(f, 5));
}

/* Its members compare this number in ACKs: it must depend on what is there, not on how it came. */
static void equal_content_gives_equal_result_crcs(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[9000];
    uint32_t a, b, c;
    uint64_t da, db;

    fill(bytes, sizeof(bytes), 0, 3);
    assert_ok(write_bytes(f, 1, 0, bytes, sizeof(bytes), STORE_CREATE, NULL));
    assert_ok(write_bytes(f, 1, 100, bytes + 100, 5000, 0, &a));
    assert_ok(write_bytes(f, 2, 4096, bytes + 4096, 4904, STORE_CREATE, NULL));
    assert_ok(write_bytes(f, 2, 0, bytes, 4096, 0, NULL));
    assert_ok(write_bytes(f, 2, 100, bytes + 100, 5000, 0, &b));
    assert_int_equal(a, b);
    bytes[200] ^= 1;
    assert_ok(write_bytes(f, 2, 100, bytes + 100, 5000, 0, &c));
    assert_int_not_equal(a, c);
    bytes[200] ^= 1;
    assert_ok(write_bytes(f, 2, 100, bytes + 100, 5000, 0, NULL));
    assert_ok(verify_chunk(f, 1, NULL, &da));
    assert_ok(verify_chunk(f, 2, NULL, &db));
    assert_true(da == db);
}

static void truncation_cuts_and_what_grows_again_is_zero(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[32768], want[32768] = {0};
    unsigned bad;

    assert_ok(write_fill(f, 5, 0, 30000, 1, STORE_CREATE));
    assert_ok(truncate_to(f, 5, 10000, 0));
    assert_int_equal(len_of(f, 5), 10000);
    assert_ok(truncate_to(f, 5, 20000, 0)); /* Beyond the end: nothing. */
    assert_int_equal(len_of(f, 5), 10000);
    assert_ok(write_fill(f, 5, 25000, 100, 2, 0));
    fill(want, 10000, 0, 1);
    fill(want + 25000, 100, 25000, 2);
    assert_ok(read_bytes(f, 5, 0, sizeof(buf), buf, NULL));
    assert_memory_equal(buf, want, sizeof(buf));
    assert_ok(truncate_to(f, 5, 0, 0));
    assert_int_equal(len_of(f, 5), 0);
    assert_ok(verify_chunk(f, 5, &bad, NULL));
    assert_int_equal(bad, 0);
}

static void ops_on_a_chunk_happen_in_order(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 40 };
    struct answer a[COUNT] = {0};

    for (unsigned i = 0; i < COUNT; i++)
        start_write(f, 5, i * 100, 20000, i, STORE_CREATE, &a[i]);
    check_fill(f, 5, (COUNT - 1) * 100, 20000, COUNT - 1); /* Ordered after the writes. */
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(a[i].is_done);
        assert_ok(a[i].status);
        check_fill(f, 5, i * 100, 100, i);
    }
}

static void a_deleted_chunk_does_not_come_back(void **state)
{
    struct fixture *f = *state;
    struct vfs_stat st;
    uint8_t buf[4096];
    char path[300];

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    assert_ok(vfs_stat(f->vfs, path, &st));
    assert_ok(delete_chunk(f, 5));
    assert_int_equal(vfs_stat(f->vfs, path, &st), -ENOENT);
    assert_int_equal(write_fill(f, 5, 0, 10, 1, STORE_CREATE), -ESTALE);
    assert_int_equal(read_bytes(f, 5, 0, 4096, buf, NULL), DFS_ENOCHUNK);
    assert_ok(delete_chunk(f, 5)); /* Again: the namenode may repeat itself. */
    assert_ok(delete_chunk(f, 6)); /* Never there: the tombstone counts. */
    assert_int_equal(write_fill(f, 6, 0, 10, 1, STORE_CREATE), -ESTALE);
    fixture_close(f);
    assert_ok(fixture_open(f));
    assert_int_equal(write_fill(f, 5, 0, 10, 1, STORE_CREATE), -ESTALE);
    store_forget(f->t, (struct chunk_id){5}, NULL, NULL);
    assert_ok(write_fill(f, 5, 0, 10, 1, STORE_CREATE));
}

/* In one go, as one drops what is only here: the file is still open when the answer comes. */
static void a_tombstone_is_forgotten_as_soon_as_its_file_is_gone(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0};
    struct chunk_state cs;
    struct vfs_stat st;
    char path[300];

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    store_delete(f->t, (struct chunk_id){5}, (struct pg_id){PG}, answer_done, &a);
    store_forget(f->t, (struct chunk_id){5}, NULL, NULL);
    assert_ok(wait_for(f, &a));
    settle(f);
    assert_int_equal(vfs_stat(f->vfs, path, &st), -ENOENT);
    assert_int_equal(store_chunk_state(f->t, (struct chunk_id){5}, &cs), DFS_ENOCHUNK);
    assert_ok(write_fill(f, 5, 0, 5000, 2, STORE_CREATE));
    check_fill(f, 5, 0, 5000, 2);

    /* An order to delete that comes in between wants its tombstone. */
    a = (struct answer){0};
    store_delete(f->t, (struct chunk_id){5}, (struct pg_id){PG}, answer_done, &a);
    store_forget(f->t, (struct chunk_id){5}, NULL, NULL);
    assert_ok(delete_chunk(f, 5));
    settle(f);
    assert_int_equal(write_fill(f, 5, 0, 10, 1, STORE_CREATE), -ESTALE);
}

/* Else each file that ever was would cost memory and table for ever. */
static void tombstones_go_after_an_hour_also_those_of_an_earlier_life(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;

    for (uint64_t c = 10; c < 300; c++)
        assert_ok(delete_chunk(f, c));
    fixture_tick(f, TOMBSTONE_KEEP_MS / 2);
    assert_ok(delete_chunk(f, 300));
    fixture_tick(f, TOMBSTONE_KEEP_MS / 2);
    settle(f);
    target_stats(f->t, &st);
    assert_int_equal(st.tombstone_count, 1);
    assert_int_equal(write_fill(f, 300, 0, 10, 1, STORE_CREATE), -ESTALE);
    fixture_close(f);
    assert_ok(fixture_open(f));
    target_stats(f->t, &st);
    assert_int_equal(st.tombstone_count, 1);
    fixture_tick(f, TOMBSTONE_KEEP_MS);
    settle(f);
    target_stats(f->t, &st);
    assert_int_equal(st.tombstone_count, 0);
    assert_int_equal(st.chunk_count, 0);
    fixture_kill(f);
    assert_ok(fixture_open(f)); /* And the table on the disk says so too. */
    target_stats(f->t, &st);
    assert_int_equal(st.tombstone_count, 0);
}

static void a_write_with_sync_and_a_sync_leave_nothing_unsynced(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE | STORE_SYNC));
    target_stats(f->t, &st);
    assert_int_equal(st.unsynced_count, 0);
    assert_ok(write_fill(f, 5, 0, 5000, 2, STORE_SYNC));
    target_stats(f->t, &st);
    assert_int_equal(st.unsynced_count, 0);
    for (uint64_t c = 10; c < 20; c++)
        assert_ok(write_fill(f, c, 0, 5000, 1, STORE_CREATE));
    target_stats(f->t, &st);
    assert_int_equal(st.unsynced_count, 10);
    assert_ok(sync_chunk(f, 12));
    target_stats(f->t, &st);
    assert_int_equal(st.unsynced_count, 9);
    struct answer a = {0};
    store_sync_pg(f->t, (struct pg_id){PG}, answer_done, &a);
    assert_ok(wait_for(f, &a));
    target_stats(f->t, &st);
    assert_int_equal(st.unsynced_count, 0);
}

/* The promise of five seconds, and then CLEAN after ten without a change. */
static void time_syncs_and_cleans_by_itself(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    assert_true(flags_of(f, 5) & CHUNK_DIRTY);
    fixture_tick(f, 1000);
    target_stats(f->t, &st);
    assert_int_equal(st.unsynced_count, 1);
    fixture_tick(f, 3000);
    target_stats(f->t, &st);
    assert_int_equal(st.unsynced_count, 0);
    assert_true(flags_of(f, 5) & CHUNK_DIRTY);
    fixture_tick(f, 7000);
    assert_false(flags_of(f, 5) & CHUNK_DIRTY);
    assert_ok(write_fill(f, 5, 100, 50, 2, 0));
    assert_true(flags_of(f, 5) & CHUNK_DIRTY);
    check_fill(f, 5, 100, 50, 2);
}

/* Only so many chunks may have to be compared after a crash. */
static void too_many_dirty_chunks_are_cleaned_early(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;

    for (uint64_t c = 1; c <= 300; c++)
        assert_ok(write_fill(f, c, 0, 100, 1, STORE_CREATE));
    target_stats(f->t, &st);
    assert_int_equal(st.dirty_count, 300);
    fixture_tick(f, 3500); /* Synced, */
    fixture_tick(f, 1000); /* and then cleaned. */
    target_stats(f->t, &st);
    assert_in_range(st.dirty_count, 1, DIRTY_CHUNKS_MAX);
    for (uint64_t c = 1; c <= 300; c++)
        check_fill(f, c, 0, 100, 1);
}

static void files_stay_open_only_up_to_the_limit(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;

    fixture_close(f);
    f->options.open_files_max = 8;
    assert_ok(fixture_open(f));
    for (uint64_t c = 1; c <= 50; c++)
        assert_ok(write_fill(f, c, 0, 9000, (uint32_t)c, STORE_CREATE));
    settle(f);
    target_stats(f->t, &st);
    assert_in_range(st.open_files, 1, 9);
    for (uint64_t c = 1; c <= 50; c++)
        check_fill(f, c, 0, 9000, (uint32_t)c);
    assert_int_equal(st.unsynced_count, 50); /* Closed is not synced. */
    struct answer a = {0};
    store_sync_pg(f->t, (struct pg_id){0}, answer_done, &a);
    assert_ok(wait_for(f, &a));
}

static void a_clean_end_is_remembered(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    assert_ok(target_set_id(f->t, (struct target_id){3}));
    fixture_close(f);
    assert_ok(fixture_open(f));
    target_stats(f->t, &st);
    assert_true(st.was_clean);
    assert_int_equal(flags_of(f, 5), 0);
    assert_int_equal(len_of(f, 5), 5000);
    assert_int_equal(target_id(f->t).v, 3);
    assert_int_equal(target_set_id(f->t, (struct target_id){4}), -EEXIST);
    check_fill(f, 5, 0, 5000, 1);
    assert_ptr_equal(store_target_find(f->store, (struct target_id){3}), f->t);
}

static void chunks_are_listed_by_pg_in_order(void **state)
{
    static const uint64_t ids[] = {70, 3, 5000000000, 12, 9};
    struct fixture *f = *state;
    struct chunk_state s[8];
    struct pg_id pgs[4];

    for (unsigned i = 0; i < ARRAY_COUNT(ids); i++)
        assert_ok(write_fill(f, ids[i], 0, 100, 1, STORE_CREATE));
    assert_int_equal(store_list(f->t, (struct pg_id){PG}, (struct chunk_id){0}, 3, s), 3);
    assert_int_equal(s[0].id.v, 3);
    assert_int_equal(s[1].id.v, 9);
    assert_int_equal(s[2].id.v, 12);
    assert_int_equal(store_list(f->t, (struct pg_id){PG}, s[2].id, 3, s), 2);
    assert_int_equal(s[1].id.v, 5000000000);
    assert_int_equal(store_list(f->t, (struct pg_id){1}, (struct chunk_id){0}, 3, s), 0);
    assert_int_equal(store_list_pgs(f->t, (struct pg_id){0}, 4, pgs), 1);
    assert_int_equal(pgs[0].v, PG);
}

/* A join: nothing is served before all is there, then it is CLEAN with the version of the source.
 */
static void a_copy_is_incomplete_until_it_is_whole(void **state)
{
    struct fixture *f = *state;
    struct chunk_state s;
    struct answer a = {0}, b = {0};
    uint8_t buf[8192];

    store_mark_incomplete(f->t, (struct chunk_id){5}, (struct pg_id){PG}, answer_done, &a);
    assert_ok(wait_for(f, &a));
    assert_int_equal(read_bytes(f, 5, 0, 4096, buf, NULL), DFS_EDIRTY);
    assert_ok(write_fill(f, 5, 0, 8192, 1, STORE_COPY));
    assert_ok(truncate_to(f, 5, 5000, STORE_COPY));
    store_mark_complete(f->t, (struct chunk_id){5}, (struct chunk_ver){4, 44}, 0, answer_done, &b);
    assert_ok(wait_for(f, &b));
    assert_ok(store_chunk_state(f->t, (struct chunk_id){5}, &s));
    assert_int_equal(s.flags, 0);
    assert_int_equal(s.len, 5000);
    assert_int_equal(s.ver.epoch, 4);
    assert_int_equal(s.ver.seq, 44);
    check_fill(f, 5, 0, 5000, 1);
    assert_ok(read_bytes(f, 5, 4096, 4096, buf, NULL));
    for (int i = 5000 - 4096; i < 4096; i++)
        assert_int_equal(buf[i], 0);
}

static uint64_t truncated_for(struct fixture *f, uint64_t chunk)
{
    struct chunk_state s = {0};

    assert_ok(store_chunk_state(f->t, (struct chunk_id){chunk}, &s));
    return s.trunc_version;
}

static int set_truncated(struct fixture *f, uint64_t chunk, uint64_t version)
{
    struct answer a = {0};

    store_set_truncated(f->t, (struct chunk_id){chunk}, version, answer_done, &a);
    return wait_for(f, &a);
}

/* Whatever comes between: a write that it is to protect may be fsynced right after it. */
static void which_truncations_were_done_is_kept(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0}, b = {0};

    assert_ok(set_truncated(f, 5, 7)); /* There is none. */
    assert_ok(write_fill(f, 5, 0, 8192, 1, STORE_CREATE));
    assert_int_equal(truncated_for(f, 5), 0);
    assert_ok(set_truncated(f, 5, 7));
    assert_ok(set_truncated(f, 5, 6));
    assert_int_equal(truncated_for(f, 5), 7);
    fixture_kill(f);
    assert_ok(fixture_open(f));
    assert_int_equal(truncated_for(f, 5), 7);
    fixture_close(f);
    assert_ok(fixture_open(f));
    assert_int_equal(truncated_for(f, 5), 7);
    assert_ok(write_fill(f, 5, 0, 8192, 2, 0));
    fixture_kill(f);
    assert_ok(fixture_open(f));
    assert_int_equal(truncated_for(f, 5), 7);

    /* A copy: what was done here is no longer known to be in the bytes. */
    store_mark_incomplete(f->t, (struct chunk_id){5}, (struct pg_id){PG}, answer_done, &a);
    assert_ok(wait_for(f, &a));
    assert_int_equal(truncated_for(f, 5), 0);
    store_mark_complete(f->t, (struct chunk_id){5}, (struct chunk_ver){4, 44}, 3, answer_done, &b);
    assert_ok(wait_for(f, &b));
    fixture_kill(f);
    assert_ok(fixture_open(f));
    assert_int_equal(truncated_for(f, 5), 3);
}

static void an_empty_chunk_can_be_copied(void **state)
{
    struct fixture *f = *state;
    struct answer a = {0}, b = {0};

    store_mark_incomplete(f->t, (struct chunk_id){5}, (struct pg_id){PG}, answer_done, &a);
    assert_ok(wait_for(f, &a));
    assert_ok(verify_chunk(f, 5, NULL, NULL));
    store_mark_complete(f->t, (struct chunk_id){5}, (struct chunk_ver){4, 44}, 0, answer_done, &b);
    assert_ok(wait_for(f, &b));
    assert_int_equal(flags_of(f, 5), 0);
    assert_int_equal(len_of(f, 5), 0);
    assert_ok(verify_chunk(f, 5, NULL, NULL));
}

struct fd_reading {
    bool is_done;
    struct store_read_result *r;
};

static void keep_read(void *ctx, int status, struct store_read_result *r)
{
    struct fd_reading *rd = ctx;

    assert_ok(status);
    store_read_keep(r);
    rd->r = r;
    rd->is_done = true;
}

/* What sendfile(2) needs; it stays valid though the chunk is deleted meanwhile. */
static void a_descriptor_read_outlives_the_chunk(void **state)
{
    struct fixture *f = *state;
    struct fd_reading rd = {0};
    uint8_t buf[8192], want[8192];

    assert_ok(write_fill(f, 5, 0, 20000, 1, STORE_CREATE));
    store_read(f->t,
               &(struct store_read){.chunk = {5}, .offset = 4096, .len = 8192, .want_fd = true},
               keep_read, &rd);
    while (!rd.is_done)
        loop_run_once(f->loop, true);
    assert_ok(delete_chunk(f, 5));
    assert_true(rd.r->fd >= 0);
    assert_int_equal(pread(rd.r->fd, buf, sizeof(buf), (off_t)rd.r->file_offset), sizeof(buf));
    fill(want, sizeof(want), 4096, 1);
    assert_memory_equal(buf, want, sizeof(buf));
    assert_int_equal(rd.r->slot_count, 2);
    assert_int_equal(rd.r->slots[1], crc32c(want + 4096, 4096) ^ CRC32C_ZERO_BLOCK);
    store_read_release(rd.r);
}

static void many_chunks_at_once_are_all_synced(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 200 };
    struct answer a[COUNT] = {0}, s = {0};
    struct chunk_id ids[COUNT];
    struct target_stats st;

    for (unsigned i = 0; i < COUNT; i++) {
        ids[i].v = 100 + i;
        start_write(f, 100 + i, 0, 5000, i, STORE_CREATE, &a[i]);
    }
    store_sync(f->t, ids, COUNT, answer_done, &s);
    assert_ok(wait_for(f, &s));
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(a[i].is_done && a[i].status == 0);
    target_stats(f->t, &st);
    assert_int_equal(st.unsynced_count, 0);
}

static void a_checkpoint_while_writing_keeps_the_table_whole(void **state)
{
    struct fixture *f = *state;
    struct answer a[100] = {0};

    for (unsigned i = 0; i < 100; i++)
        assert_ok(write_fill(f, 1 + i, 0, 5000, i, STORE_CREATE));
    table_log_tick(f->t->log, true);
    for (unsigned i = 0; i < 100; i++)
        start_write(f, 51 + i, 5000, 1000, i, STORE_CREATE, &a[i]);
    for (unsigned i = 0; i < 100; i++)
        assert_ok(wait_for(f, &a[i]));
    settle(f);
    fixture_close(f);
    assert_ok(fixture_open(f));
    for (unsigned i = 0; i < 100; i++)
        check_fill(f, 1 + i, 0, 5000, i);
    assert_int_equal(len_of(f, 150), 6000);
}

#define ON_BOTH(test)                                                                              \
    cmocka_unit_test_setup_teardown(test, setup_fake, teardown),                                   \
    {                                                                                              \
#test " (real disk)", test, setup_real, teardown, NULL                                     \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(what_was_written_is_read_back),
        ON_BOTH(writes_at_any_offset_merge_into_their_blocks),
        ON_BOTH(a_hole_reads_as_zeros_and_verifies),
        ON_BOTH(reads_end_where_the_chunk_ends),
        ON_BOTH(the_last_bytes_of_a_chunk_can_be_written),
        ON_BOTH(a_write_without_create_needs_the_chunk),
        ON_BOTH(equal_content_gives_equal_result_crcs),
        ON_BOTH(truncation_cuts_and_what_grows_again_is_zero),
        cmocka_unit_test_setup_teardown(which_truncations_were_done_is_kept, setup_fake, teardown),
        ON_BOTH(ops_on_a_chunk_happen_in_order),
        ON_BOTH(a_deleted_chunk_does_not_come_back),
        ON_BOTH(a_tombstone_is_forgotten_as_soon_as_its_file_is_gone),
        cmocka_unit_test_setup_teardown(tombstones_go_after_an_hour_also_those_of_an_earlier_life,
                                        setup_fake, teardown),
        ON_BOTH(a_write_with_sync_and_a_sync_leave_nothing_unsynced),
        ON_BOTH(time_syncs_and_cleans_by_itself),
        ON_BOTH(too_many_dirty_chunks_are_cleaned_early),
        ON_BOTH(files_stay_open_only_up_to_the_limit),
        ON_BOTH(a_clean_end_is_remembered),
        ON_BOTH(chunks_are_listed_by_pg_in_order),
        ON_BOTH(a_copy_is_incomplete_until_it_is_whole),
        ON_BOTH(an_empty_chunk_can_be_copied),
        ON_BOTH(many_chunks_at_once_are_all_synced),
        ON_BOTH(a_checkpoint_while_writing_keeps_the_table_whole),
        cmocka_unit_test_setup_teardown(a_descriptor_read_outlives_the_chunk, setup_real, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
