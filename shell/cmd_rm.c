/*
 * dfs rm. With -r the namenode takes the tree apart (dfs_remove_tree()), and stops at the first entry
 * that it may not remove; what is left then is walked here, files side by side, then directories from
 * the bottom up, so that everything that can go goes, and every failure is told.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/args.h"
#include "common/compiler.h"
#include "common/mem.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/interrupts.h"
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
    struct interrupts interrupts;
    atomic_ullong files, dirs; /* that were removed */
    struct pool *pool;
    char **dirs_found; /* in the order in which they were found: removed backwards */
    size_t dir_count;
};

/* One more, or why not. */
static void tell(struct rm *rm, const char *path, int r, atomic_ullong *count)
{
    if (r == 0)
        ++*count;
    else if (!(r == -ENOENT && rm->force))
        client_complain(&rm->client, path, r);
}

/* ---- walking ---- */

static void unlink_job(void *ctx, void *arg)
{
    struct rm *rm = ctx;
    char *path = arg;

    tell(rm, path, dfs_unlink(rm->client.dfs, path), &rm->files);
    free(path);
}

static enum walk_next on_enter(void *ctx, const struct walk_item *item)
{
    struct rm *rm = ctx;

    if (rm->interrupts.stop)
        return WALK_STOP;
    if (!S_ISDIR(item->st.mode)) {
        pool_submit(rm->pool, unlink_job, rm, mem_strdup(item->path));
        return WALK_ON;
    }
    if (!rm->recursive) {
        client_complain_text(&rm->client, item->path, "is a directory; -r removes it");
        return WALK_SKIP;
    }
    rm->dirs_found = mem_realloc(rm->dirs_found, rm->dir_count + 1, sizeof(*rm->dirs_found));
    rm->dirs_found[rm->dir_count++] = mem_strdup(item->path);
    return WALK_ON;
}

static void on_failed(void *ctx, const char *path, int error)
{
    struct rm *rm = ctx;

    tell(rm, path, error, &rm->files);
}

static void remove_dirs(struct rm *rm)
{
    while (rm->dir_count > 0) {
        char *path = rm->dirs_found[--rm->dir_count];

        if (!rm->interrupts.stop)
            tell(rm, path, dfs_rmdir(rm->client.dfs, path), &rm->dirs);
        free(path);
    }
    free(rm->dirs_found);
    rm->dirs_found = NULL;
}

static void remove_walking(struct rm *rm, const char *path)
{
    const struct place place = place_dfs(rm->client.dfs);
    const struct walk w = {.place = &place, .enter = on_enter, .failed = on_failed, .ctx = rm};

    walk(&w, path, false);
}

/* ---- trees ---- */

static int on_slice(void *ctx, const struct dfs_removed *so_far)
{
    struct rm *rm = ctx;

    (void)so_far;
    return rm->interrupts.stop;
}

static void remove_tree(struct rm *rm, const char *path)
{
    struct dfs_removed removed;
    int r = dfs_remove_tree(rm->client.dfs, path, on_slice, rm, &removed);

    rm->files += removed.files;
    rm->dirs += removed.directories;
    if (r == -ETIMEDOUT)
        tell(rm, path, r, &rm->files);
    else if (r < 0 && !rm->interrupts.stop)
        remove_walking(rm, path);
}

static void tell_interrupted(struct rm *rm, const char *path)
{
    char text[128];

    (void)snprintf(text, sizeof(text), "interrupted; %llu files and %llu directories were removed",
                   rm->files, rm->dirs);
    client_complain_text(&rm->client, path, text);
}

/* "/", also as "/x/..": "." and ".." are taken lexically, as libdfs does. */
static bool is_root(const char *path)
{
    unsigned depth = 0;

    while (*(path += strspn(path, "/")) != '\0') {
        size_t n = strcspn(path, "/");

        if (n == 2 && strncmp(path, "..", 2) == 0)
            depth -= depth > 0;
        else
            depth += n != 1 || *path != '.';
        path += n;
    }
    return depth == 0;
}

static void remove_all(struct rm *rm, char **paths, int count)
{
    int r = pool_new(JOBS, &rm->pool), i;

    if (r < 0) {
        client_complain(&rm->client, "threads", r);
        return;
    }
    for (i = 0; i < count && !rm->interrupts.stop; i++) {
        if (rm->recursive)
            remove_tree(rm, paths[i]);
        else
            remove_walking(rm, paths[i]);
    }
    pool_free(rm->pool);
    remove_dirs(rm);
    if (rm->interrupts.stop)
        tell_interrupted(rm, paths[MAX(i, 1) - 1]);
}

int cmd_rm(int argc, char **argv)
{
    struct rm rm = {.recursive = false};
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
        if (is_root(a.rest[i]))
            r = args_usage_error(&spec, "'%s' is the root: it stays", a.rest[i]);
    if (r == EXIT_OK)
        r = client_connect(&rm.client);
    if (r != EXIT_OK)
        return r;
    interrupts_init(&rm.interrupts);
    remove_all(&rm, a.rest, a.rest_count);
    interrupts_done(&rm.interrupts);
    return client_done(&rm.client);
}
