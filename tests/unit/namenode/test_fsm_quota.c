/* Quotas of directories: what grows is held against them, and nothing else is. */
#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/unit/namenode/fsm_fixture.h"

enum { NONE = 0 };

static int set_quota(struct fx *f, uint64_t dir, uint64_t inodes, uint64_t bytes)
{
    REQ(SET_QUOTA, set_quota, DFS__SET_QUOTA_OP__INIT);

    body.ino = dir;
    body.set_inodes = body.set_bytes = true;
    body.inodes = inodes;
    body.bytes = bytes;
    return fx_apply(f, &req);
}

static const Dfs__StatfsReply *statfs_of(struct fx *f, uint64_t ino)
{
    static const struct fsm_space space = {.bytes_total = 5000, .bytes_free = 4000};
    REQ(STATFS, statfs, DFS__STATFS_OP__INIT);
    Dfs__MetaReply *reply;

    body.ino = ino;
    assert_int_equal(fsm_read(f->fsm, &req, &space, &reply), 0);
    assert_int_equal(reply->status, 0);
    return reply->statfs; /* Until the next read. */
}

static int make_file(struct fx *f, uint64_t dir, const char *name)
{
    return fx_create(f, dir, name, S_IFREG | 0644);
}

static void everything_that_is_made_counts_as_an_inode(void **state)
{
    struct fx *f = *state;
    uint64_t q = fx_dir(f, ROOT, "q"), sub = fx_dir(f, q, "sub"), ino;

    assert_int_equal(set_quota(f, q, 3, NONE), 0);
    ino = fx_file(f, sub, "one");
    assert_int_equal(fx_symlink(f, q, "two", "target"), 0);
    assert_int_equal(make_file(f, sub, "three"), -EDQUOT);
    assert_int_equal(fx_create(f, sub, "three", S_IFDIR | 0755), -EDQUOT);
    assert_int_equal(fx_symlink(f, q, "three", "target"), -EDQUOT);
    assert_int_equal(fx_create(f, q, "three", S_IFIFO | 0644), -EDQUOT);
    assert_int_equal(make_file(f, sub, "one"), -EEXIST);     /* The older error first. */
    assert_int_equal(fx_link(f, ino, q, "another name"), 0); /* Is no inode more. */
    assert_int_equal(fx_truncate(f, ino, 1ULL << 40), 0);    /* Bytes are free. */
    assert_int_equal(make_file(f, ROOT, "outside"), 0);
    fx_check_tree(f);
    assert_int_equal(fx_unlink(f, q, "two"), 0);
    assert_int_equal(make_file(f, sub, "three"), 0);
}

static void bytes_grow_up_to_the_last_one(void **state)
{
    struct fx *f = *state;
    uint64_t q = fx_dir(f, ROOT, "q"), ino = fx_file(f, q, "file"), more = fx_file(f, q, "more");
    Dfs__CommitOp commit = DFS__COMMIT_OP__INIT;

    fx_make_pgs(f, 1);
    assert_int_equal(set_quota(f, q, NONE, 1000), 0);
    assert_int_equal(fx_truncate(f, ino, 1001), -EDQUOT);
    assert_int_equal(fx_truncate(f, ino, 1000), 0);
    assert_int_equal(fx_write_inline(f, more, "x"), -EDQUOT);
    assert_int_equal(fx_attr(f, more)->size, 0);
    assert_int_equal(fx_attr(f, more)->is_inline, false);
    assert_int_equal(fx_write_inline(f, more, ""), 0); /* Nothing is no growth. */
    commit.ino = ino;
    commit.end = 1000;
    commit.mtime_ns = 5;
    assert_int_equal(fx_commit(f, commit), 0); /* Written over: none either. */
    commit.end = 1001;
    commit.mtime_ns = 6;
    assert_int_equal(fx_commit(f, commit), -EDQUOT);
    assert_int_equal(fx_attr(f, ino)->mtime_ns, 5); /* All or nothing. */
    assert_int_equal(fx_truncate(f, ino, 999), 0);
    assert_int_equal(fx_write_inline(f, more, "x"), 0);
    assert_int_equal(fx_write_inline(f, more, "y"), 0);
    assert_int_equal(fx_write_inline(f, more, "yz"), -EDQUOT);
    assert_int_equal(fx_unlink(f, q, "more"), 0);
    assert_int_equal(fx_write_inline(f, more, "yz"), 0); /* Has no place any more. */
    fx_check_tree(f);
}

/* A chunk beyond what may be published is refused before anybody writes to a datanode. */
static void chunks_that_can_not_be_filled_are_not_given(void **state)
{
    struct fx *f = *state;
    uint64_t q = fx_dir(f, ROOT, "q"), ino = fx_file(f, q, "file"), full = fx_file(f, q, "full");
    const uint64_t chunk = CHUNK_SIZE;

    fx_make_pgs(f, 1);
    assert_int_equal(set_quota(f, q, NONE, 2 * chunk), 0);
    assert_int_equal(fx_alloc(f, ino, 0, 4, 1), 0); /* The first of them may be written. */
    assert_int_equal(fx_alloc(f, ino, 2, 1, 1), -EDQUOT);
    assert_int_equal(fx_truncate(f, full, 2 * chunk), 0);
    assert_int_equal(fx_alloc(f, full, 0, 2, 1), 0); /* Holes in what counts already. */
    assert_int_equal(fx_alloc(f, ino, 5, 1, 1), -EDQUOT);
    assert_int_equal(fx_alloc(f, ino, 0, 1, 1), -EDQUOT);
}

/* Past one limit, what does not grow in it goes on. */
static void one_limit_is_not_the_other(void **state)
{
    struct fx *f = *state;
    uint64_t q = fx_dir(f, ROOT, "q"), ino = fx_file(f, q, "file"), out = fx_dir(f, ROOT, "out");

    assert_int_equal(fx_truncate(f, ino, 100), 0);
    assert_int_equal(set_quota(f, q, NONE, 50), 0);
    assert_int_equal(make_file(f, q, "empty"), 0);
    assert_int_equal(make_file(f, out, "too"), 0);
    assert_int_equal(fx_rename(f, out, "too", q, "too", 0), 0);
    assert_int_equal(set_quota(f, q, 1, NONE), 0);
    assert_int_equal(fx_truncate(f, ino, 200), 0);
    assert_int_equal(make_file(f, q, "another"), -EDQUOT);
}

static void every_directory_above_has_its_say(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, a, "b"), c = fx_dir(f, b, "c");
    uint64_t ino = fx_file(f, c, "file");

    assert_int_equal(set_quota(f, a, NONE, 100), 0);
    assert_int_equal(set_quota(f, b, 100, NONE), 0);
    assert_int_equal(set_quota(f, c, NONE, 200), 0);
    assert_int_equal(fx_truncate(f, ino, 150), -EDQUOT);
    assert_int_equal(set_quota(f, a, NONE, 300), 0);
    assert_int_equal(fx_truncate(f, ino, 150), 0);
    assert_int_equal(fx_truncate(f, ino, 201), -EDQUOT);
    assert_int_equal(set_quota(f, ROOT, 4, NONE), 0);
    assert_int_equal(make_file(f, c, "more"), -EDQUOT);
}

static void moving_in_is_growth_and_moving_within_is_not(void **state)
{
    struct fx *f = *state;
    uint64_t q = fx_dir(f, ROOT, "q"), in = fx_dir(f, q, "in"), out = fx_dir(f, ROOT, "out");
    uint64_t tree = fx_dir(f, out, "tree"), ino = fx_file(f, tree, "file");

    assert_int_equal(fx_truncate(f, ino, 100), 0);
    assert_int_equal(set_quota(f, q, 3, 100), 0);
    assert_int_equal(fx_rename(f, out, "tree", q, "tree", 0), 0);
    assert_int_equal(set_quota(f, q, 1, 1), 0); /* Less than there is: legal. */
    assert_int_equal(fx_rename(f, q, "tree", in, "tree", 0), 0);
    assert_int_equal(fx_rename(f, tree, "file", q, "file", 0), 0);
    assert_int_equal(fx_rename(f, q, "file", q, "other", 0), 0);
    assert_int_equal(fx_truncate(f, ino, 50), 0);
    assert_int_equal(fx_rename(f, q, "other", out, "file", 0), 0); /* Out is always free. */
    assert_int_equal(fx_rename(f, out, "file", q, "file", 0), -EDQUOT);
    assert_int_equal(set_quota(f, q, 3, 49), 0);
    assert_int_equal(fx_rename(f, out, "file", in, "file", 0), -EDQUOT); /* Of bytes. */
    assert_int_equal(set_quota(f, q, 2, 50), 0);
    assert_int_equal(fx_rename(f, out, "file", in, "file", 0), -EDQUOT); /* Of inodes. */
    assert_int_equal(set_quota(f, q, 3, 50), 0);
    assert_int_equal(fx_rename(f, out, "file", in, "file", 0), 0);
    /* A quota below the common directory counts. */
    assert_int_equal(set_quota(f, tree, NONE, 10), 0);
    assert_int_equal(fx_rename(f, in, "file", tree, "file", 0), -EDQUOT);
    fx_check_tree(f);
}

/* Only what is more than before counts. */
static void replacing_and_exchanging_count_the_difference(void **state)
{
    struct fx *f = *state;
    uint64_t q = fx_dir(f, ROOT, "q"), small = fx_file(f, ROOT, "small"),
             old = fx_file(f, q, "old");
    uint64_t big = fx_file(f, ROOT, "big");

    assert_int_equal(fx_truncate(f, small, 10), 0);
    assert_int_equal(fx_truncate(f, old, 20), 0);
    assert_int_equal(fx_truncate(f, big, 21), 0);
    assert_int_equal(set_quota(f, q, 1, 20), 0);
    assert_int_equal(fx_rename(f, ROOT, "big", q, "old", 0), -EDQUOT);
    assert_int_equal(fx_rename(f, ROOT, "big", q, "old", RENAME_EXCHANGE), -EDQUOT);
    assert_int_equal(fx_rename(f, q, "old", ROOT, "big", RENAME_EXCHANGE), -EDQUOT);
    assert_int_equal(fx_rename(f, ROOT, "small", q, "old", RENAME_EXCHANGE), 0);
    assert_int_equal(fx_rename(f, ROOT, "small", q, "old", 0), 0);
    assert_int_equal(fx_attr(f, small)->nlink, 0);
    fx_check_tree(f);
    /* One that has another name below the quota makes no room. */
    assert_int_equal(set_quota(f, q, 2, NONE), 0);
    assert_int_equal(fx_link(f, old, fx_dir(f, q, "sub"), "second"), 0);
    assert_int_equal(fx_rename(f, ROOT, "big", q, "old", 0), -EDQUOT);
    assert_int_equal(set_quota(f, q, 3, NONE), 0);
    assert_int_equal(fx_rename(f, ROOT, "big", q, "old", 0), 0);
    assert_int_equal(fx_usage(f, q)->files, 2);
    fx_check_tree(f);
}

static void links_are_checked_as_moves_and_names_go_in_any_case(void **state)
{
    struct fx *f = *state;
    uint64_t q = fx_dir(f, ROOT, "q"), ino = fx_file(f, ROOT, "file"), sub = fx_dir(f, q, "sub");

    assert_int_equal(fx_truncate(f, ino, 100), 0);
    assert_int_equal(set_quota(f, q, NONE, 99), 0);
    assert_int_equal(fx_link(f, ino, sub, "file"), -EDQUOT);
    assert_int_equal(set_quota(f, q, NONE, 100), 0);
    assert_int_equal(fx_link(f, ino, sub, "file"), 0);
    assert_int_equal(fx_usage(f, q)->bytes, 0);
    assert_int_equal(fx_truncate(f, ino, 200), 0); /* At home nobody minds. */
    assert_int_equal(fx_unlink(f, ROOT, "file"), 0);
    assert_int_equal(fx_usage(f, q)->bytes, 200);
    assert_int_equal(fx_link(f, ino, q, "more"), 0); /* Inside it is no growth. */
    assert_int_equal(fx_truncate(f, ino, 201), -EDQUOT);
    assert_int_equal(fx_truncate(f, ino, 199), 0);
    /* A name that does not take its file along weighs nothing. */
    ino = fx_file(f, ROOT, "first");
    assert_int_equal(fx_truncate(f, ino, 1000), 0);
    assert_int_equal(fx_link(f, ino, ROOT, "second"), 0);
    assert_int_equal(fx_rename(f, ROOT, "second", q, "second", 0), 0);
    assert_int_equal(fx_rename(f, ROOT, "first", q, "first", 0), -EDQUOT);
    fx_check_tree(f);
}

static void root_sets_them_and_on_directories(void **state)
{
    struct fx *f = *state;
    uint64_t q = fx_dir(f, ROOT, "q"), ino = fx_file(f, ROOT, "file");
    REQ(SET_QUOTA, set_quota, DFS__SET_QUOTA_OP__INIT);

    assert_int_equal(set_quota(f, ino, 1, 1), -ENOTDIR);
    assert_int_equal(set_quota(f, 99, 1, 1), -ESTALE);
    fx_as(f, 5, 5);
    assert_int_equal(set_quota(f, q, 1, 1), -EPERM);
    f->cred.kernel_checked = true; /* No kernel knows of this. */
    assert_int_equal(set_quota(f, q, 1, 1), -EPERM);
    fx_as(f, 0, 0);
    assert_int_equal(set_quota(f, q, 7, 8), 0);
    assert_int_equal(f->reply->usage->quota_inodes, 7);
    assert_int_equal(f->reply->usage->quota_bytes, 8);
    body.ino = q;
    body.set_bytes = true;
    body.bytes = 9;
    assert_int_equal(fx_apply(f, &req), 0); /* One of them alone. */
    assert_int_equal(fx_usage(f, q)->quota_inodes, 7);
    assert_int_equal(fx_usage(f, q)->quota_bytes, 9);
    assert_int_equal(fsm_state(f->fsm)->quota_count, 1);
    fx_reopen(f);
    assert_int_equal(fsm_state(f->fsm)->quota_count, 1);
    assert_int_equal(set_quota(f, q, NONE, NONE), 0);
    assert_int_equal(fsm_state(f->fsm)->quota_count, 0);
    assert_int_equal(make_file(f, q, "file"), 0);
    fx_check_tree(f);
}

static void a_removed_directory_takes_its_quota_along(void **state)
{
    struct fx *f = *state;
    uint64_t q = fx_dir(f, ROOT, "q"), gone = fx_dir(f, ROOT, "gone");

    assert_int_equal(set_quota(f, q, 5, 5), 0);
    assert_int_equal(set_quota(f, gone, 5, 5), 0);
    assert_int_equal(fx_rmdir(f, ROOT, "q"), 0);
    assert_int_equal(fsm_state(f->fsm)->quota_count, 1);
    assert_int_equal(set_quota(f, q, 5, 5), -ENOENT);
    (void)fx_dir(f, ROOT, "over");
    assert_int_equal(fx_rename(f, ROOT, "over", ROOT, "gone", 0), 0);
    assert_int_equal(fsm_state(f->fsm)->quota_count, 0);
    assert_int_equal(fx_reap(f, gone, 1), 0);
    fx_check_tree(f);
}

static void statfs_shows_the_tightest(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, a, "b"), ino = fx_file(f, b, "file");
    const Dfs__StatfsReply *s;

    assert_int_equal(fx_truncate(f, ino, 100), 0);
    assert_int_equal(statfs_of(f, b)->bytes_total, 5000);
    assert_int_equal(set_quota(f, a, NONE, 1000), 0);
    assert_int_equal(set_quota(f, b, 10, 2000), 0);
    for (unsigned i = 0; i < 2; i++) {
        s = statfs_of(f, i == 0 ? b : ino); /* Of a file: of where it counts. */
        assert_int_equal(s->bytes_total, 1000);
        assert_int_equal(s->bytes_free, 900);
        assert_true(s->by_quota);
        assert_int_equal(s->inodes_max, 10);
        assert_int_equal(s->inodes_used, 1);
    }
    s = statfs_of(f, a);
    assert_int_equal(s->inodes_used, fsm_state(f->fsm)->inode_count);
    assert_int_equal(s->bytes_free, 900);
    s = statfs_of(f, ROOT);
    assert_int_equal(s->bytes_total, 5000);
    assert_int_equal(set_quota(f, b, 10, 50), 0); /* More is used than that. */
    s = statfs_of(f, b);
    assert_int_equal(s->bytes_total, 50);
    assert_int_equal(s->bytes_free, 0);
    assert_int_equal(set_quota(f, a, NONE, 100000), 0); /* More than the cluster has. */
    assert_int_equal(statfs_of(f, a)->bytes_free, 4000);
    assert_int_equal(statfs_of(f, 99)->bytes_total, 5000);
    assert_int_equal(statfs_of(f, 0)->bytes_total, 5000);
}

/* Sparse files cost nothing to make: 64 of the largest would bring a sum of 64 bits back to 0. */
static void sums_do_not_wrap(void **state)
{
    struct fx *f = *state;
    uint64_t big = fx_dir(f, ROOT, "big"), q = fx_dir(f, ROOT, "q");
    char name[] = "00";

    for (unsigned i = 0; i < 64; i++) {
        name[0] = (char)('0' + i / 8);
        name[1] = (char)('0' + i % 8);
        assert_int_equal(fx_truncate(f, fx_file(f, big, name), FSM_FILE_SIZE_MAX), 0);
    }
    assert_int_equal(fx_usage(f, big)->bytes, UINT64_MAX < 64 * (unsigned __int128)FSM_FILE_SIZE_MAX
                                                  ? UINT64_MAX
                                                  : 64 * FSM_FILE_SIZE_MAX);
    assert_int_equal(set_quota(f, q, NONE, 1ULL << 62), 0);
    assert_int_equal(fx_rename(f, ROOT, "big", q, "big", 0), -EDQUOT);
    fx_check_tree(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(everything_that_is_made_counts_as_an_inode),
        ON_BOTH_STORES(bytes_grow_up_to_the_last_one),
        ON_BOTH_STORES(chunks_that_can_not_be_filled_are_not_given),
        ON_BOTH_STORES(one_limit_is_not_the_other),
        ON_BOTH_STORES(every_directory_above_has_its_say),
        ON_BOTH_STORES(moving_in_is_growth_and_moving_within_is_not),
        ON_BOTH_STORES(replacing_and_exchanging_count_the_difference),
        ON_BOTH_STORES(links_are_checked_as_moves_and_names_go_in_any_case),
        ON_BOTH_STORES(root_sets_them_and_on_directories),
        ON_BOTH_STORES(a_removed_directory_takes_its_quota_along),
        ON_BOTH_STORES(statfs_shows_the_tightest),
        ON_BOTH_STORES(sums_do_not_wrap),
    };

    return cmocka_run_group_tests_name("fsm_quota", tests, NULL, NULL);
}
