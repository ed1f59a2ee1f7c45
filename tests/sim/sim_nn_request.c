/*
 * What clients ask for, and what they learn from the answers. Names are few, so that they meet; the
 * inodes are those that somebody has heard of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "tests/sim/sim_nn.h"

/* Everything a request points to is its own: dfs__meta_request__free_unpacked() takes it apart. */
#define NEW_OP(req_, OP_, field_, Type_, init_)                                                    \
    (req_)->op_case = DFS__META_REQUEST__OP_##OP_;                                                 \
    (req_)->field_ = MEM_NEW(Type_);                                                               \
    init_((req_)->field_)

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)mem_memdup(text, strlen(text)),
                                 .len = strlen(text)};
}

static ProtobufCBinaryData any_name(struct sim_world *w)
{
    char name[NN_NAME_MAX];

    (void)snprintf(name, sizeof(name), "n%u", (unsigned)sim_below(w, nn_world_of(w)->names));
    return bytes_of(name);
}

/* Entries of the log of many lengths. */
static ProtobufCBinaryData any_target(struct sim_world *w)
{
    size_t len = 1 + sim_below(w, 1500);
    uint8_t *data = mem_alloc(len);

    memset(data, 'x', len);
    return (ProtobufCBinaryData){.data = data, .len = len};
}

static uint64_t any_dir(struct sim_world *w, const struct nn_area *a)
{
    if (a->dir_count == 0 || sim_percent(w, 35))
        return a->root;
    return a->dirs[sim_below(w, a->dir_count)];
}

static uint64_t any_ino(struct sim_world *w, const struct nn_area *a)
{
    if (a->file_count == 0 || sim_percent(w, 30))
        return any_dir(w, a);
    return a->files[sim_below(w, a->file_count)];
}

static void any_create(struct sim_world *w, const struct nn_client *c, Dfs__MetaRequest *req,
                       uint32_t type, bool exclusive)
{
    const struct nn_world *nw = nn_world_of(w);
    const struct nn_area *a = &nw->areas[c->area];

    NEW_OP(req, CREATE, create, Dfs__CreateOp, dfs__create_op__init);
    req->create->parent = any_dir(w, a);
    req->create->name = any_name(w);
    req->create->mode = type | 0755;
    req->create->exclusive = exclusive;
    if (type == S_IFLNK)
        req->create->target = any_target(w);
    if (type == S_IFREG && nw->open_percent > 0 && nn_may_open_more(c))
        req->create->open = sim_percent(w, 50);
}

static void any_rename(struct sim_world *w, const struct nn_area *a, Dfs__MetaRequest *req)
{
    static const uint32_t flags[] = {0, 0, 0, 1, 2, 2};

    NEW_OP(req, RENAME, rename, Dfs__RenameOp, dfs__rename_op__init);
    req->rename->parent = any_dir(w, a);
    req->rename->name = any_name(w);
    req->rename->new_parent = sim_percent(w, 30) ? req->rename->parent : any_dir(w, a);
    req->rename->new_name = any_name(w);
    req->rename->flags = flags[sim_below(w, 6)];
}

static void any_change(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req)
{
    const struct nn_world *nw = nn_world_of(w);
    const struct nn_area *a = &nw->areas[c->area];
    uint64_t which;

    if (a->file_count > 0 && sim_percent(w, nw->data_percent)) {
        nn_any_content(w, c, req);
        return;
    }
    if (sim_percent(w, nw->quota_percent)) {
        nn_any_quota(w, a, req);
        return;
    }
    which = sim_below(w, 100);
    if (which < 16) {
        any_create(w, c, req, S_IFREG, true);
    } else if (which < 24) {
        any_create(w, c, req, S_IFREG, false);
    } else if (which < 42) {
        any_create(w, c, req, S_IFDIR, true);
    } else if (which < 48) {
        any_create(w, c, req, S_IFLNK, true);
    } else if (which < 56) {
        NEW_OP(req, UNLINK, unlink, Dfs__UnlinkOp, dfs__unlink_op__init);
        req->unlink->parent = any_dir(w, a);
        req->unlink->name = any_name(w);
    } else if (which < 63) {
        NEW_OP(req, RMDIR, rmdir, Dfs__RmdirOp, dfs__rmdir_op__init);
        req->rmdir->parent = any_dir(w, a);
        req->rmdir->name = any_name(w);
    } else if (which < 88) {
        any_rename(w, a, req);
    } else if (which < 95) {
        NEW_OP(req, LINK, link, Dfs__LinkOp, dfs__link_op__init);
        req->link->ino = any_ino(w, a);
        req->link->parent = any_dir(w, a);
        req->link->name = any_name(w);
    } else {
        NEW_OP(req, SETATTR, setattr, Dfs__SetattrOp, dfs__setattr_op__init);
        req->setattr->ino = any_ino(w, a);
        req->setattr->valid = DFS__SETATTR_VALID__SETATTR_MTIME_NOW;
    }
}

static void any_read(struct sim_world *w, const struct nn_area *a, Dfs__MetaRequest *req)
{
    uint64_t which = sim_below(w, 100);

    if (which < 50) {
        NEW_OP(req, LOOKUP, lookup, Dfs__LookupOp, dfs__lookup_op__init);
        req->lookup->parent = any_dir(w, a);
        req->lookup->name = any_name(w);
    } else if (which < 85) {
        NEW_OP(req, READDIR, readdir, Dfs__ReaddirOp, dfs__readdir_op__init);
        req->readdir->ino = any_dir(w, a);
    } else {
        NEW_OP(req, GETATTR, getattr, Dfs__GetattrOp, dfs__getattr_op__init);
        req->getattr->ino = any_ino(w, a);
    }
}

/* Its area, in the root: made, or found if somebody has made it. */
static void seek_area(struct sim_world *w, const struct nn_client *c, Dfs__MetaRequest *req)
{
    char name[NN_NAME_MAX];

    (void)snprintf(name, sizeof(name), "area%u", c->area);
    if (sim_percent(w, 50)) {
        NEW_OP(req, CREATE, create, Dfs__CreateOp, dfs__create_op__init);
        req->create->parent = 1;
        req->create->name = bytes_of(name);
        req->create->mode = S_IFDIR | 0755;
        req->create->exclusive = true;
    } else {
        NEW_OP(req, LOOKUP, lookup, Dfs__LookupOp, dfs__lookup_op__init);
        req->lookup->parent = 1;
        req->lookup->name = bytes_of(name);
    }
}

static Dfs__MetaRequest *request_new(void)
{
    Dfs__MetaRequest *req = MEM_NEW(Dfs__MetaRequest);

    dfs__meta_request__init(req);
    req->cred = MEM_NEW(Dfs__Cred);
    dfs__cred__init(req->cred);
    return req;
}

Dfs__MetaRequest *nn_closing_request(struct sim_world *w, struct nn_client *c)
{
    Dfs__MetaRequest *req = request_new();

    (void)nn_close_some(w, c, req);
    return req;
}

Dfs__MetaRequest *nn_any_request(struct sim_world *w, struct nn_client *c)
{
    const struct nn_area *a = &nn_world_of(w)->areas[c->area];
    Dfs__MetaRequest *req = request_new();

    if (a->root == 0)
        seek_area(w, c, req);
    else if (sim_percent(w, nn_world_of(w)->open_percent) && nn_any_open(w, c, req))
        return req;
    else if (nn_tree_waits(c) ? sim_percent(w, 25)
                              : !c->tree.active && sim_percent(w, nn_world_of(w)->tree_percent))
        nn_any_tree(w, c, req);
    else if (sim_percent(w, 70))
        any_change(w, c, req);
    else
        any_read(w, a, req);
    return req;
}

void nn_requests_begin(struct sim_world *w)
{
    struct nn_world *nw = nn_world_of(w);

    nw->data_percent = sim_percent(w, 30) ? 0 : 5 + (unsigned)sim_below(w, 45);
    nw->tree_percent = sim_percent(w, 50) ? 0 : 1 + (unsigned)sim_below(w, 10);
    nw->open_percent = sim_percent(w, 40) ? 0 : 5 + (unsigned)sim_below(w, 25);
    nw->quota_percent = sim_percent(w, 50) ? 0 : 2 + (unsigned)sim_below(w, 6);
}

/* ---- what they learn ---- */

static void note(uint64_t *inos, unsigned *count, uint64_t ino)
{
    enum { INOS_MAX = 16 };

    for (unsigned i = 0; i < *count; i++) {
        if (inos[i] == ino)
            return;
    }
    if (*count < INOS_MAX)
        inos[(*count)++] = ino;
    else
        inos[ino % INOS_MAX] = ino;
}

static bool is_area(const struct nn_world *nw, uint64_t ino)
{
    for (unsigned i = 0; i < nw->area_count; i++) {
        if (nw->areas[i].root == ino)
            return true;
    }
    return false;
}

static void count_rare(struct sim_world *w, const Dfs__MetaRequest *req,
                       const Dfs__MetaReply *reply)
{
    struct sim_stats *s = w->stats;

    if (req->op_case == DFS__META_REQUEST__OP_RENAME) {
        s->loops_refused += reply->status == -EINVAL;
        s->exchanges += reply->status == 0 && req->rename->flags == 2 && reply->entry != NULL &&
                        S_ISDIR(reply->entry->attr->mode);
    }
    s->not_empty += req->op_case == DFS__META_REQUEST__OP_RMDIR && reply->status == -ENOTEMPTY;
}

void nn_learn(struct sim_world *w, struct nn_client *c, const struct nn_call *call,
              const Dfs__MetaReply *reply)
{
    struct nn_world *nw = nn_world_of(w);
    struct nn_area *a = &nw->areas[c->area];
    const Dfs__Attr *attr;

    count_rare(w, call->msg, reply);
    nn_open_learn(w, c, call, reply);
    nn_content_learn(w, c, call->msg, reply);
    /* From other answers too, but the checker of histories takes it from these alone. */
    if (call->msg->op_case != DFS__META_REQUEST__OP_CREATE &&
        call->msg->op_case != DFS__META_REQUEST__OP_LOOKUP)
        return;
    if (reply->status != 0 || reply->result_case != DFS__META_REPLY__RESULT_ENTRY ||
        reply->entry->attr == NULL)
        return;
    attr = reply->entry->attr;
    if (a->root == 0)
        a->root = attr->ino;
    if (is_area(nw, attr->ino))
        return;
    if (S_ISDIR(attr->mode))
        note(a->dirs, &a->dir_count, attr->ino);
    else
        note(a->files, &a->file_count, attr->ino);
}
