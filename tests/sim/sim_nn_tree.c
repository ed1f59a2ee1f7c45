/*
 * I15: the directory graph is a tree, every count is what counting gives, nothing hangs in the air.
 * One walk over all inodes and entries; what else must hold of a whole tree (sums of subtrees) is
 * checked here too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <uthash.h>

#include "common/ids.h"
#include "common/mem.h"
#include "namenode/fsck.h"
#include "namenode/fsm_value.h"
#include "namenode/keys.h"
#include "tests/sim/sim_nn.h"

enum { FSCK_SLICE = 50 };

struct tree_inode {
    struct inode_rec rec;
    bool waits_for_reaper;
    uint32_t names, subdirs;
    uint64_t entries;
    uint64_t name_in;     /* the directory that has its (last) name */
    bool is_at_home;      /* a file: its home has one of its names */
    uint64_t chunks;      /* a file: in its map */
    uint64_t files, dirs; /* a directory: below it */
    usage_bytes bytes;
    struct usage_rec told;
    UT_hash_handle hh;
};

struct tree {
    struct tree_inode *inodes;
    struct kv *kv;
    const struct state_rec *state;
    uint64_t inode_count, reap_count, chunk_count, garbage_count;
    char wrong[160];
};

#define WRONG(t_, ...)                                                                             \
    do {                                                                                           \
        if ((t_)->wrong[0] == '\0')                                                                \
            (void)snprintf((t_)->wrong, sizeof((t_)->wrong), __VA_ARGS__);                         \
    } while (0)

static struct tree_inode *find(const struct tree *t, uint64_t ino)
{
    struct tree_inode *i;

    HASH_FIND(hh, t->inodes, &ino, sizeof(ino), i);
    return i;
}

static void take_inode(struct tree *t, uint64_t ino, const struct kv_iter *it)
{
    struct tree_inode *i = MEM_NEW(struct tree_inode);

    if (inode_rec_decode(ino, it->value, it->value_len, &i->rec) < 0)
        WRONG(t, "inode %lu cannot be read", UL(ino));
    i->rec.ino = ino;
    HASH_ADD(hh, t->inodes, rec.ino, sizeof(i->rec.ino), i);
    t->inode_count++;
}

static void take_entry(struct tree *t, uint64_t dir, const struct kv_iter *it)
{
    struct tree_inode *parent = find(t, dir), *i;
    struct dentry_rec d;

    if (dentry_rec_decode(it->value, it->value_len, &d) < 0) {
        WRONG(t, "an entry of %lu cannot be read", UL(dir));
        return;
    }
    i = find(t, d.ino);
    if (parent == NULL || i == NULL || (i->rec.mode & S_IFMT) != d.type) {
        WRONG(t, "an entry of %lu names %lu, which is not there, or of another type", UL(dir),
              UL(d.ino));
        return;
    }
    parent->entries++;
    parent->subdirs += S_ISDIR(i->rec.mode);
    i->names++;
    i->name_in = dir;
    i->is_at_home |= i->rec.parent == dir;
}

static void walk(struct tree *t, struct kv *kv, char kind,
                 void (*take)(struct tree *t, uint64_t id, const struct kv_iter *it))
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;

    if (kv_iter_new(kv, "", 0, &it) < 0 || kv_iter_seek(it, &kind, 1) < 0)
        return;
    while (it->valid && it->key[0] == (uint8_t)kind) {
        take(t, key_get_u64(it->key + 1), it);
        if (kv_iter_next(it) < 0)
            return;
    }
}

static void take_unlinked(struct tree *t, uint64_t ino, const struct kv_iter *it)
{
    struct tree_inode *i = find(t, ino);

    (void)it;
    t->reap_count++;
    if (i == NULL)
        WRONG(t, "%lu waits for the reaper and is not there", UL(ino));
    else
        i->waits_for_reaper = true;
}

/* Up from every directory comes to the root in fewer steps than there are inodes. */
static void check_reaches_root(struct tree *t, const struct tree_inode *i)
{
    uint64_t steps = t->inode_count;

    for (const struct tree_inode *at = i; at->rec.ino != INO_ROOT.v;) {
        at = find(t, at->rec.parent);
        if (at == NULL || steps-- == 0) {
            WRONG(t, "directory %lu does not lie below the root", UL(i->rec.ino));
            return;
        }
    }
}

static void check_dir(struct tree *t, const struct tree_inode *i)
{
    bool is_root = i->rec.ino == INO_ROOT.v;

    if (i->rec.entry_count != i->entries)
        WRONG(t, "directory %lu counts %lu entries, it has %lu", UL(i->rec.ino),
              UL(i->rec.entry_count), UL(i->entries));
    if (i->rec.nlink == 0) {
        if (i->names + i->entries > 0)
            WRONG(t, "directory %lu was removed and has names or entries", UL(i->rec.ino));
        return;
    }
    if (i->rec.nlink != 2 + i->subdirs)
        WRONG(t, "directory %lu counts %u links, it has %u directories", UL(i->rec.ino),
              i->rec.nlink, i->subdirs);
    if (i->names != (is_root ? 0 : 1) || (!is_root && i->name_in != i->rec.parent))
        WRONG(t, "directory %lu has %u names, one in %lu; it says %lu", UL(i->rec.ino), i->names,
              UL(i->name_in), UL(i->rec.parent));
    check_reaches_root(t, i);
}

static void check_inode(struct tree *t, const struct tree_inode *i)
{
    if (i->waits_for_reaper != (i->rec.nlink == 0))
        WRONG(t, "inode %lu with %u links: the reaper %s it", UL(i->rec.ino), i->rec.nlink,
              i->waits_for_reaper ? "waits for" : "does not know");
    if (S_ISDIR(i->rec.mode))
        check_dir(t, i);
    else if (i->rec.nlink != i->names)
        WRONG(t, "inode %lu counts %u links, it has %u names", UL(i->rec.ino), i->rec.nlink,
              i->names);
}

/* ---- what lies below each directory ---- */

static void take_usage(struct tree *t, uint64_t dir, const struct kv_iter *it)
{
    struct tree_inode *i = find(t, dir);

    if (i == NULL || usage_rec_decode(it->value, it->value_len, &i->told) < 0)
        WRONG(t, "counters of %lu, which is not there, or they cannot be read", UL(dir));
}

/* Where the names are is checked before: every way up ends. */
static void count_up(const struct tree *t, const struct tree_inode *i)
{
    bool is_dir = S_ISDIR(i->rec.mode);

    if (i->rec.nlink == 0 || i->rec.ino == INO_ROOT.v)
        return;
    for (struct tree_inode *at = find(t, i->rec.parent); at != NULL; at = find(t, at->rec.parent)) {
        at->dirs += is_dir;
        at->files += !is_dir;
        at->bytes += S_ISREG(i->rec.mode) ? i->rec.size : 0;
        if (at->rec.ino == INO_ROOT.v)
            return;
    }
}

static void check_usage(struct tree *t, const struct tree_inode *i)
{
    if (!S_ISDIR(i->rec.mode) && i->rec.nlink > 0 && !i->is_at_home)
        WRONG(t, "file %lu has its home in %lu, where it has no name", UL(i->rec.ino),
              UL(i->rec.parent));
    if (S_ISDIR(i->rec.mode) &&
        (i->told.files != i->files || i->told.dirs != i->dirs || i->told.bytes != i->bytes))
        WRONG(t,
              "directory %lu counts %lu files, %lu directories, %lu bytes below it; there are %lu, "
              "%lu, %lu",
              UL(i->rec.ino), UL(i->told.files), UL(i->told.dirs), UL(i->told.bytes), UL(i->files),
              UL(i->dirs), UL(i->bytes));
}

static void check_counters(struct tree *t, struct kv *kv)
{
    struct tree_inode *i, *next;

    walk(t, kv, 'U', take_usage);
    HASH_ITER (hh, t->inodes, i, next)
        count_up(t, i);
    HASH_ITER (hh, t->inodes, i, next)
        check_usage(t, i);
}

/* ---- chunks: each is in one map, or waits for its deletion ---- */

static bool is_there(const struct tree *t, char kind, uint32_t pg, uint64_t chunk,
                     struct chunk_owner_rec *ret_owner)
{
    struct kv_value v;
    struct key k;
    bool there;

    key_pg_chunk(&k, kind, pg, chunk);
    if (kv_get(t->kv, k.b, k.len, &v) < 0)
        return false;
    there = chunk_owner_rec_decode(v.data, v.len, ret_owner) == 0;
    kv_value_done(t->kv, &v);
    return there;
}

static void take_page(struct tree *t, uint64_t ino, const struct kv_iter *it)
{
    uint32_t page_index = key_get_u32(it->key + 9);
    struct tree_inode *i = find(t, ino);
    static struct chunk_page page;
    struct chunk_owner_rec owner;

    if (i == NULL || chunk_page_decode(it->value, it->value_len, &page) < 0) {
        WRONG(t, "a chunk map of %lu, which is not there, or it cannot be read", UL(ino));
        return;
    }
    i->chunks += page.count;
    for (unsigned c = 0; c < page.count; c++) {
        const struct chunk_rec *chunk = &page.chunks[c];

        if (!is_there(t, 'c', chunk->pg, chunk->chunk_id, &owner) || owner.ino != ino ||
            owner.index != page_index * REC_PAGE_CHUNKS + chunk->slot)
            WRONG(t, "chunk %lu of %lu is not known to its group", UL(chunk->chunk_id), UL(ino));
        if (is_there(t, 'G', chunk->pg, chunk->chunk_id, &owner))
            WRONG(t, "chunk %lu of %lu waits for its deletion", UL(chunk->chunk_id), UL(ino));
    }
}

static void count_owner(struct tree *t, uint64_t id, const struct kv_iter *it)
{
    (void)id;
    (void)it;
    t->chunk_count++;
}

static void count_garbage(struct tree *t, uint64_t id, const struct kv_iter *it)
{
    (void)id;
    (void)it;
    t->garbage_count++;
}

static void check_chunks(struct tree *t, const struct state_rec *state)
{
    struct tree_inode *i, *next;
    uint64_t in_maps = 0;

    walk(t, t->kv, 'C', take_page);
    walk(t, t->kv, 'c', count_owner);
    walk(t, t->kv, 'G', count_garbage);
    HASH_ITER (hh, t->inodes, i, next) {
        in_maps += i->chunks;
        if (i->rec.chunk_count != i->chunks)
            WRONG(t, "inode %lu counts %u chunks, it has %lu", UL(i->rec.ino), i->rec.chunk_count,
                  UL(i->chunks));
    }
    if (in_maps != t->chunk_count || state->chunk_count != t->chunk_count ||
        state->garbage_count != t->garbage_count)
        WRONG(t, "%lu chunks and %lu of garbage are counted; there are %lu, %lu in maps, and %lu",
              UL(state->chunk_count), UL(state->garbage_count), UL(t->chunk_count), UL(in_maps),
              UL(t->garbage_count));
}

/* ---- values: a version where there should be one ---- */

static void take_value(struct tree *t, uint64_t id, const struct kv_iter *it)
{
    struct key k = {.len = it->key_len};
    const uint8_t *value;
    size_t len;

    memcpy(k.b, it->key, it->key_len);
    if (value_has_version(t->state, &k) && value_decode(it->value, it->value_len, &value, &len) < 0)
        WRONG(t, "a value of %c %lu has no version", it->key[0], UL(id));
}

/* `dfs fsck` (namenode/fsck.h) comes to the same: it finds nothing where nothing is, and what is. */
static void check_fsck(struct tree *t, const struct state_rec *state)
{
    struct fsck_progress progress = {0};
    struct fsck_result found;
    int r;

    if (state->index == 0) /* There is nothing yet. */
        return;
    r = fsck_walk_sliced(t->kv, FSCK_SLICE, &progress, &found);
    if (r < 0)
        WRONG(t, "fsck ends with %d", r);
    else if (t->wrong[0] == '\0' && found.finding_count > 0)
        WRONG(t, "fsck: %.120s", found.findings[0].detail);
    else if (t->wrong[0] != '\0' && found.finding_count == 0)
        (void)snprintf(t->wrong, sizeof(t->wrong), "fsck does not find what is wrong");
    fsck_result_done(&found);
}

const char *nn_check_tree(struct kv *kv, const struct state_rec *state)
{
    static struct tree t;
    struct tree_inode *i, *next;

    t = (struct tree){.kv = kv, .state = state};
    walk(&t, kv, 'I', take_inode);
    walk(&t, kv, 'D', take_entry);
    walk(&t, kv, 'g', take_unlinked);
    HASH_ITER (hh, t.inodes, i, next)
        check_inode(&t, i);
    if (t.inode_count != state->inode_count || t.reap_count != state->reap_count)
        WRONG(&t, "%lu inodes are counted, %lu unlinked; there are %lu and %lu",
              UL(state->inode_count), UL(state->reap_count), UL(t.inode_count), UL(t.reap_count));
    check_chunks(&t, state);
    for (const char *kind = VALUE_KINDS; *kind; kind++)
        walk(&t, kv, *kind, take_value);
    if (t.wrong[0] == '\0' && state->format >= FSM_FORMAT_USAGE)
        check_counters(&t, kv);
    check_fsck(&t, state);
    HASH_ITER (hh, t.inodes, i, next) {
        HASH_DEL(t.inodes, i);
        free(i);
    }
    return t.wrong[0] != '\0' ? t.wrong : NULL;
}
