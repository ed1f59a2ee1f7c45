/* rm -r in slices: what goes, in what order, what stops it, and that a slice's work is bounded. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/limits.h"
#include "tests/unit/namenode/fsm_fixture.h"

static const ProtobufCBinaryData from_start = {.len = 0};

/* What a client does until the name is gone, or an error; counts in *ret_files, *ret_dirs. */
struct removal {
    unsigned slices, files, dirs;
    int error;
    char path[TREE_FAILED_BYTES_MAX + 1];
};

static void text_of(ProtobufCBinaryData bytes, char *out)
{
    if (bytes.len > 0)
        memcpy(out, bytes.data, bytes.len);
    out[bytes.len] = '\0';
}

/* One name, and what is too deep in it first. */
static void remove_name(struct fx *f, uint64_t parent, const char *name, uint32_t limit,
                        struct removal *rm)
{
    char next[TREE_NEXT_BYTES_MAX + 1] = "", deep[NAME_BYTES_MAX + 1];

    for (;;) {
        const Dfs__TreeReply *t;
        uint64_t deep_parent;

        rm->error = fx_remove_tree(f, parent, name, limit, bytes_of(next));
        rm->slices++;
        if (rm->error < 0)
            return;
        t = f->reply->tree;
        assert_true(t->files + t->directories <= limit);
        assert_int_equal(f->event_count, t->files + t->directories);
        rm->files += t->files;
        rm->dirs += t->directories;
        rm->error = t->error;
        text_of(t->path, rm->path);
        text_of(t->next, next);
        text_of(t->deep_name, deep);
        deep_parent = t->deep_parent;
        if (t->done || t->error < 0)
            return;
        /* Something comes of each slice. */
        assert_true(t->files + t->directories > 0 || deep_parent != 0);
        if (deep_parent != 0) {
            remove_name(f, deep_parent, deep, limit, rm);
            if (rm->error < 0)
                return;
        }
    }
}

static struct removal remove_all(struct fx *f, const char *name, uint32_t limit)
{
    struct removal rm = {.slices = 0};

    remove_name(f, ROOT, name, limit, &rm);
    return rm;
}

/* t/{a,b/{1,2,3},c/,d/{e/{f,g}},h}: 7 files, 5 directories with t. */
static uint64_t make_tree(struct fx *f, const char *name)
{
    uint64_t t = fx_dir(f, ROOT, name), b = fx_dir(f, t, "b"), d = fx_dir(f, t, "d");
    uint64_t e = fx_dir(f, d, "e");

    fx_file(f, t, "a");
    fx_dir(f, t, "c");
    fx_file(f, b, "1");
    assert_int_equal(fx_symlink(f, b, "2", "/nowhere"), 0);
    fx_file(f, b, "3");
    fx_file(f, e, "f");
    fx_file(f, e, "g");
    fx_file(f, t, "h");
    return t;
}

static void whatever_the_name_is_goes(void **state)
{
    struct fx *f = *state;
    struct removal rm;

    fx_file(f, ROOT, "file");
    fx_dir(f, ROOT, "dir");
    assert_int_equal(fx_symlink(f, ROOT, "link", "dir"), 0);
    rm = remove_all(f, "file", 10);
    assert_int_equal(rm.files, 1);
    rm = remove_all(f, "link", 10);
    assert_int_equal(rm.files, 1);
    assert_int_equal(fx_lookup(f, ROOT, "dir"), 0);
    rm = remove_all(f, "dir", 10);
    assert_int_equal(rm.dirs, 1);
    assert_int_equal(rm.slices, 1);
    assert_int_equal(fx_attr(f, ROOT)->nlink, 2);
    fx_check_tree(f);
}

static void mistakes_are_told_in_the_order_of_unlink(void **state)
{
    struct fx *f = *state;
    uint64_t file = fx_file(f, ROOT, "file");
    char name[NAME_BYTES_MAX + 2];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(fx_remove_tree(f, ROOT, "no", 10, from_start), -ENOENT);
    assert_int_equal(fx_remove_tree(f, file, "x", 10, from_start), -ENOTDIR);
    assert_int_equal(fx_remove_tree(f, 999, "x", 10, from_start), -ESTALE);
    assert_int_equal(fx_remove_tree(f, ROOT, name, 10, from_start), -ENAMETOOLONG);
    assert_int_equal(fx_remove_tree(f, ROOT, "..", 10, from_start), -EINVAL);
    assert_int_equal(fx_remove_tree(f, ROOT, "", 10, from_start), -EINVAL);
    assert_int_equal(fx_remove_tree(f, ROOT, "file", 0, from_start), -EINVAL);
    assert_int_equal(fx_lookup(f, ROOT, "file"), 0);
}

/* Also one entry at a time: nothing is done twice, nothing left, and the tree is one in between. */
static void slices_of_any_size_come_to_the_same_end(void **state)
{
    static const uint32_t limits[] = {1, 2, 3, 5, 11, 12, 13, 1000};
    struct fx *f = *state;

    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        struct removal rm;

        make_tree(f, "t");
        rm = remove_all(f, "t", limits[i]);
        assert_int_equal(rm.error, 0);
        assert_int_equal(rm.files, 7);
        assert_int_equal(rm.dirs, 5);
        assert_int_equal(rm.slices, limits[i] >= 12 ? 1 : (12 + limits[i] - 1) / limits[i]);
        assert_int_equal(fx_lookup(f, ROOT, "t"), -ENOENT);
        fx_check_tree(f);
    }
    assert_int_equal(fx_attr(f, ROOT)->nlink, 2);
}

static void a_tree_stays_a_tree_between_slices(void **state)
{
    struct fx *f = *state;
    unsigned slices = 0;
    bool done = false;

    make_tree(f, "t");
    while (!done) {
        assert_int_equal(fx_remove_tree(f, ROOT, "t", 1, from_start), 0);
        done = f->reply->tree->done;
        fx_check_tree(f);
        slices++;
    }
    assert_int_equal(slices, 12);
}

static void no_more_goes_than_a_slice_may_take(void **state)
{
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d");
    char name[16];

    for (unsigned i = 0; i < TREE_SLICE_MAX + 5; i++) {
        (void)snprintf(name, sizeof(name), "f%04u", i);
        fx_file(f, d, name);
    }
    assert_int_equal(fx_remove_tree(f, ROOT, "d", UINT32_MAX, from_start), 0);
    assert_int_equal(f->reply->tree->files, TREE_SLICE_MAX);
    assert_false(f->reply->tree->done);
    assert_int_equal(fx_remove_tree(f, ROOT, "d", UINT32_MAX, f->reply->tree->next), 0);
    assert_int_equal(f->reply->tree->files, 5);
    assert_true(f->reply->tree->done);
}

/* ---- what stops it ---- */

static void chmod_to(struct fx *f, uint64_t ino, uint32_t mode, uint32_t uid)
{
    Dfs__SetattrOp op = DFS__SETATTR_OP__INIT;

    op.ino = ino;
    op.valid = DFS__SETATTR_VALID__SETATTR_MODE | DFS__SETATTR_VALID__SETATTR_UID;
    op.mode = mode;
    op.uid = uid;
    assert_int_equal(fx_setattr(f, op), 0);
}

/* The same as user 1, who may remove names of the root; owned by him but for `sub`. */
static uint64_t make_owned_tree(struct fx *f)
{
    uint64_t t = make_tree(f, "t");

    chmod_to(f, ROOT, 0777, 0);
    chmod_to(f, t, 0755, 1);
    for (const char *const *p = (const char *const[]){"b", "c", "d", NULL}; *p; p++) {
        assert_int_equal(fx_lookup(f, t, *p), 0);
        chmod_to(f, f->reply->entry->attr->ino, 0755, 1);
    }
    assert_int_equal(fx_lookup(f, t, "d"), 0);
    assert_int_equal(fx_lookup(f, f->reply->entry->attr->ino, "e"), 0);
    chmod_to(f, f->reply->entry->attr->ino, 0755, 1);
    return t;
}

static uint64_t ino_of(struct fx *f, uint64_t parent, const char *name)
{
    assert_int_equal(fx_lookup(f, parent, name), 0);
    return f->reply->entry->attr->ino;
}

static void the_owner_of_all_of_it_may(void **state)
{
    struct fx *f = *state;
    struct removal rm;

    make_owned_tree(f);
    fx_as(f, 1, 1);
    rm = remove_all(f, "t", 1000);
    assert_int_equal(rm.error, 0);
    assert_int_equal(rm.files + rm.dirs, 12);
}

static void a_directory_that_may_not_be_changed_stops_it(void **state)
{
    struct fx *f = *state;
    uint64_t t = make_owned_tree(f);
    uint64_t d = ino_of(f, t, "d"), e = ino_of(f, d, "e");
    struct removal rm;

    chmod_to(f, e, 0555, 1);
    fx_as(f, 1, 1);
    rm = remove_all(f, "t", 1000);
    assert_int_equal(rm.error, -EACCES);
    assert_string_equal(rm.path, "d/e/f");
    assert_int_equal(rm.files, 4); /* a, and all of b, came first. */
    assert_int_equal(rm.dirs, 2);
    fx_check_tree(f);
    /* What cannot be gone through stops it at the directory. */
    fx_as(f, 0, 0);
    chmod_to(f, e, 0600, 1);
    fx_as(f, 1, 1);
    rm = remove_all(f, "t", 1000);
    assert_int_equal(rm.error, -EACCES);
    assert_string_equal(rm.path, "d/e");
    fx_as(f, 0, 0);
    chmod_to(f, e, 0300, 1);
    fx_as(f, 1, 1);
    rm = remove_all(f, "t", 1000);
    assert_int_equal(rm.error, -EACCES);
    assert_string_equal(rm.path, "d/e");
}

/* As with rm -r: rmdir asks for nothing of the directory itself. */
static void an_empty_directory_need_not_be_readable(void **state)
{
    struct fx *f = *state;
    uint64_t t = make_owned_tree(f);
    struct removal rm;

    chmod_to(f, ino_of(f, t, "c"), 0, 0);
    fx_as(f, 1, 1);
    rm = remove_all(f, "t", 1000);
    assert_int_equal(rm.error, 0);
    assert_int_equal(rm.dirs, 5);
}

static void sticky_directories_keep_what_is_others(void **state)
{
    struct fx *f = *state;
    uint64_t t = make_owned_tree(f);
    struct removal rm;

    chmod_to(f, t, 01777, 0);
    fx_as(f, 1, 1);
    rm = remove_all(f, "t", 1000);
    assert_int_equal(rm.error, -EPERM);
    assert_string_equal(rm.path, "a"); /* Root's. */
    assert_int_equal(rm.files + rm.dirs, 0);
}

/* rm -r empties first, and finds out last. */
static void the_directory_above_is_asked_for_the_name_only(void **state)
{
    struct fx *f = *state;
    struct removal rm;

    make_owned_tree(f);
    chmod_to(f, ROOT, 0755, 0);
    fx_as(f, 1, 1);
    rm = remove_all(f, "t", 1000);
    assert_int_equal(rm.error, -EACCES);
    assert_string_equal(rm.path, "");
    assert_int_equal(rm.files, 7);
    assert_int_equal(rm.dirs, 4);
    fx_as(f, 0, 0);
    chmod_to(f, ROOT, 0700, 0);
    fx_as(f, 1, 1);
    assert_int_equal(fx_remove_tree(f, ROOT, "t", 10, from_start), -EACCES);
}

/* ---- others at work ---- */

static void what_is_made_between_slices_goes_too(void **state)
{
    struct fx *f = *state;
    uint64_t t = make_tree(f, "t");
    char next[TREE_NEXT_BYTES_MAX + 1];

    assert_int_equal(fx_remove_tree(f, ROOT, "t", 3, from_start), 0);
    text_of(f->reply->tree->next, next);
    assert_string_equal(next, "b/2"); /* The last to go, after a and b/1. */
    fx_file(f, t, "0");               /* In front of where it stopped, */
    fx_file(f, ino_of(f, t, "b"), "1");
    fx_file(f, t, "z"); /* and behind. */
    assert_int_equal(fx_remove_tree(f, ROOT, "t", 100, bytes_of(next)), 0);
    assert_true(f->reply->tree->done);
    assert_int_equal(f->reply->tree->files, 7 - 3 + 3);
    fx_check_tree(f);
}

static void a_hint_is_only_a_hint(void **state)
{
    static const char *const hints[] = {"zzz", "b",     "b/3/x", "//",      "d/e/g/h/i",
                                        "/",   "h/h/h", "..",    "d/zzz/z", "\001"};
    struct fx *f = *state;
    char name[400];

    for (size_t i = 0; i < ARRAY_COUNT(hints); i++) {
        make_tree(f, "t");
        assert_int_equal(fx_remove_tree(f, ROOT, "t", 100, bytes_of(hints[i])), 0);
        assert_true(f->reply->tree->done);
        assert_int_equal(f->reply->tree->files + f->reply->tree->directories, 12);
    }
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    make_tree(f, "t");
    assert_int_equal(fx_remove_tree(f, ROOT, "t", 100, bytes_of(name)), 0);
    assert_true(f->reply->tree->done);
}

static void a_hint_has_a_length(void **state)
{
    struct fx *f = *state;
    char *text = malloc(TREE_NEXT_BYTES_MAX + 2);
    REQ(REMOVE_TREE, remove_tree, DFS__REMOVE_TREE_OP__INIT);

    memset(text, 'x', TREE_NEXT_BYTES_MAX + 1);
    text[TREE_NEXT_BYTES_MAX + 1] = '\0';
    make_tree(f, "t");
    assert_int_equal(fx_remove_tree(f, ROOT, "t", 100, bytes_of(text)), -EINVAL);
    body.parent = ROOT;
    body.name = bytes_of("t");
    body.from = bytes_of(text);
    body.limit = 1;
    assert_int_equal(fsm_check_request(&req, false), -EINVAL);
    body.from.len = 1;
    assert_int_equal(fsm_check_request(&req, false), 0);
    body.limit = 0;
    assert_int_equal(fsm_check_request(&req, false), -EINVAL);
    free(text);
}

static void a_file_with_another_name_keeps_its_inode(void **state)
{
    struct fx *f = *state;
    uint64_t t = fx_dir(f, ROOT, "t"), file = fx_file(f, ROOT, "stays");
    uint64_t inside = fx_file(f, t, "x");

    assert_int_equal(fx_link(f, file, t, "a"), 0);
    assert_int_equal(fx_link(f, file, t, "b"), 0);
    assert_int_equal(fx_link(f, inside, t, "y"), 0);
    assert_int_equal(fx_remove_tree(f, ROOT, "t", 100, from_start), 0);
    assert_int_equal(f->reply->tree->files, 4);
    assert_int_equal(f->event_count, 2); /* x and y are one inode, and t. */
    assert_int_equal(fx_attr(f, file)->nlink, 1);
    fx_check_tree(f);
}

static uint64_t open_session(struct fx *f)
{
    uint8_t uuid[16] = {7};
    char name[] = "client";
    REQ(SESSION_OPEN, session_open, DFS__SESSION_OPEN_OP__INIT);

    body.client_uuid = (ProtobufCBinaryData){.len = 16, .data = uuid};
    body.name = name;
    assert_int_equal(fx_apply(f, &req), 0);
    return f->reply->id->id;
}

static void a_retried_slice_gets_its_first_answer(void **state)
{
    struct fx *f = *state;
    REQ(REMOVE_TREE, remove_tree, DFS__REMOVE_TREE_OP__INIT);

    make_tree(f, "t");
    req.session = open_session(f);
    req.seq = 1;
    body.parent = ROOT;
    body.name = bytes_of("t");
    body.limit = 5;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(fx_apply(f, &req), 0);
        assert_int_equal(f->reply->tree->files, 4);
        assert_int_equal(f->reply->tree->directories, 1);
        assert_int_equal(fsm_state(f->fsm)->reap_count, 5);
    }
}

/* ---- size ---- */

static void make_chain(struct fx *f, unsigned depth, const char *name)
{
    uint64_t at = ROOT;

    for (unsigned i = 0; i < depth; i++)
        at = fx_dir(f, at, name);
    fx_file(f, at, "bottom");
}

static void a_deep_chain_goes_from_below(void **state)
{
    enum { DEPTH = 1500 };
    struct fx *f = *state;
    struct removal rm;

    make_chain(f, DEPTH, "d");
    rm = remove_all(f, "d", TREE_SLICE_MAX);
    assert_int_equal(rm.error, 0);
    assert_int_equal(rm.files, 1);
    assert_int_equal(rm.dirs, DEPTH);
    /* Once down, and once up. */
    assert_in_range(rm.slices, DEPTH / TREE_SLICE_DEPTH, 4 * DEPTH / TREE_SLICE_DEPTH);
    assert_int_equal(fx_attr(f, ROOT)->nlink, 2);
}

static void long_paths_are_cut(void **state)
{
    struct fx *f = *state;
    char name[NAME_BYTES_MAX + 1];
    struct removal rm = {.slices = 0};

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    make_chain(f, 20, name);
    assert_int_equal(fx_remove_tree(f, ROOT, name, 1, from_start), 0); /* The file. */
    assert_int_equal(f->reply->tree->next.len, 8 * 256 - 1);
    fx_as(f, 1, 1);
    rm = remove_all(f, name, 1);
    assert_int_equal(rm.error, -EACCES);
    assert_int_equal(strlen(rm.path), 3 * 256 + 255);
    fx_as(f, 0, 0);
    rm = remove_all(f, name, 1);
    assert_int_equal(rm.dirs, 20);
}

/* A slice costs what it removes, not what there is or was: in front of it nothing is read again. */
static void the_work_of_a_slice_does_not_grow_with_the_tree(void **state)
{
    enum { FILES = 3000, LIMIT = 50 };
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d");
    struct fx_kv_counts first = {0};
    char name[16], next[TREE_NEXT_BYTES_MAX + 1] = "";

    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof(name), "f%05u", i);
        fx_file(f, d, name);
    }
    for (unsigned i = 0; i < FILES / LIMIT; i++) {
        struct fx_kv_counts now;

        fx_count_kv(f);
        assert_int_equal(fx_remove_tree(f, ROOT, "d", LIMIT, bytes_of(next)), 0);
        assert_int_equal(f->reply->tree->files, LIMIT);
        text_of(f->reply->tree->next, next);
        now = fx_kv_counts();
        if (i == 0)
            first = now;
        assert_int_equal(now.gets, first.gets);
        assert_int_equal(now.scans, first.scans);
        assert_int_equal(now.changes, first.changes);
    }
    assert_true(first.scans <= LIMIT / 25);
    assert_true(first.gets <= 3 * LIMIT);
    assert_true(first.changes <= 4 * LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(whatever_the_name_is_goes),
        ON_BOTH_STORES(mistakes_are_told_in_the_order_of_unlink),
        ON_BOTH_STORES(slices_of_any_size_come_to_the_same_end),
        ON_BOTH_STORES(a_tree_stays_a_tree_between_slices),
        ON_BOTH_STORES(no_more_goes_than_a_slice_may_take),
        ON_BOTH_STORES(the_owner_of_all_of_it_may),
        ON_BOTH_STORES(a_directory_that_may_not_be_changed_stops_it),
        ON_BOTH_STORES(an_empty_directory_need_not_be_readable),
        ON_BOTH_STORES(sticky_directories_keep_what_is_others),
        ON_BOTH_STORES(the_directory_above_is_asked_for_the_name_only),
        ON_BOTH_STORES(what_is_made_between_slices_goes_too),
        ON_BOTH_STORES(a_hint_is_only_a_hint),
        ON_BOTH_STORES(a_hint_has_a_length),
        ON_BOTH_STORES(a_file_with_another_name_keeps_its_inode),
        ON_BOTH_STORES(a_retried_slice_gets_its_first_answer),
        ON_BOTH_STORES(a_deep_chain_goes_from_below),
        ON_BOTH_STORES(long_paths_are_cut),
        ON_BOTH_STORES(the_work_of_a_slice_does_not_grow_with_the_tree),
    };

    return cmocka_run_group_tests_name("fsm_tree", tests, NULL, NULL);
}
