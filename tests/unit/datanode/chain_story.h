/* Steps that the stories of test_chain.c share. */
#ifndef TESTS_UNIT_DATANODE_CHAIN_STORY_H
#define TESTS_UNIT_DATANODE_CHAIN_STORY_H

#include "tests/sim/box.h"

/* A box with two clients and this configuration, which all members know. */
struct box *box_with(unsigned members, const char *config);
/* Nothing is violated, now that nothing moves. */
void assert_sound(struct box *b);
/* Moves until this member has the operation on its disk. */
void run_until_applied(struct box *b, int op, int member);
/* All messages that are on their way from one member to another arrive. */
void deliver_all(struct box *b, int from, int to);
void ask_head(struct box *b, int op, int member);

#endif
