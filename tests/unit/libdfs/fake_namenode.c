/* The namenode of the fake cluster: the functions of libdfs/nn.h, and what other clients do. */
#include "tests/unit/libdfs/fake_cluster.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <utlist.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"
#include "libdfs/nn.h"
#include "rpc/frame.h"

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

void fake_drop_answers(struct cluster *c)
{
    while (c->answers != NULL) {
        struct nn_answer *a = c->answers;

        LL_DELETE(c->answers, a);
        free(a->packed);
        free(a);
    }
    loop_cancel(c->loop, deliver_all, c);
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
    if (op->kill_suid)
        f->attr.mode &= ~(uint32_t)(S_ISUID | S_ISGID);
    else
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
            f->tail.version = c->old_marks ? 0 : f->attr.data_version + 1;
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

/* As op_trunc_done() of the namenode. */
static int do_trunc_done(struct cluster *c, struct fake_file *f, const Dfs__TruncDoneOp *op)
{
    c->trunc_dones++;
    c->last_done_version = op->version;
    if (op->version == 0 && (f->tail.chunk_id != op->chunk_id || f->tail.from != op->from))
        return -EAGAIN;
    if (op->version == f->tail.version)
        f->tail.chunk_id = 0;
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
    case DFS__META_REQUEST__OP_GETATTR:
        return req->getattr->ino;
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
    } else if (req->op_case == DFS__META_REQUEST__OP_GETATTR) {
        c->getattrs++;
        fill_entry(f, &m);
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
        status = do_trunc_done(c, f, req->trunc_done);
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
        fake_fill_pg(c, k, &pgs[k], members[k], member_pointers[k]);
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
        chunk = fake_chunk_get(c, f->chunks[k].id);
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
        fake_chunk_write(fake_chunk_get(c, f->chunks[alloc.first_index].id),
                         (uint32_t)(offset % CHUNK_SIZE), bytes, (uint32_t)len);
    }
    f->attr.size = MAX(f->attr.size, offset + len);
    f->attr.data_version++;
}
