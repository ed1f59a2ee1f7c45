/* What the session with the namenodes remembers. For nn.c alone. */
#ifndef LIBDFS_NN_IMPL_H
#define LIBDFS_NN_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/limits.h"
#include "common/uuid.h"
#include "libdfs/nn.h"
#include "rpc/token.h"

struct conn;
struct loop_timer;
struct rpc_frame;

enum {
    PROBLEM_MAX = 512,
    SEEK_BACKOFF_MS = 20, /* before another namenode is tried; then more */
};

enum nn_state { NN_SEEKING, NN_ATTACHING, NN_READY, NN_CLOSING };

enum call_kind { CALL_READ, CALL_CHANGE, CALL_RAW };

struct nn_call {
    struct nn *nn;
    struct ll_call *ll; /* NULL: not interruptible, or interrupted already */
    enum call_kind kind;
    uint16_t type;
    bool sent;     /* on the present connection */
    bool was_sent; /* ever: a change may have been made */
    bool done;     /* the caller has been answered; a change goes on until its outcome is known */
    bool interrupted;
    bool opens;           /* counts as an open at the leader, which somebody must close */
    bool sent_twice;      /* a refusal does not say any more what became of the first */
    uint64_t seq;         /* changes: given at the first sending */
    uint64_t deadline_ns; /* 0: none */
    uint64_t not_before_ns;
    uint64_t rpc;    /* of conn_call */
    struct buf body; /* without session, seq and floor */
    nn_reply_fn fn;
    nn_raw_fn raw_fn;
    void *ctx;
    struct nn_call *prev, *next;
};

struct nn {
    struct loop *loop;
    struct slab_pool *slabs;
    struct tls *tls;
    uint32_t io_timeout_ms;
    char *client_name;
    struct nn_events ev;
    char *addrs[NAMENODE_ADDRS_MAX];
    unsigned addr_count, addr_at;
    char hint[ADDR_TEXT_MAX]; /* where the leader was said to be; "" if not said */
    unsigned hint_hops;
    char lost[ADDR_TEXT_MAX]; /* who answers no more, though others may still call it the leader */
    bool lost_silent;         /* it did not even hang up */
    unsigned stays;           /* in a row, at a follower that knows of no leader */

    enum nn_state state;
    struct conn *conn;
    struct loop_timer *seek_timer, *tick;
    struct loop_timer *again; /* for calls that wait for their not_before_ns */
    uint32_t backoff_ms;
    uint32_t silence_ms; /* grows while nobody answers in time */
    unsigned failures;   /* in a row, since the last success */
    bool was_refused;    /* a certificate, ours or theirs */
    unsigned unheard;    /* in a row, since the last word of any namenode */
    bool fail_fast, told_ready;
    uint64_t give_up_ns; /* with fail_fast: they had the time to elect a leader */
    uint64_t renewed_ns;
    uint64_t attach_rpc;

    struct uuid client_uuid;
    uint64_t session; /* 0: none yet */
    uint64_t term;
    uint8_t token[TOKEN_BYTES];
    uint8_t cluster_uuid[16];
    int64_t wall_offset_ns;
    uint64_t pg_version;

    uint64_t next_seq;
    unsigned changes_in_flight;
    struct nn_call *calls; /* in the order they were made */
    uint64_t rpc_count;

    void (*closed)(void *ctx);
    void *closed_ctx;
    char problem[PROBLEM_MAX];
    bool met_follower; /* while looking for a leader */
};

/* nn.c */
void nn_attach(struct nn *nn);
void nn_call_abandon(struct nn_call *call, int status);
struct nn_call *nn_call_first(struct nn *nn, bool (*is)(const struct nn_call *call));

/* nn_seek.c */
void nn_seek(void *ctx);
/* The present namenode is of no use: try another, at once where hint says, if it says something. */
void nn_seek_again(struct nn *nn, const char *hint);
/* The present namenode has hung up, or is silent: that it leads is not believed for now. */
void nn_lost(struct nn *nn, bool silent);
void nn_disconnect(struct nn *nn);
void nn_unsend(struct nn *nn);
const char *nn_present_addr(const struct nn *nn);
/* A refusal that says something about the namenode rather than the call. True: handled. */
bool nn_leader_refused(struct nn *nn, int status, const struct rpc_frame *f);
void nn_set_problem(struct nn *nn, const char *addr, int code, const char *text);
void nn_tell_ready(struct nn *nn, int status);

#endif
