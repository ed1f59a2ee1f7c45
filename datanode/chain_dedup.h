/*
 * Which operations of which session have been given a place in the order of one PG.
 *
 *   floor                                floor + DEDUP_WINDOW
 *     | 1 1 0 1 0 0 0 ...                  |
 *   below: answered to the client, a copy that still arrives is late and must not run
 *
 * The table travels with the operations, so every member has it, and a new head needs nothing else.
 */
#ifndef DATANODE_CHAIN_DEDUP_H
#define DATANODE_CHAIN_DEDUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "common/ids.h"
#include "common/limits.h"

enum { DEDUP_BYTES = DEDUP_WINDOW / 8 };

struct dedup_session {
    struct session_id session;
    uint64_t floor;
    uint64_t used_ms;
    uint8_t executed[DEDUP_BYTES];
    UT_hash_handle hh;
};

struct dedup {
    struct dedup_session *sessions;
};

enum dedup_answer {
    DEDUP_NEW,
    DEDUP_SEEN,   /* it has its place already */
    DEDUP_LATE,   /* below the floor */
    DEDUP_BEYOND, /* further ahead than the window reaches */
};

void dedup_init(struct dedup *d);
void dedup_done(struct dedup *d);

/* floor: what the operation says its sender has been told. Changes nothing. */
enum dedup_answer dedup_look(const struct dedup *d, struct session_id session, uint64_t opseq,
                             uint64_t floor);
/* Raises the floor, then marks opseq unless it lies outside the window. */
void dedup_mark(struct dedup *d, struct session_id session, uint64_t opseq, uint64_t floor,
                uint64_t now_ms);
/* Puts in a whole session, as a joiner gets it. */
void dedup_put(struct dedup *d, struct session_id session, uint64_t floor,
               const uint8_t executed[DEDUP_BYTES], uint64_t now_ms);
/*
 * Forgets sessions that did nothing for idle_ms: only to bound memory, and only with a time far
 * beyond the life of any connection, for a forgotten session's late copy would run again.
 */
void dedup_forget_idle(struct dedup *d, uint64_t now_ms, uint64_t idle_ms);

#endif
