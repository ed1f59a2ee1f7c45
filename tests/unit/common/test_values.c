/* Hashes, uuids, chance and clocks: small things that many machines must agree on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/rng.h"
#include "common/uuid.h"

/* Replicas compare state by these: the value is part of the format. */
static void hashes_are_the_published_ones(void **state)
{
    (void)state;
    assert_true(hash64("", 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash64("abc", 3, 0) == UINT64_C(0x78af5f94892f3950));
    assert_true(hash64("abc", 3, 1) != hash64("abc", 3, 0));
}

static void a_stream_hashes_like_the_whole(void **state)
{
    CLEANUP(hash64_stream) struct hash64_stream *h = hash64_stream_new(5);
    uint8_t data[1000];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 13);
    for (size_t i = 0; i < sizeof data; i += 100) {
        hash64_stream_add(h, data + i, 100);
        assert_true(hash64_stream_value(h) == hash64(data, i + 100, 5));
    }
}

static void uuids_survive_text(void **state)
{
    struct uuid a = uuid_new(), b, c = {{1}};
    char text[UUID_TEXT_SIZE];

    (void)state;
    assert_int_equal(uuid_parse(uuid_format(&a, text), &b), 0);
    assert_true(uuid_equal(&a, &b));
    assert_int_equal(text[14], '4');
    assert_false(uuid_is_zero(&a));
    assert_int_equal(uuid_parse("00000000-0000-0000-0000-00000000000G", &c), -EINVAL);
    assert_int_equal(uuid_parse("00000000-0000-0000-0000-0000000000", &c), -EINVAL);
    assert_int_equal(uuid_parse("000000000000-0000-0000-0000-00000000", &c), -EINVAL);
    assert_int_equal(uuid_parse("", &c), -EINVAL);
    assert_int_equal(c.b[0], 1);
}

/* A seed that is printed by a failing simulation must give the same run on any machine. */
static void a_seed_gives_the_same_numbers_for_ever(void **state)
{
    struct rng a, b;
    uint8_t x[13], y[13];

    (void)state;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    assert_true(rng_u64(&a) == UINT64_C(1546998764402558742));
    assert_true(rng_u64(&b) == UINT64_C(1546998764402558742));
    rng_bytes(&a, x, sizeof x);
    rng_bytes(&b, y, sizeof y);
    assert_memory_equal(x, y, sizeof x);
}

static void draws_stay_in_their_range(void **state)
{
    struct rng r;
    unsigned seen[7] = {0};

    (void)state;
    rng_seed(&r, 0);
    for (int i = 0; i < 7000; i++)
        seen[rng_range(&r, 3, 9) - 3]++;
    for (size_t i = 0; i < 7; i++)
        assert_in_range(seen[i], 800, 1200);
    assert_int_equal(rng_below(&r, 1), 0);
    assert_false(rng_percent(&r, 0));
    assert_true(rng_percent(&r, 100));
    (void)rng_range(&r, 0, UINT64_MAX);
}

static void a_fake_clock_moves_by_hand_only(void **state)
{
    struct clock_fake f;

    (void)state;
    clock_fake_init(&f, 1000, 5000);
    assert_int_equal(clock_monotonic_ns(&f.clock), 1000);
    clock_fake_advance(&f, 500);
    assert_int_equal(clock_boottime_ns(&f.clock), 1500);
    assert_int_equal(clock_wall_ns(&f.clock), 5500);
    assert_true(clock_monotonic_ns(clock_system()) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_the_published_ones),
        cmocka_unit_test(a_stream_hashes_like_the_whole),
        cmocka_unit_test(uuids_survive_text),
        cmocka_unit_test(a_seed_gives_the_same_numbers_for_ever),
        cmocka_unit_test(draws_stay_in_their_range),
        cmocka_unit_test(a_fake_clock_moves_by_hand_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
