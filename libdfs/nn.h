/*
 * The session with the namenodes: finds the leader, keeps the session alive, sends changes exactly
 * once (same seq until the outcome is known), repeats reads, and tells what is open again after a
 * failover. On the loop's thread.
 */
#ifndef LIBDFS_NN_H
#define LIBDFS_NN_H

#include <stdbool.h>
#include <stdint.h>

#include "rpc/meta.pb-c.h"

struct ll_call;
struct loop;
struct metrics;
struct nn;
struct slab_pool;
struct tls;

struct nn_options {
    const char *namenodes;
    struct tls *tls;
    const char *client_name;
    uint32_t io_timeout_ms;
};

/*
 * status 0: reply is the leader's answer, its own status still to be looked at. Otherwise -EINTR,
 * -ETIMEDOUT (io_timeout), -EIO (the session was lost while a change was in flight).
 */
typedef void (*nn_reply_fn)(void *ctx, int status, const Dfs__MetaReply *reply);

struct nn_events {
    void (*ready)(void *ctx, int status); /* once, after nn_new: session open, or why not */
    void (*session_lost)(void *ctx);      /* evicted; a new session was opened */
    void (*pg_version)(void *ctx, uint64_t version); /* the cluster map has changed */
    /* After a failover: fills the inodes open now; *inos is malloc'ed, freed by nn. */
    void (*open_inodes)(void *ctx, uint64_t **inos, size_t *count);
    void *ctx;
};

int nn_new(struct loop *loop, struct slab_pool *slabs, const struct nn_options *o, bool fail_fast,
           const struct nn_events *ev, struct nn **ret_nn);
/* Ends the session; calls in flight get -ECANCELED. */
void nn_close(struct nn *nn, void (*done)(void *ctx), void *ctx);
const char *nn_problem(const struct nn *nn);

/*
 * Sends a metadata operation. req has op and cred set; session, seq and floor are filled in here;
 * it is packed before the call returns. Whether it is a change follows from the op.
 * call may be NULL (not interruptible).
 */
void nn_call(struct nn *nn, struct ll_call *call, Dfs__MetaRequest *req, nn_reply_fn fn, void *ctx);

/* Any other request to the leader (cluster map); repeated until answered; body is packed at once.
 */
typedef void (*nn_raw_fn)(void *ctx, int status, const uint8_t *body, size_t len);
void nn_call_raw(struct nn *nn, uint16_t type, const ProtobufCMessage *body, nn_raw_fn fn,
                 void *ctx);

uint64_t nn_session(const struct nn *nn);
/* The token that plain datanode connections must show. 32 bytes. */
const uint8_t *nn_data_token(const struct nn *nn);
const uint8_t *nn_cluster_uuid(const struct nn *nn);
/* Wall clock of the leader as this client estimates it, ns since the epoch. */
int64_t nn_wall_ns(const struct nn *nn);
uint64_t nn_rpc_count(const struct nn *nn);

#endif
