/*
 * dfs cluster replace: a namenode of this cluster loses its disk, and another takes its place, at the
 * same port, under the next free id. What `dfs namenode replace` does, and what there is to do on the
 * host.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/vfs.h"
#include "rpc/node.pb-c.h"
#include "shell/admin.h"
#include "shell/cluster.h"
#include "shell/command.h"
#include "shell/namenodes.h"

enum { STOP_MS = 15000, START_MS = 30000, HEARD_MS = 500 };

struct replacement {
    struct cluster *cluster;
    struct cluster_node *node;
    struct admin *admin;
    char addrs[512], addr[64];
    uint64_t old_id, new_id;
    bool is_begun;  /* by a command before this one: new_id is in cluster.ini */
    bool is_member; /* new_id: its data has begun to be of worth */
};

static int complain(const struct replacement *p, const char *what, int error)
{
    fprintf(stderr, "dfs cluster replace: %s: %s: %s\n", p->node->name, what, dfs_strerror(error));
    return EXIT_FAILED;
}

/* Do the others have a majority? Else nothing could be asked of the cluster any more. */
static bool may_go(const Dfs__ReportReply *report, uint64_t id)
{
    unsigned voters = 0, heard = 0;

    for (size_t i = 0; i < report->n_namenodes; i++) {
        const Dfs__NamenodeInfo *n = report->namenodes[i];

        voters += n->voter ? 1 : 0;
        heard += n->voter && n->replica_id != id && n->heard_ms < HEARD_MS ? 1 : 0;
    }
    return 2 * heard > voters;
}

/* None that the group had, nor one that another replacement has been promised. */
static uint64_t free_id(const struct cluster *c, const Dfs__ReportReply *report)
{
    uint64_t id = report->next_namenode_id;

    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i].kind == NODE_NAMENODE)
            id = MAX(id, (uint64_t)c->nodes[i].id + 1);
    return id;
}

/* Who is to go, and who comes: a replacement that was broken off goes on. */
static int find_ids(struct replacement *p)
{
    uint64_t configured = p->node->id;
    Dfs__ReportReply *report = NULL;
    bool is_there = false, may;
    int r = namenodes_report(p->admin, p->addrs, &report);

    if (r < 0) {
        fprintf(stderr, "dfs cluster replace: %s\n", namenodes_why(r));
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < report->n_namenodes; i++) {
        const Dfs__NamenodeInfo *n = report->namenodes[i];

        if (n->replica_id == configured)
            is_there = true;
        else if (strcmp(n->addr, p->addr) == 0)
            p->old_id = n->replica_id;
    }
    p->is_begun = p->old_id != 0;
    p->is_member = is_there && p->is_begun;
    p->new_id = p->is_begun ? configured : free_id(p->cluster, report);
    if (!p->is_begun)
        p->old_id = configured;
    may = p->is_begun || may_go(report, p->old_id);
    dfs__report_reply__free_unpacked(report, NULL);
    if (!may) {
        fprintf(stderr, "dfs cluster replace: %s stays: %s\n", p->node->name,
                namenodes_why(-EBUSY));
        return EXIT_FAILED;
    }
    if (is_there || p->is_begun)
        return EXIT_OK;
    fprintf(stderr, "dfs cluster replace: the group has no namenode %" PRIu64 " at %s\n",
            configured, p->addr);
    return EXIT_FAILED;
}

/* What happens on the host: stop, an empty disk, another id in the configuration. */
static int make_anew(struct replacement *p)
{
    char dir[CLUSTER_PATH_MAX];
    int r = node_signal(p->cluster, p->node, SIGTERM, STOP_MS);

    if (r < 0 && r != -ESRCH && r != -ETIMEDOUT)
        return complain(p, "stopping it", r);
    p->node->id = (unsigned)p->new_id;
    if (!p->is_begun)
        printf("%s: its data is removed; it starts as namenode %" PRIu64 "\n", p->node->name,
               p->new_id);
    /* The new id first: what is broken off after this is known as begun. */
    r = cluster_write(p->cluster);
    if (r < 0)
        return EXIT_FAILED;
    r = vfs_remove_all(vfs_posix(), cluster_path(p->cluster, dir, "%s", p->node->name));
    if (r < 0)
        return complain(p, dir, r);
    return cluster_write(p->cluster) < 0 ? EXIT_FAILED : EXIT_OK; /* The directory, empty. */
}

static int replace(struct replacement *p)
{
    int r = find_ids(p);

    if (r == EXIT_OK && !p->is_member)
        r = make_anew(p);
    if (r != EXIT_OK)
        return r;
    r = node_start(p->cluster, p->node);
    if (r == 0)
        r = node_wait_ready(p->cluster, p->node, START_MS);
    if (r < 0)
        return complain(p, "it does not start (see its log)", r);
    return namenodes_replace(p->admin, p->addrs, p->old_id, p->new_id, p->addr);
}

int cluster_replace(struct cluster *c, struct cluster_node *n)
{
    struct replacement p = {.cluster = c, .node = n};
    char ca[CLUSTER_PATH_MAX], cert[CLUSTER_PATH_MAX], key[CLUSTER_PATH_MAX];
    int r;

    if (cluster_issue(c, "operator", "admin") < 0 ||
        admin_new(cluster_path(c, ca, "pki/ca.crt"), cluster_path(c, cert, "pki/operator.crt"),
                  cluster_path(c, key, "pki/operator.key"), &p.admin) < 0)
        return EXIT_FAILED;
    cluster_namenodes(c, p.addrs, sizeof(p.addrs));
    snprintf(p.addr, sizeof(p.addr), "127.0.0.1:%u", n->port);
    r = replace(&p);
    admin_free(p.admin);
    return r;
}
