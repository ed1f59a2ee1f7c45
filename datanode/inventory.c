/*
 * What of a PG is here, with digests of the content: replicas are compared by asking each member.
 * With digests every block is read and compared with its CRC first; what is bad begins to be healed.
 */
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/mem.h"
#include "datanode/dn.h"
#include "rpc/msg.h"

enum { ITEMS_MAX = 4096, DIGESTS_MAX = 64 };

struct inventory {
    struct dn_waiter *waiter;
    size_t count, next, max;
    struct chunk_state *states;
    Dfs__InventoryItem *items;
};

static void reply(struct inventory *v)
{
    struct dn_waiter *w = v->waiter;
    Dfs__InventoryReply m = DFS__INVENTORY_REPLY__INIT;
    Dfs__InventoryItem **pointers = mem_zalloc(v->count + 1, sizeof(*pointers));

    for (size_t i = 0; i < v->count; i++)
        pointers[i] = &v->items[i];
    m.items = pointers;
    m.n_items = v->count;
    m.end = v->count < v->max;
    conn_reply(w->conn, w->type, w->rpc_id, &m.base, NULL);
    waiter_free(w->pg->dn, w);
    free(pointers);
    free(v->items);
    free(v->states);
    free(v);
}

static void digest_next(struct inventory *v);

static void digest_done(void *ctx, int status, const struct store_crcs *c)
{
    struct inventory *v = ctx;
    struct chunk_id chunk = v->states[v->next].id;
    Dfs__InventoryItem *item = &v->items[v->next++];

    if (status == 0) {
        item->digest = c->digest;
        item->bad = c->bad_count > 0;
        item->len = c->state.len;
        item->ver_epoch = c->state.ver.epoch;
        item->ver_seq = c->state.ver.seq;
        item->flags = c->state.flags & UINT16_MAX;
        if (item->bad)
            repair_start(v->waiter->pg, chunk);
    } else {
        item->bad = status != DFS_ENOCHUNK;
        if (status == DFS_EBADBLOCK) /* Its file is gone. */
            repair_start(v->waiter->pg, chunk);
    }
    digest_next(v);
}

static void digest_next(struct inventory *v)
{
    while (v->next < v->count && v->states[v->next].flags & CHUNK_DELETED)
        v->next++;
    if (v->next == v->count) {
        reply(v);
        return;
    }
    store_crcs(v->waiter->pg->target, v->states[v->next].id, true, digest_done, v);
}

void inventory_on_request(struct dn *dn, struct conn *c, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    Dfs__InventoryRequest *m;
    struct inventory *v;
    struct dn_pg *pg;

    msg_arena_init(&arena);
    m = msg_unpack(&arena, &dfs__inventory_request__descriptor, f->body, f->header.body_len);
    pg = m == NULL ? NULL : m->target != 0 ? pg_find(dn, m->pg, m->target) : pg_local(dn, m->pg);
    if (pg == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, m == NULL ? DFS_EPROTO : DFS_ENOTHEAD,
                         "no such placement group here");
        return;
    }
    v = MEM_NEW(struct inventory);
    v->max = MIN(MAX(m->limit, 1U), m->digests ? (uint32_t)DIGESTS_MAX : (uint32_t)ITEMS_MAX);
    v->states = mem_zalloc(v->max, sizeof(*v->states));
    v->items = mem_zalloc(v->max, sizeof(*v->items));
    v->count = store_list(pg->target, (struct pg_id){m->pg}, (struct chunk_id){m->after_chunk},
                          v->max, v->states);
    for (size_t i = 0; i < v->count; i++) {
        dfs__inventory_item__init(&v->items[i]);
        v->items[i].chunk_id = v->states[i].id.v;
        v->items[i].flags = v->states[i].flags & UINT16_MAX;
        v->items[i].len = v->states[i].len;
        v->items[i].ver_epoch = v->states[i].ver.epoch;
        v->items[i].ver_seq = v->states[i].ver.seq;
        v->items[i].known_digest = v->states[i].digest;
        v->items[i].bad = (v->states[i].flags & CHUNK_BAD) != 0;
    }
    v->waiter = waiter_new(dn, WAITER_READ, c, f, pg);
    if (m->digests)
        digest_next(v);
    else
        reply(v);
}
