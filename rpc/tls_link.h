/*
 * TLS on one socket, for rpc/conn_*.c only. Ciphertext to be sent gathers in a buffer of ours, so
 * that many records leave by one send(2); received ciphertext goes through OpenSSL's own buffer.
 */
#ifndef RPC_TLS_LINK_H
#define RPC_TLS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls;
struct tls_link;

enum {
    TLS_RECORD_BYTES = 16 << 10,
    TLS_NAME_MAX = 128,
};

/* -ENOMEM. The socket remains the caller's; peer_addr is for error texts and copied. */
int tls_link_new(struct tls *t, int fd, bool is_server, const char *peer_addr,
                 struct tls_link **ret_link);
void tls_link_free(struct tls_link *l);

/*
 * 1: done, 0: wait for the socket (to be writable when tls_link_pending()).
 * -EACCES  a certificate was refused, by us or by the peer
 * -EPROTO, -ECONNRESET; tls_link_error() says more
 */
int tls_link_handshake(struct tls_link *l, uint64_t *bytes_out);
/* What went wrong, for a log: who, why, what to do. "" when nothing did. */
const char *tls_link_error(const struct tls_link *l);
/* From the peer's certificate: CN and OU. "" before the handshake is done. */
const char *tls_link_peer_name(const struct tls_link *l);
const char *tls_link_peer_role(const struct tls_link *l);

/* Room for one more record. */
bool tls_link_has_room(const struct tls_link *l);
/* At most TLS_RECORD_BYTES, only when there is room. 0 or -errno. */
int tls_link_encrypt(struct tls_link *l, const void *bytes, size_t len);
/* Encrypted and not yet taken by the kernel. */
size_t tls_link_pending(const struct tls_link *l);
/* 1: all is out, 0: the kernel takes no more now, -errno. */
int tls_link_send(struct tls_link *l, uint64_t *bytes_out);

/* Decrypted bytes, 0 at the end of the stream, -EAGAIN, -EACCES, -EPROTO, -errno. */
ssize_t tls_link_recv(struct tls_link *l, void *buf, size_t len, uint64_t *bytes_in);
/* The last one took all that there was, here and in the socket: the next would be -EAGAIN. */
bool tls_link_is_drained(const struct tls_link *l);

#endif
