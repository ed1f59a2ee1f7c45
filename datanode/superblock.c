/*
 *   0      8        12         16       32      48       64         72          80            88
 *   | magic | version | target_id | cluster | target | boot_id | serial | generation | checkpoint |
 *   88      92 ...... 124
 *   | flags | zeros  | crc32c of 0..123 |                                   all little-endian
 */
#include "datanode/superblock.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/limits.h"
#include "common/vfs.h"

static const char MAGIC[8] = "dfstrgt1";
enum { VERSION = 1, FLAG_CLEAN = 1, FLAG_FAILED = 2, CRC_AT = SUPERBLOCK_SIZE - 4 };

void superblock_encode(const struct superblock *sb, uint8_t out[SUPERBLOCK_SIZE])
{
    memset(out, 0, SUPERBLOCK_SIZE);
    memcpy(out, MAGIC, sizeof(MAGIC));
    put_le32(out + 8, VERSION);
    put_le32(out + 12, sb->target_id);
    memcpy(out + 16, sb->cluster.b, 16);
    memcpy(out + 32, sb->target.b, 16);
    memcpy(out + 48, sb->boot_id.b, 16);
    put_le64(out + 64, sb->serial);
    put_le64(out + 72, sb->generation);
    put_le64(out + 80, sb->checkpoint);
    put_le32(out + 88, (sb->is_clean ? FLAG_CLEAN : 0U) | (sb->is_failed ? FLAG_FAILED : 0U));
    put_le32(out + CRC_AT, crc32c(out, CRC_AT));
}

int superblock_decode(const uint8_t *bytes, size_t len, struct superblock *ret_sb)
{
    struct superblock sb = {0};

    if (len != SUPERBLOCK_SIZE || memcmp(bytes, MAGIC, sizeof(MAGIC)) != 0 ||
        get_le32(bytes + CRC_AT) != crc32c(bytes, CRC_AT))
        return -EBADMSG;
    if (get_le32(bytes + 8) != VERSION ||
        get_le32(bytes + 88) & ~(uint32_t)(FLAG_CLEAN | FLAG_FAILED))
        return -EPROTONOSUPPORT;
    sb.target_id = get_le32(bytes + 12);
    memcpy(sb.cluster.b, bytes + 16, 16);
    memcpy(sb.target.b, bytes + 32, 16);
    memcpy(sb.boot_id.b, bytes + 48, 16);
    sb.serial = get_le64(bytes + 64);
    sb.generation = get_le64(bytes + 72);
    sb.checkpoint = get_le64(bytes + 80);
    sb.is_clean = get_le32(bytes + 88) & FLAG_CLEAN;
    sb.is_failed = get_le32(bytes + 88) & FLAG_FAILED;
    *ret_sb = sb;
    return 0;
}

static int read_one(struct vfs *vfs, const char *dir, char name, struct superblock *ret_sb)
{
    CLEANUP_BUF struct buf b = {0};
    char path[PATH_BYTES_MAX + 1];
    int r;

    (void)snprintf(path, sizeof(path), "%s/superblock.%c", dir, name);
    r = vfs_read_file(vfs, path, SUPERBLOCK_SIZE, &b);
    if (r == -EFBIG)
        return -EBADMSG;
    if (r < 0)
        return r;
    return superblock_decode(b.data, b.len, ret_sb);
}

int superblock_read(struct vfs *vfs, const char *dir, struct superblock *ret_sb)
{
    struct superblock a, b;
    int ra = read_one(vfs, dir, 'a', &a), rb = read_one(vfs, dir, 'b', &b);

    if (ra < 0 && rb < 0)
        return ra == -ENOENT ? rb : ra;
    /* A newer software wrote the other one: its word counts, and we cannot read it. */
    if (ra == -EPROTONOSUPPORT || rb == -EPROTONOSUPPORT)
        return -EPROTONOSUPPORT;
    *ret_sb = rb < 0 || (ra == 0 && a.serial > b.serial) ? a : b;
    return 0;
}

int superblock_write(struct vfs *vfs, const char *dir, struct superblock *sb)
{
    uint8_t bytes[SUPERBLOCK_SIZE];
    char path[PATH_BYTES_MAX + 1];

    sb->serial++;
    superblock_encode(sb, bytes);
    (void)snprintf(path, sizeof(path), "%s/superblock.%c", dir, sb->serial & 1 ? 'a' : 'b');
    return vfs_replace_file(vfs, path, bytes, sizeof(bytes), 0600);
}
