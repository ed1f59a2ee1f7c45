/* The log as the core remembers it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "raft/entries.h"

static int set_up(void **state)
{
    struct entries *e = malloc(sizeof(*e));

    entries_init(e, 0, 0);
    *state = e;
    return 0;
}

static int tear_down(void **state)
{
    entries_done(*state);
    free(*state);
    return 0;
}

static void add(struct entries *e, uint64_t term, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct raft_buf *buf = raft_buf_copy("0123456789", 10);
        struct raft_entry entry = {e->last_index + 1, term, RAFT_ENTRY_NORMAL, buf};

        entries_append(e, &entry);
        raft_buf_unref(buf);
    }
}

static uint64_t term_at(const struct entries *e, uint64_t index)
{
    uint64_t term = UINT64_MAX;

    (void)entries_term(e, index, &term);
    return term;
}

static void each_index_has_its_term(void **state)
{
    struct entries *e = *state;

    add(e, 1, 100);
    add(e, 3, 1);
    add(e, 7, 99);
    assert_int_equal(term_at(e, 0), 0);
    assert_int_equal(term_at(e, 1), 1);
    assert_int_equal(term_at(e, 100), 1);
    assert_int_equal(term_at(e, 101), 3);
    assert_int_equal(term_at(e, 102), 7);
    assert_int_equal(term_at(e, 200), 7);
    assert_int_equal(term_at(e, 201), UINT64_MAX);
    assert_int_equal(entries_last_term(e), 7);
    assert_int_equal(e->run_count, 3);
}

/* R7: a cache that keeps what the log has lost hands out entries that never were. */
static void truncation_reaches_the_cache(void **state)
{
    struct entries *e = *state;

    add(e, 1, 5);
    add(e, 2, 5);
    entries_truncate(e, 6);
    assert_int_equal(e->last_index, 5);
    assert_null(entries_find(e, 6));
    assert_int_equal(entries_last_term(e), 1);
    add(e, 3, 1);
    assert_int_equal(entries_find(e, 6)->term, 3);
    assert_int_equal(term_at(e, 6), 3);
}

static void truncation_before_the_cache_leaves_it_empty(void **state)
{
    struct entries *e = *state;

    add(e, 1, 10);
    entries_evict(e, 8, 0);
    assert_null(entries_find(e, 8));
    assert_non_null(entries_find(e, 9));
    entries_truncate(e, 4);
    assert_int_equal(e->cached_count, 0);
    add(e, 2, 1);
    assert_int_equal(entries_find(e, 4)->term, 2);
    assert_null(entries_find(e, 3));
}

static void a_cut_log_knows_the_term_of_its_base(void **state)
{
    struct entries *e = *state;

    add(e, 1, 4);
    add(e, 2, 4);
    entries_compact(e, 6, 2);
    assert_int_equal(term_at(e, 5), UINT64_MAX);
    assert_int_equal(term_at(e, 6), 2);
    assert_int_equal(term_at(e, 7), 2);
    entries_compact(e, 8, 2);
    assert_int_equal(e->run_count, 0);
    assert_int_equal(entries_last_term(e), 2);
    assert_int_equal(term_at(e, 8), 2);
    add(e, 2, 1);
    assert_int_equal(term_at(e, 9), 2);
}

static void a_base_of_unknown_term_is_not_guessed(void **state)
{
    struct entries *e = *state;
    uint64_t term;

    entries_reset(e, 50, 0);
    assert_false(entries_term(e, 50, &term));
    add(e, 4, 1);
    assert_int_equal(term_at(e, 51), 4);
}

static void eviction_respects_the_bound_and_the_limit(void **state)
{
    struct entries *e = *state;
    size_t each;

    add(e, 1, 10);
    each = e->cached_bytes / 10;
    assert_true(each > sizeof(struct raft_entry)); /* The payload is a part of it. */
    entries_evict(e, 10, 4 * each + each / 2);
    assert_int_equal(e->cached_count, 4);
    entries_evict(e, 8, 0);
    assert_int_equal(e->cached_count, 2);
    assert_int_equal(e->last_index, 10);
}

/* How a leader skips whole terms when it looks for where two logs agree. */
static void the_last_entry_of_a_term_is_found(void **state)
{
    struct entries *e = *state;

    add(e, 1, 4);
    add(e, 3, 4);
    add(e, 6, 2);
    assert_int_equal(entries_last_with_term(e, 10, 6), 10);
    assert_int_equal(entries_last_with_term(e, 10, 5), 8);
    assert_int_equal(entries_last_with_term(e, 6, 3), 6);
    assert_int_equal(entries_last_with_term(e, 99, 2), 4);
    assert_int_equal(entries_last_with_term(e, 9, 0), 0);
    entries_compact(e, 6, 3);
    assert_int_equal(entries_last_with_term(e, 9, 1), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_index_has_its_term, set_up, tear_down),
        cmocka_unit_test_setup_teardown(truncation_reaches_the_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(truncation_before_the_cache_leaves_it_empty, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_cut_log_knows_the_term_of_its_base, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_base_of_unknown_term_is_not_guessed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(eviction_respects_the_bound_and_the_limit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_last_entry_of_a_term_is_found, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
