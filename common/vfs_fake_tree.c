#include "common/vfs_fake_tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/compiler.h"
#include "common/mem.h"
#include "common/rng.h"

/* The node loses its name `from` and gets the name `to`; either directory may be NULL. */
struct name_change {
    struct node *from_dir, *to_dir, *node;
    char *from_name, *to_name;
    bool chosen;
    struct name_change *prev, *next;
};

/* ---- nodes and names ---- */

struct node *tree_node_new(struct tree *t, bool is_dir)
{
    struct node *n = MEM_NEW(struct node);

    n->inode = t->next_inode++;
    n->is_dir = is_dir;
    DL_APPEND(t->nodes, n);
    return n;
}

void node_changes_clear(struct node *n)
{
    struct image_change *c, *next;

    DL_FOREACH_SAFE (n->changes, c, next)
        image_change_free(c);
    n->changes = NULL;
}

void node_unref(struct tree *t, struct node *n)
{
    if (n == NULL || --n->refs > 0)
        return;
    names_clear(t, &n->cache_names, true);
    names_clear(t, &n->medium_names, false);
    node_changes_clear(n);
    image_done(&n->cache);
    image_done(&n->medium);
    free(n->unreadable);
    DL_DELETE(t->nodes, n);
    free(n);
}

void node_spoil(struct node *n, uint64_t offset, uint64_t len)
{
    for (uint64_t b = offset / IMAGE_BLOCK; b * IMAGE_BLOCK < offset + len; b++) {
        n->unreadable = mem_realloc(n->unreadable, n->unreadable_count + 1, sizeof(*n->unreadable));
        n->unreadable[n->unreadable_count++] = b;
    }
}

bool node_is_spoiled(const struct node *n, uint64_t offset, uint64_t len)
{
    for (size_t i = 0; i < n->unreadable_count; i++) {
        uint64_t at = n->unreadable[i] * IMAGE_BLOCK;

        if (at < offset + len && offset < at + IMAGE_BLOCK)
            return true;
    }
    return false;
}

int node_overwrite(struct node *n, uint64_t offset, uint64_t len)
{
    size_t kept = 0;

    for (size_t i = 0; i < n->unreadable_count; i++) {
        uint64_t at = n->unreadable[i] * IMAGE_BLOCK;

        if (at < offset + len && offset < at + IMAGE_BLOCK &&
            (offset > at || offset + len < at + IMAGE_BLOCK))
            return -EIO;
    }
    for (size_t i = 0; i < n->unreadable_count; i++) {
        uint64_t at = n->unreadable[i] * IMAGE_BLOCK;

        if (offset > at || offset + len < at + IMAGE_BLOCK)
            n->unreadable[kept++] = n->unreadable[i];
    }
    n->unreadable_count = kept;
    return 0;
}

struct node *node_ref(struct node *n)
{
    if (n != NULL)
        n->refs++;
    return n;
}

struct name *names_find(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i].name, name) == 0)
            return &names->items[i];
    }
    return NULL;
}

static void names_remove(struct tree *t, struct names *names, const char *name, bool is_cache)
{
    struct name *e = names_find(names, name);
    struct node *node;

    if (e == NULL)
        return;
    node = e->node;
    free(e->name);
    names->count--;
    memmove(e, e + 1, (size_t)(names->items + names->count - e) * sizeof *e);
    if (is_cache)
        node->link_count--;
    node_unref(t, node);
}

void names_put(struct tree *t, struct names *names, const char *name, struct node *node,
               bool is_cache)
{
    (void)node_ref(node); /* Before the removal, which may hold the last one. */
    names_remove(t, names, name, is_cache);
    names->items = mem_realloc(names->items, names->count + 1, sizeof *names->items);
    names->items[names->count++] = (struct name){mem_strdup(name), node};
    if (is_cache)
        node->link_count++;
}

void names_clear(struct tree *t, struct names *names, bool is_cache)
{
    while (names->count > 0)
        names_remove(t, names, names->items[names->count - 1].name, is_cache);
    free(names->items);
    names->items = NULL;
}

/* ---- the journal of names ---- */

static void name_change_make(struct tree *t, const struct name_change *c, bool is_cache)
{
    if (c->from_dir != NULL) {
        struct names *names = is_cache ? &c->from_dir->cache_names : &c->from_dir->medium_names;
        const struct name *from = names_find(names, c->from_name);

        /* On the medium it may be another's: what this node had the name by may be lost. */
        if (from != NULL && from->node == c->node)
            names_remove(t, names, c->from_name, is_cache);
    }
    if (c->to_dir != NULL)
        names_put(t, is_cache ? &c->to_dir->cache_names : &c->to_dir->medium_names, c->to_name,
                  c->node, is_cache);
}

static void name_change_drop(struct tree *t, struct name_change *c)
{
    DL_DELETE(t->journal, c);
    node_unref(t, c->from_dir);
    node_unref(t, c->to_dir);
    node_unref(t, c->node);
    free(c->from_name);
    free(c->to_name);
    free(c);
}

/* True in the cache at once, on the medium when its directory is synced. */
void tree_change_names(struct tree *t, struct node *from_dir, const char *from_name,
                       struct node *to_dir, const char *to_name, struct node *node)
{
    struct name_change *c = MEM_NEW(struct name_change);

    c->from_dir = node_ref(from_dir);
    c->to_dir = node_ref(to_dir);
    c->node = node_ref(node);
    c->from_name = from_name == NULL ? NULL : mem_strdup(from_name);
    c->to_name = to_name == NULL ? NULL : mem_strdup(to_name);
    DL_APPEND(t->journal, c);
    name_change_make(t, c, true);
}

static void journal_make_chosen_durable(struct tree *t)
{
    struct name_change *c, *next;

    DL_FOREACH_SAFE (t->journal, c, next) {
        if (!c->chosen)
            continue;
        name_change_make(t, c, false);
        name_change_drop(t, c);
    }
}

struct dir_set {
    const struct node **dirs;
    size_t count;
};

static bool dir_set_has(const struct dir_set *s, const struct node *dir)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->dirs[i] == dir)
            return true;
    }
    return false;
}

static void dir_set_add(struct dir_set *s, const struct node *dir)
{
    if (dir == NULL || dir_set_has(s, dir))
        return;
    s->dirs = mem_realloc(s->dirs, s->count + 1, sizeof *s->dirs);
    s->dirs[s->count++] = dir;
}

static bool change_touches(const struct name_change *c, const struct dir_set *s)
{
    return (c->from_dir != NULL && dir_set_has(s, c->from_dir)) ||
           (c->to_dir != NULL && dir_set_has(s, c->to_dir));
}

/*
 * Chooses what a sync of dir makes durable: its own changes and, since a rename is one change in
 * two directories, what came before them in the other one. Walked from the latest to the first.
 */
static void journal_choose_for_sync(struct tree *t, const struct node *dir)
{
    struct dir_set set = {0};

    dir_set_add(&set, dir);
    if (t->journal != NULL) {
        for (struct name_change *c = t->journal->prev;; c = c->prev) {
            if (change_touches(c, &set)) {
                c->chosen = true;
                dir_set_add(&set, c->from_dir);
                dir_set_add(&set, c->to_dir);
            }
            if (c == t->journal)
                break;
        }
    }
    free(set.dirs);
}

/* In each directory any prefix of its changes; a change in two directories is in both or none. */
static void journal_choose_prefixes(struct tree *t, struct rng *rng)
{
    struct dir_set cut = {0};
    struct name_change *c;

    DL_FOREACH (t->journal, c) {
        c->chosen = rng != NULL && !change_touches(c, &cut) && rng_percent(rng, 70);
        if (!c->chosen) {
            dir_set_add(&cut, c->from_dir);
            dir_set_add(&cut, c->to_dir);
        }
    }
    free(cut.dirs);
}

/*
 * Any of them, but in ordered directories. And a directory that had two names, or lay in itself, no
 * file system leaves: of the moves of directories the first few.
 */
static void journal_choose_any(struct tree *t, struct rng *rng)
{
    unsigned percent = 10 + (unsigned)rng_below(rng, 81);
    struct dir_set cut = {0};
    bool may_move = true;
    struct name_change *c;

    DL_FOREACH (t->journal, c) {
        bool is_move = c->node->is_dir && c->from_dir != NULL && c->to_dir != NULL;

        c->chosen = rng_percent(rng, percent) && (may_move || !is_move) && !change_touches(c, &cut);
        may_move = may_move && (c->chosen || !is_move);
        if (!c->chosen && c->from_dir != NULL && c->from_dir->is_ordered)
            dir_set_add(&cut, c->from_dir);
        if (!c->chosen && c->to_dir != NULL && c->to_dir->is_ordered)
            dir_set_add(&cut, c->to_dir);
    }
    free(cut.dirs);
}

void tree_sync_dir(struct tree *t, const struct node *dir)
{
    journal_choose_for_sync(t, dir);
    journal_make_chosen_durable(t);
}

void tree_crash_names(struct tree *t, struct rng *rng, bool any)
{
    if (any && rng != NULL)
        journal_choose_any(t, rng);
    else
        journal_choose_prefixes(t, rng);
    journal_make_chosen_durable(t);
    while (t->journal != NULL)
        name_change_drop(t, t->journal);
}

/* ---- paths ---- */

/* The next component of *path, or false at its end. */
static bool path_next(const char **path, char name[NAME_BYTES_MAX + 1])
{
    const char *p = *path;
    size_t len;

    for (;;) {
        p += strspn(p, "/");
        len = strcspn(p, "/");
        if (len == 0)
            return false;
        if (len != 1 || p[0] != '.')
            break;
        p += len;
    }
    len = MIN(len, (size_t)NAME_BYTES_MAX);
    memcpy(name, p, len);
    name[len] = '\0';
    *path = p + strcspn(p, "/");
    return true;
}

/* The directory that holds the last component, and that component: "" for the root. */
int tree_find_parent(struct tree *t, const char *path, struct node **ret_dir,
                     char leaf[NAME_BYTES_MAX + 1])
{
    struct node *dir = t->root;
    char name[NAME_BYTES_MAX + 1];

    leaf[0] = '\0';
    while (path_next(&path, name)) {
        if (leaf[0] != '\0') {
            const struct name *e = names_find(&dir->cache_names, leaf);

            if (e == NULL)
                return -ENOENT;
            if (!e->node->is_dir)
                return -ENOTDIR;
            dir = e->node;
        }
        memcpy(leaf, name, sizeof name);
    }
    *ret_dir = dir;
    return 0;
}

int tree_find(struct tree *t, const char *path, struct node **ret_node)
{
    char leaf[NAME_BYTES_MAX + 1];
    const struct name *e;
    struct node *dir;
    int r;

    r = tree_find_parent(t, path, &dir, leaf);
    if (r < 0)
        return r;
    if (leaf[0] == '\0') {
        *ret_node = dir;
        return 0;
    }
    e = names_find(&dir->cache_names, leaf);
    if (e == NULL)
        return -ENOENT;
    *ret_node = e->node;
    return 0;
}

/* ---- the whole ---- */

void tree_rebuild_cache(struct tree *t)
{
    struct node **nodes = NULL;
    struct node *n;
    size_t count = 0;

    DL_COUNT(t->nodes, n, count);
    nodes = mem_zalloc(count, sizeof *nodes);
    count = 0;
    DL_FOREACH (t->nodes, n)
        nodes[count++] = node_ref(n);

    for (size_t i = 0; i < count; i++) {
        names_clear(t, &nodes[i]->cache_names, true);
        image_copy(&nodes[i]->cache, &nodes[i]->medium);
    }
    for (size_t i = 0; i < count; i++) {
        const struct names *durable = &nodes[i]->medium_names;

        for (size_t k = 0; k < durable->count; k++)
            names_put(t, &nodes[i]->cache_names, durable->items[k].name, durable->items[k].node,
                      true);
    }
    for (size_t i = 0; i < count; i++)
        node_unref(t, nodes[i]);
    free(nodes);
}

void tree_init(struct tree *t)
{
    *t = (struct tree){.next_inode = 1};
    t->root = node_ref(tree_node_new(t, true));
}

void tree_done(struct tree *t)
{
    while (t->journal != NULL)
        name_change_drop(t, t->journal);
    node_unref(t, t->root);
    assert(t->nodes == NULL);
}
