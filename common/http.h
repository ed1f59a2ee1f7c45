/*
 * A small HTTP server, and the only door to libmicrohttpd: GET only, no secrets, in a thread of its
 * own. /metrics for Prometheus, /health for load balancers; more pages as the programs like.
 */
#ifndef COMMON_HTTP_H
#define COMMON_HTTP_H

#include <stddef.h>

#include "common/compiler.h"

struct http;

struct http_reply {
    unsigned status;          /* 200 at first */
    const char *content_type; /* "text/plain; charset=utf-8" at first; static storage */
    char *body;               /* malloc'ed by the handler, freed by the server */
    size_t body_len;
};

/* On the server's thread. path is "/metrics", without the query; query is "" or "a=b&c=d". To say
 * 404, leave body NULL. */
typedef void (*http_handler_fn)(void *ctx, const char *path, const char *query,
                                struct http_reply *reply);

/*
 * Listens on "host:port"; port 0: chosen by the kernel.
 * -EINVAL (not an address), -EADDRINUSE, -EACCES ...
 */
int http_new(const char *addr, http_handler_fn fn, void *ctx, struct http **ret_http);
/* The handler does not run any more when this returns. NULL is fine. */
void http_free(struct http *h);
DEFINE_CLEANUP(http, http_free)
/* The bound "host:port". Owned by h. */
const char *http_addr(const struct http *h);

#endif
