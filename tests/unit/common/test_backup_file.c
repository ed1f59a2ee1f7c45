/* The file of a backup: what goes in comes out, and nothing that is not as it was comes out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/backup_file.h"
#include "common/buf.h"
#include "common/hash.h"

enum { MEMBERS = 4, BYTES_MAX = 1500 };
static const size_t sizes[MEMBERS] = {BYTES_MAX, 0, 512, 17};
static uint8_t content[MEMBERS][BYTES_MAX];

static int append(void *ctx, const void *data, size_t len)
{
    buf_append(ctx, data, len);
    return 0;
}

static void fill(struct backup_info *info)
{
    char name[16];

    *info = (struct backup_info){.cluster = {{1, 2, 3}},
                                 .index = UINT64_C(1) << 50,
                                 .term = 7,
                                 .time_s = 1795914838,
                                 .stale = true,
                                 .program = "dfs 1.0"};
    for (unsigned i = 0; i < MEMBERS; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            content[i][k] = (uint8_t)(k * 7 + i);
        (void)snprintf(name, sizeof(name), "%06u.sst", i);
        assert_int_equal(backup_info_add(info, name, sizes[i], hash64(content[i], sizes[i], 0)), 0);
    }
}

/* Written in pieces that meet no boundary. */
static void write_all(const struct backup_info *info, struct buf *b)
{
    CLEANUP(backup_writer) struct backup_writer *w = NULL;
    CLEANUP_BUF struct buf all = {0};

    for (unsigned i = 0; i < MEMBERS; i++)
        buf_append(&all, content[i], sizes[i]);
    assert_int_equal(backup_writer_new(info, append, b, &w), 0);
    for (size_t at = 0; at < all.len; at += MIN((size_t)100, all.len - at))
        assert_int_equal(backup_writer_add(w, all.data + at, MIN((size_t)100, all.len - at)), 0);
    assert_int_equal(backup_writer_end(w), 0);
}

struct source {
    const uint8_t *data;
    size_t len, at, piece;
};

static ssize_t read_some(void *ctx, void *out, size_t len)
{
    struct source *s = ctx;
    size_t n = MIN(len, s->piece);

    n = MIN(n, s->len - s->at);
    memcpy(out, s->data + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

struct seen {
    unsigned complete;
    struct buf bytes;
};

static int see(void *ctx, const struct backup_member *m, uint64_t offset, const void *data,
               size_t len)
{
    struct seen *s = ctx;

    buf_append(&s->bytes, data, len);
    s->complete += len == 0 && offset == m->size;
    return 0;
}

static int read_back(const uint8_t *data, size_t len, struct backup_info *info, char *why)
{
    static const struct backup_sink nothing;
    struct source s = {.data = data, .len = len, .piece = 300};

    return backup_read(read_some, &s, &nothing, info, why);
}

static void what_goes_in_comes_out(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct backup_info in, out = {0};
    struct seen seen = {0};
    struct backup_sink sink = {.data = see, .ctx = &seen};
    char why[BACKUP_WHY_MAX];
    struct source s;
    size_t at = 0;

    (void)state;
    fill(&in);
    write_all(&in, &b);
    s = (struct source){.data = b.data, .len = b.len, .piece = 1};
    assert_int_equal(backup_read(read_some, &s, &sink, &out, why), 0);
    assert_string_equal(why, "");
    assert_true(uuid_equal(&in.cluster, &out.cluster));
    assert_true(in.index == out.index && in.term == out.term && in.time_s == out.time_s);
    assert_true(out.stale);
    assert_string_equal(out.program, "dfs 1.0");
    assert_int_equal(out.count, MEMBERS);
    assert_memory_equal(in.members, out.members, MEMBERS * sizeof(*in.members));
    assert_int_equal(seen.complete, MEMBERS);
    for (unsigned i = 0; i < MEMBERS; at += sizes[i++])
        assert_memory_equal(seen.bytes.data + at, content[i], sizes[i]);
    assert_int_equal(seen.bytes.len, at);
    assert_int_equal(backup_info_bytes(&out), at);
    buf_done(&seen.bytes);
    backup_info_done(&in);
    backup_info_done(&out);
}

/* The numbers in the manifest's text, too: the total hash covers what no other looks at. */
static void each_damaged_byte_is_seen(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct backup_info in, out;
    char why[BACKUP_WHY_MAX];

    (void)state;
    fill(&in);
    write_all(&in, &b);
    for (size_t i = 0; i < b.len; i++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            int r;

            b.data[i] ^= (uint8_t)(1 << bit);
            r = read_back(b.data, b.len, &out, why);
            if (r == 0 || why[0] == '\0')
                fail_msg("byte %zu, bit %u: %d", i, bit, r);
            b.data[i] ^= (uint8_t)(1 << bit);
        }
    }
    backup_info_done(&in);
}

static void each_cut_is_seen(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct backup_info in, out;
    char why[BACKUP_WHY_MAX];

    (void)state;
    fill(&in);
    write_all(&in, &b);
    for (size_t len = 0; len < b.len; len++) {
        int r = read_back(b.data, len, &out, why);

        assert_int_equal(r, len < 512 ? -EPROTO : -EBADMSG);
        assert_non_null(strstr(why, len < 512 ? "not a backup" : "cut off"));
    }
    buf_append(&b, "", 1);
    assert_int_equal(read_back(b.data, b.len, &out, why), -EBADMSG);
    backup_info_done(&in);
}

static int end_it(void *ctx, const struct backup_member *m, uint64_t offset, const void *data,
                  size_t len)
{
    (void)ctx, (void)m, (void)offset, (void)data, (void)len;
    return -ENOSPC;
}

static void what_the_sink_says_ends_it(void **state)
{
    static const struct backup_sink full = {.data = end_it};
    CLEANUP_BUF struct buf b = {0};
    struct backup_info in, out;
    char why[BACKUP_WHY_MAX];
    struct source s;

    (void)state;
    fill(&in);
    write_all(&in, &b);
    s = (struct source){.data = b.data, .len = b.len, .piece = 100};
    assert_int_equal(backup_read(read_some, &s, &full, &out, why), -ENOSPC);
    assert_string_equal(why, "");
    backup_info_done(&in);
}

/* What comes over the wire is compared with the manifest while it is written. */
static void wrong_bytes_are_not_written(void **state)
{
    CLEANUP_BUF struct buf b = {0};
    struct backup_writer *w = NULL;
    struct backup_info in;

    (void)state;
    fill(&in);
    content[0][3] ^= 1;
    assert_int_equal(backup_writer_new(&in, append, &b, &w), 0);
    assert_int_equal(backup_writer_add(w, content[0], sizes[0] - 1), 0);
    assert_int_equal(backup_writer_end(w), -EBADMSG);
    assert_int_equal(backup_writer_add(w, content[0] + sizes[0] - 1, 1), -EBADMSG);
    backup_writer_free(w);
    backup_info_done(&in);

    in = (struct backup_info){0};
    assert_int_equal(backup_writer_new(&in, append, &b, &w), 0);
    assert_int_equal(backup_writer_add(w, "x", 1), -EBADMSG); /* There is no member. */
    backup_writer_free(w);
}

/* They become files where it is restored. */
static void names_are_plain(void **state)
{
    struct backup_info info = {0};
    char name[BACKUP_NAME_MAX + 1];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[BACKUP_NAME_MAX] = '\0';
    assert_int_equal(backup_info_add(&info, name, 1, 1), -EINVAL);
    name[BACKUP_NAME_MAX - 1] = '\0';
    assert_int_equal(backup_info_add(&info, name, 1, 1), 0);
    assert_int_equal(backup_info_add(&info, name, 1, 1), -EINVAL);
    assert_int_equal(backup_info_add(&info, "", 1, 1), -EINVAL);
    assert_int_equal(backup_info_add(&info, "..", 1, 1), -EINVAL);
    assert_int_equal(backup_info_add(&info, "a/b", 1, 1), -EINVAL);
    assert_int_equal(backup_info_add(&info, "a", BACKUP_SIZE_MAX + 1, 1), -EFBIG);
    assert_int_equal(backup_info_add(&info, "a", BACKUP_SIZE_MAX, 1), 0);
    backup_info_done(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(each_damaged_byte_is_seen),
        cmocka_unit_test(each_cut_is_seen),
        cmocka_unit_test(what_the_sink_says_ends_it),
        cmocka_unit_test(wrong_bytes_are_not_written),
        cmocka_unit_test(names_are_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
