/*
 * Two ordered maps: what is written, and what was written at the last flush. A crash puts the
 * second in the place of the first. Files are touched only by checkpoints, which are whole-file
 * dumps:
 *
 *   "dfskvm1\0"  then per entry {u32 key_len, u32 value_len, key, value}  then u64 hash of it all
 */
#include "namenode/kv_mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/hash.h"
#include "common/mem.h"
#include "namenode/omap.h"

struct kv_mem {
    struct kv kv;
    struct omap live, flushed;
    bool failing, fail_armed, flush_armed;
    unsigned fail_after;
};

struct mem_iter {
    struct kv_iter it;
    struct kv_mem *m;
    struct omap_node *at;
    uint8_t prefix[KV_PREFIX_MAX];
    size_t prefix_len;
};

static const char dump_magic[8] = "dfskvm1";

static int mem_get(struct kv *kv, const void *key, size_t len, bool persisted, struct kv_value *ret)
{
    struct kv_mem *m = CONTAINER_OF(kv, struct kv_mem, kv);
    struct omap_node *n = omap_find(persisted ? &m->flushed : &m->live, key, len);

    if (!n)
        return -ENOENT;
    /* Never NULL, not even of an empty value. */
    *ret = (struct kv_value){.data = n->value ? n->value : n->key, .len = n->value_len};
    return 0;
}

static void mem_value_done(struct kv *kv, struct kv_value *v)
{
    (void)kv;
    *v = (struct kv_value){0};
}

static int mem_flush(struct kv *kv, bool wait)
{
    struct kv_mem *m = CONTAINER_OF(kv, struct kv_mem, kv);

    (void)wait;
    if (m->failing)
        return -EIO;
    omap_copy(&m->flushed, &m->live);
    return 0;
}

static int mem_write(struct kv *kv, const struct kv_batch *b)
{
    struct kv_mem *m = CONTAINER_OF(kv, struct kv_mem, kv);
    struct kv_change c;
    size_t pos = 0;

    if (m->fail_armed && m->fail_after-- == 0)
        m->failing = true;
    if (m->failing)
        return -EIO;
    while (kv_batch_next(b, &pos, &c)) {
        if (c.op == KV_PUT)
            omap_put(&m->live, c.key, c.key_len, c.value, c.value_len);
        else
            omap_remove(&m->live, c.key, c.key_len);
    }
    if (!m->flush_armed)
        return 0;
    m->flush_armed = false;
    return mem_flush(kv, true);
}

static void append_u32(struct buf *b, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        buf_append_u8(b, (uint8_t)(v >> (8 * i)));
}

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int mem_checkpoint(struct kv *kv, const char *dir)
{
    struct kv_mem *m = CONTAINER_OF(kv, struct kv_mem, kv);
    CLEANUP_BUF struct buf b = {0};
    char path[4096];
    uint64_t hash;
    size_t wrote;
    FILE *f;

    buf_append(&b, dump_magic, sizeof(dump_magic));
    for (const struct omap_node *n = omap_first(&m->live); n; n = omap_next(n)) {
        append_u32(&b, n->key_len);
        append_u32(&b, n->value_len);
        buf_append(&b, n->key, n->key_len);
        buf_append(&b, n->value, n->value_len);
    }
    hash = hash64(b.data, b.len, 0);
    append_u32(&b, (uint32_t)hash);
    append_u32(&b, (uint32_t)(hash >> 32));

    if (mkdir(dir, 0700) < 0)
        return -errno;
    if ((size_t)snprintf(path, sizeof(path), "%s/kv", dir) >= sizeof(path))
        return -ENAMETOOLONG;
    f = fopen(path, "wbe");
    if (!f)
        return -errno;
    wrote = fwrite(b.data, 1, b.len, f);
    if (fclose(f) != 0 || wrote != b.len)
        return -EIO;
    return mem_flush(kv, true);
}

static void iter_stand(struct mem_iter *mi)
{
    mi->it.valid = mi->at && mi->at->key_len >= mi->prefix_len &&
                   memcmp(mi->at->key, mi->prefix, mi->prefix_len) == 0;
    if (!mi->it.valid)
        return;
    mi->it.key = mi->at->key;
    mi->it.key_len = mi->at->key_len;
    mi->it.value = mi->at->value;
    mi->it.value_len = mi->at->value_len;
}

static int mem_iter_seek(struct kv_iter *it, const void *key, size_t len)
{
    struct mem_iter *mi = CONTAINER_OF(it, struct mem_iter, it);

    mi->at = omap_seek(&mi->m->live, key, len);
    iter_stand(mi);
    return 0;
}

static int mem_iter_next(struct kv_iter *it)
{
    struct mem_iter *mi = CONTAINER_OF(it, struct mem_iter, it);

    mi->at = omap_next(mi->at);
    iter_stand(mi);
    return 0;
}

static void mem_iter_free(struct kv_iter *it)
{
    free(CONTAINER_OF(it, struct mem_iter, it));
}

static const struct kv_iter_ops mem_iter_ops = {
    .seek = mem_iter_seek,
    .next = mem_iter_next,
    .free = mem_iter_free,
};

static int mem_iter_new(struct kv *kv, const void *prefix, size_t len, struct kv_iter **ret_iter)
{
    struct mem_iter *mi = MEM_NEW(struct mem_iter);

    assert(len <= sizeof(mi->prefix));
    memcpy(mi->prefix, prefix, len);
    mi->prefix_len = len;
    mi->it.ops = &mem_iter_ops;
    mi->m = CONTAINER_OF(kv, struct kv_mem, kv);
    *ret_iter = &mi->it;
    return 0;
}

static void mem_close(struct kv *kv)
{
    struct kv_mem *m = CONTAINER_OF(kv, struct kv_mem, kv);

    omap_done(&m->live);
    omap_done(&m->flushed);
    free(m);
}

static const struct kv_ops mem_ops = {
    .get = mem_get,
    .value_done = mem_value_done,
    .write = mem_write,
    .flush = mem_flush,
    .checkpoint = mem_checkpoint,
    .iter_new = mem_iter_new,
    .close = mem_close,
};

int kv_mem_new(struct kv **ret_kv)
{
    struct kv_mem *m = MEM_NEW(struct kv_mem);

    m->kv.ops = &mem_ops;
    omap_init(&m->live);
    omap_init(&m->flushed);
    *ret_kv = &m->kv;
    return 0;
}

static int load_dump(struct kv_mem *m, const uint8_t *data, size_t len)
{
    size_t pos = sizeof(dump_magic), end;
    uint64_t hash;

    if (len < sizeof(dump_magic) + 8 || memcmp(data, dump_magic, sizeof(dump_magic)) != 0)
        return -EBADMSG;
    end = len - 8;
    hash = read_u32(data + end) | (uint64_t)read_u32(data + end + 4) << 32;
    if (hash != hash64(data, end, 0))
        return -EBADMSG;
    while (pos < end) {
        uint32_t key_len, value_len;

        if (end - pos < 8)
            return -EBADMSG;
        key_len = read_u32(data + pos);
        value_len = read_u32(data + pos + 4);
        pos += 8;
        if (key_len > end - pos || value_len > end - pos - key_len)
            return -EBADMSG;
        omap_put(&m->live, data + pos, key_len, data + pos + key_len, value_len);
        pos += (size_t)key_len + value_len;
    }
    return 0;
}

int kv_mem_open(const char *checkpoint_dir, struct kv **ret_kv)
{
    CLEANUP(kv) struct kv *kv = NULL;
    CLEANUP_BUF struct buf b = {0};
    char path[4096];
    size_t n;
    FILE *f;
    int r;

    if ((size_t)snprintf(path, sizeof(path), "%s/kv", checkpoint_dir) >= sizeof(path))
        return -ENAMETOOLONG;
    f = fopen(path, "rbe");
    if (!f)
        return -errno;
    do {
        n = fread(buf_reserve(&b, 65536), 1, 65536, f);
        buf_commit(&b, n);
    } while (n > 0);
    r = ferror(f) ? -EIO : 0;
    (void)fclose(f);
    if (r < 0)
        return r;

    r = kv_mem_new(&kv);
    if (r < 0)
        return r;
    r = load_dump(CONTAINER_OF(kv, struct kv_mem, kv), b.data, b.len);
    if (r < 0)
        return r;
    r = mem_flush(kv, true);
    if (r < 0)
        return r;
    *ret_kv = STEAL(kv);
    return 0;
}

int kv_mem_copy(struct kv *kv, struct kv **ret_kv)
{
    const struct kv_mem *from = CONTAINER_OF(kv, struct kv_mem, kv);
    CLEANUP(kv) struct kv *copy = NULL;
    int r;

    r = kv_mem_new(&copy);
    if (r < 0)
        return r;
    omap_copy(&CONTAINER_OF(copy, struct kv_mem, kv)->live, &from->live);
    r = mem_flush(copy, true);
    if (r < 0)
        return r;
    *ret_kv = STEAL(copy);
    return 0;
}

void kv_mem_flush_at_write(struct kv *kv)
{
    CONTAINER_OF(kv, struct kv_mem, kv)->flush_armed = true;
}

void kv_mem_crash(struct kv *kv)
{
    struct kv_mem *m = CONTAINER_OF(kv, struct kv_mem, kv);

    omap_copy(&m->live, &m->flushed);
    m->failing = m->fail_armed = m->flush_armed = false;
}

void kv_mem_fail_write_after(struct kv *kv, unsigned count)
{
    struct kv_mem *m = CONTAINER_OF(kv, struct kv_mem, kv);

    m->fail_armed = true;
    m->fail_after = count;
}
