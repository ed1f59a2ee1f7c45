/* What a namenode gives to an operator who takes a backup. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"
#include "common/loop.h"
#include "rpc/msg.h"
#include "tests/unit/namenode/svc_cluster.h"

/* Somebody else than the cluster's client, whose answer may come later. */
struct operator_conn {
    struct conn *conn;
    int status; /* 1: not answered yet */
    uint64_t index, term;
    size_t files;
    char said[RPC_ERROR_TEXT_MAX];
};

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    (void)ctx, (void)c, (void)f;
}

static void on_closed(void *ctx, struct conn *c, int reason)
{
    (void)ctx, (void)c, (void)reason;
}

static void on_reply(void *ctx, int status, const struct rpc_frame *f)
{
    struct operator_conn *o = ctx;
    Dfs__BackupReply *m;

    o->status = status;
    (void)rpc_error_text(f, o->said);
    if (status < 0)
        return;
    m = dfs__backup_reply__unpack(NULL, f->header.body_len, f->body);
    assert_non_null(m);
    assert_int_equal(m->cluster_uuid.len, 16);
    assert_true(m->time_s > 1000000000);
    o->index = m->index;
    o->term = m->term;
    dfs__backup_reply__free_unpacked(m, NULL);
}

static void on_data(void *ctx, int status, const struct rpc_frame *f)
{
    struct operator_conn *o = ctx;
    Dfs__SnapData *m;

    o->status = status;
    if (status < 0)
        return;
    m = dfs__snap_data__unpack(NULL, f->header.body_len, f->body);
    assert_non_null(m);
    o->files = m->n_files;
    dfs__snap_data__free_unpacked(m, NULL);
}

static void comes(struct svc_cluster *c, struct operator_conn *o, int replica)
{
    struct conn_handlers h = {.on_request = on_request, .on_closed = on_closed};

    assert_int_equal(
        conn_connect(c->g->loop, c->g->slabs, c->g->r[replica].conf.listen, NULL, &h, &o->conn), 0);
}

static void goes(struct svc_cluster *c, struct operator_conn *o)
{
    conn_free(o->conn);
    let_tick(c, 2);
}

static void begin(struct operator_conn *o, uint64_t min_index)
{
    Dfs__BackupRequest m = DFS__BACKUP_REQUEST__INIT;

    m.min_index = min_index;
    o->status = 1;
    (void)conn_call(o->conn, MSG_BACKUP_BEGIN, &m.base, NULL, WAIT_MS, on_reply, o);
}

static void want_manifest(struct operator_conn *o, uint64_t index)
{
    Dfs__SnapWant m = DFS__SNAP_WANT__INIT;
    char none[] = "";

    m.index = index;
    m.term = o->term;
    m.file = none;
    o->status = 1;
    (void)conn_call(o->conn, MSG_BACKUP_WANT, &m.base, NULL, WAIT_MS, on_data, o);
}

static void only_the_leader_says_what_was_acknowledged(void **state)
{
    struct svc_cluster *c = *state;
    Dfs__Empty m = DFS__EMPTY__INIT;
    int at;

    session_open(c, 0);
    at = leader_of(c->g);
    assert_int_equal(
        ask(c, (at + 1) % NODES, MSG_BACKUP_POINT, &m.base, &dfs__backup_point_reply__descriptor),
        DFS_ENOTLEADER);
    assert_int_equal(ask_leader(c, MSG_BACKUP_POINT, &m.base, &dfs__backup_point_reply__descriptor),
                     0);
    assert_true(((Dfs__BackupPointReply *)c->reply)->index >= node_applied_index(leader(c)) - 1);
}

/* A follower: what the leader has acknowledged may not have come to it yet. */
static void one_that_lags_answers_when_it_has_caught_up(void **state)
{
    struct svc_cluster *c = *state;
    struct operator_conn o = {0};
    uint64_t want;
    int at;

    session_open(c, 0);
    at = (leader_of(c->g) + 1) % NODES;
    WAIT_UNTIL(c, all_equal(c->g));
    want = node_applied_index(c->g->r[at].node) + 3;
    comes(c, &o, at);
    begin(&o, want);
    let_tick(c, 3);
    assert_int_equal(o.status, 1);
    while (node_applied_index(leader(c)) < want)
        session_open(c, 1);
    WAIT_UNTIL(c, o.status <= 0);
    assert_int_equal(o.status, 0);
    assert_true(o.index >= want);
    want_manifest(&o, o.index);
    WAIT_UNTIL(c, o.status <= 0);
    assert_int_equal(o.status, 0);
    assert_true(o.files > 2);
    want_manifest(&o, o.index + 1);
    WAIT_UNTIL(c, o.status <= 0);
    assert_int_equal(o.status, -ESTALE);
    goes(c, &o);
}

static void one_is_taken_at_a_time_and_is_not_from_yesterday(void **state)
{
    struct svc_cluster *c = *state;
    struct operator_conn o = {0}, other = {0}, again = {0};
    uint64_t index;

    WAIT_UNTIL(c, has_leader(c->g));
    session_open(c, 0);
    comes(c, &o, leader_of(c->g));
    begin(&o, 0);
    WAIT_UNTIL(c, o.status <= 0);
    assert_int_equal(o.status, 0);
    comes(c, &other, leader_of(c->g));
    begin(&other, 0);
    WAIT_UNTIL(c, other.status <= 0);
    assert_int_equal(other.status, -EBUSY);
    goes(c, &o);

    /* The connection broke, and the next goes on; what happened since is in the next backup. */
    o.status = 1;
    comes(c, &again, leader_of(c->g));
    again.term = o.term;
    want_manifest(&again, o.index);
    WAIT_UNTIL(c, again.status <= 0);
    assert_int_equal(again.status, 0);
    session_open(c, 1);
    index = node_applied_index(leader(c));
    begin(&again, 0);
    WAIT_UNTIL(c, again.status <= 0);
    assert_int_equal(again.status, 0);
    assert_true(again.index >= index && again.index > o.index);
    goes(c, &again);
    goes(c, &other);
}

/* Who asked and left does not keep the others out. */
static void a_wait_ends_with_its_connection(void **state)
{
    struct svc_cluster *c = *state;
    struct operator_conn o = {0}, other = {0};

    WAIT_UNTIL(c, has_leader(c->g));
    comes(c, &o, leader_of(c->g));
    begin(&o, UINT64_MAX);
    let_tick(c, 3);
    assert_int_equal(o.status, 1);
    goes(c, &o);
    comes(c, &other, leader_of(c->g));
    begin(&other, 0);
    WAIT_UNTIL(c, other.status <= 0);
    assert_int_equal(other.status, 0);
    goes(c, &other);
}

/* One without others goes on, with what there is: but nobody takes that for a backup. */
static void a_damaged_store_is_not_backed_up(void **state)
{
    struct svc_cluster *c = *state;
    struct operator_conn o = {0};

    WAIT_UNTIL(c, has_leader(c->g));
    session_open(c, 0);
    assert_int_equal(fsm_flush(node_fsm(leader(c)), true), 0);
    flip_bit_of_a_table(c->g, 0);
    comes(c, &o, 0);
    begin(&o, 0);
    WAIT_UNTIL(c, o.status <= 0);
    assert_int_equal(o.status, -EBADMSG);
    assert_non_null(strstr(o.said, "are damaged: take the backup from another one"));
    assert_int_equal(node_stats(leader(c))->store_damages, 1);
    session_open(c, 1);
    goes(c, &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_leader_says_what_was_acknowledged,
                                        svc_cluster_setup_three, svc_cluster_teardown),
        cmocka_unit_test_setup_teardown(one_that_lags_answers_when_it_has_caught_up,
                                        svc_cluster_setup_three, svc_cluster_teardown),
        cmocka_unit_test_setup_teardown(one_is_taken_at_a_time_and_is_not_from_yesterday,
                                        svc_cluster_setup, svc_cluster_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_store_is_not_backed_up, svc_cluster_setup,
                                        svc_cluster_teardown),
        cmocka_unit_test_setup_teardown(a_wait_ends_with_its_connection, svc_cluster_setup,
                                        svc_cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
