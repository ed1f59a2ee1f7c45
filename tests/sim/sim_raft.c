/* Runs many schedules of a simulated Raft group, see sim_main.h. */
#include "tests/sim/sim_main.h"

int main(int argc, char **argv)
{
    static const struct sim_program program = {
        .name = "sim_raft",
        .holds = "hold I1 to I11 and recover",
        .machine = &sim_toy,
        .schedules = 10000,
        .block = 1000,
    };

    return sim_main(argc, argv, &program);
}
