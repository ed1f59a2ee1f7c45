#include "tests/unit/datanode/service_cluster.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "common/vfs.h"
#include "common/vfs_fake.h"
#include "datanode/dn.h"
#include "rpc/msg.h"
#include "rpc/server.h"

/* ---- the namenode ---- */

static struct node *node_named(struct cluster *c, const char *name)
{
    for (int i = 0; i < NODES; i++) {
        if (strcmp(c->nodes[i].name, name) == 0)
            return &c->nodes[i];
    }
    return NULL;
}

struct map {
    Dfs__TargetInfo infos[NODES], *info_ptrs[NODES];
    Dfs__Pg pg, *pg_ptr;
    Dfs__PgMember members[NODES], *member_ptrs[NODES];
};

static void make_map(struct cluster *c, struct map *m)
{
    dfs__pg__init(&m->pg);
    m->pg.pg = PG;
    m->pg.epoch = c->epoch;
    m->pg.min_write = 2;
    m->pg.members = m->member_ptrs;
    m->pg_ptr = &m->pg;
    for (int i = 0; i < NODES; i++) {
        struct node *n = &c->nodes[c->order[i]];

        if (c->states[i] != DFS__MEMBER_STATE__MEMBER_UNSET) {
            dfs__pg_member__init(&m->members[i]);
            m->members[i].target = (uint32_t)c->order[i] + 1;
            m->members[i].incarnation = n->incarnation;
            m->members[i].state = c->states[i];
            m->member_ptrs[m->pg.n_members++] = &m->members[i];
        }
        dfs__target_info__init(&m->infos[i]);
        m->infos[i].target = (uint32_t)i + 1;
        m->infos[i].addr = c->nodes[i].dn != NULL ? (char *)(uintptr_t)dn_addr(c->nodes[i].dn)
                                                  : c->nodes[i].conf.advertise;
        m->infos[i].node = c->nodes[i].name;
        m->info_ptrs[i] = &m->infos[i];
    }
    m->pg.copies = (uint32_t)m->pg.n_members;
}

static void on_register(struct cluster *c, struct conn *conn, const struct rpc_frame *f)
{
    Dfs__NodeRegisterRequest *m =
        dfs__node_register_request__unpack(NULL, f->header.body_len, f->body);
    Dfs__NodeRegisterReply reply = DFS__NODE_REGISTER_REPLY__INIT;
    static uint8_t key[32] = {1, 2, 3};
    struct node *n = node_named(c, m->node);
    uint32_t id = (uint32_t)(n - c->nodes) + 1;
    struct map map;

    n->nn_conn = conn;
    n->incarnation = m->incarnation;
    memcpy(n->uuid, m->targets[0]->uuid.data, sizeof(n->uuid));
    reply.targets = &id;
    reply.n_targets = 1;
    reply.lowest_session = c->lowest_session;
    reply.data_key = (ProtobufCBinaryData){sizeof(key), key};
    if (c->epoch > 0) {
        make_map(c, &map);
        reply.map = map.info_ptrs;
        reply.n_map = NODES;
        reply.pgs = &map.pg_ptr;
        reply.n_pgs = 1;
    }
    conn_reply(conn, f->header.type, f->header.rpc_id, &reply.base, NULL);
    dfs__node_register_request__free_unpacked(m, NULL);
}

static void on_heartbeat(struct cluster *c, struct conn *conn, const struct rpc_frame *f)
{
    Dfs__HeartbeatRequest *m = dfs__heartbeat_request__unpack(NULL, f->header.body_len, f->body);
    Dfs__HeartbeatReply reply = DFS__HEARTBEAT_REPLY__INIT;
    struct node *n = node_named(c, m->node);

    n->heartbeats++;
    for (size_t i = 0; i < m->n_accusations; i++)
        c->nodes[m->accusations[i]->target - 1].accusations++;
    for (size_t i = 0; i < m->n_pgs; i++) {
        if (m->pgs[i]->sync_done)
            n->synced_epoch = m->pgs[i]->epoch;
    }
    n->failed_target = m->targets[0]->failed;
    n->own_p99_us = m->targets[0]->p99_us;
    for (size_t i = 0; i < m->n_links; i++)
        n->link_p99_us[m->links[i]->target - 1] = m->links[i]->p99_us;
    conn_reply(conn, f->header.type, f->header.rpc_id, &reply.base, NULL);
    dfs__heartbeat_request__free_unpacked(m, NULL);
}

static void nn_on_request(void *ctx, struct conn *conn, const struct rpc_frame *f)
{
    struct cluster *c = ctx;
    Dfs__StatusReply status;
    Dfs__BadChunkReport *bad;
    Dfs__Empty empty = DFS__EMPTY__INIT;

    switch (f->header.type) {
    case MSG_STATUS:
        dfs__status_reply__init(&status);
        status.cluster_uuid = (ProtobufCBinaryData){sizeof(c->uuid.b), c->uuid.b};
        conn_reply(conn, f->header.type, f->header.rpc_id, &status.base, NULL);
        return;
    case MSG_NODE_REGISTER:
        on_register(c, conn, f);
        return;
    case MSG_HEARTBEAT:
        on_heartbeat(c, conn, f);
        return;
    case MSG_BAD_CHUNK:
        bad = dfs__bad_chunk_report__unpack(NULL, f->header.body_len, f->body);
        c->bad_reports++;
        c->healed_reports += bad->healed;
        (void)snprintf(c->bad_what, sizeof(c->bad_what), "%s", bad->what);
        dfs__bad_chunk_report__free_unpacked(bad, NULL);
        conn_reply(conn, f->header.type, f->header.rpc_id, &empty.base, NULL);
        return;
    default:
        fail_msg("the namenode was asked for %d", f->header.type);
    }
}

static void nn_on_closed(void *ctx, struct conn *conn, int reason)
{
    struct cluster *c = ctx;

    (void)reason;
    for (int i = 0; i < NODES; i++) {
        if (c->nodes[i].nn_conn == conn)
            c->nodes[i].nn_conn = NULL;
    }
}

static void ignore(void *ctx, int status, const struct rpc_frame *f)
{
    (void)ctx;
    (void)status;
    (void)f;
}

/* "0S 1S 2Y": and tells everybody. */
void configure(struct cluster *c, const char *text)
{
    Dfs__PgConfigPush m = DFS__PG_CONFIG_PUSH__INIT;
    struct map map;

    for (int i = 0; i < NODES; i++) {
        c->order[i] = text[i * 3] - '0';
        c->states[i] = text[i * 3 + 1] == 'S'   ? DFS__MEMBER_STATE__MEMBER_SERVING
                       : text[i * 3 + 1] == 'Y' ? DFS__MEMBER_STATE__MEMBER_SYNCING
                       : text[i * 3 + 1] == '-' ? DFS__MEMBER_STATE__MEMBER_OFFLINE
                                                : DFS__MEMBER_STATE__MEMBER_UNSET;
    }
    c->epoch++;
    make_map(c, &map);
    m.pgs = &map.pg_ptr;
    m.n_pgs = 1;
    m.targets = map.info_ptrs;
    m.n_targets = NODES;
    for (int i = 0; i < NODES; i++) {
        if (c->nodes[i].nn_conn != NULL)
            (void)conn_call(c->nodes[i].nn_conn, MSG_PG_CONFIG, &m.base, NULL, 1000, ignore, NULL);
    }
}

/* ---- waiting ---- */

bool wait_for(struct cluster *c, condition is_true, void *ctx)
{
    uint64_t until = clock_monotonic_ns(clock_system()) + WAIT_MS * CLOCK_NS_PER_MS;

    while (!is_true(c, ctx)) {
        if (clock_monotonic_ns(clock_system()) > until)
            return false;
        loop_run_once(c->loop, true);
    }
    return true;
}

bool all_registered(struct cluster *c, void *ctx)
{
    (void)ctx;
    for (int i = 0; i < NODES; i++) {
        if (c->nodes[i].dn != NULL && !dn_is_ready(c->nodes[i].dn))
            return false;
    }
    return true;
}

struct dn_pg *pg_at(struct cluster *c, int node)
{
    return c->nodes[node].dn == NULL ? NULL : pg_find(c->nodes[node].dn, PG, (uint32_t)node + 1);
}

bool all_know_epoch(struct cluster *c, void *ctx)
{
    (void)ctx;
    for (int i = 0; i < NODES; i++) {
        if (c->nodes[i].dn != NULL && c->states[i] != DFS__MEMBER_STATE__MEMBER_OFFLINE &&
            (pg_at(c, c->order[i]) == NULL || pg_epoch(pg_at(c, c->order[i])) != c->epoch))
            return false;
    }
    return true;
}

bool is_synced(struct cluster *c, void *ctx)
{
    return c->nodes[*(int *)ctx].synced_epoch == c->epoch;
}

/* ---- starting and stopping ---- */

static void on_failed(void *ctx, const char *text)
{
    struct cluster *c = ctx;

    (void)snprintf(c->failure, sizeof(c->failure), "%s", text);
}

void start(struct cluster *c, int i)
{
    struct node *n = &c->nodes[i];
    char err[256];

    n->metrics = metrics_new();
    n->conf.node = n->conf.host = n->name;
    n->conf.targets[0] = n->dir;
    n->conf.target_count = 1;
    n->conf.namenodes[0] = (char *)(uintptr_t)server_addr(c->nn);
    n->conf.namenode_count = 1;
    if (n->conf.listen == NULL)
        n->conf.listen = mem_strdup("127.0.0.1:0");
    if (n->conf.advertise == NULL)
        n->conf.advertise = mem_strdup("127.0.0.1:0");
    assert_int_equal(
        dn_new(&(struct dn_options){.loop = c->loop,
                                    .slabs = c->slabs,
                                    .metrics = n->metrics,
                                    .vfs = n->fake != NULL ? vfs_fake_vfs(n->fake) : vfs_posix(),
                                    .inline_io = n->fake != NULL,
                                    .clock = clock_system(),
                                    .conf = &n->conf,
                                    .incarnation = c->next_incarnation++,
                                    .events = {.failed = on_failed, .ctx = c}},
               err, sizeof(err), &n->dn),
        0);
}

/* Like kill -9, but that its directory is unlocked. */
void kill_node(struct cluster *c, int i)
{
    struct dn *dn = c->nodes[i].dn;

    c->nodes[i].dn = NULL; /* While it is freed the others may ask where it is. */
    dn_free(dn);
    metrics_free(c->nodes[i].metrics);
    c->nodes[i].metrics = NULL;
}

static void client_closed(void *ctx, struct conn *conn, int reason)
{
    struct cluster *c = ctx;

    (void)reason;
    for (int i = 0; i < NODES; i++) {
        if (c->client[i] == conn)
            c->client[i] = NULL;
    }
    conn_free(conn);
}

static void client_request(void *ctx, struct conn *conn, const struct rpc_frame *f)
{
    (void)ctx;
    (void)conn;
    (void)f;
}

struct conn *client_of(struct cluster *c, int node)
{
    const struct conn_handlers h = {
        .on_request = client_request, .on_closed = client_closed, .ctx = c};

    if (c->client[node] == NULL)
        assert_int_equal(
            conn_connect(c->loop, c->slabs, dn_addr(c->nodes[node].dn), NULL, &h, &c->client[node]),
            0);
    return c->client[node];
}

static int make(void **state, bool on_fake_disks)
{
    struct cluster *c = MEM_NEW(struct cluster);
    struct server_options so = {.listen_addr = "127.0.0.1:0", .conn_count_max = 100};

    log_init("test", LOG_LEVEL_ERROR);
    assert_int_equal(loop_new(&c->loop), 0);
    c->slabs = slab_pool_new(1 << 20);
    c->uuid = uuid_new();
    c->next_incarnation = 1000;
    assert_int_equal(server_new(c->loop, c->slabs, &so,
                                &(struct conn_handlers){.on_request = nn_on_request,
                                                        .on_closed = nn_on_closed,
                                                        .ctx = c},
                                &c->nn),
                     0);
    (void)snprintf(c->dir, sizeof(c->dir), "/tmp/test_service.XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    for (int i = 0; i < NODES; i++) {
        (void)snprintf(c->nodes[i].name, sizeof(c->nodes[i].name), "dn%d", i);
        (void)snprintf(c->nodes[i].dir, sizeof(c->nodes[i].dir), "%s/t%d", c->dir, i);
        if (on_fake_disks)
            c->nodes[i].fake = vfs_fake_new();
        start(c, i);
    }
    assert_true(wait_for(c, all_registered, NULL));
    configure(c, "0S 1S 2S");
    assert_true(wait_for(c, all_know_epoch, NULL));
    *state = c;
    return 0;
}

int setup(void **state)
{
    return make(state, false);
}

int setup_on_fake_disks(void **state)
{
    return make(state, true);
}

int teardown(void **state)
{
    struct cluster *c = *state;
    char command[128];

    for (int i = 0; i < NODES; i++) {
        if (c->client[i] != NULL)
            conn_free(c->client[i]);
        if (c->nodes[i].dn != NULL)
            kill_node(c, i);
        vfs_fake_free(c->nodes[i].fake);
        free(c->nodes[i].conf.listen);
        free(c->nodes[i].conf.advertise);
    }
    server_free(c->nn);
    loop_run_once(c->loop, false);
    loop_free(c->loop);
    slab_pool_free(c->slabs);
    (void)snprintf(command, sizeof(command), "rm -rf %s", c->dir);
    assert_int_equal(system(command), 0);
    free(c);
    return 0;
}

/* ---- the client ---- */

void on_answer(void *ctx, int status, const struct rpc_frame *f)
{
    struct answer *a = ctx;

    a->came = true;
    a->status = status;
    if (status == 0 && f->header.type == MSG_CHUNK_READ) {
        Dfs__ChunkReadReply *m = dfs__chunk_read_reply__unpack(NULL, f->header.body_len, f->body);
        const uint8_t *data = f->data_bytes + m->crc_count * 4;

        memset(a->bytes, 0, sizeof(a->bytes));
        if (m->len > 0)
            memcpy(a->bytes, data, m->len);
        for (uint32_t i = 0; i < m->crc_count; i++) {
            uint32_t slot;

            memcpy(&slot, f->data_bytes + i * 4, 4);
            assert_int_equal(crc32c(a->bytes + i * 4096, 4096) ^ CRC32C_ZERO_BLOCK, slot);
        }
        a->len = m->len;
        a->epoch = m->epoch;
        dfs__chunk_read_reply__free_unpacked(m, NULL);
    }
    if (status == 0 && f->header.type == MSG_INVENTORY) {
        Dfs__InventoryReply *m = dfs__inventory_reply__unpack(NULL, f->header.body_len, f->body);

        assert_int_equal(m->n_items, 1);
        assert_true(m->end);
        a->digest = m->items[0]->digest;
        dfs__inventory_reply__free_unpacked(m, NULL);
    }
}

bool answered(struct cluster *c, void *ctx)
{
    (void)c;
    return ((struct answer *)ctx)->came;
}

Dfs__ChunkOp new_op(struct cluster *c, Dfs__ChunkOpKind kind)
{
    Dfs__ChunkOp op = DFS__CHUNK_OP__INIT;

    op.kind = kind;
    op.pg = PG;
    op.epoch = op.first_epoch = c->epoch;
    op.session = 5;
    op.opseq = op.floor = ++c->opseq;
    op.chunk_id = CHUNK;
    return op;
}

int call(struct cluster *c, int node, Dfs__ChunkOp *op, const struct rpc_payload *p)
{
    struct answer *a = MEM_NEW(struct answer);
    int status;

    (void)conn_call(client_of(c, node), MSG_CHUNK_OP, &op->base, p, 5000, on_answer, a);
    assert_true(wait_for(c, answered, a));
    status = a->status;
    free(a);
    return status;
}

static size_t make_crcs(const uint8_t *bytes, uint32_t offset, uint32_t len, uint32_t *crcs)
{
    size_t count = 0;

    for (uint32_t at = 0; at < len;) {
        uint32_t n = MIN(4096 - (offset + at) % 4096, len - at);

        crcs[count++] = crc32c(bytes + at, n);
        at += n;
    }
    return count;
}

int write_at(struct cluster *c, int node, uint32_t offset, const void *bytes, uint32_t len)
{
    Dfs__ChunkOp op = new_op(c, DFS__CHUNK_OP_KIND__CHUNK_OP_WRITE);
    uint32_t crcs[65];
    struct rpc_payload p = {.file_fd = -1, .part_count = 2};

    op.offset = offset;
    op.len = len;
    op.crc_count = (uint32_t)make_crcs(bytes, offset, len, crcs);
    p.parts[0].bytes = crcs;
    p.parts[0].len = op.crc_count * 4;
    p.parts[1].bytes = bytes;
    p.parts[1].len = len;
    return call(c, node, &op, &p);
}

void ask_verified(struct cluster *c, int node, uint32_t offset, uint32_t len, bool verify,
                  struct answer *a)
{
    Dfs__ChunkReadRequest m = DFS__CHUNK_READ_REQUEST__INIT;

    m.pg = PG;
    m.epoch = c->epoch;
    m.session = 5;
    m.chunk_id = CHUNK;
    m.offset = offset;
    m.len = len;
    m.verify = verify;
    a->came = false;
    (void)conn_call(client_of(c, node), MSG_CHUNK_READ, &m.base, NULL, 5000, on_answer, a);
}

int read_verified(struct cluster *c, int node, uint32_t offset, uint32_t len, bool verify,
                  struct answer *a)
{
    ask_verified(c, node, offset, len, verify, a);
    assert_true(wait_for(c, answered, a));
    return a->status;
}

int read_at(struct cluster *c, int node, uint32_t offset, uint32_t len, struct answer *a)
{
    return read_verified(c, node, offset, len, false, a);
}

void assert_content(struct cluster *c, int node, uint32_t offset, const void *bytes, uint32_t len)
{
    struct answer *a = MEM_NEW(struct answer);
    uint32_t first = offset / 4096 * 4096;

    assert_int_equal(read_at(c, node, first, (offset + len - first + 4095) / 4096 * 4096, a), 0);
    assert_memory_equal(a->bytes + (offset - first), bytes, len);
    free(a);
}
