/* fsck: whatever is wrong in the store is found, told where it is, and mended. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/namenode/fsck_fixture.h"

/* ---- names ---- */

static void a_whole_tree_has_no_findings(void **state)
{
    struct fx *f = *state;

    (void)fsck_tree_make(f);
    fsck_again(f);
    assert_int_equal(fsck_found.finding_count, 0);
    assert_int_equal(fsck_found.inode_count, fsm_state(f->fsm)->inode_count);
    assert_int_equal(fsck_found.chunk_count, 3);
}

static void a_name_of_nothing_is_removed(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_drop_id(f, 'I', t.plain);
    fsck_is_found(f, FSCK_DANGLING_ENTRY, "/a/plain");
    assert_int_equal(fx_lookup(f, t.a, "plain"), -ENOENT);
}

static void an_entry_gets_the_type_of_its_inode(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_put_entry(f, t.a, "plain", t.plain, S_IFDIR);
    fsck_is_found(f, FSCK_ENTRY_TYPE, "/a/plain");
}

/* What was in it is not lost with it. */
static void entries_of_a_lost_directory_are_kept(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_drop_id(f, 'I', t.p);
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_DANGLING_ENTRY, "/p");
    fsck_is_told(FSCK_STRAY_ENTRY, ".../q");
    fsck_is_mended(f);
    assert_true(fsck_is_lost(f, t.q));
    assert_int_equal(fx_lookup(f, t.q, "file"), 0);
}

static void a_directory_keeps_the_name_that_it_says(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_put_entry(f, t.b, "again", t.sub, S_IFDIR);
    fsck_is_found(f, FSCK_SECOND_NAME, "/b/again");
    assert_int_equal(fx_lookup(f, t.b, "again"), -ENOENT);
    assert_int_equal(fx_lookup(f, t.a, "sub"), 0);
}

static void directories_in_each_other_are_brought_back(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct inode_rec p = fsck_inode_of(f, t.p);

    damage_drop_entry(f, ROOT, "p");
    damage_put_entry(f, t.q, "p", t.p, S_IFDIR);
    p.parent = t.q;
    damage_put_inode(f, &p);
    fsck_is_found(f, FSCK_LOOP, NULL);
    assert_true(fsck_is_lost(f, t.p) || fsck_is_lost(f, t.q));
}

static void what_has_no_name_gets_one(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_drop_entry(f, t.a, "inline");
    damage_drop_entry(f, ROOT, "p");
    fsck_is_found(f, FSCK_NO_NAME, NULL);
    assert_true(fsck_is_lost(f, t.inlined));
    assert_true(fsck_is_lost(f, t.p));
    assert_int_equal(fx_lookup(f, t.p, "q"), 0);
}

static void counts_of_links_and_entries_are_mended(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct inode_rec rec = fsck_inode_of(f, t.plain);

    rec.nlink = 5;
    damage_put_inode(f, &rec);
    rec = fsck_inode_of(f, t.a);
    rec.entry_count = 0;
    rec.nlink = 9;
    damage_put_inode(f, &rec);
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_ENTRY_COUNT, "/a");
    fsck_is_told(FSCK_NLINK, NULL);
    fsck_is_mended(f);
}

static void a_parent_that_is_none_is_mended(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct inode_rec rec = fsck_inode_of(f, t.sub);

    rec.parent = t.b;
    damage_put_inode(f, &rec);
    fsck_is_found(f, FSCK_PARENT, "/a/sub");

    rec = fsck_inode_of(f, t.plain);
    rec.parent = t.b;
    damage_put_inode(f, &rec);
    fsck_is_found(f, FSCK_HOME, "/a/plain");
}

static void the_reaper_gets_what_is_unlinked_and_nothing_else(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_drop_id(f, 'g', t.open_only);
    fsck_is_found(f, FSCK_NOT_QUEUED, NULL);
    assert_int_equal(fx_reap(f, t.open_only, 1), 0);

    damage_put_id(f, 'g', t.plain, "");
    fsck_is_found(f, FSCK_QUEUED, "/a/plain");
    assert_int_equal(fx_reap(f, t.plain, 1), -ENOENT);

    damage_put_id(f, 'g', GONE, "");
    fsck_is_found(f, FSCK_QUEUED, NULL);
}

static void records_of_nobody_are_removed(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct usage_rec usage = {.files = 3, .quota_inodes = 7};
    struct link_rec link = {.names = 2};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    damage_put_id(f, 'F', GONE, "text");
    damage_put_id(f, 'F', t.plain, "text");
    damage_put_id(f, 'L', t.plain, "target");
    key_name(&k, 'X', GONE, "user.a", 6);
    damage_put_value(f, &k, "v");
    key_id64(&k, 'U', GONE);
    damage_put(f, &k, bytes, usage_rec_encode(&usage, bytes));
    key_link(&k, GONE, t.a);
    damage_put(f, &k, bytes, link_rec_encode(&link, bytes));
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_STRAY_RECORD, NULL);
    fsck_is_mended(f);
    for (const char *kind = "FXUK"; *kind; kind++) {
        struct kv_value v;

        key_id64(&k, *kind, GONE);
        if (*kind == 'F' || *kind == 'U')
            assert_int_equal(kv_get(f->kv, k.b, k.len, &v), -ENOENT);
    }
}

/* A file without what it says is not made an empty one. */
static void content_that_is_lost_is_told_only(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_drop_id(f, 'F', t.inlined);
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_NO_CONTENT, "/a/inline");
    assert_int_equal(fsck_found.finding_count, 1);
    assert_int_equal(fsck_found.repairable_count, 0);
}

static void bytes_of_xattrs_are_counted_anew(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct inode_rec rec = fsck_inode_of(f, t.inlined);

    rec.xattr_bytes += 100;
    damage_put_inode(f, &rec);
    fsck_is_found(f, FSCK_XATTR_BYTES, "/a/inline");
}

static void where_the_names_of_a_file_are_is_mended(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct link_rec rec = {.names = 4};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_link(&k, t.two, t.a);
    damage_put(f, &k, bytes, link_rec_encode(&rec, bytes));
    fsck_is_found(f, FSCK_LINKS, "/a/two");
    key_link(&k, t.two, t.b);
    damage_drop(f, &k);
    fsck_is_found(f, FSCK_LINKS, "/b/two");
    assert_int_equal(fx_unlink(f, t.a, "two"), 0);
    assert_int_equal(fx_unlink(f, t.b, "two"), 0);
}

/* ---- chunks ---- */

static uint64_t chunk_of(struct fx *f, uint32_t pg)
{
    struct fsm_pg_chunk c;
    size_t n;

    assert_int_equal(fsm_list_chunks(f->fsm, pg, 0, 1, &c, &n), 0);
    assert_int_equal(n, 1);
    return c.chunk_id;
}

static void chunks_of_a_lost_file_are_deleted(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_drop_id(f, 'I', t.chunks);
    fsck_is_found(f, FSCK_STRAY_MAP, NULL);
    assert_int_equal(fsm_state(f->fsm)->chunk_count, 0);
    assert_int_equal(fsm_state(f->fsm)->garbage_count, 3);
}

static void the_number_of_chunks_is_mended(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct inode_rec rec = fsck_inode_of(f, t.chunks);

    rec.chunk_count = 1;
    damage_put_inode(f, &rec);
    fsck_is_found(f, FSCK_CHUNK_COUNT, "/a/chunks");
}

static void a_group_learns_whose_its_chunk_is(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    uint64_t chunk = chunk_of(f, 2);
    struct chunk_owner_rec owner;
    struct key k;

    key_pg_chunk(&k, 'c', 2, chunk);
    damage_drop(f, &k);
    damage_put_owner(f, 'G', 2, chunk, t.chunks, 1);
    fsck_is_found(f, FSCK_NO_OWNER, NULL);
    assert_int_equal(fsm_is_garbage(f->fsm, 2, chunk), 0);

    damage_put_owner(f, 'c', 2, chunk, t.plain, 7);
    fsck_is_found(f, FSCK_NO_OWNER, NULL);
    assert_int_equal(fsm_chunk_owner(f->fsm, 2, chunk, &owner), 0);
    assert_true(owner.ino == t.chunks && owner.index == 1);
}

static void a_chunk_of_no_file_is_deleted(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_put_owner(f, 'c', 3, 2000, t.plain, 7);
    fsck_is_found(f, FSCK_STRAY_OWNER, NULL);
    assert_int_equal(fsm_is_garbage(f->fsm, 3, 2000), 1);
}

static void a_chunk_in_use_is_not_deleted(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    uint64_t chunk = chunk_of(f, 1);

    damage_put_owner(f, 'G', 1, chunk, t.chunks, 0);
    fsck_is_found(f, FSCK_DELETED_CHUNK, NULL);
    assert_int_equal(fsm_is_garbage(f->fsm, 1, chunk), 0);
}

/* Nobody but the user can say which file is right. */
static void what_two_files_have_is_told_only(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct inode_rec rec = fsck_inode_of(f, t.plain);

    damage_put_page(f, t.plain, 1, chunk_of(f, 1));
    rec.chunk_count = 1;
    damage_put_inode(f, &rec);
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_CROSSED_CHUNK, "/a/plain");
    assert_int_equal(fsck_found.repairable_count, 0);
    damage_put_page(f, t.plain, 77, 1500); /* And of a group that is not there. */
    damage_put_owner(f, 'c', 77, 1500, t.plain, 0);
    fsck_again(f);
    fsck_is_told(FSCK_NO_PG, "/a/plain");
}

/* ---- counters ---- */

static void what_lies_below_is_counted_anew(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct usage_rec rec = {.files = 1, .dirs = 50, .bytes = 1};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_id64(&k, 'U', t.a);
    damage_put(f, &k, bytes, usage_rec_encode(&rec, bytes));
    damage_drop_id(f, 'U', t.p);
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_USAGE, "/a");
    assert_int_equal(fsck_found.finding_count, 2);
    fsck_is_mended(f);
}

static void totals_are_counted_anew(void **state)
{
    struct fx *f = *state;
    struct state_rec rec;
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    (void)fsck_tree_make(f);
    rec = *fsm_state(f->fsm);
    rec.inode_count += 5;
    rec.chunk_count -= 1;
    rec.reap_count = 0;
    rec.next_ino = 3;
    rec.next_chunk = 1;
    key_state(&k);
    damage_put(f, &k, bytes, state_rec_encode(&rec, bytes));
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_STATE, NULL);
    fsck_is_told(FSCK_NEXT_ID, NULL);
    fsck_is_mended(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(a_whole_tree_has_no_findings),
        ON_BOTH_STORES(a_name_of_nothing_is_removed),
        ON_BOTH_STORES(an_entry_gets_the_type_of_its_inode),
        ON_BOTH_STORES(entries_of_a_lost_directory_are_kept),
        ON_BOTH_STORES(a_directory_keeps_the_name_that_it_says),
        ON_BOTH_STORES(directories_in_each_other_are_brought_back),
        ON_BOTH_STORES(what_has_no_name_gets_one),
        ON_BOTH_STORES(counts_of_links_and_entries_are_mended),
        ON_BOTH_STORES(a_parent_that_is_none_is_mended),
        ON_BOTH_STORES(the_reaper_gets_what_is_unlinked_and_nothing_else),
        ON_BOTH_STORES(records_of_nobody_are_removed),
        ON_BOTH_STORES(content_that_is_lost_is_told_only),
        ON_BOTH_STORES(bytes_of_xattrs_are_counted_anew),
        ON_BOTH_STORES(where_the_names_of_a_file_are_is_mended),
        ON_BOTH_STORES(chunks_of_a_lost_file_are_deleted),
        ON_BOTH_STORES(the_number_of_chunks_is_mended),
        ON_BOTH_STORES(a_group_learns_whose_its_chunk_is),
        ON_BOTH_STORES(a_chunk_of_no_file_is_deleted),
        ON_BOTH_STORES(a_chunk_in_use_is_not_deleted),
        ON_BOTH_STORES(what_two_files_have_is_told_only),
        ON_BOTH_STORES(what_lies_below_is_counted_anew),
        ON_BOTH_STORES(totals_are_counted_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
