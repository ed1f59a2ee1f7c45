#include "shell/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/limits.h"
#include "common/strutil.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/progress.h"

void client_init(struct client *c, const char *program)
{
    *c = (struct client){.program = program};
    dfs_options_init(&c->options);
}

bool client_take(struct client *c, int opt, const char *value)
{
    if (opt == CLIENT_OPT_CONFIG)
        c->options.config_file = value;
    else if (opt == CLIENT_OPT_NAMENODES)
        c->options.namenodes = value;
    else
        return false;
    return true;
}

const char *client_config_path(const struct client *c)
{
    const char *path = c->options.config_file;

    if (path == NULL)
        path = getenv("DFS_CONFIG");
    return path != NULL ? path : DFS_SYSCONFDIR "/dfs.conf";
}

int client_connect(struct client *c)
{
    struct dfs_options o = c->options;
    char problem[512] = "";
    int r;

    if (o.namenodes != NULL) {
        char *full = str_full_addrs(o.namenodes, NAMENODE_PORT, NAMENODE_ADDRS_MAX, problem,
                                    sizeof(problem));

        free(full);
        if (full == NULL) {
            fprintf(stderr, "%s: --namenodes: %s\n", c->program, problem);
            return EXIT_USAGE;
        }
    }
    /* With --namenodes the certificates still come from the file, if there is one. */
    if (o.namenodes != NULL && access(client_config_path(c), R_OK) == 0)
        o.config_file = client_config_path(c);
    r = dfs_connect(&o, &c->dfs, problem, sizeof(problem));
    if (r == 0)
        return EXIT_OK;
    fprintf(stderr, "%s: the cluster was not reached: %s\n", c->program,
            problem[0] != '\0' ? problem : strerror(-r));
    return EXIT_UNREACHED;
}

int client_done(struct client *c)
{
    dfs_disconnect(c->dfs);
    c->dfs = NULL;
    return c->failures > 0 ? EXIT_FAILED : EXIT_OK;
}

void client_complain_text(struct client *c, const char *path, const char *text)
{
    c->failures++;
    progress_hide(c->progress);
    flockfile(stderr); /* A line of one thread is not mixed with that of another. */
    fprintf(stderr, "%s: ", c->program);
    format_name(stderr, path, isatty(STDERR_FILENO));
    fprintf(stderr, ": %s\n", text);
    funlockfile(stderr);
}

void client_complain(struct client *c, const char *path, int error)
{
    client_complain_text(c, path, strerror(-error));
}

int client_check_paths(const struct args_spec *spec, char **paths, int count)
{
    for (int i = 0; i < count; i++)
        if (paths[i][0] != '/')
            return args_usage_error(spec, "'%s': paths in dfs are absolute; did you mean '/%s'?",
                                    paths[i], paths[i]);
    return EXIT_OK;
}
