/*
 * Takes a backup from a running cluster: which namenode to ask, what it must have, the file here.
 * `dfs backup create` is around it. One thread.
 */
#ifndef SHELL_BACKUP_FETCH_H
#define SHELL_BACKUP_FETCH_H

#include <stdbool.h>

#include "common/backup_file.h"

struct admin;
struct interrupts;

struct backup_fetch {
    struct admin *admin;
    const char *addrs;             /* all namenodes: "host:port,host:port" */
    const char *from;              /* the one to take it from; NULL: a follower if there is one */
    bool stale;                    /* do not ask the leader what was acknowledged */
    const struct interrupts *stop; /* asked between pieces; may be NULL */
    bool progress;                 /* show it on a terminal */
};

/*
 * Writes the backup to fd, from front to back. *ret_info says what it is; the caller ends it with
 * backup_info_done(). Negative: it has been told on stderr.
 */
int backup_fetch(const struct backup_fetch *f, int fd, struct backup_info *ret_info);

#endif
