/*
 * What the namenode finds on disk. The first byte chooses: 0 a meta slot, 1 a segment header, 2 a
 * ring entry, each with its checksum made right when the second byte is odd, and what decodes is
 * encoded again and must decode the same; 3 a whole log directory: the bytes lie over the records
 * and the ring of a good one, and recovery must end, twice with the same result.
 */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/vfs_fake.h"
#include "namenode/log_format.h"
#include "namenode/raft_log.h"
#include "tests/fuzz/target.h"

enum { SEGMENT = 16 << 10 };

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

static void make_log(const struct raft_log_config *c)
{
    struct raft_log_boot boot;
    struct raft_log *log;
    struct raft_buf *buf = raft_buf_new(700);

    memset(buf->data, 'x', buf->len);
    check(raft_log_open(c, &boot, &log) == 0);
    for (uint64_t i = 1; i <= 8; i++) {
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

static void try_directory(const uint8_t *bytes, size_t len)
{
    struct vfs_fake *disk = vfs_fake_new();
    struct raft_log_boot first, second;
    struct raft_log_config c;
    struct raft_log *log;
    uint64_t next = 0;
    size_t half = len / 2;

    raft_log_config_init(&c);
    c.vfs = vfs_fake_vfs(disk);
    c.dir = "/log";
    c.segment_bytes = SEGMENT;
    c.direct = false;
    c.durable = ignore_durable;
    make_log(&c);
    if (half > 4)
        overwrite(c.vfs, "/log/seg-0000000000000001", bytes + 4, MIN(half - 4, (size_t)SEGMENT / 2),
                  get_le32(bytes) % (SEGMENT / 2));
    overwrite(c.vfs, "/log/ring", bytes + half, MIN(len - half, (size_t)4096), 0);
    if (raft_log_open(&c, &first, &log) == 0) {
        check(raft_log_replay(log, count_entry, &next) == 0);
        check(first.faulty_from == 0 || first.faulty_from == first.last_index + 1);
        raft_log_close(log);
        check(raft_log_open(&c, &second, &log) == 0);
        check(first.first_index == second.first_index && first.last_index == second.last_index);
        check(first.faulty_from == second.faulty_from && first.faulty_to == second.faulty_to);
        check(first.hard_state.term == second.hard_state.term);
        raft_log_close(log);
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
        try_directory(bytes + 2, len - 2);
        break;
    }
    return 0;
}
