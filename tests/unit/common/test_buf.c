/* Buffers: what is appended comes out in order, wherever the bytes lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/rng.h"

static void text_is_gathered_and_taken(void **state)
{
    struct buf b = {0};
    char *text;

    (void)state;
    buf_append_str(&b, "a");
    buf_printf(&b, "%d-%s", 42, "b");
    buf_append_u8(&b, 'c');
    buf_append(&b, NULL, 0);
    buf_consume(&b, 1);
    text = buf_take(&b);
    assert_string_equal(text, "42-bc");
    assert_int_equal(b.len, 0);
    free(text);
    text = buf_take(&b);
    assert_string_equal(text, "");
    free(text);
}

/* Reading an empty file into an empty buffer. */
static void nothing_may_be_reserved_and_committed(void **state)
{
    CLEANUP_BUF struct buf b = {0};

    (void)state;
    assert_non_null(buf_reserve(&b, 0));
    buf_commit(&b, 0);
    assert_int_equal(b.len, 0);
}

/* A socket's life: random appends and consumes against a plain count of what must come next. */
static void bytes_come_out_in_order_under_any_mix(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct rng rng;
    uint8_t in = 0, out = 0;

    (void)state;
    rng_seed(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        size_t n = rng_below(&rng, 400);

        if (rng_percent(&rng, 50)) {
            uint8_t *p = buf_reserve(&b, n);

            for (size_t k = 0; k < n; k++)
                p[k] = in++;
            buf_commit(&b, n);
        } else {
            n = n < b.len ? n : b.len;
            for (size_t k = 0; k < n; k++)
                assert_int_equal(b.data[k], out++);
            buf_consume(&b, n);
        }
    }
}

static void a_long_lived_buffer_does_not_grow_without_need(void **state)
{
    CLEANUP_BUF struct buf b = {0};

    (void)state;
    for (int i = 0; i < 100000; i++) {
        buf_append(&b, "0123456789", 10);
        if (i > 0)
            buf_consume(&b, 10);
    }
    assert_true(b.cap <= 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_gathered_and_taken),
        cmocka_unit_test(nothing_may_be_reserved_and_committed),
        cmocka_unit_test(bytes_come_out_in_order_under_any_mix),
        cmocka_unit_test(a_long_lived_buffer_does_not_grow_without_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
