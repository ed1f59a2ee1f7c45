/* See pg_mgr.h. One function a rule; pg_decide() is the order in which they apply. */
#include "namenode/pg_mgr.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/compiler.h"

enum { ACCUSERS_MAX = 8 };
static const uint64_t accusation_ttl_ns = 60ULL * 1000000000ULL;
/* An accusation by a neighbour counts as silence for this long if the accused isn't heard again. */
static const uint64_t settle_ns = 1000000000ULL;
/* Who was taken out for more than silence doesn't join again before this, unless nobody else can:
 * what broke may break again, and each attempt costs everybody a new epoch. */
static const uint64_t rest_ns = 3000000000ULL;

struct accuser {
    uint32_t by;
    uint64_t since_ns, at_ns; /* first, last */
};

struct target {
    uint32_t id;
    uint64_t incarnation; /* as the state machine has it */
    bool usable;
    bool failed;
    char *host;

    uint64_t heard_incarnation;
    uint64_t heard_ns; /* 0: never by this leader */
    bool lost;         /* its connection broke after it was last heard */
    struct accuser accusers[ACCUSERS_MAX];
    uint32_t accuser_count;
    bool sentenced; /* the accusations have led to a proposal in this tick */

    uint32_t syncing_count;        /* PGs in which it is SYNCING: recounted at each tick */
    uint32_t pg_count, head_count; /* for placement: recounted when planning */
    UT_hash_handle hh;
};

/* It left this PG by itself: of no use from that epoch on until it is taken in anew. */
struct departure {
    uint32_t target;
    uint64_t incarnation, epoch;
};

struct pg {
    struct pg_rec rec;
    bool outstanding;
    struct departure departures[REC_PG_MEMBERS_MAX];
    uint32_t resting; /* a target, see rest_ns */
    uint64_t resting_until_ns;
    uint64_t offline_since_ns; /* since when fewer than `copies` are in the chain; 0: not */
    uint64_t dead_since_ns;    /* since when every SERVING member is dead; 0: not */
    uint32_t done_target;      /* SYNC_DONE as told by a heartbeat */
    uint64_t done_incarnation;
    uint64_t done_epoch;
    UT_hash_handle hh;
};

struct pg_mgr {
    struct pg_mgr_options o;
    uint64_t since_ns; /* from when silence counts */
    uint64_t last_tick_ns;
    struct target *targets;
    struct pg *pgs;
};

enum health { HEALTH_UNKNOWN, HEALTH_ALIVE, HEALTH_DEAD };

void pg_mgr_options_init(struct pg_mgr_options *o)
{
    *o = (struct pg_mgr_options){
        .silence_ns = 2000000000ULL,
        .heard_ns = 1200000000ULL,
        .cold_wait_ns = 5000000000ULL,
        .replace_ns = 60000000000ULL,
        .tick_gap_ns = 500000000ULL,
        .syncs_per_target = 8,
        .pgs_per_target = 32,
        .copies = 3,
        .min_write = 2,
    };
}

struct pg_mgr *pg_mgr_new(const struct pg_mgr_options *o, uint64_t now_ns)
{
    struct pg_mgr *m = calloc(1, sizeof(*m));

    if (m == NULL)
        return NULL;
    m->o = *o;
    m->since_ns = now_ns;
    m->last_tick_ns = now_ns;
    return m;
}

void pg_mgr_free(struct pg_mgr *m)
{
    struct target *t, *t_next;
    struct pg *p, *p_next;

    if (m == NULL)
        return;
    HASH_ITER (hh, m->targets, t, t_next) {
        HASH_DEL(m->targets, t);
        free(t->host);
        free(t);
    }
    HASH_ITER (hh, m->pgs, p, p_next) {
        HASH_DEL(m->pgs, p);
        free(p);
    }
    free(m);
}

static struct target *target_find(const struct pg_mgr *m, uint32_t id)
{
    struct target *t;

    HASH_FIND(hh, m->targets, &id, sizeof(id), t);
    return t;
}

static struct pg *pg_find(const struct pg_mgr *m, uint32_t id)
{
    struct pg *p;

    HASH_FIND(hh, m->pgs, &id, sizeof(id), p);
    return p;
}

int pg_mgr_set_target(struct pg_mgr *m, const struct pg_target *in)
{
    struct target *t = target_find(m, in->id);
    char *host = strdup(in->host);

    if (host == NULL)
        return -12; /* ENOMEM */
    if (t == NULL) {
        t = calloc(1, sizeof(*t));
        if (t == NULL) {
            free(host);
            return -12;
        }
        t->id = in->id;
        HASH_ADD(hh, m->targets, id, sizeof(t->id), t);
    }
    free(t->host);
    t->host = host;
    t->incarnation = in->incarnation;
    t->usable = in->usable;
    return 0;
}

int pg_mgr_set_pg(struct pg_mgr *m, const struct pg_rec *rec)
{
    struct pg *p = pg_find(m, rec->pg);

    if (p == NULL) {
        p = calloc(1, sizeof(*p));
        if (p == NULL)
            return -12;
        p->rec.pg = rec->pg;
        HASH_ADD(hh, m->pgs, rec.pg, sizeof(p->rec.pg), p);
    }
    p->rec = *rec;
    p->outstanding = false;
    return 0;
}

void pg_mgr_heard(struct pg_mgr *m, uint32_t target, uint64_t incarnation, uint64_t now_ns)
{
    struct target *t = target_find(m, target);

    if (t == NULL)
        return;
    if (t->heard_incarnation != incarnation) {
        t->accuser_count = 0; /* A new process: the old one's sins are over. */
        t->failed = false;
    }
    t->heard_incarnation = incarnation;
    t->heard_ns = now_ns;
    t->lost = false;
}

void pg_mgr_lost(struct pg_mgr *m, uint32_t target, uint64_t incarnation)
{
    struct target *t = target_find(m, target);

    if (t != NULL && t->heard_incarnation == incarnation)
        t->lost = true;
}

void pg_mgr_failed(struct pg_mgr *m, uint32_t target)
{
    struct target *t = target_find(m, target);

    if (t != NULL)
        t->failed = true;
}

static void accusers_expire(struct target *t, uint64_t now_ns)
{
    uint32_t keep = 0;

    for (uint32_t i = 0; i < t->accuser_count; i++)
        if (now_ns - t->accusers[i].at_ns < accusation_ttl_ns)
            t->accusers[keep++] = t->accusers[i];
    t->accuser_count = keep;
}

void pg_mgr_accused(struct pg_mgr *m, uint32_t by, uint32_t target, uint64_t incarnation,
                    uint64_t now_ns)
{
    struct target *t = target_find(m, target);

    if (t == NULL || t->incarnation != incarnation)
        return;
    accusers_expire(t, now_ns);
    for (uint32_t i = 0; i < t->accuser_count; i++) {
        if (t->accusers[i].by == by) {
            t->accusers[i].at_ns = now_ns;
            return;
        }
    }
    if (t->accuser_count < ACCUSERS_MAX)
        t->accusers[t->accuser_count++] =
            (struct accuser){.by = by, .since_ns = now_ns, .at_ns = now_ns};
}

void pg_mgr_left(struct pg_mgr *m, uint32_t pg, uint32_t target, uint64_t incarnation,
                 uint64_t epoch)
{
    struct pg *p = pg_find(m, pg);
    struct departure *oldest;

    if (p == NULL || epoch != p->rec.epoch)
        return;
    oldest = &p->departures[0];
    for (size_t i = 0; i < ARRAY_COUNT(p->departures); i++) {
        struct departure *d = &p->departures[i];

        if (d->target == target) {
            oldest = d;
            break;
        }
        if (d->epoch < oldest->epoch)
            oldest = d;
    }
    *oldest = (struct departure){target, incarnation, epoch};
}

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

void pg_mgr_sync_done(struct pg_mgr *m, uint32_t pg, uint32_t target, uint64_t incarnation,
                      uint64_t epoch)
{
    struct pg *p = pg_find(m, pg);

    if (p == NULL)
        return;
    p->done_target = target;
    p->done_incarnation = incarnation;
    p->done_epoch = epoch;
}

/*
 * Is this incarnation of the target alive? A new incarnation or a broken control connection that a
 * chain neighbour confirms is an answer at once; otherwise silence has to last.
 */
static enum health member_health(const struct pg_mgr *m, const struct pg_member_rec *mem,
                                 uint64_t now_ns)
{
    const struct target *t = target_find(m, mem->target);
    uint64_t since;

    if (t == NULL)
        return HEALTH_UNKNOWN;
    if (t->failed)
        return HEALTH_DEAD;
    if (t->incarnation != mem->incarnation)
        return HEALTH_DEAD; /* It has registered anew: whatever it had in memory is gone. */
    if (t->lost && t->accuser_count > 0)
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

bool pg_mgr_target_alive(const struct pg_mgr *m, uint32_t target)
{
    const struct target *t = target_find(m, target);

    return t != NULL && !t->failed && !t->lost && t->heard_ns != 0 &&
           t->heard_incarnation == t->incarnation &&
           m->last_tick_ns - MIN(t->heard_ns, m->last_tick_ns) < m->o.silence_ns;
}

static uint32_t count_state(const struct pg_rec *r, enum pg_member_state s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->member_count; i++)
        n += r->members[i].state == s;
    return n;
}

bool pg_is_writable(const struct pg_rec *r)
{
    uint32_t serving = count_state(r, PG_SERVING);

    return serving >= 1 && serving + count_state(r, PG_SYNCING) >= r->min_write;
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
        struct target *t = target_find(m, r->members[i].target);

        if (t == NULL || r->members[i].state == PG_OFFLINE ||
            t->incarnation != r->members[i].incarnation)
            continue;
        accusers_expire(t, now_ns);
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
 * accused goes; on a tie the one further down the chain, unless somebody accuses again, which
 * then counts for the other. The last SERVING member stays: then it is its joiner that goes.
 */
static bool drop_accused_member(struct pg_mgr *m, struct pg *p, uint64_t now_ns,
                                struct pg_rec *next)
{
    uint32_t worst = most_accused(m, next, now_ns);

    if (worst == UINT32_MAX)
        return false;
    if (next->members[worst].state == PG_SERVING && count_state(&p->rec, PG_SERVING) <= 1) {
        for (worst = 0; worst < next->member_count; worst++)
            if (next->members[worst].state == PG_SYNCING)
                break;
        if (worst == next->member_count)
            return false;
    }
    next->members[worst].state = PG_OFFLINE;
    rest(p, next->members[worst].target, now_ns);
    target_find(m, next->members[worst].target)->sentenced = true;
    return true;
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
        const struct target *t = target_find(m, mem->target);
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
            mem->incarnation = target_find(m, mem->target)->incarnation;
    }
    next->reset_epoch = p->rec.epoch + 1;
    if (!warm)
        next->cold_epoch = p->rec.epoch + 1;
    return true;
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

static bool host_in_use(const struct pg_mgr *m, const struct pg_rec *r, uint32_t except,
                        const char *host)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct target *t = target_find(m, r->members[i].target);

        if (i != except && t != NULL && strcmp(t->host, host) == 0)
            return true;
    }
    return false;
}

static bool target_can_join(const struct pg_mgr *m, const struct target *t)
{
    return t->usable && pg_mgr_target_alive(m, t->id) && t->syncing_count < m->o.syncs_per_target;
}

/* Another host, free to join, fewest PGs: to stand in this place of the record. */
static struct target *find_spare(struct pg_mgr *m, const struct pg_rec *r, uint32_t slot)
{
    struct target *t, *t_next, *spare = NULL;

    HASH_ITER (hh, m->targets, t, t_next) {
        if (!target_can_join(m, t) || host_in_use(m, r, slot, t->host))
            continue;
        if (spare == NULL || t->pg_count < spare->pg_count ||
            (t->pg_count == spare->pg_count && t->id < spare->id))
            spare = t;
    }
    return spare;
}

static bool join_again(struct pg_mgr *m, struct pg_member_rec *mem)
{
    struct target *t = target_find(m, mem->target);

    mem->state = PG_SYNCING;
    mem->incarnation = t->incarnation;
    t->syncing_count++;
    return true;
}

/* The old member is preferred: it lacks least. A spare only after the grace time, or when the PG
 * can't be written. */
static bool add_joiner(struct pg_mgr *m, struct pg *p, uint64_t now_ns, struct pg_rec *next)
{
    bool is_urgent = !pg_is_writable(&p->rec);
    struct pg_member_rec *tired = NULL;
    struct target *spare = NULL;
    uint32_t slot = UINT32_MAX;

    if (count_state(&p->rec, PG_SYNCING) > 0 || count_state(&p->rec, PG_SERVING) >= p->rec.copies) {
        p->offline_since_ns = 0;
        return false;
    }
    if (p->offline_since_ns == 0)
        p->offline_since_ns = now_ns;
    for (uint32_t i = 0; i < next->member_count; i++) {
        struct pg_member_rec *mem = &next->members[i];
        struct target *t;

        if (mem->state != PG_OFFLINE)
            continue;
        slot = i;
        t = target_find(m, mem->target);
        if (t == NULL || !target_can_join(m, t))
            continue;
        if (mem->target != p->resting || now_ns >= p->resting_until_ns)
            return join_again(m, mem);
        tired = mem;
    }
    if (is_urgent || now_ns - p->offline_since_ns >= m->o.replace_ns) {
        if (slot == UINT32_MAX && next->member_count < REC_PG_MEMBERS_MAX)
            slot = next->member_count;
        if (slot != UINT32_MAX)
            spare = find_spare(m, next, slot);
    }
    if (spare == NULL)
        return is_urgent && tired != NULL && join_again(m, tired);
    if (slot == next->member_count)
        next->member_count++;
    next->members[slot] = (struct pg_member_rec){
        .target = spare->id, .incarnation = spare->incarnation, .state = PG_SYNCING};
    spare->syncing_count++;
    spare->pg_count++;
    return true;
}

static bool pg_decide(struct pg_mgr *m, struct pg *p, uint64_t now_ns, struct pg_rec *next)
{
    uint32_t alive = 0, dead = 0, unknown = 0;

    *next = p->rec;
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
    return drop_dead_members(m, p, now_ns, next) || drop_accused_member(m, p, now_ns, next) ||
           promote_synced(m, p, now_ns, next) || add_joiner(m, p, now_ns, next);
}

/* The rules that no bug above may break: I28 and the head comment. */
static bool propose_is_legal(const struct pg *p, const struct pg_rec *next)
{
    uint32_t common = 0, added = 0;
    bool cold = next->reset_epoch == next->epoch;

    for (uint32_t i = 0; i < next->member_count; i++) {
        const struct pg_member_rec *mem = &next->members[i];
        bool was = false;

        if (mem->state != PG_SERVING)
            continue;
        for (uint32_t k = 0; k < p->rec.member_count; k++)
            was |= p->rec.members[k].target == mem->target &&
                   p->rec.members[k].state == PG_SERVING &&
                   (cold || p->rec.members[k].incarnation == mem->incarnation);
        common += was;
        if (!was) {
            added++;
            if (p->done_epoch != p->rec.epoch || p->done_target != mem->target)
                return false;
        }
    }
    return common >= 1 && added <= 1 && count_state(next, PG_SYNCING) <= 1;
}

static void recount_load(struct pg_mgr *m)
{
    struct target *t, *t_next;
    struct pg *p, *p_next;

    HASH_ITER (hh, m->targets, t, t_next) {
        t->syncing_count = 0;
        t->pg_count = 0;
        t->head_count = 0;
    }
    HASH_ITER (hh, m->pgs, p, p_next) {
        for (uint32_t i = 0; i < p->rec.member_count; i++) {
            t = target_find(m, p->rec.members[i].target);
            if (t == NULL)
                continue;
            t->pg_count++;
            t->head_count += i == 0;
            t->syncing_count += p->rec.members[i].state == PG_SYNCING;
        }
    }
}

/* Who was taken out has paid for what others said, and what it said of others is void. */
static void sentences_close(struct pg_mgr *m)
{
    struct target *t, *t_next;

    HASH_ITER (hh, m->targets, t, t_next) {
        uint32_t keep = 0;

        for (uint32_t i = 0; i < t->accuser_count; i++) {
            const struct target *by = target_find(m, t->accusers[i].by);

            if (by == NULL || !by->sentenced)
                t->accusers[keep++] = t->accusers[i];
        }
        t->accuser_count = t->sentenced ? 0 : keep;
    }
    HASH_ITER (hh, m->targets, t, t_next) {
        t->sentenced = false;
    }
}

size_t pg_mgr_tick(struct pg_mgr *m, uint64_t now_ns, struct pg_rec *out, size_t max)
{
    struct pg *p, *p_next;
    size_t n = 0;

    if (now_ns - m->last_tick_ns > m->o.tick_gap_ns)
        m->since_ns = now_ns; /* We stood still ourselves: nobody's silence counts from before. */
    m->last_tick_ns = now_ns;
    recount_load(m);
    HASH_ITER (hh, m->pgs, p, p_next) {
        if (n == max)
            break;
        if (p->outstanding || !pg_decide(m, p, now_ns, &out[n]))
            continue;
        record_finish(p, &out[n]);
        assert(propose_is_legal(p, &out[n]));
        p->outstanding = true;
        n++;
    }
    sentences_close(m);
    return n;
}

void pg_mgr_refused(struct pg_mgr *m, uint32_t pg)
{
    struct pg *p = pg_find(m, pg);

    if (p != NULL)
        p->outstanding = false;
}

/* Fewest PGs first; among equals fewest heads, then the lower id, so that plans are repeatable. */
static struct target *pick_target(struct pg_mgr *m, const struct pg_rec *r)
{
    struct target *t, *t_next, *best = NULL;

    HASH_ITER (hh, m->targets, t, t_next) {
        if (!t->usable || !pg_mgr_target_alive(m, t->id) || host_in_use(m, r, UINT32_MAX, t->host))
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
        if (target_find(m, r->members[i].target)->head_count <
            target_find(m, r->members[head].target)->head_count)
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
        target_find(m, r->members[i].target)->pg_count++;
    target_find(m, r->members[0].target)->head_count++;
    return true;
}

size_t pg_mgr_plan_new(struct pg_mgr *m, uint64_t now_ns, struct pg_rec *out, size_t max)
{
    uint32_t usable = 0, alive = 0, wanted, have = HASH_COUNT(m->pgs);
    struct target *t, *t_next;
    size_t n = 0;

    (void)now_ns;
    HASH_ITER (hh, m->targets, t, t_next) {
        usable += t->usable;
        alive += t->usable && pg_mgr_target_alive(m, t->id);
    }
    /* Wait for the others: what is placed now is placed for long. */
    if (alive < usable || alive < m->o.copies)
        return 0;
    wanted = (alive * m->o.pgs_per_target + m->o.copies - 1) / m->o.copies;
    recount_load(m);
    while (have + n < wanted && n < max && plan_one(m, (uint32_t)(have + n), &out[n]))
        n++;
    return n;
}
