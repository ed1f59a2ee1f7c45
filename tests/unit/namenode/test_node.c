/* Three replicas in one process, over loopback, on real files. */
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

/* NODES found the group; the slot behind is for one that joins. */
enum { NODES = 3, SLOTS = 4 };

/* Three replicas share one thread here; and a machine that is busy with other tests is no reason for
 * an election. */
#ifdef __SANITIZE_THREAD__
enum { HEARTBEAT_MS = 100, ELECTION_MS = 2000, WAIT_MS = 120000 };
#else
enum { HEARTBEAT_MS = 40, ELECTION_MS = 500, WAIT_MS = 30000 };
#endif

struct replica {
    struct node_conf conf;
    struct node *node; /* NULL: it is down */
    struct services *services;
    struct metrics *metrics;
};

struct group {
    char dir[64];
    struct loop *loop;
    struct slab_pool *slabs;
    struct replica r[SLOTS];
    unsigned answers, unknown, refused;
    uint64_t last_id;
    uint8_t next_uuid;
};

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

/* The past is in the state machine before anybody serves, even when others had our first entry
 * durable, and so committed, before we had. */
static void on_serving(void *ctx, uint64_t term)
{
    struct replica *r = ctx;

    assert_int_equal(fsm_applied(node_fsm(r->node)).term, term);
}

static void replica_up(struct group *g, unsigned i)
{
    struct replica *r = &g->r[i];
    struct node_watch w = {.serving = on_serving, .ctx = r};

    r->metrics = metrics_new();
    assert_int_equal(node_new(g->loop, g->slabs, NULL, &r->conf, &r->node), 0);
    node_watch(r->node, &w);
    assert_int_equal(services_new(r->node, g->slabs, NULL, r->metrics, &r->services), 0);
}

static void replica_down(struct group *g, unsigned i)
{
    struct replica *r = &g->r[i];

    services_free(r->services);
    node_free(r->node);
    metrics_free(r->metrics);
    r->services = NULL;
    r->node = NULL;
    r->metrics = NULL;
}

static int setup(void **state)
{
    struct group *g = MEM_NEW(struct group);
    uint16_t ports[SLOTS];
    char list[200], err[100];

    (void)snprintf(g->dir, sizeof(g->dir), "/tmp/dfs-test-node-XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    assert_int_equal(loop_new(&g->loop), 0);
    g->slabs = slab_pool_new(1 << 20);
    choose_ports(ports);
    (void)snprintf(list, sizeof(list), "1@127.0.0.1:%u, 2@127.0.0.1:%u, 3@127.0.0.1:%u", ports[0],
                   ports[1], ports[2]);
    for (unsigned i = 0; i < SLOTS; i++) {
        struct node_conf *c = &g->r[i].conf;

        node_conf_init(c);
        c->id.v = i + 1;
        c->listen = mem_printf("127.0.0.1:%u", ports[i]);
        c->data_dir = mem_printf("%s/nn%u", g->dir, i + 1);
        assert_int_equal(node_conf_parse_namenodes(list, &c->founders, err, sizeof(err)), 0);
        c->heartbeat_ms = HEARTBEAT_MS;
        c->election_ms = ELECTION_MS;
        c->segment_bytes = 1 << 20;
        c->segments_min = 1;
        c->hash_every = 8;
        c->cache_bytes = 8 << 20;
        c->memtable_bytes = 4 << 20;
        if (i < NODES)
            replica_up(g, i);
    }
    *state = g;
    return 0;
}

static int teardown(void **state)
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

typedef bool (*condition_fn)(struct group *g);

static void wait_for(struct group *g, condition_fn is_true, const char *what)
{
    uint64_t end = clock_monotonic_ns(clock_system()) + WAIT_MS * CLOCK_NS_PER_MS;

    while (!is_true(g)) {
        if (clock_monotonic_ns(clock_system()) > end)
            fail_msg("waited in vain: %s", what);
        loop_run_once(g->loop, true);
    }
}
#define WAIT_FOR(g, condition) wait_for(g, condition, #condition)

static int leader_of(const struct group *g)
{
    for (int i = 0; i < SLOTS; i++) {
        if (g->r[i].node && node_is_serving(g->r[i].node))
            return i;
    }
    return -1;
}

static bool has_leader(struct group *g)
{
    return leader_of(g) >= 0;
}

/* All that are up have applied all that any of them has committed. */
static bool all_equal(struct group *g)
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

static bool cluster_is_made(struct group *g)
{
    struct cluster_rec rec;
    int leader = leader_of(g);

    return leader >= 0 && fsm_cluster(node_fsm(g->r[leader].node), &rec) == 0 && all_equal(g);
}

static void assert_same_state(struct group *g)
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

static void propose(struct group *g, int at, unsigned number)
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

static unsigned want_answers;
static bool answers_are_there(struct group *g)
{
    return g->answers + g->unknown + g->refused >= want_answers;
}

static void propose_many(struct group *g, unsigned count)
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

/* ---- tests ---- */

static void three_empty_directories_become_one_cluster(void **state)
{
    struct group *g = *state;
    struct cluster_rec a, b;

    WAIT_FOR(g, cluster_is_made);
    assert_int_equal(fsm_cluster(node_fsm(g->r[0].node), &a), 0);
    assert_int_equal(a.copies, 3);
    for (unsigned i = 1; i < NODES; i++) {
        assert_int_equal(fsm_cluster(node_fsm(g->r[i].node), &b), 0);
        assert_memory_equal(a.uuid, b.uuid, sizeof(a.uuid));
    }
    assert_string_equal(node_leader_addr(g->r[0].node), g->r[leader_of(g)].conf.listen);
}

static void proposals_share_entries_and_are_answered_in_order(void **state)
{
    struct group *g = *state;
    const struct node_stats *st;
    uint64_t batches, syncs;

    WAIT_FOR(g, cluster_is_made);
    st = node_stats(g->r[leader_of(g)].node);
    batches = st->batches;
    syncs = node_log_stats(g->r[leader_of(g)].node)->syncs;
    propose_many(g, 600);
    assert_int_equal(g->answers, 600);
    assert_true(st->batches - batches <= 6);
    assert_true(node_log_stats(g->r[leader_of(g)].node)->syncs - syncs <= 6);
    assert_same_state(g);
}

/* Each compares its own state with the leader's and would end at a difference (I4). */
static void state_hashes_go_through_the_log(void **state)
{
    struct group *g = *state;

    WAIT_FOR(g, cluster_is_made);
    for (unsigned i = 0; i < 40; i++)
        propose_many(g, 1);
    assert_true(node_stats(g->r[leader_of(g)].node)->hashes >= 4);
    assert_same_state(g);
}

static void a_follower_refuses_and_names_the_leader(void **state)
{
    struct group *g = *state;
    int follower;

    WAIT_FOR(g, cluster_is_made);
    follower = (leader_of(g) + 1) % NODES;
    g->answers = g->refused = 0;
    propose(g, follower, 1);
    want_answers = 1;
    WAIT_FOR(g, answers_are_there);
    assert_int_equal(g->refused, 1);
    assert_false(node_read_now(g->r[follower].node));
    assert_string_equal(node_leader_addr(g->r[follower].node), g->r[leader_of(g)].conf.listen);
}

static int read_status;
static bool read_is_done(struct group *g)
{
    (void)g;
    return read_status <= 0;
}
static void on_read(void *ctx, int status)
{
    (void)ctx;
    read_status = status;
}

static bool lease_holds(struct group *g)
{
    int leader = leader_of(g);

    return leader >= 0 && node_read_now(g->r[leader].node);
}

static void the_leader_reads_by_its_lease_and_by_a_round(void **state)
{
    struct group *g = *state;

    WAIT_FOR(g, lease_holds);
    read_status = 1;
    node_read(g->r[leader_of(g)].node, on_read, NULL);
    assert_int_equal(read_status, 1); /* never from inside the call */
    WAIT_FOR(g, read_is_done);
    assert_int_equal(read_status, 0);
    read_status = 1;
    node_read(g->r[(leader_of(g) + 1) % NODES].node, on_read, NULL);
    WAIT_FOR(g, read_is_done);
    assert_int_equal(read_status, DFS_ENOTLEADER);
}

static void without_the_lease_reads_wait_for_a_round(void **state)
{
    struct group *g = *state;
    int leader;

    for (unsigned i = 0; i < NODES; i++)
        g->r[i].conf.read_lease = false;
    for (unsigned i = 0; i < NODES; i++) {
        replica_down(g, i);
        replica_up(g, i);
    }
    WAIT_FOR(g, has_leader);
    leader = leader_of(g);
    assert_false(node_read_now(g->r[leader].node));
    read_status = 1;
    node_read(g->r[leader].node, on_read, NULL);
    WAIT_FOR(g, read_is_done);
    assert_int_equal(read_status, 0);
}

static void proposals_go_on_after_the_leader_is_gone(void **state)
{
    struct group *g = *state;
    int leader;

    WAIT_FOR(g, cluster_is_made);
    propose_many(g, 100);
    leader = leader_of(g);
    for (unsigned i = 1000; i < 1010; i++)
        propose(g, leader, i);
    want_answers = 110;
    replica_down(g, (unsigned)leader);
    assert_int_equal(g->answers + g->unknown + g->refused, 110); /* each is told, once */
    g->last_id = 0;
    propose_many(g, 100);
    assert_int_equal(g->answers, 100);
    replica_up(g, (unsigned)leader);
    assert_same_state(g);
}

static void a_restarted_group_has_all_it_said(void **state)
{
    struct group *g = *state;
    uint64_t index;

    WAIT_FOR(g, cluster_is_made);
    propose_many(g, 500);
    WAIT_FOR(g, all_equal);
    index = node_applied_index(g->r[0].node);
    for (unsigned i = 0; i < NODES; i++)
        replica_down(g, i);
    for (unsigned i = 0; i < NODES; i++)
        replica_up(g, i);
    WAIT_FOR(g, all_equal);
    assert_true(node_applied_index(g->r[0].node) > index); /* the new leader's first entry */
    assert_same_state(g);
    propose_many(g, 10);
    assert_int_equal(g->answers, 10);
}

static bool logs_are_cut(struct group *g)
{
    int leader = leader_of(g);
    struct raft_status st;

    if (leader < 0)
        return false;
    node_raft_status(g->r[leader].node, &st);
    return st.base_index > 100;
}

static unsigned lagging;
static bool snapshot_is_installed(struct group *g)
{
    return node_stats(g->r[lagging].node)->snapshots_installed > 0 && all_equal(g);
}

/* One replica, `lagging`, is down, and what it lacks is cut from the logs of the others. */
static void fall_behind(struct group *g)
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

/* Far enough behind, a follower gets the state instead of the log. */
static void a_follower_far_behind_catches_up_by_snapshot(void **state)
{
    struct group *g = *state;

    WAIT_FOR(g, cluster_is_made);
    fall_behind(g);
    replica_up(g, lagging);
    WAIT_FOR(g, snapshot_is_installed);
    assert_same_state(g);
    propose_many(g, 100);
    assert_same_state(g);

    /* And what was installed is what a restart finds. */
    replica_down(g, lagging);
    replica_up(g, lagging);
    assert_same_state(g);
    assert_int_equal(node_stats(g->r[lagging].node)->snapshots_installed, 0);
}

static bool snapshot_is_wanted(struct group *g)
{
    struct raft_status st;
    int leader = leader_of(g);

    if (leader < 0)
        return false;
    node_raft_status(g->r[leader].node, &st);
    return strcmp(st.peers[lagging].state, "snapshot") == 0;
}

static bool checkpoint_is_there(struct group *g)
{
    char path[200];
    struct vfs_stat st;

    (void)snprintf(path, sizeof(path), "%s/snap-out", g->r[leader_of(g)].conf.data_dir);
    return vfs_stat(vfs_posix(), path, &st) == 0;
}

static bool checkpoint_is_gone(struct group *g)
{
    return !checkpoint_is_there(g);
}

/* It was offered one, and was away until that was gone: it must not ask for the same for ever. */
static void a_follower_too_late_for_its_snapshot_gets_another(void **state)
{
    struct group *g = *state;

    for (unsigned i = 0; i < NODES; i++)
        g->r[i].conf.snapshot_idle_ms = 2 * ELECTION_MS;
    for (unsigned i = 0; i < NODES; i++) {
        replica_down(g, i);
        replica_up(g, i);
    }
    WAIT_FOR(g, cluster_is_made);
    fall_behind(g);
    replica_up(g, lagging);
    WAIT_FOR(g, snapshot_is_wanted);
    replica_down(g, lagging);
    WAIT_FOR(g, checkpoint_is_there);
    WAIT_FOR(g, checkpoint_is_gone);
    replica_up(g, lagging);
    WAIT_FOR(g, snapshot_is_installed);
    assert_same_state(g);
}

/* Flips a bit in the record of an entry that this replica has acknowledged. */
static void damage_log(struct group *g, unsigned i)
{
    char path[200];
    uint8_t byte;
    struct vfs_file *f;

    (void)snprintf(path, sizeof(path), "%s/log/seg-0000000000000001", g->r[i].conf.data_dir);
    assert_int_equal(vfs_open(vfs_posix(), path, O_RDWR, 0, &f), 0);
    assert_int_equal(vfs_pread_all(f, &byte, 1, 8192 + 512 + 100), 0);
    byte ^= 4;
    assert_int_equal(vfs_pwrite(f, &byte, 1, 8192 + 512 + 100), 0);
    vfs_close(f);
}

static bool is_whole(struct group *g)
{
    struct raft_status st;

    if (!g->r[lagging].node)
        return false;
    node_raft_status(g->r[lagging].node, &st);
    return st.role != RAFT_RECOVERING && all_equal(g);
}

/* I11: it neither votes nor acknowledges until it has again what it had. */
static void a_damaged_log_is_filled_again_by_the_leader(void **state)
{
    struct group *g = *state;
    struct raft_status st;
    char path[200];

    WAIT_FOR(g, cluster_is_made);
    propose_many(g, 300);
    WAIT_FOR(g, all_equal);
    lagging = (unsigned)(leader_of(g) + 1) % NODES;
    replica_down(g, lagging);
    damage_log(g, lagging);
    /* A store that a power failure has taken back to its beginning: all comes from the log. */
    (void)snprintf(path, sizeof(path), "%s/db-1", g->r[lagging].conf.data_dir);
    assert_int_equal(vfs_remove_all(vfs_posix(), path), 0);
    replica_up(g, lagging);
    node_raft_status(g->r[lagging].node, &st);
    assert_int_equal(st.role, RAFT_RECOVERING);
    propose_many(g, 10);
    WAIT_FOR(g, is_whole);
    assert_same_state(g);
    replica_down(g, lagging);
    replica_up(g, lagging);
    node_raft_status(g->r[lagging].node, &st);
    assert_int_not_equal(st.role, RAFT_RECOVERING);
    assert_same_state(g);
}

/* The state is thrown away, not the promises: it has to get back all that it had acknowledged. */
static void a_replica_that_diverged_begins_anew(void **state)
{
    struct group *g = *state;
    char path[200];

    WAIT_FOR(g, cluster_is_made);
    propose_many(g, 300);
    WAIT_FOR(g, all_equal);
    lagging = (unsigned)(leader_of(g) + 1) % NODES;
    replica_down(g, lagging);
    (void)snprintf(path, sizeof(path), "%s/DIVERGED", g->r[lagging].conf.data_dir);
    assert_int_equal(vfs_replace_file(vfs_posix(), path, "", 0, 0600), 0);
    replica_up(g, lagging);
    assert_int_equal(node_applied_index(g->r[lagging].node), 0);
    WAIT_FOR(g, is_whole);
    assert_same_state(g);
    propose_many(g, 10);
    assert_same_state(g);
}

static bool stopped;
static void on_stop(void *ctx)
{
    (void)ctx;
    stopped = true;
}
static bool is_stopped(struct group *g)
{
    (void)g;
    return stopped;
}

static void a_stopping_leader_hands_over_first(void **state)
{
    struct group *g = *state;
    int leader;

    WAIT_FOR(g, cluster_is_made);
    leader = leader_of(g);
    stopped = false;
    node_stop(g->r[leader].node, on_stop, NULL);
    WAIT_FOR(g, is_stopped);
    assert_false(node_is_serving(g->r[leader].node));
    replica_down(g, (unsigned)leader);
    WAIT_FOR(g, has_leader);
    assert_int_not_equal(leader_of(g), leader);
}

static void one_directory_serves_one_replica_at_a_time(void **state)
{
    struct group *g = *state;
    struct node *twin = NULL;
    struct node_conf other = g->r[0].conf;

    assert_int_equal(node_new(g->loop, g->slabs, NULL, &g->r[0].conf, &twin), -EBUSY);
    replica_down(g, 0);
    other.id.v = 2;
    assert_int_equal(node_new(g->loop, g->slabs, NULL, &other, &twin), -EXDEV);
    replica_up(g, 0);
}

static int count_namenode(void *ctx, const struct namenode_rec *rec)
{
    (void)rec;
    *(unsigned *)ctx += 1;
    return 0;
}

static bool all_are_noted(struct group *g)
{
    unsigned count = 0;
    int leader = leader_of(g);

    return leader >= 0 &&
           fsm_each_namenode(node_fsm(g->r[leader].node), count_namenode, &count) == 0 &&
           count == NODES && all_equal(g);
}

/* It has forgotten its votes: under its old id it must not take part. */
static void a_wiped_replica_is_refused(void **state)
{
    struct group *g = *state;
    uint64_t end;

    WAIT_FOR(g, cluster_is_made);
    WAIT_FOR(g, all_equal);
    lagging = (unsigned)(leader_of(g) + 1) % NODES;
    WAIT_FOR(g, all_are_noted);
    replica_down(g, lagging);
    assert_int_equal(vfs_remove_all(vfs_posix(), g->r[lagging].conf.data_dir), 0);
    replica_up(g, lagging);
    propose_many(g, 10);
    end = clock_monotonic_ns(clock_system()) + 4 * ELECTION_MS * CLOCK_NS_PER_MS;
    while (clock_monotonic_ns(clock_system()) < end)
        loop_run_once(g->loop, true);
    assert_int_not_equal(leader_of(g), (int)lagging);
    propose_many(g, 10);
    assert_int_equal(g->answers, 10);
    assert_int_equal(node_raft_conf(g->r[lagging].node)->count, 3);
}

static bool has_two_members(struct group *g)
{
    int leader = leader_of(g);

    return leader >= 0 && node_raft_conf(g->r[leader].node)->count == 2 && all_equal(g);
}

static bool newcomer_votes(struct group *g)
{
    const struct raft_member *m;
    int leader = leader_of(g);

    if (leader < 0)
        return false;
    m = raft_conf_find(node_raft_conf(g->r[leader].node), g->r[NODES].conf.id);
    return m && m->voter && all_equal(g);
}

/* Asks whoever leads until the change is in the log; addr NULL: to leave. */
static int change_members(struct group *g, struct raft_id id, const char *addr)
{
    int r;

    do {
        struct node *leader;

        WAIT_FOR(g, has_leader);
        leader = g->r[leader_of(g)].node;
        r = addr ? node_add_member(leader, id, addr) : node_remove_member(leader, id);
        loop_run_once(g->loop, true); /* An earlier change may not be committed yet. */
    } while (r == -EAGAIN || r == DFS_ENOTLEADER);
    return r;
}

/* The way back of R9: the old id leaves, the empty directory comes with a new one and, since the
 * log has been cut long since, by snapshot from somebody it knows nothing of. */
static void a_wiped_replica_joins_under_a_new_id(void **state)
{
    struct group *g = *state;
    struct raft_id newcomer = g->r[NODES].conf.id, old;
    const char *addr = g->r[NODES].conf.listen;

    WAIT_FOR(g, all_are_noted);
    fall_behind(g);
    old.v = lagging + 1;
    assert_int_equal(change_members(g, newcomer, "nowhere"), -EINVAL);
    assert_int_equal(change_members(g, newcomer, NULL), -ENOENT);
    assert_int_equal(change_members(g, old, NULL), 0);
    WAIT_FOR(g, has_two_members);

    lagging = NODES;
    replica_up(g, NODES);
    assert_int_equal(change_members(g, old, addr), -EEXIST);
    assert_int_equal(change_members(g, newcomer, addr), 0);
    WAIT_FOR(g, newcomer_votes);
    assert_true(node_stats(g->r[NODES].node)->snapshots_installed > 0);
    assert_same_state(g);

    /* And it counts: with it, another can go. */
    replica_down(g, old.v == 1 ? 1 : 0);
    g->last_id = 0;
    propose_many(g, 10);
    assert_int_equal(g->answers, 10);

    /* It finds the others by itself when it starts again. */
    replica_down(g, NODES);
    replica_up(g, NODES);
    propose_many(g, 10);
    assert_same_state(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(three_empty_directories_become_one_cluster),
        T(proposals_share_entries_and_are_answered_in_order),
        T(state_hashes_go_through_the_log),
        T(a_follower_refuses_and_names_the_leader),
        T(the_leader_reads_by_its_lease_and_by_a_round),
        T(without_the_lease_reads_wait_for_a_round),
        T(proposals_go_on_after_the_leader_is_gone),
        T(a_restarted_group_has_all_it_said),
        T(a_follower_far_behind_catches_up_by_snapshot),
        T(a_follower_too_late_for_its_snapshot_gets_another),
        T(a_damaged_log_is_filled_again_by_the_leader),
        T(a_replica_that_diverged_begins_anew),
        T(a_stopping_leader_hands_over_first),
        T(one_directory_serves_one_replica_at_a_time),
        T(a_wiped_replica_is_refused),
        T(a_wiped_replica_joins_under_a_new_id),
#undef T
    };

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_node", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
