/* From the log of calls to a disk after a power failure: see powerlog.h. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/vfs_fake.h"
#include "tests/shim/powerlog.h"

enum { FDS_MAX = 65536, PATH_SIZE = 4096, FILE_MAX = 1 << 30, COPY_BLOCK = 4096 };

int powerlog_read(const char *path, struct powerlog *ret_log)
{
    CLEANUP_BUF struct buf b = {0};
    struct powerlog log = {0};
    size_t at = 0, capacity = 0;
    int r = vfs_read_file(vfs_posix(), path, FILE_MAX, &b);

    if (r < 0)
        return r;
    while (b.len - at >= sizeof(struct powerlog_record)) {
        struct powerlog_record rec;
        uint64_t len;

        memcpy(&rec, b.data + at, sizeof(rec));
        len = sizeof(rec) + rec.name_len + rec.to_len + (rec.type == POWERLOG_WRITE ? rec.len : 0);
        if (len > b.len - at)
            break;
        if (log.count == capacity) {
            capacity = capacity ? 2 * capacity : 1024;
            log.offsets = mem_realloc(log.offsets, capacity, sizeof(*log.offsets));
        }
        log.offsets[log.count++] = at;
        at += len;
    }
    log.len = at;
    log.bytes = mem_alloc(b.len + 1);
    memcpy(log.bytes, b.data, b.len);
    *ret_log = log;
    return 0;
}

void powerlog_done(struct powerlog *log)
{
    free(log->bytes);
    free(log->offsets);
    *log = (struct powerlog){0};
}

/* ---- replay ---- */

struct replay {
    struct vfs *vfs;
    const char *dir; /* is there from the beginning */
    struct open_file {
        struct vfs_file *file; /* NULL: a directory, or not open */
        char *dir;
    } fds[FDS_MAX];
};

static void take_name(char out[PATH_SIZE], const uint8_t *bytes, uint32_t len)
{
    assert(len < PATH_SIZE);
    memcpy(out, bytes, len);
    out[len] = '\0';
}

static void replay_close(struct replay *p, int32_t fd)
{
    vfs_close(STEAL(p->fds[fd].file));
    free(STEAL(p->fds[fd].dir));
}

static void replay_open(struct replay *p, const struct powerlog_record *rec, const char *path)
{
    int flags = (int)rec->flags & (O_CREAT | O_TRUNC | O_ACCMODE);
    struct vfs_stat st;

    replay_close(p, rec->fd);
    if (vfs_stat(p->vfs, path, &st) == 0 && st.is_dir) {
        p->fds[rec->fd].dir = mem_strdup(path);
        return;
    }
    /* For writing: what was opened to be read may be synced, too. */
    flags = (flags & ~O_ACCMODE) | O_RDWR;
    assert(vfs_open(p->vfs, path, flags, 0600, &p->fds[rec->fd].file) == 0);
}

struct sync_walk {
    struct vfs *vfs;
    const char *dir;
};

static void replay_write(struct replay *p, const struct powerlog_record *rec, const uint8_t *data)
{
    struct vfs_file *f = p->fds[rec->fd].file;

    assert(f && vfs_pwrite(f, data, rec->len, rec->offset) == 0);
    if (rec->flags & O_DSYNC)
        assert(vfs_sync(f) == 0);
}

static int sync_below(struct vfs *vfs, const char *dir);

static int sync_name(void *ctx, const char *name, bool is_dir)
{
    struct sync_walk *w = ctx;
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    char path[PATH_SIZE];
    int r;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", w->dir, name) >= sizeof(path))
        return -ENAMETOOLONG;
    if (is_dir)
        return sync_below(w->vfs, path);
    r = vfs_open(w->vfs, path, O_RDWR, 0, &f);
    return r < 0 ? r : vfs_sync(f);
}

static int sync_below(struct vfs *vfs, const char *dir)
{
    struct sync_walk w = {vfs, dir};
    int r = vfs_list(vfs, dir, sync_name, &w);

    return r < 0 ? r : vfs_sync_dir(vfs, dir);
}

static void replay_record(struct replay *p, const struct powerlog_record *rec, const uint8_t *rest,
                          powerlog_mark_seen_fn mark, void *ctx)
{
    char name[PATH_SIZE], to[PATH_SIZE];
    struct open_file *o = rec->fd >= 0 ? &p->fds[rec->fd] : NULL;
    int r = 0;

    take_name(name, rest, rec->name_len);
    take_name(to, rest + rec->name_len, rec->to_len);
    switch ((enum powerlog_type)rec->type) {
    case POWERLOG_OPEN:
        replay_open(p, rec, name);
        break;
    case POWERLOG_CLOSE:
        replay_close(p, rec->fd);
        break;
    case POWERLOG_WRITE:
        replay_write(p, rec, rest);
        break;
    case POWERLOG_TRUNCATE:
        r = vfs_truncate(o->file, rec->offset);
        break;
    case POWERLOG_ALLOCATE:
        r = vfs_allocate(o->file, rec->offset, rec->len);
        break;
    case POWERLOG_PUNCH:
        r = vfs_punch(o->file, rec->offset, rec->len);
        break;
    case POWERLOG_SYNC_ALL:
        r = sync_below(p->vfs, p->dir);
        break;
    case POWERLOG_SYNC:
        r = o->dir ? vfs_sync_dir(p->vfs, o->dir) : vfs_sync(o->file);
        break;
    case POWERLOG_RENAME:
        r = vfs_rename(p->vfs, name, to);
        break;
    case POWERLOG_LINK:
        r = vfs_link(p->vfs, name, to);
        break;
    case POWERLOG_UNLINK:
        r = vfs_unlink(p->vfs, name);
        break;
    case POWERLOG_MKDIR:
        r = strcmp(name, p->dir) == 0 ? 0 : vfs_mkdir(p->vfs, name, 0700);
        break;
    case POWERLOG_RMDIR:
        r = vfs_rmdir(p->vfs, name);
        break;
    case POWERLOG_MARK:
        mark(ctx, name);
        break;
    }
    if (r < 0)
        (void)fprintf(stderr, "record type=%u name=%s to=%s fd=%d: %s\n", rec->type, name, to,
                      rec->fd, strerror(-r));
    assert(r == 0);
}

void powerlog_replay(const struct powerlog *log, size_t count, const char *dir,
                     struct vfs_fake *disk, powerlog_mark_seen_fn mark, void *ctx)
{
    struct replay *p = MEM_NEW(struct replay);

    p->vfs = vfs_fake_vfs(disk);
    p->dir = dir;
    assert(vfs_mkdir_all(p->vfs, dir, 0700) == 0);
    for (size_t i = 0; i < count; i++) {
        struct powerlog_record rec;

        memcpy(&rec, log->bytes + log->offsets[i], sizeof(rec));
        replay_record(p, &rec, log->bytes + log->offsets[i] + sizeof(rec), mark, ctx);
    }
    for (int32_t fd = 0; fd < FDS_MAX; fd++)
        replay_close(p, fd);
    free(p);
}

/* ---- names ---- */

struct store_walk {
    struct vfs_fake *disk;
    const char *dir;
};

static int keep_store_in_order(void *ctx, const char *name, bool is_dir)
{
    const struct store_walk *w = ctx;
    char path[PATH_SIZE];

    if (!is_dir || (strncmp(name, "db-", 3) != 0 && strcmp(name, "snap-in") != 0))
        return 0;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", w->dir, name) >= sizeof(path))
        return -ENAMETOOLONG;
    return vfs_fake_set_names_in_order(w->disk, path);
}

int powerlog_let_names_be_any(struct vfs_fake *disk, const char *dir)
{
    struct store_walk w = {disk, dir};

    vfs_fake_set_names_any(disk, true);
    return vfs_list(vfs_fake_vfs(disk), dir, keep_store_in_order, &w);
}

/* ---- from and to the machine's own disk ---- */

struct copy {
    struct vfs *from, *to;
    const char *from_dir, *to_dir;
};

/* Holes stay holes: chunk files are mostly that. */
static int copy_bytes(struct vfs_file *f, const struct buf *b)
{
    static const uint8_t zeros[COPY_BLOCK];
    int r = vfs_truncate(f, b->len);

    for (size_t at = 0; r == 0 && at < b->len; at += COPY_BLOCK) {
        size_t len = b->len - at < COPY_BLOCK ? b->len - at : COPY_BLOCK;

        if (memcmp(b->data + at, zeros, len) != 0)
            r = vfs_pwrite(f, b->data + at, len, at);
    }
    return r;
}

static int copy_file(const struct copy *c, const char *from, const char *to)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    CLEANUP_BUF struct buf b = {0};
    int r = vfs_read_file(c->from, from, FILE_MAX, &b);

    if (r == 0)
        r = vfs_open(c->to, to, O_RDWR | O_CREAT | O_TRUNC, 0600, &f);
    if (r == 0)
        r = copy_bytes(f, &b);
    return r;
}

static int copy_name(void *ctx, const char *name, bool is_dir)
{
    struct copy *c = ctx;
    char from[PATH_SIZE], to[PATH_SIZE];

    if ((size_t)snprintf(from, sizeof(from), "%s/%s", c->from_dir, name) >= sizeof(from) ||
        (size_t)snprintf(to, sizeof(to), "%s/%s", c->to_dir, name) >= sizeof(to))
        return -ENAMETOOLONG;
    if (is_dir) {
        struct copy inner = {c->from, c->to, from, to};
        int r = vfs_mkdir(c->to, to, 0700);

        return r < 0 ? r : vfs_list(c->from, from, copy_name, &inner);
    }
    return copy_file(c, from, to);
}

int powerlog_dump(struct vfs_fake *disk, const char *dir, const char *to)
{
    struct copy c = {vfs_fake_vfs(disk), vfs_posix(), dir, to};
    int r = vfs_mkdir(c.to, to, 0700);

    return r < 0 ? r : vfs_list(c.from, dir, copy_name, &c);
}

int powerlog_load(const char *from, struct vfs_fake *disk, const char *dir)
{
    struct copy c = {vfs_posix(), vfs_fake_vfs(disk), from, dir};
    int r = vfs_mkdir_all(c.to, dir, 0700);

    if (r == 0)
        r = vfs_list(c.from, from, copy_name, &c);
    return r < 0 ? r : sync_below(c.to, dir);
}
