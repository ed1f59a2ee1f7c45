#include <errno.h>

#include "common/compiler.h"
#include "common/error.h"
#include "common/limits.h"
#include "libdfs/ll_internal.h"

void ll_attr_from_wire(const Dfs__Attr *w, struct ll_attr *ret_attr)
{
    *ret_attr = (struct ll_attr){
        .ino = {w->ino},
        .mode = w->mode,
        .uid = w->uid,
        .gid = w->gid,
        .nlink = w->nlink,
        .rdev = w->rdev,
        .size = w->size,
        .blocks = (w->size + 511) / 512,
        .atime_ns = w->atime_ns,
        .mtime_ns = w->mtime_ns,
        .ctime_ns = w->ctime_ns,
        .btime_ns = w->btime_ns,
        .data_version = w->data_version,
        .dir_version = w->dir_version,
        .has_xattr = w->has_xattr,
    };
    /* A sparse file has no more blocks than its chunks could hold. */
    if (!w->is_inline) {
        uint64_t most = (uint64_t)w->chunk_count * (CHUNK_SIZE / 512);

        ret_attr->blocks = MIN(ret_attr->blocks, most);
    }
}

void meta_request_init(struct meta_request *m, const struct ll_cred *cred)
{
    dfs__meta_request__init(&m->req);
    dfs__cred__init(&m->cred);
    m->req.cred = &m->cred;
    if (cred == NULL) {
        m->cred.kernel_checked = true;
        return;
    }
    m->cred.uid = cred->uid;
    m->cred.gid = cred->gid;
    m->cred.n_groups = cred->group_count;
    /* protobuf-c has no const for what is only packed. */
    m->cred.groups = (uint32_t *)(uintptr_t)cred->groups;
    m->cred.kernel_checked = cred->kernel_checked;
}

int ll_outcome(int status, const Dfs__MetaReply *reply)
{
    if (status == 0)
        status = reply->status;
    return dfs_error_is_own(status) ? -EIO : status;
}
