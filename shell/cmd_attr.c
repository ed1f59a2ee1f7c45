/* dfs chmod and dfs chown. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/args.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/mode.h"
#include "shell/walk.h"

enum option_id { OPT_RECURSIVE = 1, OPT_NO_FOLLOW };

static const struct arg_option chmod_options[] = {
    {"recursive", 'R', NULL, "directories and all that is in them", OPT_RECURSIVE},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec chmod_spec = {
    .program = "dfs chmod",
    .usage = "[OPTION]... MODE PATH...",
    .about = "Changes permissions. MODE is octal (640) or symbolic ([ugoa][+-=][rwxXst], several\n"
             "separated by commas: u+rwX,go=). After -- it may begin with '-'.",
    .options = chmod_options,
    .rest_min = 2,
    .rest_max = -1,
};
static const struct arg_option chown_options[] = {
    {"recursive", 'R', NULL, "directories and all that is in them", OPT_RECURSIVE},
    {"no-dereference", 'P', NULL, "of a symbolic link, the link itself", OPT_NO_FOLLOW},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec chown_spec = {
    .program = "dfs chown",
    .usage = "[OPTION]... OWNER[:GROUP] PATH...\n[OPTION]... :GROUP PATH...",
    .about = "Changes owner and group: names of this machine, or numbers. `OWNER:` takes the\n"
             "owner's own group.",
    .options = chown_options,
    .rest_min = 2,
    .rest_max = -1,
};

struct change {
    struct client client;
    bool recursive, no_follow;
    struct mode_change mode;
    uint32_t umask_bits, uid, gid;
    /* Changes one file; below the root of a walk, never through a symbolic link. */
    int (*apply)(struct change *c, const char *path, const struct dfs_stat *st, bool follow);
};

static int apply_mode(struct change *c, const char *path, const struct dfs_stat *st, bool follow)
{
    struct dfs_stat target = *st;
    int r = 0;

    if (S_ISLNK(st->mode)) {
        if (!follow)
            return 0;
        r = dfs_stat(c->client.dfs, path, &target);
    }
    return r < 0 ? r
                 : dfs_chmod(c->client.dfs, path, mode_apply(&c->mode, target.mode, c->umask_bits));
}

static int apply_owner(struct change *c, const char *path, const struct dfs_stat *st, bool follow)
{
    (void)st;
    return follow && !c->no_follow ? dfs_chown(c->client.dfs, path, c->uid, c->gid)
                                   : dfs_lchown(c->client.dfs, path, c->uid, c->gid);
}

static enum walk_next on_enter(void *ctx, const struct walk_item *item)
{
    struct change *c = ctx;
    int r = c->apply(c, item->path, &item->st, item->depth == 0);

    if (r < 0)
        client_complain(&c->client, item->path, r);
    return c->recursive ? WALK_ON : WALK_SKIP;
}

static void on_failed(void *ctx, const char *path, int error)
{
    struct change *c = ctx;

    client_complain(&c->client, path, error);
}

static int apply_all(struct change *c, char **paths, int count)
{
    struct place place;
    const struct walk w = {.place = &place, .enter = on_enter, .failed = on_failed, .ctx = c};
    int r = client_connect(&c->client);

    if (r != EXIT_OK)
        return r;
    place = place_dfs(c->client.dfs);
    for (int i = 0; i < count; i++)
        walk(&w, paths[i], false);
    return client_done(&c->client);
}

/* EXIT_OK to go on, or 1 + the exit code. */
static int parse(const struct args_spec *spec, int argc, char **argv, struct change *c,
                 struct args *a)
{
    int opt, r;

    client_init(&c->client, spec->program);
    args_init(a, spec, argc, argv);
    while ((opt = args_next(a)) != ARGS_END) {
        if (client_take(&c->client, opt, a->value))
            continue;
        if (opt == OPT_RECURSIVE)
            c->recursive = true;
        else if (opt == OPT_NO_FOLLOW)
            c->no_follow = true;
        else
            return 1 + a->exit_code;
    }
    r = client_check_paths(spec, a->rest + 1, a->rest_count - 1);
    return r == EXIT_OK ? EXIT_OK : 1 + r;
}

int cmd_chmod(int argc, char **argv)
{
    struct change c = {.apply = apply_mode};
    struct args a;
    int r = parse(&chmod_spec, argc, argv, &c, &a);

    if (r != EXIT_OK)
        return r - 1;
    if (mode_parse(a.rest[0], &c.mode) < 0)
        return args_usage_error(&chmod_spec, "'%s' is no mode", a.rest[0]);
    c.umask_bits = umask(0);
    (void)umask(c.umask_bits);
    return apply_all(&c, a.rest + 1, a.rest_count - 1);
}

/* ---- owners ---- */

static int find_number(const char *text, uint32_t *ret_id)
{
    uint64_t v;

    if (str_parse_u64(text, &v) < 0 || v >= UINT32_MAX)
        return -EINVAL;
    *ret_id = (uint32_t)v;
    return 0;
}

static int find_user(const char *name, uint32_t *ret_uid, uint32_t *ret_gid)
{
    const struct passwd *pw = getpwnam(name);

    if (pw == NULL)
        return find_number(name, ret_uid);
    *ret_uid = pw->pw_uid;
    if (ret_gid != NULL)
        *ret_gid = pw->pw_gid;
    return 0;
}

static int find_group(const char *name, uint32_t *ret_gid)
{
    const struct group *gr = getgrnam(name);

    if (gr == NULL)
        return find_number(name, ret_gid);
    *ret_gid = gr->gr_gid;
    return 0;
}

/* "owner", "owner:group", "owner:", ":group". What is not named stays (uint32_t)-1. */
static int parse_owner(const char *text, struct change *c)
{
    char *user = mem_strdup(text), *colon = strchr(user, ':');
    int r = 0;

    c->uid = c->gid = UINT32_MAX;
    if (colon != NULL)
        *colon++ = '\0';
    if (user[0] != '\0')
        r = find_user(user, &c->uid, colon != NULL && colon[0] == '\0' ? &c->gid : NULL);
    else if (colon == NULL || colon[0] == '\0')
        r = -EINVAL;
    if (r == 0 && colon != NULL && colon[0] != '\0')
        r = find_group(colon, &c->gid);
    free(user);
    return r;
}

int cmd_chown(int argc, char **argv)
{
    struct change c = {.apply = apply_owner};
    struct args a;
    int r = parse(&chown_spec, argc, argv, &c, &a);

    if (r != EXIT_OK)
        return r - 1;
    if (parse_owner(a.rest[0], &c) < 0)
        return args_usage_error(&chown_spec, "'%s': there is no such user or group here",
                                a.rest[0]);
    return apply_all(&c, a.rest + 1, a.rest_count - 1);
}
