/*
 * Random operations: the state machine against a model of POSIX, against itself on another store,
 * and against itself after crashes. A failure prints its seed; DFS_SEED=n runs that one alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/rng.h"
#include "namenode/kv_mem.h"
#include "tests/unit/namenode/fsm_fixture.h"
#include "tests/unit/namenode/posix_model.h"
#include "tests/unit/namenode/usage_walk.h"

enum { OPS_PER_SEED = 400, SEEDS_MEM = 150, SEEDS_ROCKS = 4, BATCH_MAX = 8 };

/* A request and all that it points to. */
struct any_request {
    Dfs__MetaRequest req;
    Dfs__Cred cred;
    uint32_t groups[2];
    char names[2][4];
    union {
        Dfs__CreateOp create;
        Dfs__LinkOp link;
        Dfs__UnlinkOp unlink;
        Dfs__RmdirOp rmdir;
        Dfs__RemoveTreeOp remove_tree;
        Dfs__RenameOp rename;
        Dfs__SetattrOp setattr;
        Dfs__TruncateOp truncate;
        Dfs__ReapOp reap;
        Dfs__CommitOp commit;
        Dfs__SetxattrOp setxattr;
        Dfs__AllocOp alloc;
        Dfs__SetQuotaOp set_quota;
        Dfs__SwapChunksOp swap_chunks;
    } op;
    uint32_t numbers[4];
    char text[64];
};

static uint32_t roll(struct rng *rng, uint32_t below)
{
    return (uint32_t)rng_below(rng, below);
}

static ProtobufCBinaryData any_name(struct rng *rng, char out[4])
{
    out[0] = (char)('a' + roll(rng, 4));
    out[1] = '\0';
    return bytes_of(out);
}

/* Mostly one that is there, since inodes are numbered from 1. */
static uint64_t any_ino(struct rng *rng, uint64_t next_ino)
{
    return roll(rng, 3) == 0 ? 1 : 1 + roll(rng, (uint32_t)next_ino);
}

static uint32_t any_mode(struct rng *rng)
{
    static const uint32_t modes[] = {0777, 0755, 0700, 01777, 02775, 0711, 04755, 02070, 0};

    return modes[roll(rng, 9)];
}

#define BEGIN(a_, OP_, field_, init_)                                                              \
    (a_)->req.op_case = DFS__META_REQUEST__OP_##OP_;                                               \
    init_(&(a_)->op.field_);                                                                       \
    (a_)->req.field_ = &(a_)->op.field_

static void any_create(struct rng *rng, struct any_request *a, uint64_t next_ino)
{
    static const uint32_t types[] = {S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR};

    BEGIN(a, CREATE, create, dfs__create_op__init);
    a->op.create.parent = any_ino(rng, next_ino);
    a->op.create.name = any_name(rng, a->names[0]);
    a->op.create.mode = types[roll(rng, 7)] | any_mode(rng);
    a->op.create.exclusive = roll(rng, 2);
    a->op.create.target = bytes_of("target");
}

static void any_setattr(struct rng *rng, struct any_request *a, uint64_t next_ino)
{
    BEGIN(a, SETATTR, setattr, dfs__setattr_op__init);
    a->op.setattr.ino = any_ino(rng, next_ino);
    a->op.setattr.valid = 1u << roll(rng, 7) | 1u << roll(rng, 7);
    a->op.setattr.mode = any_mode(rng);
    a->op.setattr.uid = roll(rng, 3);
    a->op.setattr.gid = roll(rng, 4);
    a->op.setattr.atime_ns = roll(rng, 1000);
    a->op.setattr.mtime_ns = roll(rng, 1000);
}

static void any_rename(struct rng *rng, struct any_request *a, uint64_t next_ino)
{
    BEGIN(a, RENAME, rename, dfs__rename_op__init);
    a->op.rename.parent = any_ino(rng, next_ino);
    a->op.rename.new_parent = roll(rng, 3) ? any_ino(rng, next_ino) : a->op.rename.parent;
    a->op.rename.name = any_name(rng, a->names[0]);
    a->op.rename.new_name = any_name(rng, a->names[1]);
    a->op.rename.flags = roll(rng, 3) ? 0 : roll(rng, 4);
}

static void begin_request(struct rng *rng, struct any_request *a)
{
    memset(a, 0, sizeof(*a));
    dfs__meta_request__init(&a->req);
    dfs__cred__init(&a->cred);
    a->req.cred = &a->cred;
    a->cred.uid = roll(rng, 2) ? 0 : 1 + roll(rng, 2);
    a->cred.gid = a->cred.uid;
    a->groups[0] = 3;
    a->cred.groups = a->groups;
    a->cred.n_groups = roll(rng, 2);
}

/* What the model knows too. */
static void any_modelled(struct rng *rng, struct any_request *a, uint64_t next_ino)
{
    uint32_t which = roll(rng, 100);

    begin_request(rng, a);
    if (which < 35) {
        any_create(rng, a, next_ino);
    } else if (which < 45) {
        BEGIN(a, LINK, link, dfs__link_op__init);
        a->op.link.ino = any_ino(rng, next_ino);
        a->op.link.parent = any_ino(rng, next_ino);
        a->op.link.name = any_name(rng, a->names[0]);
    } else if (which < 55) {
        BEGIN(a, UNLINK, unlink, dfs__unlink_op__init);
        a->op.unlink.parent = any_ino(rng, next_ino);
        a->op.unlink.name = any_name(rng, a->names[0]);
    } else if (which < 61) {
        BEGIN(a, RMDIR, rmdir, dfs__rmdir_op__init);
        a->op.rmdir.parent = any_ino(rng, next_ino);
        a->op.rmdir.name = any_name(rng, a->names[0]);
    } else if (which < 63) {
        /* All of a small tree; slices of it are in test_fsm_tree. */
        BEGIN(a, REMOVE_TREE, remove_tree, dfs__remove_tree_op__init);
        a->op.remove_tree.parent = any_ino(rng, next_ino);
        a->op.remove_tree.name = any_name(rng, a->names[0]);
        a->op.remove_tree.limit = TREE_SLICE_MAX;
    } else if (which < 82) {
        any_rename(rng, a, next_ino);
    } else if (which < 92) {
        any_setattr(rng, a, next_ino);
    } else if (which < 96) {
        BEGIN(a, TRUNCATE, truncate, dfs__truncate_op__init);
        a->op.truncate.ino = any_ino(rng, next_ino);
        a->op.truncate.size = roll(rng, 10000);
    } else {
        BEGIN(a, REAP, reap, dfs__reap_op__init);
        a->op.reap.ino = any_ino(rng, next_ino);
    }
}

/* Everything, content and sessions included. */
static void any_request(struct rng *rng, struct any_request *a, uint64_t next_ino)
{
    uint32_t which = roll(rng, 12);

    if (which < 7) {
        any_modelled(rng, a, next_ino);
        if (a->req.op_case == DFS__META_REQUEST__OP_REMOVE_TREE) {
            a->op.remove_tree.limit = 1 + roll(rng, 4);
            a->op.remove_tree.from = any_name(rng, a->names[1]);
        }
        return;
    }
    begin_request(rng, a);
    if (which == 7) {
        BEGIN(a, COMMIT, commit, dfs__commit_op__init);
        a->op.commit.ino = any_ino(rng, next_ino);
        a->op.commit.end = roll(rng, 2) ? roll(rng, 5000) : roll(rng, 1u << 30);
        a->op.commit.mtime_ns = roll(rng, 3) * 1000;
        a->op.commit.set_inline = roll(rng, 3) == 0;
        a->op.commit.inline_data = bytes_of("some inline content");
        a->op.commit.clear_inline = roll(rng, 4) == 0;
        a->numbers[0] = roll(rng, 4);
        a->op.commit.materialized = a->numbers;
        a->op.commit.n_materialized = a->op.commit.set_inline ? 0 : roll(rng, 2);
    } else if (which == 8) {
        BEGIN(a, SETXATTR, setxattr, dfs__setxattr_op__init);
        a->op.setxattr.ino = any_ino(rng, next_ino);
        (void)snprintf(a->text, sizeof(a->text), "user.%u", roll(rng, 3));
        a->op.setxattr.name = bytes_of(a->text);
        a->op.setxattr.value = bytes_of("value");
        a->op.setxattr.flags = roll(rng, 3);
        if (roll(rng, 3) == 0) {
            (void)snprintf(a->text, sizeof(a->text), "%u", roll(rng, 5));
            a->op.setxattr.name = bytes_of("dfs.copies");
            a->op.setxattr.value = bytes_of(a->text);
        }
    } else if (which == 11) {
        BEGIN(a, SWAP_CHUNKS, swap_chunks, dfs__swap_chunks_op__init);
        a->op.swap_chunks.ino = any_ino(rng, next_ino);
        a->op.swap_chunks.other = any_ino(rng, next_ino);
        a->op.swap_chunks.first_index = roll(rng, 3);
        a->op.swap_chunks.count = 1 + roll(rng, 3);
        a->op.swap_chunks.data_version = 1 + roll(rng, 4);
    } else if (which == 9) {
        BEGIN(a, SET_QUOTA, set_quota, dfs__set_quota_op__init);
        a->op.set_quota.ino = any_ino(rng, next_ino);
        a->op.set_quota.set_inodes = roll(rng, 2);
        a->op.set_quota.inodes = roll(rng, 2) ? 0 : 1 + roll(rng, 8);
        a->op.set_quota.set_bytes = roll(rng, 2);
        a->op.set_quota.bytes = roll(rng, 2) ? 0 : 1000 + roll(rng, 100000);
    } else {
        BEGIN(a, ALLOC, alloc, dfs__alloc_op__init);
        a->op.alloc.ino = any_ino(rng, next_ino);
        a->op.alloc.first_index = roll(rng, 4);
        a->op.alloc.count = 2;
        a->numbers[0] = a->numbers[1] = 1 + roll(rng, 2);
        a->op.alloc.pgs = a->numbers;
        a->op.alloc.n_pgs = 2;
    }
}

static void compare_attr(const struct model *m, uint64_t ino, const Dfs__Attr *attr)
{
    const struct model_inode *i = &m->inodes[ino];

    assert_int_equal(attr->ino, ino);
    assert_int_equal(attr->mode, i->mode);
    assert_int_equal(attr->uid, i->uid);
    assert_int_equal(attr->gid, i->gid);
    assert_int_equal(attr->nlink, model_nlink(m, ino));
    assert_int_equal(attr->size, S_ISDIR(i->mode) ? FSM_DIR_SIZE : i->size);
    assert_int_equal(attr->atime_ns, i->atime);
    assert_int_equal(attr->mtime_ns, i->mtime);
    assert_int_equal(attr->ctime_ns, i->ctime);
}

static void compare_all(struct fx *f, const struct model *m)
{
    unsigned entries = 0;

    fx_as(f, 0, 0);
    for (uint64_t ino = 1; ino < m->next_ino; ino++) {
        REQ(READDIR, readdir, DFS__READDIR_OP__INIT);

        if (!m->inodes[ino].exists)
            continue;
        compare_attr(m, ino, fx_attr(f, ino));
        if (!S_ISDIR(m->inodes[ino].mode))
            continue;
        body.ino = ino;
        body.with_attrs = true;
        assert_int_equal(fx_read(f, &req), 0);
        assert_true(f->reply->dir->end);
        for (size_t i = 0; i < f->reply->dir->n_entries; i++) {
            const Dfs__Dirent *e = f->reply->dir->entries[i];
            char name[MODEL_NAME_SIZE] = "";

            memcpy(name, e->name.data, e->name.len);
            assert_non_null(model_find(m, ino, name));
            assert_int_equal(model_find(m, ino, name)->ino, e->ino);
            compare_attr(m, e->ino, e->attr);
            entries++;
        }
    }
    assert_int_equal(entries, m->entry_count);
}

static void run_against_model(uint64_t seed, bool on_rocks)
{
    static struct model m;
    struct any_request a;
    void *state = NULL;
    struct rng rng;
    struct fx *f;

    (void)(on_rocks ? fx_setup_rocks(&state) : fx_setup_mem(&state));
    f = state;
    rng_seed(&rng, seed);
    fsm_set_cache(f->fsm, seed % 2 ? 2000 : FSM_CACHE_BYTES); /* With evictions, and without. */
    model_init(&m, f->time_ns);
    for (unsigned i = 0; i < OPS_PER_SEED; i++) {
        uint64_t ino = 0;
        int expected, status;

        any_modelled(&rng, &a, m.next_ino + 1);
        expected = model_apply(&m, &a.req, f->time_ns + 1000, &ino);
        status = fx_apply(f, &a.req);
        if (status == 0 && a.req.op_case == DFS__META_REQUEST__OP_REMOVE_TREE)
            status = f->reply->tree->error;
        if (status != expected)
            print_error("seed=%llu step=%u op=%d\n", (unsigned long long)seed, i,
                        (int)a.req.op_case);
        assert_int_equal(status, expected);
        if (status == 0 && ino != 0)
            compare_attr(&m, ino, f->reply->entry->attr);
    }
    compare_all(f, &m);
    fx_check_tree(f);
    (void)fx_teardown(&state);
}

static void run_seeds(unsigned count, bool on_rocks)
{
    const char *only = getenv("DFS_SEED");

    for (uint64_t seed = 1; seed <= count; seed++) {
        if (!only || strtoull(only, NULL, 10) == seed)
            run_against_model(seed, on_rocks);
    }
}

static void does_what_posix_says(void **state)
{
    (void)state;
    run_seeds(SEEDS_MEM, false);
}

static void does_what_posix_says_on_rocksdb(void **state)
{
    (void)state;
    run_seeds(SEEDS_ROCKS, true);
}

struct used {
    uint64_t inodes, bytes;
};

/* What lies below each directory, by inode. */
static void used_now(struct fx *f, struct used *used, uint64_t count)
{
    memset(used, 0, count * sizeof(*used));
    for (uint64_t ino = 1; ino < count && ino < fsm_state(f->fsm)->next_ino; ino++) {
        REQ(USAGE, usage, DFS__USAGE_OP__INIT);

        body.ino = ino;
        if (fx_read(f, &req) == 0)
            used[ino] = (struct used){f->reply->usage->files + f->reply->usage->dirs,
                                      f->reply->usage->bytes};
    }
}

/* Nothing grows past its quota, but by the home of a file that leaves it no other choice. */
static void expect_within_quotas(struct fx *f, const struct used *before, uint64_t count)
{
    for (uint64_t ino = 1; ino < count && ino < fsm_state(f->fsm)->next_ino; ino++) {
        REQ(USAGE, usage, DFS__USAGE_OP__INIT);
        const Dfs__UsageReply *u;

        body.ino = ino;
        if (fx_read(f, &req) < 0)
            continue;
        u = f->reply->usage;
        if (u->quota_inodes != 0)
            assert_true(u->files + u->dirs <= MAX(u->quota_inodes, before[ino].inodes));
        if (u->quota_bytes != 0)
            assert_true(u->bytes <= MAX(u->quota_bytes, before[ino].bytes));
    }
}

static void quotas_hold(void **state)
{
    enum { SEEDS = 20, OPS = 400, INOS = 512 };
    static struct used before[INOS];
    unsigned refused = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct any_request a;
        struct rng rng;
        struct fx *f;

        (void)fx_setup_mem(state);
        f = *state;
        fx_make_pgs(f, 2);
        rng_seed(&rng, seed);
        for (unsigned i = 0; i < OPS; i++) {
            fx_as(f, 0, 0);
            used_now(f, before, INOS);
            any_request(&rng, &a, fsm_state(f->fsm)->next_ino);
            refused += fx_apply(f, &a.req) == -EDQUOT;
            if (a.req.op_case != DFS__META_REQUEST__OP_UNLINK &&
                a.req.op_case != DFS__META_REQUEST__OP_REMOVE_TREE &&
                a.req.op_case != DFS__META_REQUEST__OP_RENAME)
                expect_within_quotas(f, before, INOS);
        }
        fx_check_tree(f);
        (void)fx_teardown(state);
    }
    assert_true(refused > 40);
}

static uint8_t *any_batch(struct rng *rng, struct fx *f, size_t *ret_len)
{
    static struct any_request requests[BATCH_MAX];
    Dfs__MetaRequest *ptrs[BATCH_MAX];
    size_t count = 1 + roll(rng, BATCH_MAX);

    for (size_t i = 0; i < count; i++) {
        any_request(rng, &requests[i], fsm_state(f->fsm)->next_ino);
        ptrs[i] = &requests[i].req;
    }
    f->time_ns += roll(rng, 3) * 1000;
    return fx_batch(f->time_ns, ptrs, count, ret_len);
}

static uint64_t hash_now(struct fx *f)
{
    uint64_t hash;

    assert_int_equal(fsm_state_hash(f->fsm, f->index, &hash), 0);
    return hash;
}

/* I4, I12: what a replica holds depends on the log alone. */
static void replicas_hold_the_same_bytes(void **state)
{
    void *states[3] = {NULL, NULL, NULL};
    struct fx *fs[3];
    struct rng rng;

    (void)state;
    rng_seed(&rng, 4711);
    (void)fx_setup_mem(&states[0]);
    (void)fx_setup_mem(&states[1]);
    (void)fx_setup_rocks(&states[2]);
    for (unsigned i = 0; i < 3; i++) {
        fs[i] = states[i];
        fx_make_pgs(fs[i], 2);
    }
    for (unsigned step = 0; step < 500; step++) {
        size_t len;
        uint8_t *bytes = any_batch(&rng, fs[0], &len);

        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(fsm_apply(fs[i]->fsm, ++fs[i]->index, 1, bytes, len, NULL, NULL), 0);
        free(bytes);
        assert_int_equal(hash_now(fs[0]), hash_now(fs[1]));
        assert_int_equal(hash_now(fs[0]), hash_now(fs[2]));
        if (step % 10 == 9)
            fx_check_tree(fs[0]);
        if (step % 100 == 99) {
            assert_int_equal(fsm_flush(fs[2]->fsm, true), 0);
            fx_reopen(fs[1]);
        }
    }
    assert_int_equal(fx_store_hash(fs[0]->kv), fx_store_hash(fs[1]->kv));
    assert_int_equal(fx_store_hash(fs[0]->kv), fx_store_hash(fs[2]->kv));
    fx_check_tree(fs[0]);
    for (unsigned i = 0; i < 3; i++)
        (void)fx_teardown(&states[i]);
}

/* D4: after a crash the log is replayed from the flushed index, and nothing is done twice. */
static void replay_after_a_crash_comes_to_the_same_state(void **state)
{
    enum { STEPS = 300 };
    static uint8_t *log[STEPS];
    static size_t lens[STEPS];
    void *states[2] = {NULL, NULL};
    struct fx *steady, *crashing;
    uint64_t first;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 815);
    (void)fx_setup_mem(&states[0]);
    (void)fx_setup_mem(&states[1]);
    steady = states[0];
    crashing = states[1];
    fx_make_pgs(steady, 2);
    fx_make_pgs(crashing, 2);
    assert_int_equal(fsm_flush(crashing->fsm, true), 0);
    first = steady->index + 1;
    for (unsigned i = 0; i < STEPS; i++) {
        log[i] = any_batch(&rng, steady, &lens[i]);
        assert_int_equal(fsm_apply(steady->fsm, ++steady->index, 1, log[i], lens[i], NULL, NULL),
                         0);
        assert_int_equal(
            fsm_apply(crashing->fsm, ++crashing->index, 1, log[i], lens[i], NULL, NULL), 0);
        if (roll(&rng, 20) == 0)
            assert_int_equal(fsm_flush(crashing->fsm, true), 0);
        if (roll(&rng, 20) != 0)
            continue;
        kv_mem_crash(crashing->kv);
        fx_reopen(crashing);
        /* From before the flushed index: what is applied is skipped. */
        for (unsigned j = i > 60 ? i - 60 : 0; j <= i; j++) {
            if (first + j <= fsm_applied(crashing->fsm).index + 1)
                assert_int_equal(
                    fsm_apply(crashing->fsm, first + j, 1, log[j], lens[j], NULL, NULL), 0);
        }
        if (fsm_applied(crashing->fsm).index < first + i) { /* Flushed longer ago than that. */
            for (uint64_t j = fsm_applied(crashing->fsm).index + 1 - first; j <= i; j++)
                assert_int_equal(
                    fsm_apply(crashing->fsm, first + j, 1, log[j], lens[j], NULL, NULL), 0);
        }
        /* Not the hash of the index: one that was just flushed is not replayed. */
        assert_int_equal(fx_store_hash(steady->kv), fx_store_hash(crashing->kv));
        (void)usage_walk_check(crashing->kv, fsm_state(crashing->fsm)->next_ino);
    }
    assert_int_equal(fx_store_hash(steady->kv), fx_store_hash(crashing->kv));
    for (unsigned i = 0; i < STEPS; i++)
        free(log[i]);
    (void)fx_teardown(&states[0]);
    (void)fx_teardown(&states[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_what_posix_says),
        cmocka_unit_test(does_what_posix_says_on_rocksdb),
        cmocka_unit_test(quotas_hold),
        cmocka_unit_test(replicas_hold_the_same_bytes),
        cmocka_unit_test(replay_after_a_crash_comes_to_the_same_state),
    };

    return cmocka_run_group_tests_name("fsm_model", tests, NULL, NULL);
}
