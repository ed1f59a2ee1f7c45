/* See mount_conf.h. Called as dfs-fuse, or as mount.dfs by mount(8) with SPEC DIR [-sfnv] [-o ...].
 */
#include "fuse/mount_conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/conf.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/strutil.h"

enum option_id {
    OPT_CONFIG = 1,
    OPT_FOREGROUND,
    OPT_OPTIONS,
    OPT_LOG,
    OPT_PID_FILE,
    OPT_VERBOSE,
    OPT_IGNORED,
};

static const struct arg_option options[] = {
    {"config", 'c', "FILE", "read namenodes and certificates from FILE (section [client], [tls])",
     OPT_CONFIG},
    {"foreground", 'f', NULL, "stay in the foreground, log to stderr", OPT_FOREGROUND},
    {"options", 'o', "LIST", "mount options, separated by commas; see below", OPT_OPTIONS},
    {"log", 'l', "FILE", "append the daemon's log to FILE", OPT_LOG},
    {"pid-file", 'p', "FILE", "write the daemon's pid to FILE", OPT_PID_FILE},
    {"verbose", 'v', NULL, "log debug messages", OPT_VERBOSE},
    {"sloppy", 's', NULL, "ignored; mount(8) may pass it", OPT_IGNORED},
    {"no-mtab", 'n', NULL, "ignored; mount(8) may pass it", OPT_IGNORED},
    {"namespace", 'N', "NS", "ignored; mount(8) may pass it", OPT_IGNORED},
    {"types", 't', "TYPE", "ignored; mount(8) may pass it", OPT_IGNORED},
    {0},
};

static const struct args_spec spec = {
    .program = "dfs-fuse",
    .usage = "[OPTION]... [NAMENODES[:/DIR]] MOUNTPOINT",
    .about = "Mounts a dfs file system. NAMENODES is host[:port],host[:port],...; without it the\n"
             "configuration file says where they are. DIR is shown as the root of the mount.",
    .options = options,
    .more =
        "Mount options (-o):\n"
        "  config=FILE          as --config\n"
        "  ca=FILE cert=FILE key=FILE\n"
        "                       certificates, PEM\n"
        "  io_timeout=TIME      give up with ETIMEDOUT after TIME, e.g. 60s; 0: wait (default)\n"
        "  dirty_max=SIZE       memory for written data on its way out (64M)\n"
        "  readahead_max=SIZE   memory for data read ahead (256M)\n"
        "  log=FILE, pid_file=FILE, http=ADDR:PORT\n"
        "  nonempty             mount on a directory that is not empty, and so hide what it holds\n"
        "  allow_other, ro, rw, noatime, nosuid, nodev, noexec, ...\n"
        "                       as for any mount; allow_other is on for root\n"
        "Called as mount.dfs, --foreground (-f) is mount(8)'s --fake: all but the mounting is "
        "done.\n"
        "Exit status: 0 mounted, 1 failed, 2 wrong command line, 32 the cluster was not reached.",
    .rest_min = 1,
    .rest_max = 2,
};

/* Options that are the kernel's: passed on as they are. */
static const char *const kernel_words[] = {"noatime", "atime", "nosuid", "suid",  "nodev",   "dev",
                                           "noexec",  "exec",  "sync",   "async", "dirsync", NULL};
/* Options that mean something to mount(8) or systemd only, or say when a time of access is written
 * that we write only when told to. */
static const char *const ignored_words[] = {
    "rw",       "auto",       "noauto",      "user",          "nouser",
    "users",    "owner",      "group",       "_netdev",       "nofail",
    "defaults", "relatime",   "norelatime",  "nodiratime",    "diratime",
    "lazytime", "nolazytime", "strictatime", "nostrictatime", "silent",
    "loud",     NULL};

static bool is_in(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static void add_kernel_option(struct mount_conf *c, const char *word)
{
    char *joined = mem_printf("%s,%s", c->kernel_options, word);

    free(c->kernel_options);
    c->kernel_options = joined;
}

/* -o given before the file is read: remembered, set as overrides afterwards. */
struct overrides {
    struct {
        const char *section, *key, *value;
    } items[32];
    unsigned count;
};

static int override(struct overrides *o, const char *section, const char *key, const char *value)
{
    if (o->count == sizeof(o->items) / sizeof(o->items[0]))
        return args_usage_error(&spec, "too many options");
    o->items[o->count].section = section;
    o->items[o->count].key = key;
    o->items[o->count].value = value;
    o->count++;
    return 0;
}

static int take_option(struct mount_conf *c, struct overrides *o, char *word)
{
    static const char *const known[] = {
        "config", "ca",   "cert", "key",         "io_timeout", "dirty_max", "readahead_max",
        "log",    "http", "ro",   "allow_other", "pid_file",   "nonempty",  NULL};
    char *value = strchr(word, '=');
    const char *hint;

    if (value != NULL)
        *value++ = '\0';
    if (strncmp(word, "x-", 2) == 0 || is_in(word, ignored_words))
        return 0;
    if (strcmp(word, "remount") == 0)
        return args_usage_error(
            &spec, "a dfs mount is not changed by remounting: unmount it and mount it anew");
    if (value == NULL && is_in(word, kernel_words)) {
        add_kernel_option(c, word);
        return 0;
    }
    if (value == NULL && strcmp(word, "ro") == 0) {
        c->read_only = true;
        add_kernel_option(c, "ro");
        return 0;
    }
    if (value == NULL && strcmp(word, "allow_other") == 0) {
        c->allow_other = true;
        return 0;
    }
    if (value == NULL && strcmp(word, "nonempty") == 0) {
        c->may_cover = true;
        return 0;
    }
    if (value != NULL && strcmp(word, "config") == 0)
        c->config_path = value;
    else if (value != NULL && strcmp(word, "log") == 0)
        c->log_path = value;
    else if (value != NULL && strcmp(word, "pid_file") == 0)
        c->pid_file = value;
    else if (value != NULL &&
             (strcmp(word, "ca") == 0 || strcmp(word, "cert") == 0 || strcmp(word, "key") == 0))
        return override(o, "tls", word, value);
    else if (value != NULL && (strcmp(word, "io_timeout") == 0 || strcmp(word, "dirty_max") == 0 ||
                               strcmp(word, "readahead_max") == 0 || strcmp(word, "http") == 0))
        return override(o, "client", word, value);
    else if (is_in(word, known)) {
        return args_usage_error(&spec,
                                value == NULL ? "the mount option '%s' needs a value"
                                              : "the mount option '%s' takes no value",
                                word);
    } else {
        hint = args_hint(word, known);
        return args_usage_error(&spec, "unknown mount option '%s'%s%s%s", word,
                                hint != NULL ? "; did you mean '" : "", hint != NULL ? hint : "",
                                hint != NULL ? "'?" : "");
    }
    return 0;
}

static int take_options(struct mount_conf *c, struct overrides *o, char *list)
{
    char *save = NULL;
    int r = 0;

    for (char *w = strtok_r(list, ",", &save); w != NULL && r == 0; w = strtok_r(NULL, ",", &save))
        r = take_option(c, o, w);
    return r;
}

/* "a:1,b:2:/dir": the directory is what follows ":/". */
static void split_spec(struct mount_conf *c, const char *text)
{
    const char *dir = strstr(text, ":/");

    free(c->namenodes);
    free(c->subdir);
    if (dir == NULL) {
        c->namenodes = mem_strdup(text);
        c->subdir = mem_strdup("/");
    } else {
        c->namenodes = mem_memdup(text, (size_t)(dir - text));
        c->subdir = mem_strdup(dir + 1);
    }
}

static bool is_list_of_namenodes(const struct mount_conf *c, char *err, size_t err_size)
{
    char *full = str_full_addrs(c->namenodes, NAMENODE_PORT, NAMENODE_ADDRS_MAX, err, err_size);

    free(full);
    return full != NULL;
}

static int load_file(struct mount_conf *c)
{
    const char *path = c->config_path;
    int r;

    if (path == NULL)
        path = getenv("DFS_CONFIG");
    if (path == NULL) {
        path = DFS_SYSCONFDIR "/dfs.conf";
        if (access(path, F_OK) < 0) {
            c->file = conf_new();
            return 0;
        }
    }
    c->config_path = path;
    r = conf_load(path, &c->file);
    if (r < 0)
        fprintf(stderr,
                "dfs-fuse: the configuration %s cannot be read: %s; --config=FILE names another\n",
                path, strerror(-r));
    return r;
}

static void read_values(struct mount_conf *c)
{
    struct conf *f = c->file;
    const char *configured;
    char problem[128];

    ll_options_init(&c->ll);
    configured = c->namenodes != NULL ? conf_str(f, "client", "namenodes", NULL)
                                      : conf_str_required(f, "client", "namenodes");
    if (c->namenodes == NULL && configured != NULL)
        split_spec(c, configured);
    if (c->namenodes != NULL && !is_list_of_namenodes(c, problem, sizeof(problem)))
        conf_problem(f, "client", "namenodes", "%s", problem);
    c->ll.namenodes = c->namenodes;
    c->ll.ca_file = conf_file(f, "tls", "ca");
    c->ll.cert_file = conf_file(f, "tls", "cert");
    c->ll.key_file = conf_file(f, "tls", "key");
    c->ll.io_timeout_ms = (uint32_t)conf_duration_ms(f, "client", "io_timeout", 0, 0, 86400000);
    c->ll.dirty_bytes_max =
        conf_size(f, "client", "dirty_max", c->ll.dirty_bytes_max, 8 * MIB, 64 * GIB);
    c->ll.readahead_bytes_max =
        conf_size(f, "client", "readahead_max", c->ll.readahead_bytes_max, 8 * MIB, 64 * GIB);
    c->read_ahead_kb = (unsigned)conf_u64(f, "client", "read_ahead_kb", 1024, 0, 65536);
    c->http_addr = conf_str(f, "client", "http", NULL);
    if ((c->ll.ca_file == NULL) != (c->ll.cert_file == NULL) ||
        (c->ll.ca_file == NULL) != (c->ll.key_file == NULL))
        conf_problem(f, "tls", "ca", "ca, cert and key belong together");
    conf_ignore_section(f, "namenode");
    conf_ignore_section(f, "datanode");
    conf_ignore_section(f, "cluster");
    conf_ignore_section(f, "data");
    conf_ignore_section(f, "log");
}

int mount_conf_parse(struct mount_conf *c, int argc, char **argv, int *ret_exit)
{
    struct args a;
    struct overrides o = {.count = 0};
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash == NULL ? argv[0] : slash + 1;
    bool helper = strcmp(name, "mount.dfs") == 0 || strcmp(name, "mount.fuse.dfs") == 0;
    bool fake = false;
    char problem[128];
    int opt, bad = 0;

    /* libfuse's mounts are nosuid and nodev unless told otherwise; root's are as any disk's. */
    *c = (struct mount_conf){.kernel_options = mem_strdup(geteuid() == 0 ? ",suid,dev" : ""),
                             .allow_other = geteuid() == 0};
    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        switch (opt) {
        case OPT_CONFIG:
            c->config_path = a.value;
            break;
        case OPT_FOREGROUND:
            c->foreground = !helper;
            fake = helper;
            break;
        case OPT_OPTIONS:
            bad = take_options(c, &o, (char *)(uintptr_t)a.value);
            break;
        case OPT_LOG:
            c->log_path = a.value;
            break;
        case OPT_PID_FILE:
            c->pid_file = a.value;
            break;
        case OPT_VERBOSE:
            log_init("dfs-fuse", LOG_LEVEL_DEBUG);
            break;
        case OPT_IGNORED:
            break;
        default:
            *ret_exit = a.exit_code;
            return -EINVAL;
        }
        if (bad != 0) {
            *ret_exit = bad;
            return -EINVAL;
        }
    }
    c->mountpoint = a.rest[a.rest_count - 1];
    if (a.rest_count == 2 && strcmp(a.rest[0], "none") != 0)
        split_spec(c, a.rest[0]);
    if (c->namenodes != NULL && !is_list_of_namenodes(c, problem, sizeof(problem))) {
        *ret_exit = args_usage_error(&spec, "the namenodes: %s", problem);
        return -EINVAL;
    }
    *ret_exit = 1;
    if (load_file(c) < 0)
        return -EINVAL;
    for (unsigned i = 0; i < o.count; i++)
        conf_set(c->file, o.items[i].section, o.items[i].key, o.items[i].value);
    read_values(c);
    if (conf_check(c->file) < 0) {
        fputs(conf_problems(c->file), stderr);
        return -EINVAL;
    }
    *ret_exit = 0;
    return fake ? -ECANCELED : 0;
}

void mount_conf_done(struct mount_conf *c)
{
    free(c->namenodes);
    free(c->subdir);
    free(c->kernel_options);
    conf_free(c->file);
}
