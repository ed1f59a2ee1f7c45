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

static struct fake_chunk *get_chunk(struct cluster *c, uint64_t id)
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

static void chunk_write(struct fake_chunk *k, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    if (offset + len > k->len) {
        k->bytes = mem_realloc(k->bytes, 1, offset + len);
        memset(k->bytes + k->len, 0, offset + len - k->len);
        k->len = offset + len;
    }
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

static void fill_pg(struct cluster *c, uint32_t pg, Dfs__Pg *out, Dfs__PgMember *members,
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
    struct fake_chunk *k = get_chunk(c, op->chunk_id);

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
        chunk_write(k, op->offset, payload + op->crc_count * 4, op->len);
        break;
    case DFS__CHUNK_OP_KIND__CHUNK_OP_TRUNC:
        if (k->len > op->offset)
            k->len = op->offset;
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

    fill_pg(dn->cluster, pg, &config, members, pointers);
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
    struct fake_chunk *k = get_chunk(c, req->chunk_id);
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

/* ---- the namenode: libdfs/nn.h ---- */

struct nn_answer {
    struct cluster *cluster;
    nn_reply_fn fn;
    nn_raw_fn raw_fn;
    void *ctx;
    uint8_t *packed;
    size_t len;
    struct nn_answer *next;
};

static struct cluster *cluster_of(const struct nn *nn)
{
    return (struct cluster *)(uintptr_t)nn;
}

static void deliver(struct nn_answer *a)
{
    if (a->raw_fn != NULL) {
        a->raw_fn(a->ctx, 0, a->packed, a->len);
    } else {
        Dfs__MetaReply *reply = dfs__meta_reply__unpack(NULL, a->len, a->packed);

        a->fn(a->ctx, 0, reply);
        dfs__meta_reply__free_unpacked(reply, NULL);
    }
    free(a->packed);
    free(a);
}

static void deliver_all(void *ctx)
{
    struct cluster *c = ctx;

    while (c->answers != NULL && !c->hold_nn) {
        struct nn_answer *a = c->answers;

        LL_DELETE(c->answers, a);
        deliver(a);
    }
}

void cluster_release_nn(struct cluster *c)
{
    c->hold_nn = false;
    loop_post(c->loop, deliver_all, c);
}

static void queue_answer(struct cluster *c, const ProtobufCMessage *m, nn_reply_fn fn,
                         nn_raw_fn raw_fn, void *ctx)
{
    struct nn_answer *a = MEM_NEW(struct nn_answer);

    *a = (struct nn_answer){.cluster = c, .fn = fn, .raw_fn = raw_fn, .ctx = ctx};
    a->len = protobuf_c_message_get_packed_size(m);
    a->packed = mem_alloc(a->len + 1);
    protobuf_c_message_pack(m, a->packed);
    LL_APPEND(c->answers, a);
    loop_post(c->loop, deliver_all, c);
}

struct fake_file *cluster_file(struct cluster *c, struct ino ino)
{
    struct fake_file *f = NULL;

    HASH_FIND(hh, c->files, &ino.v, sizeof(ino.v), f);
    return f;
}

struct fake_file *cluster_add_file(struct cluster *c, uint64_t size)
{
    struct fake_file *f = MEM_NEW(struct fake_file);

    dfs__attr__init(&f->attr);
    dfs__chunk_tail__init(&f->tail);
    f->ino = c->next_ino++;
    f->attr.ino = f->ino;
    f->attr.mode = S_IFREG | 0644;
    f->attr.nlink = 1;
    f->attr.size = size;
    f->attr.data_version = 1;
    f->attr.mtime_ns = 1;
    HASH_ADD(hh, c->files, ino, sizeof(f->ino), f);
    return f;
}

struct reply_memory {
    Dfs__MetaReply reply;
    Dfs__EntryReply entry;
    Dfs__LayoutReply layout;
    Dfs__ChunkRef refs[FAKE_CHUNKS_PER_FILE], *pointers[FAKE_CHUNKS_PER_FILE];
};

static size_t fill_refs(const struct fake_file *f, uint32_t first, uint32_t count,
                        struct reply_memory *m)
{
    size_t n = 0;

    for (uint32_t k = first; k < FAKE_CHUNKS_PER_FILE && k - first < count; k++) {
        if (f->chunks[k].id == 0)
            continue;
        dfs__chunk_ref__init(&m->refs[n]);
        m->refs[n].index = k;
        m->refs[n].chunk_id = f->chunks[k].id;
        m->refs[n].pg = f->chunks[k].pg;
        m->refs[n].materialized = f->chunks[k].materialized;
        m->pointers[n] = &m->refs[n];
        n++;
    }
    return n;
}

static void fill_entry(struct fake_file *f, struct reply_memory *m)
{
    f->attr.trunc_pending = f->tail.chunk_id != 0 ? &f->tail : NULL;
    m->reply.result_case = DFS__META_REPLY__RESULT_ENTRY;
    m->reply.entry = &m->entry;
    m->entry.attr = &f->attr;
}

static void fill_content(struct fake_file *f, uint64_t known, struct reply_memory *m)
{
    if (f->attr.is_inline) {
        if (known == f->attr.data_version)
            return;
        m->entry.has_inline = true;
        m->entry.inline_data = (ProtobufCBinaryData){f->inline_len, f->inline_bytes};
        return;
    }
    m->entry.n_chunks = fill_refs(f, 0, FAKE_CHUNKS_PER_FILE, m);
    m->entry.chunks = m->pointers;
}

static int do_commit(struct cluster *c, struct fake_file *f, const Dfs__CommitOp *op)
{
    uint64_t size = MAX(f->attr.size, op->end);

    c->commits++;
    c->last_commit = *op;
    if (c->fail_commit != 0) {
        int r = c->fail_commit;

        c->fail_commit = 0;
        return r;
    }
    if (op->set_inline && f->attr.chunk_count > 0)
        return -EAGAIN;
    if (f->attr.is_inline && !op->clear_inline && op->n_materialized > 0)
        return -EAGAIN;
    if ((op->set_inline || (f->attr.is_inline && !op->clear_inline)) && size > INLINE_MAX)
        return -EAGAIN;
    if (size > f->attr.size && f->tail.chunk_id != 0)
        return -EAGAIN;
    for (size_t k = 0; k < op->n_materialized; k++)
        f->chunks[op->materialized[k]].materialized = true;
    f->attr.size = size;
    if (op->set_inline) {
        f->attr.is_inline = true;
        f->inline_len = op->inline_data.len;
        memcpy(f->inline_bytes, op->inline_data.data, op->inline_data.len);
    } else if (op->clear_inline) {
        f->attr.is_inline = false;
    }
    if (op->mtime_ns != 0)
        f->attr.mtime_ns = op->mtime_ns;
    f->attr.data_version++;
    return 0;
}

static int do_truncate(struct cluster *c, struct fake_file *f, uint64_t size)
{
    uint32_t whole = (uint32_t)((size + CHUNK_SIZE - 1) / CHUNK_SIZE);
    uint32_t last = (uint32_t)(size / CHUNK_SIZE);

    c->truncates++;
    if (size > f->attr.size && (f->tail.chunk_id != 0 || (f->attr.is_inline && size > INLINE_MAX)))
        return -EAGAIN;
    if (size < f->attr.size) {
        f->tail.chunk_id = 0;
        if (f->attr.is_inline) {
            f->attr.is_inline = size > 0;
            f->inline_len = MIN(f->inline_len, (size_t)size);
        } else if (size % CHUNK_SIZE != 0 && f->chunks[last].id != 0 &&
                   f->chunks[last].materialized) {
            f->tail.chunk_id = f->chunks[last].id;
            f->tail.pg = f->chunks[last].pg;
            f->tail.from = (uint32_t)(size % CHUNK_SIZE);
        }
        for (uint32_t k = whole; k < FAKE_CHUNKS_PER_FILE; k++) {
            if (f->chunks[k].id == 0)
                continue;
            f->chunks[k].id = 0;
            f->chunks[k].materialized = false;
            f->attr.chunk_count--;
        }
    }
    f->attr.size = size;
    f->attr.data_version++;
    f->attr.mtime_ns = c->wall_ns;
    return 0;
}

static void do_alloc(struct cluster *c, struct fake_file *f, const Dfs__AllocOp *op)
{
    c->allocs++;
    for (uint32_t k = op->first_index; k < op->first_index + op->count; k++) {
        assert_true(k < FAKE_CHUNKS_PER_FILE);
        if (f->chunks[k].id != 0)
            continue;
        f->chunks[k].id = c->next_chunk++;
        f->chunks[k].pg = (uint32_t)(f->chunks[k].id % FAKE_PGS);
        f->attr.chunk_count++;
    }
}

static void answer_layout(struct fake_file *f, uint32_t first, uint32_t count,
                          struct reply_memory *m)
{
    m->reply.result_case = DFS__META_REPLY__RESULT_LAYOUT;
    m->reply.layout = &m->layout;
    m->layout.n_chunks = fill_refs(f, first, count, m);
    m->layout.chunks = m->pointers;
    m->layout.size = f->attr.size;
    m->layout.data_version = f->attr.data_version;
}

static int take_fault(int *fault)
{
    int r = *fault;

    *fault = 0;
    return r;
}

static uint64_t ino_of(struct cluster *c, const Dfs__MetaRequest *req)
{
    switch (req->op_case) {
    case DFS__META_REQUEST__OP_OPEN:
        return req->open->ino;
    case DFS__META_REQUEST__OP_CREATE:
        return cluster_add_file(c, 0)->ino;
    case DFS__META_REQUEST__OP_COMMIT:
        return req->commit->ino;
    case DFS__META_REQUEST__OP_ALLOC:
        return req->alloc->ino;
    case DFS__META_REQUEST__OP_LAYOUT:
        return req->layout->ino;
    case DFS__META_REQUEST__OP_TRUNCATE:
        return req->truncate->ino;
    case DFS__META_REQUEST__OP_TRUNC_DONE:
        return req->trunc_done->ino;
    default:
        return 0;
    }
}

static void do_closes(struct cluster *c, const Dfs__CloseOp *op)
{
    for (size_t k = 0; k < op->n_inos; k++) {
        struct fake_file *f = cluster_file(c, (struct ino){op->inos[k]});

        assert_true(f != NULL && f->opens > 0);
        f->opens--;
        c->closes++;
    }
}

void nn_call(struct nn *nn, struct ll_call *call, Dfs__MetaRequest *req, nn_reply_fn fn, void *ctx)
{
    struct cluster *c = cluster_of(nn);
    struct fake_file *f = cluster_file(c, (struct ino){ino_of(c, req)});
    struct reply_memory m = {0};
    int status = 0;

    (void)call;
    dfs__meta_reply__init(&m.reply);
    dfs__entry_reply__init(&m.entry);
    dfs__layout_reply__init(&m.layout);
    assert_non_null(req->cred);
    if (req->op_case == DFS__META_REQUEST__OP_CLOSE) {
        do_closes(c, req->close);
    } else if (f == NULL || f->gone) {
        status = -ENOENT;
    } else if (req->op_case == DFS__META_REQUEST__OP_OPEN ||
               req->op_case == DFS__META_REQUEST__OP_CREATE) {
        bool create = req->op_case == DFS__META_REQUEST__OP_CREATE;

        c->opens += !create;
        c->creates += create;
        f->opens++;
        fill_entry(f, &m);
        m.entry.created = create;
        fill_content(f, create ? 0 : req->open->known_data_version, &m);
    } else if (req->op_case == DFS__META_REQUEST__OP_COMMIT) {
        status = do_commit(c, f, req->commit);
        fill_entry(f, &m);
    } else if (req->op_case == DFS__META_REQUEST__OP_ALLOC) {
        status = take_fault(&c->fail_alloc);
        if (status == 0) {
            do_alloc(c, f, req->alloc);
            answer_layout(f, req->alloc->first_index, req->alloc->count, &m);
        }
    } else if (req->op_case == DFS__META_REQUEST__OP_LAYOUT) {
        c->layouts++;
        answer_layout(f, req->layout->first_index, req->layout->count, &m);
    } else if (req->op_case == DFS__META_REQUEST__OP_TRUNCATE) {
        status = take_fault(&c->fail_truncate);
        if (status == 0)
            status = do_truncate(c, f, req->truncate->size);
        fill_entry(f, &m);
    } else if (req->op_case == DFS__META_REQUEST__OP_TRUNC_DONE) {
        c->trunc_dones++;
        assert_int_equal(f->tail.chunk_id, req->trunc_done->chunk_id);
        f->tail.chunk_id = 0;
        fill_entry(f, &m);
    } else {
        fail_msg("the data path asked for something else");
    }
    m.reply.status = status;
    if (status < 0)
        m.reply.result_case = DFS__META_REPLY__RESULT__NOT_SET;
    queue_answer(c, &m.reply.base, fn, NULL, ctx);
}

void nn_call_raw(struct nn *nn, uint16_t type, const ProtobufCMessage *body, nn_raw_fn fn,
                 void *ctx)
{
    struct cluster *c = cluster_of(nn);
    Dfs__MapReply reply = DFS__MAP_REPLY__INIT;
    Dfs__Pg pgs[FAKE_PGS], *pg_pointers[FAKE_PGS];
    Dfs__PgMember members[FAKE_PGS][FAKE_DNS], *member_pointers[FAKE_PGS][FAKE_DNS];
    Dfs__TargetInfo targets[FAKE_DNS], *target_pointers[FAKE_DNS];
    char host[] = "somewhere";

    (void)body;
    assert_int_equal(type, MSG_CLUSTER_MAP);
    c->maps++;
    reply.version = c->map_version;
    reply.n_pgs = FAKE_PGS;
    reply.pgs = pg_pointers;
    for (uint32_t k = 0; k < FAKE_PGS; k++) {
        fill_pg(c, k, &pgs[k], members[k], member_pointers[k]);
        pg_pointers[k] = &pgs[k];
    }
    reply.n_targets = FAKE_DNS;
    reply.targets = target_pointers;
    for (uint32_t k = 0; k < FAKE_DNS; k++) {
        dfs__target_info__init(&targets[k]);
        targets[k].target = k + 1;
        targets[k].addr = c->dns[k].addr;
        targets[k].host = host;
        targets[k].alive = true;
        target_pointers[k] = &targets[k];
    }
    queue_answer(c, &reply.base, NULL, fn, ctx);
}

uint64_t nn_session(const struct nn *nn)
{
    return cluster_of(nn)->session;
}

const uint8_t *nn_data_token(const struct nn *nn)
{
    static const uint8_t token[32];

    (void)nn;
    return token;
}

const uint8_t *nn_cluster_uuid(const struct nn *nn)
{
    static const uint8_t uuid[16];

    (void)nn;
    return uuid;
}

int64_t nn_wall_ns(const struct nn *nn)
{
    return cluster_of(nn)->wall_ns;
}

/* ---- what others see and do ---- */

void cluster_content(struct cluster *c, struct ino ino, uint8_t *out, size_t len)
{
    struct fake_file *f = cluster_file(c, ino);

    memset(out, 0, len);
    if (f->attr.is_inline)
        memcpy(out, f->inline_bytes, MIN(len, f->inline_len));
    for (uint32_t k = 0; !f->attr.is_inline && k < FAKE_CHUNKS_PER_FILE; k++) {
        uint64_t from = (uint64_t)k * CHUNK_SIZE;
        const struct fake_chunk *chunk;

        if (f->chunks[k].id == 0 || !f->chunks[k].materialized || from >= len)
            continue;
        chunk = get_chunk(c, f->chunks[k].id);
        if (chunk->len > 0)
            memcpy(out + from, chunk->bytes, MIN(len - from, (size_t)chunk->len));
    }
}

void cluster_foreign_write(struct cluster *c, struct ino ino, uint64_t offset, const void *bytes,
                           size_t len)
{
    struct fake_file *f = cluster_file(c, ino);
    const Dfs__AllocOp alloc = {.first_index = (uint32_t)(offset / CHUNK_SIZE), .count = 1};

    if (offset + len <= INLINE_MAX && f->attr.chunk_count == 0) {
        if (!f->attr.is_inline)
            memset(f->inline_bytes, 0, sizeof(f->inline_bytes));
        f->attr.is_inline = true;
        memcpy(f->inline_bytes + offset, bytes, len);
        f->inline_len = MAX(f->inline_len, offset + len);
    } else {
        do_alloc(c, f, &alloc);
        c->allocs--;
        f->chunks[alloc.first_index].materialized = true;
        chunk_write(get_chunk(c, f->chunks[alloc.first_index].id), (uint32_t)(offset % CHUNK_SIZE),
                    bytes, (uint32_t)len);
    }
    f->attr.size = MAX(f->attr.size, offset + len);
    f->attr.data_version++;
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
    while (c->answers != NULL) {
        struct nn_answer *a = c->answers;

        LL_DELETE(c->answers, a);
        free(a->packed);
        free(a);
    }
    HASH_ITER (hh, c->chunks, k, ktmp) {
        HASH_DEL(c->chunks, k);
        free(k->bytes);
        free(k);
    }
    HASH_ITER (hh, c->files, f, ftmp) {
        HASH_DEL(c->files, f);
        free(f);
    }
    loop_cancel(c->loop, deliver_all, c);
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
