/* create, link, unlink, rmdir: errors in Linux's order, times, link counts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm.h"
#include "tests/unit/namenode/fsm_fixture.h"

static void created_file_has_the_attributes_of_its_request(void **state)
{
    struct fx *f = *state;
    const Dfs__Attr *a;

    fx_as(f, 1000, 100);
    f->cred.kernel_checked = true;
    assert_int_equal(fx_create(f, ROOT, "a", S_IFREG | 04751), 0);
    assert_true(f->reply->entry->created);
    a = f->reply->entry->attr;
    assert_int_equal(a->ino, 2);
    assert_int_equal(a->mode, S_IFREG | 04751);
    assert_int_equal(a->uid, 1000);
    assert_int_equal(a->gid, 100);
    assert_int_equal(a->nlink, 1);
    assert_int_equal(a->size, 0);
    assert_false(a->is_inline);
    assert_true(a->atime_ns == a->mtime_ns && a->mtime_ns == a->ctime_ns &&
                a->ctime_ns == a->btime_ns);
    fx_check_tree(f);
}

static void create_moves_times_and_version_of_the_parent(void **state)
{
    struct fx *f = *state;
    int64_t before = fx_attr(f, ROOT)->mtime_ns;
    uint64_t version = f->reply->entry->attr->dir_version;
    const Dfs__Attr *a;

    fx_file(f, ROOT, "a");
    a = fx_attr(f, ROOT);
    assert_true(a->mtime_ns > before);
    assert_int_equal(a->mtime_ns, a->ctime_ns);
    assert_true(a->dir_version > version);
    assert_int_equal(a->nlink, 2);
    assert_int_equal(a->size, FSM_DIR_SIZE);
}

static void mkdir_counts_in_the_parents_links(void **state)
{
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d");

    assert_int_equal(fx_attr(f, ROOT)->nlink, 3);
    assert_int_equal(fx_attr(f, d)->nlink, 2);
    fx_dir(f, d, "e");
    assert_int_equal(fx_attr(f, d)->nlink, 3);
    assert_int_equal(fx_rmdir(f, d, "e"), 0);
    assert_int_equal(f->reply->entry->attr->nlink, 0);
    assert_int_equal(fx_attr(f, d)->nlink, 2);
    fx_check_tree(f);
}

static void names_are_checked(void **state)
{
    struct fx *f = *state;
    char name[257];

    memset(name, 'n', sizeof(name) - 1);
    name[256] = '\0';
    assert_int_equal(fx_create(f, ROOT, name, S_IFREG), -ENAMETOOLONG);
    assert_int_equal(fx_lookup(f, ROOT, name), -ENAMETOOLONG);
    assert_int_equal(fx_unlink(f, ROOT, name), -ENAMETOOLONG);
    name[255] = '\0';
    assert_int_equal(fx_create(f, ROOT, name, S_IFREG), 0);
    assert_int_equal(fx_lookup(f, ROOT, name), 0);
    assert_int_equal(fx_create(f, ROOT, "", S_IFREG), -EINVAL);
    assert_int_equal(fx_create(f, ROOT, ".", S_IFREG), -EINVAL);
    assert_int_equal(fx_create(f, ROOT, "..", S_IFDIR), -EINVAL);
    assert_int_equal(fx_create(f, ROOT, "a/b", S_IFREG), -EINVAL);
    assert_int_equal(fx_create(f, ROOT, "...", S_IFREG), 0);
    assert_int_equal(fx_rmdir(f, ROOT, "."), -EINVAL);
}

static void create_checks_parent_before_name_and_existence_before_permission(void **state)
{
    struct fx *f = *state;
    uint64_t file = fx_file(f, ROOT, "file");
    uint64_t d = fx_dir(f, ROOT, "d");
    char name[300];

    memset(name, 'n', sizeof(name) - 1);
    name[299] = '\0';
    fx_file(f, d, "x");
    assert_int_equal(fx_create(f, 999, "a", S_IFREG), -ESTALE);
    assert_int_equal(fx_create(f, file, name, S_IFREG), -ENOTDIR);
    fx_as(f, 1, 1);
    assert_int_equal(fx_create(f, d, "x", S_IFDIR), -EEXIST);
    assert_int_equal(fx_create(f, d, "y", S_IFDIR), -EACCES);
    assert_int_equal(fx_create(f, d, name, S_IFDIR), -ENAMETOOLONG);
}

static void create_without_exclusive_gives_the_file_that_is_there(void **state)
{
    struct fx *f = *state;
    uint64_t ino = fx_file(f, ROOT, "a");
    REQ(CREATE, create, DFS__CREATE_OP__INIT);

    assert_int_equal(fx_write_inline(f, ino, "hello"), 0);
    fx_dir(f, ROOT, "d");
    assert_int_equal(fx_symlink(f, ROOT, "s", "a"), 0);
    body.parent = ROOT;
    body.mode = S_IFREG | 0600;
    body.open = true;
    body.name = bytes_of("a");
    assert_int_equal(fx_apply(f, &req), 0);
    assert_false(f->reply->entry->created);
    assert_int_equal(f->reply->entry->attr->ino, ino);
    assert_true(f->reply->entry->has_inline);
    assert_int_equal(f->reply->entry->inline_data.len, 5);
    body.name = bytes_of("d");
    assert_int_equal(fx_apply(f, &req), -EISDIR);
    body.name = bytes_of("s");
    assert_int_equal(fx_apply(f, &req), -EEXIST);
    body.mode = S_IFDIR;
    body.name = bytes_of("d");
    assert_int_equal(fx_apply(f, &req), -EEXIST);
}

static void special_files_need_root(void **state)
{
    struct fx *f = *state;
    Dfs__SetattrOp chmod = DFS__SETATTR_OP__INIT;
    REQ(CREATE, create, DFS__CREATE_OP__INIT);

    chmod.ino = ROOT;
    chmod.valid = DFS__SETATTR_VALID__SETATTR_MODE;
    chmod.mode = 0777;
    assert_int_equal(fx_setattr(f, chmod), 0);
    fx_as(f, 1, 1);
    assert_int_equal(fx_create(f, ROOT, "fifo", S_IFIFO | 0600), 0);
    assert_int_equal(fx_create(f, ROOT, "sock", S_IFSOCK | 0600), 0);
    body.parent = ROOT;
    body.mode = S_IFCHR | 0600;
    body.rdev = 0x0103;
    body.name = bytes_of("null");
    assert_int_equal(fx_apply(f, &req), -EPERM);
    fx_as(f, 0, 0);
    req.cred = NULL;
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(f->reply->entry->attr->rdev, 0x0103);
    assert_int_equal(fx_create(f, ROOT, "odd", 0110000), -EINVAL);
}

static void symlink_keeps_its_target(void **state)
{
    struct fx *f = *state;
    char target[4097];
    REQ(READLINK, readlink, DFS__READLINK_OP__INIT);

    memset(target, 't', sizeof(target) - 1);
    target[4096] = '\0';
    assert_int_equal(fx_symlink(f, ROOT, "s", ""), -ENOENT);
    assert_int_equal(fx_symlink(f, ROOT, "s", target), -ENAMETOOLONG);
    target[4095] = '\0';
    assert_int_equal(fx_symlink(f, ROOT, "s", target), 0);
    assert_int_equal(f->reply->entry->attr->size, 4095);
    assert_int_equal(f->reply->entry->attr->mode, S_IFLNK | 0777);
    body.ino = f->reply->entry->attr->ino;
    assert_int_equal(fx_read(f, &req), 0);
    assert_int_equal(f->reply->value->value.len, 4095);
    assert_memory_equal(f->reply->value->value.data, target, 4095);
    body.ino = ROOT;
    assert_int_equal(fx_read(f, &req), -EINVAL);
}

static void setgid_directory_hands_its_group_down(void **state)
{
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d");
    Dfs__SetattrOp op = DFS__SETATTR_OP__INIT;

    op.ino = d;
    op.valid = DFS__SETATTR_VALID__SETATTR_MODE | DFS__SETATTR_VALID__SETATTR_GID;
    op.mode = 02777;
    op.gid = 77;
    assert_int_equal(fx_setattr(f, op), 0);
    fx_as(f, 5, 5);
    assert_int_equal(fx_create(f, d, "sub", S_IFDIR | 0755), 0);
    assert_int_equal(f->reply->entry->attr->gid, 77);
    assert_int_equal(f->reply->entry->attr->mode, S_IFDIR | 02755);
    assert_int_equal(fx_create(f, d, "file", S_IFREG | 02755), 0);
    assert_int_equal(f->reply->entry->attr->gid, 77);
    assert_int_equal(f->reply->entry->attr->mode, S_IFREG | 0755); /* He is not in the group. */
}

static void link_adds_a_name_and_changes_ctime_alone(void **state)
{
    struct fx *f = *state;
    uint64_t ino = fx_file(f, ROOT, "a");
    uint64_t d = fx_dir(f, ROOT, "d");
    int64_t mtime = fx_attr(f, ino)->mtime_ns;

    assert_int_equal(fx_link(f, ino, d, "b"), 0);
    assert_int_equal(f->reply->entry->attr->nlink, 2);
    assert_int_equal(f->reply->entry->attr->mtime_ns, mtime);
    assert_true(f->reply->entry->attr->ctime_ns > mtime);
    assert_int_equal(fx_link(f, ino, d, "b"), -EEXIST);
    assert_int_equal(fx_link(f, d, ROOT, "e"), -EPERM);
    assert_int_equal(fx_link(f, 999, ROOT, "e"), -ESTALE);
    assert_int_equal(fx_unlink(f, ROOT, "a"), 0);
    assert_int_equal(fx_lookup(f, d, "b"), 0);
    assert_int_equal(f->reply->entry->attr->nlink, 1);
    fx_check_tree(f);
}

static void unlinked_inode_lives_until_it_is_reaped(void **state)
{
    struct fx *f = *state;
    uint64_t ino = fx_file(f, ROOT, "a"), listed[4];
    size_t count;

    assert_int_equal(fx_write_inline(f, ino, "still here"), 0);
    assert_int_equal(fx_unlink(f, ROOT, "a"), 0);
    assert_int_equal(f->reply->entry->attr->nlink, 0);
    assert_int_equal(f->event_count, 1);
    assert_int_equal(f->events[0].kind, FSM_EVENT_UNLINKED);
    assert_int_equal(f->events[0].id, ino);
    assert_int_equal(fx_lookup(f, ROOT, "a"), -ENOENT);
    assert_int_equal(fx_open(f, ino, O_RDONLY), 0);
    assert_int_equal(f->reply->entry->inline_data.len, 10);
    assert_int_equal(fx_link(f, ino, ROOT, "again"), -ENOENT);
    assert_int_equal(fx_write_inline(f, ino, "written while unlinked"), 0);
    assert_int_equal(fsm_list_reap(f->fsm, 0, 4, listed, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(listed[0], ino);
    fx_check_tree(f);

    assert_int_equal(fx_reap(f, ino, 100), 0);
    assert_int_equal(f->reply->id->id, 0);
    assert_int_equal(f->events[0].kind, FSM_EVENT_REAPED);
    assert_int_equal(fx_open(f, ino, O_RDONLY), -ESTALE);
    assert_int_equal(fx_reap(f, ino, 100), -ENOENT);
    assert_int_equal(fsm_state(f->fsm)->inode_count, 1);
    fx_check_tree(f);
}

static void reap_refuses_what_has_a_name(void **state)
{
    struct fx *f = *state;
    uint64_t ino = fx_file(f, ROOT, "a");

    assert_int_equal(fx_reap(f, ino, 100), -ENOENT);
    assert_int_equal(fx_lookup(f, ROOT, "a"), 0);
}

static void unlink_and_rmdir_mind_the_type(void **state)
{
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d");

    fx_file(f, d, "x");
    assert_int_equal(fx_unlink(f, ROOT, "d"), -EISDIR);
    assert_int_equal(fx_rmdir(f, d, "x"), -ENOTDIR);
    assert_int_equal(fx_rmdir(f, ROOT, "d"), -ENOTEMPTY);
    assert_int_equal(fx_unlink(f, ROOT, "none"), -ENOENT);
    assert_int_equal(fx_rmdir(f, ROOT, "none"), -ENOENT);
    assert_int_equal(fx_unlink(f, d, "x"), 0);
    assert_int_equal(fx_rmdir(f, ROOT, "d"), 0);
}

/* As in a directory that a process stands in while another removes it. */
static void nothing_is_made_in_a_removed_directory(void **state)
{
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d"), ino = fx_file(f, ROOT, "a");

    assert_int_equal(fx_rmdir(f, ROOT, "d"), 0);
    assert_int_equal(fx_attr(f, d)->nlink, 0);
    assert_int_equal(fx_create(f, d, "x", S_IFREG), -ENOENT);
    assert_int_equal(fx_link(f, ino, d, "x"), -ENOENT);
    assert_int_equal(fx_rename(f, ROOT, "a", d, "x", 0), -ENOENT);
    assert_int_equal(fx_lookup(f, d, "x"), -ENOENT);
    fx_check_tree(f);
}

static void sticky_directory_keeps_others_files(void **state)
{
    struct fx *f = *state;
    Dfs__SetattrOp op = DFS__SETATTR_OP__INIT;

    op.ino = ROOT;
    op.valid = DFS__SETATTR_VALID__SETATTR_MODE;
    op.mode = 01777;
    assert_int_equal(fx_setattr(f, op), 0);
    fx_as(f, 1, 1);
    fx_file(f, ROOT, "mine");
    fx_dir(f, ROOT, "mydir");
    fx_as(f, 2, 2);
    assert_int_equal(fx_unlink(f, ROOT, "mine"), -EPERM);
    assert_int_equal(fx_rmdir(f, ROOT, "mydir"), -EPERM);
    assert_int_equal(fx_rename(f, ROOT, "mine", ROOT, "yours", 0), -EPERM);
    fx_file(f, ROOT, "his");
    assert_int_equal(fx_rename(f, ROOT, "his", ROOT, "mine", 0), -EPERM);
    fx_as(f, 1, 1);
    assert_int_equal(fx_unlink(f, ROOT, "mine"), 0);
}

static void search_permission_comes_first(void **state)
{
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d");
    Dfs__SetattrOp op = DFS__SETATTR_OP__INIT;

    op.ino = d;
    op.valid = DFS__SETATTR_VALID__SETATTR_MODE;
    op.mode = 0666;
    assert_int_equal(fx_setattr(f, op), 0);
    fx_as(f, 1, 1);
    assert_int_equal(fx_lookup(f, d, "x"), -EACCES);
    assert_int_equal(fx_unlink(f, d, "x"), -EACCES);
    assert_int_equal(fx_create(f, d, "x", S_IFREG), -EACCES);
    f->cred.kernel_checked = true;
    assert_int_equal(fx_lookup(f, d, "x"), -ENOENT);
    fx_as(f, 1, 1);
    f->groups[0] = 0;
    f->cred.n_groups = 1; /* Of the group now, which has no x either. */
    assert_int_equal(fx_lookup(f, d, "x"), -EACCES);
    fx_as(f, 0, 5);
    assert_int_equal(fx_lookup(f, d, "x"), -ENOENT);
}

static void hard_links_have_a_limit(void **state)
{
    struct fx *f = *state;
    uint64_t ino = fx_file(f, ROOT, "a");
    char name[16];

    if (f->on_rocks)
        return; /* The same code, and 65,000 operations. */
    for (unsigned i = 2; i <= LINK_COUNT_MAX; i++) {
        (void)snprintf(name, sizeof(name), "l%u", i);
        assert_int_equal(fx_link(f, ino, ROOT, name), 0);
    }
    assert_int_equal(fx_link(f, ino, ROOT, "one-more"), -EMLINK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(created_file_has_the_attributes_of_its_request),
        ON_BOTH_STORES(create_moves_times_and_version_of_the_parent),
        ON_BOTH_STORES(mkdir_counts_in_the_parents_links),
        ON_BOTH_STORES(names_are_checked),
        ON_BOTH_STORES(create_checks_parent_before_name_and_existence_before_permission),
        ON_BOTH_STORES(create_without_exclusive_gives_the_file_that_is_there),
        ON_BOTH_STORES(special_files_need_root),
        ON_BOTH_STORES(symlink_keeps_its_target),
        ON_BOTH_STORES(setgid_directory_hands_its_group_down),
        ON_BOTH_STORES(link_adds_a_name_and_changes_ctime_alone),
        ON_BOTH_STORES(unlinked_inode_lives_until_it_is_reaped),
        ON_BOTH_STORES(reap_refuses_what_has_a_name),
        ON_BOTH_STORES(unlink_and_rmdir_mind_the_type),
        ON_BOTH_STORES(nothing_is_made_in_a_removed_directory),
        ON_BOTH_STORES(sticky_directory_keeps_others_files),
        ON_BOTH_STORES(search_permission_comes_first),
        ON_BOTH_STORES(hard_links_have_a_limit),
    };

    return cmocka_run_group_tests_name("fsm_dir", tests, NULL, NULL);
}
