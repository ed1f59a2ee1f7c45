/* The life of the data path: made, drained, cut off from its session, freed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/dn.h"
#include "libdfs/file.h"
#include "libdfs/inode.h"
#include "libdfs/nn.h"
#include "libdfs/pgmap.h"

static void on_map_changed(void *ctx)
{
    struct ll *ll = ctx;

    dn_pool_map_changed(ll->dns);
}

void ll_data_init(struct ll *ll)
{
    ll->zeros = slab_alloc(ll->slabs, IO_SIZE_MAX);
    memset(ll->zeros->data, 0, IO_SIZE_MAX);
    ll->pgmap = pgmap_new(ll->loop, ll->nn, on_map_changed, ll);
    ll->dns = dn_pool_new(ll);
    ll->inodes = inode_table_new(ll);
}

void ll_meta_call(struct ll *ll, struct ll_call *call, Dfs__MetaRequest *req, nn_reply_fn fn,
                  void *ctx)
{
    if (ll->stopping)
        fn(ctx, -ECANCELED, NULL);
    else
        nn_call(ll->nn, call, req, fn, ctx);
}

void ll_data_stop(struct ll *ll)
{
    ll->stopping = true;
    dn_pool_stop(ll->dns);
    file_cancel_writes(ll->inodes);
}

void ll_data_done(struct ll *ll)
{
    pgmap_free(ll->pgmap);
    dn_pool_free(ll->dns);
    inode_table_free(ll->inodes);
    slab_unref(ll->zeros);
    ll->pgmap = NULL;
    ll->dns = NULL;
    ll->inodes = NULL;
    ll->zeros = NULL;
}

struct drain {
    struct ll *ll;
    ll_status_fn fn;
    void *ctx;
};

static void on_drained(void *ctx, int status)
{
    struct drain *d = ctx;

    inode_table_send_closes(d->ll->inodes);
    d->fn(d->ctx, status);
    free(d);
}

void ll_data_drain(struct ll *ll, ll_status_fn fn, void *ctx)
{
    struct drain *d = MEM_NEW(struct drain);

    file_cancel_writes(ll->inodes); /* What is taken from now on would not go out. */
    d->ll = ll;
    d->fn = fn;
    d->ctx = ctx;
    ll_sync_all(ll, NULL, on_drained, d);
}

void ll_data_session_lost(struct ll *ll)
{
    struct inode_table *t = ll->inodes;
    struct inode **all = mem_zalloc(t->working_count + 1, sizeof(*all));
    size_t count = 0;
    struct inode *i;

    /* Others may have written these files since: what is still here must not go out. */
    dn_pool_session_lost(ll->dns);
    DL_FOREACH2(t->working, i, wb.next)
    all[count++] = inode_ref(i);
    for (size_t k = 0; k < count; k++) {
        wb_fail_all(all[k], -EIO);
        wb_step(all[k]);
        inode_unref(all[k]);
    }
    free(all);
}
