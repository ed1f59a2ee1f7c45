/* CLUSTER_MAP: what clients need to find the chunks: placement groups and where their targets are.
 */
#include "namenode/svc_map.h"

#include <stdlib.h>

#include "common/error.h"
#include "common/mem.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "namenode/service.h"
#include "namenode/svc_datanode.h"

struct svc_map {
    struct services *all;
};

static void on_map(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_map *s = self;
    struct fsm *fsm = node_fsm(services_node(s->all));
    Dfs__MapRequest *m = dfs__map_request__unpack(NULL, f->header.body_len, f->body);
    Dfs__MapReply msg = DFS__MAP_REPLY__INIT;
    struct cluster_view view;
    struct cluster_rec cluster;

    if (m == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "the body is not a MapRequest");
        return;
    }
    /* Epochs make a map that is behind harmless, so no round for the read is needed. */
    svc_datanode_view(svc_datanode_of(s->all),
                      m->known_version == fsm_state(fsm)->map_version ? CLUSTER_VIEW_NO_PGS
                                                                      : CLUSTER_VIEW_ALL,
                      &view);
    msg.version = fsm_state(fsm)->map_version;
    msg.pgs = view.pgs;
    msg.n_pgs = view.pg_count;
    msg.targets = view.targets;
    msg.n_targets = view.target_count;
    msg.data_tls = services_conf(s->all)->data_tls;
    if (fsm_cluster(fsm, &cluster) == 0)
        msg.copies = cluster.copies;
    conn_reply(c, f->header.type, f->header.rpc_id, &msg.base, NULL);
    cluster_view_done(&view);
    dfs__map_request__free_unpacked(m, NULL);
}

static int start(struct services *all, void **ret_self)
{
    struct svc_map *s = MEM_NEW(struct svc_map);

    s->all = all;
    *ret_self = s;
    return 0;
}

static void stop(void *self)
{
    free(self);
}

const struct service svc_map = {
    .name = "map",
    .handlers = {{MSG_CLUSTER_MAP, true, on_map}},
    .start = start,
    .stop = stop,
};
