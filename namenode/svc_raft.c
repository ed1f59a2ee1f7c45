/* What other namenodes send: Raft messages, and requests for snapshots. */
#include <errno.h>
#include <string.h>

#include "common/log.h"
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

/* Only the certificate of a namenode may speak for one. */
static bool is_namenode(struct conn *c)
{
    return !conn_is_tls(c) || strcmp(conn_peer_role(c), "namenode") == 0;
}

static void on_raft(void *self, struct conn *c, const struct rpc_frame *f)
{
    if (is_namenode(c)) {
        node_on_raft(self, c, f);
        return;
    }
    log_warn("who is no namenode sent a Raft message", "peer=%s name=%s role=%s", conn_peer_addr(c),
             conn_peer_name(c), conn_peer_role(c));
    conn_close(c, -EPERM);
}

static void on_snap_want(void *self, struct conn *c, const struct rpc_frame *f)
{
    if (is_namenode(c))
        node_on_snap_want(self, c, f);
    else
        conn_reply_error(c, f->header.type, f->header.rpc_id, -EPERM,
                         "snapshots are for namenodes");
}

static void on_closed(void *self, struct conn *c)
{
    node_on_closed(self, c);
}

const struct service svc_raft = {
    .name = "raft",
    .handlers = {{MSG_RAFT, false, on_raft}, {MSG_SNAP_WANT, false, on_snap_want}},
    .start = raft_start_service,
    .stop = raft_stop_service,
    .closed = on_closed,
};
