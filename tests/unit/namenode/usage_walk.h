/* The counters of every directory against a walk of the whole store, for tests. */
#ifndef TESTS_UNIT_NAMENODE_USAGE_WALK_H
#define TESTS_UNIT_NAMENODE_USAGE_WALK_H

#include <stdint.h>

struct kv;

/* Asserts that U, K and the homes of files say what the names do. Inodes are below next_ino.
 * Returns the number of quotas. */
uint64_t usage_walk_check(struct kv *kv, uint64_t next_ino);

#endif
