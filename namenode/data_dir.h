/*
 * The data directory of a namenode:
 *
 *   identity     which replica this is, the uuid of this directory, the cluster's uuid
 *   members      who was in the group at the last few changes: {index, term, conf}
 *   CURRENT      the store that counts, and the point of the log it came from
 *   db-N/        a RocksDB store (namenode/kv_rocks.h); only the one in CURRENT is alive
 *   DIVERGED     is there when the store was found damaged, or to differ from the leader's
 *   snap-out/    a checkpoint that is being sent
 *   backup-out/  another one, to an operator
 *   scrub/       another one, that is being read
 *   snap-in/     one that is being received; kept over a restart, to go on
 *   restoring/   there while the directory is being made out of a backup (restore.h): until it has
 *                become the store, nothing starts from here
 *   log/         the Raft log (namenode/raft_log.h)
 *
 * All small files are replaced as a whole (temporary file, sync, rename, sync), so that after any
 * crash it is the old one or the new one; each has a CRC.
 */
#ifndef NAMENODE_DATA_DIR_H
#define NAMENODE_DATA_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"
#include "raft/types.h"

struct vfs;
struct data_dir;

/*
 * Opens, or makes and fills a new one for this id; removes what an earlier process left behind.
 * founders counts for a new one only: the members at index 0 if id is one of them, else none (a
 * replica that will be added to a group that is there).
 * -EBADMSG  one of the small files is damaged or gone
 * -EPROTONOSUPPORT  one of them is of another version
 * -EINPROGRESS  a restore was broken off
 * -EXDEV    it belongs to another replica id; ret_id is that
 * -errno    of the disk
 */
int data_dir_open(struct vfs *vfs, const char *path, struct raft_id id,
                  const struct raft_conf *founders, struct data_dir **ret_dir,
                  struct raft_id *ret_id);
void data_dir_close(struct data_dir *d);
DEFINE_CLEANUP(data_dir, data_dir_close)

/*
 * The directory of the only member of a new group, whose store is path/restoring already: it gets
 * identity and CURRENT, and at last restoring/ becomes the store. cluster: the group's uuid.
 */
int data_dir_restore(struct vfs *vfs, const char *path, struct raft_id id, struct raft_uuid cluster,
                     const struct raft_point *point);

/* True: it was made by this data_dir_open(). */
bool data_dir_is_new(const struct data_dir *d);
struct raft_uuid data_dir_uuid(const struct data_dir *d);
/* Zero until it was set. */
struct raft_uuid data_dir_cluster(const struct data_dir *d);
int data_dir_set_cluster(struct data_dir *d, struct raft_uuid cluster);

/*
 * The store does not hold what it should: noted now; the next data_dir_open() begins with an empty
 * one, until data_dir_install() or data_dir_set_sound(). The old one stays until then.
 */
int data_dir_set_diverged(struct data_dir *d);
/* It was filled again from the log: the live store counts, others are removed. */
int data_dir_set_sound(struct data_dir *d);
bool data_dir_is_diverged(const struct data_dir *d);

/* The path of the live store; of a subdirectory. Owned by d; path() until the next call. */
const char *data_dir_store(const struct data_dir *d);
const char *data_dir_path(struct data_dir *d, const char *name);

/* The group as it was when index was applied. */
void data_dir_members_at(const struct data_dir *d, uint64_t index, struct raft_conf *ret_conf);
/* Noted before the state machine gets past it. Older ones are dropped. */
int data_dir_add_members(struct data_dir *d, uint64_t index, const struct raft_conf *conf);

/*
 * The store received in snap-in/ becomes the live one, with its point, in one step. The old one is
 * removed by data_dir_remove_old(), after it was closed.
 */
int data_dir_install(struct data_dir *d, const struct raft_point *point);
int data_dir_remove_old(struct data_dir *d);

#endif
