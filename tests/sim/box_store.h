/*
 * A member of the box on the store of production: chunk files, table and log on a disk in memory that
 * forgets and tears what was not synced. The disk's work is done by the store's own loop, one turn for
 * each move, in an order that follows from the seed.
 *
 * A cell is BOX_CELL_BYTES of the id of the operation that wrote it, again and again.
 */
#ifndef TESTS_SIM_BOX_STORE_H
#define TESTS_SIM_BOX_STORE_H

#include "tests/sim/box.h"

struct box_store;

/* What goes from a source to a joiner, beside the message. */
struct box_wire {
    struct chunk_state states[BOX_CHUNKS];
    uint32_t count; /* of states, or of blocks */
    uint32_t slots[BOX_BLOCKS];
    uint64_t hashes[BOX_BLOCKS];
    uint8_t bytes[BOX_BLOCKS * CHUNK_BLOCK_SIZE];
};

struct box_store *box_store_new(struct box *b, int member, uint64_t seed);
void box_store_free(struct box_store *s);

/* A new life of the process. False: it can't be opened, which is a violation. */
bool box_store_open(struct box_store *s);
/* The process ends; with power_lost the machine too. */
void box_store_end(struct box_store *s, bool power_lost);

/* To the disk; ends as the io of the model does. */
void box_store_submit(struct box_store *s, const struct box_io *io);
void box_store_copy(struct box_store *s, const struct join_action *a);
void box_store_launder(struct box_store *s, uint64_t epoch);
bool box_store_is_busy(const struct box_store *s);
void box_store_run(struct box_store *s);
/* Time passes for it: what is not written any more becomes clean. */
void box_store_idle(struct box_store *s);

uint32_t box_store_states(const struct box_store *s, struct chunk_state states[BOX_CHUNKS]);
/* For the checks: what is on the disk, as a chunk of the model. The store must be at rest. */
void box_store_look(struct box_store *s, struct box_chunk disk[BOX_CHUNKS]);
/* Gives the event what came over the wire; the slab is the caller's to release. */
struct slab *box_store_data(struct box_store *s, const struct box_wire *w, struct join_event *ev);

#endif
