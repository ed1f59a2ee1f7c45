/* Disks that fail, rot and fill up, and directories that are not what they should be. */
#include "tests/unit/datanode/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/error.h"
#include "common/mem.h"

static int setup(void **state)
{
    *state = fixture_new(true);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

/* After a failed sync the kernel may have dropped the pages: a later success proves nothing. */
static void failed_sync_is_never_acked(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;
    uint8_t buf[4096];

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    vfs_fake_fail(f->fake, VFS_FAKE_SYNC, 0, EIO, false);
    assert_int_equal(sync_chunk(f, 5), -EIO);
    assert_int_equal(sync_chunk(f, 5), -EIO);
    assert_int_equal(write_fill(f, 5, 0, 10, 1, 0), -EIO);
    assert_int_equal(read_bytes(f, 5, 0, 4096, buf, NULL), -EIO);
    settle(f);
    assert_int_equal(f->failed, -EIO);
    target_stats(f->t, &st);
    assert_int_equal(st.health, TARGET_FAILED);
    assert_int_equal(st.failure, -EIO);
}

/*
 * Somebody restarts the process: the pages that the kernel took for written are still in memory and
 * would compare equal with the others' copies, and be called durable.
 */
static void a_failed_target_stays_failed_in_its_next_life(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[4096];

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE | STORE_SYNC));
    assert_ok(write_fill(f, 5, 0, 5000, 2, 0));
    vfs_fake_fail(f->fake, VFS_FAKE_SYNC, 0, EIO, false);
    assert_int_equal(sync_chunk(f, 5), -EIO);
    settle(f);
    for (int i = 0; i < 2; i++) {
        fixture_close(f);
        assert_ok(fixture_open(f));
        assert_true(target_is_failed(f->t));
        assert_int_equal(write_fill(f, 5, 0, 5000, 3, STORE_CREATE), -EIO);
        assert_int_equal(read_bytes(f, 5, 0, 4096, buf, NULL), -EIO);
    }
    fixture_close(f);
    f->options.rebuild = true; /* An operator looked at it. */
    assert_ok(fixture_open(f));
    assert_false(target_is_failed(f->t));
    assert_int_equal(flags_of(f, 5), CHUNK_DIRTY | CHUNK_SUSPECT);
    f->options.rebuild = false;
    fixture_close(f);
    assert_ok(fixture_open(f));
    assert_false(target_is_failed(f->t));
}

/* A full disk is none that failed: once there is room, the next life goes on. */
static void a_target_whose_table_found_no_room_is_good_again_in_its_next_life(void **state)
{
    struct fixture *f = *state;

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE | STORE_SYNC));
    target_fail(f->t, -ENOSPC);
    settle(f);
    fixture_close(f);
    assert_ok(fixture_open(f));
    assert_false(target_is_failed(f->t));
    check_fill(f, 5, 0, 4096, 1);
}

static void a_failed_write_fails_the_target(void **state)
{
    struct fixture *f = *state;

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    vfs_fake_fail(f->fake, VFS_FAKE_WRITE, 0, EIO, false);
    assert_int_equal(write_fill(f, 5, 0, 5000, 2, 0), -EIO);
    assert_true(target_is_failed(f->t));
    settle(f);
    assert_int_equal(f->failed, -EIO);
}

/* Each disk call of a long story fails once: nobody hangs, nobody is told a lie. */
static void every_call_may_fail_and_every_op_is_answered(void **state)
{
    static const enum vfs_fake_op kinds[] = {VFS_FAKE_OPEN, VFS_FAKE_READ,     VFS_FAKE_WRITE,
                                             VFS_FAKE_SYNC, VFS_FAKE_SYNC_DIR, VFS_FAKE_TRUNCATE,
                                             VFS_FAKE_NAME};
    (void)state;

    for (unsigned k = 0; k < ARRAY_COUNT(kinds); k++) {
        for (uint64_t after = 0; after < 12; after++) {
            struct fixture *f = fixture_new(true);
            struct answer a = {0}, b = {0};
            uint8_t buf[4096];
            int r = 0;

            vfs_fake_fail(f->fake, kinds[k], after, EIO, true);
            r = write_fill(f, 5, 0, 5000, 1, STORE_CREATE);
            r = r < 0 ? r : sync_chunk(f, 5);
            r = r < 0 ? r : write_fill(f, 6, 100, 20000, 1, STORE_CREATE | STORE_SYNC);
            fixture_tick(f, 11000);
            fixture_tick(f, 11000);
            r = r < 0 ? r : write_fill(f, 5, 100, 9000, 1, 0);
            r = r < 0 ? r : truncate_to(f, 5, 5000, 0);
            store_delete(f->t, (struct chunk_id){6}, (struct pg_id){PG}, answer_done, &a);
            (void)wait_for(f, &a);
            store_sync_pg(f->t, (struct pg_id){0}, answer_done, &b);
            if (wait_for(f, &b) == 0 && r == 0 && a.status == 0)
                assert_int_not_equal(read_bytes(f, 5, 0, 4096, buf, NULL), DFS_ENOCHUNK);
            fixture_close(f);
            fixture_free(f);
        }
    }
}

static void a_flipped_bit_is_not_given_out(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[12288];
    char path[300];
    unsigned bad;

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 12288, 1, STORE_CREATE | STORE_SYNC));
    assert_ok(vfs_fake_flip_bit(f->fake, path, CHUNK_DATA_AT + 5000, 3));
    assert_int_equal(read_bytes(f, 5, 0, 12288, buf, NULL), DFS_EBADBLOCK);
    assert_true(flags_of(f, 5) & CHUNK_BAD);
    assert_ok(read_bytes(f, 5, 0, 4096, buf, NULL)); /* Its neighbours are good. */
    assert_ok(verify_chunk(f, 5, &bad, NULL));
    assert_int_equal(bad, 1);
    assert_false(target_is_failed(f->t));

    /* A part of the block may not be changed: its other bytes would get a good CRC. */
    assert_int_equal(write_fill(f, 5, 4500, 100, 2, 0), DFS_EBADBLOCK);
    assert_int_equal(truncate_to(f, 5, 5000, 0), DFS_EBADBLOCK);
    assert_int_equal(read_bytes(f, 5, 0, 12288, buf, NULL), DFS_EBADBLOCK);

    /* The whole block from another copy heals it, and a check finds that. */
    assert_ok(write_fill(f, 5, 4096, 4096, 1, STORE_COPY));
    check_fill(f, 5, 0, 12288, 1);
    assert_ok(verify_chunk(f, 5, &bad, NULL));
    assert_int_equal(bad, 0);
    assert_false(flags_of(f, 5) & CHUNK_BAD);
}

/* One sector that the disk does not give is one bad block, for whoever looks, and is healed by writing
 * it: else the whole chunk could neither be healed nor copied. */
static void an_unreadable_sector_is_one_bad_block(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[12288];
    char path[300];
    unsigned bad;

    for (int i = 0; i < 2; i++) { /* Past the page cache and through it. */
        uint64_t chunk = 5 + (uint64_t)i;

        if (i == 1)
            vfs_fake_refuse_direct(f->fake);
        chunk_path(f, chunk, path, sizeof(path));
        assert_ok(write_fill(f, chunk, 0, 300000, 1, STORE_CREATE | STORE_SYNC));
        assert_ok(vfs_fake_spoil(f->fake, path, CHUNK_DATA_AT + 5000, 1));
        assert_ok(vfs_fake_spoil(f->fake, path, CHUNK_DATA_AT + 299900, 1)); /* The last, cut. */
        assert_ok(verify_chunk(f, chunk, &bad, NULL));
        assert_int_equal(bad, 2);
        assert_true(flags_of(f, chunk) & CHUNK_BAD);
        assert_int_equal(read_bytes(f, chunk, 0, 12288, buf, NULL), DFS_EBADBLOCK);
        check_fill(f, chunk, 8192, 200000, 1);
        assert_int_equal(write_fill(f, chunk, 4500, 100, 2, 0), DFS_EBADBLOCK);
        assert_ok(write_fill(f, chunk, 4096, 4096, 1, STORE_COPY));
        assert_ok(verify_chunk(f, chunk, &bad, NULL));
        assert_int_equal(bad, 1);
        assert_ok(write_fill(f, chunk, 299008, 4096, 1, STORE_COPY));
        assert_ok(verify_chunk(f, chunk, &bad, NULL));
        assert_int_equal(bad, 0);
        assert_false(flags_of(f, chunk) & CHUNK_BAD);
        check_fill(f, chunk, 0, 300000, 1);
        assert_false(target_is_failed(f->t));
    }
}

/* Nobody knows the CRCs that were in it: all its blocks are bad, until each is written. */
static void an_unreadable_sector_of_slots_is_bad_blocks(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[8192];
    char path[300];
    unsigned bad;

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 12288, 1, STORE_CREATE));
    fixture_close(f);
    assert_ok(vfs_fake_spoil(f->fake, path, CHUNK_SLOTS_AT, 1));
    assert_ok(fixture_open(f));
    assert_ok(verify_chunk(f, 5, &bad, NULL));
    assert_int_equal(bad, 3);
    assert_int_equal(read_bytes(f, 5, 0, 4096, buf, NULL), DFS_EBADBLOCK);
    assert_ok(write_fill(f, 5, 4096, 4096, 1, STORE_COPY));
    fixture_close(f);
    assert_ok(fixture_open(f)); /* From the disk again: two are bad still. */
    assert_ok(verify_chunk(f, 5, &bad, NULL));
    assert_int_equal(bad, 2);
    check_fill(f, 5, 4096, 4096, 1);
    assert_int_equal(read_bytes(f, 5, 8192, 4096, buf, NULL), DFS_EBADBLOCK);
    assert_ok(write_fill(f, 5, 0, 4096, 1, STORE_COPY));
    assert_ok(write_fill(f, 5, 8192, 4096, 1, STORE_COPY));
    assert_ok(write_fill(f, 5, 12288, 100, 1, 0));
    assert_ok(verify_chunk(f, 5, &bad, NULL));
    assert_int_equal(bad, 0);
    check_fill(f, 5, 0, 12388, 1);
}

/* It says nothing that is not known otherwise: no reason to give up the chunk, nor the target. */
static void an_unreadable_header_is_written_again(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[CHUNK_HEADER_SIZE];
    struct vfs_file *file;
    struct chunk_header h;
    char path[300];

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 12288, 1, STORE_CREATE));
    fixture_close(f);
    assert_ok(vfs_fake_spoil(f->fake, path, 0, 1));
    assert_ok(fixture_open(f));
    check_fill(f, 5, 0, 12288, 1);
    assert_ok(write_fill(f, 5, 5000, 10, 1, 0));
    check_fill(f, 5, 0, 12288, 1);
    assert_ok(vfs_open(f->vfs, path, O_RDONLY, 0, &file));
    assert_int_equal(vfs_pread(file, buf, sizeof(buf), 0), sizeof(buf));
    vfs_close(file);
    assert_ok(chunk_header_decode(buf, &h));
    assert_false(target_is_failed(f->t));
}

/* Appending to a block whose other bytes have rotted must not make it look good again. */
static void an_append_does_not_launder_a_rotten_block(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[4096];
    char path[300];

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 1000, 1, STORE_CREATE | STORE_SYNC));
    assert_ok(vfs_fake_flip_bit(f->fake, path, CHUNK_DATA_AT + 10, 3));
    (void)write_fill(f, 5, 1000, 1000, 1, 0);
    assert_int_equal(read_bytes(f, 5, 0, 4096, buf, NULL), DFS_EBADBLOCK);
}

static void a_rotten_slot_is_found_too(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[4096];
    char path[300];

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 12288, 1, STORE_CREATE));
    fixture_close(f);
    assert_ok(vfs_fake_flip_bit(f->fake, path, CHUNK_SLOTS_AT + 4, 0));
    assert_ok(fixture_open(f));
    assert_ok(read_bytes(f, 5, 0, 4096, buf, NULL));
    assert_int_equal(read_bytes(f, 5, 4096, 4096, buf, NULL), DFS_EBADBLOCK);
}

static void a_full_disk_fails_the_op_and_not_the_target(void **state)
{
    struct fixture *f = *state;

    assert_ok(write_fill(f, 5, 0, 20000, 1, STORE_CREATE | STORE_SYNC));
    vfs_fake_set_capacity(f->fake, 1 << 20);
    assert_int_equal(write_fill(f, 6, 0, IO_SIZE_MAX, 1, STORE_CREATE), -ENOSPC);
    assert_false(target_is_failed(f->t));
    assert_int_equal(target_free_bytes(f->t), 0);
    check_fill(f, 5, 0, 20000, 1);
    assert_ok(delete_chunk(f, 5)); /* Deleting always works. */
    fixture_tick(f, 1000);
    assert_true(target_free_bytes(f->t) > 0);
    assert_ok(write_fill(f, 7, 0, 8192, 1, STORE_CREATE));
}

static void free_space_leaves_the_reserve_out(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;

    fixture_close(f);
    f->options.capacity_bytes = 10 << 20;
    f->options.reserve_percent = 10;
    assert_ok(fixture_open(f));
    target_stats(f->t, &st);
    assert_in_range(st.total_bytes, 9 << 20, (9 << 20) + 200);
    assert_ok(write_fill(f, 5, 0, 1 << 20, 1, STORE_CREATE));
    fixture_tick(f, 1000);
    assert_in_range(target_free_bytes(f->t), (8 << 20) - 9000, (8 << 20) + 200);
}

/* One more descriptor, once: what is whole blocks, and big enough, goes past the page cache. */
static void only_big_whole_blocks_are_written_directly(void **state)
{
    struct fixture *f = *state;
    uint64_t opens;

    fixture_close(f);
    f->options.direct_min = 16384;
    assert_ok(fixture_open(f));
    assert_ok(write_fill(f, 5, 0, 100, 1, STORE_CREATE));
    opens = vfs_fake_op_count(f->fake, VFS_FAKE_OPEN);
    assert_ok(write_fill(f, 5, 0, 12288, 1, 0));
    assert_ok(write_fill(f, 5, 100, 16384, 1, 0));
    assert_ok(write_fill(f, 5, 0, 16385, 1, 0));
    assert_int_equal(vfs_fake_op_count(f->fake, VFS_FAKE_OPEN), opens);
    assert_ok(write_fill(f, 5, 0, 16384, 2, 0));
    assert_ok(write_fill(f, 5, 16384, 32768, 2, 0));
    assert_int_equal(vfs_fake_op_count(f->fake, VFS_FAKE_OPEN), opens + 1);
    check_fill(f, 5, 0, 49152, 2);
}

static void where_direct_writes_cannot_be_the_page_cache_serves(void **state)
{
    struct fixture *f = *state;

    vfs_fake_refuse_direct(f->fake);
    assert_ok(write_fill(f, 5, 0, 16384, 1, STORE_CREATE | STORE_SYNC));
    assert_ok(write_fill(f, 6, 4096, 16384, 1, STORE_CREATE));
    assert_false(target_is_failed(f->t));
    check_fill(f, 5, 0, 16384, 1);
    check_fill(f, 6, 4096, 16384, 1);
}

/* ---- opening ---- */

static void another_cluster_is_refused(void **state)
{
    struct fixture *f = *state;

    fixture_close(f);
    f->options.cluster.b[0]++;
    assert_int_equal(fixture_open(f), -EXDEV);
    assert_non_null(strstr(f->err, "belongs to cluster"));
    f->options.cluster.b[0]--;
    assert_ok(fixture_open(f));
}

static void remove_tables(struct fixture *f)
{
    char path[300];

    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof(path), "%s/ctab.%d", f->dir, i);
        (void)vfs_unlink(f->vfs, path);
        (void)snprintf(path, sizeof(path), "%s/ctab.log.%d", f->dir, i);
        (void)vfs_unlink(f->vfs, path);
    }
}

static void a_target_without_its_table_opens_only_when_told(void **state)
{
    struct fixture *f = *state;

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    fixture_close(f);
    remove_tables(f);
    assert_int_equal(fixture_open(f), -ENOENT);
    assert_non_null(strstr(f->err, "--rebuild"));
    f->options.rebuild = true;
    assert_ok(fixture_open(f));
    assert_int_equal(flags_of(f, 5), CHUNK_DIRTY | CHUNK_SUSPECT);
    assert_int_equal(len_of(f, 5), 5000);
    check_fill(f, 5, 0, 5000, 1);
}

static void a_directory_with_other_things_is_not_taken(void **state)
{
    struct fixture *f = *state;
    struct vfs_file *file;
    char path[300];

    fixture_close(f);
    strcpy(f->dir, "/home");
    assert_ok(vfs_mkdir(f->vfs, "/home", 0700));
    (void)snprintf(path, sizeof(path), "%s/thesis.txt", f->dir);
    assert_ok(vfs_open(f->vfs, path, O_RDWR | O_CREAT, 0600, &file));
    vfs_close(file);
    assert_int_equal(fixture_open(f), -ENOTEMPTY);
    assert_non_null(strstr(f->err, "thesis.txt"));
}

static void chunks_without_a_superblock_are_not_formatted_away(void **state)
{
    struct fixture *f = *state;
    char path[300];

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    fixture_close(f);
    for (char c = 'a'; c <= 'b'; c++) {
        (void)snprintf(path, sizeof(path), "%s/superblock.%c", f->dir, c);
        assert_ok(vfs_unlink(f->vfs, path));
    }
    assert_int_equal(fixture_open(f), -EBADMSG);
    assert_non_null(strstr(f->err, "superblock"));
}

static void one_rotten_superblock_is_survived_and_two_are_refused(void **state)
{
    struct fixture *f = *state;
    char path[300];

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    fixture_close(f);
    (void)snprintf(path, sizeof(path), "%s/superblock.a", f->dir);
    assert_ok(vfs_fake_flip_bit(f->fake, path, 20, 0));
    assert_ok(fixture_open(f));
    check_fill(f, 5, 0, 5000, 1);
    fixture_close(f);
    assert_ok(vfs_fake_flip_bit(f->fake, path, 20, 0));
    (void)snprintf(path, sizeof(path), "%s/superblock.b", f->dir);
    assert_ok(vfs_fake_flip_bit(f->fake, path, 20, 0));
    assert_int_equal(fixture_open(f), -EBADMSG);
}

/* A DIRTY record in the middle of the log may have rotted: no chunk can be called CLEAN then. */
static void a_rotten_log_makes_all_chunks_suspect(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;
    char path[300];

    for (uint64_t c = 1; c <= 4; c++)
        assert_ok(write_fill(f, c, 0, 5000, 1, STORE_CREATE | STORE_SYNC));
    fixture_close(f);
    assert_ok(fixture_open(f));
    assert_int_equal(flags_of(f, 4), 0);
    for (uint64_t c = 1; c <= 3; c++)
        assert_ok(write_fill(f, c, 0, 5000, 2, STORE_SYNC)); /* A DIRTY record each. */
    (void)snprintf(path, sizeof(path), "%s/ctab.log.%d", f->dir, (int)f->t->sb.checkpoint);
    fixture_kill(f);
    assert_ok(vfs_fake_flip_bit(f->fake, path, 64 + 10, 0));
    assert_ok(fixture_open(f));
    target_stats(f->t, &st);
    assert_int_equal(st.dirty_count, 4);
    for (uint64_t c = 1; c <= 4; c++)
        assert_int_equal(flags_of(f, c), CHUNK_DIRTY | CHUNK_SUSPECT);
}

static void a_file_unknown_to_the_table_is_adopted(void **state)
{
    struct fixture *f = *state;
    struct chunk_state s;

    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE)); /* Its record is not written yet. */
    fixture_kill(f);
    assert_ok(fixture_open(f));
    assert_ok(store_chunk_state(f->t, (struct chunk_id){5}, &s));
    assert_int_equal(s.flags, CHUNK_DIRTY | CHUNK_SUSPECT);
    assert_int_equal(s.pg.v, PG);
    assert_int_equal(s.len, 5000);
    assert_true(s.ver.epoch == 0 && s.ver.seq == 0);
    check_fill(f, 5, 0, 5000, 1);
}

/*
 * After a power failure a file may have its name and some of its blocks, but not its header and the
 * CRCs: nothing that was synced. A chunk of that number that is made later must not have them in it.
 */
static void a_file_without_a_header_is_not_what_a_new_chunk_begins_with(void **state)
{
    struct fixture *f = *state;
    CLEANUP(vfs_file) struct vfs_file *file = NULL;
    uint8_t junk[8192], buf[20000];
    uint32_t len;
    char path[300];

    assert_ok(write_fill(f, 6, 0, 5000, 1, STORE_CREATE | STORE_SYNC)); /* Makes the directory. */
    fixture_kill(f);
    memset(junk, 0x5a, sizeof(junk));
    chunk_path(f, 5, path, sizeof(path));
    assert_ok(vfs_open(f->vfs, path, O_RDWR | O_CREAT, 0600, &file));
    assert_ok(vfs_pwrite(file, junk, sizeof(junk), CHUNK_DATA_AT + 8192));
    vfs_close(STEAL(file));
    assert_ok(fixture_open(f));
    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE | STORE_SYNC));
    assert_int_equal(len_of(f, 5), 5000);
    assert_ok(write_fill(f, 5, 16384, 100, 1, STORE_SYNC));
    assert_ok(read_bytes(f, 5, 0, 16384, buf, &len));
    assert_int_equal(len, 16384);
    for (size_t i = 5000; i < 16384; i++)
        assert_int_equal(buf[i], 0);
    /* And the next start does not mistake one for the other. */
    fixture_kill(f);
    assert_ok(fixture_open(f));
    check_fill(f, 5, 0, 5000, 1);
}

static void a_clean_chunk_whose_file_is_gone_is_never_served(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[4096];
    char path[300];

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    fixture_close(f);
    assert_ok(fixture_open(f));
    fixture_kill(f);
    assert_ok(vfs_unlink(f->vfs, path));
    assert_ok(fixture_open(f));
    assert_true(flags_of(f, 5) & CHUNK_BAD);
    assert_int_equal(read_bytes(f, 5, 0, 4096, buf, NULL), DFS_EDIRTY);
}

/* The same while it runs: what is gone must not come back as a hole full of good-looking zeros. */
static void a_file_that_vanishes_is_an_error_and_no_zeros(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[4096];
    char path[300];

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    fixture_close(f);
    assert_ok(fixture_open(f));
    assert_ok(vfs_unlink(f->vfs, path));
    assert_int_equal(write_fill(f, 5, 8192, 100, 1, STORE_CREATE), DFS_ENOCHUNK);
    assert_true(flags_of(f, 5) & CHUNK_BAD);
    assert_int_not_equal(read_bytes(f, 5, 0, 4096, buf, NULL), 0);
}

/* "There is none" reads as zeros, and makes a joiner that asks us delete what it has. */
static void a_file_that_vanishes_is_not_taken_for_a_chunk_that_never_was(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[4096];
    char path[300];

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 5000, 1, STORE_CREATE));
    fixture_close(f);
    assert_ok(fixture_open(f));
    assert_ok(vfs_unlink(f->vfs, path));
    assert_int_equal(verify_chunk(f, 5, NULL, NULL), DFS_EBADBLOCK);
    assert_true(flags_of(f, 5) & CHUNK_BAD);
    assert_int_equal(read_bytes(f, 5, 0, 4096, buf, NULL), DFS_EBADBLOCK);
}

/* Torn by a kill between data and slots: refused, then laundered when this copy is the source. */
static void a_suspect_chunk_can_be_laundered(void **state)
{
    struct fixture *f = *state;
    struct target_stats st;
    struct answer a = {0};
    uint8_t buf[4096];
    char path[300];
    unsigned bad;

    chunk_path(f, 5, path, sizeof(path));
    assert_ok(write_fill(f, 5, 0, 12288, 1, STORE_CREATE | STORE_SYNC));
    fixture_kill(f);
    assert_ok(vfs_fake_flip_bit(f->fake, path, CHUNK_DATA_AT + 5000, 3));
    assert_ok(fixture_open(f));
    assert_int_equal(read_bytes(f, 5, 4096, 4096, buf, NULL), DFS_EBADBLOCK);
    assert_ok(verify_chunk(f, 5, &bad, NULL));
    assert_int_equal(bad, 1);
    assert_false(flags_of(f, 5) & CHUNK_BAD); /* It is expected of a suspect. */
    store_launder(f->t, (struct pg_id){PG}, (struct chunk_ver){9, 0}, answer_done, &a);
    assert_ok(write_fill(f, 5, 4500, 10, 1, 0)); /* Comes after it: the block is good by then. */
    assert_ok(wait_for(f, &a));
    assert_int_equal(a.result, 1);
    assert_ok(read_bytes(f, 5, 4096, 4096, buf, NULL));
    target_stats(f->t, &st);
    assert_int_equal(st.laundered_blocks, 1);
    assert_int_equal(flags_of(f, 5), CHUNK_DIRTY);
}

static void a_second_process_is_kept_out(void **state)
{
    struct fixture *f = fixture_new(false);
    int status = 0;
    pid_t pid;

    (void)state;
    pid = fork();
    if (pid == 0) {
        struct store *s;
        struct target *t;
        char err[512];
        int r;

        (void)store_new(f->loop, &f->options, &s);
        r = store_open_target(s, f->dir, err, sizeof(err), &t);
        _exit(r == -EBUSY && err[0] ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fixture_free(f);
}

/* What the disk knows of its version is that of before: whoever is at rest at that one has less. */
static void a_chunk_that_was_laundered_has_a_version_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct chunk_state before, after;
    struct answer a = {0};

    assert_ok(write_fill(f, 5, 0, 12288, 1, STORE_CREATE | STORE_SYNC));
    fixture_tick(f, 11000);
    fixture_tick(f, 11000);
    assert_int_equal(flags_of(f, 5), 0);
    assert_ok(store_chunk_state(f->t, (struct chunk_id){5}, &before));
    assert_ok(write_fill(f, 5, 0, 12288, 2, STORE_SYNC));
    fixture_kill(f);
    assert_ok(fixture_open(f));
    store_launder(f->t, (struct pg_id){PG}, (struct chunk_ver){9, 0}, answer_done, &a);
    assert_ok(wait_for(f, &a));
    fixture_tick(f, 11000);
    fixture_tick(f, 11000);
    assert_int_equal(flags_of(f, 5), 0);
    check_fill(f, 5, 0, 12288, 2);
    assert_ok(store_chunk_state(f->t, (struct chunk_id){5}, &after));
    assert_int_not_equal(before.ver.epoch, 9);
    assert_true(after.ver.epoch == 9 && after.ver.seq == 0);
}

/*
 * A joiner deletes what its source has not, and forgets that; then the chunk is made after all, and synced
 * (sim_chain, seed=1348). The tombstone, which the disk had, took the new file with it.
 */
static void a_chunk_made_after_its_tombstone_was_forgotten_outlasts_a_power_failure(void **state)
{
    struct fixture *f = *state;

    assert_ok(delete_chunk(f, 1));
    store_forget(f->t, (struct chunk_id){1}, NULL, NULL);
    settle(f);
    assert_ok(write_fill(f, 1, 0, 4096, 5, STORE_CREATE));
    assert_ok(sync_chunk(f, 1));
    fixture_crash(f, NULL);
    assert_ok(fixture_open(f));
    check_fill(f, 1, 0, 4096, 5);
}

/*
 * While the file is open its tombstone stays for a moment after it was to be forgotten. A joiner that called
 * itself complete in that moment dropped a write as one on a deleted chunk (sim_chain, seed=3740).
 */
static void a_chunk_can_be_made_again_once_it_is_said_to_be_forgotten(void **state)
{
    struct fixture *f = *state;
    struct answer forgotten = {0};

    assert_ok(write_fill(f, 1, 0, 4096, 4, STORE_CREATE));
    assert_ok(delete_chunk(f, 1));
    store_forget(f->t, (struct chunk_id){1}, answer_done, &forgotten);
    assert_false(forgotten.is_done);
    assert_ok(wait_for(f, &forgotten));
    assert_ok(write_fill(f, 1, 0, 4096, 5, STORE_CREATE));
    check_fill(f, 1, 0, 4096, 5);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(failed_sync_is_never_acked),
        T(a_failed_write_fails_the_target),
        T(a_failed_target_stays_failed_in_its_next_life),
        T(a_target_whose_table_found_no_room_is_good_again_in_its_next_life),
        T(a_file_that_vanishes_is_not_taken_for_a_chunk_that_never_was),
        cmocka_unit_test(every_call_may_fail_and_every_op_is_answered),
        T(a_flipped_bit_is_not_given_out),
        T(an_unreadable_sector_is_one_bad_block),
        T(an_unreadable_sector_of_slots_is_bad_blocks),
        T(an_unreadable_header_is_written_again),
        T(an_append_does_not_launder_a_rotten_block),
        T(a_rotten_slot_is_found_too),
        T(a_full_disk_fails_the_op_and_not_the_target),
        T(only_big_whole_blocks_are_written_directly),
        T(where_direct_writes_cannot_be_the_page_cache_serves),
        T(free_space_leaves_the_reserve_out),
        T(another_cluster_is_refused),
        T(a_target_without_its_table_opens_only_when_told),
        T(a_directory_with_other_things_is_not_taken),
        T(chunks_without_a_superblock_are_not_formatted_away),
        T(one_rotten_superblock_is_survived_and_two_are_refused),
        T(a_rotten_log_makes_all_chunks_suspect),
        T(a_file_unknown_to_the_table_is_adopted),
        T(a_file_without_a_header_is_not_what_a_new_chunk_begins_with),
        T(a_chunk_made_after_its_tombstone_was_forgotten_outlasts_a_power_failure),
        T(a_chunk_can_be_made_again_once_it_is_said_to_be_forgotten),
        T(a_clean_chunk_whose_file_is_gone_is_never_served),
        T(a_file_that_vanishes_is_an_error_and_no_zeros),
        T(a_suspect_chunk_can_be_laundered),
        T(a_chunk_that_was_laundered_has_a_version_of_its_own),
        cmocka_unit_test(a_second_process_is_kept_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
