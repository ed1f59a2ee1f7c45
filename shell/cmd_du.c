/* dfs du and dfs df. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uthash.h>

#include "common/args.h"
#include "common/mem.h"
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
             "Copies are not counted; a file of several links is counted once.",
    .options = du_options,
    .rest_max = -1,
};

struct seen {
    uint64_t ino;
    UT_hash_handle hh;
};

struct du {
    struct client client;
    bool summary, human;
    json_t *array;
    uint64_t *sums; /* by depth: of the directories that are open now */
    uint64_t *files;
    unsigned level_count;
    struct seen *seen; /* files of several links */
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

static bool seen_before(struct du *du, uint64_t ino)
{
    struct seen *s;

    HASH_FIND(hh, du->seen, &ino, sizeof(ino), s);
    if (s != NULL)
        return true;
    s = MEM_NEW(struct seen);
    s->ino = ino;
    HASH_ADD(hh, du->seen, ino, sizeof(s->ino), s);
    return false;
}

static enum walk_next du_enter(void *ctx, const struct walk_item *item)
{
    struct du *du = ctx;
    uint64_t size = S_ISREG(item->st.mode) ? item->st.size : 0;

    if (S_ISDIR(item->st.mode)) {
        if (item->depth >= du->level_count) {
            du->level_count = item->depth + 1;
            du->sums = mem_realloc(du->sums, du->level_count, sizeof(*du->sums));
            du->files = mem_realloc(du->files, du->level_count, sizeof(*du->files));
        }
        du->sums[item->depth] = du->files[item->depth] = 0;
        return WALK_ON;
    }
    if (item->st.nlink > 1 && seen_before(du, item->st.ino))
        return WALK_ON;
    if (item->depth == 0) {
        print_sum(du, item->path, size, 1);
        return WALK_ON;
    }
    du->sums[item->depth - 1] += size;
    du->files[item->depth - 1]++;
    return WALK_ON;
}

static void du_leave(void *ctx, const struct walk_item *dir)
{
    struct du *du = ctx;

    if (dir->depth > 0) {
        du->sums[dir->depth - 1] += du->sums[dir->depth];
        du->files[dir->depth - 1] += du->files[dir->depth];
    }
    if (!du->summary || dir->depth == 0)
        print_sum(du, dir->path, du->sums[dir->depth], du->files[dir->depth]);
}

static void du_failed(void *ctx, const char *path, int error)
{
    struct du *du = ctx;

    client_complain(&du->client, path, error);
}

static void du_done(struct du *du)
{
    struct seen *s, *next;

    HASH_ITER (hh, du->seen, s, next) {
        HASH_DEL(du->seen, s);
        free(s);
    }
    free(du->sums);
    free(du->files);
    if (du->array != NULL)
        format_json_print(du->array);
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
    du_done(&du);
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
    .usage = "[OPTION]...",
    .about =
        "Shows how much the cluster can hold. Copies are already divided out: a file of 1 GiB\n"
        "takes 1 GiB of what is shown.",
    .options = df_options,
};

int cmd_df(int argc, char **argv)
{
    char total[32], used[32], free_text[32];
    bool human = false, json = false;
    struct dfs_statvfs st;
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
    r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    r = dfs_statvfs(c.dfs, &st);
    if (r < 0) {
        client_complain(&c, "/", r);
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
