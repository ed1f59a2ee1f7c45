/* A disk that fills up: deleting stays possible, and so does the next start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"
#include "common/vfs_fake.h"
#include "namenode/disk_space.h"

enum { CAPACITY = 8 << 20 };

static void fill(struct vfs *v, uint64_t bytes)
{
    struct vfs_file *f;
    uint8_t *zeros = mem_zalloc(1, (size_t)bytes);

    assert_int_equal(vfs_open(v, "/nn/filler", O_RDWR | O_CREAT, 0600, &f), 0);
    assert_int_equal(vfs_pwrite(f, zeros, (size_t)bytes, 0), 0);
    vfs_close(f);
    free(zeros);
}

static uint64_t free_bytes(struct vfs *v)
{
    struct vfs_space space;

    assert_int_equal(vfs_space(v, "/nn", &space), 0);
    return space.free_bytes;
}

static void a_disk_that_fills_up_leaves_room_to_delete(void **state)
{
    struct vfs_fake *disk = vfs_fake_new();
    struct vfs *v = vfs_fake_vfs(disk);
    struct disk_space *s;
    struct vfs_stat st;

    (void)state;
    vfs_fake_set_capacity(disk, CAPACITY);
    assert_int_equal(vfs_mkdir(v, "/nn", 0700), 0);
    assert_int_equal(disk_space_open(v, "/nn", &s), 0);
    assert_false(disk_space_is_short(s));
    assert_int_equal(vfs_stat(v, "/nn/ballast", &st), 0);

    fill(v, free_bytes(v) - 4096);
    disk_space_look(s);
    assert_true(disk_space_is_short(s));
    disk_space_close(s);

    /* The next start has room to work, but still knows that it is short. */
    assert_int_equal(disk_space_open(v, "/nn", &s), 0);
    assert_true(free_bytes(v) > 4096);
    assert_true(disk_space_is_short(s));

    assert_int_equal(vfs_unlink(v, "/nn/filler"), 0);
    disk_space_look(s);
    assert_false(disk_space_is_short(s));
    assert_int_equal(vfs_stat(v, "/nn/ballast", &st), 0);
    disk_space_close(s);
    vfs_fake_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_fills_up_leaves_room_to_delete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
