/*
 * What clients saw of names, for the checker of histories (tests/lin/lin.h): each area is a directory
 * of its own, whose operations name no inode of another. A call is noted when its answer is there, or
 * when it is clear that there will be none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lin/lin.h"
#include "tests/sim/sim_nn.h"

/* Beyond, an area's history ends: it would be too large, or so much of it would be unknown (a client
 * that often loses its session) that the search has no end. */
enum { OPS_MAX = 150, UNKNOWN_MAX = 20 };

static void copy_name(char out[LIN_NAME_SIZE], ProtobufCBinaryData name)
{
    memcpy(out, name.data, name.len);
    out[name.len] = '\0';
}

/* False: what the checker does not know. */
static bool op_of(const Dfs__MetaRequest *req, struct lin_op *ret_op)
{
    switch (req->op_case) {
    case DFS__META_REQUEST__OP_CREATE:
        ret_op->kind = S_ISDIR(req->create->mode) ? LIN_MKDIR : LIN_CREATE;
        ret_op->dir = req->create->parent;
        copy_name(ret_op->name, req->create->name);
        return true;
    case DFS__META_REQUEST__OP_LINK:
        ret_op->kind = LIN_LINK;
        ret_op->dir = req->link->parent;
        ret_op->ino = req->link->ino;
        copy_name(ret_op->name, req->link->name);
        return true;
    case DFS__META_REQUEST__OP_UNLINK:
        ret_op->kind = LIN_UNLINK;
        ret_op->dir = req->unlink->parent;
        copy_name(ret_op->name, req->unlink->name);
        return true;
    case DFS__META_REQUEST__OP_RMDIR:
        ret_op->kind = LIN_RMDIR;
        ret_op->dir = req->rmdir->parent;
        copy_name(ret_op->name, req->rmdir->name);
        return true;
    case DFS__META_REQUEST__OP_RENAME:
        ret_op->kind = LIN_RENAME;
        ret_op->dir = req->rename->parent;
        copy_name(ret_op->name, req->rename->name);
        ret_op->to_dir = req->rename->new_parent;
        copy_name(ret_op->to_name, req->rename->new_name);
        ret_op->flags = req->rename->flags;
        return true;
    case DFS__META_REQUEST__OP_LOOKUP:
        ret_op->kind = LIN_LOOKUP;
        ret_op->dir = req->lookup->parent;
        copy_name(ret_op->name, req->lookup->name);
        return true;
    case DFS__META_REQUEST__OP_READDIR:
        ret_op->kind = LIN_READDIR;
        ret_op->dir = req->readdir->ino;
        return true;
    default:
        return false;
    }
}

/* An open(O_CREAT) that found its file was a lookup; one that found anything else tells too little. */
static bool as_found(const Dfs__MetaRequest *req, const Dfs__MetaReply *reply, struct lin_op *op)
{
    if (req->op_case != DFS__META_REQUEST__OP_CREATE || req->create->exclusive)
        return true;
    if (reply->status == 0 && !reply->entry->created)
        op->kind = LIN_LOOKUP;
    return reply->status == 0 || reply->status == -ENOENT || reply->status == -ESTALE;
}

static void result_of(const Dfs__MetaReply *reply, struct lin_result *ret_result,
                      struct lin_entry entries[LIN_ENTRIES_MAX])
{
    ret_result->error = -reply->status;
    if (reply->result_case == DFS__META_REPLY__RESULT_ENTRY && reply->entry->attr != NULL) {
        ret_result->ino = reply->entry->attr->ino;
        ret_result->is_dir = S_ISDIR(reply->entry->attr->mode);
    }
    if (reply->result_case != DFS__META_REPLY__RESULT_DIR)
        return;
    ret_result->entries = entries;
    for (size_t i = 0; i < reply->dir->n_entries && i < LIN_ENTRIES_MAX; i++) {
        const Dfs__Dirent *e = reply->dir->entries[i];
        struct lin_entry *out = &entries[ret_result->entry_count++];

        copy_name(out->name, e->name);
        out->ino = e->ino;
        out->is_dir = S_ISDIR(e->type);
    }
}

static void end_area(const struct sim_world *w, struct nn_area *a)
{
    if (a->history_ended)
        return;
    a->history_ended = true;
    a->history_end_ns = w->now_ns;
}

void nn_history_begin(struct sim_world *w, const struct nn_client *c, struct nn_call *call)
{
    struct nn_area *a = &nn_world_of(w)->areas[c->area];
    struct lin_op op = {0};

    call->called_ns = w->now_ns;
    if (a->root == 0 || a->history_ended || !op_of(call->msg, &op))
        return;
    call->recorded = true;
    if (++a->op_count == OPS_MAX)
        end_area(w, a);
}

void nn_history_end(struct sim_world *w, const struct nn_client *c, struct nn_call *call,
                    const Dfs__MetaReply *reply)
{
    struct nn_world *nw = nn_world_of(w);
    struct nn_area *a = &nw->areas[c->area];
    struct lin_entry entries[LIN_ENTRIES_MAX];
    struct lin_result result = {0};
    struct lin_op op = {.client = c->number};
    unsigned number;

    if (!call->recorded)
        return;
    call->recorded = false;
    /* It was done, and undone; or an older copy of it, held up so far, will do what was refused. */
    if (reply != NULL &&
        ((reply->status == -ESTALE && nn_is_of_opens(call->msg)) || reply->status == -ENOSPC))
        reply = NULL;
    if (reply == NULL && ++a->unknown_count == UNKNOWN_MAX)
        end_area(w, a);
    (void)op_of(call->msg, &op);
    /* Answers that come after the end may rest on what is not in the history. */
    if (reply != NULL && a->history_ended && w->now_ns > a->history_end_ns)
        reply = NULL;
    if (reply != NULL && (reply->status == -EDQUOT || !as_found(call->msg, reply, &op)))
        return;
    if (nw->history == NULL)
        nw->history = lin_history_new();
    number = lin_call(nw->history, (uint64_t)call->called_ns, &op);
    if (reply == NULL)
        return;
    result_of(reply, &result, entries);
    lin_return(nw->history, number, (uint64_t)w->now_ns, &result);
}

void nn_history_check(struct sim_world *w)
{
    /* One in 100,000 takes more than the usual; 640 MiB then. */
    static const struct lin_options patient = {.states_max = 20000000};
    struct nn_world *nw = nn_world_of(w);
    enum lin_verdict verdict;

    if (nw->history == NULL)
        return;
    for (unsigned i = 0; i < nw->area_count; i++) {
        if (nw->areas[i].root != 0)
            lin_root(nw->history, nw->areas[i].root);
    }
    w->stats->unknown_ops += lin_unknown_count(nw->history) > 0;
    verdict = lin_check(nw->history, NULL, w->trace ? stdout : NULL);
    if (verdict == LIN_UNDECIDED)
        verdict = lin_check(nw->history, &patient, w->trace ? stdout : NULL);
    w->stats->histories += verdict == LIN_OK;
    if (verdict == LIN_VIOLATION)
        sim_fail(w, "I14: a history of %u operations is not linearizable",
                 lin_op_count(nw->history));
    else if (verdict == LIN_UNDECIDED)
        sim_fail(w, "a history of %u operations is too hard to check", lin_op_count(nw->history));
}

void nn_history_done(struct nn_world *nw)
{
    if (nw->history != NULL)
        lin_history_free(nw->history);
}
