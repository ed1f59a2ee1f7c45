/* See pg_mgr.h: what is known of targets and PGs, and the tick that asks pg_decide() for each. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "namenode/pg_mgr_impl.h"

static const uint64_t accusation_ttl_ns = 60ULL * 1000000000ULL;

void pg_mgr_options_init(struct pg_mgr_options *o)
{
    *o = (struct pg_mgr_options){
        .silence_ns = 2000000000ULL,
        .heard_ns = 1200000000ULL,
        .hush_ns = 60000000000ULL,
        .hush_percent = 30,
        .cold_wait_ns = 5000000000ULL,
        .replace_ns = 60000000000ULL,
        .slow_after_ns = 30000000000ULL,
        .slow_ns = 1000000000ULL,
        .slow_rest_ns = 300000000000ULL,
        .slow_factor = 10,
        .tick_gap_ns = 500000000ULL,
        .balance_after_ns = 10000000000ULL,
        .moves_at_once = 2,
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
        free(t->rack);
        free(t);
    }
    HASH_ITER (hh, m->pgs, p, p_next) {
        HASH_DEL(m->pgs, p);
        free(p);
    }
    free(m);
}

struct target *pg_target_find(const struct pg_mgr *m, uint32_t id)
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
    struct target *t = pg_target_find(m, in->id);
    char *host = strdup(in->host), *rack = strdup(in->rack == NULL ? "" : in->rack);

    if (host == NULL || rack == NULL) {
        free(host);
        free(rack);
        return -12; /* ENOMEM */
    }
    if (t == NULL) {
        t = calloc(1, sizeof(*t));
        if (t == NULL) {
            free(host);
            free(rack);
            return -12;
        }
        t->id = in->id;
        HASH_ADD(hh, m->targets, id, sizeof(t->id), t);
    }
    free(t->host);
    free(t->rack);
    t->host = host;
    t->rack = rack;
    t->bytes_total = in->bytes_total;
    t->incarnation = in->incarnation;
    t->usable = in->usable;
    t->draining = in->draining;
    t->removed = in->removed;
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
    struct target *t = pg_target_find(m, target);

    if (t == NULL)
        return;
    if (t->heard_incarnation != incarnation) {
        t->accuser_count = 0; /* A new process: the old one's sins are over. */
        t->upheld_ns = 0;
        t->failed = false;
        pg_slow_restarted(t);
    }
    t->heard_incarnation = incarnation;
    t->heard_ns = now_ns;
    t->lost = false;
}

void pg_mgr_lost(struct pg_mgr *m, uint32_t target, uint64_t incarnation)
{
    struct target *t = pg_target_find(m, target);

    if (t != NULL && t->heard_incarnation == incarnation)
        t->lost = true;
}

void pg_mgr_set_awaited(struct pg_mgr *m, uint32_t target, bool awaited)
{
    struct target *t = pg_target_find(m, target);

    if (t != NULL)
        t->awaited = awaited;
}

void pg_mgr_set_full(struct pg_mgr *m, uint32_t target, bool full)
{
    struct target *t = pg_target_find(m, target);

    if (t != NULL)
        t->full = full;
}

void pg_mgr_failed(struct pg_mgr *m, uint32_t target)
{
    struct target *t = pg_target_find(m, target);

    if (t != NULL)
        t->failed = true;
}

void pg_accusers_expire(struct target *t, uint64_t now_ns)
{
    uint32_t keep = 0;

    for (uint32_t i = 0; i < t->accuser_count; i++)
        if (now_ns - t->accusers[i].at_ns < accusation_ttl_ns)
            t->accusers[keep++] = t->accusers[i];
    t->accuser_count = keep;
}

/* An accusation that is repeated counts from the first. */
static bool accuse_again(struct target *t, uint32_t by, uint64_t now_ns)
{
    for (uint32_t i = 0; i < t->accuser_count; i++) {
        if (t->accusers[i].by == by) {
            t->accusers[i].at_ns = now_ns;
            return true;
        }
    }
    return false;
}

static void accuse(struct target *t, uint32_t by, bool is_turned, uint64_t now_ns)
{
    if (!accuse_again(t, by, now_ns) && t->accuser_count < ACCUSERS_MAX)
        t->accusers[t->accuser_count++] =
            (struct accuser){.by = by, .since_ns = now_ns, .at_ns = now_ns, .is_turned = is_turned};
}

/*
 * It was believed just now, and finds fault with yet another host: then it is more likely the faulty
 * one itself, and would take its chain apart one by one (HDFS-1595). The host that it was right
 * about may go on being accused, and so may one of which somebody else complains.
 */
static bool accuses_the_next(const struct pg_mgr *m, const struct target *by,
                             const struct target *t, uint64_t now_ns)
{
    const struct target *before;

    if (by == NULL || by->upheld_ns == 0 || now_ns - by->upheld_ns >= accusation_ttl_ns)
        return false;
    before = pg_target_find(m, by->upheld);
    return before != NULL && strcmp(before->host, t->host) != 0;
}

void pg_mgr_accused(struct pg_mgr *m, uint32_t by, uint32_t target, uint64_t incarnation,
                    uint64_t now_ns)
{
    struct target *t = pg_target_find(m, target), *accuser = pg_target_find(m, by);

    if (t == NULL || t->incarnation != incarnation)
        return;
    pg_accusers_expire(t, now_ns);
    if (t->accuser_count == 0 && accuses_the_next(m, accuser, t, now_ns)) {
        pg_accusers_expire(accuser, now_ns);
        accuse(accuser, target, true, now_ns);
    } else {
        accuse(t, by, false, now_ns);
    }
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

bool pg_mgr_target_alive(const struct pg_mgr *m, uint32_t target)
{
    const struct target *t = pg_target_find(m, target);

    return t != NULL && !t->failed && !t->lost && t->heard_ns != 0 &&
           t->heard_incarnation == t->incarnation &&
           m->last_tick_ns - MIN(t->heard_ns, m->last_tick_ns) < m->o.silence_ns;
}

uint32_t pg_count_state(const struct pg_rec *r, enum pg_member_state s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->member_count; i++)
        n += r->members[i].state == s;
    return n;
}

bool pg_is_writable(const struct pg_rec *r)
{
    uint32_t serving = pg_count_state(r, PG_SERVING);

    return serving >= 1 && serving + pg_count_state(r, PG_SYNCING) >= r->min_write;
}

/* The rules that no bug above may break: I28 and the head comment. */
static bool propose_is_legal(const struct pg_mgr *m, const struct pg *p, const struct pg_rec *next)
{
    uint32_t common = 0, added = 0;
    bool cold = next->reset_epoch == next->epoch;

    if (cold && pg_count_state(next, PG_SERVING) == 0)
        return pg_is_bereft(m, &p->rec);
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
    return common >= 1 && added <= 1 && pg_count_state(next, PG_SYNCING) <= 1;
}

/* They were believed. */
static void uphold(struct pg_mgr *m, const struct target *sentenced)
{
    for (uint32_t i = 0; i < sentenced->accuser_count; i++) {
        struct target *by = pg_target_find(m, sentenced->accusers[i].by);

        if (by == NULL || by->sentenced || sentenced->accusers[i].is_turned)
            continue;
        by->upheld = sentenced->id;
        by->upheld_ns = m->last_tick_ns;
    }
}

/* What it said before it was taken out; or what it, alone, said of another beside the one for whom it
 * was believed: should it say so again, that counts against it. */
static bool is_void(const struct pg_mgr *m, const struct target *t, const struct target *by)
{
    return by == NULL || by->sentenced ||
           (t->accuser_count == 1 && by->upheld_ns == m->last_tick_ns &&
            accuses_the_next(m, by, t, m->last_tick_ns));
}

/* Who was taken out has paid for what others said. */
static void sentences_close(struct pg_mgr *m)
{
    struct target *t, *t_next;

    HASH_ITER (hh, m->targets, t, t_next) {
        if (t->sentenced)
            uphold(m, t);
    }
    HASH_ITER (hh, m->targets, t, t_next) {
        uint32_t keep = 0;

        for (uint32_t i = 0; i < t->accuser_count; i++) {
            if (!is_void(m, t, pg_target_find(m, t->accusers[i].by)))
                t->accusers[keep++] = t->accusers[i];
        }
        t->accuser_count = t->sentenced ? 0 : keep;
    }
    HASH_ITER (hh, m->targets, t, t_next) {
        t->sentenced = false;
    }
}

/* Whole ones, of however many copies, come last. */
static uint32_t urgency(const struct pg_rec *r)
{
    uint32_t serving = pg_count_state(r, PG_SERVING);

    return serving < r->copies ? serving : REC_PG_MEMBERS_MAX;
}

/* Those of that urgency; there is room for max proposals. */
static size_t decide_those_of(struct pg_mgr *m, uint32_t of, uint64_t now_ns, struct pg_rec *out,
                              size_t max)
{
    struct pg *p, *p_next;
    size_t n = 0;

    HASH_ITER (hh, m->pgs, p, p_next) {
        if (n == max)
            break;
        if (p->outstanding || urgency(&p->rec) != of || !pg_decide(m, p, now_ns, &out[n]))
            continue;
        assert(propose_is_legal(m, p, &out[n]));
        p->outstanding = true;
        n++;
    }
    return n;
}

/* Hosts of those that fell silent of late; more than that need not be known. */
enum { HUSH_HOSTS = 3 };

static void note_quiet(const struct pg_mgr *m, struct target *t, uint64_t now_ns)
{
    if (now_ns - MIN(MAX(t->heard_ns, m->since_ns), now_ns) < m->o.heard_ns)
        t->quiet_since_ns = 0;
    else if (t->quiet_since_ns == 0)
        t->quiet_since_ns = now_ns;
}

static void add_host(const char **hosts, uint32_t *count, const char *host)
{
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp(hosts[i], host) == 0)
            return;
    if (*count < HUSH_HOSTS)
        hosts[(*count)++] = host;
}

/*
 * Many that fall silent at about the same time: more likely nobody hears them here than that all are
 * dead. Counted as soon as they are quiet for longer than usual, so that the first of them is not taken
 * out before the others are counted. The disks of one host are one failure, of two hosts perhaps two.
 */
static bool is_hush(struct pg_mgr *m, uint64_t now_ns)
{
    const char *hosts[HUSH_HOSTS];
    uint32_t host_count = 0, quiet = 0, all = 0;
    struct target *t, *t_next;

    HASH_ITER (hh, m->targets, t, t_next) {
        note_quiet(m, t, now_ns);
        if (!t->usable && !t->draining)
            continue;
        all++;
        if (t->quiet_since_ns == 0 || now_ns - t->quiet_since_ns >= m->o.hush_ns)
            continue;
        quiet++;
        add_host(hosts, &host_count, t->host);
    }
    return host_count == HUSH_HOSTS && quiet * 100 > all * m->o.hush_percent;
}

size_t pg_mgr_tick(struct pg_mgr *m, uint64_t now_ns, struct pg_rec *out, size_t max)
{
    size_t n = 0;

    if (now_ns - m->last_tick_ns > m->o.tick_gap_ns)
        m->since_ns = now_ns; /* We stood still ourselves: nobody's silence counts from before. */
    m->last_tick_ns = now_ns;
    m->is_hush = is_hush(m, now_ns);
    pg_slow_judge(m, now_ns);
    pg_place_count(m, now_ns);
    for (uint32_t of = 0; of <= REC_PG_MEMBERS_MAX; of++)
        n += decide_those_of(m, of, now_ns, out + n, max - n);
    sentences_close(m);
    return n;
}

void pg_mgr_refused(struct pg_mgr *m, uint32_t pg)
{
    struct pg *p = pg_find(m, pg);

    if (p != NULL)
        p->outstanding = false;
}
