/*
 * Backups for operators (`dfs backup create`), from any namenode: a checkpoint of the state machine,
 * which is sent like one for another namenode (raft_snap.h), file by file, at a limited rate.
 *
 *   BACKUP_POINT ─► (the leader) a round or the lease ─► index: all that was acknowledged is in it
 *   BACKUP_BEGIN ─► applied up to there ─► checkpoint, verified, hashed ─► its point
 *   BACKUP_WANT  ─► manifest, pieces; over any connection, so that one that broke is no harm
 *
 * One backup at a time. Nobody asks for a minute: the checkpoint goes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/mem.h"
#include "namenode/fsm.h"
#include "namenode/kv_rocks.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "namenode/raft_snap.h"
#include "namenode/service.h"
#include "namenode/svc_request.h"
#include "rpc/node.pb-c.h"

struct svc_backup {
    struct services *all;
    struct node *node;
    struct snap_sender *sender;
    struct conn *owner; /* a reference: who takes the backup; NULL: nobody, or it is gone */
    struct svc_request *waiting; /* its BACKUP_BEGIN, until the checkpoint is there */
    uint64_t min_index;
    int64_t time_s; /* when the checkpoint was made */
};

/* The sender knows those who ask as namenodes; here there is one. */
static const struct raft_id the_operator = {1};

/* ---- the checkpoint ---- */

static bool prepare(void *ctx)
{
    struct svc_backup *s = ctx;

    return node_checkpoint_prepare(s->node);
}

static int checkpoint(void *ctx, const char *dir, struct raft_point *ret_point)
{
    struct svc_backup *s = ctx;

    s->time_s = clock_wall_ns(clock_system()) / (int64_t)CLOCK_NS_PER_S;
    return node_checkpoint(s->node, dir, ret_point);
}

static bool usable(void *ctx, const struct raft_point *point)
{
    struct svc_backup *s = ctx;

    return point->index >= s->min_index;
}

static void ready(void *ctx, struct raft_id peer, const struct raft_point *point)
{
    struct svc_backup *s = ctx;
    Dfs__BackupReply reply = DFS__BACKUP_REPLY__INIT;
    struct cluster_rec cluster;

    if (!s->waiting)
        return;
    if (point->index < s->min_index) { /* It was made for somebody who left. */
        snap_sender_want(s->sender, peer);
        return;
    }
    if (fsm_cluster(node_fsm(s->node), &cluster) < 0) {
        svc_request_fail(STEAL(s->waiting), -EAGAIN, "the cluster is not initialised yet");
        return;
    }
    reply.index = point->index;
    reply.term = point->term;
    reply.cluster_uuid = (ProtobufCBinaryData){.data = cluster.uuid, .len = sizeof(cluster.uuid)};
    reply.time_s = s->time_s;
    log_info("a backup is taken", "index=%" PRIu64 " peer=%s", point->index,
             conn_peer_addr(s->waiting->conn));
    svc_request_reply(STEAL(s->waiting), &reply.base);
}

static void failed(void *ctx, struct raft_id peer, int error)
{
    struct svc_backup *s = ctx;

    (void)peer;
    if (!s->waiting)
        return;
    if (error == -EBADMSG)
        svc_request_fail(STEAL(s->waiting), error,
                         "the metadata on the disk of this namenode are damaged: take the backup "
                         "from another one");
    else
        svc_request_fail(STEAL(s->waiting), -EIO, "no checkpoint of the metadata can be made");
}

static void damaged(void *ctx, const struct raft_point *point)
{
    struct svc_backup *s = ctx;

    node_checkpoint_is_damaged(s->node, point);
}

/* ---- requests ---- */

static void set_owner(struct svc_backup *s, struct conn *c)
{
    if (s->owner == c)
        return;
    if (s->owner)
        conn_unref(s->owner);
    s->owner = c ? conn_ref(c) : NULL;
}

static void on_read(void *ctx, int status)
{
    struct svc_request *r = ctx;
    struct svc_backup *s = r->self;
    Dfs__BackupPointReply reply = DFS__BACKUP_POINT_REPLY__INIT;

    if (status < 0) {
        svc_request_fail(r, status, "this namenode could not make sure that it leads");
        return;
    }
    reply.index = node_applied_index(s->node);
    svc_request_reply(r, &reply.base);
}

static void on_point(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_backup *s = self;
    struct svc_request *r = svc_request_new(s->all, s, c, f);

    if (node_read_now(s->node))
        on_read(r, 0);
    else
        node_read(s->node, on_read, r);
}

static void start_if_applied(struct svc_backup *s)
{
    if (s->waiting && node_applied_index(s->node) >= s->min_index)
        snap_sender_want(s->sender, the_operator);
}

static void on_begin(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_backup *s = self;
    Dfs__BackupRequest *m = dfs__backup_request__unpack(NULL, f->header.body_len, f->body);

    if (!m) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "not a BackupRequest");
        return;
    }
    if (s->waiting || (s->owner && s->owner != c)) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, -EBUSY,
                         "another backup is being taken from this namenode");
    } else {
        set_owner(s, c);
        s->min_index = MAX(m->min_index, node_applied_index(s->node));
        s->waiting = svc_request_new(s->all, s, c, f);
        start_if_applied(s);
    }
    dfs__backup_request__free_unpacked(m, NULL);
}

static void on_want(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_backup *s = self;

    if (!s->owner)
        set_owner(s, c); /* Its connection broke, and this is the next. */
    snap_sender_request(s->sender, c, f);
}

/* ---- life ---- */

static void on_applied(void *self, uint64_t index)
{
    struct svc_backup *s = self;

    (void)index;
    start_if_applied(s);
}

static void on_closed(void *self, struct conn *c)
{
    struct svc_backup *s = self;

    snap_sender_closed(s->sender, c);
    if (s->waiting && s->waiting->conn == c)
        svc_request_free(STEAL(s->waiting));
    if (s->owner == c)
        set_owner(s, NULL);
}

static int start(struct services *all, void **ret_self)
{
    struct svc_backup *s = MEM_NEW(struct svc_backup);
    const struct node_conf *conf = services_conf(all);
    struct snap_sender_config sc = {.loop = services_loop(all),
                                    .rate_bytes = conf->snapshot_rate,
                                    .idle_ms = conf->snapshot_idle_ms,
                                    .type = MSG_BACKUP_WANT,
                                    .checkpoint = checkpoint,
                                    .prepare = prepare,
                                    .usable = usable,
                                    .ready = ready,
                                    .verify = kv_rocks_verify,
                                    .failed = failed,
                                    .damaged = damaged,
                                    .ctx = s};
    int r;

    s->all = all;
    s->node = services_node(all);
    sc.dir = node_path(s->node, "backup-out");
    r = snap_sender_new(&sc, &s->sender);
    if (r < 0) {
        free(s);
        return r;
    }
    *ret_self = s;
    return 0;
}

static void stop(void *self)
{
    struct svc_backup *s = self;

    snap_sender_free(s->sender);
    if (s->waiting)
        svc_request_free(s->waiting);
    set_owner(s, NULL);
    free(s);
}

const struct service svc_backup = {
    .name = "backup",
    .handlers = {{MSG_BACKUP_POINT, true, on_point},
                 {MSG_BACKUP_BEGIN, false, on_begin},
                 {MSG_BACKUP_WANT, false, on_want}},
    .start = start,
    .stop = stop,
    .applied = on_applied,
    .closed = on_closed,
};
