/*
 * Repairs: right however much has happened since the walk, done once, and whatever the damage is they
 * come to an end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/namenode/fsck_fixture.h"

enum { SEEDS = 300 };

/* ---- under way ---- */

/* Counters differ by the same amount however much has happened since the walk. */
static void repairs_are_right_for_a_later_state(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct inode_rec rec = fsck_inode_of(f, t.a);
    struct usage_rec usage;
    uint8_t bytes[REC_BYTES_MAX];
    char name[16];
    struct key k;

    rec.entry_count += 10;
    rec.nlink -= 1;
    damage_put_inode(f, &rec);
    fx_reopen(f);
    fsck_again(f);
    for (unsigned i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof(name), "n%u", i);
        (void)fx_dir(f, t.a, name);
    }
    assert_int_equal(fx_unlink(f, t.a, "plain"), 0);
    fsck_repair_found(f);
    fsck_again(f);
    assert_int_equal(fsck_found.finding_count, 0);

    usage = (struct usage_rec){.files = 100, .dirs = 7, .bytes = 12345};
    key_id64(&k, 'U', t.p);
    damage_put(f, &k, bytes, usage_rec_encode(&usage, bytes));
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_USAGE, "/p");
    (void)fx_file(f, t.q, "more");
    assert_int_equal(fx_unlink(f, t.q, "file"), 0);
    fsck_repair_found(f);
    fsck_again(f);
    assert_int_equal(fsck_found.finding_count, 0);
    fx_check_tree(f);
}

/* What was mended by others meanwhile, or is not there any more, is left alone. */
static void repairs_look_again_at_what_they_rest_on(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    damage_put_entry(f, t.a, "plain", GONE, S_IFREG);
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_DANGLING_ENTRY, "/a/plain");
    damage_put_entry(f, t.a, "plain", t.plain, S_IFREG);
    fx_reopen(f);
    fsck_repair_found(f);
    assert_int_equal(fx_lookup(f, t.a, "plain"), 0);
}

static void each_repair_is_done_once_and_in_order(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    struct inode_rec rec = fsck_inode_of(f, t.a);
    uint64_t first;
    Dfs__RepairOp op;

    rec.entry_count += 10;
    damage_put_inode(f, &rec);
    fx_reopen(f);
    fsck_again(f);
    assert_int_equal(fsck_found.finding_count, 1);
    op = fsck_found.findings[0].repair;
    first = fsck_found.index;
    assert_int_equal(fsck_repair_one(f, first, 1, &op), -ESTALE); /* One is left out. */
    assert_int_equal(fsck_repair_one(f, first, 0, &op), 0);
    assert_int_equal(f->reply->id->id, 1);
    assert_int_equal(fsck_repair_one(f, first, 0, &op), -ESTALE); /* Sent again. */
    assert_int_equal(fsck_repair_one(f, first - 1, 0, &op), -ESTALE);
    /* Walked before the last repair: it may have found the same. */
    assert_int_equal(fsck_repair_one(f, first + 1, 0, &op), -ESTALE);
    fsck_again(f);
    assert_int_equal(fsck_found.finding_count, 0);
    assert_int_equal(fsck_inode_of(f, t.a).entry_count, rec.entry_count - 10);
}

static void a_name_that_is_taken_keeps_lost_files_where_they_are(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);

    (void)fx_file(f, ROOT, "lost+found");
    damage_drop_entry(f, t.a, "plain");
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(FSCK_NO_NAME, NULL);
    for (size_t i = 0, number = 0; i < fsck_found.count; i++) {
        if (fsck_found.findings[i].kind == FSCK_NO_NAME)
            assert_int_equal(
                fsck_repair_one(f, fsck_found.index, number++, &fsck_found.findings[i].repair),
                -ENOTDIR);
    }
    assert_int_equal(fx_rename(f, ROOT, "lost+found", ROOT, "mine", 0), 0);
    fsck_is_mended(f);
    assert_true(fsck_is_lost(f, t.plain));
}

static void more_than_is_kept_is_found_by_later_walks(void **state)
{
    struct fx *f = *state;
    struct tree t = fsck_tree_make(f);
    char name[16];

    for (unsigned i = 0; i < FSCK_FINDINGS_MAX + 20; i++) {
        (void)snprintf(name, sizeof(name), "gone%u", i);
        damage_put_entry(f, t.b, name, 5000 + i, S_IFREG);
    }
    fx_reopen(f);
    fsck_again(f);
    assert_int_equal(fsck_found.count, FSCK_FINDINGS_MAX);
    assert_true(fsck_found.finding_count > FSCK_FINDINGS_MAX + 20);
    fsck_is_mended(f);
}

static void a_walk_can_be_stopped(void **state)
{
    struct fx *f = *state;
    struct fsck_progress progress = {0};

    (void)fsck_tree_make(f);
    for (unsigned i = 0; i < 300; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "f%u", i);
        (void)fx_file(f, ROOT, name);
    }
    atomic_store(&progress.stop, true);
    fsck_result_done(&fsck_found);
    assert_int_equal(fsck_walk(f->kv, &progress, &fsck_found), -ECANCELED);
}

/* ---- any damage ---- */

static uint64_t seed;

static uint64_t chance(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

/* One record is lost, or is that of another of its kind. */
static void damage(struct fx *f)
{
    static const char kinds[] = "IDDUKCcGgXLF";
    char kind = kinds[chance(sizeof(kinds) - 1)];
    struct kv_iter *it;
    struct {
        struct key k;
        uint8_t value[REC_BYTES_MAX];
        size_t len;
    } *all = calloc(64, sizeof(*all));
    size_t n = 0, at, from;

    assert_int_equal(kv_iter_new(f->kv, &kind, 1, &it), 0);
    for (assert_int_equal(kv_iter_seek(it, &kind, 1), 0); it->valid && n < 64; kv_iter_next(it)) {
        if (kind == 'I' && key_get_u64(it->key + 1) == ROOT)
            continue;
        all[n].k.len = it->key_len;
        memcpy(all[n].k.b, it->key, it->key_len);
        if (it->value_len > 0) /* `g` records are empty. */
            memcpy(all[n].value, it->value, it->value_len);
        all[n++].len = it->value_len;
    }
    kv_iter_free(it);
    if (n > 0) {
        at = chance(n);
        from = chance(n);
        if (from == at || chance(2) == 0)
            damage_drop(f, &all[at].k);
        else
            damage_put(f, &all[at].k, all[from].value, all[from].len);
    }
    free(all);
}

/* Whatever it is: repairs end, and what they leave is what cannot be repaired. */
static void any_damage_is_mended(void **state)
{
    for (uint64_t s = 1; s <= SEEDS; s++) {
        struct fx *f;
        void *one = NULL;

        seed = s;
        assert_int_equal(fx_setup_mem(&one), 0);
        f = one;
        (void)fsck_tree_make(f);
        for (uint64_t n = 1 + chance(3); n > 0; n--)
            damage(f);
        fx_reopen(f);
        (void)fsck_repair_all(f);
        for (size_t i = 0; i < fsck_found.count; i++) {
            enum fsck_kind kind = fsck_found.findings[i].kind;

            if (kind != FSCK_NO_CONTENT && kind != FSCK_CROSSED_CHUNK && kind != FSCK_NO_PG) {
                print_error("seed=%lu left: %s\n", (unsigned long)s, fsck_found.findings[i].detail);
                fail();
            }
        }
        assert_int_equal(fx_teardown(&one), 0);
    }
    fsck_result_done(&fsck_found);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(repairs_are_right_for_a_later_state),
        ON_BOTH_STORES(repairs_look_again_at_what_they_rest_on),
        ON_BOTH_STORES(each_repair_is_done_once_and_in_order),
        ON_BOTH_STORES(a_name_that_is_taken_keeps_lost_files_where_they_are),
        ON_BOTH_STORES(more_than_is_kept_is_found_by_later_walks),
        ON_BOTH_STORES(a_walk_can_be_stopped),
        cmocka_unit_test(any_damage_is_mended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
