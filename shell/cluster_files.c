/* What a cluster's directory holds: see cluster.h. Nothing that is there is ever overwritten, but for
 * the configurations, which follow from cluster.ini. */
#include "shell/cluster.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "rpc/pki.h"

enum { PROBLEM_MAX = 512, PORTS_PER_NODE = 2, FIRST_DATANODE_PORT = 20 };

const char *cluster_path(const struct cluster *c, char out[CLUSTER_PATH_MAX], const char *fmt, ...)
{
    va_list ap;
    size_t n = (size_t)snprintf(out, CLUSTER_PATH_MAX, "%s/", c->dir);

    va_start(ap, fmt);
    if (n < CLUSTER_PATH_MAX)
        (void)vsnprintf(out + n, CLUSTER_PATH_MAX - n, fmt, ap);
    va_end(ap);
    return out;
}

void cluster_namenodes(const struct cluster *c, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < c->node_count && n < size; i++)
        if (c->nodes[i].kind == NODE_NAMENODE)
            n += (size_t)snprintf(out + n, size - n, "%s127.0.0.1:%u", n > 0 ? "," : "",
                                  c->nodes[i].port);
}

static struct cluster_node *add_node(struct cluster *c, enum node_kind kind, const char *prefix,
                                     unsigned number)
{
    struct cluster_node *n = &c->nodes[c->node_count++];

    *n = (struct cluster_node){.kind = kind, .number = number, .ready_fd = -1};
    snprintf(n->name, sizeof(n->name), "%s%u", prefix, number);
    return n;
}

void cluster_make_nodes(struct cluster *c)
{
    c->node_count = 0;
    for (unsigned i = 1; i <= c->namenodes; i++) {
        struct cluster_node *n = add_node(c, NODE_NAMENODE, "nn", i);

        n->id = c->ids[i - 1] != 0 ? c->ids[i - 1] : i;
        n->port = c->base_port + PORTS_PER_NODE * (i - 1);
        n->http_port = n->port + 1;
    }
    for (unsigned i = 1; i <= c->datanodes; i++) {
        struct cluster_node *n = add_node(c, NODE_DATANODE, "dn", i);

        n->port = c->base_port + FIRST_DATANODE_PORT + PORTS_PER_NODE * (i - 1);
        n->http_port = n->port + 1;
    }
    for (unsigned i = 1; i <= c->mount_count; i++) {
        struct cluster_node *n = add_node(c, NODE_MOUNT, "mount", i);

        memcpy(n->where, c->mounts[i - 1], sizeof(n->where));
    }
}

bool cluster_exists(const char *dir)
{
    char path[CLUSTER_PATH_MAX];

    snprintf(path, sizeof(path), "%s/conf/cluster.ini", dir);
    return access(path, F_OK) == 0;
}

int cluster_load(const char *dir, struct cluster *ret_cluster)
{
    struct cluster c = {0};
    CLEANUP(conf) struct conf *f = NULL;
    char path[CLUSTER_PATH_MAX], key[16];
    char *real = realpath(dir, NULL);
    int r;

    snprintf(c.dir, sizeof(c.dir), "%s", real != NULL ? real : dir);
    free(real);
    r = conf_load(cluster_path(&c, path, "conf/cluster.ini"), &f);
    if (r < 0) {
        fprintf(stderr, "dfs cluster: no cluster in %s: %s: %s (make one with: dfs cluster up)\n",
                dir, path, strerror(-r));
        return r;
    }
    c.namenodes = (unsigned)conf_u64(f, "cluster", "namenodes", 3, 1, CLUSTER_NAMENODES_MAX);
    for (unsigned i = 0; i < c.namenodes; i++) {
        snprintf(key, sizeof(key), "nn%u", i + 1);
        c.ids[i] = (unsigned)conf_u64(f, "ids", key, 0, 0, UINT32_MAX);
    }
    c.datanodes = (unsigned)conf_u64(f, "cluster", "datanodes", 3, 1, 32);
    c.base_port = (unsigned)conf_u64(f, "cluster", "base_port", 8670, 1, 65000);
    c.data_tls = conf_bool(f, "cluster", "data_tls", true);
    while (c.mount_count < CLUSTER_MOUNTS_MAX) {
        const char *where;

        snprintf(key, sizeof(key), "mount%u", c.mount_count + 1);
        where = conf_str(f, "mounts", key, NULL);
        if (where == NULL)
            break;
        snprintf(c.mounts[c.mount_count++], CLUSTER_PATH_MAX, "%s", where);
    }
    if (conf_check(f) < 0) {
        fputs(conf_problems(f), stderr);
        return -EINVAL;
    }
    cluster_make_nodes(&c);
    *ret_cluster = c;
    return 0;
}

static int make_dir(const char *path)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return 0;
    fprintf(stderr, "dfs cluster: cannot make %s: %s\n", path, strerror(errno));
    return -errno;
}

/* Written beside and renamed, so that a reader never sees half of it. */
static FILE *file_begin(const char *path)
{
    char tmp[CLUSTER_PATH_MAX + 8];
    FILE *f;

    snprintf(tmp, sizeof(tmp), "%s.new", path);
    f = fopen(tmp, "we");
    if (f == NULL)
        fprintf(stderr, "dfs cluster: cannot write %s: %s\n", tmp, strerror(errno));
    return f;
}

static int file_end(FILE *f, const char *path)
{
    char tmp[CLUSTER_PATH_MAX + 8];
    int r = ferror(f) ? -EIO : 0;

    snprintf(tmp, sizeof(tmp), "%s.new", path);
    if (fclose(f) != 0)
        r = -errno;
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0)
        fprintf(stderr, "dfs cluster: cannot write %s: %s\n", path, strerror(-r));
    return r;
}

static int write_ini(const struct cluster *c)
{
    char path[CLUSTER_PATH_MAX];
    FILE *f = file_begin(cluster_path(c, path, "conf/cluster.ini"));

    if (f == NULL)
        return -EIO;
    fprintf(f, "# Made by `dfs cluster up`.\n[cluster]\nnamenodes = %u\ndatanodes = %u\n",
            c->namenodes, c->datanodes);
    fprintf(f, "base_port = %u\ndata_tls = %s\n\n[ids]\n", c->base_port,
            c->data_tls ? "on" : "off");
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i].kind == NODE_NAMENODE && c->nodes[i].id != c->nodes[i].number)
            fprintf(f, "%s = %u\n", c->nodes[i].name, c->nodes[i].id);
    fprintf(f, "\n[mounts]\n");
    for (unsigned i = 0; i < c->mount_count; i++)
        fprintf(f, "mount%u = %s\n", i + 1, c->mounts[i]);
    return file_end(f, path);
}

static void put_tls(const struct cluster *c, FILE *f, const char *name)
{
    fprintf(f, "\n[tls]\nca = %s/pki/ca.crt\ncert = %s/pki/%s.crt\nkey = %s/pki/%s.key\n", c->dir,
            c->dir, name, c->dir, name);
    fprintf(f, "\n[data]\ntls = %s\n", c->data_tls ? "on" : "off");
}

static void put_namenode(const struct cluster *c, FILE *f, const struct cluster_node *n)
{
    unsigned copies = c->datanodes < 3 ? c->datanodes : 3;

    fprintf(f, "[namenode]\nid = %u\nlisten = 127.0.0.1:%u\nhttp = 127.0.0.1:%u\n", n->id, n->port,
            n->http_port);
    fprintf(f, "data_dir = %s/%s\nnamenodes = ", c->dir, n->name);
    for (size_t i = 0; i < c->node_count; i++)
        if (c->nodes[i].kind == NODE_NAMENODE)
            fprintf(f, "%s%u@127.0.0.1:%u", i > 0 ? ", " : "", c->nodes[i].number,
                    c->nodes[i].port);
    fprintf(f, "\ncopies = %u\nmin_write = %u\n", copies, copies > 1 ? 2 : 1);
}

static void put_datanode(const struct cluster *c, FILE *f, const struct cluster_node *n,
                         const char *namenodes)
{
    fprintf(f, "[datanode]\nnode = %s\nhost = %s\nlisten = 127.0.0.1:%u\n", n->name, n->name,
            n->port);
    fprintf(f, "advertise = 127.0.0.1:%u\nhttp = 127.0.0.1:%u\n", n->port, n->http_port);
    fprintf(f, "targets = %s/%s/t1\nnamenodes = %s\n", c->dir, n->name, namenodes);
}

static int write_conf(const struct cluster *c, const struct cluster_node *n)
{
    char path[CLUSTER_PATH_MAX], namenodes[512];
    FILE *f = file_begin(cluster_path(c, path, "conf/%s.conf", n == NULL ? "dfs" : n->name));

    if (f == NULL)
        return -EIO;
    cluster_namenodes(c, namenodes, sizeof(namenodes));
    if (n == NULL || n->kind == NODE_MOUNT)
        fprintf(f, "[client]\nnamenodes = %s\n", namenodes);
    else if (n->kind == NODE_NAMENODE)
        put_namenode(c, f, n);
    else
        put_datanode(c, f, n, namenodes);
    put_tls(c, f, n == NULL || n->kind == NODE_MOUNT ? "client" : n->name);
    return file_end(f, path);
}

int cluster_issue(const struct cluster *c, const char *name, const char *role)
{
    static const char *const sans[] = {"localhost", "127.0.0.1"};
    char pki[CLUSTER_PATH_MAX], path[CLUSTER_PATH_MAX], problem[PROBLEM_MAX] = "";
    int r;

    if (access(cluster_path(c, path, "pki/%s.crt", name), F_OK) == 0)
        return 0;
    cluster_path(c, pki, "pki");
    r = pki_issue(pki, name, role, sans, 2, pki, problem, sizeof(problem));
    if (r < 0)
        fprintf(stderr, "dfs cluster: certificate of %s: %s\n", name, problem);
    return r;
}

static int write_pki(const struct cluster *c)
{
    static const char *const roles[] = {"namenode", "datanode"};
    char pki[CLUSTER_PATH_MAX], path[CLUSTER_PATH_MAX], problem[PROBLEM_MAX] = "";
    int r = 0;

    cluster_path(c, pki, "pki");
    if (access(cluster_path(c, path, "pki/ca.crt"), F_OK) < 0)
        r = pki_ca_create(pki, "dfs-cluster", problem, sizeof(problem));
    if (r < 0) {
        fprintf(stderr, "dfs cluster: certificate authority: %s\n", problem);
        return r;
    }
    r = cluster_issue(c, "client", "client");
    for (size_t i = 0; i < c->node_count && r == 0; i++)
        if (c->nodes[i].kind != NODE_MOUNT)
            r = cluster_issue(c, c->nodes[i].name, roles[c->nodes[i].kind]);
    return r;
}

/* Makes the directory, and remembers its name as /proc/mounts will show it. */
static int make_mount_dir(struct cluster *c, struct cluster_node *n)
{
    char *real;

    if (mkdir(n->where, 0755) < 0 && errno != EEXIST && errno != ENOTCONN) {
        fprintf(stderr, "dfs cluster: cannot make %s: %s\n", n->where, strerror(errno));
        return -errno;
    }
    real = realpath(n->where, NULL); /* Not under a mount whose daemon died. */
    if (real != NULL && strlen(real) < sizeof(n->where)) {
        snprintf(n->where, sizeof(n->where), "%s", real);
        snprintf(c->mounts[n->number - 1], sizeof(c->mounts[0]), "%s", real);
    }
    free(real);
    return 0;
}

int cluster_write(struct cluster *c)
{
    static const char *const dirs[] = {"", "conf", "pki", "log", "run"};
    char path[CLUSTER_PATH_MAX];
    int r = 0;

    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && r == 0; i++)
        r = make_dir(cluster_path(c, path, "%s", dirs[i]));
    for (size_t i = 0; i < c->node_count && r == 0; i++) {
        const struct cluster_node *n = &c->nodes[i];

        r = n->kind == NODE_MOUNT ? make_mount_dir(c, &c->nodes[i])
                                  : make_dir(cluster_path(c, path, "%s", n->name));
        if (r == 0 && n->kind == NODE_DATANODE)
            r = make_dir(cluster_path(c, path, "%s/t1", n->name));
        if (r == 0)
            r = write_conf(c, n);
    }
    if (r == 0)
        r = write_conf(c, NULL);
    if (r == 0)
        r = write_pki(c);
    if (r == 0)
        r = write_ini(c);
    return r;
}
