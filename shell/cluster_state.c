/* How the nodes of a cluster are: namenodes are asked one by one, datanodes the leader knows about. */
#include "shell/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "rpc/frame.h"
#include "rpc/node.pb-c.h"
#include "shell/admin.h"

enum { ASK_MS = 1000, ASK_TRIES = 4, ASK_PAUSE_MS = 250 };

static struct admin *admin_of(const struct cluster *c)
{
    char ca[CLUSTER_PATH_MAX], cert[CLUSTER_PATH_MAX], key[CLUSTER_PATH_MAX];
    struct admin *a = NULL;

    (void)admin_new(cluster_path(c, ca, "pki/ca.crt"), cluster_path(c, cert, "pki/client.crt"),
                    cluster_path(c, key, "pki/client.key"), &a);
    return a;
}

static const char *namenode_state(struct admin *a, const struct cluster_node *n)
{
    Dfs__StatusRequest req = DFS__STATUS_REQUEST__INIT;
    ProtobufCMessage *msg = NULL;
    const Dfs__StatusReply *reply;
    const char *state = "follower";
    char addr[64];

    snprintf(addr, sizeof(addr), "127.0.0.1:%u", n->port);
    if (admin_call(a, addr, MSG_STATUS, &req.base, &dfs__status_reply__descriptor, ASK_MS, &msg) <
        0)
        return "down";
    reply = (const Dfs__StatusReply *)msg;
    if (strcmp(reply->role, "leader") == 0)
        state = "leader";
    else if (strcmp(reply->role, "learner") == 0)
        state = "learner";
    else if (strcmp(reply->role, "recovering") == 0) /* It has no vote. */
        state = "recovering";
    protobuf_c_message_free_unpacked(msg, NULL);
    return state;
}

/* A datanode serves when each PG that should have it does. */
static const char *datanode_state(const Dfs__ReportReply *report, const struct cluster_node *n)
{
    uint32_t target = 0;

    if (report == NULL) /* It runs; without a leader nobody knows more. */
        return "syncing";
    for (size_t i = 0; i < report->n_targets; i++)
        if (strcmp(report->targets[i]->node, n->name) == 0 && report->targets[i]->alive)
            target = report->targets[i]->target;
    if (target == 0)
        return "down";
    for (size_t i = 0; i < report->n_pgs; i++)
        for (size_t k = 0; k < report->pgs[i]->n_members; k++)
            if (report->pgs[i]->members[k]->target == target &&
                report->pgs[i]->members[k]->state != DFS__MEMBER_STATE__MEMBER_SERVING)
                return "syncing";
    return report->n_pgs == 0 ? "syncing" : "serving";
}

bool cluster_states(const struct cluster *c, const char *states[CLUSTER_NODES_MAX])
{
    Dfs__ReportRequest req = DFS__REPORT_REQUEST__INIT;
    ProtobufCMessage *msg = NULL;
    struct admin *a = admin_of(c);
    char addrs[512];
    bool good = true;

    cluster_namenodes(c, addrs, sizeof(addrs));
    /* In the second of an election there is none. */
    for (unsigned i = 0; i < ASK_TRIES && a != NULL && msg == NULL; i++) {
        if (i > 0)
            clock_sleep_ms(ASK_PAUSE_MS);
        if (admin_call_leader(a, addrs, MSG_REPORT, &req.base, &dfs__report_reply__descriptor,
                              ASK_MS, &msg) == -ECONNREFUSED)
            break;
    }
    for (size_t i = 0; i < c->node_count; i++) {
        const struct cluster_node *n = &c->nodes[i];
        bool runs = node_pid(c, n) != 0;

        states[i] = "down";
        if (n->kind == NODE_MOUNT)
            states[i] = runs && node_is_mounted(n) ? "mounted" : "down";
        else if (runs && n->kind == NODE_NAMENODE && a != NULL)
            states[i] = namenode_state(a, n);
        else if (runs && n->kind == NODE_DATANODE)
            states[i] = datanode_state((const Dfs__ReportReply *)msg, n);
        if (n->kind != NODE_MOUNT && strcmp(states[i], "down") == 0)
            good = false;
        if (strcmp(states[i], "syncing") == 0 || strcmp(states[i], "recovering") == 0)
            good = false;
    }
    good = good && msg != NULL;
    if (msg != NULL)
        protobuf_c_message_free_unpacked(msg, NULL);
    admin_free(a);
    return good;
}
