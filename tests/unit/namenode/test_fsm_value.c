/*
 * Versions of values, and how a store of an earlier format gets them. What is read while it does is
 * held against a replica that had the newest format from the start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/rng.h"
#include "namenode/fsm_value.h"
#include "namenode/kv_mem.h"
#include "tests/unit/namenode/fsm_fixture.h"

static int convert(struct fx *f, uint32_t max_values, uint32_t max_bytes)
{
    REQ(CONVERT, convert, DFS__CONVERT_OP__INIT);

    body.max_values = max_values;
    body.max_bytes = max_bytes;
    return fx_apply(f, &req);
}

static bool is_converted(const struct fx *f)
{
    return fsm_state(f->fsm)->convert.kind == 0;
}

/* How many values there are, and how many of them begin as those with a version do. */
static unsigned count_values(struct fx *f, unsigned *ret_versions)
{
    unsigned count = 0;

    *ret_versions = 0;
    for (const char *kind = VALUE_KINDS; *kind; kind++) {
        struct kv_iter *it;

        assert_int_equal(kv_iter_new(f->kv, kind, 1, &it), 0);
        for (int r = kv_iter_seek(it, kind, 1); it->valid; r = kv_iter_next(it)) {
            const uint8_t *data;
            size_t len;

            assert_int_equal(r, 0);
            count++;
            *ret_versions += value_decode(it->value, it->value_len, &data, &len) == 0;
        }
        kv_iter_free(it);
    }
    return count;
}

/* Returns how many. */
static unsigned assert_all_have_versions(struct fx *f)
{
    unsigned versions, count = count_values(f, &versions);

    assert_int_equal(versions, count);
    return count;
}

/* ---- a log of changes of all six kinds ---- */

enum { INOS = 40, SESSIONS = 4, LOG_MAX = 700, REQUESTS_MAX = 3 };

struct any_op {
    Dfs__MetaRequest req;
    Dfs__Cred cred;
    union {
        Dfs__CreateOp create;
        Dfs__UnlinkOp unlink;
        Dfs__ReapOp reap;
        Dfs__CommitOp commit;
        Dfs__TruncateOp truncate;
        Dfs__SetxattrOp setxattr;
        Dfs__RemovexattrOp removexattr;
        Dfs__SessionOpenOp session_open;
        Dfs__SessionEndOp session_end;
        Dfs__TargetAddOp target_add;
        Dfs__ConvertOp convert;
        Dfs__FormatOp format;
    } op;
    char name[16];
    uint8_t bytes[64];
};

static uint64_t next_seq[INOS];

static uint32_t roll(struct rng *rng, uint32_t below)
{
    return (uint32_t)rng_below(rng, below);
}

/* Often they begin with what a version looks like. */
static ProtobufCBinaryData any_bytes(struct rng *rng, struct any_op *a)
{
    size_t len = roll(rng, 4) == 0 ? 0 : 1 + roll(rng, sizeof(a->bytes));

    for (size_t i = 0; i < len; i++)
        a->bytes[i] = (uint8_t)roll(rng, 3);
    return (ProtobufCBinaryData){.len = len, .data = a->bytes};
}

static ProtobufCBinaryData any_uuid(struct rng *rng, struct any_op *a, uint32_t of)
{
    memset(a->bytes, 0, 16);
    a->bytes[roll(rng, 2) ? 0 : 15] = (uint8_t)(1 + roll(rng, of)); /* Some are alike at first. */
    return (ProtobufCBinaryData){.len = 16, .data = a->bytes};
}

static ProtobufCBinaryData any_name(struct rng *rng, struct any_op *a, const char *before)
{
    (void)snprintf(a->name, sizeof(a->name), "%s%u", before, roll(rng, INOS / 2));
    return bytes_of(a->name);
}

#define BEGIN(a_, OP_, field_, init_)                                                              \
    (a_)->req.op_case = DFS__META_REQUEST__OP_##OP_;                                               \
    init_(&(a_)->op.field_);                                                                       \
    (a_)->req.field_ = &(a_)->op.field_

/* Sessions and targets. */
static void any_of_few(struct rng *rng, struct any_op *a)
{
    uint32_t which = roll(rng, 3);

    if (which == 0) {
        BEGIN(a, SESSION_OPEN, session_open, dfs__session_open_op__init);
        a->op.session_open.client_uuid = any_uuid(rng, a, SESSIONS);
    } else if (which == 1) {
        BEGIN(a, SESSION_END, session_end, dfs__session_end_op__init);
        a->op.session_end.session = 1 + roll(rng, 20);
    } else {
        BEGIN(a, TARGET_ADD, target_add, dfs__target_add_op__init);
        a->op.target_add.uuid = any_uuid(rng, a, 8);
    }
}

static void any_change(struct rng *rng, struct any_op *a)
{
    uint64_t ino = 2 + roll(rng, INOS); /* Roots are not made at the same time. */
    uint32_t which = roll(rng, 10);

    if (which < 3) {
        BEGIN(a, CREATE, create, dfs__create_op__init);
        a->op.create.parent = ROOT;
        a->op.create.name = any_name(rng, a, "");
        a->op.create.mode = 0644 | (roll(rng, 3) ? S_IFREG : S_IFLNK);
        a->op.create.target = any_bytes(rng, a);
    } else if (which < 5) {
        BEGIN(a, COMMIT, commit, dfs__commit_op__init);
        a->op.commit.ino = ino;
        a->op.commit.set_inline = true;
        a->op.commit.inline_data = any_bytes(rng, a);
    } else if (which == 5) {
        BEGIN(a, TRUNCATE, truncate, dfs__truncate_op__init);
        a->op.truncate.ino = ino;
        a->op.truncate.size = roll(rng, 40);
    } else if (which == 6) {
        BEGIN(a, UNLINK, unlink, dfs__unlink_op__init);
        a->op.unlink.parent = ROOT;
        a->op.unlink.name = any_name(rng, a, "");
    } else if (which < 9) {
        BEGIN(a, SETXATTR, setxattr, dfs__setxattr_op__init);
        a->op.setxattr.ino = ino;
        a->op.setxattr.name = any_name(rng, a, "user.");
        a->op.setxattr.value = any_bytes(rng, a);
    } else {
        BEGIN(a, REMOVEXATTR, removexattr, dfs__removexattr_op__init);
        a->op.removexattr.ino = ino;
        a->op.removexattr.name = any_name(rng, a, "user.");
    }
    if (roll(rng, 4) != 0) {
        a->req.session = 1 + roll(rng, 20);
        /* Now and then one that has its answer. */
        a->req.seq = roll(rng, 4) ? ++next_seq[a->req.session] : 1 + roll(rng, 10);
        a->req.ack_floor = next_seq[a->req.session] > 8 ? next_seq[a->req.session] - 8 : 0;
    }
}

static void begin_op(struct any_op *a)
{
    memset(a, 0, sizeof(*a));
    dfs__meta_request__init(&a->req);
    dfs__cred__init(&a->cred);
    a->req.cred = &a->cred;
}

static void any_op(struct rng *rng, struct any_op *a, bool converts)
{
    uint32_t which = roll(rng, 12);

    begin_op(a);
    if (which == 0 && converts) {
        BEGIN(a, CONVERT, convert, dfs__convert_op__init);
        a->op.convert.max_values = 1 + roll(rng, 4);
        a->op.convert.max_bytes = 1 + roll(rng, 100);
    } else if (which < 3) {
        any_of_few(rng, a);
    } else if (which == 3) {
        BEGIN(a, REAP, reap, dfs__reap_op__init);
        a->op.reap.ino = 2 + roll(rng, INOS);
    } else {
        any_change(rng, a);
    }
}

struct entry {
    uint8_t *bytes;
    size_t len;
    bool is_slice; /* or what begins with it */
};

static struct entry entries[LOG_MAX];

/* The format is raised at LOG_MAX / 3, and slices come from then on, among all else. */
static void make_log(uint64_t seed, int64_t time_ns)
{
    struct rng rng;

    rng_seed(&rng, seed);
    memset(next_seq, 0, sizeof(next_seq));
    for (unsigned i = 0; i < LOG_MAX; i++) {
        static struct any_op ops[REQUESTS_MAX];
        Dfs__MetaRequest *reqs[REQUESTS_MAX];
        size_t count = 1 + roll(&rng, REQUESTS_MAX);

        entries[i].is_slice = i == LOG_MAX / 3;
        for (size_t k = 0; k < count; k++) {
            any_op(&rng, &ops[k], i > LOG_MAX / 3);
            if (i == LOG_MAX / 3 && k == count / 2) {
                begin_op(&ops[k]);
                BEGIN(&ops[k], FORMAT, format, dfs__format_op__init);
                ops[k].op.format.format = FSM_FORMAT_VALUES;
            }
            entries[i].is_slice |= ops[k].req.op_case == DFS__META_REQUEST__OP_CONVERT;
            reqs[k] = &ops[k].req;
        }
        entries[i].bytes = fx_batch(time_ns + 1000 * i, reqs, count, &entries[i].len);
    }
}

static void drop_log(void)
{
    for (unsigned i = 0; i < LOG_MAX; i++)
        free(entries[i].bytes);
}

static void apply(struct fx *f, uint64_t first, unsigned i)
{
    assert_int_equal(fsm_apply(f->fsm, first + i, 1, entries[i].bytes, entries[i].len, NULL, NULL),
                     0);
    f->index = first + i;
}

/* ---- replicas side by side ---- */

static void assert_same_reply(struct fx *a, struct fx *b, Dfs__MetaRequest *req)
{
    Dfs__MetaReply *x, *y;
    static uint8_t of_a[8192], of_b[8192];
    size_t len;

    req->cred = &a->cred;
    assert_int_equal(fsm_read(a->fsm, req, NULL, &x), 0);
    assert_int_equal(fsm_read(b->fsm, req, NULL, &y), 0);
    len = dfs__meta_reply__get_packed_size(x);
    assert_true(len <= sizeof(of_a));
    assert_int_equal(dfs__meta_reply__get_packed_size(y), len);
    dfs__meta_reply__pack(x, of_a);
    dfs__meta_reply__pack(y, of_b);
    assert_memory_equal(of_a, of_b, len);
}

static void assert_reads_are_same(struct fx *a, struct fx *b)
{
    for (uint64_t ino = 2; ino < 2 + INOS; ino++) {
        REQ(OPEN, open, DFS__OPEN_OP__INIT);
        Dfs__MetaRequest link = DFS__META_REQUEST__INIT, attr = DFS__META_REQUEST__INIT;
        Dfs__ReadlinkOp readlink = DFS__READLINK_OP__INIT;
        Dfs__GetxattrOp getxattr = DFS__GETXATTR_OP__INIT;

        body.ino = readlink.ino = getxattr.ino = ino;
        assert_same_reply(a, b, &req);
        link.op_case = DFS__META_REQUEST__OP_READLINK;
        link.readlink = &readlink;
        assert_same_reply(a, b, &link);
        attr.op_case = DFS__META_REQUEST__OP_GETXATTR;
        attr.getxattr = &getxattr;
        for (unsigned i = 0; i < INOS / 2; i++) {
            char name[16];

            (void)snprintf(name, sizeof(name), "user.%u", i);
            getxattr.name = bytes_of(name);
            assert_same_reply(a, b, &attr);
        }
    }
}

/* In both, byte for byte. */
static void assert_values_are_same(struct fx *a, struct fx *b)
{
    for (const char *kind = VALUE_KINDS; *kind; kind++) {
        struct kv_iter *x, *y;

        assert_int_equal(kv_iter_new(a->kv, kind, 1, &x), 0);
        assert_int_equal(kv_iter_new(b->kv, kind, 1, &y), 0);
        assert_int_equal(kv_iter_seek(x, kind, 1), 0);
        assert_int_equal(kv_iter_seek(y, kind, 1), 0);
        while (x->valid && y->valid) {
            assert_int_equal(x->key_len, y->key_len);
            assert_memory_equal(x->key, y->key, x->key_len);
            assert_int_equal(x->value_len, y->value_len);
            assert_memory_equal(x->value, y->value, x->value_len);
            assert_int_equal(kv_iter_next(x), 0);
            assert_int_equal(kv_iter_next(y), 0);
        }
        assert_true(!x->valid && !y->valid);
        kv_iter_free(x);
        kv_iter_free(y);
    }
}

static uint64_t hash_now(struct fx *f)
{
    uint64_t hash;

    assert_int_equal(fsm_state_hash(f->fsm, f->index, &hash), 0);
    return hash;
}

/* Back to what was flushed, and from there to entry i again. */
static void crash(struct fx *f, uint64_t first, unsigned i)
{
    kv_mem_crash(f->kv);
    fx_reopen(f);
    for (uint64_t at = fsm_applied(f->fsm).index + 1; at <= first + i; at++)
        apply(f, first, (unsigned)(at - first));
}

static void run_side_by_side(uint64_t seed, uint32_t old_format, bool on_rocks)
{
    void *states[3] = {NULL, NULL, NULL};
    struct fx *newest, *old, *other;
    uint64_t first;
    unsigned slices = 0;
    struct rng rng;

    rng_seed(&rng, seed);
    (void)fx_setup_mem(&states[0]);
    (void)fx_setup_format(&states[1], false, old_format);
    (void)fx_setup_format(&states[2], on_rocks, old_format);
    newest = states[0];
    old = states[1];
    other = states[2];
    make_log(seed, newest->time_ns + 1000);
    first = newest->index + 1; /* Of all; the index of a replica may leave one out. */
    assert_int_equal(fsm_flush(other->fsm, true), 0);
    for (unsigned i = 0; i < LOG_MAX; i++) {
        apply(newest, first, i);
        apply(old, first, i);
        apply(other, first, i);
        assert_int_equal(hash_now(old), hash_now(other));
        assert_true(is_converted(newest));
        if (!is_converted(old))
            slices += entries[i].is_slice;
        if (entries[i].is_slice && !on_rocks)
            crash(other, first, i);
        if (roll(&rng, 20) == 0)
            assert_int_equal(fsm_flush(other->fsm, true), 0);
        if (i % 50 == 0)
            fx_reopen(other);
        if (i % 20 == 0 || entries[i].is_slice)
            assert_reads_are_same(old, newest);
    }
    while (!is_converted(old))
        assert_int_equal(convert(old, 5, 1000), 0);
    assert_true(slices > 3);
    assert_values_are_same(old, newest);
    assert_true(assert_all_have_versions(old) > 20);
    fx_check_tree(old);
    drop_log();
    for (unsigned i = 0; i < 3; i++)
        (void)fx_teardown(&states[i]);
}

/* Whatever comes between the slices, and whenever the process ends. */
static void an_old_store_answers_as_a_new_one_while_it_is_converted(void **state)
{
    enum { SEEDS = 12 };

    (void)state;
    for (uint32_t format = FSM_FORMAT_FIRST; format < FSM_FORMAT_VALUES; format++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++)
            run_side_by_side(seed, format, false);
    }
}

static void so_it_does_on_rocksdb(void **state)
{
    (void)state;
    run_side_by_side(4711, FSM_FORMAT_MARKS, true);
}

/* ---- slices ---- */

static int setup_old_mem(void **state)
{
    return fx_setup_format(state, false, FSM_FORMAT_MARKS);
}

static int setup_old_rocks(void **state)
{
    return fx_setup_format(state, true, FSM_FORMAT_MARKS);
}

#define ON_BOTH_OLD_STORES(test)                                                                   \
    {#test " (memory)", test, setup_old_mem, fx_teardown, NULL},                                   \
    {                                                                                              \
#test " (rocksdb)", test, setup_old_rocks, fx_teardown, NULL                               \
    }

/* Others wait for it. */
static void a_slice_is_bounded_in_values_and_bytes(void **state)
{
    enum { FILES = 30 };
    struct fx *f = *state;
    char text[501];
    unsigned versions;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; i < FILES; i++) {
        char name[16];
        uint64_t ino;

        (void)snprintf(name, sizeof(name), "f%u", i);
        ino = fx_file(f, ROOT, name);
        assert_int_equal(fx_write_inline(f, ino, text), 0);
        assert_int_equal(fx_setxattr(f, ino, "user.a", "1", 0), 0);
        assert_int_equal(fx_setxattr(f, ino, "user.b", "2", 0), 0);
    }
    assert_int_equal(count_values(f, &versions), 3 * FILES);
    assert_int_equal(versions, 0);
    assert_int_equal(fx_set_format(f, FSM_FORMAT_VALUES), 0);
    (void)count_values(f, &versions);
    assert_int_equal(versions, 0); /* Nothing at once. */
    assert_int_equal(convert(f, 7, 1 << 20), 0);
    assert_int_equal(f->reply->id->id, 7);
    assert_int_equal(convert(f, 100, 1500), 0);
    assert_int_equal(f->reply->id->id, 3);
    (void)count_values(f, &versions);
    assert_int_equal(versions, 10);
    assert_int_equal(convert(f, FILES - 10, 1 << 20), 0);
    assert_int_equal(convert(f, 1, 1 << 20), 0);
    assert_int_equal(f->reply->id->id, 2); /* All of an inode. */
    assert_false(is_converted(f));
    assert_int_equal(convert(f, 1000, 1 << 20), 0);
    assert_int_equal(f->reply->id->id, 2 * FILES - 2);
    assert_true(is_converted(f));
    assert_int_equal(convert(f, 1000, 1 << 20), 0); /* One that was under way. */
    assert_int_equal(f->reply->id->id, 0);
    assert_all_have_versions(f);
}

/* Or it would never end while files are made. */
static void what_begins_later_needs_no_conversion(void **state)
{
    struct fx *f = *state;
    uint64_t ino = fx_file(f, ROOT, "old");
    unsigned slices = 0;

    assert_int_equal(fx_write_inline(f, ino, "old"), 0);
    assert_int_equal(fx_setxattr(f, ino, "user.a", "1", 0), 0);
    assert_int_equal(fx_set_format(f, FSM_FORMAT_VALUES), 0);
    for (; !is_converted(f); slices++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "new%u", slices);
        ino = fx_file(f, ROOT, name);
        assert_int_equal(fx_write_inline(f, ino, "new"), 0);
        assert_int_equal(fx_setxattr(f, ino, "user.a", "1", 0), 0);
        assert_int_equal(convert(f, 1, 1 << 20), 0);
        assert_true(slices < 10);
    }
    assert_all_have_versions(f);
}

static void an_empty_store_has_nothing_to_convert(void **state)
{
    struct fx *f = *state;

    assert_true(is_converted(f)); /* The fixture has made a root. */
    assert_int_equal(fx_set_format(f, FSM_FORMAT_VALUES), 0);
    assert_true(is_converted(f));
}

static void a_slice_is_the_leaders_own_and_of_its_format(void **state)
{
    REQ(CONVERT, convert, DFS__CONVERT_OP__INIT);

    (void)state;
    assert_int_equal(fsm_check_request(&req, false), -EINVAL); /* It would go on for ever. */
    body.max_values = 1;
    assert_int_equal(fsm_check_request(&req, false), 0);
    assert_int_equal(fsm_check_request(&req, true), -EPERM);
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_VALUES);
}

/* ---- damage ---- */

static void put_raw(struct fx *f, const struct key *k, const void *value, size_t len)
{
    struct kv_batch b;

    kv_batch_init(&b);
    (void)kv_batch_put(&b, k->b, k->len, value, len);
    assert_int_equal(kv_write(f->kv, &b), 0);
    kv_batch_done(&b);
}

/* Neither guessed at nor handed out: an unknown version, and none. */
static void a_value_of_an_unknown_version_is_refused(void **state)
{
    struct fx *f = *state;
    uint64_t ino = fx_file(f, ROOT, "f");
    Dfs__MetaReply *reply;
    struct key k;
    REQ(OPEN, open, DFS__OPEN_OP__INIT);

    assert_int_equal(fx_write_inline(f, ino, "content"), 0);
    key_id64(&k, 'F', ino);
    body.ino = ino;
    req.cred = &f->cred;
    assert_int_equal(fsm_read(f->fsm, &req, NULL, &reply), 0);
    put_raw(f, &k, "\2content", 8);
    assert_int_equal(fsm_read(f->fsm, &req, NULL, &reply), -EBADMSG);
    put_raw(f, &k, "", 0);
    assert_int_equal(fsm_read(f->fsm, &req, NULL, &reply), -EBADMSG);
    put_raw(f, &k, "\1content", 8);
    assert_int_equal(fsm_read(f->fsm, &req, NULL, &reply), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_store_answers_as_a_new_one_while_it_is_converted),
        cmocka_unit_test(so_it_does_on_rocksdb),
        ON_BOTH_OLD_STORES(a_slice_is_bounded_in_values_and_bytes),
        ON_BOTH_OLD_STORES(what_begins_later_needs_no_conversion),
        ON_BOTH_OLD_STORES(an_empty_store_has_nothing_to_convert),
        cmocka_unit_test(a_slice_is_the_leaders_own_and_of_its_format),
        ON_BOTH_STORES(a_value_of_an_unknown_version_is_refused),
    };

    return cmocka_run_group_tests_name("fsm_value", tests, NULL, NULL);
}
