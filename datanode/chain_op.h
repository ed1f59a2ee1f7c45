/*
 * One operation on a placement group, as the chain carries it: shared by reference between the
 * window, the disk and the sockets, never copied. Not changed after it was given to the chain.
 */
#ifndef DATANODE_CHAIN_OP_H
#define DATANODE_CHAIN_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/ids.h"

enum chain_op_kind {
    CHAIN_WRITE = 1, /* as ChunkOpKind on the wire */
    CHAIN_TRUNC,
    CHAIN_SYNC,
    CHAIN_DELETE,
    CHAIN_FENCE,
    CHAIN_REPAIR,
};

struct chain_op {
    enum chain_op_kind kind;
    uint64_t first_epoch;
    struct session_id session;
    uint64_t opseq; /* 0: not deduplicated, applying twice does no harm (DELETE, FENCE, REPAIR) */
    uint64_t floor;
    struct chunk_id chunk;
    uint32_t offset;
    uint32_t len;
    bool sync;
    bool allocates; /* needs free space here: set by who receives it from a client */
    uint64_t since_epoch;
    uint64_t fence_version;
    uint64_t trunc_version; /* TRUNC, and SYNC that stands for one: see chunk_state; 0: none */
    uint64_t *chunks;       /* SYNC, DELETE; owned */
    uint32_t chunk_count;

    /* The payload as it came from the socket: crc_count slots, then len bytes. Opaque to the chain;
     * given back with payload_free when the last reference goes. */
    void *payload;
    void (*payload_free)(void *payload);
    const uint32_t *crcs;
    uint32_t crc_count;
    const uint8_t *data;

    unsigned refs; /* loop thread only */
};

/* All zero, one reference. Never NULL. */
struct chain_op *chain_op_new(enum chain_op_kind kind);
struct chain_op *chain_op_ref(struct chain_op *op);
/* NULL is fine. */
void chain_op_unref(struct chain_op *op);
DEFINE_CLEANUP(chain_op, chain_op_unref)

/* Copies the list. */
void chain_op_set_chunks(struct chain_op *op, const uint64_t *chunks, size_t count);

/* What it weighs in the window. */
size_t chain_op_bytes(const struct chain_op *op);
/* True when it changes bytes of [offset, offset + len) of the chunk. */
bool chain_op_changes(const struct chain_op *op, struct chunk_id chunk, uint32_t offset,
                      uint32_t len);
/* "WRITE" and so on. Static storage. */
const char *chain_op_kind_name(enum chain_op_kind kind);

#endif
