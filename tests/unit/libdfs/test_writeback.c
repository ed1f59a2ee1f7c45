/* What is written is read back, published, synced, or its loss is told; and what each costs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"
#include "common/limits.h"
#include "common/rng.h"
#include "libdfs/inode.h"
#include "tests/unit/libdfs/file_calls.h"

/* ---- small files ---- */

static void small_file_costs_one_rpc_after_create(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);

    assert_int_equal(file_put(c, f, 0, "hello", 5), 0);
    file_expect(c, f, 0, "hello", 5);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(c->commits, 1);
    assert_int_equal(c->allocs, 0);
    assert_int_equal(cluster_ops(c), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 5);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.mtime_ns, c->wall_ns);
    file_expect(c, f, 0, "hello", 5);
    assert_int_equal(file_flush(c, f), 0); /* Nothing to do: nothing is asked. */
    assert_int_equal(c->commits, 1);
    ll_release(f);
    CLUSTER_UNTIL(c, c->closes == 1);
}

static void small_file_is_overwritten_inline(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t bytes[300];

    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(file_put(c, f, 0, bytes, 200), 0);
    assert_int_equal(file_flush(c, f), 0);
    memset(bytes + 100, 'y', 200);
    assert_int_equal(file_put(c, f, 100, bytes + 100, 200), 0);
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, 0, bytes, 300);
    cluster_content(c, ll_file_ino(f), bytes, 300);
    assert_int_equal(bytes[99], 'x');
    assert_int_equal(bytes[100], 'y');
    assert_int_equal(c->commits, 2);
    ll_release(f);
}

/* The old content must be in the chunk before the namenode forgets it. */
static void growing_file_leaves_inline(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(10000, 1);
    uint8_t seen[10000];

    assert_int_equal(file_put(c, f, 0, bytes, 4000), 0);
    assert_int_equal(file_flush(c, f), 0);
    assert_true(cluster_file(c, ll_file_ino(f))->attr.is_inline);
    assert_int_equal(file_put(c, f, 4000, bytes + 4000, 6000), 0);
    file_expect(c, f, 0, bytes, 10000);
    assert_int_equal(file_flush(c, f), 0);
    assert_false(cluster_file(c, ll_file_ino(f))->attr.is_inline);
    cluster_content(c, ll_file_ino(f), seen, sizeof(seen));
    assert_memory_equal(seen, bytes, sizeof(seen));
    file_expect(c, f, 0, bytes, 10000);
    ll_release(f);
    free(bytes);
}

/* The namenode's copy is all there is, until a chunk has it. */
static void expect_content_stays(struct cluster *c, const uint8_t *bytes, struct ll_file *f)
{
    assert_int_equal(file_flush(c, f), -ENOSPC);
    assert_true(cluster_file(c, ll_file_ino(f))->attr.is_inline);
    file_expect(c, f, 0, bytes, 4000);
    assert_int_equal(file_flush(c, f), 0);
    assert_true(cluster_file(c, ll_file_ino(f))->attr.is_inline);
    file_expect(c, f, 0, bytes, 4000);
    /* And when there is room it grows. */
    assert_int_equal(file_put(c, f, 4000, bytes + 4000, 6000), 0);
    assert_int_equal(file_flush(c, f), 0);
    assert_false(cluster_file(c, ll_file_ino(f))->attr.is_inline);
    file_expect(c, f, 0, bytes, 10000);
}

static void content_stays_where_it_is_when_a_disk_is_full(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(10000, 1);

    assert_int_equal(file_put(c, f, 0, bytes, 4000), 0);
    assert_int_equal(file_flush(c, f), 0);
    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = -ENOSPC;
    assert_int_equal(file_put(c, f, 4000, bytes + 4000, 6000), 0);
    expect_content_stays(c, bytes, f);
    ll_release(f);
    free(bytes);
}

static void content_stays_where_it_is_when_no_chunk_is_to_be_had(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(10000, 1);

    assert_int_equal(file_put(c, f, 0, bytes, 4000), 0);
    assert_int_equal(file_flush(c, f), 0);
    c->fail_alloc = -ENOSPC;
    assert_int_equal(file_put(c, f, 4000, bytes + 4000, 6000), 0);
    expect_content_stays(c, bytes, f);
    ll_release(f);
    free(bytes);
}

/* What others brought to chunks meanwhile is told as lost, and must not make the namenode forget. */
static void content_stays_though_what_follows_it_was_written(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(4000, 1), *more = test_pattern(8 << 20, 2);

    assert_int_equal(file_put(c, f, 0, bytes, 4000), 0);
    assert_int_equal(file_flush(c, f), 0);
    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = -ENOSPC;
    assert_int_equal(file_put(c, f, 4000, more, 8 << 20), 0);
    assert_int_equal(file_flush(c, f), -ENOSPC);
    assert_int_equal(file_sync(c, f, false), 0);
    assert_true(cluster_file(c, ll_file_ino(f))->attr.is_inline);
    file_expect(c, f, 0, bytes, 4000);
    assert_int_equal(file_put(c, f, 4000, more, 8 << 20), 0);
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, 0, bytes, 4000);
    file_expect(c, f, 4000, more, 8 << 20);
    ll_release(f);
    free(bytes);
    free(more);
}

/* Write, wait for nothing, grow while the inline commit is under way. */
static void growing_while_the_commit_flies_loses_nothing(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(9000, 2);
    struct result r = {0};
    uint8_t seen[9000];

    assert_int_equal(file_put(c, f, 0, bytes, 3000), 0);
    c->hold_nn = true;
    ll_flush(f, &r.call, result_status, &r);
    assert_int_equal(file_put(c, f, 3000, bytes + 3000, 6000), 0);
    file_expect(c, f, 0, bytes, 3000);
    cluster_release_nn(c);
    cluster_wait(c, &r.done);
    assert_int_equal(file_flush(c, f), 0);
    cluster_content(c, ll_file_ino(f), seen, sizeof(seen));
    assert_memory_equal(seen, bytes, sizeof(seen));
    file_expect(c, f, 0, bytes, 9000);
    ll_release(f);
    free(bytes);
}

static void inline_commit_refused_goes_to_chunks(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t big[8192], seen[8192];

    memset(big, 'b', sizeof(big));
    assert_int_equal(file_put(c, f, 10, "mine", 4), 0);
    cluster_foreign_write(c, ll_file_ino(f), 0, big, sizeof(big));
    assert_int_equal(file_flush(c, f), 0);
    memcpy(big + 10, "mine", 4);
    cluster_content(c, ll_file_ino(f), seen, sizeof(seen));
    assert_memory_equal(seen, big, sizeof(seen));
    ll_release(f);
}

/* ---- chunks ---- */

static void big_file_is_written_and_read_back(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    enum { LEN = 5 << 20 };
    uint8_t *bytes = test_pattern(LEN, 3);
    uint8_t *seen = malloc(LEN);

    for (size_t at = 0; at < LEN; at += 1 << 20)
        assert_int_equal(file_put(c, f, at, bytes + at, 1 << 20), 0);
    CLUSTER_UNTIL(c,
                  cluster_ops(c) >= (4 << 20) / CHUNK_OP_MAX); /* Sent without being asked for. */
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(cluster_ops(c), LEN / CHUNK_OP_MAX);
    assert_int_equal(c->allocs, 1);
    assert_int_equal(c->commits, 1);
    cluster_content(c, ll_file_ino(f), seen, LEN);
    assert_memory_equal(seen, bytes, LEN);
    file_expect(c, f, 12345, bytes + 12345, 1 << 20);
    assert_int_equal(c->ll.inodes->dirty_bytes, 0);
    assert_int_equal(c->ll.stats.bytes_copied, 0); /* 1 MiB writes keep the caller's slab. */
    ll_release(f);
    free(bytes);
    free(seen);
}

static void small_writes_in_a_row_go_out_as_whole_ops(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    enum { LEN = 2 << 20 };
    uint8_t *bytes = test_pattern(LEN, 4);
    uint8_t *seen = malloc(LEN);

    for (size_t at = 0; at < LEN; at += 4096)
        assert_int_equal(file_put(c, f, at, bytes + at, 4096), 0);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(cluster_ops(c), LEN / CHUNK_OP_MAX);
    cluster_content(c, ll_file_ino(f), seen, LEN);
    assert_memory_equal(seen, bytes, LEN);
    ll_release(f);
    free(bytes);
    free(seen);
}

static void write_over_a_chunks_end_is_split(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(200000, 5);
    uint64_t at = CHUNK_SIZE - 100001;

    assert_int_equal(file_put(c, f, at, bytes, 200000), 0);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.chunk_count, 2);
    assert_int_equal(c->allocs, 1);
    file_expect(c, f, at, bytes, 200000);
    ll_release(f);
    free(bytes);
}

static void holes_are_zeros_without_a_request(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t zeros[5000] = {0};

    assert_int_equal(file_put(c, f, 3 * (uint64_t)CHUNK_SIZE, "end", 3), 0);
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, CHUNK_SIZE + 77, zeros, sizeof(zeros));
    assert_int_equal(cluster_reads(c), 0);
    ll_release(f);
}

/* ---- what fsync costs ---- */

static void fdatasync_in_place_is_one_chain_trip(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(100000, 6);
    unsigned ops, syncs;

    assert_int_equal(file_put(c, f, 0, bytes, 100000), 0);
    assert_int_equal(file_sync(c, f, false), 0);
    ops = cluster_ops(c);
    syncs = c->dns[0].syncs;
    c->commits = 0;
    for (unsigned k = 0; k < 10; k++) {
        assert_int_equal(file_put(c, f, 4096 * k, bytes, 4096), 0);
        assert_int_equal(file_sync(c, f, true), 0);
    }
    assert_int_equal(cluster_ops(c) - ops, 10);
    assert_int_equal(c->dns[0].syncs - syncs, 10);
    assert_int_equal(c->commits, 0);
    assert_int_equal(file_flush(c, f), 0); /* The time is published now. */
    assert_int_equal(c->commits, 1);
    ll_release(f);
    free(bytes);
}

static void fsync_of_much_is_writes_and_one_sync_for_a_pg(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(1 << 20, 7);

    assert_int_equal(file_put(c, f, 0, bytes, 1 << 20), 0);
    assert_int_equal(file_sync(c, f, false), 0);
    assert_int_equal(cluster_ops(c), (1 << 20) / CHUNK_OP_MAX + 1);
    assert_int_equal(c->dns[0].syncs, 1);
    assert_int_equal(c->commits, 1);
    assert_int_equal(file_sync(c, f, false), 0); /* Nothing has changed. */
    assert_int_equal(cluster_ops(c), (1 << 20) / CHUNK_OP_MAX + 1);
    ll_release(f);
    free(bytes);
}

static void closed_file_is_synced_by_itself(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(20000, 8);

    c->ll.options.flush_age_ms = 40;
    assert_int_equal(file_put(c, f, 0, bytes, 20000), 0);
    CLUSTER_UNTIL(c, cluster_ops(c) == 1); /* By age. */
    assert_int_equal(c->dns[0].syncs, 0);
    assert_int_equal(file_flush(c, f), 0);
    ll_release(f);
    c->ll.options.sync_age_ms = 100;
    CLUSTER_UNTIL(c, c->closes == 1);
    assert_int_equal(c->dns[0].syncs, 1);
    assert_int_equal(c->ll.inodes->working_count, 0);
    free(bytes);
}

static void sync_all_syncs_every_file(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f[3];
    struct result r = {0};
    uint8_t *bytes = test_pattern(20000, 9);

    for (unsigned k = 0; k < 3; k++) {
        f[k] = file_create(c);
        assert_int_equal(file_put(c, f[k], 0, bytes, k == 0 ? 100 : 20000), 0);
    }
    ll_sync_all(&c->ll, &r.call, result_status, &r);
    cluster_wait(c, &r.done);
    assert_int_equal(r.status, 0);
    assert_int_equal(c->commits, 3);
    assert_int_equal(c->dns[0].syncs, 2);
    for (unsigned k = 0; k < 3; k++)
        ll_release(f[k]);
    free(bytes);
}

/* ---- errors ---- */

static void lost_write_is_told_once_to_each_open(void **state)
{
    struct cluster *c = *state;
    struct ll_file *a = file_create(c);
    struct ll_file *b = file_open(c, ll_file_ino(a).v, O_RDWR).file;
    uint8_t *bytes = test_pattern(20000, 10);

    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = -ENOSPC;
    assert_int_equal(file_put(c, a, 0, bytes, 20000), 0);
    assert_int_equal(file_flush(c, a), -ENOSPC);
    assert_int_equal(file_flush(c, a), 0);
    assert_int_equal(file_sync(c, b, false), -ENOSPC);
    assert_int_equal(file_sync(c, b, false), 0);
    ll_release(a);
    ll_release(b);
    free(bytes);
}

static void cold_pg_is_one_eio_at_fsync(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(20000, 11);

    assert_int_equal(file_put(c, f, 0, bytes, 20000), 0);
    assert_int_equal(file_flush(c, f), 0);
    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = DFS_ECOLD;
    assert_int_equal(file_sync(c, f, false), -EIO);
    assert_int_equal(file_sync(c, f, false), 0);
    ll_release(f);
    free(bytes);
}

/* The kernel has the pages that were written; who opens the file after the error must not be shown
 * what is lost. */
static void after_an_error_the_next_open_trusts_no_cache(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(20000, 15);
    struct result r;

    assert_int_equal(file_put(c, f, 0, bytes, 20000), 0);
    assert_int_equal(file_sync(c, f, false), 0);
    r = file_open(c, ll_file_ino(f).v, O_RDONLY);
    assert_true(r.keep_cache);
    ll_release(r.file);

    assert_int_equal(file_put(c, f, 0, bytes + 1, 100), 0);
    assert_int_equal(file_flush(c, f), 0);
    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = DFS_ECOLD;
    assert_int_equal(file_sync(c, f, false), -EIO);
    r = file_open(c, ll_file_ino(f).v, O_RDONLY);
    assert_false(r.keep_cache);
    ll_release(r.file);
    r = file_open(c, ll_file_ino(f).v, O_RDONLY);
    assert_true(r.keep_cache);
    ll_release(r.file);
    ll_release(f);
    free(bytes);
}

static void no_chunk_to_be_had_is_told(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(20000, 12);

    c->fail_alloc = -ENOSPC;
    assert_int_equal(file_put(c, f, 0, bytes, 20000), 0);
    assert_int_equal(file_flush(c, f), -ENOSPC);
    assert_int_equal(file_put(c, f, 0, bytes, 20000), 0);
    assert_int_equal(file_flush(c, f), 0);
    ll_release(f);
    free(bytes);
}

static void assert_ends_at(struct cluster *c, struct ll_file *f, size_t size)
{
    struct result r = file_get(c, f, 0, size + 10);

    assert_int_equal(r.status, 0);
    assert_int_equal(r.len, size);
    free(r.bytes);
}

/* What a quota refuses is told once and is not asked for again; the size is the namenode's again. */
static void refused_growth_is_given_up(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(40000, 16);
    struct fake_file *at_nn = cluster_file(c, ll_file_ino(f));
    unsigned commits;

    assert_int_equal(file_put(c, f, 0, bytes, 20000), 0);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(file_put(c, f, 20000, bytes + 20000, 20000), 0);
    c->fail_commit = -EDQUOT;
    assert_int_equal(file_flush(c, f), -EDQUOT);
    assert_int_equal(file_flush(c, f), 0); /* The times: no growth. */
    assert_int_equal(c->last_commit.end, 0);
    assert_int_equal(at_nn->attr.size, 20000);
    commits = c->commits;
    assert_int_equal(file_sync(c, f, false), 0);
    assert_int_equal(c->commits, commits);
    assert_ends_at(c, f, 20000);
    file_expect(c, f, 0, bytes, 20000);
    /* There is room again. */
    assert_int_equal(file_put(c, f, 20000, bytes + 20000, 20000), 0);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(at_nn->attr.size, 40000);
    file_expect(c, f, 0, bytes, 40000);
    ll_release(f);
    free(bytes);
}

/* The same of content that is in the metadata. */
static void refused_small_content_is_given_up(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);

    assert_int_equal(file_put(c, f, 0, "old", 3), 0);
    assert_int_equal(file_flush(c, f), 0);
    c->fail_commit = -EDQUOT;
    assert_int_equal(file_put(c, f, 0, "longer", 6), 0);
    assert_int_equal(file_flush(c, f), -EDQUOT);
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, 0, (const uint8_t *)"old", 3);
    assert_ends_at(c, f, 3);
    ll_release(f);
}

static void killed_head_costs_no_error(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    enum { LEN = 3 << 20 };
    uint8_t *bytes = test_pattern(LEN, 13);
    uint8_t *seen = malloc(LEN);

    for (size_t at = 0; at < LEN; at += 1 << 20)
        assert_int_equal(file_put(c, f, at, bytes + at, 1 << 20), 0);
    cluster_pass(c, 2);
    cluster_kill_dn(c, 0);
    cluster_set_head(c, 1, false);
    assert_int_equal(file_sync(c, f, false), 0);
    cluster_content(c, ll_file_ino(f), seen, LEN);
    assert_memory_equal(seen, bytes, LEN);
    file_expect(c, f, 0, bytes, 1 << 20);
    ll_release(f);
    free(bytes);
    free(seen);
}

static void lost_session_is_one_eio(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(20000, 14);

    assert_int_equal(file_put(c, f, 0, bytes, 20000), 0);
    ll_data_session_lost(&c->ll);
    assert_int_equal(file_flush(c, f), -EIO);
    assert_int_equal(c->ll.inodes->dirty_bytes, 0);
    ll_release(f);
    free(bytes);
}

/* ---- overlapping and waiting ---- */

/* Two overlapping writes must never be in flight together; the newer one wins. */
static void overwrite_of_flying_bytes_waits(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(40000, 15);
    uint8_t *seen = malloc(40000);
    struct result r = {0};

    c->dns[0].hold_ops = true;
    assert_int_equal(file_put(c, f, 0, bytes, 20000), 0);
    ll_flush(f, &r.call, result_status, &r);
    CLUSTER_UNTIL(c, cluster_ops(c) == 1);
    memset(bytes + 5000, 'n', 2000);
    assert_int_equal(file_put(c, f, 5000, bytes + 5000, 2000), 0);
    file_expect(c, f, 0, bytes, 20000);
    cluster_pass(c, 20);
    assert_int_equal(cluster_ops(c), 1);
    cluster_release(c);
    cluster_wait(c, &r.done);
    assert_int_equal(file_flush(c, f), 0);
    assert_int_equal(cluster_ops(c), 2);
    cluster_content(c, ll_file_ino(f), seen, 20000);
    assert_memory_equal(seen, bytes, 20000);
    ll_release(f);
    free(bytes);
    free(seen);
}

static void full_buffer_makes_writers_wait(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(1 << 20, 16);
    struct result r = {0};

    c->ll.options.dirty_bytes_max = 3 << 20;
    c->dns[0].hold_ops = true;
    for (uint64_t k = 0; k < 3; k++)
        assert_int_equal(file_put(c, f, k << 20, bytes, 1 << 20), 0);
    ll_write(f, &r.call, 3 << 20, bytes, 1 << 20, NULL, result_status, &r);
    cluster_pass(c, 50);
    assert_false(r.done);
    assert_int_equal(c->ll.stats.write_waits, 1);
    cluster_release(c);
    cluster_wait(c, &r.done);
    assert_int_equal(r.status, 0);
    assert_int_equal(file_flush(c, f), 0);
    file_expect(c, f, 3 << 20, bytes, 1 << 20);
    ll_release(f);
    free(bytes);
}

static void waiting_calls_can_be_interrupted(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = file_create(c);
    uint8_t *bytes = test_pattern(1 << 20, 17);
    struct result w = {0}, s = {0};
    struct result g = {.bytes = malloc(4096), .len = 4096};

    c->ll.options.dirty_bytes_max = 1 << 20;
    c->dns[0].hold_ops = true;
    assert_int_equal(file_put(c, f, 0, bytes, 1 << 20), 0);
    ll_write(f, &w.call, 1 << 20, bytes, 4096, NULL, result_status, &w);
    ll_fsync(f, &s.call, false, result_status, &s);
    cluster_pass(c, 20);
    assert_false(w.done || s.done);
    w.call.interrupt(&w.call);
    s.call.interrupt(&s.call);
    assert_int_equal(w.status, -EINTR);
    assert_int_equal(s.status, -EINTR);
    cluster_release(c);
    assert_int_equal(file_flush(c, f), 0);

    for (unsigned k = 0; k < FAKE_DNS; k++)
        c->dns[k].silent_reads = 1;
    ll_read(f, &g.call, 0, 4096, result_data, &g);
    cluster_pass(c, 10);
    assert_false(g.done);
    g.call.interrupt(&g.call);
    assert_int_equal(g.status, -EINTR);
    ll_release(f);
    free(g.bytes);
    free(bytes);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, cluster_set_up, cluster_tear_down)
    const struct CMUnitTest tests[] = {
        T(small_file_costs_one_rpc_after_create),
        T(small_file_is_overwritten_inline),
        T(growing_file_leaves_inline),
        T(content_stays_where_it_is_when_a_disk_is_full),
        T(content_stays_where_it_is_when_no_chunk_is_to_be_had),
        T(content_stays_though_what_follows_it_was_written),
        T(growing_while_the_commit_flies_loses_nothing),
        T(inline_commit_refused_goes_to_chunks),
        T(big_file_is_written_and_read_back),
        T(small_writes_in_a_row_go_out_as_whole_ops),
        T(write_over_a_chunks_end_is_split),
        T(holes_are_zeros_without_a_request),
        T(fdatasync_in_place_is_one_chain_trip),
        T(fsync_of_much_is_writes_and_one_sync_for_a_pg),
        T(closed_file_is_synced_by_itself),
        T(sync_all_syncs_every_file),
        T(lost_write_is_told_once_to_each_open),
        T(cold_pg_is_one_eio_at_fsync),
        T(no_chunk_to_be_had_is_told),
        T(refused_growth_is_given_up),
        T(refused_small_content_is_given_up),
        T(after_an_error_the_next_open_trusts_no_cache),
        T(killed_head_costs_no_error),
        T(lost_session_is_one_eio),
        T(overwrite_of_flying_bytes_waits),
        T(full_buffer_makes_writers_wait),
        T(waiting_calls_can_be_interrupted),
    };

    return cmocka_run_group_tests_name("writeback", tests, NULL, NULL);
}
