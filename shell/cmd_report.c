/* dfs report: the whole cluster in one screen, what is in danger first. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/strutil.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/report.h"
#include "shell/summary.h"

enum option_id { OPT_JSON = 1, OPT_WATCH };
enum { TARGETS_SHOWN = 40, WATCH_S_MAX = 86400 };

static const struct arg_option options[] = {
    {"json", 0, NULL, "print JSON", OPT_JSON},
    {"watch", 'w', "SECONDS", "show it again every SECONDS, until interrupted", OPT_WATCH},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec spec = {
    .program = "dfs report",
    .usage = "[OPTION]...",
    .about = "Shows how the cluster is: what is wrong first, then namenodes, datanodes and data.\n"
             "The last line is the verdict. Exit status 0 when all is well, 1 otherwise.",
    .options = options,
};

static void print_problems(const struct summary *s)
{
    for (unsigned i = 0; i < s->problem_count; i++)
        printf("! %s\n", s->problems[i]);
    if (s->problem_count > 0)
        putchar('\n');
}

static void print_namenodes(const json_t *report)
{
    const json_t *list = json_object_get(report, "namenodes");
    char ago[STR_SIZE_MAX];

    printf("Namenodes (term %" JSON_INTEGER_FORMAT ", log entry %" JSON_INTEGER_FORMAT ")\n",
           report_number(report, "term"), report_number(report, "commit_index"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *n = json_array_get(list, i);

        printf("  %3" JSON_INTEGER_FORMAT "  %-21s %-11s", report_number(n, "id"),
               report_text(n, "addr"), report_text(n, "role"));
        if (!json_is_true(json_object_get(n, "alive")))
            printf(" last heard %s ago\n",
                   str_duration((uint64_t)report_number(n, "heard_ms"), ago));
        else if (json_is_true(json_object_get(n, "needs_snapshot")))
            printf(" fetches the metadata anew\n");
        else if (report_number(n, "lag") == 0)
            printf(" in step\n");
        else
            printf(" %" JSON_INTEGER_FORMAT " entries behind\n", report_number(n, "lag"));
    }
    if (json_is_true(json_object_get(report, "converting")))
        printf("  what an earlier release stored is being rewritten, in the background\n");
}

static void print_targets(const json_t *report, const struct summary *s)
{
    const json_t *list = json_object_get(report, "targets");
    size_t shown = 0;

    printf("\nDatanodes: %u target%s\n", s->target_count, s->target_count == 1 ? "" : "s");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i);
        uint64_t total = (uint64_t)report_number(t, "bytes_total");
        uint64_t used = total - MIN((uint64_t)report_number(t, "bytes_free"), total);
        char used_text[STR_SIZE_MAX], total_text[STR_SIZE_MAX];

        if (strcmp(report_text(t, "state"), "removed") == 0)
            continue;
        if (shown++ == TARGETS_SHOWN && json_array_size(list) > TARGETS_SHOWN + 1) {
            printf("  ... and %zu more (dfs report --json shows all)\n", json_array_size(list) - i);
            break;
        }
        printf("  %3" JSON_INTEGER_FORMAT "  %-21s %-12s %-9s %10s of %10s (%2" PRIu64
               "%%) %8" JSON_INTEGER_FORMAT " chunks\n",
               report_number(t, "target"), report_text(t, "addr"), report_text(t, "node"),
               report_text(t, "state"), str_size(used, used_text), str_size(total, total_text),
               total == 0 ? 0 : used * 100 / total, report_number(t, "chunks"));
    }
}

static void print_pgs(const struct summary *s)
{
    char done[STR_SIZE_MAX], total[STR_SIZE_MAX], left[STR_SIZE_MAX], per_s[STR_SIZE_MAX];

    printf("\nPlacement groups: %u\n  fully serving %u, degraded %u, not writable %u, down %u\n",
           s->pg_count, s->full, s->degraded, s->unwritable, s->down);
    if (s->member_syncing == 0 && s->sync_total == 0)
        return;
    printf("  %u cop%s being brought up to date: %s of %s", s->member_syncing,
           s->member_syncing == 1 ? "y is" : "ies are", str_size(s->sync_done, done),
           str_size(s->sync_total, total));
    if (s->sync_rate > 0 && s->sync_total > s->sync_done)
        printf(", %s/s, %s left", str_size(s->sync_rate, per_s),
               str_duration((s->sync_total - s->sync_done) * 1000 / s->sync_rate, left));
    putchar('\n');
}

static void print_data(const json_t *report, const struct summary *s)
{
    uint64_t total = (uint64_t)report_number(report, "bytes_total");
    uint64_t used = total - MIN((uint64_t)report_number(report, "bytes_free"), total);
    char used_text[STR_SIZE_MAX], total_text[STR_SIZE_MAX];

    printf("\nData\n  %s of %s used (%" PRIu64 "%%), %" JSON_INTEGER_FORMAT
           " inodes, %" JSON_INTEGER_FORMAT " chunks in %" JSON_INTEGER_FORMAT " copies\n",
           str_size(used, used_text), str_size(total, total_text),
           total == 0 ? 0 : used * 100 / total, report_number(report, "inodes"),
           report_number(report, "chunks"), report_number(report, "copies"));
    printf("  garbage: %" JSON_INTEGER_FORMAT " chunks, %" JSON_INTEGER_FORMAT
           " removed files; sessions: %" JSON_INTEGER_FORMAT "; damaged blocks: %u, %u healed\n",
           report_number(report, "garbage_chunks"), report_number(report, "reaping_inodes"),
           report_number(report, "sessions"), s->bad_blocks, s->bad_healed);
}

/* The report with a summary beside it, for programs. */
static void print_json(json_t *report, const struct summary *s)
{
    json_t *problems = json_array();

    for (unsigned i = 0; i < s->problem_count; i++)
        json_array_append_new(problems, json_string(s->problems[i]));
    json_object_set_new(
        report, "summary",
        json_pack("{s:b, s:s, s:o, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I}", "well",
                  s->problem_count == 0, "verdict", s->verdict, "problems", problems, "pgs_full",
                  (int)s->full, "pgs_degraded", (int)s->degraded, "pgs_unwritable",
                  (int)s->unwritable, "pgs_down", (int)s->down, "members_syncing",
                  (int)s->member_syncing, "sync_bytes_done", (json_int_t)s->sync_done,
                  "sync_bytes_total", (json_int_t)s->sync_total, "sync_bytes_per_s",
                  (json_int_t)s->sync_rate));
    format_json_print(json_incref(report));
}

static int ask(struct client *c, json_t **ret_report, struct summary *ret_summary)
{
    char *document = NULL;
    int r = dfs_report_json(c->dfs, &document);

    if (r < 0)
        return r;
    *ret_report = json_loads(document, 0, NULL);
    free(document);
    r = *ret_report == NULL ? -EIO : summary_make(*ret_report, ret_summary);
    if (r < 0)
        json_decref(*ret_report);
    return r;
}

/* 0, 1 when something is wrong, or -errno. */
static int show(struct client *c, bool json)
{
    struct summary s;
    json_t *report;
    int r = ask(c, &report, &s);

    if (r < 0)
        return r;
    if (json) {
        print_json(report, &s);
    } else {
        print_problems(&s);
        print_namenodes(report);
        print_targets(report, &s);
        print_pgs(&s);
        print_data(report, &s);
        printf("\n%s\n", s.verdict);
    }
    json_decref(report);
    return s.problem_count > 0;
}

int cmd_report(int argc, char **argv)
{
    uint64_t watch_s = 0;
    bool json = false;
    struct client c;
    struct args a;
    int opt, r, code;

    client_init(&c, spec.program);
    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&c, opt, a.value))
            continue;
        if (opt == OPT_JSON)
            json = true;
        else if (opt != OPT_WATCH)
            return a.exit_code;
        else if (str_parse_u64(a.value, &watch_s) < 0 || watch_s < 1 || watch_s > WATCH_S_MAX)
            return args_usage_error(&spec, "--watch takes seconds, from 1 on, not '%s'", a.value);
    }
    r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    for (;;) {
        if (watch_s > 0 && isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout);
        r = show(&c, json);
        if (watch_s == 0 || r < 0 || fflush(stdout) != 0)
            break;
        clock_sleep_ms((unsigned)watch_s * 1000);
    }
    if (r < 0)
        client_complain(&c, "the report", r);
    code = client_done(&c);
    return r > 0 ? EXIT_FAILED : code;
}
