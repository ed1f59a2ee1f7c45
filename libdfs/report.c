/* dfs_report_json and dfs_why_json: what operators ask, as JSON documents. Also the counters. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/error.h"
#include "common/mem.h"
#include "libdfs/blocking.h"
#include "libdfs/nn.h"
#include "rpc/frame.h"
#include "rpc/node.pb-c.h"

enum { LAYOUT_PAGE = 1024 };

unsigned ll_counters(const struct ll *ll, struct ll_counter *out, unsigned max)
{
    const struct ll_stats *s = &ll->stats;
    const struct ll_counter all[] = {
        {"meta_rpcs", nn_rpc_count(ll->nn)},
        {"chunk_writes", s->chunk_writes},
        {"chunk_syncs", s->chunk_syncs},
        {"chunk_truncs", s->chunk_truncs},
        {"chunk_retries", s->chunk_retries},
        {"chunk_reads", s->chunk_reads},
        {"read_retries", s->read_retries},
        {"read_hedges", s->read_hedges},
        {"crc_mismatches", s->crc_mismatches},
        {"bytes_written", s->bytes_written},
        {"bytes_read", s->bytes_read},
        {"bytes_copied", s->bytes_copied},
        {"commits", s->commits},
        {"inline_commits", s->inline_commits},
        {"allocs", s->allocs},
        {"readahead_hits", s->readahead_hits},
        {"readahead_bytes", s->readahead_bytes},
        {"readahead_wasted_bytes", s->readahead_wasted_bytes},
        {"write_waits", s->write_waits},
    };
    unsigned n = 0;

    while (n < max && n < ARRAY_COUNT(all)) {
        out[n] = all[n];
        n++;
    }
    return n;
}

/* ---- words ---- */

static const char *member_state(Dfs__MemberState s)
{
    switch (s) {
    case DFS__MEMBER_STATE__MEMBER_SERVING:
        return "serving";
    case DFS__MEMBER_STATE__MEMBER_SYNCING:
        return "syncing";
    case DFS__MEMBER_STATE__MEMBER_OFFLINE:
        return "offline";
    case DFS__MEMBER_STATE__MEMBER_UNSET:
    case _DFS__MEMBER_STATE_IS_INT_SIZE:
        break;
    }
    return "unknown";
}

static const char *target_state(const Dfs__TargetInfo *t)
{
    switch (t->state) {
    case DFS__TARGET_STATE__TARGET_ACTIVE:
        return !t->alive ? "silent" : t->slow != NULL ? "slow" : "active";
    case DFS__TARGET_STATE__TARGET_FAILED:
        return "failed";
    case DFS__TARGET_STATE__TARGET_DRAINING:
        return "draining";
    case DFS__TARGET_STATE__TARGET_REMOVED:
        return "removed";
    case DFS__TARGET_STATE__TARGET_UNSET:
    case _DFS__TARGET_STATE_IS_INT_SIZE:
        break;
    }
    return "unknown";
}

static json_t *uuid_json(const ProtobufCBinaryData *b)
{
    char text[2 * 16 + 1] = "";

    for (size_t i = 0; i < b->len && i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", b->data[i]);
    return json_string(text);
}

/* ---- the report ---- */

static json_t *pg_json(const Dfs__Pg *pg)
{
    json_t *members = json_array();

    for (size_t i = 0; i < pg->n_members; i++)
        json_array_append_new(members,
                              json_pack("{s:i, s:s}", "target", (int)pg->members[i]->target,
                                        "state", member_state(pg->members[i]->state)));
    return json_pack("{s:i, s:I, s:i, s:i, s:o}", "pg", (int)pg->pg, "epoch", (json_int_t)pg->epoch,
                     "copies", (int)pg->copies, "min_write", (int)pg->min_write, "members",
                     members);
}

static json_t *namenodes_json(const Dfs__ReportReply *r)
{
    json_t *list = json_array();

    for (size_t i = 0; i < r->n_namenodes; i++) {
        const Dfs__NamenodeInfo *n = r->namenodes[i];

        json_array_append_new(
            list,
            json_pack("{s:I, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:b, s:I, s:b, s:s, s:i}",
                      "id", (json_int_t)n->replica_id, "addr", n->addr, "role", n->role, "voter",
                      n->voter, "alive", n->alive, "match_index", (json_int_t)n->match_index, "lag",
                      (json_int_t)n->lag, "bytes_total", (json_int_t)n->bytes_total, "bytes_free",
                      (json_int_t)n->bytes_free, "short_of_space", n->short_of_space, "heard_ms",
                      (json_int_t)n->heard_ms, "needs_snapshot", n->needs_snapshot, "problem",
                      n->problem, "format", (int)n->format));
    }
    return list;
}

static json_t *scrub_json(const Dfs__ScrubStatus *s)
{
    if (s == NULL)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "began_ns", (json_int_t)s->began_ns,
                     "ended_ns", (json_int_t)s->ended_ns, "bytes_done", (json_int_t)s->bytes_done,
                     "bytes_total", (json_int_t)s->bytes_total, "bad", (json_int_t)s->bad,
                     "differing", (json_int_t)s->differing);
}

static json_t *slow_json(const Dfs__TargetSlow *s)
{
    if (s == NULL)
        return json_null();
    return json_pack("{s:i, s:I, s:I, s:I}", "times", (int)s->times, "p99_us",
                     (json_int_t)s->p99_us, "peers_us", (json_int_t)s->peers_us, "left_s",
                     (json_int_t)s->left_s);
}

static json_t *target_json(const Dfs__TargetInfo *t)
{
    return json_pack("{s:i, s:o, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:o}",
                     "target", (int)t->target, "uuid", uuid_json(&t->uuid), "node", t->node, "host",
                     t->host, "rack", t->rack, "addr", t->addr, "state", target_state(t),
                     "bytes_total", (json_int_t)t->bytes_total, "bytes_free",
                     (json_int_t)t->bytes_free, "chunks", (json_int_t)t->chunk_count,
                     "maintenance_until_ns", (json_int_t)t->maintenance_until_ns, "scrub",
                     scrub_json(t->scrub), "p50_us", (json_int_t)t->p50_us, "p99_us",
                     (json_int_t)t->p99_us, "slow", slow_json(t->slow));
}

static json_t *report_json(const Dfs__ReportReply *r)
{
    json_t *targets = json_array(), *pgs = json_array(), *syncing = json_array();
    json_t *bad = json_array();

    for (size_t i = 0; i < r->n_targets; i++)
        json_array_append_new(targets, target_json(r->targets[i]));
    for (size_t i = 0; i < r->n_pgs; i++)
        json_array_append_new(pgs, pg_json(r->pgs[i]));
    for (size_t i = 0; i < r->n_syncing; i++)
        json_array_append_new(syncing,
                              json_pack("{s:i, s:I, s:I, s:I}", "pg", (int)r->syncing[i]->pg,
                                        "bytes_done", (json_int_t)r->syncing[i]->bytes_done,
                                        "bytes_total", (json_int_t)r->syncing[i]->bytes_total,
                                        "bytes_per_s", (json_int_t)r->syncing[i]->bytes_per_s));
    for (size_t i = 0; i < r->n_bad; i++)
        json_array_append_new(bad, json_pack("{s:i, s:i, s:I, s:i, s:s, s:b}", "target",
                                             (int)r->bad[i]->target, "pg", (int)r->bad[i]->pg,
                                             "chunk", (json_int_t)r->bad[i]->chunk_id, "block",
                                             (int)r->bad[i]->block, "what", r->bad[i]->what,
                                             "healed", r->bad[i]->healed));
    return json_pack("{s:b, s:o, s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, "
                     "s:o, s:o, s:o, s:o, s:i, s:b}",
                     "serving", r->serving, "cluster", uuid_json(&r->cluster_uuid), "leader",
                     (json_int_t)r->leader_id, "term", (json_int_t)r->term, "commit_index",
                     (json_int_t)r->commit_index, "applied_index", (json_int_t)r->applied_index,
                     "copies", (int)r->copies, "bytes_total", (json_int_t)r->bytes_total,
                     "bytes_free", (json_int_t)r->bytes_free, "inodes", (json_int_t)r->inode_count,
                     "chunks", (json_int_t)r->chunk_count, "sessions", (json_int_t)r->session_count,
                     "garbage_chunks", (json_int_t)r->garbage_chunks, "reaping_inodes",
                     (json_int_t)r->reaping_inodes, "namenodes", namenodes_json(r), "targets",
                     targets, "pgs", pgs, "syncing", syncing, "bad_blocks", bad, "format",
                     (int)r->format, "converting", r->converting);
}

static char *dump(json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2));

    json_decref(root);
    return text;
}

/* On the loop's thread: keeps the unpacked message for the caller's thread, which makes the text. */
static void take_report(void *ctx, int status, const uint8_t *body, size_t len)
{
    struct op *op = ctx;

    if (status == 0) {
        op->extra = dfs__report_reply__unpack(NULL, len, body);
        if (op->extra == NULL)
            status = -EIO;
    }
    op_end(op, dfs_error_is_own(status) ? -EIO : status);
}

static void report_start(struct op *op)
{
    Dfs__ReportRequest req = DFS__REPORT_REQUEST__INIT;

    nn_call_raw(op->dfs->ll->nn, MSG_REPORT, &req.base, take_report, op);
}

static int get_report(struct dfs *dfs, Dfs__ReportReply **ret_report)
{
    struct op op;
    int r;

    op_init(&op, dfs, report_start);
    r = op_run(&op);
    if (r == 0)
        *ret_report = op.extra;
    return r;
}

int dfs_report_json(struct dfs *dfs, char **ret_json)
{
    Dfs__ReportReply *report = NULL;
    char *text;
    int r = get_report(dfs, &report);

    if (r < 0)
        return r;
    text = dump(report_json(report));
    dfs__report_reply__free_unpacked(report, NULL);
    if (text == NULL)
        return -ENOMEM;
    *ret_json = text;
    return 0;
}

/* ---- why ---- */

struct chunk_list {
    struct chunk_item {
        uint32_t index, pg;
        uint64_t chunk_id;
        bool materialized;
    } * items;
    size_t count;
    bool more;
    uint32_t next;
};

static void take_layout(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct op *op = ctx;
    struct chunk_list *l = op->extra;

    if (status == 0)
        status = reply->status;
    if (status == 0 && reply->result_case != DFS__META_REPLY__RESULT_LAYOUT)
        status = -EIO;
    for (size_t i = 0; status == 0 && i < reply->layout->n_chunks; i++) {
        const Dfs__ChunkRef *c = reply->layout->chunks[i];

        l->items = mem_realloc(l->items, l->count + 1, sizeof(*l->items));
        l->items[l->count++] = (struct chunk_item){.index = c->index,
                                                   .pg = c->pg,
                                                   .chunk_id = c->chunk_id,
                                                   .materialized = c->materialized};
    }
    if (status == 0) {
        l->next += LAYOUT_PAGE;
        l->more = (uint64_t)l->next * (64U << 20) < reply->layout->size;
    }
    op_end(op, dfs_error_is_own(status) ? -EIO : status);
}

static void layout_start(struct op *op)
{
    struct chunk_list *l = op->extra;
    struct meta_request r;
    Dfs__LayoutOp layout = DFS__LAYOUT_OP__INIT;

    meta_request_init(&r, NULL);
    layout.ino = op->set.ino.v;
    layout.first_index = l->next;
    layout.count = LAYOUT_PAGE;
    r.req.op_case = DFS__META_REQUEST__OP_LAYOUT;
    r.req.layout = &layout;
    nn_call(op->dfs->ll->nn, &op->call, &r.req, take_layout, op);
}

static int get_layout(struct dfs *dfs, uint64_t ino, struct chunk_list *l)
{
    int r;

    do {
        struct op op;

        op_init(&op, dfs, layout_start);
        op.set.ino.v = ino;
        op.extra = l;
        r = op_run(&op);
    } while (r == 0 && l->more);
    return r;
}

int dfs_chunks(struct dfs *dfs, uint64_t ino, dfs_chunk_fn fn, void *ctx)
{
    struct chunk_list l = {0};
    int r = get_layout(dfs, ino, &l);

    for (size_t i = 0; i < l.count && r == 0; i++) {
        if (l.items[i].materialized)
            r = fn(ctx, l.items[i].index, l.items[i].chunk_id, l.items[i].pg);
    }
    free(l.items);
    return r;
}

static json_t *copies_json(const Dfs__ReportReply *report, uint32_t pg, json_int_t *ret_epoch)
{
    json_t *copies = json_array();

    *ret_epoch = 0;
    for (size_t i = 0; i < report->n_pgs; i++) {
        const Dfs__Pg *p = report->pgs[i];

        if (p->pg != pg)
            continue;
        *ret_epoch = (json_int_t)p->epoch;
        for (size_t k = 0; k < p->n_members; k++) {
            json_t *copy = json_pack("{s:i, s:s}", "target", (int)p->members[k]->target, "state",
                                     member_state(p->members[k]->state));

            for (size_t t = 0; t < report->n_targets; t++)
                if (report->targets[t]->target == p->members[k]->target)
                    json_object_update_new(copy, json_pack("{s:s, s:s, s:b}", "node",
                                                           report->targets[t]->node, "addr",
                                                           report->targets[t]->addr, "alive",
                                                           report->targets[t]->alive));
            json_array_append_new(copies, copy);
        }
    }
    return copies;
}

static char *why_text(const char *path, const struct dfs_stat *st, const struct chunk_list *l,
                      const Dfs__ReportReply *report)
{
    json_t *chunks = json_array(), *root;

    for (size_t i = 0; i < l->count; i++) {
        json_int_t epoch;
        json_t *copies = copies_json(report, l->items[i].pg, &epoch);

        json_array_append_new(chunks, json_pack("{s:I, s:I, s:i, s:I, s:b, s:o}", "index",
                                                (json_int_t)l->items[i].index, "chunk",
                                                (json_int_t)l->items[i].chunk_id, "pg",
                                                (int)l->items[i].pg, "epoch", epoch, "materialized",
                                                l->items[i].materialized, "copies", copies));
    }
    root = json_pack("{s:I, s:i, s:I, s:i, s:s, s:o}", "ino", (json_int_t)st->ino, "mode",
                     (int)st->mode, "size", (json_int_t)st->size, "nlink", (int)st->nlink, "data",
                     l->count > 0                        ? "chunks"
                     : S_ISREG(st->mode) && st->size > 0 ? "inline"
                                                         : "none",
                     "chunks", chunks);
    /* A path that is no UTF-8 cannot be said in JSON, and is left out. */
    (void)json_object_set_new(root, "path", json_string(path));
    return dump(root);
}

int dfs_why_json(struct dfs *dfs, const char *path, char **ret_json)
{
    Dfs__ReportReply *report = NULL;
    struct chunk_list l = {0};
    struct dfs_stat st;
    char *text;
    int r = dfs_lstat(dfs, path, &st);

    if (r == 0 && S_ISREG(st.mode))
        r = get_layout(dfs, st.ino, &l);
    if (r == 0)
        r = get_report(dfs, &report);
    if (r < 0) {
        free(l.items);
        return r;
    }
    text = why_text(path, &st, &l, report);
    free(l.items);
    dfs__report_reply__free_unpacked(report, NULL);
    if (text == NULL)
        return -ENOMEM;
    *ret_json = text;
    return 0;
}
