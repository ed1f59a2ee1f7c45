/* Paths: text made plain, then walked name by name on the loop, following symbolic links. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"
#include "libdfs/blocking.h"

enum { LINKS_MAX = 40, PATH_TEXT_MAX = 64 << 10 };

int path_normalize(const char *path, char **ret_text)
{
    size_t len = strlen(path), used = 0;
    char *out;

    if (len == 0)
        return -ENOENT;
    if (path[0] != '/')
        return -EINVAL;
    if (len > PATH_TEXT_MAX)
        return -ENAMETOOLONG;
    out = mem_alloc(len + 2);
    for (const char *p = path; *p != '\0';) {
        size_t n = strcspn(p, "/");

        if (n == 2 && p[0] == '.' && p[1] == '.') {
            while (used > 0 && out[--used] != '/')
                ;
        } else if (n > 0 && !(n == 1 && p[0] == '.')) {
            out[used++] = '/';
            memcpy(out + used, p, n);
            used += n;
        }
        p += n;
        p += strspn(p, "/");
    }
    if (used == 0)
        out[used++] = '/';
    out[used] = '\0';
    *ret_text = out;
    return 0;
}

static void walk_step(struct op *op);

static void walk_end(struct op *op, int status)
{
    free(op->text);
    op->text = NULL;
    if (status == 0 && op->is_dir && !op->parent && !S_ISDIR(op->attr.mode))
        status = -ENOTDIR;
    if (status < 0)
        op_end(op, status);
    else
        op->start(op);
}

static void walk_begin(struct op *op)
{
    op->dir = INO_ROOT;
    op->at = 1;
    op->attr = (struct ll_attr){.ino = INO_ROOT, .mode = S_IFDIR};
    walk_step(op);
}

/* The link at [at, next) says to go on at its target, the rest of the path behind it. */
static void link_read(void *ctx, int status, const void *bytes, size_t len)
{
    struct op *op = ctx;
    const char *target = bytes;
    char *joined, *text = NULL;

    if (status < 0) {
        walk_end(op, status);
        return;
    }
    if (len > 0 && target[0] == '/')
        joined = mem_printf("%.*s%s", (int)len, target, op->text + op->next);
    else
        joined =
            mem_printf("%.*s%.*s%s", (int)op->at, op->text, (int)len, target, op->text + op->next);
    status = path_normalize(joined, &text);
    free(joined);
    if (status < 0) {
        walk_end(op, status);
        return;
    }
    free(op->text);
    op->text = text;
    walk_begin(op);
}

static void looked_up(void *ctx, int status, const struct ll_attr *attr)
{
    struct op *op = ctx;
    bool last = op->text[op->next] == '\0';

    if (status < 0) {
        walk_end(op, status);
        return;
    }
    if (S_ISLNK(attr->mode) && (!last || op->follow)) {
        if (++op->links > LINKS_MAX)
            walk_end(op, -ELOOP);
        else
            ll_readlink(op->dfs->ll, &op->call, attr->ino, link_read, op);
        return;
    }
    op->attr = *attr;
    op->dir = attr->ino;
    op->at = op->next + (last ? 0 : 1);
    if (!last && !S_ISDIR(attr->mode))
        walk_end(op, -ENOTDIR);
    else
        walk_step(op);
}

static void root_found(void *ctx, int status, const struct ll_attr *attr)
{
    struct op *op = ctx;

    if (status == 0)
        op->attr = *attr;
    walk_end(op, status);
}

static void walk_step(struct op *op)
{
    size_t len = strcspn(op->text + op->at, "/");

    if (len > NAME_BYTES_MAX) {
        walk_end(op, -ENAMETOOLONG);
        return;
    }
    if (len == 0) { /* At the end; the root itself has not been looked up on the way. */
        if (op->parent)
            walk_end(op, -EBUSY); /* "/" has no name in a parent. */
        else if (op->attr.ino.v == INO_ROOT.v)
            ll_getattr(op->dfs->ll, &op->call, INO_ROOT, root_found, op);
        else
            walk_end(op, 0);
        return;
    }
    memcpy(op->name, op->text + op->at, len);
    op->name[len] = '\0';
    op->next = op->at + len;
    if (op->parent && op->text[op->next] == '\0') {
        walk_end(op, 0);
        return;
    }
    ll_lookup(op->dfs->ll, &op->call, &op->dfs->cred, op->dir, op->name, looked_up, op);
}

static void walk_posted(void *ctx)
{
    walk_begin(ctx);
}

int op_run_path(struct op *op, const char *path, bool follow, bool parent)
{
    int r = path_normalize(path, &op->text);

    if (r < 0) {
        sem_destroy(&op->done);
        return r;
    }
    op->path = path;
    op->is_dir = path[strlen(path) - 1] == '/';
    op->follow = follow || op->is_dir; /* POSIX.1-2017, 4.13: a slash at the end follows a link. */
    op->parent = parent;
    loop_post(op->dfs->loop, walk_posted, op);
    while (sem_wait(&op->done) < 0)
        ;
    sem_destroy(&op->done);
    return op->status;
}
