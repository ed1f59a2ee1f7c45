/*
 * The disk as an argument: all files that we must not lose are read and written through this, so
 * that tests can pass a disk that fails, tears and forgets (common/vfs_fake.h).
 *
 * Paths are whole paths. Reads and writes are complete or fail: no short counts, no EINTR.
 * vfs_posix() may be used from any thread, one file by several at once.
 *
 * What is durable, when: file bytes and size after vfs_sync(); names (create, rename, link,
 * unlink, mkdir) after vfs_sync_dir() of the directory that holds the name. After a sync has
 * failed, what was written since the last good one must be taken as lost: never sync again and
 * believe it.
 */
#ifndef COMMON_VFS_H
#define COMMON_VFS_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/compiler.h"

struct buf;
struct vfs_file;

struct vfs_stat {
    uint64_t size;
    uint64_t allocated_bytes;
    uint64_t inode;
    bool is_dir;
};

struct vfs_space {
    uint64_t total_bytes;
    uint64_t free_bytes; /* that we may use */
};

/* Called for each name but "." and ".."; non-zero stops the listing and is its result. */
typedef int (*vfs_name_fn)(void *ctx, const char *name, bool is_dir);

/* Implementations fill this in; users call the functions below. */
struct vfs {
    int (*open)(struct vfs *v, const char *path, int flags, mode_t mode, struct vfs_file **ret);
    int (*stat)(struct vfs *v, const char *path, struct vfs_stat *ret);
    int (*rename)(struct vfs *v, const char *from, const char *to);
    int (*link)(struct vfs *v, const char *from, const char *to);
    int (*unlink)(struct vfs *v, const char *path);
    int (*mkdir)(struct vfs *v, const char *path, mode_t mode);
    int (*rmdir)(struct vfs *v, const char *path);
    int (*list)(struct vfs *v, const char *path, vfs_name_fn fn, void *ctx);
    int (*sync_dir)(struct vfs *v, const char *path);
    int (*space)(struct vfs *v, const char *path, struct vfs_space *ret);
    const struct vfs_file_ops *file_ops;
};
struct vfs_file_ops {
    void (*close)(struct vfs_file *f);
    ssize_t (*pread)(struct vfs_file *f, void *buf, size_t len, uint64_t offset);
    int (*pwritev)(struct vfs_file *f, const struct iovec *iov, int count, uint64_t offset);
    int (*sync)(struct vfs_file *f);
    int (*sync_range)(struct vfs_file *f, uint64_t offset, uint64_t len);
    int (*truncate)(struct vfs_file *f, uint64_t size);
    int (*allocate)(struct vfs_file *f, uint64_t offset, uint64_t len);
    int (*punch)(struct vfs_file *f, uint64_t offset, uint64_t len);
    int (*stat)(struct vfs_file *f, struct vfs_stat *ret);
    int (*fd)(const struct vfs_file *f);
    int (*sync_fs)(struct vfs_file *f);                                  /* may be NULL */
    void (*prefetch)(struct vfs_file *f, uint64_t offset, uint64_t len); /* may be NULL */
    void (*drop_cache)(struct vfs_file *f);                              /* may be NULL */
};
/* The first member of an implementation's file. */
struct vfs_file {
    struct vfs *vfs;
};

/* The machine's own. Static storage. */
struct vfs *vfs_posix(void);

/*
 * flags as in open(2) (O_CLOEXEC is added): O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_DSYNC,
 * O_DIRECT. mode counts with O_CREAT.
 */
int vfs_open(struct vfs *v, const char *path, int flags, mode_t mode, struct vfs_file **ret_file);
/* NULL is fine. */
void vfs_close(struct vfs_file *f);
DEFINE_CLEANUP(vfs_file, vfs_close)

/* Bytes read: less than len only at the end of the file; or a negative code. */
ssize_t vfs_pread(struct vfs_file *f, void *buf, size_t len, uint64_t offset);
/*
 * Exactly len bytes.
 * -ENODATA  the file ends before
 */
int vfs_pread_all(struct vfs_file *f, void *buf, size_t len, uint64_t offset);
int vfs_pwrite(struct vfs_file *f, const void *buf, size_t len, uint64_t offset);
/* count <= VFS_IOV_MAX. */
enum { VFS_IOV_MAX = 64 };
int vfs_pwritev(struct vfs_file *f, const struct iovec *iov, int count, uint64_t offset);
/* fdatasync(2): bytes and size. */
int vfs_sync(struct vfs_file *f);
/*
 * syncfs(2): all files and names on the file system that f is on; tells also of write-backs that
 * failed since f was opened.
 * -ENOTSUP  the implementation has none
 */
int vfs_sync_fs(struct vfs_file *f);
/* Brings the bytes into memory and waits for (about) the last of them: a hint. */
void vfs_prefetch(struct vfs_file *f, uint64_t offset, uint64_t len);
/* What memory has of the file and calls written is forgotten: reads come from the disk. */
void vfs_drop_cache(struct vfs_file *f);
/* Starts to write back: a hint, nothing becomes durable. */
int vfs_sync_range(struct vfs_file *f, uint64_t offset, uint64_t len);
int vfs_truncate(struct vfs_file *f, uint64_t size);
/* Reserves space; the size grows to hold it. */
int vfs_allocate(struct vfs_file *f, uint64_t offset, uint64_t len);
/* Makes a hole that reads as zeros; the size stays. */
int vfs_punch(struct vfs_file *f, uint64_t offset, uint64_t len);
int vfs_fstat(struct vfs_file *f, struct vfs_stat *ret_stat);
/* For sendfile(2). -1 when the implementation has none (the fake). */
int vfs_fd(const struct vfs_file *f);

int vfs_stat(struct vfs *v, const char *path, struct vfs_stat *ret_stat);
/* Replaces `to`, atomically. */
int vfs_rename(struct vfs *v, const char *from, const char *to);
int vfs_link(struct vfs *v, const char *from, const char *to);
int vfs_unlink(struct vfs *v, const char *path);
int vfs_mkdir(struct vfs *v, const char *path, mode_t mode);
int vfs_rmdir(struct vfs *v, const char *path);
/* In no particular order. fn may unlink the name it is given. */
int vfs_list(struct vfs *v, const char *path, vfs_name_fn fn, void *ctx);
int vfs_sync_dir(struct vfs *v, const char *path);
int vfs_space(struct vfs *v, const char *path, struct vfs_space *ret_space);

/* mkdir -p; each name on the way is synced, also one that was there: who made it may have been killed
 * before. */
int vfs_mkdir_all(struct vfs *v, const char *path, mode_t mode);
/*
 * Appends the whole file to buf.
 * -EFBIG  longer than len_max; nothing is appended
 */
int vfs_read_file(struct vfs *v, const char *path, size_t len_max, struct buf *buf);
/* Durably the old or the new content, never a mix: PATH.tmp, sync, rename, sync of the directory.
 */
int vfs_replace_file(struct vfs *v, const char *path, const void *data, size_t len, mode_t mode);
/* rm -r. -ENOENT is success. */
int vfs_remove_all(struct vfs *v, const char *path);

#endif
