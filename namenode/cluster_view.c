/* See cluster_view.h. */
#include "namenode/cluster_view.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"
#include "namenode/datanodes.h"
#include "namenode/fsm.h"
#include "namenode/pg_mgr.h"

struct pg_slot {
    Dfs__Pg msg;
    Dfs__PgMember members[REC_PG_MEMBERS_MAX];
    Dfs__PgMember *member_ptrs[REC_PG_MEMBERS_MAX];
};

struct view_memory {
    struct pg_slot *pgs;
    Dfs__TargetInfo *targets;
    Dfs__TargetSlow *slow;
};

static void add_pgs(const struct datanodes *d, enum cluster_view_pgs which, struct cluster_view *v,
                    struct view_memory *mem)
{
    size_t max = HASH_COUNT(d->pgs);
    struct pg_state *p, *next;

    mem->pgs = mem_zalloc(max + 1, sizeof(*mem->pgs));
    v->pgs = mem_zalloc(max + 1, sizeof(Dfs__Pg *));
    HASH_ITER (hh, d->pgs, p, next) {
        struct pg_slot *slot = &mem->pgs[v->pg_count];

        if (which == CLUSTER_VIEW_DIRTY && !p->dirty)
            continue;
        pg_rec_to_msg(&p->rec, &slot->msg, slot->members, slot->member_ptrs);
        v->pgs[v->pg_count++] = &slot->msg;
    }
}

/* Who is kept out for its slowness. */
static void add_slow(const struct pg_mgr *mgr, Dfs__TargetInfo *m, Dfs__TargetSlow *slow)
{
    struct pg_slowness s;

    pg_mgr_slowness(mgr, m->target, &s);
    if (!s.is_out)
        return;
    dfs__target_slow__init(slow);
    slow->times = s.times;
    slow->p99_us = s.p99_ns / 1000;
    slow->peers_us = s.peers_ns / 1000;
    slow->left_s = s.left_ns / CLOCK_NS_PER_S;
    m->slow = slow;
}

static void add_targets(const struct datanodes *d, const struct pg_mgr *mgr, struct cluster_view *v,
                        struct view_memory *mem)
{
    size_t max = HASH_COUNT(d->targets);
    struct target_state *t, *next;

    mem->targets = mem_zalloc(max + 1, sizeof(*mem->targets));
    mem->slow = mem_zalloc(max + 1, sizeof(*mem->slow));
    v->targets = mem_zalloc(max + 1, sizeof(Dfs__TargetInfo *));
    HASH_ITER (hh, d->targets, t, next) {
        Dfs__TargetInfo *m = &mem->targets[v->target_count];

        dfs__target_info__init(m);
        m->target = t->target;
        m->uuid = (ProtobufCBinaryData){.data = t->rec.uuid, .len = sizeof(t->rec.uuid)};
        m->node = t->rec.node;
        m->host = t->rec.host;
        m->addr = t->rec.addr;
        m->rack = t->rec.rack;
        m->state = t->failed ? DFS__TARGET_STATE__TARGET_FAILED : (Dfs__TargetState)t->rec.state;
        m->incarnation = t->rec.incarnation;
        /* Not told to this leader yet: not full, but unknown. */
        m->bytes_total = t->reported ? t->bytes_total : 0;
        m->bytes_free = t->reported ? t->bytes_free : 0;
        m->chunk_count = t->chunk_count;
        if (t->reported && t->scrub.began_ns != 0)
            m->scrub = &t->scrub;
        m->maintenance_until_ns = t->rec.maintenance_until_ns;
        m->p50_us = t->p50_us;
        m->p99_us = t->p99_us;
        add_slow(mgr, m, &mem->slow[v->target_count]);
        m->alive = pg_mgr_target_alive(mgr, t->target);
        v->targets[v->target_count++] = m;
    }
}

static int add_fence(void *ctx, const struct fence_rec *rec)
{
    struct cluster_view *v = ctx;

    v->fenced = mem_realloc(v->fenced, v->fenced_count + 1, sizeof(*v->fenced));
    v->fenced[v->fenced_count++] = rec->session;
    return 0;
}

void cluster_view_make(const struct datanodes *d, const struct pg_mgr *mgr, struct fsm *fsm,
                       enum cluster_view_pgs pgs, struct cluster_view *ret_view)
{
    struct view_memory *mem = MEM_NEW(struct view_memory);
    struct cluster_view v = {.memory = mem};
    struct restored_rec restored;

    if (pgs != CLUSTER_VIEW_NO_PGS)
        add_pgs(d, pgs, &v, mem);
    add_targets(d, mgr, &v, mem);
    v.fence_version = fsm_state(fsm)->fence_version;
    if (fsm_restored(fsm, &restored) == 0)
        v.session_floor = restored.session_floor;
    v.lowest_session = fsm_lowest_session(fsm);
    (void)fsm_each_fence(fsm, add_fence, &v);
    *ret_view = v;
}

void cluster_view_done(struct cluster_view *v)
{
    struct view_memory *mem = v->memory;

    free(mem->pgs);
    free(mem->targets);
    free(mem->slow);
    free(mem);
    free(v->pgs);
    free(v->targets);
    free(v->fenced);
    *v = (struct cluster_view){0};
}
