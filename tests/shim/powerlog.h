/*
 * What a program did to its files, call by call, and what a power failure would have left of it.
 *
 *   LD_PRELOAD=libpowerlog.so  POWERLOG_DIR=/abs/dir  POWERLOG_FILE=/abs/log  program
 *        └─► /abs/log: every call that changed something below /abs/dir, or synced it, in order
 *                └─► powerlog_replay() on common/vfs_fake, vfs_fake_crash(), powerlog_dump()
 *
 * The calls are done, but for the syncs, which are only noted: nothing needs the real disk's. A
 * forked child that does not exec writes to the same file. A call is noted once it is done, a sync
 * before it returns: of a program that was killed, the log holds all that it can have told anybody to
 * be durable. Not caught: mmap(2), io_uring, dup(2), stdio, names relative to a directory.
 *
 * With POWERLOG_BOOT_ID=/abs/file the program takes what is in that file for the boot id of its
 * machine: so one machine can be started anew, and another not.
 */
#ifndef TESTS_SHIM_POWERLOG_H
#define TESTS_SHIM_POWERLOG_H

#include <stddef.h>
#include <stdint.h>

struct vfs_fake;

enum powerlog_type {
    POWERLOG_OPEN = 1, /* name, flags, fd */
    POWERLOG_CLOSE,
    POWERLOG_WRITE,    /* fd, offset, len bytes follow; flags of the open file */
    POWERLOG_TRUNCATE, /* fd, offset: the size */
    POWERLOG_ALLOCATE, /* fd, offset, len */
    POWERLOG_SYNC,     /* fd of a file or a directory */
    POWERLOG_RENAME,   /* name, to */
    POWERLOG_LINK,
    POWERLOG_UNLINK,
    POWERLOG_MKDIR,
    POWERLOG_RMDIR,
    POWERLOG_PUNCH,    /* fd, offset, len: a hole, the size stays */
    POWERLOG_SYNC_ALL, /* fd: all that is below the directory */
    POWERLOG_MARK,     /* name: what the program said with powerlog_mark() */
};

struct powerlog_record {
    uint32_t type, flags;
    int32_t fd;
    uint32_t name_len, to_len, unused;
    uint64_t offset, len;
    /* Then the names, without a zero, and of a write its bytes. */
};

/* In the program: finds the function with dlsym(RTLD_DEFAULT, "powerlog_mark"), if it is there. */
typedef void (*powerlog_mark_fn)(const char *text);

/* A log in memory. */
struct powerlog {
    uint8_t *bytes;
    size_t len;
    size_t count;    /* of records... */
    size_t *offsets; /* ...and where each begins */
};

/* A last record that is cut short is not there: its program was killed while writing it. */
int powerlog_read(const char *path, struct powerlog *ret_log);
void powerlog_done(struct powerlog *log);

typedef void (*powerlog_mark_seen_fn)(void *ctx, const char *text);

/* Reads what is below `from` on the machine's own disk into `dir` of the disk in memory, synced. */
int powerlog_load(const char *from, struct vfs_fake *disk, const char *dir);

/*
 * Does the first `count` records on a disk that is empty or was loaded; then all files are closed. mark is called for
 * each mark on the way. A call that the disk in memory refuses, though it was done, is asserted.
 */
void powerlog_replay(const struct powerlog *log, size_t count, const char *dir,
                     struct vfs_fake *disk, powerlog_mark_seen_fn mark, void *ctx);

/*
 * Names are any of those that were not synced (vfs_fake_set_names_any()), but for the stores below a
 * namenode's `dir`, which stay in order: RocksDB names a new manifest in CURRENT before that one's own
 * name is synced.
 */
int powerlog_let_names_be_any(struct vfs_fake *disk, const char *dir);

/* Writes what is on the disk in memory, below dir, to the machine's own, below `to`. */
int powerlog_dump(struct vfs_fake *disk, const char *dir, const char *to);

#endif
