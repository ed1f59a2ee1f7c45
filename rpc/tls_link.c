/*
 * TLS on one socket. OpenSSL sees a BIO of ours: what it writes gathers in `out`, what it reads
 * comes straight from recv(2). Sockets are never written by OpenSSL itself, which would do so
 * record by record, and with SIGPIPE.
 */
#include "rpc/tls_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "common/compiler.h"
#include "common/mem.h"
#include "rpc/tls_impl.h"

enum {
    RECORD_OVERHEAD_MAX = 512,
    /* Eight full records: one send(2) for 128 KiB. */
    OUT_BYTES = 8 * (TLS_RECORD_BYTES + RECORD_OVERHEAD_MAX) + 8192,
    ERROR_TEXT_MAX = 512,
};

struct tls_link {
    struct tls *tls;
    SSL *ssl;
    BIO_METHOD *method;
    int fd;
    bool is_server;
    int sys_error; /* of the last recv(2), 0: none */
    bool at_end;
    bool was_short; /* the last recv(2) gave less than there was room for */
    uint64_t bytes_in;
    uint8_t *out;
    size_t out_start, out_end;
    char *peer_addr;
    char peer_name[TLS_NAME_MAX];
    char peer_role[TLS_NAME_MAX];
    char refused_name[TLS_NAME_MAX]; /* of a certificate that did not verify */
    char error[ERROR_TEXT_MAX];
};

static int bio_write(BIO *b, const char *bytes, int len)
{
    struct tls_link *l = BIO_get_data(b);
    size_t n = (size_t)len;

    BIO_clear_retry_flags(b);
    if (l->out == NULL)
        l->out = mem_alloc(OUT_BYTES);
    if (l->out_start == l->out_end)
        l->out_start = l->out_end = 0;
    if (OUT_BYTES - l->out_end < n && l->out_start > 0) {
        memmove(l->out, l->out + l->out_start, l->out_end - l->out_start);
        l->out_end -= l->out_start;
        l->out_start = 0;
    }
    n = MIN(n, OUT_BYTES - l->out_end);
    if (n == 0) {
        BIO_set_retry_write(b);
        return -1;
    }
    memcpy(l->out + l->out_end, bytes, n);
    l->out_end += n;
    return (int)n;
}

static int bio_read(BIO *b, char *buf, int len)
{
    struct tls_link *l = BIO_get_data(b);
    ssize_t n;

    BIO_clear_retry_flags(b);
    do
        n = recv(l->fd, buf, (size_t)len, 0);
    while (n < 0 && errno == EINTR);
    l->was_short = n < len;
    if (n > 0) {
        l->bytes_in += (uint64_t)n;
        return (int)n;
    }
    if (n == 0)
        l->at_end = true;
    else if (errno == EAGAIN)
        BIO_set_retry_read(b);
    else
        l->sys_error = errno;
    return (int)n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    struct tls_link *l = BIO_get_data(b);

    (void)num;
    (void)ptr;
    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return l->at_end;
    default:
        return 0;
    }
}

/* One method object a connection: made without a global and without a lock. */
static BIO *bio_new(struct tls_link *l)
{
    BIO *b;

    l->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "dfs socket");
    if (l->method == NULL || !BIO_meth_set_write(l->method, bio_write) ||
        !BIO_meth_set_read(l->method, bio_read) || !BIO_meth_set_ctrl(l->method, bio_ctrl))
        return NULL;
    b = BIO_new(l->method);
    if (b == NULL)
        return NULL;
    BIO_set_data(b, l);
    BIO_set_init(b, 1);
    return b;
}

static void subject_field(const X509 *cert, int nid, char out[TLS_NAME_MAX])
{
    if (cert == NULL ||
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), nid, out, TLS_NAME_MAX) < 0)
        out[0] = '\0';
    for (char *p = out; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
            *p = '?';
    }
}

/* OpenSSL forgets a certificate that it refuses: its name is noted here, for the log. */
static int on_verify(int ok, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_link *l = SSL_get_app_data(ssl);

    if (!ok)
        subject_field(X509_STORE_CTX_get0_cert(ctx), NID_commonName, l->refused_name);
    return ok;
}

int tls_link_new(struct tls *t, int fd, bool is_server, const char *peer_addr,
                 struct tls_link **ret_link)
{
    struct tls_link *l = MEM_NEW(struct tls_link);
    BIO *b;

    l->tls = tls_ref(t);
    l->fd = fd;
    l->is_server = is_server;
    l->peer_addr = mem_strdup(peer_addr);
    l->ssl = SSL_new(is_server ? t->server : t->client);
    b = l->ssl != NULL ? bio_new(l) : NULL;
    if (b == NULL) {
        tls_link_free(l);
        ERR_clear_error();
        return -ENOMEM;
    }
    SSL_set_bio(l->ssl, b, b);
    (void)SSL_set_app_data(l->ssl, l);
    SSL_set_verify(l->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
    if (is_server)
        SSL_set_accept_state(l->ssl);
    else
        SSL_set_connect_state(l->ssl);
    *ret_link = l;
    return 0;
}

void tls_link_free(struct tls_link *l)
{
    if (l == NULL)
        return;
    SSL_free(l->ssl);
    BIO_meth_free(l->method);
    tls_free(l->tls);
    free(l->out);
    free(l->peer_addr);
    free(l);
}

/* An alert by which the peer says that it doesn't like our certificate. */
static bool is_certificate_alert(int reason)
{
    switch (reason - SSL_AD_REASON_OFFSET) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

static int explain_refusal_by_us(struct tls_link *l)
{
    long verify = SSL_get_verify_result(l->ssl);

    (void)snprintf(l->error, sizeof(l->error),
                   "the certificate '%s' of %s is not good under our CA '%s' (%s): %s; give that "
                   "node a certificate of this cluster's CA (`dfs pki`)",
                   l->refused_name, l->peer_addr, l->tls->ca_name, l->tls->ca_file,
                   X509_verify_cert_error_string(verify));
    return -EACCES;
}

/* Turns what OpenSSL has on its error queue into a code of ours and a text. */
static int explain(struct tls_link *l, int ssl_error)
{
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_REASON(e);

    if (ssl_error == SSL_ERROR_SYSCALL && l->sys_error != 0) {
        (void)snprintf(l->error, sizeof(l->error), "receiving failed: %s", strerror(l->sys_error));
        return -l->sys_error;
    }
    if (l->at_end || e == 0) {
        (void)snprintf(l->error, sizeof(l->error), "closed by the peer");
        return -ECONNRESET;
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return explain_refusal_by_us(l);
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        (void)snprintf(l->error, sizeof(l->error),
                       "%s showed no certificate; it needs one of the CA '%s' (%s)", l->peer_addr,
                       l->tls->ca_name, l->tls->ca_file);
        return -EACCES;
    }
    if (is_certificate_alert(reason)) {
        (void)snprintf(l->error, sizeof(l->error),
                       "%s refused our certificate %s (CA '%s'): %s; both sides need certificates "
                       "of one cluster CA (`dfs pki`)",
                       l->peer_addr, l->tls->cert_file, l->tls->ca_name,
                       ERR_reason_error_string(e));
        return -EACCES;
    }
    (void)snprintf(l->error, sizeof(l->error), "TLS with %s failed: %s", l->peer_addr,
                   ERR_reason_error_string(e));
    return -EPROTO;
}

static int result(struct tls_link *l, int r)
{
    int ssl_error = SSL_get_error(l->ssl, r);
    int code;

    if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (ssl_error == SSL_ERROR_ZERO_RETURN)
        return 0;
    code = explain(l, ssl_error);
    ERR_clear_error();
    return code;
}

int tls_link_handshake(struct tls_link *l, uint64_t *bytes_out)
{
    X509 *cert;
    int r, sent;

    ERR_clear_error();
    r = SSL_do_handshake(l->ssl);
    if (r != 1)
        r = result(l, r);
    sent = tls_link_send(l, bytes_out); /* Also the alert that says why we refuse. */
    if (r == -EAGAIN)
        return sent < 0 ? sent : 0;
    if (r <= 0)
        return r == 0 ? -ECONNRESET : r;
    cert = SSL_get1_peer_certificate(l->ssl);
    subject_field(cert, NID_commonName, l->peer_name);
    subject_field(cert, NID_organizationalUnitName, l->peer_role);
    X509_free(cert);
    if (l->peer_role[0] == '\0') /* "" is what plain connections have: it may do more. */
        (void)snprintf(l->peer_role, sizeof(l->peer_role), "none");
    return 1;
}

const char *tls_link_error(const struct tls_link *l)
{
    return l->error;
}

const char *tls_link_peer_name(const struct tls_link *l)
{
    return l->peer_name;
}

const char *tls_link_peer_role(const struct tls_link *l)
{
    return l->peer_role;
}

bool tls_link_has_room(const struct tls_link *l)
{
    return OUT_BYTES - tls_link_pending(l) >= TLS_RECORD_BYTES + RECORD_OVERHEAD_MAX;
}

int tls_link_encrypt(struct tls_link *l, const void *bytes, size_t len)
{
    size_t done = 0;
    int r;

    ERR_clear_error();
    r = SSL_write_ex(l->ssl, bytes, len, &done);
    if (r == 1)
        return done == len ? 0 : -EPROTO; /* One record, with room for it: all or nothing. */
    r = result(l, r);
    return r < 0 && r != -EAGAIN ? r : -EPROTO;
}

size_t tls_link_pending(const struct tls_link *l)
{
    return l->out_end - l->out_start;
}

int tls_link_send(struct tls_link *l, uint64_t *bytes_out)
{
    while (l->out_start < l->out_end) {
        ssize_t n = send(l->fd, l->out + l->out_start, l->out_end - l->out_start, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        l->out_start += (size_t)n;
        *bytes_out += (uint64_t)n;
    }
    return 1;
}

ssize_t tls_link_recv(struct tls_link *l, void *buf, size_t len, uint64_t *bytes_in)
{
    size_t done = 0;
    int r;

    ERR_clear_error();
    r = SSL_read_ex(l->ssl, buf, len, &done);
    *bytes_in += l->bytes_in;
    l->bytes_in = 0;
    if (r == 1)
        return (ssize_t)done;
    return result(l, r);
}

bool tls_link_is_drained(const struct tls_link *l)
{
    return l->was_short && SSL_has_pending(l->ssl) == 0;
}
