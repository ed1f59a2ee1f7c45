/* What follows for one PG. One function a rule; pg_decide() is the order in which they apply. */
#include "common/compiler.h"
#include "namenode/pg_mgr_impl.h"

/* Never fewer good copies for mere slowness. */
static const uint32_t min_without_slow = 2;

enum health { HEALTH_UNKNOWN, HEALTH_ALIVE, HEALTH_DEAD };

/* An accusation by a neighbour counts as silence for this long if the accused isn't heard again. */
static const uint64_t settle_ns = 1000000000ULL;
/* Who was taken out for more than silence doesn't join again before this, unless nobody else can:
 * what broke may break again, and each attempt costs everybody a new epoch. */
static const uint64_t rest_ns = 3000000000ULL;

static bool has_left(const struct pg *p, const struct pg_member_rec *mem)
{
    for (size_t i = 0; i < ARRAY_COUNT(p->departures); i++) {
        const struct departure *d = &p->departures[i];

        if (d->target == mem->target && d->incarnation == mem->incarnation &&
            d->epoch == p->rec.epoch)
            return true;
    }
    return false;
}

/* By more than silence. */
static bool is_known_dead(const struct target *t, const struct pg_member_rec *mem)
{
    if (t->failed)
        return true;
    if (t->incarnation != mem->incarnation)
        return true; /* It has registered anew: whatever it had in memory is gone. */
    return t->lost && t->accuser_count > 0;
}

/*
 * Is this incarnation of the target alive? A new incarnation or a broken control connection that a
 * chain neighbour confirms is an answer at once; otherwise silence has to last.
 */
static enum health member_health(const struct pg_mgr *m, const struct pg_member_rec *mem,
                                 uint64_t now_ns)
{
    const struct target *t = pg_target_find(m, mem->target);
    uint64_t since;

    if (t == NULL)
        return HEALTH_UNKNOWN;
    if (is_known_dead(t, mem))
        return HEALTH_DEAD;
    since = MAX(t->heard_ns, m->since_ns);
    if (now_ns - since >= m->o.silence_ns)
        return HEALTH_DEAD;
    if (t->heard_ns != 0 && !t->lost && now_ns - t->heard_ns < m->o.heard_ns)
        return HEALTH_ALIVE;
    return HEALTH_UNKNOWN;
}

/* The same for a member of this PG, which may also have left it by itself. */
static enum health pg_member_health(const struct pg_mgr *m, const struct pg *p, uint32_t i,
                                    uint64_t now_ns)
{
    const struct pg_member_rec *mem = &p->rec.members[i];

    return has_left(p, mem) ? HEALTH_DEAD : member_health(m, mem, now_ns);
}

static void rest(struct pg *p, uint32_t target, uint64_t now_ns)
{
    p->resting = target;
    p->resting_until_ns = now_ns + rest_ns;
}

/* Puts SERVING first, then SYNCING, then OFFLINE, each in their present order. */
static void record_sort(struct pg_rec *r)
{
    static const enum pg_member_state order[] = {PG_SERVING, PG_SYNCING, PG_OFFLINE};
    struct pg_rec sorted = *r;
    uint32_t n = 0;

    for (size_t s = 0; s < ARRAY_COUNT(order); s++)
        for (uint32_t i = 0; i < r->member_count; i++)
            if (r->members[i].state == order[s])
                sorted.members[n++] = r->members[i];
    *r = sorted;
}

static void record_finish(const struct pg *p, struct pg_rec *next)
{
    record_sort(next);
    next->epoch = p->rec.epoch + 1;
    for (uint32_t i = 0; i < next->member_count; i++)
        if (next->members[i].state == PG_SERVING)
            next->members[i].last_serving_epoch = next->epoch;
}

/* A member leaves the chain; a target that was taken out for a spare is dropped by the caller. */
static bool drop_dead_members(const struct pg_mgr *m, struct pg *p, uint64_t now_ns,
                              struct pg_rec *next)
{
    bool changed = false;

    for (uint32_t i = 0; i < next->member_count; i++) {
        struct pg_member_rec *mem = &next->members[i];

        if (mem->state == PG_OFFLINE || pg_member_health(m, p, i, now_ns) != HEALTH_DEAD)
            continue;
        if (has_left(p, mem))
            rest(p, mem->target, now_ns);
        mem->state = PG_OFFLINE;
        changed = true;
    }
    return changed;
}

/* Of those in the chain the most accused, of several the one furthest down; UINT32_MAX: nobody, or
 * it is too early to say: a process that died just now is to be seen as dead. */
static uint32_t most_accused(struct pg_mgr *m, const struct pg_rec *r, uint64_t now_ns)
{
    uint32_t worst = UINT32_MAX, worst_score = 1;

    for (uint32_t i = 0; i < r->member_count; i++) {
        struct target *t = pg_target_find(m, r->members[i].target);

        if (t == NULL || r->members[i].state == PG_OFFLINE ||
            t->incarnation != r->members[i].incarnation)
            continue;
        pg_accusers_expire(t, now_ns);
        if (t->accuser_count == 0)
            continue;
        if (now_ns - t->accusers[0].since_ns < settle_ns)
            return UINT32_MAX;
        if (t->accuser_count >= worst_score) {
            worst = i;
            worst_score = t->accuser_count;
        }
    }
    return worst;
}

/*
 * Two live members blame each other (one accuser is enough to act: the data path stands). The more
 * accused goes; on a tie the one further down the chain. Who then accuses the next one pays for
 * it itself: see pg_mgr_accused(). The last SERVING member stays: then it is its joiner that goes.
 */
static bool drop_accused_member(struct pg_mgr *m, struct pg *p, uint64_t now_ns,
                                struct pg_rec *next)
{
    uint32_t worst = most_accused(m, next, now_ns);

    if (worst == UINT32_MAX)
        return false;
    if (next->members[worst].state == PG_SERVING && pg_count_state(&p->rec, PG_SERVING) <= 1) {
        for (worst = 0; worst < next->member_count; worst++)
            if (next->members[worst].state == PG_SYNCING)
                break;
        if (worst == next->member_count)
            return false;
    }
    next->members[worst].state = PG_OFFLINE;
    rest(p, next->members[worst].target, now_ns);
    pg_target_find(m, next->members[worst].target)->sentenced = true;
    return true;
}

/*
 * Who is kept out for its slowness leaves each PG that goes on with two good copies without it: a slow
 * copy is better than one too few. Where it is one of two, another joins first if it can.
 */
static bool drop_slow_member(const struct pg_mgr *m, const struct pg *p, uint64_t now_ns,
                             struct pg_rec *next)
{
    for (uint32_t i = 0; i < next->member_count; i++) {
        const struct target *t = pg_target_find(m, next->members[i].target);
        uint32_t others = 0;

        if (t == NULL || !t->slow.out.is_out || next->members[i].state == PG_OFFLINE)
            continue;
        for (uint32_t k = 0; k < next->member_count; k++)
            others += k != i && next->members[k].state == PG_SERVING &&
                      pg_member_health(m, p, k, now_ns) == HEALTH_ALIVE;
        if (others < MAX(min_without_slow, p->rec.min_write))
            continue;
        next->members[i].state = PG_OFFLINE;
        return true;
    }
    return false;
}

static bool same_boot(uint64_t a, uint64_t b)
{
    return a >> 32 == b >> 32;
}

/*
 * Every SERVING member is dead, or has left by itself. When one returns with a new incarnation, or
 * is alive and only left, the PG starts again from it: first choice a member whose host never went down (nothing of its page cache is lost), then
 * the first in chain order, which may have lost unsynced bytes: cold_epoch says so to fsync.
 */
static bool cold_start(const struct pg_mgr *m, struct pg *p, uint64_t now_ns, struct pg_rec *next)
{
    uint32_t choice = UINT32_MAX, back = 0, serving = 0;
    bool warm = false;

    if (p->dead_since_ns == 0)
        p->dead_since_ns = now_ns;
    for (uint32_t i = 0; i < p->rec.member_count; i++) {
        const struct pg_member_rec *mem = &p->rec.members[i];
        const struct target *t = pg_target_find(m, mem->target);
        bool same;

        if (mem->state != PG_SERVING)
            continue;
        serving++;
        if (t == NULL || !pg_mgr_target_alive(m, mem->target) ||
            (t->incarnation == mem->incarnation && !has_left(p, mem)))
            continue;
        back++;
        same = same_boot(t->incarnation, mem->incarnation);
        if (choice == UINT32_MAX || (same && !warm)) {
            choice = i;
            warm = same;
        }
    }
    if (choice == UINT32_MAX)
        return false;
    if (back < serving && now_ns - p->dead_since_ns < m->o.cold_wait_ns)
        return false;
    for (uint32_t i = 0; i < next->member_count; i++) {
        struct pg_member_rec *mem = &next->members[i];

        mem->state = i == choice ? PG_SERVING : PG_OFFLINE;
        if (i == choice)
            mem->incarnation = pg_target_find(m, mem->target)->incarnation;
    }
    next->reset_epoch = p->rec.epoch + 1;
    if (!warm)
        next->cold_epoch = p->rec.epoch + 1;
    return true;
}

bool pg_is_bereft(const struct pg_mgr *m, const struct pg_rec *r)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct target *t = pg_target_find(m, r->members[i].target);

        if (r->members[i].state == PG_SERVING && (t == NULL || !t->removed))
            return false;
    }
    return pg_count_state(r, PG_SERVING) > 0;
}

/* The operator has given the newest copy up: the best of the older ones is to be asked for
 * (pg_survey.h). Whatever unsynced or synced bytes were in that copy alone are lost. */
static void disown(struct pg_rec *next)
{
    for (uint32_t i = 0; i < next->member_count; i++)
        next->members[i].state = PG_OFFLINE;
    next->reset_epoch = next->cold_epoch = next->epoch + 1;
}

static bool promote_synced(const struct pg_mgr *m, const struct pg *p, uint64_t now_ns,
                           struct pg_rec *next)
{
    for (uint32_t i = 0; i < next->member_count; i++) {
        struct pg_member_rec *mem = &next->members[i];

        if (mem->state != PG_SYNCING || p->done_target != mem->target ||
            p->done_incarnation != mem->incarnation || p->done_epoch != p->rec.epoch ||
            pg_member_health(m, p, i, now_ns) != HEALTH_ALIVE)
            continue;
        mem->state = PG_SERVING;
        return true;
    }
    return false;
}

static bool join_again(struct pg_mgr *m, struct pg_member_rec *mem)
{
    struct target *t = pg_target_find(m, mem->target);

    mem->state = PG_SYNCING;
    mem->incarnation = t->incarnation;
    t->syncing_count++;
    return true;
}

/* Another target begins to join in this slot, which is empty or an OFFLINE member's. */
static bool join_spare(struct pg_rec *next, uint32_t slot, struct target *spare)
{
    if (slot == next->member_count)
        next->member_count++;
    next->members[slot] = (struct pg_member_rec){
        .target = spare->id, .incarnation = spare->incarnation, .state = PG_SYNCING};
    spare->syncing_count++;
    spare->parts[next->copies].pgs++;
    return true;
}

/* A member may come back also to a target that is being drained: it lacks least. Who is kept out for
 * its slowness may where it is needed: see drop_slow_member(). */
static bool can_return(const struct pg_mgr *m, const struct pg *p, const struct target *t)
{
    return t != NULL && (t->usable || t->draining) && pg_mgr_target_alive(m, t->id) &&
           (!t->slow.out.is_out || !pg_is_writable(&p->rec)) && pg_has_room_to_join(m, &p->rec, t);
}

/*
 * Is it time that a spare takes the place of this OFFLINE member? At once when the PG can't be
 * written or the member is not to come back; not while the operator says that it will.
 */
static bool is_to_be_replaced(const struct pg_mgr *m, const struct pg *p,
                              const struct pg_member_rec *mem, uint64_t now_ns)
{
    const struct target *t = mem == NULL ? NULL : pg_target_find(m, mem->target);

    if (!pg_is_writable(&p->rec) || (t != NULL && !t->usable))
        return true;
    if (t != NULL && t->awaited)
        return false;
    return now_ns - p->offline_since_ns >= m->o.replace_ns;
}

/* The old member is preferred: it lacks least. A spare only after the grace time, or when the PG
 * can't be written. */
static bool add_joiner(struct pg_mgr *m, struct pg *p, uint64_t now_ns, struct pg_rec *next)
{
    struct pg_member_rec *tired = NULL, *absent = NULL;
    uint32_t slot = next->member_count;
    struct target *spare = NULL;

    if (pg_count_state(&p->rec, PG_SYNCING) > 0 ||
        pg_count_state(&p->rec, PG_SERVING) >= p->rec.copies) {
        p->offline_since_ns = 0;
        return false;
    }
    if (p->offline_since_ns == 0)
        p->offline_since_ns = now_ns;
    for (uint32_t i = 0; i < next->member_count; i++) {
        struct pg_member_rec *mem = &next->members[i];

        if (mem->state != PG_OFFLINE)
            continue;
        slot = i;
        absent = mem;
        if (!can_return(m, p, pg_target_find(m, mem->target)))
            continue;
        if (mem->target != p->resting || now_ns >= p->resting_until_ns)
            return join_again(m, mem);
        tired = mem;
    }
    if (slot < REC_PG_MEMBERS_MAX && is_to_be_replaced(m, p, absent, now_ns))
        spare = pg_find_spare(m, next, slot);
    if (spare == NULL)
        return !pg_is_writable(&p->rec) && tired != NULL && join_again(m, tired);
    return join_spare(next, slot, spare);
}

/* A move is over, or fewer copies are wanted: all copies are there without this member. */
static bool drop_surplus(const struct pg_mgr *m, const struct pg *p, struct pg_rec *next)
{
    uint32_t serving = pg_count_state(&p->rec, PG_SERVING), gone;

    if (serving < p->rec.copies || pg_count_state(&p->rec, PG_SYNCING) > 0 ||
        p->rec.member_count <= p->rec.copies)
        return false;
    for (gone = 0; gone < next->member_count; gone++)
        if (next->members[gone].state == PG_OFFLINE)
            break;
    if (gone == next->member_count)
        gone = pg_most_dispensable(m, next);
    next->member_count--;
    for (uint32_t i = gone; i < next->member_count; i++)
        next->members[i] = next->members[i + 1];
    return true;
}

/*
 * A whole PG gets another copy elsewhere, so that one of those it has can go: off a target that is
 * drained, out of a rack that has two, or from one that has more PGs than others to one that has
 * fewer. The latter two only while nothing else is to be copied, few at a time, and never more than
 * it takes: each move for balance takes one from a target above the average and gives it to one
 * below.
 */
static bool begin_move(struct pg_mgr *m, const struct pg *p, uint64_t now_ns, struct pg_rec *next)
{
    struct target *to = NULL, *from = NULL;

    if (pg_count_state(&p->rec, PG_SERVING) != p->rec.copies ||
        p->rec.member_count != p->rec.copies || p->rec.member_count == REC_PG_MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < next->member_count && to == NULL; i++) {
        from = pg_target_find(m, next->members[i].target);
        if (from != NULL && !from->usable)
            to = pg_find_spare(m, next, i);
        if (to != NULL && to->full)
            to = NULL;
    }
    if (to == NULL && m->moves < m->o.moves_at_once && m->whole_since_ns != 0 &&
        now_ns - m->whole_since_ns >= m->o.balance_after_ns) {
        uint32_t slot = pg_most_dispensable(m, next);

        from = pg_target_find(m, next->members[slot].target);
        to = pg_find_better(m, next, slot);
    }
    if (to == NULL || from == NULL)
        return false;
    m->moves++;
    from->parts[next->copies].leaving++;
    return join_spare(next, next->member_count, to);
}

/*
 * Is only silence to be said against one that would have to go, while silence says nothing (is_hush)?
 * Then the PG stays as it is. A neighbour that complains has it go on at once: it sees more than we do,
 * and somebody waits for an answer there.
 */
static bool must_wait_for_silent(const struct pg_mgr *m, const struct pg *p, uint64_t now_ns)
{
    bool is_waiting = false;

    if (!m->is_hush)
        return false;
    for (uint32_t i = 0; i < p->rec.member_count; i++) {
        const struct pg_member_rec *mem = &p->rec.members[i];
        const struct target *t = pg_target_find(m, mem->target);

        if (mem->state == PG_OFFLINE || t == NULL)
            continue;
        if (t->accuser_count > 0)
            return false;
        is_waiting |= !is_known_dead(t, mem) && !has_left(p, mem) &&
                      member_health(m, mem, now_ns) == HEALTH_DEAD;
    }
    return is_waiting;
}

static bool decide(struct pg_mgr *m, struct pg *p, uint64_t now_ns, struct pg_rec *next)
{
    uint32_t alive = 0, dead = 0, unknown = 0;

    *next = p->rec;
    if (pg_is_bereft(m, &p->rec)) {
        disown(next);
        return true;
    }
    for (uint32_t i = 0; i < p->rec.member_count; i++) {
        enum health h;

        if (p->rec.members[i].state != PG_SERVING)
            continue;
        h = pg_member_health(m, p, i, now_ns);
        alive += h == HEALTH_ALIVE;
        dead += h == HEALTH_DEAD;
        unknown += h == HEALTH_UNKNOWN;
    }
    /* All members are judged together: taken one by one, the last would be the only source left. */
    if (unknown > 0)
        return false;
    if (alive == 0)
        return dead > 0 && cold_start(m, p, now_ns, next);
    p->dead_since_ns = 0;
    if (must_wait_for_silent(m, p, now_ns))
        return false;
    return drop_dead_members(m, p, now_ns, next) || drop_accused_member(m, p, now_ns, next) ||
           drop_slow_member(m, p, now_ns, next) || promote_synced(m, p, now_ns, next) ||
           drop_surplus(m, p, next) || add_joiner(m, p, now_ns, next) ||
           begin_move(m, p, now_ns, next);
}

bool pg_decide(struct pg_mgr *m, struct pg *p, uint64_t now_ns, struct pg_rec *next)
{
    if (!decide(m, p, now_ns, next))
        return false;
    record_finish(p, next);
    return true;
}
