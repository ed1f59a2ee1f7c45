/* The log on disk: what was told durable is there after any crash, and what is not is not. */
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
#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/vfs_fake.h"
#include "namenode/log_format.h"
#include "namenode/raft_log.h"
#include "tests/unit/namenode/log_fixture.h"

static void a_new_directory_holds_an_empty_log(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    assert_true(f->boot.is_new);
    assert_int_equal(f->boot.first_index, 1);
    assert_int_equal(f->boot.last_index, 0);
    reopen_log(f);
    assert_false(f->boot.is_new);
    assert_int_equal(f->boot.faulty_from, 0);
}

static void entries_and_votes_survive_a_restart(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    ask_log(f, &(struct ask){.term = 3, .vote = 2, .count = 5, .len = 100, .entry_term = 3});
    append_log(f, 40, 3000, 3); /* several segments */
    raft_log_pump(f->log, false);
    assert_int_equal(f->durable, 2);
    reopen_log(f);
    assert_log_is(f, &f->want);
}

static uint64_t hash_of_some_segments(struct log_fixture *f, uint64_t seed)
{
    rng_seed(&f->seeds, seed);
    assert_int_equal(open_log(f), 0);
    append_log(f, 40, 3000, 3);
    raft_log_pump(f->log, true);
    return vfs_fake_hash(f->disk);
}

/* Else a simulated failure that lies in the bytes of the log could not be looked at again. */
static void the_same_seeds_give_the_same_bytes(void **state)
{
    void *same, *other;

    assert_int_equal(log_setup(&same), 0);
    assert_int_equal(log_setup(&other), 0);
    assert_true(hash_of_some_segments(*state, 7) == hash_of_some_segments(same, 7));
    assert_true(hash_of_some_segments(other, 8) !=
                vfs_fake_hash(((struct log_fixture *)same)->disk));
    assert_int_equal(log_teardown(&same), 0);
    assert_int_equal(log_teardown(&other), 0);
}

/* Group commit: what waits together is synced together. */
static void updates_queued_together_share_one_sync(void **state)
{
    struct log_fixture *f = *state;
    uint64_t before;

    assert_int_equal(open_log(f), 0);
    before = raft_log_stats(f->log)->syncs;
    for (int i = 0; i < 10; i++)
        append_log(f, 1, 50, 1);
    raft_log_pump(f->log, false);
    assert_int_equal(f->durable, 10);
    assert_int_equal(raft_log_stats(f->log)->syncs - before, 1);
    assert_int_equal(raft_log_stats(f->log)->entries, 10);
}

/* Old bytes behind a shorter new tail must not be taken for its continuation. */
static void truncated_entries_do_not_come_back(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append_log(f, 10, 400, 1);
    raft_log_pump(f->log, true);
    ask_log(f, &(struct ask){.truncate_from = 5, .count = 1, .len = 400, .entry_term = 2});
    raft_log_pump(f->log, true);
    reopen_log(f);
    assert_int_equal(f->boot.last_index, 5);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void a_truncation_may_go_back_over_segments(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append_log(f, 60, 2000, 1); /* five segments */
    raft_log_pump(f->log, true);
    ask_log(f, &(struct ask){.truncate_from = 7, .count = 3, .len = 100, .entry_term = 4});
    append_log(f, 50, 1500, 5);
    raft_log_pump(f->log, true);
    reopen_log(f);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
    append_log(f, 3, 10, 6);
    raft_log_pump(f->log, false);
    reopen_log(f);
    assert_log_is(f, &f->want);
}

/* Nothing says that an entry is shorter than a segment. */
static void an_entry_may_be_longer_than_a_segment(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append_log(f, 1, 100, 1);
    append_log(f, 1, 3 * SEGMENT, 1);
    append_log(f, 2, 100, 1);
    raft_log_pump(f->log, true);
    reopen_log(f);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void a_reset_begins_the_log_anew(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append_log(f, 30, 2000, 1);
    ask_log(f, &(struct ask){.reset_to = 100, .count = 2, .len = 10, .entry_term = 3});
    raft_log_pump(f->log, true);
    assert_int_equal(raft_log_first_index(f->log), 101);
    reopen_log(f);
    assert_int_equal(f->boot.first_index, 101);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void compaction_drops_whole_segments_and_reuses_them(void **state)
{
    struct log_fixture *f = *state;
    uint64_t first;

    assert_int_equal(open_log(f), 0);
    append_log(f, 60, 2000, 1);
    raft_log_pump(f->log, true);
    first = raft_log_compact(f->log, 40);
    raft_log_pump(f->log, true);
    assert_true(first > 1 && first <= 41);
    /* What was recycled is full of valid-looking records of its earlier use. */
    append_log(f, 30, 2000, 2);
    raft_log_pump(f->log, true);
    reopen_log(f);
    assert_int_equal(f->boot.first_index, first);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void compaction_keeps_the_least_number_of_segments(void **state)
{
    struct log_fixture *f = *state;

    f->config.segments_min = 3;
    assert_int_equal(open_log(f), 0);
    append_log(f, 60, 2000, 1);
    raft_log_pump(f->log, true);
    (void)raft_log_compact(f->log, 60);
    assert_int_equal(raft_log_size(f->log), 3 * SEGMENT);
}

static void old_entries_are_read_back_within_bounds(void **state)
{
    struct log_fixture *f = *state;
    struct raft_entry e[16];
    int n;

    assert_int_equal(open_log(f), 0);
    append_log(f, 60, 2000, 1);
    raft_log_pump(f->log, true);
    n = raft_log_read(f->log, 3, 4, SIZE_MAX, e);
    assert_int_equal(n, 4);
    for (int i = 0; i < n; i++) {
        assert_int_equal(e[i].index, 3 + i);
        assert_int_equal(e[i].buf->len, 2000);
        raft_buf_unref(e[i].buf);
    }
    n = raft_log_read(f->log, 30, 16, 4500, e);
    assert_int_equal(n, 2);
    raft_buf_unref(e[0].buf);
    raft_buf_unref(e[1].buf);
    n = raft_log_read(f->log, 30, 16, 1, e); /* always at least one */
    assert_int_equal(n, 1);
    raft_buf_unref(e[0].buf);
    assert_int_equal(raft_log_read(f->log, 61, 1, 1, e), -ENOENT);
    (void)raft_log_compact(f->log, 60);
    assert_int_equal(raft_log_read(f->log, 3, 1, 1, e), -ENOENT);
}

/* A cache of read entries obeys truncation too: it may not give what was cut away. */
static void what_was_read_ahead_is_forgotten_at_a_truncation(void **state)
{
    struct log_fixture *f = *state;
    struct raft_entry e;

    assert_int_equal(open_log(f), 0);
    append_log(f, 10, 100, 1);
    raft_log_pump(f->log, true);
    assert_int_equal(raft_log_read(f->log, 1, 1, 1, &e), 1);
    raft_buf_unref(e.buf);
    ask_log(f, &(struct ask){.truncate_from = 4, .count = 3, .len = 100, .entry_term = 2});
    raft_log_pump(f->log, true);
    assert_int_equal(raft_log_read(f->log, 5, 1, 1, &e), 1);
    assert_int_equal(e.term, 2);
    raft_buf_unref(e.buf);
}

/* ---- damage ---- */

static void flip(struct log_fixture *f, uint64_t seq, uint64_t offset)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/log/seg-%016" PRIx64, seq);
    assert_int_equal(vfs_fake_flip_bit(f->disk, path, offset, 3), 0);
}

static uint64_t record_offset(unsigned number, uint32_t len)
{
    return LOG_SEGMENT_DATA + number * log_record_size(len);
}

/* I11: a damaged entry that was durable once is told as such, however often we start. */
static void a_damaged_entry_in_the_middle_is_faulty(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    for (int i = 0; i < 8; i++) {
        append_log(f, 1, 400, 1);
        raft_log_pump(f->log, false);
    }
    raft_log_close(f->log);
    f->log = NULL;
    flip(f, 1, record_offset(3, 400) + 100);
    for (int again = 0; again < 3; again++) {
        if (again == 0)
            assert_int_equal(open_log(f), 0);
        else
            reopen_log(f);
        assert_int_equal(f->boot.last_index, 3);
        assert_int_equal(f->boot.faulty_from, 4);
        assert_int_equal(f->boot.faulty_to, 8);
    }
    /* Half of it comes again; the rest stays lost. */
    f->want.last = 3;
    append_log(f, 2, 400, 1);
    raft_log_pump(f->log, true);
    reopen_log(f);
    assert_int_equal(f->boot.faulty_from, 6);
    assert_int_equal(f->boot.faulty_to, 8);
    append_log(f, 3, 400, 1);
    raft_log_pump(f->log, true);
    reopen_log(f);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void the_damaged_last_entry_is_faulty_when_its_header_is_in_the_ring(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append_log(f, 4, 400, 1);
    raft_log_pump(f->log, true);
    raft_log_close(f->log);
    f->log = NULL;
    flip(f, 1, record_offset(3, 400));
    assert_int_equal(open_log(f), 0);
    assert_int_equal(f->boot.last_index, 3);
    assert_int_equal(f->boot.faulty_from, 4);
    assert_int_equal(f->boot.faulty_to, 4);
    raft_log_set_recovered(f->log);
    raft_log_pump(f->log, false);
    reopen_log(f);
    assert_int_equal(f->boot.faulty_from, 0);
}

static void check_lost(const struct log_fixture *f, uint64_t from, uint64_t to, uint64_t term)
{
    assert_int_equal(f->boot.faulty_from, from);
    assert_int_equal(f->boot.faulty_to, to);
    assert_int_equal(f->boot.faulty_term, term);
}

/* An entry of a later term than the lost ones ends the damage (raft/README.md): the bound must hold, and
 * must not rise with the hard state's term, which the replica hears of before it is given anything. */
static void the_latest_term_of_what_is_lost_is_told_and_kept(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    for (unsigned term = 1; term <= 4; term++) {
        ask_log(f, &(struct ask){.term = term, .count = 2, .len = 400, .entry_term = term});
        raft_log_pump(f->log, true);
    }
    ask_log(f, &(struct ask){.term = 7});
    raft_log_pump(f->log, true);
    raft_log_close(f->log);
    f->log = NULL;
    flip(f, 1, record_offset(2, 400) + 100);
    assert_int_equal(open_log(f), 0);
    check_lost(f, 3, 8, 4);
    f->want.last = 2;
    append_log(f, 1, 400, 3);
    ask_log(f, &(struct ask){.term = 9});
    raft_log_pump(f->log, true);
    reopen_log(f);
    check_lost(f, 4, 8, 4);
    raft_log_set_recovered(f->log);
    raft_log_pump(f->log, true);
    reopen_log(f);
    check_lost(f, 0, 0, 0);
}

/* A release before this one did not write it. */
static void lost_entries_of_a_term_not_told_are_of_the_hard_states_at_most(void **state)
{
    struct log_fixture *f = *state;
    struct log_meta m = {.generation = 5,
                         .hard_state = {.term = 7},
                         .epoch = 1,
                         .truncate_from = 1,
                         .faulty_from = 3,
                         .faulty_to = 8};
    uint8_t block[LOG_BLOCK];

    (void)f;
    log_meta_encode(&m, block);
    assert_int_equal(log_meta_decode(block, &m), 0);
    assert_int_equal(m.faulty_term, 7);
    m.faulty_term = 4;
    log_meta_encode(&m, block);
    assert_int_equal(log_meta_decode(block, &m), 0);
    assert_int_equal(m.faulty_term, 4);
    m.hard_state.term = m.faulty_term = UINT64_C(1) << 33;
    log_meta_encode(&m, block);
    assert_int_equal(log_meta_decode(block, &m), 0);
    assert_int_equal(m.faulty_term, UINT64_C(1) << 33);
}

/* Where the first of the lost ones' segment is gone, the later ones tell. */
static void a_lost_segment_in_the_middle_is_told_with_the_last_term(void **state)
{
    struct log_fixture *f = *state;
    struct vfs_file *file;

    assert_int_equal(open_log(f), 0);
    for (unsigned term = 1; term <= 4; term++) {
        ask_log(f, &(struct ask){.term = term, .count = 10, .len = 2000, .entry_term = term});
        raft_log_pump(f->log, true);
    }
    raft_log_close(f->log);
    f->log = NULL;
    assert_int_equal(vfs_open(f->config.vfs, "/log/seg-0000000000000002", O_RDWR, 0, &file), 0);
    assert_int_equal(vfs_truncate(file, 0), 0);
    vfs_close(file);
    assert_int_equal(vfs_unlink(f->config.vfs, "/log/ring"), 0);
    assert_int_equal(open_log(f), 0);
    check_lost(f, f->boot.last_index + 1, 40, 4);
}

static void a_segment_that_lost_its_tail_is_damage(void **state)
{
    struct log_fixture *f = *state;
    struct vfs_file *file;

    assert_int_equal(open_log(f), 0);
    append_log(f, 40, 2000, 1); /* more than two segments */
    raft_log_pump(f->log, true);
    raft_log_close(f->log);
    f->log = NULL;
    assert_int_equal(vfs_open(f->config.vfs, "/log/seg-0000000000000002", O_RDWR, 0, &file), 0);
    assert_int_equal(vfs_truncate(file, LOG_SEGMENT_DATA + 3 * 2560), 0);
    vfs_close(file);
    assert_int_equal(open_log(f), 0);
    assert_true(f->boot.last_index < 40);
    assert_int_equal(f->boot.faulty_from, f->boot.last_index + 1);
    assert_int_equal(f->boot.faulty_to, 40);
}

static void one_damaged_copy_of_the_hard_state_does_not_matter(void **state)
{
    struct log_fixture *f = *state;

    for (unsigned copy = 0; copy < 2; copy++) {
        assert_int_equal(open_log(f), 0);
        ask_log(f, &(struct ask){.term = 5 + copy, .vote = 3});
        raft_log_pump(f->log, false);
        raft_log_close(f->log);
        f->log = NULL;
        assert_int_equal(vfs_fake_flip_bit(f->disk, "/log/meta", copy * LOG_BLOCK + 20, 1), 0);
        assert_int_equal(open_log(f), 0);
        assert_int_equal(f->boot.hard_state.term, 5 + copy);
        raft_log_close(f->log);
        f->log = NULL;
    }
}

/* Without term and vote a replica could vote twice: it must not start. */
static void without_hard_state_the_log_is_refused(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    raft_log_close(f->log);
    f->log = NULL;
    assert_int_equal(vfs_fake_flip_bit(f->disk, "/log/meta", 20, 1), 0);
    assert_int_equal(vfs_fake_flip_bit(f->disk, "/log/meta", LOG_BLOCK + 20, 1), 0);
    assert_int_equal(open_log(f), -EBADMSG);
    assert_int_equal(vfs_unlink(f->config.vfs, "/log/meta"), 0);
    assert_int_equal(open_log(f), -EBADMSG);
}

static void put_back(struct log_fixture *f, const char *path, const struct buf *bytes)
{
    assert_int_equal(vfs_replace_file(f->config.vfs, path, bytes->data, bytes->len, 0600), 0);
}

/*
 * Nothing is written in an epoch before both copies of the hard state say it: if the log is newer
 * than they are, the disk has lost a write that it had confirmed, and with it perhaps a vote. Taken
 * as void such entries would come back at the second start, when the epoch has caught up.
 */
static void hard_state_older_than_the_log_is_refused(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_BUF struct buf old = {0};

    /* In a segment; in one that a reset has begun; in the ring alone. */
    for (unsigned where = 0; where < 3; where++) {
        assert_int_equal(open_log(f), 0);
        append_log(f, 3, 100, 1);
        raft_log_pump(f->log, true);
        buf_clear(&old);
        assert_int_equal(vfs_read_file(f->config.vfs, "/log/meta", 1 << 20, &old), 0);
        if (where == 0) {
            ask_log(f, &(struct ask){.term = 4 + where, .truncate_from = 3, .entry_term = 4});
            append_log(f, 2, 100, 4);
        } else {
            ask_log(f, &(struct ask){.term = 4 + where, .reset_to = 50 * where, .entry_term = 4});
            append_log(f, 2, 100, 4);
        }
        raft_log_pump(f->log, where == 2);
        raft_log_close(STEAL(f->log));
        if (where == 2)
            assert_int_equal(vfs_unlink(f->config.vfs, "/log/seg-0000000000000002"), 0);
        put_back(f, "/log/meta", &old);
        for (unsigned again = 0; again < 3; again++)
            assert_int_equal(open_log(f), -EBADMSG);
        assert_int_equal(vfs_remove_all(f->config.vfs, "/log"), 0);
        f->want = (struct model){0};
    }
}

/* A release to come writes "dlm2", and what it likes behind it: that is not damage, for which this
 * replica would have to join anew. A flipped bit in the digit is. */
static void hard_state_of_another_version_is_refused_as_such(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_BUF struct buf good = {0}, other = {0};

    assert_int_equal(open_log(f), 0);
    append_log(f, 3, 100, 1);
    raft_log_pump(f->log, true);
    raft_log_close(STEAL(f->log));
    assert_int_equal(vfs_read_file(f->config.vfs, "/log/meta", 1 << 20, &good), 0);
    for (unsigned copy = 0; copy < 2; copy++) {
        buf_clear(&other);
        buf_append(&other, good.data, good.len);
        other.data[copy * LOG_BLOCK + 3] = '3'; /* One bit beside '1'. */
        put_back(f, "/log/meta", &other);
        assert_int_equal(open_log(f), 0);
        raft_log_close(STEAL(f->log));
        other.data[copy * LOG_BLOCK + 3] = '2';
        other.data[copy * LOG_BLOCK + 90] = 1;
        other.data[copy * LOG_BLOCK + 20] ^= 1;
        put_back(f, "/log/meta", &other);
        assert_int_equal(open_log(f), -EPROTONOSUPPORT);
        put_back(f, "/log/meta", &good);
    }
    assert_int_equal(open_log(f), 0);
}

/* After a failed sync the kernel may have dropped the pages: a later success proves nothing. */
static void a_failed_sync_ends_it_all(void **state)
{
    struct log_fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append_log(f, 1, 100, 1);
    raft_log_pump(f->log, true);
    vfs_fake_fail(f->disk, VFS_FAKE_SYNC, 0, EIO, false);
    append_log(f, 1, 100, 1);
    raft_log_pump(f->log, false);
    assert_int_equal(f->fatal, -EIO);
    assert_int_equal(f->durable, 1);
    append_log(f, 1, 100, 1);
    raft_log_pump(f->log, false);
    assert_int_equal(f->durable, 1);
}

/* ---- the real thing ---- */

struct live {
    struct loop *loop;
    uint64_t durable, want;
};

static void on_live_durable(void *ctx, uint64_t write_id)
{
    struct live *l = ctx;

    l->durable = write_id;
    if (write_id == l->want)
        loop_stop(l->loop);
}

static void write_live(struct raft_log *log, uint64_t from, uint64_t to, size_t len)
{
    struct raft_buf *b = raft_buf_new(len);

    memset(b->data, 'x', len);
    for (uint64_t i = from; i <= to; i++) {
        struct raft_entry e = {.index = i, .term = 1, .type = RAFT_ENTRY_NORMAL, .buf = b};
        struct raft_update up = {.write_id = i, .entries = &e, .entry_count = 1};

        raft_log_append_async(log, &up);
    }
    raft_buf_unref(b);
}

/* The log thread, real files, O_DIRECT where the file system has it. */
static void the_log_thread_tells_when_entries_are_durable(void **state)
{
    struct live l = {0};
    struct raft_log_config c;
    struct raft_log_boot boot;
    struct raft_log *log;
    char dir[] = "/tmp/dfs-test-log-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(loop_new(&l.loop), 0);
    raft_log_config_init(&c);
    c.vfs = vfs_posix();
    c.dir = dir;
    c.loop = l.loop;
    c.segment_bytes = 1 << 20;
    c.durable = on_live_durable;
    c.ctx = &l;
    assert_int_equal(raft_log_open(&c, &boot, &log), 0);
    l.want = 500;
    write_live(log, 1, 500, 5000);
    loop_run(l.loop);
    assert_int_equal(l.durable, 500);
    assert_true(raft_log_stats(log)->syncs < 50);
    raft_log_close(log);

    assert_int_equal(raft_log_open(&c, &boot, &log), 0);
    assert_int_equal(boot.last_index, 500);
    assert_int_equal(boot.faulty_from, 0);
    raft_log_close(log);
    loop_free(l.loop);
    assert_int_equal(vfs_remove_all(vfs_posix(), dir), 0);
}

/* Fails one call in the preparing of a spare segment, which has a thread of its own; no other one
 * touches the disk meanwhile. */
static void fail_the_spare(struct log_fixture *f, enum vfs_fake_op op, int error)
{
    struct loop *loop;
    uint64_t before;

    assert_int_equal(open_log(f), 0);
    raft_log_pump(f->log, true);
    raft_log_close(f->log);
    before = vfs_fake_op_count(f->disk, op);
    assert_int_equal(open_log(f), 0); /* What an opening does by itself. */
    before = vfs_fake_op_count(f->disk, op) - before;
    raft_log_close(f->log);
    assert_int_equal(loop_new(&loop), 0);
    f->config.loop = loop;
    vfs_fake_fail(f->disk, op, before, error, false);
    assert_int_equal(open_log(f), 0);
    for (unsigned i = 0; i < 50 && f->fatal == 0; i++) {
        loop_run_once(loop, false);
        clock_sleep_ms(2);
    }
    raft_log_close(STEAL(f->log));
    loop_free(loop);
    f->config.loop = NULL;
}

/* The disk that cannot write a segment of zeros is the one that is trusted with the entries; it is
 * not asked whether it can do better the next time. */
static void a_spare_that_cannot_be_written_ends_it_all(void **state)
{
    fail_the_spare(*state, VFS_FAKE_WRITE, EIO);
    assert_int_equal(((struct log_fixture *)*state)->fatal, -EIO);
}

static void a_spare_that_cannot_be_synced_ends_it_all(void **state)
{
    fail_the_spare(*state, VFS_FAKE_SYNC, EIO);
    assert_int_equal(((struct log_fixture *)*state)->fatal, -EIO);
}

static void without_room_for_a_spare_the_log_goes_on(void **state)
{
    struct log_fixture *f = *state;

    fail_the_spare(f, VFS_FAKE_WRITE, ENOSPC);
    assert_int_equal(f->fatal, 0);
    assert_int_equal(open_log(f), 0);
    append_log(f, 1, 100, 1);
    raft_log_pump(f->log, true);
    assert_int_equal(f->durable, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, log_setup, log_teardown)
        T(a_new_directory_holds_an_empty_log),
        T(entries_and_votes_survive_a_restart),
        T(the_same_seeds_give_the_same_bytes),
        T(updates_queued_together_share_one_sync),
        T(truncated_entries_do_not_come_back),
        T(a_truncation_may_go_back_over_segments),
        T(an_entry_may_be_longer_than_a_segment),
        T(a_reset_begins_the_log_anew),
        T(compaction_drops_whole_segments_and_reuses_them),
        T(compaction_keeps_the_least_number_of_segments),
        T(old_entries_are_read_back_within_bounds),
        T(what_was_read_ahead_is_forgotten_at_a_truncation),
        T(a_damaged_entry_in_the_middle_is_faulty),
        T(the_damaged_last_entry_is_faulty_when_its_header_is_in_the_ring),
        T(the_latest_term_of_what_is_lost_is_told_and_kept),
        T(lost_entries_of_a_term_not_told_are_of_the_hard_states_at_most),
        T(a_lost_segment_in_the_middle_is_told_with_the_last_term),
        T(a_segment_that_lost_its_tail_is_damage),
        T(one_damaged_copy_of_the_hard_state_does_not_matter),
        T(without_hard_state_the_log_is_refused),
        T(hard_state_older_than_the_log_is_refused),
        T(hard_state_of_another_version_is_refused_as_such),
        T(a_failed_sync_ends_it_all),
        T(a_spare_that_cannot_be_written_ends_it_all),
        T(a_spare_that_cannot_be_synced_ends_it_all),
        T(without_room_for_a_spare_the_log_goes_on),
#undef T
        cmocka_unit_test(the_log_thread_tells_when_entries_are_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
