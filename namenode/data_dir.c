#include "namenode/data_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "common/uuid.h"
#include "common/vfs.h"

enum {
    IDENTITY_MAGIC = 0x31696664, /* "dfi1" */
    MEMBERS_MAGIC = 0x316d6664,  /* "dfm1" */
    CURRENT_MAGIC = 0x31636664,  /* "dfc1" */
    HISTORY_MAX = 16,
    FILE_MAX = 64 << 10,
    PATH_SIZE = 512,
};

struct members {
    uint64_t index;
    struct raft_conf conf;
};

struct data_dir {
    struct vfs *vfs;
    char *path;
    bool is_new, is_diverged;
    struct raft_id id;
    struct raft_uuid uuid, cluster;
    uint64_t store; /* number of the live db- */
    char store_path[PATH_SIZE], scratch[PATH_SIZE];
    struct members history[HISTORY_MAX];
    unsigned history_count;
};

static int path_of(const struct data_dir *d, const char *name, char out[PATH_SIZE])
{
    return (size_t)snprintf(out, PATH_SIZE, "%s/%s", d->path, name) < PATH_SIZE ? 0 : -ENAMETOOLONG;
}

/* magic, bytes, crc. */
static int file_write(const struct data_dir *d, const char *name, uint32_t magic,
                      const struct buf *body)
{
    CLEANUP_BUF struct buf b = {0};
    char path[PATH_SIZE];
    uint8_t word[4];

    put_le32(word, magic);
    buf_append(&b, word, 4);
    buf_append(&b, body->data, body->len);
    put_le32(word, crc32c(b.data, b.len));
    buf_append(&b, word, 4);
    (void)path_of(d, name, path);
    return vfs_replace_file(d->vfs, path, b.data, b.len, 0600);
}

static int file_read(const struct data_dir *d, const char *name, uint32_t magic, struct buf *body)
{
    char path[PATH_SIZE];
    int r;

    (void)path_of(d, name, path);
    r = vfs_read_file(d->vfs, path, FILE_MAX, body);
    if (r < 0)
        return r;
    if (body->len < 8 || get_le32(body->data + body->len - 4) != crc32c(body->data, body->len - 4))
        return -EBADMSG;
    if (get_le32(body->data) != magic)
        return is_other_version(get_le32(body->data), magic) ? -EPROTONOSUPPORT : -EBADMSG;
    body->len -= 4;
    buf_consume(body, 4);
    return 0;
}

static void append_u64(struct buf *b, uint64_t v)
{
    uint8_t word[8];

    put_le64(word, v);
    buf_append(b, word, sizeof(word));
}

/* -EBADMSG when the buffer ends before. */
static int take_u64(struct buf *b, uint64_t *ret)
{
    if (b->len < 8)
        return -EBADMSG;
    *ret = get_le64(b->data);
    buf_consume(b, 8);
    return 0;
}

/* ---- identity ---- */

static int identity_write(const struct data_dir *d)
{
    CLEANUP_BUF struct buf b = {0};

    append_u64(&b, d->id.v);
    buf_append(&b, d->uuid.b, sizeof(d->uuid.b));
    buf_append(&b, d->cluster.b, sizeof(d->cluster.b));
    return file_write(d, "identity", IDENTITY_MAGIC, &b);
}

static int identity_read(struct data_dir *d)
{
    CLEANUP_BUF struct buf b = {0};
    int r = file_read(d, "identity", IDENTITY_MAGIC, &b);

    if (r < 0)
        return r;
    if (b.len != 8 + 16 + 16)
        return -EBADMSG;
    d->id.v = get_le64(b.data);
    memcpy(d->uuid.b, b.data + 8, 16);
    memcpy(d->cluster.b, b.data + 24, 16);
    return 0;
}

/* ---- members ---- */

static int members_write(const struct data_dir *d)
{
    CLEANUP_BUF struct buf b = {0};

    for (unsigned i = 0; i < d->history_count; i++) {
        uint8_t bytes[RAFT_CONF_BYTES_MAX];
        size_t len = raft_conf_encode(&d->history[i].conf, bytes);

        append_u64(&b, d->history[i].index);
        append_u64(&b, len);
        buf_append(&b, bytes, len);
    }
    return file_write(d, "members", MEMBERS_MAGIC, &b);
}

static int members_read(struct data_dir *d)
{
    CLEANUP_BUF struct buf b = {0};
    int r = file_read(d, "members", MEMBERS_MAGIC, &b);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    while (b.len > 0) {
        struct members *m = &d->history[d->history_count];
        uint64_t len;

        if (d->history_count == HISTORY_MAX || take_u64(&b, &m->index) < 0 ||
            take_u64(&b, &len) < 0 || len > b.len ||
            raft_conf_decode(b.data, (size_t)len, &m->conf) < 0)
            return -EBADMSG;
        buf_consume(&b, (size_t)len);
        d->history_count++;
    }
    return 0;
}

void data_dir_members_at(const struct data_dir *d, uint64_t index, struct raft_conf *ret_conf)
{
    struct raft_conf conf = {0};

    for (unsigned i = 0; i < d->history_count; i++) {
        if (d->history[i].index <= index || d->is_diverged)
            conf = d->history[i].conf;
    }
    *ret_conf = conf;
}

int data_dir_add_members(struct data_dir *d, uint64_t index, const struct raft_conf *conf)
{
    /* An entry that is applied again after a restart replaces itself and what came after. */
    while (d->history_count > 0 && d->history[d->history_count - 1].index >= index)
        d->history_count--;
    if (d->history_count == HISTORY_MAX) {
        memmove(d->history, d->history + 1, (HISTORY_MAX - 1) * sizeof(d->history[0]));
        d->history_count--;
    }
    d->history[d->history_count++] = (struct members){.index = index, .conf = *conf};
    return members_write(d);
}

/* ---- the store ---- */

static void set_store(struct data_dir *d, uint64_t number)
{
    char name[32];

    d->store = number;
    (void)snprintf(name, sizeof(name), "db-%" PRIu64, number);
    (void)path_of(d, name, d->store_path);
}

static int current_write(const struct data_dir *d, uint64_t number, const struct raft_point *point)
{
    CLEANUP_BUF struct buf b = {0};
    uint8_t bytes[RAFT_CONF_BYTES_MAX];
    size_t len = raft_conf_encode(&point->conf, bytes);

    append_u64(&b, number);
    append_u64(&b, point->index);
    append_u64(&b, point->term);
    append_u64(&b, len);
    buf_append(&b, bytes, len);
    return file_write(d, "CURRENT", CURRENT_MAGIC, &b);
}

static int current_read(struct data_dir *d, uint64_t *ret_number, struct raft_point *ret_point)
{
    CLEANUP_BUF struct buf b = {0};
    uint64_t len;
    int r = file_read(d, "CURRENT", CURRENT_MAGIC, &b);

    if (r < 0)
        return r;
    if (take_u64(&b, ret_number) < 0 || take_u64(&b, &ret_point->index) < 0 ||
        take_u64(&b, &ret_point->term) < 0 || take_u64(&b, &len) < 0 || len != b.len ||
        raft_conf_decode(b.data, b.len, &ret_point->conf) < 0)
        return -EBADMSG;
    return 0;
}

/* What the members were at the point of the store that was installed, they still were then. */
static int members_from_point(struct data_dir *d, const struct raft_point *point)
{
    if (point->index == 0)
        return 0;
    for (unsigned i = 0; i < d->history_count; i++) {
        if (d->history[i].index >= point->index)
            return 0; /* Noted already, and gone on since. */
    }
    return data_dir_add_members(d, point->index, &point->conf);
}

/* ---- a store that is wrong ---- */

int data_dir_set_diverged(struct data_dir *d)
{
    char path[PATH_SIZE];

    (void)path_of(d, "DIVERGED", path);
    return vfs_replace_file(d->vfs, path, "", 0, 0600);
}

bool data_dir_is_diverged(const struct data_dir *d)
{
    return d->is_diverged;
}

/* A new, empty store takes the place of the one that is wrong. */
static int check_diverged(struct data_dir *d, uint64_t *number, struct raft_point *point)
{
    struct vfs_stat st;
    int r = vfs_stat(d->vfs, data_dir_path(d, "DIVERGED"), &st);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    d->is_diverged = true;
    *number += 1;
    *point = (struct raft_point){0};
    /* An installation that did not come to its end may have left one of that number. */
    set_store(d, *number);
    r = vfs_remove_all(d->vfs, d->store_path);
    return r < 0 ? r : current_write(d, *number, point);
}

static int clear_diverged(struct data_dir *d)
{
    int r;

    if (!d->is_diverged)
        return 0;
    d->is_diverged = false;
    r = vfs_unlink(d->vfs, data_dir_path(d, "DIVERGED"));
    return r < 0 ? r : vfs_sync_dir(d->vfs, d->path);
}

int data_dir_install(struct data_dir *d, const struct raft_point *point)
{
    char from[PATH_SIZE], to[PATH_SIZE], name[32];
    uint64_t number = d->store + 1;
    int r;

    (void)snprintf(name, sizeof(name), "db-%" PRIu64, number);
    (void)path_of(d, "snap-in", from);
    (void)path_of(d, name, to);
    /* A db- that CURRENT does not name is nothing: a crash up to here changes nothing. */
    r = vfs_remove_all(d->vfs, to);
    if (r == 0)
        r = vfs_rename(d->vfs, from, to);
    if (r == 0)
        r = vfs_sync_dir(d->vfs, d->path);
    if (r == 0)
        r = current_write(d, number, point);
    if (r < 0)
        return r;
    set_store(d, number);
    r = members_from_point(d, point);
    return r < 0 ? r : clear_diverged(d);
}

static int remove_if_old(void *ctx, const char *name, bool is_dir)
{
    struct data_dir *d = ctx;
    char path[PATH_SIZE];
    uint64_t number;
    char end;

    if (!is_dir || sscanf(name, "db-%" SCNu64 "%c", &number, &end) != 1 || number == d->store)
        return 0;
    (void)path_of(d, name, path);
    return vfs_remove_all(d->vfs, path);
}

int data_dir_remove_old(struct data_dir *d)
{
    return vfs_list(d->vfs, d->path, remove_if_old, d);
}

int data_dir_set_sound(struct data_dir *d)
{
    int r = clear_diverged(d);

    return r < 0 ? r : data_dir_remove_old(d);
}

/* ---- open ---- */

static int create(struct data_dir *d, struct raft_id id, const struct raft_conf *founders)
{
    struct raft_point none = {0};
    struct uuid u = uuid_new();
    int r;

    /* The identity last: without it the directory is still new. */
    r = current_write(d, 1, &none);
    if (r == 0 && raft_conf_find(founders, id))
        r = data_dir_add_members(d, 0, founders);
    if (r < 0)
        return r;
    d->id = id;
    memcpy(d->uuid.b, u.b, sizeof(u.b));
    d->is_new = true;
    return identity_write(d);
}

/* Only one that never had a log may get an identity. */
static int check_new(struct data_dir *d)
{
    struct vfs_stat st;
    int r = vfs_stat(d->vfs, data_dir_path(d, "log"), &st);

    return r == -ENOENT ? 0 : r < 0 ? r : -EBADMSG;
}

static int check_restored(struct data_dir *d)
{
    struct vfs_stat st;
    int r = vfs_stat(d->vfs, data_dir_path(d, "restoring"), &st);

    return r == -ENOENT ? 0 : r < 0 ? r : -EINPROGRESS;
}

static int open_dir(struct data_dir *d, struct raft_id id, const struct raft_conf *founders,
                    struct raft_id *ret_id)
{
    struct raft_point point = {0};
    uint64_t number;
    int r;

    r = vfs_mkdir_all(d->vfs, d->path, 0700);
    /* A process that was killed leaves names that a power failure would still take away. */
    if (r == 0)
        r = vfs_sync_dir(d->vfs, d->path);
    if (r < 0)
        return r;
    r = check_restored(d);
    if (r < 0)
        return r;
    r = identity_read(d);
    if (r == -ENOENT) {
        r = check_new(d);
        if (r == 0)
            r = create(d, id, founders);
    }
    if (r < 0)
        return r;
    if (d->id.v != id.v) {
        *ret_id = d->id;
        return -EXDEV;
    }
    r = current_read(d, &number, &point);
    if (r < 0)
        return r == -ENOENT ? -EBADMSG : r;
    r = check_diverged(d, &number, &point);
    if (r < 0)
        return r;
    set_store(d, number);
    d->history_count = 0;
    r = members_read(d);
    if (r < 0)
        return r;
    r = members_from_point(d, &point);
    if (r < 0)
        return r;
    r = vfs_remove_all(d->vfs, data_dir_path(d, "snap-out"));
    if (r == 0)
        r = vfs_remove_all(d->vfs, data_dir_path(d, "backup-out"));
    if (r == 0)
        r = vfs_remove_all(d->vfs, data_dir_path(d, "scrub"));
    /* Of a store that is wrong something may still be saved, until there is a better one. */
    return r < 0 || d->is_diverged ? r : data_dir_remove_old(d);
}

int data_dir_open(struct vfs *vfs, const char *path, struct raft_id id,
                  const struct raft_conf *founders, struct data_dir **ret_dir,
                  struct raft_id *ret_id)
{
    CLEANUP(data_dir) struct data_dir *d = MEM_NEW(struct data_dir);
    int r;

    if (strlen(path) > PATH_SIZE - 64)
        return -ENAMETOOLONG;
    d->vfs = vfs;
    d->path = mem_strdup(path);
    r = open_dir(d, id, founders, ret_id);
    if (r < 0)
        return r;
    *ret_dir = STEAL(d);
    return 0;
}

int data_dir_restore(struct vfs *vfs, const char *path, struct raft_id id, struct raft_uuid cluster,
                     const struct raft_point *point)
{
    CLEANUP(data_dir) struct data_dir *d = MEM_NEW(struct data_dir);
    char from[PATH_SIZE];
    struct uuid u = uuid_new();
    int r;

    if (strlen(path) > PATH_SIZE - 64)
        return -ENAMETOOLONG;
    d->vfs = vfs;
    d->path = mem_strdup(path);
    d->id = id;
    d->cluster = cluster;
    memcpy(d->uuid.b, u.b, sizeof(u.b));
    set_store(d, 1);
    r = current_write(d, 1, point);
    if (r == 0)
        r = data_dir_add_members(d, point->index, &point->conf);
    if (r == 0)
        r = identity_write(d);
    (void)path_of(d, "restoring", from);
    if (r == 0)
        r = vfs_rename(vfs, from, d->store_path);
    return r < 0 ? r : vfs_sync_dir(vfs, path);
}

void data_dir_close(struct data_dir *d)
{
    if (!d)
        return;
    free(d->path);
    free(d);
}

bool data_dir_is_new(const struct data_dir *d)
{
    return d->is_new;
}

struct raft_uuid data_dir_uuid(const struct data_dir *d)
{
    return d->uuid;
}

struct raft_uuid data_dir_cluster(const struct data_dir *d)
{
    return d->cluster;
}

int data_dir_set_cluster(struct data_dir *d, struct raft_uuid cluster)
{
    if (memcmp(&d->cluster, &cluster, sizeof(cluster)) == 0)
        return 0;
    d->cluster = cluster;
    return identity_write(d);
}

const char *data_dir_store(const struct data_dir *d)
{
    return d->store_path;
}

const char *data_dir_path(struct data_dir *d, const char *name)
{
    (void)path_of(d, name, d->scratch);
    return d->scratch;
}
