/*
 * Histories by chance. Right ones: several clients, each operation done by the model at some moment
 * between its call and its return. And such with one answer changed.
 */
#ifndef TESTS_UNIT_LIN_RANDOM_HISTORY_H
#define TESTS_UNIT_LIN_RANDOM_HISTORY_H

#include "common/rng.h"
#include "tests/lin/lin.h"

struct random_plan {
    unsigned clients, ops, names;
    unsigned lost_percent; /* of the operations have no answer; half of those are never done */
};

struct lin_history *random_history(struct rng *rng, const struct random_plan *plan);

/* A copy with one answer made another; what is sure to be no answer of a file system is not chosen. */
struct lin_history *random_change(struct rng *rng, const struct lin_history *h);

#endif
