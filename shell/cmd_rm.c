/* dfs rm: files side by side, then directories from the bottom up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/args.h"
#include "common/mem.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/pool.h"
#include "shell/walk.h"

enum option_id { OPT_RECURSIVE = 1, OPT_FORCE };
enum { JOBS = 8 };

static const struct arg_option options[] = {
    {"recursive", 'r', NULL, "directories and all that is in them", OPT_RECURSIVE},
    {"force", 'f', NULL, "a file that is not there is no error", OPT_FORCE},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec spec = {
    .program = "dfs rm",
    .usage = "[OPTION]... PATH...",
    .about = "Removes files, and with -r trees. There is no way back.",
    .options = options,
    .rest_min = 1,
    .rest_max = -1,
};

struct rm {
    struct client client;
    bool recursive, force;
    struct pool *pool;
    char **dirs; /* in the order in which they were found: removed backwards */
    size_t dir_count;
};

static void tell(struct rm *rm, const char *path, int r)
{
    if (r < 0 && !(r == -ENOENT && rm->force))
        client_complain(&rm->client, path, r);
}

static void unlink_job(void *ctx, void *arg)
{
    struct rm *rm = ctx;
    char *path = arg;

    tell(rm, path, dfs_unlink(rm->client.dfs, path));
    free(path);
}

static enum walk_next on_enter(void *ctx, const struct walk_item *item)
{
    struct rm *rm = ctx;

    if (!S_ISDIR(item->st.mode)) {
        pool_submit(rm->pool, unlink_job, rm, mem_strdup(item->path));
        return WALK_ON;
    }
    if (!rm->recursive) {
        client_complain_text(&rm->client, item->path, "is a directory; -r removes it");
        return WALK_SKIP;
    }
    rm->dirs = mem_realloc(rm->dirs, rm->dir_count + 1, sizeof(*rm->dirs));
    rm->dirs[rm->dir_count++] = mem_strdup(item->path);
    return WALK_ON;
}

static void on_failed(void *ctx, const char *path, int error)
{
    tell(ctx, path, error);
}

static void remove_dirs(struct rm *rm)
{
    while (rm->dir_count > 0) {
        char *path = rm->dirs[--rm->dir_count];

        tell(rm, path, dfs_rmdir(rm->client.dfs, path));
        free(path);
    }
    free(rm->dirs);
    rm->dirs = NULL;
}

int cmd_rm(int argc, char **argv)
{
    struct rm rm = {.recursive = false};
    struct place place;
    const struct walk w = {.place = &place, .enter = on_enter, .failed = on_failed, .ctx = &rm};
    struct args a;
    int opt, r;

    client_init(&rm.client, spec.program);
    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&rm.client, opt, a.value))
            continue;
        if (opt == OPT_RECURSIVE)
            rm.recursive = true;
        else if (opt == OPT_FORCE)
            rm.force = true;
        else
            return a.exit_code;
    }
    r = client_check_paths(&spec, a.rest, a.rest_count);
    for (int i = 0; r == EXIT_OK && i < a.rest_count; i++)
        if (strspn(a.rest[i], "/.") == strlen(a.rest[i]))
            r = args_usage_error(&spec, "'%s' is the root: it stays", a.rest[i]);
    if (r == EXIT_OK)
        r = client_connect(&rm.client);
    if (r != EXIT_OK)
        return r;
    place = place_dfs(rm.client.dfs);
    r = pool_new(JOBS, &rm.pool);
    if (r < 0)
        client_complain(&rm.client, "threads", r);
    for (int i = 0; r == 0 && i < a.rest_count; i++)
        walk(&w, a.rest[i], false);
    pool_free(rm.pool);
    remove_dirs(&rm);
    return client_done(&rm.client);
}
