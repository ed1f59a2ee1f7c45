#include "tests/unit/libdfs/fake_cluster.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <utlist.h>

#include "common/crc32c.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/inode.h"
#include "libdfs/nn.h"
#include "libdfs/pgmap.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/node.pb-c.h"
#include "rpc/server.h"

/* ---- chunks ---- */

struct fake_chunk *fake_chunk_get(struct cluster *c, uint64_t id)
{
    struct fake_chunk *k = NULL;

    HASH_FIND(hh, c->chunks, &id, sizeof(id), k);
    if (k == NULL) {
        k = MEM_NEW(struct fake_chunk);
        k->id = id;
        HASH_ADD(hh, c->chunks, id, sizeof(k->id), k);
    }
    return k;
}

void fake_chunk_write(struct fake_chunk *k, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    if (k->bytes == NULL)
        k->bytes = mem_zalloc(1, CHUNK_SIZE); /* Zeros that nobody touches cost nothing. */
    k->len = MAX(k->len, offset + len);
    memcpy(k->bytes + offset, bytes, len);
    k->exists = true;
}

/* ---- datanodes ---- */

struct held_op {
    struct fake_dn *dn;
    struct conn *conn;
    uint64_t rpc_id;
    Dfs__ChunkOp *op;
    struct slab *data;
    const uint8_t *bytes;
    struct held_op *next;
};

void fake_fill_pg(struct cluster *c, uint32_t pg, Dfs__Pg *out, Dfs__PgMember *members,
                  Dfs__PgMember **pointers)
{
    dfs__pg__init(out);
    out->pg = pg;
    out->epoch = c->epoch[pg];
    out->copies = FAKE_DNS;
    out->n_members = FAKE_DNS;
    out->members = pointers;
    for (unsigned k = 0; k < FAKE_DNS; k++) {
        dfs__pg_member__init(&members[k]);
        members[k].target = (c->head[pg] + k) % FAKE_DNS + 1;
        members[k].state = DFS__MEMBER_STATE__MEMBER_SERVING;
        pointers[k] = &members[k];
    }
}

/* Each CRC must be that of the bytes of this payload in its block. */
static bool crcs_fit(const Dfs__ChunkOp *op, const uint8_t *payload)
{
    const uint8_t *bytes = payload + op->crc_count * 4;
    uint32_t at = 0;

    for (uint32_t k = 0; k < op->crc_count; k++) {
        uint32_t room = CHUNK_BLOCK_SIZE - (op->offset + at) % CHUNK_BLOCK_SIZE;
        uint32_t n = op->len - at < room ? op->len - at : room;
        uint32_t crc;

        memcpy(&crc, payload + k * 4, 4);
        if (crc != crc32c(bytes + at, n))
            return false;
        at += n;
    }
    return at == op->len;
}

static int execute(struct cluster *c, const Dfs__ChunkOp *op, const uint8_t *payload)
{
    struct fake_chunk *k = fake_chunk_get(c, op->chunk_id);

    assert_true(op->opseq >= 1 && op->opseq < 4096);
    assert_true(op->floor <= op->opseq);
    if (c->executed[op->pg][op->opseq]) {
        c->repeats++;
        return 0;
    }
    switch (op->kind) {
    case DFS__CHUNK_OP_KIND__CHUNK_OP_WRITE:
        if (!crcs_fit(op, payload))
            return -EBADMSG;
        fake_chunk_write(k, op->offset, payload + op->crc_count * 4, op->len);
        break;
    case DFS__CHUNK_OP_KIND__CHUNK_OP_TRUNC:
        if (op->trunc_version != 0 && op->trunc_version <= k->trunc_version)
            break;
        k->trunc_version = MAX(k->trunc_version, op->trunc_version);
        if (k->len > op->offset) {
            memset(k->bytes + op->offset, 0, k->len - op->offset);
            k->len = op->offset;
        }
        break;
    case DFS__CHUNK_OP_KIND__CHUNK_OP_SYNC:
        assert_true(op->n_chunks > 0 && op->since_epoch > 0);
        break;
    default:
        fail_msg("op of an unknown kind");
    }
    c->executed[op->pg][op->opseq] = true;
    return 0;
}

static void finish_op(struct fake_dn *dn, struct conn *conn, uint64_t rpc_id,
                      const Dfs__ChunkOp *op, const uint8_t *payload)
{
    struct cluster *c = dn->cluster;
    Dfs__ChunkOpReply reply = DFS__CHUNK_OP_REPLY__INIT;
    int r = execute(c, op, payload);

    if (dn->drop_after > 0) {
        dn->drop_after--;
        conn_close(conn, -ECONNRESET);
        return;
    }
    if (r < 0) {
        conn_reply_error(conn, MSG_CHUNK_OP, rpc_id, r, "refused");
        return;
    }
    reply.epoch = c->epoch[op->pg];
    conn_reply(conn, MSG_CHUNK_OP, rpc_id, &reply.base, NULL);
}

static void refuse_not_head(struct fake_dn *dn, struct conn *conn, uint64_t rpc_id, uint32_t pg)
{
    Dfs__Error error = DFS__ERROR__INIT;
    Dfs__Pg config;
    Dfs__PgMember members[FAKE_DNS], *pointers[FAKE_DNS];
    char text[] = "not the head";

    fake_fill_pg(dn->cluster, pg, &config, members, pointers);
    error.code = DFS_ENOTHEAD;
    error.text = text;
    error.pg = &config;
    conn_reply_error_msg(conn, MSG_CHUNK_OP, rpc_id, &error.base);
}

static void on_op(struct fake_dn *dn, struct conn *conn, const struct rpc_frame *f)
{
    Dfs__ChunkOp *op = dfs__chunk_op__unpack(NULL, f->header.body_len, f->body);
    struct cluster *c = dn->cluster;
    uint64_t id = f->header.rpc_id;

    assert_non_null(op);
    dn->ops++;
    dn->syncs += op->kind == DFS__CHUNK_OP_KIND__CHUNK_OP_SYNC || op->sync;
    dn->truncs += op->kind == DFS__CHUNK_OP_KIND__CHUNK_OP_TRUNC;
    if (dn->silent_ops > 0) {
        dn->silent_ops--;
    } else if (dn->drop_before > 0) {
        dn->drop_before--;
        conn_close(conn, -ECONNRESET);
    } else if (dn->fail_ops > 0) {
        dn->fail_ops--;
        conn_reply_error(conn, MSG_CHUNK_OP, id, dn->fail_code, "as the test wants");
    } else if (c->head[op->pg] != dn->number) {
        refuse_not_head(dn, conn, id, op->pg);
    } else if (dn->hold_ops) {
        struct held_op *h = MEM_NEW(struct held_op);

        *h = (struct held_op){.dn = dn,
                              .conn = conn_ref(conn),
                              .rpc_id = id,
                              .op = op,
                              .data = f->data != NULL ? slab_ref(f->data) : NULL,
                              .bytes = f->data_bytes};
        LL_APPEND(dn->held, h);
        return; /* op is kept */
    } else {
        finish_op(dn, conn, id, op, f->data_bytes);
    }
    dfs__chunk_op__free_unpacked(op, NULL);
}

static void free_held(struct held_op *h)
{
    dfs__chunk_op__free_unpacked(h->op, NULL);
    slab_unref(h->data);
    conn_unref(h->conn);
    free(h);
}

void cluster_release(struct cluster *c)
{
    for (unsigned k = 0; k < FAKE_DNS; k++) {
        struct fake_dn *dn = &c->dns[k];

        dn->hold_ops = false;
        while (dn->held != NULL) {
            struct held_op *h = dn->held;

            LL_DELETE(dn->held, h);
            finish_op(dn, h->conn, h->rpc_id, h->op, h->bytes);
            free_held(h);
        }
    }
}

static void on_read(struct fake_dn *dn, struct conn *conn, const struct rpc_frame *f)
{
    Dfs__ChunkReadRequest *req = dfs__chunk_read_request__unpack(NULL, f->header.body_len, f->body);
    struct cluster *c = dn->cluster;
    Dfs__ChunkReadReply reply = DFS__CHUNK_READ_REPLY__INIT;
    struct rpc_payload payload = {.file_fd = -1};
    struct fake_chunk *k = fake_chunk_get(c, req->chunk_id);
    struct slab *slab;
    uint32_t blocks;
    uint8_t *bytes;

    dn->reads++;
    assert_int_equal(req->offset % CHUNK_BLOCK_SIZE, 0);
    assert_int_equal(req->len % CHUNK_BLOCK_SIZE, 0);
    assert_true(req->len > 0 && req->len <= IO_SIZE_MAX);
    if (dn->silent_reads > 0) {
        dn->silent_reads--;
        dfs__chunk_read_request__free_unpacked(req, NULL);
        return;
    }
    if (dn->fail_reads > 0 || !k->exists) {
        int code = dn->fail_reads > 0 ? dn->fail_code : DFS_ENOCHUNK;

        dn->fail_reads -= dn->fail_reads > 0;
        conn_reply_error(conn, MSG_CHUNK_READ, f->header.rpc_id, code, "no");
        dfs__chunk_read_request__free_unpacked(req, NULL);
        return;
    }
    reply.epoch = c->epoch[req->pg];
    reply.len = k->len > req->offset ? MIN(k->len - req->offset, req->len) : 0;
    blocks = (reply.len + CHUNK_BLOCK_SIZE - 1) / CHUNK_BLOCK_SIZE;
    reply.crc_count = blocks;
    slab = slab_alloc(c->slabs, SLAB_SIZE_MAX);
    bytes = slab->data + blocks * 4;
    memset(bytes, 0, (size_t)blocks * CHUNK_BLOCK_SIZE);
    if (reply.len > 0)
        memcpy(bytes, k->bytes + req->offset, reply.len);
    for (uint32_t b = 0; b < blocks; b++) {
        uint32_t slot = crc32c(bytes + b * CHUNK_BLOCK_SIZE, CHUNK_BLOCK_SIZE) ^ CRC32C_ZERO_BLOCK;

        memcpy(slab->data + b * 4, &slot, 4);
    }
    if (dn->flip_reads > 0 && reply.len > 0 && (!req->verify || dn->flip_always)) {
        dn->flip_reads--;
        bytes[reply.len / 2] ^= 4;
    }
    if (reply.len > 0) {
        payload.part_count = 1;
        payload.parts[0].bytes = slab->data;
        payload.parts[0].len = blocks * 4 + reply.len;
        payload.parts[0].slab = slab;
    }
    conn_reply(conn, MSG_CHUNK_READ, f->header.rpc_id, &reply.base, &payload);
    slab_unref(slab);
    dfs__chunk_read_request__free_unpacked(req, NULL);
}

static void dn_request(void *ctx, struct conn *conn, const struct rpc_frame *f)
{
    struct fake_dn *dn = ctx;

    if (f->header.type == MSG_DATA_HELLO) {
        Dfs__DataHelloReply reply = DFS__DATA_HELLO_REPLY__INIT;

        dn->hellos++;
        conn_reply(conn, MSG_DATA_HELLO, f->header.rpc_id, &reply.base, NULL);
    } else if (f->header.type == MSG_CHUNK_OP) {
        on_op(dn, conn, f);
    } else if (f->header.type == MSG_CHUNK_READ) {
        on_read(dn, conn, f);
    } else {
        fail_msg("a client asked a datanode for something else");
    }
}

static void dn_closed(void *ctx, struct conn *conn, int reason)
{
    (void)ctx;
    (void)conn;
    (void)reason;
}

static void start_dn(struct cluster *c, unsigned number)
{
    struct fake_dn *dn = &c->dns[number];
    const struct server_options o = {.listen_addr = "127.0.0.1:0", .conn_count_max = 16};
    const struct conn_handlers h = {.on_request = dn_request, .on_closed = dn_closed, .ctx = dn};

    dn->cluster = c;
    dn->number = number;
    assert_int_equal(server_new(c->loop, c->slabs, &o, &h, &dn->server), 0);
    dn->addr = mem_strdup(server_addr(dn->server));
}

void cluster_kill_dn(struct cluster *c, unsigned number)
{
    struct fake_dn *dn = &c->dns[number];

    while (dn->held != NULL) {
        struct held_op *h = dn->held;

        LL_DELETE(dn->held, h);
        free_held(h);
    }
    server_free(dn->server);
    dn->server = NULL;
}

void cluster_set_head(struct cluster *c, unsigned dn, bool tell)
{
    for (unsigned pg = 0; pg < FAKE_PGS; pg++) {
        c->head[pg] = dn;
        c->epoch[pg]++;
    }
    c->map_version++;
    if (tell)
        pgmap_on_version(c->ll.pgmap, c->map_version);
}

/* ---- the fixture ---- */

struct cluster *cluster_new(void)
{
    struct cluster *c = MEM_NEW(struct cluster);

    assert_int_equal(loop_new(&c->loop), 0);
    c->slabs = slab_pool_new(8 << 20);
    c->next_ino = 100;
    c->next_chunk = 1000;
    c->map_version = 1;
    c->session = 77;
    c->wall_ns = INT64_C(5000000000);
    for (unsigned k = 0; k < FAKE_PGS; k++)
        c->epoch[k] = 1;
    for (unsigned k = 0; k < FAKE_DNS; k++)
        start_dn(c, k);
    c->ll.loop = c->loop;
    c->ll.slabs = c->slabs;
    c->ll.nn = (struct nn *)(void *)c;
    c->ll.options = (struct ll_options){
        .io_timeout_ms = 3000,
        .dirty_bytes_max = 64 << 20,
        .readahead_bytes_max = 64 << 20,
        .readahead_window = 8 << 20,
        .flush_age_ms = 60000,
        .sync_age_ms = 60000,
    };
    ll_data_init(&c->ll);
    pgmap_refresh(c->ll.pgmap, NULL, NULL);
    cluster_pass(c, 1);
    return c;
}

void cluster_free(struct cluster *c)
{
    struct fake_chunk *k, *ktmp;
    struct fake_file *f, *ftmp;

    /* As ll_close() does: nothing is asked of the namenode any more when the parts go. */
    c->hold_nn = false;
    inode_table_send_closes(c->ll.inodes);
    ll_data_stop(&c->ll);
    do
        cluster_pass(c, 1);
    while (c->answers != NULL);
    ll_data_done(&c->ll);
    loop_run_once(c->loop, false);
    for (unsigned n = 0; n < FAKE_DNS; n++) {
        if (c->dns[n].server != NULL)
            cluster_kill_dn(c, n);
        free(c->dns[n].addr);
    }
    loop_run_once(c->loop, false);
    fake_drop_answers(c);
    HASH_ITER (hh, c->chunks, k, ktmp) {
        HASH_DEL(c->chunks, k);
        free(k->bytes);
        free(k);
    }
    HASH_ITER (hh, c->files, f, ftmp) {
        HASH_DEL(c->files, f);
        free(f);
    }
    loop_free(c->loop);
    slab_pool_free(c->slabs);
    free(c);
}

static void on_time(void *ctx)
{
    bool *flag = ctx;

    *flag = true;
}

void cluster_wait(struct cluster *c, const bool *flag)
{
    struct loop_timer *t = loop_timer_new(c->loop, on_time, &c->out_of_time);

    c->out_of_time = false;
    loop_timer_start(t, 4000, 0);
    while (!*flag && !c->out_of_time)
        loop_run_once(c->loop, true);
    loop_timer_free(t);
    if (!*flag) {
        /* Going on would let a late answer write into a frame that is gone. */
        print_error("no answer within 4 s\n");
        abort();
    }
}

void cluster_pass(struct cluster *c, uint64_t ms)
{
    bool over = false;
    struct loop_timer *t = loop_timer_new(c->loop, on_time, &over);

    loop_timer_start(t, ms, 0);
    while (!over)
        loop_run_once(c->loop, true);
    loop_timer_free(t);
}
