/*
 * A number over all of the box that decides its future and what will be said of its past: two states
 * with the same one need to be explored but once. What only counts upward (connections, hellos, waiters,
 * joins) is told by whether it is the present one.
 */
#include "common/hash.h"
#include "datanode/chain_private.h"
#include "tests/sim/box.h"

static uint64_t mix(uint64_t h, uint64_t v)
{
    return hash64(&v, sizeof(v), h);
}

static uint64_t hash_config(uint64_t h, const struct chain_config *c)
{
    h = mix(h, c->epoch << 16 | c->fence_version);
    for (uint32_t i = 0; i < c->member_count; i++) {
        h = mix(h, (uint64_t)c->members[i].target.v << 8 | (uint64_t)c->members[i].state);
        h = mix(h, c->members[i].incarnation);
    }
    return h;
}

static uint64_t hash_chunk(uint64_t h, const struct box_chunk *k)
{
    h = mix(h, (uint64_t)k->exists << 3 | (uint64_t)k->tombstone << 2 |
                   (uint64_t)k->incomplete << 1 | k->clean);
    h = mix(mix(h, k->len), k->ver.epoch << 32 | k->ver.seq);
    return hash64(k->cells, sizeof(k->cells), h);
}

static uint64_t hash_snapshot(uint64_t h, const struct chain_snapshot *s)
{
    uint64_t sessions = 0;

    h = mix(mix(h, s->recv_seq << 32 | s->resend_from), s->fence_version << 8 | s->fenced_count);
    for (size_t i = 0; i < s->session_count; i++)
        sessions += mix(hash64(s->sessions[i].executed, sizeof(s->sessions[i].executed),
                               s->sessions[i].session.v),
                        s->sessions[i].floor);
    return mix(h, sessions);
}

/* `from` is who connected. */
static uint64_t hash_msg(uint64_t h, const struct box *b, int from, int to, const struct box_msg *m)
{
    const struct box_member *a = &b->members[from], *z = &b->members[to];

    h = mix(h, (uint64_t)m->kind << 32 | m->seq);
    h = mix(h, m->epoch << 32 | m->orig_epoch);
    h = mix(h, m->op != NULL ? (uint64_t)(uintptr_t)m->op->payload : 0);
    h = mix(h, (uint64_t)(unsigned)m->status << 32 | m->crc);
    h = mix(h, (uint64_t)m->chunk << 48 | (uint64_t)m->offset << 24 | m->len);
    if (m->kind == BOX_HELLO || m->kind == BOX_HELLO_ACK || m->kind == BOX_HELLO_REFUSED) {
        h = mix(h, (a->alive && a->chain->hello_id == m->hello_id) << 1 |
                       (m->incarnation == z->incarnation));
        h = hash_config(h, &m->config);
        return hash64(m->seqs, m->seq_count * sizeof(*m->seqs), h);
    }
    if (m->kind == BOX_BEGIN || m->kind == BOX_SNAPSHOT)
        return hash_snapshot(mix(h, z->alive && z->chain->begin_waiter == m->waiter), &m->snapshot);
    if (m->kind == BOX_OP || m->kind == BOX_ACK)
        return h;
    h = mix(h, m->join == z->join_id);
    if (m->kind == BOX_CRCS || m->kind == BOX_DATA)
        h = hash_chunk(h, &m->copy);
    for (int k = 0; m->kind == BOX_LIST && k < BOX_CHUNKS; k++)
        h = hash_chunk(h, &m->all[k]);
    return h;
}

static uint64_t hash_queue(uint64_t h, const struct box *b, int from, int to,
                           const struct box_msg *q)
{
    for (const struct box_msg *m = q; m != NULL; m = m->next)
        h = hash_msg(h, b, from, to, m);
    return mix(h, 77);
}

static uint64_t hash_io(uint64_t h, const struct box *b, int member, const struct box_io *io)
{
    h = mix(h, (uint64_t)io->kind << 32 | io->chunk);
    h = mix(h, io->ver.epoch << 32 | io->ver.seq);
    h = mix(h, io->op != NULL ? (uint64_t)(uintptr_t)io->op->payload : 0);
    h = mix(h, (uint64_t)io->offset << 32 | io->len);
    switch (io->kind) {
    case BOX_IO_OP:
        return mix(h, window_find_io(&b->members[member].chain->window, io->io_id) != NULL);
    case BOX_IO_READ:
        return mix(h, (uint64_t)b->waiters[io->waiter].op);
    case BOX_IO_CRCS:
    case BOX_IO_DATA: /* The asker's join, and the connection it asked on. */
        h = mix(h, (uint64_t)io->peer << 2 |
                       (uint64_t)(b->members[io->peer].join_id == io->waiter) << 1 |
                       (b->conns[member][io->peer].generation == io->epoch));
        return h;
    case BOX_IO_OWN_CRCS:
    case BOX_IO_COPY:
    case BOX_IO_TRUNCATE:
    case BOX_IO_INCOMPLETE:
    case BOX_IO_COMPLETE:
    case BOX_IO_DELETE:
    case BOX_IO_FORGET:
        h = mix(h, (uint64_t)io->forget << 1 | (b->members[member].join_id == io->epoch));
        return hash64(io->cells, sizeof(io->cells), h);
    }
    return h;
}

/* In which epoch those who wait were sent. */
static uint64_t hash_waiters(uint64_t h, const struct box *b, const struct chain *c)
{
    for (const struct unstable *u = c->window.unstable; u != NULL; u = u->next) {
        for (size_t i = 0; i < u->waiter_count; i++)
            h = mix(h, b->waiters[u->waiters[i]].epoch);
    }
    for (const struct parked *p = c->window.parked; p != NULL; p = p->next)
        h = mix(h, b->waiters[p->waiter].epoch);
    for (const struct parked_read *r = c->window.reads; r != NULL; r = r->next)
        h = mix(h, (uint64_t)b->waiters[r->waiter].op);
    return h;
}

static uint64_t hash_member(uint64_t h, const struct box *b, int i)
{
    const struct box_member *m = &b->members[i];

    h = mix(h, (uint64_t)m->alive << 1 | b->pushed[i]);
    h = mix(mix(h, m->incarnation), b->synced_epoch[i]);
    if (m->alive) {
        h = hash_waiters(mix(h, chain_state_hash(m->chain)), b, m->chain);
        if (m->chain->begin_waiter != 0) {
            const struct box_waiter *w = &b->waiters[m->chain->begin_waiter];

            h = mix(h, b->conns[w->from][i].generation == w->generation);
        }
        h = mix(h, m->chain->copy_waiter != 0 && m->chain->copy_waiter == m->copy_waiter);
    }
    if (m->join != NULL)
        h = mix(mix(h, join_state_hash(m->join)), (uint64_t)m->join_source);
    h = hash64(m->marked, m->marked_count * sizeof(*m->marked), h);
    h = hash64(m->applied, sizeof(m->applied[0]) * (size_t)b->op_count, h);
    for (int k = 0; k < BOX_CHUNKS; k++)
        h = hash_chunk(h, &m->disk[k]);
    for (const struct box_io *io = m->ios; io != NULL; io = io->next)
        h = hash_io(h, b, i, io);
    for (int k = 0; k < BOX_MEMBERS; k++) {
        h = mix(h, (uint64_t)b->conns[i][k].up << 1 | b->conns[i][k].down_pending);
        h = hash_queue(h, b, i, k, b->conns[i][k].forth);
        h = hash_queue(h, b, i, k, b->conns[i][k].back);
    }
    return h;
}

/* Of the past counts what came before what: the registers are checked by that. */
static uint64_t hash_op(uint64_t h, const struct box *b, const struct box_op *o)
{
    uint64_t before = 0;

    for (int i = 0; i < b->op_count; i++)
        before |= (uint64_t)(o->answered != 0 && o->answered < b->ops[i].invoked) << i % 64;
    h = mix(h, (uint64_t)o->acked << 2 | (uint64_t)o->refused << 1 | (o->answered != 0));
    h = mix(mix(h, before), o->sent_epoch << 32 | o->acked_epoch);
    return o->is_read ? hash64(o->values, sizeof(o->values), h) : h;
}

uint64_t box_hash(const struct box *b)
{
    uint64_t h = hash_config(1, &b->config), mails = 0;

    for (int i = 0; i < BOX_MEMBERS; i++)
        h = hash_member(h, b, i);
    for (const struct box_mail *m = b->mail; m != NULL; m = m->next)
        mails +=
            hash64(m->values, sizeof(m->values),
                   mix((uint64_t)m->is_reply << 20 | (uint64_t)m->member << 10 | (uint64_t)m->op,
                       m->epoch << 32 | (uint32_t)m->status));
    h = mix(h, mails);
    for (int i = 0; i < b->op_count; i++)
        h = hash_op(h, b, &b->ops[i]);
    for (unsigned i = 0; i < b->o.clients; i++)
        h = hash_config(mix(h, (uint64_t)(unsigned)b->clients[i].current), &b->clients[i].config);
    return h;
}
