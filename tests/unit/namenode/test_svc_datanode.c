/*
 * Datanodes as the leader sees them: who is let in, what they are told, and what becomes of the
 * placement groups when one is not heard of. Who is in a group is pg_mgr's to decide and is tested
 * there; here it is what goes in and what comes out of it, over the wire.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "namenode/datanodes.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/pg_mgr.h"
#include "namenode/pg_push.h"
#include "namenode/records.h"
#include "tests/unit/namenode/svc_cluster.h"

static const uint64_t silence_ns = 2 * CLOCK_NS_PER_S;

static int count_target(void *ctx, const struct target_rec *rec)
{
    (void)rec;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned target_count(struct svc_cluster *c)
{
    unsigned n = 0;

    assert_int_equal(fsm_each_target(leader_fsm(c), count_target, &n), 0);
    return n;
}

static struct target_rec target_of(struct svc_cluster *c, uint32_t target)
{
    struct target_rec rec = {0};

    assert_int_equal(fsm_target_get(leader_fsm(c), target, &rec), 0);
    return rec;
}

static uint8_t state_now(struct svc_cluster *c, uint32_t pg, uint32_t target)
{
    struct pg_rec rec = pg_of(c, pg);

    return state_in(&rec, target);
}

/* ---- registration ---- */

static void a_datanode_that_registers_gets_its_number_and_the_map(void **state)
{
    struct svc_cluster *c = *state;
    struct cluster_rec cluster;
    const Dfs__NodeRegisterReply *r;
    uint32_t target;

    WAIT_UNTIL(c, cluster_is_made(c->g));
    assert_int_equal(dn_register(c, 0), 0);
    r = c->dn[0].reply;
    target = c->dn[0].targets[0];
    assert_int_not_equal(target, 0);
    assert_int_equal(fsm_cluster(leader_fsm(c), &cluster), 0);
    assert_int_equal(r->cluster_uuid.len, sizeof(cluster.uuid));
    assert_memory_equal(r->cluster_uuid.data, cluster.uuid, sizeof(cluster.uuid));
    assert_int_equal(r->data_key.len, cluster.data_key_len);
    assert_memory_equal(r->data_key.data, cluster.data_key, cluster.data_key_len);
    assert_int_equal(r->term, node_term(leader(c)));
    assert_int_equal(r->n_map, 1);
    assert_int_equal(r->map[0]->target, target);
    assert_string_equal(r->map[0]->addr, c->dn[0].addr);
    assert_memory_equal(r->map[0]->uuid.data, c->dn[0].uuids[0], 16);

    /* The number is the disk's for ever; where it is, and since when, is what it said last. */
    dn_restarts(c, 0);
    (void)snprintf(c->dn[0].addr, sizeof(c->dn[0].addr), "10.1.1.1:1");
    assert_int_equal(dn_register(c, 0), 0);
    assert_int_equal(c->dn[0].targets[0], target);
    assert_string_equal(target_of(c, target).addr, "10.1.1.1:1");
    assert_int_equal(target_of(c, target).incarnation, c->dn[0].incarnation);
    assert_int_equal(target_count(c), 1);
}

static int send_registration(struct svc_cluster *c, const char *node, const char *host,
                             size_t targets, size_t uuid_len, const uint8_t *cluster)
{
    Dfs__NodeRegisterRequest m = DFS__NODE_REGISTER_REQUEST__INIT;
    Dfs__TargetReport t[DN_TARGETS_MAX + 1], *ptrs[DN_TARGETS_MAX + 1];
    uint8_t uuids[DN_TARGETS_MAX + 1][16] = {{0}};
    char addr[] = "10.0.0.99:1";

    m.node = (char *)(uintptr_t)node;
    m.host = (char *)(uintptr_t)host;
    m.addr = addr;
    m.incarnation = 7;
    m.n_targets = targets;
    m.targets = ptrs;
    for (size_t i = 0; i < targets; i++) {
        uuids[i][0] = 0xbb;
        uuids[i][1] = (uint8_t)i;
        dfs__target_report__init(&t[i]);
        t[i].uuid = (ProtobufCBinaryData){.data = uuids[i], .len = uuid_len};
        ptrs[i] = &t[i];
    }
    if (cluster != NULL)
        m.cluster_uuid = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)cluster, .len = 16};
    return ask_leader(c, MSG_NODE_REGISTER, &m.base, &dfs__node_register_reply__descriptor);
}

/* And leaves nothing behind in the log. */
static void a_registration_that_makes_no_sense_is_refused(void **state)
{
    char too_long[REC_STRING_SIZE + 1];
    uint8_t other[16] = "another cluster";
    struct svc_cluster *c = *state;
    struct cluster_rec cluster;

    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    WAIT_UNTIL(c, cluster_is_made(c->g));
    assert_int_equal(fsm_cluster(leader_fsm(c), &cluster), 0);
    assert_int_equal(send_registration(c, "n", "h", 0, 16, NULL), -EEXIST);
    assert_int_equal(send_registration(c, "n", "h", DN_TARGETS_MAX + 1, 16, NULL), -EEXIST);
    assert_int_equal(send_registration(c, "n", "h", 1, 15, NULL), -EEXIST);
    assert_int_equal(send_registration(c, "", "h", 1, 16, NULL), -EEXIST);
    assert_int_equal(send_registration(c, "n", "", 1, 16, NULL), -EEXIST);
    assert_int_equal(send_registration(c, too_long, "h", 1, 16, NULL), -EEXIST);
    assert_int_equal(send_registration(c, "n", too_long, 1, 16, NULL), -EEXIST);
    assert_int_equal(send_registration(c, "n", "h", 1, 16, other), -EEXIST);
    assert_non_null(strstr(c->error->text, "another cluster"));
    assert_int_equal(target_count(c), 0);
    assert_int_equal(send_registration(c, "n", "h", DN_TARGETS_MAX, 16, cluster.uuid), 0);
    assert_int_equal(target_count(c), DN_TARGETS_MAX);
}

static void a_follower_sends_a_datanode_to_the_leader(void **state)
{
    struct svc_cluster *c = *state;
    int follower;

    WAIT_UNTIL(c, cluster_is_made(c->g));
    follower = (leader_of(c->g) + 1) % NODES;
    dn_connect(c, 0, follower);
    WAIT_UNTIL(c, c->dn[0].registered <= 0);
    assert_int_equal(c->dn[0].registered, DFS_ENOTLEADER);
    assert_int_equal(target_count(c), 0);
}

static void a_name_that_is_alive_is_nobody_elses(void **state)
{
    struct svc_cluster *c = *state;

    WAIT_UNTIL(c, cluster_is_made(c->g));
    assert_int_equal(dn_register(c, 0), 0);
    (void)snprintf(c->dn[1].node, sizeof(c->dn[1].node), "%s", c->dn[0].node);
    assert_int_equal(dn_register(c, 1), -EEXIST);
    assert_int_equal(target_count(c), 1);
    c->dn[0].beat_status = 1;
    WAIT_UNTIL(c, c->dn[0].beat_status == 0); /* The first is none the worse for it. */
    dn_down(c, 0);
    WAIT_UNTIL(c, dn_register(c, 1) == 0);
}

/* A copy of a disk must not take part: two would answer to one number. */
static void a_disk_that_is_alive_is_registered_by_nobody_else(void **state)
{
    struct svc_cluster *c = *state;
    uint32_t target;

    WAIT_UNTIL(c, cluster_is_made(c->g));
    assert_int_equal(dn_register(c, 0), 0);
    target = c->dn[0].targets[0];
    memcpy(c->dn[1].uuids[0], c->dn[0].uuids[0], 16);
    assert_int_equal(dn_register(c, 1), -EEXIST);
    assert_string_equal(target_of(c, target).node, "dn0");
    dn_down(c, 0); /* It was moved to another host. */
    WAIT_UNTIL(c, dn_register(c, 1) == 0);
    assert_int_equal(c->dn[1].targets[0], target);
    assert_string_equal(target_of(c, target).node, "dn1");
    assert_string_equal(target_of(c, target).host, "host1");
}

/* Its connection broke and the leader has not noticed: the same process may come in beside it. */
static void the_same_process_may_connect_again(void **state)
{
    struct svc_cluster *c = *state;
    struct conn *old;

    three_dns_with_pgs(c);
    old = c->dn[0].conn;
    c->dn[0].conn = NULL; /* Not closed. */
    assert_int_equal(dn_register(c, 0), 0);
    conn_free(old); /* What the leader hears of the old one now is of no interest. */
    c->dn[0].beat_status = 1;
    WAIT_UNTIL(c, c->dn[0].beat_status <= 0);
    assert_int_equal(c->dn[0].beat_status, 0);
    let_tick(c, 3);
    assert_true(target_in(report_of(c), c->dn[0].targets[0])->alive);
    assert_int_equal(pg_of(c, 1).epoch, 1);
}

/*
 * Both come while the log is at work for the other: whoever is let in has to be the one that the
 * log names, or it would never count as alive.
 */
static void of_two_that_come_at_once_the_one_let_in_is_alive(void **state)
{
    struct svc_cluster *c = *state;
    unsigned in;

    WAIT_UNTIL(c, cluster_is_made(c->g));
    memcpy(c->dn[1].node, c->dn[0].node, sizeof(c->dn[1].node));
    memcpy(c->dn[1].uuids[0], c->dn[0].uuids[0], 16);
    assert_int_equal(dn_register(c, 0), 0); /* So that its disk is known. */
    dn_restarts(c, 0);
    let_tick(c, 1);
    dn_connect(c, 0, leader_of(c->g));
    dn_connect(c, 1, leader_of(c->g));
    WAIT_UNTIL(c, c->dn[0].registered <= 0 && c->dn[1].registered <= 0);
    for (unsigned i = 0; i < 2; i++) { /* Who was refused asks again. */
        if (c->dn[i].registered < 0)
            (void)dn_register(c, i);
    }
    assert_true((c->dn[0].registered == 0) != (c->dn[1].registered == 0));
    in = c->dn[0].registered == 0 ? 0 : 1;
    assert_int_equal(target_of(c, c->dn[in].targets[0]).incarnation, c->dn[in].incarnation);
    let_tick(c, 3);
    assert_true(target_in(report_of(c), c->dn[in].targets[0])->alive);
}

static void only_who_is_registered_has_a_heartbeat(void **state)
{
    Dfs__HeartbeatRequest m = DFS__HEARTBEAT_REQUEST__INIT;
    struct svc_cluster *c = *state;

    dns_up(c, 1);
    m.node = c->dn[0].node;
    m.incarnation = c->dn[0].incarnation;
    assert_int_equal(/* Right in all, but it comes from somebody else's connection. */
                     ask_leader(c, MSG_HEARTBEAT, &m.base, &dfs__heartbeat_reply__descriptor),
                     DFS_ESTALE_SESSION);
    c->dn[0].incarnation++;
    c->dn[0].beat_status = 1;
    WAIT_UNTIL(c, c->dn[0].beat_status == DFS_ESTALE_SESSION);
    c->dn[0].incarnation--;
    WAIT_UNTIL(c, c->dn[0].beat_status == 0);
}

/* ---- targets ---- */

static void a_disk_that_was_taken_away_is_removed_and_may_come_back(void **state)
{
    struct svc_cluster *c = *state;
    uint32_t away;

    WAIT_UNTIL(c, cluster_is_made(c->g));
    c->dn[0].target_count = 2;
    assert_int_equal(dn_register(c, 0), 0);
    away = c->dn[0].targets[1];
    assert_int_not_equal(away, c->dn[0].targets[0]);
    let_tick(c, 3);
    assert_int_equal(target_of(c, away).state, DFS__TARGET_STATE__TARGET_ACTIVE);
    dn_restarts(c, 0);
    c->dn[0].target_count = 1;
    WAIT_UNTIL(c, dn_register(c, 0) == 0);
    WAIT_UNTIL(c, target_of(c, away).state == DFS__TARGET_STATE__TARGET_REMOVED);
    assert_int_equal(target_of(c, c->dn[0].targets[0]).state, DFS__TARGET_STATE__TARGET_ACTIVE);
    dn_restarts(c, 0);
    c->dn[0].target_count = 2;
    WAIT_UNTIL(c, dn_register(c, 0) == 0);
    assert_int_equal(c->dn[0].targets[1], away);
    assert_int_equal(target_of(c, away).state, DFS__TARGET_STATE__TARGET_ACTIVE);
}

static void a_disk_that_fails_leaves_its_groups_at_once(void **state)
{
    struct svc_cluster *c = *state;
    const Dfs__ReportReply *r;
    uint32_t bad;

    three_dns_with_pgs(c);
    bad = c->dn[0].targets[0];
    c->dn[0].is_failed = true;
    for (uint32_t pg = 1; pg <= 2; pg++) {
        struct pg_rec rec;

        WAIT_UNTIL(c, pg_of(c, pg).epoch == 2);
        rec = pg_of(c, pg);
        assert_int_equal(state_in(&rec, bad), PG_OFFLINE);
        assert_int_equal(state_in(&rec, c->dn[1].targets[0]), PG_SERVING);
        assert_int_equal(state_in(&rec, c->dn[2].targets[0]), PG_SERVING);
    }
    r = report_of(c);
    assert_int_equal(target_in(r, bad)->state, DFS__TARGET_STATE__TARGET_FAILED);
    /* Its space is nobody's; what is written now is kept twice. */
    assert_int_equal(r->bytes_total, c->dn[1].bytes_total);
    let_tick(c, 3);
    assert_int_equal(pg_of(c, 1).epoch, 2); /* And it is not taken in again. */
}

/* ---- placement groups ---- */

static void groups_are_made_when_there_are_enough_hosts(void **state)
{
    struct svc_cluster *c = *state;

    memcpy(c->dn[2].host, c->dn[1].host, sizeof(c->dn[1].host));
    dns_up(c, 3); /* Three disks, but on two hosts. */
    let_tick(c, 5);
    assert_int_equal(pg_count(c), 0);
    assert_int_equal(dn_register(c, 3), 0);
    WAIT_UNTIL(c, pg_count(c) == 3); /* Two for each of four disks, in chains of three. */
    let_tick(c, 3);
    assert_int_equal(pg_count(c), 3); /* Made once. */
    for (uint32_t pg = 1; pg <= 3; pg++) {
        struct pg_rec rec = pg_of(c, pg);

        assert_int_equal(rec.epoch, 1);
        assert_int_equal(rec.member_count, 3);
        assert_true(state_in(&rec, c->dn[1].targets[0]) == 0 ||
                    state_in(&rec, c->dn[2].targets[0]) == 0);
    }
}

static bool all_know(struct svc_cluster *c, unsigned count, uint32_t pg, uint64_t epoch)
{
    for (unsigned i = 0; i < count; i++) {
        if (c->dn[i].conn != NULL && c->dn[i].pgs[pg].epoch != epoch)
            return false;
    }
    return true;
}

/* Also those that are not in it: a client may ask any. */
static void every_datanode_is_told_of_a_new_configuration(void **state)
{
    struct svc_cluster *c = *state;
    uint32_t pgs;

    dns_up(c, 4);
    WAIT_UNTIL(c, (pgs = pg_count(c)) > 0);
    for (uint32_t pg = 1; pg <= pgs; pg++)
        WAIT_UNTIL(c, all_know(c, 4, pg, 1));
    c->dn[3].is_failed = true;
    for (uint32_t pg = 1; pg <= pgs; pg++) {
        if (state_in(&c->dn[0].pgs[pg], c->dn[3].targets[0]) != 0)
            WAIT_UNTIL(c, all_know(c, 4, pg, 2));
    }
}

/* A push may be lost: the heartbeat shows an old epoch, and it comes again. */
static void who_missed_a_configuration_gets_it_again(void **state)
{
    struct svc_cluster *c = *state;

    three_dns_with_pgs(c);
    WAIT_UNTIL(c, all_know(c, 3, 1, 1) && all_know(c, 3, 2, 1));
    c->dn[1].refuses_configs = true;
    c->dn[0].is_failed = true;
    WAIT_UNTIL(c, c->dn[1].refused_configs >= 3 && c->dn[2].pgs[1].epoch == 2);
    assert_int_equal(c->dn[1].pgs[1].epoch, 1);
    c->dn[1].refuses_configs = false;
    WAIT_UNTIL(c, all_know(c, 3, 1, 2) && all_know(c, 3, 2, 2));
    c->dn[1].configs = 0;
    let_tick(c, 5);
    assert_int_equal(c->dn[1].configs, 0); /* What is known is not said again. */
}

/* A connection may break though the datanode is well: only silence says that it is gone. */
static void a_broken_connection_alone_is_not_death(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t heard;
    struct pg_rec pg;

    three_dns_with_pgs(c);
    WAIT_UNTIL(c, c->dn[0].beat_status == 0);
    heard = c->dn[0].beaten_ns;
    dn_down(c, 0);
    /* That neighbour has no say: the word is not for its own disk. */
    pg = pg_of(c, 1);
    dn_accuses(&c->dn[1], c->dn[2].targets[0], &pg, c->dn[0].targets[0]);
    WAIT_UNTIL(c, pg_of(c, 1).epoch == 2 && pg_of(c, 2).epoch == 2);
    assert_true(loop_now_ns(c->g->loop) - heard >= silence_ns);
    pg = pg_of(c, 1);
    assert_int_equal(state_in(&pg, c->dn[0].targets[0]), PG_OFFLINE);
    assert_false(target_in(report_of(c), c->dn[0].targets[0])->alive);
}

static void a_broken_connection_and_a_neighbours_word_are_enough(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t heard;
    struct pg_rec pg;

    three_dns_with_pgs(c);
    WAIT_UNTIL(c, c->dn[0].beat_status == 0);
    pg = pg_of(c, 1);
    heard = c->dn[0].beaten_ns;
    dn_down(c, 0);
    dn_accuses(&c->dn[1], c->dn[1].targets[0], &pg, c->dn[0].targets[0]);
    WAIT_UNTIL(c, pg_of(c, 1).epoch == 2 && pg_of(c, 2).epoch == 2);
    if (loop_now_ns(c->g->loop) - heard >= silence_ns)
        print_message("too slow a machine to tell this from silence\n");
    pg = pg_of(c, 1);
    assert_int_equal(state_in(&pg, c->dn[0].targets[0]), PG_OFFLINE);
}

/* Its connection stands, it says nothing; then it comes back by joining, and serves when done. */
static void a_silent_datanode_leaves_and_joins_again(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t heard;
    uint32_t target;
    struct pg_rec pg;

    three_dns_with_pgs(c);
    target = c->dn[0].targets[0];
    WAIT_UNTIL(c, c->dn[0].beat_status == 0);
    c->dn[0].is_silent = true;
    heard = c->dn[0].beaten_ns;
    WAIT_UNTIL(c, pg_of(c, 1).epoch == 2);
    assert_true(loop_now_ns(c->g->loop) - heard >= silence_ns);
    pg = pg_of(c, 1);
    assert_int_equal(state_in(&pg, target), PG_OFFLINE);
    assert_true(pg_is_writable(&pg));

    c->dn[0].is_silent = false;
    WAIT_UNTIL(c, state_now(c, 1, target) == PG_SYNCING);
    let_tick(c, 5); /* It has to say so itself. */
    pg = pg_of(c, 1);
    assert_int_equal(state_in(&pg, target), PG_SYNCING);
    c->dn[0].is_synced = true;
    WAIT_UNTIL(c, state_now(c, 1, target) == PG_SERVING);
}

/* The chain survives the leader: same groups, same epochs, if all are heard in time. */
static void a_new_leader_leaves_the_groups_as_they_are(void **state)
{
    struct svc_cluster *c = *state;
    uint32_t targets[3];

    three_dns_with_pgs(c);
    for (unsigned i = 0; i < 3; i++)
        targets[i] = c->dn[i].targets[0];
    leader_restarts(c);
    dns_up(c, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(c->dn[i].targets[0], targets[i]);
    assert_int_equal(c->dn[0].reply->n_pgs, 2);
    assert_int_equal(c->dn[0].reply->n_map, 3);
    let_tick(c, 5);
    assert_int_equal(pg_count(c), 2);
    assert_int_equal(pg_of(c, 1).epoch, 1);
    assert_int_equal(pg_of(c, 2).epoch, 1);
    assert_true(target_in(report_of(c), targets[0])->alive);
}

/* ---- fences ---- */

struct fence_seen {
    uint64_t session;
    bool is_there, is_done;
};

static int look_at_fence(void *ctx, const struct fence_rec *rec)
{
    struct fence_seen *f = ctx;

    if (rec->session == f->session) {
        f->is_there = true;
        f->is_done = rec->done;
    }
    return 0;
}

static struct fence_seen fence_of(struct svc_cluster *c, uint64_t session)
{
    struct fence_seen f = {.session = session};

    assert_int_equal(fsm_each_fence(leader_fsm(c), look_at_fence, &f), 0);
    return f;
}

static void on_evicted(void *ctx, int status, const Dfs__MetaReply *reply)
{
    *(int *)ctx = status < 0 ? status : reply->status;
}

static void evict(struct svc_cluster *c, uint64_t session)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__SessionEndOp op = DFS__SESSION_END_OP__INIT;
    int status = 1;

    op.session = session;
    op.evicted = true;
    req.op_case = DFS__META_REQUEST__OP_SESSION_END;
    req.session_end = &op;
    node_propose(leader(c), &req, on_evicted, &status);
    WAIT_UNTIL(c, status <= 0);
    assert_int_equal(status, 0);
}

/* Else a write of the evicted could still come in where nobody knows of it. */
static void a_fence_is_done_when_every_datanode_knows_it(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t session;

    three_dns_with_pgs(c);
    session_open(c, 0);
    session = c->sessions[0].id;
    c->dn[1].refuses_configs = true;
    evict(c, session);
    WAIT_UNTIL(c, c->dn[0].fenced_count == 1 && c->dn[2].fenced_count == 1);
    assert_int_equal(c->dn[0].fenced[0], session);
    c->dn[1].refused_configs = 0;
    WAIT_UNTIL(c, c->dn[1].refused_configs >= 1); /* It is told again and again. */
    assert_true(fence_of(c, session).is_there);
    assert_false(fence_of(c, session).is_done);
    c->dn[1].refuses_configs = false;
    WAIT_UNTIL(c, fence_of(c, session).is_done);
    assert_int_equal(c->dn[1].fenced_count, 1);

    /* Who comes later is told when it registers. */
    assert_int_equal(dn_register(c, 3), 0);
    assert_int_equal(c->dn[3].reply->n_fenced_sessions, 1);
    assert_int_equal(c->dn[3].reply->fenced_sessions[0], session);
}

/* It may be well and take writes, and only be out of our sight: until the chains go on without it. */
static void a_fence_waits_for_a_member_that_is_not_connected(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t session;
    uint32_t away;

    three_dns_with_pgs(c);
    session_open(c, 0);
    session = c->sessions[0].id;
    away = c->dn[1].targets[0];
    dn_down(c, 1);
    evict(c, session);
    WAIT_UNTIL(c, fence_of(c, session).is_done);
    assert_int_equal(state_now(c, 1, away), PG_OFFLINE);
    assert_int_equal(state_now(c, 2, away), PG_OFFLINE);
}

/* It has heard of nobody yet, and a chain without any live member stays as it is. */
static void a_new_leader_does_not_take_absence_for_knowledge(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t session;

    three_dns_with_pgs(c);
    session_open(c, 0);
    session = c->sessions[0].id;
    c->dn[1].refuses_configs = true;
    evict(c, session);
    assert_false(fence_of(c, session).is_done);
    leader_restarts(c);
    let_tick(c, 40);
    assert_true(fence_of(c, session).is_there);
    assert_false(fence_of(c, session).is_done);
    c->dn[1].refuses_configs = false;
    dns_up(c, 3);
    WAIT_UNTIL(c, fence_of(c, session).is_done);
}

/* The group is down, perhaps for days: those that are there need not hear of it every second. */
static void a_fence_that_waits_is_told_once(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t session;

    three_dns_with_pgs(c);
    assert_int_equal(dn_register(c, 3), 0); /* It is in no chain. */
    session_open(c, 0);
    session = c->sessions[0].id;
    for (unsigned i = 0; i < 3; i++)
        dn_down(c, i);
    evict(c, session);
    WAIT_UNTIL(c, c->dn[3].fenced_count == 1);
    let_tick(c, 15);
    c->dn[3].configs = 0;
    let_tick(c, 25);
    assert_int_equal(c->dn[3].configs, 0);
    assert_false(fence_of(c, session).is_done);
}

/* A fence is in the memory of datanodes only, a mount may sleep for years: what a datanode is told
 * when it starts has to hold up all the sessions that ever were evicted. */
static void a_fence_is_kept_while_an_older_session_lives(void **state)
{
    const int64_t hour = 3600 * (int64_t)CLOCK_NS_PER_S;
    struct fence_rec rec = {.session = 8, .since_ns = 1000, .done = true};

    (void)state;
    assert_true(fence_may_be_forgotten(&rec, 9, 1001 + hour));
    assert_false(fence_may_be_forgotten(&rec, 8, 1001 + 10000 * hour));
    assert_false(fence_may_be_forgotten(&rec, 9, 1000 + hour));
    rec.done = false;
    assert_false(fence_may_be_forgotten(&rec, 9, 1001 + hour));
}

static void datanodes_are_told_the_lowest_session_that_lives(void **state)
{
    struct svc_cluster *c = *state;

    three_dns_with_pgs(c);
    for (unsigned s = 0; s < 3; s++)
        session_open(c, s);
    evict(c, c->sessions[1].id);
    WAIT_UNTIL(c, c->dn[0].fenced_count == 1);
    assert_int_equal(c->dn[0].lowest_session, c->sessions[0].id);
    assert_int_equal(session_close(c, 0), 0);
    dn_restarts(c, 1);
    WAIT_UNTIL(c, dn_register(c, 1) == 0);
    assert_int_equal(c->dn[1].reply->lowest_session, c->sessions[2].id);
}

/* ---- the report ---- */

static void tell_bad_chunk(struct svc_cluster *c, uint64_t chunk, bool healed)
{
    Dfs__BadChunkReport m = DFS__BAD_CHUNK_REPORT__INIT;
    char what[] = "a block fails its CRC";

    m.target = c->dn[0].targets[0];
    m.pg = 1;
    m.chunk_id = chunk;
    m.block = 5;
    m.what = what;
    m.healed = healed;
    assert_int_equal(ask_leader(c, MSG_BAD_CHUNK, &m.base, &dfs__empty__descriptor), 0);
}

static void damage_is_in_the_report(void **state)
{
    struct svc_cluster *c = *state;
    const Dfs__ReportReply *r;

    dns_up(c, 1);
    assert_int_equal(report_of(c)->n_bad, 0);
    tell_bad_chunk(c, 77, false);
    tell_bad_chunk(c, 78, false);
    r = report_of(c);
    assert_int_equal(r->n_bad, 2);
    assert_int_equal(r->bad[1]->chunk_id, 77);
    assert_int_equal(r->bad[1]->target, c->dn[0].targets[0]);
    assert_int_equal(r->bad[1]->block, 5);
    assert_false(r->bad[1]->healed);
    tell_bad_chunk(c, 77, true);
    r = report_of(c);
    assert_int_equal(r->n_bad, 2);
    assert_int_equal(r->bad[0]->chunk_id, 77);
    assert_true(r->bad[0]->healed);
}

static void the_report_has_what_the_heartbeats_say(void **state)
{
    struct svc_cluster *c = *state;
    const Dfs__ReportReply *r;

    three_dns_with_pgs(c);
    c->dn[0].bytes_free = 12345;
    c->dn[0].beat_status = 1;
    WAIT_UNTIL(c, c->dn[0].beat_status == 0);
    r = report_of(c);
    assert_int_equal(target_in(r, c->dn[0].targets[0])->bytes_free, 12345);
    assert_int_equal(r->n_pgs, 2);
    assert_int_equal(r->bytes_total, c->dn[0].bytes_total); /* Three disks, three copies. */
    assert_int_equal(r->bytes_free, 0); /* A nearly full one of three: nothing fits in all. */
    assert_true(r->serving);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup, svc_cluster_teardown)
#define T3(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup_three, svc_cluster_teardown)
    const struct CMUnitTest tests[] = {
        T(a_datanode_that_registers_gets_its_number_and_the_map),
        T(a_registration_that_makes_no_sense_is_refused),
        T3(a_follower_sends_a_datanode_to_the_leader),
        T(a_name_that_is_alive_is_nobody_elses),
        T(a_disk_that_is_alive_is_registered_by_nobody_else),
        T(the_same_process_may_connect_again),
        T(of_two_that_come_at_once_the_one_let_in_is_alive),
        T(only_who_is_registered_has_a_heartbeat),
        T(a_disk_that_was_taken_away_is_removed_and_may_come_back),
        T(a_disk_that_fails_leaves_its_groups_at_once),
        T(groups_are_made_when_there_are_enough_hosts),
        T(every_datanode_is_told_of_a_new_configuration),
        T(who_missed_a_configuration_gets_it_again),
        T(a_broken_connection_alone_is_not_death),
        T(a_broken_connection_and_a_neighbours_word_are_enough),
        T(a_silent_datanode_leaves_and_joins_again),
        T(a_new_leader_leaves_the_groups_as_they_are),
        T(a_fence_is_done_when_every_datanode_knows_it),
        T(a_fence_waits_for_a_member_that_is_not_connected),
        T(a_new_leader_does_not_take_absence_for_knowledge),
        T(a_fence_that_waits_is_told_once),
        T(a_fence_is_kept_while_an_older_session_lives),
        T(datanodes_are_told_the_lowest_session_that_lives),
        T(damage_is_in_the_report),
        T(the_report_has_what_the_heartbeats_say),
    };
#undef T3
#undef T

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_svc_datanode", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
