/* The chunk map as a client knows it, read-ahead decisions, errseq: the small pure parts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libdfs/errseq.h"
#include "libdfs/layout.h"
#include "libdfs/readahead.h"

#define MIB_ (UINT64_C(1) << 20)

static void ranges_end_at_the_chunk(void **state)
{
    (void)state;
    assert_int_equal(layout_index(CHUNK_SIZE - 1), 0);
    assert_int_equal(layout_index(CHUNK_SIZE), 1);
    assert_int_equal(layout_offset(CHUNK_SIZE + 5), 5);
    assert_int_equal(layout_span(CHUNK_SIZE - 10, CHUNK_SIZE + 10), 10);
    assert_int_equal(layout_span(CHUNK_SIZE, CHUNK_SIZE + 10), 10);
    assert_int_equal(layout_span(0, 1), 1);
}

static void unknown_is_not_a_hole(void **state)
{
    struct layout l = {0};

    (void)state;
    assert_int_equal(layout_state(&l, 3), LAYOUT_UNKNOWN);
    layout_set_chunk(&l, 5, (struct chunk_id){9}, (struct pg_id){2}, false);
    assert_int_equal(layout_state(&l, 3), LAYOUT_UNKNOWN);
    l.complete = true;
    assert_int_equal(layout_state(&l, 3), LAYOUT_HOLE);
    assert_int_equal(layout_state(&l, 5), LAYOUT_CHUNK);
    layout_doubt(&l, 5);
    assert_int_equal(layout_state(&l, 3), LAYOUT_UNKNOWN);
    assert_int_equal(layout_state(&l, 5), LAYOUT_UNKNOWN);
    layout_done(&l);
}

/* Acknowledged bytes that the namenode was not told of: only we know that the chunk holds them. */
static void forgetting_keeps_what_is_not_published(void **state)
{
    struct layout l = {0};
    uint32_t fresh[4];

    (void)state;
    layout_set_chunk(&l, 0, (struct chunk_id){1}, (struct pg_id){1}, true);
    layout_set_chunk(&l, 40, (struct chunk_id){2}, (struct pg_id){1}, false);
    layout_find(&l, 40)->fresh = true;
    layout_forget(&l);
    assert_int_equal(layout_state(&l, 0), LAYOUT_UNKNOWN);
    assert_int_equal(layout_state(&l, 40), LAYOUT_CHUNK);
    assert_int_equal(layout_fresh(&l, fresh, 4), 1);
    assert_int_equal(fresh[0], 40);
    layout_done(&l);
}

static void cutting_makes_holes(void **state)
{
    struct layout l = {0};

    (void)state;
    for (uint32_t k = 0; k < 40; k++)
        layout_set_chunk(&l, k, (struct chunk_id){k + 1}, (struct pg_id){1}, true);
    layout_cut(&l, 17);
    assert_int_equal(layout_state(&l, 16), LAYOUT_CHUNK);
    assert_int_equal(layout_state(&l, 17), LAYOUT_HOLE);
    assert_int_equal(layout_state(&l, 39), LAYOUT_HOLE);
    layout_done(&l);
}

/* A chunk that was allocated anew after a truncate holds nothing of the old one. */
static void another_chunk_begins_empty(void **state)
{
    struct layout l = {0};

    (void)state;
    layout_set_chunk(&l, 0, (struct chunk_id){1}, (struct pg_id){1}, true);
    layout_set_chunk(&l, 0, (struct chunk_id){1}, (struct pg_id){1}, false);
    assert_true(layout_find(&l, 0)->materialized);
    layout_set_chunk(&l, 0, (struct chunk_id){2}, (struct pg_id){1}, false);
    assert_false(layout_find(&l, 0)->materialized);
    layout_done(&l);
}

static bool read_at(struct readahead *r, uint64_t offset, uint64_t len, uint64_t *from,
                    uint64_t *to)
{
    return readahead_on_read(r, offset, len, 1000 * MIB_, 16 * MIB_, from, to);
}

static void sequential_reads_open_a_growing_window(void **state)
{
    struct readahead r = {0};
    uint64_t from = 0, to = 0, at = 0;

    (void)state;
    assert_false(read_at(&r, at, 128 << 10, &from, &to));
    at += 128 << 10;
    assert_true(read_at(&r, at, 128 << 10, &from, &to));
    assert_int_equal(from, 0);
    assert_int_equal(to, 5 * MIB_); /* 4 MiB beyond the reader, whole pieces */
    for (at += 128 << 10; at < 100 * MIB_; at += 128 << 10)
        assert_true(read_at(&r, at, 128 << 10, &from, &to));
    assert_true(to >= at + 15 * MIB_ && to <= at + 17 * MIB_);
}

static void random_reads_fetch_nothing_ahead(void **state)
{
    struct readahead r = {0};
    uint64_t from, to;

    (void)state;
    for (uint64_t k = 1; k < 50; k++)
        assert_false(read_at(&r, (k * 7919 % 50) * 10 * MIB_, 4096, &from, &to));
}

/* One look at the index of a file that is otherwise streamed must not end the stream. */
static void one_miss_does_not_end_a_stream(void **state)
{
    struct readahead r = {0};
    uint64_t from, to;

    (void)state;
    (void)read_at(&r, 0, MIB_, &from, &to);
    assert_true(read_at(&r, MIB_, MIB_, &from, &to));
    assert_false(read_at(&r, 500 * MIB_, 4096, &from, &to));
    assert_true(read_at(&r, 2 * MIB_, MIB_, &from, &to));
    for (unsigned k = 0; k < READAHEAD_MISSES; k++)
        assert_false(read_at(&r, (500 + 20 * (uint64_t)k) * MIB_, 4096, &from, &to));
    assert_false(read_at(&r, 3 * MIB_, MIB_, &from, &to));
}

static void window_ends_with_the_file(void **state)
{
    struct readahead r = {0};
    uint64_t from, to;

    (void)state;
    (void)readahead_on_read(&r, 0, 4096, MIB_ + 5, 16 * MIB_, &from, &to);
    assert_true(readahead_on_read(&r, 4096, 4096, MIB_ + 5, 16 * MIB_, &from, &to));
    assert_int_equal(to, 2 * MIB_);
}

static void an_error_is_told_once_to_each(void **state)
{
    struct errseq e = {0};
    uint64_t a = errseq_sample(&e);
    uint64_t b = errseq_sample(&e);
    uint64_t c;

    (void)state;
    assert_int_equal(errseq_check(&e, &a), 0);
    errseq_set(&e, -EIO);
    assert_int_equal(errseq_check(&e, &a), -EIO);
    assert_int_equal(errseq_check(&e, &a), 0);
    c = errseq_sample(&e); /* Opened after somebody was told: nothing of its business. */
    assert_int_equal(errseq_check(&e, &c), 0);
    assert_int_equal(errseq_check(&e, &b), -EIO);
}

/* The writer closed before the background flush failed: the next open hears of it. */
static void an_error_nobody_heard_of_is_told_to_the_next_open(void **state)
{
    struct errseq e = {0};
    uint64_t a;

    (void)state;
    errseq_set(&e, -ENOSPC);
    a = errseq_sample(&e);
    assert_int_equal(errseq_check(&e, &a), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_end_at_the_chunk),
        cmocka_unit_test(unknown_is_not_a_hole),
        cmocka_unit_test(forgetting_keeps_what_is_not_published),
        cmocka_unit_test(cutting_makes_holes),
        cmocka_unit_test(another_chunk_begins_empty),
        cmocka_unit_test(sequential_reads_open_a_growing_window),
        cmocka_unit_test(random_reads_fetch_nothing_ahead),
        cmocka_unit_test(one_miss_does_not_end_a_stream),
        cmocka_unit_test(window_ends_with_the_file),
        cmocka_unit_test(an_error_is_told_once_to_each),
        cmocka_unit_test(an_error_nobody_heard_of_is_told_to_the_next_open),
    };

    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
