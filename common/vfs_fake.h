/*
 * A disk in memory for tests: it keeps apart what was written (page cache) and what would survive
 * a power failure (medium), fails on demand and forgets what it may forget. One thread.
 *
 * The medium after vfs_fake_crash():
 *  - of each file: the content at its last successful sync, plus any subset of the writes since,
 *    in 512-byte sectors, whole or torn, chosen by the rng; truncations and size changes likewise;
 *  - names: as at the last sync of their directory, plus any prefix of the changes since (a
 *    directory is a journal of changes in order, as on ext4 and xfs; rename is atomic), or any of
 *    them: vfs_fake_set_names_any();
 *  - a file whose name is durable but that was never synced has any of its writes, or none.
 *
 * Everything is a function of the calls and the rng's seed.
 */
#ifndef COMMON_VFS_FAKE_H
#define COMMON_VFS_FAKE_H

#include "common/vfs.h"

struct rng;
struct vfs_fake;

/* With an empty root directory "/". */
struct vfs_fake *vfs_fake_new(void);
/* All files must have been closed: asserted. NULL is fine. */
void vfs_fake_free(struct vfs_fake *f);
DEFINE_CLEANUP(vfs_fake, vfs_fake_free)
/* To be passed to what is tested. */
struct vfs *vfs_fake_vfs(struct vfs_fake *f);

/* ---- crashes ---- */

/*
 * Power failure: the page cache is gone, the medium is what remains. Open files give -EIO to
 * everything from now on and must still be closed. rng NULL: all unsynced is lost.
 */
void vfs_fake_crash(struct vfs_fake *f, struct rng *rng);

/*
 * From now on a crash keeps any of the unsynced changes of names, not a prefix in each directory:
 * what POSIX alone allows, since it orders nothing but by a sync. This is the weakest model of ALICE
 * (Pillai et al., OSDI '14, section 3), but that a rename stays atomic. Those changes that survive
 * are done in the order of the calls, and each does what it says, whatever was before it:
 *  - create, mkdir, link: the name leads to that file, also when another had the name;
 *  - unlink, rmdir: the name is gone, if it leads to that file;
 *  - rename: `to` leads to that file, and `from` is gone, if it leads to that file. If the creation
 *    of `from` is lost, the file is there by its new name; if an earlier rename to `from` is, the
 *    file is there by the oldest name and the newest.
 * So a file may have two names, and one that was renamed may be gone, when its old name was taken by
 * another and no sync lay between. A directory has one name at most and never lies in itself: of the
 * renames of directories a prefix survives. Their contents survive on their own. rng NULL: all
 * unsynced is lost, as without this.
 */
void vfs_fake_set_names_any(struct vfs_fake *f, bool any);
/*
 * That directory keeps a prefix all the same: it is another's, who relies on it.
 * -ENOENT, -ENOTDIR
 */
int vfs_fake_set_names_in_order(struct vfs_fake *f, const char *dir);

/* A kill -9 of the process: open files go stale as above, but the page cache stays. */
void vfs_fake_kill(struct vfs_fake *f);

/* Of all that was written so far, in order: bytes and where, names not. */
uint64_t vfs_fake_hash(const struct vfs_fake *f);

/* Calls that change the disk so far (write, truncate, sync, rename ...). */
uint64_t vfs_fake_change_count(const struct vfs_fake *f);

/*
 * The next `after` changing calls work, then every call fails with -EIO until crash or kill: crash
 * points are walked by running the same story with after = 0, 1, 2 ... and a crash at its end.
 * UINT64_MAX: never.
 */
void vfs_fake_stop_after(struct vfs_fake *f, uint64_t after);
bool vfs_fake_is_stopped(const struct vfs_fake *f);

/* ---- faults: the (after+1)th call from now fails with -error, once or for ever ---- */

enum vfs_fake_op {
    VFS_FAKE_OPEN,
    VFS_FAKE_READ,
    VFS_FAKE_WRITE,
    VFS_FAKE_SYNC, /* what was unsynced in that file never reaches the medium: the kernel has
                      marked its pages clean; reads still see it until the crash */
    VFS_FAKE_SYNC_DIR,
    VFS_FAKE_TRUNCATE, /* and allocate, punch */
    VFS_FAKE_NAME,     /* rename, link, unlink, mkdir, rmdir */
    VFS_FAKE_OP_COUNT,
};
void vfs_fake_fail(struct vfs_fake *f, enum vfs_fake_op op, uint64_t after, int error,
                   bool for_ever);
void vfs_fake_fail_none(struct vfs_fake *f);
/* Calls of that kind so far. */
uint64_t vfs_fake_op_count(const struct vfs_fake *f, enum vfs_fake_op op);

/* Bytes (in 4 KiB blocks) that fit on it; a write of more fails whole with -ENOSPC. */
void vfs_fake_set_capacity(struct vfs_fake *f, uint64_t bytes);

/* From now on a file system without O_DIRECT: opening with it is -EINVAL. */
void vfs_fake_refuse_direct(struct vfs_fake *f);

/*
 * Rot: flips one bit of the file, in cache and on the medium.
 * -ENOENT, -ERANGE (beyond the end)
 */
int vfs_fake_flip_bit(struct vfs_fake *f, const char *path, uint64_t offset, unsigned bit);

/*
 * Sectors that cannot be read: the 4 KiB blocks of the range give -EIO to each read that touches
 * them, until they are written whole. Writing a part of one is -EIO too: its rest would have to be
 * read. They are not the page cache's either. -ENOENT
 */
int vfs_fake_spoil(struct vfs_fake *f, const char *path, uint64_t offset, uint64_t len);

#endif
