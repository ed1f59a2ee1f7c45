/*
 * The life of a client, and the calls about names and attributes: each is one request to the
 * namenode, its answer translated. What concerns file data is in file.c and below.
 */
#include "libdfs/dfs_ll.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "common/strutil.h"
#include "libdfs/inode.h"
#include "libdfs/ll_internal.h"
#include "libdfs/nn.h"
#include "libdfs/pgmap.h"
#include "rpc/tls.h"

enum { SLAB_KEEP_BYTES = 96 << 20, TLS_PROBLEM_MAX = 256 };

/* The life of the client; see ll_new() and ll_close(). */
struct ll_meta {
    ll_status_fn fn; /* of ll_new, then of ll_close */
    void *ctx;
    struct loop_timer *timer; /* of ll_close */
    bool draining;
    int status;
};

void ll_interrupt(struct ll_call *call)
{
    if (call->interrupt != NULL)
        call->interrupt(call);
}

void ll_options_init(struct ll_options *o)
{
    *o = (struct ll_options){
        .io_timeout_ms = 0,
        .dirty_bytes_max = 64U << 20,
        .readahead_bytes_max = 256U << 20,
        .readahead_window = 8U << 20,
        .flush_age_ms = 500,
        .sync_age_ms = 5000,
    };
}

/* ---- life ---- */

static void on_ready(void *ctx, int status)
{
    struct ll *ll = ctx;

    ll->meta->fn(ll->meta->ctx, dfs_error_is_own(status) ? -EIO : status);
}

static void on_session_lost(void *ctx)
{
    ll_data_session_lost(ctx);
}

static void on_pg_version(void *ctx, uint64_t version)
{
    struct ll *ll = ctx;

    pgmap_on_version(ll->pgmap, version);
}

static void on_open_inodes(void *ctx, uint64_t **inos, size_t *count)
{
    inode_table_open_inos(ctx, inos, count);
}

static char *strdup_or_null(const char *s)
{
    return s == NULL ? NULL : mem_strdup(s);
}

static void options_own(struct ll_options *o)
{
    o->namenodes = strdup_or_null(o->namenodes);
    o->ca_file = strdup_or_null(o->ca_file);
    o->cert_file = strdup_or_null(o->cert_file);
    o->key_file = strdup_or_null(o->key_file);
    o->client_name = strdup_or_null(o->client_name);
}

static void free_const(const char *s)
{
    free((char *)(uintptr_t)s);
}

static void ll_free(struct ll *ll)
{
    if (ll->slabs != NULL)
        slab_pool_free(ll->slabs);
    tls_free(ll->tls);
    free_const(ll->options.namenodes);
    free_const(ll->options.ca_file);
    free_const(ll->options.cert_file);
    free_const(ll->options.key_file);
    free_const(ll->options.client_name);
    loop_timer_free(ll->meta->timer);
    free(ll->meta);
    free(ll);
}

static int open_tls(struct ll *ll)
{
    char text[TLS_PROBLEM_MAX] = "";
    int r;

    if (ll->options.ca_file == NULL)
        return 0;
    r = tls_new(ll->options.ca_file, ll->options.cert_file, ll->options.key_file, &ll->tls, text,
                sizeof(text));
    if (r < 0 && ll->options.problem_size > 0)
        snprintf(ll->options.problem, ll->options.problem_size, "%s", text);
    return r;
}

/* The namenodes' addresses get their ports, and are refused before any of them is tried. */
static int complete_addrs(struct ll *ll)
{
    char text[128];
    char *full = str_full_addrs(ll->options.namenodes, NAMENODE_PORT, NAMENODE_ADDRS_MAX, text,
                                sizeof(text));

    if (full == NULL) {
        if (ll->options.problem_size > 0)
            snprintf(ll->options.problem, ll->options.problem_size,
                     "the addresses of the namenodes: %s", text);
        return -EINVAL;
    }
    free_const(ll->options.namenodes);
    ll->options.namenodes = full;
    return 0;
}

int ll_new(struct loop *loop, const struct ll_options *o, bool fail_fast, ll_status_fn fn,
           void *ctx, struct ll **ret)
{
    struct ll *ll = MEM_NEW(struct ll);
    const struct nn_events ev = {
        .ready = on_ready,
        .session_lost = on_session_lost,
        .pg_version = on_pg_version,
        .open_inodes = on_open_inodes,
        .ctx = ll,
    };
    struct nn_options nn_options;
    int r;

    ll->loop = loop;
    ll->options = *o;
    options_own(&ll->options);
    ll->meta = MEM_NEW(struct ll_meta);
    ll->meta->fn = fn;
    ll->meta->ctx = ctx;
    r = complete_addrs(ll);
    if (r == 0)
        r = open_tls(ll);
    if (r < 0) {
        ll_free(ll);
        return r;
    }
    ll->slabs = slab_pool_new(SLAB_KEEP_BYTES);
    nn_options = (struct nn_options){
        .namenodes = ll->options.namenodes,
        .tls = ll->tls,
        .client_name = ll->options.client_name,
        .io_timeout_ms = ll->options.io_timeout_ms,
    };
    r = nn_new(loop, ll->slabs, &nn_options, fail_fast, &ev, &ll->nn);
    if (r < 0) {
        ll_free(ll);
        return r;
    }
    ll_data_init(ll);
    *ret = ll;
    return 0;
}

const char *ll_problem(const struct ll *ll)
{
    return nn_problem(ll->nn);
}

struct slab_pool *ll_slabs(struct ll *ll)
{
    return ll->slabs;
}

static void session_closed(void *ctx)
{
    struct ll *ll = ctx;
    ll_status_fn fn = ll->meta->fn;
    void *fn_ctx = ll->meta->ctx;
    int status = ll->meta->status;

    ll->nn = NULL;
    ll_data_done(ll);
    ll_free(ll);
    fn(fn_ctx, status);
}

static void close_session(struct ll *ll, int status)
{
    ll->meta->draining = false;
    ll->meta->status = status;
    loop_timer_stop(ll->meta->timer);
    ll_data_stop(ll);
    nn_close(ll->nn, session_closed, ll);
}

static void drain_late(void *ctx)
{
    struct ll *ll = ctx;

    if (ll->meta->draining) {
        log_error("unwritten data was given up: the cluster did not take it in time", "");
        close_session(ll, -ETIMEDOUT);
    }
}

static void drained(void *ctx, int status)
{
    struct ll *ll = ctx;

    if (ll->meta->draining)
        close_session(ll, status);
}

void ll_close(struct ll *ll, uint32_t timeout_ms, ll_status_fn fn, void *ctx)
{
    ll->meta->fn = fn;
    ll->meta->ctx = ctx;
    ll->meta->draining = true;
    ll->meta->timer = loop_timer_new(ll->loop, drain_late, ll);
    loop_timer_start(ll->meta->timer, timeout_ms, 0);
    ll_data_drain(ll, drained, ll);
}

/* ---- one metadata call ---- */

struct meta_call {
    struct ll *ll;
    union {
        ll_attr_fn attr;
        ll_status_fn status;
        ll_bytes_fn bytes;
        ll_dir_fn dir;
    } fn;
    void *ctx;
    /* utimens: what to put back when it is refused. */
    struct ino mtime_ino;
    int64_t mtime_ns;
    bool mtime_overridden;
};

static struct meta_call *meta_call_new(struct ll *ll, void *ctx)
{
    struct meta_call *m = MEM_NEW(struct meta_call);

    m->ll = ll;
    m->ctx = ctx;
    return m;
}

static void attr_replied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_call *m = ctx;
    struct ll_attr attr;

    status = ll_outcome(status, reply);
    if (status == 0 &&
        (reply->result_case != DFS__META_REPLY__RESULT_ENTRY || reply->entry->attr == NULL))
        status = -EIO;
    if (status < 0) {
        if (m->mtime_overridden)
            inode_mtime_restore(m->ll, m->mtime_ino, m->mtime_ns);
        m->fn.attr(m->ctx, status, NULL);
    } else {
        ll_attr_from_wire(reply->entry->attr, &attr);
        inode_see_attr(m->ll, &attr);
        m->fn.attr(m->ctx, 0, &attr);
    }
    free(m);
}

static void status_replied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_call *m = ctx;

    m->fn.status(m->ctx, ll_outcome(status, reply));
    free(m);
}

static void bytes_replied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_call *m = ctx;

    status = ll_outcome(status, reply);
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_VALUE)
        status = -EIO;
    if (status < 0)
        m->fn.bytes(m->ctx, status, NULL, 0);
    else
        m->fn.bytes(m->ctx, 0, reply->value->value.data, reply->value->value.len);
    free(m);
}

static ProtobufCBinaryData name_bytes(const char *name)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)name, .len = strlen(name)};
}

static bool name_is_long(const char *name)
{
    return strlen(name) > NAME_BYTES_MAX;
}

/* ---- names and attributes ---- */

void ll_lookup(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
               const char *name, ll_attr_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__LookupOp op = DFS__LOOKUP_OP__INIT;
    struct meta_call *m;

    if (name_is_long(name)) {
        fn(ctx, -ENAMETOOLONG, NULL);
        return;
    }
    m = meta_call_new(ll, ctx);
    m->fn.attr = fn;
    meta_request_init(&r, cred);
    op.parent = parent.v;
    op.name = name_bytes(name);
    r.req.op_case = DFS__META_REQUEST__OP_LOOKUP;
    r.req.lookup = &op;
    nn_call(ll->nn, call, &r.req, attr_replied, m);
}

void ll_getattr(struct ll *ll, struct ll_call *call, struct ino ino, ll_attr_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__GetattrOp op = DFS__GETATTR_OP__INIT;
    struct meta_call *m = meta_call_new(ll, ctx);

    m->fn.attr = fn;
    meta_request_init(&r, NULL);
    op.ino = ino.v;
    r.req.op_case = DFS__META_REQUEST__OP_GETATTR;
    r.req.getattr = &op;
    nn_call(ll->nn, call, &r.req, attr_replied, m);
}

/* The size is cut or grown first, then the rest is set: two steps, as the size is the data path's.
 */
struct setattr_call {
    struct ll *ll;
    struct ll_call *call;
    struct ll_attr attr;
    unsigned set;
    struct ll_cred cred;
    uint32_t *groups;
    ll_attr_fn fn;
    void *ctx;
};

static void setattr_truncated(void *ctx, int status, const struct ll_attr *attr)
{
    struct setattr_call *s = ctx;

    if (status < 0 || (s->set & ~(unsigned)LL_SET_SIZE) == 0)
        s->fn(s->ctx, status, attr);
    else
        ll_setattr(s->ll, s->call, &s->cred, s->attr.ino, &s->attr, s->set & ~(unsigned)LL_SET_SIZE,
                   s->fn, s->ctx);
    free(s->groups);
    free(s);
}

static void setattr_size(struct ll *ll, struct ll_call *call, const struct ll_cred *cred,
                         struct ino ino, const struct ll_attr *attr, unsigned set, ll_attr_fn fn,
                         void *ctx)
{
    struct setattr_call *s = MEM_NEW(struct setattr_call);

    *s = (struct setattr_call){
        .ll = ll, .call = call, .attr = *attr, .set = set, .cred = *cred, .fn = fn, .ctx = ctx};
    s->attr.ino = ino;
    if (cred->group_count > 0) {
        s->groups = mem_zalloc(cred->group_count, sizeof(*s->groups));
        memcpy(s->groups, cred->groups, cred->group_count * sizeof(*s->groups));
        s->cred.groups = s->groups;
    }
    ll_truncate(ll, call, &s->cred, ino, attr->size, setattr_truncated, s);
}

void ll_setattr(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                const struct ll_attr *attr, unsigned set, ll_attr_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__SetattrOp op = DFS__SETATTR_OP__INIT;
    struct meta_call *m;

    if (set & LL_SET_SIZE) {
        setattr_size(ll, call, cred, ino, attr, set, fn, ctx);
        return;
    }
    m = meta_call_new(ll, ctx);
    m->fn.attr = fn;
    meta_request_init(&r, cred);
    op.ino = ino.v;
    op.mode = attr->mode & 07777;
    op.uid = attr->uid;
    op.gid = attr->gid;
    op.atime_ns = attr->atime_ns;
    op.mtime_ns = attr->mtime_ns;
    op.valid = set; /* LL_SET_* are the bits of SetattrValid. */
    r.req.op_case = DFS__META_REQUEST__OP_SETATTR;
    r.req.setattr = &op;
    if (set & (LL_SET_MTIME | LL_SET_MTIME_NOW)) {
        m->mtime_ino = ino;
        m->mtime_ns = inode_mtime_override(ll, ino);
        m->mtime_overridden = true;
    }
    nn_call(ll->nn, call, &r.req, attr_replied, m);
}

_Static_assert((int)LL_SET_MODE == (int)DFS__SETATTR_VALID__SETATTR_MODE &&
                   (int)LL_SET_UID == (int)DFS__SETATTR_VALID__SETATTR_UID &&
                   (int)LL_SET_GID == (int)DFS__SETATTR_VALID__SETATTR_GID &&
                   (int)LL_SET_ATIME == (int)DFS__SETATTR_VALID__SETATTR_ATIME &&
                   (int)LL_SET_MTIME == (int)DFS__SETATTR_VALID__SETATTR_MTIME &&
                   (int)LL_SET_ATIME_NOW == (int)DFS__SETATTR_VALID__SETATTR_ATIME_NOW &&
                   (int)LL_SET_MTIME_NOW == (int)DFS__SETATTR_VALID__SETATTR_MTIME_NOW,
               "LL_SET_* are sent as they are");

void ll_mknod(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
              const char *name, uint32_t mode, uint64_t rdev, const char *target, ll_attr_fn fn,
              void *ctx)
{
    struct meta_request r;
    Dfs__CreateOp op = DFS__CREATE_OP__INIT;
    struct meta_call *m;

    if (name_is_long(name) || (target != NULL && strlen(target) > SYMLINK_BYTES_MAX)) {
        fn(ctx, -ENAMETOOLONG, NULL);
        return;
    }
    m = meta_call_new(ll, ctx);
    m->fn.attr = fn;
    meta_request_init(&r, cred);
    op.parent = parent.v;
    op.name = name_bytes(name);
    op.mode = mode;
    op.rdev = rdev;
    if (target != NULL)
        op.target = name_bytes(target);
    op.exclusive = true;
    r.req.op_case = DFS__META_REQUEST__OP_CREATE;
    r.req.create = &op;
    nn_call(ll->nn, call, &r.req, attr_replied, m);
}

void ll_link(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
             struct ino parent, const char *name, ll_attr_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__LinkOp op = DFS__LINK_OP__INIT;
    struct meta_call *m;

    if (name_is_long(name)) {
        fn(ctx, -ENAMETOOLONG, NULL);
        return;
    }
    m = meta_call_new(ll, ctx);
    m->fn.attr = fn;
    meta_request_init(&r, cred);
    op.ino = ino.v;
    op.parent = parent.v;
    op.name = name_bytes(name);
    r.req.op_case = DFS__META_REQUEST__OP_LINK;
    r.req.link = &op;
    nn_call(ll->nn, call, &r.req, attr_replied, m);
}

void ll_unlink(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
               const char *name, ll_attr_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__UnlinkOp op = DFS__UNLINK_OP__INIT;
    struct meta_call *m;

    if (name_is_long(name)) {
        fn(ctx, -ENAMETOOLONG, NULL);
        return;
    }
    m = meta_call_new(ll, ctx);
    m->fn.attr = fn;
    meta_request_init(&r, cred);
    op.parent = parent.v;
    op.name = name_bytes(name);
    r.req.op_case = DFS__META_REQUEST__OP_UNLINK;
    r.req.unlink = &op;
    nn_call(ll->nn, call, &r.req, attr_replied, m);
}

void ll_rmdir(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
              const char *name, ll_attr_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__RmdirOp op = DFS__RMDIR_OP__INIT;
    struct meta_call *m;

    if (name_is_long(name)) {
        fn(ctx, -ENAMETOOLONG, NULL);
        return;
    }
    m = meta_call_new(ll, ctx);
    m->fn.attr = fn;
    meta_request_init(&r, cred);
    op.parent = parent.v;
    op.name = name_bytes(name);
    r.req.op_case = DFS__META_REQUEST__OP_RMDIR;
    r.req.rmdir = &op;
    nn_call(ll->nn, call, &r.req, attr_replied, m);
}

static void renamed(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_call *m = ctx;
    struct ll_attr attr;
    bool replaced = false;

    status = ll_outcome(status, reply);
    if (status == 0 && reply->result_case == DFS__META_REPLY__RESULT_ENTRY &&
        reply->entry->removed != NULL) {
        ll_attr_from_wire(reply->entry->removed, &attr);
        replaced = true;
    }
    m->fn.attr(m->ctx, status, replaced ? &attr : NULL);
    free(m);
}

void ll_rename(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
               const char *name, struct ino new_parent, const char *new_name, unsigned flags,
               ll_attr_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__RenameOp op = DFS__RENAME_OP__INIT;
    struct meta_call *m;

    if (name_is_long(name) || name_is_long(new_name)) {
        fn(ctx, -ENAMETOOLONG, NULL);
        return;
    }
    m = meta_call_new(ll, ctx);
    m->fn.attr = fn;
    meta_request_init(&r, cred);
    op.parent = parent.v;
    op.name = name_bytes(name);
    op.new_parent = new_parent.v;
    op.new_name = name_bytes(new_name);
    op.flags = flags;
    r.req.op_case = DFS__META_REQUEST__OP_RENAME;
    r.req.rename = &op;
    nn_call(ll->nn, call, &r.req, renamed, m);
}

void ll_readlink(struct ll *ll, struct ll_call *call, struct ino ino, ll_bytes_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__ReadlinkOp op = DFS__READLINK_OP__INIT;
    struct meta_call *m = meta_call_new(ll, ctx);

    m->fn.bytes = fn;
    meta_request_init(&r, NULL);
    op.ino = ino.v;
    r.req.op_case = DFS__META_REQUEST__OP_READLINK;
    r.req.readlink = &op;
    nn_call(ll->nn, call, &r.req, bytes_replied, m);
}

static void dir_replied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_call *m = ctx;
    struct ll_dirent *entries;
    char *names, *at;
    size_t n, bytes = 0;

    status = ll_outcome(status, reply);
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_DIR)
        status = -EIO;
    if (status < 0) {
        m->fn.dir(m->ctx, status, NULL, 0, false);
        free(m);
        return;
    }
    n = reply->dir->n_entries;
    for (size_t i = 0; i < n; i++)
        bytes += reply->dir->entries[i]->name.len + 1;
    entries = mem_zalloc(n + 1, sizeof(*entries));
    at = names = mem_zalloc(bytes + 1, 1);
    for (size_t i = 0; i < n; i++) {
        const Dfs__Dirent *d = reply->dir->entries[i];

        entries[i].name = at;
        entries[i].ino.v = d->ino;
        entries[i].type = d->type;
        memcpy(at, d->name.data, d->name.len);
        at += d->name.len + 1;
        if (d->attr != NULL) {
            ll_attr_from_wire(d->attr, &entries[i].attr);
            inode_see_attr(m->ll, &entries[i].attr);
        }
    }
    m->fn.dir(m->ctx, 0, entries, (unsigned)n, reply->dir->end);
    free(names);
    free(entries);
    free(m);
}

void ll_readdir(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                const char *after, unsigned limit, bool with_attrs, ll_dir_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__ReaddirOp op = DFS__READDIR_OP__INIT;
    struct meta_call *m = meta_call_new(ll, ctx);

    m->fn.dir = fn;
    meta_request_init(&r, cred);
    op.ino = ino.v;
    op.after = name_bytes(after);
    op.limit = limit;
    op.with_attrs = with_attrs;
    r.req.op_case = DFS__META_REQUEST__OP_READDIR;
    r.req.readdir = &op;
    nn_call(ll->nn, call, &r.req, dir_replied, m);
}

/* ---- extended attributes ---- */

void ll_getxattr(struct ll *ll, struct ll_call *call, struct ino ino, const char *name,
                 ll_bytes_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__GetxattrOp op = DFS__GETXATTR_OP__INIT;
    struct meta_call *m = meta_call_new(ll, ctx);

    m->fn.bytes = fn;
    meta_request_init(&r, NULL);
    op.ino = ino.v;
    op.name = name_bytes(name);
    r.req.op_case = DFS__META_REQUEST__OP_GETXATTR;
    r.req.getxattr = &op;
    nn_call(ll->nn, call, &r.req, bytes_replied, m);
}

static void names_replied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct meta_call *m = ctx;
    char *list, *at;
    size_t bytes = 0;

    status = ll_outcome(status, reply);
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_NAMES)
        status = -EIO;
    if (status < 0) {
        m->fn.bytes(m->ctx, status, NULL, 0);
        free(m);
        return;
    }
    for (size_t i = 0; i < reply->names->n_names; i++)
        bytes += reply->names->names[i].len + 1;
    at = list = mem_zalloc(bytes + 1, 1);
    for (size_t i = 0; i < reply->names->n_names; i++) {
        memcpy(at, reply->names->names[i].data, reply->names->names[i].len);
        at += reply->names->names[i].len + 1;
    }
    m->fn.bytes(m->ctx, 0, list, bytes);
    free(list);
    free(m);
}

void ll_listxattr(struct ll *ll, struct ll_call *call, struct ino ino, ll_bytes_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__ListxattrOp op = DFS__LISTXATTR_OP__INIT;
    struct meta_call *m = meta_call_new(ll, ctx);

    m->fn.bytes = fn;
    meta_request_init(&r, NULL);
    op.ino = ino.v;
    r.req.op_case = DFS__META_REQUEST__OP_LISTXATTR;
    r.req.listxattr = &op;
    nn_call(ll->nn, call, &r.req, names_replied, m);
}

void ll_setxattr(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                 const char *name, const void *value, size_t len, unsigned flags, ll_status_fn fn,
                 void *ctx)
{
    struct meta_request r;
    Dfs__SetxattrOp op = DFS__SETXATTR_OP__INIT;
    struct meta_call *m = meta_call_new(ll, ctx);

    m->fn.status = fn;
    meta_request_init(&r, cred);
    op.ino = ino.v;
    op.name = name_bytes(name);
    op.value = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)value, .len = len};
    op.flags = flags;
    r.req.op_case = DFS__META_REQUEST__OP_SETXATTR;
    r.req.setxattr = &op;
    nn_call(ll->nn, call, &r.req, status_replied, m);
}

void ll_removexattr(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                    const char *name, ll_status_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__RemovexattrOp op = DFS__REMOVEXATTR_OP__INIT;
    struct meta_call *m = meta_call_new(ll, ctx);

    m->fn.status = fn;
    meta_request_init(&r, cred);
    op.ino = ino.v;
    op.name = name_bytes(name);
    r.req.op_case = DFS__META_REQUEST__OP_REMOVEXATTR;
    r.req.removexattr = &op;
    nn_call(ll->nn, call, &r.req, status_replied, m);
}
