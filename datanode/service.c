/* The datanode as a whole: starting, stopping, and who may ask for what. */
#include "datanode/service.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "common/strutil.h"
#include "datanode/dn.h"
#include "datanode/scrub.h"
#include "datanode/wire.h"
#include "rpc/msg.h"
#include "rpc/role.h"
#include "rpc/server.h"
#include "rpc/token.h"

enum { CONNS_MAX = 16384 };

/* ---- what the namenode says ---- */

const struct dn_place *dn_place_find(const struct dn *dn, uint32_t target)
{
    struct dn_place *p = NULL;

    HASH_FIND(hh, dn->places, &target, sizeof(target), p);
    return p;
}

void dn_learn_targets(struct dn *dn, Dfs__TargetInfo *const *infos, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Dfs__TargetInfo *m = infos[i];
        struct dn_place *p = NULL;

        HASH_FIND(hh, dn->places, &m->target, sizeof(m->target), p);
        if (p == NULL) {
            p = MEM_NEW(struct dn_place);
            p->target.v = m->target;
            HASH_ADD(hh, dn->places, target, sizeof(p->target), p);
        }
        (void)snprintf(p->addr, sizeof(p->addr), "%s", m->addr);
        (void)snprintf(p->node, sizeof(p->node), "%s", m->node);
        (void)snprintf(p->host, sizeof(p->host), "%s", m->host);
    }
}

static bool is_fenced(const struct dn *dn, uint64_t session)
{
    for (size_t i = 0; i < dn->fence_count; i++) {
        if (dn->fences[i] == session)
            return true;
    }
    return false;
}

void dn_learn_pgs(struct dn *dn, Dfs__Pg *const *pgs, size_t count, const uint64_t *fences,
                  size_t fence_count, uint64_t lowest_session)
{
    size_t before = dn->fence_count;
    bool is_higher = lowest_session > dn->lowest_session;

    dn->lowest_session = MAX(dn->lowest_session, lowest_session);

    for (size_t i = 0; i < fence_count; i++) {
        if (is_fenced(dn, fences[i]))
            continue;
        dn->fences = mem_realloc(dn->fences, dn->fence_count + 1, sizeof(*dn->fences));
        dn->fences[dn->fence_count++] = fences[i];
    }
    for (size_t i = 0; i < count; i++) {
        struct chain_config c;

        if (wire_config_from(pgs[i], &c) < 0)
            log_error("a configuration makes no sense", "pg=%" PRIu32 " epoch=%" PRIu64, pgs[i]->pg,
                      pgs[i]->epoch);
        else
            pg_learn(dn, &c, true);
    }
    /* Fences hold for every PG, also for those that did not change. */
    if (dn->fence_count != before || is_higher)
        pg_fences_changed(dn);
}

/* ---- the store ---- */

void dn_fail(struct dn *dn, const char *text)
{
    if (dn->events.failed != NULL)
        dn->events.failed(dn->events.ctx, text);
}

static void on_target_failed(void *ctx, struct target *t, int why)
{
    struct dn *dn = ctx;

    log_error("a target failed and is used no more", "dir=%s target=%" PRIu32 " error=\"%s\"",
              target_dir(t), target_id(t).v, dfs_strerror(why));
    pg_target_failed(dn, t);
    nn_hurry(dn);
}

struct dn_disk *dn_disk(struct dn *dn, const struct target *t)
{
    unsigned i = 0;

    while (dn->disks[i].target != t)
        i++;
    return &dn->disks[i];
}

int dn_open_store(struct dn *dn, const struct uuid *cluster)
{
    struct store_options o = {
        .vfs = dn->vfs,
        .clock = dn->clock,
        .slabs = dn->slabs,
        .metrics = dn->metrics,
        .cluster = *cluster,
        .boot_id = dn->boot_id,
        .reserve_percent = dn->conf->reserve_percent,
        .capacity_bytes = dn->conf->capacity_bytes,
        .direct_min = dn->conf->direct_io ? DIRECT_WRITE_MIN : 0,
        .rebuild = dn->conf->rebuild,
        .inline_io = dn->inline_io,
        .on_failed = on_target_failed,
        .ctx = dn,
    };
    char err[512], text[768];
    int r = store_new(dn->loop, &o, &dn->store);

    if (r < 0) {
        dn_fail(dn, "the store cannot start");
        return r;
    }
    for (unsigned i = 0; i < dn->conf->target_count; i++) {
        struct target *t;

        r = store_open_target(dn->store, dn->conf->targets[i], err, sizeof(err), &t);
        if (r < 0) {
            (void)snprintf(text, sizeof(text), "target %s: %s", dn->conf->targets[i], err);
            dn_fail(dn, text);
            return r;
        }
        dn->disks[i].target = t;
        dn->disks[i].copying = copying_new(dn->loop, dn->conf->repair_rate);
        log_info("target open", "dir=%s target=%" PRIu32, target_dir(t), target_id(t).v);
    }
    dn->cluster = *cluster;
    dn->is_open = true;
    dn->scrub = scrub_new(dn);
    return 0;
}

/* ---- guests ---- */

static struct dn_guest *guest_of(struct dn *dn, struct conn *c)
{
    struct dn_guest *g = conn_user(c);

    if (g != NULL)
        return g;
    g = MEM_NEW(struct dn_guest);
    if (conn_is_tls(c)) {
        g->is_peer = strcmp(conn_peer_role(c), "datanode") == 0;
        g->is_namenode = strcmp(conn_peer_role(c), "namenode") == 0;
    } else if (dn->tls == NULL) {
        g->is_peer = g->is_namenode = true;
    }
    conn_set_user(c, g);
    return g;
}

static void on_hello(struct dn *dn, struct conn *c, const struct rpc_frame *f,
                     struct dn_guest *guest)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__DataHelloReply reply = DFS__DATA_HELLO_REPLY__INIT;
    Dfs__DataHello *m;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__data_hello__descriptor, f->body, f->header.body_len);
    if (m == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "not a DataHello");
        return;
    }
    if (dn->data_key_len == 0) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, -EAGAIN,
                         "this datanode has not registered yet");
        return;
    }
    if (m->cluster_uuid.len != sizeof(dn->cluster.b) ||
        memcmp(m->cluster_uuid.data, dn->cluster.b, sizeof(dn->cluster.b)) != 0 ||
        !token_check(dn->data_key, dn->data_key_len, m->peer ? 0 : m->session, m->token.data,
                     m->token.len)) {
        log_warn("a plain connection showed no valid token", "peer=%s", conn_peer_addr(c));
        conn_reply_error(c, f->header.type, f->header.rpc_id, -EACCES,
                         "the data token is not valid in this cluster");
        return;
    }
    conn_set_authenticated(c);
    if (!conn_is_tls(c)) {
        guest->is_peer = guest->is_peer || m->peer;
        guest->is_bound = !m->peer;
        guest->session.v = m->session;
    }
    conn_reply(c, f->header.type, f->header.rpc_id, &reply.base, NULL);
}

/*
 * What the certificate allows; and the token of a plain connection: a client's is for reading and
 * writing alone.
 */
static bool may_ask(const struct conn *c, const struct rpc_frame *f, const struct dn_guest *guest)
{
    if (!role_may_send(conn_peer_role(c), f->header.type))
        return false;
    if (guest->is_bound && f->header.type != MSG_PING && f->header.type != MSG_CHUNK_OP &&
        f->header.type != MSG_CHUNK_READ)
        return false;
    switch (f->header.type) {
    case MSG_CHAIN_HELLO:
    case MSG_CHAIN_OP:
    case MSG_CHAIN_ACK:
    case MSG_EPOCH_CONFIRM:
    case MSG_SYNC_BEGIN:
    case MSG_SYNC_LIST:
    case MSG_SYNC_CRCS:
    case MSG_SYNC_READ:
        return guest->is_peer;
    default:
        return true;
    }
}

static void on_ping(struct conn *c, const struct rpc_frame *f)
{
    Dfs__Empty m = DFS__EMPTY__INIT;

    conn_reply(c, f->header.type, f->header.rpc_id, &m.base, NULL);
}

void dn_on_request(struct dn *dn, struct conn *c, const struct rpc_frame *f,
                   const struct dn_guest *guest)
{
    if (!may_ask(c, f, guest)) {
        log_warn("request refused: not for this role", "type=%s peer=%s name=%s role=%s",
                 msg_type_name(f->header.type), conn_peer_addr(c), conn_peer_name(c),
                 conn_peer_role(c));
        if (!(f->header.flags & FRAME_ONEWAY))
            conn_reply_error(c, f->header.type, f->header.rpc_id, -EACCES,
                             "this peer may not ask %s", msg_type_name(f->header.type));
        return;
    }
    switch (f->header.type) {
    case MSG_PING:
        on_ping(c, f);
        return;
    case MSG_CHUNK_OP:
        write_on_request(dn, c, f, guest);
        return;
    case MSG_CHUNK_READ:
        read_on_request(dn, c, f);
        return;
    case MSG_CHAIN_HELLO:
        forward_on_hello(dn, c, f);
        return;
    case MSG_CHAIN_OP:
        forward_on_op(dn, c, f);
        return;
    case MSG_CHAIN_ACK:
        forward_on_ack(dn, f);
        return;
    case MSG_EPOCH_CONFIRM:
        forward_on_confirm(dn, c, f);
        return;
    case MSG_SYNC_BEGIN:
        read_on_sync_begin(dn, c, f);
        return;
    case MSG_SYNC_LIST:
        read_on_sync_list(dn, c, f);
        return;
    case MSG_SYNC_CRCS:
        read_on_sync_crcs(dn, c, f);
        return;
    case MSG_SYNC_READ:
        read_on_sync_read(dn, c, f);
        return;
    case MSG_INVENTORY:
        inventory_on_request(dn, c, f);
        return;
    default:
        if (!(f->header.flags & FRAME_ONEWAY))
            conn_reply_error(c, f->header.type, f->header.rpc_id, -EOPNOTSUPP,
                             "a datanode does not answer this");
    }
}

static void on_guest_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    struct dn *dn = ctx;
    struct dn_guest *guest = guest_of(dn, c);

    if (dn->is_stopping) {
        if (!(f->header.flags & FRAME_ONEWAY))
            conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_ECLOSED,
                             "the datanode is stopping");
        return;
    }
    if (f->header.type == MSG_DATA_HELLO)
        on_hello(dn, c, f, guest);
    else
        dn_on_request(dn, c, f, guest);
}

static void on_guest_closed(void *ctx, struct conn *c, int reason)
{
    struct dn *dn = ctx;

    (void)reason;
    forward_guest_gone(dn, c);
    free(conn_user(c));
    conn_set_user(c, NULL);
}

/* ---- life ---- */

static void show_copying(struct dn *dn)
{
    uint64_t rate = UINT64_MAX, waiting = 0;

    for (unsigned i = 0; i < dn->conf->target_count; i++) {
        rate = MIN(rate, copying_rate(dn->disks[i].copying));
        waiting += copying_waiting(dn->disks[i].copying);
    }
    metric_set(dn->m.copy_rate, (int64_t)rate);
    metric_set(dn->m.copies_waiting, (int64_t)waiting);
}

static void on_tick(void *ctx)
{
    struct dn *dn = ctx;

    if (!dn->is_open)
        return;
    lateness_tick(dn);
    pg_tick_all(dn);
    show_copying(dn);
    strays_tick(dn);
    if (dn->scrub != NULL)
        scrub_tick(dn->scrub);
}

static void make_metrics(struct dn *dn)
{
    struct metrics *m = dn->metrics;
    struct dn_metrics *x = &dn->m;

    x->ops = metrics_counter(m, "dfs_dn_ops_total", "operations from clients and the namenode");
    x->op_bytes = metrics_counter(m, "dfs_dn_op_bytes_total", "data bytes in them");
    x->chain_ops_sent = metrics_counter(m, "dfs_dn_chain_messages_total{type=\"op\",dir=\"out\"}",
                                        "messages between members of a chain");
    x->chain_ops_received =
        metrics_counter(m, "dfs_dn_chain_messages_total{type=\"op\",dir=\"in\"}", "");
    x->acks_sent = metrics_counter(m, "dfs_dn_chain_messages_total{type=\"ack\",dir=\"out\"}", "");
    x->acks_received =
        metrics_counter(m, "dfs_dn_chain_messages_total{type=\"ack\",dir=\"in\"}", "");
    x->reads = metrics_counter(m, "dfs_dn_reads_total", "reads answered");
    x->read_bytes = metrics_counter(m, "dfs_dn_read_bytes_total", "data bytes in them");
    x->syncs = metrics_counter(m, "dfs_dn_sync_ops_total", "sync operations applied here");
    x->stale = metrics_counter(m, "dfs_dn_stale_total", "requests under an old configuration");
    x->bad_blocks = metrics_counter(m, "dfs_dn_bad_blocks_total", "blocks that failed their CRC");
    x->accusations = metrics_counter(m, "dfs_dn_accusations_total", "neighbours complained about");
    x->joins = metrics_counter(m, "dfs_dn_joins_total", "times a copy from a source began");
    x->join_bytes = metrics_counter(m, "dfs_dn_join_bytes_total", "bytes copied when joining");
    x->strays = metrics_counter(m, "dfs_dn_strays_total",
                                "chunks dropped because another target took the place here");
    x->scrub_chunks = metrics_counter(m, "dfs_dn_scrub_chunks_total", "chunks read by the scrub");
    x->scrub_bytes = metrics_counter(m, "dfs_dn_scrub_bytes_total", "bytes read by the scrub");
    x->scrub_bad =
        metrics_counter(m, "dfs_dn_scrub_bad_total", "chunks in which the scrub found damage");
    x->copy_rate =
        metrics_gauge(m, "dfs_dn_copy_rate_bytes",
                      "bytes a second that clients leave for copies: the least of all targets");
    x->copies_waiting =
        metrics_gauge(m, "dfs_dn_copies_waiting", "copies that wait for their turn");
    x->registered = metrics_gauge(m, "dfs_dn_registered", "1 when a leader knows this datanode");
    x->pgs_serving = metrics_gauge(m, "dfs_dn_pgs{state=\"serving\"}", "placement groups here");
    x->pgs_syncing = metrics_gauge(m, "dfs_dn_pgs{state=\"syncing\"}", "");
}

static struct uuid machine_boot_id(void)
{
    struct uuid id = {{0}};
    char text[UUID_TEXT_SIZE] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return id;
    if (read(fd, text, sizeof(text) - 1) > 0)
        (void)uuid_parse(text, &id);
    (void)close(fd);
    return id;
}

int dn_new(const struct dn_options *o, char *err, size_t err_size, struct dn **ret_dn)
{
    struct dn *dn = MEM_NEW(struct dn);
    struct server_options so = {.listen_addr = o->conf->listen,
                                .tls = o->tls,
                                .allow_plain = !o->conf->data_tls,
                                .conn_count_max = CONNS_MAX};
    int r;

    dn->loop = o->loop;
    dn->slabs = o->slabs;
    dn->metrics = o->metrics;
    dn->vfs = o->vfs;
    dn->clock = o->clock;
    dn->conf = o->conf;
    dn->tls = o->tls;
    dn->inline_io = o->inline_io;
    dn->events = o->events;
    dn->boot_id = machine_boot_id();
    /* Its upper half tells the namenode whether the host stayed up between two of our lives. */
    dn->incarnation =
        hash64(dn->boot_id.b, sizeof(dn->boot_id.b), 0) << 32 | (o->incarnation & UINT32_MAX);
    make_metrics(dn);
    r = server_new(dn->loop, dn->slabs, &so,
                   &(struct conn_handlers){
                       .on_request = on_guest_request, .on_closed = on_guest_closed, .ctx = dn},
                   &dn->server);
    if (r < 0) {
        (void)snprintf(err, err_size, "cannot listen: listen = %s: %s", o->conf->listen,
                       dfs_strerror(r));
        free(dn);
        return r;
    }
    dn->tick = loop_timer_new(dn->loop, on_tick, dn);
    loop_timer_start(dn->tick, DN_TICK_MS, DN_TICK_MS);
    dn->nn = nn_link_new(dn);
    *ret_dn = dn;
    return 0;
}

/* Nobody's turn comes any more: the store would answer when who asked is gone. */
static void stop_copying(struct dn *dn)
{
    for (unsigned i = 0; i < dn->conf->target_count; i++)
        copying_stop(dn->disks[i].copying);
}

static void store_closed(void *ctx)
{
    struct dn *dn = ctx;

    dn->stopped(dn->stopped_ctx);
}

void dn_stop(struct dn *dn, void (*done)(void *ctx), void *ctx)
{
    dn->is_stopping = true;
    dn->stopped = done;
    dn->stopped_ctx = ctx;
    loop_timer_stop(dn->tick);
    nn_link_close(dn->nn);
    stop_copying(dn);
    if (dn->store != NULL)
        store_close(dn->store, store_closed, dn);
    else
        loop_post(dn->loop, store_closed, dn);
}

void dn_free(struct dn *dn)
{
    struct dn_place *p, *tmp;

    if (dn == NULL)
        return;
    dn->is_stopping = true;
    loop_timer_free(dn->tick);
    nn_link_close(dn->nn);
    server_free(dn->server);
    forward_free_all(dn);
    stop_copying(dn);
    store_free(dn->store);
    loop_run_once(dn->loop, false); /* Calls that waited get their end while we are still whole. */
    scrub_free(STEAL(dn->scrub));
    write_free_all(dn);
    pg_free_all(dn);
    for (unsigned i = 0; i < dn->conf->target_count; i++) {
        copying_free(dn->disks[i].copying);
        lateness_free(&dn->disks[i]);
    }
    nn_link_free(dn->nn);
    HASH_ITER (hh, dn->places, p, tmp) {
        HASH_DEL(dn->places, p);
        free(p);
    }
    free(dn->fences);
    free(dn);
}

const char *dn_addr(const struct dn *dn)
{
    return server_addr(dn->server);
}

const char *dn_advertised(const struct dn *dn)
{
    const char *colon = strrchr(dn->conf->advertise, ':');

    /* Port 0: what the kernel chose is known only now. */
    return colon != NULL && strcmp(colon, ":0") == 0 ? dn_addr(dn) : dn->conf->advertise;
}

bool dn_is_ready(const struct dn *dn)
{
    return dn->is_open && nn_is_registered(dn);
}
