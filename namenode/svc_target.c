/*
 * TARGET_ADMIN: an operator's word about a datanode, or one target of it. It becomes a TargetSet
 * for each target meant, in the log; what follows from it is pg_mgr's affair.
 */
#include "namenode/svc_target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "namenode/datanodes.h"
#include "namenode/node.h"
#include "namenode/service.h"
#include "namenode/svc_datanode.h"
#include "namenode/svc_request.h"
#include "rpc/node.pb-c.h"

enum { MAINTENANCE_MAX_S = 30 * 24 * 3600, WHY_MAX = 192 };

struct svc_target {
    struct services *all;
};

/* A wish for several targets, until the log has all of it. */
struct change {
    struct svc_request *request;
    size_t pending;
    int error;
    Dfs__TargetAdminReply reply;
    uint32_t targets[];
};

static void change_end(struct change *ch)
{
    if (ch->error < 0)
        svc_request_fail(ch->request, ch->error, "not all of it is in the log; ask again");
    else
        svc_request_reply(ch->request, &ch->reply.base);
    free(ch);
}

static void applied(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct change *ch = ctx;

    if (status == 0)
        status = reply->status;
    if (status < 0)
        ch->error = status;
    if (--ch->pending == 0)
        change_end(ch);
}

/* What the TargetSet of this target is to say. */
static void fill(const Dfs__TargetAdminRequest *req, uint32_t target, Dfs__TargetSetOp *op)
{
    int64_t now = clock_wall_ns(clock_system());

    op->target = target;
    switch (req->verb) {
    case DFS__TARGET_VERB__TARGET_DRAIN:
        op->state = DFS__TARGET_STATE__TARGET_DRAINING;
        break;
    case DFS__TARGET_VERB__TARGET_UNDRAIN:
        op->state = DFS__TARGET_STATE__TARGET_ACTIVE;
        break;
    case DFS__TARGET_VERB__TARGET_REMOVE:
        op->state = DFS__TARGET_STATE__TARGET_REMOVED;
        break;
    case DFS__TARGET_VERB__TARGET_MAINTENANCE:
        op->maintenance_until_ns =
            req->seconds == 0 ? -1 : now + (int64_t)req->seconds * (int64_t)CLOCK_NS_PER_S;
        break;
    case DFS__TARGET_VERB__TARGET_VERB_UNSET:
    case _DFS__TARGET_VERB_IS_INT_SIZE:
        break;
    }
}

static int problem(char *why, int code, const char *text)
{
    (void)snprintf(why, WHY_MAX, "%s", text);
    return code;
}

/* May it be forgotten? Not while it can come back by itself, nor while data hangs on it. */
static int check_remove(const struct datanodes *d, const struct target_state *t,
                        const Dfs__TargetAdminRequest *req, char *why)
{
    uint32_t pgs, last;

    if (t->node != NULL && t->node->conn != NULL)
        return problem(why, -EBUSY,
                       "it is running and would be back at once: drain it, then stop it");
    datanodes_pgs_of(d, t->target, &pgs, &last);
    if (last > 0 && !req->lose_data) {
        (void)snprintf(why, WHY_MAX,
                       "it has the newest copy of %" PRIu32
                       " placement groups, alone: if it is gone "
                       "for good, --lose-data goes on from the best older copy, or from none",
                       last);
        return -EBUSY;
    }
    if (pgs > 0 && !req->force && !req->lose_data) {
        (void)snprintf(why, WHY_MAX,
                       "%" PRIu32 " placement groups have a copy there that is not made elsewhere "
                       "yet; --force gives these copies up",
                       pgs);
        return -EBUSY;
    }
    return 0;
}

static int check_target(const struct datanodes *d, const struct target_state *t,
                        const Dfs__TargetAdminRequest *req, char *why)
{
    bool removed = t->rec.state == DFS__TARGET_STATE__TARGET_REMOVED;

    switch (req->verb) {
    case DFS__TARGET_VERB__TARGET_DRAIN:
    case DFS__TARGET_VERB__TARGET_UNDRAIN:
        return removed ? problem(why, -ENOENT, "it was removed") : 0;
    case DFS__TARGET_VERB__TARGET_REMOVE:
        return check_remove(d, t, req, why);
    case DFS__TARGET_VERB__TARGET_MAINTENANCE:
        if (req->seconds > MAINTENANCE_MAX_S)
            return problem(why, -EINVAL, "maintenance lasts 30 days at most");
        return removed ? problem(why, -ENOENT, "it was removed") : 0;
    case DFS__TARGET_VERB__TARGET_VERB_UNSET:
    case _DFS__TARGET_VERB_IS_INT_SIZE:
        break;
    }
    return problem(why, -EINVAL, "this namenode does not know what is asked; is it older?");
}

/* "7" is a target, anything else a datanode's name; one that was removed goes by its id only. */
static bool is_meant(const struct target_state *t, const char *which)
{
    uint64_t id;

    if (str_parse_u64(which, &id) == 0)
        return t->target == id;
    return strcmp(t->rec.node, which) == 0 && t->rec.state != DFS__TARGET_STATE__TARGET_REMOVED;
}

/* Who is meant, each looked at: 0, or the code and why. */
static int choose(const struct datanodes *d, const Dfs__TargetAdminRequest *req, struct change *ch,
                  char *why)
{
    struct target_state *t, *next;

    HASH_ITER (hh, d->targets, t, next) {
        uint32_t pgs, last;
        int r;

        if (!is_meant(t, req->which))
            continue;
        r = check_target(d, t, req, why);
        if (r < 0)
            return r;
        datanodes_pgs_of(d, t->target, &pgs, &last);
        ch->reply.pgs += pgs;
        ch->targets[ch->reply.n_targets++] = t->target;
    }
    return ch->reply.n_targets > 0 ? 0
                                   : problem(why, -ENOENT,
                                             "there is no datanode or target of this "
                                             "name; see `dfs datanode list`");
}

static void on_admin(void *self, struct conn *c, const struct rpc_frame *f)
{
    struct svc_target *s = self;
    const struct datanodes *d = svc_datanode_memory(svc_datanode_of(s->all));
    Dfs__TargetAdminRequest *req =
        dfs__target_admin_request__unpack(NULL, f->header.body_len, f->body);
    struct change *ch;
    char why[WHY_MAX];
    int r;

    if (req == NULL) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO,
                         "not a TargetAdminRequest");
        return;
    }
    ch = mem_zalloc(1, sizeof(*ch) + HASH_COUNT(d->targets) * sizeof(ch->targets[0]));
    dfs__target_admin_reply__init(&ch->reply);
    ch->reply.targets = ch->targets;
    r = choose(d, req, ch, why);
    if (r < 0) {
        conn_reply_error(c, f->header.type, f->header.rpc_id, r, "%s: %s", req->which, why);
        free(ch);
        dfs__target_admin_request__free_unpacked(req, NULL);
        return;
    }
    ch->request = svc_request_new(s->all, s, c, f);
    ch->pending = ch->reply.n_targets;
    for (size_t i = 0; i < ch->reply.n_targets; i++) {
        Dfs__MetaRequest change = DFS__META_REQUEST__INIT;
        Dfs__TargetSetOp op = DFS__TARGET_SET_OP__INIT;

        fill(req, ch->targets[i], &op);
        change.op_case = DFS__META_REQUEST__OP_TARGET_SET;
        change.target_set = &op;
        log_info("an operator's word about a target",
                 "target=%" PRIu32 " verb=%d seconds=%" PRIu64 " lose_data=%d", op.target,
                 (int)req->verb, req->seconds, req->lose_data);
        node_propose(services_node(s->all), &change, applied, ch);
    }
    dfs__target_admin_request__free_unpacked(req, NULL);
}

static int start(struct services *all, void **ret_self)
{
    struct svc_target *s = MEM_NEW(struct svc_target);

    s->all = all;
    *ret_self = s;
    return 0;
}

static void stop(void *self)
{
    free(self);
}

const struct service svc_target = {
    .name = "target",
    .handlers = {{MSG_TARGET_ADMIN, true, on_admin}},
    .start = start,
    .stop = stop,
};
