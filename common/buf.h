/*
 * Bytes that grow at the end and are consumed at the front. One thread at a time. Zeroed memory is
 * an empty buffer. Memory is never short (common/mem.h).
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct buf {
    uint8_t *data; /* first byte not consumed; NULL or not when len is 0 */
    size_t len;
    /* Private. */
    uint8_t *base;
    size_t cap;
};

void buf_init(struct buf *b);
/* Frees the bytes; empty and usable again. */
void buf_done(struct buf *b);
#define CLEANUP_BUF __attribute__((cleanup(buf_done)))

void buf_append(struct buf *b, const void *bytes, size_t len);
void buf_append_u8(struct buf *b, uint8_t v);
/* Text without its NUL. */
void buf_append_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Room for at least len more bytes: write there, then buf_commit() what was written. */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

/* Drops len <= b->len bytes at the front. Memory is kept. */
void buf_consume(struct buf *b, size_t len);
void buf_clear(struct buf *b);

/* The bytes, NUL-terminated (not counted in len), for free(). The buffer is empty afterwards. */
char *buf_take(struct buf *b);

#endif
