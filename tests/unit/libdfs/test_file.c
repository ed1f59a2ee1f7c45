/* Open files: what is written is read back, published, synced, cut; and what each step costs. */
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
#include "common/slab.h"
#include "libdfs/inode.h"
#include "tests/unit/libdfs/fake_cluster.h"

static const struct ll_cred root = {.kernel_checked = true};

static int set_up(void **state)
{
    *state = cluster_new();
    return 0;
}

static int tear_down(void **state)
{
    cluster_free(*state);
    return 0;
}

/* ---- calls that wait ---- */

struct result {
    struct ll_call call;
    bool done;
    int status;
    struct ll_file *file;
    bool keep_cache;
    struct ll_attr attr;
    uint8_t *bytes;
    size_t len;
};

static void on_open(void *ctx, int status, struct ll_file *file, const struct ll_attr *attr,
                    bool keep_cache)
{
    struct result *r = ctx;

    r->done = true;
    r->status = status;
    r->file = file;
    r->keep_cache = keep_cache;
    if (attr != NULL)
        r->attr = *attr;
}

static void on_status(void *ctx, int status)
{
    struct result *r = ctx;

    assert_false(r->done);
    r->done = true;
    r->status = status;
}

static void on_attr(void *ctx, int status, const struct ll_attr *attr)
{
    struct result *r = ctx;

    r->done = true;
    r->status = status;
    if (status == 0)
        r->attr = *attr;
}

static void on_data(void *ctx, int status, const struct iovec *iov, unsigned count, size_t len)
{
    struct result *r = ctx;
    size_t at = 0;

    assert_false(r->done);
    r->done = true;
    r->status = status;
    if (status < 0)
        return;
    for (unsigned k = 0; k < count; k++) {
        assert_true(at + iov[k].iov_len <= r->len);
        memcpy(r->bytes + at, iov[k].iov_base, iov[k].iov_len);
        at += iov[k].iov_len;
    }
    assert_int_equal(at, len);
    r->len = len;
}

static struct result open_file(struct cluster *c, uint64_t ino, int flags)
{
    struct result r = {0};

    ll_open(&c->ll, &r.call, &root, (struct ino){ino}, flags, on_open, &r);
    cluster_wait(c, &r.done);
    return r;
}

static struct ll_file *create_file(struct cluster *c)
{
    struct result r = {0};

    ll_create(&c->ll, &r.call, &root, (struct ino){1}, "f", 0644, O_RDWR, on_open, &r);
    cluster_wait(c, &r.done);
    assert_int_equal(r.status, 0);
    return r.file;
}

static int put(struct cluster *c, struct ll_file *f, uint64_t offset, const void *bytes, size_t len)
{
    struct result r = {0};
    struct slab *slab = len <= IO_SIZE_MAX ? slab_alloc(c->slabs, len) : NULL;

    if (slab != NULL)
        memcpy(slab->data, bytes, len);
    ll_write(f, &r.call, offset, slab != NULL ? slab->data : bytes, len, slab, on_status, &r);
    cluster_wait(c, &r.done);
    slab_unref(slab);
    return r.status;
}

static int flush(struct cluster *c, struct ll_file *f)
{
    struct result r = {0};

    ll_flush(f, &r.call, on_status, &r);
    cluster_wait(c, &r.done);
    return r.status;
}

static int sync_file(struct cluster *c, struct ll_file *f, bool datasync)
{
    struct result r = {0};

    ll_fsync(f, &r.call, datasync, on_status, &r);
    cluster_wait(c, &r.done);
    return r.status;
}

static struct result get(struct cluster *c, struct ll_file *f, uint64_t offset, size_t len)
{
    struct result r = {.bytes = malloc(len + 1), .len = len};

    ll_read(f, &r.call, offset, len, on_data, &r);
    cluster_wait(c, &r.done);
    return r;
}

static void expect(struct cluster *c, struct ll_file *f, uint64_t offset, const void *bytes,
                   size_t len)
{
    struct result r = get(c, f, offset, len);

    assert_int_equal(r.status, 0);
    assert_int_equal(r.len, len);
    assert_memory_equal(r.bytes, bytes, len);
    free(r.bytes);
}

static int cut(struct cluster *c, struct ll_file *f, uint64_t size)
{
    struct result r = {0};

    ll_truncate(&c->ll, &r.call, &root, ll_file_ino(f), size, on_attr, &r);
    cluster_wait(c, &r.done);
    if (r.status == 0)
        assert_int_equal(r.attr.size, size);
    return r.status;
}

static unsigned total_ops(const struct cluster *c)
{
    return c->dns[0].ops + c->dns[1].ops + c->dns[2].ops;
}

static unsigned total_reads(const struct cluster *c)
{
    return c->dns[0].reads + c->dns[1].reads + c->dns[2].reads;
}

static uint8_t *pattern(size_t len, uint64_t seed)
{
    uint8_t *p = malloc(len);
    struct rng rng;

    rng_seed(&rng, seed);
    rng_bytes(&rng, p, len);
    return p;
}

/* ---- small files ---- */

static void small_file_costs_one_rpc_after_create(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);

    assert_int_equal(put(c, f, 0, "hello", 5), 0);
    expect(c, f, 0, "hello", 5);
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(c->commits, 1);
    assert_int_equal(c->allocs, 0);
    assert_int_equal(total_ops(c), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 5);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.mtime_ns, c->wall_ns);
    expect(c, f, 0, "hello", 5);
    assert_int_equal(flush(c, f), 0); /* Nothing to do: nothing is asked. */
    assert_int_equal(c->commits, 1);
    ll_release(f);
    CLUSTER_UNTIL(c, c->closes == 1);
}

static void small_file_is_overwritten_inline(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t bytes[300];

    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(put(c, f, 0, bytes, 200), 0);
    assert_int_equal(flush(c, f), 0);
    memset(bytes + 100, 'y', 200);
    assert_int_equal(put(c, f, 100, bytes + 100, 200), 0);
    assert_int_equal(flush(c, f), 0);
    expect(c, f, 0, bytes, 300);
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
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(10000, 1);
    uint8_t seen[10000];

    assert_int_equal(put(c, f, 0, bytes, 4000), 0);
    assert_int_equal(flush(c, f), 0);
    assert_true(cluster_file(c, ll_file_ino(f))->attr.is_inline);
    assert_int_equal(put(c, f, 4000, bytes + 4000, 6000), 0);
    expect(c, f, 0, bytes, 10000);
    assert_int_equal(flush(c, f), 0);
    assert_false(cluster_file(c, ll_file_ino(f))->attr.is_inline);
    cluster_content(c, ll_file_ino(f), seen, sizeof(seen));
    assert_memory_equal(seen, bytes, sizeof(seen));
    expect(c, f, 0, bytes, 10000);
    ll_release(f);
    free(bytes);
}

/* Write, wait for nothing, grow while the inline commit is under way. */
static void growing_while_the_commit_flies_loses_nothing(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(9000, 2);
    struct result r = {0};
    uint8_t seen[9000];

    assert_int_equal(put(c, f, 0, bytes, 3000), 0);
    c->hold_nn = true;
    ll_flush(f, &r.call, on_status, &r);
    assert_int_equal(put(c, f, 3000, bytes + 3000, 6000), 0);
    expect(c, f, 0, bytes, 3000);
    cluster_release_nn(c);
    cluster_wait(c, &r.done);
    assert_int_equal(flush(c, f), 0);
    cluster_content(c, ll_file_ino(f), seen, sizeof(seen));
    assert_memory_equal(seen, bytes, sizeof(seen));
    expect(c, f, 0, bytes, 9000);
    ll_release(f);
    free(bytes);
}

static void inline_commit_refused_goes_to_chunks(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t big[8192], seen[8192];

    memset(big, 'b', sizeof(big));
    assert_int_equal(put(c, f, 10, "mine", 4), 0);
    cluster_foreign_write(c, ll_file_ino(f), 0, big, sizeof(big));
    assert_int_equal(flush(c, f), 0);
    memcpy(big + 10, "mine", 4);
    cluster_content(c, ll_file_ino(f), seen, sizeof(seen));
    assert_memory_equal(seen, big, sizeof(seen));
    ll_release(f);
}

/* ---- chunks ---- */

static void big_file_is_written_and_read_back(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    enum { LEN = 5 << 20 };
    uint8_t *bytes = pattern(LEN, 3);
    uint8_t *seen = malloc(LEN);

    for (size_t at = 0; at < LEN; at += 1 << 20)
        assert_int_equal(put(c, f, at, bytes + at, 1 << 20), 0);
    CLUSTER_UNTIL(c, total_ops(c) >= 16); /* Sent without being asked for. */
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(total_ops(c), LEN / CHUNK_OP_MAX);
    assert_int_equal(c->allocs, 1);
    assert_int_equal(c->commits, 1);
    cluster_content(c, ll_file_ino(f), seen, LEN);
    assert_memory_equal(seen, bytes, LEN);
    expect(c, f, 12345, bytes + 12345, 1 << 20);
    assert_int_equal(c->ll.inodes->dirty_bytes, 0);
    assert_int_equal(c->ll.stats.bytes_copied, 0); /* 1 MiB writes keep the caller's slab. */
    ll_release(f);
    free(bytes);
    free(seen);
}

static void small_writes_in_a_row_go_out_as_whole_ops(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    enum { LEN = 2 << 20 };
    uint8_t *bytes = pattern(LEN, 4);
    uint8_t *seen = malloc(LEN);

    for (size_t at = 0; at < LEN; at += 4096)
        assert_int_equal(put(c, f, at, bytes + at, 4096), 0);
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(total_ops(c), LEN / CHUNK_OP_MAX);
    cluster_content(c, ll_file_ino(f), seen, LEN);
    assert_memory_equal(seen, bytes, LEN);
    ll_release(f);
    free(bytes);
    free(seen);
}

static void write_over_a_chunks_end_is_split(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(200000, 5);
    uint64_t at = CHUNK_SIZE - 100001;

    assert_int_equal(put(c, f, at, bytes, 200000), 0);
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.chunk_count, 2);
    assert_int_equal(c->allocs, 1);
    expect(c, f, at, bytes, 200000);
    ll_release(f);
    free(bytes);
}

static void holes_are_zeros_without_a_request(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t zeros[5000] = {0};

    assert_int_equal(put(c, f, 3 * (uint64_t)CHUNK_SIZE, "end", 3), 0);
    assert_int_equal(flush(c, f), 0);
    expect(c, f, CHUNK_SIZE + 77, zeros, sizeof(zeros));
    assert_int_equal(total_reads(c), 0);
    ll_release(f);
}

/* ---- what fsync costs ---- */

static void fdatasync_in_place_is_one_chain_trip(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(100000, 6);
    unsigned ops, syncs;

    assert_int_equal(put(c, f, 0, bytes, 100000), 0);
    assert_int_equal(sync_file(c, f, false), 0);
    ops = total_ops(c);
    syncs = c->dns[0].syncs;
    c->commits = 0;
    for (unsigned k = 0; k < 10; k++) {
        assert_int_equal(put(c, f, 4096 * k, bytes, 4096), 0);
        assert_int_equal(sync_file(c, f, true), 0);
    }
    assert_int_equal(total_ops(c) - ops, 10);
    assert_int_equal(c->dns[0].syncs - syncs, 10);
    assert_int_equal(c->commits, 0);
    assert_int_equal(flush(c, f), 0); /* The time is published now. */
    assert_int_equal(c->commits, 1);
    ll_release(f);
    free(bytes);
}

static void fsync_of_much_is_writes_and_one_sync_for_a_pg(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(1 << 20, 7);

    assert_int_equal(put(c, f, 0, bytes, 1 << 20), 0);
    assert_int_equal(sync_file(c, f, false), 0);
    assert_int_equal(total_ops(c), 5);
    assert_int_equal(c->dns[0].syncs, 1);
    assert_int_equal(c->commits, 1);
    assert_int_equal(sync_file(c, f, false), 0); /* Nothing has changed. */
    assert_int_equal(total_ops(c), 5);
    ll_release(f);
    free(bytes);
}

static void closed_file_is_synced_by_itself(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(20000, 8);

    c->ll.options.flush_age_ms = 40;
    assert_int_equal(put(c, f, 0, bytes, 20000), 0);
    CLUSTER_UNTIL(c, total_ops(c) == 1); /* By age. */
    assert_int_equal(c->dns[0].syncs, 0);
    assert_int_equal(flush(c, f), 0);
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
    uint8_t *bytes = pattern(20000, 9);

    for (unsigned k = 0; k < 3; k++) {
        f[k] = create_file(c);
        assert_int_equal(put(c, f[k], 0, bytes, k == 0 ? 100 : 20000), 0);
    }
    ll_sync_all(&c->ll, &r.call, on_status, &r);
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
    struct ll_file *a = create_file(c);
    struct ll_file *b = open_file(c, ll_file_ino(a).v, O_RDWR).file;
    uint8_t *bytes = pattern(20000, 10);

    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = -ENOSPC;
    assert_int_equal(put(c, a, 0, bytes, 20000), 0);
    assert_int_equal(flush(c, a), -ENOSPC);
    assert_int_equal(flush(c, a), 0);
    assert_int_equal(sync_file(c, b, false), -ENOSPC);
    assert_int_equal(sync_file(c, b, false), 0);
    ll_release(a);
    ll_release(b);
    free(bytes);
}

static void cold_pg_is_one_eio_at_fsync(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(20000, 11);

    assert_int_equal(put(c, f, 0, bytes, 20000), 0);
    assert_int_equal(flush(c, f), 0);
    c->dns[0].fail_ops = 1;
    c->dns[0].fail_code = DFS_ECOLD;
    assert_int_equal(sync_file(c, f, false), -EIO);
    assert_int_equal(sync_file(c, f, false), 0);
    ll_release(f);
    free(bytes);
}

static void no_chunk_to_be_had_is_told(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(20000, 12);

    c->fail_alloc = -ENOSPC;
    assert_int_equal(put(c, f, 0, bytes, 20000), 0);
    assert_int_equal(flush(c, f), -ENOSPC);
    assert_int_equal(put(c, f, 0, bytes, 20000), 0);
    assert_int_equal(flush(c, f), 0);
    ll_release(f);
    free(bytes);
}

static void killed_head_costs_no_error(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    enum { LEN = 3 << 20 };
    uint8_t *bytes = pattern(LEN, 13);
    uint8_t *seen = malloc(LEN);

    for (size_t at = 0; at < LEN; at += 1 << 20)
        assert_int_equal(put(c, f, at, bytes + at, 1 << 20), 0);
    cluster_pass(c, 2);
    cluster_kill_dn(c, 0);
    cluster_set_head(c, 1, false);
    assert_int_equal(sync_file(c, f, false), 0);
    cluster_content(c, ll_file_ino(f), seen, LEN);
    assert_memory_equal(seen, bytes, LEN);
    expect(c, f, 0, bytes, 1 << 20);
    ll_release(f);
    free(bytes);
    free(seen);
}

static void lost_session_is_one_eio(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(20000, 14);

    assert_int_equal(put(c, f, 0, bytes, 20000), 0);
    ll_data_session_lost(&c->ll);
    assert_int_equal(flush(c, f), -EIO);
    assert_int_equal(c->ll.inodes->dirty_bytes, 0);
    ll_release(f);
    free(bytes);
}

/* ---- overlapping and waiting ---- */

/* Two overlapping writes must never be in flight together; the newer one wins. */
static void overwrite_of_flying_bytes_waits(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(40000, 15);
    uint8_t *seen = malloc(40000);
    struct result r = {0};

    c->dns[0].hold_ops = true;
    assert_int_equal(put(c, f, 0, bytes, 20000), 0);
    ll_flush(f, &r.call, on_status, &r);
    CLUSTER_UNTIL(c, total_ops(c) == 1);
    memset(bytes + 5000, 'n', 2000);
    assert_int_equal(put(c, f, 5000, bytes + 5000, 2000), 0);
    expect(c, f, 0, bytes, 20000);
    cluster_pass(c, 20);
    assert_int_equal(total_ops(c), 1);
    cluster_release(c);
    cluster_wait(c, &r.done);
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(total_ops(c), 2);
    cluster_content(c, ll_file_ino(f), seen, 20000);
    assert_memory_equal(seen, bytes, 20000);
    ll_release(f);
    free(bytes);
    free(seen);
}

static void full_buffer_makes_writers_wait(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(1 << 20, 16);
    struct result r = {0};

    c->ll.options.dirty_bytes_max = 3 << 20;
    c->dns[0].hold_ops = true;
    for (uint64_t k = 0; k < 3; k++)
        assert_int_equal(put(c, f, k << 20, bytes, 1 << 20), 0);
    ll_write(f, &r.call, 3 << 20, bytes, 1 << 20, NULL, on_status, &r);
    cluster_pass(c, 50);
    assert_false(r.done);
    assert_int_equal(c->ll.stats.write_waits, 1);
    cluster_release(c);
    cluster_wait(c, &r.done);
    assert_int_equal(r.status, 0);
    assert_int_equal(flush(c, f), 0);
    expect(c, f, 3 << 20, bytes, 1 << 20);
    ll_release(f);
    free(bytes);
}

static void waiting_calls_can_be_interrupted(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(1 << 20, 17);
    struct result w = {0}, s = {0};
    struct result g = {.bytes = malloc(4096), .len = 4096};

    c->ll.options.dirty_bytes_max = 1 << 20;
    c->dns[0].hold_ops = true;
    assert_int_equal(put(c, f, 0, bytes, 1 << 20), 0);
    ll_write(f, &w.call, 1 << 20, bytes, 4096, NULL, on_status, &w);
    ll_fsync(f, &s.call, false, on_status, &s);
    cluster_pass(c, 20);
    assert_false(w.done || s.done);
    w.call.interrupt(&w.call);
    s.call.interrupt(&s.call);
    assert_int_equal(w.status, -EINTR);
    assert_int_equal(s.status, -EINTR);
    cluster_release(c);
    assert_int_equal(flush(c, f), 0);

    for (unsigned k = 0; k < FAKE_DNS; k++)
        c->dns[k].silent_reads = 1;
    ll_read(f, &g.call, 0, 4096, on_data, &g);
    cluster_pass(c, 10);
    assert_false(g.done);
    g.call.interrupt(&g.call);
    assert_int_equal(g.status, -EINTR);
    ll_release(f);
    free(g.bytes);
    free(bytes);
}

/* ---- truncate ---- */

static void truncate_zeroes_the_tail_before_the_file_grows(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(100000, 18);

    assert_int_equal(put(c, f, 0, bytes, 100000), 0);
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(cut(c, f, 50001), 0);
    assert_int_equal(c->trunc_dones, 1);
    assert_int_equal(c->dns[0].truncs, 1);
    assert_int_equal(cut(c, f, 100000), 0);
    memset(bytes + 50001, 0, 49999);
    expect(c, f, 0, bytes, 100000);
    ll_release(f);
    free(bytes);
}

static void truncate_of_unsent_bytes_cuts_them(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(100000, 19);
    uint8_t *seen = malloc(100000);

    assert_int_equal(put(c, f, 0, bytes, 100000), 0);
    assert_int_equal(cut(c, f, 30000), 0);
    assert_int_equal(put(c, f, 60000, bytes + 60000, 100), 0);
    memset(bytes + 30000, 0, 30000);
    expect(c, f, 0, bytes, 60100);
    assert_int_equal(flush(c, f), 0);
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
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(100000, 20);
    struct result r = {0}, t = {0};

    c->dns[0].hold_ops = true;
    assert_int_equal(put(c, f, 0, bytes, 100000), 0);
    ll_flush(f, &r.call, on_status, &r);
    CLUSTER_UNTIL(c, total_ops(c) == 1);
    ll_truncate(&c->ll, &t.call, &root, ll_file_ino(f), 10, on_attr, &t);
    cluster_pass(c, 20);
    assert_int_equal(c->truncates, 0);
    cluster_release(c);
    cluster_wait(c, &t.done);
    cluster_wait(c, &r.done);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 10);
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 10);
    expect(c, f, 0, bytes, 10);
    ll_release(f);
    free(bytes);
}

static void inline_file_is_extended_beyond_inline(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t seen[20000] = {0};

    assert_int_equal(put(c, f, 0, "small", 5), 0);
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(cut(c, f, 20000), 0);
    memcpy(seen, "small", 5);
    expect(c, f, 0, seen, sizeof(seen));
    cluster_content(c, ll_file_ino(f), seen, sizeof(seen));
    assert_memory_equal(seen, "small", 6);
    ll_release(f);
}

/* Another client died between the cut and the zeroing. */
static void foreign_tail_is_zeroed_before_writing(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    uint8_t *bytes = pattern(100000, 21);
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, 100000);
    ff->attr.size = 1000;
    ff->tail.chunk_id = ff->chunks[0].id;
    ff->tail.pg = ff->chunks[0].pg;
    ff->tail.from = 1000;
    f = open_file(c, ff->ino, O_RDWR).file;
    assert_int_equal(put(c, f, 5000, "x", 1), 0);
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(c->trunc_dones, 1);
    memset(bytes + 1000, 0, 4000);
    bytes[5000] = 'x';
    expect(c, f, 0, bytes, 5001);

    /* The same, found only when growing. */
    ff->tail.chunk_id = ff->chunks[0].id;
    ff->tail.from = 5001;
    assert_int_equal(cut(c, f, 9000), 0);
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
    r = open_file(c, ff->ino, O_WRONLY | O_TRUNC);
    assert_int_equal(r.status, 0);
    assert_int_equal(r.attr.size, 0);
    assert_int_equal(c->truncates, 1);
    ll_release(r.file);
    r = open_file(c, ff->ino, O_WRONLY | O_TRUNC);
    assert_int_equal(c->truncates, 1); /* It is empty: nothing to cut. */
    ll_release(r.file);
}

/* ---- several clients ---- */

static void next_open_sees_what_others_closed(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    uint8_t *bytes = pattern(50000, 22);
    struct result r;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, 50000);
    r = open_file(c, ff->ino, O_RDWR);
    assert_false(r.keep_cache);
    expect(c, r.file, 0, bytes, 50000);
    ll_release(r.file);

    r = open_file(c, ff->ino, O_RDWR);
    assert_true(r.keep_cache);
    assert_int_equal(put(c, r.file, 0, bytes + 1, 100), 0);
    assert_int_equal(flush(c, r.file), 0);
    ll_release(r.file);

    r = open_file(c, ff->ino, O_RDONLY); /* Only our own change came between. */
    assert_true(r.keep_cache);
    ll_release(r.file);

    cluster_foreign_write(c, (struct ino){ff->ino}, 10, "other", 5);
    r = open_file(c, ff->ino, O_RDONLY);
    assert_false(r.keep_cache);
    memmove(bytes, bytes + 1, 100);
    memcpy(bytes + 10, "other", 5);
    expect(c, r.file, 0, bytes, 50000);
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
    r = open_file(c, ff->ino, O_RDONLY);
    expect(c, r.file, 0, "one", 3);
    cluster_foreign_write(c, (struct ino){ff->ino}, 3, "two", 3);
    ll_attr_from_wire(&ff->attr, &attr);
    inode_see_attr(&c->ll, &attr);
    expect(c, r.file, 0, "onetwo", 6);
    ll_release(r.file);
    CLUSTER_UNTIL(c, ff->opens == 0);
}

/* ---- attributes ---- */

static void attributes_show_unflushed_writes(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    struct ll_attr attr;

    assert_int_equal(put(c, f, 0, "abc", 3), 0);
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
    struct ll_file *f = create_file(c);

    assert_int_equal(put(c, f, 0, "abc", 3), 0);
    (void)inode_mtime_override(&c->ll, ll_file_ino(f));
    cluster_file(c, ll_file_ino(f))->attr.mtime_ns = 42;
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.mtime_ns, 42);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 3);
    c->wall_ns++;
    assert_int_equal(put(c, f, 0, "d", 1), 0); /* But a later write has its own time. */
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.mtime_ns, c->wall_ns);
    ll_release(f);
}

static void append_goes_to_the_end(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, "abc", 3);
    f = open_file(c, ff->ino, O_RDWR | O_APPEND).file;
    assert_int_equal(put(c, f, 0, "def", 3), 0);
    assert_int_equal(put(c, f, 0, "ghi", 3), 0);
    expect(c, f, 0, "abcdefghi", 9);
    ll_release(f);
}

static void unlinked_file_closes_without_error(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);

    assert_int_equal(put(c, f, 0, "abc", 3), 0);
    cluster_file(c, ll_file_ino(f))->gone = true;
    assert_int_equal(flush(c, f), 0);
    expect(c, f, 0, "abc", 3);
    cluster_file(c, ll_file_ino(f))->gone = false;
    ll_release(f);
}

/* ---- fallocate ---- */

static int allocate(struct cluster *c, struct ll_file *f, int mode, uint64_t offset, uint64_t len)
{
    struct result r = {0};

    ll_fallocate(f, &r.call, mode, offset, len, on_status, &r);
    cluster_wait(c, &r.done);
    return r.status;
}

static void fallocate_extends_and_punches(void **state)
{
    struct cluster *c = *state;
    struct ll_file *f = create_file(c);
    uint8_t *bytes = pattern(50000, 23);

    assert_int_equal(allocate(c, f, 0, 0, 20000), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 20000);
    assert_int_equal(allocate(c, f, FALLOC_FL_KEEP_SIZE, 0, 90000), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 20000);
    assert_int_equal(put(c, f, 0, bytes, 50000), 0);
    assert_int_equal(allocate(c, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10000, 1 << 30), 0);
    memset(bytes + 10000, 0, 40000);
    expect(c, f, 0, bytes, 50000);
    assert_int_equal(flush(c, f), 0);
    assert_int_equal(cluster_file(c, ll_file_ino(f))->attr.size, 50000);
    assert_int_equal(allocate(c, f, FALLOC_FL_ZERO_RANGE, 60000, 10), 0);
    assert_int_equal(inode_size(inode_find(&c->ll, ll_file_ino(f))), 60010);
    assert_int_equal(allocate(c, f, FALLOC_FL_COLLAPSE_RANGE, 0, 10), -EOPNOTSUPP);
    ll_release(f);
    free(bytes);
}

/* ---- read-ahead ---- */

static void sequential_reader_is_fed_ahead(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    enum { LEN = 20 << 20, STEP = 128 << 10 };
    uint8_t *bytes = pattern(LEN, 24);
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, LEN);
    f = open_file(c, ff->ino, O_RDONLY).file;
    for (size_t at = 0; at < LEN; at += STEP)
        expect(c, f, at, bytes + at, STEP);
    /* One for each MiB, and the first before it was known; a busy machine may ask twice. */
    assert_true(total_reads(c) <= 22 + c->ll.stats.read_hedges + c->ll.stats.read_retries);
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
    uint8_t *bytes = pattern(LEN, 25);
    struct ll_file *f;

    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, LEN);
    f = open_file(c, ff->ino, O_RDWR).file;
    expect(c, f, 0, bytes, 4096);
    expect(c, f, 4096, bytes + 4096, 4096);
    CLUSTER_UNTIL(c, c->ll.inodes->cache_bytes > 0 && dn_pool_busy(c->ll.dns) == 0);
    memset(bytes + (3 << 20), 'w', 5000);
    assert_int_equal(put(c, f, 3 << 20, bytes + (3 << 20), 5000), 0);
    expect(c, f, (3 << 20) - 100, bytes + (3 << 20) - 100, 8000);
    assert_int_equal(flush(c, f), 0);
    expect(c, f, (3 << 20) - 100, bytes + (3 << 20) - 100, 8000);
    ll_release(f);
    free(bytes);
}

static void readahead_memory_is_bounded(void **state)
{
    struct cluster *c = *state;
    struct fake_file *ff = cluster_add_file(c, 0);
    enum { LEN = 12 << 20 };
    uint8_t *bytes = pattern(LEN, 26);
    struct ll_file *f;

    c->ll.options.readahead_bytes_max = 2 << 20;
    cluster_foreign_write(c, (struct ino){ff->ino}, 0, bytes, LEN);
    f = open_file(c, ff->ino, O_RDONLY).file;
    for (size_t at = 0; at < LEN; at += 256 << 10) {
        expect(c, f, at, bytes + at, 256 << 10);
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
    assert_int_equal(put(m->c, m->f, offset, m->bytes + offset, len), 0);
}

static void model_read(struct model *m)
{
    uint64_t offset = rng_below(&m->rng, SPACE);
    size_t len = 1 + rng_below(&m->rng, SPACE - offset);
    size_t want = m->size > offset ? MIN(len, (size_t)(m->size - offset)) : 0;
    struct result r = get(m->c, m->f, offset, len);

    assert_int_equal(r.status, 0);
    assert_int_equal(r.len, want);
    assert_memory_equal(r.bytes, m->bytes + offset, want);
    free(r.bytes);
}

static void model_cut(struct model *m)
{
    uint64_t size = rng_below(&m->rng, rng_percent(&m->rng, 30) ? 4000 : SPACE);

    assert_int_equal(cut(m->c, m->f, size), 0);
    if (size < m->size)
        memset(m->bytes + size, 0, SPACE - size);
    m->size = size;
}

static void model_reopen(struct model *m)
{
    uint64_t ino = ll_file_ino(m->f).v;

    assert_int_equal(flush(m->c, m->f), 0);
    ll_release(m->f);
    m->f = open_file(m->c, ino, O_RDWR).file;
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

    assert_int_equal(allocate(m->c, m->f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len),
                     0);
    memset(m->bytes + offset, 0, len);
}

static void run_model(struct cluster *c, uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));
    uint8_t *seen = malloc(SPACE);

    m->c = c;
    m->f = create_file(c);
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
            assert_int_equal(sync_file(c, m->f, rng_percent(&m->rng, 50)), 0);
        else if (dice < 86)
            model_reopen(m);
        else if (dice < 88)
            model_punch(m);
        else if (dice < 94)
            model_fault(m);
        else
            cluster_pass(c, 1);
    }
    assert_int_equal(flush(c, m->f), 0);
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(small_file_costs_one_rpc_after_create),
        T(small_file_is_overwritten_inline),
        T(growing_file_leaves_inline),
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
        T(killed_head_costs_no_error),
        T(lost_session_is_one_eio),
        T(overwrite_of_flying_bytes_waits),
        T(full_buffer_makes_writers_wait),
        T(waiting_calls_can_be_interrupted),
        T(truncate_zeroes_the_tail_before_the_file_grows),
        T(truncate_of_unsent_bytes_cuts_them),
        T(truncate_waits_for_what_flies),
        T(inline_file_is_extended_beyond_inline),
        T(foreign_tail_is_zeroed_before_writing),
        T(open_with_trunc_empties),
        T(next_open_sees_what_others_closed),
        T(growth_seen_by_getattr_can_be_read),
        T(attributes_show_unflushed_writes),
        T(utimens_after_write_wins),
        T(append_goes_to_the_end),
        T(unlinked_file_closes_without_error),
        T(fallocate_extends_and_punches),
        T(sequential_reader_is_fed_ahead),
        T(own_write_replaces_what_was_fetched),
        T(readahead_memory_is_bounded),
        cmocka_unit_test(behaves_like_a_byte_array_under_faults),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
