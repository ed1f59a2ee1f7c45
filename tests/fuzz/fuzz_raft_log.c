/*
 * What the namenode finds on disk. The first byte chooses: 0 a meta slot, 1 a segment header, 2 a
 * ring entry, each with its checksum made right when the second byte is odd, and what decodes is
 * encoded again and must decode the same; 3 a whole log directory: recovery must end, twice with
 * the same result (unless the meta slot itself lies). When the second byte is even, bytes lie over
 * the records and the ring of a good one. When it is odd, they are changes of fields, after which
 * checksums are made right:
 *
 *   1 byte: where (a record, a ring entry, a copy of the meta slot or of the segment's header)
 *   1 byte: offset there | 1 byte: how many bytes, + 128: the payload's checksum is made right, too
 *   and the bytes
 */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/vfs_fake.h"
#include "namenode/log_format.h"
#include "namenode/raft_log.h"
#include "tests/fuzz/target.h"

enum {
    SEGMENT = 16 << 10,
    ENTRIES = 8,
    PAYLOAD = 700,
    RECORD = 1024, /* of one entry on disk */
    CHANGES_MAX = 32,
    CHANGE_BYTES_MAX = 16,
};

#define SEGMENT_1 "/log/seg-0000000000000001"
#define META "/log/meta"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void copy(uint8_t *block, size_t size, const uint8_t *bytes, size_t len)
{
    memset(block, 0, size);
    memcpy(block, bytes, len < size ? len : size);
}

static void try_meta(const uint8_t *bytes, size_t len, bool mend)
{
    uint8_t block[LOG_BLOCK], again[LOG_BLOCK];
    struct log_meta m, n;

    copy(block, sizeof(block), bytes, len);
    if (mend)
        put_le32(block + 76, crc32c(block, 76));
    if (log_meta_decode(block, &m) < 0)
        return;
    log_meta_encode(&m, again);
    check(log_meta_decode(again, &n) == 0 && memcmp(&m, &n, sizeof(m)) == 0);
}

static void try_segment(const uint8_t *bytes, size_t len, bool mend)
{
    uint8_t block[LOG_BLOCK], again[LOG_BLOCK];
    struct log_segment_header h, i;

    copy(block, sizeof(block), bytes, len);
    if (mend)
        put_le32(block + 52, crc32c(block, 52));
    if (log_segment_header_decode(block, &h) < 0)
        return;
    log_segment_header_encode(&h, again);
    check(log_segment_header_decode(again, &i) == 0 && memcmp(&h, &i, sizeof(h)) == 0);
}

static void try_ring(const uint8_t *bytes, size_t len, bool mend)
{
    uint8_t block[LOG_RING_ENTRY], again[LOG_RING_ENTRY];
    struct log_ring_entry e;

    copy(block, sizeof(block), bytes, len);
    if (mend)
        put_le32(block + 60, crc32c(block, 60));
    if (log_ring_decode(block, &e) < 0)
        return;
    log_ring_encode(&e, again);
    check(log_ring_decode(again, &e) == 0);
}

/* ---- a directory ---- */

static void ignore_durable(void *ctx, uint64_t write_id)
{
    (void)ctx;
    (void)write_id;
}

/* Of full size and empty: the log would fill it with a mebibyte of zeros, at each input. */
static void make_ring(struct vfs *v)
{
    struct vfs_file *f;

    check(vfs_mkdir_all(v, "/log", 0700) == 0);
    check(vfs_open(v, "/log/ring", O_RDWR | O_CREAT, 0600, &f) == 0);
    check(vfs_truncate(f, (uint64_t)LOG_RING_COUNT * LOG_RING_ENTRY) == 0);
    vfs_close(f);
}

static void make_log(const struct raft_log_config *c)
{
    struct raft_log_boot boot;
    struct raft_log *log;
    struct raft_buf *buf = raft_buf_new(PAYLOAD);

    memset(buf->data, 'x', buf->len);
    make_ring(c->vfs);
    check(raft_log_open(c, &boot, &log) == 0);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        struct raft_entry e = {.index = i, .term = 1, .type = RAFT_ENTRY_NORMAL, .buf = buf};
        struct raft_update up = {.write_id = i, .entries = &e, .entry_count = 1};

        raft_log_append_async(log, &up);
        raft_log_pump(log, true);
    }
    raft_log_close(log);
    raft_buf_unref(buf);
}

static int count_entry(void *ctx, const struct raft_entry *e)
{
    uint64_t *next = ctx;

    check(*next == 0 || e->index == *next);
    *next = e->index + 1;
    return 0;
}

static void overwrite(struct vfs *v, const char *path, const uint8_t *bytes, size_t len,
                      uint64_t offset)
{
    struct vfs_file *f;

    if (len == 0 || vfs_open(v, path, O_RDWR, 0, &f) < 0)
        return;
    check(vfs_pwrite(f, bytes, len, offset) == 0);
    vfs_close(f);
}

/* ---- fields, with checksums that say they are right ---- */

static void mend_record(uint8_t *block, uint64_t seed, bool payload)
{
    uint8_t s[8], head[24];
    uint32_t len = MIN(get_le32(block + 4), (uint32_t)(RECORD - LOG_RECORD_HEADER));

    if (payload) {
        memcpy(head, block + 8, 16);
        put_le32(head + 16, get_le32(block + 40));
        put_le32(head + 20, get_le32(block + 4));
        put_le32(block + 44,
                 crc32c_update(crc32c(head, sizeof(head)), block + LOG_RECORD_HEADER, len));
    }
    put_le64(s, seed);
    put_le32(block + 60, crc32c_update(crc32c(s, sizeof(s)), block, LOG_RECORD_HEADER - 4));
}

/* Where a thing is, how long it is, and where its checksum. */
struct place {
    const char *path;
    uint64_t offset;
    size_t len, crc_at; /* 0: a record's */
};

static struct place place_of(uint8_t where)
{
    unsigned n = where % (2 * ENTRIES + 4);

    if (n < ENTRIES)
        return (struct place){SEGMENT_1, LOG_SEGMENT_DATA + (uint64_t)n * RECORD, RECORD, 0};
    n -= ENTRIES;
    if (n < ENTRIES)
        return (struct place){"/log/ring", (n + 1) * (uint64_t)LOG_RING_ENTRY, LOG_RING_ENTRY, 60};
    n -= ENTRIES;
    if (n < 2)
        return (struct place){META, n * (uint64_t)LOG_BLOCK, 80, 76};
    /* Without its size: that much memory is taken for it. */
    return (struct place){SEGMENT_1, (n - 2) * (uint64_t)LOG_BLOCK, 40, 52};
}

static void change(struct vfs *v, uint64_t seed, const uint8_t *spec, size_t len)
{
    struct place p = place_of(spec[0]);
    size_t whole = p.crc_at ? p.crc_at + 4 : RECORD;
    /* The fields of a record, and a little of its payload. */
    size_t at = spec[1] % MIN(p.len, (size_t)LOG_RECORD_HEADER + 8);
    uint8_t block[RECORD];
    struct vfs_file *f;

    check(vfs_open(v, p.path, O_RDWR, 0, &f) == 0);
    check(vfs_pread_all(f, block, whole, p.offset) == 0);
    memcpy(block + at, spec + 3, MIN(len, p.len - at));
    if (p.crc_at == 0)
        mend_record(block, seed, spec[2] & 0x80);
    else
        put_le32(block + p.crc_at, crc32c(block, p.crc_at));
    check(vfs_pwrite(f, block, whole, p.offset) == 0);
    vfs_close(f);
}

/* The random number that all records of the segment are sealed with. */
static uint64_t seed_of(struct vfs *v)
{
    struct log_segment_header h;
    uint8_t block[LOG_BLOCK];
    struct vfs_file *f;

    check(vfs_open(v, SEGMENT_1, O_RDONLY, 0, &f) == 0);
    check(vfs_pread_all(f, block, sizeof(block), 0) == 0);
    check(log_segment_header_decode(block, &h) == 0);
    vfs_close(f);
    return h.seed;
}

/* Gives whether the meta slot is as it was. */
static bool make_changes(struct vfs *v, const uint8_t *bytes, size_t len)
{
    uint64_t seed = seed_of(v);
    bool same_meta = true;

    for (int i = 0; i < CHANGES_MAX && len >= 3; i++) {
        size_t n = MIN((size_t)(bytes[2] & 0x7f) % CHANGE_BYTES_MAX, len - 3);

        change(v, seed, bytes, n);
        same_meta = same_meta && strcmp(place_of(bytes[0]).path, META) != 0;
        bytes += 3 + n;
        len -= 3 + n;
    }
    return same_meta;
}

static bool is_same(const struct raft_log_boot *a, const struct raft_log_boot *b)
{
    return a->first_index == b->first_index && a->last_index == b->last_index &&
           a->faulty_from == b->faulty_from && a->faulty_to == b->faulty_to &&
           (a->faulty_term > UINT32_MAX || a->faulty_term == b->faulty_term) &&
           a->hard_state.term == b->hard_state.term;
}

static void try_directory(const uint8_t *bytes, size_t len, bool mend)
{
    struct vfs_fake *disk = vfs_fake_new();
    struct raft_log_boot first, second;
    struct raft_log_config c;
    struct raft_log *log;
    uint64_t next = 0;
    size_t half = len / 2;
    bool same_meta = true;

    raft_log_config_init(&c);
    c.vfs = vfs_fake_vfs(disk);
    c.dir = "/log";
    c.segment_bytes = SEGMENT;
    c.direct = false;
    c.durable = ignore_durable;
    make_log(&c);
    if (mend) {
        same_meta = make_changes(c.vfs, bytes, len);
    } else {
        if (half > 4)
            overwrite(c.vfs, SEGMENT_1, bytes + 4, MIN(half - 4, (size_t)SEGMENT / 2),
                      get_le32(bytes) % (SEGMENT / 2));
        overwrite(c.vfs, "/log/ring", bytes + half, MIN(len - half, (size_t)4096), 0);
    }
    if (raft_log_open(&c, &first, &log) == 0) {
        check(raft_log_replay(log, count_entry, &next) == 0);
        check(first.faulty_from == 0 || first.faulty_from == first.last_index + 1);
        raft_log_close(log);
        if (raft_log_open(&c, &second, &log) == 0) {
            check(!same_meta || is_same(&first, &second));
            raft_log_close(log);
        } else {
            check(!same_meta);
        }
    }
    vfs_fake_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 2)
        return 0;
    switch (bytes[0] % 4) {
    case 0:
        try_meta(bytes + 2, len - 2, bytes[1] & 1);
        break;
    case 1:
        try_segment(bytes + 2, len - 2, bytes[1] & 1);
        break;
    case 2:
        try_ring(bytes + 2, len - 2, bytes[1] & 1);
        break;
    default:
        try_directory(bytes + 2, len - 2, bytes[1] & 1);
        break;
    }
    return 0;
}
