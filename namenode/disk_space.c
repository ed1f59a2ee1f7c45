#include "namenode/disk_space.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/vfs.h"

enum { RESERVE_BYTES_MAX = 512 << 20, BALLAST_BYTES_MAX = 64 << 20 };

struct disk_space {
    struct vfs *vfs;
    char *dir;
    char *ballast;
    struct vfs_space last;
    bool has_ballast, is_short;
};

static uint64_t reserve_of(const struct vfs_space *space)
{
    return MIN(space->total_bytes * DISK_RESERVE_PERCENT / 100, (uint64_t)RESERVE_BYTES_MAX);
}

static uint64_t ballast_of(const struct vfs_space *space)
{
    return MIN(space->total_bytes / 100, (uint64_t)BALLAST_BYTES_MAX);
}

bool disk_space_is_below_reserve(const struct vfs_space *space)
{
    return space->free_bytes < reserve_of(space);
}

static void note(struct disk_space *s, const struct vfs_space *space)
{
    bool is_short = disk_space_is_below_reserve(space);

    if (is_short && !s->is_short)
        log_error("the disk is nearly full: only deleting is allowed", "dir=%s free=%" PRIu64,
                  s->dir, space->free_bytes);
    if (!is_short && s->is_short)
        log_info("the disk has room again", "dir=%s free=%" PRIu64, s->dir, space->free_bytes);
    s->is_short = is_short;
}

static void free_ballast(struct disk_space *s)
{
    int r = vfs_unlink(s->vfs, s->ballast);

    s->has_ballast = false;
    if (r == 0)
        log_warn("the ballast was dropped to get room on the disk", "file=%s", s->ballast);
    else if (r != -ENOENT)
        log_error("the ballast cannot be dropped", "file=%s %s", s->ballast, dfs_strerror(r));
}

static void put_ballast(struct disk_space *s, uint64_t bytes)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    int r = vfs_open(s->vfs, s->ballast, O_RDWR | O_CREAT, 0600, &f);

    if (r == 0)
        r = vfs_allocate(f, 0, bytes);
    if (r < 0)
        (void)vfs_unlink(s->vfs, s->ballast);
    s->has_ballast = r == 0;
}

void disk_space_look(struct disk_space *s)
{
    struct vfs_space space;

    if (vfs_space(s->vfs, s->dir, &space) < 0)
        return;
    s->last = space;
    note(s, &space);
    if (!s->has_ballast && space.free_bytes > 2 * reserve_of(&space))
        put_ballast(s, ballast_of(&space));
}

int disk_space_open(struct vfs *vfs, const char *dir, struct disk_space **ret_space)
{
    CLEANUP(disk_space) struct disk_space *s = MEM_NEW(struct disk_space);
    struct vfs_space space;
    struct vfs_stat st;
    int r;

    s->vfs = vfs;
    s->dir = mem_strdup(dir);
    s->ballast = mem_printf("%s/ballast", dir);
    r = vfs_space(vfs, dir, &space);
    if (r < 0)
        return r;
    s->has_ballast = vfs_stat(vfs, s->ballast, &st) == 0;
    if (s->has_ballast && space.free_bytes < ballast_of(&space))
        free_ballast(s);
    disk_space_look(s);
    *ret_space = STEAL(s);
    return 0;
}

void disk_space_close(struct disk_space *s)
{
    if (!s)
        return;
    free(s->dir);
    free(s->ballast);
    free(s);
}

bool disk_space_is_short(const struct disk_space *s)
{
    return s->is_short;
}

void disk_space_last(const struct disk_space *s, struct vfs_space *ret_space)
{
    *ret_space = s->last;
}
