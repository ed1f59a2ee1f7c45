/*
 * Who is slow: how long operations of clients take on each target of ours, how long this process stands
 * still, and how long a successor takes to acknowledge. The leader is told, and compares
 * (namenode/pg_slow.c).
 *
 * An acknowledgement says something of one target only where that is the last of its chain: others wait
 * for those behind them. One operation of each placement group is timed at a time.
 */
#include <stdlib.h>

#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "datanode/dn.h"

/* Of one successor, all placement groups together. */
struct dn_link {
    uint32_t target;
    struct latency_window acks;
    uint64_t p50_ns, p99_ns; /* as told in this heartbeat */
    UT_hash_handle hh;
};

enum { P50 = 500, P99 = 990 };

static uint64_t now_ns(const struct dn *dn)
{
    return loop_now_ns(dn->loop);
}

bool lateness_counts(const struct chain_op *op)
{
    return op->kind == CHAIN_WRITE || op->kind == CHAIN_TRUNC || op->kind == CHAIN_SYNC;
}

void lateness_client_took(struct dn_pg *pg, uint64_t since_ns)
{
    uint64_t now = now_ns(pg->dn);

    latency_window_note(&pg->disk->own, now - since_ns, now);
    copying_client_took(pg->disk->copying, now - since_ns);
}

void lateness_tick(struct dn *dn)
{
    uint64_t now = now_ns(dn), due_ns = dn->ticked_ns + DN_TICK_MS * CLOCK_NS_PER_MS;

    if (dn->ticked_ns != 0)
        latency_window_note(&dn->stalls, now - MIN(due_ns, now), now);
    dn->ticked_ns = now;
}

/* ---- acknowledgements ---- */

static bool is_last(const struct dn_pg *pg, struct target_id target)
{
    const struct chain_config *c = chain_config_of(pg->chain);
    struct target_id last = {0};

    for (uint32_t i = 0; i < c->member_count; i++)
        if (c->members[i].state != MEMBER_OFFLINE)
            last = c->members[i].target;
    return ID_EQUAL(last, target);
}

void lateness_sent(struct dn_pg *pg, const struct chain_action *a)
{
    if (pg->timed_seq != 0 || !lateness_counts(a->op) || !is_last(pg, a->to))
        return;
    pg->timed_seq = a->seq;
    pg->timed_target = a->to;
    pg->timed_ns = now_ns(pg->dn);
}

static struct dn_link *link_of(struct dn_disk *disk, uint32_t target)
{
    struct dn_link *l = NULL;

    HASH_FIND(hh, disk->links, &target, sizeof(target), l);
    if (l != NULL)
        return l;
    l = MEM_NEW(struct dn_link);
    l->target = target;
    HASH_ADD(hh, disk->links, target, sizeof(l->target), l);
    return l;
}

void lateness_acked(struct dn_pg *pg, uint64_t seq)
{
    uint64_t now = now_ns(pg->dn);

    if (pg->timed_seq == 0 || seq != pg->timed_seq)
        return;
    latency_window_note(&link_of(pg->disk, pg->timed_target.v)->acks, now - pg->timed_ns, now);
    pg->timed_seq = 0;
}

/* ---- for the leader ---- */

void lateness_own(struct dn_disk *disk, struct dn *dn, uint64_t *ret_p50_ns, uint64_t *ret_p99_ns)
{
    uint64_t now = now_ns(dn), own = latency_window_quantile_ns(&disk->own, P99, now);
    uint64_t stalls = latency_window_quantile_ns(&dn->stalls, P99, now);

    *ret_p50_ns = latency_window_quantile_ns(&disk->own, P50, now);
    *ret_p99_ns = MAX(own, stalls);
}

/* What is not acknowledged yet has taken so long already. */
static void count_unacknowledged(struct dn *dn, uint64_t now)
{
    struct dn_pg *pg, *tmp;
    struct dn_link *l;

    HASH_ITER (hh, dn->pgs, pg, tmp) {
        if (pg->timed_seq == 0)
            continue;
        if (!ID_EQUAL(chain_place_of(pg->chain)->succ.target, pg->timed_target)) {
            pg->timed_seq = 0; /* It has left the chain. */
            continue;
        }
        l = link_of(pg->disk, pg->timed_target.v);
        l->p99_ns = MAX(l->p99_ns, now - pg->timed_ns);
    }
}

void lateness_links(struct dn *dn, Dfs__HeartbeatRequest *m)
{
    uint64_t now = now_ns(dn);
    Dfs__LinkReport *items;
    struct dn_link *l, *tmp;
    size_t count = 0;

    for (unsigned i = 0; i < dn->conf->target_count; i++) {
        HASH_ITER (hh, dn->disks[i].links, l, tmp) {
            l->p50_ns = latency_window_quantile_ns(&l->acks, P50, now);
            l->p99_ns = latency_window_quantile_ns(&l->acks, P99, now);
        }
    }
    count_unacknowledged(dn, now);
    for (unsigned i = 0; i < dn->conf->target_count; i++)
        count += HASH_COUNT(dn->disks[i].links);
    items = mem_zalloc(count + 1, sizeof(*items));
    m->links = mem_zalloc(count + 1, sizeof(*m->links));
    for (unsigned i = 0; i < dn->conf->target_count; i++) {
        HASH_ITER (hh, dn->disks[i].links, l, tmp) {
            Dfs__LinkReport *out = &items[m->n_links];

            if (l->p99_ns == 0)
                continue;
            dfs__link_report__init(out);
            out->by_target = target_id(dn->disks[i].target).v;
            out->target = l->target;
            out->p50_us = l->p50_ns / 1000;
            out->p99_us = l->p99_ns / 1000;
            m->links[m->n_links++] = out;
        }
    }
    if (m->n_links == 0)
        free(items);
}

void lateness_links_done(Dfs__HeartbeatRequest *m)
{
    if (m->n_links > 0)
        free(m->links[0]);
    free(m->links);
}

void lateness_free(struct dn_disk *disk)
{
    struct dn_link *l, *tmp;

    HASH_ITER (hh, disk->links, l, tmp) {
        HASH_DEL(disk->links, l);
        free(l);
    }
}
