#include "namenode/service.h"

#include <assert.h>
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
#include "common/metrics.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "namenode/svc_datanode.h"
#include "namenode/svc_map.h"
#include "namenode/svc_meta.h"
#include "namenode/svc_reaper.h"
#include "namenode/svc_report.h"
#include "namenode/svc_session.h"
#include "namenode/svc_target.h"
#include "rpc/node.pb-c.h"
#include "rpc/role.h"
#include "rpc/server.h"

/* In the order of their start: who looks for another at its start stands behind it. */
static const struct service *const all_services[] = {
    &svc_raft,   &svc_status, &svc_session, &svc_datanode, &svc_map,  &svc_meta,
    &svc_reaper, &svc_report, &svc_target,  &svc_backup,   &svc_fsck,
};

enum { SERVICE_COUNT = ARRAY_COUNT(all_services), TYPE_COUNT = 128, CONN_COUNT_MAX = 65536 };

struct entry {
    const struct service_handler *handler; /* NULL: nobody answers this type */
    unsigned service;
    struct metric *requests;
};

struct services {
    struct node *node;
    struct metrics *metrics;
    struct server *server;
    unsigned started;
    void *self[SERVICE_COUNT];
    struct entry entries[TYPE_COUNT];
};

/* ---- requests ---- */

void services_refuse_not_leader(struct services *s, struct conn *c, uint16_t type, uint64_t rpc_id)
{
    Dfs__Error e = DFS__ERROR__INIT;
    char text[] = "this namenode does not lead";
    char addr[RAFT_ADDR_MAX];

    (void)snprintf(addr, sizeof(addr), "%s", node_leader_addr(s->node));
    e.code = DFS_ENOTLEADER;
    e.text = text;
    e.leader_addr = addr;
    conn_reply_error_msg(c, type, rpc_id, &e.base);
}

void services_reply_not_leader(struct services *s, struct conn *c, const struct rpc_frame *f)
{
    services_refuse_not_leader(s, c, f->header.type, f->header.rpc_id);
}

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    struct services *s = ctx;
    struct entry *e = f->header.type < TYPE_COUNT ? &s->entries[f->header.type] : NULL;
    bool wants_reply = !(f->header.flags & FRAME_ONEWAY);

    if (!e || !e->handler) {
        if (wants_reply)
            conn_reply_error(c, f->header.type, f->header.rpc_id, -EOPNOTSUPP,
                             "a namenode does not answer %s (%u)", msg_type_name(f->header.type),
                             f->header.type);
        return;
    }
    metric_inc(e->requests);
    if (!role_may_send(conn_peer_role(c), f->header.type)) {
        log_warn("request refused: not for this role", "type=%s peer=%s name=%s role=%s",
                 msg_type_name(f->header.type), conn_peer_addr(c), conn_peer_name(c),
                 conn_peer_role(c));
        if (wants_reply)
            conn_reply_error(c, f->header.type, f->header.rpc_id, -EACCES,
                             "a certificate of role '%s' may not ask %s", conn_peer_role(c),
                             msg_type_name(f->header.type));
        return;
    }
    if (e->handler->leader_only && !node_is_serving(s->node)) {
        if (wants_reply)
            services_reply_not_leader(s, c, f);
        return;
    }
    e->handler->request(s->self[e->service], c, f);
}

static void on_closed(void *ctx, struct conn *c, int reason)
{
    struct services *s = ctx;

    log_debug("connection closed", "peer=%s name=%s %s", conn_peer_addr(c), conn_peer_name(c),
              dfs_strerror(reason));
    for (unsigned i = 0; i < s->started; i++) {
        if (all_services[i]->closed)
            all_services[i]->closed(s->self[i], c);
    }
}

/* ---- what the node tells ---- */

static void on_serving(void *ctx, uint64_t term)
{
    struct services *s = ctx;

    for (unsigned i = 0; i < s->started; i++) {
        if (all_services[i]->serving)
            all_services[i]->serving(s->self[i], term);
    }
}

static void on_stopped(void *ctx)
{
    struct services *s = ctx;

    for (unsigned i = s->started; i-- > 0;) {
        if (all_services[i]->stopped)
            all_services[i]->stopped(s->self[i]);
    }
}

static void on_applied(void *ctx, uint64_t index)
{
    struct services *s = ctx;

    for (unsigned i = 0; i < s->started; i++) {
        if (all_services[i]->applied)
            all_services[i]->applied(s->self[i], index);
    }
}

static void on_event(void *ctx, const struct fsm_event *event)
{
    struct services *s = ctx;

    for (unsigned i = 0; i < s->started; i++) {
        if (all_services[i]->event)
            all_services[i]->event(s->self[i], event);
    }
}

/* ---- start and end ---- */

static void register_handlers(struct services *s, unsigned number)
{
    const struct service *svc = all_services[number];

    for (unsigned i = 0; i < SERVICE_HANDLERS_MAX && svc->handlers[i].type != 0; i++) {
        const struct service_handler *h = &svc->handlers[i];
        struct entry *e = &s->entries[h->type];
        char name[64];

        assert(h->type < TYPE_COUNT && !e->handler);
        (void)snprintf(name, sizeof(name), "dfs_rpc_requests_total{type=\"%s\"}",
                       msg_type_name(h->type));
        *e = (struct entry){
            .handler = h,
            .service = number,
            .requests = metrics_counter(s->metrics, name, "requests received, by type"),
        };
    }
}

static int start_all(struct services *s)
{
    struct node_watch w = {.serving = on_serving,
                           .stopped = on_stopped,
                           .applied = on_applied,
                           .event = on_event,
                           .ctx = s};

    for (unsigned i = 0; i < SERVICE_COUNT; i++) {
        int r = all_services[i]->start(s, &s->self[i]);

        if (r < 0) {
            log_error("a service cannot start", "service=%s %s", all_services[i]->name,
                      dfs_strerror(r));
            return r;
        }
        s->started++;
        register_handlers(s, i);
    }
    node_watch(s->node, &w);
    return 0;
}

int services_new(struct node *node, struct slab_pool *slabs, struct tls *tls,
                 struct metrics *metrics, struct services **ret_services)
{
    CLEANUP(services) struct services *s = MEM_NEW(struct services);
    const struct node_conf *conf = node_conf_of(node);
    struct server_options o = {
        .listen_addr = conf->listen, .tls = tls, .conn_count_max = CONN_COUNT_MAX};
    struct conn_handlers h = {.on_request = on_request, .on_closed = on_closed, .ctx = s};
    int r;

    s->node = node;
    s->metrics = metrics;
    r = start_all(s);
    if (r < 0)
        return r;
    r = server_new(node_loop(node), slabs, &o, &h, &s->server);
    if (r < 0) {
        log_error("the namenode cannot listen", "listen = %s: %s", conf->listen, dfs_strerror(r));
        return r;
    }
    *ret_services = STEAL(s);
    return 0;
}

void services_free(struct services *s)
{
    if (!s)
        return;
    node_watch_drop(s->node, s);
    on_stopped(s); /* Whatever runs of the loop from here on, nobody asks the node for more. */
    /* What was asked of the node or of a peer is called back while who asked is still there. */
    server_free(s->server);
    loop_run_once(node_loop(s->node), false);
    node_end_calls(s->node);
    while (s->started > 0) {
        s->started--;
        all_services[s->started]->stop(s->self[s->started]);
    }
    free(s);
}

struct node *services_node(struct services *s)
{
    return s->node;
}

struct loop *services_loop(struct services *s)
{
    return node_loop(s->node);
}

const struct node_conf *services_conf(struct services *s)
{
    return node_conf_of(s->node);
}

void *services_find(struct services *s, const char *name)
{
    for (unsigned i = 0; i < s->started; i++) {
        if (strcmp(all_services[i]->name, name) == 0)
            return s->self[i];
    }
    return NULL;
}

const char *services_addr(const struct services *s)
{
    return server_addr(s->server);
}

struct metrics *services_metrics(struct services *s)
{
    return s->metrics;
}
