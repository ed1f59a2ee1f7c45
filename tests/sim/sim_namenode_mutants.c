/*
 * Does the simulator of namenodes find bugs? Log, state machine and sessions are built with deliberate
 * ones (namenode/mutants.h); each must be caught. Those of the core: sim_raft_mutants.
 */
#include "namenode/mutants.h"
#include "tests/sim/sim_main.h"

static const struct sim_mutant mutants[] = {
    {0, NAMENODE_MUTANT_DEDUP_IN_RAM, false, "replies kept in memory alone"},
    {0, NAMENODE_MUTANT_REPLY_NOT_IN_SNAPSHOT, false, "a snapshot without the replies"},
    {0, NAMENODE_MUTANT_FLOOR_TOO_FAR, false, "a floor above what the client said"},
    {0, NAMENODE_MUTANT_FLOOR_IGNORED, false, "a request below the floor is done again"},
    {0, NAMENODE_MUTANT_SESSION_LOCAL_TIME, false, "a session that ends by a local clock"},
    {0, NAMENODE_MUTANT_READ_UNPROVED, true, "a read by who only believes to lead"},
    {0, NAMENODE_MUTANT_APPLIED_APART, false, "the applied index in a batch of its own"},
    {0, NAMENODE_MUTANT_INSTALL_IN_PLACE, false, "a snapshot installed over the old store"},
    {0, NAMENODE_MUTANT_CUT_UNFLUSHED, false,
     "a log cut beyond what the state machine has flushed"},
    {0, NAMENODE_MUTANT_LOCAL_CLOCK, false, "times by a local clock"},
    {0, NAMENODE_MUTANT_CACHE_KEEPS_DELETED, false, "a cache that keeps what was deleted"},
    {0, NAMENODE_MUTANT_IDS_NOT_IN_BATCH, false, "id counters in memory alone"},
    {0, NAMENODE_MUTANT_INO_REUSED, false, "the number of a removed inode is given again"},
    {0, NAMENODE_MUTANT_RMDIR_MISSES_CREATE, false, "rmdir misses a create in the same entry"},
    {0, NAMENODE_MUTANT_RENAME_WITHOUT_LOOP_CHECK, false, "rename of a directory into itself"},
    {0, NAMENODE_MUTANT_RENAME_LEAKS_TARGET, false, "rename forgets what it replaces"},
    {0, NAMENODE_MUTANT_RENAME_KEEPS_PARENT, false, "rename leaves a directory's parent as it was"},
    {0, NAMENODE_MUTANT_TRUNCATE_WITHOUT_MARK, false, "truncate without a pending mark"},
    {0, NAMENODE_MUTANT_TRUNC_DONE_BY_BYTE, false, "a mark cleared for an earlier truncation"},
    {0, NAMENODE_MUTANT_CONVERT_NOT_AT_WRITE, false,
     "a version written before the conversion is there"},
    {0, NAMENODE_MUTANT_CONVERT_IN_RAM, false, "how far the conversion is, in memory alone"},
    {0, NAMENODE_MUTANT_REAP_BEFORE_TOLD, false,
     "an inode taken apart before all sessions have told what they have open"},
    {0, NAMENODE_MUTANT_LATE_CLOSE_COUNTS, false,
     "opens and closes that count on a connection that was given up"},
    {0, NAMENODE_MUTANT_OPEN_WHILE_REAPED, false, "an inode opened while it is taken apart"},
    {0, NAMENODE_MUTANT_REFUSES_WHAT_IS_DONE, false,
     "no room, said of a request that was done and is asked again"},
    {0, NAMENODE_MUTANT_SPACE_OF_OTHERS_IGNORED, false, "room on the leader's own disk is enough"},
    {0, NAMENODE_MUTANT_FORMAT_OF_VOTERS, true, "a new format that not all learners know"},
    {0, NAMENODE_MUTANT_HASH_IGNORED, false, "a replica that differs from the leader goes on"},
    {0, NAMENODE_MUTANT_LOSS_FORGOTTEN, true,
     "a replica that had diverged begins anew, and votes at once"},
    {0, NAMENODE_MUTANT_RING_WITH_BODY, true, "the header ring written with the body"},
    {0, NAMENODE_MUTANT_SEGMENT_WITHOUT_SEED, true,
     "a recycled segment without a seed in its CRCs"},
    {0, NAMENODE_MUTANT_RECORD_WITHOUT_EPOCH, true, "records of an older life count"},
    {0, NAMENODE_MUTANT_RETRY_SYNC, true, "a failed sync tried again"},
    {0, NAMENODE_MUTANT_APPEND_WITHOUT_SYNC, false, "entries told durable without a sync"},
    {0, NAMENODE_MUTANT_TRUNCATE_EARLY, false, "votes and truncations told durable without a sync"},
    {0, NAMENODE_MUTANT_DAMAGE_IS_TORN, true, "a damaged entry treated as absent"},
};

unsigned namenode_mutant;

int main(int argc, char **argv)
{
    return sim_hunt_main(argc, argv, &sim_namenodes, mutants, sizeof(mutants) / sizeof(mutants[0]),
                         1);
}
