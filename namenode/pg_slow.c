/*
 * Fail-slow: a target that answers, but so late that all who write wait for it.
 *
 * What is known of one is the longer of two: what it says of itself (its disk; its process, when that
 * stands still), and what its predecessors see where it is the last of a chain, so that nobody else's
 * time is in it: of those the median, for one of them may have a bad link. Who is slow itself is no
 * witness: it takes its own pauses for those of others (HDFS-1595).
 *
 * Too slow is absolute and relative at once: beyond slow_ns, and slow_factor times the median of the
 * others. So a cluster that is overloaded as a whole takes nobody out.
 *
 * Who was out comes back after a rest, if it is not known to be slow still; each further time
 * within an hour of its return the rest is twice as long. Its speed without load says little: it is
 * the return that tries it. A restart lets it in at once: that is how an operator says so.
 */
#include "common/compiler.h"
#include "namenode/pg_mgr_impl.h"

static const uint64_t known_ns = 5000000000ULL;
static const uint64_t one_in_ns = 60000000000ULL;
static const uint64_t forget_ns = 3600000000000ULL;
enum { PEERS_MIN = 2, DOUBLINGS_MAX = 6, TARGETS_COMPARED_MAX = 256 };

void pg_mgr_own_latency(struct pg_mgr *m, uint32_t target, uint64_t p99_ns, uint64_t now_ns)
{
    struct target *t = pg_target_find(m, target);

    if (t == NULL)
        return;
    t->slow.own_ns = p99_ns;
    t->slow.own_at_ns = p99_ns == 0 ? 0 : now_ns;
}

void pg_mgr_link_latency(struct pg_mgr *m, uint32_t by, uint32_t target, uint64_t p99_ns,
                         uint64_t now_ns)
{
    struct target *t = pg_target_find(m, target);
    struct witness *w;

    if (t == NULL || p99_ns == 0)
        return;
    w = &t->slow.witnesses[0];
    for (uint32_t i = 0; i < t->slow.witness_count; i++) {
        struct witness *old = &t->slow.witnesses[i];

        if (old->by == by) {
            w = old;
            break;
        }
        if (old->at_ns < w->at_ns)
            w = old;
    }
    if (w->by != by && t->slow.witness_count < WITNESSES_MAX)
        w = &t->slow.witnesses[t->slow.witness_count++];
    *w = (struct witness){by, p99_ns, now_ns};
}

void pg_mgr_slowness(const struct pg_mgr *m, uint32_t target, struct pg_slowness *ret_slowness)
{
    const struct target *t = pg_target_find(m, target);

    *ret_slowness = t == NULL ? (struct pg_slowness){0} : t->slow.out;
    if (ret_slowness->is_out)
        ret_slowness->left_ns = t->slow.until_ns - MIN(t->slow.until_ns, m->last_tick_ns);
}

void pg_slow_restarted(struct target *t)
{
    struct pg_slowness was = t->slow.out;
    uint64_t back_ns = was.is_out ? t->heard_ns : t->slow.back_ns;

    t->slow = (struct slow_state){.back_ns = back_ns, .out = {.times = was.times}};
}

/* ---- what is known ---- */

static void sort(uint64_t *list, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint64_t v = list[i];
        uint32_t k = i;

        for (; k > 0 && list[k - 1] > v; k--)
            list[k] = list[k - 1];
        list[k] = v;
    }
}

/* Of an even number the smaller of the two in the middle: in doubt it is not slow. */
static uint64_t median(uint64_t *list, uint32_t count)
{
    if (count == 0)
        return 0;
    sort(list, count);
    return list[(count - 1) / 2];
}

static uint64_t own_ns(const struct target *t, uint64_t now_ns)
{
    return t->slow.own_at_ns != 0 && now_ns - t->slow.own_at_ns < known_ns ? t->slow.own_ns : 0;
}

static uint64_t seen_ns(const struct pg_mgr *m, const struct target *t, uint64_t now_ns)
{
    uint64_t seen[WITNESSES_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < t->slow.witness_count; i++) {
        const struct witness *w = &t->slow.witnesses[i];
        const struct target *by = pg_target_find(m, w->by);

        if (now_ns - w->at_ns < known_ns && by != NULL && own_ns(by, now_ns) < m->o.slow_ns)
            seen[count++] = w->p99_ns;
    }
    return median(seen, count);
}

/* The median of the others of which something is known; 0: there are too few to compare with. */
static uint64_t peers_ns(const struct pg_mgr *m, const struct target *of)
{
    uint64_t others[TARGETS_COMPARED_MAX];
    struct target *t, *t_next;
    uint32_t count = 0;

    HASH_ITER (hh, m->targets, t, t_next) {
        if (t != of && t->slow.now_ns != 0 && count < TARGETS_COMPARED_MAX)
            others[count++] = t->slow.now_ns;
    }
    return count < PEERS_MIN ? 0 : median(others, count);
}

/* ---- what follows ---- */

static bool is_too_slow(const struct pg_mgr *m, const struct target *t, uint64_t *ret_peers_ns)
{
    *ret_peers_ns = 0;
    if (t->slow.now_ns <= m->o.slow_ns)
        return false;
    *ret_peers_ns = peers_ns(m, t);
    return *ret_peers_ns != 0 && t->slow.now_ns / m->o.slow_factor > *ret_peers_ns;
}

static void take_out(struct pg_mgr *m, struct target *t, uint64_t peers, uint64_t now_ns)
{
    struct pg_slowness *out = &t->slow.out;

    if (t->slow.back_ns != 0 && now_ns - t->slow.back_ns > forget_ns)
        out->times = 0;
    t->slow.until_ns = now_ns + (m->o.slow_rest_ns << MIN(out->times, (unsigned)DOUBLINGS_MAX));
    *out = (struct pg_slowness){
        .is_out = true, .times = out->times + 1, .p99_ns = t->slow.now_ns, .peers_ns = peers};
    m->slow_out_ns = now_ns;
}

static void let_in(struct target *t, uint64_t now_ns)
{
    t->slow.out.is_out = false;
    t->slow.back_ns = now_ns;
    t->slow.since_ns = 0;
}

void pg_slow_judge(struct pg_mgr *m, uint64_t now_ns)
{
    struct target *t, *t_next, *worst = NULL;
    uint64_t peers, worst_peers = 0;

    if (m->o.slow_after_ns == 0)
        return;
    HASH_ITER (hh, m->targets, t, t_next) {
        t->slow.now_ns = MAX(own_ns(t, now_ns), seen_ns(m, t, now_ns));
    }
    HASH_ITER (hh, m->targets, t, t_next) {
        if (!is_too_slow(m, t, &peers))
            t->slow.since_ns = 0;
        else if (t->slow.since_ns == 0)
            t->slow.since_ns = now_ns;
        if (t->slow.out.is_out && now_ns >= t->slow.until_ns && t->slow.since_ns == 0)
            let_in(t, now_ns);
        if (t->slow.out.is_out || t->slow.since_ns == 0 ||
            now_ns - t->slow.since_ns < m->o.slow_after_ns)
            continue;
        if (worst == NULL || t->slow.now_ns > worst->slow.now_ns) {
            worst = t;
            worst_peers = peers;
        }
    }
    if (worst != NULL && !m->is_hush &&
        (m->slow_out_ns == 0 || now_ns - m->slow_out_ns >= one_in_ns))
        take_out(m, worst, worst_peers, now_ns);
}
