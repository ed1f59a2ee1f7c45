/*
 * The client at inode level, asynchronous, on one loop: what the mount and dfs.h are built on.
 * One struct ll is one session with the namenodes.
 *
 * Every call takes a struct ll_call in the caller's memory, which must stay until the callback ran.
 * The callback runs exactly once, on the loop's thread, POSSIBLY BEFORE THE CALL RETURNS: a caller
 * does nothing after the call that the callback could have made void. Results are borrowed until
 * the callback returns. Status is 0 or -errno; DFS_E* codes never come out.
 *
 * Calls ride through failover of namenodes and datanodes without an error, for as long as
 * ll_options.io_timeout_ms says (0: for ever). ll_interrupt() ends the wait: -EINTR, or the real
 * result when a change has been sent already and its outcome must be learnt first.
 */
#ifndef LIBDFS_DFS_LL_H
#define LIBDFS_DFS_LL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/ids.h"

struct ll;
struct ll_file;
struct loop;
struct slab;
struct slab_pool;

struct ll_call {
    void (*interrupt)(struct ll_call *call); /* set by the callee while it can be interrupted */
    void *impl;
};
void ll_interrupt(struct ll_call *call);

struct ll_options {
    const char *namenodes;                      /* "host:port,host:port,..." */
    const char *ca_file, *cert_file, *key_file; /* all NULL: plain (tests only) */
    const char *client_name;                    /* told to operators; e.g. "host:/mnt" */
    uint32_t io_timeout_ms;                     /* 0: wait for ever */
    size_t dirty_bytes_max;                     /* write-behind memory, default 64 MiB */
    size_t readahead_bytes_max;                 /* read-ahead memory, default 256 MiB */
    uint32_t readahead_window; /* bytes in flight beyond a sequential reader, default 8 MiB */
    uint32_t flush_age_ms;     /* dirty data is sent at the latest after this, default 500 */
    uint32_t sync_age_ms;      /* and synced on the datanodes after this, default 5000 */
    char *problem;             /* a sentence when ll_new() gives an error; may be NULL */
    size_t problem_size;
};
void ll_options_init(struct ll_options *o);

/* Attributes; times in ns since the epoch. size and mtime contain this client's unflushed writes.
 */
struct ll_attr {
    struct ino ino;
    uint32_t mode, uid, gid, nlink;
    uint64_t rdev, size, blocks; /* blocks of 512 bytes */
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
    uint64_t data_version, dir_version;
    bool has_xattr;
};

struct ll_cred {
    uint32_t uid, gid;
    const uint32_t *groups; /* copied by the call */
    uint32_t group_count;
    bool kernel_checked; /* the kernel has checked permissions (default_permissions) */
};

struct ll_dirent {
    const char *name; /* NUL-terminated */
    struct ino ino;
    uint32_t type;       /* S_IFMT bits */
    struct ll_attr attr; /* valid with ll_readdir(.., with_attrs) */
};

typedef void (*ll_status_fn)(void *ctx, int status);
typedef void (*ll_attr_fn)(void *ctx, int status, const struct ll_attr *attr);
typedef void (*ll_open_fn)(void *ctx, int status, struct ll_file *file, const struct ll_attr *attr,
                           bool keep_cache);
typedef void (*ll_data_fn)(void *ctx, int status, const struct iovec *iov, unsigned iov_count,
                           size_t len);
typedef void (*ll_bytes_fn)(void *ctx, int status, const void *bytes, size_t len);
typedef void (*ll_dir_fn)(void *ctx, int status, const struct ll_dirent *entries, unsigned count,
                          bool end);
struct ll_statfs {
    uint64_t bytes_total, bytes_free, inodes_used, inodes_max;
};
typedef void (*ll_statfs_fn)(void *ctx, int status, const struct ll_statfs *s);
#define LL_QUOTA_KEEP UINT64_MAX
struct ll_usage {
    uint64_t files, dirs, bytes;
    uint64_t quota_inodes, quota_bytes; /* of this directory; 0: no limit */
};
typedef void (*ll_usage_fn)(void *ctx, int status, const struct ll_usage *u);

/*
 * Connects, authenticates, opens the session, learns the cluster map. With fail_fast the first
 * failure of all namenodes ends it (-EACCES, -ECONNREFUSED, ...), else it tries on.
 * *ret is valid at once, but nothing else may be called before fn ran with 0.
 */
int ll_new(struct loop *loop, const struct ll_options *o, bool fail_fast, ll_status_fn fn,
           void *ctx, struct ll **ret);
/* What went wrong with the connection last, for people; "" if nothing. Owned by ll. */
const char *ll_problem(const struct ll *ll);
/* Flushes everything dirty (bounded by timeout_ms), closes the session, frees; then fn. */
void ll_close(struct ll *ll, uint32_t timeout_ms, ll_status_fn fn, void *ctx);
struct slab_pool *ll_slabs(struct ll *ll);

/* ---- names and attributes ---- */
void ll_lookup(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
               const char *name, ll_attr_fn fn, void *ctx);
void ll_getattr(struct ll *ll, struct ll_call *call, struct ino ino, ll_attr_fn fn, void *ctx);

enum ll_set {
    LL_SET_MODE = 1,
    LL_SET_UID = 2,
    LL_SET_GID = 4,
    LL_SET_ATIME = 8,
    LL_SET_MTIME = 16,
    LL_SET_ATIME_NOW = 32,
    LL_SET_MTIME_NOW = 64,
    LL_SET_SIZE = 128
};
void ll_setattr(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                const struct ll_attr *attr, unsigned set, ll_attr_fn fn, void *ctx);

/* mknod, mkdir, symlink (target != NULL): the type is in mode. */
void ll_mknod(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
              const char *name, uint32_t mode, uint64_t rdev, const char *target, ll_attr_fn fn,
              void *ctx);
void ll_link(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
             struct ino parent, const char *name, ll_attr_fn fn, void *ctx);
/* attr: what the file is now, its links counted anew. */
void ll_unlink(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
               const char *name, ll_attr_fn fn, void *ctx);
/* attr: what the directory was, with nlink 0. */
void ll_rmdir(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
              const char *name, ll_attr_fn fn, void *ctx);
/* attr: what was replaced, its links counted anew; NULL if nothing was. */
void ll_rename(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
               const char *name, struct ino new_parent, const char *new_name, unsigned flags,
               ll_attr_fn fn, void *ctx);
void ll_readlink(struct ll *ll, struct ll_call *call, struct ino ino, ll_bytes_fn fn, void *ctx);
/*
 * Entries with names greater than `after` ("" from the start), in byte order; no "." and "..". cred:
 * who must be allowed to read the directory; NULL: that was seen to when it was opened.
 */
void ll_readdir(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                const char *after, unsigned limit, bool with_attrs, ll_dir_fn fn, void *ctx);
void ll_getxattr(struct ll *ll, struct ll_call *call, struct ino ino, const char *name,
                 ll_bytes_fn fn, void *ctx);
/*
 * False: the file is open here, and had no extended attribute when the namenode was last asked about
 * it. For the kernel's question before each first write (security.capability), which follows right
 * behind a getattr.
 */
bool ll_may_have_xattr(struct ll *ll, struct ino ino);
/*
 * Attributes that came a while ago, with a directory: the file is open here or was written since,
 * so that they may be older than what the caller has been told meanwhile.
 */
bool ll_attr_may_be_old(struct ll *ll, const struct ll_attr *attr);
/* Names, each NUL-terminated, one after the other. */
void ll_listxattr(struct ll *ll, struct ll_call *call, struct ino ino, ll_bytes_fn fn, void *ctx);
void ll_setxattr(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                 const char *name, const void *value, size_t len, unsigned flags, ll_status_fn fn,
                 void *ctx);
void ll_removexattr(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                    const char *name, ll_status_fn fn, void *ctx);
/* Of the cluster, or of the tightest quota that ino lies under. */
void ll_statfs(struct ll *ll, struct ll_call *call, struct ino ino, ll_statfs_fn fn, void *ctx);
/* What lies below a directory; of anything else, the file itself. -EACCES: no directory to read. */
void ll_usage(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
              ll_usage_fn fn, void *ctx);
/* 0: no limit; LL_QUOTA_KEEP: as it was. */
void ll_set_quota(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
                  uint64_t inodes, uint64_t bytes, ll_usage_fn fn, void *ctx);

/* ---- files ---- */
/* flags as open(2): access mode, O_TRUNC. keep_cache: nothing changed since the last open
 * here. */
void ll_open(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
             int flags, ll_open_fn fn, void *ctx);
/* Creates and opens; with O_EXCL fails with EEXIST, else opens what is there. */
void ll_create(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
               const char *name, uint32_t mode, int flags, ll_open_fn fn, void *ctx);
/* Reads up to len bytes; fewer only at the end of the file. Sees this client's own writes. */
void ll_read(struct ll_file *file, struct ll_call *call, uint64_t offset, size_t len, ll_data_fn fn,
             void *ctx);
/*
 * Takes the bytes into the write-behind buffer; fn runs when they are in (it waits only while the
 * buffer is over its limit). slab: the bytes lie in it, and are kept by reference, not copied,
 * where that pays or the write has to wait: the caller never changes them again. NULL: copied.
 * Result: 0 or -errno (an earlier write error of this file is reported once per open here, at
 * fsync or at flush). O_APPEND is for the caller to see to: it may have been set or cleared since
 * the open, and a mapping's pages have their place in any case.
 */
void ll_write(struct ll_file *file, struct ll_call *call, uint64_t offset, const void *bytes,
              size_t len, struct slab *slab, ll_status_fn fn, void *ctx);
/* The same at the end of the file, which the namenode is asked for unless our own last write is it.
 */
void ll_append(struct ll_file *file, struct ll_call *call, const void *bytes, size_t len,
               struct slab *slab, ll_status_fn fn, void *ctx);
/*
 * The file runs with its owner's or group's rights, as far as is known here. A write that must not
 * leave it so (not by root) is preceded by ll_kill_setid(), which also drops security.capability;
 * O_TRUNC, truncate and chown see to it themselves.
 */
bool ll_has_setid(const struct ll_file *file);
void ll_kill_setid(struct ll_file *file, struct ll_call *call, const struct ll_cred *cred,
                   ll_status_fn fn, void *ctx);
/* All written so far is on stable storage of every chain member; size and mtime in the log unless
 * datasync and only times changed. */
void ll_fsync(struct ll_file *file, struct ll_call *call, bool datasync, ll_status_fn fn,
              void *ctx);
/* close(2) of one descriptor: publishes data, size and mtime, so that the next open anywhere sees
 * them. */
void ll_flush(struct ll_file *file, struct ll_call *call, ll_status_fn fn, void *ctx);
/* Last close; file is gone. What is still dirty goes out in the background. */
void ll_release(struct ll_file *file);
/* mode 0 or FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE|KEEP_SIZE, FALLOC_FL_ZERO_RANGE; else
 * -EOPNOTSUPP. */
void ll_fallocate(struct ll_file *file, struct ll_call *call, int mode, uint64_t offset,
                  uint64_t len, ll_status_fn fn, void *ctx);
struct ino ll_file_ino(const struct ll_file *file);
/* Where the write ended whose callback is running. */
uint64_t ll_file_write_end(const struct ll_file *file);
/* Everything dirty of this client is written and synced on all replicas (dfs sync MNT). */
void ll_sync_all(struct ll *ll, struct ll_call *call, ll_status_fn fn, void *ctx);

/*
 * Counters for bench/ and /metrics: RPCs by kind, bytes, waits. name=value pairs, e.g.
 * "meta_rpcs", "chunk_ops", "chunk_reads"; returns the number of pairs written.
 */
struct ll_counter {
    const char *name;
    uint64_t value;
};
unsigned ll_counters(const struct ll *ll, struct ll_counter *out, unsigned max);

#endif
