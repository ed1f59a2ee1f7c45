/*
 * Deliberate bugs, to prove that the simulator and the exploration find such bugs. They exist only
 * in objects built with -DCHAIN_MUTANTS, which the programs never are.
 */
#ifndef DATANODE_CHAIN_MUTANT_H
#define DATANODE_CHAIN_MUTANT_H

enum chain_mutant {
    MUTANT_NONE,
    MUTANT_ACK_BEFORE_APPLY,       /* acknowledged upstream before the local disk has it */
    MUTANT_REPLY_WITHOUT_CHAIN,    /* the head answers without its successor */
    MUTANT_RESEND_WITHOUT_SEQ,     /* after a reconnect only what is new is sent */
    MUTANT_NO_DEDUP,               /* a retry runs again */
    MUTANT_DEDUP_AT_HEAD_ONLY,     /* the table does not travel with the operations */
    MUTANT_NO_FLOOR,               /* the floor is not carried in the operation */
    MUTANT_SNAPSHOT_WITHOUT_DEDUP, /* a joiner starts with an empty table */
    MUTANT_ANY_EPOCH,              /* operations of older epochs are taken */
    MUTANT_ANY_INCARNATION,        /* a restarted process believes it is still a member */
    MUTANT_ACK_NOT_WRITABLE,       /* acknowledged in an epoch below min_write */
    MUTANT_NO_FENCE,               /* fenced sessions go on */
    MUTANT_FENCE_NOT_INHERITED,    /* a new head does not wait for the fences of its config */
    MUTANT_JOINER_NOT_WAITED_FOR,  /* operations are stable without the joiner */
    MUTANT_READ_DIRTY,             /* reads do not wait for operations that are not stable */
    MUTANT_NO_INCOMPLETE,          /* a half-copied chunk is believed by its version */
    MUTANT_COPY_OVER_LIVE, /* a copy overwrites what came live meanwhile, and nobody looks again */
    MUTANT_COMPARE_CRCS,   /* a joiner believes that blocks of one CRC are equal */
    MUTANT_HIGHER_VERSION_WINS, /* a joiner keeps a chunk of a higher version than its source's */
    /* The store. */
    MUTANT_DIRTY_NOT_WAITED_FOR, /* bytes of a CLEAN chunk change before its DIRTY record is durable */
    MUTANT_SYNC_WITHOUT_DISK,    /* a sync is acknowledged that synced nothing */
    MUTANT_COMPLETE_UNSYNCED,    /* a copy is called complete before it is synced */
    MUTANT_TOMBSTONE_NOT_OUTWAITED, /* a chunk is made again while its tombstone is on the disk */
    MUTANT_TORN_FILE_STAYS,         /* a chunk made anew begins with what a crash has left */
    MUTANT_UNKNOWN_FILES_GO, /* files that the table does not know are removed at the start */
    MUTANT_COUNT,
};

#ifdef CHAIN_MUTANTS
#define CHAIN_MUTANT(c, m) ((c)->o.mutant == (unsigned)(m))
#define JOIN_MUTANT(j, m) ((j)->mutant == (unsigned)(m))
extern unsigned store_mutant; /* of all stores of the process */
#define STORE_MUTANT(m) (store_mutant == (unsigned)(m))
#else
#define STORE_MUTANT(m) 0
#define CHAIN_MUTANT(c, m) ((void)(c), 0)
#define JOIN_MUTANT(j, m) ((void)(j), 0)
#endif

#endif
