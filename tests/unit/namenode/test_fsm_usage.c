/* What lies below each directory: every change of a link or a size, by itself. */
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/keys.h"
#include "tests/unit/namenode/fsm_fixture.h"
#include "tests/unit/namenode/usage_walk.h"

static void expect(struct fx *f, uint64_t dir, uint64_t files, uint64_t dirs, uint64_t bytes)
{
    const Dfs__UsageReply *u = fx_usage(f, dir);

    assert_int_equal(u->files, files);
    assert_int_equal(u->dirs, dirs);
    assert_int_equal(u->bytes, bytes);
    fx_check_tree(f);
}

static uint64_t file_of(struct fx *f, uint64_t dir, const char *name, uint64_t size)
{
    uint64_t ino = fx_file(f, dir, name);

    assert_int_equal(fx_truncate(f, ino, size), 0);
    return ino;
}

/* A new name counts in its directory and in all above it; what is no regular file has no bytes. */
static void creating_counts_in_every_directory_above(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, a, "b"), other = fx_dir(f, ROOT, "other");

    expect(f, ROOT, 0, 3, 0);
    (void)file_of(f, b, "file", 1000);
    assert_int_equal(fx_symlink(f, b, "link", "target"), 0);
    assert_int_equal(fx_create(f, b, "fifo", S_IFIFO | 0644), 0);
    expect(f, b, 3, 0, 1000);
    expect(f, a, 3, 1, 1000);
    expect(f, ROOT, 3, 3, 1000);
    expect(f, other, 0, 0, 0);
    assert_int_equal(fx_create(f, b, "file", S_IFREG | 0644), -EEXIST);
    expect(f, b, 3, 0, 1000);
}

static void removing_takes_all_of_it_away(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), ino;

    (void)fx_dir(f, a, "b");
    ino = file_of(f, a, "file", 77);
    assert_int_equal(fx_unlink(f, a, "file"), 0);
    expect(f, a, 0, 1, 0);
    /* Open somewhere still, it may grow; it counts nowhere. */
    assert_int_equal(fx_truncate(f, ino, 500), 0);
    expect(f, ROOT, 0, 2, 0);
    assert_int_equal(fx_reap(f, ino, 10), 0);
    assert_int_equal(fx_rmdir(f, a, "b"), 0);
    expect(f, ROOT, 0, 1, 0);
    assert_int_equal(fx_rmdir(f, ROOT, "a"), 0);
    expect(f, ROOT, 0, 0, 0);
}

static void a_size_counts_however_it_changes(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), ino = fx_file(f, a, "file");
    Dfs__CommitOp commit = DFS__COMMIT_OP__INIT;

    fx_make_pgs(f, 1);
    assert_int_equal(fx_write_inline(f, ino, "twelve bytes"), 0);
    expect(f, a, 1, 0, 12);
    commit.ino = ino;
    commit.clear_inline = true;
    commit.end = 100000;
    assert_int_equal(fx_commit(f, commit), 0);
    expect(f, a, 1, 0, 100000);
    commit.clear_inline = false;
    commit.end = 50; /* Inside: no change. */
    assert_int_equal(fx_commit(f, commit), 0);
    expect(f, ROOT, 1, 1, 100000);
    assert_int_equal(fx_truncate(f, ino, 3), 0);
    expect(f, ROOT, 1, 1, 3);
    assert_int_equal(fx_truncate(f, ino, 1ULL << 40), 0);
    expect(f, a, 1, 0, 1ULL << 40);
}

/* A file of several names is in one place, and stays somewhere as long as it has one. */
static void a_file_of_several_names_counts_once(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, ROOT, "b"), c = fx_dir(f, ROOT, "c");
    uint64_t ino = file_of(f, b, "one", 10);

    assert_int_equal(fx_link(f, ino, b, "two"), 0);
    assert_int_equal(fx_link(f, ino, c, "three"), 0);
    assert_int_equal(fx_link(f, ino, a, "four"), 0);
    expect(f, ROOT, 1, 3, 10);
    expect(f, b, 1, 0, 10);
    assert_int_equal(fx_unlink(f, b, "one"), 0); /* Another name is at home still. */
    expect(f, b, 1, 0, 10);
    assert_int_equal(fx_truncate(f, ino, 20), 0);
    assert_int_equal(fx_unlink(f, b, "two"), 0); /* Home goes to the lowest of the others. */
    expect(f, b, 0, 0, 0);
    expect(f, a, 1, 0, 20);
    expect(f, c, 0, 0, 0);
    assert_int_equal(fx_unlink(f, c, "three"), 0); /* Not at home: nothing moves. */
    expect(f, a, 1, 0, 20);
    assert_int_equal(fx_unlink(f, a, "four"), 0);
    expect(f, ROOT, 0, 3, 0);
    assert_int_equal(fx_reap(f, ino, 10), 0);
    expect(f, ROOT, 0, 3, 0);
}

static void renaming_moves_what_a_file_counts(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, a, "b"), c = fx_dir(f, ROOT, "c");
    uint64_t ino = file_of(f, b, "file", 5);

    assert_int_equal(fx_rename(f, b, "file", b, "same", 0), 0);
    expect(f, b, 1, 0, 5);
    assert_int_equal(fx_rename(f, b, "same", a, "up", 0), 0);
    expect(f, b, 0, 0, 0);
    expect(f, a, 1, 1, 5);
    assert_int_equal(fx_rename(f, a, "up", c, "file", 0), 0);
    expect(f, a, 0, 1, 0);
    expect(f, c, 1, 0, 5);
    /* With a second name in c the home stays; with none there it goes along. */
    assert_int_equal(fx_link(f, ino, c, "second"), 0);
    assert_int_equal(fx_rename(f, c, "second", b, "second", 0), 0);
    expect(f, c, 1, 0, 5);
    expect(f, b, 0, 0, 0);
    assert_int_equal(fx_rename(f, c, "file", a, "file", 0), 0);
    expect(f, c, 0, 0, 0);
    expect(f, a, 1, 1, 5);
    expect(f, b, 0, 0, 0);
    /* Two names of one file: both stay. */
    assert_int_equal(fx_rename(f, a, "file", b, "second", 0), 0);
    expect(f, a, 1, 1, 5);
}

static void renaming_over_a_file_takes_that_one_away(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, ROOT, "b"), ino;

    (void)file_of(f, a, "file", 5);
    ino = file_of(f, b, "file", 70);
    assert_int_equal(fx_link(f, ino, a, "keeps"), 0);
    assert_int_equal(fx_rename(f, a, "file", b, "file", 0), 0);
    expect(f, b, 1, 0, 5);
    expect(f, a, 1, 0, 70); /* Its other name is its home now. */
    assert_int_equal(fx_rename(f, b, "file", a, "keeps", 0), 0);
    expect(f, a, 1, 0, 5);
    expect(f, ROOT, 1, 2, 5);
}

static void renaming_a_directory_moves_its_whole_tree(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, a, "b"), c = fx_dir(f, b, "c");
    uint64_t x = fx_dir(f, ROOT, "x"), y = fx_dir(f, x, "y");

    (void)file_of(f, c, "file", 9);
    assert_int_equal(fx_rename(f, a, "b", y, "moved", 0), 0);
    expect(f, a, 0, 0, 0);
    expect(f, y, 1, 2, 9);
    expect(f, x, 1, 3, 9);
    expect(f, ROOT, 1, 5, 9);
    (void)file_of(f, c, "more", 1); /* Goes by the new way up. */
    expect(f, x, 2, 3, 10);
    expect(f, a, 0, 0, 0);
    /* Over an empty directory. */
    assert_int_equal(fx_rename(f, y, "moved", ROOT, "a", 0), 0);
    expect(f, ROOT, 2, 4, 10);
    expect(f, x, 0, 1, 0);
}

static void exchanging_swaps_both(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, ROOT, "b"), tree = fx_dir(f, a, "tree");

    (void)file_of(f, tree, "inside", 4);
    (void)file_of(f, b, "file", 100);
    assert_int_equal(fx_rename(f, a, "tree", b, "file", RENAME_EXCHANGE), 0);
    expect(f, a, 1, 0, 100);
    expect(f, b, 1, 1, 4);
    expect(f, ROOT, 2, 3, 104);
}

/* All of a batch is added up before anything is written: a move in the middle counts as well. */
static void a_batch_adds_up(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, a, "b"), x = fx_dir(f, ROOT, "x");
    static const char *const names[] = {"first", "second", "", "last"};
    Dfs__CreateOp creates[4];
    Dfs__RenameOp rename = DFS__RENAME_OP__INIT;
    Dfs__MetaRequest reqs[4], *ptrs[4];
    uint8_t *bytes;
    size_t len;

    for (unsigned i = 0; i < 4; i++) {
        dfs__meta_request__init(&reqs[i]);
        reqs[i].cred = &f->cred;
        ptrs[i] = &reqs[i];
        if (i == 2) {
            rename.parent = a;
            rename.name = bytes_of("b");
            rename.new_parent = x;
            rename.new_name = bytes_of("b");
            reqs[i].op_case = DFS__META_REQUEST__OP_RENAME;
            reqs[i].rename = &rename;
            continue;
        }
        dfs__create_op__init(&creates[i]);
        creates[i].parent = b;
        creates[i].name = bytes_of(names[i]);
        reqs[i].op_case = DFS__META_REQUEST__OP_CREATE;
        reqs[i].create = &creates[i];
    }
    bytes = fx_batch(f->time_ns, ptrs, 4, &len);
    assert_int_equal(fsm_apply(f->fsm, ++f->index, 1, bytes, len, NULL, NULL), 0);
    free(bytes);
    expect(f, b, 3, 0, 0);
    expect(f, a, 0, 0, 0);
    expect(f, x, 3, 1, 0);
    expect(f, ROOT, 3, 3, 0);
}

static void of_a_file_it_is_the_file_itself(void **state)
{
    struct fx *f = *state;
    uint64_t ino = file_of(f, ROOT, "file", 12), dir = fx_dir(f, ROOT, "dir");
    const Dfs__UsageReply *u = fx_usage(f, ino);
    REQ(USAGE, usage, DFS__USAGE_OP__INIT);

    assert_int_equal(u->files, 1);
    assert_int_equal(u->bytes, 12);
    body.ino = 99;
    assert_int_equal(fx_read(f, &req), -ESTALE);
    /* As ls: who may not read a directory is not told what is in it. */
    assert_int_equal(fx_setattr(f, (Dfs__SetattrOp){.base = PROTOBUF_C_MESSAGE_INIT(
                                                        &dfs__setattr_op__descriptor),
                                                    .ino = dir,
                                                    .valid = DFS__SETATTR_VALID__SETATTR_MODE,
                                                    .mode = 0711}),
                     0);
    body.ino = dir;
    fx_as(f, 5, 5);
    assert_int_equal(fx_read(f, &req), -EACCES);
}

/* A tree with everything in it that the counters distinguish. */
static void grow_a_tree(struct fx *f)
{
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, a, "b"), empty = fx_dir(f, b, "empty");
    uint64_t one = file_of(f, b, "one", 100), gone = file_of(f, a, "gone", 5);

    (void)empty;
    assert_int_equal(fx_symlink(f, ROOT, "s", "target"), 0);
    assert_int_equal(fx_link(f, one, a, "two"), 0);
    assert_int_equal(fx_link(f, one, b, "three"), 0);
    assert_int_equal(fx_unlink(f, a, "gone"), 0);
    assert_int_equal(fx_truncate(f, gone, 6), 0);
}

/* A store that an earlier release wrote gets its counters in one step, alike everywhere. */
static void an_old_store_is_counted_at_once(void **state)
{
    uint64_t first_hash = 0;
    REQ(USAGE, usage, DFS__USAGE_OP__INIT);

    for (unsigned i = 0; i < 3; i++) {
        struct fx *f;
        struct kv_value v;
        struct key k;

        (void)fx_setup_format(state, i == 2, FSM_FORMAT_FIRST);
        f = *state;
        grow_a_tree(f);
        key_state(&k);
        assert_int_equal(kv_get(f->kv, k.b, k.len, &v), 0);
        assert_int_equal(v.data[0], 1); /* As it was, byte for byte. */
        kv_value_done(f->kv, &v);
        body.ino = ROOT;
        req.cred = &f->cred;
        assert_int_equal(fx_read(f, &req), -EOPNOTSUPP);
        if (i == 1)
            fx_reopen(f);
        assert_int_equal(fx_set_format(f, FSM_FORMAT_USAGE), 0);
        expect(f, ROOT, 2, 3, 100);
        assert_int_equal(fx_set_format(f, FSM_FORMAT), 0); /* They are not counted twice. */
        expect(f, ROOT, 2, 3, 100);
        if (i == 0)
            first_hash = fx_store_hash(f->kv);
        assert_int_equal(fx_store_hash(f->kv), first_hash);
        assert_int_equal(fx_set_format(f, FSM_FORMAT), 0); /* Again: nothing. */
        fx_reopen(f);
        (void)fx_file(f, ROOT, "new");
        expect(f, ROOT, 3, 3, 100);
        (void)fx_teardown(state);
    }
}

/* What an older release would have to guess, it refuses. */
static void a_newer_store_is_refused(void **state)
{
    struct fx *f = *state;
    struct state_rec rec = *fsm_state(f->fsm);
    struct kv_batch batch;
    uint8_t bytes[REC_BYTES_MAX];
    struct fsm *fsm = NULL;
    struct key k;

    rec.format = FSM_FORMAT + 1;
    key_state(&k);
    for (unsigned i = 0; i < 2; i++) {
        size_t len = state_rec_encode(&rec, bytes);

        if (i == 1)
            bytes[0] = 4; /* A record that is laid out otherwise. */
        kv_batch_init(&batch);
        (void)kv_batch_put(&batch, k.b, k.len, bytes, len);
        assert_int_equal(kv_write(f->kv, &batch), 0);
        kv_batch_done(&batch);
        assert_int_equal(fsm_open(f->kv, &fsm), -EPROTONOSUPPORT);
    }
    assert_null(fsm);
}

/* Of a store that says so, counting would go round for ever, on every replica. */
/* The parent of a becomes b, which lies in it: a store that is damaged, but whose checksums fit. */
static void put_into_itself(struct fx *f, uint64_t a, uint64_t b)
{
    uint8_t rec[REC_BYTES_MAX];
    struct kv_batch batch;
    struct inode_rec inode;
    struct kv_value v;
    struct key k;

    key_id64(&k, 'I', a);
    assert_int_equal(kv_get(f->kv, k.b, k.len, &v), 0);
    assert_int_equal(inode_rec_decode(a, v.data, v.len, &inode), 0);
    kv_value_done(f->kv, &v);
    inode.parent = b;
    kv_batch_init(&batch);
    (void)kv_batch_put(&batch, k.b, k.len, rec, inode_rec_encode(&inode, rec));
    assert_int_equal(kv_write(f->kv, &batch), 0);
    kv_batch_done(&batch);
    fx_reopen(f);
}

static void assert_is_damage(struct fx *f, Dfs__MetaRequest *req)
{
    Dfs__MetaRequest *reqs[] = {req};
    size_t len;
    uint8_t *bytes = fx_batch(f->time_ns, reqs, 1, &len);

    assert_int_equal(fsm_apply(f->fsm, fsm_applied(f->fsm).index + 1, 1, bytes, len, NULL, NULL),
                     -EBADMSG);
    free(bytes);
}

static void a_directory_in_itself_is_damage(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, a, "b");
    REQ(CREATE, create, DFS__CREATE_OP__INIT);

    put_into_itself(f, a, b);
    body.parent = b;
    body.name.data = (uint8_t *)"file";
    body.name.len = 4;
    body.mode = 0644;
    assert_is_damage(f, &req);
}

/* Whether it would be moved into itself is looked for on the way up, which has no end. */
static void a_rename_into_a_ring_is_damage(void **state)
{
    struct fx *f = *state;
    uint64_t a = fx_dir(f, ROOT, "a"), b = fx_dir(f, fx_dir(f, a, "b"), "c");
    REQ(RENAME, rename, DFS__RENAME_OP__INIT);

    fx_dir(f, ROOT, "moved");
    put_into_itself(f, a, b);
    body.parent = ROOT;
    body.name.data = body.new_name.data = (uint8_t *)"moved";
    body.name.len = body.new_name.len = 5;
    body.new_parent = b;
    assert_is_damage(f, &req);
}

static void a_newer_format_is_not_applied(void **state)
{
    struct fx *f = *state;
    uint64_t before = fsm_applied(f->fsm).index;
    REQ(FORMAT, format, DFS__FORMAT_OP__INIT);
    Dfs__MetaRequest *reqs[] = {&req};
    uint8_t *bytes;
    size_t len;

    body.format = FSM_FORMAT + 1;
    bytes = fx_batch(f->time_ns, reqs, 1, &len);
    assert_int_equal(fsm_apply(f->fsm, before + 1, 1, bytes, len, NULL, NULL), -EBADMSG);
    assert_int_equal(fsm_applied(f->fsm).index, before);
    assert_int_equal(fsm_check_request(&req, true), -EPERM);
    free(bytes);
}

/* What an older release would not see in an operation that it knows, it must not get either. */
static void the_format_depends_on_what_is_asked(void **state)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__TargetSetOp set = DFS__TARGET_SET_OP__INIT;
    Dfs__TargetAddOp add = DFS__TARGET_ADD_OP__INIT;
    Dfs__SetQuotaOp quota = DFS__SET_QUOTA_OP__INIT;
    Dfs__TruncDoneOp done = DFS__TRUNC_DONE_OP__INIT;
    char rack[] = "r1";

    (void)state;
    req.op_case = DFS__META_REQUEST__OP_TARGET_SET;
    req.target_set = &set;
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_FIRST);
    set.maintenance_until_ns = 1;
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_USAGE);
    set.maintenance_until_ns = 0;
    set.rack = rack;
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_USAGE);
    req.op_case = DFS__META_REQUEST__OP_TARGET_ADD;
    req.target_add = &add;
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_FIRST);
    add.rack = rack;
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_USAGE);
    req.op_case = DFS__META_REQUEST__OP_SET_QUOTA;
    req.set_quota = &quota;
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_USAGE);
    req.op_case = DFS__META_REQUEST__OP_REMOVE_TREE; /* Unknown to it altogether. */
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_USAGE);
    req.op_case = DFS__META_REQUEST__OP_TRUNC_DONE;
    req.trunc_done = &done;
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_FIRST);
    done.version = 1;
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_MARKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(creating_counts_in_every_directory_above),
        ON_BOTH_STORES(removing_takes_all_of_it_away),
        ON_BOTH_STORES(a_size_counts_however_it_changes),
        ON_BOTH_STORES(a_file_of_several_names_counts_once),
        ON_BOTH_STORES(renaming_moves_what_a_file_counts),
        ON_BOTH_STORES(renaming_over_a_file_takes_that_one_away),
        ON_BOTH_STORES(renaming_a_directory_moves_its_whole_tree),
        ON_BOTH_STORES(exchanging_swaps_both),
        ON_BOTH_STORES(a_batch_adds_up),
        ON_BOTH_STORES(of_a_file_it_is_the_file_itself),
        cmocka_unit_test(an_old_store_is_counted_at_once),
        cmocka_unit_test(the_format_depends_on_what_is_asked),
        ON_BOTH_STORES(a_newer_store_is_refused),
        ON_BOTH_STORES(a_directory_in_itself_is_damage),
        ON_BOTH_STORES(a_rename_into_a_ring_is_damage),
        ON_BOTH_STORES(a_newer_format_is_not_applied),
    };

    return cmocka_run_group_tests_name("fsm_usage", tests, NULL, NULL);
}
