/*
 * The cluster's own certificate authority: EC P-256 keys, ten years for the CA, five for what it
 * issues. Used by `dfs pki`, `dfs cluster up` and tests; daemons only load the results (rpc/tls.h).
 *
 * Files: ca.crt, ca.key, NAME.crt, NAME.key; keys have mode 0600. Nothing is ever overwritten.
 */
#ifndef RPC_PKI_H
#define RPC_PKI_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Makes ca.crt and ca.key in dir, which exists. cluster names the CA for people ("dfs CA cluster").
 * -EEXIST  there is one already
 * -errno   of writing; err says what and where
 */
int pki_ca_create(const char *dir, const char *cluster, char *err, size_t err_size);

/* "namenode", "datanode", "client" or "admin". */
bool pki_is_role(const char *role);

/*
 * Issues out_dir/NAME.crt and NAME.key with the CA of ca_dir. role (see
 * pki_is_role) becomes the OU. sans: host names and addresses, may be none.
 * -EINVAL  name or role not of [A-Za-z0-9._-], or too long; a SAN that is no host name or address
 * -EEXIST  NAME.crt or NAME.key is there already
 * -ENOENT  no CA in ca_dir
 * -EBADMSG, -EKEYREJECTED  the CA's files are damaged or do not belong together
 */
int pki_issue(const char *ca_dir, const char *name, const char *role, const char *const *sans,
              size_t san_count, const char *out_dir, char *err, size_t err_size);

#endif
