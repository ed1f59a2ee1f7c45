/* Where new chunks go, by what the datanodes told the leader. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "namenode/datanodes.h"
#include "namenode/pg_mgr.h"
#include "rpc/meta.pb-c.h"

enum { PGS = 8 };
static const uint64_t disk = 1000000000;

static int setup(void **state)
{
    struct datanodes *d = test_calloc(1, sizeof(*d));

    for (uint32_t t = 1; t <= 6; t++)
        datanodes_set_target(d, &(struct target_rec){.target = t, .bytes_total = disk});
    for (uint32_t p = 1; p <= PGS; p++) {
        struct pg_rec rec = {.pg = p, .epoch = 1, .copies = 3, .min_write = 2, .member_count = 3};

        for (uint32_t i = 0; i < 3; i++)
            rec.members[i] =
                (struct pg_member_rec){.target = p % 2 * 3 + i + 1, .state = PG_SERVING};
        datanodes_set_pg(d, &rec);
    }
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    datanodes_clear(*state);
    test_free(*state);
    return 0;
}

static void report(struct datanodes *d, uint32_t target, uint64_t bytes_free)
{
    datanodes_target(d, target)->reported = true;
    datanodes_target(d, target)->bytes_free = bytes_free;
}

/* Seen as ENOSPC at the mount after a failover: the new leader had the size of each disk from the
 * state machine, but nobody had told it what was free. */
static void a_disk_nobody_reported_yet_is_not_a_full_disk(void **state)
{
    uint32_t out[PGS];
    uint64_t next = 0;

    assert_int_equal(datanodes_choose_pgs(*state, &next, 3, PGS, out), 0);
}

static void chunks_are_spread_over_all_pgs_in_turn(void **state)
{
    uint32_t out[PGS * 2];
    unsigned seen[PGS + 1] = {0};
    uint64_t next = 5;

    for (uint32_t t = 1; t <= 6; t++)
        report(*state, t, disk / 2);
    assert_int_equal(datanodes_choose_pgs(*state, &next, 3, PGS * 2, out), 0);
    for (unsigned i = 0; i < PGS * 2; i++)
        seen[out[i]]++;
    for (unsigned p = 1; p <= PGS; p++)
        assert_int_equal(seen[p], 2);
}

static void pgs_on_fuller_disks_are_left_alone(void **state)
{
    uint32_t out[PGS];
    uint64_t next = 0;

    for (uint32_t t = 1; t <= 6; t++)
        report(*state, t, t <= 3 ? disk / 2 : disk / 5);
    assert_int_equal(datanodes_choose_pgs(*state, &next, 3, PGS, out), 0);
    for (unsigned i = 0; i < PGS; i++)
        assert_int_equal(out[i] % 2, 0);
}

static void no_space_is_only_said_when_every_pg_is_full(void **state)
{
    struct pg_rec rec;
    uint32_t out[1];
    uint64_t next = 0;

    for (uint32_t t = 1; t <= 6; t++)
        report(*state, t, t == 2 || t == 5 ? disk / 20 : disk / 2);
    assert_int_equal(datanodes_choose_pgs(*state, &next, 3, 1, out), -ENOSPC);

    /* One of them cannot be written now, but may have room: ask again. */
    rec = datanodes_pg(*state, 1)->rec;
    rec.members[0].state = rec.members[1].state = PG_OFFLINE;
    datanodes_set_pg(*state, &rec);
    assert_int_equal(datanodes_choose_pgs(*state, &next, 3, 1, out), -EAGAIN);
}

/* Their own PGs, and nobody else's. */
static void chunks_go_to_pgs_of_as_many_copies(void **state)
{
    struct pg_rec rec = {.pg = PGS + 1, .epoch = 1, .copies = 2, .min_write = 2, .member_count = 2};
    uint32_t out[PGS];
    uint64_t next = 0;

    assert_int_equal(datanodes_choose_pgs(*state, &next, 2, 1, out), -EAGAIN);
    assert_false(datanodes_have_pgs(*state, 2));
    rec.members[0] = (struct pg_member_rec){.target = 1, .state = PG_SERVING};
    rec.members[1] = (struct pg_member_rec){.target = 2, .state = PG_SERVING};
    datanodes_set_pg(*state, &rec);
    assert_true(datanodes_have_pgs(*state, 2));
    assert_int_equal(datanodes_choose_pgs(*state, &next, 2, PGS, out), 0);
    for (unsigned i = 0; i < PGS; i++)
        assert_int_equal(out[i], PGS + 1);
    assert_int_equal(datanodes_choose_pgs(*state, &next, 3, PGS, out), 0);
    for (unsigned i = 0; i < PGS; i++)
        assert_int_not_equal(out[i], PGS + 1);
}

/* The last that serves stays in its PG though it is dead. With one copy that is every dead disk's PG:
 * who got a chunk there would wait for it. */
static void pgs_that_nobody_serves_now_get_no_new_chunks(void **state)
{
    static int connection;
    struct datanodes *d = *state;
    struct datanode *n = datanodes_node(d, "dn", true);
    uint32_t out[PGS];
    uint64_t next = 0;

    for (uint32_t p = 1; p <= 2; p++) {
        struct pg_rec rec = {
            .pg = PGS + p, .epoch = 1, .copies = 1, .min_write = 1, .member_count = 1};

        rec.members[0] = (struct pg_member_rec){.target = p, .state = PG_SERVING};
        datanodes_set_pg(d, &rec);
        datanodes_target(d, p)->node = n;
    }
    /* A new leader to whom nobody has come yet: all are alike. */
    assert_int_equal(datanodes_choose_pgs(d, &next, 1, PGS, out), 0);
    n->conn = (struct conn *)&connection;
    datanodes_target(d, 2)->node = NULL;
    assert_int_equal(datanodes_choose_pgs(d, &next, 1, PGS, out), 0);
    for (unsigned i = 0; i < PGS; i++)
        assert_int_equal(out[i], PGS + 1);
    n->conn = NULL;
}

static void hosts_are_counted_once_and_while_in_use(void **state)
{
    struct datanodes d = {0};
    struct target_rec rec = {.target = 1, .state = DFS__TARGET_STATE__TARGET_ACTIVE, .host = "a"};

    (void)state;
    assert_int_equal(datanodes_host_count(&d), 0);
    datanodes_set_target(&d, &rec);
    rec.target = 2;
    datanodes_set_target(&d, &rec);
    assert_int_equal(datanodes_host_count(&d), 1);
    rec = (struct target_rec){.target = 3, .state = DFS__TARGET_STATE__TARGET_ACTIVE, .host = "b"};
    datanodes_set_target(&d, &rec);
    assert_int_equal(datanodes_host_count(&d), 2);
    rec.state = DFS__TARGET_STATE__TARGET_DRAINING;
    datanodes_set_target(&d, &rec);
    assert_int_equal(datanodes_host_count(&d), 1);
    datanodes_clear(&d);
}

static void without_pgs_the_answer_is_to_ask_again(void **state)
{
    struct datanodes none = {0};
    uint32_t out[1];
    uint64_t next = 0;

    (void)state;
    assert_int_equal(datanodes_choose_pgs(&none, &next, 3, 1, out), -EAGAIN);
}

/* Else the report would call it silent, and count its space, for ever after a disk was replaced. */
static void a_disk_that_was_replaced_is_given_up(void **state)
{
    static int connection;
    struct datanodes *d = *state;
    struct target_rec old = {.target = 7, .state = DFS__TARGET_STATE__TARGET_ACTIVE, .node = "dn7"};
    struct pg_rec with_old = {
        .pg = PGS + 1, .epoch = 1, .copies = 3, .min_write = 2, .member_count = 1};
    struct datanode *n;

    datanodes_set_target(d, &old);
    with_old.members[0] = (struct pg_member_rec){.target = 7, .state = PG_OFFLINE};
    datanodes_set_pg(d, &with_old);
    assert_null(datanodes_retired(d)); /* Its datanode is away: it may come back with it. */
    n = datanodes_node(d, "dn7", true);
    n->conn = (struct conn *)&connection;
    n->targets[n->target_count++] = 8;
    assert_null(datanodes_retired(d)); /* A group still waits for what it holds. */
    with_old.epoch++;
    with_old.members[0].target = 8;
    datanodes_set_pg(d, &with_old);
    assert_ptr_equal(datanodes_retired(d), datanodes_target(d, 7));

    datanodes_target(d, 7)->retiring = true;
    assert_null(datanodes_retired(d));
    datanodes_target(d, 7)->retiring = false;
    n->targets[n->target_count++] = 7; /* The disk is there again. */
    assert_null(datanodes_retired(d));
    n->target_count--;
    n->conn = NULL; /* The datanode is gone as well. */
    assert_null(datanodes_retired(d));
    n->conn = (struct conn *)&connection;
    old.state = DFS__TARGET_STATE__TARGET_REMOVED;
    datanodes_set_target(d, &old);
    assert_null(datanodes_retired(d));
    n->conn = NULL;
}

static void host_has(struct datanodes *d, uint32_t target, const char *host, uint64_t total,
                     uint64_t bytes_free)
{
    struct target_rec rec = {
        .target = target, .bytes_total = total, .state = DFS__TARGET_STATE__TARGET_ACTIVE};

    snprintf(rec.host, sizeof(rec.host), "%s", host);
    datanodes_set_target(d, &rec);
    datanodes_target(d, target)->bytes_total = total;
    report(d, target, bytes_free);
}

/* Else df promised room that no file could have. */
static void what_fits_is_bound_by_the_full_hosts(void **state)
{
    static const struct {
        uint64_t bytes_free[4];
        unsigned hosts;
        uint64_t fits;
    } cases[] = {
        {{600, 600, 600}, 3, 600},
        {{600, 600, 20}, 3, 0}, /* the reserve of the third is no room */
        {{600, 600, 300}, 3, 300},
        {{600, 600, 300, 300}, 4, 600},
        {{900, 900, 900, 0}, 4, 900},
        {{900, 300, 300, 300}, 4, 450},
        {{600, 400}, 2, 400}, /* the third host is lost: two copies are kept */
        {{500}, 1, 500},
        {{0}, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct datanodes d = {0};
        uint64_t total, bytes_free;

        for (unsigned h = 0; h < cases[i].hosts; h++) {
            char host[16];

            snprintf(host, sizeof(host), "h%u", h);
            host_has(&d, h + 1, host, 1000, cases[i].bytes_free[h]);
        }
        datanodes_space(&d, 3, &total, &bytes_free);
        assert_int_equal(bytes_free, cases[i].fits);
        datanodes_clear(&d);
    }
}

static void disks_of_one_host_are_one_place(void **state)
{
    struct datanodes d = {0};
    uint64_t total, bytes_free;

    (void)state;
    for (uint32_t t = 1; t <= 4; t++)
        host_has(&d, t, "big", 1000, 800);
    host_has(&d, 5, "a", 1000, 500);
    host_has(&d, 6, "b", 1000, 500);
    datanodes_space(&d, 3, &total, &bytes_free);
    assert_int_equal(total, 1000);
    assert_int_equal(bytes_free, 500);
    datanodes_clear(&d);
}

static void keep_bad(struct datanodes *d, uint32_t target, uint64_t chunk, bool healed)
{
    Dfs__BadChunkReport *m = calloc(1, sizeof(*m));

    dfs__bad_chunk_report__init(m);
    m->target = target;
    m->chunk_id = chunk;
    m->healed = healed;
    datanodes_keep_bad(d, m);
}

/* Else `dfs report` went on showing damage that was healed long ago. */
static void the_newest_word_about_a_chunk_counts(void **state)
{
    const Dfs__BadChunkReport *out[BAD_REPORTS_MAX];

    keep_bad(*state, 1, 100, false);
    keep_bad(*state, 2, 100, false);
    keep_bad(*state, 1, 101, false);
    keep_bad(*state, 1, 100, true);
    assert_int_equal(datanodes_bad(*state, out, BAD_REPORTS_MAX), 3);
    assert_true(out[0]->target == 1 && out[0]->chunk_id == 100 && out[0]->healed);
    assert_true(out[1]->target == 1 && out[1]->chunk_id == 101 && !out[1]->healed);
    assert_true(out[2]->target == 2 && out[2]->chunk_id == 100 && !out[2]->healed);
    assert_int_equal(datanodes_bad(*state, out, 1), 1);
    assert_true(out[0]->target == 1 && out[0]->chunk_id == 100);
}

static void of_many_reports_the_oldest_are_forgotten(void **state)
{
    const Dfs__BadChunkReport *out[BAD_REPORTS_MAX];

    for (uint64_t chunk = 0; chunk < BAD_REPORTS_MAX + 2; chunk++)
        keep_bad(*state, 1, chunk, false);
    assert_int_equal(datanodes_bad(*state, out, BAD_REPORTS_MAX), BAD_REPORTS_MAX);
    assert_int_equal(out[0]->chunk_id, BAD_REPORTS_MAX + 1);
    assert_int_equal(out[BAD_REPORTS_MAX - 1]->chunk_id, 2);
    keep_bad(*state, 1, 2, true); /* Full, but this one has its place. */
    assert_int_equal(datanodes_bad(*state, out, BAD_REPORTS_MAX), BAD_REPORTS_MAX);
    assert_true(out[0]->chunk_id == 2 && out[0]->healed);
    assert_int_equal(out[BAD_REPORTS_MAX - 1]->chunk_id, 3);
}

/* So that the report says how long it takes the first time somebody asks. */
static void a_joins_rate_goes_by_its_first_report(void **state)
{
    struct datanodes *d = *state;
    struct pg_state *p = datanodes_pg(d, 1);
    const uint64_t s = 1000000000;
    struct pg_rec next = p->rec;

    sync_progress_take(&p->sync, 0, 0, 10 * s); /* It has not seen the list yet. */
    assert_int_equal(p->sync.total, 0);
    sync_progress_take(&p->sync, 500, 1000, 11 * s); /* These it had already. */
    assert_int_equal(sync_progress_rate(&p->sync), 0);
    sync_progress_take(&p->sync, 520, 1000, 12 * s);
    assert_int_equal(sync_progress_rate(&p->sync), 20);
    sync_progress_take(&p->sync, 600, 1100, 13 * s);
    assert_int_equal(sync_progress_rate(&p->sync), 50);
    assert_int_equal(p->sync.total, 1100);
    sync_progress_take(&p->sync, 510, 1100, 14 * s); /* It begins again. */
    assert_int_equal(sync_progress_rate(&p->sync), 0);
    sync_progress_take(&p->sync, 520, 1100, 15 * s);
    assert_int_equal(sync_progress_rate(&p->sync), 10);
    next.epoch++;
    datanodes_set_pg(d, &next);
    assert_int_equal(p->sync.total, 0);
    assert_int_equal(sync_progress_rate(&p->sync), 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_joins_rate_goes_by_its_first_report),
        TEST(a_disk_nobody_reported_yet_is_not_a_full_disk),
        TEST(chunks_are_spread_over_all_pgs_in_turn),
        TEST(pgs_on_fuller_disks_are_left_alone),
        TEST(no_space_is_only_said_when_every_pg_is_full),
        TEST(chunks_go_to_pgs_of_as_many_copies),
        TEST(pgs_that_nobody_serves_now_get_no_new_chunks),
        TEST(hosts_are_counted_once_and_while_in_use),
        TEST(without_pgs_the_answer_is_to_ask_again),
        TEST(a_disk_that_was_replaced_is_given_up),
        TEST(what_fits_is_bound_by_the_full_hosts),
        TEST(disks_of_one_host_are_one_place),
        TEST(the_newest_word_about_a_chunk_counts),
        TEST(of_many_reports_the_oldest_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
