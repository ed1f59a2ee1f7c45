/* Sessions over the wire: how one begins and ends, and who may say that it has ended. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "rpc/token.h"
#include "tests/unit/namenode/svc_cluster.h"

static int send_open(struct svc_cluster *c, size_t uuid_len, char *name)
{
    Dfs__SessionOpenRequest m = DFS__SESSION_OPEN_REQUEST__INIT;
    uint8_t uuid[16] = {0xee};

    m.client_uuid = (ProtobufCBinaryData){.data = uuid, .len = uuid_len};
    m.name = name;
    return ask_leader(c, MSG_SESSION_OPEN, &m.base, &dfs__session_open_reply__descriptor);
}

static int send_renew(struct svc_cluster *c, int replica, uint64_t session)
{
    Dfs__SessionRenewRequest m = DFS__SESSION_RENEW_REQUEST__INIT;

    m.session = session;
    return ask(c, replica, MSG_SESSION_RENEW, &m.base, &dfs__session_renew_reply__descriptor);
}

static int getattr_root(struct svc_cluster *c, unsigned s)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__GetattrOp op = DFS__GETATTR_OP__INIT;

    op.ino = 1;
    req.op_case = DFS__META_REQUEST__OP_GETATTR;
    req.getattr = &op;
    return meta(c, s, &req);
}

/* The token is all that a datanode has to know it by. */
static void a_session_comes_with_a_token_for_the_datanodes(void **state)
{
    struct svc_cluster *c = *state;
    const Dfs__SessionOpenReply *m;
    uint8_t token[TOKEN_BYTES];
    struct cluster_rec cluster;

    session_open(c, 0);
    m = (const Dfs__SessionOpenReply *)c->reply;
    assert_int_equal(fsm_cluster(leader_fsm(c), &cluster), 0);
    assert_int_equal(token_make(cluster.data_key, cluster.data_key_len, m->session, token), 0);
    assert_int_equal(m->data_token.len, sizeof(token));
    assert_memory_equal(m->data_token.data, token, sizeof(token));
    assert_memory_equal(m->cluster_uuid.data, cluster.uuid, sizeof(cluster.uuid));
    assert_int_equal(m->term, node_term(leader(c)));
    assert_true(m->lease_ms > 0);
    assert_int_equal(getattr_root(c, 0), 0);
    assert_int_equal(send_renew(c, leader_of(c->g), c->sessions[0].id), 0);
}

static void a_session_needs_a_uuid_and_a_short_name(void **state)
{
    struct svc_cluster *c = *state;
    char name[] = "a client", too_long[REC_STRING_SIZE + 1];

    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    WAIT_UNTIL(c, cluster_is_made(c->g));
    assert_true(send_open(c, 15, name) < 0);
    assert_true(send_open(c, 0, name) < 0);
    assert_true(send_open(c, 16, too_long) < 0);
    assert_int_equal(fsm_state(leader_fsm(c))->session_count, 0);
    assert_int_equal(send_open(c, 16, name), 0);
    assert_int_equal(fsm_state(leader_fsm(c))->session_count, 1);
}

static void a_session_that_was_closed_is_known_no_more(void **state)
{
    struct svc_cluster *c = *state;

    session_open(c, 0);
    session_open(c, 1);
    assert_int_equal(session_close(c, 0), 0);
    assert_int_equal(send_renew(c, leader_of(c->g), c->sessions[0].id), DFS_ESTALE_SESSION);
    assert_int_equal(getattr_root(c, 0), DFS_ESTALE_SESSION);
    assert_int_equal(session_close(c, 0), 0); /* The answer may have been lost: it may ask again. */
    assert_int_equal(getattr_root(c, 1), 0);
    assert_int_equal(fsm_state(leader_fsm(c))->session_count, 1);
}

/* A client that was started anew has nothing to do with what it was before. */
static void a_client_that_opens_again_ends_its_older_session(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t old, ino;

    session_open(c, 1);
    session_open(c, 0);
    old = c->sessions[0].id;
    ino = file_make(c, 0, "open", 0);
    file_unlink(c, 1, "open");
    let_tick(c, 3);
    assert_true(inode_is_there(c, ino));
    session_open(c, 0);
    assert_true(c->sessions[0].id > old);
    assert_int_equal(send_renew(c, leader_of(c->g), old), DFS_ESTALE_SESSION);
    WAIT_UNTIL(c, !inode_is_there(c, ino)); /* And what that had open is open no more. */
}

static void a_session_outlives_the_leaders_memory(void **state)
{
    struct svc_cluster *c = *state;

    session_open(c, 0);
    leader_restarts(c);
    assert_int_equal(getattr_root(c, 0), 0);
    assert_int_equal(session_attach(c, 0, NULL, 0), 0);
    assert_int_equal(send_renew(c, leader_of(c->g), c->sessions[0].id + 1), DFS_ESTALE_SESSION);
}

static void a_follower_knows_of_no_sessions(void **state)
{
    struct svc_cluster *c = *state;
    int follower;

    session_open(c, 0);
    follower = (leader_of(c->g) + 1) % NODES;
    assert_int_equal(send_renew(c, follower, c->sessions[0].id), DFS_ENOTLEADER);
    assert_string_equal(c->error->leader_addr, c->g->r[leader_of(c->g)].conf.listen);
}

/* A client that is told wrongly that its session has ended gives up what it has not written. */
static void who_cannot_be_sure_to_lead_calls_no_session_ended(void **state)
{
    struct svc_cluster *c = *state;
    int old;

    session_open(c, 0);
    old = leader_of(c->g);
    for (int i = 0; i < NODES; i++) {
        if (i != old)
            replica_down(c->g, (unsigned)i);
    }
    WAIT_UNTIL(c, !node_read_now(c->g->r[old].node)); /* Its lease has run out. */
    assert_int_equal(send_renew(c, old, c->sessions[0].id + 1), DFS_ENOTLEADER);
}

/* Each read, from now on, waits for a round of heartbeats. */
static void no_leases(struct svc_cluster *c)
{
    for (unsigned i = 0; i < NODES; i++) {
        replica_down(c->g, i);
        c->g->r[i].conf.read_lease = false;
        replica_up(c->g, i);
    }
}

/* Another may lead by now, and may have ended it. */
static void who_cannot_be_sure_to_lead_renews_no_session(void **state)
{
    struct svc_cluster *c = *state;
    int old;

    no_leases(c);
    session_open(c, 0);
    old = leader_of(c->g);
    for (int i = 0; i < NODES; i++) {
        if (i != old)
            replica_down(c->g, (unsigned)i);
    }
    assert_true(node_is_serving(c->g->r[old].node)); /* It has not noticed yet. */
    assert_int_equal(send_renew(c, old, c->sessions[0].id), DFS_ENOTLEADER);
}

/* ---- silence ---- */

enum { SILENCE_MS = 600 };

/* Before any of them runs. */
static void evict_after(struct svc_cluster *c, uint64_t silence_ms)
{
    for (int i = 0; i < NODES; i++)
        c->g->r[i].conf.session_timeout_ms = silence_ms;
}

static uint64_t now_ms(struct svc_cluster *c)
{
    return loop_now_ns(c->g->loop) / CLOCK_NS_PER_MS;
}

static bool is_known(struct svc_cluster *c, uint64_t session)
{
    struct session_rec rec;

    return fsm_session_get(leader_fsm(c), session, &rec) == 0;
}

static bool is_fenced_at(const struct fake_dn *dn, uint64_t session)
{
    for (size_t i = 0; i < dn->fenced_count; i++) {
        if (dn->fenced[i] == session)
            return true;
    }
    return false;
}

/* It is given up: what it held open goes, and what it sends to datanodes is refused there. */
static void a_silent_session_is_evicted(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t silent, ino;

    evict_after(c, SILENCE_MS);
    three_dns_with_pgs(c);
    session_open(c, 0);
    session_open(c, 1);
    silent = c->sessions[0].id;
    ino = file_make(c, 0, "open", 0);
    file_unlink(c, 1, "open");
    for (uint64_t end = wait_end(); is_known(c, silent); wait_turn(c, end, "eviction"))
        assert_int_equal(send_renew(c, leader_of(c->g), c->sessions[1].id), 0);
    WAIT_UNTIL(c, !inode_is_there(c, ino));
    for (unsigned i = 0; i < 3; i++)
        WAIT_UNTIL(c, is_fenced_at(&c->dn[i], silent));
    assert_int_equal(send_renew(c, leader_of(c->g), silent), DFS_ESTALE_SESSION);
    assert_int_equal(getattr_root(c, 0), DFS_ESTALE_SESSION);
    assert_int_equal(getattr_root(c, 1), 0);
    assert_false(is_fenced_at(&c->dn[0], c->sessions[1].id));
    session_open(c, 0);
    assert_true(c->sessions[0].id > c->sessions[1].id); /* Its number is not given again. */
}

/* A new leader does not know what it has open: perhaps this. */
static void deleted_files_wait_for_who_has_not_told_what_is_open(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t silent, ino;

    evict_after(c, 2 * SILENCE_MS);
    session_open(c, 0);
    session_open(c, 1);
    silent = c->sessions[0].id;
    leader_restarts(c);
    assert_int_equal(session_attach(c, 1, NULL, 0), 0);
    ino = file_make(c, 1, "file", 0);
    file_close(c, 1, ino);
    file_unlink(c, 1, "file");
    for (uint64_t end = wait_end(); is_known(c, silent); wait_turn(c, end, "eviction")) {
        assert_true(inode_is_there(c, ino));
        assert_int_equal(send_renew(c, leader_of(c->g), c->sessions[1].id), 0);
    }
    WAIT_UNTIL(c, !inode_is_there(c, ino));
}

/* Held up by the network until this one led: it has opened something since, perhaps this. */
static void what_was_told_to_an_earlier_leader_counts_for_nothing(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t ino, term;

    evict_after(c, 60000);
    session_open(c, 0);
    session_open(c, 1);
    term = ((const Dfs__SessionOpenReply *)c->reply)->term;
    leader_restarts(c);
    assert_int_equal(session_attach_to(c, 0, term, NULL, 0), 0);
    assert_int_equal(session_attach(c, 1, NULL, 0), 0);
    ino = file_make(c, 1, "file", 0);
    file_close(c, 1, ino);
    file_unlink(c, 1, "file");
    let_tick(c, 5);
    assert_true(inode_is_there(c, ino));
    assert_int_equal(send_renew(c, leader_of(c->g), c->sessions[0].id), 0);
    assert_true(((const Dfs__SessionRenewReply *)c->reply)->term > term);
    term = ((const Dfs__SessionRenewReply *)c->reply)->term;
    assert_int_equal(session_attach_to(c, 0, term, NULL, 0), 0);
    WAIT_UNTIL(c, !inode_is_there(c, ino));
}

static void what_is_heard_of_a_session_keeps_it(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t end;

    evict_after(c, SILENCE_MS);
    session_open(c, 0);
    session_open(c, 1);
    end = now_ms(c) + 3 * SILENCE_MS;
    while (now_ms(c) < end) {
        assert_int_equal(getattr_root(c, 0), 0); /* Any request will do. */
        assert_int_equal(send_renew(c, leader_of(c->g), c->sessions[1].id), 0);
        let_tick(c, 1);
    }
}

/* It does not know whom the one before heard, nor how long nobody led. */
static void a_new_leader_gives_all_sessions_the_full_time(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t began, lasted;

    evict_after(c, 2 * SILENCE_MS);
    session_open(c, 0);
    let_tick(c, SILENCE_MS / SVC_TICK_MS);
    leader_restarts(c);
    began = now_ms(c);
    WAIT_UNTIL(c, !is_known(c, c->sessions[0].id));
    lasted = now_ms(c) - began;
    assert_true(lasted >= 2 * SILENCE_MS - 100); /* It served a little before we saw it. */
}

/* Nobody hears the leader, which does not know it yet: what it wrote into its log now would be done
 * when the others are back. */
static void who_cannot_be_sure_to_lead_evicts_nobody(void **state)
{
    struct svc_cluster *c = *state;
    int old;

    evict_after(c, ELECTION_MS / 5);
    no_leases(c);
    session_open(c, 0);
    old = leader_of(c->g);
    for (int i = 0; i < NODES; i++) {
        if (i != old)
            replica_down(c->g, (unsigned)i);
    }
    WAIT_UNTIL(c, !has_leader(c->g));
    evict_after(c, 60000);
    for (int i = 0; i < NODES; i++) {
        if (i != old)
            replica_up(c->g, (unsigned)i);
    }
    WAIT_UNTIL(c, has_leader(c->g));
    assert_int_equal(send_renew(c, leader_of(c->g), c->sessions[0].id), 0);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup, svc_cluster_teardown)
#define T3(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup_three, svc_cluster_teardown)
    const struct CMUnitTest tests[] = {
        T(a_session_comes_with_a_token_for_the_datanodes),
        T(a_session_needs_a_uuid_and_a_short_name),
        T(a_session_that_was_closed_is_known_no_more),
        T(a_client_that_opens_again_ends_its_older_session),
        T(a_session_outlives_the_leaders_memory),
        T3(a_follower_knows_of_no_sessions),
        T3(who_cannot_be_sure_to_lead_calls_no_session_ended),
        T3(who_cannot_be_sure_to_lead_renews_no_session),
        T(a_silent_session_is_evicted),
        T(deleted_files_wait_for_who_has_not_told_what_is_open),
        T(what_was_told_to_an_earlier_leader_counts_for_nothing),
        T(what_is_heard_of_a_session_keeps_it),
        T(a_new_leader_gives_all_sessions_the_full_time),
        T3(who_cannot_be_sure_to_lead_evicts_nobody),
    };
#undef T3
#undef T

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_svc_session", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
