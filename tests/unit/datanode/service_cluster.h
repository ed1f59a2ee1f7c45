/* A cluster for tests: datanodes in this process, over loopback, and a namenode that does as told. */
#ifndef TESTS_UNIT_DATANODE_SERVICE_CLUSTER_H
#define TESTS_UNIT_DATANODE_SERVICE_CLUSTER_H

#include "common/uuid.h"
#include "datanode/dn.h"

struct metrics;
struct server;
struct vfs_fake;

enum { NODES = 3, PG = 7, CHUNK = 100, WAIT_MS = 8000 };

struct node {
    struct dn *dn;
    struct dn_conf conf;
    struct metrics *metrics;
    char name[16], dir[128];
    struct vfs_fake *fake; /* its disk; NULL: a real one */
    struct conn *nn_conn;  /* at the namenode */
    uint64_t incarnation;
    uint8_t uuid[16];
    unsigned heartbeats, accusations;
    uint64_t synced_epoch;
    bool failed_target;
    uint64_t own_p99_us, link_p99_us[NODES]; /* as told, of the targets that it sends to */
};

struct cluster {
    struct loop *loop;
    struct slab_pool *slabs;
    struct server *nn;
    char dir[64];
    struct node nodes[NODES];
    struct conn *client[NODES];
    struct uuid uuid;
    uint64_t epoch, next_incarnation;
    Dfs__MemberState states[NODES]; /* in order of `order` */
    int order[NODES];
    uint64_t opseq;
    uint64_t lowest_session; /* the namenode says so when a node registers */
    unsigned bad_reports, healed_reports;
    char bad_what[96]; /* of the last one */
    char failure[256];
};

struct answer {
    bool came;
    int status;
    uint64_t epoch;
    uint32_t len, crc_count;
    uint64_t digest;
    uint8_t bytes[1 << 20];
};

typedef bool (*condition)(struct cluster *c, void *ctx);

/* "0S 1S 2Y": in this order; S serving, Y syncing, - offline, x no member. Copies: the members. */
void configure(struct cluster *c, const char *text);
bool wait_for(struct cluster *c, condition is_true, void *ctx);
bool all_registered(struct cluster *c, void *ctx);
struct dn_pg *pg_at(struct cluster *c, int node);
bool all_know_epoch(struct cluster *c, void *ctx);
bool is_synced(struct cluster *c, void *ctx);
void start(struct cluster *c, int i);
void kill_node(struct cluster *c, int i);
struct conn *client_of(struct cluster *c, int node);
int setup(void **state);
int setup_on_fake_disks(void **state);
int teardown(void **state);
void on_answer(void *ctx, int status, const struct rpc_frame *f);
bool answered(struct cluster *c, void *ctx);
Dfs__ChunkOp new_op(struct cluster *c, Dfs__ChunkOpKind kind);
int call(struct cluster *c, int node, Dfs__ChunkOp *op, const struct rpc_payload *p);
int write_at(struct cluster *c, int node, uint32_t offset, const void *bytes, uint32_t len);
/* The answer comes later. */
void ask_verified(struct cluster *c, int node, uint32_t offset, uint32_t len, bool verify,
                  struct answer *a);
int read_verified(struct cluster *c, int node, uint32_t offset, uint32_t len, bool verify,
                  struct answer *a);
int read_at(struct cluster *c, int node, uint32_t offset, uint32_t len, struct answer *a);
void assert_content(struct cluster *c, int node, uint32_t offset, const void *bytes, uint32_t len);

#endif
