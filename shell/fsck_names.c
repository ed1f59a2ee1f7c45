#include "shell/fsck_names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/mem.h"
#include "rpc/frame.h"
#include "rpc/node.pb-c.h"
#include "shell/admin.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/namenodes.h"
#include "shell/progress.h"

enum {
    ASK_MS = 30000,
    POLL_MS = 100,
    TRIES = 3, /* until namenodes that are told apart agree: files come and go between walks */
    ROUNDS_MAX = 10, /* of repairs: what one uncovers the next one mends */
};

/* What one namenode has found. */
struct check {
    uint64_t id;
    char *addr;
    bool is_leader, is_done;
    uint64_t walk, index, inodes, entries, chunks, finding_count;
    bool usage_left_out;
    Dfs__FsckReply **pages; /* with the findings */
    size_t page_count;
};

struct fsck_names {
    struct client *client;
    struct admin *admin;
    const char *addrs;
    bool json;
    struct check *checks;
    size_t count;
    unsigned unchecked;
    uint64_t repaired;
};

/* ---- one namenode ---- */

static void check_clear(struct check *k)
{
    for (size_t i = 0; i < k->page_count; i++)
        dfs__fsck_reply__free_unpacked(k->pages[i], NULL);
    free(k->pages);
    k->pages = NULL;
    k->page_count = 0;
    k->is_done = false;
}

static int ask(struct fsck_names *f, const struct check *k, Dfs__FsckVerb verb, uint32_t after,
               Dfs__FsckReply **ret_reply)
{
    Dfs__FsckRequest req = DFS__FSCK_REQUEST__INIT;

    req.verb = verb;
    req.walk = k->walk;
    req.after = after;
    return admin_call(f->admin, k->addr, MSG_FSCK, &req.base, &dfs__fsck_reply__descriptor, ASK_MS,
                      (ProtobufCMessage **)ret_reply);
}

static void show(struct fsck_names *f, const Dfs__FsckReply *m, uint64_t *shown)
{
    progress_expect(f->client->progress, m->total, 0);
    if (m->done > *shown)
        progress_add(f->client->progress, m->done - *shown, 0);
    *shown = MAX(*shown, m->done);
}

/* Until it is in another state than `busy`; *ret_last is the first page of what it then says. */
static int wait_for(struct fsck_names *f, const struct check *k, Dfs__FsckState busy,
                    Dfs__FsckReply **ret_last)
{
    uint64_t shown = 0;

    for (;;) {
        Dfs__FsckReply *m = NULL;
        int r = ask(f, k, DFS__FSCK_VERB__FSCK_LOOK, 0, &m);

        if (r < 0)
            return r;
        if (m->state != busy) {
            *ret_last = m;
            return 0;
        }
        show(f, m, &shown);
        dfs__fsck_reply__free_unpacked(m, NULL);
        clock_sleep_ms(POLL_MS);
    }
}

static void take_page(struct check *k, Dfs__FsckReply *m)
{
    k->pages = mem_realloc(k->pages, k->page_count + 1, sizeof(Dfs__FsckReply *));
    k->pages[k->page_count++] = m;
}

/* Takes the first page, and asks for the others. */
static int take_findings(struct fsck_names *f, struct check *k, Dfs__FsckReply *m)
{
    uint32_t after = 0;

    for (;;) {
        bool end = m->end || m->n_findings == 0;
        int r;

        after += (uint32_t)m->n_findings;
        take_page(k, m);
        if (end)
            return 0;
        m = NULL;
        r = ask(f, k, DFS__FSCK_VERB__FSCK_LOOK, after, &m);
        if (r < 0)
            return r;
    }
}

static int check_walk(struct fsck_names *f, struct check *k)
{
    Dfs__FsckReply *m = NULL;
    int r;

    check_clear(k);
    r = ask(f, k, DFS__FSCK_VERB__FSCK_BEGIN, 0, &m);
    if (r < 0)
        return r;
    k->walk = m->walk;
    dfs__fsck_reply__free_unpacked(m, NULL);
    r = wait_for(f, k, DFS__FSCK_STATE__FSCK_STATE_WALKING, &m);
    if (r < 0)
        return r;
    if (m->state == DFS__FSCK_STATE__FSCK_STATE_FAILED) {
        r = m->error < 0 ? m->error : -EIO;
        dfs__fsck_reply__free_unpacked(m, NULL);
        return r;
    }
    k->index = m->index;
    k->inodes = m->inodes;
    k->entries = m->entries;
    k->chunks = m->chunks;
    k->finding_count = m->finding_count;
    k->usage_left_out = m->usage_left_out;
    r = take_findings(f, k, m);
    k->is_done = r == 0;
    return r;
}

static void complain(struct fsck_names *f, const struct check *k, int error)
{
    char where[128], why[ADMIN_WHY_MAX];
    const char *said = admin_error_text(f->admin);

    (void)snprintf(where, sizeof(where), "namenode %" PRIu64 " at %s", k->id, k->addr);
    if (error == -EPROTO || error == DFS_EPROTO)
        (void)snprintf(why, sizeof(why), "cannot check: it runs an older release");
    else
        (void)snprintf(why, sizeof(why), "not checked: %s",
                       said[0] != '\0' ? said : dfs_strerror(error));
    client_complain_text(f->client, where, why);
    f->unchecked++;
}

static int check_run(struct fsck_names *f, struct check *k)
{
    int r;

    f->client->progress = progress_new_of(true, "metadata record");
    r = check_walk(f, k);
    progress_free(STEAL(f->client->progress));
    return r;
}

/* ---- all of them ---- */

static void checks_done(struct fsck_names *f)
{
    for (size_t i = 0; i < f->count; i++) {
        check_clear(&f->checks[i]);
        free(f->checks[i].addr);
    }
    free(f->checks);
    f->checks = NULL;
    f->count = 0;
}

/* Who there is, the leader first. */
static int checks_new(struct fsck_names *f)
{
    Dfs__ReportReply *report = NULL;
    int r = namenodes_report(f->admin, f->addrs, &report);

    if (r < 0)
        return r;
    checks_done(f);
    f->checks = mem_zalloc(report->n_namenodes + 1, sizeof(*f->checks));
    for (int leaders = 1; leaders >= 0; leaders--) {
        for (size_t i = 0; i < report->n_namenodes; i++) {
            const Dfs__NamenodeInfo *n = report->namenodes[i];
            bool leads = n->replica_id == report->leader_id;

            if (leads == (leaders == 1))
                f->checks[f->count++] = (struct check){
                    .id = n->replica_id, .addr = mem_strdup(n->addr), .is_leader = leads};
        }
    }
    dfs__report_reply__free_unpacked(report, NULL);
    return 0;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Which findings they are, without what changes as the file system is used. */
static char *digest(const struct check *k)
{
    char **lines, *text = mem_strdup("");
    size_t n = 0;

    for (size_t i = 0; i < k->page_count; i++)
        n += k->pages[i]->n_findings;
    lines = mem_zalloc(n + 1, sizeof(*lines));
    n = 0;
    for (size_t i = 0; i < k->page_count; i++) {
        for (size_t j = 0; j < k->pages[i]->n_findings; j++)
            lines[n++] = mem_printf("%s %" PRIu64, k->pages[i]->findings[j]->kind,
                                    k->pages[i]->findings[j]->ino);
    }
    qsort(lines, n, sizeof(*lines), compare_texts);
    for (size_t i = 0; i < n; i++) {
        char *more = mem_printf("%s%s\n", text, lines[i]);

        free(text);
        free(lines[i]);
        text = more;
    }
    free(lines);
    return text;
}

/* Whether all that were checked have found the same. */
static bool agree(const struct fsck_names *f)
{
    char *first = NULL;
    bool same = true;

    for (size_t i = 0; i < f->count; i++) {
        char *text;

        if (!f->checks[i].is_done)
            continue;
        text = digest(&f->checks[i]);
        same = same && (first == NULL || strcmp(first, text) == 0);
        if (first == NULL)
            first = text;
        else
            free(text);
    }
    free(first);
    return same;
}

static int check_all(struct fsck_names *f, bool *ret_agree)
{
    *ret_agree = false;
    for (unsigned try = 0; try < TRIES && !*ret_agree; try++) {
        int r = checks_new(f);

        if (r < 0)
            return r;
        f->unchecked = 0;
        for (size_t i = 0; i < f->count; i++) {
            r = check_run(f, &f->checks[i]);
            if (r < 0)
                complain(f, &f->checks[i], r);
        }
        *ret_agree = agree(f);
    }
    return 0;
}

/* ---- repairs ---- */

static uint64_t repairable(const struct check *k)
{
    uint64_t n = 0;

    for (size_t i = 0; i < k->page_count; i++) {
        for (size_t j = 0; j < k->pages[i]->n_findings; j++)
            n += k->pages[i]->findings[j]->can_repair ? 1 : 0;
    }
    return n;
}

static uint64_t count_repaired(const struct check *k)
{
    uint64_t n = 0;

    for (size_t i = 0; i < k->page_count; i++) {
        for (size_t j = 0; j < k->pages[i]->n_findings; j++)
            n += k->pages[i]->findings[j]->outcome == DFS__FSCK_OUTCOME__FSCK_REPAIRED ? 1 : 0;
    }
    return n;
}

static void tell_repairs(const struct check *k)
{
    for (size_t i = 0; i < k->page_count; i++) {
        for (size_t j = 0; j < k->pages[i]->n_findings; j++) {
            const Dfs__FsckFinding *m = k->pages[i]->findings[j];

            if (m->outcome == DFS__FSCK_OUTCOME__FSCK_REPAIRED)
                printf("repaired: %s: %s\n", m->kind, m->detail);
            else if (m->outcome == DFS__FSCK_OUTCOME__FSCK_REFUSED)
                printf("not repaired: %s: %s: %s\n", m->kind, m->detail,
                       m->error == -ENOTDIR
                           ? "/lost+found is no directory: give it another name, and repair again"
                           : dfs_strerror(m->error));
        }
    }
}

/* One round at the leader; *ret_count of what was mended. */
static int repair_round(struct fsck_names *f, struct check *k, uint64_t *ret_count)
{
    Dfs__FsckReply *m = NULL;
    int r = check_walk(f, k);

    *ret_count = 0;
    if (r < 0 || repairable(k) == 0)
        return r;
    r = ask(f, k, DFS__FSCK_VERB__FSCK_REPAIR, 0, &m);
    if (r < 0)
        return r;
    dfs__fsck_reply__free_unpacked(m, NULL);
    r = wait_for(f, k, DFS__FSCK_STATE__FSCK_STATE_REPAIRING, &m);
    if (r < 0)
        return r;
    check_clear(k);
    r = m->error;
    if (take_findings(f, k, m) < 0)
        return -EIO;
    *ret_count = count_repaired(k);
    if (!f->json)
        tell_repairs(k);
    return r;
}

/* The leader may go while it repairs: the next one walks anew, and finds what is left. */
static int repair_all(struct fsck_names *f)
{
    int r = 0;

    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        uint64_t n = 0;

        r = checks_new(f);
        if (r < 0 || f->count == 0)
            return r;
        f->client->progress = progress_new_of(true, "metadata record");
        r = repair_round(f, &f->checks[0], &n);
        progress_free(STEAL(f->client->progress));
        f->repaired += n;
        if (r == -EOPNOTSUPP || (r == 0 && n == 0))
            return r;
    }
    return r;
}

/* ---- what is told ---- */

static const char *outcome_word(Dfs__FsckOutcome o)
{
    switch (o) {
    case DFS__FSCK_OUTCOME__FSCK_REPAIRED:
        return "repaired";
    case DFS__FSCK_OUTCOME__FSCK_NOT_NEEDED:
        return "not needed";
    case DFS__FSCK_OUTCOME__FSCK_REFUSED:
        return "refused";
    case DFS__FSCK_OUTCOME__FSCK_LEFT:
    case _DFS__FSCK_OUTCOME_IS_INT_SIZE:
        break;
    }
    return "left";
}

static void path_text(const Dfs__FsckFinding *m, char out[1100])
{
    (void)snprintf(out, 1100, "%.*s", (int)m->path.len, (const char *)m->path.data);
}

static void tell_finding(const Dfs__FsckFinding *m)
{
    char path[1100];

    path_text(m, path);
    if (path[0] != '\0') {
        format_name(stdout, path, isatty(STDOUT_FILENO));
        printf(": ");
    }
    printf("%s: %s.\n  %s\n  %s%s\n", m->kind, m->detail, m->meaning,
           m->can_repair ? "--repair: " : "", m->repair);
}

static json_t *finding_json(const Dfs__FsckFinding *m)
{
    char path[1100];

    path_text(m, path);
    return json_pack("{s:s, s:I, s:o, s:s, s:s, s:s, s:b, s:s}", "kind", m->kind, "ino",
                     (json_int_t)m->ino, "path",
                     path[0] != '\0' ? format_json_name(path) : json_null(), "detail", m->detail,
                     "meaning", m->meaning, "repair", m->repair, "can_repair", m->can_repair,
                     "outcome", outcome_word(m->outcome));
}

static uint64_t left_at(const struct fsck_names *f)
{
    uint64_t left = 0;

    for (size_t i = 0; i < f->count; i++)
        left = MAX(left, f->checks[i].is_done ? f->checks[i].finding_count : 0);
    return left;
}

static void tell_json(const struct fsck_names *f, bool all_agree)
{
    json_t *namenodes = json_array();

    for (size_t i = 0; i < f->count; i++) {
        const struct check *k = &f->checks[i];
        json_t *findings = json_array();

        for (size_t p = 0; p < k->page_count; p++) {
            for (size_t j = 0; j < k->pages[p]->n_findings; j++)
                json_array_append_new(findings, finding_json(k->pages[p]->findings[j]));
        }
        json_array_append_new(
            namenodes,
            json_pack("{s:I, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "id", (json_int_t)k->id,
                      "addr", k->addr, "leader", k->is_leader, "checked", k->is_done, "index",
                      (json_int_t)k->index, "inodes", (json_int_t)k->inodes, "entries",
                      (json_int_t)k->entries, "chunks", (json_int_t)k->chunks, "finding_count",
                      (json_int_t)k->finding_count, "findings", findings));
    }
    format_json_print(json_pack("{s:b, s:I, s:I, s:b, s:o}", "well",
                                left_at(f) == 0 && f->unchecked == 0, "repaired",
                                (json_int_t)f->repaired, "left", (json_int_t)left_at(f),
                                "namenodes_agree", all_agree, "namenodes", namenodes));
}

static void tell_check(const struct check *k)
{
    for (size_t i = 0; i < k->page_count; i++) {
        for (size_t j = 0; j < k->pages[i]->n_findings; j++)
            tell_finding(k->pages[i]->findings[j]);
    }
    if (k->usage_left_out)
        printf("What lies below each directory was not compared: that comes when the rest is "
               "repaired.\n");
    printf("namenode %" PRIu64 " (%s): %" PRIu64 " inodes, %" PRIu64 " names, %" PRIu64 " chunks: ",
           k->id, k->addr, k->inodes, k->entries, k->chunks);
    if (k->finding_count == 0)
        printf("no findings.\n");
    else
        printf("%" PRIu64 " finding%s.\n", k->finding_count, k->finding_count == 1 ? "" : "s");
}

static void tell_text(const struct fsck_names *f, bool all_agree)
{
    bool first = true;

    for (size_t i = 0; i < f->count; i++) {
        if (!f->checks[i].is_done)
            continue;
        if (first || !all_agree)
            tell_check(&f->checks[i]);
        else
            printf("namenode %" PRIu64 " (%s): the same.\n", f->checks[i].id, f->checks[i].addr);
        first = false;
    }
    if (!all_agree)
        printf("The namenodes differ: at least one of them has a damaged store, and nothing is "
               "repaired. Have the one with\nthe findings fetch the metadata anew from the others: "
               "stop it, remove db-* from its directory, start it.\n");
    if (f->repaired > 0)
        printf("%" PRIu64 " repaired, %" PRIu64 " left.\n", f->repaired, left_at(f));
}

static int exit_code(const struct fsck_names *f)
{
    if (left_at(f) > 0)
        return FSCK_EXIT_LEFT;
    if (f->unchecked > 0)
        return FSCK_EXIT_UNCHECKED;
    return f->repaired > 0 ? FSCK_EXIT_REPAIRED : EXIT_OK;
}

int fsck_names(struct client *c, struct admin *admin, const char *addrs, bool repair, bool json)
{
    struct fsck_names f = {.client = c, .admin = admin, .addrs = addrs, .json = json};
    bool all_agree = false;
    int r = check_all(&f, &all_agree), repair_error = 0;

    if (r == 0 && repair && all_agree && left_at(&f) > 0) {
        repair_error = repair_all(&f);
        r = check_all(&f, &all_agree);
    }
    if (r < 0) {
        client_complain(c, "the namenodes", r);
        checks_done(&f);
        return FSCK_EXIT_UNCHECKED;
    }
    if (repair_error < 0)
        client_complain_text(c, "the repair",
                             repair_error == -EOPNOTSUPP ? CLIENT_TOO_OLD
                                                         : dfs_strerror(repair_error));
    if (json)
        tell_json(&f, all_agree);
    else
        tell_text(&f, all_agree);
    r = exit_code(&f);
    checks_done(&f);
    return r;
}
