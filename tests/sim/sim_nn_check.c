/*
 * What must hold of the namenodes: I4 with the hash of the state and the answers, I10, I12, I13, I15,
 * I16. God looks at each entry when the first node applies it, and keeps it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/hash.h"
#include "common/mem.h"
#include "namenode/kv_mem.h"
#include "tests/sim/sim_nn.h"
#include "tests/unit/namenode/posix_model.h"

#define FAIL(nn_, ...) sim_fail((nn_)->w, __VA_ARGS__)

/* Room for that index; what is new is zeros. */
static void *reach(void *items, size_t *cap, uint64_t index, size_t size)
{
    size_t old = *cap;

    if (index < old)
        return items;
    *cap = (size_t)index * 2 + 16;
    items = mem_realloc(items, *cap, size);
    memset((uint8_t *)items + old * size, 0, (*cap - old) * size);
    return items;
}

struct nn_entry *nn_entry_at(struct nn_world *nw, uint64_t index)
{
    nw->entries = reach(nw->entries, &nw->entry_cap, index, sizeof(*nw->entries));
    return &nw->entries[index];
}

static struct nn_god_session *session_at(struct nn_world *nw, uint64_t session)
{
    nw->sessions = reach(nw->sessions, &nw->session_cap, session, sizeof(*nw->sessions));
    return &nw->sessions[session];
}

static struct nn_act *act_at(struct nn_god_session *s, uint64_t seq)
{
    s->acts = reach(s->acts, &s->act_cap, seq, sizeof(*s->acts));
    return &s->acts[seq];
}

/* ---- what is found after a crash, or came by snapshot ---- */

static uint64_t store_hash(struct kv *kv)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    uint64_t hash = 0;

    if (kv_iter_new(kv, "", 0, &it) < 0)
        return 0;
    for (int r = kv_iter_seek(it, "", 0); r == 0 && it->valid; r = kv_iter_next(it)) {
        hash = hash64(it->key, it->key_len, hash);
        hash = hash64(it->value, it->value_len, hash);
    }
    return hash;
}

/* I10: who begins at an index has the bytes of whoever makes a snapshot there, and of the replay. */
void nn_check_bytes(struct nn *nn)
{
    uint64_t index = fsm_applied(nn->fsm).index, hash;
    struct nn_entry *entry;

    if (index == 0)
        return;
    entry = nn_entry_at(nn_world_of(nn->w), index);
    hash = store_hash(nn->kv);
    if (entry->has_bytes && entry->bytes_hash != hash)
        FAIL(nn, "I10: node %u has other bytes at %lu than another had", nn->n->number + 1,
             UL(index));
    entry->has_bytes = true;
    entry->bytes_hash = hash;
}

/* ---- answers, when an entry is applied for the first time ---- */

static void session_opened(struct nn *nn, const Dfs__MetaRequest *req,
                           const struct fsm_reply *reply)
{
    struct nn_world *nw = nn_world_of(nn->w);
    struct nn_god_session *s;
    uint64_t id;

    if (reply->status != 0)
        return;
    id = reply->msg->id->id;
    if (id <= nw->session_max)
        FAIL(nn, "I16: session %lu is given again", UL(id));
    nw->session_max = id;
    for (uint64_t i = 1; i < nw->session_cap; i++) {
        s = &nw->sessions[i];
        if (s->is_open && memcmp(s->uuid, req->session_open->client_uuid.data, 16) == 0)
            s->is_open = false;
    }
    s = session_at(nw, id);
    s->is_open = true;
    s->floor = 1;
    memcpy(s->uuid, req->session_open->client_uuid.data, sizeof(s->uuid));
}

static void session_ended(struct nn *nn, const Dfs__MetaRequest *req, const struct fsm_reply *reply)
{
    struct nn_god_session *s = session_at(nn_world_of(nn->w), req->session_end->session);

    if ((reply->status == 0) != s->is_open)
        FAIL(nn, "I13: session %lu, %s, is ended with %d", UL(req->session_end->session),
             s->is_open ? "open" : "closed", reply->status);
    nn->w->stats->sessions_evicted += reply->status == 0 && req->session_end->evicted;
    s->is_open = false;
}

/* Those above the highest are new, and come one after the other: nobody else has had them. */
static void check_new_chunks(struct nn *nn, const Dfs__LayoutReply *layout)
{
    struct nn_world *nw = nn_world_of(nn->w);

    for (size_t i = 0; i < layout->n_chunks; i++) {
        if (layout->chunks[i]->chunk_id > nw->chunk_max + 1)
            FAIL(nn, "I16: chunk %lu comes after %lu", UL(layout->chunks[i]->chunk_id),
                 UL(nw->chunk_max));
        if (layout->chunks[i]->chunk_id <= nw->chunk_max)
            continue;
        nw->chunk_max++;
        nn->w->stats->chunks_allocated++;
    }
}

static void check_new_ids(struct nn *nn, const struct fsm_reply *reply)
{
    struct nn_world *nw = nn_world_of(nn->w);
    const Dfs__MetaReply *m = reply->msg;

    if (m->result_case == DFS__META_REPLY__RESULT_LAYOUT)
        check_new_chunks(nn, m->layout);
    if (m->result_case != DFS__META_REPLY__RESULT_ENTRY || !m->entry->created)
        return;
    if (m->entry->attr->ino <= nw->ino_max)
        FAIL(nn, "I16: inode %lu is given again", UL(m->entry->attr->ino));
    nw->ino_max = m->entry->attr->ino;
}

/* I13. The floor is what the client said; what is below it has been answered, and is refused. */
static void check_once(struct nn *nn, const struct raft_entry *e, const Dfs__MetaRequest *req,
                       const struct fsm_reply *reply)
{
    struct nn_god_session *s = session_at(nn_world_of(nn->w), req->session);
    uint64_t hash = hash64(reply->bytes, reply->len, 0), floor;
    struct sim_stats *stats = nn->w->stats;
    struct nn_act *act;

    if (!s->is_open || reply->status == DFS_ESTALE_SESSION) {
        stats->ended_session_ops++;
        if (s->is_open || reply->status != DFS_ESTALE_SESSION)
            FAIL(nn, "I13: session %lu is %s, the answer is %d", UL(req->session),
                 s->is_open ? "open" : "not", reply->status);
        return;
    }
    floor = req->ack_floor < s->seq_max + 1 ? req->ack_floor : s->seq_max + 1;
    s->floor = floor > s->floor ? floor : s->floor;
    floor = req->ack_floor > s->floor ? req->ack_floor : s->floor;
    if (req->seq < floor) {
        stats->below_floor++;
        if (reply->status != -ESTALE || reply->msg->result_case != 0)
            FAIL(nn, "I13: (%lu, %lu), below the floor %lu, is answered %d", UL(req->session),
                 UL(req->seq), UL(floor), reply->status);
        return;
    }
    act = act_at(s, req->seq);
    if (act->done) {
        stats->cached_replies++;
        stats->cached_after_failover += act->term != e->term;
        if (act->reply_hash != hash)
            FAIL(nn, "I13: (%lu, %lu) was done at %lu; at %lu its answer is another, %d",
                 UL(req->session), UL(req->seq), UL(act->index), UL(e->index), reply->status);
        return;
    }
    *act = (struct nn_act){.done = true, .index = e->index, .term = e->term, .reply_hash = hash};
    s->seq_max = req->seq > s->seq_max ? req->seq : s->seq_max;
    check_new_ids(nn, reply);
}

/* A node that was not the first, but whose cache came with a snapshot. */
static void note_installed_cache(struct nn *nn, const struct raft_entry *e,
                                 const Dfs__MetaRequest *req)
{
    struct nn_god_session *s = session_at(nn_world_of(nn->w), req->session);
    struct nn_act *act = act_at(s, req->seq);

    if (nn->installed && act->done && act->index < e->index && req->seq >= s->floor)
        nn->w->stats->cached_after_install++;
}

static uint64_t hash_reply(uint64_t hash, const struct fsm_reply *reply)
{
    hash = sim_mix(hash, (uint64_t)reply->status);
    return reply->bytes != NULL ? sim_mix(hash, hash64(reply->bytes, reply->len, 0)) : hash;
}

void nn_check_reply(struct nn *nn, const struct raft_entry *e, const Dfs__MetaRequest *req,
                    const struct fsm_reply *reply)
{
    struct nn_world *nw = nn_world_of(nn->w);

    nn->reply_hash = hash_reply(nn->reply_hash, reply);
    if (req->session != 0)
        note_installed_cache(nn, e, req);
    if (e->index <= nw->applied)
        return;
    nn->w->stats->reap_slices +=
        req->op_case == DFS__META_REQUEST__OP_REAP && reply->status == 0 && reply->msg->id->id > 0;
    if (req->op_case == DFS__META_REQUEST__OP_REAP && reply->status == 0)
        nn_open_reaped(nn->w, req->reap->ino);
    if (req->session != 0)
        check_once(nn, e, req, reply);
    else if (req->op_case == DFS__META_REQUEST__OP_SESSION_OPEN)
        session_opened(nn, req, reply);
    else if (req->op_case == DFS__META_REQUEST__OP_SESSION_END)
        session_ended(nn, req, reply);
}

/* What a client is told is what was done, in an entry that was applied. */
void nn_check_answer(struct sim_world *w, const struct nn_call *call, int status,
                     const uint8_t *bytes, size_t len)
{
    struct nn_act *act = act_at(session_at(nn_world_of(w), call->session), call->seq);

    if (status == -ENOSPC && !fsm_takes_space(call->msg))
        sim_fail(w, "what frees space is refused because there is none");
    if (status == -ESTALE && nn_is_of_opens(call->msg))
        return; /* It was done, and undone by another since. */
    if (status == DFS_EBUSY_WINDOW || status == DFS_ESTALE_SESSION || status == -EOPNOTSUPP ||
        status == -ENOSPC)
        return; /* It did not get into the log. */
    if (!act->done || act->reply_hash != hash64(bytes, len, 0))
        sim_fail(w, "I13: (%lu, %lu), %s, is answered %d to the client, which is not its answer",
                 UL(call->session), UL(call->seq), act->done ? "done" : "not done", status);
}

/*
 * That it leads is proved for the moment when it was asked. Who leads next may do another copy of the
 * request before the proof has arrived: either that copy is the older one, of a connection that was
 * given up, or this refusal is, and libdfs does not hear it.
 */
void nn_check_refusal(struct nn *nn, const Dfs__MetaRequest *req, uint64_t asked)
{
    const struct nn_act *act = act_at(session_at(nn_world_of(nn->w), req->session), req->seq);

    if (act->done && (act->index <= asked || act->term == nn->led_term))
        FAIL(nn, "I13: (%lu, %lu) is refused for lack of room, and was done", UL(req->session),
             UL(req->seq));
}

void nn_check_applied(struct nn *nn, const struct raft_entry *e)
{
    struct nn_world *nw = nn_world_of(nn->w);
    struct nn_entry *entry = nn_entry_at(nw, e->index);

    if (e->index <= nw->applied) {
        if (entry->reply_hash != nn->reply_hash)
            FAIL(nn, "I4: node %u answers otherwise at %lu", nn->n->number + 1, UL(e->index));
        return;
    }
    if (e->index != nw->applied + 1)
        FAIL(nn, "I4: entry %lu was never applied", UL(nw->applied + 1));
    nw->applied = e->index;
    entry->term = e->term;
    entry->state_hash = nn->n->state.hash;
    entry->reply_hash = nn->reply_hash;
    if (e->type == RAFT_ENTRY_NORMAL || e->type == RAFT_ENTRY_HASH)
        entry->buf = raft_buf_ref(e->buf);
}

void nn_check_asked(struct nn *nn, uint64_t index, uint64_t term)
{
    struct nn_world *nw = nn_world_of(nn->w);

    for (uint32_t format = 0; format <= FSM_FORMAT; format++) {
        struct nn_format_ask *ask = &nn->asked[format];

        if (ask->format == 0)
            continue;
        ask->index = index;
        ask->term = term;
        nw->asks = reach(nw->asks, &nw->ask_cap, nw->ask_count, sizeof(*nw->asks));
        nw->asks[nw->ask_count++] = *ask;
        ask->format = 0;
    }
}

void nn_check_brought(struct nn *nn, const struct raft_entry *e)
{
    struct nn_world *nw = nn_world_of(nn->w);
    uint32_t format = fsm_state(nn->fsm)->format;

    for (size_t i = 0; i < nw->ask_count; i++) {
        const struct nn_format_ask *ask = &nw->asks[i];

        if (ask->index == e->index && ask->term == e->term && ask->format == format) {
            nw->format_confs[format] = ask->conf;
            return;
        }
    }
    FAIL(nn, "nobody asked for format %u, which %lu brings", format, UL(e->index));
}

void nn_check_done(struct nn_world *nw)
{
    for (uint64_t i = 1; i <= nw->applied; i++) {
        if (nw->entries[i].buf != NULL)
            raft_buf_unref(nw->entries[i].buf);
    }
    for (size_t i = 0; i < nw->session_cap; i++)
        free(nw->sessions[i].acts);
    nn_history_done(nw);
    free(nw->asks);
    free(nw->reaped);
    free(nw->sessions);
    free(nw->entries);
    free(nw->zeroed);
}

/* ---- the end: the whole log into a fresh store ---- */

struct replay {
    struct sim_world *w;
    struct kv *kv;
    struct fsm *fsm;
    struct model *model;
    struct nn_data *data;
    Dfs__LogBatch *batch;
    uint64_t index, reply_hash;
    size_t zeroed; /* So many were told. */
};

/* Whoever stands there holds the same bytes, and no others. */
static void compare_nodes(const struct replay *rp)
{
    const struct nn_entry *e = nn_entry_at(nn_world_of(rp->w), rp->index);
    uint64_t hash = 0;
    bool known = false;

    if (e->has_bytes && store_hash(rp->kv) != e->bytes_hash)
        sim_fail(rp->w, "I10: a node had other bytes at %lu than the log gives", UL(rp->index));
    for (unsigned i = 0; i < rp->w->node_count; i++) {
        const struct sim_node *n = &rp->w->nodes[i];

        if (!n->up || n->state.at.index != rp->index)
            continue;
        if (!known)
            hash = store_hash(rp->kv);
        known = true;
        if (store_hash(nn_of(rp->w, n)->kv) != hash)
            sim_fail(rp->w, "I12: node %u holds another state at %lu than its log gives", i + 1,
                     UL(rp->index));
    }
}

/* What the leader does by itself. */
static void replay_own(struct replay *rp, const Dfs__MetaRequest *req,
                       const struct fsm_reply *reply)
{
    Dfs__MetaRequest reap = *req;
    Dfs__Cred root = DFS__CRED__INIT;
    uint64_t ino;

    reap.cred = &root;
    if (req->op_case == DFS__META_REQUEST__OP_FORMAT)
        nn_data_format(rp->data, req->format->format);
    if (req->op_case != DFS__META_REQUEST__OP_REAP || reply->status != 0)
        return;
    nn_data_reaped(rp->data, req->reap->ino, reply->msg->id->id);
    if (reply->msg->id->id == 0)
        (void)model_apply(rp->model, &reap, 0, &ino);
}

static int replay_slice(struct replay *rp, const Dfs__MetaRequest *req,
                        const struct fsm_reply *reply)
{
    struct model_slice slice;
    int status = model_remove_slice(rp->model, req, 0, &slice);
    const Dfs__TreeReply *tree = reply->msg->tree;

    if (status == 0 && reply->status == 0 &&
        (slice.done != tree->done || slice.files != tree->files ||
         slice.directories != tree->directories || tree->error != 0))
        sim_fail(rp->w,
                 "POSIX: a slice of rm -r takes %u files and %u directories, the model %u, %u",
                 tree->files, tree->directories, slice.files, slice.directories);
    return status;
}

/* A refusal by a quota must be the only reason for one. */
static int replay_name(struct replay *rp, const Dfs__MetaRequest *req,
                       const struct fsm_reply *reply)
{
    uint64_t ino = 0;
    int status;

    if (reply->status == -EDQUOT) {
        struct model *copy = (struct model *)mem_memdup(rp->model, sizeof(*rp->model));

        status = model_apply(copy, req, 0, &ino);
        free(copy);
        return status == 0 && nn_data_may_refuse(rp->data, req) ? -EDQUOT : status;
    }
    if (req->op_case == DFS__META_REQUEST__OP_REMOVE_TREE)
        status = replay_slice(rp, req, reply);
    else
        status = model_apply(rp->model, req, 0, &ino);
    if (status == 0)
        nn_data_named(rp->data, req, ino);
    return status;
}

/* By the rules of POSIX, as a model that knows nothing of the state machine has them. */
static void replay_model(void *ctx, const struct fsm_reply *reply)
{
    struct replay *rp = ctx;
    const Dfs__MetaRequest *req = rp->batch->ops[reply->position];
    struct nn_act *act;
    int status;

    rp->reply_hash = hash_reply(rp->reply_hash, reply);
    if (req->session == 0) {
        replay_own(rp, req, reply);
        return;
    }
    if (reply->status == DFS_ESTALE_SESSION)
        return;
    act = act_at(session_at(nn_world_of(rp->w), req->session), req->seq);
    if (act->index != rp->index || act->replayed)
        return; /* Not when it was done. */
    act->replayed = true;
    nn_data_before(rp->data);
    if (!nn_data_apply(rp->data, req, reply, &status))
        status = replay_name(rp, req, reply);
    if (status != reply->status)
        sim_fail(rp->w, "POSIX: (%lu, %lu) at %lu is answered %d, the model says %d",
                 UL(req->session), UL(req->seq), UL(rp->index), reply->status, status);
}

static void replay_entry(struct replay *rp)
{
    struct nn_world *nw = nn_world_of(rp->w);
    const struct nn_entry *e = nn_entry_at(nw, rp->index);
    int r;

    for (; rp->zeroed < nw->zeroed_count && nw->zeroed[rp->zeroed].applied < rp->index;
         rp->zeroed++)
        nn_data_zeroed(rp->data, &nw->zeroed[rp->zeroed].tail);
    rp->reply_hash = 0;
    if (e->buf != NULL)
        rp->batch = dfs__log_batch__unpack(NULL, e->buf->len, e->buf->data);
    r = fsm_apply(rp->fsm, rp->index, e->term, e->buf != NULL ? e->buf->data : NULL,
                  e->buf != NULL ? e->buf->len : 0, replay_model, rp);
    if (r < 0)
        sim_fail(rp->w, "I12: entry %lu cannot be replayed, %d", UL(rp->index), r);
    else if (fsm_state(rp->fsm)->hash != e->state_hash)
        sim_fail(rp->w, "I12: entry %lu gives another state when it is replayed", UL(rp->index));
    else if (rp->reply_hash != e->reply_hash)
        sim_fail(rp->w, "I12: entry %lu gives other answers when it is replayed", UL(rp->index));
    if (rp->batch != NULL)
        dfs__log_batch__free_unpacked(STEAL(rp->batch), NULL);
    compare_nodes(rp);
}

void nn_check_end(struct sim_world *w)
{
    struct nn_world *nw = nn_world_of(w);
    struct replay rp = {.w = w, .model = MEM_NEW(struct model)};
    const char *wrong;

    (void)kv_mem_new(&rp.kv);
    (void)fsm_open(rp.kv, &rp.fsm);
    model_init(rp.model, 0);
    rp.data = nn_data_new(w, rp.model);
    for (rp.index = 1; rp.index <= nw->applied && !w->failed; rp.index++)
        replay_entry(&rp);
    wrong = nn_check_tree(rp.kv, fsm_state(rp.fsm));
    if (wrong != NULL)
        sim_fail(w, "I15: %s", wrong);
    nn_data_check_end(rp.data, rp.fsm);
    w->stats->replays++;
    nn_history_check(w);
    fsm_close(rp.fsm);
    kv_close(rp.kv);
    nn_data_free(rp.data);
    free(rp.model);
}
