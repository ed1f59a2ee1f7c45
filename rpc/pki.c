/* Making certificates, with OpenSSL's X509 calls: see pki.h. */
#include "rpc/pki.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/buf.h"
#include "common/compiler.h"
#include "common/mem.h"
#include "common/strutil.h"

enum {
    CA_DAYS = 3652,
    LEAF_DAYS = 1826,
    BACKDATE_S = 3600, /* hosts whose clock is a little behind accept it too */
    SERIAL_BYTES = 16,
    NAME_MAX_BYTES = 64, /* of a CN and an OU, by X.520 */
};

#define CLEANUP_TEXT __attribute__((cleanup(text_cleanup)))
#define CLEANUP_KEY __attribute__((cleanup(key_cleanup)))
#define CLEANUP_CERT __attribute__((cleanup(cert_cleanup)))

struct ca {
    EVP_PKEY *key;
    X509 *cert;
};

static void ca_done(struct ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->cert);
}

static void key_cleanup(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void cert_cleanup(X509 **p)
{
    X509_free(*p);
}

static void text_cleanup(char **p)
{
    free(*p);
}

/* What goes wrong and where it is to be told. */
struct report {
    char *err;
    size_t size;
};

static int fail(const struct report *rep, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail(const struct report *rep, int code, const char *fmt, ...)
{
    va_list ap;

    ERR_clear_error();
    if (rep->err != NULL && rep->size > 0) {
        va_start(ap, fmt);
        (void)vsnprintf(rep->err, rep->size, fmt, ap);
        va_end(ap);
    }
    return code;
}

static bool is_plain_name(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return n > 0 && n <= NAME_MAX_BYTES && s[n] == '\0' && s[0] != '.' && s[0] != '-';
}

/* ---- files ---- */

static char *path_of(const char *dir, const char *name, const char *suffix)
{
    char *file = mem_printf("%s%s", name, suffix);
    char *path = str_path_join(dir, file);

    free(file);
    return path;
}

static int check_absent(const struct report *rep, const char *path)
{
    if (access(path, F_OK) == 0)
        return fail(rep, -EEXIST, "%s exists already and is not overwritten", path);
    return 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* O_EXCL: of two at once, one wins and nothing is overwritten. */
static int write_new(const struct report *rep, const char *path, mode_t mode, BIO *pem)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(pem, &bytes);
    int fd, r;

    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        r = -errno;
        return fail(rep, r, "%s can't be created: %s", path, strerror(-r));
    }
    /* Not narrowed by the umask, so that nodes that run as another user can read certificates. */
    r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, bytes, (size_t)len);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r < 0) {
        (void)unlink(path);
        return fail(rep, r, "%s can't be written: %s", path, strerror(-r));
    }
    return 0;
}

static int write_key(const struct report *rep, const char *path, EVP_PKEY *key)
{
    BIO *pem = BIO_new(BIO_s_mem());
    int r;

    if (pem == NULL || !PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL))
        r = fail(rep, -EIO, "OpenSSL could not encode the key for %s", path);
    else
        r = write_new(rep, path, 0600, pem);
    BIO_free(pem);
    return r;
}

static int write_cert(const struct report *rep, const char *path, X509 *cert)
{
    BIO *pem = BIO_new(BIO_s_mem());
    int r;

    if (pem == NULL || !PEM_write_bio_X509(pem, cert))
        r = fail(rep, -EIO, "OpenSSL could not encode the certificate for %s", path);
    else
        r = write_new(rep, path, 0644, pem);
    BIO_free(pem);
    return r;
}

/* Both or none: a certificate without its key would block the next try. */
static int write_pair(const struct report *rep, const char *dir, const char *name, EVP_PKEY *key,
                      X509 *cert)
{
    CLEANUP_TEXT char *key_path = path_of(dir, name, ".key");
    CLEANUP_TEXT char *cert_path = path_of(dir, name, ".crt");
    int r;

    r = check_absent(rep, cert_path);
    if (r == 0)
        r = check_absent(rep, key_path);
    if (r == 0)
        r = write_key(rep, key_path, key);
    if (r < 0)
        return r;
    r = write_cert(rep, cert_path, cert);
    if (r < 0)
        (void)unlink(key_path);
    return r;
}

/* ---- certificates ---- */

static bool set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_BYTES];
    BIGNUM *n;
    bool ok;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (uint8_t)((bytes[0] & 0x3f) | 0x40); /* Positive, and always of the same length. */
    n = BN_bin2bn(bytes, sizeof(bytes), NULL);
    ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return ok;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    bool ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool set_subject(X509 *cert, const char *cn, const char *ou)
{
    X509_NAME *name = X509_get_subject_name(cert);

    if (!X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
                                    (const unsigned char *)"dfs", -1, -1, 0))
        return false;
    if (ou != NULL && !X509_NAME_add_entry_by_NID(name, NID_organizationalUnitName, MBSTRING_UTF8,
                                                  (const unsigned char *)ou, -1, -1, 0))
        return false;
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)cn, -1, -1, 0) == 1;
}

/* Version, serial, times, subject and key: what CA and leaf have alike. NULL when OpenSSL fails. */
static X509 *cert_new(EVP_PKEY *key, const char *cn, const char *ou, int days)
{
    X509 *cert = X509_new();

    if (cert != NULL && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE_S) != NULL &&
        X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) != NULL &&
        set_subject(cert, cn, ou) && X509_set_pubkey(cert, key))
        return cert;
    X509_free(cert);
    return NULL;
}

static bool ca_sign_self(X509 *cert, EVP_PKEY *key)
{
    return X509_set_issuer_name(cert, X509_get_subject_name(cert)) &&
           add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(cert, cert, NID_subject_key_identifier, "hash") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static bool leaf_sign(X509 *cert, const struct ca *ca, const char *sans)
{
    return X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) &&
           add_extension(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, ca->cert, NID_ext_key_usage, "serverAuth,clientAuth") &&
           add_extension(cert, ca->cert, NID_subject_key_identifier, "hash") &&
           add_extension(cert, ca->cert, NID_authority_key_identifier, "keyid") &&
           (sans[0] == '\0' || add_extension(cert, ca->cert, NID_subject_alt_name, sans)) &&
           X509_sign(cert, ca->key, EVP_sha256()) > 0;
}

int pki_ca_create(const char *dir, const char *cluster, char *err, size_t err_size)
{
    const struct report rep = {err, err_size};
    CLEANUP_TEXT char *cn = mem_printf("dfs CA %s", cluster);
    CLEANUP_KEY EVP_PKEY *key = NULL;
    CLEANUP_CERT X509 *cert = NULL;

    if (!is_plain_name(cluster) || strlen(cn) > NAME_MAX_BYTES)
        return fail(&rep, -EINVAL,
                    "\"%s\" is no name for a cluster: at most 57 letters, digits, '.', '_', '-'",
                    cluster);
    key = EVP_EC_gen("P-256");
    cert = key != NULL ? cert_new(key, cn, NULL, CA_DAYS) : NULL;
    if (cert == NULL || !ca_sign_self(cert, key))
        return fail(&rep, -EIO, "OpenSSL could not make the CA");
    return write_pair(&rep, dir, "ca", key, cert);
}

/* ---- issuing ---- */

static int open_pem(const struct report *rep, const char *path, BIO **ret_bio)
{
    BIO *b = BIO_new_file(path, "r");
    int r;

    if (b == NULL) {
        r = errno != 0 ? -errno : -EIO;
        return fail(rep, r, "%s can't be read: %s%s", path, strerror(-r),
                    r == -ENOENT ? "; make the CA first (`dfs pki init`)" : "");
    }
    *ret_bio = b;
    return 0;
}

static int ca_load(const struct report *rep, const char *dir, struct ca *ca)
{
    CLEANUP_TEXT char *key_path = path_of(dir, "ca", ".key");
    CLEANUP_TEXT char *cert_path = path_of(dir, "ca", ".crt");
    BIO *b = NULL;
    int r;

    r = open_pem(rep, cert_path, &b);
    if (r < 0)
        return r;
    ca->cert = PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    if (ca->cert == NULL)
        return fail(rep, -EBADMSG, "%s holds no certificate in PEM form", cert_path);
    r = open_pem(rep, key_path, &b);
    if (r < 0)
        return r;
    ca->key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    BIO_free(b);
    if (ca->key == NULL)
        return fail(rep, -EBADMSG, "%s holds no private key in PEM form", key_path);
    if (X509_check_private_key(ca->cert, ca->key) != 1)
        return fail(rep, -EKEYREJECTED, "%s is not the key of %s", key_path, cert_path);
    return 0;
}

/* "DNS:host,IP:10.0.0.1", in the syntax that OpenSSL wants, so nothing but names may pass. */
static int format_sans(const struct report *rep, const char *const *sans, size_t count,
                       struct buf *out)
{
    uint8_t addr[sizeof(struct in6_addr)];

    for (size_t i = 0; i < count; i++) {
        bool is_addr =
            inet_pton(AF_INET, sans[i], addr) == 1 || inet_pton(AF_INET6, sans[i], addr) == 1;

        if (!is_addr && !is_plain_name(sans[i]))
            return fail(rep, -EINVAL, "\"%s\" is neither a host name nor an address", sans[i]);
        buf_printf(out, "%s%s:%s", out->len > 0 ? "," : "", is_addr ? "IP" : "DNS", sans[i]);
    }
    buf_append_u8(out, 0);
    return 0;
}

bool pki_is_role(const char *role)
{
    static const char *const roles[] = {"namenode", "datanode", "client", "admin"};

    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        if (strcmp(role, roles[i]) == 0)
            return true;
    }
    return false;
}

int pki_issue(const char *ca_dir, const char *name, const char *role, const char *const *sans,
              size_t san_count, const char *out_dir, char *err, size_t err_size)
{
    const struct report rep = {err, err_size};
    __attribute__((cleanup(ca_done))) struct ca ca = {0};
    CLEANUP_KEY EVP_PKEY *key = NULL;
    CLEANUP_CERT X509 *cert = NULL;
    CLEANUP_BUF struct buf san_text = {0};
    int r;

    if (!is_plain_name(name) || strcmp(name, "ca") == 0)
        return fail(&rep, -EINVAL,
                    "\"%s\" is no name for a certificate: letters, digits, '.', '_', "
                    "'-', and not \"ca\"",
                    name);
    if (!pki_is_role(role))
        return fail(&rep, -EINVAL, "the role \"%s\" is none of namenode, datanode, client, admin",
                    role);
    r = format_sans(&rep, sans, san_count, &san_text);
    if (r == 0)
        r = ca_load(&rep, ca_dir, &ca);
    if (r < 0)
        return r;
    key = EVP_EC_gen("P-256");
    cert = key != NULL ? cert_new(key, name, role, LEAF_DAYS) : NULL;
    if (cert == NULL || !leaf_sign(cert, &ca, (const char *)san_text.data))
        return fail(&rep, -EIO, "OpenSSL could not make the certificate for %s", name);
    return write_pair(&rep, out_dir, name, key, cert);
}
