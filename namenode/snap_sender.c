/* The leader's half of a snapshot: raft_snap.h has the picture. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "common/worker.h"
#include "namenode/kv_rocks.h"
#include "namenode/raft_snap.h"
#include "namenode/snap_files.h"
#include "rpc/conn.h"
#include "rpc/node.pb-c.h"

enum {
    POLL_MS = 20,
    PREPARE_MS_MAX = 10000,
    PEERS_MAX = RAFT_MEMBERS_MAX,
    PIECES_WAITING_MAX = 256,
    REFUSAL_MS = 60000, /* told so long ago: it may have gone, or found room */
};

/*
 *   EMPTY ──want──► PREPARING ──flushed──► READING ──► READY ──idle, or too old──► EMPTY
 *                                             ▲          │
 *                                             └──────────┘ one that has fetched of it begins again
 *
 * READING: on the worker, it is verified and hashed. What rots after that would be sent, refused by
 * its hash and asked for again for ever: so it is read anew for those who come back.
 */
enum sender_state { SENDER_EMPTY, SENDER_PREPARING, SENDER_READING, SENDER_READY };

/* Who has said that the snapshot does not fit on its disk. */
struct refusal {
    struct raft_id peer; /* RAFT_NOBODY: a free place */
    uint64_t need_bytes, free_bytes, told_ns;
};

/* A request that waits for its turn in the rate. */
struct piece {
    struct conn *conn;
    uint64_t rpc_id;
    uint64_t offset;
    uint32_t len;
    char name[SNAP_NAME_MAX];
};

struct snap_sender {
    struct snap_sender_config config;
    char *dir;
    struct worker *worker;
    struct work work;
    struct loop_timer *timer, *piece_timer;
    enum sender_state state;
    struct raft_point point;
    struct snap_files files;
    int result;
    bool is_damaged; /* the result of verifying */
    atomic_bool stop;
    struct raft_id waiting[PEERS_MAX];
    unsigned waiting_count;
    struct raft_id told[PEERS_MAX]; /* that the checkpoint is ready */
    unsigned told_count;
    struct raft_id fed[PEERS_MAX]; /* to whom pieces of it went since it was read */
    unsigned fed_count;
    uint64_t waited_ms, idle_ms;
    uint64_t free_ns; /* when the rate allows the next piece */
    struct piece *pieces;
    size_t piece_count;
    uint64_t sent_count;
    struct refusal refusals[PEERS_MAX];
};

static bool is_in(const struct raft_id *list, unsigned count, struct raft_id peer)
{
    for (unsigned i = 0; i < count; i++) {
        if (list[i].v == peer.v)
            return true;
    }
    return false;
}

/* error 0: it is ready. */
static void answer_all(struct snap_sender *s, int error)
{
    struct raft_id list[PEERS_MAX];
    unsigned count = s->waiting_count;

    memcpy(list, s->waiting, sizeof(list));
    s->waiting_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (error == 0 && !is_in(s->told, s->told_count, list[i]) && s->told_count < PEERS_MAX)
            s->told[s->told_count++] = list[i];
        if (error == 0)
            s->config.ready(s->config.ctx, list[i], &s->point);
        else
            s->config.failed(s->config.ctx, list[i], error);
    }
}

/* Who was offered it and has not fetched it would otherwise ask for it for ever. */
static void tell_gone(struct snap_sender *s)
{
    struct raft_id list[PEERS_MAX];
    unsigned count = s->told_count;

    memcpy(list, s->told, sizeof(list));
    s->told_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!is_in(s->waiting, s->waiting_count, list[i]))
            s->config.failed(s->config.ctx, list[i], -ESTALE);
    }
}

static void drop_checkpoint(struct snap_sender *s)
{
    int r = vfs_remove_all(vfs_posix(), s->dir);

    if (r < 0)
        log_warn("a checkpoint cannot be removed", "dir=%s %s", s->dir, dfs_strerror(r));
    snap_files_done(&s->files);
    s->state = SENDER_EMPTY;
    tell_gone(s);
}

static void on_read_run(struct work *work)
{
    struct snap_sender *s = CONTAINER_OF(work, struct snap_sender, work);
    struct kv_rocks_verify how = {.rate_bytes = s->config.rate_bytes, .stop = &s->stop};

    s->result = s->config.verify ? s->config.verify(s->dir, &how) : 0;
    s->is_damaged = s->result == -EBADMSG;
    if (s->result == 0)
        s->result = snap_files_scan(vfs_posix(), s->dir, &s->files);
}

static void on_read_done(struct work *work)
{
    struct snap_sender *s = CONTAINER_OF(work, struct snap_sender, work);
    struct raft_point point = s->point;

    if (s->result < 0) {
        if (s->is_damaged)
            log_error("a checkpoint is damaged, and is offered to nobody", "dir=%s", s->dir);
        else if (s->result != -ECANCELED)
            log_error("a checkpoint cannot be read", "dir=%s %s", s->dir, dfs_strerror(s->result));
        drop_checkpoint(s);
        answer_all(s, s->result);
        if (s->is_damaged)
            s->config.damaged(s->config.ctx, &point);
        return;
    }
    s->state = SENDER_READY;
    s->idle_ms = 0;
    log_info("snapshot ready", "index=%" PRIu64 " files=%zu", s->point.index, s->files.count);
    answer_all(s, 0);
}

static void read_checkpoint(struct snap_sender *s)
{
    snap_files_done(&s->files);
    s->fed_count = 0;
    s->state = SENDER_READING;
    worker_submit(s->worker, &s->work);
}

static void make_checkpoint(struct snap_sender *s)
{
    int r;

    drop_checkpoint(s);
    r = s->config.checkpoint(s->config.ctx, s->dir, &s->point);
    if (r < 0) {
        log_error("no checkpoint can be made", "dir=%s %s", s->dir, dfs_strerror(r));
        drop_checkpoint(s);
        answer_all(s, r);
        return;
    }
    read_checkpoint(s);
}

static void on_timer(void *ctx)
{
    struct snap_sender *s = ctx;

    switch (s->state) {
    case SENDER_EMPTY:
        if (s->waiting_count > 0) {
            s->state = SENDER_PREPARING;
            s->waited_ms = 0;
        } else {
            loop_timer_stop(s->timer);
        }
        break;
    case SENDER_PREPARING:
        s->waited_ms += POLL_MS;
        if (s->config.prepare(s->config.ctx) || s->waited_ms >= PREPARE_MS_MAX)
            make_checkpoint(s);
        break;
    case SENDER_READING:
        break;
    case SENDER_READY:
        s->idle_ms += POLL_MS;
        if (s->waiting_count > 0) {
            /* The log has gone on since: if the point has left it, another is needed. */
            if (s->config.usable(s->config.ctx, &s->point))
                answer_all(s, 0);
            else
                s->state = SENDER_PREPARING;
            s->idle_ms = s->waited_ms = 0;
        } else if (s->idle_ms >= s->config.idle_ms) {
            drop_checkpoint(s);
        }
        break;
    }
}

void snap_sender_want(struct snap_sender *s, struct raft_id peer)
{
    if (is_in(s->waiting, s->waiting_count, peer) || s->waiting_count == PEERS_MAX)
        return;
    s->waiting[s->waiting_count++] = peer;
    loop_timer_start(s->timer, 0, POLL_MS);
}

/* ---- requests ---- */

struct open_file {
    int fd;
};

static void on_sent(void *ctx)
{
    struct open_file *o = ctx;

    (void)close(o->fd);
    free(o);
}

static void send_manifest(struct snap_sender *s, struct conn *c, uint64_t rpc_id)
{
    Dfs__SnapData msg = DFS__SNAP_DATA__INIT;
    Dfs__SnapFile *files = mem_zalloc(s->files.count + 1, sizeof(*files));
    Dfs__SnapFile **ptrs = mem_zalloc(s->files.count + 1, sizeof(*ptrs));

    for (size_t i = 0; i < s->files.count; i++) {
        dfs__snap_file__init(&files[i]);
        files[i].name = s->files.list[i].name;
        files[i].size = s->files.list[i].size;
        files[i].hash = s->files.list[i].hash;
        ptrs[i] = &files[i];
    }
    msg.index = s->point.index;
    msg.term = s->point.term;
    msg.files = ptrs;
    msg.n_files = s->files.count;
    conn_reply(c, s->config.type, rpc_id, &msg.base, NULL);
    free(files);
    free(ptrs);
}

static void send_piece(struct snap_sender *s, const struct piece *p)
{
    const struct snap_file *file =
        s->state == SENDER_READY ? snap_files_find(&s->files, p->name) : NULL;
    Dfs__SnapData msg = DFS__SNAP_DATA__INIT;
    struct rpc_payload payload = {.file_fd = -1};
    struct open_file *o;
    char path[1024];

    if (!file || p->offset >= file->size) {
        conn_reply_error(p->conn, s->config.type, p->rpc_id, -ESTALE, "no such piece");
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", s->dir, p->name);
    o = MEM_NEW(struct open_file);
    o->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (o->fd < 0) {
        conn_reply_error(p->conn, s->config.type, p->rpc_id, -errno, "%s: %s", p->name,
                         dfs_strerror(-errno));
        free(o);
        return;
    }
    payload.file_fd = o->fd;
    payload.file_offset = p->offset;
    payload.file_len = (size_t)MIN((uint64_t)p->len, file->size - p->offset);
    payload.sent = on_sent;
    payload.sent_ctx = o;
    msg.index = s->point.index;
    msg.term = s->point.term;
    msg.offset = p->offset;
    conn_reply(p->conn, s->config.type, p->rpc_id, &msg.base, &payload);
}

/* Pieces go out in the order in which they were asked for, as the rate allows. */
static void send_pieces(void *ctx)
{
    struct snap_sender *s = ctx;
    uint64_t now_ns = clock_monotonic_ns(clock_system());
    size_t n = 0;

    if (s->free_ns < now_ns)
        s->free_ns = now_ns;
    for (; n < s->piece_count && s->free_ns <= now_ns + 5 * CLOCK_NS_PER_MS; n++) {
        send_piece(s, &s->pieces[n]);
        s->free_ns += s->pieces[n].len * CLOCK_NS_PER_S / s->config.rate_bytes;
        conn_unref(s->pieces[n].conn);
    }
    s->piece_count -= n;
    memmove(s->pieces, s->pieces + n, s->piece_count * sizeof(*s->pieces));
    if (s->piece_count > 0)
        loop_timer_start(s->piece_timer, (s->free_ns - now_ns) / CLOCK_NS_PER_MS, 0);
}

static bool is_current(const struct refusal *f)
{
    return f->peer.v != 0 &&
           clock_monotonic_ns(clock_system()) - f->told_ns < REFUSAL_MS * CLOCK_NS_PER_MS;
}

/* The place of this peer, or one that is free. */
static struct refusal *find_refusal(struct snap_sender *s, struct raft_id peer)
{
    struct refusal *found = NULL;

    for (unsigned i = 0; i < PEERS_MAX; i++) {
        struct refusal *f = &s->refusals[i];

        if (f->peer.v == peer.v)
            return f;
        if (!is_current(f))
            found = f;
    }
    return found;
}

/* Whether what is offered fits: the peer says it when it has compared the manifest with its disk. */
static void note_fit(struct snap_sender *s, const Dfs__SnapWant *want)
{
    struct raft_id peer = {want->replica_id};
    struct refusal *f = peer.v != 0 ? find_refusal(s, peer) : NULL;

    if (!f)
        return;
    if (want->need_bytes == 0) {
        if (*want->file && f->peer.v == peer.v)
            *f = (struct refusal){.peer = RAFT_NOBODY};
        return;
    }
    if (f->peer.v != peer.v || !is_current(f))
        log_warn("a namenode has too little disk space for the snapshot that it needs",
                 "id=%" PRIu64 " need=%" PRIu64 " free=%" PRIu64, peer.v, want->need_bytes,
                 want->free_bytes);
    *f = (struct refusal){peer, want->need_bytes, want->free_bytes,
                          clock_monotonic_ns(clock_system())};
}

bool snap_sender_refused(struct snap_sender *s, struct raft_id peer, uint64_t *ret_need_bytes,
                         uint64_t *ret_free_bytes)
{
    const struct refusal *f = find_refusal(s, peer);

    if (!f || f->peer.v != peer.v || !is_current(f))
        return false;
    *ret_need_bytes = f->need_bytes;
    *ret_free_bytes = f->free_bytes;
    return true;
}

static bool is_fed(const struct snap_sender *s, struct raft_id peer)
{
    return is_in(s->fed, s->fed_count, peer);
}

static void take_request(struct snap_sender *s, struct conn *c, uint64_t rpc_id,
                         const Dfs__SnapWant *want)
{
    struct raft_id peer = {want->replica_id};
    struct piece *p;

    if (s->state != SENDER_READY || want->index != s->point.index || want->term != s->point.term) {
        conn_reply_error(c, s->config.type, rpc_id, -ESTALE,
                         "this snapshot is not there (any more)");
        return;
    }
    s->idle_ms = 0;
    note_fit(s, want);
    if (s->config.verify && !*want->file && is_fed(s, peer)) {
        read_checkpoint(s);
        conn_reply_error(c, s->config.type, rpc_id, -ESTALE, "this snapshot is read once more");
        return;
    }
    if (!*want->file) {
        s->sent_count++;
        send_manifest(s, c, rpc_id);
        return;
    }
    if (s->piece_count == PIECES_WAITING_MAX || strlen(want->file) >= SNAP_NAME_MAX ||
        want->len == 0 || want->len > (1 << 20)) {
        conn_reply_error(c, s->config.type, rpc_id, -EINVAL, "too much at once");
        return;
    }
    if (peer.v != 0 && !is_fed(s, peer) && s->fed_count < PEERS_MAX)
        s->fed[s->fed_count++] = peer;
    p = &s->pieces[s->piece_count++];
    *p = (struct piece){
        .conn = conn_ref(c), .rpc_id = rpc_id, .offset = want->offset, .len = want->len};
    (void)snprintf(p->name, sizeof(p->name), "%s", want->file);
    send_pieces(s);
}

void snap_sender_request(struct snap_sender *s, struct conn *c, const struct rpc_frame *f)
{
    Dfs__SnapWant *want = dfs__snap_want__unpack(NULL, f->header.body_len, f->body);

    if (!want) {
        conn_reply_error(c, s->config.type, f->header.rpc_id, DFS_EPROTO, "not a SnapWant");
        return;
    }
    take_request(s, c, f->header.rpc_id, want);
    dfs__snap_want__free_unpacked(want, NULL);
}

void snap_sender_closed(struct snap_sender *s, struct conn *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->piece_count; i++) {
        if (s->pieces[i].conn == c)
            conn_unref(c);
        else
            s->pieces[kept++] = s->pieces[i];
    }
    s->piece_count = kept;
}

uint64_t snap_sender_sent_count(const struct snap_sender *s)
{
    return s->sent_count;
}

/* ---- */

int snap_sender_new(const struct snap_sender_config *config, struct snap_sender **ret_sender)
{
    CLEANUP(snap_sender) struct snap_sender *s = MEM_NEW(struct snap_sender);
    int r;

    s->config = *config;
    s->dir = mem_strdup(config->dir);
    s->pieces = mem_zalloc(PIECES_WAITING_MAX, sizeof(*s->pieces));
    s->work = (struct work){.run = on_read_run, .done = on_read_done, .loop = config->loop};
    r = worker_new("dfs-snap-out", &s->worker);
    if (r < 0)
        return r;
    s->timer = loop_timer_new(config->loop, on_timer, s);
    s->piece_timer = loop_timer_new(config->loop, send_pieces, s);
    *ret_sender = STEAL(s);
    return 0;
}

static void ignore_peer(void *ctx, struct raft_id peer, int error)
{
    (void)ctx;
    (void)peer;
    (void)error;
}

static void ignore_ready(void *ctx, struct raft_id peer, const struct raft_point *point)
{
    (void)ctx;
    (void)peer;
    (void)point;
}

static void ignore_damage(void *ctx, const struct raft_point *point)
{
    (void)ctx;
    (void)point;
}

void snap_sender_free(struct snap_sender *s)
{
    if (!s)
        return;
    s->config.ready = ignore_ready;
    s->config.failed = ignore_peer;
    s->config.damaged = ignore_damage;
    atomic_store(&s->stop, true);
    worker_free(s->worker);
    while (s->state == SENDER_READING)
        loop_run_once(s->config.loop, false);
    loop_timer_free(s->timer);
    loop_timer_free(s->piece_timer);
    for (size_t i = 0; i < s->piece_count; i++)
        conn_unref(s->pieces[i].conn);
    free(s->pieces);
    if (s->dir)
        drop_checkpoint(s);
    free(s->dir);
    free(s);
}
