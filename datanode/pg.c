/* One chain of ours: events in, and each action to whoever does it. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "datanode/dn.h"
#include "datanode/wire.h"

struct dn_post {
    struct dn_pg *pg;
    struct chain_event ev;
    struct dn_post *prev, *next;
};

/* ---- waiters ---- */

struct dn_waiter *waiter_new(struct dn *dn, enum dn_waiter_kind kind, struct conn *c,
                             const struct rpc_frame *f, struct dn_pg *pg)
{
    struct dn_waiter *w = MEM_NEW(struct dn_waiter);

    w->kind = kind;
    w->pg = pg;
    if (c != NULL) {
        w->conn = conn_ref(c);
        w->type = f->header.type;
        w->rpc_id = f->header.rpc_id;
    }
    w->id = ++dn->next_waiter;
    HASH_ADD(hh, dn->waiters, id, sizeof(w->id), w);
    return w;
}

void waiter_free(struct dn *dn, struct dn_waiter *w)
{
    HASH_DEL(dn->waiters, w);
    if (w->conn != NULL)
        conn_unref(w->conn);
    chain_op_unref(w->op);
    free(w);
}

struct dn_waiter *waiter_find(struct dn *dn, uint64_t id)
{
    struct dn_waiter *w = NULL;

    HASH_FIND(hh, dn->waiters, &id, sizeof(id), w);
    return w;
}

/* ---- the table ---- */

struct dn_pg *pg_find(struct dn *dn, uint32_t pg, uint32_t target)
{
    struct dn_pg *p = NULL, key = {.key = {pg, target}};

    HASH_FIND(hh, dn->pgs, &key.key, sizeof(key.key), p);
    return p;
}

struct dn_pg *pg_get(struct dn *dn, uint32_t pg, struct target *t)
{
    struct dn_pg *p = pg_find(dn, pg, target_id(t).v);
    struct chain_options o = {.pg = {pg},
                              .self = target_id(t),
                              .incarnation = dn->incarnation,
                              .now_ms = loop_now_ns(dn->loop) / CLOCK_NS_PER_MS};

    if (p != NULL)
        return p;
    p = MEM_NEW(struct dn_pg);
    p->key.pg = pg;
    p->key.target = target_id(t).v;
    p->dn = dn;
    p->target = t;
    p->disk = dn_disk(dn, t);
    p->chain = chain_new(&o);
    p->told_free = UINT64_MAX;
    chain_actions_init(&p->actions);
    HASH_ADD(hh, dn->pgs, key, sizeof(p->key), p);
    if (target_is_failed(t))
        pg_step(p, &(struct chain_event){.kind = CHAIN_EV_FAILED});
    return p;
}

struct dn_pg *pg_local(struct dn *dn, uint32_t pg)
{
    struct dn_pg *any = NULL;

    for (unsigned i = 0; dn->is_open && i < store_target_count(dn->store); i++) {
        struct dn_pg *p = pg_find(dn, pg, target_id(store_target_at(dn->store, i)).v);

        if (p == NULL)
            continue;
        if (chain_place_of(p->chain)->role != CHAIN_OUT)
            return p;
        any = p;
    }
    return any;
}

uint64_t pg_epoch(const struct dn_pg *pg)
{
    return chain_config_of(pg->chain)->epoch;
}

bool pg_is_last_copy(const struct dn_pg *pg)
{
    const struct chain_config *c = chain_config_of(pg->chain);
    uint32_t serving = 0;

    for (uint32_t i = 0; i < c->member_count; i++)
        serving += c->members[i].state == MEMBER_SERVING;
    return serving <= 1;
}

/* ---- answers ---- */

enum { ERROR_TARGETS_MAX = PG_MEMBERS_MAX };

void dn_reply_error(struct dn *dn, struct conn *c, uint16_t type, uint64_t rpc_id, struct dn_pg *pg,
                    int code, const char *text)
{
    Dfs__Error e;
    struct wire_pg config;
    Dfs__TargetInfo infos[ERROR_TARGETS_MAX], *pointers[ERROR_TARGETS_MAX];
    char words[96];

    dfs__error__init(&e);
    (void)strncpy(words, text != NULL ? text : dfs_strerror(code), sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    e.code = code;
    e.text = words;
    if (pg != NULL && pg_epoch(pg) != 0) {
        const struct chain_config *cfg = chain_config_of(pg->chain);

        wire_config_to(cfg, &config);
        e.pg = &config.pg;
        e.targets = pointers;
        for (uint32_t i = 0; i < cfg->member_count; i++) {
            const struct dn_place *place = dn_place_find(dn, cfg->members[i].target.v);
            Dfs__TargetInfo *info = &infos[e.n_targets];

            if (place == NULL)
                continue;
            dfs__target_info__init(info);
            info->target = place->target.v;
            info->addr = (char *)(uintptr_t)place->addr;
            info->node = (char *)(uintptr_t)place->node;
            info->host = (char *)(uintptr_t)place->host;
            info->incarnation = cfg->members[i].incarnation;
            info->alive = cfg->members[i].state != MEMBER_OFFLINE;
            info->state = DFS__TARGET_STATE__TARGET_ACTIVE;
            pointers[e.n_targets++] = info;
        }
    }
    conn_reply_error_msg(c, type, rpc_id, &e.base);
}

static void answer_op(struct dn_pg *pg, const struct chain_action *a)
{
    struct dn_waiter *w = waiter_find(pg->dn, a->waiter);

    if (w->kind == WAITER_CALL) {
        w->called(w->ctx, a->status);
        waiter_free(pg->dn, w);
        return;
    }
    write_answer(pg->dn, w, a);
}

/* ---- steps ---- */

static void laundered(void *ctx, int status, uint32_t blocks)
{
    (void)ctx;
    if (status < 0)
        log_error("suspect chunks could not be checked", "why=%s", dfs_strerror(status));
    else if (blocks > 0)
        log_warn("torn blocks got a new CRC at a cold start", "blocks=%" PRIu32, blocks);
}

/*
 * Who serves holds what counts. A joiner has compared all that was suspect; so if something still
 * is, we are the source after a cold start, and a torn block that nobody was promised must not stay
 * unreadable on all members.
 */
static void begin_serving(struct dn_pg *pg, uint64_t epoch)
{
    log_info("serving", "pg=%" PRIu32 " target=%" PRIu32 " epoch=%" PRIu64, pg->key.pg,
             pg->key.target, epoch);
    /* Operations are counted from 1. */
    store_launder(pg->target, (struct pg_id){pg->key.pg}, (struct chunk_ver){pg_epoch(pg), 0},
                  laundered, NULL);
}

static void do_action(struct dn_pg *pg, const struct chain_action *a)
{
    switch (a->kind) {
    case CHAIN_ACT_REPLY:
        answer_op(pg, a);
        return;
    case CHAIN_ACT_HELD:
        answer_op(pg, a);
        return;
    case CHAIN_ACT_READ:
        read_now(pg->dn, waiter_find(pg->dn, a->waiter), a);
        return;
    case CHAIN_ACT_APPLY:
        write_apply(pg, a);
        return;
    case CHAIN_ACT_HELLO:
        forward_hello(pg, a);
        return;
    case CHAIN_ACT_HELLO_ACK:
    case CHAIN_ACT_HELLO_REFUSE:
        forward_hello_answer(pg, a);
        return;
    case CHAIN_ACT_SEND_OP:
        forward_op(pg, a);
        return;
    case CHAIN_ACT_SEND_ACK:
        forward_ack(pg, a);
        return;
    case CHAIN_ACT_ACCUSE:
        nn_accuse(pg->dn, pg, a->to, a->why);
        return;
    case CHAIN_ACT_ASK_CONFIG:
        nn_hurry(pg->dn);
        return;
    case CHAIN_ACT_SYNC_BEGIN:
        joiner_begin(pg, a);
        return;
    case CHAIN_ACT_SYNC_COPY:
        joiner_start(pg, a);
        return;
    case CHAIN_ACT_SYNC_STOP:
        joiner_stop(pg);
        return;
    case CHAIN_ACT_SERVING:
        begin_serving(pg, a->epoch);
        return;
    case CHAIN_ACT_DIVERGED:
        log_error("members of a placement group hold different bytes",
                  "pg=%" PRIu32 " target=%" PRIu32 " successor=%" PRIu32 " seq=%" PRIu64,
                  pg->key.pg, pg->key.target, a->to.v, a->seq);
        return;
    }
}

void pg_step(struct dn_pg *pg, const struct chain_event *ev)
{
    assert(!pg->is_stepping);
    pg->is_stepping = true;
    chain_step(pg->chain, ev, &pg->actions);
    for (size_t i = 0; i < pg->actions.count; i++)
        do_action(pg, &pg->actions.items[i]);
    chain_actions_clear(&pg->actions);
    if (chain_place_of(pg->chain)->role == CHAIN_SERVING)
        pg->served_epoch = pg_epoch(pg);
    pg->is_stepping = false;
}

static void run_posts(void *ctx)
{
    struct dn *dn = ctx;
    struct dn_post *posts = STEAL(dn->posts), *p;

    while (posts != NULL) {
        p = posts;
        DL_DELETE(posts, p);
        pg_step(p->pg, &p->ev);
        free(p);
    }
}

void pg_post(struct dn_pg *pg, const struct chain_event *ev)
{
    struct dn_post *p = MEM_NEW(struct dn_post);

    p->pg = pg;
    p->ev = *ev;
    if (pg->dn->posts == NULL)
        loop_post(pg->dn->loop, run_posts, pg->dn);
    DL_APPEND(pg->dn->posts, p);
}

/* ---- for all ---- */

void pg_learn(struct dn *dn, const struct chain_config *c, bool from_namenode)
{
    struct chain_event ev = {.kind = CHAIN_EV_CONFIG, .config = c, .from_namenode = from_namenode};

    if (!dn->is_open)
        return;
    if (from_namenode) {
        ev.fences = dn->fences;
        ev.count = dn->fence_count;
        ev.session_floor = MAX(dn->session_floor, dn->lowest_session);
    }
    for (uint32_t i = 0; i < c->member_count; i++) {
        struct target *t = store_target_find(dn->store, c->members[i].target);

        if (t != NULL && c->members[i].state != MEMBER_OFFLINE)
            (void)pg_get(dn, c->pg.v, t);
    }
    for (unsigned i = 0; i < store_target_count(dn->store); i++) {
        struct target *t = store_target_at(dn->store, i);
        struct dn_pg *p = pg_find(dn, c->pg.v, target_id(t).v);
        struct chunk_state any;

        if (p == NULL && from_namenode && store_pick(t, c->pg, 1, &any) > 0)
            p = pg_get(dn, c->pg.v, t); /* Also who is no member any more: see strays.c. */
        if (p != NULL)
            pg_step(p, &ev);
    }
}

void pg_fences_changed(struct dn *dn)
{
    struct dn_pg *p, *tmp;

    HASH_ITER (hh, dn->pgs, p, tmp) {
        struct chain_config own = *chain_config_of(p->chain);

        if (own.epoch == 0)
            continue;
        pg_step(p,
                &(struct chain_event){.kind = CHAIN_EV_CONFIG,
                                      .config = &own,
                                      .from_namenode = true,
                                      .session_floor = MAX(dn->session_floor, dn->lowest_session),
                                      .fences = dn->fences,
                                      .count = dn->fence_count});
    }
}

void pg_tick_all(struct dn *dn)
{
    uint64_t now_ms = loop_now_ns(dn->loop) / CLOCK_NS_PER_MS;
    int64_t serving = 0, syncing = 0;
    struct dn_pg *p, *tmp;

    HASH_ITER (hh, dn->pgs, p, tmp) {
        uint64_t bytes_free = target_free_bytes(p->target);

        if (bytes_free != p->told_free) {
            p->told_free = bytes_free;
            pg_step(p, &(struct chain_event){.kind = CHAIN_EV_SPACE, .bytes_free = bytes_free});
        }
        pg_step(p, &(struct chain_event){.kind = CHAIN_EV_TICK, .now_ms = now_ms});
        repair_tick(p, now_ms);
        serving += chain_place_of(p->chain)->role == CHAIN_SERVING;
        syncing += chain_place_of(p->chain)->role == CHAIN_SYNCING;
    }
    metric_set(dn->m.pgs_serving, serving);
    metric_set(dn->m.pgs_syncing, syncing);
}

void pg_target_failed(struct dn *dn, struct target *t)
{
    struct dn_pg *p, *tmp;

    HASH_ITER (hh, dn->pgs, p, tmp) {
        if (p->target == t)
            pg_step(p, &(struct chain_event){.kind = CHAIN_EV_FAILED});
    }
}

void pg_free_all(struct dn *dn)
{
    struct dn_pg *p, *tmp;

    loop_cancel(dn->loop, run_posts, dn);
    while (dn->posts != NULL) {
        struct dn_post *post = dn->posts;

        DL_DELETE(dn->posts, post);
        free(post);
    }
    HASH_ITER (hh, dn->pgs, p, tmp) {
        HASH_DEL(dn->pgs, p);
        joiner_stop(p);
        if (p->pred_conn != NULL)
            conn_unref(p->pred_conn);
        chain_actions_done(&p->actions);
        chain_free(p->chain);
        free(p->marked);
        free(p);
    }
    while (dn->waiters != NULL)
        waiter_free(dn, dn->waiters);
}
