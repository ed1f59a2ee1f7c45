#include "datanode/wire.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/crc32c.h"
#include "common/error.h"
#include "common/mem.h"
#include "common/slab.h"

/* A write of CHUNK_OP_MAX may begin and end inside blocks. */
enum { OP_CRCS_MAX = CHUNK_OP_MAX / CHUNK_BLOCK_SIZE + 1 };

struct payload {
    struct slab *slab;
    const uint8_t *wire; /* CRCs and data in one piece, as they came; NULL: not of one piece */
    uint32_t crcs[OP_CRCS_MAX];
};

/* ---- configurations ---- */

int wire_config_from(const Dfs__Pg *m, struct chain_config *ret_config)
{
    struct chain_config c = {
        .pg = {m->pg},
        .epoch = m->epoch,
        .cold_epoch = m->cold_epoch,
        .reset_epoch = m->reset_epoch,
        .fence_version = m->fence_version,
        .copies = m->copies,
        .min_write = m->min_write,
    };
    int r;

    if (m->n_members > PG_MEMBERS_MAX)
        return DFS_EPROTO;
    for (size_t i = 0; i < m->n_members; i++)
        c.members[i] = (struct chain_member){
            .target = {m->members[i]->target},
            .incarnation = m->members[i]->incarnation,
            .state = (enum member_state)m->members[i]->state,
            .last_serving_epoch = m->members[i]->last_serving_epoch,
        };
    c.member_count = (uint32_t)m->n_members;
    r = chain_config_check(&c);
    if (r < 0)
        return r;
    *ret_config = c;
    return 0;
}

void wire_config_to(const struct chain_config *c, struct wire_pg *ret_pg)
{
    dfs__pg__init(&ret_pg->pg);
    ret_pg->pg.pg = c->pg.v;
    ret_pg->pg.epoch = c->epoch;
    ret_pg->pg.cold_epoch = c->cold_epoch;
    ret_pg->pg.reset_epoch = c->reset_epoch;
    ret_pg->pg.fence_version = c->fence_version;
    ret_pg->pg.copies = c->copies;
    ret_pg->pg.min_write = c->min_write;
    for (uint32_t i = 0; i < c->member_count; i++) {
        Dfs__PgMember *m = &ret_pg->members[i];

        dfs__pg_member__init(m);
        m->target = c->members[i].target.v;
        m->incarnation = c->members[i].incarnation;
        m->state = (Dfs__MemberState)c->members[i].state;
        m->last_serving_epoch = c->members[i].last_serving_epoch;
        ret_pg->pointers[i] = m;
    }
    ret_pg->pg.members = ret_pg->pointers;
    ret_pg->pg.n_members = c->member_count;
}

/* ---- operations ---- */

uint32_t wire_block_count(uint32_t offset, uint32_t len)
{
    if (len == 0)
        return 0;
    return (offset + len - 1) / CHUNK_BLOCK_SIZE - offset / CHUNK_BLOCK_SIZE + 1;
}

static void payload_free(void *p)
{
    struct payload *payload = p;

    slab_unref(payload->slab);
    free(payload);
}

static bool is_from_session(enum chain_op_kind kind)
{
    return kind == CHAIN_WRITE || kind == CHAIN_TRUNC || kind == CHAIN_SYNC;
}

static int check_data_range(const Dfs__ChunkOp *m, const struct rpc_frame *f)
{
    uint64_t bytes = (uint64_t)m->crc_count * sizeof(uint32_t) + m->len;
    bool is_request = m->kind == DFS__CHUNK_OP_KIND__CHUNK_OP_REPAIR && m->crc_count == 0;

    if (is_request) /* To the head: find good bytes. */
        return m->chunk_id == 0 || m->len == 0 || m->len > CHUNK_OP_MAX ||
                       m->offset % CHUNK_BLOCK_SIZE != 0 || m->len % CHUNK_BLOCK_SIZE != 0 ||
                       (uint64_t)m->offset + m->len > CHUNK_SIZE || f->header.data_len != 0
                   ? DFS_EPROTO
                   : 0;
    if (m->chunk_id == 0 || m->len == 0 || m->len > CHUNK_OP_MAX ||
        (uint64_t)m->offset + m->len > CHUNK_SIZE ||
        m->crc_count != wire_block_count(m->offset, m->len) || f->header.data_len != bytes)
        return DFS_EPROTO;
    if (m->kind == DFS__CHUNK_OP_KIND__CHUNK_OP_REPAIR &&
        (m->offset % CHUNK_BLOCK_SIZE != 0 || m->len % CHUNK_BLOCK_SIZE != 0))
        return DFS_EPROTO;
    return 0;
}

static int check_op(const Dfs__ChunkOp *m, const struct rpc_frame *f)
{
    switch (m->kind) {
    case DFS__CHUNK_OP_KIND__CHUNK_OP_WRITE:
    case DFS__CHUNK_OP_KIND__CHUNK_OP_REPAIR:
        if (check_data_range(m, f) < 0)
            return DFS_EPROTO;
        break;
    case DFS__CHUNK_OP_KIND__CHUNK_OP_TRUNC:
        if (m->chunk_id == 0 || m->offset > CHUNK_SIZE || f->header.data_len != 0)
            return DFS_EPROTO;
        break;
    case DFS__CHUNK_OP_KIND__CHUNK_OP_SYNC:
    case DFS__CHUNK_OP_KIND__CHUNK_OP_DELETE:
        for (size_t i = 0; i < m->n_chunks; i++) {
            if (m->chunks[i] == 0)
                return DFS_EPROTO;
        }
        if (m->trunc_version != 0 && m->chunk_id == 0)
            return DFS_EPROTO;
        if (f->header.data_len != 0)
            return DFS_EPROTO;
        break;
    case DFS__CHUNK_OP_KIND__CHUNK_OP_FENCE:
        if (m->session == 0 || f->header.data_len != 0)
            return DFS_EPROTO;
        break;
    default: /* A kind that is not known here. */
        return DFS_EPROTO;
    }
    if (is_from_session((enum chain_op_kind)m->kind) &&
        (m->session == 0 || m->opseq == 0 || m->floor > m->opseq))
        return DFS_EPROTO;
    return 0;
}

static void take_payload(struct chain_op *op, const Dfs__ChunkOp *m, const struct rpc_frame *f)
{
    struct payload *p = MEM_NEW(struct payload);
    size_t crc_bytes = m->crc_count * sizeof(uint32_t);

    p->slab = slab_ref(f->data);
    p->wire = f->data_bytes;
    memcpy(p->crcs, f->data_bytes, crc_bytes);
    for (uint32_t i = 0; i < m->crc_count; i++)
        p->crcs[i] = le32toh(p->crcs[i]);
    op->payload = p;
    op->payload_free = payload_free;
    op->crcs = p->crcs;
    op->crc_count = m->crc_count;
    op->data = f->data_bytes + crc_bytes;
}

int wire_op_from(const Dfs__ChunkOp *m, const struct rpc_frame *f, struct chain_op **ret_op)
{
    struct chain_op *op;
    int r = check_op(m, f);

    if (r < 0)
        return r;
    op = chain_op_new((enum chain_op_kind)m->kind);
    op->first_epoch = m->first_epoch;
    op->session.v = m->session;
    if (is_from_session(op->kind)) {
        op->opseq = m->opseq;
        op->floor = m->floor;
    }
    op->chunk.v = m->chunk_id;
    op->offset = m->offset;
    op->sync = m->sync;
    op->since_epoch = m->since_epoch;
    op->fence_version = m->fence_version;
    if (op->kind == CHAIN_TRUNC || op->kind == CHAIN_SYNC)
        op->trunc_version = m->trunc_version;
    chain_op_set_chunks(op, m->chunks, m->n_chunks);
    if (op->kind == CHAIN_WRITE || op->kind == CHAIN_REPAIR) {
        op->len = m->len;
        if (m->crc_count > 0)
            take_payload(op, m, f);
    }
    *ret_op = op;
    return 0;
}

int wire_op_check_crcs(const struct chain_op *op)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < op->crc_count; i++) {
        uint32_t room = CHUNK_BLOCK_SIZE - (op->offset + at) % CHUNK_BLOCK_SIZE;
        uint32_t len = MIN(room, op->len - at);

        if (crc32c(op->data + at, len) != op->crcs[i])
            return -EBADMSG;
        at += len;
    }
    return 0;
}

void wire_op_to(const struct chain_op *op, struct pg_id pg, uint64_t epoch, Dfs__ChunkOp *ret_msg)
{
    dfs__chunk_op__init(ret_msg);
    ret_msg->kind = (Dfs__ChunkOpKind)op->kind;
    ret_msg->pg = pg.v;
    ret_msg->epoch = epoch;
    ret_msg->first_epoch = op->first_epoch;
    ret_msg->session = op->session.v;
    ret_msg->opseq = op->opseq;
    ret_msg->floor = op->floor;
    ret_msg->chunk_id = op->chunk.v;
    ret_msg->offset = op->offset;
    ret_msg->len = op->len;
    ret_msg->crc_count = op->crc_count;
    ret_msg->sync = op->sync;
    ret_msg->since_epoch = op->since_epoch;
    ret_msg->chunks = op->chunks;
    ret_msg->n_chunks = op->chunk_count;
    ret_msg->fence_version = op->fence_version;
    ret_msg->trunc_version = op->trunc_version;
}

void wire_op_payload(const struct chain_op *op, struct rpc_payload *ret_payload)
{
    const struct payload *p = op->payload;
    struct rpc_payload out = {.file_fd = -1};
    size_t crc_bytes = op->crc_count * sizeof(uint32_t);

    if (p != NULL && p->wire != NULL) {
        out.parts[0].bytes = p->wire;
        out.parts[0].len = crc_bytes + op->len;
        out.parts[0].slab = p->slab;
        out.part_count = 1;
    } else if (p != NULL) {
        _Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "CRCs are sent as they are in memory");
        out.parts[0].bytes = op->crcs;
        out.parts[0].len = crc_bytes;
        out.parts[1].bytes = op->data;
        out.parts[1].len = op->len;
        out.parts[1].slab = p->slab;
        out.part_count = 2;
    }
    *ret_payload = out;
}

void wire_op_set_payload(struct chain_op *op, struct slab *slab, const uint8_t *bytes, uint32_t len,
                         const uint32_t *crcs)
{
    struct payload *p = MEM_NEW(struct payload);

    p->slab = slab_ref(slab);
    op->crc_count = wire_block_count(op->offset, len);
    memcpy(p->crcs, crcs, op->crc_count * sizeof(*crcs));
    op->payload = p;
    op->payload_free = payload_free;
    op->crcs = p->crcs;
    op->data = bytes;
    op->len = len;
}

struct slab *wire_op_slab(const struct chain_op *op)
{
    const struct payload *p = op->payload;

    return p != NULL ? p->slab : NULL;
}

int wire_state_from(const Dfs__ChunkState *m, struct chunk_state *ret_state)
{
    if (m->chunk_id == 0 || m->len > CHUNK_SIZE)
        return DFS_EPROTO;
    *ret_state = (struct chunk_state){
        .id = {m->chunk_id},
        .flags = m->flags,
        .len = m->len,
        .ver = {m->ver_epoch, m->ver_seq},
        .trunc_version = m->trunc_version,
    };
    return 0;
}
