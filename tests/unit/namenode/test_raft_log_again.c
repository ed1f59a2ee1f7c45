/* What the simulator found in the log: entries of an earlier life, and reading while it is written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/vfs_fake.h"
#include "namenode/log_format.h"
#include "namenode/raft_log.h"

enum { LEN = 400, RECORD = LOG_SECTOR };

struct fixture {
    struct vfs_fake *disk;
    struct raft_log_config config;
    struct raft_log_boot boot;
    struct raft_log *log;
    uint64_t next_write, last;
};

static void on_durable(void *ctx, uint64_t write_id)
{
    (void)ctx;
    (void)write_id;
}

static void on_fatal(void *ctx, const char *what, int error)
{
    (void)ctx;
    (void)what;
    (void)error;
}

static void open_log(struct fixture *f)
{
    assert_int_equal(raft_log_open(&f->config, &f->boot, &f->log), 0);
}

static void close_log(struct fixture *f)
{
    raft_log_close(STEAL(f->log));
}

static int setup(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);

    f->disk = vfs_fake_new();
    raft_log_config_init(&f->config);
    f->config.vfs = vfs_fake_vfs(f->disk);
    f->config.dir = "/log";
    f->config.segment_bytes = 32 << 10;
    f->config.direct = false;
    f->config.durable = on_durable;
    f->config.fatal = on_fatal;
    f->next_write = 1;
    open_log(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close_log(f);
    vfs_fake_free(f->disk);
    free(f);
    return 0;
}

static void append_of(struct fixture *f, uint64_t truncate_from, unsigned count, uint64_t term,
                      size_t len)
{
    struct raft_update up = {.write_id = f->next_write++, .truncate_from = truncate_from};
    struct raft_entry entries[16];

    if (truncate_from > 0)
        f->last = truncate_from - 1;
    for (unsigned i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){
            .index = ++f->last, .term = term, .type = RAFT_ENTRY_NORMAL, .buf = raft_buf_new(len)};
        memset(entries[i].buf->data, (int)term, len);
    }
    up.entries = entries;
    up.entry_count = count;
    raft_log_append_async(f->log, &up);
    for (unsigned i = 0; i < count; i++)
        raft_buf_unref(entries[i].buf);
}

static void append(struct fixture *f, uint64_t truncate_from, unsigned count, uint64_t term)
{
    append_of(f, truncate_from, count, term, LEN);
}

static uint64_t term_read(struct fixture *f, uint64_t index)
{
    struct raft_entry e = {0};

    assert_int_equal(raft_log_read(f->log, index, 1, 1, &e), 1);
    raft_buf_unref(e.buf);
    return e.term;
}

/* Behind an entry that is durable may stand others that are only laid out, and in their place on
 * disk what a truncation has made void. */
static void what_is_not_written_yet_is_not_read_ahead(void **state)
{
    struct fixture *f = *state;

    append(f, 0, 6, 1);
    raft_log_pump(f->log, false);
    append(f, 4, 2, 2);
    assert_int_equal(term_read(f, 1), 1);
    raft_log_pump(f->log, false);
    assert_int_equal(term_read(f, 4), 2);

    append(f, 0, 2, 2);
    assert_int_equal(term_read(f, 5), 2);
    raft_log_pump(f->log, false);
    assert_int_equal(term_read(f, 7), 2);
}

/* A crash before the header was written: the entry was acknowledged all the same, or will be. */
static void entries_of_an_earlier_life_get_their_headers(void **state)
{
    struct fixture *f = *state;

    append(f, 0, 3, 1);
    raft_log_pump(f->log, false);
    close_log(f);
    vfs_fake_kill(f->disk);
    open_log(f);
    raft_log_pump(f->log, true);
    close_log(f);
    assert_int_equal(vfs_fake_flip_bit(f->disk, "/log/seg-0000000000000001",
                                       LOG_SEGMENT_DATA + 2 * RECORD + 8, 1),
                     0);
    open_log(f);
    assert_int_equal(f->boot.last_index, 2);
    assert_int_equal(f->boot.faulty_to, 3);
}

/* After it the kernel shows the bytes, and takes them for written. */
static void what_a_failed_sync_left_is_written_again(void **state)
{
    struct fixture *f = *state;

    append(f, 0, 1, 1);
    vfs_fake_fail(f->disk, VFS_FAKE_SYNC, 0, EIO, false);
    raft_log_pump(f->log, false);
    vfs_fake_fail_none(f->disk);
    close_log(f);
    vfs_fake_kill(f->disk);
    open_log(f);
    assert_int_equal(f->boot.last_index, 1);
    close_log(f);
    vfs_fake_crash(f->disk, NULL);
    open_log(f);
    assert_int_equal(f->boot.last_index, 1);
}

/*
 * The header of an entry is in the ring, as the kernel shows it, but its sync failed: what comes after
 * the next start counts on it, to tell a rotten entry from a torn one.
 */
static void a_header_whose_sync_failed_is_written_again(void **state)
{
    struct fixture *f = *state;

    append(f, 0, 3, 1);
    raft_log_pump(f->log, true);
    append(f, 0, 1, 1);
    vfs_fake_fail(f->disk, VFS_FAKE_SYNC, 1, EIO, false); /* The entry's is the first. */
    raft_log_pump(f->log, true);
    close_log(f);
    vfs_fake_fail_none(f->disk);
    vfs_fake_kill(f->disk);
    open_log(f);
    assert_int_equal(f->boot.last_index, 4);
    close_log(f);
    vfs_fake_crash(f->disk, NULL);
    assert_int_equal(vfs_fake_flip_bit(f->disk, "/log/seg-0000000000000001",
                                       LOG_SEGMENT_DATA + 3 * RECORD + 70, 3),
                     0);
    open_log(f);
    assert_int_equal(f->boot.faulty_from, 4);
    assert_int_equal(f->boot.faulty_to, 4);
}

/*
 * A truncation leaves records behind in its segment, where the next segment was begun before they were
 * all written over. The hard state knows of the last truncation, or start, alone: two starts later they
 * are as good as any, and looked like entries that had been synced behind one that is gone.
 */
static void what_a_truncation_left_is_no_proof_of_damage(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 40; i++) {
        append(f, 0, 1, 1);
        raft_log_pump(f->log, true);
    }
    append_of(f, 10, 2, 2, 5000);
    raft_log_pump(f->log, true);
    append_of(f, 0, 1, 2, 12000); /* It does not fit: record 30 and those behind it stay. */
    raft_log_pump(f->log, true);
    for (unsigned i = 0; i < 50; i++) {
        append(f, 0, 1, 2);
        raft_log_pump(f->log, true);
    }
    for (unsigned start = 0; start < 3; start++) {
        close_log(f);
        open_log(f);
        assert_int_equal(f->boot.faulty_from, 0);
        assert_int_equal(f->boot.last_index, f->last);
        append(f, 0, 1, 2);
        raft_log_pump(f->log, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(what_is_not_written_yet_is_not_read_ahead),
        T(entries_of_an_earlier_life_get_their_headers),
        T(what_a_failed_sync_left_is_written_again),
        T(a_header_whose_sync_failed_is_written_again),
        T(what_a_truncation_left_is_no_proof_of_damage),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
