#include "common/crc32c.h"

#include <errno.h>
#include <limits.h>

#include <isa-l/crc.h>

#include "common/compiler.h"
#include "common/limits.h"

uint32_t crc32c_update(uint32_t crc, const void *data, size_t len)
{
    /* ISA-L takes a pointer that isn't const, though it only reads, and does neither the inversion
     * before nor the one after that make CRC32C what the RFC says. */
    unsigned char *p = (unsigned char *)(uintptr_t)data;

    crc = ~crc;
    while (len > 0) {
        size_t n = MIN(len, (size_t)1 << 30);

        crc = crc32_iscsi(p, (int)n, crc);
        p += n;
        len -= n;
    }
    return ~crc;
}

uint32_t crc32c(const void *data, size_t len)
{
    return crc32c_update(0, data, len);
}

size_t crc32c_block_count(size_t len)
{
    return len / CHUNK_BLOCK_SIZE + (len % CHUNK_BLOCK_SIZE != 0);
}

size_t crc32c_blocks(const void *data, size_t len, uint32_t *ret_crcs)
{
    const uint8_t *p = data;
    size_t count = crc32c_block_count(len);

    for (size_t i = 0; i < count; i++) {
        size_t n = MIN(len, (size_t)CHUNK_BLOCK_SIZE);

        ret_crcs[i] = crc32c(p, n);
        p += n;
        len -= n;
    }
    return count;
}

int crc32c_blocks_check(const void *data, size_t len, const uint32_t *crcs, size_t *ret_bad)
{
    const uint8_t *p = data;

    for (size_t i = 0; len > 0; i++) {
        size_t n = MIN(len, (size_t)CHUNK_BLOCK_SIZE);

        if (crc32c(p, n) != crcs[i]) {
            if (ret_bad != NULL)
                *ret_bad = i;
            return -EBADMSG;
        }
        p += n;
        len -= n;
    }
    return 0;
}
