/* What dfs_remove_tree() asks for, and what it makes of the answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/limits.h"
#include "libdfs/removal.h"

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
}

static void asks_for(const struct removal *r, uint64_t parent, const char *name, const char *from)
{
    Dfs__RemoveTreeOp op;

    removal_ask(r, &op);
    assert_int_equal(op.parent, parent);
    assert_int_equal(op.name.len, strlen(name));
    assert_memory_equal(op.name.data, name, op.name.len);
    assert_int_equal(op.from.len, strlen(from));
    assert_memory_equal(op.from.data, from, op.from.len);
    assert_in_range(op.limit, 1, TREE_SLICE_MAX);
}

static Dfs__TreeReply stopped_at(uint32_t files, const char *next)
{
    Dfs__TreeReply reply = DFS__TREE_REPLY__INIT;

    reply.files = files;
    reply.next = bytes_of(next);
    return reply;
}

static Dfs__TreeReply too_deep(const char *next, uint64_t parent, const char *name)
{
    Dfs__TreeReply reply = stopped_at(0, next);

    reply.deep_parent = parent;
    reply.deep_name = bytes_of(name);
    return reply;
}

static Dfs__TreeReply all_gone(uint32_t files, uint32_t directories)
{
    Dfs__TreeReply reply = DFS__TREE_REPLY__INIT;

    reply.files = files;
    reply.directories = directories;
    reply.done = true;
    return reply;
}

static Dfs__TreeReply failed(int error, const char *path)
{
    Dfs__TreeReply reply = DFS__TREE_REPLY__INIT;

    reply.error = error;
    reply.path = bytes_of(path);
    return reply;
}

#define TAKE(r, reply_)                                                                            \
    ({                                                                                             \
        Dfs__TreeReply reply = (reply_);                                                           \
        removal_take(&(r), 0, &reply);                                                             \
    })

static void slices_follow_each_other(void **state)
{
    struct removal r;

    (void)state;
    removal_init(&r, (struct ino){7}, "t");
    asks_for(&r, 7, "t", "");
    assert_int_equal(TAKE(r, stopped_at(256, "a/b")), 1);
    asks_for(&r, 7, "t", "a/b");
    assert_int_equal(TAKE(r, stopped_at(256, "")), 1);
    asks_for(&r, 7, "t", "");
    assert_int_equal(TAKE(r, all_gone(3, 2)), 0);
    assert_int_equal(r.removed.files, 515);
    assert_int_equal(r.removed.directories, 2);
    removal_done(&r);
}

static void what_is_too_deep_goes_first(void **state)
{
    struct removal r;

    (void)state;
    removal_init(&r, (struct ino){7}, "t");
    assert_int_equal(TAKE(r, too_deep("a/b", 70, "b")), 1);
    asks_for(&r, 70, "b", "");
    assert_int_equal(TAKE(r, too_deep("c/d", 90, "d")), 1);
    asks_for(&r, 90, "d", "");
    assert_int_equal(TAKE(r, stopped_at(5, "e")), 1);
    asks_for(&r, 90, "d", "e");
    assert_int_equal(TAKE(r, all_gone(1, 1)), 1);
    asks_for(&r, 70, "b", "c/d");
    assert_int_equal(TAKE(r, all_gone(0, 2)), 1);
    asks_for(&r, 7, "t", "a/b");
    assert_int_equal(TAKE(r, all_gone(0, 2)), 0);
    assert_int_equal(r.removed.files, 6);
    assert_int_equal(r.removed.directories, 5);
    removal_done(&r);
}

/* Somebody else removed or moved it between two slices. */
static void a_deep_directory_that_went_away_is_no_failure(void **state)
{
    static const int gone[] = {-ENOENT, -ESTALE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct removal r;

        removal_init(&r, (struct ino){7}, "t");
        assert_int_equal(TAKE(r, too_deep("a/b", 70, "b")), 1);
        assert_int_equal(removal_take(&r, gone[i], NULL), 1);
        asks_for(&r, 7, "t", "a/b");
        assert_int_equal(removal_take(&r, gone[i], NULL), gone[i]);
        assert_string_equal(r.removed.failed, "");
        removal_done(&r);
    }
}

static void an_error_ends_it_and_says_where(void **state)
{
    struct removal r;

    (void)state;
    removal_init(&r, (struct ino){7}, "t");
    assert_int_equal(TAKE(r, failed(-EACCES, "x/y")), -EACCES);
    assert_string_equal(r.removed.failed, "x/y");
    removal_done(&r);

    removal_init(&r, (struct ino){7}, "t");
    assert_int_equal(TAKE(r, failed(-EPERM, "")), -EPERM);
    assert_string_equal(r.removed.failed, "");
    removal_done(&r);

    removal_init(&r, (struct ino){7}, "t");
    (void)TAKE(r, too_deep("a/b", 70, "b"));
    (void)TAKE(r, too_deep("c/d", 90, "d"));
    assert_int_equal(TAKE(r, failed(-EACCES, "e")), -EACCES);
    assert_string_equal(r.removed.failed, "a/b/c/d/e");
    removal_done(&r);

    removal_init(&r, (struct ino){7}, "t");
    (void)TAKE(r, too_deep("a/b", 70, "b"));
    assert_int_equal(removal_take(&r, -EIO, NULL), -EIO);
    assert_string_equal(r.removed.failed, "a/b");
    removal_done(&r);
}

static void of_a_long_path_the_end_is_told(void **state)
{
    char part[301];
    struct removal r;

    (void)state;
    memset(part, 'p', 300);
    part[300] = '\0';
    removal_init(&r, (struct ino){7}, "t");
    for (uint64_t i = 0; i < 5; i++) {
        part[0] = (char)('0' + i);
        (void)TAKE(r, too_deep(part, 70 + i, "b"));
    }
    assert_int_equal(TAKE(r, failed(-EACCES, "end")), -EACCES);
    assert_int_equal(strlen(r.removed.failed), 3 * 301 + 3);
    assert_int_equal(r.removed.failed[0], '2');
    assert_string_equal(r.removed.failed + 3 * 301, "end");
    removal_done(&r);
}

/* Else a namenode with a mistake would keep a client busy for ever. */
static void an_answer_that_says_nothing_is_an_error(void **state)
{
    char name[NAME_BYTES_MAX + 2];
    struct removal r;

    (void)state;
    removal_init(&r, (struct ino){7}, "t");
    assert_int_equal(TAKE(r, stopped_at(0, "a")), -EIO);
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(TAKE(r, too_deep("a", 70, name)), -EIO);
    removal_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_follow_each_other),
        cmocka_unit_test(what_is_too_deep_goes_first),
        cmocka_unit_test(a_deep_directory_that_went_away_is_no_failure),
        cmocka_unit_test(an_error_ends_it_and_says_where),
        cmocka_unit_test(of_a_long_path_the_end_is_told),
        cmocka_unit_test(an_answer_that_says_nothing_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
