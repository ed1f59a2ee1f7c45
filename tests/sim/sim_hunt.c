/* An assertion that fails catches a mutant too: so each hunt is a process of its own. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim_main.h"

enum { SEEDS_MAX = 5000, HUNTS_MAX = 25 };

struct hunt {
    const struct sim_machine *machine;
    uint64_t seed; /* The one that runs. */
    char why[256];
};

/* Ends with 1 at the first seed that fails, or as the core's assertion ends it. */
static void hunt_in_child(const struct sim_mutant *m, uint64_t from, struct hunt *hunt)
{
    struct sim_stats stats = {0};
    struct sim_result result;
    int null = open("/dev/null", O_WRONLY);

    (void)dup2(null, STDERR_FILENO);
    for (hunt->seed = from; hunt->seed < from + SEEDS_MAX; hunt->seed++) {
        struct sim_options options = {.seed = hunt->seed,
                                      .machine = hunt->machine,
                                      .mutant = m->number,
                                      .nn_mutant = m->nn_number};

        (void)snprintf(hunt->why, sizeof(hunt->why), "an assertion");
        sim_run(&options, &stats, &result);
        if (result.failed) {
            (void)snprintf(hunt->why, sizeof(hunt->why), "%s", result.why);
            _exit(1);
        }
    }
    _exit(0);
}

/* How many seeds from there on until it is caught; 0: it is not. */
static uint64_t run_hunt(const struct sim_mutant *m, uint64_t from, struct hunt *hunt)
{
    int status = 0;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0)
        hunt_in_child(m, from, hunt);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return hunt->seed - from + 1;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool run_mutant(unsigned test, const struct sim_mutant *m, unsigned hunts, struct hunt *hunt)
{
    uint64_t taken[HUNTS_MAX], from = 1;
    bool caught = true;

    for (unsigned i = 0; i < hunts && caught; i++) {
        taken[i] = run_hunt(m, from, hunt);
        caught = taken[i] > 0;
        from += taken[i];
        if (caught && i == 0)
            printf("# seed=%" PRIu64 ": %s\n", hunt->seed, hunt->why);
    }
    if (!caught) {
        printf("not ok %u - %s is not caught in %u seeds\n", test, m->name, (unsigned)SEEDS_MAX);
        return false;
    }
    qsort(taken, hunts, sizeof(taken[0]), by_size);
    printf("ok %u - %s is caught (median of %u hunts: %" PRIu64 " seeds)\n", test, m->name, hunts,
           taken[hunts / 2]);
    return true;
}

int sim_hunt_main(int argc, char **argv, const struct sim_machine *machine,
                  const struct sim_mutant *mutants, unsigned count, unsigned hunts)
{
    struct hunt *hunt =
        mmap(NULL, sizeof(*hunt), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned failed = 0, only = 0, test = 0;
    bool all = false;

    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned value = (unsigned)strtoul(argv[i + 1], NULL, 10);

        all = true;
        if (strcmp(argv[i], "--hunts") == 0)
            hunts = value;
        else if (strcmp(argv[i], "--only") == 0)
            only = value;
    }
    if (hunt == MAP_FAILED || hunts == 0 || hunts > HUNTS_MAX) {
        printf("Bail out! no shared memory, or not 1 to %u hunts\n", (unsigned)HUNTS_MAX);
        return 1;
    }
    hunt->machine = machine;
    for (unsigned i = 0; i < count; i++) {
        if (only == i + 1 || (only == 0 && (all || !mutants[i].slow)))
            failed += !run_mutant(++test, &mutants[i], hunts, hunt);
    }
    printf("1..%u\n", test);
    return failed ? 1 : 0;
}
