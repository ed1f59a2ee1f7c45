/* CRC32C as RFC 3720 B.4 has it, whatever the library underneath does about inversion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/crc32c.h"
#include "common/limits.h"

static void vectors_of_rfc_3720_come_out(void **state)
{
    uint8_t b[32];

    (void)state;
    memset(b, 0, sizeof b);
    assert_int_equal(crc32c(b, sizeof b), 0x8a9136aa);
    memset(b, 0xff, sizeof b);
    assert_int_equal(crc32c(b, sizeof b), 0x62a8ab43);
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)i;
    assert_int_equal(crc32c(b, sizeof b), 0x46dd794e);
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(b, sizeof b), 0x113fdb5c);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c("", 0), 0);
}

static void pieces_give_the_crc_of_the_whole(void **state)
{
    const char text[] = "all the chunks in the world";

    (void)state;
    for (size_t cut = 0; cut < sizeof text; cut++)
        assert_int_equal(crc32c_update(crc32c(text, cut), text + cut, sizeof text - cut),
                         crc32c(text, sizeof text));
}

/* Slots of a CRC table are xor-ed with it: a wrong constant would make every hole look rotten. */
static void the_zero_block_constant_is_right(void **state)
{
    static const uint8_t zeros[CHUNK_BLOCK_SIZE];

    (void)state;
    assert_int_equal(crc32c(zeros, sizeof zeros), CRC32C_ZERO_BLOCK);
}

static void a_short_last_block_has_its_own_crc(void **state)
{
    static uint8_t data[2 * CHUNK_BLOCK_SIZE + 10];
    uint32_t crcs[4] = {0, 0, 0, 0x12345678};

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(crc32c_block_count(0), 0);
    assert_int_equal(crc32c_block_count(1), 1);
    assert_int_equal(crc32c_block_count(CHUNK_BLOCK_SIZE), 1);
    assert_int_equal(crc32c_blocks(data, sizeof data, crcs), 3);
    assert_int_equal(crcs[0], crc32c(data, CHUNK_BLOCK_SIZE));
    assert_int_equal(crcs[2], crc32c(data + 2 * CHUNK_BLOCK_SIZE, 10));
    assert_int_equal(crcs[3], 0x12345678);
}

static void a_flipped_bit_is_found_in_its_block(void **state)
{
    static uint8_t data[3 * CHUNK_BLOCK_SIZE];
    uint32_t crcs[3];
    size_t bad = 99;

    (void)state;
    (void)crc32c_blocks(data, sizeof data, crcs);
    assert_int_equal(crc32c_blocks_check(data, sizeof data, crcs, &bad), 0);
    assert_int_equal(bad, 99);
    data[CHUNK_BLOCK_SIZE + 5] ^= 0x10;
    assert_int_equal(crc32c_blocks_check(data, sizeof data, crcs, &bad), -EBADMSG);
    assert_int_equal(bad, 1);
    assert_int_equal(crc32c_blocks_check(data, sizeof data, crcs, NULL), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_rfc_3720_come_out),
        cmocka_unit_test(pieces_give_the_crc_of_the_whole),
        cmocka_unit_test(the_zero_block_constant_is_right),
        cmocka_unit_test(a_short_last_block_has_its_own_crc),
        cmocka_unit_test(a_flipped_bit_is_found_in_its_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
