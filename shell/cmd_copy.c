/* dfs put, get, cp and cat. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/copy.h"
#include "shell/format.h"

enum option_id { OPT_FORCE = 1, OPT_JOBS, OPT_QUIET, OPT_RECURSIVE, OPT_PRESERVE };

static const struct arg_option put_options[] = {
    {"force", 'f', NULL, "overwrite files that are there", OPT_FORCE},
    {"jobs", 'j', "N", "copy N files at a time (8)", OPT_JOBS},
    {"quiet", 'q', NULL, "show no progress", OPT_QUIET},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec put_spec = {
    .program = "dfs put",
    .usage = "[OPTION]... FILE... PATH\n[OPTION]... - PATH",
    .about = "Copies files and trees into dfs: into PATH when it is a directory, else to PATH.\n"
             "Keeps modes, times, symbolic links and, as root, owners. - is standard input.\n"
             "A file appears under its name when it is complete. When it ends, what was copied\n"
             "survives a power failure of the whole cluster.",
    .options = put_options,
    .rest_min = 2,
    .rest_max = -1,
};
static const struct args_spec get_spec = {
    .program = "dfs get",
    .usage = "[OPTION]... PATH... FILE\n[OPTION]... PATH -",
    .about = "Copies files and trees out of dfs: into FILE when it is a directory, else to FILE.\n"
             "Keeps modes, times, symbolic links and, as root, owners. - is standard output.\n"
             "A file appears under its name when it is complete.",
    .options = put_options,
    .rest_min = 2,
    .rest_max = -1,
};
static const struct arg_option cp_options[] = {
    {"recursive", 'r', NULL, "copy directories and what is in them", OPT_RECURSIVE},
    {"preserve", 'p', NULL, "keep times and, as root, owners", OPT_PRESERVE},
    {"force", 'f', NULL, "overwrite files that are there", OPT_FORCE},
    {"jobs", 'j', "N", "copy N files at a time (8)", OPT_JOBS},
    {"quiet", 'q', NULL, "show no progress", OPT_QUIET},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec cp_spec = {
    .program = "dfs cp",
    .usage = "[OPTION]... PATH... PATH",
    .about = "Copies within dfs: into the last PATH when it is a directory, else to it. Modes are\n"
             "kept. A file appears under its name when it is complete.",
    .options = cp_options,
    .rest_min = 2,
    .rest_max = -1,
};

struct request {
    struct client client;
    struct copy_options options;
    struct args args;
};

/* EXIT_OK to go on, or 1 + the exit code. */
static int parse(const struct args_spec *spec, int argc, char **argv, struct request *q)
{
    uint64_t jobs;
    int opt;

    q->options = (struct copy_options){.progress = true, .jobs = COPY_JOBS_DEFAULT};
    client_init(&q->client, spec->program);
    args_init(&q->args, spec, argc, argv);
    while ((opt = args_next(&q->args)) != ARGS_END) {
        if (client_take(&q->client, opt, q->args.value))
            continue;
        switch (opt) {
        case OPT_FORCE:
            q->options.overwrite = true;
            break;
        case OPT_JOBS:
            if (str_parse_u64(q->args.value, &jobs) < 0 || jobs < 1 || jobs > COPY_JOBS_MAX)
                return 1 + args_usage_error(spec, "--jobs takes a number from 1 to %d, not '%s'",
                                            COPY_JOBS_MAX, q->args.value);
            q->options.jobs = (unsigned)jobs;
            break;
        case OPT_QUIET:
            q->options.progress = false;
            break;
        case OPT_RECURSIVE:
            q->options.recursive = true;
            break;
        case OPT_PRESERVE:
            q->options.keep_times = true;
            q->options.keep_owner = geteuid() == 0;
            break;
        default:
            return 1 + q->args.exit_code;
        }
    }
    return EXIT_OK;
}

static int finish(struct request *q, const char *dest, int r)
{
    unsigned failures = q->client.failures;

    if (r == -ENOTDIR)
        client_complain_text(&q->client, dest, "is not a directory");
    else if (r == -EINTR)
        client_complain_text(&q->client, dest, "interrupted; files that were complete are there");
    else if (r < 0)
        client_complain(&q->client, dest, r);
    else if (failures > 0)
        fprintf(stderr, "%s: %u failed\n", q->client.program, failures);
    return client_done(&q->client);
}

static int run(struct request *q, const struct place *from, const struct place *to)
{
    int count = q->args.rest_count - 1;
    const char *dest = q->args.rest[count];

    return finish(q, dest, copy_run(&q->client, from, to, q->args.rest, count, dest, &q->options));
}

int cmd_put(int argc, char **argv)
{
    struct request q;
    struct place from = place_local(), to;
    char **rest;
    int last, r = parse(&put_spec, argc, argv, &q);

    if (r != EXIT_OK)
        return r - 1;
    rest = q.args.rest;
    last = q.args.rest_count - 1;
    r = client_check_paths(&put_spec, &rest[last], 1);
    if (r != EXIT_OK)
        return r;
    q.options.recursive = q.options.keep_times = true;
    q.options.keep_owner = geteuid() == 0;
    r = client_connect(&q.client);
    if (r != EXIT_OK)
        return r;
    to = place_dfs(q.client.dfs);
    if (last == 1 && strcmp(rest[0], "-") == 0) {
        r = copy_from_fd(&to, STDIN_FILENO, rest[1], q.options.overwrite);
        if (r == -EEXIST) {
            client_complain_text(&q.client, rest[1], "is there already; -f overwrites it");
            r = 0;
        }
        return finish(&q, rest[1], r);
    }
    return run(&q, &from, &to);
}

int cmd_get(int argc, char **argv)
{
    struct request q;
    struct place from, to = place_local();
    char **rest;
    int last, r = parse(&get_spec, argc, argv, &q);

    if (r != EXIT_OK)
        return r - 1;
    rest = q.args.rest;
    last = q.args.rest_count - 1;
    r = client_check_paths(&get_spec, rest, last);
    if (r != EXIT_OK)
        return r;
    q.options.recursive = q.options.keep_times = true;
    q.options.keep_owner = geteuid() == 0;
    r = client_connect(&q.client);
    if (r != EXIT_OK)
        return r;
    from = place_dfs(q.client.dfs);
    if (last == 1 && strcmp(rest[1], "-") == 0)
        return finish(&q, rest[0], copy_to_fd(&from, rest[0], STDOUT_FILENO));
    return run(&q, &from, &to);
}

int cmd_cp(int argc, char **argv)
{
    struct request q;
    struct place place;
    int r = parse(&cp_spec, argc, argv, &q);

    if (r != EXIT_OK)
        return r - 1;
    r = client_check_paths(&cp_spec, q.args.rest, q.args.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&q.client);
    if (r != EXIT_OK)
        return r;
    place = place_dfs(q.client.dfs);
    return run(&q, &place, &place);
}

static const struct arg_option cat_options[] = {CLIENT_OPTIONS, {0}};
static const struct args_spec cat_spec = {
    .program = "dfs cat",
    .usage = "[OPTION]... PATH...",
    .about = "Prints files.",
    .options = cat_options,
    .rest_min = 1,
    .rest_max = -1,
};

int cmd_cat(int argc, char **argv)
{
    struct client c;
    struct place place;
    struct args a;
    int opt, r;

    client_init(&c, cat_spec.program);
    args_init(&a, &cat_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END)
        if (!client_take(&c, opt, a.value))
            return a.exit_code;
    r = client_check_paths(&cat_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    place = place_dfs(c.dfs);
    for (int i = 0; i < a.rest_count; i++) {
        r = copy_to_fd(&place, a.rest[i], STDOUT_FILENO);
        if (r < 0)
            client_complain(&c, a.rest[i], r);
    }
    return client_done(&c);
}
