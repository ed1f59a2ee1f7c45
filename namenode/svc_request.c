/* See svc_request.h. */
#include "namenode/svc_request.h"

#include <stdlib.h>

#include "common/error.h"
#include "common/mem.h"
#include "namenode/service.h"

struct svc_request *svc_request_new(struct services *all, void *self, struct conn *c,
                                    const struct rpc_frame *f)
{
    struct svc_request *r = MEM_NEW(struct svc_request);

    r->all = all;
    r->self = self;
    r->conn = conn_ref(c);
    r->type = f->header.type;
    r->rpc_id = f->header.rpc_id;
    return r;
}

void svc_request_free(struct svc_request *r)
{
    if (r == NULL)
        return;
    conn_unref(r->conn);
    free(r);
}

void svc_request_reply(struct svc_request *r, const ProtobufCMessage *body)
{
    conn_reply(r->conn, r->type, r->rpc_id, body, NULL);
    svc_request_free(r);
}

void svc_request_fail(struct svc_request *r, int code, const char *what)
{
    if (code == DFS_ENOTLEADER || code == DFS_EUNKNOWN_OUTCOME)
        services_refuse_not_leader(r->all, r->conn, r->type, r->rpc_id);
    else
        conn_reply_error(r->conn, r->type, r->rpc_id, code, "%s: %s", what, dfs_strerror(code));
    svc_request_free(r);
}
