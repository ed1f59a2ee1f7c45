/*
 * dfs fsck: do the metadata agree with each other (fsck_names.c)? --replicas: is each chunk the same at
 * all targets that serve it? --files (fsck_files.c): is each there?
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/args.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/mem.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/frame.h"
#include "shell/admin.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/fsck_files.h"
#include "shell/fsck_names.h"
#include "shell/progress.h"
#include "shell/replicas.h"
#include "shell/report.h"
#include "shell/summary.h"

enum option_id { OPT_REPLICAS = 1, OPT_FILES, OPT_JSON, OPT_REPAIR };
enum {
    PAGE_CHUNKS = 16,
    PAGE_MS = 120000, /* for 16 chunks of 64 MiB from a slow disk */
    TRIES = 3,
    PAUSE_MS = 1000,
    CHUNK_FLAG_DELETED = 1 << 3, /* InventoryItem.flags */
};

static const struct arg_option options[] = {
    {"repair", 0, NULL, "repair the metadata", OPT_REPAIR},
    {"replicas", 'r', NULL, "compare the content of all replicas of all chunks", OPT_REPLICAS},
    {"files", 0, NULL, "look whether each chunk of each file is there", OPT_FILES},
    {"json", 0, NULL, "print JSON", OPT_JSON},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec spec = {
    .program = "dfs fsck",
    .usage = "[--repair] [OPTION]...\n--replicas [OPTION]...\n--files [OPTION]...",
    .about =
        "Checks at each namenode, while the cluster is used, that the metadata agree with each "
        "other: names,\n"
        "inodes, links, directories as a tree, counters, chunk maps. Each finding is explained; "
        "--repair\n"
        "repairs what can be. --replicas: asks each datanode to read all its chunks, and compares "
        "lengths and digests "
        "of the\n"
        "replicas. What differs three times, a second apart, is reported. A block that does\n"
        "not match its checksum is healed from another copy on the way. Reads every byte of the\n"
        "cluster. --files: walks the tree and names each file of which no target has some chunk, "
        "as\n"
        "after a restore of an older backup; reads no content. Exit status: 0 nothing was\n"
        "found, 1 all findings were repaired, 4 findings are left, 8 not all could be checked.",
    .options = options,
};

struct suspect {
    const json_t *pg;
    uint64_t chunk;
};

struct fsck {
    struct client client;
    struct admin *admin;
    json_t *report;
    bool json, files, replicas, repair;
    json_t *differences;

    uint64_t chunk_count, bytes;
    unsigned pg_count, unasked;

    struct suspect *suspects; /* what differed at the last look */
    size_t suspect_count, damaged_count;
    const json_t *pg; /* at hand */
    bool is_first_try, is_last_try;
};

/* ---- inventories ---- */

/* NULL: *ret_status says why. */
static Dfs__InventoryReply *ask_page(struct fsck *f, const char *addr,
                                     const Dfs__InventoryRequest *req, int *ret_status)
{
    ProtobufCMessage *msg = NULL;
    int r = -EIO;

    for (unsigned i = 0; i < TRIES && r != 0; i++) {
        if (i > 0)
            clock_sleep_ms(PAUSE_MS);
        r = admin_call(f->admin, addr, MSG_INVENTORY, &req->base, &dfs__inventory_reply__descriptor,
                       PAGE_MS, &msg);
    }
    *ret_status = r < 0 ? r : -EIO;
    return (Dfs__InventoryReply *)msg;
}

/* Gives how many bytes were read for that. */
static uint64_t take_items(struct replica_list *l, const Dfs__InventoryReply *reply)
{
    uint64_t bytes = 0;

    l->items = mem_realloc(l->items, l->count + reply->n_items + 1, sizeof(*l->items));
    for (size_t i = 0; i < reply->n_items; i++) {
        const Dfs__InventoryItem *it = reply->items[i];

        if ((it->flags & CHUNK_FLAG_DELETED) != 0)
            continue;
        l->items[l->count++] = (struct replica_item){
            .chunk = it->chunk_id, .digest = it->digest, .len = it->len, .bad = it->bad};
        bytes += it->len;
    }
    return bytes;
}

/* The chunks of a group at one target from `first` on: limit of them, or with 0 all. */
static int ask_target(struct fsck *f, const char *addr, uint64_t first, uint32_t limit,
                      struct replica_list *l)
{
    Dfs__InventoryRequest req = DFS__INVENTORY_REQUEST__INIT;
    bool end = false;

    req.pg = (uint32_t)report_number(f->pg, "pg");
    req.target = l->target;
    req.digests = true;
    req.after_chunk = first - 1;
    req.limit = limit == 0 ? PAGE_CHUNKS : limit;
    while (!end) {
        int r;
        Dfs__InventoryReply *reply = ask_page(f, addr, &req, &r);

        if (reply == NULL)
            return r;
        progress_add(f->client.progress, 0, take_items(l, reply));
        end = limit != 0 || reply->end || reply->n_items == 0;
        if (reply->n_items > 0)
            req.after_chunk = reply->items[reply->n_items - 1]->chunk_id;
        dfs__inventory_reply__free_unpacked(reply, NULL);
    }
    return 0;
}

/* Asks all members that serve. Gives how many answered; lists are done by the caller. */
static unsigned ask_members(struct fsck *f, uint64_t first, uint32_t limit,
                            struct replica_list lists[REPLICA_MEMBERS_MAX])
{
    const json_t *members = json_object_get(f->pg, "members");
    unsigned count = 0;

    for (size_t i = 0; i < json_array_size(members) && count < REPLICA_MEMBERS_MAX; i++) {
        const json_t *m = json_array_get(members, i);
        const char *state = json_string_value(json_object_get(m, "state"));
        const char *addr = report_target_addr(f->report, report_number(m, "target"));
        char where[64];
        int r;

        if (state == NULL || strcmp(state, "serving") != 0)
            continue;
        lists[count] = (struct replica_list){.target = (uint32_t)report_number(m, "target")};
        r = addr == NULL ? -EHOSTDOWN : ask_target(f, addr, first, limit, &lists[count]);
        count++;
        if (r == 0)
            continue;
        snprintf(where, sizeof(where), "target %u, placement group %u", lists[count - 1].target,
                 (unsigned)report_number(f->pg, "pg"));
        client_complain_text(&f->client, where, dfs_strerror(r));
        f->unasked++;
        free(lists[--count].items);
    }
    return count;
}

static void lists_done(struct replica_list *lists, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(lists[i].items);
}

/* ---- differences ---- */

static const char *describe(const struct replica_difference *d, unsigned i, char out[96])
{
    if (!d->members[i].present)
        snprintf(out, 96, "absent");
    else if (d->members[i].item.bad)
        snprintf(out, 96, "damaged, %" PRIu32 " bytes", d->members[i].item.len);
    else
        snprintf(out, 96, "%" PRIu32 " bytes, digest %016" PRIx64, d->members[i].item.len,
                 d->members[i].item.digest);
    return out;
}

static void report_difference(struct fsck *f, const struct replica_difference *d)
{
    json_t *members = json_array();
    char text[96];

    if (!f->json)
        printf("chunk %" PRIu64 " of placement group %" JSON_INTEGER_FORMAT " differs:\n", d->chunk,
               report_number(f->pg, "pg"));
    for (unsigned i = 0; i < d->member_count; i++) {
        describe(d, i, text);
        if (!f->json)
            printf("  target %" PRIu32 ": %s\n", d->members[i].target, text);
        json_array_append_new(
            members, json_pack("{s:i, s:s}", "target", (int)d->members[i].target, "state", text));
    }
    json_array_append_new(f->differences,
                          json_pack("{s:I, s:I, s:o}", "chunk", (json_int_t)d->chunk, "pg",
                                    report_number(f->pg, "pg"), "members", members));
}

static bool is_damaged(const struct replica_difference *d)
{
    for (unsigned i = 0; i < d->member_count; i++) {
        if (d->members[i].present && d->members[i].item.bad)
            return true;
    }
    return false;
}

static void on_difference(void *ctx, const struct replica_difference *d)
{
    struct fsck *f = ctx;

    f->suspects = mem_realloc(f->suspects, f->suspect_count + 1, sizeof(*f->suspects));
    f->suspects[f->suspect_count++] = (struct suspect){f->pg, d->chunk};
    if (f->is_first_try)
        f->damaged_count += is_damaged(d);
    if (f->is_last_try) {
        f->damaged_count -= is_damaged(d);
        report_difference(f, d);
    }
}

static void look_at(struct fsck *f, const struct suspect *s)
{
    struct replica_list lists[REPLICA_MEMBERS_MAX];
    unsigned n;

    f->pg = s->pg;
    n = ask_members(f, s->chunk, 1, lists);
    /* A target without this chunk answers with the next one. */
    for (unsigned i = 0; i < n; i++)
        if (lists[i].count > 0 && lists[i].items[0].chunk != s->chunk)
            lists[i].count = 0;
    replicas_compare(lists, n, on_difference, f);
    lists_done(lists, n);
}

/* What is being written may differ for a moment, and what is damaged is being healed: only what still
 * differs later counts. */
static void look_again(struct fsck *f)
{
    f->is_first_try = false;
    for (unsigned try = 1; try < TRIES && f->suspect_count > 0; try++) {
        struct suspect *suspects = STEAL(f->suspects);
        size_t count = f->suspect_count;

        f->suspect_count = 0;
        f->is_last_try = try + 1 == TRIES;
        clock_sleep_ms(PAUSE_MS);
        for (size_t i = 0; i < count; i++)
            look_at(f, &suspects[i]);
        free(suspects);
    }
    free(f->suspects);
}

static void check_pg(struct fsck *f, const json_t *pg)
{
    struct replica_list lists[REPLICA_MEMBERS_MAX];
    unsigned n;

    f->pg = pg;
    n = ask_members(f, 1, 0, lists);
    f->pg_count++;
    for (size_t i = 0; n > 0 && i < lists[0].count; i++)
        f->bytes += lists[0].items[i].len;
    f->chunk_count += n > 0 ? lists[0].count : 0;
    replicas_compare(lists, n, on_difference, f);
    lists_done(lists, n);
    progress_add(f->client.progress, 1, 0);
}

static void check_pgs(struct fsck *f)
{
    const json_t *pgs = json_object_get(f->report, "pgs");

    f->client.progress = progress_new_of(true, "placement group");
    progress_expect(f->client.progress, json_array_size(pgs), 0);
    f->is_first_try = true;
    for (size_t i = 0; i < json_array_size(pgs); i++)
        check_pg(f, json_array_get(pgs, i));
    progress_free(STEAL(f->client.progress));
}

/* ---- the whole ---- */

static int get_report(struct fsck *f)
{
    char *document = NULL;
    int r = dfs_report_json(f->client.dfs, &document);

    if (r < 0)
        return r;
    f->report = json_loads(document, 0, NULL);
    free(document);
    return f->report == NULL ? -EIO : 0;
}

/* True when every copy was there to be compared, and the same. */
static bool tell(struct fsck *f, const struct summary *s)
{
    unsigned lacking = s->degraded + s->unwritable + s->down;
    size_t differ = json_array_size(f->differences);
    bool good = lacking == 0 && differ == 0 && f->unasked == 0;
    char size[32];

    if (f->json) {
        format_json_print(json_pack(
            "{s:b, s:I, s:I, s:i, s:i, s:i, s:I, s:O}", "well", good, "chunks",
            (json_int_t)f->chunk_count, "bytes", (json_int_t)f->bytes, "pgs", (int)f->pg_count,
            "pgs_lacking_copies", (int)lacking, "targets_not_asked", (int)f->unasked, "healed",
            (json_int_t)f->damaged_count, "differences", f->differences));
        return good;
    }
    if (lacking > 0)
        printf("%u of %u placement groups are not fully serving: what serves was compared.\n",
               lacking, s->pg_count);
    if (f->unasked > 0)
        printf("Some copies could not be asked, see above.\n");
    if (f->damaged_count > 0)
        printf("%zu chunk%s had damaged blocks, which were healed from another copy.\n",
               f->damaged_count, f->damaged_count == 1 ? "" : "s");
    printf("%" PRIu64 " chunks (%s) in %u placement groups: %s", f->chunk_count,
           format_bytes(f->bytes, true, size), f->pg_count,
           differ == 0 ? "all replicas that were compared are the same.\n" : "");
    if (differ > 0)
        printf("%zu differ.\n", differ);
    return good;
}

/* What was found counts more than what could not be looked at. */
static int run_replicas(struct fsck *f, const struct summary *s)
{
    bool good;
    int r;

    f->differences = json_array();
    check_pgs(f);
    look_again(f);
    good = tell(f, s);
    r = good ? EXIT_OK : json_array_size(f->differences) > 0 ? FSCK_EXIT_LEFT : FSCK_EXIT_UNCHECKED;
    json_decref(f->differences);
    return r;
}

static int run_files(struct fsck *f)
{
    return fsck_files(&f->client, f->admin, f->report, f->json) ? EXIT_OK : FSCK_EXIT_LEFT;
}

static int run(struct fsck *f)
{
    char why[ADMIN_WHY_MAX], *addrs = NULL;
    struct summary s;
    int r = get_report(f), done;

    if (r == 0)
        r = summary_make(f->report, &s);
    if (r < 0) {
        client_complain(&f->client, "the report", r);
        (void)client_done(&f->client);
        return FSCK_EXIT_UNCHECKED;
    }
    r = admin_open(&f->client, &f->admin, &addrs, why);
    if (r < 0) {
        json_decref(f->report);
        client_complain_text(&f->client, "the cluster", why);
        (void)client_done(&f->client);
        return FSCK_EXIT_UNCHECKED;
    }
    if (f->files)
        r = run_files(f);
    else if (f->replicas)
        r = run_replicas(f, &s);
    else
        r = fsck_names(&f->client, f->admin, addrs, f->repair, f->json);
    free(addrs);
    json_decref(f->report);
    admin_free(f->admin);
    done = client_done(&f->client);
    return r == EXIT_OK && done != EXIT_OK ? FSCK_EXIT_UNCHECKED : r;
}

int cmd_fsck(int argc, char **argv)
{
    struct fsck f = {.json = false};
    struct args a;
    int opt, r;

    client_init(&f.client, spec.program);
    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&f.client, opt, a.value))
            continue;
        if (opt == OPT_REPLICAS)
            f.replicas = true;
        else if (opt == OPT_FILES)
            f.files = true;
        else if (opt == OPT_REPAIR)
            f.repair = true;
        else if (opt == OPT_JSON)
            f.json = true;
        else
            return a.exit_code;
    }
    if (f.replicas + f.files + f.repair > 1)
        return args_usage_error(&spec,
                                "--repair, --replicas and --files are three checks: one at a time");
    r = client_connect(&f.client);
    return r == EXIT_OK ? run(&f) : r;
}
