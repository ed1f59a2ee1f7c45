/* See role.h. */
#include "rpc/role.h"

#include <string.h>

#include "common/compiler.h"
#include "rpc/frame.h"

enum { NAMENODE = 1, DATANODE = 2, CLIENT = 4, ADMIN = 8, ANYBODY = 15 };

static const struct {
    const char *name;
    unsigned bit;
} roles[] = {{"namenode", NAMENODE}, {"datanode", DATANODE}, {"client", CLIENT}, {"admin", ADMIN}};

static unsigned allowed_roles(uint16_t type)
{
    switch ((enum msg_type)type) {
    case MSG_PING:
    case MSG_STATUS:
    case MSG_REPORT:
    case MSG_CLUSTER_MAP:
    case MSG_INVENTORY:
        return ANYBODY;
    case MSG_META:
    case MSG_SESSION_OPEN:
    case MSG_SESSION_RENEW:
    case MSG_SESSION_CLOSE:
    case MSG_CHUNK_READ:
    case MSG_DATA_HELLO:
        return CLIENT | ADMIN | DATANODE;
    case MSG_CHUNK_OP: /* DELETE and FENCE come from the namenode, REPAIR from a chain member. */
        return CLIENT | ADMIN | NAMENODE | DATANODE;
    case MSG_RAFT:
    case MSG_SNAP_DATA:
    case MSG_SNAP_WANT:
    case MSG_NODE_SPACE:
    case MSG_PEER_HELLO:
    case MSG_PG_CONFIG:
        return NAMENODE;
    case MSG_NODE_REGISTER:
    case MSG_HEARTBEAT:
    case MSG_BAD_CHUNK:
    case MSG_CHAIN_HELLO:
    case MSG_CHAIN_OP:
    case MSG_CHAIN_ACK:
    case MSG_EPOCH_CONFIRM:
    case MSG_SYNC_BEGIN:
    case MSG_SYNC_LIST:
    case MSG_SYNC_CRCS:
    case MSG_SYNC_READ:
        return DATANODE;
    case MSG_TRANSFER:
        return ADMIN | NAMENODE;
    case MSG_MEMBER:
    case MSG_TARGET_ADMIN:
    case MSG_BACKUP_POINT:
    case MSG_BACKUP_BEGIN:
    case MSG_BACKUP_WANT:
    case MSG_FSCK:
        return ADMIN;
    }
    return 0;
}

bool role_may_send(const char *role, uint16_t type)
{
    if (role[0] == '\0' || type == MSG_PING || type == MSG_STATUS)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++)
        if (strcmp(role, roles[i].name) == 0)
            return (allowed_roles(type) & roles[i].bit) != 0;
    return false;
}
