/*
 * Deliberate bugs of the log, the state machine and its sessions, one at a time, to test the tests.
 * Only in libnamenode_mutants, which is built with NAMENODE_MUTANTS; elsewhere MUTANT() is false.
 */
#ifndef NAMENODE_MUTANTS_H
#define NAMENODE_MUTANTS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef NAMENODE_MUTANTS

enum namenode_mutant {
    NAMENODE_MUTANT_NONE,
    /* Sessions. */
    NAMENODE_MUTANT_DEDUP_IN_RAM,
    NAMENODE_MUTANT_REPLY_NOT_IN_SNAPSHOT,
    NAMENODE_MUTANT_FLOOR_TOO_FAR,
    NAMENODE_MUTANT_FLOOR_IGNORED,
    NAMENODE_MUTANT_SESSION_LOCAL_TIME,
    NAMENODE_MUTANT_READ_UNPROVED,     /* Of the services: no read of raft's before it. */
    NAMENODE_MUTANT_REAP_BEFORE_TOLD,  /* Not all sessions have told what they have open. */
    NAMENODE_MUTANT_LATE_CLOSE_COUNTS, /* Of a connection that was given up. */
    NAMENODE_MUTANT_OPEN_WHILE_REAPED,
    NAMENODE_MUTANT_REFUSES_WHAT_IS_DONE, /* Without a look whether it is. */
    /* The state machine. */
    NAMENODE_MUTANT_APPLIED_APART,
    NAMENODE_MUTANT_INSTALL_IN_PLACE, /* Of the rim. */
    NAMENODE_MUTANT_CUT_UNFLUSHED,    /* Up to what is applied. */
    NAMENODE_MUTANT_LOCAL_CLOCK,
    NAMENODE_MUTANT_CACHE_KEEPS_DELETED,
    NAMENODE_MUTANT_IDS_NOT_IN_BATCH,
    NAMENODE_MUTANT_INO_REUSED,
    NAMENODE_MUTANT_RMDIR_MISSES_CREATE,
    NAMENODE_MUTANT_RENAME_WITHOUT_LOOP_CHECK,
    NAMENODE_MUTANT_RENAME_LEAKS_TARGET,
    NAMENODE_MUTANT_RENAME_KEEPS_PARENT,
    NAMENODE_MUTANT_TRUNCATE_WITHOUT_MARK,
    NAMENODE_MUTANT_TRUNC_DONE_BY_BYTE,   /* As before marks had versions. */
    NAMENODE_MUTANT_CONVERT_NOT_AT_WRITE, /* Written with a version where none is yet. */
    NAMENODE_MUTANT_CONVERT_IN_RAM,       /* Its position is not in the batch. */
    NAMENODE_MUTANT_HASH_IGNORED,
    NAMENODE_MUTANT_FORMAT_OF_VOTERS, /* Learners are not asked. */
    NAMENODE_MUTANT_SPACE_OF_OTHERS_IGNORED,
    /* The store: test_power_mutants. */
    NAMENODE_MUTANT_FLUSHED_FROM_READ,
    NAMENODE_MUTANT_CHECKPOINT_UNFLUSHED,
    /* The log. */
    NAMENODE_MUTANT_RING_WITH_BODY,
    NAMENODE_MUTANT_SEGMENT_WITHOUT_SEED,
    NAMENODE_MUTANT_RECORD_WITHOUT_EPOCH,
    NAMENODE_MUTANT_RETRY_SYNC,
    NAMENODE_MUTANT_APPEND_WITHOUT_SYNC,
    NAMENODE_MUTANT_TRUNCATE_EARLY,
    NAMENODE_MUTANT_DAMAGE_IS_TORN,
    NAMENODE_MUTANT_LOSS_FORGOTTEN, /* Of a replica that had diverged. */
};

extern unsigned namenode_mutant;
/* Of the process; no two replicas have the same. */
int64_t namenode_mutant_clock(void);

#define MUTANT(name) (namenode_mutant == NAMENODE_MUTANT_##name)
#define MUTANT_CLOCK() namenode_mutant_clock()

#else

#define MUTANT(name) false
#define MUTANT_CLOCK() INT64_C(0)

#endif

#endif
