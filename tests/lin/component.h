/*
 * A history cut into what can be checked apart, and one such part made ready for the search: its
 * inodes and names as small numbers, its operations by the time of their return.
 */
#ifndef TESTS_LIN_COMPONENT_H
#define TESTS_LIN_COMPONENT_H

#include "tests/lin/history.h"
#include "tests/lin/model.h"

/* Events of the history, those of one component side by side. */
struct partition {
    unsigned *events;
    unsigned *starts; /* of each component in events, and the end of the last */
    unsigned count;
};
void partition_init(struct partition *p, const struct lin_history *h, enum lin_mutant mutant);
void partition_done(struct partition *p);

struct component {
    struct model model;
    struct model_state start;
    unsigned count;
    unsigned answered; /* the first so many; by time of return */
    struct model_op ops[LIN_OPS_MAX];
    uint64_t called[LIN_OPS_MAX], returned[LIN_OPS_MAX]; /* UINT64_MAX: never */
    unsigned event[LIN_OPS_MAX];
    struct model_listed *listed;
};

/*
 * Only what had been called by the time `until`, and only the returns until then. False: larger than
 * the limits of lin.h. component_done() in any case.
 */
bool component_init(struct component *c, const struct lin_history *h, const unsigned *events,
                    unsigned count, uint64_t until, enum lin_mutant mutant);
void component_done(struct component *c);

#endif
