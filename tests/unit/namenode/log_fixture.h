/*
 * For the tests of the Raft log: a log on a disk in memory, beside it a model of what it should
 * hold. No threads: raft_log_pump() does the work.
 */
#ifndef TESTS_UNIT_NAMENODE_LOG_FIXTURE_H
#define TESTS_UNIT_NAMENODE_LOG_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/rng.h"
#include "common/vfs_fake.h"
#include "namenode/raft_log.h"

enum { SEGMENT = 32 << 10, ENTRIES_MAX = 512 };

/* What the log should hold: terms and lengths; contents follow from index and term. */
struct model {
    uint64_t base, last;
    uint64_t kept; /* last entry that the last update did not append */
    struct {
        uint64_t term;
        uint32_t len;
    } entries[ENTRIES_MAX]; /* by index */
    struct raft_hard_state hard;
};

struct log_fixture {
    struct vfs_fake *disk;
    struct raft_log *log;
    struct raft_log_boot boot;
    struct model want;  /* all that was asked for */
    struct model acked; /* as it was at the last durable() */
    uint64_t next_write;
    uint64_t durable;
    int fatal;
    const char *failed; /* the work that ended in it */
    struct rng seeds;
    struct raft_log_config config;
};

/* Everything one update can ask for. */
struct ask {
    uint64_t term, vote; /* 0: as before */
    uint64_t reset_to;   /* base index; 0: none */
    uint64_t truncate_from;
    unsigned count;
    uint32_t len;
    uint64_t entry_term;
};

/* cmocka's; the log is not open yet. */
int log_setup(void **state);
int log_teardown(void **state);

int open_log(struct log_fixture *f);
void reopen_log(struct log_fixture *f);
void ask_log(struct log_fixture *f, const struct ask *a);
/* count <= 64 */
void append_log(struct log_fixture *f, unsigned count, uint32_t len, uint64_t term);

/* The log as recovery gives it; the contents of its entries are checked. */
void look_at_log(struct log_fixture *f, struct model *ret);
bool same_entries(const struct model *a, const struct model *b, uint64_t from, uint64_t to);
void assert_log_is(struct log_fixture *f, const struct model *want);

#endif
