/*
 * Requests of clients, on a state that has something of everything. What the leader lets through to
 * the log applies on every replica; what is a read is answered, and changes nothing; each answer
 * survives the wire.
 *
 * The input is a run of requests, each {u8 flags, u16 length, MetaRequest}; flags & 1: not a
 * client's but the leader's own.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/limits.h"
#include "namenode/fsm.h"
#include "namenode/kv_mem.h"
#include "tests/fuzz/target.h"

enum { REQUESTS_MAX = 64, ITEM_HEADER = 3, TIME_NS = 1000 };

struct replica {
    struct kv *kv;
    struct fsm *fsm;
    uint64_t index;
};

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* ---- changes ---- */

static void on_reply(void *ctx, const struct fsm_reply *reply)
{
    *(int *)ctx = reply->status;
}

static int apply_bytes(struct replica *r, const uint8_t *bytes, size_t len)
{
    uint8_t *batch = malloc(FSM_BATCH_HEADER + FSM_BATCH_OP_HEADER_MAX + len);
    int status = 1;
    size_t n;

    check(batch != NULL);
    n = fsm_batch_header(TIME_NS, batch);
    n += fsm_batch_op_header(len, batch + n);
    memcpy(batch + n, bytes, len);
    /* It was checked: -EBADMSG would be a replica that stops. */
    check(fsm_apply(r->fsm, ++r->index, 1, batch, n + len, on_reply, &status) == 0);
    check(status <= 0);
    free(batch);
    return status;
}

static void apply(struct replica *r, Dfs__MetaRequest *req)
{
    uint8_t bytes[512];

    check(dfs__meta_request__get_packed_size(req) <= sizeof(bytes));
    check(apply_bytes(r, bytes, dfs__meta_request__pack(req, bytes)) == 0);
}

/* ---- the state at first ---- */

static ProtobufCBinaryData text(const char *s)
{
    return (ProtobufCBinaryData){.len = strlen(s), .data = (uint8_t *)(uintptr_t)s};
}

#define REQUEST(CASE, field, init)                                                                 \
    typeof(*((Dfs__MetaRequest *)0)->field) op = init;                                             \
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;                                                \
    req.op_case = DFS__META_REQUEST__OP_##CASE;                                                    \
    req.field = &op

static void make_cluster(struct replica *r)
{
    REQUEST(CLUSTER_INIT, cluster_init, DFS__CLUSTER_INIT_OP__INIT);

    op.cluster_uuid = text("cluster-uuid-016");
    op.copies = op.min_write = 1;
    op.pgs_per_target = 8;
    op.data_key = text("secret");
    apply(r, &req);
}

static void set_format(struct replica *r)
{
    REQUEST(FORMAT, format, DFS__FORMAT_OP__INIT);

    op.format = FSM_FORMAT;
    apply(r, &req);
}

static void make_session(struct replica *r)
{
    char name[] = "c";
    REQUEST(SESSION_OPEN, session_open, DFS__SESSION_OPEN_OP__INIT);

    op.client_uuid = text("session-uuid-016");
    op.name = name;
    apply(r, &req);
}

static void make_target(struct replica *r)
{
    char place[] = "dn1:1";
    REQUEST(TARGET_ADD, target_add, DFS__TARGET_ADD_OP__INIT);

    op.uuid = text("target-uuid--016");
    op.host = op.addr = op.node = place;
    op.incarnation = 5;
    apply(r, &req);
}

static void make_pg(struct replica *r)
{
    Dfs__PgMember member = DFS__PG_MEMBER__INIT, *members[] = {&member};
    Dfs__Pg pg = DFS__PG__INIT, *pgs[] = {&pg};
    REQUEST(PG_CREATE, pg_create, DFS__PG_CREATE_OP__INIT);

    member.target = 1;
    member.incarnation = 5;
    member.state = DFS__MEMBER_STATE__MEMBER_SERVING;
    pg.copies = pg.min_write = 1;
    pg.members = members;
    pg.n_members = 1;
    op.pgs = pgs;
    op.n_pgs = 1;
    apply(r, &req);
}

/* Inodes 2, 3, 4 ... in order; the root is 1. */
static void make_inode(struct replica *r, uint64_t parent, const char *name, uint32_t mode)
{
    Dfs__Cred cred = DFS__CRED__INIT;
    REQUEST(CREATE, create, DFS__CREATE_OP__INIT);

    req.cred = &cred;
    op.parent = parent;
    op.name = text(name);
    op.mode = mode;
    if (S_ISLNK(mode))
        op.target = text("to/where");
    apply(r, &req);
}

static void fill_file(struct replica *r, uint64_t ino)
{
    Dfs__Cred cred = DFS__CRED__INIT;
    REQUEST(COMMIT, commit, DFS__COMMIT_OP__INIT);

    req.cred = &cred;
    op.ino = ino;
    op.set_inline = true;
    op.inline_data = text("inline");
    op.end = op.inline_data.len;
    apply(r, &req);
}

static void fill_chunks(struct replica *r, uint64_t ino)
{
    uint32_t pgs[] = {1, 1, 1};
    Dfs__Cred cred = DFS__CRED__INIT;
    REQUEST(ALLOC, alloc, DFS__ALLOC_OP__INIT);

    req.cred = &cred;
    op.ino = ino;
    op.first_index = 2;
    op.count = op.n_pgs = 3;
    op.pgs = pgs;
    apply(r, &req);
}

static void give_xattr(struct replica *r, uint64_t ino)
{
    Dfs__Cred cred = DFS__CRED__INIT;
    REQUEST(SETXATTR, setxattr, DFS__SETXATTR_OP__INIT);

    req.cred = &cred;
    op.ino = ino;
    op.name = text("user.a");
    op.value = text("b");
    apply(r, &req);
}

static void make_state(struct replica *r)
{
    set_format(r);
    make_cluster(r);
    make_session(r);
    make_target(r);
    make_pg(r);
    make_inode(r, 1, "d", S_IFDIR | 0755);  /* 2 */
    make_inode(r, 2, "f", S_IFREG | 0644);  /* 3 */
    make_inode(r, 2, "g", S_IFREG | 0600);  /* 4 */
    make_inode(r, 1, "l", S_IFLNK | 0777);  /* 5 */
    make_inode(r, 2, "e", S_IFDIR | 0700);  /* 6 */
    make_inode(r, 6, "p", S_IFIFO | 04755); /* 7 */
    fill_file(r, 3);
    fill_chunks(r, 4);
    give_xattr(r, 3);
}

/* ---- reads ---- */

static bool is_answered(const Dfs__MetaRequest *req)
{
    return req->op_case >= DFS__META_REQUEST__OP_LOOKUP &&
           req->op_case <= DFS__META_REQUEST__OP_USAGE;
}

static void check_reply(const Dfs__MetaReply *reply)
{
    size_t len = dfs__meta_reply__get_packed_size(reply);
    uint8_t *bytes = malloc(len + 1), *again = malloc(len + 1);
    Dfs__MetaReply *back;

    check(bytes != NULL && again != NULL && len <= FRAME_BODY_MAX);
    check(dfs__meta_reply__pack(reply, bytes) == len);
    back = dfs__meta_reply__unpack(NULL, len, bytes);
    check(back != NULL && dfs__meta_reply__get_packed_size(back) == len);
    check(dfs__meta_reply__pack(back, again) == len && memcmp(bytes, again, len) == 0);
    check(back->status <= 0);
    dfs__meta_reply__free_unpacked(back, NULL);
    free(bytes);
    free(again);
}

/* As svc_meta does: asked or not, it is no change. */
static void read_one(struct replica *r, const Dfs__MetaRequest *req)
{
    const struct fsm_space space = {.bytes_total = 100, .bytes_free = 50, .inodes_max = 10};
    struct state_rec before = *fsm_state(r->fsm);
    Dfs__MetaReply *reply = NULL;

    check(fsm_read(r->fsm, req, &space, &reply) == 0 && reply != NULL);
    check(memcmp(&before, fsm_state(r->fsm), sizeof(before)) == 0);
    check(is_answered(req) || reply->status < 0);
    check(reply->status == 0 || reply->result_case == DFS__META_REPLY__RESULT__NOT_SET);
    check_reply(reply);
}

static void ask(struct replica *r, bool client, const uint8_t *bytes, size_t len)
{
    Dfs__MetaRequest *req = dfs__meta_request__unpack(NULL, len, bytes);
    int verdict = fsm_check_request_bytes(bytes, len, client);

    check(verdict <= 0 && (req != NULL || verdict < 0));
    if (req == NULL)
        return;
    check(fsm_check_request(req, client) == verdict);
    check(verdict < 0 || !is_answered(req));
    read_one(r, req);
    /* What it says of the state is the leader's own check, and a mistake there is meant to stop. */
    if (verdict == 0 && req->op_case != DFS__META_REQUEST__OP_HASH)
        (void)apply_bytes(r, bytes, len);
    dfs__meta_request__free_unpacked(req, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct replica r = {0};

    check(kv_mem_new(&r.kv) == 0 && fsm_open(r.kv, &r.fsm) == 0);
    make_state(&r);
    for (int i = 0; i < REQUESTS_MAX && size >= ITEM_HEADER; i++) {
        size_t len = (size_t)data[1] | (size_t)data[2] << 8;
        bool client = !(data[0] & 1);

        data += ITEM_HEADER;
        size -= ITEM_HEADER;
        len = MIN(len, size);
        ask(&r, client, data, len);
        data += len;
        size -= len;
    }
    fsm_close(r.fsm);
    kv_close(r.kv);
    return 0;
}
