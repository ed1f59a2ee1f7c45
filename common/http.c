#include "common/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "common/buf.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/strutil.h"

enum { CONNECTIONS_MAX = 64, IDLE_S_MAX = 15, BACKLOG = 16 };

struct http {
    struct MHD_Daemon *daemon;
    http_handler_fn fn;
    void *ctx;
    char addr[ADDR_TEXT_MAX];
};

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                             MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result;

    if (r == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
    result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result send_reply(struct MHD_Connection *c, const struct http_reply *reply)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(reply->body_len, reply->body, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (r == NULL) {
        free(reply->body);
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    result = MHD_queue_response(c, reply->status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result add_query(void *cls, enum MHD_ValueKind kind, const char *key,
                                 const char *value)
{
    struct buf *query = cls;

    (void)kind;
    buf_printf(query, "%s%s=%s", query->len > 0 ? "&" : "", key, value != NULL ? value : "");
    return MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *c, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **request)
{
    const struct http *h = cls;
    struct http_reply reply = {.status = 200, .content_type = "text/plain; charset=utf-8"};
    CLEANUP_BUF struct buf query = {0};

    (void)version;
    (void)upload;
    (void)upload_size;
    (void)request;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return send_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");

    (void)MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, add_query, &query);
    buf_append_u8(&query, '\0');
    h->fn(h->ctx, url, (const char *)query.data, &reply);
    if (reply.body == NULL)
        return send_text(c, reply.status == 200 ? MHD_HTTP_NOT_FOUND : reply.status,
                         reply.status == 200 ? "not found\n" : "");
    return send_reply(c, &reply);
}

static int listen_on(const struct addrinfo *ai, int *ret_fd)
{
    int one = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int r = -errno;

        (void)close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int listen_at(const char *addr, int *ret_fd)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL;
    char host[ADDR_TEXT_MAX], port_text[8];
    uint16_t port;
    int r;

    r = str_parse_addr(addr, host, sizeof host, &port);
    if (r < 0)
        return r;
    (void)snprintf(port_text, sizeof port_text, "%u", (unsigned)port);
    if (getaddrinfo(host, port_text, &hints, &ai) != 0 || ai == NULL)
        return -EINVAL;
    r = listen_on(ai, ret_fd);
    freeaddrinfo(ai);
    return r;
}

static void name_socket(int fd, char out[ADDR_TEXT_MAX])
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    char host[INET6_ADDRSTRLEN] = "?", port[8] = "0";

    (void)getsockname(fd, (struct sockaddr *)&ss, &len);
    (void)getnameinfo((struct sockaddr *)&ss, len, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(out, ADDR_TEXT_MAX, ss.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int http_new(const char *addr, http_handler_fn fn, void *ctx, struct http **ret_http)
{
    struct http *h;
    int fd = -1;
    int r;

    r = listen_at(addr, &fd);
    if (r < 0)
        return r;
    h = MEM_NEW(struct http);
    h->fn = fn;
    h->ctx = ctx;
    name_socket(fd, h->addr);
    h->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0, NULL, NULL, on_access, h,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S_MAX, MHD_OPTION_END);
    if (h->daemon == NULL) {
        (void)close(fd);
        free(h);
        return -ENOMEM;
    }
    *ret_http = h;
    return 0;
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    MHD_stop_daemon(h->daemon); /* Closes the socket, joins the thread. */
    free(h);
}

const char *http_addr(const struct http *h)
{
    return h->addr;
}
