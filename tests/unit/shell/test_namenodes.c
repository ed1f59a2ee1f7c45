/* What comes next when a namenode is replaced: told from the state of the group alone. */
#include "shell/namenodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

enum { MEMBERS_MAX = 5, OLD = 3, NEW = 9 };

static const char addr[] = "host9:8670", other_addr[] = "host3:8670";

/* A group that is led by 1. */
struct group {
    Dfs__NamenodeInfo infos[MEMBERS_MAX], *ptrs[MEMBERS_MAX];
    Dfs__ReportReply report;
};

static void add(struct group *g, uint64_t id, const char *where, bool alive, bool voter)
{
    Dfs__NamenodeInfo *n = &g->infos[g->report.n_namenodes];

    dfs__namenode_info__init(n);
    n->replica_id = id;
    n->addr = (char *)(uintptr_t)where;
    n->alive = alive;
    n->voter = voter;
    g->ptrs[g->report.n_namenodes++] = n;
}

static void init(struct group *g)
{
    dfs__report_reply__init(&g->report);
    g->report.namenodes = g->ptrs;
    g->report.leader_id = 1;
    add(g, 1, "host1:8670", true, true);
    add(g, 2, "host2:8670", true, true);
}

static enum replace_step next(const struct group *g)
{
    return namenodes_replace_step(&g->report, OLD, NEW, addr);
}

/* One that lives counts until its successor does: a majority is never at risk. */
static void the_living_are_removed_last(void **state)
{
    struct group g;

    (void)state;
    init(&g);
    add(&g, OLD, other_addr, true, true);
    assert_int_equal(next(&g), REPLACE_ADD);
    add(&g, NEW, addr, false, false);
    assert_int_equal(next(&g), REPLACE_WAIT);
    g.infos[3].alive = true;
    assert_int_equal(next(&g), REPLACE_WAIT);
    g.infos[3].voter = true;
    assert_int_equal(next(&g), REPLACE_REMOVE);
    g.infos[3].alive = false; /* And died again: not the time to lose another. */
    assert_int_equal(next(&g), REPLACE_WAIT);

    init(&g);
    add(&g, NEW, addr, true, true);
    assert_int_equal(next(&g), REPLACE_DONE);
}

/* A new voter beside a dead one would only make the majority larger. */
static void the_dead_are_removed_first(void **state)
{
    struct group g;

    (void)state;
    init(&g);
    add(&g, OLD, addr, false, true);
    assert_int_equal(next(&g), REPLACE_ADD);
    add(&g, NEW, addr, true, false);
    assert_int_equal(next(&g), REPLACE_REMOVE);

    init(&g);
    add(&g, NEW, addr, true, false);
    assert_int_equal(next(&g), REPLACE_WAIT);
}

static void a_leader_hands_over_before_it_goes(void **state)
{
    struct group g;

    (void)state;
    init(&g);
    add(&g, OLD, other_addr, true, true);
    add(&g, NEW, addr, true, true);
    g.report.leader_id = OLD;
    assert_int_equal(next(&g), REPLACE_TRANSFER);
    g.report.leader_id = NEW;
    assert_int_equal(next(&g), REPLACE_REMOVE);
}

static void what_cannot_be_is_refused(void **state)
{
    struct group g;

    (void)state;
    init(&g);
    assert_int_equal(next(&g), REPLACE_NO_OLD);
    add(&g, NEW, other_addr, true, true);
    assert_int_equal(next(&g), REPLACE_ELSEWHERE);

    init(&g);
    add(&g, OLD, addr, true, true);
    assert_int_equal(next(&g), REPLACE_OCCUPIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_living_are_removed_last),
        cmocka_unit_test(the_dead_are_removed_first),
        cmocka_unit_test(a_leader_hands_over_before_it_goes),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
