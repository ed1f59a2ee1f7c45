/* One directory, whole, in memory: for commands that look at an entry's neighbours. */
#ifndef SHELL_LISTING_H
#define SHELL_LISTING_H

#include <stddef.h>

#include "libdfs/dfs.h"

struct listing_item {
    char *name;
    struct dfs_stat st;
};

struct listing {
    struct listing_item *items; /* in byte order of names */
    size_t count;
};

/* Without names that begin with a dot, unless all. listing_done() in any case of success. */
int listing_read(struct dfs *dfs, const char *path, bool all, struct listing *ret_list);
void listing_add(struct listing *l, const char *name, const struct dfs_stat *st);
void listing_done(struct listing *l);

/* The target of a symbolic link for "name -> target", malloc'ed; NULL when it cannot be read. */
char *listing_target(struct dfs *dfs, const char *path);

#endif
