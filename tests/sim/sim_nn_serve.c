/*
 * What a namenode does with requests of clients: as svc_meta.c, svc_session.c and node_propose.c do
 * with real connections.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/error.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "namenode/disk_space.h"
#include "namenode/formats.h"
#include "namenode/mutants.h"
#include "namenode/reap_queue.h"
#include "tests/sim/sim_nn.h"

enum { OF_NOBODY = 255, SWEEP_NS_PER_MS = 1000000 };

static bool is_serving(const struct nn *nn)
{
    const struct sim_node *n = nn->n;

    return n->role == RAFT_LEADER && n->leader_ready && n->state.at.index >= n->own_first;
}

static uint64_t clock_ns(const struct nn *nn)
{
    return (uint64_t)sim_clock(nn->w, nn->n);
}

static int64_t wall_ns(const struct nn *nn)
{
    return sim_wall_clock(nn->w, nn->n);
}

/* ---- answers ---- */

static void op_free(struct nn_op *op)
{
    DL_DELETE(op->nn->ops, op);
    if (op->msg != NULL)
        dfs__meta_request__free_unpacked(op->msg, NULL);
    free(op);
}

static void answer(struct nn_op *op, int status, const Dfs__MetaReply *reply)
{
    struct nn_envelope to = op->from;
    CLEANUP_BUF struct buf body = {0};

    to.status = status;
    to.leader = 0;
    if (op->from.kind == NN_RENEW || op->from.kind == NN_ATTACH)
        to.session = op->nn->led_term;
    if (status == DFS_ENOTLEADER) {
        struct raft_status st;

        raft_status(op->nn->n->raft, &st);
        to.leader = st.leader.v != 0 ? sim_number_of(st.leader) + 1 : 0;
    }
    if (reply != NULL) {
        size_t len = dfs__meta_reply__get_packed_size(reply);

        (void)dfs__meta_reply__pack(reply, buf_reserve(&body, len));
        buf_commit(&body, len);
    }
    if (op->from.client != OF_NOBODY)
        nn_send_reply(op->nn, &to, body.data, body.len);
    op_free(op);
}

/* As svc_reaper.c does. */
static void slice_done(struct nn *nn, const struct nn_op *op, int status,
                       const Dfs__MetaReply *reply)
{
    if (nn->sessions == NULL || op->term != nn->led_term)
        return;
    nn->reaps_in_flight--;
    if (status < 0 || (reply->status == 0 && reply->id->id > 0))
        reap_queue_add(nn->reaps, op->reaps);
    else
        sessions_reap_ends(nn->sessions, op->reaps);
}

static void count_open(struct nn_op *op, uint64_t ino)
{
    if (op->nn->sessions != NULL)
        sessions_open_inode(op->nn->sessions, op->from.session, op->from.conn, ino);
}

static bool opens(const Dfs__MetaRequest *m, const Dfs__MetaReply *reply)
{
    return m->op_case == DFS__META_REQUEST__OP_CREATE && m->create->open && reply->status == 0 &&
           reply->result_case == DFS__META_REPLY__RESULT_ENTRY && reply->entry->attr != NULL;
}

static bool open_created(struct nn_op *op, uint64_t ino)
{
    struct inode_rec rec = {0};

    if (fsm_inode_get(op->nn->fsm, ino, &rec) < 0)
        rec.nlink = 0;
    if (op->nn->sessions != NULL && !sessions_may_open(op->nn->sessions, ino, rec.nlink) &&
        (!op->is_first || sessions_is_reaped(op->nn->sessions, ino)))
        return false;
    count_open(op, ino);
    return true;
}

static void change_done(void *ctx, int status, const Dfs__MetaReply *reply)
{
    Dfs__MetaReply stale = DFS__META_REPLY__INIT;
    struct nn_op *op = ctx;
    const Dfs__MetaRequest *m = op->msg;

    if (op->reaps != 0)
        slice_done(op->nn, op, status, reply);
    if (status == 0 && m != NULL && opens(m, reply) && !open_created(op, reply->entry->attr->ino)) {
        stale.status = -ESTALE;
        reply = &stale;
    }
    answer(op, status, reply);
}

/* ---- changes ---- */

static void fail_waiter(void *ctx, struct waiter w, int status)
{
    (void)ctx;
    w.done(w.ctx, status, NULL);
}

static int propose(struct nn *nn, enum raft_entry_type type, struct raft_buf *buf,
                   struct raft_update *up)
{
    struct raft_event ev = {.type = RAFT_EV_PROPOSE,
                            .propose = {.type = type, .bufs = &buf, .count = 1}};
    int r = sim_node_step(nn->w, nn->n, &ev, up);

    raft_buf_unref(buf);
    if (r == 0)
        nn->w->stats->proposals++;
    else if (r == -EAGAIN)
        nn->w->stats->proposals_full++;
    return r;
}

static void flush_batch(struct nn *nn)
{
    struct raft_update up;
    int r = RAFT_NOT_LEADER;

    if (nn->proposals.count == 0)
        return;
    if (nn->n->role == RAFT_LEADER)
        r = propose(nn, RAFT_ENTRY_NORMAL, proposals_payload(&nn->proposals, wall_ns(nn)), &up);
    if (r < 0)
        proposals_fail_gathered(&nn->proposals, r == RAFT_NOT_LEADER ? DFS_ENOTLEADER : r,
                                fail_waiter, nn);
    else
        proposals_fly(&nn->proposals, &up);
    if (r == 0)
        nn_check_asked(nn, up.proposed_index, up.proposed_term);
    else
        memset(nn->asked, 0, sizeof(nn->asked));
}

static void gather(struct nn *nn, const Dfs__MetaRequest *req, struct nn_op *op)
{
    size_t len = dfs__meta_request__get_packed_size(req);

    if (nn->n->role != RAFT_LEADER) {
        answer(op, DFS_ENOTLEADER, NULL);
        return;
    }
    if (!proposals_has_room(&nn->proposals, len))
        flush_batch(nn);
    (void)dfs__meta_request__pack(
        req, proposals_add(&nn->proposals, len, (struct waiter){change_done, op}));
}

static void propose_session_open(struct nn *nn, const uint8_t *uuid, struct nn_op *op)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__SessionOpenOp open = DFS__SESSION_OPEN_OP__INIT;
    uint8_t bytes[16];
    char name[] = "client";

    memcpy(bytes, uuid, sizeof(bytes));
    open.client_uuid = (ProtobufCBinaryData){.data = bytes, .len = sizeof(bytes)};
    open.name = name;
    req.op_case = DFS__META_REQUEST__OP_SESSION_OPEN;
    req.session_open = &open;
    gather(nn, &req, op);
}

static void propose_session_end(struct nn *nn, uint64_t session, bool evicted, struct nn_op *op)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__SessionEndOp end = DFS__SESSION_END_OP__INIT;

    end.session = session;
    end.evicted = evicted;
    req.op_case = DFS__META_REQUEST__OP_SESSION_END;
    req.session_end = &end;
    gather(nn, &req, op);
}

/* ---- room on disks: as node_space.c does, but that each looks more often ---- */

enum { SPACE_LOOK_MS = 300, SPACE_KNOWN_MS = 8000 };

uint32_t nn_known_format(const struct nn *nn)
{
    uint32_t format = FSM_FORMAT_FIRST;

    while (format < FSM_FORMAT && nn->w->now_ns >= nn->format_at_ns[format + 1])
        format++;
    return format;
}

/* What namenodes tell the leader of themselves; production says the format when they connect. */
struct telling {
    struct peer_space space;
    uint64_t format;
};

static bool disk_is_short(const struct sim_node *n)
{
    struct vfs_space space = {.total_bytes = UINT64_C(1) << 30};

    space.free_bytes = space.total_bytes / (n->world->now_ns < n->disk_short_until_ns ? 21 : 4);
    return disk_space_is_below_reserve(&space);
}

static void tell_space(struct nn *nn)
{
    struct sim_event e = {.type = SIM_REQUEST};
    struct telling told = {.format = nn_known_format(nn)};
    struct nn_envelope head = {.kind = NN_SPACE, .client = OF_NOBODY};
    CLEANUP_BUF struct buf bytes = {0};
    struct raft_status st;

    if (nn->w->now_ns - nn->looked_ns < SPACE_LOOK_MS * SIM_MS)
        return;
    nn->looked_ns = nn->w->now_ns;
    memset(&told.space, 0, sizeof(told.space)); /* Padding is compared between two runs. */
    told.space.id.v = nn->n->id;
    told.space.is_short = disk_is_short(nn->n);
    nn->n->disk_is_short = told.space.is_short;
    raft_status(nn->n->raft, &st);
    if (st.leader.v == 0 || st.role == RAFT_LEADER || !sim_is_alive(nn->w, st.leader))
        return;
    e.node = sim_number_of(st.leader);
    if (nn->w->cut[nn->n->number][e.node] ||
        (!nn->w->quiet && sim_percent(nn->w, nn->w->loss_percent)))
        return;
    buf_append(&bytes, &head, sizeof(head));
    buf_append(&bytes, &told, sizeof(told));
    e.bytes = (uint8_t *)mem_memdup(bytes.data, bytes.len);
    e.len = bytes.len;
    sim_at(nn->w, sim_net_delay(nn->w), &e);
}

static void on_space(struct nn *nn, const uint8_t *body)
{
    struct telling telling;
    struct peer_space told;

    memcpy(&telling, body, sizeof(telling));
    told = telling.space;
    told.heard_ns = clock_ns(nn);
    nn->heard_formats[sim_number_of(told.id)] = (uint32_t)telling.format;
    space_view_note(&nn->spaces, raft_conf(nn->n->raft), &told);
    if (raft_conf_find(raft_conf(nn->n->raft), told.id) != NULL)
        nn->told[sim_number_of(told.id)] =
            (struct nn_told){.at_ns = nn->w->now_ns, .id = told.id.v, .is_short = told.is_short};
}

static bool is_short_of_space(const struct nn *nn)
{
    return nn->n->disk_is_short ||
           space_view_is_short(&nn->spaces, raft_conf(nn->n->raft), clock_ns(nn));
}

/* D2: nothing that takes room while a disk is known to be short, whosever. */
static void check_space(struct nn *nn, const Dfs__MetaRequest *m)
{
    bool is_short = nn->n->disk_is_short;

    for (unsigned i = 0; i < SIM_NODES_MAX; i++) {
        const struct nn_told *t = &nn->told[i];

        is_short =
            is_short || (t->is_short && nn->w->now_ns - t->at_ns < SPACE_KNOWN_MS * SIM_MS &&
                         raft_conf_find(raft_conf(nn->n->raft), (struct raft_id){t->id}) != NULL);
    }
    if (is_short && m->op_case == DFS__META_REQUEST__OP_CREATE &&
        !sessions_may_be_done(nn->sessions, m->session, m->seq))
        sim_fail(nn->w, "D2: node %u takes what needs room, and a disk is nearly full",
                 nn->n->number + 1);
    nn->w->stats->freed_while_short += is_short && m->op_case == DFS__META_REQUEST__OP_UNLINK;
}

/* As svc_meta.c does. */
static bool lacks_space(struct nn *nn, const Dfs__MetaRequest *m)
{
    bool is_short = is_short_of_space(nn) && fsm_takes_space(m);

    if (!is_short)
        return false;
    nn->w->stats->done_while_short += sessions_may_be_done(nn->sessions, m->session, m->seq);
    return !sessions_may_be_done(nn->sessions, m->session, m->seq);
}

/* That we lead is certain. */
static void refuse(struct nn_op *op)
{
    Dfs__MetaReply refusal = DFS__META_REPLY__INIT;
    struct nn *nn = op->nn;

    if (nn->sessions == NULL || !lacks_space(nn, op->msg)) {
        answer(op, -EAGAIN, NULL);
        return;
    }
    nn_check_refusal(nn, op->msg, op->applied);
    nn->w->stats->space_refusals++;
    nn->w->stats->space_of_others += !nn->n->disk_is_short;
    refusal.status = -ENOSPC;
    answer(op, 0, &refusal);
}

/* ---- reads ---- */

static bool is_read(const Dfs__MetaRequest *m)
{
    return m->op_case >= DFS__META_REQUEST__OP_LOOKUP && m->op_case <= DFS__META_REQUEST__OP_LAYOUT;
}

/* As svc_meta.c does. */
static void look_at_opens(struct nn_op *op, Dfs__MetaReply *reply)
{
    struct sessions *sessions = op->nn->sessions;
    const Dfs__MetaRequest *m = op->msg;

    if (m->op_case == DFS__META_REQUEST__OP_CLOSE && sessions != NULL)
        sessions_close_inode(sessions, op->from.session, op->from.conn, m->close->inos[0]);
    if (m->op_case != DFS__META_REQUEST__OP_OPEN || reply->status != 0)
        return;
    if (sessions == NULL || sessions_may_open(sessions, m->open->ino, reply->entry->attr->nlink))
        count_open(op, m->open->ino);
    else
        reply->status = -ESTALE;
}

static void look(struct nn_op *op)
{
    struct nn *nn = op->nn;
    Dfs__MetaReply *reply;
    int r;

    if (op->msg == NULL) { /* To attach: it has. */
        answer(op, 0, NULL);
        return;
    }
    if (op->refuses) {
        refuse(op);
        return;
    }
    r = fsm_read(nn->fsm, op->msg, NULL, &reply);
    if (r < 0) {
        sim_fail(nn->w, "node %u cannot read its store, %d", nn->n->number + 1, r);
        return;
    }
    nn->w->stats->nn_reads++;
    look_at_opens(op, reply);
    answer(op, 0, reply);
}

/* Ends in nn_serve_read(), perhaps before this returns. */
static void begin_read(struct nn_op *op)
{
    struct nn *nn = op->nn;

    if (MUTANT(READ_UNPROVED) && !op->unknown_session) {
        look(op);
        return;
    }
    op->reads = true;
    op->read_id = nn->w->read_count;
    if (sim_read_at(nn->w, nn->n, &(uint64_t){0}) < 0)
        answer(op, -EAGAIN, NULL);
}

void nn_serve_read(struct nn *nn, const struct raft_read *read)
{
    struct nn_op *op;

    DL_FOREACH (nn->ops, op) {
        if (op->reads && op->read_id == read->id)
            break;
    }
    if (op == NULL)
        return;
    op->reads = false;
    if (read->result < 0)
        answer(op, DFS_ENOTLEADER, NULL);
    else if (!op->unknown_session)
        look(op);
    else if (nn->sessions != NULL && sessions_renew(nn->sessions, op->from.session, clock_ns(nn)))
        answer(op, -EAGAIN, NULL); /* Known by now. */
    else
        answer(op, DFS_ESTALE_SESSION, NULL);
}

/* ---- requests ---- */

static struct nn_op *op_new(struct nn *nn, const struct nn_envelope *from)
{
    struct nn_op *op = MEM_NEW(struct nn_op);

    op->nn = nn;
    op->from = *from;
    DL_APPEND(nn->ops, op);
    return op;
}

static struct nn_op *own_op(struct nn *nn)
{
    return op_new(nn, &(struct nn_envelope){.client = OF_NOBODY});
}

/* As svc_meta.c does: which groups new chunks go to is part of the request that is logged. */
static int choose_pgs(struct nn *nn, Dfs__AllocOp *alloc)
{
    uint32_t next = fsm_state(nn->fsm)->next_pg;

    if (next <= 1)
        return -EAGAIN;
    free(alloc->pgs);
    alloc->pgs = mem_zalloc(alloc->count, sizeof(*alloc->pgs));
    alloc->n_pgs = alloc->count;
    for (uint32_t i = 0; i < alloc->count; i++)
        alloc->pgs[i] = 1 + (uint32_t)sim_below(nn->w, next - 1);
    return 0;
}

static void serve_change(struct nn *nn, struct nn_op *op)
{
    Dfs__MetaReply refusal = DFS__META_REPLY__INIT;
    int r = 0;

    if (lacks_space(nn, op->msg)) {
        op->refuses = true;
        op->applied = nn_world_of(nn->w)->applied;
        begin_read(op);
        return;
    }
    check_space(nn, op->msg);

    if (op->msg->op_case == DFS__META_REQUEST__OP_ALLOC)
        r = choose_pgs(nn, op->msg->alloc);
    if (r < 0) {
        answer(op, r, NULL);
        return;
    }
    r = fsm_check_request(op->msg, true);
    if (r < 0)
        sim_fail(nn->w, "a client's request is refused, %d", r);
    op->is_first = !sessions_may_be_done(nn->sessions, op->msg->session, op->msg->seq);
    sessions_note_seq(nn->sessions, op->msg->session, op->msg->seq);
    refusal.status = -EOPNOTSUPP;
    if (fsm_format_of(op->msg) > fsm_state(nn->fsm)->format)
        answer(op, 0, &refusal);
    else
        gather(nn, op->msg, op);
}

static void serve_known(struct nn *nn, struct nn_op *op)
{

    if (op->from.kind == NN_RENEW) {
        answer(op, 0, NULL);
    } else if (op->from.kind == NN_ATTACH || is_read(op->msg)) {
        begin_read(op);
    } else {
        serve_change(nn, op);
    }
}

static void attach(struct nn *nn, const struct nn_envelope *from, const uint8_t *body, size_t count)
{
    uint64_t inos[NN_OPENS_MAX];

    if (count > sizeof(inos) / sizeof(inos[0]))
        sim_fail(nn->w, "client %u has %zu opens", from->client, count);
    else if (count > 0)
        memcpy(inos, body, count * sizeof(inos[0]));
    sessions_attach(nn->sessions, from->session, from->term, from->conn, inos, count);
    nn->w->stats->opens_retold += count > 0;
}

void nn_serve(struct nn *nn, const struct sim_event *e)
{
    struct nn_envelope from;
    const uint8_t *body = e->bytes + sizeof(from);
    struct cluster_rec cluster;
    struct nn_op *op;

    memcpy(&from, e->bytes, sizeof(from));
    if (from.kind == NN_SPACE) {
        on_space(nn, body);
        return;
    }
    if (!nn_open_may_arrive(nn, &from))
        return;
    op = op_new(nn, &from);
    if (from.kind == NN_META)
        op->msg = dfs__meta_request__unpack(NULL, e->len - sizeof(from), body);
    if (!is_serving(nn) || nn->sessions == NULL) {
        answer(op, DFS_ENOTLEADER, NULL);
    } else if (fsm_cluster(nn->fsm, &cluster) < 0) {
        answer(op, -EAGAIN, NULL); /* There is no root yet. */
    } else if (from.kind == NN_OPEN) {
        propose_session_open(nn, body, op);
    } else if (from.kind == NN_CLOSE) {
        propose_session_end(nn, from.session, false, op);
    } else if (sessions_renew(nn->sessions, from.session, clock_ns(nn))) {
        if (from.kind == NN_ATTACH)
            attach(nn, &from, body, (e->len - sizeof(from)) / sizeof(uint64_t));
        serve_known(nn, op);
    } else {
        op->unknown_session = true;
        begin_read(op);
    }
}

void nn_fail_all(struct nn *nn)
{
    struct nn_op *op, *next;

    proposals_fail_all(&nn->proposals, fail_waiter, nn);
    memset(nn->asked, 0, sizeof(nn->asked));
    DL_FOREACH_SAFE (nn->ops, op, next) {
        if (op->reads)
            answer(op, DFS_ENOTLEADER, NULL);
    }
    sessions_free(STEAL(nn->sessions));
}

static void drop_waiter(void *ctx, struct waiter w, int status)
{
    (void)ctx;
    (void)w;
    (void)status;
}

/* The process has ended: nobody is told anything. */
void nn_serve_stop(struct nn *nn)
{
    proposals_fail_all(&nn->proposals, drop_waiter, nn);
    proposals_done(&nn->proposals);
    nn->proposals = (struct proposals){0};
    while (nn->ops != NULL)
        op_free(nn->ops);
    sessions_free(STEAL(nn->sessions));
    nn->led = false;
    nn->spaces = (struct space_view){0}; /* And what it had heard. */
    memset(nn->heard_formats, 0, sizeof(nn->heard_formats));
    memset(nn->asked, 0, sizeof(nn->asked));
    memset(nn->told, 0, sizeof(nn->told));
    nn->n->disk_is_short = false;
}

/* ---- the end of a turn ---- */

static int add_session(void *ctx, const struct session_rec *rec)
{
    struct nn *nn = ctx;

    sessions_add(nn->sessions, rec->session, false, clock_ns(nn));
    sessions_note_seq(nn->sessions, rec->session, rec->seq_max);
    return 0;
}

static void propose_cluster(struct nn *nn)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__ClusterInitOp op = DFS__CLUSTER_INIT_OP__INIT;
    uint8_t uuid[16] = {7}, key[32] = {9};

    op.cluster_uuid = (ProtobufCBinaryData){.data = uuid, .len = sizeof(uuid)};
    op.data_key = (ProtobufCBinaryData){.data = key, .len = sizeof(key)};
    op.copies = PG_COPIES;
    op.min_write = PG_MIN_WRITE;
    op.pgs_per_target = PGS_PER_TARGET;
    req.op_case = DFS__META_REQUEST__OP_CLUSTER_INIT;
    req.cluster_init = &op;
    gather(nn, &req, own_op(nn));
}

static uint32_t heard_format(const void *ctx, struct raft_id id)
{
    const struct nn *nn = ctx;

    return id.v == nn->n->id ? nn_known_format(nn) : nn->heard_formats[sim_number_of(id)];
}

/*
 * As node_care.c does, when the last of them runs the new release: the counters of directories begin in
 * a tree that is there.
 */
static void care_for_format(struct nn *nn)
{
    const struct raft_conf *conf = raft_conf(nn->n->raft);
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__FormatOp op = DFS__FORMAT_OP__INIT;
    const struct raft_member *slowest;
    struct nn_format_ask asks;

    op.format = format_common(conf, nn_known_format(nn), heard_format, nn, &slowest);
    nn->w->stats->format_waits += slowest != NULL && nn_known_format(nn) > op.format &&
                                  fsm_state(nn->fsm)->format < nn_known_format(nn);
    if (op.format <= fsm_state(nn->fsm)->format)
        return;
    req.op_case = DFS__META_REQUEST__OP_FORMAT;
    req.format = &op;
    asks = (struct nn_format_ask){.format = op.format, .conf = *conf};
    gather(nn, &req, own_op(nn));
    if (nn->asked[op.format].format == 0) /* The first of them in an entry takes effect. */
        nn->asked[op.format] = asks;
}

/* As node_convert.c, in slices so small that much happens between them. */
static void propose_convert(struct nn *nn)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__ConvertOp op = DFS__CONVERT_OP__INIT;

    op.max_values = 1 + (uint32_t)sim_below(nn->w, 6);
    op.max_bytes = 1 + (uint32_t)sim_below(nn->w, 2000);
    nn->w->stats->slices_converted++;
    req.op_case = DFS__META_REQUEST__OP_CONVERT;
    req.convert = &op;
    gather(nn, &req, own_op(nn));
}

static void begin_serving(struct nn *nn)
{
    nn->sessions = sessions_new(nn->led_term);
    reap_queue_begin(nn->reaps);
    nn->reaps_in_flight = 0;
    (void)fsm_each_session(nn->fsm, add_session, nn);
}

static void propose_hash(struct nn *nn)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__HashOp op = DFS__HASH_OP__INIT;
    uint8_t bytes[FSM_BATCH_HEADER + FSM_BATCH_OP_HEADER_MAX + 64];
    struct raft_update up;
    size_t len;

    op.index = nn->hash_due;
    nn->hash_due = 0;
    if (!is_serving(nn) || fsm_state_hash(nn->fsm, op.index, &op.hash) < 0)
        return;
    req.op_case = DFS__META_REQUEST__OP_HASH;
    req.hash = &op;
    len = fsm_batch_header(wall_ns(nn), bytes);
    len += fsm_batch_op_header(dfs__meta_request__get_packed_size(&req), bytes + len);
    len += dfs__meta_request__pack(&req, bytes + len);
    if (propose(nn, RAFT_ENTRY_HASH, raft_buf_copy(bytes, len), &up) == 0)
        proposals_wrote(&nn->proposals, &up);
}

/* Groups for chunks to go to. Who is in them is of no matter here. */
static void propose_pgs(struct nn *nn)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__PgCreateOp op = DFS__PG_CREATE_OP__INIT;
    Dfs__Pg pg = DFS__PG__INIT, *pgs[] = {&pg, &pg, &pg};

    pg.copies = PG_COPIES;
    pg.min_write = PG_MIN_WRITE;
    op.pgs = pgs;
    op.n_pgs = 1 + sim_below(nn->w, 3);
    req.op_case = DFS__META_REQUEST__OP_PG_CREATE;
    req.pg_create = &op;
    gather(nn, &req, own_op(nn));
}

/* As svc_reaper.c, when all of a chain have acknowledged the deletion of some. */
static void propose_gc(struct nn *nn)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__GcDoneOp op = DFS__GC_DONE_OP__INIT;
    uint64_t chunks[8];
    size_t count;

    op.pg = 1 + (uint32_t)sim_below(nn->w, fsm_state(nn->fsm)->next_pg);
    if (fsm_list_garbage(nn->fsm, op.pg, 0, 1 + sim_below(nn->w, 8), chunks, &count) < 0 ||
        count == 0)
        return;
    nn->w->stats->chunks_deleted += count;
    op.chunk_ids = chunks;
    op.n_chunk_ids = count;
    req.op_case = DFS__META_REQUEST__OP_GC_DONE;
    req.gc_done = &op;
    gather(nn, &req, own_op(nn));
}

static void propose_slice(struct nn *nn, const struct reap_slice *slice)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__ReapOp reap = DFS__REAP_OP__INIT;
    struct nn_op *op = own_op(nn);

    reap.ino = op->reaps = slice->ino;
    reap.max_chunks = slice->max_chunks;
    op->term = nn->led_term;
    nn->reaps_in_flight++;
    sessions_reap_begins(nn->sessions, slice->ino);
    req.op_case = DFS__META_REQUEST__OP_REAP;
    req.reap = &reap;
    gather(nn, &req, op);
}

/* As svc_reaper.c does. */
static void reap_some(struct nn *nn)
{
    uint32_t chunks = sim_percent(nn->w, 60) ? 1 : 1 + (uint32_t)sim_below(nn->w, NN_FILE_CHUNKS);
    struct reap_slice slices[REAP_ROUND_MAX];
    size_t count;

    if (nn->reaps_in_flight > 0)
        return;
    count = reap_queue_round(nn->reaps, nn->fsm, nn->sessions, chunks, slices);
    for (size_t i = 0; i < count; i++)
        propose_slice(nn, &slices[i]);
}

/* Only a leader that is sure of itself may call others dead. */
static void sweep(struct nn *nn)
{
    struct nn_world *nw = nn_world_of(nn->w);
    uint64_t expired[NN_CLIENTS_MAX];
    struct cluster_rec cluster;
    struct raft_status st;
    size_t n;

    nn->swept_ns = nn->w->now_ns;
    care_for_format(nn);
    if (fsm_state(nn->fsm)->convert.kind != 0)
        propose_convert(nn);
    if (fsm_cluster(nn->fsm, &cluster) == -ENOENT)
        propose_cluster(nn);
    raft_status(nn->n->raft, &st);
    if (nn->w->read_lease && !st.lease_valid)
        return;
    n = sessions_expired(nn->sessions, clock_ns(nn), (uint64_t)nw->courtesy_ns, expired,
                         NN_CLIENTS_MAX);
    for (size_t i = 0; i < n; i++)
        propose_session_end(nn, expired[i], true, own_op(nn));
    if (fsm_state(nn->fsm)->next_pg == 1 && fsm_cluster(nn->fsm, &cluster) == 0)
        propose_pgs(nn);
    if (sim_percent(nn->w, 30))
        reap_some(nn);
    if (sim_percent(nn->w, 30))
        propose_gc(nn);
}

void nn_serve_turn(struct nn *nn)
{
    bool serving = is_serving(nn);

    if (nn->sessions != NULL && !serving)
        sessions_free(STEAL(nn->sessions));
    if (nn->sessions == NULL && serving)
        begin_serving(nn);
    if (serving && nn->w->now_ns - nn->swept_ns > 200 * (int64_t)SWEEP_NS_PER_MS)
        sweep(nn);
    tell_space(nn);
    proposals_durable(&nn->proposals, nn->n->durable_write);
    if (proposals_is_due(&nn->proposals) && !nn->transferring)
        flush_batch(nn);
    if (nn->hash_due != 0)
        propose_hash(nn);
}
