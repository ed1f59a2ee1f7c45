#include "shell/listing.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/mem.h"

void listing_add(struct listing *l, const char *name, const struct dfs_stat *st)
{
    if ((l->count & (l->count - 1)) == 0) /* Room doubles at each power of two. */
        l->items = mem_realloc(l->items, l->count == 0 ? 1 : 2 * l->count, sizeof(*l->items));
    l->items[l->count++] = (struct listing_item){.name = mem_strdup(name), .st = *st};
}

void listing_done(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].name);
    free(l->items);
    *l = (struct listing){.count = 0};
}

int listing_read(struct dfs *dfs, const char *path, bool all, struct listing *ret_list)
{
    struct listing l = {.count = 0};
    struct dfs_dirent e;
    struct dfs_dir *dir;
    int r = dfs_opendir(dfs, path, &dir);

    if (r < 0)
        return r;
    while ((r = dfs_readdir(dir, &e)) > 0)
        if (all || e.name[0] != '.')
            listing_add(&l, e.name, &e.st);
    dfs_closedir(dir);
    if (r < 0) {
        listing_done(&l);
        return r;
    }
    *ret_list = l;
    return 0;
}

char *listing_target(struct dfs *dfs, const char *path)
{
    char target[SYMLINK_BYTES_MAX + 1];
    ssize_t n = dfs_readlink(dfs, path, target, sizeof(target));

    return n < 0 ? NULL : mem_memdup(target, (size_t)n);
}
