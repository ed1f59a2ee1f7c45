/* Replicas of two releases in one group: what is new waits for the oldest. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "namenode/fsm.h"
#include "tests/unit/namenode/node_group.h"

static int setup_with_an_older_one(void **state)
{
    last_format = 0; /* It says nothing at all. */
    return group_make(state, NODES, ELECTION_MS);
}

static int ask_status;
static bool was_proposed;
static bool is_answered(struct group *g)
{
    (void)g;
    return ask_status <= 0;
}

static void on_answer(void *ctx, int status, const Dfs__MetaReply *reply)
{
    (void)ctx;
    was_proposed = status == 0;
    ask_status = status == 0 ? reply->status : status;
}

/* Gives what became of it. */
static int ask(struct group *g, const Dfs__MetaRequest *req)
{
    ask_status = 1;
    WAIT_FOR(g, has_leader);
    node_propose(g->r[leader_of(g)].node, req, on_answer, NULL);
    WAIT_FOR(g, is_answered);
    return ask_status;
}

/* What the first release does not know: a quota. */
static int ask_for_a_quota(struct group *g)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__SetQuotaOp op = DFS__SET_QUOTA_OP__INIT;
    Dfs__Cred root = DFS__CRED__INIT;

    op.ino = 1;
    op.set_bytes = true;
    op.bytes = 1 << 20;
    req.cred = &root;
    req.op_case = DFS__META_REQUEST__OP_SET_QUOTA;
    req.set_quota = &op;
    return ask(g, &req);
}

/* What the second release would not see in an operation that it knows. ESTALE: it was done. */
static int ask_by_version(struct group *g)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__TruncDoneOp op = DFS__TRUNC_DONE_OP__INIT;

    op.ino = 4711;
    op.version = 1;
    req.op_case = DFS__META_REQUEST__OP_TRUNC_DONE;
    req.trunc_done = &op;
    return ask(g, &req);
}

static unsigned known_count(struct group *g)
{
    int at = leader_of(g);
    unsigned count = 0;

    for (uint64_t id = 1; at >= 0 && id <= NODES; id++)
        count += node_format_of(g->r[at].node, (struct raft_id){id}) == FSM_FORMAT;
    return count;
}

static bool two_are_known(struct group *g)
{
    return known_count(g) == 2;
}

static bool one_is_known(struct group *g)
{
    return known_count(g) == 1;
}

static bool all_have(struct group *g, uint32_t format)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (g->r[i].node && fsm_state(node_fsm(g->r[i].node))->format != format)
            return false;
    }
    return all_equal(g);
}

static bool all_have_the_format(struct group *g)
{
    return all_have(g, FSM_FORMAT);
}

static bool all_have_quotas(struct group *g)
{
    return all_have(g, FSM_FORMAT_USAGE);
}

static void replica_upgrade(struct group *g, unsigned i, uint32_t format)
{
    replica_down(g, i);
    g->r[i].conf.format = format;
    replica_up(g, i);
}

/* A replica that does not know an operation would end at it, or do it otherwise: it must not get
 * into the log before every replica knows it. */
static void what_is_new_waits_for_the_oldest_release(void **state)
{
    struct group *g = *state;
    uint64_t looks_ms = 1500; /* The leader looks twice a second. */

    WAIT_FOR(g, cluster_is_made);
    WAIT_FOR(g, two_are_known);
    for (uint32_t format = 0; format < FSM_FORMAT_USAGE; format++) {
        uint64_t end;

        replica_upgrade(g, NODES - 1, format);
        WAIT_FOR(g, two_are_known);
        end = clock_monotonic_ns(clock_system()) + looks_ms * CLOCK_NS_PER_MS;
        while (clock_monotonic_ns(clock_system()) < end)
            loop_run_once(g->loop, true);
        assert_int_equal(ask_for_a_quota(g), -EOPNOTSUPP);
        assert_false(was_proposed); /* The older one would end at it. */
        assert_int_equal(fsm_state(node_fsm(g->r[leader_of(g)].node))->format, FSM_FORMAT_FIRST);
    }
    /* What a replica said in an earlier life does not count: the release may have been put back. */
    replica_upgrade(g, 1, 0);
    WAIT_FOR(g, one_is_known);
    replica_upgrade(g, 1, FSM_FORMAT);
    propose_many(g, 10); /* All else goes on. */
    assert_int_equal(g->answers, 10);
    /* As far as the oldest goes. */
    replica_upgrade(g, NODES - 1, FSM_FORMAT_USAGE);
    WAIT_FOR(g, all_have_quotas);
    assert_int_equal(ask_for_a_quota(g), 0);
    assert_int_equal(ask_by_version(g), -EOPNOTSUPP);
    assert_false(was_proposed);
    replica_upgrade(g, NODES - 1, FSM_FORMAT);
    WAIT_FOR(g, all_have_the_format);
    assert_int_equal(ask_for_a_quota(g), 0);
    assert_int_equal(ask_by_version(g), -ESTALE);
    assert_same_state(g);
    /* And it stays so: what is in the log can not be taken back. */
    replica_down(g, NODES - 1);
    assert_int_equal(ask_for_a_quota(g), 0);
    replica_up(g, NODES - 1);
    assert_same_state(g);
}

static int setup_before_values(void **state)
{
    last_format = FSM_FORMAT_MARKS;
    return group_make(state, NODES, ELECTION_MS);
}

static const struct convert_pos *conversion(struct group *g)
{
    return &fsm_state(node_fsm(g->r[leader_of(g)].node))->convert;
}

static bool all_have_marks(struct group *g)
{
    return all_have(g, FSM_FORMAT_MARKS);
}

static bool some_is_converted(struct group *g)
{
    return has_leader(g) && conversion(g)->kind == 'n' && conversion(g)->id > 0;
}

static bool all_is_converted(struct group *g)
{
    return has_leader(g) && conversion(g)->kind == 0 && all_have_the_format(g);
}

/* What the last leader began with is not begun anew, nor forgotten. */
static void an_old_store_is_converted_by_whoever_leads(void **state)
{
    struct group *g = *state;
    unsigned first;

    WAIT_FOR(g, cluster_is_made);
    WAIT_FOR(g, all_have_marks);
    propose_many(g, 2000); /* As many values; the slices of them take a third of a second. */
    replica_upgrade(g, NODES - 1, FSM_FORMAT);
    WAIT_FOR(g, some_is_converted);
    first = (unsigned)leader_of(g);
    replica_down(g, first);
    WAIT_FOR(g, all_is_converted);
    replica_up(g, first);
    assert_same_state(g);
    assert_int_equal(fsm_state(node_fsm(g->r[first].node))->convert.kind, 0);
}

static void a_new_group_has_the_newest_format(void **state)
{
    struct group *g = *state;

    WAIT_FOR(g, cluster_is_made);
    WAIT_FOR(g, all_have_the_format);
    assert_int_equal(ask_for_a_quota(g), 0);
    assert_same_state(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_group_has_the_newest_format, group_setup,
                                        group_teardown),
        cmocka_unit_test_setup_teardown(what_is_new_waits_for_the_oldest_release,
                                        setup_with_an_older_one, group_teardown),
        cmocka_unit_test_setup_teardown(an_old_store_is_converted_by_whoever_leads,
                                        setup_before_values, group_teardown),
    };

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_node_format", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
