/* The decisions about placement groups, as stories: who dies, who returns, what is proposed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "namenode/pg_mgr.h"

static const uint64_t ms = 1000000ULL;
static const uint64_t boot = 7ULL << 32; /* one host boot; the lower half is the process */

struct fixture {
    struct pg_mgr *m;
    uint64_t now;
    uint32_t targets;
    uint64_t incarnation[12];
    struct pg_rec pg; /* as the state machine has it */
};

static void add_target(struct fixture *f, uint32_t id)
{
    char host[8];

    snprintf(host, sizeof(host), "h%u", id);
    f->incarnation[id] = boot + 1;
    assert_int_equal(
        pg_mgr_set_target(
            f->m,
            &(struct pg_target){.id = id, .incarnation = boot + 1, .usable = true, .host = host}),
        0);
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    struct pg_mgr_options o;

    pg_mgr_options_init(&o);
    f->now = 1000000 * ms;
    f->m = pg_mgr_new(&o, f->now);
    f->targets = 3;
    for (uint32_t t = 1; t <= 3; t++)
        add_target(f, t);
    f->pg = (struct pg_rec){.pg = 1, .epoch = 5, .copies = 3, .min_write = 2, .member_count = 3};
    for (uint32_t i = 0; i < 3; i++)
        f->pg.members[i] = (struct pg_member_rec){
            .target = i + 1, .incarnation = boot + 1, .state = PG_SERVING, .last_serving_epoch = 5};
    assert_int_equal(pg_mgr_set_pg(f->m, &f->pg), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    pg_mgr_free(f->m);
    test_free(f);
    return 0;
}

/* Lets time pass; the targets in the mask (bit 1 = target 1) send heartbeats. A proposal is
 * applied. */
static unsigned pass(struct fixture *f, uint64_t span_ms, unsigned mask)
{
    unsigned proposals = 0;

    for (uint64_t t = 0; t < span_ms; t += 100) {
        struct pg_rec out[4];
        size_t n;

        f->now += 100 * ms;
        for (uint32_t id = 1; id <= f->targets; id++)
            if (mask & 1u << id)
                pg_mgr_heard(f->m, id, f->incarnation[id], f->now);
        n = pg_mgr_tick(f->m, f->now, out, 4);
        if (n == 1) {
            assert_int_equal(out[0].epoch, f->pg.epoch + 1);
            f->pg = out[0];
            assert_int_equal(pg_mgr_set_pg(f->m, &f->pg), 0);
        }
        proposals += (unsigned)n;
    }
    return proposals;
}

static void restart_target(struct fixture *f, uint32_t id, uint64_t incarnation)
{
    char host[8];

    snprintf(host, sizeof(host), "h%u", id);
    f->incarnation[id] = incarnation;
    pg_mgr_set_target(
        f->m,
        &(struct pg_target){.id = id, .incarnation = incarnation, .usable = true, .host = host});
    pg_mgr_heard(f->m, id, incarnation, f->now);
}

static enum pg_member_state state_of(const struct fixture *f, uint32_t target)
{
    for (uint32_t i = 0; i < f->pg.member_count; i++)
        if (f->pg.members[i].target == target)
            return f->pg.members[i].state;
    return 0;
}

static void a_healthy_pg_is_left_alone(void **state)
{
    assert_int_equal(pass(*state, 100000, 0xe), 0);
}

static void a_silent_member_leaves_after_two_seconds(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    assert_int_equal(pass(f, 1800, 0xc), 0);
    assert_int_equal(pass(f, 500, 0xc), 1);
    assert_int_equal(state_of(f, 1), PG_OFFLINE);
    assert_int_equal(f->pg.members[0].target, 2); /* The next in the chain leads. */
    assert_true(pg_is_writable(&f->pg));
}

/* A broken connection alone may be the network's; with a neighbour's word it is enough. */
static void an_accused_member_whose_connection_broke_leaves_at_once(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pg_mgr_lost(f->m, 2, f->incarnation[2]);
    assert_int_equal(pass(f, 100, 0xa), 0);
    pg_mgr_accused(f->m, 1, 2, f->incarnation[2], f->now);
    assert_int_equal(pass(f, 100, 0xa), 1);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
}

static void a_restarted_member_leaves_joins_and_serves_again(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    restart_target(f, 3, boot + 2);
    assert_int_equal(pass(f, 100, 0xe), 1);
    assert_int_equal(state_of(f, 3), PG_OFFLINE);
    assert_int_equal(pass(f, 100, 0xe), 1);
    assert_int_equal(state_of(f, 3), PG_SYNCING);
    assert_int_equal(f->pg.members[2].incarnation, boot + 2);
    assert_int_equal(pass(f, 5000, 0xe), 0);

    /* Told for an older epoch: does not count. */
    pg_mgr_sync_done(f->m, 1, 3, boot + 2, f->pg.epoch - 1);
    assert_int_equal(pass(f, 100, 0xe), 0);
    pg_mgr_sync_done(f->m, 1, 3, boot + 2, f->pg.epoch);
    assert_int_equal(pass(f, 100, 0xe), 1);
    assert_int_equal(state_of(f, 3), PG_SERVING);
    assert_int_equal(f->pg.members[2].target, 3); /* As the tail. */
    assert_int_equal(pass(f, 5000, 0xe), 0);
}

static void a_new_leader_waits_before_it_believes_in_silence(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(pass(f, 1900, 0xc), 0);
    assert_int_equal(pass(f, 200, 0xc), 1);
}

static void silence_does_not_count_while_the_leader_itself_stood_still(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    f->now += 10000 * ms; /* SIGSTOP of the leader */
    assert_int_equal(pass(f, 200, 0xe), 0);
    assert_int_equal(pass(f, 5000, 0xe), 0);
}

/* I28: with no one of the serving set alive there is nobody to promote. */
static void when_all_die_nothing_is_proposed_until_one_returns(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    assert_int_equal(pass(f, 20000, 0), 0);
    restart_target(f, 2, boot + 9);
    /* The cold wait is over already: it starts alone, is not yet writable, and nothing was lost. */
    assert_true(pass(f, 100, 0x4) >= 1);
    assert_int_equal(state_of(f, 2), PG_SERVING);
    assert_int_equal(state_of(f, 1), PG_OFFLINE);
    assert_int_equal(f->pg.reset_epoch, 6);
    assert_int_equal(f->pg.cold_epoch, 0);
    assert_false(pg_is_writable(&f->pg));
}

static void after_a_power_failure_the_cold_epoch_says_so(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pass(f, 20000, 0);
    restart_target(f, 1, (8ULL << 32) + 1);
    pass(f, 100, 0x2);
    assert_int_equal(state_of(f, 1), PG_SERVING);
    assert_int_equal(f->pg.cold_epoch, 6);
    assert_int_equal(f->pg.reset_epoch, 6);
}

/* A host that stayed up holds more (its page cache) than one that came first in the chain. */
static void a_member_of_the_same_boot_is_the_better_source(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pass(f, 3000, 0);
    restart_target(f, 1, (8ULL << 32) + 1);
    restart_target(f, 2, (8ULL << 32) + 2);
    restart_target(f, 3, boot + 2);
    pass(f, 100, 0xe);
    assert_int_equal(state_of(f, 3), PG_SERVING);
    assert_int_equal(f->pg.cold_epoch, 0);
}

/* The others may be on their way, and with better copies. */
static void a_cold_start_waits_for_the_others_a_little(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pass(f, 2500, 0);
    restart_target(f, 1, boot + 2);
    assert_int_equal(pass(f, 3000, 0x2), 0);
    restart_target(f, 2, boot + 2);
    restart_target(f, 3, boot + 2);
    assert_true(pass(f, 100, 0xe) >= 1);
}

/* After {2,3} died and 1 went on alone, 1 is the only legal source however long it is away. */
static void the_last_one_standing_is_never_replaced(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pass(f, 3000, 0x2);
    assert_int_equal(state_of(f, 1), PG_SERVING);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
    pass(f, 3000, 0);
    restart_target(f, 2, boot + 2);
    restart_target(f, 3, boot + 2);
    assert_int_equal(pass(f, 100000, 0xc), 0);
    pg_mgr_heard(f->m, 1, f->incarnation[1], f->now);
    pass(f, 300, 0xe);
    assert_int_equal(state_of(f, 1), PG_SERVING);
    assert_int_equal(state_of(f, 2), PG_SYNCING);
}

static void remove_target(struct fixture *f, uint32_t id)
{
    char host[8];

    snprintf(host, sizeof(host), "h%u", id);
    pg_mgr_set_target(
        f->m, &(struct pg_target){
                  .id = id, .incarnation = f->incarnation[id], .removed = true, .host = host});
}

/* Target 3 had the newest copy alone, and is gone; 1 and 2 are back with older ones. */
static void when_the_newest_copy_is_given_up_nobody_serves_until_one_is_named(void **state)
{
    struct fixture *f = *state;

    pass(f, 3000, 0xe);
    pass(f, 3000, 8);
    assert_int_equal(state_of(f, 3), PG_SERVING);
    restart_target(f, 1, boot + 2);
    restart_target(f, 2, boot + 2);
    f->targets = 2;
    pg_mgr_lost(f->m, 3, boot + 1);
    assert_int_equal(pass(f, 100000, 6), 0); /* They are older, and never taken by themselves. */
    assert_int_equal(state_of(f, 3), PG_SERVING);
    remove_target(f, 3);
    assert_int_equal(pass(f, 1000, 6), 1);
    for (uint32_t t = 1; t <= 3; t++)
        assert_int_equal(state_of(f, t), PG_OFFLINE);
    assert_int_equal(f->pg.reset_epoch, f->pg.epoch);
    assert_int_equal(f->pg.cold_epoch, f->pg.epoch);
    assert_int_equal(pass(f, 100000, 6), 0); /* The rest is pg_survey's. */
}

static void one_of_several_that_is_given_up_leaves_the_others_to_begin(void **state)
{
    struct fixture *f = *state;

    pass(f, 3000, 0xe);
    pass(f, 3000, 0);
    remove_target(f, 1);
    assert_int_equal(pass(f, 3000, 0), 0);
    restart_target(f, 2, boot + 2);
    pass(f, 8000, 4);
    assert_int_equal(state_of(f, 2), PG_SERVING);
}

static void a_spare_on_another_host_takes_over_after_the_grace_time(void **state)
{
    struct fixture *f = *state;

    f->targets = 4;
    add_target(f, 4);
    pass(f, 1000, 0x1e);
    pass(f, 3000, 0x1a);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
    assert_int_equal(pass(f, 50000, 0x1a), 0);
    pass(f, 12000, 0x1a);
    assert_int_equal(state_of(f, 4), PG_SYNCING);
    assert_int_equal(state_of(f, 2), 0);
}

/* ---- many at once ---- */

static void add_targets_up_to(struct fixture *f, uint32_t last)
{
    f->targets = last;
    for (uint32_t t = 4; t <= last; t++)
        add_target(f, t);
    pass(f, 1000, 0xffe);
}

static const unsigned all_but_245 = 0x1fe & ~(1u << 2 | 1u << 4 | 1u << 5);

/* More likely nobody hears them here. Were it believed, each group would change, and those that it
 * left with one copy could not be written. */
static void when_many_fall_silent_at_once_nobody_goes_for_a_minute(void **state)
{
    struct fixture *f = *state;

    add_targets_up_to(f, 8);
    assert_int_equal(pass(f, 300, 0x1fe & ~(1u << 2)), 0); /* Not quite at once. */
    assert_int_equal(pass(f, 300, 0x1fe & ~(1u << 2 | 1u << 4)), 0);
    assert_int_equal(pass(f, 59000, all_but_245), 0);
    pass(f, 4000, all_but_245);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
}

static void when_they_are_heard_again_nothing_was_changed(void **state)
{
    struct fixture *f = *state;

    add_targets_up_to(f, 8);
    assert_int_equal(pass(f, 30000, all_but_245), 0);
    assert_int_equal(pass(f, 10000, 0x1fe), 0);
    pass(f, 2500, 0x1fe & ~(1u << 2)); /* One alone is a failure as ever. */
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
}

/* It is nearer than we are. */
static void a_neighbours_word_counts_also_when_many_are_silent(void **state)
{
    struct fixture *f = *state;

    add_targets_up_to(f, 8);
    assert_int_equal(pass(f, 5000, all_but_245), 0);
    pg_mgr_accused(f->m, 1, 2, f->incarnation[2], f->now);
    assert_true(pass(f, 100, all_but_245) >= 1);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
}

/* A host with many disks, or two hosts of a small cluster, are failures like others. */
static void many_disks_of_one_host_are_not_many(void **state)
{
    struct fixture *f = *state;

    add_targets_up_to(f, 8);
    for (uint32_t id = 4; id <= 5; id++)
        pg_mgr_set_target(
            f->m, &(struct pg_target){
                      .id = id, .incarnation = f->incarnation[id], .usable = true, .host = "h2"});
    pass(f, 2500, all_but_245);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
}

static void few_of_many_that_fall_silent_are_dead(void **state)
{
    struct fixture *f = *state;

    add_targets_up_to(f, 11);
    pass(f, 2500, 0xffe & ~(1u << 2 | 1u << 4 | 1u << 5));
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
}

/* Who registers anew says itself that it died. */
static void a_restart_among_the_silent_is_seen(void **state)
{
    struct fixture *f = *state;

    add_targets_up_to(f, 8);
    assert_int_equal(pass(f, 3000, 0x1fe & ~(1u << 3 | 1u << 4 | 1u << 5 | 1u << 6)), 0);
    restart_target(f, 3, boot + 2);
    assert_true(pass(f, 100, 0x1fe & ~(1u << 4 | 1u << 5 | 1u << 6)) >= 1);
    assert_int_equal(state_of(f, 3), PG_OFFLINE);
}

static void two_that_blame_each_other_lose_the_one_further_down(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pg_mgr_accused(f->m, 1, 2, f->incarnation[2], f->now);
    pg_mgr_accused(f->m, 2, 1, f->incarnation[1], f->now);
    assert_true(pass(f, 1200, 0xe) >= 1);
    assert_int_equal(f->pg.members[0].target, 1);
    assert_int_not_equal(state_of(f, 2), PG_SERVING);
    assert_int_equal(state_of(f, 3), PG_SERVING);
}

/* Now for M, next for T: a faulty head would take its chain apart, and lose good copies. */
static void who_is_believed_once_and_accuses_the_next_one_goes_itself(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pg_mgr_accused(f->m, 1, 2, f->incarnation[2], f->now);
    assert_true(pass(f, 1200, 0xe) >= 1);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
    pg_mgr_accused(f->m, 1, 3, f->incarnation[3], f->now);
    assert_true(pass(f, 1200, 0xe) >= 1);
    assert_int_equal(state_of(f, 1), PG_OFFLINE);
    assert_int_equal(state_of(f, 3), PG_SERVING);
    assert_int_equal(f->pg.members[0].target, 3);

    /* It has paid, and the others are not to blame for what it said. */
    pass(f, 4000, 0xe);
    pg_mgr_sync_done(f->m, 1, 2, f->incarnation[2], f->pg.epoch);
    pass(f, 200, 0xe);
    pg_mgr_sync_done(f->m, 1, 1, f->incarnation[1], f->pg.epoch);
    pass(f, 5000, 0xe);
    assert_int_equal(state_of(f, 1), PG_SERVING);
    assert_int_equal(state_of(f, 2), PG_SERVING);
}

/* The same when it accuses both at once, again and again. */
static void who_accuses_all_at_once_takes_one_with_it_at_most(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    for (int i = 0; i < 25; i++) {
        pg_mgr_accused(f->m, 1, 2, f->incarnation[2], f->now);
        pg_mgr_accused(f->m, 1, 3, f->incarnation[3], f->now);
        pass(f, 100, 0xe);
    }
    assert_int_equal(state_of(f, 1), PG_OFFLINE);
    assert_int_equal(state_of(f, 2), PG_SERVING);
}

/* Right about it once, it may well be right again. */
static void the_same_one_may_be_accused_again(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pg_mgr_accused(f->m, 1, 2, f->incarnation[2], f->now);
    pass(f, 4500, 0xe);
    assert_int_equal(state_of(f, 2), PG_SYNCING);
    pg_mgr_accused(f->m, 1, 2, f->incarnation[2], f->now);
    pass(f, 1200, 0xe);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
    assert_int_equal(state_of(f, 1), PG_SERVING);
}

/* Then it is not the only one that sees it. */
static void of_whom_others_complain_too_may_be_accused_next(void **state)
{
    struct fixture *f = *state;

    f->targets = 4;
    add_target(f, 4);
    pass(f, 1000, 0x1e);
    pg_mgr_accused(f->m, 3, 2, f->incarnation[2], f->now);
    pass(f, 1200, 0x1e);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
    pg_mgr_accused(f->m, 4, 1, f->incarnation[1], f->now); /* In another group. */
    pg_mgr_accused(f->m, 3, 1, f->incarnation[1], f->now);
    pass(f, 1200, 0x1e);
    assert_int_equal(state_of(f, 1), PG_OFFLINE);
    assert_int_equal(state_of(f, 3), PG_SERVING);
}

static void after_a_minute_who_was_believed_is_believed_again(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pg_mgr_accused(f->m, 1, 2, f->incarnation[2], f->now);
    pass(f, 4500, 0xe);
    pg_mgr_sync_done(f->m, 1, 2, f->incarnation[2], f->pg.epoch);
    pass(f, 60000, 0xe);
    assert_int_equal(state_of(f, 2), PG_SERVING);
    pg_mgr_accused(f->m, 1, 3, f->incarnation[3], f->now);
    pass(f, 1200, 0xe);
    assert_int_equal(state_of(f, 3), PG_OFFLINE);
    assert_int_equal(state_of(f, 1), PG_SERVING);
}

/* A neighbour that cannot reach it says so again and again: that must not put the end off. */
static void an_accusation_that_is_repeated_counts_from_the_first(void **state)
{
    struct fixture *f = *state;
    unsigned proposals = 0;

    pass(f, 1000, 0xe);
    for (int i = 0; i < 20 && proposals == 0; i++) {
        pg_mgr_accused(f->m, 1, 2, f->incarnation[2], f->now);
        proposals = pass(f, 100, 0xe);
    }
    assert_int_equal(proposals, 1);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
}

/* With one SERVING member left, it is the joiner that goes, whoever of the two complains. */
static void a_joiner_that_its_only_source_cannot_reach_makes_room_for_another(void **state)
{
    struct fixture *f = *state;

    f->targets = 4;
    add_target(f, 4);
    pass(f, 1000, 0x1e);
    pass(f, 4000, 0x1a); /* 2 dies: 4 has to wait, 2 may come back. */
    pass(f, 4000, 0x12); /* 3 dies too: 1 alone, so 4 takes a place at once. */
    assert_int_equal(state_of(f, 1), PG_SERVING);
    assert_int_equal(state_of(f, 4), PG_SYNCING);
    pass(f, 1000, 0x1a); /* 3 is back, and would be the better joiner. */
    pg_mgr_accused(f->m, 4, 1, f->incarnation[1], f->now);
    assert_true(pass(f, 1500, 0x1a) >= 2);
    assert_int_equal(state_of(f, 1), PG_SERVING);
    assert_int_equal(state_of(f, 3), PG_SYNCING);
}

/* A local error in one PG: the others of the target go on, and it may come back here. */
static void who_leaves_a_pg_by_itself_leaves_that_one_and_once(void **state)
{
    struct fixture *f = *state;
    struct pg_rec other = f->pg, out[4];

    other.pg = 2;
    assert_int_equal(pg_mgr_set_pg(f->m, &other), 0);
    pass(f, 1000, 0xe);
    pg_mgr_left(f->m, 1, 3, f->incarnation[3], f->pg.epoch);
    assert_int_equal(pass(f, 100, 0xe), 1);
    assert_int_equal(state_of(f, 3), PG_OFFLINE);
    assert_int_equal(f->pg.pg, 1);
    /* Word of it that comes late is of an epoch that is over. */
    pg_mgr_left(f->m, 1, 3, f->incarnation[3], f->pg.epoch - 1);
    assert_int_equal(pass(f, 5000, 0xe), 1);
    assert_int_equal(state_of(f, 3), PG_SYNCING);
    pg_mgr_sync_done(f->m, 1, 3, f->incarnation[3], f->pg.epoch);
    assert_int_equal(pass(f, 5000, 0xe), 1);
    assert_int_equal(state_of(f, 3), PG_SERVING);
    assert_int_equal(pg_mgr_tick(f->m, f->now, out, 4), 0);
}

/* All met the same full disk: what was acknowledged is with each of them, and reads must go on. */
static void when_all_leave_by_themselves_one_begins_anew(void **state)
{
    struct fixture *f = *state;
    uint64_t epoch = f->pg.epoch;

    pass(f, 1000, 0xe);
    for (uint32_t t = 1; t <= 3; t++)
        pg_mgr_left(f->m, 1, t, f->incarnation[t], epoch);
    pass(f, 6000, 0xe);
    assert_int_equal(state_of(f, 1), PG_SERVING);
    assert_int_equal(f->pg.members[0].target, 1);
    assert_true(f->pg.reset_epoch > epoch);
    assert_int_equal(f->pg.cold_epoch, 0);
    assert_int_equal(f->pg.members[1].state, PG_SYNCING);
}

/* The same, but a disk that failed is no source. */
static void a_failed_disk_is_no_source_when_all_left(void **state)
{
    struct fixture *f = *state;
    uint64_t epoch = f->pg.epoch;

    pass(f, 1000, 0xe);
    for (uint32_t t = 1; t <= 3; t++)
        pg_mgr_left(f->m, 1, t, f->incarnation[t], epoch);
    pg_mgr_failed(f->m, 1);
    pass(f, 6000, 0xe);
    assert_int_equal(state_of(f, 1), PG_OFFLINE);
    assert_int_equal(f->pg.members[0].target, 2);
    assert_int_equal(f->pg.members[0].state, PG_SERVING);
}

static void an_accusation_of_an_older_process_is_not_heard(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pg_mgr_accused(f->m, 1, 2, boot + 77, f->now);
    assert_int_equal(pass(f, 5000, 0xe), 0);
}

static void a_failed_disk_leaves_and_is_not_taken_back(void **state)
{
    struct fixture *f = *state;

    pass(f, 1000, 0xe);
    pg_mgr_failed(f->m, 2);
    assert_int_equal(pass(f, 10000, 0xe), 1);
    assert_int_equal(state_of(f, 2), PG_OFFLINE);
}

/* ---- many PGs that target 3 has been away from ---- */

static void add_pg_without_3(struct fixture *f, uint32_t pg, uint32_t serving, uint32_t min_write)
{
    struct pg_rec rec = {
        .pg = pg, .epoch = 5, .copies = 3, .min_write = min_write, .member_count = serving + 1};

    for (uint32_t i = 0; i < serving; i++)
        rec.members[i] = (struct pg_member_rec){
            .target = i + 1, .incarnation = boot + 1, .state = PG_SERVING, .last_serving_epoch = 5};
    rec.members[serving] = (struct pg_member_rec){
        .target = 3, .incarnation = boot, .state = PG_OFFLINE, .last_serving_epoch = 4};
    assert_int_equal(pg_mgr_set_pg(f->m, &rec), 0);
}

/* One tick: in how many PGs 3 is to join, and whether this one is among them. */
static size_t joins_of_3(struct fixture *f, uint32_t pg, bool *ret_is_there)
{
    struct pg_rec out[64];
    size_t n, joins = 0;

    f->now += 100 * ms;
    for (uint32_t id = 1; id <= 3; id++)
        pg_mgr_heard(f->m, id, f->incarnation[id], f->now);
    n = pg_mgr_tick(f->m, f->now, out, 64);
    *ret_is_there = false;
    for (size_t i = 0; i < n; i++) {
        const struct pg_rec *r = &out[i];

        if (r->members[r->member_count - 1].target != 3 ||
            r->members[r->member_count - 1].state != PG_SYNCING)
            continue;
        joins++;
        *ret_is_there |= r->pg == pg;
    }
    return joins;
}

/* A target takes few at once: the rest waits for these, which may be hours. */
static void the_last_copy_is_the_first_to_be_repaired(void **state)
{
    struct fixture *f = *state;
    bool is_there;

    for (uint32_t pg = 2; pg < 30; pg++)
        add_pg_without_3(f, pg, pg == 29 ? 1 : 2, 1);
    assert_int_equal(joins_of_3(f, 29, &is_there), 8);
    assert_true(is_there);
}

/* The same when there is room for few proposals. */
static void the_last_copy_is_the_first_to_be_proposed(void **state)
{
    struct fixture *f = *state;
    struct pg_rec out[1];

    for (uint32_t pg = 2; pg < 30; pg++)
        add_pg_without_3(f, pg, pg == 29 ? 1 : 2, 1);
    f->now += 100 * ms;
    for (uint32_t id = 1; id <= 3; id++)
        pg_mgr_heard(f->m, id, f->incarnation[id], f->now);
    assert_int_equal(pg_mgr_tick(f->m, f->now, out, 1), 1);
    assert_int_equal(out[0].pg, 29);
}

/* Clients stand still before it: it doesn't wait for joins that nobody needs as much. */
static void a_pg_that_cannot_be_written_does_not_wait_for_other_joins(void **state)
{
    struct fixture *f = *state;
    bool is_there;

    for (uint32_t pg = 2; pg < 29; pg++)
        add_pg_without_3(f, pg, 2, 2);
    assert_int_equal(joins_of_3(f, 29, &is_there), 8);
    for (uint32_t pg = 2; pg < 29; pg++) { /* Eight of these are under way, whichever. */
        struct pg_rec rec = {.pg = pg, .epoch = 6, .copies = 3, .min_write = 2, .member_count = 3};

        for (uint32_t i = 0; i < 3; i++)
            rec.members[i] = (struct pg_member_rec){
                .target = i + 1, .incarnation = boot + 1, .state = i < 2 ? PG_SERVING : PG_SYNCING};
        if (pg < 10)
            assert_int_equal(pg_mgr_set_pg(f->m, &rec), 0);
        else
            add_pg_without_3(f, pg, 2, 2);
    }
    assert_int_equal(joins_of_3(f, 29, &is_there), 0);
    add_pg_without_3(f, 29, 1, 2);
    assert_int_equal(joins_of_3(f, 29, &is_there), 1);
    assert_true(is_there);
}

static void new_pgs_spread_members_and_heads_evenly(void **state)
{
    struct fixture *f = *state;
    struct pg_rec out[128];
    unsigned heads[8] = {0}, members[8] = {0};
    size_t n;

    f->targets = 6;
    for (uint32_t t = 4; t <= 6; t++)
        add_target(f, t);
    assert_int_equal(pg_mgr_plan_new(f->m, f->now, out, 128), 0); /* Nobody was heard yet. */
    pass(f, 300, 0x7e);
    n = pg_mgr_plan_new(f->m, f->now, out, 128);
    assert_int_equal(n, 6 * 32 / 3 - 1); /* One exists. */
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(out[i].member_count, 3);
        heads[out[i].members[0].target]++;
        for (uint32_t k = 0; k < 3; k++) {
            members[out[i].members[k].target]++;
            for (uint32_t j = 0; j < k; j++)
                assert_int_not_equal(out[i].members[k].target, out[i].members[j].target);
        }
    }
    for (uint32_t t = 1; t <= 6; t++) {
        assert_in_range(heads[t], 63 / 6 - 2, 63 / 6 + 3);
        assert_in_range(members[t], 30, 33);
    }
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_healthy_pg_is_left_alone),
        TEST(a_silent_member_leaves_after_two_seconds),
        TEST(an_accused_member_whose_connection_broke_leaves_at_once),
        TEST(a_restarted_member_leaves_joins_and_serves_again),
        TEST(a_new_leader_waits_before_it_believes_in_silence),
        TEST(silence_does_not_count_while_the_leader_itself_stood_still),
        TEST(when_all_die_nothing_is_proposed_until_one_returns),
        TEST(after_a_power_failure_the_cold_epoch_says_so),
        TEST(a_member_of_the_same_boot_is_the_better_source),
        TEST(a_cold_start_waits_for_the_others_a_little),
        TEST(the_last_one_standing_is_never_replaced),
        TEST(when_the_newest_copy_is_given_up_nobody_serves_until_one_is_named),
        TEST(one_of_several_that_is_given_up_leaves_the_others_to_begin),
        TEST(a_spare_on_another_host_takes_over_after_the_grace_time),
        TEST(when_many_fall_silent_at_once_nobody_goes_for_a_minute),
        TEST(when_they_are_heard_again_nothing_was_changed),
        TEST(a_neighbours_word_counts_also_when_many_are_silent),
        TEST(many_disks_of_one_host_are_not_many),
        TEST(few_of_many_that_fall_silent_are_dead),
        TEST(a_restart_among_the_silent_is_seen),
        TEST(two_that_blame_each_other_lose_the_one_further_down),
        TEST(who_is_believed_once_and_accuses_the_next_one_goes_itself),
        TEST(who_accuses_all_at_once_takes_one_with_it_at_most),
        TEST(the_same_one_may_be_accused_again),
        TEST(of_whom_others_complain_too_may_be_accused_next),
        TEST(after_a_minute_who_was_believed_is_believed_again),
        TEST(an_accusation_that_is_repeated_counts_from_the_first),
        TEST(a_joiner_that_its_only_source_cannot_reach_makes_room_for_another),
        TEST(who_leaves_a_pg_by_itself_leaves_that_one_and_once),
        TEST(when_all_leave_by_themselves_one_begins_anew),
        TEST(a_failed_disk_is_no_source_when_all_left),
        TEST(an_accusation_of_an_older_process_is_not_heard),
        TEST(a_failed_disk_leaves_and_is_not_taken_back),
        TEST(the_last_copy_is_the_first_to_be_repaired),
        TEST(the_last_copy_is_the_first_to_be_proposed),
        TEST(a_pg_that_cannot_be_written_does_not_wait_for_other_joins),
        TEST(new_pgs_spread_members_and_heads_evenly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
