/* The table of all chunks, held against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/rng.h"
#include "datanode/chunk_table.h"

enum { IDS = 5000, PGS = 7 };

static void chunks_are_found_and_listed_through_any_history(void **state)
{
    CLEANUP(chunk_table) struct chunk_table *t = chunk_table_new();
    uint32_t pg_of[IDS + 1] = {0}; /* 0: not there */
    struct chunk *list[IDS];
    struct rng rng;
    size_t count = 0;

    (void)state;
    rng_seed(&rng, 1);
    for (int i = 0; i < 40000; i++) {
        uint64_t id = 1 + rng_below(&rng, IDS);
        struct chunk *c = chunk_table_find(t, id);

        assert_int_equal(c ? c->pg : 0, pg_of[id]);
        if (c && rng_percent(&rng, 30)) {
            chunk_table_set_pg(t, c, 1 + (uint32_t)rng_below(&rng, PGS));
            pg_of[id] = c->pg;
        } else if (c) {
            chunk_table_remove(t, c);
            pg_of[id] = 0;
            count--;
        } else {
            pg_of[id] = 1 + (uint32_t)rng_below(&rng, PGS);
            assert_true(chunk_table_add(t, id, pg_of[id])->id == id);
            count++;
        }
        assert_int_equal(chunk_table_count(t), count);
    }
    for (uint32_t pg = 1; pg <= PGS; pg++) {
        size_t n = chunk_table_list(t, pg, 0, IDS, list), at = 0;

        for (uint64_t id = 1; id <= IDS; id++)
            if (pg_of[id] == pg)
                assert_true(at < n && list[at++]->id == id);
        assert_int_equal(at, n);
    }
}

static void a_walk_sees_each_chunk_once(void **state)
{
    CLEANUP(chunk_table) struct chunk_table *t = chunk_table_new();
    size_t seen = 0;

    (void)state;
    for (uint64_t id = 1; id <= 3000; id++)
        (void)chunk_table_add(t, id, 1);
    for (uint64_t id = 1; id <= 3000; id += 3)
        chunk_table_remove(t, chunk_table_find(t, id));
    for (uint32_t i = 0; i < chunk_table_end(t); i++)
        seen += chunk_table_at(t, i) != NULL;
    assert_int_equal(seen, 2000);
    assert_true(chunk_table_end(t) <= 3000);
}

static void groups_without_chunks_are_not_listed(void **state)
{
    CLEANUP(chunk_table) struct chunk_table *t = chunk_table_new();
    uint32_t pgs[4];

    (void)state;
    (void)chunk_table_add(t, 1, 30);
    (void)chunk_table_add(t, 2, 10);
    (void)chunk_table_add(t, 3, 20);
    chunk_table_remove(t, chunk_table_find(t, 2));
    assert_int_equal(chunk_table_list_pgs(t, 0, 4, pgs), 2);
    assert_int_equal(pgs[0], 20);
    assert_int_equal(pgs[1], 30);
    assert_int_equal(chunk_table_list_pgs(t, 20, 4, pgs), 1);
    assert_int_equal(chunk_table_list_pgs(t, 0, 1, pgs), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_found_and_listed_through_any_history),
        cmocka_unit_test(a_walk_sees_each_chunk_once),
        cmocka_unit_test(groups_without_chunks_are_not_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
