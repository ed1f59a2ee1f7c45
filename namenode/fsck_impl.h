/* What a walk is made of: for the fsck_*.c files alone. */
#ifndef NAMENODE_FSCK_IMPL_H
#define NAMENODE_FSCK_IMPL_H

#include "namenode/fsck.h"
#include "namenode/keys.h"
#include "namenode/kv.h"
#include "namenode/records.h"

enum fsck_phase {
    FSCK_INODES,
    FSCK_NAMES,
    FSCK_TREE,
    FSCK_CHUNKS,
    FSCK_COUNTERS,
    FSCK_OVER,
};

enum fsck_mark { MARK_NONE, MARK_ON_THE_WAY, MARK_REACHED, MARK_ADDED };

struct fsck_dir {
    uint64_t ino, parent;
    uint64_t name_in;              /* the directory of its (last) name */
    uint64_t entry_count, entries; /* as it says; as there are */
    uint64_t files, dirs;          /* below it; until fsck_usage(): files of which it is the home */
    usage_bytes bytes;
    uint32_t nlink, names, subdirs;
    uint32_t xattr_bytes, xattr_seen;
    uint8_t mark;
    bool is_queued, has_usage;
};

struct fsck_file {
    uint64_t ino, home, name_in;
    uint64_t links_seen,
        links_told; /* sums over names, and over K records, of a hash of the directory */
    uint32_t nlink, names;
    uint32_t chunk_count, chunks;
    uint32_t xattr_bytes, xattr_seen;
    uint32_t type;
    bool is_inline, has_content, is_queued, is_at_home;
};

struct fsck {
    struct kv *kv;
    struct fsck_progress *progress;
    struct fsck_result *result;
    struct state_rec state;
    struct fsck_finding spare; /* what is not kept */

    struct fsck_dir *dirs; /* all, by ino */
    size_t dir_count, dir_room;
    struct fsck_file *files; /* of the slice, by ino */
    size_t file_count, file_room;
    uint64_t from, to; /* inodes of the slice: from <= ino < to; to 0: no end */
    struct fsck_dir *last_dir;

    uint64_t *suspects; /* whose names must be looked for; in the order of ino, see fsck_links.c */
    size_t suspect_count;
    uint32_t *pgs; /* that there are, ascending */
    size_t pg_count;

    uint64_t ino_max, chunk_max;
    uint64_t queued, owners, owners_met, garbage, sessions, quotas;
    uint64_t structure; /* findings that make counters of trees meaningless */
};

static inline bool fsck_is_live(const struct fsck_dir *d)
{
    return d->nlink > 0 || d->names > 0;
}

static inline bool fsck_counts_usage(const struct fsck *f)
{
    return f->state.format >= 2; /* FSM_FORMAT_USAGE */
}

/* fsck.c */
/* fn gives 0 to go on, 1 to stop, negative to fail. */
typedef int (*fsck_fn)(struct fsck *f, const struct kv_iter *at);
int fsck_each(struct fsck *f, const struct key *from, size_t prefix_len, fsck_fn fn);
/* Records of the kind, of the inodes of the slice. */
int fsck_each_in_slice(struct fsck *f, char kind, fsck_fn fn);
int fsck_each_of_kind(struct fsck *f, char kind, fsck_fn fn);
bool fsck_in_slice(const struct fsck *f, uint64_t ino);
struct fsck_dir *fsck_dir_find(struct fsck *f, uint64_t ino);
struct fsck_file *fsck_file_find(const struct fsck *f, uint64_t ino);
/* 1 it is there, 0 not. */
int fsck_exists(struct fsck *f, const struct key *k);

/* A finding, to be filled in further; repair.kind set: --repair mends it. */
struct fsck_finding *fsck_add(struct fsck *f, enum fsck_kind kind, uint64_t ino, const char *fmt,
                              ...) __attribute__((format(printf, 4, 5)));
void fsck_repair(struct fsck_finding *found, Dfs__RepairKind kind);
void fsck_repair_add(struct fsck_finding *found, Dfs__RepairField field, int64_t add);
/* The entry that the repair is about; it is the place of the finding too. */
void fsck_entry(struct fsck *f, struct fsck_finding *found, uint64_t dir, const void *name,
                size_t len);
/* Where an inode is, as far as that can be said; dir: one that has a name of it. */
void fsck_place(struct fsck *f, struct fsck_finding *found, uint64_t dir, uint64_t ino);
/* A name of the inode in dir. 1 and the name, 0: it has none. */
struct fsck_name {
    size_t len;
    uint8_t bytes[256];
};
int fsck_name_find(struct fsck *f, uint64_t dir, uint64_t ino, struct fsck_name *ret_name);
void fsck_unreadable(struct fsck *f, const struct kv_iter *at);
void fsck_stray(struct fsck *f, const struct kv_iter *at, const char *why);

/* fsck_names.c: inodes, slice by slice, with all that has their number, and the entries. */
int fsck_names(struct fsck *f, size_t slice_inodes);
uint64_t fsck_link_hash(uint64_t dir);

/* fsck_links.c: inodes whose names did not fit what they say; all of their names. */
void fsck_suspect(struct fsck *f, uint64_t ino);
int fsck_suspects(struct fsck *f);

/* fsck_tree.c */
int fsck_dirs(struct fsck *f);
int fsck_loops(struct fsck *f);
int fsck_usage(struct fsck *f);

/* fsck_chunks.c */
int fsck_groups(struct fsck *f);
int fsck_map_page(struct fsck *f, const struct kv_iter *at); /* of a slice */
int fsck_owners(struct fsck *f);

#endif
