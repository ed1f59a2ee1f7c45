/* See datanodes.h. */
#include "namenode/datanodes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/compiler.h"
#include "common/log.h"
#include "common/mem.h"
#include "namenode/pg_mgr.h"
#include "rpc/conn.h"
#include "rpc/meta.pb-c.h"

enum { NEARLY_FULL_PERCENT = 90, WEIGHT_ALL_FREE = 1024 };

void datanode_set_conn(struct datanode *n, struct conn *c)
{
    if (c != NULL)
        conn_ref(c);
    if (n->conn != NULL)
        conn_unref(n->conn);
    n->conn = c;
}

void datanodes_clear(struct datanodes *d)
{
    struct datanode *n, *n_next;
    struct target_state *t, *t_next;
    struct pg_state *p, *p_next;

    HASH_ITER (hh, d->nodes, n, n_next) {
        HASH_DEL(d->nodes, n);
        datanode_set_conn(n, NULL);
        free(n);
    }
    HASH_ITER (hh, d->targets, t, t_next) {
        HASH_DEL(d->targets, t);
        free(t);
    }
    HASH_ITER (hh, d->pgs, p, p_next) {
        HASH_DEL(d->pgs, p);
        free(p);
    }
    while (d->bad_count > 0)
        dfs__bad_chunk_report__free_unpacked(d->bad[--d->bad_count], NULL);
}

struct datanode *datanodes_node(struct datanodes *d, const char *name, bool create)
{
    struct datanode *n;

    HASH_FIND_STR(d->nodes, name, n);
    if (n == NULL && create) {
        n = MEM_NEW(struct datanode);
        snprintf(n->node, sizeof(n->node), "%s", name);
        HASH_ADD_STR(d->nodes, node, n);
    }
    return n;
}

struct datanode *datanodes_node_of_conn(struct datanodes *d, const struct conn *c)
{
    struct datanode *n, *next;

    HASH_ITER (hh, d->nodes, n, next) {
        if (n->conn == c)
            return n;
    }
    return NULL;
}

struct target_state *datanodes_target(const struct datanodes *d, uint32_t target)
{
    struct target_state *t;

    HASH_FIND(hh, d->targets, &target, sizeof(target), t);
    return t;
}

struct target_state *datanodes_target_by_uuid(const struct datanodes *d, const uint8_t *uuid)
{
    struct target_state *t, *next;

    HASH_ITER (hh, d->targets, t, next) {
        if (memcmp(t->rec.uuid, uuid, REC_UUID_SIZE) == 0)
            return t;
    }
    return NULL;
}

static bool is_member_anywhere(const struct datanodes *d, uint32_t target)
{
    struct pg_state *p, *next;

    HASH_ITER (hh, d->pgs, p, next) {
        for (unsigned i = 0; i < p->rec.member_count; i++) {
            if (p->rec.members[i].target == target)
                return true;
        }
    }
    return false;
}

static bool serves_target(const struct datanode *n, uint32_t target)
{
    for (unsigned i = 0; i < n->target_count; i++) {
        if (n->targets[i] == target)
            return true;
    }
    return false;
}

struct target_state *datanodes_retired(const struct datanodes *d)
{
    struct target_state *t, *next;

    HASH_ITER (hh, d->targets, t, next) {
        struct datanode *n;

        if ((t->rec.state != DFS__TARGET_STATE__TARGET_ACTIVE &&
             t->rec.state != DFS__TARGET_STATE__TARGET_DRAINING) ||
            t->retiring)
            continue;
        HASH_FIND_STR(d->nodes, t->rec.node, n);
        if (n != NULL && n->conn != NULL && !serves_target(n, t->target) &&
            !is_member_anywhere(d, t->target))
            return t;
    }
    return NULL;
}

struct pg_state *datanodes_pg(const struct datanodes *d, uint32_t pg)
{
    struct pg_state *p;

    HASH_FIND(hh, d->pgs, &pg, sizeof(pg), p);
    return p;
}

void datanodes_set_target(struct datanodes *d, const struct target_rec *rec)
{
    struct target_state *t = datanodes_target(d, rec->target);

    if (t == NULL) {
        t = MEM_NEW(struct target_state);
        t->target = rec->target;
        t->bytes_total = rec->bytes_total;
        HASH_ADD(hh, d->targets, target, sizeof(t->target), t);
    }
    t->rec = *rec;
}

void datanodes_set_pg(struct datanodes *d, const struct pg_rec *rec)
{
    struct pg_state *p = datanodes_pg(d, rec->pg);

    if (p == NULL) {
        p = MEM_NEW(struct pg_state);
        p->pg = rec->pg;
        HASH_ADD(hh, d->pgs, pg, sizeof(p->pg), p);
    }
    if (p->rec.epoch != rec->epoch)
        p->sync = (struct sync_progress){0};
    p->rec = *rec;
    p->dirty = true;
}

void sync_progress_take(struct sync_progress *p, uint64_t done, uint64_t total, uint64_t now_ns)
{
    if (total == 0)
        return;
    if (p->total == 0 || done < p->done) { /* Or it has begun again. */
        p->first_done = done;
        p->first_ns = now_ns;
    }
    p->done = done;
    p->total = total;
    p->last_ns = now_ns;
}

uint64_t sync_progress_rate(const struct sync_progress *p)
{
    uint64_t ms = (p->last_ns - p->first_ns) / CLOCK_NS_PER_MS;

    return ms == 0 ? 0 : (p->done - p->first_done) * 1000 / ms;
}

void target_state_take(struct target_state *t, const Dfs__TargetReport *report)
{
    const Dfs__ScrubStatus *scrub = report->scrub;

    t->reported = true;
    t->bytes_total = report->bytes_total;
    t->bytes_free = report->bytes_free;
    t->chunk_count = report->chunk_count;
    t->bad_chunks = report->bad_chunks;
    t->p50_us = report->p50_us;
    t->p99_us = report->p99_us;
    dfs__scrub_status__init(&t->scrub);
    if (scrub == NULL)
        return;
    t->scrub.began_ns = scrub->began_ns;
    t->scrub.ended_ns = scrub->ended_ns;
    t->scrub.bytes_done = scrub->bytes_done;
    t->scrub.bytes_total = scrub->bytes_total;
    t->scrub.bad = scrub->bad;
    t->scrub.differing = scrub->differing;
}

bool datanodes_is_nearly_full(const struct target_state *t)
{
    return t->bytes_free < t->bytes_total / 100 * (100 - NEARLY_FULL_PERCENT);
}

void datanodes_pgs_of(const struct datanodes *d, uint32_t target, uint32_t *ret_pgs,
                      uint32_t *ret_last)
{
    struct pg_state *p, *next;

    *ret_pgs = *ret_last = 0;
    HASH_ITER (hh, d->pgs, p, next) {
        bool is_member = false, serves = false, others_serve = false;

        for (unsigned i = 0; i < p->rec.member_count; i++) {
            const struct pg_member_rec *m = &p->rec.members[i];
            bool is_serving = m->state == DFS__MEMBER_STATE__MEMBER_SERVING;

            is_member |= m->target == target;
            serves |= m->target == target && is_serving;
            others_serve |= m->target != target && is_serving;
        }
        *ret_pgs += is_member;
        *ret_last += serves && !others_serve;
    }
}

enum pg_use { PG_USABLE, PG_UNWRITABLE, PG_FULL };

struct candidate {
    uint32_t pg;
    enum pg_use use;
    bool is_served;  /* a SERVING member's datanode is connected */
    uint64_t weight; /* the share that is free of its fullest target, in 1/1024 and at least 1 */
};

static bool is_connected(const struct target_state *t)
{
    return t != NULL && t->node != NULL && t->node->conn != NULL;
}

static struct candidate judge(const struct datanodes *d, const struct pg_rec *rec)
{
    struct candidate c = {.pg = rec->pg, .use = PG_UNWRITABLE, .weight = WEIGHT_ALL_FREE};

    if (!pg_is_writable(rec))
        return c;
    c.use = PG_USABLE;
    for (unsigned i = 0; i < rec->member_count; i++) {
        const struct target_state *t = datanodes_target(d, rec->members[i].target);

        c.is_served |= rec->members[i].state == PG_SERVING && is_connected(t);
        if (t == NULL || rec->members[i].state == PG_OFFLINE || !t->reported || t->bytes_total == 0)
            continue;
        if (datanodes_is_nearly_full(t))
            c.use = PG_FULL;
        c.weight = MIN(c.weight, t->bytes_free / (t->bytes_total / WEIGHT_ALL_FREE + 1));
    }
    c.weight = MAX(c.weight, UINT64_C(1));
    return c;
}

/* Keeps those that may be taken, at the front of list; *count becomes how many. */
static int sift(struct candidate *list, size_t *count)
{
    size_t full = 0, kept = 0, all = *count;
    bool any_served = false;
    uint64_t best = 0;

    for (size_t i = 0; i < all; i++) {
        full += list[i].use == PG_FULL;
        any_served |= list[i].use == PG_USABLE && list[i].is_served;
    }
    for (size_t i = 0; i < all; i++)
        if (list[i].use == PG_USABLE && (list[i].is_served || !any_served)) {
            best = MAX(best, list[i].weight);
            list[kept++] = list[i];
        }
    if (kept == 0)
        return all > 0 && full == all ? -ENOSPC : -EAGAIN;
    *count = 0;
    for (size_t i = 0; i < kept; i++)
        if (list[i].weight * 4 >= best * 3)
            list[(*count)++] = list[i];
    return 0;
}

int datanodes_choose_pgs(const struct datanodes *d, uint64_t *next, uint32_t copies, uint32_t count,
                         uint32_t *out)
{
    struct candidate *list = mem_zalloc(HASH_COUNT(d->pgs) + 1, sizeof(*list));
    struct pg_state *p, *p_next;
    size_t n = 0;
    int r;

    HASH_ITER (hh, d->pgs, p, p_next) {
        if (p->rec.copies == copies)
            list[n++] = judge(d, &p->rec);
    }
    r = sift(list, &n);
    for (uint32_t i = 0; r == 0 && i < count; i++)
        out[i] = list[(*next)++ % n].pg;
    free(list);
    return r;
}

bool datanodes_have_pgs(const struct datanodes *d, uint32_t copies)
{
    struct pg_state *p, *next;

    HASH_ITER (hh, d->pgs, p, next) {
        if (p->rec.copies == copies)
            return true;
    }
    return false;
}

void datanodes_keep_bad(struct datanodes *d, Dfs__BadChunkReport *m)
{
    size_t old = 0;

    while (old < d->bad_count &&
           (d->bad[old]->target != m->target || d->bad[old]->chunk_id != m->chunk_id))
        old++;
    if (old == BAD_REPORTS_MAX)
        old = 0;
    if (old < d->bad_count) {
        dfs__bad_chunk_report__free_unpacked(d->bad[old], NULL);
        d->bad_count--;
        memmove(d->bad + old, d->bad + old + 1, (d->bad_count - old) * sizeof(d->bad[0]));
    }
    d->bad[d->bad_count++] = m;
}

size_t datanodes_bad(const struct datanodes *d, const Dfs__BadChunkReport **out, size_t max)
{
    size_t n = MIN(d->bad_count, max);

    for (size_t i = 0; i < n; i++)
        out[i] = d->bad[d->bad_count - 1 - i];
    return n;
}

uint32_t datanodes_host_count(const struct datanodes *d)
{
    const struct target_state *t, *next, *other, *other_next;
    uint32_t hosts = 0;

    HASH_ITER (hh, d->targets, t, next) {
        bool is_first = t->rec.state == DFS__TARGET_STATE__TARGET_ACTIVE;

        HASH_ITER (hh, d->targets, other, other_next) {
            if (other == t || !is_first)
                break;
            is_first = other->rec.state != DFS__TARGET_STATE__TARGET_ACTIVE ||
                       strcmp(other->rec.host, t->rec.host) != 0;
        }
        hosts += is_first;
    }
    return hosts;
}

struct host_space {
    const char *host;
    uint64_t total, free;
};

/* The largest x for which hosts that give at most x each give copies * x together. */
static uint64_t fits(const uint64_t *bytes, size_t count, uint32_t copies)
{
    uint64_t low = 0, high = 0;

    for (size_t i = 0; i < count; i++)
        high += bytes[i] / copies;
    high++; /* Too much by this one at the least: the divisions round down. */
    high += copies;
    while (high - low > 1) {
        uint64_t x = low + (high - low) / 2, sum = 0;

        for (size_t i = 0; i < count; i++)
            sum += MIN(bytes[i], x);
        if (sum / copies >= x)
            low = x;
        else
            high = x;
    }
    return low;
}

void datanodes_space(const struct datanodes *d, uint32_t copies, uint64_t *ret_total,
                     uint64_t *ret_free)
{
    struct host_space *hosts = mem_zalloc(HASH_COUNT(d->targets) + 1, sizeof(*hosts));
    uint64_t *bytes;
    struct target_state *t, *next;
    size_t count = 0;

    HASH_ITER (hh, d->targets, t, next) {
        size_t i = 0;

        if (t->rec.state != DFS__TARGET_STATE__TARGET_ACTIVE || t->failed || !t->reported)
            continue;
        while (i < count && strcmp(hosts[i].host, t->rec.host) != 0)
            i++;
        count += i == count;
        hosts[i].host = t->rec.host;
        hosts[i].total += t->bytes_total;
        hosts[i].free += datanodes_is_nearly_full(t) ? 0 : t->bytes_free;
    }
    copies = MAX(MIN(copies, (uint32_t)count), 1U);
    bytes = mem_zalloc(count + 1, sizeof(*bytes));
    for (size_t i = 0; i < count; i++)
        bytes[i] = hosts[i].total;
    *ret_total = fits(bytes, count, copies);
    for (size_t i = 0; i < count; i++)
        bytes[i] = hosts[i].free;
    *ret_free = fits(bytes, count, copies);
    free(bytes);
    free(hosts);
}

void datanodes_take_links(const struct datanodes *d, struct pg_mgr *mgr, const struct datanode *n,
                          const Dfs__HeartbeatRequest *m)
{
    for (size_t i = 0; i < m->n_links; i++) {
        const Dfs__LinkReport *l = m->links[i];
        const struct target_state *by = datanodes_target(d, l->by_target);

        if (by != NULL && by->node == n)
            pg_mgr_link_latency(mgr, l->by_target, l->target, l->p99_us * 1000, n->heard_ns);
    }
}

void datanodes_tell_room(const struct datanodes *d, struct pg_mgr *mgr, int64_t wall_ns)
{
    const struct target_state *t, *next;

    HASH_ITER (hh, d->targets, t, next) {
        pg_mgr_set_full(mgr, t->target, datanodes_is_nearly_full(t));
        pg_mgr_set_awaited(mgr, t->target, t->rec.maintenance_until_ns > wall_ns);
    }
}

void datanodes_tell_slow(struct datanodes *d, const struct pg_mgr *mgr)
{
    struct target_state *t, *next;

    HASH_ITER (hh, d->targets, t, next) {
        struct pg_slowness slow;

        pg_mgr_slowness(mgr, t->target, &slow);
        if (slow.is_out == t->told_slow)
            continue;
        t->told_slow = slow.is_out;
        if (slow.is_out)
            log_warn("a target is too slow and leaves its placement groups",
                     "target=%" PRIu32 " node=%s p99_ms=%" PRIu64 " peers_ms=%" PRIu64
                     " times=%u back_in_s=%" PRIu64,
                     t->target, t->rec.node, slow.p99_ns / CLOCK_NS_PER_MS,
                     slow.peers_ns / CLOCK_NS_PER_MS, slow.times, slow.left_ns / CLOCK_NS_PER_S);
        else
            log_info("a target that was too slow may join again", "target=%" PRIu32 " node=%s",
                     t->target, t->rec.node);
    }
}
