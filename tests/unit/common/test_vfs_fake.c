/* The fake disk forgets exactly what a real one may forget: crash tests are only as good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/compiler.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/vfs.h"
#include "common/vfs_fake.h"

static struct vfs_file *open_at(struct vfs_fake *f, const char *path, int flags)
{
    struct vfs_file *file = NULL;

    assert_int_equal(vfs_open(vfs_fake_vfs(f), path, flags, 0644, &file), 0);
    return file;
}

/* A file whose name is durable. */
static struct vfs_file *durable_file(struct vfs_fake *f, const char *path)
{
    struct vfs_file *file = open_at(f, path, O_RDWR | O_CREAT);

    assert_int_equal(vfs_sync_dir(vfs_fake_vfs(f), "/"), 0);
    return file;
}

static bool exists(struct vfs_fake *f, const char *path)
{
    struct vfs_stat st;

    return vfs_stat(vfs_fake_vfs(f), path, &st) == 0;
}

/* The whole file as text; the caller frees. */
static char *content(struct vfs_fake *f, const char *path)
{
    struct buf b = {0};

    assert_int_equal(vfs_read_file(vfs_fake_vfs(f), path, 1 << 20, &b), 0);
    return buf_take(&b);
}

static void assert_content(struct vfs_fake *f, const char *path, const char *want)
{
    char *text = content(f, path);

    assert_string_equal(text, want);
    free(text);
}

static void synced_bytes_survive_any_crash(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct vfs_fake *f = vfs_fake_new();
        struct vfs_file *file = durable_file(f, "/a");
        struct rng rng;

        rng_seed(&rng, seed);
        assert_int_equal(vfs_pwrite(file, "kept", 4, 0), 0);
        assert_int_equal(vfs_sync(file), 0);
        vfs_fake_crash(f, &rng);
        vfs_close(file);
        assert_content(f, "/a", "kept");
        vfs_fake_free(f);
    }
}

static void unsynced_bytes_are_lost_without_chance(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = durable_file(f, "/a");

    (void)state;
    assert_int_equal(vfs_pwrite(file, "old", 3, 0), 0);
    assert_int_equal(vfs_sync(file), 0);
    assert_int_equal(vfs_pwrite(file, "newer", 5, 0), 0);
    vfs_fake_crash(f, NULL);
    vfs_close(file);
    assert_content(f, "/a", "old");
    vfs_fake_free(f);
}

/* Each sector is old or new; over many seeds both, mixed in one write, and reordered. */
static void unsynced_writes_tear_at_sectors(void **state)
{
    unsigned all = 0, none = 0, mixed = 0, later_without_earlier = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct vfs_fake *f = vfs_fake_new();
        struct vfs_file *file = durable_file(f, "/a");
        char data[4096], got[8192];
        unsigned first = 0, second = 0;
        struct rng rng;

        rng_seed(&rng, seed);
        memset(data, 'o', sizeof data);
        assert_int_equal(vfs_pwrite(file, data, 4096, 0), 0);
        assert_int_equal(vfs_pwrite(file, data, 4096, 4096), 0);
        assert_int_equal(vfs_sync(file), 0);
        memset(data, 'n', sizeof data);
        assert_int_equal(vfs_pwrite(file, data, 4096, 0), 0);
        assert_int_equal(vfs_pwrite(file, data, 4096, 4096), 0);
        vfs_fake_crash(f, &rng);
        vfs_close(file);
        file = open_at(f, "/a", O_RDONLY);
        assert_int_equal(vfs_pread(file, got, sizeof got, 0), sizeof got);
        vfs_close(file);
        for (size_t i = 0; i < sizeof got; i++) {
            assert_true(got[i] == 'o' || got[i] == 'n');
            assert_int_equal(got[i], got[i - i % 512]);
        }
        for (size_t i = 0; i < 4096; i += 512) {
            first += got[i] == 'n';
            second += got[4096 + i] == 'n';
        }
        all += first == 8;
        none += first == 0;
        mixed += first > 0 && first < 8;
        later_without_earlier += first == 0 && second > 0;
        vfs_fake_free(f);
    }
    assert_true(all > 0 && none > 0 && mixed > 0 && later_without_earlier > 0);
}

/* An append may leave its size without its bytes: logs must not take zeros for records. */
static void a_size_may_survive_without_its_bytes(void **state)
{
    bool seen = false;

    (void)state;
    for (uint64_t seed = 0; seed < 100 && !seen; seed++) {
        struct vfs_fake *f = vfs_fake_new();
        struct vfs_file *file = durable_file(f, "/a");
        struct vfs_stat st;
        struct rng rng;
        char c = 'x';

        rng_seed(&rng, seed);
        assert_int_equal(vfs_pwrite(file, "record", 6, 0), 0);
        vfs_fake_crash(f, &rng);
        vfs_close(file);
        file = open_at(f, "/a", O_RDONLY);
        assert_int_equal(vfs_fstat(file, &st), 0);
        seen = st.size == 6 && vfs_pread(file, &c, 1, 0) == 1 && c == '\0';
        vfs_close(file);
        vfs_fake_free(f);
    }
    assert_true(seen);
}

static void names_need_their_directory_synced(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = open_at(f, "/a", O_RDWR | O_CREAT);

    (void)state;
    assert_int_equal(vfs_pwrite(file, "data", 4, 0), 0);
    assert_int_equal(vfs_sync(file), 0);
    vfs_close(file);
    vfs_fake_crash(f, NULL);
    assert_false(exists(f, "/a"));

    file = durable_file(f, "/a");
    vfs_close(file);
    assert_int_equal(vfs_rename(vfs_fake_vfs(f), "/a", "/b"), 0);
    vfs_fake_crash(f, NULL);
    assert_true(exists(f, "/a"));
    assert_false(exists(f, "/b"));

    assert_int_equal(vfs_unlink(vfs_fake_vfs(f), "/a"), 0);
    assert_int_equal(vfs_sync_dir(vfs_fake_vfs(f), "/"), 0);
    vfs_fake_crash(f, NULL);
    assert_false(exists(f, "/a"));
    vfs_fake_free(f);
}

static void a_directory_keeps_a_prefix_of_its_changes(void **state)
{
    bool some = false;

    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct vfs_fake *f = vfs_fake_new();
        struct rng rng;
        bool before = true;

        rng_seed(&rng, seed);
        for (char c = 'a'; c < 'h'; c++)
            vfs_close(open_at(f, (char[]){'/', c, 0}, O_RDWR | O_CREAT));
        vfs_fake_crash(f, &rng);
        for (char c = 'a'; c < 'h'; c++) {
            bool now = exists(f, (char[]){'/', c, 0});

            assert_true(before || !now);
            some = some || (before && !now && c > 'a');
            before = now;
        }
        vfs_fake_free(f);
    }
    assert_true(some);
}

/* A rename between directories is in both or in neither, whichever of them is synced. */
static void a_rename_never_loses_or_doubles_the_file(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct vfs_fake *f = vfs_fake_new();
        struct vfs *v = vfs_fake_vfs(f);
        struct rng rng;

        rng_seed(&rng, seed);
        assert_int_equal(vfs_mkdir_all(v, "/x", 0755), 0);
        assert_int_equal(vfs_mkdir_all(v, "/y", 0755), 0);
        vfs_close(open_at(f, "/x/a", O_RDWR | O_CREAT));
        assert_int_equal(vfs_sync_dir(v, "/x"), 0);
        vfs_close(open_at(f, "/x/before", O_RDWR | O_CREAT));
        assert_int_equal(vfs_rename(v, "/x/a", "/y/a"), 0);
        if (seed % 3 == 1)
            assert_int_equal(vfs_sync_dir(v, "/x"), 0);
        if (seed % 3 == 2)
            assert_int_equal(vfs_sync_dir(v, "/y"), 0);
        vfs_fake_crash(f, &rng);
        assert_true(exists(f, "/x/a") != exists(f, "/y/a"));
        if (seed % 3 != 0) {
            assert_true(exists(f, "/y/a"));
            assert_true(exists(f, "/x/before"));
        }
        vfs_fake_free(f);
    }
}

static void a_lost_directory_takes_its_files_along(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs *v = vfs_fake_vfs(f);
    struct vfs_file *file;

    (void)state;
    assert_int_equal(vfs_mkdir(v, "/d", 0755), 0);
    file = open_at(f, "/d/a", O_RDWR | O_CREAT);
    assert_int_equal(vfs_sync(file), 0);
    assert_int_equal(vfs_sync_dir(v, "/d"), 0);
    vfs_fake_crash(f, NULL);
    vfs_close(file);
    assert_false(exists(f, "/d"));
    vfs_fake_free(f);
}

/* Crash in the middle of unlinking: an unsynced unlink brings the file back, bytes and all. */
static void an_unsynced_unlink_comes_back(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = durable_file(f, "/a");

    (void)state;
    assert_int_equal(vfs_pwrite(file, "data", 4, 0), 0);
    assert_int_equal(vfs_sync(file), 0);
    vfs_close(file);
    assert_int_equal(vfs_unlink(vfs_fake_vfs(f), "/a"), 0);
    vfs_fake_crash(f, NULL);
    assert_content(f, "/a", "data");
    vfs_fake_free(f);
}

static void open_files_are_dead_after_a_crash(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = durable_file(f, "/a");
    struct vfs_stat st;
    char c;

    (void)state;
    vfs_fake_crash(f, NULL);
    assert_int_equal(vfs_pread(file, &c, 1, 0), -EIO);
    assert_int_equal(vfs_pwrite(file, "x", 1, 0), -EIO);
    assert_int_equal(vfs_sync(file), -EIO);
    assert_int_equal(vfs_truncate(file, 0), -EIO);
    assert_int_equal(vfs_fstat(file, &st), -EIO);
    vfs_close(file);
    vfs_fake_free(f);
}

static void a_killed_process_leaves_the_page_cache(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = open_at(f, "/a", O_RDWR | O_CREAT);

    (void)state;
    assert_int_equal(vfs_pwrite(file, "data", 4, 0), 0);
    vfs_fake_kill(f);
    assert_int_equal(vfs_pwrite(file, "x", 1, 0), -EIO);
    vfs_close(file);
    assert_content(f, "/a", "data");
    vfs_fake_crash(f, NULL);
    assert_false(exists(f, "/a"));
    vfs_fake_free(f);
}

/* After a failed sync the kernel may have dropped the pages: a later success proves nothing. */
static void a_failed_sync_loses_the_writes_for_good(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = durable_file(f, "/a");
    struct vfs_file *direct;
    uint8_t *page = aligned_alloc(4096, 4096);

    (void)state;
    assert_int_equal(vfs_pwrite(file, "lost", 4, 0), 0);
    vfs_fake_fail(f, VFS_FAKE_SYNC, 0, EIO, false);
    assert_int_equal(vfs_sync(file), -EIO);
    assert_int_equal(vfs_sync(file), 0);
    assert_content(f, "/a", "lost"); /* The cache still has it ... */

    direct = open_at(f, "/a", O_RDONLY | O_DIRECT); /* ... but a direct read finds it out. */
    assert_int_equal(vfs_pread(direct, page, 4096, 0), 0);
    assert_int_equal(vfs_pread(direct, page, 100, 0), -EINVAL);
    vfs_close(direct);
    assert_int_equal(vfs_pwrite(file, "X", 1, 0), 0);
    direct = open_at(f, "/a", O_RDONLY | O_DIRECT);
    assert_int_equal(vfs_pread(direct, page, 4096, 0), 1);
    vfs_close(direct);

    vfs_fake_crash(f, NULL);
    vfs_close(file);
    assert_content(f, "/a", "");
    vfs_fake_free(f);
    free(page);
}

static void o_dsync_writes_are_durable_at_once(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file;

    (void)state;
    vfs_close(durable_file(f, "/a"));
    file = open_at(f, "/a", O_RDWR | O_DSYNC);
    assert_int_equal(vfs_pwrite(file, "kept", 4, 0), 0);
    vfs_fake_fail(f, VFS_FAKE_SYNC, 0, EIO, false);
    assert_int_equal(vfs_pwrite(file, "lost", 4, 4), -EIO);
    vfs_fake_crash(f, NULL);
    vfs_close(file);
    assert_content(f, "/a", "kept");
    vfs_fake_free(f);
}

static void faults_count_down_once_or_for_ever(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = durable_file(f, "/a");
    char c;

    (void)state;
    vfs_fake_fail(f, VFS_FAKE_WRITE, 2, EIO, false);
    assert_int_equal(vfs_pwrite(file, "1", 1, 0), 0);
    assert_int_equal(vfs_pwrite(file, "2", 1, 0), 0);
    assert_int_equal(vfs_pwrite(file, "3", 1, 0), -EIO);
    assert_int_equal(vfs_pwrite(file, "4", 1, 0), 0);
    vfs_fake_fail(f, VFS_FAKE_READ, 0, EIO, true);
    assert_int_equal(vfs_pread(file, &c, 1, 0), -EIO);
    assert_int_equal(vfs_pread(file, &c, 1, 0), -EIO);
    vfs_fake_fail_none(f);
    assert_int_equal(vfs_pread(file, &c, 1, 0), 1);
    assert_int_equal(c, '4');
    assert_int_equal(vfs_fake_op_count(f, VFS_FAKE_WRITE), 4);
    vfs_fake_fail(f, VFS_FAKE_NAME, 0, EROFS, false);
    assert_int_equal(vfs_unlink(vfs_fake_vfs(f), "/a"), -EROFS);
    vfs_fake_fail(f, VFS_FAKE_SYNC_DIR, 0, EIO, false);
    assert_int_equal(vfs_sync_dir(vfs_fake_vfs(f), "/"), -EIO);
    vfs_close(file);
    vfs_fake_free(f);
}

static void a_full_disk_refuses_and_deleting_helps(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = durable_file(f, "/a");
    static char data[8192];
    struct vfs_space s;

    (void)state;
    vfs_fake_set_capacity(f, 3 * 4096);
    assert_int_equal(vfs_pwrite(file, data, 8192, 0), 0);
    assert_int_equal(vfs_pwrite(file, data, 8192, 8192), -ENOSPC);
    assert_int_equal(vfs_pwrite(file, data, 8192, 0), 0); /* in place: no new blocks */
    assert_int_equal(vfs_allocate(file, 0, 1 << 20), -ENOSPC);
    assert_int_equal(vfs_space(vfs_fake_vfs(f), "/", &s), 0);
    assert_int_equal(s.free_bytes, 4096);
    assert_int_equal(vfs_unlink(vfs_fake_vfs(f), "/a"), 0);
    assert_int_equal(vfs_space(vfs_fake_vfs(f), "/", &s), 0);
    assert_int_equal(s.free_bytes, 4096); /* still open */
    vfs_close(file);
    assert_int_equal(vfs_space(vfs_fake_vfs(f), "/", &s), 0);
    assert_int_equal(s.free_bytes, 3 * 4096);
    vfs_fake_free(f);
}

static void rot_is_on_the_medium_too(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = durable_file(f, "/a");

    (void)state;
    assert_int_equal(vfs_pwrite(file, "abc", 3, 0), 0);
    assert_int_equal(vfs_sync(file), 0);
    assert_int_equal(vfs_pwrite(file, "d", 1, 3), 0);
    assert_int_equal(vfs_fake_flip_bit(f, "/a", 1, 0), 0);
    assert_int_equal(vfs_fake_flip_bit(f, "/a", 3, 0), 0);
    assert_int_equal(vfs_fake_flip_bit(f, "/a", 4, 0), -ERANGE);
    assert_int_equal(vfs_fake_flip_bit(f, "/b", 0, 0), -ENOENT);
    assert_content(f, "/a", "acce");
    assert_int_equal(vfs_sync(file), 0);
    vfs_fake_crash(f, NULL);
    vfs_close(file);
    assert_content(f, "/a", "acce");
    vfs_fake_free(f);
}

/* The story whose crash points are walked: replace a file twice. Stops at the first error. */
static void story(struct vfs_fake *f)
{
    (void)(vfs_replace_file(vfs_fake_vfs(f), "/s", "one", 3, 0600) == 0 &&
           vfs_replace_file(vfs_fake_vfs(f), "/s", "second", 6, 0600) == 0);
}

static void a_replaced_file_is_old_or_new_at_every_crash_point(void **state)
{
    unsigned outcomes[3] = {0};

    (void)state;
    for (uint64_t after = 0, seed = 0; after < 12; seed++) {
        struct vfs_fake *f = vfs_fake_new();
        struct rng rng;

        rng_seed(&rng, seed);
        vfs_fake_set_names_any(f, seed % 2 == 1);
        vfs_fake_stop_after(f, after);
        story(f);
        if (vfs_fake_is_stopped(f))
            assert_int_equal(vfs_fake_change_count(f), after);
        vfs_fake_crash(f, &rng);
        if (!exists(f, "/s")) {
            outcomes[0]++;
        } else {
            char *text = content(f, "/s");

            assert_true(strcmp(text, "one") == 0 || strcmp(text, "second") == 0);
            outcomes[strcmp(text, "one") == 0 ? 1 : 2]++;
            free(text);
        }
        vfs_fake_free(f);
        if (seed % 20 == 19)
            after++;
    }
    assert_true(outcomes[0] > 0 && outcomes[1] > 0 && outcomes[2] > 0);
}

static void one_seed_is_one_history(void **state)
{
    char *texts[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct vfs_fake *f = vfs_fake_new();
        struct vfs_file *file = durable_file(f, "/a");
        struct rng rng;
        char data[3000];

        rng_seed(&rng, 11);
        for (char c = 'a'; c < 'z'; c++) {
            memset(data, c, sizeof data);
            assert_int_equal(
                vfs_pwrite(file, data, 1 + rng_below(&rng, 2999), rng_below(&rng, 9999)), 0);
        }
        vfs_fake_crash(f, &rng);
        vfs_close(file);
        texts[i] = content(f, "/a");
        vfs_fake_free(f);
    }
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
}

/* Whoever made the directory was killed before it synced the name. What comes into it counts. */
static void a_directory_that_is_there_already_is_synced_too(void **state)
{
    uint64_t after = 0;
    bool was_stopped;

    (void)state;
    do {
        struct vfs_fake *f = vfs_fake_new();
        struct vfs *v = vfs_fake_vfs(f);

        vfs_fake_stop_after(f, after++);
        (void)vfs_mkdir_all(v, "/a/b", 0700);
        was_stopped = vfs_fake_is_stopped(f);
        vfs_fake_kill(f);
        assert_int_equal(vfs_mkdir_all(v, "/a/b", 0700), 0);
        vfs_fake_crash(f, NULL);
        assert_true(exists(f, "/a/b"));
        vfs_fake_free(f);
    } while (was_stopped);
    assert_int_equal(after, 5);
}

/* ---- names in any order ---- */

enum { NAMES_SEEDS = 400 };

static struct vfs_fake *any_names_new(uint64_t seed, struct rng *rng)
{
    struct vfs_fake *f = vfs_fake_new();

    rng_seed(rng, seed);
    vfs_fake_set_names_any(f, true);
    return f;
}

static void put_content(struct vfs_fake *f, const char *path, const char *text)
{
    struct vfs_file *file = open_at(f, path, O_RDWR | O_CREAT);

    assert_int_equal(vfs_pwrite(file, text, strlen(text), 0), 0);
    assert_int_equal(vfs_sync(file), 0);
    vfs_close(file);
}

static void any_of_the_unsynced_names_survive(void **state)
{
    bool seen[1 << 4] = {false};

    (void)state;
    for (uint64_t seed = 0; seed < NAMES_SEEDS; seed++) {
        struct rng rng;
        struct vfs_fake *f = any_names_new(seed, &rng);
        unsigned got = 0;

        put_content(f, "/synced", "s");
        put_content(f, "/unlinked", "s");
        put_content(f, "/unlinked synced", "s");
        assert_int_equal(vfs_unlink(vfs_fake_vfs(f), "/unlinked synced"), 0);
        assert_int_equal(vfs_sync_dir(vfs_fake_vfs(f), "/"), 0);
        for (char c = 'a'; c < 'd'; c++)
            put_content(f, (char[]){'/', c, 0}, "u");
        assert_int_equal(vfs_unlink(vfs_fake_vfs(f), "/unlinked"), 0);
        vfs_fake_crash(f, &rng);
        assert_content(f, "/synced", "s");
        assert_false(exists(f, "/unlinked synced"));
        for (char c = 'a'; c < 'd'; c++)
            got |= (unsigned)exists(f, (char[]){'/', c, 0}) << (c - 'a');
        got |= (unsigned)!exists(f, "/unlinked") << 3;
        seen[got] = true;
        vfs_fake_free(f);
    }
    for (unsigned i = 0; i < 1 << 4; i++)
        assert_true(seen[i]);
}

/* What replacing a file rests on. That the creation of the temporary name is lost does not matter. */
static void a_rename_stays_atomic_when_names_survive_in_any_order(void **state)
{
    unsigned old = 0, tmp_too = 0, replaced = 0;

    (void)state;
    for (uint64_t seed = 0; seed < NAMES_SEEDS; seed++) {
        struct rng rng;
        struct vfs_fake *f = any_names_new(seed, &rng);
        struct vfs *v = vfs_fake_vfs(f);
        char *text;

        put_content(f, "/a", "old");
        assert_int_equal(vfs_mkdir(v, "/tmp", 0700), 0);
        assert_int_equal(vfs_sync_dir(v, "/"), 0);
        put_content(f, "/tmp/a", "new");
        assert_int_equal(vfs_rename(v, "/tmp/a", "/a"), 0);
        vfs_fake_crash(f, &rng);
        text = content(f, "/a");
        if (strcmp(text, "old") == 0) {
            old++;
            tmp_too += exists(f, "/tmp/a");
        } else {
            assert_string_equal(text, "new");
            assert_false(exists(f, "/tmp/a"));
            replaced++;
        }
        free(text);
        vfs_fake_free(f);
    }
    assert_true(old > tmp_too && tmp_too > 0 && replaced > 0);
}

/* "1" was called a, then b, then c; "2" took the name a. */
static void names_that_are_used_again_are_not_in_order(void **state)
{
    static const char *const legal[] = {"1--", "-1-", "--1", "1-1", "2--", "21-", "2-1"};
    bool seen[ARRAY_COUNT(legal)] = {false};

    (void)state;
    for (uint64_t seed = 0; seed < NAMES_SEEDS; seed++) {
        struct rng rng;
        struct vfs_fake *f = any_names_new(seed, &rng);
        struct vfs *v = vfs_fake_vfs(f);
        char got[4] = "---";
        size_t i = 0;

        put_content(f, "/a", "1");
        assert_int_equal(vfs_sync_dir(v, "/"), 0);
        assert_int_equal(vfs_rename(v, "/a", "/b"), 0);
        assert_int_equal(vfs_rename(v, "/b", "/c"), 0);
        put_content(f, "/a", "2");
        vfs_fake_crash(f, &rng);
        for (char c = 'a'; c <= 'c'; c++) {
            if (exists(f, (char[]){'/', c, 0})) {
                char *text = content(f, (char[]){'/', c, 0});

                got[c - 'a'] = text[0];
                free(text);
            }
        }
        while (i < ARRAY_COUNT(legal) && strcmp(got, legal[i]) != 0)
            i++;
        assert_true(i < ARRAY_COUNT(legal));
        seen[i] = true;
        vfs_fake_free(f);
    }
    for (size_t i = 0; i < ARRAY_COUNT(legal); i++)
        assert_true(seen[i]);
}

/* "1" gave its name to "2", which was unlinked: without the renames that is no reason to lose "1". */
static void an_unlink_takes_its_own_file_and_no_other(void **state)
{
    unsigned all_are_left = 0;

    (void)state;
    for (uint64_t seed = 0; seed < NAMES_SEEDS; seed++) {
        struct rng rng;
        struct vfs_fake *f = any_names_new(seed, &rng);
        struct vfs *v = vfs_fake_vfs(f);

        put_content(f, "/a", "1");
        put_content(f, "/z", "2");
        assert_int_equal(vfs_sync_dir(v, "/"), 0);
        assert_int_equal(vfs_rename(v, "/a", "/b"), 0);
        assert_int_equal(vfs_rename(v, "/z", "/a"), 0);
        assert_int_equal(vfs_unlink(v, "/a"), 0);
        vfs_fake_crash(f, &rng);
        if (exists(f, "/z") && !exists(f, "/b"))
            assert_content(f, "/a", "1");
        all_are_left += exists(f, "/z") && exists(f, "/a");
        vfs_fake_free(f);
    }
    assert_true(all_are_left > 0);
}

/* b moves out of a, then a into b: kept without the first, the second would make a ring of them. */
static void a_directory_has_one_name_whatever_survives(void **state)
{
    unsigned first = 0, both = 0;

    (void)state;
    for (uint64_t seed = 0; seed < NAMES_SEEDS; seed++) {
        struct rng rng;
        struct vfs_fake *f = any_names_new(seed, &rng);
        struct vfs *v = vfs_fake_vfs(f);

        assert_int_equal(vfs_mkdir_all(v, "/a/b", 0700), 0);
        assert_int_equal(vfs_rename(v, "/a/b", "/b"), 0);
        assert_int_equal(vfs_rename(v, "/a", "/b/a"), 0);
        vfs_fake_crash(f, &rng);
        assert_int_equal(exists(f, "/a/b") + exists(f, "/b"), 1);
        assert_int_equal(exists(f, "/a") + exists(f, "/b/a"), 1);
        first += exists(f, "/b") && exists(f, "/a");
        both += exists(f, "/b/a");
        vfs_fake_free(f); /* asserts that nothing is left */
    }
    assert_true(first > 0 && both > 0);
}

static void a_directory_may_keep_its_order_when_others_do_not(void **state)
{
    unsigned out_of_order = 0, some = 0;

    (void)state;
    for (uint64_t seed = 0; seed < NAMES_SEEDS; seed++) {
        struct rng rng;
        struct vfs_fake *f = any_names_new(seed, &rng);
        struct vfs *v = vfs_fake_vfs(f);

        assert_int_equal(vfs_mkdir_all(v, "/ordered", 0700), 0);
        assert_int_equal(vfs_mkdir_all(v, "/any", 0700), 0);
        assert_int_equal(vfs_fake_set_names_in_order(f, "/ordered"), 0);
        put_content(f, "/any/a", "1");
        put_content(f, "/ordered/a", "1");
        put_content(f, "/ordered/b.tmp", "2");
        put_content(f, "/any/b", "2");
        assert_int_equal(vfs_rename(v, "/ordered/b.tmp", "/ordered/b"), 0);
        vfs_fake_crash(f, &rng);
        assert_true(exists(f, "/ordered/a") || !exists(f, "/ordered/b"));
        some += exists(f, "/ordered/b");
        out_of_order += exists(f, "/any/b") && !exists(f, "/any/a");
        vfs_fake_free(f);
    }
    assert_true(some > 0 && out_of_order > 0);
}

static void without_chance_no_unsynced_name_survives(void **state)
{
    struct rng rng;
    struct vfs_fake *f = any_names_new(0, &rng);

    (void)state;
    put_content(f, "/a", "1");
    vfs_fake_crash(f, NULL);
    assert_false(exists(f, "/a"));
    vfs_fake_free(f);
}

/* As a disk does that gives a bad sector another place when it is written. */
static void what_cannot_be_read_is_so_until_it_is_overwritten(void **state)
{
    struct vfs_fake *f = vfs_fake_new();
    struct vfs_file *file = durable_file(f, "/a");
    static uint8_t bytes[3 * 4096], buf[3 * 4096];

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(vfs_pwrite(file, bytes, sizeof(bytes), 0), 0);
    assert_int_equal(vfs_sync(file), 0);
    assert_int_equal(vfs_fake_spoil(f, "/b", 5000, 1), -ENOENT);
    assert_int_equal(vfs_fake_spoil(f, "/a", 5000, 1), 0);
    assert_int_equal(vfs_pread(file, buf, sizeof(buf), 0), -EIO);
    assert_int_equal(vfs_pread(file, buf, 1, 4096), -EIO);
    assert_int_equal(vfs_pread(file, buf, 1, 8191), -EIO);
    assert_int_equal(vfs_pread(file, buf, 4096, 0), 4096);
    assert_int_equal(vfs_pread(file, buf, 4096, 8192), 4096);
    assert_int_equal(vfs_pwrite(file, "y", 1, 5000), -EIO);
    assert_int_equal(vfs_pwrite(file, bytes, 4096, 0), 0);
    assert_int_equal(vfs_pread(file, buf, 1, 4096), -EIO);
    assert_int_equal(vfs_pwrite(file, bytes, 4096, 4096), 0);
    assert_int_equal(vfs_pread(file, buf, sizeof(buf), 0), sizeof(buf));
    assert_memory_equal(buf, bytes, sizeof(buf));
    vfs_close(file);
    vfs_fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_bytes_survive_any_crash),
        cmocka_unit_test(unsynced_bytes_are_lost_without_chance),
        cmocka_unit_test(unsynced_writes_tear_at_sectors),
        cmocka_unit_test(a_size_may_survive_without_its_bytes),
        cmocka_unit_test(names_need_their_directory_synced),
        cmocka_unit_test(a_directory_keeps_a_prefix_of_its_changes),
        cmocka_unit_test(a_rename_never_loses_or_doubles_the_file),
        cmocka_unit_test(a_lost_directory_takes_its_files_along),
        cmocka_unit_test(an_unsynced_unlink_comes_back),
        cmocka_unit_test(open_files_are_dead_after_a_crash),
        cmocka_unit_test(a_killed_process_leaves_the_page_cache),
        cmocka_unit_test(a_failed_sync_loses_the_writes_for_good),
        cmocka_unit_test(o_dsync_writes_are_durable_at_once),
        cmocka_unit_test(faults_count_down_once_or_for_ever),
        cmocka_unit_test(a_full_disk_refuses_and_deleting_helps),
        cmocka_unit_test(rot_is_on_the_medium_too),
        cmocka_unit_test(what_cannot_be_read_is_so_until_it_is_overwritten),
        cmocka_unit_test(a_replaced_file_is_old_or_new_at_every_crash_point),
        cmocka_unit_test(one_seed_is_one_history),
        cmocka_unit_test(a_directory_that_is_there_already_is_synced_too),
        cmocka_unit_test(any_of_the_unsynced_names_survive),
        cmocka_unit_test(a_rename_stays_atomic_when_names_survive_in_any_order),
        cmocka_unit_test(names_that_are_used_again_are_not_in_order),
        cmocka_unit_test(an_unlink_takes_its_own_file_and_no_other),
        cmocka_unit_test(a_directory_has_one_name_whatever_survives),
        cmocka_unit_test(a_directory_may_keep_its_order_when_others_do_not),
        cmocka_unit_test(without_chance_no_unsynced_name_survives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
