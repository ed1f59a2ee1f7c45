#include "shell/fsck_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uthash.h>

#include "common/error.h"
#include "common/mem.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/frame.h"
#include "shell/admin.h"
#include "shell/client.h"
#include "shell/format.h"
#include "shell/place.h"
#include "shell/progress.h"
#include "shell/report.h"
#include "shell/walk.h"

enum {
    PAGE_CHUNKS = 4096,
    ASK_MS = 10000,
    CHUNK_FLAG_INCOMPLETE = 1 << 1, /* InventoryItem.flags */
    CHUNK_FLAG_DELETED = 1 << 3,
};

/* What one target says it holds of a placement group, ids ascending. */
struct group {
    uint32_t pg;
    bool is_known; /* somebody answered */
    uint64_t *chunks;
    size_t count;
    UT_hash_handle hh;
};

struct fsck_files {
    struct client *client;
    struct admin *admin;
    const json_t *report;
    struct group *groups;
    json_t *array; /* NULL: text */
    uint64_t file_count, chunk_count, lacking_count, unknown_count;
    uint64_t chunks, missing, unknown; /* of the file at hand */
};

/* ---- what is there ---- */

static void take_items(struct group *g, const Dfs__InventoryReply *reply)
{
    g->chunks = mem_realloc(g->chunks, g->count + reply->n_items + 1, sizeof(*g->chunks));
    for (size_t i = 0; i < reply->n_items; i++) {
        const Dfs__InventoryItem *it = reply->items[i];

        if ((it->flags & (CHUNK_FLAG_DELETED | CHUNK_FLAG_INCOMPLETE)) == 0)
            g->chunks[g->count++] = it->chunk_id;
    }
}

static int ask_target(struct fsck_files *f, const char *addr, uint32_t target, struct group *g)
{
    Dfs__InventoryRequest req = DFS__INVENTORY_REQUEST__INIT;
    bool end = false;

    g->count = 0;
    req.pg = g->pg;
    req.target = target;
    req.limit = PAGE_CHUNKS;
    while (!end) {
        ProtobufCMessage *msg = NULL;
        const Dfs__InventoryReply *reply;
        int r = admin_call(f->admin, addr, MSG_INVENTORY, &req.base,
                           &dfs__inventory_reply__descriptor, ASK_MS, &msg);

        if (r < 0)
            return r;
        reply = (const Dfs__InventoryReply *)msg;
        take_items(g, reply);
        end = reply->end || reply->n_items == 0;
        if (reply->n_items > 0)
            req.after_chunk = reply->items[reply->n_items - 1]->chunk_id;
        protobuf_c_message_free_unpacked(msg, NULL);
    }
    return 0;
}

/* Those that serve are alike (--replicas looks at that): the first that answers speaks for all. */
static void ask_group(struct fsck_files *f, const json_t *pg)
{
    const json_t *members = json_object_get(pg, "members");
    struct group *g = MEM_NEW(struct group);
    char where[64];

    g->pg = (uint32_t)report_number(pg, "pg");
    HASH_ADD(hh, f->groups, pg, sizeof(g->pg), g);
    for (size_t i = 0; i < json_array_size(members) && !g->is_known; i++) {
        const json_t *m = json_array_get(members, i);
        const char *state = json_string_value(json_object_get(m, "state"));
        const char *addr = report_target_addr(f->report, report_number(m, "target"));

        if (state != NULL && strcmp(state, "serving") == 0 && addr != NULL)
            g->is_known = ask_target(f, addr, (uint32_t)report_number(m, "target"), g) == 0;
    }
    progress_add(f->client->progress, 1, 0);
    if (g->is_known)
        return;
    (void)snprintf(where, sizeof(where), "placement group %" PRIu32, g->pg);
    client_complain_text(f->client, where, "none of its targets answers");
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* ---- files ---- */

static int look_at(void *ctx, uint32_t index, uint64_t chunk, uint32_t pg)
{
    struct fsck_files *f = ctx;
    const struct group *g = NULL;

    (void)index;
    HASH_FIND(hh, f->groups, &pg, sizeof(pg), g);
    f->chunks++;
    if (g == NULL || !g->is_known)
        f->unknown++;
    else if (bsearch(&chunk, g->chunks, g->count, sizeof(chunk), compare_ids) == NULL)
        f->missing++;
    return 0;
}

static void tell(struct fsck_files *f, const char *path)
{
    if (f->array != NULL) {
        json_array_append_new(f->array,
                              json_pack("{s:o, s:I, s:I}", "path", format_json_name(path), "chunks",
                                        (json_int_t)f->chunks, "missing", (json_int_t)f->missing));
        return;
    }
    progress_hide(f->client->progress);
    format_name(stdout, path, isatty(STDOUT_FILENO));
    printf(": %" PRIu64 " of %" PRIu64 " chunk%s missing\n", f->missing, f->chunks,
           f->chunks == 1 ? " is" : "s are");
}

static enum walk_next enter(void *ctx, const struct walk_item *item)
{
    struct fsck_files *f = ctx;
    int r;

    progress_add(f->client->progress, 1, 0);
    if (!S_ISREG(item->st.mode))
        return WALK_ON;
    f->chunks = f->missing = f->unknown = 0;
    r = dfs_chunks(f->client->dfs, item->st.ino, look_at, f);
    if (r < 0 && r != -ESTALE && r != -ENOENT) /* Those were deleted meanwhile. */
        client_complain(f->client, item->path, r);
    f->file_count++;
    f->chunk_count += f->chunks;
    f->lacking_count += f->missing > 0;
    f->unknown_count += f->unknown > 0;
    if (f->missing > 0)
        tell(f, item->path);
    return WALK_ON;
}

static void failed(void *ctx, const char *path, int error)
{
    struct fsck_files *f = ctx;

    client_complain(f->client, path, error);
}

bool fsck_files(struct client *c, struct admin *admin, const json_t *report, bool json)
{
    struct fsck_files f = {.client = c, .admin = admin, .report = report};
    const json_t *pgs = json_object_get(report, "pgs");
    struct place place = place_dfs(c->dfs);
    struct walk w = {.place = &place, .enter = enter, .failed = failed, .ctx = &f};
    struct group *g, *next;
    bool good;

    if (json)
        f.array = json_array();
    c->progress = progress_new_of(true, "placement group");
    progress_expect(c->progress, json_array_size(pgs), 0);
    for (size_t i = 0; i < json_array_size(pgs); i++)
        ask_group(&f, json_array_get(pgs, i));
    progress_free(STEAL(c->progress));
    c->progress = progress_new_of(true, "name");
    progress_expect(c->progress, (uint64_t)report_number(report, "inodes"), 0);
    walk(&w, "/", false);
    progress_free(STEAL(c->progress));
    good = f.lacking_count == 0 && f.unknown_count == 0;
    if (json)
        format_json_print(json_pack("{s:b, s:I, s:I, s:I, s:o}", "well", good, "files",
                                    (json_int_t)f.file_count, "chunks", (json_int_t)f.chunk_count,
                                    "files_unknown", (json_int_t)f.unknown_count, "lacking",
                                    f.array));
    else if (good)
        printf("%" PRIu64 " files with %" PRIu64 " chunks: all are there.\n", f.file_count,
               f.chunk_count);
    else
        printf("%" PRIu64 " files with %" PRIu64 " chunks: %" PRIu64 " lack some, of %" PRIu64
               " it is not known.\n",
               f.file_count, f.chunk_count, f.lacking_count, f.unknown_count);
    HASH_ITER (hh, f.groups, g, next) {
        HASH_DEL(f.groups, g);
        free(g->chunks);
        free(g);
    }
    return good;
}
