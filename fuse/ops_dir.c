/*
 * Directories: a handle keeps what it has read (dir_list.h), so that the kernel's offsets (the
 * position in that list, "." and ".." first) stay true while others change the directory. rewinddir
 * starts afresh.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/mem.h"
#include "fuse/dir_list.h"
#include "fuse/mount.h"

enum { DOTS = 2 };

struct dir {
    struct ino ino;
    struct dir_list list;
};

static struct dir *dir_of(const struct fuse_file_info *fi)
{
    return (struct dir *)(uintptr_t)fi->fh;
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
    dir_list_clear(&d->list);
    free(d);
    fuse_reply_err(req, 0);
}

/* What one READDIR asks for. */
struct dir_op {
    struct mount_op *op;
    struct dir *dir;
    size_t offset;
    bool plus;
    bool has_read;    /* a page, for this request: */
    size_t read_page; /* the last, with attributes as they are now */
    size_t asked_page;
};

/*
 * The kernel takes the size from here. One that came with an earlier request would undo what has been
 * written to the file since: it then gets the name alone, and asks.
 */
static bool attr_is_good(const struct dir_op *d, const struct dir_entry *entry, size_t page)
{
    return entry->attr.mode != 0 && ((d->has_read && page == d->read_page) ||
                                     !ll_attr_may_be_old(d->op->m->ll, &entry->attr));
}

/* Adds one entry to the reply; more than room when it doesn't fit. */
static size_t put_entry(const struct dir_op *d, char *buf, size_t room, size_t index,
                        const struct dir_entry *entry, size_t page)
{
    struct fuse_entry_param e = {.ino = 0};
    const char *name = index == 0 ? "." : "..";
    off_t next = (off_t)index + 1;

    if (index < DOTS) {
        e.attr.st_mode = S_IFDIR;
        e.attr.st_ino = index == 0 ? d->dir->ino.v : 0xffffffff; /* ".." is asked for by name. */
    } else {
        name = entry->name;
        if (d->plus && attr_is_good(d, entry, page))
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

    for (size_t i = d->offset;; i++) {
        const struct dir_entry *entry = NULL;
        size_t at = i - DOTS, page = 0, n;

        if (i >= DOTS) {
            entry = dir_list_get(&d->dir->list, &at, &page);
            if (entry == NULL)
                break;
            i = at + DOTS;
        }
        n = put_entry(d, buf + used, size - used, i, entry, page);
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

    if (status < 0) {
        mount_op_err(d->op, status);
        free(d);
        return;
    }
    dir_list_add(&d->dir->list, d->asked_page, entries, count, end);
    d->has_read = true;
    d->read_page = d->asked_page;
    dir_fill(d);
}

/* Reads pages until the offset is within what is here, then answers. */
static void dir_fill(struct dir_op *d)
{
    const struct dir_list *list = &d->dir->list;
    size_t position = d->offset < DOTS ? 0 : d->offset - DOTS, page;
    struct dir_want want;

    /* A page that came back shorter ends before the position: on to the next. */
    (void)dir_list_get(list, &position, &page);
    if (!dir_list_missing(list, position, &want)) {
        dir_reply(d);
        return;
    }
    d->asked_page = want.page;
    ll_readdir(d->op->m->ll, &d->op->call, NULL, d->dir->ino, want.after, READDIR_ENTRIES_MAX,
               d->plus, page_read, d);
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
        dir_list_clear(&d->dir->list);
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
