/* See datanodes.h. */
#include "namenode/datanodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "rpc/conn.h"

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
        p->sync_done = p->sync_total = 0;
    p->rec = *rec;
    p->dirty = true;
}
