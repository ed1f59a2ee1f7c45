/*
 * What clients ask for beside names: chunks, commits, truncations in two halves, attributes, quotas,
 * and rm -r in slices. Sizes and places are few, so that they meet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/mem.h"
#include "raft/mem.h"
#include "tests/sim/sim_nn.h"

/* As in sim_nn_request.c. */
#define NEW_OP(req_, OP_, field_, Type_, init_)                                                    \
    (req_)->op_case = DFS__META_REQUEST__OP_##OP_;                                                 \
    (req_)->field_ = MEM_NEW(Type_);                                                               \
    init_((req_)->field_)

static ProtobufCBinaryData filled(size_t len)
{
    uint8_t *data = mem_alloc(len + 1);

    memset(data, 'd', len);
    return (ProtobufCBinaryData){.data = data, .len = len};
}

uint32_t nn_chunk_index(unsigned slot)
{
    return slot < 2 ? slot : REC_PAGE_CHUNKS + slot - 2;
}

static uint32_t any_index(struct sim_world *w)
{
    return nn_chunk_index(sim_percent(w, 60) ? 0 : (unsigned)sim_below(w, NN_FILE_CHUNKS));
}

static uint64_t any_file(struct sim_world *w, const struct nn_area *a)
{
    /* Mostly the same few, so that several clients write one. */
    return a->files[sim_below(w, sim_percent(w, 70) && a->file_count > 2 ? 2 : a->file_count)];
}

/* Sometimes in a chunk, sometimes between two of them. */
static uint64_t any_size(struct sim_world *w)
{
    static const uint32_t in_chunk[] = {0, 0, 1, 1000, INLINE_MAX, INLINE_MAX + 1, CHUNK_SIZE - 1};

    return any_index(w) * (uint64_t)CHUNK_SIZE + in_chunk[sim_below(w, 7)];
}

/* ---- contents ---- */

static void any_alloc(struct sim_world *w, const struct nn_area *a, Dfs__MetaRequest *req)
{
    NEW_OP(req, ALLOC, alloc, Dfs__AllocOp, dfs__alloc_op__init);
    req->alloc->ino = any_file(w, a);
    req->alloc->first_index = any_index(w);
    req->alloc->count = 1 + (uint32_t)sim_below(w, 2 - req->alloc->first_index % 2);
}

/* Where a file was cut, which clients like to do again; NULL: elsewhere. */
static const struct nn_tail *cut_before(struct sim_world *w)
{
    const struct nn_tail *t = &nn_world_of(w)->tails[sim_below(w, NN_TAILS_MAX)];

    return t->chunk != 0 && sim_percent(w, 40) ? t : NULL;
}

/* Bytes of one chunk were written at its datanodes. */
static void commit_chunk(struct sim_world *w, Dfs__CommitOp *op)
{
    const struct nn_tail *t = cut_before(w);
    uint32_t index = t != NULL ? (uint32_t)(t->size / CHUNK_SIZE) : any_index(w);

    if (t != NULL)
        op->ino = t->ino;

    op->materialized = MEM_NEW(uint32_t);
    op->materialized[0] = index;
    op->n_materialized = 1;
    op->end =
        index * (uint64_t)CHUNK_SIZE + 1 + sim_below(w, sim_percent(w, 50) ? CHUNK_SIZE : 3000);
    op->clear_inline = sim_percent(w, 50);
}

static void any_commit(struct sim_world *w, const struct nn_area *a, Dfs__MetaRequest *req)
{
    NEW_OP(req, COMMIT, commit, Dfs__CommitOp, dfs__commit_op__init);
    req->commit->ino = any_file(w, a);
    if (sim_percent(w, 70)) {
        commit_chunk(w, req->commit);
    } else if (sim_percent(w, 60)) {
        req->commit->set_inline = true;
        req->commit->inline_data = filled(sim_below(w, sim_percent(w, 50) ? 50 : 1500));
    } else {
        req->commit->end = any_size(w);
    }
    req->commit->mtime_ns = sim_percent(w, 50) ? 1 + (int64_t)sim_below(w, 1000) : 0;
}

static void tell_zeroed(const struct nn_client *c, const struct nn_tail *t, Dfs__MetaRequest *req)
{
    NEW_OP(req, TRUNC_DONE, trunc_done, Dfs__TruncDoneOp, dfs__trunc_done_op__init);
    req->trunc_done->ino = t->ino;
    req->trunc_done->chunk_id = t->chunk;
    req->trunc_done->from = t->from;
    req->trunc_done->version = c->is_older ? 0 : t->version;
}

/* Its tail is zeroed at the datanodes; then this is told, now or when the file may have been cut again.
 */
static bool clear_tail(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req)
{
    struct nn_world *nw = nn_world_of(w);
    const struct nn_tail *t = &nw->tails[sim_below(w, NN_TAILS_MAX)];

    if (c->untold.chunk != 0 && sim_percent(w, 30)) {
        tell_zeroed(c, &c->untold, req);
        c->untold.chunk = 0;
        return true;
    }
    if (t->chunk == 0)
        return false;
    nw->zeroed = raft_grow(nw->zeroed, nw->zeroed_count, &nw->zeroed_cap, sizeof(*nw->zeroed));
    nw->zeroed[nw->zeroed_count++] = (struct nn_zeroed){.tail = *t, .applied = nw->applied};
    if (sim_percent(w, 30)) {
        c->untold = *t;
        return false;
    }
    tell_zeroed(c, t, req);
    return true;
}

static ProtobufCBinaryData attribute_name(struct sim_world *w)
{
    ProtobufCBinaryData name = filled(6);

    (void)snprintf((char *)name.data, name.len + 1, "user.%c", 'a' + (int)sim_below(w, 3));
    return name;
}

/* Of a file, or of a directory in which others are made. */
static void any_copies(struct sim_world *w, const struct nn_area *a, Dfs__MetaRequest *req)
{
    uint64_t ino = a->dir_count > 0 && sim_percent(w, 30) ? a->dirs[sim_below(w, a->dir_count)]
                                                          : any_file(w, a);
    ProtobufCBinaryData name = filled(10);

    memcpy(name.data, "dfs.copies", 10);
    if (sim_percent(w, 80)) {
        NEW_OP(req, SETXATTR, setxattr, Dfs__SetxattrOp, dfs__setxattr_op__init);
        req->setxattr->ino = ino;
        req->setxattr->name = name;
        req->setxattr->value = filled(1);
        req->setxattr->value.data[0] = (uint8_t)('1' + sim_below(w, COPIES_MAX));
    } else {
        NEW_OP(req, REMOVEXATTR, removexattr, Dfs__RemovexattrOp, dfs__removexattr_op__init);
        req->removexattr->ino = ino;
        req->removexattr->name = name;
    }
}

static void any_xattr(struct sim_world *w, const struct nn_area *a, Dfs__MetaRequest *req)
{
    if (sim_percent(w, 25)) {
        any_copies(w, a, req);
    } else if (sim_percent(w, 60)) {
        NEW_OP(req, SETXATTR, setxattr, Dfs__SetxattrOp, dfs__setxattr_op__init);
        req->setxattr->ino = any_file(w, a);
        req->setxattr->name = attribute_name(w);
        req->setxattr->value = filled(sim_below(w, 100));
    } else {
        NEW_OP(req, REMOVEXATTR, removexattr, Dfs__RemovexattrOp, dfs__removexattr_op__init);
        req->removexattr->ino = any_file(w, a);
        req->removexattr->name = attribute_name(w);
    }
}

static void any_truncate(struct sim_world *w, const struct nn_area *a, Dfs__MetaRequest *req)
{
    const struct nn_tail *t = cut_before(w);

    NEW_OP(req, TRUNCATE, truncate, Dfs__TruncateOp, dfs__truncate_op__init);
    req->truncate->ino = t != NULL ? t->ino : any_file(w, a);
    req->truncate->size = t != NULL ? t->size : any_size(w);
}

void nn_any_content(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req)
{
    const struct nn_area *a = &nn_world_of(w)->areas[c->area];
    uint64_t which = sim_below(w, 100);

    if (which < 25) {
        any_alloc(w, a, req);
    } else if (which < 60) {
        any_commit(w, a, req);
    } else if (which < 72) {
        any_xattr(w, a, req);
    } else if (which >= 86 || !clear_tail(w, c, req)) {
        any_truncate(w, a, req);
    }
}

/* ---- quotas ---- */

void nn_any_quota(struct sim_world *w, const struct nn_area *a, Dfs__MetaRequest *req)
{
    NEW_OP(req, SET_QUOTA, set_quota, Dfs__SetQuotaOp, dfs__set_quota_op__init);
    req->set_quota->ino =
        a->dir_count == 0 || sim_percent(w, 40) ? a->root : a->dirs[sim_below(w, a->dir_count)];
    req->set_quota->set_inodes = sim_percent(w, 60);
    req->set_quota->inodes = sim_percent(w, 30) ? 0 : 1 + sim_below(w, 12);
    req->set_quota->set_bytes = !req->set_quota->set_inodes || sim_percent(w, 50);
    req->set_quota->bytes = sim_percent(w, 30)   ? 0
                            : sim_percent(w, 50) ? 1 + sim_below(w, 6000)
                                                 : 1 + any_size(w);
}

/* ---- rm -r ---- */

bool nn_tree_waits(const struct nn_client *c)
{
    return c->tree.active && !c->tree.in_flight;
}

static void begin_tree(struct sim_world *w, struct nn_client *c)
{
    struct nn_area *a = &nn_world_of(w)->areas[c->area];
    struct nn_tree_job *t = &c->tree;

    if (!a->history_ended) { /* The checker of histories does not know what a slice does. */
        a->history_ended = true;
        a->history_end_ns = w->now_ns;
    }
    *t = (struct nn_tree_job){.active = true, .parent = a->root, .crashes = w->stats->crashes};
    if (a->dir_count > 0 && sim_percent(w, 40))
        t->parent = a->dirs[sim_below(w, a->dir_count)];
    (void)snprintf(t->name, sizeof(t->name), "n%u", (unsigned)sim_below(w, nn_world_of(w)->names));
}

/* The next slice, or the first of another tree. */
void nn_any_tree(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req)
{
    struct nn_tree_job *t = &c->tree;

    if (!t->active)
        begin_tree(w, c);
    t->in_flight = true;
    t->slices++;
    NEW_OP(req, REMOVE_TREE, remove_tree, Dfs__RemoveTreeOp, dfs__remove_tree_op__init);
    req->remove_tree->parent = t->parent;
    req->remove_tree->name = filled(strlen(t->name));
    memcpy(req->remove_tree->name.data, t->name, strlen(t->name));
    req->remove_tree->limit = 1 + (uint32_t)sim_below(w, 2);
    req->remove_tree->from = filled(t->from_len);
    memcpy(req->remove_tree->from.data, t->from, t->from_len);
}

static void slice_answered(struct sim_world *w, struct nn_client *c, const Dfs__MetaReply *reply)
{
    const Dfs__TreeReply *tree =
        reply->result_case == DFS__META_REPLY__RESULT_TREE ? reply->tree : NULL;
    struct nn_tree_job *t = &c->tree;

    t->in_flight = false;
    t->from_len = 0;
    if (tree == NULL || tree->done || tree->error != 0 || tree->deep_parent != 0) {
        if (tree != NULL && tree->done && t->slices > 1) {
            w->stats->trees_removed++;
            w->stats->trees_over_crash += w->stats->crashes > t->crashes;
        }
        t->active = false;
    } else if (tree->next.len <= sizeof(t->from)) {
        t->from_len = tree->next.len;
        memcpy(t->from, tree->next.data, tree->next.len);
    }
}

/* ---- what they learn ---- */

static void count_rare(struct sim_world *w, const Dfs__MetaRequest *req,
                       const Dfs__MetaReply *reply)
{
    struct sim_stats *s = w->stats;
    bool has_attr =
        reply->result_case == DFS__META_REPLY__RESULT_ENTRY && reply->entry->attr != NULL;
    bool is_inline = has_attr && reply->entry->attr->is_inline;

    s->format_refusals += reply->status == -EOPNOTSUPP;
    s->quota_refusals += reply->status == -EDQUOT;
    /* A mark's version came from a leader; no later one may know less. */
    if (req->op_case == DFS__META_REQUEST__OP_TRUNC_DONE && reply->status == -EOPNOTSUPP)
        sim_fail(w, "the version of a mark is refused");
    if (req->op_case == DFS__META_REQUEST__OP_TRUNC_DONE)
        s->tails_cleared += reply->status == 0;
    if (req->op_case == DFS__META_REQUEST__OP_TRUNC_DONE)
        s->late_dones += has_attr && reply->entry->attr->trunc_pending != NULL;
    if (req->op_case == DFS__META_REQUEST__OP_TRUNCATE)
        s->tails_marked += has_attr && reply->entry->attr->trunc_pending != NULL;
    if (req->op_case != DFS__META_REQUEST__OP_COMMIT)
        return;
    s->quota_byte_refusals += reply->status == -EDQUOT;
    s->inline_commits += req->commit->set_inline && is_inline;
    s->inline_moved += req->commit->clear_inline && reply->status == 0;
}

void nn_content_learn(struct sim_world *w, struct nn_client *c, const Dfs__MetaRequest *req,
                      const Dfs__MetaReply *reply)
{
    const Dfs__Attr *attr =
        reply->result_case == DFS__META_REPLY__RESULT_ENTRY ? reply->entry->attr : NULL;

    count_rare(w, req, reply);
    if (req->op_case == DFS__META_REQUEST__OP_REMOVE_TREE)
        slice_answered(w, c, reply);
    if (attr != NULL && attr->trunc_pending != NULL)
        nn_world_of(w)->tails[sim_below(w, NN_TAILS_MAX)] =
            (struct nn_tail){.ino = attr->ino,
                             .chunk = attr->trunc_pending->chunk_id,
                             .from = attr->trunc_pending->from,
                             .size = attr->size,
                             .version = attr->trunc_pending->version};
}
