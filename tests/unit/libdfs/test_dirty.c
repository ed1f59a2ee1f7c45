/* Dirty pieces against a byte array: random writes, sends, acknowledgements, failures, cuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "common/rng.h"
#include "common/slab.h"
#include "libdfs/dirty.h"

enum { SPACE = 256 << 10, FLYING_MAX = 8, PARTS = 4 };

struct flight {
    struct dirty_piece *pieces[PARTS];
    size_t count;
    uint8_t sent[SPACE / 8]; /* what the bytes were when it was sent */
    uint64_t start, end;
};

struct fixture {
    struct slab_pool *slabs;
    struct dirty d;
    uint8_t dirty_bytes[SPACE]; /* the model: newest content */
    bool is_dirty[SPACE];
    struct flight flights[FLYING_MAX];
    size_t flight_count;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->slabs = slab_pool_new(0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    dirty_done(&f->d);
    slab_pool_free(f->slabs); /* Asserts that every slab came back. */
    free(f);
    return 0;
}

static void check(const struct fixture *f)
{
    uint64_t at = 0;

    while (at < SPACE) {
        const struct extent *x = extent_at_or_after(&f->d.pieces, at);
        const struct dirty_piece *p = x != NULL ? CONTAINER_OF(x, struct dirty_piece, x) : NULL;
        uint64_t start = x != NULL ? x->start : SPACE;
        uint64_t end = x != NULL ? x->end : SPACE;

        for (uint64_t k = at; k < start; k++)
            assert_false(f->is_dirty[k]);
        for (uint64_t k = start; k < end; k++)
            assert_true(f->is_dirty[k]);
        if (p != NULL)
            assert_memory_equal(p->bytes, f->dirty_bytes + start, end - start);
        at = end;
    }
    /* What flies never changes. */
    for (size_t n = 0; n < f->flight_count; n++) {
        const struct flight *fl = &f->flights[n];

        for (size_t k = 0; k < fl->count; k++) {
            const struct dirty_piece *p = fl->pieces[k];

            assert_memory_equal(p->bytes, fl->sent + (p->x.start - fl->start),
                                p->x.end - p->x.start);
        }
    }
}

static void do_write(struct fixture *f, struct rng *rng)
{
    bool big = rng_percent(rng, 20);
    size_t len = big ? DIRTY_REF_MIN : 1 + rng_below(rng, rng_percent(rng, 50) ? 64 : 9000);
    uint64_t offset = rng_below(rng, SPACE - len);
    struct slab *slab = slab_alloc(f->slabs, DIRTY_REF_MIN);

    rng_bytes(rng, slab->data, len);
    memcpy(f->dirty_bytes + offset, slab->data, len);
    memset(f->is_dirty + offset, 1, len);
    (void)dirty_write(&f->d, f->slabs, offset, slab->data, len, big ? slab : NULL, 1);
    slab_unref(slab);
}

static void do_send(struct fixture *f, struct rng *rng)
{
    struct flight *fl = &f->flights[f->flight_count];
    const struct extent *x = extent_at_or_after(&f->d.pieces, rng_below(rng, SPACE));
    uint64_t start;

    if (x == NULL || f->flight_count == FLYING_MAX)
        return;
    start = x->start + rng_below(rng, x->end - x->start);
    fl->start = start;
    fl->count =
        dirty_take(&f->d, start, start + 1 + rng_below(rng, sizeof(fl->sent)), fl->pieces, PARTS);
    assert_true(fl->count > 0);
    fl->end = fl->pieces[fl->count - 1]->x.end;
    assert_int_equal(fl->pieces[0]->x.start, start);
    memcpy(fl->sent, f->dirty_bytes + start, fl->end - start);
    memset(f->is_dirty + start, 0, fl->end - start);
    f->flight_count++;
}

/* Acknowledged, or failed and given back: then it is dirty again where nothing newer is. */
static void do_end(struct fixture *f, struct rng *rng)
{
    struct flight fl;
    bool back = rng_percent(rng, 40);

    if (f->flight_count == 0)
        return;
    fl = f->flights[--f->flight_count];
    for (size_t k = 0; k < fl.count; k++) {
        if (back)
            dirty_put_back_take(&f->d, fl.pieces[k]);
        else
            dirty_piece_release(&f->d, fl.pieces[k]);
    }
    for (uint64_t k = fl.start; back && k < fl.end; k++) {
        if (f->is_dirty[k])
            continue;
        f->is_dirty[k] = true;
        f->dirty_bytes[k] = fl.sent[k - fl.start];
    }
}

static void do_cut(struct fixture *f, struct rng *rng)
{
    uint64_t start = rng_below(rng, SPACE);
    uint64_t end = start + rng_below(rng, SPACE - start);

    dirty_cut(&f->d, start, end);
    memset(f->is_dirty + start, 0, end - start);
}

static void holds_what_a_byte_array_holds(void **state)
{
    struct fixture *f = *state;
    struct rng rng;

    rng_seed(&rng, 11);
    for (unsigned step = 0; step < 3000; step++) {
        uint64_t dice = rng_below(&rng, 100);

        if (dice < 60)
            do_write(f, &rng);
        else if (dice < 80)
            do_send(f, &rng);
        else if (dice < 97)
            do_end(f, &rng);
        else
            do_cut(f, &rng);
        if (step % 8 == 0)
            check(f);
    }
    check(f);
    while (f->flight_count > 0)
        do_end(f, &rng);
    check(f);
}

/* A flush must not wait for what is written after it began, nor end before what was. */
static void generation_ends_with_its_last_piece(void **state)
{
    struct fixture *f = *state;
    struct dirty_piece *p[2];
    uint64_t first, second;

    (void)dirty_write(&f->d, f->slabs, 0, "aaaa", 4, NULL, 1);
    (void)dirty_write(&f->d, f->slabs, 100, "bbbb", 4, NULL, 1);
    first = dirty_gen_close(&f->d);
    (void)dirty_write(&f->d, f->slabs, 200, "cccc", 4, NULL, 2);
    assert_false(dirty_gen_is_over(&f->d, first));

    assert_int_equal(dirty_take(&f->d, 0, 4, p, 2), 1);
    dirty_piece_release(&f->d, p[0]);
    assert_false(dirty_gen_is_over(&f->d, first));
    assert_int_equal(dirty_take(&f->d, 100, 104, p, 2), 1);
    assert_false(dirty_gen_is_over(&f->d, first)); /* It flies yet. */
    dirty_piece_release(&f->d, p[0]);
    assert_true(dirty_gen_is_over(&f->d, first));

    second = dirty_gen_close(&f->d);
    assert_true(second > first);
    assert_false(dirty_gen_is_over(&f->d, second));
    dirty_cut(&f->d, 0, UINT64_MAX);
    assert_true(dirty_gen_is_over(&f->d, second));
    assert_int_equal(dirty_gen_close(&f->d), 0);
}

/* 16 writes of 4 KiB must not become 16 pieces: a write has room for 15 on the wire. */
static void small_writes_in_a_row_are_one_piece(void **state)
{
    struct fixture *f = *state;
    uint8_t page[4096] = {1};

    for (unsigned k = 0; k < DIRTY_FILL_SIZE / sizeof(page); k++)
        (void)dirty_write(&f->d, f->slabs, k * sizeof(page), page, sizeof(page), NULL, 1);
    assert_int_equal(f->d.pieces.count, 1);
    assert_int_equal(f->d.pieces.bytes, DIRTY_FILL_SIZE);
}

/* The same page written again and again takes no new memory. */
static void overwriting_small_bytes_is_done_in_place(void **state)
{
    struct fixture *f = *state;
    uint8_t page[4096] = {1};

    for (unsigned k = 0; k < 100; k++)
        (void)dirty_write(&f->d, f->slabs, 8192, page, sizeof(page), NULL, 1);
    assert_int_equal(f->d.pieces.count, 1);
    assert_int_equal(f->d.fill_len, sizeof(page));
}

/* A 128 KiB write in the mount's 1 MiB block must not hold the block: memory is bounded by bytes. */
static void little_of_a_big_slab_is_copied(void **state)
{
    struct fixture *f = *state;
    struct slab *slab = slab_alloc(f->slabs, 1 << 20);

    memset(slab->data, 7, 1 << 20);
    assert_int_equal(dirty_write(&f->d, f->slabs, 0, slab->data, 128 << 10, slab, 1), 128 << 10);
    assert_int_equal(dirty_write(&f->d, f->slabs, 1 << 20, slab->data, 1 << 20, slab, 1), 0);
    slab_unref(slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(holds_what_a_byte_array_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(little_of_a_big_slab_is_copied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(generation_ends_with_its_last_piece, set_up, tear_down),
        cmocka_unit_test_setup_teardown(small_writes_in_a_row_are_one_piece, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overwriting_small_bytes_is_done_in_place, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests_name("dirty", tests, NULL, NULL);
}
