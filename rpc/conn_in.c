/*
 * The receiving half of a connection. Small frames are parsed where recv() put them, many of one
 * call. The data of a frame goes into a slab of its own: what came with the header is copied, the
 * rest is received straight into its place, and the same call brings the beginning of the next
 * frame behind it. Behind bulk data little is asked for, so that little has to be copied.
 *
 * Data lies in its slab so that it ENDS at a page boundary: the CRC table in front of it has any
 * length, the file bytes behind it, when they are whole blocks, begin page-aligned.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/compiler.h"
#include "common/crc32c.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "rpc/conn_impl.h"
#include "rpc/tls_link.h"

/* The end of the data in its slab. */
static size_t data_end(size_t data_len)
{
    return (data_len + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE * CHUNK_BLOCK_SIZE;
}

/* Of the frame whose header is known: what must stand in the buffer. */
static size_t head_bytes(const struct in_state *in)
{
    return FRAME_HEADER_SIZE + (size_t)in->header.body_len;
}

static void make_room(struct in_state *in)
{
    size_t have = in->end - in->start;
    size_t need = in->has_header ? head_bytes(in) : FRAME_HEADER_SIZE;

    if (in->buf == NULL || (have == 0 && in->cap > CONN_IN_BYTES)) {
        free(in->buf);
        in->buf = mem_alloc(CONN_IN_BYTES);
        in->cap = CONN_IN_BYTES;
        in->start = in->end = 0;
    }
    if (have == 0) {
        in->start = in->end = 0;
    } else if (in->start + need > in->cap || in->cap - in->end < CONN_IN_SMALL) {
        memmove(in->buf, in->buf + in->start, have);
        in->start = 0;
        in->end = have;
    }
    if (need > in->cap) {
        in->buf = mem_realloc(in->buf, 1, need);
        in->cap = need;
    }
}

static void begin_data(struct conn *c)
{
    struct in_state *in = &c->in;
    size_t len = in->header.data_len;
    size_t body_end = in->start + head_bytes(in);
    size_t here = MIN(in->end - body_end, len);

    in->data = slab_alloc(c->slabs, data_end(len));
    in->data_at = data_end(len) - len;
    in->data->len = data_end(len);
    in->data_have = here;
    memcpy(in->data->data + in->data_at, in->buf + body_end, here);
    in->frame_bytes = head_bytes(in);
    if (here == len)
        in->frame_bytes += len;
    else
        in->end = body_end; /* All that was behind the body is data, and copied. */
}

static void deliver(struct conn *c)
{
    struct in_state *in = &c->in;
    CLEANUP(slab) struct slab *data = STEAL(in->data);
    struct rpc_frame f = {
        .header = in->header,
        .body = in->buf + in->start + FRAME_HEADER_SIZE,
        .data = data,
        .data_bytes = data != NULL ? data->data + in->data_at : NULL,
    };

    in->start += in->frame_bytes;
    in->has_header = false;
    c->stats.frames_in++;
    conn_deliver(c, &f);
}

/* A plain connection beside TLS may say its hello and nothing else. */
static bool is_allowed(struct conn *c, const struct frame_header *h)
{
    if (c->is_authenticated)
        return true;
    if (h->type == MSG_DATA_HELLO && !(h->flags & (FRAME_REPLY | FRAME_ONEWAY)) &&
        h->data_len == 0 && h->body_len <= CONN_HELLO_BODY_MAX)
        return true;
    if (!(h->flags & (FRAME_REPLY | FRAME_ONEWAY)))
        conn_reply_error(
            c, h->type, h->rpc_id, -EACCES,
            "this plain connection has not shown a data token: DATA_HELLO comes first");
    (void)snprintf(c->reason_text, sizeof(c->reason_text),
                   "a plain connection that showed no data token sent %s", msg_type_name(h->type));
    c->close_when_sent = true;
    c->reason_when_sent = -EACCES;
    c->paused = true;
    return false;
}

static int parse_header(struct conn *c)
{
    struct in_state *in = &c->in;
    int r;

    r = frame_decode(in->buf + in->start, &in->header);
    if (r < 0)
        return r;
    in->has_header = true;
    in->ask = in->header.data_len >= CONN_BULK_BYTES ? CONN_IN_SMALL : CONN_IN_BYTES;
    return 0;
}

static int check_body(const struct in_state *in)
{
    const uint8_t *body = in->buf + in->start + FRAME_HEADER_SIZE;

    return crc32c(body, in->header.body_len) == in->header.body_crc ? 0 : -EBADMSG;
}

/* Delivers all frames that are whole. */
static void parse(struct conn *c)
{
    struct in_state *in = &c->in;

    while (c->state == CONN_OPEN && !c->paused) {
        size_t have = in->end - in->start;

        if (in->data != NULL) {
            if (in->data_have < in->header.data_len)
                return;
            deliver(c);
            continue;
        }
        if (!in->has_header) {
            if (have < FRAME_HEADER_SIZE)
                return;
            if (parse_header(c) < 0) {
                conn_fail(c, -EPROTO, "not a frame: wrong magic, header checksum or length");
                return;
            }
            if (!is_allowed(c, &in->header))
                return;
        }
        if (have < head_bytes(in))
            return;
        if (check_body(in) < 0) {
            conn_fail(c, -EPROTO, "the body of a %s frame fails its checksum",
                      msg_type_name(in->header.type));
            return;
        }
        in->frame_bytes = head_bytes(in);
        if (in->header.data_len > 0)
            begin_data(c);
        else
            deliver(c);
    }
}

/* Bytes in, 0 at the end of the stream, -EAGAIN, -errno. *ret_asked is what might have come. */
static ssize_t fill_plain(struct conn *c, struct iovec iov[2], size_t *ret_asked)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;

    if (iov[0].iov_len == 0) {
        msg.msg_iov++;
        msg.msg_iovlen = 1;
    }
    *ret_asked = iov[0].iov_len + iov[1].iov_len;
    do
        n = recvmsg(c->fd, &msg, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    c->stats.bytes_in += (uint64_t)n;
    return n;
}

static ssize_t fill_tls(struct conn *c, struct iovec iov[2], size_t *ret_asked)
{
    struct iovec *v = iov[0].iov_len > 0 ? &iov[0] : &iov[1];
    ssize_t n = tls_link_recv(c->link, v->iov_base, v->iov_len, &c->stats.bytes_in);

    /* That n is small says nothing: records have their own size. */
    *ret_asked = n > 0 && tls_link_is_drained(c->link) ? (size_t)n + 1 : 0;
    return n;
}

static ssize_t fill(struct conn *c, size_t *ret_asked)
{
    struct in_state *in = &c->in;
    struct iovec iov[2] = {0};
    size_t body_left = 0, to_data;
    ssize_t n;

    make_room(in);
    if (in->data != NULL) {
        iov[0].iov_base = in->data->data + in->data_at + in->data_have;
        iov[0].iov_len = in->header.data_len - in->data_have;
    } else if (in->has_header) {
        body_left = head_bytes(in) - (in->end - in->start);
    }
    iov[1].iov_base = in->buf + in->end;
    iov[1].iov_len = MIN(in->cap - in->end, MAX(in->ask, body_left));

    n = c->link != NULL ? fill_tls(c, iov, ret_asked) : fill_plain(c, iov, ret_asked);
    if (n <= 0)
        return n;
    to_data = MIN((size_t)n, iov[0].iov_len);
    in->data_have += to_data;
    in->end += (size_t)n - to_data;
    return n;
}

static void read_more(void *ctx)
{
    struct conn *c = conn_ref(ctx);

    c->read_posted = false;
    conn_read(c);
    conn_unref(c);
}

static void post_read(struct conn *c)
{
    if (c->read_posted)
        return;
    c->read_posted = true;
    loop_post(c->loop, read_more, c);
}

void conn_read(struct conn *c)
{
    size_t taken = 0, asked = 0;
    ssize_t n = 0;

    for (;;) {
        parse(c);
        if (c->state != CONN_OPEN || c->paused)
            return;
        if ((size_t)n < asked)
            break; /* The socket is drained: no need to hear EAGAIN. */
        if (taken >= CONN_TURN_BYTES) {
            post_read(c);
            break;
        }
        n = fill(c, &asked);
        if (n == -EAGAIN)
            break;
        if (n <= 0) {
            if (n == 0)
                conn_fail(c, -ECONNRESET, "closed by the peer");
            else
                conn_fail(c, (int)n, "%s",
                          c->link != NULL ? tls_link_error(c->link) : "receiving failed");
            return;
        }
        taken += (size_t)n;
    }
    if (c->link != NULL && tls_link_pending(c->link) > 0)
        conn_flush(c); /* TLS has answered something by itself. */
}

void conn_pause_reading(struct conn *c, bool pause)
{
    if (c->paused == pause || c->close_when_sent)
        return;
    c->paused = pause;
    if (c->state != CONN_OPEN)
        return;
    conn_watch(c);
    /* What is already in our hands brings no event from the socket. */
    if (!pause)
        post_read(c);
}

void in_stop(struct conn *c)
{
    if (c->read_posted)
        loop_cancel(c->loop, read_more, c);
    c->read_posted = false;
}

void in_done(struct in_state *in)
{
    slab_unref(STEAL(in->data));
    free(STEAL(in->buf));
}
