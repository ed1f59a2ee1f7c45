/*
 * Does the simulator find bugs? The core is built with deliberate ones; each must be caught, and
 * how many schedules that takes is told. An assertion of the core that fails catches it too: so
 * each hunt is a process of its own.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim_raft.h"

enum {
    HUNTS = 5,
    SEEDS_MAX = 5000,
};

struct mutant {
    unsigned number;
    const char *name;
};

static const struct mutant mutants[] = {
    {RAFT_MUTANT_VOTE_BEFORE_SYNC, "a vote sent before it is synced"},
    {RAFT_MUTANT_NO_QUARANTINE, "no quarantine after a start"},
    {RAFT_MUTANT_LEASE_IN_TRANSFER, "a lease kept during transfer"},
    {RAFT_MUTANT_COMMIT_OLD_TERM, "entries of older terms committed by count"},
    {RAFT_MUTANT_SKIP_R8, "a log kept that contradicts the snapshot"},
    {RAFT_MUTANT_HEARD_TERM, "entries stamped with a heard-of term"},
    {RAFT_MUTANT_TRUNCATE_SHORT, "a log truncated because a message is shorter"},
    {RAFT_MUTANT_ACK_BEFORE_SYNC, "entries acknowledged before they are synced"},
    {RAFT_MUTANT_COUNT_SELF_EARLY, "a leader that counts itself before its own sync"},
    {RAFT_MUTANT_CONF_EARLY, "a membership changed before the last one is committed"},
    {RAFT_MUTANT_READ_WITHOUT_ROUND, "a read without a round that proves the leader"},
    {RAFT_MUTANT_DAMAGED_VOTES, "a damaged replica that votes"},
    {RAFT_MUTANT_TRUNCATED_IS_DURABLE, "an acknowledgement of what took a truncated entry's place"},
    {RAFT_MUTANT_COMMIT_BEYOND_MESSAGE, "a follower that commits more than the leader compared"},
    {RAFT_MUTANT_LEASE_FROM_ARRIVAL, "a lease from the arrival of the answers"},
    {RAFT_MUTANT_LEASE_OVER_CONF, "a lease of the voters there were"},
    {RAFT_MUTANT_CUT_UNFLUSHED, "a log cut beyond what the state machine has flushed"},
};

struct hunt {
    uint64_t seed; /* The one that runs. */
    char why[256];
};

/* Ends with 1 at the first seed that fails, or as the core's assertion ends it. */
static void hunt_in_child(unsigned mutant, uint64_t from, struct hunt *hunt)
{
    struct sim_stats stats = {0};
    struct sim_result result;
    int null = open("/dev/null", O_WRONLY);

    (void)dup2(null, STDERR_FILENO);
    for (hunt->seed = from; hunt->seed < from + SEEDS_MAX; hunt->seed++) {
        struct sim_options options = {.seed = hunt->seed, .mutant = mutant};

        (void)snprintf(hunt->why, sizeof(hunt->why), "an assertion of the core");
        sim_run(&options, &stats, &result);
        if (result.failed) {
            (void)snprintf(hunt->why, sizeof(hunt->why), "%s", result.why);
            _exit(1);
        }
    }
    _exit(0);
}

/* How many seeds from there on until it is caught; 0: it is not. */
static uint64_t run_hunt(unsigned mutant, uint64_t from, struct hunt *hunt)
{
    int status = 0;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0)
        hunt_in_child(mutant, from, hunt);
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

static bool run_mutant(unsigned test, const struct mutant *m, struct hunt *hunt)
{
    uint64_t taken[HUNTS], from = 1;
    bool caught = true;

    for (unsigned i = 0; i < HUNTS && caught; i++) {
        taken[i] = run_hunt(m->number, from, hunt);
        caught = taken[i] > 0;
        from += taken[i];
        if (caught && i == 0)
            printf("# seed=%" PRIu64 ": %s\n", hunt->seed, hunt->why);
    }
    if (!caught) {
        printf("not ok %u - %s is not caught in %u seeds\n", test, m->name, (unsigned)SEEDS_MAX);
        return false;
    }
    qsort(taken, HUNTS, sizeof(taken[0]), by_size);
    printf("ok %u - %s is caught (median of %u hunts: %" PRIu64 " seeds)\n", test, m->name,
           (unsigned)HUNTS, taken[HUNTS / 2]);
    return true;
}

int main(void)
{
    unsigned count = sizeof(mutants) / sizeof(mutants[0]), failed = 0;
    struct hunt *hunt =
        mmap(NULL, sizeof(*hunt), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (hunt == MAP_FAILED) {
        printf("Bail out! no shared memory\n");
        return 1;
    }
    printf("1..%u\n", count);
    for (unsigned i = 0; i < count; i++)
        failed += !run_mutant(i + 1, &mutants[i], hunt);
    return failed ? 1 : 0;
}
