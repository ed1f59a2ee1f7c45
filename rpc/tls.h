/*
 * The door to OpenSSL: TLS 1.3 with both sides authenticated against the cluster CA.
 * One struct tls holds one certificate and may serve any number of connections.
 */
#ifndef RPC_TLS_H
#define RPC_TLS_H

#include <stddef.h>
#include <stdint.h>

struct tls;

/*
 * Loads ca.crt and NAME.crt, NAME.key (PEM) from the files.
 * -ENOENT, -EACCES, -EKEYREJECTED (key doesn't fit), -EBADMSG (not PEM): text in err says which
 * file and what to do.
 */
int tls_new(const char *ca_file, const char *cert_file, const char *key_file, struct tls **ret_tls,
            char *err, size_t err_size);
void tls_free(struct tls *t);

#endif
