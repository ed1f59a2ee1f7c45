/*
 * 64-bit hashes (XXH3) for state, snapshots and placement: the same on every machine, not for
 * secrets. The only door to xxHash.
 */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

uint64_t hash64(const void *data, size_t len, uint64_t seed);

/* The same over bytes that come in pieces. */
struct hash64_stream;
struct hash64_stream *hash64_stream_new(uint64_t seed);
void hash64_stream_free(struct hash64_stream *h);
DEFINE_CLEANUP(hash64_stream, hash64_stream_free)
void hash64_stream_add(struct hash64_stream *h, const void *data, size_t len);
/* Of all that was added so far; adding may go on. */
uint64_t hash64_stream_value(const struct hash64_stream *h);

#endif
