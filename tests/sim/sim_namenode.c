/* Runs many schedules of simulated namenodes and their clients, see sim_main.h. */
#include "common/log.h"
#include "tests/sim/sim_main.h"

int main(int argc, char **argv)
{
    static const struct sim_program program = {
        .name = "sim_namenode",
        .holds = "hold I1 to I16 (of I14 what clients see) and recover",
        .machine = &sim_namenodes,
        .has_namenodes = true,
        .schedules = 200,
        .block = 50,
    };

    log_init("sim_namenode", LOG_LEVEL_NONE); /* Damage is told of, and happens often. */
    return sim_main(argc, argv, &program);
}
