/*
 * The recorder of tests/shim, and the disks that are made of its records: this program runs itself
 * again with the library preloaded, and is killed there.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/vfs_fake.h"
#include "tests/shim/powerlog.h"

enum { BLOCK = 4096 };

struct fixture {
    char dir[64], disk[80], calls[80], boot[80];
    struct powerlog log;
    struct vfs_fake *fake;
};

/* ---- in the recorded process ---- */

static int make_file(const char *dir, const char *name)
{
    static const char bytes[3 * BLOCK] = {[0 ... 3 * BLOCK - 1] = 'a'};
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || pwrite(fd, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        _exit(3);
    return fd;
}

static int live(const char *dir, const char *story)
{
    char sub[100];
    int fd;

    (void)snprintf(sub, sizeof(sub), "%s/sub", dir);
    if (mkdir(sub, 0700) < 0 && errno != EEXIST)
        return 3;
    fd = make_file(sub, "synced");
    if (strcmp(story, "syncfs") == 0 && syncfs(fd) < 0)
        return 3;
    if (strcmp(story, "punch") == 0 &&
        (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BLOCK, BLOCK) < 0 ||
         syncfs(fd) < 0))
        return 3;
    if (strcmp(story, "boot") == 0) {
        char id[64] = "";
        int boot = open("/proc/sys/kernel/random/boot_id", O_RDONLY);

        return boot >= 0 && read(boot, id, sizeof(id) - 1) > 0 && strcmp(id, "another\n") == 0 ? 0
                                                                                               : 3;
    }
    (void)make_file(sub, "late");
    (void)kill(getpid(), SIGKILL);
    return 3;
}

/* ---- the tests ---- */

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/dfs-powerlog-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->disk, sizeof(f->disk), "%s/disk", f->dir);
    (void)snprintf(f->calls, sizeof(f->calls), "%s/calls", f->dir);
    (void)snprintf(f->boot, sizeof(f->boot), "%s/boot", f->dir);
    assert_int_equal(mkdir(f->disk, 0700), 0);
    f->fake = vfs_fake_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    powerlog_done(&f->log);
    vfs_fake_free(f->fake);
    assert_int_equal(vfs_remove_all(vfs_posix(), f->dir), 0);
    free(f);
    return 0;
}

/* The wait status. */
static int record(struct fixture *f, const char *story)
{
    char shim[512];
    int status;
    pid_t child;

    (void)snprintf(shim, sizeof(shim), "%s/tests/shim/.libs/libpowerlog.so",
                   getenv("DFS_BUILDDIR") ? getenv("DFS_BUILDDIR") : ".");
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setenv("LD_PRELOAD", shim, 1);
        (void)setenv("POWERLOG_DIR", f->disk, 1);
        (void)setenv("POWERLOG_FILE", f->calls, 1);
        (void)setenv("POWERLOG_BOOT_ID", f->boot, 1);
        (void)execl("/proc/self/exe", "test_powerlog", f->disk, story, (char *)NULL);
        _exit(4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void ignore_mark(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

/* What was not synced is gone. */
static void fail_power(struct fixture *f)
{
    assert_int_equal(powerlog_read(f->calls, &f->log), 0);
    powerlog_replay(&f->log, f->log.count, f->disk, f->fake, ignore_mark, NULL);
    vfs_fake_crash(f->fake, NULL);
}

static struct buf content_of(struct fixture *f, const char *name)
{
    struct buf b = {0};
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/sub/%s", f->disk, name);
    if (vfs_read_file(vfs_fake_vfs(f->fake), path, 1 << 20, &b) < 0)
        buf_done(&b);
    return b;
}

static void syncfs_covers_all_before_it(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = {0}, late = {0};

    assert_true(WIFSIGNALED(record(f, "syncfs")));
    fail_power(f);
    b = content_of(f, "synced");
    assert_int_equal(b.len, 3 * BLOCK);
    late = content_of(f, "late");
    assert_int_equal(late.len, 0);
}

static void without_a_sync_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = {0};

    assert_true(WIFSIGNALED(record(f, "nothing")));
    fail_power(f);
    b = content_of(f, "synced");
    assert_int_equal(b.len, 0);
}

static void a_hole_is_a_change_too(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = {0};

    assert_true(WIFSIGNALED(record(f, "punch")));
    fail_power(f);
    b = content_of(f, "synced");
    assert_int_equal(b.len, 3 * BLOCK);
    assert_int_equal(b.data[BLOCK - 1], 'a');
    assert_int_equal(b.data[BLOCK], 0);
    assert_int_equal(b.data[2 * BLOCK], 'a');
}

/* The next life begins on what the power failure left. */
static void what_was_there_before_is_durable(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = {0};
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/sub", f->disk);
    assert_int_equal(mkdir(path, 0700), 0);
    fd = make_file(path, "old");
    assert_int_equal(close(fd), 0);
    assert_int_equal(powerlog_load(f->disk, f->fake, f->disk), 0);
    assert_true(WIFSIGNALED(record(f, "nothing")));
    fail_power(f);
    b = content_of(f, "old");
    assert_int_equal(b.len, 3 * BLOCK);
    assert_int_equal(b.data[3 * BLOCK - 1], 'a');
    b = content_of(f, "synced");
    assert_int_equal(b.len, 0);
}

/* SIGKILL may come while a record is written. */
static void a_record_that_is_cut_short_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct powerlog whole;
    struct stat st;

    assert_true(WIFSIGNALED(record(f, "syncfs")));
    assert_int_equal(powerlog_read(f->calls, &whole), 0);
    assert_int_equal(stat(f->calls, &st), 0);
    assert_int_equal(truncate(f->calls, st.st_size - 1), 0);
    assert_int_equal(powerlog_read(f->calls, &f->log), 0);
    assert_int_equal(f->log.count, whole.count - 1);
    powerlog_done(&whole);
}

static void a_machine_can_have_another_boot_id(void **state)
{
    struct fixture *f = *state;
    int status, fd = open(f->boot, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "another\n", 8), 8);
    (void)close(fd);
    status = record(f, "boot");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(syncfs_covers_all_before_it),
        T(without_a_sync_nothing_is_left),
        T(a_hole_is_a_change_too),
        T(what_was_there_before_is_durable),
        T(a_record_that_is_cut_short_is_not_there),
        T(a_machine_can_have_another_boot_id),
    };

    if (argc == 3)
        return live(argv[1], argv[2]);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    puts("1..0 # SKIP a sanitizer must be the first library: nothing can be preloaded");
    return 0;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
