/* The fixed header of every frame. Fields are written byte by byte, so host order does not matter.
 */
#include "rpc/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/crc32c.h"
#include "common/limits.h"

enum { HEADER_CRC_AT = 28 };

static void put16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

void frame_encode(const struct frame_header *h, uint8_t out[FRAME_HEADER_SIZE])
{
    put32(out, FRAME_MAGIC);
    put16(out + 4, h->type);
    put16(out + 6, h->flags);
    put64(out + 8, h->rpc_id);
    put32(out + 16, h->body_len);
    put32(out + 20, h->data_len);
    put32(out + 24, h->body_crc);
    put32(out + HEADER_CRC_AT, crc32c(out, HEADER_CRC_AT));
}

int frame_decode(const uint8_t in[FRAME_HEADER_SIZE], struct frame_header *ret_header)
{
    struct frame_header h;

    if (get32(in) != FRAME_MAGIC)
        return -EPROTO;
    if (get32(in + HEADER_CRC_AT) != crc32c(in, HEADER_CRC_AT))
        return -EPROTO;

    h.type = get16(in + 4);
    h.flags = get16(in + 6);
    h.rpc_id = get64(in + 8);
    h.body_len = get32(in + 16);
    h.data_len = get32(in + 20);
    h.body_crc = get32(in + 24);
    if (h.body_len > FRAME_BODY_MAX || h.data_len > FRAME_DATA_MAX)
        return -EPROTO;
    if ((h.flags & FRAME_ERROR) && !(h.flags & FRAME_REPLY))
        return -EPROTO;
    if ((h.flags & FRAME_REPLY) && (h.flags & FRAME_ONEWAY))
        return -EPROTO;

    *ret_header = h;
    return 0;
}
