/* dfs datanode: the datanodes and their disks, and what an operator does with them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/compiler.h"
#include "common/error.h"
#include "common/strutil.h"
#include "rpc/frame.h"
#include "rpc/node.pb-c.h"
#include "shell/admin.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/report.h"

enum option_id { OPT_JSON = 1, OPT_FOR, OPT_END, OPT_FORCE, OPT_LOSE_DATA };
enum { ASK_MS = 10000, MAINTENANCE_DEFAULT_S = 3600, NODES_MAX = 4096 };

static const struct arg_option options[] = {
    {"json", 0, NULL, "list: print JSON", OPT_JSON},
    {"for", 0, "TIME", "maintenance: for how long, as 30m or 2h (default: 1h)", OPT_FOR},
    {"end", 0, NULL, "maintenance: it is over", OPT_END},
    {"force", 'f', NULL, "remove: also when copies have not been made elsewhere yet", OPT_FORCE},
    {"lose-data", 0, NULL, "remove: also when it had the newest copy of data, alone",
     OPT_LOSE_DATA},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec spec = {
    .program = "dfs datanode",
    .usage = "list [OPTION]...\n"
             "drain|undrain|remove|maintenance DATANODE|TARGET [OPTION]...",
    .about =
        "list: every target (a disk of a datanode), its state and how many placement groups have\n"
        "a copy there. drain: its copies move to other targets while it goes on serving; when it\n"
        "shows `drained` it may be stopped and removed. undrain: it stays after all. remove: one\n"
        "that is stopped is forgotten. maintenance: it will be back soon; until the time is over\n"
        "nothing is copied because it is away. The name of a datanode means all its targets, a\n"
        "number one target. All but list need a certificate of role admin.",
    .options = options,
    .rest_min = 1,
    .rest_max = 2,
};

struct wish {
    bool list, json, force, lose_data, end;
    uint64_t for_s;
    Dfs__TargetVerb verb;
    char *which;
};

/* ---- list ---- */

/* Placement groups with a copy on this target, in whatever state. */
static unsigned pgs_of(const json_t *report, json_int_t target)
{
    const json_t *pgs = json_object_get(report, "pgs");
    unsigned n = 0;

    for (size_t i = 0; i < json_array_size(pgs); i++) {
        const json_t *members = json_object_get(json_array_get(pgs, i), "members");

        for (size_t k = 0; k < json_array_size(members); k++)
            n += report_number(json_array_get(members, k), "target") == target;
    }
    return n;
}

/* ", 1.5 s where others take 5 ms, back in 4 min at the earliest" */
static void slow_text(const json_t *t, char *out, size_t size)
{
    const json_t *s = json_object_get(t, "slow");
    char p99[STR_SIZE_MAX], peers[STR_SIZE_MAX], left[STR_SIZE_MAX];

    out[0] = '\0';
    if (json_is_object(s))
        (void)snprintf(out, size, ", %s where others take %s, back in %s at the earliest",
                       str_duration((uint64_t)report_number(s, "p99_us") / 1000, p99),
                       str_duration((uint64_t)report_number(s, "peers_us") / 1000, peers),
                       str_duration((uint64_t)report_number(s, "left_s") * 1000, left));
}

/* "active", "drained", "silent, maintenance for 40 min" */
static void state_text(const json_t *t, unsigned pgs, char *out, size_t size)
{
    int64_t left_ns =
        (int64_t)report_number(t, "maintenance_until_ns") - clock_wall_ns(clock_system());
    const char *state = report_text(t, "state");
    char left[STR_SIZE_MAX], slow[160];

    slow_text(t, slow, sizeof(slow));
    if (strcmp(state, "draining") == 0 && pgs == 0)
        state = "drained";
    if (left_ns > 0)
        (void)snprintf(out, size, "%s%s, maintenance for %s", state, slow,
                       str_duration((uint64_t)left_ns / 1000000, left));
    else
        (void)snprintf(out, size, "%s%s", state, slow);
}

/* "scrub 43%, last pass 3 d ago": how far the reading of all data is, and when it was done last. */
static void scrub_text(const json_t *t, char *out, size_t size)
{
    const json_t *s = json_object_get(t, "scrub");
    uint64_t total = (uint64_t)report_number(s, "bytes_total"),
             done = (uint64_t)report_number(s, "bytes_done");
    int64_t ended = (int64_t)report_number(s, "ended_ns");
    int64_t ago = (clock_wall_ns(clock_system()) - ended) / 1000000;
    char since[STR_SIZE_MAX], part[24];

    if (!json_is_object(s)) {
        (void)snprintf(out, size, "no scrub");
        return;
    }
    if (done < total)
        (void)snprintf(part, sizeof(part), "scrub %" PRIu64 "%%, ", done * 100 / total);
    else
        (void)snprintf(part, sizeof(part), "scrub: ");
    if (ended == 0)
        (void)snprintf(out, size, "%sno full pass yet", part);
    else
        (void)snprintf(out, size, "%slast pass %s ago", part,
                       str_duration((uint64_t)MAX(ago, 0), since));
}

static void print_target(const json_t *report, const json_t *t)
{
    uint64_t total = (uint64_t)report_number(t, "bytes_total");
    uint64_t used = total - MIN((uint64_t)report_number(t, "bytes_free"), total);
    unsigned pgs = pgs_of(report, report_number(t, "target"));
    char used_text[STR_SIZE_MAX], total_text[STR_SIZE_MAX], state[320], space[80], scrub[80];
    char place[160];

    if (total == 0)
        (void)snprintf(space, sizeof(space), "not told yet");
    else
        (void)snprintf(space, sizeof(space), "%s of %s (%" PRIu64 "%%)", str_size(used, used_text),
                       str_size(total, total_text), used * 100 / total);
    state_text(t, pgs, state, sizeof(state));
    scrub_text(t, scrub, sizeof(scrub));
    (void)snprintf(place, sizeof(place), "%s%s%s", report_text(t, "rack"),
                   report_text(t, "rack")[0] == '\0' ? "" : "/", report_text(t, "host"));
    printf("%6" JSON_INTEGER_FORMAT "  %-12s %-12s %-21s %-29s %4u PGs %8" JSON_INTEGER_FORMAT
           " chunks  %s; %s\n",
           report_number(t, "target"), report_text(t, "node"), place, report_text(t, "addr"), space,
           pgs, report_number(t, "chunks"), state, scrub);
}

static json_t *list_json(const json_t *report)
{
    const json_t *targets = json_object_get(report, "targets");
    json_t *list = json_array();

    for (size_t i = 0; i < json_array_size(targets); i++) {
        json_t *t = json_deep_copy(json_array_get(targets, i));
        unsigned pgs = pgs_of(report, report_number(t, "target"));

        if (strcmp(report_text(t, "state"), "draining") == 0 && pgs == 0)
            json_object_set_new(t, "state", json_string("drained"));
        json_object_set_new(t, "pgs", json_integer((json_int_t)pgs));
        json_array_append_new(list, t);
    }
    return list;
}

static int get_report(struct client *c, json_t **ret_report)
{
    char *document = NULL;
    int r = client_connect(c);

    if (r != EXIT_OK)
        return r;
    r = dfs_report_json(c->dfs, &document);
    if (r < 0) {
        client_complain(c, "the report", r);
        return client_done(c);
    }
    *ret_report = json_loads(document, 0, NULL);
    free(document);
    return client_done(c);
}

static int list(struct client *c, const struct wish *w)
{
    json_t *report = NULL;
    const json_t *targets;
    int r = get_report(c, &report);

    if (r != EXIT_OK || report == NULL)
        return r != EXIT_OK ? r : EXIT_FAILED;
    targets = json_object_get(report, "targets");
    if (w->json)
        format_json_print(list_json(report));
    for (size_t i = 0; !w->json && i < json_array_size(targets); i++) {
        const json_t *t = json_array_get(targets, i);

        if (strcmp(report_text(t, "state"), "removed") != 0)
            print_target(report, t);
    }
    json_decref(report);
    return EXIT_OK;
}

/* ---- the others ---- */

/* Hosts that can take copies: with a target that is active. */
static unsigned active_hosts(const json_t *report)
{
    const json_t *targets = json_object_get(report, "targets");
    unsigned n = 0;

    for (size_t i = 0; i < json_array_size(targets); i++) {
        const json_t *t = json_array_get(targets, i);
        bool seen = false;

        if (strcmp(report_text(t, "state"), "active") != 0)
            continue;
        for (size_t k = 0; k < i && !seen; k++) {
            const json_t *u = json_array_get(targets, k);

            seen = strcmp(report_text(u, "state"), "active") == 0 &&
                   strcmp(report_text(u, "host"), report_text(t, "host")) == 0;
        }
        n += !seen;
    }
    return n;
}

static void tell_drain(struct client *c, uint32_t pgs)
{
    json_t *report = NULL;

    printf("%" PRIu32 " placement groups move away; `dfs datanode list` shows how far it is\n",
           pgs);
    if (get_report(c, &report) == EXIT_OK && report != NULL &&
        active_hosts(report) < (unsigned)report_number(report, "copies"))
        fprintf(stderr,
                "dfs datanode: %u hosts are left for %" JSON_INTEGER_FORMAT
                " copies: it serves on until another host joins\n",
                active_hosts(report), report_number(report, "copies"));
    json_decref(report);
}

static int ask(struct client *c, const struct wish *w)
{
    Dfs__TargetAdminRequest req = DFS__TARGET_ADMIN_REQUEST__INIT;
    Dfs__TargetAdminReply *reply = NULL;
    ProtobufCMessage *message = NULL;
    char why[ADMIN_WHY_MAX];
    int r;

    req.verb = w->verb;
    req.which = w->which;
    req.force = w->force;
    req.lose_data = w->lose_data;
    req.seconds = w->end ? 0 : w->for_s;
    r = admin_ask(c, MSG_TARGET_ADMIN, &req.base, &dfs__target_admin_reply__descriptor, ASK_MS,
                  &message, why);
    if (r < 0) {
        fprintf(stderr, "dfs datanode: %s\n", why);
        return admin_exit_code(r);
    }
    reply = (Dfs__TargetAdminReply *)message;
    if (w->verb == DFS__TARGET_VERB__TARGET_DRAIN)
        tell_drain(c, reply->pgs);
    protobuf_c_message_free_unpacked(message, NULL);
    return EXIT_OK;
}

static int take_wish(const struct args *a, struct wish *w)
{
    static const struct {
        const char *name;
        Dfs__TargetVerb verb;
    } verbs[] = {
        {"drain", DFS__TARGET_VERB__TARGET_DRAIN},
        {"undrain", DFS__TARGET_VERB__TARGET_UNDRAIN},
        {"remove", DFS__TARGET_VERB__TARGET_REMOVE},
        {"maintenance", DFS__TARGET_VERB__TARGET_MAINTENANCE},
    };
    const char *verb = a->rest[0];

    if (strcmp(verb, "list") == 0 && a->rest_count == 1) {
        w->list = true;
        return EXIT_OK;
    }
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (strcmp(verb, verbs[i].name) != 0)
            continue;
        if (a->rest_count != 2)
            return args_usage_error(&spec, "%s needs a datanode's name or a target's number", verb);
        w->verb = verbs[i].verb;
        w->which = a->rest[1];
        return EXIT_OK;
    }
    return args_usage_error(
        &spec, "expected list, drain, undrain, remove or maintenance, and for all but list which");
}

int cmd_datanode(int argc, char **argv)
{
    struct wish w = {.for_s = MAINTENANCE_DEFAULT_S};
    struct client c;
    struct args a;
    uint64_t ms;
    int opt, r;

    client_init(&c, spec.program);
    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&c, opt, a.value))
            continue;
        if (opt == OPT_JSON)
            w.json = true;
        else if (opt == OPT_END)
            w.end = true;
        else if (opt == OPT_FORCE)
            w.force = true;
        else if (opt == OPT_LOSE_DATA)
            w.lose_data = true;
        else if (opt != OPT_FOR)
            return a.exit_code;
        else if (str_parse_duration_ms(a.value, &ms) < 0 || ms < 1000)
            return args_usage_error(&spec, "--for takes a time as 30m, not '%s'", a.value);
        else
            w.for_s = ms / 1000;
    }
    r = take_wish(&a, &w);
    if (r != EXIT_OK)
        return r;
    return w.list ? list(&c, &w) : ask(&c, &w);
}
