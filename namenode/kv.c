/* The bytes of a batch: alike for every kv, so that the state hash does not depend on which. */
#include "namenode/kv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum { CHANGE_HEADER = 9 };

void kv_batch_init(struct kv_batch *b)
{
    *b = (struct kv_batch){0};
}

void kv_batch_done(struct kv_batch *b)
{
    free(b->data);
    *b = (struct kv_batch){0};
}

void kv_batch_clear(struct kv_batch *b)
{
    b->len = 0;
    b->count = 0;
}

static uint8_t *append(struct kv_batch *b, enum kv_op op, const void *key, size_t key_len,
                       size_t value_len)
{
    size_t need = b->len + CHANGE_HEADER + key_len + value_len;
    uint8_t *p;

    assert(key_len <= UINT32_MAX && value_len <= UINT32_MAX);
    if (need > b->cap) {
        b->cap = MAX(need, b->cap * 2);
        b->data = mem_realloc(b->data, b->cap, 1);
    }
    p = b->data + b->len;
    *p++ = (uint8_t)op;
    for (unsigned i = 0; i < 4; i++)
        *p++ = (uint8_t)(key_len >> (8 * i));
    for (unsigned i = 0; i < 4; i++)
        *p++ = (uint8_t)(value_len >> (8 * i));
    memcpy(p, key, key_len);
    b->len = need;
    b->count++;
    return p + key_len;
}

size_t kv_batch_put(struct kv_batch *b, const void *key, size_t key_len, const void *value,
                    size_t value_len)
{
    uint8_t *p = append(b, KV_PUT, key, key_len, value_len);

    if (value_len > 0)
        memcpy(p, value, value_len);
    return (size_t)(p - b->data);
}

void kv_batch_delete(struct kv_batch *b, const void *key, size_t key_len)
{
    (void)append(b, KV_DELETE, key, key_len, 0);
}

bool kv_batch_next(const struct kv_batch *b, size_t *pos, struct kv_change *ret_change)
{
    const uint8_t *p = b->data + *pos;
    uint32_t key_len = 0, value_len = 0;

    if (*pos >= b->len)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        key_len |= (uint32_t)p[1 + i] << (8 * i);
        value_len |= (uint32_t)p[5 + i] << (8 * i);
    }
    *ret_change = (struct kv_change){
        .op = (enum kv_op)p[0],
        .key = p + CHANGE_HEADER,
        .key_len = key_len,
        .value = p + CHANGE_HEADER + key_len,
        .value_len = value_len,
    };
    *pos += CHANGE_HEADER + (size_t)key_len + value_len;
    return true;
}
