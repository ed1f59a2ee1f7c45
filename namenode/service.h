/*
 * The request entry of a namenode: a table of services, each of which registers handlers for
 * message types. One server (one port) takes connections of clients, datanodes, peers and
 * operators; a frame goes to the handler of its type.
 *
 * To write a service: one svc_*.c with a `const struct service svc_x`, declared below and listed in
 * service.c. Its state hangs on *ret_self. Services find each other through services_find().
 *
 * Loop thread only.
 */
#ifndef NAMENODE_SERVICE_H
#define NAMENODE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"
#include "rpc/conn.h"

struct fsm_event;
struct loop;
struct metrics;
struct node;
struct node_conf;
struct services;

/*
 * Takes one request or one-way message. Answers with conn_reply*() now or later; who answers later
 * holds the connection by conn_ref(). rpc_id and type are in f->header.
 */
typedef void (*service_request_fn)(void *self, struct conn *c, const struct rpc_frame *f);

struct service_handler {
    uint16_t type;    /* 0 ends the table */
    bool leader_only; /* refused with DFS_ENOTLEADER and the hint unless serving */
    service_request_fn request;
};

enum { SERVICE_HANDLERS_MAX = 12 };

struct service {
    const char *name;
    struct service_handler handlers[SERVICE_HANDLERS_MAX];

    /* Before the port opens. -errno is logged and ends the start. */
    int (*start)(struct services *all, void **ret_self);
    /* After the port was closed. */
    void (*stop)(void *self);

    /* All optional. */
    void (*serving)(void *self, uint64_t term); /* We lead: build leader memory, start timers. */
    void (*stopped)(void *self); /* We do not any more: drop leader memory, fail what waits. */
    void (*applied)(void *self, uint64_t index); /* The fsm moved (also on followers). */
    void (*event)(void *self, const struct fsm_event *event); /* The same, what (also there). */
    void (*closed)(void *self, struct conn *c);               /* A connection of ours is gone. */
};

struct services;

/* Starts every service, then listens. tls NULL: plain (tests). */
int services_new(struct node *node, struct slab_pool *slabs, struct tls *tls,
                 struct metrics *metrics, struct services **ret_services);
void services_free(struct services *s);
DEFINE_CLEANUP(services, services_free)

struct node *services_node(struct services *s);
struct loop *services_loop(struct services *s);
const struct node_conf *services_conf(struct services *s);
/* The state of the service of that name, NULL if it is not there or not started yet. */
void *services_find(struct services *s, const char *name);
/* The bound "host:port" of the port. */
const char *services_addr(const struct services *s);
/* Where a service registers what it counts (common/metrics.h). */
struct metrics *services_metrics(struct services *s);

/* Answers DFS_ENOTLEADER with the leader's address in the Error. */
void services_reply_not_leader(struct services *s, struct conn *c, const struct rpc_frame *f);
/* The same when the frame is gone already. */
void services_refuse_not_leader(struct services *s, struct conn *c, uint16_t type, uint64_t rpc_id);

extern const struct service svc_raft;   /* RAFT, SNAP_WANT */
extern const struct service svc_status; /* STATUS, TRANSFER, PING */
extern const struct service svc_fsck;   /* FSCK */
extern const struct service svc_backup; /* BACKUP_POINT, BACKUP_BEGIN, BACKUP_WANT */

#endif
