/*
 * What is in a log directory after any crash, and what is not.
 *
 * The log is walked until the first record that is not what must come next. The question then is
 * whether that record was durable once (damage: the replica may have promised it to others, so it
 * must not act as if it never had it, I11) or never (a torn write: cut it). Durable for sure is
 * - what the header ring names: its entries are written after the body's sync only;
 * - what stands before a record of a later write: that one began after the sync of this one;
 * - what stands before the first index of a later segment, for the same reason.
 *
 * Nothing is written in an epoch before the meta slots that begin it are durable, both of them. A
 * record or ring entry of a later epoch than theirs so proves that they have gone back in time: the
 * vote may have, too, and the log is refused like one without hard state (I6).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/mem.h"
#include "namenode/log_disk.h"
#include "namenode/mutants.h"

enum { ZERO_BYTES = 1 << 20, READ_BYTES = 64 << 10 };

struct found_segment {
    uint64_t seq;
    bool valid;
    struct log_segment_header header;
};

struct recovery {
    struct vfs *vfs;
    const char *dir;
    struct log_layout *l;
    uint64_t segment_bytes;
    uint64_t seed;               /* of a segment that is made here */
    struct found_segment *found; /* ordered by seq */
    size_t count, capacity;
    uint64_t durable_to;   /* last entry of which there is proof that it was durable */
    uint64_t durable_term; /* the latest of a lost entry; holds if that of the last is known */
    bool is_term_known;
    uint32_t last_crc; /* of the entry before; 0: not known */
    bool is_outdated;  /* the meta slots are older than what was written after them */
};

static void tail_add(struct log_layout *l, const struct log_record *rec)
{
    if (l->tail_count == l->tail_capacity) {
        l->tail_capacity = l->tail_capacity ? 2 * l->tail_capacity : 64;
        l->tail = mem_realloc(l->tail, l->tail_capacity, sizeof(*l->tail));
    }
    l->tail[l->tail_count++] = (struct log_ring_entry){
        .index = rec->index, .term = rec->term, .epoch = rec->epoch, .entry_crc = rec->entry_crc};
}

static void meta_path(char out[LOG_PATH_MAX], const char *dir)
{
    (void)snprintf(out, LOG_PATH_MAX, "%s/meta", dir);
}

int log_meta_write(struct vfs *vfs, const char *dir, const struct log_meta *m)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    uint8_t block[LOG_BLOCK];
    char path[LOG_PATH_MAX];
    int r;

    meta_path(path, dir);
    r = vfs_open(vfs, path, O_RDWR, 0600, &f);
    if (r < 0)
        return r;
    log_meta_encode(m, block);
    for (unsigned copy = 0; copy < 2; copy++) {
        r = vfs_pwrite(f, block, sizeof(block), copy * (uint64_t)LOG_BLOCK);
        if (r < 0)
            return r;
        r = MUTANT(TRUNCATE_EARLY) ? 0 : vfs_sync(f);
        if (r < 0)
            return r;
    }
    return 0;
}

static int meta_create(struct vfs *vfs, const char *dir, const struct log_meta *m)
{
    uint8_t both[2 * LOG_BLOCK];
    char path[LOG_PATH_MAX];

    meta_path(path, dir);
    log_meta_encode(m, both);
    memcpy(both + LOG_BLOCK, both, LOG_BLOCK);
    return vfs_replace_file(vfs, path, both, sizeof(both), 0600);
}

/* -ENOENT: no such file. -EBADMSG: both copies are bad. */
static int meta_read(struct vfs *vfs, const char *dir, struct log_meta *ret_meta)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    unsigned good = 0;
    char path[LOG_PATH_MAX];
    int r;

    meta_path(path, dir);
    r = vfs_open(vfs, path, O_RDONLY, 0, &f);
    if (r < 0)
        return r;
    for (unsigned copy = 0; copy < 2; copy++) {
        uint8_t block[LOG_BLOCK];
        struct log_meta m;

        r = vfs_pread_all(f, block, sizeof(block), copy * (uint64_t)LOG_BLOCK);
        if (r == 0)
            r = log_meta_decode(block, &m);
        if (r == -EPROTONOSUPPORT)
            return r;
        if (r < 0)
            continue;
        if (good == 0 || m.generation > ret_meta->generation)
            *ret_meta = m;
        good++;
    }
    if (good == 1)
        log_warn("one copy of the hard state is torn or damaged: the other is used, and both are "
                 "written anew",
                 "file=%s", path);
    return good > 0 ? 0 : -EBADMSG;
}

int log_spare_create(struct vfs *vfs, const char *dir, uint64_t number, uint64_t bytes)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    char tmp[LOG_PATH_MAX], path[LOG_PATH_MAX];
    uint8_t *zeros;
    int r;

    log_path(tmp, dir, "new", number);
    log_path(path, dir, "spare", number);
    r = vfs_open(vfs, tmp, O_RDWR | O_CREAT | O_TRUNC, 0600, &f);
    if (r < 0)
        return r;
    r = vfs_allocate(f, 0, bytes);
    if (r < 0)
        return r;
    /* Really written, so that later writes change no metadata of the file system. */
    zeros = mem_zalloc(1, ZERO_BYTES);
    for (uint64_t off = 0; off < bytes && r == 0; off += ZERO_BYTES)
        r = vfs_pwrite(f, zeros, (size_t)MIN((uint64_t)ZERO_BYTES, bytes - off), off);
    free(zeros);
    if (r < 0)
        return r;
    r = vfs_sync(f);
    if (r < 0)
        return r;
    return vfs_rename(vfs, tmp, path);
}

int log_record_take(const uint8_t *in, size_t room, const struct log_segment_header *h,
                    uint64_t index, struct raft_entry *ret_entry)
{
    struct log_record rec;
    int r = log_record_decode(in, room, h->seed, &rec);

    if (r < 0)
        return r;
    if (rec.index != index || !log_record_intact(in, &rec))
        return -EBADMSG;
    *ret_entry = (struct raft_entry){
        .index = rec.index,
        .term = rec.term,
        .type = rec.type,
        .buf = raft_buf_copy(in + LOG_RECORD_HEADER, rec.len),
    };
    return 0;
}

/* ---- what is there ---- */

static int on_name(void *ctx, const char *name, bool is_dir)
{
    struct recovery *rc = ctx;
    char path[LOG_PATH_MAX];
    uint64_t n;
    char end;

    if (is_dir)
        return 0;
    if (sscanf(name, "seg-%16" SCNx64 "%c", &n, &end) == 1) {
        if (rc->count == rc->capacity) {
            rc->capacity = rc->capacity ? 2 * rc->capacity : 16;
            rc->found = mem_realloc(rc->found, rc->capacity, sizeof(*rc->found));
        }
        rc->found[rc->count++] = (struct found_segment){.seq = n};
        rc->l->next_seq = MAX(rc->l->next_seq, n + 1);
        return 0;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", rc->dir, name);
    if (sscanf(name, "spare-%16" SCNx64 "%c", &n, &end) == 1) {
        struct vfs_stat st;
        int r = vfs_stat(rc->vfs, path, &st);

        if (r < 0)
            return r;
        if (st.size == rc->segment_bytes && rc->l->spare_count < LOG_SPARES_MAX &&
            n != UINT64_MAX) {
            rc->l->spares[rc->l->spare_count++] = n;
            rc->l->next_spare = MAX(rc->l->next_spare, n + 1);
            return 0;
        }
        return vfs_unlink(rc->vfs, path);
    }
    if (sscanf(name, "new-%16" SCNx64 "%c", &n, &end) == 1)
        return vfs_unlink(rc->vfs, path);
    return 0;
}

static int by_seq(const void *a, const void *b)
{
    const struct found_segment *x = a, *y = b;

    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int read_segment_header(struct recovery *rc, struct found_segment *s)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    uint8_t both[LOG_SEGMENT_DATA];
    char path[LOG_PATH_MAX];
    bool is_bad[2];
    int error = 0, r;

    log_path(path, rc->dir, "seg", s->seq);
    r = vfs_open(rc->vfs, path, O_RDWR, 0, &f);
    if (r < 0)
        return r;
    for (unsigned copy = 0; copy < 2; copy++) {
        uint8_t *block = both + copy * LOG_BLOCK;
        struct log_segment_header h;

        r = vfs_pread_all(f, block, LOG_BLOCK, copy * (uint64_t)LOG_BLOCK);
        error = r < 0 && r != -ENODATA ? r : error;
        is_bad[copy] = r < 0 || log_segment_header_decode(block, &h) < 0 || h.seq != s->seq;
        if (!is_bad[copy])
            s->header = h;
        s->valid = s->valid || !is_bad[copy];
    }
    if (!s->valid)
        return error; /* Of the disk; that one has no header of ours is for the caller. */
    if (is_bad[0] == is_bad[1])
        return 0;
    /* The second damage would take the whole segment along. */
    log_warn("one copy of a log segment's header is torn or damaged: it is written anew", "file=%s",
             path);
    log_segment_header_encode(&s->header, both);
    r = vfs_pwrite(f, both, LOG_BLOCK, is_bad[0] ? 0 : LOG_BLOCK);
    return r < 0 ? r : vfs_sync(f);
}

/* All of it. What cannot be read, or was cut off, is zeros: damage like any other. */
static int read_segment(struct recovery *rc, const struct found_segment *s, struct buf *bytes)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    char path[LOG_PATH_MAX];
    uint8_t *out;
    int r;

    log_path(path, rc->dir, "seg", s->seq);
    r = vfs_open(rc->vfs, path, O_RDONLY, 0, &f);
    if (r < 0)
        return r;
    buf_clear(bytes);
    out = buf_reserve(bytes, (size_t)s->header.bytes);
    memset(out, 0, (size_t)s->header.bytes);
    for (uint64_t off = 0; off < s->header.bytes; off += READ_BYTES) {
        size_t len = (size_t)MIN((uint64_t)READ_BYTES, s->header.bytes - off);
        ssize_t n = vfs_pread(f, out + off, len, off);

        if (n < 0) {
            log_error("a part of a log segment cannot be read", "file=%s offset=%" PRIu64 " %s",
                      path, off, dfs_strerror((int)n));
            memset(out + off, 0, len);
        }
    }
    buf_commit(bytes, (size_t)s->header.bytes);
    return 0;
}

/* A segment that an unfinished reset has begun: before the meta slots say so nothing is in it. */
static int check_begun(struct recovery *rc, const struct found_segment *s)
{
    CLEANUP_BUF struct buf bytes = {0};
    struct log_record rec;
    int r = read_segment(rc, s, &bytes);

    for (uint64_t off = LOG_SEGMENT_DATA; r == 0 && off + LOG_SECTOR <= bytes.len;
         off += LOG_SECTOR)
        rc->is_outdated =
            rc->is_outdated ||
            log_record_decode(bytes.data + off, bytes.len - (size_t)off, s->header.seed, &rec) == 0;
    return r;
}

/*
 * What was read of the hard state may be in memory alone, when the process before was killed: before
 * something goes because of it, it is written once more.
 */
static int settle_meta(struct recovery *rc)
{
    rc->l->meta.generation++;
    return log_meta_write(rc->vfs, rc->dir, &rc->l->meta);
}

/* Segments that belong to the log, in order; the others go. */
static int sort_out(struct recovery *rc)
{
    const struct log_meta *m = &rc->l->meta;
    size_t kept = 0;
    bool changed = false;

    if (rc->count > 0)
        qsort(rc->found, rc->count, sizeof(*rc->found), by_seq);
    for (size_t i = 0; i < rc->count; i++) {
        struct found_segment s = rc->found[i];
        char path[LOG_PATH_MAX];
        int r = read_segment_header(rc, &s);

        if (r < 0)
            return r;
        /* Its place is in the log if any of its entries could be. */
        if (s.valid && s.seq >= m->first_seq && s.header.epoch <= m->epoch &&
            (s.header.epoch == m->epoch || s.header.first_index <= m->truncate_from)) {
            rc->found[kept++] = s;
            continue;
        }
        log_path(path, rc->dir, "seg", s.seq);
        if (!s.valid && s.seq >= m->first_seq)
            log_warn("a log segment whose header is torn or damaged is given up", "file=%s", path);
        if (s.valid && s.header.epoch > m->epoch)
            r = check_begun(rc, &s);
        if (r == 0 && rc->is_outdated)
            r = -EBADMSG;
        if (r == 0 && !changed)
            r = settle_meta(rc);
        if (r == 0)
            r = vfs_unlink(rc->vfs, path);
        if (r < 0)
            return r;
        changed = true;
    }
    rc->count = kept;
    return changed ? vfs_sync_dir(rc->vfs, rc->dir) : 0;
}

/* ---- the walk ---- */

static void note_epoch(struct recovery *rc, uint64_t epoch)
{
    rc->is_outdated = rc->is_outdated || epoch > rc->l->meta.epoch;
}

/* There is proof that this entry, which is not in the log, was durable. Term 0: it doesn't tell. */
static void note_durable(struct recovery *rc, uint64_t index, uint64_t term)
{
    if (index > rc->durable_to) {
        rc->durable_to = index;
        rc->is_term_known = term > 0;
    }
    rc->durable_term = MAX(rc->durable_term, term);
}

/* Adds the good records that follow the log so far; stops at the first that is not. */
static void walk_segment(struct recovery *rc, const struct buf *bytes, struct log_segment *seg)
{
    struct log_record rec;

    while (log_record_decode(bytes->data + seg->used, bytes->len - (size_t)seg->used,
                             seg->header.seed, &rec) == 0) {
        note_epoch(rc, rec.epoch);
        if (rec.index != rc->l->last_index + 1 || log_is_void(&rc->l->meta, rec.epoch, rec.index))
            return;
        if (rec.prev_crc != 0 && rc->last_crc != 0 && rec.prev_crc != rc->last_crc)
            return;
        if (!log_record_intact(bytes->data + seg->used, &rec))
            return;
        log_segment_add(seg, rec.entry_crc, rec.len);
        tail_add(rc->l, &rec);
        rc->last_crc = rec.entry_crc;
        rc->l->last_index = rec.index;
        rc->l->last_term = rec.term;
    }
}

/* Records of later writes behind a bad one prove that it was synced. */
static void look_behind(struct recovery *rc, const struct found_segment *s, const struct buf *bytes,
                        uint64_t from)
{
    uint64_t bad = rc->l->last_index + 1;
    uint64_t seen = 0, term = 0;
    bool proof = false;

    for (uint64_t off = from; off + LOG_SECTOR <= bytes->len; off += LOG_SECTOR) {
        struct log_record rec;

        if (log_record_decode(bytes->data + off, bytes->len - (size_t)off, s->header.seed, &rec) <
            0)
            continue;
        note_epoch(rc, rec.epoch);
        if (log_is_void(&rc->l->meta, rec.epoch, rec.index) || rec.index <= bad)
            continue;
        seen = MAX(seen, rec.index);
        term = MAX(term, rec.term);
        proof = proof || rec.batch_first > bad;
    }
    if (proof)
        note_durable(rc, seen, term);
}

/* The entries up to this one are in the ring, the tail begins after it. */
static void cut_tail(struct log_layout *l, const struct log_ring_entry *e)
{
    size_t at;

    if (l->tail_count == 0 || e->index < l->tail[0].index || e->index > l->last_index)
        return;
    at = (size_t)(e->index - l->tail[0].index);
    if (e->epoch != l->tail[at].epoch || e->entry_crc != l->tail[at].entry_crc)
        return; /* Of what stood there before a truncation. */
    l->tail_count -= at + 1;
    memmove(l->tail, l->tail + at + 1, l->tail_count * sizeof(*l->tail));
}

/*
 * A header that the kernel shows need not be on the disk: the sync that failed, and ended the process
 * before, has left it so, and no later sync would write it. So what was read is written once more.
 */
static int write_ring_again(const char *path, struct vfs *vfs, const uint8_t *bytes, size_t len)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    int r = vfs_open(vfs, path, O_RDWR, 0, &f);

    if (r == 0)
        r = vfs_pwrite(f, bytes, len, 0);
    return r < 0 ? r : vfs_sync(f);
}

static int look_in_ring(struct recovery *rc)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    static const uint8_t no_entry[LOG_RING_ENTRY];
    unsigned bad = 0;
    uint8_t *bytes;
    char path[LOG_PATH_MAX];
    int r;

    (void)snprintf(path, sizeof(path), "%s/ring", rc->dir);
    r = vfs_open(rc->vfs, path, O_RDONLY, 0, &f);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    bytes = mem_zalloc(LOG_RING_COUNT, LOG_RING_ENTRY);
    for (uint64_t slot = 0; slot < LOG_RING_COUNT && r == 0; slot += 1024)
        r = vfs_pread_all(f, bytes + slot * LOG_RING_ENTRY, 1024 * (size_t)LOG_RING_ENTRY,
                          slot * LOG_RING_ENTRY);
    for (size_t slot = 0; slot < LOG_RING_COUNT; slot++) {
        const uint8_t *at = bytes + slot * LOG_RING_ENTRY;
        struct log_ring_entry e;

        if (log_ring_decode(at, &e) < 0 || e.index % LOG_RING_COUNT != slot) {
            bad += memcmp(at, no_entry, sizeof(no_entry)) != 0;
            continue;
        }
        note_epoch(rc, e.epoch);
        if (log_is_void(&rc->l->meta, e.epoch, e.index))
            continue;
        if (e.index > rc->l->last_index)
            note_durable(rc, e.index, e.term);
        else
            cut_tail(rc->l, &e);
    }
    if (bad > 0)
        log_warn("headers in the ring are torn or damaged: they tell nothing until they are "
                 "written anew",
                 "file=%s headers=%u", path, bad);
    if (r == 0)
        r = write_ring_again(path, rc->vfs, bytes, (size_t)LOG_RING_COUNT * LOG_RING_ENTRY);
    free(bytes);
    return r == -ENODATA ? 0 : r; /* Shorter than it should be: made, but never used. */
}

/* The next segment begins where the log ends by now: nothing is missing here, and what lies behind
 * was left by a truncation, or by an older one than the hard state knows. */
static bool goes_on_after(const struct recovery *rc, size_t at)
{
    return at + 1 < rc->count && rc->found[at + 1].header.first_index == rc->l->last_index + 1;
}

static int walk(struct recovery *rc)
{
    CLEANUP_BUF struct buf bytes = {0};
    struct log_layout *l = rc->l;

    for (size_t i = 0; i < rc->count; i++) {
        const struct found_segment *s = &rc->found[i];
        struct log_segment *seg;
        int r;

        if (l->count == 0)
            l->last_index = s->header.first_index - 1;
        /* A hole before this segment: what is missing was synced before it was begun. */
        if (s->header.first_index > l->last_index + 1)
            note_durable(rc, s->header.first_index - 1, 0);
        if (s->header.first_index < l->last_index + 1)
            return -EBADMSG; /* No writer of ours begins a segment inside another. */
        r = read_segment(rc, s, &bytes);
        if (r < 0)
            return r;
        if (rc->durable_to > l->last_index) {
            look_behind(rc, s, &bytes, LOG_SEGMENT_DATA);
            continue;
        }
        seg = log_layout_add(l, &s->header);
        l->tail_count = 0; /* What is before a later segment was synced. */
        walk_segment(rc, &bytes, seg);
        if (!goes_on_after(rc, i))
            look_behind(rc, s, &bytes, seg->used);
    }
    return look_in_ring(rc);
}

/* Segments behind the damage hold nothing that can be used: the entries come again from others. */
static int drop_behind(struct recovery *rc)
{
    bool changed = false;

    for (size_t i = 0; i < rc->count; i++) {
        char path[LOG_PATH_MAX];
        int r;

        if (rc->found[i].seq <= rc->l->segments[rc->l->count - 1].header.seq)
            continue;
        log_path(path, rc->dir, "seg", rc->found[i].seq);
        r = vfs_unlink(rc->vfs, path);
        if (r < 0)
            return r;
        changed = true;
    }
    return changed ? vfs_sync_dir(rc->vfs, rc->dir) : 0;
}

static int segment_create(struct recovery *rc, const struct log_segment_header *h)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    uint8_t both[LOG_SEGMENT_DATA];
    int r;

    r = log_spare_create(rc->vfs, rc->dir, UINT64_MAX, h->bytes);
    if (r < 0)
        return r;
    log_path(from, rc->dir, "spare", UINT64_MAX);
    log_path(to, rc->dir, "seg", h->seq);
    r = vfs_open(rc->vfs, from, O_RDWR, 0, &f);
    if (r < 0)
        return r;
    log_segment_header_encode(h, both);
    memcpy(both + LOG_BLOCK, both, LOG_BLOCK);
    r = vfs_pwrite(f, both, sizeof(both), 0);
    if (r < 0)
        return r;
    r = vfs_sync(f);
    if (r < 0)
        return r;
    r = vfs_rename(rc->vfs, from, to);
    if (r < 0)
        return r;
    return vfs_sync_dir(rc->vfs, rc->dir);
}

/* A log without segments: the very first start, or all their headers are damaged. */
static int begin(struct recovery *rc)
{
    struct log_layout *l = rc->l;
    struct log_segment_header h = {
        .seq = l->next_seq++,
        .seed = rc->seed,
        .epoch = l->meta.epoch,
        .first_index = l->meta.truncate_from,
        .bytes = rc->segment_bytes,
    };
    int r = segment_create(rc, &h);

    if (r < 0)
        return r;
    (void)log_layout_add(l, &h);
    l->last_index = h.first_index - 1;
    return 0;
}

/*
 * What the ring does not name was perhaps never synced, or its sync failed: then the kernel shows the
 * bytes and takes them for written, though they are not. From here on they count as durable, so
 * they are written once more.
 */
static int write_tail_again(struct recovery *rc)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    const struct log_segment *s = &rc->l->segments[rc->l->count - 1];
    CLEANUP_BUF struct buf bytes = {0};
    char path[LOG_PATH_MAX];
    uint64_t from;
    int r;

    if (rc->l->tail_count == 0)
        return 0;
    from = s->slots[s->count - rc->l->tail_count].sector * (uint64_t)LOG_SECTOR;
    log_path(path, rc->dir, "seg", s->header.seq);
    r = vfs_open(rc->vfs, path, O_RDWR, 0, &f);
    if (r < 0)
        return r;
    r = vfs_pread_all(f, buf_reserve(&bytes, (size_t)(s->used - from)), (size_t)(s->used - from),
                      from);
    if (r < 0)
        return r;
    r = vfs_pwrite(f, bytes.data, (size_t)(s->used - from), from);
    return r < 0 ? r : vfs_sync(f);
}

static int finish(struct recovery *rc)
{
    struct log_layout *l = rc->l;
    struct log_meta m = l->meta;
    int r;

    r = write_tail_again(rc);
    if (r < 0)
        return r;
    if (m.faulty_to > 0)
        note_durable(rc, m.faulty_to, m.faulty_term);
    if (MUTANT(DAMAGE_IS_TORN))
        rc->durable_to = 0;
    m.faulty_from = rc->durable_to > l->last_index ? l->last_index + 1 : 0;
    m.faulty_to = m.faulty_from ? rc->durable_to : 0;
    m.faulty_term = rc->is_term_known ? rc->durable_term : m.hard_state.term;
    m.faulty_term = m.faulty_from ? m.faulty_term : 0;
    /* First the damage is noted, then its traces may go; what is torn is void from here on. */
    m.generation++;
    m.epoch++;
    m.truncate_from = l->last_index + 1;
    r = log_meta_write(rc->vfs, rc->dir, &m);
    if (r < 0)
        return r;
    l->meta = m;
    return drop_behind(rc);
}

static int recover(struct recovery *rc, bool *ret_is_new)
{
    struct log_layout *l = rc->l;
    bool is_new = false;
    int r;

    l->next_seq = l->next_spare = 1;
    r = vfs_list(rc->vfs, rc->dir, on_name, rc);
    if (r < 0)
        return r;
    r = meta_read(rc->vfs, rc->dir, &l->meta);
    if (r == -ENOENT && rc->count == 0) {
        is_new = true;
        l->meta =
            (struct log_meta){.generation = 1, .epoch = 1, .truncate_from = 1, .first_seq = 1};
        r = meta_create(rc->vfs, rc->dir, &l->meta);
    }
    if (r < 0)
        return r == -ENOENT ? -EBADMSG : r;
    r = sort_out(rc);
    if (r < 0)
        return r;
    r = walk(rc);
    if (r == 0 && rc->is_outdated)
        r = -EBADMSG;
    if (r < 0)
        return r;
    if (l->count == 0) {
        r = begin(rc);
        if (r < 0)
            return r;
    }
    r = finish(rc);
    if (r < 0)
        return r;
    *ret_is_new = is_new;
    return 0;
}

int log_recover(struct vfs *vfs, const char *dir, uint64_t segment_bytes, uint64_t seed,
                struct log_layout *l, bool *ret_is_new)
{
    struct recovery rc = {
        .vfs = vfs, .dir = dir, .l = l, .segment_bytes = segment_bytes, .seed = seed};
    int r = vfs_mkdir_all(vfs, dir, 0700);

    /* A process that was killed leaves names that a power failure would still take away. */
    if (r == 0)
        r = vfs_sync_dir(vfs, dir);
    if (r == 0)
        r = recover(&rc, ret_is_new);
    if (rc.is_outdated)
        log_error("the hard state is older than what was written after it: the disk has lost it",
                  "file=%s/meta epoch=%" PRIu64, dir, l->meta.epoch);
    free(rc.found);
    return r;
}
