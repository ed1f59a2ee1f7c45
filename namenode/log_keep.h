/*
 * From where on the log is kept: behind what the state machine has flushed (I9), and before that what
 * a live follower still lacks, as long as the log does not get too long for it. Pure: it decides,
 * raft_log_compact() does.
 */
#ifndef NAMENODE_LOG_KEEP_H
#define NAMENODE_LOG_KEEP_H

#include <stdint.h>

struct raft_status;

struct log_keep {
    uint64_t flushed_index; /* what a crash would leave of the state machine */
    uint64_t log_bytes, log_bytes_max;
    int64_t now_ns;  /* by the clock of raft's events */
    int64_t live_ns; /* a follower heard within is alive */
};

/* The first index to keep. */
uint64_t log_keep_from(const struct log_keep *k, const struct raft_status *status);

#endif
