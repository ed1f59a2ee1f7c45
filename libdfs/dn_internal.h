/* What dn.c, chunk_op.c and chunk_read.c share. See dn.h. */
#ifndef LIBDFS_DN_INTERNAL_H
#define LIBDFS_DN_INTERNAL_H

#include <uthash.h>

#include "libdfs/dn.h"
#include "libdfs/hedge.h"
#include "libdfs/ll_internal.h"
#include "rpc/conn.h"

enum {
    DN_TICK_MS = 10,
    DN_BACKOFF_MIN_MS = 20,
    DN_BACKOFF_MAX_MS = 200,
    DN_OP_TIMEOUT_MS = 5000,   /* then the op is sent again: perhaps the head has changed */
    DN_READ_TIMEOUT_MS = 5000, /* then the next member is asked */
    DN_AVOID_MIN_MS =
        500, /* one that kept a read waiting is not asked first, at first so long... */
    DN_AVOID_MAX_MS = 8000, /* ...and in the end, each time it does so again */
    DN_PG_FLYING_MAX = 256, /* ops of one PG in flight, well below DEDUP_WINDOW */
    DN_REFRESH_MS = 100,    /* not oftener is the map asked for because of refusals */
    DN_BAD_ROUNDS = 3,      /* times all members are asked for bytes that none has good */
};

struct dn {
    struct dn_pool *pool;
    char addr[ADDR_TEXT_MAX];
    UT_hash_handle hh;
    struct conn *conn; /* NULL: none */
    uint64_t retry_at_ns;
    unsigned backoff_ms;
    unsigned reads_flying;
    struct hedge_member hedge;
    uint64_t avoid_ns, avoid_until_ns; /* another one was faster by far: asked last until then */
};

struct dn_pg {
    struct pg_id pg;
    UT_hash_handle hh;
    uint64_t next_opseq;
    unsigned flying_count;
    bool refused;            /* by a live head: only the oldest op asks until that changes */
    struct chunk_op *flying; /* have an opseq, in its order; waiting for a head or an answer */
    struct chunk_op *queue;  /* have none yet */
};

/* One request of a chunk_read. */
struct dn_try {
    struct chunk_read *read;
    struct dn *dn;
    unsigned member;
    bool verify;
    uint64_t call_id, sent_ns;
    struct dn_try *next;
};

struct dn_pool {
    struct ll *ll;
    struct loop_timer *tick;
    struct dn *dns;
    struct dn_pg *pgs;
    struct chunk_read *reads;
    struct hedge_budget hedges;
    struct chunk_op *ended_ops;
    struct chunk_read *ended_reads;
    size_t busy;
    bool stopped;
    uint64_t refreshed_ns;
    char host[ADDR_TEXT_MAX]; /* this machine's name */
    uint32_t turn;            /* spreads reads over equals */
};

/* The datanode at addr, with a connection that stands or is being made; NULL while it is in
 * backoff after a failure. */
struct dn *dn_ready(struct dn_pool *p, const char *addr);
/* Head or other member as a connected datanode; NULL. */
struct dn *dn_of_target(struct dn_pool *p, struct target_id target);

void dn_pool_refresh_map(struct dn_pool *p);
/* Takes over what an Error frame says of the PG. The code in it. */
void dn_pool_learn_error(struct dn_pool *p, const struct rpc_frame *f);
uint64_t dn_deadline(struct dn_pool *p);
/* done is called at the end of this turn. */
void dn_pool_end_op(struct dn_pool *p, struct chunk_op *op, int status);
void dn_pool_end_read(struct dn_pool *p, struct chunk_read *r, int status);
void dn_pool_wake(struct dn_pool *p);

void chunk_ops_tick(struct dn_pool *p, uint64_t now_ns);
void chunk_ops_map_changed(struct dn_pool *p);
/* opseqs begin anew after it. */
void chunk_ops_end_all(struct dn_pool *p, int status);
void chunk_ops_free(struct dn_pool *p);
void chunk_reads_tick(struct dn_pool *p, uint64_t now_ns);
void chunk_reads_map_changed(struct dn_pool *p);
void chunk_reads_end_all(struct dn_pool *p, int status);
void chunk_reads_free(struct dn_pool *p);

static inline uint64_t dn_backoff_ns(unsigned attempts)
{
    uint64_t ms = DN_BACKOFF_MIN_MS;

    while (attempts-- > 1 && ms < DN_BACKOFF_MAX_MS)
        ms *= 2;
    return (ms < DN_BACKOFF_MAX_MS ? ms : DN_BACKOFF_MAX_MS) * UINT64_C(1000000);
}

#endif
