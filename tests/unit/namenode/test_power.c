/*
 * Power failures at many points of a replica's life, under the real RocksDB: see power_story.c.
 *
 * DFS_CUTS=n: so many points; DFS_SEED=n: another choice.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/vfs.h"
#include "common/vfs_fake.h"
#include "tests/unit/namenode/power_story.h"

enum { CUTS = 25 };

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_power_failure_leaves_a_replica(void **state)
{
    char dir[] = "/tmp/dfs-power-XXXXXX", life[64], file[64];
    uint64_t cuts = number_of("DFS_CUTS", CUTS), seed = number_of("DFS_SEED", 1);
    struct powerlog log;
    struct power_marks all = {0};
    struct rng rng;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(life, sizeof(life), "%s/life", dir);
    (void)snprintf(file, sizeof(file), "%s/calls", dir);
    assert_int_equal(power_record(dir, life, NULL), 0);
    assert_int_equal(powerlog_read(file, &log), 0);
    {
        struct vfs_fake *disk = vfs_fake_new();

        powerlog_replay(&log, log.count, life, disk, power_on_mark, &all);
        vfs_fake_free(disk);
    }
    assert_int_equal(all.durable, POWER_ENTRIES);
    assert_true(all.swapped > 0);
    rng_seed(&rng, seed);
    for (uint64_t i = 0; i < cuts; i++) {
        size_t count = (size_t)rng_below(&rng, log.count + 1);

        print_message("# cut %" PRIu64 " at call %zu of %zu\n", i, count, log.count);
        power_cut_at(&log, count, &rng, i % 2 == 1, life, &all);
    }
    powerlog_done(&log);
    assert_int_equal(vfs_remove_all(vfs_posix(), dir), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_power_failure_leaves_a_replica),
    };

    log_init("test_power", getenv("DFS_TEST_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    if (argc == 2)
        return power_live(argv[1]);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    puts("1..0 # SKIP a sanitizer must be the first library: nothing can be preloaded");
    return 0;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
