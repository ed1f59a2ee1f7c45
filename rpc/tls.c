/* Certificates and settings of TLS, loaded once for all connections of a process. */
#include "rpc/tls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/clock.h"
#include "common/mem.h"
#include "rpc/tls_impl.h"

enum {
    READ_BUFFER_BYTES = 64 << 10, /* ciphertext taken by one recv(2) */
    LOG_EVERY_S = 60,
};

static int fail(char *err, size_t err_size, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static int fail(char *err, size_t err_size, int code, const char *fmt, ...)
{
    va_list ap;

    ERR_clear_error();
    if (err != NULL && err_size > 0) {
        va_start(ap, fmt);
        (void)vsnprintf(err, err_size, fmt, ap);
        va_end(ap);
    }
    return code;
}

static int check_readable(const char *file, const char *what, char *err, size_t err_size)
{
    if (access(file, R_OK) == 0)
        return 0;
    if (errno == ENOENT)
        return fail(
            err, err_size, -ENOENT,
            "the %s %s does not exist; make one with `dfs pki` or correct the configuration", what,
            file);
    return fail(err, err_size, -errno, "the %s %s can't be read: %s", what, file, strerror(errno));
}

static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL)
        return NULL;
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                       "TLS_CHACHA20_POLY1305_SHA256")) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_BUFFER_BYTES);
    return ctx;
}

static int load(SSL_CTX *ctx, const char *ca_file, const char *cert_file, const char *key_file,
                char *err, size_t err_size)
{
    if (SSL_CTX_load_verify_locations(ctx, ca_file, NULL) != 1)
        return fail(err, err_size, -EBADMSG, "%s holds no certificate in PEM form", ca_file);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        return fail(err, err_size, -EBADMSG, "%s holds no certificate in PEM form", cert_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1) {
        if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
            return fail(err, err_size, -EKEYREJECTED,
                        "the key %s does not belong to the certificate %s", key_file, cert_file);
        return fail(err, err_size, -EBADMSG, "%s holds no private key in PEM form", key_file);
    }
    if (SSL_CTX_check_private_key(ctx) != 1)
        return fail(err, err_size, -EKEYREJECTED,
                    "the key %s does not belong to the certificate %s", key_file, cert_file);
    return 0;
}

/* Our own certificate as a peer will see it: better to hear it here than from every peer. */
static int verify_own(SSL_CTX *ctx, const char *ca_file, const char *cert_file, char *err,
                      size_t err_size)
{
    X509_STORE_CTX *verify = X509_STORE_CTX_new();
    int code = X509_V_ERR_OUT_OF_MEM;

    if (verify != NULL && X509_STORE_CTX_init(verify, SSL_CTX_get_cert_store(ctx),
                                              SSL_CTX_get0_certificate(ctx), NULL) == 1) {
        (void)X509_verify_cert(verify);
        code = X509_STORE_CTX_get_error(verify);
    }
    X509_STORE_CTX_free(verify);
    if (code == X509_V_OK)
        return 0;
    if (code == X509_V_ERR_CERT_HAS_EXPIRED)
        return fail(err, err_size, -EKEYEXPIRED,
                    "the certificate %s has expired; issue a new one with `dfs pki`", cert_file);
    return fail(err, err_size, -EKEYREJECTED,
                "the certificate %s is not good under the CA %s: %s; issue one with `dfs pki` and "
                "that CA",
                cert_file, ca_file, X509_verify_cert_error_string(code));
}

static char *subject_of_file(const char *file, int nid, const char *unknown)
{
    char name[128] = "";
    FILE *f = fopen(file, "re");
    X509 *cert = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

    if (cert != NULL)
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), nid, name, (int)sizeof(name));
    X509_free(cert);
    if (f != NULL)
        (void)fclose(f);
    return mem_strdup(name[0] != '\0' ? name : unknown);
}

int tls_new(const char *ca_file, const char *cert_file, const char *key_file, struct tls **ret_tls,
            char *err, size_t err_size)
{
    CLEANUP(tls) struct tls *t = NULL;
    int r;

    r = check_readable(ca_file, "CA certificate", err, err_size);
    if (r == 0)
        r = check_readable(cert_file, "certificate", err, err_size);
    if (r == 0)
        r = check_readable(key_file, "private key", err, err_size);
    if (r < 0)
        return r;

    t = MEM_NEW(struct tls);
    t->refs = 1;
    t->ca_file = mem_strdup(ca_file);
    t->cert_file = mem_strdup(cert_file);
    t->ca_name = subject_of_file(ca_file, NID_commonName, "?");
    t->role = subject_of_file(cert_file, NID_organizationalUnitName, "");
    t->server = context_new(TLS_server_method());
    t->client = context_new(TLS_client_method());
    if (t->server == NULL || t->client == NULL)
        return fail(err, err_size, -EIO, "OpenSSL could not be set up for TLS 1.3");
    r = load(t->server, ca_file, cert_file, key_file, err, err_size);
    if (r == 0)
        r = load(t->client, ca_file, cert_file, key_file, err, err_size);
    if (r == 0)
        r = verify_own(t->client, ca_file, cert_file, err, err_size);
    if (r < 0)
        return r;

    *ret_tls = STEAL(t);
    return 0;
}

int tls_check_role(const struct tls *t, const char *role, char *err, size_t err_size)
{
    if (strcmp(t->role, role) == 0)
        return 0;
    return fail(err, err_size, -EACCES,
                "the certificate %s is for the role '%s', this program needs one for '%s'; make it "
                "with `dfs pki issue NAME %s`",
                t->cert_file, t->role, role, role);
}

struct tls *tls_ref(struct tls *t)
{
    if (t != NULL)
        __atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
    return t;
}

void tls_free(struct tls *t)
{
    if (t == NULL || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    SSL_CTX_free(t->server);
    SSL_CTX_free(t->client);
    free(t->ca_file);
    free(t->cert_file);
    free(t->ca_name);
    free(t->role);
    free(t);
}

bool tls_may_log(struct tls *t, uint64_t now_ns)
{
    uint64_t last = __atomic_load_n(&t->logged_ns, __ATOMIC_RELAXED);

    if (last != 0 && now_ns - last < LOG_EVERY_S * CLOCK_NS_PER_S)
        return false;
    return __atomic_compare_exchange_n(&t->logged_ns, &last, now_ns, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}
