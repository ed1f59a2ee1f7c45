/* Holes and reserved space: extends by truncate, makes holes by writing zeros where bytes are. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>

#include "common/compiler.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/file.h"
#include "libdfs/inode.h"
#include "libdfs/nn.h"
#include "libdfs/writeback.h"

enum { FALLOCATE_ALLOC_MAX = 64 }; /* chunks in one request */

struct fallocate {
    struct ll_file *file;
    struct ll_call *call;
    struct ll_call write_call;
    uint64_t at, end; /* at: zeroed up to here */
    uint64_t zero_end;
    uint32_t alloc_next, alloc_end;
    bool extend;         /* the size becomes at least end */
    bool writing, wrote; /* a write is being taken; it has been, with write_status */
    int write_status;
    ll_status_fn fn;
    void *ctx;
};

static void finish(struct fallocate *f, int status)
{
    if (f->call != NULL)
        f->call->interrupt = NULL;
    f->fn(f->ctx, dfs_error_is_own(status) ? -EIO : status);
    free(f);
}

/* ---- reserving ---- */

static void alloc_step(struct fallocate *f);

static void on_alloc(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct fallocate *f = ctx;

    if (status == 0)
        status = reply->status;
    if (status == 0 && reply->result_case == DFS__META_REPLY__RESULT_LAYOUT)
        inode_learn_layout(f->file->inode, f->alloc_next, 0, reply->layout->chunks,
                           reply->layout->n_chunks);
    if (status < 0) {
        finish(f, status);
        return;
    }
    f->alloc_next += FALLOCATE_ALLOC_MAX;
    alloc_step(f);
}

/* More than there is room for is refused before anything is reserved. */
static void on_space(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct fallocate *f = ctx;
    uint64_t size = inode_size(f->file->inode);

    if (status == 0)
        status = reply->status;
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_STATFS)
        status = -EIO;
    if (status == 0 && f->end > size && f->end - size > reply->statfs->bytes_free)
        status = reply->statfs->by_quota ? -EDQUOT : -ENOSPC;
    if (status < 0)
        finish(f, status);
    else
        alloc_step(f);
}

static void ask_space(struct fallocate *f)
{
    struct ll *ll = f->file->inode->ll;
    struct meta_request m;
    Dfs__StatfsOp op = DFS__STATFS_OP__INIT;

    op.ino = f->file->inode->ino.v;
    meta_request_init(&m, NULL);
    m.req.op_case = DFS__META_REQUEST__OP_STATFS;
    m.req.statfs = &op;
    ll_meta_call(ll, f->call, &m.req, on_space, f);
}

static void on_extended(void *ctx, int status, const struct ll_attr *attr)
{
    (void)attr;
    finish(ctx, status);
}

static void alloc_step(struct fallocate *f)
{
    struct inode *i = f->file->inode;
    struct meta_request m;
    Dfs__AllocOp op = DFS__ALLOC_OP__INIT;

    if (f->alloc_next >= f->alloc_end) {
        if (f->extend && inode_size(i) < f->end)
            ll_truncate(i->ll, f->call, NULL, i->ino, f->end, on_extended, f);
        else
            finish(f, 0);
        return;
    }
    op.ino = i->ino.v;
    op.first_index = f->alloc_next;
    op.count = MIN(f->alloc_end - f->alloc_next, (uint32_t)FALLOCATE_ALLOC_MAX);
    meta_request_init(&m, NULL);
    m.req.op_case = DFS__META_REQUEST__OP_ALLOC;
    m.req.alloc = &op;
    ll_meta_call(i->ll, f->call, &m.req, on_alloc, f);
}

/* ---- zeroing ---- */

static void zero_step(struct fallocate *f);

static void on_written(void *ctx, int status)
{
    struct fallocate *f = ctx;

    if (f->writing) { /* From inside ll_write: zero_step() goes on, without recursion. */
        f->wrote = true;
        f->write_status = status;
    } else if (status < 0) {
        finish(f, status);
    } else {
        zero_step(f);
    }
}

static void on_interrupt(struct ll_call *call)
{
    struct fallocate *f = call->impl;

    if (f->write_call.interrupt != NULL)
        f->write_call.interrupt(&f->write_call);
}

/* Bytes of [at, ..) that have no chunk and no dirty bytes: zeros already. */
static uint64_t hole_len(const struct inode *i, uint64_t at, uint64_t end)
{
    uint64_t span = layout_span(at, end);

    if (i->is_inline || i->wb.alloc_flying ||
        layout_state(&i->layout, layout_index(at)) != LAYOUT_HOLE ||
        extent_overlap(&i->wb.dirty.pieces, at, at + span) != NULL ||
        extent_overlap(&i->wb.flying, at, at + span) != NULL)
        return 0;
    return span;
}

static void zero_step(struct fallocate *f)
{
    struct inode *i = f->file->inode;

    while (f->at < f->zero_end) {
        uint64_t len = hole_len(i, f->at, f->zero_end);

        if (len > 0) {
            f->at += len;
            continue;
        }
        len = MIN(f->zero_end - f->at, (uint64_t)IO_SIZE_MAX);
        len = layout_span(f->at, f->at + len);
        f->writing = true;
        f->wrote = false;
        f->at += len;
        ll_write(f->file, &f->write_call, f->at - len, i->ll->zeros->data, (size_t)len,
                 i->ll->zeros, on_written, f);
        f->writing = false;
        if (!f->wrote)
            return;
        if (f->write_status < 0) {
            finish(f, f->write_status);
            return;
        }
    }
    alloc_step(f); /* What lies beyond the end is zeros by extending. */
}

void ll_fallocate(struct ll_file *file, struct ll_call *call, int mode, uint64_t offset,
                  uint64_t len, ll_status_fn fn, void *ctx)
{
    struct inode *i = file->inode;
    const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    struct fallocate *f;
    uint64_t size = inode_size(i);

    if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE && mode != punch &&
        (mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE) {
        fn(ctx, -EOPNOTSUPP);
        return;
    }
    if (len == 0 || offset > FILE_SIZE_MAX || len > FILE_SIZE_MAX - offset) {
        fn(ctx, len == 0 ? -EINVAL : -EFBIG);
        return;
    }
    f = MEM_NEW(struct fallocate);
    f->file = file;
    f->call = call;
    f->at = offset;
    f->end = offset + len;
    f->extend = (mode & FALLOC_FL_KEEP_SIZE) == 0;
    f->fn = fn;
    f->ctx = ctx;
    if ((mode & ~FALLOC_FL_KEEP_SIZE) == 0) {
        /* What fits inline needs no chunk; beyond the end nothing is kept for us. */
        uint64_t end = f->extend ? f->end : MIN(f->end, size);

        if (end > INLINE_MAX && end > offset && !i->is_inline) {
            f->alloc_next = layout_index(offset);
            f->alloc_end = layout_index(end - 1) + 1;
        }
        if (f->extend && f->end > size + CHUNK_SIZE)
            ask_space(f);
        else
            alloc_step(f);
        return;
    }
    f->zero_end = MIN(f->end, size);
    if (call != NULL) {
        call->impl = f;
        call->interrupt = on_interrupt;
    }
    zero_step(f);
}
