/* The disk's helpers, on the real disk and on the fake one: both must behave alike. */
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
#include "common/mem.h"
#include "common/strutil.h"
#include "common/vfs.h"
#include "common/vfs_fake.h"

struct fixture {
    struct vfs_fake *fake; /* NULL: the real disk */
    struct vfs *vfs;
    char *dir;
};

static int setup_posix(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);

    f->vfs = vfs_posix();
    f->dir = mem_strdup("/tmp/dfs-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static int setup_fake(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);

    f->fake = vfs_fake_new();
    f->vfs = vfs_fake_vfs(f->fake);
    f->dir = mem_strdup("/data");
    assert_int_equal(vfs_mkdir(f->vfs, f->dir, 0755), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(vfs_remove_all(f->vfs, f->dir), 0);
    vfs_fake_free(f->fake);
    free(f->dir);
    free(f);
    return 0;
}

/* A path in the test's directory; one at a time. */
static const char *at(struct fixture *f, const char *name)
{
    static char path[2][512];
    static unsigned turn;

    turn = (turn + 1) % 2;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", f->dir, name);
    return path[turn];
}

static struct vfs_file *open_new(struct fixture *f, const char *name)
{
    struct vfs_file *file = NULL;

    assert_int_equal(vfs_open(f->vfs, at(f, name), O_RDWR | O_CREAT, 0644, &file), 0);
    return file;
}

static void what_is_written_is_read(void **state)
{
    struct fixture *f = *state;
    struct vfs_file *file = open_new(f, "a");
    char hello[] = "hello ", world[] = "world";
    struct iovec iov[4] = {{hello, 0}, {hello, 6}, {hello, 0}, {world, 5}};
    struct vfs_stat st;
    char got[32];

    assert_int_equal(vfs_pwritev(file, iov, 4, 5000), 0);
    assert_int_equal(vfs_pwritev(file, iov, 1, 9000), 0);
    assert_int_equal(vfs_pread(file, got, sizeof got, 5000), 11);
    assert_memory_equal(got, "hello world", 11);
    assert_int_equal(vfs_pread(file, got, 4, 0), 4);
    assert_memory_equal(got, "\0\0\0\0", 4);
    assert_int_equal(vfs_pread(file, got, 4, 6000), 0);
    assert_int_equal(vfs_pread_all(file, got, 12, 5000), -ENODATA);
    assert_int_equal(vfs_fstat(file, &st), 0);
    assert_int_equal(st.size, 5011);
    assert_false(st.is_dir);
    assert_int_equal(vfs_sync_range(file, 0, 4096), 0);
    assert_int_equal(vfs_sync(file), 0);
    vfs_close(file);
    vfs_close(NULL);
}

static void sizes_change_and_holes_read_as_zeros(void **state)
{
    struct fixture *f = *state;
    struct vfs_file *file = open_new(f, "a");
    static uint8_t data[16384], got[16384];
    struct vfs_stat st;

    memset(data, 0xab, sizeof data);
    assert_int_equal(vfs_pwrite(file, data, sizeof data, 0), 0);
    assert_int_equal(vfs_punch(file, 4096, 4096), 0);
    assert_int_equal(vfs_punch(file, 8200, 10), 0);
    assert_int_equal(vfs_pread(file, got, sizeof got, 0), sizeof got);
    memset(data + 4096, 0, 4096);
    memset(data + 8200, 0, 10);
    assert_memory_equal(got, data, sizeof data);

    /* What was cut off must not come back when the file grows again. */
    assert_int_equal(vfs_truncate(file, 100), 0);
    assert_int_equal(vfs_truncate(file, 8192), 0);
    assert_int_equal(vfs_pread(file, got, sizeof got, 0), 8192);
    memset(data + 100, 0, 8192);
    assert_memory_equal(got, data, 8192);

    assert_int_equal(vfs_allocate(file, 0, 65536), 0);
    assert_int_equal(vfs_fstat(file, &st), 0);
    assert_int_equal(st.size, 65536);
    assert_true(st.allocated_bytes >= 65536);
    vfs_close(file);
}

static void names_obey_posix(void **state)
{
    struct fixture *f = *state;
    struct vfs_file *file = NULL;
    struct vfs_stat a, b;

    assert_int_equal(vfs_open(f->vfs, at(f, "no"), O_RDWR, 0, &file), -ENOENT);
    vfs_close(open_new(f, "a"));
    assert_int_equal(vfs_open(f->vfs, at(f, "a"), O_RDWR | O_CREAT | O_EXCL, 0644, &file), -EEXIST);
    assert_int_equal(vfs_open(f->vfs, at(f, "a/b"), O_RDWR | O_CREAT, 0644, &file), -ENOTDIR);
    assert_null(file);
    assert_int_equal(vfs_link(f->vfs, at(f, "a"), at(f, "b")), 0);
    assert_int_equal(vfs_link(f->vfs, at(f, "a"), at(f, "b")), -EEXIST);
    assert_int_equal(vfs_stat(f->vfs, at(f, "a"), &a), 0);
    assert_int_equal(vfs_stat(f->vfs, at(f, "b"), &b), 0);
    assert_int_equal(a.inode, b.inode);
    assert_int_equal(vfs_mkdir(f->vfs, at(f, "d"), 0755), 0);
    assert_int_equal(vfs_mkdir(f->vfs, at(f, "d"), 0755), -EEXIST);
    assert_int_equal(vfs_rename(f->vfs, at(f, "a"), at(f, "d")), -EISDIR);
    assert_int_equal(vfs_rename(f->vfs, at(f, "a"), at(f, "d/c")), 0);
    assert_int_equal(vfs_rmdir(f->vfs, at(f, "d")), -ENOTEMPTY);
    assert_int_equal(vfs_unlink(f->vfs, at(f, "d")), -EISDIR);
    assert_int_equal(vfs_rmdir(f->vfs, at(f, "b")), -ENOTDIR);
    assert_int_equal(vfs_unlink(f->vfs, at(f, "a")), -ENOENT);
    assert_int_equal(vfs_unlink(f->vfs, at(f, "d/c")), 0);
    assert_int_equal(vfs_sync_dir(f->vfs, at(f, "d")), 0);
    assert_int_equal(vfs_rmdir(f->vfs, at(f, "d")), 0);
}

static int gather(void *ctx, const char *name, bool is_dir)
{
    buf_printf(ctx, "%s%s ", name, is_dir ? "/" : "");
    return 0;
}

static int stop_at_once(void *ctx, const char *name, bool is_dir)
{
    (void)ctx;
    (void)name;
    (void)is_dir;
    return 42;
}

static void a_listing_has_each_name_once(void **state)
{
    struct fixture *f = *state;
    struct buf b = {0};
    char *text;

    vfs_close(open_new(f, "file"));
    assert_int_equal(vfs_mkdir(f->vfs, at(f, "dir"), 0755), 0);
    assert_int_equal(vfs_list(f->vfs, f->dir, gather, &b), 0);
    text = buf_take(&b);
    assert_non_null(strstr(text, "file "));
    assert_non_null(strstr(text, "dir/ "));
    assert_int_equal(strlen(text), strlen("file dir/ "));
    free(text);
    assert_int_equal(vfs_list(f->vfs, f->dir, stop_at_once, NULL), 42);
    assert_int_equal(vfs_list(f->vfs, at(f, "none"), gather, &b), -ENOENT);
}

static void directories_are_made_and_removed_with_all_below(void **state)
{
    struct fixture *f = *state;
    struct vfs_stat st;

    assert_int_equal(vfs_mkdir_all(f->vfs, at(f, "x/y//z"), 0755), 0);
    assert_int_equal(vfs_mkdir_all(f->vfs, at(f, "x/y/z"), 0755), 0);
    vfs_close(open_new(f, "x/y/file"));
    assert_int_equal(vfs_mkdir_all(f->vfs, at(f, "x/y/file"), 0755), -ENOTDIR);
    assert_int_equal(vfs_remove_all(f->vfs, at(f, "x")), 0);
    assert_int_equal(vfs_stat(f->vfs, at(f, "x"), &st), -ENOENT);
    assert_int_equal(vfs_remove_all(f->vfs, at(f, "x")), 0);
}

static void a_file_is_replaced_whole(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf b = {0};
    struct vfs_stat st;

    assert_int_equal(vfs_replace_file(f->vfs, at(f, "s"), "first, longer", 13, 0600), 0);
    assert_int_equal(vfs_replace_file(f->vfs, at(f, "s"), "second", 6, 0600), 0);
    assert_int_equal(vfs_read_file(f->vfs, at(f, "s"), 6, &b), 0);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "second", 6);
    assert_int_equal(vfs_read_file(f->vfs, at(f, "s"), 5, &b), -EFBIG);
    assert_int_equal(vfs_read_file(f->vfs, at(f, "none"), 5, &b), -ENOENT);
    assert_int_equal(vfs_read_file(f->vfs, f->dir, 1 << 20, &b), -EISDIR);
    assert_int_equal(b.len, 6);
    assert_int_equal(vfs_stat(f->vfs, at(f, "s.tmp"), &st), -ENOENT);
}

static void space_is_told(void **state)
{
    struct fixture *f = *state;
    struct vfs_space s;

    assert_int_equal(vfs_space(f->vfs, f->dir, &s), 0);
    assert_true(s.total_bytes >= s.free_bytes && s.free_bytes > 0);
}

int main(void)
{
#define BOTH(test)                                                                                 \
    {#test " on a real disk", test, setup_posix, teardown, NULL},                                  \
    {                                                                                              \
#test " on the fake disk", test, setup_fake, teardown, NULL                                \
    }
    const struct CMUnitTest tests[] = {
        BOTH(what_is_written_is_read),
        BOTH(sizes_change_and_holes_read_as_zeros),
        BOTH(names_obey_posix),
        BOTH(a_listing_has_each_name_once),
        BOTH(directories_are_made_and_removed_with_all_below),
        BOTH(a_file_is_replaced_whole),
        BOTH(space_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
