/*
 * Messages between replicas: one outgoing connection to each member of the group, kept up with a
 * growing pause; until it stands, messages go by a connection that the peer has opened to us, if
 * there is one. Raft forgives any loss, so what cannot be sent soon is dropped.
 *
 * Loop thread only.
 */
#ifndef NAMENODE_PEERS_H
#define NAMENODE_PEERS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"
#include "raft/raft.h"

struct conn;
struct loop;
struct peers;
struct rpc_frame;
struct slab_pool;
struct tls;

struct peers_config {
    struct loop *loop;
    struct slab_pool *slabs;
    struct tls *tls; /* NULL: plain (tests) */
    struct raft_id self;
    uint32_t format; /* the newest that we know (fsm.h): told to the others; 0: it is not told */
    /* A frame came back on a connection that we opened. */
    void (*received)(void *ctx, struct conn *c, const uint8_t *body, size_t len);
    /* The same with news of the peer's disk. */
    void (*space)(void *ctx, const struct rpc_frame *f);
    /* The connection broke: what was under way may be lost. */
    void (*unreachable)(void *ctx, struct raft_id peer);
    void *ctx;
};

struct peers_stats {
    uint64_t sent, dropped, connects;
};

struct peers *peers_new(const struct peers_config *config);
void peers_free(struct peers *p);
DEFINE_CLEANUP(peers, peers_free)

/* Connects to new members, leaves the others. */
void peers_set_members(struct peers *p, const struct raft_conf *conf);

/*
 * A replica said hello on a connection that it opened: answers may go there. Also to one that we do
 * not know as a member: who joins learns of the others only by what they send him.
 */
void peers_heard(struct peers *p, struct raft_id from, struct conn *c);
/* That connection is gone. */
void peers_closed(struct peers *p, struct conn *c);

/* A PeerHello on a connection that the replica opened: kept, and answered. */
void peers_hello(struct peers *p, struct conn *c, const uint8_t *body, size_t len);
/* What a connected member has told, 0: nothing, or it is not connected. */
uint32_t peers_format(const struct peers *p, struct raft_id id);

void peers_send(struct peers *p, const struct raft_msg *msg);
/* A one-way message of another type; dropped when there is no connection. */
void peers_tell(struct peers *p, struct raft_id to, uint16_t type, const ProtobufCMessage *body);

/* "host:port" of a member; NULL if it is none. Borrowed until the next peers_set_members(). */
const char *peers_addr(const struct peers *p, struct raft_id id);
bool peers_is_connected(const struct peers *p, struct raft_id id);
/* Since when our connection to it stands, by loop_now_ns(): so long its process lives at least; 0: no
 * connection. */
uint64_t peers_open_ns(const struct peers *p, struct raft_id id);
const struct peers_stats *peers_stats(const struct peers *p);

#endif
