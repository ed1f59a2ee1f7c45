/*
 * What a power failure leaves of a directory.
 *
 *   powercut BASE LOG DIR OUT SEED
 *
 * A program was started on a copy of BASE as DIR, with the calls noted in LOG (powerlog.h). OUT gets
 * what is left: of what was not synced nothing with SEED 0, else any part of it, with torn sectors and
 * names in any order.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "common/vfs.h"
#include "common/vfs_fake.h"
#include "tests/shim/powerlog.h"

static void ignore_mark(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static int cut(const char *base, const char *file, const char *dir, const char *out, uint64_t seed)
{
    CLEANUP(vfs_fake) struct vfs_fake *disk = vfs_fake_new();
    struct powerlog log;
    struct rng rng;
    int r = powerlog_load(base, disk, dir);

    if (r == 0)
        r = powerlog_read(file, &log);
    if (r < 0)
        return r;
    powerlog_replay(&log, log.count, dir, disk, ignore_mark, NULL);
    printf("%s: %zu calls, %zu bytes\n", dir, log.count, log.len);
    powerlog_done(&log);
    rng_seed(&rng, seed);
    r = powerlog_let_names_be_any(disk, dir);
    if (r < 0)
        return r;
    vfs_fake_crash(disk, seed == 0 ? NULL : &rng);
    return powerlog_dump(disk, dir, out);
}

int main(int argc, char **argv)
{
    int r;

    if (argc != 6) {
        fprintf(stderr, "usage: powercut BASE LOG DIR OUT SEED\n");
        return 2;
    }
    r = cut(argv[1], argv[2], argv[3], argv[4], strtoull(argv[5], NULL, 10));
    if (r < 0)
        fprintf(stderr, "powercut: %s: %s\n", argv[3], strerror(-r));
    return r < 0;
}
