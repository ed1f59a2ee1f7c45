#include "tests/unit/namenode/pg_fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"

void tell_target(struct fixture *f, uint32_t id)
{
    const struct one *t = &f->targets[id];

    assert_int_equal(pg_mgr_set_target(f->m, &(struct pg_target){.id = id,
                                                                 .incarnation = t->incarnation,
                                                                 .usable = t->usable,
                                                                 .draining = t->draining,
                                                                 .host = t->host,
                                                                 .rack = t->rack,
                                                                 .bytes_total = t->bytes_total}),
                     0);
}

void add_target(struct fixture *f, uint32_t id, unsigned host)
{
    struct one *t = &f->targets[id];

    *t = (struct one){.there = true, .alive = true, .usable = true, .incarnation = boot + 1};
    snprintf(t->host, sizeof(t->host), "h%u", host % 100);
    tell_target(f, id);
}

void drain(struct fixture *f, uint32_t id)
{
    f->targets[id].usable = false;
    f->targets[id].draining = true;
    tell_target(f, id);
}

unsigned count(const struct pg_rec *pg, enum pg_member_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < pg->member_count; i++)
        n += pg->members[i].state == state;
    return n;
}

/* In how many PGs it is, in whatever state. */
unsigned pgs_of(const struct fixture *f, uint32_t id)
{
    unsigned n = 0;

    for (unsigned p = 0; p < f->pg_count; p++)
        for (unsigned i = 0; i < f->pgs[p].member_count; i++)
            n += f->pgs[p].members[i].target == id;
    return n;
}

static void apply(struct fixture *f, const struct pg_rec *rec)
{
    struct pg_rec *pg = &f->pgs[rec->pg - 1];

    assert_int_equal(rec->epoch, pg->epoch + 1);
    if (count(rec, PG_SYNCING) > count(pg, PG_SYNCING)) {
        f->joins++;
        f->sync_since[rec->pg - 1] = f->now;
    }
    *pg = *rec;
    f->serving_min = MIN(f->serving_min, count(rec, PG_SERVING));
    f->below += count(rec, PG_SERVING) < rec->copies;
    assert_int_equal(pg_mgr_set_pg(f->m, pg), 0);
}

static void sync_members(struct fixture *f)
{
    for (unsigned p = 0; p < f->pg_count; p++) {
        const struct pg_rec *pg = &f->pgs[p];

        for (unsigned i = 0; i < pg->member_count; i++) {
            const struct pg_member_rec *mem = &pg->members[i];

            if (mem->state == PG_SYNCING && f->targets[mem->target].alive &&
                f->now - f->sync_since[p] >= SYNC_MS * ms)
                pg_mgr_sync_done(f->m, pg->pg, mem->target, mem->incarnation, pg->epoch);
        }
    }
}

void pass(struct fixture *f, unsigned span_ms)
{
    for (unsigned t = 0; t < span_ms; t += STEP_MS) {
        struct pg_rec out[PGS_MAX];
        size_t n;

        f->now += STEP_MS * ms;
        for (uint32_t id = 1; id <= TARGETS_MAX; id++)
            if (f->targets[id].alive)
                pg_mgr_heard(f->m, id, f->targets[id].incarnation, f->now);
        sync_members(f);
        n = pg_mgr_tick(f->m, f->now, out, PGS_MAX);
        for (size_t i = 0; i < n; i++)
            apply(f, &out[i]);
    }
}

void make_pgs(struct fixture *f)
{
    struct pg_rec out[PGS_MAX];

    pass(f, 200);
    f->pg_count = (unsigned)pg_mgr_plan_new(f->m, f->now, out, PGS_MAX);
    assert_true(f->pg_count > 0);
    for (unsigned p = 0; p < f->pg_count; p++) {
        f->pgs[p] = out[p];
        f->pgs[p].pg = p + 1;
        assert_int_equal(pg_mgr_set_pg(f->m, &f->pgs[p]), 0);
    }
    f->serving_min = COPIES;
    f->joins = 0;
}

struct fixture *hosts_of(unsigned hosts, uint32_t moves)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    struct pg_mgr_options o;

    pg_mgr_options_init(&o);
    o.pgs_per_target = 12;
    o.moves_at_once = moves;
    f->now = 1000000 * ms;
    f->m = pg_mgr_new(&o, f->now);
    for (uint32_t t = 1; t <= hosts; t++)
        add_target(f, t, t);
    return f;
}

struct fixture *cluster_of(unsigned hosts, uint32_t moves)
{
    struct fixture *f = hosts_of(hosts, moves);

    make_pgs(f);
    return f;
}

void set_rack(struct fixture *f, uint32_t id, unsigned rack)
{
    snprintf(f->targets[id].rack, sizeof(f->targets[id].rack), "r%u", rack % 100);
    tell_target(f, id);
}

/* PGs with two copies in one rack. */
unsigned pgs_sharing_a_rack(const struct fixture *f)
{
    unsigned n = 0;

    for (unsigned p = 0; p < f->pg_count; p++) {
        const struct pg_rec *pg = &f->pgs[p];
        bool shares = false;

        for (unsigned i = 0; i < pg->member_count; i++)
            for (unsigned k = 0; k < i; k++)
                shares |= strcmp(f->targets[pg->members[i].target].rack,
                                 f->targets[pg->members[k].target].rack) == 0;
        n += shares;
    }
    return n;
}

void done(struct fixture *f)
{
    pg_mgr_free(f->m);
    test_free(f);
}

/* All copies, on different hosts, none of them joining or away. */
void assert_whole(const struct fixture *f)
{
    for (unsigned p = 0; p < f->pg_count; p++) {
        const struct pg_rec *pg = &f->pgs[p];

        assert_int_equal(pg->member_count, COPIES);
        assert_int_equal(count(pg, PG_SERVING), COPIES);
        for (unsigned i = 0; i < COPIES; i++)
            for (unsigned k = 0; k < i; k++)
                assert_string_not_equal(f->targets[pg->members[i].target].host,
                                        f->targets[pg->members[k].target].host);
    }
}
