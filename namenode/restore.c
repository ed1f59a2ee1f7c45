#include "namenode/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/backup_file.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "common/error.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "namenode/data_dir.h"
#include "namenode/keys.h"
#include "namenode/kv_rocks.h"
#include "namenode/node_conf.h"
#include "rpc/meta.pb-c.h"

enum {
    PATH_SIZE = 1024,
    PAGE_RECORDS = 10000,
    SKIP_SHIFT = 20,        /* of ids with 64 bits */
    SKIP32_PER_MINUTE = 16, /* of those with 32: 2^31 are used up in the year 2225 */
};

uint64_t restore_skip(uint64_t v, int64_t now_s)
{
    uint64_t since_1970 = now_s > 0 ? (uint64_t)now_s << SKIP_SHIFT : 0;

    return MAX(v + (UINT64_C(1) << 32), since_1970);
}

static uint32_t skip32(uint32_t v, int64_t now_s)
{
    uint32_t since_1970 = now_s > 0 ? (uint32_t)(now_s / 60 * SKIP32_PER_MINUTE) : 0;

    return MAX(v + (1U << 16), since_1970);
}

/* ---- the records ---- */

struct rewrite {
    struct kv *kv;
    const struct restore_plan *plan;
    struct kv_batch batch;
};

static int write_batch(struct rewrite *w)
{
    int r = w->batch.len == 0 ? 0 : kv_write(w->kv, &w->batch);

    kv_batch_clear(&w->batch);
    return r;
}

/* Of a record, what takes its place; len 0: nothing does. */
typedef int (*rewrite_fn)(const struct rewrite *w, const struct kv_iter *it, uint8_t *out,
                          size_t *ret_len);

/* PAGE_RECORDS of a kind from *at on, which moves behind them. 1: there may be more. */
static int rewrite_page(struct rewrite *w, char kind, rewrite_fn fn, struct key *at)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    uint8_t bytes[REC_BYTES_MAX];
    int r = kv_iter_new(w->kv, &kind, 1, &it);

    if (r == 0)
        r = kv_iter_seek(it, at->b, at->len);
    for (unsigned i = 0; r == 0 && it->valid; i++) {
        size_t len = 0;

        if (it->key_len >= KEY_BYTES_MAX)
            return -EBADMSG;
        if (i == PAGE_RECORDS)
            return 1;
        if (fn)
            r = fn(w, it, bytes, &len);
        if (r < 0)
            return r;
        if (len > 0)
            (void)kv_batch_put(&w->batch, it->key, it->key_len, bytes, len);
        else
            kv_batch_delete(&w->batch, it->key, it->key_len);
        memcpy(at->b, it->key, it->key_len);
        at->b[it->key_len] = 0;
        at->len = it->key_len + 1;
        r = kv_iter_next(it);
    }
    return r;
}

static int rewrite_kind(struct rewrite *w, char kind, rewrite_fn fn)
{
    struct key at;
    int more, r;

    key_kind(&at, kind);
    do {
        more = rewrite_page(w, kind, fn, &at);
        r = more < 0 ? more : write_batch(w);
    } while (r == 0 && more > 0);
    return r;
}

/* A client that lives on takes a lower version for an answer that came late, and an equal one for
 * what it has. */
static int rewrite_inode(const struct rewrite *w, const struct kv_iter *it, uint8_t *out,
                         size_t *ret_len)
{
    struct inode_rec inode;

    if (it->key_len != 9 ||
        inode_rec_decode(key_get_u64(it->key + 1), it->value, it->value_len, &inode) < 0)
        return -EBADMSG;
    inode.data_version = restore_skip(inode.data_version, w->plan->now_s);
    inode.dir_version = restore_skip(inode.dir_version, w->plan->now_s);
    /* Who has zeroed that tail may have done so before what was written there after the backup. */
    if (inode.trunc_pending && inode.trunc_version != 0)
        inode.trunc_version = inode.data_version;
    *ret_len = inode_rec_encode(&inode, out);
    return 0;
}

/* Nobody serves, until the datanodes have told what they hold (pg_mgr.h). */
static int rewrite_pg(const struct rewrite *w, const struct kv_iter *it, uint8_t *out,
                      size_t *ret_len)
{
    struct pg_rec pg;

    if (it->key_len != 5 ||
        pg_rec_decode(key_get_u32(it->key + 1), it->value, it->value_len, &pg) < 0)
        return -EBADMSG;
    pg.epoch = restore_skip(pg.epoch, w->plan->now_s);
    pg.reset_epoch = pg.cold_epoch = pg.epoch;
    pg.fence_version = 0;
    for (unsigned i = 0; i < pg.member_count; i++)
        pg.members[i].state = DFS__MEMBER_STATE__MEMBER_OFFLINE;
    *ret_len = pg_rec_encode(&pg, out);
    return 0;
}

static int rewrite_target(const struct rewrite *w, const struct kv_iter *it, uint8_t *out,
                          size_t *ret_len)
{
    struct target_rec t;

    if (it->key_len != 5 ||
        target_rec_decode(key_get_u32(it->key + 1), it->value, it->value_len, &t) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < w->plan->without_count; i++) {
        if (w->plan->without[i] == t.target)
            t.state = DFS__TARGET_STATE__TARGET_REMOVED;
    }
    *ret_len = target_rec_encode(&t, out);
    return 0;
}

static int check_without(struct rewrite *w)
{
    for (size_t i = 0; i < w->plan->without_count; i++) {
        struct kv_value v;
        struct key k;
        int r;

        key_id32(&k, 'T', w->plan->without[i]);
        r = kv_get(w->kv, k.b, k.len, &v);
        if (r < 0)
            return r == -ENOENT ? -ESRCH : r;
        kv_value_done(w->kv, &v);
    }
    return 0;
}

static int read_state(struct kv *kv, struct state_rec *ret_state)
{
    struct kv_value v;
    struct key k;
    int r;

    key_cluster(&k);
    r = kv_get(kv, k.b, k.len, &v);
    if (r < 0)
        return r;
    kv_value_done(kv, &v);
    key_state(&k);
    r = kv_get(kv, k.b, k.len, &v);
    if (r < 0)
        return r;
    r = state_rec_decode(v.data, v.len, ret_state);
    kv_value_done(kv, &v);
    return r;
}

static int rewrite_state(struct rewrite *w, struct state_rec *s)
{
    const struct restore_plan *p = w->plan;
    struct restored_rec restored = {
        .index = s->index, .term = s->term, .made_s = p->made_s, .restored_s = p->now_s};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    s->term = restore_skip(s->term, p->now_s);
    s->next_ino = restore_skip(s->next_ino, p->now_s);
    s->next_chunk = restore_skip(s->next_chunk, p->now_s);
    s->next_session = restore_skip(s->next_session, p->now_s);
    s->next_target = skip32(s->next_target, p->now_s);
    s->next_pg = skip32(s->next_pg, p->now_s);
    s->fence_version = restore_skip(s->fence_version, p->now_s);
    s->map_version = restore_skip(s->map_version, p->now_s);
    s->session_count = 0;
    memcpy(restored.group, p->group, sizeof(restored.group));
    restored.session_floor = s->next_session;
    key_restored(&k);
    (void)kv_batch_put(&w->batch, k.b, k.len, bytes, restored_rec_encode(&restored, bytes));
    key_state(&k);
    (void)kv_batch_put(&w->batch, k.b, k.len, bytes, state_rec_encode(s, bytes));
    return write_batch(w);
}

int restore_rewrite(struct kv *kv, const struct restore_plan *plan, struct state_rec *ret_state)
{
    /* Sessions with their answers and fences; the namenodes that were. */
    static const char gone[] = "NnRBA";
    struct rewrite w = {.kv = kv, .plan = plan};
    struct state_rec state;
    int r = read_state(kv, &state);

    kv_batch_init(&w.batch);
    if (r == 0)
        r = check_without(&w);
    for (const char *kind = gone; *kind && r == 0; kind++)
        r = rewrite_kind(&w, *kind, NULL);
    if (r == 0)
        r = rewrite_kind(&w, 'I', rewrite_inode);
    if (r == 0)
        r = rewrite_kind(&w, 'P', rewrite_pg);
    if (r == 0)
        r = rewrite_kind(&w, 'T', rewrite_target);
    if (r == 0)
        r = rewrite_state(&w, &state);
    if (r == 0)
        r = kv_flush(kv, true);
    kv_batch_done(&w.batch);
    if (r == 0)
        *ret_state = state;
    return r;
}

/* ---- the files ---- */

struct unpack {
    char dir[PATH_SIZE];
    struct vfs_file *file;
};

static int take_data(void *ctx, const struct backup_member *m, uint64_t offset, const void *data,
                     size_t len)
{
    struct unpack *u = ctx;
    char path[PATH_SIZE + BACKUP_NAME_MAX];
    int r = 0;

    if (!u->file) {
        (void)snprintf(path, sizeof(path), "%s/%s", u->dir, m->name);
        r = vfs_open(vfs_posix(), path, O_RDWR | O_CREAT | O_EXCL, 0600, &u->file);
    }
    if (r == 0 && len > 0)
        return vfs_pwrite(u->file, data, len, offset);
    if (r == 0)
        r = vfs_sync(u->file);
    vfs_close(STEAL(u->file));
    return r;
}

static int unpack(const char *file, const char *dir, struct backup_info *ret_info, char *err,
                  size_t err_size)
{
    bool is_stdin = strcmp(file, "-") == 0;
    struct unpack u = {0};
    struct backup_sink sink = {.data = take_data, .ctx = &u};
    char why[BACKUP_WHY_MAX] = "it cannot be opened";
    int fd = is_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : 0;

    (void)snprintf(u.dir, sizeof(u.dir), "%s", dir);
    if (r == 0)
        r = backup_read_fd(fd, &sink, ret_info, why);
    vfs_close(u.file);
    if (!is_stdin && fd >= 0)
        (void)close(fd);
    if (r == 0)
        r = vfs_sync_dir(vfs_posix(), dir);
    if (r < 0)
        (void)snprintf(err, err_size, "%s: %s%s%s", file, why, why[0] ? ": " : "", dfs_strerror(r));
    return r;
}

/* ---- the directory ---- */

static int is_foreign(void *ctx, const char *name, bool is_dir)
{
    (void)ctx;
    (void)is_dir;
    return strcmp(name, "lock") != 0 && strcmp(name, "lost+found") != 0 ? -ENOTEMPTY : 0;
}

static int check_place(const struct node_conf *conf, char *err, size_t err_size)
{
    int r;

    if (conf->founders.count != 1 || conf->founders.members[0].id.v != conf->id.v) {
        (void)snprintf(err, err_size,
                       "`namenodes` of the configuration must name this one alone, as %" PRIu64
                       "@HOST:PORT: a restored namenode is a group of its own, and the others join "
                       "it, empty, by `dfs namenode add`",
                       conf->id.v);
        return -EINVAL;
    }
    r = vfs_list(vfs_posix(), conf->data_dir, is_foreign, NULL);
    if (r < 0)
        (void)snprintf(err, err_size, "data_dir = %s: %s", conf->data_dir,
                       r == -ENOTEMPTY ? "it is not empty; nothing was touched" : dfs_strerror(r));
    return r;
}

/* From now on nothing starts here (data_dir_open()), until what is in it has become the store. */
static int make_place(const struct node_conf *conf, const char *dir, char *err, size_t err_size)
{
    int r = vfs_mkdir(vfs_posix(), dir, 0700);

    if (r == 0)
        r = vfs_sync_dir(vfs_posix(), conf->data_dir);
    if (r < 0)
        (void)snprintf(err, err_size, "%s: %s", dir, dfs_strerror(r));
    return r;
}

static int rewrite_dir(const char *dir, const struct restore_plan *plan,
                       const struct backup_info *info, struct state_rec *ret_state, char *err,
                       size_t err_size)
{
    struct kv_rocks_options o = {.must_exist = true};
    struct kv_rocks_verify how = {0};
    CLEANUP(kv) struct kv *kv = NULL;
    struct state_rec was;
    int r = kv_rocks_verify(dir, &how);

    if (r == -EBADMSG) { /* The sums of the file are of what the namenode had, damaged or not. */
        (void)snprintf(err, err_size,
                       "the metadata in the backup were damaged when it was taken: take another");
        return r;
    }
    if (r == 0)
        r = kv_rocks_open(dir, &o, &kv);
    if (r == 0)
        r = read_state(kv, &was);
    if (r == 0 && (was.index != info->index || was.term != info->term))
        r = -EBADMSG;
    if (r == 0)
        r = restore_rewrite(kv, plan, ret_state);
    if (r == -ESRCH)
        (void)snprintf(err, err_size, "--without: one of the targets is not in the backup");
    else if (r < 0)
        (void)snprintf(err, err_size, "the metadata in the backup: %s", dfs_strerror(r));
    return r;
}

static int fill(const struct node_conf *conf, const char *file, const char *dir,
                struct restore_plan *plan, char *err, size_t err_size)
{
    struct backup_info info = {0};
    struct raft_point point = {.conf = conf->founders};
    struct raft_uuid group;
    struct uuid random = uuid_new();
    struct state_rec state;
    int r = unpack(file, dir, &info, err, err_size);

    memcpy(plan->group, random.b, sizeof(plan->group));
    memcpy(group.b, random.b, sizeof(group.b));
    plan->made_s = info.time_s;
    plan->now_s = clock_wall_ns(clock_system()) / (int64_t)CLOCK_NS_PER_S;
    if (r == 0)
        r = rewrite_dir(dir, plan, &info, &state, err, err_size);
    backup_info_done(&info);
    if (r < 0) { /* It was empty, and is again. */
        (void)vfs_remove_all(vfs_posix(), dir);
        return r;
    }
    point.index = state.index;
    point.term = state.term;
    r = data_dir_restore(vfs_posix(), conf->data_dir, conf->id, group, &point);
    if (r < 0)
        (void)snprintf(err, err_size, "data_dir = %s: %s; empty it, and try again", conf->data_dir,
                       dfs_strerror(r));
    else
        log_info("restored", "dir=%s index=%" PRIu64 " inodes=%" PRIu64, conf->data_dir,
                 state.index, state.inode_count);
    return r;
}

int restore_run(const struct node_conf *conf, const char *file, const uint32_t *without,
                size_t without_count, char *err, size_t err_size)
{
    struct restore_plan plan = {.without = without, .without_count = without_count};
    char dir[PATH_SIZE];
    int lock_fd = -1;
    int r;

    if ((size_t)snprintf(dir, sizeof(dir), "%s/restoring", conf->data_dir) >= sizeof(dir))
        return -ENAMETOOLONG;
    r = daemon_make_dir(conf->data_dir, err, err_size);
    if (r == 0)
        r = daemon_lock_dir(conf->data_dir, &lock_fd, err, err_size);
    if (r < 0)
        return r;
    r = check_place(conf, err, err_size);
    if (r == 0)
        r = make_place(conf, dir, err, err_size);
    if (r == 0)
        r = fill(conf, file, dir, &plan, err, err_size);
    (void)close(lock_fd);
    return r;
}
