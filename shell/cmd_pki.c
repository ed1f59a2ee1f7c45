/* dfs pki: the certificates of a cluster on real hosts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/args.h"
#include "rpc/pki.h"
#include "shell/command.h"

enum { PROBLEM_MAX = 512, SANS_MAX = 32 };
enum option_id { OPT_DIR = 1, OPT_OUT, OPT_SAN, OPT_CLUSTER };

static const struct arg_option options[] = {
    {"dir", 'd', "DIR", "where the certificate authority is (.)", OPT_DIR},
    {"out", 'o', "DIR", "where NAME.crt and NAME.key go (as --dir)", OPT_OUT},
    {"san", 's', "NAME", "a host name or address of it; may be repeated", OPT_SAN},
    {"cluster", 'c', "NAME", "init: the cluster's name, for people (dfs)", OPT_CLUSTER},
    {0},
};
static const struct args_spec spec = {
    .program = "dfs pki",
    .usage =
        "init [--dir DIR] [--cluster NAME]\nissue NAME namenode|datanode|client|admin [OPTION]...",
    .about =
        "Makes the cluster's own certificate authority (ca.crt, ca.key), and certificates\n"
        "for its hosts. Keep ca.key off the hosts; copy ca.crt, NAME.crt and NAME.key to them.\n"
        "Nothing is ever overwritten.",
    .options = options,
    .rest_min = 1,
    .rest_max = 3,
};

static int complain(int r, const char *problem)
{
    if (r == 0)
        return EXIT_OK;
    fprintf(stderr, "dfs pki: %s\n", problem[0] != '\0' ? problem : strerror(-r));
    return EXIT_FAILED;
}

/* The last component; 0700, since keys come into it. */
static int make_dir(const char *dir, char *problem, size_t size)
{
    if (mkdir(dir, 0700) == 0 || errno == EEXIST)
        return 0;
    (void)snprintf(problem, size, "%s cannot be made: %s", dir, strerror(errno));
    return -errno;
}

static int init(const char *dir, const char *cluster, char *problem, size_t size)
{
    int r = make_dir(dir, problem, size);

    return r < 0 ? r : pki_ca_create(dir, cluster, problem, size);
}

int cmd_pki(int argc, char **argv)
{
    const char *dir = ".", *out = NULL, *cluster = "dfs", *sans[SANS_MAX];
    char problem[PROBLEM_MAX] = "";
    size_t san_count = 0;
    struct args a;
    int opt;

    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        switch (opt) {
        case OPT_DIR:
            dir = a.value;
            break;
        case OPT_OUT:
            out = a.value;
            break;
        case OPT_CLUSTER:
            cluster = a.value;
            break;
        case OPT_SAN:
            if (san_count == SANS_MAX)
                return args_usage_error(&spec, "at most %d names", SANS_MAX);
            sans[san_count++] = a.value;
            break;
        default:
            return a.exit_code;
        }
    }
    if (strcmp(a.rest[0], "init") == 0 && a.rest_count == 1)
        return complain(init(dir, cluster, problem, sizeof(problem)), problem);
    if (strcmp(a.rest[0], "issue") == 0 && a.rest_count == 3) {
        if (!pki_is_role(a.rest[2]))
            return args_usage_error(
                &spec, "there is no role '%s': namenode, datanode, client or admin", a.rest[2]);
        if (out != NULL && make_dir(out, problem, sizeof(problem)) < 0)
            return complain(-EIO, problem);
        return complain(pki_issue(dir, a.rest[1], a.rest[2], sans, san_count,
                                  out == NULL ? dir : out, problem, sizeof(problem)),
                        problem);
    }
    return args_usage_error(&spec, "expected `init`, or `issue NAME ROLE`");
}
