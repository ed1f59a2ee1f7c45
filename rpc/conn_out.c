/*
 * The sending half of a connection. Frames wait in a queue of pieces: small ones share a buffer,
 * slabs are referenced, files are named. Once a turn, as much of the queue as the kernel takes goes
 * out: by one sendmsg() per IOV_COUNT pieces and sendfile() on a plain connection, in full 16 KiB
 * records on a TLS one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/compiler.h"
#include "common/crc32c.h"
#include "common/mem.h"
#include "common/slab.h"
#include "rpc/conn_impl.h"
#include "rpc/tls_link.h"

enum {
    PIECE_BYTES = 16 << 10, /* room of a fresh OUT_BYTES piece */
    COPY_BYTES_MAX = 1024,  /* slab parts up to this are copied: cheaper than a piece */
    IOV_COUNT = 64,
    FILE_BLOCK = 4096,
    /* What goes out for bytes that the disk does not give. Not zeros: those may have a CRC. */
    UNREADABLE = 0xbd,
};

static void piece_append(struct out_queue *q, struct out_piece *p)
{
    p->next = NULL;
    if (q->last != NULL)
        q->last->next = p;
    else
        q->first = p;
    q->last = p;
}

static struct out_piece *piece_new(struct out_queue *q, enum out_kind kind)
{
    struct out_piece *p = MEM_NEW(struct out_piece);

    p->kind = kind;
    p->file_fd = -1;
    piece_append(q, p);
    return p;
}

/* Contiguous room at the end of the queue, which counts as queued at once. */
static uint8_t *reserve(struct out_queue *q, size_t len)
{
    struct out_piece *p = q->last;
    uint8_t *at;

    if (p == NULL || p->kind != OUT_BYTES || p->sent != NULL || p->free_len < len) {
        size_t room = MAX(len, (size_t)PIECE_BYTES);

        if (q->spare != NULL && room == PIECE_BYTES)
            p = STEAL(q->spare);
        else
            p = mem_alloc(sizeof(*p) + room);
        memset(p, 0, sizeof(*p));
        p->kind = OUT_BYTES;
        p->file_fd = -1;
        p->bytes = p->store;
        p->free = p->store;
        p->free_len = room;
        piece_append(q, p);
    }
    at = p->free;
    p->free += len;
    p->free_len -= len;
    p->len += len;
    q->bytes += len;
    return at;
}

static void put_parts(struct out_queue *q, const struct rpc_payload *payload)
{
    for (unsigned i = 0; i < payload->part_count; i++) {
        size_t len = payload->parts[i].len;
        struct out_piece *p;

        if (len == 0)
            continue;
        if (payload->parts[i].slab == NULL || len <= COPY_BYTES_MAX) {
            memcpy(reserve(q, len), payload->parts[i].bytes, len);
            continue;
        }
        p = piece_new(q, OUT_SLAB);
        p->bytes = payload->parts[i].bytes;
        p->len = len;
        p->slab = slab_ref(payload->parts[i].slab);
        q->bytes += len;
    }
}

static void put_file(struct out_queue *q, const struct rpc_payload *payload)
{
    struct out_piece *p;

    if (payload->file_fd < 0 || payload->file_len == 0)
        return;
    p = piece_new(q, OUT_FILE);
    p->file_fd = payload->file_fd;
    p->file_offset = payload->file_offset;
    p->len = payload->file_len;
    q->bytes += p->len;
}

void out_put_sent(struct out_queue *q, void (*sent)(void *ctx), void *ctx)
{
    struct out_piece *p = q->last;

    if (p == NULL || p->sent != NULL)
        p = piece_new(q, OUT_BYTES);
    p->sent = sent;
    p->sent_ctx = ctx;
}

/* SIZE_MAX when it is over any limit. */
static size_t payload_len(const struct rpc_payload *payload)
{
    size_t sum = 0;

    if (payload == NULL)
        return 0;
    if (payload->part_count > RPC_PAYLOAD_PARTS)
        return SIZE_MAX;
    for (unsigned i = 0; i < payload->part_count; i++) {
        if (payload->parts[i].len > FRAME_DATA_MAX)
            return SIZE_MAX;
        sum += payload->parts[i].len;
    }
    if (payload->file_fd >= 0) {
        if (payload->file_len > FRAME_DATA_MAX)
            return SIZE_MAX;
        sum += payload->file_len;
    }
    return sum;
}

int out_put(struct out_queue *q, uint16_t type, uint16_t flags, uint64_t rpc_id,
            const ProtobufCMessage *body, const void *raw, size_t raw_len,
            const struct rpc_payload *payload)
{
    size_t body_len = body != NULL ? protobuf_c_message_get_packed_size(body) : raw_len;
    size_t data_len = payload_len(payload);
    struct frame_header h;
    uint8_t *at;

    if (body_len > FRAME_BODY_MAX || data_len > FRAME_DATA_MAX)
        return -EMSGSIZE;

    at = reserve(q, FRAME_HEADER_SIZE + body_len);
    if (body != NULL)
        (void)protobuf_c_message_pack(body, at + FRAME_HEADER_SIZE);
    else if (raw_len > 0)
        memcpy(at + FRAME_HEADER_SIZE, raw, raw_len);
    h = (struct frame_header){
        .type = type,
        .flags = flags,
        .rpc_id = rpc_id,
        .body_len = (uint32_t)body_len,
        .data_len = (uint32_t)data_len,
        .body_crc = crc32c(at + FRAME_HEADER_SIZE, body_len),
    };
    frame_encode(&h, at);
    if (payload == NULL)
        return 0;
    put_parts(q, payload);
    put_file(q, payload);
    if (payload->sent != NULL)
        out_put_sent(q, payload->sent, payload->sent_ctx);
    return 0;
}

size_t out_gather(const struct out_queue *q, struct iovec *iov, size_t iov_max, bool *ret_file)
{
    const struct out_piece *p;
    size_t n = 0;

    for (p = q->first; p != NULL && p->kind != OUT_FILE && n < iov_max; p = p->next) {
        if (p->len == 0)
            continue;
        /* sendmsg() only reads what it is given. */
        memcpy(&iov[n].iov_base, &p->bytes, sizeof(iov[n].iov_base));
        iov[n].iov_len = p->len;
        n++;
    }
    *ret_file = p != NULL && p->kind == OUT_FILE;
    return n;
}

static void drop_first(struct out_queue *q)
{
    struct out_piece *p = q->first;
    void (*sent)(void *ctx) = p->sent;
    void *ctx = p->sent_ctx;

    q->first = p->next;
    if (q->first == NULL)
        q->last = NULL;
    q->bytes -= p->len;
    if (p->kind == OUT_SLAB)
        slab_unref(p->slab);
    if (q->spare == NULL && p->free != NULL &&
        (size_t)(p->free - p->store) + p->free_len == PIECE_BYTES)
        q->spare = p;
    else
        free(p);
    if (sent != NULL)
        sent(ctx); /* Last: it may queue more. */
}

void out_advance(struct out_queue *q, size_t n)
{
    while (q->first != NULL) {
        struct out_piece *p = q->first;
        size_t step = MIN(n, p->len);

        if (p->kind == OUT_FILE)
            p->file_offset += step;
        else if (step > 0)
            p->bytes += step;
        p->len -= step;
        q->bytes -= step;
        n -= step;
        if (p->len > 0)
            return;
        drop_first(q);
        if (n == 0 && q->first != NULL && q->first->len > 0)
            return;
    }
}

void out_clear(struct out_queue *q)
{
    while (q->first != NULL)
        drop_first(q);
}

void out_done(struct out_queue *q)
{
    free(STEAL(q->spare));
}

/* 1: all sent, 0: the kernel takes no more, or -errno. */
static int send_memory(struct conn *c)
{
    struct iovec iov[IOV_COUNT];
    struct msghdr msg = {.msg_iov = iov};
    size_t want = 0;
    bool file;
    ssize_t n;

    msg.msg_iovlen = out_gather(&c->out, iov, IOV_COUNT, &file);
    for (size_t i = 0; i < msg.msg_iovlen; i++)
        want += iov[i].iov_len;
    do
        n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | (file ? MSG_MORE : 0));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    c->stats.bytes_out += (uint64_t)n;
    out_advance(&c->out, (size_t)n);
    return (size_t)n == want;
}

/*
 * A part of a file, at most `len` bytes. A sector that cannot be read must not cost the connection,
 * and with it all that others do on it: what is not to be had is sent as bytes that the receiver
 * finds wrong, for it compares them with the CRCs that came with them.
 */
static ssize_t read_file(const struct out_piece *p, uint8_t *bytes, size_t len)
{
    ssize_t n = pread(p->file_fd, bytes, len, (off_t)p->file_offset);

    if (n > 0)
        return n;
    if (n == 0)
        return -ENODATA; /* Shorter than its header has announced: the stream can't go on. */
    if (errno != EIO)
        return -errno;
    len = MIN(len, FILE_BLOCK - p->file_offset % FILE_BLOCK);
    n = pread(p->file_fd, bytes, len, (off_t)p->file_offset);
    if (n > 0)
        return n;
    memset(bytes, UNREADABLE, len);
    return (ssize_t)len;
}

/* The next block of the file in front goes out of memory. */
static int put_file_block(struct out_queue *q)
{
    struct out_piece *file = q->first;
    size_t len = MIN(file->len, FILE_BLOCK - file->file_offset % FILE_BLOCK);
    struct out_piece *p = mem_alloc(sizeof(*p) + len);
    ssize_t n;

    memset(p, 0, sizeof(*p));
    n = read_file(file, p->store, len);
    if (n < 0) {
        free(p);
        return (int)n;
    }
    p->kind = OUT_BYTES;
    p->file_fd = -1;
    p->bytes = p->store;
    p->len = (size_t)n;
    p->next = file;
    q->first = p;
    file->file_offset += p->len;
    file->len -= p->len;
    return 1;
}

static int send_file(struct conn *c)
{
    struct out_piece *p = c->out.first;
    off_t offset = (off_t)p->file_offset;
    size_t want = p->len;
    ssize_t n;

    do
        n = sendfile(c->fd, p->file_fd, &offset, want);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && (errno == EIO || errno == EINVAL)))
        return put_file_block(&c->out);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    c->stats.bytes_out += (uint64_t)n;
    out_advance(&c->out, (size_t)n);
    return (size_t)n == want;
}

static int flush_plain(struct conn *c)
{
    int r = 1;

    while (r == 1 && c->state == CONN_OPEN && c->out.first != NULL) {
        if (c->out.bytes == 0)
            out_advance(&c->out, 0); /* Nothing but calls of sent. */
        else if (c->out.first->kind == OUT_FILE)
            r = send_file(c);
        else
            r = send_memory(c);
    }
    return r;
}

/* Fills a record from several pieces. Gives its length, or -errno of reading a file. */
static ssize_t copy_record(const struct out_queue *q, uint8_t *record)
{
    size_t len = 0;

    for (const struct out_piece *p = q->first; p != NULL && len < TLS_RECORD_BYTES; p = p->next) {
        size_t step = MIN(p->len, (size_t)TLS_RECORD_BYTES - len);

        if (step == 0)
            continue;
        if (p->kind == OUT_FILE) {
            ssize_t n = read_file(p, record + len, step);

            if (n < 0)
                return n;
            len += (size_t)n;
            if ((size_t)n < step)
                break;
            continue;
        }
        memcpy(record + len, p->bytes, step);
        len += step;
    }
    return (ssize_t)len;
}

static int encrypt_next(struct conn *c)
{
    uint8_t record[TLS_RECORD_BYTES];
    struct out_piece *p = c->out.first;
    const uint8_t *bytes = record;
    ssize_t len;
    int r;

    if (p->kind != OUT_FILE && p->len >= TLS_RECORD_BYTES) {
        bytes = p->bytes;
        len = TLS_RECORD_BYTES;
    } else {
        len = copy_record(&c->out, record);
        if (len < 0)
            return (int)len;
    }
    if (len > 0) {
        r = tls_link_encrypt(c->link, bytes, (size_t)len);
        if (r < 0)
            return r;
    }
    out_advance(&c->out, (size_t)len);
    return 0;
}

static int flush_tls(struct conn *c)
{
    int r;

    for (;;) {
        while (c->state == CONN_OPEN && c->out.first != NULL && tls_link_has_room(c->link)) {
            r = encrypt_next(c);
            if (r < 0)
                return r;
        }
        if (c->state != CONN_OPEN)
            return 1;
        r = tls_link_send(c->link, &c->stats.bytes_out);
        if (r <= 0)
            return r;
        if (c->out.first == NULL)
            return 1;
    }
}

void conn_flush(struct conn *c)
{
    int r;

    if (c->state != CONN_OPEN)
        return;
    r = c->link != NULL ? flush_tls(c) : flush_plain(c);
    if (c->state != CONN_OPEN)
        return;
    if (r < 0) {
        conn_fail(c, r == -EPIPE ? -ECONNRESET : r, "sending failed");
        return;
    }
    c->want_write = r == 0;
    if (r == 1 && c->close_when_sent) {
        conn_close(c, c->reason_when_sent);
        return;
    }
    conn_watch(c);
}
