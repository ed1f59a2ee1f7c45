#include "common/hash.h"

#include <stdlib.h>

#include <xxhash.h>

#include "common/mem.h"

struct hash64_stream {
    XXH3_state_t *state;
};

uint64_t hash64(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

struct hash64_stream *hash64_stream_new(uint64_t seed)
{
    struct hash64_stream *h = MEM_NEW(struct hash64_stream);

    h->state = XXH3_createState();
    if (h->state == NULL)
        (void)mem_alloc(SIZE_MAX); /* Says so and aborts. */
    (void)XXH3_64bits_reset_withSeed(h->state, seed);
    return h;
}

void hash64_stream_free(struct hash64_stream *h)
{
    if (h == NULL)
        return;
    (void)XXH3_freeState(h->state);
    free(h);
}

void hash64_stream_add(struct hash64_stream *h, const void *data, size_t len)
{
    (void)XXH3_64bits_update(h->state, data, len);
}

uint64_t hash64_stream_value(const struct hash64_stream *h)
{
    return XXH3_64bits_digest(h->state);
}
