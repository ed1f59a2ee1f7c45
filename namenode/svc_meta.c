/*
 * MSG_META: every metadata operation of a client. Reads are answered from the local state machine
 * once it is sure to be current; changes go through the log and are answered when applied.
 *
 * Slices of rm -r are the only changes of clients that are long (some ms). One is under way at a time,
 * whoever asks; the others wait here in the order in which they came. So whatever else is asked waits
 * behind one of them at most. Swaps of chunks take turns, too, and hold up opens meanwhile: swap_gate.h.
 */
#include "namenode/svc_meta.h"

#include <errno.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/error.h"
#include "common/mem.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/service.h"
#include "namenode/sessions.h"
#include "namenode/svc_datanode.h"
#include "namenode/svc_request.h"
#include "namenode/svc_session.h"
#include "namenode/swap_gate.h"
#include "rpc/msg.h"

struct svc_meta {
    struct services *all;
    struct node *node;
    struct meta_op *slices; /* the first is under way */
    struct swap_gate gate;
    struct meta_op *swaps; /* the first is under way, or the next */
    struct meta_op *held;  /* creates and opens that wait for it */
};

/* One operation under way or waiting. */
struct meta_op {
    struct svc_meta *svc;
    struct svc_request *request;
    Dfs__MetaRequest *msg;
    bool is_first; /* a change: it cannot have been made before it was proposed here */
    struct meta_op *prev, *next; /* in svc->slices, swaps or held */
};

static void meta_op_free(struct meta_op *op)
{
    dfs__meta_request__free_unpacked(op->msg, NULL);
    free(op);
}

static bool is_read(const Dfs__MetaRequest *m)
{
    return m->op_case >= DFS__META_REQUEST__OP_LOOKUP && m->op_case <= DFS__META_REQUEST__OP_USAGE;
}

/* ---- reads ---- */

static void reply_closed(struct svc_meta *s, const struct meta_op *op)
{
    struct svc_session *sessions = svc_session_of(s->all);
    Dfs__MetaReply reply = DFS__META_REPLY__INIT;

    for (size_t i = 0; i < op->msg->close->n_inos; i++)
        svc_session_close_inode(sessions, op->request->conn, op->msg->session,
                                op->msg->close->inos[i]);
    svc_request_reply(op->request, &reply.base);
}

/* Nobody but who has it open may open what has no links: its end may be on its way (-ESTALE). */
static void count_open(struct svc_meta *s, const struct meta_op *op, Dfs__MetaReply *reply)
{
    struct svc_session *sessions = svc_session_of(s->all);
    uint64_t ino = op->msg->open->ino;

    if (reply->status != 0)
        return;
    if (svc_session_may_open(sessions, ino, reply->entry->attr->nlink))
        svc_session_open_inode(sessions, op->request->conn, op->msg->session, ino);
    else
        reply->status = -ESTALE;
}

static void read_done(void *ctx, int status)
{
    struct meta_op *op = ctx;
    struct svc_meta *s = op->svc;
    struct fsm_space space;
    Dfs__MetaReply *reply = NULL;

    if (swap_gate_holds(&s->gate, op->msg)) {
        DL_APPEND(s->held, op);
        return;
    }
    if (status == 0 && op->msg->op_case == DFS__META_REQUEST__OP_CLOSE) {
        reply_closed(s, op);
        meta_op_free(op);
        return;
    }
    if (status == 0) {
        svc_datanode_space(svc_datanode_of(s->all), &space);
        status = fsm_read(node_fsm(s->node), op->msg, &space, &reply);
        if (status < 0)
            node_check_store(s->node, status);
    }
    if (status < 0) {
        svc_request_fail(op->request, status, "the metadata could not be read");
    } else {
        if (op->msg->op_case == DFS__META_REQUEST__OP_OPEN)
            count_open(s, op, reply);
        svc_request_reply(op->request, &reply->base);
    }
    meta_op_free(op);
}

static void read_start(struct meta_op *op)
{
    struct node *n = op->svc->node;

    if (node_read_now(n))
        read_done(op, 0);
    else
        node_read(n, read_done, op);
}

/* ---- changes ---- */

static bool opens(const Dfs__MetaRequest *m, const Dfs__MetaReply *reply)
{
    return m->op_case == DFS__META_REQUEST__OP_CREATE && m->create->open && reply->status == 0 &&
           reply->result_case == DFS__META_REPLY__RESULT_ENTRY && reply->entry->attr != NULL;
}

/*
 * False: this is the answer of long ago, once more, and another client has removed the file since: who
 * asks opens it anew. One that was made just now may have lost its name in the same entry of the log, and
 * is open all the same.
 */
static bool open_created(struct svc_meta *s, const struct meta_op *op, uint64_t ino)
{
    struct svc_session *sessions = svc_session_of(s->all);
    struct inode_rec rec = {0};

    if (fsm_inode_get(node_fsm(s->node), ino, &rec) < 0)
        rec.nlink = 0;
    if (!svc_session_may_open(sessions, ino, rec.nlink) &&
        (!op->is_first || svc_session_is_reaped(sessions, ino)))
        return false;
    svc_session_open_inode(sessions, op->request->conn, op->msg->session, ino);
    return true;
}

static void reply_status(struct svc_request *r, int status)
{
    Dfs__MetaReply reply = DFS__META_REPLY__INIT;

    reply.status = status;
    svc_request_reply(r, &reply.base);
}

/*
 * The answer to a create that opens a file may be the one of its first time, given again after a
 * failover, when the client did not count as having it open: its chunks may have been swapped since,
 * and the map is old. The file as it is now, or NULL when the answer is not old.
 */
static const Dfs__MetaReply *opened_anew(struct svc_meta *s, const Dfs__EntryReply *first)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__OpenOp open = DFS__OPEN_OP__INIT;
    Dfs__MetaReply *reply = NULL;
    struct inode_rec inode;

    if (fsm_inode_get(node_fsm(s->node), first->attr->ino, &inode) < 0 ||
        inode.data_version == first->attr->data_version)
        return NULL;
    open.ino = inode.ino;
    req.op_case = DFS__META_REQUEST__OP_OPEN; /* Ours: allowed once, it stays allowed. */
    req.open = &open;
    if (fsm_read(node_fsm(s->node), &req, NULL, &reply) < 0 || reply->status < 0)
        return NULL;
    reply->entry->created = first->created;
    return reply;
}

static void change_done(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_op *op = ctx;
    const Dfs__MetaRequest *m = op->msg;

    if (status < 0) {
        svc_request_fail(op->request, status, "the change was not made");
    } else if (opens(m, reply) && !open_created(op->svc, op, reply->entry->attr->ino)) {
        reply_status(op->request, -ESTALE);
    } else {
        const Dfs__MetaReply *now = opens(m, reply) ? opened_anew(op->svc, reply->entry) : NULL;

        reply = now == NULL ? reply : now;
        svc_request_reply(op->request, &reply->base);
    }
    meta_op_free(op);
}

static void slice_done(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_op *op = ctx;
    struct svc_meta *s = op->svc;

    DL_DELETE(s->slices, op);
    change_done(op, status, reply);
    if (s->slices != NULL)
        node_propose(s->node, s->slices->msg, slice_done, s->slices);
}

static void slice_start(struct meta_op *op)
{
    struct svc_meta *s = op->svc;

    DL_APPEND(s->slices, op);
    if (s->slices == op)
        node_propose(s->node, op->msg, slice_done, op);
}

/* ---- swaps of chunks, and what waits for them ---- */

static void swap_next(struct svc_meta *s);

static void create_done(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_op *op = ctx;
    struct svc_meta *s = op->svc;

    change_done(op, status, reply);
    s->gate.creates--;
    swap_next(s);
}

/* One that opens its file. */
static void create_start(struct meta_op *op, const struct rpc_frame *f)
{
    struct svc_meta *s = op->svc;

    if (swap_gate_holds(&s->gate, op->msg)) {
        DL_APPEND(s->held, op);
        return;
    }
    s->gate.creates++;
    node_propose_packed(s->node, f->body, f->header.body_len, create_done, op);
}

/* One swap is over: those that wait get their turn before the next. */
static void swap_ended(struct svc_meta *s)
{
    struct meta_op *held = s->held, *op, *next;

    swap_gate_ended(&s->gate);
    s->held = NULL;
    DL_FOREACH_SAFE (held, op, next) {
        DL_DELETE(held, op);
        if (!is_read(op->msg)) {
            s->gate.creates++;
            node_propose(s->node, op->msg, create_done, op);
        } else {
            read_start(op);
        }
    }
}

static void swap_done(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_op *op = ctx;
    struct svc_meta *s = op->svc;

    DL_DELETE(s->swaps, op);
    change_done(op, status, reply);
    swap_ended(s);
    swap_next(s);
}

/*
 * Nobody has it open, and all have told; or we lead no more and know nobody's opens, which the proposal
 * will tell. One that was done, and is asked again, may be answered with EBUSY: that is true as well.
 */
static bool may_swap(const struct svc_meta *s, uint64_t ino)
{
    const struct sessions *view = svc_session_view(svc_session_of(s->all));

    return view == NULL || (sessions_detached_count(view) == 0 && !sessions_is_open(view, ino));
}

static void swap_next(struct svc_meta *s)
{
    while (swap_gate_is_free(&s->gate)) {
        struct meta_op *op = s->swaps;
        uint64_t ino = op->msg->swap_chunks->ino;

        if (may_swap(s, ino)) {
            swap_gate_begin(&s->gate, ino);
            node_propose(s->node, op->msg, swap_done, op);
            return;
        }
        DL_DELETE(s->swaps, op);
        reply_status(op->request, -EBUSY);
        meta_op_free(op);
        swap_ended(s);
    }
}

static void swap_start(struct meta_op *op)
{
    struct svc_meta *s = op->svc;

    DL_APPEND(s->swaps, op);
    s->gate.waiting++;
    swap_next(s);
}

/* Which PGs new chunks go to is the leader's choice by load, so it is part of the log entry. */
static int choose_pgs(struct svc_meta *s, Dfs__AllocOp *alloc)
{
    struct inode_rec inode = {0}; /* One that is not there: refused when it is applied. */
    struct cluster_rec cluster;
    uint32_t *pgs;
    int r;

    if (alloc->count == 0 || alloc->count > FSM_ALLOC_MAX)
        return -EINVAL;
    pgs = mem_zalloc(alloc->count, sizeof(*pgs));
    (void)fsm_inode_get(node_fsm(s->node), alloc->ino, &inode);
    if (inode.copies == 0 && fsm_cluster(node_fsm(s->node), &cluster) == 0)
        inode.copies = (uint8_t)cluster.copies;
    r = svc_datanode_choose_pgs(svc_datanode_of(s->all), inode.copies, alloc->count, pgs);
    if (r < 0) {
        free(pgs);
        return r;
    }
    free(alloc->pgs);
    alloc->pgs = pgs;
    alloc->n_pgs = alloc->count;
    return 0;
}

/* Is it to set how many copies there are to be? Then so many can be had. A value that is none at all
 * is refused when it is applied. */
static int check_copies(struct svc_meta *s, const struct meta_op *op)
{
    const Dfs__SetxattrOp *set = op->msg->setxattr;
    int r;

    if (!fsm_is_copies_xattr(set->name) || set->value.len != 1 || set->value.data[0] < '1' ||
        set->value.data[0] > '0' + COPIES_MAX)
        return 0;
    r = svc_datanode_want_copies(svc_datanode_of(s->all), set->value.data[0] - '0');
    /* What was done when there were more hosts has the log's answer. */
    return r < 0 && svc_session_may_be_done(svc_session_of(s->all), op->msg->session, op->msg->seq)
               ? 0
               : r;
}

/* What the leader has not changed goes into the log as it came. */
static void propose(struct meta_op *op, const struct rpc_frame *f)
{
    struct node *n = op->svc->node;

    op->is_first =
        !svc_session_may_be_done(svc_session_of(op->svc->all), op->msg->session, op->msg->seq);
    svc_session_note_seq(svc_session_of(op->svc->all), op->msg->session, op->msg->seq);
    if (op->msg->op_case == DFS__META_REQUEST__OP_REMOVE_TREE)
        slice_start(op);
    else if (op->msg->op_case == DFS__META_REQUEST__OP_SWAP_CHUNKS)
        swap_start(op);
    else if (swap_gate_is_create(op->msg))
        create_start(op, f);
    else if (op->msg->op_case == DFS__META_REQUEST__OP_ALLOC)
        node_propose(n, op->msg, change_done, op);
    else
        node_propose_packed(n, f->body, f->header.body_len, change_done, op);
}

/* No room for it; and it is certain not to have been done, if we lead. */
static bool lacks_space(const struct meta_op *op)
{
    struct svc_meta *s = op->svc;

    return node_is_short_of_space(s->node) && fsm_takes_space(op->msg) &&
           !svc_session_may_be_done(svc_session_of(s->all), op->msg->session, op->msg->seq);
}

static void refuse_done(void *ctx, int status)
{
    struct meta_op *op = ctx;

    if (status == 0 && !lacks_space(op))
        status = -EAGAIN; /* By now there is room, or it is on its way. */
    if (status < 0)
        svc_request_fail(op->request, status, "nobody knows whether the change was made");
    else
        reply_status(op->request, -ENOSPC);
    meta_op_free(op);
}

/* One who was deposed and does not know it has not heard of what others did since. */
static void refuse_start(struct meta_op *op)
{
    if (node_read_now(op->svc->node))
        refuse_done(op, 0);
    else
        node_read(op->svc->node, refuse_done, op);
}

static void change_start(struct meta_op *op, const struct rpc_frame *f)
{
    struct svc_meta *s = op->svc;
    int r = 0;

    if (lacks_space(op)) {
        refuse_start(op);
        return;
    }
    if (op->msg->op_case == DFS__META_REQUEST__OP_ALLOC)
        r = choose_pgs(s, op->msg->alloc);
    if (r == 0)
        r = fsm_check_request(op->msg, true);
    if (r == 0 && fsm_format_of(op->msg) > fsm_state(node_fsm(s->node))->format)
        r = -EOPNOTSUPP; /* Not all namenodes know it; the report says which. */
    if (r == 0 && op->msg->op_case == DFS__META_REQUEST__OP_SETXATTR)
        r = check_copies(s, op);
    if (r == -EAGAIN || dfs_error_is_own(r)) {
        /* Not an answer for the application: the client asks again. */
        svc_request_fail(op->request, r, "no placement group takes new chunks now");
        meta_op_free(op);
        return;
    }
    if (r < 0) {
        reply_status(op->request, r == -EPROTO ? -EINVAL : r);
        meta_op_free(op);
        return;
    }
    propose(op, f);
}

static void on_meta(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_meta *s = self;
    Dfs__MetaRequest *m = dfs__meta_request__unpack(NULL, f->header.body_len, f->body);
    struct meta_op *op;

    if (m != NULL && msg_has_unknown_fields(&m->base)) {
        /* Part of it would be done; or nothing here, and more by a replica of a newer release. */
        reply_status(svc_request_new(s->all, s, c, f), -EOPNOTSUPP);
        dfs__meta_request__free_unpacked(m, NULL);
        return;
    }
    if (m == NULL || m->op_case == DFS__META_REQUEST__OP__NOT_SET) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "the body is not a MetaRequest with an operation");
        dfs__meta_request__free_unpacked(m, NULL);
        return;
    }
    if (!svc_session_renew(svc_session_of(s->all), m->session)) {
        svc_session_unknown(svc_session_of(s->all), c, f, m->session);
        dfs__meta_request__free_unpacked(m, NULL);
        return;
    }
    op = MEM_NEW(struct meta_op);
    op->svc = s;
    op->msg = m;
    op->request = svc_request_new(s->all, s, c, f);
    if (!is_read(m))
        change_start(op, f);
    else
        read_start(op);
}

static int start(struct services *all, void **ret_self)
{
    struct svc_meta *s = MEM_NEW(struct svc_meta);

    s->all = all;
    s->node = services_node(all);
    *ret_self = s;
    return 0;
}

static void stop(void *self)
{
    free(self);
}

const struct service svc_meta = {
    .name = "meta",
    .handlers = {{MSG_META, true, on_meta}},
    .start = start,
    .stop = stop,
};
