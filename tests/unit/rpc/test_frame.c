/* The frame header: what is written is read back, and nothing else is believed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/crc32c.h"
#include "common/limits.h"
#include "rpc/frame.h"

static const struct frame_header sample = {
    .type = MSG_CHUNK_OP,
    .flags = FRAME_REPLY | FRAME_ERROR,
    .rpc_id = UINT64_C(0x0123456789abcdef),
    .body_len = 77,
    .data_len = 262144,
    .body_crc = 0xdeadbeef,
};

/* Makes the header checksum right again, so that the field itself is what is refused. */
static void seal(uint8_t *bytes)
{
    uint32_t crc = crc32c(bytes, 28);

    for (int i = 0; i < 4; i++)
        bytes[28 + i] = (uint8_t)(crc >> 8 * i);
}

static void every_field_survives_the_wire(void **state)
{
    uint8_t bytes[FRAME_HEADER_SIZE];
    struct frame_header h = {0};

    (void)state;
    frame_encode(&sample, bytes);
    assert_int_equal(frame_decode(bytes, &h), 0);
    assert_int_equal(h.type, sample.type);
    assert_int_equal(h.flags, sample.flags);
    assert_true(h.rpc_id == sample.rpc_id);
    assert_int_equal(h.body_len, sample.body_len);
    assert_int_equal(h.data_len, sample.data_len);
    assert_int_equal(h.body_crc, sample.body_crc);
}

/* Other builds and hosts must find the fields where the picture in frame.h says. */
static void layout_is_little_endian_and_fixed(void **state)
{
    uint8_t bytes[FRAME_HEADER_SIZE];

    (void)state;
    frame_encode(&sample, bytes);
    assert_memory_equal(bytes, "dfs1", 4);
    assert_int_equal(bytes[4], MSG_CHUNK_OP);
    assert_int_equal(bytes[6], FRAME_REPLY | FRAME_ERROR);
    assert_int_equal(bytes[8], 0xef);
    assert_int_equal(bytes[15], 0x01);
    assert_int_equal(bytes[16], 77);
    assert_int_equal(bytes[22], 4);
    assert_int_equal(bytes[24], 0xef);
}

static void any_flipped_bit_is_refused(void **state)
{
    uint8_t bytes[FRAME_HEADER_SIZE];
    struct frame_header h = {.type = 9};

    (void)state;
    for (unsigned bit = 0; bit < FRAME_HEADER_SIZE * 8; bit++) {
        frame_encode(&sample, bytes);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(frame_decode(bytes, &h), -EPROTO);
    }
    assert_int_equal(h.type, 9); /* Untouched on failure. */
}

static void wrong_magic_is_refused_even_with_a_good_checksum(void **state)
{
    uint8_t bytes[FRAME_HEADER_SIZE];
    struct frame_header h;

    (void)state;
    frame_encode(&sample, bytes);
    bytes[0] = 'D';
    seal(bytes);
    assert_int_equal(frame_decode(bytes, &h), -EPROTO);
}

static int decode_with(uint32_t body_len, uint32_t data_len, uint16_t flags)
{
    struct frame_header h = sample, got;
    uint8_t bytes[FRAME_HEADER_SIZE];

    h.body_len = body_len;
    h.data_len = data_len;
    h.flags = flags;
    frame_encode(&h, bytes);
    return frame_decode(bytes, &got);
}

/* Memory is taken by these lengths: they are the first thing an attacker would try. */
static void lengths_over_the_limits_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_with(FRAME_BODY_MAX, FRAME_DATA_MAX, 0), 0);
    assert_int_equal(decode_with(FRAME_BODY_MAX + 1, 0, 0), -EPROTO);
    assert_int_equal(decode_with(0, FRAME_DATA_MAX + 1, 0), -EPROTO);
    assert_int_equal(decode_with(UINT32_MAX, UINT32_MAX, 0), -EPROTO);
}

static void flags_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_with(0, 0, FRAME_ERROR), -EPROTO);
    assert_int_equal(decode_with(0, 0, FRAME_REPLY | FRAME_ONEWAY), -EPROTO);
    assert_int_equal(decode_with(0, 0, FRAME_ONEWAY), 0);
}

static void message_types_have_names(void **state)
{
    (void)state;
    assert_string_equal(msg_type_name(MSG_CHUNK_OP), "CHUNK_OP");
    assert_string_equal(msg_type_name(MSG_TRANSFER), "TRANSFER");
    assert_string_equal(msg_type_name(9999), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_survives_the_wire),
        cmocka_unit_test(layout_is_little_endian_and_fixed),
        cmocka_unit_test(any_flipped_bit_is_refused),
        cmocka_unit_test(wrong_magic_is_refused_even_with_a_good_checksum),
        cmocka_unit_test(lengths_over_the_limits_are_refused),
        cmocka_unit_test(flags_that_contradict_each_other_are_refused),
        cmocka_unit_test(message_types_have_names),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
