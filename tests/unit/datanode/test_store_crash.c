/*
 * Crash points: one story is told again and again, each time stopped one disk call later; then the
 * machine loses power (unsynced writes get lost, torn and mixed) or only the process dies, and what
 * the store finds is held against what it had promised. DFS_SEEDS=n: so many ways to lose power for
 * each call.
 */
#include "tests/unit/datanode/store_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/mem.h"
#include "common/rng.h"

enum {
    CHUNKS = 9,
    BYTES = 40960,
    BLOCKS = BYTES / 4096,
    VERSIONS = 24,
    SEEDS = 4,
    TRUNCATION = 77
};

struct version {
    uint64_t seq; /* 0: a copy */
    uint32_t len;
    uint8_t bytes[BYTES];
};

/* What was asked of a chunk, and how much of it was promised. */
struct model {
    struct version *versions[VERSIONS]; /* [0]: nothing */
    unsigned count;
    unsigned acked;  /* the last that was answered */
    unsigned synced; /* the last that is durable */
    bool incomplete_acked, complete_tried, delete_tried, delete_acked;
    bool truncation_acked;
    bool was_whole; /* before it was marked incomplete */
};

struct story {
    struct fixture *f;
    struct model chunks[CHUNKS];
    bool is_open;
};

static struct version *last(struct model *m)
{
    return m->versions[m->count - 1];
}

static struct version *add_version(struct model *m)
{
    struct version *v = mem_zalloc(1, sizeof(*v));

    assert_true(m->count < VERSIONS);
    if (m->count)
        *v = *last(m);
    m->versions[m->count++] = v;
    return v;
}

static int acked(struct story *s, unsigned c, int r)
{
    if (r == 0)
        s->chunks[c].acked = s->chunks[c].count - 1;
    return r;
}

static int do_write(struct story *s, unsigned c, uint32_t offset, uint32_t len, unsigned flags)
{
    struct model *m = &s->chunks[c];
    struct version *v = add_version(m);
    uint32_t seed = m->count * 16 + c;
    int r;

    fill(v->bytes + offset, len, offset, seed);
    v->len = MAX(v->len, offset + len);
    v->seq = flags & STORE_COPY ? 0 : s->f->seq + 1;
    r = acked(s, c, write_fill(s->f, c, offset, len, seed, flags));
    if (r == 0 && flags & STORE_SYNC)
        m->synced = m->count - 1;
    return r;
}

static int do_truncate(struct story *s, unsigned c, uint32_t from, unsigned flags)
{
    struct version *v = add_version(&s->chunks[c]);

    v->seq = flags & STORE_COPY ? 0 : s->f->seq + 1;
    v->len = flags & STORE_COPY ? from : MIN(v->len, from);
    memset(v->bytes + v->len, 0, BYTES - v->len);
    return acked(s, c, truncate_to(s->f, c, from, flags));
}

static int do_sync(struct story *s, unsigned c)
{
    int r = sync_chunk(s->f, c);

    if (r == 0)
        s->chunks[c].synced = s->chunks[c].count - 1;
    return r;
}

static void begin_write(struct story *s, unsigned c, uint32_t offset, uint32_t len,
                        struct answer *a)
{
    struct model *m = &s->chunks[c];
    struct version *v = add_version(m);
    uint32_t seed = m->count * 16 + c;

    fill(v->bytes + offset, len, offset, seed);
    v->len = MAX(v->len, offset + len);
    v->seq = s->f->seq + 1;
    start_write(s->f, c, offset, len, seed, 0, a);
}

/* Of two writes, the sync asked for between them covers the first, and the next one the second. */
static int do_sync_between_writes(struct story *s, unsigned c)
{
    struct model *m = &s->chunks[c];
    struct answer first = {0}, synced = {0}, second = {0};

    begin_write(s, c, 3000, 4000, &first);
    store_sync(s->f->t, &(struct chunk_id){c}, 1, answer_done, &synced);
    begin_write(s, c, 6000, 7000, &second);
    if (wait_for(s->f, &synced) == 0)
        m->synced = m->count - 2;
    if (wait_for(s->f, &first) == 0)
        m->acked = m->count - 2;
    if (acked(s, c, wait_for(s->f, &second)) < 0 || synced.status < 0)
        return -EIO;
    return do_sync(s, c);
}

static int do_incomplete(struct story *s, unsigned c)
{
    struct answer a = {0};

    store_mark_incomplete(s->f->t, (struct chunk_id){c}, (struct pg_id){PG}, answer_done, &a);
    s->chunks[c].incomplete_acked = wait_for(s->f, &a) == 0;
    return a.status;
}

/* As a joiner does: the mark, and a live operation right behind it. */
static int do_incomplete_and_live(struct story *s, unsigned c)
{
    struct model *m = &s->chunks[c];
    struct answer marked = {0}, written = {0};

    m->was_whole = true;
    store_mark_incomplete(s->f->t, (struct chunk_id){c}, (struct pg_id){PG}, answer_done, &marked);
    begin_write(s, c, 4096, 8192, &written);
    m->incomplete_acked = wait_for(s->f, &marked) == 0;
    return acked(s, c, wait_for(s->f, &written)) < 0 ? -EIO : marked.status;
}

static int do_complete(struct story *s, unsigned c)
{
    struct answer a = {0};
    struct model *m = &s->chunks[c];

    m->complete_tried = true;
    last(m)->seq = 44;
    store_mark_complete(s->f->t, (struct chunk_id){c}, (struct chunk_ver){4, 44}, 0, answer_done,
                        &a);
    if (wait_for(s->f, &a) == 0)
        m->synced = m->count - 1;
    return a.status;
}

static int do_set_truncated(struct story *s, unsigned c)
{
    struct answer a = {0};

    store_set_truncated(s->f->t, (struct chunk_id){c}, TRUNCATION, answer_done, &a);
    s->chunks[c].truncation_acked = wait_for(s->f, &a) == 0;
    return a.status;
}

static int do_delete(struct story *s, unsigned c)
{
    s->chunks[c].delete_tried = true;
    s->chunks[c].delete_acked = delete_chunk(s->f, c) == 0;
    return s->chunks[c].delete_acked ? 0 : -EIO;
}

static int do_tick(struct story *s, uint64_t ms)
{
    fixture_tick(s->f, ms);
    return target_is_failed(s->f->t) ? -EIO : 0;
}

/* It goes on while the next steps are made. */
static int do_checkpoint(struct story *s)
{
    table_log_tick(s->f->t->log, true);
    return 0;
}

static int do_reopen(struct story *s)
{
    int r;

    fixture_close(s->f);
    r = fixture_open(s->f);
    s->is_open = r == 0;
    return r;
}

/* Until the first error, as the datanode would. */
static void tell(struct story *s)
{
    (void)((s->is_open = fixture_open(s->f) == 0) && /* Makes the target. */
           do_write(s, 1, 0, 10000, STORE_CREATE) == 0 && do_write(s, 1, 5000, 3000, 0) == 0 &&
           do_sync(s, 1) == 0 && do_write(s, 2, 4096, 20000, STORE_CREATE | STORE_SYNC) == 0 &&
           do_tick(s, 1000) == 0 && do_tick(s, 11000) == 0 && /* 1 and 2 are CLEAN */
           do_write(s, 1, 2000, 5000, 0) == 0 && do_write(s, 1, 9000, 9000, 0) == 0 &&
           do_sync_between_writes(s, 1) == 0 && do_truncate(s, 2, 9000, 0) == 0 &&
           do_sync(s, 2) == 0 && do_set_truncated(s, 2) == 0 && do_incomplete(s, 3) == 0 &&
           do_write(s, 3, 0, 12288, STORE_COPY) == 0 && do_truncate(s, 3, 11000, STORE_COPY) == 0 &&
           do_complete(s, 3) == 0 && do_incomplete(s, 4) == 0 &&
           do_write(s, 4, 0, 8192, STORE_COPY) == 0 && do_write(s, 5, 0, 6000, STORE_CREATE) == 0 &&
           do_write(s, 7, 0, 16384, STORE_CREATE) == 0 && do_write(s, 7, 4096, 8192, 0) == 0 &&
           do_delete(s, 5) == 0 && do_sync(s, 7) == 0 && do_write(s, 7, 12288, 24576, 0) == 0 &&
           do_checkpoint(s) == 0 && do_write(s, 1, 0, 300, 0) == 0 && do_sync(s, 1) == 0 &&
           do_tick(s, 11000) == 0 && do_tick(s, 11000) == 0 && do_reopen(s) == 0 &&
           do_write(s, 2, 100, 20000, 0) == 0 && do_tick(s, 11000) == 0 && do_tick(s, 1000) == 0 &&
           do_checkpoint(s) == 0 && do_write(s, 2, 7000, 200, 0) == 0 &&
           do_write(s, 6, 0, 100, STORE_CREATE) == 0 &&
           do_write(s, 8, 0, 20000, STORE_CREATE | STORE_SYNC) == 0 && do_tick(s, 11000) == 0 &&
           do_tick(s, 1000) == 0 && do_incomplete_and_live(s, 8) == 0);
}

/* ---- what must hold ---- */

static bool block_is(const struct version *v, unsigned b, const uint8_t *block)
{
    return memcmp(v->bytes + b * 4096, block, 4096) == 0;
}

static bool block_may_be(const struct model *m, unsigned from, unsigned b, const uint8_t *block)
{
    for (unsigned i = from; i < m->count; i++)
        if (block_is(m->versions[i], b, block))
            return true;
    return false;
}

static bool block_is_steady(const struct model *m, unsigned from, unsigned b)
{
    for (unsigned i = from + 1; i < m->count; i++)
        if (!block_is(m->versions[i], b, m->versions[from]->bytes + b * 4096))
            return false;
    return true;
}

/* from: nothing older than this version may come back. */
static void check_content(struct story *s, unsigned c, unsigned from)
{
    const struct model *m = &s->chunks[c];
    uint8_t block[4096];

    for (unsigned b = 0; b < BLOCKS; b++) {
        int r = read_bytes(s->f, c, b * 4096, 4096, block, NULL);

        if (r == DFS_EBADBLOCK && !block_is_steady(m, from, b))
            continue;
        assert_ok(r);
        assert_true(block_may_be(m, from, b, block));
    }
}

static void check_clean(struct story *s, unsigned c, const struct chunk_state *st)
{
    const struct model *m = &s->chunks[c];
    uint8_t block[4096];
    unsigned i = m->count;

    while (i > 0 && m->versions[i - 1]->seq != st->ver.seq)
        i--;
    assert_true(i > 0);
    assert_int_equal(st->len, m->versions[i - 1]->len);
    for (unsigned b = 0; b < BLOCKS; b++) {
        assert_ok(read_bytes(s->f, c, b * 4096, 4096, block, NULL));
        assert_true(block_is(m->versions[i - 1], b, block));
    }
}

static void check_chunk(struct story *s, unsigned c, bool lost_power)
{
    struct model *m = &s->chunks[c];
    unsigned from = lost_power ? m->synced : m->acked;
    struct chunk_state st;
    int r = store_chunk_state(s->f->t, (struct chunk_id){c}, &st);

    if (m->delete_acked) {
        assert_ok(r);
        assert_true(st.flags & CHUNK_DELETED);
        return;
    }
    if (m->incomplete_acked && !m->complete_tried) {
        assert_ok(r);
        assert_true(st.flags & CHUNK_INCOMPLETE);
    }
    if (m->delete_tried && r == 0 && st.flags & CHUNK_DELETED)
        return;
    if (r < 0) {
        assert_int_equal(from, 0);
        return;
    }
    if (st.flags & CHUNK_INCOMPLETE) {
        assert_true(m->incomplete_acked || m->count > 1 || c == 3 || c == 4);
        assert_true(m->synced == 0 || m->was_whole);
        return;
    }
    assert_false(st.flags & CHUNK_BAD);
    assert_true(st.trunc_version == (m->truncation_acked ? TRUNCATION : 0) ||
                (c == 2 && st.trunc_version == TRUNCATION));
    if (!(st.flags & CHUNK_DIRTY))
        check_clean(s, c, &st);
    else
        check_content(s, c, from);
}

/* Opening it once more changes nothing. */
static void check_again(struct story *s, bool lose_power)
{
    struct chunk_state before[16], after[16];
    size_t n = store_list(s->f->t, (struct pg_id){PG}, (struct chunk_id){0}, 16, before), n2;

    if (lose_power)
        fixture_crash(s->f, NULL);
    else
        fixture_kill(s->f);
    assert_ok(fixture_open(s->f));
    n2 = store_list(s->f->t, (struct pg_id){PG}, (struct chunk_id){0}, 16, after);
    assert_int_equal(n, n2);
    for (size_t i = 0; i < n; i++) {
        assert_true(before[i].id.v == after[i].id.v);
        assert_int_equal(before[i].flags, after[i].flags);
        assert_int_equal(before[i].len, after[i].len);
        assert_true(before[i].trunc_version == after[i].trunc_version);
    }
}

/* A source after a cold start: every block can be read again, and nothing synced has changed. */
static void check_laundered(struct story *s, bool lost_power)
{
    struct answer a = {0};

    store_launder(s->f->t, (struct pg_id){PG}, (struct chunk_ver){9, 0}, answer_done, &a);
    assert_ok(wait_for(s->f, &a));
    for (unsigned c = 1; c < CHUNKS; c++) {
        struct model *m = &s->chunks[c];
        unsigned from = lost_power ? m->synced : m->acked, bad = 0;
        struct chunk_state st;
        uint8_t block[4096];

        if (store_chunk_state(s->f->t, (struct chunk_id){c}, &st) < 0 ||
            st.flags & (CHUNK_DELETED | CHUNK_INCOMPLETE))
            continue;
        assert_false(st.flags & CHUNK_SUSPECT);
        assert_ok(verify_chunk(s->f, c, &bad, NULL));
        assert_int_equal(bad, 0);
        for (unsigned b = 0; b < BLOCKS; b++) {
            assert_ok(read_bytes(s->f, c, b * 4096, 4096, block, NULL));
            if (block_is_steady(m, from, b))
                assert_true(block_is(m->versions[from], b, block));
        }
    }
}

/*
 * What a killed process left in memory alone, its names too, is durable when its successor has synced
 * it and calls it CLEAN. After check_laundered().
 */
static void check_lasts(struct story *s)
{
    static uint8_t before[CHUNKS][BYTES], after[BYTES];
    bool is_whole[CHUNKS] = {false};
    struct chunk_state st;

    for (unsigned c = 1; c < CHUNKS; c++) {
        if (store_chunk_state(s->f->t, (struct chunk_id){c}, &st) < 0 ||
            st.flags & (CHUNK_DELETED | CHUNK_INCOMPLETE))
            continue;
        is_whole[c] = true;
        assert_ok(read_bytes(s->f, c, 0, BYTES, before[c], NULL));
    }
    for (unsigned i = 0; i < 3; i++)
        fixture_tick(s->f, 11000);
    fixture_crash(s->f, NULL);
    assert_ok(fixture_open(s->f));
    for (unsigned c = 1; c < CHUNKS; c++) {
        if (!is_whole[c])
            continue;
        assert_ok(store_chunk_state(s->f->t, (struct chunk_id){c}, &st));
        assert_false(st.flags & (CHUNK_BAD | CHUNK_DIRTY));
        assert_ok(read_bytes(s->f, c, 0, BYTES, after, NULL));
        assert_memory_equal(after, before[c], BYTES);
    }
}

static void lose(struct story *s, struct rng *rng, bool lose_power)
{
    if (lose_power)
        vfs_fake_crash(s->f->fake, rng);
    else
        vfs_fake_kill(s->f->fake);
    fixture_bury(s->f);
    if (lose_power)
        s->f->options.boot_id.b[0]++;
}

/* One telling; false: the story came to its end before the disk stopped. */
static bool crash_after(uint64_t calls, uint64_t seed, bool lose_power, bool names_any)
{
    struct story s = {0};
    struct rng rng;
    bool is_stopped;

    rng_seed(&rng, seed * 1000003 + calls);
    s.f = fixture_new_closed();
    s.f->options.inline_seed = seed;
    vfs_fake_set_names_any(s.f->fake, names_any);
    for (unsigned c = 0; c < CHUNKS; c++)
        (void)add_version(&s.chunks[c]);
    vfs_fake_stop_after(s.f->fake, calls);
    tell(&s);
    is_stopped = vfs_fake_is_stopped(s.f->fake);
    lose(&s, seed == 0 ? NULL : &rng, lose_power);
    /* Sometimes the next start does not come through either. */
    while (seed > 0 && rng_percent(&rng, 50)) {
        vfs_fake_stop_after(s.f->fake, rng_below(&rng, 24));
        (void)fixture_open(s.f);
        lose(&s, &rng, lose_power);
    }
    assert_ok(fixture_open(s.f));
    for (unsigned c = 1; c < CHUNKS; c++)
        check_chunk(&s, c, lose_power);
    check_again(&s, lose_power);
    for (unsigned c = 1; c < CHUNKS; c++)
        check_chunk(&s, c, lose_power);
    check_laundered(&s, lose_power);
    check_lasts(&s);
    assert_ok(write_fill(s.f, CHUNKS, 0, 5000, 1, STORE_CREATE | STORE_SYNC));
    fixture_close(s.f);
    fixture_free(s.f);
    for (unsigned c = 0; c < CHUNKS; c++)
        for (unsigned i = 0; i < s.chunks[c].count; i++)
            free(s.chunks[c].versions[i]);
    return is_stopped;
}

static void tell_all(uint64_t seed, bool lose_power, bool names_any)
{
    uint64_t calls = 0;

    while (crash_after(calls, seed, lose_power, names_any))
        calls++;
    print_message("# seed %" PRIu64 ": %" PRIu64 " points\n", seed, calls);
    assert_true(calls > 60); /* The story was told at all. */
}

static uint64_t seeds_wanted(void)
{
    const char *wanted = getenv("DFS_SEEDS");

    return wanted ? strtoull(wanted, NULL, 10) : SEEDS;
}

static void power_loss_that_drops_all_unsynced_keeps_every_promise(void **state)
{
    (void)state;
    tell_all(0, true, false);
}

static void power_loss_that_tears_keeps_every_promise(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds_wanted(); seed++)
        tell_all(seed, true, false);
}

/* The store relies on no order of names that it has not synced. */
static void power_loss_that_reorders_names_keeps_every_promise(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds_wanted(); seed++)
        tell_all(seed, true, true);
}

/* The page cache lives on: also what was only acknowledged is there. */
static void a_killed_process_loses_nothing_acknowledged(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed <= 2; seed++)
        tell_all(seed, false, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_loss_that_drops_all_unsynced_keeps_every_promise),
        cmocka_unit_test(power_loss_that_tears_keeps_every_promise),
        cmocka_unit_test(power_loss_that_reorders_names_keeps_every_promise),
        cmocka_unit_test(a_killed_process_loses_nothing_acknowledged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
