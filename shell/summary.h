/*
 * What the report of a cluster means: placement groups counted by how safe they are, and what is
 * wrong, the most dangerous first. Pure: made from the JSON of dfs_report_json().
 */
#ifndef SHELL_SUMMARY_H
#define SHELL_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum { SUMMARY_PROBLEMS_MAX = 64, SUMMARY_TEXT_MAX = 640, SUMMARY_GROUPS_MAX = 8 };

struct summary {
    bool serving; /* the leader serves */
    unsigned pg_count;
    /* Each group is counted once. */
    unsigned full;       /* all copies serve */
    unsigned degraded;   /* fewer, but it takes writes */
    unsigned unwritable; /* read only: fewer than min_write serve */
    unsigned down;       /* no copy serves: what is in it cannot be read now */
    unsigned last_copy;  /* of degraded and unwritable: a single copy serves */
    unsigned member_syncing;
    unsigned namenode_count, namenodes_down;
    unsigned target_count, targets_silent, targets_failed, targets_draining;
    uint64_t sync_done, sync_total; /* bytes */
    uint64_t sync_rate;             /* bytes a second; 0: not known yet */
    unsigned bad_blocks, bad_healed;

    unsigned problem_count; /* 0: all is well */
    char problems[SUMMARY_PROBLEMS_MAX][SUMMARY_TEXT_MAX];
    char verdict[SUMMARY_TEXT_MAX];
};

/* -EINVAL: not a report. */
int summary_make(const json_t *report, struct summary *ret_summary);

#endif
