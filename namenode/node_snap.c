/* The snapshots of a node: what is sent (raft_snap.h), and the swap to what was received. */
#include "namenode/node_impl.h"

#include <errno.h>
#include <inttypes.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/vfs.h"
#include "rpc/conn.h"

enum { SNAP_ERROR_EVERY_S = 60 };

bool node_checkpoint_prepare(struct node *n)
{
    struct fsm_pos pos;

    if (fsm_flushed(n->fsm, &pos) < 0)
        return true;
    if (pos.index + 1000 >= n->applied)
        return true;
    (void)fsm_flush(n->fsm, false);
    return false;
}

int node_checkpoint(struct node *n, const char *dir, struct raft_point *ret_point)
{
    struct fsm_pos pos = fsm_applied(n->fsm);
    int r = raft_point_at(n->raft, pos.index, ret_point);

    return r < 0 ? r : fsm_checkpoint(n->fsm, dir);
}

int node_view(struct node *n, struct kv **ret_view)
{
    return kv_rocks_view(n->kv, ret_view);
}

static void die_of_damage(void *ctx)
{
    node_die(ctx, "read all of the metadata store", -EBADMSG);
}

void node_checkpoint_is_damaged(struct node *n, const struct raft_point *point)
{
    if (n->is_closing || point->index < n->store_from)
        return; /* It was made of a store that a snapshot has taken the place of since. */
    n->stats.store_damages++;
    if (!node_has_others(n)) { /* What is not damaged is better than nothing. */
        node_note_damage(n);
        return;
    }
    kv_note_damage(n->kv);
    loop_post(n->loop, die_of_damage, n); /* Who asked for the checkpoint is told before. */
}

void node_cancel_damage(struct node *n)
{
    loop_cancel(n->loop, die_of_damage, n);
}

static bool snap_prepare(void *ctx)
{
    return node_checkpoint_prepare(ctx);
}

static int snap_checkpoint(void *ctx, const char *dir, struct raft_point *ret_point)
{
    return node_checkpoint(ctx, dir, ret_point);
}

static bool snap_usable(void *ctx, const struct raft_point *point)
{
    struct node *n = ctx;
    struct raft_point now;

    return raft_point_at(n->raft, point->index, &now) == 0 && now.term == point->term;
}

static void on_snap_ready(void *ctx, struct raft_id peer, const struct raft_point *point)
{
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_READY,
                            .snapshot = {.peer = peer, .point = *point}};

    (void)node_step(ctx, &ev);
}

static void on_snap_failed(void *ctx, struct raft_id peer, int error)
{
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_FAILED, .peer = peer};

    (void)error;
    (void)node_step(ctx, &ev);
}

static void on_snap_damaged(void *ctx, const struct raft_point *point)
{
    node_checkpoint_is_damaged(ctx, point);
}

/* Swaps the store for the received one. Half-way the process ends: CURRENT says which one counts. */
static int install(struct node *n, const struct raft_point *point)
{
    int r;

    if (point->index <= n->applied)
        return -ESTALE;
    node_close_store(n);
    r = data_dir_install(n->dir, point);
    if (r < 0)
        node_die(n, "install a snapshot", r);
    r = node_open_store(n);
    if (r < 0)
        node_die(n, "open the snapshot that was installed", r);
    if (fsm_applied(n->fsm).index != point->index || fsm_applied(n->fsm).term != point->term)
        node_die(n, "open the snapshot that was installed: it is of another point", -EBADMSG);
    r = data_dir_remove_old(n->dir);
    if (r < 0)
        log_warn("the old store cannot be removed", "%s", dfs_strerror(r));
    n->applied = n->store_from = point->index;
    n->stats.snapshots_installed++;
    log_info("snapshot installed", "index=%" PRIu64 " term=%" PRIu64, point->index, point->term);
    return 0;
}

/* It is tried again until somebody does something: once in a while is enough. */
static void tell_snap_error(struct node *n, int error, const struct raft_point *point)
{
    uint64_t now_ns = clock_monotonic_ns(clock_system());

    if (error == n->snap_error && now_ns - n->snap_error_ns < SNAP_ERROR_EVERY_S * CLOCK_NS_PER_S)
        return;
    n->snap_error = error;
    n->snap_error_ns = now_ns;
    log_warn("a snapshot was not installed", "index=%" PRIu64 " %s", point->index,
             dfs_strerror(error));
}

static void on_snap_done(void *ctx, int status, const struct raft_point *point)
{
    struct node *n = ctx;
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_INSTALLED};

    ev.installed = *point;
    n->stats.snapshot_kept_bytes = snap_receiver_kept_bytes(n->snap_receiver);
    if (status == 0)
        status = install(n, point);
    if (status < 0) {
        tell_snap_error(n, status, point);
        ev.type = RAFT_EV_INSTALL_FAILED;
    } else {
        n->snap_error = 0;
    }
    (void)node_step(n, &ev);
}

void node_on_snap_want(struct node *n, struct conn *c, const struct rpc_frame *f)
{
    snap_sender_request(n->snap_sender, c, f);
}

int node_start_snapshots(struct node *n)
{
    struct snap_sender_config sc = {.loop = n->loop,
                                    .rate_bytes = n->conf->snapshot_rate,
                                    .idle_ms = n->conf->snapshot_idle_ms,
                                    .type = MSG_SNAP_WANT,
                                    .checkpoint = snap_checkpoint,
                                    .prepare = snap_prepare,
                                    .usable = snap_usable,
                                    .ready = on_snap_ready,
                                    .verify = kv_rocks_verify,
                                    .failed = on_snap_failed,
                                    .damaged = on_snap_damaged,
                                    .ctx = n};
    struct snap_receiver_config rc = {.loop = n->loop,
                                      .slabs = n->slabs,
                                      .tls = n->tls,
                                      .self = n->conf->id,
                                      .vfs = vfs_posix(),
                                      .spare_bytes = &n->conf->snapshot_spare_bytes,
                                      .done = on_snap_done,
                                      .ctx = n};
    int r;

    sc.dir = data_dir_path(n->dir, "snap-out");
    r = snap_sender_new(&sc, &n->snap_sender);
    if (r < 0)
        return r;
    rc.dir = data_dir_path(n->dir, "snap-in");
    return snap_receiver_new(&rc, &n->snap_receiver);
}
