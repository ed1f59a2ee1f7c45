/* A file gets other chunks with the same bytes: the last step of a copy elsewhere. */
#include "libdfs/blocking.h"
#include "libdfs/inode.h"
#include "libdfs/nn.h"

static void swapped(void *ctx, int status, const Dfs__MetaReply *reply)
{
    op_end(ctx, ll_outcome(status, reply));
}

static void swap_start(struct op *op)
{
    const Dfs__SwapChunksOp *swap = op->in;
    struct meta_request r;

    meta_request_init(&r, &op->dfs->cred);
    r.req.op_case = DFS__META_REQUEST__OP_SWAP_CHUNKS;
    r.req.swap_chunks = (Dfs__SwapChunksOp *)(uintptr_t)swap; /* Only packed. */
    nn_call(op->dfs->ll->nn, &op->call, &r.req, swapped, op);
}

int dfs_swap_chunks(struct dfs *dfs, uint64_t ino, uint64_t other, uint32_t first, uint32_t count,
                    uint64_t version)
{
    Dfs__SwapChunksOp swap = DFS__SWAP_CHUNKS_OP__INIT;
    struct op op;

    swap.ino = ino;
    swap.other = other;
    swap.first_index = first;
    swap.count = count;
    swap.data_version = version;
    op_init(&op, dfs, swap_start);
    op.in = &swap;
    return op_run(&op);
}
