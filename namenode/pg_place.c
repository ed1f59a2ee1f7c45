/* Which target for which place: spares, balance, new PGs. */
#include <string.h>

#include "common/compiler.h"
#include "namenode/pg_mgr_impl.h"

enum { WEIGHT_MAX = 16 };

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

bool pg_has_room_to_join(const struct pg_mgr *m, const struct pg_rec *r, const struct target *t)
{
    return t->syncing_count < m->o.syncs_per_target || !pg_is_writable(r);
}

static bool can_join(const struct pg_mgr *m, const struct pg_rec *r, const struct target *t)
{
    return t->usable && !t->slow.out.is_out && pg_mgr_target_alive(m, t->id) &&
           pg_has_room_to_join(m, r, t);
}

/* Has a member, but for the one in this slot, the same rack? Who has not told its rack is alone. */
static bool rack_in_use(const struct pg_mgr *m, const struct pg_rec *r, uint32_t except,
                        const char *rack)
{
    for (uint32_t i = 0; rack[0] != '\0' && i < r->member_count; i++) {
        const struct target *t = pg_target_find(m, r->members[i].target);

        if (i != except && t != NULL && strcmp(t->rack, rack) == 0)
            return true;
    }
    return false;
}

/* The PGs of the pool it has when the moves under way are over. */
static uint64_t load(const struct target *t, uint32_t copies)
{
    return t->parts[copies].pgs - t->parts[copies].leaving;
}

/* Which of two would be fuller with one PG more, for their sizes: < 0 a less, 0 equal, > 0 a more. */
static int compare_load(const struct target *a, const struct target *b, uint32_t copies)
{
    uint64_t of_a = (uint64_t)(a->parts[copies].pgs + 1) * b->weight;
    uint64_t of_b = (uint64_t)(b->parts[copies].pgs + 1) * a->weight;

    return (of_a > of_b) - (of_a < of_b);
}

/* Room first, then a rack of its own, then few PGs, then the lower id, so that plans repeat. */
static bool is_better(const struct pg_mgr *m, const struct pg_rec *r, uint32_t slot,
                      const struct target *a, const struct target *b)
{
    bool a_shares, b_shares;
    int more;

    if (b == NULL || a->full != b->full)
        return b == NULL || b->full;
    a_shares = rack_in_use(m, r, slot, a->rack);
    b_shares = rack_in_use(m, r, slot, b->rack);
    if (a_shares != b_shares)
        return b_shares;
    more = compare_load(a, b, r->copies);
    return more < 0 || (more == 0 && a->id < b->id);
}

struct target *pg_find_spare(struct pg_mgr *m, const struct pg_rec *r, uint32_t slot)
{
    struct target *t, *t_next, *spare = NULL;

    HASH_ITER (hh, m->targets, t, t_next) {
        if (can_join(m, r, t) && !host_in_use(m, r, slot, t->host) &&
            is_better(m, r, slot, t, spare))
            spare = t;
    }
    return spare;
}

struct target *pg_find_better(struct pg_mgr *m, const struct pg_rec *r, uint32_t slot)
{
    const struct target *from = pg_target_find(m, r->members[slot].target);
    struct target *to = pg_find_spare(m, r, slot);
    uint64_t of_from, of_to, of_all;
    bool from_shares, to_shares;

    if (from == NULL || to == NULL || to->full)
        return NULL;
    from_shares = rack_in_use(m, r, slot, from->rack);
    to_shares = rack_in_use(m, r, slot, to->rack);
    if (from_shares != to_shares)
        return from_shares ? to : NULL;
    of_from = load(from, r->copies);
    of_to = load(to, r->copies);
    of_all = m->load_sum[r->copies];
    if (of_from * m->weight_sum <= of_all * from->weight ||
        of_to * m->weight_sum >= of_all * to->weight ||
        (of_to + 1) * from->weight > (of_from - 1) * to->weight)
        return NULL;
    return to;
}

/* Should a go rather than b? */
static bool is_worse(const struct pg_mgr *m, const struct pg_rec *r, uint32_t a_slot,
                     const struct target *a, uint32_t b_slot, const struct target *b)
{
    bool a_shares = rack_in_use(m, r, a_slot, a->rack);
    bool b_shares = rack_in_use(m, r, b_slot, b->rack);

    if (a->usable != b->usable)
        return b->usable;
    if (a->slow.out.is_out != b->slow.out.is_out)
        return a->slow.out.is_out;
    if (a_shares != b_shares)
        return a_shares;
    return (uint64_t)a->parts[r->copies].pgs * b->weight >=
           (uint64_t)b->parts[r->copies].pgs * a->weight;
}

uint32_t pg_most_dispensable(const struct pg_mgr *m, const struct pg_rec *r)
{
    const struct target *w = NULL;
    uint32_t worst = 0;

    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct target *t = pg_target_find(m, r->members[i].target);

        if (r->members[i].state != PG_SERVING)
            continue;
        if (t == NULL)
            return i;
        if (w == NULL || is_worse(m, r, i, t, worst, w)) {
            worst = i;
            w = t;
        }
    }
    return worst;
}

static void count_target(struct pg_mgr *m, const struct pg_rec *r, uint32_t slot)
{
    const struct pg_member_rec *mem = &r->members[slot];
    struct target *t = pg_target_find(m, mem->target);

    if (t == NULL)
        return;
    t->parts[r->copies].pgs++;
    t->parts[r->copies].heads += slot == 0;
    t->syncing_count += mem->state == PG_SYNCING;
}

/* A PG that has more members than copies, or gets them: one will leave. */
static void count_move(struct pg_mgr *m, const struct pg_rec *r)
{
    struct target *t = pg_target_find(m, r->members[pg_most_dispensable(m, r)].target);

    m->moves++;
    if (t != NULL)
        t->parts[r->copies].leaving++;
}

/* In steps, so that disks that differ by little are equal. */
static void weigh_targets(struct pg_mgr *m)
{
    struct target *t, *t_next;
    uint64_t max = 1;

    HASH_ITER (hh, m->targets, t, t_next) {
        max = MAX(max, t->bytes_total);
    }
    HASH_ITER (hh, m->targets, t, t_next) {
        uint64_t bytes = t->bytes_total == 0 ? max : t->bytes_total;

        t->weight = MAX((uint32_t)(((double)bytes * WEIGHT_MAX) / (double)max + 0.5), 1U);
    }
}

void pg_place_count(struct pg_mgr *m, uint64_t now_ns)
{
    struct target *t, *t_next;
    struct pg *p, *p_next;
    bool whole = true;

    m->moves = 0;
    memset(m->load_sum, 0, sizeof(m->load_sum));
    m->weight_sum = 0;
    weigh_targets(m);
    HASH_ITER (hh, m->targets, t, t_next) {
        t->syncing_count = 0;
        memset(t->parts, 0, sizeof(t->parts));
    }
    HASH_ITER (hh, m->pgs, p, p_next) {
        for (uint32_t i = 0; i < p->rec.member_count; i++)
            count_target(m, &p->rec, i);
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
        m->weight_sum += t->weight;
        for (uint32_t copies = 0; copies < POOLS; copies++)
            m->load_sum[copies] += load(t, copies);
    }
    if (!whole)
        m->whole_since_ns = 0;
    else if (m->whole_since_ns == 0)
        m->whole_since_ns = now_ns;
}

/* ---- new PGs ---- */

static bool has_any(const struct pg_rec *r, const struct pg_rec *chosen)
{
    for (uint32_t i = 0; i < r->member_count; i++)
        for (uint32_t k = 0; k < chosen->member_count; k++)
            if (r->members[i].target == chosen->members[k].target)
                return true;
    return false;
}

static void count_shared(struct pg_mgr *m, const struct pg_rec *r, const struct pg_rec *chosen)
{
    if (!has_any(r, chosen))
        return;
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct target *t = pg_target_find(m, r->members[i].target);

        if (t != NULL)
            t->shared++;
    }
}

/* What is there, and what is planned beside it. */
static void count_all_shared(struct pg_mgr *m, const struct pg_rec *plan, size_t planned,
                             const struct pg_rec *chosen)
{
    struct target *t, *t_next;
    struct pg *p, *p_next;

    HASH_ITER (hh, m->targets, t, t_next) {
        t->shared = 0;
    }
    HASH_ITER (hh, m->pgs, p, p_next) {
        count_shared(m, &p->rec, chosen);
    }
    for (size_t i = 0; i < planned; i++)
        count_shared(m, &plan[i], chosen);
}

/*
 * A rack of its own, then fewest PGs for its size; among equals who shares the fewest PGs with those
 * that are chosen, so that every target has all others as partners and many help when it is lost;
 * then fewest heads, then the lower id, so that plans repeat.
 */
static bool is_better_for_new(const struct pg_mgr *m, const struct pg_rec *r,
                              const struct target *a, const struct target *b)
{
    bool a_in = rack_in_use(m, r, UINT32_MAX, a->rack);
    bool b_in = rack_in_use(m, r, UINT32_MAX, b->rack);
    int more = compare_load(a, b, r->copies);

    if (a_in != b_in)
        return b_in;
    if (more != 0)
        return more < 0;
    if (a->shared != b->shared)
        return a->shared < b->shared;
    if (a->parts[r->copies].heads != b->parts[r->copies].heads)
        return a->parts[r->copies].heads < b->parts[r->copies].heads;
    return a->id < b->id;
}

static struct target *pick_target(struct pg_mgr *m, const struct pg_rec *r)
{
    struct target *t, *t_next, *best = NULL;

    HASH_ITER (hh, m->targets, t, t_next) {
        if (!t->usable || t->full || t->slow.out.is_out || !pg_mgr_target_alive(m, t->id) ||
            host_in_use(m, r, UINT32_MAX, t->host))
            continue;
        if (best == NULL || is_better_for_new(m, r, t, best))
            best = t;
    }
    return best;
}

static uint32_t min_write_of(const struct pg_mgr *m, uint32_t copies)
{
    if (copies > m->o.copies)
        return MAX(m->o.min_write, (uint32_t)PG_MIN_WRITE);
    return MIN(m->o.min_write, copies);
}

static bool plan_one(struct pg_mgr *m, uint32_t copies, uint32_t number, const struct pg_rec *plan,
                     size_t planned, struct pg_rec *r)
{
    uint32_t head = 0;
    struct pg_member_rec first;

    *r = (struct pg_rec){.epoch = 1, .copies = copies, .min_write = min_write_of(m, copies)};
    while (r->member_count < copies) {
        struct target *t;

        count_all_shared(m, plan, planned, r);
        t = pick_target(m, r);
        if (t == NULL)
            return false;
        r->members[r->member_count++] = (struct pg_member_rec){.target = t->id,
                                                               .incarnation = t->incarnation,
                                                               .state = PG_SERVING,
                                                               .last_serving_epoch = 1};
    }
    /* The least used head leads; the rest turn, so that each is middle and tail as often. */
    for (uint32_t i = 1; i < r->member_count; i++)
        if (pg_target_find(m, r->members[i].target)->parts[copies].heads <
            pg_target_find(m, r->members[head].target)->parts[copies].heads)
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
        pg_target_find(m, r->members[i].target)->parts[copies].pgs++;
    pg_target_find(m, r->members[0].target)->parts[copies].heads++;
    return true;
}

static uint32_t pool_size(const struct pg_mgr *m, uint32_t copies)
{
    struct pg *p, *p_next;
    uint32_t n = 0;

    HASH_ITER (hh, m->pgs, p, p_next) {
        n += p->rec.copies == copies;
    }
    return n;
}

/* A new leader waits for so long for those that it has not heard yet, if somebody waits for PGs. */
static const uint64_t gather_ns = 5000000000ULL;

/*
 * Is it time to place PGs of so many copies? What is placed now is placed for long: not before all are
 * there. But where somebody waits for the first ones, one that is away does not hold it up: balance
 * is for later.
 */
static bool may_place(const struct pg_mgr *m, uint32_t copies, bool all_alive, uint64_t now_ns)
{
    uint32_t have;

    if (all_alive && copies == m->o.copies)
        return true;
    have = pool_size(m, copies);
    if (all_alive)
        return have > 0 || m->pool_wanted[copies];
    return have == 0 && m->pool_wanted[copies] && now_ns - m->since_ns >= gather_ns;
}

void pg_mgr_want_copies(struct pg_mgr *m, uint32_t copies)
{
    if (copies > 0 && copies < POOLS)
        m->pool_wanted[copies] = true;
}

size_t pg_mgr_plan_new(struct pg_mgr *m, uint64_t now_ns, struct pg_rec *out, size_t max)
{
    uint32_t usable = 0, alive = 0;
    struct target *t, *t_next;
    size_t n = 0;

    HASH_ITER (hh, m->targets, t, t_next) {
        usable += t->usable;
        alive += t->usable && pg_mgr_target_alive(m, t->id);
    }
    pg_place_count(m, now_ns);
    for (uint32_t copies = 1; copies < POOLS; copies++) {
        uint32_t wanted = (alive * m->o.pgs_per_target + copies - 1) / copies, have;

        if (alive < copies || !may_place(m, copies, alive == usable, now_ns))
            continue;
        have = pool_size(m, copies);
        while (have < wanted && n < max && plan_one(m, copies, have, out, n, &out[n])) {
            have++;
            n++;
        }
    }
    return n;
}
