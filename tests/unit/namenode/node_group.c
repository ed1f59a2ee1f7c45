/* See node_group.h. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "common/vfs.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "namenode/raft_log.h"
#include "namenode/service.h"
#include "tests/unit/namenode/node_group.h"

/* Ports that nobody listens on at the moment. */
static void choose_ports(uint16_t ports[SLOTS])
{
    int fds[SLOTS];

    for (unsigned i = 0; i < SLOTS; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t len = sizeof(a);

        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(fds[i], (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&a, &len), 0);
        ports[i] = ntohs(a.sin_port);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        (void)close(fds[i]);
}

const char *group_dir;

/* Those of the process before, whose replicas know each other by them. */
static void keep_ports(const char *dir, uint16_t ports[SLOTS])
{
    char path[100];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/ports", dir);
    file = fopen(path, "r");
    if (file) {
        assert_int_equal(fread(ports, sizeof(ports[0]), SLOTS, file), SLOTS);
    } else {
        file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(ports, sizeof(ports[0]), SLOTS, file), SLOTS);
    }
    assert_int_equal(fclose(file), 0);
}

/* The past is in the state machine before anybody serves, even when others had our first entry
 * durable, and so committed, before we had. */
static void on_serving(void *ctx, uint64_t term)
{
    struct replica *r = ctx;

    assert_int_equal(fsm_applied(node_fsm(r->node)).term, term);
}

void replica_up(struct group *g, unsigned i)
{
    struct replica *r = &g->r[i];
    struct node_watch w = {.serving = on_serving, .ctx = r};

    r->metrics = metrics_new();
    assert_int_equal(node_new(g->loop, g->slabs, NULL, &r->conf, &r->node), 0);
    node_watch(r->node, &w);
    assert_int_equal(services_new(r->node, g->slabs, NULL, r->metrics, &r->services), 0);
}

void replica_down(struct group *g, unsigned i)
{
    struct replica *r = &g->r[i];

    services_free(r->services);
    node_free(r->node);
    metrics_free(r->metrics);
    r->services = NULL;
    r->node = NULL;
    r->metrics = NULL;
}

uint64_t group_snapshot_rate;
uint32_t last_format = FSM_FORMAT;

int group_make(void **state, unsigned nodes, uint64_t election_ms)
{
    struct group *g = MEM_NEW(struct group);
    uint16_t ports[SLOTS];
    char list[200], err[100];
    int at = 0;

    (void)snprintf(g->dir, sizeof(g->dir), "%s",
                   group_dir ? group_dir : "/tmp/dfs-test-node-XXXXXX");
    assert_true(group_dir || mkdtemp(g->dir));
    assert_int_equal(loop_new(&g->loop), 0);
    g->slabs = slab_pool_new(1 << 20);
    choose_ports(ports);
    if (group_dir)
        keep_ports(g->dir, ports);
    for (unsigned i = 0; i < nodes; i++)
        at += snprintf(list + at, sizeof(list) - (size_t)at, "%s%u@127.0.0.1:%u", i ? ", " : "",
                       i + 1, ports[i]);
    for (unsigned i = 0; i < SLOTS; i++) {
        struct node_conf *c = &g->r[i].conf;

        node_conf_init(c);
        c->id.v = i + 1;
        c->listen = mem_printf("127.0.0.1:%u", ports[i]);
        c->data_dir = mem_printf("%s/nn%u", g->dir, i + 1);
        assert_int_equal(node_conf_parse_namenodes(list, &c->founders, err, sizeof(err)), 0);
        c->heartbeat_ms = HEARTBEAT_MS;
        c->election_ms = election_ms;
        c->segment_bytes = 1 << 20;
        c->segments_min = 1;
        if (group_snapshot_rate > 0)
            c->snapshot_rate = group_snapshot_rate;
        c->hash_every = 8;
        if (i == nodes - 1)
            c->format = last_format;
        c->cache_bytes = 8 << 20;
        c->memtable_bytes = 4 << 20;
        if (i < nodes)
            replica_up(g, i);
    }
    *state = g;
    return 0;
}

int group_setup(void **state)
{
    last_format = FSM_FORMAT;
    return group_make(state, NODES, ELECTION_MS);
}

int group_teardown(void **state)
{
    struct group *g = *state;

    for (unsigned i = 0; i < SLOTS; i++) {
        if (g->r[i].node)
            replica_down(g, i);
        node_conf_done(&g->r[i].conf);
    }
    loop_run_once(g->loop, false);
    slab_pool_free(g->slabs);
    loop_free(g->loop);
    assert_int_equal(vfs_remove_all(vfs_posix(), g->dir), 0);
    free(g);
    return 0;
}

/* ---- waiting ---- */

void wait_for(struct group *g, condition_fn is_true, const char *what)
{
    uint64_t end = clock_monotonic_ns(clock_system()) + WAIT_MS * CLOCK_NS_PER_MS;

    while (!is_true(g)) {
        if (clock_monotonic_ns(clock_system()) > end)
            fail_msg("waited in vain: %s", what);
        loop_run_once(g->loop, true);
    }
}
int leader_of(const struct group *g)
{
    for (int i = 0; i < SLOTS; i++) {
        if (g->r[i].node && node_is_serving(g->r[i].node))
            return i;
    }
    return -1;
}

bool has_leader(struct group *g)
{
    return leader_of(g) >= 0;
}

/* All that are up have applied all that any of them has committed. */
bool all_equal(struct group *g)
{
    uint64_t most = 0;

    for (unsigned i = 0; i < SLOTS; i++) {
        if (g->r[i].node)
            most = MAX(most, node_commit_index(g->r[i].node));
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (g->r[i].node && node_applied_index(g->r[i].node) != most)
            return false;
    }
    return has_leader(g);
}

bool cluster_is_made(struct group *g)
{
    struct cluster_rec rec;
    int leader = leader_of(g);

    return leader >= 0 && fsm_cluster(node_fsm(g->r[leader].node), &rec) == 0 && all_equal(g);
}

void assert_same_state(struct group *g)
{
    uint64_t hash = 0;
    bool first = true;

    WAIT_FOR(g, all_equal);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (!g->r[i].node)
            continue;
        if (!first)
            assert_int_equal(fsm_state(node_fsm(g->r[i].node))->hash, hash);
        hash = fsm_state(node_fsm(g->r[i].node))->hash;
        first = false;
    }
}

/* ---- proposals: sessions are the simplest thing that grows ---- */

static void on_reply(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct group *g = ctx;

    if (status == DFS_EUNKNOWN_OUTCOME) {
        g->unknown++;
    } else if (status < 0) {
        g->refused++;
    } else {
        assert_int_equal(reply->status, 0);
        assert_int_equal(reply->result_case, DFS__META_REPLY__RESULT_ID);
        assert_true(reply->id->id > g->last_id); /* in the order of the calls */
        g->last_id = reply->id->id;
        g->answers++;
    }
}

void propose(struct group *g, int at, unsigned number)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__SessionOpenOp op = DFS__SESSION_OPEN_OP__INIT;
    uint8_t uuid[16] = {g->next_uuid};
    char name[] = "a client that has a rather long name, to fill the log";

    memcpy(uuid + 1, &number, sizeof(number));
    op.client_uuid = (ProtobufCBinaryData){.data = uuid, .len = sizeof(uuid)};
    op.name = name;
    req.op_case = DFS__META_REQUEST__OP_SESSION_OPEN;
    req.session_open = &op;
    node_propose(g->r[at].node, &req, on_reply, g);
}

unsigned want_answers;
bool answers_are_there(struct group *g)
{
    return g->answers + g->unknown + g->refused >= want_answers;
}

void propose_many(struct group *g, unsigned count)
{
    int leader;

    WAIT_FOR(g, has_leader);
    leader = leader_of(g);
    g->next_uuid++;
    g->answers = g->unknown = g->refused = 0;
    for (unsigned i = 0; i < count; i++)
        propose(g, leader, i);
    want_answers = count;
    WAIT_FOR(g, answers_are_there);
}

/* ---- behind ---- */

static bool logs_are_cut(struct group *g)
{
    struct raft_status st;

    for (unsigned i = 0; i < SLOTS; i++) {
        if (!g->r[i].node)
            continue;
        node_raft_status(g->r[i].node, &st);
        if (st.base_index <= 100)
            return false;
    }
    return has_leader(g);
}

unsigned lagging;

bool snapshot_is_installed(struct group *g)
{
    return node_stats(g->r[lagging].node)->snapshots_installed > 0 && all_equal(g);
}

void fall_behind(struct group *g)
{
    struct fsm_pos pos;

    lagging = (unsigned)(leader_of(g) + 1) % NODES;
    replica_down(g, lagging);
    for (unsigned round = 0; round < 120; round++)
        propose_many(g, 256);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (!g->r[i].node)
            continue;
        assert_int_equal(fsm_flush(node_fsm(g->r[i].node), true), 0);
        assert_int_equal(fsm_flushed(node_fsm(g->r[i].node), &pos), 0);
    }
    WAIT_FOR(g, logs_are_cut);
}

/* ---- damage ---- */

struct largest {
    char dir[100], path[400];
    uint64_t size;
};

static int find_largest(void *ctx, const char *name, bool is_dir)
{
    struct largest *l = ctx;
    struct vfs_stat st;
    char path[400];

    (void)snprintf(path, sizeof(path), "%s/%s", l->dir, name);
    if (is_dir && strncmp(name, "db-", 3) == 0) {
        struct largest inner = {.size = l->size};

        (void)snprintf(inner.dir, sizeof(inner.dir), "%.99s", path);
        (void)vfs_list(vfs_posix(), inner.dir, find_largest, &inner);
        if (inner.size > l->size)
            memcpy(l->path, inner.path, sizeof(l->path));
        l->size = inner.size;
    } else if (strstr(name, ".sst") && vfs_stat(vfs_posix(), path, &st) == 0 && st.size > l->size) {
        memcpy(l->path, path, sizeof(l->path));
        l->size = st.size;
    }
    return 0;
}

void flip_bit_of_a_table(struct group *g, unsigned i)
{
    struct largest l = {0};
    struct vfs_file *f;
    uint8_t byte;

    (void)snprintf(l.dir, sizeof(l.dir), "%s", g->r[i].conf.data_dir);
    assert_int_equal(vfs_list(vfs_posix(), l.dir, find_largest, &l), 0);
    assert_true(l.size > 0);
    assert_int_equal(vfs_open(vfs_posix(), l.path, O_RDWR, 0, &f), 0);
    assert_int_equal(vfs_pread_all(f, &byte, 1, l.size * 2 / 3), 0);
    byte ^= 16;
    assert_int_equal(vfs_pwrite(f, &byte, 1, l.size * 2 / 3), 0);
    vfs_close(f);
}
