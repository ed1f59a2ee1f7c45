/*
 * A checkpoint is records with lsn 0, 1, ... and a footer: a record with chunk id 0, whose ver_seq
 * is the count of records and whose ver_epoch is the CRC over all their bytes.
 *
 * The log is made longer with zeros before records are put there, so that an append changes no
 * metadata of the file system and its O_DSYNC costs one write of the disk.
 */
#include "datanode/ctab.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/vfs.h"

enum {
    VERSION = 1,
    VERSION_TRUNC = 2,
    CRC_AT = CTAB_RECORD_SIZE - 4,
    FLAGS_KNOWN = CHUNK_DIRTY | CHUNK_INCOMPLETE | CHUNK_BAD | CHUNK_DELETED | CTAB_FORGOTTEN,
    LOG_GROW_BYTES = 256 << 10,
};
/* 2^32 records: more than a target can have. */
#define FILE_BYTES_MAX (UINT64_C(1) << 38)

void ctab_record_place(uint8_t record[CTAB_RECORD_SIZE], uint64_t lsn, uint64_t group,
                       uint64_t salt)
{
    put_le64(record + 36, lsn);
    if (get_le16(record + 14) == VERSION) {
        put_le64(record + 44, group);
        put_le64(record + 52, salt);
    } else {
        assert(lsn - group <= UINT32_MAX && salt <= UINT32_MAX);
        put_le32(record + 44, (uint32_t)(lsn - group));
        put_le32(record + 48, (uint32_t)salt);
    }
    put_le32(record + CRC_AT, crc32c(record, CRC_AT));
}

void ctab_record_encode(const struct ctab_record *r, uint8_t out[CTAB_RECORD_SIZE])
{
    const struct chunk_state *c = &r->chunk;

    put_le64(out, c->id.v);
    put_le32(out + 8, c->pg.v);
    put_le16(out + 12, (uint16_t)(c->flags & FLAGS_KNOWN));
    put_le16(out + 14, c->trunc_version == 0 ? VERSION : VERSION_TRUNC);
    put_le32(out + 16, c->len);
    put_le64(out + 20, c->ver.epoch);
    put_le64(out + 28, c->ver.seq);
    put_le64(out + 52, c->trunc_version);
    ctab_record_place(out, r->lsn, r->group, r->salt);
}

int ctab_record_decode(const uint8_t in[CTAB_RECORD_SIZE], struct ctab_record *ret_record)
{
    struct ctab_record r = {0};
    uint16_t version = get_le16(in + 14);

    if (get_le32(in + CRC_AT) != crc32c(in, CRC_AT) ||
        (version != VERSION && version != VERSION_TRUNC))
        return -EBADMSG;
    r.chunk.id.v = get_le64(in);
    r.chunk.pg.v = get_le32(in + 8);
    r.chunk.flags = get_le16(in + 12);
    r.chunk.len = get_le32(in + 16);
    r.chunk.ver.epoch = get_le64(in + 20);
    r.chunk.ver.seq = get_le64(in + 28);
    r.lsn = get_le64(in + 36);
    if (version == VERSION) {
        r.group = get_le64(in + 44);
        r.salt = get_le64(in + 52);
    } else {
        r.group = r.lsn - get_le32(in + 44);
        r.salt = get_le32(in + 48);
        r.chunk.trunc_version = get_le64(in + 52);
        if (r.chunk.trunc_version == 0 || r.group > r.lsn)
            return -EBADMSG;
    }
    if (r.chunk.flags & ~(uint32_t)FLAGS_KNOWN || r.chunk.len > CHUNK_SIZE)
        return -EBADMSG;
    *ret_record = r;
    return 0;
}

int ctab_checkpoint_parse(const uint8_t *bytes, size_t len, uint64_t number, ctab_record_fn fn,
                          void *ctx)
{
    size_t count = len / CTAB_RECORD_SIZE;
    struct ctab_record r;

    if (count == 0 || len % CTAB_RECORD_SIZE != 0)
        return -EBADMSG;
    for (size_t i = 0; i < count; i++) {
        if (ctab_record_decode(bytes + i * CTAB_RECORD_SIZE, &r) < 0 || r.lsn != i ||
            r.salt != number || (r.chunk.id.v == 0) != (i == count - 1))
            return -EBADMSG;
        if (r.chunk.id.v != 0)
            fn(ctx, &r.chunk);
    }
    if (r.chunk.ver.seq != count - 1 ||
        r.chunk.ver.epoch != crc32c(bytes, (count - 1) * CTAB_RECORD_SIZE))
        return -EBADMSG;
    return 0;
}

/* Is there, after a record that is no good, one that was written when that one was durable? */
static bool has_later_group(const uint8_t *bytes, size_t count, size_t bad, uint64_t number)
{
    struct ctab_record r;

    for (size_t i = bad + 1; i < count; i++)
        if (ctab_record_decode(bytes + i * CTAB_RECORD_SIZE, &r) == 0 && r.lsn == i &&
            r.salt == number && r.group > bad)
            return true;
    return false;
}

void ctab_log_parse(const uint8_t *bytes, size_t len, uint64_t number, ctab_record_fn fn, void *ctx,
                    struct ctab_log_result *ret_result)
{
    size_t count = len / CTAB_RECORD_SIZE;
    struct ctab_log_result res = {0};
    struct ctab_record r;

    for (size_t i = 0; i < count; i++) {
        if (ctab_record_decode(bytes + i * CTAB_RECORD_SIZE, &r) == 0 && r.lsn == i &&
            r.salt == number && r.chunk.id.v != 0) {
            fn(ctx, &r.chunk);
            res.count++;
            continue;
        }
        if (!res.is_damaged && !has_later_group(bytes, count, i, number))
            break;
        res.is_damaged = true;
    }
    *ret_result = res;
}

static void make_path(char path[PATH_BYTES_MAX + 1], const char *dir, const char *name,
                      uint64_t number)
{
    (void)snprintf(path, PATH_BYTES_MAX + 1, "%s/%s.%llu", dir, name, (unsigned long long)number);
}

static int read_log(struct vfs *vfs, const char *dir, uint64_t number, ctab_record_fn fn, void *ctx,
                    struct ctab_log_result *ret_result)
{
    CLEANUP_BUF struct buf b = {0};
    char path[PATH_BYTES_MAX + 1];
    int r;

    make_path(path, dir, "ctab.log", number);
    r = vfs_read_file(vfs, path, FILE_BYTES_MAX, &b);
    if (r < 0)
        return r;
    ctab_log_parse(b.data, b.len, number, fn, ctx, ret_result);
    return 0;
}

int ctab_read(struct vfs *vfs, const char *dir, uint64_t number, ctab_record_fn fn, void *ctx,
              struct ctab_log_result *ret_result)
{
    CLEANUP_BUF struct buf b = {0};
    struct ctab_log_result first, second = {0};
    char path[PATH_BYTES_MAX + 1];
    int r;

    make_path(path, dir, "ctab", number);
    r = vfs_read_file(vfs, path, FILE_BYTES_MAX, &b);
    if (r < 0)
        return r;
    r = ctab_checkpoint_parse(b.data, b.len, number, fn, ctx);
    if (r < 0)
        return r;
    r = read_log(vfs, dir, number, fn, ctx, &first);
    if (r < 0)
        return r;
    r = read_log(vfs, dir, number + 1, fn, ctx, &second);
    if (r < 0 && r != -ENOENT)
        return r;
    /* Log N+1 is used only after log N: if it holds anything, the end of N was no torn end. */
    ret_result->count = first.count + second.count;
    ret_result->is_damaged = first.is_damaged || second.is_damaged;
    return 0;
}

struct ctab_checkpoint {
    struct vfs_file *file;
    uint64_t number, count;
    uint32_t crc;
};

int ctab_checkpoint_new(struct vfs *vfs, const char *dir, uint64_t number,
                        struct ctab_checkpoint **ret_checkpoint)
{
    CLEANUP(ctab_checkpoint) struct ctab_checkpoint *c = MEM_NEW(struct ctab_checkpoint);
    char path[PATH_BYTES_MAX + 1];
    int r;

    c->number = number;
    make_path(path, dir, "ctab", number);
    r = vfs_open(vfs, path, O_RDWR | O_CREAT | O_TRUNC, 0600, &c->file);
    if (r < 0)
        return r;
    *ret_checkpoint = STEAL(c);
    return 0;
}

int ctab_checkpoint_add(struct ctab_checkpoint *c, uint8_t *records, size_t count)
{
    int r;

    for (size_t i = 0; i < count; i++)
        ctab_record_place(records + i * CTAB_RECORD_SIZE, c->count + i, 0, c->number);
    c->crc = crc32c_update(c->crc, records, count * CTAB_RECORD_SIZE);
    r = vfs_pwrite(c->file, records, count * CTAB_RECORD_SIZE, c->count * CTAB_RECORD_SIZE);
    if (r < 0)
        return r;
    c->count += count;
    return 0;
}

int ctab_checkpoint_finish(struct ctab_checkpoint *c)
{
    struct ctab_record footer = {
        .chunk = {.ver = {.epoch = c->crc, .seq = c->count}},
        .lsn = c->count,
        .salt = c->number,
    };
    uint8_t bytes[CTAB_RECORD_SIZE];
    int r;

    ctab_record_encode(&footer, bytes);
    r = vfs_pwrite(c->file, bytes, sizeof(bytes), c->count * CTAB_RECORD_SIZE);
    if (r < 0)
        return r;
    return vfs_sync(c->file);
}

void ctab_checkpoint_free(struct ctab_checkpoint *c)
{
    if (!c)
        return;
    vfs_close(c->file);
    free(c);
}

struct ctab_log {
    struct vfs_file *file;
    uint64_t number, count;
    uint64_t room; /* records for which there are zeros */
};

int ctab_log_new(struct vfs *vfs, const char *dir, uint64_t number, struct ctab_log **ret_log)
{
    CLEANUP(ctab_log) struct ctab_log *l = MEM_NEW(struct ctab_log);
    char path[PATH_BYTES_MAX + 1];
    int r;

    l->number = number;
    make_path(path, dir, "ctab.log", number);
    r = vfs_open(vfs, path, O_RDWR | O_CREAT | O_TRUNC | O_DSYNC, 0600, &l->file);
    if (r < 0)
        return r;
    r = vfs_sync(l->file);
    if (r < 0)
        return r;
    *ret_log = STEAL(l);
    return 0;
}

static int grow(struct ctab_log *l, size_t count)
{
    uint64_t bytes = (l->count + count - l->room) * CTAB_RECORD_SIZE;
    uint8_t *zeros;
    int r;

    bytes = (bytes / LOG_GROW_BYTES + 1) * LOG_GROW_BYTES;
    zeros = mem_zalloc(1, bytes);
    r = vfs_pwrite(l->file, zeros, bytes, l->room * CTAB_RECORD_SIZE);
    free(zeros);
    if (r < 0)
        return r;
    l->room += bytes / CTAB_RECORD_SIZE;
    return 0;
}

int ctab_log_append(struct ctab_log *l, uint8_t *records, size_t count)
{
    int r;

    if (l->count + count > l->room) {
        r = grow(l, count);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < count; i++)
        ctab_record_place(records + i * CTAB_RECORD_SIZE, l->count + i, l->count, l->number);
    r = vfs_pwrite(l->file, records, count * CTAB_RECORD_SIZE, l->count * CTAB_RECORD_SIZE);
    if (r < 0)
        return r;
    l->count += count;
    return 0;
}

uint64_t ctab_log_count(const struct ctab_log *l)
{
    return l->count;
}

void ctab_log_free(struct ctab_log *l)
{
    if (!l)
        return;
    vfs_close(l->file);
    free(l);
}

struct remove_others {
    struct vfs *vfs;
    const char *dir;
    uint64_t number;
};

static int remove_one(void *ctx, const char *name, bool is_dir)
{
    struct remove_others *ro = ctx;
    char path[PATH_BYTES_MAX + 1], keep[2][64];
    unsigned long long n = ro->number;

    (void)snprintf(keep[0], sizeof(keep[0]), "ctab.%llu", n);
    (void)snprintf(keep[1], sizeof(keep[1]), "ctab.log.%llu", n);
    if (is_dir || strncmp(name, "ctab.", 5) != 0 || strcmp(name, keep[0]) == 0 ||
        strcmp(name, keep[1]) == 0)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/%s", ro->dir, name);
    return vfs_unlink(ro->vfs, path);
}

int ctab_remove_others(struct vfs *vfs, const char *dir, uint64_t number)
{
    struct remove_others ro = {vfs, dir, number};

    return vfs_list(vfs, dir, remove_one, &ro);
}
