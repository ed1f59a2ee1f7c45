/* Ids of namenodes are given out once, however many there were: on a group of one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/loop.h"
#include "namenode/fsm.h"
#include "namenode/node_impl.h"
#include "tests/unit/namenode/node_group.h"

enum { IDS = 70 };

static int setup(void **state)
{
    last_format = FSM_FORMAT;
    return group_make(state, 1, 3 * HEARTBEAT_MS);
}

static unsigned noted;

static void on_noted(void *ctx, int status, const Dfs__MetaReply *reply)
{
    (void)ctx;
    assert_int_equal(status, 0);
    assert_int_equal(reply->status, 0);
    noted++;
}

static bool all_are_noted(struct group *g)
{
    (void)g;
    return noted == IDS - 1;
}

static struct raft_uuid uuid_of(uint64_t id)
{
    struct raft_uuid u = {{7}};

    memcpy(u.b + 1, &id, sizeof(id));
    return u;
}

/* As if so many had come and gone over the years. */
static struct node *with_many_ids(struct group *g)
{
    WAIT_FOR(g, cluster_is_made);
    noted = 0;
    for (uint64_t id = 2; id <= IDS; id++) {
        Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
        Dfs__NamenodeSetOp op = DFS__NAMENODE_SET_OP__INIT;
        struct raft_uuid u = uuid_of(id);
        char addr[] = "h:1";

        op.replica_id = id;
        op.addr = addr;
        op.uuid = (ProtobufCBinaryData){.data = u.b, .len = sizeof(u.b)};
        req.op_case = DFS__META_REQUEST__OP_NAMENODE_SET;
        req.namenode_set = &op;
        node_propose(g->r[0].node, &req, on_noted, NULL);
    }
    WAIT_FOR(g, all_are_noted);
    return g->r[0].node;
}

static void an_id_is_never_given_out_again(void **state)
{
    struct group *g = *state;
    struct node *n = with_many_ids(g);

    assert_int_equal(node_next_id(n).v, IDS + 1);
    for (uint64_t id = 1; id <= IDS; id++) {
        assert_true(node_id_is_used(n, (struct raft_id){id}));
        assert_int_equal(node_add_member(n, (struct raft_id){id}, "h:1"), -EEXIST);
    }
    assert_false(node_id_is_used(n, (struct raft_id){IDS + 1}));
}

static void the_directory_of_each_is_known(void **state)
{
    struct group *g = *state;
    struct node *n = with_many_ids(g);

    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t id = 2; id <= IDS; id++) {
            struct raft_msg msg = {.from = {id}, .from_uuid = uuid_of(id)};

            assert_true(node_peer_is_known(n, &msg));
            msg.from_uuid = uuid_of(id + 1);
            assert_false(node_peer_is_known(n, &msg));
        }
    }
}

/* What a newcomer says of itself is kept until the state machine has it, whoever came before. */
static void strangers_do_not_keep_newcomers_out(void **state)
{
    struct group *g = *state;
    struct node *n = with_many_ids(g);
    bool found = false;

    for (uint64_t id = 1000; id <= 1000 + IDS; id++) {
        struct raft_msg msg = {.from = {id}, .from_uuid = uuid_of(id)};

        assert_true(node_peer_is_known(n, &msg));
    }
    for (unsigned i = 0; i < n->seen_count; i++)
        found = found || n->seen[i].id.v == 1000 + IDS;
    assert_true(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, group_teardown)
        T(an_id_is_never_given_out_again),
        T(the_directory_of_each_is_known),
        T(strangers_do_not_keep_newcomers_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
