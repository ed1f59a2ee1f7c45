/*
 * What every replica answers: is it there, how does it stand; and the operator's wish for another
 * leader. Also publishes the figures of the node and its log as metrics.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/raft_log.h"
#include "namenode/service.h"
#include "rpc/node.pb-c.h"

enum { PUBLISH_MS = 100 };

struct figure {
    const char *name;
    const char *help;
    uint64_t (*read)(struct node *n);
    bool is_gauge;
};

static uint64_t term(struct node *n)
{
    return node_term(n);
}
static uint64_t commit_index(struct node *n)
{
    return node_commit_index(n);
}
static uint64_t applied_index(struct node *n)
{
    return node_applied_index(n);
}
static uint64_t proposals(struct node *n)
{
    return node_stats(n)->proposals;
}
static uint64_t batches(struct node *n)
{
    return node_stats(n)->batches;
}
static uint64_t applied_ops(struct node *n)
{
    return node_stats(n)->applied_ops;
}
static uint64_t reads_lease(struct node *n)
{
    return node_stats(n)->reads_lease;
}
static uint64_t reads_round(struct node *n)
{
    return node_stats(n)->reads_round;
}
static uint64_t leader_changes(struct node *n)
{
    return node_stats(n)->leader_changes;
}
static uint64_t snapshots_installed(struct node *n)
{
    return node_stats(n)->snapshots_installed;
}
static uint64_t scrubs(struct node *n)
{
    return node_stats(n)->scrubs;
}
static uint64_t scrub_ended(struct node *n)
{
    return node_stats(n)->scrub_ended_s;
}
static uint64_t scrub_bytes(struct node *n)
{
    return node_stats(n)->scrub_bytes;
}
static uint64_t store_damages(struct node *n)
{
    return node_stats(n)->store_damages;
}
static uint64_t log_syncs(struct node *n)
{
    return node_log_stats(n)->syncs;
}
static uint64_t log_bytes(struct node *n)
{
    return node_log_stats(n)->bytes;
}
static uint64_t log_entries(struct node *n)
{
    return node_log_stats(n)->entries;
}
static uint64_t log_sync_ns(struct node *n)
{
    return node_log_stats(n)->sync_ns;
}
static uint64_t is_serving(struct node *n)
{
    return node_is_serving(n);
}
static uint64_t has_leader(struct node *n)
{
    return node_leader(n).v != 0;
}

static uint64_t cache(struct node *n)
{
    return node_memory(n)->store.cache;
}
static uint64_t cache_max(struct node *n)
{
    return node_memory(n)->store.cache_max;
}
static uint64_t cache_pinned(struct node *n)
{
    return node_memory(n)->store.cache_pinned;
}
static uint64_t memtables(struct node *n)
{
    return node_memory(n)->store.memtables;
}
static uint64_t memtables_max(struct node *n)
{
    return node_memory(n)->store.memtables_max;
}
static uint64_t table_readers(struct node *n)
{
    return node_memory(n)->store.table_readers;
}
static uint64_t tables(struct node *n)
{
    return node_memory(n)->store.tables;
}
static uint64_t records(struct node *n)
{
    return node_memory(n)->records;
}
static uint64_t records_max(struct node *n)
{
    return node_memory(n)->records_max;
}
static uint64_t log_cache(struct node *n)
{
    return node_memory(n)->log_entries;
}
static uint64_t log_cache_max(struct node *n)
{
    return node_memory(n)->log_entries_max;
}
static uint64_t inodes(struct node *n)
{
    return fsm_state(node_fsm(n))->inode_count;
}

static const struct figure figures[] = {
    {"dfs_raft_term", "the Raft term", term, true},
    {"dfs_raft_commit_index", "last entry known to be committed", commit_index, true},
    {"dfs_raft_applied_index", "last entry in the state machine", applied_index, true},
    {"dfs_namenode_serving", "1 on the leader that answers clients", is_serving, true},
    {"dfs_namenode_has_leader", "1 when a leader is known", has_leader, true},
    {"dfs_meta_proposals_total", "requests given to the log", proposals, false},
    {"dfs_meta_batches_total", "log entries that they became", batches, false},
    {"dfs_meta_applied_total", "requests executed by the state machine", applied_ops, false},
    {"dfs_meta_reads_lease_total", "reads that the lease allowed at once", reads_lease, false},
    {"dfs_meta_reads_round_total", "reads that waited for a round of heartbeats", reads_round,
     false},
    {"dfs_raft_leader_changes_total", "changes of the leader seen here", leader_changes, false},
    {"dfs_raft_snapshots_installed_total", "snapshots fetched and installed", snapshots_installed,
     false},
    {"dfs_store_scrubs_total", "all of the metadata store was read and checked", scrubs, false},
    {"dfs_store_scrub_ended_seconds", "when that was so last, in Unix time; 0: not since the start",
     scrub_ended, true},
    {"dfs_store_scrub_bytes", "the tables that were read then", scrub_bytes, true},
    {"dfs_store_damages_total", "the store was found damaged, by a scrub, snapshot or backup",
     store_damages, false},
    {"dfs_log_syncs_total", "syncs of the Raft log", log_syncs, false},
    {"dfs_log_bytes_total", "bytes written to the Raft log", log_bytes, false},
    {"dfs_log_entries_total", "entries appended to the Raft log", log_entries, false},
    {"dfs_log_sync_ns_total", "nanoseconds spent writing and syncing the Raft log", log_sync_ns,
     false},
    {"dfs_meta_inodes", "files, directories and the like", inodes, true},
    {"dfs_store_cache_bytes", "RocksDB's block cache", cache, true},
    {"dfs_store_cache_max_bytes", "what `cache` allows", cache_max, true},
    {"dfs_store_cache_pinned_bytes", "of the block cache: cannot be put out now", cache_pinned,
     true},
    {"dfs_store_memtable_bytes", "RocksDB's memtables", memtables, true},
    {"dfs_store_memtable_max_bytes", "what `memtable` allows", memtables_max, true},
    {"dfs_store_table_reader_bytes", "of open tables, outside the block cache", table_readers,
     true},
    {"dfs_store_table_bytes", "tables on the disk", tables, true},
    {"dfs_record_cache_bytes", "inodes and names before RocksDB", records, true},
    {"dfs_record_cache_max_bytes", "what `record_cache` allows", records_max, true},
    {"dfs_log_cache_bytes", "recent log entries in memory", log_cache, true},
    {"dfs_log_cache_max_bytes", "what `log_cache` allows", log_cache_max, true},
};
enum { FIGURE_COUNT = ARRAY_COUNT(figures) };

struct svc_status {
    struct services *all;
    struct node *node;
    struct loop_timer *timer;
    struct metric *metrics[FIGURE_COUNT];
    uint64_t last[FIGURE_COUNT];
};

static void publish(void *ctx)
{
    struct svc_status *s = ctx;

    for (unsigned i = 0; i < FIGURE_COUNT; i++) {
        uint64_t v = figures[i].read(s->node);

        if (figures[i].is_gauge)
            metric_set(s->metrics[i], (int64_t)v);
        else if (v != s->last[i])
            metric_add(s->metrics[i], v - s->last[i]);
        s->last[i] = v;
    }
}

static int status_start(struct services *all, void **ret_self)
{
    struct svc_status *s = MEM_NEW(struct svc_status);
    struct metrics *m = services_metrics(all);

    s->all = all;
    s->node = services_node(all);
    for (unsigned i = 0; i < FIGURE_COUNT; i++)
        s->metrics[i] = figures[i].is_gauge ? metrics_gauge(m, figures[i].name, figures[i].help)
                                            : metrics_counter(m, figures[i].name, figures[i].help);
    s->timer = loop_timer_new(services_loop(all), publish, s);
    loop_timer_start(s->timer, 0, PUBLISH_MS);
    *ret_self = s;
    return 0;
}

static void status_stop(void *self)
{
    struct svc_status *s = self;

    loop_timer_free(s->timer);
    free(s);
}

static void on_ping(void *self, struct conn *c, const struct rpc_frame *f)
{
    (void)self;
    conn_reply(c, f->header.type, f->header.rpc_id, NULL, NULL);
}

static void on_status(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_status *s = self;
    Dfs__StatusReply reply = DFS__STATUS_REPLY__INIT;
    struct raft_status st;
    struct cluster_rec cluster;
    char role[32], addr[RAFT_ADDR_MAX];

    node_raft_status(s->node, &st);
    (void)snprintf(role, sizeof(role), "%s", raft_role_name(st.role));
    (void)snprintf(addr, sizeof(addr), "%s", node_leader_addr(s->node));
    reply.replica_id = st.id.v;
    reply.role = role;
    reply.leader_id = st.leader.v;
    reply.leader_addr = addr;
    reply.term = st.term;
    reply.last_index = st.last_index;
    reply.commit_index = st.commit_index;
    reply.applied_index = node_applied_index(s->node);
    reply.serving = node_is_serving(s->node);
    if (fsm_cluster(node_fsm(s->node), &cluster) == 0)
        reply.cluster_uuid =
            (ProtobufCBinaryData){.data = cluster.uuid, .len = sizeof(cluster.uuid)};
    conn_reply(c, f->header.type, f->header.rpc_id, &reply.base, NULL);
}

static void on_transfer(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_status *s = self;
    Dfs__TransferRequest *req;
    struct raft_id to;
    int r;

    req = dfs__transfer_request__unpack(NULL, f->header.body_len, f->body);
    if (!req) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "not a TransferRequest");
        return;
    }
    to.v = req->to_replica;
    dfs__transfer_request__free_unpacked(req, NULL);
    r = node_transfer(s->node, to);
    if (r == DFS_ENOTLEADER)
        services_reply_not_leader(s->all, c, f);
    else if (r < 0)
        conn_reply_error(c, f->header.type, f->header.rpc_id, r, "the leadership stays: %s",
                         dfs_strerror(r));
    else
        conn_reply(c, f->header.type, f->header.rpc_id, NULL, NULL);
}

static void on_member(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_status *s = self;
    Dfs__MemberRequest *req = dfs__member_request__unpack(NULL, f->header.body_len, f->body);
    struct raft_id id;
    int r;

    if (!req) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "not a MemberRequest");
        return;
    }
    id.v = req->replica_id;
    r = *req->addr ? node_add_member(s->node, id, req->addr) : node_remove_member(s->node, id);
    dfs__member_request__free_unpacked(req, NULL);
    if (r == DFS_ENOTLEADER)
        services_reply_not_leader(s->all, c, f);
    else if (r < 0)
        conn_reply_error(c, f->header.type, f->header.rpc_id, r, "the members stay: %s",
                         dfs_strerror(r));
    else
        conn_reply(c, f->header.type, f->header.rpc_id, NULL, NULL);
}

const struct service svc_status = {
    .name = "status",
    .handlers = {{MSG_PING, false, on_ping},
                 {MSG_STATUS, false, on_status},
                 {MSG_TRANSFER, false, on_transfer},
                 {MSG_MEMBER, true, on_member}},
    .start = status_start,
    .stop = status_stop,
};
