#include "namenode/keys.h"

#include <assert.h>
#include <string.h>

static void put_u64(struct key *k, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        k->b[k->len++] = (uint8_t)(v >> shift);
}

static void put_u32(struct key *k, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        k->b[k->len++] = (uint8_t)(v >> shift);
}

void key_kind(struct key *k, char kind)
{
    k->b[0] = (uint8_t)kind;
    k->len = 1;
}

void key_id64(struct key *k, char kind, uint64_t id)
{
    key_kind(k, kind);
    put_u64(k, id);
}

void key_id32(struct key *k, char kind, uint32_t id)
{
    key_kind(k, kind);
    put_u32(k, id);
}

void key_reply(struct key *k, uint64_t session, uint64_t seq)
{
    key_id64(k, 'R', session);
    put_u64(k, seq);
}

void key_chunk_page(struct key *k, uint64_t ino, uint32_t page)
{
    key_id64(k, 'C', ino);
    put_u32(k, page);
}

void key_link(struct key *k, uint64_t ino, uint64_t parent)
{
    key_id64(k, 'K', ino);
    put_u64(k, parent);
}

void key_pg_chunk(struct key *k, char kind, uint32_t pg, uint64_t chunk_id)
{
    key_id32(k, kind, pg);
    put_u64(k, chunk_id);
}

void key_name(struct key *k, char kind, uint64_t ino, const void *name, size_t len)
{
    assert(len <= NAME_BYTES_MAX);
    key_id64(k, kind, ino);
    if (len > 0)
        memcpy(k->b + k->len, name, len);
    k->len += len;
}

void key_uuid(struct key *k, char kind, const uint8_t uuid[16])
{
    key_kind(k, kind);
    memcpy(k->b + 1, uuid, 16);
    k->len = 17;
}

void key_state(struct key *k)
{
    key_kind(k, 'Z');
    k->b[k->len++] = 's';
}

void key_cluster(struct key *k)
{
    key_kind(k, 'Z');
    k->b[k->len++] = 'c';
}

void key_restored(struct key *k)
{
    key_kind(k, 'Z');
    k->b[k->len++] = 'r';
}

void key_repair(struct key *k)
{
    key_kind(k, 'Z');
    k->b[k->len++] = 'f';
}

uint64_t key_get_u64(const uint8_t *p)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

uint32_t key_get_u32(const uint8_t *p)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 4; i++)
        v = v << 8 | p[i];
    return v;
}
