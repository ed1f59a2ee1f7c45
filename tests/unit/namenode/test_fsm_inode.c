/* setattr: who may, and what comes with it. */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/namenode/fsm_fixture.h"

enum {
    MODE = DFS__SETATTR_VALID__SETATTR_MODE,
    UID = DFS__SETATTR_VALID__SETATTR_UID,
    GID = DFS__SETATTR_VALID__SETATTR_GID,
    ATIME = DFS__SETATTR_VALID__SETATTR_ATIME,
    MTIME = DFS__SETATTR_VALID__SETATTR_MTIME,
    ATIME_NOW = DFS__SETATTR_VALID__SETATTR_ATIME_NOW,
    MTIME_NOW = DFS__SETATTR_VALID__SETATTR_MTIME_NOW,
};

static int set(struct fx *f, uint64_t ino, uint32_t valid, uint32_t value)
{
    Dfs__SetattrOp op = DFS__SETATTR_OP__INIT;

    op.ino = ino;
    op.valid = valid;
    op.mode = op.uid = op.gid = value;
    op.atime_ns = op.mtime_ns = value;
    return fx_setattr(f, op);
}

static const Dfs__Attr *got(struct fx *f)
{
    return f->reply->entry->attr;
}

static void owner_changes_mode_and_others_do_not(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");
    int64_t ctime = fx_attr(f, x)->ctime_ns;

    assert_int_equal(set(f, x, UID, 1), 0);
    fx_as(f, 2, 2);
    assert_int_equal(set(f, x, MODE, 0777), -EPERM);
    fx_as(f, 1, 1);
    assert_int_equal(set(f, x, MODE, 0170000 | 04711), 0);
    assert_int_equal(got(f)->mode, S_IFREG | 04711);
    assert_true(got(f)->ctime_ns > ctime);
    assert_int_equal(set(f, 999, MODE, 0), -ESTALE);
}

static void setgid_is_for_members_of_the_group(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    assert_int_equal(set(f, x, UID, 1), 0);
    assert_int_equal(set(f, x, GID, 50), 0);
    fx_as(f, 1, 1);
    assert_int_equal(set(f, x, MODE, 02755), 0);
    assert_int_equal(got(f)->mode, S_IFREG | 0755);
    f->groups[0] = 50;
    f->cred.n_groups = 1;
    assert_int_equal(set(f, x, MODE, 02755), 0);
    assert_int_equal(got(f)->mode, S_IFREG | 02755);
}

static void chown_takes_set_id_bits_away(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), d = fx_dir(f, ROOT, "d");

    assert_int_equal(fx_setxattr(f, x, "security.capability", "caps", 0), 0);
    assert_int_equal(set(f, x, MODE, 06755), 0);
    assert_int_equal(set(f, x, UID, 7), 0); /* By root, too. */
    assert_int_equal(got(f)->mode, S_IFREG | 0755);
    assert_false(got(f)->has_xattr);
    assert_int_equal(set(f, x, MODE, 02644), 0);
    assert_int_equal(set(f, x, GID, 7), 0);
    assert_int_equal(got(f)->mode,
                     S_IFREG | 02644); /* Not executable by the group: no privilege. */
    assert_int_equal(set(f, d, MODE, 02755), 0);
    assert_int_equal(set(f, d, GID, 7), 0);
    assert_int_equal(got(f)->mode, S_IFDIR | 02755);
}

static void chown_is_roots_and_chgrp_is_for_own_groups(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    assert_int_equal(set(f, x, UID, 1), 0);
    assert_int_equal(set(f, x, GID, 1), 0);
    fx_as(f, 1, 1);
    f->groups[0] = 50;
    f->cred.n_groups = 1;
    assert_int_equal(set(f, x, UID, 2), -EPERM);
    assert_int_equal(set(f, x, UID, 1), 0);
    assert_int_equal(set(f, x, GID, 51), -EPERM);
    assert_int_equal(set(f, x, GID, 50), 0);
    assert_int_equal(got(f)->gid, 50);
    fx_as(f, 3, 50);
    assert_int_equal(set(f, x, GID, 50), -EPERM);
}

static void times_are_set_to_the_nanosecond(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");
    Dfs__SetattrOp op = DFS__SETATTR_OP__INIT;

    op.ino = x;
    op.valid = ATIME | MTIME;
    op.atime_ns = -1;
    op.mtime_ns = 1234567890123456789;
    assert_int_equal(fx_setattr(f, op), 0);
    assert_int_equal(got(f)->atime_ns, -1);
    assert_int_equal(got(f)->mtime_ns, 1234567890123456789);
    assert_true(got(f)->ctime_ns >= 1000000000 && got(f)->ctime_ns <= f->time_ns);
    assert_int_equal(set(f, x, MTIME_NOW, 0), 0);
    assert_int_equal(got(f)->atime_ns, -1);
    assert_int_equal(got(f)->mtime_ns, got(f)->ctime_ns);
}

static void who_may_write_may_touch(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    assert_int_equal(set(f, x, MODE, 0666), 0);
    fx_as(f, 1, 1);
    assert_int_equal(set(f, x, ATIME_NOW | MTIME_NOW, 0), 0);
    assert_int_equal(set(f, x, MTIME_NOW, 0), -EPERM);
    assert_int_equal(set(f, x, ATIME | MTIME_NOW, 0), -EPERM);
    fx_as(f, 0, 0);
    assert_int_equal(set(f, x, MODE, 0644), 0);
    fx_as(f, 1, 1);
    assert_int_equal(set(f, x, ATIME_NOW | MTIME_NOW, 0), -EACCES);
}

static void time_never_stands_or_goes_back(void **state)
{
    struct fx *f = *state;
    int64_t first, second;

    f->time_ns = 5000000000;
    assert_int_equal(fx_create(f, ROOT, "a", S_IFREG), 0);
    first = got(f)->ctime_ns;
    f->time_ns = 1; /* A leader with an older clock. */
    assert_int_equal(fx_create(f, ROOT, "b", S_IFREG), 0);
    second = got(f)->ctime_ns;
    assert_int_equal(second, first + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(owner_changes_mode_and_others_do_not),
        ON_BOTH_STORES(setgid_is_for_members_of_the_group),
        ON_BOTH_STORES(chown_takes_set_id_bits_away),
        ON_BOTH_STORES(chown_is_roots_and_chgrp_is_for_own_groups),
        ON_BOTH_STORES(times_are_set_to_the_nanosecond),
        ON_BOTH_STORES(who_may_write_may_touch),
        ON_BOTH_STORES(time_never_stands_or_goes_back),
    };

    return cmocka_run_group_tests_name("fsm_inode", tests, NULL, NULL);
}
