/*
 * Opening a target: lock, superblock, chunk table, the chunk files that the table does not know.
 * What was DIRTY when it was last in use is SUSPECT; nothing found is ever deleted.
 *
 * The order in which a new target is made: the empty table, then the superblock, whose rename makes
 * it a target. Before that, whoever finds the rest may make it again.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/daemon.h"
#include "common/error.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "datanode/chain_mutant.h"
#include "datanode/ctab.h"
#include "datanode/store_priv.h"

/* Memory only, while opening: the chunk's file was found. */
enum { CHUNK_SEEN = 1 << 9 };

struct opening {
    struct target *t;
    char *err;
    size_t err_size;
    bool is_rebuild;
    uint64_t adopted, lost;
    unsigned dir_number;    /* being scanned */
    bool dir_is_unsynced;   /* that one, perhaps... */
    bool some_are_unsynced; /* ...and those before it */
    int status;
};

static int PRINTF_LIKE(3, 4) fail(struct opening *o, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(o->err, o->err_size, fmt, ap);
    va_end(ap);
    return code;
}

/* ---- a new target ---- */

static bool is_ours(const char *name)
{
    return strcmp(name, "c") == 0 || strcmp(name, "lock") == 0 || strcmp(name, "lost+found") == 0 ||
           strncmp(name, "ctab.", 5) == 0 || strncmp(name, "superblock.", 11) == 0;
}

static int check_name(void *ctx, const char *name, bool is_dir)
{
    struct opening *o = ctx;

    (void)is_dir;
    if (is_ours(name))
        return 0;
    return fail(o, -ENOTEMPTY, "%s is not a dfs target and holds '%s'; give an empty directory",
                o->t->path, name);
}

static int check_no_chunks(void *ctx, const char *name, bool is_dir)
{
    struct opening *o = ctx;

    (void)is_dir;
    return fail(o, -EBADMSG,
                "%s has chunk files (c/%s) but no superblock; it was damaged: restore superblock.a "
                "or move the directory away",
                o->t->path, name);
}

static int format(struct opening *o)
{
    CLEANUP(ctab_log) struct ctab_log *log = NULL;
    struct target *t = o->t;
    char path[PATH_BYTES_MAX + 1];
    int r;

    r = vfs_list(t->dir.vfs, t->path, check_name, o);
    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "%s/c", t->path);
    r = vfs_list(t->dir.vfs, path, check_no_chunks, o);
    if (r < 0 && r != -ENOENT)
        return r;
    r = r == -ENOENT ? vfs_mkdir(t->dir.vfs, path, 0700) : 0;
    if (r == 0)
        r = table_log_write_all(t, 1, &log);
    if (r < 0)
        return r;
    t->sb = (struct superblock){
        .cluster = t->dir.cluster,
        .target = uuid_new(),
        .boot_id = t->store->o.boot_id,
        .is_clean = true,
        .checkpoint = 1,
    };
    return superblock_write(t->dir.vfs, t->path, &t->sb);
}

static int read_superblock(struct opening *o)
{
    struct target *t = o->t;
    char want[UUID_TEXT_SIZE], has[UUID_TEXT_SIZE];
    int r;

    r = superblock_read(t->dir.vfs, t->path, &t->sb);
    if (r == -ENOENT)
        r = format(o);
    if (r == -EBADMSG && !o->err[0])
        return fail(o, r, "%s: both superblocks are damaged; restore one from a copy", t->path);
    if (r == -EPROTONOSUPPORT)
        return fail(o, r, "%s was written by a newer version of dfs", t->path);
    if (r < 0)
        return r;
    if (!uuid_equal(&t->sb.cluster, &t->dir.cluster))
        return fail(o, -EXDEV, "%s belongs to cluster %s, not to this one (%s)", t->path,
                    uuid_format(&t->sb.cluster, has), uuid_format(&t->dir.cluster, want));
    t->same_boot = uuid_equal(&t->sb.boot_id, &t->store->o.boot_id);
    t->was_clean = t->sb.is_clean;
    return 0;
}

/* ---- the chunk table ---- */

static void take_record(void *ctx, const struct chunk_state *s)
{
    struct opening *o = ctx;
    struct target *t = o->t;
    struct chunk *c = chunk_table_find(t->chunks, s->id.v);

    if (s->flags & CTAB_FORGOTTEN) {
        if (c) {
            chunk_set_flags(t, c, 0);
            chunk_set_len(t, c, 0);
            chunk_table_remove(t->chunks, c);
        }
        return;
    }
    if (!c)
        c = chunk_table_add(t->chunks, s->id.v, s->pg.v);
    else if (c->pg != s->pg.v)
        chunk_table_set_pg(t->chunks, c, s->pg.v);
    chunk_set_flags(t, c, s->flags);
    chunk_set_len(t, c, s->len);
    c->ver_epoch = s->ver.epoch;
    c->ver_seq = s->ver.seq;
    c->trunc_version = s->trunc_version;
}

/* For all chunks of the table: what could have changed without our knowledge is suspect. */
static void mark_suspects(struct target *t, bool all)
{
    for (uint32_t i = 0; i < chunk_table_end(t->chunks); i++) {
        struct chunk *c = chunk_table_at(t->chunks, i);

        if (!c || c->flags & CHUNK_DELETED)
            continue;
        if (all || c->flags & CHUNK_DIRTY)
            chunk_set_flags(t, c, c->flags | CHUNK_DIRTY | CHUNK_SUSPECT);
    }
}

static int read_table(struct opening *o)
{
    struct target *t = o->t;
    struct ctab_log_result res = {0};
    int r;

    r = ctab_read(t->dir.vfs, t->path, t->sb.checkpoint, take_record, o, &res);
    if (o->is_rebuild && (r == -ENOENT || r == -EBADMSG)) {
        log_warn("chunk table is gone: all chunk files are taken as dirty", "target=%s", t->path);
        mark_suspects(t, true);
        t->was_clean = false;
        return 0;
    }
    if (r == -ENOENT)
        return fail(o, r,
                    "%s has a superblock but no chunk table (ctab.%" PRIu64
                    "); restore it, or start once with --rebuild, which takes every chunk file as "
                    "possibly old and lets the other copies correct them",
                    t->path, t->sb.checkpoint);
    if (r == -EBADMSG)
        return fail(o, r,
                    "%s: the chunk table (ctab.%" PRIu64
                    ") is damaged; restore it, or start once with --rebuild",
                    t->path, t->sb.checkpoint);
    if (r < 0)
        return r;
    if (res.is_damaged)
        log_error("chunk table log is damaged: all chunks are taken as dirty", "target=%s",
                  t->path);
    mark_suspects(t, res.is_damaged || t->sb.is_failed);
    if (res.count || res.is_damaged || t->sb.is_failed)
        t->was_clean = false;
    return 0;
}

/* ---- the chunk files ---- */

/*
 * Nothing that was promised: a synced file has its header. But not ours to throw away, nor what a new
 * chunk of this number may begin with.
 */
static int set_aside(struct target *t, const char *path)
{
    char aside[PATH_BYTES_MAX + 1];

    if ((size_t)snprintf(aside, sizeof(aside), "%s.aside", path) >= sizeof(aside))
        return -ENAMETOOLONG;
    log_warn("chunk file without a good header is set aside", "path=%s", aside);
    return vfs_rename(t->dir.vfs, path, aside);
}

static int adopt(struct opening *o, uint64_t id, const char *path)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    uint8_t bytes[CHUNK_HEADER_SIZE] = {0};
    struct chunk_header h = {0};
    struct target *t = o->t;
    struct chunk *c;
    ssize_t n;
    int r;

    r = vfs_open(t->dir.vfs, path, O_RDONLY, 0, &f);
    if (r < 0)
        return r;
    n = vfs_pread(f, bytes, sizeof(bytes), 0);
    if (n < 0 && n != -EIO)
        return (int)n;
    r = n < 0 ? (int)n : chunk_header_decode(bytes, &h);
    if (r < 0 || h.id != id || !uuid_equal(&h.cluster, &t->dir.cluster))
        return STORE_MUTANT(MUTANT_TORN_FILE_STAYS) ? 0 : set_aside(t, path);
    if (STORE_MUTANT(MUTANT_UNKNOWN_FILES_GO))
        return vfs_unlink(t->dir.vfs, path);
    c = chunk_table_add(t->chunks, id, h.pg);
    chunk_set_flags(t, c, CHUNK_DIRTY | CHUNK_SUSPECT);
    o->adopted++;
    return 0;
}

static int parse_name(const char *name, uint64_t *ret_id)
{
    char *end;

    if (strlen(name) != 16 || strspn(name, "0123456789abcdef") != 16)
        return -EINVAL;
    *ret_id = strtoull(name, &end, 16);
    return 0;
}

/* The length of what was DIRTY is the file's; the record may be old. */
static int take_len(struct target *t, struct chunk *c, const char *path)
{
    struct vfs_stat st;
    uint64_t len;
    int r;

    r = vfs_stat(t->dir.vfs, path, &st);
    if (r < 0)
        return r;
    len = st.size > CHUNK_DATA_AT ? st.size - CHUNK_DATA_AT : 0;
    chunk_set_len(t, c, (uint32_t)MIN(len, (uint64_t)CHUNK_SIZE));
    return 0;
}

/* Pages whose writing failed look clean to the kernel: it gives them up, and reads the disk. */
static int drop_cache(struct target *t, const char *path)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    int r = vfs_open(t->dir.vfs, path, O_RDONLY, 0, &f);

    if (r == 0)
        vfs_drop_cache(f);
    return r;
}

static int take_file(void *ctx, const char *name, bool is_dir)
{
    struct opening *o = ctx;
    struct target *t = o->t;
    char path[PATH_BYTES_MAX + 1];
    struct chunk *c;
    uint64_t id;
    int r;

    if (is_dir || parse_name(name, &id) < 0 || id == 0 || chunk_file_dir(id) != o->dir_number)
        return 0;
    chunk_file_path(&t->dir, id, path);
    c = chunk_table_find(t->chunks, id);
    if (c && c->flags & CHUNK_DELETED)
        return vfs_unlink(t->dir.vfs, path); /* Its tombstone is durable: it was ordered. */
    if (!c) {
        r = adopt(o, id, path);
        c = chunk_table_find(t->chunks, id);
        if (r < 0 || !c)
            return r;
    }
    if (c->flags & CHUNK_DIRTY) {
        o->dir_is_unsynced = true;
        r = take_len(t, c, path);
        if (r == 0 && t->sb.is_failed)
            r = drop_cache(t, path);
        if (r < 0)
            return r;
    }
    chunk_set_flags(t, c, c->flags | CHUNK_SEEN);
    return 0;
}

/*
 * The name of a DIRTY chunk's file, and the directory's own, may be in memory alone, when the process
 * that made it was killed. Nobody will take it for new again, so it is synced here.
 */
static int take_dir(void *ctx, const char *name, bool is_dir)
{
    struct opening *o = ctx;
    char path[PATH_BYTES_MAX + 1];
    int r;

    if (!is_dir || strlen(name) != 3 || strspn(name, "0123456789abcdef") != 3)
        return 0;
    o->dir_number = (unsigned)strtoul(name, NULL, 16);
    o->dir_is_unsynced = false;
    chunk_dir_path(&o->t->dir, o->dir_number, path);
    r = vfs_list(o->t->dir.vfs, path, take_file, o);
    if (r < 0 || !o->dir_is_unsynced)
        return r;
    o->some_are_unsynced = true;
    return vfs_sync_dir(o->t->dir.vfs, path);
}

/* A DIRTY chunk without a file never had one on the disk; a CLEAN one has lost it, and is not DIRTY
 * now: its version still says exactly what was in it, and another may have just that. */
static void take_missing(struct opening *o)
{
    struct target *t = o->t;

    for (uint32_t i = 0; i < chunk_table_end(t->chunks); i++) {
        struct chunk *c = chunk_table_at(t->chunks, i);

        if (!c || c->flags & CHUNK_DELETED)
            continue;
        if (c->flags & CHUNK_SEEN) {
            chunk_set_flags(t, c, c->flags & ~(unsigned)CHUNK_SEEN);
        } else if (c->flags & CHUNK_INCOMPLETE) {
            chunk_set_len(t, c, 0);
        } else if (c->flags & CHUNK_DIRTY) {
            chunk_set_flags(t, c, 0);
            chunk_set_len(t, c, 0);
            chunk_table_remove(t->chunks, c);
        } else {
            log_error("chunk file is gone", "target=%s chunk=%" PRIu64 " pg=%" PRIu32, t->path,
                      c->id, c->pg);
            chunk_set_flags(t, c, c->flags | CHUNK_BAD | CHUNK_INCOMPLETE);
            o->lost++;
        }
    }
}

/* How old they are nobody knows. */
static void take_tombstones(struct target *t)
{
    for (uint32_t i = 0; i < chunk_table_end(t->chunks); i++) {
        const struct chunk *c = chunk_table_at(t->chunks, i);

        if (c && c->flags & CHUNK_DELETED)
            tombstone_made(t, c->id);
    }
}

static int scan_files(struct opening *o)
{
    char path[PATH_BYTES_MAX + 1];
    int r;

    if (o->t->was_clean && !o->is_rebuild)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/c", o->t->path);
    r = vfs_list(o->t->dir.vfs, path, take_dir, o);
    if (r == 0 && o->some_are_unsynced)
        r = vfs_sync_dir(o->t->dir.vfs, path);
    if (r < 0)
        return r;
    take_missing(o);
    return 0;
}

/*
 * A table of this opening: a new checkpoint with an empty log. (A log that was torn must not be
 * written on: beyond its end there may be good-looking records of the past.) The number after the
 * next: the next one's log may be part of what was read.
 */
static int start_table(struct opening *o)
{
    CLEANUP(ctab_log) struct ctab_log *log = NULL;
    struct target *t = o->t;
    uint64_t number = t->sb.checkpoint + 2;
    int r;

    r = table_log_write_all(t, number, &log);
    if (r < 0)
        return r;
    t->sb.boot_id = t->store->o.boot_id;
    t->sb.is_clean = false;
    t->sb.is_failed = false;
    t->sb.generation++;
    r = target_set_checkpoint(t, number);
    if (r == 0)
        r = ctab_remove_others(t->dir.vfs, t->path, number);
    if (r < 0)
        return r;
    t->log = table_log_new_take(t, STEAL(log), number);
    return 0;
}

/* ---- opening and closing ---- */

static int open_anchor(struct target *t)
{
    char path[PATH_BYTES_MAX + 1];

    (void)snprintf(path, sizeof(path), "%s/superblock.a", t->path);
    return vfs_open(t->dir.vfs, path, O_RDONLY, 0, &t->anchor);
}

/*
 * A failed sync may have left pages in memory that look written and are not on the disk: what is
 * read here now proves nothing, and what others compare with it neither. So it is not opened, but
 * the other targets of this process are.
 */
static int open_failed(struct target *t)
{
    atomic_store(&t->failure, -EIO);
    log_error(
        "target failed in an earlier life and is not used: replace its disk and give an empty "
        "directory, or, if the disk was found good, start once with --rebuild",
        "dir=%s target=%" PRIu32, t->path, t->sb.target_id);
    return disk_new(t->store->loop, t->index, t->store->o.inline_io, t->store->o.inline_seed,
                    &t->disk);
}

static int open_steps(struct opening *o)
{
    struct target *t = o->t;
    struct vfs_space sp;
    int r;

    r = vfs_mkdir_all(t->dir.vfs, t->path, 0700);
    if (r < 0)
        return fail(o, r, "cannot make %s: %s", t->path, dfs_strerror(r));
    /* The lock is the real file system's: a fake disk has no second process. */
    if (t->dir.vfs == vfs_posix()) {
        r = daemon_lock_dir(t->path, &t->lock_fd, o->err, o->err_size);
        if (r < 0)
            return r;
    }
    r = read_superblock(o);
    if (r == 0 && t->sb.is_failed && !o->is_rebuild)
        return open_failed(t);
    if (r == 0)
        r = read_table(o);
    if (r == 0)
        r = scan_files(o);
    if (r == 0)
        r = start_table(o);
    if (r == 0)
        r = open_anchor(t);
    if (r == 0)
        r = vfs_space(t->dir.vfs, t->path, &sp);
    if (r < 0)
        return r;
    take_tombstones(t);
    target_take_space(t, sp.total_bytes, sp.free_bytes);
    return disk_new(t->store->loop, t->index, t->store->o.inline_io, t->store->o.inline_seed,
                    &t->disk);
}

void target_done(struct target *t)
{
    if (!t)
        return;
    disk_free(t->disk);
    table_log_free(t->log);
    vfs_close(t->anchor);
    for (uint32_t i = 0; i < chunk_table_end(t->chunks); i++) {
        struct chunk *c = chunk_table_at(t->chunks, i);

        if (c && c->live) {
            assert(c->live->refs == 0 && "a read result was kept");
            c->live->is_forgotten = false;
            live_free(c->live);
        }
    }
    assert(t->live_count == 0);
    chunk_table_free(t->chunks);
    free(t->tombstones.items);
    pthread_mutex_destroy(&t->sb_lock);
    if (t->lock_fd >= 0)
        (void)close(t->lock_fd);
    free(t->path);
    free(t);
}
DEFINE_CLEANUP(target, target_done)

int store_open_target(struct store *s, const char *dir, char *err, size_t err_size,
                      struct target **ret_target)
{
    CLEANUP(target) struct target *t = MEM_NEW(struct target);
    struct opening o = {.t = t, .err = err, .err_size = err_size, .is_rebuild = s->o.rebuild};
    int r;

    err[0] = '\0';
    t->lock_fd = -1;
    pthread_mutex_init(&t->sb_lock, NULL);
    t->store = s;
    t->index = s->target_count;
    t->path = mem_strdup(dir);
    t->chunks = chunk_table_new();
    t->dir = (struct chunk_dir){
        .vfs = s->o.vfs, .path = t->path, .cluster = s->o.cluster, .direct_min = s->o.direct_min};
    if (s->target_count == TARGETS_PER_NODE_MAX)
        return fail(&o, -E2BIG, "%s: more than %d targets", dir, TARGETS_PER_NODE_MAX);
    r = open_steps(&o);
    if (r < 0 && !err[0])
        return fail(&o, r, "%s: %s", dir, dfs_strerror(r));
    if (r < 0)
        return r;
    log_info("target open",
             "dir=%s id=%" PRIu32 " generation=%" PRIu64 " chunks=%zu dirty=%" PRIu64
             " adopted=%" PRIu64 " lost=%" PRIu64 " clean=%d same_boot=%d",
             dir, t->sb.target_id, t->sb.generation, chunk_table_count(t->chunks),
             t->flag_counts[0], o.adopted, o.lost, t->was_clean, t->same_boot);
    s->targets[s->target_count++] = t;
    *ret_target = STEAL(t);
    return 0;
}
