/* dfs quota: what directories hold, and may. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/compiler.h"
#include "common/strutil.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"

enum option_id { OPT_FILES = 1, OPT_BYTES, OPT_CLEAR, OPT_HUMAN, OPT_JSON };

static const struct arg_option quota_options[] = {
    {"files", 'f', "N", "at most N files and directories below each DIR", OPT_FILES},
    {"bytes", 'b', "SIZE", "at most SIZE bytes in files below each DIR (500M, 10G, 1T)", OPT_BYTES},
    {"clear", 0, NULL, "no limit any more", OPT_CLEAR},
    {"human", 'h', NULL, "sizes as 1.5 GiB", OPT_HUMAN},
    {"json", 0, NULL, "print JSON: an array of objects", OPT_JSON},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec quota_spec = {
    .program = "dfs quota",
    .usage = "[OPTION]... DIR...",
    .about = "Shows how many files (directories counted too) and bytes lie below each DIR and how\n"
             "many may; with --files, --bytes or --clear root sets that first. 0: no limit. What\n"
             "would grow past it fails with \"Disk quota exceeded\"; a limit below what is there\n"
             "already is taken, too. Copies are not counted.",
    .options = quota_options,
    .rest_min = 1,
    .rest_max = -1,
};

struct quota {
    struct client client;
    bool human, sets;
    uint64_t files, bytes; /* DFS_QUOTA_KEEP */
    json_t *array;
};

static void print_limit(char out[32], uint64_t limit, bool as_bytes, bool human)
{
    if (limit == 0)
        memcpy(out, "-", 2);
    else if (as_bytes)
        (void)format_bytes(limit, human, out);
    else
        (void)snprintf(out, 32, "%" PRIu64, limit);
}

static void print_usage(struct quota *q, const char *path, const struct dfs_usage *u)
{
    char bytes[32], bytes_limit[32], files_limit[32];

    if (q->array != NULL) {
        json_array_append_new(
            q->array, json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "path", format_json_name(path),
                                "files", (json_int_t)u->files, "dirs", (json_int_t)u->dirs, "bytes",
                                (json_int_t)u->bytes, "quota_files", (json_int_t)u->quota_inodes,
                                "quota_bytes", (json_int_t)u->quota_bytes));
        return;
    }
    print_limit(files_limit, u->quota_inodes, false, false);
    print_limit(bytes_limit, u->quota_bytes, true, q->human);
    printf("%12" PRIu64 " %12s %16s %16s  ", u->files + u->dirs, files_limit,
           format_bytes(u->bytes, q->human, bytes), bytes_limit);
    format_name(stdout, path, isatty(STDOUT_FILENO));
    putchar('\n');
}

static void one(struct quota *q, const char *path)
{
    struct dfs_usage u;
    int r = q->sets ? dfs_set_quota(q->client.dfs, path, q->files, q->bytes) : 0;

    if (r == 0)
        r = dfs_usage(q->client.dfs, path, &u);
    if (r == 0)
        print_usage(q, path, &u);
    else if (r == -EOPNOTSUPP)
        client_complain_text(&q->client, path, CLIENT_TOO_OLD);
    else
        client_complain(&q->client, path, r);
}

/* DFS_QUOTA_KEEP is no number that may be asked for. */
static bool take_limit(int opt, const char *text, struct quota *q)
{
    uint64_t v;
    int r = opt == OPT_FILES ? str_parse_u64(text, &v) : str_parse_size(text, &v);

    if (r < 0 || v == DFS_QUOTA_KEEP)
        return false;
    *(opt == OPT_FILES ? &q->files : &q->bytes) = v;
    q->sets = true;
    return true;
}

int cmd_quota(int argc, char **argv)
{
    struct quota q = {.files = DFS_QUOTA_KEEP, .bytes = DFS_QUOTA_KEEP};
    bool json = false;
    struct args a;
    int opt, r;

    client_init(&q.client, quota_spec.program);
    args_init(&a, &quota_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&q.client, opt, a.value))
            continue;
        if (opt == OPT_FILES || opt == OPT_BYTES) {
            if (!take_limit(opt, a.value, &q))
                return args_usage_error(&quota_spec, "'%s' is no %s", a.value,
                                        opt == OPT_FILES ? "number of files" : "size");
        } else if (opt == OPT_CLEAR) {
            q.files = q.bytes = 0;
            q.sets = true;
        } else if (opt == OPT_HUMAN) {
            q.human = true;
        } else if (opt == OPT_JSON) {
            json = true;
        } else {
            return a.exit_code;
        }
    }
    r = client_check_paths(&quota_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&q.client);
    if (r != EXIT_OK)
        return r;
    if (json)
        q.array = json_array();
    else
        printf("%12s %12s %16s %16s  %s\n", "Files", "Limit", "Bytes", "Limit", "Directory");
    for (int i = 0; i < a.rest_count; i++)
        one(&q, a.rest[i]);
    if (json)
        format_json_print(q.array);
    return client_done(&q.client);
}
