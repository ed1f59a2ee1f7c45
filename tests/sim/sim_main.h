/* What the programs that run schedules have in common: their arguments, and what they print. */
#ifndef SIM_MAIN_H
#define SIM_MAIN_H

#include "tests/sim/sim_raft.h"

struct sim_program {
    const char *name;
    const char *holds; /* what is checked, for people */
    const struct sim_machine *machine;
    bool has_namenodes;
    uint64_t schedules; /* of `make check` */
    uint64_t block;     /* seeds per line of output */
};

/*
 *   --seeds A-B                   TAP; without arguments the range of `make check`, 1 to `schedules`
 *                                 or to $DFS_SIM_SCHEDULES of each 10,000 (a sanitizer makes them ten
 *                                 times slower)
 *   --seconds S                   ends after the block of seeds in which so much time is over
 *   --twice                       each seed twice: both runs must be the same, event by event
 *   --seed N [--trace]            one schedule, told event by event
 */
int sim_main(int argc, char **argv, const struct sim_program *program);

/* Deliberate bugs: each must be caught, by an assertion or a check. */
struct sim_mutant {
    unsigned number;    /* of the core, or 0 */
    unsigned nn_number; /* of the namenode, or 0 */
    bool slow;          /* takes too many schedules for `make check` */
    const char *name;
};

/*
 * Hunts each mutant that is not slow, and prints the table. [--hunts N]: the slow ones too, and each so
 * many times, to give the median of how many schedules it takes; hunts is what it is without that.
 * [--only K]: the Kth alone. 0, or 1 if one was not caught.
 */
int sim_hunt_main(int argc, char **argv, const struct sim_machine *machine,
                  const struct sim_mutant *mutants, unsigned count, unsigned hunts);

#endif
