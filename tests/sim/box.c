/* Members, network and namenode of the box. */
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
#include "common/slab.h"
#include "datanode/chain_private.h"
#include "tests/sim/box_store.h"

void box_violate(struct box *b, const char *what, const char *fmt, ...)
{
    va_list ap;

    if (b->violation != NULL)
        return;
    b->violation = what;
    va_start(ap, fmt);
    (void)vsnprintf(b->what, sizeof(b->what), fmt, ap);
    va_end(ap);
}

/* ---- the network ---- */

static void msg_free(struct box_msg *m)
{
    chain_op_unref(m->op);
    free(m->seqs);
    free(m->wire);
    chain_snapshot_done(&m->snapshot);
    free(m);
}

static void queue_clear(struct box_msg **q)
{
    while (*q != NULL) {
        struct box_msg *m = *q;

        DL_DELETE(*q, m);
        msg_free(m);
    }
}

void box_post(struct box *b, int from, int to, bool forth, const struct box_msg *m)
{
    struct box_conn *c = forth ? &b->conns[from][to] : &b->conns[to][from];
    struct box_msg *copy;

    if (!c->up)
        return;
    copy = MEM_NEW(struct box_msg);
    *copy = *m;
    if (copy->op != NULL)
        chain_op_ref(copy->op);
    if (m->wire != NULL) {
        copy->wire = MEM_NEW(struct box_wire);
        *copy->wire = *m->wire;
    }
    if (m->seq_count > 0) {
        copy->seqs = mem_alloc(m->seq_count * sizeof(*m->seqs));
        memcpy(copy->seqs, m->seqs, m->seq_count * sizeof(*m->seqs));
    }
    if (forth)
        DL_APPEND(c->forth, copy);
    else
        DL_APPEND(c->back, copy);
}

void box_conn_break(struct box *b, int from, int to)
{
    struct box_conn *c = &b->conns[from][to];

    queue_clear(&c->forth);
    queue_clear(&c->back);
    if (c->up && b->members[from].alive)
        c->down_pending = true;
    c->up = false;
    c->generation++;
}

static void conn_open(struct box *b, int from, int to)
{
    struct box_conn *c = &b->conns[from][to];

    if (c->up)
        return;
    c->generation++;
    c->up = b->members[to].alive && !b->wall[from][to];
    c->down_pending = !c->up;
}

static int index_of(struct box *b, struct target_id t)
{
    for (int i = 0; i < BOX_MEMBERS; i++) {
        if (ID_EQUAL(b->members[i].target, t))
            return i;
    }
    return -1;
}

struct box_member *box_member_of(struct box *b, struct target_id target)
{
    int i = index_of(b, target);

    return i < 0 ? NULL : &b->members[i];
}

struct box_waiter *box_waiter_new(struct box *b, uint64_t *ret_id)
{
    *ret_id = ++b->next_waiter;
    if (*ret_id >= b->waiter_capacity) {
        b->waiter_capacity = b->waiter_capacity == 0 ? 64 : b->waiter_capacity * 2;
        b->waiters = mem_realloc(b->waiters, b->waiter_capacity, sizeof(*b->waiters));
    }
    b->waiters[*ret_id] = (struct box_waiter){0};
    return &b->waiters[*ret_id];
}

/* ---- what a member wants ---- */

static void do_reply(struct box *b, int m, const struct chain_action *a)
{
    struct box_waiter *w = &b->waiters[a->waiter];

    box_mail_add(
        b, &(struct box_mail){
               .is_reply = true, .member = m, .op = w->op, .status = a->status, .epoch = w->epoch});
}

static void do_read(struct box *b, int m, const struct chain_action *a)
{
    struct box_op *o = &b->ops[b->waiters[a->waiter].op];

    if (a->status < 0) {
        do_reply(b, m, a);
        return;
    }
    box_io_add(
        b, m,
        &(struct box_io){
            .kind = BOX_IO_READ, .waiter = a->waiter, .chunk = o->chunk, .offset = o->first_cell});
}

static void check_order(struct box *b, int m, const struct chain_action *a, int index)
{
    const struct chain *c = b->members[m].chain;
    bool orders = chain_place_of(c)->is_head && a->orig_epoch == chain_config_of(c)->epoch;

    if (a->op->opseq == 0)
        return;
    /* Only the head orders, and what it applies in its own epoch it has just ordered. */
    if (orders && b->ops[index].acked && chain_config_of(c)->epoch >= b->ops[index].acked_epoch)
        box_violate(b, "I30: ordered again after it was acknowledged", "op=%d", index);
    for (unsigned i = 0; i < b->o.clients; i++) {
        const struct box_client *client = &b->clients[i];

        if (!ID_EQUAL(client->session, a->op->session) ||
            chain_config_of(c)->epoch < client->fence_epoch)
            continue;
        if (orders && client->fenced)
            box_violate(b, "I31: ordered after its session was fenced", "op=%d", index);
        if (client->fenced_by_op && chain_place_of(c)->role == CHAIN_SERVING &&
            chain_config_of(c)->epoch >= client->passed_epoch)
            box_violate(b, "I31: applied behind the fence of its session", "op=%d", index);
    }
}

static void do_apply(struct box *b, int m, const struct chain_action *a)
{
    struct box_member *me = &b->members[m];
    int index = (int)(uintptr_t)a->op->payload - 1;
    uint32_t chunk = b->ops[index].chunk;

    check_order(b, m, a, index);
    if (me->join != NULL) {
        struct join_actions acts = {0};

        join_live(me->join, a->op, (struct chunk_ver){a->orig_epoch, a->seq}, &acts);
        for (size_t i = 0; i < acts.count; i++)
            box_io_add(b, m,
                       &(struct box_io){.kind = BOX_IO_INCOMPLETE,
                                        .chunk = (uint32_t)acts.items[i].chunk.v - 1});
        join_actions_done(&acts);
    }
    box_io_add(b, m,
               &(struct box_io){.kind = BOX_IO_OP,
                                .io_id = a->io_id,
                                .op = a->op,
                                .chunk = chunk,
                                .ver = {a->orig_epoch, a->seq}});
}

static void do_hello_answer(struct box *b, int m, const struct chain_action *a)
{
    struct box_waiter *w = &b->waiters[a->waiter];
    struct box_msg msg = {.kind =
                              a->kind == CHAIN_ACT_HELLO_ACK ? BOX_HELLO_ACK : BOX_HELLO_REFUSED,
                          .hello_id = w->hello_id,
                          .seq = a->seq,
                          .status = a->status,
                          .config = *chain_config_of(b->members[m].chain)};

    if (b->conns[w->from][m].generation == w->generation)
        box_post(b, m, w->from, false, &msg);
}

void box_join_end(struct box_member *me)
{
    if (me->join != NULL) {
        free(me->marked);
        me->marked_count = join_marked(me->join, &me->marked);
    }
    join_free(me->join);
    me->join = NULL;
    me->join_id++;
}

static void join_begin(struct box *b, int m, int source)
{
    struct box_member *me = &b->members[m];
    struct chunk_state own[BOX_CHUNKS];
    struct join_actions acts = {0};

    box_join_end(me);
    me->join = join_new((struct pg_id){1}, own, box_states(b, m, own), b->o.mutant);
    join_look_again(me->join, me->marked, me->marked_count);
    me->join_source = source;
    join_start(me->join, &acts);
    join_actions_done(&acts);
    box_post(b, m, source, false,
             &(struct box_msg){.kind = BOX_LIST_ASK,
                               .epoch = chain_config_of(me->chain)->epoch,
                               .join = me->join_id});
    b->sometimes.rejoined++;
}

static void do_action(struct box *b, int m, const struct chain_action *a)
{
    struct box_member *me = &b->members[m];
    int to = index_of(b, a->to);
    struct box_msg msg = {.epoch = a->epoch, .seq = a->seq};

    switch (a->kind) {
    case CHAIN_ACT_REPLY:
        do_reply(b, m, a);
        return;
    case CHAIN_ACT_READ:
        do_read(b, m, a);
        return;
    case CHAIN_ACT_APPLY:
        do_apply(b, m, a);
        return;
    case CHAIN_ACT_HELLO:
        conn_open(b, m, to);
        msg.kind = BOX_HELLO;
        msg.hello_id = a->hello_id;
        msg.incarnation = chain_place_of(me->chain)->succ.incarnation;
        msg.config = *chain_config_of(me->chain);
        msg.seqs = a->seqs;
        msg.seq_count = a->seq_count;
        box_post(b, m, to, true, &msg);
        return;
    case CHAIN_ACT_HELLO_ACK:
    case CHAIN_ACT_HELLO_REFUSE:
        do_hello_answer(b, m, a);
        return;
    case CHAIN_ACT_SEND_OP:
        msg.kind = BOX_OP;
        msg.orig_epoch = a->orig_epoch;
        msg.op = a->op;
        box_post(b, m, to, true, &msg);
        return;
    case CHAIN_ACT_SEND_ACK:
        msg.kind = BOX_ACK;
        msg.crc = a->crc;
        msg.status = a->status;
        box_post(b, m, to, false, &msg);
        return;
    case CHAIN_ACT_ACCUSE:
        b->members[to].accused = true;
        box_nn_accuse(b, m, to);
        return;
    case CHAIN_ACT_SYNC_BEGIN:
        msg.kind = BOX_BEGIN;
        msg.waiter = a->waiter;
        box_post(b, m, to, false, &msg);
        return;
    case CHAIN_ACT_SYNC_COPY:
        me->copy_waiter = a->waiter;
        join_begin(b, m, to);
        return;
    case CHAIN_ACT_SYNC_STOP:
        box_join_end(me);
        return;
    case CHAIN_ACT_DIVERGED:
        b->sometimes.diverged++;
        box_violate(b, "I29: members acknowledged different bytes", "seq=%d", (int)a->seq);
        return;
    case CHAIN_ACT_SERVING:
        if (me->store != NULL)
            box_store_launder(me->store, a->epoch);
        return;
    case CHAIN_ACT_HELD:
    case CHAIN_ACT_ASK_CONFIG:
        return;
    }
}

void box_step(struct box *b, int member, const struct chain_event *ev)
{
    struct chain_actions acts;

    if (!b->members[member].alive)
        return;
    chain_actions_init(&acts);
    chain_step(b->members[member].chain, ev, &acts);
    for (size_t i = 0; i < acts.count; i++)
        do_action(b, member, &acts.items[i]);
    chain_actions_done(&acts);
}

/* ---- delivery ---- */

/* What a store has read, for a store to take over. */
static void deliver_wire(struct box *b, int to, const struct box_msg *m, struct join_event *ev)
{
    CLEANUP(slab) struct slab *slab = NULL;

    ev->state = m->wire->states[0];
    ev->slots = m->wire->slots;
    ev->hashes = m->wire->hashes;
    ev->count = m->wire->count;
    if (m->kind == BOX_DATA)
        slab = box_store_data(b->members[to].store, m->wire, ev);
    box_join_run(b, to, ev);
}

static void deliver_forth(struct box *b, int from, int to, struct box_msg *m)
{
    struct box_member *me = &b->members[to];
    struct chain_event ev = {.from = b->members[from].target, .epoch = m->epoch, .seq = m->seq};
    struct join_event je = {.status = m->status, .offset = m->offset, .len = m->len};
    struct chunk_state states[BOX_CHUNKS];
    uint32_t slots[BOX_BLOCKS];
    uint64_t hashes[BOX_BLOCKS];
    struct box_waiter *w;

    switch (m->kind) {
    case BOX_HELLO:
        box_step(b, to, &(struct chain_event){.kind = CHAIN_EV_CONFIG, .config = &m->config});
        w = box_waiter_new(b, &ev.waiter);
        w->kind = BOX_WAIT_HELLO;
        w->from = from;
        w->generation = b->conns[from][to].generation;
        w->hello_id = m->hello_id;
        ev.kind = CHAIN_EV_HELLO;
        ev.incarnation = m->incarnation;
        ev.seqs = m->seqs;
        ev.count = m->seq_count;
        box_step(b, to, &ev);
        return;
    case BOX_OP:
        ev.kind = CHAIN_EV_CHAIN_OP;
        ev.orig_epoch = m->orig_epoch;
        ev.op = m->op;
        box_step(b, to, &ev);
        return;
    case BOX_SNAPSHOT:
        ev.kind = CHAIN_EV_SYNC_SNAPSHOT;
        ev.waiter = m->waiter;
        ev.snapshot = &m->snapshot;
        box_step(b, to, &ev);
        return;
    case BOX_LIST:
    case BOX_CRCS:
    case BOX_DATA:
        if (me->join == NULL || me->join_id != m->join)
            return;
        if (m->kind == BOX_LIST) {
            je.kind = JOIN_EV_LIST;
            je.states = states;
            je.end = true;
            if (m->wire != NULL) {
                je.states = m->wire->states;
                je.count = m->wire->count;
            }
            for (uint32_t i = 0; i < BOX_CHUNKS && m->wire == NULL; i++) {
                if (m->all[i].exists || m->all[i].tombstone)
                    states[je.count++] = box_chunk_state(&m->all[i], i);
            }
        } else {
            for (uint32_t i = 0; i < BOX_BLOCKS; i++) {
                slots[i] = box_slot(&m->copy, i);
                hashes[i] = box_block_hash(&m->copy, i);
            }
            je.kind = m->kind == BOX_CRCS ? JOIN_EV_CRCS : JOIN_EV_DATA;
            je.state = box_chunk_state(&m->copy, m->chunk);
            je.slots = slots;
            je.hashes = hashes;
            je.count = BOX_BLOCKS;
            if (m->wire != NULL) {
                deliver_wire(b, to, m, &je);
                return;
            }
            if (m->kind == BOX_DATA) {
                je.slots = slots + m->offset / CHUNK_BLOCK_SIZE;
                je.count = m->len / CHUNK_BLOCK_SIZE;
                je.bytes = (const uint8_t *)&m->copy.cells[m->offset / BOX_CELL_BYTES];
                je.bytes_len = m->len;
                je.payload = m;
            }
        }
        box_join_run(b, to, &je);
        return;
    case BOX_HELLO_ACK:
    case BOX_HELLO_REFUSED:
    case BOX_ACK:
    case BOX_BEGIN:
    case BOX_LIST_ASK:
    case BOX_CRCS_ASK:
    case BOX_DATA_ASK:
        return;
    }
}

/* `to` is the connector, `from` its successor. */
static void deliver_back(struct box *b, int from, int to, struct box_msg *m)
{
    struct box_member *me = &b->members[to];
    struct chain_event ev = {.from = b->members[from].target,
                             .epoch = m->epoch,
                             .seq = m->seq,
                             .hello_id = m->hello_id,
                             .status = m->status,
                             .crc = m->crc,
                             .bytes_free = UINT64_MAX};
    struct box_msg answer = {.epoch = m->epoch, .waiter = m->waiter, .join = m->join};

    switch (m->kind) {
    case BOX_HELLO_ACK:
        ev.kind = CHAIN_EV_HELLO_ACK;
        box_step(b, to, &ev);
        return;
    case BOX_HELLO_REFUSED:
        box_step(b, to, &(struct chain_event){.kind = CHAIN_EV_CONFIG, .config = &m->config});
        ev.kind = CHAIN_EV_HELLO_REFUSED;
        box_step(b, to, &ev);
        return;
    case BOX_ACK:
        ev.kind = CHAIN_EV_ACK;
        box_step(b, to, &ev);
        return;
    case BOX_BEGIN:
        if (m->epoch != chain_config_of(me->chain)->epoch)
            return;
        answer.kind = BOX_SNAPSHOT;
        chain_snapshot_make(me->chain, &answer.snapshot);
        box_post(b, to, from, true, &answer);
        return;
    case BOX_LIST_ASK:
        if (m->epoch != chain_config_of(me->chain)->epoch)
            return;
        answer.kind = BOX_LIST;
        memcpy(answer.all, me->disk, sizeof(answer.all));
        if (me->store != NULL) {
            answer.wire = MEM_NEW(struct box_wire);
            answer.wire->count = box_states(b, to, answer.wire->states);
        }
        box_post(b, to, from, true, &answer);
        free(answer.wire);
        return;
    case BOX_CRCS_ASK:
    case BOX_DATA_ASK:
        if (m->epoch != chain_config_of(me->chain)->epoch)
            return;
        box_io_add(b, to,
                   &(struct box_io){.kind = m->kind == BOX_CRCS_ASK ? BOX_IO_CRCS : BOX_IO_DATA,
                                    .chunk = m->chunk,
                                    .offset = m->offset,
                                    .len = m->len,
                                    .peer = from,
                                    .waiter = m->join,
                                    .epoch = b->conns[to][from].generation});
        return;
    case BOX_HELLO:
    case BOX_OP:
    case BOX_SNAPSHOT:
    case BOX_LIST:
    case BOX_CRCS:
    case BOX_DATA:
        return;
    }
}

void box_deliver(struct box *b, int from, int to, bool forth)
{
    struct box_conn *c = &b->conns[from][to];
    struct box_msg **q = forth ? &c->forth : &c->back;
    struct box_msg *m = *q;

    if (m == NULL)
        return;
    DL_DELETE(*q, m);
    if (forth)
        deliver_forth(b, from, to, m);
    else
        deliver_back(b, to, from, m);
    msg_free(m);
}

void box_deliver_down(struct box *b, int from, int to)
{
    b->conns[from][to].down_pending = false;
    box_step(b, from,
             &(struct chain_event){.kind = CHAIN_EV_LINK_DOWN, .from = b->members[to].target});
}

/* ---- the namenode ---- */

void box_commit(struct box *b, const struct chain_config *next)
{
    struct chain_config c = *next;

    c.epoch = b->config.epoch + 1;
    for (uint32_t i = 0; i < c.member_count; i++) {
        if (c.members[i].state == MEMBER_SERVING)
            c.members[i].last_serving_epoch = c.epoch;
    }
    b->config = c;
    if (b->history_count < BOX_CONFIGS_MAX) {
        b->began[b->history_count] = b->now;
        b->history[b->history_count++] = c;
    }
    memset(b->pushed, 0, sizeof(b->pushed));
    if (!b->tells)
        return;
    printf("       epoch %" PRIu64 "%s:", c.epoch, c.reset_epoch == c.epoch ? " (reset)" : "");
    for (uint32_t i = 0; i < c.member_count; i++)
        printf(" %d%c%" PRIu64, (int)c.members[i].target.v - 1, " SY-"[c.members[i].state],
               c.members[i].incarnation);
    printf("\n");
}

void box_config(struct box *b, const char *text)
{
    struct chain_config c = b->config;

    c.member_count = 0;
    for (const char *p = text; *p != '\0'; p++) {
        int i = *p - '0';
        struct chain_member *m;

        if (i < 0 || i >= BOX_MEMBERS)
            continue;
        p++;
        m = &c.members[c.member_count++];
        *m = (struct chain_member){
            .target = b->members[i].target,
            .incarnation = b->members[i].incarnation,
            .state = *p == 'S'   ? MEMBER_SERVING
                     : *p == 'Y' ? MEMBER_SYNCING
                                 : MEMBER_OFFLINE,
        };
    }
    box_commit(b, &c);
}

void box_push(struct box *b, int member)
{
    b->pushed[member] = true;
    box_step(b, member,
             &(struct chain_event){.kind = CHAIN_EV_CONFIG,
                                   .config = &b->config,
                                   .from_namenode = true,
                                   .fences = b->fenced,
                                   .count = b->fenced_count});
    /* T6: the head has the fences; who becomes head later has to have them too. */
    if (chain_config_head(&b->config).v == b->members[member].target.v &&
        b->members[member].alive) {
        for (size_t i = 0; i < b->fenced_count; i++)
            box_fence_done(b, (int)(b->fenced[i] - b->clients[0].session.v));
    }
}

static int listed(const struct chain_config *c, struct target_id t)
{
    for (uint32_t i = 0; i < c->member_count; i++) {
        if (ID_EQUAL(c->members[i].target, t))
            return (int)i;
    }
    return -1;
}

/* Takes it out of its place and puts it at the end of those in the new state. */
void box_move_member(struct box *b, int m, enum member_state state)
{
    struct chain_config c = b->config, n = c;
    struct chain_member me = {
        .target = b->members[m].target, .incarnation = b->members[m].incarnation, .state = state};
    int old = listed(&c, me.target);
    bool placed = false;

    /* Only who is taken back as syncing is known by the life it has now. */
    if (old >= 0 && state != MEMBER_SYNCING)
        me.incarnation = c.members[old].incarnation;
    n.member_count = 0;
    for (uint32_t i = 0; i < c.member_count; i++) {
        if (ID_EQUAL(c.members[i].target, me.target))
            continue;
        if (!placed && c.members[i].state > state) {
            n.members[n.member_count++] = me;
            placed = true;
        }
        n.members[n.member_count++] = c.members[i];
    }
    if (!placed)
        n.members[n.member_count++] = me;
    box_commit(b, &n);
}

bool box_may_promote(struct box *b, int m)
{
    int i = listed(&b->config, b->members[m].target);

    return i >= 0 && b->config.members[i].state == MEMBER_SYNCING &&
           b->synced_epoch[m] == b->config.epoch;
}

/* ---- life and death ---- */

static void die(struct box *b, int m, bool power_lost)
{
    struct box_member *me = &b->members[m];

    if (!me->alive)
        return;
    if (chain_place_of(me->chain)->is_head)
        b->sometimes.head_died++;
    me->alive = false;
    box_nn_died(b, m);
    if (me->store != NULL)
        box_store_end(me->store, power_lost);
    if (power_lost) /* Another boot: see pg_mgr.h. */
        me->incarnation += UINT64_C(1) << 32;
    box_io_drop_all(b, m);
    box_join_end(me);
    free(me->marked);
    me->marked = NULL;
    me->marked_count = 0;
    chain_free(me->chain);
    me->chain = NULL;
    for (int i = 0; i < BOX_MEMBERS; i++) {
        box_conn_break(b, i, m);
        box_conn_break(b, m, i);
        b->conns[m][i].down_pending = false;
    }
}

void box_crash(struct box *b, int m)
{
    die(b, m, false);
}

void box_power_off(struct box *b, int m)
{
    b->sometimes.power += b->members[m].alive;
    die(b, m, true);
}

void box_restart(struct box *b, int m)
{
    struct box_member *me = &b->members[m];
    struct chain_options o = {
        .pg = {1}, .self = me->target, .mutant = b->o.mutant, .now_ms = b->clock_ms};

    if (me->alive || (me->store != NULL && !box_store_open(me->store)))
        return;
    me->incarnation += 100;
    o.incarnation = me->incarnation;
    me->alive = true;
    me->last_epoch = 0;
    me->chain = chain_new(&o);
    b->pushed[m] = false;
}

void box_break(struct box *b, int from, int to)
{
    box_conn_break(b, from, to);
}

void box_tick(struct box *b, int m, uint64_t now_ms)
{
    box_step(b, m, &(struct chain_event){.kind = CHAIN_EV_TICK, .now_ms = now_ms});
}

struct chain *box_chain(struct box *b, int m)
{
    return b->members[m].chain;
}

struct box *box_new(const struct box_options *o)
{
    struct box *b = MEM_NEW(struct box);

    b->o = *o;
    b->fence_op = -1;
    b->clock_ms = BOX_UPTIME_MS;
    b->config = (struct chain_config){
        .pg = {1}, .copies = 3, .min_write = o->min_write != 0 ? o->min_write : 2};
    for (int i = 0; i < BOX_MEMBERS; i++) {
        b->members[i].target.v = (uint32_t)i + 1;
        b->members[i].incarnation = 1000u * (unsigned)(i + 1);
        if (o->has_store && (unsigned)i < o->members)
            b->members[i].store = box_store_new(b, i, o->store_seed + (unsigned)i);
        if ((unsigned)i < o->members)
            box_restart(b, i);
    }
    for (unsigned i = 0; i < o->clients; i++)
        b->clients[i] = (struct box_client){.session = {10 + i}, .next_opseq = 1, .current = -1};
    return b;
}

void box_free(struct box *b)
{
    if (b == NULL)
        return;
    box_nn_free(b);
    for (int i = 0; i < BOX_MEMBERS; i++)
        box_crash(b, i);
    for (int i = 0; i < BOX_MEMBERS; i++)
        box_store_free(b->members[i].store);
    for (int i = 0; i < b->op_count; i++)
        chain_op_unref(b->ops[i].op);
    while (b->mail != NULL) {
        struct box_mail *m = b->mail;

        DL_DELETE(b->mail, m);
        free(m);
    }
    free(b->waiters);
    free(b);
}
