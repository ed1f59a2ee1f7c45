/*
 * The neighbours. To the successor: HELLO, then everything it lacks, then each operation as it gets
 * its place. From the predecessor: the same, and acknowledgements back.
 */
#include <errno.h>

#include "common/error.h"
#include "common/mem.h"
#include "datanode/chain_private.h"

static uint64_t *unstable_seqs(const struct chain *c)
{
    const struct unstable *u;
    uint64_t *seqs;
    size_t i = 0;

    if (c->window.unstable_count == 0)
        return NULL;
    seqs = mem_realloc(NULL, c->window.unstable_count, sizeof(*seqs));
    for (u = c->window.unstable; u != NULL; u = u->next)
        seqs[i++] = u->seq;
    return seqs;
}

void chain_link_start(struct chain *c, struct chain_actions *out)
{
    struct chain_action *a = chain_emit(out, c, CHAIN_ACT_HELLO);

    c->hello_id = ++c->next_hello_id;
    c->link = LINK_HELLO;
    c->link_since_ms = c->now_ms;
    c->succ_free = UINT64_MAX;
    a->to = c->place.succ.target;
    a->hello_id = c->hello_id;
    a->seqs = unstable_seqs(c);
    a->seq_count = c->window.unstable_count;
}

static void link_wait(struct chain *c)
{
    c->link = LINK_DOWN;
    c->retry_at_ms = c->now_ms + c->o.retry_ms;
}

/* A connection that broke may only have broken: it is tried again before anyone is accused. */
void chain_link_lost(struct chain *c, struct chain_actions *out)
{
    switch (c->link) {
    case LINK_UP:
        chain_link_start(c, out);
        return;
    case LINK_HELLO:
        chain_accuse(c, c->place.succ.target, "it cannot be reached", out);
        link_wait(c);
        return;
    case LINK_NONE:
    case LINK_DOWN:
        return;
    }
}

/* How many stand below us: their acknowledgements are late together, and the lowest accuses first.
 */
static uint64_t below_count(const struct chain *c)
{
    uint64_t n = 0;
    bool below = false;

    for (uint32_t i = 0; i < c->config.member_count; i++) {
        const struct chain_member *m = &c->config.members[i];

        if (ID_EQUAL(m->target, c->o.self))
            below = true;
        else if (below && m->state != MEMBER_OFFLINE)
            n++;
    }
    return n;
}

static bool ack_is_due(const struct chain *c)
{
    const struct unstable *u;

    for (u = c->window.unstable; u != NULL; u = u->next) {
        if (!u->acked)
            return true;
    }
    return false;
}

static void watch_successor(struct chain *c, struct chain_actions *out)
{
    uint64_t silent_ms = c->now_ms - c->link_since_ms;

    switch (c->link) {
    case LINK_NONE:
        return;
    case LINK_DOWN:
        if (c->now_ms >= c->retry_at_ms)
            chain_link_start(c, out);
        return;
    case LINK_HELLO:
        if (silent_ms < c->o.stuck_ms)
            return;
        chain_accuse(c, c->place.succ.target, "it does not answer", out);
        chain_link_start(c, out);
        return;
    case LINK_UP:
        if (!ack_is_due(c) || !chain_config_writable(&c->config)) {
            c->link_since_ms = c->now_ms;
            return;
        }
        if (silent_ms < c->o.stuck_ms * below_count(c))
            return;
        chain_accuse(c, c->place.succ.target, "it acknowledges nothing", out);
        c->link_since_ms = c->now_ms;
        return;
    }
}

uint64_t chain_free_below(const struct chain *c)
{
    if (ID_IS_NONE(c->place.succ.target))
        return c->own_free;
    return MIN(c->own_free, c->succ_free);
}

void chain_link_tick(struct chain *c, struct chain_actions *out)
{
    uint64_t bytes_free = chain_free_below(c);

    if (c->place.role == CHAIN_OUT)
        return;
    watch_successor(c, out);
    /* No acknowledgement flows while the head refuses to write: tell it when there is room again.
     */
    if (!ID_IS_NONE(c->place.pred.target) &&
        (bytes_free < CHUNK_OP_MAX) != (c->told_free < CHUNK_OP_MAX))
        chain_send_ack(c, 0, 0, 0, out);
}

void chain_send_ack(struct chain *c, uint64_t seq, uint32_t crc, int status,
                    struct chain_actions *out)
{
    struct chain_action *a = chain_emit(out, c, CHAIN_ACT_SEND_ACK);

    a->to = c->place.pred.target;
    a->seq = seq;
    a->crc = crc;
    a->status = status;
    a->bytes_free = chain_free_below(c);
    c->told_free = a->bytes_free;
}

/* ---- as predecessor ---- */

void chain_on_hello_ack(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    struct unstable *u;

    if (c->link != LINK_HELLO || ev->hello_id != c->hello_id)
        return;
    if (ev->seq > c->recv_seq) {
        chain_accuse(c, c->place.succ.target, "it has more than we ever had", out);
        (void)chain_emit(out, c, CHAIN_ACT_ASK_CONFIG);
        link_wait(c);
        return;
    }

    c->link = LINK_UP;
    c->link_since_ms = c->now_ms;
    for (u = c->window.unstable; u != NULL; u = u->next) {
        struct chain_action *a;

        if (u->seq <= ev->seq || CHAIN_MUTANT(c, MUTANT_RESEND_WITHOUT_SEQ))
            continue;
        a = chain_emit(out, c, CHAIN_ACT_SEND_OP);
        a->to = c->place.succ.target;
        a->seq = u->seq;
        a->orig_epoch = u->orig_epoch;
        a->op = chain_op_ref(u->op);
        c->counters.resent++;
    }
    chain_let_in(c, out);
}

void chain_on_hello_refused(struct chain *c, const struct chain_event *ev,
                            struct chain_actions *out)
{
    if (c->link != LINK_HELLO || ev->hello_id != c->hello_id)
        return;
    if (ev->status == DFS_ENOTHEAD)
        chain_accuse(c, c->place.succ.target, "it denies that it is a member", out);
    (void)chain_emit(out, c, CHAIN_ACT_ASK_CONFIG);
    link_wait(c);
}

void chain_on_ack(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    struct unstable *u;

    if (c->place.role == CHAIN_OUT || ev->epoch != c->config.epoch ||
        !ID_EQUAL(ev->from, c->place.succ.target))
        return;
    c->counters.acks_received++;
    c->link_since_ms = c->now_ms;
    c->succ_free = ev->bytes_free;
    if (ev->status < 0) { /* It lacks something from here on: only a new hello can mend that. */
        if (ev->status != -EAGAIN)
            chain_accuse(c, ev->from, "it could not take an operation", out);
        if (c->link == LINK_UP)
            link_wait(c);
        return;
    }
    u = ev->seq != 0 ? window_find(&c->window, ev->seq) : NULL;
    if (u == NULL)
        return;
    u->acked = true;
    u->succ_crc = ev->crc;
    chain_settle_one(c, u, out);
    chain_let_in(c, out);
}

/* ---- as successor ---- */

static void refuse_hello(struct chain *c, uint64_t waiter, int status, struct chain_actions *out)
{
    struct chain_action *a = chain_emit(out, c, CHAIN_ACT_HELLO_REFUSE);

    a->waiter = waiter;
    a->status = status;
}

static int hello_check(const struct chain *c, const struct chain_event *ev)
{
    if (ev->epoch < c->config.epoch)
        return DFS_ESTALE_EPOCH;
    if (ev->incarnation != c->o.incarnation && !CHAIN_MUTANT(c, MUTANT_ANY_INCARNATION))
        return DFS_ENOTHEAD;
    if (ev->epoch > c->config.epoch) /* Its configuration should have come first. */
        return -EAGAIN;
    if (c->place.role == CHAIN_OUT || !ID_EQUAL(ev->from, c->place.pred.target))
        return DFS_ENOTHEAD;
    return 0;
}

static void begin_join(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    struct chain_action *a;

    chain_join_reset(c, out);
    c->begin_waiter = ev->waiter;
    a = chain_emit(out, c, CHAIN_ACT_SYNC_BEGIN);
    a->to = ev->from;
    a->waiter = ev->waiter;
}

void chain_on_hello(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    struct chain_action *a;
    int r = hello_check(c, ev);

    if (r < 0) {
        if (r == -EAGAIN)
            (void)chain_emit(out, c, CHAIN_ACT_ASK_CONFIG);
        refuse_hello(c, ev->waiter, r, out);
        return;
    }
    if (c->place.role == CHAIN_SYNCING && !c->synced) {
        begin_join(c, ev, out);
        return;
    }

    a = chain_emit(out, c, CHAIN_ACT_HELLO_ACK);
    a->waiter = ev->waiter;
    a->seq = c->recv_seq;
    /* Acknowledgements that were lost with an older connection. */
    for (size_t i = 0; i < ev->count; i++) {
        if (ev->seqs[i] <= c->recv_seq && window_find(&c->window, ev->seqs[i]) == NULL)
            chain_send_ack(c, ev->seqs[i], 0, 0, out);
    }
}

static bool from_predecessor(struct chain *c, const struct chain_event *ev,
                             struct chain_actions *out)
{
    if (CHAIN_MUTANT(c, MUTANT_ANY_EPOCH) && c->place.role != CHAIN_OUT)
        return true;
    if (ev->epoch > c->config.epoch)
        (void)chain_emit(out, c, CHAIN_ACT_ASK_CONFIG);
    return c->place.role != CHAIN_OUT && ev->epoch == c->config.epoch &&
           ID_EQUAL(ev->from, c->place.pred.target);
}

void chain_on_op(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    if (!from_predecessor(c, ev, out))
        return;
    if (c->place.role == CHAIN_SYNCING && !c->begun)
        return;
    if (ev->seq <= c->recv_seq) {
        if (window_find(&c->window, ev->seq) == NULL)
            chain_send_ack(c, ev->seq, 0, 0, out);
        return;
    }
    if (ev->seq > MAX(c->recv_seq, c->gap_end) + 1) {
        chain_send_ack(c, 0, 0, -EAGAIN, out);
        return;
    }
    c->counters.ops_received++;
    chain_enqueue(c, ev->seq, ev->orig_epoch, ev->op, 0, out);
}

/* Who is to blame, its memory or the link, the namenode decides: the sender will accuse us too. */
void chain_on_bad_op(struct chain *c, const struct chain_event *ev, struct chain_actions *out)
{
    if (!from_predecessor(c, ev, out))
        return;
    chain_send_ack(c, ev->seq, 0, -EBADMSG, out);
    chain_accuse(c, ev->from, "it sent damaged data", out);
}
