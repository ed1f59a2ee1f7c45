#include "common/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum { BUF_CAP_MIN = 256, PRINTF_ROOM = 128 };

void buf_init(struct buf *b)
{
    *b = (struct buf){0};
}

void buf_done(struct buf *b)
{
    free(b->base);
    *b = (struct buf){0};
}

uint8_t *buf_reserve(struct buf *b, size_t len)
{
    size_t front = b->base == NULL ? 0 : (size_t)(b->data - b->base);
    size_t cap;

    if (b->base != NULL && front + b->len + len <= b->cap)
        return b->data + b->len;

    /* Move to the front when that frees enough to be worth the copy; otherwise grow by half. */
    if (b->base != NULL && b->len + len <= b->cap && front >= b->len) {
        memmove(b->base, b->data, b->len);
        b->data = b->base;
        return b->data + b->len;
    }
    cap = MAX(b->cap + b->cap / 2, (size_t)BUF_CAP_MIN);
    cap = MAX(cap, b->len + len);
    if (front > 0)
        memmove(b->base, b->data, b->len);
    b->base = mem_realloc(b->base, cap, 1);
    b->data = b->base;
    b->cap = cap;
    return b->data + b->len;
}

void buf_commit(struct buf *b, size_t len)
{
    assert(len == 0 || (b->base != NULL && (size_t)(b->data - b->base) + b->len + len <= b->cap));
    b->len += len;
}

void buf_append(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(b, len), bytes, len);
    b->len += len;
}

void buf_append_u8(struct buf *b, uint8_t v)
{
    *buf_reserve(b, 1) = v;
    b->len++;
}

void buf_append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    size_t room = PRINTF_ROOM;
    va_list ap;

    for (;;) {
        char *at = (char *)buf_reserve(b, room);
        int n;

        va_start(ap, fmt);
        n = vsnprintf(at, room, fmt, ap);
        va_end(ap);
        assert(n >= 0);
        if ((size_t)n < room) {
            b->len += (size_t)n;
            return;
        }
        room = (size_t)n + 1;
    }
}

void buf_consume(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len -= len;
    if (b->len == 0)
        b->data = b->base;
    else
        b->data += len;
}

void buf_clear(struct buf *b)
{
    buf_consume(b, b->len);
}

char *buf_take(struct buf *b)
{
    char *text;

    *buf_reserve(b, 1) = '\0';
    if (b->data != b->base)
        memmove(b->base, b->data, b->len + 1);
    text = (char *)b->base;
    *b = (struct buf){0};
    return text;
}
