#include "tests/sim/sim_main.h"
#include "tests/sim/last_words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REPLAYS = 20 };

struct run {
    const struct sim_program *program;
    uint64_t from, to, seed;
    unsigned seconds; /* 0: no limit */
    bool one, trace, twice, whole;
    bool dies; /* At that seed, of that signal: a test of the last words. */
    uint64_t dies_at;
    int dies_of;
    struct sim_stats stats;
    unsigned test, failed;
};

static bool run_one(struct run *run, uint64_t seed, struct sim_result *result)
{
    struct sim_options options = {
        .seed = seed, .machine = run->program->machine, .trace = run->trace};

    last_words_seed(seed);
    if (run->dies && seed == run->dies_at)
        last_words_try(run->dies_of);
    sim_run(&options, &run->stats, result);
    if (result->failed)
        printf("# seed=%" PRIu64 ": %s\n", seed, result->why);
    return !result->failed;
}

static void tell(struct run *run, bool ok, const char *text)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++run->test, text);
    (void)fflush(stdout);
    run->failed += !ok;
}

/* The same seed must give the same run, or a failure could not be looked into. */
static bool is_same_again(struct run *run, uint64_t seed, const struct sim_result *first)
{
    struct sim_result again;

    (void)run_one(run, seed, &again);
    if (again.hash != first->hash)
        printf("# seed=%" PRIu64 ": %016" PRIx64 ", then %016" PRIx64 "\n", seed, first->hash,
               again.hash);
    return again.hash == first->hash;
}

static void run_block(struct run *run, uint64_t from, uint64_t to)
{
    struct sim_result result;
    char text[160];
    bool ok = true;

    for (uint64_t seed = from; seed <= to; seed++) {
        ok = run_one(run, seed, &result) && ok;
        if (run->twice)
            ok = is_same_again(run, seed, &result) && ok;
    }
    (void)snprintf(text, sizeof(text), "seeds %" PRIu64 " to %" PRIu64 " %s", from, to,
                   run->program->holds);
    tell(run, ok, text);
}

static void run_replays(struct run *run)
{
    struct sim_result result;
    bool same = true;

    for (uint64_t seed = run->from; seed <= run->to && seed < run->from + REPLAYS; seed++) {
        (void)run_one(run, seed, &result);
        same = is_same_again(run, seed, &result) && same;
    }
    tell(run, same, "a seed run twice gives the same run");
}

static void check_sometimes(struct run *run, uint64_t count, const char *what)
{
    char text[160];

    (void)snprintf(text, sizeof(text), "sometimes: %s (%" PRIu64 ")", what, count);
    tell(run, count > 0, text);
}

static void check_all_sometimes(struct run *run)
{
    const struct sim_stats *stats = &run->stats;

#define SIM_CHECK(name, text) check_sometimes(run, stats->name, text);
    SIM_SOMETIMES(SIM_CHECK)
    if (run->program->has_namenodes) {
        SIM_NN_SOMETIMES(SIM_CHECK)
    } else {
        SIM_RARE(SIM_CHECK)
    }
#undef SIM_CHECK
}

/* Of a run that is too short, or ends by the clock: what was not met is told, but is no failure. */
static void tell_missed(const struct run *run)
{
    const struct sim_stats *stats = &run->stats;

#define SIM_TELL(name, text)                                                                       \
    if (stats->name == 0)                                                                          \
        printf("# not met in these schedules: %s\n", text);
    SIM_SOMETIMES(SIM_TELL)
    SIM_RARE(SIM_TELL)
    if (run->program->has_namenodes) {
        SIM_NN_SOMETIMES(SIM_TELL)
    }
#undef SIM_TELL
}

static double now_s(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run_range(struct run *run)
{
    uint64_t block = run->program->block, seed = run->from;
    double began = now_s(), took;

    for (; seed <= run->to; seed += block) {
        if (run->seconds > 0 && now_s() - began > run->seconds)
            break;
        run_block(run, seed, seed + block - 1 < run->to ? seed + block - 1 : run->to);
    }
    took = now_s() - began;
    if (seed > run->to)
        seed = run->to + 1;
    if (!run->twice)
        run_replays(run);
    if (run->whole)
        check_all_sometimes(run);
    else
        tell_missed(run);
    printf("1..%u\n", run->test);
    printf("# %" PRIu64 " schedules (%.0f/s), %" PRIu64 " events, %.1f hours of virtual time\n",
           seed - run->from, (double)(seed - run->from) / took, run->stats.events,
           (double)run->stats.virtual_ns / 3.6e12);
    if (run->program->has_namenodes)
        printf("# %" PRIu64 " histories are linearizable\n", run->stats.histories);
    printf("# longest recovery after trouble: %.1f s of virtual time\n",
           (double)run->stats.recovery_max_ns / 1e9);
    return run->failed ? 1 : 0;
}

static bool read_arguments(struct run *run, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--trace") == 0) {
            run->trace = true;
            continue;
        }
        if (strcmp(argv[i], "--twice") == 0) {
            run->twice = true;
            continue;
        }
        if (strcmp(argv[i], "--seed") == 0 && sscanf(value, "%" SCNu64, &run->seed) == 1)
            run->one = true;
        else if (strcmp(argv[i], "--die-at") == 0 &&
                 sscanf(value, "%" SCNu64 ":%d", &run->dies_at, &run->dies_of) == 2)
            run->dies = true;
        else if (strcmp(argv[i], "--seconds") != 0 || sscanf(value, "%u", &run->seconds) != 1) {
            if (strcmp(argv[i], "--seeds") != 0 ||
                sscanf(value, "%" SCNu64 "-%" SCNu64, &run->from, &run->to) != 2 ||
                run->from > run->to)
                return false;
        }
        i++;
    }
    return true;
}

int sim_main(int argc, char **argv, const struct sim_program *program)
{
    struct run run = {.program = program, .from = 1, .to = program->schedules};
    const char *few = getenv("DFS_SIM_SCHEDULES");
    struct sim_result result;

    last_words_prepare();
    if (few != NULL) /* Of 10,000 short ones; of those that are longer, as much less. */
        run.to = strtoull(few, NULL, 10) * program->schedules / 10000 + 1;
    if (!read_arguments(&run, argc, argv)) {
        (void)fprintf(stderr,
                      "usage: %s [--seeds A-B] [--seconds S] [--twice] | --seed N [--trace]\n",
                      program->name);
        return 2;
    }
    run.whole = run.to - run.from + 1 >= program->schedules && run.seconds == 0;
    if (!run.one)
        return run_range(&run);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (run_one(&run, run.seed, &result))
        printf("# seed=%" PRIu64 " is fine, hash %016" PRIx64 "\n", run.seed, result.hash);
    if (run.twice && !is_same_again(&run, run.seed, &result))
        return 1;
    return result.failed ? 1 : 0;
}
