/*
 * A follower that fetches a snapshot, at every crash point: the receiver writes to a disk that stops
 * at its first, second, ... call that changes it; then the power fails, or the process alone is
 * killed. What is left is gone on with, half of the time cut off once more. In the end the snapshot
 * is said to be here, and then the power fails: it is.
 *
 * The leader's half is the real one, over loopback. DFS_SEEDS=n: so many seeds for each point,
 * and for every second one names survive in any order.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/slab.h"
#include "common/vfs.h"
#include "common/vfs_fake.h"
#include "namenode/raft_snap.h"
#include "namenode/snap_files.h"
#include "rpc/conn.h"
#include "rpc/server.h"
#include "tests/unit/rpc/scratch.h"

enum { SEEDS = 4, WAIT_S = 60, FILE_COUNT = 4 };

/* Several pieces; one; none; and one that ends with a piece. */
static const struct {
    const char *name;
    size_t size;
} made[FILE_COUNT] = {
    {"000008.sst", 1300000}, {"CURRENT", 16}, {"EMPTY", 0}, {"000009.sst", 524288}};

struct world {
    char *dir;
    struct loop *loop;
    struct slab_pool *slabs;
    struct server *server;
    struct snap_sender *sender;
    bool is_ready;
    struct raft_point point;
    struct snap_files files; /* of the snapshot */

    bool is_done;
    int status;
    uint64_t spare_bytes;
    uint64_t kept_bytes; /* which an attempt did not have to fetch, of all */
    unsigned tries;
};

/* ---- the leader ---- */

static int checkpoint(void *ctx, const char *dir, struct raft_point *ret_point)
{
    uint8_t *bytes = mem_alloc(made[0].size);
    struct world *w = ctx;
    int r = vfs_mkdir_all(vfs_posix(), dir, 0700);

    for (unsigned i = 0; i < FILE_COUNT && r == 0; i++) {
        char path[600];

        for (size_t k = 0; k < made[i].size; k++)
            bytes[k] = (uint8_t)(k * 31 + (k >> 9) * 7 + i);
        (void)snprintf(path, sizeof(path), "%s/%s", dir, made[i].name);
        r = vfs_replace_file(vfs_posix(), path, bytes, made[i].size, 0600);
    }
    free(bytes);
    *ret_point = w->point;
    return r;
}

static bool prepare(void *ctx)
{
    (void)ctx;
    return true;
}

static bool usable(void *ctx, const struct raft_point *point)
{
    (void)ctx;
    (void)point;
    return true;
}

static void ready(void *ctx, struct raft_id peer, const struct raft_point *point)
{
    (void)peer;
    (void)point;
    ((struct world *)ctx)->is_ready = true;
}

static void failed(void *ctx, struct raft_id peer, int error)
{
    (void)ctx;
    (void)peer;
    (void)error;
}

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    snap_sender_request(((struct world *)ctx)->sender, c, f);
}

static void on_closed(void *ctx, struct conn *c, int reason)
{
    (void)reason;
    snap_sender_closed(((struct world *)ctx)->sender, c);
}

static void turn(struct world *w, uint64_t end, const char *what)
{
    if (clock_monotonic_ns(clock_system()) > end)
        fail_msg("waited in vain: %s", what);
    loop_run_once(w->loop, true);
}

static uint64_t wait_end(void)
{
    return clock_monotonic_ns(clock_system()) + WAIT_S * CLOCK_NS_PER_S;
}

static int setup(void **state)
{
    struct world *w = MEM_NEW(struct world);
    struct conn_handlers h = {.on_request = on_request, .on_closed = on_closed, .ctx = w};
    struct server_options o = {.listen_addr = "127.0.0.1:0", .conn_count_max = 64};
    struct snap_sender_config sc = {.rate_bytes = 10ull << 30,
                                    .idle_ms = 3600000,
                                    .type = MSG_SNAP_WANT,
                                    .checkpoint = checkpoint,
                                    .prepare = prepare,
                                    .usable = usable,
                                    .ready = ready,
                                    .failed = failed,
                                    .ctx = w};
    char out[300];

    w->dir = scratch_new();
    w->point = (struct raft_point){.index = 500, .term = 3};
    assert_int_equal(loop_new(&w->loop), 0);
    w->slabs = slab_pool_new(8 << 20);
    (void)snprintf(out, sizeof(out), "%s/snap-out", w->dir);
    sc.loop = w->loop;
    sc.dir = out;
    assert_int_equal(snap_sender_new(&sc, &w->sender), 0);
    assert_int_equal(server_new(w->loop, w->slabs, &o, &h, &w->server), 0);
    snap_sender_want(w->sender, (struct raft_id){2});
    for (uint64_t end = wait_end(); !w->is_ready; turn(w, end, "the checkpoint"))
        continue;
    assert_int_equal(snap_files_scan(vfs_posix(), out, &w->files), 0);
    assert_int_equal(w->files.count, FILE_COUNT);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    server_free(w->server);
    snap_sender_free(w->sender);
    loop_run_once(w->loop, false);
    loop_free(w->loop);
    slab_pool_free(w->slabs);
    snap_files_done(&w->files);
    scratch_free(w->dir);
    free(w);
    return 0;
}

/* ---- the follower ---- */

static void done(void *ctx, int status, const struct raft_point *point)
{
    struct world *w = ctx;

    assert_int_equal(point->index, w->point.index);
    w->is_done = true;
    w->status = status;
}

/* A process that fetches once; its end is that of the attempt. */
static int fetch(struct world *w, struct vfs *vfs)
{
    struct snap_receiver_config rc = {.loop = w->loop,
                                      .slabs = w->slabs,
                                      .self = {2},
                                      .vfs = vfs,
                                      .dir = "/nn/snap-in",
                                      .spare_bytes = &w->spare_bytes,
                                      .done = done,
                                      .ctx = w};
    struct snap_receiver *r;

    w->is_done = false;
    assert_int_equal(snap_receiver_new(&rc, &r), 0);
    snap_receiver_fetch(r, server_addr(w->server), &w->point);
    for (uint64_t end = wait_end(); !w->is_done; turn(w, end, "the end of a fetch"))
        continue;
    w->kept_bytes += snap_receiver_kept_bytes(r);
    w->tries++;
    snap_receiver_free(r);
    return w->status;
}

/* What an earlier snapshot has left: one name is in both, one is not, and there is a directory. */
static void leave_rubbish(struct vfs *vfs)
{
    assert_int_equal(vfs_mkdir_all(vfs, "/nn/snap-in/lost", 0700), 0);
    assert_int_equal(vfs_replace_file(vfs, "/nn/snap-in/lost/x", "x", 1, 0600), 0);
    assert_int_equal(vfs_replace_file(vfs, "/nn/snap-in/000007.sst", "old", 3, 0600), 0);
    assert_int_equal(vfs_replace_file(vfs, "/nn/snap-in/000009.sst", "older", 5, 0600), 0);
}

static void check_all_is_here(struct world *w, struct vfs *vfs)
{
    struct snap_files here = {0};

    assert_int_equal(snap_files_scan(vfs, "/nn/snap-in", &here), 0);
    assert_int_equal(here.count, w->files.count);
    for (size_t i = 0; i < w->files.count; i++) {
        const struct snap_file *f = snap_files_find(&here, w->files.list[i].name);

        assert_non_null(f);
        assert_int_equal(f->size, w->files.list[i].size);
        assert_int_equal(f->hash, w->files.list[i].hash);
    }
    snap_files_done(&here);
}

/* The end of a process, or of the machine. */
static void crash(struct vfs_fake *disk, struct rng *rng)
{
    if (rng_percent(rng, 50))
        vfs_fake_kill(disk);
    else
        vfs_fake_crash(disk, rng);
    vfs_fake_stop_after(disk, UINT64_MAX);
}

static bool crash_and_check(struct world *w, uint64_t cut, uint64_t seed)
{
    CLEANUP(vfs_fake) struct vfs_fake *disk = vfs_fake_new();
    struct vfs *vfs = vfs_fake_vfs(disk);
    struct rng rng;
    bool more;
    int r;

    rng_seed(&rng, seed * 1000003 + cut);
    vfs_fake_set_names_any(disk, seed % 2 == 1);
    leave_rubbish(vfs);
    vfs_fake_stop_after(disk, cut);
    r = fetch(w, vfs);
    more = vfs_fake_is_stopped(disk);
    assert_true(more ? r < 0 : r == 0); /* It never says that all is here when it could not be. */
    if (more) {
        crash(disk, &rng);
        if (rng_percent(&rng, 50)) {
            vfs_fake_stop_after(disk, rng_below(&rng, 30));
            r = fetch(w, vfs);
            crash(disk, &rng);
        }
        assert_int_equal(fetch(w, vfs), 0);
    }
    vfs_fake_crash(disk, &rng);
    check_all_is_here(w, vfs);
    assert_int_equal(fetch(w, vfs), 0); /* Twice is once. */
    check_all_is_here(w, vfs);
    return more;
}

static void every_crash_point_of_a_fetch_is_gone_on_from(void **state)
{
    const char *wanted = getenv("DFS_SEEDS");
    uint64_t seeds = wanted ? strtoull(wanted, NULL, 10) : SEEDS;
    struct world *w = *state;
    bool more = true;
    uint64_t cut;

    for (cut = 0; more; cut++) {
        more = false;
        for (uint64_t seed = 0; seed < seeds; seed++)
            more = crash_and_check(w, cut, seed) || more;
    }
    print_message("# %" PRIu64 " points, %" PRIu64 " disks each, %u attempts, %" PRIu64
                  " MiB not fetched again\n",
                  cut - 1, seeds, w->tries, w->kept_bytes >> 20);
    assert_true(cut > 20);
    assert_true(w->kept_bytes > 0);
}

/* A call that fails once, and the process lives and tries again. What could not be synced the kernel
 * has forgotten, and says of it the next time that it is synced: it has to be fetched again. */
static void a_failed_call_is_a_failed_attempt(void **state)
{
    static const enum vfs_fake_op ops[] = {VFS_FAKE_OPEN, VFS_FAKE_WRITE,    VFS_FAKE_SYNC,
                                           VFS_FAKE_NAME, VFS_FAKE_SYNC_DIR, VFS_FAKE_TRUNCATE};
    struct world *w = *state;

    for (unsigned k = 0; k < ARRAY_COUNT(ops); k++) {
        for (uint64_t after = 0;; after++) {
            CLEANUP(vfs_fake) struct vfs_fake *disk = vfs_fake_new();
            struct vfs *vfs = vfs_fake_vfs(disk);
            uint64_t before;
            int r;

            leave_rubbish(vfs);
            before = vfs_fake_op_count(disk, ops[k]);
            vfs_fake_fail(disk, ops[k], after, EIO, false);
            r = fetch(w, vfs);
            if (vfs_fake_op_count(disk, ops[k]) - before <= after) {
                assert_int_equal(r, 0);
                break;
            }
            /* What cannot be unlinked because it began otherwise is cut and written over. */
            assert_true(r == -EIO || (r == 0 && ops[k] == VFS_FAKE_NAME));
            assert_int_equal(fetch(w, vfs), 0);
            vfs_fake_crash(disk, NULL);
            check_all_is_here(w, vfs);
        }
    }
}

static void a_full_disk_is_told_before_anything_is_fetched(void **state)
{
    CLEANUP(vfs_fake) struct vfs_fake *disk = vfs_fake_new();
    struct vfs *vfs = vfs_fake_vfs(disk);
    struct world *w = *state;
    uint64_t need, avail;

    vfs_fake_set_capacity(disk, 1 << 20);
    assert_int_equal(fetch(w, vfs), -ENOSPC);
    assert_int_equal(vfs_fake_op_count(disk, VFS_FAKE_WRITE), 0);
    assert_true(snap_sender_refused(w->sender, (struct raft_id){2}, &need, &avail));
    assert_true(need > avail && need < (2 << 20));
    vfs_fake_set_capacity(disk, 4 << 20);
    assert_int_equal(fetch(w, vfs), 0);
    vfs_fake_crash(disk, NULL);
    check_all_is_here(w, vfs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_crash_point_of_a_fetch_is_gone_on_from, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_failed_call_is_a_failed_attempt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_before_anything_is_fetched, setup,
                                        teardown),
    };

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_snap_crash", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
