/* In which order the leader takes changes: those of clients one after the other, slices of rm -r one
 * at a time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/error.h"
#include "common/log.h"
#include "rpc/msg.h"
#include "tests/unit/namenode/svc_cluster.h"

enum { ASKED_MAX = 8, CALL_MS = 10000, INO_ROOT_V = 1 };

/* Requests that are under way at the same time, and what became of them. */
struct asked {
    struct asking *all;
    int status; /* 1: not answered yet */
    unsigned place;
};
struct asking {
    struct svc_cluster *c;
    struct asked asked[ASKED_MAX];
    unsigned count, answered;
};

static void answered(void *ctx, int status, const struct rpc_frame *f)
{
    struct asked *a = ctx;
    Dfs__MetaReply *reply;

    a->place = a->all->answered++;
    a->status = status;
    if (status < 0)
        return;
    reply = dfs__meta_reply__unpack(NULL, f->header.body_len, f->body);
    assert_non_null(reply);
    a->status = reply->status;
    dfs__meta_reply__free_unpacked(reply, NULL);
}

static struct asked *ask_on(struct asking *all, unsigned s, Dfs__MetaRequest *req)
{
    struct asked *a = &all->asked[all->count++];
    Dfs__Cred root = DFS__CRED__INIT;

    *a = (struct asked){.all = all, .status = 1};
    req->session = all->c->sessions[s].id;
    req->seq = ++all->c->sessions[s].seq;
    req->cred = &root;
    (void)conn_call(all->c->client, MSG_META, &req->base, NULL, CALL_MS, answered, a);
    return a;
}

static ProtobufCBinaryData name_of(const char *name)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)name, .len = strlen(name)};
}

static struct asked *ask_slice(struct asking *all, unsigned s, const char *name)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__RemoveTreeOp op = DFS__REMOVE_TREE_OP__INIT;

    op.parent = INO_ROOT_V;
    op.name = name_of(name);
    op.limit = 1;
    req.op_case = DFS__META_REQUEST__OP_REMOVE_TREE;
    req.remove_tree = &op;
    return ask_on(all, s, &req);
}

static struct asked *ask_mkdir(struct asking *all, unsigned s, const char *name)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CreateOp op = DFS__CREATE_OP__INIT;

    op.parent = INO_ROOT_V;
    op.name = name_of(name);
    op.mode = S_IFDIR | 0755;
    req.op_case = DFS__META_REQUEST__OP_CREATE;
    req.create = &op;
    return ask_on(all, s, &req);
}

static struct asking begin(struct svc_cluster *c)
{
    session_open(c, 0);
    session_open(c, 1);
    file_make(c, 0, "a", 0);
    file_make(c, 0, "b", 0);
    file_make(c, 0, "c", 0);
    return (struct asking){.c = c};
}

/* They come in one message; what is asked last waits for the first slice at most. */
static void slices_take_turns_and_let_others_pass(void **state)
{
    struct svc_cluster *c = *state;
    struct asking all = begin(c);
    const struct asked *a = ask_slice(&all, 0, "a"), *b = ask_slice(&all, 1, "b");
    const struct asked *other = ask_slice(&all, 0, "c"), *made = ask_mkdir(&all, 1, "made");

    WAIT_UNTIL(c, all.answered == all.count);
    for (unsigned i = 0; i < all.count; i++)
        assert_int_equal(all.asked[i].status, 0);
    assert_true(made->place < b->place);
    assert_true(a->place < b->place && b->place < other->place);
}

/* One that fails is followed by the next all the same. */
static void a_slice_that_fails_makes_room(void **state)
{
    struct svc_cluster *c = *state;
    struct asking all = begin(c);
    const struct asked *none = ask_slice(&all, 0, "none"), *a = ask_slice(&all, 1, "a");

    WAIT_UNTIL(c, all.answered == all.count);
    assert_int_equal(none->status, -ENOENT);
    assert_int_equal(a->status, 0);
}

/* Done before, or to be asked again: here in a moment, or of the next leader. */
static bool may_answer_so(int status)
{
    return status == 0 || status == -ENOENT || status == -EAGAIN || status == DFS_ENOTLEADER;
}

/* Nobody is left waiting by a leader that leads no more. */
static void slices_that_wait_are_refused_with_the_leader(void **state)
{
    struct svc_cluster *c = *state;
    struct asking all = begin(c);
    int first = leader_of(c->g);

    WAIT_UNTIL(c, all_equal(c->g));
    let_tick(c, 2 * ELECTION_MS / SVC_TICK_MS); /* Who has just started cannot lead yet. */
    for (unsigned i = 0; i < 4; i++)
        (void)ask_slice(&all, 0, "a");
    assert_int_equal(
        node_transfer(leader(c), (struct raft_id){(uint64_t)((first + 1) % NODES) + 1}), 0);
    WAIT_UNTIL(c, all.answered == all.count);
    for (unsigned i = 0; i < all.count; i++)
        assert_true(may_answer_so(all.asked[i].status));
}

/* A client of a newer release asks for more than is known here. The log takes requests as they came:
 * followers of that release would do it, and we would not. */
static void what_is_not_understood_whole_is_not_begun(void **state)
{
    struct svc_cluster *c = *state;
    struct asking all = begin(c);
    uint8_t one = 1;
    ProtobufCMessageUnknownField more = {
        .tag = 2000, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = &one};
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT, other = DFS__META_REQUEST__INIT;
    Dfs__UnlinkOp op = DFS__UNLINK_OP__INIT;

    op.parent = INO_ROOT_V;
    op.name = name_of("a");
    op.base.n_unknown_fields = 1;
    op.base.unknown_fields = &more;
    req.op_case = DFS__META_REQUEST__OP_UNLINK;
    req.unlink = &op;
    (void)ask_on(&all, 0, &req);
    other.base.n_unknown_fields = 1; /* An operation that is not known at all looks like this. */
    other.base.unknown_fields = &more;
    (void)ask_on(&all, 1, &other);
    WAIT_UNTIL(c, all.answered == all.count);
    assert_int_equal(all.asked[0].status, -EOPNOTSUPP);
    assert_int_equal(all.asked[1].status, -EOPNOTSUPP);
    op.base.n_unknown_fields = 0;
    (void)ask_on(&all, 0, &req);
    WAIT_UNTIL(c, all.answered == all.count);
    assert_int_equal(all.asked[2].status, 0); /* It was still there. */
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup, svc_cluster_teardown)
#define T3(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup_three, svc_cluster_teardown)
    const struct CMUnitTest tests[] = {
        T(slices_take_turns_and_let_others_pass),
        T(a_slice_that_fails_makes_room),
        T(what_is_not_understood_whole_is_not_begun),
        T3(slices_that_wait_are_refused_with_the_leader),
    };
#undef T3
#undef T

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_svc_meta", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
