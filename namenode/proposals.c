#include "namenode/proposals.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/mem.h"
#include "namenode/fsm.h"

void proposals_done(struct proposals *p)
{
    assert(p->count == 0 && p->flying == NULL);
    buf_done(&p->gathered);
}

bool proposals_has_room(const struct proposals *p, size_t len)
{
    return p->count < META_BATCH_OPS_MAX &&
           p->gathered.len + len + FSM_BATCH_OP_HEADER_MAX <= PROPOSALS_BYTES_MAX;
}

uint8_t *proposals_add(struct proposals *p, size_t len, struct waiter w)
{
    uint8_t *out;

    assert(proposals_has_room(p, len));
    if (p->count == 0) {
        (void)buf_reserve(&p->gathered, FSM_BATCH_HEADER);
        buf_commit(&p->gathered, FSM_BATCH_HEADER);
    }
    out = buf_reserve(&p->gathered, FSM_BATCH_OP_HEADER_MAX + len);
    buf_commit(&p->gathered, fsm_batch_op_header(len, out));
    p->waiters[p->count++] = w;
    out = buf_reserve(&p->gathered, len);
    buf_commit(&p->gathered, len);
    return out;
}

bool proposals_is_due(const struct proposals *p)
{
    return p->count > 0 && p->proposed_write <= p->durable_write;
}

struct raft_buf *proposals_payload(struct proposals *p, int64_t time_ns)
{
    (void)fsm_batch_header(time_ns, p->gathered.data);
    return raft_buf_copy(p->gathered.data, (uint32_t)p->gathered.len);
}

static void clear_gathered(struct proposals *p)
{
    buf_clear(&p->gathered);
    p->count = 0;
}

void proposals_fly(struct proposals *p, const struct raft_update *up)
{
    struct batch *b = mem_alloc(sizeof(*b) + p->count * sizeof(b->waiters[0]));

    *b = (struct batch){.index = up->proposed_index, .term = up->proposed_term, .count = p->count};
    memcpy(b->waiters, p->waiters, p->count * sizeof(b->waiters[0]));
    if (p->flying)
        p->flying_last->next = b;
    else
        p->flying = b;
    p->flying_last = b;
    clear_gathered(p);
    proposals_wrote(p, up);
}

void proposals_wrote(struct proposals *p, const struct raft_update *up)
{
    if (up->write_id != 0)
        p->proposed_write = up->write_id;
}

void proposals_durable(struct proposals *p, uint64_t write_id)
{
    p->durable_write = write_id;
}

static struct batch *pop(struct proposals *p)
{
    struct batch *b = p->flying;

    p->flying = b->next;
    b->next = NULL;
    return b;
}

static void fail_batch(struct batch *b, proposals_fail_fn fail, void *ctx)
{
    for (unsigned i = 0; i < b->count; i++)
        fail(ctx, b->waiters[i], DFS_EUNKNOWN_OUTCOME);
    free(b);
}

struct batch *proposals_take(struct proposals *p, uint64_t index, uint64_t term,
                             proposals_fail_fn fail, void *ctx)
{
    while (p->flying && p->flying->index <= index) {
        struct batch *b = pop(p);

        if (b->index == index && b->term == term)
            return b;
        fail_batch(b, fail, ctx);
    }
    return NULL;
}

void proposals_fail_gathered(struct proposals *p, int status, proposals_fail_fn fail, void *ctx)
{
    for (unsigned i = 0; i < p->count; i++)
        fail(ctx, p->waiters[i], status);
    clear_gathered(p);
}

void proposals_fail_all(struct proposals *p, proposals_fail_fn fail, void *ctx)
{
    while (p->flying)
        fail_batch(pop(p), fail, ctx);
    proposals_fail_gathered(p, DFS_ENOTLEADER, fail, ctx);
}
