/* Permission rules, as tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "namenode/perm.h"

static const uint32_t groups[] = {20, 30};
static const struct cred root = {.uid = 0, .gid = 0};
static const struct cred owner = {.uid = 1, .gid = 10};
static const struct cred member = {.uid = 2, .gid = 11, .groups = groups, .group_count = 2};
static const struct cred other = {.uid = 3, .gid = 12};

static struct inode_rec inode(uint32_t mode)
{
    return (struct inode_rec){.mode = mode, .uid = 1, .gid = 20};
}

static void the_first_class_that_fits_decides(void **state)
{
    struct inode_rec i = inode(S_IFREG | 0047);

    (void)state;
    assert_int_equal(perm_access(&owner, &i, PERM_READ), -EACCES);
    assert_int_equal(perm_access(&member, &i, PERM_READ), 0);
    assert_int_equal(perm_access(&member, &i, PERM_READ | PERM_WRITE), -EACCES);
    assert_int_equal(perm_access(&other, &i, PERM_READ | PERM_WRITE | PERM_EXEC), 0);
}

static void root_passes_but_does_not_run_what_nobody_runs(void **state)
{
    struct inode_rec file = inode(S_IFREG | 0), runs = inode(S_IFREG | 0001),
                     dir = inode(S_IFDIR | 0);

    (void)state;
    assert_int_equal(perm_access(&root, &file, PERM_READ | PERM_WRITE), 0);
    assert_int_equal(perm_access(&root, &file, PERM_EXEC), -EACCES);
    assert_int_equal(perm_access(&root, &runs, PERM_EXEC), 0);
    assert_int_equal(perm_access(&root, &dir, PERM_EXEC | PERM_WRITE), 0);
}

static void what_the_kernel_checked_passes(void **state)
{
    struct cred c = other;
    struct inode_rec dir = inode(S_IFDIR | 01000), victim = inode(S_IFREG);

    (void)state;
    assert_int_equal(perm_remove(&c, &dir, &victim), -EACCES);
    c.checked = true;
    assert_int_equal(perm_access(&c, &dir, 7), 0);
    assert_int_equal(perm_remove(&c, &dir, &victim), 0);
}

static void sticky_directory_knows_three_who_may_remove(void **state)
{
    struct inode_rec dir = inode(S_IFDIR | 01777), victim = inode(S_IFREG);

    (void)state;
    victim.uid = member.uid;
    assert_int_equal(perm_remove(&owner, &dir, &victim), 0);
    assert_int_equal(perm_remove(&member, &dir, &victim), 0);
    assert_int_equal(perm_remove(&root, &dir, &victim), 0);
    assert_int_equal(perm_remove(&other, &dir, &victim), -EPERM);
    dir.mode &= ~(uint32_t)S_ISVTX;
    assert_int_equal(perm_remove(&other, &dir, &victim), 0);
}

static void set_id_bits_go_when_another_writes(void **state)
{
    struct inode_rec i = inode(S_IFREG | 06777), data = inode(S_IFREG | 06767);

    (void)state;
    assert_int_equal(perm_mode_without_setid(&other, &i, false), S_IFREG | 0777);
    assert_int_equal(perm_mode_without_setid(&root, &i, false), S_IFREG | 06777);
    assert_int_equal(perm_mode_without_setid(&root, &i, true), S_IFREG | 0777);
    assert_int_equal(perm_mode_without_setid(&member, &data, false), S_IFREG | 02767);
    assert_int_equal(perm_mode_without_setid(&other, &data, false), S_IFREG | 0767);
}

static void request_without_a_credential_is_nobodys(void **state)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    struct cred c;

    (void)state;
    req.session = 5;
    c = cred_of(&req);
    assert_int_equal(c.uid, 65534);
    assert_false(c.checked);
    req.session = 0; /* The leader's own. */
    c = cred_of(&req);
    assert_true(c.checked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_class_that_fits_decides),
        cmocka_unit_test(root_passes_but_does_not_run_what_nobody_runs),
        cmocka_unit_test(what_the_kernel_checked_passes),
        cmocka_unit_test(sticky_directory_knows_three_who_may_remove),
        cmocka_unit_test(set_id_bits_go_when_another_writes),
        cmocka_unit_test(request_without_a_credential_is_nobodys),
    };

    return cmocka_run_group_tests_name("perm", tests, NULL, NULL);
}
