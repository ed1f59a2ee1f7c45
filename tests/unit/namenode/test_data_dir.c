/* The data directory: what it says is the old or the new truth, at every crash point. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/rng.h"
#include "common/vfs_fake.h"
#include "namenode/data_dir.h"

static struct raft_conf conf_of(unsigned count)
{
    struct raft_conf c = {.count = count};

    for (unsigned i = 0; i < count; i++) {
        c.members[i].id.v = i + 1;
        c.members[i].voter = true;
        (void)snprintf(c.members[i].addr, sizeof(c.members[i].addr), "h%u:1", i);
    }
    return c;
}

static int open_dir(struct vfs_fake *disk, struct data_dir **ret)
{
    struct raft_conf founders = conf_of(3);
    struct raft_id other = RAFT_NOBODY;

    return data_dir_open(vfs_fake_vfs(disk), "/nn", (struct raft_id){1}, &founders, ret, &other);
}

static unsigned members_at(const struct data_dir *d, uint64_t index)
{
    struct raft_conf c;

    data_dir_members_at(d, index, &c);
    return c.count;
}

static void put_snapshot(struct vfs_fake *disk, const char *content)
{
    struct vfs *v = vfs_fake_vfs(disk);

    (void)vfs_mkdir_all(v, "/nn/snap-in", 0700);
    (void)vfs_replace_file(v, "/nn/snap-in/state", content, strlen(content), 0600);
}

static void a_new_directory_has_the_founders_and_keeps_its_identity(void **state)
{
    struct vfs_fake *disk = vfs_fake_new();
    struct data_dir *d;
    struct raft_uuid uuid, cluster = {{7}};
    struct raft_conf founders = conf_of(3);
    struct raft_id other = RAFT_NOBODY;

    (void)state;
    assert_int_equal(open_dir(disk, &d), 0);
    assert_true(data_dir_is_new(d));
    assert_int_equal(members_at(d, 0), 3);
    uuid = data_dir_uuid(d);
    assert_int_equal(data_dir_set_cluster(d, cluster), 0);
    data_dir_close(d);
    assert_int_equal(open_dir(disk, &d), 0);
    assert_false(data_dir_is_new(d));
    assert_memory_equal(data_dir_uuid(d).b, uuid.b, 16);
    assert_memory_equal(data_dir_cluster(d).b, cluster.b, 16);
    data_dir_close(d);
    assert_int_equal(
        data_dir_open(vfs_fake_vfs(disk), "/nn", (struct raft_id){2}, &founders, &d, &other),
        -EXDEV);
    assert_int_equal(other.v, 1);
    vfs_fake_free(disk);
}

static void members_are_those_of_the_time(void **state)
{
    struct vfs_fake *disk = vfs_fake_new();
    struct raft_conf c = conf_of(4);
    struct data_dir *d;

    (void)state;
    assert_int_equal(open_dir(disk, &d), 0);
    assert_int_equal(data_dir_add_members(d, 50, &c), 0);
    c = conf_of(5);
    assert_int_equal(data_dir_add_members(d, 80, &c), 0);
    assert_int_equal(data_dir_add_members(d, 80, &c), 0); /* applied again after a restart */
    data_dir_close(d);
    assert_int_equal(open_dir(disk, &d), 0);
    assert_int_equal(members_at(d, 49), 3);
    assert_int_equal(members_at(d, 50), 4);
    assert_int_equal(members_at(d, 79), 4);
    assert_int_equal(members_at(d, 1000), 5);
    for (unsigned i = 0; i < 40; i++) { /* old ones are forgotten, new ones never */
        c = conf_of(1 + i % 5);
        assert_int_equal(data_dir_add_members(d, 100 + i, &c), 0);
    }
    assert_int_equal(members_at(d, 139), 5);
    assert_int_equal(members_at(d, 138), 4);
    data_dir_close(d);
    vfs_fake_free(disk);
}

/* I10: the old store or the new one, with the point that belongs to it. */
static void a_snapshot_is_installed_in_one_step(void **state)
{
    bool more = true;

    (void)state;
    for (uint64_t cut = 0; more; cut++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct vfs_fake *disk = vfs_fake_new();
            struct raft_point point = {.index = 90, .term = 4, .conf = conf_of(4)};
            struct data_dir *d = NULL;
            struct rng rng;
            char path[600];
            struct vfs_stat st;

            rng_seed(&rng, seed + 100 * cut);
            assert_int_equal(open_dir(disk, &d), 0);
            put_snapshot(disk, "new");
            vfs_fake_set_names_any(disk, seed % 2 == 1);
            vfs_fake_stop_after(disk, cut);
            if (data_dir_install(d, &point) == 0)
                (void)data_dir_remove_old(d);
            more = vfs_fake_is_stopped(disk);
            data_dir_close(d);
            vfs_fake_crash(disk, &rng);
            vfs_fake_stop_after(disk, UINT64_MAX);

            assert_int_equal(open_dir(disk, &d), 0);
            (void)snprintf(path, sizeof(path), "%s/state", data_dir_store(d));
            if (vfs_stat(vfs_fake_vfs(disk), path, &st) == 0)
                assert_int_equal(members_at(d, 90), 4);
            else
                assert_int_equal(members_at(d, 90), 3);
            if (!more)
                assert_int_equal(members_at(d, 90), 4);
            data_dir_close(d);
            vfs_fake_free(disk);
        }
    }
}

/* Of an installation that was killed before CURRENT was synced, then a start, then no power. */
static bool start_after_a_kill(uint64_t cut, uint64_t then, struct rng *rng, bool *ret_more)
{
    CLEANUP(vfs_fake) struct vfs_fake *disk = vfs_fake_new();
    struct raft_point point = {.index = 90, .term = 4, .conf = conf_of(4)};
    struct data_dir *d = NULL;
    struct raft_conf later = conf_of(5);
    struct vfs_stat st;
    char path[600];
    bool was_cut;

    vfs_fake_set_names_any(disk, rng_percent(rng, 50));
    assert_int_equal(open_dir(disk, &d), 0);
    /* So that the start has no members to write, which would sync the directory. */
    assert_int_equal(data_dir_add_members(d, 95, &later), 0);
    assert_int_equal(vfs_mkdir_all(vfs_fake_vfs(disk), data_dir_store(d), 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/state", data_dir_store(d));
    assert_int_equal(vfs_replace_file(vfs_fake_vfs(disk), path, "old", 3, 0600), 0);
    put_snapshot(disk, "new");
    vfs_fake_stop_after(disk, cut);
    (void)data_dir_install(d, &point);
    *ret_more = vfs_fake_is_stopped(disk);
    data_dir_close(STEAL(d));
    vfs_fake_kill(disk);

    vfs_fake_stop_after(disk, then);
    if (open_dir(disk, &d) == 0)
        data_dir_close(STEAL(d));
    was_cut = vfs_fake_is_stopped(disk);
    vfs_fake_crash(disk, rng);

    assert_int_equal(open_dir(disk, &d), 0);
    (void)snprintf(path, sizeof(path), "%s/state", data_dir_store(d));
    assert_int_equal(vfs_stat(vfs_fake_vfs(disk), path, &st), 0);
    data_dir_close(d);
    return was_cut;
}

/* What CURRENT said was only in memory: the store of before would be gone, and the new one not named. */
static void a_store_goes_only_when_the_next_one_is_named_durably(void **state)
{
    struct rng rng;
    bool more = true;

    (void)state;
    rng_seed(&rng, 1);
    for (uint64_t cut = 0; more; cut++) {
        bool was_cut = true;

        for (uint64_t then = 0; was_cut; then++) {
            for (unsigned i = 0; i < 16; i++)
                was_cut = start_after_a_kill(cut, then, &rng, &more);
        }
    }
}

static void a_store_that_diverged_gives_way_to_an_empty_one(void **state)
{
    struct vfs_fake *disk = vfs_fake_new();
    struct raft_point point = {.index = 90, .term = 4, .conf = conf_of(3)};
    struct data_dir *d;
    char before[600];

    (void)state;
    assert_int_equal(open_dir(disk, &d), 0);
    (void)snprintf(before, sizeof(before), "%s", data_dir_store(d));
    assert_int_equal(data_dir_set_diverged(d), 0);
    data_dir_close(d);
    for (unsigned again = 0; again < 2; again++) {
        assert_int_equal(open_dir(disk, &d), 0);
        assert_true(data_dir_is_diverged(d));
        assert_string_not_equal(data_dir_store(d), before);
        assert_int_equal(members_at(d, 0), 3);
        if (again == 0)
            data_dir_close(d);
    }
    put_snapshot(disk, "good");
    assert_int_equal(data_dir_install(d, &point), 0);
    data_dir_close(d);
    assert_int_equal(open_dir(disk, &d), 0);
    assert_false(data_dir_is_diverged(d));
    data_dir_close(d);
    vfs_fake_free(disk);
}

/* Its votes and entries are still there: under a new identity they would be another's. */
static void an_identity_that_is_gone_is_not_made_anew(void **state)
{
    struct vfs_fake *disk = vfs_fake_new();
    struct data_dir *d = NULL;

    (void)state;
    assert_int_equal(open_dir(disk, &d), 0);
    data_dir_close(d);
    assert_int_equal(vfs_mkdir_all(vfs_fake_vfs(disk), "/nn/log", 0700), 0);
    assert_int_equal(vfs_unlink(vfs_fake_vfs(disk), "/nn/identity"), 0);
    assert_int_equal(open_dir(disk, &d), -EBADMSG);
    vfs_fake_free(disk);
}

static void damage_is_found(void **state)
{
    static const char *const files[] = {"/nn/identity", "/nn/members", "/nn/CURRENT"};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct vfs_fake *disk = vfs_fake_new();
        struct data_dir *d = NULL;

        assert_int_equal(open_dir(disk, &d), 0);
        data_dir_close(d);
        assert_int_equal(vfs_fake_flip_bit(disk, files[i], 9, 2), 0);
        assert_int_equal(open_dir(disk, &d), -EBADMSG);
        vfs_fake_free(disk);
    }
}

/* A release to come writes another digit: that is not damage, of which only a copy would help. */
static void what_another_version_wrote_is_refused_as_such(void **state)
{
    static const char *const files[] = {"/nn/identity", "/nn/members", "/nn/CURRENT"};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct vfs_fake *disk = vfs_fake_new();
        struct vfs *v = vfs_fake_vfs(disk);
        CLEANUP_BUF struct buf b = {0};
        struct data_dir *d = NULL;

        assert_int_equal(open_dir(disk, &d), 0);
        data_dir_close(d);
        assert_int_equal(vfs_read_file(v, files[i], 1 << 20, &b), 0);
        b.data[3] = '3';
        assert_int_equal(vfs_replace_file(v, files[i], b.data, b.len, 0600), 0);
        assert_int_equal(open_dir(disk, &d), -EBADMSG); /* One bit flipped. */
        put_le32(b.data + b.len - 4, crc32c(b.data, b.len - 4));
        assert_int_equal(vfs_replace_file(v, files[i], b.data, b.len, 0600), 0);
        assert_int_equal(open_dir(disk, &d), -EPROTONOSUPPORT);
        vfs_fake_free(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_directory_has_the_founders_and_keeps_its_identity),
        cmocka_unit_test(members_are_those_of_the_time),
        cmocka_unit_test(a_snapshot_is_installed_in_one_step),
        cmocka_unit_test(a_store_goes_only_when_the_next_one_is_named_durably),
        cmocka_unit_test(a_store_that_diverged_gives_way_to_an_empty_one),
        cmocka_unit_test(an_identity_that_is_gone_is_not_made_anew),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(what_another_version_wrote_is_refused_as_such),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
