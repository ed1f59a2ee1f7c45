/* Directories: that they are a tree, and that each counts what is in it and below it. */
#include <inttypes.h>
#include <sys/stat.h>

#include "common/ids.h"
#include "common/mem.h"
#include "namenode/fsck_impl.h"

/* ---- one by one ---- */

/* The entries of a directory that was removed. */
static int stray_entry(struct fsck *f, const struct kv_iter *at)
{
    struct fsck_finding *found;
    struct dentry_rec d;
    struct key k;
    int there;

    if (at->key_len <= 9 || dentry_rec_decode(at->value, at->value_len, &d) < 0)
        return 0; /* Told before. */
    key_id64(&k, 'I', d.ino);
    there = fsck_exists(f, &k);
    if (there <= 0)
        return there;
    found = fsck_add(f, FSCK_STRAY_ENTRY, d.ino,
                     "an entry of directory %" PRIu64 ", which was removed, names inode %" PRIu64,
                     key_get_u64(at->key + 1), d.ino);
    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_MOVE_ENTRY);
    fsck_entry(f, found, key_get_u64(at->key + 1), at->key + 9, at->key_len - 9);
    return 0;
}

static int check_removed(struct fsck *f, const struct fsck_dir *d)
{
    struct fsck_finding *found;
    struct key from;

    if (!d->is_queued) {
        found =
            fsck_add(f, FSCK_NOT_QUEUED, d->ino,
                     "directory %" PRIu64 " was removed, and does not wait for the reaper", d->ino);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_QUEUE);
    }
    if (d->entries == 0)
        return 0;
    key_id64(&from, 'D', d->ino);
    return fsck_each(f, &from, from.len, stray_entry);
}

static void check_counts(struct fsck *f, const struct fsck_dir *d)
{
    struct fsck_finding *found;

    if (d->nlink != 2 + d->subdirs) {
        found = fsck_add(f, FSCK_NLINK, d->ino,
                         "directory %" PRIu64 " counts %" PRIu32 " links, with %" PRIu32
                         " directories in it there are %" PRIu32,
                         d->ino, d->nlink, d->subdirs, 2 + d->subdirs);
        fsck_repair_add(found, DFS__REPAIR_FIELD__REPAIR_NLINK, (int64_t)d->subdirs + 2 - d->nlink);
        fsck_place(f, found, d->name_in, d->ino);
    }
    if (d->is_queued) {
        found = fsck_add(f, FSCK_QUEUED, d->ino,
                         "directory %" PRIu64 " waits for the reaper and was not removed", d->ino);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_UNQUEUE);
        fsck_place(f, found, d->name_in, d->ino);
    }
    if (d->entry_count != d->entries) {
        found = fsck_add(f, FSCK_ENTRY_COUNT, d->ino,
                         "directory %" PRIu64 " counts %" PRIu64 " entries, it has %" PRIu64,
                         d->ino, d->entry_count, d->entries);
        fsck_repair_add(found, DFS__REPAIR_FIELD__REPAIR_ENTRY_COUNT,
                        (int64_t)(d->entries - d->entry_count));
        fsck_place(f, found, d->name_in, d->ino);
    }
}

static void check_name(struct fsck *f, struct fsck_dir *d)
{
    struct fsck_finding *found;
    const struct fsck_dir *in;
    struct fsck_name n;

    if (d->ino == INO_ROOT.v ? d->names > 0 : d->names > 1) {
        fsck_suspect(f, d->ino);
        return;
    }
    if (d->ino == INO_ROOT.v)
        return;
    if (d->names == 0) {
        found = fsck_add(f, FSCK_NO_NAME, d->ino, "directory %" PRIu64 " has no name", d->ino);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_ADOPT);
        found->repair.expect = d->parent;
        d->parent = INO_ROOT.v; /* That is where it will be. */
        return;
    }
    in = fsck_dir_find(f, d->name_in);
    if (!in || !fsck_is_live(in)) {
        d->parent = INO_ROOT.v; /* Its entry is a stray one, told as such. */
        return;
    }
    if (d->name_in == d->parent || fsck_name_find(f, d->name_in, d->ino, &n) <= 0)
        return;
    found =
        fsck_add(f, FSCK_PARENT, d->ino,
                 "directory %" PRIu64 " says that it is in %" PRIu64 ", its name is in %" PRIu64,
                 d->ino, d->parent, d->name_in);
    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_PARENT);
    found->repair.expect = d->parent;
    d->parent = d->name_in;
    fsck_entry(f, found, d->name_in, n.bytes, n.len);
}

int fsck_dirs(struct fsck *f)
{
    int r = 0;

    for (size_t i = 0; i < f->dir_count && r == 0; i++) {
        struct fsck_dir *d = &f->dirs[i];

        if (!fsck_is_live(d) && d->ino != INO_ROOT.v) {
            r = check_removed(f, d);
            continue;
        }
        check_counts(f, d);
        check_name(f, d);
    }
    if (r == 0 && !fsck_dir_find(f, INO_ROOT.v) && f->state.inode_count > 0)
        (void)fsck_add(f, FSCK_UNREADABLE, INO_ROOT.v, "the root directory is not there");
    return r;
}

/* ---- loops ---- */

/* The way up, as `mark`, until something that has another mark. */
static struct fsck_dir *climb(struct fsck *f, struct fsck_dir *d, uint8_t while_mark, uint8_t mark)
{
    while (d && d->mark == while_mark) {
        d->mark = mark;
        d = d->ino == INO_ROOT.v ? NULL : fsck_dir_find(f, d->parent);
    }
    return d;
}

static void loop_found(struct fsck *f, struct fsck_dir *d)
{
    struct fsck_finding *found;
    struct fsck_name n;

    if (fsck_name_find(f, d->parent, d->ino, &n) <= 0)
        return;
    found = fsck_add(f, FSCK_LOOP, d->ino, "directory %" PRIu64 " lies in itself", d->ino);
    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_MOVE_ENTRY);
    fsck_entry(f, found, d->parent, n.bytes, n.len);
}

int fsck_loops(struct fsck *f)
{
    for (size_t i = 0; i < f->dir_count; i++) {
        struct fsck_dir *d = &f->dirs[i], *end;

        if (d->mark != MARK_NONE || !fsck_is_live(d))
            continue;
        end = climb(f, d, MARK_NONE, MARK_ON_THE_WAY);
        if (end && end->mark == MARK_ON_THE_WAY)
            loop_found(f, end);
        (void)climb(f, d, MARK_ON_THE_WAY, MARK_REACHED);
    }
    return 0;
}

/* ---- what lies below ---- */

static void check_usage(struct fsck *f, const struct fsck_dir *d, const struct usage_rec *told)
{
    const usage_bytes more = d->bytes - told->bytes;
    struct fsck_finding *found;

    if (told->files == d->files && told->dirs == d->dirs && told->bytes == d->bytes)
        return;
    found =
        fsck_add(f, FSCK_USAGE, d->ino,
                 "directory %" PRIu64 " counts %" PRIu64 " files, %" PRIu64 " directories, %" PRIu64
                 " bytes below it; there are %" PRIu64 ", %" PRIu64 ", %" PRIu64,
                 d->ino, told->files, told->dirs, (uint64_t)told->bytes, d->files, d->dirs,
                 (uint64_t)d->bytes);
    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_USAGE);
    found->repair.files = (int64_t)(d->files - told->files);
    found->repair.dirs = (int64_t)(d->dirs - told->dirs);
    found->repair.bytes_low = (uint64_t)more;
    found->repair.bytes_high = (uint64_t)(more >> 64);
    fsck_place(f, found, d->parent, d->ino);
}

static int take_usage(struct fsck *f, const struct kv_iter *at)
{
    struct usage_rec rec;
    struct fsck_dir *d;

    if (at->key_len != 9 || usage_rec_decode(at->value, at->value_len, &rec) < 0) {
        fsck_unreadable(f, at);
        return 0;
    }
    f->quotas += rec.quota_inodes != 0 || rec.quota_bytes != 0;
    d = fsck_dir_find(f, key_get_u64(at->key + 1));
    if (!d || !fsck_is_live(d)) {
        fsck_stray(f, at, "is not there, or no directory");
        return 0;
    }
    d->has_usage = true;
    if (!f->result->usage_left_out)
        check_usage(f, d, &rec);
    return 0;
}

/* From the leaves up; `subdirs` counts those that are still to come. */
static void add_up(struct fsck *f)
{
    for (size_t i = 0; i < f->dir_count; i++) {
        struct fsck_dir *d = &f->dirs[i];

        if (d->subdirs > 0 || d->mark == MARK_ADDED || !fsck_is_live(d))
            continue;
        while (d->ino != INO_ROOT.v) {
            struct fsck_dir *up = fsck_dir_find(f, d->parent);

            d->mark = MARK_ADDED;
            up->files += d->files;
            up->dirs += d->dirs + 1;
            up->bytes += d->bytes;
            if (--up->subdirs > 0)
                break;
            d = up;
        }
    }
}

int fsck_usage(struct fsck *f)
{
    static const struct usage_rec none;
    int r;

    f->result->usage_left_out = f->structure > 0;
    if (!f->result->usage_left_out)
        add_up(f);
    r = fsck_each_of_kind(f, 'U', take_usage);
    for (size_t i = 0; i < f->dir_count && r == 0 && !f->result->usage_left_out; i++) {
        if (!f->dirs[i].has_usage && fsck_is_live(&f->dirs[i]))
            check_usage(f, &f->dirs[i], &none);
    }
    return r;
}
