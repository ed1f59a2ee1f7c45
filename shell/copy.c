/* See copy.h. One thread walks and makes directories; a pool copies files. */
#include "shell/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "shell/client.h"
#include "shell/format.h"
#include "shell/interrupts.h"
#include "shell/pool.h"
#include "shell/progress.h"
#include "shell/walk.h"

enum { LOOK_FOR_INTERRUPT_MS = 100 };

/* A file to copy, or a directory to finish. */
struct copy_item {
    char *from, *to;
    struct dfs_stat st;
    const char *blamed; /* from or to: which of them a failure is about */
};

struct copy {
    struct client *client;
    const struct place *from, *to;
    struct copy_options options;
    struct pool *pool;
    struct interrupts interrupts;

    /* The source that is being walked, and the directory that it became. */
    size_t root_len;
    const char *target;
    uint64_t target_ino; /* 0: none yet, or the places are two */

    /* Directories in the order in which they were made: finished backwards. */
    struct copy_item *dirs;
    size_t dir_count;
};

static void item_done(struct copy_item *item)
{
    free(item->from);
    free(item->to);
}

/* ---- one file ---- */

/* Beside the file, hidden, and nobody else's. */
static char *temporary_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    int dir_len = slash == NULL ? 0 : (int)(slash - path) + 1;

    return mem_printf("%.*s.dfs-new-%016" PRIx64, dir_len, path, rng_system_u64());
}

static bool is_zero(const char *data, size_t len)
{
    return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* Blocks of zeros are left out, so that sparse files stay so. */
static int copy_data(struct copy *c, struct copy_item *item, struct place_file *in,
                     struct place_file *out)
{
    char *data = mem_alloc(IO_SIZE_MAX);
    uint64_t at = 0, written_end = 0;
    ssize_t n = 0;
    int r = 0;

    while (r == 0) {
        n = c->from->ops->pread(in, data, IO_SIZE_MAX, at);
        if (n <= 0)
            break;
        if (!is_zero(data, (size_t)n)) {
            r = c->to->ops->pwrite(out, data, (size_t)n, at);
            written_end = at + (uint64_t)n;
        }
        at += (uint64_t)n;
        progress_add(c->client->progress, 0, (uint64_t)n);
        if (c->interrupts.stop && r == 0)
            r = -EINTR;
        if (n < IO_SIZE_MAX)
            break;
    }
    free(data);
    if (n < 0) {
        item->blamed = item->from;
        return (int)n;
    }
    if (r == 0 && written_end < at)
        r = c->to->ops->set_size(out, at);
    return r;
}

/* Owner before mode: a change of owner takes the set-id bits away. */
static int keep_attributes(const struct copy *c, const char *path, const struct dfs_stat *st,
                           bool mode_too)
{
    int r = 0;

    if (c->options.keep_owner)
        r = c->to->ops->set_owner(c->to, path, st->uid, st->gid);
    if (r == 0 && mode_too && !S_ISLNK(st->mode))
        r = c->to->ops->set_mode(c->to, path, st->mode & 07777);
    if (r == 0 && c->options.keep_times)
        r = c->to->ops->set_times(c->to, path, st->atime_ns, st->mtime_ns);
    return r;
}

static int make_regular(struct copy *c, struct copy_item *item, const char *temporary)
{
    struct place_file *in, *out;
    int r = c->from->ops->open(c->from, item->from, &in), closed;

    if (r < 0)
        return r;
    item->blamed = item->to;
    r = c->to->ops->create(c->to, temporary, item->st.mode & 0777, &out);
    if (r == 0) {
        r = copy_data(c, item, in, out);
        closed = c->to->ops->close(out);
        if (r == 0)
            r = closed;
    }
    (void)c->from->ops->close(in);
    if (r < 0)
        return r;
    /* dfs takes the mode as it is; the local umask, set-id bits and a new owner need a second step.
     */
    return keep_attributes(c, temporary, &item->st,
                           c->to->dfs == NULL || c->options.keep_owner ||
                               (item->st.mode & 07000) != 0);
}

static int make_other(struct copy *c, struct copy_item *item, const char *temporary)
{
    char *target;
    int r;

    if (S_ISLNK(item->st.mode)) {
        r = c->from->ops->readlink(c->from, item->from, &target);
        if (r < 0)
            return r;
        item->blamed = item->to;
        r = c->to->ops->symlink(c->to, target, temporary);
        free(target);
    } else {
        item->blamed = item->to;
        r = c->to->ops->mknod(c->to, temporary, item->st.mode, item->st.rdev);
    }
    return r < 0 ? r : keep_attributes(c, temporary, &item->st, true);
}

static int copy_item(struct copy *c, struct copy_item *item)
{
    char *temporary;
    struct dfs_stat there;
    int r;

    item->blamed = item->from;
    if (!c->options.overwrite && c->to->ops->stat(c->to, item->to, false, &there) == 0)
        return -EEXIST;
    temporary = temporary_name(item->to);
    r = S_ISREG(item->st.mode) ? make_regular(c, item, temporary) : make_other(c, item, temporary);
    if (r == 0)
        r = c->to->ops->rename(c->to, temporary, item->to, c->options.overwrite);
    if (r < 0)
        (void)c->to->ops->unlink(c->to, temporary);
    free(temporary);
    return r;
}

static void copy_job(void *ctx, void *arg)
{
    struct copy *c = ctx;
    struct copy_item *item = arg;
    int r = c->interrupts.stop ? -EINTR : copy_item(c, item);

    if (r == -EEXIST && !c->options.overwrite)
        client_complain_text(c->client, item->to, "is there already; -f overwrites it");
    else if (r < 0 && r != -EINTR)
        client_complain(c->client, item->blamed, r);
    progress_add(c->client->progress, r == 0, 0);
    item_done(item);
    free(item);
}

/* ---- directories ---- */

static bool is_one_place(const struct copy *c)
{
    return c->from->dfs == c->to->dfs;
}

static enum walk_next refuse_into_itself(struct copy *c, const char *path)
{
    client_complain_text(c->client, path, "a directory cannot be copied into itself");
    return WALK_SKIP;
}

/* One that is there already is filled; its own attributes then stay. */
static enum walk_next make_dir(struct copy *c, const struct copy_item *item, bool is_root)
{
    struct dfs_stat there = {.mode = S_IFDIR};
    bool is_new;
    int r = c->to->ops->mkdir(c->to, item->to, 0700);

    is_new = r == 0;
    if (r == -EEXIST || (is_new && is_root))
        r = c->to->ops->stat(c->to, item->to, true, &there);
    if (r == 0 && !S_ISDIR(there.mode))
        r = -ENOTDIR;
    if (r < 0) {
        client_complain(c->client, item->to, r);
        return WALK_SKIP;
    }
    if (is_root && is_one_place(c))
        c->target_ino = there.ino;
    if (is_root && c->target_ino == item->st.ino)
        return refuse_into_itself(c, item->from);
    if (!is_new)
        return WALK_ON;
    c->dirs = mem_realloc(c->dirs, c->dir_count + 1, sizeof(*c->dirs));
    c->dirs[c->dir_count++] = (struct copy_item){
        .from = mem_strdup(item->from), .to = mem_strdup(item->to), .st = item->st};
    return WALK_ON;
}

static void finish_dirs(struct copy *c)
{
    while (c->dir_count > 0) {
        struct copy_item *d = &c->dirs[--c->dir_count];
        int r = keep_attributes(c, d->to, &d->st, true);

        if (r < 0)
            client_complain(c->client, d->to, r);
        item_done(d);
    }
    free(c->dirs);
    c->dirs = NULL;
}

/* ---- the walk ---- */

static enum walk_next on_enter(void *ctx, const struct walk_item *item)
{
    struct copy *c = ctx;
    struct copy_item *job, it = {.from = (char *)(uintptr_t)item->path, .st = item->st};
    enum walk_next next;

    if (c->interrupts.stop)
        return WALK_STOP;
    /* What is_within() could not know by the names: it would never end. */
    if (S_ISDIR(item->st.mode) && item->depth > 0 && item->st.ino == c->target_ino)
        return refuse_into_itself(c, item->path);
    it.to = mem_printf("%s%s", c->target, item->path + c->root_len);
    if (S_ISDIR(item->st.mode)) {
        next = make_dir(c, &it, item->depth == 0);
        free(it.to);
        return next;
    }
    if (S_ISSOCK(item->st.mode)) {
        client_complain_text(c->client, item->path, "a socket is not copied");
        free(it.to);
        return WALK_ON;
    }
    job = MEM_NEW(struct copy_item);
    *job = (struct copy_item){.from = mem_strdup(item->path), .to = it.to, .st = item->st};
    pool_submit(c->pool, copy_job, c, job);
    return WALK_ON;
}

static void on_failed(void *ctx, const char *path, int error)
{
    struct copy *c = ctx;

    client_complain(c->client, path, error);
}

static enum walk_next count_enter(void *ctx, const struct walk_item *item)
{
    struct copy *c = ctx;

    if (!S_ISDIR(item->st.mode))
        progress_expect(c->client->progress, 1, S_ISREG(item->st.mode) ? item->st.size : 0);
    return c->interrupts.stop ? WALK_STOP : WALK_ON;
}

static void count_failed(void *ctx, const char *path, int error)
{
    (void)ctx, (void)path, (void)error; /* The copy will tell. */
}

/* "/a/b" is in "/a", and is "/a/b/" itself. */
static bool is_within(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (len == 1 && dir[0] == '/')
        return true;
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static void copy_source(struct copy *c, const char *source, const char *target)
{
    const struct walk w = {.place = c->from, .enter = on_enter, .failed = on_failed, .ctx = c};
    struct dfs_stat st;
    int r = c->from->ops->stat(c->from, source, false, &st);

    if (r < 0) {
        client_complain(c->client, source, r);
        return;
    }
    if (S_ISDIR(st.mode) && !c->options.recursive) {
        client_complain_text(c->client, source, "is a directory; -r copies it");
        return;
    }
    if (S_ISDIR(st.mode) && is_one_place(c) && is_within(target, source)) {
        (void)refuse_into_itself(c, source);
        return;
    }
    c->root_len = strcmp(source, "/") == 0 ? 0 : strlen(source);
    c->target = target;
    c->target_ino = 0;
    walk(&w, source, false);
}

/* What "/", "." and ".." hold goes into the directory itself: they have no name to have there. */
static bool has_name(const char *base)
{
    return strcmp(base, "/") != 0 && strcmp(base, ".") != 0 && strcmp(base, "..") != 0;
}

static void copy_all(struct copy *c, char **sources, int source_count, const char *dest,
                     bool into_dir)
{
    for (int i = 0; i < source_count; i++) {
        char *source = mem_strdup(sources[i]), *base = format_base(source), *target;
        size_t len = strlen(source);

        while (len > 1 && source[len - 1] == '/')
            source[--len] = '\0';
        target = into_dir && has_name(base) ? format_path(dest, base) : mem_strdup(dest);
        copy_source(c, source, target);
        pool_wait(c->pool); /* c->target is on loan to the walk only, but order is kept. */
        free(source);
        free(base);
        free(target);
    }
}

int copy_run(struct client *client, const struct place *from, const struct place *to,
             char **sources, int source_count, const char *dest, const struct copy_options *options)
{
    struct copy c = {.client = client, .from = from, .to = to, .options = *options};
    const struct walk count = {
        .place = from, .enter = count_enter, .failed = count_failed, .ctx = &c};
    struct dfs_stat st;
    bool into_dir = to->ops->stat(to, dest, true, &st) == 0 && S_ISDIR(st.mode);
    size_t dest_len = strlen(dest);
    int r;

    if (!into_dir &&
        (source_count > 1 || (dest_len > 0 && dest[dest_len - 1] == '/' && !options->recursive)))
        return -ENOTDIR;
    r = pool_new(options->jobs, &c.pool);
    if (r < 0)
        return r;
    interrupts_init(&c.interrupts);
    client->progress = progress_new(options->progress);
    for (int i = 0; i < source_count && client->progress != NULL; i++)
        walk(&count, sources[i], false);
    copy_all(&c, sources, source_count, dest, into_dir);
    pool_free(c.pool);
    finish_dirs(&c);
    if (to->dfs != NULL) {
        r = dfs_sync(to->dfs); /* What is told to be copied survives a power failure. */
        if (r < 0)
            client_complain_text(client, dest, "what was copied may not be on stable storage");
    }
    progress_free(client->progress);
    client->progress = NULL;
    interrupts_done(&c.interrupts);
    return c.interrupts.stop ? -EINTR : 0;
}

/* ---- "-" ---- */

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

int copy_to_fd(const struct place *from, const char *source, int fd)
{
    struct place_file *in;
    uint64_t at = 0;
    ssize_t n;
    char *data;
    int r = from->ops->open(from, source, &in);

    if (r < 0)
        return r;
    data = mem_alloc(IO_SIZE_MAX);
    while (r == 0 && (n = from->ops->pread(in, data, IO_SIZE_MAX, at)) != 0) {
        r = n < 0 ? (int)n : write_all(fd, data, (size_t)n);
        at += n < 0 ? 0 : (uint64_t)n;
    }
    free(data);
    (void)from->ops->close(in);
    return r;
}

static int drain_fd(const struct place *to, int fd, struct place_file *out,
                    const struct interrupts *interrupts)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char *data = mem_alloc(IO_SIZE_MAX);
    uint64_t at = 0;
    int r = 0;

    for (;;) {
        ssize_t n;

        if (interrupts->stop) {
            r = -EINTR;
            break;
        }
        if (poll(&ready, 1, LOOK_FOR_INTERRUPT_MS) == 0)
            continue;
        n = read(fd, data, IO_SIZE_MAX);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = n < 0 ? -errno : 0;
            break;
        }
        r = to->ops->pwrite(out, data, (size_t)n, at);
        if (r < 0)
            break;
        at += (uint64_t)n;
    }
    free(data);
    return r;
}

int copy_from_fd(const struct place *to, int fd, const char *dest, bool overwrite)
{
    char *temporary = temporary_name(dest);
    struct interrupts interrupts;
    struct place_file *out;
    mode_t mask = umask(0);
    int r, closed;

    (void)umask(mask);
    interrupts_init(&interrupts);
    r = to->ops->create(to, temporary, 0666 & ~mask, &out);
    if (r == 0) {
        r = drain_fd(to, fd, out, &interrupts);
        closed = to->ops->close(out);
        if (r == 0)
            r = closed;
        if (r == 0)
            r = to->ops->rename(to, temporary, dest, overwrite);
        if (r < 0)
            (void)to->ops->unlink(to, temporary);
        else if (to->dfs != NULL)
            r = dfs_sync(to->dfs);
    }
    interrupts_done(&interrupts);
    free(temporary);
    return r;
}
