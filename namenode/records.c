/*
 * Records and their bytes. Every encoder and its decoder walk the same fields in the same order; a
 * decoder must come out exactly at the end. Strings are {u8 length, bytes}.
 */
#include "namenode/records.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "rpc/meta.pb-c.h"

enum {
    RECORD_VERSION = 1,
    VALUE_VERSION = 1,
    TARGET_VERSION = 2,
    STATE_VERSION = 3,
};

/* Which format (fsm.h) brought the second and the third version of the state record. */
enum { STATE_2_FORMAT = 2, STATE_3_FORMAT = 4 };

/* Each adds one field; a record is written with the least that has all it needs, so that a store of an
 * older format holds what the release of that format writes. */
enum inode_version { INODE_FIRST = RECORD_VERSION, INODE_WITH_MARK = 2, INODE_WITH_COPIES = 3 };

enum inode_flags { INODE_INLINE = 1, INODE_TRUNC_PENDING = 2, INODE_FLAGS_ALL = 3 };

struct writer {
    uint8_t *p;
};

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static void put(struct writer *w, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *w->p++ = (uint8_t)(v >> (8 * i));
}

static void put_bytes(struct writer *w, const void *data, size_t len)
{
    memcpy(w->p, data, len);
    w->p += len;
}

static void put_string(struct writer *w, const char *s)
{
    size_t len = strnlen(s, REC_STRING_SIZE - 1);

    put(w, len, 1);
    put_bytes(w, s, len);
}

static struct writer writer_begin(uint8_t *out)
{
    out[0] = RECORD_VERSION;
    return (struct writer){.p = out + 1};
}

static struct reader reader_begin_version(const uint8_t *data, size_t len, uint8_t version)
{
    if (len < 1 || data[0] != version)
        return (struct reader){.bad = true};
    return (struct reader){.p = data + 1, .end = data + len};
}

static struct reader reader_begin(const uint8_t *data, size_t len)
{
    return reader_begin_version(data, len, RECORD_VERSION);
}

static uint64_t get(struct reader *r, unsigned bytes)
{
    uint64_t v = 0;

    if (r->bad || (size_t)(r->end - r->p) < bytes) {
        r->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)*r->p++ << (8 * i);
    return v;
}

static uint8_t get8(struct reader *r)
{
    return (uint8_t)get(r, 1);
}

static uint32_t get32(struct reader *r)
{
    return (uint32_t)get(r, 4);
}

static uint64_t get64(struct reader *r)
{
    return get(r, 8);
}

static void get_bytes(struct reader *r, void *out, size_t len)
{
    if (r->bad || (size_t)(r->end - r->p) < len) {
        r->bad = true;
        return;
    }
    memcpy(out, r->p, len);
    r->p += len;
}

/* out has REC_STRING_SIZE bytes and is zeroed. */
static void get_string(struct reader *r, char *out)
{
    size_t len = get8(r);

    if (len >= REC_STRING_SIZE) {
        r->bad = true;
        return;
    }
    get_bytes(r, out, len);
    if (!r->bad && memchr(out, '\0', len))
        r->bad = true;
}

static bool get_bool(struct reader *r)
{
    uint8_t v = get8(r);

    if (v > 1)
        r->bad = true;
    return v == 1;
}

static int reader_end(const struct reader *r)
{
    return r->bad || r->p != r->end ? -EBADMSG : 0;
}

static enum inode_version inode_version(const struct inode_rec *rec)
{
    if (rec->copies != 0)
        return INODE_WITH_COPIES;
    return rec->trunc_pending && rec->trunc_version != 0 ? INODE_WITH_MARK : INODE_FIRST;
}

size_t inode_rec_encode(const struct inode_rec *rec, uint8_t *out)
{
    enum inode_version version = inode_version(rec);
    struct writer w = writer_begin(out);

    put(&w, (rec->is_inline ? INODE_INLINE : 0) | (rec->trunc_pending ? INODE_TRUNC_PENDING : 0),
        1);
    put(&w, rec->mode, 4);
    put(&w, rec->uid, 4);
    put(&w, rec->gid, 4);
    put(&w, rec->nlink, 4);
    put(&w, rec->rdev, 8);
    put(&w, rec->size, 8);
    put(&w, (uint64_t)rec->atime_ns, 8);
    put(&w, (uint64_t)rec->mtime_ns, 8);
    put(&w, (uint64_t)rec->ctime_ns, 8);
    put(&w, (uint64_t)rec->btime_ns, 8);
    put(&w, rec->data_version, 8);
    put(&w, rec->dir_version, 8);
    put(&w, rec->parent, 8);
    put(&w, rec->entry_count, 8);
    put(&w, rec->chunk_count, 4);
    put(&w, rec->xattr_bytes, 4);
    if (rec->trunc_pending) {
        put(&w, rec->trunc_chunk, 8);
        put(&w, rec->trunc_pg, 4);
        put(&w, rec->trunc_from, 4);
    }
    out[0] = (uint8_t)version;
    if (rec->trunc_pending && version >= INODE_WITH_MARK)
        put(&w, rec->trunc_version, 8);
    if (version >= INODE_WITH_COPIES)
        put(&w, rec->copies, 1);
    return (size_t)(w.p - out);
}

int inode_rec_decode(uint64_t ino, const uint8_t *data, size_t len, struct inode_rec *ret_rec)
{
    uint8_t version = len > 0 && data[0] > INODE_FIRST && data[0] <= INODE_WITH_COPIES
                          ? data[0]
                          : (uint8_t)INODE_FIRST;
    struct reader r = reader_begin_version(data, len, version);
    struct inode_rec rec = {.ino = ino};
    uint8_t flags = get8(&r);

    rec.is_inline = flags & INODE_INLINE;
    rec.trunc_pending = flags & INODE_TRUNC_PENDING;
    rec.mode = get32(&r);
    rec.uid = get32(&r);
    rec.gid = get32(&r);
    rec.nlink = get32(&r);
    rec.rdev = get64(&r);
    rec.size = get64(&r);
    rec.atime_ns = (int64_t)get64(&r);
    rec.mtime_ns = (int64_t)get64(&r);
    rec.ctime_ns = (int64_t)get64(&r);
    rec.btime_ns = (int64_t)get64(&r);
    rec.data_version = get64(&r);
    rec.dir_version = get64(&r);
    rec.parent = get64(&r);
    rec.entry_count = get64(&r);
    rec.chunk_count = get32(&r);
    rec.xattr_bytes = get32(&r);
    if (rec.trunc_pending) {
        rec.trunc_chunk = get64(&r);
        rec.trunc_pg = get32(&r);
        rec.trunc_from = get32(&r);
    }
    if (rec.trunc_pending && version >= INODE_WITH_MARK)
        rec.trunc_version = get64(&r);
    if (version >= INODE_WITH_COPIES)
        rec.copies = get8(&r);
    if (flags & ~INODE_FLAGS_ALL || reader_end(&r) < 0 || rec.copies > COPIES_MAX ||
        version != (uint8_t)inode_version(&rec))
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t dentry_rec_encode(const struct dentry_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put(&w, rec->ino, 8);
    put(&w, rec->type, 4);
    return (size_t)(w.p - out);
}

int dentry_rec_decode(const uint8_t *data, size_t len, struct dentry_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct dentry_rec rec = {0};

    rec.ino = get64(&r);
    rec.type = get32(&r);
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t usage_rec_encode(const struct usage_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put(&w, rec->files, 8);
    put(&w, rec->dirs, 8);
    put(&w, (uint64_t)rec->bytes, 8);
    put(&w, (uint64_t)(rec->bytes >> 64), 8);
    put(&w, rec->quota_inodes, 8);
    put(&w, rec->quota_bytes, 8);
    return (size_t)(w.p - out);
}

int usage_rec_decode(const uint8_t *data, size_t len, struct usage_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct usage_rec rec = {0};

    rec.files = get64(&r);
    rec.dirs = get64(&r);
    rec.bytes = get64(&r);
    rec.bytes |= (usage_bytes)get64(&r) << 64;
    rec.quota_inodes = get64(&r);
    rec.quota_bytes = get64(&r);
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t link_rec_encode(const struct link_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put(&w, rec->names, 4);
    return (size_t)(w.p - out);
}

int link_rec_decode(const uint8_t *data, size_t len, struct link_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct link_rec rec = {0};

    rec.names = get32(&r);
    if (reader_end(&r) < 0 || rec.names == 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t chunk_page_encode(const struct chunk_page *page, uint8_t *out)
{
    struct writer w = writer_begin(out);

    assert(page->count <= REC_PAGE_CHUNKS);
    put(&w, page->count, 2);
    for (unsigned i = 0; i < page->count; i++) {
        const struct chunk_rec *c = &page->chunks[i];

        put(&w, c->slot, 2);
        put(&w, c->chunk_id, 8);
        put(&w, c->pg, 4);
        put(&w, c->materialized, 1);
    }
    return (size_t)(w.p - out);
}

int chunk_page_decode(const uint8_t *data, size_t len, struct chunk_page *ret_page)
{
    struct reader r = reader_begin(data, len);
    unsigned count = (unsigned)get(&r, 2);

    if (r.bad || count > REC_PAGE_CHUNKS)
        return -EBADMSG;
    for (unsigned i = 0; i < count; i++) {
        struct chunk_rec *c = &ret_page->chunks[i];

        c->slot = (uint16_t)get(&r, 2);
        c->chunk_id = get64(&r);
        c->pg = get32(&r);
        c->materialized = get_bool(&r);
        if (c->slot >= REC_PAGE_CHUNKS || (i > 0 && c->slot <= c[-1].slot))
            return -EBADMSG;
    }
    if (reader_end(&r) < 0)
        return -EBADMSG;
    ret_page->count = count;
    return 0;
}

size_t chunk_owner_rec_encode(const struct chunk_owner_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put(&w, rec->ino, 8);
    put(&w, rec->index, 4);
    return (size_t)(w.p - out);
}

int chunk_owner_rec_decode(const uint8_t *data, size_t len, struct chunk_owner_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct chunk_owner_rec rec = {0};

    rec.ino = get64(&r);
    rec.index = get32(&r);
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t pg_rec_encode(const struct pg_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    assert(rec->member_count <= REC_PG_MEMBERS_MAX);
    put(&w, rec->epoch, 8);
    put(&w, rec->cold_epoch, 8);
    put(&w, rec->reset_epoch, 8);
    put(&w, rec->fence_version, 8);
    put(&w, rec->copies, 1);
    put(&w, rec->min_write, 1);
    put(&w, rec->member_count, 1);
    for (unsigned i = 0; i < rec->member_count; i++) {
        const struct pg_member_rec *m = &rec->members[i];

        put(&w, m->target, 4);
        put(&w, m->incarnation, 8);
        put(&w, m->state, 1);
        put(&w, m->last_serving_epoch, 8);
    }
    return (size_t)(w.p - out);
}

int pg_rec_decode(uint32_t pg, const uint8_t *data, size_t len, struct pg_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct pg_rec rec = {.pg = pg};

    rec.epoch = get64(&r);
    rec.cold_epoch = get64(&r);
    rec.reset_epoch = get64(&r);
    rec.fence_version = get64(&r);
    rec.copies = get8(&r);
    rec.min_write = get8(&r);
    rec.member_count = get8(&r);
    if (r.bad || rec.member_count > REC_PG_MEMBERS_MAX)
        return -EBADMSG;
    for (unsigned i = 0; i < rec.member_count; i++) {
        struct pg_member_rec *m = &rec.members[i];

        m->target = get32(&r);
        m->incarnation = get64(&r);
        m->state = get8(&r);
        m->last_serving_epoch = get64(&r);
        if (m->state < DFS__MEMBER_STATE__MEMBER_SERVING ||
            m->state > DFS__MEMBER_STATE__MEMBER_OFFLINE)
            return -EBADMSG;
    }
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t target_rec_encode(const struct target_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put_bytes(&w, rec->uuid, REC_UUID_SIZE);
    put(&w, rec->state, 1);
    put(&w, rec->incarnation, 8);
    put(&w, rec->bytes_total, 8);
    put_string(&w, rec->host);
    put_string(&w, rec->addr);
    put_string(&w, rec->node);
    if (rec->maintenance_until_ns != 0 || rec->rack[0] != '\0') {
        out[0] = TARGET_VERSION;
        put(&w, (uint64_t)rec->maintenance_until_ns, 8);
        put_string(&w, rec->rack);
    }
    return (size_t)(w.p - out);
}

int target_rec_decode(uint32_t target, const uint8_t *data, size_t len, struct target_rec *ret_rec)
{
    bool is_newer = len > 0 && data[0] == TARGET_VERSION;
    struct reader r = reader_begin_version(data, len, is_newer ? TARGET_VERSION : RECORD_VERSION);
    struct target_rec rec = {.target = target};

    get_bytes(&r, rec.uuid, REC_UUID_SIZE);
    rec.state = get8(&r);
    rec.incarnation = get64(&r);
    rec.bytes_total = get64(&r);
    get_string(&r, rec.host);
    get_string(&r, rec.addr);
    get_string(&r, rec.node);
    if (is_newer) {
        rec.maintenance_until_ns = (int64_t)get64(&r);
        get_string(&r, rec.rack);
    }
    if (reader_end(&r) < 0 || (is_newer && rec.maintenance_until_ns == 0 && rec.rack[0] == '\0') ||
        rec.state < DFS__TARGET_STATE__TARGET_ACTIVE ||
        rec.state > DFS__TARGET_STATE__TARGET_REMOVED)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t session_rec_encode(const struct session_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put_bytes(&w, rec->uuid, REC_UUID_SIZE);
    put_string(&w, rec->name);
    put(&w, rec->opened_index, 8);
    put(&w, (uint64_t)rec->opened_ns, 8);
    put(&w, rec->ack_floor, 8);
    put(&w, rec->seq_max, 8);
    return (size_t)(w.p - out);
}

int session_rec_decode(uint64_t session, const uint8_t *data, size_t len,
                       struct session_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct session_rec rec = {.session = session};

    get_bytes(&r, rec.uuid, REC_UUID_SIZE);
    get_string(&r, rec.name);
    rec.opened_index = get64(&r);
    rec.opened_ns = (int64_t)get64(&r);
    rec.ack_floor = get64(&r);
    rec.seq_max = get64(&r);
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t fence_rec_encode(const struct fence_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put(&w, rec->fence_version, 8);
    put(&w, (uint64_t)rec->since_ns, 8);
    put(&w, rec->done, 1);
    return (size_t)(w.p - out);
}

int fence_rec_decode(uint64_t session, const uint8_t *data, size_t len, struct fence_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct fence_rec rec = {.session = session};

    rec.fence_version = get64(&r);
    rec.since_ns = (int64_t)get64(&r);
    rec.done = get_bool(&r);
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t namenode_rec_encode(const struct namenode_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put_bytes(&w, rec->uuid, REC_UUID_SIZE);
    put_string(&w, rec->addr);
    return (size_t)(w.p - out);
}

int namenode_rec_decode(uint64_t replica_id, const uint8_t *data, size_t len,
                        struct namenode_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct namenode_rec rec = {.replica_id = replica_id};

    get_bytes(&r, rec.uuid, REC_UUID_SIZE);
    get_string(&r, rec.addr);
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t cluster_rec_encode(const struct cluster_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    assert(rec->data_key_len <= REC_DATA_KEY_MAX);
    put_bytes(&w, rec->uuid, REC_UUID_SIZE);
    put(&w, rec->copies, 4);
    put(&w, rec->pgs_per_target, 4);
    put(&w, rec->min_write, 4);
    put(&w, (uint64_t)rec->created_ns, 8);
    put(&w, rec->data_key_len, 1);
    put_bytes(&w, rec->data_key, rec->data_key_len);
    return (size_t)(w.p - out);
}

int cluster_rec_decode(const uint8_t *data, size_t len, struct cluster_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct cluster_rec rec = {0};

    get_bytes(&r, rec.uuid, REC_UUID_SIZE);
    rec.copies = get32(&r);
    rec.pgs_per_target = get32(&r);
    rec.min_write = get32(&r);
    rec.created_ns = (int64_t)get64(&r);
    rec.data_key_len = get8(&r);
    if (r.bad || rec.data_key_len > REC_DATA_KEY_MAX)
        return -EBADMSG;
    get_bytes(&r, rec.data_key, rec.data_key_len);
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t restored_rec_encode(const struct restored_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put_bytes(&w, rec->group, REC_UUID_SIZE);
    put(&w, rec->session_floor, 8);
    put(&w, rec->index, 8);
    put(&w, rec->term, 8);
    put(&w, (uint64_t)rec->made_s, 8);
    put(&w, (uint64_t)rec->restored_s, 8);
    return (size_t)(w.p - out);
}

int restored_rec_decode(const uint8_t *data, size_t len, struct restored_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct restored_rec rec = {0};

    get_bytes(&r, rec.group, REC_UUID_SIZE);
    rec.session_floor = get64(&r);
    rec.index = get64(&r);
    rec.term = get64(&r);
    rec.made_s = (int64_t)get64(&r);
    rec.restored_s = (int64_t)get64(&r);
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

void value_encode_header(uint8_t *out)
{
    out[0] = VALUE_VERSION;
}

int value_decode(const uint8_t *data, size_t len, const uint8_t **ret_value, size_t *ret_len)
{
    if (len < VALUE_HEADER_SIZE || data[0] != VALUE_VERSION)
        return -EBADMSG;
    *ret_value = data + VALUE_HEADER_SIZE;
    *ret_len = len - VALUE_HEADER_SIZE;
    return 0;
}

bool value_is_kind(uint8_t kind)
{
    return kind != 0 && strchr(VALUE_KINDS, kind);
}

static uint8_t state_version(uint32_t format)
{
    return format < STATE_2_FORMAT ? 1 : format < STATE_3_FORMAT ? 2 : STATE_VERSION;
}

size_t repair_rec_encode(const struct repair_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put(&w, rec->walk, 8);
    put(&w, rec->next, 8);
    put(&w, rec->last_index, 8);
    return (size_t)(w.p - out);
}

int repair_rec_decode(const uint8_t *data, size_t len, struct repair_rec *ret_rec)
{
    struct reader r = reader_begin(data, len);
    struct repair_rec rec = {0};

    rec.walk = get64(&r);
    rec.next = get64(&r);
    rec.last_index = get64(&r);
    if (reader_end(&r) < 0)
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}

size_t state_rec_encode(const struct state_rec *rec, uint8_t *out)
{
    struct writer w = writer_begin(out);

    put(&w, rec->index, 8);
    put(&w, rec->term, 8);
    assert(w.p - out == STATE_REC_HASH_AT);
    put(&w, rec->hash, 8);
    put(&w, (uint64_t)rec->time_ns, 8);
    put(&w, rec->next_ino, 8);
    put(&w, rec->next_chunk, 8);
    put(&w, rec->next_session, 8);
    put(&w, rec->next_target, 4);
    put(&w, rec->next_pg, 4);
    put(&w, rec->fence_version, 8);
    put(&w, rec->map_version, 8);
    put(&w, rec->inode_count, 8);
    put(&w, rec->chunk_count, 8);
    put(&w, rec->garbage_count, 8);
    put(&w, rec->session_count, 8);
    put(&w, rec->reap_count, 8);
    out[0] = state_version(rec->format);
    if (out[0] > 1) {
        put(&w, rec->format, 4);
        put(&w, rec->quota_count, 8);
    }
    if (out[0] > 2)
        put(&w, (uint8_t)rec->convert.kind, 1);
    if (out[0] > 2 && rec->convert.kind != 0) {
        put(&w, rec->convert.id, 8);
        put(&w, rec->convert.ino_end, 8);
    }
    return (size_t)(w.p - out);
}

int state_rec_decode(const uint8_t *data, size_t len, struct state_rec *ret_rec)
{
    uint8_t version = len > 0 ? data[0] : 0;
    struct reader r = reader_begin_version(data, len, version);
    struct state_rec rec = {.format = 1};

    if (version > STATE_VERSION)
        return -EPROTONOSUPPORT;
    if (version == 0)
        return -EBADMSG;

    rec.index = get64(&r);
    rec.term = get64(&r);
    rec.hash = get64(&r);
    rec.time_ns = (int64_t)get64(&r);
    rec.next_ino = get64(&r);
    rec.next_chunk = get64(&r);
    rec.next_session = get64(&r);
    rec.next_target = get32(&r);
    rec.next_pg = get32(&r);
    rec.fence_version = get64(&r);
    rec.map_version = get64(&r);
    rec.inode_count = get64(&r);
    rec.chunk_count = get64(&r);
    rec.garbage_count = get64(&r);
    rec.session_count = get64(&r);
    rec.reap_count = get64(&r);
    if (version > 1) {
        rec.format = get32(&r);
        rec.quota_count = get64(&r);
    }
    if (version > 2)
        rec.convert.kind = (char)get8(&r);
    if (rec.convert.kind != 0) {
        rec.convert.id = get64(&r);
        rec.convert.ino_end = get64(&r);
    }
    if (reader_end(&r) < 0 || version != state_version(rec.format) ||
        (rec.convert.kind != 0 && !value_is_kind((uint8_t)rec.convert.kind)))
        return -EBADMSG;
    *ret_rec = rec;
    return 0;
}
