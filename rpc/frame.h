/*
 * Everything on the wire is a frame:
 *
 *   0        4      6       8          16         20         24         28        32
 *   | magic  | type | flags | rpc_id   | body_len | data_len | body_crc | hdr_crc | body … | data …
 *
 * Little-endian. hdr_crc covers bytes 0..27, body_crc the protobuf body; data carries its own
 * CRCs (see chunk.proto). Lengths are checked against common/limits.h before a byte is read.
 */
#ifndef RPC_FRAME_H
#define RPC_FRAME_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FRAME_HEADER_SIZE = 32,
    FRAME_MAGIC = 0x31736664, /* "dfs1" */
};

enum frame_flags {
    FRAME_REPLY = 1 << 0,
    FRAME_ERROR = 1 << 1,  /* with REPLY: the body is an Error */
    FRAME_ONEWAY = 1 << 2, /* no reply is expected */
};

/* Never renumber. The request's and its reply's body are named beside each. */
enum msg_type {
    MSG_PING = 1,           /* Empty -> Empty */
    MSG_DATA_HELLO = 2,     /* DataHello -> DataHelloReply */
    MSG_META = 10,          /* MetaRequest -> MetaReply */
    MSG_SESSION_OPEN = 11,  /* SessionOpenRequest -> SessionOpenReply */
    MSG_SESSION_RENEW = 12, /* SessionRenewRequest -> SessionRenewReply */
    MSG_SESSION_CLOSE = 13, /* SessionCloseRequest -> SessionCloseReply */
    MSG_CLUSTER_MAP = 14,   /* MapRequest -> MapReply */
    MSG_RAFT = 20,          /* one-way; body: raft_msg_encode() */
    MSG_SNAP_DATA = 21,     /* namenode to namenode, see namenode/raft_snap.h */
    MSG_SNAP_WANT = 22,
    MSG_PEER_HELLO = 23,    /* one-way, namenode to namenode: PeerHello */
    MSG_NODE_SPACE = 25,    /* one-way: NodeSpace, a namenode to the leader */
    MSG_NODE_REGISTER = 30, /* NodeRegisterRequest -> NodeRegisterReply */
    MSG_HEARTBEAT = 31,     /* HeartbeatRequest -> HeartbeatReply */
    MSG_BAD_CHUNK = 32,     /* BadChunkReport -> Empty */
    MSG_PG_CONFIG = 33,     /* PgConfigPush -> PgConfigAck */
    MSG_CHUNK_OP = 40,      /* ChunkOp + payload -> ChunkOpReply */
    MSG_CHUNK_READ = 41,    /* ChunkReadRequest -> ChunkReadReply + payload */
    MSG_CHAIN_HELLO = 42,   /* ChainHello -> ChainHelloAck */
    MSG_CHAIN_OP = 43,      /* one-way: ChainOp + payload */
    MSG_CHAIN_ACK = 44,     /* one-way: ChainAck */
    MSG_EPOCH_CONFIRM = 45, /* EpochConfirm -> EpochConfirmReply */
    MSG_SYNC_BEGIN = 46,    /* SyncBeginRequest -> SyncBeginReply */
    MSG_SYNC_LIST = 47,     /* SyncListRequest -> SyncListReply */
    MSG_SYNC_CRCS = 48,     /* SyncCrcsRequest -> SyncCrcsReply + payload */
    MSG_SYNC_READ = 49,     /* SyncReadRequest -> ChunkReadReply + payload */
    MSG_INVENTORY = 50,     /* InventoryRequest -> InventoryReply */
    MSG_REPORT = 60,        /* ReportRequest -> ReportReply */
    MSG_STATUS = 61,        /* StatusRequest -> StatusReply */
    MSG_TRANSFER = 62,      /* TransferRequest -> Empty */
    MSG_MEMBER = 63,        /* MemberRequest -> Empty */
    MSG_TARGET_ADMIN = 66,  /* TargetAdminRequest -> TargetAdminReply */
    MSG_BACKUP_POINT = 69,  /* Empty -> BackupPointReply */
    MSG_BACKUP_BEGIN = 70,  /* BackupRequest -> BackupReply */
    MSG_BACKUP_WANT = 71,   /* SnapWant -> SnapData + payload, of what BACKUP_BEGIN answered */
    MSG_FSCK = 80,          /* FsckRequest -> FsckReply */
};

struct frame_header {
    uint16_t type;
    uint16_t flags;
    uint64_t rpc_id;
    uint32_t body_len;
    uint32_t data_len;
    uint32_t body_crc;
};

/* Writes FRAME_HEADER_SIZE bytes, CRC included. */
void frame_encode(const struct frame_header *h, uint8_t out[FRAME_HEADER_SIZE]);

/*
 * -EPROTO  wrong magic, header CRC, or a length over the limits of common/limits.h
 */
int frame_decode(const uint8_t in[FRAME_HEADER_SIZE], struct frame_header *ret_header);

/* "CHUNK_OP" for MSG_CHUNK_OP, "?" when unknown. Static storage. For logs and metrics. */
const char *msg_type_name(uint16_t type);

#endif
