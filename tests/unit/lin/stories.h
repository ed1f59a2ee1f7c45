/*
 * Short histories by hand, with what must be said of them. One event a line, in the order of time:
 * the client, then its operation or what it answers, as in a file of tests/lin/README.md. Inode 1 is a
 * directory that is there from the start, and so is 2. A client whose operation has no answer does
 * nothing more.
 */
#ifndef TESTS_UNIT_LIN_STORIES_H
#define TESTS_UNIT_LIN_STORIES_H

#include "tests/lin/lin.h"

struct story {
    const char *name;
    enum lin_verdict verdict;
    const char *events;
};

extern const struct story stories[];
extern const unsigned story_count;

struct lin_history *story_read(const struct story *s);

#endif
