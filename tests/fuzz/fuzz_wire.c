/*
 * What a datanode makes of messages that protobuf has let through: operations with their payload,
 * configurations of placement groups, states of chunks. What is accepted lies within the limits,
 * and, encoded and decoded again, is the same.
 *
 *   1 byte: kind | an operation: 1 byte: mend | 2 bytes: length of the message | message | payload
 *                | else: message
 *
 * mend & 1: the payload is data alone; length and CRCs are made right for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/limits.h"
#include "common/slab.h"
#include "datanode/wire.h"
#include "tests/fuzz/target.h"

enum { CRCS_MAX = CHUNK_OP_MAX / CHUNK_BLOCK_SIZE + 1 };

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* ---- operations ---- */

/* In a piece of its exact size, so that a sanitizer sees reads past the end. */
struct payload_bytes {
    uint8_t *bytes;
    size_t len;
};

static struct payload_bytes payload_of(const uint8_t *bytes, size_t len)
{
    struct payload_bytes p = {.bytes = malloc(len > 0 ? len : 1), .len = len};

    check(p.bytes != NULL);
    if (len > 0)
        memcpy(p.bytes, bytes, len);
    return p;
}

/* Makes the message say what the data is. */
static struct payload_bytes payload_mended(Dfs__ChunkOp *m, const uint8_t *bytes, size_t len)
{
    struct payload_bytes p;
    uint32_t at = 0;

    m->len = (uint32_t)MIN(len, (size_t)CHUNK_OP_MAX);
    m->offset %= CHUNK_SIZE;
    if (m->len > CHUNK_SIZE - m->offset)
        m->len = CHUNK_SIZE - m->offset;
    m->crc_count = wire_block_count(m->offset, m->len);
    p.len = m->crc_count * sizeof(uint32_t) + m->len;
    p.bytes = malloc(p.len > 0 ? p.len : 1);
    check(p.bytes != NULL && m->crc_count <= CRCS_MAX);
    for (uint32_t i = 0; i < m->crc_count; i++) {
        uint32_t room = CHUNK_BLOCK_SIZE - (m->offset + at) % CHUNK_BLOCK_SIZE;
        uint32_t n = MIN(room, m->len - at);

        put_le32(p.bytes + i * sizeof(uint32_t), crc32c(bytes + at, n));
        at += n;
    }
    check(at == m->len);
    if (m->len > 0)
        memcpy(p.bytes + m->crc_count * sizeof(uint32_t), bytes, m->len);
    return p;
}

static void check_limits(const struct chain_op *op)
{
    bool has_data = op->kind == CHAIN_WRITE || op->kind == CHAIN_REPAIR;

    check(op->kind >= CHAIN_WRITE && op->kind <= CHAIN_REPAIR);
    if (has_data) {
        check(op->len > 0 && op->len <= CHUNK_OP_MAX && op->chunk.v != 0);
        check((uint64_t)op->offset + op->len <= CHUNK_SIZE);
        check(op->crc_count == wire_block_count(op->offset, op->len) ||
              (op->kind == CHAIN_REPAIR && op->crc_count == 0));
    } else {
        check(op->len == 0 && op->crc_count == 0 && op->payload == NULL);
    }
    if (op->kind == CHAIN_WRITE || op->kind == CHAIN_TRUNC || op->kind == CHAIN_SYNC)
        check(op->session.v != 0 && op->opseq != 0 && op->floor <= op->opseq);
    else
        check(op->opseq == 0);
    if (op->kind == CHAIN_TRUNC)
        check(op->chunk.v != 0 && op->offset <= CHUNK_SIZE);
    for (uint32_t i = 0; i < op->chunk_count && op->kind == CHAIN_DELETE; i++)
        check(op->chunks[i] != 0);
}

static void check_same(const struct chain_op *a, const struct chain_op *b)
{
    check(a->kind == b->kind && a->first_epoch == b->first_epoch &&
          ID_EQUAL(a->session, b->session));
    check(a->opseq == b->opseq && a->floor == b->floor && ID_EQUAL(a->chunk, b->chunk));
    check(a->offset == b->offset && a->len == b->len && a->sync == b->sync);
    check(a->since_epoch == b->since_epoch && a->fence_version == b->fence_version);
    check(a->chunk_count == b->chunk_count && a->crc_count == b->crc_count);
    check(a->chunk_count == 0 ||
          memcmp(a->chunks, b->chunks, a->chunk_count * sizeof(*a->chunks)) == 0);
    check(a->crc_count == 0 || (memcmp(a->crcs, b->crcs, a->crc_count * sizeof(*a->crcs)) == 0 &&
                                memcmp(a->data, b->data, a->len) == 0));
}

/* As the next member of the chain gets it. */
static void pass_on(const struct chain_op *op, struct slab *slab)
{
    static const struct pg_id pg = {7};
    Dfs__ChunkOp msg, *back;
    struct rpc_payload payload;
    struct rpc_frame f = {.data = slab};
    struct chain_op *again;
    struct payload_bytes p = {0};
    uint8_t *packed, *at;
    size_t len;

    wire_op_to(op, pg, 9, &msg);
    len = dfs__chunk_op__get_packed_size(&msg);
    packed = malloc(len + 1);
    check(packed != NULL && dfs__chunk_op__pack(&msg, packed) == len);
    back = dfs__chunk_op__unpack(NULL, len, packed);
    free(packed);
    check(back != NULL && back->pg == pg.v && back->epoch == 9);

    wire_op_payload(op, &payload);
    for (unsigned i = 0; i < payload.part_count; i++)
        p.len += payload.parts[i].len;
    p.bytes = at = malloc(p.len > 0 ? p.len : 1);
    check(at != NULL);
    for (unsigned i = 0; i < payload.part_count; i++) {
        memcpy(at, payload.parts[i].bytes, payload.parts[i].len);
        at += payload.parts[i].len;
    }
    f.data_bytes = p.bytes;
    f.header.data_len = (uint32_t)p.len;
    check(wire_op_from(back, &f, &again) == 0);
    check_same(op, again);
    check(wire_op_check_crcs(op) == wire_op_check_crcs(again));
    chain_op_unref(again);
    dfs__chunk_op__free_unpacked(back, NULL);
    free(p.bytes);
}

/* The same bytes, as a repair from our own disk would carry them. */
static void pass_on_own(const struct chain_op *op, struct slab *slab)
{
    CLEANUP(chain_op) struct chain_op *own = NULL;

    if (op->crc_count == 0 || op->kind != CHAIN_REPAIR)
        return;
    own = chain_op_new(op->kind);
    own->chunk = op->chunk;
    own->offset = op->offset;
    wire_op_set_payload(own, slab, op->data, op->len, op->crcs);
    check(wire_op_slab(own) == slab);
    pass_on(own, slab);
}

static void fuzz_op(struct slab_pool *slabs, const uint8_t *bytes, size_t size)
{
    struct rpc_frame f = {0};
    struct chain_op *op = NULL;
    struct payload_bytes p;
    Dfs__ChunkOp *m;
    bool mend;
    size_t len;

    if (size < 3)
        return;
    mend = bytes[0] & 1;
    len = MIN((size_t)get_le16(bytes + 1), size - 3);
    m = dfs__chunk_op__unpack(NULL, len, bytes + 3);
    if (m == NULL)
        return;
    bytes += 3 + len;
    size = MIN(size - 3 - len, (size_t)FRAME_DATA_MAX);
    p = mend ? payload_mended(m, bytes, size) : payload_of(bytes, size);
    if (p.len > 0) {
        f.data = slab_alloc(slabs, CHUNK_BLOCK_SIZE);
        f.data_bytes = p.bytes;
    }
    f.header.data_len = (uint32_t)p.len;
    if (wire_op_from(m, &f, &op) == 0) {
        check_limits(op);
        if (mend && op->crc_count > 0) {
            check(wire_op_check_crcs(op) == 0);
            p.bytes[p.len - 1] ^= 1;
            check(wire_op_check_crcs(op) == -EBADMSG);
            p.bytes[p.len - 1] ^= 1;
        }
        pass_on(op, f.data);
        pass_on_own(op, f.data);
        chain_op_unref(op);
    } else {
        check(op == NULL);
    }
    slab_unref(f.data);
    dfs__chunk_op__free_unpacked(m, NULL);
    free(p.bytes);
}

/* ---- configurations ---- */

static void check_config(const struct chain_config *c)
{
    unsigned heads = 0, tails = 0, serving = 0;

    check(chain_config_check(c) == 0);
    for (uint32_t i = 0; i < c->member_count; i++) {
        const struct chain_member *m = &c->members[i];
        struct chain_place place;

        chain_config_place(c, m->target, m->incarnation, &place);
        check((place.role == CHAIN_OUT) == (m->state == MEMBER_OFFLINE));
        heads += place.is_head;
        tails += place.is_tail;
        serving += m->state == MEMBER_SERVING;
        check(!place.is_head || chain_config_head(c).v == m->target.v);
    }
    check(heads == (serving > 0) && tails == (serving > 0));
    check(!chain_config_writable(c) || serving > 0);
}

static void check_same_config(const struct chain_config *a, const struct chain_config *b)
{
    check(ID_EQUAL(a->pg, b->pg) && a->epoch == b->epoch && a->cold_epoch == b->cold_epoch);
    check(a->reset_epoch == b->reset_epoch && a->fence_version == b->fence_version);
    check(a->copies == b->copies && a->min_write == b->min_write);
    check(a->member_count == b->member_count);
    for (uint32_t i = 0; i < a->member_count; i++) {
        const struct chain_member *m = &a->members[i], *n = &b->members[i];

        check(ID_EQUAL(m->target, n->target) && m->incarnation == n->incarnation);
        check(m->state == n->state && m->last_serving_epoch == n->last_serving_epoch);
    }
}

static void fuzz_config(const uint8_t *bytes, size_t size)
{
    Dfs__Pg *m = dfs__pg__unpack(NULL, size, bytes);
    struct chain_config c, again;

    if (m == NULL)
        return;
    if (wire_config_from(m, &c) == 0) {
        struct wire_pg out;
        uint8_t *packed;
        Dfs__Pg *back;
        size_t len;

        check_config(&c);
        wire_config_to(&c, &out);
        len = dfs__pg__get_packed_size(&out.pg);
        packed = malloc(len + 1);
        check(packed != NULL && dfs__pg__pack(&out.pg, packed) == len);
        back = dfs__pg__unpack(NULL, len, packed);
        check(back != NULL && wire_config_from(back, &again) == 0);
        check_same_config(&c, &again);
        dfs__pg__free_unpacked(back, NULL);
        free(packed);
    }
    dfs__pg__free_unpacked(m, NULL);
}

/* ---- chunks ---- */

static void fuzz_state(const uint8_t *bytes, size_t size)
{
    Dfs__ChunkState *m = dfs__chunk_state__unpack(NULL, size, bytes);
    struct chunk_state s;

    if (m == NULL)
        return;
    if (wire_state_from(m, &s) == 0)
        check(s.id.v == m->chunk_id && s.id.v != 0 && s.len <= CHUNK_SIZE && s.flags == m->flags &&
              s.ver.epoch == m->ver_epoch && s.ver.seq == m->ver_seq);
    dfs__chunk_state__free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slab_pool *slabs;

    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        slabs = slab_pool_new(0);
        fuzz_op(slabs, data + 1, size - 1);
        slab_pool_free(slabs); /* Asserts that no reference was forgotten. */
        break;
    case 1:
        fuzz_config(data + 1, size - 1);
        break;
    case 2:
        fuzz_state(data + 1, size - 1);
        break;
    }
    return 0;
}
