/* The bytes of checkpoints, logs and superblocks: what is taken, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/vfs_fake.h"
#include "datanode/ctab.h"
#include "datanode/superblock.h"

enum { R = CTAB_RECORD_SIZE };

static void make_record(uint8_t *out, uint64_t chunk, uint32_t len)
{
    struct ctab_record r = {
        .chunk = {
            .id = {chunk}, .pg = {9}, .flags = CHUNK_DIRTY, .len = len, .ver = {3, chunk * 2}}};

    ctab_record_encode(&r, out);
}

struct taken {
    uint64_t ids[64];
    size_t count;
};

static void take(void *ctx, const struct chunk_state *c)
{
    struct taken *t = ctx;

    t->ids[t->count++] = c->id.v;
}

static void a_record_comes_back_as_it_went(void **state)
{
    struct ctab_record r = {.chunk = {.id = {UINT64_MAX - 1},
                                      .pg = {77},
                                      .flags = CHUNK_DIRTY | CHUNK_BAD,
                                      .len = CHUNK_SIZE,
                                      .ver = {5, UINT64_MAX}},
                            .lsn = 12,
                            .group = 10,
                            .salt = 4};
    struct ctab_record out;
    uint8_t bytes[R], again[R];

    (void)state;
    ctab_record_encode(&r, bytes);
    assert_int_equal(ctab_record_decode(bytes, &out), 0);
    ctab_record_encode(&out, again);
    assert_memory_equal(bytes, again, R);
    assert_true(out.chunk.id.v == UINT64_MAX - 1 && out.chunk.ver.seq == UINT64_MAX);
    assert_true(out.lsn == 12 && out.group == 10 && out.salt == 4);
    for (unsigned bit = 0; bit < R * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(ctab_record_decode(bytes, &out), -EBADMSG);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* A record has no room for one more number: the others become shorter where there is one. */
static void a_record_with_a_truncation_is_of_version_2(void **state)
{
    struct ctab_record r = {.chunk = {.id = {5},
                                      .pg = {77},
                                      .len = CHUNK_SIZE,
                                      .ver = {5, UINT64_MAX},
                                      .trunc_version = UINT64_MAX - 3},
                            .lsn = UINT64_C(1) << 40,
                            .group = (UINT64_C(1) << 40) - 2,
                            .salt = 4};
    struct ctab_record out;
    uint8_t bytes[R], again[R];

    (void)state;
    ctab_record_encode(&r, bytes);
    assert_int_equal(get_le16(bytes + 14), 2);
    assert_int_equal(ctab_record_decode(bytes, &out), 0);
    assert_true(out.chunk.trunc_version == UINT64_MAX - 3 && out.chunk.len == CHUNK_SIZE);
    assert_true(out.lsn == r.lsn && out.group == r.group && out.salt == 4);
    ctab_record_encode(&out, again);
    assert_memory_equal(bytes, again, R);
    put_le32(bytes + 44, UINT32_MAX); /* A group before the file's beginning. */
    put_le64(bytes + 36, 1);
    put_le32(bytes + R - 4, crc32c(bytes, R - 4));
    assert_int_equal(ctab_record_decode(bytes, &out), -EBADMSG);
    r.chunk.trunc_version = 0;
    ctab_record_encode(&r, bytes);
    assert_int_equal(get_le16(bytes + 14), 1);
}

/* A version or a flag that we do not know is refused, never guessed. */
static void records_of_the_future_are_refused(void **state)
{
    struct ctab_record out;
    uint8_t bytes[R];

    (void)state;
    make_record(bytes, 1, 1);
    put_le16(bytes + 14, 3);
    put_le32(bytes + R - 4, crc32c(bytes, R - 4));
    assert_int_equal(ctab_record_decode(bytes, &out), -EBADMSG);
    make_record(bytes, 1, CHUNK_SIZE + 1);
    assert_int_equal(ctab_record_decode(bytes, &out), -EBADMSG);
}

/* Appends groups of these sizes to log 5 and gives the file's bytes. */
static void make_log(const size_t *groups, size_t group_count, struct buf *bytes)
{
    struct vfs_fake *fake = vfs_fake_new();
    struct ctab_log *log;
    uint8_t records[16 * R];
    uint64_t chunk = 1;

    assert_int_equal(ctab_log_new(vfs_fake_vfs(fake), "", 5, &log), 0);
    for (size_t g = 0; g < group_count; g++) {
        for (size_t i = 0; i < groups[g]; i++)
            make_record(records + i * R, chunk++, 1);
        assert_int_equal(ctab_log_append(log, records, groups[g]), 0);
    }
    assert_int_equal(ctab_log_count(log), chunk - 1);
    ctab_log_free(log);
    assert_int_equal(vfs_read_file(vfs_fake_vfs(fake), "/ctab.log.5", 1 << 20, bytes), 0);
    vfs_fake_free(fake);
}

static void a_torn_last_group_ends_the_log(void **state)
{
    static const size_t groups[] = {3, 1, 4};
    CLEANUP_BUF struct buf b = {0};
    struct ctab_log_result res;
    struct taken t = {0};

    (void)state;
    make_log(groups, 3, &b);
    ctab_log_parse(b.data, b.len, 5, take, &t, &res);
    assert_int_equal(t.count, 8);
    assert_false(res.is_damaged);

    /* Record 5 did not reach the disk, 6 and 7 of the same group did: nobody was promised any. */
    memset(b.data + 5 * R, 0, R);
    t.count = 0;
    ctab_log_parse(b.data, b.len, 5, take, &t, &res);
    assert_int_equal(t.count, 5);
    assert_false(res.is_damaged);
}

static void a_hole_before_a_later_group_is_damage(void **state)
{
    static const size_t groups[] = {3, 1, 4};
    CLEANUP_BUF struct buf b = {0};
    struct ctab_log_result res;
    struct taken t = {0};

    (void)state;
    make_log(groups, 3, &b);
    b.data[1 * R + 9] ^= 4;
    ctab_log_parse(b.data, b.len, 5, take, &t, &res);
    assert_true(res.is_damaged);
    assert_int_equal(t.count, 7); /* All the others. */
}

static void a_log_of_another_number_is_empty(void **state)
{
    static const size_t groups[] = {3};
    CLEANUP_BUF struct buf b = {0};
    struct ctab_log_result res;
    struct taken t = {0};

    (void)state;
    make_log(groups, 1, &b);
    ctab_log_parse(b.data, b.len, 6, take, &t, &res);
    assert_int_equal(t.count, 0);
}

static void a_checkpoint_is_whole_or_refused(void **state)
{
    struct vfs_fake *fake = vfs_fake_new();
    struct vfs *v = vfs_fake_vfs(fake);
    CLEANUP_BUF struct buf b = {0};
    struct ctab_checkpoint *c;
    uint8_t records[4 * R];
    struct taken t = {0};

    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        make_record(records + i * R, i + 1, 10);
    assert_int_equal(ctab_checkpoint_new(v, "", 5, &c), 0);
    assert_int_equal(ctab_checkpoint_add(c, records, 1), 0);
    assert_int_equal(ctab_checkpoint_add(c, records + R, 3), 0);
    assert_int_equal(ctab_checkpoint_finish(c), 0);
    ctab_checkpoint_free(c);
    assert_int_equal(vfs_read_file(v, "/ctab.5", 1 << 20, &b), 0);
    assert_int_equal(ctab_checkpoint_parse(b.data, b.len, 5, take, &t), 0);
    assert_int_equal(t.count, 4);

    assert_int_equal(ctab_checkpoint_parse(b.data, b.len, 6, take, &t), -EBADMSG);
    for (size_t len = 0; len < b.len; len++) {
        t.count = 0;
        assert_int_equal(ctab_checkpoint_parse(b.data, len, 5, take, &t), -EBADMSG);
    }
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 0x10;
        t.count = 0;
        assert_int_equal(ctab_checkpoint_parse(b.data, b.len, 5, take, &t), -EBADMSG);
        b.data[i] ^= 0x10;
    }
    vfs_fake_free(fake);
}

static void the_newer_good_superblock_counts(void **state)
{
    struct vfs_fake *fake = vfs_fake_new();
    struct vfs *v = vfs_fake_vfs(fake);
    struct superblock sb = {.target_id = 4, .checkpoint = 1}, got;

    (void)state;
    assert_int_equal(superblock_read(v, "", &got), -ENOENT);
    assert_int_equal(superblock_write(v, "", &sb), 0);
    sb.checkpoint = 2;
    assert_int_equal(superblock_write(v, "", &sb), 0);
    assert_int_equal(superblock_read(v, "", &got), 0);
    assert_int_equal(got.checkpoint, 2);
    assert_int_equal(vfs_fake_flip_bit(fake, "/superblock.b", 70, 1), 0);
    assert_int_equal(superblock_read(v, "", &got), 0);
    assert_int_equal(got.checkpoint, 1);
    assert_int_equal(vfs_fake_flip_bit(fake, "/superblock.a", 70, 1), 0);
    assert_int_equal(superblock_read(v, "", &got), -EBADMSG);
    vfs_fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_went),
        cmocka_unit_test(a_record_with_a_truncation_is_of_version_2),
        cmocka_unit_test(records_of_the_future_are_refused),
        cmocka_unit_test(a_torn_last_group_ends_the_log),
        cmocka_unit_test(a_hole_before_a_later_group_is_damage),
        cmocka_unit_test(a_log_of_another_number_is_empty),
        cmocka_unit_test(a_checkpoint_is_whole_or_refused),
        cmocka_unit_test(the_newer_good_superblock_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
