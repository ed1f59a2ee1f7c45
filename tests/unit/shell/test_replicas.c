/* Replicas side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shell/replicas.h"

struct found {
    unsigned count;
    struct replica_difference last;
};

static void take(void *ctx, const struct replica_difference *d)
{
    struct found *f = ctx;

    f->count++;
    f->last = *d;
}

static struct found compare(struct replica_item *a, size_t a_count, struct replica_item *b,
                            size_t b_count)
{
    const struct replica_list lists[] = {{.target = 1, .items = a, .count = a_count},
                                         {.target = 2, .items = b, .count = b_count}};
    struct found f = {.count = 0};

    replicas_compare(lists, 2, take, &f);
    return f;
}

static void equal_replicas_are_silent(void **state)
{
    struct replica_item a[] = {{.chunk = 1, .digest = 5, .len = 9}, {.chunk = 4, .len = 1}};

    (void)state;
    assert_int_equal(compare(a, 2, a, 2).count, 0);
    assert_int_equal(compare(NULL, 0, NULL, 0).count, 0);
}

static void another_digest_or_length_is_a_difference(void **state)
{
    struct replica_item a[] = {{.chunk = 1, .digest = 5, .len = 9}};
    struct replica_item b[] = {{.chunk = 1, .digest = 6, .len = 9}};
    struct replica_item c[] = {{.chunk = 1, .digest = 5, .len = 8}};

    (void)state;
    assert_int_equal(compare(a, 1, b, 1).count, 1);
    assert_int_equal(compare(a, 1, c, 1).count, 1);
}

static void a_chunk_that_one_has_not_is_a_difference(void **state)
{
    struct replica_item a[] = {
        {.chunk = 1, .len = 9}, {.chunk = 2, .len = 9}, {.chunk = 3, .len = 9}};
    struct replica_item b[] = {{.chunk = 1, .len = 9}, {.chunk = 3, .len = 9}};
    struct found f = compare(a, 3, b, 2);

    (void)state;
    assert_int_equal(f.count, 1);
    assert_int_equal(f.last.chunk, 2);
    assert_true(f.last.members[0].present);
    assert_false(f.last.members[1].present);
    assert_int_equal(compare(b, 2, a, 3).count, 1);
    assert_int_equal(compare(a, 3, NULL, 0).count, 3);
}

/* Both read as zeros. */
static void an_empty_chunk_is_as_good_as_none(void **state)
{
    struct replica_item a[] = {{.chunk = 1, .len = 0}};

    (void)state;
    assert_int_equal(compare(a, 1, NULL, 0).count, 0);
    assert_int_equal(compare(NULL, 0, a, 1).count, 0);
}

/* Damage in the same place everywhere would compare as equal. */
static void damage_is_a_difference_even_if_all_have_it(void **state)
{
    struct replica_item a[] = {{.chunk = 1, .digest = 5, .len = 9, .bad = true}};

    (void)state;
    assert_int_equal(compare(a, 1, a, 1).count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_replicas_are_silent),
        cmocka_unit_test(another_digest_or_length_is_a_difference),
        cmocka_unit_test(a_chunk_that_one_has_not_is_a_difference),
        cmocka_unit_test(an_empty_chunk_is_as_good_as_none),
        cmocka_unit_test(damage_is_a_difference_even_if_all_have_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
