/* The follower's half of a snapshot: raft_snap.h has the picture. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "common/worker.h"
#include "namenode/raft_snap.h"
#include "namenode/snap_files.h"
#include "rpc/conn.h"
#include "rpc/node.pb-c.h"

enum {
    PIECE_BYTES = 512 << 10,
    WINDOW = 4, /* pieces asked for and not here yet */
    CALL_MS = 30000,
    RETRY_MS_MIN = 100, /* after a failure; doubled with each in a row */
    RETRY_MS_MAX = 5000,
};

/*
 *   IDLE ─► MANIFEST ─► COMPARING ─► FILE ⇄ CHECKING ─► SYNCING ─► IDLE: done(0)
 *              └─────────────┴─────────┴────────┴──────────┴────► IDLE: done(-errno)
 *
 * COMPARING, CHECKING and SYNCING wait for the worker, MANIFEST and FILE for the leader.
 */
enum receiver_state { RX_IDLE, RX_MANIFEST, RX_COMPARING, RX_FILE, RX_CHECKING, RX_SYNCING };

struct snap_receiver {
    struct snap_receiver_config config;
    char *dir;
    struct worker *worker;
    struct work work;
    bool working;
    enum receiver_state job; /* which one is on the worker; the state may have moved on since */
    struct loop_timer *timer;
    enum receiver_state state;

    char addr[RAFT_ADDR_MAX];
    struct raft_point point;
    struct conn *conn;
    struct snap_files files; /* what the leader has */
    struct snap_files here;  /* what is right already */
    size_t at;               /* file being fetched */
    struct vfs_file *file;
    uint64_t asked, written; /* bytes of it */
    bool goes_on;            /* it had a beginning here already: perhaps that of another file */
    unsigned inflight;
    uint64_t calls[WINDOW]; /* to be forgotten when an attempt ends; of the past ones, some */
    unsigned next_call;
    int result;        /* of the worker's job */
    unsigned failures; /* in a row */
    uint64_t kept_bytes;
};

static void step(struct snap_receiver *r);

static void leave(struct snap_receiver *r)
{
    for (unsigned i = 0; r->conn && i < WINDOW; i++)
        conn_cancel(r->conn, r->calls[i]);
    conn_free(STEAL(r->conn));
    vfs_close(STEAL(r->file));
    snap_files_done(&r->files);
    snap_files_done(&r->here);
    r->inflight = 0;
}

/* Ends the attempt; what was fetched stays for the next. */
static void end(struct snap_receiver *r, int status)
{
    struct raft_point point = r->point;

    leave(r);
    r->state = RX_IDLE;
    r->failures = status < 0 ? r->failures + 1 : 0;
    r->config.done(r->config.ctx, status, &point);
}

static void call(struct snap_receiver *r, Dfs__SnapWant *want, rpc_reply_fn done)
{
    want->index = r->point.index;
    want->term = r->point.term;
    want->replica_id = r->config.self.v;
    r->calls[r->next_call++ % WINDOW] =
        conn_call(r->conn, MSG_SNAP_WANT, &want->base, NULL, CALL_MS, done, r);
}

/* ---- the worker's jobs ---- */

/* What is here already, whole and right; the rest of what does not belong here goes. */
static int compare(struct snap_receiver *r)
{
    int res = vfs_mkdir_all(r->config.vfs, r->dir, 0700);

    if (res == 0)
        res = snap_files_prune(r->config.vfs, r->dir, &r->files);
    return res < 0 ? res : snap_files_scan(r->config.vfs, r->dir, &r->here);
}

static void on_work_run(struct work *work)
{
    struct snap_receiver *r = CONTAINER_OF(work, struct snap_receiver, work);

    switch (r->job) {
    case RX_COMPARING:
        r->result = compare(r);
        break;
    case RX_CHECKING:
        r->result = snap_file_verify(r->config.vfs, r->dir, &r->files.list[r->at]);
        break;
    case RX_SYNCING:
        r->result = snap_files_sync(r->config.vfs, r->dir, &r->files);
        break;
    case RX_IDLE:
    case RX_MANIFEST:
    case RX_FILE:
        r->result = -EINVAL;
        break;
    }
}

static void on_work_done(struct work *work)
{
    struct snap_receiver *r = CONTAINER_OF(work, struct snap_receiver, work);

    r->working = false;
    step(r);
}

static void work_start(struct snap_receiver *r, enum receiver_state state)
{
    r->state = r->job = state;
    r->working = true;
    worker_submit(r->worker, &r->work);
}

/* ---- files ---- */

static void ask_pieces(struct snap_receiver *r);

static void on_piece(void *ctx, int status, const struct rpc_frame *f)
{
    struct snap_receiver *r = ctx;
    Dfs__SnapData *msg;
    uint64_t offset;

    r->inflight--;
    if (status < 0) {
        end(r, status);
        return;
    }
    msg = dfs__snap_data__unpack(NULL, f->header.body_len, f->body);
    if (!msg) {
        end(r, DFS_EPROTO);
        return;
    }
    offset = msg->offset;
    dfs__snap_data__free_unpacked(msg, NULL);
    if (offset != r->written || f->header.data_len == 0 ||
        offset + f->header.data_len > r->files.list[r->at].size) {
        end(r, DFS_EPROTO);
        return;
    }
    status = vfs_pwrite(r->file, f->data_bytes, f->header.data_len, offset);
    if (status < 0) {
        end(r, status);
        return;
    }
    r->written += f->header.data_len;
    ask_pieces(r);
    step(r);
}

static void ask_pieces(struct snap_receiver *r)
{
    struct snap_file *file = &r->files.list[r->at];

    while (r->inflight < WINDOW && r->asked < file->size) {
        Dfs__SnapWant want = DFS__SNAP_WANT__INIT;

        want.file = file->name;
        want.offset = r->asked;
        want.len = (uint32_t)MIN((uint64_t)PIECE_BYTES, file->size - r->asked);
        r->asked += want.len;
        r->inflight++;
        call(r, &want, on_piece);
    }
}

/* Goes on where an earlier attempt ended, or from the start. */
static int open_file(struct snap_receiver *r, bool from_start)
{
    const struct snap_file *want = &r->files.list[r->at];
    const struct snap_file *have = from_start ? NULL : snap_files_find(&r->here, want->name);
    char path[1024];
    int res;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", r->dir, want->name) >= sizeof(path))
        return -ENAMETOOLONG;
    res = vfs_open(r->config.vfs, path, O_RDWR | O_CREAT, 0600, &r->file);
    if (res < 0)
        return res;
    r->asked = have && have->size < want->size ? have->size : 0;
    r->goes_on = r->asked > 0;
    if (!r->goes_on)
        res = vfs_truncate(r->file, 0);
    r->written = r->asked;
    r->state = RX_FILE;
    return res;
}

static void fetch_file(struct snap_receiver *r, bool from_start)
{
    int res = open_file(r, from_start);

    if (res < 0) {
        end(r, res);
        return;
    }
    ask_pieces(r);
    step(r); /* A file may be empty. */
}

static void next_file(struct snap_receiver *r)
{
    for (; r->at < r->files.count; r->at++) {
        const struct snap_file *have = snap_files_find(&r->here, r->files.list[r->at].name);

        if (!have || have->size != r->files.list[r->at].size ||
            have->hash != r->files.list[r->at].hash)
            break;
    }
    if (r->at == r->files.count) {
        work_start(r, RX_SYNCING);
        return;
    }
    fetch_file(r, false);
}

/* ---- manifest ---- */

static void on_refusal_told(void *ctx, int status, const struct rpc_frame *f)
{
    struct snap_receiver *r = ctx;

    (void)status;
    (void)f;
    end(r, -ENOSPC);
}

/* The operator looks at the leader first: it is told what is missing, and then the attempt ends. */
static void refuse(struct snap_receiver *r, uint64_t need_bytes, uint64_t free_bytes)
{
    Dfs__SnapWant want = DFS__SNAP_WANT__INIT;
    char none[] = "";

    want.file = none;
    want.need_bytes = need_bytes;
    want.free_bytes = free_bytes;
    call(r, &want, on_refusal_told);
}

/* Is there room for what is not here yet? Else the attempt is over, or soon will be. */
static bool check_space(struct snap_receiver *r)
{
    struct vfs_space space;
    uint64_t need = *r->config.spare_bytes, kept = 0;
    int res = vfs_space(r->config.vfs, r->dir, &space);

    if (res < 0) {
        end(r, res);
        return false;
    }
    for (size_t i = 0; i < r->files.count; i++) {
        const struct snap_file *have = snap_files_find(&r->here, r->files.list[i].name);
        uint64_t here = MIN(have ? have->size : 0, r->files.list[i].size);
        uint64_t missing = r->files.list[i].size - here;

        kept += here;
        need = missing > UINT64_MAX - need ? UINT64_MAX : need + missing;
    }
    if (space.free_bytes < need) {
        refuse(r, need, space.free_bytes);
        return false;
    }
    r->kept_bytes += kept;
    log_info("a snapshot is being fetched",
             "index=%" PRIu64 " files=%zu bytes=%" PRIu64 " here_already=%" PRIu64, r->point.index,
             r->files.count, need - *r->config.spare_bytes + kept, kept);
    return true;
}

static int take_manifest(struct snap_receiver *r, const struct rpc_frame *f)
{
    Dfs__SnapData *msg = dfs__snap_data__unpack(NULL, f->header.body_len, f->body);
    int res = 0;

    if (!msg)
        return DFS_EPROTO;
    for (size_t i = 0; i < msg->n_files && res == 0; i++)
        res = snap_files_add(&r->files, msg->files[i]->name, msg->files[i]->size,
                             msg->files[i]->hash);
    if (msg->index != r->point.index || msg->term != r->point.term || msg->n_files == 0)
        res = DFS_EPROTO;
    dfs__snap_data__free_unpacked(msg, NULL);
    return res;
}

static void on_manifest(void *ctx, int status, const struct rpc_frame *f)
{
    struct snap_receiver *r = ctx;

    if (status == 0)
        status = take_manifest(r, f);
    if (status < 0)
        end(r, status);
    else
        work_start(r, RX_COMPARING);
}

static void on_conn_closed(void *ctx, struct conn *c, int reason)
{
    struct snap_receiver *r = ctx;

    if (c != r->conn)
        return;
    conn_free(STEAL(r->conn));
    /* With a job on the worker: its end finds the connection gone. */
    if (r->state != RX_IDLE && !r->working)
        end(r, reason < 0 ? reason : -ECONNRESET);
}

static void connect_leader(struct snap_receiver *r)
{
    struct conn_handlers h = {.on_closed = on_conn_closed, .ctx = r};
    Dfs__SnapWant want = DFS__SNAP_WANT__INIT;
    char none[] = "";
    int res;

    res = conn_connect(r->config.loop, r->config.slabs, r->addr, r->config.tls, &h, &r->conn);
    if (res < 0) {
        end(r, res);
        return;
    }
    conn_want_role(r->conn, "namenode");
    want.file = none;
    call(r, &want, on_manifest);
}

/* ---- the machine ---- */

static void step(struct snap_receiver *r)
{
    if (r->state == RX_IDLE)
        return;
    if (r->state == RX_CHECKING && r->result == -EBADMSG && r->goes_on && r->conn) {
        log_info("what was here of a snapshot's file is damaged or of another one: fetched anew",
                 "dir=%s file=%s", r->dir, r->files.list[r->at].name);
        r->result = 0;
        fetch_file(r, true);
        return;
    }
    if (r->result < 0) {
        end(r, r->result);
        return;
    }
    switch (r->state) {
    case RX_IDLE:
    case RX_MANIFEST:
        break;
    case RX_COMPARING:
        if (!r->conn) {
            end(r, -ECONNRESET);
            break;
        }
        if (!check_space(r))
            break;
        r->at = 0;
        next_file(r);
        break;
    case RX_FILE:
        if (r->written < r->files.list[r->at].size)
            break;
        vfs_close(STEAL(r->file));
        work_start(r, RX_CHECKING);
        break;
    case RX_CHECKING:
        if (!r->conn) {
            end(r, -ECONNRESET);
            break;
        }
        r->at++;
        next_file(r);
        break;
    case RX_SYNCING:
        end(r, 0);
        break;
    }
}

static void on_timer(void *ctx)
{
    struct snap_receiver *r = ctx;

    if (r->working) {
        loop_timer_start(r->timer, 10, 0); /* The last attempt is still being left. */
        return;
    }
    leave(r);
    r->result = 0;
    r->state = RX_MANIFEST;
    connect_leader(r);
}

/* Before the next attempt: what failed just now, fails again. */
static uint64_t pause_ms(const struct snap_receiver *r)
{
    uint64_t ms = r->failures > 0 ? RETRY_MS_MIN : 0;

    for (unsigned i = 1; i < r->failures && ms < RETRY_MS_MAX; i++)
        ms *= 2;
    return MIN(ms, (uint64_t)RETRY_MS_MAX);
}

void snap_receiver_fetch(struct snap_receiver *r, const char *addr, const struct raft_point *point)
{
    /* Whatever is under way is of an older offer. */
    if (!r->working)
        leave(r);
    r->state = RX_IDLE;
    r->point = *point;
    (void)snprintf(r->addr, sizeof(r->addr), "%s", addr);
    loop_timer_start(r->timer, pause_ms(r), 0);
}

uint64_t snap_receiver_kept_bytes(const struct snap_receiver *r)
{
    return r->kept_bytes;
}

int snap_receiver_new(const struct snap_receiver_config *config,
                      struct snap_receiver **ret_receiver)
{
    CLEANUP(snap_receiver) struct snap_receiver *r = MEM_NEW(struct snap_receiver);
    int res;

    r->config = *config;
    r->dir = mem_strdup(config->dir);
    r->work = (struct work){.run = on_work_run, .done = on_work_done, .loop = config->loop};
    res = worker_new("dfs-snap-in", &r->worker);
    if (res < 0)
        return res;
    r->timer = loop_timer_new(config->loop, on_timer, r);
    *ret_receiver = STEAL(r);
    return 0;
}

void snap_receiver_free(struct snap_receiver *r)
{
    if (!r)
        return;
    worker_free(r->worker);
    r->state = RX_IDLE;
    while (r->working)
        loop_run_once(r->config.loop, false);
    loop_timer_free(r->timer);
    leave(r);
    free(r->dir);
    free(r);
}
