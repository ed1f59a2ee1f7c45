/* Extended attributes. */
#include <errno.h>
#include <linux/xattr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/namenode/fsm_fixture.h"

static int get(struct fx *f, uint64_t ino, const char *name)
{
    REQ(GETXATTR, getxattr, DFS__GETXATTR_OP__INIT);

    body.ino = ino;
    body.name = bytes_of(name);
    return fx_read(f, &req);
}

static int list(struct fx *f, uint64_t ino)
{
    REQ(LISTXATTR, listxattr, DFS__LISTXATTR_OP__INIT);

    body.ino = ino;
    assert_int_equal(fx_read(f, &req), 0);
    return (int)f->reply->names->n_names;
}

static int remove_xattr(struct fx *f, uint64_t ino, const char *name)
{
    REQ(REMOVEXATTR, removexattr, DFS__REMOVEXATTR_OP__INIT);

    body.ino = ino;
    body.name = bytes_of(name);
    return fx_apply(f, &req);
}

static void value_is_kept_replaced_and_removed(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");
    int64_t ctime = fx_attr(f, x)->ctime_ns;

    assert_int_equal(get(f, x, "user.a"), -ENODATA);
    assert_int_equal(fx_setxattr(f, x, "user.a", "one", 0), 0);
    assert_true(f->reply->entry->attr->has_xattr);
    assert_true(f->reply->entry->attr->ctime_ns > ctime);
    assert_int_equal(fx_setxattr(f, x, "user.b", "", 0), 0);
    assert_int_equal(get(f, x, "user.a"), 0);
    assert_memory_equal(f->reply->value->value.data, "one", 3);
    assert_int_equal(get(f, x, "user.b"), 0);
    assert_int_equal(f->reply->value->value.len, 0);
    assert_int_equal(list(f, x), 2);
    assert_memory_equal(f->reply->names->names[0].data, "user.a", 6);
    assert_int_equal(fx_setxattr(f, x, "user.a", "longer", 0), 0);
    assert_int_equal(get(f, x, "user.a"), 0);
    assert_int_equal(f->reply->value->value.len, 6);
    assert_int_equal(remove_xattr(f, x, "user.a"), 0);
    assert_int_equal(remove_xattr(f, x, "user.a"), -ENODATA);
    assert_int_equal(remove_xattr(f, x, "user.b"), 0);
    assert_false(f->reply->entry->attr->has_xattr);
    assert_int_equal(list(f, x), 0);
    fx_check_tree(f);
}

static void create_and_replace_flags_hold(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    assert_int_equal(fx_setxattr(f, x, "user.a", "1", XATTR_REPLACE), -ENODATA);
    assert_int_equal(fx_setxattr(f, x, "user.a", "1", XATTR_CREATE), 0);
    assert_int_equal(fx_setxattr(f, x, "user.a", "2", XATTR_CREATE), -EEXIST);
    assert_int_equal(fx_setxattr(f, x, "user.a", "2", XATTR_REPLACE), 0);
    assert_int_equal(fx_setxattr(f, x, "user.a", "2", 4), -EINVAL);
}

static void sizes_are_limited(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");
    char *big = calloc(1, 65538), name[300];

    memset(big, 'v', 65537);
    assert_int_equal(fx_setxattr(f, x, "user.a", big, 0), -E2BIG);
    big[60000] = '\0';
    assert_int_equal(fx_setxattr(f, x, "user.a", big, 0), 0);
    assert_int_equal(get(f, x, "user.a"), 0);
    assert_int_equal(f->reply->value->value.len, 60000);
    assert_int_equal(fx_setxattr(f, x, "user.b", big, 0), -ENOSPC);
    assert_int_equal(fx_setxattr(f, x, "user.a", big, 0), 0);
    memset(name, 'n', sizeof(name));
    memcpy(name, "user.", 5);
    name[256] = '\0';
    assert_int_equal(fx_setxattr(f, x, name, "v", 0), -ERANGE);
    name[255] = '\0';
    assert_int_equal(fx_setxattr(f, x, name, "v", 0), 0);
    assert_int_equal(fx_setxattr(f, x, "", "v", 0), -ERANGE);
    free(big);
}

static void name_spaces_have_their_rules(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), s;

    assert_int_equal(fx_symlink(f, ROOT, "s", "x"), 0);
    s = f->reply->entry->attr->ino;
    assert_int_equal(fx_setxattr(f, s, "user.a", "1", 0), -EPERM);
    assert_int_equal(get(f, s, "user.a"), -ENODATA);
    assert_int_equal(fx_setxattr(f, s, "trusted.a", "1", 0), 0);
    assert_int_equal(fx_setxattr(f, x, "system.posix_acl_access", "1", 0), -EOPNOTSUPP);
    assert_int_equal(fx_setxattr(f, x, "odd", "1", 0), -EOPNOTSUPP);
    assert_int_equal(fx_setxattr(f, x, "user.", "1", 0), -EINVAL);
    assert_int_equal(fx_setxattr(f, x, "trusted.a", "1", 0), 0);
    assert_int_equal(fx_setxattr(f, x, "security.a", "1", 0), 0);
    assert_int_equal(list(f, x), 2);
    fx_as(f, 1, 1);
    assert_int_equal(fx_setxattr(f, x, "user.a", "1", 0), -EACCES);
    assert_int_equal(fx_setxattr(f, x, "security.a", "1", 0), -EPERM);
    assert_int_equal(fx_setxattr(f, x, "trusted.a", "1", 0), -EPERM);
    assert_int_equal(get(f, x, "trusted.a"), -ENODATA);
    assert_int_equal(get(f, x, "security.a"), 0);
    assert_int_equal(list(f, x), 1);
}

static void reaping_leaves_nothing_behind(void **state)
{
    struct fx *f = *state;
    uint64_t before, x;
    struct kv_iter *it;

    x = fx_file(f, ROOT, "x");
    before = x;
    assert_int_equal(fx_setxattr(f, x, "user.a", "1", 0), 0);
    assert_int_equal(fx_setxattr(f, x, "user.b", "2", 0), 0);
    assert_int_equal(fx_unlink(f, ROOT, "x"), 0);
    assert_int_equal(fx_reap(f, before, 1), 0);
    assert_int_equal(kv_iter_new(f->kv, "", 0, &it), 0);
    assert_int_equal(kv_iter_seek(it, "X", 1), 0);
    assert_true(!it->valid || it->key[0] != 'X');
    kv_iter_free(it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(value_is_kept_replaced_and_removed),
        ON_BOTH_STORES(create_and_replace_flags_hold),
        ON_BOTH_STORES(sizes_are_limited),
        ON_BOTH_STORES(name_spaces_have_their_rules),
        ON_BOTH_STORES(reaping_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("fsm_xattr", tests, NULL, NULL);
}
