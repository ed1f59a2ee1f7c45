/* dfs du and dfs df. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/args.h"
#include "common/compiler.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/walk.h"

enum option_id { OPT_SUMMARY = 1, OPT_HUMAN, OPT_JSON };

static const struct arg_option du_options[] = {
    {"summarize", 's', NULL, "only one line for each PATH", OPT_SUMMARY},
    {"human", 'h', NULL, "sizes as 1.5 GiB", OPT_HUMAN},
    {"json", 0, NULL, "print JSON: an array of objects", OPT_JSON},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec du_spec = {
    .program = "dfs du",
    .usage = "[OPTION]... [PATH]...",
    .about = "Shows how many bytes the files of each directory hold (/ when no PATH is given).\n"
             "Sizes as ls shows them; copies are not counted. A file of several links counts in\n"
             "one of the directories that have a name of it. With -s one question for each PATH.",
    .options = du_options,
    .rest_max = -1,
};

struct du {
    struct client client;
    bool summary, human;
    json_t *array;
};

static void print_sum(struct du *du, const char *path, uint64_t bytes, uint64_t files)
{
    char size[32];

    if (du->array != NULL) {
        json_array_append_new(du->array,
                              json_pack("{s:o, s:I, s:I}", "path", format_json_name(path), "bytes",
                                        (json_int_t)bytes, "files", (json_int_t)files));
        return;
    }
    printf("%s\t", format_bytes(bytes, du->human, size));
    format_name(stdout, path, isatty(STDOUT_FILENO));
    putchar('\n');
}

static enum walk_next du_enter(void *ctx, const struct walk_item *item)
{
    struct du *du = ctx;

    if (S_ISDIR(item->st.mode))
        return du->summary ? WALK_SKIP : WALK_ON;
    if (item->depth == 0)
        print_sum(du, item->path, S_ISREG(item->st.mode) ? item->st.size : 0, 1);
    return WALK_ON;
}

/* The namenode keeps the sums: however large the tree is, that is one question. */
static void du_leave(void *ctx, const struct walk_item *dir)
{
    struct du *du = ctx;
    struct dfs_usage u;
    int r = dfs_usage(du->client.dfs, dir->path, &u);

    if (r == 0)
        print_sum(du, dir->path, u.bytes, u.files);
    else if (r == -EOPNOTSUPP)
        client_complain_text(&du->client, dir->path, CLIENT_TOO_OLD);
    else
        client_complain(&du->client, dir->path, r);
}

static void du_failed(void *ctx, const char *path, int error)
{
    struct du *du = ctx;

    client_complain(&du->client, path, error);
}

int cmd_du(int argc, char **argv)
{
    struct du du = {.summary = false};
    struct place place;
    const struct walk w = {
        .place = &place, .enter = du_enter, .leave = du_leave, .failed = du_failed, .ctx = &du};
    bool json = false;
    struct args a;
    int opt, r;

    client_init(&du.client, du_spec.program);
    args_init(&a, &du_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&du.client, opt, a.value))
            continue;
        if (opt == OPT_SUMMARY)
            du.summary = true;
        else if (opt == OPT_HUMAN)
            du.human = true;
        else if (opt == OPT_JSON)
            json = true;
        else
            return a.exit_code;
    }
    r = client_check_paths(&du_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&du.client);
    if (r != EXIT_OK)
        return r;
    if (json)
        du.array = json_array();
    place = place_dfs(du.client.dfs);
    if (a.rest_count == 0)
        walk(&w, "/", true);
    for (int i = 0; i < a.rest_count; i++)
        walk(&w, a.rest[i], true);
    if (du.array != NULL)
        format_json_print(du.array);
    return client_done(&du.client);
}

/* ---- df ---- */

static const struct arg_option df_options[] = {
    {"human", 'h', NULL, "sizes as 1.5 GiB", OPT_HUMAN},
    {"json", 0, NULL, "print JSON", OPT_JSON},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec df_spec = {
    .program = "dfs df",
    .usage = "[OPTION]... [PATH]",
    .about =
        "Shows how much the cluster can hold; with PATH under a quota (dfs quota), what that lets\n"
        "in. Copies are already divided out: a file of 1 GiB takes 1 GiB of what is shown.",
    .options = df_options,
    .rest_max = 1,
};

int cmd_df(int argc, char **argv)
{
    char total[32], used[32], free_text[32];
    bool human = false, json = false;
    struct dfs_statvfs st;
    const char *path = "/";
    struct client c;
    struct args a;
    int opt, r;

    client_init(&c, df_spec.program);
    args_init(&a, &df_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&c, opt, a.value))
            continue;
        if (opt == OPT_HUMAN)
            human = true;
        else if (opt == OPT_JSON)
            json = true;
        else
            return a.exit_code;
    }
    r = client_check_paths(&df_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    if (a.rest_count > 0)
        path = a.rest[0];
    r = dfs_statvfs_path(c.dfs, path, &st);
    if (r < 0) {
        client_complain(&c, path, r);
        return client_done(&c);
    }
    if (json) {
        format_json_print(
            json_pack("{s:I, s:I, s:I, s:I}", "bytes_total", (json_int_t)st.bytes_total,
                      "bytes_free", (json_int_t)st.bytes_free, "inodes_used",
                      (json_int_t)st.inodes_used, "inodes_max", (json_int_t)st.inodes_max));
        return client_done(&c);
    }
    format_bytes(st.bytes_total, human, total);
    format_bytes(st.bytes_total - MIN(st.bytes_free, st.bytes_total), human, used);
    format_bytes(st.bytes_free, human, free_text);
    printf("%16s %16s %16s %5s %12s\n", "Size", "Used", "Free", "Use%", "Files");
    printf("%16s %16s %16s %4" PRIu64 "%% %12" PRIu64 "\n", total, used, free_text,
           st.bytes_total == 0
               ? 0
               : (st.bytes_total - MIN(st.bytes_free, st.bytes_total)) * 100 / st.bytes_total,
           st.inodes_used);
    return client_done(&c);
}
