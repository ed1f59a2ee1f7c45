/* Little-endian integers in byte strings, at any alignment: for what is written to disk. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline void put_le16(uint8_t *out, uint16_t v)
{
    v = htole16(v);
    memcpy(out, &v, sizeof(v));
}

static inline void put_le32(uint8_t *out, uint32_t v)
{
    v = htole32(v);
    memcpy(out, &v, sizeof(v));
}

static inline void put_le64(uint8_t *out, uint64_t v)
{
    v = htole64(v);
    memcpy(out, &v, sizeof(v));
}

static inline uint16_t get_le16(const uint8_t *in)
{
    uint16_t v;

    memcpy(&v, in, sizeof(v));
    return le16toh(v);
}

static inline uint32_t get_le32(const uint8_t *in)
{
    uint32_t v;

    memcpy(&v, in, sizeof(v));
    return le32toh(v);
}

static inline uint64_t get_le64(const uint8_t *in)
{
    uint64_t v;

    memcpy(&v, in, sizeof(v));
    return le64toh(v);
}

/* Magic numbers are three letters and a digit, the version of what follows: it is ours but for that. */
static inline bool is_other_version(uint32_t magic, uint32_t ours)
{
    return magic != ours && ((magic ^ ours) & 0xffffff) == 0 && magic >> 24 >= '1' &&
           magic >> 24 <= '9';
}

#endif
