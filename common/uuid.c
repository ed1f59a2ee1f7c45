#include "common/uuid.h"

#include <errno.h>
#include <string.h>

#include "common/compiler.h"
#include "common/rng.h"

struct uuid uuid_from_random(const uint8_t random[16])
{
    struct uuid u;

    memcpy(u.b, random, sizeof u.b);
    u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40); /* Version 4, */
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80); /* variant 1. */
    return u;
}

struct uuid uuid_new(void)
{
    uint8_t random[16];

    rng_system_bytes(random, sizeof random);
    return uuid_from_random(random);
}

static bool dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

char *uuid_format(const struct uuid *u, char out[UUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *p = out;

    for (size_t i = 0; i < sizeof u->b; i++) {
        if (dash_before(i))
            *p++ = '-';
        *p++ = digits[u->b[i] >> 4];
        *p++ = digits[u->b[i] & 15];
    }
    *p = '\0';
    return out;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int uuid_parse(const char *text, struct uuid *ret_uuid)
{
    struct uuid u;

    if (strlen(text) != UUID_TEXT_SIZE - 1)
        return -EINVAL;
    for (size_t i = 0; i < sizeof u.b; i++) {
        int high, low;

        if (dash_before(i) && *text++ != '-')
            return -EINVAL;
        high = hex_value(*text++);
        low = hex_value(*text++);
        if (high < 0 || low < 0)
            return -EINVAL;
        u.b[i] = (uint8_t)(high << 4 | low);
    }
    *ret_uuid = u;
    return 0;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool uuid_is_zero(const struct uuid *u)
{
    static const struct uuid zero;

    return uuid_equal(u, &zero);
}
