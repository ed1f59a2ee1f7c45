#include "libdfs/pgmap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/loop.h"
#include "common/mem.h"
#include "libdfs/nn.h"
#include "rpc/frame.h"

struct pg_node {
    uint32_t key;
    UT_hash_handle hh;
    struct pg_info info;
};

struct target_node {
    uint32_t key;
    UT_hash_handle hh;
    struct target_info info;
};

struct map_waiter {
    pgmap_fn fn;
    void *ctx;
    struct map_waiter *next;
};

struct pgmap {
    struct loop *loop;
    struct nn *nn;
    void (*changed)(void *ctx);
    void *changed_ctx;
    struct pg_node *pgs;
    struct target_node *targets;
    uint64_t version;
    bool data_tls;

    /* A request is under way for `waiting`; `next` wants one that is sent after it. */
    bool flying;
    bool again;
    struct map_waiter *waiting, *next;

    /* nn may answer after we are gone: then this is the only thing its callback touches. */
    struct map_fetch *fetch;
};

struct map_fetch {
    struct pgmap *map; /* NULL: nobody wants the answer */
};

struct pgmap *pgmap_new(struct loop *loop, struct nn *nn, void (*changed)(void *ctx), void *ctx)
{
    struct pgmap *m = MEM_NEW(struct pgmap);

    m->loop = loop;
    m->nn = nn;
    m->changed = changed;
    m->changed_ctx = ctx;
    return m;
}

static void run_changed(void *ctx)
{
    struct pgmap *m = ctx;

    if (m->changed != NULL)
        m->changed(m->changed_ctx);
}

static void drop_waiters(struct map_waiter **list)
{
    while (*list != NULL) {
        struct map_waiter *w = *list;

        *list = w->next;
        free(w);
    }
}

void pgmap_free(struct pgmap *m)
{
    struct pg_node *p, *ptmp;
    struct target_node *t, *ttmp;

    if (m == NULL)
        return;
    loop_cancel(m->loop, run_changed, m);
    if (m->fetch != NULL)
        m->fetch->map = NULL;
    drop_waiters(&m->waiting);
    drop_waiters(&m->next);
    HASH_ITER (hh, m->pgs, p, ptmp) {
        HASH_DEL(m->pgs, p);
        free(p);
    }
    HASH_ITER (hh, m->targets, t, ttmp) {
        HASH_DEL(m->targets, t);
        free(t);
    }
    free(m);
}

const struct pg_info *pgmap_find_pg(const struct pgmap *m, struct pg_id pg)
{
    struct pg_node *p = NULL;

    HASH_FIND(hh, m->pgs, &pg.v, sizeof(pg.v), p);
    return p != NULL ? &p->info : NULL;
}

const struct target_info *pgmap_find_target(const struct pgmap *m, struct target_id target)
{
    struct target_node *t = NULL;

    HASH_FIND(hh, m->targets, &target.v, sizeof(target.v), t);
    return t != NULL ? &t->info : NULL;
}

bool pgmap_data_tls(const struct pgmap *m)
{
    return m->data_tls;
}

uint64_t pgmap_version(const struct pgmap *m)
{
    return m->version;
}

/* True when it was news. */
static bool put_pg(struct pgmap *m, const Dfs__Pg *wire)
{
    struct pg_node *p = NULL;
    struct pg_info info = {.pg = {wire->pg}, .epoch = wire->epoch};

    HASH_FIND(hh, m->pgs, &wire->pg, sizeof(wire->pg), p);
    if (p != NULL && p->info.epoch >= wire->epoch)
        return false;
    for (size_t i = 0; i < wire->n_members && info.serving_count < PG_MEMBERS_MAX; i++) {
        if (wire->members[i]->state == DFS__MEMBER_STATE__MEMBER_SERVING)
            info.serving[info.serving_count++] = (struct target_id){wire->members[i]->target};
    }
    if (p == NULL) {
        p = MEM_NEW(struct pg_node);
        p->key = wire->pg;
        HASH_ADD(hh, m->pgs, key, sizeof(p->key), p);
    }
    p->info = info;
    return true;
}

static bool put_target(struct pgmap *m, const Dfs__TargetInfo *wire)
{
    struct target_node *t = NULL;
    struct target_info info = {.target = {wire->target}, .alive = wire->alive};

    (void)snprintf(info.addr, sizeof(info.addr), "%s", wire->addr != NULL ? wire->addr : "");
    (void)snprintf(info.host, sizeof(info.host), "%s", wire->host != NULL ? wire->host : "");
    HASH_FIND(hh, m->targets, &wire->target, sizeof(wire->target), t);
    if (t != NULL && t->info.alive == info.alive && strcmp(t->info.addr, info.addr) == 0 &&
        strcmp(t->info.host, info.host) == 0)
        return false;
    if (t == NULL) {
        t = MEM_NEW(struct target_node);
        t->key = wire->target;
        HASH_ADD(hh, m->targets, key, sizeof(t->key), t);
    }
    t->info = info;
    return true;
}

static void tell_change(struct pgmap *m)
{
    loop_cancel(m->loop, run_changed, m);
    loop_defer(m->loop, run_changed, m);
}

bool pgmap_adopt(struct pgmap *m, const Dfs__Pg *pg, Dfs__TargetInfo *const *targets,
                 size_t target_count)
{
    bool news = false;

    for (size_t i = 0; i < target_count; i++)
        news = put_target(m, targets[i]) || news;
    if (pg != NULL)
        news = put_pg(m, pg) || news;
    if (news)
        tell_change(m);
    return news;
}

static void take_map(struct pgmap *m, const Dfs__MapReply *reply)
{
    bool news = false;

    for (size_t i = 0; i < reply->n_targets; i++)
        news = put_target(m, reply->targets[i]) || news;
    for (size_t i = 0; i < reply->n_pgs; i++)
        news = put_pg(m, reply->pgs[i]) || news;
    m->data_tls = reply->data_tls;
    if (reply->version > m->version)
        m->version = reply->version;
    if (news)
        tell_change(m);
}

static void send_fetch(struct pgmap *m);

static void on_map(void *ctx, int status, const uint8_t *body, size_t len)
{
    struct map_fetch *fetch = ctx;
    struct pgmap *m = fetch->map;
    struct map_waiter *waiting;

    free(fetch);
    if (m == NULL)
        return;
    m->fetch = NULL;
    m->flying = false;
    if (status == 0) {
        Dfs__MapReply *reply = dfs__map_reply__unpack(NULL, len, body);

        if (reply == NULL)
            status = -EPROTO;
        else
            take_map(m, reply);
        dfs__map_reply__free_unpacked(reply, NULL);
    }

    waiting = m->waiting;
    m->waiting = NULL;
    if (m->again && status != -ECANCELED) {
        m->again = false;
        send_fetch(m);
    }
    while (waiting != NULL) {
        struct map_waiter *w = waiting;

        waiting = w->next;
        w->fn(w->ctx, status);
        free(w);
    }
}

static void send_fetch(struct pgmap *m)
{
    Dfs__MapRequest req = DFS__MAP_REQUEST__INIT;
    struct map_fetch *fetch = MEM_NEW(struct map_fetch);

    fetch->map = m;
    m->fetch = fetch;
    m->flying = true;
    m->waiting = m->next;
    m->next = NULL;
    req.known_version = m->version;
    nn_call_raw(m->nn, MSG_CLUSTER_MAP, &req.base, on_map, fetch);
}

void pgmap_refresh(struct pgmap *m, pgmap_fn fn, void *ctx)
{
    if (fn != NULL) {
        struct map_waiter *w = MEM_NEW(struct map_waiter);
        struct map_waiter **at = &m->next;

        w->fn = fn;
        w->ctx = ctx;
        while (*at != NULL)
            at = &(*at)->next;
        *at = w;
    }
    if (m->flying)
        m->again = m->again || fn != NULL;
    else
        send_fetch(m);
}

void pgmap_on_version(struct pgmap *m, uint64_t version)
{
    if (version <= m->version)
        return;
    if (m->flying)
        m->again = true; /* The answer under way may be older than this. */
    else
        send_fetch(m);
}

void pgmap_saw_epoch(struct pgmap *m, struct pg_id pg, uint64_t epoch)
{
    const struct pg_info *info = pgmap_find_pg(m, pg);

    if (info == NULL || info->epoch < epoch)
        pgmap_refresh(m, NULL, NULL);
}
