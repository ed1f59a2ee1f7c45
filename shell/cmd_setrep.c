/* dfs setrep and dfs getrep: how many copies files are to have. Scripts on a mount do the same with
 * setfattr and getfattr. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/compiler.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/interrupts.h"
#include "shell/progress.h"
#include "shell/recopy.h"
#include "shell/walk.h"

enum option_id { OPT_RECURSIVE = 1, OPT_NO_COPY, OPT_WAIT, OPT_QUIET, OPT_JSON };

enum { WAIT_PAUSE_MS = 1000 };

static const char attribute[] = "dfs.copies";

static const struct arg_option setrep_options[] = {
    {"recursive", 'R', NULL, "directories and all that is in them", OPT_RECURSIVE},
    {"no-copy", 'n', NULL, "data that is there stays as it is", OPT_NO_COPY},
    {"wait", 'w', NULL, "wait for files that are open until they are not", OPT_WAIT},
    {"quiet", 'q', NULL, "show no progress", OPT_QUIET},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec setrep_spec = {
    .program = "dfs setrep",
    .usage = "[OPTION]... COPIES PATH...",
    .about = "Sets how many copies (1, 2 or 3) the data of files has: of new files and directories "
             "in a\n"
             "directory, which inherit it, and of a file (with -R all that are below a directory), "
             "whose\n"
             "data is copied anew then, chunk after chunk. Files that are open somewhere are left "
             "as they\n"
             "are. What was interrupted goes on when it is begun again. For the owner and root.",
    .options = setrep_options,
    .rest_min = 2,
    .rest_max = -1,
};
static const struct arg_option getrep_options[] = {
    {"json", 0, NULL, "print JSON: an array of objects", OPT_JSON},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec getrep_spec = {
    .program = "dfs getrep",
    .usage = "[OPTION]... PATH...",
    .about =
        "Shows how many copies files, and what is made in directories, are to have; and what of a\n"
        "file's data has not, because it was there before.",
    .options = getrep_options,
    .rest_min = 1,
    .rest_max = -1,
};

static void complain(struct client *c, const char *path, int error)
{
    if (error == -EOPNOTSUPP)
        client_complain_text(c, path, CLIENT_TOO_OLD);
    else if (error == -EPERM)
        client_complain_text(c, path, "only its owner and root may set the number of copies");
    else
        client_complain(c, path, error);
}

/* ---- setrep ---- */

struct setrep {
    struct client client;
    struct interrupts interrupts;
    struct recopy *recopy; /* NULL: data stays */
    bool recursive, no_copy, waits, quiet;
    char copies; /* a digit */
    char **busy; /* paths of files that are open somewhere */
    size_t busy_count;
};

/* False: nothing of it can be done. */
static bool mark(struct setrep *s, const char *path)
{
    char text[96];
    int r = dfs_setxattr(s->client.dfs, path, attribute, &s->copies, 1, 0);

    if (r == -EINVAL) {
        (void)snprintf(text, sizeof(text),
                       "%c copies need as many hosts with a disk in use (see 'dfs report')",
                       s->copies);
        client_complain_text(&s->client, path, text);
    } else if (r < 0) {
        complain(&s->client, path, r);
    }
    return r == 0;
}

/* False: it is open, and may be tried again. */
static bool move_data(struct setrep *s, const char *path)
{
    uint64_t bytes;
    int r = recopy_file(s->recopy, path, (unsigned)(s->copies - '0'), &bytes);

    progress_add(s->client.progress, r == 0, bytes);
    if (r < 0 && r != -EBUSY && r != -ENOENT && !s->interrupts.stop) /* It may be deleted by now. */
        complain(&s->client, path, r);
    return r != -EBUSY;
}

static void remember(struct setrep *s, const char *path)
{
    s->busy = mem_realloc(s->busy, s->busy_count + 1, sizeof(*s->busy));
    s->busy[s->busy_count++] = mem_strdup(path);
}

static enum walk_next set_one(void *ctx, const struct walk_item *item)
{
    struct setrep *s = ctx;

    if (s->interrupts.stop)
        return WALK_STOP;
    if (!S_ISREG(item->st.mode) && !S_ISDIR(item->st.mode)) {
        if (item->depth == 0)
            client_complain_text(&s->client, item->path, "is neither a file nor a directory");
        return WALK_SKIP;
    }
    if (mark(s, item->path) && S_ISREG(item->st.mode) && s->recopy != NULL &&
        !move_data(s, item->path))
        remember(s, item->path);
    return s->recursive ? WALK_ON : WALK_SKIP;
}

static void walk_failed(void *ctx, const char *path, int error)
{
    struct setrep *s = ctx;

    client_complain(&s->client, path, error);
}

/* Round after round over those that are open. */
static void wait_for_busy(struct setrep *s)
{
    while (s->busy_count > 0 && s->waits && !s->interrupts.stop) {
        size_t kept = 0;

        clock_sleep_ms(WAIT_PAUSE_MS);
        for (size_t i = 0; i < s->busy_count; i++) {
            if (s->interrupts.stop || !move_data(s, s->busy[i]))
                s->busy[kept++] = s->busy[i];
            else
                free(s->busy[i]);
        }
        s->busy_count = kept;
    }
    for (size_t i = 0; i < s->busy_count; i++) {
        if (!s->interrupts.stop)
            client_complain_text(&s->client, s->busy[i],
                                 "is open somewhere: its data stays as it is (-w waits for it)");
        free(s->busy[i]);
    }
    free(s->busy);
}

static void set_all(struct setrep *s, char **paths, int count)
{
    struct place place = place_dfs(s->client.dfs);
    const struct walk w = {.place = &place, .enter = set_one, .failed = walk_failed, .ctx = s};
    int r = s->no_copy ? 0 : recopy_new(&s->client, &s->interrupts.stop, &s->recopy);

    if (r < 0) {
        client_complain(&s->client, "the report", r);
        return;
    }
    s->client.progress = progress_new(!s->quiet && !s->no_copy);
    for (int i = 0; i < count; i++)
        walk(&w, paths[i], true);
    wait_for_busy(s);
    progress_free(STEAL(s->client.progress));
    recopy_free(s->recopy);
    if (s->interrupts.stop)
        client_complain_text(&s->client, "interrupted",
                             "what is done stays; begun again it goes on");
}

static bool take_option(struct setrep *s, int opt)
{
    switch (opt) {
    case OPT_RECURSIVE:
        s->recursive = true;
        return true;
    case OPT_NO_COPY:
        s->no_copy = true;
        return true;
    case OPT_WAIT:
        s->waits = true;
        return true;
    case OPT_QUIET:
        s->quiet = true;
        return true;
    default:
        return false;
    }
}

int cmd_setrep(int argc, char **argv)
{
    struct setrep s = {.recursive = false};
    uint64_t copies;
    struct args a;
    int opt, r;

    client_init(&s.client, setrep_spec.program);
    args_init(&a, &setrep_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (!client_take(&s.client, opt, a.value) && !take_option(&s, opt))
            return a.exit_code;
    }
    if (str_parse_u64(a.rest[0], &copies) < 0 || copies < 1 || copies > COPIES_MAX)
        return args_usage_error(&setrep_spec, "COPIES is a number from 1 to %d, not '%s'",
                                COPIES_MAX, a.rest[0]);
    s.copies = (char)('0' + copies);
    r = client_check_paths(&setrep_spec, a.rest + 1, a.rest_count - 1);
    if (r != EXIT_OK)
        return r;
    interrupts_init(&s.interrupts);
    r = client_connect(&s.client);
    if (r == EXIT_OK) {
        set_all(&s, a.rest + 1, a.rest_count - 1);
        r = client_done(&s.client);
    }
    interrupts_done(&s.interrupts);
    return r;
}

/* ---- getrep ---- */

struct getrep {
    struct client client;
    struct recopy *recopy;
    atomic_bool never; /* stops */
    json_t *array;
};

static void print_copies(struct getrep *g, const char *path, unsigned copies,
                         const struct recopy_count *count)
{
    if (g->array != NULL) {
        json_array_append_new(g->array,
                              json_pack("{s:o, s:i, s:I, s:I}", "path", format_json_name(path),
                                        "copies", (int)copies, "chunks", (json_int_t)count->chunks,
                                        "chunks_to_copy", (json_int_t)count->others));
        return;
    }
    printf("%u  ", copies);
    format_name(stdout, path, isatty(STDOUT_FILENO));
    if (count->others > 0)
        printf("  (%" PRIu64 " of %" PRIu64 " chunks are in other numbers of copies)",
               count->others, count->chunks);
    putchar('\n');
}

static void get_one(struct getrep *g, const char *path)
{
    struct client *c = &g->client;
    struct recopy_count count = {0};
    struct dfs_stat st;
    char digit;
    ssize_t n = dfs_getxattr(c->dfs, path, attribute, &digit, 1);

    if (n == 1)
        n = dfs_stat(c->dfs, path, &st);
    if (n == 0 && S_ISREG(st.mode))
        n = recopy_count(g->recopy, st.ino, (unsigned)(digit - '0'), &count);
    if (n == -ENODATA)
        client_complain_text(c, path, "is neither a file nor a directory");
    else if (n < 0)
        complain(c, path, (int)n);
    else
        print_copies(g, path, (unsigned)(digit - '0'), &count);
}

int cmd_getrep(int argc, char **argv)
{
    struct getrep g = {.never = false};
    bool json = false;
    struct args a;
    int opt, r;

    client_init(&g.client, getrep_spec.program);
    args_init(&a, &getrep_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&g.client, opt, a.value))
            continue;
        if (opt != OPT_JSON)
            return a.exit_code;
        json = true;
    }
    r = client_check_paths(&getrep_spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&g.client);
    if (r != EXIT_OK)
        return r;
    if (json)
        g.array = json_array();
    r = recopy_new(&g.client, &g.never, &g.recopy);
    if (r < 0)
        client_complain(&g.client, "the report", r);
    for (int i = 0; r == 0 && i < a.rest_count; i++)
        get_one(&g, a.rest[i]);
    if (json)
        format_json_print(g.array);
    recopy_free(g.recopy);
    return client_done(&g.client);
}
