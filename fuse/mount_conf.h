/* What a mount is told: command line, -o options and the configuration file, in this order of
 * force. */
#ifndef FUSE_MOUNT_CONF_H
#define FUSE_MOUNT_CONF_H

#include <stdbool.h>

#include "libdfs/dfs_ll.h"

struct conf;

struct mount_conf {
    struct conf *file;       /* strings below may belong to it */
    const char *config_path; /* NULL: none was given, and the installed one is not there */
    char *namenodes;
    char *subdir; /* "/" or the directory to be seen as the root */
    const char *mountpoint;
    const char *log_path; /* of the daemon; NULL: nowhere */
    const char *pid_file;
    const char *http_addr; /* NULL: no metrics */
    char *kernel_options;  /* for mount(2), comma-separated, begins with a comma if not empty */
    bool foreground;
    bool allow_other;
    bool read_only;
    bool may_cover; /* the directory need not be empty */
    unsigned read_ahead_kb;
    struct ll_options ll;
};

/*
 * 0: *c is filled; mount_conf_done() frees it. Otherwise *ret_exit is the exit code (0 after
 * --help) and everything has been said on stderr.
 */
int mount_conf_parse(struct mount_conf *c, int argc, char **argv, int *ret_exit);
void mount_conf_done(struct mount_conf *c);

#endif
