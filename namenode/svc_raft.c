/* What other namenodes send: Raft messages, and requests for snapshots. */
#include "namenode/node.h"
#include "namenode/service.h"

static int raft_start_service(struct services *all, void **ret_self)
{
    *ret_self = services_node(all);
    return 0;
}

static void raft_stop_service(void *self)
{
    (void)self; /* The node is not ours. */
}

/* That the sender is a namenode, its certificate has said (rpc/role.h). */
static void on_raft(void *self, struct conn *c, const struct rpc_frame *f)
{
    node_on_raft(self, c, f);
}

static void on_snap_want(void *self, struct conn *c, const struct rpc_frame *f)
{
    node_on_snap_want(self, c, f);
}

static void on_space(void *self, struct conn *c, const struct rpc_frame *f)
{
    (void)c;
    node_on_space(self, f);
}

static void on_hello(void *self, struct conn *c, const struct rpc_frame *f)
{
    node_on_hello(self, c, f);
}

static void on_closed(void *self, struct conn *c)
{
    node_on_closed(self, c);
}

const struct service svc_raft = {
    .name = "raft",
    .handlers = {{MSG_RAFT, false, on_raft},
                 {MSG_SNAP_WANT, false, on_snap_want},
                 {MSG_NODE_SPACE, false, on_space},
                 {MSG_PEER_HELLO, false, on_hello}},
    .start = raft_start_service,
    .stop = raft_stop_service,
    .closed = on_closed,
};
