/* Aborting allocation. */
#include "common/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

static void *checked(void *p, size_t size)
{
    if (p == NULL) {
        log_error("out of memory", "bytes=%zu", size);
        abort();
    }
    return p;
}

/* malloc(0) may be NULL; ours never is. */
static size_t at_least_one(size_t size)
{
    return size == 0 ? 1 : size;
}

static size_t product(size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        (void)checked(NULL, SIZE_MAX);
    return at_least_one(bytes);
}

void *mem_alloc(size_t size)
{
    return checked(malloc(at_least_one(size)), size);
}

void *mem_zalloc(size_t count, size_t size)
{
    return checked(calloc(1, product(count, size)), count * size);
}

void *mem_realloc(void *p, size_t count, size_t size)
{
    return checked(realloc(p, product(count, size)), count * size);
}

char *mem_strdup(const char *s)
{
    return mem_memdup(s, strlen(s));
}

char *mem_memdup(const void *data, size_t len)
{
    char *copy = mem_alloc(len + 1);

    if (len > 0)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *text;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return checked(n < 0 ? NULL : text, 0);
}
