/* rename in all its forms. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/namenode/fsm_fixture.h"

enum { NOREPLACE = 1, EXCHANGE = 2 };

static uint64_t ino_of(struct fx *f, uint64_t parent, const char *name)
{
    return fx_lookup(f, parent, name) == 0 ? f->reply->entry->attr->ino : 0;
}

static void file_moves_and_both_directories_notice(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, ROOT, "b"), x = fx_file(f, a, "x");
    int64_t before = f->time_ns, mtime = fx_attr(f, x)->mtime_ns;

    assert_int_equal(fx_rename(f, a, "x", b, "y", 0), 0);
    assert_int_equal(f->reply->entry->attr->ino, x);
    assert_true(f->reply->entry->attr->ctime_ns > before);
    assert_int_equal(f->reply->entry->attr->mtime_ns, mtime);
    assert_int_equal(ino_of(f, b, "y"), x);
    assert_int_equal(ino_of(f, a, "x"), 0);
    assert_true(fx_attr(f, a)->mtime_ns > before);
    assert_true(fx_attr(f, b)->ctime_ns > before);
    fx_check_tree(f);
}

static void directory_takes_its_link_with_it(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, ROOT, "b");

    fx_dir(f, a, "sub");
    assert_int_equal(fx_rename(f, a, "sub", b, "sub", 0), 0);
    assert_int_equal(fx_attr(f, a)->nlink, 2);
    assert_int_equal(fx_attr(f, b)->nlink, 3);
    fx_check_tree(f);
}

static void target_is_replaced_and_freed(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), y = fx_file(f, ROOT, "y");

    assert_int_equal(fx_rename(f, ROOT, "x", ROOT, "y", 0), 0);
    assert_int_equal(ino_of(f, ROOT, "y"), x);
    assert_int_equal(fx_attr(f, y)->nlink, 0);
    fx_check_tree(f);
    assert_int_equal(fx_reap(f, y, 1), 0);
    fx_check_tree(f);
}

static void empty_directory_is_replaced_by_a_directory_only(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, ROOT, "b");

    fx_file(f, ROOT, "x");
    fx_file(f, b, "in");
    assert_int_equal(fx_rename(f, ROOT, "x", ROOT, "a", 0), -EISDIR);
    assert_int_equal(fx_rename(f, ROOT, "a", ROOT, "x", 0), -ENOTDIR);
    assert_int_equal(fx_rename(f, ROOT, "a", ROOT, "b", 0), -ENOTEMPTY);
    assert_int_equal(fx_unlink(f, b, "in"), 0);
    assert_int_equal(fx_rename(f, ROOT, "a", ROOT, "b", 0), 0);
    assert_int_equal(ino_of(f, ROOT, "b"), a);
    assert_int_equal(fx_attr(f, ROOT)->nlink, 3);
    fx_check_tree(f);
}

static void two_names_of_one_file_both_stay(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");
    int64_t ctime;

    assert_int_equal(fx_link(f, x, ROOT, "y"), 0);
    ctime = fx_attr(f, x)->ctime_ns;
    assert_int_equal(fx_rename(f, ROOT, "x", ROOT, "y", 0), 0);
    assert_int_equal(fx_rename(f, ROOT, "x", ROOT, "x", 0), 0);
    assert_int_equal(ino_of(f, ROOT, "x"), x);
    assert_int_equal(ino_of(f, ROOT, "y"), x);
    assert_int_equal(fx_attr(f, x)->ctime_ns, ctime);
    assert_int_equal(fx_rename(f, ROOT, "x", ROOT, "y", NOREPLACE), -EEXIST);
}

static void directory_does_not_go_into_itself(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, a, "b"), c = fx_dir(f, b, "c");

    assert_int_equal(fx_rename(f, ROOT, "a", a, "x", 0), -EINVAL);
    assert_int_equal(fx_rename(f, ROOT, "a", c, "x", 0), -EINVAL);
    assert_int_equal(fx_rename(f, b, "c", ROOT, "a", 0), -ENOTEMPTY);
    fx_file(f, c, "x");
    assert_int_equal(fx_rename(f, c, "x", a, "b", 0), -ENOTEMPTY);
    assert_int_equal(fx_rename(f, b, "c", ROOT, "a", EXCHANGE), -EINVAL);
    assert_int_equal(fx_rename(f, ROOT, "a", b, "c", EXCHANGE), -EINVAL);
    fx_check_tree(f);
}

static void exchange_swaps_anything(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, ROOT, "b");
    uint64_t file = fx_file(f, a, "file"), sub = fx_dir(f, b, "sub");

    fx_file(f, sub, "content");
    assert_int_equal(fx_rename(f, a, "file", b, "none", EXCHANGE), -ENOENT);
    assert_int_equal(fx_rename(f, a, "file", b, "sub", EXCHANGE), 0);
    assert_int_equal(ino_of(f, a, "file"), sub);
    assert_int_equal(ino_of(f, b, "sub"), file);
    assert_int_equal(fx_attr(f, a)->nlink, 3);
    assert_int_equal(fx_attr(f, b)->nlink, 2);
    fx_check_tree(f);
    assert_int_equal(fx_rename(f, ROOT, "a", ROOT, "b", EXCHANGE), 0);
    assert_int_equal(ino_of(f, ROOT, "b"), a);
    fx_check_tree(f);
}

static void flags_are_checked(void **state)
{
    struct fx *f = *state;

    fx_file(f, ROOT, "x");
    fx_file(f, ROOT, "y");
    assert_int_equal(fx_rename(f, ROOT, "x", ROOT, "y", NOREPLACE), -EEXIST);
    assert_int_equal(fx_rename(f, ROOT, "x", ROOT, "z", NOREPLACE), 0);
    assert_int_equal(fx_rename(f, ROOT, "z", ROOT, "y", NOREPLACE | EXCHANGE), -EINVAL);
    assert_int_equal(fx_rename(f, ROOT, "z", ROOT, "y", 4), -EINVAL);
    assert_int_equal(fx_rename(f, ROOT, "none", ROOT, "y", 0), -ENOENT);
    assert_int_equal(fx_rename(f, ROOT, "none", ROOT, "y", NOREPLACE), -ENOENT);
}

static void permissions_of_both_sides_count(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, ROOT, "b");
    Dfs__SetattrOp op = DFS__SETATTR_OP__INIT;

    fx_file(f, a, "x");
    fx_dir(f, a, "sub");
    op.valid = DFS__SETATTR_VALID__SETATTR_MODE;
    op.ino = a;
    op.mode = 0777;
    assert_int_equal(fx_setattr(f, op), 0);
    fx_as(f, 1, 1);
    assert_int_equal(fx_rename(f, a, "x", b, "x", 0), -EACCES);
    assert_int_equal(fx_rename(f, b, "x", a, "x", 0), -ENOENT);
    fx_as(f, 0, 0);
    op.ino = b;
    assert_int_equal(fx_setattr(f, op), 0);
    fx_as(f, 1, 1);
    assert_int_equal(fx_rename(f, a, "x", b, "x", 0), 0);
    /* Its ".." would change, and he may not write to it. */
    assert_int_equal(fx_rename(f, a, "sub", b, "sub", 0), -EACCES);
    assert_int_equal(fx_rename(f, a, "sub", a, "sub2", 0), 0);
    fx_check_tree(f);
}

/* Entries name their directory by its number: what is in it need not be touched when it moves. */
static void a_directory_moves_at_the_same_cost_whatever_is_in_it(void **state)
{
    enum { FILES = 10000 };
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, ROOT, "b"), d = fx_dir(f, a, "d");
    struct fx_kv_counts one, many;
    char name[16];

    fx_file(f, d, "f");
    fx_count_kv(f);
    assert_int_equal(fx_rename(f, a, "d", b, "e", 0), 0);
    one = fx_kv_counts();
    assert_int_equal(fx_rename(f, b, "e", a, "d", 0), 0);
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof(name), "f%u", i);
        fx_file(f, d, name);
    }
    fx_count_kv(f);
    assert_int_equal(fx_rename(f, a, "d", b, "e", 0), 0);
    many = fx_kv_counts();
    assert_int_equal(many.gets, one.gets);
    assert_int_equal(many.scans, 0);
    assert_int_equal(one.scans, 0);
    assert_int_equal(many.changes, one.changes);
    assert_in_range(many.changes, 5, 10);
    assert_int_equal(fx_lookup(f, d, "f9999"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(file_moves_and_both_directories_notice),
        ON_BOTH_STORES(directory_takes_its_link_with_it),
        ON_BOTH_STORES(target_is_replaced_and_freed),
        ON_BOTH_STORES(empty_directory_is_replaced_by_a_directory_only),
        ON_BOTH_STORES(two_names_of_one_file_both_stay),
        ON_BOTH_STORES(directory_does_not_go_into_itself),
        ON_BOTH_STORES(exchange_swaps_anything),
        ON_BOTH_STORES(flags_are_checked),
        ON_BOTH_STORES(permissions_of_both_sides_count),
        ON_BOTH_STORES(a_directory_moves_at_the_same_cost_whatever_is_in_it),
    };

    return cmocka_run_group_tests_name("fsm_rename", tests, NULL, NULL);
}
