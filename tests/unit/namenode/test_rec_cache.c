/* The cache of records: bounded, in order of use, never a stale byte. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "namenode/rec_cache.h"

static bool has(struct rec_cache *c, const char *key, const char *value)
{
    size_t len;
    const uint8_t *data = rec_cache_get(c, key, strlen(key), &len);

    return data && len == strlen(value) && memcmp(data, value, len) == 0;
}

static void put(struct rec_cache *c, const char *key, const char *value)
{
    rec_cache_put(c, key, strlen(key), value, strlen(value));
}

static void value_is_replaced_and_removed(void **state)
{
    CLEANUP(rec_cache) struct rec_cache *c = rec_cache_new(1 << 20);
    size_t len;

    (void)state;
    put(c, "Ia", "one");
    assert_true(has(c, "Ia", "one"));
    put(c, "Ia", "x");
    assert_true(has(c, "Ia", "x"));
    put(c, "Ia", "a longer value");
    assert_true(has(c, "Ia", "a longer value"));
    assert_int_equal(rec_cache_count(c), 1);
    rec_cache_remove(c, "Ia", 2);
    rec_cache_remove(c, "Ia", 2);
    assert_null(rec_cache_get(c, "Ia", 2, &len));
    assert_int_equal(rec_cache_bytes(c), 0);
}

static void what_was_not_used_for_longest_goes_first(void **state)
{
    CLEANUP(rec_cache) struct rec_cache *c = rec_cache_new(10000);
    char key[16];
    size_t len, kept = 0;

    (void)state;
    put(c, "Ihot", "value");
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "I%u", i);
        put(c, key, "value");
        assert_true(has(c, "Ihot", "value"));
        assert_true(rec_cache_bytes(c) <= 10000);
    }
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "I%u", i);
        if (!rec_cache_get(c, key, strlen(key), &len))
            continue;
        kept++;
        assert_true(i > 4500);
    }
    assert_true(kept > 50);
    assert_int_equal(rec_cache_count(c), kept + 1);
}

/* The bound is one on memory: what malloc takes for so many small records counts too. */
static void bound_holds_for_what_malloc_gives(void **state)
{
    enum { BOUND = 8 << 20 };
    size_t before = mallinfo2().uordblks, taken;
    CLEANUP(rec_cache) struct rec_cache *c = rec_cache_new(BOUND);
    char key[16];

    (void)state;
    for (unsigned i = 0; i < 400000; i++) {
        (void)snprintf(key, sizeof(key), "I%u", i);
        put(c, key, "v");
    }
    taken = mallinfo2().uordblks - before;
    assert_true(rec_cache_bytes(c) > BOUND - 1000);
    assert_true(taken < BOUND + BOUND / 50);
}

static void many_are_found_again(void **state)
{
    CLEANUP(rec_cache) struct rec_cache *c = rec_cache_new(64 << 20);
    char key[16];

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        (void)snprintf(key, sizeof(key), "I%u", i);
        put(c, key, key);
    }
    for (unsigned i = 0; i < 20000; i++) {
        (void)snprintf(key, sizeof(key), "I%u", i);
        assert_true(has(c, key, key));
    }
}

static void one_that_is_too_big_is_not_kept(void **state)
{
    CLEANUP(rec_cache) struct rec_cache *c = rec_cache_new(64);
    size_t len;

    (void)state;
    put(c, "Ia", "a value that does not fit into so small a cache");
    assert_null(rec_cache_get(c, "Ia", 2, &len));
    assert_int_equal(rec_cache_count(c), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_is_replaced_and_removed),
        cmocka_unit_test(what_was_not_used_for_longest_goes_first),
        cmocka_unit_test(bound_holds_for_what_malloc_gives),
        cmocka_unit_test(many_are_found_again),
        cmocka_unit_test(one_that_is_too_big_is_not_kept),
    };

    return cmocka_run_group_tests_name("rec_cache", tests, NULL, NULL);
}
