/* dfs fsck without --replicas and --files: do the metadata agree with each other, at each namenode. */
#ifndef SHELL_FSCK_NAMES_H
#define SHELL_FSCK_NAMES_H

#include <stdbool.h>

struct admin;
struct client;

/* Exit codes of dfs fsck, after fsck(8); beside EXIT_OK, EXIT_USAGE, EXIT_UNREACHED. */
enum {
    FSCK_EXIT_REPAIRED = 1, /* there were findings, and all were repaired */
    FSCK_EXIT_LEFT = 4,     /* findings are left */
    FSCK_EXIT_UNCHECKED = 8 /* something could not be checked */
};

/* addrs: of the namenodes, as the configuration has them. Complains, prints, gives the exit code. */
int fsck_names(struct client *c, struct admin *admin, const char *addrs, bool repair, bool json);

#endif
