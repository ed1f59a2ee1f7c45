/* dfs namenode: who is in the group of namenodes, which of them leads, and changes of that. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/args.h"
#include "common/compiler.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "rpc/frame.h"
#include "rpc/node.pb-c.h"
#include "shell/admin.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/namenodes.h"

enum { STATUS_MS = 1000 };

static const struct arg_option options[] = {
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec spec = {
    .program = "dfs namenode",
    .usage = "list [OPTION]...\n"
             "replace OLD NEW@HOST[:PORT] [OPTION]...\n"
             "add ID@HOST[:PORT] [OPTION]...\n"
             "remove ID [OPTION]...\n"
             "transfer [ID] [OPTION]...",
    .about =
        "list: who is in the group of namenodes, and how they are. replace: NEW, under an id that\n"
        "none ever had, takes the place of OLD, dead or alive; broken off, it is simply begun\n"
        "again. add: another one joins; it votes once it has caught up. remove: it leaves for\n"
        "good. transfer: hands the leadership to ID, or to the one that is most up to date.\n"
        "All but list need a certificate of role admin (`dfs pki issue NAME admin`).",
    .options = options,
    .rest_min = 1,
    .rest_max = 3,
};

struct cluster_at {
    struct admin *admin;
    char *addrs;
};

static int take_id(char *text, uint64_t *ret_id)
{
    if (str_parse_u64(text, ret_id) < 0 || *ret_id == 0)
        return args_usage_error(&spec, "'%s' is not the id of a namenode", text);
    return EXIT_OK;
}

/* *ret_addr is the caller's. */
static int take_member(char *text, uint64_t *ret_id, char **ret_addr)
{
    char *at = strchr(text, '@');
    char *addr = at == NULL ? NULL : str_full_addr(at + 1, NAMENODE_PORT);
    int r;

    if (addr == NULL)
        return args_usage_error(&spec, "'%s' is not of the form ID@HOST[:PORT]", text);
    *at = '\0';
    r = take_id(text, ret_id);
    if (r == EXIT_OK)
        *ret_addr = addr;
    else
        free(addr);
    return r;
}

static int ended(int r, const char *einval)
{
    if (r == 0)
        return EXIT_OK;
    fprintf(stderr, "dfs namenode: %s\n", r == -EINVAL ? einval : namenodes_why(r));
    return r == -ECONNREFUSED || r == -ETIMEDOUT || r == DFS_ENOTLEADER ? EXIT_UNREACHED
                                                                        : EXIT_FAILED;
}

/* ---- list ---- */

static int print_group(const Dfs__ReportReply *report)
{
    bool well = true;

    printf("%4s  %-21s  %-11s  %-5s  %10s  %s\n", "id", "address", "role", "votes", "behind",
           "last heard");
    for (size_t i = 0; i < report->n_namenodes; i++) {
        const Dfs__NamenodeInfo *n = report->namenodes[i];
        char behind[32] = "snapshot", heard[STR_SIZE_MAX + 8] = "now", ago[STR_SIZE_MAX];

        if (!n->needs_snapshot)
            snprintf(behind, sizeof(behind), "%" PRIu64, n->lag);
        if (!n->alive)
            snprintf(heard, sizeof(heard), "%s ago", str_duration(n->heard_ms, ago));
        printf("%4" PRIu64 "  %-21s  %-11s  %-5s  %10s  %s\n", n->replica_id, n->addr, n->role,
               n->voter ? "yes" : "no", behind, heard);
        well = well && n->alive && n->problem[0] == '\0';
    }
    for (size_t i = 0; i < report->n_namenodes; i++)
        if (report->namenodes[i]->problem[0] != '\0')
            printf("! namenode %" PRIu64 ": %s\n", report->namenodes[i]->replica_id,
                   report->namenodes[i]->problem);
    printf("The next free id is %" PRIu64 ".\n", report->next_namenode_id);
    return well ? EXIT_OK : EXIT_FAILED;
}

/* Nobody leads: what each of those that are known by address says about itself. */
static void print_each(const struct cluster_at *at)
{
    char *copy = mem_strdup(at->addrs), *save = NULL;

    for (char *one = strtok_r(copy, ", ", &save); one != NULL; one = strtok_r(NULL, ", ", &save)) {
        Dfs__StatusRequest req = DFS__STATUS_REQUEST__INIT;
        Dfs__StatusReply *reply = NULL;
        int r = admin_call(at->admin, one, MSG_STATUS, &req.base, &dfs__status_reply__descriptor,
                           STATUS_MS, (ProtobufCMessage **)&reply);

        if (r < 0) {
            printf("%4s  %-21s  unreachable (%s)\n", "?", one, dfs_strerror(r));
            continue;
        }
        printf("%4" PRIu64 "  %-21s  %-11s  term %" PRIu64 ", log entry %" PRIu64 "\n",
               reply->replica_id, one, reply->role, reply->term, reply->last_index);
        dfs__status_reply__free_unpacked(reply, NULL);
    }
    free(copy);
}

static int list(const struct cluster_at *at, char **rest)
{
    Dfs__ReportReply *report = NULL;
    int r = namenodes_report(at->admin, at->addrs, &report);

    (void)rest;
    if (r == 0) {
        r = print_group(report);
        dfs__report_reply__free_unpacked(report, NULL);
        return r;
    }
    print_each(at);
    return ended(r, dfs_strerror(r));
}

/* ---- the changes ---- */

static int replace(const struct cluster_at *at, char **rest)
{
    uint64_t old_id, new_id;
    char *addr;
    int r = take_id(rest[1], &old_id);

    if (r == EXIT_OK)
        r = take_member(rest[2], &new_id, &addr);
    if (r != EXIT_OK)
        return r;
    r = namenodes_replace(at->admin, at->addrs, old_id, new_id, addr);
    free(addr);
    return r;
}

static int add(const struct cluster_at *at, char **rest)
{
    uint64_t id;
    char *addr;
    int r = take_member(rest[1], &id, &addr);

    if (r != EXIT_OK)
        return r;
    r = ended(namenodes_change(at->admin, at->addrs, id, addr),
              "no namenode can have this address");
    free(addr);
    return r;
}

static int remove_one(const struct cluster_at *at, char **rest)
{
    uint64_t id;
    int r = take_id(rest[1], &id);

    return r != EXIT_OK ? r
                        : ended(namenodes_change(at->admin, at->addrs, id, NULL),
                                "the last namenode that votes has to stay");
}

static int transfer(const struct cluster_at *at, char **rest)
{
    uint64_t id = 0;
    int r = rest[1] == NULL ? EXIT_OK : take_id(rest[1], &id);

    return r != EXIT_OK ? r
                        : ended(namenodes_transfer(at->admin, at->addrs, id),
                                "it leads already, or does not vote");
}

/* ---- which, and where ---- */

static const struct verb {
    const char *name;
    int min, max; /* words after it */
    int (*run)(const struct cluster_at *at, char **rest);
} verbs[] = {
    {"list", 0, 0, list},         {"replace", 2, 2, replace},   {"add", 1, 1, add},
    {"remove", 1, 1, remove_one}, {"transfer", 0, 1, transfer},
};

static const struct verb *find_verb(const struct args *a)
{
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
        if (strcmp(a->rest[0], verbs[i].name) == 0 && a->rest_count - 1 >= verbs[i].min &&
            a->rest_count - 1 <= verbs[i].max)
            return &verbs[i];
    return NULL;
}

int cmd_namenode(int argc, char **argv)
{
    struct cluster_at at = {0};
    const struct verb *verb;
    char *rest[4] = {NULL}, why[ADMIN_WHY_MAX];
    struct client c;
    struct args a;
    int opt, r;

    client_init(&c, spec.program);
    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (!client_take(&c, opt, a.value))
            return a.exit_code;
    }
    verb = find_verb(&a);
    if (verb == NULL)
        return args_usage_error(&spec, "expected `list`, `replace OLD NEW@HOST`, `add ID@HOST`, "
                                       "`remove ID` or `transfer [ID]`");
    for (int i = 0; i < a.rest_count; i++)
        rest[i] = a.rest[i];
    r = admin_open(&c, &at.admin, &at.addrs, why);
    if (r < 0) {
        fprintf(stderr, "dfs namenode: %s\n", why);
        return admin_exit_code(r);
    }
    r = verb->run(&at, rest);
    admin_free(at.admin);
    free(at.addrs);
    return r;
}
