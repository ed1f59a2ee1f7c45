/* Random 128-bit names (RFC 4122 version 4) for clusters, targets, clients and data directories. */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include <stdbool.h>
#include <stdint.h>

enum { UUID_TEXT_SIZE = 37 }; /* with the NUL */

struct uuid {
    uint8_t b[16];
};

/* From the kernel's randomness. */
struct uuid uuid_new(void);
/* From 16 random bytes (the simulator's). */
struct uuid uuid_from_random(const uint8_t random[16]);
/* "8-4-4-4-12" in lower case. Gives out. */
char *uuid_format(const struct uuid *u, char out[UUID_TEXT_SIZE]);
/*
 * Either case.
 * -EINVAL  not of that form
 */
int uuid_parse(const char *text, struct uuid *ret_uuid);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_zero(const struct uuid *u);

#endif
