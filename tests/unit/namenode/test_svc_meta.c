/* In which order the leader takes changes: those of clients one after the other, slices of rm -r one
 * at a time, swaps of chunks and opens apart. And where it puts new chunks. */
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
    bool has_attr;
    uint64_t version; /* of its content */
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
    a->has_attr = reply->result_case == DFS__META_REPLY__RESULT_ENTRY && reply->entry->attr != NULL;
    if (a->has_attr)
        a->version = reply->entry->attr->data_version;
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

/* ---- copies ---- */

static int set_copies(struct svc_cluster *c, uint64_t ino, const char *value)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__SetxattrOp op = DFS__SETXATTR_OP__INIT;

    op.ino = ino;
    op.name = name_of("dfs.copies");
    op.value = name_of(value);
    req.op_case = DFS__META_REQUEST__OP_SETXATTR;
    req.setxattr = &op;
    return meta(c, 0, &req);
}

static int alloc(struct svc_cluster *c, uint64_t ino, uint32_t count)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__AllocOp op = DFS__ALLOC_OP__INIT;

    op.ino = ino;
    op.count = count;
    req.op_case = DFS__META_REQUEST__OP_ALLOC;
    req.alloc = &op;
    return meta(c, 0, &req);
}

/* The first chunk's group. */
static struct pg_rec pg_of_file(struct svc_cluster *c, uint64_t ino)
{
    assert_int_equal(alloc(c, ino, 1), 0); /* It says also what is there already. */
    return pg_of(c, ((const Dfs__MetaReply *)c->reply)->layout->chunks[0]->pg);
}

/* The first one makes the groups; then a file that has its number from its directory gets chunks there. */
static void chunks_go_to_groups_of_as_many_copies_as_asked_for(void **state)
{
    struct svc_cluster *c = *state;
    uint32_t before;
    struct pg_rec pg;
    uint64_t x;

    three_dns_with_pgs(c);
    session_open(c, 0);
    before = pg_count(c);
    assert_int_equal(set_copies(c, INO_ROOT_V, "2"), 0);
    WAIT_UNTIL(c, pg_count(c) > before);
    x = file_make(c, 0, "x", 4);
    pg = pg_of_file(c, x);
    assert_int_equal(pg.copies, 2);
    assert_int_equal(pg.min_write, 2);
    assert_int_equal(pg.member_count, 2);
    assert_int_equal(set_copies(c, x, "3"), 0); /* What it has stays where it is. */
    assert_int_equal(pg_of_file(c, x).copies, 2);
    assert_int_equal(set_copies(c, INO_ROOT_V, "3"), 0);
    assert_int_equal(pg_of_file(c, file_make(c, 0, "y", 1)).copies, 3);
}

/* A new leader has not been told that groups are wanted: who needs one tells it so. */
static void a_chunk_that_has_no_group_yet_has_it_made(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t x;

    three_dns_with_pgs(c);
    session_open(c, 0);
    dn_down(c, 2); /* All are waited for, some seconds: no group is made yet. */
    assert_int_equal(set_copies(c, INO_ROOT_V, "1"), 0);
    x = file_make(c, 0, "x", 0);
    leader_restarts(c);
    assert_int_equal(session_attach(c, 0, &x, 1), 0);
    dns_up(c, 3);
    WAIT_UNTIL(c, alloc(c, x, 1) == 0);
    assert_int_equal(pg_of_file(c, x).copies, 1);
}

static void more_copies_than_hosts_cannot_be_had(void **state)
{
    struct svc_cluster *c = *state;

    dns_up(c, 2);
    session_open(c, 0);
    assert_int_equal(set_copies(c, INO_ROOT_V, "3"), -EINVAL);
    assert_int_equal(set_copies(c, INO_ROOT_V, "2"), 0);
    assert_int_equal(set_copies(c, INO_ROOT_V, "7"), -EINVAL);
}

/* ---- swaps ---- */

static void commit_chunk(struct svc_cluster *c, uint64_t ino)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;
    uint32_t index = 0;

    op.ino = ino;
    op.end = 5000;
    op.materialized = &index;
    op.n_materialized = 1;
    req.op_case = DFS__META_REQUEST__OP_COMMIT;
    req.commit = &op;
    assert_int_equal(meta(c, 0, &req), 0);
}

struct swap_story {
    uint64_t x, other, version;
    Dfs__SwapChunksOp op;
    Dfs__MetaRequest req;
};

/* A file of one chunk, which session 0 has open, and one without a name that has a copy of it. */
static void swap_begin(struct svc_cluster *c, struct swap_story *s)
{
    struct inode_rec inode;

    three_dns_with_pgs(c);
    session_open(c, 0);
    session_open(c, 1);
    s->x = file_make(c, 0, "x", 1);
    commit_chunk(c, s->x);
    s->other = file_make(c, 0, "other", 1);
    commit_chunk(c, s->other);
    file_unlink(c, 0, "other");
    assert_int_equal(fsm_inode_get(leader_fsm(c), s->x, &inode), 0);
    s->version = inode.data_version;
    dfs__swap_chunks_op__init(&s->op);
    s->op.ino = s->x;
    s->op.other = s->other;
    s->op.count = 1;
    s->op.data_version = s->version;
    dfs__meta_request__init(&s->req);
    s->req.op_case = DFS__META_REQUEST__OP_SWAP_CHUNKS;
    s->req.swap_chunks = &s->op;
}

/* Who has it open may write to the chunks it knows. */
static void chunks_of_an_open_file_are_not_swapped(void **state)
{
    struct svc_cluster *c = *state;
    struct swap_story s;

    swap_begin(c, &s);
    assert_int_equal(meta(c, 0, &s.req), -EBUSY);
    file_close(c, 0, s.x);
    assert_int_equal(meta(c, 0, &s.req), 0);
    assert_int_equal(((const Dfs__MetaReply *)c->reply)->entry->attr->data_version, s.version + 1);
}

/* A new leader does not know all opens before all sessions have told theirs. */
static void nor_before_a_new_leader_knows_who_has_it_open(void **state)
{
    struct svc_cluster *c = *state;
    struct swap_story s;

    swap_begin(c, &s);
    leader_restarts(c);
    dns_up(c, 3);
    assert_int_equal(session_attach(c, 1, NULL, 0), 0);
    assert_int_equal(meta(c, 1, &s.req), -EBUSY); /* Session 0 has not told. */
    assert_int_equal(session_attach(c, 0, (const uint64_t[]){s.x, s.other}, 2), 0);
    assert_int_equal(meta(c, 1, &s.req), -EBUSY);
    file_close(c, 0, s.x);
    assert_int_equal(meta(c, 1, &s.req), 0);
}

static void ask_for_open(struct asking *all, unsigned session, uint64_t ino)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__OpenOp op = DFS__OPEN_OP__INIT;

    op.ino = ino;
    req.op_case = DFS__META_REQUEST__OP_OPEN;
    req.open = &op;
    (void)ask_on(all, session, &req);
}

static void ask_for_create(struct asking *all, unsigned session, const char *name)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CreateOp op = DFS__CREATE_OP__INIT;

    op.parent = INO_ROOT_V;
    op.name = name_of(name);
    op.mode = S_IFREG | 0644;
    op.open = true;
    req.op_case = DFS__META_REQUEST__OP_CREATE;
    req.create = &op;
    (void)ask_on(all, session, &req);
}

/*
 * All in one message, so that the swap is on its way when the others come, or they when it comes:
 * whoever gets the file open has the new map, or there is no swap.
 */
static void opens_and_swaps_keep_apart(void **state)
{
    struct svc_cluster *c = *state;

    for (unsigned way = 0; way < 3; way++) {
        struct asking all = {.c = c};
        struct swap_story s;

        if (way > 0)
            svc_cluster_teardown(state);
        if (way > 0)
            svc_cluster_setup(state);
        c = all.c = *state;
        swap_begin(c, &s);
        file_close(c, 0, s.x);
        if (way == 0) {
            (void)ask_on(&all, 0, &s.req);
            ask_for_open(&all, 1, s.x);
            ask_for_create(&all, 1, "x");
        } else if (way == 1) {
            ask_for_create(&all, 1, "x");
            (void)ask_on(&all, 0, &s.req);
        } else {
            ask_for_open(&all, 1, s.x);
            (void)ask_on(&all, 0, &s.req);
        }
        WAIT_UNTIL(c, all.answered == all.count);
        for (unsigned i = 0; i < all.count; i++) {
            const struct asked *a = &all.asked[i];

            assert_int_equal(a->status, way > 0 && i == 1 ? -EBUSY : 0);
            if (a->has_attr)
                assert_int_equal(a->version, s.version + (way == 0));
        }
        if (way == 0)
            assert_true(all.asked[0].place < all.asked[1].place &&
                        all.asked[0].place < all.asked[2].place);
    }
}

/* Both are in one entry of the log: when the create is answered its file has no name any more, and is
 * open all the same, as on a local disk. */
static void a_file_that_loses_its_name_as_it_is_made_is_open(void **state)
{
    struct svc_cluster *c = *state;
    struct asking all = {.c = c};
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__UnlinkOp op = DFS__UNLINK_OP__INIT;

    WAIT_UNTIL(c, cluster_is_made(c->g));
    session_open(c, 0);
    session_open(c, 1);
    ask_for_create(&all, 0, "brief");
    op.parent = INO_ROOT_V;
    op.name = name_of("brief");
    req.op_case = DFS__META_REQUEST__OP_UNLINK;
    req.unlink = &op;
    (void)ask_on(&all, 1, &req);
    WAIT_UNTIL(c, all.answered == all.count);
    assert_int_equal(all.asked[0].status, 0);
    assert_int_equal(all.asked[1].status, 0);
}

/* Its session did not count as having it open between the two, and the chunks went meanwhile: the answer
 * of the first time has the old map. */
static void the_answer_to_a_create_is_as_new_as_the_open(void **state)
{
    struct svc_cluster *c = *state;
    struct swap_story s;
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CreateOp op = DFS__CREATE_OP__INIT;
    const Dfs__MetaReply *reply;
    uint64_t first, seq;

    swap_begin(c, &s);
    file_close(c, 0, s.x);
    op.parent = INO_ROOT_V;
    op.name = name_of("x");
    op.mode = S_IFREG | 0644;
    op.open = true;
    req.op_case = DFS__META_REQUEST__OP_CREATE;
    req.create = &op;
    assert_int_equal(meta(c, 1, &req), 0);
    seq = c->sessions[1].seq;
    first = ((const Dfs__MetaReply *)c->reply)->entry->chunks[0]->chunk_id;
    leader_restarts(c);
    dns_up(c, 3);
    assert_int_equal(session_attach(c, 0, &s.other, 1), 0);
    assert_int_equal(session_attach(c, 1, NULL, 0), 0); /* It has had no answer. */
    assert_int_equal(meta(c, 0, &s.req), 0);
    c->sessions[1].seq = seq - 1;
    assert_int_equal(meta(c, 1, &req), 0);
    reply = (const Dfs__MetaReply *)c->reply;
    assert_int_equal(reply->entry->attr->data_version, s.version + 1);
    assert_true(reply->entry->chunks[0]->chunk_id != first);
    assert_false(reply->entry->created);
    s.op.data_version++;
    assert_int_equal(meta(c, 0, &s.req), -EBUSY); /* It has it open now. */
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup, svc_cluster_teardown)
#define T3(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup_three, svc_cluster_teardown)
    const struct CMUnitTest tests[] = {
        T(slices_take_turns_and_let_others_pass),
        T(a_slice_that_fails_makes_room),
        T(what_is_not_understood_whole_is_not_begun),
        T(chunks_go_to_groups_of_as_many_copies_as_asked_for),
        T(a_chunk_that_has_no_group_yet_has_it_made),
        T(more_copies_than_hosts_cannot_be_had),
        T(chunks_of_an_open_file_are_not_swapped),
        T(nor_before_a_new_leader_knows_who_has_it_open),
        T(opens_and_swaps_keep_apart),
        T(a_file_that_loses_its_name_as_it_is_made_is_open),
        T(the_answer_to_a_create_is_as_new_as_the_open),
        T3(slices_that_wait_are_refused_with_the_leader),
    };
#undef T3
#undef T

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_svc_meta", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
