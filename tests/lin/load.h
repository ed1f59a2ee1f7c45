/*
 * lin_load, the parts that its processes share:
 *
 *   lin_load ──fork──► keeper     makes the two directories of a round, lists all at its end
 *            ──fork──► client 1   a session of its own, and several operations at once, each by a
 *            ──fork──► client 2.. `slot`; killed now and then, and replaced
 *
 * They meet in one piece of shared memory. A record says that an operation is called before it is
 * sent, and that it returned after that: so a process may be killed at any moment.
 */
#ifndef TESTS_LIN_LOAD_H
#define TESTS_LIN_LOAD_H

#include <stdatomic.h>

#include "tests/lin/lin.h"

enum {
    LOAD_CLIENTS_MAX = 8,
    LOAD_SLOTS = 2, /* of a client */
    LOAD_SLOTS_MAX = LOAD_CLIENTS_MAX * LOAD_SLOTS,
    LOAD_KEEPER = LOAD_SLOTS_MAX, /* its slot */
    LOAD_RECORDS = 64,
    LOAD_ROOTS = 2,
    LOAD_TOLD_MAX = 256,
    LOAD_PATH_MAX = 512,
};

enum load_state { LOAD_FREE, LOAD_CALLED, LOAD_RETURNED };

struct load_record {
    _Atomic int state; /* enum load_state */
    struct lin_op op;
    uint64_t called_ns, returned_ns;
    struct lin_result result; /* its entries: */
    struct lin_entry entries[LIN_ENTRIES_MAX];
};

struct load_slot {
    _Atomic unsigned round; /* The last one that it has finished. */
    _Atomic unsigned count;
    struct load_record records[LOAD_RECORDS];
};

/* Inodes that some client has been told of in this round. */
struct load_told {
    _Atomic unsigned count; /* May be beyond the maximum. */
    _Atomic uint64_t inodes[LOAD_TOLD_MAX];
};

struct load_shared {
    /* What is to be done; set before the first fork. */
    char config[LOAD_PATH_MAX];
    uint64_t seed;
    unsigned ops, names, timeout_ms;

    /* The round that runs, from 1. The keeper prepares it, and closes it, when it is told to. */
    _Atomic unsigned prepare, prepared, round, close, closed;
    _Atomic bool stop; /* No more calls in this round. */
    uint64_t roots[LOAD_ROOTS];
    struct load_told dirs, files;
    struct load_slot slots[LOAD_SLOTS_MAX + 1];
};

/* The name of a round's directory, below the root. */
void load_root_name(const struct load_shared *sh, unsigned round, unsigned i,
                    char out[LIN_NAME_SIZE]);

/* ino is known from now on. */
void load_tell(struct load_told *t, uint64_t ino);

/* In the slot's record: an operation that is about to be sent; what came of it; what it told of. */
struct load_record *load_record_new(struct load_shared *sh, unsigned slot);
void load_record_call(struct load_shared *sh, unsigned slot, struct load_record *r);
/* status as of the calls of libdfs: 0 or -errno. */
void load_record_return(struct load_record *r, int status);

/* The processes. netns: a network namespace of ip-netns(8) to live in, NULL: ours. They don't return. */
_Noreturn void load_client(struct load_shared *sh, unsigned client, uint64_t seed,
                           const char *netns);
/* Through the mount at path, by system calls: its slots are threads. */
_Noreturn void load_mount(struct load_shared *sh, unsigned client, uint64_t seed, const char *path);
_Noreturn void load_keeper(struct load_shared *sh, const char *netns);

#endif
