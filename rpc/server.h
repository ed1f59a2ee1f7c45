/*
 * Listens on one address and gives every accepted connection to the handlers. One port serves TLS
 * and, when allowed, plain connections: the first byte tells them apart (0x16 is a TLS handshake,
 * 0x64 our magic); anything else is closed and logged once a minute per peer address.
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include "rpc/conn.h"

struct server;

struct server_options {
    const char *listen_addr; /* "host:port"; port 0: chosen by the kernel */
    struct tls *tls;         /* NULL: plain only (tests) */
    bool allow_plain; /* data_tls = off: plain connections are let in, see on_plain_request */
    uint32_t conn_count_max;
};

/*
 * The handlers are those of conn_handlers; connections belong to the server, which frees them after
 * on_closed (keep one longer by conn_ref()). on_open and on_closed come in pairs, or only on_closed
 * when nobody got through the handshake. On a plain connection that came in beside TLS only
 * MSG_DATA_HELLO is delivered until conn_set_authenticated(c) was called.
 * Ignores SIGPIPE in the whole program: sendfile(2) would raise it.
 * -EINVAL  not an address
 * -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -errno
 */
int server_new(struct loop *loop, struct slab_pool *slabs, const struct server_options *o,
               const struct conn_handlers *h, struct server **ret_server);
/* Connections still open are closed; on_closed(-ECANCELED) is called for each, from in
 * here. Not from within a handler. */
void server_free(struct server *s);
/* Stops accepting; what stands goes on. */
void server_stop_accepting(struct server *s);
uint32_t server_conn_count(const struct server *s);
/* The bound "host:port". Owned by s. */
const char *server_addr(const struct server *s);
void conn_set_authenticated(struct conn *c);
bool conn_is_authenticated(const struct conn *c);

#endif
