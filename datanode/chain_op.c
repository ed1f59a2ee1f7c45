#include "datanode/chain_op.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/mem.h"

/* So that thousands of tiny operations cannot hide behind the byte limit. */
enum { OP_OVERHEAD_BYTES = 256 };

struct chain_op *chain_op_new(enum chain_op_kind kind)
{
    struct chain_op *op = MEM_NEW(struct chain_op);

    op->kind = kind;
    op->refs = 1;
    return op;
}

struct chain_op *chain_op_ref(struct chain_op *op)
{
    assert(op->refs > 0);
    op->refs++;
    return op;
}

void chain_op_unref(struct chain_op *op)
{
    if (op == NULL)
        return;
    assert(op->refs > 0);
    if (--op->refs > 0)
        return;
    if (op->payload != NULL && op->payload_free != NULL)
        op->payload_free(op->payload);
    free(op->chunks);
    free(op);
}

void chain_op_set_chunks(struct chain_op *op, const uint64_t *chunks, size_t count)
{
    free(op->chunks);
    op->chunks = NULL;
    op->chunk_count = (uint32_t)count;
    if (count == 0)
        return;
    op->chunks = mem_realloc(NULL, count, sizeof(*chunks));
    memcpy(op->chunks, chunks, count * sizeof(*chunks));
}

size_t chain_op_bytes(const struct chain_op *op)
{
    return OP_OVERHEAD_BYTES + op->len + op->chunk_count * sizeof(*op->chunks);
}

bool chain_op_changes(const struct chain_op *op, struct chunk_id chunk, uint32_t offset,
                      uint32_t len)
{
    switch (op->kind) {
    case CHAIN_WRITE:
    case CHAIN_REPAIR:
        return ID_EQUAL(op->chunk, chunk) && (uint64_t)op->offset < (uint64_t)offset + len &&
               (uint64_t)offset < (uint64_t)op->offset + op->len;
    case CHAIN_TRUNC:
        return ID_EQUAL(op->chunk, chunk) && (uint64_t)op->offset < (uint64_t)offset + len;
    case CHAIN_DELETE:
        for (uint32_t i = 0; i < op->chunk_count; i++) {
            if (op->chunks[i] == chunk.v)
                return true;
        }
        return false;
    case CHAIN_SYNC:
    case CHAIN_FENCE:
        return false;
    }
    return false;
}

const char *chain_op_kind_name(enum chain_op_kind kind)
{
    switch (kind) {
    case CHAIN_WRITE:
        return "WRITE";
    case CHAIN_TRUNC:
        return "TRUNC";
    case CHAIN_SYNC:
        return "SYNC";
    case CHAIN_DELETE:
        return "DELETE";
    case CHAIN_FENCE:
        return "FENCE";
    case CHAIN_REPAIR:
        return "REPAIR";
    }
    return "?";
}
