/* dfs cluster: makes, starts, stops, kills, pauses and shows a cluster on this machine. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/strutil.h"
#include "shell/cluster.h"
#include "shell/command.h"

enum {
    UP_MS = 60000,
    STOP_MS = 15000,
    MOUNT_STOP_MS = 65000,
    START_MS = 30000,
    POLL_MS = 50,
    BASE_PORT = 8670,
};

enum option_id {
    OPT_DIR = 1,
    OPT_NAMENODES,
    OPT_DATANODES,
    OPT_MOUNT,
    OPT_TLS,
    OPT_PORT,
    OPT_JSON
};

static const struct arg_option up_options[] = {
    {"dir", 'd', "DIR", "the cluster's directory; made if it is not there (required)", OPT_DIR},
    {"namenodes", 'n', "N", "namenodes of a new cluster: 1, 3 or 5 (3)", OPT_NAMENODES},
    {"datanodes", 'N', "N", "datanodes of a new cluster: 1 to 32 (3)", OPT_DATANODES},
    {"mount", 'm', "MNT", "also mount on MNT; may be repeated", OPT_MOUNT},
    {"data-tls", 't', "on|off", "encrypt chunk traffic (on)", OPT_TLS},
    {"base-port", 'p', "N", "first port of a new cluster (8670); it uses the next hundred",
     OPT_PORT},
    {0},
};
static const struct args_spec up_spec = {
    .program = "dfs cluster up",
    .usage = "--dir DIR [OPTION]...",
    .about = "Makes a cluster in DIR, or continues with the one that is there: certificates,\n"
             "configuration, processes, mounts. Returns when it serves.",
    .options = up_options,
};

static const struct arg_option dir_options[] = {
    {"dir", 'd', "DIR", "the cluster's directory (required)", OPT_DIR},
    {0},
};
static const struct arg_option status_options[] = {
    {"dir", 'd', "DIR", "the cluster's directory (required)", OPT_DIR},
    {"json", 'j', NULL, "print JSON", OPT_JSON},
    {0},
};
static const struct args_spec status_spec = {
    .program = "dfs cluster status",
    .usage = "--dir DIR [--json]",
    .about = "Shows each node: leader, follower, learner, recovering (a namenode that has not yet\n"
             "fetched what its disk lost: no vote), serving, syncing, mounted or down.\n"
             "Exit status 0 when all are up and in step, 1 otherwise.",
    .options = status_options,
};
static const struct args_spec down_spec = {
    .program = "dfs cluster down",
    .usage = "--dir DIR",
    .about = "Unmounts and stops everything. The data stays; `dfs cluster up` continues with it.",
    .options = dir_options,
};
/* Of start, stop, kill, pause and resume; program is filled in. */
static const struct args_spec node_spec = {
    .usage = "--dir DIR NODE...",
    .about =
        "Starts, stops cleanly, kills (SIGKILL), pauses (SIGSTOP) or resumes (SIGCONT) nodes:\n"
        "nn1 nn2 ... dn1 dn2 ... mount1 mount2 ... `replace` removes the data of one namenode, "
        "and\n"
        "gives its place in the group to a new one, while the cluster works.",
    .options = dir_options,
    .rest_min = 1,
    .rest_max = -1,
};

static int kill_node(const struct cluster *c, const struct cluster_node *n)
{
    return node_signal(c, n, SIGKILL, STOP_MS);
}

/* ---- up ---- */

struct up_request {
    const char *dir;
    struct cluster wanted;
    bool shape_given; /* numbers, port or TLS were on the command line */
};

static int parse_count(const char *option, const char *text, uint64_t min, uint64_t max,
                       unsigned *ret)
{
    uint64_t v;

    if (str_parse_u64(text, &v) < 0 || v < min || v > max)
        return args_usage_error(&up_spec, "%s takes a number from %u to %u, not '%s'", option,
                                (unsigned)min, (unsigned)max, text);
    *ret = (unsigned)v;
    return 0;
}

/* As an absolute name; the directory need not be there yet (cluster_write() makes it). */
static int add_mount(struct cluster *c, const char *given)
{
    char cwd[CLUSTER_PATH_MAX], *out = c->mounts[c->mount_count];
    int n;

    if (c->mount_count == CLUSTER_MOUNTS_MAX)
        return args_usage_error(&up_spec, "at most %d mounts", CLUSTER_MOUNTS_MAX);
    if (given[0] == '/')
        n = snprintf(out, CLUSTER_PATH_MAX, "%s", given);
    else if (getcwd(cwd, sizeof(cwd)) != NULL)
        n = snprintf(out, CLUSTER_PATH_MAX, "%s/%s", cwd, given);
    else
        n = -1;
    if (n <= 0 || n >= CLUSTER_PATH_MAX)
        return args_usage_error(&up_spec, "the mount point '%s' is no usable path", given);
    while (n > 1 && out[n - 1] == '/')
        out[--n] = '\0';
    c->mount_count++;
    return 0;
}

static int parse_up(int argc, char **argv, struct up_request *u)
{
    struct args a;
    int opt, r = 0;

    *u = (struct up_request){
        .wanted = {.namenodes = 3, .datanodes = 3, .base_port = BASE_PORT, .data_tls = true}};
    args_init(&a, &up_spec, argc, argv);
    while (r == 0 && (opt = args_next(&a)) != ARGS_END) {
        switch (opt) {
        case OPT_DIR:
            u->dir = a.value;
            break;
        case OPT_NAMENODES:
            r = parse_count("--namenodes", a.value, 1, 5, &u->wanted.namenodes);
            if (r == 0 && u->wanted.namenodes % 2 == 0)
                r = args_usage_error(&up_spec, "--namenodes must be odd: 1, 3 or 5");
            u->shape_given = true;
            break;
        case OPT_DATANODES:
            r = parse_count("--datanodes", a.value, 1, 32, &u->wanted.datanodes);
            u->shape_given = true;
            break;
        case OPT_PORT:
            r = parse_count("--base-port", a.value, 1024, 65400, &u->wanted.base_port);
            u->shape_given = true;
            break;
        case OPT_TLS:
            if (strcmp(a.value, "on") != 0 && strcmp(a.value, "off") != 0)
                r = args_usage_error(&up_spec, "--data-tls takes on or off, not '%s'", a.value);
            u->wanted.data_tls = strcmp(a.value, "on") == 0;
            u->shape_given = true;
            break;
        case OPT_MOUNT:
            r = add_mount(&u->wanted, a.value);
            break;
        default:
            return a.exit_code == 0 ? -1 : a.exit_code;
        }
    }
    if (r == 0 && u->dir == NULL)
        r = args_usage_error(&up_spec, "--dir is missing");
    return r;
}

static bool same_shape(const struct cluster *a, const struct cluster *b)
{
    return a->namenodes == b->namenodes && a->datanodes == b->datanodes &&
           a->base_port == b->base_port && a->data_tls == b->data_tls;
}

static int merge(struct cluster *have, const struct up_request *u)
{
    if (u->shape_given && !same_shape(have, &u->wanted))
        fprintf(stderr,
                "dfs cluster up: %s holds a cluster of %u namenodes and %u datanodes at port %u,\n"
                "with TLS for data %s; continuing with that one\n",
                u->dir, have->namenodes, have->datanodes, have->base_port,
                have->data_tls ? "on" : "off");
    for (unsigned i = 0; i < u->wanted.mount_count; i++) {
        bool known = false;

        if (cluster_check_mount(have, u->wanted.mounts[i]) < 0)
            return EXIT_FAILED;

        for (unsigned k = 0; k < have->mount_count; k++)
            known |= strcmp(have->mounts[k], u->wanted.mounts[i]) == 0;
        if (!known && have->mount_count < CLUSTER_MOUNTS_MAX)
            snprintf(have->mounts[have->mount_count++], CLUSTER_PATH_MAX, "%s",
                     u->wanted.mounts[i]);
    }
    cluster_make_nodes(have);
    return EXIT_OK;
}

/* Of a cluster that is not there yet nothing is written that would have to be undone by hand. */
static int check_new(const struct cluster *c)
{
    static const struct cluster none;

    if (cluster_check_ports(c) < 0)
        return EXIT_FAILED;
    for (unsigned i = 0; i < c->mount_count; i++)
        if (cluster_check_mount(&none, c->mounts[i]) < 0)
            return EXIT_FAILED;
    return EXIT_OK;
}

/* The directory's absolute name, made if need be. */
static int resolve_dir(const char *dir, struct cluster *c)
{
    char *real;

    if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
        fprintf(stderr, "dfs cluster up: cannot make %s: %s\n", dir, strerror(errno));
        return EXIT_FAILED;
    }
    real = realpath(dir, NULL);
    if (real == NULL || strlen(real) > CLUSTER_PATH_MAX - 64) {
        fprintf(stderr, "dfs cluster up: %s: %s\n", dir,
                real == NULL ? strerror(errno) : "the path is too long");
        free(real);
        return EXIT_FAILED;
    }
    if (strpbrk(real, " \t\n,;#") != NULL) {
        fprintf(stderr,
                "dfs cluster up: %s: blanks, commas, ; and # in the path would be misread in "
                "configuration files; choose another directory\n",
                real);
        free(real);
        return EXIT_FAILED;
    }
    snprintf(c->dir, sizeof(c->dir), "%s", real);
    free(real);
    return 0;
}

/* Why it ended: the last error, which more lines may follow. */
static void show_log_end(const struct cluster *c, const struct cluster_node *n)
{
    bool tells = false;
    char path[CLUSTER_PATH_MAX], line[1024], last[1024] = "";
    FILE *f = fopen(cluster_path(c, path, "log/%s.log", n->name), "re");

    if (f == NULL)
        return;
    while (fgets(line, sizeof(line), f) != NULL) {
        bool error = strstr(line, " error ") != NULL || strstr(line, "cannot start") != NULL;

        if (error || !tells)
            snprintf(last, sizeof(last), "%s", line);
        tells |= error;
    }
    last[strcspn(last, "\n")] = '\0';
    (void)fclose(f);
    fprintf(stderr, "  %s: %s  (whole log: %s)\n", n->name, last, path);
}

/* A process that ended by itself will not come back: no need to wait for it. */
static bool one_died(const struct cluster *c)
{
    bool died = false;

    (void)waitpid(-1, NULL, WNOHANG);
    for (size_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i].kind == NODE_MOUNT || node_pid(c, &c->nodes[i]) != 0)
            continue;
        fprintf(stderr, "dfs cluster up: %s ended\n", c->nodes[i].name);
        show_log_end(c, &c->nodes[i]);
        died = true;
    }
    return died;
}

static int wait_serving(const struct cluster *c)
{
    const char *states[CLUSTER_NODES_MAX];
    uint64_t end_ns = clock_monotonic_ns(clock_system()) + UP_MS * CLOCK_NS_PER_MS;

    for (;;) {
        if (cluster_states(c, states))
            return EXIT_OK;
        if (one_died(c))
            return EXIT_FAILED;
        if (clock_monotonic_ns(clock_system()) > end_ns)
            break;
        clock_sleep_ms(POLL_MS);
    }
    fprintf(stderr, "dfs cluster up: the cluster does not serve after %d s:\n", UP_MS / 1000);
    for (size_t i = 0; i < c->node_count; i++)
        fprintf(stderr, "  %-8s %s\n", c->nodes[i].name, states[i]);
    return EXIT_FAILED;
}

/* EXIT_OK when it is ready, else it is told why not. */
static int wait_started(const struct cluster *c, struct cluster_node *n)
{
    int r = node_wait_ready(c, n, START_MS);

    if (r == 0)
        return EXIT_OK;
    if (r == -ETIMEDOUT)
        fprintf(stderr, "dfs cluster: %s is not ready after %d s\n", n->name, START_MS / 1000);
    else
        fprintf(stderr, "dfs cluster: %s ended at once\n", n->name);
    show_log_end(c, n);
    return EXIT_FAILED;
}

static int start_kind(struct cluster *c, bool mounts)
{
    int r = EXIT_OK;

    for (size_t i = 0; i < c->node_count; i++)
        if ((c->nodes[i].kind == NODE_MOUNT) == mounts && node_start(c, &c->nodes[i]) < 0)
            return EXIT_FAILED;
    for (size_t i = 0; i < c->node_count; i++)
        if ((c->nodes[i].kind == NODE_MOUNT) == mounts && wait_started(c, &c->nodes[i]) != EXIT_OK)
            r = EXIT_FAILED;
    return r;
}

static const char *plural(unsigned n)
{
    return n == 1 ? "" : "s";
}

static int run_up(int argc, char **argv)
{
    struct up_request u;
    struct cluster c;
    int r = parse_up(argc, argv, &u);

    if (r != 0)
        return r < 0 ? EXIT_OK : r;
    if (cluster_exists(u.dir)) {
        if (cluster_load(u.dir, &c) < 0)
            return EXIT_FAILED;
        r = merge(&c, &u);
    } else {
        c = u.wanted;
        r = resolve_dir(u.dir, &c);
        if (r == EXIT_OK) {
            cluster_make_nodes(&c);
            r = check_new(&c);
        }
    }
    if (r != EXIT_OK)
        return r;
    if (cluster_write(&c) < 0)
        return EXIT_FAILED;
    r = start_kind(&c, false);
    if (r == EXIT_OK)
        r = wait_serving(&c);
    if (r == EXIT_OK)
        r = start_kind(&c, true);
    if (r == EXIT_OK)
        printf("The cluster in %s serves: %u namenode%s, %u datanode%s, %u mount%s.\n", c.dir,
               c.namenodes, plural(c.namenodes), c.datanodes, plural(c.datanodes), c.mount_count,
               plural(c.mount_count));
    return r;
}

/* ---- status, down, one node ---- */

struct dir_request {
    struct cluster c;
    bool json;
    struct args a;
};

/* EXIT_OK to go on, or 1 + the exit code. */
static int parse_dir(const struct args_spec *spec, int argc, char **argv, struct dir_request *d)
{
    const char *dir = NULL;
    int opt;

    d->json = false;
    args_init(&d->a, spec, argc, argv);
    while ((opt = args_next(&d->a)) != ARGS_END) {
        if (opt == OPT_DIR)
            dir = d->a.value;
        else if (opt == OPT_JSON)
            d->json = true;
        else
            return 1 + d->a.exit_code;
    }
    if (dir == NULL)
        return 1 + args_usage_error(spec, "--dir is missing");
    return cluster_load(dir, &d->c) < 0 ? 1 + EXIT_FAILED : EXIT_OK;
}

static void print_json(const struct cluster *c, const char *const *states)
{
    static const char *const kinds[] = {"namenode", "datanode", "mount"};
    json_t *nodes = json_array(), *root;
    char *text, addr[CLUSTER_PATH_MAX];

    for (size_t i = 0; i < c->node_count; i++) {
        const struct cluster_node *n = &c->nodes[i];

        if (n->kind == NODE_MOUNT)
            snprintf(addr, sizeof(addr), "%s", n->where);
        else
            snprintf(addr, sizeof(addr), "127.0.0.1:%u", n->port);
        json_array_append_new(nodes, json_pack("{s:s, s:s, s:i, s:s, s:s}", "name", n->name, "kind",
                                               kinds[n->kind], "pid", (int)node_pid(c, n), "addr",
                                               addr, "state", states[i]));
    }
    root = json_pack("{s:o}", "nodes", nodes);
    text = json_dumps(root, JSON_INDENT(2));
    puts(text);
    free(text);
    json_decref(root);
}

static int run_status(int argc, char **argv)
{
    struct dir_request d;
    const char *states[CLUSTER_NODES_MAX];
    bool good;
    int r = parse_dir(&status_spec, argc, argv, &d);

    if (r != EXIT_OK)
        return r - 1;
    good = cluster_states(&d.c, states);
    for (size_t i = 0; i < d.c.node_count; i++)
        if (d.c.nodes[i].kind == NODE_MOUNT && strcmp(states[i], "down") == 0)
            good = false;
    if (d.json) {
        print_json(&d.c, states);
        return good ? EXIT_OK : EXIT_FAILED;
    }
    for (size_t i = 0; i < d.c.node_count; i++) {
        const struct cluster_node *n = &d.c.nodes[i];

        printf("%-8s %-10s pid %-8d ", n->name, states[i], (int)node_pid(&d.c, n));
        if (n->kind == NODE_MOUNT)
            printf("%s\n", n->where);
        else
            printf("127.0.0.1:%u\n", n->port);
    }
    return good ? EXIT_OK : EXIT_FAILED;
}

/* A mount first says goodbye to the kernel, so that what is dirty is written before its daemon ends. */
static int stop_node(const struct cluster *c, const struct cluster_node *n)
{
    int r;

    if (n->kind != NODE_MOUNT)
        return node_signal(c, n, SIGTERM, STOP_MS);
    (void)node_signal(c, n, SIGCONT, 0);
    r = node_signal(c, n, SIGTERM, MOUNT_STOP_MS);
    node_clear_mount(n);
    return r;
}

static int run_down(int argc, char **argv)
{
    struct dir_request d;
    int r = parse_dir(&down_spec, argc, argv, &d);

    if (r != EXIT_OK)
        return r - 1;
    for (size_t i = d.c.node_count; i-- > 0;)
        if (d.c.nodes[i].kind == NODE_MOUNT)
            (void)stop_node(&d.c, &d.c.nodes[i]);
    /* The rest at once: namenodes would only hand leadership round. */
    for (size_t i = 0; i < d.c.node_count; i++) {
        if (d.c.nodes[i].kind == NODE_MOUNT)
            continue;
        (void)node_signal(&d.c, &d.c.nodes[i], SIGCONT, 0);
        (void)node_signal(&d.c, &d.c.nodes[i], SIGTERM, 0);
    }
    r = EXIT_OK;
    for (size_t i = 0; i < d.c.node_count; i++) {
        const struct cluster_node *n = &d.c.nodes[i];

        if (n->kind != NODE_MOUNT)
            (void)node_signal(&d.c, n, SIGTERM, STOP_MS);
        if (node_pid(&d.c, n) == 0 && !(n->kind == NODE_MOUNT && node_is_mounted(n)))
            continue;
        fprintf(stderr, "dfs cluster down: %s is still there\n", n->name);
        r = EXIT_FAILED;
    }
    return r;
}

static struct cluster_node *find_node(struct cluster *c, const char *name)
{
    for (size_t i = 0; i < c->node_count; i++)
        if (strcmp(c->nodes[i].name, name) == 0)
            return &c->nodes[i];
    return NULL;
}

static int pause_node(const struct cluster *c, const struct cluster_node *n)
{
    return node_signal(c, n, SIGSTOP, 0);
}

static int resume_node(const struct cluster *c, const struct cluster_node *n)
{
    return node_signal(c, n, SIGCONT, 0);
}

typedef int (*node_fn)(const struct cluster *c, const struct cluster_node *n);

struct node_request {
    struct dir_request d;
    char program[32];
    struct args_spec spec;
};

/* EXIT_OK to go on, or 1 + the exit code. */
static int parse_nodes(const char *verb, int argc, char **argv, struct node_request *q)
{
    int r;

    snprintf(q->program, sizeof(q->program), "dfs cluster %s", verb);
    q->spec = node_spec;
    q->spec.program = q->program;
    r = parse_dir(&q->spec, argc, argv, &q->d);
    for (int i = 0; r == EXIT_OK && i < q->d.a.rest_count; i++)
        if (find_node(&q->d.c, q->d.a.rest[i]) == NULL)
            r = 1 + args_usage_error(&q->spec, "there is no node '%s'; see: dfs cluster status",
                                     q->d.a.rest[i]);
    return r;
}

static int run_start(int argc, char **argv)
{
    struct node_request q;
    int r = parse_nodes("start", argc, argv, &q), exit_code = EXIT_OK;

    if (r != EXIT_OK)
        return r - 1;
    for (int i = 0; i < q.d.a.rest_count; i++)
        if (node_start(&q.d.c, find_node(&q.d.c, q.d.a.rest[i])) < 0)
            exit_code = EXIT_FAILED;
    for (int i = 0; i < q.d.a.rest_count; i++)
        if (wait_started(&q.d.c, find_node(&q.d.c, q.d.a.rest[i])) != EXIT_OK)
            exit_code = EXIT_FAILED;
    return exit_code;
}

static int run_nodes(const char *verb, node_fn fn, int argc, char **argv)
{
    struct node_request q;
    int r = parse_nodes(verb, argc, argv, &q), exit_code = EXIT_OK;

    if (r != EXIT_OK)
        return r - 1;
    for (int i = 0; i < q.d.a.rest_count; i++) {
        r = fn(&q.d.c, find_node(&q.d.c, q.d.a.rest[i]));
        if (r < 0) {
            fprintf(stderr, "dfs cluster %s: %s: %s\n", verb, q.d.a.rest[i],
                    r == -ESRCH ? "it is not running" : strerror(-r));
            exit_code = EXIT_FAILED;
        }
    }
    return exit_code;
}

static int run_replace(int argc, char **argv)
{
    struct node_request q;
    struct cluster_node *n;
    int r = parse_nodes("replace", argc, argv, &q);

    if (r != EXIT_OK)
        return r - 1;
    n = find_node(&q.d.c, q.d.a.rest[0]);
    if (q.d.a.rest_count != 1 || n->kind != NODE_NAMENODE)
        return args_usage_error(&q.spec, "one namenode at a time can be replaced");
    return cluster_replace(&q.d.c, n);
}

static void help(FILE *out)
{
    fputs("Usage: dfs cluster up|status|start|stop|kill|pause|resume|replace|down --dir DIR ...\n"
          "A whole cluster on this machine, in one directory.\n\n"
          "  up      make it or continue with it, start everything, mount\n"
          "  status  show each node\n"
          "  start, stop, kill, pause, resume NODE...\n"
          "  replace NAMENODE: its data is removed, and another takes its place\n"
          "  down    unmount and stop everything; the data stays\n\n"
          "`dfs cluster VERB --help` says more.\n",
          out);
}

int cmd_cluster(int argc, char **argv)
{
    static const struct {
        const char *verb;
        node_fn fn;
    } verbs[] = {
        {"stop", stop_node}, {"kill", kill_node}, {"pause", pause_node}, {"resume", resume_node}};
    static const char *const words[] = {"up",    "status", "start",   "stop", "kill",
                                        "pause", "resume", "replace", "down", NULL};
    const char *verb = argc > 1 ? argv[1] : "", *hint;

    if (strcmp(verb, "up") == 0)
        return run_up(argc - 1, argv + 1);
    if (strcmp(verb, "status") == 0)
        return run_status(argc - 1, argv + 1);
    if (strcmp(verb, "down") == 0)
        return run_down(argc - 1, argv + 1);
    if (strcmp(verb, "start") == 0)
        return run_start(argc - 1, argv + 1);
    if (strcmp(verb, "replace") == 0)
        return run_replace(argc - 1, argv + 1);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verb, verbs[i].verb) == 0)
            return run_nodes(verb, verbs[i].fn, argc - 1, argv + 1);
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
        help(stdout);
        return EXIT_OK;
    }
    if (verb[0] == '\0') {
        help(stderr);
        return EXIT_USAGE;
    }
    hint = args_hint(verb, words);
    fprintf(stderr, "dfs cluster: there is no '%s'%s%s%s\nTry 'dfs cluster --help'.\n", verb,
            hint == NULL ? "" : "; did you mean '", hint == NULL ? "" : hint,
            hint == NULL ? "" : "'?");
    return EXIT_USAGE;
}
