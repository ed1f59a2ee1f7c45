/* What may happen next in the box, and making it happen. */
#include "tests/sim/box.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/error.h"
#include "common/mem.h"
#include "datanode/chain_private.h"
#include "tests/sim/box_store.h"

static struct box_mail *mail_at(const struct box *b, int n)
{
    struct box_mail *m = b->mail;

    while (m != NULL && n-- > 0)
        m = m->next;
    return m;
}

static void add(struct box_choice *out, unsigned *count, enum box_choice_kind kind, int x, int y,
                int n)
{
    if (*count < BOX_CHOICES_MAX)
        out[(*count)++] = (struct box_choice){kind, x, y, n};
}

static bool sent(const struct box *b, int op);

/* A client that was refused tries again; here, only once that can succeed. */
static bool head_is_ready(struct box *b)
{
    const struct box_member *head = box_member_of(b, chain_config_head(&b->config));

    return head != NULL && head->alive && chain_place_of(head->chain)->is_head &&
           chain_config_of(head->chain)->epoch == b->config.epoch;
}

static bool waits_to_retry(struct box *b, int x)
{
    const struct chain *c = b->members[x].chain;
    const struct box_member *succ;

    if (!b->members[x].alive || c->link != LINK_DOWN)
        return false;
    succ = box_member_of(b, c->place.succ.target);
    return succ->alive && succ->incarnation == c->place.succ.incarnation &&
           chain_config_of(succ->chain)->epoch <= c->config.epoch;
}

unsigned box_moves(struct box *b, struct box_choice out[BOX_CHOICES_MAX])
{
    unsigned count = 0;
    int n = 0;

    for (int x = 0; x < BOX_MEMBERS; x++) {
        for (int y = 0; y < BOX_MEMBERS; y++) {
            if (b->conns[x][y].forth != NULL)
                add(out, &count, BOX_DELIVER_FORTH, x, y, 0);
            if (b->conns[x][y].back != NULL)
                add(out, &count, BOX_DELIVER_BACK, x, y, 0);
            if (b->conns[x][y].down_pending)
                add(out, &count, BOX_DELIVER_DOWN, x, y, 0);
        }
        for (unsigned i = 0; i < box_io_possible(b, x); i++)
            add(out, &count, BOX_DISK, x, 0, (int)i);
        if (!b->members[x].alive || b->config.epoch == 0)
            continue;
        if (!b->pushed[x] && box_nn_reaches(b, x))
            add(out, &count, BOX_PUSH, x, 0, 0);
        if (b->nn != NULL)
            continue;
        if (chain_is_synced(b->members[x].chain) &&
            chain_config_of(b->members[x].chain)->epoch == b->config.epoch &&
            b->synced_epoch[x] != b->config.epoch)
            add(out, &count, BOX_HEARD, x, 0, 0);
        if (box_may_promote(b, x))
            add(out, &count, BOX_PROMOTE, x, 0, 0);
    }
    for (struct box_mail *m = b->mail; m != NULL; m = m->next)
        add(out, &count, BOX_MAIL, 0, 0, n++);
    for (unsigned i = 0; i < b->o.clients; i++) {
        struct box_client *c = &b->clients[i];

        if (c->config.epoch != b->config.epoch)
            add(out, &count, BOX_REFRESH, (int)i, 0, 0);
        else if (c->current >= 0 && !sent(b, c->current) && head_is_ready(b))
            add(out, &count, BOX_SEND, (int)i, 0, 0);
    }
    if (b->fence_op >= 0 && !sent(b, b->fence_op) && head_is_ready(b))
        add(out, &count, BOX_SEND, -1, 0, 0);
    /* Time passes only when nothing else can, and somebody's second attempt can succeed. */
    for (int x = 0; x < BOX_MEMBERS && count == 0 && b->nn == NULL; x++) {
        if (waits_to_retry(b, x))
            add(out, &count, BOX_TICK, x, 0, 0);
    }
    return count;
}

/* Is some copy of it on its way or in a member's hands, in the newest epoch? */
static bool sent(const struct box *b, int op)
{
    return b->ops[op].answered != 0 || b->ops[op].sent_epoch == b->config.epoch;
}

static void do_send(struct box *b, int client)
{
    int op = client < 0 ? b->fence_op : b->clients[client].current;
    const struct chain_config *c = client < 0 ? &b->config : &b->clients[client].config;
    struct box_member *head = box_member_of(b, chain_config_head(c));

    if (op < 0 || head == NULL)
        return;
    if (b->ops[op].sent_epoch != 0)
        b->sometimes.resent++;
    b->ops[op].sent_epoch = c->epoch;
    box_send(b, op, (int)(head - b->members), c->epoch);
}

static void do_mail(struct box *b, int n)
{
    struct box_mail *m = mail_at(b, n);
    struct box_waiter *w;
    struct chain_event ev = {0};

    if (m == NULL)
        return;
    DL_DELETE(b->mail, m);
    if (b->tells)
        printf("       %s op %d at %d status %d\n", m->is_reply ? "reply" : "ask", m->op, m->member,
               m->status);
    if (m->is_reply) {
        box_answered(b, m);
        free(m);
        return;
    }
    if (b->members[m->member].alive) {
        struct box_op *o = &b->ops[m->op];

        w = box_waiter_new(b, &ev.waiter);
        w->op = m->op;
        w->member = m->member;
        w->epoch = m->epoch;
        ev.epoch = m->epoch;
        if (o->is_read) {
            ev.kind = CHAIN_EV_READ;
            ev.chunk.v = o->chunk + 1;
            ev.offset = o->first_cell * BOX_CELL_BYTES;
            ev.len = CHUNK_BLOCK_SIZE;
        } else {
            ev.kind = CHAIN_EV_CLIENT_OP;
            ev.op = o->op;
        }
        box_step(b, m->member, &ev);
    }
    free(m);
}

static void do_lose(struct box *b, int n)
{
    struct box_mail *m = mail_at(b, n);

    if (m == NULL)
        return;
    if (!b->ops[m->op].is_read)
        b->ops[m->op].sent_epoch = 0;
    else
        b->ops[m->op].refused = true;
    DL_DELETE(b->mail, m);
    free(m);
}

static void do_clean(struct box *b, int m, int chunk)
{
    struct box_chunk *k = &b->members[m].disk[chunk];

    if (b->members[m].store != NULL) {
        box_store_idle(b->members[m].store);
        return;
    }
    for (struct box_io *io = b->members[m].ios; io != NULL; io = io->next) {
        if (io->chunk == (uint32_t)chunk)
            return;
    }
    if (k->exists && !k->incomplete)
        k->clean = true;
}

static const char *const names[] = {
    "forth",   "back", "down",    "disk",  "mail",  "push",    "heard",
    "promote", "send", "refresh", "break", "crash", "restart", "remove",
    "add",     "tick", "lose",    "clean", "write", "read",    "fence",
};

void box_do(struct box *b, struct box_choice c)
{
    b->now++;
    if (b->tells)
        printf("%6" PRIu64 " %s %d %d %d\n", b->now, names[c.kind], c.a, c.b, c.n);
    switch (c.kind) {
    case BOX_DELIVER_FORTH:
    case BOX_DELIVER_BACK:
        box_deliver(b, c.a, c.b, c.kind == BOX_DELIVER_FORTH);
        break;
    case BOX_DELIVER_DOWN:
        box_deliver_down(b, c.a, c.b);
        break;
    case BOX_DISK:
        box_io_do(b, c.a, (unsigned)c.n);
        break;
    case BOX_MAIL:
        do_mail(b, c.n);
        break;
    case BOX_PUSH:
        box_push(b, c.a);
        break;
    case BOX_HEARD:
        if (b->members[c.a].alive && chain_is_synced(b->members[c.a].chain))
            b->synced_epoch[c.a] = chain_config_of(b->members[c.a].chain)->epoch;
        break;
    case BOX_PROMOTE:
        if (box_may_promote(b, c.a)) {
            box_move_member(b, c.a, MEMBER_SERVING);
            b->sometimes.promoted++;
        }
        break;
    case BOX_SEND:
        do_send(b, c.a);
        break;
    case BOX_REFRESH:
        b->clients[c.a].config = b->config;
        break;
    case BOX_BREAK:
        box_conn_break(b, c.a, c.b);
        break;
    case BOX_CRASH:
        for (int i = 0; i < c.n && box_io_possible(b, c.a) > 0; i++)
            box_io_do(b, c.a, 0);
        if (c.b != 0)
            box_power_off(b, c.a);
        else
            box_crash(b, c.a);
        break;
    case BOX_RESTART:
        box_restart(b, c.a);
        break;
    case BOX_REMOVE:
        box_move_member(b, c.a, MEMBER_OFFLINE);
        break;
    case BOX_ADD:
        box_move_member(b, c.a, MEMBER_SYNCING);
        break;
    case BOX_TICK:
        b->clock_ms += 250; /* As long as one waits between two attempts. */
        box_tick(b, c.a, b->clock_ms);
        break;
    case BOX_LOSE:
        do_lose(b, c.n);
        break;
    case BOX_CLEAN:
        do_clean(b, c.a, c.n);
        break;
    case BOX_WRITE:
    case BOX_READ:
        break; /* They need arguments: box_write(), box_read(). */
    case BOX_FENCE:
        box_fence(b, c.a);
        break;
    }
    box_check(b);
}

void box_settle(struct box *b)
{
    static const unsigned max = 100000;
    struct box_choice moves[BOX_CHOICES_MAX];

    for (unsigned i = 0; i < max && b->violation == NULL; i++) {
        if (box_moves(b, moves) == 0)
            return;
        box_do(b, moves[0]);
    }
    box_violate(b, "it does not come to rest", "after %u moves", max);
}

bool box_is_idle(const struct box *b)
{
    for (unsigned i = 0; i < b->o.clients; i++) {
        if (b->clients[i].current >= 0)
            return false;
    }
    return b->fence_op < 0;
}
