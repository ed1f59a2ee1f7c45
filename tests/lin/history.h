/* What a history is made of, for the files of this folder. */
#ifndef TESTS_LIN_HISTORY_H
#define TESTS_LIN_HISTORY_H

#include "tests/lin/lin.h"

struct lin_event {
    struct lin_op op;
    uint64_t called, returned;
    bool has_return;
    struct lin_result result; /* entries: owned */
    unsigned number;          /* of this operation among those of its client, from 0 */
};

struct lin_history {
    struct lin_event *events;
    unsigned count, room;
    unsigned unknown;
    uint64_t *roots;
    unsigned root_count;
};

/* "create 17 a", and "ok 18" or "EEXIST" or "unknown", as in the file. */
void lin_print_op(const struct lin_op *op, FILE *file);
void lin_print_result(const struct lin_event *e, FILE *file);

#endif
