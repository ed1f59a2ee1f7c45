/* dfs mv, mkdir, touch and ln. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/args.h"
#include "common/mem.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/mode.h"

enum option_id {
    OPT_NO_CLOBBER = 1,
    OPT_PARENTS,
    OPT_MODE,
    OPT_NO_CREATE,
    OPT_SYMBOLIC,
    OPT_FORCE
};

static uint32_t umask_now(void)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    return mask;
}

static bool is_dir(struct client *c, const char *path)
{
    struct dfs_stat st;

    return dfs_stat(c->dfs, path, &st) == 0 && S_ISDIR(st.mode);
}

/* dest, or dest/NAME when it is a directory; malloc'ed. */
static char *destination(const char *source, const char *dest, bool into_dir)
{
    char *base, *path;

    if (!into_dir)
        return mem_strdup(dest);
    base = format_base(source);
    path = format_path(dest, base);
    free(base);
    return path;
}

/* ---- mv ---- */

static const struct arg_option mv_options[] = {
    {"no-clobber", 'n', NULL, "never replace what is there", OPT_NO_CLOBBER},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec mv_spec = {
    .program = "dfs mv",
    .usage = "[OPTION]... PATH... PATH",
    .about = "Renames, or moves into the last PATH when it is a directory. Replaces what has the\n"
             "new name, in one step.",
    .options = mv_options,
    .rest_min = 2,
    .rest_max = -1,
};

/* Which of the two names is at fault only shows when both are looked at. */
static void complain_move(struct client *c, const char *from, const char *to, int error)
{
    char *both = mem_printf("%s to %s", from, to);
    struct dfs_stat st;
    const char *name = both;

    if (error == -EEXIST || error == -ENOTEMPTY)
        name = to;
    else if (error == -ENOENT)
        name = dfs_lstat(c->dfs, from, &st) == -ENOENT ? from : to;
    client_complain(c, name, error);
    free(both);
}

int cmd_mv(int argc, char **argv)
{
    unsigned flags = 0;
    struct client c;
    struct args a;
    const char *dest;
    bool into_dir;
    int opt, r;

    client_init(&c, mv_spec.program);
    args_init(&a, &mv_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&c, opt, a.value))
            continue;
        if (opt != OPT_NO_CLOBBER)
            return a.exit_code;
        flags = RENAME_NOREPLACE;
    }
    r = client_check_paths(&mv_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    dest = a.rest[a.rest_count - 1];
    into_dir = is_dir(&c, dest);
    if (!into_dir && a.rest_count > 2) {
        client_complain(&c, dest, -ENOTDIR);
        return client_done(&c);
    }
    for (int i = 0; i + 1 < a.rest_count; i++) {
        char *to = destination(a.rest[i], dest, into_dir);

        r = dfs_rename2(c.dfs, a.rest[i], to, flags);
        if (r < 0)
            complain_move(&c, a.rest[i], to, r);
        free(to);
    }
    return client_done(&c);
}

/* ---- mkdir ---- */

static const struct arg_option mkdir_options[] = {
    {"parents", 'p', NULL, "make parents too; what is there is no error", OPT_PARENTS},
    {"mode", 'm', "MODE", "permissions, as for dfs chmod (a=rwx less the umask)", OPT_MODE},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec mkdir_spec = {
    .program = "dfs mkdir",
    .usage = "[OPTION]... PATH...",
    .about = "Makes directories.",
    .options = mkdir_options,
    .rest_min = 1,
    .rest_max = -1,
};

/* Each directory on the way to path that is not there. */
static int make_parents(struct client *c, const char *path, uint32_t mode)
{
    char *copy = mem_strdup(path);
    int r = 0;

    for (char *p = copy + 1; r == 0 && (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        r = dfs_mkdir(c->dfs, copy, mode);
        if (r == -EEXIST)
            r = 0;
        *p = '/';
    }
    free(copy);
    return r;
}

static int make_dir(struct client *c, const char *path, bool parents, const uint32_t *mode)
{
    uint32_t plain = 0777 & ~umask_now();
    /* Whoever makes the parents must be able to make something in them. */
    int r = parents ? make_parents(c, path, plain | 0300) : 0;

    if (r == 0)
        r = dfs_mkdir(c->dfs, path, mode == NULL ? plain : *mode & 0777);
    if (r == -EEXIST && parents && is_dir(c, path))
        return 0;
    if (r == 0 && mode != NULL && (*mode & 07000) != 0)
        r = dfs_chmod(c->dfs, path, *mode);
    return r;
}

int cmd_mkdir(int argc, char **argv)
{
    struct mode_change change;
    uint32_t mode, *given = NULL;
    bool parents = false;
    struct client c;
    struct args a;
    int opt, r;

    client_init(&c, mkdir_spec.program);
    args_init(&a, &mkdir_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&c, opt, a.value))
            continue;
        if (opt == OPT_PARENTS) {
            parents = true;
        } else if (opt == OPT_MODE) {
            if (mode_parse(a.value, &change) < 0)
                return args_usage_error(&mkdir_spec, "'%s' is no mode", a.value);
            mode = mode_apply(&change, S_IFDIR | 0777, umask_now());
            given = &mode;
        } else {
            return a.exit_code;
        }
    }
    r = client_check_paths(&mkdir_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    for (int i = 0; i < a.rest_count; i++) {
        r = make_dir(&c, a.rest[i], parents, given);
        if (r < 0)
            client_complain(&c, a.rest[i], r);
    }
    return client_done(&c);
}

/* ---- touch ---- */

static const struct arg_option touch_options[] = {
    {"no-create", 'c', NULL, "make no files", OPT_NO_CREATE},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec touch_spec = {
    .program = "dfs touch",
    .usage = "[OPTION]... PATH...",
    .about = "Sets the times of files to now; makes those that are not there.",
    .options = touch_options,
    .rest_min = 1,
    .rest_max = -1,
};

static int touch(struct client *c, const char *path, bool create)
{
    struct dfs_file *file;
    int r = dfs_utimens(c->dfs, path, DFS_TIME_NOW, DFS_TIME_NOW);

    if (r != -ENOENT)
        return r;
    if (!create)
        return 0;
    r = dfs_open(c->dfs, path, O_WRONLY | O_CREAT, 0666 & ~umask_now(), &file);
    return r < 0 ? r : dfs_close(file);
}

int cmd_touch(int argc, char **argv)
{
    bool create = true;
    struct client c;
    struct args a;
    int opt, r;

    client_init(&c, touch_spec.program);
    args_init(&a, &touch_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&c, opt, a.value))
            continue;
        if (opt != OPT_NO_CREATE)
            return a.exit_code;
        create = false;
    }
    r = client_check_paths(&touch_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    for (int i = 0; i < a.rest_count; i++) {
        r = touch(&c, a.rest[i], create);
        if (r < 0)
            client_complain(&c, a.rest[i], r);
    }
    return client_done(&c);
}

/* ---- ln ---- */

static const struct arg_option ln_options[] = {
    {"symbolic", 's', NULL, "make a symbolic link; TARGET may be anything", OPT_SYMBOLIC},
    {"force", 'f', NULL, "replace a file that has the name", OPT_FORCE},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec ln_spec = {
    .program = "dfs ln",
    .usage = "[OPTION]... TARGET PATH",
    .about =
        "Makes PATH a link to TARGET, or, when PATH is a directory, one in it of TARGET's name.",
    .options = ln_options,
    .rest_min = 2,
    .rest_max = 2,
};

static int make_link(struct client *c, const char *target, const char *path, bool symbolic)
{
    return symbolic ? dfs_symlink(c->dfs, target, path) : dfs_link(c->dfs, target, path);
}

int cmd_ln(int argc, char **argv)
{
    bool symbolic = false, force = false;
    struct client c;
    struct args a;
    char *path;
    int opt, r;

    client_init(&c, ln_spec.program);
    args_init(&a, &ln_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&c, opt, a.value))
            continue;
        if (opt == OPT_SYMBOLIC)
            symbolic = true;
        else if (opt == OPT_FORCE)
            force = true;
        else
            return a.exit_code;
    }
    r = client_check_paths(&ln_spec, a.rest + symbolic, a.rest_count - symbolic);
    if (r == EXIT_OK)
        r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    path = destination(a.rest[0], a.rest[1], is_dir(&c, a.rest[1]));
    r = make_link(&c, a.rest[0], path, symbolic);
    if (r == -EEXIST && force) {
        r = dfs_unlink(c.dfs, path);
        if (r == 0)
            r = make_link(&c, a.rest[0], path, symbolic);
    }
    if (r < 0)
        client_complain(&c, r == -ENOENT && !symbolic ? a.rest[0] : path, r);
    free(path);
    return client_done(&c);
}
