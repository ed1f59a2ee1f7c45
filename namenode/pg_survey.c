/* See pg_survey.h. */
#include "namenode/pg_survey.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "namenode/fsm.h"
#include "namenode/pg_mgr.h"

static const uint64_t wait_ns = 5000000000ULL, late_ns = 30000000000ULL;
static const uint64_t again_ns = 2000000000ULL;

/* One target's word on one group. */
struct holding {
    struct {
        uint32_t pg, target;
    } key;
    uint64_t incarnation;
    uint64_t served_epoch, ver_epoch, ver_seq, chunk_count, incomplete_count;
    UT_hash_handle hh;
};

/* A target that has told all. */
struct witness {
    uint32_t target;
    uint64_t incarnation;
    UT_hash_handle hh;
};

struct asked {
    uint32_t pg;
    uint64_t at_ns;
    UT_hash_handle hh;
};

struct pg_survey {
    uint64_t since_ns, complained_ns;
    struct holding *holdings;
    struct witness *witnesses;
    struct asked *asked;
};

struct pg_survey *pg_survey_new(uint64_t now_ns)
{
    struct pg_survey *s = MEM_NEW(struct pg_survey);

    s->since_ns = s->complained_ns = now_ns;
    return s;
}

/* What was told before is of another time: the groups have gone on since. */
static void forget(struct pg_survey *s)
{
    struct holding *h, *h_next;
    struct witness *w, *w_next;
    struct asked *a, *a_next;

    HASH_ITER (hh, s->holdings, h, h_next) {
        HASH_DEL(s->holdings, h);
        free(h);
    }
    HASH_ITER (hh, s->witnesses, w, w_next) {
        HASH_DEL(s->witnesses, w);
        free(w);
    }
    HASH_ITER (hh, s->asked, a, a_next) {
        HASH_DEL(s->asked, a);
        free(a);
    }
}

void pg_survey_free(struct pg_survey *s)
{
    if (s == NULL)
        return;
    forget(s);
    free(s);
}

bool pg_survey_is_needed(const struct datanodes *d)
{
    const struct pg_state *p, *next;

    HASH_ITER (hh, d->pgs, p, next) {
        if (pg_rec_is_unclaimed(&p->rec))
            return true;
    }
    return false;
}

/* ---- what they told ---- */

static struct holding *find_holding(const struct pg_survey *s, uint32_t pg, uint32_t target)
{
    struct holding *h = NULL, key = {.key = {pg, target}};

    HASH_FIND(hh, s->holdings, &key.key, sizeof(key.key), h);
    return h;
}

static void note_holding(struct pg_survey *s, uint64_t incarnation, const Dfs__PgHolding *m)
{
    struct holding *h = find_holding(s, m->pg, m->target);

    if (h == NULL) {
        h = MEM_NEW(struct holding);
        h->key.pg = m->pg;
        h->key.target = m->target;
        HASH_ADD(hh, s->holdings, key, sizeof(h->key), h);
    }
    h->incarnation = incarnation;
    h->served_epoch = m->served_epoch;
    h->ver_epoch = m->ver_epoch;
    h->ver_seq = m->ver_seq;
    h->chunk_count = m->chunk_count;
    h->incomplete_count = m->incomplete_count;
}

static void note_witness(struct pg_survey *s, uint32_t target, uint64_t incarnation)
{
    struct witness *w = NULL;

    HASH_FIND(hh, s->witnesses, &target, sizeof(target), w);
    if (w == NULL) {
        w = MEM_NEW(struct witness);
        w->target = target;
        HASH_ADD(hh, s->witnesses, target, sizeof(w->target), w);
    }
    w->incarnation = incarnation;
}

void pg_survey_take(struct pg_survey *s, const struct datanode *n, const Dfs__HeartbeatRequest *m)
{
    for (size_t i = 0; i < m->n_holdings; i++) {
        for (unsigned k = 0; k < n->target_count; k++) {
            if (n->targets[k] == m->holdings[i]->target)
                note_holding(s, n->incarnation, m->holdings[i]);
        }
    }
    for (unsigned k = 0; k < n->target_count; k++)
        note_witness(s, n->targets[k], n->incarnation);
}

static bool has_told(const struct pg_survey *s, uint32_t target, uint64_t incarnation)
{
    const struct witness *w = NULL;

    HASH_FIND(hh, s->witnesses, &target, sizeof(target), w);
    return w != NULL && w->incarnation == incarnation;
}

bool pg_survey_wants(const struct pg_survey *s, const struct datanodes *d, const struct datanode *n)
{
    if (!pg_survey_is_needed(d))
        return false;
    for (unsigned k = 0; k < n->target_count; k++) {
        if (!has_told(s, n->targets[k], n->incarnation))
            return true;
    }
    return false;
}

/* ---- who is there ---- */

static bool is_there(const struct pg_survey *s, const struct target_state *t)
{
    return t != NULL && !t->failed && t->node != NULL && t->node->conn != NULL &&
           has_told(s, t->target, t->rec.incarnation);
}

static uint32_t count_missing(const struct pg_survey *s, const struct datanodes *d)
{
    const struct target_state *t, *next;
    uint32_t missing = 0;

    HASH_ITER (hh, d->targets, t, next)
        missing += (t->rec.state == DFS__TARGET_STATE__TARGET_ACTIVE ||
                    t->rec.state == DFS__TARGET_STATE__TARGET_DRAINING) &&
                   !is_there(s, t);
    return missing;
}

/* ---- which is the best ---- */

struct candidate {
    const struct target_state *target;
    struct holding holding; /* zeros: it has nothing of this group */
    bool served_then;       /* when the backup was made */
};

static const struct pg_member_rec *member_of(const struct pg_rec *pg, uint32_t target)
{
    for (unsigned i = 0; i < pg->member_count; i++) {
        if (pg->members[i].target == target)
            return &pg->members[i];
    }
    return NULL;
}

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? 1 : a > b ? -1 : 0;
}

static uint64_t last_epoch(const struct holding *h)
{
    return MAX(h->served_epoch, h->ver_epoch);
}

/* The better one first. */
static int compare_candidates(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    const struct holding *ha = &a->holding, *hb = &b->holding;
    int r = compare(last_epoch(ha), last_epoch(hb));

    if (r == 0)
        r = compare(ha->served_epoch == last_epoch(ha), hb->served_epoch == last_epoch(hb));
    if (r == 0)
        r = compare(ha->ver_epoch, hb->ver_epoch);
    if (r == 0)
        r = compare(ha->ver_seq, hb->ver_seq);
    if (r == 0)
        r = compare(hb->incomplete_count, ha->incomplete_count);
    if (r == 0)
        r = compare(ha->chunk_count, hb->chunk_count);
    if (r == 0)
        r = compare(a->served_then, b->served_then);
    return r != 0 ? r : compare(b->target->target, a->target->target);
}

static uint64_t last_served(const struct pg_rec *pg)
{
    uint64_t last = 1;

    for (unsigned i = 0; i < pg->member_count; i++)
        last = MAX(last, pg->members[i].last_serving_epoch);
    return last;
}

/* The caller frees it. */
static struct candidate *candidates(const struct pg_survey *s, const struct datanodes *d,
                                    const struct pg_rec *pg, size_t *ret_count)
{
    struct candidate *list = mem_zalloc(HASH_COUNT(d->targets) + 1, sizeof(*list));
    const struct target_state *t, *next;
    size_t n = 0;

    HASH_ITER (hh, d->targets, t, next) {
        const struct holding *h = find_holding(s, pg->pg, t->target);
        const struct pg_member_rec *was = member_of(pg, t->target);

        if (!is_there(s, t) || (h == NULL && was == NULL))
            continue;
        list[n].target = t;
        if (h != NULL && h->incarnation == t->rec.incarnation)
            list[n].holding = *h;
        list[n++].served_then = was != NULL && was->last_serving_epoch == last_served(pg);
    }
    qsort(list, n, sizeof(*list), compare_candidates);
    *ret_count = n;
    return list;
}

/* The operator has said so of all that were members, and nobody else has come with something. */
static bool is_given_up(const struct datanodes *d, const struct pg_rec *pg)
{
    for (unsigned i = 0; i < pg->member_count; i++) {
        const struct target_state *t = datanodes_target(d, pg->members[i].target);

        if (t != NULL && t->rec.state != DFS__TARGET_STATE__TARGET_REMOVED)
            return false;
    }
    return true;
}

/* Targets for a group whose content is lost: those that are there, in turn. */
static struct candidate *newcomers(const struct pg_survey *s, const struct datanodes *d,
                                   const struct pg_rec *pg, size_t *ret_count)
{
    struct candidate *list = mem_zalloc(2 * HASH_COUNT(d->targets) + 1, sizeof(*list));
    const struct target_state *t, *next;
    size_t n = 0;

    HASH_ITER (hh, d->targets, t, next) {
        if (is_there(s, t) && t->rec.state == DFS__TARGET_STATE__TARGET_ACTIVE)
            list[n++].target = t;
    }
    qsort(list, n, sizeof(*list), compare_candidates);
    memcpy(list + n, list, n * sizeof(*list));
    if (n > 0)
        memmove(list, list + pg->pg % n, n * sizeof(*list));
    *ret_count = n;
    return list;
}

static bool shares_host(const struct pg_rec *r, const struct datanodes *d, const char *host)
{
    for (unsigned i = 0; i < r->member_count; i++) {
        const struct target_state *t = datanodes_target(d, r->members[i].target);

        if (t != NULL && strcmp(t->rec.host, host) == 0)
            return true;
    }
    return false;
}

static bool decide(const struct pg_survey *s, const struct datanodes *d, const struct pg_rec *pg,
                   struct pg_rec *next)
{
    size_t count;
    struct candidate *list = candidates(s, d, pg, &count);

    if (count == 0 && is_given_up(d, pg)) {
        free(list);
        list = newcomers(s, d, pg, &count);
    }
    *next = *pg;
    next->epoch = pg->epoch + 1;
    next->reset_epoch = next->cold_epoch = next->epoch;
    next->member_count = 0;
    for (size_t i = 0; i < count && next->member_count < pg->copies; i++) {
        const struct target_rec *t = &list[i].target->rec;

        if (i > 0 && shares_host(next, d, t->host))
            continue;
        next->members[next->member_count++] =
            (struct pg_member_rec){.target = t->target,
                                   .incarnation = t->incarnation,
                                   .state = i == 0 ? PG_SERVING : PG_OFFLINE};
    }
    free(list);
    return count > 0;
}

/* ---- when ---- */

/* Not again while a proposal may still be on its way. */
static bool may_ask(struct pg_survey *s, uint32_t pg, uint64_t now_ns)
{
    struct asked *a = NULL;

    HASH_FIND(hh, s->asked, &pg, sizeof(pg), a);
    if (a != NULL && now_ns - a->at_ns < again_ns)
        return false;
    if (a == NULL) {
        a = MEM_NEW(struct asked);
        a->pg = pg;
        HASH_ADD(hh, s->asked, pg, sizeof(a->pg), a);
    }
    a->at_ns = now_ns;
    return true;
}

static void complain(struct pg_survey *s, uint32_t missing, uint64_t now_ns)
{
    if (now_ns - s->complained_ns < late_ns)
        return;
    s->complained_ns = now_ns;
    log_warn("placement groups wait for who is not there: it may have the newest data of them",
             "missing_targets=%" PRIu32, missing);
}

size_t pg_survey_tick(struct pg_survey *s, const struct datanodes *d, uint64_t now_ns,
                      struct pg_rec *out, size_t max)
{
    const struct pg_state *p, *next;
    uint64_t age_ns;
    uint32_t missing;
    size_t n = 0;

    if (!pg_survey_is_needed(d)) {
        forget(s);
        s->since_ns = s->complained_ns = now_ns;
        return 0;
    }
    age_ns = now_ns - s->since_ns;
    missing = count_missing(s, d);
    HASH_ITER (hh, d->pgs, p, next) {
        if (n == max)
            break;
        if (!pg_rec_is_unclaimed(&p->rec) || age_ns < wait_ns)
            continue;
        if (missing >= p->rec.min_write) {
            complain(s, missing, now_ns);
            continue;
        }
        if ((missing == 0 || age_ns >= late_ns) && decide(s, d, &p->rec, &out[n]) &&
            may_ask(s, p->rec.pg, now_ns))
            n++;
    }
    return n;
}
