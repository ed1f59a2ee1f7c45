/*
 * Directories: a handle keeps the pages it has read, so that the kernel's offsets (the position in
 * that list, "." and ".." first) stay true while others change the directory. rewinddir starts
 * afresh.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/mem.h"
#include "fuse/mount.h"

enum { DOTS = 2 };

struct dir_entry {
    char *name;
    uint32_t type;
    struct ll_attr attr;
};

struct dir {
    struct ino ino;
    struct dir_entry *entries;
    size_t count, capacity;
    size_t new_from; /* what lies before came with an earlier request */
    bool end;        /* the last page is here */
};

static struct dir *dir_of(const struct fuse_file_info *fi)
{
    return (struct dir *)(uintptr_t)fi->fh;
}

static void dir_clear(struct dir *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->entries[i].name);
    d->count = 0;
    d->end = false;
}

static void do_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct dir *d = MEM_NEW(struct dir);

    d->ino = mount_ino(mount_of(req), ino);
    fi->fh = (uintptr_t)d;
    if (fuse_reply_open(req, fi) == -ENOENT)
        free(d); /* Interrupted: the kernel will not release it. */
}

static void do_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct dir *d = dir_of(fi);

    (void)ino;
    dir_clear(d);
    free(d->entries);
    free(d);
    fuse_reply_err(req, 0);
}

/* What one READDIR asks for. */
struct dir_op {
    struct mount_op *op;
    struct dir *dir;
    size_t offset;
    bool plus;
};

/*
 * The kernel takes the size from here. One that came with an earlier page would undo what has been
 * written to the file since: it then gets the name alone, and asks.
 */
static bool attr_is_good(const struct dir_op *d, size_t at)
{
    const struct ll_attr *attr = &d->dir->entries[at].attr;

    return attr->ino.v != 0 && (at >= d->dir->new_from || !ll_attr_may_be_old(d->op->m->ll, attr));
}

/* Adds one entry to the reply; more than room when it doesn't fit. */
static size_t put_entry(const struct dir_op *d, char *buf, size_t room, size_t index)
{
    struct fuse_entry_param e = {.ino = 0};
    const char *name = index == 0 ? "." : "..";
    off_t next = (off_t)index + 1;

    if (index < DOTS) {
        e.attr.st_mode = S_IFDIR;
        e.attr.st_ino = index == 0 ? d->dir->ino.v : 0xffffffff; /* ".." is asked for by name. */
    } else {
        const struct dir_entry *entry = &d->dir->entries[index - DOTS];

        name = entry->name;
        if (d->plus && attr_is_good(d, index - DOTS))
            mount_entry(&entry->attr, &e);
        e.attr.st_ino = entry->attr.ino.v;
        e.attr.st_mode = e.ino != 0 ? e.attr.st_mode : entry->type;
    }
    return d->plus ? fuse_add_direntry_plus(d->op->req, buf, room, name, &e, next)
                   : fuse_add_direntry(d->op->req, buf, room, name, &e.attr, next);
}

static void dir_reply(struct dir_op *d)
{
    size_t size = d->op->size, used = 0;
    char *buf = mem_alloc(size);

    for (size_t i = d->offset; i < d->dir->count + DOTS; i++) {
        size_t n = put_entry(d, buf + used, size - used, i);

        if (n > size - used)
            break;
        used += n;
    }
    fuse_reply_buf(d->op->req, buf, used);
    free(buf);
    mount_op_free(d->op);
    free(d);
}

static void dir_fill(struct dir_op *d);

static void page_read(void *ctx, int status, const struct ll_dirent *entries, unsigned count,
                      bool end)
{
    struct dir_op *d = ctx;
    struct dir *dir = d->dir;

    if (status < 0) {
        mount_op_err(d->op, status);
        free(d);
        return;
    }
    if (dir->count + count > dir->capacity) {
        dir->capacity = MAX(dir->capacity * 2, dir->count + count);
        dir->entries = mem_realloc(dir->entries, dir->capacity, sizeof(*dir->entries));
    }
    for (unsigned i = 0; i < count; i++) {
        struct dir_entry *e = &dir->entries[dir->count++];

        *e = (struct dir_entry){
            .name = mem_strdup(entries[i].name), .type = entries[i].type, .attr = entries[i].attr};
        e->attr.ino = entries[i].ino;
    }
    dir->end = end || count == 0;
    dir_fill(d);
}

/* Reads pages until the offset is within what is here, then answers. */
static void dir_fill(struct dir_op *d)
{
    struct dir *dir = d->dir;
    const char *after = dir->count == 0 ? "" : dir->entries[dir->count - 1].name;

    if (dir->end || d->offset < dir->count + DOTS - (dir->count == 0 ? DOTS : 0)) {
        dir_reply(d);
        return;
    }
    ll_readdir(d->op->m->ll, &d->op->call, dir->ino, after, READDIR_ENTRIES_MAX, true, page_read,
               d);
}

static void read_dir(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi,
                     bool plus)
{
    struct dir_op *d = MEM_NEW(struct dir_op);

    d->op = mount_op_new(mount_of(req), req);
    d->op->size = size;
    d->dir = dir_of(fi);
    d->offset = (size_t)offset;
    d->plus = plus;
    if (offset == 0)
        dir_clear(d->dir);
    d->dir->new_from = d->dir->count;
    dir_fill(d);
}

static void do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    (void)ino;
    read_dir(req, size, offset, fi, false);
}

static void do_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *fi)
{
    (void)ino;
    read_dir(req, size, offset, fi, true);
}

static void reply_status(void *ctx, int status)
{
    mount_op_err(ctx, status);
}

/* Namespace changes are in the log before they are answered: a directory has nothing to sync. */
static void do_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)ino;
    (void)datasync;
    (void)fi;
    reply_status(mount_op_new(mount_of(req), req), 0);
}

void ops_dir_fill(struct fuse_lowlevel_ops *ops)
{
    ops->opendir = do_opendir;
    ops->releasedir = do_releasedir;
    ops->readdir = do_readdir;
    ops->readdirplus = do_readdirplus;
    ops->fsyncdir = do_fsyncdir;
}
