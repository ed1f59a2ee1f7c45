/* Listening and accepting. What a connection says is told apart in conn.c, at its first byte. */
#include "config.h"

#include "rpc/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/compiler.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "rpc/conn_impl.h"
#include "rpc/tls.h"

enum {
    BACKLOG = 511,
    ACCEPTS_PER_TURN = 64,
    REPORTS_MAX = 64, /* peers remembered for the rate limit of the log */
    REPORT_EVERY_S = 60,
};

/* One accepted connection. */
struct guest {
    struct server *server;
    struct conn *conn;
    struct guest *prev, *next;
};

struct report {
    char host[ADDR_TEXT_MAX];
    uint64_t at_ns;
};

struct server {
    struct loop *loop;
    struct slab_pool *slabs;
    struct tls *tls;
    bool allow_plain;
    uint32_t conn_count_max;
    struct conn_handlers h;

    int fd;
    struct loop_io *io;
    int spare_fd; /* given up to accept, and close, when there are no descriptors left */
    char addr[ADDR_TEXT_MAX + 16];

    struct guest *guests;
    uint32_t guest_count;
    uint64_t admitted; /* so far */
    struct report reports[REPORTS_MAX];
    uint64_t full_logged_ns;
};
DEFINE_CLEANUP(server, server_free)

static bool is_due(uint64_t *last_ns, uint64_t now_ns)
{
    if (*last_ns != 0 && now_ns - *last_ns < REPORT_EVERY_S * CLOCK_NS_PER_S)
        return false;
    *last_ns = now_ns;
    return true;
}

/* Once a minute for each peer host; the oldest host is forgotten for a new one. */
static bool may_report(struct server *s, const char *peer_addr)
{
    uint64_t now = loop_now_ns(s->loop);
    char host[ADDR_TEXT_MAX];
    struct report *oldest = &s->reports[0];
    uint16_t port;

    if (str_parse_addr(peer_addr, host, sizeof(host), &port) < 0)
        (void)snprintf(host, sizeof(host), "?");
    for (size_t i = 0; i < REPORTS_MAX; i++) {
        struct report *r = &s->reports[i];

        if (strcmp(r->host, host) == 0)
            return is_due(&r->at_ns, now);
        if (r->at_ns < oldest->at_ns)
            oldest = r;
    }
    memcpy(oldest->host, host, sizeof(oldest->host));
    oldest->at_ns = now;
    return true;
}

static void guest_free(struct guest *g)
{
    DL_DELETE(g->server->guests, g);
    g->server->guest_count--;
    conn_free(g->conn);
    free(g);
}

static void guest_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    struct guest *g = ctx;

    g->server->h.on_request(g->server->h.ctx, c, f);
}

static void guest_open(void *ctx, struct conn *c)
{
    struct guest *g = ctx;

    if (g->server->h.on_open != NULL)
        g->server->h.on_open(g->server->h.ctx, c);
}

static void guest_closed(void *ctx, struct conn *c, int reason)
{
    struct guest *g = ctx;
    struct server *s = g->server;

    if ((reason == -EPROTO || reason == -EACCES) && may_report(s, conn_peer_addr(c)))
        log_warn("connection refused", "peer=%s reason=\"%s\"", conn_peer_addr(c),
                 conn_close_text(c));
    if (s->h.on_closed != NULL)
        s->h.on_closed(s->h.ctx, c, reason);
    guest_free(g);
}

static void admit(struct server *s, int fd)
{
    struct conn_handlers h = {
        .on_request = guest_request, .on_closed = guest_closed, .on_open = guest_open};
    struct guest *g;

    if (s->guest_count >= s->conn_count_max) {
        (void)close(fd);
        if (is_due(&s->full_logged_ns, loop_now_ns(s->loop)))
            log_warn("too many connections, new ones are closed", "listen=%s limit=%u", s->addr,
                     s->conn_count_max);
        return;
    }
    g = MEM_NEW(struct guest);
    g->server = s;
    h.ctx = g;
    if (conn_accept_sniff_take(s->loop, s->slabs, fd, s->tls, s->allow_plain, &h, &g->conn) < 0) {
        free(g);
        return;
    }
    g->conn->number = ++s->admitted;
    DL_APPEND(s->guests, g);
    s->guest_count++;
}

/* No descriptor left: the waiting peer is turned away, else it would wake us for ever. */
static void turn_away(struct server *s)
{
    int fd;

    if (is_due(&s->full_logged_ns, loop_now_ns(s->loop)))
        log_error("no file descriptors left, new connections are closed",
                  "listen=%s hint=\"raise LimitNOFILE (ulimit -n)\"", s->addr);
    if (s->spare_fd >= 0)
        (void)close(s->spare_fd);
    fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        (void)close(fd);
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void incoming(void *ctx, unsigned events)
{
    struct server *s = ctx;

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            admit(s, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE) {
            turn_away(s);
            return;
        }
        if (errno == EAGAIN)
            return;
        /* The peer has gone in the meantime, or the network reports an old error: go on. */
    }
}

static int bind_one(const struct addrinfo *a, int *ret_fd)
{
    int on = 1, r = 0;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        r = -errno;
        (void)close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int bind_addr(const char *addr, int *ret_fd)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *list = NULL;
    char host[ADDR_TEXT_MAX], port_text[8];
    uint16_t port;
    int r;

    r = str_parse_addr(addr, host, sizeof(host), &port);
    if (r < 0)
        return r;
    (void)snprintf(port_text, sizeof(port_text), "%u", port);
    if (getaddrinfo(host, port_text, &hints, &list) != 0)
        return -EADDRNOTAVAIL;
    r = -EADDRNOTAVAIL;
    for (const struct addrinfo *a = list; a != NULL && r < 0; a = a->ai_next)
        r = bind_one(a, ret_fd);
    freeaddrinfo(list);
    return r;
}

static int bound_text(int fd, char *out, size_t out_size)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    char host[NI_MAXHOST], port[8];

    if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return -errno;
    if (getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EADDRNOTAVAIL;
    (void)snprintf(out, out_size, a.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return 0;
}

int server_new(struct loop *loop, struct slab_pool *slabs, const struct server_options *o,
               const struct conn_handlers *h, struct server **ret_server)
{
    CLEANUP(server) struct server *s = MEM_NEW(struct server);
    int r;

    /* sendfile() knows no MSG_NOSIGNAL: a peer that goes must not end the program. */
    (void)signal(SIGPIPE, SIG_IGN);
    s->loop = loop;
    s->slabs = slabs;
    s->tls = tls_ref(o->tls);
    s->allow_plain = o->allow_plain;
    s->conn_count_max = o->conn_count_max;
    s->h = *h;
    s->fd = -1;
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r = bind_addr(o->listen_addr, &s->fd);
    if (r < 0)
        return r;
    r = bound_text(s->fd, s->addr, sizeof(s->addr));
    if (r < 0)
        return r;
    r = loop_io_new(loop, s->fd, incoming, s, &s->io);
    if (r < 0)
        return r;
    loop_io_want(s->io, LOOP_READ);

    *ret_server = STEAL(s);
    return 0;
}

void server_stop_accepting(struct server *s)
{
    loop_io_free(STEAL(s->io));
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}

void server_free(struct server *s)
{
    if (s == NULL)
        return;
    server_stop_accepting(s);
    while (s->guests != NULL) {
        struct guest *g = s->guests;

        if (s->h.on_closed != NULL)
            s->h.on_closed(s->h.ctx, g->conn, -ECANCELED);
        guest_free(g);
    }
    if (s->spare_fd >= 0)
        (void)close(s->spare_fd);
    tls_free(s->tls);
    free(s);
}

uint32_t server_conn_count(const struct server *s)
{
    return s->guest_count;
}

const char *server_addr(const struct server *s)
{
    return s->addr;
}
