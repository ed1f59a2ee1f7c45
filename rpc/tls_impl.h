/* What tls.c and tls_link.c share. */
#ifndef RPC_TLS_IMPL_H
#define RPC_TLS_IMPL_H

#include <openssl/ssl.h>

#include "rpc/tls.h"

struct tls {
    SSL_CTX *server, *client;
    unsigned refs; /* atomic: connections may live on several loops */
    char *ca_file;
    char *cert_file;
    char *ca_name;      /* common name of the CA, for error texts */
    char *role;         /* what our own certificate says that we are; "" if nothing */
    uint64_t logged_ns; /* atomic; when a refusal was last logged: see tls_may_log() */
};

#endif
