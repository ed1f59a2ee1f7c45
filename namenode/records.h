/*
 * What the state machine stores, as structs, and their bytes: fixed little-endian fields behind a
 * version byte. An unknown version or a length that does not fit is refused (-EBADMSG), never
 * guessed: a decoder believes nothing, its bytes may come from a damaged disk.
 */
#ifndef NAMENODE_RECORDS_H
#define NAMENODE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"

enum {
    REC_UUID_SIZE = 16,
    REC_STRING_SIZE = 64, /* addresses and names, with their NUL */
    REC_DATA_KEY_MAX = 64,
    REC_PG_MEMBERS_MAX = PG_MEMBERS_MAX,
    REC_PAGE_CHUNKS = 256, /* chunk map entries in one record: 16 GiB of a file */
    REC_BYTES_MAX = 8192,  /* no encoded record is longer (values may be) */
    VALUE_HEADER_SIZE = 1, /* of values, see value_encode_header() */
};

struct inode_rec {
    uint64_t ino;
    uint32_t mode, uid, gid, nlink;
    uint64_t rdev, size;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
    uint64_t data_version, dir_version;
    uint64_t parent;      /* directories: of their one entry; root: itself. Other inodes: where they
                             count (fsm_usage.h); 0 without links and in a store of format 1 */
    uint64_t entry_count; /* directories */
    uint32_t chunk_count; /* entries of the chunk map */
    uint32_t xattr_bytes; /* of all names (each with its NUL) and values; 0: no xattrs */
    bool is_inline;       /* content is in F; bytes of size past it are zeros */
    bool trunc_pending;   /* size lies in this chunk, and bytes past it may still be there */
    uint64_t trunc_chunk;
    uint32_t trunc_pg, trunc_from;
    uint64_t trunc_version; /* no two truncations of it have the same; 0: of a format before */
    uint8_t
        copies; /* of chunks that a file gets, and what is made in a directory inherits; 0: as many
                       as the cluster's */
};

struct dentry_rec {
    uint64_t ino;
    uint32_t type; /* S_IFMT bits */
};

/* Bytes of many files: a sparse one alone may have 2^58, so that 64 bits could be made to wrap. */
typedef unsigned __int128 usage_bytes;

/* What lies in the tree below a directory, and what may; none: nothing does, all may. */
struct usage_rec {
    uint64_t files; /* all that is no directory */
    uint64_t dirs;
    usage_bytes bytes;                  /* st_size of the regular files */
    uint64_t quota_inodes, quota_bytes; /* 0: no limit */
};

/* How many of a file's names are in one directory; only for files of several names. */
struct link_rec {
    uint32_t names;
};

struct chunk_rec {
    uint64_t chunk_id;
    uint32_t pg;
    uint16_t slot; /* index in the page */
    bool materialized;
};

/* One record of the chunk map, slots ascending. */
struct chunk_page {
    unsigned count;
    struct chunk_rec chunks[REC_PAGE_CHUNKS];
};

/* The reverse map: whose chunk it is. */
struct chunk_owner_rec {
    uint64_t ino;
    uint32_t index;
};

struct pg_member_rec {
    uint32_t target;
    uint64_t incarnation;
    uint8_t state; /* Dfs__MemberState */
    uint64_t last_serving_epoch;
};

struct pg_rec {
    uint32_t pg;
    uint64_t epoch, cold_epoch, reset_epoch, fence_version;
    uint32_t copies, min_write;
    unsigned member_count;
    struct pg_member_rec members[REC_PG_MEMBERS_MAX]; /* chain order, see meta.proto */
};

struct target_rec {
    uint32_t target;
    uint8_t uuid[REC_UUID_SIZE];
    uint8_t state; /* Dfs__TargetState */
    uint64_t incarnation, bytes_total;
    int64_t maintenance_until_ns; /* its absence is not answered by repair before; 0: none */
    char host[REC_STRING_SIZE], addr[REC_STRING_SIZE], node[REC_STRING_SIZE];
    char rack[REC_STRING_SIZE]; /* "": not told */
};

struct session_rec {
    uint64_t session;
    uint8_t uuid[REC_UUID_SIZE];
    char name[REC_STRING_SIZE];
    uint64_t opened_index;
    int64_t opened_ns;
    uint64_t ack_floor; /* replies below it are forgotten */
    uint64_t seq_max;   /* the highest seq executed */
};

/* A session that was evicted: its writes are refused at the datanodes. */
struct fence_rec {
    uint64_t session;
    uint64_t fence_version;
    int64_t since_ns;
    bool done; /* every chain has acknowledged it: conflicting grants may go out */
};

struct namenode_rec {
    uint64_t replica_id;
    uint8_t uuid[REC_UUID_SIZE];
    char addr[REC_STRING_SIZE];
};

struct cluster_rec {
    uint8_t uuid[REC_UUID_SIZE];
    uint32_t copies, pgs_per_target, min_write;
    uint32_t data_key_len;
    uint8_t data_key[REC_DATA_KEY_MAX];
    int64_t created_ns;
};

/* Of a store that was made out of a backup (restore.h). */
struct restored_rec {
    uint8_t group[REC_UUID_SIZE]; /* what namenodes call themselves among each other, for the
                                     cluster's uuid: those from before the restore are strangers */
    uint64_t session_floor;       /* sessions below it are of the time before */
    uint64_t index, term;         /* of the backup */
    int64_t made_s, restored_s;   /* Unix time */
};

/* How far the values of an earlier format have got their version (fsm_value.h). */
struct convert_pos {
    char kind;        /* 0: they all have it; kinds before it, in order of their letters, too... */
    uint64_t id;      /* ...and of it those of ids below this one... */
    uint64_t ino_end; /* ...and those of inodes from here on, which began later */
};

/* Which repair comes next (RepairOp). */
struct repair_rec {
    uint64_t walk, next; /* the walk whose repairs these are, and the number of the next */
    uint64_t last_index; /* of the entry that had the last one */
};

/* What changes with every batch; one record, written in the batch it describes. */
struct state_rec {
    uint64_t index, term; /* of the last entry applied */
    uint64_t hash;        /* over all batches up to it */
    int64_t time_ns;      /* of the last operation */
    uint64_t next_ino, next_chunk, next_session;
    uint32_t next_target, next_pg;
    uint64_t fence_version; /* grows with every eviction */
    uint64_t map_version;   /* grows with every change of a PG or target */
    uint64_t inode_count, chunk_count, garbage_count, session_count, reap_count;
    uint64_t quota_count; /* directories with a quota */
    uint32_t format;      /* of everything in the store and, from here on, the log (fsm.h) */
    struct convert_pos convert;
};

/* Encoders: out has room for REC_BYTES_MAX; they return the length. Ids that are in the key are not
 * in the bytes: the decoder is told them. */
size_t inode_rec_encode(const struct inode_rec *rec, uint8_t *out);
int inode_rec_decode(uint64_t ino, const uint8_t *data, size_t len, struct inode_rec *ret_rec);
size_t dentry_rec_encode(const struct dentry_rec *rec, uint8_t *out);
int dentry_rec_decode(const uint8_t *data, size_t len, struct dentry_rec *ret_rec);
size_t usage_rec_encode(const struct usage_rec *rec, uint8_t *out);
int usage_rec_decode(const uint8_t *data, size_t len, struct usage_rec *ret_rec);
size_t link_rec_encode(const struct link_rec *rec, uint8_t *out);
int link_rec_decode(const uint8_t *data, size_t len, struct link_rec *ret_rec);
size_t chunk_page_encode(const struct chunk_page *page, uint8_t *out);
int chunk_page_decode(const uint8_t *data, size_t len, struct chunk_page *ret_page);
size_t chunk_owner_rec_encode(const struct chunk_owner_rec *rec, uint8_t *out);
int chunk_owner_rec_decode(const uint8_t *data, size_t len, struct chunk_owner_rec *ret_rec);
size_t pg_rec_encode(const struct pg_rec *rec, uint8_t *out);
int pg_rec_decode(uint32_t pg, const uint8_t *data, size_t len, struct pg_rec *ret_rec);
size_t target_rec_encode(const struct target_rec *rec, uint8_t *out);
int target_rec_decode(uint32_t target, const uint8_t *data, size_t len, struct target_rec *ret_rec);
size_t session_rec_encode(const struct session_rec *rec, uint8_t *out);
int session_rec_decode(uint64_t session, const uint8_t *data, size_t len,
                       struct session_rec *ret_rec);
size_t fence_rec_encode(const struct fence_rec *rec, uint8_t *out);
int fence_rec_decode(uint64_t session, const uint8_t *data, size_t len, struct fence_rec *ret_rec);
size_t namenode_rec_encode(const struct namenode_rec *rec, uint8_t *out);
int namenode_rec_decode(uint64_t replica_id, const uint8_t *data, size_t len,
                        struct namenode_rec *ret_rec);
size_t cluster_rec_encode(const struct cluster_rec *rec, uint8_t *out);
int cluster_rec_decode(const uint8_t *data, size_t len, struct cluster_rec *ret_rec);
size_t restored_rec_encode(const struct restored_rec *rec, uint8_t *out);
int restored_rec_decode(const uint8_t *data, size_t len, struct restored_rec *ret_rec);
/*
 * Values are bytes that mean something to others than the state machine, and bare ids: content of
 * files, targets of symlinks, values of xattrs, answers (F L X R), ids (n t). Behind a version byte
 * they stand as they are. Those of formats before FSM_FORMAT_VALUES lack it: fsm_value.h knows which.
 */
void value_encode_header(uint8_t *out);
/* Points into data. -EBADMSG: no version, or one that is not known. */
int value_decode(const uint8_t *data, size_t len, const uint8_t **ret_value, size_t *ret_len);
/* Their kinds, in the order of the store. */
#define VALUE_KINDS "FLRXnt"
bool value_is_kind(uint8_t kind);

size_t repair_rec_encode(const struct repair_rec *rec, uint8_t *out);
int repair_rec_decode(const uint8_t *data, size_t len, struct repair_rec *ret_rec);
/* The hash stands at this offset of the bytes, so that it can be filled in last. */
enum { STATE_REC_HASH_AT = 17 };
/* The bytes are those of the release that brought the format, without the fields that came later. A
 * later version than this program's is -EPROTONOSUPPORT. */
size_t state_rec_encode(const struct state_rec *rec, uint8_t *out);
int state_rec_decode(const uint8_t *data, size_t len, struct state_rec *ret_rec);

#endif
