/* Data tokens: made by the namenode, believed by datanodes only when everything fits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/token.h"

static const char key[TOKEN_KEY_BYTES + 1] = "0123456789abcdef0123456789abcdef";

/*
 * Namenode and datanode may be of different builds. By hand:
 * printf 'session\x2a\0\0\0\0\0\0\0' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
 */
static void token_is_the_documented_hmac(void **state)
{
    static const uint8_t want[TOKEN_BYTES] = {
        0x5d, 0xe8, 0x44, 0x2c, 0xae, 0x94, 0xc2, 0xf2, 0x0b, 0xb4, 0x58,
        0x8d, 0xaa, 0x62, 0x1e, 0x09, 0x51, 0x0f, 0xde, 0xc7, 0xa5, 0xf4,
        0xfc, 0x08, 0x35, 0x15, 0x0c, 0x55, 0x04, 0x9e, 0x5c, 0x80,
    };
    uint8_t token[TOKEN_BYTES];

    (void)state;
    assert_int_equal(token_make(key, TOKEN_KEY_BYTES, 42, token), 0);
    assert_memory_equal(token, want, TOKEN_BYTES);
}

static void only_the_session_it_was_made_for_passes(void **state)
{
    uint8_t token[TOKEN_BYTES];

    (void)state;
    assert_int_equal(token_make(key, TOKEN_KEY_BYTES, 42, token), 0);
    assert_true(token_check(key, TOKEN_KEY_BYTES, 42, token, TOKEN_BYTES));
    assert_false(token_check(key, TOKEN_KEY_BYTES, 43, token, TOKEN_BYTES));
    assert_false(token_check("another key", 11, 42, token, TOKEN_BYTES));
}

static void any_flipped_bit_fails(void **state)
{
    uint8_t token[TOKEN_BYTES];

    (void)state;
    assert_int_equal(token_make(key, TOKEN_KEY_BYTES, 42, token), 0);
    for (unsigned bit = 0; bit < TOKEN_BYTES * 8; bit++) {
        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(token_check(key, TOKEN_KEY_BYTES, 42, token, TOKEN_BYTES));
        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void wrong_lengths_and_an_empty_key_fail(void **state)
{
    uint8_t token[TOKEN_BYTES];

    (void)state;
    assert_int_equal(token_make(key, TOKEN_KEY_BYTES, 42, token), 0);
    assert_false(token_check(key, TOKEN_KEY_BYTES, 42, token, TOKEN_BYTES - 1));
    assert_false(token_check(key, TOKEN_KEY_BYTES, 42, NULL, 0));
    assert_false(token_check(key, 0, 42, token, TOKEN_BYTES));
    assert_int_equal(token_make(key, 0, 42, token), -EINVAL);
    assert_int_equal(token_make(NULL, 5, 42, token), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_is_the_documented_hmac),
        cmocka_unit_test(only_the_session_it_was_made_for_passes),
        cmocka_unit_test(any_flipped_bit_fails),
        cmocka_unit_test(wrong_lengths_and_an_empty_key_fail),
    };

    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
