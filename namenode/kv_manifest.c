#include "namenode/kv_manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/vfs.h"

/* The format of all RocksDB's logs (db/log_format.h there): blocks of records, none of which crosses
 * the end of its block; what is too long is in parts. */
enum {
    BLOCK = 32768,
    SECTOR = 512,
    HEADER = 7, /* masked CRC32C of type and payload, length (2), type (1) */
    TYPE_WHOLE = 1,
    TYPE_FIRST = 2,
    TYPE_MIDDLE = 3,
    TYPE_LAST = 4,
    PATH_SIZE = 1024,
};

static uint32_t masked_crc(const uint8_t *data, size_t len)
{
    uint32_t crc = crc32c(data, len);

    return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

/* Where the last whole record ends that has only whole ones before it. */
static size_t whole_bytes(const uint8_t *data, size_t len)
{
    size_t at = 0, end = 0;

    while (at + HEADER <= len) {
        size_t left = BLOCK - at % BLOCK;
        uint32_t payload;
        uint8_t type;

        if (left < HEADER) {
            at += left;
            continue;
        }
        payload = (uint32_t)data[at + 4] | (uint32_t)data[at + 5] << 8;
        type = data[at + 6];
        if (HEADER + payload > MIN(left, len - at) || type < TYPE_WHOLE || type > TYPE_LAST ||
            get_le32(data + at) != masked_crc(data + at + 6, 1 + payload))
            break;
        at += HEADER + payload;
        if (type == TYPE_WHOLE || type == TYPE_LAST)
            end = at;
    }
    return end;
}

static bool is_zero(const uint8_t *data, size_t from, size_t to)
{
    while (from < to && data[from] == 0)
        from++;
    return from == to;
}

/*
 * The first record that is not whole: a sector of it that did not arrive is zeros, as there was
 * nothing before. Rot does not look like that.
 */
static bool is_torn(const uint8_t *data, size_t at, size_t len)
{
    size_t end;

    if (len - at < HEADER || is_zero(data, at, at + HEADER))
        return true;
    end = MIN(at + HEADER + ((uint32_t)data[at + 4] | (uint32_t)data[at + 5] << 8), len);
    for (size_t next; at < end; at = next) {
        next = MIN((at / SECTOR + 1) * SECTOR, end);
        if (is_zero(data, at, next))
            return true;
    }
    return false;
}

/* CURRENT holds the name and a line feed. */
static int find_manifest(const char *dir, char out[PATH_SIZE])
{
    CLEANUP_BUF struct buf name = {0};
    char path[PATH_SIZE];
    int r;

    if ((size_t)snprintf(path, sizeof(path), "%s/CURRENT", dir) >= sizeof(path))
        return -ENAMETOOLONG;
    r = vfs_read_file(vfs_posix(), path, 64, &name);
    if (r < 0)
        return r == -ENOENT || r == -EFBIG ? -EBADMSG : r;
    if (name.len < 2 || name.data[name.len - 1] != '\n' || memchr(name.data, '/', name.len))
        return -EBADMSG;
    if ((size_t)snprintf(out, PATH_SIZE, "%s/%.*s", dir, (int)name.len - 1,
                         (const char *)name.data) >= PATH_SIZE)
        return -ENAMETOOLONG;
    return 0;
}

static int cut(const char *path, size_t len)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    int r = vfs_open(vfs_posix(), path, O_RDWR, 0, &f);

    if (r == 0)
        r = vfs_truncate(f, len);
    return r < 0 ? r : vfs_sync(f);
}

int kv_manifest_cut(const char *dir)
{
    CLEANUP_BUF struct buf bytes = {0};
    char path[PATH_SIZE], copy[PATH_SIZE];
    size_t whole;
    int r = find_manifest(dir, path);

    if (r == 0)
        r = vfs_read_file(vfs_posix(), path, 1U << 30, &bytes);
    if (r < 0)
        return r == -ENOENT || r == -EFBIG ? -EBADMSG : r;
    whole = whole_bytes(bytes.data, bytes.len);
    if (whole == bytes.len)
        return 0;
    if (whole == 0 || !is_torn(bytes.data, whole, bytes.len))
        return -EBADMSG;
    if ((size_t)snprintf(copy, sizeof(copy), "%s/TORN", dir) >= sizeof(copy))
        return -ENAMETOOLONG;
    r = vfs_replace_file(vfs_posix(), copy, bytes.data, bytes.len, 0600);
    if (r == 0)
        r = cut(path, whole);
    if (r < 0)
        return r;
    log_warn("the last change of the metadata store's files is torn, and is cut off",
             "file=%s bytes=%zu whole=%zu", path, bytes.len, whole);
    return 1;
}
