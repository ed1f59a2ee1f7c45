#include "shell/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/compiler.h"
#include "common/strutil.h"
#include "shell/report.h"

static void PRINTF_LIKE(2, 3) problem(struct summary *s, const char *fmt, ...)
{
    va_list ap;

    if (s->problem_count == SUMMARY_PROBLEMS_MAX)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(s->problems[s->problem_count++], SUMMARY_TEXT_MAX, fmt, ap);
    va_end(ap);
}

/* ---- placement groups ---- */

static bool is_serving(const json_t *member)
{
    return strcmp(report_text(member, "state"), "serving") == 0;
}

/* The last that served stays in its group though it is dead: nobody else may begin again. */
static bool is_away(const json_t *report, const json_t *member)
{
    const char *state = report_target_state(report, report_number(member, "target"));

    return strcmp(state, "silent") == 0 || strcmp(state, "failed") == 0;
}

static unsigned count_serving(const json_t *report, const json_t *pg, bool also_away)
{
    const json_t *members = json_object_get(pg, "members");
    unsigned n = 0;

    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *m = json_array_get(members, i);

        n += is_serving(m) && (also_away || !is_away(report, m));
    }
    return n;
}

/* The first few of a kind, by name. */
struct group_list {
    unsigned count;
    char text[SUMMARY_TEXT_MAX - 128];
};

static void PRINTF_LIKE(2, 3) append(struct group_list *l, const char *fmt, ...)
{
    size_t len = strlen(l->text);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(l->text + len, sizeof(l->text) - len, fmt, ap);
    va_end(ap);
}

/* With those of its targets that serve, or would; after a restore nobody is known to: with all. */
static void name_group(struct group_list *l, const json_t *report, const json_t *pg, bool also_away)
{
    const json_t *members = json_object_get(pg, "members");
    unsigned serving = count_serving(report, pg, also_away), named = 0;
    bool all = serving == 0;

    if (l->count++ >= SUMMARY_GROUPS_MAX)
        return;
    append(l, "%s %" JSON_INTEGER_FORMAT " (target%s", l->count == 1 ? ": group" : ", group",
           report_number(pg, "pg"), serving == 1 ? "" : "s");
    for (size_t i = 0; i < json_array_size(members); i++) {
        const json_t *m = json_array_get(members, i);

        if (all || (is_serving(m) && (also_away || !is_away(report, m))))
            append(l, "%s %" JSON_INTEGER_FORMAT, named++ == 0 ? "" : ",",
                   report_number(m, "target"));
    }
    append(l, ")");
}

static const char *end_list(struct group_list *l)
{
    if (l->count > SUMMARY_GROUPS_MAX)
        append(l, ", and %u more", l->count - SUMMARY_GROUPS_MAX);
    return l->text;
}

struct endangered {
    struct group_list down, last_copy;
};

static void count_pg(const json_t *report, const json_t *pg, struct summary *s,
                     struct endangered *lists)
{
    const json_t *members = json_object_get(pg, "members");
    unsigned serving = count_serving(report, pg, false);

    s->pg_count++;
    if (serving == 0)
        s->down++;
    else if (serving >= report_number(pg, "copies"))
        s->full++;
    else if (serving >= report_number(pg, "min_write"))
        s->degraded++;
    else
        s->unwritable++;
    if (serving == 0)
        name_group(&lists->down, report, pg, true);
    if (serving == 1 && report_number(pg, "copies") > 1)
        name_group(&lists->last_copy, report, pg, false);
    s->last_copy = lists->last_copy.count;
    for (size_t k = 0; k < json_array_size(members); k++)
        s->member_syncing +=
            strcmp(report_text(json_array_get(members, k), "state"), "syncing") == 0;
}

/* In the order of danger. */
static void pg_problems(const json_t *report, struct summary *s)
{
    const json_t *pgs = json_object_get(report, "pgs");
    struct endangered lists = {.down = {.count = 0}};

    for (size_t i = 0; i < json_array_size(pgs); i++)
        count_pg(report, json_array_get(pgs, i), s, &lists);
    if (s->pg_count == 0)
        problem(s, "there are no placement groups yet: too few datanodes have registered");
    if (s->down > 0)
        problem(
            s,
            "%u of %u placement groups are DOWN: no copy serves, their data cannot be read now%s",
            s->down, s->pg_count, end_list(&lists.down));
    if (s->last_copy > 0)
        problem(s, "%u of %u placement groups are served by their LAST COPY%s", s->last_copy,
                s->pg_count, end_list(&lists.last_copy));
    if (s->unwritable > 0)
        problem(s, "%u of %u placement groups cannot be written: too few copies serve",
                s->unwritable, s->pg_count);
    if (s->degraded > 0)
        problem(s, "%u of %u placement groups have fewer copies than wanted", s->degraded,
                s->pg_count);
}

/* ---- the rest ---- */

static void bad_problems(const json_t *bad, struct summary *s)
{
    for (size_t i = 0; i < json_array_size(bad); i++) {
        const json_t *b = json_array_get(bad, i);

        s->bad_blocks++;
        if (json_is_true(json_object_get(b, "healed"))) {
            s->bad_healed++;
            continue;
        }
        problem(s,
                "chunk %" JSON_INTEGER_FORMAT " on target %" JSON_INTEGER_FORMAT
                " is damaged (block %" JSON_INTEGER_FORMAT ": %s)",
                report_number(b, "chunk"), report_number(b, "target"), report_number(b, "block"),
                report_text(b, "what"));
    }
}

static void slow_problem(const json_t *t, struct summary *s)
{
    const json_t *slow = json_object_get(t, "slow");
    char p99[STR_SIZE_MAX], peers[STR_SIZE_MAX], left[STR_SIZE_MAX];

    problem(s,
            "target %" JSON_INTEGER_FORMAT " (datanode %s, %s) is kept out for its slowness: %s "
            "where others take %s; it may be back in %s, or at once if it is restarted",
            report_number(t, "target"), report_text(t, "node"), report_text(t, "addr"),
            str_duration((uint64_t)report_number(slow, "p99_us") / 1000, p99),
            str_duration((uint64_t)report_number(slow, "peers_us") / 1000, peers),
            str_duration((uint64_t)report_number(slow, "left_s") * 1000, left));
}

static void target_problems(const json_t *targets, struct summary *s)
{
    for (size_t i = 0; i < json_array_size(targets); i++) {
        const json_t *t = json_array_get(targets, i);
        const char *state = report_text(t, "state");

        if (strcmp(state, "removed") == 0)
            continue;
        s->target_count++;
        s->targets_draining += strcmp(state, "draining") == 0;
        s->targets_silent += strcmp(state, "silent") == 0;
        s->targets_failed += strcmp(state, "failed") == 0;
        if (strcmp(state, "silent") == 0 || strcmp(state, "failed") == 0)
            problem(s, "target %" JSON_INTEGER_FORMAT " (datanode %s, %s) %s",
                    report_number(t, "target"), report_text(t, "node"), report_text(t, "addr"),
                    state[0] == 's' ? "is silent" : "has failed: its disk");
        else if (strcmp(state, "slow") == 0)
            slow_problem(t, s);
        else if (report_number(t, "bytes_free") < report_number(t, "bytes_total") / 10)
            problem(s,
                    "target %" JSON_INTEGER_FORMAT " (datanode %s, %s) is nearly full: no new data "
                    "goes to its placement groups",
                    report_number(t, "target"), report_text(t, "node"), report_text(t, "addr"));
    }
}

/* What a release of this number brought (namenode/fsm.h) waits for the slowest. */
static int64_t newest_format(const json_t *namenodes)
{
    int64_t newest = 0;

    for (size_t i = 0; i < json_array_size(namenodes); i++)
        newest = MAX(newest, report_number(json_array_get(namenodes, i), "format"));
    return newest;
}

static void namenode_problems(const json_t *namenodes, int64_t format, struct summary *s)
{
    int64_t newest = newest_format(namenodes);

    for (size_t i = 0; i < json_array_size(namenodes); i++) {
        const json_t *n = json_array_get(namenodes, i);

        s->namenode_count++;
        if (json_is_true(json_object_get(n, "short_of_space")))
            problem(s,
                    "the disk of namenode %" JSON_INTEGER_FORMAT " (%s) is nearly full: only "
                    "deleting is allowed",
                    report_number(n, "id"), report_text(n, "addr"));
        if (report_text(n, "problem")[0] != '\0')
            problem(s, "namenode %" JSON_INTEGER_FORMAT " (%s): %s", report_number(n, "id"),
                    report_text(n, "addr"), report_text(n, "problem"));
        if (json_is_true(json_object_get(n, "alive"))) {
            if (format < newest && report_number(n, "format") < newest)
                problem(s,
                        "namenode %" JSON_INTEGER_FORMAT " (%s) runs an older release: quotas and "
                        "what else is new wait for it",
                        report_number(n, "id"), report_text(n, "addr"));
            continue;
        }
        s->namenodes_down++;
        problem(s, "namenode %" JSON_INTEGER_FORMAT " (%s) is down", report_number(n, "id"),
                report_text(n, "addr"));
    }
}

static void make_verdict(struct summary *s)
{
    unsigned under = s->degraded + s->unwritable + s->down;

    if (s->pg_count == 0)
        snprintf(s->verdict, sizeof(s->verdict), "No data can be stored yet.");
    else if (s->down > 0)
        snprintf(s->verdict, sizeof(s->verdict),
                 "Data in %u placement group%s cannot be read; %u in all lack copies.", s->down,
                 s->down == 1 ? "" : "s", under);
    else if (under > 0)
        snprintf(s->verdict, sizeof(s->verdict),
                 "Data in %u placement group%s %s endangered: one more failure %s.", under,
                 under == 1 ? "" : "s", under == 1 ? "is" : "are",
                 s->last_copy > 0 ? "may lose it" : "may stop writes");
    else if (s->bad_blocks > s->bad_healed)
        snprintf(s->verdict, sizeof(s->verdict),
                 "All data is there, but %u damaged block%s not healed yet.",
                 s->bad_blocks - s->bad_healed,
                 s->bad_blocks - s->bad_healed == 1 ? " is" : "s are");
    else if (s->problem_count > 0)
        snprintf(s->verdict, sizeof(s->verdict),
                 "All data is fully replicated, but %u part%s of the cluster %s attention.",
                 s->problem_count, s->problem_count == 1 ? "" : "s",
                 s->problem_count == 1 ? "needs" : "need");
    else
        snprintf(s->verdict, sizeof(s->verdict), "All data is fully replicated.");
}

int summary_make(const json_t *report, struct summary *ret_summary)
{
    struct summary s = {.serving = json_is_true(json_object_get(report, "serving"))};
    const json_t *syncing = json_object_get(report, "syncing");

    if (!json_is_array(json_object_get(report, "pgs")) ||
        !json_is_array(json_object_get(report, "targets")))
        return -EINVAL;
    for (size_t i = 0; i < json_array_size(syncing); i++) {
        const json_t *p = json_array_get(syncing, i);

        s.sync_done += (uint64_t)report_number(p, "bytes_done");
        s.sync_total += (uint64_t)report_number(p, "bytes_total");
        s.sync_rate += (uint64_t)report_number(p, "bytes_per_s");
    }
    if (!s.serving)
        problem(&s, "the namenodes do not serve");
    pg_problems(report, &s);
    bad_problems(json_object_get(report, "bad_blocks"), &s);
    target_problems(json_object_get(report, "targets"), &s);
    namenode_problems(json_object_get(report, "namenodes"), report_number(report, "format"), &s);
    make_verdict(&s);
    *ret_summary = s;
    return 0;
}
