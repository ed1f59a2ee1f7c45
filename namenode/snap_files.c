#include "namenode/snap_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/mem.h"
#include "common/vfs.h"

enum { READ_BYTES = 1 << 20, PATH_SIZE = 1024 };

void snap_files_done(struct snap_files *f)
{
    free(f->list);
    free(f->slots);
    *f = (struct snap_files){0};
}

static bool is_plain_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < SNAP_NAME_MAX && name[0] != '.' && !strchr(name, '/');
}

/* Where the name is, or would be. */
static uint32_t *slot_of(const struct snap_files *f, const char *name)
{
    size_t mask = 2 * f->capacity - 1;
    size_t i = (size_t)hash64(name, strlen(name), 0) & mask;

    while (f->slots[i] != 0 && strcmp(f->list[f->slots[i] - 1].name, name) != 0)
        i = (i + 1) & mask;
    return &f->slots[i];
}

static void grow(struct snap_files *f)
{
    f->capacity = f->capacity ? 2 * f->capacity : 64;
    f->list = mem_realloc(f->list, f->capacity, sizeof(*f->list));
    free(f->slots);
    f->slots = mem_zalloc(2 * f->capacity, sizeof(*f->slots));
    for (size_t i = 0; i < f->count; i++)
        *slot_of(f, f->list[i].name) = (uint32_t)(i + 1);
}

int snap_files_add(struct snap_files *f, const char *name, uint64_t size, uint64_t hash)
{
    struct snap_file *file;
    uint32_t *slot;

    if (!is_plain_name(name) || f->count == SNAP_FILES_MAX)
        return -EBADMSG;
    if (f->count == f->capacity)
        grow(f);
    slot = slot_of(f, name);
    if (*slot != 0)
        return -EBADMSG;
    file = &f->list[f->count++];
    *file = (struct snap_file){.size = size, .hash = hash};
    (void)snprintf(file->name, sizeof(file->name), "%s", name);
    *slot = (uint32_t)f->count;
    return 0;
}

const struct snap_file *snap_files_find(const struct snap_files *f, const char *name)
{
    uint32_t at = f->capacity > 0 ? *slot_of(f, name) : 0;

    return at > 0 ? &f->list[at - 1] : NULL;
}

static int hash_file(struct vfs_file *file, uint64_t *ret_size, uint64_t *ret_hash)
{
    CLEANUP(hash64_stream) struct hash64_stream *h = hash64_stream_new(0);
    uint8_t *bytes = mem_alloc(READ_BYTES);
    uint64_t size = 0;
    ssize_t n;

    while ((n = vfs_pread(file, bytes, READ_BYTES, size)) > 0) {
        hash64_stream_add(h, bytes, (size_t)n);
        size += (uint64_t)n;
    }
    free(bytes);
    if (n < 0)
        return (int)n;
    *ret_size = size;
    *ret_hash = hash64_stream_value(h);
    return 0;
}

struct scan {
    struct vfs *vfs;
    const char *dir;
    struct snap_files *files;
};

static int scan_name(void *ctx, const char *name, bool is_dir)
{
    CLEANUP(vfs_file) struct vfs_file *file = NULL;
    struct scan *s = ctx;
    char path[PATH_SIZE];
    uint64_t size, hash;
    int r;

    if (is_dir)
        return 0;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", s->dir, name) >= sizeof(path))
        return -ENAMETOOLONG;
    r = vfs_open(s->vfs, path, O_RDONLY, 0, &file);
    if (r == 0)
        r = hash_file(file, &size, &hash);
    return r < 0 ? r : snap_files_add(s->files, name, size, hash);
}

int snap_files_scan(struct vfs *vfs, const char *dir, struct snap_files *ret_files)
{
    struct snap_files files = {0};
    struct scan s = {.vfs = vfs, .dir = dir, .files = &files};
    int r = vfs_list(vfs, dir, scan_name, &s);

    if (r < 0) {
        snap_files_done(&files);
        return r;
    }
    *ret_files = files;
    return 0;
}

static int prune_name(void *ctx, const char *name, bool is_dir)
{
    struct scan *s = ctx;
    char path[PATH_SIZE];

    if (!is_dir && snap_files_find(s->files, name))
        return 0;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", s->dir, name) >= sizeof(path))
        return -ENAMETOOLONG;
    return is_dir ? vfs_remove_all(s->vfs, path) : vfs_unlink(s->vfs, path);
}

int snap_files_prune(struct vfs *vfs, const char *dir, const struct snap_files *files)
{
    struct snap_files copy = *files;
    struct scan s = {.vfs = vfs, .dir = dir, .files = &copy};

    return vfs_list(vfs, dir, prune_name, &s);
}

/* What could not be synced the kernel takes for clean, and would say so of it the next time: it goes,
 * to be fetched again. */
static int sync_or_drop(struct vfs *vfs, struct vfs_file *file, const char *path)
{
    int r = vfs_sync(file);

    if (r < 0)
        (void)vfs_unlink(vfs, path);
    return r;
}

int snap_file_verify(struct vfs *vfs, const char *dir, const struct snap_file *file)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    char path[PATH_SIZE];
    uint64_t size, hash;
    int r;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file->name) >= sizeof(path))
        return -ENAMETOOLONG;
    r = vfs_open(vfs, path, O_RDWR, 0, &f);
    if (r < 0)
        return r;
    r = sync_or_drop(vfs, f, path);
    if (r == 0)
        r = hash_file(f, &size, &hash);
    if (r < 0)
        return r;
    if (size == file->size && hash == file->hash)
        return 0;
    (void)vfs_unlink(vfs, path);
    return -EBADMSG;
}

int snap_files_sync(struct vfs *vfs, const char *dir, const struct snap_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        CLEANUP(vfs_file) struct vfs_file *f = NULL;
        char path[PATH_SIZE];
        int r;

        if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, files->list[i].name) >= sizeof(path))
            return -ENAMETOOLONG;
        r = vfs_open(vfs, path, O_RDWR, 0, &f);
        if (r == 0)
            r = sync_or_drop(vfs, f, path);
        if (r < 0)
            return r;
    }
    return vfs_sync_dir(vfs, dir);
}
