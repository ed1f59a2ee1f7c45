/*
 * Who answers, but too late: who is taken out for that, how many, and when they are back. A cluster of
 * up to six targets whose proposals are applied at once and whose joiners are done after a second.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "namenode/pg_mgr.h"

static const uint64_t ms = 1000000, minute_ms = 60000;
static const uint64_t boot = UINT64_C(7) << 32;

enum { TARGETS_MAX = 6, PGS_MAX = 64, STEP_MS = 100, SYNC_MS = 1000, FAST_MS = 5, COPIES = 3 };

struct fixture {
    struct pg_mgr *m;
    uint64_t now;
    uint32_t targets;
    uint64_t incarnation[TARGETS_MAX + 1];
    uint64_t own_ms[TARGETS_MAX + 1]; /* what it says of itself; 0: nothing */
    uint64_t ack_ms[TARGETS_MAX + 1]; /* what its predecessors see */
    struct pg_rec pgs[PGS_MAX];
    uint64_t sync_since[PGS_MAX];
    unsigned pg_count;
    unsigned least; /* SERVING members that a PG had */
};

static void tell_target(struct fixture *f, uint32_t id)
{
    char host[8];

    snprintf(host, sizeof(host), "h%u", id % 100);
    assert_int_equal(pg_mgr_set_target(f->m, &(struct pg_target){.id = id,
                                                                 .incarnation = f->incarnation[id],
                                                                 .usable = true,
                                                                 .host = host}),
                     0);
}

static unsigned count(const struct pg_rec *pg, enum pg_member_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < pg->member_count; i++)
        n += pg->members[i].state == state;
    return n;
}

static void apply(struct fixture *f, const struct pg_rec *rec)
{
    if (count(rec, PG_SYNCING) > count(&f->pgs[rec->pg - 1], PG_SYNCING))
        f->sync_since[rec->pg - 1] = f->now;
    f->pgs[rec->pg - 1] = *rec;
    f->least = MIN(f->least, count(rec, PG_SERVING));
    assert_int_equal(pg_mgr_set_pg(f->m, rec), 0);
}

static void sync_members(struct fixture *f)
{
    for (unsigned p = 0; p < f->pg_count; p++) {
        const struct pg_rec *pg = &f->pgs[p];

        for (unsigned i = 0; i < pg->member_count; i++)
            if (pg->members[i].state == PG_SYNCING && f->now - f->sync_since[p] >= SYNC_MS * ms)
                pg_mgr_sync_done(f->m, pg->pg, pg->members[i].target, pg->members[i].incarnation,
                                 pg->epoch);
    }
}

/* What predecessors see is told by all of them. */
static void tell_latencies(struct fixture *f)
{
    for (uint32_t id = 1; id <= f->targets; id++) {
        pg_mgr_heard(f->m, id, f->incarnation[id], f->now);
        pg_mgr_own_latency(f->m, id, f->own_ms[id] * ms, f->now);
        for (uint32_t by = 1; by <= f->targets; by++)
            if (by != id)
                pg_mgr_link_latency(f->m, by, id, f->ack_ms[id] * ms, f->now);
    }
}

static void pass(struct fixture *f, uint64_t span_ms)
{
    for (uint64_t t = 0; t < span_ms; t += STEP_MS) {
        struct pg_rec out[PGS_MAX];
        size_t n;

        f->now += STEP_MS * ms;
        tell_latencies(f);
        sync_members(f);
        n = pg_mgr_tick(f->m, f->now, out, PGS_MAX);
        for (size_t i = 0; i < n; i++)
            apply(f, &out[i]);
    }
}

static struct fixture *cluster_of(uint32_t targets, uint64_t slow_after_ms)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    struct pg_rec out[PGS_MAX];
    struct pg_mgr_options o;

    pg_mgr_options_init(&o);
    o.pgs_per_target = 6;
    o.slow_after_ns = slow_after_ms * ms;
    f->now = 1000000 * ms;
    f->m = pg_mgr_new(&o, f->now);
    f->targets = targets;
    for (uint32_t t = 1; t <= targets; t++) {
        f->incarnation[t] = boot + 1;
        f->own_ms[t] = f->ack_ms[t] = FAST_MS;
        tell_target(f, t);
    }
    pass(f, 200);
    f->pg_count = (unsigned)pg_mgr_plan_new(f->m, f->now, out, PGS_MAX);
    assert_true(f->pg_count > 0);
    for (unsigned p = 0; p < f->pg_count; p++) {
        f->pgs[p] = out[p];
        f->pgs[p].pg = p + 1;
        assert_int_equal(pg_mgr_set_pg(f->m, &f->pgs[p]), 0);
    }
    f->least = COPIES;
    return f;
}

static void done(struct fixture *f)
{
    pg_mgr_free(f->m);
    test_free(f);
}

/* In how many chains it is. */
static unsigned chains_of(const struct fixture *f, uint32_t id)
{
    unsigned n = 0;

    for (unsigned p = 0; p < f->pg_count; p++)
        for (unsigned i = 0; i < f->pgs[p].member_count; i++)
            n += f->pgs[p].members[i].target == id && f->pgs[p].members[i].state != PG_OFFLINE;
    return n;
}

static bool is_out(const struct fixture *f, uint32_t id)
{
    struct pg_slowness s;

    pg_mgr_slowness(f->m, id, &s);
    return s.is_out;
}

static void who_answers_late_is_taken_out_and_the_figures_say_why(void **state)
{
    struct fixture *f = cluster_of(4, 30000);
    struct pg_slowness s;

    (void)state;
    pass(f, 10000);
    f->ack_ms[2] = 1500;
    pass(f, 29000);
    assert_true(chains_of(f, 2) > 0);
    pass(f, 2000);
    assert_int_equal(chains_of(f, 2), 0);
    assert_int_equal(f->least, 2);
    pg_mgr_slowness(f->m, 2, &s);
    assert_true(s.is_out);
    assert_int_equal(s.times, 1);
    assert_int_equal(s.p99_ns, 1500 * ms);
    assert_int_equal(s.peers_ns, FAST_MS * ms);
    /* Others take its place. */
    pass(f, 2 * minute_ms);
    assert_int_equal(chains_of(f, 2), 0);
    for (unsigned p = 0; p < f->pg_count; p++)
        assert_int_equal(count(&f->pgs[p], PG_SERVING), COPIES);
    done(f);
}

/* A head has no predecessor that would see it: its own disk, or its process, says it. */
static void who_finds_itself_slow_is_taken_out(void **state)
{
    struct fixture *f = cluster_of(4, 30000);

    (void)state;
    f->own_ms[1] = 3000;
    pass(f, 32000);
    assert_int_equal(chains_of(f, 1), 0);
    done(f);
}

static void a_moment_is_no_reason(void **state)
{
    struct fixture *f = cluster_of(4, 30000);

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        f->ack_ms[2] = 5000;
        pass(f, 25000);
        f->ack_ms[2] = FAST_MS;
        pass(f, 1000);
    }
    assert_false(is_out(f, 2));
    done(f);
}

/* Disks that are all slow, or a network that is: nobody is better. */
static void when_all_are_slow_nobody_is_taken_out(void **state)
{
    struct fixture *f = cluster_of(4, 30000);

    (void)state;
    for (uint32_t t = 1; t <= 4; t++)
        f->ack_ms[t] = 2000 + t * 1000;
    pass(f, 3 * minute_ms);
    for (uint32_t t = 1; t <= 4; t++)
        assert_false(is_out(f, t));
    done(f);
}

/* Ten times as long as its peers, and yet fast enough. */
static void who_is_not_slow_for_users_stays(void **state)
{
    struct fixture *f = cluster_of(4, 30000);

    (void)state;
    f->ack_ms[2] = 900;
    pass(f, 3 * minute_ms);
    assert_false(is_out(f, 2));
    done(f);
}

static void one_bad_link_is_outvoted(void **state)
{
    struct fixture *f = cluster_of(4, 30000);

    (void)state;
    for (unsigned t = 0; t < 600; t++) {
        pass(f, STEP_MS);
        pg_mgr_link_latency(f->m, 1, 2, 9000 * ms, f->now);
    }
    assert_false(is_out(f, 2));
    done(f);
}

/* It stands still now and then, and sees all others answer late: it is the one. */
static void who_is_slow_itself_is_no_witness(void **state)
{
    struct fixture *f = cluster_of(4, 30000);

    (void)state;
    for (uint32_t t = 2; t <= 4; t++)
        f->ack_ms[t] = 0;
    f->own_ms[1] = 1600;
    for (unsigned t = 0; t < 900; t++) {
        for (uint32_t other = 2; other <= 4; other++)
            pg_mgr_link_latency(f->m, 1, other, 2000 * ms, f->now);
        pass(f, STEP_MS);
    }
    assert_true(is_out(f, 1));
    for (uint32_t t = 2; t <= 4; t++)
        assert_false(is_out(f, t));
    done(f);
}

/* Three hosts: each group has two copies left, and no fewer, whoever else is slow. */
static void two_good_copies_stay(void **state)
{
    struct fixture *f = cluster_of(3, 30000);

    (void)state;
    f->own_ms[1] = 60000;
    f->own_ms[2] = 30000;
    f->own_ms[3] = 1;
    pass(f, 5 * minute_ms);
    assert_int_equal(f->least, 2);
    assert_int_equal(chains_of(f, 1) == 0, is_out(f, 1));
    assert_true(is_out(f, 1) != is_out(f, 2) || chains_of(f, 1) + chains_of(f, 2) > 0);
    for (unsigned p = 0; p < f->pg_count; p++)
        assert_true(count(&f->pgs[p], PG_SERVING) >= 2);
    done(f);
}

/* Copies are made meanwhile, and a rule that is wrong does not take the cluster apart. */
static void at_most_one_a_minute(void **state)
{
    struct fixture *f = cluster_of(6, 30000);
    unsigned out;

    (void)state;
    f->own_ms[1] = f->own_ms[2] = 5000;
    pass(f, 32000);
    out = (unsigned)is_out(f, 1) + is_out(f, 2);
    assert_int_equal(out, 1);
    pass(f, 55000);
    out = (unsigned)is_out(f, 1) + is_out(f, 2);
    assert_int_equal(out, 1);
    pass(f, 10000);
    out = (unsigned)is_out(f, 1) + is_out(f, 2);
    assert_int_equal(out, 2);
    done(f);
}

static void it_comes_back_after_a_rest_that_grows(void **state)
{
    struct fixture *f = cluster_of(3, 30000);

    (void)state;
    for (unsigned rest_min = 5; rest_min <= 20; rest_min *= 2) {
        f->ack_ms[2] = 1500;
        pass(f, 62000);
        assert_true(is_out(f, 2));
        f->ack_ms[2] = 0; /* Nobody writes there, so nobody knows. */
        pass(f, rest_min * minute_ms - 40000);
        assert_true(is_out(f, 2));
        assert_int_equal(chains_of(f, 2), 0);
        pass(f, 60000);
        assert_false(is_out(f, 2));
        assert_int_equal(chains_of(f, 2), f->pg_count);
    }
    /* Long after that it begins anew. */
    pass(f, 61 * minute_ms);
    f->ack_ms[2] = 1500;
    pass(f, 62000);
    assert_true(is_out(f, 2));
    f->ack_ms[2] = 0;
    pass(f, 5 * minute_ms);
    assert_false(is_out(f, 2));
    done(f);
}

static void who_is_slow_still_stays_out(void **state)
{
    struct fixture *f = cluster_of(3, 30000);

    (void)state;
    f->own_ms[2] = 1500; /* Its process stands still, whether somebody writes or not. */
    pass(f, 20 * minute_ms);
    assert_true(is_out(f, 2));
    f->own_ms[2] = FAST_MS;
    pass(f, 1000);
    assert_false(is_out(f, 2));
    done(f);
}

/* The operator has done something about it. */
static void a_restart_lets_it_in_at_once_and_is_not_forgotten(void **state)
{
    struct fixture *f = cluster_of(3, 30000);
    struct pg_slowness s;

    (void)state;
    f->own_ms[2] = 1500;
    pass(f, 62000);
    assert_true(is_out(f, 2));
    f->own_ms[2] = 0;
    f->incarnation[2]++;
    tell_target(f, 2);
    pass(f, 6000);
    assert_false(is_out(f, 2));
    assert_int_equal(chains_of(f, 2), f->pg_count);
    f->own_ms[2] = 1500;
    pass(f, 62000);
    pg_mgr_slowness(f->m, 2, &s);
    assert_true(s.is_out);
    assert_int_equal(s.times, 2);
    done(f);
}

static void it_can_be_turned_off(void **state)
{
    struct fixture *f = cluster_of(4, 0);

    (void)state;
    f->ack_ms[2] = f->own_ms[2] = 30000;
    pass(f, 5 * minute_ms);
    assert_false(is_out(f, 2));
    done(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_answers_late_is_taken_out_and_the_figures_say_why),
        cmocka_unit_test(who_finds_itself_slow_is_taken_out),
        cmocka_unit_test(a_moment_is_no_reason),
        cmocka_unit_test(when_all_are_slow_nobody_is_taken_out),
        cmocka_unit_test(who_is_not_slow_for_users_stays),
        cmocka_unit_test(one_bad_link_is_outvoted),
        cmocka_unit_test(who_is_slow_itself_is_no_witness),
        cmocka_unit_test(two_good_copies_stay),
        cmocka_unit_test(at_most_one_a_minute),
        cmocka_unit_test(it_comes_back_after_a_rest_that_grows),
        cmocka_unit_test(who_is_slow_still_stays_out),
        cmocka_unit_test(a_restart_lets_it_in_at_once_and_is_not_forgotten),
        cmocka_unit_test(it_can_be_turned_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
