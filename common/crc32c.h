/* CRC32C (Castagnoli; RFC 3720 B.4), and the only door to ISA-L. Any thread. */
#ifndef COMMON_CRC32C_H
#define COMMON_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t len);

/* Goes on from the CRC of what came before: crc32c_update(0, d, n) == crc32c(d, n). */
uint32_t crc32c_update(uint32_t crc, const void *data, size_t len);

/*
 * One CRC for each block of CHUNK_BLOCK_SIZE (4 KiB), counted from data; the last may be short.
 * ret_crcs has room for crc32c_block_count(len). Gives that count.
 */
size_t crc32c_blocks(const void *data, size_t len, uint32_t *ret_crcs);
size_t crc32c_block_count(size_t len);

/*
 * 0 when each block has its CRC.
 * -EBADMSG  *ret_bad (may be NULL) is the first block that has not
 */
int crc32c_blocks_check(const void *data, size_t len, const uint32_t *crcs, size_t *ret_bad);

/* Of 4,096 zero bytes: CRC table slots are crc ^ this, so that a hole in a file verifies. */
#define CRC32C_ZERO_BLOCK UINT32_C(0x98f94189)

#endif
