#include "tests/unit/namenode/posix_model.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { R = 4, W = 2, X = 1, ROOT_INO = 1 };

struct caller {
    const Dfs__Cred *cred;
    bool root;
};

void model_init(struct model *m, int64_t time)
{
    memset(m, 0, sizeof(*m));
    m->inodes[ROOT_INO] = (struct model_inode){
        .exists = true, .mode = S_IFDIR | 0755, .atime = time, .mtime = time, .ctime = time};
    m->next_ino = 2;
}

static struct model_inode *at(struct model *m, uint64_t ino)
{
    return ino < MODEL_INODES && m->inodes[ino].exists ? &m->inodes[ino] : NULL;
}

static bool is_dir(const struct model *m, uint64_t ino)
{
    return S_ISDIR(m->inodes[ino].mode);
}

uint32_t model_nlink(const struct model *m, uint64_t ino)
{
    uint32_t names = 0, subdirs = 0;

    for (unsigned i = 0; i < m->entry_count; i++) {
        names += m->entries[i].ino == ino;
        subdirs += m->entries[i].dir == ino && is_dir(m, m->entries[i].ino);
    }
    if (!is_dir(m, ino))
        return names;
    return names > 0 || ino == ROOT_INO ? 2 + subdirs : 0;
}

static bool is_empty(const struct model *m, uint64_t dir)
{
    for (unsigned i = 0; i < m->entry_count; i++) {
        if (m->entries[i].dir == dir)
            return false;
    }
    return true;
}

const struct model_entry *model_find(const struct model *m, uint64_t dir, const char *name)
{
    for (unsigned i = 0; i < m->entry_count; i++) {
        if (m->entries[i].dir == dir && strcmp(m->entries[i].name, name) == 0)
            return &m->entries[i];
    }
    return NULL;
}

static struct model_entry *find(struct model *m, uint64_t dir, const char *name)
{
    return (struct model_entry *)(uintptr_t)model_find(m, dir, name);
}

static uint64_t parent_of(const struct model *m, uint64_t ino)
{
    for (unsigned i = 0; i < m->entry_count; i++) {
        if (m->entries[i].ino == ino)
            return m->entries[i].dir;
    }
    return 0;
}

static bool in_group(const struct caller *c, uint32_t gid)
{
    for (size_t i = 0; i < c->cred->n_groups; i++) {
        if (c->cred->groups[i] == gid)
            return true;
    }
    return c->cred->gid == gid;
}

static bool may(const struct caller *c, const struct model_inode *i, uint32_t want)
{
    unsigned shift = c->cred->uid == i->uid ? 6 : in_group(c, i->gid) ? 3 : 0;

    if (c->root)
        return true; /* Never asked about running a file here. */
    return (i->mode >> shift & want) == want;
}

/* Can names be looked up in it? */
static int check_dir(struct model *m, const struct caller *c, uint64_t ino)
{
    struct model_inode *dir = at(m, ino);

    if (!dir)
        return -ESTALE;
    if (!S_ISDIR(dir->mode))
        return -ENOTDIR;
    if (!may(c, dir, X))
        return -EACCES;
    return model_nlink(m, ino) == 0 ? -ENOENT : 0;
}

static int may_remove(struct model *m, const struct caller *c, const struct model_entry *e)
{
    struct model_inode *dir = at(m, e->dir);

    if (!may(c, dir, W | X))
        return -EACCES;
    if (dir->mode & S_ISVTX && !c->root && c->cred->uid != dir->uid &&
        c->cred->uid != at(m, e->ino)->uid)
        return -EPERM;
    return 0;
}

static void touch(struct model *m, uint64_t dir, int64_t time)
{
    m->inodes[dir].mtime = m->inodes[dir].ctime = time;
}

static void add_entry(struct model *m, uint64_t dir, const char *name, uint64_t ino)
{
    struct model_entry *e = &m->entries[m->entry_count++];

    e->dir = dir;
    e->ino = ino;
    memcpy(e->name, name, strlen(name) + 1);
}

static void remove_entry(struct model *m, struct model_entry *e)
{
    *e = m->entries[--m->entry_count];
}

static int do_create(struct model *m, const struct caller *c, const Dfs__CreateOp *op,
                     const char *name, int64_t time, uint64_t *ret_ino)
{
    const struct model_entry *found;
    struct model_inode *dir, *new;
    int r = check_dir(m, c, op->parent);

    if (r < 0)
        return r;
    found = find(m, op->parent, name);
    if (found && !op->exclusive && S_ISREG(op->mode)) {
        *ret_ino = found->ino;
        if (is_dir(m, found->ino))
            return -EISDIR;
        return S_ISREG(at(m, found->ino)->mode) ? 0 : -EEXIST;
    }
    if (found)
        return -EEXIST;
    dir = at(m, op->parent);
    if (!may(c, dir, W))
        return -EACCES;
    if ((S_ISCHR(op->mode) || S_ISBLK(op->mode)) && !c->root)
        return -EPERM;
    *ret_ino = m->next_ino++;
    new = &m->inodes[*ret_ino];
    *new = (struct model_inode){.exists = true,
                                .mode = op->mode,
                                .uid = c->cred->uid,
                                .gid = c->cred->gid,
                                .atime = time,
                                .mtime = time,
                                .ctime = time};
    if (S_ISLNK(op->mode)) {
        new->mode = S_IFLNK | 0777;
        new->size = op->target.len;
    }
    if (dir->mode & S_ISGID) {
        new->gid = dir->gid;
        if (S_ISDIR(op->mode))
            new->mode |= S_ISGID;
        else if ((new->mode & 02010) == 02010 && !c->root && !in_group(c, dir->gid))
            new->mode &= ~(uint32_t)S_ISGID;
    }
    add_entry(m, op->parent, name, *ret_ino);
    touch(m, op->parent, time);
    return 0;
}

static int do_link(struct model *m, const struct caller *c, const Dfs__LinkOp *op, const char *name,
                   int64_t time, uint64_t *ret_ino)
{
    int r;

    if (!at(m, op->ino))
        return -ESTALE;
    r = check_dir(m, c, op->parent);
    if (r < 0)
        return r;
    if (find(m, op->parent, name))
        return -EEXIST;
    if (!may(c, at(m, op->parent), W))
        return -EACCES;
    if (is_dir(m, op->ino))
        return -EPERM;
    if (model_nlink(m, op->ino) == 0)
        return -ENOENT;
    add_entry(m, op->parent, name, op->ino);
    at(m, op->ino)->ctime = time;
    touch(m, op->parent, time);
    *ret_ino = op->ino;
    return 0;
}

static int do_remove(struct model *m, const struct caller *c, uint64_t parent, const char *name,
                     bool rmdir, int64_t time, uint64_t *ret_ino)
{
    struct model_entry *e;
    int r = check_dir(m, c, parent);

    if (r < 0)
        return r;
    e = find(m, parent, name);
    if (!e)
        return -ENOENT;
    r = may_remove(m, c, e);
    if (r < 0)
        return r;
    if (is_dir(m, e->ino) != rmdir)
        return rmdir ? -ENOTDIR : -EISDIR;
    if (rmdir && !is_empty(m, e->ino))
        return -ENOTEMPTY;
    *ret_ino = e->ino;
    at(m, e->ino)->ctime = time;
    remove_entry(m, e);
    touch(m, parent, time);
    return 0;
}

/* rm -r: what is deepest first, in the order of names; the first error ends it. */
static int do_remove_tree(struct model *m, const struct caller *c, uint64_t parent,
                          const char *name, int64_t time)
{
    struct model_entry *e;
    uint64_t ino, unused;
    int r = check_dir(m, c, parent);

    if (r < 0)
        return r;
    e = find(m, parent, name);
    if (!e)
        return -ENOENT;
    ino = e->ino;
    if (!is_dir(m, ino))
        return do_remove(m, c, parent, name, false, time, &unused);
    while (!is_empty(m, ino)) {
        const struct model_entry *first = NULL;
        char child[MODEL_NAME_SIZE];

        if (!may(c, at(m, ino), R) || !may(c, at(m, ino), X))
            return -EACCES;
        for (unsigned i = 0; i < m->entry_count; i++) {
            if (m->entries[i].dir == ino && (!first || strcmp(m->entries[i].name, first->name) < 0))
                first = &m->entries[i];
        }
        (void)strcpy(child, first->name);
        r = do_remove_tree(m, c, ino, child, time);
        if (r < 0)
            return r;
    }
    return do_remove(m, c, parent, name, true, time, &unused);
}

static bool lies_in(const struct model *m, uint64_t ino, uint64_t tree)
{
    for (; ino != 0; ino = parent_of(m, ino)) {
        if (ino == tree)
            return true;
    }
    return false;
}

static int check_rename(struct model *m, const struct caller *c, const struct model_entry *from,
                        const struct model_entry *to, uint64_t to_dir, bool exchange)
{
    bool moves = from->dir != to_dir, source_is_dir = is_dir(m, from->ino);
    int r;

    if (moves && source_is_dir && lies_in(m, to_dir, from->ino))
        return -EINVAL;
    if (moves && to && is_dir(m, to->ino) && lies_in(m, from->dir, to->ino))
        return exchange ? -EINVAL : -ENOTEMPTY;
    if (to && to->ino == from->ino)
        return 1;
    r = may_remove(m, c, from);
    if (r < 0)
        return r;
    if (to)
        r = may_remove(m, c, to);
    else if (!may(c, at(m, to_dir), W))
        r = -EACCES;
    if (r < 0)
        return r;
    if (to && !exchange && source_is_dir && !is_dir(m, to->ino))
        return -ENOTDIR;
    if (to && !exchange && !source_is_dir && is_dir(m, to->ino))
        return -EISDIR;
    if (moves && source_is_dir && !may(c, at(m, from->ino), W))
        return -EACCES;
    if (moves && exchange && is_dir(m, to->ino) && !may(c, at(m, to->ino), W))
        return -EACCES;
    if (to && !exchange && is_dir(m, to->ino) && !is_empty(m, to->ino))
        return -ENOTEMPTY;
    return 0;
}

static int do_rename(struct model *m, const struct caller *c, const Dfs__RenameOp *op,
                     const char *name, const char *new_name, int64_t time, uint64_t *ret_ino)
{
    struct model_entry *from, *to;
    bool exchange = op->flags == 2;
    uint64_t source;
    int r;

    if (op->flags > 2)
        return -EINVAL;
    r = check_dir(m, c, op->parent);
    if (r == 0)
        r = check_dir(m, c, op->new_parent);
    if (r < 0)
        return r;
    from = find(m, op->parent, name);
    if (!from)
        return -ENOENT;
    to = find(m, op->new_parent, new_name);
    if (to && op->flags == 1)
        return -EEXIST;
    if (!to && exchange)
        return -ENOENT;
    *ret_ino = source = from->ino;
    r = check_rename(m, c, from, to, op->new_parent, exchange);
    if (r != 0)
        return r < 0 ? r : 0;
    at(m, source)->ctime = time;
    if (to)
        at(m, to->ino)->ctime = time;
    if (exchange) {
        from->ino = to->ino;
        to->ino = source;
    } else {
        if (to)
            remove_entry(m, to);
        remove_entry(m, find(m, op->parent, name));
        add_entry(m, op->new_parent, new_name, source);
    }
    touch(m, op->parent, time);
    touch(m, op->new_parent, time);
    return 0;
}

static int do_setattr(struct model *m, const struct caller *c, const Dfs__SetattrOp *op,
                      int64_t time, uint64_t *ret_ino)
{
    struct model_inode *i = at(m, op->ino);
    bool owner;

    if (!i)
        return -ESTALE;
    owner = c->root || c->cred->uid == i->uid;
    *ret_ino = op->ino;
    if (op->valid & 2 && !c->root && !(owner && op->uid == i->uid))
        return -EPERM;
    if (op->valid & 4 && !c->root && !(owner && (op->gid == i->gid || in_group(c, op->gid))))
        return -EPERM;
    if (op->valid & 1 && !owner)
        return -EPERM;
    if (op->valid & (8 | 16 | 32 | 64) && !owner) {
        if ((op->valid & (8 | 16 | 32 | 64)) != (32 | 64))
            return -EPERM;
        if (!may(c, i, W))
            return -EACCES;
    }
    if (op->valid & (2 | 4) && !S_ISDIR(i->mode)) {
        if (i->mode & S_IXGRP || !(c->root || in_group(c, i->gid)))
            i->mode &= ~(uint32_t)S_ISGID;
        i->mode &= ~(uint32_t)S_ISUID;
    }
    if (op->valid & 2)
        i->uid = op->uid;
    if (op->valid & 4)
        i->gid = op->gid;
    if (op->valid & 1) {
        i->mode = (i->mode & S_IFMT) | (op->mode & 07777);
        if (!c->root && !in_group(c, i->gid))
            i->mode &= ~(uint32_t)S_ISGID;
    }
    if (op->valid & 8)
        i->atime = op->atime_ns;
    if (op->valid & 16)
        i->mtime = op->mtime_ns;
    if (op->valid & 32)
        i->atime = time;
    if (op->valid & 64)
        i->mtime = time;
    if (op->valid)
        i->ctime = time;
    return 0;
}

static int do_truncate(struct model *m, const struct caller *c, const Dfs__TruncateOp *op,
                       int64_t time, uint64_t *ret_ino)
{
    struct model_inode *i = at(m, op->ino);

    if (!i)
        return -ESTALE;
    if (S_ISDIR(i->mode))
        return -EISDIR;
    if (!S_ISREG(i->mode))
        return -EINVAL;
    if (!may(c, i, W))
        return -EACCES;
    i->size = op->size;
    touch(m, op->ino, time);
    if (!c->root) {
        if (i->mode & S_IXGRP || !in_group(c, i->gid))
            i->mode &= ~(uint32_t)S_ISGID;
        i->mode &= ~(uint32_t)S_ISUID;
    }
    *ret_ino = op->ino;
    return 0;
}

static const char *text(ProtobufCBinaryData b, char out[MODEL_NAME_SIZE])
{
    memcpy(out, b.data, b.len);
    out[b.len] = '\0';
    return out;
}

/* ---- rm -r in slices ---- */

struct slice {
    struct model *m;
    const struct caller *c;
    int64_t time;
    unsigned left;
    char from[2048]; /* what is left of the path where it begins */
    struct model_slice *out;
};

/* The first component of the path, if it says anything about this directory; the rest stays. */
static void take_from(struct slice *s, char out[MODEL_NAME_SIZE])
{
    size_t len = strcspn(s->from, "/");

    out[0] = '\0';
    if (len < MODEL_NAME_SIZE) {
        memcpy(out, s->from, len);
        out[len] = '\0';
    }
}

/* What follows speaks of the child, if the first component was its name. */
static void go_below(struct slice *s, const char *child)
{
    size_t len = strlen(child);

    if (strncmp(s->from, child, len) == 0 && s->from[len] == '/')
        memmove(s->from, s->from + len + 1, strlen(s->from + len + 1) + 1);
    else
        s->from[0] = '\0';
}

/* In the order of names, the first from that one on. */
static const struct model_entry *next_entry(const struct model *m, uint64_t dir, const char *from)
{
    const struct model_entry *next = NULL;

    for (unsigned i = 0; i < m->entry_count; i++) {
        const struct model_entry *e = &m->entries[i];

        if (e->dir == dir && strcmp(e->name, from) >= 0 &&
            (next == NULL || strcmp(e->name, next->name) < 0))
            next = e;
    }
    return next;
}

/* 1: all is gone, 0: the limit was reached. */
static int slice_remove(struct slice *s, uint64_t parent, const char *name)
{
    uint64_t ino = find(s->m, parent, name)->ino, unused;
    bool dir = is_dir(s->m, ino);
    char from[MODEL_NAME_SIZE], child[MODEL_NAME_SIZE];
    int r;

    if (s->left == 0)
        return 0;
    if (dir && !is_empty(s->m, ino))
        take_from(s, from);
    while (dir && !is_empty(s->m, ino)) {
        const struct model_entry *e = next_entry(s->m, ino, from);

        if (e == NULL) {
            from[0] = '\0';
            continue;
        }
        (void)strcpy(child, e->name);
        (void)strcpy(from, child);
        if (is_dir(s->m, e->ino) && !is_empty(s->m, e->ino))
            go_below(s, child);
        r = slice_remove(s, ino, child);
        if (r <= 0)
            return r;
    }
    if (s->left == 0)
        return 0;
    r = do_remove(s->m, s->c, parent, name, dir, s->time, &unused);
    if (r < 0)
        return r;
    s->left--;
    s->out->files += !dir;
    s->out->directories += dir;
    return 1;
}

int model_remove_slice(struct model *m, const Dfs__MetaRequest *req, int64_t time,
                       struct model_slice *ret_slice)
{
    const Dfs__RemoveTreeOp *op = req->remove_tree;
    struct caller c = {.cred = req->cred, .root = req->cred->uid == 0};
    struct slice s = {.m = m, .c = &c, .time = time, .left = op->limit, .out = ret_slice};
    char name[MODEL_NAME_SIZE];
    int r = check_dir(m, &c, op->parent);

    *ret_slice = (struct model_slice){0};
    if (r < 0)
        return r;
    if (find(m, op->parent, text(op->name, name)) == NULL)
        return -ENOENT;
    if (op->from.len > 0 && op->from.len < sizeof(s.from))
        memcpy(s.from, op->from.data, op->from.len);
    r = slice_remove(&s, op->parent, name);
    ret_slice->done = r == 1;
    return r < 0 ? r : 0;
}

int model_apply(struct model *m, const Dfs__MetaRequest *req, int64_t time, uint64_t *ret_ino)
{
    struct caller c = {.cred = req->cred, .root = req->cred->uid == 0};
    char a[MODEL_NAME_SIZE], b[MODEL_NAME_SIZE];

    switch (req->op_case) {
    case DFS__META_REQUEST__OP_CREATE:
        return do_create(m, &c, req->create, text(req->create->name, a), time, ret_ino);
    case DFS__META_REQUEST__OP_LINK:
        return do_link(m, &c, req->link, text(req->link->name, a), time, ret_ino);
    case DFS__META_REQUEST__OP_UNLINK:
        return do_remove(m, &c, req->unlink->parent, text(req->unlink->name, a), false, time,
                         ret_ino);
    case DFS__META_REQUEST__OP_RMDIR:
        return do_remove(m, &c, req->rmdir->parent, text(req->rmdir->name, a), true, time, ret_ino);
    case DFS__META_REQUEST__OP_REMOVE_TREE:
        return do_remove_tree(m, &c, req->remove_tree->parent, text(req->remove_tree->name, a),
                              time);
    case DFS__META_REQUEST__OP_RENAME:
        return do_rename(m, &c, req->rename, text(req->rename->name, a),
                         text(req->rename->new_name, b), time, ret_ino);
    case DFS__META_REQUEST__OP_SETATTR:
        return do_setattr(m, &c, req->setattr, time, ret_ino);
    case DFS__META_REQUEST__OP_TRUNCATE:
        return do_truncate(m, &c, req->truncate, time, ret_ino);
    case DFS__META_REQUEST__OP_REAP:
        if (!at(m, req->reap->ino) || model_nlink(m, req->reap->ino) > 0)
            return -ENOENT;
        m->inodes[req->reap->ino].exists = false;
        *ret_ino = 0;
        return 0;
    default:
        return -EPROTO;
    }
}
