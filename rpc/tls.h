/*
 * The door to OpenSSL: TLS 1.3 with both sides authenticated against the cluster CA.
 * One struct tls holds one certificate and may serve any number of connections.
 *
 * The cluster CA is the only root of trust: every certificate it has issued is a member. The
 * subject says who (CN) and what (OU: namenode, datanode, client, admin); see conn_peer_name() and
 * conn_peer_role(). Host names are not checked, so nodes may move.
 */
#ifndef RPC_TLS_H
#define RPC_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct tls;

/*
 * Loads ca.crt and NAME.crt, NAME.key (PEM) from the files.
 * -ENOENT, -EACCES, -EKEYREJECTED (key doesn't fit, or the CA has not issued the certificate),
 * -EKEYEXPIRED, -EBADMSG (not PEM): text in err says which file and what to do.
 */
int tls_new(const char *ca_file, const char *cert_file, const char *key_file, struct tls **ret_tls,
            char *err, size_t err_size);
/*
 * -EACCES  our own certificate says another role than this; text in err says what to do
 */
int tls_check_role(const struct tls *t, const char *role, char *err, size_t err_size);
/* Connections that use it go on. NULL is fine. */
void tls_free(struct tls *t);
DEFINE_CLEANUP(tls, tls_free)
/* What keeps it alive for a connection. NULL is fine. */
struct tls *tls_ref(struct tls *t);

/* True once a minute: refused certificates come with every attempt to connect. */
bool tls_may_log(struct tls *t, uint64_t now_ns);

#endif
