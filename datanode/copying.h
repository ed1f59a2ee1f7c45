/*
 * Who copies, and who checks, on one target, and when: joiners, their sources and the scrub wait here
 * for their turn, so that clients come first (pace.h has the rate). Loop thread only.
 *
 * Order: what only one good copy is left of; then data before whole chunks that are compared, since
 * those who wait for data hold a chunk that is half done; the scrub last. Chunks are read whole one
 * at a time: one of the two readers stays free for clients.
 */
#ifndef DATANODE_COPYING_H
#define DATANODE_COPYING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"

struct copying;
struct loop;
struct metrics;

enum copy_kind { COPY_DATA, COPY_CHECK, COPY_SCRUB, COPY_KINDS };

/* A part of what waits; it stays until run is called. */
struct copy_turn {
    /* Set by the caller. */
    enum copy_kind kind;
    bool is_urgent; /* one good copy is left */
    uint64_t bytes; /* that will be read or written here */
    /* It is time, perhaps inside copying_enter(); or all ends, and there is only to be let go. */
    void (*run)(struct copy_turn *t, bool is_ended);

    struct copy_turn *prev, *next;
};

/* cap: bytes a second; 0: none but what clients leave; COPYING_UNPACED: everybody runs at once. */
#define COPYING_UNPACED UINT64_MAX
struct copying *copying_new(struct loop *loop, uint64_t cap);
/* All turns that wait, and all that come later, end. NULL is fine. */
void copying_stop(struct copying *c);
/* After copying_stop(), and after what was read is done. NULL is fine. */
void copying_free(struct copying *c);

void copying_enter(struct copying *c, struct copy_turn *t);
/* A CHECK or SCRUB whose turn came has read its chunk, or need not. */
void copying_checked(struct copying *c);
/* A client's operation took so long on this target: waiting for the disk, and the disk. */
void copying_client_took(struct copying *c, uint64_t took_ns);

/* Bytes a second as of now, and how many turns wait. */
uint64_t copying_rate(const struct copying *c);
uint64_t copying_waiting(const struct copying *c);

#endif
