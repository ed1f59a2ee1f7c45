/*
 * Rot in every format of the namenode's own: each bit of a small instance of each file is flipped,
 * one at a time, and what opens it must have what was there, or say that it has not (I11): lost
 * entries are told as faulty, the rest is refused. Wrong content, or less without a word, is a bug.
 *
 * One bit of each byte that is not zero by default; DFS_ALL_BITS=1: all of them, of all bytes. The
 * outcomes are printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/vfs.h"
#include "common/vfs_fake.h"
#include "namenode/data_dir.h"
#include "namenode/log_format.h"
#include "namenode/snap_files.h"
#include "tests/unit/namenode/log_fixture.h"

enum { FILE_MAX = 2 << 20 };

struct outcomes {
    unsigned flips, same, faulty, refused;
};

static void print(const char *what, const struct outcomes *o)
{
    print_message("# %-24s %7u flips: %7u without effect, %6u told as lost, %6u refused\n", what,
                  o->flips, o->same, o->faulty, o->refused);
}

static bool wants_all(void)
{
    return getenv("DFS_ALL_BITS") != NULL;
}

/* Calls fn for each flip that is wanted, of the file's first `len` bytes. */
static void each_flip(const struct buf *good, size_t len,
                      void (*fn)(void *ctx, uint64_t offset, unsigned bit), void *ctx)
{
    for (size_t i = 0; i < MIN(len, good->len); i++) {
        if (wants_all()) {
            for (unsigned bit = 0; bit < 8; bit++)
                fn(ctx, i, bit);
        } else if (good->data[i] != 0) {
            fn(ctx, i, (unsigned)(i * 5 + 3) % 8);
        }
    }
}

/* ---- the log ---- */

struct log_files {
    struct log_fixture *f;
    struct buf seg[2], meta; /* as they were */
    const char *path;        /* of the one that rots */
    struct outcomes outcomes;
};

static const char *const seg_paths[] = {"/log/seg-0000000000000001", "/log/seg-0000000000000002"};

static void put_file(struct log_fixture *f, const char *path, const struct buf *b)
{
    struct vfs_file *file;

    assert_int_equal(vfs_open(f->config.vfs, path, O_RDWR | O_CREAT | O_TRUNC, 0600, &file), 0);
    assert_int_equal(vfs_pwrite(file, b->data, b->len, 0), 0);
    assert_int_equal(vfs_sync(file), 0);
    vfs_close(file);
}

static void restore(struct log_files *l)
{
    put_file(l->f, "/log/meta", &l->meta);
    for (unsigned i = 0; i < 2; i++)
        put_file(l->f, seg_paths[i], &l->seg[i]);
}

static void flip_in_log(void *ctx, uint64_t offset, unsigned bit)
{
    struct log_files *l = ctx;
    struct log_fixture *f = l->f;
    struct model got;
    int r;

    restore(l);
    assert_int_equal(vfs_fake_flip_bit(f->disk, l->path, offset, bit), 0);
    l->outcomes.flips++;
    r = open_log(f);
    if (r < 0) {
        assert_int_equal(r, -EBADMSG);
        l->outcomes.refused++;
    } else {
        look_at_log(f, &got);
        assert_int_equal(got.hard.term, f->want.hard.term);
        assert_int_equal(got.hard.vote.v, f->want.hard.vote.v);
        assert_true(same_entries(&got, &f->want, got.base + 1, got.last));
        if (got.last == f->want.last) {
            assert_int_equal(f->boot.faulty_from, 0);
            assert_int_equal(got.base, 0);
            l->outcomes.same++;
        } else {
            assert_int_equal(f->boot.faulty_from, got.last + 1);
            assert_int_equal(f->boot.faulty_to, f->want.last);
            l->outcomes.faulty++;
        }
        raft_log_close(STEAL(f->log));
    }
    /* The ring is too long to be restored each time: nothing of it has changed but this. */
    if (strcmp(l->path, "/log/ring") == 0)
        assert_int_equal(vfs_fake_flip_bit(f->disk, l->path, offset, bit), 0);
}

static void rot_in(struct log_files *l, const char *path, const struct buf *good, size_t len,
                   const char *name)
{
    l->path = path;
    l->outcomes = (struct outcomes){0};
    each_flip(good, len, flip_in_log, l);
    print(name, &l->outcomes);
}

static void each_bit_of_the_log(void **state)
{
    CLEANUP_BUF struct buf ring = {0};
    struct log_files l = {.f = *state};
    struct log_fixture *f = *state;

    f->config.segment_bytes = LOG_SEGMENT_DATA + 4 * 1024;
    assert_int_equal(open_log(f), 0);
    ask_log(f, &(struct ask){.term = 3, .vote = 2, .count = 2, .len = 100, .entry_term = 3});
    raft_log_pump(f->log, true);
    for (unsigned i = 0; i < 4; i++) { /* into the second segment */
        append_log(f, 1, 600, 3);
        raft_log_pump(f->log, true);
    }
    raft_log_close(STEAL(f->log));
    assert_int_equal(vfs_read_file(f->config.vfs, "/log/meta", FILE_MAX, &l.meta), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(vfs_read_file(f->config.vfs, seg_paths[i], FILE_MAX, &l.seg[i]), 0);
    assert_int_equal(vfs_read_file(f->config.vfs, "/log/ring", FILE_MAX, &ring), 0);

    rot_in(&l, "/log/meta", &l.meta, l.meta.len, "hard state, one copy");
    assert_int_equal(l.outcomes.same, l.outcomes.flips);
    rot_in(&l, seg_paths[0], &l.seg[0], l.seg[0].len, "segment, not the last");
    assert_true(l.outcomes.faulty > 0);
    rot_in(&l, seg_paths[1], &l.seg[1], l.seg[1].len, "segment, the last");
    assert_true(l.outcomes.faulty > 0);
    rot_in(&l, "/log/ring", &ring, 8 * (size_t)LOG_RING_ENTRY, "header ring");
    assert_int_equal(l.outcomes.same, l.outcomes.flips);

    buf_done(&l.meta);
    buf_done(&l.seg[0]);
    buf_done(&l.seg[1]);
}

/* The same place in both copies of the hard state. */
static void each_bit_of_both_copies_of_the_hard_state(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_BUF struct buf meta = {0};
    struct outcomes o = {0};

    assert_int_equal(open_log(f), 0);
    ask_log(f, &(struct ask){.term = 3, .vote = 2});
    raft_log_pump(f->log, true);
    raft_log_close(STEAL(f->log));
    assert_int_equal(vfs_read_file(f->config.vfs, "/log/meta", FILE_MAX, &meta), 0);
    for (uint64_t i = 0; i < 80; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            put_file(f, "/log/meta", &meta);
            assert_int_equal(vfs_fake_flip_bit(f->disk, "/log/meta", i, bit), 0);
            assert_int_equal(vfs_fake_flip_bit(f->disk, "/log/meta", LOG_BLOCK + i, bit), 0);
            assert_int_equal(open_log(f), -EBADMSG);
            o.flips++;
            o.refused++;
        }
    }
    print("hard state, both copies", &o);
}

/* ---- the data directory ---- */

static int open_dir(struct vfs_fake *disk, struct data_dir **ret)
{
    struct raft_conf founders = {.count = 1};
    struct raft_id other = RAFT_NOBODY;

    founders.members[0] = (struct raft_member){.id = {1}, .voter = true};
    (void)snprintf(founders.members[0].addr, sizeof(founders.members[0].addr), "host:1");
    return data_dir_open(vfs_fake_vfs(disk), "/nn", (struct raft_id){1}, &founders, ret, &other);
}

static void each_bit_of_the_data_directory(void **state)
{
    static const char *const files[] = {"/nn/identity", "/nn/members", "/nn/CURRENT"};
    struct vfs_fake *disk = vfs_fake_new();
    struct data_dir *d;

    (void)state;
    assert_int_equal(open_dir(disk, &d), 0);
    data_dir_close(d);
    for (unsigned i = 0; i < 3; i++) {
        struct outcomes o = {0};
        struct vfs_stat st;

        assert_int_equal(vfs_stat(vfs_fake_vfs(disk), files[i], &st), 0);
        for (uint64_t at = 0; at < st.size * 8; at++) {
            assert_int_equal(vfs_fake_flip_bit(disk, files[i], at / 8, at % 8), 0);
            assert_int_equal(open_dir(disk, &d), -EBADMSG);
            assert_int_equal(vfs_fake_flip_bit(disk, files[i], at / 8, at % 8), 0);
            o.flips++;
            o.refused++;
        }
        print(files[i] + 4, &o);
    }
    assert_int_equal(open_dir(disk, &d), 0);
    data_dir_close(d);
    vfs_fake_free(disk);
}

/* ---- a file of a snapshot ---- */

static void each_bit_of_a_received_file(void **state)
{
    char dir[] = "/tmp/dfs-test-rot-XXXXXX", path[64];
    struct snap_files files = {0};
    struct outcomes o = {0};
    uint8_t bytes[64];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/000007.sst", dir);
    assert_int_equal(vfs_replace_file(vfs_posix(), path, bytes, sizeof(bytes), 0600), 0);
    assert_int_equal(snap_files_scan(vfs_posix(), dir, &files), 0);
    assert_int_equal(snap_file_verify(vfs_posix(), dir, &files.list[0]), 0);
    for (size_t at = 0; at < sizeof(bytes) * 8; at++) {
        bytes[at / 8] ^= (uint8_t)(1U << at % 8);
        assert_int_equal(vfs_replace_file(vfs_posix(), path, bytes, sizeof(bytes), 0600), 0);
        bytes[at / 8] ^= (uint8_t)(1U << at % 8);
        assert_int_equal(snap_file_verify(vfs_posix(), dir, &files.list[0]), -EBADMSG);
        assert_int_equal(access(path, F_OK), -1); /* Fetched again, not taken for a good part. */
        o.flips++;
        o.refused++;
    }
    snap_files_done(&files);
    assert_int_equal(vfs_remove_all(vfs_posix(), dir), 0);
    print("received file", &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_bit_of_the_log, log_setup, log_teardown),
        cmocka_unit_test_setup_teardown(each_bit_of_both_copies_of_the_hard_state, log_setup,
                                        log_teardown),
        cmocka_unit_test(each_bit_of_the_data_directory),
        cmocka_unit_test(each_bit_of_a_received_file),
    };

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_rot", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
