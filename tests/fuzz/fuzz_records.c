/*
 * A record of the metadata store, from a disk that may be damaged: refused, or understood so well
 * that encoding gives it back. The first byte says which kind.
 */
#include <stdlib.h>
#include <string.h>

#include "namenode/records.h"
#include "tests/fuzz/target.h"

#define ROUND_TRIP(type, ...)                                                                      \
    do {                                                                                           \
        static struct type rec;                                                                    \
        if (type##_decode(__VA_ARGS__ data, size, &rec) < 0)                                       \
            return 0;                                                                              \
        len = type##_encode(&rec, out);                                                            \
    } while (0)

static int value(const uint8_t *data, size_t size)
{
    const uint8_t *bytes;
    uint8_t header[VALUE_HEADER_SIZE];
    size_t len;

    value_encode_header(header);
    if (value_decode(data, size, &bytes, &len) < 0)
        return 0;
    if (bytes != data + sizeof(header) || len != size - sizeof(header) ||
        memcmp(data, header, sizeof(header)) != 0)
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t out[REC_BYTES_MAX];
    uint8_t kind;
    size_t len;

    if (size == 0)
        return 0;
    kind = *data++ % 15;
    size--;
    if (kind == 0)
        ROUND_TRIP(inode_rec, 1, );
    else if (kind == 1)
        ROUND_TRIP(dentry_rec, );
    else if (kind == 2)
        ROUND_TRIP(chunk_page, );
    else if (kind == 3)
        ROUND_TRIP(chunk_owner_rec, );
    else if (kind == 4)
        ROUND_TRIP(pg_rec, 1, );
    else if (kind == 5)
        ROUND_TRIP(target_rec, 1, );
    else if (kind == 6)
        ROUND_TRIP(session_rec, 1, );
    else if (kind == 7)
        ROUND_TRIP(fence_rec, 1, );
    else if (kind == 8)
        ROUND_TRIP(namenode_rec, 1, );
    else if (kind == 9)
        ROUND_TRIP(cluster_rec, );
    else if (kind == 10)
        ROUND_TRIP(state_rec, );
    else if (kind == 11)
        ROUND_TRIP(usage_rec, );
    else if (kind == 12)
        ROUND_TRIP(link_rec, );
    else if (kind == 13)
        return value(data, size);
    else
        ROUND_TRIP(repair_rec, );
    if (len != size || memcmp(out, data, size) != 0)
        abort();
    return 0;
}
