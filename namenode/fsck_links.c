/*
 * Names that were only counted, of inodes where the count is wrong: which they are. Directories with more
 * than one, and files whose K records do not say where their names are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/ids.h"
#include "common/mem.h"
#include "namenode/fsck_impl.h"

enum { SUSPECTS_MAX = FSCK_FINDINGS_MAX }; /* The next walk finds the others. */

struct entry {
    uint64_t ino, dir;
    uint32_t count;        /* of a file: its names in dir */
    uint32_t told;         /* of a file: by its K record */
    struct fsck_name name; /* the first */
};

/* Of the walk at hand. Entries of one inode lie together once they are sorted. */
struct entries {
    struct fsck *f;
    struct entry *all;
    size_t count, room;
};

void fsck_suspect(struct fsck *f, uint64_t ino)
{
    if (f->suspect_count == SUSPECTS_MAX)
        return;
    if (!f->suspects)
        f->suspects = mem_zalloc(SUSPECTS_MAX, sizeof(*f->suspects));
    f->suspects[f->suspect_count++] = ino;
}

static int compare_inos(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static bool is_suspect(const struct fsck *f, uint64_t ino)
{
    return bsearch(&ino, f->suspects, f->suspect_count, sizeof(ino), compare_inos) != NULL;
}

static struct entry *entry_add(struct entries *e, uint64_t ino, uint64_t dir)
{
    if (e->count == e->room) {
        e->room = 2 * e->room + 64;
        e->all = mem_realloc(e->all, e->room, sizeof(*e->all));
    }
    e->all[e->count] = (struct entry){.ino = ino, .dir = dir};
    return &e->all[e->count++];
}

static struct entry *entry_of(struct entries *e, uint64_t ino, uint64_t dir)
{
    for (size_t i = e->count; i > 0 && e->all[i - 1].dir == dir; i--) {
        if (e->all[i - 1].ino == ino)
            return &e->all[i - 1];
    }
    return NULL;
}

static int collect(struct fsck *f, struct entries *e)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    int r = kv_iter_new(f->kv, "D", 1, &it);

    if (r == 0)
        r = kv_iter_seek(it, "D", 1);
    for (; r == 0 && it->valid; r = kv_iter_next(it)) {
        struct dentry_rec d;
        struct entry *n;
        uint64_t dir;

        if (it->key_len <= 9 || dentry_rec_decode(it->value, it->value_len, &d) < 0 ||
            !is_suspect(f, d.ino))
            continue;
        if (atomic_load(&f->progress->stop))
            return -ECANCELED;
        dir = key_get_u64(it->key + 1);
        n = fsck_dir_find(f, d.ino) ? NULL : entry_of(e, d.ino, dir);
        if (!n) {
            n = entry_add(e, d.ino, dir);
            n->name.len = it->key_len - 9;
            memcpy(n->name.bytes, it->key + 9, n->name.len);
        }
        n->count++;
    }
    return r;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->ino != y->ino)
        return x->ino < y->ino ? -1 : 1;
    return x->dir < y->dir ? -1 : x->dir > y->dir;
}

/* ---- directories ---- */

/* The name that it keeps: the one where it says that it is. NULL: none, it is the root. */
static const struct entry *keep_which(struct fsck *f, const struct fsck_dir *d,
                                      const struct entry *e, size_t count)
{
    const struct entry *first = NULL;

    for (size_t i = 0; i < count && d->ino != INO_ROOT.v; i++) {
        const struct fsck_dir *in = fsck_dir_find(f, e[i].dir);

        if (!in || !fsck_is_live(in))
            continue;
        if (e[i].dir == d->parent)
            return &e[i];
        if (!first)
            first = &e[i];
    }
    return first;
}

static void check_dir(struct fsck *f, struct fsck_dir *d, const struct entry *e, size_t count)
{
    const struct entry *keep = keep_which(f, d, e, count);
    struct fsck_finding *found;

    if (keep && keep->dir != d->parent) {
        found = fsck_add(f, FSCK_PARENT, d->ino,
                         "directory %" PRIu64 " says that it is in %" PRIu64
                         ", its names are elsewhere",
                         d->ino, d->parent);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_PARENT);
        found->repair.expect = d->parent;
        fsck_entry(f, found, keep->dir, keep->name.bytes, keep->name.len);
        d->parent = keep->dir;
    } else if (!keep) {
        d->parent = INO_ROOT.v; /* All of its names are stray ones. */
    }
    for (size_t i = 0; i < count; i++) {
        const struct fsck_dir *in = fsck_dir_find(f, e[i].dir);

        if (&e[i] == keep || !in || !fsck_is_live(in))
            continue;
        found = fsck_add(f, FSCK_SECOND_NAME, d->ino, "directory %" PRIu64 " has a second name",
                         d->ino);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_DROP_ENTRY);
        fsck_entry(f, found, e[i].dir, e[i].name.bytes, e[i].name.len);
        if (!keep)
            continue;
        found->repair.keep_parent = keep->dir;
        found->repair.keep_name.data = (uint8_t *)mem_memdup(keep->name.bytes, keep->name.len);
        found->repair.keep_name.len = keep->name.len;
    }
}

/* ---- files of several names ---- */

static int take_told(struct fsck *f, struct entries *e, uint64_t ino)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    struct key from;
    int r;

    key_id64(&from, 'K', ino);
    r = kv_iter_new(f->kv, from.b, from.len, &it);
    if (r == 0)
        r = kv_iter_seek(it, from.b, from.len);
    for (; r == 0 && it->valid; r = kv_iter_next(it)) {
        struct entry *n = NULL;
        struct link_rec rec;

        if (it->key_len != 17 || link_rec_decode(it->value, it->value_len, &rec) < 0)
            continue;
        for (size_t i = 0; i < e->count && !n; i++) {
            if (e->all[i].ino == ino && e->all[i].dir == key_get_u64(it->key + 9))
                n = &e->all[i];
        }
        if (!n)
            n = entry_add(e, ino, key_get_u64(it->key + 9));
        n->told = rec.names;
    }
    return r;
}

static int inode_get(struct fsck *f, uint64_t ino, struct inode_rec *ret_inode)
{
    struct kv_value v;
    struct key k;
    int r;

    key_id64(&k, 'I', ino);
    r = kv_get(f->kv, k.b, k.len, &v);
    if (r < 0)
        return r;
    r = inode_rec_decode(ino, v.data, v.len, ret_inode);
    kv_value_done(f->kv, &v);
    return r;
}

static int check_file(struct fsck *f, const struct entry *e, size_t count)
{
    struct inode_rec inode;
    uint32_t names = 0;
    int r = inode_get(f, e->ino, &inode);

    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        names += e[i].count;
    for (size_t i = 0; i < count; i++) {
        uint32_t right = names > 1 ? e[i].count : 0;
        struct fsck_finding *found;

        if (e[i].told == right)
            continue;
        found = fsck_add(f, FSCK_LINKS, e->ino,
                         "file %" PRIu64 " counts %" PRIu32 " names in directory %" PRIu64
                         ", it should be %" PRIu32,
                         e->ino, e[i].told, e[i].dir, right);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_LINKS);
        found->repair.parent = e[i].dir;
        found->repair.names = right;
        found->repair.expect = (uint64_t)inode.ctime_ns;
        fsck_place(f, found, e[i].dir, e->ino);
    }
    return 0;
}

static int check(struct fsck *f, struct entries *e)
{
    int r = 0;

    for (size_t i = 0; i < f->suspect_count && r == 0; i++) {
        if (!fsck_dir_find(f, f->suspects[i]))
            r = take_told(f, e, f->suspects[i]);
    }
    if (e->count > 0)
        qsort(e->all, e->count, sizeof(*e->all), compare_entries);
    for (size_t i = 0, n; i < e->count && r == 0; i += n) {
        struct fsck_dir *d = fsck_dir_find(f, e->all[i].ino);

        for (n = 1; i + n < e->count && e->all[i + n].ino == e->all[i].ino;)
            n++;
        if (d)
            check_dir(f, d, &e->all[i], n);
        else
            r = check_file(f, &e->all[i], n);
    }
    return r;
}

int fsck_suspects(struct fsck *f)
{
    struct entries e = {.f = f};
    int r;

    if (f->suspect_count == 0)
        return 0;
    qsort(f->suspects, f->suspect_count, sizeof(*f->suspects), compare_inos);
    r = collect(f, &e);
    if (r == 0)
        r = check(f, &e);
    free(e.all);
    return r;
}
