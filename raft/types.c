/* Payload buffers, memberships and their bytes, and memory for the core. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "raft/bytes.h"
#include "raft/mem.h"
#include "raft/types.h"

void *raft_alloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);

    if (p == NULL)
        abort();
    return p;
}

void *raft_grow(void *items, size_t count, size_t *cap, size_t size)
{
    size_t want;
    void *p;

    if (count < *cap)
        return items;
    want = *cap ? *cap * 2 : 8;
    p = reallocarray(items, want, size);
    if (p == NULL)
        abort();
    *cap = want;
    return p;
}

struct raft_buf *raft_buf_new(size_t len)
{
    struct raft_buf *buf;

    assert(len <= UINT32_MAX);
    buf = malloc(sizeof(*buf) + len);
    if (buf == NULL)
        abort();
    buf->refs = 1;
    buf->len = (uint32_t)len;
    return buf;
}

struct raft_buf *raft_buf_copy(const void *data, size_t len)
{
    struct raft_buf *buf = raft_buf_new(len);

    if (len > 0)
        memcpy(buf->data, data, len);
    return buf;
}

struct raft_buf *raft_buf_ref(struct raft_buf *buf)
{
    buf->refs++;
    return buf;
}

void raft_buf_unref(struct raft_buf *buf)
{
    if (buf == NULL)
        return;
    assert(buf->refs > 0);
    if (--buf->refs == 0)
        free(buf);
}

const struct raft_member *raft_conf_find(const struct raft_conf *conf, struct raft_id id)
{
    for (unsigned i = 0; i < conf->count; i++) {
        if (conf->members[i].id.v == id.v)
            return &conf->members[i];
    }
    return NULL;
}

enum { CONF_FORMAT = 1 };

/* {u8 format, u8 count, count x {u64 id, u8 uuid[16], u8 voter, u8 len, addr[len]}} */
size_t raft_conf_encode(const struct raft_conf *conf, uint8_t *buf)
{
    uint8_t *p = buf;

    put_u8(&p, CONF_FORMAT);
    put_u8(&p, (uint8_t)conf->count);
    for (unsigned i = 0; i < conf->count; i++) {
        const struct raft_member *m = &conf->members[i];
        size_t len = strnlen(m->addr, RAFT_ADDR_MAX - 1);

        put_u64(&p, m->id.v);
        put_bytes(&p, m->uuid.b, sizeof(m->uuid.b));
        put_u8(&p, m->voter);
        put_u8(&p, (uint8_t)len);
        put_bytes(&p, m->addr, len);
    }
    return (size_t)(p - buf);
}

static bool read_member(struct reader *in, struct raft_member *m)
{
    uint8_t voter, len;

    m->id.v = get_u64(in);
    get_bytes(in, m->uuid.b, sizeof(m->uuid.b));
    voter = get_u8(in);
    len = get_u8(in);
    if (in->failed || m->id.v == 0 || voter > 1 || len >= RAFT_ADDR_MAX)
        return false;
    m->voter = voter;
    get_bytes(in, m->addr, len);
    return !in->failed && memchr(m->addr, '\0', len) == NULL;
}

int raft_conf_decode(const uint8_t *data, size_t len, struct raft_conf *ret_conf)
{
    struct reader in = {data, data + len, false};
    struct raft_conf conf = {0};

    if (get_u8(&in) != CONF_FORMAT)
        return -EBADMSG;
    conf.count = get_u8(&in);
    if (in.failed || conf.count > RAFT_MEMBERS_MAX)
        return -EBADMSG;
    for (unsigned i = 0; i < conf.count; i++) {
        if (!read_member(&in, &conf.members[i]))
            return -EBADMSG;
        if (i > 0 && conf.members[i].id.v <= conf.members[i - 1].id.v)
            return -EBADMSG;
    }
    if (in.at != in.end)
        return -EBADMSG;
    *ret_conf = conf;
    return 0;
}
