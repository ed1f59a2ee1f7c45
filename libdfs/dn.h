/*
 * The datanodes: one connection each, many operations in flight.
 *
 * A chunk_op changes a PG. It gets its opseq when it is first sent and keeps it through every
 * retry (same or new head), so that it is executed once. It ends with 0, or:
 *   -EIO        the session was lost or fenced; or the datanodes refused it for good
 *   -ENOSPC     a member is full; nothing was applied
 *   -ETIMEDOUT  io_timeout_ms is over
 *   DFS_ECOLD   SYNC: some of the writes may be gone since a whole PG lost power
 *   -ESTALE     the chunk was deleted meanwhile (truncated by somebody else)
 *
 * A chunk_read asks one SERVING member after the other until bytes come whose CRCs fit.
 *   -EIO        no member has good bytes;   -ETIMEDOUT, -ECANCELED
 *
 * `done` runs once, from the loop, never from inside submit. The struct is the caller's and must
 * stay until then.
 */
#ifndef LIBDFS_DN_H
#define LIBDFS_DN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ids.h"
#include "common/limits.h"

struct dn_pool;
struct ll;
struct slab;

enum {
    CHUNK_OP_PARTS = 15, /* pieces of memory in one write: one less than a frame has, for CRCs */
    CHUNK_OP_CRCS = CHUNK_OP_MAX / CHUNK_BLOCK_SIZE + 1, /* an unaligned write touches one more */
};

struct chunk_part {
    const uint8_t *bytes;
    uint32_t len;
    struct slab *slab; /* borrowed until done */
};

enum chunk_op_kind { CHUNK_WRITE, CHUNK_TRUNC, CHUNK_SYNC };

struct chunk_op {
    /* Set by the caller. */
    enum chunk_op_kind kind;
    struct pg_id pg;
    struct chunk_id chunk;
    uint32_t offset, len;
    bool sync; /* WRITE: durable on every member before it is acknowledged */
    unsigned part_count;
    struct chunk_part parts[CHUNK_OP_PARTS];
    const uint64_t *chunks; /* SYNC: borrowed until done */
    size_t chunk_count;
    uint64_t since_epoch;   /* SYNC */
    uint64_t trunc_version; /* TRUNC: of the mark; 0: it has none */
    void (*done)(struct chunk_op *op, int status);

    /* When done: the epoch in which it was first sent, for the SYNC that will stand for it. */
    uint64_t first_epoch;

    /* dn.c's. */
    struct dn_pool *pool;
    struct dn_pg *dn_pg;
    struct dn *dn; /* where it is in flight; NULL: waits */
    uint64_t opseq, call_id, deadline_ns, wake_ns;
    unsigned attempts;
    int result;
    bool finished;
    uint32_t crc_count;
    uint32_t crcs[CHUNK_OP_CRCS];
    struct chunk_op *prev, *next;
};

struct chunk_read {
    /* Set by the caller. offset and len: multiples of 4 KiB within the chunk, len <= 1 MiB. */
    struct pg_id pg;
    struct chunk_id chunk;
    uint32_t offset, len;
    bool materialized; /* the map says that it holds bytes: absence is an error */
    void (*done)(struct chunk_read *r, int status);

    /* With status 0: `got` good bytes; those after it, up to len, are zeros. Valid in done; to
     * keep them take a reference on the slab (NULL when got is 0). */
    struct slab *slab;
    const uint8_t *bytes;
    uint32_t got;

    /* dn.c's. */
    struct dn_pool *pool;
    struct dn_try *tries; /* requests in flight for it: one, or two when hedged */
    uint64_t deadline_ns, started_ns, wake_ns;
    uint64_t tried; /* bit i: member i of the PG was asked in this round */
    unsigned attempts, rounds, absent_count, bad_count;
    int result;
    bool finished, waiting;
    struct chunk_read *prev, *next;
};

struct dn_pool *dn_pool_new(struct ll *ll);
/* Everything that waits, and everything submitted later, ends with -ECANCELED, most of it in here. */
void dn_pool_stop(struct dn_pool *p);
/* Everything that waits is dropped without a callback. NULL is fine. */
void dn_pool_free(struct dn_pool *p);

void chunk_op_submit(struct dn_pool *p, struct chunk_op *op);
void chunk_read_submit(struct dn_pool *p, struct chunk_read *r);
/* done does not come any more. */
void chunk_read_cancel(struct chunk_read *r);

/* The cluster map has changed: what waits for, or hangs on, a former head goes to the new one. */
void dn_pool_map_changed(struct dn_pool *p);
/* The session is gone: all ops end with -EIO; opseqs begin anew. */
void dn_pool_session_lost(struct dn_pool *p);

/* Ops and reads that have not ended. */
size_t dn_pool_busy(const struct dn_pool *p);

#endif
