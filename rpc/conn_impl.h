/*
 * What the files of one connection share; for rpc/ only.
 *
 *   connect ──► CONNECTING ──► HANDSHAKE ──► OPEN ──► CLOSED
 *                    └──────── plain ─────────▲         ▲ from anywhere
 *   accept ───► SNIFFING ────► HANDSHAKE ─────┘         │
 *                                  └──► LINGERING ──────┘
 *
 * SNIFFING waits for the first byte: a TLS handshake or our magic. LINGERING has refused the peer
 * and gives it time to read the alert that says why: closing at once would send a reset over it.
 *
 * All callbacks to the user run from conn_turn() (deferred), from the socket's or a timer's
 * callback. Each of these holds a reference and looks at the state again after each callback.
 */
#ifndef RPC_CONN_IMPL_H
#define RPC_CONN_IMPL_H

#include <netinet/in.h>
#include <sys/uio.h>

#include "common/limits.h"
#include "rpc/conn.h"

struct loop_io;
struct loop_timer;
struct loop_lookup;
struct tls_link;
struct addrinfo;

enum conn_state {
    CONN_CONNECTING,
    CONN_SNIFFING,
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_LINGERING,
    CONN_CLOSED,
};

enum {
    CONN_SETUP_MS = 5000,       /* connect, first byte, handshake, hello of a plain connection */
    CONN_LINGER_MS = 1000,      /* how long a refused peer may take to read why */
    CONN_IN_BYTES = 64 << 10,   /* receive buffer */
    CONN_IN_SMALL = 4 << 10,    /* asked for behind bulk data: what of it is data is copied */
    CONN_BULK_BYTES = 32 << 10, /* data of this size counts as bulk */
    CONN_TURN_BYTES = 2 << 20,  /* read from one connection before the others have their turn */
    CONN_TICK_MS = 5,           /* grain of call timeouts */
    CONN_HELLO_BODY_MAX = 4096, /* body of a frame from a peer that is not authenticated yet */
    CONN_TEXT_MAX = 512,
};

/* ---- out: conn_out.c ---- */

enum out_kind { OUT_BYTES, OUT_SLAB, OUT_FILE };

/* A piece of what is to be sent. OUT_BYTES gathers as many small frames as fit. */
struct out_piece {
    struct out_piece *next;
    enum out_kind kind;
    const uint8_t *bytes; /* what is left of it */
    size_t len;
    uint8_t *free; /* OUT_BYTES: room behind bytes + len */
    size_t free_len;
    struct slab *slab;
    int file_fd;
    uint64_t file_offset;
    void (*sent)(void *ctx);
    void *sent_ctx;
    uint8_t store[];
};

struct out_queue {
    struct out_piece *first, *last;
    struct out_piece *spare; /* one empty OUT_BYTES piece, against malloc ping-pong */
    size_t bytes;
};

/*
 * Queues one frame. Exactly one of body and raw may be given. Takes references to slabs, copies
 * the rest.
 * -EMSGSIZE  body or data over the limits; nothing is queued, payload->sent is not called
 */
int out_put(struct out_queue *q, uint16_t type, uint16_t flags, uint64_t rpc_id,
            const ProtobufCMessage *body, const void *raw, size_t raw_len,
            const struct rpc_payload *payload);
/* Only remembers to call sent, in its place in the queue. */
void out_put_sent(struct out_queue *q, void (*sent)(void *ctx), void *ctx);
/* Memory pieces from the front, up to a file. *ret_file: a file follows directly. */
size_t out_gather(const struct out_queue *q, struct iovec *iov, size_t iov_max, bool *ret_file);
/* n bytes from the front are gone; finished pieces are dropped, their sent is called. */
void out_advance(struct out_queue *q, size_t n);
/* Drops all, calling sent. */
void out_clear(struct out_queue *q);
/* Frees what an empty queue keeps. */
void out_done(struct out_queue *q);

/* ---- in: conn_in.c ---- */

struct in_state {
    uint8_t *buf;
    size_t cap, start, end; /* bytes received and not yet consumed: buf[start, end) */
    size_t ask;             /* how much to ask the kernel for at most */
    bool has_header;        /* header is that of the frame at start */
    struct frame_header header;
    struct slab *data; /* not NULL: body is whole at start, data is arriving here */
    size_t data_at;    /* first data byte in the slab */
    size_t data_have;
    size_t frame_bytes; /* of the frame in buf: without what went straight into the slab */
};

/* ---- calls ---- */

/* Slot of a call on its way. Its id is generation << 32 | index + 1. */
struct call {
    rpc_reply_fn done; /* NULL: free */
    void *ctx;
    uint64_t deadline_ns; /* 0: none */
    uint32_t generation;
    uint32_t next_free; /* index + 1 */
    int failed;         /* not 0: done is to be called with this by conn_turn() */
};

struct conn {
    struct loop *loop;
    struct slab_pool *slabs;
    struct conn_handlers h;
    unsigned refs;
    enum conn_state state;
    int reason;
    char reason_text[CONN_TEXT_MAX];

    int fd;
    struct loop_io *io;
    struct loop_timer *setup_timer;
    struct loop_lookup *lookup;         /* connecting: the host's name is being looked up */
    struct addrinfo *addrs, *next_addr; /* connecting: what was found, what to try next */

    bool owner_gone;    /* conn_free() was called */
    bool closed_told;   /* on_closed was called */
    bool turn_deferred; /* conn_turn() runs at the end of this turn */
    bool want_write;    /* the kernel took no more */
    bool paused;        /* by conn_pause_reading() */
    bool read_posted;   /* reading goes on in the next turn */
    bool is_server;     /* accepted */
    bool allow_plain;   /* SNIFFING may find our magic */
    bool is_authenticated;
    bool close_when_sent; /* with reason_when_sent, once the queue is empty */
    int reason_when_sent;

    struct tls *tls;
    struct tls_link *link; /* NULL: plain */
    const char *want_role; /* of the peer; NULL: any */
    char addr[ADDR_TEXT_MAX + 16];

    struct out_queue out;
    struct in_state in;

    struct call *calls;
    uint32_t call_slots, call_count, call_failed_count;
    uint32_t first_free; /* index + 1 */
    uint64_t armed_ns;   /* when call_timer fires; 0: it doesn't */
    struct loop_timer *call_timer;

    struct conn_stats stats;
    uint64_t number; /* given by the server */
    void *user;
};

/* conn.c */
/* Runs conn_turn() at the end of this turn of the loop. */
void conn_defer_turn(struct conn *c);
/* Closes with a reason in words, for the log and for conn_close_text(). */
void conn_fail(struct conn *c, int reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Adjusts what the socket is watched for. */
void conn_watch(struct conn *c);
/* Connected and, under TLS, shaken hands. */
void conn_opened(struct conn *c);
/* A whole frame stands in *f: to the waiting call or to the user. */
void conn_deliver(struct conn *c, const struct rpc_frame *f);
/* Takes over an accepted socket; tls may be NULL (plain), plain beside TLS only with allow_plain.
 */
int conn_accept_sniff_take(struct loop *loop, struct slab_pool *slabs, int fd, struct tls *tls,
                           bool allow_plain, const struct conn_handlers *h, struct conn **ret_conn);

/* conn_call.c */
void call_deliver(struct conn *c, const struct rpc_frame *f);
/* Takes a slot; its id. */
uint64_t call_add(struct conn *c, uint32_t timeout_ms, rpc_reply_fn done, void *ctx);
/* done gets this status from conn_turn(). */
void call_fail_id(struct conn *c, uint64_t id, int status);
/* All waiting calls will get this status from conn_turn(). */
void call_fail_all(struct conn *c, int status);
/* Calls done of the failed ones. */
void call_run_failed(struct conn *c);
void call_done_all(struct conn *c);

/* conn_out.c */
/* Hands the kernel as much as it takes. */
void conn_flush(struct conn *c);

/* conn_in.c */
/* Reads what is there, delivers whole frames. */
void conn_read(struct conn *c);
/* No more reading by itself: before the struct goes. */
void in_stop(struct conn *c);
void in_done(struct in_state *in);

#endif
