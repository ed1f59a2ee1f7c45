/*
 * What is here of each placement group, for a leader that was made out of a backup: it knows the
 * groups as they were, and starts each from the member that has the most (namenode/pg_survey.h).
 */
#include <stdlib.h>

#include "common/mem.h"
#include "datanode/dn.h"

enum { AT_ONCE = 1024 };

static bool is_younger(const struct chunk_ver *a, uint64_t epoch, uint64_t seq)
{
    return a->epoch > epoch || (a->epoch == epoch && a->seq > seq);
}

static void look_at(struct target *t, struct pg_id pg, struct chunk_state *states,
                    Dfs__PgHolding *h)
{
    struct chunk_id after = {0};
    size_t count;

    do {
        count = store_list(t, pg, after, AT_ONCE, states);
        for (size_t i = 0; i < count; i++) {
            const struct chunk_state *s = &states[i];

            after = s->id;
            if (is_younger(&s->ver, h->ver_epoch, h->ver_seq)) {
                h->ver_epoch = s->ver.epoch;
                h->ver_seq = s->ver.seq;
            }
            h->chunk_count += (s->flags & CHUNK_DELETED) == 0;
            h->incomplete_count += (s->flags & CHUNK_INCOMPLETE) != 0;
        }
    } while (count == AT_ONCE);
}

static void add(struct dn *dn, struct target *t, struct pg_id pg, struct chunk_state *states,
                Dfs__HeartbeatRequest *m)
{
    const struct dn_pg *known = pg_find(dn, pg.v, target_id(t).v);
    Dfs__PgHolding *h = MEM_NEW(Dfs__PgHolding);

    dfs__pg_holding__init(h);
    h->pg = pg.v;
    h->target = target_id(t).v;
    h->served_epoch = known != NULL ? known->served_epoch : 0;
    look_at(t, pg, states, h);
    m->holdings = mem_realloc(m->holdings, m->n_holdings + 1, sizeof(*m->holdings));
    m->holdings[m->n_holdings++] = h;
}

void holdings_make(struct dn *dn, Dfs__HeartbeatRequest *m)
{
    struct chunk_state *states = mem_zalloc(AT_ONCE, sizeof(*states));
    struct pg_id pgs[64];

    for (unsigned i = 0; i < store_target_count(dn->store); i++) {
        struct target *t = store_target_at(dn->store, i);
        struct pg_id after = {0};
        size_t count;

        if (target_is_failed(t))
            continue;
        do {
            count = store_list_pgs(t, after, ARRAY_COUNT(pgs), pgs);
            for (size_t k = 0; k < count; k++) {
                add(dn, t, pgs[k], states, m);
                after = pgs[k];
            }
        } while (count == ARRAY_COUNT(pgs));
    }
    m->surveyed = true;
    free(states);
}

void holdings_done(Dfs__HeartbeatRequest *m)
{
    for (size_t i = 0; i < m->n_holdings; i++)
        free(m->holdings[i]);
    free(m->holdings);
}
