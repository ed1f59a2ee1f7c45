#include "common/strutil.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/mem.h"

char *str_size(uint64_t bytes, char out[STR_SIZE_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    size_t unit = 0;

    while (v >= 1023.95 && unit + 1 < ARRAY_COUNT(units)) {
        v /= 1024;
        unit++;
    }
    (void)snprintf(out, STR_SIZE_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", v, units[unit]);
    return out;
}

char *str_duration(uint64_t ms, char out[STR_SIZE_MAX])
{
    uint64_t s = ms / 1000;

    if (ms < 1000)
        (void)snprintf(out, STR_SIZE_MAX, "%" PRIu64 " ms", ms);
    else if (s < 60)
        (void)snprintf(out, STR_SIZE_MAX, "%" PRIu64 ".%" PRIu64 " s", s, ms % 1000 / 100);
    else if (s < 3600)
        (void)snprintf(out, STR_SIZE_MAX, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else if (s < 2 * 86400)
        (void)snprintf(out, STR_SIZE_MAX, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
    else
        (void)snprintf(out, STR_SIZE_MAX, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
    return out;
}

/*
 * A decimal number with an optional fraction, as a count of 1/10^9: "1.5" is 1 and 500,000,000.
 * Leaves *text at the first character after it.
 */
static int parse_number(const char **text, uint64_t *ret_whole, uint64_t *ret_nano)
{
    const char *p = *text;
    uint64_t whole = 0, nano = 0, unit = 100000000;

    if (*p < '0' || *p > '9')
        return -EINVAL;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return -ERANGE;
    }
    if (*p == '.') {
        p++;
        if (*p < '0' || *p > '9')
            return -EINVAL;
        for (; *p >= '0' && *p <= '9'; p++, unit /= 10)
            nano += (uint64_t)(*p - '0') * unit;
    }
    *text = p;
    *ret_whole = whole;
    *ret_nano = nano;
    return 0;
}

static int scale(uint64_t whole, uint64_t nano, uint64_t factor, uint64_t *ret_value)
{
    unsigned __int128 v = (unsigned __int128)whole * factor;

    v += (unsigned __int128)nano * factor / 1000000000;
    if (v > UINT64_MAX)
        return -ERANGE;
    *ret_value = (uint64_t)v;
    return 0;
}

int str_parse_size(const char *text, uint64_t *ret_bytes)
{
    static const char letters[] = "kmgtpe";
    uint64_t whole, nano, factor = 1;
    int r = parse_number(&text, &whole, &nano);

    if (r < 0)
        return r;
    while (*text == ' ')
        text++;
    for (unsigned i = 0; letters[i] != '\0'; i++) {
        if ((*text | 0x20) == letters[i]) {
            factor = UINT64_C(1) << (10 * (i + 1));
            text++;
            if (*text == 'i' || *text == 'I')
                text++;
            break;
        }
    }
    if (*text == 'b' || *text == 'B')
        text++;
    if (*text != '\0' || (factor == 1 && nano != 0))
        return -EINVAL;
    return scale(whole, nano, factor, ret_bytes);
}

int str_parse_duration_ms(const char *text, uint64_t *ret_ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000},
    };
    uint64_t whole, nano;
    int r = parse_number(&text, &whole, &nano);

    if (r < 0)
        return r;
    while (*text == ' ')
        text++;
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (strcasecmp(text, units[i].name) == 0)
            return scale(whole, nano, units[i].ms, ret_ms);
    }
    if (*text == '\0' && whole == 0 && nano == 0) {
        *ret_ms = 0;
        return 0;
    }
    return -EINVAL;
}

int str_parse_u64(const char *text, uint64_t *ret_value)
{
    uint64_t whole, nano;
    const char *p = text;
    int r = parse_number(&p, &whole, &nano);

    if (r < 0)
        return r;
    if (*p != '\0' || strchr(text, '.') != NULL)
        return -EINVAL;
    *ret_value = whole;
    return 0;
}

int str_parse_addr(const char *text, char *host, size_t host_size, uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    const char *begin = text;
    size_t len;
    uint64_t port;

    if (colon == NULL || str_parse_u64(colon + 1, &port) < 0 || port > UINT16_MAX)
        return -EINVAL;
    len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        begin++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return -EINVAL; /* Which colon is the port's? */
    }
    if (len == 0 || len >= host_size)
        return -EINVAL;
    memcpy(host, begin, len);
    host[len] = '\0';
    *ret_port = (uint16_t)port;
    return 0;
}

char *str_full_addr(const char *text, uint16_t default_port)
{
    char host[ADDR_TEXT_MAX];
    uint16_t port;
    char *full;

    if (strpbrk(text, " \t/") != NULL)
        return NULL;
    if (str_parse_addr(text, host, sizeof(host), &port) == 0)
        return port != 0 && strlen(text) < ADDR_TEXT_MAX ? mem_strdup(text) : NULL;
    full = mem_printf("%s:%u", text, (unsigned)default_port);
    if (strlen(full) < ADDR_TEXT_MAX && str_parse_addr(full, host, sizeof(host), &port) == 0)
        return full;
    free(full);
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

char *str_full_addrs(const char *list, uint16_t default_port, unsigned max, char *err,
                     size_t err_size)
{
    char *full = mem_strdup("");
    unsigned count = 0;

    for (const char *p = list, *end;; p = end + 1) {
        size_t len = strcspn(p, ",");
        char *item, *addr, *longer;

        end = p + len;
        while (len > 0 && is_blank(p[0])) {
            p++;
            len--;
        }
        while (len > 0 && is_blank(p[len - 1]))
            len--;
        item = mem_memdup(p, len);
        addr = str_full_addr(item, default_port);
        if (addr == NULL || ++count > max) {
            if (addr == NULL)
                (void)snprintf(err, err_size, "\"%s\" is not of the form host or host:port", item);
            else
                (void)snprintf(err, err_size, "there are more than %u", max);
            free(addr);
            free(item);
            free(full);
            return NULL;
        }
        longer = mem_printf("%s%s%s", full, count > 1 ? "," : "", addr);
        free(addr);
        free(item);
        free(full);
        full = longer;
        if (*end == '\0')
            return full;
    }
}

char *str_path_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);

    return mem_printf("%s%s%s", dir, len > 0 && dir[len - 1] == '/' ? "" : "/", name);
}

bool str_has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}
