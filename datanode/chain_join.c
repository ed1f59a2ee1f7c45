/*
 * Joining: the predecessor, which is the tail, says hello; the joiner first fetches its table of
 * executed operations, then lets operations in, then copies what it lacks (join.c), and is synced.
 * Nothing of an attempt that broke off is kept.
 */
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/mem.h"
#include "datanode/chain_private.h"

#include <errno.h>

void chain_join_reset(struct chain *c, struct chain_actions *out)
{
    struct chain_action *a;

    if (c->begin_waiter != 0) {
        a = chain_emit(out, c, CHAIN_ACT_HELLO_REFUSE);
        a->waiter = c->begin_waiter;
        a->status = -EAGAIN;
    }
    if (c->copy_waiter != 0)
        (void)chain_emit(out, c, CHAIN_ACT_SYNC_STOP);
    c->begin_waiter = 0;
    c->copy_waiter = 0;
    c->begun = false;
    c->synced = false;
    while (c->window.unstable != NULL) /* A joiner has no clients: nobody waits for these. */
        window_remove(&c->window, c->window.unstable);
}

void chain_on_snapshot(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    const struct chain_snapshot *s = ev->snapshot;
    struct chain_action *a;

    if (c->place.role != CHAIN_SYNCING || ev->epoch != c->config.epoch || ev->waiter == 0 ||
        ev->waiter != c->begin_waiter)
        return;

    dedup_done(&c->dedup);
    dedup_init(&c->dedup);
    for (size_t i = 0; i < s->session_count; i++)
        dedup_put(&c->dedup, s->sessions[i].session, s->sessions[i].floor, s->sessions[i].executed,
                  c->now_ms);
    for (size_t i = 0; i < s->fenced_count; i++)
        chain_fence_add(c, (struct session_id){s->fenced[i]});
    c->fences_known = MAX(c->fences_known, s->fence_version);
    c->recv_seq = s->resend_from;
    c->gap_end = MAX(s->recv_seq, s->resend_from);
    c->begun = true;
    c->begin_waiter = 0;
    c->copy_waiter = ev->waiter;

    a = chain_emit(out, c, CHAIN_ACT_HELLO_ACK);
    a->waiter = ev->waiter;
    a->seq = c->recv_seq;
    a = chain_emit(out, c, CHAIN_ACT_SYNC_COPY);
    a->to = c->place.pred.target;
    a->waiter = ev->waiter;
}

void chain_on_sync_done(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    (void)out;
    if (c->place.role != CHAIN_SYNCING || ev->waiter == 0 || ev->waiter != c->copy_waiter)
        return;
    c->synced = true;
    c->copy_waiter = 0; /* A later stop has nothing to stop. */
    /* What was stable at the source before we began was never sent: it was copied. */
    c->recv_seq = MAX(c->recv_seq, c->gap_end);
}

void chain_on_sync_failed(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    if (c->place.role != CHAIN_SYNCING || ev->waiter == 0)
        return;
    if (ev->waiter == c->begin_waiter) { /* Its hello is refused, and comes again. */
        chain_join_reset(c, out);
        return;
    }
    if (ev->waiter != c->copy_waiter)
        return;
    c->copy_waiter = 0; /* It has stopped by itself. */
    chain_join_reset(c, out);
    chain_send_ack(c, 0, 0, -EAGAIN, out);
}

/* ---- at the source ---- */

static void forget_unstable(const struct chain *c, struct chain_snapshot_session *s)
{
    const struct unstable *u;

    for (u = c->window.unstable; u != NULL; u = u->next) {
        uint64_t i = u->op->opseq - s->floor;

        if (ID_EQUAL(u->op->session, s->session) && u->op->opseq >= s->floor && i < DEDUP_WINDOW)
            s->executed[i / 8] &= (uint8_t) ~(1u << (i % 8));
    }
}

void chain_snapshot_make(const struct chain *c, struct chain_snapshot *ret_snapshot)
{
    struct chain_snapshot s = {0};
    const struct dedup_session *d;
    const struct chain_fence *f;

    _Static_assert(sizeof(s.sessions[0].executed) == DEDUP_BYTES, "one bit for each opseq");
    s.recv_seq = MAX(c->recv_seq, c->gap_end);
    s.resend_from = c->window.unstable != NULL ? c->window.unstable->seq - 1 : s.recv_seq;
    s.fence_version = c->fences_known;

    s.sessions = mem_zalloc(HASH_COUNT(c->dedup.sessions) + 1, sizeof(*s.sessions));
    for (d = c->dedup.sessions; d != NULL; d = d->hh.next) {
        struct chain_snapshot_session *t = &s.sessions[s.session_count];

        if (CHAIN_MUTANT(c, MUTANT_SNAPSHOT_WITHOUT_DEDUP))
            break;
        t->session = d->session;
        t->floor = d->floor;
        memcpy(t->executed, d->executed, DEDUP_BYTES);
        forget_unstable(c, t);
        s.session_count++;
    }

    s.fenced = mem_zalloc(HASH_COUNT(c->fences) + 1, sizeof(*s.fenced));
    for (f = c->fences; f != NULL; f = f->hh.next)
        s.fenced[s.fenced_count++] = f->session.v;
    *ret_snapshot = s;
}

void chain_snapshot_done(struct chain_snapshot *s)
{
    free(s->sessions);
    free(s->fenced);
    *s = (struct chain_snapshot){0};
}

/* ---- for the exploration ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    return hash64(&v, sizeof(v), h);
}

static uint64_t hash_op(uint64_t h, const struct chain_op *op)
{
    h = mix(h, (uint64_t)op->kind << 32 | op->offset);
    h = mix(h, op->session.v);
    h = mix(h, op->opseq << 32 | op->floor);
    return mix(h, op->chunk.v);
}

static uint64_t hash_window(uint64_t h, const struct window *w)
{
    for (const struct unstable *u = w->unstable; u != NULL; u = u->next) {
        h = hash_op(mix(h, u->seq << 8 | u->orig_epoch), u->op);
        h = mix(h, (uint64_t)u->applied << 2 | (uint64_t)u->acked << 1 | u->diverged);
        h = mix(h, u->waiter_count); /* Their numbers say nothing about the future. */
    }
    for (const struct parked *p = w->parked; p != NULL; p = p->next)
        h = hash_op(mix(h, p->epoch), p->op);
    for (const struct parked_read *r = w->reads; r != NULL; r = r->next)
        h = mix(mix(h, r->offset), r->chunk.v);
    return h;
}

uint64_t chain_state_hash(const struct chain *c)
{
    uint64_t h = mix(0, c->config.epoch), tables = 0;

    for (uint32_t i = 0; i < c->config.member_count; i++) {
        const struct chain_member *m = &c->config.members[i];

        h = mix(mix(h, (uint64_t)m->target.v << 8 | (uint64_t)m->state), m->incarnation);
    }
    h = mix(h, c->config.reset_epoch << 32 | c->config.cold_epoch);
    h = mix(h, (uint64_t)c->place.role << 8 | (uint64_t)c->link);
    h = mix(h, c->recv_seq << 16 | c->gap_end);
    h = mix(h, (uint64_t)c->failed << 3 | (uint64_t)c->begun << 2 | (uint64_t)c->synced << 1 |
                   (c->left_in_epoch != 0));
    h = mix(h, (uint64_t)(c->begin_waiter != 0) << 1 | (c->copy_waiter != 0));
    h = mix(h, c->fences_known);
    /* Tables hash the same in whatever order they were filled. */
    for (const struct dedup_session *d = c->dedup.sessions; d != NULL; d = d->hh.next)
        tables += mix(hash64(d->executed, sizeof(d->executed), d->session.v), d->floor);
    for (const struct chain_fence *f = c->fences; f != NULL; f = f->hh.next)
        tables += mix(1, f->session.v);
    return hash_window(mix(h, tables), &c->window);
}
