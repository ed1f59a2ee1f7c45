/*
 * A call that waits can be interrupted, whatever it waits for: the caller is answered at once, what
 * was begun ends behind his back, and the file works on.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/limits.h"
#include "libdfs/inode.h"
#include "tests/unit/libdfs/file_calls.h"

static void hold_all(struct cluster *c, bool hold)
{
    for (unsigned i = 0; i < FAKE_DNS; i++)
        c->dns[i].hold_ops = hold;
    if (!hold)
        cluster_release(c);
}

/* The datanodes are silent: the answer comes from the interrupt alone. */
static void expect_interrupted(struct result *r, int status)
{
    assert_false(r->done);
    assert_non_null(r->call.interrupt);
    r->call.interrupt(&r->call);
    assert_true(r->done);
    assert_int_equal(r->status, status);
    assert_null(r->call.interrupt);
}

/* The file can be written, read and cut as if nothing had been. */
static void expect_alive(struct cluster *c, struct ll_file *f)
{
    uint8_t *bytes = test_pattern(30000, 77);

    assert_int_equal(file_put(c, f, 0, bytes, 30000), 0);
    assert_int_equal(file_sync(c, f, false), 0);
    assert_int_equal(file_cut(c, f, 20000), 0);
    assert_int_equal(file_cut(c, f, 30000), 0);
    memset(bytes + 20000, 0, 10000);
    file_expect(c, f, 0, bytes, 30000);
    assert_int_equal(inode_find(&c->ll, ll_file_ino(f))->wb.frozen, 0);
    free(bytes);
}

static void flush_and_fsync_end(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 1);
    struct result flush = {0}, sync = {0}, all = {0};

    hold_all(c, true);
    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    ll_flush(f, &flush.call, result_status, &flush);
    ll_fsync(f, &sync.call, true, result_status, &sync);
    ll_sync_all(&c->ll, &all.call, result_status, &all);
    cluster_pass(c, 10);
    expect_interrupted(&all, -EINTR);
    expect_interrupted(&sync, -EINTR);
    expect_interrupted(&flush, -EINTR);
    hold_all(c, false);
    file_expect(c, f, 0, bytes, 100000);
    expect_alive(c, f);
    ll_release(f);
    free(bytes);
}

static void write_that_waits_for_memory_ends(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 2);
    struct result w = {0};

    c->ll.options.dirty_bytes_max = 150000;
    hold_all(c, true);
    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    ll_write(f, &w.call, 100000, bytes, 100000, NULL, result_status, &w);
    cluster_pass(c, 10);
    expect_interrupted(&w, -EINTR);
    hold_all(c, false);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 100000); /* It was not taken. */
    expect_alive(c, f);
    ll_release(f);
    free(bytes);
}

static void read_ends(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    uint8_t *bytes = test_pattern(50000, 3);
    struct result r = {.bytes = malloc(50000), .len = 50000};
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, 50000);
    f = file_open(c, ff->ino, O_RDWR).file;
    for (unsigned i = 0; i < FAKE_DNS; i++)
        c->dns[i].silent_reads = 1;
    ll_read(f, &r.call, 0, 50000, result_data, &r);
    cluster_pass(c, 10);
    expect_interrupted(&r, -EINTR);
    file_expect(c, f, 0, bytes, 50000);
    expect_alive(c, f);
    ll_release(f);
    free(r.bytes);
    free(bytes);
}

/* It waits for older writes; the namenode was not asked: nothing is cut. */
static void truncate_that_waits_for_writes_ends(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 4);
    struct result t = {0}, second = {0};

    hold_all(c, true);
    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    (void)wb_kick(inode_find(&c->ll, ll_file_ino(f)));
    cluster_pass(c, 10);
    ll_truncate(&c->ll, &t.call, &test_root, ll_file_ino(f), 10, result_attr, &t);
    ll_truncate(&c->ll, &second.call, &test_root, ll_file_ino(f), 5, result_attr, &second);
    cluster_pass(c, 10);
    expect_interrupted(&second, -EINTR);
    expect_interrupted(&t, -EINTR);
    hold_all(c, false);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(c->truncates, 0);
    file_expect(c, f, 0, bytes, 100000);
    expect_alive(c, f);
    ll_release(f);
    free(bytes);
}

/* Small content has to move to a chunk before the file may grow, and the datanodes don't take it. */
static void truncate_that_waits_for_inline_content_ends(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    struct result t = {0};

    assert_int_equal(file_put(c, f, 0, "small", 5), 0);
    assert_int_equal(file_flush(c, f), 0);
    hold_all(c, true);
    ll_truncate(&c->ll, &t.call, &test_root, ll_file_ino(f), 20000, result_attr, &t);
    CLUSTER_UNTIL(c, cluster_ops(c) == 1);
    expect_interrupted(&t, -EINTR);
    hold_all(c, false);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(c->truncates, 0);
    file_expect(c, f, 0, "small", 5);
    expect_alive(c, f);
    ll_release(f);
}

/* The cut is made, its tail not yet zeroed: that is done behind the caller's back. */
static void truncate_that_waits_for_the_tail_is_done(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 5);
    struct result t = {0};

    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    assert_int_equal(file_flush(c, f), 0);
    hold_all(c, true);
    ll_truncate(&c->ll, &t.call, &test_root, ll_file_ino(f), 50001, result_attr, &t);
    CLUSTER_UNTIL(c, c->truncates == 1);
    cluster_pass(c, 20);
    expect_interrupted(&t, 0);
    assert_int_equal(t.attr.size, 50001);
    assert_int_equal(c->trunc_dones, 0);
    hold_all(c, false);
    assert_int_equal(file_cut(c, f, 100000), 0);
    assert_int_equal(c->trunc_dones, 1);
    memset(bytes + 50001, 0, 49999);
    file_expect(c, f, 0, bytes, 100000);
    expect_alive(c, f);
    ll_release(f);
    free(bytes);
}

static void open_with_trunc_ends(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 6);
    struct result o = {0};

    hold_all(c, true);
    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    (void)wb_kick(inode_find(&c->ll, ll_file_ino(f)));
    ll_open(&c->ll, &o.call, &test_root, ll_file_ino(f), O_RDWR | O_TRUNC, result_open, &o);
    cluster_pass(c, 20);
    expect_interrupted(&o, -EINTR);
    hold_all(c, false);
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, 0, bytes, 100000);
    expect_alive(c, f);
    ll_release(f);
    free(bytes);
}

static void fallocate_that_waits_for_memory_ends(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 7);
    struct result a = {0};

    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    assert_int_equal(file_flush(c, f), 0);
    c->ll.options.dirty_bytes_max = 40000;
    hold_all(c, true);
    assert_int_equal(file_put(c, f, 0, bytes, 30000), 0);
    ll_fallocate(f, &a.call, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 90000, result_status,
                 &a);
    cluster_pass(c, 10);
    expect_interrupted(&a, -EINTR);
    hold_all(c, false);
    file_expect(c, f, 0, bytes, 100000);
    expect_alive(c, f);
    ll_release(f);
    free(bytes);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, cluster_set_up, cluster_tear_down)
    const struct CMUnitTest tests[] = {
        T(flush_and_fsync_end),
        T(write_that_waits_for_memory_ends),
        T(read_ends),
        T(truncate_that_waits_for_writes_ends),
        T(truncate_that_waits_for_inline_content_ends),
        T(truncate_that_waits_for_the_tail_is_done),
        T(open_with_trunc_ends),
        T(fallocate_that_waits_for_memory_ends),
    };

    return cmocka_run_group_tests_name("interrupt", tests, NULL, NULL);
}
