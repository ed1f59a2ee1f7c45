/*
 * A connection that hears arbitrary frames: the bytes are sent to a real plain connection over a
 * socket pair. A first byte of 0 sends them as they are. Otherwise they are a list of frames, each
 * {type 1, flags 1, body_len 2, data_len 3 bytes} and its bytes, and get magic and checksums, so
 * that what is behind those is reached.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/crc32c.h"
#include "common/loop.h"
#include "common/slab.h"
#include "rpc/conn.h"
#include "tests/fuzz/target.h"

enum { SPEC_BYTES = 7, TURNS_MAX = 64 };

struct heard {
    uint64_t bytes;
    int closed;
};

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    struct heard *h = ctx;

    /* Touches all that was promised, so that a sanitizer sees what is not there. */
    h->bytes += crc32c(f->body, f->header.body_len) & 1;
    if (f->data != NULL)
        h->bytes += crc32c(f->data_bytes, f->header.data_len) & 1;
    if (f->header.type & 0x80)
        conn_close(c, -1);
    else if (!(f->header.flags & FRAME_ONEWAY))
        conn_reply(c, f->header.type, f->header.rpc_id, NULL, NULL);
}

static void on_closed(void *ctx, struct conn *c, int reason)
{
    struct heard *h = ctx;

    (void)c;
    (void)reason;
    h->closed = 1;
}

static void make_frames(struct buf *out, const uint8_t *bytes, size_t len)
{
    static const uint8_t zeros[4096];

    while (len >= SPEC_BYTES) {
        struct frame_header h = {.type = bytes[0], .flags = bytes[1] & 7, .rpc_id = bytes[0]};
        size_t body = (size_t)bytes[2] << 8 | bytes[3];
        size_t data = (size_t)(bytes[4] & 0xf) << 16 | (size_t)bytes[5] << 8 | bytes[6];
        uint8_t header[FRAME_HEADER_SIZE];

        bytes += SPEC_BYTES;
        len -= SPEC_BYTES;
        body = body < len ? body : len;
        h.body_len = (uint32_t)body;
        h.data_len = (uint32_t)data;
        h.body_crc = crc32c(bytes, body);
        frame_encode(&h, header);
        buf_append(out, header, sizeof(header));
        buf_append(out, bytes, body);
        bytes += body;
        len -= body;
        for (; data > 0; data -= data < sizeof(zeros) ? data : sizeof(zeros))
            buf_append(out, zeros, data < sizeof(zeros) ? data : sizeof(zeros));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    CLEANUP_BUF struct buf out = {0};
    struct heard heard = {0};
    struct conn_handlers h = {.on_request = on_request, .on_closed = on_closed, .ctx = &heard};
    struct slab_pool *slabs;
    struct loop *loop;
    struct conn *c;
    int fds[2];

    if (len == 0)
        return 0;
    if (bytes[0] == 0)
        buf_append(&out, bytes + 1, len - 1);
    else
        make_frames(&out, bytes + 1, len - 1);

    if (loop_new(&loop) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        abort();
    slabs = slab_pool_new(1 << 20);
    if (conn_accept_take(loop, slabs, fds[0], NULL, &h, &c) < 0)
        abort();
    for (int i = 0; i < TURNS_MAX && out.len > 0 && !heard.closed; i++) {
        ssize_t n = send(fds[1], out.data, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            buf_consume(&out, (size_t)n);
        loop_run_once(loop, false);
        loop_run_once(loop, false);
    }
    close(fds[1]);
    for (int i = 0; i < TURNS_MAX && !heard.closed; i++)
        loop_run_once(loop, false);
    conn_free(c);
    loop_run_once(loop, false);
    loop_free(loop);
    slab_pool_free(slabs);
    return 0;
}
