/*
 * Replicas compared: what each serving target says it holds of a placement group, side by side.
 * Pure: inventories in, differences out.
 */
#ifndef SHELL_REPLICAS_H
#define SHELL_REPLICAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPLICA_MEMBERS_MAX = 8 };

struct replica_item {
    uint64_t chunk, digest;
    uint32_t len;
    bool bad; /* a block fails its CRC */
};

/* What one target holds, by chunk id, without deleted chunks. */
struct replica_list {
    uint32_t target;
    struct replica_item *items;
    size_t count;
};

struct replica_difference {
    uint64_t chunk;
    unsigned member_count;
    struct {
        uint32_t target;
        bool present;
        struct replica_item item;
    } members[REPLICA_MEMBERS_MAX];
};

/* Calls `differs` for each chunk that is not the same, whole and intact everywhere. */
void replicas_compare(const struct replica_list *lists, unsigned list_count,
                      void (*differs)(void *ctx, const struct replica_difference *d), void *ctx);

#endif
