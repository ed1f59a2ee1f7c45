/* The check of the metadata as a service: of any namenode, while it is used; repairs by the leader. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/error.h"
#include "rpc/frame.h"
#include "tests/unit/namenode/svc_cluster.h"

static int verb(struct svc_cluster *c, int at, Dfs__FsckVerb what, uint64_t walk)
{
    Dfs__FsckRequest m = DFS__FSCK_REQUEST__INIT;

    m.verb = what;
    m.walk = walk;
    return ask(c, at, MSG_FSCK, &m.base, &dfs__fsck_reply__descriptor);
}

static const Dfs__FsckReply *reply_of(struct svc_cluster *c)
{
    return (const Dfs__FsckReply *)c->reply;
}

static void wait_while(struct svc_cluster *c, int at, uint64_t walk, Dfs__FsckState state)
{
    uint64_t end = wait_end();

    for (;;) {
        assert_int_equal(verb(c, at, DFS__FSCK_VERB__FSCK_LOOK, walk), 0);
        if (reply_of(c)->state != state)
            return;
        wait_turn(c, end, "the check is over");
    }
}

/* A whole walk; its reply stays. */
static uint64_t check(struct svc_cluster *c, int at)
{
    uint64_t walk;

    assert_int_equal(verb(c, at, DFS__FSCK_VERB__FSCK_BEGIN, 0), 0);
    walk = reply_of(c)->walk;
    wait_while(c, at, walk, DFS__FSCK_STATE__FSCK_STATE_WALKING);
    assert_int_equal(reply_of(c)->state, DFS__FSCK_STATE__FSCK_STATE_OVER);
    return walk;
}

static void propose_applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    assert_int_equal(status, 0);
    *(int *)ctx = reply->status;
}

/* Damage to all replicas alike: a "repair" of what is right. */
static void damage(struct svc_cluster *c, Dfs__RepairOp op)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    int status = 1;

    op.walk = fsm_state(leader_fsm(c))->index;
    req.op_case = DFS__META_REQUEST__OP_REPAIR;
    req.repair = &op;
    node_propose(leader(c), &req, propose_applied, &status);
    WAIT_UNTIL(c, status != 1);
    assert_int_equal(status, 0);
}

static void count_wrong(struct svc_cluster *c, int64_t by)
{
    Dfs__RepairOp op = DFS__REPAIR_OP__INIT;

    op.kind = DFS__REPAIR_KIND__REPAIR_ADD;
    op.field = DFS__REPAIR_FIELD__REPAIR_ENTRY_COUNT;
    op.ino = 1;
    op.add = by;
    damage(c, op);
}

static void any_namenode_checks_its_own_store(void **state)
{
    struct svc_cluster *c = *state;
    char name[16];

    three_dns_with_pgs(c);
    session_open(c, 0);
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "f%u", i);
        (void)file_make(c, 0, name, 2);
    }
    file_unlink(c, 0, "f3");
    for (int at = 0; at < NODES; at++) {
        (void)check(c, at);
        assert_int_equal(reply_of(c)->finding_count, 0);
        assert_true(reply_of(c)->inodes >= 1 && reply_of(c)->end);
    }
}

/* What is created and deleted meanwhile is never taken for damage. */
static void nothing_is_found_while_files_come_and_go(void **state)
{
    struct svc_cluster *c = *state;
    unsigned walks = 0;
    uint64_t walk;
    int at;

    three_dns_with_pgs(c);
    session_open(c, 0);
    at = leader_of(c->g);
    assert_int_equal(verb(c, at, DFS__FSCK_VERB__FSCK_BEGIN, 0), 0);
    walk = reply_of(c)->walk;
    for (unsigned i = 0; walks < 10; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "f%u", i);
        (void)file_make(c, 0, name, i % 3);
        if (i % 2 == 0)
            file_unlink(c, 0, name);
        assert_int_equal(verb(c, at, DFS__FSCK_VERB__FSCK_LOOK, walk), 0);
        if (reply_of(c)->state == DFS__FSCK_STATE__FSCK_STATE_WALKING)
            continue;
        assert_int_equal(reply_of(c)->finding_count, 0);
        walks++;
        assert_int_equal(verb(c, at, DFS__FSCK_VERB__FSCK_BEGIN, 0), 0);
        walk = reply_of(c)->walk;
    }
}

static void the_leader_repairs_what_its_walk_found(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t walk;
    int at;

    three_dns_with_pgs(c);
    session_open(c, 0);
    (void)file_make(c, 0, "one", 1);
    count_wrong(c, 3);
    at = leader_of(c->g);
    walk = check(c, at);
    assert_int_equal(reply_of(c)->finding_count, 1);
    assert_string_equal(reply_of(c)->findings[0]->kind, "entry-count");
    assert_true(reply_of(c)->findings[0]->path.len == 1);
    assert_true(reply_of(c)->findings[0]->can_repair);
    (void)file_make(c, 0, "two", 0);
    assert_int_equal(verb(c, at, DFS__FSCK_VERB__FSCK_REPAIR, walk), 0);
    wait_while(c, at, walk, DFS__FSCK_STATE__FSCK_STATE_REPAIRING);
    assert_int_equal(reply_of(c)->state, DFS__FSCK_STATE__FSCK_STATE_REPAIRED);
    assert_int_equal(reply_of(c)->error, 0);
    assert_int_equal(reply_of(c)->findings[0]->outcome, DFS__FSCK_OUTCOME__FSCK_REPAIRED);
    for (at = 0; at < NODES; at++) {
        WAIT_UNTIL(c, node_applied_index(c->g->r[at].node) == node_applied_index(leader(c)));
        (void)check(c, at);
        assert_int_equal(reply_of(c)->finding_count, 0);
    }
}

static void who_does_not_lead_does_not_repair(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t walk;
    int at;

    three_dns_with_pgs(c);
    count_wrong(c, 3);
    at = (leader_of(c->g) + 1) % NODES;
    WAIT_UNTIL(c, node_applied_index(c->g->r[at].node) == node_applied_index(leader(c)));
    walk = check(c, at);
    assert_int_equal(reply_of(c)->finding_count, 1);
    assert_int_equal(verb(c, at, DFS__FSCK_VERB__FSCK_REPAIR, walk), DFS_ENOTLEADER);
    assert_int_equal(verb(c, at, DFS__FSCK_VERB__FSCK_LOOK, walk + 1), -ENOENT);
}

/* A walk is of a store, not of a reign; what it found the next leader finds again. */
static void a_walk_goes_on_while_another_leads(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t walk;
    int at, old;

    three_dns_with_pgs(c);
    count_wrong(c, 3);
    old = leader_of(c->g);
    do { /* The others may not lead in their first second. */
        let_tick(c, 1);
        assert_int_equal(verb(c, old, DFS__FSCK_VERB__FSCK_BEGIN, 0), 0);
        walk = reply_of(c)->walk;
    } while (node_transfer(leader(c), RAFT_NOBODY) < 0);
    WAIT_UNTIL(c, leader_of(c->g) >= 0 && leader_of(c->g) != old);
    wait_while(c, old, walk, DFS__FSCK_STATE__FSCK_STATE_WALKING);
    assert_int_equal(reply_of(c)->finding_count, 1);
    assert_int_equal(verb(c, old, DFS__FSCK_VERB__FSCK_REPAIR, walk), DFS_ENOTLEADER);
    at = leader_of(c->g);
    walk = check(c, at);
    assert_int_equal(reply_of(c)->finding_count, 1);
    assert_int_equal(verb(c, at, DFS__FSCK_VERB__FSCK_REPAIR, walk), 0);
    wait_while(c, at, walk, DFS__FSCK_STATE__FSCK_STATE_REPAIRING);
    assert_int_equal(reply_of(c)->findings[0]->outcome, DFS__FSCK_OUTCOME__FSCK_REPAIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_namenode_checks_its_own_store, svc_cluster_setup_three,
                                        svc_cluster_teardown),
        cmocka_unit_test_setup_teardown(nothing_is_found_while_files_come_and_go,
                                        svc_cluster_setup_three, svc_cluster_teardown),
        cmocka_unit_test_setup_teardown(the_leader_repairs_what_its_walk_found,
                                        svc_cluster_setup_three, svc_cluster_teardown),
        cmocka_unit_test_setup_teardown(who_does_not_lead_does_not_repair, svc_cluster_setup_three,
                                        svc_cluster_teardown),
        cmocka_unit_test_setup_teardown(a_walk_goes_on_while_another_leads, svc_cluster_setup_three,
                                        svc_cluster_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
