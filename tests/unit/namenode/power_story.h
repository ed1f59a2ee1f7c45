/*
 * A replica's life under power failures, and what must be left of it; see power_story.c. For the test
 * of it, and the test of that test.
 */
#ifndef TESTS_UNIT_NAMENODE_POWER_STORY_H
#define TESTS_UNIT_NAMENODE_POWER_STORY_H

#include <stddef.h>
#include <stdint.h>

#include "common/rng.h"
#include "tests/shim/powerlog.h"

enum { POWER_ENTRIES = 240 };

/* What the replica has said on its way. */
struct power_marks {
    uint64_t durable, flushed, swapped;
    uint64_t hashes[POWER_ENTRIES + 1]; /* of the store at each index */
};

/* The life itself, in a process whose calls are recorded. The exit status. */
int power_live(const char *path);

/* Runs this program again, recorded, with the arguments life and variant (NULL: none), which is to call
 * power_live(life). The record is dir/calls. */
int power_record(const char *dir, const char *life, const char *variant);

void power_on_mark(void *ctx, const char *text);

/* A power failure after so many calls, after which unsynced names outside of the stores may survive in
 * any order; what is wrong then is asserted. */
void power_cut_at(const struct powerlog *log, size_t count, struct rng *rng, bool names_any,
                  const char *life, const struct power_marks *all);

#endif
