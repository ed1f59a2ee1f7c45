/*
 * Who may ask what. The cluster CA says in each certificate (OU) what its holder is; a client must
 * not be able to speak as a namenode, whatever name it has.
 */
#ifndef RPC_ROLE_H
#define RPC_ROLE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * May a peer of this role ("namenode", "datanode", "client", "admin") send a request of this type?
 * An empty role is a plain connection: only servers that allow those (tests, or data_tls = off after
 * MSG_DATA_HELLO) ever deliver one, and then it may. Any other word may nothing but PING and STATUS.
 */
bool role_may_send(const char *role, uint16_t type);

#endif
