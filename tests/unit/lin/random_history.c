#include <errno.h>
#include <string.h>

#include "tests/lin/history.h"
#include "tests/lin/model.h"
#include "tests/unit/lin/random_history.h"

enum { CLIENTS_MAX = 8, ROOTS = 2, LOST_MAX = 16, INO_BASE = 100 };

struct pending {
    bool called, done, lost;
    unsigned op; /* in the history */
    unsigned name;
    struct model_op what;
    struct lin_result result;
    struct lin_entry entries[LIN_ENTRIES_MAX];
};

struct world {
    struct rng *rng;
    const struct random_plan *plan;
    struct lin_history *h;
    struct model model;
    struct model_state state;
    uint8_t next_ino;
    /* What clients have been told of. */
    uint8_t dirs[MODEL_INODES], files[MODEL_INODES];
    unsigned dir_count, file_count;
    uint64_t now;
    struct pending pending[CLIENTS_MAX];
    unsigned client_name[CLIENTS_MAX], next_name;
    struct pending lost[LOST_MAX]; /* Called, given up by their client, not yet done. */
    unsigned lost_count;
};

static unsigned roll(struct world *w, unsigned below)
{
    return (unsigned)rng_below(w->rng, below);
}

static void name_of(unsigned number, char out[LIN_NAME_SIZE])
{
    snprintf(out, LIN_NAME_SIZE, "%c", 'a' + (char)number);
}

static uint64_t ino_of(uint8_t ino)
{
    return INO_BASE + ino;
}

static uint8_t any_dir(struct world *w)
{
    return w->dirs[roll(w, w->dir_count)];
}

static void told(struct world *w, uint8_t ino, bool is_dir)
{
    uint8_t *list = is_dir ? w->dirs : w->files;
    unsigned *count = is_dir ? &w->dir_count : &w->file_count;

    if (!memchr(list, ino, *count))
        list[(*count)++] = ino;
}

static void call(struct world *w, unsigned client, struct pending *p)
{
    static const enum lin_kind kinds[] = {
        LIN_CREATE, LIN_CREATE, LIN_MKDIR,  LIN_LINK,   LIN_UNLINK,  LIN_RMDIR,  LIN_RENAME,
        LIN_RENAME, LIN_LOOKUP, LIN_LOOKUP, LIN_LOOKUP, LIN_READDIR, LIN_READDIR};
    struct model_op *m = &p->what;
    struct lin_op op = {0};

    *p = (struct pending){.called = true};
    m->kind = kinds[roll(w, sizeof(kinds) / sizeof(kinds[0]))];
    if (m->kind == LIN_LINK && w->file_count == 0)
        m->kind = LIN_CREATE;
    m->dir = any_dir(w);
    m->to_dir = any_dir(w);
    m->name = (uint8_t)roll(w, w->plan->names);
    m->to_name = (uint8_t)roll(w, w->plan->names);
    if (m->kind == LIN_LINK)
        m->ino = w->files[roll(w, w->file_count)];
    if (m->kind == LIN_RENAME && roll(w, 4) == 0)
        m->flags = roll(w, 2) ? LIN_NOREPLACE : LIN_EXCHANGE;
    op = (struct lin_op){.client = w->client_name[client],
                         .kind = m->kind,
                         .dir = ino_of(m->dir),
                         .to_dir = ino_of(m->to_dir),
                         .flags = m->flags,
                         .ino = ino_of(m->ino)};
    name_of(m->name, op.name);
    name_of(m->to_name, op.to_name);
    p->op = lin_call(w->h, w->now, &op);
}

static void list(struct world *w, struct pending *p)
{
    for (unsigned i = 0; i < w->state.count; i++) {
        struct model_entry e = w->state.entries[i];
        struct lin_entry *out = &p->entries[p->result.entry_count];

        if (e.dir != p->what.dir)
            continue;
        *out = (struct lin_entry){.ino = ino_of(e.ino),
                                  .is_dir = model_set_has(&w->state.dirs, e.ino)};
        name_of(e.name, out->name);
        p->result.entry_count++;
    }
}

static void do_it(struct world *w, struct pending *p)
{
    uint8_t ino = 0;

    p->done = true;
    p->result.error = model_do(&w->model, &w->state, &p->what, w->next_ino, &ino);
    if (p->result.error)
        return;
    if (p->what.kind == LIN_CREATE || p->what.kind == LIN_MKDIR)
        w->next_ino++;
    if (p->what.kind == LIN_READDIR) {
        list(w, p);
        return;
    }
    p->result.ino = ino_of(ino);
    p->result.is_dir = model_set_has(&w->state.dirs, ino);
}

static void answer(struct world *w, struct pending *p)
{
    p->called = false;
    p->result.entries = p->entries;
    if (p->what.kind == LIN_RENAME)
        p->result.ino = 0;
    lin_return(w->h, p->op, w->now, &p->result);
    if (p->result.error == 0 && p->result.ino)
        told(w, (uint8_t)(p->result.ino - INO_BASE), p->result.is_dir);
    for (unsigned i = 0; i < p->result.entry_count; i++)
        told(w, (uint8_t)(p->entries[i].ino - INO_BASE), p->entries[i].is_dir);
}

static void step(struct world *w)
{
    unsigned client = roll(w, w->plan->clients);
    struct pending *p = &w->pending[client];

    w->now++;
    if (w->lost_count > 0 && roll(w, 20) == 0) {
        do_it(w, &w->lost[w->lost_count - 1]);
        w->lost_count--;
    }
    if (!p->called) {
        if (lin_op_count(w->h) < w->plan->ops)
            call(w, client, p);
        return;
    }
    if (!p->lost && !p->done && rng_percent(w->rng, w->plan->lost_percent)) {
        p->called = false; /* As if the client had died; another takes its place. */
        w->client_name[client] = w->next_name++;
        if (roll(w, 2) == 0 && w->lost_count < LOST_MAX)
            w->lost[w->lost_count++] = *p;
        return;
    }
    if (!p->done)
        do_it(w, p);
    else
        answer(w, p);
}

struct lin_history *random_history(struct rng *rng, const struct random_plan *plan)
{
    struct world w = {.rng = rng, .plan = plan, .h = lin_history_new(), .next_ino = ROOTS};
    unsigned steps = 4 * plan->ops;

    model_init(&w.state);
    for (uint8_t i = 0; i < ROOTS; i++) {
        model_root(&w.state, i);
        lin_root(w.h, ino_of(i));
        w.dirs[w.dir_count++] = i;
    }
    for (unsigned i = 0; i < plan->clients; i++)
        w.client_name[i] = w.next_name++;
    while (steps-- > 0)
        step(&w);
    return w.h;
}

/* ---- changes ---- */

static int other_error(struct rng *rng, const struct lin_event *e)
{
    static const int errors[][2] = {
        [LIN_CREATE] = {EEXIST, ENOENT}, [LIN_MKDIR] = {EEXIST, ENOENT},
        [LIN_LINK] = {EEXIST, ENOENT},   [LIN_UNLINK] = {ENOENT, EISDIR},
        [LIN_RMDIR] = {ENOENT, ENOTDIR}, [LIN_RENAME] = {ENOENT, EISDIR},
        [LIN_LOOKUP] = {ENOENT, ENOENT}, [LIN_READDIR] = {ENOENT, ENOENT},
    };

    return errors[e->op.kind][rng_below(rng, 2)];
}

static uint64_t any_told_ino(struct rng *rng, const struct lin_history *h)
{
    for (;;) {
        const struct lin_event *e = &h->events[rng_below(rng, h->count)];

        if (e->op.kind == LIN_READDIR || rng_below(rng, 8) == 0)
            return e->op.dir;
        if (e->has_return && e->result.ino)
            return e->result.ino;
    }
}

static void change_listing(struct rng *rng, const struct lin_history *h, struct lin_result *r,
                           struct lin_entry entries[LIN_ENTRIES_MAX])
{
    if (r->entry_count > 0)
        memcpy(entries, r->entries, r->entry_count * sizeof(entries[0]));
    r->entries = entries;
    if (r->entry_count > 0 && rng_below(rng, 2)) {
        entries[rng_below(rng, r->entry_count)] = entries[r->entry_count - 1];
        r->entry_count--;
        return;
    }
    entries[r->entry_count] = (struct lin_entry){.ino = any_told_ino(rng, h)};
    name_of((unsigned)rng_below(rng, 3), entries[r->entry_count].name);
    for (unsigned i = 0; i < r->entry_count; i++)
        if (strcmp(entries[i].name, entries[r->entry_count].name) == 0)
            snprintf(entries[r->entry_count].name, LIN_NAME_SIZE, "z");
    r->entry_count++;
}

static void change(struct rng *rng, const struct lin_history *h, const struct lin_event *e,
                   struct lin_result *r, struct lin_entry entries[LIN_ENTRIES_MAX])
{
    if (r->error) {
        *r = (struct lin_result){0}; /* An error that was none. */
        if (e->op.kind != LIN_READDIR && e->op.kind != LIN_RENAME && e->op.kind != LIN_LINK)
            r->ino = any_told_ino(rng, h);
    } else if (e->op.kind == LIN_READDIR) {
        change_listing(rng, h, r, entries);
    } else if (e->op.kind == LIN_LOOKUP && rng_below(rng, 2)) {
        while (r->ino == e->result.ino)
            r->ino = any_told_ino(rng, h);
    } else {
        *r = (struct lin_result){.error = other_error(rng, e)};
    }
}

struct lin_history *random_change(struct rng *rng, const struct lin_history *h)
{
    struct lin_history *copy = lin_history_new();
    struct lin_entry entries[LIN_ENTRIES_MAX];
    unsigned victim;

    do
        victim = (unsigned)rng_below(rng, h->count);
    while (!h->events[victim].has_return);
    for (unsigned i = 0; i < h->root_count; i++)
        lin_root(copy, h->roots[i]);
    for (unsigned i = 0; i < h->count; i++) {
        const struct lin_event *e = &h->events[i];
        struct lin_result r = e->result;
        unsigned op = lin_call(copy, e->called, &e->op);

        if (i == victim)
            change(rng, h, e, &r, entries);
        if (e->has_return)
            lin_return(copy, op, e->returned, &r);
    }
    return copy;
}
