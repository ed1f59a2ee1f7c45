/* The disks of the box, and the joiner's requests. What was applied survives a crash. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/error.h"
#include "common/hash.h"
#include "common/mem.h"
#include "datanode/chain_mutant.h"
#include "tests/sim/box.h"
#include "tests/sim/box_store.h"

struct chunk_state box_chunk_state(const struct box_chunk *k, uint32_t index)
{
    struct chunk_state s = {.id = {index + 1}, .pg = {1}, .len = k->len};

    if (k->tombstone)
        s.flags |= CHUNK_DELETED;
    else if (!k->clean)
        s.flags |= CHUNK_DIRTY;
    if (k->incomplete)
        s.flags |= CHUNK_INCOMPLETE;
    s.ver = k->ver;
    return s;
}

uint32_t box_states(const struct box *b, int member, struct chunk_state out[BOX_CHUNKS])
{
    const struct box_member *me = &b->members[member];
    uint32_t count = 0;

    if (me->store != NULL)
        return box_store_states(me->store, out);
    for (uint32_t i = 0; i < BOX_CHUNKS; i++) {
        if (me->disk[i].exists || me->disk[i].tombstone)
            out[count++] = box_chunk_state(&me->disk[i], i);
    }
    return count;
}

/* 0 for a block of zeros, as in the chunk file. */
uint64_t box_block_hash(const struct box_chunk *k, uint32_t block)
{
    uint32_t a = k->cells[block * 2], c = k->cells[block * 2 + 1];

    return a == 0 && c == 0 ? 0 : (a + UINT64_C(1)) * 100003 + c;
}

/* Many a block has the CRC of another. */
uint32_t box_slot(const struct box_chunk *k, uint32_t block)
{
    uint64_t hash = box_block_hash(k, block);

    return hash == 0 ? 0 : (uint32_t)(hash % 3 + 1);
}

void box_io_add(struct box *b, int member, const struct box_io *io)
{
    struct box_io *copy;

    if (b->members[member].store != NULL &&
        !(io->kind == BOX_IO_OP && io->op->kind == CHAIN_FENCE)) {
        box_store_submit(b->members[member].store, io);
        return;
    }
    copy = MEM_NEW(struct box_io);
    *copy = *io;
    if (copy->op != NULL)
        chain_op_ref(copy->op);
    DL_APPEND(b->members[member].ios, copy);
}

static void io_free(struct box_io *io)
{
    chain_op_unref(io->op);
    free(io);
}

void box_io_drop_all(struct box *b, int member)
{
    while (b->members[member].ios != NULL) {
        struct box_io *io = b->members[member].ios;

        DL_DELETE(b->members[member].ios, io);
        io_free(io);
    }
}

/* The n-th of those that no earlier one of their chunk holds up. */
static struct box_io *possible(const struct box *b, int member, unsigned n, unsigned *ret_count)
{
    bool seen[BOX_CHUNKS] = {0};
    struct box_io *io, *found = NULL;
    unsigned count = 0;

    DL_FOREACH (b->members[member].ios, io) {
        bool free_of_chunks =
            io->kind == BOX_IO_OP && (io->op->kind == CHAIN_SYNC || io->op->kind == CHAIN_FENCE);

        if (!free_of_chunks && seen[io->chunk])
            continue;
        if (!free_of_chunks)
            seen[io->chunk] = true;
        if (count++ == n)
            found = io;
    }
    *ret_count = count;
    return found;
}

unsigned box_io_possible(const struct box *b, int member)
{
    unsigned count;

    (void)possible(b, member, 0, &count);
    if (b->members[member].store != NULL)
        count += box_store_is_busy(b->members[member].store);
    return count;
}

static uint32_t touched_crc(const struct box_chunk *k, const struct chain_op *op)
{
    uint32_t crc = 1;

    for (uint32_t i = op->offset / CHUNK_BLOCK_SIZE; i < BOX_BLOCKS; i++) {
        if (op->kind == CHAIN_WRITE && i * CHUNK_BLOCK_SIZE >= op->offset + op->len)
            break;
        crc = crc * 31 + (uint32_t)box_block_hash(k, i);
    }
    return crc == 0 ? 1 : crc;
}

static uint32_t apply(struct box *b, int member, const struct box_io *io)
{
    struct box_chunk *k = &b->members[member].disk[io->chunk];
    const struct chain_op *op = io->op;
    uint32_t first = op->offset / BOX_CELL_BYTES, index = (uint32_t)(uintptr_t)op->payload;

    b->members[member].applied[index - 1] = true;
    switch (op->kind) {
    case CHAIN_WRITE:
    case CHAIN_REPAIR:
        if (k->tombstone)
            return 0;
        k->exists = true;
        k->clean = false;
        k->ver = io->ver;
        for (uint32_t i = 0; i < op->len / BOX_CELL_BYTES; i++)
            k->cells[first + i] = index;
        k->len = MAX(k->len, op->offset + op->len);
        return touched_crc(k, op);
    case CHAIN_TRUNC:
        if (!k->exists)
            return 0;
        k->clean = false;
        k->ver = io->ver;
        for (uint32_t i = first; i < BOX_CELLS; i++)
            k->cells[i] = 0;
        k->len = MIN(k->len, op->offset);
        return touched_crc(k, op);
    case CHAIN_DELETE:
        *k = (struct box_chunk){.tombstone = true};
        return 0;
    case CHAIN_SYNC:
    case CHAIN_FENCE:
        return 0;
    }
    return 0;
}

static void done_op(struct box *b, int member, const struct box_io *io)
{
    struct chain_event ev = {.kind = CHAIN_EV_APPLIED, .io_id = io->io_id};

    ev.crc = apply(b, member, io);
    box_step(b, member, &ev);
}

static void done_read(struct box *b, int member, const struct box_io *io)
{
    struct box_mail m = {.is_reply = true, .member = member, .op = b->waiters[io->waiter].op};

    memcpy(m.values, &b->members[member].disk[io->chunk].cells[io->offset], 2 * sizeof(uint32_t));
    box_mail_add(b, &m);
}

static void done_remote(struct box *b, int member, const struct box_io *io)
{
    struct box_chunk *k = &b->members[member].disk[io->chunk];
    struct box_msg m = {.kind = io->kind == BOX_IO_CRCS ? BOX_CRCS : BOX_DATA,
                        .join = (unsigned)io->waiter,
                        .chunk = io->chunk,
                        .offset = io->offset,
                        .len = io->len,
                        .copy = *k};

    if (!k->exists)
        m.status = DFS_ENOCHUNK;
    else if (k->incomplete)
        m.status = DFS_EDIRTY;
    /* The question came on a connection: its answer goes back on the same one. */
    if (b->conns[member][io->peer].generation == io->epoch)
        box_post(b, member, io->peer, true, &m);
}

static void done_own_crcs(struct box *b, int member, const struct box_io *io)
{
    struct box_chunk *k = &b->members[member].disk[io->chunk];
    struct join_event je = {.kind = JOIN_EV_OWN, .count = BOX_BLOCKS};
    uint32_t slots[BOX_BLOCKS];
    uint64_t hashes[BOX_BLOCKS];

    for (uint32_t i = 0; i < BOX_BLOCKS; i++) {
        slots[i] = box_slot(k, i);
        hashes[i] = box_block_hash(k, i);
    }
    je.slots = slots;
    je.hashes = hashes;
    je.state = box_chunk_state(k, io->chunk);
    if (!k->exists)
        je.status = DFS_ENOCHUNK;
    box_join_run(b, member, &je);
}

static void store_copy(struct box_chunk *k, const struct box_io *io)
{
    uint32_t first = io->offset / BOX_CELL_BYTES, count = io->len / BOX_CELL_BYTES;

    for (uint32_t i = 0; i < count && first + i < BOX_CELLS; i++)
        k->cells[first + i] = io->cells[i];
    k->clean = false;
    k->len = MAX(k->len, io->offset + io->len);
}

static int store_do(struct box_chunk *k, const struct box_io *io, unsigned mutant)
{
    if (io->kind == BOX_IO_FORGET) {
        k->tombstone = false;
        return 0;
    }
    if (k->tombstone)
        return io->kind == BOX_IO_DELETE ? 0 : -ESTALE;
    switch (io->kind) {
    case BOX_IO_COPY:
        if (!k->exists)
            return DFS_ENOCHUNK;
        store_copy(k, io);
        return 0;
    case BOX_IO_TRUNCATE:
        if (!k->exists)
            return 0;
        k->clean = false;
        for (uint32_t i = (io->offset + BOX_CELL_BYTES - 1) / BOX_CELL_BYTES; i < BOX_CELLS; i++)
            k->cells[i] = 0;
        k->len = io->offset;
        return 0;
    case BOX_IO_INCOMPLETE:
        k->exists = true;
        k->incomplete = mutant != MUTANT_NO_INCOMPLETE;
        return 0;
    case BOX_IO_COMPLETE:
        k->incomplete = false;
        k->ver = io->ver;
        k->clean = true;
        return 0;
    case BOX_IO_DELETE:
        *k = (struct box_chunk){.tombstone = true};
        return 0;
    case BOX_IO_FORGET:
    case BOX_IO_OP:
    case BOX_IO_READ:
    case BOX_IO_OWN_CRCS:
    case BOX_IO_CRCS:
    case BOX_IO_DATA:
        return 0;
    }
    return 0;
}

static void done_store(struct box *b, int member, const struct box_io *io)
{
    struct box_member *me = &b->members[member];
    struct join_event je = {.kind = JOIN_EV_STORED};

    je.status = store_do(&me->disk[io->chunk], io, b->o.mutant);
    /* Two steps: a crash between them leaves a tombstone that nobody ordered. */
    if (io->kind == BOX_IO_DELETE && io->forget) {
        struct box_io forget = {.kind = BOX_IO_FORGET, .chunk = io->chunk};

        box_io_add(b, member, &forget);
    }
    if (io->kind != BOX_IO_INCOMPLETE && io->kind != BOX_IO_FORGET && me->join != NULL &&
        me->join_id == io->epoch)
        box_join_run(b, member, &je);
}

void box_io_do(struct box *b, int member, unsigned n)
{
    unsigned count;
    struct box_io *io = possible(b, member, n, &count);

    if (io == NULL) {
        if (b->members[member].store != NULL && b->members[member].alive)
            box_store_run(b->members[member].store);
        return;
    }
    DL_DELETE(b->members[member].ios, io);
    if (b->tells)
        printf("       io %d chunk %u op %d\n", (int)io->kind, io->chunk,
               io->op != NULL ? (int)(uintptr_t)io->op->payload - 1 : -1);
    switch (io->kind) {
    case BOX_IO_OP:
        done_op(b, member, io);
        break;
    case BOX_IO_READ:
        done_read(b, member, io);
        break;
    case BOX_IO_CRCS:
    case BOX_IO_DATA:
        done_remote(b, member, io);
        break;
    case BOX_IO_OWN_CRCS:
        if (b->members[member].join != NULL && b->members[member].join_id == io->epoch)
            done_own_crcs(b, member, io);
        break;
    case BOX_IO_COPY:
    case BOX_IO_TRUNCATE:
    case BOX_IO_INCOMPLETE:
    case BOX_IO_COMPLETE:
    case BOX_IO_DELETE:
    case BOX_IO_FORGET:
        done_store(b, member, io);
        break;
    }
    io_free(io);
}

/* The message that brought them has the whole chunk: cells are not bytes. */
static void take_cells(struct box_io *io, const struct join_action *a)
{
    const struct box_msg *m = a->payload;

    memcpy(io->cells, &m->copy.cells[a->offset / BOX_CELL_BYTES],
           a->len / BOX_CELL_BYTES * sizeof(uint32_t));
}

static void join_action(struct box *b, int member, const struct join_action *a)
{
    struct box_member *me = &b->members[member];
    struct box_msg msg = {.epoch = chain_config_of(me->chain)->epoch,
                          .join = me->join_id,
                          .chunk = (uint32_t)a->chunk.v - 1,
                          .offset = a->offset,
                          .len = a->len};
    struct box_io io = {.chunk = (uint32_t)a->chunk.v - 1,
                        .offset = a->offset,
                        .len = a->len,
                        .ver = a->ver,
                        .epoch = me->join_id,
                        .forget = !a->keep_tombstone};

    switch (a->kind) {
    case JOIN_ACT_ASK_LIST:
        return; /* The first is asked by who makes the join; the answer is never cut. */
    case JOIN_ACT_ASK_CRCS:
        msg.kind = BOX_CRCS_ASK;
        box_post(b, member, me->join_source, false, &msg);
        return;
    case JOIN_ACT_ASK_DATA:
        msg.kind = BOX_DATA_ASK;
        box_post(b, member, me->join_source, false, &msg);
        return;
    case JOIN_ACT_OWN_CRCS:
        io.kind = BOX_IO_OWN_CRCS;
        break;
    case JOIN_ACT_COPY:
        if (me->store != NULL) {
            b->sometimes.copied++;
            box_store_copy(me->store, a);
            return;
        }
        io.kind = BOX_IO_COPY;
        if (a->bytes != NULL)
            take_cells(&io, a);
        b->sometimes.copied++;
        break;
    case JOIN_ACT_TRUNCATE:
        io.kind = BOX_IO_TRUNCATE;
        break;
    case JOIN_ACT_MARK_INCOMPLETE:
        io.kind = BOX_IO_INCOMPLETE;
        break;
    case JOIN_ACT_MARK_COMPLETE:
        io.kind = BOX_IO_COMPLETE;
        break;
    case JOIN_ACT_DELETE:
        io.kind = BOX_IO_DELETE;
        break;
    case JOIN_ACT_FORGET:
        io.kind = BOX_IO_FORGET;
        break;
    case JOIN_ACT_DONE:
    case JOIN_ACT_FAILED:
        return;
    }
    box_io_add(b, member, &io);
}

void box_join_run(struct box *b, int member, const struct join_event *ev)
{
    struct box_member *me = &b->members[member];
    struct join_actions acts = {0};
    bool done = false, failed = false;

    join_step(me->join, ev, &acts);
    for (size_t i = 0; i < acts.count; i++) {
        done = done || acts.items[i].kind == JOIN_ACT_DONE;
        failed = failed || acts.items[i].kind == JOIN_ACT_FAILED;
        if (b->tells && acts.items[i].kind == JOIN_ACT_FAILED)
            printf("       join of %d failed: %d\n", member, acts.items[i].status);
        join_action(b, member, &acts.items[i]);
    }
    join_actions_done(&acts);
    if (done || failed)
        box_join_end(me);
    for (int i = 0; done && i < b->op_count; i++)
        me->applied[i] = me->applied[i] || b->members[me->join_source].applied[i];
    if (done)
        box_step(b, member,
                 &(struct chain_event){.kind = CHAIN_EV_SYNC_DONE, .waiter = me->copy_waiter});
    if (failed)
        box_step(b, member,
                 &(struct chain_event){.kind = CHAIN_EV_SYNC_FAILED, .waiter = me->copy_waiter});
}
