/*
 * Paths of dfs.h: made plain, then walked name by name through a small tree. The calls that path.c
 * makes of the rest of libdfs are here: a tree instead of a cluster.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"
#include "libdfs/blocking.h"

/* ---- a tree ---- */

enum { CHAIN_LINKS = 45 };

static const struct node {
    uint64_t ino, parent;
    const char *name;
    uint32_t mode;
    const char *target;
} tree[] = {
    {10, 1, "a", S_IFDIR, NULL},
    {11, 10, "b", S_IFDIR, NULL},
    {12, 11, "file", S_IFREG, NULL},
    {13, 1, "file", S_IFREG, NULL},
    {14, 10, "up", S_IFLNK, "../file"},
    {15, 1, "abs", S_IFLNK, "/a/b"},
    {16, 1, "rel", S_IFLNK, "a/b"},
    {17, 1, "loop", S_IFLNK, "loop"},
    {18, 1, "ping", S_IFLNK, "pong"},
    {19, 1, "pong", S_IFLNK, "/ping"},
    {20, 1, "dangling", S_IFLNK, "a/none"},
    {21, 10, "top", S_IFLNK, "/"},
    {22, 1, "far", S_IFLNK, "../../../../a/./b//"},
    {23, 11, "here", S_IFLNK, "."},
    {24, 1, "two", S_IFLNK, "rel/here"},
    {25, 1, "through", S_IFLNK, "file/x"},
};

struct fixture {
    struct dfs dfs;
    struct op op;
    unsigned lookups, readlinks, starts;
    int fail_lookup; /* the next one gets this */
    int fail_readlink;
    const char *long_target; /* of "huge" */
};

static struct fixture *fixture_of(const struct ll *ll)
{
    return (struct fixture *)(uintptr_t)ll;
}

static void attr_of(const struct node *n, struct ll_attr *attr)
{
    *attr = (struct ll_attr){.ino = {n->ino}, .mode = n->mode | 0755, .nlink = 1};
}

/* "l1" is a link to "l2", and so on; "l45" is a file. */
static bool chain_lookup(const char *name, struct ll_attr *attr)
{
    unsigned n;

    if (sscanf(name, "l%u", &n) != 1 || n == 0 || n > CHAIN_LINKS)
        return false;
    *attr = (struct ll_attr){.ino = {1000 + n}, .mode = n == CHAIN_LINKS ? S_IFREG : S_IFLNK};
    return true;
}

void ll_lookup(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
               const char *name, ll_attr_fn fn, void *ctx)
{
    struct fixture *f = fixture_of(ll);
    struct ll_attr attr;
    int r = f->fail_lookup;

    (void)call;
    assert_ptr_equal(cred, &f->dfs.cred);
    assert_true(*name != '\0' && strchr(name, '/') == NULL && strlen(name) <= NAME_BYTES_MAX);
    f->lookups++;
    f->fail_lookup = 0;
    if (r != 0) {
        fn(ctx, r, NULL);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(tree); i++) {
        if (tree[i].parent == parent.v && strcmp(tree[i].name, name) == 0) {
            attr_of(&tree[i], &attr);
            fn(ctx, 0, &attr);
            return;
        }
    }
    if (parent.v == INO_ROOT.v && f->long_target != NULL && strcmp(name, "huge") == 0) {
        attr = (struct ll_attr){.ino = {999}, .mode = S_IFLNK};
        fn(ctx, 0, &attr);
    } else if (parent.v == INO_ROOT.v && chain_lookup(name, &attr)) {
        fn(ctx, 0, &attr);
    } else {
        fn(ctx, -ENOENT, NULL);
    }
}

void ll_getattr(struct ll *ll, struct ll_call *call, struct ino ino, ll_attr_fn fn, void *ctx)
{
    const struct ll_attr attr = {.ino = ino, .mode = S_IFDIR | 01777, .nlink = 7};

    (void)ll, (void)call;
    assert_int_equal(ino.v, INO_ROOT.v);
    fn(ctx, 0, &attr);
}

/* Not NUL-terminated, as on the wire. */
static void give(ll_bytes_fn fn, void *ctx, const char *target)
{
    char *bytes = mem_memdup(target, strlen(target));

    bytes = mem_realloc(bytes, strlen(target) + 1, 1);
    bytes[strlen(target)] = 'X';
    fn(ctx, 0, bytes, strlen(target));
    free(bytes);
}

void ll_readlink(struct ll *ll, struct ll_call *call, struct ino ino, ll_bytes_fn fn, void *ctx)
{
    struct fixture *f = fixture_of(ll);
    char next[16];
    int r = f->fail_readlink;

    (void)call;
    f->readlinks++;
    f->fail_readlink = 0;
    if (r != 0) {
        fn(ctx, r, NULL, 0);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(tree); i++) {
        if (tree[i].ino == ino.v) {
            give(fn, ctx, tree[i].target);
            return;
        }
    }
    snprintf(next, sizeof(next), "l%u", (unsigned)(ino.v - 1000 + 1));
    give(fn, ctx, ino.v == 999 ? f->long_target : next);
}

void op_end(struct op *op, int status)
{
    op->status = status;
    sem_post(&op->done);
}

/* ---- walking it ---- */

static void *run_loop(void *ctx)
{
    loop_run(ctx);
    return NULL;
}

static void stop(void *ctx)
{
    loop_stop(ctx);
}

static int set_up(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);

    assert_int_equal(loop_new(&f->dfs.loop), 0);
    f->dfs.ll = (struct ll *)(uintptr_t)f;
    assert_int_equal(pthread_create(&f->dfs.thread, NULL, run_loop, f->dfs.loop), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    loop_post(f->dfs.loop, stop, f->dfs.loop);
    pthread_join(f->dfs.thread, NULL);
    loop_free(f->dfs.loop);
    free(f);
    return 0;
}

static struct fixture *started_in;

static void start(struct op *op)
{
    assert_null(op->text);
    started_in->starts++;
    op_end(op, 0);
}

static int run(struct fixture *f, const char *path, bool follow, bool parent)
{
    unsigned before = f->starts;
    int r;

    f->op = (struct op){.dfs = &f->dfs, .start = start};
    sem_init(&f->op.done, 0, 0);
    started_in = f;
    r = op_run_path(&f->op, path, follow, parent);
    /* The call itself begins when, and only when, the path was walked. */
    assert_int_equal(f->starts - before, r == 0 ? 1 : 0);
    return r;
}

/* The inode that a path leads to, or -errno. */
static int64_t walk_to(struct fixture *f, const char *path)
{
    int r = run(f, path, true, false);

    return r < 0 ? r : (int64_t)f->op.attr.ino.v;
}

/* The same for calls that act on a link itself: lstat, unlink, ... */
static int64_t walk_to_link(struct fixture *f, const char *path)
{
    int r = run(f, path, false, false);

    return r < 0 ? r : (int64_t)f->op.attr.ino.v;
}

static void assert_parent(struct fixture *f, const char *path, uint64_t dir, const char *name)
{
    assert_int_equal(run(f, path, false, true), 0);
    assert_int_equal(f->op.dir.v, dir);
    assert_string_equal(f->op.name, name);
}

/* ---- made plain ---- */

static void paths_are_made_plain(void **state)
{
    static const char *const pairs[][2] = {
        {"/", "/"},
        {"//", "/"},
        {"/.", "/"},
        {"/./", "/"},
        {"/a", "/a"},
        {"/a/", "/a"},
        {"//a///b//", "/a/b"},
        {"/a/./b/.", "/a/b"},
        {"/a/..", "/"},
        {"/a/../b", "/b"},
        {"/a/b/../../c", "/c"},
        {"/..", "/"},
        {"/../../a", "/a"},
        {"/a/b/..", "/a"},
        {"/...", "/..."},
        {"/..a", "/..a"},
        {"/.a/.b", "/.a/.b"},
        {"/a../b", "/a../b"},
        {"/a/../..//../b/./c/..", "/b"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        char *text;

        assert_int_equal(path_normalize(pairs[i][0], &text), 0);
        assert_string_equal(text, pairs[i][1]);
        free(text);
    }
}

static void what_is_no_path_is_refused_and_changes_nothing(void **state)
{
    char *text = NULL, *longest = mem_alloc((64 << 10) + 2);

    (void)state;
    assert_int_equal(path_normalize("", &text), -ENOENT);
    assert_int_equal(path_normalize("a/b", &text), -EINVAL);
    assert_int_equal(path_normalize("./a", &text), -EINVAL);
    memset(longest, '/', (64 << 10) + 1);
    longest[(64 << 10) + 1] = '\0';
    assert_int_equal(path_normalize(longest, &text), -ENAMETOOLONG);
    assert_null(text);
    assert_int_equal(path_normalize(longest + 1, &text), 0);
    assert_string_equal(text, "/");
    free(text);
    free(longest);
}

/* ---- walked ---- */

static void names_are_looked_up_one_in_the_other(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(walk_to(f, "/a"), 10);
    assert_int_equal(walk_to(f, "/file"), 13);
    f->lookups = 0;
    assert_int_equal(walk_to(f, "/a/b/file"), 12);
    assert_int_equal(f->lookups, 3);
    assert_int_equal(walk_to(f, "//a/./b/"), 11);
}

/* ".." is a matter of the text: what is before it need not even be there. */
static void dots_cost_no_lookup(void **state)
{
    struct fixture *f = *state;

    f->lookups = 0;
    assert_int_equal(walk_to(f, "/none/../a/b/.././../file"), 13);
    assert_int_equal(f->lookups, 1);
    assert_int_equal(walk_to(f, "/../../a"), 10);
}

/* Nobody has looked the root up on the way: its attributes are asked for, not made up. */
static void the_root_has_its_own_attributes(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(walk_to(f, "/"), 1);
    assert_int_equal(f->op.attr.mode, S_IFDIR | 01777);
    assert_int_equal(walk_to(f, "/a/.."), 1);
    assert_int_equal(f->op.attr.nlink, 7);
    assert_int_equal(walk_to(f, "/a/top"), 1);
    assert_int_equal(f->op.attr.nlink, 7);
}

static void what_is_missing_or_no_directory_ends_the_walk(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(walk_to(f, "/none"), -ENOENT);
    assert_int_equal(walk_to(f, "/a/none/b"), -ENOENT);
    assert_int_equal(walk_to(f, "/file/x"), -ENOTDIR);
    assert_int_equal(walk_to(f, "/a/b/file/x/y"), -ENOTDIR);
    assert_int_equal(walk_to(f, ""), -ENOENT);
    assert_int_equal(walk_to(f, "a"), -EINVAL);
}

static void a_failed_answer_is_the_result(void **state)
{
    struct fixture *f = *state;

    f->fail_lookup = -EACCES;
    assert_int_equal(walk_to(f, "/a/b"), -EACCES);
    f->fail_readlink = -ETIMEDOUT;
    assert_int_equal(walk_to(f, "/rel/file"), -ETIMEDOUT);
    assert_int_equal(walk_to(f, "/a/b"), 11);
}

/* ---- symbolic links ---- */

static void links_are_followed_from_where_they_are(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(walk_to(f, "/abs"), 11);
    assert_int_equal(walk_to(f, "/abs/file"), 12);
    assert_int_equal(walk_to(f, "/rel/file"), 12);
    assert_int_equal(walk_to(f, "/a/up"), 13);
    assert_int_equal(walk_to(f, "/a/top/a/b"), 11);
    assert_int_equal(walk_to(f, "/far/file"), 12);
    assert_int_equal(walk_to(f, "/two/file"), 12);
    assert_int_equal(walk_to(f, "/a/b/here/here/file"), 12);
}

/* What a link says is followed wherever it stands in a path but at the end, for some calls. */
static void the_last_link_is_followed_only_when_it_is_asked_for(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(walk_to_link(f, "/rel"), 16);
    assert_true(S_ISLNK(f->op.attr.mode));
    assert_int_equal(walk_to_link(f, "/rel/file"), 12);
    assert_int_equal(walk_to_link(f, "/rel/here"), 23);
    assert_int_equal(walk_to_link(f, "/loop"), 17);
    assert_int_equal(walk_to_link(f, "/dangling"), 20);
    assert_int_equal(walk_to(f, "/dangling"), -ENOENT);
    assert_int_equal(walk_to(f, "/through"), -ENOTDIR);
}

static void a_slash_at_the_end_asks_for_a_directory(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(walk_to(f, "/file/"), -ENOTDIR);
    assert_int_equal(walk_to(f, "/a/b/file//"), -ENOTDIR);
    assert_int_equal(walk_to(f, "/a/b/"), 11);
    assert_int_equal(walk_to(f, "/"), 1);
    assert_int_equal(walk_to_link(f, "/rel/"), 11);
    assert_int_equal(walk_to_link(f, "/a/up/"), -ENOTDIR);
    assert_parent(f, "/a/new/", 10, "new"); /* mkdir */
}

static void links_in_a_circle_end(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(walk_to(f, "/loop"), -ELOOP);
    assert_int_equal(walk_to(f, "/ping"), -ELOOP);
    assert_int_equal(walk_to_link(f, "/pong/x"), -ELOOP);
    assert_int_equal(walk_to_link(f, "/loop/x"), -ELOOP);
}

/* 40, as in Linux. Those that come one behind the other count as those that are in each other. */
static void forty_links_are_followed_and_no_more(void **state)
{
    struct fixture *f = *state;
    char path[8 + 41 * 5 + 6] = "/a/b";

    assert_int_equal(walk_to(f, "/l5"), 1000 + CHAIN_LINKS);
    assert_int_equal(f->op.links, 40);
    assert_int_equal(walk_to(f, "/l4"), -ELOOP);
    for (unsigned i = 0; i < 40; i++)
        strcat(path, "/here");
    assert_int_equal(walk_to(f, path), 11);
    strcat(path, "/here");
    assert_int_equal(walk_to(f, path), -ELOOP);
    assert_int_equal(walk_to_link(f, path), 23);
    /* The next path begins at nought. */
    assert_int_equal(walk_to(f, "/l5"), 1000 + CHAIN_LINKS);
}

/* ---- the directory that a new name goes into ---- */

static void the_last_name_need_not_be_there_for_who_makes_it(void **state)
{
    struct fixture *f = *state;

    assert_parent(f, "/new", 1, "new");
    assert_parent(f, "/a/b/new/", 11, "new");
    assert_parent(f, "/a/./b/../new", 10, "new");
    assert_parent(f, "/rel/new", 11, "new");
    assert_parent(f, "/a/top/new", 1, "new");
    assert_parent(f, "/loop", 1, "loop"); /* It is the link that is renamed or removed. */
    assert_int_equal(run(f, "/none/new", false, true), -ENOENT);
    assert_int_equal(run(f, "/file/new", false, true), -ENOTDIR);
    assert_int_equal(run(f, "/loop/new", false, true), -ELOOP);
}

static void the_root_is_in_no_directory(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "/", false, true), -EBUSY);
    assert_int_equal(run(f, "/a/..", false, true), -EBUSY);
}

/* ---- too long ---- */

static void a_name_is_255_bytes_at_most(void **state)
{
    struct fixture *f = *state;
    char path[2 + 256 + 2] = "/";

    memset(path + 1, 'n', 255);
    assert_int_equal(walk_to(f, path), -ENOENT); /* asked for, and not there */
    assert_parent(f, path, 1, path + 1);
    path[256] = 'n';
    f->lookups = 0;
    assert_int_equal(walk_to(f, path), -ENAMETOOLONG);
    assert_int_equal(run(f, path, false, true), -ENAMETOOLONG);
    strcat(path, "/x");
    assert_int_equal(walk_to(f, path), -ENAMETOOLONG);
    assert_int_equal(f->lookups, 0);
}

/* A link's target makes the path longer: no matter how often, there is an end to it. */
static void a_link_cannot_make_a_path_too_long(void **state)
{
    struct fixture *f = *state;
    char *target = mem_alloc(SYMLINK_BYTES_MAX + 1);
    char *path = mem_alloc((64 << 10) + 1);

    memset(target, '/', SYMLINK_BYTES_MAX);
    memcpy(target + SYMLINK_BYTES_MAX - 1, "a", 2);
    f->long_target = target;
    assert_int_equal(walk_to(f, "/huge/b"), 11);
    memset(path, 'n', 64 << 10);
    memcpy(path, "/huge/", 6);
    path[64 << 10] = '\0';
    for (size_t at = 100; at < 64 << 10; at += 100)
        path[at] = '/';
    assert_int_equal(walk_to(f, path), -ENAMETOOLONG);
    free(target);
    free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_made_plain),
        cmocka_unit_test(what_is_no_path_is_refused_and_changes_nothing),
        TEST(names_are_looked_up_one_in_the_other),
        TEST(dots_cost_no_lookup),
        TEST(the_root_has_its_own_attributes),
        TEST(what_is_missing_or_no_directory_ends_the_walk),
        TEST(a_failed_answer_is_the_result),
        TEST(links_are_followed_from_where_they_are),
        TEST(the_last_link_is_followed_only_when_it_is_asked_for),
        TEST(a_slash_at_the_end_asks_for_a_directory),
        TEST(links_in_a_circle_end),
        TEST(forty_links_are_followed_and_no_more),
        TEST(the_last_name_need_not_be_there_for_who_makes_it),
        TEST(the_root_is_in_no_directory),
        TEST(a_name_is_255_bytes_at_most),
        TEST(a_link_cannot_make_a_path_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
