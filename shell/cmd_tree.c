/* dfs tree and dfs stat. */
#include <inttypes.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/args.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/listing.h"

enum option_id { OPT_ALL = 1, OPT_DIRS, OPT_DEPTH, OPT_HUMAN, OPT_JSON, OPT_FOLLOW };

static const struct arg_option tree_options[] = {
    {"all", 'a', NULL, "names that begin with a dot too", OPT_ALL},
    {"directories", 'd', NULL, "directories only", OPT_DIRS},
    {"level", 'L', "N", "no deeper than N", OPT_DEPTH},
    {"human", 'h', NULL, "with sizes", OPT_HUMAN},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec tree_spec = {
    .program = "dfs tree",
    .usage = "[OPTION]... [PATH]...",
    .about = "Draws directories (/ when no PATH is given) as trees.",
    .options = tree_options,
    .rest_max = -1,
};

struct tree {
    struct client client;
    bool all, dirs_only, sizes, terminal, unicode;
    uint64_t depth_max, dir_count, file_count;
};

static void print_entry(struct tree *t, const char *path, const struct listing_item *it)
{
    char size[32];

    if (t->sizes && S_ISREG(it->st.mode))
        printf("[%s] ", format_bytes(it->st.size, true, size));
    format_name(stdout, it->name, t->terminal);
    if (S_ISLNK(it->st.mode)) {
        char *target = listing_target(t->client.dfs, path);

        fputs(" -> ", stdout);
        format_name(stdout, target == NULL ? "?" : target, t->terminal);
        free(target);
    }
    putchar('\n');
}

static void drop_files(struct listing *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (S_ISDIR(l->items[i].st.mode))
            l->items[kept++] = l->items[i];
        else
            free(l->items[i].name);
    }
    l->count = kept;
}

/* indent is what stands before the lines of this directory. */
static void draw(struct tree *t, const char *path, const char *indent, uint64_t depth)
{
    struct listing l;
    int r;

    if (depth >= t->depth_max)
        return;
    r = listing_read(t->client.dfs, path, t->all, &l);
    if (r < 0) {
        client_complain(&t->client, path, r);
        return;
    }
    if (t->dirs_only)
        drop_files(&l);
    for (size_t i = 0; i < l.count; i++) {
        bool last = i + 1 == l.count, is_dir = S_ISDIR(l.items[i].st.mode);
        char *sub = format_path(path, l.items[i].name), *deeper;

        printf("%s%s", indent, t->unicode ? (last ? "└── " : "├── ") : (last ? "`-- " : "|-- "));
        print_entry(t, sub, &l.items[i]);
        t->dir_count += is_dir;
        t->file_count += !is_dir;
        if (is_dir) {
            deeper = mem_printf("%s%s", indent, last ? "    " : t->unicode ? "│   " : "|   ");
            draw(t, sub, deeper, depth + 1);
            free(deeper);
        }
        free(sub);
    }
    listing_done(&l);
}

static void tree_root(struct tree *t, const char *path)
{
    struct dfs_stat st;
    int r = dfs_stat(t->client.dfs, path, &st);

    if (r < 0) {
        client_complain(&t->client, path, r);
        return;
    }
    format_name(stdout, path, t->terminal);
    putchar('\n');
    if (S_ISDIR(st.mode))
        draw(t, path, "", 0);
}

int cmd_tree(int argc, char **argv)
{
    struct tree t = {.terminal = isatty(STDOUT_FILENO),
                     .unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                     .depth_max = UINT64_MAX};
    struct args a;
    int opt, r;

    client_init(&t.client, tree_spec.program);
    args_init(&a, &tree_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&t.client, opt, a.value))
            continue;
        if (opt == OPT_ALL)
            t.all = true;
        else if (opt == OPT_DIRS)
            t.dirs_only = true;
        else if (opt == OPT_HUMAN)
            t.sizes = true;
        else if (opt != OPT_DEPTH)
            return a.exit_code;
        else if (str_parse_u64(a.value, &t.depth_max) < 0 || t.depth_max == 0)
            return args_usage_error(&tree_spec, "--level takes a number from 1, not '%s'", a.value);
    }
    r = client_check_paths(&tree_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&t.client);
    if (r != EXIT_OK)
        return r;
    if (a.rest_count == 0)
        tree_root(&t, "/");
    for (int i = 0; i < a.rest_count; i++)
        tree_root(&t, a.rest[i]);
    printf("\n%" PRIu64 " director%s", t.dir_count, t.dir_count == 1 ? "y" : "ies");
    if (!t.dirs_only)
        printf(", %" PRIu64 " file%s", t.file_count, t.file_count == 1 ? "" : "s");
    putchar('\n');
    return client_done(&t.client);
}

/* ---- stat ---- */

static const struct arg_option stat_options[] = {
    {"follow", 'L', NULL, "of a symbolic link, what it points to", OPT_FOLLOW},
    {"json", 0, NULL, "print JSON: an array of objects", OPT_JSON},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec stat_spec = {
    .program = "dfs stat",
    .usage = "[OPTION]... PATH...",
    .about = "Shows everything about files. `dfs why` shows where their copies are.",
    .options = stat_options,
    .rest_min = 1,
    .rest_max = -1,
};

static void print_stat(const char *path, const struct dfs_stat *st, const char *target)
{
    char mode[FORMAT_MODE_MAX], user[FORMAT_OWNER_MAX], group[FORMAT_OWNER_MAX];
    char time[FORMAT_TIME_MAX], size[STR_SIZE_MAX];

    fputs("  Path: ", stdout);
    format_name(stdout, path, isatty(STDOUT_FILENO));
    if (target != NULL) {
        fputs(" -> ", stdout);
        format_name(stdout, target, isatty(STDOUT_FILENO));
    }
    printf("\n  Type: %s", format_type(st->mode));
    if (S_ISCHR(st->mode) || S_ISBLK(st->mode))
        printf(" %u, %u", major((dev_t)st->rdev), minor((dev_t)st->rdev));
    printf("\n  Size: %" PRIu64 " (%s), %" PRIu64 " blocks of 512 bytes\n", st->size,
           str_size(st->size, size), st->blocks);
    printf(" Inode: %" PRIu64 ", %" PRIu32 " link%s\n", st->ino, st->nlink,
           st->nlink == 1 ? "" : "s");
    printf("  Mode: %04o %s\n", st->mode & 07777, format_mode(st->mode, mode));
    printf(" Owner: %s (%" PRIu32 ")  Group: %s (%" PRIu32 ")\n", format_user(st->uid, user),
           st->uid, format_group(st->gid, group), st->gid);
    printf("Access: %s\n", format_time_full(st->atime_ns, time));
    printf("Modify: %s\n", format_time_full(st->mtime_ns, time));
    printf("Change: %s\n", format_time_full(st->ctime_ns, time));
    printf(" Birth: %s\n", format_time_full(st->btime_ns, time));
}

int cmd_stat(int argc, char **argv)
{
    bool json = false, follow = false;
    json_t *array = NULL;
    struct client c;
    struct args a;
    int opt, r;

    client_init(&c, stat_spec.program);
    args_init(&a, &stat_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&c, opt, a.value))
            continue;
        if (opt == OPT_JSON)
            json = true;
        else if (opt == OPT_FOLLOW)
            follow = true;
        else
            return a.exit_code;
    }
    r = client_check_paths(&stat_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    array = json_array();
    for (int i = 0; i < a.rest_count; i++) {
        struct dfs_stat st;
        char *target;

        r = follow ? dfs_stat(c.dfs, a.rest[i], &st) : dfs_lstat(c.dfs, a.rest[i], &st);
        if (r < 0) {
            client_complain(&c, a.rest[i], r);
            continue;
        }
        target = S_ISLNK(st.mode) ? listing_target(c.dfs, a.rest[i]) : NULL;
        if (json)
            json_array_append_new(array, format_json_stat(a.rest[i], &st, target));
        else
            print_stat(a.rest[i], &st, target);
        free(target);
    }
    if (json)
        format_json_print(array);
    else
        json_decref(array);
    return client_done(&c);
}
