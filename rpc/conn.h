/*
 * One connection on a loop: frames in, frames out, TLS or plain. Symmetric: once it stands, either
 * side may send requests. All calls and callbacks on the loop's thread.
 *
 * What happens to a connection ends in on_closed, exactly once, never from inside a call of ours;
 * before it, every call still waiting for its reply gets -ECONNRESET (or the close reason).
 */
#ifndef RPC_CONN_H
#define RPC_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "rpc/frame.h"

struct loop;
struct slab;
struct slab_pool;
struct tls;
struct conn;

/* A frame as received. Lives until the callback returns, except that data may be kept by
 * slab_ref(). */
struct rpc_frame {
    struct frame_header header;
    const uint8_t *body;
    struct slab *data; /* NULL when data_len is 0; header.data_len bytes from data_start(data) */
    const uint8_t *data_bytes;
};

/* What follows the body: up to RPC_PAYLOAD_PARTS pieces of memory, then optionally bytes of a file.
 */
enum { RPC_PAYLOAD_PARTS = 16 };
struct rpc_payload {
    struct {
        const void *bytes;
        size_t len;
        struct slab *slab; /* a reference is taken until sent; NULL: the bytes are copied at once */
    } parts[RPC_PAYLOAD_PARTS];
    unsigned part_count;
    /* sendfile(2) on a plain connection, read into a slab under TLS. What the disk cannot read is
     * sent as other bytes: whoever gets them must have a CRC. */
    int file_fd; /* -1: none (0 is a descriptor!). Must stay open until `sent` is called. */
    uint64_t file_offset;
    size_t file_len;
    void (*sent)(
        void *ctx); /* all is handed to the kernel, or the connection is gone; may be NULL */
    void *sent_ctx;
};

struct conn_handlers {
    /* A request or one-way message of the other side. Answer with conn_reply*(), now or later. */
    void (*on_request)(void *ctx, struct conn *c, const struct rpc_frame *f);
    void (*on_closed)(void *ctx, struct conn *c, int reason);
    /* Connected and shaken hands: the peer's name and role are known. May be NULL. */
    void (*on_open)(void *ctx, struct conn *c);
    void *ctx;
};

struct conn_stats {
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
};

/* Called once: status 0 and the reply, or a negative code with f == NULL or the Error in it. */
typedef void (*rpc_reply_fn)(void *ctx, int status, const struct rpc_frame *f);

/*
 * Starts to connect to "host:port". tls NULL: plain. Frames may be queued at once; a failure to
 * connect closes the connection (-ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH: also a name without
 * address, -EACCES: certificate refused, ...).
 * -EINVAL  not "host:port"
 */
int conn_connect(struct loop *loop, struct slab_pool *slabs, const char *addr, struct tls *tls,
                 const struct conn_handlers *h, struct conn **ret_conn);

/*
 * Of one that we connect, before the loop runs again: under TLS a peer whose certificate says
 * another role than this is refused with -EACCES. role is kept as it is: a constant.
 */
void conn_want_role(struct conn *c, const char *role);

/* Takes over an accepted socket, also when it fails. rpc/server.c does it for you. */
int conn_accept_take(struct loop *loop, struct slab_pool *slabs, int fd, struct tls *tls,
                     const struct conn_handlers *h, struct conn **ret_conn);

/* Drops the caller's interest: closes, frees; on_closed is not called, waiting calls get
 * -ECANCELED. */
void conn_free(struct conn *c);

/* Closes with this reason; on_closed follows from the loop, then the conn is freed by its owner. */
void conn_close(struct conn *c, int reason);

/*
 * Sends a request. body may be NULL (empty). payload may be NULL. timeout_ms 0: none.
 * done is called exactly once, later, from the loop: also after conn_close(). Returns an id, never
 * 0. Beside what the peer answers: -ETIMEDOUT, the reason of the close, -EMSGSIZE (over the
 * limits), DFS_EBUSY_WINDOW (CONN_CALLS_MAX are waiting).
 */
uint64_t conn_call(struct conn *c, uint16_t type, const ProtobufCMessage *body,
                   const struct rpc_payload *payload, uint32_t timeout_ms, rpc_reply_fn done,
                   void *ctx);

/* The same with a body that is encoded already; copied. */
uint64_t conn_call_raw(struct conn *c, uint16_t type, const void *body, size_t len,
                       uint32_t timeout_ms, rpc_reply_fn done, void *ctx);

/* Forgets a call: done will not be called any more. Harmless when it is over. */
void conn_cancel(struct conn *c, uint64_t id);

void conn_send_oneway(struct conn *c, uint16_t type, const ProtobufCMessage *body,
                      const struct rpc_payload *payload);
/* The body as bytes already encoded; copied. */
void conn_send_oneway_raw(struct conn *c, uint16_t type, const void *body, size_t len);

void conn_reply(struct conn *c, uint16_t type, uint64_t rpc_id, const ProtobufCMessage *body,
                const struct rpc_payload *payload);
/* An Error with this code and a text made like printf. */
void conn_reply_error(struct conn *c, uint16_t type, uint64_t rpc_id, int code, const char *fmt,
                      ...) __attribute__((format(printf, 5, 6)));
/* An Error that carries more (leader hint, PG): body is a Dfs__Error. */
void conn_reply_error_msg(struct conn *c, uint16_t type, uint64_t rpc_id,
                          const ProtobufCMessage *error);

/* Connected and shaken hands, not closed. (Frames may be queued before.) */
bool conn_is_open(const struct conn *c);
bool conn_is_closed(const struct conn *c);
bool conn_is_tls(const struct conn *c);
/*
 * Bytes queued and not yet taken by the kernel: for back-pressure. Over CONN_QUEUED_BYTES_MAX the
 * connection is closed with -ENOBUFS.
 */
size_t conn_queued_bytes(const struct conn *c);
/* Stops and resumes reading from the socket: back-pressure towards the peer. */
void conn_pause_reading(struct conn *c, bool pause);
/*
 * "127.0.0.1:1234"; the common name of the peer's certificate; its OU: "namenode", "datanode",
 * "client" or "admin", "none" without OU. The last two are "" when plain and before on_open. Owned
 * by c.
 */
const char *conn_peer_addr(const struct conn *c);
/* Which of its server's connections it is, in the order in which they came; 0: none of a server. */
uint64_t conn_number(const struct conn *c);
const char *conn_peer_name(const struct conn *c);
const char *conn_peer_role(const struct conn *c);
/* Why it was closed, in words for a log; "" when the reason says it all. */
const char *conn_close_text(const struct conn *c);
const struct conn_stats *conn_stats(const struct conn *c);
/* A reference for those who answer later: the struct stays until unref, sending on a closed one is
 * dropped. */
struct conn *conn_ref(struct conn *c);
void conn_unref(struct conn *c);
/* Free slot for the server's user, NULL at first. */
void conn_set_user(struct conn *c, void *user);
void *conn_user(const struct conn *c);

#endif
