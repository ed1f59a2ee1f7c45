/* dfs backup: the metadata of the cluster in a file, and back. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/args.h"
#include "common/backup_file.h"
#include "common/compiler.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "common/vfs.h"
#include "shell/admin.h"
#include "shell/backup_fetch.h"
#include "shell/client.h"
#include "shell/cluster.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/interrupts.h"

enum option_id { OPT_FROM = 1, OPT_STALE, OPT_FORCE, OPT_WITHOUT };

static const struct arg_option options[] = {
    {"from", 0, "HOST:PORT", "create: from this namenode, not from any follower", OPT_FROM},
    {"stale", 0, NULL, "create: also without a leader; the last changes may be missing", OPT_STALE},
    {"force", 'f', NULL, "create: replace FILE if it is there", OPT_FORCE},
    {"without", 0, "TARGET,...", "restore: these targets are gone for good, do not wait for them",
     OPT_WITHOUT},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec spec = {
    .program = "dfs backup",
    .usage = "create FILE [--from HOST:PORT] [--stale] [--force] [OPTION]...\n"
             "check FILE\nshow FILE\nrestore FILE --config NAMENODE.conf [--without TARGET,...]",
    .about =
        "create: saves the metadata of the cluster as it is now into FILE (`-`: stdout), while "
        "the\n"
        "cluster goes on; needs a certificate of role admin. check: is each byte of FILE what it\n"
        "was? show: the same, and what it is. restore: makes the empty data directory of the\n"
        "namenode with that configuration into the first one of a new group (dfs-namenode(8),\n"
        "--restore). A backup holds names, attributes and where content is; not the content.",
    .options = options,
    .rest_min = 2,
    .rest_max = 2,
};

struct wish {
    struct client client;
    const char *verb, *file;
    const char *from, *without;
    bool stale, force;
};

/* ---- create ---- */

struct cluster_access {
    struct admin *admin;
    char *addrs, *from;
};

static void access_done(struct cluster_access *a)
{
    admin_free(a->admin);
    free(a->addrs);
    free(a->from);
}

static int access_open(const struct wish *w, struct cluster_access *a)
{
    char why[ADMIN_WHY_MAX];
    int r;

    if (w->from != NULL) {
        a->from = str_full_addr(w->from, NAMENODE_PORT);
        if (a->from == NULL)
            return args_usage_error(&spec, "--from: '%s' is not of the form HOST:PORT", w->from);
    }
    r = admin_open(&w->client, &a->admin, &a->addrs, why);
    if (r == 0)
        return EXIT_OK;
    fprintf(stderr, "dfs backup: %s\n", why);
    return admin_exit_code(r);
}

static char *time_text(int64_t time_s, char out[40])
{
    time_t t = time_s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL || strftime(out, 40, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        (void)snprintf(out, 40, "%" PRId64, time_s);
    return out;
}

static void print_info(FILE *out, const struct backup_info *info)
{
    char uuid[UUID_TEXT_SIZE], when[40], size[STR_SIZE_MAX];

    fprintf(out,
            "cluster %s\nmade    %s, by %s\npoint   index %" PRIu64 ", term %" PRIu64
            "%s\nsize    %s in %zu files\n",
            uuid_format(&info->cluster, uuid), time_text(info->time_s, when), info->program,
            info->index, info->term,
            info->stale ? " (--stale: the last changes before it may be missing)" : "",
            str_size(backup_info_bytes(info), size), info->count);
}

static int fail_file(const char *path, int r)
{
    fprintf(stderr, "dfs backup: %s: %s\n", path, dfs_strerror(r));
    return EXIT_FAILED;
}

/* The name is given to what is complete and on the disk. */
static int give_name(const struct wish *w, int fd, const char *partial)
{
    char *folder = mem_strdup(w->file), *slash = strrchr(folder, '/');
    int r = 0;

    if (slash != NULL)
        slash[slash == folder] = '\0';
    if (fsync(fd) < 0)
        r = -errno;
    /* Somebody else may have made the file meanwhile. */
    if (r == 0 && !w->force)
        r = vfs_link(vfs_posix(), partial, w->file);
    if (r == 0 && !w->force)
        r = vfs_unlink(vfs_posix(), partial);
    if (r == 0 && w->force)
        r = vfs_rename(vfs_posix(), partial, w->file);
    if (r == 0)
        r = vfs_sync_dir(vfs_posix(), slash != NULL ? folder : ".");
    free(folder);
    return r;
}

static int create_file(const struct wish *w, const struct backup_fetch *f)
{
    struct backup_info info = {0};
    struct stat st;
    char *partial;
    int fd, r;

    if (!w->force && lstat(w->file, &st) == 0) {
        fprintf(stderr, "dfs backup: %s is there; --force replaces it\n", w->file);
        return EXIT_FAILED;
    }
    partial = mem_printf("%s.partial", w->file);
    fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        r = fail_file(partial, -errno);
        free(partial);
        return r;
    }
    r = backup_fetch(f, fd, &info);
    if (r == 0) {
        r = give_name(w, fd, partial);
        if (r < 0)
            (void)fail_file(w->file, r);
    }
    (void)close(fd);
    if (r < 0)
        (void)unlink(partial);
    else
        print_info(stdout, &info);
    free(partial);
    backup_info_done(&info);
    return r < 0 ? admin_exit_code(r) : EXIT_OK;
}

static int create_stream(const struct backup_fetch *f)
{
    struct backup_info info = {0};
    int r;

    if (isatty(STDOUT_FILENO)) {
        fputs("dfs backup: a backup is not for a terminal\n", stderr);
        return EXIT_FAILED;
    }
    r = backup_fetch(f, STDOUT_FILENO, &info);
    if (r == 0)
        print_info(stderr, &info);
    backup_info_done(&info);
    return r < 0 ? admin_exit_code(r) : EXIT_OK;
}

static int create(const struct wish *w)
{
    struct cluster_access a = {0};
    struct interrupts stop;
    int r;

    interrupts_init(&stop);
    r = access_open(w, &a);
    if (r == EXIT_OK) {
        struct backup_fetch f = {.admin = a.admin,
                                 .addrs = a.addrs,
                                 .from = a.from,
                                 .stale = w->stale,
                                 .stop = &stop,
                                 .progress = true};

        r = strcmp(w->file, "-") == 0 ? create_stream(&f) : create_file(w, &f);
    }
    access_done(&a);
    interrupts_done(&stop);
    return r;
}

/* ---- check, show ---- */

static int check(const struct wish *w, bool show)
{
    static const struct backup_sink nothing;
    bool is_stdin = strcmp(w->file, "-") == 0;
    struct backup_info info = {0};
    char why[BACKUP_WHY_MAX];
    int fd = is_stdin ? STDIN_FILENO : open(w->file, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return fail_file(w->file, -errno);
    r = backup_read_fd(fd, &nothing, &info, why);
    if (!is_stdin)
        (void)close(fd);
    if (r < 0) {
        fprintf(stderr, "dfs backup: %s: %s%s%s\n", w->file, why,
                r == -EBADMSG || r == -EPROTO || r == -EOPNOTSUPP ? "" : ": ",
                r == -EBADMSG || r == -EPROTO || r == -EOPNOTSUPP ? "" : dfs_strerror(r));
        return EXIT_FAILED;
    }
    if (show)
        print_info(stdout, &info);
    backup_info_done(&info);
    return EXIT_OK;
}

/* ---- restore ---- */

/* The metadata's formats are the namenode's: it does the work. */
static int restore(const struct wish *w)
{
    const char *conf = client_config_path(&w->client);
    char program[PATH_MAX];

    cluster_find_program("dfs-namenode", program, sizeof(program));
    if (w->without != NULL)
        (void)execlp(program, program, "--config", conf, "--restore", w->file, "--without",
                     w->without, (char *)NULL);
    else
        (void)execlp(program, program, "--config", conf, "--restore", w->file, (char *)NULL);
    return fail_file(program, -errno);
}

static int run(const struct wish *w)
{
    if (strcmp(w->verb, "create") == 0)
        return create(w);
    if (strcmp(w->verb, "check") == 0)
        return check(w, false);
    if (strcmp(w->verb, "show") == 0)
        return check(w, true);
    if (strcmp(w->verb, "restore") == 0)
        return restore(w);
    return args_usage_error(&spec, "expected create, check, show or restore, not '%s'", w->verb);
}

int cmd_backup(int argc, char **argv)
{
    struct wish w = {0};
    struct args a;
    int opt;

    client_init(&w.client, spec.program);
    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&w.client, opt, a.value))
            continue;
        switch (opt) {
        case OPT_FROM:
            w.from = a.value;
            break;
        case OPT_STALE:
            w.stale = true;
            break;
        case OPT_FORCE:
            w.force = true;
            break;
        case OPT_WITHOUT:
            w.without = a.value;
            break;
        default:
            return a.exit_code;
        }
    }
    w.verb = a.rest[0];
    w.file = a.rest[1];
    return run(&w);
}
