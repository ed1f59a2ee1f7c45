/* A request that is answered later: what is needed to do so once its frame is gone. */
#ifndef NAMENODE_SVC_REQUEST_H
#define NAMENODE_SVC_REQUEST_H

#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct conn;
struct rpc_frame;
struct services;

struct svc_request {
    struct services *all;
    struct conn *conn; /* a reference */
    uint16_t type;
    uint64_t rpc_id;
    void *self;     /* the service's */
    uint64_t extra; /* the service's, e.g. a session */
};

struct svc_request *svc_request_new(struct services *all, void *self, struct conn *c,
                                    const struct rpc_frame *f);
/* Answers and frees. */
void svc_request_reply(struct svc_request *r, const ProtobufCMessage *body);
/*
 * The same with an Error. DFS_ENOTLEADER gets the leader's address, EUNKNOWN_OUTCOME too: the
 * client asks there, with the same seq.
 */
void svc_request_fail(struct svc_request *r, int code, const char *what);
void svc_request_free(struct svc_request *r);

#endif
