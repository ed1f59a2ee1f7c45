/* The processes of lin_load that talk to the cluster. */
#include "tests/lin/load.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/conf.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"
#include "libdfs/dfs_ll.h"

enum { TICK_MS = 1, THINK_PERCENT = 20, THINK_MS_MAX = 10, LIST_LIMIT = 1000 };

struct client;

/* One operation at a time. */
struct slot {
    struct client *client;
    unsigned number; /* in load_shared.slots */
    unsigned round;  /* that it is in, or has finished */
    bool busy;
    int64_t not_before_ns;
    struct load_record *record;
    struct ll_call call;
};

struct client {
    struct load_shared *sh;
    struct loop *loop;
    struct ll *ll;
    struct ll_cred cred;
    struct rng rng;
    struct slot slots[LOAD_SLOTS];
};

static unsigned roll(struct client *c, unsigned below)
{
    return (unsigned)rng_below(&c->rng, below);
}

static uint64_t now_ns(void)
{
    return (uint64_t)clock_monotonic_ns(clock_system());
}

/* ---- what is known in this round ---- */

void load_tell(struct load_told *t, uint64_t ino)
{
    unsigned count = atomic_load(&t->count), at;

    for (unsigned i = 0; i < count && i < LOAD_TOLD_MAX; i++)
        if (atomic_load(&t->inodes[i]) == ino)
            return;
    at = atomic_fetch_add(&t->count, 1);
    if (at < LOAD_TOLD_MAX)
        atomic_store(&t->inodes[at], ino);
}

/* 0: none. */
static uint64_t any_told(struct client *c, struct load_told *t)
{
    unsigned count = atomic_load(&t->count);

    return count == 0 ? 0 : atomic_load(&t->inodes[roll(c, count) % LOAD_TOLD_MAX]);
}

static uint64_t any_dir(struct client *c)
{
    uint64_t ino = roll(c, 3) == 0 ? any_told(c, &c->sh->dirs) : 0;

    return ino ? ino : c->sh->roots[roll(c, LOAD_ROOTS)];
}

/* ---- one operation ---- */

struct load_record *load_record_new(struct load_shared *sh, unsigned slot)
{
    struct load_slot *s = &sh->slots[slot];

    return &s->records[atomic_load(&s->count)];
}

void load_record_call(struct load_shared *sh, unsigned slot, struct load_record *r)
{
    r->op.client = slot;
    r->result = (struct lin_result){0};
    r->called_ns = now_ns();
    atomic_store(&r->state, LOAD_CALLED);
    atomic_fetch_add(&sh->slots[slot].count, 1);
}

/* What a file system answers; anything else says that nobody knows. */
static bool is_answer(int status)
{
    static const int answers[] = {0,         EEXIST, ENOENT, ENOTDIR, EISDIR,
                                  ENOTEMPTY, EINVAL, EPERM,  ESTALE};

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        if (status == -answers[i])
            return true;
    return false;
}

void load_record_return(struct load_record *r, int status)
{
    r->returned_ns = now_ns();
    if (!is_answer(status))
        return;
    r->result.error = -status;
    atomic_store(&r->state, LOAD_RETURNED);
}

static void tell_all(struct load_shared *sh, const struct load_record *r, int status)
{
    if (status == 0 && r->result.ino && r->op.kind != LIN_UNLINK && r->op.kind != LIN_RMDIR)
        load_tell(r->result.is_dir ? &sh->dirs : &sh->files, r->result.ino);
    for (unsigned i = 0; i < r->result.entry_count; i++)
        load_tell(r->entries[i].is_dir ? &sh->dirs : &sh->files, r->entries[i].ino);
}

static void start_next(void *ctx);

static void slot_done(struct slot *s, int status)
{
    load_record_return(s->record, status);
    tell_all(s->client->sh, s->record, status);
    s->busy = false;
    if (rng_percent(&s->client->rng, THINK_PERCENT))
        s->not_before_ns = (int64_t)now_ns() + roll(s->client, THINK_MS_MAX) * CLOCK_NS_PER_MS;
    else
        loop_defer(s->client->loop, start_next, s);
}

static void on_attr(void *ctx, int status, const struct ll_attr *attr)
{
    struct slot *s = ctx;
    struct load_record *r = s->record;

    if (status == 0 && attr && r->op.kind != LIN_RENAME) {
        r->result.ino = attr->ino.v;
        r->result.is_dir = S_ISDIR(attr->mode);
    }
    slot_done(s, status);
}

static void on_open(void *ctx, int status, struct ll_file *file, const struct ll_attr *attr,
                    bool keep_cache)
{
    (void)keep_cache;
    if (status == 0)
        ll_release(file);
    on_attr(ctx, status, attr);
}

static void record_listing(struct load_record *r, const struct ll_dirent *entries, unsigned count)
{
    if (count > LIN_ENTRIES_MAX)
        errx(1, "a directory of %u entries", count);
    for (unsigned i = 0; i < count; i++) {
        r->entries[i] =
            (struct lin_entry){.ino = entries[i].ino.v, .is_dir = S_ISDIR(entries[i].type)};
        snprintf(r->entries[i].name, LIN_NAME_SIZE, "%s", entries[i].name);
    }
    r->result.entry_count = count;
}

static void on_listing(void *ctx, int status, const struct ll_dirent *entries, unsigned count,
                       bool end)
{
    struct slot *s = ctx;

    if (status == 0 && !end)
        errx(1, "a listing in pieces");
    if (status == 0)
        record_listing(s->record, entries, count);
    slot_done(s, status);
}

static void choose(struct client *c, struct lin_op *op)
{
    static const enum lin_kind kinds[] = {LIN_CREATE, LIN_CREATE,  LIN_CREATE, LIN_MKDIR,
                                          LIN_LINK,   LIN_UNLINK,  LIN_UNLINK, LIN_RMDIR,
                                          LIN_RENAME, LIN_RENAME,  LIN_LOOKUP, LIN_LOOKUP,
                                          LIN_LOOKUP, LIN_READDIR, LIN_READDIR};

    *op = (struct lin_op){.kind = kinds[roll(c, sizeof(kinds) / sizeof(kinds[0]))]};
    op->dir = any_dir(c);
    op->to_dir = any_dir(c);
    snprintf(op->name, LIN_NAME_SIZE, "%c", 'a' + (char)roll(c, c->sh->names));
    snprintf(op->to_name, LIN_NAME_SIZE, "%c", 'a' + (char)roll(c, c->sh->names));
    if (op->kind == LIN_RENAME && roll(c, 4) == 0)
        op->flags = roll(c, 2) ? LIN_NOREPLACE : LIN_EXCHANGE;
    if (op->kind == LIN_LINK) {
        op->ino = any_told(c, &c->sh->files);
        if (op->ino == 0)
            op->kind = LIN_CREATE;
    }
}

static void send_op(struct slot *s)
{
    struct client *c = s->client;
    const struct lin_op *op = &s->record->op;
    struct ino dir = {op->dir}, to_dir = {op->to_dir};

    switch (op->kind) {
    case LIN_CREATE:
        if (roll(c, 2))
            ll_create(c->ll, &s->call, &c->cred, dir, op->name, 0644, O_RDWR | O_CREAT | O_EXCL,
                      on_open, s);
        else
            ll_mknod(c->ll, &s->call, &c->cred, dir, op->name, S_IFREG | 0644, 0, NULL, on_attr, s);
        return;
    case LIN_MKDIR:
        ll_mknod(c->ll, &s->call, &c->cred, dir, op->name, S_IFDIR | 0755, 0, NULL, on_attr, s);
        return;
    case LIN_LINK:
        ll_link(c->ll, &s->call, &c->cred, (struct ino){op->ino}, dir, op->name, on_attr, s);
        return;
    case LIN_UNLINK:
        ll_unlink(c->ll, &s->call, &c->cred, dir, op->name, on_attr, s);
        return;
    case LIN_RMDIR:
        ll_rmdir(c->ll, &s->call, &c->cred, dir, op->name, on_attr, s);
        return;
    case LIN_RENAME:
        ll_rename(c->ll, &s->call, &c->cred, dir, op->name, to_dir, op->to_name, op->flags, on_attr,
                  s);
        return;
    case LIN_LOOKUP:
        ll_lookup(c->ll, &s->call, &c->cred, dir, op->name, on_attr, s);
        return;
    case LIN_READDIR:
        ll_readdir(c->ll, &s->call, NULL, dir, "", LIST_LIMIT, false, on_listing, s);
        return;
    }
}

static void start_next(void *ctx)
{
    struct slot *s = ctx;
    struct load_shared *sh = s->client->sh;
    struct load_slot *out = &sh->slots[s->number];

    if (s->busy)
        return;
    if (atomic_load(&out->count) == sh->ops || atomic_load(&sh->stop)) {
        atomic_store(&out->round, s->round);
        return;
    }
    s->busy = true;
    s->record = load_record_new(sh, s->number);
    choose(s->client, &s->record->op);
    s->call = (struct ll_call){0};
    load_record_call(sh, s->number, s->record);
    send_op(s);
}

static void tick(void *ctx)
{
    struct client *c = ctx;
    unsigned round = atomic_load(&c->sh->round);

    for (unsigned i = 0; i < LOAD_SLOTS; i++) {
        struct slot *s = &c->slots[i];
        bool in_round = atomic_load(&c->sh->slots[s->number].round) < s->round;

        if (!s->busy && !in_round && s->round < round)
            s->round = round;
        else if (s->busy || !in_round)
            continue;
        if ((int64_t)now_ns() >= s->not_before_ns)
            start_next(s);
    }
}

/* ---- a session ---- */

static void enter(const char *netns)
{
    char path[LOAD_PATH_MAX];
    int fd;

    if (!netns)
        return;
    snprintf(path, sizeof(path), "/run/netns/%s", netns);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        err(1, "%s", path);
    (void)close(fd);
}

static void on_ready(void *ctx, int status)
{
    bool *ready = ctx;

    if (status < 0)
        errx(1, "no session: %s", strerror(-status));
    *ready = true;
}

static void connect_to(struct client *c, const char *name, uint32_t timeout_ms)
{
    struct ll_options o;
    struct conf *conf;
    bool ready = false;
    int r = conf_load(c->sh->config, &conf);

    if (r < 0)
        errx(1, "%s: %s", c->sh->config, strerror(-r));
    ll_options_init(&o);
    o.namenodes = conf_str_required(conf, "client", "namenodes");
    o.ca_file = conf_file(conf, "tls", "ca");
    o.cert_file = conf_file(conf, "tls", "cert");
    o.key_file = conf_file(conf, "tls", "key");
    o.client_name = name;
    o.io_timeout_ms = timeout_ms;
    if (loop_new(&c->loop) < 0 || ll_new(c->loop, &o, false, on_ready, &ready, &c->ll) < 0)
        errx(1, "no client: %s", c->sh->config);
    while (!ready)
        loop_run_once(c->loop, true);
    /* conf stays: ll has its strings. */
}

_Noreturn void load_client(struct load_shared *sh, unsigned client, uint64_t seed,
                           const char *netns)
{
    struct client *c = MEM_NEW(struct client);
    char name[32];

    enter(netns);
    c->sh = sh;
    rng_seed(&c->rng, seed);
    for (unsigned i = 0; i < LOAD_SLOTS; i++) {
        struct slot *s = &c->slots[i];

        s->client = c;
        s->number = client * LOAD_SLOTS + i;
        s->round = atomic_load(&sh->slots[s->number].round);
    }
    snprintf(name, sizeof(name), "lin_load client %u", client);
    connect_to(c, name, sh->timeout_ms);
    loop_timer_start(loop_timer_new(c->loop, tick, c), TICK_MS, TICK_MS);
    loop_run(c->loop);
    exit(1); /* Only a signal ends it. */
}

/* ---- the keeper ---- */

struct waiting {
    bool done;
    int status;
    struct load_record *record;
    uint64_t ino;
};

static void keeper_made(void *ctx, int status, const struct ll_attr *attr)
{
    struct waiting *w = ctx;

    w->done = true;
    w->status = status;
    w->ino = status == 0 ? attr->ino.v : 0;
}

static void keeper_listed(void *ctx, int status, const struct ll_dirent *entries, unsigned count,
                          bool end)
{
    struct waiting *w = ctx;

    (void)end;
    w->done = true;
    w->status = status;
    if (status == 0)
        record_listing(w->record, entries, count);
}

void load_root_name(const struct load_shared *sh, unsigned round, unsigned i,
                    char out[LIN_NAME_SIZE])
{
    snprintf(out, LIN_NAME_SIZE, "lin-%u-%u-%u", (unsigned)sh->seed, round, i);
}

static void prepare(struct client *c, unsigned round)
{
    struct load_shared *sh = c->sh;

    for (unsigned i = 0; i < LOAD_ROOTS; i++) {
        struct ll_call call = {0};
        struct waiting w = {0};
        char name[LIN_NAME_SIZE];

        load_root_name(sh, round, i, name);
        ll_mknod(c->ll, &call, &c->cred, INO_ROOT, name, S_IFDIR | 0755, 0, NULL, keeper_made, &w);
        while (!w.done)
            loop_run_once(c->loop, true);
        if (w.status < 0)
            errx(1, "%s: %s", name, strerror(-w.status));
        sh->roots[i] = w.ino;
    }
}

static void list(struct client *c, uint64_t dir)
{
    struct load_record *r = load_record_new(c->sh, LOAD_KEEPER);
    struct waiting w = {.record = r};
    struct ll_call call = {0};

    r->op = (struct lin_op){.kind = LIN_READDIR, .dir = dir};
    load_record_call(c->sh, LOAD_KEEPER, r);
    ll_readdir(c->ll, &call, NULL, (struct ino){dir}, "", LIST_LIMIT, false, keeper_listed, &w);
    while (!w.done)
        loop_run_once(c->loop, true);
    load_record_return(r, w.status);
}

/* What there is in the end. */
static void close_round(struct client *c)
{
    struct load_told *dirs = &c->sh->dirs;

    for (unsigned i = 0; i < LOAD_ROOTS; i++)
        list(c, c->sh->roots[i]);
    for (unsigned i = 0; i < atomic_load(&dirs->count) && i < LOAD_RECORDS - LOAD_ROOTS; i++)
        if (atomic_load(&dirs->inodes[i]))
            list(c, atomic_load(&dirs->inodes[i]));
}

static void keeper_tick(void *ctx)
{
    (void)ctx;
}

_Noreturn void load_keeper(struct load_shared *sh, const char *netns)
{
    struct client *c = MEM_NEW(struct client);

    enter(netns);
    c->sh = sh;
    connect_to(c, "lin_load keeper", 0);
    loop_timer_start(loop_timer_new(c->loop, keeper_tick, c), TICK_MS, TICK_MS);
    for (;;) {
        unsigned want = atomic_load(&sh->prepare);

        if (want > atomic_load(&sh->prepared)) {
            prepare(c, want);
            atomic_store(&sh->prepared, want);
        }
        want = atomic_load(&sh->close);
        if (want > atomic_load(&sh->closed)) {
            close_round(c);
            atomic_store(&sh->closed, want);
        }
        loop_run_once(c->loop, true);
    }
}
