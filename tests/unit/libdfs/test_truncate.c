/* Truncation where several clients cut one file: whose mark it is, and what the application hears. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libdfs/inode.h"
#include "tests/unit/libdfs/file_calls.h"

static void hold_all(struct cluster *c, bool hold)
{
    for (unsigned i = 0; i < FAKE_DNS; i++)
        c->dns[i].hold_ops = hold;
    if (!hold)
        cluster_release(c);
}

/* It waits at a datanode. */
static bool is_zeroing(const struct cluster *c)
{
    for (unsigned i = 0; i < FAKE_DNS; i++) {
        if (c->dns[i].held != NULL)
            return true;
    }
    return false;
}

/* Written, published, and at the datanodes. */
static struct ll_file *file_of(struct cluster *c, const uint8_t *bytes, size_t len)
{
    struct ll_file *f = file_create(c);

    assert_int_equal(file_put(c, f, 0, bytes, len), 0);
    assert_int_equal(file_flush(c, f), 0);
    return f;
}

/* Another client cuts it, and has not zeroed the tail yet. */
static void foreign_cut(struct cluster *c, struct fake_file *ff, uint32_t size)
{
    ff->attr.size = size;
    ff->attr.data_version++;
    ff->tail.chunk_id = ff->chunks[0].id;
    ff->tail.pg = ff->chunks[0].pg;
    ff->tail.from = size;
    ff->tail.version = c->old_marks ? 0 : ff->attr.data_version;
}

/* While we zero the tail, another client cuts the file further: what we have cut is cut. */
static void cut_further_by_another_is_no_error(void **state)
{
    struct cluster *c = *state;

    for (unsigned old = 0; old < 2; old++) {
        uint8_t *bytes = test_pattern(100000, 30 + old);
        struct ll_file *f = file_of(c, bytes, 100000);
        struct fake_file *ff = cluster_file(c, ll_file_ino(f));
        unsigned before = c->truncates;
        struct result t = {0};
        uint64_t version;

        c->old_marks = old;
        hold_all(c, true);
        ll_truncate(&c->ll, &t.call, &test_root, ll_file_ino(f), 50001, result_attr, &t);
        CLUSTER_UNTIL(c, c->truncates == before + 1 && is_zeroing(c));
        version = ff->tail.version;
        foreign_cut(c, ff, 700);
        hold_all(c, false);
        cluster_wait(c, &t.done);
        assert_int_equal(t.status, 0);
        assert_true(c->last_done_version == version && (version == 0) == old);
        assert_int_equal(ff->tail.from, 700); /* The other's mark stays, until he has done it... */
        assert_true(ff->tail.chunk_id != 0);
        assert_int_equal(file_cut(c, f, 90000), 0); /* ...or the file shall grow. */
        assert_true(ff->tail.chunk_id == 0);
        memset(bytes + 700, 0, 89300);
        file_expect(c, f, 0, bytes, 90000);
        ll_release(f);
        free(bytes);
    }
}

/* Before it grows, an older tail has to be zeroed; meanwhile there is another one. */
static void growth_zeroes_each_tail_that_it_meets(void **state)
{
    struct cluster *c = *state;

    for (unsigned old = 0; old < 2; old++) {
        uint8_t *bytes = test_pattern(100000, 40 + old);
        struct ll_file *f = file_of(c, bytes, 100000);
        struct fake_file *ff = cluster_file(c, ll_file_ino(f));
        unsigned dones = c->trunc_dones;
        struct result t = {0};

        c->old_marks = old;
        foreign_cut(c, ff, 5000);
        hold_all(c, true);
        ll_truncate(&c->ll, &t.call, &test_root, ll_file_ino(f), 90000, result_attr, &t);
        for (uint32_t size = 4000; size > 1000; size -= 1000) {
            CLUSTER_UNTIL(c, is_zeroing(c));
            foreign_cut(c, ff, size);
            cluster_release(c);
            hold_all(c, true);
            CLUSTER_UNTIL(c, c->trunc_dones > dones);
            dones = c->trunc_dones;
        }
        CLUSTER_UNTIL(c, is_zeroing(c));
        hold_all(c, false);
        cluster_wait(c, &t.done);
        assert_int_equal(t.status, 0);
        assert_true(ff->tail.chunk_id == 0);
        memset(bytes + 2000, 0, 88000);
        file_expect(c, f, 0, bytes, 90000);
        ll_release(f);
        free(bytes);
    }
}

/* While our request to zero the tail is held up, another client has zeroed it, cleared the mark, and written
 * there: the request says for which truncation it is, so the datanodes can tell. */
static void a_late_zeroing_leaves_what_another_has_written(void **state)
{
    struct cluster *c = *state;
    uint8_t *bytes = test_pattern(100000, 50), *theirs = test_pattern(20000, 51);
    struct ll_file *f = file_of(c, bytes, 100000);
    struct fake_file *ff = cluster_file(c, ll_file_ino(f));
    struct fake_chunk *k = fake_chunk_get(c, ff->chunks[0].id);
    struct result t = {0};

    hold_all(c, true);
    ll_truncate(&c->ll, &t.call, &test_root, ll_file_ino(f), 50000, result_attr, &t);
    CLUSTER_UNTIL(c, is_zeroing(c));
    k->trunc_version = ff->tail.version;
    ff->tail.chunk_id = 0;
    memset(k->bytes + 50000, 0, k->len - 50000);
    fake_chunk_write(k, 50000, theirs, 20000);
    ff->attr.size = 70000;
    ff->attr.data_version++;
    hold_all(c, false);
    cluster_wait(c, &t.done);
    assert_int_equal(t.status, 0);
    assert_memory_equal(k->bytes, bytes, 50000);
    assert_memory_equal(k->bytes + 50000, theirs, 20000);
    ll_release(f);
    free(bytes);
    free(theirs);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, cluster_set_up, cluster_tear_down)
    const struct CMUnitTest tests[] = {
        T(cut_further_by_another_is_no_error),
        T(growth_zeroes_each_tail_that_it_meets),
        T(a_late_zeroing_leaves_what_another_has_written),
    };

    return cmocka_run_group_tests_name("truncate", tests, NULL, NULL);
}
