/* dfs find. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/find.h"
#include "shell/format.h"
#include "shell/walk.h"

static const struct arg_option options[] = {CLIENT_OPTIONS, {0}};
static const struct args_spec spec = {
    .program = "dfs find",
    .usage = "[OPTION]... [PATH]... [TEST]...",
    .about = "Prints the paths of all files under PATH (/ when none is given) that pass all tests.",
    .options = options,
    .more = "Tests:\n"
            "  -name PATTERN     the last name matches the shell pattern\n"
            "  -type f|d|l|p|s|c|b\n"
            "                    file, directory, link, pipe, socket, character or block device\n"
            "  -size [+-]N[ckMG] in bytes (c), KiB, MiB, GiB, else 512 bytes, rounded up;\n"
            "                    + more than, - less than\n"
            "  -newer PATH       changed after PATH was\n"
            "  -mindepth N, -maxdepth N\n"
            "                    how deep; PATH itself is 0\n"
            "  -print, -print0   end each path with a new line (as always) or with a NUL",
    .rest_max = -1,
    .stop_at_operand = true,
};

struct find {
    struct client client;
    struct find_plan plan;
    bool terminal;
};

static enum walk_next on_enter(void *ctx, const struct walk_item *item)
{
    struct find *f = ctx;

    if (item->depth >= f->plan.depth_min && find_matches(&f->plan, item->name, &item->st)) {
        format_name(stdout, item->path, f->terminal && !f->plan.print0);
        putchar(f->plan.print0 ? '\0' : '\n');
    }
    return item->depth < f->plan.depth_max ? WALK_ON : WALK_SKIP;
}

static void on_failed(void *ctx, const char *path, int error)
{
    struct find *f = ctx;

    client_complain(&f->client, path, error);
}

/* -newer wants the time of a file. */
static int ask_times(struct find *f)
{
    for (unsigned i = 0; i < f->plan.test_count; i++) {
        struct find_test *t = &f->plan.tests[i];
        struct dfs_stat st;
        int r;

        if (t->kind != FIND_NEWER)
            continue;
        r = dfs_stat(f->client.dfs, t->text, &st);
        if (r < 0) {
            client_complain(&f->client, t->text, r);
            return r;
        }
        t->than_ns = st.mtime_ns;
    }
    return 0;
}

/* The first word that begins with '-' ends the paths: getopt must not see it. */
static int first_test(int argc, char **argv)
{
    int i = 1;

    while (i < argc && argv[i][0] == '-' && argv[i][1] == '-') {
        bool has_value = strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--namenodes") == 0;

        i += has_value ? 2 : 1;
    }
    while (i < argc && argv[i][0] != '-')
        i++;
    return i < argc ? i : argc;
}

int cmd_find(int argc, char **argv)
{
    struct find f = {.terminal = isatty(STDOUT_FILENO)};
    struct place place;
    const struct walk w = {.place = &place, .enter = on_enter, .failed = on_failed, .ctx = &f};
    char err[FIND_ERROR_MAX];
    struct args a;
    int opt, r, tests = first_test(argc, argv);

    if (tests < argc && strcmp(argv[tests], "-h") == 0) {
        args_print_help(&spec, stdout);
        return EXIT_OK;
    }
    client_init(&f.client, spec.program);
    args_init(&a, &spec, tests, argv);
    while ((opt = args_next(&a)) != ARGS_END)
        if (!client_take(&f.client, opt, a.value))
            return a.exit_code;
    if (find_parse(argv + tests, argc - tests, &f.plan, err) < 0)
        return args_usage_error(&spec, "%s", err);
    r = client_check_paths(&spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&f.client);
    if (r != EXIT_OK)
        return r;
    place = place_dfs(f.client.dfs);
    if (ask_times(&f) == 0) {
        if (a.rest_count == 0)
            walk(&w, "/", true);
        for (int i = 0; i < a.rest_count; i++)
            walk(&w, a.rest[i], false);
    }
    return client_done(&f.client);
}
