/* dfs_remove_tree(): asks the namenode for slice after slice. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/mem.h"
#include "libdfs/blocking.h"
#include "libdfs/nn.h"
#include "libdfs/removal.h"

static void slice_replied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct op *op = ctx;

    if (status == 0)
        status = reply->status;
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_TREE)
        status = -EIO;
    if (dfs_error_is_own(status))
        status = -EIO;
    op_end(op, removal_take(op->extra, status, status < 0 ? NULL : reply->tree));
}

static void slice_start(struct op *op)
{
    struct meta_request m;
    Dfs__RemoveTreeOp tree;

    meta_request_init(&m, &op->dfs->cred);
    removal_ask(op->extra, &tree);
    m.req.op_case = DFS__META_REQUEST__OP_REMOVE_TREE;
    m.req.remove_tree = &tree;
    nn_call(op->dfs->ll->nn, &op->call, &m.req, slice_replied, op);
}

static void found_start(struct op *op)
{
    removal_init(op->extra, op->dir, op->name);
    slice_start(op);
}

/* With a slash at the end it must be a directory, and no link to one. */
static int check_slash(struct dfs *dfs, const char *path)
{
    size_t len = strlen(path);
    struct dfs_stat st;
    char *plain;
    int r;

    if (len < 2 || path[len - 1] != '/')
        return 0;
    while (len > 1 && path[len - 1] == '/')
        len--;
    plain = mem_memdup(path, len);
    r = dfs_lstat(dfs, plain, &st);
    free(plain);
    return r < 0 ? r : S_ISDIR(st.mode) ? 0 : -ENOTDIR;
}

int dfs_remove_tree(struct dfs *dfs, const char *path, dfs_removed_fn fn, void *ctx,
                    struct dfs_removed *ret_removed)
{
    struct removal removal = {.names = NULL};
    struct op op;
    int r = check_slash(dfs, path);

    if (r == 0) {
        op_init(&op, dfs, found_start);
        op.extra = &removal;
        r = op_run_path(&op, path, false, true);
    }
    while (r > 0) {
        if (fn != NULL && fn(ctx, &removal.removed) != 0) {
            r = -ECANCELED;
            break;
        }
        op_init(&op, dfs, slice_start);
        op.extra = &removal;
        r = op_run(&op);
    }
    if (ret_removed != NULL)
        *ret_removed = removal.removed;
    removal_done(&removal);
    return r;
}
