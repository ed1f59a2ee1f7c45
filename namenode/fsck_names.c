/*
 * Inodes and their names. Directories are all in memory, of the other inodes a slice at a time; each entry
 * is looked at in the slice of the inode that it names.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/ids.h"
#include "common/mem.h"
#include "namenode/fsck_impl.h"
#include "namenode/fsm_value.h"

/* ---- inodes ---- */

static int take_dir(struct fsck *f, const struct kv_iter *at)
{
    struct inode_rec i;

    f->result->inode_count++;
    if (at->key_len != 9 ||
        inode_rec_decode(key_get_u64(at->key + 1), at->value, at->value_len, &i) < 0) {
        fsck_unreadable(f, at);
        return 0;
    }
    f->ino_max = MAX(f->ino_max, i.ino);
    if (!S_ISDIR(i.mode))
        return 0;
    if (f->dir_count == f->dir_room) {
        f->dir_room = 2 * f->dir_room + 64;
        f->dirs = mem_realloc(f->dirs, f->dir_room, sizeof(*f->dirs));
    }
    f->dirs[f->dir_count++] = (struct fsck_dir){.ino = i.ino,
                                                .parent = i.parent,
                                                .entry_count = i.entry_count,
                                                .nlink = i.nlink,
                                                .xattr_bytes = i.xattr_bytes};
    return 0;
}

/* What a file counts for, at its home. */
static void count_at_home(struct fsck *f, const struct inode_rec *i)
{
    struct fsck_dir *home = i->nlink > 0 ? fsck_dir_find(f, i->parent) : NULL;

    if (!home)
        return;
    home->files++;
    home->bytes += S_ISREG(i->mode) ? i->size : 0;
}

static int take_file(struct fsck *f, const struct kv_iter *at)
{
    struct inode_rec i;

    if (at->key_len != 9 ||
        inode_rec_decode(key_get_u64(at->key + 1), at->value, at->value_len, &i) < 0 ||
        S_ISDIR(i.mode))
        return 0;
    if (f->file_count == f->file_room) {
        f->to = i.ino;
        return 1;
    }
    f->files[f->file_count++] = (struct fsck_file){.ino = i.ino,
                                                   .home = i.parent,
                                                   .nlink = i.nlink,
                                                   .chunk_count = i.chunk_count,
                                                   .xattr_bytes = i.xattr_bytes,
                                                   .type = i.mode & S_IFMT,
                                                   .is_inline = i.is_inline};
    count_at_home(f, &i);
    return 0;
}

/* ---- entries ---- */

uint64_t fsck_link_hash(uint64_t dir)
{
    dir = (dir ^ dir >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    dir = (dir ^ dir >> 27) * UINT64_C(0x94d049bb133111eb);
    return dir ^ dir >> 31;
}

/* The entry of a directory that is not there: to /lost+found, if it names something. */
static void stray_entry(struct fsck *f, const struct kv_iter *at, uint64_t ino, bool is_there)
{
    uint64_t dir = key_get_u64(at->key + 1);
    struct fsck_finding *found =
        fsck_add(f, FSCK_STRAY_ENTRY, ino,
                 "an entry of inode %" PRIu64 ", which is no directory, names inode %" PRIu64 "%s",
                 dir, ino, is_there ? "" : ", which is not there");

    fsck_repair(found, is_there ? DFS__REPAIR_KIND__REPAIR_MOVE_ENTRY
                                : DFS__REPAIR_KIND__REPAIR_DROP_ENTRY);
    fsck_entry(f, found, dir, at->key + 9, at->key_len - 9);
}

static void dangling_entry(struct fsck *f, const struct kv_iter *at, uint64_t ino)
{
    uint64_t dir = key_get_u64(at->key + 1);
    struct fsck_finding *found = fsck_add(
        f, FSCK_DANGLING_ENTRY, ino,
        "an entry of directory %" PRIu64 " names inode %" PRIu64 ", which is not there", dir, ino);

    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_DROP_ENTRY);
    fsck_entry(f, found, dir, at->key + 9, at->key_len - 9);
}

static void check_type(struct fsck *f, const struct kv_iter *at, uint64_t ino, uint32_t told,
                       uint32_t type)
{
    struct fsck_finding *found;

    if (told == type)
        return;
    found = fsck_add(f, FSCK_ENTRY_TYPE, ino,
                     "an entry says that inode %" PRIu64 " is of type %#o, it is of type %#o", ino,
                     told, type);
    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_ENTRY_TYPE);
    fsck_entry(f, found, key_get_u64(at->key + 1), at->key + 9, at->key_len - 9);
}

static int take_entry(struct fsck *f, const struct kv_iter *at)
{
    struct fsck_dir *parent, *dir = NULL;
    struct fsck_file *file;
    struct dentry_rec d;
    uint64_t parent_ino;

    if (at->key_len <= 9 || dentry_rec_decode(at->value, at->value_len, &d) < 0) {
        if (f->from == 0)
            fsck_unreadable(f, at);
        return 0;
    }
    if (!fsck_in_slice(f, d.ino))
        return 0;
    f->result->entry_count++;
    parent_ino = key_get_u64(at->key + 1);
    file = d.type == S_IFDIR ? NULL : fsck_file_find(f, d.ino);
    if (!file)
        dir = fsck_dir_find(f, d.ino);
    if (!file && !dir)
        file = fsck_file_find(f, d.ino);
    if (file) {
        file->names++;
        file->name_in = parent_ino;
        file->links_seen += fsck_link_hash(parent_ino);
        file->is_at_home |= file->home == parent_ino;
        check_type(f, at, d.ino, d.type, file->type);
    } else if (dir) {
        dir->names++;
        dir->name_in = parent_ino;
        check_type(f, at, d.ino, d.type, S_IFDIR);
    }
    parent = fsck_dir_find(f, parent_ino);
    if (!parent) {
        stray_entry(f, at, d.ino, file || dir);
        return 0;
    }
    parent->entries++;
    parent->subdirs += file ? 0 : dir ? 1 : d.type == S_IFDIR;
    if (!file && !dir)
        dangling_entry(f, at, d.ino);
    return 0;
}

/* ---- other records that have the number of an inode ---- */

/* Bytes of a value without its version. False, and told: it has one that is not known. */
static bool value_len(struct fsck *f, const struct kv_iter *at, size_t *ret_len)
{
    struct key k = {.len = at->key_len};
    const uint8_t *value;

    *ret_len = at->value_len;
    memcpy(k.b, at->key, MIN(at->key_len, sizeof(k.b)));
    if (!value_has_version(&f->state, &k) ||
        value_decode(at->value, at->value_len, &value, ret_len) == 0)
        return true;
    fsck_unreadable(f, at);
    return false;
}

static int take_queued(struct fsck *f, const struct kv_iter *at)
{
    uint64_t ino = key_get_u64(at->key + 1);
    struct fsck_file *file = fsck_file_find(f, ino);
    struct fsck_dir *dir = file ? NULL : fsck_dir_find(f, ino);
    struct fsck_finding *found;

    f->queued++;
    if (file) {
        file->is_queued = true;
    } else if (dir) {
        dir->is_queued = true;
    } else {
        found = fsck_add(f, FSCK_QUEUED, ino,
                         "inode %" PRIu64 " waits for the reaper and is not there", ino);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_UNQUEUE);
    }
    return 0;
}

static int take_inline(struct fsck *f, const struct kv_iter *at)
{
    struct fsck_file *file = fsck_file_find(f, key_get_u64(at->key + 1));
    size_t len;

    if (!value_len(f, at, &len))
        return 0;
    if (file && file->is_inline)
        file->has_content = true;
    else
        fsck_stray(f, at, file ? "has its content elsewhere" : "is not there, or no file");
    return 0;
}

static int take_target(struct fsck *f, const struct kv_iter *at)
{
    struct fsck_file *file = fsck_file_find(f, key_get_u64(at->key + 1));
    size_t len;

    if (!value_len(f, at, &len))
        return 0;
    if (file && file->type == S_IFLNK)
        file->has_content = true;
    else
        fsck_stray(f, at, "is not there, or no symbolic link");
    return 0;
}

static int take_xattr(struct fsck *f, const struct kv_iter *at)
{
    uint64_t ino = key_get_u64(at->key + 1);
    struct fsck_file *file = fsck_file_find(f, ino);
    struct fsck_dir *dir = file ? NULL : fsck_dir_find(f, ino);
    uint32_t bytes;
    size_t len;

    if (!value_len(f, at, &len))
        return 0;
    bytes = (uint32_t)(at->key_len - 9 + 1 + len);
    if (file)
        file->xattr_seen += bytes;
    else if (dir)
        dir->xattr_seen += bytes;
    else
        fsck_stray(f, at, "is not there");
    return 0;
}

static int take_link(struct fsck *f, const struct kv_iter *at)
{
    struct fsck_file *file = fsck_file_find(f, key_get_u64(at->key + 1));
    struct link_rec rec;

    if (at->key_len != 17 || link_rec_decode(at->value, at->value_len, &rec) < 0)
        fsck_unreadable(f, at);
    else if (!file || (file->nlink == 0 && file->names == 0))
        fsck_stray(f, at, "is not there, or no file with names");
    else
        file->links_told += rec.names * fsck_link_hash(key_get_u64(at->key + 9));
    return 0;
}

/* ---- what follows for a file ---- */

static void check_xattrs(struct fsck *f, uint64_t ino, uint64_t dir, uint32_t told, uint32_t seen)
{
    struct fsck_finding *found;

    if (told == seen)
        return;
    found = fsck_add(f, FSCK_XATTR_BYTES, ino,
                     "inode %" PRIu64 " counts %" PRIu32
                     " bytes of extended attributes, it has %" PRIu32,
                     ino, told, seen);
    fsck_repair_add(found, DFS__REPAIR_FIELD__REPAIR_XATTR_BYTES, (int64_t)seen - told);
    fsck_place(f, found, dir, ino);
}

static void check_links(struct fsck *f, const struct fsck_file *i)
{
    struct fsck_finding *found;

    if (i->nlink > 0 && i->names == 0) {
        found = fsck_add(f, FSCK_NO_NAME, i->ino,
                         "inode %" PRIu64 " counts %" PRIu32 " names, no directory has one", i->ino,
                         i->nlink);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_ADOPT);
        found->repair.add = -(int64_t)i->nlink;
        found->repair.expect = i->home;
    } else if (i->nlink != i->names) {
        found = fsck_add(f, FSCK_NLINK, i->ino,
                         "inode %" PRIu64 " counts %" PRIu32 " names, it has %" PRIu32, i->ino,
                         i->nlink, i->names);
        fsck_repair_add(found, DFS__REPAIR_FIELD__REPAIR_NLINK, (int64_t)i->names - i->nlink);
        fsck_place(f, found, i->name_in, i->ino);
    }
    if (i->is_queued && (i->nlink > 0 || i->names > 0)) {
        found = fsck_add(f, FSCK_QUEUED, i->ino,
                         "inode %" PRIu64 " waits for the reaper and has names", i->ino);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_UNQUEUE);
        fsck_place(f, found, i->name_in, i->ino);
    } else if (!i->is_queued && i->nlink == 0 && i->names == 0) {
        found =
            fsck_add(f, FSCK_NOT_QUEUED, i->ino,
                     "inode %" PRIu64 " has no names, and does not wait for the reaper", i->ino);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_QUEUE);
    }
}

static void check_home(struct fsck *f, const struct fsck_file *i)
{
    struct fsck_finding *found;
    struct fsck_name n;

    if (i->names > 0 && !i->is_at_home && fsck_name_find(f, i->name_in, i->ino, &n) > 0) {
        found =
            fsck_add(f, FSCK_HOME, i->ino,
                     "file %" PRIu64 " is counted in directory %" PRIu64 ", where it has no name",
                     i->ino, i->home);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_PARENT);
        found->repair.expect = i->home;
        fsck_entry(f, found, i->name_in, n.bytes, n.len);
    }
    if (i->names > 1 ? i->links_told != i->links_seen : i->links_told != 0)
        fsck_suspect(f, i->ino);
}

static void check_content(struct fsck *f, const struct fsck_file *i)
{
    struct fsck_finding *found;

    if (!i->has_content && (i->is_inline || i->type == S_IFLNK)) {
        found = fsck_add(f, FSCK_NO_CONTENT, i->ino, "the %s of inode %" PRIu64 " is not there",
                         i->is_inline ? "content" : "target", i->ino);
        fsck_place(f, found, i->name_in, i->ino);
    }
    if (i->chunk_count != i->chunks) {
        found = fsck_add(f, FSCK_CHUNK_COUNT, i->ino,
                         "file %" PRIu64 " counts %" PRIu32 " chunks, it has %" PRIu32, i->ino,
                         i->chunk_count, i->chunks);
        fsck_repair_add(found, DFS__REPAIR_FIELD__REPAIR_CHUNK_COUNT,
                        (int64_t)i->chunks - i->chunk_count);
        fsck_place(f, found, i->name_in, i->ino);
    }
}

static int check_slice(struct fsck *f)
{
    for (size_t n = 0; n < f->file_count; n++) {
        const struct fsck_file *i = &f->files[n];

        check_links(f, i);
        if (fsck_counts_usage(f))
            check_home(f, i);
        check_content(f, i);
        check_xattrs(f, i->ino, i->name_in, i->xattr_bytes, i->xattr_seen);
    }
    return 0;
}

static int walk_slice(struct fsck *f)
{
    int r;

    f->to = 0;
    f->file_count = 0;
    r = fsck_each_in_slice(f, 'I', take_file);
    if (r == 0)
        r = fsck_each_of_kind(f, 'D', take_entry);
    if (r == 0)
        r = fsck_each_in_slice(f, 'g', take_queued);
    if (r == 0)
        r = fsck_each_in_slice(f, 'F', take_inline);
    if (r == 0)
        r = fsck_each_in_slice(f, 'L', take_target);
    if (r == 0)
        r = fsck_each_in_slice(f, 'X', take_xattr);
    if (r == 0 && fsck_counts_usage(f))
        r = fsck_each_in_slice(f, 'K', take_link);
    if (r == 0)
        r = fsck_each_in_slice(f, 'C', fsck_map_page);
    return r < 0 ? r : check_slice(f);
}

int fsck_names(struct fsck *f, size_t slice_inodes)
{
    int r = fsck_each_of_kind(f, 'I', take_dir);

    f->file_room = slice_inodes;
    f->files = mem_zalloc(slice_inodes, sizeof(*f->files));
    atomic_store(&f->progress->phase, FSCK_NAMES);
    for (f->from = 0; r == 0; f->from = f->to) {
        r = walk_slice(f);
        if (f->to == 0)
            break;
    }
    for (size_t n = 0; n < f->dir_count && r == 0; n++)
        check_xattrs(f, f->dirs[n].ino, f->dirs[n].parent, f->dirs[n].xattr_bytes,
                     f->dirs[n].xattr_seen);
    return r;
}
