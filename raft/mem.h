/*
 * Memory for the core. A step is never half done: a replica that cannot get these few bytes ends
 * here, which the group survives, rather than carry an error path through every rule.
 */
#ifndef RAFT_MEM_H
#define RAFT_MEM_H

#include <stddef.h>

/* Zeroed; never NULL. */
void *raft_alloc(size_t count, size_t size);

/* Makes room for one more element in a grown array: new *items, *cap doubled when full. */
void *raft_grow(void *items, size_t count, size_t *cap, size_t size);

#endif
