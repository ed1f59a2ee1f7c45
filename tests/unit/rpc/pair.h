/*
 * A server and a client that talk over loopback in one loop, plain or over TLS. The server answers
 * by the type of the message, see pair.c.
 */
#ifndef TESTS_UNIT_RPC_PAIR_H
#define TESTS_UNIT_RPC_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/conn.h"
#include "rpc/server.h"
#include "rpc/tls.h"

struct loop;

/* What the pair's server does with a request. */
enum {
    ASK_NOTHING = MSG_PING,       /* empty reply */
    ASK_ECHO = MSG_META,          /* the data comes back by reference */
    ASK_FILE = MSG_CHUNK_READ,    /* pair->file from ChunkReadRequest.offset, .len bytes */
    ASK_SILENCE = MSG_STATUS,     /* never answered */
    ASK_ERROR = MSG_REPORT,       /* -ENOSPC */
    ASK_CLOSE = MSG_TRANSFER,     /* closes the connection */
    ASK_BIG_BODY = MSG_DATA_HELLO /* a body far larger than the receive buffer */
};

/* The end of patience, not a measure: 100 MiB over TLS take long under a sanitizer. */
enum { PAIR_WAIT_MS = 60000 };

struct pair {
    struct loop *loop;
    struct slab_pool *slabs;
    char *dir; /* certificates */
    struct tls *server_tls, *client_tls;
    struct server *server;
    struct conn *client;

    /* What the server has seen. */
    struct conn *guest; /* the last that was opened or asked */
    unsigned opened, closed, requests, oneways;
    int guest_reason;
    char guest_name[64], guest_role[64], guest_text[300];
    uint64_t oneway_bytes;
    int file;

    /* What the client has seen. */
    unsigned client_opened, client_closed;
    int client_reason;
    bool out_of_time;
};

/* One call and what became of it. */
struct answer {
    unsigned done;
    int status;
    size_t data_len;
    uint8_t *data; /* kept when `keep` was set */
    bool keep;
    uint64_t *counter; /* counts answers when not NULL */
};
void answer_done(void *ctx, int status, const struct rpc_frame *f);

/* Certificates for all tests of a program: nn1 (namenode) and c1 (client), and a stranger of
 * another CA. */
char *pair_certs_new(void);
struct tls *pair_tls(const char *dir, const char *ca, const char *name);

struct pair *pair_new(const char *certs, bool tls, bool allow_plain);
/* Connects p->client with this certificate (NULL: plain). */
void pair_connect(struct pair *p, struct tls *tls);
void pair_free(struct pair *p);

/* Runs the loop until *value >= want; fails the test after 4 s. */
void pair_wait(struct pair *p, const unsigned *value, unsigned want);
/* Runs it for a while. */
void pair_pass(struct pair *p, uint64_t ms);

#endif
