/* How many copies files are to have: the attribute dfs.copies, and the swap of chunks by which a file
 * gets others. */
#include <errno.h>
#include <linux/xattr.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/keys.h"
#include "tests/unit/namenode/fsm_fixture.h"

static const char copies[] = "dfs.copies";

/* As a digit, or a negative code. */
static int get(struct fx *f, uint64_t ino)
{
    int r;
    REQ(GETXATTR, getxattr, DFS__GETXATTR_OP__INIT);

    body.ino = ino;
    body.name = bytes_of(copies);
    r = fx_read(f, &req);
    if (r < 0)
        return r;
    assert_int_equal(f->reply->value->value.len, 1);
    return f->reply->value->value.data[0] - '0';
}

static int set(struct fx *f, uint64_t ino, const char *value)
{
    return fx_setxattr(f, ino, copies, value, 0);
}

static int unset(struct fx *f, uint64_t ino)
{
    REQ(REMOVEXATTR, removexattr, DFS__REMOVEXATTR_OP__INIT);

    body.ino = ino;
    body.name = bytes_of(copies);
    return fx_apply(f, &req);
}

static uint8_t version_of_record(struct fx *f, uint64_t ino)
{
    struct kv_value v;
    struct key k;
    uint8_t version;

    key_id64(&k, 'I', ino);
    assert_int_equal(kv_get(f->kv, k.b, k.len, &v), 0);
    version = v.data[0];
    kv_value_done(f->kv, &v);
    return version;
}

static void what_is_made_in_a_directory_inherits_it(void **state)
{
    struct fx *f = *state;
    uint64_t dir = fx_dir(f, ROOT, "d"), before = fx_file(f, dir, "before"), sub, deep;

    assert_int_equal(get(f, ROOT), 3); /* The cluster's. */
    assert_int_equal(get(f, dir), 3);
    assert_int_equal(version_of_record(f, dir), 1);
    assert_int_equal(set(f, dir, "2"), 0);
    assert_int_equal(get(f, dir), 2);
    assert_int_equal(version_of_record(f, dir), 3);
    assert_int_equal(get(f, before), 3); /* It was made before. */
    sub = fx_dir(f, dir, "sub");
    deep = fx_file(f, sub, "deep");
    assert_int_equal(get(f, sub), 2);
    assert_int_equal(get(f, deep), 2);
    assert_int_equal(fx_rename(f, sub, "deep", ROOT, "moved", 0), 0);
    assert_int_equal(get(f, deep), 2); /* Its own by now. */
    assert_int_equal(set(f, deep, "1"), 0);
    assert_int_equal(get(f, deep), 1);
    assert_int_equal(get(f, fx_file(f, ROOT, "other")), 3);
    fx_reopen(f);
    assert_int_equal(get(f, deep), 1);
    fx_check_tree(f);
}

static void without_it_the_number_is_the_clusters_again(void **state)
{
    struct fx *f = *state;
    uint64_t dir = fx_dir(f, ROOT, "d");

    assert_int_equal(set(f, dir, "1"), 0);
    assert_int_equal(unset(f, dir), 0);
    assert_int_equal(get(f, dir), 3);
    assert_int_equal(get(f, fx_file(f, dir, "x")), 3);
    assert_int_equal(version_of_record(f, dir), 1);
}

/* A mount's kernel has checked permission to write only: that is not enough to ask for more disks. */
static void only_the_owner_and_root_may_set_it(void **state)
{
    struct fx *f = *state;
    uint64_t dir = fx_dir(f, ROOT, "d"), mine;
    Dfs__SetattrOp chown = DFS__SETATTR_OP__INIT;

    mine = fx_dir(f, ROOT, "mine");
    chown.ino = mine;
    chown.valid = DFS__SETATTR_VALID__SETATTR_UID;
    chown.uid = 7;
    assert_int_equal(fx_setattr(f, chown), 0);
    fx_as(f, 7, 7);
    f->cred.kernel_checked = true;
    assert_int_equal(set(f, dir, "2"), -EPERM);
    assert_int_equal(unset(f, dir), -EPERM);
    assert_int_equal(set(f, mine, "2"), 0);
    assert_int_equal(get(f, dir), 3); /* Whoever finds the file may see it. */
}

static void only_numbers_that_can_be_are_taken(void **state)
{
    static const char *const bad[] = {"0", "4", "9", "", "22", "2\n", "two", "-1"};
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), s;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(set(f, x, bad[i]), -EINVAL);
    assert_int_equal(get(f, x), 3);
    assert_int_equal(fx_setxattr(f, x, copies, "2", XATTR_CREATE), -EEXIST);
    assert_int_equal(fx_setxattr(f, x, copies, "2", XATTR_REPLACE), 0);
    assert_int_equal(fx_setxattr(f, x, "dfs.other", "2", 0), -EOPNOTSUPP);
    assert_int_equal(fx_symlink(f, ROOT, "s", "x"), 0);
    s = f->reply->entry->attr->ino;
    assert_int_equal(set(f, s, "2"), -EPERM);
    assert_int_equal(get(f, s), -ENODATA);
    assert_int_equal(set(f, 12345, "2"), -ESTALE);
}

/* A copy of a file with its attributes (cp -a, rsync -X) has the number of where it is made. */
static void it_is_not_listed_nor_counted(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");
    REQ(LISTXATTR, listxattr, DFS__LISTXATTR_OP__INIT);

    assert_int_equal(set(f, x, "2"), 0);
    assert_false(f->reply->entry->attr->has_xattr);
    body.ino = x;
    assert_int_equal(fx_read(f, &req), 0);
    assert_int_equal(f->reply->names->n_names, 0);
}

static void before_its_format_it_is_a_name_that_is_not_offered(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct fx *f;
        uint64_t x;

        (void)fx_setup_format(state, i == 1, FSM_FORMAT_COPIES - 1);
        f = *state;
        x = fx_file(f, ROOT, "x");
        assert_int_equal(set(f, x, "2"), -EOPNOTSUPP);
        assert_int_equal(unset(f, x), -EOPNOTSUPP);
        assert_int_equal(get(f, x), -EOPNOTSUPP);
        assert_int_equal(fx_set_format(f, FSM_FORMAT_COPIES), 0);
        assert_int_equal(get(f, x), 3);
        assert_int_equal(set(f, x, "2"), 0);
        (void)fx_teardown(state);
    }
}

static void what_sets_it_needs_its_format(void **state)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__SetxattrOp op = DFS__SETXATTR_OP__INIT;
    Dfs__RemovexattrOp drop = DFS__REMOVEXATTR_OP__INIT;

    (void)state;
    req.op_case = DFS__META_REQUEST__OP_SETXATTR;
    req.setxattr = &op;
    op.name = bytes_of("user.copies");
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_FIRST);
    op.name = bytes_of(copies);
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_COPIES);
    req.op_case = DFS__META_REQUEST__OP_REMOVEXATTR;
    req.removexattr = &drop;
    drop.name = bytes_of(copies);
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_COPIES);
}

/* ---- swaps ---- */

enum { CHUNK = 64 << 20 };

static int swap(struct fx *f, uint64_t ino, uint64_t other, uint32_t first, uint32_t count,
                uint64_t version)
{
    REQ(SWAP_CHUNKS, swap_chunks, DFS__SWAP_CHUNKS_OP__INIT);

    body.ino = ino;
    body.other = other;
    body.first_index = first;
    body.count = count;
    body.data_version = version;
    return fx_apply(f, &req);
}

/* These chunks are there and hold bytes. */
static void write_chunks(struct fx *f, uint64_t ino, uint32_t first, uint32_t count, uint32_t pg)
{
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;
    uint32_t indexes[8];

    assert_int_equal(fx_alloc(f, ino, first, count, pg), 0);
    for (uint32_t i = 0; i < count; i++)
        indexes[i] = first + i;
    op.ino = ino;
    op.end = (uint64_t)(first + count) * CHUNK;
    op.materialized = indexes;
    op.n_materialized = count;
    assert_int_equal(fx_commit(f, op), 0);
}

static uint64_t nameless(struct fx *f)
{
    uint64_t ino = fx_file(f, ROOT, "nameless");

    assert_int_equal(fx_unlink(f, ROOT, "nameless"), 0);
    return ino;
}

/* The PG of each of the first chunks, as digits: "0" for a hole. */
static const char *pgs_of(struct fx *f, uint64_t ino, uint32_t count)
{
    static char text[16];
    REQ(LAYOUT, layout, DFS__LAYOUT_OP__INIT);

    body.ino = ino;
    body.count = count;
    assert_int_equal(fx_read(f, &req), 0);
    memset(text, '0', count);
    text[count] = '\0';
    for (size_t i = 0; i < f->reply->layout->n_chunks; i++)
        text[f->reply->layout->chunks[i]->index] = (char)('0' + f->reply->layout->chunks[i]->pg);
    return text;
}

static void a_file_gets_chunks_elsewhere(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), other = nameless(f), version, size;
    uint64_t garbage[4];
    struct chunk_owner_rec owner;
    int64_t mtime;
    size_t n;

    fx_make_pgs(f, 2);
    write_chunks(f, x, 0, 4, 1);
    write_chunks(f, other, 1, 2, 2);
    version = fx_attr(f, x)->data_version;
    size = f->reply->entry->attr->size;
    mtime = f->reply->entry->attr->mtime_ns;
    assert_int_equal(swap(f, x, other, 1, 2, version), 0);
    assert_string_equal(pgs_of(f, x, 5), "12210");
    assert_string_equal(pgs_of(f, other, 5), "01100");
    assert_int_equal(fx_attr(f, x)->data_version, version + 1); /* Who knows the map asks anew. */
    assert_int_equal(f->reply->entry->attr->size, size);
    assert_int_equal(f->reply->entry->attr->mtime_ns, mtime);
    assert_int_equal(f->reply->entry->attr->chunk_count, 4);
    assert_int_equal(swap(f, x, other, 1, 2, version), -EBUSY);
    fx_check_tree(f);
    assert_int_equal(fx_reap(f, other, 8), 0); /* The old ones go with it, the new ones stay. */
    assert_int_equal(fsm_list_garbage(f->fsm, 1, 0, 4, garbage, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(fsm_list_garbage(f->fsm, 2, 0, 4, garbage, &n), 0);
    assert_int_equal(n, 0);
    assert_string_equal(pgs_of(f, x, 5), "12210");
    {
        struct fsm_pg_chunk chunks[4];

        assert_int_equal(fsm_list_chunks(f->fsm, 2, 0, 4, chunks, &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(fsm_chunk_owner(f->fsm, 2, chunks[1].chunk_id, &owner), 0);
        assert_int_equal(owner.ino, x);
        assert_int_equal(owner.index, 2);
    }
    fx_check_tree(f);
}

/* Two records of the chunk map, and what is allocated without bytes goes along. */
static void a_swap_reaches_over_pages_and_takes_what_is_empty(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), other = nameless(f);

    fx_make_pgs(f, 2);
    write_chunks(f, x, 254, 4, 1);
    assert_int_equal(fx_alloc(f, x, 258, 2, 1), 0);
    write_chunks(f, other, 254, 4, 2);
    assert_int_equal(swap(f, x, other, 254, 6, fx_attr(f, x)->data_version), 0);
    assert_int_equal(fx_attr(f, x)->chunk_count, 4);
    assert_int_equal(fx_attr(f, other)->chunk_count, 6);
    fx_check_tree(f);
    fx_reopen(f);
    fx_check_tree(f);
}

/* What was written, cut or published since the copy began would be lost. */
static void what_changed_since_is_not_swapped(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), other = nameless(f), version;
    Dfs__CommitOp again = DFS__COMMIT_OP__INIT;
    uint32_t index = 0;

    fx_make_pgs(f, 2);
    write_chunks(f, x, 0, 2, 1);
    write_chunks(f, other, 0, 1, 2);
    version = fx_attr(f, x)->data_version;
    again.ino = x;
    again.mtime_ns = 1;
    assert_int_equal(fx_commit(f, again), 0); /* Written over in place. */
    assert_int_equal(swap(f, x, other, 0, 1, version), -EBUSY);
    version = fx_attr(f, x)->data_version;
    again.materialized = &index;
    again.n_materialized = 1;
    assert_int_equal(fx_commit(f, again), 0);
    assert_int_equal(swap(f, x, other, 0, 1, version), -EBUSY);
    version = fx_attr(f, x)->data_version;
    assert_int_equal(fx_truncate(f, x, CHUNK + 5), 0);
    assert_int_equal(swap(f, x, other, 0, 1, version), -EBUSY);
    /* The mark of that truncation names a chunk: it has to be cleared first. */
    assert_int_equal(swap(f, x, other, 0, 1, fx_attr(f, x)->data_version), -EBUSY);
    assert_string_equal(pgs_of(f, x, 2), "11");
    fx_check_tree(f);
}

static void neither_loses_nor_gains_bytes(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), other = nameless(f), version, named;

    fx_make_pgs(f, 2);
    write_chunks(f, x, 0, 2, 1);
    write_chunks(f, other, 1, 2, 2);
    version = fx_attr(f, x)->data_version;
    assert_int_equal(swap(f, x, other, 0, 2, version), -EINVAL); /* 0 is not copied. */
    assert_int_equal(swap(f, x, other, 1, 2, version), -EINVAL); /* 2 is a hole. */
    named = fx_file(f, ROOT, "named");
    write_chunks(f, named, 1, 1, 2);
    assert_int_equal(swap(f, x, named, 1, 1, version), -EINVAL);
    assert_int_equal(swap(f, x, x, 1, 1, version), -EINVAL);
    assert_int_equal(swap(f, x, other, 1, 0, version), -EINVAL);
    assert_int_equal(swap(f, x, other, 1, 65, version), -EINVAL);
    assert_int_equal(swap(f, x, other, UINT32_MAX - 1, 4, version), -EINVAL);
    assert_int_equal(swap(f, ROOT, other, 1, 1, version), -EISDIR);
    assert_int_equal(swap(f, x, 12345, 1, 1, version), -ESTALE);
    assert_int_equal(swap(f, x, other, 1, 1, version), 0);
    fx_check_tree(f);
}

static void only_the_owner_and_root_may_swap(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), other = nameless(f), version;
    Dfs__SetattrOp chown = DFS__SETATTR_OP__INIT;

    fx_make_pgs(f, 2);
    write_chunks(f, x, 0, 1, 1);
    write_chunks(f, other, 0, 1, 2);
    chown.ino = x;
    chown.valid = DFS__SETATTR_VALID__SETATTR_UID;
    chown.uid = 7;
    assert_int_equal(fx_setattr(f, chown), 0);
    version = fx_attr(f, x)->data_version;
    fx_as(f, 7, 7);
    f->cred.kernel_checked = true;
    assert_int_equal(swap(f, x, other, 0, 1, version), -EPERM); /* Of root's. */
    fx_as(f, 8, 8);
    assert_int_equal(swap(f, x, other, 0, 1, version), -EPERM);
    fx_as(f, 0, 0);
    chown.ino = other;
    assert_int_equal(fx_setattr(f, chown), 0);
    fx_as(f, 7, 7);
    assert_int_equal(swap(f, x, other, 0, 1, version), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(what_is_made_in_a_directory_inherits_it),
        ON_BOTH_STORES(without_it_the_number_is_the_clusters_again),
        ON_BOTH_STORES(only_the_owner_and_root_may_set_it),
        ON_BOTH_STORES(only_numbers_that_can_be_are_taken),
        ON_BOTH_STORES(it_is_not_listed_nor_counted),
        ON_BOTH_STORES(a_file_gets_chunks_elsewhere),
        ON_BOTH_STORES(a_swap_reaches_over_pages_and_takes_what_is_empty),
        ON_BOTH_STORES(what_changed_since_is_not_swapped),
        ON_BOTH_STORES(neither_loses_nor_gains_bytes),
        ON_BOTH_STORES(only_the_owner_and_root_may_swap),
        cmocka_unit_test(before_its_format_it_is_a_name_that_is_not_offered),
        cmocka_unit_test(what_sets_it_needs_its_format),
    };

    return cmocka_run_group_tests_name("fsm_copies", tests, NULL, NULL);
}
