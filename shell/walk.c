#include "shell/walk.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "shell/format.h"

/* Recursion ends where paths end: libdfs takes none longer than 64 KiB, the kernel 4 KiB. */
static bool visit(const struct walk *w, const struct walk_item *item);

static bool visit_content(const struct walk *w, const struct walk_item *item)
{
    const struct place_ops *ops = w->place->ops;
    struct place_entry e;
    struct place_dir *dir;
    bool go_on = true;
    int r = ops->opendir(w->place, item->path, &dir);

    if (r < 0) {
        w->failed(w->ctx, item->path, r);
        return true;
    }
    while (go_on && (r = ops->readdir(dir, &e)) > 0) {
        char *path = format_path(item->path, e.name);
        const struct walk_item child = {
            .path = path, .name = e.name, .st = e.st, .depth = item->depth + 1};

        go_on = visit(w, &child);
        free(path);
    }
    if (r < 0)
        w->failed(w->ctx, item->path, r);
    ops->closedir(dir);
    return go_on;
}

static bool visit(const struct walk *w, const struct walk_item *item)
{
    enum walk_next next = w->enter(w->ctx, item);

    if (next == WALK_STOP)
        return false;
    if (!S_ISDIR(item->st.mode))
        return true;
    if (next == WALK_ON && !visit_content(w, item))
        return false;
    if (w->leave != NULL)
        w->leave(w->ctx, item);
    return true;
}

void walk(const struct walk *w, const char *root, bool follow_root)
{
    struct walk_item item = {.path = root};
    char *name;
    int r = w->place->ops->stat(w->place, root, follow_root, &item.st);

    if (r < 0) {
        w->failed(w->ctx, root, r);
        return;
    }
    name = format_base(root);
    item.name = name;
    (void)visit(w, &item);
    free(name);
}
