/*
 * The disk in memory. Each file has two images: the cache (what reads see) and the medium (what a
 * power failure leaves), and between them the list of changes not yet synced. Names are kept in the
 * same way by vfs_fake_tree.c.
 */
#include "common/vfs_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/hash.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/vfs_fake_image.h"
#include "common/vfs_fake_tree.h"

struct fake_file {
    struct vfs_file file; /* first */
    struct node *node;
    int flags;
    bool stale; /* the machine has crashed since */
    struct fake_file *prev, *next;
};

struct fault {
    bool armed, for_ever;
    uint64_t after;
    int error;
};

struct vfs_fake {
    struct vfs vfs; /* first */
    struct tree tree;
    struct fake_file *open_files;
    uint64_t capacity_bytes;
    bool refuses_direct;
    bool names_any;
    uint64_t change_count;
    uint64_t hash;
    uint64_t stop_after;
    bool stopped;
    struct fault faults[VFS_FAKE_OP_COUNT];
    uint64_t op_counts[VFS_FAKE_OP_COUNT];
};

static struct vfs_fake *fake_of(struct vfs *v)
{
    return (struct vfs_fake *)v;
}

/* ---- faults ---- */

/* What every call of that kind asks first. */
static int try_op(struct vfs_fake *f, enum vfs_fake_op op)
{
    struct fault *fault = &f->faults[op];

    if (f->stopped)
        return -EIO;
    f->op_counts[op]++;
    if (!fault->armed)
        return 0;
    if (fault->after > 0) {
        fault->after--;
        return 0;
    }
    if (!fault->for_ever)
        fault->armed = false;
    return -fault->error;
}

/* What a call asks right before it changes something. */
static int try_change(struct vfs_fake *f)
{
    if (f->stopped)
        return -EIO;
    if (f->stop_after == 0) {
        f->stopped = true;
        return -EIO;
    }
    if (f->stop_after != UINT64_MAX)
        f->stop_after--;
    f->change_count++;
    return 0;
}

static int try_change_op(struct vfs_fake *f, enum vfs_fake_op op)
{
    int r = try_op(f, op);

    return r < 0 ? r : try_change(f);
}

static uint64_t used_bytes(const struct vfs_fake *f)
{
    const struct node *n;
    uint64_t blocks = 0;

    DL_FOREACH (f->tree.nodes, n) {
        if (n->link_count > 0 || n->open_count > 0)
            blocks += n->cache.allocated_count;
    }
    return blocks * IMAGE_BLOCK;
}

static int try_space(const struct vfs_fake *f, const struct node *n, uint64_t offset, uint64_t len)
{
    uint64_t more;

    if (f->capacity_bytes == UINT64_MAX)
        return 0;
    more = (uint64_t)image_blocks_missing(&n->cache, offset, len) * IMAGE_BLOCK;
    return more == 0 || used_bytes(f) + more <= f->capacity_bytes ? 0 : -ENOSPC;
}

/* ---- files ---- */

static struct fake_file *file_of(struct vfs_file *file)
{
    return (struct fake_file *)file;
}

static void change_bytes(struct node *n, enum image_change_type type, uint64_t offset, uint64_t len,
                         const void *data)
{
    struct image_change *c = image_change_new(type, offset, len, data);

    image_apply(&n->cache, c);
    DL_APPEND(n->changes, c);
}

static void fake_close(struct vfs_file *file)
{
    struct fake_file *o = file_of(file);
    struct vfs_fake *f = fake_of(file->vfs);

    DL_DELETE(f->open_files, o);
    o->node->open_count--;
    node_unref(&f->tree, o->node);
    free(o);
}

/* Direct reads do not see the cache: only what the medium has and what is still on its way there,
 * not what a failed sync gave up. */
static size_t read_direct(const struct node *n, void *buf, size_t len, uint64_t offset)
{
    struct image now = {0};
    const struct image_change *c;
    size_t got;

    image_copy(&now, &n->medium);
    DL_FOREACH (n->changes, c)
        image_apply(&now, c);
    got = image_read(&now, buf, len, offset);
    image_done(&now);
    return got;
}

static ssize_t fake_pread(struct vfs_file *file, void *buf, size_t len, uint64_t offset)
{
    struct fake_file *o = file_of(file);
    int r = o->stale ? -EIO : try_op(fake_of(file->vfs), VFS_FAKE_READ);

    if (r == 0 && node_is_spoiled(o->node, offset, len))
        r = -EIO;
    if (r < 0)
        return r;
    if (o->flags & O_DIRECT) {
        if (offset % IMAGE_SECTOR != 0 || len % IMAGE_SECTOR != 0 ||
            (uintptr_t)buf % IMAGE_SECTOR != 0)
            return -EINVAL;
        return (ssize_t)read_direct(o->node, buf, len, offset);
    }
    return (ssize_t)image_read(&o->node->cache, buf, len, offset);
}

static int check_writable(const struct fake_file *o)
{
    if (o->stale)
        return -EIO;
    return (o->flags & O_ACCMODE) == O_RDONLY ? -EBADF : 0;
}

static int fake_sync(struct vfs_file *file)
{
    struct fake_file *o = file_of(file);
    struct vfs_fake *f = fake_of(file->vfs);
    const struct image_change *c;
    int r;

    if (o->stale)
        return -EIO;
    if (f->stopped)
        return -EIO;
    r = try_op(f, VFS_FAKE_SYNC);
    if (r < 0) {
        node_changes_clear(o->node); /* The pages are clean now, and the medium never gets them. */
        return r;
    }
    r = try_change(f);
    if (r < 0)
        return r;
    DL_FOREACH (o->node->changes, c)
        image_apply(&o->node->medium, c);
    node_changes_clear(o->node);
    return 0;
}

static int check_direct(const struct fake_file *o, const struct iovec *iov, int count,
                        uint64_t offset)
{
    if (!(o->flags & O_DIRECT))
        return 0;
    for (int i = 0; i < count; i++) {
        if (offset % IMAGE_SECTOR != 0 || iov[i].iov_len % IMAGE_SECTOR != 0 ||
            (uintptr_t)iov[i].iov_base % IMAGE_SECTOR != 0)
            return -EINVAL;
        offset += iov[i].iov_len;
    }
    return 0;
}

static int fake_pwritev(struct vfs_file *file, const struct iovec *iov, int count, uint64_t offset)
{
    struct fake_file *o = file_of(file);
    struct vfs_fake *f = fake_of(file->vfs);
    uint64_t len = 0;
    int r;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    r = check_writable(o);
    if (r < 0)
        return r;
    r = check_direct(o, iov, count, offset);
    if (r < 0)
        return r;
    r = try_op(f, VFS_FAKE_WRITE);
    if (r < 0)
        return r;
    r = try_space(f, o->node, offset, len);
    if (r < 0)
        return r;
    r = try_change(f);
    if (r == 0)
        r = node_overwrite(o->node, offset, len);
    if (r < 0)
        return r;
    f->hash = hash64(&offset, sizeof(offset), f->hash);
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > 0)
            change_bytes(o->node, CHANGE_WRITE, offset, iov[i].iov_len, iov[i].iov_base);
        f->hash = hash64(iov[i].iov_base, iov[i].iov_len, f->hash);
        offset += iov[i].iov_len;
    }
    return o->flags & O_DSYNC ? fake_sync(file) : 0;
}

static int fake_sync_range(struct vfs_file *file, uint64_t offset, uint64_t len)
{
    (void)offset;
    (void)len;
    return file_of(file)->stale || fake_of(file->vfs)->stopped ? -EIO : 0;
}

static int fake_change_size(struct vfs_file *file, enum image_change_type type, uint64_t offset,
                            uint64_t len)
{
    struct fake_file *o = file_of(file);
    struct vfs_fake *f = fake_of(file->vfs);
    int r;

    r = check_writable(o);
    if (r < 0)
        return r;
    if (type == CHANGE_ALLOCATE) {
        r = try_space(f, o->node, offset, len);
        if (r < 0)
            return r;
    }
    r = try_change_op(f, VFS_FAKE_TRUNCATE);
    if (r < 0)
        return r;
    change_bytes(o->node, type, offset, len, NULL);
    return 0;
}

static int fake_truncate(struct vfs_file *file, uint64_t size)
{
    return fake_change_size(file, CHANGE_TRUNCATE, 0, size);
}

static int fake_allocate(struct vfs_file *file, uint64_t offset, uint64_t len)
{
    return fake_change_size(file, CHANGE_ALLOCATE, offset, len);
}

static int fake_punch(struct vfs_file *file, uint64_t offset, uint64_t len)
{
    return fake_change_size(file, CHANGE_PUNCH, offset, len);
}

static void stat_fill(const struct node *n, struct vfs_stat *ret_stat)
{
    *ret_stat = (struct vfs_stat){
        .size = n->cache.size,
        .allocated_bytes = (uint64_t)n->cache.allocated_count * IMAGE_BLOCK,
        .inode = n->inode,
        .is_dir = n->is_dir,
    };
}

static int fake_fstat(struct vfs_file *file, struct vfs_stat *ret_stat)
{
    struct fake_file *o = file_of(file);

    if (o->stale || fake_of(file->vfs)->stopped)
        return -EIO;
    stat_fill(o->node, ret_stat);
    return 0;
}

static int fake_fd(const struct vfs_file *file)
{
    (void)file;
    return -1;
}

/* ---- names ---- */

static int create_file(struct vfs_fake *f, struct node *dir, const char *leaf,
                       struct node **ret_node)
{
    struct node *n;
    int r = try_change(f);

    if (r < 0)
        return r;
    n = tree_node_new(&f->tree, false);
    tree_change_names(&f->tree, NULL, NULL, dir, leaf, n);
    *ret_node = n;
    return 0;
}

/* Finds or makes what open(2) with these flags would open. */
static int open_node(struct vfs_fake *f, const char *path, int flags, struct node **ret_node)
{
    char leaf[NAME_BYTES_MAX + 1];
    const struct name *e;
    struct node *dir;
    int r;

    r = tree_find_parent(&f->tree, path, &dir, leaf);
    if (r < 0)
        return r;
    e = leaf[0] == '\0' ? NULL : names_find(&dir->cache_names, leaf);
    if (e == NULL) {
        if (leaf[0] == '\0')
            return -EISDIR;
        return flags & O_CREAT ? create_file(f, dir, leaf, ret_node) : -ENOENT;
    }
    if ((flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if (e->node->is_dir)
        return -EISDIR;
    if ((flags & O_TRUNC) && e->node->cache.size > 0) {
        r = try_change(f);
        if (r < 0)
            return r;
        change_bytes(e->node, CHANGE_TRUNCATE, 0, 0, NULL);
    }
    *ret_node = e->node;
    return 0;
}

static int fake_open(struct vfs *v, const char *path, int flags, mode_t mode,
                     struct vfs_file **ret_file)
{
    struct vfs_fake *f = fake_of(v);
    struct fake_file *o;
    struct node *n = NULL;
    int r;

    (void)mode;
    r = try_op(f, VFS_FAKE_OPEN);
    if (r < 0)
        return r;
    if (f->refuses_direct && flags & O_DIRECT)
        return -EINVAL;
    r = open_node(f, path, flags, &n);
    if (r < 0)
        return r;
    o = MEM_NEW(struct fake_file);
    o->file.vfs = v;
    o->node = node_ref(n);
    o->flags = flags;
    n->open_count++;
    DL_APPEND(f->open_files, o);
    *ret_file = &o->file;
    return 0;
}

static int fake_stat(struct vfs *v, const char *path, struct vfs_stat *ret_stat)
{
    struct node *n;
    int r = fake_of(v)->stopped ? -EIO : tree_find(&fake_of(v)->tree, path, &n);

    if (r < 0)
        return r;
    stat_fill(n, ret_stat);
    return 0;
}

static int check_replaceable(const struct node *from, const struct node *to)
{
    if (to->is_dir)
        return !from->is_dir ? -EISDIR : to->cache_names.count > 0 ? -ENOTEMPTY : 0;
    return from->is_dir ? -ENOTDIR : 0;
}

static int fake_rename(struct vfs *v, const char *from, const char *to)
{
    struct vfs_fake *f = fake_of(v);
    char from_leaf[NAME_BYTES_MAX + 1], to_leaf[NAME_BYTES_MAX + 1];
    struct node *from_dir, *to_dir, *node;
    const struct name *replaced;
    int r;

    r = tree_find(&f->tree, from, &node);
    if (r < 0)
        return r;
    r = tree_find_parent(&f->tree, from, &from_dir, from_leaf);
    if (r < 0)
        return r;
    r = tree_find_parent(&f->tree, to, &to_dir, to_leaf);
    if (r < 0)
        return r;
    if (from_leaf[0] == '\0' || to_leaf[0] == '\0')
        return -EBUSY;
    replaced = names_find(&to_dir->cache_names, to_leaf);
    if (replaced != NULL) {
        if (replaced->node == node)
            return 0;
        r = check_replaceable(node, replaced->node);
        if (r < 0)
            return r;
    }
    r = try_change_op(f, VFS_FAKE_NAME);
    if (r < 0)
        return r;
    tree_change_names(&f->tree, from_dir, from_leaf, to_dir, to_leaf, node);
    return 0;
}

/* The place for a new name. */
static int find_free(struct vfs_fake *f, const char *path, struct node **ret_dir,
                     char leaf[NAME_BYTES_MAX + 1])
{
    int r = tree_find_parent(&f->tree, path, ret_dir, leaf);

    if (r < 0)
        return r;
    return leaf[0] == '\0' || names_find(&(*ret_dir)->cache_names, leaf) != NULL ? -EEXIST : 0;
}

static int fake_link(struct vfs *v, const char *from, const char *to)
{
    struct vfs_fake *f = fake_of(v);
    char leaf[NAME_BYTES_MAX + 1];
    struct node *node, *dir;
    int r;

    r = tree_find(&f->tree, from, &node);
    if (r < 0)
        return r;
    if (node->is_dir)
        return -EPERM;
    r = find_free(f, to, &dir, leaf);
    if (r < 0)
        return r;
    r = try_change_op(f, VFS_FAKE_NAME);
    if (r < 0)
        return r;
    tree_change_names(&f->tree, NULL, NULL, dir, leaf, node);
    return 0;
}

static int fake_mkdir(struct vfs *v, const char *path, mode_t mode)
{
    struct vfs_fake *f = fake_of(v);
    char leaf[NAME_BYTES_MAX + 1];
    struct node *dir;
    int r;

    (void)mode;
    r = find_free(f, path, &dir, leaf);
    if (r < 0)
        return r;
    r = try_change_op(f, VFS_FAKE_NAME);
    if (r < 0)
        return r;
    tree_change_names(&f->tree, NULL, NULL, dir, leaf, tree_node_new(&f->tree, true));
    return 0;
}

static int remove_name(struct vfs *v, const char *path, bool is_dir)
{
    struct vfs_fake *f = fake_of(v);
    char leaf[NAME_BYTES_MAX + 1];
    const struct name *e;
    struct node *dir;
    int r;

    r = tree_find_parent(&f->tree, path, &dir, leaf);
    if (r < 0)
        return r;
    e = names_find(&dir->cache_names, leaf);
    if (e == NULL)
        return leaf[0] == '\0' ? -EBUSY : -ENOENT;
    if (e->node->is_dir != is_dir)
        return is_dir ? -ENOTDIR : -EISDIR;
    if (e->node->cache_names.count > 0)
        return -ENOTEMPTY;
    r = try_change_op(f, VFS_FAKE_NAME);
    if (r < 0)
        return r;
    tree_change_names(&f->tree, dir, leaf, NULL, NULL, e->node);
    return 0;
}

static int fake_unlink(struct vfs *v, const char *path)
{
    return remove_name(v, path, false);
}

static int fake_rmdir(struct vfs *v, const char *path)
{
    return remove_name(v, path, true);
}

/* A copy, since fn may remove names. */
static int fake_list(struct vfs *v, const char *path, vfs_name_fn fn, void *ctx)
{
    struct vfs_fake *f = fake_of(v);
    struct names copy = {0};
    struct node *dir;
    int r;

    r = try_op(f, VFS_FAKE_READ);
    if (r < 0)
        return r;
    r = tree_find(&f->tree, path, &dir);
    if (r < 0)
        return r;
    if (!dir->is_dir)
        return -ENOTDIR;
    for (size_t i = 0; i < dir->cache_names.count; i++)
        names_put(&f->tree, &copy, dir->cache_names.items[i].name, dir->cache_names.items[i].node,
                  false);
    for (size_t i = 0; r == 0 && i < copy.count; i++)
        r = fn(ctx, copy.items[i].name, copy.items[i].node->is_dir);
    names_clear(&f->tree, &copy, false);
    return r;
}

static int fake_sync_dir(struct vfs *v, const char *path)
{
    struct vfs_fake *f = fake_of(v);
    struct node *dir;
    int r;

    r = tree_find(&f->tree, path, &dir);
    if (r < 0)
        return r;
    if (!dir->is_dir)
        return -ENOTDIR;
    r = try_change_op(f, VFS_FAKE_SYNC_DIR);
    if (r < 0)
        return r;
    tree_sync_dir(&f->tree, dir);
    return 0;
}

static int fake_space(struct vfs *v, const char *path, struct vfs_space *ret_space)
{
    struct vfs_fake *f = fake_of(v);
    uint64_t used = used_bytes(f);
    uint64_t total = f->capacity_bytes == UINT64_MAX ? UINT64_C(1) << 40 : f->capacity_bytes;

    (void)path;
    if (f->stopped)
        return -EIO;
    *ret_space = (struct vfs_space){total, total > used ? total - used : 0};
    return 0;
}

static const struct vfs_file_ops fake_file_ops = {
    .close = fake_close,
    .pread = fake_pread,
    .pwritev = fake_pwritev,
    .sync = fake_sync,
    .sync_range = fake_sync_range,
    .truncate = fake_truncate,
    .allocate = fake_allocate,
    .punch = fake_punch,
    .stat = fake_fstat,
    .fd = fake_fd,
};

/* ---- crashes ---- */

static void settle_on_medium(struct node *n, struct rng *rng)
{
    const struct image_change *c;

    DL_FOREACH (n->changes, c)
        image_apply_torn(&n->medium, c, rng);
    node_changes_clear(n);
}

void vfs_fake_kill(struct vfs_fake *f)
{
    struct fake_file *o;

    DL_FOREACH (f->open_files, o)
        o->stale = true;
    f->stopped = false;
    f->stop_after = UINT64_MAX;
}

void vfs_fake_crash(struct vfs_fake *f, struct rng *rng)
{
    struct node *n;

    vfs_fake_kill(f);
    tree_crash_names(&f->tree, rng, f->names_any);
    DL_FOREACH (f->tree.nodes, n)
        settle_on_medium(n, rng);
    tree_rebuild_cache(&f->tree);
}

uint64_t vfs_fake_hash(const struct vfs_fake *f)
{
    return f->hash;
}

void vfs_fake_set_names_any(struct vfs_fake *f, bool any)
{
    f->names_any = any;
}

int vfs_fake_set_names_in_order(struct vfs_fake *f, const char *dir)
{
    struct node *n;
    int r = tree_find(&f->tree, dir, &n);

    if (r < 0)
        return r;
    if (!n->is_dir)
        return -ENOTDIR;
    n->is_ordered = true;
    return 0;
}

uint64_t vfs_fake_change_count(const struct vfs_fake *f)
{
    return f->change_count;
}

void vfs_fake_stop_after(struct vfs_fake *f, uint64_t after)
{
    f->stop_after = after;
}

bool vfs_fake_is_stopped(const struct vfs_fake *f)
{
    return f->stopped;
}

void vfs_fake_fail(struct vfs_fake *f, enum vfs_fake_op op, uint64_t after, int error,
                   bool for_ever)
{
    f->faults[op] = (struct fault){
        .armed = true, .for_ever = for_ever, .after = after, .error = error < 0 ? -error : error};
}

void vfs_fake_fail_none(struct vfs_fake *f)
{
    memset(f->faults, 0, sizeof f->faults);
}

uint64_t vfs_fake_op_count(const struct vfs_fake *f, enum vfs_fake_op op)
{
    return f->op_counts[op];
}

void vfs_fake_set_capacity(struct vfs_fake *f, uint64_t bytes)
{
    f->capacity_bytes = bytes;
}

void vfs_fake_refuse_direct(struct vfs_fake *f)
{
    f->refuses_direct = true;
}

int vfs_fake_flip_bit(struct vfs_fake *f, const char *path, uint64_t offset, unsigned bit)
{
    struct image_change *c;
    struct node *n;
    int r;

    r = tree_find(&f->tree, path, &n);
    if (r < 0)
        return r;
    if (!image_flip_bit(&n->cache, offset, bit))
        return -ERANGE;
    (void)image_flip_bit(&n->medium, offset, bit);
    DL_FOREACH (n->changes, c) {
        if (c->type == CHANGE_WRITE && offset >= c->offset && offset < c->offset + c->len)
            c->data[offset - c->offset] ^= (uint8_t)(1u << bit);
    }
    return 0;
}

int vfs_fake_spoil(struct vfs_fake *f, const char *path, uint64_t offset, uint64_t len)
{
    struct node *n;
    int r = tree_find(&f->tree, path, &n);

    if (r == 0)
        node_spoil(n, offset, len);
    return r;
}

struct vfs_fake *vfs_fake_new(void)
{
    struct vfs_fake *f = MEM_NEW(struct vfs_fake);

    f->vfs = (struct vfs){
        .open = fake_open,
        .stat = fake_stat,
        .rename = fake_rename,
        .link = fake_link,
        .unlink = fake_unlink,
        .mkdir = fake_mkdir,
        .rmdir = fake_rmdir,
        .list = fake_list,
        .sync_dir = fake_sync_dir,
        .space = fake_space,
        .file_ops = &fake_file_ops,
    };
    f->capacity_bytes = UINT64_MAX;
    f->stop_after = UINT64_MAX;
    tree_init(&f->tree);
    return f;
}

void vfs_fake_free(struct vfs_fake *f)
{
    if (f == NULL)
        return;
    assert(f->open_files == NULL);
    tree_done(&f->tree);
    free(f);
}

struct vfs *vfs_fake_vfs(struct vfs_fake *f)
{
    return &f->vfs;
}
