/*
 * Runs many schedules of a simulated Raft group.
 *
 *   sim_raft [--seeds A-B]         TAP; without arguments the range of `make check`, 1 to 10000 or
 *                                  to $DFS_SIM_SCHEDULES (a sanitizer makes each ten times slower)
 *   sim_raft --seed N [--trace]    one schedule, told event by event
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/sim_raft.h"

enum {
    BLOCK_SEEDS = 1000,
    REPLAYS = 20,
};

/* For the last words when an assertion of the core ends the process. */
static volatile uint64_t running_seed;

static void tell_seed(int signal_number)
{
    char line[64];
    int len = snprintf(line, sizeof(line), "Bail out! aborted at seed=%" PRIu64 "\n", running_seed);

    (void)signal_number;
    if (len > 0)
        (void)!write(STDOUT_FILENO, line, (size_t)len);
}

static bool run_one(uint64_t seed, bool trace, struct sim_stats *stats, struct sim_result *result)
{
    struct sim_options options = {.seed = seed, .trace = trace};

    running_seed = seed;
    sim_run(&options, stats, result);
    if (result->failed)
        printf("# seed=%" PRIu64 ": %s\n", seed, result->why);
    return !result->failed;
}

static void run_block(unsigned test, uint64_t from, uint64_t to, struct sim_stats *stats,
                      unsigned *failed)
{
    struct sim_result result;
    uint64_t bad = 0;

    for (uint64_t seed = from; seed <= to; seed++)
        bad += !run_one(seed, false, stats, &result);
    printf("%sok %u - seeds %" PRIu64 " to %" PRIu64 " hold I1 to I11 and recover\n",
           bad ? "not " : "", test, from, to);
    (void)fflush(stdout);
    *failed += bad > 0;
}

/* The same seed must give the same run, or a failure could not be looked into. */
static void run_replays(unsigned test, uint64_t from, unsigned *failed)
{
    struct sim_stats stats = {0};
    struct sim_result a, b;
    bool same = true;

    for (uint64_t seed = from; seed < from + REPLAYS; seed++) {
        (void)run_one(seed, false, &stats, &a);
        (void)run_one(seed, false, &stats, &b);
        same &= a.hash == b.hash;
    }
    printf("%sok %u - a seed run twice gives the same run\n", same ? "" : "not ", test);
    *failed += !same;
}

static void check_sometimes(unsigned test, const struct sim_stats *stats, unsigned *failed)
{
#define SIM_CHECK(name, text)                                                                      \
    printf("%sok %u - sometimes: %s (%" PRIu64 ")\n", stats->name > 0 ? "" : "not ", test, text,   \
           stats->name);                                                                           \
    *failed += stats->name == 0;                                                                   \
    test++;
    SIM_SOMETIMES(SIM_CHECK)
#undef SIM_CHECK
}

static int run_range(uint64_t from, uint64_t to, bool sometimes)
{
    struct sim_stats stats = {0};
    unsigned blocks = (unsigned)((to - from) / BLOCK_SEEDS + 1), test = 1, failed = 0;
    unsigned rare = 0;

#define SIM_COUNT(name, text) rare++;
    SIM_SOMETIMES(SIM_COUNT)
#undef SIM_COUNT
    printf("1..%u\n", blocks + 1 + (sometimes ? rare : 0));
    for (uint64_t seed = from; seed <= to; seed += BLOCK_SEEDS, test++) {
        uint64_t last = seed + BLOCK_SEEDS - 1;

        run_block(test, seed, last < to ? last : to, &stats, &failed);
    }
    run_replays(test++, from, &failed);
    if (sometimes)
        check_sometimes(test, &stats, &failed);
    printf("# %" PRIu64 " schedules, %" PRIu64 " events, %.1f hours of virtual time\n",
           to - from + 1, stats.events, (double)stats.virtual_ns / 3.6e12);
    printf("# longest recovery after trouble: %.1f s of virtual time\n",
           (double)stats.recovery_max_ns / 1e9);
    return failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct sim_stats stats = {0};
    struct sim_result result;
    const char *few = getenv("DFS_SIM_SCHEDULES");
    uint64_t from = 1, to = 10000, seed = 0;
    bool trace = false, one = false;

    (void)signal(SIGABRT, tell_seed);
    if (few != NULL)
        to = strtoull(few, NULL, 10);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 10);
            one = true;
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
                   sscanf(argv[i + 1], "%" SCNu64 "-%" SCNu64, &from, &to) == 2 && from <= to) {
            i++;
        } else {
            (void)fprintf(stderr, "usage: sim_raft [--seeds A-B | --seed N [--trace]]\n");
            return 2;
        }
    }
    if (!one)
        return run_range(from, to, to - from >= 9999);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (run_one(seed, trace, &stats, &result))
        printf("# seed=%" PRIu64 " is fine, hash %016" PRIx64 "\n", seed, result.hash);
    return result.failed ? 1 : 0;
}
