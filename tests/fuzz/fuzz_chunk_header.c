/*
 * A chunk file with anything in its header, slots and data, and then ops on it. Whatever comes, a
 * block that is given out has its CRC, and the header that we write can be read.
 *
 *   1 byte: ops | 1 byte: header bytes * 32 | 1 byte: slot bytes * 4 | 8 bytes a op | header | slots | data
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/vfs_fake.h"
#include "datanode/chunk_file.h"
#include "tests/fuzz/target.h"

enum { OPS_MAX = 16, BYTES_MAX = 20000, ID = 5 };

static void fuzz_header(const uint8_t *data, size_t size)
{
    uint8_t bytes[CHUNK_HEADER_SIZE] = {0}, again[CHUNK_HEADER_SIZE];
    struct chunk_header h, h2;

    memcpy(bytes, data, MIN(size, sizeof(bytes)));
    for (int fix = 0; fix < 2; fix++) {
        if (fix)
            put_le32(bytes + 44, crc32c(bytes, 44));
        if (chunk_header_decode(bytes, &h) < 0)
            continue;
        chunk_header_encode(&h, again);
        if (chunk_header_decode(again, &h2) < 0 || h.id != h2.id || h.pg != h2.pg ||
            memcmp(again, bytes, 40) != 0)
            abort();
    }
}

static void put(struct vfs *v, const char *path, const uint8_t *data, size_t len, uint64_t offset)
{
    struct vfs_file *f;

    if (len == 0 || vfs_open(v, path, O_RDWR | O_CREAT, 0600, &f) < 0)
        return;
    if (vfs_pwrite(f, data, len, offset) < 0)
        abort();
    vfs_close(f);
}

static void check_read(struct chunk_file *f, uint32_t offset, uint32_t len)
{
    static uint8_t buf[BYTES_MAX + 8192];
    uint32_t slots[BYTES_MAX / 4096 + 2], there, bad;

    offset -= offset % 4096;
    len = (len + 4095) / 4096 * 4096;
    if (chunk_file_read_verified(f, offset, len, buf, slots, &there, &bad) < 0)
        return;
    if (there > len)
        abort();
    for (uint32_t i = 0; i * 4096 < there; i++)
        if ((crc32c(buf + i * 4096, 4096) ^ CRC32C_ZERO_BLOCK) != slots[i])
            abort();
}

static void do_op(struct chunk_file *f, const uint8_t *op)
{
    static uint8_t bytes[BYTES_MAX];
    uint32_t offset = get_le32(op) % CHUNK_SIZE, len = get_le16(op + 4) % BYTES_MAX, crcs[8],
             result;
    uint64_t *bad;
    unsigned n = 0;
    int r;

    if (op[7] & 1)
        offset %= 32768; /* Where something is. */
    len = MIN(len + 1, (uint32_t)CHUNK_SIZE - offset);
    memset(bytes, op[7], sizeof(bytes));
    switch (op[6] % 6) {
    case 0:
        for (uint32_t at = offset, left = len; left; n++) {
            uint32_t piece = MIN(left, 4096 - at % 4096);

            crcs[n] = crc32c(bytes, piece);
            at += piece;
            left -= piece;
        }
        if (chunk_file_write(f, offset, len, bytes, crcs, CHUNK_FILE_CREATE, &result) == 0)
            check_read(f, offset, len);
        break;
    case 1:
        (void)chunk_file_truncate(f, offset, op[7] & 2 ? CHUNK_FILE_COPY : 0, &result);
        break;
    case 2:
        check_read(f, offset, len);
        break;
    case 3:
        chunk_file_close(f);
        break;
    case 4:
    case 5:
        if (offset > 65536)
            break;
        bad = calloc(CHUNK_BLOCKS / 64, sizeof(*bad));
        r = chunk_file_check(f, op[6] % 2 == 0, op[6] % 6 == 5, bad, &result, NULL);
        if (r == 0 && op[6] % 6 == 5) {
            memset(bad, 0, CHUNK_BLOCKS / 64 * sizeof(*bad));
            if (chunk_file_check(f, false, false, bad, &result, NULL) < 0 || result != 0)
                abort();
        }
        free(bad);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vfs_fake *fake;
    struct chunk_dir dir = {.path = "/t"};
    struct chunk_file f;
    size_t ops, header, slots;
    char path[PATH_BYTES_MAX + 1];

    if (size < 3)
        return 0;
    ops = data[0] % OPS_MAX;
    header = data[1] * 32u;
    slots = data[2] * 4u;
    data += 3;
    size -= 3;
    if (size < ops * 8)
        return 0;
    fuzz_header(data + ops * 8, size - ops * 8);
    fake = vfs_fake_new();
    dir.vfs = vfs_fake_vfs(fake);
    if (vfs_mkdir_all(dir.vfs, "/t/c/000", 0700) < 0)
        abort();
    chunk_file_path(&dir, ID, path);
    header = MIN(header, (size_t)CHUNK_HEADER_SIZE);
    header = MIN(header, size - ops * 8);
    slots = MIN(slots, size - ops * 8 - header);
    put(dir.vfs, path, data + ops * 8, header, 0);
    put(dir.vfs, path, data + ops * 8 + header, slots, CHUNK_SLOTS_AT);
    put(dir.vfs, path, data + ops * 8 + header + slots,
        MIN(size - ops * 8 - header - slots, (size_t)BYTES_MAX), CHUNK_DATA_AT);
    chunk_file_init(&f, &dir, ID, 1);
    for (size_t i = 0; i < ops; i++)
        do_op(&f, data + i * 8);
    chunk_file_done(&f);
    vfs_fake_free(fake);
    return 0;
}
