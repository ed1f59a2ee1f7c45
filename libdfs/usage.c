/* How much there is: statfs, the counters of directories, quotas. */
#include <errno.h>
#include <stdlib.h>

#include "common/mem.h"
#include "libdfs/blocking.h"
#include "libdfs/nn.h"

struct usage_call {
    ll_statfs_fn statfs;
    ll_usage_fn usage;
    void *ctx;
};

static void statfs_replied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct usage_call *c = ctx;
    struct ll_statfs st;

    status = ll_outcome(status, reply);
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_STATFS)
        status = -EIO;
    if (status < 0) {
        c->statfs(c->ctx, status, NULL);
    } else {
        st = (struct ll_statfs){
            .bytes_total = reply->statfs->bytes_total,
            .bytes_free = reply->statfs->bytes_free,
            .inodes_used = reply->statfs->inodes_used,
            .inodes_max = reply->statfs->inodes_max,
        };
        c->statfs(c->ctx, 0, &st);
    }
    free(c);
}

void ll_statfs(struct ll *ll, struct ll_call *call, struct ino ino, ll_statfs_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__StatfsOp op = DFS__STATFS_OP__INIT;
    struct usage_call *c = MEM_NEW(struct usage_call);

    c->statfs = fn;
    c->ctx = ctx;
    meta_request_init(&r, NULL);
    op.ino = ino.v;
    r.req.op_case = DFS__META_REQUEST__OP_STATFS;
    r.req.statfs = &op;
    nn_call(ll->nn, call, &r.req, statfs_replied, c);
}

static void usage_replied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct usage_call *c = ctx;
    struct ll_usage u;

    status = ll_outcome(status, reply);
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_USAGE)
        status = -EIO;
    if (status < 0) {
        c->usage(c->ctx, status, NULL);
    } else {
        u = (struct ll_usage){
            .files = reply->usage->files,
            .dirs = reply->usage->dirs,
            .bytes = reply->usage->bytes,
            .quota_inodes = reply->usage->quota_inodes,
            .quota_bytes = reply->usage->quota_bytes,
        };
        c->usage(c->ctx, 0, &u);
    }
    free(c);
}

void ll_usage(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
              ll_usage_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__UsageOp op = DFS__USAGE_OP__INIT;
    struct usage_call *c = MEM_NEW(struct usage_call);

    c->usage = fn;
    c->ctx = ctx;
    meta_request_init(&r, cred);
    op.ino = ino.v;
    r.req.op_case = DFS__META_REQUEST__OP_USAGE;
    r.req.usage = &op;
    nn_call(ll->nn, call, &r.req, usage_replied, c);
}

void ll_set_quota(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                  uint64_t inodes, uint64_t bytes, ll_usage_fn fn, void *ctx)
{
    struct meta_request r;
    Dfs__SetQuotaOp op = DFS__SET_QUOTA_OP__INIT;
    struct usage_call *c = MEM_NEW(struct usage_call);

    c->usage = fn;
    c->ctx = ctx;
    meta_request_init(&r, cred);
    op.ino = ino.v;
    op.set_inodes = inodes != LL_QUOTA_KEEP;
    op.inodes = op.set_inodes ? inodes : 0;
    op.set_bytes = bytes != LL_QUOTA_KEEP;
    op.bytes = op.set_bytes ? bytes : 0;
    r.req.op_case = DFS__META_REQUEST__OP_SET_QUOTA;
    r.req.set_quota = &op;
    nn_call(ll->nn, call, &r.req, usage_replied, c);
}

/* ---- dfs.h ---- */

static void take_usage(void *ctx, int status, const struct ll_usage *u)
{
    struct op *op = ctx;

    if (status == 0)
        op->usage = *u;
    op_end(op, status);
}

static void usage_start(struct op *op)
{
    ll_usage(op->dfs->ll, &op->call, &op->dfs->cred, op->attr.ino, take_usage, op);
}

int dfs_usage(struct dfs *dfs, const char *path, struct dfs_usage *ret_usage)
{
    struct op op;
    int r;

    op_init(&op, dfs, usage_start);
    r = op_run_path(&op, path, true, false);
    if (r == 0)
        *ret_usage = (struct dfs_usage){
            .files = op.usage.files,
            .dirs = op.usage.dirs,
            .bytes = op.usage.bytes,
            .quota_inodes = op.usage.quota_inodes,
            .quota_bytes = op.usage.quota_bytes,
        };
    return r;
}

static void set_quota_start(struct op *op)
{
    ll_set_quota(op->dfs->ll, &op->call, &op->dfs->cred, op->attr.ino, op->offset, op->len,
                 take_usage, op);
}

int dfs_set_quota(struct dfs *dfs, const char *path, uint64_t inodes, uint64_t bytes)
{
    struct op op;

    op_init(&op, dfs, set_quota_start);
    op.offset = inodes;
    op.len = bytes;
    return op_run_path(&op, path, true, false);
}
