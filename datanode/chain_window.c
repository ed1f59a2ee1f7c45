#include "datanode/chain_window.h"

#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/mem.h"

void window_init(struct window *w)
{
    *w = (struct window){0};
}

void window_done(struct window *w)
{
    while (w->unstable != NULL)
        window_remove(w, w->unstable);
    while (w->parked != NULL)
        window_unpark(w, w->parked);
    while (w->reads != NULL)
        window_unpark_read(w, w->reads);
}

struct unstable *window_push(struct window *w, uint64_t seq, uint64_t orig_epoch,
                             struct chain_op *op)
{
    struct unstable *u = MEM_NEW(struct unstable);

    assert(w->unstable == NULL || w->unstable->prev->seq < seq);
    u->seq = seq;
    u->orig_epoch = orig_epoch;
    u->op = chain_op_ref(op);
    DL_APPEND(w->unstable, u);
    w->unstable_count++;
    w->unstable_bytes += chain_op_bytes(op);
    return u;
}

struct unstable *window_find(const struct window *w, uint64_t seq)
{
    struct unstable *u;

    DL_FOREACH (w->unstable, u) {
        if (u->seq >= seq)
            return u->seq == seq ? u : NULL;
    }
    return NULL;
}

struct unstable *window_find_io(const struct window *w, uint64_t io_id)
{
    struct unstable *u;

    DL_FOREACH (w->unstable, u) {
        if (u->io_id == io_id)
            return u;
    }
    return NULL;
}

struct unstable *window_find_opseq(const struct window *w, struct session_id session,
                                   uint64_t opseq)
{
    struct unstable *u;

    DL_FOREACH (w->unstable, u) {
        if (u->op->opseq == opseq && ID_EQUAL(u->op->session, session))
            return u;
    }
    return NULL;
}

void window_remove(struct window *w, struct unstable *u)
{
    DL_DELETE(w->unstable, u);
    w->unstable_count--;
    w->unstable_bytes -= chain_op_bytes(u->op);
    chain_op_unref(u->op);
    free(u->waiters);
    free(u);
}

void unstable_add_waiter(struct unstable *u, uint64_t waiter)
{
    u->waiters = mem_realloc(u->waiters, u->waiter_count + 1, sizeof(*u->waiters));
    u->waiters[u->waiter_count++] = waiter;
}

bool window_overlaps(const struct window *w, struct chunk_id chunk, uint32_t offset, uint32_t len)
{
    const struct unstable *u;

    DL_FOREACH (w->unstable, u) {
        if (chain_op_changes(u->op, chunk, offset, len))
            return true;
    }
    return false;
}

void window_park(struct window *w, struct chain_op *op, uint64_t epoch, uint64_t waiter)
{
    struct parked *p = MEM_NEW(struct parked);

    p->op = chain_op_ref(op);
    p->epoch = epoch;
    p->waiter = waiter;
    DL_APPEND(w->parked, p);
    w->parked_count++;
    w->parked_bytes += chain_op_bytes(op);
}

void window_unpark(struct window *w, struct parked *p)
{
    DL_DELETE(w->parked, p);
    w->parked_count--;
    w->parked_bytes -= chain_op_bytes(p->op);
    chain_op_unref(p->op);
    free(p);
}

void window_park_read(struct window *w, struct chunk_id chunk, uint32_t offset, uint32_t len,
                      uint64_t waiter)
{
    struct parked_read *r = MEM_NEW(struct parked_read);

    r->chunk = chunk;
    r->offset = offset;
    r->len = len;
    r->waiter = waiter;
    DL_APPEND(w->reads, r);
    w->read_count++;
}

void window_unpark_read(struct window *w, struct parked_read *r)
{
    DL_DELETE(w->reads, r);
    w->read_count--;
    free(r);
}
