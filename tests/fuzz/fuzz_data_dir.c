/*
 * The small files of a namenode's data directory. A good directory is made, some of its files are
 * replaced, and it is opened: that gives a directory or one of the errors that data_dir.h names,
 * and what it gives is there again after the next open, and after all was written anew.
 *
 *   1 byte: files | 2 bytes: length of each that is replaced, in order, and its bytes
 *
 * files: 1 identity, 2 members, 4 CURRENT; 8: they get their magic and checksum; 16: DIVERGED.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/vfs_fake.h"
#include "namenode/data_dir.h"
#include "tests/fuzz/target.h"

enum { FILES = 3, MEND = 8, DIVERGED = 16, BYTES_MAX = 16 << 10 };

static const struct {
    const char *path;
    uint32_t magic;
} files[FILES] = {
    {"/nn/identity", 0x31696664},
    {"/nn/members", 0x316d6664},
    {"/nn/CURRENT", 0x31636664},
};

static const struct raft_id self = {1};

static void check(bool ok)
{
    if (!ok)
        abort();
}

static int open_dir(struct vfs *v, struct data_dir **ret)
{
    struct raft_conf founders = {.count = 1, .members = {{.id = self, .voter = true, .addr = "a"}}};
    struct raft_id other = self;
    int r = data_dir_open(v, "/nn", self, &founders, ret, &other);

    check((r == -EXDEV) == (other.v != self.v));
    return r;
}

static void make_dir(struct vfs *v)
{
    struct raft_conf two = {
        .count = 2,
        .members = {{.id = self, .voter = true, .addr = "a"}, {.id = {2}, .addr = "b"}}};
    struct raft_point point = {.index = 70, .term = 4, .conf = two};
    struct data_dir *d;

    check(open_dir(v, &d) == 0);
    check(data_dir_set_cluster(d, (struct raft_uuid){{9}}) == 0);
    check(data_dir_add_members(d, 50, &two) == 0);
    check(vfs_mkdir_all(v, "/nn/snap-in", 0700) == 0);
    check(data_dir_install(d, &point) == 0);
    data_dir_close(d);
}

static void put(struct vfs *v, unsigned which, bool mend, const uint8_t *data, size_t size)
{
    static uint8_t bytes[BYTES_MAX + 8];
    size_t len = MIN(size, (size_t)BYTES_MAX);

    if (mend) {
        put_le32(bytes, files[which].magic);
        memcpy(bytes + 4, data, len);
        put_le32(bytes + 4 + len, crc32c(bytes, 4 + len));
        len += 8;
    } else {
        memcpy(bytes, data, len);
    }
    check(vfs_replace_file(v, files[which].path, bytes, len, 0600) == 0);
}

/* What a replica does by. */
struct truth {
    struct raft_uuid uuid, cluster;
    struct raft_conf at[6];
    char store[512];
};

static const uint64_t points[6] = {0, 1, 50, 70, 1000, UINT64_MAX};

static void truth_of(const struct data_dir *d, struct truth *t)
{
    memset(t, 0, sizeof(*t));
    t->uuid = data_dir_uuid(d);
    t->cluster = data_dir_cluster(d);
    for (size_t i = 0; i < 6; i++)
        data_dir_members_at(d, points[i], &t->at[i]);
    check(strlen(data_dir_store(d)) < sizeof(t->store));
    strcpy(t->store, data_dir_store(d));
}

static void check_conf(const struct raft_conf *a, const struct raft_conf *b)
{
    uint8_t x[RAFT_CONF_BYTES_MAX], y[RAFT_CONF_BYTES_MAX];
    struct raft_conf again;
    size_t len = raft_conf_encode(a, x);

    check(raft_conf_encode(b, y) == len && memcmp(x, y, len) == 0);
    check(raft_conf_decode(x, len, &again) == 0 && again.count == a->count);
}

static void check_same(const struct truth *a, const struct truth *b)
{
    check(memcmp(&a->uuid, &b->uuid, sizeof(a->uuid)) == 0);
    check(memcmp(&a->cluster, &b->cluster, sizeof(a->cluster)) == 0);
    for (size_t i = 0; i < 6; i++)
        check_conf(&a->at[i], &b->at[i]);
}

/* A store that is wrong gives way to a new one at each open. */
static void reopen(struct vfs *v, struct data_dir **d, const struct truth *before)
{
    struct truth now;

    data_dir_close(*d);
    check(open_dir(v, d) == 0 && !data_dir_is_new(*d));
    truth_of(*d, &now);
    check_same(before, &now);
    check(data_dir_is_diverged(*d) || strcmp(before->store, now.store) == 0);
}

static void use(struct vfs *v, struct data_dir *d)
{
    struct raft_conf conf = {.count = 1, .members = {{.id = {3}, .voter = true, .addr = "c"}}};
    struct raft_point point = {.index = 2000, .term = 9, .conf = conf};
    struct truth t;

    truth_of(d, &t);
    reopen(v, &d, &t);
    check(data_dir_set_cluster(d, (struct raft_uuid){{7}}) == 0);
    check(data_dir_add_members(d, UINT64_MAX, &conf) == 0);
    truth_of(d, &t);
    check(t.cluster.b[0] == 7 && t.at[5].count == 1 && t.at[5].members[0].id.v == 3);
    reopen(v, &d, &t);
    check(vfs_mkdir_all(v, "/nn/snap-in", 0700) == 0);
    check(data_dir_install(d, &point) == 0 && data_dir_remove_old(d) == 0);
    check(!data_dir_is_diverged(d));
    truth_of(d, &t);
    reopen(v, &d, &t);
    data_dir_close(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vfs_fake *disk;
    struct data_dir *d = NULL;
    struct vfs *v;
    unsigned flags;
    int r;

    if (size == 0)
        return 0;
    flags = *data++;
    size--;
    disk = vfs_fake_new();
    v = vfs_fake_vfs(disk);
    make_dir(v);
    for (unsigned i = 0; i < FILES && size >= 2; i++) {
        size_t len = MIN((size_t)get_le16(data), size - 2);

        if (!(flags & 1u << i))
            continue;
        put(v, i, flags & MEND, data + 2, len);
        data += 2 + len;
        size -= 2 + len;
    }
    if (flags & DIVERGED)
        check(vfs_replace_file(v, "/nn/DIVERGED", "", 0, 0600) == 0);
    r = open_dir(v, &d);
    check(r == 0 || r == -EBADMSG || r == -EXDEV);
    if (r == 0)
        use(v, d);
    else
        check(d == NULL);
    vfs_fake_free(disk);
    return 0;
}
