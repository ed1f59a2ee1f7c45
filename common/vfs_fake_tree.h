/*
 * For vfs_fake.c: the nodes and names of the disk in memory. Each directory has its names twice, in
 * the cache and on the medium, and the disk has one journal of the name changes that no directory
 * sync has made durable yet.
 *
 * A node lives while a name (in cache or on the medium), the journal or an open file refers to it.
 */
#ifndef COMMON_VFS_FAKE_TREE_H
#define COMMON_VFS_FAKE_TREE_H

#include "common/limits.h"
#include "common/vfs_fake_image.h"

struct name_change;
struct rng;

struct node;

struct names {
    struct name {
        char *name;
        struct node *node;
    } * items;
    size_t count;
};

struct node {
    uint64_t inode;
    bool is_dir;
    bool is_ordered; /* a directory that keeps a prefix of its changes in any case */
    unsigned refs;
    unsigned link_count; /* names in the cache */
    unsigned open_count;
    struct image cache, medium;
    struct image_change *changes;
    struct names cache_names, medium_names;
    uint64_t *unreadable; /* numbers of blocks */
    size_t unreadable_count;
    struct node *prev, *next;
};

struct tree {
    struct node *root;
    struct node *nodes; /* all */
    struct name_change *journal;
    uint64_t next_inode;
};

void tree_init(struct tree *t);
void tree_done(struct tree *t);

/* Without references: give it a name or node_ref() it. */
struct node *tree_node_new(struct tree *t, bool is_dir);
struct node *node_ref(struct node *n); /* NULL is fine. */
void node_unref(struct tree *t, struct node *n);
/* Forgets what was not synced. */
void node_changes_clear(struct node *n);

/* The blocks of this range cannot be read from now on, until each is written whole. */
void node_spoil(struct node *n, uint64_t offset, uint64_t len);
bool node_is_spoiled(const struct node *n, uint64_t offset, uint64_t len);
/* Whole blocks of the range are good again. -EIO: a part of one would have to be read first. */
int node_overwrite(struct node *n, uint64_t offset, uint64_t len);

struct name *names_find(const struct names *names, const char *name);
/* is_cache: names is some directory's cache_names. */
void names_put(struct tree *t, struct names *names, const char *name, struct node *node,
               bool is_cache);
void names_clear(struct tree *t, struct names *names, bool is_cache);

/*
 * The node loses its name `from` and gets the name `to`; either directory may be NULL. True in the
 * cache at once, on the medium when the directories are synced.
 */
void tree_change_names(struct tree *t, struct node *from_dir, const char *from_name,
                       struct node *to_dir, const char *to_name, struct node *node);
void tree_sync_dir(struct tree *t, const struct node *dir);
/* Each directory keeps a prefix of its unsynced changes, or any of them unless it is_ordered; rng
 * NULL: none. */
void tree_crash_names(struct tree *t, struct rng *rng, bool any);
/* The cache as it is after a restart: what the medium has. What no name leads to goes. */
void tree_rebuild_cache(struct tree *t);

/* The directory that holds the last component, and that component: "" for the root. */
int tree_find_parent(struct tree *t, const char *path, struct node **ret_dir,
                     char leaf[NAME_BYTES_MAX + 1]);
int tree_find(struct tree *t, const char *path, struct node **ret_node);

#endif
