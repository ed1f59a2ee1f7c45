/* Records: what goes in comes out, and nothing else comes out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "namenode/keys.h"
#include "namenode/records.h"

static uint8_t bytes[REC_BYTES_MAX];

static void inode_comes_back(void **state)
{
    struct inode_rec in = {.ino = 7,
                           .mode = S_IFREG | 0644,
                           .uid = 1,
                           .gid = 2,
                           .nlink = 3,
                           .rdev = 1ULL << 40,
                           .size = 1ULL << 50,
                           .atime_ns = -5,
                           .mtime_ns = 6,
                           .ctime_ns = INT64_MIN,
                           .btime_ns = INT64_MAX,
                           .data_version = 8,
                           .dir_version = 9,
                           .parent = 10,
                           .entry_count = 11,
                           .chunk_count = 12,
                           .xattr_bytes = 13,
                           .trunc_pending = true,
                           .trunc_chunk = 14,
                           .trunc_pg = 15,
                           .trunc_from = 16};
    struct inode_rec out;
    size_t len = inode_rec_encode(&in, bytes);

    (void)state;
    memset(&out, 0, sizeof(out));
    assert_int_equal(inode_rec_decode(7, bytes, len, &out), 0);
    assert_int_equal(out.rdev, in.rdev);
    assert_int_equal(out.ctime_ns, in.ctime_ns);
    assert_int_equal(out.trunc_from, 16);
    assert_true(out.trunc_pending);
    assert_false(out.is_inline);
    assert_int_equal(bytes[0], 1); /* As the releases before marks had versions. */
    assert_int_equal(out.trunc_version, 0);
    in.trunc_version = UINT64_MAX - 1;
    assert_int_equal(inode_rec_encode(&in, bytes), len + 8);
    assert_int_equal(bytes[0], 2);
    assert_int_equal(inode_rec_decode(7, bytes, len + 8, &out), 0);
    assert_true(out.trunc_version == in.trunc_version);
    assert_int_equal(out.trunc_from, 16);
    memset(bytes + len, 0, 8);
    assert_int_equal(inode_rec_decode(7, bytes, len + 8, &out), -EBADMSG);
    in.copies = 2; /* With a mark of the time before it, of its own, and with none. */
    in.trunc_version = 0;
    assert_int_equal(inode_rec_encode(&in, bytes), len + 9);
    assert_int_equal(bytes[0], 3);
    assert_int_equal(inode_rec_decode(7, bytes, len + 9, &out), 0);
    assert_int_equal(out.copies, 2);
    assert_int_equal(out.trunc_from, 16);
    assert_true(out.trunc_version == 0);
    bytes[len + 8] = 0;
    assert_int_equal(inode_rec_decode(7, bytes, len + 9, &out), -EBADMSG);
    bytes[len + 8] = 4;
    assert_int_equal(inode_rec_decode(7, bytes, len + 9, &out), -EBADMSG);
    in.trunc_version = 5;
    (void)inode_rec_encode(&in, bytes);
    assert_int_equal(inode_rec_decode(7, bytes, len + 9, &out), 0);
    assert_true(out.trunc_version == 5 && out.copies == 2);
    in.trunc_pending = false;
    assert_int_equal(inode_rec_decode(7, bytes, inode_rec_encode(&in, bytes), &out), 0);
    assert_int_equal(out.copies, 2);
    in.copies = 0;
    in.is_inline = true;
    assert_true(inode_rec_encode(&in, bytes) < len);
    assert_int_equal(inode_rec_decode(7, bytes, inode_rec_encode(&in, bytes), &out), 0);
    assert_int_equal(out.trunc_from, 0);
    assert_true(out.is_inline);
}

static void chunk_page_holds_as_many_as_it_should(void **state)
{
    static struct chunk_page in, out;
    size_t len;

    (void)state;
    in.count = REC_PAGE_CHUNKS;
    for (unsigned i = 0; i < REC_PAGE_CHUNKS; i++)
        in.chunks[i] = (struct chunk_rec){
            .chunk_id = UINT64_MAX - i, .pg = i, .slot = (uint16_t)i, .materialized = i % 2};
    len = chunk_page_encode(&in, bytes);
    assert_true(len <= REC_BYTES_MAX);
    assert_int_equal(chunk_page_decode(bytes, len, &out), 0);
    assert_int_equal(out.count, REC_PAGE_CHUNKS);
    assert_int_equal(out.chunks[255].chunk_id, UINT64_MAX - 255);
    assert_true(out.chunks[255].materialized);
    /* Out of order: not a page of ours. */
    in.count = 2;
    in.chunks[1].slot = 0;
    assert_int_equal(chunk_page_decode(bytes, chunk_page_encode(&in, bytes), &out), -EBADMSG);
}

static void strings_have_no_nul_inside_and_fit(void **state)
{
    struct target_rec in = {.target = 1, .state = 1, .host = "host", .addr = "a:1", .node = "n"},
                      out;
    size_t len = target_rec_encode(&in, bytes);

    (void)state;
    assert_int_equal(target_rec_decode(1, bytes, len, &out), 0);
    assert_string_equal(out.host, "host");
    assert_string_equal(out.node, "n");
    bytes[1 + 16 + 1 + 8 + 8 + 1] = '\0'; /* The first byte of host. */
    assert_int_equal(target_rec_decode(1, bytes, len, &out), -EBADMSG);
    bytes[1 + 16 + 1 + 8 + 8] = REC_STRING_SIZE;
    assert_int_equal(target_rec_decode(1, bytes, len, &out), -EBADMSG);
}

/* Only who is in maintenance or has a rack has the newer record, so that older programs read all others. */
static void maintenance_or_a_rack_makes_a_newer_record(void **state)
{
    struct target_rec in = {.target = 1, .state = 1, .node = "n"}, out;
    size_t len = target_rec_encode(&in, bytes);

    (void)state;
    assert_int_equal(bytes[0], 1);
    in.maintenance_until_ns = -5;
    assert_int_equal(target_rec_encode(&in, bytes), len + 9);
    assert_int_equal(bytes[0], 2);
    assert_int_equal(target_rec_decode(1, bytes, len + 9, &out), 0);
    assert_true(out.maintenance_until_ns == -5);
    assert_string_equal(out.rack, "");
    assert_int_equal(target_rec_decode(1, bytes, len + 8, &out), -EBADMSG);
    in.maintenance_until_ns = 0;
    (void)snprintf(in.rack, sizeof(in.rack), "r1");
    assert_int_equal(target_rec_encode(&in, bytes), len + 11);
    assert_int_equal(target_rec_decode(1, bytes, len + 11, &out), 0);
    assert_string_equal(out.rack, "r1");
    in.maintenance_until_ns = -5;
    in.rack[0] = '\0';
    assert_int_equal(target_rec_encode(&in, bytes), len + 9);
    assert_int_equal(target_rec_decode(1, bytes, len, &out), -EBADMSG);
    bytes[0] = 1;
    assert_int_equal(target_rec_decode(1, bytes, len + 9, &out), -EBADMSG);
    bytes[0] = 3;
    assert_int_equal(target_rec_decode(1, bytes, len + 9, &out), -EBADMSG);
}

static int decode_nth(unsigned n, const uint8_t *data, size_t len)
{
    static union {
        struct inode_rec inode;
        struct dentry_rec dentry;
        struct chunk_page page;
        struct chunk_owner_rec owner;
        struct pg_rec pg;
        struct target_rec target;
        struct session_rec session;
        struct fence_rec fence;
        struct namenode_rec namenode;
        struct cluster_rec cluster;
        struct usage_rec usage;
        struct link_rec link;
        struct state_rec state;
        struct repair_rec repair;
    } r;

    switch (n) {
    case 0:
    case 14:
        return inode_rec_decode(1, data, len, &r.inode);
    case 1:
        return dentry_rec_decode(data, len, &r.dentry);
    case 2:
        return chunk_page_decode(data, len, &r.page);
    case 3:
        return chunk_owner_rec_decode(data, len, &r.owner);
    case 4:
        return pg_rec_decode(1, data, len, &r.pg);
    case 5:
        return target_rec_decode(1, data, len, &r.target);
    case 6:
        return session_rec_decode(1, data, len, &r.session);
    case 7:
        return fence_rec_decode(1, data, len, &r.fence);
    case 8:
        return namenode_rec_decode(1, data, len, &r.namenode);
    case 9:
        return cluster_rec_decode(data, len, &r.cluster);
    case 10:
        return usage_rec_decode(data, len, &r.usage);
    case 11:
        return link_rec_decode(data, len, &r.link);
    case 17:
        return repair_rec_decode(data, len, &r.repair);
    default:
        return state_rec_decode(data, len, &r.state);
    }
}

static size_t encode_nth(unsigned n)
{
    static const struct inode_rec inode = {.trunc_pending = true};
    static const struct inode_rec inode_2 = {.trunc_pending = true, .trunc_version = 1};
    static const struct dentry_rec dentry;
    static const struct chunk_page page = {.count = 2, .chunks = {{.slot = 1}, {.slot = 5}}};
    static const struct chunk_owner_rec owner;
    static const struct pg_rec pg = {.member_count = 2, .members = {{.state = 1}, {.state = 3}}};
    static const struct target_rec target = {.state = 2, .host = "h"};
    static const struct session_rec session = {.name = "n"};
    static const struct fence_rec fence = {.done = true};
    static const struct namenode_rec namenode = {.addr = "a:1"};
    static const struct cluster_rec cluster = {.data_key_len = 3, .data_key = "key"};
    static const struct usage_rec usage = {.bytes = 1};
    static const struct link_rec link = {.names = 2};
    static const struct repair_rec repair = {.walk = 7};
    static const struct state_rec state = {.index = 1}, state_2 = {.index = 1, .format = 2};
    static const struct state_rec state_3 = {.index = 1, .format = 4};
    static const struct state_rec state_converting = {
        .index = 1, .format = 4, .convert = {.kind = 'L', .id = 7, .ino_end = 9}};

    switch (n) {
    case 0:
        return inode_rec_encode(&inode, bytes);
    case 1:
        return dentry_rec_encode(&dentry, bytes);
    case 2:
        return chunk_page_encode(&page, bytes);
    case 3:
        return chunk_owner_rec_encode(&owner, bytes);
    case 4:
        return pg_rec_encode(&pg, bytes);
    case 5:
        return target_rec_encode(&target, bytes);
    case 6:
        return session_rec_encode(&session, bytes);
    case 7:
        return fence_rec_encode(&fence, bytes);
    case 8:
        return namenode_rec_encode(&namenode, bytes);
    case 9:
        return cluster_rec_encode(&cluster, bytes);
    case 10:
        return usage_rec_encode(&usage, bytes);
    case 11:
        return link_rec_encode(&link, bytes);
    case 12:
        return state_rec_encode(&state, bytes);
    case 13:
        return state_rec_encode(&state_2, bytes);
    case 14:
        return inode_rec_encode(&inode_2, bytes);
    case 15:
        return state_rec_encode(&state_3, bytes);
    case 16:
        return state_rec_encode(&state_converting, bytes);
    default:
        return repair_rec_encode(&repair, bytes);
    }
}

static void truncated_longer_and_unknown_records_are_refused(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 18; n++) {
        size_t len = encode_nth(n);

        bytes[len] = 0;
        for (size_t try_len = 0; try_len <= len + 1; try_len++)
            assert_int_equal(decode_nth(n, bytes, try_len), try_len == len ? 0 : -EBADMSG);
        bytes[0] = n < 13 || n == 17 ? 2 : 1; /* Another version's bytes. */
        assert_int_equal(decode_nth(n, bytes, len), -EBADMSG);
        bytes[0] = 4; /* A version of the future. */
        assert_int_equal(decode_nth(n, bytes, len),
                         n == 12 || n == 13 || n == 15 || n == 16 ? -EPROTONOSUPPORT : -EBADMSG);
    }
}

static void state_hash_stands_where_it_is_said_to(void **state)
{
    struct state_rec in = {.hash = 0x1122334455667788}, out;

    (void)state;
    (void)state_rec_encode(&in, bytes);
    assert_int_equal(bytes[STATE_REC_HASH_AT], 0x88);
    bytes[STATE_REC_HASH_AT] = 0x99;
    assert_int_equal(state_rec_decode(bytes, state_rec_encode(&in, bytes), &out), 0);
    assert_int_equal(out.hash, in.hash);
}

/* A replica of the first release holds, and hashes, the same bytes. */
static void state_of_the_first_format_has_its_old_bytes(void **state)
{
    struct state_rec in = {.reap_count = 7, .format = 1}, out;
    size_t len = state_rec_encode(&in, bytes);

    (void)state;
    assert_int_equal(bytes[0], 1);
    assert_int_equal(len, 121);
    assert_int_equal(state_rec_decode(bytes, len, &out), 0);
    assert_int_equal(out.format, 1);
    in.format = 2;
    len = state_rec_encode(&in, bytes);
    assert_int_equal(state_rec_decode(bytes, len, &out), 0);
    assert_int_equal(out.format, 2);
    assert_int_equal(out.reap_count, 7);
    in.format = 0x01010101;
    len = state_rec_encode(&in, bytes);
    assert_int_equal(state_rec_decode(bytes, len, &out), 0); /* The state machine refuses it. */
    assert_int_equal(out.format, 0x01010101);
}

/* So do those of the second and third; and how far a conversion is comes with the fourth. */
static void state_of_each_format_has_the_bytes_of_its_release(void **state)
{
    struct state_rec in = {.quota_count = 5, .format = 3, .convert = {.kind = 'X', .id = 1}}, out;
    size_t len = state_rec_encode(&in, bytes);

    (void)state;
    assert_int_equal(bytes[0], 2);
    assert_int_equal(len, 133);
    assert_int_equal(state_rec_decode(bytes, len, &out), 0);
    assert_int_equal(out.format, 3);
    assert_int_equal(out.convert.kind, 0);
    bytes[121] = 4; /* A format that this version of the record did not know. */
    assert_int_equal(state_rec_decode(bytes, len, &out), -EBADMSG);

    in.format = 4;
    in.convert = (struct convert_pos){0};
    assert_int_equal(state_rec_encode(&in, bytes), 134);
    in.convert = (struct convert_pos){.kind = 't', .id = UINT64_MAX, .ino_end = 8};
    len = state_rec_encode(&in, bytes);
    assert_int_equal(state_rec_decode(bytes, len, &out), 0);
    assert_int_equal(out.quota_count, 5);
    assert_int_equal(out.convert.kind, 't');
    assert_true(out.convert.id == UINT64_MAX);
    assert_int_equal(out.convert.ino_end, 8);
    bytes[133] = 'I'; /* No value's. */
    assert_int_equal(state_rec_decode(bytes, len, &out), -EBADMSG);
}

static void values_stand_behind_a_version(void **state)
{
    const uint8_t *value;
    size_t len;

    (void)state;
    value_encode_header(bytes);
    memcpy(bytes + VALUE_HEADER_SIZE, "text", 4);
    assert_int_equal(value_decode(bytes, VALUE_HEADER_SIZE + 4, &value, &len), 0);
    assert_ptr_equal(value, bytes + VALUE_HEADER_SIZE);
    assert_int_equal(len, 4);
    assert_int_equal(value_decode(bytes, VALUE_HEADER_SIZE, &value, &len), 0);
    assert_int_equal(len, 0);
    assert_int_equal(value_decode(bytes, 0, &value, &len), -EBADMSG);
    for (unsigned version = 0; version < 256; version++) {
        bytes[0] = (uint8_t)version;
        assert_int_equal(value_decode(bytes, 5, &value, &len), version == 1 ? 0 : -EBADMSG);
    }
}

static void keys_sort_by_id_and_name(void **state)
{
    struct key a, b;

    (void)state;
    key_id64(&a, 'I', 255);
    key_id64(&b, 'I', 256);
    assert_true(memcmp(a.b, b.b, a.len) < 0);
    assert_int_equal(key_get_u64(b.b + 1), 256);
    key_name(&a, 'D', 5, "a", 1);
    key_name(&b, 'D', 5, "b", 1);
    assert_true(memcmp(a.b, b.b, a.len) < 0);
    key_pg_chunk(&a, 'G', 1, UINT64_MAX);
    key_pg_chunk(&b, 'G', 2, 0);
    assert_true(memcmp(a.b, b.b, a.len) < 0);
    assert_int_equal(key_get_u32(b.b + 1), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inode_comes_back),
        cmocka_unit_test(chunk_page_holds_as_many_as_it_should),
        cmocka_unit_test(strings_have_no_nul_inside_and_fit),
        cmocka_unit_test(maintenance_or_a_rack_makes_a_newer_record),
        cmocka_unit_test(truncated_longer_and_unknown_records_are_refused),
        cmocka_unit_test(state_hash_stands_where_it_is_said_to),
        cmocka_unit_test(state_of_the_first_format_has_its_old_bytes),
        cmocka_unit_test(state_of_each_format_has_the_bytes_of_its_release),
        cmocka_unit_test(values_stand_behind_a_version),
        cmocka_unit_test(keys_sort_by_id_and_name),
    };

    return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
