/*
 * Does test_power find bugs? The replica's life is lived with deliberate ones (namenode/mutants.h), and
 * power fails at points of it until what is left is wrong. Each must be caught within so many cuts.
 *
 * DFS_CUTS=n: at most so many for each; DFS_SEED=n: another choice.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/vfs.h"
#include "common/vfs_fake.h"
#include "namenode/mutants.h"
#include "tests/unit/namenode/power_story.h"

enum { CUTS_MAX = 400 };

static const struct {
    enum namenode_mutant number;
    const char *name;
} mutants[] = {
    {NAMENODE_MUTANT_NONE, "no bug at all"},
    {NAMENODE_MUTANT_FLUSHED_FROM_READ, "what is flushed, by a normal read"},
    {NAMENODE_MUTANT_CHECKPOINT_UNFLUSHED, "a checkpoint of what was flushed before"},
    {NAMENODE_MUTANT_APPEND_WITHOUT_SYNC, "a log that is not synced"},
};

enum { MUTANTS = sizeof(mutants) / sizeof(mutants[0]), CUTS_OF_NONE = 25 };

unsigned namenode_mutant;

int64_t namenode_mutant_clock(void)
{
    return 0;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* A failed assertion ends a process: so each cut has one of its own. */
static bool is_caught(const struct powerlog *log, size_t count, uint64_t seed, const char *life,
                      const struct power_marks *all)
{
    int status = 0, null;
    struct rng rng;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        null = open("/dev/null", O_WRONLY);
        (void)dup2(null, STDERR_FILENO);
        rng_seed(&rng, seed);
        power_cut_at(log, count, &rng, false, life, all);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* So many cuts until it was caught; 0: it was not. */
static uint64_t hunt(const char *dir, const char *variant, uint64_t cuts)
{
    uint64_t seed = number_of("DFS_SEED", 1), taken = 0;
    struct power_marks all = {0};
    char life[64], file[64];
    struct vfs_fake *disk;
    struct powerlog log;
    struct rng rng;

    (void)snprintf(life, sizeof(life), "%s/life", dir);
    (void)snprintf(file, sizeof(file), "%s/calls", dir);
    if (power_record(dir, life, variant) < 0 || powerlog_read(file, &log) < 0)
        return 0;
    disk = vfs_fake_new();
    powerlog_replay(&log, log.count, life, disk, power_on_mark, &all);
    vfs_fake_free(disk);
    rng_seed(&rng, seed);
    for (uint64_t i = 1; i <= cuts && taken == 0; i++) {
        size_t count = (size_t)rng_below(&rng, log.count + 1);

        if (is_caught(&log, count, seed + i, life, &all))
            taken = i;
    }
    powerlog_done(&log);
    return taken;
}

static bool run(unsigned i)
{
    uint64_t cuts = i == 0 ? CUTS_OF_NONE : number_of("DFS_CUTS", CUTS_MAX), taken;
    char dir[] = "/tmp/dfs-power-XXXXXX", variant[16];
    bool ok;

    if (mkdtemp(dir) == NULL)
        return false;
    (void)snprintf(variant, sizeof(variant), "%u", (unsigned)mutants[i].number);
    taken = hunt(dir, variant, cuts);
    (void)vfs_remove_all(vfs_posix(), dir);
    ok = (taken > 0) == (i > 0);
    if (i == 0)
        printf("%sok 1 - %s: %" PRIu64 " cuts leave a replica\n", ok ? "" : "not ", mutants[i].name,
               cuts);
    else
        printf("%sok %u - %s is caught (cut %" PRIu64 " of at most %" PRIu64 ")\n",
               ok ? "" : "not ", i + 1, mutants[i].name, taken, cuts);
    return ok;
}

int main(int argc, char **argv)
{
    bool ok = true;

    log_init("test_power_mutants", LOG_LEVEL_ERROR);
    if (argc == 3) {
        namenode_mutant = (unsigned)strtoul(argv[2], NULL, 10);
        return power_live(argv[1]);
    }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    puts("1..0 # SKIP a sanitizer must be the first library: nothing can be preloaded");
    return 0;
#endif
    for (unsigned i = 0; i < MUTANTS; i++)
        ok = run(i) && ok;
    printf("1..%u\n", (unsigned)MUTANTS);
    return ok ? 0 : 1;
}
