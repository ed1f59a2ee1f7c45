/*
 * The group of namenodes, as an operator sees and changes it: `dfs namenode`, `dfs cluster replace`.
 */
#ifndef SHELL_NAMENODES_H
#define SHELL_NAMENODES_H

#include <stdint.h>

#include "rpc/node.pb-c.h"

struct admin;

/*
 * Asks whoever leads; freed by dfs__report_reply__free_unpacked(). Codes as admin_call(); while they
 * elect a leader it is waited for, some seconds.
 */
int namenodes_report(struct admin *a, const char *addrs, Dfs__ReportReply **ret_report);

/* addr NULL: the namenode leaves the group, and hands over first if it leads. As MSG_MEMBER. */
int namenodes_change(struct admin *a, const char *addrs, uint64_t id, const char *addr);

/* To this one; 0: to the one that is most up to date. Returns when another leads. As MSG_TRANSFER. */
int namenodes_transfer(struct admin *a, const char *addrs, uint64_t id);

/* What to do about a code of one of these, in a sentence. */
const char *namenodes_why(int error);

/*
 * What comes next when new_id at addr is to take the place of old_id: of two that live one is added
 * first, so that no majority is ever at risk; one that is dead does not count any more as soon as
 * its successor is known. The state of the group says how far it is: it may be broken off and begun
 * again anywhere.
 */
enum replace_step {
    REPLACE_ADD,
    REPLACE_WAIT,     /* until it has caught up and votes */
    REPLACE_TRANSFER, /* the old one leads: it hands over first */
    REPLACE_REMOVE,
    REPLACE_DONE,
    REPLACE_NO_OLD,    /* neither is a member */
    REPLACE_ELSEWHERE, /* new_id is a member, at another address */
    REPLACE_OCCUPIED,  /* the old one is still heard, where the new one should be: as WAIT */
};
enum replace_step namenodes_replace_step(const Dfs__ReportReply *report, uint64_t old_id,
                                         uint64_t new_id, const char *addr);

/* All steps, with a word on stdout about each. Returns an exit status; it has said what failed. */
int namenodes_replace(struct admin *a, const char *addrs, uint64_t old_id, uint64_t new_id,
                      const char *addr);

#endif
