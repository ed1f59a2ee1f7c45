#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/lin/component.h"

/* ---- partition: union-find over the inodes that operations name ---- */

enum { INODES_PER_OP = 4 + LIN_ENTRIES_MAX };

struct inodes {
    uint64_t *v; /* sorted, each once */
    unsigned *parent;
    unsigned count;
};

static bool creates(const struct lin_op *op)
{
    return op->kind == LIN_CREATE || op->kind == LIN_MKDIR;
}

/* All that the event names or tells. */
static unsigned inodes_of(const struct lin_event *e, uint64_t out[INODES_PER_OP],
                          enum lin_mutant mutant)
{
    unsigned count = 0;

    out[count++] = e->op.dir;
    if (e->op.kind == LIN_RENAME && mutant != LIN_MUTANT_SPLIT_BY_FIRST_DIR)
        out[count++] = e->op.to_dir;
    if (e->op.kind == LIN_LINK)
        out[count++] = e->op.ino;
    if (!e->has_return || e->result.error || mutant == LIN_MUTANT_SPLIT_BY_NAME)
        return count;
    if (e->result.ino)
        out[count++] = e->result.ino;
    for (unsigned i = 0; i < e->result.entry_count; i++)
        out[count++] = e->result.entries[i].ino;
    return count;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static unsigned find_inode(const struct inodes *n, uint64_t ino)
{
    const uint64_t *at = bsearch(&ino, n->v, n->count, sizeof(n->v[0]), compare_u64);

    return (unsigned)(at - n->v);
}

static unsigned root_of(struct inodes *n, unsigned i)
{
    while (n->parent[i] != i)
        i = n->parent[i] = n->parent[n->parent[i]];
    return i;
}

static void inodes_init(struct inodes *n, const struct lin_history *h, enum lin_mutant mutant)
{
    uint64_t of[INODES_PER_OP];
    unsigned kept = 0, room = 0;

    *n = (struct inodes){0};
    for (unsigned i = 0; i < h->count; i++) {
        unsigned count = inodes_of(&h->events[i], of, mutant);

        if (n->count + count > room) {
            room = 2 * room + INODES_PER_OP;
            n->v = mem_realloc(n->v, room, sizeof(n->v[0]));
        }
        memcpy(n->v + n->count, of, count * sizeof(of[0]));
        n->count += count;
    }
    if (n->count > 0)
        qsort(n->v, n->count, sizeof(n->v[0]), compare_u64);
    for (unsigned i = 0; i < n->count; i++)
        if (i == 0 || n->v[i] != n->v[kept - 1])
            n->v[kept++] = n->v[i];
    n->count = kept;
    n->parent = mem_zalloc(kept + 1, sizeof(n->parent[0]));
    for (unsigned i = 0; i < kept; i++)
        n->parent[i] = i;
    for (unsigned i = 0; i < h->count; i++) {
        unsigned count = inodes_of(&h->events[i], of, mutant);

        for (unsigned k = 1; k < count; k++)
            n->parent[root_of(n, find_inode(n, of[k]))] = root_of(n, find_inode(n, of[0]));
    }
}

void partition_init(struct partition *p, const struct lin_history *h, enum lin_mutant mutant)
{
    struct inodes n;
    unsigned *place, sum = 0; /* of an inode's component in p->events, to begin with */

    inodes_init(&n, h, mutant);
    p->events = mem_zalloc(h->count + 1, sizeof(p->events[0]));
    p->starts = mem_zalloc(n.count + 1, sizeof(p->starts[0]));
    p->count = 0;
    place = mem_zalloc(n.count + 1, sizeof(place[0]));
    for (unsigned i = 0; i < h->count; i++)
        place[root_of(&n, find_inode(&n, h->events[i].op.dir))]++;
    for (unsigned i = 0; i < n.count; i++) {
        unsigned size = place[i];

        place[i] = sum;
        if (size > 0)
            p->starts[p->count++] = sum;
        sum += size;
    }
    p->starts[p->count] = sum;
    for (unsigned i = 0; i < h->count; i++)
        p->events[place[root_of(&n, find_inode(&n, h->events[i].op.dir))]++] = i;
    free(place);
    free(n.v);
    free(n.parent);
}

void partition_done(struct partition *p)
{
    free(p->events);
    free(p->starts);
}

/* ---- one component ---- */

struct maker {
    struct component *c;
    const struct lin_history *h;
    uint64_t until;
    uint64_t inodes[MODEL_INODES];
    unsigned inode_count;
    const char *names[MODEL_INODES];
    unsigned name_count;
    unsigned listed_count;
    bool too_large;
};

static uint8_t inode_number(struct maker *mk, uint64_t ino)
{
    unsigned i = 0;

    while (i < mk->inode_count && mk->inodes[i] != ino)
        i++;
    if (i == MODEL_OUTSIDE) {
        mk->too_large = true;
        return 0;
    }
    if (i == mk->inode_count)
        mk->inodes[mk->inode_count++] = ino;
    return (uint8_t)i;
}

static uint8_t name_number(struct maker *mk, const char *name)
{
    unsigned i = 0;

    while (i < mk->name_count && strcmp(mk->names[i], name) != 0)
        i++;
    if (i == MODEL_INODES) {
        mk->too_large = true;
        return 0;
    }
    if (i == mk->name_count)
        mk->names[mk->name_count++] = name;
    return (uint8_t)i;
}

static bool is_answered(const struct maker *mk, const struct lin_event *e)
{
    return e->has_return && e->returned <= mk->until;
}

static void make_op(struct maker *mk, const struct lin_event *e, struct model_op *op)
{
    *op = (struct model_op){
        .kind = e->op.kind,
        .dir = inode_number(mk, e->op.dir),
        .name = name_number(mk, e->op.name),
        .flags = e->op.flags,
        .answered = is_answered(mk, e),
    };
    if (op->kind == LIN_RENAME) {
        op->to_dir = inode_number(mk, e->op.to_dir);
        op->to_name = name_number(mk, e->op.to_name);
    }
    if (op->kind == LIN_LINK)
        op->ino = inode_number(mk, e->op.ino);
    if (!op->answered)
        return;
    op->error = e->result.error;
    op->told_dir = e->result.is_dir;
    op->tells_ino = !op->error && e->result.ino && op->kind != LIN_LINK && op->kind != LIN_RENAME;
    if (op->tells_ino)
        op->told_ino = inode_number(mk, e->result.ino);
    if (op->tells_ino && creates(&e->op))
        model_set_put(&mk->c->model.created, op->told_ino, true);
    op->listed = &mk->c->listed[mk->listed_count];
    op->listed_count = e->result.entry_count;
    for (unsigned i = 0; i < op->listed_count; i++) {
        const struct lin_entry *l = &e->result.entries[i];

        mk->c->listed[mk->listed_count++] =
            (struct model_listed){name_number(mk, l->name), inode_number(mk, l->ino), l->is_dir};
    }
}

static void give_fresh_inodes(struct maker *mk)
{
    struct component *c = mk->c;

    c->model.fresh_from = mk->inode_count;
    for (unsigned i = 0; i < c->count; i++) {
        struct model_op *op = &c->ops[i];

        if ((op->answered && (op->error || op->tells_ino)) ||
            (op->kind != LIN_CREATE && op->kind != LIN_MKDIR))
            continue;
        if (mk->inode_count == MODEL_OUTSIDE) {
            mk->too_large = true;
            return;
        }
        op->fresh = (uint8_t)mk->inode_count++;
    }
}

/* A directory whose creation was cut off is there from the start, for the mutants that cut too much. */
static void make_lost_roots(struct component *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        const uint8_t dirs[] = {c->ops[i].dir, c->ops[i].to_dir};

        for (unsigned k = 0; k < (c->ops[i].kind == LIN_RENAME ? 2 : 1); k++)
            if (!model_set_has(&c->start.born, dirs[k]) &&
                !model_set_has(&c->model.created, dirs[k]))
                model_root(&c->start, dirs[k]);
    }
}

static void make_roots(struct maker *mk)
{
    struct component *c = mk->c;
    enum lin_mutant mutant = c->model.mutant;

    model_init(&c->start);
    if (mutant == LIN_MUTANT_SPLIT_BY_FIRST_DIR || mutant == LIN_MUTANT_SPLIT_BY_NAME)
        make_lost_roots(c);
    for (unsigned i = 0; i < mk->inode_count; i++)
        for (unsigned k = 0; k < mk->h->root_count; k++)
            if (mk->inodes[i] == mk->h->roots[k] && !model_set_has(&c->start.born, i))
                model_root(&c->start, (uint8_t)i);
}

/* Returns, then what never returns by its call. */
static int compare_events(const void *a, const void *b, void *ctx)
{
    const struct maker *mk = ctx;
    const struct lin_event *x = &mk->h->events[*(const unsigned *)a];
    const struct lin_event *y = &mk->h->events[*(const unsigned *)b];
    bool x_answered = is_answered(mk, x), y_answered = is_answered(mk, y);
    uint64_t s, t;

    if (x_answered != y_answered)
        return x_answered ? -1 : 1;
    s = x_answered ? x->returned : x->called;
    t = y_answered ? y->returned : y->called;
    if (s != t)
        return s < t ? -1 : 1;
    return *(const unsigned *)a < *(const unsigned *)b ? -1 : 1;
}

static void leave_out_unanswered_reads(struct maker *mk, const unsigned *events, unsigned count)
{
    struct component *c = mk->c;
    unsigned listed = 0;

    for (unsigned i = 0; i < count && !mk->too_large; i++) {
        const struct lin_event *e = &mk->h->events[events[i]];
        bool reads = e->op.kind == LIN_LOOKUP || e->op.kind == LIN_READDIR;

        if (e->called > mk->until || (reads && !is_answered(mk, e)))
            continue;
        if (c->count == LIN_OPS_MAX) {
            mk->too_large = true;
            return;
        }
        c->event[c->count++] = events[i];
        listed += e->result.entry_count;
    }
    c->listed = mem_zalloc(listed + 1, sizeof(c->listed[0]));
}

bool component_init(struct component *c, const struct lin_history *h, const unsigned *events,
                    unsigned count, uint64_t until, enum lin_mutant mutant)
{
    struct maker mk = {.c = c, .h = h, .until = until};

    *c = (struct component){.model.mutant = mutant};
    leave_out_unanswered_reads(&mk, events, count);
    if (mk.too_large)
        return false;
    qsort_r(c->event, c->count, sizeof(c->event[0]), compare_events, &mk);
    for (unsigned i = 0; i < c->count && !mk.too_large; i++) {
        const struct lin_event *e = &h->events[c->event[i]];

        make_op(&mk, e, &c->ops[i]);
        c->called[i] = e->called;
        c->returned[i] = c->ops[i].answered ? e->returned : UINT64_MAX;
        if (mutant == LIN_MUTANT_UNKNOWN_ALWAYS && !c->ops[i].answered)
            c->returned[i] = e->called;
        c->answered += c->ops[i].answered;
    }
    give_fresh_inodes(&mk);
    make_roots(&mk);
    return !mk.too_large;
}

void component_done(struct component *c)
{
    free(c->listed);
}
