/*
 * The life of a connection: how it comes to stand, how it ends, what users call. What happens in
 * between is in conn_in.c, conn_out.c and conn_call.c.
 */
#include "rpc/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "rpc/conn_impl.h"
#include "rpc/msg.h"
#include "rpc/node.pb-c.h"
#include "rpc/server.h"
#include "rpc/tls.h"
#include "rpc/tls_link.h"

enum {
    USER_TIMEOUT_MS = 10000, /* sent and not acknowledged for so long: the peer is gone */
    KEEPALIVE_IDLE_S = 5,
    KEEPALIVE_STEP_S = 2,
    KEEPALIVE_COUNT = 3,
};

/* ---- birth and death ---- */

static void setup_expired(void *ctx);

static struct conn *conn_new(struct loop *loop, struct slab_pool *slabs, struct tls *tls,
                             const struct conn_handlers *h)
{
    struct conn *c = MEM_NEW(struct conn);

    c->loop = loop;
    c->slabs = slabs;
    c->tls = tls_ref(tls);
    c->h = *h;
    c->refs = 1;
    c->fd = -1;
    c->in.ask = CONN_IN_BYTES;
    c->setup_timer = loop_timer_new(loop, setup_expired, c);
    loop_timer_start(c->setup_timer, CONN_SETUP_MS, 0);
    return c;
}

static void conn_destroy(struct conn *c)
{
    loop_timer_free(c->setup_timer);
    call_done_all(c);
    tls_link_free(c->link);
    tls_free(c->tls);
    out_done(&c->out);
    in_done(&c->in);
    free(c);
}

struct conn *conn_ref(struct conn *c)
{
    c->refs++;
    return c;
}

void conn_unref(struct conn *c)
{
    if (--c->refs == 0)
        conn_destroy(c);
}

/* The end of a turn in which something was sent or has failed. */
static void conn_turn(void *ctx)
{
    struct conn *c = ctx;

    c->turn_deferred = false;
    if (!c->want_write)
        conn_flush(c);
    call_run_failed(c);
    if (c->state == CONN_CLOSED) {
        out_clear(&c->out);
        if (!c->closed_told && !c->owner_gone) {
            c->closed_told = true;
            if (c->h.on_closed != NULL)
                c->h.on_closed(c->h.ctx, c, c->reason);
        }
    }
    conn_unref(c);
}

void conn_defer_turn(struct conn *c)
{
    if (c->turn_deferred)
        return;
    c->turn_deferred = true;
    loop_defer(c->loop, conn_turn, conn_ref(c));
}

void conn_watch(struct conn *c)
{
    unsigned want = 0;

    switch (c->state) {
    case CONN_CONNECTING:
        want = LOOP_WRITE;
        break;
    case CONN_SNIFFING:
    case CONN_LINGERING:
        want = LOOP_READ;
        break;
    case CONN_HANDSHAKE:
        want = LOOP_READ | (tls_link_pending(c->link) > 0 ? LOOP_WRITE : 0);
        break;
    case CONN_OPEN:
        want = (c->paused ? 0 : LOOP_READ) | (c->want_write ? LOOP_WRITE : 0);
        break;
    case CONN_CLOSED:
        return;
    }
    if (c->io != NULL)
        loop_io_want(c->io, want);
}

static void drop_socket(struct conn *c)
{
    loop_io_free(STEAL(c->io));
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

static void drop_addrs(struct conn *c)
{
    loop_lookup_cancel(STEAL(c->lookup));
    if (c->addrs != NULL)
        freeaddrinfo(c->addrs);
    c->addrs = c->next_addr = NULL;
}

void conn_close(struct conn *c, int reason)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    c->reason = reason < 0 ? reason : -ECONNRESET;
    drop_socket(c);
    drop_addrs(c);
    in_stop(c);
    loop_timer_stop(c->setup_timer);
    if (c->call_timer != NULL)
        loop_timer_stop(c->call_timer);
    call_fail_all(c, c->reason);
    conn_defer_turn(c);
}

static void say_why(struct conn *c, const char *fmt, va_list ap)
{
    if (c->reason_text[0] == '\0')
        (void)vsnprintf(c->reason_text, sizeof(c->reason_text), fmt, ap);
}

void conn_fail(struct conn *c, int reason, const char *fmt, ...)
{
    va_list ap;

    if (c->state == CONN_CLOSED)
        return;
    va_start(ap, fmt);
    say_why(c, fmt, ap);
    va_end(ap);
    /* Who listens logs for its connections (server.c); who connects may try again and again. */
    if (!c->is_server && reason == -EACCES && c->tls != NULL &&
        tls_may_log(c->tls, loop_now_ns(c->loop)))
        log_warn("connection refused", "peer=%s reason=\"%s\"", c->addr, c->reason_text);
    conn_close(c, reason);
}

void conn_free(struct conn *c)
{
    if (c == NULL)
        return;
    c->owner_gone = true;
    conn_close(c, -ECANCELED);
    conn_unref(c);
}

static void setup_expired(void *ctx)
{
    struct conn *c = ctx;

    switch (c->state) {
    case CONN_LINGERING:
        conn_close(c, c->reason_when_sent);
        break;
    case CONN_CONNECTING:
        conn_fail(c, -ETIMEDOUT,
                  c->lookup != NULL ? "the host name is not found in time"
                                    : "no answer to connect");
        break;
    case CONN_SNIFFING:
    case CONN_HANDSHAKE:
        conn_fail(c, -ETIMEDOUT, "connected, but no handshake within %d s", CONN_SETUP_MS / 1000);
        break;
    case CONN_OPEN:
        if (!c->is_authenticated)
            conn_fail(c, -EACCES, "plain connection without a data token");
        break;
    case CONN_CLOSED:
        break;
    }
}

/* ---- setting up ---- */

static void set_socket_options(int fd)
{
    int on = 1, idle = KEEPALIVE_IDLE_S, step = KEEPALIVE_STEP_S, count = KEEPALIVE_COUNT;
    unsigned user_timeout = USER_TIMEOUT_MS;

    /* None is vital: a Unix-domain or odd socket works without. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &step, sizeof(step));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
}

void conn_opened(struct conn *c)
{
    c->state = CONN_OPEN;
    if (c->is_authenticated)
        loop_timer_stop(c->setup_timer);
    conn_watch(c);
    conn_defer_turn(c);
    if (c->h.on_open != NULL)
        c->h.on_open(c->h.ctx, c);
    /* The first frames may have come along with the handshake. */
    if (c->state == CONN_OPEN)
        conn_read(c);
}

/* Gives a peer that we refuse the time to read why. */
static void linger(struct conn *c, int reason)
{
    if (!c->is_server) {
        conn_fail(c, reason, "%s", tls_link_error(c->link));
        return;
    }
    (void)snprintf(c->reason_text, sizeof(c->reason_text), "%s", tls_link_error(c->link));
    (void)shutdown(c->fd, SHUT_WR);
    c->state = CONN_LINGERING;
    c->reason_when_sent = reason;
    loop_timer_start(c->setup_timer, CONN_LINGER_MS, 0);
    conn_watch(c);
}

static void linger_step(struct conn *c)
{
    uint8_t waste[4096];
    ssize_t n;

    n = recv(c->fd, waste, sizeof(waste), 0);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    conn_close(c, c->reason_when_sent);
}

static void handshake_step(struct conn *c)
{
    int r = tls_link_handshake(c->link, &c->stats.bytes_out);

    if (r < 0) {
        linger(c, r);
        return;
    }
    if (r == 0) {
        conn_watch(c);
        return;
    }
    if (c->want_role != NULL && strcmp(tls_link_peer_role(c->link), c->want_role) != 0) {
        conn_fail(
            c, -EACCES,
            "the certificate '%s' of %s is for the role '%s', not '%s'; is the address right? "
            "(`dfs pki issue NAME %s` makes one)",
            tls_link_peer_name(c->link), c->addr, tls_link_peer_role(c->link), c->want_role,
            c->want_role);
        return;
    }
    c->is_authenticated = true;
    conn_opened(c);
}

static void handshake_begin(struct conn *c)
{
    int r = tls_link_new(c->tls, c->fd, c->is_server, c->addr, &c->link);

    if (r < 0) {
        conn_fail(c, r, "no TLS session could be made");
        return;
    }
    c->state = CONN_HANDSHAKE;
    handshake_step(c);
}

/* What someone who is not of us has sent first, in words. */
static const char *guess_peer(const uint8_t *bytes, size_t len)
{
    static const char *const http[] = {"GET ", "POST", "HEAD", "PUT ", "OPTI", "DELE", "PRI "};

    for (size_t i = 0; len >= 4 && i < ARRAY_COUNT(http); i++) {
        if (memcmp(bytes, http[i], 4) == 0)
            return "an HTTP request: this port speaks dfs; HTTP has a port of its own (by default "
                   "the next one)";
    }
    return "neither TLS nor a dfs frame: something else uses this port";
}

static void sniff(struct conn *c)
{
    enum { TLS_HANDSHAKE = 0x16, MAGIC_FIRST = FRAME_MAGIC & 0xff };
    uint8_t bytes[8];
    ssize_t n;

    n = recv(c->fd, bytes, sizeof(bytes), MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(c, n < 0 ? -errno : -ECONNRESET);
        return;
    }
    if (bytes[0] == TLS_HANDSHAKE && c->tls != NULL) {
        handshake_begin(c);
    } else if (bytes[0] == TLS_HANDSHAKE) {
        conn_fail(c, -EPROTO, "the peer speaks TLS, this port is plain");
    } else if (bytes[0] == MAGIC_FIRST && (c->tls == NULL || c->allow_plain)) {
        c->is_authenticated = c->tls == NULL;
        conn_opened(c);
    } else if (bytes[0] == MAGIC_FIRST) {
        conn_fail(c, -EPROTO,
                  "the peer speaks plain text, this port wants TLS (data_tls differs?)");
    } else {
        conn_fail(c, -EPROTO, "%s", guess_peer(bytes, (size_t)n));
    }
}

static void connect_next(struct conn *c, int error);

/* A connect to a dead port of this host may, by chance, meet itself (simultaneous open). */
static bool is_self_connected(int fd)
{
    struct sockaddr_storage a, b;
    socklen_t a_len = sizeof(a), b_len = sizeof(b);

    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    return getsockname(fd, (struct sockaddr *)&a, &a_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&b, &b_len) == 0 && a_len == b_len &&
           memcmp(&a, &b, a_len) == 0;
}

static void connected(struct conn *c)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0 && is_self_connected(c->fd))
        error = ECONNREFUSED;
    if (error != 0) {
        connect_next(c, error);
        return;
    }
    drop_addrs(c);
    if (c->tls != NULL) {
        handshake_begin(c);
        return;
    }
    c->is_authenticated = true;
    conn_opened(c);
}

static void conn_event(void *ctx, unsigned events)
{
    struct conn *c = conn_ref(ctx);

    switch (c->state) {
    case CONN_CONNECTING:
        connected(c);
        break;
    case CONN_SNIFFING:
        sniff(c);
        break;
    case CONN_HANDSHAKE:
        handshake_step(c);
        break;
    case CONN_OPEN:
        if (events & LOOP_WRITE)
            conn_flush(c);
        if ((events & LOOP_READ) && c->state == CONN_OPEN && !c->paused)
            conn_read(c);
        break;
    case CONN_LINGERING:
        linger_step(c);
        break;
    case CONN_CLOSED:
        break;
    }
    conn_unref(c);
}

static int connect_one(struct conn *c, const struct addrinfo *a)
{
    c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    set_socket_options(c->fd);
    if (connect(c->fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS)
        return -errno;
    return loop_io_new(c->loop, c->fd, conn_event, c, &c->io);
}

/* Tries the addresses one after the other; error is what became of the one before. */
static void connect_next(struct conn *c, int error)
{
    while (c->next_addr != NULL) {
        const struct addrinfo *a = c->next_addr;
        int r;

        c->next_addr = a->ai_next;
        drop_socket(c);
        r = connect_one(c, a);
        if (r == 0) {
            conn_watch(c);
            return;
        }
        error = -r;
    }
    conn_fail(c, -error, "connect: %s", strerror(error));
}

static void looked_up(void *ctx, int status, struct addrinfo *list)
{
    struct conn *c = conn_ref(ctx);

    c->lookup = NULL;
    c->addrs = c->next_addr = list;
    if (status < 0)
        conn_fail(c, status, "the host name has no address");
    else
        connect_next(c, ECONNREFUSED);
    conn_unref(c);
}

/* An address is taken as it is; only for a name there is something to wait for. */
static int resolve(struct conn *c, const char *addr)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
    char host[ADDR_TEXT_MAX], port_text[8];
    uint16_t port;
    int r;

    r = str_parse_addr(addr, host, sizeof(host), &port);
    if (r < 0)
        return r;
    (void)snprintf(port_text, sizeof(port_text), "%u", port);
    if (getaddrinfo(host, port_text, &hints, &c->addrs) != 0)
        return loop_lookup_new(c->loop, host, port, looked_up, c, &c->lookup);
    c->next_addr = c->addrs;
    connect_next(c, ECONNREFUSED);
    return 0;
}

int conn_connect(struct loop *loop, struct slab_pool *slabs, const char *addr, struct tls *tls,
                 const struct conn_handlers *h, struct conn **ret_conn)
{
    struct conn *c = conn_new(loop, slabs, tls, h);
    int r;

    c->state = CONN_CONNECTING;
    (void)snprintf(c->addr, sizeof(c->addr), "%s", addr);
    r = resolve(c, addr);
    if (r < 0) {
        conn_destroy(c);
        return r;
    }
    *ret_conn = c;
    return 0;
}

void conn_want_role(struct conn *c, const char *role)
{
    c->want_role = role;
}

static void peer_text(int fd, char *out, size_t out_size)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    char host[INET6_ADDRSTRLEN + 16], port[8];

    if (getpeername(fd, (struct sockaddr *)&a, &len) < 0 ||
        getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        (void)snprintf(out, out_size, "?");
        return;
    }
    (void)snprintf(out, out_size, a.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int conn_accept_sniff_take(struct loop *loop, struct slab_pool *slabs, int fd, struct tls *tls,
                           bool allow_plain, const struct conn_handlers *h, struct conn **ret_conn)
{
    struct conn *c;
    int r;

    c = conn_new(loop, slabs, tls, h);
    c->state = CONN_SNIFFING;
    c->is_server = true;
    c->allow_plain = allow_plain;
    set_socket_options(fd);
    peer_text(fd, c->addr, sizeof(c->addr));
    r = loop_io_new(loop, fd, conn_event, c, &c->io);
    if (r < 0) {
        (void)close(fd);
        conn_destroy(c);
        return r;
    }
    c->fd = fd;
    conn_watch(c);
    *ret_conn = c;
    return 0;
}

int conn_accept_take(struct loop *loop, struct slab_pool *slabs, int fd, struct tls *tls,
                     const struct conn_handlers *h, struct conn **ret_conn)
{
    return conn_accept_sniff_take(loop, slabs, fd, tls, false, h, ret_conn);
}

/* ---- frames ---- */

void conn_deliver(struct conn *c, const struct rpc_frame *f)
{
    if (f->header.flags & FRAME_REPLY)
        call_deliver(c, f);
    else if (c->h.on_request != NULL)
        c->h.on_request(c->h.ctx, c, f);
    else if (!(f->header.flags & FRAME_ONEWAY))
        conn_reply_error(c, f->header.type, f->header.rpc_id, -EOPNOTSUPP,
                         "no requests are answered on this connection");
}

static bool can_send(const struct conn *c)
{
    return c->state != CONN_CLOSED && c->state != CONN_LINGERING && !c->close_when_sent;
}

static int put_frame(struct conn *c, uint16_t type, uint16_t flags, uint64_t rpc_id,
                     const ProtobufCMessage *body, const void *raw, size_t raw_len,
                     const struct rpc_payload *payload)
{
    int r = can_send(c) ? 0 : c->reason < 0 ? c->reason : -ECONNRESET;

    if (r == 0)
        r = out_put(&c->out, type, flags, rpc_id, body, raw, raw_len, payload);
    conn_defer_turn(c);
    if (r < 0) {
        if (payload != NULL && payload->sent != NULL)
            out_put_sent(&c->out, payload->sent, payload->sent_ctx);
        return r;
    }
    c->stats.frames_out++;
    if (c->out.bytes > CONN_QUEUED_BYTES_MAX)
        conn_fail(c, -ENOBUFS, "the peer does not take what is sent to it");
    return 0;
}

static uint64_t call_start(struct conn *c, uint16_t type, const ProtobufCMessage *body,
                           const void *raw, size_t raw_len, const struct rpc_payload *payload,
                           uint32_t timeout_ms, rpc_reply_fn done, void *ctx)
{
    bool full = c->call_count >= CONN_CALLS_MAX;
    uint64_t id = call_add(c, timeout_ms, done, ctx);
    int r;

    if (full) {
        if (payload != NULL && payload->sent != NULL)
            out_put_sent(&c->out, payload->sent, payload->sent_ctx);
        r = DFS_EBUSY_WINDOW;
    } else {
        r = put_frame(c, type, 0, id, body, raw, raw_len, payload);
    }
    if (r < 0)
        call_fail_id(c, id, r);
    return id;
}

uint64_t conn_call(struct conn *c, uint16_t type, const ProtobufCMessage *body,
                   const struct rpc_payload *payload, uint32_t timeout_ms, rpc_reply_fn done,
                   void *ctx)
{
    return call_start(c, type, body, NULL, 0, payload, timeout_ms, done, ctx);
}

uint64_t conn_call_raw(struct conn *c, uint16_t type, const void *body, size_t len,
                       uint32_t timeout_ms, rpc_reply_fn done, void *ctx)
{
    return call_start(c, type, NULL, body, len, NULL, timeout_ms, done, ctx);
}

void conn_send_oneway(struct conn *c, uint16_t type, const ProtobufCMessage *body,
                      const struct rpc_payload *payload)
{
    if (put_frame(c, type, FRAME_ONEWAY, 0, body, NULL, 0, payload) == -EMSGSIZE)
        log_error("message over the limits dropped", "type=%s", msg_type_name(type));
}

void conn_send_oneway_raw(struct conn *c, uint16_t type, const void *body, size_t len)
{
    if (put_frame(c, type, FRAME_ONEWAY, 0, NULL, body, len, NULL) == -EMSGSIZE)
        log_error("message over the limits dropped", "type=%s", msg_type_name(type));
}

void conn_reply(struct conn *c, uint16_t type, uint64_t rpc_id, const ProtobufCMessage *body,
                const struct rpc_payload *payload)
{
    if (put_frame(c, type, FRAME_REPLY, rpc_id, body, NULL, 0, payload) == -EMSGSIZE)
        conn_reply_error(c, type, rpc_id, -EMSGSIZE, "the reply is over the limits");
}

void conn_reply_error_msg(struct conn *c, uint16_t type, uint64_t rpc_id,
                          const ProtobufCMessage *error)
{
    (void)put_frame(c, type, FRAME_REPLY | FRAME_ERROR, rpc_id, error, NULL, 0, NULL);
}

void conn_reply_error(struct conn *c, uint16_t type, uint64_t rpc_id, int code, const char *fmt,
                      ...)
{
    Dfs__Error e = DFS__ERROR__INIT;
    char text[RPC_ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    e.code = code;
    e.text = text;
    conn_reply_error_msg(c, type, rpc_id, &e.base);
}

/* ---- what users may know ---- */

bool conn_is_open(const struct conn *c)
{
    return c->state == CONN_OPEN;
}

bool conn_is_closed(const struct conn *c)
{
    return c->state == CONN_CLOSED;
}

bool conn_is_tls(const struct conn *c)
{
    return c->link != NULL;
}

size_t conn_queued_bytes(const struct conn *c)
{
    return c->out.bytes + (c->link != NULL ? tls_link_pending(c->link) : 0);
}

const char *conn_peer_addr(const struct conn *c)
{
    return c->addr;
}

uint64_t conn_number(const struct conn *c)
{
    return c->number;
}

const char *conn_peer_name(const struct conn *c)
{
    return c->link != NULL ? tls_link_peer_name(c->link) : "";
}

const char *conn_peer_role(const struct conn *c)
{
    return c->link != NULL ? tls_link_peer_role(c->link) : "";
}

const char *conn_close_text(const struct conn *c)
{
    return c->reason_text;
}

const struct conn_stats *conn_stats(const struct conn *c)
{
    return &c->stats;
}

void conn_set_user(struct conn *c, void *user)
{
    c->user = user;
}

void *conn_user(const struct conn *c)
{
    return c->user;
}

void conn_set_authenticated(struct conn *c)
{
    c->is_authenticated = true;
    if (c->state == CONN_OPEN)
        loop_timer_stop(c->setup_timer);
}

bool conn_is_authenticated(const struct conn *c)
{
    return c->is_authenticated;
}
