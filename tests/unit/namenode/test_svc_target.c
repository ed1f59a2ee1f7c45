/* An operator's word about targets: what is refused, what gets into the log, what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "namenode/pg_mgr.h"
#include "tests/unit/namenode/svc_cluster.h"

static int word(struct svc_cluster *c, Dfs__TargetVerb verb, const char *which, uint64_t seconds,
                bool force)
{
    Dfs__TargetAdminRequest req = DFS__TARGET_ADMIN_REQUEST__INIT;

    req.verb = verb;
    req.which = (char *)(uintptr_t)which;
    req.seconds = seconds;
    req.force = force;
    return ask_leader(c, MSG_TARGET_ADMIN, &req.base, &dfs__target_admin_reply__descriptor);
}

static int remove_for_good(struct svc_cluster *c, const char *which)
{
    Dfs__TargetAdminRequest req = DFS__TARGET_ADMIN_REQUEST__INIT;

    req.verb = DFS__TARGET_VERB__TARGET_REMOVE;
    req.which = (char *)(uintptr_t)which;
    req.lose_data = true;
    return ask_leader(c, MSG_TARGET_ADMIN, &req.base, &dfs__target_admin_reply__descriptor);
}

static struct target_rec rec_of(struct svc_cluster *c, uint32_t target)
{
    struct target_rec rec;

    assert_int_equal(fsm_target_get(leader_fsm(c), target, &rec), 0);
    return rec;
}

static const Dfs__TargetAdminReply *answer(const struct svc_cluster *c)
{
    return (const Dfs__TargetAdminReply *)c->reply;
}

static void who_is_not_there_is_told(void **state)
{
    struct svc_cluster *c = *state;

    dns_up(c, 1);
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_DRAIN, "nobody", 0, false), -ENOENT);
    assert_non_null(strstr(c->error->text, "nobody"));
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_DRAIN, "77", 0, false), -ENOENT);
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_VERB_UNSET, c->dn[0].node, 0, false),
                     -EINVAL);
}

static void a_name_means_all_its_targets_and_a_number_one(void **state)
{
    struct svc_cluster *c = *state;
    char number[16];

    WAIT_UNTIL(c, cluster_is_made(c->g));
    c->dn[0].target_count = 2;
    dns_up(c, 2);
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_DRAIN, c->dn[0].node, 0, false), 0);
    assert_int_equal(answer(c)->n_targets, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rec_of(c, c->dn[0].targets[i]).state, DFS__TARGET_STATE__TARGET_DRAINING);
    assert_int_equal(rec_of(c, c->dn[1].targets[0]).state, DFS__TARGET_STATE__TARGET_ACTIVE);
    snprintf(number, sizeof(number), "%u", (unsigned)c->dn[0].targets[1]);
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_UNDRAIN, number, 0, false), 0);
    assert_int_equal(rec_of(c, c->dn[0].targets[0]).state, DFS__TARGET_STATE__TARGET_DRAINING);
    assert_int_equal(rec_of(c, c->dn[0].targets[1]).state, DFS__TARGET_STATE__TARGET_ACTIVE);
    /* A restart of its process does not end it. */
    dn_restarts(c, 0);
    WAIT_UNTIL(c, dn_register(c, 0) == 0);
    assert_int_equal(rec_of(c, c->dn[0].targets[0]).state, DFS__TARGET_STATE__TARGET_DRAINING);
}

static void copies_move_off_a_drained_target_which_may_then_be_removed(void **state)
{
    struct svc_cluster *c = *state;
    uint32_t old;
    unsigned i;

    three_dns_with_pgs(c);
    old = c->dn[1].targets[0];
    assert_int_equal(dn_register(c, 3), 0);
    c->dn[3].is_synced = true;
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_DRAIN, c->dn[1].node, 0, false), 0);
    assert_int_equal(answer(c)->pgs, 2);
    for (uint32_t pg = 1; pg <= 2; pg++) {
        struct pg_rec rec;

        WAIT_UNTIL(c, (rec = pg_of(c, pg), state_in(&rec, old) == 0));
        assert_int_equal(rec.member_count, 3);
        for (i = 0; i < rec.member_count; i++)
            assert_int_equal(rec.members[i].state, PG_SERVING);
    }
    /* It runs: it would be back at once. */
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_REMOVE, c->dn[1].node, 0, true), -EBUSY);
    dn_down(c, 1);
    WAIT_UNTIL(c, word(c, DFS__TARGET_VERB__TARGET_REMOVE, c->dn[1].node, 0, false) == 0);
    assert_int_equal(rec_of(c, old).state, DFS__TARGET_STATE__TARGET_REMOVED);
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_DRAIN, c->dn[1].node, 0, false), -ENOENT);
}

static void copies_are_given_up_by_force_and_the_newest_by_a_word_of_its_own(void **state)
{
    struct svc_cluster *c = *state;
    uint32_t dead;

    three_dns_with_pgs(c);
    dead = c->dn[1].targets[0];
    dn_down(c, 1);
    WAIT_UNTIL(c, pg_of(c, 1).epoch > 1 && pg_of(c, 2).epoch > 1);
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_REMOVE, c->dn[1].node, 0, false), -EBUSY);
    assert_non_null(strstr(c->error->text, "2 placement groups have a copy"));
    assert_int_equal(rec_of(c, dead).state, DFS__TARGET_STATE__TARGET_ACTIVE);
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_REMOVE, c->dn[1].node, 0, true), 0);
    assert_int_equal(rec_of(c, dead).state, DFS__TARGET_STATE__TARGET_REMOVED);
    /* A spare takes its place without the grace time. */
    assert_int_equal(dn_register(c, 3), 0);
    c->dn[3].is_synced = true;
    for (uint32_t pg = 1; pg <= 2; pg++) {
        struct pg_rec rec;

        WAIT_UNTIL(c, (rec = pg_of(c, pg), state_in(&rec, c->dn[3].targets[0]) == PG_SERVING));
        assert_int_equal(state_in(&rec, dead), 0);
    }
    /* All others die: the last one that served is the last copy. */
    dn_down(c, 0);
    dn_down(c, 2);
    WAIT_UNTIL(c, pg_of(c, 1).members[0].target == c->dn[3].targets[0] &&
                      pg_of(c, 1).members[1].state == PG_OFFLINE);
    dn_down(c, 3);
    let_tick(c, 3);
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_REMOVE, c->dn[3].node, 0, true), -EBUSY);
    assert_non_null(strstr(c->error->text, "newest copy"));
    /* The others come back, with older ones: that is not enough. */
    c->dn[0].held_epoch = 2;
    c->dn[2].held_epoch = 3;
    dn_restarts(c, 0);
    dn_restarts(c, 2);
    WAIT_UNTIL(c, dn_register(c, 0) == 0 && dn_register(c, 2) == 0);
    let_tick(c, 3);
    for (uint32_t pg = 1; pg <= 2; pg++) {
        struct pg_rec rec = pg_of(c, pg);

        assert_int_equal(state_in(&rec, c->dn[3].targets[0]), PG_SERVING);
    }
    assert_int_equal(remove_for_good(c, c->dn[3].node), 0);
    for (uint32_t pg = 1; pg <= 2; pg++) {
        struct pg_rec rec;

        WAIT_UNTIL(c, (rec = pg_of(c, pg), state_in(&rec, c->dn[2].targets[0]) == PG_SERVING));
        assert_int_equal(state_in(&rec, c->dn[3].targets[0]), 0);
        assert_true(rec.cold_epoch > 1 && rec.reset_epoch == rec.cold_epoch);
    }
}

static void maintenance_has_an_end(void **state)
{
    struct svc_cluster *c = *state;
    int64_t now = clock_wall_ns(clock_system()), until;
    uint32_t target;

    dns_up(c, 1);
    target = c->dn[0].targets[0];
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_MAINTENANCE, c->dn[0].node, 600, false), 0);
    until = rec_of(c, target).maintenance_until_ns;
    assert_in_range(until - now, 599 * (int64_t)CLOCK_NS_PER_S, 700 * (int64_t)CLOCK_NS_PER_S);
    assert_true(target_in(report_of(c), target)->maintenance_until_ns == until);
    /* A restart is what it is for, and does not end it. */
    dn_restarts(c, 0);
    WAIT_UNTIL(c, dn_register(c, 0) == 0);
    assert_true(rec_of(c, target).maintenance_until_ns == until);
    assert_int_equal(word(c, DFS__TARGET_VERB__TARGET_MAINTENANCE, c->dn[0].node, 0, false), 0);
    assert_true(rec_of(c, target).maintenance_until_ns == 0);
    assert_int_equal(
        word(c, DFS__TARGET_VERB__TARGET_MAINTENANCE, c->dn[0].node, UINT64_C(1) << 60, false),
        -EINVAL);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup, svc_cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_not_there_is_told),
        TEST(a_name_means_all_its_targets_and_a_number_one),
        TEST(copies_move_off_a_drained_target_which_may_then_be_removed),
        TEST(copies_are_given_up_by_force_and_the_newest_by_a_word_of_its_own),
        TEST(maintenance_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
