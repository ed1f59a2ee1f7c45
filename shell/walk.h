/*
 * A tree, from the top down: each entry is entered before what is in it, and each directory left
 * after. Symbolic links are not followed, but for the root when it is asked for.
 */
#ifndef SHELL_WALK_H
#define SHELL_WALK_H

#include <stdbool.h>

#include "shell/place.h"

enum walk_next {
    WALK_ON,
    WALK_SKIP, /* do not go into this directory */
    WALK_STOP, /* end the whole walk */
};

struct walk_item {
    const char *path;
    const char *name;
    struct dfs_stat st;
    unsigned depth; /* 0: the root of the walk */
};

struct walk {
    const struct place *place;
    enum walk_next (*enter)(void *ctx, const struct walk_item *item);
    void (*leave)(void *ctx, const struct walk_item *dir); /* may be NULL */
    void (*failed)(void *ctx, const char *path, int error);
    void *ctx;
};

/* Every failure goes to `failed`; the walk goes on with the next entry. */
void walk(const struct walk *w, const char *root, bool follow_root);

#endif
