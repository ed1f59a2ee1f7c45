/* dfs ls: names in columns, one a line, with attributes, or as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/args.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/listing.h"

enum option_id {
    OPT_LONG = 1,
    OPT_RECURSIVE,
    OPT_HUMAN,
    OPT_ALL,
    OPT_DIRECTORY,
    OPT_ONE,
    OPT_JSON
};
enum { COLUMN_GAP = 2, WIDTH_DEFAULT = 80 };

static const struct arg_option options[] = {
    {"long", 'l', NULL, "mode, links, owner, group, size and time of each", OPT_LONG},
    {"recursive", 'R', NULL, "subdirectories too", OPT_RECURSIVE},
    {"human", 'h', NULL, "sizes as 1.5 GiB", OPT_HUMAN},
    {"all", 'a', NULL, "names that begin with a dot too", OPT_ALL},
    {"directory", 'd', NULL, "a directory itself, not what is in it", OPT_DIRECTORY},
    {"one", '1', NULL, "one name a line", OPT_ONE},
    {"json", 0, NULL, "print JSON: an array of objects", OPT_JSON},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec spec = {
    .program = "dfs ls",
    .usage = "[OPTION]... [PATH]...",
    .about = "Lists directories (/ when no PATH is given), in byte order of names.",
    .options = options,
    .rest_max = -1,
};

struct ls {
    struct client client;
    bool is_long, recursive, human, all, directory, one, json;
    bool terminal;
    bool titled;   /* print "/dir:" above each listing */
    bool printed;  /* something was: an empty line goes between listings */
    json_t *array; /* with json */
};

/* ---- one listing ---- */

struct widths {
    int nlink, user, group, size;
};

static void size_text(const struct ls *ls, const struct dfs_stat *st, char out[32])
{
    if (S_ISCHR(st->mode) || S_ISBLK(st->mode))
        snprintf(out, 32, "%u, %u", major((dev_t)st->rdev), minor((dev_t)st->rdev));
    else
        format_bytes(st->size, ls->human, out);
}

static void measure(const struct ls *ls, const struct listing *l, struct widths *w)
{
    char text[FORMAT_OWNER_MAX];

    for (size_t i = 0; i < l->count; i++) {
        const struct dfs_stat *st = &l->items[i].st;
        char size[32], nlink[16];

        size_text(ls, st, size);
        w->nlink = MAX(w->nlink, snprintf(nlink, sizeof(nlink), "%" PRIu32, st->nlink));
        w->user = MAX(w->user, (int)strlen(format_user(st->uid, text)));
        w->group = MAX(w->group, (int)strlen(format_group(st->gid, text)));
        w->size = MAX(w->size, (int)strlen(size));
    }
}

static void print_long(const struct ls *ls, const char *dir, const struct listing *l)
{
    struct widths w = {0};

    measure(ls, l, &w);
    for (size_t i = 0; i < l->count; i++) {
        const struct listing_item *it = &l->items[i];
        char mode[FORMAT_MODE_MAX], user[FORMAT_OWNER_MAX], group[FORMAT_OWNER_MAX];
        char size[32], time[FORMAT_TIME_MAX];

        size_text(ls, &it->st, size);
        printf("%s %*" PRIu32 " %-*s %-*s %*s %s ", format_mode(it->st.mode, mode), w.nlink,
               it->st.nlink, w.user, format_user(it->st.uid, user), w.group,
               format_group(it->st.gid, group), w.size, size, format_time(it->st.mtime_ns, time));
        format_name(stdout, it->name, ls->terminal);
        if (S_ISLNK(it->st.mode)) {
            char *path = dir == NULL ? strdup(it->name) : format_path(dir, it->name);
            char *target = listing_target(ls->client.dfs, path);

            fputs(" -> ", stdout);
            format_name(stdout, target == NULL ? "?" : target, ls->terminal);
            free(target);
            free(path);
        }
        putchar('\n');
    }
}

/* Columns for a terminal: bytes beyond the first of a UTF-8 character take no room. */
static size_t width_of(const char *name)
{
    size_t n = 0;

    for (; *name != '\0'; name++)
        n += ((unsigned char)*name & 0xc0) != 0x80;
    return n;
}

static void print_columns(const struct listing *l)
{
    struct winsize ws;
    size_t widest = 1, line = WIDTH_DEFAULT, columns, rows;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
        line = ws.ws_col;
    for (size_t i = 0; i < l->count; i++)
        widest = MAX(widest, width_of(l->items[i].name));
    columns = MAX((line + COLUMN_GAP) / (widest + COLUMN_GAP), (size_t)1);
    rows = (l->count + columns - 1) / columns;
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row; i < l->count; i += rows) {
            format_name(stdout, l->items[i].name, true);
            if (i + rows < l->count)
                printf("%*s", (int)(widest + COLUMN_GAP - width_of(l->items[i].name)), "");
        }
        putchar('\n');
    }
}

static void add_json(struct ls *ls, const char *dir, const struct listing *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct listing_item *it = &l->items[i];
        char *path = dir == NULL ? strdup(it->name) : format_path(dir, it->name);
        char *target = S_ISLNK(it->st.mode) ? listing_target(ls->client.dfs, path) : NULL;

        json_array_append_new(ls->array, format_json_stat(path, &it->st, target));
        free(target);
        free(path);
    }
}

/* dir is NULL for names from the command line. */
static void print_listing(struct ls *ls, const char *dir, const struct listing *l)
{
    if (ls->json) {
        add_json(ls, dir, l);
    } else if (ls->is_long) {
        print_long(ls, dir, l);
    } else if (ls->terminal && !ls->one) {
        print_columns(l);
    } else {
        for (size_t i = 0; i < l->count; i++) {
            format_name(stdout, l->items[i].name, ls->terminal);
            putchar('\n');
        }
    }
    ls->printed = true;
}

/* ---- directories ---- */

static void print_title(const struct ls *ls, const char *path)
{
    if (!ls->titled || ls->json)
        return;
    fputs(ls->printed ? "\n" : "", stdout);
    format_name(stdout, path, ls->terminal);
    fputs(":\n", stdout);
}

/* Names alone need not be in memory, however many there are. */
static bool may_stream(const struct ls *ls)
{
    return !ls->json && !ls->is_long && !ls->recursive && (!ls->terminal || ls->one);
}

static void stream_dir(struct ls *ls, const char *path)
{
    struct dfs_dirent e;
    struct dfs_dir *dir;
    int r = dfs_opendir(ls->client.dfs, path, &dir);

    if (r == 0) {
        print_title(ls, path);
        ls->printed = true;
        while ((r = dfs_readdir(dir, &e)) > 0) {
            if (!ls->all && e.name[0] == '.')
                continue;
            format_name(stdout, e.name, ls->terminal);
            putchar('\n');
        }
        dfs_closedir(dir);
    }
    if (r < 0)
        client_complain(&ls->client, path, r);
}

static void list_dir(struct ls *ls, const char *path)
{
    struct listing l;
    int r;

    if (may_stream(ls)) {
        stream_dir(ls, path);
        return;
    }
    r = listing_read(ls->client.dfs, path, ls->all, &l);
    if (r < 0) {
        client_complain(&ls->client, path, r);
        return;
    }
    print_title(ls, path);
    print_listing(ls, path, &l);
    for (size_t i = 0; ls->recursive && i < l.count; i++) {
        char *sub;

        if (!S_ISDIR(l.items[i].st.mode))
            continue;
        sub = format_path(path, l.items[i].name);
        list_dir(ls, sub);
        free(sub);
    }
    listing_done(&l);
}

/* What is no directory comes first, in one listing. */
static void list_paths(struct ls *ls, char **paths, int count)
{
    struct listing files = {.count = 0}, dirs = {.count = 0};

    for (int i = 0; i < count; i++) {
        struct dfs_stat st, target;
        int r = dfs_lstat(ls->client.dfs, paths[i], &st);

        /* A link to a directory is looked into, unless it is to be shown itself. */
        if (r == 0 && S_ISLNK(st.mode) && !ls->is_long && !ls->directory &&
            dfs_stat(ls->client.dfs, paths[i], &target) == 0 && S_ISDIR(target.mode))
            st = target;
        if (r < 0)
            client_complain(&ls->client, paths[i], r);
        else
            listing_add(S_ISDIR(st.mode) && !ls->directory ? &dirs : &files, paths[i], &st);
    }
    if (files.count > 0)
        print_listing(ls, NULL, &files);
    ls->titled = ls->recursive || count > 1;
    for (size_t i = 0; i < dirs.count; i++)
        list_dir(ls, dirs.items[i].name);
    listing_done(&files);
    listing_done(&dirs);
}

/* EXIT_OK to go on, or 1 + the exit code. */
static int parse(struct ls *ls, struct args *a, int argc, char **argv)
{
    int opt;

    client_init(&ls->client, spec.program);
    args_init(a, &spec, argc, argv);
    while ((opt = args_next(a)) != ARGS_END) {
        if (client_take(&ls->client, opt, a->value))
            continue;
        switch (opt) {
        case OPT_LONG:
            ls->is_long = true;
            break;
        case OPT_RECURSIVE:
            ls->recursive = true;
            break;
        case OPT_HUMAN:
            ls->human = true;
            break;
        case OPT_ALL:
            ls->all = true;
            break;
        case OPT_DIRECTORY:
            ls->directory = true;
            break;
        case OPT_ONE:
            ls->one = true;
            break;
        case OPT_JSON:
            ls->json = true;
            break;
        default:
            return 1 + a->exit_code;
        }
    }
    return EXIT_OK;
}

int cmd_ls(int argc, char **argv)
{
    static char root[] = "/";
    char *root_list[] = {root};
    struct ls ls = {.terminal = isatty(STDOUT_FILENO)};
    struct args a;
    int r = parse(&ls, &a, argc, argv);

    if (r != EXIT_OK)
        return r - 1;
    r = client_check_paths(&spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&ls.client);
    if (r != EXIT_OK)
        return r;
    if (ls.json)
        ls.array = json_array();
    if (a.rest_count == 0)
        list_paths(&ls, root_list, 1);
    else
        list_paths(&ls, a.rest, a.rest_count);
    if (ls.json)
        format_json_print(ls.array);
    return client_done(&ls.client);
}
