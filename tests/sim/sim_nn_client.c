/*
 * Clients with real sessions, as libdfs/nn.c has them: a change keeps its (session, seq) until it is
 * answered, whoever leads; the floor says which answers have arrived. And worse ones: they fall
 * silent, forget all they did and begin anew, and the network keeps copies of what they once sent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/mem.h"
#include "tests/sim/sim_nn.h"

/* An event's number: which timer, of which client; for which call, at which sending of it. */
static uint64_t number_of(enum nn_client_event what, const struct nn_client *c, uint32_t call,
                          unsigned tries)
{
    return (uint64_t)what << 56 | (uint64_t)c->number << 48 | (uint64_t)(tries & 0xffff) << 32 |
           call;
}

static void timer(struct sim_world *w, const struct nn_client *c, enum nn_client_event what,
                  const struct nn_call *call, int64_t delay_ns)
{
    struct sim_event e = {.type = SIM_CLIENT};

    e.number = number_of(what, c, call != NULL ? call->number : 0, call != NULL ? call->tries : 0);

    sim_at(w, delay_ns, &e);
}

static void think_later(struct sim_world *w, const struct nn_client *c)
{
    timer(w, c, NN_TIMER_THINK, NULL, sim_between(w, 0, nn_world_of(w)->client_gap_ns));
}

/* ---- the network ---- */

static bool is_lost(struct sim_world *w)
{
    return !w->quiet && sim_percent(w, w->loss_percent);
}

static void carry(struct sim_world *w, const struct sim_event *e, const uint8_t *bytes, size_t len)
{
    struct sim_event copy = *e;

    copy.bytes = (uint8_t *)mem_memdup(bytes, len);
    copy.len = len;
    sim_at(w, sim_net_delay(w), &copy);
}

/* Within one connection nothing comes twice. */
static bool is_on_conn(const struct buf *bytes, const struct nn_client *c)
{
    struct nn_envelope head;

    memcpy(&head, bytes->data, sizeof(head));
    return head.conn != 0 && head.conn == c->conn;
}

static void to_node(struct sim_world *w, const struct nn_client *c, unsigned node,
                    const struct buf *bytes)
{
    struct sim_event e = {.type = SIM_REQUEST, .node = node};

    if (w->request_cut[node] >> c->number & 1) {
        w->stats->cut_requests++;
        return;
    }
    if (is_lost(w))
        return;
    carry(w, &e, bytes->data, bytes->len);
    if (!is_on_conn(bytes, c) && !w->quiet && sim_percent(w, w->duplicate_percent))
        carry(w, &e, bytes->data, bytes->len);
}

void nn_send_reply(struct nn *nn, const struct nn_envelope *to, const uint8_t *body, size_t len)
{
    struct sim_world *w = nn->w;
    const struct nn_client *c = &nn_world_of(w)->clients[to->client];
    struct sim_event e = {.type = SIM_CLIENT, .number = number_of(NN_REPLY, c, to->call, 0)};
    CLEANUP_BUF struct buf bytes = {0};

    w->stats->nn_replies++;
    w->stats->redirects += to->status == DFS_ENOTLEADER && to->leader != 0;
    w->stats->unknowns += to->status == DFS_EUNKNOWN_OUTCOME;
    buf_append(&bytes, to, sizeof(*to));
    buf_append(&bytes, body, len);
    sim_note_bytes(w, bytes.data, bytes.len);
    if (w->reply_cut[nn->n->number] >> c->number & 1) {
        w->stats->cut_replies++;
        return;
    }
    if (is_lost(w))
        return;
    carry(w, &e, bytes.data, bytes.len);
}

/* ---- calls ---- */

static void call_end(struct nn_call *call)
{
    if (call->msg != NULL)
        dfs__meta_request__free_unpacked(call->msg, NULL);
    call->msg = NULL;
    call->active = false;
}

static bool is_idle(const struct nn_client *c)
{
    for (unsigned i = 0; i < NN_CALL_SLOTS; i++) {
        if (c->calls[i].active)
            return false;
    }
    return true;
}

static uint64_t floor_of(const struct nn_client *c)
{
    uint64_t floor = c->next_seq;

    for (unsigned i = 0; i < NN_CALL_SLOTS; i++) {
        const struct nn_call *call = &c->calls[i];

        if (call->active && call->seq != 0 && call->seq < floor)
            floor = call->seq;
    }
    return floor;
}

static void pack_call(const struct nn_client *c, const struct nn_call *call, struct buf *out)
{
    struct nn_envelope head;
    size_t len;

    memset(&head, 0, sizeof(head));
    head.kind = (uint8_t)call->kind;
    head.client = (uint8_t)c->number;
    head.call = call->number;
    head.session = call->session;
    head.conn = call->of_opens ? c->conn : 0;
    head.term = call->kind == NN_ATTACH ? c->conn_term : 0;
    buf_append(out, &head, sizeof(head));
    if (call->kind == NN_ATTACH)
        nn_pack_opens(c, out);
    if (call->kind == NN_OPEN)
        buf_append(out, c->uuid, sizeof(c->uuid));
    if (call->kind != NN_META)
        return;
    call->msg->session = call->session;
    call->msg->seq = call->seq;
    call->msg->ack_floor = call->seq != 0 ? floor_of(c) : 0;
    len = dfs__meta_request__get_packed_size(call->msg);
    (void)dfs__meta_request__pack(call->msg, buf_reserve(out, len));
    buf_commit(out, len);
}

/* The network keeps a copy of some request, for much later. */
static void keep_old(struct sim_world *w, struct nn_client *c, const struct buf *bytes)
{
    if (c->old.len > 0 || w->quiet || !(w->faults & SIM_FAULT_DUPLICATE) || !sim_percent(w, 20))
        return;
    buf_append(&c->old, bytes->data, bytes->len);
    c->old_node = c->believed % w->node_count;
    timer(w, c, NN_OLD_COPY, NULL, sim_between(w, 10 * SIM_MS, 3000 * SIM_MS));
}

static void retry_later(struct sim_world *w, const struct nn_client *c, const struct nn_call *call)
{
    timer(w, c, NN_TIMER_RETRY, call, sim_between(w, 50 * SIM_MS, (w->quiet ? 200 : 700) * SIM_MS));
}

static bool is_attached(const struct sim_world *w, const struct nn_client *c)
{
    return c->attached && c->conn_node == c->believed % w->node_count;
}

static void begin_attach(struct sim_world *w, struct nn_client *c);

static void call_send(struct sim_world *w, struct nn_client *c, struct nn_call *call)
{
    CLEANUP_BUF struct buf bytes = {0};

    if (call->kind == NN_ATTACH) {
        c->conn++;
        c->conn_node = c->believed % w->node_count;
        c->attached = false;
    } else if (call->of_opens && !is_attached(w, c)) {
        call->tries++;
        begin_attach(w, c);
        retry_later(w, c, call);
        return;
    }
    pack_call(c, call, &bytes);
    call->redirected = false;
    w->stats->retries += call->tries++ > 0;
    to_node(w, c, c->believed % w->node_count, &bytes);
    if (call->seq != 0 || call->of_opens)
        keep_old(w, c, &bytes);
    retry_later(w, c, call);
}

static struct nn_call *call_new(struct nn_client *c, enum nn_kind kind, unsigned max)
{
    for (unsigned i = 0; i < max; i++) {
        struct nn_call *call = &c->calls[i];

        if (call->active)
            continue;
        *call = (struct nn_call){
            .active = true, .kind = kind, .number = ++c->next_call, .session = c->session};
        return call;
    }
    return NULL;
}

/* Whoever has to do with opens waits for it. */
static void begin_attach(struct sim_world *w, struct nn_client *c)
{
    struct nn_call *call;

    for (unsigned i = 0; i < NN_CALL_SLOTS; i++) {
        if (c->calls[i].active && c->calls[i].kind == NN_ATTACH)
            return;
    }
    call = call_new(c, NN_ATTACH, NN_CALL_SLOTS); /* There is always a place for one. */
    call->of_opens = true;
    call_send(w, c, call);
}

static struct nn_call *call_find(struct nn_client *c, uint32_t number)
{
    for (unsigned i = 0; i < NN_CALL_SLOTS; i++) {
        if (c->calls[i].active && c->calls[i].number == number)
            return &c->calls[i];
    }
    return NULL;
}

/* What had no answer has none for ever. */
static void lose_session(struct sim_world *w, struct nn_client *c)
{
    bool unanswered = false;

    for (unsigned i = 0; i < NN_CALL_SLOTS; i++) {
        unanswered = unanswered || (c->calls[i].active && c->calls[i].seq != 0);
        if (c->calls[i].active)
            nn_history_end(w, c, &c->calls[i], NULL);
        call_end(&c->calls[i]);
    }
    c->tree.active = false;
    nn_drop_opens(c);
    w->stats->sessions_lost += unanswered;
    sim_trace(w, "client %u loses session %lu", c->number, UL(c->session));
    c->session = 0;
}

/* ---- what it does ---- */

static void begin_call(struct sim_world *w, struct nn_client *c, enum nn_kind kind)
{
    struct nn_call *call = call_new(c, kind, nn_world_of(w)->calls_at_once);

    if (call == NULL)
        return;
    if (kind == NN_CLOSE)
        nn_drop_opens(c); /* All are closed with it. */
    if (kind == NN_META) {
        call->msg = w->quiet ? nn_closing_request(w, c) : nn_any_request(w, c);
        call->of_opens = nn_is_of_opens(call->msg);
        call->held = call->msg->op_case == DFS__META_REQUEST__OP_GETATTR &&
                     nn_holds(c, call->msg->getattr->ino);
        if (call->msg->op_case >= DFS__META_REQUEST__OP_CREATE)
            call->seq = c->next_seq++;
        nn_history_begin(w, c, call);
    }
    call_send(w, c, call);
}

/* Forgets all, as a client that was killed. */
static void begin_anew(struct sim_world *w, struct nn_client *c)
{
    lose_session(w, c);
    if (sim_percent(w, 50))
        c->uuid[1]++; /* And what it was called. */
}

/* In the end all is closed; and each says so to the leader, who would else not know. */
static void tidy_up(struct sim_world *w, struct nn_client *c)
{
    timer(w, c, NN_TIMER_THINK, NULL, sim_between(w, 20 * SIM_MS, 150 * SIM_MS));
    if (c->session == 0 || !is_idle(c))
        return;
    if (nn_holds_any(c))
        begin_call(w, c, NN_META);
    else if (!is_attached(w, c))
        begin_attach(w, c);
    else if (nn_world_of(w)->unlinked > 0)
        begin_call(w, c, NN_RENEW);
}

static void think(struct sim_world *w, struct nn_client *c)
{
    struct nn_world *nw = nn_world_of(w);

    if (w->quiet) {
        tidy_up(w, c);
        return;
    }
    think_later(w, c);
    if (w->now_ns < c->silent_until_ns)
        return;
    if (c->session == 0) {
        if (is_idle(c))
            begin_call(w, c, NN_OPEN);
    } else if (sim_below(w, 1000) < 4) {
        begin_anew(w, c);
    } else if (is_idle(c) && sim_below(w, 1000) < 10) {
        begin_call(w, c, NN_CLOSE);
    } else if (sim_below(w, 1000) < 6) {
        c->silent_until_ns = w->now_ns + sim_between(w, 0, 2 * nw->courtesy_ns);
    } else if (!is_attached(w, c) && sim_percent(w, 30)) {
        begin_attach(w, c);
    } else if (sim_percent(w, 5)) {
        begin_call(w, c, NN_RENEW);
    } else {
        begin_call(w, c, NN_META);
    }
}

static bool waits_for_attach(const struct nn_client *c)
{
    for (unsigned i = 0; i < NN_CALL_SLOTS; i++) {
        if (c->calls[i].active && c->calls[i].kind == NN_ATTACH)
            return true;
    }
    return false;
}

static void retry(struct sim_world *w, struct nn_client *c, uint32_t number, unsigned tries)
{
    struct nn_call *call = call_find(c, number);

    if (call == NULL || (call->tries & 0xffff) != tries)
        return; /* Answered, or sent again since. */
    if (w->now_ns < c->silent_until_ns && !w->quiet) {
        timer(w, c, NN_TIMER_RETRY, call, 100 * SIM_MS);
        return;
    }
    if (!call->redirected)
        c->believed = (unsigned)sim_below(w, w->node_count);
    if (call->of_opens && call->kind != NN_ATTACH && !waits_for_attach(c))
        c->attached = false; /* No answer: another connection. */
    call_send(w, c, call);
}

/* What is about opens was sent on a connection to one node, and can be held up only there. */
static void send_old(struct sim_world *w, struct nn_client *c)
{
    const struct sim_node *leader = sim_some_leader(w);
    unsigned node = leader != NULL && sim_percent(w, 70) ? leader->number
                                                         : (unsigned)sim_below(w, w->node_count);
    struct nn_envelope head;

    memcpy(&head, c->old.data, sizeof(head));
    if (head.conn != 0)
        node = c->old_node;
    w->stats->late_copies++;
    if (!is_on_conn(&c->old, c))
        to_node(w, c, node, &c->old);
    buf_done(&c->old);
}

/* ---- answers ---- */

static void answered_meta(struct sim_world *w, struct nn_client *c, struct nn_call *call,
                          const uint8_t *body, size_t len)
{
    Dfs__MetaReply *reply = dfs__meta_reply__unpack(NULL, len, body);

    if (reply == NULL) {
        sim_fail(w, "a reply to client %u cannot be read", c->number);
        return;
    }
    if (call->seq != 0)
        nn_check_answer(w, call, reply->status, body, len);
    if (reply->status == DFS_ESTALE_SESSION) {
        lose_session(w, c);
    } else if (reply->status != DFS_EBUSY_WINDOW) { /* Else it asks again. */
        nn_history_end(w, c, call, reply);
        nn_learn(w, c, call, reply);
        call_end(call);
    }
    dfs__meta_reply__free_unpacked(reply, NULL);
}

static void answered_open(struct sim_world *w, struct nn_client *c, struct nn_call *call,
                          const uint8_t *body, size_t len)
{
    Dfs__MetaReply *reply = dfs__meta_reply__unpack(NULL, len, body);

    if (reply == NULL || reply->status != 0 || reply->result_case != DFS__META_REPLY__RESULT_ID) {
        sim_fail(w, "client %u cannot open a session", c->number);
    } else {
        c->session = reply->id->id;
        c->next_seq = 1;
        w->stats->sessions_opened++;
    }
    call_end(call);
    dfs__meta_reply__free_unpacked(reply, NULL);
}

static void answered_attach(struct sim_world *w, struct nn_client *c, struct nn_call *call,
                            uint64_t term)
{
    bool is_told = c->conn_term == term;

    call_end(call);
    c->conn_term = term;
    if (!is_told) { /* It leads since then. */
        begin_attach(w, c);
        return;
    }
    c->attached = true;
    for (unsigned i = 0; i < NN_CALL_SLOTS; i++) {
        if (c->calls[i].active && c->calls[i].of_opens)
            call_send(w, c, &c->calls[i]);
    }
}

static void answered(struct sim_world *w, struct nn_client *c, uint32_t number,
                     const struct sim_event *e)
{
    struct nn_call *call = call_find(c, number);
    const uint8_t *body = e->bytes + sizeof(struct nn_envelope);
    size_t len = e->len - sizeof(struct nn_envelope);
    struct nn_envelope head;

    memcpy(&head, e->bytes, sizeof(head));
    if (call == NULL || (call->of_opens && head.conn != c->conn))
        return;
    if (head.status == DFS_ESTALE_SESSION) {
        lose_session(w, c);
    } else if (head.status < 0) { /* Not the leader, or nobody knows: it asks again. */
        call->redirected = head.leader > 0;
        if (head.leader > 0)
            c->believed = head.leader - 1;
        call->tries++;
        timer(w, c, NN_TIMER_RETRY, call, sim_between(w, SIM_MS, 40 * SIM_MS));
    } else if (call->kind == NN_ATTACH) {
        answered_attach(w, c, call, head.session);
    } else if (call->kind == NN_META) {
        answered_meta(w, c, call, body, len);
    } else if (call->kind == NN_OPEN) {
        answered_open(w, c, call, body, len);
    } else {
        if (call->kind == NN_RENEW && head.session != c->conn_term)
            c->attached = false; /* It has led anew since, and forgotten. */
        if (call->kind == NN_CLOSE) {
            c->session = 0;
            nn_drop_opens(c);
            w->stats->sessions_closed++;
        }
        call_end(call);
    }
}

void nn_client_event(struct sim_world *w, const struct sim_event *e)
{
    struct nn_client *c = &nn_world_of(w)->clients[e->number >> 48 & 0xff];
    uint32_t call = (uint32_t)e->number;

    switch ((enum nn_client_event)(e->number >> 56)) {
    case NN_TIMER_THINK:
        think(w, c);
        break;
    case NN_TIMER_RETRY:
        retry(w, c, call, e->number >> 32 & 0xffff);
        break;
    case NN_REPLY:
        answered(w, c, call, e);
        break;
    case NN_OLD_COPY:
        send_old(w, c);
        break;
    }
}

bool nn_clients_idle(const struct sim_world *w)
{
    const struct nn_world *nw = nn_world_of(w);

    for (unsigned i = 0; i < nw->client_count; i++) {
        if (!is_idle(&nw->clients[i]))
            return false;
        if (nn_holds_any(&nw->clients[i]))
            return false;
    }
    return nw->unlinked == 0;
}

/* When each namenode gets a newer release: in half of the schedules before the cluster is made. */
static void upgrade_nodes(struct sim_world *w)
{
    struct nn_world *nw = nn_world_of(w);
    int64_t at_ns = sim_between(w, -10000 * SIM_MS, 10000 * SIM_MS);
    int64_t apart_ns = sim_percent(w, 60) ? sim_between(w, 0, 6000 * SIM_MS) : 0;

    for (uint32_t format = FSM_FORMAT_FIRST + 1; format <= FSM_FORMAT; format++) {
        for (unsigned i = 0; i < SIM_NODES_MAX; i++)
            nw->nodes[i].format_at_ns[format] = at_ns;
        at_ns += sim_percent(w, 50) ? sim_between(w, 0, 5000 * SIM_MS) : 0;
    }
    for (unsigned i = 0; i < SIM_NODES_MAX; i++) {
        int64_t late_ns = sim_between(w, 0, apart_ns);

        for (uint32_t format = FSM_FORMAT_FIRST + 1; format <= FSM_FORMAT; format++)
            nw->nodes[i].format_at_ns[format] += late_ns;
    }
}

void nn_clients_begin(struct sim_world *w)
{
    struct nn_world *nw = nn_world_of(w);

    nw->client_count = 2 + (unsigned)sim_below(w, NN_CLIENTS_MAX - 1);
    nw->area_count = 1 + (unsigned)sim_below(w, NN_AREAS_MAX);
    nw->calls_at_once = 1 + (unsigned)sim_below(w, NN_CALLS_MAX);
    nw->names = 2 + (unsigned)sim_below(w, 5);
    nw->client_gap_ns = sim_between(w, 5 * SIM_MS, 150 * SIM_MS);
    if (w->is_long)
        nw->client_gap_ns *= 10;
    nw->courtesy_ns = sim_between(w, 1000 * SIM_MS, 4000 * SIM_MS);
    nn_requests_begin(w);
    upgrade_nodes(w);
    for (unsigned i = 0; i < nw->client_count; i++) {
        struct nn_client *c = &nw->clients[i];

        c->number = i;
        c->conn_term = UINT64_MAX; /* of nobody yet */
        c->uuid[0] = (uint8_t)(i + 1);
        c->area = i % nw->area_count;
        c->is_older = sim_percent(w, 10);
        think_later(w, c);
    }
}

void nn_clients_end(struct sim_world *w)
{
    struct nn_world *nw = nn_world_of(w);

    for (unsigned i = 0; i < nw->client_count; i++) {
        for (unsigned k = 0; k < NN_CALL_SLOTS; k++)
            call_end(&nw->clients[i].calls[k]);
        buf_done(&nw->clients[i].old);
        buf_done(&nw->clients[i].arrived);
    }
}
