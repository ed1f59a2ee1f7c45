#include "libdfs/truncate.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/compiler.h"
#include "common/error.h"
#include "common/log.h"
#include "common/mem.h"
#include "libdfs/dn.h"
#include "libdfs/inode.h"
#include "libdfs/nn.h"
#include "libdfs/writeback.h"

/*
 *   SILENCE ──► ASKED ──► TAIL ──► CLEARED
 *    │  ▲         │  ▲                │
 *    ▼  │         ▼  └── older tail ──┘
 *   FLUSH └───── FETCH
 *
 * An interrupt ends it before the namenode was asked; while it is asked, nn.c decides; after that
 * the caller is told what came of it, and the tail is zeroed behind his back.
 */
enum { TRUNCATE_AGAIN_MAX = 8 }; /* other clients may cut it again and again */

enum truncate_state {
    TRUNCATE_SILENCE, /* nothing of the inode may fly */
    TRUNCATE_FLUSH,   /* inline content goes to chunks first */
    TRUNCATE_ASKED,
    TRUNCATE_FETCH, /* the namenode sees another file than we do */
    TRUNCATE_TAIL,
    TRUNCATE_CLEARED
};

struct truncate_op {
    enum truncate_state state;
    struct inode *inode; /* a reference */
    uint64_t size;
    bool committed;       /* what was unpublished at the beginning was sent */
    bool flushed;         /* inline content was sent to chunks */
    unsigned again_count; /* EAGAIN came so often in a row */
    bool ask_after;       /* the tail at work is an older one */
    bool tail_only;       /* nothing is cut: a tail of somebody else's is zeroed */
    struct ll_call *call; /* NULL: cannot be interrupted, or has been */
    struct ll_call flush_call;
    struct ll_cred cred;
    uint32_t *groups;
    ll_attr_fn fn; /* NULL: nobody waits for the answer */
    void *ctx;
    struct ll_attr attr;
    struct chunk_op tail;
    uint64_t tail_version; /* of its mark; 0: it has none */
    struct truncate_op *prev, *next;
};

static void ask(struct truncate_op *t);

static void answer(struct truncate_op *t, int status)
{
    ll_attr_fn fn = STEAL(t->fn);

    if (t->call != NULL)
        t->call->interrupt = NULL;
    t->call = NULL;
    if (fn == NULL)
        return;
    if (status == 0)
        inode_overlay_attr(t->inode, &t->attr);
    fn(t->ctx, status, status == 0 ? &t->attr : NULL);
}

static void finish(struct truncate_op *t, int status)
{
    struct inode *i = t->inode;

    DL_DELETE(i->truncates, t);
    i->wb.frozen--;
    answer(t, status);
    free(t->groups);
    free(t);
    wb_pump(i);
    wb_step(i); /* Also steps the next truncate. */
    inode_unref(i);
}

static void on_cleared(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct truncate_op *t = ctx;

    if (status == 0)
        status = reply->status;
    if (status == 0 && reply->result_case == DFS__META_REPLY__RESULT_ENTRY &&
        reply->entry->attr != NULL)
        inode_published(t->inode, reply->entry->attr);
    if (t->ask_after && t->fn != NULL) {
        t->ask_after = false;
        ask(t);
        return;
    }
    if (status == -ENOENT || status == -ESTALE || status == -EAGAIN)
        status =
            0; /* Unlinked, or there is another truncation's mark by now: what was cut is cut. */
    if (status < 0)
        log_warn("tail of a truncated file stays marked", "ino=%" PRI_INO " why=%s",
                 t->inode->ino.v, dfs_strerror(status));
    finish(t, dfs_error_is_own(status) ? -EIO : status);
}

static void on_tail_zeroed(struct chunk_op *op, int status)
{
    struct truncate_op *t = CONTAINER_OF(op, struct truncate_op, tail);
    struct meta_request m;
    Dfs__TruncDoneOp done = DFS__TRUNC_DONE_OP__INIT;

    if (status < 0 && status != -ESTALE) {
        log_warn("tail of a truncated file is not zeroed", "ino=%" PRI_INO " why=%s",
                 t->inode->ino.v, dfs_strerror(status));
        finish(t, dfs_error_is_own(status) ? -EIO : status);
        return;
    }
    t->state = TRUNCATE_CLEARED;
    done.ino = t->inode->ino.v;
    done.chunk_id = t->tail.chunk.v;
    done.from = t->tail.offset;
    done.version = t->tail_version; /* Who gave it a version, knows the field. */
    meta_request_init(&m, NULL);
    m.req.op_case = DFS__META_REQUEST__OP_TRUNC_DONE;
    m.req.trunc_done = &done;
    ll_meta_call(t->inode->ll, NULL, &m.req, on_cleared, t);
}

static void on_interrupt(struct ll_call *call);

static void allow_interrupt(struct truncate_op *t)
{
    if (t->call == NULL)
        return;
    t->call->impl = t;
    t->call->interrupt = on_interrupt;
}

static void zero_tail(struct truncate_op *t)
{
    t->state = TRUNCATE_TAIL;
    allow_interrupt(t);
    t->tail.kind = CHUNK_TRUNC;
    t->tail.trunc_version = t->tail_version; /* Too late, if another has done it since. */
    t->tail.sync = true; /* Once the mark is cleared, a power failure must not bring them back. */
    t->tail.done = on_tail_zeroed;
    chunk_op_submit(t->inode->ll->dns, &t->tail);
}

/* As the namenode said last. */
static void set_known_tail(struct truncate_op *t)
{
    t->tail.pg = t->inode->tail_pg;
    t->tail.chunk = t->inode->tail_chunk;
    t->tail.offset = t->inode->tail_from;
    t->tail_version = t->inode->tail_version;
}

static void set_tail(struct truncate_op *t, const Dfs__ChunkTail *mark)
{
    t->tail.pg = (struct pg_id){mark->pg};
    t->tail.chunk = (struct chunk_id){mark->chunk_id};
    t->tail.offset = mark->from;
    t->tail_version = mark->version;
}

/* What lies beyond the new end is forgotten here too. */
static void cut_local(struct inode *i, uint64_t size)
{
    struct writeback *wb = &i->wb;
    uint32_t first_hole = layout_index(size + CHUNK_SIZE - 1);
    size_t kept = 0;

    wb_cut(i, size);
    layout_cut(&i->layout, first_hole);
    read_cache_drop(i, size, UINT64_MAX);
    i->inline_len = (uint32_t)MIN((uint64_t)i->inline_len, size);
    for (size_t k = 0; k < wb->unsynced_count; k++) {
        if (wb->unsynced[k].index < first_hole)
            wb->unsynced[kept++] = wb->unsynced[k];
    }
    wb->unsynced_count = kept;
}

/* It may not grow: what is left of an older truncate has to go first. */
static void on_refetched(void *ctx, int status)
{
    struct truncate_op *t = ctx;
    const struct inode *i = t->inode;

    if (status < 0) {
        finish(t, dfs_error_is_own(status) ? -EIO : status);
    } else if (i->tail_pending) {
        t->ask_after = true;
        set_known_tail(t);
        zero_tail(t);
    } else {
        t->state = TRUNCATE_SILENCE; /* Or it is inline now. */
        truncate_step(t->inode);
    }
}

static void on_truncated(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct truncate_op *t = ctx;
    struct inode *i = t->inode;
    const Dfs__Attr *attr;

    if (status == 0)
        status = reply->status;
    if (status == 0 &&
        (reply->result_case != DFS__META_REPLY__RESULT_ENTRY || reply->entry->attr == NULL))
        status = -EIO;
    if (status == -EAGAIN && t->again_count < TRUNCATE_AGAIN_MAX) {
        t->again_count++;
        i->known = false;
        t->state = TRUNCATE_FETCH;
        allow_interrupt(t);
        inode_fetch(i, on_refetched, t);
        return;
    }
    if (status < 0) {
        finish(t, dfs_error_is_own(status) || status == -EAGAIN ? -EIO : status);
        return;
    }
    attr = reply->entry->attr;
    cut_local(i, t->size);
    if (i->known)
        inode_published(i, attr);
    else
        i->size = attr->size;
    wb_forget_published(i);
    i->wb.mtime_ns = 0; /* The truncation's own time is newer. */
    ll_attr_from_wire(attr, &t->attr);
    if (attr->trunc_pending != NULL && attr->trunc_pending->chunk_id != 0) {
        set_tail(t, attr->trunc_pending);
        zero_tail(t);
        return;
    }
    finish(t, 0);
}

static void ask(struct truncate_op *t)
{
    struct meta_request m;
    Dfs__TruncateOp op = DFS__TRUNCATE_OP__INIT;

    t->state = TRUNCATE_ASKED;
    op.ino = t->inode->ino.v;
    op.size = t->size;
    meta_request_init(&m, &t->cred);
    m.req.op_case = DFS__META_REQUEST__OP_TRUNCATE;
    m.req.truncate = &op;
    ll_meta_call(t->inode->ll, t->call, &m.req, on_truncated, t);
}

static void on_left_inline(void *ctx, int status)
{
    struct truncate_op *t = ctx;

    t->inode->wb.frozen++;
    if (status == 0)
        status = t->inode->wb.inline_stays;
    if (status < 0) {
        finish(t, status);
        return;
    }
    t->state = TRUNCATE_SILENCE;
    truncate_step(t->inode);
}

/* The namenode keeps content in one place: before a file outgrows inline, and while its content is
 * on the way to chunks, that has to be finished. */
static bool leave_inline_first(struct truncate_op *t)
{
    struct inode *i = t->inode;

    if (t->flushed || t->tail_only)
        return false;
    if (!i->wb.clear_inline && !(i->is_inline && i->inline_known && t->size > INLINE_MAX))
        return false;
    t->flushed = true;
    t->state = TRUNCATE_FLUSH;
    i->wb.frozen--;
    i->wb.inline_stays = 0;
    if (i->is_inline)
        wb_leave_inline(i);
    inode_update_work(i);
    wb_flush(i, WB_COMMIT, &t->flush_call, on_left_inline, t);
    return true;
}

void truncate_step(struct inode *i)
{
    struct truncate_op *t = i->truncates;

    if (t == NULL || t->state != TRUNCATE_SILENCE)
        return;
    if (i->wb.flying.count > 0 || i->wb.alloc_flying || wb_commit_flying(i))
        return;
    if (leave_inline_first(t))
        return;
    if (!t->tail_only && !t->committed && t->size < inode_size(i) && wb_commit_needed(i, true)) {
        t->committed = true;
        wb_commit_send(i);
        return;
    }
    if (t->call != NULL)
        t->call->interrupt = NULL; /* From here on the outcome must be learnt: see nn.c. */
    if (t->tail_only)
        zero_tail(t);
    else
        ask(t);
}

static void on_interrupt(struct ll_call *call)
{
    struct truncate_op *t = call->impl;

    switch (t->state) {
    case TRUNCATE_SILENCE:
        finish(t, -EINTR);
        break;
    case TRUNCATE_FLUSH:
        if (t->flush_call.interrupt != NULL)
            t->flush_call.interrupt(&t->flush_call);
        break;
    case TRUNCATE_FETCH:
        inode_fetch_cancel(t->inode, on_refetched, t);
        finish(t, -EINTR);
        break;
    case TRUNCATE_TAIL:
    case TRUNCATE_CLEARED:
        answer(t, t->ask_after ? -EINTR : 0);
        break;
    case TRUNCATE_ASKED:
        assert(false && "nn.c answers for it");
    }
}

static void start(struct truncate_op *t)
{
    struct inode *i = t->inode;

    i->wb.frozen++;
    allow_interrupt(t);
    DL_APPEND(i->truncates, t);
    truncate_step(i);
}

void ll_truncate(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                 uint64_t size, ll_attr_fn fn, void *ctx)
{
    struct truncate_op *t = MEM_NEW(struct truncate_op);

    t->inode = inode_get(ll, ino);
    t->size = size;
    t->call = call;
    t->cred = (struct ll_cred){.kernel_checked = true};
    if (cred != NULL) {
        t->cred = *cred;
        t->groups = mem_alloc((cred->group_count + 1) * sizeof(*t->groups));
        if (cred->group_count > 0)
            memcpy(t->groups, cred->groups, cred->group_count * sizeof(*t->groups));
        t->cred.groups = t->groups;
    }
    t->fn = fn;
    t->ctx = ctx;
    start(t);
}

void truncate_finish_tail(struct inode *i)
{
    struct truncate_op *t = MEM_NEW(struct truncate_op);

    t->inode = inode_ref(i);
    t->tail_only = true;
    set_known_tail(t);
    start(t);
}
