/* Slabs: aligned, counted, recycled within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "common/limits.h"
#include "common/slab.h"

static void every_size_up_to_the_limit_fits_and_is_aligned(void **state)
{
    static const size_t sizes[] = {
        0, 1, 4096, 4100, 8193, 65536, 262144 + 256, FRAME_DATA_MAX, SLAB_SIZE_MAX};
    struct slab_pool *p = slab_pool_new(1 << 20);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct slab *s = slab_alloc(p, sizes[i]);

        assert_true(s->capacity >= sizes[i]);
        assert_int_equal((uintptr_t)s->data % 4096, 0);
        memset(s->data, 0xaa, s->capacity);
        slab_unref(s);
    }
    slab_pool_free(p);
}

static void a_block_lives_until_the_last_reference(void **state)
{
    struct slab_pool *p = slab_pool_new(1 << 20);
    struct slab *s = slab_alloc(p, 100);
    struct slab_stats st;

    (void)state;
    memcpy(s->data, "data", 5);
    (void)slab_ref(s);
    slab_unref(s);
    assert_string_equal((char *)s->data, "data");
    slab_pool_stats(p, &st);
    assert_int_equal(st.used_count, 1);
    slab_unref(s);
    slab_pool_stats(p, &st);
    assert_int_equal(st.used_count, 0);
    assert_int_equal(st.used_bytes, 0);
    assert_true(st.kept_bytes > 0);
    slab_unref(NULL);
    slab_pool_free(p);
}

static void memory_is_reused_but_not_hoarded(void **state)
{
    struct slab_pool *p = slab_pool_new(20000);
    struct slab *s[8];
    uint8_t *data;
    struct slab_stats st;

    (void)state;
    for (int i = 0; i < 8; i++)
        s[i] = slab_alloc(p, 4096);
    for (int i = 0; i < 8; i++)
        slab_unref(s[i]);
    slab_pool_stats(p, &st);
    assert_true(st.kept_bytes <= 20000);
    s[0] = slab_alloc(p, 4096);
    data = s[0]->data;
    slab_unref(s[0]);
    s[0] = slab_alloc(p, 10);
    assert_ptr_equal(s[0]->data, data);
    slab_unref(s[0]);
    slab_pool_free(p);
}

enum { SHARERS = 4, ROUNDS = 3000 };

struct sharer {
    struct slab_pool *pool;
    struct slab *shared;
};

static void *share(void *arg)
{
    struct sharer *s = arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct slab *own = slab_alloc(s->pool, 4096);
        struct slab *other = slab_ref(s->shared);

        own->data[0] = other->data[0];
        slab_unref(other);
        slab_unref(own);
    }
    slab_unref(s->shared);
    return NULL;
}

/* Disk and loop threads let go of a block in any order; the last one gives it back, once. */
static void threads_share_blocks(void **state)
{
    struct sharer s = {.pool = slab_pool_new(1 << 20)};
    struct slab_stats st;
    pthread_t threads[SHARERS];

    (void)state;
    s.shared = slab_alloc(s.pool, 100);
    s.shared->data[0] = 7;
    for (int i = 0; i < SHARERS; i++) {
        (void)slab_ref(s.shared);
        assert_int_equal(pthread_create(&threads[i], NULL, share, &s), 0);
    }
    slab_unref(s.shared);
    for (int i = 0; i < SHARERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    slab_pool_stats(s.pool, &st);
    assert_int_equal(st.used_count, 0);
    slab_pool_free(s.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_up_to_the_limit_fits_and_is_aligned),
        cmocka_unit_test(a_block_lives_until_the_last_reference),
        cmocka_unit_test(threads_share_blocks),
        cmocka_unit_test(memory_is_reused_but_not_hoarded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
