#include <errno.h>
#include <string.h>

#include "tests/lin/model.h"

void model_init(struct model_state *s)
{
    memset(s, 0, sizeof(*s));
}

/* Where the entry is, or would be put. */
static unsigned place_of(const struct model_state *s, uint8_t dir, uint8_t name)
{
    unsigned i = 0;

    while (i < s->count &&
           (s->entries[i].dir < dir || (s->entries[i].dir == dir && s->entries[i].name < name)))
        i++;
    return i;
}

static struct model_entry *find(struct model_state *s, uint8_t dir, uint8_t name)
{
    unsigned i = place_of(s, dir, name);

    return i < s->count && s->entries[i].dir == dir && s->entries[i].name == name ? &s->entries[i]
                                                                                  : NULL;
}

static void put(struct model_state *s, uint8_t dir, uint8_t name, uint8_t ino)
{
    unsigned i = place_of(s, dir, name);

    memmove(&s->entries[i + 1], &s->entries[i], (s->count - i) * sizeof(s->entries[0]));
    s->entries[i] = (struct model_entry){dir, name, ino};
    s->count++;
}

static void take(struct model_state *s, const struct model_entry *e)
{
    unsigned i = (unsigned)(e - s->entries);

    s->count--;
    memmove(&s->entries[i], &s->entries[i + 1], (s->count - i) * sizeof(s->entries[0]));
}

/* The first entry that leads to ino. */
static const struct model_entry *link_of(const struct model_state *s, uint8_t ino)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->entries[i].ino == ino)
            return &s->entries[i];
    return NULL;
}

bool model_is_linked(const struct model_state *s, uint8_t ino)
{
    return link_of(s, ino) != NULL;
}

static unsigned count_in(const struct model_state *s, uint8_t dir)
{
    unsigned count = 0;

    for (unsigned i = 0; i < s->count; i++)
        count += s->entries[i].dir == dir;
    return count;
}

static bool is_dir(const struct model_state *s, uint8_t ino)
{
    return model_set_has(&s->dirs, ino);
}

/* dir is ancestor, or lies in the tree below it. */
static bool is_below(const struct model_state *s, uint8_t dir, uint8_t ancestor)
{
    while (dir != MODEL_OUTSIDE && dir != ancestor)
        dir = link_of(s, dir)->dir;
    return dir == ancestor;
}

static void bear(struct model_state *s, uint8_t ino, bool dir)
{
    model_set_put(&s->born, ino, true);
    model_set_put(&s->dirs, ino, dir);
}

void model_root(struct model_state *s, uint8_t ino)
{
    bear(s, ino, true);
    put(s, MODEL_OUTSIDE, ino, ino);
}

static int check_dir(const struct model_state *s, uint8_t dir)
{
    if (!is_dir(s, dir))
        return ENOTDIR;
    return model_is_linked(s, dir) ? 0 : ENOENT;
}

static int do_create(struct model_state *s, const struct model_op *op, uint8_t ino)
{
    if (find(s, op->dir, op->name))
        return EEXIST;
    bear(s, ino, op->kind == LIN_MKDIR);
    put(s, op->dir, op->name, ino);
    return 0;
}

static int do_link(struct model_state *s, const struct model_op *op)
{
    if (find(s, op->dir, op->name))
        return EEXIST;
    if (is_dir(s, op->ino))
        return EPERM;
    if (!model_is_linked(s, op->ino))
        return ENOENT;
    put(s, op->dir, op->name, op->ino);
    return 0;
}

static int do_remove(struct model_state *s, const struct model_op *op, const struct model_entry *e)
{
    if (op->kind == LIN_UNLINK && is_dir(s, e->ino))
        return EISDIR;
    if (op->kind == LIN_RMDIR && !is_dir(s, e->ino))
        return ENOTDIR;
    if (op->kind == LIN_RMDIR && count_in(s, e->ino) > 0)
        return ENOTEMPTY;
    take(s, e);
    return 0;
}

static int do_rename(const struct model *m, struct model_state *s, const struct model_op *op,
                     struct model_entry *from)
{
    struct model_entry *to = find(s, op->to_dir, op->to_name);
    bool exchange = op->flags & LIN_EXCHANGE;
    bool from_is_dir = is_dir(s, from->ino), to_is_dir = to && is_dir(s, to->ino);
    uint8_t ino = from->ino;

    if (to && op->flags & LIN_NOREPLACE)
        return EEXIST;
    if (!to && exchange)
        return ENOENT;
    if (op->dir != op->to_dir && from_is_dir && is_below(s, op->to_dir, ino))
        return EINVAL;
    if (op->dir != op->to_dir && to_is_dir && is_below(s, op->dir, to->ino))
        return exchange ? EINVAL : ENOTEMPTY;
    if (to && to->ino == ino)
        return 0; /* Two names of one file: both stay. */
    if (to && exchange) {
        from->ino = to->ino;
        to->ino = ino;
        return 0;
    }
    if (to && from_is_dir != to_is_dir)
        return from_is_dir ? ENOTDIR : EISDIR;
    if (to_is_dir && count_in(s, to->ino) > 0)
        return ENOTEMPTY;
    if (to)
        take(s, to);
    if (m->mutant != LIN_MUTANT_RENAME_KEEPS_SOURCE)
        take(s, find(s, op->dir, op->name));
    put(s, op->to_dir, op->to_name, ino);
    return 0;
}

int model_do(const struct model *m, struct model_state *s, const struct model_op *op, uint8_t ino,
             uint8_t *ret_ino)
{
    struct model_entry *e;
    int error = check_dir(s, op->dir);

    if (!error && op->kind == LIN_RENAME)
        error = check_dir(s, op->to_dir);
    if (error || op->kind == LIN_READDIR)
        return error;
    if (op->kind == LIN_CREATE || op->kind == LIN_MKDIR) {
        *ret_ino = ino;
        return do_create(s, op, ino);
    }
    if (op->kind == LIN_LINK) {
        *ret_ino = op->ino;
        return do_link(s, op);
    }
    e = find(s, op->dir, op->name);
    if (!e)
        return ENOENT;
    *ret_ino = e->ino;
    if (op->kind == LIN_LOOKUP)
        return 0;
    return op->kind == LIN_RENAME ? do_rename(m, s, op, e) : do_remove(s, op, e);
}

/* What an answer calls `told` is `ino` here: it is that, or may be that from now on. */
static bool bind(const struct model *m, struct model_state *s, uint8_t ino, uint8_t told)
{
    struct model_entry entries[MODEL_INODES];
    unsigned count = s->count;

    if (ino == told || m->mutant == LIN_MUTANT_ANY_INODE)
        return true;
    if (ino < m->fresh_from || model_set_has(&m->created, told) || model_set_has(&s->born, told))
        return false;
    memcpy(entries, s->entries, count * sizeof(entries[0]));
    bear(s, told, is_dir(s, ino));
    model_set_put(&s->born, ino, false);
    model_set_put(&s->dirs, ino, false);
    s->count = 0;
    for (unsigned i = 0; i < count; i++) {
        struct model_entry e = entries[i];

        put(s, e.dir == ino ? told : e.dir, e.name, e.ino == ino ? told : e.ino);
    }
    return true;
}

static bool explains_listing(const struct model *m, struct model_state *s,
                             const struct model_op *op)
{
    struct model_set seen = {0};

    if (count_in(s, op->dir) != op->listed_count && m->mutant != LIN_MUTANT_READDIR_SUBSET)
        return false;
    for (unsigned i = 0; i < op->listed_count; i++) {
        const struct model_listed *l = &op->listed[i];
        struct model_entry *e = find(s, op->dir, l->name);

        if (!e || model_set_has(&seen, l->name) || is_dir(s, e->ino) != l->is_dir ||
            !bind(m, s, e->ino, l->ino))
            return false;
        model_set_put(&seen, l->name, true);
    }
    return true;
}

/*
 * A removed inode is known for a while, as one without links, then its number is stale; which of the
 * two is not a question of order. Nor is whether a removed directory that is still held lists as
 * empty or not at all.
 */
static bool error_fits(const struct model *m, const struct model_state *s,
                       const struct model_op *op, int error)
{
    bool dir_is_gone =
        !model_is_linked(s, op->dir) || (op->kind == LIN_RENAME && !model_is_linked(s, op->to_dir));

    if (op->error == error || (m->mutant == LIN_MUTANT_ANY_ERROR && op->error && error))
        return true;
    if (op->kind == LIN_READDIR && dir_is_gone && op->error == 0)
        return op->listed_count == 0;
    if (op->error != ESTALE)
        return false;
    return dir_is_gone || (op->kind == LIN_LINK && !model_is_linked(s, op->ino));
}

static bool names_unborn(const struct model_state *s, const struct model_op *op)
{
    return !model_set_has(&s->born, op->dir) ||
           (op->kind == LIN_RENAME && !model_set_has(&s->born, op->to_dir)) ||
           (op->kind == LIN_LINK && !model_set_has(&s->born, op->ino));
}

enum model_step model_step(const struct model *m, struct model_state *s, const struct model_op *op)
{
    struct model_state before = *s;
    bool creates = op->kind == LIN_CREATE || op->kind == LIN_MKDIR;
    uint8_t ino = 0;
    int error;

    if (names_unborn(s, op))
        return MODEL_REFUTED;
    if (!op->answered) {
        error = model_do(m, s, op, op->fresh, &ino);
    } else {
        if (creates && op->tells_ino && model_set_has(&s->born, op->told_ino))
            return MODEL_REFUTED;
        error = model_do(m, s, op, op->tells_ino ? op->told_ino : op->fresh, &ino);
        if (!error_fits(m, &before, op, error))
            return MODEL_REFUTED;
        if (error == 0 && op->kind == LIN_READDIR && !explains_listing(m, s, op))
            return MODEL_REFUTED;
        if (error == 0 && op->kind == LIN_LOOKUP && is_dir(s, ino) != op->told_dir)
            return MODEL_REFUTED;
        if (error == 0 && op->tells_ino && !bind(m, s, ino, op->told_ino))
            return MODEL_REFUTED;
    }
    return s->count == before.count && memcmp(&s->born, &before.born, sizeof(s->born)) == 0 &&
                   memcmp(s->entries, before.entries, s->count * sizeof(s->entries[0])) == 0
               ? MODEL_SAME
               : MODEL_CHANGED;
}
