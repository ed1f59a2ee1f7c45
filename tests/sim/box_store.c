#include "tests/sim/box_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/error.h"
#include "common/hash.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "common/vfs_fake.h"
#include "datanode/store_priv.h"

enum { IDLE_MS = CHUNK_CLEAN_AFTER_MS + 1000 };

struct call {
    struct box_store *s;
    struct box_io io; /* no list of its */
    uint32_t blocks;
    struct call *prev, *next;
};

struct box_store {
    struct box *b;
    int member;
    struct rng rng;
    struct loop *loop;
    struct slab_pool *slabs;
    struct clock_fake clock;
    struct vfs_fake *fake;
    struct store_options options;
    struct store *store; /* NULL: the process is dead */
    struct target *target;
    struct call *calls; /* under way */
    bool is_ending;
};

static void on_failed(void *ctx, struct target *t, int why)
{
    struct box_store *s = ctx;

    (void)t;
    if (!s->is_ending)
        box_violate(s->b, "a sound disk is called failed", "member=%d why=%d", s->member, why);
}

struct box_store *box_store_new(struct box *b, int member, uint64_t seed)
{
    struct box_store *s = MEM_NEW(struct box_store);

    s->b = b;
    s->member = member;
    rng_seed(&s->rng, seed);
    if (loop_new(&s->loop) < 0)
        abort();
    s->slabs = slab_pool_new(1 << 20);
    clock_fake_init(&s->clock, 1000 * CLOCK_NS_PER_S, 0);
    s->fake = vfs_fake_new();
    vfs_fake_set_names_any(s->fake, rng_percent(&s->rng, 50));
    s->options = (struct store_options){
        .vfs = vfs_fake_vfs(s->fake),
        .clock = &s->clock.clock,
        .slabs = s->slabs,
        .inline_io = true,
        .inline_seed = rng_u64(&s->rng),
        .reserve_percent = 5,
        .on_failed = on_failed,
        .ctx = s,
    };
    memset(s->options.cluster.b, 0x11, sizeof(s->options.cluster.b));
    s->options.boot_id.b[0] = (uint8_t)member;
    return s;
}

static void call_end(struct call *c)
{
    DL_DELETE(c->s->calls, c);
    chain_op_unref(c->io.op);
    free(c);
}

void box_store_end(struct box_store *s, bool power_lost)
{
    if (s->store == NULL)
        return;
    s->is_ending = true;
    if (power_lost) {
        vfs_fake_crash(s->fake, &s->rng);
        s->options.boot_id.b[1]++;
    } else {
        vfs_fake_kill(s->fake);
    }
    /* Nothing that the dead process had begun reaches the disk. */
    vfs_fake_stop_after(s->fake, 0);
    store_free(STEAL(s->store));
    vfs_fake_kill(s->fake);
    s->target = NULL;
    while (s->calls != NULL)
        call_end(s->calls);
    s->is_ending = false;
}

void box_store_free(struct box_store *s)
{
    if (s == NULL)
        return;
    box_store_end(s, false);
    vfs_fake_free(s->fake);
    slab_pool_free(s->slabs);
    loop_free(s->loop);
    free(s);
}

bool box_store_open(struct box_store *s)
{
    struct target_id id = s->b->members[s->member].target;
    char err[256] = "";
    int r;

    vfs_fake_stop_after(s->fake, UINT64_MAX);
    s->options.inline_seed = rng_u64(&s->rng);
    r = store_new(s->loop, &s->options, &s->store);
    if (r == 0)
        r = store_open_target(s->store, "/target", err, sizeof(err), &s->target);
    if (r == 0)
        r = target_set_id(s->target, id);
    if (r == 0)
        return true;
    box_violate(s->b, "a disk can't be opened any more", "member=%d: %s: %s", s->member,
                dfs_strerror(r), err);
    return false;
}

/* ---- bytes and cells ---- */

static void fill_cells(uint8_t *bytes, uint32_t value, uint32_t cells)
{
    for (uint32_t i = 0; i < cells * BOX_CELL_BYTES / sizeof(value); i++)
        memcpy(bytes + i * sizeof(value), &value, sizeof(value));
}

static uint32_t cell_of(const uint8_t *bytes)
{
    uint32_t value, other;

    memcpy(&value, bytes, sizeof(value));
    for (size_t at = sizeof(value); at < BOX_CELL_BYTES; at += sizeof(other)) {
        memcpy(&other, bytes + at, sizeof(other));
        if (other != value)
            return BOX_MIXED | (uint32_t)hash64(bytes, BOX_CELL_BYTES, 0);
    }
    return value;
}

static unsigned piece_crcs(const uint8_t *bytes, uint32_t offset, uint32_t len, uint32_t *crcs)
{
    unsigned n = 0;

    for (uint32_t piece; len > 0; bytes += piece, offset += piece, len -= piece) {
        piece = MIN(len, CHUNK_BLOCK_SIZE - offset % CHUNK_BLOCK_SIZE);
        crcs[n++] = crc32c(bytes, piece);
    }
    return n;
}

/* ---- what comes back ---- */

/* As write.c has it: every member comes to the same. */
static int outcome(const struct box_store *s, const struct chain_op *op, int status)
{
    bool joining = chain_place_of(s->b->members[s->member].chain)->role == CHAIN_SYNCING;

    if (status == -ESTALE)
        return 0;
    if (status == DFS_ENOCHUNK)
        return joining || op->kind == CHAIN_REPAIR ? 0 : status;
    if (status == DFS_EBADBLOCK)
        return joining ? 0 : status;
    return status;
}

static void op_done(void *ctx, int status, uint32_t crc)
{
    struct call *c = ctx;
    struct box_store *s = c->s;
    struct chain_event ev = {.kind = CHAIN_EV_APPLIED, .io_id = c->io.io_id};
    int index = (int)(uintptr_t)c->io.op->payload - 1;

    if (!s->is_ending) {
        ev.status = outcome(s, c->io.op, status);
        ev.crc = status == 0 ? crc : 0;
        if (ev.status == 0)
            s->b->members[s->member].applied[index] = true;
        box_step(s->b, s->member, &ev);
    }
    call_end(c);
}

static void block_read(void *ctx, int status, struct store_read_result *r)
{
    struct call *c = ctx;
    struct box_store *s = c->s;
    struct box_mail m = {.is_reply = true,
                         .member = s->member,
                         .op = s->is_ending ? 0 : s->b->waiters[c->io.waiter].op,
                         .status = status == DFS_ENOCHUNK ? 0 : status};
    uint8_t bytes[CHUNK_BLOCK_SIZE] = {0};

    if (status == 0)
        memcpy(bytes, r->slab->data, r->len);
    for (uint32_t i = 0; i < CHUNK_BLOCK_SIZE / BOX_CELL_BYTES; i++)
        m.values[i] = cell_of(bytes + (size_t)i * BOX_CELL_BYTES);
    if (!s->is_ending)
        box_mail_add(s->b, &m);
    call_end(c);
}

/* The joiner has given up, or has begun anew. */
static bool is_old(const struct call *c)
{
    const struct box_member *me = &c->s->b->members[c->s->member];

    return c->s->is_ending || me->join == NULL || me->join_id != c->io.epoch;
}

static void stored(void *ctx, int status, uint32_t crc)
{
    struct call *c = ctx;
    struct join_event ev = {.kind = JOIN_EV_STORED, .status = status};

    (void)crc;
    if (c->io.kind == BOX_IO_DELETE && c->io.forget && status == 0 && !c->s->is_ending) {
        c->io.forget = false;
        store_forget(c->s->target, (struct chunk_id){c->io.chunk + 1}, stored, c);
        return;
    }
    if (c->io.kind != BOX_IO_INCOMPLETE && !is_old(c))
        box_join_run(c->s->b, c->s->member, &ev);
    call_end(c);
}

static void own_crcs(void *ctx, int status, const struct store_crcs *crcs)
{
    struct call *c = ctx;
    struct join_event ev = {.kind = JOIN_EV_OWN, .status = status};

    if (status == 0) {
        ev.state = crcs->state;
        ev.slots = crcs->slots;
        ev.count = crcs->slot_count;
        ev.hashes = crcs->hashes;
        ev.bad = crcs->bad;
    }
    if (!is_old(c))
        box_join_run(c->s->b, c->s->member, &ev);
    call_end(c);
}

/* The question came on a connection: its answer goes back on the same one. */
static void answer_joiner(const struct call *c, int status, struct box_wire *wire)
{
    struct box *b = c->s->b;
    struct box_msg m = {.kind = c->io.kind == BOX_IO_CRCS ? BOX_CRCS : BOX_DATA,
                        .join = (unsigned)c->io.waiter,
                        .status = status,
                        .chunk = c->io.chunk,
                        .offset = c->io.offset,
                        .len = c->io.len,
                        .wire = wire};

    if (!c->s->is_ending && b->conns[c->s->member][c->io.peer].up &&
        b->conns[c->s->member][c->io.peer].generation == c->io.epoch)
        box_post(b, c->s->member, c->io.peer, true, &m);
    free(wire);
}

static void their_crcs(void *ctx, int status, const struct store_crcs *crcs)
{
    struct call *c = ctx;
    struct box_wire *w = MEM_NEW(struct box_wire);

    if (status == 0 && crcs->state.flags & CHUNK_INCOMPLETE)
        status = DFS_EBADBLOCK;
    if (status == 0) {
        w->states[0] = crcs->state;
        w->count = crcs->slot_count;
        memcpy(w->slots, crcs->slots, crcs->slot_count * sizeof(*w->slots));
        memcpy(w->hashes, crcs->hashes, crcs->slot_count * sizeof(*w->hashes));
    }
    answer_joiner(c, status, w);
    call_end(c);
}

static void their_data(void *ctx, int status, struct store_read_result *r)
{
    struct call *c = ctx;
    struct box_wire *w = MEM_NEW(struct box_wire);

    if (status == 0) {
        w->count = r->slot_count;
        memcpy(w->slots, r->slots, r->slot_count * sizeof(*w->slots));
        memcpy(w->bytes, r->slab->data, r->len);
    }
    answer_joiner(c, status, w);
    call_end(c);
}

/* ---- to the store ---- */

static struct call *call_new(struct box_store *s, const struct box_io *io)
{
    struct call *c = MEM_NEW(struct call);

    c->s = s;
    c->io = *io;
    if (c->io.op != NULL)
        chain_op_ref(c->io.op);
    DL_APPEND(s->calls, c);
    return c;
}

static void write_op(struct box_store *s, const struct box_io *io)
{
    const struct chain_op *op = io->op;
    uint32_t crcs[BOX_BLOCKS + 1];
    CLEANUP(slab) struct slab *slab = slab_alloc(s->slabs, op->len);
    struct store_write w = {.chunk = op->chunk,
                            .pg = {1},
                            .ver = io->ver,
                            .offset = op->offset,
                            .len = op->len,
                            .flags = STORE_CREATE | (op->sync ? STORE_SYNC : 0u),
                            .crcs = crcs,
                            .bytes = slab->data,
                            .slab = slab};

    fill_cells(slab->data, (uint32_t)(uintptr_t)op->payload, op->len / BOX_CELL_BYTES);
    w.crc_count = piece_crcs(slab->data, op->offset, op->len, crcs);
    store_write(s->target, &w, op_done, call_new(s, io));
}

static void submit_op(struct box_store *s, const struct box_io *io)
{
    const struct chain_op *op = io->op;

    switch (op->kind) {
    case CHAIN_WRITE:
        write_op(s, io);
        return;
    case CHAIN_TRUNC:
        store_truncate(s->target, op->chunk, op->offset, io->ver, 0, op_done, call_new(s, io));
        return;
    case CHAIN_SYNC:
        store_sync(s->target, (const struct chunk_id *)op->chunks, op->chunk_count, op_done,
                   call_new(s, io));
        return;
    case CHAIN_DELETE:
        store_delete(s->target, (struct chunk_id){op->chunks[0]}, (struct pg_id){1}, op_done,
                     call_new(s, io));
        return;
    case CHAIN_FENCE:
    case CHAIN_REPAIR:
        abort(); /* The one is not the store's, the other nobody sends here. */
    }
}

void box_store_submit(struct box_store *s, const struct box_io *io)
{
    struct chunk_id chunk = {io->chunk + 1};
    struct store_read rd = {
        .chunk = chunk, .offset = io->offset, .len = CHUNK_BLOCK_SIZE, .verify = true};

    switch (io->kind) {
    case BOX_IO_OP:
        submit_op(s, io);
        return;
    case BOX_IO_READ:
        rd.offset = io->offset * BOX_CELL_BYTES;
        store_read(s->target, &rd, block_read, call_new(s, io));
        return;
    case BOX_IO_OWN_CRCS:
        store_crcs(s->target, chunk, true, own_crcs, call_new(s, io));
        return;
    case BOX_IO_CRCS:
        store_crcs(s->target, chunk, true, their_crcs, call_new(s, io));
        return;
    case BOX_IO_DATA:
        rd.len = io->len;
        store_read(s->target, &rd, their_data, call_new(s, io));
        return;
    case BOX_IO_TRUNCATE:
        store_truncate(s->target, chunk, io->offset, (struct chunk_ver){0, 0}, STORE_COPY, stored,
                       call_new(s, io));
        return;
    case BOX_IO_INCOMPLETE:
        store_mark_incomplete(s->target, chunk, (struct pg_id){1}, stored, call_new(s, io));
        return;
    case BOX_IO_COMPLETE:
        /* No truncation here has a version. */
        store_mark_complete(s->target, chunk, io->ver, 0, stored, call_new(s, io));
        return;
    case BOX_IO_DELETE:
        store_delete(s->target, chunk, (struct pg_id){1}, stored, call_new(s, io));
        return;
    case BOX_IO_FORGET:
        store_forget(s->target, chunk, NULL, NULL);
        return;
    case BOX_IO_COPY:
        abort(); /* box_store_copy() */
    }
}

void box_store_copy(struct box_store *s, const struct join_action *a)
{
    struct box_io io = {.kind = BOX_IO_COPY,
                        .chunk = (uint32_t)a->chunk.v - 1,
                        .epoch = s->b->members[s->member].join_id};
    uint32_t crcs[BOX_BLOCKS], blocks = a->len / CHUNK_BLOCK_SIZE;
    CLEANUP(slab) struct slab *made_up = NULL;
    struct store_write w = {.chunk = a->chunk,
                            .pg = {1},
                            .offset = a->offset,
                            .len = a->len,
                            .flags = STORE_COPY,
                            .crcs = crcs,
                            .crc_count = blocks,
                            .bytes = a->bytes,
                            .slab = a->payload};

    for (uint32_t i = 0; i < blocks; i++)
        crcs[i] = CRC32C_ZERO_BLOCK ^ (a->slots != NULL ? a->slots[i] : 0);
    if (a->bytes == NULL) { /* Zeros; or blocks that are bad there, and have to be bad here. */
        made_up = slab_alloc(s->slabs, a->len);
        memset(made_up->data, 0, a->len);
        for (uint32_t i = 0; a->slots != NULL && i < blocks; i++)
            made_up->data[(size_t)i * CHUNK_BLOCK_SIZE] = a->slots[i] == 0;
        w.bytes = made_up->data;
        w.slab = made_up;
    }
    store_write(s->target, &w, stored, call_new(s, &io));
}

static void laundered(void *ctx, int status, uint32_t blocks)
{
    struct call *c = ctx;

    if (status == 0)
        c->s->b->sometimes.laundered += blocks;
    call_end(c);
}

void box_store_launder(struct box_store *s, uint64_t epoch)
{
    struct box_io io = {.kind = BOX_IO_OP};

    store_launder(s->target, (struct pg_id){1}, (struct chunk_ver){epoch, 0}, laundered,
                  call_new(s, &io));
}

/* ---- running ---- */

bool box_store_is_busy(const struct box_store *s)
{
    return s->store != NULL && (s->calls != NULL || disk_job_count(s->target->disk) > 0);
}

void box_store_run(struct box_store *s)
{
    loop_run_once(s->loop, false);
}

void box_store_idle(struct box_store *s)
{
    if (s->store == NULL)
        return;
    clock_fake_advance(&s->clock, IDLE_MS * CLOCK_NS_PER_MS);
    store_tick(s->store);
}

/* ---- looking at it ---- */

uint32_t box_store_states(const struct box_store *s, struct chunk_state states[BOX_CHUNKS])
{
    return (uint32_t)store_list(s->target, (struct pg_id){1}, (struct chunk_id){0}, BOX_CHUNKS,
                                states);
}

struct look {
    bool is_done;
    int status;
    struct box_chunk *k;
};

static void looked(void *ctx, int status, struct store_read_result *r)
{
    struct look *l = ctx;
    uint8_t bytes[BOX_BLOCKS * CHUNK_BLOCK_SIZE] = {0};

    l->is_done = true;
    l->status = status;
    if (status < 0)
        return;
    memcpy(bytes, r->slab->data, r->len);
    for (uint32_t i = 0; i < BOX_CELLS; i++)
        l->k->cells[i] = cell_of(bytes + (size_t)i * BOX_CELL_BYTES);
}

void box_store_look(struct box_store *s, struct box_chunk disk[BOX_CHUNKS])
{
    struct chunk_state states[BOX_CHUNKS];
    uint32_t count = box_store_states(s, states);

    memset(disk, 0, BOX_CHUNKS * sizeof(*disk));
    for (uint32_t i = 0; i < count; i++) {
        struct box_chunk *k = &disk[states[i].id.v - 1];
        struct look l = {.k = k};

        k->tombstone = states[i].flags & CHUNK_DELETED;
        k->exists = !k->tombstone;
        k->incomplete = states[i].flags & CHUNK_INCOMPLETE;
        k->clean = states[i].flags == 0;
        k->len = states[i].len;
        k->ver = states[i].ver;
        if (!k->exists)
            continue;
        store_read(s->target,
                   &(struct store_read){
                       .chunk = states[i].id, .len = BOX_BLOCKS * CHUNK_BLOCK_SIZE, .verify = true},
                   looked, &l);
        while (!l.is_done)
            loop_run_once(s->loop, true);
        if (l.status < 0)
            box_violate(s->b, "I34: at rest a block is bad", "member=%d chunk=%u: %s", s->member,
                        (unsigned)states[i].id.v - 1, dfs_strerror(l.status));
    }
}

struct slab *box_store_data(struct box_store *s, const struct box_wire *w, struct join_event *ev)
{
    struct slab *slab = slab_alloc(s->slabs, sizeof(w->bytes));

    memcpy(slab->data, w->bytes, sizeof(w->bytes));
    ev->slots = w->slots;
    ev->count = w->count;
    ev->bytes = slab->data;
    ev->payload = slab;
    return slab;
}
