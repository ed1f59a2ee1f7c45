/*
 * What clients have open, as libdfs keeps it: an open counts at the leader alone, who is told it all
 * again on each new connection. What they hold must not be taken apart while their session lives, and
 * what nobody holds must be in the end.
 *
 *   call about opens ──► connection ── attached? ──no──► ATTACH with what the leader counts for us
 *                                          └──yes──► OPEN, CLOSE, CREATE that opens
 *
 * Who has had no answer makes another connection. What was sent on the old one may still arrive, its
 * answer does not.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "namenode/reap_queue.h"
#include "tests/sim/sim_nn.h"

bool nn_is_of_opens(const Dfs__MetaRequest *m)
{
    return m->op_case == DFS__META_REQUEST__OP_OPEN || m->op_case == DFS__META_REQUEST__OP_CLOSE ||
           (m->op_case == DFS__META_REQUEST__OP_CREATE && m->create->open);
}

static struct nn_open *open_of(struct nn_client *c, uint64_t ino)
{
    struct nn_open *place = NULL;

    for (unsigned i = 0; i < NN_OPENS_MAX; i++) {
        struct nn_open *o = &c->opens[i];

        if (o->owed > 0 && o->ino == ino)
            return o;
        if (o->owed == 0)
            place = o;
    }
    return place;
}

static unsigned owed_count(const struct nn_client *c)
{
    unsigned owed = 0;

    for (unsigned i = 0; i < NN_OPENS_MAX; i++)
        owed += c->opens[i].owed;
    return owed;
}

static struct nn_open *any_held(struct sim_world *w, struct nn_client *c)
{
    unsigned from = (unsigned)sim_below(w, NN_OPENS_MAX);

    for (unsigned i = 0; i < NN_OPENS_MAX; i++) {
        struct nn_open *o = &c->opens[(from + i) % NN_OPENS_MAX];

        if (o->held > 0)
            return o;
    }
    return NULL;
}

bool nn_holds(const struct nn_client *c, uint64_t ino)
{
    for (unsigned i = 0; i < NN_OPENS_MAX; i++) {
        if (c->opens[i].held > 0 && c->opens[i].ino == ino)
            return true;
    }
    return false;
}

bool nn_holds_any(const struct nn_client *c)
{
    for (unsigned i = 0; i < NN_OPENS_MAX; i++) {
        if (c->opens[i].held > 0)
            return true;
    }
    return false;
}

void nn_drop_opens(struct nn_client *c)
{
    memset(c->opens, 0, sizeof(c->opens));
    c->attached = false;
}

void nn_pack_opens(const struct nn_client *c, struct buf *out)
{
    for (unsigned i = 0; i < NN_OPENS_MAX; i++) {
        for (unsigned k = 0; k < c->opens[i].owed; k++)
            buf_append(out, &c->opens[i].ino, sizeof(c->opens[i].ino));
    }
}

/* ---- what they ask for ---- */

bool nn_may_open_more(const struct nn_client *c)
{
    return owed_count(c) + NN_CALLS_MAX < NN_OPENS_MAX;
}

static void close_one(struct nn_open *o, Dfs__MetaRequest *req)
{
    req->op_case = DFS__META_REQUEST__OP_CLOSE;
    req->close = MEM_NEW(Dfs__CloseOp);
    dfs__close_op__init(req->close);
    req->close->inos = (uint64_t *)mem_memdup(&o->ino, sizeof(o->ino));
    req->close->n_inos = 1;
    o->held--;
}

bool nn_close_some(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req)
{
    struct nn_open *o = any_held(w, c);

    if (o == NULL)
        return false;
    close_one(o, req);
    return true;
}

bool nn_any_open(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req)
{
    const struct nn_area *a = &nn_world_of(w)->areas[c->area];
    struct nn_open *held = any_held(w, c);

    if (held != NULL && sim_percent(w, 45)) {
        if (sim_percent(w, 60)) {
            close_one(held, req);
            return true;
        }
        req->op_case = DFS__META_REQUEST__OP_GETATTR;
        req->getattr = MEM_NEW(Dfs__GetattrOp);
        dfs__getattr_op__init(req->getattr);
        req->getattr->ino = held->ino;
        return true;
    }
    if (a->file_count == 0 || !nn_may_open_more(c))
        return false;
    req->op_case = DFS__META_REQUEST__OP_OPEN;
    req->open = MEM_NEW(Dfs__OpenOp);
    dfs__open_op__init(req->open);
    req->open->ino = a->files[sim_below(w, a->file_count)];
    return true;
}

/* ---- what they learn ---- */

static bool is_live(const struct sim_world *w, const struct nn_client *c)
{
    const struct nn_world *nw = nn_world_of(w);

    return c->session != 0 && c->session < nw->session_cap && nw->sessions[c->session].is_open;
}

static bool is_reaped(const struct nn_world *nw, uint64_t ino)
{
    return ino < nw->reaped_cap && nw->reaped[ino];
}

static void opened(struct sim_world *w, struct nn_client *c, uint64_t ino)
{
    bool reaped = is_reaped(nn_world_of(w), ino);
    struct nn_open *o = open_of(c, ino);

    if (reaped && is_live(w, c))
        sim_fail(w, "client %u is told that it has inode %lu open, which was taken apart",
                 c->number, UL(ino));
    if (o == NULL) {
        sim_fail(w, "client %u has too many inodes open", c->number);
        return;
    }
    o->ino = ino;
    o->owed++;
    o->held++;
    w->stats->opens++;
}

static void closed(struct nn_client *c, uint64_t ino)
{
    struct nn_open *o = open_of(c, ino);

    if (o != NULL && o->owed > o->held && o->ino == ino)
        o->owed--;
}

void nn_open_learn(struct sim_world *w, struct nn_client *c, const struct nn_call *call,
                   const Dfs__MetaReply *reply)
{
    const Dfs__MetaRequest *m = call->msg;
    bool has_entry =
        reply->result_case == DFS__META_REPLY__RESULT_ENTRY && reply->entry->attr != NULL;

    if (call->session != c->session)
        return; /* Closed since. */
    if (m->op_case == DFS__META_REQUEST__OP_CLOSE)
        closed(c, m->close->inos[0]);
    else if (m->op_case == DFS__META_REQUEST__OP_OPEN && reply->status == 0)
        opened(w, c, m->open->ino);
    else if (m->op_case == DFS__META_REQUEST__OP_OPEN && reply->status == -ESTALE && has_entry)
        w->stats->opens_refused++;
    else if (m->op_case == DFS__META_REQUEST__OP_CREATE && m->create->open && reply->status == 0 &&
             has_entry)
        opened(w, c, reply->entry->attr->ino);
    else if (m->op_case == DFS__META_REQUEST__OP_CREATE && m->create->open &&
             reply->status == -ESTALE)
        w->stats->opens_too_late += reply->result_case == DFS__META_REPLY__RESULT__NOT_SET;
    if (m->op_case != DFS__META_REQUEST__OP_GETATTR || !call->held)
        return;
    if (reply->status < 0 && is_live(w, c) && nn_holds(c, m->getattr->ino))
        sim_fail(w, "client %u has inode %lu open and cannot read it, %d", c->number,
                 UL(m->getattr->ino), reply->status);
    w->stats->unlinked_reads += reply->status == 0 && has_entry && reply->entry->attr->nlink == 0;
}

/* God sees a slice of the reaper's when it is first applied. */
void nn_open_reaped(struct sim_world *w, uint64_t ino)
{
    struct nn_world *nw = nn_world_of(w);

    for (unsigned i = 0; i < nw->client_count; i++) {
        const struct nn_client *c = &nw->clients[i];

        if (is_live(w, c) && nn_holds(c, ino))
            sim_fail(w, "inode %lu is taken apart, client %u has it open in session %lu", UL(ino),
                     c->number, UL(c->session));
    }
    if (ino >= nw->reaped_cap) {
        size_t cap = (size_t)ino * 2 + 64;

        nw->reaped = mem_realloc(nw->reaped, cap, sizeof(*nw->reaped));
        memset(nw->reaped + nw->reaped_cap, 0, cap - nw->reaped_cap);
        nw->reaped_cap = cap;
    }
    nw->reaped[ino] = true;
}

/* ---- what arrives ---- */

/* On one connection nothing comes twice. */
static bool came_before(struct nn *nn, const struct nn_envelope *from)
{
    struct buf *arrived = &nn_world_of(nn->w)->clients[from->client].arrived;
    uint64_t key = (uint64_t)from->call << 16 | from->conn;

    for (size_t at = 0; at < arrived->len; at += sizeof(key)) {
        if (memcmp(arrived->data + at, &key, sizeof(key)) == 0)
            return true;
    }
    buf_append(arrived, &key, sizeof(key));
    return false;
}

/* It was sent on a connection before the one that is in use now. */
static void count_late(struct nn *nn, const struct nn_envelope *from)
{
    const struct nn_client *c = &nn_world_of(nn->w)->clients[from->client];

    nn->w->stats->late_opens += from->conn != 0 && from->conn < c->conn &&
                                from->session == c->session && nn->sessions != NULL;
}

bool nn_open_may_arrive(struct nn *nn, const struct nn_envelope *from)
{
    count_late(nn, from);
    return from->conn == 0 || !came_before(nn, from);
}
