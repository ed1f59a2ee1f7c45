/* After a restore: from which copy a placement group goes on, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "namenode/pg_mgr.h"
#include "namenode/pg_survey.h"
#include "rpc/meta.pb-c.h"

enum { PG = 7, TARGETS = 4 };
static const uint64_t second = 1000000000;

struct fixture {
    struct datanodes d;
    struct pg_survey *s;
    Dfs__PgHolding holdings[TARGETS + 1];
    bool has[TARGETS + 1];
};

/* Targets 1 to 3 were members when the backup was made, 4 came later; each at a host of its own. */
static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    struct pg_rec pg = {.pg = PG,
                        .epoch = 1000,
                        .reset_epoch = 1000,
                        .cold_epoch = 1000,
                        .copies = 3,
                        .min_write = 2,
                        .member_count = 3};

    for (uint32_t t = 1; t <= 3; t++) {
        struct target_rec rec = {
            .target = t, .state = DFS__TARGET_STATE__TARGET_ACTIVE, .incarnation = 70 + t};

        (void)snprintf(rec.host, sizeof(rec.host), "h%u", t);
        datanodes_set_target(&f->d, &rec);
        pg.members[t - 1] = (struct pg_member_rec){
            .target = t, .state = PG_OFFLINE, .last_serving_epoch = t == 3 ? 8 : 9};
    }
    datanodes_set_pg(&f->d, &pg);
    f->s = pg_survey_new(0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct datanode *n, *next;

    HASH_ITER (hh, f->d.nodes, n, next)
        n->conn = NULL;
    datanodes_clear(&f->d);
    pg_survey_free(f->s);
    test_free(f);
    return 0;
}

static Dfs__PgHolding *holds(struct fixture *f, uint32_t target, uint64_t served, uint64_t epoch,
                             uint64_t seq, uint64_t chunks)
{
    Dfs__PgHolding *h = &f->holdings[target];

    dfs__pg_holding__init(h);
    h->pg = PG;
    h->target = target;
    h->served_epoch = served;
    h->ver_epoch = epoch;
    h->ver_seq = seq;
    h->chunk_count = chunks;
    f->has[target] = true;
    return h;
}

/* It registers, and tells what it holds. */
static void comes(struct fixture *f, uint32_t target)
{
    Dfs__HeartbeatRequest m = DFS__HEARTBEAT_REQUEST__INIT;
    Dfs__PgHolding *list[] = {&f->holdings[target]};
    struct datanode *n;
    char name[8];

    (void)snprintf(name, sizeof(name), "dn%u", target);
    if (datanodes_target(&f->d, target) == NULL) {
        struct target_rec rec = {.target = target,
                                 .state = DFS__TARGET_STATE__TARGET_ACTIVE,
                                 .incarnation = 70 + target};

        (void)snprintf(rec.host, sizeof(rec.host), "h%u", target);
        datanodes_set_target(&f->d, &rec);
    }
    n = datanodes_node(&f->d, name, true);
    n->conn = (struct conn *)f; /* Never looked into. */
    n->incarnation = 70 + target;
    n->targets[0] = target;
    n->target_count = 1;
    datanodes_target(&f->d, target)->node = n;
    m.holdings = list;
    m.n_holdings = f->has[target] ? 1 : 0;
    m.surveyed = true;
    pg_survey_take(f->s, n, &m);
}

static void all_come(struct fixture *f)
{
    for (uint32_t t = 1; t <= 3; t++)
        comes(f, t);
}

/* The source that is named at that time; 0: none. */
static uint32_t source_at(struct fixture *f, uint64_t now_ns)
{
    struct pg_rec out[4];

    if (pg_survey_tick(f->s, &f->d, now_ns, out, 4) == 0)
        return 0;
    assert_int_equal(out[0].epoch, 1001);
    assert_int_equal(out[0].reset_epoch, 1001);
    assert_int_equal(out[0].cold_epoch, 1001);
    assert_int_equal(out[0].members[0].state, PG_SERVING);
    assert_int_equal(out[0].members[0].incarnation, 70 + out[0].members[0].target);
    for (unsigned i = 1; i < out[0].member_count; i++)
        assert_int_equal(out[0].members[i].state, PG_OFFLINE);
    return out[0].members[0].target;
}

/* It was thrown out since, and has not heard of it. */
static void who_served_in_the_last_epoch_is_the_source(void **state)
{
    struct fixture *f = *state;

    holds(f, 1, 9, 9, 500, 90);
    holds(f, 2, 12, 11, 3, 80);
    holds(f, 3, 11, 11, 3, 80);
    all_come(f);
    assert_int_equal(source_at(f, 6 * second), 2);
}

/* Started anew, they remember no role: but each chunk says in which epoch it was written. */
static void processes_that_forgot_are_known_by_their_chunks(void **state)
{
    struct fixture *f = *state;

    holds(f, 1, 0, 9, 500, 90);
    holds(f, 2, 0, 12, 3, 80);
    holds(f, 3, 0, 12, 4, 70);
    all_come(f);
    assert_int_equal(source_at(f, 6 * second), 3);
}

/* It gets every new write at once, and the rest later. */
static void a_joiner_is_not_the_source(void **state)
{
    struct fixture *f = *state;

    holds(f, 1, 9, 12, 3, 90);
    holds(f, 2, 12, 12, 3, 80);
    all_come(f);
    comes(f, 3);
    assert_int_equal(source_at(f, 6 * second), 2);

    holds(f, 1, 0, 12, 3, 90)->incomplete_count = 1;
    holds(f, 2, 0, 12, 3, 80);
    all_come(f);
    assert_int_equal(source_at(f, 9 * second), 2);
    holds(f, 1, 0, 12, 3, 79);
    all_come(f);
    assert_int_equal(source_at(f, 12 * second), 2);
}

/* The backup does not know it at all; one that was emptied since is a member there. */
static void who_came_after_the_backup_may_be_the_source(void **state)
{
    struct fixture *f = *state;

    holds(f, 2, 9, 9, 1, 80);
    holds(f, 4, 13, 13, 1, 82);
    all_come(f);
    comes(f, 4);
    assert_int_equal(source_at(f, 6 * second), 4);
}

/* Nobody wrote: those that served when the backup was made go before the one that did not. */
static void without_more_to_go_by_the_backup_counts(void **state)
{
    struct fixture *f = *state;
    struct pg_rec pg = datanodes_pg(&f->d, PG)->rec;

    pg.members[0].last_serving_epoch = 8;
    pg.members[2].last_serving_epoch = 9;
    pg.members[1].last_serving_epoch = 8;
    datanodes_set_pg(&f->d, &pg);
    all_come(f);
    assert_int_equal(source_at(f, 6 * second), 3);
}

static void nothing_starts_while_the_newest_copy_may_be_missing(void **state)
{
    struct fixture *f = *state;

    holds(f, 1, 0, 12, 3, 90);
    comes(f, 1);
    assert_int_equal(source_at(f, 1000 * second), 0); /* Two are missing: a chain had two. */
    comes(f, 2);
    assert_int_equal(source_at(f, 29 * second), 0); /* One is: it may only be slow. */
    assert_int_equal(source_at(f, 31 * second), 1);
    comes(f, 3);
    assert_int_equal(source_at(f, 4 * second), 0); /* There may be some that nobody knows. */
    assert_int_equal(source_at(f, 5 * second + 30 * second), 1);
}

/* A process that has been replaced, or a disk that failed, says nothing any more. */
static void only_who_is_there_counts(void **state)
{
    struct fixture *f = *state;

    holds(f, 1, 12, 12, 3, 90);
    holds(f, 2, 11, 11, 3, 90);
    holds(f, 3, 10, 10, 3, 90);
    all_come(f);
    datanodes_target(&f->d, 1)->failed = true;
    assert_int_equal(source_at(f, 31 * second), 2);
    datanodes_target(&f->d, 2)->rec.incarnation = 999; /* It has registered anew since. */
    assert_int_equal(source_at(f, 60 * second), 0);
}

static void what_was_given_up_starts_empty_elsewhere(void **state)
{
    struct fixture *f = *state;

    comes(f, 4);
    for (uint32_t t = 1; t <= 3; t++)
        datanodes_target(&f->d, t)->rec.state = DFS__TARGET_STATE__TARGET_REMOVED;
    assert_int_equal(source_at(f, 6 * second), 4);
}

static void an_answered_group_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct pg_rec pg = datanodes_pg(&f->d, PG)->rec;

    all_come(f);
    assert_true(pg_survey_is_needed(&f->d));
    assert_int_equal(source_at(f, 6 * second), 1);
    assert_int_equal(source_at(f, 7 * second), 0); /* It is on its way. */
    assert_int_equal(source_at(f, 9 * second), 1); /* It got lost. */
    pg.members[0].state = PG_SERVING;
    datanodes_set_pg(&f->d, &pg);
    assert_false(pg_survey_is_needed(&f->d));
    assert_int_equal(source_at(f, 20 * second), 0);
}

/* It starts, lives on, and is lost again: what was told the first time says nothing about now. */
static void what_was_told_for_an_earlier_loss_does_not_count(void **state)
{
    struct fixture *f = *state;
    struct pg_rec pg = datanodes_pg(&f->d, PG)->rec;

    holds(f, 1, 11, 11, 3, 90);
    all_come(f);
    assert_int_equal(source_at(f, 6 * second), 1);
    pg.members[0].state = PG_SERVING;
    datanodes_set_pg(&f->d, &pg);
    assert_int_equal(source_at(f, 100 * second), 0);
    pg.members[0].state = PG_OFFLINE;
    datanodes_set_pg(&f->d, &pg);
    assert_true(pg_survey_wants(f->s, &f->d, datanodes_target(&f->d, 2)->node));
    assert_int_equal(source_at(f, 101 * second), 0);
    assert_int_equal(source_at(f, 140 * second), 0); /* Nobody has told. */
    holds(f, 2, 15, 15, 1, 90);
    comes(f, 1);
    comes(f, 2);
    comes(f, 3);
    assert_false(pg_survey_wants(f->s, &f->d, datanodes_target(&f->d, 2)->node));
    assert_int_equal(source_at(f, 143 * second), 2);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(who_served_in_the_last_epoch_is_the_source),
        WITH_FIXTURE(processes_that_forgot_are_known_by_their_chunks),
        WITH_FIXTURE(a_joiner_is_not_the_source),
        WITH_FIXTURE(who_came_after_the_backup_may_be_the_source),
        WITH_FIXTURE(without_more_to_go_by_the_backup_counts),
        WITH_FIXTURE(nothing_starts_while_the_newest_copy_may_be_missing),
        WITH_FIXTURE(only_who_is_there_counts),
        WITH_FIXTURE(what_was_given_up_starts_empty_elsewhere),
        WITH_FIXTURE(an_answered_group_is_left_alone),
        WITH_FIXTURE(what_was_told_for_an_earlier_loss_does_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
