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

#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/vfs_fake.h"
#include "namenode/log_format.h"
#include "namenode/raft_log.h"

enum { SEGMENT = 32 << 10, ENTRIES_MAX = 512 };

/* What the log should hold: terms and lengths; contents follow from index and term. */
struct model {
    uint64_t base, last;
    struct {
        uint64_t term;
        uint32_t len;
    } entries[ENTRIES_MAX]; /* by index */
    struct raft_hard_state hard;
};

struct fixture {
    struct vfs_fake *disk;
    struct raft_log *log;
    struct raft_log_boot boot;
    struct model want;  /* all that was asked for */
    struct model acked; /* as it was at the last durable() */
    uint64_t next_write;
    uint64_t durable;
    int fatal;
    struct raft_log_config config;
};

static void on_durable(void *ctx, uint64_t write_id)
{
    struct fixture *f = ctx;

    assert_true(write_id > f->durable);
    f->durable = write_id;
    f->acked = f->want;
}

static void on_fatal(void *ctx, const char *what, int error)
{
    struct fixture *f = ctx;

    assert_non_null(what);
    f->fatal = error;
}

static int open_log(struct fixture *f)
{
    f->durable = 0;
    f->next_write = 1;
    f->fatal = 0;
    return raft_log_open(&f->config, &f->boot, &f->log);
}

static int setup(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);

    f->disk = vfs_fake_new();
    raft_log_config_init(&f->config);
    f->config.vfs = vfs_fake_vfs(f->disk);
    f->config.dir = "/log";
    f->config.segment_bytes = SEGMENT;
    f->config.segments_min = 1;
    f->config.direct = false;
    f->config.durable = on_durable;
    f->config.fatal = on_fatal;
    f->config.ctx = f;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    raft_log_close(f->log);
    vfs_fake_free(f->disk);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    raft_log_close(f->log);
    f->log = NULL;
    assert_int_equal(open_log(f), 0);
}

static uint8_t content_byte(uint64_t index, uint64_t term, uint32_t at)
{
    return (uint8_t)(index * 31 + term * 7 + at);
}

/* Everything one update can ask for. */
struct ask {
    uint64_t term, vote; /* 0: as before */
    uint64_t reset_to;   /* base index; 0: none */
    uint64_t truncate_from;
    unsigned count;
    uint32_t len;
    uint64_t entry_term;
};

static void ask(struct fixture *f, const struct ask *a)
{
    struct raft_update up = {.write_id = f->next_write++};
    struct raft_entry entries[64];
    struct model *m = &f->want;

    if (a->term) {
        up.hard_state_changed = true;
        up.hard_state = (struct raft_hard_state){.term = a->term, .vote = {a->vote}};
        m->hard = up.hard_state;
    }
    if (a->reset_to) {
        up.log_reset = true;
        up.log_base.index = a->reset_to;
        m->base = m->last = a->reset_to;
    }
    if (a->truncate_from) {
        up.truncate_from = a->truncate_from;
        m->last = a->truncate_from - 1;
    }
    assert_true(a->count <= 64);
    for (unsigned i = 0; i < a->count; i++) {
        struct raft_buf *b = raft_buf_new(a->len);
        uint64_t index = ++m->last;

        for (uint32_t k = 0; k < a->len; k++)
            b->data[k] = content_byte(index, a->entry_term, k);
        entries[i] = (struct raft_entry){
            .index = index, .term = a->entry_term, .type = RAFT_ENTRY_NORMAL, .buf = b};
        m->entries[index].term = a->entry_term;
        m->entries[index].len = a->len;
    }
    up.entries = entries;
    up.entry_count = a->count;
    raft_log_append_async(f->log, &up);
    for (unsigned i = 0; i < a->count; i++)
        raft_buf_unref(entries[i].buf);
}

static void append(struct fixture *f, unsigned count, uint32_t len, uint64_t term)
{
    ask(f, &(struct ask){.count = count, .len = len, .entry_term = term});
}

struct seen {
    struct model m;
    uint64_t next;
};

static int on_entry(void *ctx, const struct raft_entry *e)
{
    struct seen *s = ctx;

    if (s->next == 0)
        s->next = e->index;
    assert_int_equal(e->index, s->next);
    s->next++;
    s->m.last = e->index;
    s->m.entries[e->index].term = e->term;
    s->m.entries[e->index].len = e->buf->len;
    for (uint32_t k = 0; k < e->buf->len; k++)
        assert_int_equal(e->buf->data[k], content_byte(e->index, e->term, k));
    return 0;
}

/* The log as recovery gives it. */
static void look(struct fixture *f, struct model *ret)
{
    struct seen s = {0};

    s.m.base = s.m.last = raft_log_first_index(f->log) - 1;
    assert_int_equal(raft_log_replay(f->log, on_entry, &s), 0);
    assert_int_equal(s.m.last, raft_log_last_index(f->log));
    s.m.hard = f->boot.hard_state;
    *ret = s.m;
}

static bool same_entries(const struct model *a, const struct model *b, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++) {
        if (a->entries[i].term != b->entries[i].term || a->entries[i].len != b->entries[i].len)
            return false;
    }
    return true;
}

static void assert_log_is(struct fixture *f, const struct model *want)
{
    struct model got;

    look(f, &got);
    assert_int_equal(got.last, want->last);
    assert_true(same_entries(&got, want, got.base + 1, got.last));
    assert_int_equal(got.hard.term, want->hard.term);
    assert_int_equal(got.hard.vote.v, want->hard.vote.v);
}

static void a_new_directory_holds_an_empty_log(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    assert_true(f->boot.is_new);
    assert_int_equal(f->boot.first_index, 1);
    assert_int_equal(f->boot.last_index, 0);
    reopen(f);
    assert_false(f->boot.is_new);
    assert_int_equal(f->boot.faulty_from, 0);
}

static void entries_and_votes_survive_a_restart(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    ask(f, &(struct ask){.term = 3, .vote = 2, .count = 5, .len = 100, .entry_term = 3});
    append(f, 40, 3000, 3); /* several segments */
    raft_log_pump(f->log, false);
    assert_int_equal(f->durable, 2);
    reopen(f);
    assert_log_is(f, &f->want);
}

/* Group commit: what waits together is synced together. */
static void updates_queued_together_share_one_sync(void **state)
{
    struct fixture *f = *state;
    uint64_t before;

    assert_int_equal(open_log(f), 0);
    before = raft_log_stats(f->log)->syncs;
    for (int i = 0; i < 10; i++)
        append(f, 1, 50, 1);
    raft_log_pump(f->log, false);
    assert_int_equal(f->durable, 10);
    assert_int_equal(raft_log_stats(f->log)->syncs - before, 1);
    assert_int_equal(raft_log_stats(f->log)->entries, 10);
}

/* Old bytes behind a shorter new tail must not be taken for its continuation. */
static void truncated_entries_do_not_come_back(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append(f, 10, 400, 1);
    raft_log_pump(f->log, true);
    ask(f, &(struct ask){.truncate_from = 5, .count = 1, .len = 400, .entry_term = 2});
    raft_log_pump(f->log, true);
    reopen(f);
    assert_int_equal(f->boot.last_index, 5);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void a_truncation_may_go_back_over_segments(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append(f, 60, 2000, 1); /* five segments */
    raft_log_pump(f->log, true);
    ask(f, &(struct ask){.truncate_from = 7, .count = 3, .len = 100, .entry_term = 4});
    append(f, 50, 1500, 5);
    raft_log_pump(f->log, true);
    reopen(f);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
    append(f, 3, 10, 6);
    raft_log_pump(f->log, false);
    reopen(f);
    assert_log_is(f, &f->want);
}

/* Nothing says that an entry is shorter than a segment. */
static void an_entry_may_be_longer_than_a_segment(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append(f, 1, 100, 1);
    append(f, 1, 3 * SEGMENT, 1);
    append(f, 2, 100, 1);
    raft_log_pump(f->log, true);
    reopen(f);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void a_reset_begins_the_log_anew(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append(f, 30, 2000, 1);
    ask(f, &(struct ask){.reset_to = 100, .count = 2, .len = 10, .entry_term = 3});
    raft_log_pump(f->log, true);
    assert_int_equal(raft_log_first_index(f->log), 101);
    reopen(f);
    assert_int_equal(f->boot.first_index, 101);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void compaction_drops_whole_segments_and_reuses_them(void **state)
{
    struct fixture *f = *state;
    uint64_t first;

    assert_int_equal(open_log(f), 0);
    append(f, 60, 2000, 1);
    raft_log_pump(f->log, true);
    first = raft_log_compact(f->log, 40);
    raft_log_pump(f->log, true);
    assert_true(first > 1 && first <= 41);
    /* What was recycled is full of valid-looking records of its earlier use. */
    append(f, 30, 2000, 2);
    raft_log_pump(f->log, true);
    reopen(f);
    assert_int_equal(f->boot.first_index, first);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void compaction_keeps_the_least_number_of_segments(void **state)
{
    struct fixture *f = *state;

    f->config.segments_min = 3;
    assert_int_equal(open_log(f), 0);
    append(f, 60, 2000, 1);
    raft_log_pump(f->log, true);
    (void)raft_log_compact(f->log, 60);
    assert_int_equal(raft_log_size(f->log), 3 * SEGMENT);
}

static void old_entries_are_read_back_within_bounds(void **state)
{
    struct fixture *f = *state;
    struct raft_entry e[16];
    int n;

    assert_int_equal(open_log(f), 0);
    append(f, 60, 2000, 1);
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
    struct fixture *f = *state;
    struct raft_entry e;

    assert_int_equal(open_log(f), 0);
    append(f, 10, 100, 1);
    raft_log_pump(f->log, true);
    assert_int_equal(raft_log_read(f->log, 1, 1, 1, &e), 1);
    raft_buf_unref(e.buf);
    ask(f, &(struct ask){.truncate_from = 4, .count = 3, .len = 100, .entry_term = 2});
    raft_log_pump(f->log, true);
    assert_int_equal(raft_log_read(f->log, 5, 1, 1, &e), 1);
    assert_int_equal(e.term, 2);
    raft_buf_unref(e.buf);
}

/* ---- damage ---- */

static void flip(struct fixture *f, uint64_t seq, uint64_t offset)
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
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    for (int i = 0; i < 8; i++) {
        append(f, 1, 400, 1);
        raft_log_pump(f->log, false);
    }
    raft_log_close(f->log);
    f->log = NULL;
    flip(f, 1, record_offset(3, 400) + 100);
    for (int again = 0; again < 3; again++) {
        if (again == 0)
            assert_int_equal(open_log(f), 0);
        else
            reopen(f);
        assert_int_equal(f->boot.last_index, 3);
        assert_int_equal(f->boot.faulty_from, 4);
        assert_int_equal(f->boot.faulty_to, 8);
    }
    /* Half of it comes again; the rest stays lost. */
    f->want.last = 3;
    append(f, 2, 400, 1);
    raft_log_pump(f->log, true);
    reopen(f);
    assert_int_equal(f->boot.faulty_from, 6);
    assert_int_equal(f->boot.faulty_to, 8);
    append(f, 3, 400, 1);
    raft_log_pump(f->log, true);
    reopen(f);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
}

static void the_damaged_last_entry_is_faulty_when_its_header_is_in_the_ring(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append(f, 4, 400, 1);
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
    reopen(f);
    assert_int_equal(f->boot.faulty_from, 0);
}

static void a_segment_that_lost_its_tail_is_damage(void **state)
{
    struct fixture *f = *state;
    struct vfs_file *file;

    assert_int_equal(open_log(f), 0);
    append(f, 40, 2000, 1); /* more than two segments */
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
    struct fixture *f = *state;

    for (unsigned copy = 0; copy < 2; copy++) {
        assert_int_equal(open_log(f), 0);
        ask(f, &(struct ask){.term = 5 + copy, .vote = 3});
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
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    raft_log_close(f->log);
    f->log = NULL;
    assert_int_equal(vfs_fake_flip_bit(f->disk, "/log/meta", 20, 1), 0);
    assert_int_equal(vfs_fake_flip_bit(f->disk, "/log/meta", LOG_BLOCK + 20, 1), 0);
    assert_int_equal(open_log(f), -EBADMSG);
    assert_int_equal(vfs_unlink(f->config.vfs, "/log/meta"), 0);
    assert_int_equal(open_log(f), -EBADMSG);
}

/* After a failed sync the kernel may have dropped the pages: a later success proves nothing. */
static void a_failed_sync_ends_it_all(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(open_log(f), 0);
    append(f, 1, 100, 1);
    raft_log_pump(f->log, true);
    vfs_fake_fail(f->disk, VFS_FAKE_SYNC, 0, EIO, false);
    append(f, 1, 100, 1);
    raft_log_pump(f->log, false);
    assert_int_equal(f->fatal, -EIO);
    assert_int_equal(f->durable, 1);
    append(f, 1, 100, 1);
    raft_log_pump(f->log, false);
    assert_int_equal(f->durable, 1);
}

/* ---- crash points ---- */

/* Every kind of write there is, one update at a time; stops when the disk does. */
static bool step(struct fixture *f, unsigned number)
{
    switch (number) {
    case 0:
        ask(f, &(struct ask){.term = 1, .vote = 1, .count = 1, .len = 0, .entry_term = 1});
        break;
    case 1:
    case 2:
        append(f, 4, 700, 1);
        break;
    case 3:
        append(f, 20, 1200, 1); /* into the next segment */
        break;
    case 4:
        ask(f, &(struct ask){.term = 3,
                             .vote = 2,
                             .truncate_from = 22,
                             .count = 2,
                             .len = 300,
                             .entry_term = 2});
        break;
    case 5:
        append(f, 3, 5000, 3);
        break;
    case 6:
        append(f, 30, 900, 3);
        break;
    case 7: /* back into the segment before */
        ask(f,
            &(struct ask){.term = 5, .truncate_from = 12, .count = 8, .len = 600, .entry_term = 4});
        break;
    case 8:
        append(f, 40, 1400, 5);
        break;
    case 9:
        (void)raft_log_compact(f->log, 30);
        append(f, 1, 10, 5);
        break;
    case 10:
        append(f, 30, 1700, 5); /* recycled segments */
        break;
    case 11:
        ask(f, &(struct ask){.term = 6, .reset_to = 200, .count = 3, .len = 800, .entry_term = 6});
        break;
    case 12:
        append(f, 6, 2000, 6);
        break;
    default:
        return false;
    }
    return true;
}

/*
 * What may be there after a crash during one update: the state before it, followed by the first
 * few of the things it asked for, in their order.
 */
static void check_recovered(const struct model *got, const struct model *before,
                            const struct model *after)
{
    bool hard_old = got->hard.term == before->hard.term && got->hard.vote.v == before->hard.vote.v;
    bool hard_new = got->hard.term == after->hard.term && got->hard.vote.v == after->hard.vote.v;
    bool is_before = got->last == before->last &&
                     (got->last == 0 || same_entries(got, before, got->base + 1, got->last));
    bool is_after = got->last <= after->last && got->last >= MIN(before->last, after->last) &&
                    same_entries(got, after, got->base + 1, got->last);
    bool is_cut = got->last <= after->last && after->last - got->last <= 64 &&
                  same_entries(got, after, got->base + 1, got->last);

    assert_true(hard_old || hard_new);
    assert_true(is_before || is_after || (is_cut && hard_new));
    if (!hard_new)
        assert_true(is_before);
}

static void run_story(struct fixture *f, uint64_t stop_after, struct rng *rng)
{
    vfs_fake_stop_after(f->disk, stop_after);
    if (open_log(f) < 0)
        return;
    for (unsigned i = 0; step(f, i); i++) {
        raft_log_pump(f->log, rng_percent(rng, 50));
        if (f->fatal)
            break;
    }
}

static void crash_and_check(uint64_t stop_after, uint64_t seed, bool *ret_more)
{
    struct rng rng;
    struct fixture *f;
    void *state;
    struct model once, twice;

    rng_seed(&rng, seed * 1000003 + stop_after);
    (void)setup(&state);
    f = state;
    run_story(f, stop_after, &rng);
    *ret_more = vfs_fake_is_stopped(f->disk);
    raft_log_close(STEAL(f->log));
    vfs_fake_crash(f->disk, &rng);
    vfs_fake_stop_after(f->disk, UINT64_MAX);

    assert_int_equal(open_log(f), 0);
    assert_int_equal(f->boot.faulty_from, 0); /* a torn write is not damage */
    look(f, &once);
    check_recovered(&once, &f->acked, &f->want);
    reopen(f);
    assert_int_equal(f->boot.faulty_from, 0);
    look(f, &twice);
    assert_memory_equal(&once, &twice, sizeof(once));

    /* And it goes on from there. */
    f->want = once;
    ask(f, &(struct ask){.term = 9, .vote = 1, .count = 25, .len = 1500, .entry_term = 9});
    raft_log_pump(f->log, true);
    reopen(f);
    assert_int_equal(f->boot.faulty_from, 0);
    assert_log_is(f, &f->want);
    (void)teardown(&state);
}

static void every_crash_point_recovers(void **state)
{
    bool more = true;

    (void)state;
    for (uint64_t cut = 0; more; cut++) {
        for (uint64_t seed = 0; seed < 4; seed++)
            crash_and_check(cut, seed, &more);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_new_directory_holds_an_empty_log),
        T(entries_and_votes_survive_a_restart),
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
        T(a_segment_that_lost_its_tail_is_damage),
        T(one_damaged_copy_of_the_hard_state_does_not_matter),
        T(without_hard_state_the_log_is_refused),
        T(a_failed_sync_ends_it_all),
#undef T
        cmocka_unit_test(every_crash_point_recovers),
        cmocka_unit_test(the_log_thread_tells_when_entries_are_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
