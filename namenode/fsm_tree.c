/*
 * rm -r in slices. A slice goes down from the name by the first entry of each directory to what can
 * be removed, and works from there, in the order of names, until its limit is reached:
 *
 *   levels[0]  the directory that holds the name; its only entry is the name
 *   levels[1]  the directory of that name, a page of its entries
 *   levels[n]  the directory that is being emptied
 *
 * A level that is empty is left, and its entry in the level above is then an empty directory, which
 * rmdir takes. Nothing is remembered from slice to slice: the path that a reply ends with saves the
 * next slice the walk over what is gone already (the store keeps a mark of each removed entry for a
 * while), and any other path, or none, leads to the same end.
 *
 * The work of a slice: as many removals as its limit says, a page read for each directory entered, and
 * each directory entered is removed, but for the TREE_SLICE_DEPTH at the end.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm_ops.h"

enum { PAGE = 32 };

struct entry {
    ProtobufCBinaryData name; /* in the arena */
    uint64_t ino;
    uint32_t type;
};

struct level {
    uint64_t dir;
    bool has_after;
    ProtobufCBinaryData after; /* the entry that is next, or was last: names below it are gone */
    struct entry *page;
    unsigned count, at;
};

struct tree {
    struct tx *tx;
    struct cred cred;
    uint32_t left;            /* entries that may still be removed */
    ProtobufCBinaryData from; /* what is left of the request's */
    Dfs__TreeReply *reply;
    unsigned depth; /* levels[depth] is the one being worked on */
    struct level levels[TREE_SLICE_DEPTH + 1];
};

/* ---- pages of entries ---- */

static int add_entry(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
                     size_t value_len)
{
    struct tree *t = ctx;
    struct level *l = &t->levels[t->depth];
    struct entry *e = &l->page[l->count];
    struct dentry_rec d;

    if (key_len <= 9 || dentry_rec_decode(value, value_len, &d) < 0)
        return tx_fail(t->tx, -EBADMSG);
    *e = (struct entry){.ino = d.ino, .type = d.type};
    e->name.len = key_len - 9;
    e->name.data = arena_memdup(&t->tx->arena, key + 9, e->name.len);
    return ++l->count == MIN((uint32_t)PAGE, t->left);
}

/* Entries from `after` on. 1: there are, 0: the directory is empty. */
static int page_read(struct tree *t, struct level *l)
{
    struct inode_rec dir;
    struct key from;
    int r;

    l->at = l->count = 0;
    if (!l->page)
        l->page = arena_alloc(&t->tx->arena, PAGE * sizeof(*l->page));
    key_name(&from, 'D', l->dir, l->after.data, l->has_after ? l->after.len : 0);
    r = tx_scan(t->tx, &from, 9, add_entry, t);
    if (r < 0 || l->count > 0)
        return r < 0 ? r : 1;
    r = tx_inode_get(t->tx, l->dir, &dir);
    if (r < 0)
        return tx_fail(t->tx, -EBADMSG);
    if (dir.entry_count == 0)
        return 0;
    if (!l->has_after)
        return tx_fail(t->tx, -EBADMSG); /* Counted, and not there. */
    l->has_after = false; /* Made meanwhile, in front of where the last slice stopped. */
    return page_read(t, l);
}

/* ---- the path of a reply ---- */

/* The names of the entries at hand below the top, with slashes; in the arena. */
static ProtobufCBinaryData path_here(struct tree *t)
{
    ProtobufCBinaryData path = {.len = 0};

    path.data = arena_alloc(&t->tx->arena, (TREE_SLICE_DEPTH + 1) * (NAME_BYTES_MAX + 1));
    for (unsigned i = 1; i <= t->depth && t->levels[i].has_after; i++) {
        const struct level *l = &t->levels[i];

        if (path.len > 0)
            path.data[path.len++] = '/';
        memcpy(path.data + path.len, l->after.data, l->after.len);
        path.len += l->after.len;
    }
    return path;
}

/* A path that is too long keeps its beginning: the levels below it are looked at from the start. */
static void stop_here(struct tree *t)
{
    ProtobufCBinaryData path = path_here(t);

    while (path.len > TREE_NEXT_BYTES_MAX) {
        const uint8_t *slash = memrchr(path.data, '/', path.len);

        path.len = (size_t)(slash - path.data);
    }
    t->reply->next = path;
}

/* A path that is too long keeps its end: the beginning is what the caller knows. */
static void stop_with_error(struct tree *t, int error)
{
    ProtobufCBinaryData path = path_here(t);

    while (path.len > TREE_FAILED_BYTES_MAX) {
        const uint8_t *slash = memchr(path.data, '/', path.len);
        size_t cut = (size_t)(slash - path.data) + 1;

        path.data += cut;
        path.len -= cut;
    }
    t->reply->error = error;
    t->reply->path = path;
}

/* ---- the walk ---- */

/* The part of `from` for the level below the entry, if it says anything about it. */
static void take_hint(struct tree *t, const struct entry *e, struct level *below)
{
    ProtobufCBinaryData *from = &t->from;
    const uint8_t *slash;
    size_t len;

    if (from->len == 0)
        return;
    /* The path begins below the name itself. */
    if (t->depth > 0) {
        slash = memchr(from->data, '/', from->len);
        len = slash ? (size_t)(slash - from->data) : from->len;
        if (!slash || len != e->name.len || memcmp(from->data, e->name.data, len) != 0) {
            from->len = 0;
            return;
        }
        from->data += len + 1;
        from->len -= len + 1;
    }
    slash = memchr(from->data, '/', from->len);
    len = slash ? (size_t)(slash - from->data) : from->len;
    if (len == 0 || len > NAME_BYTES_MAX) {
        from->len = 0;
        return;
    }
    below->has_after = true;
    below->after = (ProtobufCBinaryData){.data = from->data, .len = len};
}

/* Into a directory that is not empty. 0, 1: it is too deep, or the error that ends the slice. */
static int enter(struct tree *t, const struct entry *e, const struct inode_rec *dir)
{
    struct level *below;
    int r;

    r = perm_access(&t->cred, dir, PERM_READ | PERM_EXEC);
    if (r < 0)
        return r;
    if (t->depth == TREE_SLICE_DEPTH) {
        t->reply->deep_parent = t->levels[t->depth].dir;
        t->reply->deep_name = e->name;
        stop_here(t);
        return 1;
    }
    below = &t->levels[t->depth + 1];
    *below = (struct level){.dir = e->ino, .page = below->page};
    take_hint(t, e, below);
    t->depth++;
    return 0;
}

static int remove_entry(struct tree *t, struct level *l, const struct entry *e)
{
    struct inode_rec inode;
    int r;

    if (e->type != S_IFDIR) {
        r = dir_unlink(t->tx, &t->cred, l->dir, e->name, &inode);
        t->reply->files += r == 0;
    } else {
        r = tx_inode_get(t->tx, e->ino, &inode);
        if (r < 0)
            return tx_fail(t->tx, -EBADMSG);
        if (inode.entry_count > 0)
            return enter(t, e, &inode);
        r = dir_rmdir(t->tx, &t->cred, l->dir, e->name, &inode);
        t->reply->directories += r == 0;
    }
    if (r == 0) {
        l->at++;
        t->left--;
    }
    return r;
}

/* Until the name is gone (reply->done), or something of the reply says why not. */
static int walk(struct tree *t)
{
    for (;;) {
        struct level *l = &t->levels[t->depth];
        int r;

        if (l->at == l->count && t->depth == 0) {
            t->reply->done = true;
            return 0;
        }
        if (t->left == 0) {
            stop_here(t);
            return 0;
        }
        if (l->at == l->count) {
            r = page_read(t, l);
            if (r < 0)
                return r;
            if (r == 0) {
                t->depth--;
                continue;
            }
        }
        l->after = l->page[l->at].name;
        l->has_after = true;
        r = remove_entry(t, l, &l->page[l->at]);
        if (t->tx->fatal < 0)
            return r;
        if (r < 0)
            stop_with_error(t, r);
        if (r != 0)
            return 0;
    }
}

int op_remove_tree(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__RemoveTreeOp *op = req->remove_tree;
    struct tree *t;
    struct entry top = {.name = op->name};
    struct dentry_rec d;
    struct inode_rec dir;
    int r;

    if (op->limit == 0 || op->from.len > TREE_NEXT_BYTES_MAX)
        return -EINVAL;
    t = ARENA_NEW(&tx->arena, struct tree);
    *t = (struct tree){.tx = tx, .cred = cred_of(req), .from = op->from};
    r = dir_get(tx, &t->cred, op->parent, &dir);
    if (r == 0)
        r = name_check(op->name);
    if (r == 0)
        r = tx_dentry_get(tx, op->parent, op->name, &d);
    if (r < 0)
        return r;
    top.ino = d.ino;
    top.type = d.type;
    t->left = MIN(op->limit, (uint32_t)TREE_SLICE_MAX);
    t->levels[0] = (struct level){.dir = op->parent, .page = &top, .count = 1};
    t->reply = ARENA_NEW(&tx->arena, Dfs__TreeReply);
    dfs__tree_reply__init(t->reply);
    reply->result_case = DFS__META_REPLY__RESULT_TREE;
    reply->tree = t->reply;
    return walk(t);
}
