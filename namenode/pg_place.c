/* Which target for which place: spares, balance, new PGs. */
#include <string.h>

#include "common/compiler.h"
#include "namenode/pg_mgr_impl.h"

static bool host_in_use(const struct pg_mgr *m, const struct pg_rec *r, uint32_t except,
                        const char *host)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct target *t = pg_target_find(m, r->members[i].target);

        if (i != except && t != NULL && strcmp(t->host, host) == 0)
            return true;
    }
    return false;
}

bool pg_target_can_join(const struct pg_mgr *m, const struct target *t)
{
    return t->usable && pg_mgr_target_alive(m, t->id) && t->syncing_count < m->o.syncs_per_target;
}

/* Is a the better place: room first, then fewest PGs, then the lower id, so that plans repeat? */
static bool is_better(const struct target *a, const struct target *b)
{
    if (b == NULL || a->full != b->full)
        return b == NULL || b->full;
    return a->pg_count < b->pg_count || (a->pg_count == b->pg_count && a->id < b->id);
}

struct target *pg_find_spare(struct pg_mgr *m, const struct pg_rec *r, uint32_t slot)
{
    struct target *t, *t_next, *spare = NULL;

    HASH_ITER (hh, m->targets, t, t_next) {
        if (pg_target_can_join(m, t) && !host_in_use(m, r, slot, t->host) && is_better(t, spare))
            spare = t;
    }
    return spare;
}

/* The PGs it has when the moves under way are over. */
static uint64_t load(const struct target *t)
{
    return t->pg_count - t->leaving_count;
}

struct target *pg_find_lighter(struct pg_mgr *m, const struct pg_rec *r, uint32_t slot)
{
    const struct target *from = pg_target_find(m, r->members[slot].target);
    struct target *to;

    if (from == NULL || load(from) * m->load_targets <= m->load_sum)
        return NULL;
    to = pg_find_spare(m, r, slot);
    if (to == NULL || to->full || load(to) + 2 > load(from) ||
        load(to) * m->load_targets >= m->load_sum)
        return NULL;
    return to;
}

static void count_target(struct pg_mgr *m, const struct pg_member_rec *mem, bool is_head)
{
    struct target *t = pg_target_find(m, mem->target);

    if (t == NULL)
        return;
    t->pg_count++;
    t->head_count += is_head;
    t->syncing_count += mem->state == PG_SYNCING;
}

/* A PG that has more members than copies, or gets them: one will leave. */
static void count_move(struct pg_mgr *m, const struct pg_rec *r)
{
    struct target *t = pg_target_find(m, r->members[pg_most_dispensable(m, r)].target);

    m->moves++;
    if (t != NULL)
        t->leaving_count++;
}

void pg_place_count(struct pg_mgr *m, uint64_t now_ns)
{
    struct target *t, *t_next;
    struct pg *p, *p_next;
    bool whole = true;

    m->moves = 0;
    m->load_sum = 0;
    m->load_targets = 0;
    HASH_ITER (hh, m->targets, t, t_next) {
        t->syncing_count = 0;
        t->pg_count = 0;
        t->head_count = 0;
        t->leaving_count = 0;
    }
    HASH_ITER (hh, m->pgs, p, p_next) {
        for (uint32_t i = 0; i < p->rec.member_count; i++)
            count_target(m, &p->rec.members[i], i == 0);
    }
    HASH_ITER (hh, m->pgs, p, p_next) {
        if (pg_count_state(&p->rec, PG_SERVING) < p->rec.copies)
            whole = false;
        else if (p->rec.member_count > p->rec.copies)
            count_move(m, &p->rec);
    }
    HASH_ITER (hh, m->targets, t, t_next) {
        if (!t->usable || !pg_mgr_target_alive(m, t->id))
            continue;
        m->load_targets++;
        m->load_sum += load(t);
    }
    if (!whole)
        m->whole_since_ns = 0;
    else if (m->whole_since_ns == 0)
        m->whole_since_ns = now_ns;
}

/* Fewest PGs first; among equals fewest heads, then the lower id, so that plans are repeatable. */
static struct target *pick_target(struct pg_mgr *m, const struct pg_rec *r)
{
    struct target *t, *t_next, *best = NULL;

    HASH_ITER (hh, m->targets, t, t_next) {
        if (!t->usable || t->full || !pg_mgr_target_alive(m, t->id) ||
            host_in_use(m, r, UINT32_MAX, t->host))
            continue;
        if (best == NULL || t->pg_count < best->pg_count ||
            (t->pg_count == best->pg_count &&
             (t->head_count < best->head_count ||
              (t->head_count == best->head_count && t->id < best->id))))
            best = t;
    }
    return best;
}

static bool plan_one(struct pg_mgr *m, uint32_t number, struct pg_rec *r)
{
    uint32_t head = 0;
    struct pg_member_rec first;

    *r = (struct pg_rec){.epoch = 1, .copies = m->o.copies, .min_write = m->o.min_write};
    while (r->member_count < m->o.copies) {
        struct target *t = pick_target(m, r);

        if (t == NULL)
            return false;
        r->members[r->member_count++] = (struct pg_member_rec){.target = t->id,
                                                               .incarnation = t->incarnation,
                                                               .state = PG_SERVING,
                                                               .last_serving_epoch = 1};
    }
    /* The least used head leads; the rest turn, so that each is middle and tail as often. */
    for (uint32_t i = 1; i < r->member_count; i++)
        if (pg_target_find(m, r->members[i].target)->head_count <
            pg_target_find(m, r->members[head].target)->head_count)
            head = i;
    first = r->members[head];
    r->members[head] = r->members[0];
    r->members[0] = first;
    if (number % 2 == 1 && r->member_count > 2) {
        struct pg_member_rec last = r->members[r->member_count - 1];

        r->members[r->member_count - 1] = r->members[1];
        r->members[1] = last;
    }
    for (uint32_t i = 0; i < r->member_count; i++)
        pg_target_find(m, r->members[i].target)->pg_count++;
    pg_target_find(m, r->members[0].target)->head_count++;
    return true;
}

size_t pg_mgr_plan_new(struct pg_mgr *m, uint64_t now_ns, struct pg_rec *out, size_t max)
{
    uint32_t usable = 0, alive = 0, wanted, have = HASH_COUNT(m->pgs);
    struct target *t, *t_next;
    size_t n = 0;

    HASH_ITER (hh, m->targets, t, t_next) {
        usable += t->usable;
        alive += t->usable && pg_mgr_target_alive(m, t->id);
    }
    /* Wait for the others: what is placed now is placed for long. */
    if (alive < usable || alive < m->o.copies)
        return 0;
    wanted = (alive * m->o.pgs_per_target + m->o.copies - 1) / m->o.copies;
    pg_place_count(m, now_ns);
    while (have + n < wanted && n < max && plan_one(m, (uint32_t)(have + n), &out[n]))
        n++;
    return n;
}
