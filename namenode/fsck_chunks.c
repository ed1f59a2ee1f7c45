/*
 * Chunks: each is in one map, and its group knows which (C and c); what waits for its deletion is in none.
 *
 * A map names a chunk, and the group is asked whose it is. So each owner record that is right is met once;
 * when there are more of them, they are gone through one by one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "namenode/fsck_impl.h"

static int take_group(struct fsck *f, const struct kv_iter *at)
{
    if (at->key_len != 5) {
        fsck_unreadable(f, at);
        return 0;
    }
    f->pgs = mem_realloc(f->pgs, f->pg_count + 1, sizeof(*f->pgs));
    f->pgs[f->pg_count++] = key_get_u32(at->key + 1);
    return 0;
}

int fsck_groups(struct fsck *f)
{
    return fsck_each_of_kind(f, 'P', take_group);
}

static int compare_groups(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* 1 and whose it is; 0: not known. */
static int owner_get(struct fsck *f, char kind, uint32_t pg, uint64_t chunk,
                     struct chunk_owner_rec *ret_owner)
{
    struct kv_value v;
    struct key k;
    int r;

    key_pg_chunk(&k, kind, pg, chunk);
    r = kv_get(f->kv, k.b, k.len, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = chunk_owner_rec_decode(v.data, v.len, ret_owner);
    kv_value_done(f->kv, &v);
    return r < 0 ? 0 : 1;
}

/* 1: chunk `index` of ino is this one. */
static int map_names(struct fsck *f, const struct chunk_owner_rec *o, uint32_t pg, uint64_t chunk)
{
    struct chunk_page page;
    struct kv_value v;
    struct key k;
    int r;

    key_chunk_page(&k, o->ino, o->index / REC_PAGE_CHUNKS);
    r = kv_get(f->kv, k.b, k.len, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = chunk_page_decode(v.data, v.len, &page);
    kv_value_done(f->kv, &v);
    for (unsigned i = 0; r == 0 && i < page.count; i++) {
        const struct chunk_rec *c = &page.chunks[i];

        if (c->slot == o->index % REC_PAGE_CHUNKS)
            return c->pg == pg && c->chunk_id == chunk;
    }
    return 0;
}

static void wrong_owner(struct fsck *f, const struct chunk_owner_rec *is, uint32_t pg,
                        uint64_t chunk, const struct chunk_owner_rec *told)
{
    struct fsck_finding *found;
    char whose[64] = "nobody's";

    if (told)
        (void)snprintf(whose, sizeof(whose), "%" PRIu32 " of file %" PRIu64, told->index,
                       told->ino);
    found = fsck_add(f, FSCK_NO_OWNER, is->ino,
                     "chunk %" PRIu64 " of group %" PRIu32 " is %" PRIu32 " of file %" PRIu64
                     "; its group takes it for %s",
                     chunk, pg, is->index, is->ino, whose);
    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_OWNER);
    found->repair.pg = pg;
    found->repair.chunk_id = chunk;
    found->repair.index = is->index;
}

static int check_chunk(struct fsck *f, uint64_t ino, uint64_t dir, uint32_t index,
                       const struct chunk_rec *c)
{
    struct chunk_owner_rec is = {.ino = ino, .index = index}, told;
    struct fsck_finding *found;
    int r = owner_get(f, 'c', c->pg, c->chunk_id, &told), both;

    f->chunk_max = MAX(f->chunk_max, c->chunk_id);
    if (r < 0)
        return r;
    if (r > 0 && told.ino == ino && told.index == index) {
        f->owners_met++;
    } else {
        both = r > 0 ? map_names(f, &told, c->pg, c->chunk_id) : 0;
        if (both < 0)
            return both;
        if (both > 0) {
            found = fsck_add(f, FSCK_CROSSED_CHUNK, ino,
                             "chunk %" PRIu64 " of group %" PRIu32 " is %" PRIu32
                             " of file %" PRIu64 " and %" PRIu32 " of file %" PRIu64,
                             c->chunk_id, c->pg, index, ino, told.index, told.ino);
            fsck_place(f, found, dir, ino);
        } else {
            wrong_owner(f, &is, c->pg, c->chunk_id, r > 0 ? &told : NULL);
        }
    }
    if (bsearch(&c->pg, f->pgs, f->pg_count, sizeof(c->pg), compare_groups) == NULL) {
        found = fsck_add(f, FSCK_NO_PG, ino,
                         "chunk %" PRIu32 " of file %" PRIu64 " is in group %" PRIu32
                         ", which is not there",
                         index, ino, c->pg);
        fsck_place(f, found, dir, ino);
    }
    return 0;
}

int fsck_map_page(struct fsck *f, const struct kv_iter *at)
{
    uint64_t ino = key_get_u64(at->key + 1);
    struct fsck_file *file = fsck_file_find(f, ino);
    struct fsck_finding *found;
    struct chunk_page page;
    uint32_t number;
    int r = 0;

    if (at->key_len != 13 || chunk_page_decode(at->value, at->value_len, &page) < 0) {
        fsck_unreadable(f, at);
        return 0;
    }
    number = key_get_u32(at->key + 9);
    if (file && file->type == S_IFREG) {
        file->chunks += page.count;
    } else {
        found = fsck_add(f, FSCK_STRAY_MAP, ino,
                         "%u chunks belong to inode %" PRIu64 ", which is not there, or no file",
                         page.count, ino);
        fsck_repair(found, DFS__REPAIR_KIND__REPAIR_DROP_MAP);
        found->repair.index = number;
    }
    for (unsigned i = 0; i < page.count && r == 0; i++)
        r = check_chunk(f, ino, file ? file->name_in : 0,
                        number * REC_PAGE_CHUNKS + page.chunks[i].slot, &page.chunks[i]);
    return r;
}

/* ---- from the side of the groups ---- */

static int count_owner(struct fsck *f, const struct kv_iter *at)
{
    (void)at;
    f->owners++;
    return 0;
}

static int check_owner(struct fsck *f, const struct kv_iter *at)
{
    struct fsck_finding *found;
    struct chunk_owner_rec o;
    uint64_t chunk;
    uint32_t pg;
    int r;

    if (at->key_len != 13 || chunk_owner_rec_decode(at->value, at->value_len, &o) < 0) {
        fsck_unreadable(f, at);
        return 0;
    }
    pg = key_get_u32(at->key + 1);
    chunk = key_get_u64(at->key + 5);
    f->chunk_max = MAX(f->chunk_max, chunk);
    r = map_names(f, &o, pg, chunk);
    if (r != 0)
        return r < 0 ? r : 0;
    found = fsck_add(f, FSCK_STRAY_OWNER, o.ino,
                     "chunk %" PRIu64 " of group %" PRIu32 " is said to be %" PRIu32
                     " of file %" PRIu64 ", which does not have it",
                     chunk, pg, o.index, o.ino);
    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_GARBAGE);
    found->repair.pg = pg;
    found->repair.chunk_id = chunk;
    return 0;
}

static int check_garbage(struct fsck *f, const struct kv_iter *at)
{
    struct chunk_owner_rec o;
    struct fsck_finding *found;
    uint64_t chunk;
    uint32_t pg;
    int r;

    if (at->key_len != 13) {
        fsck_unreadable(f, at);
        return 0;
    }
    pg = key_get_u32(at->key + 1);
    chunk = key_get_u64(at->key + 5);
    f->chunk_max = MAX(f->chunk_max, chunk);
    r = owner_get(f, 'c', pg, chunk, &o);
    if (r > 0)
        r = map_names(f, &o, pg, chunk);
    if (r <= 0)
        return r;
    found = fsck_add(f, FSCK_DELETED_CHUNK, o.ino,
                     "chunk %" PRIu64 " of group %" PRIu32
                     " waits for its deletion, and is %" PRIu32 " of file %" PRIu64,
                     chunk, pg, o.index, o.ino);
    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_NO_GARBAGE);
    found->repair.pg = pg;
    found->repair.chunk_id = chunk;
    return 0;
}

int fsck_owners(struct fsck *f)
{
    int r = fsck_each_of_kind(f, 'c', count_owner);

    if (r == 0 && f->owners != f->owners_met)
        r = fsck_each_of_kind(f, 'c', check_owner);
    return r < 0 ? r : fsck_each_of_kind(f, 'G', check_garbage);
}
