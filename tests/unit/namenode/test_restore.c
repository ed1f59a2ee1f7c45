/* A store out of a backup: nothing of what came after the backup can be taken for something else. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backup_file.h"
#include "common/buf.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "namenode/data_dir.h"
#include "namenode/keys.h"
#include "namenode/node_conf.h"
#include "namenode/restore.h"
#include "namenode/snap_files.h"
#include "tests/unit/namenode/fsm_fixture.h"

static const int64_t year_2026 = 1795914838;

static uint64_t open_session(struct fx *f, const char *uuid)
{
    REQ(SESSION_OPEN, session_open, (Dfs__SessionOpenOp)DFS__SESSION_OPEN_OP__INIT);
    char name[] = "client";

    body.client_uuid = bytes_of(uuid);
    body.name = name;
    assert_int_equal(fx_apply(f, &req), 0);
    return f->reply->id->id;
}

static void evict(struct fx *f, uint64_t session)
{
    REQ(SESSION_END, session_end, (Dfs__SessionEndOp)DFS__SESSION_END_OP__INIT);

    body.session = session;
    body.evicted = true;
    assert_int_equal(fx_apply(f, &req), 0);
}

static uint32_t add_target(struct fx *f, const char *uuid, uint32_t wanted)
{
    REQ(TARGET_ADD, target_add, (Dfs__TargetAddOp)DFS__TARGET_ADD_OP__INIT);
    char text[] = "h";

    body.uuid = bytes_of(uuid);
    body.host = body.addr = body.node = text;
    body.target = wanted;
    assert_int_equal(fx_apply(f, &req), 0);
    return (uint32_t)f->reply->id->id;
}

static void add_namenode(struct fx *f)
{
    REQ(NAMENODE_SET, namenode_set, (Dfs__NamenodeSetOp)DFS__NAMENODE_SET_OP__INIT);
    char addr[] = "h:1";

    body.replica_id = 3;
    body.addr = addr;
    assert_int_equal(fx_apply(f, &req), 0);
}

/* A session with an answer that is kept, one that was evicted, files, a group, a namenode. */
static void live(struct fx *f)
{
    uint64_t session = open_session(f, "0123456789abcdef"), ino;
    Dfs__CreateOp create = DFS__CREATE_OP__INIT;
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;

    fx_make_pgs(f, 2);
    ino = fx_file(f, ROOT, "file");
    assert_int_equal(fx_alloc(f, ino, 0, 3, 1), 0);
    create.parent = ROOT;
    create.name = bytes_of("once");
    create.mode = 0100644;
    req.op_case = DFS__META_REQUEST__OP_CREATE;
    req.create = &create;
    req.session = session;
    req.seq = 1;
    assert_int_equal(fx_apply(f, &req), 0);
    evict(f, open_session(f, "fedcba9876543210"));
    add_namenode(f);
}

static struct state_rec rewrite(struct fx *f, const struct restore_plan *plan)
{
    struct state_rec state;

    assert_int_equal(restore_rewrite(f->kv, plan, &state), 0);
    fx_reopen(f);
    assert_int_equal(fsm_applied(f->fsm).index, state.index);
    assert_true(fsm_applied(f->fsm).term == state.term);
    return state;
}

static unsigned count_kind(struct kv *kv, char kind)
{
    CLEANUP(kv_iter) struct kv_iter *it = NULL;
    unsigned count = 0;
    struct key k;

    key_kind(&k, kind);
    assert_int_equal(kv_iter_new(kv, "", 0, &it), 0);
    for (assert_int_equal(kv_iter_seek(it, k.b, k.len), 0);
         it->valid && it->key[0] == (uint8_t)kind; assert_int_equal(kv_iter_next(it), 0))
        count++;
    return count;
}

static void numbers_go_on_far_beyond(void **state)
{
    struct restore_plan plan = {.now_s = year_2026};
    struct fx *f = *state;
    struct state_rec was, is;
    struct pg_rec old, pg;
    struct inode_rec old_root, root;

    live(f);
    assert_int_equal(fsm_inode_get(f->fsm, ROOT, &old_root), 0);
    was = *fsm_state(f->fsm);
    assert_int_equal(fsm_pg_get(f->fsm, 1, &old), 0);
    is = rewrite(f, &plan);
    assert_int_equal(is.index, was.index);
    assert_true(is.next_ino >= was.next_ino + (UINT64_C(1) << 32));
    assert_true(is.next_chunk >= was.next_chunk + (UINT64_C(1) << 32));
    assert_true(is.next_session >= was.next_session + (UINT64_C(1) << 32));
    assert_true(is.next_target >= was.next_target + (1 << 16));
    assert_true(is.next_pg >= was.next_pg + (1 << 16));
    assert_true(is.term >= was.term + (UINT64_C(1) << 32));
    assert_true(is.map_version > was.map_version && is.fence_version > was.fence_version);
    assert_int_equal(fsm_pg_get(f->fsm, 1, &pg), 0);
    assert_true(pg.epoch >= old.epoch + (UINT64_C(1) << 32));
    /* A client that lives on would believe what it has, or knows better. */
    assert_int_equal(fsm_inode_get(f->fsm, ROOT, &root), 0);
    assert_true(root.data_version >= old_root.data_version + (UINT64_C(1) << 32));
    assert_true(root.dir_version >= old_root.dir_version + (UINT64_C(1) << 32));
    assert_true(root.entry_count == old_root.entry_count && root.mtime_ns == old_root.mtime_ns);
    /* And they are given out from there. */
    assert_true(fx_file(f, ROOT, "new") >= was.next_ino + (UINT64_C(1) << 32));
    assert_true(open_session(f, "0123456789abcdef") == is.next_session);
    fx_check_tree(f);
}

/* Bytes that came after the backup are still in the chunks: a tail that was zeroed before them has to be
 * zeroed again. */
static void marks_of_truncations_are_new_ones(void **state)
{
    struct restore_plan plan = {.now_s = year_2026};
    Dfs__CommitOp commit = DFS__COMMIT_OP__INIT;
    struct fx *f = *state;
    uint64_t ino = fx_file(f, ROOT, "file");
    struct inode_rec was, is;
    uint32_t first = 0;

    fx_make_pgs(f, 1);
    assert_int_equal(fx_alloc(f, ino, 0, 1, 1), 0);
    commit.ino = ino;
    commit.end = 1000;
    commit.materialized = &first;
    commit.n_materialized = 1;
    assert_int_equal(fx_commit(f, commit), 0);
    assert_int_equal(fx_truncate(f, ino, 10), 0);
    assert_int_equal(fsm_inode_get(f->fsm, ino, &was), 0);
    (void)rewrite(f, &plan);
    assert_int_equal(fsm_inode_get(f->fsm, ino, &is), 0);
    assert_true(is.trunc_pending && is.trunc_from == 10);
    assert_true(is.trunc_version >= was.trunc_version + (UINT64_C(1) << 32));
}

/* What the life after the first restore gave out, the second must not: both are from one backup. */
static void two_restores_of_one_backup_have_no_number_in_common(void **state)
{
    uint64_t v = 1000;
    uint64_t first = restore_skip(v, year_2026), second = restore_skip(v, year_2026 + 60);

    (void)state;
    assert_true(second >= first + 60 * UINT64_C(1000000));
    assert_true(restore_skip(first + 10, year_2026 + 1) > first + 10);
    /* A clock that is wrong does no harm to what the backup itself has given out. */
    assert_true(restore_skip(v, -5) >= v + (UINT64_C(1) << 32));
    assert_true(restore_skip(UINT64_C(1) << 60, year_2026) > UINT64_C(1) << 60);
}

static void sessions_and_namenodes_of_the_old_life_are_gone(void **state)
{
    struct restore_plan plan = {.now_s = year_2026, .made_s = 5, .group = {9}};
    struct restored_rec restored;
    struct fx *f = *state;
    struct state_rec is;

    live(f);
    assert_int_equal(fsm_restored(f->fsm, &restored), -ENOENT);
    for (const char *k = "NnRBA"; *k; k++)
        assert_true(count_kind(f->kv, *k) > 0);
    is = rewrite(f, &plan);
    for (const char *k = "NnRBA"; *k; k++)
        assert_int_equal(count_kind(f->kv, *k), 0);
    assert_int_equal(fsm_state(f->fsm)->session_count, 0);
    assert_int_equal(fsm_restored(f->fsm, &restored), 0);
    assert_true(restored.session_floor == is.next_session);
    assert_int_equal(restored.group[0], 9);
    assert_int_equal(restored.made_s, 5);
    assert_int_equal(restored.index, is.index);
    assert_int_equal(fx_lookup(f, ROOT, "once"), 0);
}

static int change_epoch(struct fx *f, const struct pg_rec *next)
{
    Dfs__PgMember members[REC_PG_MEMBERS_MAX], *ptrs[REC_PG_MEMBERS_MAX];
    Dfs__Pg pg;
    REQ(PG_EPOCH, pg_epoch, (Dfs__PgEpochOp)DFS__PG_EPOCH_OP__INIT);

    pg_rec_to_msg(next, &pg, members, ptrs);
    body.pg = &pg;
    body.if_epoch = next->epoch - 1;
    return fx_apply(f, &req);
}

/* Any target may be the one that has it all: but one alone. After that the old rules hold. */
static void no_group_serves_until_one_member_is_named(void **state)
{
    struct restore_plan plan = {.now_s = year_2026};
    struct fx *f = *state;
    struct pg_rec pg;

    live(f);
    assert_int_equal(fsm_pg_get(f->fsm, 1, &pg), 0);
    assert_false(pg_rec_is_unclaimed(&pg));
    (void)rewrite(f, &plan);
    assert_int_equal(fsm_pg_get(f->fsm, 1, &pg), 0);
    assert_true(pg_rec_is_unclaimed(&pg));
    (void)add_target(f, "target-number-02", 0);
    (void)add_target(f, "target-number-03", 0);
    pg.epoch++;
    pg.member_count = 2;
    for (unsigned i = 0; i < 2; i++)
        pg.members[i] = (struct pg_member_rec){.target = fsm_state(f->fsm)->next_target - 1 - i,
                                               .state = DFS__MEMBER_STATE__MEMBER_SERVING};
    assert_int_equal(change_epoch(f, &pg), -EINVAL);
    pg.members[1].state = DFS__MEMBER_STATE__MEMBER_OFFLINE;
    assert_int_equal(change_epoch(f, &pg), 0);
    pg.epoch++;
    pg.members[0].state = DFS__MEMBER_STATE__MEMBER_OFFLINE;
    pg.members[1].state = DFS__MEMBER_STATE__MEMBER_SERVING;
    assert_int_equal(change_epoch(f, &pg), -EINVAL);
}

/* Its superblock says the number; it would refuse another. */
static void a_disk_from_after_the_backup_keeps_its_number(void **state)
{
    struct restore_plan plan = {.now_s = year_2026};
    struct fx *f = *state;
    uint32_t later;

    live(f);
    later = fsm_state(f->fsm)->next_target + 2;
    assert_int_not_equal(add_target(f, "not-restored-yet", later), later);
    later = fsm_state(f->fsm)->next_target + 2;
    (void)rewrite(f, &plan);
    assert_int_equal(add_target(f, "after-the-backup", later), later);
    assert_int_not_equal(add_target(f, "its-number-taken", later), later);
    assert_int_not_equal(add_target(f, "beyond-them-all.", UINT32_MAX), UINT32_MAX);
}

static void targets_that_are_gone_are_given_up(void **state)
{
    uint32_t gone = 1, never = 77;
    struct restore_plan plan = {.now_s = year_2026, .without = &never, .without_count = 1};
    struct fx *f = *state;
    struct target_rec t;
    struct state_rec is;

    live(f);
    assert_int_equal(restore_rewrite(f->kv, &plan, &is), -ESRCH);
    plan.without = &gone;
    (void)rewrite(f, &plan);
    assert_int_equal(fsm_target_get(f->fsm, 1, &t), 0);
    assert_int_equal(t.state, DFS__TARGET_STATE__TARGET_REMOVED);
}

/* More than go through at a time. */
static void a_large_store_is_rewritten_to_its_end(void **state)
{
    struct restore_plan plan = {.now_s = year_2026};
    struct fx *f = *state;
    struct inode_rec inode;
    struct kv_batch b;
    struct key k;
    uint8_t bytes[REC_BYTES_MAX];

    live(f);
    kv_batch_init(&b);
    for (uint64_t ino = 1000; ino < 22000; ino++) {
        struct inode_rec rec = {.ino = ino, .mode = 0100644, .nlink = 1, .data_version = 1};

        key_id64(&k, 'I', ino);
        (void)kv_batch_put(&b, k.b, k.len, bytes, inode_rec_encode(&rec, bytes));
        key_reply(&k, 1, ino);
        (void)kv_batch_put(&b, k.b, k.len, "answer", 6);
    }
    assert_int_equal(kv_write(f->kv, &b), 0);
    kv_batch_done(&b);
    (void)rewrite(f, &plan);
    assert_int_equal(count_kind(f->kv, 'R'), 0);
    for (uint64_t ino = 1000; ino < 22000; ino++) {
        assert_int_equal(fsm_inode_get(f->fsm, ino, &inode), 0);
        assert_true(inode.data_version > UINT64_C(1) << 32);
    }
}

static int convert(struct fx *f, uint32_t max_values)
{
    REQ(CONVERT, convert, (Dfs__ConvertOp)DFS__CONVERT_OP__INIT);

    body.max_values = max_values;
    body.max_bytes = 1 << 20;
    return fx_apply(f, &req);
}

static void expect_content(struct fx *f, uint64_t ino, const char *text)
{
    assert_int_equal(fx_open(f, ino, 0), 0);
    assert_int_equal(f->reply->entry->inline_data.len, strlen(text));
    assert_memory_equal(f->reply->entry->inline_data.data, text, strlen(text));
}

/* Some values have a version in it, and some have none yet. */
static void a_backup_from_amid_a_conversion_is_converted_to_its_end(void **state)
{
    struct restore_plan plan = {.now_s = year_2026};
    uint64_t inos[6];
    struct fx *f;

    for (unsigned on_rocks = 0; on_rocks < 2; on_rocks++) {
        (void)fx_setup_format(state, on_rocks, FSM_FORMAT_MARKS);
        f = *state;
        live(f);
        for (unsigned i = 0; i < ARRAY_COUNT(inos); i++) {
            char name[] = {(char)('a' + i), '\0'};

            inos[i] = fx_file(f, ROOT, name);
            assert_int_equal(fx_write_inline(f, inos[i], name), 0);
        }
        assert_int_equal(fx_set_format(f, FSM_FORMAT), 0);
        assert_int_equal(convert(f, 3), 0);
        (void)rewrite(f, &plan);
        assert_int_equal(fsm_state(f->fsm)->convert.kind, 'F');
        for (unsigned i = 0; i < 2; i++) {
            for (unsigned k = 0; k < ARRAY_COUNT(inos); k++) {
                char name[] = {(char)('a' + k), '\0'};

                expect_content(f, inos[k], name);
            }
            fx_check_tree(f);
            assert_int_equal(convert(f, 100), 0);
            assert_int_equal(fsm_state(f->fsm)->convert.kind, 0);
        }
        (void)fx_teardown(state);
    }
}

static void what_is_no_store_of_ours_is_refused(void **state)
{
    struct restore_plan plan = {.now_s = year_2026};
    struct kv_batch b;
    struct fx *f = *state;
    struct state_rec is;
    struct key k;

    live(f);
    key_id32(&k, 'P', 9);
    kv_batch_init(&b);
    (void)kv_batch_put(&b, k.b, k.len, "?", 1);
    assert_int_equal(kv_write(f->kv, &b), 0);
    assert_int_equal(restore_rewrite(f->kv, &plan, &is), -EBADMSG);
    kv_batch_clear(&b);
    key_cluster(&k);
    kv_batch_delete(&b, k.b, k.len);
    assert_int_equal(kv_write(f->kv, &b), 0);
    assert_int_equal(restore_rewrite(f->kv, &plan, &is), -ENOENT);
    kv_batch_done(&b);
}

/* A start in the middle of a restore would find an empty directory, and found a new cluster. */
static void a_directory_is_the_old_nothing_or_the_whole(void **state)
{
    struct raft_point point = {.index = 8, .term = 3, .conf = {.count = 1}}, none = {0};
    struct raft_uuid group = {{7}}, is;
    struct raft_conf conf;
    struct data_dir *d = NULL;
    char dir[] = "/tmp/dfs-test-restore-XXXXXX", path[64];
    struct raft_id other;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/restoring", dir);
    assert_int_equal(vfs_mkdir(vfs_posix(), path, 0700), 0);
    point.conf.members[0].id.v = 4;
    point.conf.members[0].voter = true;
    assert_int_equal(data_dir_open(vfs_posix(), dir, (struct raft_id){4}, &none.conf, &d, &other),
                     -EINPROGRESS);
    assert_int_equal(data_dir_restore(vfs_posix(), dir, (struct raft_id){4}, group, &point), 0);
    assert_int_equal(data_dir_open(vfs_posix(), dir, (struct raft_id){4}, &none.conf, &d, &other),
                     0);
    assert_false(data_dir_is_new(d));
    is = data_dir_cluster(d);
    assert_memory_equal(&is, &group, sizeof(is));
    data_dir_members_at(d, 8, &conf);
    assert_int_equal(conf.count, 1);
    assert_int_equal(conf.members[0].id.v, 4);
    assert_int_equal(vfs_rmdir(vfs_posix(), data_dir_store(d)), 0); /* restoring/ has become it. */
    data_dir_close(d);
    assert_int_equal(vfs_remove_all(vfs_posix(), dir), 0);
}

/* ---- a backup of what was damaged before ---- */

/* Content of files, of which a restore reads nothing. */
static void fill(struct fx *f)
{
    static uint8_t bytes[2000];
    uint32_t chance = 1;
    struct kv_batch b;

    kv_batch_init(&b);
    for (unsigned i = 0; i < 300; i++) {
        struct key k;

        for (size_t at = 0; at < sizeof(bytes); at++)
            bytes[at] = (uint8_t)((chance = chance * 1103515245 + 12345) >> 16);
        key_id64(&k, 'F', 1000 + i);
        (void)kv_batch_put(&b, k.b, k.len, bytes, sizeof(bytes));
    }
    assert_int_equal(kv_write(f->kv, &b), 0);
    kv_batch_done(&b);
}

static int write_out(void *ctx, const void *data, size_t len)
{
    buf_append(ctx, data, len);
    return 0;
}

/* As `dfs backup create` makes it of what is in dir, right or wrong. */
static void back_up(struct fx *f, const char *dir, const char *file)
{
    struct backup_info info = {
        .index = fsm_applied(f->fsm).index, .term = fsm_applied(f->fsm).term, .time_s = year_2026};
    CLEANUP(backup_writer) struct backup_writer *w = NULL;
    CLEANUP_BUF struct buf out = {0};
    struct snap_files files;

    assert_int_equal(snap_files_scan(vfs_posix(), dir, &files), 0);
    for (size_t i = 0; i < files.count; i++)
        assert_int_equal(
            backup_info_add(&info, files.list[i].name, files.list[i].size, files.list[i].hash), 0);
    assert_int_equal(backup_writer_new(&info, write_out, &out, &w), 0);
    for (size_t i = 0; i < files.count; i++) {
        CLEANUP_BUF struct buf b = {0};
        char path[300];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, files.list[i].name);
        assert_int_equal(vfs_read_file(vfs_posix(), path, 1 << 30, &b), 0);
        assert_int_equal(backup_writer_add(w, b.data, b.len), 0);
    }
    assert_int_equal(backup_writer_end(w), 0);
    assert_int_equal(vfs_replace_file(vfs_posix(), file, out.data, out.len, 0600), 0);
    backup_info_done(&info);
    snap_files_done(&files);
}

static int flip_table(void *ctx, const char *name, bool is_dir)
{
    struct vfs_file *file;
    struct vfs_stat st;
    char path[300];
    uint8_t byte;

    (void)is_dir;
    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)ctx, name);
    if (!strstr(name, ".sst") || vfs_stat(vfs_posix(), path, &st) < 0 || st.size < 100000)
        return 0;
    assert_int_equal(vfs_open(vfs_posix(), path, O_RDWR, 0, &file), 0);
    assert_int_equal(vfs_pread_all(file, &byte, 1, st.size / 2), 0);
    byte ^= 1;
    assert_int_equal(vfs_pwrite(file, &byte, 1, st.size / 2), 0);
    vfs_close(file);
    return 1;
}

static int restore_from(struct fx *f, const char *file, const char *name, char err[300])
{
    struct node_conf conf;
    char why[100];
    int r;

    node_conf_init(&conf);
    conf.id.v = 1;
    conf.data_dir = mem_printf("%s/%s", f->dir, name);
    assert_int_equal(node_conf_parse_namenodes("1@h:1", &conf.founders, why, sizeof(why)), 0);
    err[0] = '\0';
    r = restore_run(&conf, file, NULL, 0, err, 300);
    node_conf_done(&conf);
    return r;
}

/* The sums of the file are right: they are those of the damaged bytes. */
static void a_backup_of_a_damaged_store_is_refused(void **state)
{
    struct fx *f = *state;
    char dir[100], file[100], err[300];

    live(f);
    fill(f);
    (void)snprintf(dir, sizeof(dir), "%s/out", f->dir);
    (void)snprintf(file, sizeof(file), "%s/backup", f->dir);
    assert_int_equal(kv_checkpoint(f->kv, dir), 0);
    back_up(f, dir, file);
    assert_int_equal(restore_from(f, file, "good", err), 0);
    assert_int_equal(vfs_list(vfs_posix(), dir, flip_table, dir), 1);
    back_up(f, dir, file);
    assert_int_equal(restore_from(f, file, "bad", err), -EBADMSG);
    assert_non_null(strstr(err, "were damaged when it was taken: take another"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(numbers_go_on_far_beyond),
        cmocka_unit_test(two_restores_of_one_backup_have_no_number_in_common),
        ON_BOTH_STORES(marks_of_truncations_are_new_ones),
        ON_BOTH_STORES(sessions_and_namenodes_of_the_old_life_are_gone),
        ON_BOTH_STORES(no_group_serves_until_one_member_is_named),
        ON_BOTH_STORES(a_disk_from_after_the_backup_keeps_its_number),
        ON_BOTH_STORES(targets_that_are_gone_are_given_up),
        ON_BOTH_STORES(a_large_store_is_rewritten_to_its_end),
        cmocka_unit_test(a_backup_from_amid_a_conversion_is_converted_to_its_end),
        ON_BOTH_STORES(what_is_no_store_of_ours_is_refused),
        cmocka_unit_test_setup_teardown(a_backup_of_a_damaged_store_is_refused, fx_setup_rocks,
                                        fx_teardown),
        cmocka_unit_test(a_directory_is_the_old_nothing_or_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
