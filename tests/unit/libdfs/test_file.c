/* Open files: truncate, other clients, attributes, fallocate, read-ahead; all at once. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/rng.h"
#include "libdfs/inode.h"
#include "tests/unit/libdfs/file_calls.h"

/* ---- truncate ---- */

static void truncate_zeroes_the_tail_before_the_file_grows(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 18);

    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(file_cut(c, f, 50001), 0);
    assert_int_equal(c->trunc_dones, 1);
    assert_int_equal(c->dns[0].truncs, 1);
    assert_int_equal(file_cut(c, f, 100000), 0);
    memset(bytes + 50001, 0, 49999);
    file_expect(c, f, 0, bytes, 100000);
    ll_release(f);
    free(bytes);
}

static void truncate_of_unsent_bytes_cuts_them(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 19);
    uint8_t *seen = malloc(100000);

    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    assert_int_equal(file_cut(c, f, 30000), 0);
    assert_int_equal(file_put(c, f, 60000, bytes + 60000, 100), 0);
    memset(bytes + 30000, 0, 30000);
    file_expect(c, f, 0, bytes, 60100);
    assert_int_equal(file_flush(c, f), 0);
    cluster_content(c, ll_file_ino(f), seen, 60100);
    assert_memory_equal(seen, bytes, 60100);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 60100);
    ll_release(f);
    free(bytes);
    free(seen);
}

static void truncate_waits_for_what_flies(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 20);
    struct result r = {0}, t = {0};

    c->dns[0].hold_ops = true;
    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    ll_flush(f, &r.call, result_status, &r);
    CLUSTER_UNTIL(c, cluster_ops(c) == 1);
    ll_truncate(&c->ll, &t.call, &test_root, ll_file_ino(f), 10, result_attr, &t);
    cluster_pass(c, 20);
    assert_int_equal(c->truncates, 0);
    cluster_release(c);
    cluster_wait(c, &t.done);
    cluster_wait(c, &r.done);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 10);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 10);
    file_expect(c, f, 0, bytes, 10);
    ll_release(f);
    free(bytes);
}

static void inline_file_is_extended_beyond_inline(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t seen[20000] = {0};

    assert_int_equal(file_put(c, f, 0, "small", 5), 0);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(file_cut(c, f, 20000), 0);
    memcpy(seen, "small", 5);
    file_expect(c, f, 0, seen, sizeof(seen));
    cluster_content(c, ll_file_ino(f), seen, sizeof(seen));
    assert_memory_equal(seen, "small", 6);
    ll_release(f);
}

/* Another client died between the cut and the zeroing. */
static void foreign_tail_is_zeroed_before_writing(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    uint8_t *bytes = test_pattern(100000, 21);
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, 100000);
    ff->attr.size = 1000;
    ff->tail.chunk_id = ff->chunks[0].id;
    ff->tail.pg = ff->chunks[0].pg;
    ff->tail.from = 1000;
    f = file_open(c, ff->ino, O_RDWR).file;
    assert_int_equal(file_put(c, f, 5000, "x", 1), 0);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(c->trunc_dones, 1);
    memset(bytes + 1000, 0, 4000);
    bytes[5000] = 'x';
    file_expect(c, f, 0, bytes, 5001);

    /* The same, found only when growing. */
    ff->tail.chunk_id = ff->chunks[0].id;
    ff->tail.from = 5001;
    assert_int_equal(file_cut(c, f, 9000), 0);
    assert_int_equal(c->trunc_dones, 2);
    ll_release(f);
    free(bytes);
}

static void open_with_trunc_empties(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    struct result r;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, "abcdef", 6);
    r = file_open(c, ff->ino, O_WRONLY | O_TRUNC);
    assert_int_equal(r.status, 0);
    assert_int_equal(r.attr.size, 0);
    assert_int_equal(c->truncates, 1);
    ll_release(r.file);
    r = file_open(c, ff->ino, O_WRONLY | O_TRUNC);
    assert_int_equal(c->truncates, 2); /* It is empty, but its times change, as POSIX has it. */
    ll_release(r.file);
}

/* ---- several clients ---- */

static void next_open_sees_what_others_closed(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    uint8_t *bytes = test_pattern(50000, 22);
    struct result r;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, 50000);
    r = file_open(c, ff->ino, O_RDWR);
    assert_false(r.keep_cache);
    file_expect(c, r.file, 0, bytes, 50000);
    ll_release(r.file);

    r = file_open(c, ff->ino, O_RDWR);
    assert_true(r.keep_cache);
    assert_int_equal(file_put(c, r.file, 0, bytes + 1, 100), 0);
    assert_int_equal(file_flush(c, r.file), 0);
    ll_release(r.file);

    r = file_open(c, ff->ino, O_RDONLY); /* Only our own change came between. */
    assert_true(r.keep_cache);
    ll_release(r.file);

    cluster_foreign_write(c, (struct ino){ff->ino}, 10, "other", 5);
    r = file_open(c, ff->ino, O_RDONLY);
    assert_false(r.keep_cache);
    memmove(bytes, bytes + 1, 100);
    memcpy(bytes + 10, "other", 5);
    file_expect(c, r.file, 0, bytes, 50000);
    ll_release(r.file);
    free(bytes);
}

/* What was written and cut here must not hide that somebody else has cut more. */
static void foreign_truncate_after_own_is_seen(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(50000, 27);
    uint64_t ino = ll_file_ino(f).v;
    struct fake_file *ff = cluster_file(c, (struct ino){ino});
    struct result r;

    assert_int_equal(file_put(c, f, 0, bytes, 50000), 0);
    assert_int_equal(file_cut(c, f, 30000), 0);
    assert_int_equal(file_flush(c, f), 0);
    ll_release(f);
    ff->attr.size = 100;
    ff->attr.data_version++;
    r = file_open(c, ino, O_RDONLY);
    assert_int_equal(r.attr.size, 100);
    file_expect(c, r.file, 0, bytes, 100);
    assert_int_equal(inode_size(inode_find(&c->ll, (struct ino){ino})), 100);
    ll_release(r.file);
    free(bytes);
}

static void growth_seen_by_getattr_can_be_read(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    struct result r;
    struct ll_attr attr;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, "one", 3);
    r = file_open(c, ff->ino, O_RDONLY);
    file_expect(c, r.file, 0, "one", 3);
    cluster_foreign_write(c, (struct ino){ff->ino}, 3, "two", 3);
    ll_attr_from_wire(&ff->attr, &attr);
    inode_see_attr(&c->ll, &attr);
    file_expect(c, r.file, 0, "onetwo", 6);
    ll_release(r.file);
    CLUSTER_UNTIL(c, ff->opens == 0);
}

/* ---- attributes ---- */

static void attributes_show_unflushed_writes(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    struct ll_attr attr;

    assert_int_equal(file_put(c, f, 0, "abc", 3), 0);
    ll_attr_from_wire(&cluster_file(c, ll_file_ino(f))->attr, &attr);
    assert_int_equal(attr.size, 0);
    inode_see_attr(&c->ll, &attr);
    assert_int_equal(attr.size, 3);
    assert_int_equal(attr.mtime_ns, c->wall_ns);
    ll_release(f);
}

/* cp -p: write, utimens, close. The commit at close must not overwrite the time that was set. */
static void utimens_after_write_wins(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);

    assert_int_equal(file_put(c, f, 0, "abc", 3), 0);
    (void)inode_mtime_override(&c->ll, ll_file_ino(f));
    cluster_file(c, ll_file_ino(f))->attr.mtime_ns = 42;
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.mtime_ns, 42);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 3);
    c->wall_ns++;
    assert_int_equal(file_put(c, f, 0, "d", 1), 0); /* But a later write has its own time. */
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.mtime_ns, c->wall_ns);
    ll_release(f);
}

static void append_goes_to_the_end(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, "abc", 3);
    f = file_open(c, ff->ino, O_RDWR | O_APPEND).file;
    assert_int_equal(file_append(c, f, "def", 3), 0);
    assert_int_equal(file_append(c, f, "ghi", 3), 0);
    file_expect(c, f, 0, "abcdefghi", 9);
    /* A page of a mapping, or F_SETFL without O_APPEND. */
    assert_int_equal(file_put(c, f, 0, "ABC", 3), 0);
    file_expect(c, f, 0, "ABCdefghi", 9);
    ll_release(f);
}

/* A log that two mounts keep open and write to in turns, each published before the other goes on. */
static void append_follows_what_others_have_appended(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    struct ll_file *f;

    f = file_open(c, ff->ino, O_RDWR | O_APPEND).file;
    assert_int_equal(file_append(c, f, "one", 3), 0);
    assert_int_equal(file_append(c, f, "two", 3), 0);
    assert_int_equal(c->getattrs, 1); /* Nothing could have come between the two. */
    assert_int_equal(file_flush(c, f), 0);
    cluster_foreign_write(c, (struct ino){ff->ino}, 6, "other", 5);
    assert_int_equal(file_append(c, f, "three", 5), 0);
    assert_int_equal(c->getattrs, 2);
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, 0, "onetwootherthree", 16);
    ll_release(f);
}

/* What the kernel was told with a directory must not undo what was written since. */
static void attributes_of_a_file_in_use_may_be_old(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    struct ll_attr attr;

    ll_attr_from_wire(&cluster_file(c, ll_file_ino(f))->attr, &attr);
    assert_int_equal(file_put(c, f, 0, "abc", 3), 0);
    assert_true(ll_attr_may_be_old(&c->ll, &attr));
    assert_int_equal(file_flush(c, f), 0);
    ll_release(f);
    assert_true(ll_attr_may_be_old(&c->ll, &attr)); /* It is closed, and longer than that. */
    ll_attr_from_wire(&cluster_file(c, attr.ino)->attr, &attr);
    assert_false(ll_attr_may_be_old(&c->ll, &attr));
    attr.ino.v = 4711;
    assert_false(ll_attr_may_be_old(&c->ll, &attr));
}

static void setid_bits_are_known_and_taken_away(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    const struct ll_cred user = {.uid = 1, .gid = 1, .kernel_checked = true};
    struct ll_file *f = file_open(c, ff->ino, O_RDWR).file;
    struct result r = {0};
    struct ll_attr attr;

    assert_false(ll_has_setid(f));
    ff->attr.mode |= S_ISUID; /* chmod(2) while it is open: its answer brings the new mode */
    ll_attr_from_wire(&ff->attr, &attr);
    inode_see_attr(&c->ll, &attr);
    assert_true(ll_has_setid(f));
    ll_kill_setid(f, &r.call, &user, result_status, &r);
    cluster_wait(c, &r.done);
    assert_int_equal(r.status, 0);
    assert_false(ll_has_setid(f));
    assert_int_equal(ff->attr.mode, S_IFREG | 0644);
    ll_release(f);
}

static void beyond_the_largest_file_is_efbig(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);

    assert_int_equal(file_put(c, f, 0, "abc", 3), 0);
    assert_int_equal(file_put(c, f, FILE_SIZE_MAX - 1, "xy", 2), -EFBIG);
    assert_int_equal(file_put(c, f, UINT64_C(1) << 60, "x", 1), -EFBIG); /* chunk 0, modulo 2^32 */
    assert_int_equal(file_allocate(c, f, 0, FILE_SIZE_MAX, 1), -EFBIG);
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, 0, "abc", 3);
    ll_release(f);
}

static void unlinked_file_closes_without_error(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);

    assert_int_equal(file_put(c, f, 0, "abc", 3), 0);
    cluster_file(c, ll_file_ino(f))->gone = true;
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, 0, "abc", 3);
    cluster_file(c, ll_file_ino(f))->gone = false;
    ll_release(f);
}

/* ---- fallocate ---- */

static void fallocate_extends_and_punches(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(50000, 23);

    assert_int_equal(file_allocate(c, f, 0, 0, 20000), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 20000);
    assert_int_equal(file_allocate(c, f, FALLOC_FL_KEEP_SIZE, 0, 90000), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 20000);
    assert_int_equal(file_put(c, f, 0, bytes, 50000), 0);
    assert_int_equal(
        file_allocate(c, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10000, 1 << 30), 0);
    memset(bytes + 10000, 0, 40000);
    file_expect(c, f, 0, bytes, 50000);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 50000);
    assert_int_equal(file_allocate(c, f, FALLOC_FL_ZERO_RANGE, 60000, 10), 0);
    assert_int_equal(inode_size(inode_find(&c->ll, ll_file_ino(f))), 60010);
    assert_int_equal(file_allocate(c, f, FALLOC_FL_COLLAPSE_RANGE, 0, 10), -EOPNOTSUPP);
    ll_release(f);
    free(bytes);
}

/* The zeros of a hole have their place, also where the descriptor appends and has to wait. */
static void hole_by_an_appending_descriptor_stays_in_place(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    uint8_t *bytes = test_pattern(90000, 29);
    struct result r = {0};
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, 90000);
    f = file_open(c, ff->ino, O_RDWR | O_APPEND).file;
    c->ll.options.dirty_bytes_max = 20000;
    for (unsigned k = 0; k < FAKE_DNS; k++)
        c->dns[k].hold_ops = true;
    assert_int_equal(file_append(c, f, bytes, 10000), 0);
    ll_fallocate(f, &r.call, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 40000, 30000,
                 result_status, &r);
    cluster_pass(c, 10);
    assert_false(r.done);
    cluster_release(c);
    cluster_wait(c, &r.done);
    memset(bytes + 40000, 0, 30000);
    file_expect(c, f, 0, bytes, 90000);
    assert_int_equal(inode_size(inode_find(&c->ll, ll_file_ino(f))), 100000);
    ll_release(f);
    free(bytes);
}

/* Nothing is written where there was nothing: a terabyte of zeros is a new size. */
static void zero_range_beyond_the_end_writes_nothing(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(20000, 30);

    assert_int_equal(file_put(c, f, 0, bytes, 20000), 0);
    assert_int_equal(file_sync(c, f, false), 0);
    assert_int_equal(file_allocate(c, f, FALLOC_FL_ZERO_RANGE, 19000, UINT64_C(1) << 40), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, (UINT64_C(1) << 40) + 19000);
    assert_true(c->ll.inodes->dirty_bytes <= 1000);
    memset(bytes + 19000, 0, 1000);
    file_expect(c, f, 0, bytes, 20000);
    ll_release(f);
    free(bytes);
}

/* ---- read-ahead ---- */

static void sequential_reader_is_fed_ahead(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    enum { LEN = 20 << 20, STEP = 128 << 10 };
    uint8_t *bytes = test_pattern(LEN, 24);
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, LEN);
    f = file_open(c, ff->ino, O_RDONLY).file;
    for (size_t at = 0; at < LEN; at += STEP)
        file_expect(c, f, at, bytes + at, STEP);
    /* One for each MiB, and the first before it was known; a busy machine may ask twice. */
    assert_true(cluster_reads(c) <= 22 + c->ll.stats.read_hedges + c->ll.stats.read_retries);
    assert_true(c->ll.stats.readahead_hits >= LEN / STEP - 2);
    assert_true(c->ll.inodes->cache_bytes <= 4 << 20);
    ll_release(f);
    assert_int_equal(c->ll.inodes->cache_bytes, 0);
    free(bytes);
}

/* What was fetched ahead must not hide what is written later. */
static void own_write_replaces_what_was_fetched(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    enum { LEN = 6 << 20 };
    uint8_t *bytes = test_pattern(LEN, 25);
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, LEN);
    f = file_open(c, ff->ino, O_RDWR).file;
    file_expect(c, f, 0, bytes, 4096);
    file_expect(c, f, 4096, bytes + 4096, 4096);
    CLUSTER_UNTIL(c, c->ll.inodes->cache_bytes > 0 && dn_pool_busy(c->ll.dns) == 0);
    memset(bytes + (3 << 20), 'w', 5000);
    assert_int_equal(file_put(c, f, 3 << 20, bytes + (3 << 20), 5000), 0);
    file_expect(c, f, (3 << 20) - 100, bytes + (3 << 20) - 100, 8000);
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, (3 << 20) - 100, bytes + (3 << 20) - 100, 8000);
    ll_release(f);
    free(bytes);
}

static void readahead_memory_is_bounded(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    enum { LEN = 12 << 20 };
    uint8_t *bytes = test_pattern(LEN, 26);
    struct ll_file *f;

    c->ll.options.readahead_bytes_max = 2 << 20;
    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, LEN);
    f = file_open(c, ff->ino, O_RDONLY).file;
    for (size_t at = 0; at < LEN; at += 256 << 10) {
        file_expect(c, f, at, bytes + at, 256 << 10);
        assert_true(c->ll.inodes->cache_bytes <= 2 << 20);
    }
    ll_release(f);
    free(bytes);
}

/* ---- everything at once ---- */

enum { SPACE = 400000 };

struct model {
    struct cluster *c;
    struct ll_file *f;
    struct rng rng;
    uint8_t bytes[SPACE];
    uint64_t size;
};

static void model_write(struct model *m)
{
    size_t len = 1 + rng_below(&m->rng, rng_percent(&m->rng, 70) ? 9000 : 100000);
    uint64_t offset = rng_below(&m->rng, SPACE - len);

    if (rng_percent(&m->rng, 20))
        len = MIN(len, (size_t)2000), offset = rng_below(&m->rng, 2000);
    rng_bytes(&m->rng, m->bytes + offset, len);
    m->size = MAX(m->size, offset + len);
    assert_int_equal(file_put(m->c, m->f, offset, m->bytes + offset, len), 0);
}

static void model_read(struct model *m)
{
    uint64_t offset = rng_below(&m->rng, SPACE);
    size_t len = 1 + rng_below(&m->rng, SPACE - offset);
    size_t want = m->size > offset ? MIN(len, (size_t)(m->size - offset)) : 0;
    struct result r = file_get(m->c, m->f, offset, len);

    assert_int_equal(r.status, 0);
    assert_int_equal(r.len, want);
    assert_memory_equal(r.bytes, m->bytes + offset, want);
    free(r.bytes);
}

static void model_cut(struct model *m)
{
    uint64_t size = rng_below(&m->rng, rng_percent(&m->rng, 30) ? 4000 : SPACE);

    assert_int_equal(file_cut(m->c, m->f, size), 0);
    if (size < m->size)
        memset(m->bytes + size, 0, SPACE - size);
    m->size = size;
}

static void model_reopen(struct model *m)
{
    uint64_t ino = ll_file_ino(m->f).v;

    assert_int_equal(file_flush(m->c, m->f), 0);
    ll_release(m->f);
    m->f = file_open(m->c, ino, O_RDWR).file;
    assert_non_null(m->f);
}

static void model_fault(struct model *m)
{
    struct fake_dn *dn = &m->c->dns[rng_below(&m->rng, FAKE_DNS)];

    switch (rng_below(&m->rng, 6)) {
    case 0:
        dn->drop_after = 1;
        break;
    case 1:
        dn->drop_before = 2;
        break;
    case 2:
        dn->flip_reads = 2;
        break;
    case 3:
        cluster_set_head(m->c, (unsigned)rng_below(&m->rng, FAKE_DNS), rng_percent(&m->rng, 50));
        break;
    case 4:
        dn->fail_ops = 1;
        dn->fail_code = DFS_EBUSY_WINDOW;
        break;
    default:
        dn->fail_reads = 1;
        dn->fail_code = DFS_EDIRTY;
        break;
    }
}

static void model_punch(struct model *m)
{
    uint64_t offset = rng_below(&m->rng, SPACE);
    uint64_t len = 1 + rng_below(&m->rng, SPACE - offset);

    assert_int_equal(
        file_allocate(m->c, m->f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len), 0);
    memset(m->bytes + offset, 0, len);
}

static void run_model(struct cluster *c, uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));
    uint8_t *seen = malloc(SPACE);

    m->c = c;
    m->f = file_create(c);
    rng_seed(&m->rng, seed);
    c->ll.options.dirty_bytes_max = 300000;
    c->ll.options.readahead_bytes_max = 3 << 20;
    for (unsigned step = 0; step < 120; step++) {
        uint64_t dice = rng_below(&m->rng, 100);

        if (dice < 45)
            model_write(m);
        else if (dice < 70)
            model_read(m);
        else if (dice < 76)
            model_cut(m);
        else if (dice < 82)
            assert_int_equal(file_sync(c, m->f, rng_percent(&m->rng, 50)), 0);
        else if (dice < 86)
            model_reopen(m);
        else if (dice < 88)
            model_punch(m);
        else if (dice < 94)
            model_fault(m);
        else
            cluster_pass(c, 1);
    }
    assert_int_equal(file_flush(c, m->f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(m->f))->attr.size, m->size);
    cluster_content(c, ll_file_ino(m->f), seen, m->size);
    assert_memory_equal(seen, m->bytes, m->size);
    ll_release(m->f);
    free(seen);
    free(m);
}

static void behaves_like_a_byte_array_under_faults(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct cluster *c = cluster_new();

        print_message("seed=%d\n", (int)seed);
        run_model(c, seed);
        cluster_free(c);
    }
}

struct second_round {
    struct ll_file *file;
    struct result write, flush;
};

static void write_and_flush_more(void *ctx, int status)
{
    struct second_round *r = ctx;

    assert_int_equal(status, 0);
    ll_write(r->file, &r->write.call, 1, "b", 1, NULL, result_status, &r->write);
    ll_flush(r->file, &r->flush.call, result_status, &r->flush);
}

/* Seen as lost lines when several processes opened, appended to and closed one small file: an open
 * was answered with the content before the commit that was under way by then. */
static void an_open_overtaken_by_a_commit_does_not_bring_old_content_back(void **state)
{
    struct cluster *c = *state;
    struct second_round more = {.file = file_create(c)};
    struct ll_call first = {0};
    struct result again = {0};
    uint8_t content[3];

    assert_int_equal(file_put(c, more.file, 0, "a", 1), 0);
    c->hold_nn = true;
    ll_flush(more.file, &first, write_and_flush_more, &more);
    CLUSTER_UNTIL(c, c->commits == 1);
    ll_open(&c->ll, &again.call, &test_root, ll_file_ino(more.file), O_RDWR, result_open, &again);
    cluster_release_nn(c);
    CLUSTER_UNTIL(c, again.done && more.flush.done);
    assert_int_equal(again.status, 0);
    assert_int_equal(more.flush.status, 0);
    assert_int_equal(file_put(c, more.file, 2, "c", 1), 0);
    assert_int_equal(file_flush(c, more.file), 0);
    file_expect(c, more.file, 0, "abc", 3);
    cluster_content(c, ll_file_ino(more.file), content, 3);
    assert_memory_equal(content, "abc", 3);
    ll_release(again.file);
    ll_release(more.file);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, cluster_set_up, cluster_tear_down)
    const struct CMUnitTest tests[] = {
        T(truncate_zeroes_the_tail_before_the_file_grows),
        T(an_open_overtaken_by_a_commit_does_not_bring_old_content_back),
        T(truncate_of_unsent_bytes_cuts_them),
        T(truncate_waits_for_what_flies),
        T(inline_file_is_extended_beyond_inline),
        T(foreign_tail_is_zeroed_before_writing),
        T(open_with_trunc_empties),
        T(next_open_sees_what_others_closed),
        T(foreign_truncate_after_own_is_seen),
        T(growth_seen_by_getattr_can_be_read),
        T(attributes_show_unflushed_writes),
        T(utimens_after_write_wins),
        T(append_goes_to_the_end),
        T(append_follows_what_others_have_appended),
        T(attributes_of_a_file_in_use_may_be_old),
        T(setid_bits_are_known_and_taken_away),
        T(beyond_the_largest_file_is_efbig),
        T(unlinked_file_closes_without_error),
        T(fallocate_extends_and_punches),
        T(hole_by_an_appending_descriptor_stays_in_place),
        T(zero_range_beyond_the_end_writes_nothing),
        T(sequential_reader_is_fed_ahead),
        T(own_write_replaces_what_was_fetched),
        T(readahead_memory_is_bounded),
        cmocka_unit_test(behaves_like_a_byte_array_under_faults),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
