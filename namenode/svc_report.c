/* REPORT: how the cluster is, for operators: namenodes, targets, placement groups, damage, counts.
 */
#include "namenode/svc_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "namenode/datanodes.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "namenode/service.h"
#include "namenode/svc_datanode.h"

enum { NAMENODES_MAX = RAFT_MEMBERS_MAX, BAD_MAX = 64, SILENT_MS = 2000 };

struct svc_report {
    struct services *all;
};

struct namenode_slot {
    Dfs__NamenodeInfo info;
    char problem[160];
};

/* What the leader knows of another one. */
static void fill_peer(struct node *node, const struct raft_peer_status *p, uint64_t now_ns,
                      struct namenode_slot *slot)
{
    uint64_t ago_ns = now_ns - MIN(now_ns, (uint64_t)p->acked_ns);
    char need_text[STR_SIZE_MAX], free_text[STR_SIZE_MAX];
    uint64_t need, available;

    slot->info.match_index = p->match_index;
    slot->info.heard_ms = ago_ns / CLOCK_NS_PER_MS;
    slot->info.alive = p->acked_ns != 0 && ago_ns < SILENT_MS * CLOCK_NS_PER_MS;
    slot->info.needs_snapshot = strcmp(p->state, "snapshot") == 0;
    if (!slot->info.alive)
        slot->info.role = (char *)(uintptr_t) "unreachable";
    else if (node_snapshot_is_refused(node, p->id, &need, &available))
        (void)snprintf(slot->problem, sizeof(slot->problem),
                       "too little disk space for the metadata that it has to fetch: needs %s, "
                       "has %s",
                       str_size(need, need_text), str_size(available, free_text));
}

static size_t fill_namenodes(struct svc_report *s, struct namenode_slot *slots,
                             Dfs__NamenodeInfo **ptrs)
{
    struct node *node = services_node(s->all);
    const struct raft_conf *conf = node_raft_conf(node);
    uint64_t now = loop_now_ns(services_loop(s->all));
    struct node_space space;
    struct raft_status st;

    node_raft_status(node, &st);
    for (unsigned i = 0; i < conf->count; i++) {
        const struct raft_member *m = &conf->members[i];
        Dfs__NamenodeInfo *info = &slots[i].info;

        dfs__namenode_info__init(info);
        slots[i].problem[0] = '\0';
        info->problem = slots[i].problem;
        info->replica_id = m->id.v;
        info->addr = (char *)(uintptr_t)m->addr;
        info->voter = m->voter;
        info->role = (char *)(uintptr_t)(m->id.v == node_id(node).v ? "leader"
                                         : m->voter                 ? "follower"
                                                                    : "learner");
        info->alive = m->id.v == node_id(node).v;
        info->match_index = st.last_index;
        for (unsigned k = 0; k < st.peer_count; k++) {
            if (st.peers[k].id.v == m->id.v && m->id.v != node_id(node).v)
                fill_peer(node, &st.peers[k], now, &slots[i]);
        }
        if (node_space_of(node, m->id, &space)) {
            info->bytes_total = space.total_bytes;
            info->bytes_free = space.free_bytes;
            info->short_of_space = space.is_short;
        }
        info->lag = st.last_index - MIN(st.last_index, info->match_index);
        info->format = node_format_of(node, m->id);
        ptrs[i] = info;
    }
    return conf->count;
}

static size_t fill_syncing(struct svc_report *s, const struct cluster_view *view,
                           Dfs__PgProgress *items, Dfs__PgProgress **ptrs)
{
    size_t n = 0;

    for (size_t i = 0; i < view->pg_count; i++) {
        const struct sync_progress *p =
            svc_datanode_progress(svc_datanode_of(s->all), view->pgs[i]->pg);

        if (p == NULL)
            continue;
        dfs__pg_progress__init(&items[n]);
        items[n].pg = view->pgs[i]->pg;
        items[n].bytes_done = p->done;
        items[n].bytes_total = p->total;
        items[n].bytes_per_s = sync_progress_rate(p);
        ptrs[n] = &items[n];
        n++;
    }
    return n;
}

static void fill_counts(struct svc_report *s, Dfs__ReportReply *msg)
{
    struct node *node = services_node(s->all);
    const struct state_rec *st = fsm_state(node_fsm(node));
    struct fsm_space space;

    svc_datanode_space(svc_datanode_of(s->all), &space);
    msg->leader_id = node_id(node).v;
    msg->term = node_term(node);
    msg->commit_index = node_commit_index(node);
    msg->applied_index = node_applied_index(node);
    msg->inode_count = st->inode_count;
    msg->chunk_count = st->chunk_count;
    msg->session_count = st->session_count;
    msg->garbage_chunks = st->garbage_count;
    msg->reaping_inodes = st->reap_count;
    msg->bytes_total = space.bytes_total;
    msg->bytes_free = space.bytes_free;
    msg->format = st->format;
    msg->converting = st->convert.kind != 0;
    msg->serving = node_is_serving(node);
    msg->next_namenode_id = node_next_id(node).v;
}

static void on_report(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_report *s = self;
    Dfs__ReportRequest *m = dfs__report_request__unpack(NULL, f->header.body_len, f->body);
    Dfs__ReportReply msg = DFS__REPORT_REPLY__INIT;
    Dfs__NamenodeInfo *nn_ptrs[NAMENODES_MAX];
    struct namenode_slot nn[NAMENODES_MAX];
    Dfs__PgProgress *sync, **sync_ptrs;
    const Dfs__BadChunkReport *bad[BAD_MAX];
    struct cluster_rec cluster;
    struct cluster_view view;

    if (m == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "the body is not a ReportRequest");
        return;
    }
    svc_datanode_view(svc_datanode_of(s->all), CLUSTER_VIEW_ALL, &view);
    sync = mem_zalloc(view.pg_count + 1, sizeof(*sync));
    sync_ptrs = mem_zalloc(view.pg_count + 1, sizeof(Dfs__PgProgress *));
    fill_counts(s, &msg);
    msg.namenodes = nn_ptrs;
    msg.n_namenodes = fill_namenodes(s, nn, nn_ptrs);
    msg.targets = view.targets;
    msg.n_targets = view.target_count;
    msg.n_syncing = fill_syncing(s, &view, sync, sync_ptrs);
    msg.syncing = sync_ptrs;
    msg.pgs = view.pgs;
    msg.n_pgs = view.pg_count;
    msg.n_bad = svc_datanode_bad(svc_datanode_of(s->all), bad, BAD_MAX);
    msg.bad = (Dfs__BadChunkReport **)(void *)bad;
    if (fsm_cluster(node_fsm(services_node(s->all)), &cluster) == 0) {
        msg.copies = cluster.copies;
        msg.cluster_uuid = (ProtobufCBinaryData){.data = cluster.uuid, .len = sizeof(cluster.uuid)};
    }
    conn_reply(c, f->header.type, f->header.rpc_id, &msg.base, NULL);
    free(sync);
    free(sync_ptrs);
    cluster_view_done(&view);
    dfs__report_request__free_unpacked(m, NULL);
}

static int start(struct services *all, void **ret_self)
{
    struct svc_report *s = MEM_NEW(struct svc_report);

    s->all = all;
    *ret_self = s;
    return 0;
}

static void stop(void *self)
{
    free(self);
}

const struct service svc_report = {
    .name = "report",
    .handlers = {{MSG_REPORT, true, on_report}},
    .start = start,
    .stop = stop,
};
