/*
 * libdfs: the C API of dfs, a distributed block-replicated file system.
 *
 * Conventions
 *  - Functions return 0 or a count >= 0 on success and a negative errno on failure; outputs are
 *    left untouched on failure. Where a POSIX function of that name exists (dfs_rename: rename(2),
 *    dfs_pread: pread(2), ...) the errnos are those of POSIX.1-2017 for it.
 *  - Any thread may call anything at any time, unless a function says otherwise. Calls on one
 *    struct dfs run in parallel. Do not use a struct dfs in a child after fork(2).
 *  - Paths are absolute; names are at most 255 bytes other than '/' and NUL; strings are borrowed
 *    until the call returns. "." and ".." are resolved lexically, symbolic links followed as POSIX
 *    says (at most 40).
 *  - Offsets and sizes are bytes, times nanoseconds since 1970-01-01 UTC.
 *  - Calls wait while the cluster fails over; after dfs_options.io_timeout_ms they give up with
 *    -ETIMEDOUT. Durability is as on a local disk: dfs_pwrite() reaches the buffer, dfs_close()
 *    makes it visible to the next open anywhere, dfs_fsync() makes it survive power failure.
 */
#ifndef DFS_H
#define DFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DFS_API __attribute__((visibility("default")))
#else
#define DFS_API
#endif

struct dfs;      /* a connection: one session with the cluster */
struct dfs_file; /* an open file */
struct dfs_dir;  /* an open directory */

/* Filled by dfs_options_init(), so that it may grow. Strings are borrowed until dfs_connect()
 * returns. */
struct dfs_options {
    const char *namenodes;   /* "host:port,host:port"; NULL: from the configuration file */
    const char *config_file; /* NULL: $DFS_CONFIG, else the installed dfs.conf */
    const char *ca_file;     /* PEM; NULL: from the configuration file, as are the next two */
    const char *cert_file;
    const char *key_file;
    uint32_t io_timeout_ms; /* 0: wait for ever; default 60000 */
    size_t dirty_bytes_max; /* write-behind memory; default 64 MiB */
    /* Whose permissions count; default: the effective ids of the process. Its supplementary groups
     * count too as long as uid is its own. */
    uint32_t uid, gid;
};

struct dfs_stat {
    uint64_t ino;
    uint32_t mode, uid, gid, nlink;
    uint64_t rdev;
    uint64_t size;
    uint64_t blocks; /* of 512 bytes */
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
};

struct dfs_dirent {
    uint64_t ino;
    uint32_t type;      /* S_IFMT bits of mode */
    const char *name;   /* valid until the next call on the same struct dfs_dir */
    struct dfs_stat st; /* as of the listing */
};

struct dfs_statvfs {
    uint64_t bytes_total, bytes_free; /* usable bytes: copies are already divided out */
    uint64_t inodes_used, inodes_max;
};

/* What dfs_remove_tree() has removed; with an error also of what, below the path ("": the path
 * itself), of a long one the end. */
struct dfs_removed {
    uint64_t files, directories; /* files: all that is no directory */
    char failed[1024];
};

/* What lies in the tree below a directory, the directory itself not counted. A file of several
 * names counts once, in one of the directories that have a name of it. */
struct dfs_usage {
    uint64_t files; /* all that is no directory */
    uint64_t dirs;
    uint64_t bytes;                     /* sizes of the regular files, holes included */
    uint64_t quota_inodes, quota_bytes; /* set on this directory; 0: no limit */
};

/* The release of the library, e.g. "0.1.0". Static storage. */
DFS_API const char *dfs_version(void);

DFS_API void dfs_options_init(struct dfs_options *o);

/*
 * Connects and opens a session. *ret_dfs is the caller's; end it with dfs_disconnect().
 * -ECONNREFUSED no namenode answers; -EACCES certificate refused; -EINVAL options;
 * -ENOENT configuration or certificate file missing. err (may be NULL) gets a sentence that says
 * more.
 */
DFS_API int dfs_connect(const struct dfs_options *o, struct dfs **ret_dfs, char *err,
                        size_t err_size);
/* Flushes, ends the session, frees. Every file and directory must have been closed. NULL is fine.
 */
DFS_API void dfs_disconnect(struct dfs *dfs);

/* ---- names: as the POSIX functions; modes are taken as they are, without a umask ---- */
DFS_API int dfs_stat(struct dfs *dfs, const char *path, struct dfs_stat *ret_st);
DFS_API int dfs_lstat(struct dfs *dfs, const char *path, struct dfs_stat *ret_st);
DFS_API int dfs_mkdir(struct dfs *dfs, const char *path, mode_t mode);
DFS_API int dfs_rmdir(struct dfs *dfs, const char *path);
DFS_API int dfs_unlink(struct dfs *dfs, const char *path);
/*
 * rm -r: what path names, and if it is a directory all that is in it, what is deepest first, in
 * byte order of names. The namenode does it, in slices of some ms between which others are served;
 * each entry goes as if unlinked or removed by itself. The first error ends it. fn (may be NULL) is
 * called between slices, on the caller's thread; anything but 0 ends the removal there, with
 * -ECANCELED. *ret_removed (may be NULL) is filled on failure too. Of unlink(2) and rmdir(2): -ENOENT,
 * -EACCES, -EPERM (sticky directory), ... -EBUSY "/"; -ENOTDIR a slash at the end, and no directory;
 * -EIO also a namenode of an older release.
 */
typedef int (*dfs_removed_fn)(void *ctx, const struct dfs_removed *so_far);
DFS_API int dfs_remove_tree(struct dfs *dfs, const char *path, dfs_removed_fn fn, void *ctx,
                            struct dfs_removed *ret_removed);
DFS_API int dfs_rename(struct dfs *dfs, const char *from, const char *to);
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE of renameat2(2). */
DFS_API int dfs_rename2(struct dfs *dfs, const char *from, const char *to, unsigned flags);
DFS_API int dfs_link(struct dfs *dfs, const char *from, const char *to);
DFS_API int dfs_symlink(struct dfs *dfs, const char *target, const char *path);
/* The target's length; buf gets at most size bytes, not NUL-terminated, as readlink(2). */
DFS_API ssize_t dfs_readlink(struct dfs *dfs, const char *path, char *buf, size_t size);
DFS_API int dfs_mknod(struct dfs *dfs, const char *path, mode_t mode, dev_t rdev);
DFS_API int dfs_chmod(struct dfs *dfs, const char *path, mode_t mode);
/* uid or gid (uint32_t)-1: unchanged. */
DFS_API int dfs_chown(struct dfs *dfs, const char *path, uint32_t uid, uint32_t gid);
DFS_API int dfs_lchown(struct dfs *dfs, const char *path, uint32_t uid, uint32_t gid);
#define DFS_TIME_NOW INT64_MAX
#define DFS_TIME_OMIT INT64_MIN
DFS_API int dfs_utimens(struct dfs *dfs, const char *path, int64_t atime_ns, int64_t mtime_ns);
DFS_API int dfs_lutimens(struct dfs *dfs, const char *path, int64_t atime_ns, int64_t mtime_ns);
DFS_API int dfs_truncate(struct dfs *dfs, const char *path, uint64_t size);
/* Extended attributes: as getxattr(2) and its like. With a size of 0 the length is given. */
DFS_API ssize_t dfs_getxattr(struct dfs *dfs, const char *path, const char *name, void *value,
                             size_t size);
DFS_API int dfs_setxattr(struct dfs *dfs, const char *path, const char *name, const void *value,
                         size_t size, int flags);
DFS_API ssize_t dfs_listxattr(struct dfs *dfs, const char *path, char *list, size_t size);
DFS_API int dfs_removexattr(struct dfs *dfs, const char *path, const char *name);
DFS_API int dfs_statvfs(struct dfs *dfs, struct dfs_statvfs *ret_st);
/* The same; where quotas lie above path, what the tightest of them allows and leaves. */
DFS_API int dfs_statvfs_path(struct dfs *dfs, const char *path, struct dfs_statvfs *ret_st);

/* ---- trees: kept by the namenode, the answer takes as long for any tree ---- */
/*
 * Of a directory that may be read; of anything else, what it counts for itself. As of what has been
 * published: files that are being written count at their next dfs_fsync() or dfs_close().
 * -EOPNOTSUPP a namenode of an older release is in the group
 */
DFS_API int dfs_usage(struct dfs *dfs, const char *path, struct dfs_usage *ret_usage);
/*
 * The most that may lie in the tree: inodes (files and directories together) and bytes. 0: no
 * limit; DFS_QUOTA_KEEP: as it was. What would grow past it fails with -EDQUOT from then on; less
 * than there is already is no error. -EPERM: not uid 0; -ENOTDIR; -EOPNOTSUPP as above
 */
#define DFS_QUOTA_KEEP UINT64_MAX
DFS_API int dfs_set_quota(struct dfs *dfs, const char *path, uint64_t inodes, uint64_t bytes);

/* ---- directories: one thread at a time per struct dfs_dir ---- */
DFS_API int dfs_opendir(struct dfs *dfs, const char *path, struct dfs_dir **ret_dir);
/* 1: *ret_entry filled; 0: the end. In byte order of names; without "." and "..". */
DFS_API int dfs_readdir(struct dfs_dir *dir, struct dfs_dirent *ret_entry);
DFS_API void dfs_closedir(struct dfs_dir *dir);

/* ---- files ---- */
/*
 * flags: O_RDONLY, O_WRONLY, O_RDWR with O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_SYNC, O_NOFOLLOW,
 * O_DIRECTORY. *ret_file is the caller's, and any thread's, until dfs_close().
 */
DFS_API int dfs_open(struct dfs *dfs, const char *path, int flags, mode_t mode,
                     struct dfs_file **ret_file);
/* Publishes what was written and frees file, in any case. An error of an earlier write is told
 * here. */
DFS_API int dfs_close(struct dfs_file *file);
/* Fewer bytes than asked only at the end of the file. */
DFS_API ssize_t dfs_pread(struct dfs_file *file, void *buf, size_t size, uint64_t offset);
/* All of size, or an error. With O_APPEND the offset is ignored. */
DFS_API ssize_t dfs_pwrite(struct dfs_file *file, const void *buf, size_t size, uint64_t offset);
/*
 * At the file's own position, as read(2), write(2), lseek(2) (SEEK_SET, SEEK_CUR, SEEK_END).
 * Threads that share it take turns.
 */
DFS_API ssize_t dfs_read(struct dfs_file *file, void *buf, size_t size);
DFS_API ssize_t dfs_write(struct dfs_file *file, const void *buf, size_t size);
DFS_API int64_t dfs_lseek(struct dfs_file *file, int64_t offset, int whence);
DFS_API int dfs_fsync(struct dfs_file *file);
DFS_API int dfs_fdatasync(struct dfs_file *file);
DFS_API int dfs_ftruncate(struct dfs_file *file, uint64_t size);
DFS_API int dfs_fstat(struct dfs_file *file, struct dfs_stat *ret_st);
DFS_API int dfs_fallocate(struct dfs_file *file, int mode, uint64_t offset, uint64_t len);

/* Everything written through this connection is on stable storage of all replicas. */
DFS_API int dfs_sync(struct dfs *dfs);

/* ---- operators' view: JSON documents, malloc'ed, freed by the caller; what dfs(1) shows as `report` and `why` ---- */
DFS_API int dfs_report_json(struct dfs *dfs, char **ret_json);
/* The chunks of a file, their PGs, targets and states. */
DFS_API int dfs_why_json(struct dfs *dfs, const char *path, char **ret_json);
/*
 * The chunks of a regular file that hold bytes, by inode number, in order: each one's index in the
 * file, its number and its placement group. What fn returns, unless 0, ends it and is returned. fn
 * runs on the caller's thread.
 */
typedef int (*dfs_chunk_fn)(void *ctx, uint32_t index, uint64_t chunk, uint32_t pg);
DFS_API int dfs_chunks(struct dfs *dfs, uint64_t ino, dfs_chunk_fn fn, void *ctx);

/* ---- moving data to placement groups of another number of copies: for dfs(1) setrep ---- */
/* The content that reads after this call see is of this version at least; each change of it that is
 * published makes another. Not 0. */
DFS_API uint64_t dfs_file_version(struct dfs_file *file);
/*
 * Exchanges the chunks [first, first + count), at most 64, of two files, by inode number. `other` has
 * been unlinked and is open here; it holds in these chunks, synced, what `ino` held at `version`.
 * -EBUSY  somebody has ino open (this connection too, some 100 ms after its dfs_close() yet), or it
 *         has changed since: nothing was done
 * -EPERM  not the owner of both, nor uid 0
 * -EINVAL `other` has a name, or not the same chunks; -EOPNOTSUPP a namenode of an older release
 */
DFS_API int dfs_swap_chunks(struct dfs *dfs, uint64_t ino, uint64_t other, uint32_t first,
                            uint32_t count, uint64_t version);

#ifdef __cplusplus
}
#endif

#endif
