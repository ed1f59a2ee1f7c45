/* Little-endian bytes. Writing trusts its caller's sizes; reading trusts nothing. */
#ifndef RAFT_BYTES_H
#define RAFT_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline void put_u8(uint8_t **p, uint8_t v)
{
    *(*p)++ = v;
}

static inline void put_u32(uint8_t **p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        *(*p)++ = (uint8_t)(v >> (8 * i));
}

static inline void put_u64(uint8_t **p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        *(*p)++ = (uint8_t)(v >> (8 * i));
}

static inline void put_bytes(uint8_t **p, const void *data, size_t len)
{
    if (len > 0)
        memcpy(*p, data, len);
    *p += len;
}

/* After the first read beyond the end all reads give zeros and failed stays set. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline const uint8_t *get_span(struct reader *in, size_t len)
{
    const uint8_t *p = in->at;

    if (in->failed || (size_t)(in->end - in->at) < len) {
        in->failed = true;
        return NULL;
    }
    in->at += len;
    return p;
}

static inline uint64_t get_uint(struct reader *in, unsigned bytes)
{
    const uint8_t *p = get_span(in, bytes);
    uint64_t v = 0;

    for (unsigned i = 0; p != NULL && i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline uint8_t get_u8(struct reader *in)
{
    return (uint8_t)get_uint(in, 1);
}

static inline uint32_t get_u32(struct reader *in)
{
    return (uint32_t)get_uint(in, 4);
}

static inline uint64_t get_u64(struct reader *in)
{
    return get_uint(in, 8);
}

static inline void get_bytes(struct reader *in, void *out, size_t len)
{
    const uint8_t *p = get_span(in, len);

    if (p != NULL && len > 0)
        memcpy(out, p, len);
}

#endif
