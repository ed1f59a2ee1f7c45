/* See scrub.h. */
#include "datanode/scrub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/vfs.h"
#include "common/worker.h"
#include "datanode/dn.h"
#include "rpc/msg.h"

enum {
    PAGE = 64,
    SAVE_MS = 60000, /* the place is kept so often */
    COMPARE_TIMEOUT_MS = 10000,
    /* A chunk costs at least this: its table, and what opening it takes. */
    CHUNK_COST = 128 << 10,
};
/* A pass takes this part of the period; the rest is for what came meanwhile. */
static const double pass_share = 0.8;
static const uint64_t rate_min = 1 << 20, rate_max = 200 << 20; /* bytes a second */

struct target_scrub {
    struct scrub *scrub;
    struct target *target;
    struct scrub_place place;
    uint64_t bytes_total;
    bool is_under_way, is_busy;
    uint32_t len; /* of the chunk that is looked at, since */
    uint64_t since_ns;
    uint64_t next_ns, save_ns;
    struct copy_turn turn;
    char path[PATH_BYTES_MAX + 1];
    atomic_bool is_saving; /* what follows is the worker's meanwhile */
    struct work work;
    char text[SCRUB_TEXT_MAX];
    size_t text_len;
};

struct scrub {
    struct dn *dn;
    struct worker *worker; /* NULL: the place is not kept (inline_io) */
    unsigned count;
    struct target_scrub targets[];
};

/* ---- the place ---- */

static const char format[] =
    "dfs-scrub 1 began %" PRId64 " ended %" PRId64 " pg %" PRIu32 " chunk %" PRIu64
    " bytes %" PRIu64 " bad %" PRIu64 " differing %" PRIu64;

size_t scrub_place_format(const struct scrub_place *p, char out[SCRUB_TEXT_MAX])
{
    int n = snprintf(out, SCRUB_TEXT_MAX, format, p->began_ns, p->ended_ns, p->pg, p->chunk,
                     p->bytes_done, p->bad, p->differing);

    n += snprintf(out + n, SCRUB_TEXT_MAX - (size_t)n, " crc %08" PRIx32 "\n",
                  crc32c(out, (size_t)n));
    return (size_t)n;
}

/* What is not to the letter what we would have written is not ours. */
int scrub_place_parse(const char *text, size_t len, struct scrub_place *ret_place)
{
    char copy[SCRUB_TEXT_MAX], again[SCRUB_TEXT_MAX];
    struct scrub_place p;

    if (len >= sizeof(copy))
        return -EBADMSG;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (sscanf(copy,
               "dfs-scrub 1 began %" SCNd64 " ended %" SCNd64 " pg %" SCNu32 " chunk %" SCNu64
               " bytes %" SCNu64 " bad %" SCNu64 " differing %" SCNu64,
               &p.began_ns, &p.ended_ns, &p.pg, &p.chunk, &p.bytes_done, &p.bad,
               &p.differing) != 7 ||
        scrub_place_format(&p, again) != len || memcmp(again, copy, len) != 0)
        return -EBADMSG;
    *ret_place = p;
    return 0;
}

static void load(struct target_scrub *t)
{
    CLEANUP_BUF struct buf buf = {0};
    int r = vfs_read_file(t->scrub->dn->vfs, t->path, SCRUB_TEXT_MAX, &buf);

    if (r == 0)
        r = scrub_place_parse((const char *)buf.data, buf.len, &t->place);
    if (r < 0 && r != -ENOENT)
        log_warn("where the scrub was is not known; it begins anew", "file=%s error=\"%s\"",
                 t->path, dfs_strerror(r));
    /* A pass that ended left no place. */
    t->is_under_way = r == 0 && (t->place.pg != 0 || t->place.ended_ns < t->place.began_ns);
}

static void save_run(struct work *w)
{
    struct target_scrub *t = CONTAINER_OF(w, struct target_scrub, work);

    int r = vfs_replace_file(t->scrub->dn->vfs, t->path, t->text, t->text_len, 0600);

    if (r < 0)
        log_warn("the place of the scrub was not kept", "file=%s error=\"%s\"", t->path,
                 dfs_strerror(r));
    atomic_store(&t->is_saving, false);
}

static void save(struct target_scrub *t, uint64_t now)
{
    t->save_ns = now + SAVE_MS * CLOCK_NS_PER_MS;
    if (t->scrub->worker == NULL || atomic_load(&t->is_saving))
        return;
    t->text_len = scrub_place_format(&t->place, t->text);
    atomic_store(&t->is_saving, true);
    t->work = (struct work){.run = save_run};
    worker_submit(t->scrub->worker, &t->work);
}

/* ---- what the others have ---- */

struct compare {
    struct target_scrub *t;
    uint32_t pg, other;
    uint64_t epoch;
    struct chunk_id chunk;
};

static void alarm_of(struct compare *c, struct dn_pg *pg, const char *how)
{
    char what[96];

    (void)snprintf(what, sizeof(what), "%s target %" PRIu32, how, c->other);
    c->t->place.differing++;
    nn_report_bad(c->t->scrub->dn, pg, c->chunk, 0, what, false);
}

/* Both must be at rest, and of the same version: then a difference is none of a write's. */
static void judge(struct compare *c, const Dfs__InventoryReply *m)
{
    const Dfs__InventoryItem *it = m->n_items > 0 ? m->items[0] : NULL;
    struct dn_pg *pg = pg_find(c->t->scrub->dn, c->pg, target_id(c->t->target).v);
    struct chunk_state ours;

    if (pg == NULL || pg_epoch(pg) != c->epoch ||
        store_chunk_state(c->t->target, c->chunk, &ours) < 0 || ours.digest == 0 ||
        ours.flags != 0 || chain_unstable_on(pg->chain, c->chunk))
        return;
    if (it == NULL || it->chunk_id != c->chunk.v || it->flags & CHUNK_DELETED)
        alarm_of(c, pg, "the chunk is not at");
    else if (it->flags == 0 && it->known_digest != 0 && it->ver_epoch == ours.ver.epoch &&
             it->ver_seq == ours.ver.seq &&
             (it->len != ours.len || it->known_digest != ours.digest))
        alarm_of(c, pg, "the copy differs from that of");
}

static void on_inventory(void *ctx, int status, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    struct compare *c = ctx;
    Dfs__InventoryReply *m = NULL;

    msg_arena_init(&arena);
    if (status == 0 && !c->t->scrub->dn->is_stopping)
        m = msg_unpack(&arena, &dfs__inventory_reply__descriptor, f->body, f->header.body_len);
    if (m != NULL)
        judge(c, m);
    free(c);
}

static void ask(struct target_scrub *t, struct dn_pg *pg, uint32_t other, struct chunk_id chunk)
{
    struct dn *dn = t->scrub->dn;
    const struct dn_place *place = dn_place_find(dn, other);
    struct conn *conn = place == NULL ? NULL : forward_peer(dn, place->addr)->conn;
    Dfs__InventoryRequest m = DFS__INVENTORY_REQUEST__INIT;
    struct compare *c;

    if (conn == NULL)
        return;
    c = MEM_NEW(struct compare);
    *c = (struct compare){
        .t = t, .pg = pg->key.pg, .other = other, .epoch = pg_epoch(pg), .chunk = chunk};
    m.pg = pg->key.pg;
    m.target = other;
    m.after_chunk = chunk.v - 1;
    m.limit = 1;
    (void)conn_call(conn, MSG_INVENTORY, &m.base, NULL, COMPARE_TIMEOUT_MS, on_inventory, c);
}

/* The head asks, so that each pair is compared once. */
static void compare_all(struct target_scrub *t, struct dn_pg *pg, struct chunk_id chunk)
{
    const struct chain_config *cfg = chain_config_of(pg->chain);

    if (chain_place_of(pg->chain)->role != CHAIN_SERVING || !chain_place_of(pg->chain)->is_head)
        return;
    for (uint32_t i = 0; i < cfg->member_count; i++) {
        if (cfg->members[i].state == MEMBER_SERVING && cfg->members[i].target.v != pg->key.target)
            ask(t, pg, cfg->members[i].target.v, chunk);
    }
}

/* ---- the walk ---- */

static uint64_t now_ns(const struct target_scrub *t)
{
    return loop_now_ns(t->scrub->dn->loop);
}

static uint64_t period_ns(const struct target_scrub *t)
{
    return t->scrub->dn->conf->scrub_period_ms * CLOCK_NS_PER_MS;
}

/* Bytes a second, so that the pass is over in its share of the period. */
static uint64_t rate_of(const struct target_scrub *t)
{
    double seconds = (double)period_ns(t) * pass_share / (double)CLOCK_NS_PER_S;
    double rate = (double)t->bytes_total / MAX(seconds, 0.001);

    return rate > (double)rate_max ? rate_max : MAX((uint64_t)rate, rate_min);
}

static void on_checked(void *ctx, int status, const struct store_crcs *c)
{
    struct target_scrub *t = ctx;
    struct dn *dn = t->scrub->dn;
    struct dn_pg *pg = pg_find(dn, t->place.pg, target_id(t->target).v);
    struct chunk_id chunk = {t->place.chunk};

    t->is_busy = false;
    copying_checked(dn_disk(dn, t->target)->copying);
    if (status == DFS_ECLOSED || dn->is_stopping)
        return;
    t->place.bytes_done += t->len + CHUNK_COST;
    t->next_ns = t->since_ns + (t->len + CHUNK_COST) * CLOCK_NS_PER_S / rate_of(t);
    metric_inc(dn->m.scrub_chunks);
    metric_add(dn->m.scrub_bytes, t->len);
    if (status == DFS_ENOCHUNK) /* Deleted meanwhile. */
        return;
    if (status < 0 || c->bad_count > 0) {
        t->place.bad++;
        metric_inc(dn->m.scrub_bad);
        log_warn("the scrub found damage", "target=%s pg=%" PRIu32 " chunk=%" PRIu64,
                 target_dir(t->target), t->place.pg, chunk.v);
        if (pg != NULL)
            repair_start(pg, chunk);
    } else if (pg != NULL && c->state.flags == 0) {
        compare_all(t, pg, chunk);
    }
}

/* The next chunk whose content is to be believed; false: there is none after the place. */
static bool next_chunk(struct target_scrub *t, struct chunk_state *ret_state)
{
    const unsigned unfit = CHUNK_DELETED | CHUNK_INCOMPLETE | CHUNK_SUSPECT;

    for (;;) {
        struct chunk_state page[PAGE];
        struct pg_id pg = {t->place.pg};
        size_t n = pg.v == 0
                       ? 0
                       : store_list(t->target, pg, (struct chunk_id){t->place.chunk}, PAGE, page);

        for (size_t i = 0; i < n; i++) {
            t->place.chunk = page[i].id.v;
            if ((page[i].flags & unfit) == 0) {
                *ret_state = page[i];
                return true;
            }
        }
        if (n == PAGE)
            continue;
        if (store_list_pgs(t->target, pg, 1, &pg) == 0)
            return false;
        t->place.pg = pg.v;
        t->place.chunk = 0;
    }
}

static void pass_begin(struct target_scrub *t, int64_t wall_ns)
{
    t->place = (struct scrub_place){.began_ns = wall_ns, .ended_ns = t->place.ended_ns};
    t->is_under_way = true;
    t->bytes_total = 0; /* As it is now. */
}

static void pass_end(struct target_scrub *t, int64_t wall_ns)
{
    t->place.ended_ns = wall_ns;
    t->place.pg = 0;
    t->place.chunk = 0;
    t->is_under_way = false;
    t->bytes_total = t->place.bytes_done;
    log_info("scrub pass done",
             "target=%s bytes=%" PRIu64 " bad=%" PRIu64 " differing=%" PRIu64 " took_s=%" PRId64,
             target_dir(t->target), t->place.bytes_done, t->place.bad, t->place.differing,
             (t->place.ended_ns - t->place.began_ns) / (int64_t)CLOCK_NS_PER_S);
    save(t, now_ns(t));
}

static void look(struct copy_turn *turn, bool is_ended)
{
    struct target_scrub *t = CONTAINER_OF(turn, struct target_scrub, turn);

    if (is_ended)
        return;
    t->since_ns = now_ns(t);
    store_crcs(t->target, (struct chunk_id){t->place.chunk}, true, on_checked, t);
}

static void step(struct target_scrub *t)
{
    int64_t wall = clock_wall_ns(t->scrub->dn->clock);
    struct chunk_state state;
    uint64_t now = now_ns(t);

    if (t->is_busy || now < t->next_ns || target_is_failed(t->target) ||
        target_id(t->target).v == 0)
        return;
    if (!t->is_under_way) {
        /* Also when the wall clock was set back. */
        if (t->place.began_ns != 0 && wall >= t->place.began_ns &&
            (uint64_t)(wall - t->place.began_ns) < period_ns(t))
            return;
        pass_begin(t, wall);
    }
    if (t->bytes_total == 0)
        t->bytes_total = store_bytes(t->target, CHUNK_COST);
    if (!next_chunk(t, &state)) {
        pass_end(t, wall);
        return;
    }
    t->is_busy = true;
    t->len = state.len;
    t->turn = (struct copy_turn){.kind = COPY_SCRUB, .bytes = state.len + CHUNK_COST, .run = look};
    copying_enter(dn_disk(t->scrub->dn, t->target)->copying, &t->turn);
    if (now >= t->save_ns)
        save(t, now);
}

void scrub_tick(struct scrub *s)
{
    for (unsigned i = 0; i < s->count && !s->dn->is_stopping; i++)
        step(&s->targets[i]);
}

/* ---- life ---- */

struct scrub *scrub_new(struct dn *dn)
{
    unsigned count = store_target_count(dn->store);
    struct scrub *s;

    if (dn->conf->scrub_period_ms == 0)
        return NULL;
    s = mem_zalloc(1, sizeof(*s) + count * sizeof(s->targets[0]));
    s->dn = dn;
    s->count = count;
    if (!dn->inline_io && worker_new("dfs-scrub", &s->worker) < 0)
        log_warn("no thread for the scrub's place; restarts begin it anew", "%s", "");
    for (unsigned i = 0; i < count; i++) {
        struct target_scrub *t = &s->targets[i];

        t->scrub = s;
        t->target = store_target_at(dn->store, i);
        (void)snprintf(t->path, sizeof(t->path), "%s/scrub", target_dir(t->target));
        load(t);
        t->save_ns = now_ns(t) + SAVE_MS * CLOCK_NS_PER_MS;
    }
    return s;
}

void scrub_free(struct scrub *s)
{
    if (s == NULL)
        return;
    worker_free(s->worker);
    free(s);
}

void scrub_status(const struct scrub *s, unsigned target_index, struct scrub_status *ret_status)
{
    const struct target_scrub *t;

    *ret_status = (struct scrub_status){0};
    if (s == NULL || target_index >= s->count)
        return;
    t = &s->targets[target_index];
    *ret_status = (struct scrub_status){
        .began_ns = t->place.began_ns,
        .ended_ns = t->place.ended_ns,
        .bytes_done = t->is_under_way ? MIN(t->place.bytes_done, t->bytes_total) : t->bytes_total,
        .bytes_total = t->bytes_total,
        .bad = t->place.bad,
        .differing = t->place.differing,
    };
}
