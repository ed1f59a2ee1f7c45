/*
 * Between the messages of rpc/chunk.proto and our own structs. What comes from the wire is checked
 * here, once; behind it everything may be trusted to be well formed.
 */
#ifndef DATANODE_WIRE_H
#define DATANODE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "datanode/chain.h"
#include "datanode/store.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/conn.h"
#include "rpc/meta.pb-c.h"

/* DFS_EPROTO */
int wire_config_from(const Dfs__Pg *m, struct chain_config *ret_config);

/* A message and what it points to, in one piece: do not move it. */
struct wire_pg {
    Dfs__Pg pg;
    Dfs__PgMember members[PG_MEMBERS_MAX];
    Dfs__PgMember *pointers[PG_MEMBERS_MAX];
};
void wire_config_to(const struct chain_config *c, struct wire_pg *ret_pg);

/*
 * A REPAIR without CRCs and data is a request to the head.
 * The payload is referenced, not copied. Its CRCs are not looked at yet: wire_op_check_crcs().
 * DFS_EPROTO  lengths, offsets, counts or ids that cannot be
 */
int wire_op_from(const Dfs__ChunkOp *m, const struct rpc_frame *f, struct chain_op **ret_op);
/* -EBADMSG */
int wire_op_check_crcs(const struct chain_op *op);
void wire_op_to(const struct chain_op *op, struct pg_id pg, uint64_t epoch, Dfs__ChunkOp *ret_msg);
/* Of an operation that came by wire_op_from() or wire_op_set_payload(). */
void wire_op_payload(const struct chain_op *op, struct rpc_payload *ret_payload);
/* Whole blocks from a slab of ours, with their CRCs. */
void wire_op_set_payload(struct chain_op *op, struct slab *slab, const uint8_t *bytes, uint32_t len,
                         const uint32_t *crcs);
struct slab *wire_op_slab(const struct chain_op *op);

/* How many blocks the range touches. */
uint32_t wire_block_count(uint32_t offset, uint32_t len);

int wire_state_from(const Dfs__ChunkState *m, struct chunk_state *ret_state);

#endif
