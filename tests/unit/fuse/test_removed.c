/* What a mount remembers of directories that it has removed while somebody is still in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fuse/removed.h"

enum { REMEMBERED_MAX = 4096 };

static int set_up(void **state)
{
    static struct mount m;

    m = (struct mount){.removed = NULL};
    *state = &m;
    return 0;
}

static int tear_down(void **state)
{
    removed_clear(*state);
    return 0;
}

static void add(struct mount *m, uint64_t ino, uint32_t mode)
{
    const struct ll_attr attr = {.ino = {ino}, .mode = mode};

    removed_add(m, &attr);
}

static const struct ll_attr *find(const struct mount *m, uint64_t ino)
{
    return removed_find(m, (struct ino){ino});
}

static void what_was_removed_is_found_as_it_was(void **state)
{
    struct mount *m = *state;

    assert_null(find(m, 5));
    add(m, 5, S_IFDIR | 0750);
    add(m, 6, S_IFIFO | 0600);
    assert_non_null(find(m, 5));
    assert_int_equal(find(m, 5)->ino.v, 5);
    assert_int_equal(find(m, 5)->mode, S_IFDIR | 0750);
    assert_int_equal(find(m, 5)->nlink, 0);
    assert_int_equal(find(m, 6)->mode, S_IFIFO | 0600);
    assert_null(find(m, 7));
}

/* Else a mount that lives for a year would remember each directory of its life. */
static void what_the_kernel_forgets_is_forgotten(void **state)
{
    struct mount *m = *state;

    removed_forget(m, (struct ino){5}); /* Most of what the kernel forgets was never removed. */
    add(m, 5, S_IFDIR);
    add(m, 6, S_IFDIR);
    removed_forget(m, (struct ino){7});
    removed_forget(m, (struct ino){5});
    assert_null(find(m, 5));
    assert_non_null(find(m, 6));
    removed_forget(m, (struct ino){5});
    removed_forget(m, (struct ino){6});
    assert_null(find(m, 6));
}

/* Inode numbers are never used twice: the first word about one is what it was. */
static void the_same_one_twice_is_one(void **state)
{
    struct mount *m = *state;

    add(m, 5, S_IFDIR | 0700);
    add(m, 5, S_IFDIR | 0755);
    assert_int_equal(find(m, 5)->mode, S_IFDIR | 0700);
    removed_forget(m, (struct ino){5});
    assert_null(find(m, 5));
}

/* A program that holds ever more of them costs the mount only so much memory. */
static void the_oldest_goes_when_there_are_too_many(void **state)
{
    struct mount *m = *state;

    for (uint64_t i = 0; i < REMEMBERED_MAX; i++)
        add(m, 100 + i, S_IFDIR);
    assert_non_null(find(m, 100));
    add(m, 100, S_IFDIR); /* No newer one: nothing goes for it. */
    assert_non_null(find(m, 101));
    add(m, 100 + REMEMBERED_MAX, S_IFDIR);
    assert_null(find(m, 100));
    for (uint64_t i = 1; i <= REMEMBERED_MAX; i++)
        assert_non_null(find(m, 100 + i));
}

static void a_mount_that_ends_forgets_all(void **state)
{
    struct mount *m = *state;

    removed_clear(m);
    add(m, 5, S_IFDIR);
    add(m, 6, S_IFDIR);
    removed_clear(m);
    assert_null(find(m, 5));
    assert_null(m->removed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_removed_is_found_as_it_was), TEST(what_the_kernel_forgets_is_forgotten),
        TEST(the_same_one_twice_is_one),           TEST(the_oldest_goes_when_there_are_too_many),
        TEST(a_mount_that_ends_forgets_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
