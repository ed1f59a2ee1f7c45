/*
 * What every command that asks the cluster has: its common options, a connection, and the way
 * mistakes are told ("dfs ls: /x: No such file or directory") and counted.
 *
 *   struct client c;
 *
 *   client_init(&c, spec.program);
 *   ... args_next(): if (client_take(&c, opt, a.value)) continue;
 *   r = client_connect(&c);
 *   if (r != EXIT_OK)
 *       return r;
 *   ... dfs_...(c.dfs, ...), client_complain(&c, path, r) ...
 *   return client_done(&c);
 */
#ifndef SHELL_CLIENT_H
#define SHELL_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/compiler.h"
#include "libdfs/dfs.h"

struct args;
struct args_spec;
struct progress;

enum { CLIENT_OPT_CONFIG = 1000, CLIENT_OPT_NAMENODES };

/* Two rows of a table of options. */
#define CLIENT_OPTIONS                                                                             \
    {"config", 0, "FILE", "read where the cluster is from FILE, not $DFS_CONFIG or dfs.conf",      \
     CLIENT_OPT_CONFIG},                                                                           \
    {                                                                                              \
        "namenodes", 0, "LIST", "the namenodes: HOST:PORT,HOST:PORT,...", CLIENT_OPT_NAMENODES     \
    }

/* For -EOPNOTSUPP of what the namenodes can not do yet. */
#define CLIENT_TOO_OLD "a namenode runs an older release (see 'dfs report')"

struct client {
    const char *program;
    struct dfs_options options;
    struct dfs *dfs;           /* after client_connect() */
    struct progress *progress; /* its line gives way to messages; may be NULL */
    atomic_uint failures;
};

void client_init(struct client *c, const char *program);
/* True when the option was one of CLIENT_OPTIONS. */
bool client_take(struct client *c, int opt, const char *value);
/* EXIT_OK, or EXIT_UNREACHED with a sentence on stderr. */
int client_connect(struct client *c);
/* Disconnects. EXIT_FAILED if anything was complained about. */
int client_done(struct client *c);

/* Counts a failure and tells it; error is -errno. Any thread. */
void client_complain(struct client *c, const char *path, int error);
/* The same with a text of its own. */
void client_complain_text(struct client *c, const char *path, const char *text);

/* EXIT_OK when all operands are absolute, else EXIT_USAGE and a hint. */
int client_check_paths(const struct args_spec *spec, char **paths, int count);

/* The file that says where the cluster is, for what libdfs has no call for. */
const char *client_config_path(const struct client *c);

#endif
