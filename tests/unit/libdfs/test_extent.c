/* Ordered ranges: compared with a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rng.h"
#include "libdfs/extent.h"

enum { SPACE = 512 };

/* model[k] is the extent that covers byte k. */
struct model {
    struct extent_set set;
    struct extent *at[SPACE];
    size_t count;
    uint64_t bytes;
};

static bool is_free(const struct model *m, uint64_t start, uint64_t end)
{
    for (uint64_t k = start; k < end; k++) {
        if (m->at[k] != NULL)
            return false;
    }
    return true;
}

static void put(struct model *m, uint64_t start, uint64_t end)
{
    struct extent *e = calloc(1, sizeof(*e));

    e->start = start;
    e->end = end;
    extent_insert(&m->set, e);
    for (uint64_t k = start; k < end; k++)
        m->at[k] = e;
    m->count++;
    m->bytes += end - start;
}

static void take(struct model *m, struct extent *e)
{
    extent_remove(&m->set, e);
    for (uint64_t k = e->start; k < e->end; k++)
        m->at[k] = NULL;
    m->count--;
    m->bytes -= e->end - e->start;
    free(e);
}

static struct extent *model_after(const struct model *m, uint64_t offset)
{
    for (uint64_t k = offset; k < SPACE; k++) {
        if (m->at[k] != NULL)
            return m->at[k];
    }
    return NULL;
}

static struct extent *model_before(const struct model *m, uint64_t offset)
{
    for (uint64_t k = offset; k-- > 0;) {
        if (m->at[k] != NULL)
            return m->at[k];
    }
    return NULL;
}

static void finds_what_a_plain_array_finds(void **state)
{
    struct model m = {0};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 7);
    for (unsigned step = 0; step < 20000; step++) {
        uint64_t start = rng_below(&rng, SPACE - 16);
        uint64_t end = start + 1 + rng_below(&rng, 15);
        uint64_t probe = rng_below(&rng, SPACE);

        if (is_free(&m, start, end))
            put(&m, start, end);
        else if (rng_percent(&rng, 50))
            take(&m, model_after(&m, start));
        assert_ptr_equal(extent_at_or_after(&m.set, probe), model_after(&m, probe));
        assert_ptr_equal(extent_before(&m.set, probe), model_before(&m, probe));
        assert_int_equal(m.set.count, m.count);
        assert_int_equal(m.set.bytes, m.bytes);
    }
    while (m.set.root != NULL)
        take(&m, m.set.root);
    assert_int_equal(m.set.count, 0);
    assert_int_equal(m.set.bytes, 0);
}

static void overlap_is_half_open(void **state)
{
    struct extent_set set = {0};
    struct extent e = {.start = 10, .end = 20};

    (void)state;
    extent_insert(&set, &e);
    assert_null(extent_overlap(&set, 0, 10));
    assert_null(extent_overlap(&set, 20, 30));
    assert_ptr_equal(extent_overlap(&set, 0, 11), &e);
    assert_ptr_equal(extent_overlap(&set, 19, 20), &e);
    extent_resize(&set, &e, 12, 15);
    assert_null(extent_overlap(&set, 10, 12));
    assert_int_equal(set.bytes, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_a_plain_array_finds),
        cmocka_unit_test(overlap_is_half_open),
    };

    return cmocka_run_group_tests_name("extent", tests, NULL, NULL);
}
