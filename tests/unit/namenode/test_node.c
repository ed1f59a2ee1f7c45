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
#include "rpc/frame.h"
#include "rpc/node.pb-c.h"
#include "tests/unit/namenode/node_group.h"

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

static void say_space(struct node *to, uint64_t id, bool is_short)
{
    Dfs__NodeSpace m = DFS__NODE_SPACE__INIT;
    struct rpc_frame f = {0};
    uint8_t bytes[64];

    m.replica_id = id;
    m.bytes_total = 1000;
    m.bytes_free = is_short ? 10 : 900;
    m.is_short = is_short;
    f.header.body_len = (uint32_t)dfs__node_space__pack(&m, bytes);
    f.body = bytes;
    node_on_space(to, &f);
}

static bool space_is_told(struct group *g)
{
    struct node_space s;

    for (unsigned i = 0; i < NODES; i++) {
        if (!node_space_of(g->r[leader_of(g)].node, g->r[i].conf.id, &s))
            return false;
        assert_true(s.total_bytes > 0);
    }
    return true;
}

/* A follower whose disk is full could not log what the leader proposes, and would end (D2). */
static void a_full_disk_of_a_follower_stops_the_leader_too(void **state)
{
    struct group *g = *state;
    struct node *leader;
    uint64_t follower;

    WAIT_FOR(g, cluster_is_made);
    WAIT_FOR(g, space_is_told);
    leader = g->r[leader_of(g)].node;
    follower = node_id(leader).v % NODES + 1;
    assert_false(node_is_short_of_space(leader));
    say_space(leader, follower, true);
    assert_true(node_is_short_of_space(leader));
    say_space(leader, follower, false);
    assert_false(node_is_short_of_space(leader));
    say_space(leader, 77, true); /* no member */
    assert_false(node_is_short_of_space(leader));
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

static bool all_are_flushed(struct group *g)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct fsm_pos pos;

        assert_int_equal(fsm_flushed(node_fsm(g->r[i].node), &pos), 0);
        if (pos.index == 0)
            return false;
    }
    return true;
}

/* Small operations are many before they are 64 MiB, and each takes its time to be replayed. */
static void so_many_operations_are_flushed_long_before_the_time(void **state)
{
    struct group *g = *state;

    for (unsigned i = 0; i < NODES; i++) {
        g->r[i].conf.flush_ops = 250;
        g->r[i].conf.flush_ms = 3600000;
    }
    WAIT_FOR(g, cluster_is_made);
    assert_false(all_are_flushed(g));
    for (unsigned i = 0; i < 3; i++)
        propose_many(g, 100);
    WAIT_FOR(g, all_are_flushed);
}

static int harm_sst(void *ctx, const char *name, bool is_dir)
{
    char *path = mem_printf("%s/%s", (const char *)ctx, name);
    struct vfs_stat st;
    struct vfs_file *f;

    (void)is_dir;
    if (strstr(name, ".sst")) {
        assert_int_equal(vfs_stat(vfs_posix(), path, &st), 0);
        assert_int_equal(vfs_open(vfs_posix(), path, O_RDWR, 0, &f), 0);
        /* Its footer: the store does not open. */
        assert_int_equal(vfs_pwrite(f, "XXXXXXXX", 8, st.size - 8), 0);
        vfs_close(f);
    }
    free(path);
    return 0;
}

static int lose_current(void *ctx, const char *name, bool is_dir)
{
    char *path = mem_printf("%s/%s", (const char *)ctx, name);

    (void)is_dir;
    if (strcmp(name, "CURRENT") == 0)
        assert_int_equal(vfs_unlink(vfs_posix(), path), 0);
    free(path);
    return 0;
}

static int in_store(const char *data_dir, vfs_name_fn fn)
{
    /* The live one has the highest number; in these tests below 10. */
    for (unsigned number = 9; number > 0; number--) {
        char *path = mem_printf("%s/db-%u", data_dir, number);
        int r = vfs_list(vfs_posix(), path, fn, path);

        free(path);
        if (r != -ENOENT)
            return r;
    }
    return -ENOENT;
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

    /* What is lost of it is not in the log any more: it is not taken for new. */
    replica_down(g, lagging);
    assert_int_equal(in_store(g->r[lagging].conf.data_dir, lose_current), 0);
    replica_up(g, lagging);
    WAIT_FOR(g, snapshot_is_installed);
    assert_same_state(g);
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

/* A disk has damaged RocksDB's files: the replica starts all the same, and begins anew. */
static void a_store_that_is_damaged_is_set_aside(void **state)
{
    struct group *g = *state;

    WAIT_FOR(g, cluster_is_made);
    propose_many(g, 300);
    WAIT_FOR(g, all_equal);
    lagging = (unsigned)(leader_of(g) + 1) % NODES;
    assert_int_equal(fsm_flush(node_fsm(g->r[lagging].node), true), 0);
    replica_down(g, lagging);
    assert_int_equal(in_store(g->r[lagging].conf.data_dir, harm_sst), 0);
    replica_up(g, lagging);
    assert_int_equal(node_applied_index(g->r[lagging].node), 0);
    WAIT_FOR(g, is_whole);
    assert_same_state(g);
    propose_many(g, 10);
    assert_same_state(g);

    /* Once is enough: the next start goes on with what it has. */
    assert_int_equal(fsm_flush(node_fsm(g->r[lagging].node), true), 0);
    replica_down(g, lagging);
    replica_up(g, lagging);
    assert_int_not_equal(node_applied_index(g->r[lagging].node), 0);
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

/* What a follower said before does not count: it may have been old enough to lead. */
static int64_t restarted_ns;

static bool followers_are_back(struct group *g)
{
    struct raft_status st;
    int64_t now_ns = (int64_t)clock_monotonic_ns(clock_system());
    unsigned heard = 0;
    int leader = leader_of(g);

    if (leader < 0)
        return false;
    node_raft_status(g->r[leader].node, &st);
    for (unsigned i = 0; i < st.peer_count; i++)
        heard += now_ns - st.peers[i].acked_ns < 100 * 1000000 &&
                 (st.peers[i].acked_ns > restarted_ns || st.peers[i].id.v == (uint64_t)leader + 1);
    return heard == NODES && all_equal(g);
}

/* All but the leader, who is returned: they have been up for so short a time that none may lead. */
static unsigned restart_followers(struct group *g)
{
    for (unsigned tries = 0; tries < 20; tries++) {
        unsigned leader = (unsigned)leader_of(g);
        struct raft_id follower = {(leader + 1) % NODES + 1};

        for (unsigned i = 0; i < NODES; i++) {
            if (i == leader)
                continue;
            replica_down(g, i);
            restarted_ns = (int64_t)clock_monotonic_ns(clock_system());
            replica_up(g, i);
            WAIT_FOR(g, followers_are_back);
        }
        /* On a busy machine it may have taken so long that another leads, or may. */
        if (leader_of(g) == (int)leader && node_transfer(g->r[leader].node, follower) == -EAGAIN)
            return leader;
        WAIT_FOR(g, followers_are_back);
    }
    fail_msg("the followers were never young enough");
    return 0;
}

/* Who has just been started has no vote: handed over to him, the group would stand still. */
static void leadership_goes_to_who_can_take_it_at_once(void **state)
{
    struct group *g = *state;
    unsigned leader;

    WAIT_FOR(g, cluster_is_made);
    leader = restart_followers(g);
    stopped = false;
    node_stop(g->r[leader].node, on_stop, NULL);
    propose(g, (int)leader, 1); /* It still serves. */
    want_answers = 1;
    WAIT_FOR(g, answers_are_there);
    assert_true(g->answers == 1 || stopped);
    WAIT_FOR(g, is_stopped);
    assert_false(node_is_serving(g->r[leader].node));
    WAIT_FOR(g, has_leader);
}

/* Refused at once they would come back to us, again and again, until we know better. */
static void requests_wait_while_leadership_moves(void **state)
{
    struct group *g = *state;
    struct raft_id to;
    unsigned leader;
    int r;

    WAIT_FOR(g, cluster_is_made);
    leader = (unsigned)leader_of(g);
    to.v = (leader + 1) % NODES + 1;
    while ((r = node_transfer(g->r[leader].node, to)) == -EAGAIN)
        loop_run_once(g->loop, true);
    assert_int_equal(r, 0);
    propose(g, (int)leader, 1);
    want_answers = 1;
    WAIT_FOR(g, answers_are_there);
    assert_int_equal(g->refused, 1);
    assert_false(node_is_serving(g->r[leader].node));
    assert_string_equal(node_leader_addr(g->r[leader].node), g->r[to.v - 1].conf.listen);
    WAIT_FOR(g, has_leader);
    assert_int_equal(leader_of(g), to.v - 1);
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

/* Two of three live: without one of these the other would be alone with the dead one. */
static void a_removal_that_would_leave_no_majority_is_refused(void **state)
{
    struct group *g = *state;
    struct raft_id living, dead;
    uint64_t end;

    WAIT_FOR(g, cluster_is_made);
    lagging = (unsigned)(leader_of(g) + 1) % NODES;
    dead.v = lagging + 1;
    living.v = 1 + 2 + 3 - dead.v - (uint64_t)(leader_of(g) + 1);
    replica_down(g, lagging);
    end = clock_monotonic_ns(clock_system()) + 1100 * CLOCK_NS_PER_MS;
    while (clock_monotonic_ns(clock_system()) < end)
        loop_run_once(g->loop, true);
    WAIT_FOR(g, has_leader);
    assert_int_equal(node_remove_member(g->r[leader_of(g)].node, living), -EBUSY);
    assert_int_equal(change_members(g, dead, NULL), 0);
    WAIT_FOR(g, has_two_members);
    assert_int_equal(change_members(g, living, NULL), 0);
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
    for (unsigned i = 0; i < NODES; i++) {
        if (g->r[i].node) {
            replica_down(g, i);
            break;
        }
    }
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
#define T(name) cmocka_unit_test_setup_teardown(name, group_setup, group_teardown)
        T(three_empty_directories_become_one_cluster),
        T(proposals_share_entries_and_are_answered_in_order),
        T(state_hashes_go_through_the_log),
        T(a_full_disk_of_a_follower_stops_the_leader_too),
        T(a_follower_refuses_and_names_the_leader),
        T(the_leader_reads_by_its_lease_and_by_a_round),
        T(without_the_lease_reads_wait_for_a_round),
        T(proposals_go_on_after_the_leader_is_gone),
        T(a_restarted_group_has_all_it_said),
        T(so_many_operations_are_flushed_long_before_the_time),
        T(a_follower_far_behind_catches_up_by_snapshot),
        T(a_follower_too_late_for_its_snapshot_gets_another),
        T(a_damaged_log_is_filled_again_by_the_leader),
        T(a_replica_that_diverged_begins_anew),
        T(a_store_that_is_damaged_is_set_aside),
        T(a_stopping_leader_hands_over_first),
        T(leadership_goes_to_who_can_take_it_at_once),
        T(requests_wait_while_leadership_moves),
        T(one_directory_serves_one_replica_at_a_time),
        T(a_wiped_replica_is_refused),
        T(a_removal_that_would_leave_no_majority_is_refused),
        T(a_wiped_replica_joins_under_a_new_id),
#undef T
    };

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_node", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
