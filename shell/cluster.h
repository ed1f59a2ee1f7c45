/*
 * A whole cluster in one directory, on loopback: `dfs cluster`. The same programs and configuration
 * files make a production cluster; only the processes are started by hand there (systemd units).
 *
 *   DIR/conf/cluster.ini   what `up` was told: numbers, ports, mounts; ids of replaced namenodes
 *   DIR/conf/NODE.conf     one for each process, and dfs.conf for clients
 *   DIR/pki/               the cluster's CA and a certificate for each node
 *   DIR/NODE/              data of a namenode or datanode
 *   DIR/log/NODE.log  DIR/run/NODE.pid
 */
#ifndef SHELL_CLUSTER_H
#define SHELL_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    CLUSTER_NODES_MAX = 64,
    CLUSTER_PATH_MAX = 1024,
    CLUSTER_MOUNTS_MAX = 16,
    CLUSTER_NAMENODES_MAX = 5,
};

enum node_kind { NODE_NAMENODE, NODE_DATANODE, NODE_MOUNT };

struct cluster_node {
    char name[16]; /* nn1, dn1, mount1 */
    enum node_kind kind;
    unsigned number;              /* from 1 */
    unsigned id;                  /* namenodes: in the group; the number, unless one was replaced */
    unsigned port, http_port;     /* 0 for mounts */
    int ready_fd;                 /* hears of a daemon that was started; -1 */
    char where[CLUSTER_PATH_MAX]; /* mounts: the mount point */
};

struct cluster {
    char dir[CLUSTER_PATH_MAX]; /* absolute */
    unsigned namenodes, datanodes, base_port;
    bool data_tls;
    unsigned mount_count;
    char mounts[CLUSTER_MOUNTS_MAX][CLUSTER_PATH_MAX];
    unsigned ids[CLUSTER_NAMENODES_MAX]; /* as read, of nn1...; 0: as founded */
    size_t node_count;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
};

/* ---- cluster_files.c ---- */

/* Is there a cluster in this directory? */
bool cluster_exists(const char *dir);
/* Reads DIR/conf/cluster.ini. Complains on stderr. */
int cluster_load(const char *dir, struct cluster *ret_cluster);
/* Writes everything that is not there yet: directories, certificates, configurations. */
int cluster_write(struct cluster *c);
/* Fills nodes[] from the numbers. */
void cluster_make_nodes(struct cluster *c);
const char *cluster_path(const struct cluster *c, char out[CLUSTER_PATH_MAX], const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "127.0.0.1:8670,..." of all namenodes. */
void cluster_namenodes(const struct cluster *c, char *out, size_t size);

/* A certificate in DIR/pki, unless it is there. Complains on stderr. */
int cluster_issue(const struct cluster *c, const char *name, const char *role);

/* ---- cluster_replace.c ---- */

/*
 * The namenode's data is removed, and another with the next free id takes its place in the group, at
 * its port. Returns an exit status; it has said what failed.
 */
int cluster_replace(struct cluster *c, struct cluster_node *n);

/* ---- cluster_check.c ---- */

/* Are the ports of a new cluster free? Complains on stderr. -EADDRINUSE */
int cluster_check_ports(const struct cluster *c);
/* Could it be mounted there? Mounts of c can. Complains on stderr. -ENOTEMPTY, -errno */
int cluster_check_mount(const struct cluster *c, const char *where);

/* ---- cluster_proc.c ---- */

/* The pid of a node that runs, 0 if it doesn't. */
pid_t node_pid(const struct cluster *c, const struct cluster_node *n);
/* Starts it if it does not run. */
int node_start(const struct cluster *c, struct cluster_node *n);
/*
 * Waits until what was started says that it is ready, as it says to systemd: its port is served,
 * the mount is mounted. What ran already is ready.
 * -ECHILD    it ended
 * -ETIMEDOUT
 */
int node_wait_ready(const struct cluster *c, struct cluster_node *n, unsigned timeout_ms);
/* Sends the signal; with wait_ms, until it is gone (then SIGKILL). */
int node_signal(const struct cluster *c, const struct cluster_node *n, int signum,
                unsigned wait_ms);
bool node_is_mounted(const struct cluster_node *n);
/* Takes away a mount whose daemon is dead. */
void node_clear_mount(const struct cluster_node *n);
/* Where a program of ours is: beside this one, in ../sbin, else what PATH finds. */
void cluster_find_program(const char *name, char *out, size_t size);

/* ---- cluster_state.c ---- */

/*
 * How each node is: "leader", "follower", "learner", "recovering", "serving", "syncing", "mounted" or
 * "down".
 * True when all that run are in a good state and the cluster can be written.
 */
bool cluster_states(const struct cluster *c, const char *states[CLUSTER_NODES_MAX]);

#endif
