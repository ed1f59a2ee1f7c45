/* The walk as a whole: its phases, its findings and where they are. */
#include "namenode/fsck.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ids.h"
#include "common/mem.h"
#include "namenode/fsck_impl.h"

enum { LOOK_AT = 256, PATH_DEPTH = 256 };

/* ---- records in order ---- */

int fsck_each(struct fsck *f, const struct key *from, size_t prefix_len, fsck_fn fn)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    uint64_t n = 0;
    int r;

    r = kv_iter_new(f->kv, from->b, prefix_len, &it);
    if (r == 0)
        r = kv_iter_seek(it, from->b, from->len);
    while (r == 0 && it->valid) {
        if (++n % LOOK_AT == 0) {
            atomic_fetch_add(&f->progress->done, LOOK_AT);
            if (atomic_load(&f->progress->stop))
                return -ECANCELED;
        }
        r = fn(f, it);
        if (r == 0)
            r = kv_iter_next(it);
    }
    return r > 0 ? 0 : r;
}

int fsck_each_of_kind(struct fsck *f, char kind, fsck_fn fn)
{
    struct key from;

    key_kind(&from, kind);
    return fsck_each(f, &from, from.len, fn);
}

bool fsck_in_slice(const struct fsck *f, uint64_t ino)
{
    return ino >= f->from && (f->to == 0 || ino < f->to);
}

int fsck_each_in_slice(struct fsck *f, char kind, fsck_fn fn)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    struct key from;
    uint64_t n = 0;
    int r;

    key_id64(&from, kind, f->from);
    r = kv_iter_new(f->kv, from.b, 1, &it);
    if (r == 0)
        r = kv_iter_seek(it, from.b, from.len);
    while (r == 0 && it->valid) {
        if (it->key_len < 9) {
            fsck_unreadable(f, it);
        } else {
            if (!fsck_in_slice(f, key_get_u64(it->key + 1)))
                return 0;
            r = fn(f, it);
        }
        if (++n % LOOK_AT == 0) {
            atomic_fetch_add(&f->progress->done, kind == 'I' ? LOOK_AT : 0);
            if (atomic_load(&f->progress->stop))
                return -ECANCELED;
        }
        if (r == 0)
            r = kv_iter_next(it);
    }
    return r > 0 ? 0 : r;
}

int fsck_exists(struct fsck *f, const struct key *k)
{
    struct kv_value v;
    int r = kv_get(f->kv, k->b, k->len, &v);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    kv_value_done(f->kv, &v);
    return 1;
}

/* ---- what is in memory ---- */

struct fsck_dir *fsck_dir_find(struct fsck *f, uint64_t ino)
{
    size_t low = 0, high = f->dir_count;

    if (f->last_dir && f->last_dir->ino == ino)
        return f->last_dir;
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (f->dirs[mid].ino < ino)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == f->dir_count || f->dirs[low].ino != ino)
        return NULL;
    f->last_dir = &f->dirs[low];
    return f->last_dir;
}

struct fsck_file *fsck_file_find(const struct fsck *f, uint64_t ino)
{
    size_t low = 0, high = f->file_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (f->files[mid].ino < ino)
            low = mid + 1;
        else
            high = mid;
    }
    return low < f->file_count && f->files[low].ino == ino ? &f->files[low] : NULL;
}

/* ---- findings ---- */

static void finding_done(struct fsck_finding *found)
{
    free(found->path);
    free(found->repair.name.data);
    free(found->repair.keep_name.data);
    free(found->repair.key.data);
    *found = (struct fsck_finding){0};
}

struct fsck_finding *fsck_add(struct fsck *f, enum fsck_kind kind, uint64_t ino, const char *fmt,
                              ...)
{
    struct fsck_result *res = f->result;
    struct fsck_finding *found = &f->spare;
    va_list ap;

    res->finding_count++;
    f->structure += kind < FSCK_STRAY_RECORD;
    if (res->count < FSCK_FINDINGS_MAX)
        found = &res->findings[res->count++];
    else
        finding_done(found);
    found->kind = kind;
    found->ino = ino;
    dfs__repair_op__init(&found->repair);
    found->repair.ino = ino;
    va_start(ap, fmt);
    (void)vsnprintf(found->detail, sizeof(found->detail), fmt, ap);
    va_end(ap);
    return found;
}

void fsck_repair(struct fsck_finding *found, Dfs__RepairKind kind)
{
    found->can_repair = true;
    found->repair.kind = kind;
}

void fsck_repair_add(struct fsck_finding *found, Dfs__RepairField field, int64_t add)
{
    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_ADD);
    found->repair.field = field;
    found->repair.add = add;
}

int fsck_name_find(struct fsck *f, uint64_t dir, uint64_t ino, struct fsck_name *ret_name)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    struct dentry_rec d;
    struct key from;
    int r;

    key_id64(&from, 'D', dir);
    r = kv_iter_new(f->kv, from.b, from.len, &it);
    if (r == 0)
        r = kv_iter_seek(it, from.b, from.len);
    for (; r == 0 && it->valid; r = kv_iter_next(it)) {
        if (it->key_len <= 9 || dentry_rec_decode(it->value, it->value_len, &d) < 0 || d.ino != ino)
            continue;
        ret_name->len = it->key_len - 9;
        memcpy(ret_name->bytes, it->key + 9, ret_name->len);
        return 1;
    }
    return r;
}

/* In front of what is there already, with a slash. False: no more room. */
static bool path_prepend(char path[FSCK_PATH_MAX], size_t *at, const void *name, size_t len)
{
    if (len + 1 + 3 > *at)
        return false;
    *at -= len;
    memcpy(path + *at, name, len);
    path[--*at] = '/';
    return true;
}

static char *path_of(struct fsck *f, uint64_t dir, const void *name, size_t len)
{
    char path[FSCK_PATH_MAX];
    size_t at = sizeof(path) - 1;
    bool whole = false;

    path[at] = '\0';
    if (len > 0 && !path_prepend(path, &at, name, len))
        return NULL;
    for (unsigned depth = 0; depth < PATH_DEPTH; depth++) {
        const struct fsck_dir *d = fsck_dir_find(f, dir);
        struct fsck_name n;

        whole = dir == INO_ROOT.v;
        if (whole || !d || fsck_name_find(f, d->parent, dir, &n) <= 0 ||
            !path_prepend(path, &at, n.bytes, n.len))
            break;
        dir = d->parent;
    }
    if (!whole) { /* The end of it is better than nothing. */
        at -= 3;
        memcpy(path + at, "...", 3);
    } else if (path[at] == '\0') {
        path[--at] = '/';
    }
    return mem_strdup(path + at);
}

void fsck_entry(struct fsck *f, struct fsck_finding *found, uint64_t dir, const void *name,
                size_t len)
{
    found->repair.parent = dir;
    found->repair.name.data = (uint8_t *)mem_memdup(name, len);
    found->repair.name.len = len;
    if (found != &f->spare)
        found->path = path_of(f, dir, name, len);
}

void fsck_place(struct fsck *f, struct fsck_finding *found, uint64_t dir, uint64_t ino)
{
    struct fsck_name n;

    if (found == &f->spare)
        return;
    if (ino == INO_ROOT.v)
        found->path = mem_strdup("/");
    else if (dir != 0 && fsck_name_find(f, dir, ino, &n) > 0)
        found->path = path_of(f, dir, n.bytes, n.len);
}

void fsck_unreadable(struct fsck *f, const struct kv_iter *at)
{
    uint64_t ino = at->key_len >= 9 ? key_get_u64(at->key + 1) : 0;

    (void)fsck_add(f, FSCK_UNREADABLE, ino, "a record of kind %c, of %" PRIu64 ", with %zu bytes",
                   at->key[0], ino, at->value_len);
}

void fsck_stray(struct fsck *f, const struct kv_iter *at, const char *why)
{
    uint64_t ino = key_get_u64(at->key + 1);
    struct fsck_finding *found =
        fsck_add(f, FSCK_STRAY_RECORD, ino, "a record of kind %c of inode %" PRIu64 ", which %s",
                 at->key[0], ino, why);

    fsck_repair(found, DFS__REPAIR_KIND__REPAIR_DROP_RECORD);
    found->repair.key.data = (uint8_t *)mem_memdup(at->key, at->key_len);
    found->repair.key.len = at->key_len;
}

/* ---- counters of the whole ---- */

static int count_session(struct fsck *f, const struct kv_iter *at)
{
    (void)at;
    f->sessions++;
    return 0;
}

static int count_garbage(struct fsck *f, const struct kv_iter *at)
{
    (void)at;
    f->garbage++;
    return 0;
}

static void check_count(struct fsck *f, const char *what, uint64_t told, uint64_t seen,
                        Dfs__RepairField field)
{
    struct fsck_finding *found;

    if (told == seen)
        return;
    found = fsck_add(f, FSCK_STATE, 0, "%s: %" PRIu64 " are counted, there are %" PRIu64, what,
                     told, seen);
    fsck_repair_add(found, field, (int64_t)(seen - told));
}

static void check_next(struct fsck *f, const char *what, uint64_t next, uint64_t max,
                       Dfs__RepairField field)
{
    struct fsck_finding *found;

    if (next > max)
        return;
    found = fsck_add(f, FSCK_NEXT_ID, 0, "the next %s would get %" PRIu64 ", and there is %" PRIu64,
                     what, next, max);
    fsck_repair_add(found, field, (int64_t)(max + 1 - next));
}

static int check_state(struct fsck *f)
{
    const struct state_rec *st = &f->state;
    int r = fsck_each_of_kind(f, 'N', count_session);

    if (r == 0)
        r = fsck_each_of_kind(f, 'G', count_garbage);
    if (r < 0)
        return r;
    check_next(f, "inode", st->next_ino, f->ino_max, DFS__REPAIR_FIELD__REPAIR_STATE_NEXT_INO);
    check_next(f, "chunk", st->next_chunk, f->chunk_max,
               DFS__REPAIR_FIELD__REPAIR_STATE_NEXT_CHUNK);
    check_count(f, "inodes", st->inode_count, f->result->inode_count,
                DFS__REPAIR_FIELD__REPAIR_STATE_INODES);
    check_count(f, "chunks", st->chunk_count, f->owners, DFS__REPAIR_FIELD__REPAIR_STATE_CHUNKS);
    check_count(f, "chunks that wait for their deletion", st->garbage_count, f->garbage,
                DFS__REPAIR_FIELD__REPAIR_STATE_GARBAGE);
    check_count(f, "inodes that wait for the reaper", st->reap_count, f->queued,
                DFS__REPAIR_FIELD__REPAIR_STATE_REAPING);
    check_count(f, "sessions", st->session_count, f->sessions,
                DFS__REPAIR_FIELD__REPAIR_STATE_SESSIONS);
    if (fsck_counts_usage(f))
        check_count(f, "directories with a quota", st->quota_count, f->quotas,
                    DFS__REPAIR_FIELD__REPAIR_STATE_QUOTAS);
    return 0;
}

/* ---- the whole ---- */

const char *fsck_phase(unsigned phase)
{
    static const char *const names[] = {"inodes", "names", "tree", "chunks", "counters", "over"};

    return names[MIN(phase, (unsigned)FSCK_OVER)];
}

static void begin_phase(struct fsck *f, enum fsck_phase phase)
{
    atomic_store(&f->progress->phase, phase);
}

static int state_get(struct fsck *f)
{
    struct kv_value v;
    struct key k;
    int r;

    key_state(&k);
    r = kv_get(f->kv, k.b, k.len, &v);
    if (r < 0)
        return r == -ENOENT ? -EBADMSG : r;
    r = state_rec_decode(v.data, v.len, &f->state);
    kv_value_done(f->kv, &v);
    return r;
}

static int walk(struct fsck *f, size_t slice_inodes)
{
    int r = state_get(f);

    if (r < 0)
        return r;
    f->result->index = f->state.index;
    atomic_store(&f->progress->total,
                 f->state.inode_count * (2 + 1 + f->state.inode_count / slice_inodes) +
                     f->state.chunk_count + f->state.garbage_count);
    r = fsck_groups(f);
    if (r == 0)
        r = fsck_names(f, slice_inodes);
    begin_phase(f, FSCK_TREE);
    if (r == 0)
        r = fsck_dirs(f);
    if (r == 0)
        r = fsck_suspects(f);
    if (r == 0)
        r = fsck_loops(f);
    begin_phase(f, FSCK_CHUNKS);
    if (r == 0)
        r = fsck_owners(f);
    begin_phase(f, FSCK_COUNTERS);
    if (r == 0 && fsck_counts_usage(f))
        r = fsck_usage(f);
    if (r == 0)
        r = check_state(f);
    begin_phase(f, FSCK_OVER);
    return r;
}

int fsck_walk_sliced(struct kv *kv, size_t slice_inodes, struct fsck_progress *progress,
                     struct fsck_result *ret_result)
{
    struct fsck f = {.kv = kv, .progress = progress, .result = ret_result};
    int r;

    *ret_result = (struct fsck_result){0};
    ret_result->findings = mem_zalloc(FSCK_FINDINGS_MAX, sizeof(*ret_result->findings));
    r = walk(&f, slice_inodes);
    ret_result->chunk_count = f.owners;
    for (size_t i = 0; i < ret_result->count; i++)
        ret_result->repairable_count += ret_result->findings[i].can_repair;
    finding_done(&f.spare);
    free(f.dirs);
    free(f.files);
    free(f.suspects);
    free(f.pgs);
    return r;
}

int fsck_walk(struct kv *kv, struct fsck_progress *progress, struct fsck_result *ret_result)
{
    return fsck_walk_sliced(kv, FSCK_SLICE_INODES, progress, ret_result);
}

void fsck_result_done(struct fsck_result *result)
{
    for (size_t i = 0; i < result->count; i++)
        finding_done(&result->findings[i]);
    free(result->findings);
    *result = (struct fsck_result){0};
}
