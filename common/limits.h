/*
 * Each queue, table, message and name has its limit here, and each time its default. What comes
 * from the wire or the disk is checked against these before memory is taken for it.
 */
#ifndef COMMON_LIMITS_H
#define COMMON_LIMITS_H

#include <stdint.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

/* A chunk's number has 32 bits; the last is left out, so that the number of chunks has, too. */
#define FILE_SIZE_MAX (UINT64_C(0xffffffff) * CHUNK_SIZE)

enum {
    /* Files and chunks. */
    CHUNK_BLOCK_SIZE = 4096, /* checksum grain */
    CHUNK_SIZE = 64 << 20,   /* of a file, but its last */
    CHUNK_BLOCKS = CHUNK_SIZE / CHUNK_BLOCK_SIZE,
    CHUNK_OP_MAX = 512 << 10, /* bytes one chunk operation writes or reads at its best */
    IO_SIZE_MAX = 1 << 20,    /* bytes of one write(2) or read(2) from the kernel */
    INLINE_MAX = 4096,        /* file bytes that may live in the metadata store */

    /* Names. */
    NAME_BYTES_MAX = 255,  /* one component, without NUL */
    PATH_BYTES_MAX = 4095, /* a path given to dfs.h, without NUL */
    SYMLINK_BYTES_MAX = 4095,
    XATTR_NAME_BYTES_MAX = 255,
    XATTR_VALUE_BYTES_MAX = 64 << 10,
    XATTR_INODE_BYTES_MAX = 64 << 10, /* all names and values of one inode: what listxattr gives */
    LINK_COUNT_MAX = 65000,
    GROUPS_MAX = 1024,      /* supplementary groups in a credential */
    ADDR_TEXT_MAX = 64,     /* "host:port" with its NUL */
    NAMENODE_ADDRS_MAX = 9, /* in a list of addresses */

    /* Frames. */
    FRAME_BODY_MAX = 4 << 20,
    FRAME_DATA_MAX = (1 << 20) + (1 << 20) / CHUNK_BLOCK_SIZE * 4, /* data and its CRC table */
    DIRECT_WRITE_MIN = 128 << 10, /* so much in one write goes past a datanode's page cache */
    SLAB_SIZE_MAX = (1 << 20) + CHUNK_BLOCK_SIZE, /* holds FRAME_DATA_MAX */
    CONN_CALLS_MAX = 65536,            /* requests of one connection waiting for replies */
    CONN_QUEUED_BYTES_MAX = 256 << 20, /* over it the peer is given up */
    READDIR_ENTRIES_MAX = 1000,        /* names in one reply */
    META_BATCH_OPS_MAX = 256,          /* operations in one log entry */
    TREE_SLICE_MAX = 64,               /* entries that one RemoveTreeOp removes */
    TREE_SLICE_DEPTH = 64,             /* directories inside each other that it goes into */
    TREE_NEXT_BYTES_MAX = 2048,        /* where it stopped, as a path */
    TREE_FAILED_BYTES_MAX = 1023,      /* what it could not remove, as a path */

    /* Replication. */
    PG_MEMBERS_MAX = 8,
    PG_COPIES = 3,
    COPIES_MAX = 3, /* that may be asked for of a directory or file */
    PG_MIN_WRITE = 2,
    PGS_PER_TARGET = 64,
    PG_COUNT_MAX = 1 << 20,
    TARGETS_PER_NODE_MAX = 64,
    UNSTABLE_BYTES_MAX = 64 << 20, /* executed at the head and not yet acknowledged by the tail */
    UNSTABLE_OPS_MAX = 512,
    DEDUP_WINDOW = 1024,    /* opseqs remembered for a (session, pg) */
    DIRTY_CHUNKS_MAX = 128, /* of one target; older ones are synced and marked clean */
    DISK_RESERVE_PERCENT = 5,

    /* Sessions. */
    SESSION_REPLIES_MAX = 4096, /* answers kept for retries */
    SESSION_COUNT_MAX = 100000,
    SESSION_NAME_MAX = 64,

    /* Threads and the rest. */
    WORKER_QUEUE_MAX = 1 << 16,
    HTTP_BODY_MAX = 16 << 20,
    CONF_FILE_BYTES_MAX = 1 << 20,

    /* Times. */
    RAFT_HEARTBEAT_MS = 50,
    RAFT_ELECTION_MIN_MS = 500,
    RAFT_ELECTION_MAX_MS = 1000,
    BOOT_QUARANTINE_MS = 1000,
    SESSION_LEASE_MS = 15000,
    SESSION_RENEW_MS = 3750,
    RECALL_MS_MAX = 10000,
    NODE_HEARTBEAT_MS = 500,
    NODE_SUSPECT_MS = 2000,
    NODE_REPLACE_MS = 60000,
    CHUNK_CLEAN_AFTER_MS = 10000,    /* without a write: synced and marked clean */
    WRITE_BEHIND_MS_MAX = 1000,      /* dirty client data is sent at the latest after this */
    TOMBSTONE_KEEP_MS = 3600 * 1000, /* of a deleted chunk, to refuse a late operation */
    AUTO_SYNC_MS = 5000,             /* and synced on the datanodes by itself after this */
    KV_FLUSH_MS = 30000,
    KV_FLUSH_BYTES = 64 << 20,
    KV_FLUSH_OPS = 65536, /* a restart replays no more: some 10 µs each */
    SCRUB_PASS_DAYS = 14,

    /* Ports. */
    NAMENODE_PORT = 8670,
    NAMENODE_HTTP_PORT = 8671,
    DATANODE_PORT = 8680,
    DATANODE_HTTP_PORT = 8681,
};

#endif
