/*
 * The data directory of a namenode out of a backup (common/backup_file.h): the first member of a new
 * group, from which the others get their state as learners do. Offline: no server runs meanwhile.
 *
 * The state is an older one of a cluster that may have gone on since. So that nothing of the time
 * in between is taken for something else:
 *
 *  - Ids of inodes, chunks, sessions, targets and groups, and the numbers that only grow (epochs,
 *    terms, versions of the map, of the fences and of each inode), go on far beyond what the old life can have
 *    reached, and beyond any earlier restore: see restore_skip().
 *  - All sessions end. The datanodes refuse those of the old life by their number, also those of
 *    which the backup knows nothing.
 *  - No placement group serves. The backup does not know who has been in it since; the datanodes
 *    tell what they hold, and pg_mgr starts each group from the best copy.
 *  - The namenodes that were are forgotten, and the new group has a name of its own for Raft: an old
 *    namenode that comes back is a stranger, though the cluster's uuid, by which datanodes and
 *    clients know it, stays.
 */
#ifndef NAMENODE_RESTORE_H
#define NAMENODE_RESTORE_H

#include <stddef.h>
#include <stdint.h>

#include "namenode/records.h"

struct kv;
struct node_conf;

/* What there is to say about the new life. */
struct restore_plan {
    uint8_t group[REC_UUID_SIZE]; /* random */
    int64_t made_s, now_s;        /* Unix time of the backup, and now */
    const uint32_t *without;      /* targets that are gone for good */
    size_t without_count;
};

/*
 * Where a number that was v goes on in a life that begins at now_s: a million a second since 1970.
 * No life uses them up so fast, so each restore begins beyond all that were before it, also when
 * two are made from one backup, as long as the clock is right; and 2^32 beyond the backup in any
 * case.
 */
uint64_t restore_skip(uint64_t v, int64_t now_s);

/*
 * Rewrites a store, which nobody else has open. *ret_state is what it holds afterwards.
 * -EBADMSG  its records are not ours
 * -ENOENT   it holds no cluster
 * -ESRCH    it does not know one of the targets to do without
 */
int restore_rewrite(struct kv *kv, const struct restore_plan *plan, struct state_rec *ret_state);

/*
 * The whole: conf->data_dir, which must be empty or not there, becomes the directory of conf->id, the
 * only one in conf->founders, with what file holds ("-": stdin). What goes wrong is told in err.
 * Broken off half-way, dfs-namenode refuses to start from the directory.
 */
int restore_run(const struct node_conf *conf, const char *file, const uint32_t *without,
                size_t without_count, char *err, size_t err_size);

#endif
