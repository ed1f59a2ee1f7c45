/* dfs.h: open files and directories. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/mem.h"
#include "libdfs/blocking.h"
#include "libdfs/inode.h"

struct dfs_file {
    struct dfs *dfs;
    struct ll_file *file;
    int flags;
    pthread_mutex_t lock; /* of the position */
    uint64_t position;
};

struct dfs_dir {
    struct dfs *dfs;
    struct ino ino;
    struct dfs_dirent *entries; /* the present page; names are owned */
    unsigned count, at;
    bool end;
    char last[NAME_BYTES_MAX + 1];
};

/* ---- opening ---- */

static void take_file(void *ctx, int status, struct ll_file *file, const struct ll_attr *attr,
                      bool keep_cache)
{
    struct op *op = ctx;

    (void)keep_cache;
    if (status == 0) {
        op->file = file;
        op->attr = *attr;
    }
    op_end(op, status);
}

static void create_start(struct op *op)
{
    ll_create(op->dfs->ll, &op->call, &op->dfs->cred, op->dir, op->name, op->mode & 07777,
              (int)op->flags, take_file, op);
}

static void open_start(struct op *op)
{
    if (S_ISLNK(op->attr.mode))
        op_end(op, -ELOOP); /* O_NOFOLLOW */
    else if (S_ISDIR(op->attr.mode))
        op_end(op, -EISDIR);
    else if (op->flags & O_DIRECTORY)
        op_end(op, -ENOTDIR);
    else if (!S_ISREG(op->attr.mode))
        op_end(op, -ENXIO);
    else
        ll_open(op->dfs->ll, &op->call, &op->dfs->cred, op->attr.ino, (int)op->flags, take_file,
                op);
}

static int file_new(struct op *op, struct dfs_file **ret_file)
{
    struct dfs_file *f = MEM_NEW(struct dfs_file);

    f->dfs = op->dfs;
    f->file = op->file;
    f->flags = (int)op->flags;
    pthread_mutex_init(&f->lock, NULL);
    *ret_file = f;
    return 0;
}

int dfs_open(struct dfs *dfs, const char *path, int flags, mode_t mode, struct dfs_file **ret_file)
{
    struct op op;
    int r;

    op_init(&op, dfs, open_start);
    op.flags = (unsigned)flags;
    if ((flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL)) {
        r = op_run_path(&op, path, (flags & O_NOFOLLOW) == 0, false);
        if (r == 0)
            return file_new(&op, ret_file);
        if (r != -ENOENT || (flags & O_CREAT) == 0)
            return r;
        op_init(&op, dfs, create_start);
        op.flags = (unsigned)flags;
    }
    op.start = create_start;
    op.mode = mode;
    r = op_run_path(&op, path, false, true);
    return r == -EBUSY ? -EISDIR : r < 0 ? r : file_new(&op, ret_file);
}

static void flush_done(void *ctx, int status)
{
    struct op *op = ctx;

    ll_release(op->file);
    op_end(op, status);
}

static void close_start(struct op *op)
{
    ll_flush(op->file, &op->call, flush_done, op);
}

int dfs_close(struct dfs_file *f)
{
    struct op op;
    int r;

    op_init(&op, f->dfs, close_start);
    op.file = f->file;
    r = op_run(&op);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return r;
}

/* ---- data ---- */

static void take_data(void *ctx, int status, const struct iovec *iov, unsigned iov_count,
                      size_t len)
{
    struct op *op = ctx;
    size_t at = 0;

    if (status == 0) {
        for (unsigned i = 0; i < iov_count; i++) {
            memcpy((char *)op->out + at, iov[i].iov_base, iov[i].iov_len);
            at += iov[i].iov_len;
        }
        op->got = len;
    }
    op_end(op, status);
}

static void read_start(struct op *op)
{
    ll_read(op->file, &op->call, op->offset, op->size, take_data, op);
}

static bool may(const struct dfs_file *f, int wrong)
{
    return (f->flags & O_ACCMODE) != wrong;
}

ssize_t dfs_pread(struct dfs_file *f, void *buf, size_t size, uint64_t offset)
{
    size_t done = 0;

    if (!may(f, O_WRONLY))
        return -EBADF;
    while (done < size) {
        struct op op;
        int r;

        op_init(&op, f->dfs, read_start);
        op.file = f->file;
        op.out = (char *)buf + done;
        op.offset = offset + done;
        op.size = MIN(size - done, (size_t)IO_SIZE_MAX);
        r = op_run(&op);
        if (r < 0)
            return done > 0 ? (ssize_t)done : r;
        done += op.got;
        if (op.got < op.size)
            break;
    }
    return (ssize_t)done;
}

static void written(void *ctx, int status)
{
    struct op *op = ctx;

    if (status == 0)
        op->offset = ll_file_write_end(op->file);
    op_end(op, status);
}

static void write_start(struct op *op)
{
    if (op->flags & O_APPEND)
        ll_append(op->file, &op->call, op->in, op->size, NULL, written, op);
    else
        ll_write(op->file, &op->call, op->offset, op->in, op->size, NULL, written, op);
}

/* *ret_end: behind the last byte, which with O_APPEND does not follow from the offset. */
static ssize_t write_at(struct dfs_file *f, const void *buf, size_t size, uint64_t offset,
                        uint64_t *ret_end)
{
    if (!may(f, O_RDONLY))
        return -EBADF;
    for (size_t done = 0; done < size;) {
        struct op op;
        int r;

        op_init(&op, f->dfs, write_start);
        op.file = f->file;
        op.in = (const char *)buf + done;
        op.flags = (unsigned)f->flags;
        op.offset = offset + done;
        op.size = MIN(size - done, (size_t)IO_SIZE_MAX);
        r = op_run(&op);
        if (r < 0)
            return r;
        done += op.size;
        *ret_end = op.offset;
    }
    if (f->flags & O_SYNC) {
        int r = dfs_fsync(f);

        if (r < 0)
            return r;
    }
    return (ssize_t)size;
}

ssize_t dfs_pwrite(struct dfs_file *f, const void *buf, size_t size, uint64_t offset)
{
    uint64_t end;

    return write_at(f, buf, size, offset, &end);
}

ssize_t dfs_read(struct dfs_file *f, void *buf, size_t size)
{
    ssize_t n;

    pthread_mutex_lock(&f->lock);
    n = dfs_pread(f, buf, size, f->position);
    if (n > 0)
        f->position += (uint64_t)n;
    pthread_mutex_unlock(&f->lock);
    return n;
}

ssize_t dfs_write(struct dfs_file *f, const void *buf, size_t size)
{
    uint64_t end = 0;
    ssize_t n;

    pthread_mutex_lock(&f->lock);
    n = write_at(f, buf, size, f->position, &end);
    if (n > 0)
        f->position = end;
    pthread_mutex_unlock(&f->lock);
    return n;
}

static int64_t seek_locked(struct dfs_file *f, int64_t offset, int whence)
{
    struct dfs_stat st;
    int64_t from = 0;
    int r;

    if (whence == SEEK_CUR) {
        from = (int64_t)f->position;
    } else if (whence == SEEK_END) {
        r = dfs_fstat(f, &st);
        if (r < 0)
            return r;
        from = (int64_t)st.size;
    } else if (whence != SEEK_SET) {
        return -EINVAL;
    }
    if (__builtin_add_overflow(from, offset, &from) || from < 0)
        return -EINVAL;
    f->position = (uint64_t)from;
    return from;
}

int64_t dfs_lseek(struct dfs_file *f, int64_t offset, int whence)
{
    int64_t r;

    pthread_mutex_lock(&f->lock);
    r = seek_locked(f, offset, whence);
    pthread_mutex_unlock(&f->lock);
    return r;
}

static void fsync_start(struct op *op)
{
    ll_fsync(op->file, &op->call, op->flags != 0, op_status, op);
}

static int sync_file(struct dfs_file *f, bool datasync)
{
    struct op op;

    op_init(&op, f->dfs, fsync_start);
    op.file = f->file;
    op.flags = datasync;
    return op_run(&op);
}

int dfs_fsync(struct dfs_file *f)
{
    return sync_file(f, false);
}

int dfs_fdatasync(struct dfs_file *f)
{
    return sync_file(f, true);
}

static void ftruncate_start(struct op *op)
{
    ll_setattr(op->dfs->ll, &op->call, &op->dfs->cred, ll_file_ino(op->file), &op->set, LL_SET_SIZE,
               op_attr, op);
}

int dfs_ftruncate(struct dfs_file *f, uint64_t size)
{
    struct op op;

    if (!may(f, O_RDONLY))
        return -EINVAL;
    op_init(&op, f->dfs, ftruncate_start);
    op.file = f->file;
    op.set.size = size;
    return op_run(&op);
}

static void fstat_start(struct op *op)
{
    ll_getattr(op->dfs->ll, &op->call, ll_file_ino(op->file), op_attr, op);
}

int dfs_fstat(struct dfs_file *f, struct dfs_stat *ret_st)
{
    struct op op;
    int r;

    op_init(&op, f->dfs, fstat_start);
    op.file = f->file;
    r = op_run(&op);
    if (r == 0)
        stat_from_attr(&op.attr, ret_st);
    return r;
}

static void version_start(struct op *op)
{
    const struct inode *i = inode_find(op->dfs->ll, ll_file_ino(op->file));

    op->len = i == NULL ? 0 : i->data_version;
    op_end(op, 0);
}

uint64_t dfs_file_version(struct dfs_file *f)
{
    struct op op;

    op_init(&op, f->dfs, version_start);
    op.file = f->file;
    (void)op_run(&op);
    return op.len;
}

static void fallocate_start(struct op *op)
{
    ll_fallocate(op->file, &op->call, (int)op->flags, op->offset, op->len, op_status, op);
}

int dfs_fallocate(struct dfs_file *f, int mode, uint64_t offset, uint64_t len)
{
    struct op op;

    if (!may(f, O_RDONLY))
        return -EBADF;
    op_init(&op, f->dfs, fallocate_start);
    op.file = f->file;
    op.flags = (unsigned)mode;
    op.offset = offset;
    op.len = len;
    return op_run(&op);
}

/* ---- directories ---- */

static void page_drop(struct dfs_dir *d)
{
    for (unsigned i = 0; i < d->count; i++)
        free((char *)(uintptr_t)d->entries[i].name);
    free(d->entries);
    d->entries = NULL;
    d->count = d->at = 0;
}

static void take_page(void *ctx, int status, const struct ll_dirent *entries, unsigned count,
                      bool end)
{
    struct op *op = ctx;
    struct dfs_dir *d = op->extra;

    if (status == 0) {
        d->entries = mem_zalloc(count + 1, sizeof(*d->entries));
        d->count = count;
        d->end = end || count == 0;
        for (unsigned i = 0; i < count; i++) {
            d->entries[i].ino = entries[i].ino.v;
            d->entries[i].type = entries[i].type;
            d->entries[i].name = mem_strdup(entries[i].name);
            stat_from_attr(&entries[i].attr, &d->entries[i].st);
        }
        if (count > 0)
            memcpy(d->last, entries[count - 1].name, strlen(entries[count - 1].name) + 1);
    }
    op_end(op, status);
}

/* opendir(3) finds out whether it may be read; so the first page comes with it. */
static void opendir_start(struct op *op)
{
    struct dfs_dir *d = op->extra;

    d->ino = op->attr.ino;
    if (!S_ISDIR(op->attr.mode))
        op_end(op, -ENOTDIR);
    else
        ll_readdir(op->dfs->ll, &op->call, &op->dfs->cred, d->ino, "", READDIR_ENTRIES_MAX, true,
                   take_page, op);
}

int dfs_opendir(struct dfs *dfs, const char *path, struct dfs_dir **ret_dir)
{
    struct dfs_dir *d = MEM_NEW(struct dfs_dir);
    struct op op;
    int r;

    d->dfs = dfs;
    op_init(&op, dfs, opendir_start);
    op.extra = d;
    r = op_run_path(&op, path, true, false);
    if (r < 0) {
        free(d);
        return r;
    }
    *ret_dir = d;
    return 0;
}

static void readdir_start(struct op *op)
{
    struct dfs_dir *d = op->extra;

    ll_readdir(op->dfs->ll, &op->call, NULL, d->ino, d->last, READDIR_ENTRIES_MAX, true, take_page,
               op);
}

int dfs_readdir(struct dfs_dir *d, struct dfs_dirent *ret_entry)
{
    struct op op;
    int r;

    if (d->at == d->count && !d->end) {
        page_drop(d);
        op_init(&op, d->dfs, readdir_start);
        op.extra = d;
        r = op_run(&op);
        if (r < 0)
            return r;
    }
    if (d->at == d->count)
        return 0;
    *ret_entry = d->entries[d->at++];
    return 1;
}

void dfs_closedir(struct dfs_dir *d)
{
    if (d == NULL)
        return;
    page_drop(d);
    free(d);
}
