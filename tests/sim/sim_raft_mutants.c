/*
 * Does the simulator find bugs? The core is built with deliberate ones; each must be caught, and
 * how many schedules that takes is told.
 */
#include "tests/sim/sim_main.h"

static const struct sim_mutant mutants[] = {
    {RAFT_MUTANT_VOTE_BEFORE_SYNC, 0, false, "a vote sent before it is synced"},
    {RAFT_MUTANT_NO_QUARANTINE, 0, false, "no quarantine after a start"},
    {RAFT_MUTANT_LEASE_IN_TRANSFER, 0, false, "a lease kept during transfer"},
    {RAFT_MUTANT_COMMIT_OLD_TERM, 0, false, "entries of older terms committed by count"},
    {RAFT_MUTANT_SKIP_R8, 0, false, "a log kept that contradicts the snapshot"},
    {RAFT_MUTANT_HEARD_TERM, 0, false, "entries stamped with a heard-of term"},
    {RAFT_MUTANT_TRUNCATE_SHORT, 0, false, "a log truncated because a message is shorter"},
    {RAFT_MUTANT_ACK_BEFORE_SYNC, 0, false, "entries acknowledged before they are synced"},
    {RAFT_MUTANT_COUNT_SELF_EARLY, 0, false, "a leader that counts itself before its own sync"},
    {RAFT_MUTANT_CONF_EARLY, 0, false, "a membership changed before the last one is committed"},
    {RAFT_MUTANT_READ_WITHOUT_ROUND, 0, false, "a read without a round that proves the leader"},
    {RAFT_MUTANT_DAMAGED_VOTES, 0, false, "a damaged replica that votes"},
    {RAFT_MUTANT_REPAIRED_BY_SAME_TERM, 0, false,
     "a damaged replica repaired by an entry of the lost ones' term"},
    {RAFT_MUTANT_TRUNCATED_IS_DURABLE, 0, false,
     "an acknowledgement of what took a truncated entry's place"},
    {RAFT_MUTANT_COMMIT_BEYOND_MESSAGE, 0, false,
     "a follower that commits more than the leader compared"},
    {RAFT_MUTANT_LEASE_FROM_ARRIVAL, 0, false, "a lease from the arrival of the answers"},
    {RAFT_MUTANT_LEASE_OVER_CONF, 0, false, "a lease of the voters there were"},
};

int main(int argc, char **argv)
{
    return sim_hunt_main(argc, argv, &sim_toy, mutants, sizeof(mutants) / sizeof(mutants[0]), 5);
}
